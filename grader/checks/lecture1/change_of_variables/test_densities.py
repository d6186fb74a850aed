"""Change of variables (slide 26): the densities of data and of latents."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import LogNormal, MultivariateNormal, Normal

from grader.checking.compare import assert_agrees, assert_dtype, assert_form, assert_gradient_agrees, assert_unchanged
from grader.checking.student import Function
from grader.checks.lecture1.change_of_variables.draw import (
    CONDITION,
    HUGE,
    SQUARES_UNDERFLOW,
    TINY,
    density_problems,
    diffeomorphism,
    many_points,
    matrix,
    planar_gaussian_gradients,
    planar_log_abs_det,
    planar_parameters,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.diffeomorphisms import logistic_log_density, planar, reverse, stretch
from grader.checks.lecture1.shared.families import affine, compose, elementwise, gaussian_log_density, scaled
from grader.checks.lecture1.shared.handed_on import handed_on
from grader.checks.lecture1.shared.layouts import layouts
from grader.checks.lecture1.shared.samplers import uniform_log_density
from grader.sandbox.wire.families import Family

log_prob_x = pytest.mark.exercise("change_of_variables.log_prob_x")
log_prob_z = pytest.mark.exercise("change_of_variables.log_prob_z")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.sampled_from([(3, 2), (2, 3), (4, 3)])  # n, m
edges = st.sampled_from([(1, 1), (1, 3), (4, 1)])
three_points = torch.tensor([[0.5, 0.0], [0.0, 1.0], [1.0, 0.5]])
stretch_and_swap = affine(torch.tensor([[0.0, -2.0], [3.0, 0.0]]), torch.tensor([1.0, 0.0]))  # of determinant 6
MANY = 1031  # a prime: no batch size divides it


def standard_normal(m: int, dtype: torch.dtype = torch.float32) -> Family:
    """The log-density of m independent standard normal variables."""
    return gaussian_log_density(torch.zeros(m, dtype=dtype), torch.ones(m, dtype=dtype))


# -- log_prob_x --


@log_prob_x
@weight(0.6)
def test_log_prob_x_of_three_points(student):
    """The map of determinant 6 takes the points to (1, 1.5), (-1, 0) and (0, 3): their log-densities, and log 6 more."""
    _check_three_points(student.log_prob_x)


@log_prob_x
@weight(0.6)
@examples(4)
@given(problem=density_problems())
@example(problem=(stretch(torch.ones(2)), standard_normal(2), torch.ones(3, 2)))
@example(problem=(diffeomorphism("residual", 3, 1, torch.float64), standard_normal(3, torch.float64),
                  draw.normal((2, 3), 1, 1.0, torch.float64)))  # fmt: skip
@example(problem=(diffeomorphism("coupling", 3, 1, torch.float32), logistic_log_density(), draw.normal((3, 3), 1)))
def test_log_prob_x_is_the_change_of_variables(student, ref, problem):
    """The log-density of a sample is that of its latent plus the log-volume change at the sample."""
    f, log_p_z, x = problem
    want, scale = ref.log_prob_x(f, log_p_z, x), ref.rounding_of_log_prob(f, log_p_z, x)
    assert_agrees(student.log_prob_x(f, log_p_z, x), want, like=x, scale=scale, unit="nats")


@log_prob_x
@weight(0.4)
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(3, 2), key=0, dtype=torch.float64)
def test_a_gaussian_through_a_mirroring_affine_map_is_gaussian(student, size, key, dtype):
    """If A x + b is Gaussian, so is x, also where A turns space inside out."""
    n, m = size
    A, b = _mirrored(matrix(m, key, dtype)), draw.normal((m,), key, 1.0, dtype)
    mu, sigma = draw.normal((m,), key + 1, 1.0, dtype), draw.uniform((m,), key, 0.5, 2.0, dtype)
    x = draw.normal((n, m), key + 2, 1.0, dtype)
    got = student.log_prob_x(affine(A, b), gaussian_log_density(mu, sigma), x)
    mean = torch.linalg.solve(A.double(), (mu - b).double())
    precision = A.double().T @ torch.diag(sigma.double() ** -2) @ A.double()
    want = MultivariateNormal(mean, precision_matrix=precision).log_prob(x.double())
    assert_agrees(got, want, like=dtype, scale=m * CONDITION + _gaussian_size(x, b, mu, sigma), unit="nats")


@log_prob_x
@weight(0.4)
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(3, 2), key=0, dtype=torch.float64)
def test_famous_laws_are_images_of_one_another(student, size, key, dtype):
    """A positive variable with Gaussian logarithm is log-normal; one whose sigmoid is uniform is logistic."""
    n, m = size
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
@weight(0.4)
@examples(2)
@given(a=st.sampled_from([-0.5, 0.5, 1.0]), key=draw.seeds)
@example(a=0.5, key=0)
def test_log_prob_x_integrates_to_one(student, a, key):
    """A density has total mass one: the trapezoid rule, exact to 1e-9 for these smooth densities, finds it."""
    f = compose(elementwise("negative"), stretch(torch.tensor([a], dtype=torch.float64)))
    mu, sigma = draw.normal((1,), key, 0.5, torch.float64), draw.uniform((1,), key, 0.8, 1.5, torch.float64)
    grid = torch.linspace(-16, 16, 257, dtype=torch.float64)  # steps of 1/8
    got = student.log_prob_x(f, gaussian_log_density(mu, sigma), grid[:, None])
    assert_form(got, (257,))
    mass, error = got.double().exp().sum() / 8, 1e-9 if got.dtype == torch.float64 else 1e-6
    assert_agrees(mass, torch.tensor(1.0, dtype=torch.float64), error=error, what="the integral of exp(log_prob_x)")


@log_prob_x
@weight(0.4)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes, c=st.sampled_from([TINY, HUGE]))
@example(key=0, dtype=torch.float32, c=TINY)
@example(key=0, dtype=torch.float64, c=HUGE)
def test_log_prob_x_is_finite_where_densities_are_not(student, key, dtype, c):
    """In 64 dimensions densities under- and overflow; their logarithms stay right."""
    _check_far_out(student.log_prob_x, key, dtype, c)


@log_prob_x
@weight(0.2)
def test_data_whose_latents_are_impossible_are_impossible(student):
    """Where the latent has density zero the log-density of the sample is -inf."""
    _check_impossible(student.log_prob_x)


@log_prob_x
@weight(0.15)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_log_prob_x_of_each_of_many_samples_is_its_own(student, key, dtype):
    """Of 1031 samples, some of them equal, each has the log-density that it has alone."""
    _check_many(student.log_prob_x, key, dtype)


@log_prob_x
@weight(0.15)
@examples(2)
@given(size=edges, key=draw.seeds, dtype=draw.dtypes)
@example(size=(1, 3), key=0, dtype=torch.float32)
@example(size=(4, 1), key=0, dtype=torch.float32)
@example(size=(1, 1), key=0, dtype=torch.float64)
def test_log_prob_x_of_a_single_sample_or_dimension(student, size, key, dtype):
    """One sample or one dimension is enough."""
    _check_edge(student.log_prob_x, *size, key, dtype)


@log_prob_x
@weight(0.1)
def test_log_prob_x_depends_on_the_samples_alone(student):
    """The numbers in x count: not how they lie in memory, and not what an earlier call was given."""
    _check_layouts(student.log_prob_x)


@log_prob_x
@weight(0.5)
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=1, dtype=torch.float32)
@example(size=(2, 9), key=1, dtype=torch.float64)
@example(size=(1, 3), key=1, dtype=torch.float32)
@example(size=(65, 1), key=1, dtype=torch.float32)
def test_a_flow_can_be_trained_by_its_log_prob(student, size, key, dtype):
    """The log-density has gradients by the samples, by the parameters of f and by those of the base density.

    By the parameters also for a single sample that asks for none.
    """
    _check_gradients(student.log_prob_x, *size, key, dtype)


@log_prob_x
@weight(0.1)
def test_log_prob_x_has_the_dtype_of_the_samples(student):
    """Float32 in, float32 out; float64 in, float64 out; x stays as it is."""
    _check_dtype(student.log_prob_x)


# -- log_prob_z --


@log_prob_z
@weight(0.6)
def test_log_prob_z_of_three_points(student):
    """The inverse of determinant 6 takes the points to (1, 1.5), (-1, 0) and (0, 3): their log-densities, and log 6 more."""
    _check_three_points(student.log_prob_z)


@log_prob_z
@weight(0.75)
@examples(4)
@given(problem=density_problems())
@example(problem=(stretch(torch.ones(2)), standard_normal(2), torch.ones(3, 2)))
@example(problem=(planar(*planar_parameters(2, 1, torch.float32)), logistic_log_density(), draw.normal((3, 2), 1)))
@example(problem=(diffeomorphism("autoregressive", 3, 1, torch.float64), standard_normal(3, torch.float64),
                  draw.normal((3, 3), 1, 1.0, torch.float64)))  # fmt: skip
def test_log_prob_z_is_the_change_of_variables(student, ref, problem):
    """The log-density of a latent is that of its sample plus the log-volume change of the inverse at the latent."""
    f_inverse, log_p_x, z = problem
    want, scale = ref.log_prob_z(f_inverse, log_p_x, z), ref.rounding_of_log_prob(f_inverse, log_p_x, z)
    assert_agrees(student.log_prob_z(f_inverse, log_p_x, z), want, like=z, scale=scale, unit="nats")


@log_prob_z
@weight(0.5)
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(3, 2), key=0, dtype=torch.float64)
def test_a_gaussian_seen_through_a_mirroring_inverse_is_gaussian(student, size, key, dtype):
    """If x = B z + c is Gaussian, so is z, also where B turns space inside out."""
    n, m = size
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
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(3, 2), key=0, dtype=torch.float64)
def test_a_law_seen_through_its_distribution_function_is_uniform(student, size, key, dtype):
    """A logistic variable, pushed through its own distribution function, is uniform on (0, 1): its density is flat."""
    n, m = size
    z = draw.uniform((n, m), key, 0.1, 0.9, dtype)
    got = student.log_prob_z(elementwise("logit"), logistic_log_density(), z)
    assert_agrees(got, torch.zeros(n), like=dtype, scale=m * 10, unit="nats")


@log_prob_z
@weight(0.4)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes, c=st.sampled_from([TINY, HUGE]))
@example(key=0, dtype=torch.float32, c=TINY)
@example(key=0, dtype=torch.float64, c=HUGE)
def test_log_prob_z_is_finite_where_densities_are_not(student, key, dtype, c):
    """In 64 dimensions densities under- and overflow; their logarithms stay right."""
    _check_far_out(student.log_prob_z, key, dtype, c)


@log_prob_z
@weight(0.2)
def test_latents_of_impossible_data_are_impossible(student):
    """Where the sample has density zero the log-density of the latent is -inf."""
    _check_impossible(student.log_prob_z)


@log_prob_z
@weight(0.2)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_log_prob_z_of_each_of_many_latents_is_its_own(student, key, dtype):
    """Of 1031 latents, some of them equal, each has the log-density that it has alone."""
    _check_many(student.log_prob_z, key, dtype)


@log_prob_z
@weight(0.15)
@examples(2)
@given(size=edges, key=draw.seeds, dtype=draw.dtypes)
@example(size=(1, 3), key=0, dtype=torch.float32)
@example(size=(4, 1), key=0, dtype=torch.float32)
@example(size=(1, 1), key=0, dtype=torch.float64)
def test_log_prob_z_of_a_single_latent_or_dimension(student, size, key, dtype):
    """One latent or one dimension is enough."""
    _check_edge(student.log_prob_z, *size, key, dtype)


@log_prob_z
@weight(0.1)
def test_log_prob_z_depends_on_the_latents_alone(student):
    """The numbers in z count: not how they lie in memory, and not what an earlier call was given."""
    _check_layouts(student.log_prob_z)


@log_prob_z
@weight(0.5)
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=1, dtype=torch.float32)
@example(size=(2, 9), key=1, dtype=torch.float64)
@example(size=(1, 3), key=1, dtype=torch.float32)
@example(size=(65, 1), key=1, dtype=torch.float32)
def test_log_prob_z_is_differentiable(student, size, key, dtype):
    """The log-density has gradients by the latents, by the parameters of the inverse and by those of the data law.

    By the parameters also for a single latent that asks for none.
    """
    _check_gradients(student.log_prob_z, *size, key, dtype)


@log_prob_z
@weight(0.1)
def test_log_prob_z_has_the_dtype_of_the_latents(student):
    """Float32 in, float32 out; float64 in, float64 out; z stays as it is."""
    _check_dtype(student.log_prob_z)


# -- what log_prob_x and log_prob_z have in common: one map, one density, one batch --


def _check_three_points(log_prob: Function) -> None:
    at = torch.tensor([[1.0, 1.5], [-1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    want = Normal(0.0, 1.0).log_prob(at).sum(dim=1) + math.log(6.0)
    got = log_prob(stretch_and_swap, standard_normal(2), three_points)
    mistaken = {
        "The log-determinant is missing: this is the density of the other variable, at the point where the map leads.": (
            want - math.log(6.0)
        ),
        "The log-determinant has the wrong sign.": want - 2 * math.log(6.0),
    }
    assert_agrees(got, want, like=three_points, scale=20, unit="nats", mistaken=mistaken)
    dense = gaussian_log_density(at[0].float(), torch.full((2,), 0.01))  # above one where the first point leads
    want = torch.tensor([math.log(6e4) - math.log(2 * math.pi)], dtype=torch.float64)
    assert_agrees(log_prob(stretch_and_swap, dense, three_points[:1]), want, like=three_points, scale=20, unit="nats")


def _check_far_out(log_prob: Function, key: int, dtype: torch.dtype, c: float) -> None:
    """A map that scales 64 dimensions, a standard Gaussian, its centre, and a point 12 sigma out in all of them.

    In two dimensions a map that scales by a number without a square, at the centre; and a point 10^4 sigma out.
    """
    m = 64
    x = torch.tensor([[0], [12]], dtype=dtype) * (1 - 2 * draw.integers((2, m), key, 2)).to(dtype) / c
    want = Normal(0.0, torch.tensor(1 / c, dtype=torch.float64)).log_prob(x.double()).sum(dim=1)
    got = log_prob(scaled(torch.tensor(c, dtype=dtype), reverse()), standard_normal(m, dtype), x)
    assert_agrees(got, want, like=dtype, scale=m * 12.0**2, unit="nats")
    zero = torch.zeros(1, 2, dtype=dtype)
    for tiny in SQUARES_UNDERFLOW[dtype]:
        got = log_prob(scaled(torch.tensor(tiny, dtype=dtype), reverse()), standard_normal(2, dtype), zero)
        want = torch.tensor([2 * math.log(tiny) - math.log(2 * math.pi)], dtype=torch.float64)
        assert_agrees(got, want, like=torch.float32, scale=1000.0, unit="nats")
    got = log_prob(scaled(torch.tensor(1.0, dtype=dtype), reverse()), standard_normal(2, dtype), zero + 1e4)
    want = torch.tensor([-1e8 - math.log(2 * math.pi)], dtype=torch.float64)
    assert_agrees(got, want, like=dtype, scale=1e8, unit="nats")


def _check_impossible(log_prob: Function) -> None:
    f, x = scaled(torch.tensor(2.0), elementwise("identity")), torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, -0.75]])
    got = log_prob(f, uniform_log_density(*_unit_box(2, torch.float32)), x)
    assert_agrees(got, torch.tensor([math.log(4.0), -math.inf, -math.inf], dtype=torch.float64), like=x, unit="nats")


def _check_many(log_prob: Function, key: int, dtype: torch.dtype) -> None:
    u, w, b = planar_parameters(2, key, dtype)
    x = many_points(MANY, 2, key + 1, dtype)
    exact = planar(u, w, b).double()
    want = standard_normal(2)(exact(x.double())) + planar_log_abs_det(u, w, b, x)
    got = log_prob(planar(u, w, b), standard_normal(2, dtype), x)
    assert_agrees(got, want, like=dtype, scale=2 * CONDITION + 100, unit="nats")


def _check_edge(log_prob: Function, n: int, m: int, key: int, dtype: torch.dtype) -> None:
    a, x = draw.uniform((m,), key, -0.5, 2, dtype), draw.normal((n, m), key + 1, 1.0, dtype)
    exact = stretch(a).double()(x.double())
    volume = torch.log1p(a.double() * (1 - x.double().tanh() ** 2)).sum(dim=1)
    want = Normal(0.0, 1.0).log_prob(exact).sum(dim=1) + volume
    got = log_prob(stretch(a), standard_normal(m, dtype), x)
    assert_agrees(got, want, like=dtype, scale=m * CONDITION + 100, unit="nats")
    mirror = scaled(torch.tensor(-2.0, dtype=dtype), elementwise("identity"))  # of one dimension it has a negative derivative
    want = Normal(0.0, 1.0).log_prob(2 * x.double()).sum(dim=1) + m * math.log(2)
    assert_agrees(log_prob(mirror, standard_normal(m, dtype), x), want, like=dtype, scale=m * CONDITION + 100, unit="nats")


def _check_layouts(log_prob: Function) -> None:
    for x, plain in layouts(three_points, 1 - three_points):
        want = Normal(0.0, 1.0).log_prob(plain.double().exp()).sum(dim=1) + plain.double().sum(dim=1)
        assert_agrees(log_prob(elementwise("exp"), standard_normal(2), x), want, like=plain, scale=50, unit="nats")


def _check_gradients(log_prob: Function, n: int, m: int, key: int, dtype: torch.dtype) -> None:
    u, w, b = planar_parameters(m, key, dtype)
    mu, sigma = draw.normal((m,), key + 1, 1.0, dtype), draw.uniform((m,), key, 0.5, 2.0, dtype)
    x = draw.normal((n, m), key + 2, 1.0, dtype)
    parameters = [u, w, b, mu, sigma]
    wrt = [*parameters, x] if n > 1 else parameters  # a single sample that carries no graph
    given_ = x if dtype == torch.float32 else handed_on(x)  # which is no leaf of the graph
    _, gradients = log_prob.gradient(planar(u, w, b), gaussian_log_density(mu, sigma), given_, wrt=wrt)
    scale = n * m * CONDITION + n * _gaussian_size(x, b, mu, sigma).max()
    wanted = planar_gaussian_gradients(*parameters, x)[: len(wrt)]
    for got, want, by in zip(gradients, wanted, ["u", "w", "b", "mu", "sigma", "the samples"][: len(wrt)], strict=True):
        assert_gradient_agrees(got, want, of=by, like=dtype, scale=scale)


def _check_dtype(log_prob: Function) -> None:
    for dtype in draw.DTYPES:
        got = assert_unchanged(log_prob.observed(elementwise("exp"), standard_normal(2, dtype), three_points.to(dtype)))
        assert_dtype(got, dtype)


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
