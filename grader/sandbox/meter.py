"""How long a worker has been at it: its processor time while it computes, the wall clock while it sleeps.

Seconds in which it waits for a processor are the machine's, not the student's. So nobody right is timed out because
graders share a machine, and nobody gains time by sleeping. Where the kernel does not tell, all of it is wall time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

MIN_WALL_SHARE = 0.1  # of the wall clock is counted in any case, however busy the machine: no wait is without end


@dataclass(frozen=True)
class Reading:
    """Seconds since some moment: on the wall, of processor time of all threads, spent waiting for a processor."""

    wall: float
    cpu: float = 0.0
    waiting: float = 0.0

    def until(self, later: Reading) -> float:
        """The seconds between two readings that the worker has to answer for."""
        wall = later.wall - self.wall
        return max(wall - (later.waiting - self.waiting), later.cpu - self.cpu, MIN_WALL_SHARE * wall)


Meter = Callable[[], Reading]


def wall_clock() -> Reading:
    """The meter of a worker about which no more is known."""
    return Reading(time.monotonic())


class ProcessMeter:
    """The meter of a process on this machine, by its number here."""

    def __init__(self, pid: int) -> None:
        self._last = Reading(time.monotonic())
        self._clock = (~pid << 3) | 2  # the kernel's name for the processor time of all threads of a process
        try:
            self._schedule: int | None = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._schedule = None

    def __call__(self) -> Reading:
        last = self._last
        self._last = Reading(time.monotonic(), last.cpu, last.waiting)
        if self._schedule is not None:
            try:
                _, waiting, _ = os.pread(self._schedule, 100, 0).split()
                self._last = Reading(self._last.wall, time.clock_gettime(self._clock), int(waiting) * 1e-9)
            except (OSError, ValueError):  # it has ended
                self.close()
        return self._last

    def close(self) -> None:
        if self._schedule is not None:
            os.close(self._schedule)
            self._schedule = None


def pid_behind(pidfd: int) -> int:
    """The number that the process behind a descriptor has here; -1 where it has ended or has none."""
    with open(f"/proc/self/fdinfo/{pidfd}") as info:
        return next((int(line.split()[1]) for line in info if line.startswith("Pid:")), -1)
