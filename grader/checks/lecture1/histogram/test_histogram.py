"""The histogram as a generative model (slides 30, 31): counting, evaluating, sampling, the curse of dimensionality."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checks.lecture1.shared import draw

fit_histogram = pytest.mark.exercise("histogram.fit_histogram")
histogram_log_prob = pytest.mark.exercise("histogram.histogram_log_prob")
sample_histogram = pytest.mark.exercise("histogram.sample_histogram")
fit_conditional_histogram = pytest.mark.exercise("histogram.fit_conditional_histogram")
num_parameters = pytest.mark.exercise("histogram.num_parameters")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.integers(1, 12)
bins = st.integers(1, 6)
classes = st.integers(1, 4)


# -- fit_histogram --


@fit_histogram
@weight(0.5)
@given(n=sizes, K=bins, key=draw.seeds)
@example(n=1, K=1, key=0)
@example(n=1, K=6, key=0)
@example(n=9, K=3, key=0)
def test_fit_gives_each_bin_its_share(student, ref, n, K, key):
    """The probability of a bin is the share of samples in it, for every bin from 0 to K - 1."""
    x = draw.integers((n,), key, K)
    assert_agrees(student.fit_histogram(x, K), ref.fit_histogram(x, K), like=torch.float32)


@fit_histogram
@weight(0.25)
def test_an_empty_bin_has_no_mass(student):
    """Three samples of four in bin 2 and one in bin 0 leave exactly nothing for the other bins."""
    got = student.fit_histogram(torch.tensor([2, 0, 2, 2]), 5)
    assert_agrees(got, torch.tensor([0.25, 0.0, 0.75, 0.0, 0.0]))


@fit_histogram
@weight(0.25)
@examples(10)
@given(n=sizes, K=bins, key=draw.seeds)
def test_only_shares_matter_not_order_or_number(student, n, K, key):
    """The same samples twice, or backwards, give the same histogram."""
    x = draw.integers((n,), key, K)
    once = student.fit_histogram(x, K)
    assert_form(once, (K,), torch.float32)
    assert_agrees(student.fit_histogram(torch.cat([x, x]), K), once, what="the histogram of the samples taken twice")
    assert_agrees(student.fit_histogram(x.flip(0), K), once, what="the histogram of the samples backwards")


@fit_histogram
@weight(0.5)
@examples(10)
@given(n=sizes, K=bins, key=draw.seeds, excess=st.integers(0, 3))
def test_fit_refuses_values_outside_the_bins(student, n, K, key, excess):
    """A value of K or more, or below zero, is refused with a ValueError."""
    x = draw.integers((n,), key, K)
    with refuses("x", "num_bins", "K"):
        student.fit_histogram(torch.cat([x, torch.tensor([K + excess])]), K)
    with refuses("x", "num_bins", "K"):
        student.fit_histogram(torch.cat([torch.tensor([-1 - excess]), x]), K)


@fit_histogram
@weight(0.25)
def test_fit_refuses_empty_arguments(student):
    """A histogram needs at least one sample and at least one bin."""
    with refuses("x", "n"):
        student.fit_histogram(torch.tensor([], dtype=torch.int64), 3)
    with refuses("num_bins", "K"):
        student.fit_histogram(torch.tensor([0, 0]), 0)


@fit_histogram
@weight(0.25)
def test_fit_leaves_no_trace(student):
    """Fitting changes no argument, draws nothing, prints nothing, and its result carries no graph."""
    observed = student.fit_histogram.observed(torch.tensor([2, 0, 1, 0]), 3)
    assert_no_trace(observed, graph_free=True)
    assert_agrees(observed.value, torch.tensor([0.5, 0.25, 0.25]))


# -- histogram_log_prob --


@histogram_log_prob
@weight(0.25)
@given(pi=draw.pmfs(zeros=False), n=sizes, key=draw.seeds)
@example(pi=torch.tensor([0.125, 0.875], dtype=torch.float64), n=1, key=0)
@example(pi=torch.tensor([1e-30, 1.0]), n=8, key=0)
def test_log_prob_is_the_logarithm_of_the_bin(student, ref, pi, n, key):
    """The log-probability of a sample is the natural logarithm of its bin's probability, one number a sample."""
    x = draw.integers((n,), key, len(pi))
    assert_agrees(student.histogram_log_prob(pi, x), ref.histogram_log_prob(pi, x), like=pi, unit="nats")


@histogram_log_prob
@weight(0.25)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_an_empty_bin_has_log_probability_minus_infinity(student, dtype):
    """What has probability zero has log-probability -inf, and a certain event has log-probability 0."""
    got = student.histogram_log_prob(torch.tensor([0.0, 1.0, 0.0], dtype=dtype), torch.tensor([1, 2, 1, 0]))
    assert_agrees(got, torch.tensor([0.0, -math.inf, 0.0, -math.inf], dtype=dtype), unit="nats")


@histogram_log_prob
@weight(0.25)
def test_log_prob_is_differentiable(student):
    """The gradient by a bin's probability is its count over its probability; a bin without samples gets zero."""
    pi, x = torch.tensor([0.5, 0.0, 0.25, 0.25]), torch.tensor([2, 0, 2])
    value, (gradient,) = student.histogram_log_prob.gradient(pi, x, wrt=[pi])
    assert_form(value, (3,), torch.float32)
    assert_agrees(gradient, torch.tensor([2.0, 0.0, 8.0, 0.0]), what="the gradient by pi")


@histogram_log_prob
@weight(0.25)
def test_log_prob_refuses_empty_arguments_and_leaves_no_trace(student):
    """There is at least one bin and one sample, and evaluating changes nothing."""
    pi, x = torch.tensor([0.5, 0.0, 0.5]), torch.tensor([2, 0])
    observed = student.histogram_log_prob.observed(pi, x)
    assert_no_trace(observed)
    assert_form(observed.value, (2,), torch.float32)
    with refuses("x", "n"):
        student.histogram_log_prob(pi, torch.tensor([], dtype=torch.int64))
    with refuses("pi", "K", "x"):
        student.histogram_log_prob(torch.tensor([]), torch.tensor([0]))


# -- sample_histogram --


@sample_histogram
@weight(0.5)
def test_samples_follow_the_histogram(student, seed):
    """Each bin comes up with its probability, and a bin without mass never does."""
    pi = _shuffled([0.4, 0.3, 0.2, 0.1, 0.0, 0.0], seed)
    named = {
        "uniform_over_the_bins": torch.ones(6) / 6,
        "softmax_of_probabilities": pi.softmax(dim=0),
        "sharpened_probabilities": pi**2 / (pi**2).sum(),
        "samples_from_a_smoothed_histogram": (pi + 0.02) / (pi + 0.02).sum(),
    }
    generator = student.generator(seed)
    assert_follows_pmf(lambda n: student.sample_histogram(pi, n, generator), pi, named=named)


@sample_histogram
@weight(0.25)
@pytest.mark.parametrize("partner", ["the next sample", "the sample half a batch away"])
def test_samples_in_a_batch_are_independent(student, seed, partner):
    """Two samples of one call have the product of their laws as joint law."""
    pi = _shuffled([0.5, 0.3, 0.2], seed)
    generator = student.generator(seed)

    def pairs(n: int) -> Tensor:
        x = student.sample_histogram(pi, 2 * n, generator)
        assert_form(x, (2 * n,), torch.int64)
        return outcome_index(x.reshape(n, 2) if partner == "the next sample" else x.reshape(2, n).T, len(pi))

    assert_follows_pmf(pairs, torch.outer(pi, pi))


@sample_histogram
@weight(0.5)
def test_a_batch_of_two_is_two_draws(student, seed):
    """In calls for two samples of a fair coin, both sides come together as often as each side alone."""
    coin = torch.tensor([0.5, 0.5])
    generator = student.generator(seed)

    def pairs(n: int) -> Tensor:
        batches = [student.sample_histogram(coin, 2, generator) for _ in range(n)]
        for x in batches:
            assert_form(x, (2,), torch.int64)
        return outcome_index(torch.stack(batches), 2)

    assert_follows_pmf(pairs, torch.full((2, 2), 0.25), effect=0.4)  # drawn without chance they are 0.5 off


@sample_histogram
@weight(0.25)
def test_calls_are_independent(student, seed):
    """Samples of two calls with one generator have the product of their laws as joint law."""
    pi = _shuffled([0.5, 0.3, 0.2], seed)
    generator = student.generator(seed)

    def pairs(n: int) -> Tensor:
        first, second = (student.sample_histogram(pi, n, generator) for _ in range(2))
        assert_form(first, (n,), torch.int64)
        assert_form(second, (n,), torch.int64)
        return outcome_index(torch.stack([first, second], dim=1), len(pi))

    assert_follows_pmf(pairs, torch.outer(pi, pi))


@sample_histogram
@weight(0.5)
def test_the_generator_decides_and_moves_on(student, seed):
    """The same state of the generator gives the same samples, and a call moves it on."""
    pi = torch.full((8,), 1 / 8)  # 64 samples agree by chance with probability 8^-64
    generator, twin = student.generator(seed), student.generator(seed)
    first, second, again, other = (
        student.sample_histogram(pi, 64, g) for g in (generator, generator, twin, student.generator(seed + 1))
    )
    assert_form(first, (64,), torch.int64)
    assert_agrees(again, first, what="a sample from a generator in the same state")
    assert not torch.equal(second, first), "a second call with the same generator repeated the samples of the first"
    assert not torch.equal(other, first), "two generators with different seeds gave the same samples"


@sample_histogram
@weight(0.25)
def test_sampling_leaves_no_trace(student, seed):
    """Sampling touches nothing but the generator that it is given."""
    pi = torch.tensor([0.5, 0.0, 0.5])
    observed = student.sample_histogram.observed(pi, 5, student.generator(seed))
    assert_no_trace(observed, graph_free=True)
    assert_form(observed.value, (5,), torch.int64)


@sample_histogram
@weight(0.25)
@examples(10)
@given(pi=draw.pmfs(), n=sizes, key=draw.seeds)
@example(pi=torch.tensor([1.0]), n=1, key=0)
@example(pi=torch.tensor([0.25, 0.75], dtype=torch.float64), n=1, key=0)
def test_a_sample_is_a_vector_of_bins(student, pi, n, key):
    """A sample is a vector of n int64 numbers in 0..K-1, for one sample and for one bin too."""
    x = student.sample_histogram(pi, n, student.generator(key))
    assert_form(x, (n,), torch.int64)
    assert ((x >= 0) & (x < len(pi))).all(), f"there are bins 0 to {len(pi) - 1}, and you drew {x.tolist()}"


@sample_histogram
@weight(0.25)
def test_sampling_refuses_what_makes_no_sense(student):
    """At least one sample is drawn, from at least one bin."""
    with refuses("n"):
        student.sample_histogram(torch.tensor([0.5, 0.5]), 0, student.generator(0))
    with refuses("pi", "K"):
        student.sample_histogram(torch.tensor([]), 3, student.generator(0))


# -- fit_conditional_histogram --


@fit_conditional_histogram
@weight(0.5)
@given(n=sizes, K=bins, C=classes, key=draw.seeds)
@example(n=1, K=1, C=1, key=0)
@example(n=12, K=2, C=3, key=0)
def test_each_class_has_its_own_histogram(student, ref, n, K, C, key):
    """Row c is the histogram of the samples with label c."""
    y = torch.cat([torch.arange(C), draw.integers((n,), key, C)])  # every class has a sample
    x = draw.integers((C + n,), key + 1, K)
    got = student.fit_conditional_histogram(x, y, K, C)
    assert_agrees(got, ref.fit_conditional_histogram(x, y, K, C), like=torch.float32)


@fit_conditional_histogram
@weight(0.5)
def test_a_class_without_samples_is_unknown(student):
    """A class without samples gives a row of nan, in that row alone."""
    got = student.fit_conditional_histogram(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 2]), 2, 4)
    nan = math.nan
    assert_agrees(got, torch.tensor([[0.5, 0.5], [nan, nan], [0.0, 1.0], [nan, nan]]))


@fit_conditional_histogram
@weight(0.25)
@examples(10)
@given(n=sizes, K=bins, C=classes, key=draw.seeds)
def test_classes_mix_to_the_histogram_of_all(student, n, K, C, key):
    """The mean of the rows, weighted by the shares of the classes, is the histogram of all samples."""
    y = torch.cat([torch.arange(C), draw.integers((n,), key, C)])
    x = draw.integers((C + n,), key + 1, K)
    got = student.fit_conditional_histogram(x, y, K, C)
    assert_form(got, (C, K), torch.float32)
    share_of_class = torch.stack([(y == c).double().mean() for c in range(C)])
    share_of_bin = torch.stack([(x == k).double().mean() for k in range(K)])
    mixture = (share_of_class @ got.double()).float()
    assert_agrees(mixture, share_of_bin, like=torch.float32, what="the mixture of the rows")


@fit_conditional_histogram
@weight(0.5)
def test_conditional_fit_refuses_what_makes_no_sense(student):
    """There is a label for each sample, at least one sample, one bin and one class."""
    x, y, none = torch.tensor([0, 0, 0]), torch.tensor([0, 0]), torch.tensor([], dtype=torch.int64)
    with refuses("x", "y", "n"):
        student.fit_conditional_histogram(x, y, 2, 2)
    with refuses("x", "y", "n"):
        student.fit_conditional_histogram(y, x, 2, 2)
    with refuses("x", "y", "n"):
        student.fit_conditional_histogram(none, none, 2, 2)
    with refuses("num_bins", "K"):
        student.fit_conditional_histogram(x, x, 0, 2)
    with refuses("num_classes", "C"):
        student.fit_conditional_histogram(x, x, 2, 0)


@fit_conditional_histogram
@weight(0.25)
def test_conditional_fit_leaves_no_trace(student):
    """Fitting changes no argument, draws nothing, prints nothing, and its result carries no graph."""
    x, y = torch.tensor([1, 0, 1]), torch.tensor([1, 0, 1])
    observed = student.fit_conditional_histogram.observed(x, y, 2, 2)
    assert_no_trace(observed, graph_free=True)
    assert_agrees(observed.value, torch.eye(2))


# -- num_parameters --


@num_parameters
@weight(0.25)
@pytest.mark.parametrize(("order", "count"), [(None, 2**784 - 1), (0, 784), (1, 1567)])
def test_binary_mnist_needs_these_many_parameters(student, order, count):
    """The numbers that the slide asks for, exactly: the full joint, independent pixels, a first-order Markov chain."""
    assert_agrees(student.num_parameters(784, 2, order), count)


@num_parameters
@weight(0.5)
@given(m=st.integers(1, 12), K=bins, order=st.none() | st.integers(0, 14))
@example(m=1, K=3, order=0)
@example(m=5, K=4, order=2)
@example(m=784, K=256, order=3)
def test_parameters_are_counted_table_by_table(student, ref, m, K, order):
    """Every variable has a table row for each context that it may see, in any order of dependence."""
    assert_agrees(student.num_parameters(m, K, order), ref.num_parameters(m, K, order))


@num_parameters
@weight(0.25)
@examples(2)
@given(order=st.integers(6, 20))
@example(order=3)
@example(order=4)
@example(order=5)
@example(order=None)
def test_a_long_order_is_the_full_joint(student, order):
    """Four variables of three values have 81 states; with an order of 3 or more each state has its own probability."""
    assert_agrees(student.num_parameters(4, 3, order), 80)


@num_parameters
@weight(0.25)
@examples(10)
@given(m=st.integers(1, 50), order=st.none() | st.integers(0, 50))
def test_one_value_leaves_nothing_to_learn(student, m, order):
    """Variables with a single value have no free parameters."""
    assert_agrees(student.num_parameters(m, 1, order), 0)


@num_parameters
@weight(0.25)
def test_counting_refuses_what_makes_no_sense(student):
    """There is at least one variable, it has at least one value, and it depends on none or more before it."""
    with refuses("m"):
        student.num_parameters(0, 2, None)
    with refuses("K"):
        student.num_parameters(3, 0, 1)
    with refuses("order"):
        student.num_parameters(3, 2, -1)


def _shuffled(masses: list[float], seed: int) -> Tensor:
    """A pmf with these masses, in an order that the seed decides."""
    order = torch.randperm(len(masses), generator=torch.Generator().manual_seed(seed % 2**32))
    return torch.tensor(masses)[order]
