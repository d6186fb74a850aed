"""Draws that come again: both rates hold, and copies are found wherever they stand."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from grader.checking.compare import Mismatch
from grader.checking.statistics import assert_no_stretch_comes_twice, assert_repeats_are_those_of_chance

PMF = torch.tensor([0.55, 0.25, 0.15, 0.05])
K, N = 8192, 797


def draws(n: int, seed: int) -> Tensor:
    return torch.multinomial(PMF, n, replacement=True, generator=Generator().manual_seed(seed))


def uniform(seed: int) -> Tensor:
    return torch.randint(K, (N,), generator=Generator().manual_seed(seed))


def failures(check, of) -> int:
    failed = 0
    for seed in range(400):
        try:
            check(of(seed))
        except Mismatch:
            failed += 1
    return failed


def test_right_draws_fail_at_most_at_the_rate():
    assert failures(lambda x: assert_no_stretch_comes_twice(x, PMF, alpha=0.05), lambda seed: draws(300, seed)) <= 32  # 20 + 2.8 sd
    assert failures(lambda x: assert_repeats_are_those_of_chance(x, K, alpha=0.05), uniform) <= 32
    assert failures(lambda x: assert_repeats_are_those_of_chance(x, K), uniform) == 0


@pytest.mark.parametrize("n", [500, 4099, 20_000])
def test_a_stretch_that_comes_twice_is_found_and_told(n):
    x = draws(n, 1)
    assert_no_stretch_comes_twice(x, PMF)
    x[-150:] = x[7:157].clone()
    with pytest.raises(Mismatch, match=r"draws \d+ to \d+ are draws \d+ to \d+ once more"):
        assert_no_stretch_comes_twice(x, PMF)


def test_a_constant_stretch_overlaps_itself():
    x = draws(2000, 2)
    x[300:500] = 0  # of the likeliest value: no right sampler draws it 200 times in a row
    with pytest.raises(Mismatch):
        assert_no_stretch_comes_twice(x, PMF)


@pytest.mark.parametrize("seed", range(20))
def test_a_tenth_copied_and_none_repeated_are_both_found(seed):
    x, generator = uniform(seed), Generator().manual_seed(seed)
    order = torch.randperm(N, generator=generator)
    x[order[: N // 10]] = x[order[-(N // 10) :]]
    with pytest.raises(Mismatch, match="draws repeat one another"):
        assert_repeats_are_those_of_chance(x, K)
    with pytest.raises(Mismatch, match="draws avoid one another"):
        assert_repeats_are_those_of_chance(torch.randperm(K, generator=generator)[:N], K)
