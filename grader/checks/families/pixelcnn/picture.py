"""What a stack of masked convolutions sees of an image."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from grader.practice import canvas
from grader.practice.canvas import ACCENT
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
        canvas.name(axes, f"{depth} layer{'s' if depth > 1 else ''}")
    return drawn
