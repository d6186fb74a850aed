"""Averages, pushed laws, scores and predictions."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure

from grader.practice import canvas
from grader.practice.canvas import ACCENT, INK, OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("monte_carlo", "monte_carlo_standard_error")
def convergence(mine: Work) -> Figure:
    """The estimate closes in on the true mean, and four times the samples halve its error."""
    n = torch.logspace(0.7, 3.7, 25).long()
    runs = torch.randn(40, int(n[-1]), 1, generator=torch.Generator().manual_seed(1))
    estimates = torch.stack([torch.stack([mine.monte_carlo(torch.square, x[:k])[0] for k in n]) for x in runs])
    errors = torch.stack([mine.monte_carlo_standard_error(torch.square, runs[0, :k])[0] for k in n])
    drawn, (left, right) = canvas.figure(2, 9.5, 3.6, "Monte Carlo: the mean of x² for x ~ N(0, 1)")
    first = numbers(estimates[0])
    margin = 2 * numbers(errors)
    left.fill_between(n, first - margin, first + margin, color=YOURS, alpha=0.2, label="± 2 of your standard errors")
    left.plot(n, first, color=YOURS, label="your estimate")
    left.axhline(1, color=INK, linestyle="--", linewidth=1, label="true mean 1")
    left.set_xscale("log")
    left.set_ylim(-0.5, 3)
    canvas.name(left, "one run", "samples n", "estimate", "upper right")
    right.set_yscale("log")
    right.set_xscale("log")
    right.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
    right.set_yticks([], minor=True)
    off = numbers((estimates - 1).square().mean(dim=0).sqrt())
    right.plot(n, off, "o", color=YOURS, markersize=4, label="your estimates: error over 40 runs")
    right.plot(n, numbers(errors), color=OTHER, label="your standard error, from one run")
    right.plot(n, (2 / n).sqrt(), color=INK, linestyle="--", linewidth=1, label=r"the truth: $\sqrt{2 / n}$")
    canvas.name(right, "how far off", "samples n", "root mean square error", "lower left")
    return drawn


@picture("lotus")
def unconscious_statistician(mine: Work) -> Figure:
    """The mean of g(y) for y = f(x), although nobody knows the density of y."""
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    mean = mine.lotus(lambda y: torch.exp(-y / 2), torch.square, x).item()
    drawn, (axes,) = canvas.figure(1, 6.5, 3.6, "LOTUS: the mean of g(y) without a density of y")
    axes.hist(numbers(x.square()[:, 0]), bins=80, range=(0, 6), density=True, color=PAPER, label="a sample of y = f(x)")
    y = torch.linspace(0, 6, 200)
    axes.plot(y, torch.exp(-y / 2), color=OTHER, label="g(y)")
    axes.axhline(mean, color=YOURS, linewidth=2, label=f"your mean of g(y): {mean:.3f}")
    axes.axhline(0.5**0.5, color=INK, linestyle="--", linewidth=1, label=rf"the true mean: $1/\sqrt{{2}}$ = {0.5**0.5:.3f}")
    axes.set_ylim(0, 2)
    canvas.name(axes, "y = x² for x ~ N(0, 1), and g(y) = exp(−y / 2)", "y", "density of y, and g(y)", "upper right")
    return drawn


@picture("pushforward_pmf")
def two_dice(mine: Work) -> Figure:
    """The sum of two dice: every pair hands its mass to its sum."""
    first, second = torch.arange(36) // 6 + 1, torch.arange(36) % 6 + 1
    pmf = mine.pushforward_pmf(torch.full((36,), 1 / 36), first + second, 13)
    rolled = torch.randint(36, (2000,), generator=torch.Generator().manual_seed(0))
    drawn, (axes,) = canvas.figure(1, 6.5, 3.4, "Pushforward: the sum of two fair dice")
    canvas.shares(axes, (first + second)[rolled], color=PAPER, label="2000 pairs of dice, thrown")
    axes.plot(range(13), numbers(pmf), "o", color=YOURS, label=f"your pmf of the sum (total {pmf.sum().item():.3f})")
    axes.set_xticks(range(13))
    axes.set_ylim(0, 0.24)
    canvas.name(axes, "36 pairs, 11 sums", "sum k", "probability", "upper right")
    return drawn


@picture("log_derivative")
def score(mine: Work) -> Figure:
    """The score points uphill, and vanishes on the summits."""
    at = torch.tensor([[-1.3, -0.6], [1.2, 0.8]])
    density = lambda x: torch.exp(-(x[:, None] - at).square().sum(dim=2)).sum(dim=1)  # noqa: E731
    axis = torch.linspace(-3, 3, 120)
    wide = torch.cartesian_prod(axis, axis)
    coarse = torch.cartesian_prod(torch.linspace(-2.8, 2.8, 15), torch.linspace(-2.8, 2.8, 15))
    arrows = numbers(mine.log_derivative(density, coarse))
    drawn, (axes,) = canvas.figure(1, 5.4, 4.7, r"The score $\nabla \log p$ of a density with two summits")
    axes.contourf(axis, axis, density(wide).view(120, 120).T, levels=12, cmap="Greys")
    axes.quiver(*numbers(coarse.T), *arrows.T, color=YOURS, angles="xy", width=0.004)
    axes.set_aspect("equal")
    canvas.name(axes, "grey: p, not normalised; arrows: your score", "$x_1$", "$x_2$")
    return drawn


@picture("score_function_gradient")
def gradient_of_a_step(mine: Work) -> Figure:
    """A step has no slope anywhere; its expectation has, and the score-function estimate finds it."""
    thetas = torch.linspace(-2, 4, 25)
    noise = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0))
    log_p = lambda x, theta: -(x - theta).square().sum(dim=1) / 2  # noqa: E731
    step = lambda x: (x[:, 0] > 1).to(x.dtype)  # noqa: E731
    found = torch.stack([mine.score_function_gradient(step, log_p, t[None], t + noise)[0] for t in thetas])
    fine = torch.linspace(-2, 4, 200)
    drawn, (axes,) = canvas.figure(1, 6.5, 3.6, "The gradient of an expectation")
    axes.plot(fine, torch.special.ndtr(fine - 1), color=OTHER, label=r"$\mathbb{E}_\theta f(x)$")
    slope = torch.exp(-(fine - 1).square() / 2) / math.sqrt(2 * math.pi)
    axes.plot(fine, slope, "--", color=INK, linewidth=1, label=r"its slope: $\mathcal{N}(\theta; 1, 1)$")
    axes.plot(thetas, numbers(found), "o", color=YOURS, markersize=4, label="your estimates, n = 2000")
    canvas.name(axes, "x ~ N(θ, 1), and f(x) = 1 if x > 1, else 0: a step", "θ", "expectation and its slope", "upper left")
    return drawn


@picture("jensen_gap")
def chord(mine: Work) -> Figure:
    """The chord lies above a convex curve: the gap is the distance between the two dots."""
    x = torch.tensor([[-1.0], [2.0]])
    grid = torch.linspace(-1.3, 2.2, 100)
    middle = x.mean().item()
    gap = mine.jensen_gap(lambda x: x[:, 0].exp(), x).item()
    drawn, (axes,) = canvas.figure(1, 5.6, 3.6, "Jensen's inequality: exp is convex")
    axes.plot(grid, grid.exp(), color=INK, label="exp")
    axes.plot(x, x.exp(), "o-", color="grey", label="the mean of exp lies on the chord")
    axes.plot([middle] * 2, [math.exp(middle), math.exp(middle) + gap], "o-", color=YOURS, linewidth=2, label=f"your gap: {gap:.3f}")
    canvas.name(axes, "two samples, −1 and 2", "x", "exp x", "upper left")
    return drawn


@picture("optimal_mse_predictor")
def best_prediction(mine: Work) -> Figure:
    """The best prediction under the squared error is the conditional mean, even where nothing ever lands."""
    a, b = 12, 40
    y = torch.linspace(-3, 3, b)[:, None]
    centre = torch.linspace(0, 2.2, a)[:, None]  # two branches that part: the mean stays between them
    joint = torch.exp(-2 * (y.T - centre).square()) + 0.4 * torch.exp(-2 * (y.T + centre).square())
    predicted = mine.optimal_mse_predictor(joint, y)
    drawn, (axes,) = canvas.figure(1, 6.2, 3.8, "The best predictor under the mean squared error")
    axes.pcolormesh(range(a), numbers(y[:, 0]), numbers(joint.T), cmap="Greys", shading="nearest")
    axes.plot(range(a), numbers(predicted[:, 0]), "o-", color=YOURS, label="your prediction of y")
    canvas.name(axes, "grey: the joint law; where it parts, the mean lies where nothing is", "x", "y", "upper left")
    return drawn


@picture("dirac_expectation")
def balance(mine: Work) -> Figure:
    """A mixture of deltas balances on its expectation."""
    points = torch.tensor([[-2.0], [-1.0], [0.5], [3.0]])
    weights = torch.tensor([0.1, 0.4, 0.2, 0.3])
    centre = mine.dirac_expectation(lambda x: x, points, weights).item()
    drawn, (axes,) = canvas.figure(1, 6.2, 2.9, "Four deltas: a balance")
    axes.plot([-2.6, 3.6], [0, 0], color=INK, linewidth=2)
    axes.vlines(numbers(points[:, 0]), 0, numbers(weights), color=INK)
    axes.scatter(numbers(points[:, 0]), numbers(weights), s=numbers(900 * weights), color=ACCENT, zorder=3)
    axes.plot(centre, -0.03, "^", color=YOURS, markersize=16)
    axes.text(centre, -0.14, f"your expectation of x: {centre:.2f}", ha="center", va="top", fontsize=9, color=YOURS)
    axes.set_ylim(-0.25, 0.5)
    axes.set_yticks([0, 0.2, 0.4])
    canvas.name(axes, "the beam rests level on the triangle if the expectation is right", "x", "weight")
    return drawn
