"""Wrong tests of a density and a sampler, and right ones by other roads."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

ACCEPTS = "histogram.accepts"
HONEST = "test_honest_pairs_are_accepted"
MASS = "test_a_density_of_another_mass_is_rejected"
LAW = "test_draws_from_another_law_are_rejected"
SUPPORT = "test_an_impossible_draw_is_rejected"
NEIGHBOURS = "test_neighbours_that_depend_on_each_other_are_rejected"
CALLS = "test_calls_that_depend_on_each_other_are_rejected"
BOOL = "test_a_verdict_is_a_python_bool"

Density = Callable[[Tensor], Tensor]
Sampler = Callable[[int], Tensor]
N = 10_000


@mistake(ACCEPTS, killed_by=LAW, says="You accept every pair. A test that never rejects tells nothing.")
def accepts_everything(log_prob: Density, sample: Sampler, K: int) -> bool:
    _masses(log_prob, K)
    return True


@mistake(ACCEPTS, killed_by=HONEST, says="You reject every pair. A test that always rejects tells nothing.")
def rejects_everything(log_prob: Density, sample: Sampler, K: int) -> bool:
    _masses(log_prob, K)
    return False


@mistake(ACCEPTS, killed_by=MASS, says="You normalise the density before you compare. Whether it sums to one is part of the question.")
def normalises_the_density(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    return _is_followed(p / p.sum(), sample)


@mistake(ACCEPTS, killed_by=LAW, says="You compare means. Two laws with one mean can be far apart: compare all the probabilities.")
def compares_means(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    x = sample(N)
    mean = (p * torch.arange(K)).sum()
    return bool(abs(p.sum() - 1) < 0.02 and (p[x] > 0).all() and abs(x.double().mean() - mean) < 0.1)


@mistake(ACCEPTS, killed_by=LAW, says="You compare the mean log-probability of the draws with the entropy. Other laws have the same one.")
def compares_entropies(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    x = sample(N)
    if abs(p.sum() - 1) > 0.02 or (p[x] == 0).any():
        return False
    return bool(abs(p[x].log().mean() - torch.special.xlogy(p, p).sum()) < 0.1)


@mistake(
    ACCEPTS, killed_by=LAW, says="Your threshold lies beyond the smallest distance of a broken pair. It belongs in the middle of the gap."
)
def threshold_beyond_the_gap(log_prob: Density, sample: Sampler, K: int) -> bool:
    return _is_followed(_masses(log_prob, K), sample, threshold=0.4)


@mistake(
    ACCEPTS,
    killed_by=SUPPORT,
    says="A rare draw that the density rules out hardly changes the total variation. One such draw is proof enough.",
)
def looks_at_the_total_variation_alone(log_prob: Density, sample: Sampler, K: int) -> bool:
    return _is_followed(_masses(log_prob, K), sample, support=False)


@mistake(
    ACCEPTS,
    killed_by=NEIGHBOURS,
    says="You look at the frequencies of single draws. Draws that depend on each other can have the right ones.",
)
def ignores_dependence(log_prob: Density, sample: Sampler, K: int) -> bool:
    return _is_followed(_masses(log_prob, K), sample, neighbours=False)


@mistake(ACCEPTS, killed_by=NEIGHBOURS, says="You look for correlation. Draws without correlation can still depend on each other.")
def looks_for_correlation(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    x = sample(N).double()
    centred = x - x.mean()
    related = K > 1 and bool(abs((centred[1:] * centred[:-1]).mean()) > 0.1 * (centred**2).mean())
    return _is_followed(p, sample, neighbours=False) and not related


@mistake(
    ACCEPTS,
    killed_by=NEIGHBOURS,
    says="You look at every second pair of neighbours. The dependence may sit in the others: take all of them.",
)
def skips_every_second_pair(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    x, y = sample(N), sample(N)
    good = bool(abs(p.sum() - 1) < 0.02 and (p[torch.cat([x, y])] > 0).all())
    return good and _near(x[::2] * K + x[1::2], _pairs(p)) and _near(x * K + y, _pairs(p))


@mistake(
    ACCEPTS, killed_by=CALLS, says="You call the sampler once. A sampler that starts from the same seed in each call looks fine in one."
)
def calls_once(log_prob: Density, sample: Sampler, K: int) -> bool:
    return _is_followed(_masses(log_prob, K), sample, calls=False)


@mistake(ACCEPTS, killed_by=CALLS, says="Two calls that agree are no proof: where one value is certain, honest calls always agree.")
def rejects_calls_that_agree(log_prob: Density, sample: Sampler, K: int) -> bool:
    return _is_followed(_masses(log_prob, K), sample, calls=False) and not torch.equal(sample(N), sample(N))


@mistake(
    ACCEPTS,
    killed_by=HONEST,
    says="Tests at the 5 % level raise a false alarm for one honest pair in twenty, each of them. Use the gap instead.",
)
def trusts_the_five_percent_level(log_prob: Density, sample: Sampler, K: int) -> bool:
    return _chi_squared(log_prob, sample, K, level=0.05)


@mistake(
    ACCEPTS, killed_by=HONEST, says="Too few draws: the frequencies of pairs are off their own law by more than your threshold allows."
)
def draws_a_hundred(log_prob: Density, sample: Sampler, K: int) -> bool:
    return _is_followed(_masses(log_prob, K), sample, n=100)


@mistake(ACCEPTS, killed_by=HONEST, says="A value that is rare may well be missing among the draws: that is no reason to reject.")
def wants_every_possible_value(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    x = sample(N)
    return _is_followed(p, sample) and bool((torch.bincount(x, minlength=K)[p > 0] > 0).all())


@mistake(ACCEPTS, killed_by=HONEST, says="0 log 0 became nan: a value without mass made you reject an honest pair.")
def stumbles_over_zero_times_infinity(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    entropy = -(p * p.log()).sum()
    return _is_followed(p, sample) and bool(abs(log_prob(sample(N)).mean() + entropy) < 0.2)


@mistake(ACCEPTS, killed_by=BOOL, says="The result is a tensor. A verdict is a Python bool.")
def answers_with_a_tensor(log_prob: Density, sample: Sampler, K: int) -> Tensor:
    return torch.tensor(_is_followed(_masses(log_prob, K), sample))


@mistake(
    ACCEPTS, killed_by=CALLS, says="You reject calls that are identical. Calls that agree at most places depend on each other as well."
)
def rejects_identical_calls_alone(log_prob: Density, sample: Sampler, K: int) -> bool:
    p = _masses(log_prob, K)
    certain = bool(p.max() > 0.99)
    return _is_followed(p, sample, calls=False) and (certain or not torch.equal(sample(100), sample(100)))


@variant(ACCEPTS)
def counts_in_python(log_prob: Density, sample: Sampler, K: int) -> bool:
    """All events of single draws, and of pairs by their cells, one draw at a time."""
    p = [math.exp(value) for value in log_prob(torch.arange(K)).tolist()]
    if abs(sum(p) - 1) > 0.025:
        return False
    x, y = sample(4000).tolist(), sample(4000).tolist()
    if any(p[k] == 0 for k in x + y):
        return False
    for pairs in (list(zip(x, x[1:], strict=False)), list(zip(x, y, strict=True))):
        shares = {pair: pairs.count(pair) / len(pairs) for pair in set(pairs)}
        excess = sum(max(share - p[a] * p[b], 0.0) for (a, b), share in shares.items())
        if excess > 0.12:
            return False
    return True


@variant(ACCEPTS)
def many_calls(log_prob: Density, sample: Sampler, K: int) -> bool:
    """A hundred calls of 500: neighbours within calls, and neighbouring calls."""
    p = _masses(log_prob, K)
    x = torch.stack([sample(500) for _ in range(100)])
    if not math.isclose(p.sum(), 1, abs_tol=1e-3) or (p[x] == 0).any():
        return False
    return _near(x[:, :-1] * K + x[:, 1:], _pairs(p)) and _near(x[:-1] * K + x[1:], _pairs(p))


@variant(ACCEPTS)
def a_very_strict_chi_squared(log_prob: Density, sample: Sampler, K: int) -> bool:
    """A level far below one in a million also works, once rare outcomes are pooled and the gap is what decides."""
    return _chi_squared(log_prob, sample, K, level=1e-12)


@variant(ACCEPTS)
def by_the_letter_of_the_docstring(log_prob: Density, sample: Sampler, K: int) -> bool:
    """A mass off by 0.05 or more, and distances of half of what a broken pair has."""
    p = log_prob(torch.arange(K)).exp()
    if abs(p.sum().item() - 1) >= 0.05:
        return False
    x, y = sample(20_000), sample(20_000)
    single = torch.bincount(x, minlength=K).float() / 20_000
    if 0.5 * (single - p).abs().sum() >= 0.1 or (p[x] == 0).sum() + (p[y] == 0).sum() > 0:
        return False
    neighbours, calls = torch.zeros(K, K), torch.zeros(K, K)
    neighbours.index_put_((x[:-1], x[1:]), torch.ones(19_999), accumulate=True)
    calls.index_put_((x, y), torch.ones(20_000), accumulate=True)
    product = p[:, None] * p[None, :]
    far = [0.5 * (table / table.sum() - product).abs().sum().item() >= 0.1 for table in (neighbours, calls)]
    return not any(far)


def _is_followed(
    p: Tensor, sample: Sampler, n: int = N, threshold: float = 0.1, support: bool = True, neighbours: bool = True, calls: bool = True
) -> bool:
    """The right test, without a part of it or with a number that is off."""
    K = len(p)
    x = sample(n)
    y = sample(n) if calls else x
    if abs(p.sum() - 1) > 0.02 or (support and (p[torch.cat([x, y])] == 0).any()) or not _near(x, p, threshold):
        return False
    return (not neighbours or _near(x[:-1] * K + x[1:], _pairs(p), threshold)) and (not calls or _near(x * K + y, _pairs(p), threshold))


def _chi_squared(log_prob: Density, sample: Sampler, K: int, level: float) -> bool:
    """Pearson's test of neighbours and of two calls, after mass and support; outcomes expected less than 100 times are pooled."""
    p = _masses(log_prob, K)
    x, y = sample(40_000), sample(40_000)
    if abs(p.sum() - 1) > 0.02 or (p[torch.cat([x, y])] == 0).any():
        return False
    for pairs in (x[:-1:2] * K + x[1::2], x[1:-1:2] * K + x[2::2], x * K + y):
        counts = torch.bincount(pairs.flatten(), minlength=K * K).double()
        expected = _pairs(p / p.sum()) * len(pairs)
        rare = expected < 100
        rest = torch.stack([counts[rare].sum(), expected[rare].sum()])
        counts, expected = counts[~rare], expected[~rare]
        statistic = ((counts - expected) ** 2 / expected).sum()
        degrees = torch.tensor(len(counts) - 1.0, dtype=torch.float64)
        if len(counts) > 1 and torch.special.gammaincc(degrees / 2, statistic / 2) < level:  # the chi-squared tail
            return False
        if rest[0] > 2 * rest[1] + 200:
            return False
    return True


def _masses(log_prob: Density, K: int) -> Tensor:
    return log_prob(torch.arange(K)).double().exp()


def _pairs(p: Tensor) -> Tensor:
    return torch.outer(p, p).flatten()


def _near(outcomes: Tensor, law: Tensor, threshold: float = 0.1) -> bool:
    frequencies = torch.bincount(outcomes.flatten(), minlength=len(law)) / outcomes.numel()
    return bool((frequencies - law).abs().sum() / 2 < threshold)
