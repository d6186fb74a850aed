"""What the best discriminator sees, and how two distances tell laws apart that do not meet."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.practice import canvas
from grader.practice.canvas import INK, OTHER, THIRD, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("optimal_discriminator")
def of_a_dropped_mode(mine: Work) -> Figure:
    """Where the generator has dropped a mode, the best discriminator is certain: these are data."""
    x = torch.linspace(-5, 5, 401, dtype=torch.float64)
    p_data, p_theta = _pmf(_bump(x, -2) + _bump(x, 2)), _pmf(_bump(x, 2.2, 0.9))
    drawn, (axes,) = canvas.figure(1, 6.4, 3.8, "A generator that has dropped a mode")
    scale = p_data.max()
    axes.plot(x, numbers(p_data / scale), color=INK, label="data")
    axes.plot(x, numbers(p_theta / scale), color=OTHER, label="generator")
    axes.plot(x, numbers(mine.optimal_discriminator(p_data, p_theta)), color=YOURS, linewidth=2, label="your optimal_discriminator")
    axes.axhline(0.5, color=INK, linestyle=":", linewidth=1)
    canvas.name(axes, "one half where the two laws agree", "x", "", "upper left")
    return drawn


@picture("jensen_shannon", "wasserstein_1d")
def of_laws_that_part(mine: Work) -> Figure:
    """Of laws that part, the Jensen-Shannon divergence stops at log 2 and has no slope left; the transport distance goes on."""
    x = torch.linspace(-8, 8, 801, dtype=torch.float64)
    shifts = torch.linspace(0, 6, 49, dtype=torch.float64)
    fixed, sample = _pmf(_bump(x, -3, 0.4)), torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    apart = torch.stack([mine.jensen_shannon(fixed, _pmf(_bump(x, -3 + float(shift), 0.4))) for shift in shifts])
    moved = torch.stack([mine.wasserstein_1d(0.4 * sample, 0.4 * sample + shift) for shift in shifts])
    drawn, (left, right) = canvas.figure(2, 9.0, 3.6, "Two bumps that part")
    left.plot(shifts, numbers(apart), color=YOURS, label="your jensen_shannon")
    left.axhline(math.log(2), color=INK, linestyle="--", linewidth=1, label="log 2")
    canvas.name(left, "flat once they do not meet", "shift", "nats", "lower right")
    right.plot(shifts, numbers(moved), color=THIRD, label="your wasserstein_1d")
    canvas.name(right, "a slope all the way", "shift", "", "upper left")
    return drawn


def _bump(x: Tensor, centre: float, width: float = 0.7) -> Tensor:
    return (-0.5 * ((x - centre) / width) ** 2).exp()


def _pmf(weights: Tensor) -> Tensor:
    return weights / weights.sum()
