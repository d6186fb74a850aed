"""A histogram as a law (slide 30): its log-probabilities, and draws from it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form, assert_gradient_agrees, assert_unchanged
from grader.checking.statistics import (
    assert_follows_pmf,
    assert_no_stretch_comes_twice,
    assert_repeats_are_those_of_chance,
    assert_streams_differ,
    outcome_index,
)
from grader.checking.statistics.verdict import as_draws
from grader.checks.lecture1.shared import draw

histogram_log_prob = pytest.mark.exercise("histogram.histogram_log_prob")
sample_histogram = pytest.mark.exercise("histogram.sample_histogram")
weight = pytest.mark.weight
examples = pytest.mark.examples

LOG2 = math.log(2)


# -- histogram_log_prob --


@histogram_log_prob
@weight(0.375)
def test_log_prob_of_halves_and_quarters(student):
    """Under (1/4, 1/2, 1/4) the samples cost 2, 1 and 2 times log 2, one number a sample."""
    got = student.histogram_log_prob(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([2, 1, 1, 0]))
    assert_agrees(got, -LOG2 * torch.tensor([2.0, 1.0, 1.0, 2.0], dtype=torch.float64), like=torch.float32, unit="nats")
    fine = torch.arange(1, 301, dtype=torch.float64) / 45150  # more bins than a byte has values
    got = student.histogram_log_prob(fine, torch.tensor([299, 256, 0]))
    assert_agrees(got, fine[[299, 256, 0]].log(), like=torch.float32, unit="nats")
    got = student.histogram_log_prob.strided(torch.tensor([0.125, 0.875]), torch.zeros(4099, dtype=torch.int64))
    assert_agrees(got, torch.full((4099,), -3 * LOG2, dtype=torch.float64), like=torch.float32, unit="nats")


@histogram_log_prob
@weight(0.125)
@examples(10)
@given(key=draw.seeds, dtype=draw.dtypes)
def test_log_prob_is_the_logarithm_of_the_bin(student, ref, key, dtype):
    """The log-probability of a sample is the natural logarithm of its bin's probability, one number a sample."""
    K, n = 2 + key % 6, 1 + key % 11
    pi, x = draw.pmf((K,), key, dtype=dtype), draw.integers((n,), key + 1, K)
    assert_agrees(student.histogram_log_prob(pi, x), ref.histogram_log_prob(pi, x), like=pi, unit="nats")


@histogram_log_prob
@weight(0.25)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_an_empty_bin_has_log_probability_minus_infinity(student, dtype):
    """What has probability zero has log-probability -inf, a certain event 0, and the smallest normal number its logarithm."""
    got = student.histogram_log_prob(torch.tensor([0.0, 1.0, 0.0], dtype=dtype), torch.tensor([1, 2, 1, 0]))
    assert_agrees(got, torch.tensor([0.0, -math.inf, 0.0, -math.inf], dtype=dtype), unit="nats")
    tiny = torch.finfo(dtype).tiny
    got = student.histogram_log_prob(torch.tensor([tiny, 1.0], dtype=dtype), torch.tensor([0]))
    assert_agrees(got, torch.tensor([math.log(tiny)], dtype=torch.float64), like=dtype, unit="nats")


@histogram_log_prob
@weight(0.125)
def test_log_prob_is_differentiable(student):
    """The gradient by a bin's probability is its count over its probability, and zero for a bin without samples."""
    pi, x = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([2, 0, 2])
    _, (gradient,) = student.histogram_log_prob.gradient(pi, x, wrt=[pi])
    assert_gradient_agrees(gradient, torch.tensor([2.0, 0.0, 8.0]), of="pi")
    for many in (1, 65):
        _, (gradient,) = student.histogram_log_prob.gradient(pi, x[:1].repeat(many), wrt=[pi])
        assert_gradient_agrees(gradient, torch.tensor([0.0, 0.0, 4.0 * many]), of=f"pi for {many} samples")


@histogram_log_prob
@weight(0.042)
def test_log_prob_has_the_dtype_of_pi(student):
    """Log-probabilities of a float32 histogram are float32, those of a float64 one float64; the arguments stay as they are."""
    for dtype in (torch.float32, torch.float64):
        pi = torch.tensor([0.5, 0.5], dtype=dtype)
        assert_dtype(assert_unchanged(student.histogram_log_prob.observed(pi, torch.tensor([1]))), dtype)


# -- sample_histogram --


@sample_histogram
@weight(1)
def test_samples_follow_the_histogram(student, seed):
    """Each bin comes up with its probability, also a rare one, and a bin without mass never does; no draws come again."""
    pi = _shuffled([0.55, 0.25, 0.15, 0.04, 0.008, 0.002, 0.0, 0.0], seed)
    named = {
        "uniform_over_the_bins": torch.ones(8) / 8,
        "softmax_of_probabilities": pi.softmax(dim=0),
        "sharpened_probabilities": pi**2 / (pi**2).sum(),
        "samples_from_a_smoothed_histogram": (pi + 0.02) / (pi + 0.02).sum(),
    }
    generator, drawn = student.generator(seed), []

    def draw_and_keep(n: int) -> Tensor:
        drawn.append(as_draws(student.sample_histogram(pi, n, generator), (n,), floating=False))
        return drawn[-1]

    assert_follows_pmf(draw_and_keep, pi, named=named, effect=0.02, largest=1 << 14, budget=200_000)
    assert_no_stretch_comes_twice(torch.cat(drawn), pi)
    many_rare = torch.tensor([0.97] + [1e-4] * 300)
    assert_follows_pmf(
        lambda n: (student.sample_histogram(many_rare, n, generator) == 0).long(), torch.tensor([0.03, 0.97], dtype=torch.float64)
    )


@sample_histogram
@weight(0.25)
@pytest.mark.parametrize("partner", ["the next sample", "the sample half a batch away"])
def test_samples_in_a_batch_are_independent(student, seed, partner):
    """Two samples of one call have the product of their laws as joint law."""
    pi = _shuffled([0.5, 0.3, 0.2], seed)
    generator = student.generator(seed)

    def pairs(n: int) -> Tensor:
        x = student.sample_histogram(pi, 2 * n, generator)
        assert_form(x, (2 * n,))
        return outcome_index(x.reshape(n, 2) if partner == "the next sample" else x.reshape(2, n).T, len(pi))

    assert_follows_pmf(pairs, torch.outer(pi, pi))


@sample_histogram
@weight(0.25)
def test_samples_repeat_one_another_as_chance_has_it(student, seed):
    """Of 797 draws from 8192 equal bins about 39 have come before: draws neither copy nor avoid one another, nor do mirror images."""
    K, n = 8192, 797
    x = as_draws(student.sample_histogram(torch.full((K,), 1 / K), n, student.generator(seed)), (n,), floating=False)
    assert_repeats_are_those_of_chance(x, K)  # of few draws, or none, nothing repeats
    mirrored = torch.minimum(x, K - 1 - x)  # who draws with u in one place and with 1 - u in another has many of them twice
    assert_repeats_are_those_of_chance(mirrored, K // 2, what="draws, folded in the middle,")


@sample_histogram
@weight(0.25)
def test_a_batch_of_two_is_two_draws(student, seed):
    """In calls for two samples of a fair coin, both sides come together as often as each side alone; a single sample is a draw, too."""
    coin, many = torch.tensor([0.5, 0.5]), torch.full((4096,), 1 / 4096)
    generator = student.generator(seed)
    for n in (1, 5):  # by chance six calls agree in a place once in 10^17 times
        calls = torch.stack([as_draws(student.sample_histogram(many, n, generator), (n,), floating=False) for _ in range(6)])
        if (calls == calls[0]).all(dim=0).any():
            raise Mismatch("law", f"in six calls for n = {n} of 4096 equal bins one place always has the same: it is not drawn", calls)

    def pairs(n: int) -> Tensor:
        batches = [as_draws(student.sample_histogram(coin, 2, generator), (2,), floating=False) for _ in range(n)]
        return outcome_index(torch.stack(batches), 2)

    assert_follows_pmf(pairs, torch.full((2, 2), 0.25), effect=0.4)  # drawn without chance they are 0.5 off


@sample_histogram
@weight(0.25)
def test_calls_are_independent(student, seed):
    """Samples of two calls with one generator have the product of their laws as joint law."""
    pi = _shuffled([0.5, 0.3, 0.2], seed)
    generator = student.generator(seed)

    def pairs(n: int) -> Tensor:
        calls = [as_draws(student.sample_histogram(pi, n, generator), (n,), floating=False) for _ in range(2)]
        return outcome_index(torch.stack(calls, dim=1), len(pi))

    assert_follows_pmf(pairs, torch.outer(pi, pi))


@sample_histogram
@weight(0.5)
def test_the_generator_decides_and_moves_on(student, seed):
    """The same state of the generator gives the same samples, and a call moves it on."""
    pi = torch.full((4096,), 1 / 4096)  # 64 samples agree by chance with probability 4096^-64
    generator, twin = student.generator(seed), student.generator(seed)
    generators = (generator, generator, twin, student.generator(seed + 1))
    first, second, again, other = (as_draws(student.sample_histogram(pi, 64, g), (64,), floating=False) for g in generators)
    if not torch.equal(again, first):
        raise Mismatch("law", "two generators in the same state gave different samples: is some chance from elsewhere?", again)
    if torch.equal(second, first):
        raise Mismatch("law", "a second call with the same generator repeated the samples of the first", second)
    if torch.equal(other, first):
        raise Mismatch("law", "two generators with different seeds gave the same samples", other)
    assert_streams_differ(lambda like: student.sample_histogram(pi, 64, student.generator(like)))


@sample_histogram
@weight(0.125)
@examples(8)
@given(pi=draw.pmfs(), key=draw.seeds)
@example(pi=torch.tensor([1.0]), key=0)
@example(pi=torch.tensor([0.25, 0.75], dtype=torch.float64), key=0)
@example(pi=torch.tensor([0.0, 1.0, 0.0]), key=5)
def test_a_sample_is_a_vector_of_bins(student, pi, key):
    """A sample is a vector of n numbers in 0..K-1, for one sample and for one bin too."""
    for n in (1, 2 + key % 9):
        x = as_draws(student.sample_histogram.strided(pi, n, student.generator(key)), (n,), floating=False)
        impossible = x[~torch.isin(x, pi.nonzero())].tolist()
        if impossible:
            raise Mismatch("value", f"of {len(pi)} bins you drew {impossible[0]}, which has no mass or is no bin", x)
    only = key % 4099
    certain = (torch.arange(4099) == only).float()
    x = as_draws(student.sample_histogram(certain, 4, student.generator(key)), (4,), floating=False)
    if (x != only).any():
        raise Mismatch("value", f"of 4099 bins only {only} has mass, and you drew {x[x != only][0]:g}", x)


@sample_histogram
@weight(0.042)
def test_samples_are_int64(student):
    """The numbers of the bins are int64, whatever the dtype of pi, and pi stays as it is."""
    for dtype in (torch.float32, torch.float64):
        x = assert_unchanged(student.sample_histogram.observed(torch.tensor([0.5, 0.5], dtype=dtype), 3, student.generator(0)))
        assert_dtype(x, torch.int64)


def _shuffled(masses: list[float], seed: int) -> Tensor:
    """A pmf with these masses, in an order that the seed decides."""
    order = torch.randperm(len(masses), generator=torch.Generator().manual_seed(seed % 2**32))
    return torch.tensor(masses)[order]
