"""The log-derivative trick (slide 25): the score of a density, and the gradient of an expectation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_form, assert_gradient_agrees, assert_no_trace, refuses
from grader.checks.lecture1.course_tricks.draw import densities, density, dims, law, laws, real_function, sizes
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import (
    categorical_log_p,
    compose,
    coordinate_sum,
    elementwise,
    exponential_log_p,
    gaussian_density,
    linear,
    multiply,
    polynomial,
    scaled,
)
from grader.sandbox.wire.families import Family

log_derivative = pytest.mark.exercise("course_tricks.log_derivative")
score_function = pytest.mark.exercise("course_tricks.score_function_gradient")
weight = pytest.mark.weight
examples = pytest.mark.examples

standard_normal = gaussian_density(torch.zeros(1), torch.ones(1))
first_value = linear(torch.ones(1), torch.zeros(()))
curves = st.sampled_from(["convex quadratic", "log-sum-exp", "sine"])


def largest_value(f: Family, x: Tensor) -> float:
    """A bound of what evaluating f rounds."""
    return 10 * (1 + float(f.double()(x.double()).abs().amax()))


# -- log_derivative --


@log_derivative
@weight(0.5)
@examples(10)
@given(case=densities)
@example(case=density("mixture", n=3, m=2, key=0, dtype=torch.float32))
@example(case=density("unnormalised", n=2, m=3, key=0, dtype=torch.float64))
@example(case=density("gaussian", n=1, m=1, key=0, dtype=torch.float32))
def test_score_is_the_gradient_of_p_over_p(student, ref, case):
    """At every sample the gradient of log p is the gradient of p divided by p."""
    got = student.log_derivative(case.f, case.x)
    assert_agrees(got, ref.log_derivative(case.f, case.x), like=case.x, scale=case.size)


@log_derivative
@weight(0.25)
@examples(5)
@given(case=densities, c=st.sampled_from([1e-8, 1e-3, 7.0, 1e8]))
@example(case=density("gaussian", n=2, m=2, key=0, dtype=torch.float32), c=1e-8)
def test_score_ignores_the_normalising_constant(student, case, c):
    """A density and a multiple of it have the same score."""
    plain = student.log_derivative(case.f, case.x)
    assert_form(plain, case.x.shape, case.x.dtype)
    got = student.log_derivative(scaled(torch.tensor(c, dtype=case.x.dtype), case.f), case.x)
    assert_agrees(plain.isfinite().all(), torch.tensor(True), what="the finiteness of the score")
    assert_agrees(got, plain.double(), like=case.x, scale=2 * case.size)


@log_derivative
@weight(0.25)
@examples(5)
@given(n=sizes(1, 5), m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=2, key=0, dtype=torch.float32)
def test_scores_of_a_product_add_up(student, n, m, key, dtype):
    """The score of a Gaussian is linear and points to its mean; that of a product of densities is the sum of scores."""
    x, mu = draw.uniform((n, m), key, -1, 1, dtype), draw.uniform((m,), key + 1, -1, 1, dtype)
    sigma, tilt = draw.uniform((m,), key + 2, 0.5, 2, dtype), draw.normal((m,), key + 3, dtype=dtype)
    gaussian = gaussian_density(mu, sigma)
    tilted = multiply(gaussian, compose(elementwise("exp"), linear(tilt, torch.zeros((), dtype=dtype))))
    score = (mu - x).double() / sigma.double() ** 2
    assert_agrees(student.log_derivative(gaussian, x), score, like=dtype, scale=40.0)
    assert_agrees(student.log_derivative(tilted, x), score + tilt.double(), like=dtype, scale=40.0)


@log_derivative
@weight(0.5)
@examples(4)
@given(n=sizes(1, 4), m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=2, key=0, dtype=torch.float32)
def test_score_can_be_differentiated_again(student, n, m, key, dtype):
    """The score of a Gaussian moves with x and with mu at the rate of the inverse variance, in opposite directions."""
    x, mu = draw.uniform((n, m), key, -1, 1, dtype), draw.uniform((m,), key + 1, -1, 1, dtype)
    sigma, w = draw.uniform((m,), key + 2, 0.5, 2, dtype), draw.normal((n, m), key + 3, dtype=dtype)
    _, (by_x, by_mu) = student.log_derivative.gradient(gaussian_density(mu, sigma), x, wrt=[x, mu], weights=w)
    rate, size = w.double() / sigma.double() ** 2, 40.0 * (1 + float(w.abs().amax()))
    assert_gradient_agrees(by_x, -rate, of="x", like=dtype, scale=size * 40)  # an intermediate is a squared score
    assert_gradient_agrees(by_mu, rate.sum(dim=0), of="the parameters of p", like=dtype, scale=n * size * 40)


@log_derivative
@weight(0.25)
def test_score_needs_samples(student):
    """Without samples or dimensions there is no score; one of each is enough."""
    assert_agrees(student.log_derivative(standard_normal, torch.tensor([[2.0]])), torch.tensor([[-2.0]]), scale=4.0)
    with refuses("x", "n"):
        student.log_derivative(standard_normal, torch.zeros(0, 1))
    with refuses("x", "m"):
        student.log_derivative(linear(torch.ones(0), torch.ones(())), torch.zeros(3, 0))


@log_derivative
@weight(0.25)
def test_score_works_under_no_grad_and_leaves_no_trace(student):
    """Autograd inside is nobody else's business: x stays as it is, and the caller may have gradients off."""
    x, score = torch.tensor([[2.0], [-0.5]]), torch.tensor([[-2.0], [0.5]])
    assert_agrees(student.log_derivative.under_no_grad(standard_normal, x), score, scale=4.0)
    observed = student.log_derivative.observed(standard_normal, x)
    assert_agrees(observed.value, score, scale=4.0)
    assert_no_trace(observed)


# -- score_function_gradient --


@score_function
@weight(0.75)
@examples(8)
@given(case=laws, name=curves, key=draw.seeds)
@example(case=law("gaussian", n=5, m=2, key=0, dtype=torch.float32), name="convex quadratic", key=0)
@example(case=law("exponential", n=3, m=2, key=0, dtype=torch.float64), name="sine", key=0)
@example(case=law("categorical", n=1, m=3, key=0, dtype=torch.float32), name="log-sum-exp", key=0)
def test_estimate_averages_f_times_the_score(student, ref, case, name, key):
    """The estimate is the average of f(x_i) times the score of x_i, for a parameter of any shape."""
    f = real_function(name, 1, case.x.shape[1], key, case.x.dtype).f
    got = student.score_function_gradient(f, case.log_p, case.theta, case.x)
    want = ref.score_function_gradient(f, case.log_p, case.theta, case.x)
    assert_agrees(got, want, like=case.theta, scale=case.size * largest_value(f, case.x))


@score_function
@weight(0.5)
@examples(5)
@given(counts=st.lists(st.integers(1, 3), min_size=2, max_size=4), key=draw.seeds, dtype=draw.dtypes)
@example(counts=[1, 3], key=0, dtype=torch.float32)
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
@weight(0.25)
@examples(5)
@given(b=st.integers(1, 40), n=sizes(), key=draw.seeds, dtype=draw.dtypes)
@example(b=10, n=2, key=0, dtype=torch.float32)
def test_estimate_has_no_baseline(student, b, n, key, dtype):
    """For a constant f the average score remains, times the constant: on one batch it is not zero."""
    x = draw.uniform((n, 1), key, 0, 2, dtype) + 2  # every sample above the mean of the law, so every score is negative
    f = linear(torch.zeros(1, dtype=dtype), torch.tensor(float(b), dtype=dtype))
    got = student.score_function_gradient(f, exponential_log_p(), torch.zeros((), dtype=dtype), x)
    assert_agrees(got, b * (1 - x.double().mean()), like=dtype, scale=4.0 * b)


@score_function
@weight(0.5)
@examples(4)
@given(case=laws, name=curves, key=draw.seeds)
@example(case=law("gaussian", n=2, m=2, key=0, dtype=torch.float32), name="sine", key=0)
def test_estimate_can_be_differentiated_again(student, ref, case, name, key):
    """The estimate depends on theta through the scores and on x through f and the scores: so do its gradients."""
    f, dtype = real_function(name, 1, case.x.shape[1], key, case.x.dtype).f, case.x.dtype
    w = draw.normal(tuple(case.theta.shape), key + 1, dtype=dtype)
    arguments = (f, case.log_p, case.theta, case.x)
    _, (by_theta, by_x) = student.score_function_gradient.gradient(*arguments, wrt=[case.theta, case.x], weights=w)
    want_by_theta, want_by_x = ref.score_function_gradient_derivatives(*arguments, w)
    size = 10 * case.size * largest_value(f, case.x) * (1 + float(w.abs().sum()))
    assert_gradient_agrees(by_theta, want_by_theta, of="theta", like=dtype, scale=size)
    assert_gradient_agrees(by_x, want_by_x, of="x", like=dtype, scale=size)


@score_function
@weight(0.25)
def test_estimate_follows_the_parameters_of_f(student):
    """The estimate is linear in f: its gradient by a constant added to f is the average score."""
    x, b = torch.tensor([[2.0], [3.0]]), torch.tensor(5.0)
    f = linear(torch.ones(1), b)
    value, (by_b,) = student.score_function_gradient.gradient(f, exponential_log_p(), torch.tensor(0.0), x, wrt=[b])
    assert_agrees(value, torch.tensor(-11.5), scale=20.0)
    assert_gradient_agrees(by_b, torch.tensor(-1.5), of="the parameters of f", scale=4.0)


@score_function
@weight(0.25)
def test_estimate_needs_samples(student):
    """Without samples or dimensions there is nothing to average; one of each is enough."""
    theta = torch.tensor(0.0)
    got = student.score_function_gradient(first_value, exponential_log_p(), theta, torch.tensor([[3.0]]))
    assert_agrees(got, torch.tensor(-6.0), scale=9.0)
    with refuses("x", "n"):
        student.score_function_gradient(first_value, exponential_log_p(), theta, torch.zeros(0, 1))
    with refuses("x", "m"):
        nothing = linear(torch.ones(0), torch.zeros(()))
        student.score_function_gradient(nothing, exponential_log_p(), theta, torch.zeros(3, 0))


@score_function
@weight(0.5)
def test_estimate_works_under_no_grad_and_leaves_no_trace(student):
    """Autograd inside is nobody else's business: theta stays as it is, and the caller may have gradients off."""
    arguments = (first_value, exponential_log_p(), torch.tensor(0.0), torch.tensor([[3.0], [1.0]]))
    assert_agrees(student.score_function_gradient.under_no_grad(*arguments), torch.tensor(-3.0), scale=9.0)
    observed = student.score_function_gradient.observed(*arguments)
    assert_agrees(observed.value, torch.tensor(-3.0), scale=9.0)
    assert_no_trace(observed)
