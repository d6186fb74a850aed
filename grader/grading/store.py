"""The folder of results: every record is written whole or not at all, and found again by the next run.

RESULTS/<submission>/record.json     RESULTS/records.jsonl     RESULTS/grades.csv     RESULTS/.dgm-made
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import filelock
import msgspec

from grader import record as records
from grader.errors import GraderError
from grader.grading.options import GradingOptions
from grader.grading.policy import Policy, policy
from grader.record import MADE_BY_DGM, KitRecord, Record
from grader.spreadsheet import csv_text
from grader.submission import Submission

LOCK_TIMEOUT_SECONDS = 5.0  # seconds that the graders of a killed run may take to notice; until then they hold its lock
UNFINISHED = ".writing-"
FAULTS = "faults.log"  # tracebacks of what broke in the grader itself
FINAL = ("final", "late_days", "adjustment", "why")  # columns of a course that has due dates or adjustments
SOFTWARE = ("version", "torch", "hypothesis")  # what may be newer where one exercise is graded again


class StoreError(GraderError):
    """The folder of results cannot be used; the message says why and what to do."""


class StoreBusy(StoreError):
    """Another `dgm grade` writes into this folder."""


class Manifest(msgspec.Struct):
    """What a folder of results holds: the records of one assignment by one kit, one seed and one set of options."""

    assignment: str = ""
    graded_by: dict[str, str] = {}
    handed_in: dict[str, str] = {}  # by the name of a submission: the folder that it came from
    absent: list[str] = []  # those that were gone when their folder was graded last


def identity(kit: KitRecord) -> dict[str, str]:
    """What must be the same for all records of a folder. (Which layers and which GPU a machine has may differ.)"""
    said = {name: getattr(kit, name) for name in (*SOFTWARE, "seed", "isolation")}
    return {**said, "options": ", ".join(kit.options) or "none"}


class Store:
    """One folder of results, held by one grader at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(folder / ".lock")

    def __enter__(self) -> Store:
        with _explained(self.folder):
            try:
                self._lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
            except filelock.Timeout:
                raise StoreBusy(
                    f"{self.folder}: another dgm grade is writing here. Wait for it, or choose another folder with -o."
                ) from None
        self._manifest = manifest(self.folder)
        for left in self.folder.rglob(f"{UNFINISHED}*"):  # by a run that was killed while it wrote
            left.unlink(missing_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def begin(self, options: GradingOptions, kit: KitRecord, source: Path | None, names: Collection[str], regrade: bool) -> None:
        """A run over the submissions `names`: all that are in the folder `source`, or some.

        Raises: `StoreError` where another kit, seed or other options have graded here, unless that is to be done again.
        """
        known = manifest(self.folder) if _paths(self.folder) else Manifest()  # a run that was refused has left no record
        if options.only and not known.graded_by:
            raise StoreError(f"{self.folder} holds no records yet, of which one exercise could be graded again: leave out --only")
        before, now = {"assignment": known.assignment, **known.graded_by}, {"assignment": options.lecture, **identity(kit)}
        differs = [name for name, value in now.items() if before.get(name) != value] if known.graded_by else []
        if options.only:
            differs = [name for name in differs if name not in SOFTWARE]
        if differs and not (regrade and "assignment" not in differs):
            called = {"version": "kit, points or rubric"}  # all of them change the kit's version
            said = "; ".join(f"{called.get(name, name)}: {before.get(name)} there, {now[name]} now" for name in differs)
            raise StoreError(
                f"{self.folder} holds records that were graded differently ({said}). Keep them and grade into a new "
                f"folder with --into NEW (dgm diff shows what changed), or grade all of them again here with --regrade."
            )
        came_from = str(source.resolve()) if source else ""
        gone = {name for name, folder in known.handed_in.items() if came_from and folder == came_from} - {*names}
        self._manifest = Manifest(
            options.lecture, known.graded_by if options.only else identity(kit),
            {**known.handed_in, **dict.fromkeys(names, came_from)}, sorted(({*known.absent} | gone) - {*names}),
        )  # fmt: skip
        with _explained(self.folder), _replacing(self.folder / MADE_BY_DGM) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self._manifest), indent=1))

    def find(self, submission: Submission, kit: KitRecord | None = None) -> Record | None:
        """The record of exactly this work, graded by this kit and seed (or by any), or None. What waits for a GPU is none where one is."""
        try:
            record = records.decode(self._path(submission.name).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        same = record.submission == submission.name and record.content == submission.digest and not record.fault
        if same and kit:
            same = identity(record.kit) == identity(kit) and not (kit.device and record.not_graded and not record.kit.device)
        return record if same else None

    def write(self, record: Record) -> None:
        """Keep one record. After a crash at any moment the file is the old one or the new one."""
        path = self._path(record.submission)
        with _explained(path):
            path.parent.mkdir(exist_ok=True)
            with _replacing(path) as file:
                file.write(records.encode(record))

    def note_fault(self, submission: str, log: str) -> None:
        """Keep what the makers of the grader need to know."""
        with _explained(self.folder), open(self.folder / FAULTS, "a", encoding="utf-8", errors="replace") as file:
            file.write(f"{submission}\n{log}\n\n")

    def finish(self) -> None:
        """The two tables, over the whole folder in the order of names; one record at a time is in memory."""
        grades = _Grades(policy(self._manifest.assignment, _readable(self.folder)))
        with _explained(self.folder):
            with _replacing(self.folder / "records.jsonl") as file:
                for path in _paths(self.folder):
                    try:
                        record = records.decode(path.read_bytes())
                    except (OSError, msgspec.DecodeError) as error:
                        self.note_fault(path.parent.name, f"{path} is damaged and in no table ({error}): delete it and grade again")
                        continue
                    file.write(msgspec.json.encode(record) + b"\n")
                    grades.add(record, note(record, self._manifest))
            with _replacing(self.folder / "grades.csv") as file:
                file.write(grades.text().encode())

    def _path(self, submission: str) -> Path:
        return self.folder / submission / "record.json"


def manifest(folder: Path) -> Manifest:
    """What a folder of results holds; in one of an earlier version its first record tells."""
    try:
        return msgspec.json.decode((folder / MADE_BY_DGM).read_bytes(), type=Manifest)
    except (OSError, ValueError):  # damaged, in JSON or below it
        first = next(_readable(folder), None)
        return Manifest(first.assignment, identity(first.kit)) if first else Manifest()


def note(record: Record, of: Manifest) -> str:
    """What whoever reads a grade of this folder should know about it."""
    stale = bool(of.graded_by) and identity(record.kit) != of.graded_by
    said = {
        "late": record.student is not None and record.student.late,
        "the grader broke: run dgm grade again": bool(record.fault),
        "removed: no longer among the submissions": record.submission in of.absent,
        "stale: graded by another kit, seed or options": stale and not record.fault,
    }
    return "; ".join(words for words, true in said.items() if true)


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/record.json"), key=lambda path: path.parent.name)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An error of the file system as a sentence: a full disk, a quota, a folder one may not write."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. Every record that was finished is there; "
            f"make room (or choose another folder with -o) and start again: only the rest is graded."
        ) from None


def read(folder: Path) -> list[Record]:
    """Every record in a folder of results, by the submission's name. Raises: `StoreError` where one cannot be read."""
    found = []
    for path in _paths(folder):
        try:
            found.append(records.decode(path.read_bytes()))
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError(f"{path} cannot be read: {error}. Delete it and run dgm grade again: only it is graded.") from None
    return found


def _readable(folder: Path) -> Iterator[Record]:
    for path in _paths(folder):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            yield records.decode(path.read_bytes())


class _Grades:
    """The table of scores: a row for each submission, a column for each exercise that one of them has."""

    def __init__(self, policy: Policy | None) -> None:
        self._policy = policy
        self._rows: list[dict[str, str | float]] = []
        self._exercises: dict[str, None] = {}
        self._bonus: dict[str, None] = {}

    def add(self, record: Record, note: str) -> None:
        self._exercises |= dict.fromkeys(exercise.exercise for exercise in record.exercises)
        self._bonus |= dict.fromkeys(exercise.exercise for exercise in record.bonus)
        self._rows.append({
            "submission": record.submission, "score": record.score, "max_score": record.max_score,
            "not_graded": record.not_graded, "bonus": record.bonus_score,
            **{exercise.exercise: exercise.score for exercise in record.examined}, "note": note, **self._final(record),
        })  # fmt: skip

    def _final(self, record: Record) -> dict[str, str | float]:
        final = self._policy.settle(record).final if self._policy else None
        if final is None:
            return {}
        days = "unknown" if final.days_late is None else final.days_late
        return dict(zip(FINAL, (final.points, days, final.adjustment, "; ".join(final.why)), strict=True))

    def text(self) -> str:
        beside = ["bonus", *self._bonus] if self._bonus else []
        final = FINAL if self._policy else ()
        notes = ["note"] if any(row["note"] for row in self._rows) else []
        names = ["submission", *final, "score", "max_score", "not_graded", *self._exercises, *beside, *notes]
        return csv_text([names, *([row.get(name, "") for name in names] for row in self._rows)])


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file written next to the place, flushed to disk and moved over it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
