"""What the checks of the course tricks draw: functions, densities and laws, with samples to evaluate them on.

`size` bounds the intermediates of an evaluation, in every component: what a right answer may have rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_gradient_agrees
from grader.checks.lecture1.shared import draw, families
from grader.sandbox.wire.families import Family

VECTOR_MAPS = ("identity", "sin", "tanh", "abs", "square", "softmax")
REAL_FUNCTIONS = ("convex quadratic", "log-sum-exp", "sine", "concave quadratic")
DENSITIES = ("gaussian", "unnormalised", "mixture", "product")
LAWS = ("gaussian", "exponential", "categorical")


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
    size = (x.abs() @ A.abs().T + b.abs()).double().amax(dim=0)  # (d,)
    size = {"square": size**2, "softmax": 1 + size.amax().expand(d)}.get(name, 1 + size)
    return Samples(families.compose(outer, families.affine(A, b)), x, size)


def real_function(name: str, n: int, m: int, key: int, dtype: torch.dtype) -> Samples:
    """A function to the real line, of known curvature but for the sine."""
    A, x = draw.normal((2, m), key, dtype=dtype), draw.normal((n, m), key + 1, dtype=dtype)
    size = (x.abs() @ A.abs().T).double().square().sum(dim=1).amax()
    one = torch.ones((), dtype=dtype)
    f = {
        "convex quadratic": families.quadratic(A),
        "concave quadratic": families.scaled(-one, families.quadratic(A)),
        "log-sum-exp": families.log_sum_exp(),
        "sine": families.coordinate_sum(families.compose(families.elementwise("sin"), families.affine(A, A[:, 0]))),
    }[name]
    return Samples(f, x, 1 + size + x.double().abs().sum(dim=1).amax() + A.double().abs().sum())


def density(name: str, n: int, m: int, key: int, dtype: torch.dtype) -> Samples:
    """A positive density, normalised or not, with values that float32 can hold; `size` is that of its score."""
    mu, x = draw.uniform((m,), key, -1, 1, dtype), draw.uniform((n, m), key + 1, -1, 1, dtype)
    sigma = draw.uniform((m,), key + 2, 0.5, 2, dtype)
    gaussian = families.gaussian_density(mu, sigma)
    exp = families.elementwise("exp")
    p = {
        "gaussian": gaussian,
        "unnormalised": families.scaled(torch.tensor(1e-6, dtype=dtype), gaussian),
        "mixture": families.compose(
            exp,
            families.gaussian_mixture_log_density(
                torch.tensor([0.25, 0.75], dtype=dtype), torch.stack([mu, -mu]), torch.stack([sigma, sigma])
            ),
        ),
        "product": families.multiply(
            gaussian, families.compose(exp, families.linear(mu, torch.zeros((), dtype=dtype)))
        ),
    }[name]
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


def sizes(low: int = 1, high: int = 8) -> st.SearchStrategy[int]:
    """Numbers of samples."""
    return st.integers(low, high)


dims = st.integers(1, 3)


def vector_maps(low: int = 1) -> st.SearchStrategy[Samples]:
    """Vector-valued functions with at least `low` samples."""
    return st.builds(vector_map, st.sampled_from(VECTOR_MAPS), sizes(low), dims, dims, draw.seeds, draw.dtypes)


def real_functions(*names: str) -> st.SearchStrategy[Samples]:
    """Real-valued functions of these names."""
    return st.builds(real_function, st.sampled_from(names or REAL_FUNCTIONS), sizes(), dims, draw.seeds, draw.dtypes)


densities = st.builds(density, st.sampled_from(DENSITIES), sizes(1, 5), dims, draw.seeds, draw.dtypes)
laws = st.builds(law, st.sampled_from(LAWS), sizes(1, 5), dims, draw.seeds, draw.dtypes)


def assert_moving_mass(got: Tensor | None, want: Tensor, *, of: str, like: Tensor | torch.dtype, scale: float) -> None:
    """Gradients by masses that sum to one: only their differences mean something."""
    differences = got - got[:1] if isinstance(got, Tensor) and got.shape == want.shape else got
    assert_gradient_agrees(differences, want - want[:1], of=of, like=like, scale=scale)
