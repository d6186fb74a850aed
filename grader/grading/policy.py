"""From the exam's score to the final grade: late days, extensions and adjustments of course.toml.

Applied whenever records are read, never when they are written: a changed policy needs no regrading.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from grader import course as courses
from grader.assignment import REPO_ROOT, lectures
from grader.course import Course
from grader.record import Final, Record

Said = TypeVar("Said")
DAY = timedelta(days=1)


class Policy:
    """What a course says about the submissions of one assignment. Students are named there as their submission, or by name,
    id or e-mail address; a group by any of its members."""

    def __init__(self, course: Course, where: Path, assignment: str, records: Iterable[Record]) -> None:
        self._course, self.where = course, where
        self._due = course.due.get(assignment)
        known: dict[str, set[str]] = {}
        for record in records:
            for key in _names(record):
                known.setdefault(key, set()).add(record.submission)
        self.remarks: list[str] = []
        self._extensions = self._meant(course.extensions.get(assignment, {}), f"extensions.{assignment}", known)
        self._submitted = self._meant(course.submitted.get(assignment, {}), f"submitted.{assignment}", known)
        mine = [one for one in course.adjustment if one.assignment == assignment]
        of = self._meant({one.submission: one.submission for one in mine}, "adjustment", known)
        meant = {key: submission for submission, keys in of.items() for key in keys}
        self._adjustments = [(meant[one.submission], one) for one in mine if one.submission in meant]

    def _meant(self, table: Mapping[str, Said], key: str, known: Mapping[str, set[str]]) -> dict[str, list[Said]]:
        """What is said, by submission."""
        found: dict[str, list[Said]] = {}
        for name, value in table.items():
            meant = {name} if name in known.get(name.casefold(), ()) else known.get(name.casefold(), set())
            if len(meant) == 1:
                found.setdefault(next(iter(meant)), []).append(value)
            else:
                said = f"may be {' or '.join(sorted(meant))}: name one of these" if meant else "is nobody here"
                self.remarks.append(f"{self.where}: {key}: {name!r} {said}")
        return found

    def settle(self, record: Record) -> Record:
        """The record with its final grade."""
        days, why, share = self._lateness(record)
        mine = [one for name, one in self._adjustments if name == record.submission]
        adjustment = sum(one.points for one in mine)
        why += [f"points {'taken' if one.points < 0 else 'added'}: {abs(one.points):g}, {one.reason}" for one in mine]
        points = max(0.0, round(record.score * (1 - share) + adjustment, 6))
        return msgspec.structs.replace(record, final=Final(points=points, days_late=days, adjustment=adjustment, why=why))

    def _lateness(self, record: Record) -> tuple[int | None, list[str], float]:
        """Days begun after the due date, sentences about it, and the share of the score that goes."""
        if self._due is None:
            return 0, [], 0.0
        extensions, told = self._extensions.get(record.submission, []), self._submitted.get(record.submission, [])
        due = max([self._due, *extensions])
        why = [f"an extension until {_moment(due, due)}"] if due > self._due else []
        person = record.student
        submitted = told[-1] if told else datetime.fromisoformat(person.submitted) if person and person.submitted else None
        if submitted is None:
            if person and person.platform == "canvas" and not person.late:
                return 0, why, 0.0  # its download flags who is late
            flagged = f"{person.platform} says late, and not since when" if person and person.late else "time unknown"
            return None, [*why, f"{flagged}: no penalty (course.toml may tell under [submitted])"], 0.0
        over = submitted - due
        if over <= timedelta(minutes=self._course.late.grace):
            return 0, why, 0.0
        days = math.ceil(over / DAY)
        share = min(self._course.late.at_most, self._course.late.per_day * days)
        said = f"handed in {_moment(submitted, due)}, due {_moment(due, due)}: {days} day{'s' * (days != 1)} late"
        return days, [*why, f"{said}, {share:.0%} of {record.score:g} points off"], share


def policy(assignment: str, records: Iterable[Record]) -> Policy | None:
    """That of the course that counts here, where it says anything about grades. `records` are all of a folder."""
    path, course = courses.active(REPO_ROOT, lectures()) or (None, None)
    if path is None or course is None or not (course.due or course.adjustment):
        return None
    return Policy(course, path, assignment, records)


def _names(record: Record) -> set[str]:
    names = [record.submission, record.handed_in_as]
    for person in (record.student, *record.student.members) if record.student else ():
        names += [person.name, person.id, person.email]
    return {name.casefold() for name in names if name}


def _moment(moment: datetime, beside: datetime) -> str:
    """In the time zone of the due date."""
    return f"{moment.astimezone(beside.tzinfo):%Y-%m-%d %H:%M}"
