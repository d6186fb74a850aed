"""What two gradings of a class differ in: whose score, by which check, why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grader.record import CheckRecord, KitRecord, Record

SHOWN = 8  # checks of one submission that are named


@dataclass(frozen=True)
class Change:
    """One submission that the two do not grade alike; one of the records is missing where only the other has it."""

    submission: str
    old: Record | None
    new: Record | None
    checks: tuple[tuple[str, CheckRecord | None, CheckRecord | None], ...] = ()  # by exercise

    @property
    def why(self) -> str:
        """What may be the reason, besides the work itself."""
        if self.old is None or self.new is None:
            return ""
        reasons = ["another hand-in"] if self.old.content != self.new.content else []
        before, now = self.old.kit, self.new.kit
        names = [name for name in KitRecord.__struct_fields__ if getattr(before, name) != getattr(now, name)]
        return ", ".join([*reasons, *(f"another {name}" for name in names)]) or "the same work, kit and seed"


def compare(old: Sequence[Record], new: Sequence[Record]) -> Iterator[Change]:
    """Every submission whose score or whose checks changed."""
    before, now = ({record.submission: record for record in records} for records in (old, new))
    for name in sorted({**before, **now}):
        one, other = before.get(name), now.get(name)
        if one is None or other is None:
            yield Change(name, one, other)
            continue
        checks = tuple(_changed(one, other))
        if checks or (one.score, one.max_score, one.bonus_score) != (other.score, other.max_score, other.bonus_score):
            yield Change(name, one, other, checks)


def sentences(changes: Sequence[Change]) -> Iterator[str]:
    """The changes as lines, the largest first."""
    if not changes:
        yield "no score and no check differs"
    for change in sorted(changes, key=lambda change: -abs(_difference(change))):
        if change.old is None or change.new is None:
            there = "new" if change.new else "old"
            record = change.new or change.old
            assert record is not None
            yield f"{change.submission}  only in the {there} one: {record.score:g} of {record.max_score:g}"
            continue
        yield (
            f"{change.submission}  {change.old.score:g} of {change.old.max_score:g} -> "
            f"{change.new.score:g} of {change.new.max_score:g}  ({change.why})"
        )
        for exercise, one, other in change.checks[:SHOWN]:
            named = other or one
            assert named is not None
            yield f"  {exercise} {named.check}: {_said(one)} -> {_said(other)}{f': {other.message}' if other and other.message else ''}"
        if len(change.checks) > SHOWN:
            yield f"  and {len(change.checks) - SHOWN} more checks"


def _difference(change: Change) -> float:
    return (change.new.score if change.new else 0.0) - (change.old.score if change.old else 0.0)


def _said(check: CheckRecord | None) -> str:
    return f"{check.outcome} {check.points:g}/{check.max_points:g}" if check else "not there"


def _changed(one: Record, other: Record) -> Iterator[tuple[str, CheckRecord | None, CheckRecord | None]]:
    before, now = ({(of.exercise, check.check): check for of in record.examined for check in of.checks} for record in (one, other))
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if old is None or new is None or (old.outcome, old.points, old.max_points) != (new.outcome, new.points, new.max_points):
            yield key[0], old, new
