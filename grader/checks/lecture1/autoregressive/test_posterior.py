"""A class-conditional autoregressive model is a classifier (slide 31)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.autoregressive.draw import SIZES, pull_back, rounding, table_model
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import class_conditional, independent_table, of_all_columns
from grader.checks.lecture1.shared.layouts import layouts
from grader.sandbox.wire.families import Family

class_posterior = pytest.mark.exercise("autoregressive.class_posterior")
weight = pytest.mark.weight
examples = pytest.mark.examples

MANY = 4099  # rows: more than any batch, and no round number

classes = st.integers(2, 4)
batches = st.integers(2, 4)


def coin(m: int, heads: float, dtype: torch.dtype = torch.float32) -> Family:
    """m throws of a coin, 1 is heads."""
    return independent_table(torch.tensor([1 - heads, heads], dtype=dtype).log().repeat(m, 1))


def precision(models: list[Family], x: Tensor, log_prior: Tensor) -> Tensor:
    """The relative size of the rounding of a posterior: that of the log-joints below it, (n, 1)."""
    largest = torch.stack([rounding(model, x) for model in models]).amax(dim=0)  # (n,)
    return 2 * (largest + log_prior[log_prior.isfinite()].abs().max().double())[:, None]


@class_posterior
@weight(0.25)
def test_two_coins_and_two_heads(student):
    """A fair coin and one with heads 3/4: after two heads the odds are 4 to 9, and 12 to 9 if they were 3 to 1 before.

    They stay so when 1000 is added to all logits of a throw.
    """
    conditional, x = class_conditional([coin(2, 0.5), coin(2, 0.75)]), torch.tensor([[1, 1], [0, 1], [0, 0]])
    for prior, want in (([0.5, 0.5], [4 / 13, 4 / 7, 4 / 5]), ([0.75, 0.25], [12 / 21, 12 / 15, 12 / 13])):
        fair = torch.tensor(want, dtype=torch.float64)
        got = student.class_posterior(conditional, x, torch.tensor(prior).log())
        assert_agrees(got, torch.stack([fair, 1 - fair], dim=1), like=torch.float32, scale=4.0)
    logits = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 3.0], [1.0, 3.0]]]).double().log()  # (C, m, K)
    moved = logits + torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])[:, :, None]
    got = student.class_posterior(class_conditional([independent_table(table) for table in moved]), x, torch.tensor(prior).double().log())
    assert_agrees(got, torch.stack([fair, 1 - fair], dim=1), scale=1e4)


@class_posterior
@weight(0.375)
@given(size=st.sampled_from(SIZES), C=classes, n=batches, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 3), C=4, n=3, key=0, dtype=torch.float32)
@example(size=(3, 3), C=4, n=3, key=0, dtype=torch.float64)
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
@weight(0.375)
@examples(2)
@given(K=st.integers(3, 8), key=draw.seeds, dtype=draw.dtypes)
@example(K=3, key=0, dtype=torch.float64)
@example(K=256, key=0, dtype=torch.float32)
def test_the_posterior_of_784_dimensions_where_every_likelihood_underflows(student, K, key, dtype):
    """For an image of 28 x 28 every likelihood underflows; the posterior is right, and its rows sum to one."""
    m, gap = 784, 0.5 if K == 256 else 0.1  # in the logit of value 0, between one class and the next
    models = [independent_table(torch.zeros(m, K, dtype=dtype).index_fill(1, torch.tensor(0), c * gap)) for c in range(3)]
    x, log_prior = draw.integers((2, m), key, K), torch.zeros(3, dtype=dtype)
    zeros = (x == 0).sum(dim=1).double()  # (n,)
    log_joint = torch.stack([c * gap * zeros - m * math.log(math.exp(c * gap) + K - 1) for c in range(3)], dim=1)
    want = (log_joint - log_joint.logsumexp(dim=1, keepdim=True)).exp()
    got = student.class_posterior(class_conditional(models), x, log_prior)
    assert_agrees(got, want, like=dtype, scale=want * precision(models, x, log_prior))


@class_posterior
@weight(0.25)
@examples(7)
@given(C=classes, n=batches, key=draw.seeds, offset=st.sampled_from((0.0, -1000.0, 50.0)), dtype=draw.dtypes)
@example(C=3, n=2, key=0, offset=-1000.0, dtype=torch.float32)
def test_what_says_nothing_about_the_class_leaves_the_prior(student, C, n, key, offset, dtype):
    """If all classes have one model the posterior is the prior, normalised if it was not."""
    model, prior = table_model(3, 2, key, dtype=dtype), draw.pmf((C,), key, zeros=True, dtype=dtype)
    x, log_prior = draw.integers((n, 3), key, 2), prior.log() + offset
    got = student.class_posterior(class_conditional([model] * C), x, log_prior)
    want = prior.double().expand(n, C)
    assert_agrees(got, want, like=dtype, scale=want * precision([model], x, log_prior))


@class_posterior
@weight(0.25)
def test_an_impossible_class_has_posterior_zero(student):
    """A class under which x cannot come up, or of prior zero, has probability 0, and the others share one.

    So has, up to rounding, a class with a likelihood that is 10^4000 times smaller; one of prior zero may have the larger one.
    Odds of e^120 before and e^-150 by the likelihood are odds of e^-30.
    """
    conditional = class_conditional([coin(3, 0.0), coin(3, 0.5), coin(3, 0.5), coin(3, 0.5)])
    log_prior = torch.tensor([0.25, 0.25, 0.5, 0.0]).log()
    got = student.class_posterior(conditional, torch.tensor([[0, 1, 0], [1, 1, 0]]), log_prior)
    want = torch.tensor([0, 1 / 3, 2 / 3, 0], dtype=torch.float64).expand(2, 4)
    assert_agrees(got, want, like=torch.float32, scale=4.0 * want)
    sure = independent_table(torch.tensor([0.0, -4000.0]).repeat(3, 1))
    got = student.class_posterior(class_conditional([sure, coin(3, 0.5)]), torch.tensor([[1, 1, 1]]), torch.zeros(2))
    assert_agrees(got, torch.tensor([[0.0, 1.0]]), error=1e-6)
    got = student.class_posterior(class_conditional([sure, coin(3, 0.5)]), torch.tensor([[1, 1, 1]]), torch.tensor([1.0, 0.0]).log())
    assert_agrees(got, torch.tensor([[1.0, 0.0]]), error=1e-6)
    unlikely = class_conditional([independent_table(torch.tensor([[0.0, logit]])) for logit in (-150.0, 0.0)])
    got = student.class_posterior(unlikely, torch.tensor([[1]]), torch.tensor([120.0, 0.0]))
    assert_agrees(got, torch.tensor([[0.0, 1.0]]), error=1e-6)
    hardly = class_conditional([independent_table(torch.tensor([[0.0, -60.0]]).double()), coin(1, 0.5, torch.float64)])
    got = student.class_posterior(hardly, torch.tensor([[1]]), torch.zeros(2).double())  # e^-60 to 1/2
    want = torch.tensor([[2 * math.exp(-60), 1.0]]).double()
    assert_agrees(got, want, like=torch.float32, scale=100 * want)


@class_posterior
@weight(0.125)
def test_the_posterior_of_a_sequence_is_its_own(student):
    """Of 4099 sequences each has its own posterior, even where others are 10^10000 times as likely; memory layout aside."""
    m, unlikely = 2, torch.tensor([0.0, 0.0, -2e4])  # of the values 0, 1, 2
    odds = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # in favour of the second class: e for each 1
    conditional = class_conditional([of_all_columns(independent_table((unlikely + logits).repeat(m, 1)), m) for logits in odds])
    x = draw.integers((MANY, m), 3, 3)
    for laid_out, plain in layouts(x, x.flip(0) * 2 % 3):
        got = student.class_posterior(conditional, laid_out, torch.zeros(2))
        second = torch.sigmoid((plain == 1).sum(dim=1).double() - m * math.log((1 + math.e) / 2))
        want = torch.stack([1 - second, second], dim=1)
        # near 2e4 * m a float32 log-likelihood has steps of 1/256
        assert_agrees(got, want, like=torch.float32, scale=4.0 + 8e4 * (plain == 2).any(dim=1)[:, None])


@class_posterior
@weight(0.125)
def test_the_posterior_learns(student):
    """Gradients reach the log-prior and the logits: raising one class lowers the others by as much.

    So it is for one sequence or many, and for the logits alone.
    """
    log_prior = torch.full((2,), 0.5).log()
    x, weights = torch.tensor([[1, 1], [0, 1]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    biased = coin(2, 0.75)
    logits = biased.parameters["table"]
    conditional = class_conditional([coin(2, 0.5), biased])
    _, got = student.class_posterior.gradient(conditional, x, log_prior, wrt=[log_prior, logits], weights=weights)
    first, second = 4 / 13 * 9 / 13, 2 * 4 / 7 * 3 / 7  # of the fair coin for (1, 1), of the biased one, twice, for (0, 1)
    one = torch.tensor([-1 / 4, 1 / 4]).double()  # the gradient of the log-probability of a 1; that of a 0 is -3 times it
    want = torch.stack([-first * one - second * 3 * one, -first * one + second * one])
    in_prior = torch.tensor([first - second, second - first], dtype=torch.float64)
    assert_gradient_agrees(got[0], in_prior, of="log_prior", like=torch.float32, scale=4.0)
    assert_gradient_agrees(got[1], want, of="the logits of the second class", like=torch.float32, scale=4.0)
    for many in (1, 65):  # sequences (1, 1), of which the logits alone learn
        _, (got,) = student.class_posterior.gradient(
            conditional, x[:1].repeat(many, 1), log_prior, wrt=[logits], weights=weights[:1].repeat(many, 1)
        )
        want = many * torch.stack([-first * one, -first * one])
        assert_gradient_agrees(got, want, of=f"the logits for {many} sequences", like=torch.float32, scale=4.0 * many)


@class_posterior
@weight(0.125)
@examples(4)
@given(C=st.integers(2, 3), n=batches, key=draw.seeds, dtype=draw.dtypes)
@example(C=3, n=4, key=33450, dtype=torch.float32)
@example(C=3, n=4, key=10**9 + 1, dtype=torch.float64)
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
    assert_gradient_agrees(got[0], in_log_joint.sum(dim=0), of="log_prior", like=dtype, scale=size.sum(dim=0))
    for c, model in enumerate(models):
        score = ref.log_prob_score(model, x)  # (n, m, K)
        want = pull_back(model, x, in_log_joint[:, c, None, None] * score)
        scale = pull_back(model, x, size[:, c, None, None] * (score.abs() + 1))
        assert_gradient_agrees(got[1 + c], want, of=f"the logits of class {c}", like=dtype, scale=scale)


@class_posterior
@weight(0.125)
def test_the_posterior_has_the_dtype_of_its_inputs_also_for_one_class_or_sequence(student):
    """float32 gives float32, float64 float64; C = 1, n = 1 and m = 1 are sizes like others; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        for C, n, m in ((2, 3, 2), (1, 2, 3), (3, 1, 2), (2, 2, 1), (1, 1, 1)):
            conditional = class_conditional([coin(m, 0.5, dtype)] * C)
            got = assert_unchanged(student.class_posterior.observed(conditional, torch.ones(n, m).long(), -torch.ones(C, dtype=dtype)))
            assert_agrees(got, torch.full((n, C), 1 / C, dtype=torch.float64), like=torch.float32, scale=float(m))
            assert_dtype(got, dtype)
