"""What wrong answers get right: pieces that mistakes and variants of the autoregressive exercises share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

Conditional = Callable[[Tensor], Tensor]
Step = Callable[[Tensor, int], Tensor]  # x: (n, m) drawn so far, j -> the new column: (n,)


def log_pi(conditional: Conditional, x: Tensor) -> Tensor:
    """log-probabilities (n, m, K)."""
    return torch.log_softmax(conditional(x), dim=-1)


def log_pi_of_prefixes(conditional: Conditional, x: Tensor) -> Tensor:
    """The same where the conditional takes sequences of any length: variable j from the first j + 1 columns alone."""
    return torch.stack([conditional(x[:, : j + 1])[:, j].log_softmax(dim=-1) for j in range(x.shape[1])], dim=1)


def at(table: Tensor, x: Tensor) -> Tensor:
    """Of (n, m, K) what belongs to the values that are there: (n, m)."""
    return table.gather(-1, x[..., None])[..., 0]


def log_likelihood(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x), x).sum(dim=-1)


def pick(pi: Tensor, generator: Generator | None) -> Tensor:
    """One value for each row of pi: (n, K)."""
    return torch.multinomial(pi, 1, generator=generator)[:, 0]


def quantile(pi: Tensor, u: Tensor) -> Tensor:
    """The values at which the distribution functions pi: (n, K) pass u: (n,)."""
    return (pi.cumsum(dim=-1) < u[:, None]).sum(dim=-1).clamp(max=pi.shape[-1] - 1)


def ancestral(n: int, m: int, step: Step, fill: int = 0) -> Tensor:
    """Sequences (n, m) by one step after another."""
    x = torch.full((n, m), fill)
    for j in range(m):
        x[:, j] = step(x, j)
    return x


def probabilities(conditional: Conditional, x: Tensor, j: int) -> Tensor:
    """The distribution of variable j given the values before it: (n, K)."""
    return torch.softmax(conditional(x)[:, j], dim=-1)


def gaussian_ancestral(n: int, m: int, step: Any) -> Tensor:
    """Vectors (n, m) by one step after another: (x, j) -> the new column."""
    x, columns = torch.zeros(n, m), []
    with torch.no_grad():
        for j in range(m):
            columns.append(step(x, j))
            x[:, j] = columns[j]
    return torch.stack(columns, dim=1)


def noise(like: Tensor, generator: Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype)
