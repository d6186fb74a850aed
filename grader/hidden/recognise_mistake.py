"""Names the mistake behind a failure: the registered mistake that gives the student's answers, right and wrong ones.

A name is never a guess. It is given only when exactly one registered mistake

- answers on the failing input as the student does, and so explains the error: what it leaves of the difference to the
  solution's answer is a small part of that difference, and that difference is more than rounding;
- says something that is true of that input (`when`);
- answers as the student does on the largest inputs of the check and of its neighbours, too: with one component or one
  sample many slips look alike, a tiny error looks like any other, and where all is extreme so does all that is wrong
  there. Mistakes that say the same are one mistake here.

A failure by an exception is named only where the registered mistake raises on purpose, and the student does so too. A
mere yes or no stays unnamed: it tells no mistake from another that is not registered. So does a result that is None: no
registered mistake forgets to return.

Where no mistake fits, a simple relation to the right answer may be told: see `recognise_relation`.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dgm_ref import catalogue
from dgm_ref.catalogue import Mistake
from grader.checking.student import Call, Transport
from grader.exam.collect import Check
from grader.exam.examiner import Examiner
from grader.exam.failure import Failure
from grader.exam.inputs import Example
from grader.hidden import known_submissions
from grader.hidden.differences import difference, explains
from grader.hidden.recognise_relation import Part, parts_of, recognise
from grader.sandbox.wire.families import tensors_in
from grader.sandbox.wire.frames import TO_WORKER, WireError, encode
from grader.sandbox.wire.objects import to_wire

LARGE_INPUTS = 3  # of the check, on which a name must hold beside the failing one
OTHER_INPUTS = 2  # the same, of the checks beside it
FURTHER_INPUTS = 12  # asked while more than one mistake still fits; after them come the other inputs of the checks beside it
COMPARED_INPUTS = 8  # with the right answers, beside the failing one
RELATIVE_AGREEMENT = 1e-3  # relative: the same mistake written another way, in float32
MAX_REMEMBERED = 8192  # ends of known submissions: in a class many fail on the same input, and every mistake is tried on it
ROUNDING = 8  # units in the last place of the largest number: an error below is not visible
NEGLIGIBLE = 1e-4  # of the error of the worst part: the rounding of a long way or of an inverse, in a part that is right

Registered = Callable[[str, str], Sequence[Mistake]]  # of a topic and an exercise


class NameFromCatalogue:
    """The namer of an instructor's exam."""

    def __init__(self, lecture: str, solution: Callable[[str], Transport], registered: Registered | None = None) -> None:
        """`solution`: the kit's own answer to a topic; `registered`: the mistakes of a check, those of the catalogue if None."""
        self.lecture, self._solution = lecture, solution
        self._registered = registered or functools.partial(_with_constants, lecture)
        self._remembered: dict[Hashable, _Seen] = {}
        self._submissions: weakref.WeakKeyDictionary[Transport, _Submission] = weakref.WeakKeyDictionary()

    def __call__(self, examiner: Examiner, check: Check, failure: Failure, transport: Transport) -> tuple[str, str] | None:
        registered = self._registered(check.topic, check.exercise)
        matching = self._fitting(examiner, check, failure, transport, registered)
        if len({mistake.says for mistake in matching}) == 1:
            return matching[0].name, matching[0].says
        if matching or failure.outcome != "failed" or examiner.assignment.shares(check.exercise):  # a rubric waits for one name
            return None

        def parts() -> Iterator[list[Part] | None]:  # no further call is made where nothing here can be compared
            yield parts_of(failure.calls, self._known(examiner, check, failure.example)().calls)
            yield from self._parts_beside(examiner, check.exercise, transport)

        return recognise(parts())

    def _fitting(
        self, examiner: Examiner, check: Check, failure: Failure, transport: Transport, registered: Sequence[Mistake]
    ) -> list[Mistake]:
        """The mistakes that the failure can come from."""
        if failure.mistake is not None:  # the comparison itself can tell
            return [m for m in registered if m.name == failure.mistake and self._is_true(examiner, check, failure, m)]
        if all(isinstance(call.answer.get("value"), bool) for call in failure.calls):
            return []
        if failure.calls and failure.calls[-1].answer.get("value", ...) is None:
            return []
        ruled_out = self._about(transport).ruled_out
        possible = [m for m in registered if m not in ruled_out and (m.raises or failure.outcome != "error")]
        alike, matching = self._answering_alike(examiner, check, failure.example, possible, failure)
        if failure.outcome == "failed":
            ruled_out.update(set(possible).difference(alike))
        matching = [m for m in matching if self._is_true(examiner, check, failure, m)]
        others = itertools.chain(itertools.islice(_larger_first(examiner, check), FURTHER_INPUTS), _rest_of_the_neighbours(examiner, check))
        for number, (asked, example) in enumerate(others):
            if not matching or (number >= LARGE_INPUTS + OTHER_INPUTS and len({m.says for m in matching}) == 1):
                break
            mine = _seen(examiner, asked, example, transport)
            if mine.outcome not in ("timeout", "crashed"):
                _, matching = self._answering_alike(examiner, asked, example, matching, mine)
        return matching

    def _answering_alike(
        self, examiner: Examiner, check: Check, example: Example, mistakes: Sequence[Mistake], mine: Failure | _Seen
    ) -> tuple[list[Mistake], list[Mistake]]:
        """The mistakes that end as the student does on this input, with the same answers; those of them that explain what is wrong."""
        known = self._known(examiner, check, example)
        right: list[dict[str, Any] | None] = [call.answer for call in known().calls]
        right += [None] * (len(mine.calls) - len(right))

        def alike(mistake: Mistake) -> bool:
            theirs = known(mistake)
            if (theirs.outcome, len(theirs.calls)) != (mine.outcome, len(mine.calls)):
                return False
            return all(_alike(*both) for both in zip(mine.calls, theirs.calls, right, strict=False))

        def explains(mistake: Mistake) -> bool:
            if mine.outcome != "failed":
                return True
            both = list(zip(mine.calls, known(mistake).calls, right, strict=False))
            if isinstance(mine, Failure) and mine.rung == "dtype":
                return all(_dtypes(one.answer) == _dtypes(other.answer) for one, other, _ in both)
            parts = [part for one, other, answer in both for part in _explained(one.answer, other.answer, answer)]
            worst = max((how_wrong for how_wrong, _ in parts), default=0.0)
            return bool(parts) and all(explained for how_wrong, explained in parts if how_wrong >= NEGLIGIBLE * worst)

        same = [mistake for mistake in mistakes if alike(mistake)]
        return same, [mistake for mistake in same if explains(mistake)]

    def _is_true(self, examiner: Examiner, check: Check, failure: Failure, mistake: Mistake) -> bool:
        """Whether what the mistake says is true of the input that the student sees."""
        if mistake.when is None:
            return True
        known = self._known(examiner, check, failure.example)
        theirs = known(mistake)
        if len(theirs.said) != len(theirs.calls):
            return any(theirs.said)
        right = known().calls
        return any(
            said and (number >= len(right) or not _same(call.answer, right[number].answer))
            for number, (said, call) in enumerate(zip(theirs.said, theirs.calls, strict=True))
        )

    def _parts_beside(self, examiner: Examiner, exercise: str, transport: Transport) -> list[list[Part] | None]:
        """The answers of the submission beside those of the solution, on the largest inputs of an exercise."""
        parts = self._about(transport).parts
        if exercise not in parts:
            parts[exercise] = [
                parts_of(_seen(examiner, check, example, transport).calls, self._known(examiner, check, example)().calls)
                for check, example in [each for one in _drawn(examiner, exercise) for each in _largest(examiner, one, 2)][:COMPARED_INPUTS]
            ]
        return parts[exercise]

    def _about(self, transport: Transport) -> _Submission:
        return self._submissions.setdefault(transport, _Submission())

    def _known(self, examiner: Examiner, check: Check, example: Example) -> Callable[..., _Seen]:
        """How the solution, or a mistake where one is given, ends on an input."""
        asked = check.identity, _digest(example)

        def end(mistake: Mistake | None = None) -> _Seen:
            if (asked, mistake) not in self._remembered:
                if len(self._remembered) >= MAX_REMEMBERED:
                    self._remembered.clear()
                self._remembered[asked, mistake] = self._end(examiner, check, example, mistake)
            return self._remembered[asked, mistake]

        return end

    def _end(self, examiner: Examiner, check: Check, example: Example, mistake: Mistake | None) -> _Seen:
        if mistake is None:
            seen, said = _seen(examiner, check, example, self._solution(check.topic)), []
        else:
            watched = self._with(mistake)
            watched.said.clear()
            seen, said = _seen(examiner, check, example, watched.transport), watched.said
        answers = tuple(Call(call.name, {}, call.answer) for call in seen.calls)  # what was asked may be large
        return _Seen(seen.outcome, answers, tuple(said))

    @functools.cache  # noqa: B019  one namer lives as long as its exam
    def _with(self, mistake: Mistake) -> _Watched:
        return _Watched(self.lecture, mistake)


@functools.cache
def _with_constants(lecture: str, topic: str, exercise: str) -> list[Mistake]:
    """The registered mistakes, each with all of its constants."""
    registered = catalogue.load(lecture, topic).mistakes.get(exercise, [])  # of a topic alone: they import much
    return [one for mistake in registered for one in mistake.with_each_constant()]


@dataclass
class _Submission:
    """What is known of a submission."""

    ruled_out: set[Mistake] = field(default_factory=set)  # by an earlier failure
    parts: dict[str, list[list[Part] | None]] = field(default_factory=dict)  # of answers, by the exercise, on its largest inputs


class _Watched:
    """A mistake as a submission; `said` has, for each call of its function, whether its sentence is true of it."""

    def __init__(self, lecture: str, mistake: Mistake) -> None:
        self.said: list[bool] = []
        function = mistake.function
        if mistake.when is not None:

            @functools.wraps(mistake.function)
            def function(*args: Any, **kwargs: Any) -> Any:
                self.said.append(mistake.is_true_of(*args, **kwargs))
                return mistake.function(*args, **kwargs)

        self.transport = known_submissions.with_function(lecture, mistake.replaces, function)


@dataclass(frozen=True)
class _Seen:
    """How a check ended on one input, and the calls that it made."""

    outcome: str
    calls: Sequence[Call] = ()
    said: Sequence[bool] = ()  # for each call, whether what a mistake says is true of it


def _digest(example: Example) -> Hashable:
    """The same for inputs of the same content."""

    def written(value: Any) -> tuple[str, Any] | None:
        return ("dtype", str(value)) if isinstance(value, torch.dtype) else to_wire(value)

    try:
        return hashlib.blake2b(encode(dict(example), written, TO_WORKER)).digest()
    except WireError:  # an input of another kind is like nothing else
        return object()


def _seen(examiner: Examiner, check: Check, example: Example, transport: Transport) -> Failure | _Seen:
    calls: list[Call] = []
    return examiner.run(check, example, transport, calls) or _Seen("passed", calls)


def _larger_first(examiner: Examiner, check: Check) -> Iterator[tuple[Check, Example]]:
    """The largest inputs of the check, then of its neighbours, which tell apart what is alike here."""
    if check.drawn:
        yield from _largest(examiner, check, LARGE_INPUTS)
    for other in _drawn(examiner, check.exercise):
        if other != check:
            yield from _largest(examiner, other, 1)


def _rest_of_the_neighbours(examiner: Examiner, check: Check) -> Iterator[tuple[Check, Example]]:
    """More inputs of the checks beside a check, for mistakes that are still alike: smaller ones, and those that are not drawn."""
    for other in examiner.checks:
        if other.exercise == check.exercise and other != check and not other.gpu and not other.training:
            yield from _largest(examiner, other, LARGE_INPUTS)


def _drawn(examiner: Examiner, exercise: str) -> list[Check]:
    """The checks of an exercise that have many inputs."""
    return [one for one in examiner.checks if one.exercise == exercise and one.drawn and not one.gpu and not one.training]


def _largest(examiner: Examiner, check: Check, most: int) -> list[tuple[Check, Example]]:
    return [(check, example) for example in sorted(examiner.examples(check), key=_size, reverse=True)[:most]]


def _size(example: Example) -> int:
    """Numbers in an input."""
    return sum(tensor.numel() for tensor in tensors_in(list(example.values())))


def _alike(mine: Call, theirs: Call, right: Any) -> bool:
    """Whether two answers to the same call are the same; errors where the right answer is none have the same reason."""
    if mine.name != theirs.name or not _same(mine.answer, theirs.answer):
        return False
    if "error" in mine.answer and not (right and "error" in right):
        return _same_error(mine.answer["error"], theirs.answer["error"])
    return True


def _dtypes(value: Any) -> list[Any]:
    """The dtypes of all tensors in an answer, and the types of its numbers."""
    return [tensor.dtype for tensor in tensors_in(value)] or [type(value)]


def _same_error(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """The same type, with the same text or raised on purpose by the student's own line."""
    on_purpose = mine["where"].partition(": ")[2].startswith("raise")
    return bool(mine["type"] == theirs["type"] and (on_purpose or mine["message"] == theirs["message"]))


def _same(one: Any, other: Any) -> bool:
    """Equal up to rounding, whatever the dtype; what has no numbers agrees by its kind."""
    if isinstance(one, dict) and isinstance(other, dict):
        if "error" in one or "error" in other:
            return "error" in one and "error" in other and one["error"]["type"] == other["error"]["type"]
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.shape != other.shape or one.is_floating_point() != other.is_floating_point():
            return False
        if not one.is_floating_point():
            return torch.equal(one.long(), other.long())
        left, size = difference(one, other)
        return left <= RELATIVE_AGREEMENT * size
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or abs(one - other) <= RELATIVE_AGREEMENT * abs(one) or (one != one and other != other)
    return type(one) is type(other) and (not isinstance(one, int | str | None) or one == other)


def _explained(mine: Any, theirs: Any, right: Any) -> Iterator[tuple[float, bool]]:
    """For every part of an answer that is visibly wrong: how wrong, at most 1, and whether the mistake leaves but little of it."""
    if isinstance(mine, float):
        mine, theirs, right = (torch.tensor(x, dtype=torch.float64) if isinstance(x, float) else x for x in (mine, theirs, right))
    if isinstance(mine, dict):
        for key in mine:
            yield from _explained(mine[key], theirs[key], right.get(key) if isinstance(right, dict) else None)
    elif isinstance(mine, list | tuple):
        parts = right if isinstance(right, list | tuple) and len(right) == len(mine) else [None] * len(mine)
        for one, other, answer in zip(mine, theirs, parts, strict=True):
            yield from _explained(one, other, answer)
    elif isinstance(mine, Tensor) and mine.is_floating_point():
        if not isinstance(right, Tensor) or right.shape != mine.shape or not right.is_floating_point():
            yield 1.0, True  # of another form than the right one: there is no difference to explain
            return
        error, size = difference(mine, right)
        left, _ = difference(mine, theirs)
        if error > ROUNDING * torch.finfo(mine.dtype).eps * size:
            largest = max(size, difference(right, mine)[1])
            yield (error / largest if error < largest else 1.0), explains(left, error)
    elif not _same(mine, right):
        yield 1.0, True  # no numbers, or whole ones: the same is the same
