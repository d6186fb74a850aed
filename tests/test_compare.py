"""The ladder: each rung speaks for itself, in order, and nothing broadcasts before it is compared."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_calls_agree, assert_dtype, refuses
from grader.checking.student import StudentError
from grader.sandbox.wire.objects import Unsendable

WANT = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)


@pytest.mark.parametrize(
    ("got", "rung", "words"),
    [
        (None, "nothing", "you returned None"),
        (0.5, "type", "you returned a Python float, expected a torch.Tensor"),
        ([0.25, 0.5, 0.25], "type", "a Python list"),
        (Unsendable("a sparse tensor"), "type", "a sparse tensor"),
        (torch.tensor(0.5), "rank", "you returned a tensor with 0 axes (shape ()), expected 1: shape (3,)"),
        (torch.tensor([0.5]), "shape", "you returned a tensor of shape (1,), expected shape (3,)"),
        (torch.empty(0), "shape", "(0,)"),
        (Unsendable("a tensor of dtype complex64"), "dtype", "complex64"),
        (Unsendable("a tensor on the device cuda:0"), "device", "cuda:0"),
        (torch.tensor([0.25, math.nan, 0.25]), "finite", "you returned nan at [1], expected 0.5"),
        (torch.tensor([0.25, 0.5, math.inf]), "finite", "you returned inf at [2], expected 0.25"),
        (torch.tensor([0.25, 0.5, 0.26]), "value", "you returned 0.26 at [2], expected 0.25"),
    ],
)
def test_each_rung_stops_with_its_own_sentence(got, rung, words):
    with pytest.raises(Mismatch) as stop:
        assert_agrees(got, WANT, like=torch.float32)
    assert stop.value.rung == rung
    assert words in str(stop.value)
    assert "expected" not in stop.value.sentence


def test_the_right_answer_passes_in_either_precision():
    assert_agrees(WANT.float(), WANT, like=torch.float32)
    assert_agrees(WANT, WANT)


def test_the_unit_stands_behind_what_was_expected():
    with pytest.raises(Mismatch) as stop:
        assert_agrees(torch.tensor(0.5108), torch.tensor(0.3681, dtype=torch.float64), like=torch.float32, unit="nats")
    assert (stop.value.sentence, stop.value.expected) == ("you returned 0.5108", "0.3681 (nats)")


def test_what_is_not_simply_returned_has_its_own_name():
    with pytest.raises(Mismatch) as stop:
        assert_agrees(torch.tensor([1.0, 2.0]), torch.ones(2, dtype=torch.float64), like=torch.float32, what="the gradient")
    assert (stop.value.sentence, stop.value.expected) == ("the gradient at [1] is 2", "1")


def test_infinities_and_nans_must_stand_where_they_are_wanted():
    want = torch.tensor([math.inf, math.nan, -math.inf], dtype=torch.float64)
    assert_agrees(want.clone(), want)
    with pytest.raises(Mismatch, match="you returned inf at .2., expected -inf"):
        assert_agrees(torch.tensor([math.inf, math.nan, math.inf], dtype=torch.float64), want)


def test_integers_are_compared_exactly():
    assert_agrees(2**784 - 1, 2**784 - 1)
    for wrong in (2**784, 2.0**784):
        with pytest.raises(Mismatch, match="expected an integer of 784 bits|expected 1"):
            assert_agrees(wrong, 2**784 - 1)


def test_a_right_value_of_another_dtype_is_right_and_its_dtype_a_mismatch_of_its_own():
    for right in (WANT.float(), WANT.double()):
        assert_agrees(right, WANT, like=torch.float32)
        assert_agrees(right, WANT)
    whole = torch.tensor([2, 0])
    for right in (whole.int(), whole.double()):
        assert_agrees(right, whole)
        with pytest.raises(Mismatch, match="expected int64"):
            assert_dtype(right, torch.int64)
    with pytest.raises(Mismatch, match="you returned a float64 tensor, expected float32"):
        assert_dtype(WANT, torch.float32)
    with pytest.raises(Mismatch, match="you returned an int32 tensor"):
        assert_dtype(torch.tensor(1, dtype=torch.int32), torch.int64)
    with pytest.raises(Mismatch, match="expected a Python int"):
        assert_dtype(torch.tensor(3), int)


def test_half_precision_is_not_accurate_enough():
    with pytest.raises(Mismatch, match="you returned"):
        assert_agrees((WANT / 3).half(), WANT / 3, like=torch.float32)


def test_two_numbers_are_shown_with_the_digits_that_tell_them_apart():
    with pytest.raises(Mismatch, match="you returned 0.12961, expected 0.12962"):
        assert_agrees(0.12961, 0.12962)


def test_two_calls_are_compared_without_calling_either_right():
    with pytest.raises(Mismatch) as stop:
        assert_calls_agree(torch.ones(2), torch.zeros(2), call="the samples backwards", other_call="the samples as they are")
    assert stop.value.sentence == "the samples backwards at [0] gave 1, your other call (the samples as they are) gave 0"
    assert not stop.value.expected


def test_parts_of_a_tuple_are_named():
    with pytest.raises(Mismatch, match="part 2 of what you returned is a tensor of shape .2,., expected shape .3,."):
        assert_agrees((WANT, WANT[:2]), (WANT, WANT))
    with pytest.raises(Mismatch, match="expected a tuple of 2"):
        assert_agrees(WANT, (WANT, WANT))


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_the_tolerance_grows_with_the_scale_and_not_beyond(want, scale):
    """An answer is accepted up to 32 (u |want| + u scale) and rejected at four times that."""
    unit = 2.0**-53
    limit = 32 * unit * (abs(want) + scale)
    right = torch.tensor([want], dtype=torch.float64)
    assert_agrees(right + 0.9 * limit, right, scale=scale)
    if limit > 1e-300:
        with pytest.raises(Mismatch):
            assert_agrees(right + 4 * limit, right, scale=scale)


def _raise(type, message, *bases):
    raise StudentError(type, [type, *bases, "Exception"], message, "", unimplemented=type == "NotImplementedError")


def test_a_refusal_is_a_value_error_whatever_it_says():
    with refuses():
        _raise("ValueError", "")
    with refuses():
        _raise("MyError", "bad num_bins", "ValueError")
    with pytest.raises(Mismatch, match="raise a ValueError, not a TypeError"), refuses():
        _raise("TypeError", "num_bins")
    with pytest.raises(Mismatch, match=r"not an AssertionError$"), refuses():
        _raise("AssertionError", "")
    with pytest.raises(Mismatch, match="make no sense"), refuses():
        pass


def test_a_stub_is_missing_and_not_a_wrong_refusal():
    with pytest.raises(StudentError), refuses():
        _raise("NotImplementedError", "kl_divergence")
