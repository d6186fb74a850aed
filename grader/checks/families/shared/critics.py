"""Public families of critics: rows of any shape, `(n, ...)`, to one number each, `(n,)`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Critic = Callable[[Tensor], Tensor]


@family
def linear_critic(w: Tensor) -> Critic:
    """x -> the sum of w x over all axes of a row, with w of the shape of a row."""

    def critic(x: Tensor) -> Tensor:
        if x.shape[1:] != w.shape:
            raise ValueError(f"critic takes x of shape (n, {', '.join(map(str, w.shape))}), got {tuple(x.shape)}")
        return (x * w).flatten(1).sum(dim=1)

    return critic


@family
def quadratic_critic(a: Tensor) -> Critic:
    """x -> a |x|^2 / 2, over all axes of a row, with a: ()."""
    return lambda x: 0.5 * a * x.square().flatten(1).sum(dim=1)


@family
def tanh_critic(A: Tensor, w: Tensor) -> Critic:
    """x -> w . tanh(A x), x laid out as a vector, with A: (h, m), w: (h,)."""

    def critic(x: Tensor) -> Tensor:
        x = x.flatten(1)
        if x.shape[1] != A.shape[1]:
            raise ValueError(f"critic takes rows of {A.shape[1]} numbers, got {x.shape[1]}")
        return torch.tanh(x @ A.T.to(x.dtype)) @ w.to(x.dtype)

    return critic
