"""Counting samples into bins (slides 30, 31): one histogram of all of them, or one for each class."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_unchanged, refuses
from grader.checks.lecture1.histogram.draw import samples
from grader.checks.lecture1.shared import draw

fit_histogram = pytest.mark.exercise("histogram.fit_histogram")
fit_conditional_histogram = pytest.mark.exercise("histogram.fit_conditional_histogram")
weight = pytest.mark.weight
examples = pytest.mark.examples

counts_of_bins = st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(any)
LARGE = [1023, 0, 3001, 75, 0]  # 4099 samples: more in a bin than float16 or a batch of 1000 can hold
FINE = [k % 33 for k in range(300)]  # more bins than a byte has values


# -- fit_histogram --


@fit_histogram
@weight(0.5)
def test_three_of_four_samples_are_in_one_bin(student):
    """The samples 2, 0, 2, 2 give bin 0 a quarter and bin 2 three quarters; other bins, seen or not, get exactly nothing."""
    x = torch.tensor([2, 0, 2, 2])
    assert_agrees(student.fit_histogram(x, 3), torch.tensor([0.25, 0.0, 0.75]))
    assert_agrees(student.fit_histogram(x, 5), torch.tensor([0.25, 0.0, 0.75, 0.0, 0.0]))
    assert_agrees(student.fit_histogram(torch.tensor([5]), 6), torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    assert_agrees(student.fit_histogram(torch.tensor([0, 0]), 1), torch.tensor([1.0]))


@fit_histogram
@weight(0.75)
@examples(15)
@given(counts=counts_of_bins, key=draw.seeds)
@example(counts=[1, 1, 2], key=0)
@example(counts=LARGE, key=0)
@example(counts=FINE, key=1)
def test_each_bin_has_its_share(student, counts, key):
    """Samples made with so many in each bin, in any order, give each bin its share."""
    share = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    assert_agrees(student.fit_histogram(samples(counts, key), len(counts)), share, like=torch.float32)
    assert_agrees(student.fit_histogram.strided(samples(counts, key + 1), len(counts)), share, like=torch.float32)
    assert_agrees(student.fit_histogram.float64_default(samples(counts, key), len(counts)), share)


@fit_histogram
@weight(0.5)
@examples(8)
@given(counts=counts_of_bins, key=draw.seeds, excess=st.integers(0, 3))
@example(counts=[2, 1], key=0, excess=0)
@example(counts=[0, 0, 3, 1, 2, 3], key=24242, excess=0)
def test_values_outside_the_bins_are_refused(student, counts, key, excess):
    """A value of K or more, or below zero, is refused with a ValueError."""
    x, K = samples(counts, key), len(counts)
    with refuses():
        student.fit_histogram(torch.cat([x, torch.tensor([K + excess])]), K)
    with refuses():
        student.fit_histogram(torch.cat([torch.tensor([-1 - excess]), x]), K)
    with refuses():
        student.fit_histogram(torch.cat([x, torch.tensor([K + excess]), x]), K)


@fit_histogram
@weight(0.083)
def test_shares_have_the_default_float_dtype(student):
    """The shares are float32, and float64 where that is the default of torch; the sample stays as it is."""
    assert_dtype(assert_unchanged(student.fit_histogram.observed(torch.tensor([1, 0, 1]), 2)), torch.float32)
    assert_dtype(student.fit_histogram.float64_default(torch.tensor([1, 0, 1]), 2), torch.float64)


# -- fit_conditional_histogram --


@fit_conditional_histogram
@weight(0.5)
def test_three_pairs_make_two_histograms(student):
    """With the pairs (0, 0), (1, 0), (1, 1) of value and class, class 0 has both values alike and class 1 only the value 1."""
    x, y = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])
    assert_agrees(student.fit_conditional_histogram(x, y, 2, 2), torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    x, y = torch.tensor([2, 0, 2, 2, 1]), torch.tensor([0, 0, 0, 0, 1])
    want = torch.tensor([[0.25, 0.0, 0.75, 0.0], [0.0, 1.0, 0.0, 0.0]])
    assert_agrees(student.fit_conditional_histogram(x, y, 4, 2), want)


@fit_conditional_histogram
@weight(0.75)
@examples(15)
@given(K=st.integers(1, 5), C=st.integers(1, 4), key=draw.seeds, high=st.sampled_from([2, 5]))
@example(K=1, C=1, key=0, high=2)
@example(K=2, C=3, key=0, high=5)
@example(K=9, C=10, key=1, high=100)
@example(K=3, C=2, key=2, high=3001)
@example(K=300, C=2, key=3, high=2)
@example(K=6, C=6, key=4, high=5)
def test_each_class_has_its_own_histogram(student, K, C, key, high):
    """Pairs made with so many of each value in each class, in any order, give row c the shares in class c."""
    counts = draw.integers((C, K), key, high)
    counts[torch.arange(C), torch.arange(C) % K] += 1  # every class has a sample
    pairs = samples(counts.flatten().tolist(), key)
    want = counts.double() / counts.sum(1, keepdim=True)
    assert_agrees(student.fit_conditional_histogram.strided(pairs % K, pairs // K, K, C), want, like=torch.float32)
    assert_agrees(student.fit_conditional_histogram.float64_default(pairs % K, pairs // K, K, C), want)


@fit_conditional_histogram
@weight(0.5)
def test_a_class_without_samples_is_unknown(student):
    """A class without samples gives a row of nan, in that row alone; one sample among 4099 is enough."""
    got = student.fit_conditional_histogram(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 2]), 2, 4)
    nan = math.nan
    assert_agrees(got, torch.tensor([[0.5, 0.5], [nan, nan], [0.0, 1.0], [nan, nan]]))
    got = student.fit_conditional_histogram(torch.tensor([1, 0]), torch.tensor([1, 1]), 2, 2)  # one class of two
    assert_agrees(got, torch.tensor([[nan, nan], [0.5, 0.5]]))
    rare = (torch.arange(4099) == 2000).long()
    assert_agrees(student.fit_conditional_histogram(rare, rare, 2, 2), torch.eye(2))


@fit_conditional_histogram
@weight(0.083)
def test_conditional_shares_have_the_default_float_dtype(student):
    """The shares are float32, and float64 where that is the default of torch; the pairs stay as they are."""
    x, y = torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0])
    assert_dtype(assert_unchanged(student.fit_conditional_histogram.observed(x, y, 2, 2)), torch.float32)
    assert_dtype(student.fit_conditional_histogram.float64_default(x, y, 2, 2), torch.float64)
