"""Scores as arrows over noise levels, samples that follow them, and ways back in time with noise and without."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.checks.families.shared import training
from grader.checks.families.shared.shapes import eight_gaussians, score_of_heaps
from grader.practice import canvas
from grader.practice.canvas import OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("denoise", "denoising_score_loss")
def arrows_to_the_data(mine: Work) -> Figure:
    """From noisy points to your guess of the clean ones: strong noise points to the middle, weak noise to the next heap."""
    side, data, learned = torch.linspace(-3, 3, 11), eight_gaussians(300, 0), _trained(mine)
    plane = torch.cartesian_prod(side, side)
    drawn, axes = canvas.figure(3, 11.0, 4.4, "A score is a denoiser: arrows from noisy points to the guess of the clean ones")
    for panel, level in zip(axes, (2.0, 0.7, 0.2), strict=True):
        panel.scatter(numbers(data[:, 0]), numbers(data[:, 1]), s=4, color=PAPER)
        kinds = (score_of_heaps, OTHER, 0.011, "by the true score"), (learned, YOURS, 0.005, "by a score that your loss has trained")
        for score, color, width, label in kinds:
            way = numbers(mine.denoise(score, plane, torch.full((len(plane),), level)) - plane)
            panel.quiver(
                numbers(plane[:, 0]),
                numbers(plane[:, 1]),
                way[:, 0],
                way[:, 1],
                angles="xy",
                scale_units="xy",
                scale=1,
                color=color,
                width=width,
                label=label,
            )
        panel.set_xlim(-3.2, 3.2)
        panel.set_ylim(-3.2, 3.2)
        panel.set_aspect("equal")
        canvas.name(panel, f"noise of deviation {level:g}", "x1", "x2")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return drawn


@picture("annealed_langevin", "noise_levels")
def from_strong_noise_to_weak(mine: Work) -> Figure:
    """Annealed samples find all eight heaps; with the weakest noise alone most walkers find none."""
    generator, start = torch.Generator().manual_seed(0), 4 * torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    sigmas = mine.noise_levels(3.0, 0.05, 12)
    found = mine.annealed_langevin(score_of_heaps, start, sigmas, 20, 2e-4, generator)
    alone = mine.annealed_langevin(score_of_heaps, start, sigmas[-1:], 240, 2e-4, generator)
    learned = mine.annealed_langevin(_trained(mine), start, sigmas, 20, 2e-4, generator)
    drawn, axes = canvas.figure(3, 10.8, 4.1, "Four hundred samples by annealed_langevin from the same start")
    titles = "twelve noise levels, true score", "the weakest noise alone, true score", "twelve levels, the score you trained"
    for panel, x, color, title in zip(axes, (found, alone, learned), (YOURS, OTHER, YOURS), titles, strict=True):
        panel.scatter(*numbers(x).T, s=6, color=color)
        panel.set_xlim(-6, 6)
        panel.set_ylim(-6, 6)
        panel.set_aspect("equal")
        canvas.name(panel, title, "x1", "x2")
    return drawn


@picture("reverse_sde_step", "probability_flow_drift", "vp_marginal")
def back_in_time(mine: Work) -> Figure:
    """The same law at each time: with noise the ways are rough, without it smooth, and they never cross."""
    law, centres = (0.1, 12.0), torch.tensor([-1.5, 1.5])

    def score(x: Tensor, t: Tensor) -> Tensor:  # of two heaps on a line, each of deviation 0.3
        shrunk, deviation = mine.vp_marginal(torch.ones(len(x), 1), t, *law)
        variance = (0.3 * shrunk).square() + deviation[:, None].square()
        to_centre = shrunk * centres - x  # (n, 2)
        share = (-to_centre.square() / (2 * variance)).softmax(dim=1)
        return (share * to_centre).sum(dim=1, keepdim=True) / variance

    generator, start, steps = torch.Generator().manual_seed(0), torch.linspace(-2, 2, 12)[:, None], 300
    rough, smooth = [start], [start]
    for k in range(steps, 0, -1):
        rough.append(mine.reverse_sde_step(score, rough[-1], k / steps, 1 / steps, *law, generator).detach())
        smooth.append(smooth[-1] - mine.probability_flow_drift(score, smooth[-1], k / steps, *law).detach() / steps)
    time, height = torch.linspace(0, 1, 61), torch.linspace(-3, 3, 121)
    shrunk, deviation = mine.vp_marginal(torch.ones(61, 1), time, *law)
    width = ((0.3 * shrunk[:, 0]).square() + deviation.square()).sqrt()
    density = sum(torch.distributions.Normal(centre * shrunk[:, 0], width).log_prob(height[:, None]).exp() for centre in centres)
    drawn, axes = canvas.figure(2, 9.6, 4.0, "From noise, at time 1, back to data with two heaps, at time 0")
    for panel, ways, title in zip(axes, (rough, smooth), ("your reverse_sde_step", "your probability_flow_drift, no noise"), strict=True):
        panel.contourf(time, height, numbers(density), levels=16, cmap="Greys")
        panel.plot(torch.linspace(1, 0, steps + 1), numbers(torch.cat(ways, dim=1).T), color=YOURS, linewidth=0.9)
        panel.set_xlim(1, 0)
        panel.set_ylim(-3, 3)
        canvas.name(panel, title + "; grey: the density", "time t", "x")
    return drawn


@lru_cache(maxsize=1)
def _trained(mine: Work) -> Callable[[Tensor, Tensor], Tensor]:
    """A small network that has learned the scores of the eight heaps, by the student's loss."""
    network, data = training.network(3, 2, detail=8), eight_gaussians(2000, 0)

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma[:, None]
        return network(torch.cat([x / (1 + sigma), sigma.log() / 4], dim=1)) / sigma  # what it sees and gives is of size one

    def loss(generator: torch.Generator) -> Tensor:
        x, noise = data[torch.randint(2000, (512,), generator=generator)], torch.randn(512, 2, generator=generator)
        sigma = 3.0 * (0.05 / 3.0) ** torch.rand(512, generator=generator)
        return mine.denoising_score_loss(score, x, noise, sigma)

    training.train(loss, [network], mine.steps, 1e-2)
    return lambda x, sigma: score(x, sigma).detach()
