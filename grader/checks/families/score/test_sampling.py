"""Noise levels, annealed Langevin dynamics, and the stochastic differential equation there and back."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.noise import (
    COLUMNS,
    ROWS,
    assert_drawn_alone,
    assert_drawn_from_the_generator,
    assert_size_of_noise,
    assert_standard_normal,
)
from grader.checks.families.shared.scores import identity_score, level_score, noisy_gaussian_score, tanh_score

noise_levels = pytest.mark.exercise("score.noise_levels")
annealed_langevin = pytest.mark.exercise("score.annealed_langevin")
vp_marginal = pytest.mark.exercise("score.vp_marginal")
reverse_sde_step = pytest.mark.exercise("score.reverse_sde_step")
probability_flow = pytest.mark.exercise("score.probability_flow_drift")
weight = pytest.mark.weight
examples = pytest.mark.examples

POWERS = 30  # roundoffs that a geometric sequence may lose where it takes logarithms and exponentials, over 32

# -- noise_levels --


@noise_levels
@weight(0.6)
def test_geometric_sequences_known_by_hand(student):
    """8, 4, 2, 1, also from whole numbers; from 100 down to 0.01 in five levels each is a tenth of the one before; 2, 2, 2 is one, too."""
    powers, tenths = [8.0, 4.0, 2.0, 1.0], [100.0, 10.0, 1.0, 0.1, 0.01]
    for args, levels in (((8.0, 1.0, 4), powers), ((8, 1, 4), powers), ((100.0, 0.01, 5), tenths), ((2.0, 2.0, 3), [2.0] * 3)):
        want = draw.tensor(levels)
        assert_agrees(student.noise_levels(*args), want, like=torch.float32, scale=POWERS * want)


@noise_levels
@weight(0.2)
def test_many_levels_have_one_ratio(student, ref):
    """1000 levels, or two, both ends included."""
    for args in ((50.0, 0.01, 1000), (3.0, 0.5, 2), (1e-3, 1e-5, 7)):
        want = ref.noise_levels(*args)
        assert_agrees(student.noise_levels.strided(*args), want, like=torch.float32, scale=POWERS * want)


@noise_levels
@weight(0.1)
def test_a_single_level_is_the_largest(student):
    """count = 1 gives the largest alone."""
    assert_agrees(student.noise_levels.strided(3.0, 0.5, 1), draw.tensor([3.0]), like=torch.float32, scale=3.0 * POWERS)


@noise_levels
@weight(0.033)
def test_noise_levels_have_the_default_dtype(student):
    """A sequence of Python numbers becomes a tensor of the default float dtype, with its digits."""
    for count in (1, 4):  # whole numbers are numbers
        assert_dtype(student.noise_levels(8, 1, count), torch.float32)
    got, want = student.noise_levels.float64_default(10.0, 0.1, 3), draw.tensor([10.0, 1.0, 0.1])
    assert_dtype(got, torch.float64)
    assert_agrees(got, want, scale=POWERS * want)


# -- annealed_langevin --


@annealed_langevin
@weight(1.0)
def test_where_the_slope_is_steep_annealing_hardly_shakes(student, seed):
    """Scores of 10^8 sigma at levels 2, 1 and two steps each: 10^8 step/2 (2 (4 2) + 2 (1 1)) away from the start, give or take 40.

    A score of 10^8 towards zero leads past it and back: where that ends depends on the order of the levels, equal ones included.
    """
    for dtype in draw.DTYPES:
        score, x = level_score(draw.tensor([1e8, -2e8], dtype)), draw.tensor([[1.0, -1.0], [0.0, 3e8]], dtype)
        sigmas = draw.tensor([2.0, 1.0], dtype)
        got = student.annealed_langevin(score, x, sigmas, 2, 0.5, student.generator(seed))
        want = draw.tensor([[4.5e8, -9e8], [4.5e8, -6e8]])
        assert_agrees(got, want, like=torch.float32, error=40 / 32, scale=1e9)
        sigmas = draw.tensor([0.5, 3.0, 1.5], dtype)  # in the order of the list, relative to the last
        got = student.annealed_langevin(score, x, sigmas, 1, 0.5, student.generator(seed))
        total = 0.25 * (0.5 / 9 + 4 * 3.0 + 1.5)
        want = x.double() + draw.tensor([[1e8, -2e8]]) * total
        assert_agrees(got, want, like=torch.float32, error=40 / 32, scale=1e9)
        got = student.annealed_langevin(score, x, draw.tensor([1.0625, 1.0], dtype), 1, 0.5, student.generator(seed))
        want = x.double() + draw.tensor([[1e8, -2e8]]) * 0.25 * (1.0625**3 + 1)  # the cube of each level
        assert_agrees(got, want, like=torch.float32, error=40 / 32, scale=1e9)
        towards_zero = tanh_score(draw.tensor([[-1.0]], dtype), draw.tensor([[1e8]], dtype))  # by sigma^2 each: 1, 9, 9 and 4 times 1e8
        x, sigmas = draw.tensor([[2.5e8], [-2.5e8]], dtype), draw.tensor([1.0, 3.0, 3.0, 2.0], dtype)
        got = student.annealed_langevin(towards_zero, x, sigmas, 1, 8.0, student.generator(seed))
        assert_agrees(got, draw.tensor([[-2.5e8], [2.5e8]]), like=torch.float32, error=40 / 32, scale=1e9)


@annealed_langevin
@weight(0.55)
def test_the_law_of_three_levels_known_by_hand(student, seed):
    """Every step leaves a part of the way to the mean and adds alpha to the variance: after six, 0.5267 of it and 2.3708."""
    score, sigmas = noisy_gaussian_score(draw.tensor([3.0, -1.0] * 4), torch.ones(8, dtype=torch.float64)), draw.tensor([2.0, 0.5, 1.0])
    x = draw.tensor([[0.0, 0.0] * 4, [5.0, -2.0] * 4])
    # two steps a level, of alpha 1.6, 0.1 and 0.4, leave 0.84, 0.96 and 0.9 of the way from mu: 0.5267 of it after all six
    left, variance = (0.84 * 0.96 * 0.9) ** 2, 2.3708062684545435
    mean = draw.tensor([[3 - 3 * left, left - 1] * 4, [3 + 2 * left, -1 - left] * 4])
    got = student.annealed_langevin.strided(score, x.repeat(ROWS // 2, 1), sigmas, 2, 0.4, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean.repeat(ROWS // 2, 1)) / math.sqrt(variance))


@annealed_langevin
@weight(0.55)
def test_annealed_samples_follow_their_exact_law(student, ref, seed):
    """For a Gaussian score every step is affine: the samples have the mean and the deviation that the recursion of steps gives."""
    key = seed % 2**31
    mu, tau = draw.normal((COLUMNS,), key, 1.0), draw.uniform((COLUMNS,), key + 1, 0.5, 1.5)
    few, sigmas = draw.normal((8, COLUMNS), key + 2, 3.0), draw.tensor([2.0, 1.5, 1.25, 1.0])
    mean, deviation = ref.law_of_annealed_langevin(mu, tau, few, sigmas, 2, 0.25)
    args = noisy_gaussian_score(mu, tau), few.repeat(ROWS // 8, 1), sigmas, 2, 0.25
    got = student.annealed_langevin(*args, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean.repeat(ROWS // 8, 1)) / deviation)


@annealed_langevin
@weight(0.45)
def test_annealed_samples_come_from_the_generator(student, seed):
    """The same state gives the same samples, the next call other ones, and rows of a batch are independent."""
    zero = torch.zeros(8, 8)
    score, sigmas = noisy_gaussian_score(zero[0], zero[0] + 1), torch.tensor([2.0, 1.0])
    assert_drawn_from_the_generator(student, lambda g: student.annealed_langevin(score, zero, sigmas, 2, 0.2, g), seed)


@annealed_langevin
@weight(0.25)
def test_annealing_over_one_level_by_one_step(student, seed):
    """L = 1, steps = 1, n = 1 and m = 1 are legal, and shaken like any other.

    Steps may be tiny or large, a score may hand out its argument.
    """
    args = level_score(draw.tensor([1e8])), draw.tensor([[1.0]]), draw.tensor([3.0]), 1, 0.5
    got = student.annealed_langevin(*args, student.generator(seed))
    assert_agrees(got, draw.tensor([[7.5e7]]), like=torch.float32, error=40 / 32, scale=1e8)
    flat, zero = level_score(draw.tensor([0.0])), draw.tensor([[0.0]])
    assert_drawn_alone(lambda g: student.annealed_langevin(flat, zero, draw.tensor([3.0]), 1, 0.5, g), student.generator(seed))
    got = student.annealed_langevin(identity_score(), draw.tensor([[1e8]]), draw.tensor([3.0]), 2, 0.5, student.generator(seed))
    assert_agrees(got, draw.tensor([[1.5625e8]]), like=torch.float32, error=40 / 32, scale=1e8)
    flat, zero = level_score(torch.zeros(3).double()), torch.zeros(200, 3).double()
    for step in (4.0, 1e-6):
        got = student.annealed_langevin(flat, zero, draw.tensor([3.0]), 1, step, student.generator(seed))
        assert_size_of_noise(got, step**0.5)


@annealed_langevin
@weight(0.067)
def test_annealed_samples_have_the_dtype_of_the_start(student, seed):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        args = noisy_gaussian_score(0 * x[0], x[0]), x, draw.tensor([2.0, 1.0], dtype), 2, 0.2
        assert_dtype(assert_unchanged(student.annealed_langevin.observed(*args, student.generator(seed))), dtype)


# -- vp_marginal --


@vp_marginal
@weight(0.65)
def test_marginals_known_by_hand(student):
    """With beta from 1 to 3 the integral is 3/4 at half the time and 2 at the end; at t = 0 nothing has happened.

    With beta from 1/10 to 20 the integral is 10.05 at the end, and of the data e^-5.025 is left, to all digits.
    """
    for dtype in draw.DTYPES:
        x0, t = draw.tensor([[1.0, -2.0, 0.0], [4.0, 0.0, 1.0], [3.0, 5.0, -1.0]], dtype), draw.tensor([0.5, 1.0, 0.0], dtype)
        factors, deviations = [math.exp(-0.375), math.exp(-1.0), 1.0], [0.7263838153889343, 0.9298734950321937, 0.0]
        got = student.vp_marginal(x0, t, 1.0, 3.0)
        want = (draw.tensor(factors)[:, None] * x0.double(), draw.tensor(deviations))
        assert_agrees(got, want, like=torch.float32, scale=6.0)
        got = student.vp_marginal(draw.tensor([[3.0]], dtype), draw.tensor([1.0], dtype), 1, 2)  # whole numbers are numbers
        want = (draw.tensor([[3 * math.exp(-0.75)]]), draw.tensor([math.sqrt(-math.expm1(-1.5))]))
        assert_agrees(got, want, like=torch.float32, scale=6.0)
        got = student.vp_marginal(draw.tensor([[3.0]], dtype), draw.tensor([0.5], dtype), 0.0, 2.0)  # of integral 1/4
        want = (draw.tensor([[3 * math.exp(-0.125)]]), draw.tensor([math.sqrt(-math.expm1(-0.25))]))
        assert_agrees(got, want, like=torch.float32, scale=6.0)
        got = student.vp_marginal(draw.tensor([[1000.0]], dtype), draw.tensor([1.0], dtype), 0.1, 20.0)
        want = (draw.tensor([[1000 * math.exp(-5.025)]]), draw.tensor([math.sqrt(-math.expm1(-10.05))]))
        assert_agrees(got, want, like=torch.float32, scale=60.0)


@vp_marginal
@weight(0.45)
@examples(3)
@given(n=st.integers(2, 4), m=st.integers(2, 4), beta_max=st.sampled_from([2.0, 20.0]), key=draw.seeds, dtype=draw.dtypes)
@example(n=2, m=4, beta_max=20.0, key=0, dtype=torch.float32)
@example(n=4, m=3, beta_max=2.0, key=1, dtype=torch.float64)
def test_marginals_shrink_the_data_and_add_what_is_missing(student, ref, n, m, beta_max, key, dtype):
    """Mean e^(-B/2) x0 and deviation sqrt(1 - e^-B), with a time for each row."""
    x0, t = draw.normal((n, m), key, 1.0, dtype), draw.uniform((n,), key + 1, 0.1, 1.0, dtype)
    mean, deviation = ref.vp_marginal(x0, t, 0.1, beta_max)
    got = student.vp_marginal(x0, t, 0.1, beta_max)
    assert_agrees(got, (mean, deviation), like=dtype, scale=mean.abs().max() * 20 + 1)


@vp_marginal
@weight(0.35)
def test_the_deviation_keeps_its_digits_at_tiny_times(student):
    """For tiny t the deviation is the root of beta_min t, to all digits: 10^-8 at t = 10^-15 with beta_min = 1/10."""
    for dtype in draw.DTYPES:
        t = draw.tensor([1e-15, 4e-13, 1e-9], dtype)
        got = student.vp_marginal(torch.zeros(3, 1, dtype=dtype), t, 0.1, 20.0)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mismatch("type", "this is not a pair of tensors, mean and deviation", got)
        want = (0.1 * t.double() * (1 + 99.5 * t.double() - 0.05 * t.double())).sqrt()
        assert_agrees(got[1], want, like=torch.float32, what="the deviation")
        got = student.vp_marginal(torch.zeros(1, 1, dtype=dtype), draw.tensor([0.0078125], dtype), 0.0625, 0.0625)  # B = 2^-11
        assert_agrees(got[1], draw.tensor([math.sqrt(-math.expm1(-(2.0**-11)))]), like=torch.float32, what="the deviation")


@vp_marginal
@weight(0.15)
def test_marginals_of_one_row_of_many_and_of_a_square_batch(student, ref):
    """n = 1 and m = 1 are legal, as are n = m, 1031 rows, times that differ little, and a beta that stands still."""
    for n, m, beta_max in ((1, 3, 2.0), (3, 1, 0.5), (3, 3, 2.0), (1, 1, 2.0), (1031, 1, 2.0)):
        x0, t = draw.normal((n, m), 1), draw.uniform((n,), 2, 0.1, 1.0)
        want = ref.vp_marginal(x0, t, 0.5, beta_max) if n < 9 else None
        if want is None:
            B = 0.5 * t + 0.75 * t**2
            want = ((-B / 2).exp()[:, None] * x0, (1 - (-B).exp()).sqrt())
        assert_agrees(student.vp_marginal.strided(x0, t, 0.5, beta_max), want, like=torch.float32, scale=20.0)
    x0, t = draw.normal((3, 2), 1), draw.tensor([0.5, 0.53125, 0.515625])
    assert_agrees(student.vp_marginal(x0, t, 0.5, 2.0), ref.vp_marginal(x0, t, 0.5, 2.0), like=torch.float32, scale=20.0)


@vp_marginal
@weight(0.2)
def test_marginals_have_gradients(student):
    """Mean and deviation can be differentiated in the data and, after t = 0, in the time."""
    x0, t = draw.tensor([[1.0, -2.0], [4.0, 0.0]]), draw.tensor([0.5, 1.0])  # B = t + t^2, 3/4 and 2, of derivative 1 + 2 t
    half, end = math.exp(-0.375), math.exp(-1.0)
    known = {
        "x0": (x0, [[half, 2 * half], [3 * end, -end]]),
        "t": (t, [3 * half + half**2 / 0.7263838153889343, -18 * end - 3 * end**2 / 0.9298734950321937]),
    }
    weights = [draw.tensor([[1.0, 2.0], [3.0, -1.0]]), draw.tensor([1.0, -2.0])]
    assert_gradients_known(student.vp_marginal, [x0, t, 1.0, 3.0], known, weights=weights, scale=50.0)


@vp_marginal
@weight(0.067)
def test_marginals_keep_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        got = assert_unchanged(student.vp_marginal.observed(torch.ones(2, 2, dtype=dtype), torch.ones(2, dtype=dtype), 0.1, 20.0))
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mismatch("type", "this is not a pair of tensors, mean and deviation", got)
        assert_dtype(got[0], dtype, what="the mean")
        assert_dtype(got[1], dtype, what="the deviation")


# -- reverse_sde_step --


@reverse_sde_step
@weight(0.6)
def test_where_the_slope_is_steep_the_way_back_hardly_shakes(student, seed):
    """At t = 1/2 of beta from 2 to 6, beta = 4: a step of 1/8 adds x/4 and half of the score, give or take 20; one of 1/64 an eighth."""
    for dtype in draw.DTYPES:
        score, x = level_score(draw.tensor([4e8, -2e8], dtype)), draw.tensor([[4.0, 8e8], [-4e8, 0.0]], dtype)
        got = student.reverse_sde_step(score, x, 0.5, 0.125, 2.0, 6.0, student.generator(seed))
        want = draw.tensor([[1e8 + 5.0, 9.5e8], [-4e8, -5e7]])  # the score is t w: 2e8 and -1e8
        assert_agrees(got, want, like=torch.float32, error=20 / 32, scale=1e9)
        got = student.reverse_sde_step(score, x, 0.5, 1 / 64, 2.0, 6.0, student.generator(seed))
        want = x.double() + (want - x.double()) / 8
        assert_agrees(got, want, like=torch.float32, error=20 / 32, scale=1e9)


@reverse_sde_step
@weight(0.4)
def test_the_noise_of_a_step_back_known_by_hand(student, seed):
    """With beta = 3 a step of 0.1 adds noise of the variance 0.3 to 0.91 x + 0.24 mu, also where it ends at t = 0."""
    score = noisy_gaussian_score(draw.tensor([3.0, -1.0] * 4), torch.full((8,), 1.24**0.5, dtype=torch.float64))
    x = draw.tensor([[0.0, 0.0] * 4, [5.0, -2.0] * 4])
    mean = draw.tensor([[0.72, -0.24] * 4, [5.27, -2.06] * 4])  # x + 3 (x / 2 + (mu - x) / (1.24 + 0.01)) / 10 = 0.91 x + 0.24 mu
    got = student.reverse_sde_step(score, x.repeat(ROWS // 2, 1), 0.1, 0.1, 1.0, 21.0, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean.repeat(ROWS // 2, 1)) / math.sqrt(0.3))


@reverse_sde_step
@weight(0.4)
def test_a_step_back_has_the_law_of_euler_and_maruyama(student, ref, seed):
    """Without its mean, in units of sqrt(beta dt), a step is standard normal noise."""
    key = seed % 2**31
    score = noisy_gaussian_score(draw.normal((COLUMNS,), key), draw.uniform((COLUMNS,), key + 1, 0.5, 1.5))
    few = draw.normal((8, COLUMNS), key + 2, 2.0)
    args = few.repeat(ROWS // 8, 1), 0.75, 0.3 + 0.05 * (key % 9), 0.4, 3.0
    mean, deviation = ref.law_of_reverse_sde_step(score, few, *args[1:])
    got = student.reverse_sde_step(score, *args, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean.repeat(ROWS // 8, 1)) / deviation)


@reverse_sde_step
@weight(0.35)
def test_steps_back_draw_from_the_generator(student, seed):
    """The same state gives the same step, the next call another one, and rows of a batch are independent."""
    zero = torch.zeros(8, 8)
    score = noisy_gaussian_score(zero[0], zero[0] + 1)
    draw_ = lambda g: student.reverse_sde_step(score, zero, 0.5, 0.25, 0.5, 2.0, g)  # noqa: E731
    assert_drawn_from_the_generator(student, draw_, seed)


@reverse_sde_step
@weight(0.1)
def test_a_step_back_of_one_row_of_one_dimension(student, seed):
    """n = 1 and m = 1 are legal, and shaken like any other; the time has all digits of the dtype of x.

    Steps may be tiny or large, a score may hand out its argument.
    """
    args = level_score(draw.tensor([4e8])), draw.tensor([[4.0]]), 0.5, 0.125, 2.0, 6.0
    got = student.reverse_sde_step.strided(*args, student.generator(seed))
    assert_agrees(got, draw.tensor([[1e8 + 5.0]]), like=torch.float32, error=20 / 32, scale=1e8)
    args = level_score(draw.tensor([1e15])), draw.tensor([[0.0]]), 0.1, 0.25, 1.0, 3.0  # 1.2 / 4 of a score of 10^14
    got = student.reverse_sde_step(*args, student.generator(seed))
    assert_agrees(got, draw.tensor([[3e13]]), error=20 / 32, scale=1e14)
    flat, zero = level_score(draw.tensor([0.0])), draw.tensor([[0.0]])
    assert_drawn_alone(lambda g: student.reverse_sde_step(flat, zero, 0.5, 0.125, 2.0, 6.0, g), student.generator(seed))
    got = student.reverse_sde_step(identity_score(), draw.tensor([[1e8]]), 0.5, 0.125, 2.0, 6.0, student.generator(seed))  # 3/4 of x more
    assert_agrees(got, draw.tensor([[1.75e8]]), like=torch.float32, error=20 / 32, scale=1e8)
    flat, zero = level_score(torch.zeros(3).double()), torch.zeros(200, 3).double()
    for dt, variance in ((0.5, 2.0), (1e-6, 4e-6)):
        got = student.reverse_sde_step(flat, zero, 0.5, dt, 2.0, 6.0, student.generator(seed))
        assert_size_of_noise(got, variance**0.5)


@reverse_sde_step
@weight(0.05)
def test_a_step_back_keeps_the_dtype(student, seed):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        args = noisy_gaussian_score(0 * x[0], x[0]), x, 0.5, 0.25, 1.0, 3.0
        assert_dtype(assert_unchanged(student.reverse_sde_step.observed(*args, student.generator(seed))), dtype)


# -- probability_flow_drift --


@probability_flow
@weight(0.45)
def test_drifts_known_by_hand(student):
    """At t = 1/2 of beta from 1 to 3 the drift is -(x + s); where the score is -x nothing flows."""
    for dtype in draw.DTYPES:
        x = draw.tensor([[4.0, 8.0], [-4.0, 0.0]], dtype)
        got = student.probability_flow_drift(level_score(draw.tensor([4.0, -2.0], dtype)), x, 0.5, 1.0, 3.0)
        assert_agrees(got, draw.tensor([[-6.0, -7.0], [2.0, 1.0]]), like=torch.float32, scale=10.0)
        got = student.probability_flow_drift(level_score(draw.tensor([4.0, -2.0], dtype)), x, 1, 1, 3)  # whole numbers are numbers
        assert_agrees(got, draw.tensor([[-12.0, -9.0], [0.0, 3.0]]), like=torch.float32, scale=20.0)
        got = student.probability_flow_drift(level_score(draw.tensor([4e3, 0.0], dtype)), x, 0.0, 1.0, 3.0)  # a score of t w, 0 at t = 0
        assert_agrees(got, -x.double() / 2, like=torch.float32, scale=10.0)
        rest = noisy_gaussian_score(torch.zeros(2, dtype=dtype), torch.full((2,), 0.75**0.5, dtype=dtype))
        got = student.probability_flow_drift(rest, x, 0.5, 1.0, 3.0)
        assert_agrees(got, torch.zeros(2, 2, dtype=torch.float64), like=torch.float32, scale=10.0)


@probability_flow
@weight(0.25)
@examples(3)
@given(t=st.sampled_from([0.0, 0.25, 1.0]), m=st.integers(2, 4), key=draw.seeds, dtype=draw.dtypes)
@example(t=0.25, m=3, key=0, dtype=torch.float32)
@example(t=1.0, m=2, key=1, dtype=torch.float64)
def test_the_flow_has_half_of_the_score_of_the_way_back(student, ref, t, m, key, dtype):
    """-beta(t) (x + s(x, t)) / 2 at every row, for any score, at any time."""
    score = tanh_score(draw.normal((5, m), key, 1.0, dtype), draw.normal((m, 5), key + 1, 1.0, dtype))
    x = draw.normal((4, m), key + 2, 1.0, dtype)
    want = ref.probability_flow_drift(score, x, t, 0.1, 20.0)
    assert_agrees(student.probability_flow_drift(score, x, t, 0.1, 20.0), want, like=dtype, scale=200.0)


@probability_flow
@weight(0.1)
def test_the_drift_of_one_row_and_of_many(student):
    """n = 1 and m = 1 are legal; 1031 rows all flow; the time has all digits of the dtype of x."""
    score = level_score(draw.tensor([4.0]))
    for n in (1, 1031):
        x = torch.arange(n, dtype=torch.float64)[:, None]
        got = student.probability_flow_drift.strided(score, x, 0.5, 1.0, 3.0)
        assert_agrees(got, -(x + 2.0), like=torch.float32, scale=4.0)
    got = student.probability_flow_drift(score, x[:2], 0.1, 1.0, 3.0)
    assert_agrees(got, -0.6 * (x[:2] + 0.4), scale=4.0)


@probability_flow
@weight(0.1)
def test_the_drift_has_gradients(student):
    """It can be differentiated in the point and in what the score holds, as a neural ODE needs."""
    w, x = draw.tensor([4.0, -2.0]), draw.normal((3, 2), 1)
    known = {"w": (w, [-1.5, -1.5]), "x": (x, [[-1.0, -1.0]] * 3)}
    assert_gradients_known(student.probability_flow_drift, [level_score(w), x, 0.5, 1.0, 3.0], known)
    one = draw.tensor([1.0, 1.0])  # of N(1, 3/4) nothing is left of x at t = 1/2: it moves by -1
    known = {"x": (x, [[0.0, 0.0]] * 3)}
    args = [noisy_gaussian_score(one, 0.75**0.5 * one), x, 0.5, 1.0, 3.0]
    assert_gradients_known(student.probability_flow_drift, args, known, scale=4e3)


@probability_flow
@weight(0.033)
def test_the_drift_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.probability_flow_drift.observed(identity_score(), x, 0.5, 1.0, 3.0)), dtype)
