"""The trusted side of a worker: start it, ask it, end it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from grader.sandbox.isolation import SOURCE_GONE, Isolation, NoWorkers
from grader.sandbox.meter import Meter, Reading, wall_clock
from grader.sandbox.wire.black_boxes import Boxes
from grader.sandbox.wire.channel import Channel, Deadline, WireClosed, WireTimeout
from grader.sandbox.wire.frames import LIMITS, TO_WORKER, WireError, encode
from grader.sandbox.wire.objects import answer_from_wire, to_wire


class WorkerGone(Exception):
    """The worker will not answer any more; a new one has to be started."""


class WorkerTimeout(WorkerGone):
    """No answer within the time; the worker was killed."""


class WorkerCrashed(WorkerGone):
    """The worker's process ended."""


class ProtocolError(WorkerGone):
    """The worker sent something that is not an answer; it was killed."""


class Workers(Protocol):
    """A source of fresh workers."""

    @property
    def isolation(self) -> Isolation: ...

    def start(self) -> Worker: ...

    def close(self) -> None: ...


class Worker:
    """One worker process, seen from the grader: plain data out, plain data in, within a time that is the worker's own."""

    def __init__(
        self,
        connection: socket.socket,
        end: Callable[[], str],
        read_output: Callable[[], str],
        meter: Meter = wall_clock,
    ) -> None:
        self._channel = Channel(connection, to_wire, answer_from_wire, send=TO_WORKER)
        self._end, self._read_output, self._meter = end, read_output, meter
        self._gone: BaseException | None = None
        self._last = meter()
        self.spent = 0.0  # seconds in which the grader waited for this worker, and it did not wait for a processor

    def request(self, message: object, seconds: float, boxes: Boxes | None = None) -> Any:
        """The worker's answer to `message`. After any failure the worker is dead and stays so.

        `boxes` answer what the worker asks meanwhile, in time of their own.
        """
        before = self.spent
        reply = self._exchange(message, seconds, before)
        while boxes and boxes.asked(reply):
            reply = self._exchange(self._answered(boxes, reply), seconds, before)
        return reply

    def _answered(self, boxes: Boxes, question: Any) -> dict[str, Any]:
        return self._read(lambda: boxes.answer(question))

    def _exchange(self, message: object, seconds: float, before: float) -> Any:
        def use(deadline: Deadline) -> Any:
            self._channel.send(message, deadline)
            return self._channel.receive(deadline)

        return self._within(seconds, use, self.spent - before)

    def exchange(self, calls: Sequence[bytes], seconds: float, altogether: float) -> list[bytes]:
        """The answers, as they came, to calls that are encoded already and sent together; `open` gives their values.

        Each may take `seconds`, from the moment at which the grader waits for it, and all `altogether` seconds.
        """
        begin = self._meter()

        def deadline() -> Deadline:
            waiting: Reading | None = None

            def left() -> float:
                nonlocal waiting
                now = self._meter()
                waiting = waiting or now
                return min(seconds - waiting.until(now), altogether - begin.until(now))

            return left

        frames = b"".join([encode({"do": "batch", "calls": len(calls)}, to_wire), *calls])
        answers: list[bytes] = []
        room = LIMITS.blob  # for all answers together: what may be in one of them
        try:
            self._read(lambda: self._channel.send_frames(frames, deadline()), seconds)
            for _ in calls:
                answers.append(self._read(lambda: self._channel.receive_frame(deadline()), seconds))
                room -= len(answers[-1])
                if room < 0:
                    raise self._fail(ProtocolError("the answers are too large"))
        finally:
            self._count(begin)
        return answers

    def open(self, frame: bytes) -> Any:
        """The value in an answer. One that cannot be read ends the worker."""
        return self._read(lambda: self._channel.open(frame))

    def _within(self, seconds: float, use: Callable[[Deadline], Any], already: float) -> Any:
        """`use` the connection for as long as the worker may take, of which it has taken some already."""
        start = self._meter()
        try:
            return self._read(lambda: use(lambda: seconds - already - start.until(self._meter())), seconds)
        finally:
            self._count(start)

    def _count(self, start: Reading) -> None:
        """Add what was waited since `start`, and what the worker has computed unasked before it."""
        now = self._meter()
        unasked = max(start.cpu - self._last.cpu, 0.0)
        self.spent += start.until(now) + unasked
        self._last = now

    def _read(self, use: Callable[[], Any], seconds: float = 0.0) -> Any:
        if self._gone:
            raise self._gone
        try:
            return use()
        except WireTimeout:
            raise self._fail(WorkerTimeout(f"no answer within {seconds:g} s")) from None
        except WireClosed:
            raise self._fail(WorkerCrashed("it gave no answer")) from None
        except WireError as error:
            raise self._fail(ProtocolError(f"what came back is not an answer: {error}")) from None

    def output(self) -> str:
        """What the student's code has printed, at most 64 KiB."""
        return self._read_output()

    def close(self) -> None:
        """Kill the process and everything it started."""
        self._fail(WorkerGone("the worker was closed"))

    def _fail(self, reason: WorkerGone) -> BaseException:
        if self._gone is None:
            began = time.monotonic()
            how = self._end()
            self.spent += time.monotonic() - began
            self._gone = type(reason)(f"{reason}{f' ({how})' if how else ''}")
            if how == SOURCE_GONE:
                self._gone = NoWorkers(str(self._gone))
            self._channel.close()
        return self._gone
