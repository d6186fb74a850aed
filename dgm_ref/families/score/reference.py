"""Scores row by row; the laws of the samplers by exact recursions of Gaussian means and variances."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor, Tensor], Tensor]


def denoising_score_loss(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """sigma^2 times the squared distance of the score from that of the noise, -noise / sigma, row by row."""
    total = x.new_zeros(())
    for row, epsilon, s in zip(x, noise, sigma, strict=True):
        distance = score((row + s * epsilon)[None], s[None])[0] - (-epsilon / s)
        total = total + s * s * (distance * distance).sum()
    return total / len(x)


def implicit_score_loss(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """One partial derivative after the other, forward mode, row by row."""
    total = x.new_zeros(())
    for row in x:
        value = score(row[None])[0]
        total = total + 0.5 * (value * value).sum()
        for j in range(len(row)):
            direction = torch.eye(len(row), dtype=x.dtype)[j]
            total = total + torch.func.jvp(lambda r: score(r[None])[0], (row,), (direction,))[1][j]
    return total / len(x)


def denoise(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    """Row by row."""
    return torch.stack([row + s * s * score(row[None], s[None])[0] for row, s in zip(x, sigma, strict=True)])


def noise_levels(largest: float, smallest: float, count: int) -> Tensor:
    """Level by level, each a power of the ratio."""
    powers = [i / (count - 1) for i in range(count)] if count > 1 else [0.0]
    return torch.tensor([largest * (smallest / largest) ** power for power in powers], dtype=torch.float64)


def law_of_annealed_langevin(mu: Tensor, tau: Tensor, x: Tensor, sigmas: Tensor, steps: int, step: float) -> tuple[Tensor, Tensor]:
    """Mean (n, m) and deviation (m,) at the end, for the score of N(mu, tau^2 + sigma^2): a step is affine in x."""
    mean, variance = x, torch.zeros_like(mu)
    for sigma in sigmas.tolist():
        alpha = step * sigma**2 / float(sigmas[-1]) ** 2
        shrink = 1 - alpha / 2 / (tau**2 + sigma**2)
        for _ in range(steps):
            mean, variance = mu + shrink * (mean - mu), shrink**2 * variance + alpha
    return mean, variance.sqrt()


def vp_marginal(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> tuple[Tensor, Tensor]:
    """The integral of beta by the trapezoidal rule, which is exact for a line; 1 - e^-B as 2 e^(-B/2) sinh(B/2)."""
    means, deviations = [], []
    for row, time in zip(x0, t, strict=True):
        B = time * (beta_min + (beta_min + time * (beta_max - beta_min))) / 2
        means.append(torch.exp(-B / 2) * row)
        deviations.append(torch.sqrt(2 * torch.exp(-B / 2) * torch.sinh(B / 2)))
    return torch.stack(means), torch.stack(deviations)


def law_of_reverse_sde_step(score: Score, x: Tensor, t: float, dt: float, beta_min: float, beta_max: float) -> tuple[Tensor, float]:
    """Mean (n, m) and deviation of a step: minus dt times the forward drift minus the squared diffusion times the score."""
    beta = (1 - t) * beta_min + t * beta_max
    level = torch.tensor([t], dtype=x.dtype)
    mean = [row - dt * (-0.5 * beta * row - beta * score(row[None], level)[0]) for row in x]
    return torch.stack(mean), math.sqrt(beta) * math.sqrt(dt)


def probability_flow_drift(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    """The forward drift minus half the squared diffusion times the score, row by row."""
    beta = (1 - t) * beta_min + t * beta_max
    level = torch.tensor([t], dtype=x.dtype)
    return torch.stack([-0.5 * beta * row - 0.5 * beta * score(row[None], level)[0] for row in x])
