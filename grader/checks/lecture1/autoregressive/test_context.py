"""The Markov assumption (slides 41 and 42): context windows and context masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_calls_agree, assert_dtype, assert_form, assert_unchanged
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.layouts import layouts

context_windows = pytest.mark.exercise("autoregressive.context_windows")
context_mask = pytest.mark.exercise("autoregressive.context_mask")
weight = pytest.mark.weight
examples = pytest.mark.examples

lengths = st.integers(3, 6)
orders = st.integers(2, 3)  # never longer than a sequence: that has a check of its own
batches = st.integers(2, 3)

START = 9


# -- context_windows --


@context_windows
@weight(0.5)
def test_windows_of_two_short_sequences(student):
    """The windows of length 2 of (5, 6, 7, 8) are (s, s), (s, 5), (5, 6), (6, 7), whatever s; each row has its own."""
    want = torch.tensor([[[9, 9], [9, 5], [5, 6], [6, 7]], [[9, 9], [9, 1], [1, 0], [0, 3]]])
    x = torch.tensor([[5, 6, 7, 8], [1, 0, 3, 2]])
    # 5 is a value of the first sequence, too; the last one is beyond what a byte, 32 bits and a float hold
    for start in (START, -7, 5, 2**40 + 1):
        assert_agrees(student.context_windows(x, 2, start), torch.where(want == 9, start, want))


@context_windows
@weight(0.5)
@given(n=batches, m=lengths, d=orders, start=st.sampled_from((START, -1, 0)), key=draw.seeds)
@example(n=2, m=4, d=4, start=START, key=0)
def test_windows_hold_the_d_values_before(student, ref, n, m, d, start, key):
    """The window of x_j holds the d values before it, oldest first, and the start token where there is none."""
    x = draw.integers((n, m), key, 9)
    assert_agrees(student.context_windows(x, d, start), ref.context_windows(x, d, start))


@context_windows
@weight(0.25)
@examples(8)
@given(m=lengths, d=orders, key=draw.seeds)
def test_a_window_never_shows_the_present_or_the_future(student, m, d, key):
    """The window of x_j stays what it is when x_j and all that follows change."""
    x = draw.integers((1, m), key, 9)
    variants = torch.cat([x, *(torch.cat([x[:, :j], (x[:, j:] + 1) % 9], dim=1) for j in range(m))])
    got = student.context_windows(variants, d, START)
    assert_form(got, (m + 1, m, d))
    for j in range(m):
        assert_calls_agree(
            got[1 + j, : j + 1],
            got[0, : j + 1],
            call=f"the windows up to j = {j} of row {1 + j}",
            other_call="of row 0, which has the same values before j",
        )


@context_windows
@weight(0.25)
@examples(8)
@given(m=lengths, d=orders, key=draw.seeds)
def test_the_start_token_stands_only_where_nothing_is_before(student, m, d, key):
    """The window of the variable at position j = 0, 1, ... has max(d - j, 0) start tokens."""
    got = student.context_windows(draw.integers((2, m), key, 9), d, START)
    assert_form(got, (2, m, d))
    want = (d - torch.arange(m)).clamp(min=0).expand(2, m)
    assert_agrees((got == START).sum(dim=2), want, what="the number of start tokens")


@context_windows
@weight(0.25)
def test_windows_longer_than_the_sequence_or_of_length_one(student):
    """Windows longer than the sequence are filled up with start tokens; n = 1, m = 1 and d = 1 are sizes like others."""
    for row, want in (
        ([5, 6, 7], [[9, 9, 9, 9], [9, 9, 9, 5], [9, 9, 5, 6]]),
        ([0, 6], [[9, 9, 9, 9, 9, 9, 9], [9, 9, 9, 9, 9, 9, 0]]),
        ([5, 6], [[9], [5]]),
        ([5], [[9, 9]]),
        ([5], [[9]]),
    ):
        d = len(want[0])
        assert_agrees(student.context_windows(torch.tensor([row, row]), d, START), torch.tensor([want, want]))
        assert_agrees(student.context_windows(torch.tensor([row]), d, START), torch.tensor([want]), what="the result for one row")


@context_windows
@weight(0.125)
def test_windows_of_long_sequences(student):
    """The windows of length 257 of the sequence 0, 1, ..., 783 are 257 whole numbers in a row, the last one j - 1; x stays as it is."""
    x = torch.arange(784).expand(2, -1).contiguous()
    want = torch.arange(784)[:, None] + torch.arange(-257, 0)
    assert_agrees(assert_unchanged(student.context_windows.observed(x, 257, -1)), want.clamp(min=-1).expand(2, -1, -1))


@context_windows
@weight(0.125)
def test_windows_are_int64_wherever_x_lies(student):
    """The order in memory of x does not matter, nor what was asked before; windows are int64."""
    x = torch.tensor([[5, 2**40 + 6, 7], [3, 0, 1]])  # beyond what a float holds
    for laid_out, plain in layouts(x, x.flip(0)):
        got = student.context_windows(laid_out, 3, START)
        assert_form(got, (2, 3, 3))
        assert_agrees(got[:, 2], torch.cat([torch.full((2, 1), START), plain[:, :2]], dim=1), what="the last window of each row")
        assert_dtype(got, torch.int64)


# -- context_mask --


@context_mask
@weight(0.375)
def test_the_mask_of_four_variables(student):
    """In the mask for m = 4 and d = 2 the rows see nobody, the first, the first two, the middle two."""
    want = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]]).bool()
    mistaken = {
        "The diagonal is true: x_j is in its own context, and predicted from itself.": want | torch.eye(4).bool(),
        "Row and column are exchanged: row j is the variable that looks.": want.T,
    }
    assert_agrees(student.context_mask(4, 2), want, mistaken=mistaken)


@context_mask
@weight(0.25)
@examples(12)
@given(m=st.integers(2, 6), d=st.integers(1, 8))
@example(m=5, d=2)
@example(m=4, d=3)
@example(m=300, d=257)
def test_a_context_has_at_most_d_values(student, m, d):
    """The variable at position j = 0, 1, ... has min(j, d) values in its context, none of them itself or later."""
    got = student.context_mask(m, d)
    assert_form(got, (m, m))
    assert_agrees(got.long().sum(dim=1), torch.arange(m).clamp(max=d), what="the number of values in each context")
    assert_agrees(got.long().triu(), torch.zeros(m, m).long(), what="what is on the diagonal and above it")
    assert_calls_agree(got[1:, 1:], got[:-1, :-1], call="the mask without its first row and column", other_call="without its last ones")


@context_mask
@weight(0.125)
@examples(6)
@given(m=st.integers(2, 6))
def test_masks_reach_to_the_full_past(student, m):
    """For d = m - 1 and above the whole past is in the context."""
    past = torch.ones(m, m, dtype=torch.bool).tril(-1)
    for d in (max(m - 1, 1), m, m + 3):
        assert_agrees(student.context_mask(m, d), past, what=f"the mask for d = {d}")


@context_mask
@weight(0.125)
def test_a_context_of_length_zero_is_empty(student):
    """For d = 0 nothing is in any context: independent variables. m = 1 has no context either."""
    assert_agrees(student.context_mask(4, 0), torch.zeros(4, 4, dtype=torch.bool), what="the mask for d = 0")
    for d in (0, 1, 3, 7):
        assert_agrees(student.context_mask(1, d), torch.zeros(1, 1, dtype=torch.bool), what="the mask for m = 1")


@context_mask
@weight(0.042)
def test_the_mask_is_a_table_of_booleans(student):
    """True and False, not numbers."""
    assert_dtype(student.context_mask(3, 1), torch.bool)
