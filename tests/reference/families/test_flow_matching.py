"""dgm_ref's flow matching against quadrature, matrix powers, scores by autograd and scipy's assignment."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
import torch

from dgm_ref.families.flow_matching import reference as ref
from grader.checks.families.shared.velocities import tanh_velocity, time_velocity


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_paths_and_loss_in_one_line_each():
    x0, x1, t = normal(4, 3), normal(4, 3, seed=1), normal(4).sigmoid()
    x, way = ref.conditional_path(x0, x1, t)
    assert torch.allclose(x, torch.lerp(x0, x1, t[:, None]))
    v = tanh_velocity(normal(5, 3), normal(3, 5, seed=1))
    assert torch.allclose(ref.flow_matching_loss(v, x0, x1, t), ((v(x, t) - way) ** 2).sum() / 4)


def test_euler_is_a_matrix_power_and_a_left_sum():
    A, b, x = normal(2, 2), normal(2, seed=1), normal(3, 2, seed=2)
    zero = torch.zeros(2, 2).double()
    power = torch.linalg.matrix_power(torch.eye(2).double() + A / 5, 5)
    assert torch.allclose(ref.euler_sample(time_velocity(A, 0 * b), x, 5), x @ power.T)
    assert torch.allclose(ref.euler_sample(time_velocity(zero, b), x, 5), x + b * sum(i / 5 for i in range(5)) / 5)


@pytest.mark.parametrize(("t", "sigma"), [(0.3, 0.7), (0.9, 2.0), (0.05, 0.3)])
def test_the_average_velocity_by_quadrature(t, sigma):
    x, mu = 0.8, -0.4

    def weight(x1: float) -> float:  # of the lines that pass x at time t: their noise is (x - t x1) / (1 - t)
        return scipy.stats.norm.pdf(x1, mu, sigma) * scipy.stats.norm.pdf((x - t * x1) / (1 - t))

    mass, _ = scipy.integrate.quad(weight, mu - 12 * sigma, mu + 12 * sigma)
    mean, _ = scipy.integrate.quad(lambda x1: weight(x1) * (x1 - (x - t * x1) / (1 - t)), mu - 12 * sigma, mu + 12 * sigma)
    tensors = [torch.tensor(value, dtype=torch.float64) for value in ([[x]], [t], [mu], [sigma])]
    assert math.isclose(ref.gaussian_velocity(*tensors).item(), mean / mass, rel_tol=1e-7)


def test_the_ends_of_time_and_data_without_a_spread():
    x, mu = normal(3, 2), normal(2, seed=1)
    sigma, t = torch.tensor([0.0, 2.0]).double(), torch.zeros(3).double()
    assert torch.allclose(ref.gaussian_velocity(x, t, mu, sigma), mu - x)
    assert torch.allclose(ref.gaussian_velocity(x, t + 1, mu, sigma + 1), x)
    assert torch.allclose(ref.gaussian_velocity(x, t + 0.75, mu, 0 * sigma), (mu - x) / 0.25)


def test_the_score_of_a_gaussian_path_by_autograd():
    mu, sigma, x, t = normal(2), normal(2, seed=1).exp(), normal(4, 2, seed=2).requires_grad_(), normal(4, seed=3).sigmoid()
    deviation = ((1 - t[:, None]) ** 2 + (t[:, None] * sigma) ** 2).sqrt()
    torch.distributions.Normal(t[:, None] * mu, deviation).log_prob(x).sum().backward()
    velocity = ref.gaussian_velocity(x.detach(), t, mu, sigma)
    assert torch.allclose(ref.score_from_velocity(velocity, x.detach(), t), x.grad)


def test_the_least_cost_is_scipys():
    for n in (1, 4, 7):
        x0, x1 = normal(n, 3), normal(n, 3, seed=n)
        cost = scipy.spatial.distance.cdist(x0, x1, "sqeuclidean")
        rows, columns = scipy.optimize.linear_sum_assignment(cost)
        assert np.isclose(ref.least_cost(x0, x1).item(), cost[rows, columns].sum())
