"""Straight ways from noise to data, with pairs at random and with optimal pairs, and the ways that are learned from each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from grader.checks.families.shared import training
from grader.checks.families.shared.shapes import eight_gaussians
from grader.practice import canvas
from grader.practice.canvas import ACCENT, INK, OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture

Velocity = Callable[[Tensor, Tensor], Tensor]


@picture("optimal_pairs", "conditional_path")
def ways_that_cross_and_ways_that_do_not(mine: Work) -> Figure:
    """Pairs at random cross in the middle; optimal pairs within batches of seven are short, and cross much less."""
    x0, x1 = torch.randn(70, 2, generator=torch.Generator().manual_seed(0)), eight_gaussians(70, 1)
    paired = _paired(mine, x0, x1)
    drawn, axes = canvas.figure(2, 8.2, 4.1, "From noise to data on straight lines")
    for panel, ends, color, title in zip(axes, (x1, paired), (OTHER, YOURS), ("pairs as they come", "your optimal pairs"), strict=True):
        ways = torch.stack([mine.conditional_path(x0, ends, torch.full((70,), t))[0] for t in (0.0, 0.25, 0.5, 0.75, 1.0)])
        panel.plot(numbers(ways[:, :, 0]), numbers(ways[:, :, 1]), color=color, linewidth=0.7, alpha=0.7)
        panel.scatter(*numbers(x0).T, s=9, color=INK, zorder=3, label="noise")
        panel.scatter(*numbers(ends).T, s=9, color=ACCENT, zorder=3, label="data")
        panel.set_aspect("equal")
        canvas.name(panel, title, "x1", "x2")
    axes[0].legend(loc="upper left", fontsize=8)
    return drawn


@picture("flow_matching_loss", "euler_sample", "optimal_pairs")
def learned_ways(mine: Work) -> Figure:
    """Two fields trained with your flow_matching_loss: where pairs were optimal, ways are nearly straight, and one step gets far."""
    x0, x1 = torch.randn(700, 2, generator=torch.Generator().manual_seed(0)), eight_gaussians(700, 1)
    start = torch.randn(100, 2, generator=torch.Generator().manual_seed(2))
    drawn, axes = canvas.figure(2, 9.0, 5.0, "Fields that learned eight Gaussians")
    kinds = ("pairs as they came", x1, OTHER), ("your optimal pairs", _paired(mine, x0, x1), YOURS)
    for panel, (title, ends, color) in zip(axes, kinds, strict=True):
        network = training.network(5, 2, detail=8)

        def v(x: Tensor, t: Tensor, network: nn.Module = network) -> Tensor:
            return network(training.beside(x, t))

        def loss(generator: torch.Generator, v: Velocity = v, ends: Tensor = ends) -> Tensor:
            rows = torch.randint(700, (512,), generator=generator)
            return mine.flow_matching_loss(v, x0[rows], ends[rows], torch.rand(512, generator=generator))

        training.train(loss, [network], mine.steps, 1e-2)
        ways: list[Tensor] = []

        def watched(x: Tensor, t: Tensor, v: Velocity = v, ways: list[Tensor] = ways) -> Tensor:
            ways.append(x)
            return v(x, t)

        with torch.no_grad():
            arrived, at_once = mine.euler_sample(watched, start, 50), mine.euler_sample(v, start, 1)
        lines = torch.stack([*ways, arrived])
        longer = (lines[1:] - lines[:-1]).norm(dim=2).sum(dim=0).sum() / (arrived - start).norm(dim=1).sum()
        panel.plot(numbers(lines[:, :, 0]), numbers(lines[:, :, 1]), color=PAPER, linewidth=0.8)
        panel.scatter(*numbers(start).T, s=7, color=INK, label="noise", zorder=3)
        panel.scatter(*numbers(at_once).T, s=12, zorder=3, marker="x", linewidth=0.8, color=ACCENT, label="one step of euler_sample")
        panel.scatter(*numbers(arrived).T, s=9, color=color, label="fifty steps", zorder=3)
        panel.set_xlim(-3.2, 3.2)
        panel.set_ylim(-3.2, 3.2)
        panel.set_aspect("equal")
        canvas.name(panel, f"{title}: {longer:.2f} times as long as straight", "x1", "x2", "lower left")
    return drawn


def _paired(mine: Work, x0: Tensor, x1: Tensor) -> Tensor:
    """The data in the order of the student's optimal pairs, within batches of seven."""
    return torch.cat([data[mine.optimal_pairs(noise, data)] for noise, data in zip(x0.split(7), x1.split(7), strict=True)])
