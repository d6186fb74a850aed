"""What kind of folder or download this is: decided once, by the names of all its entries together.

Canvas puts loose files side by side, ``muelleranna_340934_208490284_divergences.py``: the sortable name in small
letters without spaces, ``_LATE`` if so, the user's id, the attachment's id, the file's own name; what was typed in or
linked is ``…_340934_text.html``; where grading is anonymous a file is ``anon_Ab3dE_208490284_divergences.py``. Moodle
makes folders ``Anna Müller_1234567_assignsubmission_file_/`` (full name, the participant's id), or without folders puts
that prefix before the file's name. Gradescope makes folders ``submission_98765/`` and, beside them,
``submission_metadata.yml`` with names, student ids and addresses. nbgrader's ``submitted/`` has a folder for each
student, and in it one for each assignment.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from grader.assignment import Assignment
from grader.record import MADE_BY_DGM, Person
from grader.submission.files import OTHER_ARCHIVES, WANTED, File, Folder, clean
from grader.submission.topics import is_plain

Layout = Literal["auto", "one", "class", "canvas", "moodle", "gradescope", "nbgrader"]
CANVAS = re.compile(
    r"(?P<name>[^/]+?)(?P<late>_LATE)?_(?P<id>\d{2,})_(?:(?P<attempt>\d{2,})_(?P<file>.+)|(?P<note>(?:text|link)\.html))"
    r"|(?:LATE_)?(?P<anonymous>anon_[A-Za-z0-9]{5})(?:_LATE)?_\d{2,}_(?P<own>.+)"
)
MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<file>.*)", re.DOTALL)
GRADESCOPE = re.compile(r"submission_(?P<id>\d+)")
METADATA = "submission_metadata.yml"
LOOKED_AT = 1 << 16  # bytes of a module whose name says nothing
MAX_MEMBERS = 50  # of one group
CREATED = re.compile(  # in Gradescope's metadata; other moments there belong to earlier attempts
    r"^  :created_at: *['\"]?(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[.\d]* *(Z|UTC|[+-]\d\d:?\d\d)", re.MULTILINE
)
MAX_METADATA = 256 << 20  # bytes: it repeats all results that Gradescope knows
IGNORED_NAMES = re.compile(  # what systems, browsers and we ourselves leave beside submissions
    r"thumbs\.db|ehthumbs\.db|desktop\.ini|index\.html?|icon[\r\ufffd]|\$recycle\.bin|system volume information|"
    r"records\.jsonl|(?:grades|canvas|moodle)\.csv|junit\.xml|report\.html|report_students|submission_metadata\.yml|"
    r"manifest\.json|errors\.log|readme(?:\.\w+)?",
    re.IGNORECASE,
)
DOWNLOAD = re.compile(  # what an instructor may call a download of a platform that lies alone in its folder
    r"submissions?|downloads?|exports?|all|bulk|class|canvas|moodle|gradescope|assignment_\d+_export|.*-\d{4,}"
)


@dataclass(frozen=True)
class Entry:
    """One thing in a class's folder or download: a file, or a folder with what is in it."""

    name: str
    content: File | Folder | tuple[File, ...]

    @property
    def is_folder(self) -> bool:
        return not isinstance(self.content, File)

    @property
    def files(self) -> tuple[File | Folder, ...]:
        return self.content if isinstance(self.content, tuple) else (self.content,)

    def has(self, name: str) -> bool:
        """Whether a folder has a folder or file of this name in it."""
        if isinstance(self.content, Folder):
            return os.path.exists(self.content.path / name)  # pathlib raises where a folder may not be looked into
        return any(file.name.split("/")[0] == name for file in self.files if isinstance(file, File)) and self.is_folder


@dataclass(frozen=True)
class HandedIn:
    """One submission, named but not read. In what `find` returns its name is unique and can be a folder's."""

    name: str
    files: tuple[File | Folder, ...]
    student: Person | None = None  # where a platform told
    handed_in_as: str = ""  # the name it came with, where that is another one


def decide(entries: Sequence[Entry], assignment: Assignment, surely: bool) -> Layout:
    """The kind of these entries. ``surely``: of a platform only if every entry is, for this may be a student's own zip."""
    listed = any(entry.name == METADATA for entry in entries)
    entries = [entry for entry in entries if not is_nobody(entry, assignment)]
    canvas = sum(not entry.is_folder and CANVAS.fullmatch(entry.name) is not None for entry in entries)
    moodle = sum(MOODLE.fullmatch(entry.name) is not None for entry in entries)
    numbered = listed * sum(entry.is_folder and GRADESCOPE.fullmatch(entry.name) is not None for entry in entries)
    course = sum(entry.is_folder and entry.has(assignment.name) for entry in entries)
    votes: dict[Layout, int] = {"canvas": canvas, "moodle": moodle, "gradescope": numbered, "nbgrader": course}
    most = max(votes, key=lambda layout: votes[layout])
    needed = len(entries) if surely else (len(entries) + 1) // 2
    if votes[most] >= max(needed, 1) and (most != "nbgrader" or not surely):
        return most
    return "one" if surely or _is_one_submission(entries, assignment) else "class"


def _is_one_submission(entries: Sequence[Entry], assignment: Assignment) -> bool:
    """Whether files called like topics outnumber what may be other submissions; helpers beside them do not matter."""
    loose = [entry for entry in entries if not entry.is_folder]
    named = [(entry, topic) for entry in loose if (topic := _topic(entry, assignment))]
    if not named:
        return False
    numbered = Counter((topic, _suffix(entry)) for entry, topic in named if _is_numbered(entry))
    students = sum(number for number in numbered.values() if number > 1)  # 01_flows.py, 02_flows.py: by students, not topics
    rest = [entry for entry in loose if not _topic(entry, assignment)]
    others = sum(_suffix(entry) in (".ipynb", ".zip", *OTHER_ARCHIVES) for entry in rest)
    others += sum(_suffix(entry) == ".py" and _has_most_of_a_topic(entry, assignment) for entry in rest)
    others += sum(entry.is_folder and _holds_work(entry, assignment) for entry in entries)
    return len(named) - students > others + students


def _has_most_of_a_topic(entry: Entry, assignment: Assignment) -> bool:
    """Whether a module under a name of its own looks like a whole submission, not like a helper of one."""
    assert isinstance(entry.content, File)
    try:
        text = b"\n" + (b"" if entry.content.why_not else entry.content.read(LOOKED_AT))
    except OSError:
        return False
    for topic in assignment.topics:
        names = {function.split(".")[0] for function in assignment.functions(topic)}
        if 2 * sum(f"\n{word} {name}".encode() in text for name in names for word in ("def", "class")) > len(names):
            return True
    return False


def _topic(entry: Entry, assignment: Assignment) -> str:
    """The topic that a module or notebook is called by, if it is."""
    file = entry.content
    if not isinstance(file, File) or file.suffix not in (".py", ".ipynb"):
        return ""
    return next((topic for topic in assignment.topics if is_plain(file.stem, topic)), "")


def _is_numbered(entry: Entry) -> bool:
    return entry.name[:1].isdigit() or re.search(r"[-_]\d+\.", entry.name) is not None


def _suffix(entry: Entry) -> str:
    return entry.content.suffix if isinstance(entry.content, File) else ""


def _holds_work(entry: Entry, assignment: Assignment) -> bool:
    """Whether a folder has, at its top, what may be somebody's submission."""
    if isinstance(entry.content, Folder):
        try:
            names = [path.name for path in entry.content.path.iterdir()]
        except OSError:
            return False
    else:
        names = [file.name for file in entry.files if isinstance(file, File)]
    stems = [name.rpartition(".")[0] for name in names if name.lower().endswith(tuple(WANTED))]
    return any(name.lower().endswith(".zip") for name in names) or any(
        is_plain(stem, topic) for stem in stems for topic in assignment.topics
    )


def is_nobody(entry: Entry, assignment: Assignment) -> bool:
    """Whether an entry of a class is no submission: what systems leave, and results of an earlier run, where no work is."""
    made_here = entry.is_folder and (entry.has(MADE_BY_DGM) or (entry.has("records.jsonl") and entry.has(".lock")))
    return IGNORED_NAMES.fullmatch(entry.name) is not None or (made_here and not _holds_work(entry, assignment))


def sort_out(entries: Sequence[Entry], layout: Layout, assignment: Assignment, metadata: File | None) -> list[HandedIn]:
    """Whose entry is whose; who is in no list of the platform keeps the entry's own name."""
    people: dict[str, Person] = {}
    if metadata is not None and layout == "gradescope":
        with contextlib.suppress(Exception):  # whatever is wrong with the file, it costs only the names
            people = dict(_gradescope_students(metadata))
    owned: dict[str, HandedIn] = {}
    for number, entry in enumerate(entries):
        key, one = _owner(entry, layout, assignment, people)
        key = key or f"/{number}"  # names of two may look alike
        earlier = owned.get(key)
        owned[key] = replace(earlier, files=earlier.files + one.files) if earlier else one
    return list(owned.values())


def _owner(entry: Entry, layout: Layout, assignment: Assignment, people: dict[str, Person]) -> tuple[str, HandedIn]:
    """What says that entries belong together, if anything does, and this entry's share."""
    name = entry.name
    if layout == "canvas" and (match := CANVAS.fullmatch(name)) and isinstance(entry.content, File):
        mine = replace(entry.content, name=match["file"] or match["own"] or match["note"])
        if match["anonymous"]:
            return match["anonymous"], HandedIn(match["anonymous"], (mine,))  # Canvas takes no grades by this name
        return match["id"], _persons(match, (mine,), layout)
    if layout == "moodle" and (match := MOODLE.fullmatch(name)):
        files = (replace(entry.content, name=match["file"] or name),) if isinstance(entry.content, File) else entry.files
        return match["id"], _persons(match, files, layout)
    if layout == "gradescope" and (match := GRADESCOPE.fullmatch(name)) and entry.is_folder:
        person = people.get(match["id"])
        return name, HandedIn(f"{person.name}_{person.id}" if person else name, entry.files, person)
    if layout == "nbgrader" and isinstance(entry.content, Folder):
        return "", HandedIn(name, (Folder(entry.content.path / assignment.name),))
    own = entry.content.stem if isinstance(entry.content, File) else name
    return "", HandedIn(own, entry.files)


def _persons(match: re.Match[str], files: tuple[File | Folder, ...], layout: Layout) -> HandedIn:
    said = match.groupdict()
    person = Person(said["name"], said["id"], platform=layout, late=bool(said.get("late")), attempt=said.get("attempt") or "")
    return HandedIn(f"{person.name}_{person.id}", files, person)


def _gradescope_students(metadata: File) -> Iterator[tuple[str, Person]]:
    """From the folder's number to its first submitter, with the others of the group.

    The file is long, and most of it is what students' programs printed; only what names submitters is parsed.
    """
    import yaml  # an instructor's package; students never meet a bulk download

    text = metadata.read(MAX_METADATA).decode("utf-8", "replace")
    for entry in re.split(r"^(?=submission_\d+:)", text, flags=re.MULTILINE)[1:]:
        number = entry[len("submission_") : entry.index(":")]
        block = re.search(r"^  :submitters:\n((?:  - .*\n(?:    .*\n)*)+)", entry + "\n", re.MULTILINE)
        late = re.search(r"^  :(?:late|lateness): *(?!false|0|null|\n|~)", entry, re.MULTILINE) is not None
        created = CREATED.search(entry)
        moment = f"{created[1]}T{created[2]}{'+00:00' if created[3] in ('Z', 'UTC') else created[3]}" if created else ""
        try:
            submitters = yaml.safe_load(block[1]) if block else None
        except yaml.YAMLError:
            continue
        group = [one for one in submitters or () if isinstance(one, dict) and one.get(":name")]
        said = [[clean(str(one.get(key) or "")) for key in (":name", ":sid", ":email")] for one in group[:MAX_MEMBERS]]
        people = [
            Person(name, student_id or number, email, "gradescope", late, number, submitted=moment) for name, student_id, email in said
        ]
        if people:
            yield number, msgspec.structs.replace(people[0], members=tuple(people[1:]))
