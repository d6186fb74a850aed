"""Public families for flows: coupling networks, layers, fields of an ODE, and densities to come from.

A network maps `(n, k)` to `(log_scale, shift)`; a layer maps `(n, m)` to `(z, log_det)`; a field takes a time (a Python float or
a tensor `()`) and `(n, m)`. All are row by row and differentiable in their parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Net = Callable[[Tensor], tuple[Tensor, Tensor]]
Layer = Callable[[Tensor], tuple[Tensor, Tensor]]
Field = Callable[[float | Tensor, Tensor], Tensor]
LogDensity = Callable[[Tensor], Tensor]


@family
def coupling_net(S: Tensor, T: Tensor, a: Tensor) -> Net:
    """x_1 -> log_scale = a tanh(S x_1), shift = T x_1 + 1/2, with S, T: (m - k, k) and a: ()."""

    def net(x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim != 2 or x.shape[1] != S.shape[1]:
            raise ValueError(f"net takes the first half of x, of shape (n, {S.shape[1]}), got {tuple(x.shape)}")
        return a * torch.tanh(x @ S.T.to(x.dtype)), x @ T.T.to(x.dtype) + 0.5

    return net


@family
def identity_net() -> Net:
    """x_1 -> log_scale = x_1, that very tensor, and a shift of 0: for even m."""
    return lambda x: (x, 0 * x)


@family
def repeated(layer: Layer, times: int) -> list[Layer]:
    """One layer, so many times in a list."""
    return [layer] * times


@family
def scaling_layer(a: Tensor) -> Layer:
    """x -> (e^a x, sum_j a_j), with a: (m,)."""
    return lambda x: (x * a.exp(), a.sum().expand(len(x)))


@family
def tanh_layer(a: Tensor) -> Layer:
    """x -> (x + a tanh x, sum_j log(1 + a_j / cosh^2 x_j)), with a: (m,) above -1."""
    return lambda x: (x + a * torch.tanh(x), torch.log1p(a * (1 - torch.tanh(x).square())).sum(dim=1))


@family
def shear_layer(a: Tensor) -> Layer:
    """x -> (x + a times the dimension before, 0), with a: (); nothing is before the first dimension."""
    return lambda x: (x + a * torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1), 0.0 * x.sum(dim=1))


@family
def base_log_density(mu: Tensor, sigma: Tensor) -> LogDensity:
    """z -> log N(z; mu, diag(sigma^2)), with mu, sigma: (m,)."""

    def log_p(z: Tensor) -> Tensor:
        return (-0.5 * ((z - mu) / sigma).square() - sigma.log() - 0.5 * math.log(2 * math.pi)).sum(dim=1)

    return log_p


@family
def linear_field(A: Tensor, b: Tensor) -> Field:
    """(t, x) -> (1 + t) A x + t^2 b, with A: (m, m), b: (m,)."""
    return lambda t, x: (1 + t) * (x @ A.T.to(x.dtype)) + t * t * b


@family
def constant_field(A: Tensor) -> Field:
    """(t, x) -> A x, at every time, with A: (m, m)."""
    return lambda t, x: x @ A.T.to(x.dtype)


@family
def identity_field() -> Field:
    """(t, x) -> x, that very tensor: what is done to the answer in place is done to x."""
    return lambda t, x: x


@family
def power_field(c: Tensor, k: int) -> Field:
    """(t, x) -> c t^k, wherever x is, with c: (m,)."""
    return lambda t, x: c * t**k + 0.0 * x


@family
def tanh_field(A: Tensor, B: Tensor) -> Field:
    """(t, x) -> B tanh(A x + t), with A: (h, m), B: (m, h)."""
    return lambda t, x: torch.tanh(x @ A.T.to(x.dtype) + t) @ B.T.to(x.dtype)


@family
def radial_field() -> Field:
    """(t, x) -> |x|^2 x."""
    return lambda t, x: x.square().sum(dim=1, keepdim=True) * x
