"""Public families of callables: what a check hands to a student's function as ``f``, ``p``, ``log_p``.

A family travels into the worker as its name and its parameters and is built there, so a student's function meets a
plain torch callable. Everything is batched: ``(n, m)`` in, ``(n, d)`` or ``(n,)`` out, row by row, differentiable in
``x`` and in the parameters. ``x`` may have another floating dtype than they: a matrix product alone has to be told.
Gaussians are diagonal and take ``mu`` and ``sigma`` of shape ``(m,)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Map = Callable[[Tensor], Tensor]

ELEMENTWISE: dict[str, Map] = {
    "abs": torch.abs,
    "asinh": torch.asinh,
    "cos": torch.cos,
    "exp": torch.exp,
    "identity": lambda x: x,
    "log": torch.log,
    "logit": torch.logit,
    "negative": torch.neg,
    "sigmoid": torch.sigmoid,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "square": torch.square,
    "tanh": torch.tanh,
}


# -- vector-valued maps, (n, m) -> (n, d) --


@family
def affine(A: Tensor, b: Tensor) -> Map:
    """x -> A x + b, with A: (d, m) and b: (d,)."""
    return lambda x: x @ A.T.to(x.dtype) + b  # (n, d)


@family
def elementwise(name: str) -> Map:
    """x -> the named function of every coordinate, see ``ELEMENTWISE``."""
    return ELEMENTWISE[name]


@family
def polynomial(coefficients: Tensor) -> Map:
    """x -> sum_k c_k x^k in every coordinate, with coefficients c: (degree + 1, m)."""

    def evaluate(x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        for c in reversed(coefficients.unbind()):  # Horner's scheme
            y = y * x + c
        return y  # (n, m)

    return evaluate


@family
def constant(c: Tensor) -> Map:
    """x -> c, the same for every row, with c: (d,)."""
    return lambda x: c.expand(x.shape[0], -1)  # (n, d)


@family
def softmax() -> Map:
    """x -> exp x_j / sum_k exp x_k, which couples the coordinates of a row."""
    return lambda x: x.softmax(dim=1)  # (n, m)


@family
def compose(g: Map, f: Map) -> Map:
    """x -> g(f(x))."""
    return lambda x: g(f(x))


@family
def add(f: Map, g: Map) -> Map:
    """x -> f(x) + g(x)."""
    return lambda x: f(x) + g(x)


@family
def multiply(f: Map, g: Map) -> Map:
    """x -> f(x) g(x), for example the product of two densities."""
    return lambda x: f(x) * g(x)


@family
def scaled(c: Tensor, f: Map) -> Map:
    """x -> c f(x), with a scalar c: ()."""
    return lambda x: c * f(x)


# -- real-valued functions, (n, m) -> (n,) --


@family
def linear(w: Tensor, b: Tensor) -> Map:
    """x -> w . x + b, with w: (m,) and b: ()."""
    return lambda x: (x * w).sum(dim=1) + b  # (n,)


@family
def quadratic(A: Tensor) -> Map:
    """x -> |A x|^2, a convex function, with A: (d, m)."""
    return lambda x: (x @ A.T.to(x.dtype)).square().sum(dim=1)  # (n,)


@family
def log_sum_exp() -> Map:
    """x -> log sum_j exp x_j, a convex function."""
    return lambda x: x.logsumexp(dim=1)  # (n,)


@family
def first_coordinate() -> Map:
    """x -> x_1, a view of x: what is done to the answer in place is done to x."""
    return lambda x: x[:, 0]  # (n,)


@family
def coordinate_sum(f: Map) -> Map:
    """x -> sum_j f(x)_j."""
    return lambda x: f(x).sum(dim=1)  # (n,)


# -- densities, (n, m) -> (n,) --


@family
def gaussian_log_density(mu: Tensor, sigma: Tensor) -> Map:
    """x -> log N(x; mu, diag(sigma^2))."""
    return lambda x: _gaussian_log_density(x, mu, sigma)  # (n,)


@family
def gaussian_density(mu: Tensor, sigma: Tensor) -> Map:
    """x -> N(x; mu, diag(sigma^2))."""
    return lambda x: _gaussian_log_density(x, mu, sigma).exp()  # (n,)


@family
def gaussian_mixture_log_density(weights: Tensor, mu: Tensor, sigma: Tensor) -> Map:
    """x -> log sum_c w_c N(x; mu_c, diag(sigma_c^2)), with weights: (C,), mu and sigma: (C, m)."""
    return lambda x: (weights.log() + _gaussian_log_density(x[:, None], mu, sigma)).logsumexp(dim=1)  # (n,)


# -- log-densities with their parameter as an argument, log_p(x, theta) -> (n,) --


@family
def gaussian_log_p() -> Callable[[Tensor, Tensor], Tensor]:
    """(x, theta) -> log N(x; mu, diag(sigma^2)) with mu, log sigma = theta: (2, m)."""
    return lambda x, theta: _gaussian_log_density(x, theta[0], theta[1].exp())  # (n,)


@family
def exponential_log_p() -> Callable[[Tensor, Tensor], Tensor]:
    """(x, theta) -> the log-density of m independent exponentials with one log-rate theta: ()."""
    return lambda x, theta: (theta - theta.exp() * x).sum(dim=1)  # (n,)


@family
def categorical_log_p() -> Callable[[Tensor, Tensor], Tensor]:
    """(x, theta) -> sum_j log Cat(x_j; softmax(theta_j)), logits theta: (m, K); x: (n, m) holds 0..K-1 as floats."""

    def log_p(x: Tensor, theta: Tensor) -> Tensor:
        log_pi = theta.log_softmax(dim=-1).expand(x.shape[0], -1, -1)  # (n, m, K)
        return log_pi.gather(2, x.long()[..., None]).sum(dim=(1, 2))  # (n,)

    return log_p


def _gaussian_log_density(x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return (-0.5 * ((x - mu) / sigma).square() - sigma.log() - 0.5 * math.log(2 * math.pi)).sum(dim=-1)
