"""Flow matching row by row; conditional means by solving normal equations; assignments by dynamic programming."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]


def conditional_path(x0: Tensor, x1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Row by row: from the noise, t times the whole way."""
    ways = [b - a for a, b in zip(x0, x1, strict=True)]
    return torch.stack([a + time * way for a, time, way in zip(x0, t, ways, strict=True)]), torch.stack(ways)


def flow_matching_loss(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """Row by row."""
    x, ways = conditional_path(x0, x1, t)
    total = x0.new_zeros(())
    for row, way, time in zip(x, ways, t, strict=True):
        difference = v(row[None], time[None])[0] - way
        total = total + (difference * difference).sum()
    return total / len(x0)


def euler_sample(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    """Row by row."""
    rows = []
    for row in x0:
        for i in range(steps):
            row = row + v(row[None], torch.tensor([i / steps], dtype=x0.dtype))[0] / steps
        rows.append(row)
    return torch.stack(rows)


def gaussian_velocity(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    """E[x_1 | x_t] - E[x_0 | x_t], each by the gain of its own covariance with x_t, entry by entry."""
    rows = []
    for row, time in zip(x, t, strict=True):
        entries = []
        for value, mean, deviation in zip(row, mu, sigma, strict=True):
            variance = (1 - time) ** 2 + (time * deviation) ** 2
            innovation = (value - time * mean) / variance
            data = mean + time * deviation**2 * innovation
            noise = (1 - time) * innovation
            entries.append(data - noise)
        rows.append(torch.stack(entries))
    return torch.stack(rows)


def score_from_velocity(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """Minus the mean noise over 1 - t, where the mean noise is x - t v."""
    return torch.stack([-(row - time * v) / (1 - time) for v, row, time in zip(velocity, x, t, strict=True)])


def least_cost(x0: Tensor, x1: Tensor) -> Tensor:
    """The least total, by dynamic programming over the sets of data that are taken."""
    cost = [[(a - b).square().sum().item() for b in x1] for a in x0]
    best = {0: 0.0}
    for i in range(len(x0)):
        following: dict[int, float] = {}
        for taken, total in best.items():
            for j in range(len(x1)):
                if not taken >> j & 1:
                    key, value = taken | 1 << j, total + cost[i][j]
                    following[key] = min(value, following.get(key, value))
        best = following
    return torch.tensor(best[(1 << len(x0)) - 1], dtype=torch.float64)
