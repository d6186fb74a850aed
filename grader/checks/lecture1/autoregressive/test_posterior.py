"""A class-conditional autoregressive model is a classifier (slide 31)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_form, assert_no_trace, refuses
from grader.checks.lecture1.autoregressive.draw import pull_back, rounding, table_model
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import class_conditional, markov_table
from grader.sandbox.wire.families import Family

class_posterior = pytest.mark.exercise("autoregressive.class_posterior")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.sampled_from(((1, 2), (2, 2), (3, 3), (4, 2)))  # (m, K)
classes = st.integers(1, 4)
batches = st.integers(1, 4)


def independent(m: int, logits: Tensor) -> Family:
    """m independent variables with the same logits."""
    K = len(logits)
    return markov_table(logits.expand(m, K + 1, K).contiguous())


def precision(models: list[Family], x: Tensor, log_prior: Tensor) -> Tensor:
    """The relative size of the rounding of a posterior: that of the log-joints below it, (n, 1)."""
    largest = torch.stack([rounding(model, x) for model in models]).amax(dim=0)  # (n,)
    return 2 * (largest + log_prior[log_prior.isfinite()].abs().max().double())[:, None]


@class_posterior
@weight(0.25)
@given(size=sizes, C=classes, n=batches, key=draw.seeds, dtype=draw.dtypes)
def test_the_posterior_is_bayes_rule(student, ref, size, C, n, key, dtype):
    """Each class gets its share of prior times likelihood."""
    m, K = size
    models = [table_model(m, K, key + c, dtype=dtype) for c in range(C)]
    x, log_prior = draw.integers((n, m), key, K), draw.pmf((C,), key, zeros=True, dtype=dtype).log()
    conditional = class_conditional(models)
    want = ref.class_posterior(conditional, x, log_prior)
    got = student.class_posterior(conditional, x, log_prior)
    assert_agrees(got, want, like=dtype, scale=want * precision(models, x, log_prior))


@class_posterior
@weight(0.25)
def test_two_coins_and_two_heads(student):
    """A fair coin and one with heads 3/4, equally likely before: after two heads the odds are 4 to 9."""
    fair, biased = independent(2, torch.zeros(2)), independent(2, torch.tensor([0.0, math.log(3)]))
    prior = torch.full((2,), 0.5).log()
    got = student.class_posterior(class_conditional([fair, biased]), torch.tensor([[1, 1], [0, 1], [0, 0]]), prior)
    want = torch.tensor([[4 / 13, 9 / 13], [4 / 7, 3 / 7], [4 / 5, 1 / 5]], dtype=torch.float64)
    assert_agrees(got, want, like=torch.float32, scale=4.0)


@class_posterior
@weight(0.5)
@examples(2)
@given(C=st.integers(2, 3), K=st.integers(3, 4), key=draw.seeds, dtype=draw.dtypes)
@example(C=2, K=3, key=0, dtype=torch.float32)
@example(C=2, K=3, key=0, dtype=torch.float64)
def test_the_posterior_of_784_dimensions_where_every_likelihood_underflows(student, ref, C, K, key, dtype):
    """For an image of 28 x 28 every likelihood underflows; the posterior is right, and its rows sum to one."""
    common = draw.normal((784, K + 1, K), key, 1.0, torch.float64)
    models = [markov_table((common + draw.normal(common.shape, key + c, 0.05)).to(dtype)) for c in range(C)]
    x, log_prior = draw.integers((2, 784), key, K), draw.pmf((C,), key, dtype=dtype).log()
    conditional, scale = class_conditional(models), precision(models, x, log_prior)
    got = student.class_posterior(conditional, x, log_prior)
    assert_form(got, (2, C), dtype)
    one = torch.ones(2, dtype=torch.float64)
    assert_agrees(got.sum(dim=1), one, like=dtype, scale=scale[:, 0], what="the sum of each row")
    want = ref.class_posterior(conditional, x, log_prior)
    assert_agrees(got, want, like=dtype, scale=want * scale)


@class_posterior
@weight(0.25)
@examples(7)
@given(C=classes, n=batches, key=draw.seeds, offset=st.sampled_from((0.0, -1000.0, 50.0)), dtype=draw.dtypes)
def test_what_says_nothing_about_the_class_leaves_the_prior(student, C, n, key, offset, dtype):
    """If all classes have one model the posterior is the prior, normalised if it was not; one class is certain."""
    model, prior = table_model(3, 2, key, dtype=dtype), draw.pmf((C,), key, zeros=True, dtype=dtype)
    x, log_prior = draw.integers((n, 3), key, 2), prior.log() + offset
    got = student.class_posterior(class_conditional([model] * C), x, log_prior)
    want = prior.double().expand(n, C)
    assert_agrees(got, want, like=dtype, scale=want * precision([model], x, log_prior))


@class_posterior
@weight(0.25)
def test_an_impossible_class_has_posterior_zero(student):
    """A class under which x cannot come up, or of prior zero, has probability 0, and the others share one."""
    never_one, fair = independent(3, torch.tensor([0.0, -math.inf])), independent(3, torch.zeros(2))
    conditional = class_conditional([never_one, fair, fair, fair])
    log_prior = torch.tensor([0.25, 0.25, 0.5, 0.0]).log()
    got = student.class_posterior(conditional, torch.tensor([[0, 1, 0]]), log_prior)
    want = torch.tensor([[0, 1 / 3, 2 / 3, 0]], dtype=torch.float64)
    assert_agrees(got, want, like=torch.float32, scale=4.0 * want)


@class_posterior
@weight(0.25)
@examples(6)
@given(C=st.integers(2, 3), n=batches, key=draw.seeds, dtype=draw.dtypes)
def test_the_posterior_has_gradients(student, ref, C, n, key, dtype):
    """Gradients reach the prior and the model of every class."""
    models = [table_model(2, 3, key + c, dtype=dtype) for c in range(C)]
    tables = [model.parameters["table"] for model in models]
    x, log_prior = draw.integers((n, 2), key, 3), draw.pmf((C,), key, dtype=dtype).log()
    weights, conditional = draw.normal((n, C), key, dtype=dtype), class_conditional(models)
    _, got = student.class_posterior.gradient(conditional, x, log_prior, wrt=[log_prior, *tables], weights=weights)
    p, w = ref.class_posterior(conditional, x, log_prior), weights.double()
    in_log_joint = p * (w - (w * p).sum(dim=1, keepdim=True))  # (n, C)
    size = p * (w.abs() + (w.abs() * p).sum(dim=1, keepdim=True)) * precision(models, x, log_prior)
    assert_agrees(got[0], in_log_joint.sum(dim=0), like=dtype, scale=size.sum(dim=0), what="the gradient in log_prior")
    for c, model in enumerate(models):
        score = ref.log_prob_score(model, x)  # (n, m, K)
        want = pull_back(model, x, in_log_joint[:, c, None, None] * score)
        scale = pull_back(model, x, size[:, c, None, None] * (score.abs() + 1))
        assert_agrees(got[1 + c], want, like=dtype, scale=scale, what=f"the gradient in the logits of class {c}")


@class_posterior
@weight(0.25)
def test_the_posterior_refuses_what_makes_no_sense_and_leaves_no_trace(student):
    """No samples, no variables and no classes are ValueErrors that name the argument; nothing else changes."""
    conditional = class_conditional([independent(2, torch.zeros(2)), independent(2, torch.ones(2))])
    x, log_prior = torch.tensor([[0, 1]]), torch.full((2,), 0.5).log()
    for empty in (x[:0], x[:, :0]):
        with refuses("x", "n", "m"):
            student.class_posterior(conditional, empty, log_prior)
    with refuses("log_prior", "C", "num_classes"):
        student.class_posterior(conditional, x, log_prior[:0])
    observed = student.class_posterior.observed(conditional, x, log_prior)
    assert_no_trace(observed)
    assert_form(observed.value, (1, 2), torch.float32)
    without = student.class_posterior.under_no_grad(conditional, x, log_prior)
    assert_agrees(without, observed.value, what="the result under torch.no_grad()")
