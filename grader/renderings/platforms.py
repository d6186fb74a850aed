"""Grades as learning platforms import them, one table for a class.

Canvas (Grades, Import) finds students by the columns of its own export, of which ``ID`` is enough, and the assignment
by the title of its column; a new title makes a new assignment. Moodle (Assignment, Upload grading worksheet) finds them
by ``Identifier``. Both ids stand in the names of the platform's bulk download: they are there when that was graded.

Bonus points are no part of a grade. In Canvas they are an assignment of their own, worth 0, which is how Canvas counts
extra credit; Moodle's worksheet has one grade, so there they stand in the feedback.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from html import escape

from grader.printable import printable
from grader.record import Record
from grader.spreadsheet import Row, csv_text

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
MAX_REMARKS = 5  # in a comment beside a grade; the student's page has all
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
    rows: list[Row] = [[_name(record), _id(record, "canvas"), "", "", "", record.grade, record.bonus_score] for record in records]
    table = [head, worth, *rows]
    return csv_text(table if bonus else [row[:-1] for row in table])


def moodle(records: Sequence[Record]) -> str:
    """A CSV for Moodle's grading worksheet, with the lost exercises as feedback."""
    rows: list[Row] = [
        [_identifier(record), _name(record), record.student.email if record.student else "", "", record.grade,
         record.max_score, "Yes", "", "", feedback(record)]
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


def feedback(record: Record) -> str:
    """Which exercises lost points, as the little HTML that Moodle shows beside a grade."""
    lost = [exercise for exercise in record.exercises if exercise.score < exercise.max_score]
    lines = [f"{exercise.exercise}: {exercise.score:g} of {exercise.max_score:g}" for exercise in lost]
    bonus = [f"bonus, beside the grade: {record.bonus_score:g} of {record.bonus_max_score:g}"] if record.bonus_score else []
    why = record.final.why if record.final else []
    items = "".join(f"<li>{escape(printable(line))}</li>" for line in [*lines, *why, *bonus, *record.problems[:MAX_REMARKS]])
    final = f"; final grade {record.grade:g}" if record.grade != record.score else ""
    return f"<p>{record.score:g} of {record.max_score:g} points{final}</p>" + (f"<ul>{items}</ul>" if items else "")


def feedback_zip(records: Sequence[Record], platform: str, page: Callable[[Record], str]) -> tuple[bytes, list[str]]:
    """The students' pages in a zip that Canvas or Moodle takes back for a whole class, and who is not in it.

    Canvas (Submissions, Re-upload) finds who is meant by two numbers in a file's name: the student's and that of a file
    handed in. Moodle (Upload multiple feedback files in a zip) goes by the participant's number between underscores.
    """
    left_out = []
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records:
            name = _feedback_name(record, platform)
            if name:
                archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), page(record))
            else:
                left_out.append(record.submission)
    return packed.getvalue(), left_out


def _feedback_name(record: Record, platform: str) -> str:
    person = record.student
    if person is None or person.platform != platform or (platform == "canvas" and not person.attempt):
        return ""
    who = re.sub(r"[^\w .'-]|_", "", person.name)[:80].strip() or "student"
    if platform == "canvas":
        late = "_LATE" if person.late else ""
        return f"{re.sub(r'[^a-z0-9]', '', who.casefold()) or 'student'}{late}_{person.id}_{person.attempt}_feedback.html"
    return f"{who}_{person.id}_assignsubmission_file_feedback.html"
