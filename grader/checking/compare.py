"""The one place where a student's answer meets the right one: a ladder of questions, each with its own sentence.

nothing → type → rank → shape → dtype → device → finite → value. Nothing broadcasts before it is compared.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Sequence
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
)


class Mismatch(AssertionError):
    """A student's answer is not the right one: the rung of the ladder, and a sentence for the student.

    `mistake`: the registered mistake that explains it, where the comparison itself can tell (a sampler's law).
    """

    def __init__(self, rung: str, sentence: str, got: Any = None, want: Any = None, mistake: str | None = None) -> None:
        super().__init__(sentence)
        assert rung in RUNGS
        self.rung, self.sentence, self.got, self.want, self.mistake = rung, sentence, got, want, mistake


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
) -> None:
    """Raise `Mismatch` unless `got` is `want` within the tolerance that its dtype explains.

    `want` is a tensor (float64 where it has fractions), a Python number, or a tuple of these. A floating result must
    have the dtype of `like`, or of `want` where there is no `like`; a Python float, the accuracy of `like`. `scale`,
    `condition` and `error` are explained in `grader.checking.tolerance`. `what` names an answer that is not simply what the call
    returned; `unit` stands behind the expected number: nats, bits.
    """
    if isinstance(want, tuple):
        _assert_tuple(got, want, what)
        for position, (one, other) in enumerate(zip(got, want, strict=True), start=1):
            part = f"part {position} of {what or 'what you returned'}"
            assert_agrees(
                one, other, like=like, scale=scale, condition=condition, error=error, what=part, unit=unit
            )
    elif isinstance(want, Tensor):
        assert_form(got, want.shape, _expected_dtype(want, like), want=want, what=what)
        _assert_tensor(got, want, got.dtype, scale, condition, error, what, unit)
    else:
        dtype = like.dtype if isinstance(like, Tensor) else like or torch.float64
        _assert_number(got, want, dtype, scale, condition, error, what, unit)


def assert_form(got: Any, shape: Sequence[int], dtype: torch.dtype, *, want: Any = None, what: str = "") -> None:
    """The ladder up to the values: raise `Mismatch` unless `got` is a tensor of this shape and dtype."""
    shape = tuple(shape)
    _refuse_nothing(got, want, what)
    said = _answer(what, _name(got))
    if isinstance(got, Unsendable) and "device" in got.description:
        raise Mismatch("device", f"{said}, expected one on the device of the inputs", got, want)
    if isinstance(got, Unsendable) and "dtype" in got.description:
        raise Mismatch("dtype", f"{said}, expected dtype {_dtype(dtype)}", got, want)
    if not isinstance(got, Tensor):
        raise Mismatch("type", f"{said}, expected a torch.Tensor", got, want)
    if got.dim() != len(shape):
        axes = f"{_count(got.dim(), 'axis', 'axes')} (shape {tuple(got.shape)})"
        raise Mismatch("rank", f"{_answer(what, f'a tensor with {axes}')}, expected {len(shape)}: shape {shape}", got, want)
    if tuple(got.shape) != shape:
        raise Mismatch("shape", f"{said}, expected shape {shape}", got, want)
    if got.dtype != dtype:
        raise Mismatch("dtype", f"{_answer(what, f'a {_dtype(got.dtype)} tensor')}, expected {_dtype(dtype)}", got, want)


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


def assert_no_trace(observed: Observation, graph_free: bool = False) -> None:
    """Raise `Mismatch` if the call changed an argument, moved a random state or the autograd mode, or printed.

    `graph_free`: the result must not carry an autograd graph either (samples and fitted parameters).
    """
    if observed.changed:
        raise Mismatch("trace", f"the call changed what it was given: {', '.join(observed.changed)}. Work on copies.")
    if observed.random_state_moved:
        raise Mismatch(
            "trace", "the call moved a global random state. Draw from the generator you are given, or not at all."
        )
    if observed.autograd_mode_moved:
        raise Mismatch(
            "trace",
            "the call left gradient tracking (or the default dtype) switched. Use a `with` block, which restores it.",
        )
    if observed.printed:
        raise Mismatch("trace", f"the function prints: {observed.printed[:60]!r}. It should only return.")
    if graph_free and observed.carries_graph:
        raise Mismatch(
            "trace",
            "the result carries an autograd graph. Samples and fitted parameters are plain numbers: detach them.",
        )


@contextlib.contextmanager
def refuses(*names: str) -> Iterator[None]:
    """The call in the block must raise a `ValueError` whose message names one of `names`."""
    wanted = " or ".join(f"`{name}`" for name in names)
    try:
        yield
    except StudentError as error:
        if error.unimplemented:
            raise
        if "ValueError" not in error.bases:
            raise Mismatch(
                "refusal",
                f"these arguments make no sense: raise a ValueError, not a {error.type} ({error.message[:120]})",
            ) from None
        if not any(re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", error.message) for name in names):
            raise Mismatch(
                "refusal", f"the ValueError does not say which argument is at fault ({wanted}): {error.message[:120]!r}"
            ) from None
    else:
        raise Mismatch(
            "refusal", f"these arguments make no sense ({wanted}): raise a ValueError that names the argument"
        )


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
        raise Mismatch("type", f"{_answer(what, _name(got))}, expected a tuple of {len(want)}", got, want)
    if len(got) != len(want):
        parts = f"a tuple of {len(got)}"
        raise Mismatch("shape", f"{_answer(what, parts)}, expected one of {len(want)}", got, want)


def _assert_number(
    got: Any,
    want: Any,
    dtype: torch.dtype,
    scale: float | Tensor,
    condition: float | Tensor,
    error: float | Tensor,
    what: str,
    unit: str,
) -> None:
    _refuse_nothing(got, want, what)
    if type(got) is not type(want):
        raise Mismatch("type", f"{_answer(what, _name(got))}, expected {_name(want)}", got, want)
    if isinstance(want, float):
        right = torch.tensor(want, dtype=torch.float64)
        _assert_values(torch.tensor(got, dtype=torch.float64), right, dtype, scale, condition, error, what, unit)
    elif got != want:
        raise _differs("value", _short(got), _short(want), got, want, what, unit)


def _assert_tensor(
    got: Any,
    want: Tensor,
    dtype: torch.dtype,
    scale: float | Tensor,
    condition: float | Tensor,
    error: float | Tensor,
    what: str,
    unit: str,
) -> None:
    if want.is_floating_point():
        _assert_values(got.double(), want.double(), dtype, scale, condition, error, what, unit)
    elif not torch.equal(got, want):
        place = _first_place(got != want)
        raise _differs("value", got[place].item(), want[place].item(), got, want, what, unit, place)


def _assert_values(
    got: Tensor,
    want: Tensor,
    dtype: torch.dtype,
    scale: float | Tensor,
    condition: float | Tensor,
    error: float | Tensor,
    what: str,
    unit: str,
) -> None:
    """Finite where it should be, then the value: both float64 and of one shape."""
    strange = ~want.isfinite() | ~got.isfinite()
    wrong = strange & ~((got == want) | (got.isnan() & want.isnan()))
    if wrong.any():
        place = _first_place(wrong)
        raise _differs("finite", _number(got[place]), _number(want[place]), got, want, what, unit, place)
    excess = torch.where(strange, 0.0, (got - want).abs() - tolerance(want, dtype, scale, condition, error))
    if (excess > 0).any():
        place = _first_place(excess == excess.max())
        raise _differs("value", _number(got[place]), _number(want[place]), got, want, what, unit, place)


def _first_place(mask: Tensor) -> tuple[int, ...]:
    return tuple(int(index) for index in mask.nonzero()[0])


def _differs(
    rung: str, mine: object, right: object, got: Any, want: Any, what: str, unit: str, place: tuple[int, ...] = ()
) -> Mismatch:
    """`you returned 0.26 at [2], expected 0.25 (nats)`: what stands before `, expected` gives nothing away."""
    at = f" at [{', '.join(map(str, place))}]" if place else ""
    said = f"{what}{at} is {mine}" if what else f"you returned {mine}{at}"
    return Mismatch(rung, f"{said}, expected {right}{f' ({unit})' if unit else ''}", got, want)


def _answer(what: str, description: str) -> str:
    return f"{what} is {description}" if what else f"you returned {description}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _number(value: Tensor) -> str:
    number = value.item()
    return f"{number:.4g}" if math.isfinite(number) and abs(number) < 1e4 else f"{number:.7g}"


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
