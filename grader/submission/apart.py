"""One submission read in a process of its own, whose time and memory have an end: nobody's file can cost a class more."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import time
from pathlib import Path

import msgspec

from grader.assignment import Assignment
from grader.submission.layout import HandedIn
from grader.submission.read import Submission, read

CPU_SECONDS = 20
WALL_SECONDS = 180.0  # a network drive may be slow; whoever computes ends long before
MEMORY = 768 << 20  # bytes beside those of the process it comes from
LARGEST = 16 << 20  # bytes of an answer; sources and sentences have smaller bounds of their own


def read_apart(handed_in: HandedIn, assignment: Assignment) -> Submission:
    """As ``read``, but a submission that takes too long or too much memory is one without work and with a sentence."""
    if not hasattr(os, "fork"):  # Windows: the bounds on sizes alone
        return read(handed_in, assignment)
    answer, status = _answer(handed_in, assignment)
    try:
        return msgspec.json.decode(answer, type=Submission)
    except msgspec.DecodeError:  # nothing came, or no more than a beginning
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
            reason = f"to read it takes longer than {CPU_SECONDS} s"
        else:
            reason = "to read it takes too much memory, or ends the interpreter"
        said = f"nothing was graded: {reason}; hand in modules and notebooks alone"
        return Submission(handed_in.name, {}, (said,), handed_in.student, handed_in.handed_in_as)


def _answer(handed_in: HandedIn, assignment: Assignment) -> tuple[bytes, int]:
    """The submission as JSON, as far as it came, and how the process that read it ended."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _read_and_end(handed_in, assignment, theirs)
    os.close(theirs)
    try:
        answer = _all_within(ours, WALL_SECONDS)
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return answer, status


def _read_and_end(handed_in: HandedIn, assignment: Assignment, pipe: int) -> None:
    try:
        gc.disable()
        _limit()
        answer = msgspec.json.encode(read(handed_in, assignment))
        with open(pipe, "wb") as file:
            file.write(answer)
    finally:  # whatever went wrong, the parent says it; no handler of its may run in this copy
        os._exit(0)


def _limit() -> None:
    import resource

    for signum in (signal.SIGXCPU, signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(signum, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    with contextlib.suppress(OSError, ValueError):  # without /proc there is no such limit, as on macOS
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _all_within(pipe: int, seconds: float) -> bytes:
    parts: list[bytes] = []
    size, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and size <= LARGEST:
        if not select.select([pipe], [], [], left)[0]:
            return b""
        part = os.read(pipe, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    return b""
