"""From what was handed in to sources by topic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from grader.assignment import Assignment
from grader.record import Person
from grader.submission.archive import in_archive
from grader.submission.files import File, Folder, Unreadable, printable
from grader.submission.layout import CANVAS, MOODLE, HandedIn
from grader.submission.source import MAX_SOURCE, Source, read_source
from grader.submission.topics import choose, is_plain

MAX_FILES = 500  # modules and notebooks of one submission
MAX_BYTES = 128 << 20  # of one submission, archives in archives counted at each level
DEEPEST_ARCHIVE = 3  # the student's zip, and what may be in it
DOCUMENTS = {".txt", ".json", ".html", ".htm", ".pdf", ".docx", ".doc", ".md", ".rtf"}  # that work was mistaken for
MAX_PROBLEMS = 40  # sentences
LONGEST_PROBLEM = 500  # characters


@dataclass(frozen=True)
class Submission:
    """One student's work."""

    name: str
    topics: dict[str, list[str]]  # the cells of each topic (a module is one cell), and of modules that they import
    problems: tuple[str, ...]  # sentences for their reader
    student: Person | None = None  # where a platform told
    handed_in_as: str = ""  # the name it came with, where that is another one
    taken: dict[str, list[str]] = field(default_factory=dict)  # the files of each topic and module
    written: tuple[str, ...] = ()  # the exercises of which something is there

    @property
    def digest(self) -> str:
        """Of everything that a grade can depend on."""
        return "sha256:" + hashlib.sha256(json.dumps([self.topics, self.problems]).encode()).hexdigest()


def read(handed_in: HandedIn, assignment: Assignment, archives: bool = True) -> Submission:
    """Read one submission, whatever it is; without archives where an old hand-in may lie beside the work."""
    reading = _Reading(assignment.topics, archives)
    reading.take([file for one in handed_in.files for file in (one.files() if isinstance(one, Folder) else [one])], depth=0)
    choice = choose(reading.sources, assignment)
    problems = [*reading.problems, *choice.problems]
    topics = _that_a_worker_takes(choice.topics, problems)
    if not any(topic in topics for topic in assignment.topics):
        problems += [remark for source in reading.sources for remark in source.remarks]
        expected = ", ".join(f"{topic}.py" for topic in assignment.topics)
        problems.append(f"nothing to grade was found; expected modules ({expected}) or their notebooks")
    return Submission(
        handed_in.name,
        topics,
        tuple(_not_too_many(dict.fromkeys(problems))),
        handed_in.student,
        handed_in.handed_in_as,
        {name: [source.name for source in sources] for name, sources in choice.taken.items() if name in topics},
        tuple(choice.written),
    )


@dataclass
class _Reading:
    """Sources found so far, and what the submission may still cost."""

    topics: tuple[str, ...]
    archives: bool
    sources: list[Source] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files_left: int = MAX_FILES
    bytes_left: int = MAX_BYTES

    def take(self, files: list[File], depth: int, archive: str = "") -> None:
        files = _without_the_kit(files)
        self._say_who_else_is_named(files)
        later = [file for file in files if file.suffix == ".zip"]
        for file in [file for file in files if file.suffix != ".zip"] + (later if self.archives else []):
            if not file.matters:
                self._say_if_named_like_work(file)
                continue
            if self.files_left <= 0 or self.bytes_left <= 0:
                self.problems.append(f"not everything was read: more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB")
                return
            self.files_left -= 1
            try:
                content = file.content()
                self.bytes_left -= len(content)
                if file.suffix != ".zip":
                    self.sources += read_source(file, content, archive)
                elif depth < DEEPEST_ARCHIVE:
                    self.take(in_archive(file, content), depth + 1, file.name if len(files) > 1 else "")
                else:
                    raise Unreadable(f"{file.shown} was not read: it is an archive in an archive in an archive")
            except Unreadable as complaint:
                self.problems.append(str(complaint))

    def _say_if_named_like_work(self, file: File) -> None:
        if file.why_not and not file.suffix:
            self.problems.append(f"{file.shown} was not read: {file.why_not}")
        name = file.name.lower()
        topics = [topic for topic in self.topics if topic in name] if file.suffix in DOCUMENTS else []
        if any(is_plain(file.stem, topic) for topic in topics):
            self.problems.append(f"{file.shown} was not read: hand in a module (.py) or a notebook (.ipynb)")

    def _say_who_else_is_named(self, files: Iterable[File]) -> None:
        """A platform's names inside of a submission speak for nobody, but the grader should know."""
        matches = [CANVAS.fullmatch(name) or MOODLE.fullmatch(name) for name in {file.name.split("/")[0] for file in files}]
        ids = {match["id"] for match in matches if match and match["id"]}
        if len(ids) > 1:
            self.problems.append(
                f"files of {len(ids)} students of a learning platform seem to be in this one submission; "
                "if it is a bulk download, grade it by its own path or with --layout"
            )


def _without_the_kit(files: list[File]) -> list[File]:
    """The files but for those of a copy of the kit's own grader, which whoever hands in the whole folder has in it."""
    marker = "grader/record.py"
    kits = tuple(file.name.removesuffix("record.py") for file in files if file.name == marker or file.name.endswith(f"/{marker}"))
    return [file for file in files if not kits or not file.name.startswith(kits)]


def _that_a_worker_takes(topics: dict[str, list[str]], problems: list[str]) -> dict[str, list[str]]:
    """The topics as far as all of them together are not too long."""
    taken: dict[str, list[str]] = {}
    size = 0
    for topic, cells in topics.items():
        size += len(json.dumps(cells))
        if size > MAX_SOURCE:
            problems.append(f"{topic} was left out: the submission has more than {MAX_SOURCE} characters of code")
            return taken
        taken[topic] = cells
    return taken


def _not_too_many(problems: Iterable[str]) -> list[str]:
    said = [printable(problem, LONGEST_PROBLEM) for problem in problems]
    more = len(said) - MAX_PROBLEMS
    return said if more <= 0 else [*said[:MAX_PROBLEMS], f"… and {more} more remarks like these"]
