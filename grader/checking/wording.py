"""The words in which a comparison says what came back and what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.student import Remote
from grader.sandbox.wire.objects import Unsendable


@dataclass(frozen=True)
class Wording:
    """What an answer is called where it is not simply what the call returned, and the unit of what was expected."""

    what: str = ""
    unit: str = ""


def differs(rung: str, mine: object, right: object, got: Any, want: Any, wording: Wording, place: tuple[int, ...] = ()) -> Mismatch:
    """`you returned 0.26 at [2]`, expected `0.25 (nats)`."""
    at = f" at [{', '.join(map(str, place))}]" if place else ""
    said = f"{wording.what}{at} is {mine}" if wording.what else f"you returned {mine}{at}"
    return Mismatch(rung, said, got, want, expected=f"{right} ({wording.unit})" if wording.unit else str(right))


def answer_is(what: str, description: str) -> str:
    return f"{what} is {description}" if what else f"you returned {description}"


def with_article(noun: str) -> str:
    """`an int32 tensor`, `a float32 tensor`, `an IndexError`."""
    return f"{'an' if noun[0] in 'aeioAEIO' else 'a'} {noun}"


def both_numbers(one: Tensor, other: Tensor) -> tuple[str, str]:
    """Both with as many digits as tell them apart, and four at least."""
    first, second = one.item() + 0.0, other.item() + 0.0  # + 0.0: no -0
    return next(
        (written for digits in range(4, 18) if (written := (f"{first:.{digits}g}", f"{second:.{digits}g}"))[0] != written[1]),
        (repr(first), repr(second)),
    )


def short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python refuses to write out more than 4300 digits
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-10:]} ({len(text)} characters)"


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def kind_of(value: Any) -> str:
    """What a value is, in words: `a float`, `a sparse tensor`, `a numpy ndarray`."""
    if isinstance(value, Unsendable):
        return value.description
    if isinstance(value, Remote):
        return f"an object ({value!r})"
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a Python {type(value).__name__}"
