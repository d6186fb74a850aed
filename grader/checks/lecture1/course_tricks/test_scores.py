"""The log-derivative trick (slide 25): the score of a density, and the gradient of an expectation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_unchanged
from grader.checks.lecture1.course_tricks.draw import (
    MANY,
    densities,
    density,
    far_apart,
    law,
    laws,
    real_function,
    waiting_times,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import (
    categorical_log_p,
    compose,
    coordinate_sum,
    elementwise,
    exponential_log_p,
    gaussian_density,
    gaussian_log_p,
    linear,
    multiply,
    polynomial,
    scaled,
)
from grader.checks.lecture1.shared.layouts import layouts
from grader.sandbox.wire.families import Family

log_derivative = pytest.mark.exercise("course_tricks.log_derivative")
score_function = pytest.mark.exercise("course_tricks.score_function_gradient")
weight = pytest.mark.weight
examples = pytest.mark.examples


def standard_normal(m: int, dtype: torch.dtype = torch.float32) -> Family:
    """The density of m independent standard normal variables, whose score is -x."""
    return gaussian_density(torch.zeros(m, dtype=dtype), torch.ones(m, dtype=dtype))


# -- log_derivative --

three_points = torch.tensor([[1.0, -2.0], [0.0, 0.5], [-1.0, 0.25]])


@log_derivative
@weight(0.4)
def test_score_of_a_gaussian_points_to_its_mean(student):
    """One gradient a sample, of the logarithm of the density: for the standard normal it is -x."""
    assert_agrees(student.log_derivative(standard_normal(2), three_points), -three_points.double(), scale=4.0)


@log_derivative
@weight(0.4)
@examples(4)
@given(case=densities)
@example(case=density("mixture", n=3, m=2, key=0, dtype=torch.float32))
@example(case=density("product", n=3, m=3, key=0, dtype=torch.float64))
def test_score_is_the_gradient_of_p_over_p(student, ref, case):
    """At every sample the gradient of log p is the gradient of p divided by p."""
    got = student.log_derivative(case.f, case.x)
    assert_agrees(got, ref.log_derivative(case.f, case.x), like=case.x, scale=case.size)


@log_derivative
@weight(0.3)
@examples(2)
@given(c=st.sampled_from([1e-25, 1e-6, 1e25]), sigma=st.sampled_from([1e-4, 1.0, 1e3]), key=draw.seeds, dtype=draw.dtypes)
@example(c=1e-25, sigma=1.0, key=0, dtype=torch.float32)
@example(c=1e25, sigma=1e-4, key=0, dtype=torch.float32)
@example(c=1e-200, sigma=1e3, key=0, dtype=torch.float64)
def test_score_ignores_the_normalising_constant(student, c, sigma, key, dtype):
    """A density times a constant, tiny or huge, has the score of the density, be it narrow or wide."""
    x, scale = sigma * draw.uniform((3, 2), key, -1, 1, dtype), torch.full((2,), sigma, dtype=dtype)
    p = scaled(torch.tensor(c, dtype=dtype), gaussian_density(torch.zeros(2, dtype=dtype), scale))
    want = -x.double() / scale.double() ** 2
    assert_agrees(student.log_derivative(p, x), want, like=dtype, scale=40 / sigma)


@log_derivative
@weight(0.2)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=887, dtype=torch.float32)  # a density of 1e-5
@example(key=887, dtype=torch.float64)
def test_scores_of_a_product_add_up(student, key, dtype):
    """The score of a product of densities is the sum of their scores."""
    x, mu = draw.uniform((5, 3), key, -1, 1, dtype), draw.uniform((3,), key + 1, -1, 1, dtype)
    sigma, tilt = draw.uniform((3,), key + 2, 0.5, 2, dtype), draw.normal((3,), key + 3, dtype=dtype)
    tilted = multiply(gaussian_density(mu, sigma), compose(elementwise("exp"), linear(tilt, torch.zeros((), dtype=dtype))))
    want = (mu - x).double() / sigma.double() ** 2 + tilt.double()
    assert_agrees(student.log_derivative(tilted, x), want, like=dtype, scale=40.0)


@log_derivative
@weight(0.25)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_score_of_each_of_many_samples_is_its_own(student, key, dtype):
    """Of 4099 samples, some equal and some 12 sigma apart, each has the score that it has alone; and so in 64 dimensions.

    So have two samples whose densities, 10^23 and 10^-26, have a ratio that float32 cannot hold.
    """
    x = far_apart(MANY, key, dtype)  # densities of 1e-28 in one batch with others of 0.1
    assert_agrees(student.log_derivative(standard_normal(2, dtype), x), -x.double(), like=dtype, scale=64.0)
    narrow, x = gaussian_density(torch.zeros(2, dtype=dtype), torch.full((2,), 1e-12, dtype=dtype)), torch.zeros(2, 2, dtype=dtype)
    x[1, 0] = 1.5e-11
    assert_agrees(student.log_derivative(narrow, x), -x.double() * 1e24, like=dtype, scale=64.0 * 1e12)
    wide = draw.uniform((2, 64), key, -1, 1, dtype)
    assert_agrees(student.log_derivative(standard_normal(64, dtype), wide), -wide.double(), like=dtype, scale=64.0)


@log_derivative
@weight(0.15)
@examples(2)
@given(size=st.sampled_from([(1, 1), (1, 3), (4, 1)]), key=draw.seeds, dtype=draw.dtypes)
@example(size=(1, 3), key=0, dtype=torch.float32)
@example(size=(4, 1), key=0, dtype=torch.float32)
@example(size=(1, 1), key=0, dtype=torch.float64)
def test_score_of_a_single_sample_or_dimension(student, size, key, dtype):
    """One sample or one dimension keeps its axis."""
    x = draw.uniform(size, key, -1, 1, dtype)
    assert_agrees(student.log_derivative(standard_normal(size[1], dtype), x), -x.double(), like=dtype, scale=4.0)


@log_derivative
@weight(0.2)
def test_score_depends_on_the_samples_alone(student):
    """The numbers in x count: not how they lie in memory, and not what an earlier call was given."""
    p = standard_normal(2)
    for x, plain in layouts(three_points, 1 - three_points):
        assert_agrees(student.log_derivative(p, x), -plain.double(), like=plain, scale=9.0)


@log_derivative
@weight(0.033)
def test_score_has_the_dtype_of_the_samples(student):
    """Float32 in, float32 out; float64 in, float64 out; the samples stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.log_derivative.observed(standard_normal(2, dtype), three_points.to(dtype))), dtype)


# -- score_function_gradient --

four_draws = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, -2.0], [1.0, -1.0]])
reward = linear(torch.tensor([2.0, 1.0]), torch.zeros(()))
average_of_reward_times_score = torch.tensor([[3.25, 2.0], [4.25, -2.0]])  # of the standard normal, on these draws


def largest_value(f: Family, x: Tensor) -> float:
    """A bound of what evaluating f rounds."""
    return 10 * (1 + float(f.double()(x.double()).abs().amax()))


@score_function
@weight(0.6)
def test_reward_and_score_are_multiplied_sample_by_sample(student):
    """The average of f(x_i) times the score of x_i: for a Gaussian, (x - mu) / sigma^2 by mu and the like by log sigma."""
    got = student.score_function_gradient(reward, gaussian_log_p(), torch.zeros(2, 2), four_draws)
    assert_agrees(got, average_of_reward_times_score, scale=9.0)
    first = linear(torch.tensor([1.0, 0.0]), torch.zeros(()))  # no reward for the third draw, which counts among the four
    got = student.score_function_gradient(first, gaussian_log_p(), torch.zeros(2, 2), four_draws)
    assert_agrees(got, torch.tensor([[1.5, 0.25], [1.5, -0.25]]), scale=9.0)


@score_function
@weight(0.6)
@examples(4)
@given(case=laws, name=st.sampled_from(["convex quadratic", "log-sum-exp", "sine", "gaussian"]), key=draw.seeds,
       far=st.sampled_from([1.0, 1e-20, 1e20]))  # fmt: skip
@example(case=law("gaussian", n=5, m=2, key=0, dtype=torch.float32), name="gaussian", key=0, far=1e20)
@example(case=law("exponential", n=3, m=2, key=0, dtype=torch.float64), name="sine", key=0, far=1.0)
@example(case=law("categorical", n=3, m=3, key=0, dtype=torch.float32), name="log-sum-exp", key=0, far=1e-20)
def test_estimate_averages_f_times_the_score(student, ref, case, name, key, far):
    """The estimate is the average of f(x_i) times the score of x_i, for a parameter of any shape and f of any size."""
    dtype = case.x.dtype
    f = scaled(torch.tensor(far, dtype=dtype), real_function(name, 1, case.x.shape[1], key, dtype).f)
    got = student.score_function_gradient(f, case.log_p, case.theta, case.x)
    want = ref.score_function_gradient(f, case.log_p, case.theta, case.x)
    size = far * case.size * largest_value(scaled(torch.tensor(1 / far, dtype=torch.float64), f), case.x)
    assert_agrees(got, want, like=case.theta, scale=size)


@score_function
@weight(0.4)
@examples(3)
@given(counts=st.lists(st.integers(1, 3), min_size=2, max_size=4), key=draw.seeds, dtype=draw.dtypes)
@example(counts=[1, 3], key=0, dtype=torch.float32)
@example(counts=[3, 2, 1], key=125250111, dtype=torch.float64)  # a norm above one
def test_estimate_is_the_gradient_where_samples_enumerate_the_law(student, counts, key, dtype):
    """On samples with exactly the frequencies of the law, the estimate is the gradient of the expectation itself."""
    K, n = len(counts), sum(counts)
    x = torch.arange(K).repeat_interleave(torch.tensor(counts))[:, None].to(dtype)  # value k comes n pi_k times
    c = draw.normal((3, 1), key, dtype=dtype)
    f = coordinate_sum(polynomial(c))
    theta = (torch.tensor([counts], dtype=torch.float64) / n).log().to(dtype).requires_grad_()
    got = student.score_function_gradient(f, categorical_log_p(), theta.detach(), x)
    expectation = (theta.double().softmax(dim=1)[0] * f.double()(torch.arange(K)[:, None].double())).sum()
    (want,) = torch.autograd.grad(expectation, theta)
    assert_agrees(got, want.double(), like=dtype, scale=10 * float(c.abs().sum()) * K**2)


@score_function
@weight(0.3)
@examples(3)
@given(b=st.integers(-40, 40), n=st.integers(2, 6), key=draw.seeds, dtype=draw.dtypes)
@example(b=10, n=2, key=0, dtype=torch.float32)
@example(b=-10, n=5, key=0, dtype=torch.float64)
def test_estimate_has_no_baseline(student, b, n, key, dtype):
    """For a constant f the average score remains, times the constant: on one batch it is not zero."""
    x = draw.uniform((n, 1), key, 0, 2, dtype) + 2  # every sample above the mean of the law, so every score is negative
    f = linear(torch.zeros(1, dtype=dtype), torch.tensor(float(b), dtype=dtype))
    got = student.score_function_gradient(f, exponential_log_p(), torch.zeros((), dtype=dtype), x)
    assert_agrees(got, b * (1 - x.double().mean()), like=dtype, scale=4.0 * abs(b))


@score_function
@weight(0.3)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes, log_rate=st.sampled_from([-12.0, 0.0, 12.0]))
@example(key=0, dtype=torch.float32, log_rate=-12.0)
@example(key=1, dtype=torch.float64, log_rate=12.0)
def test_estimate_counts_every_one_of_many_samples(student, key, dtype, log_rate):
    """Of 4099 draws from an exponential law, of whatever rate, none is left out; the last three are far from the others."""
    x, theta = waiting_times(MANY, log_rate, key, dtype), torch.tensor(log_rate, dtype=dtype)
    f = linear(torch.ones(2, dtype=dtype), torch.zeros((), dtype=dtype))
    got = student.score_function_gradient(f, exponential_log_p(), theta, x)
    total = x.double().sum(dim=1)
    want = (total * (2 - theta.double().exp() * total)).mean()
    assert_agrees(got, want, like=dtype, scale=(total * (2 + theta.double().exp() * total)).mean() * 4)


@score_function
@weight(0.25)
@examples(2)
@given(size=st.sampled_from([(1, 1), (1, 3), (4, 1)]), key=draw.seeds, dtype=draw.dtypes)
@example(size=(1, 3), key=0, dtype=torch.float32)
@example(size=(4, 1), key=0, dtype=torch.float32)
@example(size=(1, 1), key=0, dtype=torch.float64)
def test_estimate_from_a_single_sample_or_dimension(student, size, key, dtype):
    """One sample or one dimension is enough, and theta keeps its shape."""
    m = size[1]
    x, theta = draw.normal(size, key, dtype=dtype), torch.zeros(2, m, dtype=dtype)
    f = linear(torch.ones(m, dtype=dtype), torch.ones((), dtype=dtype))
    value = (x.double().sum(dim=1) + 1)[:, None, None]
    scores = torch.stack([x.double(), x.double().square() - 1], dim=1)  # (n, 2, m)
    got = student.score_function_gradient(f, gaussian_log_p(), theta, x)
    assert_agrees(got, (value * scores).mean(dim=0), like=dtype, scale=200.0)


@score_function
@weight(0.4)
def test_estimate_depends_on_its_arguments_alone(student):
    """The numbers in x and theta count: not how they lie in memory, and not what an earlier call was given or left there."""
    other = torch.tensor([[1.0, 1.0], [0.0, 0.0]])  # the mean
    for x, plain in layouts(four_draws, four_draws.flip(0)):
        got = student.score_function_gradient(reward, gaussian_log_p(), torch.zeros(2, 2), x)
        assert_agrees(got, average_of_reward_times_score, like=plain, scale=9.0)
    for theta, plain in layouts(torch.zeros(2, 2), other):
        got = student.score_function_gradient(reward, gaussian_log_p(), theta, four_draws)
        z = (four_draws - plain[0]).double()
        scores = torch.stack([z, z.square() - 1], dim=1)
        value = (2 * four_draws[:, 0] + four_draws[:, 1]).double()
        assert_agrees(got, (value[:, None, None] * scores).mean(dim=0), like=plain, scale=50.0)


@score_function
@weight(0.05)
def test_estimate_has_the_dtype_of_theta(student):
    """Float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        f, theta = linear(torch.ones(2, dtype=dtype), torch.zeros((), dtype=dtype)), torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.score_function_gradient.observed(f, gaussian_log_p(), theta, four_draws.to(dtype))), dtype)
