"""Two lower bounds of the evidence: the ELBO and the importance-weighted one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_form, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.decoders import (
    bernoulli_decoder,
    first_code_decoder,
    half_space_decoder,
    linear_decoder,
    shifted_decoder,
)
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.passed_on import passed_on
from grader.sandbox.wire.families import Family

elbo = pytest.mark.exercise("vae.elbo")
importance_bound = pytest.mark.exercise("vae.importance_bound")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(1, 4), st.integers(1, 4))  # s, n, m, d


def problem(s: int, n: int, m: int, d: int, key: int, dtype: torch.dtype) -> tuple[Family, Tensor, Tensor, Tensor, Tensor]:
    """A decoder, the encoder's answer, data and draws, in the order of the arguments."""
    W, b = draw.normal((m, d), key, 1.0, dtype), draw.normal((m,), key + 1, 1.0, dtype)
    bits = key % 2 == 0
    decoder = bernoulli_decoder(W, b) if bits else linear_decoder(W, b, draw.tensor(0.5, dtype))
    x = draw.integers((n, m), key, 2).to(dtype) if bits else draw.normal((n, m), key + 2, 1.0, dtype)
    mu, log_var = draw.normal((n, d), key + 3, 1.0, dtype), draw.normal((n, d), key + 4, 1.0, dtype)
    return decoder, mu, log_var, x, draw.normal((s, n, d), key + 5, 1.5, dtype)


def by_hand(dtype: torch.dtype) -> tuple[Family, Tensor, Tensor, Tensor, Tensor]:
    """x = 2 z + noise: two rows, two draws, all numbers small enough for paper."""
    decoder = linear_decoder(draw.tensor([[2.0]], dtype), draw.tensor([0.0], dtype), draw.tensor(1.0, dtype))
    mu, log_var = draw.tensor([[1.0], [0.0]], dtype), draw.tensor([[0.0], [1.3862943611198906]], dtype)
    return decoder, mu, log_var, draw.tensor([[1.0], [4.0]], dtype), draw.tensor([[[0.5], [1.0]], [[1.5], [2.0]]], dtype)


def shared_posterior(key: int, dtype: torch.dtype) -> tuple[Family, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A decoder whose true posterior has a diagonal covariance, that posterior, data, any draws, and the evidence."""
    W = draw.tensor([[3.0, 0.0], [0.0, 0.5], [4.0, 0.0]])  # orthogonal columns
    x, variance = draw.normal((4, 3), key), 1 / (1 + W.square().sum(0) / 0.25)  # sigma = 1/2
    mu, log_var = (x @ W * variance / 0.25).to(dtype), variance.log().expand(4, 2).to(dtype)
    evidence = torch.distributions.MultivariateNormal(torch.zeros(3).double(), W @ W.T + 0.25 * torch.eye(3))
    decoder = linear_decoder(W.to(dtype), torch.zeros(3, dtype=dtype), draw.tensor(0.5, dtype))
    z = mu + (log_var / 2).exp() * draw.normal((3, 4, 2), key + 1, 1.0, dtype)
    return decoder, mu, log_var, x.to(dtype), z, evidence.log_prob(x)


# -- elbo --


@elbo
@weight(1.25)
def test_the_elbo_of_two_rows_known_by_hand(student):
    """For x = 2 z + noise: the mean log-likelihood over the draws, minus the divergence from the prior."""
    for dtype in draw.DTYPES:
        want = draw.tensor([-2.4189385332046727, -2.7257913526447274])
        assert_agrees(student.elbo(*by_hand(dtype)), want, like=torch.float32, scale=10.0, unit="nats")


@elbo
@weight(1.0)
@examples(4)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2, 4, 2), key=0, dtype=torch.float32)
@example(size=(2, 3, 2, 4), key=1, dtype=torch.float64)
def test_the_elbo_averages_over_the_draws_and_subtracts_the_divergence(student, ref, size, key, dtype):
    """Each row averages the log-likelihood of its own draws, whatever the decoder is, and loses its divergence."""
    s, n, m, d = size
    given_ = problem(s, n, m, d, key, dtype)
    want, scale = ref.elbo(*given_), ref.rounding_of_bounds(*given_)
    assert_agrees(student.elbo(*given_), want, like=dtype, scale=scale, unit="nats")


@elbo
@weight(0.25)
def test_the_elbo_of_a_large_batch_and_many_draws(student):
    """With 1031 rows, and with 257 draws, nothing is left out, and every draw counts as much as any other."""
    decoder, mu, log_var, x, z = by_hand(torch.float64)
    rows, want = draw.integers((1031,), 0, 2), draw.tensor([-2.4189385332046727, -2.7257913526447274])
    got = student.elbo.strided(decoder, mu[rows], log_var[rows], x[rows], z[:, rows])
    assert_agrees(got, want[rows], scale=100.0, like=torch.float32, unit="nats")
    of_each = draw.tensor([[-1.4189385332046727, -3.7257913526447274], [-3.4189385332046727, -1.7257913526447274]])  # of the draws
    got = student.elbo.strided(decoder, mu, log_var, x, z[[0] * 128 + [1] * 129])
    assert_agrees(got, (128 * of_each[0] + 129 * of_each[1]) / 257, scale=100.0, like=torch.float32, unit="nats")


@elbo
@weight(0.25)
def test_the_elbo_with_one_draw_one_row_or_one_dimension(student):
    """s = 1, n = 1, m = 1 and d = 1 are legal, alone and together.

    Where the posterior is the prior the likelihood alone counts, were it e^-30000; with one impossible draw the bound is -inf.
    """
    decoder, mu, log_var, x, z = by_hand(torch.float64)
    prior = torch.zeros(1, 1).double()
    for c in (0.0, -3e4):
        got = student.elbo(shifted_decoder(draw.tensor(c), decoder), prior, prior, prior, prior[None])
        assert_agrees(got, draw.tensor([c - 0.9189385332046727]), like=torch.float32, scale=4 + abs(c) / 10, unit="nats")
    args = half_space_decoder(draw.tensor(0.0)), prior[[0, 0]], prior[[0, 0]], prior[[0, 0]]
    got = student.elbo(*args, draw.tensor([[[1.0], [1.0]], [[2.0], [-1.0]]]))
    assert_agrees(got, draw.tensor([0.0, -math.inf]), like=torch.float32, scale=4.0, unit="nats")
    one, other = -1.4189385332046727, -3.7257913526447274  # of the first draw alone: 0 - 1/2 and -2 - (3 - log 4) / 2, less log(2 pi) / 2
    for draws, rows, want in ((1, [0, 1], [one, other]), (2, [0], [-2.4189385332046727]), (1, [1], [other])):
        got = student.elbo.strided(decoder, mu[rows], log_var[rows], x[rows], z[:draws, rows])
        assert_agrees(got, draw.tensor(want), scale=100.0, like=torch.float32, unit="nats")
    eye = linear_decoder(torch.eye(2).double(), torch.zeros(2).double(), draw.tensor(1.0))
    one, two = torch.ones(1, 2).double(), draw.tensor([[[1.0, 3.0]]])
    got = student.elbo.strided(eye, one, 0 * one, one, two)  # 0 - 2 for the second dimension, less log(2 pi), less (1 + 1) / 2
    assert_agrees(got, draw.tensor([-4.837877066409345]), scale=100.0, like=torch.float32, unit="nats")


@elbo
@weight(1.0)
def test_the_elbo_trains_encoder_and_decoder(student):
    """Gradients reach the decoder's parameters, the encoder's answer, the draws that flow from it, and the data.

    So it is with a single draw, too.
    """
    decoder, mu, log_var, x, z = args = by_hand(torch.float64)
    known = {
        "W": (decoder.parameters["W"], [[-3.5]]),  # the mean of (x - 2 z) z: -3/2 and 1
        "mu": (mu, [[-1.0], [0.0]]),  # -mu
        "log_var": (log_var, [[0.0], [3.0]]),  # (1 - e^l) / 2
        "z": (z, [[[0.0], [-4.0]], [[-2.0], [0.0]]]),  # (x - 2 z) 2, over two draws
        "x": (x, [[1.0], [2.0]]),  # the mean of 2 z - x: 1 and -1
    }
    assert_gradients_known(student.elbo, args, known, weights=draw.tensor([1.0, -2.0]))
    one = z[:1]  # draw alone: x - 2 z is 0 and 2
    known = {"W": (decoder.parameters["W"], [[-4.0]]), "z": (one, [[[0.0], [-8.0]]]), "x": (x, [[0.0], [4.0]])}
    args = [decoder, mu, log_var, x, passed_on(one)]
    assert_gradients_known(student.elbo, args, known, weights=draw.tensor([1.0, -2.0]))


@elbo
@weight(0.083)
def test_the_elbo_has_the_dtype_of_its_arguments(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        _, *others = by_hand(dtype)
        assert_dtype(assert_unchanged(student.elbo.observed(first_code_decoder(), *others)), dtype)


# -- importance_bound --


@importance_bound
@weight(1.0)
def test_the_importance_bound_of_two_rows_known_by_hand(student):
    """For x = 2 z + noise: the logarithm of the mean of two weights p(x|z) p(z) / q(z|x)."""
    for dtype in draw.DTYPES:
        want = draw.tensor([-1.563498362190876, -2.070493952199617])
        assert_agrees(student.importance_bound(*by_hand(dtype)), want, like=torch.float32, scale=10.0, unit="nats")


@importance_bound
@weight(0.5)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
def test_with_the_true_posterior_the_bound_is_the_evidence_at_any_draw(student, key, dtype):
    """If q is p(z|x), every weight is p(x), wherever z lies: Bayes' rule."""
    *given_, evidence = shared_posterior(key, dtype)
    got = student.importance_bound(*given_)
    assert_agrees(got, evidence, like=dtype, scale=2000.0, unit="nats")


@importance_bound
@weight(0.75)
@examples(4)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2, 4, 2), key=0, dtype=torch.float32)
@example(size=(2, 3, 2, 4), key=1, dtype=torch.float64)
def test_the_importance_bound_is_the_log_mean_weight_of_each_row(student, ref, size, key, dtype):
    """Each row averages its own weights before the logarithm, whatever the decoder is."""
    s, n, m, d = size
    given_ = problem(s, n, m, d, key, dtype)
    want, scale = ref.importance_bound(*given_), ref.rounding_of_bounds(*given_)
    assert_agrees(student.importance_bound(*given_), want, like=dtype, scale=scale, unit="nats")


@importance_bound
@weight(0.5)
def test_the_importance_bound_holds_where_weights_under_or_overflow(student):
    """A likelihood times e^30000 or e^-30000, another one for each row, moves the bound by 30000 and no further.

    At a mean of zero a log-variance of 40 or -40 moves it by half of that.
    """
    want = draw.tensor([-1.563498362190876, -2.070493952199617])
    for dtype in draw.DTYPES:
        decoder, mu, log_var, x, z = by_hand(dtype)
        for c in (3e4, -3e4):
            got = student.importance_bound(shifted_decoder(draw.tensor(c, dtype), decoder), mu, log_var, x, z)
            assert_agrees(got, want + c, like=dtype, scale=3e4, unit="nats")
    decoder, zero = by_hand(torch.float64)[0], torch.zeros(2, 1).double()
    got = student.importance_bound(decoder, zero, draw.tensor([[40.0], [-40.0]]), zero, zero[None])
    assert_agrees(got, draw.tensor([20.0, -20.0]) - 0.9189385332046727, like=torch.float32, scale=100.0, unit="nats")
    far = draw.tensor([[[0.5], [200.0]], [[1.5], [210.0]]])  # the second row's weights are e^-93000 beside the first's
    decoder, mu, log_var, x, _ = by_hand(torch.float64)
    got = student.importance_bound(decoder, mu, log_var, x, far)
    assert_agrees(got, draw.tensor([-1.563498362190876, -93408.91893853318]), scale=1e5, unit="nats")


@importance_bound
@weight(0.25)
def test_impossible_draws_count_as_zero_weights(student):
    """One impossible draw of two halves the mean weight; where all are impossible the bound is -inf, never nan."""
    zero = torch.zeros(2, 1, dtype=torch.float64)
    z = draw.tensor([[[1.0], [-1.0]], [[-1.0], [-2.0]]])
    got = student.importance_bound(half_space_decoder(draw.tensor(0.0)), zero, zero, zero, z)
    assert_agrees(got, draw.tensor([-math.log(2), -math.inf]), scale=4.0, like=torch.float32, unit="nats")


@importance_bound
@weight(0.25)
def test_the_importance_bound_with_one_draw_one_row_or_one_dimension(student, ref):
    """s = 1, n = 1, m = 1 and d = 1 are legal, alone and together; 257 draws are, too."""
    for size in ((1, 3, 2, 2), (3, 1, 2, 2), (2, 2, 1, 1), (1, 1, 1, 1), (257, 2, 2, 3)):
        s, n, m, d = size
        given_ = problem(s, n, m, d, 3, torch.float64)
        want, scale = ref.importance_bound(*given_), ref.rounding_of_bounds(*given_)
        assert_agrees(student.importance_bound.strided(*given_), want, scale=scale, like=torch.float32, unit="nats")


@importance_bound
@weight(0.5)
def test_the_importance_bound_trains_encoder_and_decoder(student):
    """Gradients reach the decoder's parameters, the encoder's answer, and the draws that flow from it, were it a single one."""
    decoder, mu, log_var, x, z = args = by_hand(torch.float64)
    # of their row's weight have: the second draw in the first row, the first draw in the second row
    p, r = 1 / (1 + math.exp(3)), 1 / (1 + math.exp(0.875))
    known = {  # of a log-weight: (x - 2 z) z, -(z - mu) / s^2, 1/2 - (z - mu)^2 / 2 s^2, 2 (x - 2 z) - z + (z - mu) / s^2
        "W": (decoder.parameters["W"], [[-3 * p - 4 * r]]),
        "mu": (mu, [[0.5 - p], [1 - r / 2]]),
        "log_var": (log_var, [[0.375], [-0.75 * r]]),
        "z": (z, [[[p - 1], [-6.5 * r]], [[-5 * p], [3 - 3 * r]]]),
    }
    assert_gradients_known(student.importance_bound, args, known, weights=draw.tensor([1.0, -2.0]), scale=100.0)
    one = z[:1]  # draw alone has all of the weight
    known = {
        "W": (decoder.parameters["W"], [[-4.0]]),
        "mu": (mu, [[0.5], [0.5]]),
        "log_var": (log_var, [[0.375], [-0.75]]),
        "z": (one, [[[-1.0], [-6.5]]]),
    }
    args = [decoder, passed_on(mu), passed_on(log_var), x, passed_on(one)]
    assert_gradients_known(student.importance_bound, args, known, weights=draw.tensor([1.0, -2.0]), scale=100.0)


@importance_bound
@weight(0.083)
def test_the_importance_bound_has_the_dtype_of_its_arguments(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        _, *others = by_hand(dtype)
        got = assert_unchanged(student.importance_bound.observed(first_code_decoder(), *others))
        assert_form(got, (2,))
        assert_dtype(got, dtype)
