"""Causal attention."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import (
    Mismatch,
    assert_agrees,
    assert_form,
    assert_gradient_agrees,
    assert_no_trace,
    refuses,
)
from grader.checking.tolerance import condition_of
from grader.checks.lecture1.imagegpt.helpers import elsewhere
from grader.checks.lecture1.shared import draw

attention = pytest.mark.exercise("imagegpt.causal_attention")
weight, examples = pytest.mark.weight, pytest.mark.examples
SEVERAL = tuple(draw.normal((4, 2, 3, 5), key, dtype=torch.float64) for key in (1, 2, 3))  # (n, h, t, e) all differ
STORED = SEVERAL[0], *(draw.normal((4, 2, 6, 5), key, dtype=torch.float64) for key in (2, 3))  # three keys are older
SMALL = {"K": 2, "m": 4, "dim": 6, "num_layers": 1, "num_heads": 2}


@st.composite
def queries_keys_values(draw_, longer=False, scale=1.0, dtype=None, min_t=1):
    """q: (n, h, t, e) and k, v: (n, h, s, e), with more keys than queries where `longer`."""
    n, h, e = (draw_(st.integers(1, high)) for high in (2, 3, 5))
    t = draw_(st.integers(min_t, 5))
    s = t + draw_(st.integers(1, 4)) if longer else t
    dtype = draw_(draw.dtypes) if dtype is None else dtype
    keys = [draw_(draw.seeds) for _ in range(3)]
    return tuple(
        draw.normal((n, h, length, e), key, size, dtype)
        for length, key, size in zip((t, s, s), keys, (scale, scale, 1.0), strict=True)
    )


def assert_attends(got, ref, q, k, v):
    """`got` is the attention of q, k, v, up to what rounding does to scores and values."""
    condition = condition_of(ref.causal_attention, q, k, v, dtype=q.dtype)
    assert_agrees(got, ref.causal_attention(q, k, v), like=q, condition=condition, scale=v.abs().max().double())


@attention
@weight(0.5)
@examples(8)
@given(qkv=queries_keys_values())
@example(qkv=SEVERAL)
def test_attention_averages_the_values_seen_so_far(student, ref, qkv):
    """Each query gets the mean of the values up to its own, with weights proportional to exp(q . k / sqrt(e))."""
    assert_attends(student.causal_attention(*qkv), ref, *qkv)


@attention
@weight(0.5)
@examples(8)
@given(qkv=queries_keys_values(longer=True))
@example(qkv=STORED)
def test_queries_stand_at_the_last_positions(student, ref, qkv):
    """With more keys than queries, the last query sees every key, and the first one all but the keys of the others."""
    assert_attends(student.causal_attention(*qkv), ref, *qkv)


@attention
@weight(0.25)
@examples(5)
@given(qkv=queries_keys_values(dtype=torch.float64, min_t=2), key=draw.seeds)
@example(qkv=SEVERAL, key=0)
def test_a_query_does_not_see_later_keys_and_values(student, qkv, key):
    """Other keys and values at later positions change nothing for a query."""
    q, k, v = qkv
    t = q.shape[2]
    before = student.causal_attention(q, k, v)
    assert_form(before, q.shape, q.dtype)
    for seen in range(1, t):
        other_k, other_v = k.clone(), v.clone()
        other_k[:, :, seen:] = draw.normal(tuple(k[:, :, seen:].shape), key, 10.0, q.dtype)
        other_v[:, :, seen:] = draw.normal(tuple(v[:, :, seen:].shape), key + 1, 10.0, q.dtype)
        after = student.causal_attention(q, other_k, other_v)
        assert_form(after, q.shape, q.dtype)
        what = f"the first {seen} rows after a change of later keys and values"
        assert_agrees(after[:, :, :seen], before[:, :, :seen], scale=v.abs().max(), what=what)


@attention
@weight(0.25)
@examples(5)
@given(qkv=queries_keys_values())
@example(qkv=SEVERAL)
def test_queries_that_ask_nothing_get_the_mean(student, qkv):
    """A query of zeros weighs everything it sees alike, and the first query sees the first value only."""
    q, k, v = qkv
    t = q.shape[2]
    means = v.double().cumsum(dim=2) / torch.arange(1, t + 1)[:, None]
    assert_agrees(
        student.causal_attention(torch.zeros_like(q), k, v), means, like=q, scale=v.double().abs().sum(2, True)
    )
    alone = student.causal_attention(q[:, :, :1], k[:, :, :1], v[:, :, :1])
    assert_agrees(alone, v[:, :, :1].double(), like=q, what="the only query's result")


@attention
@weight(0.25)
@examples(5)
@given(qkv=queries_keys_values(scale=100.0))
@example(qkv=tuple(torch.tensor([[[[1.0], [-1.0], [2.0]]]]) * size for size in (1000.0, 1000.0, 1.0)))
@example(qkv=(torch.full((1, 1, 2, 1), 1e3), torch.full((1, 1, 2, 1), -1e3), torch.tensor([[[[1.0], [2.0]]]])))
@example(qkv=(torch.full((1, 1, 2, 1), 1e2), torch.full((1, 1, 2, 1), -1e2), torch.tensor([[[[1.0], [2.0]]]])))
def test_large_scores_do_not_overflow(student, ref, qkv):
    """Scores of many thousands pick out the largest one: nothing overflows, and what is masked stays masked."""
    assert_attends(student.causal_attention(*qkv), ref, *qkv)


@attention
@weight(0.25)
@examples(2)
@given(qkv=queries_keys_values(longer=True, dtype=torch.float64))
@example(qkv=STORED)
def test_heads_and_images_do_not_meet(student, qkv):
    """Every head of every image attends to itself alone."""
    together = student.causal_attention(*qkv)
    assert_form(together, qkv[0].shape, torch.float64)
    for i in range(together.shape[0]):
        for head in range(together.shape[1]):
            alone = student.causal_attention(*(x[i : i + 1, head : head + 1] for x in qkv))
            what = f"head {head} of image {i} on its own"
            assert_agrees(alone, together[i : i + 1, head : head + 1], scale=qkv[2].abs().max(), what=what)


@attention
@weight(0.25)
@examples(4)
@given(qkv=queries_keys_values(longer=True, dtype=torch.float64), key=draw.seeds)
@example(qkv=tuple(draw.normal((1, 2, 4, 3), key, dtype=torch.float64) for key in (1, 2, 3)), key=0)
def test_attention_has_the_gradient_that_training_needs(student, ref, qkv, key):
    """Gradients reach queries, keys and values, through the weights too."""
    q, k, v = qkv
    w = draw.normal(tuple(q.shape), key, dtype=q.dtype)
    got, gradients = student.causal_attention.gradient(q, k, v, wrt=[q, k, v], weights=w)
    assert_form(got, q.shape, q.dtype)
    want = ref.causal_attention_gradients(q, k, v, w)
    for name, place, gradient in zip("qkv", range(3), gradients, strict=True):
        one = lambda *args, place=place: ref.causal_attention_gradients(*args)[place]  # noqa: E731
        condition = condition_of(one, q, k, v, w, dtype=q.dtype)
        size = want[place].abs().max()
        assert_gradient_agrees(gradient, want[place], of=name, like=q, condition=condition, scale=size + w.abs().max())


@attention
@weight(0.25)
@examples(2)
@given(qkv=queries_keys_values(longer=True))
@example(qkv=STORED)
def test_attention_leaves_no_trace(student, ref, qkv):
    """Queries, keys and values stay as they are, nothing is drawn, and it works where gradients are off."""
    observed = student.causal_attention.observed(*qkv)
    assert_no_trace(observed)
    assert_attends(observed.value, ref, *qkv)
    assert_attends(student.causal_attention.under_no_grad(*qkv), ref, *qkv)


@attention
@weight(0.25)
@examples(1)
@given(qkv=queries_keys_values(longer=True))
@example(qkv=STORED)
def test_attention_refuses_fewer_keys_than_queries(student, qkv):
    """Queries without keys of their own position, and keys and values of different lengths, are refused."""
    q, k, v = qkv
    t = q.shape[2]
    twice = torch.cat([q, q], dim=2), k[:, :, : 2 * t - 1], v[:, :, : 2 * t - 1]
    more_heads = q, torch.cat([k, k], dim=1), torch.cat([v, v], dim=1)
    fewer_numbers = torch.cat([q, q], dim=3), k, v
    for case in (twice, more_heads, fewer_numbers, (q, k, v[:, :, :-1]), (q, k[:, :, :-1], v)):
        with refuses("q", "k", "v", "s", "t", "h", "e"):
            student.causal_attention(*case)


@attention
@weight(0.25)
@examples(1)
@given(qkv=queries_keys_values(longer=True))
@example(qkv=tuple(torch.ones(1, 2, 3, 4) for _ in range(3)))
def test_attention_stays_on_the_device_of_its_inputs(student, qkv):
    """Masks and all else are made where the queries are, whatever that device is."""
    problem = student.run(elsewhere, student.Block(student.ImageGPTConfig(**SMALL)), "causal_attention", *qkv)
    if problem:
        raise Mismatch(
            "device", f"with q, k and v on another device, {problem}. Give `device=q.device` to what you make."
        )
