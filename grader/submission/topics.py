"""Which file holds which topic: one rule for checking, packing and grading, and sentences where there was a choice.

Each function is taken from the file in which it is written. Where several files have it: a file beside goes before one
in an archive, a file named after the topic before others, the newer before the older, the original before its copy.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from grader.assignment import Assignment
from grader.submission.modules import Modules, is_free
from grader.submission.source import Source
from grader.submission.syntax import Definition, Function

COPY = re.compile(r"(?:^(?:copy_of|kopie_von)_)|_?\(\d+\)$|_(?:copy|kopie|backup|bak|old|alt|orig|original)(?:_?\d+)?$")
NUMBER = re.compile(r"^\d{1,4}_|_\d{1,4}$")
DEEPEST_IMPORT = 5  # of a name through modules


@dataclass
class Choice:
    """What is graded of the sources of one submission."""

    topics: dict[str, list[str]] = field(default_factory=dict)  # cells by topic, then modules that they import
    taken: dict[str, list[Source]] = field(default_factory=dict)  # where they come from
    problems: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)  # exercises


def choose(sources: list[Source], assignment: Assignment) -> Choice:
    """The cells of each topic, and of the student's own modules that they import."""
    choice = Choice()
    modules = Modules(sources)
    belonging = [(source, topics_of(source, assignment)) for source in sources]
    for topic in assignment.topics:
        candidates = [source for source, belongs_to in belonging if topic in belongs_to]
        if candidates:
            _Topic(topic, assignment, candidates, modules).into(choice)
    for name, source in modules.imported(_all_taken(choice), choice.topics).items():
        choice.topics[name], choice.taken[name] = source.cells, [source]
    for other, one in modules.not_used.items():
        choice.problems.append(f"{other.shown} was not used: {one.shown} has the same name; give one of them another")
    for source in dict.fromkeys(_all_taken(choice)):
        choice.problems += source.remarks
        for module, _ in source.imports:
            hidden = modules.hidden_by(source, module)
            if hidden is not None:
                choice.problems.append(f"{hidden.shown} was not used: Python has a module of this name; choose another one")
    return choice


def topics_of(source: Source, assignment: Assignment) -> tuple[str, ...]:
    """The topics that a file belongs to: the one that its name says, or else those whose own functions it defines."""
    named = [topic for topic in assignment.topics if re.search(rf"(?<![a-z]){topic}(?![a-z])", _normal(source.stem))]
    defined = tuple(topic for topic in assignment.topics if _defines_its_own(source, topic, assignment))
    if len(named) == 1 and named[0] in defined:
        return (named[0],)
    if not defined and len(named) == 1 and (is_plain(source.stem, named[0]) or source.error):
        return (named[0],)
    return defined


def is_plain(stem: str, topic: str) -> bool:
    """Whether a file is called like the topic, or like a copy of it."""
    return NUMBER.sub("", COPY.sub("", _normal(stem))) == topic


class _Topic:
    """The candidates of one topic."""

    def __init__(self, topic: str, assignment: Assignment, candidates: list[Source], modules: Modules) -> None:
        self.topic, self.assignment, self.candidates, self.modules = topic, assignment, candidates, modules
        self.functions = assignment.functions(topic)
        self._said: dict[tuple[Source, str], str | None] = {}
        self.units: dict[str, list[str]] = {}  # what stands or falls together: a function, or a class with its methods
        for function in self.functions:
            self.units.setdefault(function.split(".")[0], []).append(function)

    def into(self, choice: Choice) -> None:
        """Add the cells of this topic, where they come from, and what there is to say about it."""
        picked = {unit: source for unit in self.units if (source := self._best(unit)) is not None}
        base = min(self.candidates, key=lambda source: (-list(picked.values()).count(source), *self._rank(source)))
        for unit in picked:
            if self.written(base, *self.units[unit]) and not all(map(_is_block, base.definitions.get(unit, []))):
                picked[unit] = base  # an import or an assignment stays where it is
        fillers = sorted({*picked.values()} - {base}, key=self._rank, reverse=True)
        cells = [cell for source in (*fillers, base) for cell in self._cells(source, picked)]
        choice.topics[self.topic], choice.taken[self.topic] = cells, [base, *reversed(fillers)]
        choice.problems += self._remarks(base, fillers, picked)
        for function in self.functions:
            if self._says(picked.get(function.split(".")[0], base), function) is not None:
                choice.written.append(f"{self.topic}.{function}")

    def written(self, source: Source, *functions: str) -> int:
        """How many of these functions a file has."""
        return sum(self._says(source, function) is not None for function in functions)

    def _says(self, source: Source, function: str) -> str | None:
        if (source, function) not in self._said:
            self._said[source, function] = _says(source, function, self.modules)
        return self._said[source, function]

    def _best(self, unit: str) -> Source | None:
        """The file that a unit is taken from, unless it is written nowhere."""
        functions = self.units[unit]
        having = [source for source in self.candidates if self.written(source, *functions)]
        return min(having, key=lambda source: (-self.written(source, *functions), *self._rank(source)), default=None)

    def _rank(self, source: Source) -> tuple[bool, bool, int, bool, int, int, bool, int, str]:
        plain = is_plain(source.stem, self.topic)
        copy = COPY.search(_normal(source.stem)) is not None
        moment = int(source.modified) // 2  # an archive counts in steps of two seconds
        written = self.written(source, *self.functions)
        depth = source.name.count("/")
        return bool(source.archive), not plain, -moment, copy, -written, depth, not source.is_module, len(source.name), source.name

    def _cells(self, source: Source, picked: dict[str, Source]) -> list[str]:
        """The cells without definitions of what is taken from elsewhere, of another topic, and without stubs below work."""
        blank: list[Definition] = []
        for unit in self.units:
            blocks = [definition for definition in source.definitions.get(unit, []) if _is_block(definition)]
            if picked.get(unit, source) is not source:
                blank += blocks
            elif len(blocks) > 1:
                nearest = [self._nearest_topic(source, block, unit) == self.topic for block in blocks]
                blank += [block for block, near in zip(blocks, nearest, strict=True) if any(nearest) and not near]
                last = max((place for place, block in enumerate(blocks) if block.written), default=len(blocks))
                blank += [block for block in blocks[last + 1 :] if block not in blank]
        return _without(source.cells, blank) if blank else source.cells

    def _nearest_topic(self, source: Source, block: Definition, unit: str) -> str:
        """Of topics that share a name, the one whose own functions stand nearest: one notebook may hold them all."""
        sharing = [topic for topic in self.assignment.topics if unit in self.assignment.functions(topic)]
        if len(sharing) < 2:
            return self.topic
        distance: dict[str, tuple[int, int]] = {}
        for topic in sharing:
            for name in self.assignment.functions(topic):
                if sum(name in self.assignment.functions(other) for other in sharing) == 1:
                    for there in source.definitions.get(name.split(".")[0], []):
                        apart = (abs(there.cell - block.cell), abs(there.node.lineno - block.node.lineno))
                        distance[topic] = min(distance.get(topic, apart), apart)
        return min(sharing, key=lambda topic: distance.get(topic, (1 << 30, 0)))

    def _remarks(self, base: Source, fillers: list[Source], picked: dict[str, Source]) -> Iterator[str]:
        for filler in fillers:
            names = [unit for unit, source in picked.items() if source is filler]
            yield f"{self.topic}: {', '.join(names)} was taken from {filler.shown}, the rest from {base.shown}"
        plain = [source for source in self.candidates if is_plain(source.stem, self.topic) and not COPY.search(_normal(source.stem))]
        if picked and plain and base not in plain:
            yield f"{self.topic} was taken from {base.shown}; {plain[0].shown} has less of it"
        if base.error:
            yield f"{self.topic}: {base.shown} is no Python ({base.error}): nothing in it can be graded"
        if base.archive:
            yield f"{self.topic} was taken from {base.shown}: beside the archive there is less of it"
        for other in self.candidates:
            if other.error and other is not base:
                yield f"{self.topic}: {other.shown} is no Python ({other.error}) and was not taken"
            unlike = [unit for unit, source in picked.items() if source is not other and self._differ(source, other, unit)]
            if unlike:
                first = picked[unlike[0]]
                newer = ", which is newer" if int(first.modified) // 2 > int(other.modified) // 2 else ""
                yield (
                    f"{self.topic}: {', '.join(unlike)} differ{'s' * (len(unlike) == 1)} in {first.shown} and {other.shown}; "
                    f"{first.shown} was taken{newer}"
                )
        for unit, source in picked.items():
            blocks = source.definitions.get(unit, [])
            if len(blocks) > 1 and len({block.says for block in blocks if block.written}) > 1:
                shared = len({self._nearest_topic(source, block, unit) for block in blocks}) > 1
                which = "what stands nearest to this topic" if shared else "the last one"
                yield f"{self.topic}: {source.shown} defines {unit} {len(blocks)} times: {which} counts"

    def _differ(self, one: Source, other: Source, unit: str) -> bool:
        """Whether a unit is written in both files, and not alike."""
        said = [(self._says(one, function), self._says(other, function)) for function in self.units[unit]]
        return any(theirs is not None and theirs != ours for ours, theirs in said)


def _says(source: Source, name: str, modules: Modules, depth: int = 0) -> str | None:
    """What a written function says, found through imports if need be; None if it is not written here."""
    found = source.definitions.get(name)
    owner, dot, method = name.rpartition(".")
    if found is None and dot and owner in source.definitions:
        last = source.definitions[owner][-1]
        if last.imported and depth < DEEPEST_IMPORT:
            return _says_elsewhere(source, last.imported[0], f"{last.imported[1]}.{method}", modules, depth)
        return None if _is_block(last) else last.says
    if found is None:
        for module, names in source.imports if depth < DEEPEST_IMPORT else ():
            if "*" in names and modules.belonging_to(source, module):
                says = _says_elsewhere(source, module, name, modules, depth)
                if says is not None:
                    return says
        return None
    last = next((definition for definition in reversed(found) if definition.written), found[-1])
    if not last.written:
        return None
    if last.imported and depth < DEEPEST_IMPORT:
        return _says_elsewhere(source, *last.imported, modules, depth)
    return last.says


def _says_elsewhere(source: Source, module: str, name: str, modules: Modules, depth: int) -> str | None:
    module = module.lstrip(".")
    own = modules.belonging_to(source, module)
    if module in own:
        return _says(own[module], name, modules, depth + 1)
    installed = module and not is_free(module.split(".")[0])
    return f"from {module} import {name}" if installed else None


def _defines_its_own(source: Source, topic: str, assignment: Assignment) -> bool:
    """Whether a file defines a function that no other topic has, or everything that this topic has."""
    functions = assignment.functions(topic)
    if not any(map(source.mentions, functions)):
        return False
    elsewhere = {name for other in assignment.topics if other != topic for name in assignment.functions(other)}
    defined = {name for name in functions if name.split(".")[0] in source.definitions or (source.error and _looks_defined(source, name))}
    own = {name for name in functions if name not in elsewhere}
    return bool(own & defined) or (not own and defined == {*functions})


def _looks_defined(source: Source, name: str) -> bool:
    """Whether a module that is no Python seems to define a name."""
    return any(line.startswith((f"def {name}(", f"class {name}")) for cell in source.cells for line in cell.split("\n"))


def _is_block(definition: Definition) -> bool:
    return isinstance(definition.node, Function | ast.ClassDef)


def _without(cells: list[str], blank: list[Definition]) -> list[str]:
    """The cells with ``pass`` where these definitions stood; all lines keep their numbers."""
    kept = [cell.split("\n") for cell in cells]
    for definition in blank:
        node, lines = definition.node, kept[definition.cell]
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))]) - 1
        indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
        end = node.end_lineno or node.lineno
        lines[first:end] = [f"{indent}pass", *[""] * (end - first - 1)]
    return ["\n".join(lines) for lines in kept]


def _all_taken(choice: Choice) -> list[Source]:
    return [source for sources in choice.taken.values() for source in sources]


def _normal(stem: str) -> str:
    return re.sub(r"[\s\-]+", "_", stem[:300]).casefold()
