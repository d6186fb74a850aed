"""Scores as arrows over noise levels, and samples that follow them."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from grader.checks.families.shared.shapes import eight_gaussians, score_of_heaps
from grader.practice import canvas
from grader.practice.canvas import OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("denoise")
def arrows_to_the_data(mine: Work) -> Figure:
    """From every noisy point an arrow to your guess of the clean one: strong noise points to the middle, weak noise to the next heap."""
    side = torch.linspace(-3, 3, 15)
    plane, data = torch.cartesian_prod(side, side), eight_gaussians(300, 0)
    drawn, axes = canvas.figure(3, 10.5, 3.8, "Scores are denoisers")
    for panel, level in zip(axes, (2.0, 0.7, 0.2), strict=True):
        guess = mine.denoise(score_of_heaps, plane, torch.full((len(plane),), level))
        way = numbers(guess - plane)
        panel.scatter(numbers(data[:, 0]), numbers(data[:, 1]), s=4, color=PAPER)
        panel.quiver(numbers(plane[:, 0]), numbers(plane[:, 1]), way[:, 0], way[:, 1], angles="xy", scale_units="xy", scale=1.6,
                     color=YOURS, width=0.004)
        panel.set_aspect("equal")
        canvas.name(panel, f"noise of deviation {level:g}", "x1", "x2")
    return drawn


@picture("annealed_langevin", "noise_levels")
def from_strong_noise_to_weak(mine: Work) -> Figure:
    """Annealed samples find all eight heaps; with the weakest noise alone most walkers find none."""
    generator, start = torch.Generator().manual_seed(0), 4 * torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    sigmas = mine.noise_levels(3.0, 0.05, 12)
    found = mine.annealed_langevin(score_of_heaps, start, sigmas, 20, 2e-4, generator)
    alone = mine.annealed_langevin(score_of_heaps, start, sigmas[-1:], 240, 2e-4, generator)
    drawn, axes = canvas.figure(2, 7.6, 3.9, "Twelve noise levels, and the last one alone")
    for panel, x, color, title in zip(axes, (found, alone), (YOURS, OTHER), ("annealed", "the weakest noise alone"), strict=True):
        panel.scatter(numbers(x[:, 0]), numbers(x[:, 1]), s=6, color=color)
        panel.set_xlim(-6, 6)
        panel.set_ylim(-6, 6)
        panel.set_aspect("equal")
        canvas.name(panel, title, "x1", "x2")
    return drawn
