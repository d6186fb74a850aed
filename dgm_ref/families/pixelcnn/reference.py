"""Masks weight by weight, receptive fields by changing one pixel after the other, mixtures in sixty digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import torch
from torch import Tensor

DIGITS = 60


def causal_kernel_mask(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    """Weight by weight."""
    mask = torch.zeros(out_channels, in_channels, size, size, dtype=torch.float64)
    centre = (size // 2, size // 2)
    for o in range(out_channels):
        for c in range(in_channels):
            for place in ((i, j) for i in range(size) for j in range(size)):
                earlier = c // (in_channels // groups) - o // (out_channels // groups) < (0 if kind == "A" else 1)
                mask[o, c, place[0], place[1]] = float(place < centre or (place == centre and earlier))
    return mask


def receptive_field(model: Callable[[Tensor], Tensor], x: Tensor, i: int, j: int) -> Tensor:
    """Change one number of the image after the other, by a little and by much: does any output at (i, j) move?"""
    here = model(x)[0, :, i, j]
    found = torch.zeros(x.shape[2:], dtype=torch.bool)
    for c in range(x.shape[1]):
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                for change in (1e-3, 0.5):
                    moved = x.clone()
                    moved[0, c, row, column] += change
                    found[row, column] |= bool((model(moved)[0, :, i, j] != here).any())
    return found


def logistic_mixture_log_prob(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    """The plain difference of distribution functions, in sixty digits."""
    values = []
    with mpmath.workdps(DIGITS):
        for i, value in enumerate(x.tolist()):
            rows = zip(log_weights[i].tolist(), means[i].tolist(), log_scales[i].tolist(), strict=True)
            values.append(float(mpmath.log(sum(_mass(value, w, mu, s, K) for w, mu, s in rows))))
    return torch.tensor(values, dtype=torch.float64)


def _mass(value: int, log_weight: Any, mu: Any, log_scale: Any, K: int) -> Any:
    """Of one component in the bin of a value; right of the mean everything is mirrored, so that no sigmoid is nearly one."""
    scale, mu = mpmath.exp(mpmath.mpf(log_scale)), mpmath.mpf(mu)
    ends = [(value - 0.5 - mu) / scale, (value + 0.5 - mu) / scale]
    ends = [-mpmath.inf if value == 0 else ends[0], mpmath.inf if value == K - 1 else ends[1]]
    if ends[0] > 0:
        ends = [-ends[1], -ends[0]]
    return mpmath.exp(mpmath.mpf(log_weight)) * (_sigmoid(ends[1]) - _sigmoid(ends[0]))


def _sigmoid(a: Any) -> Any:
    if a in (mpmath.inf, -mpmath.inf):
        return mpmath.mpf(int(a > 0))
    return mpmath.exp(a) / (1 + mpmath.exp(a)) if a < 0 else 1 / (1 + mpmath.exp(-a))
