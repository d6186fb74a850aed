"""The pairs of `histogram.accepts` keep the promise of its docstring, and a test with enough draws judges them surely."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Generator, Tensor

from dgm_ref.lecture1.histogram.pairs import BROKEN_PAIRS, UNLUCKY, broken_pair, honest_pair, honest_twin, unlucky_pair
from solutions.lecture1.histogram import accepts

MANY = 200_000
SLACK = 0.02  # TV of frequencies of MANY draws on 64 outcomes: below 2^64 exp(-2 * 1e5 * SLACK^2) < 1e-15, for each half
NUMBERS = range(24)


def law_of_pairs(first: Tensor, second: Tensor, K: int) -> Tensor:
    return torch.bincount(first * K + second, minlength=K * K).double() / len(first)


def tv(p: Tensor, q: Tensor) -> float:
    return (p - q).abs().sum().item() / 2


def drawn(pair: tuple, calls: int = 2) -> list[Tensor]:
    generator = Generator().manual_seed(1)
    return [pair[2](MANY, generator) for _ in range(calls)]


def distances(pair: tuple) -> tuple[float, float, float]:
    """TV from p of a draw, of neighbours, and of the same place in two calls."""
    p, (x, y) = pair[1].exp(), drawn(pair)
    K, product = len(p), torch.outer(p, p).flatten()
    single = torch.bincount(x, minlength=K).double() / MANY
    return tv(single, p), tv(law_of_pairs(x[:-1], x[1:], K), product), tv(law_of_pairs(x, y, K), product)


@pytest.mark.parametrize("number", range(48))
def test_honest_pairs_are_honest(number):
    words, log_p, draw = honest_pair(number)
    p = log_p.exp()
    assert 1 <= len(p) <= 8
    assert abs(p.sum() - 1) < 1e-12
    x, _ = drawn((words, log_p, draw))
    assert (p[x] > 0).all()
    assert max(distances((words, log_p, draw))) < SLACK


def test_honest_pairs_are_of_many_kinds():
    pmfs = [honest_pair(number)[1].exp() for number in range(200)]
    assert {len(p) for p in pmfs} == set(range(1, 9))
    assert any((p == 0).any() and (p > 0).sum() > 2 for p in pmfs)
    assert any(((p > 0) & (p < 1e-4)).any() for p in pmfs)
    assert any(0.99 < p.max() < 1 for p in pmfs)


def level(draws: Tensor, p: Tensor) -> float:
    """The p-value of Pearson's test that the draws have the law p."""
    counts, expected = torch.bincount(draws, minlength=len(p)), len(draws) * p
    return float(scipy.stats.chi2.sf(((counts - expected) ** 2 / expected).sum(), len(p) - 1))


def levels(number: int, n: int) -> tuple[float, float]:
    """Of the first n draws of an unlucky pair, and of disjoint neighbours among them."""
    _, log_p, draw, seed = unlucky_pair(number)
    p, K = log_p.exp(), len(log_p)
    x = draw(n, Generator().manual_seed(seed))
    return level(x, p), level(x[::2] * K + x[1::2], torch.outer(p, p).flatten())


@pytest.mark.parametrize("number", range(len(UNLUCKY)))
def test_unlucky_pairs_look_suspicious_and_are_honest(number):
    _, sizes, _ = UNLUCKY[number]
    for n in sizes:
        singles, neighbours = levels(number, n)
        assert 1e-3 < singles < 0.04
        assert 1e-3 < neighbours < 0.04
    words, log_p, draw, _ = unlucky_pair(number)
    assert max(distances((words, log_p, draw))) < SLACK


@pytest.mark.parametrize("n", [800, 1000, 1500, 3000, 4000, 5000, 8000, 10_000, 15_000, 25_000, 30_000, 50_000])
def test_a_test_at_the_five_percent_level_raises_false_alarms_whatever_its_number_of_draws(n):
    found = [levels(number, n) for number in range(len(UNLUCKY))]
    assert sum(singles < 0.05 for singles, _ in found) >= 3
    assert sum(neighbours < 0.05 for _, neighbours in found) >= 3
    assert min(min(both) for both in found) > 1e-5


@pytest.mark.parametrize("kind", BROKEN_PAIRS)
@pytest.mark.parametrize("number", NUMBERS)
def test_the_twin_of_a_broken_pair_is_honest(number, kind):
    pair = honest_twin(number, kind)
    assert abs(pair[1].exp().sum() - 1) < 1e-12
    assert max(distances(pair)) < SLACK


@pytest.mark.parametrize("number", NUMBERS)
def test_masses_are_off_one(number):
    pair = broken_pair(number, "mass")
    total = pair[1].exp().sum().item()
    assert abs(total - 1) >= 0.06 - 1e-12
    assert max(distances((pair[0], pair[1] - math.log(total), pair[2]))) < SLACK  # and nothing else is wrong


@pytest.mark.parametrize("number", NUMBERS)
def test_laws_are_far_off(number):
    _, log_p, draw = pair = broken_pair(number, "law")
    assert abs(log_p.exp().sum() - 1) < 1e-12
    assert distances(pair)[0] > 0.2 - SLACK
    q = torch.bincount(draw(MANY, Generator().manual_seed(2)), minlength=len(log_p)).double() / MANY
    assert max(distances((pair[0], q.log(), draw))) < 2 * SLACK


@pytest.mark.parametrize("number", NUMBERS)
def test_an_impossible_value_comes_up(number):
    _, log_p, _ = pair = broken_pair(number, "support")
    x, _ = drawn(pair)
    share = (log_p[x] == -math.inf).double().mean().item()
    assert 0.009 < share < 0.011
    assert distances(pair)[0] < 0.03


@pytest.mark.parametrize("number", NUMBERS)
def test_neighbours_depend_and_nothing_else_is_wrong(number):
    single, neighbours, calls = distances(broken_pair(number, "neighbours"))
    assert neighbours > 0.2
    assert single < SLACK
    assert calls < SLACK or number % 6 == 2  # two calls of one cycle differ by a phase, and every phase has its chance


@pytest.mark.parametrize("number", NUMBERS)
def test_calls_depend_on_each_other_and_nothing_else_is_wrong(number):
    single, neighbours, calls = distances(broken_pair(number, "calls"))
    assert calls > 0.2
    assert max(single, neighbours) < SLACK


def test_the_chain_without_correlation_has_none():
    x, _ = drawn(broken_pair(5, "neighbours"))
    centred = x.double() - 1
    assert abs((centred[1:] * centred[:-1]).mean()) < 0.01


def test_the_promise_leaves_room_for_certainty():
    """The bound of the notebook, for the solution's n: at K = 8, for both halves of the neighbours and for two calls."""
    n, gap, cells = 10_000, 0.1, 64
    alarm = 2 * 2**cells * math.exp(-n * gap**2) + 2**cells * math.exp(-2 * n * gap**2)
    assert alarm < 1e-22
    assert 0.99 ** (2 * n) < 1e-80  # an impossible value that does not come up
    # chains, by McDiarmid: functions of n independent variables (n / 2 where values come twice), of which each moves at
    # most two pairs of neighbours (three), so that some event of pairs is off by the gap with at most this probability
    assert math.exp(-n * gap**2 / 2) < 1e-21
    assert math.exp(-4 * n * gap**2 / 9) < 1e-19
    assert 256 * math.exp(-2 * 1000 * gap**2) == pytest.approx(5e-7, rel=0.1)
    assert 256 * math.exp(-2 * 10_000 * gap**2) < 1e-84
    assert 0.95**100 < 0.01


@pytest.mark.parametrize("kind", ["honest", *BROKEN_PAIRS])
def test_the_solution_judges_each(kind):
    for number in NUMBERS:
        words, log_p, draw = honest_pair(number) if kind == "honest" else broken_pair(number, kind)
        generator = Generator().manual_seed(number)
        verdict = accepts(lambda x, log_p=log_p: log_p[x].float(), lambda n, draw=draw, g=generator: draw(n, g), len(log_p))
        assert verdict == (kind == "honest"), words
