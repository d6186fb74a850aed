"""Public families of conditionals: what a check hands to a student's function as ``conditional``.

The discrete ones map sequences ``(n, m)`` to logits ``(n, m, K)``, the Gaussian ones vectors ``(n, m)`` to means and
log-standard-deviations, both ``(n, m)``. All are table look-ups or sums, and look at ``x[:, :j]`` alone for variable
``j``. They make the best of what a sampler should not ask (integers of another dtype, the drawn columns alone, tokens
that are none of the K values), so that such a slip costs one check and not the law: ``as_agreed`` refuses it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Conditional = Callable[[Tensor], Tensor]
ClassConditional = Callable[[Tensor, Tensor], Tensor]
GaussianConditional = Callable[[Tensor], tuple[Tensor, Tensor]]


@family
def prefix_table(table: Tensor) -> Conditional:
    """Every conditional is free: the logits of x_j are the row of ``table`` that belongs to the prefix before it.

    ``table``: (1 + K + ... + K^(m-1), K), prefixes ordered by their length, then as numbers in base K.
    """
    K, m = table.shape[1], _depth(table)

    def logits(x: Tensor) -> Tensor:
        x = _tokens(x, m, K)
        rows, number, shorter = [], torch.zeros_like(x[:, 0]), 0
        for j in range(x.shape[1]):
            rows.append(shorter + number)
            number, shorter = number * K + x[:, j], shorter + K**j
        return table[torch.stack(rows, dim=1)]  # (n, m, K)

    return logits


@family
def markov_table(table: Tensor) -> Conditional:
    """Logits of x_j depend on its position and on x_{j-1}; ``table``: (m, K + 1, K), row K where nothing is before."""
    m, _, K = table.shape

    def logits(x: Tensor) -> Tensor:
        x = _tokens(x, m, K)
        before = torch.cat([torch.full_like(x[:, :1], K), x[:, :-1]], dim=1)  # (n, m)
        return table[torch.arange(x.shape[1]), before]  # (n, m, K)

    return logits


@family
def independent_table(table: Tensor) -> Conditional:
    """Independent variables: the same logits for every row; ``table``: (m, K)."""

    def logits(x: Tensor) -> Tensor:
        _refuse_unless_rows(x, len(table), fewer=True)
        return table[: x.shape[1]].repeat(len(x), 1, 1)  # (n, m, K)

    return logits


@family
def value_by_value(conditional: Conditional) -> Conditional:
    """The same logits, laid out in memory value by value: not contiguous."""
    return lambda x: conditional(x).mT.contiguous().mT


@family
def of_all_columns(conditional: Conditional, m: int) -> Conditional:
    """The same conditional, which refuses sequences that are not whole."""

    def logits(x: Tensor) -> Tensor:
        _refuse_unless_rows(x, m)
        return conditional(x)

    return logits


@family
def as_agreed(conditional: Conditional, m: int, K: int) -> Conditional:
    """The same conditional, which refuses what it should not be asked; under vmap it cannot look at the values."""

    def logits(x: Tensor) -> Tensor:
        _refuse_unless_rows(x, m)
        if x.dtype != torch.int64:
            raise ValueError(f"conditional takes x of dtype int64, got {x.dtype}")
        if x.min() < 0 or x.max() >= K:
            raise ValueError(
                f"conditional takes values in 0..{K - 1}, also in columns that are not drawn yet, got {x.min().item()}..{x.max().item()}"
            )
        return conditional(x)

    return logits


@family
def class_conditional(models: list[Conditional]) -> ClassConditional:
    """(x, y) -> the logits of row i by the model of its class y_i."""

    def logits(x: Tensor, y: Tensor) -> Tensor:
        if y.shape != x.shape[:1]:
            raise ValueError(f"conditional takes one label for each row of x: y of shape ({len(x)},), got shape {tuple(y.shape)}")
        return torch.stack([model(x) for model in models])[y.long(), torch.arange(len(x))]  # (n, m, K)

    return logits


@family
def gaussian_linear(A: Tensor, b: Tensor, S: Tensor, c: Tensor) -> GaussianConditional:
    """mu = A x + b and log sigma = S x + c, of A and S: (m, m) only what lies below the diagonal; b, c: (m,)."""
    m = len(b)

    def mu_and_log_sigma(x: Tensor) -> tuple[Tensor, Tensor]:
        _refuse_unless_rows(x, m)
        x = x.to(A.dtype).nan_to_num(0.0, 0.0, 0.0)  # whatever stands in columns that are not drawn yet
        return x @ A.tril(-1).T + b, x @ S.tril(-1).T + c  # (n, m), (n, m)

    return mu_and_log_sigma


@family
def gaussian_independent(mu: Tensor, log_sigma: Tensor) -> GaussianConditional:
    """The same mean and log-standard-deviation for every row: mu, log_sigma: (m,)."""

    def mu_and_log_sigma(x: Tensor) -> tuple[Tensor, Tensor]:
        _refuse_unless_rows(x, len(mu))
        return mu.expand(x.shape), log_sigma.expand(x.shape)  # (n, m), (n, m)

    return mu_and_log_sigma


def _depth(table: Tensor) -> int:
    """The m for which a table has a row for every prefix shorter than m."""
    rows, m = 0, 0
    while rows < len(table):
        rows, m = rows + table.shape[1] ** m, m + 1
    return m


def _tokens(x: Tensor, m: int, K: int) -> Tensor:
    """x as tokens that can be looked up."""
    _refuse_unless_rows(x, m, fewer=True)
    return x.long().clamp(0, K - 1)


def _refuse_unless_rows(x: Tensor, m: int, *, fewer: bool = False) -> None:
    """`fewer`: the columns that are drawn already will do."""
    if x.ndim != 2 or x.shape[1] > m or (x.shape[1] < m and not fewer):
        raise ValueError(f"conditional takes all m = {m} columns: expected x of shape (n, {m}), got {tuple(x.shape)}")
