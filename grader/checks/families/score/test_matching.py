"""Learning a score, with noise and without, and what it is good for: denoising."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.scores import (
    identity_score,
    level_score,
    noisy_gaussian_score,
    plain_linear_score,
    plain_tanh_score,
    tanh_score,
)
from grader.sandbox.wire.families import Family

denoising = pytest.mark.exercise("score.denoising_score_loss")
implicit = pytest.mark.exercise("score.implicit_score_loss")
denoise = pytest.mark.exercise("score.denoise")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.sampled_from([(2, 3), (2, 4), (3, 2), (4, 2), (4, 3)])  # square batches have checks of their own


def problem(n: int, m: int, key: int, dtype: torch.dtype) -> tuple[Family, Tensor, Tensor, Tensor]:
    """A score, data, noise, and a level for each row."""
    score = tanh_score(draw.normal((5, m), key, 1.0, dtype), draw.normal((m, 5), key + 1, 1.0, dtype))
    x, noise = draw.normal((n, m), key + 2, 1.0, dtype), draw.normal((n, m), key + 3, 1.0, dtype)
    return score, x, noise, draw.uniform((n,), key + 4, 0.25, 4.0, dtype)


# -- denoising_score_loss --


@denoising
@weight(1.0)
def test_denoising_losses_known_by_hand(student):
    """A score of zero leaves the mean squared noise; sigma w, at levels 1/2 and 2 or 2 and 17/8, adds sigma^2 w to the noise."""
    for dtype in draw.DTYPES:
        x, noise = draw.tensor([[1.0, 2.0, 5.0], [3.0, 4.0, 0.0]], dtype), draw.tensor([[1.0, 0.0, 2.0], [-2.0, 1.0, 0.0]], dtype)
        sigma, w = draw.tensor([0.5, 2.0], dtype), draw.tensor([4.0, 0.0, -1.0], dtype)
        got = student.denoising_score_loss(level_score(0 * w), x, noise, sigma)
        assert_agrees(got, draw.tensor(5.0), like=torch.float32, scale=10.0)
        got = student.denoising_score_loss(level_score(w), x, noise, sigma)
        assert_agrees(got, draw.tensor((4 + 3.0625 + 196 + 1 + 16) / 2), like=torch.float32, scale=300.0)
        near = draw.tensor([2.0, 2.125], dtype)  # sigma^2 w + noise: (17, 0, -2) and (16 1/16, 1, -4 33/64)
        got = student.denoising_score_loss(level_score(w), x, noise, near)
        assert_agrees(got, draw.tensor((289 + 4 + 16.0625**2 + 1 + 4.515625**2) / 2), like=torch.float32, scale=600.0)
        # the exact score of one clean point explains all of its noise
        x = draw.tensor([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]], dtype)
        got = student.denoising_score_loss(noisy_gaussian_score(x[0], 0 * w), x, noise, sigma)
        assert_agrees(got, draw.tensor(0.0), like=torch.float32, error=1e-11, scale=0.001)


@denoising
@weight(0.75)
@examples(4)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(2, 4), key=0, dtype=torch.float32)
@example(size=(4, 2), key=1, dtype=torch.float64)
def test_the_loss_compares_the_score_of_noisy_data_with_their_noise(student, ref, size, key, dtype):
    """At x + sigma noise the score is to be -noise / sigma; rows are averaged, dimensions added, levels weighed by sigma^2."""
    n, m = size
    given_ = problem(n, m, key, dtype)
    want = ref.denoising_score_loss(*given_)
    assert_agrees(student.denoising_score_loss(*given_), want, like=dtype, scale=20.0 + 20 * want)


@denoising
@weight(0.25)
def test_each_row_has_its_own_level_also_in_a_square_batch(student):
    """With as many rows as dimensions the levels still belong to the rows, also where they are nearly equal."""
    x, noise, sigma = draw.tensor([[1.0, 2.0], [3.0, 4.0]]), draw.tensor([[1.0, 0.0], [-2.0, 1.0]]), draw.tensor([0.5, 2.0])
    w = draw.tensor([4.0, 0.0])  # sigma^2 w + noise is (2, 0) and (14, 1)
    got = student.denoising_score_loss(level_score(w), x, noise, sigma)
    assert_agrees(got, draw.tensor((4 + 197) / 2), like=torch.float32, scale=300.0)
    got = student.denoising_score_loss(level_score(w), x, 0 * noise, draw.tensor([1.0, 1.125]))  # 16 sigma^4
    assert_agrees(got, draw.tensor(8 + 8 * 1.125**4), like=torch.float32, scale=100.0)
    got = student.denoising_score_loss(noisy_gaussian_score(0 * w, 0 * w), x, noise, sigma)  # |x|^2 / sigma^2
    assert_agrees(got, draw.tensor((20 + 6.25) / 2), like=torch.float32, scale=100.0)


@denoising
@weight(0.25)
def test_the_denoising_loss_of_single_and_of_many_rows_and_of_tiny_levels(student):
    """n = 1 and m = 1 are legal, levels of 10^-6 and 10^3 too; 4099 rows are all counted."""
    noise, sigma, w = draw.tensor([[1.0, 0.0, 2.0], [-2.0, 1.0, 0.0]]), draw.tensor([0.5, 2.0]), draw.tensor([4.0, 0.0, -1.0])
    for n, m, want in ((1, 3, 4 + 3.0625), (2, 1, (4 + 196) / 2), (1, 1, 4.0)):  # sigma^2 w + noise: (2, 0, 7/4), (14, 1, -4)
        got = student.denoising_score_loss.strided(level_score(w[:m]), noise[:n, :m] + 1, noise[:n, :m], sigma[:n])
        assert_agrees(got, draw.tensor(want), like=torch.float32, scale=300.0)
    x, clean = draw.tensor([[3e-6, 0.0, 0.0], [0.0, 0.0, 4e3]]), noisy_gaussian_score(0 * w, 0 * w)
    got = student.denoising_score_loss.strided(clean, x, noise, draw.tensor([1e-6, 1e3]))  # |x|^2 / sigma^2: 9 and 16
    assert_agrees(got, draw.tensor(12.5), like=torch.float32, scale=100.0)
    far, one = torch.full((2, 3), 100.0), torch.ones(2, 3)  # beside these a noise of 10^-6 is lost, not so in the loss
    got = student.denoising_score_loss(level_score(0 * one[0]), far, one, 1e-6 * one[:, 0])
    assert_agrees(got, draw.tensor(3.0), like=torch.float32, scale=10.0)
    many = torch.zeros(4099, 1, dtype=torch.float64)
    many[-1] = 2 * 4099.0**0.5  # a mean square that is not the one expected of noise
    got = student.denoising_score_loss.strided(level_score(draw.tensor([0.0])), 0 * many, many, 1 + 0 * many[:, 0])
    assert_agrees(got, draw.tensor(4.0), like=torch.float32, scale=16.0)


@denoising
@weight(0.55)
def test_the_denoising_loss_trains_the_score(student):
    """Gradients reach the score's parameters, and data, noise and noise levels where these carry a graph."""
    x, noise = draw.tensor([[1.0, 2.0, 5.0], [3.0, 4.0, 0.0]]), draw.tensor([[1.0, 0.0, 2.0], [-2.0, 1.0, 0.0]])
    sigma, w, mu = draw.tensor([0.5, 2.0]), draw.tensor([4.0, 0.0, -1.0]), draw.tensor([0.0, 2.0, 1.0])
    # the mean of 2 sigma^2 (sigma^2 w + noise): (1, 0, 7/8) and (112, 8, -32)
    # and of 4 sigma w . (sigma^2 w + noise): 6.25 and 60, times 2 sigma each
    known = {
        "w": (w, [56.5, 4.0, -15.5625]),
        "sigma": (sigma, [6.25, 240.0]),
        "noise": (noise, [[2.0, 0.0, 1.75], [14.0, 1.0, -4.0]]),  # sigma^2 w + noise
    }
    assert_gradients_known(student.denoising_score_loss, [level_score(w), x, noise, sigma], known, scale=200.0)
    score = noisy_gaussian_score(mu, 0 * mu)  # the loss is the mean of |x - mu|^2 / sigma^2, at (1, 0, 4) and (3, 2, -1) from mu
    known = {"x": (x, [[4.0, 0.0, 16.0], [0.75, 0.5, -0.25]]), "mu": (score.parameters["mu"], [-4.75, -0.5, -15.75])}
    assert_gradients_known(student.denoising_score_loss, [score, x, noise, sigma], known, scale=200.0)


@denoising
@weight(0.067)
def test_the_denoising_loss_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.denoising_score_loss.observed(*problem(2, 3, 0, dtype))), dtype)


# -- implicit_score_loss --


@implicit
@weight(0.75)
def test_implicit_losses_known_by_hand(student):
    """A linear score A x + b: the trace of A plus half the mean square. For the score -x at the origin it is -m."""
    for dtype in draw.DTYPES:
        x = draw.tensor([[1.0, 2.0], [0.0, -1.0]], dtype)
        A, b = draw.tensor([[1.0, 2.0], [-1.0, -3.0]], dtype), draw.tensor([0.5, 0.0], dtype)
        got = student.implicit_score_loss(plain_linear_score(A, b), x)
        assert_agrees(got, draw.tensor(-2 + (5.5**2 + 7**2 + 1.5**2 + 3**2) / 4), like=torch.float32, scale=100.0)
        minus = -torch.eye(12, dtype=dtype)
        got = student.implicit_score_loss(plain_linear_score(minus, 0 * minus[0]), 0 * minus[:2])
        assert_agrees(got, draw.tensor(-12.0), like=torch.float32, scale=24.0)
        x = draw.tensor([[math.log(3) / 8]], dtype)  # where 2 tanh(4 x) is 1, and its slope 2 4 3/4
        score = plain_tanh_score(draw.tensor([[4.0]], dtype), draw.tensor([[2.0]], dtype))
        assert_agrees(student.implicit_score_loss(score, x), draw.tensor(6.5), like=dtype, scale=20.0)


@implicit
@weight(0.45)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(2, 4), key=0, dtype=torch.float32)
@example(size=(4, 3), key=1, dtype=torch.float64)
def test_the_implicit_loss_is_divergence_plus_half_the_square(student, ref, size, key, dtype):
    """For any score: the exact divergence at each row, plus half of the squared norm there, averaged over the rows."""
    n, m = size
    score = plain_tanh_score(draw.normal((5, m), key, 1.0, dtype), draw.normal((m, 5), key + 1, 1.0, dtype))
    x = draw.normal((n, m), key + 2, 1.0, dtype)
    want = ref.implicit_score_loss(score, x)
    assert_agrees(student.implicit_score_loss(score, x), want, like=dtype, scale=100.0)


@implicit
@weight(0.15)
def test_the_implicit_loss_of_single_and_of_many_rows(student, ref):
    """n = 1 and m = 1 are legal; 131 rows are all counted, and 17 dimensions."""
    for n, m in ((1, 3), (3, 1), (1, 1)):
        score = plain_tanh_score(draw.normal((5, m), 1), draw.normal((m, 5), 2))
        x = draw.normal((n, m), 3)
        want = ref.implicit_score_loss(score, x)
        assert_agrees(student.implicit_score_loss.strided(score, x), want, like=torch.float32, scale=100.0)
    wide = torch.arange(289.0).reshape(17, 17).double()  # of trace 2448
    got = student.implicit_score_loss.strided(plain_linear_score(wide, wide[0]), 0 * wide[:2])  # and |b|^2 / 2 = 748
    assert_agrees(got, draw.tensor(2448.0 + 748.0), like=torch.float32, scale=4000.0)
    many = torch.zeros(131, 1, dtype=torch.float64)
    many[-1] = 262.0**0.5
    got = student.implicit_score_loss.strided(plain_linear_score(draw.tensor([[-1.0]]), draw.tensor([0.0])), many)
    assert_agrees(got, draw.tensor(0.0), like=torch.float32, scale=4.0)


@implicit
@weight(0.55)
@examples(2)
@given(key=draw.seeds)
@example(key=0)
def test_the_implicit_loss_trains_the_score(student, key):
    """Gradients flow through the divergence, too: for a linear score the identity, plus what the square gives."""
    A, b, x = draw.normal((2, 2), key), draw.normal((2,), key + 1), draw.normal((3, 2), key + 2)
    _, (in_A, in_b) = student.implicit_score_loss.gradient(plain_linear_score(A, b), x, wrt=[A, b])
    s = x @ A.T + b
    assert_gradient_agrees(in_A, torch.eye(2, dtype=torch.float64) + s.T @ x / 3, of="A", scale=100.0)
    assert_gradient_agrees(in_b, s.mean(0), of="b", scale=100.0)
    A, B, L = draw.tensor([[2.0]]), draw.tensor([[4.0]]), math.log(3)  # B tanh(A x) is 2, its slope B A 3/4
    # the derivative of 3/4 is -3/4 x in A, that of the score 3/4 B x in A and 1/2 in B
    known = {"A": (A, [[3.0 - 6 * L / 4 + 2 * 3 * L / 4]]), "B": (B, [[1.5 + 1.0]])}
    assert_gradients_known(student.implicit_score_loss, [plain_tanh_score(A, B), draw.tensor([[L / 4]])], known, scale=200.0)


@implicit
@weight(0.033)
def test_the_implicit_loss_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.implicit_score_loss.observed(plain_linear_score(x, x[0]), x)), dtype)


# -- denoise --


@denoise
@weight(0.45)
def test_denoised_points_known_by_hand(student):
    """For data N(1, 1) and noise of deviation 1 one goes half of the way to 1, for deviation 3 nine tenths."""
    for dtype in draw.DTYPES:
        score = noisy_gaussian_score(draw.tensor([1.0, 1.0, 0.0], dtype), draw.tensor([1.0, 1.0, 3.0], dtype))
        x = draw.tensor([[3.0, 0.0, 10.0], [11.0, 1.0, -2.0]], dtype)
        got = student.denoise(score, x, draw.tensor([1.0, 3.0], dtype))
        assert_agrees(got, draw.tensor([[2.0, 0.5, 9.0], [2.0, 1.0, -1.0]]), like=torch.float32, scale=50.0)


@denoise
@weight(0.25)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(2, 4), key=1, dtype=torch.float64)
def test_denoising_walks_along_the_score(student, ref, size, key, dtype):
    """x + sigma^2 score, with a level for each row."""
    n, m = size
    score, x, _, sigma = problem(n, m, key, dtype)
    assert_agrees(student.denoise(score, x, sigma), ref.denoise(score, x, sigma), like=dtype, scale=200.0)


@denoise
@weight(0.1)
def test_denoising_one_row_a_square_batch_and_many_rows(student):
    """n = 1, m = 1 and n = m are legal; 1031 rows are all denoised, points of any size, noise of any level; 1 and 17/16 are two.

    So are 1 and 33/32. A score may hand out its argument.
    """
    score = noisy_gaussian_score(draw.tensor([1.0, 0.0]), draw.tensor([1.0, 3.0]))
    x, sigma, want = draw.tensor([[3.0, 10.0], [11.0, -2.0]]), draw.tensor([1.0, 3.0]), draw.tensor([[2.0, 9.0], [2.0, -1.0]])
    assert_agrees(student.denoise(score, x, sigma), want, like=torch.float32, scale=200.0)
    score = noisy_gaussian_score(draw.tensor([1.0]), draw.tensor([1.0]))
    got = student.denoise(score, draw.tensor([[3.0], [10.0]]), draw.tensor([1.0, 1.0625]))  # 1 / (1 + sigma^2) of the way is left
    assert_agrees(got, draw.tensor([[2.0], [1 + 9 / (1 + 1.0625**2)]]), like=torch.float32, scale=200.0)
    near, eight = draw.tensor([1.0, 1.03125, 1.015625, 0.96875]), torch.full((4, 4), 8.0, dtype=torch.float64)
    got = student.denoise(noisy_gaussian_score(0 * near, 1 + 0 * near), eight, near)
    assert_agrees(got, eight / (1 + near[:, None] ** 2), like=torch.float32, scale=50.0)
    got = student.denoise(identity_score(), x, draw.tensor([2.0, 3.0]))
    assert_agrees(got, draw.tensor([[15.0, 50.0], [110.0, -20.0]]), like=torch.float32, scale=200.0)
    far = noisy_gaussian_score(draw.tensor([1e6]), draw.tensor([1.0]))
    assert_agrees(student.denoise(far, draw.tensor([[2e6]]), draw.tensor([1.0])), draw.tensor([[1.5e6]]), like=torch.float32, scale=4e6)
    clean = noisy_gaussian_score(draw.tensor([1.0]), draw.tensor([0.0]))  # all data are 1
    assert_agrees(student.denoise(clean, draw.tensor([[3.0]]), draw.tensor([1e-5])), draw.tensor([[1.0]]), like=torch.float32, scale=10.0)
    for rows in (torch.tensor([1]), draw.integers((1031,), 0, 2)):
        got = student.denoise.strided(score, x[rows, :1], sigma[rows])
        assert_agrees(got, want[rows, :1], like=torch.float32, scale=200.0)


@denoise
@weight(0.1)
def test_denoising_has_gradients(student):
    """The guess can be differentiated in the noisy point, in its noise level and in the score's parameters."""
    mu, x = draw.tensor([1.0, 0.0]), draw.tensor([[3.0, 10.0], [11.0, -2.0]])
    score = noisy_gaussian_score(mu, torch.ones(2, dtype=torch.float64))  # for deviation 1 half of x is left, for 3 a tenth
    sigma = draw.tensor([1.0, 3.0])  # of derivative 2 sigma / (1 + sigma^2)^2 (mu - x): 1/2 and 6/100 of it
    known = {
        "mu": (mu, [0.5 + 0.9 * 3, -1.0 + 0.9 * 0.5]),
        "x": (x, [[0.5, -1.0], [0.3, 0.05]]),
        "sigma": (sigma, [0.5 * (-2 + 20), 0.06 * (-30 + 1)]),
    }
    args = [score, x, sigma]
    assert_gradients_known(student.denoise, args, known, weights=draw.tensor([[1.0, -2.0], [3.0, 0.5]]), scale=200.0)


@denoise
@weight(0.033)
def test_denoising_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        score, x, _, sigma = problem(2, 3, 0, dtype)
        assert_dtype(assert_unchanged(student.denoise.observed(score, x, sigma)), dtype)
