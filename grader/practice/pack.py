"""The zip to hand in: the student's modules and notebooks, with a manifest that says what is in it."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
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
    if not any((folder / f"{topic}{suffix}").is_file() for topic in assignment.topics for suffix in (".py", ".ipynb")):
        raise NothingToPack(
            f"{folder}: none of {', '.join(f'{topic}.py' for topic in assignment.topics)} is here; name the right folder with --folder"
        )
    (handed_in,) = find(folder, assignment)
    submission = read(handed_in, assignment)
    names = sorted({*assignment.topics, *submission.topics})  # the topics, and modules that they import
    files = [path for name in names for path in (folder / f"{name}.ipynb", folder / f"{name}.py") if path.is_file()]
    expected = dict.fromkeys(exercise.topic for exercise in assignment.required)
    remarks = [
        *submission.problems,
        *(f"{topic}: nothing of it is here" for topic in expected if topic not in submission.topics),
    ]
    for topic in [topic for topic in assignment.topics if topic in submission.topics]:
        remarks += _validate(topic, submission.topics[topic], assignment)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    manifest = {"assignment": assignment.name, "files": digests, "sha256": digest}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, ZIP_TIME), json.dumps(manifest, indent=1))
        for path in files:
            archive.writestr(zipfile.ZipInfo(path.name, ZIP_TIME), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return Packed(target, [path.name for path in files], digest, remarks)


def _validate(topic: str, cells: list[str], assignment: Assignment) -> Iterator[str]:
    """What the sources alone show: code that is no Python, and functions that are not written."""
    for number, cell in enumerate(cells, start=1):
        try:
            ast.parse(cell)
        except (SyntaxError, ValueError) as error:
            place = f"{topic}.py" if len(cells) == 1 else f"{topic}, code cell {number}"
            yield f"{place} is no Python ({error}): nothing in it can be graded"
    text = "\n".join(cells)
    wanted = [exercise.function for exercise in assignment.required if exercise.topic == topic and not exercise.of]
    defined = set(re.findall(r"^(?:def|class) (\w+)", text, re.MULTILINE))
    missing = [f for f in wanted if f'NotImplementedError("{f}")' in text or f.split(".")[0] not in defined]
    if missing:
        yield f"{topic}: not written yet: {', '.join(missing) if len(missing) < len(wanted) else 'all of it'}"
