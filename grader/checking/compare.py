"""The one place where a student's answer meets the right one: a ladder of questions, each with its own sentence.

nothing → type → rank → shape → dtype → device → finite → value. Nothing broadcasts before it is compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from grader.checking.student import Observation, Remote, StudentError
from grader.checking.tolerance import tolerance
from grader.sandbox.wire.objects import Unsendable

RUNGS = (
    "nothing",
    "type",
    "rank",
    "shape",
    "dtype",
    "device",
    "finite",
    "value",
    "law",
    "refusal",
    "trace",
    "gradient",
    "digits",
    "axis",
)
SLIGHT = ("digits", "axis")  # right to single precision; right but for axes of length one


class Mismatch(AssertionError):
    """A student's answer is not the right one: the rung of the ladder, and a sentence for the student.

    `expected`: the right answer in words. It is never part of the sentence, so that an instructor can hide it.
    `mistake`: the registered mistake that explains it, where the comparison itself can tell (a sampler's law).
    """

    def __init__(
        self,
        rung: str,
        sentence: str,
        got: Any = None,
        want: Any = None,
        mistake: str | None = None,
        *,
        expected: str = "",
    ) -> None:
        super().__init__(f"{sentence}, expected {expected}" if expected else sentence)
        assert rung in RUNGS
        self.rung, self.sentence, self.expected = rung, sentence, expected
        self.says = ""  # what was misunderstood, where a public check recognises it
        self.got, self.want, self.mistake = got, want, mistake


@dataclass(frozen=True)
class _Rounding:
    """How much of a difference the dtype explains: see `grader.checking.tolerance`."""

    dtype: torch.dtype
    scale: float | Tensor
    condition: float | Tensor
    error: float | Tensor

    def allowed(self, want: Tensor) -> Tensor:
        return tolerance(want, self.dtype, self.scale, self.condition, self.error)


@dataclass(frozen=True)
class _Wording:
    """What an answer is called where it is not simply what the call returned, and the unit of what was expected."""

    what: str = ""
    unit: str = ""


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
        dtype = _accuracy(got, _expected_dtype(want, like))
        _assert_tensor(got, want, _Rounding(dtype, scale, condition, error), _Wording(what, unit))
    else:
        dtype = like.dtype if isinstance(like, Tensor) else like or torch.float64
        _assert_number(got, want, _Rounding(dtype, scale, condition, error), _Wording(what, unit))


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
    condition: float | Tensor = 0.0,
    error: float | Tensor = 0.0,
) -> None:
    """Raise `Mismatch` unless two calls of the student agree. Which of them is wrong is not known, and not said."""
    for answer, which in ((got, call), (other, other_call)):
        if not isinstance(answer, Tensor):
            raise Mismatch("type", f"{which} gave {_name(answer)}, which is no torch.Tensor", answer)
    if got.shape != other.shape:
        theirs = f"your other call ({other_call}) one of shape {tuple(other.shape)}"
        raise Mismatch("shape", f"{call} gave a tensor of shape {tuple(got.shape)}, {theirs}", got)
    try:
        dtype = _accuracy(got, _expected_dtype(other, like))
        _assert_tensor(got, other, _Rounding(dtype, scale, condition, error), _Wording(call))
    except Mismatch as mismatch:
        mine = mismatch.sentence.removeprefix(call).replace(" is ", " gave ", 1)
        theirs = f"your other call ({other_call}) gave {mismatch.expected}"
        raise Mismatch(mismatch.rung, f"{call}{mine}, {theirs}", got) from None


def assert_form(got: Any, shape: Sequence[int], dtype: torch.dtype | None = None, *, want: Any = None, what: str = "") -> None:
    """The ladder up to the values: raise `Mismatch` unless `got` is a tensor of this shape (and dtype, where one is named)."""
    shape = tuple(shape)
    _refuse_nothing(got, want, what)
    said = _answer(what, _name(got))
    if isinstance(got, Unsendable) and "device" in got.description:
        raise Mismatch("device", said, got, want, expected="one on the device of the inputs")
    if isinstance(got, Unsendable) and "dtype" in got.description:
        raise Mismatch("dtype", said, got, want, expected=f"dtype {_dtype(dtype)}" if dtype else "real numbers")
    if not isinstance(got, Tensor):
        raise Mismatch("type", said, got, want, expected="a torch.Tensor")
    alike = [length for length in got.shape if length != 1] == [length for length in shape if length != 1]
    if got.dim() != len(shape):
        axes = f"{_count(got.dim(), 'axis', 'axes')} (shape {tuple(got.shape)})"
        right = f"{len(shape)}: shape {shape}"
        raise Mismatch("axis" if alike else "rank", _answer(what, f"a tensor with {axes}"), got, want, expected=right)
    if tuple(got.shape) != shape:
        raise Mismatch("axis" if alike else "shape", said, got, want, expected=f"shape {shape}")
    if dtype is not None:
        assert_dtype(got, dtype, what=what)


def assert_dtype(got: Any, like: Tensor | torch.dtype | type, *, what: str = "") -> None:
    """Raise `Mismatch` unless `got` is a tensor of the dtype of `like`, or a Python number of the type `like`."""
    _refuse_nothing(got, None, what)
    if isinstance(like, type):
        if type(got) is not like:
            raise Mismatch("type", _answer(what, _name(got)), got, expected=f"a Python {like.__name__}")
        return
    dtype = like.dtype if isinstance(like, Tensor) else like
    if not isinstance(got, Tensor):
        raise Mismatch("type", _answer(what, _name(got)), got, expected=f"a {_dtype(dtype)} tensor")
    if got.dtype != dtype:
        raise Mismatch("dtype", _answer(what, f"a {_dtype(got.dtype)} tensor"), got, expected=_dtype(dtype))


def assert_unchanged(observed: Observation) -> None:
    """Raise `Mismatch` if the call changed what it was given."""
    if observed.changed:
        raise Mismatch("trace", f"the call changed what it was given: {', '.join(observed.changed)}. Work on copies.")


def assert_gradient_agrees(
    got: Tensor | None,
    want: Tensor,
    *,
    of: str,
    like: Tensor | torch.dtype | None = None,
    scale: float | Tensor = 0.0,
    condition: float | Tensor = 0.0,
    error: float | Tensor = 0.0,
) -> None:
    """`assert_agrees` for the gradient with respect to `of`, which is None where none arrived."""
    if got is None:
        raise Mismatch("gradient", f"no gradient reaches {of}: the graph is cut between {of} and the result", got, want)
    assert_agrees(
        got, want, like=like, scale=scale, condition=condition, error=error, what=f"the gradient with respect to {of}"
    )


@contextlib.contextmanager
def refuses() -> Iterator[None]:
    """The call in the block must raise a `ValueError`; what it says is open."""
    try:
        yield
    except StudentError as error:
        if error.unimplemented:
            raise
        if "ValueError" not in error.bases:
            raised = f"{error.type} ({error.message[:120]})"
            raise Mismatch("refusal", f"these arguments make no sense: raise a ValueError, not a {raised}") from None
    else:
        raise Mismatch("refusal", "these arguments make no sense: raise a ValueError")


def _accuracy(got: Tensor, expected: torch.dtype) -> torch.dtype:
    """The dtype whose rounding is forgiven: the expected one, or float32 where the result has that."""
    return torch.float32 if got.dtype == torch.float32 and expected == torch.float64 else expected


def _expected_dtype(want: Tensor, like: Tensor | torch.dtype | None) -> torch.dtype:
    if not want.is_floating_point() or like is None:
        return want.dtype
    return like if isinstance(like, torch.dtype) else like.dtype


def _refuse_nothing(got: Any, want: Any, what: str) -> None:
    if got is None:
        raise Mismatch("nothing", f"{_answer(what, 'None')}: does the function end with a `return`?", got, want)


def _assert_tuple(got: Any, want: tuple[Any, ...], what: str) -> None:
    _refuse_nothing(got, want, what)
    if not isinstance(got, tuple | list):
        raise Mismatch("type", _answer(what, _name(got)), got, want, expected=f"a tuple of {len(want)}")
    if len(got) != len(want):
        raise Mismatch("shape", _answer(what, f"a tuple of {len(got)}"), got, want, expected=f"one of {len(want)}")


def _assert_number(got: Any, want: Any, rounding: _Rounding, wording: _Wording) -> None:
    _refuse_nothing(got, want, wording.what)
    if isinstance(got, Tensor) and got.dim() == 0:
        got = got.item()
    if not isinstance(got, int | float if isinstance(want, int | float) else type(want)):
        raise Mismatch("type", _answer(wording.what, _name(got)), got, want, expected=_name(want))
    if isinstance(want, float):
        right = torch.tensor(want, dtype=torch.float64)
        _assert_values(torch.tensor(got, dtype=torch.float64), right, rounding, wording)
    elif got != want:
        raise _differs("value", _short(got), _short(want), got, want, wording)


def _assert_tensor(got: Any, want: Tensor, rounding: _Rounding, wording: _Wording) -> None:
    if not want.is_floating_point() and got.is_floating_point():
        rounding = replace(rounding, dtype=torch.float64)
    if want.is_floating_point() or got.is_floating_point():
        _assert_values(got.double(), want.double(), rounding, wording)
    elif (got != want).any():
        place = _first_place(got != want)
        raise _differs("value", got[place].item(), want[place].item(), got, want, wording, place)


def _assert_values(got: Tensor, want: Tensor, rounding: _Rounding, wording: _Wording) -> None:
    """Finite where it should be, then the value: both float64 and of one shape."""
    strange = ~want.isfinite() | ~got.isfinite()
    wrong = strange & ~((got == want) | (got.isnan() & want.isnan()))
    if wrong.any():
        place = _first_place(wrong)
        raise _differs("finite", *_numbers(got[place], want[place]), got, want, wording, place)
    difference = torch.where(strange, 0.0, (got - want).abs())
    excess = torch.where(strange, 0.0, difference - rounding.allowed(want))
    if (excess > 0).any():
        place = _first_place(excess == excess.max())
        in_single = difference <= replace(rounding, dtype=torch.float32).allowed(want)
        single = rounding.dtype == torch.float64 and in_single[~strange].all()
        raise _differs("digits" if single else "value", *_numbers(got[place], want[place]), got, want, wording, place)


def _first_place(mask: Tensor) -> tuple[int, ...]:
    return tuple(int(index) for index in mask.nonzero()[0])


def _differs(
    rung: str, mine: object, right: object, got: Any, want: Any, wording: _Wording, place: tuple[int, ...] = ()
) -> Mismatch:
    """`you returned 0.26 at [2]`, expected `0.25 (nats)`."""
    at = f" at [{', '.join(map(str, place))}]" if place else ""
    said = f"{wording.what}{at} is {mine}" if wording.what else f"you returned {mine}{at}"
    return Mismatch(rung, said, got, want, expected=f"{right} ({wording.unit})" if wording.unit else str(right))


def _answer(what: str, description: str) -> str:
    return f"{what} is {description}" if what else f"you returned {description}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _numbers(one: Tensor, other: Tensor) -> tuple[str, str]:
    """Both with as many digits as tell them apart, and four at least."""
    first, second = one.item() + 0.0, other.item() + 0.0  # + 0.0: no -0
    return next(
        (written for digits in range(4, 18) if (written := (f"{first:.{digits}g}", f"{second:.{digits}g}"))[0] != written[1]),
        (repr(first), repr(second)),
    )


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python refuses to write out more than 4300 digits
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-10:]} ({len(text)} characters)"


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _name(value: Any) -> str:
    """What a value is, in words: `a float`, `a sparse tensor`, `a numpy ndarray`."""
    if isinstance(value, Unsendable):
        return value.description
    if isinstance(value, Remote):
        return f"an object ({value!r})"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a Python {type(value).__name__}"
