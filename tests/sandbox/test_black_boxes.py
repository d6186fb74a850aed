"""Functions that stay with the grader: what the student's code can do with them, in a worker and in this process alike."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.checking.student import Student, StudentError, Transport
from grader.exam.replay import Plan, Rehearsal, judge
from grader.exam.timeouts import Timeouts
from grader.exam.transport import LocalTransport, WorkerTransport
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import load_topic
from grader.sandbox.unlocked_fork import UnlockedFork
from grader.sandbox.wire.black_boxes import MAX_NUMBERS, MAX_QUESTIONS, Boxes, QuestionRefused
from grader.sandbox.wire.frames import WireError
from grader.sandbox.wire.objects import BlackBox, RemoteObject, Unsendable
from grader.sandbox.workers import ProtocolError, WorkerTimeout

SOURCE = """
    import math, os, struct, time, torch
    kept = []

    def ask(f, *args):
        return f(*args)

    def ask_by_name(f, x):
        return f(x=x)

    def ask_often(f, times):
        return [f(i) for i in range(times)][-1]

    def ask_on(f, times):
        refused = 0
        for i in range(times):
            try:
                f(i)
            except ValueError:
                refused += 1
        return refused

    def ask_two(f, g):
        return f(1), g(2)

    def keep(f):
        kept.append(f)
        return f(1)

    def ask_kept(x):
        return kept[0](x)

    def ask_kept_and_given(f):
        return kept[0](5) + f(1)

    def junk(f, what):
        return f({"function": lambda x: x, "box": f, "sparse": torch.eye(2).to_sparse(), "model": torch.nn.Linear(1, 1)}[what])

    def forever(f):
        while True:
            try:
                f(1)
            except ValueError:
                pass

    def sleep_after(f, seconds):
        f(1)
        time.sleep(seconds)
        return 1

    def read(f):
        seen = [f.__dict__, dir(f), repr(f), getattr(f, "__closure__", None), f.__call__.__func__.__code__.co_consts]
        return "SECRET" in str(seen)

    def forge(f, header):
        frame = header.encode()
        os.write(min(fd for fd in range(3, 64) if is_socket(fd)), b"DGM1" + struct.pack("<IQ", len(frame), 0) + frame)
        return f(1) if f else 1

    def is_socket(fd):
        import stat
        try:
            return stat.S_ISSOCK(os.fstat(fd).st_mode)
        except OSError:
            return False
"""
TIMEOUTS = Timeouts(call=2.0, call_again=2.0)


@pytest.fixture(scope="module")
def workers() -> UnlockedFork:
    return UnlockedFork([])


@pytest.fixture(params=["worker", "local"])
def student(request: pytest.FixtureRequest) -> Iterator[Student]:
    transport = remote(request.getfixturevalue("workers")) if request.param == "worker" else local()
    yield Student("topic", transport)
    transport.close()


def remote(workers: UnlockedFork) -> WorkerTransport:
    return WorkerTransport(workers, "assignments.demo", {"topic": [textwrap.dedent(SOURCE)]}, TIMEOUTS)


def local() -> LocalTransport:
    host = Host()
    host.topics = {"topic": load_topic("topic", [textwrap.dedent(SOURCE)], seconds=5, definitions_only=False)}
    return LocalTransport(host)


def box(function: Callable[..., Any] = lambda x: x, name: str = "f") -> BlackBox:
    return BlackBox(name, function)


def refuse(x: Any) -> Any:
    raise QuestionRefused("f takes numbers below one")


def test_a_box_answers_with_plain_values(student: Student) -> None:
    x = torch.tensor([1, 2, 3])
    assert torch.equal(student.ask(box(lambda x: 2 * x), x), 2 * x)
    assert student.ask(box(lambda *args: list(args)), 1, 2.5, "three", None) == [1, 2.5, "three", None]
    assert student.ask_by_name(box(), 4) == 4
    assert student.ask_two(box(), box(lambda x: x + 0.5, "g")) == (1, 2.5)
    assert student.ask.observed(box(), 1).value == 1


def test_a_refusal_is_a_value_error_in_the_students_code(student: Student) -> None:
    with pytest.raises(StudentError, match="f takes numbers below one") as error:
        student.ask(box(refuse), 1)
    assert error.value.type == "ValueError"


def test_a_box_that_fails_says_no_more_than_that(student: Student) -> None:
    with pytest.raises(StudentError, match=r"f cannot be called like this \(KeyError\)$"):
        student.ask(box(lambda x: {"SECRET": 1}[x]), 1)
    with pytest.raises(StudentError, match=r"f cannot be called like this \(TypeError\)$"):
        student.ask(box(lambda x: x), 1, 2)


def test_a_box_is_good_for_the_call_that_it_was_given_to(student: Student) -> None:
    run = student.run_number
    assert student.keep(box()) == 1
    for again in (run, run + 1):
        student.run_number = again
        with pytest.raises(StudentError, match="f answers only during the call that it was given to"):
            student.ask_kept(1)
        with pytest.raises(StudentError, match="f answers only during the call"):
            student.ask_kept_and_given(box())
    assert student.ask(box(), 3) == 3


def test_questions_and_numbers_are_counted_for_each_call(student: Student) -> None:
    assert student.ask_often(box(), MAX_QUESTIONS) == MAX_QUESTIONS - 1
    with pytest.raises(StudentError, match="f was asked too often: 1,000 questions are answered"):
        student.ask_often(box(), MAX_QUESTIONS + 1)
    assert student.ask_on(box(), MAX_QUESTIONS + 50) == 50
    half = torch.zeros(MAX_NUMBERS // 2, dtype=torch.bool)
    assert student.ask(box(len), half) == len(half)
    assert student.ask(box(), half).shape == half.shape
    with pytest.raises(StudentError, match="f was asked for too much"):
        student.ask(box(lambda x: torch.cat([x, x[:1]])), half)


@pytest.mark.parametrize("what", ["function", "box", "sparse", "model"])
def test_a_question_holds_plain_values_only(student: Student, what: str) -> None:
    with pytest.raises(StudentError, match="f takes tensors and numbers"):
        student.junk(box(), what)


def test_the_worker_holds_nothing_of_the_box(student: Student) -> None:
    assert not student.read(box(lambda x: "SECRET"))


def test_two_boxes_of_one_name_are_a_mistake_of_the_checks(student: Student) -> None:
    with pytest.raises(ValueError, match="two black boxes are called f"):
        student.ask_two(box(), box())


def test_what_the_box_takes_is_not_the_students_time(workers: UnlockedFork) -> None:
    transport = remote(workers)
    student = Student("topic", transport)
    try:
        student.ask(box(), 1)  # the worker is up
        before = transport.waited
        slow = box(lambda x: time.sleep(TIMEOUTS.call + 0.5) or x)
        assert student.ask(slow, 1) == 1
        assert transport.waited - before < 0.5
        with pytest.raises(WorkerTimeout):
            student.sleep_after(slow, TIMEOUTS.call + 0.5)
    finally:
        transport.close()


def test_asking_for_ever_is_an_endless_loop(workers: UnlockedFork) -> None:
    transport = remote(workers)
    started = time.monotonic()
    with pytest.raises(WorkerTimeout):
        Student("topic", transport).forever(box())
    assert time.monotonic() - started < 30
    transport.close()


FORGED = {
    "for nobody": '{"ask":"g","args":["l"],"kwargs":{}}',
    "with arguments of the wrong kind": '{"ask":"f","args":{},"kwargs":{}}',
    "with more to it": '{"ask":"f","args":["l"],"kwargs":{},"value":null}',
    "without arguments": '{"ask":"f"}',
    "of another name": '{"ask":["l"],"args":["l"],"kwargs":{}}',
    "that is no frame": "not json",
    "with a family": '{"ask":"f","args":["l",["s","family",["l","affine",{}]]],"kwargs":{}}',
    "with a box": '{"ask":"f","args":["l",["s","black box",["l","f"]]],"kwargs":{}}',
}


@pytest.mark.parametrize("form", FORGED)
def test_a_forged_question_ends_the_worker_and_nothing_else(workers: UnlockedFork, form: str) -> None:
    transport = remote(workers)
    student = Student("topic", transport)
    try:
        with pytest.raises(ProtocolError):
            student.forge(box(), FORGED[form])
        assert student.ask(box(), 3) == 3
    finally:
        transport.close()


def test_a_question_in_a_call_without_boxes_is_no_answer(workers: UnlockedFork) -> None:
    transport = remote(workers)
    try:
        with pytest.raises(ProtocolError):
            Student("topic", transport).forge(None, '{"ask":"f","args":["l"],"kwargs":{}}')
    finally:
        transport.close()


def test_a_call_with_a_box_is_in_no_plan(workers: UnlockedFork) -> None:
    plan = Plan(-1)
    rehearsal = Rehearsal(workers, "assignments.demo", {"topic": [textwrap.dedent(SOURCE)]}, TIMEOUTS)

    def check(transport: Transport) -> None:
        student = Student("topic", transport)
        assert student.keep(box()) == 1
        assert student.ask(box(), 2) == 2

    try:
        judge(plan, rehearsal, lambda: check(rehearsal))
    finally:
        rehearsal.close()
    assert plan.calls == []


values = st.recursive(
    st.one_of(
        st.none(), st.integers(), st.text(max_size=3), st.just(torch.zeros(2)),
        st.just(RemoteObject(1, "Model")), st.just(Unsendable("a set")),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["ask", "args", "kwargs", "f"]), inner, max_size=4)),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(values, st.fixed_dictionaries({"ask": st.sampled_from(["f", "g"]), "args": values, "kwargs": values})))
def test_whatever_is_asked_is_answered_or_a_wire_error(question: Any) -> None:
    boxes = Boxes({"args": [box(lambda x: x + 1)], "kwargs": {}})
    if boxes.asked(question):
        try:
            answer = boxes.answer(question)
        except WireError:
            return
        assert answer.keys() in ({"value"}, {"refused"})
