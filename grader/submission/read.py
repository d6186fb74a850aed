"""From what was handed in to sources by topic."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from grader.assignment import Assignment
from grader.record import Person
from grader.submission.files import File, Unreadable, in_archive
from grader.submission.find import HandedIn
from grader.submission.topics import Source, by_topic, read_source

MOST_FILES = 500  # modules and notebooks of one submission
MOST_BYTES = 128 << 20  # of one submission, archives in archives counted at each level
DEEPEST_ARCHIVE = 3  # the platform's zip, the student's zip, and one more for good measure
LONGEST_CELL = 60_000  # characters; a worker takes no longer string
MOST_SOURCE = 800_000  # characters of all topics as JSON; a worker takes no larger message


@dataclass(frozen=True)
class Submission:
    """One student's work."""

    name: str
    topics: dict[str, list[str]]  # the cells of each topic (a module is one cell), and of modules that they import
    problems: tuple[str, ...]  # sentences for their reader
    student: Person | None = None  # where a platform told


def read(handed_in: HandedIn, assignment: Assignment) -> Submission:
    """Read one submission, whatever it is."""
    reading = _Reading()
    reading.take(handed_in.files, depth=0)
    topics = _that_a_worker_takes(by_topic(reading.sources, assignment, reading.problems), reading.problems)
    if not topics:
        expected = ", ".join(f"{topic}.py" for topic in assignment.topics)
        reading.problems.append(f"nothing to grade was found; expected modules ({expected}) or their notebooks")
    return Submission(handed_in.name, topics, tuple(dict.fromkeys(reading.problems)), handed_in.student)


@dataclass
class _Reading:
    """Sources found so far, and what the submission may still cost."""

    sources: list[Source] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files_left: int = MOST_FILES
    bytes_left: int = MOST_BYTES

    def take(self, files: tuple[File, ...] | list[File], depth: int) -> None:
        for file in files:
            if not file.matters:
                continue
            if self.files_left <= 0 or self.bytes_left <= 0:
                self.problems.append(f"not everything was read: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
                return
            self.files_left -= 1
            try:
                content = file.content()
                self.bytes_left -= len(content)
                if file.suffix == ".zip":
                    self._take_archive(file, content, depth + 1)
                else:
                    self.sources.append(read_source(file, content, self.problems))
            except Unreadable as complaint:
                self.problems.append(str(complaint))

    def _take_archive(self, file: File, content: bytes, depth: int) -> None:
        if depth > DEEPEST_ARCHIVE:
            raise Unreadable(f"{file.name} was not read: it is an archive in an archive in an archive")
        self.take(in_archive(file, content), depth)


def _that_a_worker_takes(topics: dict[str, list[str]], problems: list[str]) -> dict[str, list[str]]:
    """The topics without cells that are too long, as far as all of them together are not."""
    taken: dict[str, list[str]] = {}
    size = 0
    for topic, cells in topics.items():
        kept = [cell if len(cell) <= LONGEST_CELL else "" for cell in cells]
        if kept != cells:
            problems.append(f"{topic}: code of more than {LONGEST_CELL} characters in one cell or module was left out")
        size += len(json.dumps(kept))
        if size > MOST_SOURCE:
            problems.append(f"{topic} was left out: the submission has more than {MOST_SOURCE} characters of code")
            return taken
        taken[topic] = kept
    return taken
