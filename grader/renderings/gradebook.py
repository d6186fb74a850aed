"""Grades in the very file that a learning platform exported, so that nothing of it has to be matched by hand.

Canvas' gradebook and Moodle's grading worksheet are told apart, and their columns found, by what stands in them: headings
come in the language of whoever exported the file. All else in the file stays as it is.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from grader.errors import GraderError
from grader.record import Record
from grader.renderings.platforms import feedback

CANVAS_COLUMN = re.compile(r".*\S \(\d+\)")  # the title of an assignment, and its number
CANVAS_FIXED = 4  # columns about a student, at least; the first is the name, the second Canvas' own id
IDENTIFIER = re.compile(r"\D*(\d+)")  # Moodle's: "Participant 12345", in any language
OWN_NUMBERS = ("canvas", "moodle")  # their downloads tell it; Gradescope tells the university's
COMMENTS = re.compile(r"feedback|comment|komment|coment|retroal|reactie|отзыв|обратн|反馈|评语|フィードバック", re.IGNORECASE)


class CannotFill(GraderError):
    """The file is none that grades can be filled into; the message says why and what to do."""


@dataclass
class Filled:
    """The file with grades in it, and what its reader should know."""

    content: bytes
    column: str  # the heading of the column that was filled
    graded: int
    without_record: list[str] = field(default_factory=list)  # students of the file
    unknown: list[str] = field(default_factory=list)  # submissions whose student is not in the file
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Columns:
    about_student: int  # the first so many
    grade: int
    comments: int | None
    maximum: int | None
    first_row: int  # of a student


def fill(content: bytes, records: Sequence[Record], column: str = "") -> Filled:
    """The exported file with the grades of these records. `column`: the heading of the assignment's column.

    Raises: `CannotFill`.
    """
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig" if content[:3] == b"\xef\xbb\xbf" else "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise CannotFill("this is no CSV in UTF-8: take the platform's own export, not one that a spreadsheet has saved") from None
    separator = max(",;\t", key=text.split("\n", 1)[0].count)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    if len(rows) < 2:
        raise CannotFill("there are no students in this file")
    columns = _moodle(rows) or _canvas(rows, column, records[0].assignment)
    filled = Filled(b"", rows[0][columns.grade], 0)
    _fill_rows(rows, columns, records, filled)
    table = io.StringIO(newline="")
    ends = "\r\n" if "\r\n" in text else "\n"
    csv.writer(table, delimiter=separator, lineterminator=ends).writerows(rows)
    filled.content = table.getvalue().encode(encoding)
    return filled


def _fill_rows(rows: list[list[str]], columns: _Columns, records: Sequence[Record], filled: Filled) -> None:
    known = {key: record for record in records for key in _keys(record)}
    met: set[str] = set()
    for row in rows[columns.first_row :]:
        if len(row) <= columns.grade:
            continue
        named = row[: columns.about_student]
        record = next((known[key] for key in _row_keys(named, columns.maximum is None) if key in known), None)
        if record is None:
            filled.without_record.append(row[0] if columns.maximum is None else " ".join(named[:2]))
            continue
        met.add(record.submission)
        comma = columns.maximum is not None and "," in row[columns.maximum]
        row[columns.grade] = f"{record.grade:.10g}".replace(".", "," if comma else ".")
        if columns.comments is not None:
            row[columns.comments] = feedback(record)
        filled.graded += 1
        if columns.maximum is not None:
            possible = float(row[columns.maximum].replace(",", "."))
            if abs(possible - record.max_score) > 1e-6:
                said = f"the file's maximum is {possible:g}, that of the records {record.max_score:g}: points are written as they are"
                filled.remarks += [said] if said not in filled.remarks else []
    filled.unknown += [record.submission for record in records if record.submission not in met]
    if columns.maximum is not None and columns.comments is None:
        filled.remarks.append("the worksheet has no column for feedback: switch on feedback comments in the assignment's settings")


def _keys(record: Record) -> Iterator[tuple[bool, str]]:
    """What the student, and the others of a group, may be called in a platform's file, and whether by the platform's own number."""
    for person in (record.student, *record.student.members) if record.student else ():
        yield from ((person.platform in OWN_NUMBERS and key == person.id, key.casefold()) for key in (person.id, person.email) if key)


def _row_keys(cells: Sequence[str], canvas: bool) -> Iterator[tuple[bool, str]]:
    """What a row calls its student. Another's number may stand in it, such as the university's: only one column has the platform's."""
    participant = IDENTIFIER.fullmatch(cells[0].strip())
    yield True, cells[1].strip() if canvas or participant is None else participant[1]
    yield from ((False, cell.strip().casefold()) for cell in cells)


def _moodle(rows: list[list[str]]) -> _Columns | None:
    """A worksheet has the grade, its maximum, and whether it can be changed, side by side, and the same for everybody."""
    students = [row for row in rows[1:] if row]
    for at in range(2, len(rows[0]) - 1):
        cells = [row[at - 1 : at + 2] for row in students]
        if any(len(three) < 3 for three in cells):
            return None
        same = len({three[1] for three in cells}) == 1 and _is_number(cells[0][1])
        if (
            same
            and all(not three[0].strip("- ") or _is_number(three[0]) for three in cells)
            and all(three[2] and not _is_number(three[2]) for three in cells)
            and all(IDENTIFIER.fullmatch(row[0].strip()) for row in students)
        ):
            last = len(rows[0]) - 1
            return _Columns(at - 1, at - 1, last if last > at + 1 and COMMENTS.search(rows[0][last]) else None, at, 1)
    return None


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\d+(?:[.,]\d+)?", cell.strip()) is not None


def _canvas(rows: list[list[str]], column: str, assignment: str) -> _Columns:
    """A gradebook has a column for each assignment after those about the student, and rows about assignments on top."""
    head = rows[0]
    titles = [at for at, title in enumerate(head) if at >= CANVAS_FIXED and CANVAS_COLUMN.fullmatch(title)]
    wanted = column or assignment
    plain = {at: _letters(head[at].rsplit(" (", 1)[0]) for at in titles}
    meant = [at for at in titles if head[at] == column or plain[at] == _letters(wanted)]
    meant = meant or ([] if column else [at for at in titles if _letters(wanted) in plain[at]])
    if len(meant) != 1:
        listed = ", ".join(repr(head[at]) for at in titles)
        raise CannotFill(
            f"which column is {wanted}? Say --column with one of {listed}"
            if titles
            else "this is neither Canvas' gradebook nor Moodle's grading worksheet: export it there as CSV and give that file"
        )
    first = next((at for at, row in enumerate(rows) if at and len(row) > 1 and row[1].strip().isdigit()), len(rows))
    return _Columns(titles[0], meant[0], None, None, first)


def _letters(title: str) -> str:
    """A title without what people write differently: spaces, hyphens, capitals."""
    return re.sub(r"\W+", "", title).casefold()
