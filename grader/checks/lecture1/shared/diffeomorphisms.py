"""Public families of diffeomorphisms: what a check hands to a student's function as ``f`` and ``f_inverse``.

All are batched, ``(n, m)`` to ``(n, m)``, row by row. A row alone, a vector without batch axis, is not what they take.
Elementwise ones (``sinh``, ``log``, ...) and compositions are in `families`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Map = Callable[[Tensor], Tensor]


@family
def stretch(a: Tensor) -> Map:
    """x -> x + a tanh(x) in every coordinate, with a: (m,) above -1: a diagonal Jacobian."""
    return lambda x: x + a * torch.tanh(x)


@family
def planar(u: Tensor, w: Tensor, b: Tensor) -> Map:
    """x -> x + u tanh(w . x + b), with u, w: (m,), u . w > -1 and b: (): a planar flow, a dense Jacobian."""
    return lambda x: x + torch.tanh((x * w).sum(dim=1, keepdim=True) + b) * u


@family
def residual(A: Tensor, B: Tensor) -> Map:
    """x -> x + B tanh(A x), with A: (h, m), B: (m, h) and |A| |B| < 1: a residual flow, a dense Jacobian."""
    return lambda x: x + torch.tanh(x @ A.T.to(x.dtype)) @ B.T.to(x.dtype)


@family
def coupling(S: Tensor, T: Tensor) -> Map:
    """(a, b) -> (a, b exp(tanh(S a)) + T a), with S, T: (m - k, k), a the first k coordinates: an affine coupling."""
    k = S.shape[1]

    def f(x: Tensor) -> Tensor:
        a, b = x[:, :k], x[:, k:]
        return torch.cat([a, b * torch.exp(torch.tanh(a @ S.T.to(x.dtype))) + a @ T.T.to(x.dtype)], dim=1)

    return f


@family
def autoregressive(S: Tensor, T: Tensor) -> Map:
    """x_j -> x_j exp(tanh(S_j . x_{1:j-1})) + T_j . x_{1:j-1}, with S, T: (m, m): a triangular Jacobian."""

    def f(x: Tensor) -> Tensor:
        log_scale = torch.tanh(x @ S.tril(-1).T.to(x.dtype))
        return x * log_scale.exp() + x @ T.tril(-1).T.to(x.dtype)

    return f


@family
def reverse() -> Map:
    """x -> (x_m, ..., x_1)."""
    return lambda x: x.flip(dims=(1,))


# -- the law whose distribution function is the sigmoid --


@family
def logistic_log_density() -> Map:
    """x -> log-density of m independent standard logistic variables, whose distribution function is the sigmoid."""
    return lambda x: -(torch.nn.functional.softplus(x) + torch.nn.functional.softplus(-x)).sum(dim=1)  # (n,)
