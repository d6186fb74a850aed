"""Frames of `grader.sandbox.wire.frames` over a connected stream socket, each within a total time.

A deadline is a function that tells the seconds left. Its clock may be slower than the wall's: see `grader.sandbox.meter`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

from grader.sandbox.wire.frames import HEAD, LIMITS, MAGIC, FromWire, Limits, ToWire, WireError, decode, encode, split

READ_BYTES, MAX_READ_BYTES = 1 << 14, 1 << 20  # bytes of one read: what small frames make together, what a large one takes
SHORTEST_WAIT = 0.02  # seconds: with less left than that, a clock slower than the wall's would be read all the time
HELD_SECONDS = 0.002  # how long an answer may wait for the next one to travel with it

Result = TypeVar("Result")
Deadline = Callable[[], float]


class WireTimeout(Exception):
    """The total time for one message ran out."""


class WireClosed(Exception):
    """The peer is gone."""


class Channel:
    """Frames over a connected stream socket. Every deadline is for the whole message, so a slow drip gains nothing."""

    def __init__(
        self,
        connection: socket.socket,
        to_wire: ToWire,
        from_wire: FromWire,
        send: Limits = LIMITS,
        receive: Limits = LIMITS,
    ) -> None:
        self.connection, self.to_wire, self.from_wire = connection, to_wire, from_wire
        self.send_limits, self.receive_limits = send, receive
        self._arrived, self._held = bytearray(), bytearray()
        self._sent_at = 0.0

    def send(self, value: Any, deadline: Deadline | None = None) -> None:
        """Send one value."""
        self.send_frames(encode(value, self.to_wire, self.send_limits), deadline)

    def answer(self, value: Any, last: bool) -> None:
        """Send one value, where it is not the `last` perhaps with the next: waking the peer costs both sides."""
        frame = encode(value, self.to_wire, self.send_limits)
        if not last and len(self._held) + len(frame) < READ_BYTES and time.monotonic() - self._sent_at < HELD_SECONDS:
            self._held += frame
        else:
            self.send_frames(frame)

    def send_frames(self, frames: bytes, deadline: Deadline | None = None) -> None:
        """Send values that are encoded already."""
        data = memoryview(bytes(self._held) + frames)
        self._held.clear()
        self._sent_at = time.monotonic()
        while data:
            data = data[self._within(deadline, self.connection.send, data) :]

    def receive(self, deadline: Deadline | None = None) -> Any:
        """Receive one value."""
        return self.open(self.receive_frame(deadline))

    def receive_frame(self, deadline: Deadline | None = None) -> bytes:
        """Receive the bytes of one value; no more is kept than its announced size, which must be within the limits."""
        self._fill(HEAD.size, deadline)
        magic, header_size, blob_size = HEAD.unpack_from(self._arrived)
        if magic != MAGIC or header_size > self.receive_limits.header or blob_size > self.receive_limits.blob:
            raise WireError("not a frame, or a frame beyond the limits")
        size = HEAD.size + header_size + blob_size
        self._fill(size, deadline)
        frame = bytes(self._arrived[:size])
        del self._arrived[:size]
        return frame

    def open(self, frame: bytes) -> Any:
        """The value in a frame that was received."""
        return decode(*split(frame), self.from_wire, self.receive_limits)

    def close(self) -> None:
        self.connection.close()

    def _fill(self, size: int, deadline: Deadline | None) -> None:
        """Wait until `size` bytes have arrived; a read takes what else is there, so that small frames come many at a time."""
        while (missing := size - len(self._arrived)) > 0:
            part = self._within(deadline, self.connection.recv, min(max(missing, READ_BYTES), MAX_READ_BYTES))
            if not part:
                raise WireClosed("the peer closed the connection")
            self._arrived += part

    def _within(self, deadline: Deadline | None, operation: Callable[[Any], Result], data: Any) -> Result:
        while True:
            remaining = None if deadline is None else deadline()
            if remaining is not None and remaining <= 0:
                raise WireTimeout
            try:
                self.connection.settimeout(None if remaining is None else max(remaining, SHORTEST_WAIT))
                return operation(data)
            except TimeoutError:
                continue
            except OSError as error:
                raise WireClosed(str(error)) from None
