"""Public families of image models, `(1, C, H, W)` to `(1, K, H, W)`: convolutions, whose reach one can count."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from grader.sandbox.wire.families import family

ImageModel = Callable[[Tensor], Tensor]


@family
def convolutions(kernels: list[Tensor], smooth: bool) -> ImageModel:
    """x -> one convolution after the other, each (out, in, k, k) with k odd, zeros around; a tanh between them if `smooth`."""

    def model(x: Tensor) -> Tensor:
        for number, kernel in enumerate(kernels):
            if smooth and number:
                x = torch.tanh(x)
            x = F.conv2d(x, kernel.to(x.dtype), padding=kernel.shape[-1] // 2)
        return x

    return model


@family
def shifted_pixels(down: int, right: int, w: Tensor) -> ImageModel:
    """x -> output k at (i, j) is w_k . x at (i - down, j - right), zero outside, with w: (K, C)."""

    def model(x: Tensor) -> Tensor:
        _, _, H, W = x.shape
        padded = F.pad(x, (W, W, H, H))[:, :, H - down : 2 * H - down, W - right : 2 * W - right]
        return torch.einsum("kc,nchw->nkhw", w.to(x.dtype), padded)

    return model


@family
def rectified_pixels(w: Tensor) -> ImageModel:
    """x -> output k at a pixel is w_k . relu(x) there: what a pixel moves depends on its value. w: (K, C)."""
    return lambda x: torch.einsum("kc,nchw->nkhw", w.to(x.dtype), torch.relu(x))
