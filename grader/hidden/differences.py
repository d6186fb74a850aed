"""How far two answers are apart, and whether a wrong one is explained: as those who recognise it see it."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_UNEXPLAINED = 0.05  # at most this part of the error may be left over


def explains(left: float, error: float) -> bool:
    """Whether what is left of an error is little of it."""
    return left <= MAX_UNEXPLAINED * error


def difference(one: Tensor, other: Tensor) -> tuple[float, float]:
    """The largest difference of two tensors of one shape, and the size of the first; infinite where only one is finite."""
    a, b = one.detach().double(), other.detach().double()
    if not a.numel():
        return 0.0, 0.0
    apart = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, (a - b).abs()).nan_to_num(torch.inf)
    return apart.max().item(), a.abs().nan_to_num(0.0, 0.0, 0.0).max().item()
