"""Schedules, batches that mix times, and how much a right answer may lose for them."""

from __future__ import annotations

import torch
from torch import Tensor

from grader.checks.families.shared import draw


def schedule(T: int, key: int, dtype: torch.dtype, low: float = 0.1, high: float = 0.6) -> Tensor:
    """T noise levels between `low` and `high`."""
    return draw.uniform((T,), key, low, high, dtype)


def batch(n: int, m: int, T: int, key: int, dtype: torch.dtype, first: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Data, times from `first` to T - 1, the last one among them, and noise."""
    t = first + draw.integers((n,), key + 1, T - first)
    t[0] = T - 1
    x, noise = draw.normal((n, m), key + 2, 1.0, dtype), draw.normal((n, m), key + 3, 1.0, dtype)
    return x, t, noise


def by_hand(dtype: torch.dtype) -> Tensor:
    """Betas whose alpha_bar, 0.64 and 0.36, and its complement, 0.36 and 0.64, have roots that one knows."""
    return draw.tensor([0.36, 0.4375], dtype)


def longer(dtype: torch.dtype) -> Tensor:
    """`by_hand` and a third step: alpha_bar 0.0784, its complement 0.9216, with the roots 0.28 and 0.96."""
    return draw.tensor([0.36, 0.4375, 176 / 225], dtype)


def rounding(betas: Tensor) -> float:
    """What 1 - alpha_bar by the plain formula loses, in roundoffs: T / beta_0."""
    return 4 * len(betas) / betas.min().item()


def growth(betas: Tensor) -> float:
    """How much noise in x_t is blown up in the predicted data: 1 / sqrt(alpha_bar_T)."""
    return (1 - betas.double()).prod().rsqrt().item()
