"""A limit on what code that shares this process may take: its processor time, or the wall clock while it sleeps."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

MIN_CPU_SHARE = 0.02  # of the time on the wall: who computes less than that does not wait for a processor, but sleeps
MAX_LOOKS = 10  # times the limit on the wall clock, however busy the machine


class TooSlow(BaseException):
    """Code ran longer than it may. No `Exception`, so that a bare `except Exception` lets it pass."""


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` in the block once it has computed or slept for `seconds`, where there are interval timers."""
    began = looked_at = time.process_time()
    looks = 0

    def look(number: int, frame: Any) -> None:
        nonlocal looked_at, looks
        looks, before, looked_at = looks + 1, looked_at, time.process_time()
        waits_for_a_processor = looked_at - before > MIN_CPU_SHARE * seconds and looks < MAX_LOOKS
        if looked_at - began >= seconds or not waits_for_a_processor:
            raise TooSlow

    try:
        previous = signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    except (AttributeError, ValueError):  # no such timers, or not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
