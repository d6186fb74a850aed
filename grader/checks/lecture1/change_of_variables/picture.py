"""Maps stretch space, and densities thin out where they do."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from torch import Tensor

from grader.practice import canvas
from grader.practice.canvas import ACCENT, INK, OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("log_abs_det_jacobian")
def stretched_grid(mine: Work) -> Figure:
    """What a map does to the area of small squares is what its Jacobian determinant says."""
    cells = 16
    ticks = torch.linspace(-2, 2, cells + 1, dtype=torch.float64)
    corner = torch.cartesian_prod(ticks[:-1], ticks[:-1])
    side = 4 / cells
    square = side * torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]], dtype=torch.float64)
    corners = corner[:, None] + square  # (cells^2, 4, 2)
    mapped = _warp(corners.view(-1, 2)).view(-1, 4, 2)
    got = mine.log_abs_det_jacobian(_warp, corner + side / 2)
    right = torch.log(_area(mapped) / side**2)
    drawn, (left, middle, last) = canvas.figure(3, 10.8, 3.7, "The Jacobian determinant is a ratio of areas", ratios=(1, 1.25, 1))
    size = max(got.abs().max().item(), 0.1)
    for axes, polygons, title in ((left, corners, "256 squares"), (middle, mapped, "after f: colour is your log |det J|")):
        shown = PolyCollection(list(numbers(polygons)), cmap="PuOr", edgecolors=INK, linewidths=0.4)
        shown.set_array(numbers(got))
        shown.set_clim(-size, size)
        axes.add_collection(shown)
        axes.autoscale()
        axes.set_aspect("equal")
        canvas.name(axes, title, "$x_1$" if axes is left else "$f_1(x)$", "$x_2$" if axes is left else "$f_2(x)$")
    drawn.colorbar(shown, ax=middle, shrink=0.8).set_label("shrinks ← log |det J| → grows", fontsize=9)
    last.axline((0, 0), slope=1, color=INK, linestyle="--", linewidth=1, label="equal")
    last.plot(numbers(right), numbers(got), ".", color=YOURS, markersize=4, label="one square")
    last.set_aspect("equal", adjustable="datalim")
    canvas.name(last, "against the areas as measured", "log (area after / area before)", "your log |det J|", "upper left")
    return drawn


@picture("log_prob_x")
def density_before_and_after(mine: Work) -> Figure:
    """The density of the data, from a map to a standard normal: heights alone are wrong, volumes make it right."""
    f = lambda x: x - 0.95 * torch.tanh(x)  # noqa: E731
    z = torch.randn(50_000, 1, generator=torch.Generator().manual_seed(0))
    x = _inverse(f, z)
    grid = torch.linspace(-5, 5, 600)[:, None]
    density = mine.log_prob_x(f, _normal, grid).exp()
    drawn, (left, right) = canvas.figure(2, 9.5, 3.6, r"Change of variables: $z = f(x) = x - 0.95\,\tanh x$")
    left.hist(numbers(z[:, 0]), bins=100, range=(-5, 5), density=True, color=PAPER, label="z = f(x) of the data")
    left.plot(grid[:, 0], _normal(grid).exp(), color=INK, linewidth=1, label="p(z): standard normal")
    canvas.name(left, "after the map", "z", "density", "upper right")
    right.hist(numbers(x[:, 0]), bins=100, range=(-5, 5), density=True, color=PAPER, label="data")
    right.plot(grid[:, 0], _normal(f(grid)).exp(), "--", color=ACCENT, label="p(z) at z = f(x): no density of x")
    right.plot(grid[:, 0], numbers(density), color=YOURS, linewidth=2, label="your p(x)")
    right.set_ylim(0, 0.62)
    canvas.name(right, f"before the map: your density integrates to {_integral(density, grid):.3f}", "x", "density", "upper right")
    return drawn


@picture("log_prob_z")
def funnel(mine: Work) -> Figure:
    """Normal noise, pushed into a funnel: the contours of the density follow the cloud."""
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    z = torch.stack([1.5 * x[:, 0], x[:, 1] * torch.exp(0.75 * x[:, 0])], dim=1)
    inverse = lambda z: torch.stack([z[:, 0] / 1.5, z[:, 1] * torch.exp(-z[:, 0] / 2)], dim=1)  # noqa: E731
    across, up = torch.linspace(-5, 5, 200), torch.linspace(-8, 8, 200)
    log_p = mine.log_prob_z(inverse, _normal, torch.cartesian_prod(across, up)).view(200, 200).T
    wide = torch.cartesian_prod(torch.linspace(-7, 7, 250), torch.linspace(-90, 90, 3000))
    mass = mine.log_prob_z(inverse, _normal, wide).exp().sum().item() * (14 / 249) * (180 / 2999)
    drawn, (axes,) = canvas.figure(1, 6.2, 4.4, r"Pushed into a funnel: $z = (1.5\,x_1,\; x_2\, e^{0.75\,x_1})$ for x ~ N(0, I)")
    axes.plot(*numbers(z.T), ".", color=OTHER, markersize=2, alpha=0.6, label="4000 draws, pushed")
    levels = torch.linspace(-9, -2, 8)
    axes.contour(across, up, numbers(log_p), levels=levels, colors=YOURS, linewidths=1.2, linestyles="solid")
    axes.plot([], [], color=YOURS, label="your log p(z), one contour a nat")
    axes.set_xlim(-5, 5)
    axes.set_ylim(-8, 8)
    canvas.name(axes, f"your density integrates to {mass:.3f}", "$z_1$", "$z_2$", "upper left")
    return drawn


def _warp(x: Tensor) -> Tensor:
    return torch.stack([x[:, 0] + 0.45 * torch.sin(1.5 * x[:, 1]), x[:, 1] * torch.exp(0.35 * x[:, 0])], dim=1)


def _area(polygons: Tensor) -> Tensor:
    """The shoelace formula on polygons (n, 4, 2)."""
    following = polygons.roll(-1, dims=1)
    return (polygons[..., 0] * following[..., 1] - polygons[..., 1] * following[..., 0]).sum(dim=1).abs() / 2


def _normal(z: Tensor) -> Tensor:
    return -0.5 * z.square().sum(dim=1) - 0.5 * z.shape[1] * math.log(2 * math.pi)


def _inverse(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """x with f(x) = z, by bisection: f rises."""
    low, high = torch.full_like(z, -10), torch.full_like(z, 10)
    for _ in range(40):
        middle = (low + high) / 2
        below = f(middle) < z
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def _integral(density: Tensor, grid: Tensor) -> float:
    return torch.trapezoid(density.detach(), grid[:, 0]).item()
