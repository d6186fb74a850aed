"""The way into noise and the way back, as strips."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.checks.families.shared.shapes import eight_gaussians, score_of_heaps
from grader.practice import canvas
from grader.practice.canvas import OTHER, YOURS, numbers
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
            panel.scatter(numbers(points[:, 0]), numbers(points[:, 1]), s=3, color=color)
            panel.set_xlim(-3.3, 3.3)
            panel.set_ylim(-3.3, 3.3)
            panel.set_aspect("equal")
            panel.set_xticks([])
            panel.set_yticks([])
        axes[column].set_title(f"{t} steps of noise", fontsize=10, loc="left")
        axes[5 + column].set_title("your samples" if t == 0 else f"{t} steps left", fontsize=10, loc="left")
    return drawn
