"""The zip to hand in: the student's modules and notebooks, with a manifest that says what is in it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from grader.assignment import Assignment
from grader.submission import find, read

MANIFEST = "manifest.json"
ZIP_TIME = (2026, 1, 1, 0, 0, 0)  # the same work gives the same zip, byte by byte


@dataclass(frozen=True)
class Packed:
    """What was written, and what its reader should know."""

    path: Path
    files: list[str]
    digest: str
    remarks: list[str]


class NothingToPack(Exception):
    """There is no work in the folder."""


def pack(folder: Path, assignment: Assignment, target: Path) -> Packed:
    """Write the zip. Raises: `NothingToPack`."""
    files = sorted(
        path
        for topic in assignment.topics
        for path in (folder / f"{topic}.py", folder / f"{topic}.ipynb")
        if path.is_file()
    )
    if not files:
        raise NothingToPack(
            f"{folder}: none of {', '.join(f'{topic}.py' for topic in assignment.topics)} is here; name the right folder with --folder"
        )
    (handed_in,) = find(folder, assignment)
    submission = read(handed_in, assignment)
    expected = dict.fromkeys(exercise.topic for exercise in assignment.required)
    remarks = [
        *submission.problems,
        *(f"{topic}: nothing of it is here" for topic in expected if topic not in submission.topics),
    ]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    manifest = {"assignment": assignment.name, "files": digests, "sha256": digest}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, ZIP_TIME), json.dumps(manifest, indent=1))
        for path in files:
            archive.writestr(zipfile.ZipInfo(path.name, ZIP_TIME), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return Packed(target, [path.name for path in files], digest, remarks)
