"""The zip to hand in: the files that are checked, with a manifest that says what is in it."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.practice import progress
from grader.practice.work import read_work
from grader.submission import Submission
from grader.submission.files import File, Folder, Unreadable

MANIFEST = "manifest.json"
FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)  # that a zip can tell


@dataclass(frozen=True)
class Packed:
    """What was written, and what its reader should know."""

    path: Path
    files: list[str]
    digest: str
    remarks: list[str]


class CannotPack(GraderError):
    """Nothing was written; the message says why."""


def pack(folder: Path, assignment: Assignment, target: Path) -> Packed:
    """Write the zip of what is work in the folder. Raises: `CannotPack`; `NoWorkFound`."""
    if target.suffix.lower() != ".zip" and not target.is_dir():  # without it the grader takes an archive for some other file
        target = target.with_name(f"{target.name}.zip")
    submission = read_work(assignment, folder)
    taken = {name for names in submission.taken.values() for name in names}
    files = [file for file in Folder(folder).files() if file.name in taken]
    try:
        contents = {file: file.content() for file in files}
        digests = {file.name: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
        digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
        manifest = {"assignment": assignment.name, "files": digests, "sha256": digest}
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(MANIFEST, FIRST_MOMENT), json.dumps(manifest, indent=1))
            for file, content in contents.items():
                archive.writestr(zipfile.ZipInfo(file.name, _moment(file)), content, zipfile.ZIP_DEFLATED)
    except Unreadable as error:
        raise CannotPack(str(error)) from None
    except OSError as error:
        raise CannotPack(f"{target} cannot be written: {error.strerror or error}; choose another place with -o") from None
    return Packed(target, [file.name for file in files], digest, list(_remarks(folder, assignment, submission)))


def _moment(file: File) -> tuple[int, int, int, int, int, int]:
    """When a file was saved: the newer of two counts. So the same work gives the same zip, byte by byte."""
    year, *rest = time.localtime(file.modified)[:6]
    return (year, *rest) if 1980 <= year < 2108 else FIRST_MOMENT  # type: ignore[return-value]


def _remarks(folder: Path, assignment: Assignment, submission: Submission) -> Iterator[str]:
    """What is missing and what is known to be wrong; nothing is refused for it."""
    yield from submission.problems
    written = {*submission.written}
    required = [exercise for exercise in assignment.required if not exercise.of]
    for topic in dict.fromkeys(exercise.topic for exercise in required):
        wanted = [exercise for exercise in required if exercise.topic == topic]
        missing = [exercise.function for exercise in wanted if exercise.name not in written]
        if topic not in submission.topics:
            yield f"{topic}: nothing of it is here"
        elif missing:
            yield f"{topic}: not written yet: {', '.join(missing) if len(missing) < len(wanted) else 'all of it'}"
    states = progress.load(folder).states
    failed = [exercise.function for exercise in required if states.get(exercise.name) == "failed"]
    unseen = [exercise.function for exercise in required if exercise.name in written and exercise.name not in states]
    if failed:
        yield f"not right when last checked: {', '.join(failed)}"
    if unseen:
        yield f"never checked: {', '.join(unseen)}"
