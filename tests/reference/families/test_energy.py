"""dgm_ref's energy-based models against enumeration, quadrature and detailed balance."""

from __future__ import annotations

import itertools
import math

import scipy.integrate
import torch

from dgm_ref.families.energy import reference as ref
from grader.checks.families.shared.energies import (
    forbidding_energy,
    gaussian_log_shape,
    gaussian_shape_score,
    ising_energy,
    linear_energy,
    quartic_log_shape,
    quartic_shape_score,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SPINS = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)), dtype=torch.float64)


def test_independent_spins_have_a_product_of_hyperbolic_cosines():
    for size in (1.0, 1e4):
        h = size * normal(4)
        got = ref.log_partition(ising_energy(torch.zeros(4, 4).double(), h), SPINS)
        want = sum(abs(a) + math.log1p(math.exp(-2 * abs(a))) for a in h.tolist())
        assert math.isclose(got.item(), want, rel_tol=1e-13)


def test_probabilities_sum_to_one_and_leave_out_what_is_forbidden():
    energy = forbidding_energy(torch.tensor(0.0).double(), ising_energy(normal(4, 4), normal(4)))
    p = ref.energy_log_prob(energy, SPINS, SPINS).exp()
    assert math.isclose(p.sum().item(), 1.0)
    assert (p[SPINS[:, 0] > 0] == 0).all()


def test_the_contrastive_loss_of_a_linear_energy_is_a_difference_of_means():
    w, x, y = normal(3), normal(5, 3, seed=1), normal(2, 3, seed=2)
    assert torch.allclose(ref.contrastive_loss(linear_energy(w), x, y), w @ (x.mean(0) - y.mean(0)))


def test_acceptance_keeps_the_density_in_balance():
    step, a = 0.3, torch.tensor(0.8).double()
    log_p, score = quartic_log_shape(a), quartic_shape_score(a)
    x, y = normal(20, 2), normal(20, 2, seed=1)

    def flow(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        mean = ref.langevin_mean(score, one, step)
        proposed = torch.distributions.Normal(mean, math.sqrt(step)).log_prob(other).sum(1)
        return log_p(one) + proposed + ref.metropolis_log_acceptance(log_p, score, one, other, step)

    assert torch.allclose(flow(x, y), flow(y, x))


def test_the_chain_keeps_its_density_by_quadrature():
    mu, sigma, step = torch.zeros(1).double(), torch.tensor([0.7]).double(), 0.5
    log_p, score = gaussian_log_shape(mu, sigma), gaussian_shape_score(mu, sigma)

    def moved(y: float) -> float:
        def joint(x: float) -> float:
            one, other = torch.tensor([[x]]).double(), torch.tensor([[y]]).double()
            mean = ref.langevin_mean(score, one, step)
            q = torch.distributions.Normal(mean, math.sqrt(step)).log_prob(other).sum()
            a = ref.metropolis_log_acceptance(log_p, score, one, other, step)[0]
            back = torch.distributions.Normal(ref.langevin_mean(score, other, step), math.sqrt(step)).log_prob(one).sum()
            b = ref.metropolis_log_acceptance(log_p, score, other, one, step)[0]
            return (log_p(one)[0] + q + a).exp().item() - (log_p(other)[0] + back + b).exp().item()

        return scipy.integrate.quad(joint, -6, 6, limit=100)[0]  # what comes to y minus what leaves it

    assert abs(moved(0.4)) < 1e-6 * math.exp(7)
