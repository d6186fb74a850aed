"""Observed error rates of the whole sequential tests at rates loose enough to be seen; every seed is stated.

1e-12 itself cannot be observed: it rests on the theorems, and the enumerations of `test_betting` and
`test_inequalities` check that the code is the theorem.
"""

import pytest
import torch

from grader.checking.compare import Mismatch
from grader.checking.statistics import assert_follows_pmf, assert_uniform

pytestmark = pytest.mark.slow
LOOSE = {"alpha": 0.05, "beta": 0.05}
RUNS = 200


def share_of_failures(check) -> float:
    """`check(generator)` for RUNS seeds."""
    failures = 0
    for seed in range(RUNS):
        try:
            check(torch.Generator().manual_seed(seed))
        except Mismatch:
            failures += 1
    return failures / RUNS


def skewed(K: int) -> torch.Tensor:
    return torch.softmax(1.5 * torch.randn(K, generator=torch.Generator().manual_seed(K), dtype=torch.float64), 0)


def sampler(pmf: torch.Tensor, generator: torch.Generator):
    return lambda n: torch.multinomial(pmf.float(), n, replacement=True, generator=generator)


@pytest.mark.parametrize("K", [1, 2, 16])
def test_a_right_sampler_fails_at_most_at_rate_alpha(K):
    p = skewed(K)
    named = {"flat": torch.full((K,), 1 / K)} if K > 1 else {}
    rate = share_of_failures(lambda g: assert_follows_pmf(sampler(p, g), p, effect=0.2, named=named, first=16, **LOOSE))
    assert rate <= LOOSE["alpha"]


def test_a_law_at_exactly_the_effect_passes_at_most_at_rate_beta():
    p, effect = skewed(8), 0.15
    q = p.clone()
    q[p.argmax()] -= effect
    q[p.argmin()] += effect
    rate = share_of_failures(lambda g: assert_follows_pmf(sampler(q, g), p, effect=effect, first=16, **LOOSE))
    assert rate >= 1 - LOOSE["beta"]


def test_a_law_that_moves_the_effect_thinly_over_all_outcomes_passes_at_most_at_rate_beta():
    p = torch.full((8,), 1 / 8, dtype=torch.float64)
    q = p + 0.15 / 4 * torch.tensor([1.0, -1.0] * 4)
    rate = share_of_failures(lambda g: assert_follows_pmf(sampler(q, g), p, effect=0.15, first=16, **LOOSE))
    assert rate >= 1 - LOOSE["beta"]


def test_a_named_law_much_closer_than_the_effect_passes_at_most_at_rate_beta():
    p = skewed(16)
    q = torch.softmax(p.log() / 1.2, 0)
    assert 0.5 * (p - q).abs().sum() < 0.07
    named = {"temperature": q}
    rate = share_of_failures(lambda g: assert_follows_pmf(sampler(q, g), p, effect=0.2, named=named, first=16, **LOOSE))
    assert rate >= 1 - LOOSE["beta"]


@pytest.mark.parametrize("columns", [1, 3])
def test_right_uniforms_fail_at_most_at_rate_alpha(columns):
    def check(g):
        assert_uniform(lambda n: torch.rand(n, columns, generator=g), columns=columns, effect=0.2, first=16, **LOOSE)

    assert share_of_failures(check) <= LOOSE["alpha"]


def test_a_distribution_function_off_by_exactly_the_effect_passes_at_most_at_rate_beta():
    """All mass between .4 and .6 is moved to .6: F is off by .2 just below there, and nowhere by more."""

    def draw(g):
        def rows(n):
            u = torch.rand(n, 1, generator=g, dtype=torch.float64)
            return torch.where((u > 0.4) & (u < 0.6), 0.6, u)

        return rows

    rate = share_of_failures(lambda g: assert_uniform(draw(g), effect=0.2, first=16, **LOOSE))
    assert rate >= 1 - LOOSE["beta"]
