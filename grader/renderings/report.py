"""The class report: one page that works offline, and a page for each student beside it that can be handed out."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from grader.record import MADE_BY_DGM, ExerciseRecord, Record
from grader.renderings import class_statistics, html


def write(records: Sequence[Record], target: Path) -> list[Path]:
    """Write the report to `target` and the students' pages into ``<stem>_students`` beside it; returns all paths."""
    folder = target.with_name(f"{target.stem}_students")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MADE_BY_DGM).touch()  # no submission, should it lie among those
    pages = {record.submission: f"{folder.name}/{_file_name(record.submission)}" for record in records}
    target.write_text(class_page(records, pages), "utf-8")
    for record in records:
        (target.parent / pages[record.submission]).write_text(student_page(record), "utf-8")
    return [target, *(target.parent / page for page in pages.values())]


def class_page(records: Sequence[Record], pages: dict[str, str]) -> str:
    """The report; `pages` are the links to the students' pages."""
    return _environment().get_template("report.html").render(summary=class_statistics.summarise(records), pages=pages)


def student_page(record: Record) -> str:
    """What one student may see: their checks, counterexamples, named mistakes and slides; nobody else's."""
    return _environment().get_template("student.html").render(record=record)


def _file_name(submission: str) -> str:
    """A name that every file system takes and no two submissions share."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", submission).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(submission.encode()).hexdigest()[:8]}.html"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = html.environment()
    style, script = (Markup((Path(__file__).parent / "templates" / name).read_text("utf-8")) for name in ("report.css", "report.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # belt and braces beside escaping: a browser runs this script and no other, and loads nothing
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    environment.globals |= {"style": style, "script": script, "policy": policy, "strip": strip, "share": class_statistics.share}
    return environment


def strip(exercises: Sequence[ExerciseRecord]) -> str:
    """One colour an exercise, side by side, as the background of one element."""
    width = 100 / max(len(exercises), 1)
    stops = [f"var(--{_shade(exercise)}) {i * width:.2f}% {(i + 1) * width:.2f}%" for i, exercise in enumerate(exercises)]
    return f"linear-gradient(90deg, {', '.join(stops)})" if stops else "none"


def _shade(exercise: ExerciseRecord) -> str:
    if not exercise.max_score:
        return "unknown"
    part = exercise.score / exercise.max_score
    return "full" if part >= 1 else "part" if part > 0 else "none"
