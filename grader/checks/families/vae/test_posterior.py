"""The true posterior of a linear decoder (probabilistic PCA)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_unchanged
from grader.checking.tolerance import condition_of
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known

optimal_posterior = pytest.mark.exercise("vae.optimal_posterior")
weight = pytest.mark.weight
examples = pytest.mark.examples


@optimal_posterior
@weight(0.75)
def test_the_posterior_of_two_codes_known_by_hand(student):
    """With W = [[1, 1], [0, 1], [0, 1]] and sigma = 1/2 the precision is [[5, 4], [4, 13]]."""
    for dtype in draw.DTYPES:
        W = draw.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]], dtype)
        x = draw.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 3.0]], dtype)
        got = student.optimal_posterior(W, draw.tensor(0.5, dtype), x)
        mean = draw.tensor([[36 / 49, 4 / 49], [-64 / 49, 80 / 49]])
        assert_agrees(got, (mean, draw.tensor([[13 / 49, -4 / 49], [-4 / 49, 5 / 49]])), like=torch.float32, scale=50.0)


@optimal_posterior
@weight(0.75)
@examples(4)
@given(m=st.integers(2, 5), d=st.integers(2, 5), key=draw.seeds, dtype=draw.dtypes)
@example(m=5, d=2, key=0, dtype=torch.float32)
@example(m=3, d=3, key=1, dtype=torch.float64)
@example(m=2, d=4, key=2, dtype=torch.float64)
def test_the_posterior_conditions_codes_on_data(student, ref, m, d, key, dtype):
    """Mean and covariance of z given x, whatever the sizes of data and codes."""
    W, x = draw.normal((m, d), key, 1.0, dtype), draw.normal((4, m), key + 1, 2.0, dtype)
    sigma = draw.tensor(0.75, dtype)
    mean, covariance = ref.optimal_posterior(W, sigma, x)
    of_mean = condition_of(lambda *args: ref.optimal_posterior(*args)[0], W, sigma, x, dtype=dtype)
    got = student.optimal_posterior(W, sigma, x)
    scale = 10 * (1 + W.double().square().sum() / sigma.double() ** 2)  # of the precision matrix that is solved
    assert_agrees(got, (mean, covariance), like=dtype, scale=scale, condition=of_mean.max())


@optimal_posterior
@weight(0.5)
def test_the_posterior_exists_with_more_codes_than_data_and_for_any_rank(student):
    """With d > m, or with columns of W that repeat or vanish, the prior decides what the data leave open."""
    one, half, x = draw.tensor(1.0), draw.tensor(0.5), draw.tensor([[1.0, 2.0], [0.0, -4.1]])
    for W, sigma, data, mean, covariance in (
        # the precision is [[2, 2], [2, 5]], of determinant 6
        (draw.tensor([[1.0, 2.0]]), one, draw.tensor([[12.0]]), [[2.0, 4.0]], [[5 / 6, -1 / 3], [-1 / 3, 1 / 3]]),
        # the precision is [[21, 20, 0], [20, 21, 0], [0, 0, 1]], of determinant 41
        (draw.tensor([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]]), half, x, [[20 / 41, 20 / 41, 0.0], [-0.8, -0.8, 0.0]],
         [[21 / 41, -20 / 41, 0.0], [-20 / 41, 21 / 41, 0.0], [0.0, 0.0, 1.0]]),
        # nine codes alike: the precision is the identity plus ones, whose inverse is the identity less ones over 10
        (torch.ones(1, 9).double(), one, draw.tensor([[20.0]]), [[2.0] * 9], (torch.eye(9).double() - 0.1).tolist()),
        (torch.zeros(2, 3).double(), half, x, [[0.0] * 3] * 2, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    ):  # fmt: skip
        got = student.optimal_posterior(W, sigma, data)
        assert_agrees(got, (draw.tensor(mean), draw.tensor(covariance)), scale=20 * (1 + W.square().sum() / sigma**2))


@optimal_posterior
@weight(0.25)
def test_the_posterior_of_a_single_row_and_a_single_code(student):
    """n = 1, m = 1 and d = 1 are legal: for W = 2 and sigma = 1 the mean is 2 x / 5 and the variance 1/5, in thousandths, too.

    Of 1031 rows each has its own mean.
    """
    for unit in (1.0, 1e-3):
        got = student.optimal_posterior.strided(draw.tensor([[2 * unit]]), draw.tensor(unit), draw.tensor([[10 * unit]]))
        assert_agrees(got, (draw.tensor([[4.0]]), draw.tensor([[0.2]])), scale=20.0, like=torch.float32)
    x = draw.integers((1031, 1), 0, 10).double()
    got = student.optimal_posterior.strided(draw.tensor([[2.0]]), draw.tensor(1.0), x)
    assert_agrees(got, (0.4 * x, draw.tensor([[0.2]])), scale=20.0, like=torch.float32)


@optimal_posterior
@weight(0.5)
def test_the_posterior_has_gradients_in_the_decoder_and_the_data(student):
    """Mean and covariance can be differentiated in W, sigma and x, also where the data leave two directions open alike."""
    W, sigma, x = draw.tensor([[2.0], [1.0]]), draw.tensor(1.0), draw.tensor([[3.0, 0.0], [0.0, 12.0]])
    known = {  # one code has the mean W'x / (W'W + sigma^2) and the variance sigma^2 / (W'W + sigma^2), and this sum is 6
        "W": (W, [[3 / 6 - 4 * 30 / 36 - 4 * 9 / 36], [24 / 6 - 2 * 30 / 36 - 2 * 9 / 36]]),
        "sigma": (sigma, -2 * 30 / 36 + 9 * (2 / 6 - 2 / 36)),
        "x": (x, [[2 / 6, 1 / 6], [4 / 6, 2 / 6]]),
    }
    assert_gradients_known(student.optimal_posterior, [W, sigma, x], known, weights=[draw.tensor([[1.0], [2.0]]), draw.tensor([[9.0]])])
    W, x = draw.tensor([[2.0, 1.0, 0.0]]), draw.tensor([[12.0]])  # the mean is 12 W / (W'W + 1), and that is 12 W / 6
    weights = [draw.tensor([[1.0, 0.0, 3.0]]), torch.zeros(3, 3, dtype=torch.float64)]
    known = {"W": (W, [[2 - 8 / 3, -4 / 3, 6.0]])}
    assert_gradients_known(student.optimal_posterior, [W, draw.tensor(1.0), x], known, weights=weights)


@optimal_posterior
@weight(0.083)
def test_the_posterior_has_the_dtype_of_its_arguments(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        W, sigma, x = torch.ones(2, 2, dtype=dtype), draw.tensor(1.0, dtype), torch.ones(1, 2, dtype=dtype)
        got = assert_unchanged(student.optimal_posterior.observed(W, sigma, x))
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mismatch("type", "this is not a pair of tensors, mean and covariance", got)
        assert_dtype(got[0], dtype, what="the mean")
        assert_dtype(got[1], dtype, what="the covariance")
