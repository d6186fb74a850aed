"""Each bet is fair: its expected wealth under a right sampler, summed over every sequence of draws, is at most 1."""

import itertools

import pytest
import torch

from grader.checking.statistics.betting import FAR_TO_NEAR, OrderBets, batch_sizes, dirichlet_log_wealth, log_mean_exp
from grader.checking.statistics.categorical import SequentialPmf
from grader.checking.statistics.inequalities import plus
from grader.checking.statistics.uniform import BINS, SequentialUniform

P = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
CALLS = (4, 2)
RATES = {"alpha": 1e-300, "beta": 1e-300}  # nobody is ever rich enough to stop


def test_no_bettor_on_a_pmf_gains_on_average():
    expected: dict[str, float] = {}
    for draws in itertools.product(range(3), repeat=sum(CALLS)):
        x = torch.tensor(draws)
        named = {"flat": torch.full((3,), 1 / 3), "never 0": torch.tensor([0.0, 0.5, 0.5])}
        test = SequentialPmf(P, effect=0.9, named=named, budget=10**6, **RATES)
        for part in x.split(CALLS):
            test.update(part)
        for name, wealth in test.log_wealth().items():
            expected[name] = expected.get(name, 0.0) + P[x].prod().item() * torch.tensor(wealth).exp().item()
    assert len(expected) == 19
    for name, wealth in expected.items():
        assert 0.99 < wealth <= 1 + 1e-9, (name, wealth)  # below one only by what `plus` gives away


@pytest.mark.parametrize(("calls", "columns"), [((2,), 1), ((1, 1), 1), ((1,), 2)])
def test_no_bettor_on_uniforms_gains_on_average(calls, columns):
    expected: dict[str, float] = {}
    for bins in itertools.product(range(BINS), repeat=2):
        u = (torch.tensor(bins, dtype=torch.float64) + 0.5) / BINS
        test = SequentialUniform(columns=columns, effect=0.9, budget=10**6, **RATES)
        for part in u.reshape(-1, columns).split(calls):
            test.update(part)
        for name, wealth in test.log_wealth().items():
            expected[name] = expected.get(name, 0.0) + torch.tensor(wealth).exp().item() / BINS**2
    assert len(expected) == 6
    for name, wealth in expected.items():
        assert 0.999 < wealth <= 1 + 1e-9, (name, wealth)


@pytest.mark.parametrize("size", [5, 12])
def test_the_urn_is_a_law_at_every_draw(size):
    """Given the draws so far, the chances of the next one sum to one."""
    bets, past = OrderBets(P), torch.tensor([0, 0, 2, 0])
    total = 0.0
    for k in range(3):
        x = torch.cat([past, torch.tensor([k]), torch.zeros(size - 5, dtype=torch.int64)])
        earlier = torch.tensor([(x[:i] == x[i]).sum() for i in range(size)], dtype=torch.float64)
        total += bets._urn(x, earlier)[4].item()
    assert total == pytest.approx(1)


def test_dirichlet_wealth_is_the_product_of_the_predictions():
    counts, strength = torch.zeros(2, 3, dtype=torch.float64), FAR_TO_NEAR[1]
    log_wealth = torch.zeros((), dtype=torch.float64)
    for context, x in [(0, 1), (1, 1), (0, 1), (0, 2), (1, 0)]:
        predicted = (strength * P[x] + counts[context, x]) / (strength + counts[context].sum())
        log_wealth += (predicted / plus(P)[x]).log()
        counts[context, x] += 1
    assert dirichlet_log_wealth(counts, P, plus(P).log())[1].item() == pytest.approx(log_wealth.item())


def test_splitting_the_money_is_an_average():
    assert log_mean_exp(torch.tensor([1.0, 3.0]).log()).exp().item() == pytest.approx(2)


@pytest.mark.parametrize("total", [1, 64, 128, 129, 5000])
def test_calls_start_alike_grow_and_end_at_the_total(total):
    sizes = list(batch_sizes(64, total))
    assert sum(sizes) == total
    assert sizes[0] == min(64, total)
    assert sizes == sizes[:1] + sorted(sizes[1:-1]) + sizes[1:][-1:]
    assert total < 129 or sizes[:2] == [64, 64]
