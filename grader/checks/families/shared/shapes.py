"""Two-dimensional data for pictures, made by code, and what is known of one of them exactly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CENTRES = 2.0 * torch.tensor([[math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)] for k in range(8)])
WIDTH = 0.15


def eight_gaussians(n: int, seed: int) -> Tensor:
    """n points of eight round heaps on a circle of radius 2."""
    generator = torch.Generator().manual_seed(seed)
    return CENTRES[torch.randint(8, (n,), generator=generator)] + WIDTH * torch.randn(n, 2, generator=generator)


def two_moons(n: int, seed: int) -> Tensor:
    """n points of two half circles that reach into each other."""
    generator = torch.Generator().manual_seed(seed)
    angle, side = math.pi * torch.rand(n, generator=generator), torch.randint(2, (n,), generator=generator)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
    lower = torch.stack([0.5 - angle.cos(), 0.25 - angle.sin()], dim=1)
    return torch.where(side[:, None] == 0, upper, lower) + 0.07 * torch.randn(n, 2, generator=generator)


def spiral(n: int, seed: int) -> Tensor:
    """n points of a turn outwards."""
    generator = torch.Generator().manual_seed(seed)
    angle = math.pi * (0.3 + 2.2 * torch.rand(n, generator=generator))
    on_it = torch.stack([angle.cos(), angle.sin()], dim=1) * angle[:, None] / 4
    return on_it + 0.06 * torch.randn(n, 2, generator=generator)


def log_density_of_heaps(x: Tensor, sigma: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Of the eight Gaussians, shrunk by `scale`, with noise of deviation sigma: (n,)."""
    scale = torch.as_tensor(scale)[..., None]
    variance = (scale * WIDTH) ** 2 + sigma.square().reshape(-1, 1)
    distance = (x[:, None] - scale[..., None] * CENTRES).square().sum(dim=2)
    return torch.logsumexp(-distance / (2 * variance), dim=1) - variance[:, 0].log()


def score_of_heaps(x: Tensor, sigma: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Gradient of the log-density: (n, 2)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(log_density_of_heaps(x, sigma, scale).sum(), x)[0]
