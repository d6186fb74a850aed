"""Walkers in an energy landscape: one that is given, one that is learned, and steps that are too large for it."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.checks.families.shared import training
from grader.checks.families.shared.shapes import log_density_of_heaps, score_of_heaps, two_moons
from grader.practice import canvas
from grader.practice.canvas import ACCENT, INK, OTHER, YOURS, numbers
from grader.practice.gallery import Work, picture

NO_NOISE = torch.tensor(0.35)  # heaps a little wider, so that walkers get across


@picture("langevin_step")
def walkers(mine: Work) -> Figure:
    """Langevin walkers fall into the valleys of the energy, and stay restless there."""
    generator = torch.Generator().manual_seed(0)
    x, side = torch.randn(200, 2, generator=generator), torch.linspace(-3.2, 3.2, 81)
    plane = torch.cartesian_prod(side, side)
    energy = -log_density_of_heaps(plane, NO_NOISE).reshape(81, 81).T
    drawn, axes = canvas.figure(3, 10.8, 4.1, "Two hundred Langevin walkers in a landscape of eight valleys")
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


@picture("contrastive_loss")
def a_landscape_that_is_learned(mine: Work) -> Figure:
    """A small network trained with your contrastive_loss: its valleys form where data are, and your walkers find them."""
    data, network, side = 2 * two_moons(2000, 0), training.network(2, 1, detail=4), torch.linspace(-4, 4, 81)
    walkers = torch.randn(256, 2, generator=torch.Generator().manual_seed(1))

    def energy(x: Tensor) -> Tensor:
        return network(x)[:, 0] + 0.05 * x.square().sum(dim=1)  # so that no walker is lost

    def score(x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return -torch.autograd.grad(energy(x).sum(), x)[0]

    def loss(generator: torch.Generator) -> Tensor:
        nonlocal walkers
        for _ in range(5):
            walkers = mine.langevin_step(score, walkers, 0.03, generator).detach()
        fresh = torch.rand(256, 1, generator=generator) < 0.02
        walkers = torch.where(fresh, 2 * torch.randn(256, 2, generator=generator), walkers)
        x = data[torch.randint(2000, (256,), generator=generator)]
        return mine.contrastive_loss(energy, x, walkers) + 0.002 * energy(x).square().mean()  # keeps energies from running away

    drawn, axes = canvas.figure(2, 9.2, 4.0, "An energy that learns two moons")
    for panel, title, color in zip(axes, ("before training, and the data", "after it, and your walkers"), (ACCENT, YOURS), strict=True):
        points = data[:500]
        if panel is axes[1]:
            training.train(loss, [network], mine.steps, 1e-2)
            points = walkers
        height = energy(torch.cartesian_prod(side, side)).detach().reshape(81, 81).T
        shown = panel.contourf(side, side, numbers((height - height.min()).clamp(max=8)), levels=16, cmap="Greys_r")
        panel.scatter(numbers(points[:, 0]), numbers(points[:, 1]), s=7, color=color)
        panel.set_xlim(-4, 4)
        panel.set_ylim(-4, 4)
        panel.set_aspect("equal")
        drawn.colorbar(shown, ax=panel, shrink=0.7).set_label("energy above the lowest", fontsize=9)
        canvas.name(panel, title, "x1", "x2")
    return drawn


@picture("metropolis_log_acceptance")
def steps_that_are_too_large(mine: Work) -> Figure:
    """With large steps plain Langevin walkers end beside the law; a coin with your acceptance puts that right."""
    law = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.tensor([0.5, 0.5])), torch.distributions.Normal(torch.tensor([-1.5, 1.5]), 0.5)
    )

    def log_p(x: Tensor) -> Tensor:
        return law.log_prob(x[:, 0])

    def score(x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(log_p(x).sum(), x)[0]

    generator, line = torch.Generator().manual_seed(0), torch.linspace(-4, 4, 201)
    free = held = 2 * torch.randn(4000, 1, generator=generator)
    for _ in range(150):
        free = mine.langevin_step(score, free, 0.6, generator).detach()
        proposal = mine.langevin_step(score, held, 0.6, generator).detach()
        accepted = torch.rand(4000, generator=generator).log() < mine.metropolis_log_acceptance(log_p, score, held, proposal, 0.6)
        held = torch.where(accepted[:, None], proposal, held)
    drawn, axes = canvas.figure(2, 9.0, 3.7, "Four thousand walkers, 150 steps of size 0.6")
    for panel, x, color, title in zip(axes, (free, held), (OTHER, YOURS), ("every step is taken", "with your acceptance"), strict=True):
        panel.hist(numbers(x[:, 0]), bins=torch.linspace(-4, 4, 65).tolist(), density=True, color=color, label="walkers")
        panel.plot(line, numbers(law.log_prob(line).exp()), color=INK, label="the law")
        canvas.name(panel, title, "x", "density", "upper right")
    return drawn
