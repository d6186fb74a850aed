"""The way into noise and the way back, as strips; a small network that has learned it; guidance from 0 to 5."""

from __future__ import annotations

import math
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.checks.families.shared import training
from grader.checks.families.shared.shapes import eight_gaussians, score_of_heaps, two_moons
from grader.practice import canvas
from grader.practice.canvas import INK, OTHER, THIRD, YOURS, numbers
from grader.practice.gallery import Work, picture

BETAS = torch.linspace(0.001, 0.12, 60)


@picture("sample", "denoising_step")
def into_noise_and_back(mine: Work) -> Figure:
    """Above, data lose themselves in noise; below, pure noise becomes data, one of your steps after the other."""
    a = torch.cumprod(1 - BETAS, dim=0)

    def model(x: Tensor, t: Tensor) -> Tensor:  # the noise that the exact score of the noisy heaps means
        sigma = (1 - a[t]).sqrt()
        return -sigma[:, None] * score_of_heaps(x, sigma, a[t].sqrt())

    generator, data = torch.Generator().manual_seed(0), eight_gaussians(500, 0)
    noise, x = torch.randn(500, 2, generator=generator), torch.randn(500, 2, generator=generator)
    back = {60: x}
    for t in reversed(range(60)):
        x = mine.denoising_step(model, x, t, BETAS, generator).detach()
        back[t] = x
    drawn, axes = canvas.figure(5, 11.0, 4.8, "Sixty steps into noise, and sixty steps back", rows=2)
    for column, t in enumerate((0, 10, 20, 35, 60)):
        there = data if t == 0 else mine.add_noise(data, torch.full((500,), t - 1), noise, BETAS)
        for panel, points, color in ((axes[column], there, OTHER), (axes[5 + column], back[t], YOURS)):
            panel.scatter(*numbers(points).T, s=3, color=color)
            panel.set_xlim(-3.3, 3.3)
            panel.set_ylim(-3.3, 3.3)
            panel.set_aspect("equal")
            panel.set_xticks([])
            panel.set_yticks([])
        axes[column].set_title(f"{t} steps of noise", fontsize=10, loc="left")
        axes[5 + column].set_title("your samples" if t == 0 else f"{t} steps left", fontsize=10, loc="left")
    return drawn


@picture("simple_loss", "ddim_step")
def a_network_that_learned_two_moons(mine: Work) -> Figure:
    """A small network trained with your simple_loss: sixty ancestral steps, and ten without noise, from noise to data."""
    data, network = 2 * two_moons(2000, 0), training.network(5, 2, detail=8)

    def model(x: Tensor, t: Tensor) -> Tensor:
        return network(training.beside(x, t / 60))

    def loss(generator: torch.Generator) -> Tensor:
        x0, noise = data[torch.randint(2000, (512,), generator=generator)], torch.randn(512, 2, generator=generator)
        return mine.simple_loss(model, x0, torch.randint(60, (512,), generator=generator), noise, BETAS)

    losses, generator = training.train(loss, [network], mine.steps, 1e-2), torch.Generator().manual_seed(1)
    with torch.no_grad():
        ancestral, x = mine.sample(model, 500, 2, BETAS, generator), torch.randn(500, 2, generator=generator)
        for t in range(59, 0, -6):
            x = mine.ddim_step(model, x, t, max(t - 6, -1), BETAS)
    drawn, axes = canvas.figure(3, 11.0, 3.9, "A small diffusion model learns two moons")
    axes[0].plot(losses, color=YOURS, linewidth=1, label="your simple_loss")
    axes[0].axhline(2, color=OTHER, label="knows nothing: 2")
    axes[0].set_ylim(0, 4)
    canvas.name(axes[0], "learning", "step of training", "squared error of the noise", "upper right")
    for panel, points, title in ((axes[1], ancestral, "your sample: sixty steps"), (axes[2], x, "your ddim_step, ten times")):
        panel.scatter(*numbers(data[:500]).T, s=4, color=OTHER, label="data")
        panel.scatter(*numbers(points).T, s=4, color=YOURS, label="samples")
        panel.set_xlim(-4, 4)
        panel.set_ylim(-4, 4)
        panel.set_aspect("equal")
        canvas.name(panel, title, "x1", "x2", "upper right")
    return drawn


@picture("guided_noise")
def guidance(mine: Work) -> Figure:
    """More guidance, more like the label: samples leave what the labels share, and lose their variety."""
    angle, a = torch.arange(3) * 2 * math.pi / 3 + math.pi / 2, torch.cumprod(1 - BETAS, dim=0)
    centres, label = 1.5 * torch.stack([angle.cos(), angle.sin()], dim=1), torch.arange(450) % 3

    def model(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:  # exact, for three round heaps of deviation 0.7
        left = a[t][:, None]
        variance = 0.49 * left + 1 - left
        if label is None:
            distance = (x[:, None] - left.sqrt()[:, None] * centres).square().sum(dim=2)
            centre = (-distance / (2 * variance)).softmax(dim=1) @ centres
        else:
            centre = centres[label]
        return (1 - left).sqrt() * (x - left.sqrt() * centre) / variance

    def at(scale: int, x: Tensor, t: Tensor) -> Tensor:
        return mine.guided_noise(model, x, t, label, scale)

    drawn, axes = canvas.figure(3, 9.6, 7.0, "Guidance of three labels, from 0 to 5", rows=2)
    colors = [(YOURS, OTHER, THIRD)[k] for k in label.tolist()]
    for scale, panel in enumerate(axes):
        x, guided = torch.randn(450, 2, generator=torch.Generator().manual_seed(0)), partial(at, scale)
        for t in reversed(range(60)):
            x = mine.ddim_step(guided, x, t, t - 1, BETAS).detach()
        panel.scatter(*numbers(x).T, s=4, color=colors)
        panel.plot(*numbers(centres).T, "+", color=INK, markersize=11, markeredgewidth=2)
        panel.set_xlim(-4.2, 4.2)
        panel.set_ylim(-4.2, 4.2)
        panel.set_aspect("equal")
        said = ": as the data; + centres" if scale == 0 else ""
        canvas.name(panel, f"scale {scale}{said}", "x1", "x2")
    return drawn
