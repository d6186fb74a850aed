"""Two lower bounds and the evidence that they bound."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.practice import canvas
from grader.practice.canvas import INK, OTHER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("elbo", "importance_bound")
def bounds_and_evidence(mine: Work) -> Figure:
    """The ELBO touches the evidence where the guess is the true posterior; more samples lift the other bound everywhere."""
    x, generator = torch.tensor([[1.2]]), torch.Generator().manual_seed(0)
    shift = torch.linspace(-1.5, 1.5, 61)

    def log_p(data: Tensor, z: Tensor) -> Tensor:  # x = z + noise, of deviation 1/2
        return (-2 * (data - z).square() - 0.5 * math.log(2 * math.pi) + math.log(2)).sum(dim=1)

    mu, log_var = 0.96 + shift[:, None], torch.full((61, 1), math.log(0.2))  # the true posterior is N(0.96, 0.2)
    z = mu + math.sqrt(0.2) * torch.randn(20_000, 1, 1, generator=generator)
    given = log_p, mu, log_var, x.expand(61, 1)
    drawn, (axes,) = canvas.figure(1, 6.4, 3.8, "One datum, many guesses of its code")
    axes.axhline(-0.5 * math.log(2 * math.pi * 1.25) - 1.2**2 / 2.5, color=INK, linestyle="--", linewidth=1, label="evidence log p(x)")
    axes.plot(shift, numbers(mine.elbo(*given, z[:2000])), color=YOURS, label="your elbo")
    tight = torch.stack([mine.importance_bound(*given, z[10 * k : 10 * k + 10]) for k in range(500)]).mean(dim=0)
    axes.plot(shift, numbers(tight), color=OTHER, label="your importance_bound, 10 samples, on average")
    canvas.name(axes, "both touch the evidence where the guess is right", "how far the mean of q is off", "nats", "lower center")
    return drawn
