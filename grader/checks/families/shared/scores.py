"""Public families of scores that depend on a noise level or on a time, a tensor `(n,)` of the dtype of x: one number a row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Score = Callable[[Tensor, Tensor], Tensor]


@family
def noisy_gaussian_score(mu: Tensor, tau: Tensor) -> Score:
    """(x, sigma) -> (mu - x) / (tau^2 + sigma^2), for data N(mu, diag(tau^2)) with noise sigma, with mu, tau: (m,)."""

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = _one_a_row(x, sigma)
        return (mu - x) / (tau.square() + sigma[:, None].square())

    return score


@family
def level_score(w: Tensor) -> Score:
    """(x, sigma) -> sigma w, wherever x is, with w: (m,)."""

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = _one_a_row(x, sigma)
        return sigma[:, None] * w + 0.0 * x

    return score


@family
def tanh_score(A: Tensor, B: Tensor) -> Score:
    """(x, sigma) -> B tanh(A x + sigma), with A: (h, m), B: (m, h)."""

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = _one_a_row(x, sigma)
        return torch.tanh(x @ A.T.to(x.dtype) + sigma[:, None]) @ B.T.to(x.dtype)

    return score


@family
def identity_score() -> Score:
    """(x, sigma) -> x, that very tensor: what is done to the answer in place is done to x."""

    def score(x: Tensor, sigma: Tensor) -> Tensor:
        _one_a_row(x, sigma)
        return x

    return score


@family
def plain_tanh_score(A: Tensor, B: Tensor) -> Callable[[Tensor], Tensor]:
    """x -> B tanh(A x), with A: (h, m), B: (m, h): a score without a noise level."""
    return lambda x: torch.tanh(x @ A.T.to(x.dtype)) @ B.T.to(x.dtype)


@family
def plain_linear_score(A: Tensor, b: Tensor) -> Callable[[Tensor], Tensor]:
    """x -> A x + b, with A: (m, m), b: (m,)."""
    return lambda x: x @ A.T.to(x.dtype) + b


def _one_a_row(x: Tensor, level: Tensor) -> Tensor:
    """The levels in the dtype of x: a buffer of the default dtype costs its digits and nothing more."""
    if not isinstance(level, Tensor) or level.shape != x.shape[:1] or not level.is_floating_point():
        what = f"{tuple(level.shape)}, {level.dtype}" if isinstance(level, Tensor) else type(level).__name__
        raise ValueError(f"score takes one noise level or time for each row: shape {tuple(x.shape[:1])}, {x.dtype}; got {what}")
    return level.to(x.dtype)
