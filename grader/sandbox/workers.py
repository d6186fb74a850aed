"""The trusted side of a worker: start it, ask it, end it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from grader.sandbox.wire.black_boxes import Boxes
from grader.sandbox.wire.channel import Channel, WireClosed, WireTimeout
from grader.sandbox.wire.frames import Limits, WireError
from grader.sandbox.wire.objects import revive_answer, special

TO_WORKER = Limits(blob=1 << 30)


class WorkerGone(Exception):
    """The worker will not answer any more; a new one has to be started."""


class WorkerTimeout(WorkerGone):
    """No answer within the time; the worker was killed."""


class WorkerCrashed(WorkerGone):
    """The worker's process ended."""


class ProtocolError(WorkerGone):
    """The worker sent something that is not an answer; it was killed."""


@dataclass(frozen=True)
class Isolation:
    """What stands between a worker and the machine; part of every record."""

    mode: str
    layers: tuple[str, ...]


class Workers(Protocol):
    """A source of fresh workers."""

    isolation: Isolation

    def start(self) -> Worker: ...

    def close(self) -> None: ...


class Worker:
    """One worker process, seen from the grader: plain data out, plain data in, within a total time."""

    def __init__(self, connection: socket.socket, end: Callable[[], str], read_output: Callable[[], str]) -> None:
        self._channel = Channel(connection, special, revive_answer, send=TO_WORKER)
        self._end, self._read_output = end, read_output
        self._gone: WorkerGone | None = None

    def request(self, message: object, seconds: float, boxes: Boxes | None = None) -> Any:
        """The worker's answer to `message`. After any failure the worker is dead and stays so.

        `boxes` answer what the worker asks meanwhile, in time of their own.
        """
        deadline = time.monotonic() + seconds
        reply = self._exchange(message, seconds, deadline)
        while boxes and boxes.asked(reply):
            answer = self._answered(boxes, reply)
            reply = self._exchange(answer, seconds, deadline + boxes.seconds)
        return reply

    def _answered(self, boxes: Boxes, question: Any) -> dict[str, Any]:
        return self._within(0.0, lambda _: boxes.answer(question))

    def _exchange(self, message: object, seconds: float, deadline: float) -> Any:
        self._within(seconds, lambda _: self._channel.send(message, deadline))
        return self._within(seconds, lambda _: self._channel.receive(deadline))

    def send(self, frames: bytes, seconds: float) -> None:
        """Send messages that are encoded already; each will have an `answer`, in their order."""
        self._within(seconds, lambda deadline: self._channel.send_frames(frames, deadline))

    def answer(self, seconds: float) -> bytes:
        """The next answer to what was sent, as it came: `open` gives the value."""
        return self._within(seconds, self._channel.receive_frame)

    def open(self, frame: bytes) -> Any:
        """The value in an answer. One that cannot be read ends the worker."""
        return self._within(0.0, lambda _: self._channel.open(frame))

    def _within(self, seconds: float, use: Callable[[float], Any]) -> Any:
        if self._gone:
            raise self._gone
        try:
            return use(time.monotonic() + seconds)
        except WireTimeout:
            raise self._fail(WorkerTimeout(f"no answer within {seconds:g} s")) from None
        except WireClosed:
            raise self._fail(WorkerCrashed("the process ended without an answer")) from None
        except WireError as error:
            raise self._fail(ProtocolError(f"what came back is not an answer: {error}")) from None

    def output(self) -> str:
        """What the student's code has printed, at most 64 KiB."""
        return self._read_output()

    def close(self) -> None:
        """Kill the process and everything it started."""
        self._fail(WorkerGone("the worker was closed"))

    def _fail(self, reason: WorkerGone) -> WorkerGone:
        if self._gone is None:
            how = self._end()
            self._gone = type(reason)(f"{reason}{f' ({how})' if how else ''}")
            self._channel.close()
        return self._gone
