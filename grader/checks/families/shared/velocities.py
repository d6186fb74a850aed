"""Public families of velocities `(x, t) -> (n, m)`, with one time for each row, `(n,)`, of the dtype of x."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Velocity = Callable[[Tensor, Tensor], Tensor]


@family
def time_velocity(A: Tensor, b: Tensor) -> Velocity:
    """(x, t) -> A x + t b, with A: (m, m), b: (m,)."""

    def v(x: Tensor, t: Tensor) -> Tensor:
        t = _one_a_row(x, t)
        return x @ A.T.to(x.dtype) + t[:, None] * b

    return v


@family
def tanh_velocity(A: Tensor, B: Tensor) -> Velocity:
    """(x, t) -> B tanh(A x + t), with A: (h, m), B: (m, h)."""

    def v(x: Tensor, t: Tensor) -> Tensor:
        t = _one_a_row(x, t)
        return torch.tanh(x @ A.T.to(x.dtype) + t[:, None]) @ B.T.to(x.dtype)

    return v


@family
def identity_velocity() -> Velocity:
    """(x, t) -> x, that very tensor: what is done to the answer in place is done to x."""

    def v(x: Tensor, t: Tensor) -> Tensor:
        _one_a_row(x, t)
        return x

    return v


def _one_a_row(x: Tensor, t: Tensor) -> Tensor:
    """The times in the dtype of x: a buffer of the default dtype costs its digits and nothing more."""
    if not isinstance(t, Tensor) or t.shape != x.shape[:1] or not t.is_floating_point():
        what = f"{tuple(t.shape)}, {t.dtype}" if isinstance(t, Tensor) else type(t).__name__
        raise ValueError(f"v takes one time for each row: t of shape {tuple(x.shape[:1])}, {x.dtype}; got {what}")
    return t.to(x.dtype)
