"""The folder of results: every record is written whole or not at all, and found again by the next run.

RESULTS/<submission>/record.json     RESULTS/records.jsonl     RESULTS/grades.csv
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import msgspec

from grader import record as records
from grader.record import KitRecord, Record
from grader.renderings.spreadsheet import csv_text

LAST_WORDS = 5.0  # seconds that the graders of a killed run may take to notice; until then they hold its lock
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
                self._lock.acquire(timeout=LAST_WORDS)
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
            _replace(path, records.encode(record))

    def finish(self, graded: Iterable[Record]) -> None:
        """The two tables over the records of this run, in the order of the submissions' names."""
        ordered = sorted(graded, key=lambda record: record.submission)
        with _explained(self.folder):
            _replace(self.folder / "records.jsonl", b"".join(msgspec.json.encode(record) + b"\n" for record in ordered))
            _replace(self.folder / "grades.csv", _grades(ordered).encode())

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


def _grades(ordered: list[Record]) -> str:
    names = list(dict.fromkeys(exercise.exercise for record in ordered for exercise in record.exercises))
    extra = list(dict.fromkeys(exercise.exercise for record in ordered for exercise in record.bonus))
    beside = ["bonus"] if extra else []
    rows: list[list[str | float]] = [["submission", "score", "max_score", "not_graded", *names, *beside, *extra]]
    for record in ordered:
        scores = {exercise.exercise: exercise.score for exercise in record.examined}
        bonus = [record.bonus_score for _ in beside]
        points = [*(scores.get(name, "") for name in names), *bonus, *(scores.get(name, "") for name in extra)]
        rows.append([record.submission, record.score, record.max_score, record.not_graded, *points])
    return csv_text(rows)


def _replace(path: Path, data: bytes) -> None:
    """Write next to the place, flush to disk, move over it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
