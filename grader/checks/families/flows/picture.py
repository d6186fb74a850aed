"""A grid through a flow, and the ways of an ODE."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from grader.checks.families.shared.shapes import two_moons
from grader.practice import canvas
from grader.practice.canvas import OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("affine_coupling")
def a_grid_before_and_after(mine: Work) -> Figure:
    """Columns stay columns; each is stretched and shifted by an amount of its own."""

    def net(a: Tensor) -> tuple[Tensor, Tensor]:
        return 0.8 * torch.sin(2 * a), 0.7 * a.square()

    drawn, axes = canvas.figure(2, 8.0, 3.9, "Two moons and a grid through one coupling layer")
    line, points = torch.linspace(-2, 2, 101), two_moons(400, 0)
    for side, through in zip(axes, (lambda x: x, lambda x: mine.affine_coupling(x, net)[0]), strict=True):
        for fixed in torch.linspace(-2, 2, 17):
            for pair in ((line, fixed.expand(101)), (fixed.expand(101), line)):
                xy = numbers(through(torch.stack(pair, dim=1)))
                side.plot(xy[:, 0], xy[:, 1], color=PAPER, linewidth=0.8)
        xy = numbers(through(points))
        side.scatter(xy[:, 0], xy[:, 1], s=5, color=YOURS, zorder=3)
    canvas.name(axes[0], "data x", "x1", "x2")
    canvas.name(axes[1], "your z", "z1", "z2")
    return drawn


@picture("runge_kutta")
def ways_of_an_ode(mine: Work) -> Figure:
    """A field that turns faster the nearer one is: fourth-order steps keep the distance, Euler's drift outwards."""

    def f(t: float, x: Tensor) -> Tensor:
        return torch.stack([-x[:, 1], x[:, 0]], dim=1) * 6 / (0.3 + x.square().sum(dim=1, keepdim=True))

    drawn, (axes,) = canvas.figure(1, 4.8, 4.6, "Circles of a field, ten steps")
    start = torch.stack([torch.linspace(0.6, 2.0, 5), torch.zeros(5)], dim=1)
    euler, h = [start], 0.1
    for _ in range(10):
        euler.append(euler[-1] + h * f(0.0, euler[-1]))
    ways = torch.stack([start, *(mine.runge_kutta(f, start, 0.0, 0.1 * k, k) for k in range(1, 11))])  # (11, 5, 2)
    for k in range(5):
        axes.add_artist(_circle(start[k, 0].item()))
        axes.plot(numbers(torch.stack(euler)[:, k, 0]), numbers(torch.stack(euler)[:, k, 1]), ".-", color=OTHER, linewidth=0.8,
                  label="Euler" if k == 0 else None)
        axes.plot(numbers(ways[:, k, 0]), numbers(ways[:, k, 1]), "o-", color=YOURS, markersize=3, linewidth=1,
                  label="your runge_kutta" if k == 0 else None)
    axes.set_aspect("equal")
    axes.set_xlim(-3, 3)
    axes.set_ylim(-3, 3)
    canvas.name(axes, "the true ways are the grey circles", "x1", "x2", "lower right")
    return drawn


def _circle(radius: float) -> Circle:
    return Circle((0, 0), radius, fill=False, color=PAPER, linewidth=1.5)
