"""An effect that an instance cannot show is refused before the first draw, and what is accepted is enough."""

import pytest
import torch

from grader.checking.statistics import assert_follows_pmf, assert_uniform
from grader.checking.statistics.design import draws_for_pmf, draws_for_uniform

RATES = {"alpha": 1e-12, "beta": 1e-6}
COIN = torch.tensor([0.6, 0.4])


def never(n):
    pytest.fail("a sample was drawn")


def test_an_effect_over_budget_is_refused_with_the_draws_it_needs():
    needed = draws_for_pmf(COIN, effect=0.01, named={}, budget=10**9, **RATES)
    assert needed > 400_000
    with pytest.raises(ValueError, match=rf"effect=0.01 .* budget of 20000 .* {needed} draws"):
        assert_follows_pmf(never, COIN, effect=0.01)


def test_a_named_mistake_over_budget_is_refused_by_name():
    with pytest.raises(ValueError, match="'nearly right' within the budget"):
        assert_follows_pmf(never, COIN, named={"nearly right": torch.tensor([0.601, 0.399])})


def test_a_named_mistake_that_this_instance_does_not_show_is_refused():
    with pytest.raises(ValueError, match="'same law' .* no number of draws"):
        assert_follows_pmf(never, COIN, named={"same law": COIN})


def test_an_effect_below_what_counts_as_right_is_refused():
    with pytest.raises(ValueError, match="no number of draws"):
        draws_for_pmf(COIN, effect=1e-5, named={}, budget=10**12, **RATES)


def test_uniforms_over_budget_are_refused():
    with pytest.raises(ValueError, match="effect=0.02 in 3 columns"):
        assert_uniform(never, columns=3, effect=0.02)
    assert draws_for_uniform(columns=1, effect=0.2, budget=20_000, **RATES) < 1300


@pytest.mark.parametrize("slip", [[0.5, 0.6], [1.5, -0.5]])
def test_an_author_who_hands_in_no_pmf_is_told(slip):
    with pytest.raises(ValueError, match="must be a pmf"):
        assert_follows_pmf(never, torch.tensor(slip))
    with pytest.raises(ValueError, match="wrong must be a pmf"):
        assert_follows_pmf(never, COIN, named={"wrong": torch.tensor(slip)})


def test_two_calls_are_made_even_where_one_would_do():
    """One call cannot show that a sampler restarts its noise."""
    sizes = []

    def draw(n):
        sizes.append(n)
        return torch.zeros(n, dtype=torch.int64)

    assert_follows_pmf(draw, torch.ones(1), effect=0.5)
    assert sizes == [64, 64]
