"""Public families of energies and of densities with their scores, `(n, m)` to `(n,)` or `(n, m)`, row by row."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Energy = Callable[[Tensor], Tensor]
Score = Callable[[Tensor], Tensor]


@family
def ising_energy(J: Tensor, h: Tensor) -> Energy:
    """s -> -s'Js / 2 - h . s for spins s of -1 and 1, with J: (m, m), h: (m,)."""
    return lambda s: -0.5 * ((s @ J.to(s.dtype)) * s).sum(dim=1) - s @ h.to(s.dtype)


@family
def linear_energy(w: Tensor) -> Energy:
    """x -> w . x, with w: (m,)."""
    return lambda x: x @ w.to(x.dtype)


@family
def first_dimension() -> Energy:
    """x -> x_1, a view of x: what is done to the answer in place is done to x."""
    return lambda x: x[:, 0]


@family
def quadratic_energy(A: Tensor) -> Energy:
    """x -> |A x|^2 / 2, with A: (d, m)."""
    return lambda x: 0.5 * (x @ A.T.to(x.dtype)).square().sum(dim=1)


@family
def forbidding_energy(c: Tensor, energy: Energy) -> Energy:
    """x -> +inf where x_1 > c, the given energy elsewhere, with c: ()."""
    return lambda x: torch.where(x[:, 0] > c, math.inf, energy(x))


@family
def gaussian_log_shape(mu: Tensor, sigma: Tensor) -> Energy:
    """x -> log N(x; mu, diag(sigma^2)) + 7, not normalised, with mu, sigma: (m,)."""
    return lambda x: 7.0 - 0.5 * ((x - mu) / sigma).square().sum(dim=1)


@family
def gaussian_shape_score(mu: Tensor, sigma: Tensor) -> Score:
    """x -> (mu - x) / sigma^2, the score of `gaussian_log_shape`."""
    return lambda x: (mu - x) / sigma.square()


@family
def quartic_log_shape(a: Tensor) -> Energy:
    """x -> -a sum_j x_j^4 / 4, with a: ()."""
    return lambda x: -0.25 * a * x.pow(4).sum(dim=1)


@family
def quartic_shape_score(a: Tensor) -> Score:
    """x -> -a x^3, the score of `quartic_log_shape`."""
    return lambda x: -a * x.pow(3)


@family
def exponential_log_shape(rate: Tensor) -> Energy:
    """x -> -rate . x where all x are positive, -inf elsewhere, with rate: (m,)."""
    return lambda x: torch.where((x > 0).all(dim=1), -(x * rate).sum(dim=1), -math.inf)


@family
def exponential_shape_score(rate: Tensor) -> Score:
    """x -> -rate, also where `exponential_log_shape` is -inf."""
    return lambda x: 0.0 * x - rate


@family
def plain_identity_score() -> Score:
    """x -> x, that very tensor."""
    return lambda x: x
