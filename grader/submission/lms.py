"""Bulk downloads of learning platforms: whose file is whose.

Canvas puts loose files side by side, ``muelleranna_340934_208490284_divergences.py``: the sortable name in small
letters without spaces, ``_LATE`` if so, the user's id, the attachment's id, the file's own name. Moodle makes folders
``Anna Müller_1234567_assignsubmission_file_/`` (full name, the participant's id), or without folders puts that prefix
before the file's name. Gradescope makes folders ``submission_98765/`` and, beside them, ``submission_metadata.yml``
with names, student ids and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from grader.record import Person
from grader.submission.files import File

CANVAS = re.compile(r"(?P<name>[^/]+?)(?:_LATE)?_(?P<id>\d{2,})_\d{2,}_(?P<file>[^/]+)")
MOODLE = re.compile(r"(?P<name>[^/]+)_(?P<id>\d+)_assignsubmission_[a-z]+(?:_/?|/)(?P<file>.+)")
GRADESCOPE = re.compile(r"(?P<name>submission)_(?P<id>\d+)/(?P<file>.+)")
METADATA = "submission_metadata.yml"
MOST_METADATA = 256 << 20  # bytes: it repeats all results that Gradescope knows


def sort_out(files: list[File]) -> dict[str, tuple[Person | None, list[File]]] | None:
    """The files of each student by the name of the submission, or ``None`` if this is no bulk download.

    Files that belong to nobody stay together under the folder or file they are.
    """
    files = _without_wrapper(files)
    platform, pattern, people = _platform(files)
    if pattern is None:
        return None
    sorted_out: dict[str, tuple[Person | None, list[File]]] = {}
    for file in files:
        match = pattern.fullmatch(file.name)
        if match is None:
            folder, slash, inside = file.name.partition("/")
            own = File(inside, file.read, file.refusal) if slash else file
            if file.name != METADATA:
                sorted_out.setdefault(folder if slash else file.stem, (None, []))[1].append(own)
            continue
        student = people.get(match["id"]) or Person(match["name"], match["id"], platform=platform)
        own = File(match["file"], file.read, file.refusal)
        sorted_out.setdefault(f"{student.name}_{student.id}", (student, []))[1].append(own)
    return sorted_out


def _platform(files: list[File]) -> tuple[str, re.Pattern[str] | None, dict[str, Person]]:
    for file in files:
        if file.name == METADATA:
            return "gradescope", GRADESCOPE, dict(_gradescope_students(file))
    for platform, pattern in (("moodle", MOODLE), ("canvas", CANVAS)):
        if any(pattern.fullmatch(file.name) for file in files):
            return platform, pattern, {}
    return "", None, {}


def _without_wrapper(files: list[File]) -> list[File]:
    """The files without the one folder in which all of them lie, if that is not a student's."""
    tops = {file.name.split("/")[0] for file in files}
    if len(tops) != 1 or any("/" not in file.name or MOODLE.fullmatch(file.name) for file in files):
        return files
    return [File(file.name.split("/", 1)[1], file.read, file.refusal) for file in files]


def _gradescope_students(metadata: File) -> Iterator[tuple[str, Person]]:
    """From the folder's number to its (first) submitter.

    The file is long, and most of it is what students' programs printed; only what names submitters is parsed.
    """
    import yaml  # an instructor's package; students never meet a bulk download

    text = metadata.read(MOST_METADATA).decode("utf-8", "replace")
    for entry in re.split(r"^(?=submission_\d+:)", text, flags=re.MULTILINE)[1:]:
        number = entry[len("submission_") : entry.index(":")]
        block = re.search(r"^  :submitters:\n  - (.*\n(?:    .*\n)*)", entry + "\n", re.MULTILINE)
        try:
            submitter = yaml.safe_load("    " + block[1]) if block else None
        except yaml.YAMLError:
            continue
        if isinstance(submitter, dict) and submitter.get(":name"):
            name, student_id, email = (str(submitter.get(key) or "") for key in (":name", ":sid", ":email"))
            yield number, Person(name, student_id or number, email, "gradescope")
