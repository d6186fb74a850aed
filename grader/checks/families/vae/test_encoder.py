"""What the encoder gives: its divergence from the prior, and a draw that can be differentiated."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given

from grader.checking.compare import (
    assert_agrees,
    assert_calls_agree,
    assert_dtype,
    assert_form,
    assert_gradient_agrees,
    assert_reached,
    assert_unchanged,
)
from grader.checks.families.shared import draw
from grader.checks.families.shared.noise import (
    COLUMNS,
    ROWS,
    assert_drawn_alone,
    assert_drawn_from_the_generator,
    assert_size_of_noise,
    assert_standard_normal,
)
from grader.checks.families.shared.passed_on import passed_on

gaussian_kl = pytest.mark.exercise("vae.gaussian_kl")
reparametrize = pytest.mark.exercise("vae.reparametrize")
weight = pytest.mark.weight
examples = pytest.mark.examples

# -- gaussian_kl --


@gaussian_kl
@weight(0.75)
def test_gaussian_kl_of_three_posteriors_known_by_hand(student):
    """The prior itself costs nothing, a mean of (1, 2) costs 2.5, a variance of 4 costs (3 - log 4) / 2.

    A mean of 100 costs 5000, one of 1/10 costs 1/200; close to the prior, too, a mean and a variance cost what they do.
    """
    for dtype in draw.DTYPES:
        mu = draw.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 3.0]], dtype)
        log_var = draw.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.3862943611198906, 0.0]], dtype)
        got = student.gaussian_kl(mu, log_var)
        assert_agrees(got, draw.tensor([0.0, 2.5, 5.306852819440055]), like=torch.float32, scale=20.0, unit="nats")
        got = student.gaussian_kl(draw.tensor([[100.0], [0.1]], dtype), torch.zeros(2, 1, dtype=dtype))
        assert_agrees(got, draw.tensor([5000.0, 0.005]), like=torch.float32, scale=draw.tensor([5000.0, 1.0]), unit="nats")
        got = student.gaussian_kl(draw.tensor([[1e-3], [0.0]], dtype), draw.tensor([[0.0], [0.05]], dtype))
        assert_agrees(got, draw.tensor([5e-7, 0.0006355481880120122]), like=torch.float32, scale=1.0, unit="nats")
    got = student.gaussian_kl(draw.tensor([[1e-4], [0.0]]), draw.tensor([[0.0], [0.01]]))
    assert_agrees(got, draw.tensor([5e-9, (math.expm1(0.01) - 0.01) / 2]), scale=1.0, unit="nats")


@gaussian_kl
@weight(0.5)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_gaussian_kl_adds_the_dimensions_of_each_row(student, ref, key, dtype):
    """Each row has the sum over its dimensions, in a batch of 4099 rows too."""
    mu, log_var = draw.normal((7, 3), key, 2.0, dtype), draw.uniform((7, 3), key + 1, -4, 4, dtype)
    rows = draw.integers((4099,), key, 7)
    want, scale = ref.gaussian_kl(mu, log_var)[rows], ref.rounding_of_gaussian_kl(mu, log_var)[rows]
    got = student.gaussian_kl.strided(mu[rows], log_var[rows])
    assert_agrees(got, want, like=dtype, scale=scale, unit="nats")


@gaussian_kl
@weight(0.25)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=1, dtype=torch.float64)
def test_gaussian_kl_of_wide_and_narrow_posteriors(student, ref, key, dtype):
    """Log-variances from -40 to 40 are legal and count as they are."""
    mu, log_var = draw.normal((4, 3), key, 2.0, dtype), draw.uniform((4, 3), key + 1, -40, 40, dtype)
    want, scale = ref.gaussian_kl(mu, log_var), ref.rounding_of_gaussian_kl(mu, log_var)
    assert_agrees(student.gaussian_kl(mu, log_var), want, like=dtype, scale=scale, unit="nats")


@gaussian_kl
@weight(0.25)
def test_gaussian_kl_of_one_row_and_of_one_dimension(student):
    """A batch of one row, a code of one dimension, or both, give one number a row."""
    one, two = draw.tensor([[2.0]]), draw.tensor([[2.0, 4.0]])
    assert_agrees(student.gaussian_kl.strided(one, 0 * one), draw.tensor([2.0]), scale=4.0, like=torch.float32, unit="nats")
    assert_agrees(student.gaussian_kl.strided(two, 0 * two), draw.tensor([10.0]), scale=20.0, like=torch.float32, unit="nats")
    assert_agrees(student.gaussian_kl.strided(two.T, 0 * two.T), draw.tensor([2.0, 8.0]), scale=16.0, like=torch.float32, unit="nats")


@gaussian_kl
@weight(0.4)
def test_the_divergence_pulls_the_mean_to_zero_and_the_variance_to_one(student):
    """The gradient is mu in the mean and (e^l - 1) / 2 in the log-variance: nothing pulls at the prior."""
    mu = draw.tensor([[0.0, 0.5], [-2.0, 1.0]])
    log_var = draw.tensor([[0.0, 1.0], [-1.0, 40.0]])
    _, (in_mu, in_log_var) = student.gaussian_kl.gradient(mu, log_var, wrt=[mu, log_var])
    assert_gradient_agrees(in_mu, mu, of="mu", scale=2.0)
    want = draw.tensor([[0.0, 0.8591409142295226], [-0.31606027941427883, 117692633418509992.0]])
    assert_gradient_agrees(in_log_var, want, of="log_var", scale=2.0)


@gaussian_kl
@weight(0.033)
def test_gaussian_kl_has_the_dtype_of_its_arguments(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        mu = log_var = torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.gaussian_kl.observed(mu, log_var)), dtype)


# -- reparametrize --


@reparametrize
@weight(0.4)
def test_without_variance_the_draw_is_the_mean(student, seed):
    """With log-variances of -40 the deviation is 2e-9: every draw is its row's mean."""
    for dtype in draw.DTYPES:
        mu = draw.tensor([[1.0, -2.0, 0.5], [100.0, 0.25, -7.0]], dtype)
        got = student.reparametrize(mu, torch.full_like(mu, -40.0), student.generator(seed))
        assert_agrees(got, mu.double(), like=torch.float32, error=8 * 2.1e-9)


@reparametrize
@weight(0.7)
def test_draws_have_the_mean_and_the_variance_that_the_encoder_gave(student, seed):
    """What is left of a draw without its mean, in units of its deviation e^(l/2), is standard normal noise of its own."""
    mu = draw.normal((8, COLUMNS), seed % 2**31, 2.0, torch.float32).repeat(ROWS // 8, 1)
    log_var = draw.uniform((8, COLUMNS), seed % 2**30, -3.0, 40.0, torch.float32).repeat(ROWS // 8, 1)
    got = student.reparametrize(mu, log_var, student.generator(seed))
    assert_form(got, (ROWS, COLUMNS))
    assert_standard_normal((got.double() - mu) / (log_var / 2).exp())


@reparametrize
@weight(0.45)
def test_a_draw_moves_with_its_mean_and_with_its_deviation(student, seed):
    """The derivative of a draw z in its mean is 1, in its log-variance (z - mu) / 2, also where it is the only one."""
    for n in (5, 1):
        mu, log_var = draw.normal((n, 3), 1), draw.normal((n, 3), 2)
        args = passed_on(mu), passed_on(log_var), student.generator(seed)
        z, (in_mu, in_log_var) = student.reparametrize.gradient(*args, wrt=[mu, log_var])
        assert_form(z, (n, 3))
        assert_gradient_agrees(in_mu, torch.ones(n, 3, dtype=torch.float64), of="mu", scale=2.0)
        half, what = (z.double() - mu) / 2, "half of the draw's distance from its mean"
        assert_reached({"log_var": in_log_var})
        assert_calls_agree(in_log_var, half, call="the gradient with respect to log_var", other_call=what, scale=4 + mu.abs(), like=z)


@reparametrize
@weight(0.25)
def test_reparametrized_draws_come_from_the_generator(student, seed):
    """The same state gives the same draws, the next call other ones, and rows of a batch are independent."""
    zero = torch.zeros(8, 8)
    assert_drawn_from_the_generator(student, lambda g: student.reparametrize(zero, zero, g), seed)


@reparametrize
@weight(0.1)
def test_a_single_draw_of_a_single_dimension(student, seed):
    """One row of one dimension is a legal batch, and is drawn like any other; of three dimensions each is drawn for itself."""
    one = torch.full((1, 1), 3.0)
    assert_agrees(student.reparametrize.strided(one, -40 * one / 3, student.generator(seed)), one.double(), like=one, error=2e-8)
    zero = draw.tensor([[0.0]])  # in float64: a float32 noise by the inverse distribution function is 0 once in 10^7 times
    assert_drawn_alone(lambda g: student.reparametrize(zero, zero, g), student.generator(seed))
    zero = torch.zeros(200, 3, dtype=torch.float64)
    for log_var in (0.0, -30.0):
        assert_size_of_noise(student.reparametrize(zero, zero + log_var, student.generator(seed)), math.exp(log_var / 2))


@reparametrize
@weight(0.033)
def test_a_draw_has_the_dtype_of_the_mean(student, seed):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        one = torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.reparametrize.observed(one, one, student.generator(seed))), dtype)
