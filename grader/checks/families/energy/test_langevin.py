"""Langevin dynamics, and the coin that makes it exact."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_form, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.energies import (
    exponential_log_shape,
    exponential_shape_score,
    first_dimension,
    gaussian_log_shape,
    gaussian_shape_score,
    plain_identity_score,
    quartic_log_shape,
    quartic_shape_score,
)
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.noise import (
    COLUMNS,
    ROWS,
    assert_drawn_alone,
    assert_drawn_from_the_generator,
    assert_size_of_noise,
    assert_standard_normal,
)
from grader.sandbox.wire.families import Family

langevin_step = pytest.mark.exercise("energy.langevin_step")
metropolis = pytest.mark.exercise("energy.metropolis_log_acceptance")
weight = pytest.mark.weight
examples = pytest.mark.examples

# -- langevin_step --


@langevin_step
@weight(0.6)
def test_where_the_slope_is_steep_the_noise_hardly_counts(student, seed):
    """With scores of 10^8 a step of 0.5 goes a quarter of the score; the noise moves it by less than 10 more."""
    for dtype in draw.DTYPES:
        score = exponential_shape_score(draw.tensor([-1e8, 3e8], dtype))
        x = draw.tensor([[1.0, -2.0], [4e8, 0.25]], dtype)
        want = draw.tensor([[2.5e7, -7.5e7], [4.25e8, -7.5e7]])
        got = student.langevin_step(score, x, 0.5, student.generator(seed))
        assert_agrees(got, want, like=torch.float32, error=10 / 32, scale=4e8)
        got = student.langevin_step(score, x, 1, student.generator(seed))  # a whole number is a number
        assert_agrees(got, x.double() + draw.tensor([5e7, -1.5e8]), like=torch.float32, error=10 / 32, scale=4e8)


@langevin_step
@weight(0.4)
def test_the_noise_of_a_step_known_by_hand(student, seed):
    """Scores of 1, -8, -2 and -4 move a step of 0.4 by 0.2 of them; around this it is normal with the variance 0.4."""
    score = gaussian_shape_score(draw.tensor([1.0, -2.0] * 4), draw.tensor([1.0, 0.5] * 4))
    x = draw.tensor([[0.0, 0.0] * 4, [3.0, -1.0] * 4])
    mean = draw.tensor([[0.2, -1.6] * 4, [2.6, -1.8] * 4])  # 0.2 of the scores 1, -8 and -2, -4 further
    got = student.langevin_step(score, x.repeat(ROWS // 2, 1), 0.4, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean.repeat(ROWS // 2, 1)) / math.sqrt(0.4))


@langevin_step
@weight(0.4)
def test_a_step_drifts_along_the_score_and_shakes(student, ref, seed):
    """Without its mean x + step/2 score(x), in units of sqrt(step), a step is standard normal noise."""
    key = seed % 2**31
    score = gaussian_shape_score(draw.normal((COLUMNS,), key), draw.uniform((COLUMNS,), key + 1, 0.5, 2.0))
    few = draw.normal((8, COLUMNS), key + 2, 2.0)
    step = 1e-3 * (2 + seed % 7)  # small, as it is in use; larger ones are known by hand
    mean = ref.langevin_mean(score, few, step).repeat(ROWS // 8, 1)
    got = student.langevin_step(score, few.repeat(ROWS // 8, 1), step, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean) / math.sqrt(step))


@langevin_step
@weight(0.35)
def test_langevin_steps_draw_from_the_generator(student, seed):
    """The same state gives the same step, the next call another one, and rows of a batch are independent."""
    zero = torch.zeros(8, 8)
    score = gaussian_shape_score(zero[0], zero[0] + 1)
    assert_drawn_from_the_generator(student, lambda g: student.langevin_step(score, zero, 0.5, g), seed)


@langevin_step
@weight(0.1)
def test_a_step_of_one_row_of_one_dimension(student, seed):
    """n = 1 and m = 1 are legal, and shaken like any other; steps may be tiny or large, a score may hand out its argument."""
    score = exponential_shape_score(draw.tensor([-1e8]))
    got = student.langevin_step.strided(score, draw.tensor([[1.0]]), 0.5, student.generator(seed))
    assert_agrees(got, draw.tensor([[2.5e7]]), like=torch.float32, error=10 / 32, scale=2.5e7)
    flat, zero = exponential_shape_score(draw.tensor([0.0])), draw.tensor([[0.0]])
    assert_drawn_alone(lambda g: student.langevin_step(flat, zero, 0.5, g), student.generator(seed))
    got = student.langevin_step(plain_identity_score(), draw.tensor([[1e8]]), 0.5, student.generator(seed))
    assert_agrees(got, draw.tensor([[1.25e8]]), like=torch.float32, error=10 / 32, scale=1e8)
    flat, zero = exponential_shape_score(torch.zeros(3).double()), torch.zeros(200, 3).double()
    for step in (4.0, 1e-6):
        assert_size_of_noise(student.langevin_step(flat, zero, step, student.generator(seed)), step**0.5)


@langevin_step
@weight(0.05)
def test_a_step_has_the_dtype_of_its_start(student, seed):
    """float32 in, float32 out; float64 in, float64 out; the start stays as it is."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        score = gaussian_shape_score(0 * x[0], x[0])  # there is somewhere to go
        assert_dtype(assert_unchanged(student.langevin_step.observed(score, x, 0.5, student.generator(seed))), dtype)


# -- metropolis_log_acceptance --


def problem(kind: str, m: int, key: int, dtype: torch.dtype) -> tuple[Family, Family, Tensor, Tensor]:
    """A density, its score, points and proposals."""
    x, proposal = draw.normal((5, m), key, 1.0, dtype), draw.normal((5, m), key + 1, 1.0, dtype)
    if kind == "quartic":
        a = draw.tensor(0.5, dtype)
        return quartic_log_shape(a), quartic_shape_score(a), x, proposal
    mu, sigma = draw.normal((m,), key + 2, 1.0, dtype), draw.uniform((m,), key + 3, 0.5, 2.0, dtype)
    return gaussian_log_shape(mu, sigma), gaussian_shape_score(mu, sigma), x, proposal


@metropolis
@weight(1.25)
def test_acceptances_known_by_hand(student):
    """On a standard normal: ways outward are refused now and then, ways inward never; without a drift p alone decides."""
    for dtype in draw.DTYPES:
        zero, one = torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype)
        log_p, score = gaussian_log_shape(zero, one), gaussian_shape_score(zero, one)
        x, proposal = draw.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]], dtype), draw.tensor([[2.0, 0.0], [0.0, 1.0], [2.0, -2.0]], dtype)
        # from 1 to 2 p loses 3/2; there and back one is off by 3/2 and 0 with step 1, by 5/4 and 1/2 with step 1/2
        for step, want in ((0.5, -0.1875), (1.0, -0.375), (1, -0.375)):
            got = student.metropolis_log_acceptance(log_p, score, x, proposal, step)
            assert_agrees(got, draw.tensor([want, 0.0, 0.0]), like=torch.float32, scale=40.0)
        flat = exponential_shape_score(zero)  # a score of zero: the proposal is symmetric
        got = student.metropolis_log_acceptance(log_p, flat, x, proposal, 0.5)
        assert_agrees(got, draw.tensor([-1.5, 0.0, 0.0]), like=torch.float32, scale=40.0)
        rate = draw.tensor([2.0, 1.0], dtype)
        log_p, score = exponential_log_shape(rate), exponential_shape_score(rate)
        got = student.metropolis_log_acceptance(log_p, score, x + 1, proposal + 4, 0.25)
        assert_agrees(got, draw.tensor([0.0, 0.0, 0.0]), like=torch.float32, scale=200.0)


@metropolis
@weight(1.0)
@examples(4)
@given(
    kind=st.sampled_from(["quartic", "gaussian"]),
    m=st.integers(2, 4),
    step=st.sampled_from([0.05, 0.5, 2.0]),
    key=draw.seeds,
    dtype=draw.dtypes,
)
@example(kind="quartic", m=3, step=0.5, key=0, dtype=torch.float32)
@example(kind="gaussian", m=2, step=2.0, key=1, dtype=torch.float64)
def test_acceptance_weighs_densities_and_both_ways(student, ref, kind, m, step, key, dtype):
    """p(x') q(x|x') over p(x) q(x'|x), at most one, where each way starts with a drift of its own."""
    given_ = problem(kind, m, key, dtype)
    want, scale = ref.metropolis_log_acceptance(*given_, step), ref.rounding_of_acceptance(*given_, step)
    assert_agrees(student.metropolis_log_acceptance(*given_, step), want, like=dtype, scale=scale)


@metropolis
@weight(0.5)
def test_hopeless_and_impossible_proposals(student):
    """Log-probabilities of -5000 and -500000 stay what they are; where the density is zero it is -inf, never nan."""
    for dtype in draw.DTYPES:
        zero, one = torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype)
        log_p, flat = gaussian_log_shape(zero, one), exponential_shape_score(zero)
        for far, want in ((100.0, -5e3), (1000.0, -5e5)):
            got = student.metropolis_log_acceptance(log_p, flat, draw.tensor([[0.0]], dtype), draw.tensor([[far]], dtype), 1.0)
            assert_agrees(got, draw.tensor([want]), like=torch.float32, scale=-2 * want)
        narrow = gaussian_log_shape(zero, 1e-4 * one)  # five deviations away, and yet near
        got = student.metropolis_log_acceptance(narrow, flat, draw.tensor([[0.0]], dtype), draw.tensor([[5e-4]], dtype), 1.0)
        assert_agrees(got, draw.tensor([-12.5]), like=torch.float32, scale=100.0)
        # scores of -30 and -50: p loses 8; there one is 0.35 off, back 0.05, of the deviation 1/10
        log_p, score = gaussian_log_shape(zero, 0.1 * one), gaussian_shape_score(zero, 0.1 * one)
        x, proposal = draw.tensor([[0.3]], dtype), draw.tensor([[0.5]], dtype)
        got = student.metropolis_log_acceptance(log_p, score, x, proposal, 0.01)
        assert_agrees(got, draw.tensor([-2.0]), like=torch.float32, scale=100.0)
        log_p, score = exponential_log_shape(one), exponential_shape_score(one)
        x, proposal = draw.tensor([[1.0], [0.5]], dtype), draw.tensor([[-0.25], [0.75]], dtype)
        got = student.metropolis_log_acceptance(log_p, score, x, proposal, 0.5)
        assert_agrees(got, draw.tensor([-math.inf, 0.0]), like=torch.float32, scale=10.0)


@metropolis
@weight(0.4)
def test_one_of_two_ways_is_always_accepted(student):
    """The ratio of the way back is the inverse one: the larger of the two log-probabilities is 0."""
    log_p, score, x, proposal = problem("quartic", 3, 5, torch.float64)
    there = student.metropolis_log_acceptance(log_p, score, x, proposal, 0.5)
    back = student.metropolis_log_acceptance(log_p, score, proposal, x, 0.5)
    for one in (there, back):
        assert_form(one, (5,))
    what = "the larger one of the log-probabilities of there and back"
    assert_agrees(torch.maximum(there.double(), back.double()), torch.zeros(5, dtype=torch.float64), scale=100.0, what=what)


@metropolis
@weight(0.25)
def test_the_acceptance_of_one_row_one_dimension_and_many_rows(student, ref):
    """n = 1 and m = 1 are legal; in 4099 rows each has its own coin."""
    log_p, score, x, proposal = problem("quartic", 1, 2, torch.float64)
    want = ref.metropolis_log_acceptance(log_p, score, x, proposal, 0.5)
    for rows in (torch.tensor([0]), draw.integers((4099,), 0, 5)):
        got = student.metropolis_log_acceptance.strided(log_p, score, x[rows], proposal[rows], 0.5)
        assert_agrees(got, want[rows], like=torch.float32, scale=100.0)


@metropolis
@weight(0.35)
def test_the_acceptance_has_gradients_below_one(student):
    """Where a proposal may be refused the log-probability can be differentiated in both points and in the density."""
    zero, one = draw.tensor([0.0]), draw.tensor([1.0])
    log_p, score = gaussian_log_shape(zero, one), gaussian_shape_score(zero, one)
    x, proposal = draw.tensor([[0.25], [-0.5]]), draw.tensor([[2.0], [-3.0]])
    # with step 1/2 the log-ratio is (x^2 - x'^2) / 16: of it p has 1/2, and the two ways take 7/16 of that away
    known = {
        "the density's mu": (log_p.parameters["mu"], [1.75 + 2 * 2.5]),  # x' - x
        "x": (x, [[0.25 / 8], [2 * 0.5 / 8]]),
        "proposal": (proposal, [[-2.0 / 8], [-2 * 3.0 / 8]]),
    }
    args = [log_p, score, x, proposal, 0.5]
    assert_gradients_known(student.metropolis_log_acceptance, args, known, weights=draw.tensor([1.0, -2.0]), scale=100.0)


@metropolis
@weight(0.083)
def test_the_acceptance_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        _, _, x, proposal = problem("gaussian", 2, 0, dtype)
        args = first_dimension(), plain_identity_score(), x, proposal
        assert_dtype(assert_unchanged(student.metropolis_log_acceptance.observed(*args, 0.5)), dtype)
