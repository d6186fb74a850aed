"""The folder of results: every record is written whole or not at all, and found again by the next run.

RESULTS/<submission>/record.json     RESULTS/records.jsonl     RESULTS/grades.csv
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import filelock
import msgspec

from grader import record as records
from grader.record import KitRecord, Record
from grader.renderings.spreadsheet import csv_text

LOCK_TIMEOUT_SECONDS = 5.0  # seconds that the graders of a killed run may take to notice; until then they hold its lock
UNFINISHED = ".writing-"


class StoreError(Exception):
    """The folder of results cannot be used; the message says why and what to do."""


class StoreBusy(StoreError):
    """Another `dgm grade` writes into this folder."""


class Store:
    """One folder of results, held by one grader at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(folder / ".lock")

    def __enter__(self) -> Store:
        try:
            with _explained(self.folder):
                self._lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
        except filelock.Timeout:
            raise StoreBusy(
                f"{self.folder}: another dgm grade is writing here. Wait for it, or choose another folder with -o."
            ) from None
        for left in self.folder.rglob(f"{UNFINISHED}*"):  # by a run that was killed while it wrote
            left.unlink(missing_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def find(self, submission: str, content: str, kit: KitRecord) -> Record | None:
        """The record of exactly this work, graded by exactly this kit and seed, or None."""
        try:
            record = records.decode(self._path(submission).read_bytes())
        except (OSError, msgspec.DecodeError):
            return None
        same = record.submission == submission and record.content == content and record.kit == kit
        return record if same else None

    def write(self, record: Record) -> None:
        """Keep one record. After a crash at any moment the file is the old one or the new one."""
        path = self._path(record.submission)
        with _explained(path):
            path.parent.mkdir(exist_ok=True)
            with _replacing(path) as file:
                file.write(records.encode(record))

    def finish(self, graded: Iterable[str]) -> None:
        """The two tables over these submissions, in the order of their names; one record at a time is in memory."""
        grades = _Grades()
        with _explained(self.folder):
            with _replacing(self.folder / "records.jsonl") as file:
                for submission in sorted(graded):
                    record = records.decode(self._path(submission).read_bytes())
                    file.write(msgspec.json.encode(record) + b"\n")
                    grades.add(record)
            with _replacing(self.folder / "grades.csv") as file:
                file.write(grades.text().encode())

    def _path(self, submission: str) -> Path:
        return self.folder / submission / "record.json"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An error of the file system as a sentence: a full disk, a quota, a folder one may not write."""
    try:
        yield
    except filelock.Timeout:
        raise
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. Every record that was finished is there; "
            f"make room (or choose another folder with -o) and start again: only the rest is graded."
        ) from None


def read(folder: Path) -> list[Record]:
    """Every record in a folder of results, by the submission's name."""
    found = [records.decode(path.read_bytes()) for path in folder.glob("*/record.json")]
    return sorted(found, key=lambda record: record.submission)


class _Grades:
    """The table of scores: a row for each submission, a column for each exercise that one of them has."""

    def __init__(self) -> None:
        self._rows: list[dict[str, str | float]] = []
        self._exercises: dict[str, None] = {}
        self._bonus: dict[str, None] = {}

    def add(self, record: Record) -> None:
        self._exercises |= dict.fromkeys(exercise.exercise for exercise in record.exercises)
        self._bonus |= dict.fromkeys(exercise.exercise for exercise in record.bonus)
        self._rows.append({
            "submission": record.submission, "score": record.score, "max_score": record.max_score,
            "not_graded": record.not_graded, "bonus": record.bonus_score,
            **{exercise.exercise: exercise.score for exercise in record.examined},
        })  # fmt: skip

    def text(self) -> str:
        beside = ["bonus", *self._bonus] if self._bonus else []
        names = ["submission", "score", "max_score", "not_graded", *self._exercises, *beside]
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
