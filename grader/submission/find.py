"""Which submissions lie in a folder, in a bulk download or in a single file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.assignment import Assignment
from grader.record import Person
from grader.submission.files import File, is_skipped, listing
from grader.submission.lms import sort_out


@dataclass(frozen=True)
class HandedIn:
    """One submission, named but not read. Its name is unique and can be a folder's."""

    name: str
    files: tuple[File, ...]
    student: Person | None = None  # where a platform told


def find(path: Path, assignment: Assignment) -> list[HandedIn]:
    """The submissions at ``path``, in the order of their names.

    A folder holds one submission per entry, unless modules or notebooks of the assignment lie in it directly: then it
    is one submission. Bulk downloads of Canvas, Moodle and Gradescope are recognised, packed or unpacked.

    Raises: ``FileNotFoundError`` if there is no such path.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    return _with_unique_names(sorted(_found(path, assignment), key=lambda handed_in: handed_in.name))


def _found(path: Path, assignment: Assignment) -> Iterator[HandedIn]:
    entries = [path]
    if path.is_dir():
        entries = [entry for entry in sorted(path.iterdir()) if not is_skipped(entry.name)]
        if any(entry.stem in assignment.topics for entry in entries):
            entries = [path]
    # a student's own zip is never a bulk download, or its names could speak for others; a lone one may be
    bulk = entries[0] if len(entries) == 1 else path
    students = sort_out(listing(bulk))
    if students is not None:
        for name, (student, files) in students.items():
            yield HandedIn(name, tuple(files), student)
        return
    for entry in entries:
        yield HandedIn(entry.resolve().name if entry.is_dir() else entry.stem, tuple(listing(entry)))


def _with_unique_names(found: list[HandedIn]) -> list[HandedIn]:
    taken: set[str] = set()
    unique = []
    for handed_in in found:
        name = base = _as_a_folder(handed_in.name)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{base} ({number})"
        taken.add(name.casefold())
        unique.append(HandedIn(name, handed_in.files, handed_in.student))
    return unique


def _as_a_folder(name: str) -> str:
    """The name without what no file system takes; results are written to a folder of this name."""
    name = unicodedata.normalize("NFC", name)
    name = re.sub(r"[/\\\x00-\x1f\x7f\ud800-\udfff]", "_", name).strip(" .")
    return name[:100] or "submission"
