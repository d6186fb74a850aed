"""The reference of the course tricks, confirmed by scipy, sympy, numpy, exact enumeration and torch.distributions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import sympy
import torch
from torch.distributions import Categorical, Exponential, MultivariateNormal, Normal

from dgm_ref.lecture1.course_tricks import reference as ref


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(got: torch.Tensor, want: object, rtol: float = 1e-13, atol: float = 1e-14) -> None:
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), np.asarray(want, dtype=np.float64), rtol=rtol, atol=atol)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (50, 2)])
def test_monte_carlo_is_numpys_mean(n, m):
    x = randn(n, m)
    got = ref.monte_carlo(lambda x: torch.cat([x.sin(), x**2], dim=1), x)
    close(got, np.hstack([np.sin(x.numpy()), x.numpy() ** 2]).mean(axis=0))


def test_monte_carlo_on_an_even_grid_approaches_the_integral():
    x = (torch.arange(2000, dtype=torch.float64)[:, None] + 0.5) / 2000  # x ~ U(0, 1), midpoint rule
    want, _ = scipy.integrate.quad(lambda t: math.cos(5 * t), 0, 1)
    close(ref.monte_carlo(lambda x: torch.cos(5 * x), x), [want], rtol=1e-6)


@pytest.mark.parametrize("n", [2, 3, 40])
def test_monte_carlo_standard_error_is_scipys(n):
    x = randn(n, 3, seed=1) * 5 + 100
    close(ref.monte_carlo_standard_error(torch.square, x), scipy.stats.sem(x.numpy() ** 2, axis=0), rtol=1e-11)


def test_variance_of_the_mean_is_unbiased_over_all_samples_with_replacement():
    values = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    samples = torch.tensor(list(itertools.product(values.tolist(), repeat=3)), dtype=torch.float64)
    squared = torch.stack([ref.monte_carlo_standard_error(lambda x: x, s[:, None]) ** 2 for s in samples]).mean(dim=0)
    close(squared, [samples.mean(dim=1).var(correction=0).item()])


def test_lotus_is_the_average_of_the_composition():
    x = torch.tensor([[-1.0], [1.0], [2.0], [-2.0], [0.5]], dtype=torch.float64)  # many-to-one under the square
    close(ref.lotus(lambda y: torch.cat([y, y.exp()], dim=1), torch.square, x),
          [np.mean(x.numpy() ** 2), np.mean(np.exp(x.numpy() ** 2))])  # fmt: skip


def test_pushforward_is_numpys_weighted_bincount():
    p, f = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64), torch.tensor([4, 0, 4, 1])
    close(ref.pushforward_pmf(p, f, 6), np.bincount(f.numpy(), weights=p.numpy(), minlength=6))


def test_pushforward_matches_the_law_of_a_sum_of_dice():
    die = range(1, 7)
    f = torch.tensor([a + b for a in die for b in die])
    p = torch.full((36,), 1 / 36, dtype=torch.float64)
    triangle = np.convolve(np.full(6, 1 / 6), np.full(6, 1 / 6))
    close(ref.pushforward_pmf(p, f, 13), np.concatenate([[0, 0], triangle]))


def test_log_derivative_is_the_score_of_a_correlated_gaussian():
    covariance = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    mu, x = torch.tensor([1.0, -1.0], dtype=torch.float64), randn(5, 2)
    law = MultivariateNormal(mu, covariance)
    got = ref.log_derivative(lambda x: 1e-6 * law.log_prob(x).exp(), x)
    close(got, -np.linalg.solve(covariance.numpy(), (x - mu).numpy().T).T, rtol=1e-11)


def test_log_derivative_is_sympys():
    t, s = sympy.symbols("t s")
    density = sympy.exp(-(t**4)) * (2 + sympy.sin(t * s)) / (1 + s**2)
    score = sympy.lambdify((t, s), [sympy.diff(sympy.log(density), v) for v in (t, s)])
    x = randn(4, 2, seed=3)
    got = ref.log_derivative(lambda x: (-(x[:, 0] ** 4)).exp() * (2 + (x[:, 0] * x[:, 1]).sin()) / (1 + x[:, 1] ** 2), x)
    close(got, [score(*row) for row in x.tolist()], rtol=1e-12)


def gaussian(x, theta):
    return Normal(theta[0], theta[1].exp()).log_prob(x).sum(dim=1)


def test_score_function_gradient_uses_the_scores_of_a_gaussian():
    theta, x = randn(2, 3, seed=4), randn(6, 3, seed=5)
    mu, sigma = theta[0], theta[1].exp()
    scores = torch.stack([(x - mu) / sigma**2, ((x - mu) / sigma) ** 2 - 1], dim=1)  # (n, 2, m)
    got = ref.score_function_gradient(lambda x: x.square().sum(dim=1), gaussian, theta, x)
    close(got, np.einsum("i,ikj->kj", (x**2).sum(dim=1).numpy(), scores.numpy()) / 6, rtol=1e-12)


def test_score_function_gradient_is_unbiased_over_a_finite_set():
    theta = randn(4, seed=6)
    values = torch.tensor([3.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    pi = theta.softmax(dim=0)
    estimates = [
        ref.score_function_gradient(
            lambda x: values[x[:, 0].long()],
            lambda x, theta: Categorical(logits=theta).log_prob(x[:, 0].long()),
            theta,
            torch.tensor([[float(k)]], dtype=torch.float64),
        )
        for k in range(4)
    ]
    close((pi[:, None] * torch.stack(estimates)).sum(dim=0), pi * (values - pi @ values), rtol=1e-12)


def test_score_function_gradient_takes_a_scalar_parameter():
    theta, x = torch.tensor(0.3, dtype=torch.float64), randn(5, 2).abs()
    got = ref.score_function_gradient(lambda x: x[:, 0], lambda x, theta: Exponential(theta.exp()).log_prob(x).sum(dim=1), theta, x)
    close(got, (x[:, 0] * (2 - theta.exp() * x.sum(dim=1))).mean(), rtol=1e-12)


def test_jensen_gap_of_the_square_is_the_variance():
    x = randn(7, 2, seed=10)
    close(ref.jensen_gap(lambda x: x.square().sum(dim=1), x), x.numpy().var(axis=0).sum(), rtol=1e-12)


def test_jensen_gap_of_the_logarithm_compares_arithmetic_and_geometric_mean():
    x = randn(7, 1, seed=11).exp()
    want = np.log(scipy.stats.gmean(x.numpy()[:, 0]) / x.numpy().mean())
    close(ref.jensen_gap(lambda x: x[:, 0].log(), x), want, rtol=1e-12)


def test_optimal_mse_predictor_minimises_the_weighted_squared_error():
    joint, y = randn(3, 5, seed=12).abs(), randn(5, 2, seed=13)
    got = ref.optimal_mse_predictor(joint, y)
    for i in range(3):  # a regression on the constant, weighted by row i
        root = joint[i].sqrt().numpy()[:, None]
        close(got[i], np.linalg.lstsq(root, root * y.numpy(), rcond=None)[0][0], rtol=1e-12)


def test_optimal_mse_predictor_of_a_row_without_mass_is_nan():
    joint = torch.tensor([[0.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
    close(ref.optimal_mse_predictor(joint, torch.tensor([[4.0], [8.0]], dtype=torch.float64)), [[math.nan], [7.0]])


def test_dirac_expectation_is_the_mean_of_a_discrete_law():
    points, weights = torch.tensor([[1.0], [2.0], [5.0]], dtype=torch.float64), np.array([0.2, 0.5, 0.3])
    law = scipy.stats.rv_discrete(values=([1, 2, 5], weights))
    got = ref.dirac_expectation(lambda x: torch.cat([x, x**2], dim=1), points, torch.tensor(weights))
    close(got, [law.mean(), law.moment(2)])
