"""Walkers in an energy landscape."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from grader.checks.families.shared.shapes import log_density_of_heaps, score_of_heaps
from grader.practice import canvas
from grader.practice.canvas import ACCENT, YOURS, numbers
from grader.practice.gallery import Work, picture

NO_NOISE = torch.tensor(0.35)  # heaps a little wider, so that walkers get across


@picture("langevin_step")
def walkers(mine: Work) -> Figure:
    """Langevin walkers fall into the valleys of the energy, and stay restless there."""
    generator = torch.Generator().manual_seed(0)
    x, side = torch.randn(200, 2, generator=generator), torch.linspace(-3.2, 3.2, 81)
    plane = torch.cartesian_prod(side, side)
    energy = -log_density_of_heaps(plane, NO_NOISE).reshape(81, 81).T
    drawn, axes = canvas.figure(3, 10.5, 3.7, "Two hundred Langevin walkers in a landscape of eight valleys")
    for panel, (steps, done) in zip(axes, ((0, 0), (30, 30), (370, 400)), strict=True):
        for _ in range(steps):
            x = mine.langevin_step(lambda y: score_of_heaps(y, NO_NOISE), x, 0.02, generator).detach()
        panel.contourf(side, side, numbers(energy.clamp(max=12)), levels=16, cmap="Greys_r")
        panel.scatter(numbers(x[:, 0]), numbers(x[:, 1]), s=7, color=YOURS if done else ACCENT)
        panel.set_xlim(-3.2, 3.2)
        panel.set_ylim(-3.2, 3.2)
        panel.set_aspect("equal")
        canvas.name(panel, f"after {done} of your steps" if done else "the start", "x1", "x2")
    return drawn
