"""Following a field, the exact field of Gaussian data, and the score that it contains."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.velocities import identity_velocity, tanh_velocity, time_velocity

euler_sample = pytest.mark.exercise("flow_matching.euler_sample")
gaussian_velocity = pytest.mark.exercise("flow_matching.gaussian_velocity")
score_from_velocity = pytest.mark.exercise("flow_matching.score_from_velocity")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.sampled_from([(2, 3), (2, 4), (3, 2), (4, 2), (4, 3)])  # square batches have checks of their own

# -- euler_sample --


@euler_sample
@weight(0.9)
def test_euler_steps_known_by_hand(student):
    """The field x multiplies by 1 + 1/k, k times; the field t b is summed on the left: b (0 + 1/4 + 1/2 + 3/4) / 4."""
    for dtype in draw.DTYPES:
        zero, one, x0 = torch.zeros(2, 2, dtype=dtype), torch.eye(2, dtype=dtype), draw.tensor([[1.0, -2.0], [16.0, 0.0]], dtype)
        got = student.euler_sample(time_velocity(one, zero[0]), x0, 2)
        assert_agrees(got, draw.tensor([[2.25, -4.5], [36.0, 0.0]]), like=torch.float32, scale=50.0)
        got = student.euler_sample(time_velocity(one, zero[0]), 27 * x0, 3)
        assert_agrees(got, draw.tensor([[64.0, -128.0], [1024.0, 0.0]]), like=torch.float32, scale=2000.0)
        got = student.euler_sample(time_velocity(zero, draw.tensor([8.0, -16.0], dtype)), x0, 4)
        assert_agrees(got, draw.tensor([[4.0, -8.0], [19.0, -6.0]]), like=torch.float32, scale=50.0)


@euler_sample
@weight(0.6)
@examples(3)
@given(size=sizes, steps=st.integers(1, 6), key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), steps=3, key=0, dtype=torch.float32)
@example(size=(2, 4), steps=5, key=1, dtype=torch.float64)
def test_each_step_asks_the_field_where_and_when_it_starts(student, ref, size, steps, key, dtype):
    """Equal steps from 0 to 1, for any field and any number of steps."""
    v = tanh_velocity(draw.normal((5, size[1]), key, 1.0, dtype), draw.normal((size[1], 5), key + 1, 1.0, dtype))
    x0 = draw.normal(size, key + 2, 1.0, dtype)
    assert_agrees(student.euler_sample(v, x0, steps), ref.euler_sample(v, x0, steps), like=dtype, scale=200.0)


@euler_sample
@weight(0.35)
def test_one_euler_step_of_one_row_and_many_of_many(student):
    """steps = 1, n = 1 and m = 1 are legal; 100 steps of 1031 rows reach 1.01^100 times the start, along t 0.495 of the slope."""
    v = time_velocity(draw.tensor([[1.0]]), draw.tensor([5.0]))
    assert_agrees(student.euler_sample.strided(v, draw.tensor([[3.0]]), 1), draw.tensor([[6.0]]), like=torch.float32, scale=10.0)
    v, x = time_velocity(draw.tensor([[1.0]]), draw.tensor([0.0])), torch.arange(1031, dtype=torch.float64)[:, None]
    assert_agrees(student.euler_sample.strided(v, x, 100), 1.01**100 * x, like=torch.float32, scale=2e4)
    v = time_velocity(draw.tensor([[0.0]]), draw.tensor([200.0]))
    assert_agrees(student.euler_sample(v, draw.tensor([[1.0]]), 100), draw.tensor([[100.0]]), scale=200.0)
    for steps in (10, 49):  # ten tenths, added up, are less than 1, and 1 over 1/49 is more than 49
        got = student.euler_sample(v, draw.tensor([[1.0]]), steps)
        assert_agrees(got, draw.tensor([[1 + 100 * (steps - 1) / steps]]), scale=200.0)
    got = student.euler_sample(identity_velocity(), draw.tensor([[3.0]]), 2)  # the field may hand out its argument
    assert_agrees(got, draw.tensor([[6.75]]), like=torch.float32, scale=10.0)


@euler_sample
@weight(0.05)
def test_an_euler_sample_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.euler_sample.observed(time_velocity(x, x[0]), x, 2)), dtype)


# -- gaussian_velocity --


def gaussian(n: int, m: int, key: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x, t = draw.normal((n, m), key, 2.0, dtype), draw.uniform((n,), key + 1, 0.05, 0.95, dtype)
    return x, t, draw.normal((m,), key + 2, 2.0, dtype), draw.uniform((m,), key + 3, 0.25, 2.0, dtype)


def rounding(_x: Tensor, t: Tensor, _mu: Tensor, sigma: Tensor) -> Tensor:
    """What is lost where the variance of x_t is small."""
    time = t.double()[:, None]
    return 100 * (1 + 1 / ((1 - time) ** 2 + (time * sigma.double()) ** 2))


@gaussian_velocity
@weight(1.0)
def test_velocities_of_gaussian_data_known_by_hand(student):
    """Half-way, sigma = 1 leaves the mean alone; sigma = 3 adds 8/5 of what x is off from mu / 2, sigma = 1/2 takes 6/5 of it."""
    for dtype in draw.DTYPES:
        mu, sigma = draw.tensor([2.0, 4.0, -6.0], dtype), draw.tensor([1.0, 3.0, 0.5], dtype)
        x, t = draw.tensor([[7.0, 12.0, 2.0], [-1.0, 2.0, -3.0]], dtype), draw.tensor([0.5, 0.5], dtype)
        want = draw.tensor([[2.0, 20.0, -12.0], [2.0, 4.0, -6.0]])
        assert_agrees(student.gaussian_velocity(x, t, mu, sigma), want, like=torch.float32, scale=100.0)
        t = draw.tensor([0.2, 0.75], dtype)  # gains (0.2 9 - 0.8) / (0.64 + 0.04 9) = 1 and (0.75 9 - 0.25) / (0.0625 + 0.5625 9)
        want = draw.tensor([[4 + (12 - 0.8), 4 + 6.5 / 5.125 * (2 - 3)]])
        got = student.gaussian_velocity(x[:, 1:2], t, mu[1:2], sigma[1:2])
        assert_agrees(got, want.T, like=torch.float32, scale=100.0)


@gaussian_velocity
@weight(0.75)
@examples(4)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(2, 4), key=1, dtype=torch.float64)
def test_the_velocity_is_the_mean_of_the_lines_that_pass(student, ref, size, key, dtype):
    """E[x_1 | x] - E[x_0 | x], in every dimension with its own mean and deviation, in every row at its own time."""
    n, m = size
    given_ = gaussian(n, m, key, dtype)
    want = ref.gaussian_velocity(*given_)
    assert_agrees(student.gaussian_velocity(*given_), want, like=torch.float32, scale=rounding(*given_))


@gaussian_velocity
@weight(0.25)
@examples(2)
@given(key=draw.seeds)
@example(key=0)
def test_the_velocity_keeps_the_digits_of_float64(student, ref, key):
    """In float64 nothing is lost, and nothing is added to a variance."""
    given_ = gaussian(3, 2, key, torch.float64)
    want = ref.gaussian_velocity(*given_)
    assert_agrees(student.gaussian_velocity(*given_), want, scale=rounding(*given_))


@gaussian_velocity
@weight(0.5)
def test_the_velocity_at_both_ends_and_without_a_spread(student):
    """At t = 0, and just after it, it is mu - x, at t = 1 it is x; data in one point mu are approached with (mu - x) / (1 - t)."""
    for dtype in draw.DTYPES:
        mu, sigma = draw.tensor([2.0, -4.0], dtype), draw.tensor([0.5, 3.0], dtype)
        x, t = draw.tensor([[1.0, 5.0], [3.0, 0.0]], dtype), draw.tensor([0.0, 1.0], dtype)
        want = draw.tensor([[1.0, -9.0], [3.0, 0.0]])
        assert_agrees(student.gaussian_velocity(x, t, mu, sigma), want, like=torch.float32, scale=50.0)
        t = draw.tensor([1e-9, 1e-12], dtype)
        want = draw.tensor([[1.0, -9.0], [-1.0, -4.0]])
        assert_agrees(student.gaussian_velocity(x, t, mu, sigma), want, like=torch.float32, scale=50.0)
        t, sigma = draw.tensor([0.5, 0.5], dtype), draw.tensor([0.0, 0.0625], dtype)  # the gains are -2 and -2 255/257
        got = student.gaussian_velocity(x, t, mu, sigma)
        want = draw.tensor([[2.0, -4 - 7 * 510 / 257], [-2.0, -4 - 2 * 510 / 257]])
        assert_agrees(got, want, like=torch.float32, scale=100.0)
        t, sigma = draw.tensor([1 - 2**-10, 0.0], dtype), draw.tensor([0.0, 0.0], dtype)
        want = draw.tensor([[1024.0, -9216.0], [-1.0, -4.0]])
        assert_agrees(student.gaussian_velocity(x, t, mu, sigma), want, like=torch.float32, scale=50000.0)
    narrow, end = draw.tensor([1e-3, 1e-2]), draw.tensor([1.0])  # in float64, which holds what is left of the variance
    got = student.gaussian_velocity(draw.tensor([[3.0, 0.0]]), end, draw.tensor([2.0, -4.0]), narrow)
    assert_agrees(got, draw.tensor([[3.0, 0.0]]), like=torch.float32, scale=50.0)


@gaussian_velocity
@weight(0.25)
def test_the_velocity_of_one_row_one_dimension_a_square_batch_and_many_rows(student, ref):
    """n = 1, m = 1 and n = m are legal; so are 1031 rows, and times and deviations that differ little."""
    x, t, mu, sigma = square = gaussian(3, 3, 1, torch.float64)
    for given_ in (square, (x, 0.5 + t / 32, mu, 1 + sigma / 32)):
        assert_agrees(student.gaussian_velocity(*given_), ref.gaussian_velocity(*given_), like=torch.float32, scale=1000.0)
    x, t, mu, sigma = gaussian(3, 1, 0, torch.float64)
    want = ref.gaussian_velocity(x, t, mu, sigma)
    for rows in (torch.tensor([1]), draw.integers((1031,), 0, 3)):
        got = student.gaussian_velocity.strided(x[rows], t[rows], mu, sigma)
        assert_agrees(got, want[rows], like=torch.float32, scale=1000.0)


@gaussian_velocity
@weight(0.3)
def test_the_velocity_has_gradients(student):
    """It can be differentiated in the point, the time, the mean and the deviation."""
    mu, sigma, t = draw.tensor([2.0, 4.0]), draw.tensor([1.0, 3.0]), draw.tensor([0.5, 0.5])
    x = draw.tensor([[7.0, 12.0], [-1.0, 2.0]])  # (6, 10) and (-2, 0) from mu / 2
    # half-way the gains are 2 (s^2 - 1) / (s^2 + 1): 0 and 8/5, of derivative 8 s / (s^2 + 1)^2: 2 and 6/25,
    # and in the time 4 - 8 (s^2 - 1)^2 / (s^2 + 1)^2: 4 and -1.12
    known = {
        "x": (x, [[0.0, 2 * 1.6], [0.0, -1.6]]),
        "t": (t, [4 * 6 + 2 * (-1.12 * 10 - 1.6 * 4), 4 * -2 + 1.6 * 4]),
        "mu": (mu, [2.0, 0.2]),
        "sigma": (sigma, [2 * (6.0 - 2), 0.24 * (2 * 10 - 0)]),
    }
    weights = draw.tensor([[1.0, 2.0], [1.0, -1.0]])
    assert_gradients_known(student.gaussian_velocity, [x, t, mu, sigma], known, weights=weights, scale=1000.0)


@gaussian_velocity
@weight(0.067)
def test_the_velocity_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.gaussian_velocity.observed(*gaussian(2, 2, 0, dtype))), dtype)


# -- score_from_velocity --


@score_from_velocity
@weight(0.5)
def test_scores_from_velocities_known_by_hand(student):
    """At t = 1/2 the score is v - 2 x, at 3/4 it is 3 v - 4 x, at 0 it is -x, that of the noise; at 1 - 2^-14 it is large."""
    for dtype in draw.DTYPES:
        v, x = draw.tensor([[6.0, 0.0], [1.0, 2.0], [50.0, 1.0]], dtype), draw.tensor([[1.0, -2.0], [1.0, 0.5], [3.0, 4.0]], dtype)
        got = student.score_from_velocity(v, x, draw.tensor([0.5, 0.75, 0.0], dtype))
        assert_agrees(got, draw.tensor([[4.0, 4.0], [-1.0, 4.0], [-3.0, -4.0]]), like=torch.float32, scale=50.0)
        v, x, late = draw.tensor([[2.0, 0.0]], dtype), draw.tensor([[1.0, 1.0]], dtype), draw.tensor([1 - 2**-14], dtype)
        got = student.score_from_velocity(v, x, late)  # 2^14 (1 - 2^-13) and -2^14
        assert_agrees(got, draw.tensor([[16382.0, -16384.0]]), like=torch.float32, scale=50000.0)


@score_from_velocity
@weight(0.25)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(2, 4), key=1, dtype=torch.float64)
def test_a_velocity_contains_the_score(student, ref, size, key, dtype):
    """Minus the mean noise over 1 - t, with a time for each row."""
    v, x = draw.normal(size, key, 1.0, dtype), draw.normal(size, key + 1, 1.0, dtype)
    t = draw.uniform((size[0],), key + 2, 0.0, 0.95, dtype)
    want = ref.score_from_velocity(v, x, t)
    assert_agrees(student.score_from_velocity.strided(v, x, t), want, like=dtype, scale=100 / (1 - t.double()[:, None]))


@score_from_velocity
@weight(0.15)
def test_the_score_of_one_row_of_a_square_batch_and_its_gradients(student):
    """n = 1, m = 1, n = m and times that differ little are legal; it can be differentiated in velocity, point and time."""
    v, x, t = draw.tensor([[6.0, 0.0], [1.0, 2.0]]), draw.tensor([[1.0, -2.0], [1.0, 0.5]]), draw.tensor([0.5, 0.75])
    got = student.score_from_velocity(v, x, t)
    assert_agrees(got, draw.tensor([[4.0, 4.0], [-1.0, 4.0]]), like=torch.float32, scale=50.0)
    got = student.score_from_velocity(v, x, draw.tensor([0.75, 0.765625]))  # 3 v - 4 x, and (49 v - 64 x) / 15
    assert_agrees(got, draw.tensor([[14.0, 8.0], [-1.0, 4.4]]), like=torch.float32, scale=50.0)
    got = student.score_from_velocity(draw.tensor([[6.0]]), draw.tensor([[1.0]]), draw.tensor([0.5]))
    assert_agrees(got, draw.tensor([[4.0]]), like=torch.float32, scale=10.0)
    known = {
        "velocity": (v, [[1.0, -2.0], [9.0, 1.5]]),
        "x": (x, [[-2.0, 4.0], [-12.0, -2.0]]),
        "t": (t, [4.0, 12.0]),
    }  # (v - x) / (1 - t)^2
    weights = draw.tensor([[1.0, -2.0], [3.0, 0.5]])
    assert_gradients_known(student.score_from_velocity, [v, x, t], known, weights=weights)


@score_from_velocity
@weight(0.033)
def test_the_score_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.score_from_velocity.observed(x, x, x[0] / 2)), dtype)
