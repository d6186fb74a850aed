"""Sequences, one variable after another: bars and stripes, a chain that counts, a banana."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.practice import canvas
from grader.practice.canvas import ACCENT, INK, OTHER, THIRD, YOURS, numbers
from grader.practice.gallery import Work, picture

SIDE = 8
STEP = torch.tensor([[0.04, 0.88, 0.04, 0.04]])  # the chain stays, counts one, two or three further, modulo 4


@picture("log_prob")
def likelihood_of_images(mine: Work) -> Figure:
    """Every bar and every stripe is equally likely, and nothing else is possible."""
    images = _bars_and_stripes()[[9, 120, 200, 300, 400, 500]]
    broken = images[[1, 4]].clone()
    broken[:, 27] = 1 - broken[:, 27]
    shown = torch.cat([images, broken])
    log_p = numbers(mine.log_prob(_one_of(_bars_and_stripes()), shown))
    exact = -math.log(len(_bars_and_stripes()))
    drawn, columns = canvas.figure(len(shown), 11, 2.3, "Bars and stripes: your log-likelihood of images, in nats")
    for i, (axes, image, value) in enumerate(zip(columns, shown, log_p, strict=True)):
        canvas.grid(axes, [image.view(1, SIDE, SIDE)], 2, f"{value:.2f}")
        truth = f"should be {exact:.2f}" if i < len(images) else "impossible: -inf"
        axes.text(0.5, -0.06, truth, ha="center", va="top", fontsize=8, transform=axes.transAxes)
    return drawn


@picture("sample")
def drawn_pixel_by_pixel(mine: Work) -> Figure:
    """Pixel by pixel, and yet every image is a bar or a stripe."""
    known = _bars_and_stripes()
    x = mine.sample(_one_of(known), 24, SIDE**2, torch.Generator().manual_seed(0))
    right = sum(bool((known == image).all(dim=1).any()) for image in x)
    some = known[torch.randperm(len(known), generator=torch.Generator().manual_seed(1))[:24]]
    drawn, (left, other) = canvas.figure(2, 9.2, 3.6, "Ancestral sampling: the law is all bars and all stripes of 8 × 8 pixels")
    canvas.grid(left, x.view(-1, SIDE, SIDE).split(6), 2, f"drawn by your sampler: {right} of {len(x)} are bars or stripes")
    canvas.grid(other, some.view(-1, SIDE, SIDE).split(6), 2, "24 of the 510 images")
    return drawn


@picture("context_windows")
def what_comes_before(mine: Work) -> Figure:
    """The window of each variable: what comes before it, the oldest first."""
    x = torch.arange(1, 11)[None]
    windows = mine.context_windows(x, 4, 0)[0]  # (m, d)
    drawn, (axes,) = canvas.figure(1, 6.6, 3.0, "Context windows of the sequence 1, 2, …, 10")
    axes.imshow(numbers(windows.T), cmap="Blues", vmin=0, vmax=14, aspect="auto")
    for j, window in enumerate(windows.tolist()):
        for age, value in enumerate(window):
            axes.text(j, age, str(value), ha="center", va="center", fontsize=9, color=ACCENT if value == 0 else INK)
    axes.set_xticks(range(10), [f"before {j}" for j in range(1, 11)])
    axes.set_yticks(range(4), ["oldest", "", "", "latest"])
    canvas.name(axes, "each column is one window: d = 4, the start token is 0")
    return drawn


@picture("context_mask")
def staircase(mine: Work) -> Figure:
    """Each variable sees the few before it, never itself."""
    m = 12
    drawn, columns = canvas.figure(3, 10, 3.5, "Context masks of 12 variables: dark is seen")
    for axes, d in zip(columns, (1, 3, 11), strict=True):
        axes.imshow(numbers(mine.context_mask(m, d)), cmap="Blues", vmin=0, vmax=1.3)
        axes.plot(range(m), range(m), "x", color=ACCENT, markersize=5, label="itself: never")
        axes.set_xticks(range(0, m, 3))
        axes.set_yticks(range(0, m, 3))
        canvas.name(axes, f"d = {d}", "$x_i$", "variable j" if d == 1 else "", "upper right" if d == 1 else "")
    return drawn


@picture("MarkovMLP.forward", "negative_log_likelihood")
def learning_to_count(mine: Work) -> Figure:
    """The network learns a chain, and cannot become better than the chain's own entropy."""
    law = torch.cat([STEP.roll(i, dims=1) for i in range(4)])  # (4, 4): from, to
    data = _chain(n=256, m=16)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mine.MarkovMLP(K=4, d=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    costs = []
    for _ in range(120):
        optimizer.zero_grad()
        cost = mine.negative_log_likelihood(model, data)
        cost.backward()
        optimizer.step()
        costs.append(cost.item())
    with torch.no_grad():
        learned = torch.stack([model(torch.tensor([[0, (i - 1) % 4, i, 0]]))[0, 3] for i in range(4)]).softmax(dim=1)
    best = (math.log(4) - 15 * (STEP * STEP.log()).sum().item()) / 16
    title = "MarkovMLP learns sequences that count 0, 1, 2, 3, 0, …, with noise"
    drawn, (left, middle, right) = canvas.figure(3, 11, 3.6, title, ratios=(1.6, 1, 1))
    left.plot(costs, color=YOURS, label="your loss")
    left.axhline(math.log(4), color=OTHER, label="knows nothing: log 4")
    left.axhline(best, color=INK, linestyle="--", linewidth=1, label=f"entropy of the chain: {best:.2f}")
    left.set_ylim(0, 1.7)
    canvas.name(left, "", "step", "nats per dimension", "center right")
    for axes, table, title in ((middle, learned, "learned"), (right, law, "the chain")):
        axes.imshow(numbers(table), cmap="Blues", vmin=0, vmax=1)
        for i in range(4):
            for k in range(4):
                colour = "white" if table[i, k] > 0.6 else INK
                axes.text(k, i, f"{table[i, k]:.2f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(4))
        axes.set_yticks(range(4))
        canvas.name(axes, f"{title}: p(next | now)", "next", "now" if axes is middle else "")
    return drawn


@picture("gaussian_sample", "gaussian_log_prob")
def banana(mine: Work) -> Figure:
    """A banana: the second variable is a noisy parabola of the first."""
    x = mine.gaussian_sample(_banana, 1500, 2, torch.Generator().manual_seed(0))
    across, up = torch.linspace(-3.5, 3.5, 200), torch.linspace(-2, 9, 200)
    log_p = mine.gaussian_log_prob(_banana, torch.cartesian_prod(across, up)).view(200, 200).T
    mass = log_p.exp().sum().item() * (7 / 199) * (11 / 199)
    drawn, (axes,) = canvas.figure(1, 6.2, 4.3, r"A Gaussian for each variable: $x_1 \sim N(0, 1)$, $x_2 \sim N(x_1^2, e^{-2})$")
    axes.plot(*numbers(x.T), ".", color=OTHER, markersize=3, alpha=0.6, label="drawn by your sampler")
    axes.contour(across, up, numbers(log_p), levels=torch.linspace(-6, -1, 6), colors=YOURS, linewidths=1.2, linestyles="solid")
    axes.plot([], [], color=YOURS, label="your log-density, one contour a nat")
    axes.set_ylim(-2, 9)
    canvas.name(axes, f"your density adds up to {mass:.3f} on this piece of the plane", "$x_1$", "$x_2$", "upper center")
    return drawn


@picture("class_posterior")
def which_coin(mine: Work) -> Figure:
    """Which of three coins was thrown twenty times? The posterior knows after the heads are counted."""
    heads = torch.tensor([0.25, 0.5, 0.8])
    m = 20
    x = (torch.arange(m) < torch.arange(m + 1)[:, None]).long()  # (m + 1, m): k heads, then tails
    logits = torch.stack([1 - heads, heads], dim=1).log()
    posterior = mine.class_posterior(lambda x, y: logits[y][:, None].expand(-1, m, -1), x, torch.tensor([1 / 3] * 3).log())
    drawn, (axes,) = canvas.figure(1, 6.6, 3.6, "Which of three coins? Your posterior after twenty throws")
    labels = [f"coin with P(heads) = {value:g}" for value in heads.tolist()]
    axes.stackplot(range(m + 1), numbers(posterior.T), labels=labels, colors=(YOURS, OTHER, THIRD), alpha=0.8)
    axes.vlines(numbers(heads * m), 0, 1, color=INK, linestyle="--", linewidth=1)
    axes.set_xlim(0, m)
    axes.set_ylim(0, 1.35)
    axes.set_xticks(range(0, m + 1, 5))
    axes.set_yticks([0, 0.5, 1])
    canvas.name(axes, "dashed: as many heads as each coin shows on average", "heads", "probability", "upper center")
    return drawn


def _bars_and_stripes() -> Tensor:
    """All 510 images of full rows or full columns: (510, 64)."""
    bits = (torch.arange(2**SIDE)[:, None] >> torch.arange(SIDE)) & 1  # (256, 8)
    rows = bits[:, :, None].expand(-1, SIDE, SIDE)
    return torch.cat([rows, rows[1:-1].transpose(1, 2)]).flatten(1)  # all and nothing are rows already


def _one_of(images: Tensor) -> Callable[[Tensor], Tensor]:
    """The uniform law on some images, as conditionals: of those that fit the pixels so far, how many go on with 1?"""

    def conditional(x: Tensor) -> Tensor:
        differs = images != x[:, None]  # (n, images, m)
        fits = (torch.nn.functional.pad(differs[..., :-1], (1, 0)).cumsum(dim=2) == 0).float()
        ones = torch.einsum("nij,ij->nj", fits, images.float())
        logits = torch.stack([fits.sum(dim=1) - ones, ones], dim=2).log()  # (n, m, 2)
        return logits.masked_fill(fits.sum(dim=1)[..., None] == 0, 0.0)  # a prefix of no image: anything may follow

    return conditional


def _chain(n: int, m: int) -> Tensor:
    """Sequences of a Markov chain that starts anywhere."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.searchsorted(STEP[0].cumsum(0), torch.rand(n, m, generator=generator)).clamp(max=3)
    steps[:, 0] = torch.randint(4, (n,), generator=generator)
    return steps.cumsum(dim=1) % 4


def _banana(x: Tensor) -> tuple[Tensor, Tensor]:
    mu = torch.stack([torch.zeros_like(x[:, 0]), x[:, 0] ** 2], dim=1)
    return mu, torch.tensor([0.0, -1.0]).expand_as(x)
