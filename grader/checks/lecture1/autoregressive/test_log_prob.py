"""Autoregressive models of sequences (slide 38): the density."""

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
    half_on_zero,
    joint_pmf,
    log_prob_of_chain,
    model_and_sequences,
    model_of_joint,
    models_and_sequences,
    pull_back,
    rounding,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import independent_table, markov_table, of_all_columns, prefix_table, value_by_value
from grader.checks.lecture1.shared.layouts import layouts

log_prob = pytest.mark.exercise("autoregressive.log_prob")
weight = pytest.mark.weight
examples = pytest.mark.examples

MANY = 4099  # rows: more than any batch, and no round number
LONG = 3072  # variables: a colour image of 32 x 32
ONE_OBSERVED = torch.tensor([[-0.25, 0.5, -0.25], [0.0, 0.0, 0.0], [0.5, -0.25, -0.25], [0.0, 0.0, 0.0]]).double()  # (1, 0) of the chain

offsets = st.sampled_from((0.0, -1e4, 1e4))
in_float32 = example(case=model_and_sequences(3, 3, 4, 0, torch.float32))
in_float64 = example(case=model_and_sequences(3, 3, 4, 0, torch.float64))


@log_prob
@weight(0.5)
def test_log_prob_of_two_dependent_variables(student):
    """The first variable has weights (1, 2, 1), the second (1, 1, 2), (2, 1, 1) or (1, 1, 1) after a 0, 1 or 2."""
    want = -torch.tensor([8, 4, 12, 8]).double().log()  # of probabilities 1/8, 1/4, 1/12, 1/8
    assert_agrees(student.log_prob(chain(), CHAIN_X), want, like=torch.float32, scale=4.0, unit="nats")


@log_prob
@weight(0.5)
@in_float32
@in_float64
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
@given(size=st.sampled_from(((2, 2), (2, 3), (3, 2), (4, 2), (3, 3))), key=draw.seeds, dtype=draw.dtypes)
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
@given(gap=st.sampled_from((90.0, 400.0, 1e4)), offset=offsets, m=st.integers(2, 5), dtype=draw.dtypes)
@example(gap=400.0, offset=1e8, m=2, dtype=torch.float64)
@example(gap=400.0, offset=-1e8, m=2, dtype=torch.float64)
def test_log_prob_holds_for_logits_of_any_size(student, gap, offset, m, dtype):
    """A logit that lies 90, 400 or 10000 below the other one is a log-probability of as much, wherever both lie."""
    table = torch.tensor([offset, offset - gap], dtype=dtype).expand(m, 3, 2).contiguous()
    conditional, x = markov_table(table), torch.tensor([[1] * m, [0] * m])
    want = torch.tensor([-gap * m, 0.0], dtype=torch.float64)  # what e^{-gap} adds is below all rounding
    assert_agrees(student.log_prob(conditional, x), want, like=dtype, scale=rounding(conditional, x), unit="nats")


@log_prob
@weight(0.5)
@examples(3)
@given(size=st.sampled_from(((784, 3), (784, 256))), key=draw.seeds, dtype=draw.dtypes)
@example(size=(784, 300), key=0, dtype=torch.float32)
@example(size=(LONG, 3), key=0, dtype=torch.float64)
def test_log_prob_of_hundreds_of_dimensions(student, size, key, dtype):
    """An image has a finite log-likelihood, although its likelihood may be below all floating-point numbers."""
    m, K = size
    conditional, x = half_on_zero(m, K, dtype), draw.integers((2, m), key, K)
    want = -(m * math.log(2) + (x > 0).sum(dim=1).double() * math.log(K - 1))
    assert_agrees(student.log_prob(conditional, x), want, like=dtype, scale=rounding(conditional, x), unit="nats")


@log_prob
@weight(0.25)
@examples(7)
@given(allowed=st.integers(1, 3), m=st.integers(2, 5), dtype=draw.dtypes)
@example(allowed=3, m=4, dtype=torch.float64)
def test_an_impossible_value_makes_the_sequence_impossible(student, allowed, m, dtype):
    """Logits of -inf leave the mass to the other values; a sequence with an impossible one has log-likelihood -inf."""
    logits = torch.zeros(4, dtype=dtype).masked_fill(torch.arange(4) >= allowed, -math.inf)
    possible = torch.arange(m) % allowed
    last_is_not = torch.cat([possible[:-1], torch.tensor([allowed])])
    got = student.log_prob(independent_table(logits.repeat(m, 1)), torch.stack([possible, last_is_not]))
    want = torch.tensor([-m * math.log(allowed), -math.inf], dtype=torch.float64)
    assert_agrees(got, want, like=dtype, scale=m * math.log(4), unit="nats")


@log_prob
@weight(0.25)
def test_the_likelihood_of_a_sequence_is_its_own(student):
    """Among 4099 sequences each has the log-likelihood that it has alone, however large other logits are, of its own too."""
    weights = torch.tensor([[1, 3], [1, 1], [1, 2]]).double()
    joint = torch.tensor([[1 / 8, 1 / 8], [1 / 4, 1 / 2]]).double()
    x = draw.integers((MANY, 2), 1, 2)
    conditional = prefix_table(weights.log() + torch.tensor([[0.0], [1000.0], [-1000.0]]))
    got = student.log_prob(conditional, x)
    assert_agrees(got, joint[x[:, 0], x[:, 1]].log(), scale=rounding(conditional, x), unit="nats")


@log_prob
@weight(0.25)
def test_the_gradient_raises_what_is_observed(student):
    """The gradient in the logits is, for each value, whether it was observed minus its probability.

    So it is for logits that are log-probabilities already, and for one sequence or many.
    """
    weights = torch.tensor([1.0, 2.0, 3.0, -1.0])
    want = torch.tensor([[-0.25, -1.5, 1.75], [-0.25, -0.25, 0.5], [1.5, -0.25, -1.25], [-1.0, 2.0, -1.0]]).double()
    for table in (CHAIN_LOGITS.float(), CHAIN_LOGITS.log_softmax(dim=1).float()):
        _, (got,) = student.log_prob.gradient(prefix_table(table), CHAIN_X, wrt=[table], weights=weights)
        assert_gradient_agrees(got, want, of="the logits", like=table, scale=8.0)
    table = CHAIN_LOGITS.float()
    for x, want in ((CHAIN_X[1:2], ONE_OBSERVED), (CHAIN_X[1:2].repeat(65, 1), 65 * ONE_OBSERVED)):
        _, (got,) = student.log_prob.gradient(prefix_table(table), x, wrt=[table])
        assert_gradient_agrees(got, want, of=f"the logits for {len(x)} sequences", like=table, scale=8.0 * len(x))
    first = CHAIN_LOGITS[:1].float()  # one variable alone
    _, (got,) = student.log_prob.gradient(prefix_table(first), CHAIN_X[1:2, :1], wrt=[first])
    assert_gradient_agrees(got, ONE_OBSERVED[:1], of="the logits for one variable", like=first, scale=8.0)


@log_prob
@weight(0.25)
@examples(8)
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
    assert_gradient_agrees(got, pull_back(conditional, x, score), of="the logits", like=table, scale=scale)


@log_prob
@weight(0.25)
def test_log_prob_asks_anew_and_wherever_x_lies(student):
    """The order in memory of x and of the logits does not matter, nor what was asked before."""
    x, other = all_sequences(2, 3), all_sequences(2, 3).flip(0)
    for laid_out, plain in layouts(x, other):
        for conditional in (chain(), value_by_value(chain())):
            got = student.log_prob(conditional, laid_out)
            assert_agrees(got, log_prob_of_chain(plain), like=torch.float32, scale=4.0, unit="nats")
    fair = prefix_table(torch.zeros(4, 3))
    want = torch.full((9,), -2 * math.log(3), dtype=torch.float64)
    assert_agrees(student.log_prob(fair, x), want, like=torch.float32, scale=4.0, what="the result for another conditional")


@log_prob
@weight(0.125)
def test_log_prob_of_one_sequence_one_variable_or_one_value(student):
    """n = 1, m = 1 and K = 1 are sizes like others, and the conditional is called with all m columns."""
    first = prefix_table(CHAIN_LOGITS[:1].float())
    cases = [
        (of_all_columns(chain(), 2), [[1, 0]], [0.25]),
        (first, [[0], [1]], [0.25, 0.5]),
        (first, [[2]], [0.25]),
        (markov_table(torch.ones(4, 2, 1)), [[0, 0, 0, 0]] * 2, [1, 1]),
    ]
    for conditional, x, probabilities in cases:
        want = torch.tensor(probabilities).double().log()
        got = student.log_prob(conditional, torch.tensor(x))
        assert_agrees(got, want, like=torch.float32, scale=8.0, unit="nats")


@log_prob
@weight(0.042)
def test_log_prob_has_the_dtype_of_the_logits(student):
    """Logits in float32 give float32, logits in float64 float64; x stays as it is."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.log_prob.observed(chain(dtype), CHAIN_X)), dtype)
