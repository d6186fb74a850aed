"""The one place where a student's answer meets the right one: a ladder of questions, each with its own sentence.

nothing → type → rank → shape → dtype → device → finite → value. Nothing broadcasts before it is compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.student import Observation, StudentError
from grader.checking.tolerance import Tolerance
from grader.checking.wording import Wording, answer_is, both_numbers, differs, dtype_name, kind_of, short, with_article
from grader.sandbox.wire.objects import Unsendable

__all__ = [
    "Mismatch", "assert_agrees", "assert_calls_agree", "assert_dtype", "assert_form", "assert_gradient_agrees", "assert_reached",
    "assert_unchanged", "refuses",
]  # fmt: skip


def assert_agrees(
    got: Any,
    want: Any,
    *,
    like: Tensor | torch.dtype | None = None,
    scale: float | Tensor = 0.0,
    condition: float | Tensor = 0.0,
    error: float | Tensor = 0.0,
    what: str = "",
    unit: str = "",
    mistaken: Mapping[str, Any] | None = None,
) -> None:
    """Raise `Mismatch` unless `got` is `want` in form and value; its dtype is the business of `assert_dtype`.

    `want` is a tensor (float64 where it has fractions), a Python number, or a tuple of these. A result has the accuracy
    of `like`, or of `want` where there is no `like`; float32 is accurate enough everywhere. `scale`, `condition` and
    `error` are explained in `grader.checking.tolerance`. `what` names an answer that is not simply what the call returned;
    `unit` stands behind the expected number: nats, bits. `mistaken`: what a well-known mistake gives here, by the sentence
    that says what was misunderstood.
    """
    accuracy: dict[str, Any] = {"like": like, "scale": scale, "condition": condition, "error": error}
    if mistaken:
        try:
            assert_agrees(got, want, **accuracy, what=what, unit=unit)
        except Mismatch as mismatch:
            mismatch.says = next((says for says, wrong in mistaken.items() if _agrees(got, wrong, **accuracy)), "")
            raise
    elif isinstance(want, tuple):
        _assert_tuple(got, want, what)
        for position, (one, other) in enumerate(zip(got, want, strict=True), start=1):
            part = f"part {position} of {what or 'what you returned'}"
            assert_agrees(one, other, **accuracy, what=part, unit=unit)
    elif isinstance(want, Tensor):
        try:
            assert_form(got, want.shape, want=want, what=what)
        except Mismatch as mismatch:
            if mismatch.rung == "axis" and not _agrees(got.reshape(want.shape), want, **accuracy):
                mismatch.rung = "shape"
            raise
        _assert_tensor(got, want, Tolerance(_accuracy(got, want, like), scale, condition, error), Wording(what, unit))
    else:
        dtype = like.dtype if isinstance(like, Tensor) else like or torch.float64
        _assert_number(got, want, Tolerance(dtype, scale, condition, error), Wording(what, unit))


def _agrees(got: Any, wrong: Any, **accuracy: Any) -> bool:
    try:
        assert_agrees(got, wrong, **accuracy)
    except Mismatch:
        return False
    return True


def assert_calls_agree(
    got: Any,
    other: Any,
    *,
    call: str,
    other_call: str,
    like: Tensor | torch.dtype | None = None,
    scale: float | Tensor = 0.0,
) -> None:
    """Raise `Mismatch` unless two calls of the student agree. Which of them is wrong is not known, and not said."""
    for answer, which in ((got, call), (other, other_call)):
        if not isinstance(answer, Tensor):
            raise Mismatch("type", f"{which} gave {kind_of(answer)}, which is no torch.Tensor", answer)
    if got.shape != other.shape:
        theirs = f"your other call ({other_call}) one of shape {tuple(other.shape)}"
        raise Mismatch("shape", f"{call} gave a tensor of shape {tuple(got.shape)}, {theirs}", got)
    try:
        _assert_tensor(got, other, Tolerance(_accuracy(got, other, like), scale), Wording(call))
    except Mismatch as mismatch:
        mine = mismatch.sentence.removeprefix(call).replace(" is ", " gave ", 1)
        theirs = f"your other call ({other_call}) gave {mismatch.expected}"
        raise Mismatch(mismatch.rung, f"{call}{mine}, {theirs}", got) from None


def assert_form(got: Any, shape: Sequence[int], dtype: torch.dtype | None = None, *, want: Any = None, what: str = "") -> None:
    """The ladder up to the values: raise `Mismatch` unless `got` is a tensor of this shape (and dtype, where one is named)."""
    shape = tuple(shape)
    _refuse_nothing(got, want, what)
    said = answer_is(what, kind_of(got))
    if isinstance(got, Unsendable) and "device" in got.description:
        raise Mismatch("device", said, got, want, expected="one on the device of the inputs")
    if isinstance(got, Unsendable) and "dtype" in got.description:
        raise Mismatch("dtype", said, got, want, expected=f"dtype {dtype_name(dtype)}" if dtype else "real numbers")
    if not isinstance(got, Tensor):
        raise Mismatch("type", said, got, want, expected="a torch.Tensor")
    alike = [length for length in got.shape if length != 1] == [length for length in shape if length != 1]
    if got.dim() != len(shape):
        axes = f"{got.dim()} {'axis' if got.dim() == 1 else 'axes'} (shape {tuple(got.shape)})"
        right = f"{len(shape)}: shape {shape}"
        raise Mismatch("axis" if alike else "rank", answer_is(what, f"a tensor with {axes}"), got, want, expected=right)
    if tuple(got.shape) != shape:
        raise Mismatch("axis" if alike else "shape", said, got, want, expected=f"shape {shape}")
    if dtype is not None:
        assert_dtype(got, dtype, what=what)


def assert_dtype(got: Any, like: Tensor | torch.dtype | type, *, what: str = "") -> None:
    """Raise `Mismatch` unless `got` is a tensor of the dtype of `like`, or a Python number of the type `like`."""
    _refuse_nothing(got, None, what)
    if isinstance(like, type):
        if type(got) is not like:
            raise Mismatch("type", answer_is(what, kind_of(got)), got, expected=f"a Python {like.__name__}")
        return
    dtype = like.dtype if isinstance(like, Tensor) else like
    if not isinstance(got, Tensor):
        raise Mismatch("type", answer_is(what, kind_of(got)), got, expected=with_article(f"{dtype_name(dtype)} tensor"))
    if got.dtype != dtype:
        raise Mismatch("dtype", answer_is(what, with_article(f"{dtype_name(got.dtype)} tensor")), got, expected=dtype_name(dtype))


def assert_unchanged(observed: Observation) -> Any:
    """The value of a call. Raises `Mismatch` if it changed what it was given."""
    if observed.changed:
        raise Mismatch("trace", f"the call changed what it was given: {', '.join(observed.changed)}. Work on copies.")
    return observed.value


def assert_gradient_agrees(got: Tensor | None, want: Tensor, *, of: str, **accuracy: Any) -> None:
    """`assert_agrees` for the gradient with respect to `of`, which is None where none arrived.

    `accuracy`: `like`, `scale`, `condition` and `error`, as there.
    """
    assert_reached({of: got})
    assert_agrees(got, want, **accuracy, what=f"the gradient with respect to {of}")


def assert_reached(gradients: Mapping[str, Tensor | None]) -> None:
    """Raise `Mismatch` where a gradient, by the name of what it is with respect to, did not arrive."""
    missing = ", ".join(name for name, gradient in gradients.items() if gradient is None)
    if missing:
        raise Mismatch("gradient", f"no gradient reaches {missing}: the graph is cut between {missing} and the result")


@contextlib.contextmanager
def refuses() -> Iterator[None]:
    """The call in the block must raise a `ValueError`; what it says is open."""
    try:
        yield
    except StudentError as error:
        if error.unimplemented:
            raise
        if "ValueError" not in error.bases:
            raised = with_article(error.type) + (f" ({error.message[:120]})" if error.message else "")
            raise Mismatch("refusal", f"these arguments make no sense: raise a ValueError, not {raised}") from None
    else:
        raise Mismatch("refusal", "these arguments make no sense: raise a ValueError")


def _accuracy(got: Tensor, want: Tensor, like: Tensor | torch.dtype | None) -> torch.dtype:
    """The dtype whose rounding is forgiven: that of `like`, or of `want`, or float32 where the result has that."""
    expected = want.dtype
    if want.is_floating_point() and like is not None:
        expected = like if isinstance(like, torch.dtype) else like.dtype
    return torch.float32 if got.dtype == torch.float32 and expected == torch.float64 else expected


def _refuse_nothing(got: Any, want: Any, what: str) -> None:
    if got is None:
        raise Mismatch("nothing", f"{answer_is(what, 'None')}: does the function end with a `return`?", got, want)


def _assert_tuple(got: Any, want: tuple[Any, ...], what: str) -> None:
    _refuse_nothing(got, want, what)
    if not isinstance(got, tuple | list):
        raise Mismatch("type", answer_is(what, kind_of(got)), got, want, expected=f"a tuple of {len(want)}")
    if len(got) != len(want):
        raise Mismatch("shape", answer_is(what, f"a tuple of {len(got)}"), got, want, expected=f"one of {len(want)}")


def _assert_number(got: Any, want: Any, tolerance: Tolerance, wording: Wording) -> None:
    _refuse_nothing(got, want, wording.what)
    if isinstance(got, Tensor) and got.dim() == 0:
        got = got.item()
    if not isinstance(got, int | float if isinstance(want, int | float) else type(want)):
        raise Mismatch("type", answer_is(wording.what, kind_of(got)), got, want, expected=kind_of(want))
    if isinstance(want, float):
        right = torch.tensor(want, dtype=torch.float64)
        _assert_values(got, torch.tensor(got, dtype=torch.float64), right, tolerance, wording)
    elif got != want:
        raise differs("value", short(got), short(want), got, want, wording)


def _assert_tensor(got: Any, want: Tensor, tolerance: Tolerance, wording: Wording) -> None:
    if not want.is_floating_point() and got.is_floating_point():
        tolerance = replace(tolerance, dtype=torch.float64)
    if want.is_floating_point() or got.is_floating_point():
        _assert_values(got, got.double(), want.double(), tolerance, wording)
    elif (got != want).any():
        place = _first_place(got != want)
        raise differs("value", got[place].item(), want[place].item(), got, want, wording, place)


def _assert_values(returned: Any, got: Tensor, want: Tensor, tolerance: Tolerance, wording: Wording) -> None:
    """Finite where it should be, then the value: `got` (what was `returned`) and `want` are float64 and of one shape."""
    strange = ~want.isfinite() | ~got.isfinite()
    wrong = strange & ~((got == want) | (got.isnan() & want.isnan()))
    if wrong.any():
        place = _first_place(wrong)
        raise differs("finite", *both_numbers(got[place], want[place]), returned, want, wording, place)
    difference = torch.where(strange, 0.0, (got - want).abs())
    excess = torch.where(strange, 0.0, difference - tolerance.allowed(want))
    if (excess > 0).any():
        place = _first_place(excess == excess.max())
        in_single = difference <= replace(tolerance, dtype=torch.float32).allowed(want)
        single = tolerance.dtype == torch.float64 and in_single[~strange].all()
        raise differs("digits" if single else "value", *both_numbers(got[place], want[place]), returned, want, wording, place)


def _first_place(mask: Tensor) -> tuple[int, ...]:
    return tuple(int(index) for index in mask.nonzero()[0])
