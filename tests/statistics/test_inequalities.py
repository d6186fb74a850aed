"""Every limit and sample size against the exact binomial and multinomial laws, at rates loose enough to be reached."""

import itertools
import math

import pytest
import torch

from grader.checking.statistics.inequalities import (
    LikelihoodRatio,
    cdf_limit,
    n_for_cdf,
    n_for_tv,
    plus,
    radius,
    spread,
    tv_limit,
)


def multinomial(p: list[float], n: int):
    """Every table of counts of n draws with its probability."""
    for counts in itertools.product(range(n + 1), repeat=len(p) - 1):
        if (last := n - sum(counts)) >= 0:
            c = torch.tensor([*counts, last], dtype=torch.float64)
            log_p = math.lgamma(n + 1) - torch.lgamma(c + 1).sum() + torch.xlogy(c, torch.tensor(p)).sum()
            yield c, log_p.exp().item()


@pytest.mark.parametrize("p", [[0.5, 0.5], [0.95, 0.05], [0.2, 0.3, 0.5], [0.01, 0.01, 0.98]])
@pytest.mark.parametrize("alpha", [0.3, 0.01])
def test_tv_limit_is_exceeded_at_most_at_its_rate(p, alpha):
    n, pmf = 30, torch.tensor(p, dtype=torch.float64)
    exceeded = sum(w for c, w in multinomial(p, n) if 0.5 * (c / n - pmf).abs().sum() > tv_limit(pmf, n, alpha))
    assert exceeded <= alpha


@pytest.mark.parametrize("p", [[0.5, 0.5], [0.05, 0.95], [0.2, 0.3, 0.5], [0.25] * 4])
def test_spread_bounds_the_expected_total_variation(p):
    n, pmf = 12, torch.tensor(p, dtype=torch.float64)
    expected = sum(w * 0.5 * (c / n - pmf).abs().sum().item() for c, w in multinomial(p, n))
    assert 0.5 * spread(pmf) <= math.sqrt(n) * expected <= spread(pmf)


def test_n_for_tv_is_the_first_n_at_which_the_effect_is_beyond_limit_and_deviation():
    p, effect, alpha, beta = torch.full((16,), 1 / 16, dtype=torch.float64), 0.1, 1e-9, 1e-6
    n = n_for_tv(p, effect, alpha, beta)
    assert tv_limit(p, n, alpha) + radius(beta) / math.sqrt(n) <= effect
    assert tv_limit(p, n - 1, alpha) + radius(beta) / math.sqrt(n - 1) > effect


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.8), (0.9, 0.99), (0.3, 0.1), (0.02, 0.2)])
def test_n_for_tv_and_its_limit_miss_the_effect_at_most_at_rate_beta(p, q):
    alpha, beta, pmf = 0.05, 0.1, torch.tensor([p, 1 - p], dtype=torch.float64)
    n = n_for_tv(pmf, abs(q - p), alpha, beta)
    missed = sum(w for c, w in multinomial([q, 1 - q], n) if 0.5 * (c / n - pmf).abs().sum() <= tv_limit(pmf, n, alpha))
    assert missed <= beta


def test_cdf_limit_is_exceeded_at_most_at_its_rate_and_not_much_less():
    """Massart's constant is sharp: at n = 200 about two thirds of the rate is used."""
    n, runs, alpha = 200, 4000, 0.1
    u = torch.rand(runs, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64).sort(dim=1).values
    rank = torch.arange(n, dtype=torch.float64)
    distance = torch.maximum((rank + 1) / n - u, u - rank / n).amax(dim=1)
    rate = (distance > cdf_limit(n, alpha)).double().mean().item()
    assert 0.05 < rate <= alpha


def test_n_for_cdf_is_the_first_n_at_which_the_effect_is_beyond_limit_and_deviation():
    n = n_for_cdf(0.1, 1e-9, 1e-6)
    assert n == 3483
    assert cdf_limit(n, 1e-9) + radius(1e-6) / math.sqrt(n) <= 0.1
    assert cdf_limit(n - 1, 1e-9) + radius(1e-6) / math.sqrt(n - 1) > 0.1


@pytest.mark.parametrize(("p", "q"), [([0.5, 0.5], [0.7, 0.3]), ([0.9, 0.1], [1.0, 0.0]), ([0.2, 0.3, 0.5], [0.5, 0.3, 0.2])])
@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 0.1), (1e-3, 0.2)])
def test_the_likelihood_ratio_test_holds_both_rates(p, q, alpha, beta):
    test = LikelihoodRatio(torch.tensor(p, dtype=torch.float64), torch.tensor(q, dtype=torch.float64), alpha, beta)
    n = math.ceil(test.n)
    assert sum(w for c, w in multinomial(p, n) if test.rejects(c)) <= alpha
    assert sum(w for c, w in multinomial(q, n) if not test.rejects(c)) <= beta


def test_the_likelihood_ratio_needs_infinitely_many_draws_for_the_same_law():
    p = torch.tensor([0.2, 0.8], dtype=torch.float64)
    assert LikelihoodRatio(p, p, 0.1, 0.1).n == math.inf


def test_the_likelihood_ratio_needs_fewer_draws_than_the_distance():
    """A temperature of 1.1 on 64 outcomes with logits of scale 2."""
    logits = 2 * torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p, q = torch.softmax(logits, 0), torch.softmax(logits / 1.1, 0)
    assert LikelihoodRatio(p, q, 1e-12, 1e-6).n < n_for_tv(p, 0.5 * (p - q).abs().sum().item(), 1e-12, 1e-6) / 2


def test_a_right_law_may_draw_an_impossible_value_once_in_a_million():
    p = torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert plus(p)[1] == 1e-6
