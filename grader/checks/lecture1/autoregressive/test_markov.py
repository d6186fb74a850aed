"""The Markov assumption (slides 41 and 42): windows, masks, and one MLP for all conditionals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.student import Remote, Student
from grader.checks.lecture1.imagegpt.helpers import get_modes, get_weights, set_modes
from grader.checks.lecture1.shared import draw

context_windows = pytest.mark.exercise("autoregressive.context_windows")
context_mask = pytest.mark.exercise("autoregressive.context_mask")
markov_mlp = pytest.mark.exercise("autoregressive.MarkovMLP.forward")
weight = pytest.mark.weight
examples = pytest.mark.examples

lengths = st.integers(1, 6)
orders = st.integers(1, 8)  # longer than any sequence here, too
batches = st.integers(1, 3)

START = 9


# -- context_windows --


@context_windows
@weight(0.5)
@given(n=batches, m=lengths, d=orders, start=st.sampled_from((START, -1, 0)), key=draw.seeds)
@example(n=2, m=4, d=4, start=START, key=0)
@example(n=2, m=3, d=7, start=START, key=0)
@example(n=1, m=1, d=1, start=START, key=0)
def test_windows_hold_the_d_values_before(student, ref, n, m, d, start, key):
    """The window of x_j holds the d values before it, oldest first, and the start token where there is none."""
    x = draw.integers((n, m), key, 9)
    assert_agrees(student.context_windows(x, d, start), ref.context_windows(x, d, start))


@context_windows
@weight(0.25)
def test_windows_of_a_short_sequence(student):
    """The windows of length 2 of (5, 6, 7) are (s, s), (s, 5), (5, 6); those of length 4 have more start tokens."""
    x = torch.tensor([[5, 6, 7]])
    assert_agrees(student.context_windows(x, 2, 9), torch.tensor([[[9, 9], [9, 5], [5, 6]]]))
    want = torch.tensor([[[9, 9, 9, 9], [9, 9, 9, 5], [9, 9, 5, 6]]])
    assert_agrees(student.context_windows(x, 4, 9), want, what="the result for d = 4")


@context_windows
@weight(0.25)
@examples(8)
@given(m=lengths, d=orders, key=draw.seeds)
def test_a_window_never_shows_the_present_or_the_future(student, m, d, key):
    """The window of x_j stays what it is when x_j and all that follows change."""
    x = draw.integers((1, m), key, 9)
    before = student.context_windows(x, d, START)
    assert_form(before, (1, m, d), torch.int64)
    for j in range(m):
        changed = torch.cat([x[:, :j], (x[:, j:] + 1) % 9], dim=1)
        after = student.context_windows(changed, d, START)
        assert_form(after, (1, m, d), torch.int64)
        assert_agrees(after[:, : j + 1], before[:, : j + 1], what=f"what is before a change at j = {j}")


@context_windows
@weight(0.25)
@examples(8)
@given(n=batches, m=lengths, d=orders, key=draw.seeds)
def test_a_longer_window_only_adds_older_values(student, n, m, d, key):
    """The last d places of a window of length d + 1 are the window of length d."""
    x = draw.integers((n, m), key, 9)
    shorter, longer = student.context_windows(x, d, START), student.context_windows(x, d + 1, START)
    assert_form(shorter, (n, m, d), torch.int64)
    assert_form(longer, (n, m, d + 1), torch.int64)
    assert_agrees(longer[:, :, 1:], shorter, what="the end of the longer windows")


@context_windows
@weight(0.25)
@examples(8)
@given(m=lengths, d=orders, key=draw.seeds)
def test_the_start_token_stands_only_where_nothing_is_before(student, m, d, key):
    """The window of the variable at position j = 0, 1, ... has max(d - j, 0) start tokens."""
    got = student.context_windows(draw.integers((1, m), key, 9), d, START)
    assert_form(got, (1, m, d), torch.int64)
    want = (d - torch.arange(m)).clamp(min=0)
    assert_agrees((got[0] == START).sum(dim=1), want, what="the number of start tokens")


@context_windows
@weight(0.5)
def test_windows_refuse_what_makes_no_sense_and_leave_no_trace(student):
    """d = 0, no samples and no variables are ValueErrors that name the argument; x stays as it is."""
    x = torch.tensor([[5, 6, 7]])
    with refuses("d"):
        student.context_windows(x, 0, START)
    with refuses("x", "n"):
        student.context_windows(x[:0], 2, START)
    with refuses("x", "m"):
        student.context_windows(x[:, :0], 2, START)
    assert_no_trace(student.context_windows.observed(x, 2, START))


# -- context_mask --


@context_mask
@weight(0.25)
@given(m=lengths, d=st.integers(0, 8))
@example(m=5, d=2)
@example(m=5, d=0)
@example(m=1, d=0)
@example(m=4, d=3)
def test_the_mask_shows_the_d_variables_before(student, ref, m, d):
    """[j, i] is true where x_i is one of the at most d values before x_j."""
    assert_agrees(student.context_mask(m, d), ref.context_mask(m, d))


@context_mask
@weight(0.25)
@examples(8)
@given(m=lengths, d=st.integers(0, 8))
def test_a_context_has_at_most_d_values(student, m, d):
    """The variable at position j = 0, 1, ... has min(j, d) values in its context, and never itself."""
    got = student.context_mask(m, d)
    assert_form(got, (m, m), torch.bool)
    assert_agrees(got.sum(dim=1), torch.arange(m).clamp(max=d), what="the number of values in each context")
    assert_agrees(got.diagonal(), torch.zeros(m, dtype=torch.bool), what="the diagonal")


@context_mask
@weight(0.25)
@examples(7)
@given(m=lengths)
def test_masks_reach_from_independence_to_the_full_past(student, m):
    """For d = 0 nothing is in any context; for d = m - 1 and above the whole past is."""
    assert_agrees(student.context_mask(m, 0), torch.zeros(m, m, dtype=torch.bool), what="the mask for d = 0")
    past = torch.ones(m, m, dtype=torch.bool).tril(-1)
    for d in (max(m - 1, 1), m, m + 3):
        assert_agrees(student.context_mask(m, d), past, what=f"the mask for d = {d}")


@context_mask
@weight(0.25)
def test_masks_refuse_what_makes_no_sense(student):
    """m = 0 and a negative d are ValueErrors that name the argument; nothing else changes."""
    with refuses("m"):
        student.context_mask(0, 2)
    with refuses("d"):
        student.context_mask(3, -1)
    assert_no_trace(student.context_mask.observed(3, 2))


# -- MarkovMLP.forward --

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
    """An MLP that writes the window down as a decimal number, the start token as K: logit k is k plus this number."""
    return {
        "embedding.weight": torch.arange(K + 1.0)[:, None],
        "mlp.0.weight": torch.eye(d),
        "mlp.0.bias": torch.zeros(d),
        "mlp.2.weight": (10.0 ** torch.arange(d - 1, -1, -1)).expand(K, d).contiguous(),
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
@weight(1)
@examples(8)
@given(n=batches, m=lengths, K=st.integers(1, 4), d=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
@example(n=2, m=6, K=3, d=2, key=0, dtype=torch.float32)
def test_logits_come_from_the_mlp_of_the_window(student, ref, n, m, K, d, key, dtype):
    """The logits of x_j are the raw output of the shared MLP for the d embeddings before it, oldest first."""
    weights, x = whole_weights(K, d, key, dtype), draw.integers((n, m), key + 9, K)
    model = model_with(student, weights, d)
    assert_agrees(model(x), ref.markov_mlp(weights, x, d), like=dtype)


@markov_mlp
@weight(0.5)
def test_an_mlp_that_writes_its_window_down(student):
    """With weights that print the window as digits, (1, 0, 2) is read as ss, s1, 10: oldest first, s for start."""
    model = model_with(student, reading_weights(K=3, d=2), d=2)
    number = torch.tensor([33.0, 31.0, 10.0])
    assert_agrees(model(torch.tensor([[1, 0, 2]])), (number[:, None] + torch.arange(3.0))[None])


@markov_mlp
@weight(0.5)
@examples(6)
@given(m=st.integers(2, 6), d=st.integers(1, 4), key=draw.seeds)
def test_logits_depend_on_exactly_the_d_values_before(student, m, d, key):
    """Changing x_i changes the logits of the d variables after it, and no others: not of itself, not of other rows."""
    K = 4
    x = draw.integers((1, m), key, K)
    changed = (x + torch.eye(m, dtype=torch.int64)) % K  # row i has another x_i
    model = model_with(student, reading_weights(K, d), d)
    got = model(torch.cat([x, changed]))
    assert_form(got, (m + 1, m, K), torch.float32)
    influences = (got[1:] != got[:1]).any(dim=2)  # [i, j]: x_i matters to the logits of x_j
    lag = torch.arange(m) - torch.arange(m)[:, None]
    assert_agrees(influences, (lag >= 1) & (lag <= d), what="whether x_i (row) matters to the logits of x_j (column)")


@markov_mlp
@weight(0.25)
@examples(6)
@given(m=st.integers(2, 6), d=st.integers(1, 4), token=st.integers(0, 3))
def test_the_start_token_is_a_token_of_its_own(student, m, d, token):
    """The embedding of the start token matters to the first d variables, and to no others."""
    weights = reading_weights(4, d)
    x = torch.full((1, m), token)
    one = model_with(student, weights, d)(x)
    moved = weights["embedding.weight"].clone()
    moved[4] += 1
    other = model_with(student, weights | {"embedding.weight": moved}, d)(x)
    assert_form(one, (1, m, 4), torch.float32)
    assert_form(other, (1, m, 4), torch.float32)
    matters = (one != other)[0, :, 0]
    assert_agrees(matters, torch.arange(m) < d, what="whether the start token matters to the logits of x_j")


@markov_mlp
@weight(0.5)
@examples(6)
@given(n=batches, m=lengths, K=st.integers(2, 4), d=st.integers(1, 3), key=draw.seeds)
def test_every_parameter_of_the_mlp_learns(student, ref, n, m, K, d, key):
    """Gradients reach the embedding, the start token's row too, and every layer of the MLP."""
    weights, x = whole_weights(K, d, key, torch.float32), draw.integers((n, m), key + 9, K)
    output = (draw.integers((n, m, K), key + 10, 7) - 3).float()
    model = model_with(student, weights, d)
    _, _, got = model.forward.gradient(x, weights=output, wrt_parameters_of=model)
    for name, want in ref.markov_mlp_gradients(weights, x, d, output).items():
        assert_agrees(got.get(name), want, like=torch.float32, what=f"the gradient in {name}")


@markov_mlp
@weight(0.25)
def test_the_mlp_refuses_what_holds_no_samples_and_leaves_no_trace(student):
    """No sequences, or sequences of no variables, are ValueErrors that name x; the model and x stay as they are."""
    model = model_with(student, reading_weights(3, 2), 2)
    for x in (torch.zeros(0, 3, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.int64)):
        with refuses("x", "n", "m"):
            model(x)
    x, modes = torch.tensor([[1, 0, 2]]), student.run(set_modes, model)
    observed = model.forward.observed(x)
    assert_no_trace(observed)
    if student.run(get_modes, model) != modes:
        raise Mismatch("trace", "the call switched the training mode of the model, or of a part of it")
    weights = student.run(get_weights, model)
    for name, weight in reading_weights(3, 2).items():
        assert_agrees(weights[name], weight, what=f"{name} after the call")
    assert_form(observed.value, (1, 3, 3), torch.float32)
    assert_agrees(model.forward.under_no_grad(x), observed.value, what="the result under torch.no_grad()")
