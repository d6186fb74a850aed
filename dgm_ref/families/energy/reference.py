"""Energy-based models state by state; the acceptance from two complete normal densities."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Energy = Callable[[Tensor], Tensor]


def log_partition(energy: Energy, states: Tensor) -> Tensor:
    """The lowest energy is taken out of the sum."""
    energies = torch.stack([energy(state[None])[0] for state in states])
    ground = energies.min().detach()
    return sum(((ground - e).exp() for e in energies), states.new_zeros(())).log() - ground


def energy_log_prob(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    """Row by row."""
    return torch.stack([-energy(row[None])[0] for row in x]) - log_partition(energy, states)


def contrastive_loss(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    """Row by row."""
    up = sum((energy(row[None])[0] for row in data), data.new_zeros(()))
    down = sum((energy(row[None])[0] for row in samples.detach()), data.new_zeros(()))
    return up / len(data) - down / len(samples)


def langevin_mean(score: Callable[[Tensor], Tensor], x: Tensor, step: float) -> Tensor:
    """Where a step goes without its noise."""
    return torch.stack([row + 0.5 * step * score(row[None])[0] for row in x])


def metropolis_log_acceptance(log_p: Energy, score: Callable[[Tensor], Tensor], x: Tensor, proposal: Tensor, step: float) -> Tensor:
    """Row by row, with torch's normal densities."""
    rows = []
    for one, other in zip(x, proposal, strict=True):
        p_other = log_p(other[None])[0]
        if p_other == -math.inf:
            rows.append(p_other)
            continue
        there = torch.distributions.Normal(one + 0.5 * step * score(one[None])[0], math.sqrt(step)).log_prob(other).sum()
        back = torch.distributions.Normal(other + 0.5 * step * score(other[None])[0], math.sqrt(step)).log_prob(one).sum()
        log_ratio = p_other + back - log_p(one[None])[0] - there
        rows.append(log_ratio if log_ratio < 0 else 0 * log_ratio)
    return torch.stack(rows)


def rounding_of_acceptance(log_p: Energy, score: Callable[[Tensor], Tensor], x: Tensor, proposal: Tensor, step: float) -> Tensor:
    """For each row the size of the terms: densities, the squared way and the squared drifts."""
    densities = log_p(x).abs() + log_p(proposal).abs().nan_to_num(0.0, 0.0)
    drifts = score(x).square().sum(1) + score(proposal).square().sum(1)
    size = (x.square() + proposal.square()).sum(1)
    return densities + ((proposal - x).square().sum(1) + 0.1 * size) / step + step * drifts
