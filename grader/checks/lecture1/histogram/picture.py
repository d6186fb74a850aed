"""A law as a row of bars: fitted, drawn from, and too large to write down."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.practice import canvas
from grader.practice.canvas import ACCENT, INK, OTHER, YOURS, numbers
from grader.practice.gallery import Work, picture

K = 40


@picture("fit_histogram")
def more_and_more_samples(mine: Work) -> Figure:
    """The histogram of a sample approaches the law as the sample grows."""
    stream = _draws(10_000)
    drawn, columns = canvas.figure(4, 10.8, 3.0, "A histogram is the simplest generative model")
    for axes, n in zip(columns, (10, 100, 1_000, 10_000), strict=True):
        axes.bar(range(K), numbers(mine.fit_histogram(stream[:n], K)), color=YOURS, alpha=0.6, label="your histogram")
        axes.plot(range(K), _law(), color=INK, linewidth=1.2, label="$p_{data}$")
        axes.set_ylim(0, 0.13)
        last = n == 10_000
        canvas.name(axes, f"n = {n:,}".replace(",", " "), "value k", "" if n > 10 else "probability", "upper right" if last else "")
    return drawn


@picture("histogram_log_prob")
def held_out(mine: Work) -> Figure:
    """A histogram knows its own sample by heart; on fresh data an empty bin costs infinitely much."""
    stream, fresh = _draws(20_000), _draws(1_000, seed=1)
    sizes = (torch.logspace(1, 4.3, 20)).long().tolist()
    costs = {"its own sample": [], "fresh data": []}  # type: dict[str, list[float]]
    for n in sizes:
        pi = mine.fit_histogram(stream[:n], K)
        costs["its own sample"].append(-mine.histogram_log_prob(pi, stream[:n]).mean().item())
        costs["fresh data"].append(-mine.histogram_log_prob(pi, fresh).mean().item())
    entropy = -(_law() * _law().log()).sum().item()
    drawn, (axes,) = canvas.figure(1, 6.6, 3.7, "What a value costs under a histogram")
    for (name, values), colour in zip(costs.items(), (OTHER, YOURS), strict=True):
        axes.plot(sizes, values, "o-", color=colour, markersize=4, label=f"your cost of {name}")
    top = max(value for values in costs.values() for value in values if value < float("inf")) + 0.25
    infinite = [n for n, value in zip(sizes, costs["fresh data"], strict=True) if value == float("inf")]
    axes.plot(infinite, [top] * len(infinite), "^", color=ACCENT, label="fresh data: infinite")
    axes.axhline(entropy, color=INK, linestyle="--", linewidth=1, label=f"entropy of $p_{{data}}$: {entropy:.2f}")
    axes.set_xscale("log")
    canvas.name(axes, "−log p, on average", "samples n that the histogram was fitted to", "nats per value", "lower right")
    return drawn


@picture("sample_histogram")
def drawn_from_it(mine: Work) -> Figure:
    """What the sampler draws has the frequencies of the law, as nearly as chance allows."""
    n = 5_000
    pi = _law()
    x = mine.sample_histogram(pi, n, torch.Generator().manual_seed(0))
    chance = 2 * (pi * (1 - pi) / n).sqrt()
    drawn, (axes,) = canvas.figure(1, 7.2, 3.4, f"{n} draws from a histogram")
    canvas.shares(axes, x, color=YOURS, alpha=0.6, label="share of each value in your draws")
    axes.errorbar(range(K), pi, yerr=chance, fmt=".", color=INK, markersize=4, linewidth=1, label="π, ± 2 standard deviations of chance")
    canvas.name(axes, "about one bar in twenty may miss its line", "value k", "probability", "upper right")
    return drawn


@picture("fit_conditional_histogram")
def one_row_a_class(mine: Work) -> Figure:
    """A conditional histogram: one law for each class."""
    C, n = 6, 6_000
    law = _conditional_law(C)
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(C, (n,), generator=generator)
    x = (_centre(y) + _width(y) * torch.randn(n, generator=generator)).round().long().clamp(0, K - 1)
    fitted = mine.fit_conditional_histogram(x, y, K, C)
    drawn, (left, right) = canvas.figure(2, 9.5, 3.4, "A conditional model has one row for each class")
    for axes, table, title in ((left, fitted, f"your fit to {n} pairs"), (right, law, "p(x | y)")):
        canvas.heatmap(axes, table, title, "probability")
        axes.set_aspect("auto")
        axes.set_yticks(range(C))
        axes.set_xlabel("value of x", fontsize=9)
        axes.set_ylabel("class y", fontsize=9)
    return drawn


@picture("num_parameters")
def too_many(mine: Work) -> Figure:
    """How many numbers it takes to write a model of 28 × 28 binary images down."""
    orders = range(784)
    digits = [len(str(mine.num_parameters(784, 2, order))) for order in orders]
    joint = len(str(mine.num_parameters(784, 2, None)))
    drawn, (axes,) = canvas.figure(1, 6.6, 3.6, "Free parameters of a model of 784 binary pixels")
    axes.plot(orders, digits, color=YOURS, linewidth=2, label="each pixel depends on the `order` before it")
    axes.plot(783, joint, "o", color=ACCENT, label=f"the full joint law: {joint} digits")
    axes.axhline(81, color=INK, linestyle="--", linewidth=1, label="atoms in the universe: about 80 digits")
    axes.set_ylim(0, max(260, joint * 1.1))
    canvas.name(axes, "", "order", "decimal digits of your number", "lower right")
    return drawn


def _law() -> Tensor:
    """Two normal laws, rounded to whole numbers."""
    return 0.55 * _rounded(torch.tensor(12.0), torch.tensor(3.0)) + 0.45 * _rounded(torch.tensor(27.0), torch.tensor(3.6))


def _draws(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(n, generator=generator) < 0.55
    noise = torch.randn(n, generator=generator)
    return torch.where(first, 12 + 3.0 * noise, 27 + 3.6 * noise).round().long().clamp(0, K - 1)


def _conditional_law(C: int) -> Tensor:
    y = torch.arange(C)[:, None]
    return _rounded(_centre(y), _width(y))


def _centre(y: Tensor) -> Tensor:
    return 6.0 + 5.0 * y


def _width(y: Tensor) -> Tensor:
    return 1.2 + 0.6 * y


def _rounded(centre: Tensor, width: Tensor) -> Tensor:
    """The pmf on 0..K-1 of a rounded normal law; the ends take what lies beyond them."""
    edges = torch.arange(K - 1) + 0.5
    below = torch.special.ndtr((edges - centre) / width)
    zero, one = torch.zeros_like(below[..., :1]), torch.ones_like(below[..., :1])
    return torch.cat([below, one], dim=-1) - torch.cat([zero, below], dim=-1)
