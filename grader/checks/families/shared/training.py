"""The training that pictures give: a small network and a student's own loss, for some seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def network(inputs: int, outputs: int, seed: int = 0, detail: float = 1.0) -> nn.Sequential:
    """(n, inputs) -> (n, outputs), with two hidden layers; first weights that are `detail` times as large learn finer things."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.Linear(inputs, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, outputs))
    with torch.no_grad():
        layers[0].weight.mul_(detail)
    return layers


def beside(x: Tensor, t: Tensor) -> Tensor:
    """The input of a network that is told a time (n,), too: (n, m + 3)."""
    angle = 2 * math.pi * t.to(x.dtype)[:, None]
    return torch.cat([x, angle / math.pi - 1, angle.cos(), angle.sin()], dim=1)


def train(loss: Callable[[torch.Generator], Tensor], networks: Sequence[nn.Module], steps: int, rate: float = 5e-3) -> list[float]:
    """Adam with a rate that falls to zero; what the loss, which draws its own batch, was at every step."""
    optimizer = torch.optim.Adam([one for network in networks for one in network.parameters()], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(steps):
        value = loss(generator)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        losses.append(value.item())
    return losses
