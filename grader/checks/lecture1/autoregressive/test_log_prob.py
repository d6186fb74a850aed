"""Autoregressive models of sequences (slides 38 and 39): the density, the loss and ancestral sampling."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.statistics import assert_follows_pmf, outcome_index
from grader.checks.lecture1.autoregressive.draw import (
    all_sequences,
    joint_pmf,
    model_of_joint,
    models,
    models_and_sequences,
    pull_back,
    rounding,
    table_model,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import markov_table, prefix_table

log_prob = pytest.mark.exercise("autoregressive.log_prob")
negative_log_likelihood = pytest.mark.exercise("autoregressive.negative_log_likelihood")
sample = pytest.mark.exercise("autoregressive.sample")
weight = pytest.mark.weight
examples = pytest.mark.examples

STRAYS = 3  # of 400 samples: a uniform number is exactly 0 once in 10^7, and then finds an impossible value

lengths = st.integers(1, 5)
gaps = st.sampled_from((math.inf, 1e4))
offsets = st.sampled_from((0.0, -1e4, 1e4))

FAIR_COINS = prefix_table(torch.zeros(7, 2))  # m = 3, K = 2


# -- log_prob --


@log_prob
@weight(0.75)
@given(case=models_and_sequences())
def test_log_prob_is_the_sum_of_the_log_conditionals(student, ref, case):
    """The log-likelihood is the sum over j of the log-probability of x_j given the values before it."""
    conditional, x = case
    table = conditional.parameters["table"]
    got = student.log_prob(conditional, x)
    assert_agrees(got, ref.log_prob(conditional, x), like=table, scale=rounding(conditional, x), unit="nats")


@log_prob
@weight(0.5)
@examples(12)
@given(size=st.sampled_from(((1, 3), (2, 2), (2, 3), (3, 2), (4, 2), (3, 3))), key=draw.seeds, dtype=draw.dtypes)
def test_conditionals_of_a_joint_multiply_back_to_it(student, size, key, dtype):
    """The conditionals of a joint distribution give its logarithm back, and -inf for what is impossible."""
    m, K = size
    joint = joint_pmf(m, K, key)
    conditional, x = model_of_joint(joint, dtype), all_sequences(m, K)
    got = student.log_prob(conditional, x)
    assert_agrees(got, joint.flatten().log(), like=dtype, scale=rounding(conditional, x), unit="nats")


@log_prob
@weight(0.5)
@examples(12)
@given(case=models(scale=3.0))
def test_probabilities_of_all_sequences_sum_to_one(student, case):
    """Over all K^m sequences the probabilities sum to one."""
    conditional, m, K = case
    table, x = conditional.parameters["table"], all_sequences(m, K)
    got = student.log_prob(conditional, x)
    assert_form(got, (K**m,), table.dtype)
    one = torch.ones((), dtype=torch.float64)
    scale = rounding(conditional, x).max()
    assert_agrees(got.exp().sum(), one, like=table, scale=scale, what="the sum of all probabilities")


@log_prob
@weight(0.5)
@examples(12)
@given(gap=st.sampled_from((90.0, 400.0, 1e4)), offset=offsets, m=lengths, dtype=draw.dtypes)
def test_log_prob_holds_for_logits_of_any_size(student, gap, offset, m, dtype):
    """A logit that lies 90, 400 or 10000 below the other one is a log-probability of as much, wherever both lie."""
    table = torch.tensor([offset, offset - gap], dtype=dtype).expand(m, 3, 2).contiguous()
    conditional, x = markov_table(table), torch.tensor([[1] * m, [0] * m])
    want = torch.tensor([-gap * m, 0.0], dtype=torch.float64)  # what e^{-gap} adds is below all rounding
    assert_agrees(student.log_prob(conditional, x), want, like=dtype, scale=rounding(conditional, x), unit="nats")


@log_prob
@weight(0.5)
@examples(4)
@given(K=st.integers(2, 4), scale=st.sampled_from((1.0, 20.0)), key=draw.seeds, dtype=draw.dtypes)
def test_log_prob_of_784_dimensions(student, ref, K, scale, key, dtype):
    """An image of 28 x 28 has a finite log-likelihood, although its likelihood is below all floating-point numbers."""
    conditional = markov_table(draw.normal((784, K + 1, K), key, scale, dtype))
    x = draw.integers((2, 784), key + 1, K)
    got = student.log_prob(conditional, x)
    assert_agrees(got, ref.log_prob(conditional, x), like=dtype, scale=rounding(conditional, x), unit="nats")


@log_prob
@weight(0.25)
@examples(12)
@given(allowed=st.integers(1, 3), m=lengths, dtype=draw.dtypes)
def test_an_impossible_value_makes_the_sequence_impossible(student, allowed, m, dtype):
    """Logits of -inf leave the mass to the other values; a sequence with an impossible one has log-likelihood -inf."""
    logits = torch.zeros(4, dtype=dtype).masked_fill(torch.arange(4) >= allowed, -math.inf)
    possible = torch.arange(m) % allowed
    last_is_not = torch.cat([possible[:-1], torch.tensor([allowed])])
    got = student.log_prob(markov_table(logits.expand(m, 5, 4).contiguous()), torch.stack([possible, last_is_not]))
    want = torch.tensor([-m * math.log(allowed), -math.inf], dtype=torch.float64)
    assert_agrees(got, want, like=dtype, scale=m * math.log(4), unit="nats")


@log_prob
@weight(0.5)
@examples(12)
@given(case=models_and_sequences(), key=draw.seeds)
def test_log_prob_has_the_gradient_that_training_needs(student, ref, case, key):
    """The gradient of the log-likelihood reaches the parameters of the conditionals."""
    conditional, x = case
    table = conditional.parameters["table"]
    weights = draw.normal((len(x),), key, dtype=table.dtype)
    _, (got,) = student.log_prob.gradient(conditional, x, wrt=[table], weights=weights)
    score = weights.double()[:, None, None] * ref.log_prob_score(conditional, x)
    size = pull_back(conditional, x, weights.double().abs()[:, None, None].expand_as(score).contiguous())
    scale = size * (2 + table.abs().max().item())  # a softmax of logits h is off by about |h| roundings
    assert_agrees(got, pull_back(conditional, x, score), like=table, scale=scale, what="the gradient in the logits")


@log_prob
@weight(0.25)
def test_log_prob_refuses_what_holds_no_samples(student):
    """No sequences, or sequences of no variables, are refused with a ValueError that names x."""
    for x in (torch.zeros(0, 3, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        with refuses("x", "n", "m"):
            student.log_prob(FAIR_COINS, x)


@log_prob
@weight(0.25)
@examples(5)
@given(case=models_and_sequences())
def test_log_prob_leaves_no_trace(student, case):
    """Evaluating a density changes nothing, draws nothing, prints nothing, and works without gradient tracking."""
    conditional, x = case
    observed = student.log_prob.observed(conditional, x)
    assert_no_trace(observed)
    assert_form(observed.value, (len(x),), conditional.parameters["table"].dtype)
    without = student.log_prob.under_no_grad(conditional, x)
    assert_agrees(without, observed.value, what="the result under torch.no_grad()")


# -- negative_log_likelihood --


@negative_log_likelihood
@weight(0.25)
@examples(15)
@given(case=models_and_sequences())
def test_the_loss_is_the_mean_per_sample_and_dimension(student, ref, case):
    """The loss is minus the log-likelihood, averaged over the batch and divided by the number of dimensions."""
    conditional, x = case
    scale = rounding(conditional, x).mean() / x.shape[1]
    got = student.negative_log_likelihood(conditional, x)
    want = ref.negative_log_likelihood(conditional, x)
    assert_agrees(got, want, like=conditional.parameters["table"], scale=scale, unit="nats per dimension")


@negative_log_likelihood
@weight(0.25)
@examples(10)
@given(K=st.integers(1, 6), m=st.sampled_from((1, 3, 784)), n=st.integers(1, 3), key=draw.seeds, dtype=draw.dtypes)
def test_knowing_nothing_costs_log_K_nats_per_dimension(student, K, m, n, key, dtype):
    """Under a uniform model the loss is log K, for any number of samples and dimensions."""
    conditional = markov_table(torch.zeros(m, K + 1, K, dtype=dtype))
    got = student.negative_log_likelihood(conditional, draw.integers((n, m), key, K))
    assert_agrees(got, torch.tensor(math.log(K), dtype=torch.float64), like=dtype, scale=1 + m / 32, unit="nats per dimension")


@negative_log_likelihood
@weight(0.25)
@examples(10)
@given(K=st.integers(2, 5), n=st.integers(1, 6), key=draw.seeds, dtype=draw.dtypes)
def test_one_variable_learns_its_frequencies(student, K, n, key, dtype):
    """For one variable and equal logits the gradient is 1/K minus the frequency of each value."""
    table, x = torch.full((1, K), 0.5, dtype=dtype), draw.integers((n, 1), key, K)
    _, (got,) = student.negative_log_likelihood.gradient(prefix_table(table), x, wrt=[table])
    frequency = torch.bincount(x[:, 0], minlength=K).double() / n
    assert_agrees(got, 1 / K - frequency[None], like=dtype, scale=2.0, what="the gradient in the logits")


@negative_log_likelihood
@weight(0.25)
def test_the_loss_at_its_edges(student):
    """One impossible sequence makes the loss inf; no samples are a ValueError; nothing else changes."""
    never_one = prefix_table(torch.tensor([[0.0, -math.inf]]).expand(7, 2).contiguous())
    x = torch.tensor([[0, 0, 0], [0, 0, 1]])
    assert_agrees(student.negative_log_likelihood(never_one, x), torch.tensor(math.inf), unit="nats per dimension")
    with refuses("x", "n", "m"):
        student.negative_log_likelihood(FAIR_COINS, torch.zeros(0, 3, dtype=torch.int64))
    with refuses("x", "n", "m"):
        student.negative_log_likelihood(FAIR_COINS, torch.zeros(3, 0, dtype=torch.int64))
    assert_no_trace(student.negative_log_likelihood.observed(FAIR_COINS, x))


# -- sample --


@sample
@weight(1.5)
def test_samples_follow_the_joint_law(student, ref, seed):
    """Sequences come up with their joint probabilities: each value is drawn given those before it in its own row."""
    m, K = 3, 3
    conditional = table_model(m, K, seed=7)
    generator = student.generator(seed)
    assert_follows_pmf(
        lambda n: outcome_index(student.sample(conditional, n, m, generator), K),
        ref.joint_pmf(conditional, m, K),
        named=ref.mistaken_joint_pmfs(conditional, m, K),
    )


@sample
@weight(0.5)
@pytest.mark.parametrize(("m", "K"), [(1, 4), (5, 2)])
def test_sampling_from_the_conditionals_of_a_joint_gives_the_joint(student, seed, m, K):
    """A joint distribution with impossible sequences, handed over as its conditionals, is what the samples follow."""
    joint = joint_pmf(m, K, seed=3)
    conditional, generator = model_of_joint(joint), student.generator(seed)
    assert_follows_pmf(lambda n: outcome_index(student.sample(conditional, n, m, generator), K), joint)


@sample
@weight(0.25)
def test_throws_of_a_fair_die_are_independent(student, seed):
    """Draws of one fair variable are independent within a call and between calls, and no more even than chance."""
    die, generator = prefix_table(torch.zeros(1, 8)), student.generator(seed)
    law = torch.full((8,), 1 / 8)
    assert_follows_pmf(lambda n: outcome_index(student.sample(die, n, 1, generator), 8), law, first=16)


@sample
@weight(0.5)
@examples(8)
@given(m=st.sampled_from((1, 3, 12)), K=st.integers(2, 4), key=draw.seeds, gap=gaps, top=offsets, dtype=draw.dtypes)
def test_a_deterministic_model_has_one_sequence(student, m, K, key, gap, top, dtype):
    """Where each value leaves only one possible next value, every sample is the same known sequence."""
    follower = draw.integers((m, K + 1), key, K)  # of every value at every position
    table = torch.full((m, K + 1, K), top - gap, dtype=dtype).scatter(2, follower[..., None], top)
    sequence = [int(follower[0, K])]
    for j in range(1, m):
        sequence.append(int(follower[j, sequence[-1]]))
    want = torch.tensor(sequence).expand(400, m)
    got = student.sample(markov_table(table), 400, m, student.generator(key))
    assert_form(got, want.shape, torch.int64)
    strays = (got != want).any(dim=1)
    if strays.sum() > STRAYS:
        raise Mismatch("value", f"a sample is {got[strays][0].tolist()}, but only {sequence} is possible", got, want)


@sample
@weight(0.75)
def test_sampling_reads_its_generator_and_moves_it_on(student, seed):
    """The same state gives the same samples, the next call gives other ones, and so does another seed."""
    conditional = table_model(4, 4, seed=1, scale=0.5)
    generator, again, other = student.generator(seed), student.generator(seed), student.generator(seed + 1)
    first = student.sample(conditional, 24, 4, generator)
    assert_form(first, (24, 4), torch.int64)
    assert_agrees(student.sample(conditional, 24, 4, again), first, what="a second run from the same state")
    for call, g in (("the next call with the generator", generator), ("another seed", other)):
        second = student.sample(conditional, 24, 4, g)
        assert_form(second, (24, 4), torch.int64, what=call)
        if torch.equal(first, second):
            raise Mismatch("law", f"{call} gives the very same samples: all randomness should come from the generator")


@sample
@weight(0.25)
@examples(4)
@given(case=models(), key=draw.seeds)
def test_sampling_leaves_no_trace(student, case, key):
    """Sampling moves its generator and nothing else: no global random state, no parameter, no autograd mode."""
    conditional, m, _ = case
    assert_no_trace(student.sample.observed(conditional, 3, m, student.generator(key)), graph_free=True)


@sample
@weight(0.5)
@examples(12)
@given(case=models(), n=st.integers(1, 5), key=draw.seeds)
@example(case=(prefix_table(torch.zeros(1, 1)), 1, 1), n=1, key=0)
@example(case=(markov_table(torch.zeros(40, 4, 3)), 40, 3), n=2, key=0)
def test_samples_are_n_sequences_of_m_values(student, case, n, key):
    """The result is an int64 tensor of shape (n, m) with values in 0..K-1, also for n = 1, m = 1, K = 1."""
    conditional, m, K = case
    got = student.sample(conditional, n, m, student.generator(key))
    assert_form(got, (n, m), torch.int64)
    if got.min() < 0 or got.max() >= K:
        raise Mismatch("value", f"there is a value outside 0..{K - 1}: {got.tolist()}", got)


@sample
@weight(0.25)
def test_sampling_refuses_sizes_below_one(student):
    """n = 0 and m = 0 are refused with a ValueError that names the argument."""
    with refuses("n"):
        student.sample(FAIR_COINS, 0, 3, student.generator(0))
    with refuses("n"):
        student.sample(FAIR_COINS, -1, 3, student.generator(0))
    with refuses("m"):
        student.sample(FAIR_COINS, 3, 0, student.generator(0))
