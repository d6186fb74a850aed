"""Says how a wrong answer follows from the right one, where no registered mistake gives it: its negative, a multiple, its sum.

It is said only where it holds to the last of the answers compared, on several inputs, and where enough numbers are wrong:
of a few, much is true by accident.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grader.checking.student import Call
from grader.hidden.differences import difference, explains

AGREEMENT = 1e-4  # relative to the largest number: float32, after a logarithm
MIN_WRONG = 4  # numbers
MIN_INPUTS = 2

Place = tuple[int, int | None]  # an argument, counted from 1 (0: the right answer), and an axis of it; a number has none
Relation = Callable[["Part"], Tensor]


@dataclass(frozen=True)
class Part:
    """What a call returned, or one part of that, beside the right answer, in float64; and the lengths and numbers of what was given."""

    of: tuple[str, int | None]  # the function, and which part
    mine: Tensor
    right: Tensor
    lengths: dict[Place, int]

    @functools.cached_property
    def error(self) -> tuple[float, float]:
        """How far the two are apart, and how large they are."""
        return difference(self.mine, self.right)

    @functools.cached_property
    def wrong(self) -> int:
        """How many numbers are visibly wrong."""
        if self.mine.shape != self.right.shape:
            return self.mine.numel()
        error, size = self.error
        if error <= AGREEMENT * size:
            return 0
        return int((~torch.isclose(self.mine, self.right, rtol=AGREEMENT, atol=0.0, equal_nan=True)).sum())


RELATIONS: tuple[tuple[str, str, Relation], ...] = (
    ("negative_of_it", "the right answer with the other sign", lambda part: -part.right),
    ("exponential_of_it", "the exponential of the right answer", lambda part: part.right.exp()),
    ("logarithm_of_it", "the logarithm of the right answer", lambda part: part.right.log()),
    ("square_of_it", "the square of the right answer", lambda part: part.right.square()),
    ("root_of_it", "the square root of the right answer", lambda part: part.right.sqrt()),
    ("absolute_value_of_it", "the absolute value of the right answer", lambda part: part.right.abs()),
    ("complement_of_it", "1 minus the right answer", lambda part: 1 - part.right),
    ("inverse_of_it", "1 divided by the right answer", lambda part: 1 / part.right),
    ("average_of_it", "the average of all numbers of the right answer", lambda part: part.right.mean().expand_as(part.mine)),
    ("sum_of_it", "the sum of all numbers of the right answer", lambda part: part.right.sum().expand_as(part.mine)),
    ("reverse_of_it", "the right answer in reverse along its first axis", lambda part: part.right.flip(0)),
    ("reverse_of_it", "the right answer in reverse along its last axis", lambda part: part.right.flip(-1)),
)

OVER_AN_AXIS: tuple[tuple[str, str, Callable[[Tensor, int], Tensor]], ...] = (
    ("average_along_an_axis", "averaged over its", lambda right, axis: right.mean(axis)),
    ("sum_along_an_axis", "summed over its", lambda right, axis: right.sum(axis)),
    ("axes_exchanged", "with its last axis exchanged with its", lambda right, axis: right.transpose(axis, -1)),
)
AXES = {0: "first axis", 1: "second axis", -1: "last axis", -2: "last axis but one"}

LENGTHS = {  # by the power that the right answer is multiplied with
    1.0: "times",
    -1.0: "divided by",
    0.5: "times the root of",
    -0.5: "divided by the root of",
    2.0: "times the square of",
    -2.0: "divided by the square of",
}


def recognise(inputs: Iterable[list[Part] | None]) -> tuple[str, str] | None:
    """The name of a relation and what it says, or None. `inputs`: for each input what `parts_of` says of the answers to it."""
    of_inputs = []
    for parts in inputs:
        if parts is None:
            return None
        of_inputs.append(parts)
    spoilt = {part.of for parts in of_inputs for part in parts if part.wrong}
    of_inputs = [[part for part in parts if part.of in spoilt] for parts in of_inputs]
    of_all = [part for parts in of_inputs for part in parts]
    enough = sum(part.wrong for part in of_all) >= MIN_WRONG and sum(any(p.wrong for p in parts) for parts in of_inputs) >= MIN_INPUTS
    if len(spoilt) != 1 or not enough:
        return None
    ((_, number),) = spoilt
    subject = "What you return" if number is None else f"Part {number + 1} of what you return"
    for name, says, relation in _relations(of_all):
        if all(_explained(part, relation(part)) for part in of_all):
            return name, f"{subject} is {says}, on every input that was compared."
    return None


def _relations(parts: Sequence[Part]) -> Iterator[tuple[str, str, Relation]]:
    yield from RELATIONS
    for name, says, along in OVER_AN_AXIS:
        for axis, which in AXES.items():
            if all(-part.right.dim() <= axis < part.right.dim() for part in parts):
                yield name, f"the right answer {says} {which}", functools.partial(_along, along, axis)
    if any(part.mine.shape != part.right.shape for part in parts):
        return
    mine, right = (torch.cat([getattr(part, side).flatten() for part in parts]) for side in ("mine", "right"))
    size = right.abs()
    factor = (mine / right)[size.nan_to_num(0.0, 0.0, 0.0).argmax()].item()
    offset = (mine - right)[size.nan_to_num(torch.inf).argmin()].item()
    yield "multiple_of_it", f"{factor:.4g} times the right answer", lambda part: factor * part.right
    yield "sum_of_it_and_a_constant", f"the right answer plus {offset:.4g}", lambda part: part.right + offset
    for place in dict.fromkeys(place for part in parts for place in part.lengths):
        if len({part.lengths.get(place) for part in parts}) > 1 and all(place in part.lengths for part in parts):
            for power, how in LENGTHS.items():
                says = f"the right answer {how} {_described(*place)}"
                yield "multiple_of_it_by_a_length", says, functools.partial(_scaled, place, power)


def _described(argument: int, axis: int | None) -> str:
    whole = f"argument {argument}" if argument else "the right answer"
    return whole if axis is None else f"the length of axis {axis} of {whole}"


def _along(along: Callable[[Tensor, int], Tensor], axis: int, part: Part) -> Tensor:
    return along(part.right, axis)


def _scaled(place: Place, power: float, part: Part) -> Tensor:
    return part.right * float(part.lengths[place]) ** power


def _lengths(call: Call, right: Tensor) -> dict[Place, int]:
    """How long the axes are of the arguments and of the right answer, and the whole numbers among the arguments."""
    given = list(enumerate([right, *call.message["args"]]))
    found: dict[Place, int] = {(place, None): value for place, value in given if type(value) is int and value > 0}
    return found | {(place, axis): n for place, value in given if isinstance(value, Tensor) for axis, n in enumerate(value.shape)}


def parts_of(mine: Sequence[Call], right: Sequence[Call]) -> list[Part] | None:
    """All that can be compared of the student's answers and the right ones; None where answers are of another form than the right ones."""
    found = []
    for one, other in zip(mine, right, strict=False):  # a check that fails makes no further calls
        if one.name != other.name or ("error" in one.answer) != ("error" in other.answer):
            return None
        for number, value, answer in _values(one.answer.get("value"), other.answer.get("value")):
            a, b = _numbers(value), _numbers(answer)
            if (a is None) != (b is None):
                return None
            if a is not None and b is not None and (a.numel() or b.numel()):
                found.append(Part((one.name, number), a, b, _lengths(one, b)))
    return found


def _values(mine: Any, right: Any) -> Iterator[tuple[int | None, Any, Any]]:
    if isinstance(mine, list | tuple) and isinstance(right, list | tuple):
        yield from zip(range(max(len(mine), len(right))), mine, right, strict=False)
    else:
        yield None, mine, right


def _numbers(value: Any) -> Tensor | None:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().double()
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, float) else None


def _explained(part: Part, predicted: Tensor) -> bool:
    """Whether it is what the student returned, and leaves but little of what is visibly wrong."""
    if part.mine.shape != predicted.shape:
        return False
    left, size = difference(part.mine, predicted)
    if left > AGREEMENT * size:
        return False
    return part.mine.shape != part.right.shape or not part.wrong or explains(left, part.error[0])
