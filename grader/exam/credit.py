"""What the checks of one exercise earn together: nothing for answers that are right nowhere, and half for slight slips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from grader.checking.mismatch import SLIGHT
from grader.exam.collect import Check
from grader.record import CheckRecord


def in_proportion(checks: Sequence[Check], records: Sequence[CheckRecord]) -> list[CheckRecord]:
    """The records, where checks that prove nothing earn only their share.

    Nothing is proved by a check that zeros, an error or a value one per cent off also pass, nor by one whose inputs are
    public to the last number. Their share is how much of the rest of the exercise, by points, is right: who returns zeros
    has nothing, who makes one slip loses little. Where there is no rest, or none was graded, each counts for itself.
    Answers that are right but for their digits beyond single precision, or for an axis of length one, prove as much as
    right ones, and together cost half of the exercise at most.
    """
    records = _at_most_half(records)
    evidence = _evidence(checks)
    both = list(zip(checks, records, strict=True))
    proved = [record for check, record in both if check in evidence and record.outcome != "not_graded"]
    possible = sum(record.max_points for record in proved)
    if not possible:
        return list(records)
    share = sum(record.max_points if _slight(record) else record.points for record in proved) / possible
    return [record if check in evidence else _scaled(record, share) for check, record in both]


def _slight(record: CheckRecord) -> bool:
    return record.outcome == "failed" and record.rung in SLIGHT


def _at_most_half(records: Sequence[CheckRecord]) -> list[CheckRecord]:
    lost = sum(record.max_points for record in records if _slight(record))
    half = sum(record.max_points for record in records if record.outcome != "not_graded") / 2
    if lost <= half:
        return list(records)
    return [
        msgspec.structs.replace(record, points=record.max_points * (1 - half / lost)) if _slight(record) else record for record in records
    ]


def _evidence(checks: Sequence[Check]) -> list[Check]:
    """The checks that prove something: those with unforeseen inputs, or where there are none, those with public ones."""
    solid = [check for check in checks if not check.hollow]
    return [check for check in solid if not check.public] or solid


def _scaled(record: CheckRecord, share: float) -> CheckRecord:
    if record.outcome != "passed" or share == 1:
        return record
    message = (
        f"this is in order; it earns {share:.0%} of its points, as much as is right of the values of this exercise"
        if share
        else "this is in order, but counts only once some value of the function is right"
    )
    return msgspec.structs.replace(record, points=round(record.points * share, 2), message=message)


def by_rubric(
    records: Sequence[CheckRecord], shares: Mapping[str, float], also_fails: Callable[[CheckRecord, str], bool]
) -> tuple[list[CheckRecord], str]:
    """The records with the instructor's share for a named mistake, and its name, where it explains every failure.

    It does where a failure bears its name, none bears another, and the registered mistake itself fails every check that
    the submission fails. What it gives beside the points that are there is spread over the checks that have lost some.
    """
    lost = [record for record in records if record.outcome not in ("passed", "not_graded")]
    names = {record.mistake for record in lost} - {None}
    if len(names) != 1 or (name := names.pop() or "") not in shares:
        return list(records), ""
    if not all(record.mistake or also_fails(record, name) for record in lost):
        return list(records), ""
    graded = [record for record in records if record.outcome != "not_graded"]
    possible, score = sum(record.max_points for record in graded), sum(record.points for record in graded)
    if score >= shares[name] * possible:
        return list(records), ""
    part = (shares[name] * possible - score) / (possible - score)
    return [
        record
        if record.outcome == "not_graded"
        else msgspec.structs.replace(record, points=record.points + part * (record.max_points - record.points))
        for record in records
    ], name
