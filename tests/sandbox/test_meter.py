"""Time: a worker answers for what it computes and sleeps, never for a machine that has no processor for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from grader.exam.timeouts import Timeouts
from grader.exam.transport import WorkerTransport
from grader.sandbox.isolation import SOURCE_GONE, NoWorkers
from grader.sandbox.meter import MIN_WALL_SHARE, Reading
from grader.sandbox.spawn import Spawn
from grader.sandbox.wire.channel import Channel
from grader.sandbox.wire.objects import from_wire, to_wire
from grader.sandbox.workers import Worker, WorkerTimeout


@pytest.mark.parametrize(
    ("what", "wall", "cpu", "waiting", "seconds"),
    [
        ("it sleeps", 10.0, 0.0, 0.0, 10.0),
        ("it computes", 10.0, 10.0, 0.0, 10.0),
        ("it computes on a busy machine", 10.0, 2.0, 8.0, 2.0),
        ("it computes and sleeps on a busy machine", 10.0, 2.0, 5.0, 5.0),
        ("its threads wait for each other", 10.0, 20.0, 9.0, 20.0),
        ("the machine has no time at all", 10.0, 0.0, 10.0, 10.0 * MIN_WALL_SHARE),
    ],
)
def test_what_a_worker_answers_for(what: str, wall: float, cpu: float, waiting: float, seconds: float) -> None:
    assert Reading(5.0, 1.0, 3.0).until(Reading(5.0 + wall, 1.0 + cpu, 3.0 + waiting)) == seconds, what


class Clock:
    """A meter that the test winds: `step` is what passes between two readings."""

    def __init__(self, step: Reading) -> None:
        self.now, self.step, self.readings = Reading(0.0), step, 0

    def __call__(self) -> Reading:
        self.readings += 1
        now, step = self.now, self.step
        self.now = Reading(now.wall + step.wall, now.cpu + step.cpu, now.waiting + step.waiting)
        return now


def silent(clock: Clock, how: str = "") -> tuple[Worker, socket.socket]:
    ours, theirs = socket.socketpair()
    return Worker(ours, lambda: how, str, clock), theirs


@pytest.mark.parametrize(("step", "readings"), [(Reading(10.0), 4), (Reading(10.0, 0.0, 9.0), 30), (Reading(10.0, 2.0, 9.0), 15)])
def test_a_silent_worker_is_given_up_by_its_own_clock(step: Reading, readings: int) -> None:
    clock = Clock(Reading(step.wall / 1000, step.cpu / 1000, step.waiting / 1000))
    worker, theirs = silent(clock)
    with theirs, pytest.raises(WorkerTimeout, match="no answer within 0.03 s"):
        worker.request({"do": "nothing"}, 0.03)
    assert readings <= clock.readings <= 2 * readings + 4


def test_what_it_computes_unasked_is_counted_and_what_the_grader_does_is_not() -> None:
    clock = Clock(Reading(0.0))
    worker, theirs = silent(clock)
    peer = Channel(theirs, to_wire, from_wire)
    for _ in range(3):
        peer.send({"value": 1})
        worker.request({}, 1.0)
        clock.now = Reading(clock.now.wall + 100.0, clock.now.cpu + 2.0, 0.0)  # between two calls
    assert worker.spent == 4.0
    theirs.close()


def test_a_source_of_workers_that_died_is_no_crash_of_the_submission() -> None:
    worker, theirs = silent(Clock(Reading(0.0)), SOURCE_GONE)
    theirs.close()
    for _ in range(2):
        with pytest.raises(NoWorkers):
            worker.request({}, 1.0)


class Scripted:
    """A worker, and the source of such, without processes: every answer takes `takes` seconds of no real clock."""

    isolation = None

    def __init__(self, takes: float, load: float = 0.0) -> None:
        self.takes, self.load, self.started, self.spent, self.waits = takes, load, 0, 0.0, [0.0]

    def start(self) -> Scripted:
        worker = Scripted(self.takes, self.load)
        worker.waits = self.waits
        self.started += 1
        return worker

    def request(self, message: dict, seconds: float, boxes: object = None) -> dict:  # type: ignore[type-arg]
        takes = self.load if message["do"] == "load" else self.takes
        self.spent += min(takes, seconds)
        self.waits.append(seconds)
        if takes > seconds:
            raise WorkerTimeout(f"no answer within {seconds:g} s")
        return {"problems": {}, "calls": {}} if message["do"] == "load" else {"value": 1}

    def close(self) -> None:
        pass


CALL = {"do": "call", "mode": "plain"}


def transport(source: Scripted, **limits: float) -> WorkerTransport:
    return WorkerTransport(source, "a", {}, Timeouts(**limits))  # type: ignore[arg-type]


def test_a_check_that_waits_on_many_slow_answers_is_interrupted() -> None:
    exam = transport(Scripted(9.5), call=10.0)
    exam.begin_check(30.0)
    for _ in range(3):
        assert exam.ask(CALL) == {"value": 1}
    with pytest.raises(WorkerTimeout, match="the check took longer than 30 s"):
        exam.ask(CALL)
    assert exam.waited == pytest.approx(30.0, abs=0.1)
    with pytest.raises(WorkerTimeout, match="the check took longer than 30 s"):
        exam.ask(CALL)  # at once: no worker is started for it


def test_a_submission_has_one_deadline_whatever_it_spends_its_time_with() -> None:
    source = Scripted(takes=2.0, load=15.0)
    exam = transport(source, submission=100.0, call=1.0, call_again=1.0)
    said = ""
    while "as a whole" not in said:  # every call ends its worker, so that loading is most of it
        exam.begin_check(30.0)
        with pytest.raises(WorkerTimeout) as gone:
            exam.ask(CALL)
        said = str(gone.value)
    assert exam.spent == pytest.approx(100.0, abs=0.1)
    assert source.started == 7
    assert max(source.waits[-1:]) < 15.0  # the last wait was cut to what was left


def test_loading_that_never_ends_is_tried_twice_within_the_deadline() -> None:
    source = Scripted(takes=0.0, load=1000.0)
    exam = transport(source, load=40.0, submission=60.0)
    with pytest.raises(WorkerTimeout, match="as a whole took longer than 60 s"):
        exam.ask(CALL)
    assert source.waits[1:] == [40.0, pytest.approx(20.0, abs=0.1)]


def test_loading_is_no_part_of_a_check() -> None:
    exam = transport(Scripted(takes=9.0, load=35.0))
    exam.begin_check(10.0)
    assert exam.ask(CALL) == {"value": 1}
    with pytest.raises(WorkerTimeout, match="the check took longer"):
        exam.ask(CALL)


def test_only_definitions_is_said() -> None:
    class Second(Scripted):
        def start(self) -> Scripted:
            worker = super().start()
            worker.load = 1000.0 if self.started == 1 else 0.0
            return worker

    exam = transport(Second(0.0), load=40.0)
    assert exam.ask(CALL) == {"value": 1}
    assert "definitions and plain constants alone" in exam.problems[0]


BUSY = "import os\nwhile os.getppid() == {parent}: sum(range(100_000))"
WORK = """
import time
def work():
    start = time.process_time()
    while time.process_time() - start < 0.3:
        pass
    return 1
def sleep():
    time.sleep(60)
"""


@contextmanager
def busy_machine() -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(8):
            process = subprocess.Popen([sys.executable, "-c", BUSY.format(parent=os.getpid())])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the wall clock is all there is")
def test_on_a_busy_machine_nobody_right_is_timed_out_and_a_sleeper_is() -> None:
    def call(name: str) -> dict:  # type: ignore[type-arg]
        return {"do": "call", "run": 1, "target": ["t", name], "mode": "plain", "args": [], "kwargs": {}}

    def grader(exam: WorkerTransport) -> None:
        said.extend(exam.ask(call("work")) for _ in range(2))
        with pytest.raises(WorkerTimeout, match="no answer within 1 s"):
            exam.ask(call("sleep"))
        said.append({"value": "timed out"})

    said: list[dict] = []  # type: ignore[type-arg]
    workers = Spawn([])
    exams = [WorkerTransport(workers, "a", {"t": [WORK]}, Timeouts(call=1.0, load=60.0)) for _ in range(2)]
    try:
        for exam in exams:
            exam.ask(call("nothing"))  # the worker is up
        with busy_machine():
            graders = [threading.Thread(target=grader, args=(exam,)) for exam in exams]
            for one in graders:
                one.start()
            for one in graders:
                one.join(300)
    finally:
        for exam in exams:
            exam.close()
        workers.close()
    assert sorted(map(str, said)) == ["{'value': 'timed out'}"] * 2 + ["{'value': 1}"] * 4
