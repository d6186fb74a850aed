"""Samples with counts that are known, and a density and a sampler as black boxes, for `histogram.accepts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from grader.checking.recipe import recipe
from grader.sandbox.wire.black_boxes import QuestionRefused
from grader.sandbox.wire.objects import BlackBox

BUDGET = 100_000  # draws in one call of `accepts`


def pair(log_p: Tensor, draw: Callable[[int, Generator], Tensor], seed: int) -> tuple[BlackBox, BlackBox, int]:
    """The arguments of `accepts`, for log-probabilities of 0..K-1 and a function that makes n draws with a generator."""
    K = len(log_p)
    table, generator = log_p.float(), Generator().manual_seed(seed % 2**63)
    drawn = 0

    def log_prob(x: Any) -> Tensor:
        if not isinstance(x, Tensor) or x.dtype != torch.int64 or x.dim() != 1:
            raise QuestionRefused("log_prob takes an int64 tensor of shape (n,)")
        if not ((x >= 0) & (x < K)).all():
            raise QuestionRefused(f"log_prob takes values in 0..{K - 1}")
        return table[x]

    def sample(n: Any) -> Tensor:
        nonlocal drawn
        if type(n) is not int or n < 1:
            raise QuestionRefused("sample takes a whole number of draws, one or more")
        if drawn + n > BUDGET:
            raise QuestionRefused(f"sample makes {BUDGET:,} draws in all, and you have asked for {drawn + n:,}")
        drawn += n
        return draw(n, generator)

    return BlackBox("log_prob", log_prob), BlackBox("sample", sample), K


def of_masses(*p: float) -> tuple[Tensor, Callable[[int, Generator], Tensor]]:
    """Log-probabilities, and independent draws from them."""
    masses = torch.tensor(p)
    return masses.log(), lambda n, generator: torch.multinomial(masses, n, replacement=True, generator=generator)


@recipe
def samples(counts: Sequence[int], key: int) -> Tensor:
    """Samples of which exactly `counts[k]` are k, in an order that the key decides."""
    x = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(key))]
