"""Tensors as they may lie in memory: what a check hands over in the place of a plain one.

Each travels like a family of callables, by its name and the plain tensor, and is laid out where the student's code runs:
on the wire every tensor is contiguous and new. Gradients with respect to the plain tensor reach it through the layout.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grader.sandbox.wire.families import Family, family

KEPT: dict[tuple[object, ...], Tensor] = {}  # by shape and dtype, where the student's code runs


@family
def transposed(x: Tensor) -> Tensor:
    """x, column by column in memory."""
    return x.mT.contiguous().mT


@family
def every_other(x: Tensor) -> Tensor:
    """x as every other entry of a longer tensor."""
    return torch.stack([x, torch.zeros_like(x)], dim=-1)[..., 0]


@family
def expanded(row: Tensor, n: int) -> Tensor:
    """n rows that are one and the same place in memory: not for what is differentiated, torch's forward mode refuses it."""
    return row.expand(n, *row.shape)


@family
def kept(x: Tensor) -> Tensor:
    """x, in a new tensor that `refilled` will fill with other numbers."""
    KEPT[x.shape, x.dtype] = x.clone()
    return KEPT[x.shape, x.dtype]


@family
def refilled(x: Tensor) -> Tensor:
    """The very tensor that was kept in an earlier call, now filled with x: whatever remembers that object is wrong."""
    known = KEPT.setdefault((x.shape, x.dtype), torch.empty_like(x))
    with torch.no_grad():
        return known.copy_(x)


def layouts(x: Tensor, other: Tensor) -> list[tuple[Family, Tensor]]:
    """x in other layouts, then x and `other` in one tensor after the other: each with the plain tensor that it holds."""
    columnwise = [(transposed(x), x)] if x.dim() > 1 else []
    return [*columnwise, (every_other(x), x), (kept(x), x), (refilled(other), other)]
