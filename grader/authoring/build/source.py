"""The single source of a topic: a jupytext percent script with marked solution regions.

A region is what only instructors see::

    # BEGIN SOLUTION kl_divergence
    ...
    # END SOLUTION kl_divergence

Inside a function it covers the whole body after the docstring and bears the function's name (``Class.method`` for a
method). At column 0 it holds private helpers under any name. The grammar is strict: anything else is refused.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderError

MARKER = re.compile(r"(?P<indent>\s*)# (?P<side>BEGIN|END) SOLUTION (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?)")
ALMOST_A_MARKER = re.compile(r"\s*#[#\s]*(begin|end)[\s_-]*solution\b", re.IGNORECASE)
CELL = re.compile(r"# %%")


class SourceError(GraderError):
    """A source file that is refused; the message begins with ``file:line``."""


@dataclass(frozen=True)
class Region:
    """Lines ``first`` to ``last`` (both are markers, counted from 1) that students do not see."""

    name: str
    first: int
    last: int
    in_function: bool


@dataclass(frozen=True)
class Source:
    """A topic's source, known to be well formed."""

    path: Path
    text: str
    regions: tuple[Region, ...]

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions and methods that students write, in order."""
        return tuple(region.name for region in self.regions if region.in_function)


def read(path: Path) -> Source:
    """Read a source file and check its regions.

    Raises: ``SourceError`` with file, line and a sentence.
    """
    return parse(path, path.read_text("utf-8"))


def parse(path: Path, text: str) -> Source:
    """The same for the text of a file. Raises: `SourceError`."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise SourceError(f"{path}:{error.lineno}: this is not Python: {error.msg}") from None
    regions = tuple(_regions(text.splitlines(), path))
    functions = dict(_functions(tree))
    for region in regions:
        if region.in_function:
            _refuse_partial_body(region, functions, path)
        else:
            _refuse_part_of_a_function(region, functions, path)
            _refuse_a_shared_cell(region, regions, text.splitlines(), path)
    return Source(path, text, regions)


def _regions(lines: list[str], path: Path) -> Iterator[Region]:
    open_marker: re.Match[str] | None = None
    opened = 0
    names: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        here = f"{path}:{number}"
        marker = MARKER.fullmatch(line)
        if marker is None:
            if ALMOST_A_MARKER.match(line):
                raise SourceError(f"{here}: write this marker as `# BEGIN SOLUTION name` or `# END SOLUTION name`")
            if open_marker is not None and CELL.match(line):
                raise SourceError(f"{here}: a cell begins inside region {open_marker['name']}, opened in line {opened}")
            continue
        name = marker["name"]
        if marker["side"] == "BEGIN":
            if open_marker is not None:
                raise SourceError(f"{here}: region {name} opens inside region {open_marker['name']} (line {opened})")
            if name in names:
                raise SourceError(f"{here}: there is already a region {name} in line {names[name]}")
            open_marker, opened, names[name] = marker, number, number
            continue
        if open_marker is None:
            raise SourceError(f"{here}: region {name} ends, but none is open")
        if name != open_marker["name"]:
            raise SourceError(f"{here}: region {name} ends, but {open_marker['name']} is open since line {opened}")
        if marker["indent"] != open_marker["indent"]:
            raise SourceError(f"{here}: indent this marker as the one in line {opened} that opens the region")
        yield Region(name, opened, number, in_function=marker["indent"] != "")
        open_marker = None
    if open_marker is not None:
        raise SourceError(f"{path}:{opened}: region {open_marker['name']} never ends")


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions of the module and methods of its classes, by the names that regions bear."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    yield f"{node.name}.{method.name}", method


def _refuse_partial_body(region: Region, functions: dict[str, ast.FunctionDef], path: Path) -> None:
    here = f"{path}:{region.first}"
    statements = _after_docstring(functions[region.name]) if region.name in functions else []
    if region.name in functions and not statements:
        raise SourceError(f"{here}: region {region.name} is empty")
    inside = [name for name, node in functions.items() if node.lineno < region.first <= (node.end_lineno or 0)]
    if inside != [region.name]:
        place = f"function {inside[0]}" if inside else "no function at all"
        raise SourceError(f"{here}: region {region.name} stands in {place}; a region bears its function's name")
    for statement in statements:
        if not (region.first < statement.lineno and (statement.end_lineno or 0) < region.last):
            raise SourceError(
                f"{path}:{statement.lineno}: this line of {region.name} stands outside its region; "
                "a region covers the whole body after the docstring"
            )


def _after_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body if ast.get_docstring(function) is None else function.body[1:]


def _refuse_part_of_a_function(region: Region, functions: dict[str, ast.FunctionDef], path: Path) -> None:
    for name, node in functions.items():
        inner = [number for number in (region.first, region.last) if node.lineno <= number <= (node.end_lineno or 0)]
        if inner:
            raise SourceError(f"{path}:{inner[0]}: this marker stands inside {name}; indent it as the body")


def _refuse_a_shared_cell(region: Region, regions: tuple[Region, ...], lines: list[str], path: Path) -> None:
    """Helpers in a function's cell would come too late in a notebook, which runs from top to bottom."""

    def cell(line: int) -> int:
        return sum(CELL.match(text) is not None for text in lines[:line])

    for other in regions:
        if other.in_function and cell(other.first) == cell(region.first):
            raise SourceError(
                f"{path}:{region.first}: region {region.name} stands in the cell of {other.name}; "
                "give it a cell of its own, with `# %%` before it"
            )
