"""Change of variables (slide 26): the densities of data and of latents."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import LogNormal, MultivariateNormal, Normal

from grader.checking.compare import assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.student import Function
from grader.checks.lecture1.change_of_variables.draw import (
    CONDITION,
    HUGE,
    TINY,
    density_problems,
    diffeomorphism,
    embedding,
    log_densities,
    matrix,
    planar_parameters,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.diffeomorphisms import logistic_log_density, planar, reverse, stretch
from grader.checks.lecture1.shared.families import affine, compose, elementwise, gaussian_log_density, scaled
from grader.checks.lecture1.shared.samplers import uniform_log_density
from grader.sandbox.wire.families import Family

log_prob_x = pytest.mark.exercise("change_of_variables.log_prob_x")
log_prob_z = pytest.mark.exercise("change_of_variables.log_prob_z")
weight = pytest.mark.weight
examples = pytest.mark.examples

dimensions = st.integers(1, 5)


# -- log_prob_x --


@log_prob_x
@weight(0.75)
@examples(7)
@given(problem=density_problems())
@example(problem=(stretch(torch.tensor([1.0])), gaussian_log_density(torch.ones(1), torch.ones(1)), torch.ones(1, 1)))
@example(problem=(stretch(torch.ones(2)), gaussian_log_density(torch.ones(2), torch.ones(2)), torch.ones(3, 2)))
def test_log_prob_x_is_the_change_of_variables(student, ref, problem):
    """The log-density of a sample is that of its latent plus the log-volume change at the sample."""
    f, log_p_z, x = problem
    want, scale = ref.log_prob_x(f, log_p_z, x), ref.rounding_of_log_prob(f, log_p_z, x)
    assert_agrees(student.log_prob_x(f, log_p_z, x), want, like=x, scale=scale, unit="nats")


@log_prob_x
@weight(0.5)
@examples(4)
@given(m=dimensions, n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
def test_a_gaussian_through_an_affine_map_is_gaussian(student, m, n, key, dtype):
    """If A x + b is Gaussian, so is x."""
    A, b = _mirrored(matrix(m, key, dtype)), draw.normal((m,), key, 1.0, dtype)
    mu, sigma = draw.normal((m,), key + 1, 1.0, dtype), draw.uniform((m,), key, 0.5, 2.0, dtype)
    x = draw.normal((n, m), key + 2, 1.0, dtype)
    got = student.log_prob_x(affine(A, b), gaussian_log_density(mu, sigma), x)
    mean = torch.linalg.solve(A.double(), (mu - b).double())
    precision = A.double().T @ torch.diag(sigma.double() ** -2) @ A.double()
    want = MultivariateNormal(mean, precision_matrix=precision).log_prob(x.double())
    assert_agrees(got, want, like=dtype, scale=m * CONDITION + _gaussian_size(x, b, mu, sigma), unit="nats")


@log_prob_x
@weight(0.5)
@examples(4)
@given(m=st.integers(1, 3), n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
def test_famous_laws_are_images_of_one_another(student, m, n, key, dtype):
    """A positive variable with Gaussian logarithm is log-normal; one whose sigmoid is uniform is logistic."""
    mu, sigma = draw.normal((m,), key, 1.0, dtype), draw.uniform((m,), key, 0.5, 2.0, dtype)
    positive = draw.uniform((n, m), key + 1, 0.1, 4.0, dtype)
    got = student.log_prob_x(elementwise("log"), gaussian_log_density(mu, sigma), positive)
    want = LogNormal(mu.double(), sigma.double()).log_prob(positive.double()).sum(dim=1)
    assert_agrees(got, want, like=dtype, scale=_gaussian_size(positive.log(), mu, mu, sigma), what="the log-normal")
    x = draw.uniform((n, m), key + 2, -2.0, 2.0, dtype)
    got = student.log_prob_x(elementwise("sigmoid"), uniform_log_density(*_unit_box(m, dtype)), x)
    want = logistic_log_density()(x.double())
    assert_agrees(got, want, like=dtype, scale=m * 10, what="the logistic")  # 1 - sigmoid(2) = 0.12 loses a digit


@log_prob_x
@weight(0.5)
@examples(4)
@given(a=st.sampled_from([-0.5, 0.0, 0.5, 1.0]), mirror=st.booleans(), key=draw.seeds)
def test_log_prob_x_integrates_to_one(student, a, mirror, key):
    """A density has total mass one: the trapezoid rule, exact to 1e-9 for these smooth densities, finds it."""
    f = stretch(torch.tensor([a], dtype=torch.float64))
    f = compose(elementwise("negative"), f) if mirror else f
    mu, sigma = draw.normal((1,), key, 0.5, torch.float64), draw.uniform((1,), key, 0.8, 1.5, torch.float64)
    grid = torch.linspace(-16, 16, 257, dtype=torch.float64)  # steps of 1/8
    got = student.log_prob_x(f, gaussian_log_density(mu, sigma), grid[:, None])
    assert_form(got, (257,), torch.float64)
    mass = got.exp().sum() / 8
    assert_agrees(mass, torch.tensor(1.0, dtype=torch.float64), error=1e-9, what="the integral of exp(log_prob_x)")


@log_prob_x
@weight(0.5)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes, c=st.sampled_from([TINY, HUGE]))
@example(key=0, dtype=torch.float32, c=TINY)
@example(key=0, dtype=torch.float64, c=HUGE)
def test_log_prob_x_is_finite_where_densities_are_not(student, key, dtype, c):
    """In 64 dimensions densities under- and overflow; their logarithms stay right."""
    f, base, x, want, size = _far_out(key, dtype, c)
    assert_agrees(student.log_prob_x(f, base, x), want, like=dtype, scale=size, unit="nats")


@log_prob_x
@weight(0.25)
def test_data_whose_latents_are_impossible_are_impossible(student):
    """Where the latent has density zero the log-density of the sample is -inf."""
    f, x = scaled(torch.tensor(2.0), reverse()), torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, -0.75]])
    got = student.log_prob_x(f, uniform_log_density(*_unit_box(2, torch.float32)), x)
    assert_agrees(got, torch.tensor([math.log(4.0), -math.inf, -math.inf], dtype=torch.float64), like=x, unit="nats")


@log_prob_x
@weight(0.5)
@examples(4)
@given(m=dimensions, n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
@example(m=2, n=3, key=1, dtype=torch.float32)
def test_a_flow_can_be_trained_by_its_log_prob(student, ref, m, n, key, dtype):
    """The log-density has gradients by the samples, by the parameters of f and by those of the base density."""
    _check_gradients(student.log_prob_x, ref, m, n, key, dtype)


@log_prob_x
@weight(0.25)
def test_log_prob_x_works_without_gradient_tracking(student):
    """Under the caller's torch.no_grad() the result is the same, and no call leaves a trace."""
    _check_under_no_grad(student.log_prob_x)


@log_prob_x
@weight(0.25)
def test_log_prob_x_refuses_what_makes_no_sense(student):
    """There is at least one sample of at least one dimension, and the map keeps the number of dimensions."""
    _check_refusals(student.log_prob_x, "x", "f")


# -- log_prob_z --


@log_prob_z
@weight(0.75)
@examples(7)
@given(problem=density_problems())
@example(problem=(stretch(torch.tensor([1.0])), gaussian_log_density(torch.ones(1), torch.ones(1)), torch.ones(1, 1)))
@example(problem=(planar(*planar_parameters(2, 1, torch.float32)), logistic_log_density(), torch.ones(3, 2)))
def test_log_prob_z_is_the_change_of_variables(student, ref, problem):
    """The log-density of a latent is that of its sample plus the log-volume change of the inverse at the latent."""
    f_inverse, log_p_x, z = problem
    want, scale = ref.log_prob_z(f_inverse, log_p_x, z), ref.rounding_of_log_prob(f_inverse, log_p_x, z)
    assert_agrees(student.log_prob_z(f_inverse, log_p_x, z), want, like=z, scale=scale, unit="nats")


@log_prob_z
@weight(0.5)
@examples(4)
@given(m=dimensions, n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
def test_a_gaussian_seen_through_an_inverse_is_gaussian(student, m, n, key, dtype):
    """If x = B z + c is Gaussian, so is z."""
    B, c = _mirrored(matrix(m, key, dtype)), draw.normal((m,), key, 1.0, dtype)
    mu, sigma = draw.normal((m,), key + 1, 1.0, dtype), draw.uniform((m,), key, 0.5, 2.0, dtype)
    z = draw.normal((n, m), key + 2, 1.0, dtype)
    got = student.log_prob_z(affine(B, c), gaussian_log_density(mu, sigma), z)
    inverse = torch.linalg.inv(B.double())
    covariance = inverse @ torch.diag(sigma.double() ** 2) @ inverse.T
    want = MultivariateNormal(inverse @ (mu - c).double(), (covariance + covariance.T) / 2).log_prob(z.double())
    assert_agrees(got, want, like=dtype, scale=m * CONDITION**2 + _gaussian_size(z, c, mu, sigma), unit="nats")


@log_prob_z
@weight(0.5)
@examples(4)
@given(m=st.integers(1, 3), n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
def test_a_law_seen_through_its_distribution_function_is_uniform(student, m, n, key, dtype):
    """A logistic variable, pushed through its own distribution function, is uniform on (0, 1): log-density zero."""
    z = draw.uniform((n, m), key, 0.1, 0.9, dtype)
    got = student.log_prob_z(elementwise("logit"), logistic_log_density(), z)
    assert_agrees(got, torch.zeros(n), like=dtype, scale=m * 10, unit="nats")


@log_prob_z
@weight(0.5)
@examples(4)
@given(there=st.sampled_from(["sinh", "exp", "sigmoid"]), key=draw.seeds, data=log_densities(2, torch.float64))
def test_a_map_and_its_inverse_undo_each_other(student, there, key, data):
    """The volume change of the inverse at z takes back that of the map at x = f^-1(z)."""
    back = {"sinh": "asinh", "exp": "log", "sigmoid": "logit"}[there]
    f, f_inverse = compose(reverse(), elementwise(back)), compose(elementwise(there), reverse())
    z = draw.normal((3, 2), key, 1.0, torch.float64)
    x = f_inverse(z)
    one, other = student.log_prob_z(f_inverse, data, z), student.log_prob_z(f, data, x)
    for value in (one, other):
        assert_form(value, (3,), torch.float64)
    rounding = 1 + (x.abs().amax(dim=1) + z.abs().amax(dim=1) + 2).exp() ** 2  # of x, z and of 1 - sigmoid
    assert_agrees(one + other, data(x) + data(z), scale=rounding, what="the sum of the log-densities there and back")


@log_prob_z
@weight(0.5)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes, c=st.sampled_from([TINY, HUGE]))
@example(key=0, dtype=torch.float32, c=TINY)
@example(key=0, dtype=torch.float64, c=HUGE)
def test_log_prob_z_is_finite_where_densities_are_not(student, key, dtype, c):
    """In 64 dimensions densities under- and overflow; their logarithms stay right."""
    f_inverse, law, z, want, size = _far_out(key, dtype, c)
    assert_agrees(student.log_prob_z(f_inverse, law, z), want, like=dtype, scale=size, unit="nats")


@log_prob_z
@weight(0.25)
def test_latents_of_impossible_data_are_impossible(student):
    """Where the sample has density zero the log-density of the latent is -inf."""
    f_inverse, z = scaled(torch.tensor(2.0), reverse()), torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, -0.75]])
    got = student.log_prob_z(f_inverse, uniform_log_density(*_unit_box(2, torch.float32)), z)
    assert_agrees(got, torch.tensor([math.log(4.0), -math.inf, -math.inf], dtype=torch.float64), like=z, unit="nats")


@log_prob_z
@weight(0.5)
@examples(4)
@given(m=dimensions, n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
@example(m=2, n=3, key=1, dtype=torch.float32)
def test_log_prob_z_is_differentiable(student, ref, m, n, key, dtype):
    """The log-density has gradients by the latents, by the parameters of the inverse and by those of the data law."""
    _check_gradients(student.log_prob_z, ref, m, n, key, dtype)


@log_prob_z
@weight(0.25)
def test_log_prob_z_works_without_gradient_tracking(student):
    """Under the caller's torch.no_grad() the result is the same, and no call leaves a trace."""
    _check_under_no_grad(student.log_prob_z)


@log_prob_z
@weight(0.25)
def test_log_prob_z_refuses_what_makes_no_sense(student):
    """There is at least one latent of at least one dimension, and the map keeps the number of dimensions."""
    _check_refusals(student.log_prob_z, "z", "f_inverse")


# -- what log_prob_x and log_prob_z have in common: one map, one density, one batch --


def _check_gradients(log_prob: Function, ref, m: int, n: int, key: int, dtype: torch.dtype) -> None:
    u, w, b = planar_parameters(m, key, dtype)
    mu, sigma = draw.normal((m,), key + 1, 1.0, dtype), draw.uniform((m,), key, 0.5, 2.0, dtype)
    x = draw.normal((n, m), key + 2, 1.0, dtype)
    parameters = [u, w, b, mu, sigma]
    value, gradients = log_prob.gradient(planar(u, w, b), gaussian_log_density(mu, sigma), x, wrt=[*parameters, x])
    assert_form(value, (n,), dtype)
    scale = n * m * CONDITION + n * _gaussian_size(x, b, mu, sigma).max()
    wanted = ref.planar_gaussian_gradients(*parameters, x)
    for got, want, by in zip(gradients, wanted, ["u", "w", "b", "mu", "sigma", "the samples"], strict=True):
        assert_agrees(got, want, like=dtype, scale=scale, what=f"the gradient by {by}")


def _check_under_no_grad(log_prob: Function) -> None:
    f, x = diffeomorphism("residual", 3, 0, torch.float64), draw.normal((2, 3), 0, 1.0, torch.float64)
    law = gaussian_log_density(torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64))
    observed = log_prob.observed(f, law, x)
    assert_no_trace(observed)
    assert_form(observed.value, (2,), torch.float64)
    assert_agrees(log_prob.under_no_grad(f, law, x), observed.value, scale=3 * CONDITION)


def _check_refusals(log_prob: Function, batch: str, map_: str) -> None:
    for shape in [(0, 2), (2, 0)]:
        law = gaussian_log_density(torch.zeros(shape[1]), torch.ones(shape[1]))
        with refuses(batch, "x", "n", "m"):
            log_prob(stretch(torch.zeros(shape[1])), law, torch.zeros(shape))
    with refuses(map_, "f", batch, "x", "m", "d"):
        log_prob(embedding(), gaussian_log_density(torch.zeros(3), torch.ones(3)), torch.ones(2, 2))


def _far_out(key: int, dtype: torch.dtype, c: float) -> tuple[Family, Family, Tensor, Tensor, float]:
    """A map that scales 64 dimensions, a standard Gaussian, points 8 sigma out in all of them, and the answer."""
    m = 64
    f = scaled(torch.tensor(c, dtype=dtype), reverse())
    x = 8 * (1 - 2 * draw.integers((2, m), key, 2)).to(dtype) / c
    want = Normal(0.0, torch.tensor(1 / c, dtype=torch.float64)).log_prob(x.double()).sum(dim=1)
    return f, gaussian_log_density(torch.zeros(m, dtype=dtype), torch.ones(m, dtype=dtype)), x, want, m * 8.0**2


def _unit_box(m: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The lowest and the highest corner of [0, 1]^m."""
    return torch.zeros(m, dtype=dtype), torch.ones(m, dtype=dtype)


def _mirrored(A: Tensor) -> Tensor:
    """A, its first row reflected where that is needed for a negative determinant."""
    return A if torch.linalg.det(A) < 0 else torch.cat([-A[:1], A[1:]])


def _gaussian_size(x: Tensor, b: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """For each row of x, the size of the terms that evaluating a Gaussian log-density of A x + b rounds."""
    reach = x.double().abs().sum(dim=1) + b.double().abs().max() + mu.double().abs().max()  # (n,)
    return x.shape[1] * (1 + (4 * reach / sigma.double().min()) ** 2)
