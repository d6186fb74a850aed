"""Turns a student's sources into modules, one top-level statement at a time.

A statement that raises is noted and skipped, so an exploration cell, a plot or a stray `input()` costs nobody their
functions; a statement that runs long is interrupted where the platform can. Runs inside the worker.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import importlib.abc
import importlib.machinery
import itertools
import linecache
import os
import sys
from bdb import BdbQuit
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from grader.sandbox.inside import settings
from grader.sandbox.inside.time_limit import TooSlow, interrupted_after

BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
DEFINITIONS = (*BLOCKS, ast.Import, ast.ImportFrom)
CONSTANTS = (ast.Assign, ast.AnnAssign)


@dataclass
class Topic:
    """One topic of a submission: its module, and what went wrong while it was loaded."""

    module: ModuleType
    problems: list[str] = field(default_factory=list)


def load_topic(name: str, cells: list[str], seconds: float, definitions_only: bool) -> Topic:
    """Execute the cells of one topic in a fresh module called `name`.

    With `definitions_only`, statements other than imports, definitions and plain constants are left out: the second
    attempt for a submission whose first one never came back.
    """
    topic = Topic(ModuleType(name))
    sys.modules[name] = topic.module
    _fill(topic, cells, seconds, definitions_only)
    return topic


def _fill(topic: Topic, cells: list[str], seconds: float, definitions_only: bool) -> None:
    name = topic.module.__name__
    topic.module.__dict__.setdefault("__file__", os.path.join(os.getcwd(), f"{name}.py"))
    flags = 0
    for number, source in enumerate(cells, start=1):
        place = f"{name}.py" if len(cells) == 1 else f"{name}, cell {number}"
        linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
        try:
            statements = ast.parse(source, place).body
        except (RecursionError, MemoryError):  # of the parser, whose words say nothing of the source
            topic.problems.append(f"{place}: it is nested too deeply")
            continue
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            topic.problems.append(f"{place}{line}: {type(error).__name__}: {getattr(error, 'msg', None) or error}")
            continue
        for statement in itertools.chain.from_iterable(map(_name_by_name, statements)):
            flags |= _future_flags(statement)
            if definitions_only and not isinstance(statement, DEFINITIONS) and not _is_constant(statement):
                continue
            problem = _execute(statement, topic.module, place, flags, seconds)
            if problem and problem.startswith("NameError") and isinstance(statement, BLOCKS):
                problem = _execute_bare(statement, topic.module, place, flags, seconds)
            if problem:
                topic.problems.append(f"{place}, line {statement.lineno}: {problem}")


def _name_by_name(statement: ast.stmt) -> list[ast.stmt]:
    """An import as one for each of its names: where one library is not here, the others still are."""
    singles: list[ast.stmt] = [statement]
    if isinstance(statement, ast.Import):
        singles = [ast.Import([alias]) for alias in statement.names]
    elif isinstance(statement, ast.ImportFrom):
        singles = [ast.ImportFrom(statement.module, [alias], statement.level) for alias in statement.names]
    return [ast.copy_location(single, statement) for single in singles]


def _execute(statement: ast.stmt, module: ModuleType, place: str, flags: int, seconds: float) -> str | None:
    """Run one top-level statement; what went wrong, in words, or None."""
    try:
        code = compile(ast.Module([statement], []), place, "exec", flags=flags, dont_inherit=True)
        with interrupted_after(seconds):
            exec(code, module.__dict__)
    except TooSlow:
        return f"still running after {seconds:g} s (this statement was skipped)"
    except BaseException as error:  # SystemExit, KeyboardInterrupt and friends are the student's, too
        return f"{describe(error)} (this statement was skipped)"
    return None


def _execute_bare(
    statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, module: ModuleType, place: str, flags: int, seconds: float
) -> str | None:
    """A definition once more, without what a library that is not here would have given: decorators and annotations."""
    known = {*dir(builtins), *module.__dict__}
    missing = [
        decorator
        for decorator in statement.decorator_list
        if any(isinstance(node, ast.Name) and node.id not in known for node in ast.walk(decorator))
    ]
    statement.decorator_list = [decorator for decorator in statement.decorator_list if decorator not in missing]
    problem = _execute(statement, module, place, flags | __future__.annotations.compiler_flag, seconds)
    if problem or not missing:
        return problem
    return f"defined without {', '.join(f'@{ast.unparse(decorator)}'[:80] for decorator in missing)}, which is not known here"


def describe(error: BaseException) -> str:
    """`TypeError: …`, whatever the exception's own `__str__` may do."""
    if isinstance(error, BdbQuit):
        return "BdbQuit: a breakpoint() where nobody can type; dgm debug stops there"
    try:
        text = str(error)[:500]
    except BaseException:
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, CONSTANTS) and not any(isinstance(node, ast.Call) for node in ast.walk(statement))


def _future_flags(statement: ast.stmt) -> int:
    if not isinstance(statement, ast.ImportFrom) or statement.module != "__future__":
        return 0
    features: list[Any] = [getattr(__future__, alias.name, None) for alias in statement.names]
    return sum(feature.compiler_flag for feature in features if feature is not None)


class SubmissionFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets the topics and the student's own modules import each other in any order, by their short or their full name."""

    def __init__(self, package: str, sources: dict[str, list[str]], seconds: float, definitions_only: bool) -> None:
        self.package, self.sources, self.seconds, self.definitions_only = package, sources, seconds, definitions_only
        self.topics: dict[str, Topic] = {}
        self.settings = settings.read()
        self._folders = {name[:place] for name in sources for place, letter in enumerate(name) if letter == "."}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        parents = self.package.split(".")
        if fullname in {".".join(parents[: depth + 1]) for depth in range(len(parents))}:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        name = fullname.removeprefix(self.package + ".")
        if name in self.sources or name in self._folders:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=name in self._folders)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        name = spec.name.removeprefix(self.package + ".")
        if name in self.topics:
            return self.topics[name].module
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix(self.package + ".")
        if name not in self.sources or name in self.topics:
            return
        folder = name if name in self._folders else name.rpartition(".")[0]
        module.__name__, module.__package__ = name, folder or self.package
        self.topics[name] = Topic(module)
        sys.modules[name] = module
        with settings.standard(self.settings):  # whatever another module has set
            _fill(self.topics[name], self.sources[name], self.seconds, self.definitions_only)

    def load_all(self) -> dict[str, Topic]:
        """Every topic of the submission, loaded."""
        sys.meta_path.insert(0, self)
        for name in self.sources:
            if name not in self.topics:
                importlib.import_module(name)
        return self.topics
