"""What the best discriminator sees, how distances and losses differ in slope, a small GAN, and what a style is."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.checks.families.shared import training
from grader.checks.families.shared.shapes import eight_gaussians
from grader.practice import canvas
from grader.practice.canvas import INK, OTHER, THIRD, YOURS, numbers
from grader.practice.gallery import Work, picture


@picture("optimal_discriminator")
def of_a_dropped_mode(mine: Work) -> Figure:
    """The best discriminator is certain where only one of the laws is: between the modes, or where a mode was dropped."""
    x = torch.linspace(-6, 6, 481, dtype=torch.float64)
    p_data = _pmf(_bump(x, -2) + _bump(x, 2))
    near = {"forward KL: covers both": _bump(x, 0, 2.12), "reverse KL: drops one": _bump(x, 1.98, 0.73)}  # found by a search
    drawn, axes = canvas.figure(2, 9.6, 3.9, "Data with two modes, and the best single Gaussian for a generator")
    for panel, (title, weights) in zip(axes, near.items(), strict=True):
        p_theta, scale = _pmf(weights), p_data.max()
        panel.plot(x, numbers(p_data / scale), color=INK, linewidth=1, label="data")
        panel.plot(x, numbers(p_theta / scale), color=OTHER, label="generator")
        panel.plot(x, numbers(mine.optimal_discriminator(p_data, p_theta)), color=YOURS, linewidth=2, label="your optimal_discriminator")
        panel.axhline(0.5, color=INK, linestyle=":", linewidth=1)
        panel.set_ylim(-0.05, 2.8)
        canvas.name(panel, title, "x", "D(x); laws, the data up to 1", "upper left")
    return drawn


@picture("jensen_shannon", "wasserstein_1d")
def of_laws_that_part(mine: Work) -> Figure:
    """Of laws that part, the Jensen-Shannon divergence stops at log 2 and has no slope left; the transport distance goes on."""
    x = torch.linspace(-8, 8, 801, dtype=torch.float64)
    shifts = torch.linspace(0, 6, 49, dtype=torch.float64)
    fixed, sample = _pmf(_bump(x, -3, 0.4)), torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    apart = torch.stack([mine.jensen_shannon(fixed, _pmf(_bump(x, -3 + float(shift), 0.4))) for shift in shifts])
    moved = torch.stack([mine.wasserstein_1d(0.4 * sample, 0.4 * sample + shift) for shift in shifts])
    drawn, (left, right) = canvas.figure(2, 9.0, 3.6, "Two bumps that part")
    left.plot(shifts, numbers(apart), color=YOURS, label="your jensen_shannon")
    left.axhline(math.log(2), color=INK, linestyle="--", linewidth=1, label="log 2")
    canvas.name(left, "flat once they do not meet", "shift", "nats", "lower right")
    right.plot(shifts, numbers(moved), color=THIRD, label="your wasserstein_1d")
    canvas.name(right, "a slope all the way", "shift", "distance", "upper left")
    return drawn


@picture("generator_loss")
def of_two_losses(mine: Work) -> Figure:
    """Where the discriminator is sure of a fake, on the left, the saturating loss is flat, and the other one is steep."""
    logits = torch.linspace(-6, 6, 121)[:, None]  # 121 batches of one sample
    drawn, (axes,) = canvas.figure(1, 6.4, 3.6, "What the generator learns from")
    for saturating, color, label in ((True, OTHER, "your saturating loss"), (False, YOURS, "your loss that does not saturate")):
        axes.plot(logits, numbers(torch.stack([mine.generator_loss(batch, saturating) for batch in logits])), color=color, label=label)
    canvas.name(axes, "sure fakes, on the left: one loss is flat there", "logit of one generated sample", "nats", "upper right")
    return drawn


@picture("discriminator_loss", "generator_loss")
def a_gan_of_eight_heaps(mine: Work) -> Figure:
    """A small GAN trained with your losses: a continuous generator bends one cloud to eight heaps, and leaves bridges."""
    data, noise = eight_gaussians(2000, 0), torch.randn(600, 2, generator=torch.Generator().manual_seed(1))
    G, D = training.network(2, 2), training.network(2, 1, seed=1)
    of_D, of_G = (torch.optim.Adam(one.parameters(), lr=2e-3, betas=(0.5, 0.9)) for one in (D, G))
    generator, side, done = torch.Generator().manual_seed(0), torch.linspace(-3, 3, 61), 0
    drawn, axes = canvas.figure(3, 10.8, 3.9, "A small GAN learns eight Gaussians")
    for panel, steps in zip(axes, (mine.steps // 10, mine.steps // 3, mine.steps), strict=True):
        for _ in range(steps - done):
            real, z = data[torch.randint(2000, (128,), generator=generator)], torch.randn(2, 128, 2, generator=generator)
            _descend(of_D, mine.discriminator_loss(D(real)[:, 0], D(G(z[0]).detach())[:, 0]))
            _descend(of_G, mine.generator_loss(D(G(z[1]))[:, 0], False))
        done = steps
        with torch.no_grad():
            belief, made = D(torch.cartesian_prod(side, side)).sigmoid().reshape(61, 61).T, G(noise)
        shown = panel.contourf(side, side, numbers(belief), levels=torch.linspace(0, 1, 11).tolist(), cmap="Greys_r", alpha=0.6)
        panel.scatter(numbers(data[:400, 0]), numbers(data[:400, 1]), s=4, color=OTHER, label="data")
        panel.scatter(numbers(made[:, 0]), numbers(made[:, 1]), s=4, color=YOURS, label="generated")
        panel.set_xlim(-3, 3)
        panel.set_ylim(-3, 3)
        panel.set_aspect("equal")
        canvas.name(panel, f"after {steps} steps", "x1", "x2")
    axes[0].legend(loc="upper left", fontsize=8)
    drawn.colorbar(shown, ax=axes[2], shrink=0.7).set_label("D(x), the belief in data", fontsize=9)
    return drawn


@picture("adaptive_instance_norm")
def of_two_styles(mine: Work) -> Figure:
    """What mean and deviation of each channel carry: a temple in the colours of a flower, and a flower in those of the temple."""
    from sklearn.datasets import load_sample_image

    pixels = torch.stack([torch.tensor(load_sample_image(name)[::3, ::3]) for name in ("china.jpg", "flower.jpg")])
    photos = pixels.permute(0, 3, 1, 2) / 255
    scale, bias = photos.std(dim=(2, 3)).flip(0), photos.mean(dim=(2, 3)).flip(0)  # each gets the style of the other
    mixed = mine.adaptive_instance_norm(photos, scale, bias).detach()
    drawn, axes = canvas.figure(2, 7.6, 5.6, "Adaptive instance normalization carries a style over", rows=2)
    titles = "a temple", "a flower", "your temple in the style of the flower", "your flower in the style of the temple"
    for panel, image, title in zip(axes, (*photos, *mixed), titles, strict=True):
        canvas.photograph(panel, image, title)
    return drawn


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _bump(x: Tensor, centre: float, width: float = 0.7) -> Tensor:
    return (-0.5 * ((x - centre) / width) ** 2).exp()


def _pmf(weights: Tensor) -> Tensor:
    return weights / weights.sum()
