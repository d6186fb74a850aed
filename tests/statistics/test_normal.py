"""Normal noise, closely: right noise passes, noise that is wrong by little does not."""

from __future__ import annotations

import math

import pytest
import torch

from grader.checking.compare import Mismatch
from grader.checking.statistics.normal import (
    _cells,
    _mistaken_laws,
    assert_batch_not_standardised,
    assert_standard_normal,
)


def draws(seed: int, make):
    generator = torch.Generator().manual_seed(seed)
    return lambda n: make(torch.randn(n, generator=generator))


@pytest.mark.parametrize("seed", range(6))
def test_normal_noise_passes_with_a_stray_infinity(seed):
    def with_a_stray(z: torch.Tensor) -> torch.Tensor:
        z[0] = math.inf if seed % 2 else math.nan
        return z

    assert_standard_normal(draws(seed, with_a_stray))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [lambda z: 1.03 * z, lambda z: 0.97 * z, lambda z: z + 0.03, lambda z: z - 0.03, lambda z: z.clamp(-3, 3)])
def test_noise_that_is_wrong_by_little_fails(make, seed):
    with pytest.raises(Mismatch, match="standard deviations is"):
        assert_standard_normal(draws(seed, make))


def test_the_named_laws_are_laws():
    for cdf in _mistaken_laws().values():
        cells = _cells(cdf)
        assert (cells >= 0).all()
        assert cells.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("n", [64, 4099])
def test_a_standardised_batch_is_told_from_an_independent_one(n):
    z = torch.randn(n, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert_batch_not_standardised(z)
    for standardised in (z - z.mean(dim=0), z / z.square().mean(dim=0).sqrt(), torch.cat([z, -z])):
        with pytest.raises(Mismatch, match="more exactly than chance allows"):
            assert_batch_not_standardised(standardised)


def test_too_few_columns_cannot_show_it():
    with pytest.raises(ValueError, match="too few"):
        assert_batch_not_standardised(torch.randn(10, 3))
