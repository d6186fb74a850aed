"""Which file holds which topic: by its name, or else by the functions it defines."""

from __future__ import annotations

import functools
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from grader.assignment import Assignment
from grader.submission.files import File
from grader.submission.notebook import code_cells
from grader.submission.text import decode

DEFINITION = re.compile(r"^(?:async +def|def|class)\s+(\w+)", re.MULTILINE)
STUB = re.compile(r"^\s+raise NotImplementedError\b", re.MULTILINE)
IMPORT = re.compile(r"^\s*(?:from\s+\.?([A-Za-z_]\w*)[\w.]*\s+import\b|import\s+([\w., ]+))", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """One module (a single cell) or one notebook, as text."""

    name: str
    cells: list[str]

    @property
    def stem(self) -> str:
        return File(self.name, bytes).stem

    def defines(self, function: str) -> int:
        """How often ``function`` or the class of the method is defined at the top of a cell."""
        return self._definitions[function.split(".")[0]]

    @functools.cached_property
    def _definitions(self) -> Counter[str]:
        return Counter(name for cell in self.cells for name in DEFINITION.findall(cell))

    def stubs(self) -> int:
        """How many functions are left as they were handed out."""
        return sum(len(STUB.findall(cell)) for cell in self.cells)


def read_source(file: File, content: bytes, problems: list[str]) -> Source:
    """A module or a notebook as text; a guess about its encoding is added to ``problems``.

    Raises: ``Unreadable`` if it is neither.
    """
    if file.suffix == ".ipynb":
        return Source(file.name, code_cells(file.name, content))
    text, guess = decode(file.name, content)
    problems.extend([guess] if guess else [])
    return Source(file.name, [text])


def by_topic(sources: list[Source], assignment: Assignment, problems: list[str]) -> dict[str, list[str]]:
    """The cells of each topic, and of the modules that they import."""
    topics: dict[str, list[str]] = {}
    unused = list(sources)
    belonging = [(source, topics_of(source, assignment)) for source in sources]
    for topic in assignment.topics:
        candidates = [source for source, belongs_to in belonging if topic in belongs_to]
        candidates.sort(key=lambda source: _preference(source, assignment.functions(topic)))
        unused = [source for source in unused if source not in candidates]
        if candidates:
            chosen, *others = candidates
            topics[topic] = chosen.cells
            problems.extend(_complaints(topic, chosen, others, assignment))
    for helper in _imported(topics, unused):
        topics[helper.stem] = helper.cells
    return topics


def topics_of(source: Source, assignment: Assignment) -> tuple[str, ...]:
    """The topics that a file belongs to: the one that its name says, or else those whose own functions it defines."""
    stem = re.sub(r"[\s\-]+", "_", source.stem).casefold()
    named = [topic for topic in assignment.topics if re.search(rf"(?<![a-z]){topic}(?![a-z])", stem)]
    defined = tuple(topic for topic in assignment.topics if _defines_its_own(source, topic, assignment))
    if len(named) == 1 and (named[0] in defined or not defined):
        return (named[0],)
    return defined


def _defines_its_own(source: Source, topic: str, assignment: Assignment) -> bool:
    """Whether a file defines a function that no other topic has, or everything that this topic has."""
    elsewhere = {name for other in assignment.topics if other != topic for name in assignment.functions(other)}
    functions = assignment.functions(topic)
    own = [name for name in functions if name not in elsewhere]
    return any(source.defines(name) for name in own) or (not own and all(source.defines(name) for name in functions))


def _preference(source: Source, functions: tuple[str, ...]) -> tuple[int, int, int, str]:
    """Sorts the file with most work in it first, then the one nearest to the top."""
    done = sum(source.defines(function) > 0 for function in functions) - source.stubs()
    return (-done, source.name.count("/"), len(source.name), source.name)


def _complaints(topic: str, chosen: Source, others: list[Source], assignment: Assignment) -> Iterator[str]:
    for other in others:
        if other.cells != chosen.cells and _preference(other, assignment.functions(topic))[0] < 0:
            yield f"{topic} is in two files: {chosen.name} was graded, {other.name} was not"
    if topics_of(chosen, assignment) != (topic,):
        for function in assignment.functions(topic):
            if chosen.defines(function) > 1:
                yield f"{chosen.name} defines {function} {chosen.defines(function)} times: the last one counts"


def _imported(topics: dict[str, list[str]], unused: list[Source]) -> list[Source]:
    """The student's other modules that the topics import, directly or through each other."""
    helpers = {source.stem: source for source in unused if len(source.cells) == 1 and _is_free(source.stem)}
    found: list[Source] = []
    cells = [cell for topic in topics.values() for cell in topic]
    while cells:
        for match in IMPORT.finditer(cells.pop()):
            for name in re.findall(r"[A-Za-z_]\w*", match[1] or match[2]):
                if name in helpers:
                    found.append(helpers.pop(name))
                    cells.extend(found[-1].cells)
    return found


def _is_free(name: str) -> bool:
    """Whether no installed module has this name, which a student's file must not replace."""
    taken = name in sys.modules or name in sys.stdlib_module_names
    return name.isidentifier() and not taken and importlib.util.find_spec(name) is None
