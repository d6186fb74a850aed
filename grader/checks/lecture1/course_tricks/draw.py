"""What the checks of the course tricks draw: functions, densities and laws, with samples to evaluate them on.

`size` bounds the intermediates of an evaluation, in every component: what a right answer may have rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.recipe import recipe
from grader.checks.lecture1.shared import draw, families
from grader.sandbox.wire.families import Family

VECTOR_MAPS = ("identity", "sin", "tanh", "abs", "square")
REAL_FUNCTIONS = ("convex quadratic", "log-sum-exp", "sine", "concave quadratic", "gaussian")
DENSITIES = ("gaussian", "mixture", "product")
LAWS = ("gaussian", "exponential", "categorical")


MANY = 4099  # samples: a prime, no batch size divides it


# -- many samples, made so that a student can make them, too --


def _random(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@recipe
def late_samples(n: int, dtype: torch.dtype) -> Tensor:
    """0, 1, 2, …; zeros but for the last three rows; and the first column again, far out in both directions."""
    i = torch.arange(n, dtype=dtype)
    return torch.stack([i, 500 * (i >= n - 3), -(2.0**40) * i, 2.0**-40 * i], dim=1)


@recipe
def late_outliers(n: int, dtype: torch.dtype) -> Tensor:
    """Zeros but for the last three rows."""
    return 100 * (torch.arange(n) >= n - 3)[:, None].expand(n, 2).to(dtype)


@recipe
def far_apart(n: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Points of the plane, of which six are equal and three far from all others."""
    x = 4 * _random((n, 2), seed) - 2
    x[:5] = x[5]
    x[-3:] = 8
    return x.to(dtype)


@recipe
def waiting_times(n: int, log_rate: float, seed: int, dtype: torch.dtype) -> Tensor:
    """Two times a row, the last three rows 80 times as long as is usual."""
    x = 3 * _random((n, 2), seed) + 0.1
    x[-3:] = 80
    return (x * 2.718281828459045**-log_rate).to(dtype)


@recipe
def many_masses(n: int, seed: int, dtype: torch.dtype) -> Tensor:
    """A pmf of n values."""
    mass = _random((n,), seed) + 0.1
    return (mass / mass.sum()).to(dtype)


@recipe
def tiny_last_mass(n: int, seed: int, dtype: torch.dtype) -> Tensor:
    """A pmf of n values, the last of which has almost no mass."""
    mass = _random((n,), seed) + 0.1
    mass[-1] = 1e-12 * mass[:-1].sum()
    return (mass / mass.sum()).to(dtype)


@recipe
def many_images(n: int, K: int, seed: int) -> Tensor:
    """The table of a map of n values to 0..K-1."""
    return torch.randint(K, (n,), generator=torch.Generator().manual_seed(seed))


@recipe
def many_columns(a: int, n: int, seed: int, dtype: torch.dtype) -> Tensor:
    """A joint table of a rows and n columns."""
    return (_random((a, n), seed) + 0.01).to(dtype)


@recipe
def many_vectors(n: int, d: int, last: float, seed: int, dtype: torch.dtype) -> Tensor:
    """n vectors between -1 and 1, but for the last, which has the entries `last`."""
    y = 2 * _random((n, d), seed) - 1
    y[-1] = last
    return y.to(dtype)


# -- functions, densities and laws --


class Samples(NamedTuple):
    """A callable, samples to evaluate it on, and the size of what is rounded."""

    f: Family
    x: Tensor  # (n, m)
    size: Tensor  # of the values of f: (d,) or ()


def vector_map(name: str, n: int, m: int, d: int, key: int, dtype: torch.dtype) -> Samples:
    """The named function of A x + b, from m to d dimensions."""
    A, b = draw.normal((d, m), key, dtype=dtype), draw.normal((d,), key + 1, dtype=dtype)
    x = draw.normal((n, m), key + 2, dtype=dtype)
    outer = families.softmax() if name == "softmax" else families.elementwise(name)
    size = (x.double().abs() @ A.double().abs().T + b.double().abs()).amax(dim=0)  # (d,)
    size = {"square": 1 + size**2, "softmax": 1 + size.amax().expand(d)}.get(name, 1 + size)
    return Samples(families.compose(outer, families.affine(A, b)), x, size)


def real_function(name: str, n: int, m: int, key: int, dtype: torch.dtype) -> Samples:
    """A function to the real line, of known curvature but for the sine."""
    A, x = draw.normal((2, m), key, dtype=dtype), draw.normal((n, m), key + 1, dtype=dtype)
    size = (x.double().abs() @ A.double().abs().T).square().sum(dim=1).amax()
    one = torch.ones((), dtype=dtype)
    f = {
        "convex quadratic": families.quadratic(A),
        "concave quadratic": families.scaled(-one, families.quadratic(A)),
        "log-sum-exp": families.log_sum_exp(),
        "gaussian": families.gaussian_log_density(A[0], torch.ones(m, dtype=dtype)),
        "sine": families.coordinate_sum(families.compose(families.elementwise("sin"), families.affine(A, A[:, 0]))),
    }[name]
    return Samples(f, x, 1 + size + x.double().abs().sum(dim=1).amax() + A.double().abs().sum())


def density(name: str, n: int, m: int, key: int, dtype: torch.dtype, c: float = 1.0) -> Samples:
    """c times a positive density, with values that float32 can hold; `size` is that of its score."""
    mu, x = draw.uniform((m,), key, -1, 1, dtype), draw.uniform((n, m), key + 1, -1, 1, dtype)
    sigma = draw.uniform((m,), key + 2, 0.5, 2, dtype)
    gaussian = families.gaussian_density(mu, sigma)
    exp = families.elementwise("exp")
    p = {
        "gaussian": gaussian,
        "mixture": families.compose(
            exp,
            families.gaussian_mixture_log_density(
                torch.tensor([0.25, 0.75], dtype=dtype), torch.stack([mu, -mu]), torch.stack([sigma, sigma])
            ),
        ),
        "product": families.multiply(gaussian, families.compose(exp, families.linear(mu, torch.zeros((), dtype=dtype)))),
    }[name]
    p = p if c == 1 else families.scaled(torch.tensor(c, dtype=dtype), p)
    return Samples(p, x, torch.tensor(40.0, dtype=torch.float64))  # |x - mu| / sigma^2 <= 8, and the exponent below 40


class Law(NamedTuple):
    """A log-density with its parameters, and points to evaluate it at."""

    log_p: Family
    theta: Tensor
    x: Tensor  # (n, m)
    size: float  # of the score


def law(name: str, n: int, m: int, key: int, dtype: torch.dtype) -> Law:
    """A parametric law; theta has the shapes (2, m), () and (m, 3)."""
    x = draw.uniform((n, m), key, 0, 2, dtype)
    if name == "gaussian":
        theta = draw.uniform((2, m), key + 1, -0.5, 0.5, dtype)  # |x - mu| <= 2.5, sigma >= 0.6
        return Law(families.gaussian_log_p(), theta, x, size=20.0)
    if name == "exponential":
        return Law(families.exponential_log_p(), draw.normal((), key + 1, 0.5, dtype), x, size=20.0 * m)
    x = draw.integers((n, m), key, 3).to(dtype)
    return Law(families.categorical_log_p(), draw.normal((m, 3), key + 1, dtype=dtype), x, size=1.0)


shapes = st.permutations((2, 3, 5)).map(tuple)  # n, m, d: no two axes are of one length, and none has length one
edges = st.permutations((1, 2, 4)).map(tuple)


@st.composite
def vector_maps(pick: st.DrawFn) -> Samples:
    """A vector-valued function with samples."""
    n, m, d = pick(shapes)
    return vector_map(pick(st.sampled_from(VECTOR_MAPS)), n, m, d, pick(draw.seeds), pick(draw.dtypes))


def _batches(kind: Callable[..., Any], names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """One of the named functions, on n samples of m dimensions, n and m at least two and different."""
    sizes = st.sampled_from([(2, 3), (3, 2), (5, 2), (5, 3)])
    return st.builds(
        lambda name, size, key, dtype: kind(name, *size, key, dtype),
        st.sampled_from(names), sizes, draw.seeds, draw.dtypes,
    )  # fmt: skip


real_functions = _batches(real_function, REAL_FUNCTIONS)
densities = _batches(density, DENSITIES)
laws = _batches(law, LAWS)
