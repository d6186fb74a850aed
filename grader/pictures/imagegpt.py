"""Pictures of a small ImageGPT, trained with a student's own functions on 8 x 8 digits.

`module` is the student's module: its `ImageGPT`, `train_step`, `sample`, … are what is looked at.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from grader.pictures import canvas

SIDE, LEVELS = 8, 17
TEMPERATURES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.6)


def show(module: ModuleType, folder: Path, steps: int = 600, progress: Callable[[str], None] = print) -> list[Path]:
    """Train a model and write every picture of it into a folder."""
    training, held_out = digits()
    progress(f"training on {len(training)} digits for {steps} steps …")
    model = trained(module, training, steps)
    pictures = {
        "samples": lambda: samples(module, model, held_out),
        "completions": lambda: completions(module, model, held_out),
        "surprise": lambda: surprise(model, held_out),
        "receptive-field": lambda: receptive_field(model, held_out),
        "attention": lambda: attention(module, model, held_out),
        "temperature": lambda: temperature(module, model),
        "palette": lambda: palette(module),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in pictures.items():
        progress(f"drawing {name} …")
        path = folder / f"imagegpt-{name}.png"
        draw().savefig(path, dpi=110)
        written.append(path)
    return written


def load(path: Path) -> ModuleType:
    """The student's module in a file."""
    module = ModuleType(path.stem)
    sys.modules[path.stem] = module  # dataclasses look their own module up
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's digits as sequences (n, 64) of 17 grey levels: 1437 to train on, 360 held out."""
    from sklearn.datasets import load_digits

    x = torch.from_numpy(load_digits().images).long().flatten(1)
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    return x[:1437], x[1437:]


def trained(module: ModuleType, x: Tensor, steps: int, seed: int = 0) -> Any:
    """The student's model, trained with the student's `train_step`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = module.ImageGPT(module.ImageGPTConfig(K=LEVELS, m=SIDE**2, dim=64, num_layers=2, num_heads=4))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        module.train_step(model, optimizer, x[torch.randint(len(x), (64,), generator=generator)])
    return model


def samples(module: ModuleType, model: Any, held_out: Tensor) -> Figure:
    """What the model draws, beside digits that it has not seen."""
    drawn = module.sample(model, 80, SIDE**2, torch.Generator().manual_seed(1))
    bits = _bits(model, held_out).mean().item()
    result, (left, right) = canvas.figure(2, 9.2, 4.5, f"An ImageGPT of 8 × 8 digits: {bits:.2f} bits per dimension")
    canvas.grid(left, _images(drawn).split(10), LEVELS, "drawn by the model, pixel by pixel")
    canvas.grid(right, _images(held_out[:80]).split(10), LEVELS, "held-out digits")
    return result


def completions(module: ModuleType, model: Any, held_out: Tensor, count: int = 8) -> Figure:
    """Whole digits, their upper halves, and eight ways in which the model goes on from there."""
    half = SIDE**2 // 2
    rows = []
    for i in range(count):
        given = held_out[i : i + 1, :half]
        prefix = given.expand(8, -1)
        drawn = module.sample(model, 8, SIDE**2, torch.Generator().manual_seed(i), prefix=prefix)
        blank = torch.cat([given, torch.zeros_like(given)], dim=1)
        rows.append(_images(torch.cat([held_out[i : i + 1], blank, drawn])))
    result, (axes,) = canvas.figure(1, 6.4, 5.6, "Image completion")
    canvas.grid(axes, rows, LEVELS, "the digit | its upper half | eight completions of that half", marks=(1, 2))
    return result


def surprise(model: Any, held_out: Tensor) -> Figure:
    """How many bits each pixel costs: on average, and in single digits."""
    bits = _bits(model, held_out).view(-1, SIDE, SIDE)
    title = "Surprise of each pixel, in bits: −log₂ p(xⱼ | x₁ … xⱼ₋₁)"
    result, axes = canvas.figure(5, 14, 3.1, title, ratios=(1.25, 1, 1.25, 1, 1.25))
    canvas.heatmap(axes[0], bits.mean(dim=0), f"mean of {len(bits)} digits: {bits.mean():.2f}", "bits")
    order = bits.mean(dim=(1, 2)).argsort()
    for place, name in ((order[0], "least surprising"), (order[-1], "most surprising")):
        own = axes[1:3] if place == order[0] else axes[3:5]
        canvas.grid(own[0], [_images(held_out[place : place + 1])], LEVELS, f"the {name}")
        canvas.heatmap(own[1], bits[place], f"its pixels: {bits[place].mean():.2f}", "bits")
    return result


def receptive_field(model: Any, held_out: Tensor, pixels: tuple[int, ...] = (9, 27, 36, 54)) -> Figure:
    """Which pixels the logits of one pixel depend on: norms of the gradients with respect to their embeddings."""
    embedded: list[Tensor] = []
    hook = model.wte.register_forward_hook(lambda *args: embedded.append(args[2]))
    try:
        logits = model(held_out[:64])
    finally:
        hook.remove()
    if not embedded:
        raise ValueError("the model does not call its embedding `wte`, so there are no embeddings to look at")
    title = "Receptive field: what the law of the marked pixel depends on"
    result, axes = canvas.figure(len(pixels), 3.1 * len(pixels), 3.3, title)
    for one, pixel in zip(axes, pixels, strict=True):
        (gradient,) = torch.autograd.grad(logits[:, pixel].logsumexp(dim=1).sum(), embedded[0], retain_graph=True)
        size = torch.zeros(SIDE**2)
        size[: gradient.shape[1]] = gradient.norm(dim=2).mean(dim=0)
        later = size[pixel:].max().item()
        said = "nothing from later ones" if later == 0 else "it sees the future!"
        canvas.heatmap(one, (size / size.max()).view(SIDE, SIDE), f"pixel {pixel}: {said}", cmap="viridis", at=divmod(pixel, SIDE))
    return result


def attention(module: ModuleType, model: Any, held_out: Tensor) -> Figure:
    """The attention weights of every head, averaged over digits."""
    weights = _attention_weights(module, model, held_out[:64])  # (layers, h, m, m)
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


def temperature(module: ModuleType, model: Any) -> Figure:
    """Samples at several temperatures: from the likeliest to the wild."""
    rows = [
        _images(module.sample(model, 12, SIDE**2, torch.Generator().manual_seed(3), temperature=value))
        for value in TEMPERATURES
    ]
    result, (axes,) = canvas.figure(1, 7.2, 4.1, "Temperature: only T = 1 draws from the model")
    canvas.grid(axes, rows, LEVELS, "twelve digits at each temperature", labels=[f"T = {value:g}" for value in TEMPERATURES])
    return result


def palette(module: ModuleType, sizes: tuple[int, ...] = (4, 16, 64)) -> Figure:
    """A photograph before and after quantisation to palettes of several sizes."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_sample_image

    image = torch.tensor(load_sample_image("china.jpg")).float().permute(2, 0, 1)[None] / 255  # (1, 3, H, W)
    image = torch.nn.functional.avg_pool2d(image[:, :, 40:360, 60:540], 2)
    pixels = image[0].flatten(1).T
    chosen = pixels[torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))[:4000]].numpy()
    result, axes = canvas.figure(len(sizes) + 1, 3.7 * (len(sizes) + 1), 3.1, "A palette makes pixels discrete: one token each")
    canvas.photograph(axes[0], image[0], "photograph: 24 bits a pixel")
    for one, K in zip(axes[1:], sizes, strict=True):
        colours = torch.from_numpy(KMeans(K, n_init=1, random_state=0).fit(chosen).cluster_centers_).float()
        painted = module.dequantize(module.quantize(image, colours), colours)
        canvas.photograph(one, painted[0], f"K = {K} colours: {math.log2(K):g} bits a pixel")
    return result


def _bits(model: Any, x: Tensor) -> Tensor:
    """The cost of every pixel of x: (n, m)."""
    with torch.no_grad():
        log_pi = model(x).double().log_softmax(dim=2)
    return -log_pi.gather(2, x[..., None])[..., 0] / math.log(2)


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
