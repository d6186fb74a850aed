"""The reference of change of variables, confirmed by sympy, exact fractions, scipy's laws and quadrature."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sympy
import torch

from dgm_ref.lecture1.change_of_variables import reference as ref
from grader.checks.lecture1.change_of_variables.draw import (
    KINDS,
    diffeomorphism,
    planar_gaussian_gradients,
    planar_log_abs_det,
    planar_log_abs_det_gradients,
    planar_parameters,
)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(got: torch.Tensor, want: object, rtol: float = 1e-12, atol: float = 1e-12) -> None:
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.detach().numpy(), np.asarray(want, dtype=np.float64), rtol=rtol, atol=atol)


def exact_determinant(matrix: list[list[Fraction]]) -> Fraction:
    """Laplace's expansion along the first row."""
    if not matrix:
        return Fraction(1)
    minors = ([row[:j] + row[j + 1 :] for row in matrix[1:]] for j in range(len(matrix)))
    signed = ((-1) ** j * matrix[0][j] * exact_determinant(minor) for j, minor in enumerate(minors))
    return sum(signed, Fraction(0))


@pytest.mark.parametrize("m", [1, 2, 5])
def test_the_determinant_of_a_linear_map_is_laplaces(m):
    A = randn(m, m, seed=m)
    determinant = exact_determinant([[Fraction(a) for a in row] for row in A.tolist()])
    close(ref.log_abs_det_jacobian(lambda x: x @ A.T, randn(3, m)), [math.log(abs(determinant))] * 3)


def test_a_determinant_that_overflows_is_exact_in_fractions():
    A = torch.diag(torch.full((64,), 2.0**-30, dtype=torch.float64)).flip(0)
    close(ref.log_abs_det_jacobian(lambda x: x @ A.T, randn(1, 64)), [-64 * 30 * math.log(2)])


def test_the_jacobian_of_a_nonlinear_map_is_sympys():
    x, y, z = symbols = sympy.symbols("x y z")
    outputs = sympy.Matrix([x + sympy.tanh(y * z), sympy.exp(x / 2) - 2 * y, sympy.sinh(z) + x * y])

    def f(v: torch.Tensor) -> torch.Tensor:
        x, y, z = v.unbind(dim=1)
        return torch.stack([x + torch.tanh(y * z), torch.exp(x / 2) - 2 * y, torch.sinh(z) + x * y], dim=1)

    points = randn(4, 3)
    jacobian = sympy.lambdify(symbols, outputs.jacobian(symbols))
    close(ref.jacobian(f, points), [jacobian(*point) for point in points.tolist()])
    volume = sympy.lambdify(symbols, sympy.log(sympy.Abs(outputs.jacobian(symbols).det())))
    close(ref.log_abs_det_jacobian(f, points), [volume(*point) for point in points.tolist()], rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("m", [1, 2, 4])
def test_the_jacobian_of_every_family_is_its_difference_quotient(kind, m):
    f, x = diffeomorphism(kind, m, seed=m, dtype=torch.float64), randn(3, m)
    step = 1e-5
    axes = step * torch.eye(m, dtype=torch.float64)
    quotient = torch.stack([(f(x + axis) - f(x - axis)) / (2 * step) for axis in axes], dim=2)
    close(ref.jacobian(f, x), quotient, rtol=1e-8, atol=1e-8)
    sizes = np.linalg.cond(quotient.numpy())
    close(ref.rounding_of_log_abs_det(f, x), m * sizes, rtol=1e-6)
    assert sizes.max() < 20  # what `draw` promises of its maps
    assert (torch.linalg.det(quotient) > 0).all()


def test_log_prob_x_of_famous_laws_is_scipys():
    mu, sigma = 0.3, 0.7
    normal = torch.distributions.Normal(torch.tensor(mu, dtype=torch.float64), sigma)
    x = randn(5, 1).exp()
    got = ref.log_prob_x(torch.log, lambda z: normal.log_prob(z).sum(1), x)
    close(got, scipy.stats.lognorm(s=sigma, scale=math.exp(mu)).logpdf(x[:, 0]))
    got = ref.log_prob_x(torch.sigmoid, lambda z: torch.zeros(len(z), dtype=z.dtype), randn(5, 1))
    close(got, scipy.stats.logistic.logpdf(randn(5, 1)[:, 0]))


def test_log_prob_z_of_famous_laws_is_scipys():
    z = randn(5, 1)
    got = ref.log_prob_z(torch.exp, lambda x: -x.sum(1), z)  # the logarithm of an exponential variable
    close(got, scipy.stats.gumbel_l.logpdf(z[:, 0]))
    got = ref.log_prob_z(torch.sigmoid, lambda x: torch.log(2 * x).sum(1), z)  # the log-odds of a triangular variable
    close(got, scipy.stats.genlogistic(c=2).logpdf(z[:, 0]))


def test_a_gaussian_through_an_affine_map_is_scipys_multivariate_normal():
    A, b, x = randn(3, 3, seed=1), randn(3, seed=2), randn(5, 3)
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    inverse = np.linalg.inv(A.numpy())
    law = scipy.stats.multivariate_normal(mean=-inverse @ b.numpy(), cov=inverse @ inverse.T)
    got = ref.log_prob_x(lambda x: x @ A.T + b, lambda z: normal.log_prob(z).sum(1), x)
    close(got, law.logpdf(x.numpy()), rtol=1e-9)


def test_densities_integrate_to_one():
    u, w, b = planar_parameters(2, seed=3, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)

    def log_p_z(z: torch.Tensor) -> torch.Tensor:
        return normal.log_prob(z).sum(dim=1)

    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(48))
    square = 8 * torch.cartesian_prod(nodes, nodes)
    density = ref.log_prob_x(lambda x: x + torch.tanh(x @ w + b)[:, None] * u, log_p_z, square).exp()
    assert (64 * torch.outer(weights, weights).flatten() @ density).item() == pytest.approx(1.0, abs=1e-6)

    def on_the_line(x: float) -> float:
        return ref.log_prob_x(torch.asinh, log_p_z, torch.tensor([[x]], dtype=torch.float64)).exp().item()

    assert scipy.integrate.quad(on_the_line, -np.inf, np.inf)[0] == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("m", [1, 2, 4])
def test_planar_gradients_are_difference_quotients(m):
    u, w, b = planar_parameters(m, seed=m, dtype=torch.float64)
    mu, sigma, x = randn(m, seed=1), randn(m, seed=2).exp(), randn(3, m)

    def volume(u, w, b, x):
        return ref.log_abs_det_jacobian(planar_map(u, w, b), x).sum()

    def likelihood(u, w, b, mu, sigma, x):
        normal = torch.distributions.Normal(mu, sigma)
        return ref.log_prob_x(planar_map(u, w, b), lambda z: normal.log_prob(z).sum(1), x).sum()

    close(planar_log_abs_det(u, w, b, x), ref.log_abs_det_jacobian(planar_map(u, w, b), x))
    for function, gradients, arguments in (
        (volume, planar_log_abs_det_gradients, [u, w, b, x]),
        (likelihood, planar_gaussian_gradients, [u, w, b, mu, sigma, x]),
    ):
        for position, gradient in enumerate(gradients(*arguments)):
            assert gradient.shape == arguments[position].shape
            close(gradient, difference_quotient(function, arguments, position), rtol=1e-7, atol=1e-7)


def planar_map(u: torch.Tensor, w: torch.Tensor, b: torch.Tensor):
    return lambda x: x + torch.tanh(x @ w + b)[:, None] * u


def difference_quotient(function, arguments: list[torch.Tensor], position: int, step: float = 1e-5) -> torch.Tensor:
    """The gradient of a scalar function by one of its arguments, from central differences."""
    quotient = torch.zeros_like(arguments[position])
    for index in np.ndindex(*quotient.shape):
        values = []
        for sign in (1, -1):
            moved = arguments[position].clone()
            moved[index] += sign * step
            values.append(function(*arguments[:position], moved, *arguments[position + 1 :]))
        quotient[index] = (values[0] - values[1]) / (2 * step)
    return quotient


def test_the_rounding_of_a_log_density_covers_its_terms():
    f, x = diffeomorphism("affine", 3, seed=1, dtype=torch.float64), randn(4, 3)
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    log_p = lambda z: normal.log_prob(z).sum(1)  # noqa: E731
    want = ref.rounding_of_log_abs_det(f, x) + f(x).square().sum(1) + log_p(f(x)).abs()
    close(ref.rounding_of_log_prob(f, log_p, x), want)
