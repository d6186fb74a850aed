"""How long the grader waits for what students wrote."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """How long the grader waits, in seconds of `grader.sandbox.meter`: a busy machine is nobody's fault."""

    call: float = 10.0
    call_again: float = 2.0  # after an exercise has run into the limit once
    load: float = 40.0
    statement: float = 5.0  # one top-level statement of a submission
    submission: float = 300.0  # all of it: starting workers, loading, every call, and what computes between calls
