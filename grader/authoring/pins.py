"""What is pinned beside the checks, written by `dgm dev update`: checks that earn nothing alone, and digests of all inputs.

A check that an answer passes which is right nowhere says little: `earns_nothing_alone.txt` lists these, found by putting
the answers of `HOLLOW` to all checks. `inputs.txt` has a digest of what one seed draws for each check, so that a change
that moves inputs, and with them the grades of a class that is graded twice, is seen.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from grader import assignment as assignments
from grader.checking.student import Transport
from grader.exam.collect import NOT_EVIDENCE, REPLAYING, Check, collect, earns_nothing_alone, folder
from grader.exam.examiner import Examiner
from grader.exam.inputs import draw_examples
from grader.exam.transport import LocalTransport
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.practice.run import PUBLIC_SEED
from grader.sandbox.inside.host import Host
from grader.sandbox.wire.families import Family
from grader.sandbox.wire.frames import WireError, encode
from grader.sandbox.wire.objects import to_wire
from grader.values import leaves, mapped

SEED = "pinned"
INPUTS = "inputs.txt"  # beside the checks
Function = Callable[..., Any]


def hollow_checks(lecture: str, exercises: Sequence[str]) -> Iterator[tuple[str, Collection[str]]]:
    """The checks that a hollow answer passes, with the names of these answers."""
    checks = [check for check in collect(lecture) if not check.gpu and not check.training]
    examiner = Examiner(assignments.load(lecture), checks, SEED, key=InstructorsKey(lecture, names=False))
    for check in checks:
        if check.exercise in exercises or not exercises:
            fooled = [name for name, answer in hollow_answers(lecture, check.exercise) if passes(examiner, check, answer)]
            if fooled:
                yield check.identity, fooled


def hollow_answers(lecture: str, exercise: str) -> Iterator[tuple[str, Transport]]:
    """The solution of the exercise's topic with the function of the exercise (or those it examines again) made hollow."""
    replaced = assignments.load(lecture)[exercise].of or (exercise,)
    for name, hollow in HOLLOW.items():
        yield name, known_submissions.with_changed(lecture, replaced, hollow)
    yield REPLAYING, replaying(lecture, exercise.split(".")[0])


@functools.cache
def replaying(lecture: str, topic: str) -> Transport:
    """Whoever has written down the right answers to the exam at home, and gives these and no others."""
    checks = [check for check in collect(lecture) if check.topic == topic and not check.gpu and not check.training]
    at_home = Examiner(assignments.load(lecture), checks, PUBLIC_SEED, key=InstructorsKey(lecture, names=False))
    student = _Replaying(known_submissions.solution(lecture, topic).host)
    for check in checks:
        at_home.examine(check, student)
    student.learning = False
    return student


class _Replaying(LocalTransport):
    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.learning = True
        self._known: dict[bytes, dict[str, Any]] = {}

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            call = encode({**message, "run": 0}, to_wire)
        except WireError:
            call = b""
        if self.learning:
            self._known[call] = super().ask(message)
        return self._known.get(call, {"missing": "no answer at hand"})


def passes(examiner: Examiner, check: Check, transport: Transport) -> bool:
    """Whether a check holds of an answer that may be wrong in any way."""
    try:
        return examiner.passes(check, transport)
    except Exception:  # the check breaks on such an answer
        return False


def digests(lecture: str) -> dict[str, str]:
    """By check, a digest of the inputs that `SEED` draws."""
    return {check.identity: digest(check) for check in collect(lecture)}


def digest(check: Check) -> str:
    """A digest of the inputs that `SEED` draws for a check, to five digits: the last ones differ between processors."""
    examples = [list(_facts(example.items())) for example in draw_examples(check, SEED)]
    return hashlib.sha256(encode(examples, _anything)).hexdigest()[:12]


def _facts(value: Any) -> Iterator[Any]:
    """What there is in a value, callables taken apart."""
    for leaf in leaves(list(value)):
        if isinstance(leaf, Family):
            yield from (leaf.name, *_facts(leaf.parameters.items()))
        else:
            yield _rounded(leaf)


def _rounded(leaf: Any) -> Any:
    if isinstance(leaf, float) and math.isfinite(leaf):
        mantissa, exponent = math.frexp(leaf)
        return math.ldexp(round(mantissa, 5), exponent)
    if isinstance(leaf, Tensor) and leaf.is_floating_point():
        mantissas, exponents = torch.frexp(leaf.detach().double())
        return torch.where(leaf.isfinite(), torch.ldexp(mantissas.round(decimals=5), exponents), leaf.double()).to(leaf.dtype)
    return leaf


def pinned(lecture: str) -> dict[str, str]:
    """The digests that are written beside the checks."""
    path = folder(lecture) / INPUTS
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    parts = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return {name: digest for digest, _, name in parts}


def write(lecture: str, exercises: Sequence[str] = ()) -> None:
    """Write both files anew: the lines of these exercises, or all."""

    def stays(name: str) -> bool:
        return bool(exercises) and name.split("::")[0] not in exercises

    hollow = dict(hollow_checks(lecture, exercises))
    hollow |= {name: answers for name, answers in earns_nothing_alone(lecture).items() if stays(name)}
    head = [
        "# Checks that an answer passes which is right nowhere: they earn as much of their points as is right of the others",
        "# of their exercise. Found and written by `dgm dev update`.",
    ]
    names = [check.identity for check in collect(lecture) if check.identity in hollow]
    lines = [f"{name}: {', '.join(answer for answer in (*HOLLOW, REPLAYING) if answer in hollow[name])}" for name in names]
    (folder(lecture) / NOT_EVIDENCE).write_text("\n".join([*head, *lines, ""]), "utf-8")
    head = [f"# What the seed {SEED!r} draws for each check, as digests. Written by `dgm dev update`."]
    found = digests(lecture)
    found |= {name: digest for name, digest in pinned(lecture).items() if name in found and stays(name)}
    lines = [f"{digest} {name}" for name, digest in found.items()]
    (folder(lecture) / INPUTS).write_text("\n".join([*head, *lines, ""]), "utf-8")


def _anything(value: Any) -> tuple[str, Any] | None:
    """The wire's `to_wire`, and the text of what does not travel."""
    return to_wire(value) or ("tuple", [repr(value)])


def _mapped(change: Function) -> Callable[[Function], Function]:
    """An answer that differs from the right one in all its numbers."""

    def changed(leaf: Any) -> Any:
        return change(leaf) if isinstance(leaf, Tensor | int | float) else leaf

    def hollow(right: Function) -> Function:
        @functools.wraps(right)
        def function(*args: Any, **kwargs: Any) -> Any:
            return mapped(right(*args, **kwargs), changed)

        return function

    return hollow


def _nothing(right: Function) -> Function:
    return lambda *args, **kwargs: None


def _refusal(right: Function) -> Function:
    def refuses(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("no")

    return refuses


def _echo(right: Function) -> Function:
    """The first tensor that it is given, which often has the right form."""

    def echoes(*args: Any, **kwargs: Any) -> Any:
        return next((leaf.clone() for leaf in leaves([args, kwargs]) if isinstance(leaf, Tensor)), None)

    return echoes


HOLLOW: dict[str, Callable[[Function], Function]] = {
    "nothing": _nothing,
    "a ValueError": _refusal,
    "zeros": _mapped(lambda value: torch.zeros_like(value) if isinstance(value, Tensor) else 0 * value),
    "zeros with a graph": _mapped(lambda value: 0 * value.nan_to_num() if isinstance(value, Tensor) else 0 * value),
    "the first argument": _echo,
    "one per cent and 0.01 more": _mapped(lambda value: 1.01 * value + 0.01),
}
