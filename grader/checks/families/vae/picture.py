"""Two lower bounds and the evidence that they bound: of one datum, and while a small VAE learns."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.checks.families.shared import training
from grader.checks.families.shared.shapes import spiral
from grader.practice import canvas
from grader.practice.canvas import INK, OTHER, PAPER, YOURS, numbers
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


@picture("reparametrize", "elbo", "gaussian_kl")
def a_vae_of_a_spiral(mine: Work) -> Figure:
    """A small VAE trained with your elbo: its bound rises to just below the evidence, and its codes lie along the data."""
    data, encoder, decoder = spiral(2000, 0), training.network(2, 2), training.network(1, 2, seed=1)
    grid, evidence = torch.linspace(-5, 5, 201)[:, None], []

    def log_p(x: Tensor, z: Tensor) -> Tensor:
        return torch.distributions.Normal(decoder(z), 0.2).log_prob(x).sum(dim=-1)

    def loss(generator: torch.Generator) -> Tensor:
        x = data[torch.randint(2000, (256,), generator=generator)]
        with torch.no_grad():  # a code is one number, so a sum over many of them is the integral
            joint = log_p(x[:, None], grid).double() + torch.distributions.Normal(0, 1).log_prob(grid[:, 0])  # (n, codes)
            evidence.append((joint.exp().sum(dim=1) * 0.05).log().mean().item())
        mu, log_var = encoder(x).chunk(2, dim=1)
        return -mine.elbo(log_p, mu, log_var, x, mine.reparametrize(mu, log_var, generator)[None]).mean()

    losses = training.train(loss, [encoder, decoder], mine.steps, 1e-2)
    with torch.no_grad():
        codes = torch.linspace(-2.5, 2.5, 200)[:, None]
        curve, own = decoder(codes), encoder(data)[:500, 0]
    drawn, (left, middle, right) = canvas.figure(3, 11.0, 3.8, "A small VAE with one code learns a spiral")
    left.plot(evidence, color=INK, linewidth=1, label="evidence of the batch")
    left.plot([-loss for loss in losses], color=YOURS, linewidth=1, label="your elbo of the batch")
    left.set_ylim(-6, 0)
    canvas.name(left, "the bound stays below, and gets near", "step of training", "nats", "lower right")
    for axes in (middle, right):
        axes.set_aspect("equal")
    middle.scatter(numbers(data[:500, 0]), numbers(data[:500, 1]), s=5, c=numbers(own), cmap="viridis", vmin=-2.5, vmax=2.5)
    canvas.name(middle, "data, coloured by the encoder's mean code", "x1", "x2")
    right.scatter(numbers(data[:500, 0]), numbers(data[:500, 1]), s=5, color=PAPER)
    shown = right.scatter(numbers(curve[:, 0]), numbers(curve[:, 1]), s=6, c=numbers(codes[:, 0]), cmap="viridis", vmin=-2.5, vmax=2.5)
    drawn.colorbar(shown, ax=right, shrink=0.8).set_label("code z", fontsize=9)
    canvas.name(right, "what the decoder makes of codes", "x1", "x2")
    return drawn
