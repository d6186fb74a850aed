"""Grades as learning platforms import them, one table for a class.

Canvas (Grades, Import) finds students by the columns of its own export, of which ``ID`` is enough, and the assignment
by the title of its column; a new title makes a new assignment. Moodle (Assignment, Upload grading worksheet) finds them
by ``Identifier``. Both ids stand in the names of the platform's bulk download: they are there when that was graded.

Bonus points are no part of a grade. In Canvas they are an assignment of their own, worth 0, which is how Canvas counts
extra credit; Moodle's worksheet has one grade, so there they stand in the feedback.
"""

from __future__ import annotations

from collections.abc import Sequence

from grader.record import Record
from grader.spreadsheet import Row, csv_text

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MOODLE = (
    "Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed",
    "Last modified (submission)", "Last modified (grade)", "Feedback comments",
)  # fmt: skip


def canvas(records: Sequence[Record]) -> str:
    """A CSV for Canvas's gradebook: ids, one assignment, and the row of points possible that Canvas itself writes."""
    title = records[0].assignment if records else "assignment"
    bonus = any(record.bonus for record in records)
    possible = max((record.max_score for record in records), default=0.0)
    head: Row = [*CANVAS, title, f"{title} bonus"]
    worth: Row = ["    Points Possible", "", "", "", "", possible, 0.0]
    rows: list[Row] = [
        [_name(record), _id(record, "canvas"), "", "", "", record.score, record.bonus_score] for record in records
    ]
    table = [head, worth, *rows]
    return csv_text(table if bonus else [row[:-1] for row in table])


def moodle(records: Sequence[Record]) -> str:
    """A CSV for Moodle's grading worksheet, with the lost exercises as feedback."""
    rows: list[Row] = [
        [_identifier(record), _name(record), record.student.email if record.student else "", "", record.score,
         record.max_score, "Yes", "", "", _feedback(record)]
        for record in records
    ]  # fmt: skip
    return csv_text([MOODLE, *rows])


def without_id(records: Sequence[Record], platform: str) -> list[str]:
    """The submissions that a platform cannot find by itself, because they did not come from its bulk download."""
    return [record.submission for record in records if not _id(record, platform)]


def _name(record: Record) -> str:
    return record.student.name if record.student else record.submission


def _id(record: Record, platform: str) -> str:
    return record.student.id if record.student and record.student.platform == platform else ""


def _identifier(record: Record) -> str:
    return f"Participant {_id(record, 'moodle')}" if _id(record, "moodle") else ""


def _feedback(record: Record) -> str:
    lost = [exercise for exercise in record.exercises if exercise.score < exercise.max_score]
    lines = [f"{exercise.exercise}: {exercise.score:g} of {exercise.max_score:g}" for exercise in lost]
    bonus = [f"bonus, beside the grade: {record.bonus_score:g} of {record.bonus_max_score:g}"] if record.bonus_score else []
    return "\n".join([*lines, *bonus, *record.problems])
