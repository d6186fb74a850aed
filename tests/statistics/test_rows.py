"""Rows of one call: copies are found wherever they stand, and rows that agree too much or too little."""

from __future__ import annotations

import pytest
import torch

from grader.checking.compare import Mismatch
from grader.checking.statistics.rows import assert_no_row_repeats, assert_rows_agree_by_chance

N, M, K = 1001, 16, 16


def tokens(seed: int) -> torch.Tensor:
    return torch.randint(K, (N, M), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(20))
def test_independent_rows_pass(seed):
    assert_no_row_repeats(tokens(seed), log2_outcomes=64)
    assert_rows_agree_by_chance(tokens(seed), K)


def test_one_copied_row_is_found_wherever_it_stands():
    x = tokens(0)
    x[700] = x[13]
    with pytest.raises(Mismatch, match="only 1000 are different"):
        assert_no_row_repeats(x, log2_outcomes=64)


def test_too_few_outcomes_for_so_many_rows_are_refused():
    with pytest.raises(ValueError, match="repeat by chance"):
        assert_no_row_repeats(tokens(0), log2_outcomes=40)


@pytest.mark.parametrize(
    "depend",
    [
        lambda x: torch.cat([x[: N // 2 + 1], (x + 1)[: N // 2] % K]),  # antithetic, half a batch apart
        lambda x: torch.cat([x[: N // 2 + 1], x[: N // 2].flip(0)]),  # mirrored
        lambda x: torch.cat([x[::2], x[::2]])[:N],
        lambda x: x[torch.arange(N) // 2],  # in pairs
    ],
)
def test_dependent_rows_fail(depend):
    with pytest.raises(Mismatch, match="depend on each other"):
        assert_rows_agree_by_chance(depend(tokens(1)), K)
