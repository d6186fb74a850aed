"""Causal attention."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import (
    Mismatch,
    assert_agrees,
    assert_calls_agree,
    assert_dtype,
    assert_form,
    assert_gradient_agrees,
    assert_reached,
    assert_unchanged,
)
from grader.checking.student import CannotObserve
from grader.checking.tolerance import condition_of
from grader.checks.lecture1.imagegpt.helpers import elsewhere
from grader.checks.lecture1.shared import draw

attention = pytest.mark.exercise("imagegpt.causal_attention")
weight, examples = pytest.mark.weight, pytest.mark.examples


def tensors(n, h, t, e, s=None, dtype=torch.float64, scale=1.0, key=1):
    """q: (n, h, t, e) and k, v: (n, h, s, e)."""
    sizes = ((t, scale), (s or t, scale), (s or t, 1.0))
    return tuple(draw.normal((n, h, length, e), key + i, size, dtype) for i, (length, size) in enumerate(sizes))


SEVERAL = tensors(4, 2, 3, 5)  # (n, h, t, e) all differ
STORED = tensors(4, 2, 3, 5, s=6)  # three keys are older
LONG = tensors(1, 2, 70, 5, s=257, scale=2.0)


@st.composite
def queries_keys_values(draw_, longer=False, scale=1.0, dtype=None):
    """q: (n, h, t, e) and k, v: (n, h, s, e), with more keys than queries where `longer`."""
    n, h, t = draw_(st.integers(1, 2)), draw_(st.integers(2, 3)), draw_(st.integers(2, 5))
    s = t + draw_(st.integers(1, 4)) if longer else t
    e, dtype = draw_(st.integers(2, 5)), draw_(draw.dtypes) if dtype is None else dtype
    return tensors(n, h, t, e, s, dtype, scale, draw_(draw.seeds))


def assert_attends(got, ref, q, k, v, scores=1.0):
    """`got` is the attention of q, k, v, up to what rounding does to scores, of at most this size, and to values."""
    condition = condition_of(ref.causal_attention, q, k, v, dtype=q.dtype, trials=4)
    assert_agrees(got, ref.causal_attention(q, k, v), like=q, condition=condition.max(), scale=scores * v.abs().max().double())


KNOWN = (
    torch.tensor([[[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[0.5, -1.0], [2.0, 0.0], [-1.0, 1.5]],
                   [[0.0, 2.0], [1.5, 0.5], [-0.5, -0.5]]]]),  # q: (1, 3, 3, 2)
    torch.tensor([[[[1.0, 1.0], [2.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], [[0.0, 1.0], [1.0, 0.5], [-0.5, 0.0], [2.0, 2.0]],
                   [[1.0, -1.0], [0.5, 0.5], [0.0, 1.5], [-2.0, 1.0]]]]),  # k: (1, 3, 4, 2), one more than q
    torch.tensor([[[[1.0, 0.0], [3.0, 1.0], [5.0, -1.0], [9.0, 2.0]], [[0.0, 4.0], [2.0, 2.0], [1.0, 0.0], [-3.0, 5.0]],
                   [[2.0, 1.0], [0.0, -2.0], [6.0, 3.0], [1.0, 7.0]]]]),
)  # fmt: skip
ATTENDED = torch.tensor(
    [
        [
            [[2.339523, 0.669762], [3.583960, -0.435946], [3.449784, 0.149928]],
            [[1.339523, 2.660477], [1.555311, 2.180843], [-0.415728, 3.255511]],
            [[0.214084, -1.678875], [2.476351, 0.533445], [1.872170, 3.049946]],
        ]
    ]
)


@attention
@weight(0.5)
def test_attention_of_a_few_numbers(student):
    """Three queries of zeros see the means 2, 3 and 5 of 2, 4 and 9; with e = 4, scores of 0 and log 9 weigh 1 to 3."""
    zeros, values = torch.zeros(1, 1, 3, 1), torch.tensor([[[[2.0], [4.0], [9.0]]]])
    mistaken = {"Every query sees all keys: it may see those up to its own position only.": torch.full((1, 1, 3, 1), 5.0).double()}
    got = student.causal_attention(zeros, zeros, values)
    assert_agrees(got, torch.tensor([[[[2.0], [3.0], [5.0]]]]).double(), like=values, mistaken=mistaken)
    half = 0.5 * math.log(3)
    ones = torch.ones(1, 1, 1, 4)  # the query; keys and values are multiples of it
    keys, values = (torch.cat([0 * ones, number * ones], dim=2) for number in (half, 8.0))
    mistaken = {
        "The scores are not scaled: they are divided by the root of e, the size of a head.": 7.2 * ones.double(),
        "The scores are divided by e: it is the root of e.": 8 / (1 + 3**-0.5) * ones.double(),
    }
    got = student.causal_attention(ones, keys, values)
    assert_agrees(got, 6.0 * ones.double(), like=values, error=1e-6, mistaken=mistaken)
    assert_agrees(student.causal_attention(*KNOWN), ATTENDED.double(), like=KNOWN[0], error=1e-6)


@attention
@weight(0.5)
@examples(6)
@given(qkv=queries_keys_values(dtype=torch.float32))
@example(qkv=tensors(4, 2, 3, 5, dtype=torch.float32))
def test_attention_averages_the_values_seen_so_far(student, ref, qkv):
    """Each query gets the mean of the values up to its own, with weights proportional to exp(q . k / sqrt(e))."""
    assert_attends(student.causal_attention(*qkv), ref, *qkv)


@attention
@weight(0.375)
@examples(6)
@given(qkv=queries_keys_values(longer=True))
@example(qkv=STORED)
@example(qkv=tensors(2, 2, 1, 3, s=6))
def test_queries_stand_at_the_last_positions(student, ref, qkv):
    """With more keys than queries, the last query sees every key, and the first one all but the keys of the others."""
    assert_attends(student.causal_attention(*qkv), ref, *qkv)


@attention
@weight(0.25)
def test_a_query_looks_back_as_far_as_there_are_keys(student, ref):
    """The last 70 queries over 257 keys, and 257 queries over as many: the oldest key counts as the newest does."""
    q, k, v = LONG
    assert_attends(student.causal_attention(q, k, v), ref, q, k, v)
    every = k[:, :1], k[:, :1] / 2, v[:, :1]
    assert_attends(student.causal_attention(*every), ref, *every)


@attention
@weight(0.125)
def test_queries_of_zeros_see_the_mean_of_257_values(student):
    """With no preference each query gets the mean of all values up to its own, from the oldest one on."""
    values = torch.arange(257.0, dtype=torch.float64)[None, None, :, None] / 3
    zeros = torch.zeros_like(values)
    assert_agrees(student.causal_attention(zeros, zeros, values), values / 2, scale=86.0)
    assert_agrees(student.causal_attention(zeros[:, :, -3:], zeros, values), values[:, :, -3:] / 2, scale=86.0)


@attention
@weight(0.25)
@examples(3)
@given(qkv=queries_keys_values(dtype=torch.float64), key=draw.seeds)
@example(qkv=SEVERAL, key=0)
def test_a_query_does_not_see_later_keys_and_values(student, qkv, key):
    """Other keys and values at later positions change nothing for a query."""
    q, k, v = qkv
    before = student.causal_attention(q, k, v)
    assert_form(before, q.shape)
    for seen in range(1, q.shape[2]):
        other_k, other_v = k.clone(), v.clone()
        other_k[:, :, seen:] = draw.normal(tuple(k[:, :, seen:].shape), key, 10.0, q.dtype)
        other_v[:, :, seen:] = draw.normal(tuple(v[:, :, seen:].shape), key + 1, 10.0, q.dtype)
        after = student.causal_attention(q, other_k, other_v)
        assert_form(after, q.shape)
        assert_calls_agree(
            after[:, :, :seen], before[:, :, :seen], scale=v.abs().max(),
            call=f"with other keys and values from position {seen} on, your call", other_call=f"before that change, rows up to {seen - 1}",
        )  # fmt: skip


@attention
@weight(0.125)
@examples(4)
@given(qkv=queries_keys_values(scale=100.0))
@example(qkv=tuple(torch.tensor([[[[1.0], [-1.0], [2.0]]]]) * size for size in (1000.0, 1000.0, 1.0)))
def test_large_scores_do_not_overflow(student, ref, qkv):
    """Scores of many thousands pick out the largest one: nothing overflows, and what is masked stays masked."""
    q, k, v = qkv
    scores = (q @ k.mT).abs().max().double() / math.sqrt(q.shape[3])  # exp(scores - logsumexp) rounds numbers of that size
    assert_attends(student.causal_attention(q, k, v), ref, q, k, v, scores=scores)


@attention
@weight(0.125)
def test_a_large_score_picks_out_one_value(student):
    """Of two equal scores of -1e4 or of -1e6 the later one is masked all the same, and of 1e6, 9e5, -1e6 the first wins."""
    values = torch.tensor([[[[1.0], [2.0]]]])
    for size in (1e2, 1e3):
        same = torch.full((1, 1, 2, 1), size)
        want = torch.tensor([[[[1.0], [1.5]]]]).double()
        scale = torch.tensor([[0.0], [size**2]])  # whoever exponentiates log-probabilities has rounded numbers as large as scores
        assert_agrees(student.causal_attention(same, -same, values), want, like=values, scale=scale)
    keys = torch.tensor([[[[1e3], [9e2], [-1e3]], [[-1e3], [0.0], [-1e3]]]])  # two heads: scores of very different size
    values = torch.tensor([[[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]]])
    want = torch.tensor([[[[1.0]], [[5.0]]]]).double()
    assert_agrees(student.causal_attention(torch.full((1, 2, 1, 1), 1e3), keys, values), want, like=values)


@attention
@weight(0.125)
def test_attention_of_one_image_one_head_one_position_one_number(student, ref):
    """Axes of length one stay: one image, one head, one query, heads of size one."""
    for n, h, t, s, e in ((1, 2, 3, 4, 2), (2, 1, 3, 4, 2), (2, 2, 1, 1, 2), (2, 2, 2, 3, 1), (1, 1, 1, 1, 1)):
        qkv = tensors(n, h, t, e, s)
        assert_attends(student.causal_attention(*qkv), ref, *qkv)


@attention
@weight(0.125)
def test_attention_of_tensors_of_any_layout(student):
    """q, k and v as parts of one projection: how numbers lie in memory does not matter."""
    twice = [x.repeat(2, 1, 1, 1) for x in (*KNOWN, ATTENDED)]  # two images
    assert_agrees(student.causal_attention.strided(*twice[:3]), twice[3].double(), like=KNOWN[0], error=1e-6)


@attention
@weight(0.042)
def test_attention_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; q, k and v stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.causal_attention.observed(*(x.to(dtype) for x in KNOWN))), dtype)


@attention
@weight(0.0625)
def test_gradients_reach_queries_keys_and_values(student):
    """None of the three is cut off from the graph."""
    q, k, v = (x.double() for x in KNOWN)
    _, gradients = student.causal_attention.gradient(q, k, v, wrt=[q, k, v], weights=ATTENDED.double())
    assert_reached(
        {name: gradient if gradient is not None and gradient.any() else None for name, gradient in zip("qkv", gradients, strict=True)}
    )
    long = [x[:1, :1].repeat(1, 1, 65, 1) for x in (q, k, v)]  # one head, many positions
    _, gradients = student.causal_attention.gradient(*long, wrt=long)
    assert_reached(dict(zip("qkv", gradients, strict=True)))


@attention
@weight(0.1875)
@examples(3)
@given(qkv=queries_keys_values(longer=True, dtype=torch.float64), key=draw.seeds)
@example(qkv=tensors(1, 2, 4, 3), key=0)
def test_attention_has_the_gradient_that_training_needs(student, ref, qkv, key):
    """Gradients reach queries, keys and values, through the weights too."""
    q, k, v = qkv
    w = draw.normal(tuple(q.shape), key, dtype=q.dtype)
    _, gradients = student.causal_attention.gradient(q, k, v, wrt=[q, k, v], weights=w)
    want = ref.causal_attention_gradients(q, k, v, w)
    for name, place, gradient in zip("qkv", range(3), gradients, strict=True):
        one = lambda *args, place=place: ref.causal_attention_gradients(*args)[place]  # noqa: E731
        condition = condition_of(one, q, k, v, w, dtype=q.dtype, trials=3)
        size = want[place].abs().max()
        assert_gradient_agrees(gradient, want[place], of=name, like=q, condition=condition.max(), scale=size + w.abs().max())


@attention
@weight(0.125)
def test_attention_stays_on_the_device_of_its_inputs(student):
    """Masks and all else are made where the queries are, whatever that device is."""
    student.causal_attention(*KNOWN)  # what fails here fails for another reason
    sizes = {"K": 2, "m": 4, "dim": 6, "num_layers": 1, "num_heads": 2}
    problem = student.run(elsewhere, student.Block(student.ImageGPTConfig(**sizes)), "causal_attention", *KNOWN)
    if problem is None:
        raise CannotObserve("where this function computes cannot be seen without a GPU")
    if problem:
        raise Mismatch("device", f"with q, k and v on another device, {problem}. Give `device=q.device` to what you make.")
