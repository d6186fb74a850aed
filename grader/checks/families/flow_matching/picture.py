"""Straight ways from noise to data, with pairs at random and with optimal pairs."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from grader.checks.families.shared.shapes import eight_gaussians
from grader.practice import canvas
from grader.practice.canvas import ACCENT, OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("optimal_pairs", "conditional_path")
def ways_that_cross_and_ways_that_do_not(mine: Work) -> Figure:
    """Pairs at random cross in the middle; optimal pairs within batches of seven are short, and cross much less."""
    x0, x1 = torch.randn(70, 2, generator=torch.Generator().manual_seed(0)), eight_gaussians(70, 1)
    batches = zip(x0.split(7), x1.split(7), strict=True)
    paired = torch.cat([data[mine.optimal_pairs(noise, data)] for noise, data in batches])
    drawn, axes = canvas.figure(2, 8.2, 4.1, "From noise to data on straight lines")
    for panel, ends, color, title in zip(axes, (x1, paired), (OTHER, YOURS), ("pairs as they come", "your optimal pairs"), strict=True):
        ways = torch.stack([mine.conditional_path(x0, ends, torch.full((70,), t))[0] for t in (0.0, 0.25, 0.5, 0.75, 1.0)])
        panel.plot(numbers(ways[:, :, 0]), numbers(ways[:, :, 1]), color=color, linewidth=0.7, alpha=0.7)
        panel.scatter(numbers(x0[:, 0]), numbers(x0[:, 1]), s=9, color=PAPER, edgecolor="none", zorder=3)
        panel.scatter(numbers(ends[:, 0]), numbers(ends[:, 1]), s=9, color=ACCENT, zorder=3)
        panel.set_aspect("equal")
        canvas.name(panel, title, "x1", "x2")
    return drawn
