"""The Markov assumption (slide 41): one MLP for all conditionals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import (
    Mismatch,
    assert_agrees,
    assert_dtype,
    assert_form,
    assert_gradient_agrees,
    assert_unchanged,
)
from grader.checking.student import Remote, Student
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.layouts import layouts

markov_mlp = pytest.mark.exercise("autoregressive.MarkovMLP.forward")
weight = pytest.mark.weight
examples = pytest.mark.examples

lengths = st.integers(3, 6)
orders = st.integers(2, 3)  # never longer than a sequence: that has a check of its own
batches = st.integers(2, 3)

Weights = dict[str, Tensor]


def whole_weights(K: int, d: int, key: int, dtype: torch.dtype) -> Weights:
    """Whole numbers and halves for every layer: no sum is rounded, and no hidden unit sits on the kink of its ReLU."""
    embedding_dim, hidden_dim = 3, 5
    shapes = {
        "embedding.weight": (K + 1, embedding_dim),
        "mlp.0.weight": (hidden_dim, d * embedding_dim),
        "mlp.0.bias": (hidden_dim,),
        "mlp.2.weight": (K, hidden_dim),
        "mlp.2.bias": (K,),
    }
    weights = {name: (draw.integers(shape, key + i, 9) - 4).to(dtype) for i, (name, shape) in enumerate(shapes.items())}
    return weights | {"mlp.0.bias": weights["mlp.0.bias"] + 0.5}


def reading_weights(K: int, d: int) -> Weights:
    """An MLP that writes the window down as a decimal number, the start token as K: logit k is k plus this number.

    A token t is embedded as (t, 1). Of the hidden units the first d hold the tokens, and one more, which would add
    hundreds, is below zero: the ReLU cuts it off.
    """
    read = torch.zeros(d + 1, d, 2)
    read[range(d), range(d), 0] = 1.0
    read[d, 0, 0] = -1.0
    return {
        "embedding.weight": torch.stack([torch.arange(K + 1.0), torch.ones(K + 1)], dim=1),
        "mlp.0.weight": read.flatten(1),
        "mlp.0.bias": torch.tensor([0.0] * d + [-1.0]),
        "mlp.2.weight": torch.tensor([10.0**p for p in range(d - 1, -1, -1)] + [100.0]).repeat(K, 1),
        "mlp.2.bias": torch.arange(float(K)),
    }


def model_with(student: Student, weights: Weights, d: int) -> Remote:
    """The student's model with these weights."""
    embedding, hidden = weights["embedding.weight"], weights["mlp.0.weight"]
    model = student.MarkovMLP(len(embedding) - 1, d, embedding_dim=embedding.shape[1], hidden_dim=len(hidden))
    if not isinstance(model, Remote):
        raise Mismatch("type", "MarkovMLP(K, d) does not give a model: __init__ is given, leave it as it is", model)
    if embedding.dtype == torch.float64:
        model.double()
    model.load_state_dict(weights)
    return model


@markov_mlp
@weight(0.75)
def test_an_mlp_that_writes_its_window_down(student):
    """With weights that print the window as digits, (1, 0, 2) is read as ss, s1, 10: oldest first, s for start."""
    model = model_with(student, reading_weights(K=3, d=2), d=2)
    number = torch.tensor([[33.0, 31.0, 10.0], [33.0, 32.0, 20.0]])  # s is written as 3
    assert_agrees(model(torch.tensor([[1, 0, 2], [2, 0, 0]])), number[:, :, None] + torch.arange(3.0))


@markov_mlp
@weight(0.75)
@examples(8)
@given(n=batches, m=lengths, K=st.integers(2, 4), d=orders, key=draw.seeds, dtype=draw.dtypes)
@example(n=2, m=6, K=3, d=2, key=0, dtype=torch.float32)
@example(n=2, m=6, K=3, d=3, key=1, dtype=torch.float64)
def test_logits_come_from_the_mlp_of_the_window(student, ref, n, m, K, d, key, dtype):
    """The logits of x_j are the raw output of the shared MLP for the d embeddings before it, oldest first."""
    weights, x = whole_weights(K, d, key, dtype), draw.integers((n, m), key + 9, K)
    assert_agrees(model_with(student, weights, d)(x), ref.markov_mlp(weights, x, d), like=dtype)


@markov_mlp
@weight(0.375)
@examples(6)
@given(m=lengths, d=orders, key=draw.seeds)
@example(m=6, d=3, key=8113)  # a logit below zero
def test_logits_depend_on_exactly_the_d_values_before(student, m, d, key):
    """Changing x_i changes the logits of the d variables after it, and no others: not of itself, not of other rows."""
    K = 4
    x = draw.integers((1, m), key, K)
    changed = (x + torch.eye(m, dtype=torch.int64)) % K  # row i has another x_i
    model = model_with(student, reading_weights(K, d), d)
    got = model(torch.cat([x, changed]))
    assert_form(got, (m + 1, m, K))
    influences = (got[1:] != got[:1]).any(dim=2)  # [i, j]: x_i matters to the logits of x_j
    lag = torch.arange(m) - torch.arange(m)[:, None]
    assert_agrees(influences, (lag >= 1) & (lag <= d), what="whether x_i (row) matters to the logits of x_j (column)")


@markov_mlp
@weight(0.25)
@examples(6)
@given(m=lengths, d=orders, token=st.integers(0, 3))
def test_the_start_token_is_a_token_of_its_own(student, m, d, token):
    """The embedding of the start token matters to the first d variables, and to no others."""
    weights = reading_weights(4, d)
    x = torch.full((2, m), token)
    one = model_with(student, weights, d)(x)
    moved = weights["embedding.weight"].clone()
    moved[4] += 1
    other = model_with(student, weights | {"embedding.weight": moved}, d)(x)
    assert_form(one, (2, m, 4))
    assert_form(other, (2, m, 4))
    matters = (one != other)[0, :, 0]
    assert_agrees(matters, torch.arange(m) < d, what="whether the start token matters to the logits of x_j")


@markov_mlp
@weight(0.25)
def test_each_embedding_learns_from_the_places_where_it_stands(student):
    """In (1, 0, 2), read as ss, s1, 10, the token s stands twice in front and once behind, 1 once each, 0 once behind."""
    off_the_kink = {"mlp.0.bias": torch.tensor([0.5, 0.5, -1.0])}
    model = model_with(student, reading_weights(K=3, d=2) | off_the_kink, d=2)
    _, _, got = model.forward.gradient(torch.tensor([[1, 0, 2]]), wrt_parameters_of=model)
    want = torch.tensor([[1.0, 0.0], [11.0, 0.0], [0.0, 0.0], [21.0, 0.0]]) * 3  # 10 in front and 1 behind, in each of three logits
    assert_gradient_agrees(got.get("embedding.weight"), want, of="embedding.weight")


@markov_mlp
@weight(0.25)
@examples(6)
@given(n=batches, m=lengths, K=st.integers(2, 4), d=orders, key=draw.seeds)
@example(n=1, m=1, K=3, d=2, key=0)
def test_every_parameter_of_the_mlp_learns(student, ref, n, m, K, d, key):
    """Gradients reach the embedding, the start token's row too, and every layer of the MLP."""
    weights, x = whole_weights(K, d, key, torch.float32), draw.integers((n, m), key + 9, K)
    output = (draw.integers((n, m, K), key + 10, 7) - 3).float()
    model = model_with(student, weights, d)
    _, _, got = model.forward.gradient(x, weights=output, wrt_parameters_of=model)
    for name, want in ref.markov_mlp_gradients(weights, x, d, output).items():
        assert_gradient_agrees(got.get(name), want, of=name, like=torch.float32)


@markov_mlp
@weight(0.125)
def test_a_window_longer_than_the_sequence_or_of_one_value(student):
    """d may exceed m; n = 1, m = 1, d = 1 and K = 1 are sizes like others."""
    for row, d, want in (([1, 0], 4, [3333, 3331]), ([1, 2], 1, [3, 1]), ([2], 2, [33]), ([2], 1, [3])):
        model = model_with(student, reading_weights(K=3, d=d), d)
        expected = torch.tensor(want).float()[:, None] + torch.arange(3.0)
        assert_agrees(model(torch.tensor([row, row])), expected.expand(2, -1, -1))
        assert_agrees(model(torch.tensor([row])), expected[None], what="the result for one row")
    only_zero = model_with(student, reading_weights(K=1, d=2), 2)
    assert_agrees(only_zero(torch.zeros(1, 3).long()), torch.tensor([[[11.0], [10.0], [0.0]]]), what="the result for K = 1")


@markov_mlp
@weight(0.125)
def test_the_mlp_asks_anew_and_wherever_x_lies(student):
    """The order in memory of x does not matter, nor what was asked before."""
    model = model_with(student, reading_weights(K=3, d=1), d=1)
    x = torch.tensor([[1, 0, 2], [2, 2, 1]])
    for laid_out, plain in layouts(x, x.flip(0)):
        before = torch.cat([torch.full((2, 1), 3), plain[:, :2]], dim=1)
        assert_agrees(model(laid_out), before[:, :, None] + torch.arange(3.0))


@markov_mlp
@weight(0.042)
def test_the_logits_have_the_dtype_of_the_weights(student):
    """A model in float32 gives float32, one in float64 float64; 784 variables of 256 values are a size like others; x stays as it is."""
    for dtype in draw.DTYPES:
        weights = {name: weight.to(dtype) for name, weight in reading_weights(K=256, d=1).items()}
        got = assert_unchanged(model_with(student, weights, 1).forward.observed(torch.arange(2 * 784).view(2, 784) % 256))
        assert_form(got, (2, 784, 256))
        assert_dtype(got, dtype)
