"""How the student proxy reaches the student's code: a worker process, replaced when it dies, or this very process."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy
import torch

from grader.exam.timeouts import Timeouts
from grader.printable import printable
from grader.sandbox.inside.descriptions import instead
from grader.sandbox.inside.host import Host
from grader.sandbox.isolation import NoWorkers
from grader.sandbox.wire.black_boxes import Boxes
from grader.sandbox.wire.frames import WireError, decode, encode, split
from grader.sandbox.wire.objects import answer_from_wire, from_wire, to_wire
from grader.sandbox.workers import ProtocolError, Worker, WorkerGone, Workers, WorkerTimeout

DEFINITIONS_ONLY = (
    "loading the submission did not come to an end, so it was loaded again with its imports, definitions and plain constants alone"
)
MAX_PROBLEMS = 50  # sentences about one topic, and topics that have any
MAX_LENGTH = 500  # characters of what a worker says in words
MAX_NAME_LENGTH = 80

Result = TypeVar("Result")


class WorkerTransport:
    """A submission in workers of its own. A dead worker is replaced and the submission loaded anew.

    Whoever waits keeps three limits at once: of the call, of the check, and of the submission as a whole.
    """

    def __init__(self, workers: Workers, package: str, topics: dict[str, list[str]], timeouts: Timeouts) -> None:
        self._workers, self._package, self._topics, self._timeouts = workers, package, topics, timeouts
        self._worker: Worker | None = None
        self._definitions_only = False
        self._unloadable: WorkerGone | None = None
        self._problems: dict[str, list[str]] = {}
        self.calls: dict[str, dict[str, list[str]]] = {}
        self._call_seconds = timeouts.call
        self._check_seconds = self._check_ends = math.inf
        self._spent_before = 0.0  # by workers that are gone, and by starting all of them
        self._loading = 0.0  # how much of what was spent

    @property
    def spent(self) -> float:
        """Seconds that the submission has taken; what the grader itself takes is nobody's fault."""
        return self._spent_before + (self._worker.spent if self._worker is not None else 0.0)

    @property
    def waited(self) -> float:
        """Those of them that went into calls."""
        return self.spent - self._loading

    @property
    def problems(self) -> list[str]:
        """What went wrong while the submission was loaded."""
        if self._unloadable is not None:
            return [str(self._unloadable)]
        said = [problem for topic in self._problems.values() for problem in topic]
        return [DEFINITIONS_ONLY, *said] if self._definitions_only else said

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        boxes = Boxes(message)
        return self._reach(lambda worker, seconds: checked(worker.request(message, seconds, boxes), message["mode"]))

    def has(self, topic: str) -> bool:
        return topic in self._topics

    def begin_check(self, seconds: float) -> None:
        """From now on the submission may take so long."""
        self._check_seconds, self._check_ends = seconds, self.waited + seconds

    def _reach(self, use: Callable[[Worker, float], Result]) -> Result:
        """Use the worker within what is left of the time; one that fails is gone."""
        try:
            worker = self._ready()
            return use(worker, min(self._call_seconds, self._left()))
        except WorkerGone as gone:
            self.close()
            self._left()
            if isinstance(gone, WorkerTimeout):
                self._call_seconds = self._timeouts.call_again
            raise

    def _left(self) -> float:
        """What is left of the check's time and of the submission's. Raises: `WorkerTimeout` where that is nothing."""
        submission, check = self._timeouts.submission - self.spent, self._check_ends - self.waited
        if submission <= 0:
            raise WorkerTimeout(f"the submission as a whole took longer than {self._timeouts.submission:g} s")
        if check <= 0:
            raise WorkerTimeout(f"the check took longer than {self._check_seconds:g} s")
        return min(submission, check)

    def begin_exercise(self) -> None:
        """The full time for a call again: what ran into the limit was another function."""
        self._call_seconds = self._timeouts.call

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._spent_before += self._worker.spent
            self._worker = None

    def output(self) -> str:
        """What the student's code printed in the present worker."""
        return self._worker.output() if self._worker is not None else ""

    def _ready(self) -> Worker:
        """A worker with the submission in it. Raises: `NoWorkers` where none can be had."""
        if self._unloadable is not None:
            raise self._unloadable
        if self._worker is None:
            before = self.spent
            try:
                return self._loaded()
            finally:
                self._loading += self.spent - before
        return self._worker

    def _loaded(self) -> Worker:
        while self._worker is None:
            self._left()
            began = time.monotonic()
            try:
                worker = self._workers.start()
            except (RuntimeError, OSError) as error:
                raise NoWorkers(str(error)) from error
            self._spent_before += time.monotonic() - began
            try:
                self._problems = self._load(worker)
                self._worker = worker
            except WorkerGone as gone:
                worker.close()
                self._spent_before += worker.spent
                if self._definitions_only:
                    self._unloadable = type(gone)(f"while the submission was loaded: {gone}")
                    raise self._unloadable from None
                self._definitions_only = True  # the second attempt leaves out whatever is not a definition
        return self._worker

    def _load(self, worker: Worker) -> dict[str, list[str]]:
        message = {
            "do": "load", "package": self._package, "topics": self._topics,
            "seconds": self._timeouts.statement, "definitions_only": self._definitions_only,
        }  # fmt: skip
        match worker.request(message, min(self._timeouts.load, self._timeouts.submission - self.spent)):
            case {"problems": dict(problems), "calls": dict(calls)} if all(map(_sentences, problems.values())):
                self.calls = {topic: _names_called(of_topic) for topic, of_topic in calls.items()}
                kept = itertools.islice(problems.items(), MAX_PROBLEMS)
                return {_cut(topic): [_cut(one) for one in said[:MAX_PROBLEMS]] for topic, said in kept}
            case answer:
                error = checked(answer, "load").get("error", {"type": "nothing was loaded", "message": ""})
                raise ProtocolError(f"the submission could not be loaded: {error['type']} {error['message']}".strip())


class LocalTransport:
    """A host in this very process, through the same codec: for code that is trusted, and for a student's own notebook.

    Whatever a call does to the process's random states is undone after it; the host sees to the other settings.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.waited = 0.0

    @functools.cached_property
    def calls(self) -> dict[str, dict[str, list[str]]]:
        """By topic, which of its functions each function calls: asked for where something fails."""
        return self.host.calls()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        boxes = Boxes(message)

        def line(question: bytes) -> Any:
            return decode(*split(encode(boxes.answer(decode(*split(question), answer_from_wire)), to_wire)), from_wire)

        started = time.process_time()  # our own code: a busy machine is no reason to fail
        with _random_states_put_back():
            result = self.host.answer(decode(*split(encode(message, to_wire)), from_wire), line)
            try:
                frame = encode(result, self.host.keep_in_worker)
            except (WireError, RuntimeError, TypeError, ValueError) as error:  # as the worker does
                frame = encode(instead(result, str(error)), self.host.keep_in_worker)
        self.waited += max(time.process_time() - started - boxes.seconds, 0.0)
        answer: dict[str, Any] = decode(*split(frame), answer_from_wire)
        return answer

    def begin_exercise(self) -> None:
        pass

    def begin_check(self, seconds: float) -> None:
        pass

    def has(self, topic: str) -> bool:
        return topic in self.host.topics

    def output(self) -> str:
        return ""

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _random_states_put_back() -> Iterator[None]:
    state, python_state, numpy_state = torch.get_rng_state(), random.getstate(), numpy.random.get_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)


def _names_called(value: Any) -> dict[str, list[str]]:
    """What a worker says of the calls within a topic, as far as it has the form; they explain, and decide nothing."""
    known = value.items() if type(value) is dict else ()
    return {name: list(called) for name, called in known if _sentences(called)}


def _sentences(value: Any) -> bool:
    return type(value) is list and all(type(sentence) is str for sentence in value)


def _cut(text: str, most: int = MAX_LENGTH) -> str:
    """What a worker said, fit for a record: no longer than needed, nothing that a terminal would obey."""
    return printable(text if len(text) <= most else f"{text[: most - 2]} …")


def checked(answer: Any, mode: str) -> dict[str, Any]:
    """`answer` if it has the form that `grader.sandbox.inside.host` promises; the worker may be hostile."""
    match answer, mode:
        case {"missing": str()}, _:
            return {"missing": _cut(answer["missing"])}
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
                words = {key: _cut(answer["error"][key]) for key in ("message", "where")}
                names = {
                    "type": _cut(answer["error"]["type"], MAX_NAME_LENGTH),
                    "bases": [base[:MAX_NAME_LENGTH] for base in bases[:MAX_PROBLEMS]],
                }  # fmt: skip
                return {"error": {**answer["error"], **words, **names}}
        case {"value": _, **rest}, "plain" | "strided" | "float64_default" if not rest:
            return answer
        case {"value": _, "gradients": None | list(), "parameter_gradients": dict(), **rest}, "gradient" if not rest:
            return answer
        case {"value": _, "changed": list(changed), **rest}, "observed" if not rest and _sentences(changed):
            return {**answer, "changed": [_cut(name, MAX_NAME_LENGTH) for name in changed[:MAX_PROBLEMS]]}
    raise ProtocolError("the worker's answer has an unknown form")
