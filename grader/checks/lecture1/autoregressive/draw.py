"""Sequences and vectors, and the models that they are put to: small enough to enumerate, or worked out by hand."""

from __future__ import annotations

import math

import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_form
from grader.checking.statistics import outcome_index
from grader.checking.student import Student
from grader.checks.lecture1.shared import draw as shared
from grader.checks.lecture1.shared.conditionals import (
    gaussian_independent,
    gaussian_linear,
    independent_table,
    prefix_table,
)
from grader.sandbox.wire.families import Family
from grader.sandbox.wire.objects import SeededGenerator

SIZES = ((2, 3), (3, 2), (2, 4), (3, 3), (4, 2))  # (m, K), at most 27 sequences; edges have checks of their own

# Two variables of three values. As weights: the first is (1, 2, 1), and after a 0, 1, 2 comes (1, 1, 2), (2, 1, 1), (1, 1, 1).
CHAIN_LOGITS = torch.tensor([[1, 2, 1], [1, 1, 2], [2, 1, 1], [1, 1, 1]]).double().log()
CHAIN_JOINT = torch.tensor([[3, 3, 6], [12, 6, 6], [4, 4, 4]]).double() / 48
CHAIN_X = torch.tensor([[0, 2], [1, 0], [2, 1], [1, 2]])  # of probability 1/8, 1/4, 1/12, 1/8


def chain(dtype: torch.dtype = torch.float32) -> Family:
    """The model that is worked out by hand above."""
    return prefix_table(CHAIN_LOGITS.to(dtype))


def log_prob_of_chain(x: Tensor) -> Tensor:
    """What the log-likelihood of its sequences x: (n, 2) is."""
    return CHAIN_JOINT[x[:, 0], x[:, 1]].log()


def half_on_zero(m: int, K: int, dtype: torch.dtype = torch.float32) -> Family:
    """m independent variables: 0 has probability 1/2, each other value 1 / (2 (K - 1))."""
    return independent_table(torch.tensor([K - 1.0] + [1.0] * (K - 1), dtype=dtype).log().repeat(m, 1))


def quarters(shape: tuple[int, ...], key: int, largest: int, dtype: torch.dtype) -> Tensor:
    """Multiples of 1/4 of size at most ``largest``: sums of their products are exact in every dtype."""
    return ((shared.integers(shape, key, 8 * largest + 1) - 4 * largest) / 4).to(dtype)


def gaussian_model(m: int, key: int, dtype: torch.dtype = torch.float32) -> Family:
    """Means and log-standard-deviations that are both linear in the prefix."""
    A, S = quarters((m, m), key, 1, dtype), quarters((m, m), key + 2, 1, dtype) / 4
    return gaussian_linear(A, quarters((m,), key + 1, 2, dtype), S, quarters((m,), key + 3, 1, dtype))


def centred_model(log_sigma: Tensor) -> Family:
    """Independent variables of mean 0."""
    return gaussian_independent(torch.zeros_like(log_sigma), log_sigma)


def all_sequences(m: int, K: int) -> Tensor:
    """Every sequence of m values in 0..K - 1, the last one varies fastest: (K ** m, m)."""
    return torch.cartesian_prod(*[torch.arange(K)] * m).reshape(-1, m)


def table_model(m: int, K: int, seed: int, scale: float = 2.0, dtype: torch.dtype = torch.float32) -> Family:
    """A model of which every conditional is a random row of logits of its own."""
    return prefix_table(shared.normal((_prefixes(m, K), K), seed, scale, dtype))


def model_of_joint(joint: Tensor, dtype: torch.dtype = torch.float32) -> Family:
    """The model whose conditionals are those of a given joint pmf, a table with one axis a variable."""
    m, K = joint.ndim, joint.shape[0]
    masses = [joint.sum(dim=tuple(range(j, m))) if j < m else joint for j in range(1, m + 1)]  # of x_{1:j}
    table = torch.cat([mass.reshape(-1, K) for mass in masses]).log()  # not normalised
    impossible_prefix = table.isinf().all(dim=1, keepdim=True)
    return prefix_table(table.masked_fill(impossible_prefix, 0.0).to(dtype))


def joint_pmf(m: int, K: int, seed: int) -> Tensor:
    """A joint pmf under which about a third of all sequences are impossible."""
    return shared.pmf((K**m,), seed, zeros=True, dtype=torch.float64).view((K,) * m)


def rounding(conditional: Family, x: Tensor) -> Tensor:
    """The size of what any log-softmax and sum have to round, one number for each sequence.

    It is the sum of the largest logits, and more for long sequences: a loop that adds m equal terms is off by up to
    half a rounding each time, always in the same direction.
    """
    logits = conditional(x).double()
    largest = logits.abs().masked_fill(logits.isinf(), 0.0).amax(dim=-1)  # (n, m)
    return (largest + math.log(logits.shape[-1])).sum(dim=-1) * (1 + x.shape[1] / 32)  # (n,)


def pull_back(conditional: Family, x: Tensor, score: Tensor) -> Tensor:
    """The gradient in the table of a model, from the one in its logits for x: ``score``: (n, m, K)."""
    table = conditional.parameters["table"].double().detach().requires_grad_()
    logits = Family(conditional.name, {"table": table})(x)
    return torch.autograd.grad(logits, table, score)[0]


def model_and_sequences(m: int, K: int, n: int, seed: int, dtype: torch.dtype) -> tuple[Family, Tensor]:
    """(conditional, x: (n, m))."""
    return table_model(m, K, seed, dtype=dtype), shared.integers((n, m), seed + 1, K)


def models_and_sequences() -> st.SearchStrategy[tuple[Family, Tensor]]:
    """(conditional, x: (n, m)), with two rows or more."""
    return st.builds(
        lambda size, n, seed, dtype: model_and_sequences(*size, n, seed, dtype),
        st.sampled_from(SIZES), st.integers(2, 5), shared.seeds, shared.dtypes,
    )  # fmt: skip


def both_columns(student: Student, conditional: Family, n: int, generator: SeededGenerator, K: int) -> Tensor:
    """n values of a model of two independent variables of the same law."""
    x = student.sample(conditional, -(-n // 2), 2, generator)
    outcome_index(x, K)  # refuses what are no samples
    assert_form(x, (-(-n // 2), 2))
    return x.flatten()[:n]


def _prefixes(m: int, K: int) -> int:
    return sum(K**j for j in range(m))
