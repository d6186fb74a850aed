"""dgm_ref's GAN against scipy, mpmath and torch's own losses."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import scipy.spatial.distance
import scipy.stats
import torch
import torch.nn.functional as F

from dgm_ref.families.gan import reference as ref
from grader.checks.families.shared.critics import linear_critic, quadratic_critic, tanh_critic


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pmfs(*shape: int, seed: int = 0) -> torch.Tensor:
    p = normal(*shape, seed=seed).exp() * (normal(*shape, seed=seed + 1) > -0.8)
    p[..., 0] += 1
    return p / p.sum(-1, keepdim=True)


def test_the_best_discriminator_wins_the_game_worth_twice_the_divergence():
    p, q = pmfs(5).clamp(min=0.01), pmfs(5, seed=3).clamp(min=0.01)
    p, q = p / p.sum(), q / q.sum()
    D = ref.optimal_discriminator(p, q)
    value = (p * D.log()).sum() + (q * (1 - D).log()).sum()
    assert math.isclose(value.item(), 2 * ref.jensen_shannon(p, q).item() - math.log(4), rel_tol=1e-12)
    zero = torch.tensor([0.0, 1.0, 0.0]).double(), torch.tensor([0.0, 0.0, 1.0]).double()
    assert np.array_equal(ref.optimal_discriminator(*zero).numpy(), [math.nan, 1.0, 0.0], equal_nan=True)


def test_jensen_shannon_is_the_square_of_scipys_distance():
    p, q = pmfs(4, 5), pmfs(5, seed=7)
    want = [scipy.spatial.distance.jensenshannon(row, q.numpy()) ** 2 for row in p.numpy()]
    assert np.allclose(ref.jensen_shannon(p, q), want, rtol=1e-9)
    assert abs(ref.jensen_shannon(p[0], p[0]).item()) < 1e-15


def test_losses_are_binary_cross_entropies_and_hold_far_out():
    real, fake = 5 * normal(7), 5 * normal(4, seed=1)
    bce = F.binary_cross_entropy_with_logits
    want = bce(real, torch.ones(7).double()) + bce(fake, torch.zeros(4).double())
    assert torch.allclose(ref.discriminator_loss(real, fake), want)
    mpmath.mp.dps = 50
    for logit in (-1000.0, -40.0, 0.3, 30.0, 1000.0):
        D = 1 / (1 + mpmath.exp(-mpmath.mpf(logit)))
        one = torch.tensor([logit], dtype=torch.float64)
        assert math.isclose(ref.generator_loss(one, True).item(), mpmath.log(1 / (1 + mpmath.exp(mpmath.mpf(logit)))), rel_tol=1e-13)
        assert math.isclose(ref.generator_loss(one, False).item(), -mpmath.log(D), rel_tol=1e-13)


def test_gradient_penalties_by_hand_and_by_differences():
    w, x, y, u = normal(2, 3), normal(4, 2, 3), normal(4, 2, 3, seed=1), normal(4).sigmoid()
    assert math.isclose(ref.gradient_penalty(linear_critic(w), x, y, u).item(), (w.norm() - 1).item() ** 2)
    between = u[:, None, None] * x + (1 - u[:, None, None]) * y
    want = (2 * between.flatten(1).norm(dim=1) - 1).square().mean()
    assert torch.allclose(ref.gradient_penalty(quadratic_critic(torch.tensor(2.0).double()), x, y, u), want)
    critic, h = tanh_critic(normal(4, 6), normal(4, seed=5)), 1e-6
    slopes = torch.zeros(4, 6).double()
    for j in range(6):
        e = torch.zeros(6).double()
        e[j] = h
        slopes[:, j] = (critic(between + e.reshape(2, 3)) - critic(between - e.reshape(2, 3))) / (2 * h)
    assert torch.allclose(ref.gradient_penalty(critic, x, y, u), (slopes.norm(dim=1) - 1).square().mean(), rtol=1e-7)


def test_wasserstein_is_scipys():
    x, y = normal(9), normal(9, seed=1)
    assert math.isclose(ref.wasserstein_1d(x, y).item(), scipy.stats.wasserstein_distance(x.numpy(), y.numpy()))


def test_adaptive_instance_norm_is_instance_norm_with_a_style():
    x, scale, bias = normal(2, 3, 4, 5), normal(2, 3, seed=1), normal(2, 3, seed=2)
    want = F.instance_norm(x) * scale[:, :, None, None] + bias[:, :, None, None]
    assert torch.allclose(ref.adaptive_instance_norm(x, scale, bias), want)
