"""What the checks of the divergences draw: two laws with their densities and samplers, and how well they are known."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_gradient_agrees
from grader.checking.recipe import recipe
from grader.checking.student import Student
from grader.checks.lecture1.shared import draw, families, samplers
from grader.sandbox.wire.families import Family


class Laws(NamedTuple):
    """The data's law and the model's, in the order in which ``forward_kl`` and ``reverse_kl`` take them."""

    log_p_data: Family
    log_p_theta: Family
    sample_data: Family
    sample_theta: Family


def mixture_and_gaussian(m: int, key: int, dtype: torch.dtype) -> Laws:
    """Data with two modes, and a Gaussian model."""
    weights = draw.pmf((2,), key, dtype=dtype)
    centres, widths = draw.normal((2, m), key + 1, 2.0, dtype), draw.uniform((2, m), key + 2, 0.5, 1.5, dtype)
    mu, sigma = draw.normal((m,), key + 3, dtype=dtype), draw.uniform((m,), key + 4, 0.5, 2, dtype)
    return Laws(
        families.gaussian_mixture_log_density(weights, centres, widths),
        families.gaussian_log_density(mu, sigma),
        samplers.gaussian_mixture_sampler(weights, centres, widths),
        samplers.gaussian_sampler(mu, sigma),
    )


def with_draws(laws: Laws, x_data: Tensor, x_theta: Tensor) -> Laws:
    """The same densities, and samplers that give these very draws."""
    return laws._replace(sample_data=samplers.replay(x_data), sample_theta=samplers.replay(x_theta))


def boxes(m: int, dtype: torch.dtype) -> Laws:
    """Uniform data on [-2, 2]^m, and a uniform model on the smaller [-1, 1]^m."""
    one = torch.ones(m, dtype=dtype)
    return Laws(
        samplers.uniform_log_density(-2 * one, 2 * one),
        samplers.uniform_log_density(-one, one),
        samplers.uniform_sampler(-2 * one, 2 * one),
        samplers.uniform_sampler(-one, one),
    )


def categoricals(log_p: list[float], log_q: list[float], x_data: Tensor, x_theta: Tensor) -> Laws:
    """Log-densities of the values 0..K-1 in the dtype of x, and samplers that give these very values."""
    return Laws(
        samplers.categorical_log_density(torch.tensor(log_p, dtype=x_data.dtype)),
        samplers.categorical_log_density(torch.tensor(log_q, dtype=x_data.dtype)),
        samplers.replay(x_data),
        samplers.replay(x_theta),
    )


def column(values: list[float], dtype: torch.dtype = torch.float32) -> Tensor:
    """Samples of one dimension, (n, 1)."""
    return torch.tensor(values, dtype=dtype)[:, None]


@recipe
def zeros_and_three(other: float, dtype: torch.dtype) -> Tensor:
    """4099 samples of one dimension, of which the last three are not zero."""
    return torch.cat([torch.zeros(4096, 1, dtype=dtype), torch.full((3, 1), other, dtype=dtype)])


def accuracy(x: Tensor, *log_densities: Family) -> dict[str, Any]:
    """How well the log-densities themselves are known in the dtype of x: `scale` and `error` of an average of them."""
    exact = [log_p.double()(x.double()) for log_p in log_densities]
    errors = [(log_p(x) - want).abs().nan_to_num(0.0) for log_p, want in zip(log_densities, exact, strict=True)]
    scale = max(want[want.isfinite()].abs().max().item() for want in exact if want.isfinite().any())
    return {"scale": scale, "error": sum(error.mean().item() for error in errors)}


def sampler_calls(student: Student, function: Any, laws: Laws, n: int, key: int) -> list[list[Any]]:
    """The samplers that the function calls: name, n, and whether it passed on the very generator it was given."""
    generator = student.generator(key)
    student.run(samplers.forget_calls)
    witnesses = [samplers.witnessed(name, getattr(laws, name)) for name in ("sample_data", "sample_theta")]
    function(laws.log_p_data, laws.log_p_theta, *witnesses, n, generator)
    return student.run(samplers.calls_seen, generator)


def assert_gradients(got: list, want: tuple, names: list[str], dtype: torch.dtype, size: float) -> None:
    """Each gradient arrives and agrees, with `size` that of the largest intermediate."""
    for one, right, name in zip(got, want, names, strict=True):
        assert_gradient_agrees(one, right, of=name, like=dtype, scale=size)


def reach(x: Tensor, mu: Tensor, sigma: Tensor) -> float:
    """The size of what is rounded in the gradient of a Gaussian log-density."""
    return ((1 + ((x - mu) / sigma).abs()).square().max() / sigma.min()).item()


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


numbers_of_draws = st.integers(1, 8)
dims = st.integers(1, 3)
batches = st.sampled_from([(), (3,), (2, 3)])
