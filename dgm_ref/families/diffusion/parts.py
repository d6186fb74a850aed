"""Right pieces of a diffusion model, from which wrong and other right answers are put together."""

from __future__ import annotations

import torch
from torch import Tensor


def signal(betas: Tensor) -> Tensor:
    return torch.cumprod(1 - betas, 0)


def before(betas: Tensor) -> Tensor:
    return torch.cat([betas.new_ones(1), signal(betas)[:-1]])


def column(values: Tensor, t: Tensor) -> Tensor:
    return values[t][:, None]


def noisy(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return a.sqrt() * x0 + (1 - a).sqrt() * noise


def guess(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - (1 - a).sqrt() * noise) / a.sqrt()


def coefficients(t: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of x0 and xt in the posterior mean, and the posterior variance: (n,) each."""
    a, earlier, beta = signal(betas)[t], before(betas)[t], betas[t]
    return earlier.sqrt() * beta / (1 - a), (1 - beta).sqrt() * (1 - earlier) / (1 - a), (1 - earlier) / (1 - a) * beta


def step_before(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    of_x0, of_xt, variance = coefficients(t, betas)
    return of_x0[:, None] * x0 + of_xt[:, None] * xt, variance


def randn(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype)
