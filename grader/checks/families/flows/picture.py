"""A grid through a layer and through a flow that has learned two moons; the ways of an ODE, given and learned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor, nn

from grader.checks.families.shared import training
from grader.checks.families.shared.shapes import two_moons
from grader.practice import canvas
from grader.practice.canvas import ACCENT, OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("affine_coupling")
def a_grid_before_and_after(mine: Work) -> Figure:
    """Columns stay columns; each is stretched and shifted by an amount of its own."""

    def net(a: Tensor) -> tuple[Tensor, Tensor]:
        return 0.8 * torch.sin(2 * a), 0.7 * a.square()

    drawn, axes = canvas.figure(2, 8.0, 3.9, "Two moons and a grid through one coupling layer")
    points = two_moons(400, 0)
    for side, through in zip(axes, (lambda x: x, lambda x: mine.affine_coupling(x, net)[0]), strict=True):
        _grid(side, through, points)
    canvas.name(axes[0], "data x", "x1", "x2")
    canvas.name(axes[1], "your z", "z1", "z2")
    return drawn


@picture("flow_log_prob", "inverse_affine_coupling")
def a_flow_of_two_moons(mine: Work) -> Figure:
    """Six of your couplings, trained with your flow_log_prob: data become noise, and noise becomes data."""
    data, noise = two_moons(2000, 0), torch.randn(500, 2, generator=torch.Generator().manual_seed(1))
    networks = [training.network(1, 2, seed) for seed in range(6)]

    def net(network: nn.Module, half: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = network(half).chunk(2, dim=1)
        return log_scale.tanh(), shift

    def layer(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = mine.affine_coupling(x, partial(net, network))
        return z.flip(1), log_det  # the other half is next

    layers = [partial(layer, network) for network in networks]

    def loss(generator: torch.Generator) -> Tensor:
        return -mine.flow_log_prob(layers, _log_p_z, data[torch.randint(2000, (256,), generator=generator)]).mean()

    training.train(loss, networks, mine.steps)

    def to_noise(x: Tensor) -> Tensor:
        for one in layers:
            x, _ = one(x)
        return x

    sampled, side = noise, torch.linspace(-2, 2, 101)
    for network in reversed(networks):
        sampled = mine.inverse_affine_coupling(sampled.flip(1), partial(net, network))
    density = mine.flow_log_prob(layers, _log_p_z, torch.cartesian_prod(side, side)).exp().reshape(101, 101).T
    drawn, axes = canvas.figure(3, 11.4, 4.0, "A flow of six couplings learns two moons")
    axes[0].contourf(side, side, numbers(density), levels=16, cmap="Blues")
    canvas.name(axes[0], "your density: exp of flow_log_prob", "x1", "x2")
    _grid(axes[1], to_noise, data[:500])
    canvas.name(axes[1], "data and a grid, carried to noise", "z1", "z2")
    for xy, color, label in ((data[:500], OTHER, "data"), (sampled, YOURS, "your samples")):
        axes[2].scatter(numbers(xy[:, 0]), numbers(xy[:, 1]), s=5, color=color, label=label)
    canvas.name(axes[2], "noise, carried back to data", "x1", "x2", "upper right")
    for panel, limit in zip(axes, (2, 4, 2), strict=True):
        panel.set_xlim(-limit, limit)
        panel.set_ylim(-limit, limit)
        panel.set_aspect("equal")
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
        axes.plot(
            numbers(torch.stack(euler)[:, k, 0]),
            numbers(torch.stack(euler)[:, k, 1]),
            ".-",
            color=OTHER,
            linewidth=0.8,
            label="Euler" if k == 0 else None,
        )
        axes.plot(
            numbers(ways[:, k, 0]),
            numbers(ways[:, k, 1]),
            "o-",
            color=YOURS,
            markersize=3,
            linewidth=1,
            label="your runge_kutta" if k == 0 else None,
        )
    axes.set_aspect("equal")
    axes.set_xlim(-3, 3)
    axes.set_ylim(-3, 3)
    canvas.name(axes, "the true ways are the grey circles", "x1", "x2", "lower right")
    return drawn


@picture("ode_log_prob", "divergence")
def a_neural_ode_of_two_moons(mine: Work) -> Figure:
    """A field trained with your ode_log_prob: its ways from noise to data never cross at one time."""
    data, noise, network = two_moons(2000, 0), torch.randn(200, 2, generator=torch.Generator().manual_seed(1)), training.network(3, 2)

    def f(t: float, x: Tensor) -> Tensor:
        return network(torch.cat([x, torch.full_like(x[:, :1], float(t))], dim=1))

    def loss(generator: torch.Generator) -> Tensor:
        return -mine.ode_log_prob(f, _log_p_z, data[torch.randint(2000, (128,), generator=generator)], 4).mean()

    training.train(loss, [network], max(1, mine.steps // 4), 1e-2)
    with torch.no_grad():
        ways = [noise]  # time 1 is noise, time 0 data
        for k in range(20):
            ways.append(mine.runge_kutta(f, ways[-1], 1 - k / 20, 1 - (k + 1) / 20, 1))
    lines = numbers(torch.stack(ways))
    drawn, (axes,) = canvas.figure(1, 5.6, 5.0, "A neural ODE, early in its training on two moons")
    axes.plot(lines[:, :, 0], lines[:, :, 1], color=PAPER, linewidth=0.8)
    for at, color, label in ((0, ACCENT, "noise"), (-1, YOURS, "where your runge_kutta carries it")):
        axes.scatter(lines[at, :, 0], lines[at, :, 1], s=8, color=color, label=label, zorder=3)
    axes.set_xlim(-3.2, 3.2)
    axes.set_ylim(-3.2, 3.2)
    axes.set_aspect("equal")
    canvas.name(axes, "two hundred ways back in time, from noise to data", "x1", "x2", "lower left")
    return drawn


def _log_p_z(z: Tensor) -> Tensor:
    return torch.distributions.Normal(0, 1).log_prob(z).sum(dim=1)


def _grid(axes: Axes, through: Callable[[Tensor], Tensor], points: Tensor) -> None:
    """A grid and points, after a map."""
    line = torch.linspace(-2, 2, 101)
    for fixed in torch.linspace(-2, 2, 17):
        for pair in ((line, fixed.expand(101)), (fixed.expand(101), line)):
            xy = numbers(through(torch.stack(pair, dim=1)))
            axes.plot(xy[:, 0], xy[:, 1], color=PAPER, linewidth=0.8)
    xy = numbers(through(points))
    axes.scatter(xy[:, 0], xy[:, 1], s=5, color=YOURS, zorder=3)


def _circle(radius: float) -> Circle:
    return Circle((0, 0), radius, fill=False, color=PAPER, linewidth=1.5)
