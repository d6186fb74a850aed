"""A small ImageGPT, trained with a student's own functions on 8 x 8 digits: once for all of its pictures."""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.practice import canvas
from grader.practice.canvas import INK, OTHER, YOURS
from grader.practice.gallery import Work, picture

SIDE, LEVELS = 8, 17
TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.6)
INDEPENDENT = 2.42  # bits per dimension of a model of independent pixels, on these digits


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's digits as sequences (n, 64) of 17 grey levels: 1437 to train on, 360 held out."""
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().images).long().flatten(1)
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    return x[:1437], x[1437:]


@functools.lru_cache(maxsize=1)
def trained(mine: Work) -> tuple[Any, list[float]]:
    """The student's model, trained with the student's `train_step`, and what that returned at every step."""
    x, _ = digits()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mine.ImageGPT(mine.ImageGPTConfig(K=LEVELS, m=SIDE**2, dim=64, num_layers=2, num_heads=4))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(0)
    losses = []
    for step in range(mine.steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / mine.steps))
        losses.append(mine.train_step(model, optimizer, x[torch.randint(len(x), (64,), generator=generator)]))
    return model, losses


@picture("train_step")
def learning(mine: Work) -> Figure:
    """The loss of the training, beside what models know that look at no other pixel."""
    _, losses = trained(mine)
    drawn, (axes,) = canvas.figure(1, 6.6, 3.6, "An ImageGPT learns 8 × 8 digits of 17 grey levels")
    axes.plot([loss / math.log(2) for loss in losses], color=YOURS, linewidth=1, label="your training loss")
    axes.axhline(math.log2(LEVELS), color=OTHER, label=f"knows nothing: log₂ 17 = {math.log2(LEVELS):.2f}")
    axes.axhline(INDEPENDENT, color=INK, linestyle="--", linewidth=1, label=f"independent pixels: {INDEPENDENT}")
    axes.set_ylim(1, 5)
    canvas.name(axes, "", "step", "bits per dimension", "upper right")
    return drawn


@picture("sample")
def samples(mine: Work) -> Figure:
    """What the model draws, beside digits that it has not seen."""
    model, held_out = trained(mine)[0], digits()[1]
    drawn = mine.sample(model, 80, SIDE**2, torch.Generator().manual_seed(1))
    bits = _bits(model, held_out).mean().item()
    result, (left, right) = canvas.figure(2, 9.2, 4.5, f"An ImageGPT of 8 × 8 digits: {bits:.2f} bits per dimension")
    canvas.grid(left, _images(drawn).split(10), LEVELS, "drawn by the model, pixel by pixel")
    canvas.grid(right, _images(held_out[:80]).split(10), LEVELS, "held-out digits")
    return result


@picture("sample")
def completions(mine: Work) -> Figure:
    """Whole digits, their upper halves, and eight ways in which the model goes on from there."""
    model, held_out = trained(mine)[0], digits()[1]
    half = SIDE**2 // 2
    rows = []
    for i in range(8):
        given = held_out[i : i + 1, :half]
        prefix = given.expand(8, -1)
        drawn = mine.sample(model, 8, SIDE**2, torch.Generator().manual_seed(i), prefix=prefix)
        blank = torch.cat([given, torch.zeros_like(given)], dim=1)
        rows.append(_images(torch.cat([held_out[i : i + 1], blank, drawn])))
    result, (axes,) = canvas.figure(1, 6.4, 5.6, "Image completion")
    canvas.grid(axes, rows, LEVELS, "the digit | its upper half | eight completions of that half", marks=(1, 2))
    return result


@picture("ImageGPT.forward", "ImageGPT.decode")
def surprise(mine: Work) -> Figure:
    """How many bits each pixel costs: on average, and in single digits."""
    model, held_out = trained(mine)[0], digits()[1]
    bits = _bits(model, held_out).view(-1, SIDE, SIDE)
    title = "Surprise of each pixel, in bits: −log₂ p(xⱼ | x₁ … xⱼ₋₁)"
    result, axes = canvas.figure(5, 10.8, 2.6, title, ratios=(1.25, 1, 1.25, 1, 1.25))
    canvas.heatmap(axes[0], bits.mean(dim=0), f"mean of {len(bits)} digits: {bits.mean():.2f}", "bits")
    order = bits.mean(dim=(1, 2)).argsort()
    for place, name in ((order[0], "least surprising"), (order[-1], "most surprising")):
        own = axes[1:3] if place == order[0] else axes[3:5]
        canvas.grid(own[0], [_images(held_out[place : place + 1])], LEVELS, f"the {name}")
        canvas.heatmap(own[1], bits[place], f"its pixels: {bits[place].mean():.2f}", "bits")
    return result


@picture("ImageGPT.forward", "ImageGPT.decode", "Block.forward")
def receptive_field(mine: Work) -> Figure:
    """Which pixels the logits of one pixel depend on: norms of the gradients with respect to their embeddings."""
    model, held_out = trained(mine)[0], digits()[1]
    embedded: list[Tensor] = []
    pixels = (9, 27, 36, 54)
    hook = model.wte.register_forward_hook(lambda *args: embedded.append(args[2]))
    try:
        logits = model(held_out[:64])
    finally:
        hook.remove()
    if not embedded:
        raise ValueError("the model does not call its embedding `wte`, so there are no embeddings to look at")
    title = "Receptive field: what the law of the marked pixel depends on"
    result, axes = canvas.figure(len(pixels), 10.8, 3.0, title)
    for one, pixel in zip(axes, pixels, strict=True):
        (gradient,) = torch.autograd.grad(logits[:, pixel].logsumexp(dim=1).sum(), embedded[0], retain_graph=True)
        size = torch.zeros(SIDE**2)
        size[: gradient.shape[1]] = gradient.norm(dim=2).mean(dim=0)
        later = size[pixel:].max().item()
        said = "nothing from later ones" if later == 0 else "it sees the future!"
        canvas.heatmap(one, (size / size.max()).view(SIDE, SIDE), f"pixel {pixel}: {said}", cmap="viridis", at=divmod(pixel, SIDE))
    return result


@picture("causal_attention")
def attention(mine: Work) -> Figure:
    """The attention weights of every head, averaged over digits."""
    model, held_out = trained(mine)[0], digits()[1]
    weights = _attention_weights(mine.module, model, held_out[:64])  # (layers, h, m, m)
    num_layers, num_heads = weights.shape[:2]
    title = "Attention: where each position looks, averaged over digits"
    result, axes = canvas.figure(num_heads, 2.7 * num_heads, 2.9 * num_layers + 0.3, title, rows=num_layers)
    for index, one in enumerate(axes):
        layer, head = divmod(index, num_heads)
        shown = weights[layer, head].detach().sqrt()  # the square root lets small weights be seen
        one.imshow(shown.numpy(), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        one.set_title(f"layer {layer}, head {head}", fontsize=10, color=canvas.INK, loc="left")
        one.set_xticks([0, SIDE**2 - 1])
        one.set_yticks([0, SIDE**2 - 1])
        one.set_xlabel("looked at", fontsize=9, labelpad=-6)
        one.set_ylabel("position", fontsize=9, labelpad=-6)
    return result


@picture("sample")
def temperature(mine: Work) -> Figure:
    """Samples at several temperatures: from the likeliest to the wild."""
    model, _ = trained(mine)
    rows = [_images(mine.sample(model, 12, SIDE**2, torch.Generator().manual_seed(3), temperature=value)) for value in TEMPERATURES]
    result, (axes,) = canvas.figure(1, 7.2, 4.1, "Temperature: only T = 1 draws from the model")
    canvas.grid(axes, rows, LEVELS, "twelve digits at each temperature", labels=[f"T = {value:g}" for value in TEMPERATURES])
    return result


@picture("quantize", "dequantize")
def palette(mine: Work) -> Figure:
    """A photograph before and after quantisation to palettes of several sizes."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_sample_image

    sizes = (4, 16, 64)
    image = torch.tensor(load_sample_image("china.jpg")).float().permute(2, 0, 1)[None] / 255  # (1, 3, H, W)
    image = torch.nn.functional.avg_pool2d(image[:, :, 40:360, 60:540], 2)
    pixels = image[0].flatten(1).T
    chosen = pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[:4000]].numpy()
    result, axes = canvas.figure(2, 8.6, 6.4, "A palette makes pixels discrete: one token each", rows=2)
    canvas.photograph(axes[0], image[0], "photograph: 24 bits a pixel")
    for one, K in zip(axes[1:], sizes, strict=True):
        colours = torch.from_numpy(KMeans(K, n_init=1, random_state=0).fit(chosen).cluster_centers_).float()
        painted = mine.dequantize(mine.quantize(image, colours), colours)
        canvas.photograph(one, painted[0], f"K = {K} colours: {math.log2(K):g} bits a pixel")
    return result


def _bits(model: Any, x: Tensor) -> Tensor:
    """The cost of every pixel of x: (n, m)."""
    with torch.no_grad():
        return -torch.distributions.Categorical(logits=model(x).double()).log_prob(x) / math.log(2)


def _images(x: Tensor) -> Tensor:
    return x.view(-1, SIDE, SIDE)


def _attention_weights(module: ModuleType, model: Any, x: Tensor) -> Tensor:
    """The student's attention is linear in the values: given the columns of a unit matrix, it returns its weights."""
    own, asked = module.causal_attention, []

    def listen(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        asked.append((q, k))
        return own(q, k, v)

    module.causal_attention = listen  # type: ignore[attr-defined]
    try:
        with torch.no_grad():
            model(x)
    finally:
        module.causal_attention = own  # type: ignore[attr-defined]
    layers = []
    for q, k in asked:
        n, h, m, e = k.shape
        columns = torch.eye(m).expand(n, h, m, m).split(e, dim=3)
        layers.append(torch.cat([own(q, k, part) for part in columns], dim=3).mean(dim=0))  # (h, m, m)
    return torch.stack(layers)
