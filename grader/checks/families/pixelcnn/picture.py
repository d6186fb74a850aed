"""What a stack of masked convolutions sees of an image, and a law on whole numbers."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from grader.practice import canvas
from grader.practice.canvas import ACCENT, YOURS, numbers
from grader.practice.gallery import Work, picture

SIZE, LAYERS = 15, 6


@picture("causal_kernel_mask", "receptive_field")
def of_a_masked_stack(mine: Work) -> Figure:
    """However many layers, a triangle on the right stays unseen: the blind spot of masked convolutions."""
    masks = [mine.causal_kernel_mask("A" if layer == 0 else "B", 1, 1, 3) for layer in range(LAYERS)]
    weights = [torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(k)) + 0.1 for k in range(LAYERS)]
    drawn, panels = canvas.figure(3, 9.0, 3.4, "The receptive field of masked convolutions")
    for axes, depth in zip(panels, (1, 3, LAYERS), strict=True):

        def model(x: Tensor, depth: int = depth) -> Tensor:
            for mask, weight in zip(masks[:depth], weights[:depth], strict=True):
                x = F.conv2d(x, weight * mask, padding=1)
            return x

        seen = mine.receptive_field(model, torch.ones(1, 1, SIZE, SIZE), SIZE // 2, SIZE // 2)
        axes.imshow(seen.float().numpy(), cmap="Blues", vmin=0, vmax=1.5)
        axes.plot(SIZE // 2, SIZE // 2, "s", color=ACCENT, markersize=8)
        canvas.name(axes, f"{depth} layer{'s' if depth > 1 else ''}: blue is seen", "column", "row")
    return drawn


@picture("logistic_mixture_log_prob")
def of_a_mixture(mine: Work) -> Figure:
    """Three logistic laws on 32 grey levels: what lies beyond the ends falls to the first and the last."""
    x, parts = torch.arange(32), torch.tensor([[0.35, -1.0, 1.2], [0.4, 14.0, 3.0], [0.25, 30.0, 1.5]]).expand(32, 3, 3)
    mass = mine.logistic_mixture_log_prob(x, parts[:, :, 0].log(), parts[:, :, 1], parts[:, :, 2].log(), 32).exp()
    drawn, (axes,) = canvas.figure(1, 6.6, 3.6, "A mixture of three logistic laws, cut into 32 values")
    axes.bar(x, numbers(mass), color=YOURS)
    canvas.name(axes, f"your masses sum to {mass.sum():.4f}; the first and the last take the tails", "grey level", "probability")
    return drawn
