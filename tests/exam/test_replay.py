"""The calls of an input sent together: the same outcomes as one call at a time, in fewer messages."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from grader.checking.student import Student, StudentError
from grader.exam.replay import PlannedTransport, Plans, Rehearsal, Replay, carries, empty_plans, judge
from grader.exam.timeouts import Timeouts
from grader.exam.transport import WorkerTransport
from grader.sandbox.unlocked_fork import UnlockedFork
from grader.sandbox.wire.frames import encode
from grader.sandbox.wire.objects import SeededGenerator, to_wire
from grader.sandbox.workers import ProtocolError, WorkerGone

RIGHT = """
    import torch

    def double(x):
        return 2 * x

    def draw(n, generator):
        return torch.rand(n, generator=generator)

    class Box:
        def __init__(self, value):
            self.value = value

        def add(self, x):
            self.value += x
            return self.value
"""
OTHERS = {
    "right": RIGHT,
    "draws another way": RIGHT.replace("torch.rand(n, generator=generator)", "1 - torch.rand(2 * n, generator=generator)[:n]"),
    "raises": RIGHT.replace("return 2 * x", "raise KeyError('x')"),
    "raises on its second input": RIGHT.replace("return 2 * x", "return 2 * x if x.sum() < 4 else 1 / 0"),
    "loops on its second input": RIGHT.replace("return 2 * x", "\n        while x.sum() >= 4: pass\n        return 2 * x"),
    "has no box": RIGHT.replace("class Box", "class Bag"),
    "cannot make a box": RIGHT.replace("self.value = value", "self.value = value / 0"),
    "answers at length": RIGHT.replace("return 2 * x", "return torch.zeros(1 << 23, dtype=torch.uint8)"),
    "dies": RIGHT.replace("return self.value", "import os; os._exit(3)"),
}
TIMEOUTS = Timeouts(call=1.0, call_again=0.5)


def _values(student: Student, x: torch.Tensor) -> list[Any]:
    return [student.double(x), student.double(x + 1), student.double.observed(x).changed]


def _generators(student: Student, x: torch.Tensor) -> list[Any]:
    one, other = student.generator(1), student.generator(1)
    return [student.draw(3, one), student.draw(3, one), student.draw(3, other)]


def _objects(student: Student, x: torch.Tensor) -> list[Any]:
    box, empty = student.Box(x), student.Box(0 * x)
    return [box.add(x), empty.add(x), box.add(x)]


def _calls_that_depend_on_answers(student: Student, x: torch.Tensor) -> list[Any]:
    g = student.generator(7)
    drawn = student.draw(3, g)
    return [drawn, student.double(drawn), student.draw(2, g), student.double(drawn.exp()), student.draw(2, g)]


def _a_call_that_depends_on_an_answer_in_hiding(student: Student, x: torch.Tensor) -> list[Any]:
    g = student.generator(7)
    again = student.draw(1, g).item() > 0.53  # the solution draws 0.5349, the other way to draw does not
    return [student.draw(2, g)] if again else [student.double(x), student.draw(3, g), student.draw(3, g)]


BODIES = [_values, _generators, _objects, _calls_that_depend_on_answers, _a_call_that_depends_on_an_answer_in_hiding]
INPUTS = [torch.ones(3), 2 * torch.ones(3), torch.tensor([float("nan"), -0.0])]


@pytest.fixture(scope="module")
def workers():
    source = UnlockedFork([])
    yield source
    source.close()


@pytest.fixture(scope="module")
def plans(workers: UnlockedFork) -> Plans:
    plans: Plans = {}
    _all(_rehearsal(workers), plans)
    return plans


@pytest.mark.parametrize("source", OTHERS)
def test_outcomes_are_those_of_one_call_at_a_time(workers: UnlockedFork, plans: Plans, source: str) -> None:
    topics = {"topic": [textwrap.dedent(OTHERS[source])]}
    one_by_one = WorkerTransport(workers, "assignments.demo", topics, TIMEOUTS)
    together = _Counting(workers, "assignments.demo", topics, TIMEOUTS)
    try:
        wanted, got = _all(one_by_one, plans), _all(together, plans)
    finally:
        one_by_one.close()
        together.close()
    assert wanted.keys() == got.keys()
    for place, outcome in wanted.items():
        assert _same(outcome, got[place]), place
    if source == "right":
        assert together.sendings == len(BODIES) - 1  # the calls of one depend on answers


def test_answers_of_a_check_together_are_no_longer_than_one_may_be(workers: UnlockedFork, plans: Plans) -> None:
    lengthy = Replay(workers, "assignments.demo", {"topic": [textwrap.dedent(OTHERS["answers at length"])]}, TIMEOUTS)
    calls = [call for plan in plans["_values"] for call in plan.calls]
    with pytest.raises(ProtocolError, match="too large"):
        lengthy._exchange(calls)
    lengthy.close()


def test_calls_that_depend_on_an_answer_are_in_no_plan(plans: Plans) -> None:
    assert [len(plan.calls) for plan in plans["_values"]] == [3, 3, 3]
    assert [len(plan.calls) for plan in plans["_objects"]] == [5, 5, 5]
    assert [len(plan.calls) for plan in plans["_calls_that_depend_on_answers"]] == [0, 0, 0]


def test_calls_are_the_same_only_to_the_bit() -> None:
    x = torch.tensor([0.0, float("nan")])
    assert _same([x, float("nan"), SeededGenerator(1, 2)], [x.clone(), float("nan"), SeededGenerator(1, 2)])
    different = [
        (x, -x),
        (x, x.double()),
        (x, x[None]),
        (0.0, -0.0),
        (1, True),
        (1, 1.0),
        ([1], (1,)),
        (SeededGenerator(1, 2), SeededGenerator(1, 3)),
    ]
    for one, other in different:
        assert not _same(one, other)


def _same(one: Any, other: Any) -> bool:
    return carries(encode({"x": one}, to_wire), {"x": other})


OTHER_BITS = RIGHT.replace("2 * x", "2 * x * (1 + 1e-12)")
MORE_CALLS = RIGHT.replace("2 * x", "2 * x * (1 + 1e-8)")
JUDGED = [  # in this order: how often the check is run for each
    (RIGHT, 0),
    (OTHER_BITS, 3),
    (OTHER_BITS, 0),
    (RIGHT.replace("return 2 * x", "return 2 * x + (x.sum() > 6)"), 1),  # wrong at the second call on the second input
    (RIGHT.replace("return 2 * x", "return 2 * x if x.sum() < 6 else 1 / 0"), 1),
    (MORE_CALLS, 5),  # on two inputs with a third call, which no plan has: these start again, one call at a time
    (MORE_CALLS, 4),  # the third input needs none: it is remembered
]


def test_a_check_is_run_unless_it_has_passed_with_these_very_answers(workers: UnlockedFork) -> None:
    plans: Plans = {}
    assert _judge(_rehearsal(workers), plans) == (None, 3)
    for source, runs in JUDGED:
        topics = {"topic": [textwrap.dedent(source)]}
        one_by_one = WorkerTransport(workers, "assignments.demo", topics, TIMEOUTS)
        together = Replay(workers, "assignments.demo", topics, TIMEOUTS)
        try:
            wanted, _ = _judge(one_by_one, plans)
            assert _judge(together, plans) == (wanted, runs), source
        finally:
            one_by_one.close()
            together.close()


def _rehearsal(workers: UnlockedFork) -> Rehearsal:
    return Rehearsal(workers, "assignments.demo", {"topic": [textwrap.dedent(RIGHT)]}, TIMEOUTS)


def _on_input(transport: Any, plans: Plans, check: str, number: int, run: Callable[[], Any]) -> Any:
    """What the examiner does with one of three inputs."""
    of_check = plans.setdefault(check, empty_plans(check, 3))
    if not isinstance(transport, PlannedTransport):
        return run()
    if number == 0:
        transport.send_ahead(of_check)
    return judge(of_check[number], transport, run)


def _judge(transport: Any, plans: Plans) -> tuple[str | None, int]:
    """What a check of two calls, or of three where the answers are off, makes of three inputs; and how often it ran."""
    ran = 0

    def verdict(x: torch.Tensor) -> str | None:
        nonlocal ran
        ran += 1
        student = Student("topic", transport)
        try:
            values = [student.double(y) for y in (x, x + 1)]
            if (values[0] - 2 * x).abs().max() > 1e-9:
                values.append(student.double(x + 2))
        except StudentError as error:
            return str(error)
        right = all(torch.allclose(value, 2 * (x + i)) for i, value in enumerate(values))
        return None if right else "not twice x"

    for number, x in enumerate(torch.tensor([[1.0] * 3, [2.0] * 3, [0.0] * 3], dtype=torch.float64)):
        outcome = _on_input(transport, plans, "verdict", number, functools.partial(verdict, x))
        if outcome is not None:
            return outcome, ran
    return None, ran


class _Counting(Replay):
    sendings = 0

    def _exchange(self, calls: Sequence[bytes]) -> list[bytes]:
        self.sendings += 1
        return super()._exchange(calls)


def _all(transport: Any, plans: Plans) -> dict[tuple[str, int], Any]:
    """What every body gives on every input, up to the first failure of each, as the examiner does it."""
    outcomes: dict[tuple[str, int], Any] = {}
    for body in BODIES:
        for number, x in enumerate(INPUTS):
            run = functools.partial(_outcome, body, x, transport)
            outcomes[body.__name__, number] = outcome = _on_input(transport, plans, body.__name__, number, run)
            if isinstance(outcome, str):
                outcomes[body.__name__, -1] = _outcome(body, INPUTS[0], transport)  # an input that is not foreseen
                break
    return outcomes


def _outcome(body: Callable[[Student, torch.Tensor], list[Any]], x: torch.Tensor, transport: Any) -> Any:
    try:
        return body(Student("topic", transport), x)
    except StudentError as error:
        return str(error)
    except WorkerGone as error:
        return type(error).__name__
    except Exception as error:
        return type(error).__name__
