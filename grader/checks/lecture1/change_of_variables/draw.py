"""Hypothesis strategies for change of variables: diffeomorphisms of every structure, and base densities.

Parameters are such that Jacobians are well conditioned (a condition number of about 20 at most), whatever their sign.
"""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.recipe import recipe
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.diffeomorphisms import autoregressive, coupling, planar, residual, stretch
from grader.checks.lecture1.shared.families import (
    affine,
    compose,
    elementwise,
    gaussian_log_density,
    gaussian_mixture_log_density,
)
from grader.sandbox.wire.families import Family

HIDDEN = 3  # units of a residual flow
CONDITION = 20  # of the drawn Jacobians, at most: factorising one loses so many roundoffs in each dimension
TINY, HUGE = 2.0**-20, 2.0**20  # their 64th powers under- and overflow in float64 too

SQUARES_UNDERFLOW = {torch.float32: (1e-30, 5e-23), torch.float64: (1e-200, 3e-162)}  # to zero, and to two bits


@recipe
def many_points(n: int, m: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Normal points, some of them equal."""
    x = torch.randn((n, m), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[: n // 2 : 100] = x[-1]
    return x.to(dtype)


@recipe
def matrix(m: int, seed: int, dtype: torch.dtype) -> Tensor:
    """A dense, well conditioned matrix with a positive determinant: a signed permutation, disturbed."""
    generator = torch.Generator().manual_seed(seed)
    signs = 1 - 2 * torch.randint(2, (m,), generator=generator)
    permutation = torch.diag(signs.double())[torch.randperm(m, generator=generator)]
    A = permutation + 0.2 / m**0.5 * torch.randn(m, m, generator=generator, dtype=torch.float64)
    A[0] *= torch.linalg.det(A).sign()
    return A.to(dtype)


def reflection(m: int, seed: int, dtype: torch.dtype) -> Tensor:
    """A dense orthogonal matrix with determinant -1: the mirror image in the plane across a random vector."""
    v = draw.normal((m,), seed, dtype=torch.float64) + 0.005  # rounded to two decimals, so nowhere zero
    return (torch.eye(m, dtype=torch.float64) - 2 * torch.outer(v, v) / (v @ v)).to(dtype)


def ill_conditioned(m: int, condition: float, seed: int, dtype: torch.dtype) -> Tensor:
    """A dense matrix with singular values between 1 and 1 / condition."""
    one, other = torch.linalg.qr(draw.normal((2, m, m), seed, dtype=torch.float64)).Q
    return (one @ torch.diag(torch.logspace(0, -math.log10(condition), m, dtype=torch.float64)) @ other).to(dtype)


def planar_parameters(m: int, seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """u, w and b of a planar flow; u . w >= 0 makes it a diffeomorphism."""
    u, w = draw.normal((2, m), seed, 0.7, dtype)
    return (u if u @ w >= 0 else -u), w, draw.normal((), seed + 1, 1.0, dtype)


def diffeomorphism(kind: str, m: int, seed: int, dtype: torch.dtype) -> Family:
    """A diffeomorphism of R^m of the given kind, with a positive determinant: `mirrored` turns its sign."""
    if kind == "affine":
        return affine(matrix(m, seed, dtype), draw.normal((m,), seed + 1, 1.0, dtype))
    if kind == "stretch":
        return stretch(draw.uniform((m,), seed, -0.7, 2.0, dtype))
    if kind == "planar":
        return planar(*planar_parameters(m, seed, dtype))
    if kind == "residual":
        return residual(_contraction(HIDDEN, m, seed, dtype), _contraction(m, HIDDEN, seed + 1, dtype))
    if kind == "coupling":
        k = m // 2
        return coupling(draw.normal((m - k, k), seed, 0.5, dtype), draw.normal((m - k, k), seed + 1, 0.5, dtype))
    if kind == "autoregressive":
        return autoregressive(draw.normal((m, m), seed, 0.4, dtype), draw.normal((m, m), seed + 1, 0.4, dtype))
    return compose(elementwise("asinh"), affine(matrix(m, seed, dtype), torch.zeros(m, dtype=dtype)))


def mirrored(f: Family, m: int, seed: int, dtype: torch.dtype) -> Family:
    """f after a reflection: a negative determinant where that of f is positive."""
    return compose(f, affine(reflection(m, seed, dtype), torch.zeros(m, dtype=dtype)))


KINDS = ("affine", "stretch", "planar", "residual", "coupling", "autoregressive", "asinh")


@st.composite
def diffeomorphisms(pick: st.DrawFn, m: int, dtype: torch.dtype) -> Family:
    """A diffeomorphism of R^m, or a composition of two."""
    f, g = (diffeomorphism(pick(st.sampled_from(KINDS)), m, pick(draw.seeds), dtype) for _ in range(2))
    return compose(g, f) if pick(st.booleans()) else f


@st.composite
def log_densities(pick: st.DrawFn, m: int, dtype: torch.dtype) -> Family:
    """A Gaussian or a mixture of two Gaussians on R^m."""
    seed = pick(draw.seeds)
    if pick(st.booleans()):
        return gaussian_log_density(draw.normal((m,), seed, 1.0, dtype), draw.uniform((m,), seed, 0.5, 2.0, dtype))
    mu, sigma = draw.normal((2, m), seed, 1.0, dtype), draw.uniform((2, m), seed, 0.5, 2.0, dtype)
    return gaussian_mixture_log_density(torch.tensor([0.25, 0.75], dtype=dtype), mu, sigma)


@st.composite
def map_problems(pick: st.DrawFn) -> tuple[Family, Tensor]:
    """A diffeomorphism and a batch of points: n and m are at least two, and different."""
    (n, m), dtype = pick(st.sampled_from([(2, 3), (3, 2), (2, 4), (3, 5)])), pick(draw.dtypes)
    return pick(diffeomorphisms(m, dtype)), draw.normal((n, m), pick(draw.seeds), 1.0, dtype)


@st.composite
def density_problems(pick: st.DrawFn) -> tuple[Family, Family, Tensor]:
    """A diffeomorphism, a log-density and a batch of points."""
    f, x = pick(map_problems())
    return f, pick(log_densities(x.shape[1], x.dtype)), x


def planar_log_abs_det(u: Tensor, w: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """log|det J| of a planar flow at each row of x in closed form, by the determinant lemma: log(1 + h' (u.w))."""
    u, w, b, x = u.double(), w.double(), b.double(), x.double()
    return torch.log1p((1 - torch.tanh(x @ w + b) ** 2) * (u @ w))


def planar_log_abs_det_gradients(u: Tensor, w: Tensor, b: Tensor, x: Tensor) -> list[Tensor]:
    """Gradients with respect to u, w, b and x of the sum over x of log|det J| of x + u tanh(w.x + b), in closed form.

    The Jacobian is I + h' u w^T with h = tanh(w.x + b), so its determinant is 1 + h' (u.w) by the determinant lemma.
    """
    u, w, b, x = u.double(), w.double(), b.double(), x.double()
    h = torch.tanh(x @ w + b)
    slope = 1 - h**2  # h' (n,)
    determinant = 1 + slope * (u @ w)
    by_u = (slope / determinant).sum() * w
    by_activation = -2 * h * slope * (u @ w) / determinant  # d log|det| / d (w.x + b), (n,)
    by_w = (slope / determinant).sum() * u + by_activation @ x
    return [by_u, by_w, by_activation.sum(), by_activation[:, None] * w]


def planar_gaussian_gradients(u: Tensor, w: Tensor, b: Tensor, mu: Tensor, sigma: Tensor, x: Tensor) -> list[Tensor]:
    """Gradients by u, w, b, mu, sigma, x of the sum over x of log N(f(x); mu, sigma^2) + log|det J|, with f planar."""
    u, w, b, mu, sigma, x = (one.double() for one in (u, w, b, mu, sigma, x))
    h = torch.tanh(x @ w + b)
    slope = 1 - h**2
    error = (x + h[:, None] * u - mu) / sigma  # (n, m)
    by_z = -error / sigma  # d log N / dz, (n, m)
    by_activation = slope * (by_z @ u)  # through h, (n,)
    volume_u, volume_w, volume_b, volume_x = planar_log_abs_det_gradients(u, w, b, x)
    return [
        h @ by_z + volume_u,
        by_activation @ x + volume_w,
        by_activation.sum() + volume_b,
        -by_z.sum(dim=0),
        ((error**2 - 1) / sigma).sum(dim=0),
        by_z + by_activation[:, None] * w + volume_x,
    ]


def _contraction(rows: int, columns: int, seed: int, dtype: torch.dtype) -> Tensor:
    """A matrix of norm 0.8, up to rounding."""
    values = draw.normal((rows, columns), seed, dtype=torch.float64) + 0.005
    return (0.8 * values / torch.linalg.matrix_norm(values, 2)).round(decimals=2).to(dtype)
