"""How the student proxy reaches the student's code: a worker process, replaced when it dies, or this very process."""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from grader.checking.student import Result
from grader.sandbox.inside.host import Host, instead
from grader.sandbox.wire.black_boxes import Boxes
from grader.sandbox.wire.frames import WireError, decode, encode, split
from grader.sandbox.wire.objects import printable, revive, revive_answer, special
from grader.sandbox.workers import ProtocolError, Worker, WorkerGone, Workers, WorkerTimeout


@dataclass(frozen=True)
class Timeouts:
    """How long the grader waits, in seconds of wall clock."""

    call: float = 10.0
    call_again: float = 2.0  # after an exercise has run into the limit once
    load: float = 40.0
    statement: float = 5.0  # one top-level statement of a submission
    submission: float = 300.0


class WorkerTransport:
    """A submission in workers of its own. A dead worker is replaced and the submission loaded anew."""

    def __init__(self, workers: Workers, package: str, topics: dict[str, list[str]], patience: Timeouts) -> None:
        self._workers, self._package, self._topics, self._patience = workers, package, topics, patience
        self._worker: Worker | None = None
        self._definitions_only = False
        self._unloadable: WorkerGone | None = None
        self.problems: dict[str, list[str]] = {}
        self.calls: dict[str, dict[str, list[str]]] = {}
        self._call_seconds = patience.call
        self.waited = 0.0  # seconds that the student's code has taken; what the grader itself takes is nobody's fault

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        boxes = Boxes(message)
        try:
            return self._reach(lambda worker, seconds: checked(worker.request(message, seconds, boxes), message["mode"]))
        finally:
            self.waited -= boxes.seconds

    def on_input(self, check: str, number: int, run: Callable[[], Result | None]) -> Result | None:
        return run()

    def _reach(self, use: Callable[[Worker, float], Result]) -> Result:
        """Use the worker within the time of a call; one that fails is gone."""
        started = time.perf_counter()
        try:
            return use(self._ready(), self._call_seconds)
        except WorkerGone as gone:
            self.close()
            if isinstance(gone, WorkerTimeout):
                self._call_seconds = self._patience.call_again
            raise
        finally:
            self.waited += time.perf_counter() - started

    def begin_exercise(self) -> None:
        """Full patience again: what ran into the limit was another function."""
        self._call_seconds = self._patience.call

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def output(self) -> str:
        """What the student's code printed in the present worker."""
        return self._worker.output() if self._worker is not None else ""

    def _ready(self) -> Worker:
        if self._unloadable is not None:
            raise self._unloadable
        while self._worker is None:
            worker = self._workers.start()
            try:
                self.problems = self._load(worker)
                self._worker = worker
            except WorkerGone as gone:
                worker.close()
                if self._definitions_only:
                    self._unloadable = type(gone)(f"while the submission was loaded: {gone}")
                    raise self._unloadable from None
                self._definitions_only = True  # the second attempt leaves out whatever is not a definition
        return self._worker

    def _load(self, worker: Worker) -> dict[str, list[str]]:
        message = {
            "do": "load", "package": self._package, "topics": self._topics,
            "seconds": self._patience.statement, "definitions_only": self._definitions_only,
        }  # fmt: skip
        match worker.request(message, self._patience.load):
            case {"problems": dict(problems), "calls": dict(calls)} if all(map(_sentences, problems.values())):
                self.calls = {topic: _names_called(of_topic) for topic, of_topic in calls.items()}
                return {printable(topic): list(map(printable, said)) for topic, said in problems.items()}
            case answer:
                raise ProtocolError(f"the submission could not be loaded: {str(answer)[:300]}")


class LocalTransport:
    """A host in this very process, through the same codec: for code that is trusted, and for a student's own notebook.

    Whatever a call does to the process's random states and modes is undone after it.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.waited = 0.0
        self.calls = host.calls()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        boxes = Boxes(message)

        def line(question: bytes) -> Any:
            return decode(*split(encode(boxes.answer(decode(*split(question), revive_answer)), special)), revive)

        started = time.process_time()  # our own code: a busy machine is no reason to fail
        with _unchanged_process():
            result = self.host.answer(decode(*split(encode(message, special)), revive), line)
            try:
                frame = encode(result, self.host.keep)
            except (WireError, RuntimeError, TypeError, ValueError) as error:  # as the worker does
                frame = encode(instead(result, str(error)), self.host.keep)
        self.waited += max(time.process_time() - started - boxes.seconds, 0.0)
        answer: dict[str, Any] = decode(*split(frame), revive_answer)
        return answer

    def begin_exercise(self) -> None:
        pass

    def on_input(self, check: str, number: int, run: Callable[[], Result | None]) -> Result | None:
        return run()

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _unchanged_process() -> Iterator[None]:
    gradients, dtype, state, python_state, numpy_state = (
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_rng_state(), random.getstate(), numpy.random.get_state(),
    )  # fmt: skip
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        torch.set_rng_state(state)
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)


def _names_called(value: Any) -> dict[str, list[str]]:
    """What a worker says of the calls within a topic, as far as it has the form; they explain, and decide nothing."""
    known = value.items() if type(value) is dict else ()
    return {name: list(called) for name, called in known if _sentences(called)}


def _sentences(value: Any) -> bool:
    return type(value) is list and all(type(sentence) is str for sentence in value)


def checked(answer: Any, mode: str) -> dict[str, Any]:
    """`answer` if it has the form that `grader.sandbox.inside.host` promises; the worker may be hostile."""
    match answer, mode:
        case {"missing": str()}, _:
            return {"missing": printable(answer["missing"])}
        case {
            "error": {
                "type": str(),
                "bases": list(bases),
                "message": str(),
                "where": str(),
                "unimplemented": bool(),
                **rest,
            }
        }, _:
            if not rest and all(type(base) is str for base in bases):
                words = {key: printable(answer["error"][key]) for key in ("type", "message", "where")}
                return {"error": {**answer["error"], **words}}
        case {"value": _, **rest}, "plain" | "no_grad" | "strided" | "float64_default" if not rest:
            return answer
        case {"value": _, "gradients": None | list(), "parameter_gradients": dict(), **rest}, "gradient" if not rest:
            return answer
        case {
            "value": _, "changed": list(changed), "random_state_moved": bool(), "autograd_mode_moved": bool(),
            "printed": str(), "carries_graph": bool(), **rest,
        }, "observed" if not rest and all(type(name) is str for name in changed):  # fmt: skip
            return {**answer, "changed": list(map(printable, changed)), "printed": printable(answer["printed"])}
    raise ProtocolError("the worker's answer has an unknown form")
