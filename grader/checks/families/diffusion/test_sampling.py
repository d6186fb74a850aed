"""The way back: ancestral steps, whole samples, and DDIM's deterministic steps."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_form, assert_unchanged
from grader.checks.families.diffusion.draw import by_hand, growth, longer, rounding, schedule
from grader.checks.families.shared import draw
from grader.checks.families.shared.noise import (
    COLUMNS,
    ROWS,
    assert_drawn_alone,
    assert_drawn_from_the_generator,
    assert_size_of_noise,
    assert_standard_normal,
)
from grader.checks.families.shared.noise_models import constant_noise, gaussian_noise_model, identity_noise, noise_net

denoising_step = pytest.mark.exercise("diffusion.denoising_step")
sample = pytest.mark.exercise("diffusion.sample")
ddim_step = pytest.mark.exercise("diffusion.ddim_step")
weight = pytest.mark.weight
examples = pytest.mark.examples

# -- denoising_step --


@denoising_step
@weight(0.6)
def test_a_step_back_known_by_hand(student, seed):
    """At t = 0 the guess itself: (10 - 0.6 10) / 0.8. At t = 1, far out, 35/64 of the guess plus 27/64 of x, give or take 5."""
    for dtype in draw.DTYPES:
        betas, e = by_hand(dtype), draw.tensor([10.0, -5.0], dtype)
        got = student.denoising_step(constant_noise(e), draw.tensor([[10.0, 1.0]], dtype), 0, betas, student.generator(seed))
        assert_agrees(got, draw.tensor([[5.0, 5.0]]), like=dtype, scale=100.0)
        x = draw.tensor([[6e8, 0.0], [0.0, 12e8]], dtype)
        far = constant_noise(draw.tensor([0.0, 3e8], dtype))
        got = student.denoising_step(far, x, 1, betas, student.generator(seed))
        want = draw.tensor([[10e8 * 35 / 64 + 6e8 * 27 / 64, -4e8 * 35 / 64], [0.0, 16e8 * 35 / 64 + 12e8 * 27 / 64]])
        assert_agrees(got, want, like=torch.float32, scale=2e10, error=5 / 32)


@denoising_step
@weight(0.4)
def test_the_noise_of_a_step_back_known_by_hand(student, seed):
    """From t = 2 to t = 1 the variance is 44/81, around 55/108 of the guess plus 35/108 of x; from t = 1 to t = 0 it is 63/256."""
    model = noise_net(0.5 * torch.eye(COLUMNS, dtype=torch.float64), draw.tensor([1.0, -2.0] * 4))
    x = draw.tensor([[0.0, 0.0] * 4, [4.0, -4.0] * 4])
    # the model says (3, -6) and (5, -8), so the guesses are (-72/7, 144/7) and (-20/7, 92/7); 55/108 of them, 35/108 of x
    mean = draw.tensor([[-110 / 21, 220 / 21] * 4, [-10 / 63, 340 / 63] * 4])
    deviation = math.sqrt(44) / 9  # (1 - 0.36) / (1 - 0.0784) beta = 44/81
    got = student.denoising_step(model, x.repeat(ROWS // 2, 1), 2, longer(torch.float64), student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean.repeat(ROWS // 2, 1)) / deviation)
    zero = torch.zeros(ROWS, COLUMNS, dtype=torch.float64)
    got = student.denoising_step(constant_noise(zero[0]), zero, 1, by_hand(torch.float64), student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal(got / math.sqrt(63 / 256))


@denoising_step
@weight(0.4)
def test_steps_back_have_the_mean_and_the_variance_of_the_posterior(student, ref, seed):
    """Without its mean, in units of its deviation, a step from t >= 1 is standard normal noise, whatever the model says."""
    key = seed % 2**31
    model = noise_net(draw.normal((COLUMNS, COLUMNS), key, 0.3), draw.normal((COLUMNS,), key + 1, 0.5))
    few = draw.normal((8, COLUMNS), key + 2, 2.0)
    # late in a schedule of small steps the variance is 0.92 of beta
    for t, betas in ((1, draw.tensor([0.3, 0.5, 0.2, 0.6])), (11, torch.full((12,), 0.01, dtype=torch.float64))):
        mean, deviation = ref.law_of_denoising_step(model, few, t, betas)
        got = student.denoising_step(model, few.repeat(ROWS // 8, 1), t, betas, student.generator(seed + t))
        assert_form(got, (ROWS, COLUMNS))
        assert_standard_normal((got.double() - mean.repeat(ROWS // 8, 1)) / deviation)


@denoising_step
@weight(0.3)
def test_steps_back_draw_their_noise_from_the_generator(student, seed):
    """The same state gives the same step, the next call another one, and rows of a batch are independent."""
    zero, betas = torch.zeros(8, 8), torch.tensor([0.5, 0.4, 0.3])
    model = constant_noise(zero[0])
    assert_drawn_from_the_generator(student, lambda g: student.denoising_step(model, zero, 2, betas, g), seed)


@denoising_step
@weight(0.15)
def test_a_step_back_with_one_row_one_dimension_and_one_level(student, seed):
    """n = 1, m = 1 and T = 1 are legal; after the first level a single row has noise, too, were it tiny.

    A model may hand out its argument.
    """
    args = constant_noise(draw.tensor([10.0])), draw.tensor([[10.0]]), 0, draw.tensor([0.36])
    got = student.denoising_step.strided(*args, student.generator(seed))
    assert_agrees(got, draw.tensor([[5.0]]), like=torch.float32, scale=50.0)
    silent, zero = constant_noise(draw.tensor([0.0])), draw.tensor([[0.0]])
    assert_drawn_alone(lambda g: student.denoising_step(silent, zero, 1, by_hand(torch.float64), g), student.generator(seed))
    got = student.denoising_step(identity_noise(), draw.tensor([[10.0]]), 0, draw.tensor([0.36]), student.generator(seed))
    assert_agrees(got, draw.tensor([[5.0]]), like=torch.float32, scale=50.0)
    silent, zero = constant_noise(torch.zeros(3).double()), torch.zeros(200, 3).double()
    got = student.denoising_step(silent, zero, 1, draw.tensor([1e-6] * 10), student.generator(seed))
    assert_size_of_noise(got, math.sqrt(1e-6 / 2))


@denoising_step
@weight(0.05)
def test_a_step_back_has_the_dtype_of_its_start(student, seed):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        got = assert_unchanged(student.denoising_step.observed(constant_noise(x[0]), x, 1, by_hand(dtype), student.generator(seed)))
        assert_dtype(got, dtype)


# -- sample --


@sample
@weight(0.4)
def test_a_sample_of_one_step_is_the_guess_at_pure_noise(student, seed):
    """With T = 1 a model that says 10^8 gives -0.6 10^8 / 0.8, give or take 13, one that says 0 standard normal noise over 0.8."""
    for n, m in ((3, 2), (1, 1)):
        model = constant_noise(torch.full((m,), 1e8, dtype=torch.float64))
        got = student.sample.strided(model, n, m, draw.tensor([0.36]), student.generator(seed))
        want = torch.full((n, m), -7.5e7, dtype=torch.float64)
        assert_agrees(got, want, like=torch.float32, scale=1e8, error=13 / 32)
    # with betas 2^-12 and 1/2 the first of two steps leads to 2^-1/2 of the noise away, the second takes 2^-6 of it
    first, left = 2.0**-12, (1 - 2.0**-12) / 2  # alpha_bar is 1 - first, and left
    middle = -((1 - first) ** 0.5) * 0.5 / (1 - left) * ((1 - left) / left) ** 0.5
    want = draw.tensor([[1e8 * (middle - first**0.5) / (1 - first) ** 0.5]])
    got = student.sample(model, 1, 1, draw.tensor([first, 0.5]), student.generator(seed))
    assert_agrees(got, want, like=torch.float32, scale=1e8, error=13 / 32)
    silent = constant_noise(draw.tensor([0.0]))
    assert_drawn_alone(lambda g: student.sample(silent, 1, 1, draw.tensor([0.36]), g), student.generator(seed))
    silent = constant_noise(torch.zeros(COLUMNS, dtype=torch.float64))
    got = student.sample(silent, ROWS, COLUMNS, draw.tensor([0.36]), student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal(0.8 * got)


@sample
@weight(0.5)
def test_the_law_of_three_steps_known_by_hand(student, seed):
    """For a linear model every step is affine: the variance of N(0, 1) becomes 5.4452, and b moves the mean by -8.7056."""
    model = noise_net(0.25 * torch.eye(COLUMNS, dtype=torch.float64), draw.tensor([0.0, 1.0] * 4))
    # steps divide x by 7/15, 3/4, 4/5 and take 110/63, 35/48, 3/4 of the model's x/4 + 3 b, x/4 + 2 b, x/4 + b away: they
    # multiply x by 215/126, 221/192, 17/16, and add noise of the variances 44/81, 63/256, 0
    mean = draw.tensor([0.0, 17 / 16 * (-221 / 192 * 110 / 21 - 35 / 24) - 3 / 4] * 4)
    variance = (17 / 16) ** 2 * ((221 / 192) ** 2 * ((215 / 126) ** 2 + 44 / 81) + 63 / 256)
    got = student.sample(model, ROWS, COLUMNS, longer(torch.float64), student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean) / math.sqrt(variance))


@sample
@weight(0.5)
def test_samples_have_the_law_that_the_recursion_of_steps_gives(student, ref, seed):
    """For Gaussian data every step is affine, so the law of the samples is known: from N(0, 1) through all steps, the last one too."""
    key, betas = seed % 2**31, draw.tensor([0.3, 0.1, 0.5, 0.05, 0.4])
    model = gaussian_noise_model(draw.normal((COLUMNS,), key, 2.0), draw.uniform((COLUMNS,), key + 1, 0.5, 1.5), betas)
    mean, deviation = ref.law_of_sample(model, COLUMNS, betas)
    got = student.sample(model, ROWS, COLUMNS, betas, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mean) / deviation)
    betas = torch.full((60,), 0.05, dtype=torch.float64)  # data at 10^8 show every one of sixty steps
    model = gaussian_noise_model(draw.tensor([1e8, -3e8]), draw.tensor([0.5, 2.0]), betas)
    want = ref.law_of_sample(model, 2, betas)[0].expand(3, 2)
    assert_agrees(student.sample(model, 3, 2, betas, student.generator(seed)), want, like=torch.float32, scale=1e9)


@sample
@weight(0.4)
def test_whole_samples_come_from_the_generator(student, seed):
    """The same state gives the same start and the same steps, the next call other ones, and rows of a batch are independent."""
    zero = torch.zeros(8, dtype=torch.float64)
    # after a step that leaves nothing of the start the noise of the next one is seen alone; a single step has none, so the start is
    for betas in (draw.tensor([0.5, 1 - 1e-10]), draw.tensor([0.36])):
        ask = functools.partial(student.sample, gaussian_noise_model(zero, zero + 1, betas), 8, 8, betas)
        assert_drawn_from_the_generator(student, ask, seed)


@sample
@weight(0.067)
def test_samples_have_the_dtype_of_the_schedule(student, seed):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        betas = by_hand(dtype)
        got = assert_unchanged(student.sample.observed(constant_noise(torch.zeros(2)), 2, 2, betas, student.generator(seed)))
        assert_dtype(got, dtype)


# -- ddim_step --


@ddim_step
@weight(0.45)
def test_deterministic_steps_known_by_hand(student):
    """From 0.6 and 0.8 to 0.8 and 0.6: the guess (10 - 0.8 5) / 0.6 = 10 becomes 8 + 3; at -1 it is the guess, were it 1000."""
    for dtype in draw.DTYPES:
        model = constant_noise(draw.tensor([5.0, 0.0], dtype))
        x, betas = draw.tensor([[10.0, 3.0], [604.0, -6.0]], dtype), by_hand(dtype)
        got = student.ddim_step(model, x, 1, 0, betas)
        assert_agrees(got, draw.tensor([[11.0, 4.0], [803.0, -8.0]]), like=torch.float32, scale=5000.0)
        got = student.ddim_step(model, x, 1, -1, betas)
        assert_agrees(got, draw.tensor([[10.0, 5.0], [1000.0, -10.0]]), like=torch.float32, scale=5000.0)
        growing = noise_net(torch.zeros(2, 2, dtype=dtype), draw.tensor([5 / 3, 0.0], dtype))  # three times that at t = 2
        got = student.ddim_step(growing, draw.tensor([[7.6, 1.4]], dtype), 2, 0, longer(dtype))  # the guess is (10, 5) again
        assert_agrees(got, draw.tensor([[11.0, 4.0]]), like=torch.float32, scale=200.0)
        three, end = constant_noise(draw.tensor([3.0], dtype)), draw.tensor([[4.0]], dtype)  # 2^-20 of the guess, which is 2^20
        got = student.ddim_step(three, end, 19, 0, torch.full((20,), 0.75, dtype=dtype))
        assert_agrees(got, draw.tensor([[2.0**19 + 3 * 0.75**0.5]]), like=torch.float32, scale=2.0**24)


@ddim_step
@weight(0.25)
@examples(3)
@given(m=st.integers(2, 4), t=st.integers(1, 4), back=st.integers(1, 5), key=draw.seeds, dtype=draw.dtypes)
@example(m=3, t=4, back=2, key=0, dtype=torch.float32)
@example(m=2, t=3, back=1, key=1, dtype=torch.float64)
@example(m=2, t=2, back=3, key=1, dtype=torch.float64)
def test_deterministic_steps_add_the_predicted_noise_again(student, ref, m, t, back, key, dtype):
    """The predicted data with the predicted noise, at any earlier time, near or far."""
    betas = schedule(5, key, dtype)
    model = noise_net(draw.normal((m, m), key, 0.5, dtype), draw.normal((m,), key + 1, 0.25, dtype))
    x = draw.normal((3, m), key + 2, 100.0, dtype)  # so that whoever clips is seen
    want = ref.ddim_step(model, x, t, max(t - back, -1), betas)
    got = student.ddim_step(model, x, t, max(t - back, -1), betas)
    assert_agrees(got, want, like=dtype, scale=1000 * rounding(betas) * growth(betas))


@ddim_step
@weight(0.1)
def test_a_deterministic_step_of_one_row_and_of_many(student):
    """n = 1, m = 1 and T = 1 are legal; so are 1031 rows, steps over seven levels, and to a first level of little noise."""
    model = constant_noise(draw.tensor([5.0]))
    got = student.ddim_step.strided(model, draw.tensor([[7.0]]), 0, -1, draw.tensor([0.36]))
    assert_agrees(got, draw.tensor([[5.0]]), like=torch.float32, scale=50.0)
    x = torch.full((1031, 1), 10.0, dtype=torch.float64)
    got = student.ddim_step.strided(model, x, 1, 0, by_hand(torch.float64))
    assert_agrees(got, x + 1, like=torch.float32, scale=100.0)
    growing, betas = noise_net(draw.tensor([[0.0]]), draw.tensor([5.0])), draw.tensor([1e-3] + [0.2] * 9)
    late = 0.999 * 0.8**9  # at t = 9 the model says 50
    guess = (10 - 50 * (1 - late) ** 0.5) / late**0.5
    for previous, left in ((2, 0.999 * 0.64), (0, 0.999)):
        got = student.ddim_step(growing, x[:1], 9, previous, betas)
        assert_agrees(got, draw.tensor([[left**0.5 * guess + 50 * (1 - left) ** 0.5]]), like=torch.float32, scale=1000.0)


@ddim_step
@weight(0.033)
def test_a_deterministic_step_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        for previous in (0, -1):
            assert_dtype(assert_unchanged(student.ddim_step.observed(identity_noise(), x, 1, previous, by_hand(dtype))), dtype)
