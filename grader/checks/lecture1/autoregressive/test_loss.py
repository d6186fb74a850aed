"""Autoregressive models of sequences (slide 38): the loss of a batch, per dimension."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.autoregressive.draw import (
    CHAIN_LOGITS,
    CHAIN_X,
    all_sequences,
    chain,
    log_prob_of_chain,
    model_and_sequences,
    models_and_sequences,
    rounding,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import independent_table, of_all_columns, prefix_table
from grader.checks.lecture1.shared.layouts import layouts

negative_log_likelihood = pytest.mark.exercise("autoregressive.negative_log_likelihood")
weight = pytest.mark.weight
examples = pytest.mark.examples

MANY = 4099  # rows: more than any batch, and no round number
LONG = 3072  # variables: a colour image of 32 x 32

in_float32 = example(case=model_and_sequences(3, 3, 4, 0, torch.float32))
in_float64 = example(case=model_and_sequences(3, 3, 4, 0, torch.float64))


@negative_log_likelihood
@weight(0.25)
def test_the_loss_of_four_sequences(student):
    """Four sequences of two variables, of probability 1/8, 1/4, 1/12 and 1/8: the average has eight terms. Then one of 300 values."""
    want = torch.tensor(math.log(8 * 4 * 12 * 8) / 8, dtype=torch.float64)
    got = student.negative_log_likelihood(chain(), CHAIN_X)
    mistaken = {
        "This is nats per sample: divide by the number of dimensions, too.": 2 * want,
        "The sign is turned: what is to be minimised is minus the log-likelihood.": -want,
        "This is the sum over the batch: take its mean.": 4 * want,
    }
    assert_agrees(got, want, like=torch.float32, scale=4.0, unit="nats per dimension", mistaken=mistaken)
    heavy = torch.zeros(1, 300).index_fill(1, torch.tensor(299), math.log(301))  # the last of 300 values has 301 of 600 parts
    got = student.negative_log_likelihood(independent_table(heavy), torch.tensor([[299], [0]]))
    want = torch.tensor(math.log(600) - math.log(301) / 2, dtype=torch.float64)
    assert_agrees(got, want, like=torch.float32, scale=8.0, unit="nats per dimension")


@negative_log_likelihood
@weight(0.25)
@examples(12)
@in_float32
@in_float64
@given(case=models_and_sequences())
def test_the_loss_is_the_mean_per_sample_and_dimension(student, ref, case):
    """The loss is minus the log-likelihood, averaged over the batch and divided by the number of dimensions."""
    conditional, x = case
    scale = rounding(conditional, x).mean() / x.shape[1]
    got = student.negative_log_likelihood(conditional, x)
    want = ref.negative_log_likelihood(conditional, x)
    assert_agrees(got, want, like=conditional.parameters["table"], scale=scale, unit="nats per dimension")


@negative_log_likelihood
@weight(0.125)
@examples(6)
@given(K=st.integers(1, 6), m=st.integers(1, 3), n=st.integers(1, 3), key=draw.seeds, dtype=draw.dtypes)
@example(K=256, m=784, n=2, key=0, dtype=torch.float32)
@example(K=2, m=LONG, n=1, key=0, dtype=torch.float64)
def test_knowing_nothing_costs_log_K_nats_per_dimension(student, K, m, n, key, dtype):
    """Under a uniform model the loss is log K, for any number of samples and dimensions."""
    conditional = independent_table(torch.zeros(m, K, dtype=dtype))
    got = student.negative_log_likelihood(conditional, draw.integers((n, m), key, K))
    want = torch.tensor(math.log(K), dtype=torch.float64)
    assert_agrees(got, want, like=dtype, scale=1 + m / 32, unit="nats per dimension")


@negative_log_likelihood
@weight(0.125)
def test_every_sequence_of_a_large_batch_counts_alike(student):
    """The mean over 4099 sequences, many of them equal, has 4099 terms of the same weight; the conditional gets all columns."""
    x = torch.cat([draw.integers((MANY - 9, 2), 0, 2), all_sequences(2, 3)])
    want = -log_prob_of_chain(x).mean() / 2
    got = student.negative_log_likelihood(chain(torch.float64), x)
    assert_agrees(got, want, scale=64.0, unit="nats per dimension")
    for laid_out, plain in layouts(CHAIN_X, CHAIN_X.flip(0)[:, [0, 0]]):
        got = student.negative_log_likelihood(of_all_columns(chain(), 2), laid_out)
        assert_agrees(got, -log_prob_of_chain(plain).mean() / 2, like=torch.float32, scale=4.0, unit="nats per dimension")


@negative_log_likelihood
@weight(0.0625)
@examples(8)
@given(K=st.integers(2, 5), n=st.integers(2, 6), key=draw.seeds, dtype=draw.dtypes)
def test_one_variable_learns_its_frequencies(student, K, n, key, dtype):
    """For one variable and equal logits the gradient is 1/K minus the frequency of each value."""
    table, x = torch.full((1, K), 0.5, dtype=dtype), draw.integers((n, 1), key, K)
    _, (got,) = student.negative_log_likelihood.gradient(prefix_table(table), x, wrt=[table])
    frequency = torch.bincount(x[:, 0], minlength=K).double() / n
    assert_gradient_agrees(got, 1 / K - frequency[None], of="the logits", like=dtype, scale=2.0)


@negative_log_likelihood
@weight(0.0625)
def test_the_gradient_is_per_sample_and_dimension_as_the_loss_is(student):
    """In the logits it is the probability of each value minus whether it was observed, over the eight terms of the mean.

    So it is for logits that are log-probabilities already.
    """
    eight = torch.tensor([[0, 0, 0], [1 / 4, 1 / 4, -1 / 2], [0, 1 / 2, -1 / 2], [1 / 3, -2 / 3, 1 / 3]], dtype=torch.float64)
    for table in (CHAIN_LOGITS, CHAIN_LOGITS.log_softmax(dim=1)):
        _, (got,) = student.negative_log_likelihood.gradient(prefix_table(table), CHAIN_X, wrt=[table])
        assert_gradient_agrees(got, eight / 8, of="the logits", scale=2.0)
    table = CHAIN_LOGITS
    one = torch.tensor([[1 / 4, -1 / 2, 1 / 4], [0, 0, 0], [-1 / 2, 1 / 4, 1 / 4], [0, 0, 0]], dtype=torch.float64)
    for x in (CHAIN_X[1:2], CHAIN_X[1:2].repeat(65, 1)):  # one sequence, and as often as one likes
        _, (got,) = student.negative_log_likelihood.gradient(prefix_table(table), x, wrt=[table])
        assert_gradient_agrees(got, one / 2, of=f"the logits for {len(x)} sequences", scale=2.0)


@negative_log_likelihood
@weight(0.0625)
def test_an_impossible_sequence_costs_everything(student):
    """One impossible sequence in the batch makes the loss inf, one of probability e^-300 costs 300, whatever the first logits."""
    never_one = prefix_table(torch.tensor([[0.0, -math.inf]]).expand(7, 2).contiguous())
    x = torch.tensor([[0, 0, 0], [0, 0, 1]])
    assert_agrees(student.negative_log_likelihood(never_one, x), torch.tensor(math.inf), unit="nats per dimension")
    hardly_one = torch.tensor([[0.0, -300.0]]).expand(7, 2).contiguous()
    for shift in (0.0, 1000.0):
        conditional = prefix_table(hardly_one + shift * (torch.arange(7) == 0)[:, None])
        got = student.negative_log_likelihood(conditional, x)
        assert_agrees(got, torch.tensor(50.0), scale=50.0 + shift, unit="nats per dimension")


@negative_log_likelihood
@weight(0.021)
def test_the_loss_has_the_dtype_of_the_logits(student):
    """Logits in float32 give float32, logits in float64 float64; x stays as it is."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.negative_log_likelihood.observed(chain(dtype), CHAIN_X)), dtype)
