"""What stands around a worker, and what there is to say where none can be had. Without torch: a worker's server loads it meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

OUTPUT_LIMIT = 1 << 16  # bytes of what a student printed that anyone reads
SOURCE_GONE = "and what workers are started from with it"  # how a worker ended that had no part in it


class NoWorkers(BaseException):
    """No worker can be had, or all have ended at once: ours, not a submission's.

    No `Exception`, because a check, a namer or a shrinker would take it for something that the submission did.
    """


@dataclass(frozen=True)
class Isolation:
    """What stands between a worker and the machine; part of every record."""

    mode: str
    layers: tuple[str, ...]
