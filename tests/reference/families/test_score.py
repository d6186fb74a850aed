"""dgm_ref's scores against closed forms, mpmath, quadrature and simulation of many small steps."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import scipy.integrate
import torch

from dgm_ref.families.score import reference as ref
from grader.checks.families.shared.scores import (
    noisy_gaussian_score,
    plain_linear_score,
    plain_tanh_score,
    tanh_score,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_denoising_has_the_minimiser_and_the_value_of_least_squares():
    x, noise, sigma = normal(5, 3), normal(5, 3, seed=1), normal(5, seed=2).exp()
    score = tanh_score(normal(4, 3), normal(3, 4, seed=3))
    want = ((sigma[:, None] * score(x + sigma[:, None] * noise, sigma) + noise) ** 2).sum() / 5
    assert torch.allclose(ref.denoising_score_loss(score, x, noise, sigma), want)


def test_the_implicit_loss_is_half_the_squared_distance_up_to_a_constant():
    """For N(0, 1) data and s(x) = a x: a + a^2 / 2 in expectation, which is (a + 1)^2 / 2 - 1/2."""
    x = torch.linspace(-6, 6, 2001).double()
    weights = (-x.square() / 2).exp() / math.sqrt(2 * math.pi)
    for a in (-1.0, -0.3, 0.5):
        score = plain_linear_score(torch.tensor([[a]]).double(), torch.zeros(1).double())
        values = [ref.implicit_score_loss(score, point.reshape(1, 1)).item() for point in x[::10]]
        mean = np.trapezoid(np.array(values) * weights[::10].numpy(), x[::10].numpy())
        a = torch.tensor(a).item()
        assert math.isclose(mean, (a + 1) ** 2 / 2 - 0.5, rel_tol=1e-6)
    f, x = plain_tanh_score(normal(4, 3), normal(3, 4, seed=1)), normal(5, 3, seed=2)
    J = torch.stack([torch.autograd.functional.jacobian(lambda r: f(r[None])[0], row) for row in x])
    want = (J.diagonal(dim1=1, dim2=2).sum(1) + f(x).square().sum(1) / 2).mean()
    assert torch.allclose(ref.implicit_score_loss(f, x), want)


def test_tweedie_is_the_conditional_mean_of_gaussians():
    mu, tau, x, sigma = normal(3), normal(3, seed=1).exp(), normal(4, 3, seed=2), normal(4, seed=3).exp()
    gain = tau**2 / (tau**2 + sigma[:, None] ** 2)
    assert torch.allclose(ref.denoise(noisy_gaussian_score(mu, tau), x, sigma), mu + gain * (x - mu))


def test_noise_levels_are_numpys_geomspace():
    assert np.allclose(ref.noise_levels(50.0, 0.01, 10), np.geomspace(50, 0.01, 10), rtol=1e-13)
    assert ref.noise_levels(3.0, 1.0, 1).tolist() == [3.0]


def test_the_law_of_annealed_langevin_is_that_of_its_matrix_recursion():
    mu, tau, x = normal(2), normal(2, seed=1).exp(), normal(3, 2, seed=2)
    sigmas, steps, step = torch.tensor([2.0, 1.0]).double(), 2, 0.2
    score, noises, gains = noisy_gaussian_score(mu, tau), [], []
    for zero in (True, False):  # the sampler is affine in its noise: follow it with none, and with one unit at a time
        for position in range(1 if zero else 4):
            y, k = x, 0
            for sigma in sigmas:
                alpha = step * sigma**2 / sigmas[-1] ** 2
                for _ in range(steps):
                    noise = 0.0 if zero or k != position else 1.0
                    y, k = y + alpha / 2 * score(y, sigma.expand(3)) + alpha.sqrt() * noise, k + 1
            (noises if zero else gains).append(y)
    mean, deviation = ref.law_of_annealed_langevin(mu, tau, x, sigmas, steps, step)
    assert torch.allclose(mean, noises[0])
    want = torch.stack([(gain - noises[0])[0] for gain in gains]).square().sum(0).sqrt()
    assert torch.allclose(deviation, want)


def test_the_marginal_of_the_sde_in_fifty_digits_and_by_solving_its_moments():
    mpmath.mp.dps = 50
    for t in (1e-13, 1e-4, 0.3, 1.0):
        B = mpmath.quad(lambda s: mpmath.mpf("0.1") + s * mpmath.mpf("19.9"), [0, mpmath.mpf(t)])
        mean, deviation = ref.vp_marginal(torch.ones(1, 1).double(), torch.tensor([t], dtype=torch.float64), 0.1, 20.0)
        assert math.isclose(mean.item(), mpmath.exp(-B / 2), rel_tol=1e-13)
        assert math.isclose(deviation.item(), mpmath.sqrt(1 - mpmath.exp(-B)), rel_tol=1e-13)
    moments = scipy.integrate.solve_ivp(
        lambda t, y: [-0.5 * (0.1 + 19.9 * t) * y[0], (0.1 + 19.9 * t) * (1 - y[1])], (0, 0.4), [1.0, 0.0], rtol=1e-10, atol=1e-12
    ).y[:, -1]
    mean, deviation = ref.vp_marginal(torch.ones(1, 1).double(), torch.tensor([0.4], dtype=torch.float64), 0.1, 20.0)
    assert np.allclose([mean.item(), deviation.item() ** 2], moments, rtol=1e-8)


def test_both_ways_back_keep_the_marginals_of_gaussian_data():
    """With the exact score the moments of the reverse SDE and of the flow follow those of the forward one."""
    beta_min, beta_max, t, dt, tau = 0.1, 20.0, 0.5, 1e-5, 0.6

    def variance(time: float) -> float:
        _, deviation = ref.vp_marginal(torch.zeros(1, 1).double(), torch.tensor([time], dtype=torch.float64), beta_min, beta_max)
        return deviation.item() ** 2 + (1 - deviation.item() ** 2) * tau**2

    def score(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return -x / variance(time[0].item())

    one = torch.ones(1, 1).double()
    mean, deviation = ref.law_of_reverse_sde_step(score, one, t, dt, beta_min, beta_max)
    back = mean.item() ** 2 * variance(t) + deviation**2
    assert math.isclose((back - variance(t)) / dt, (variance(t - dt) - variance(t)) / dt, rel_tol=1e-3)
    slope = ref.probability_flow_drift(score, one, t, beta_min, beta_max).item()
    assert math.isclose(2 * slope * variance(t), (variance(t + dt) - variance(t)) / dt, rel_tol=1e-3)
