"""Samples that hang on one small number from the generator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.statistics.streams import LOOKALIKES, assert_streams_differ


def by(noise: Callable[[Generator], Tensor]) -> Callable[[int], Tensor]:
    return lambda seed: noise(Generator().manual_seed(seed))


def through(seed_of: Callable[[Generator], Tensor | int]) -> Callable[[int], Tensor]:
    """Noise of another generator, which gets its seed so."""
    return by(lambda g: torch.randn(8, generator=Generator().manual_seed(int(seed_of(g)))))


@pytest.mark.parametrize("noise", [torch.randn, torch.rand], ids=["normal", "uniform"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_of_the_generator_itself_pass(noise, dtype):
    assert_streams_differ(by(lambda g: noise(24, generator=g, dtype=dtype)))
    assert_streams_differ(by(lambda g: torch.randint(16, (24,), generator=g)))


def test_a_seed_of_31_bits_is_as_good():
    assert_streams_differ(through(lambda g: torch.randint(2**31, (), generator=g)))


@pytest.mark.parametrize("high", [2, 100, 256, 1000, 2**16, 10**6, 2**24])
def test_a_small_seed_that_is_drawn_is_refused(high):
    with pytest.raises(Mismatch, match="very same samples"):
        assert_streams_differ(through(lambda g: torch.randint(high, (), generator=g)))


@pytest.mark.parametrize("high", [100, 256, 1000, 2**16, 10**5])
def test_a_seed_made_of_the_first_seed_is_refused(high):
    with pytest.raises(Mismatch):
        assert_streams_differ(through(lambda g: g.initial_seed() % high))


def test_a_small_seed_of_a_uniform_number_is_refused():
    with pytest.raises(Mismatch):
        assert_streams_differ(through(lambda g: 10_000 * torch.rand((), generator=g)))


def test_the_generators_go_different_ways_at_once():
    for seeds in LOOKALIKES:
        one, other = (torch.rand(100, generator=Generator().manual_seed(seed)) for seed in seeds)
        assert (one[1:] != other[1:]).all()
