"""From the source to what students start with: the same module without the solutions."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from grader.authoring.build.source import CELL, MARKER, Source, SourceError

Rewriter = Callable[[list[str]], list[str]]  # from the lines of a cell to those that readers get

FROM_IMPORT = re.compile(r"from (?P<module>[\w.]+) import (?P<names>[\w, ]+)")
ONLY_IN_NOTEBOOKS = re.compile(r"# %%.*\bactive-ipynb\b")  # the tag that keeps picture cells out of modules


def stub(source: Source) -> str:
    """The module as students receive it.

    A region inside a function becomes ``raise NotImplementedError("name")``. Regions of helpers vanish, and so do
    imports from modules that only solutions use, which would give the answer away, and picture cells, which only run
    in notebooks. Everything else stays letter by letter. Raises: `SourceError` where what is left is no Python.
    """
    rewrite = for_students(source)
    cells = split_cells(source.text.splitlines())
    kept = [rewrite(cell) for cell in cells if not ONLY_IN_NOTEBOOKS.match(cell[0])]
    text = "\n".join(line for cell in kept if not is_bare(cell) for line in cell).strip("\n") + "\n"
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise SourceError(f"{source.path}: without its regions this is not Python: {error}") from None
    return text


def for_students(source: Source) -> Rewriter:
    """What becomes of the lines of a cell in stubs and in students' notebooks alike."""
    shown = "\n".join(without_solutions(source.text.splitlines()))

    def rewrite(lines: list[str]) -> list[str]:
        imports = [_used_imports(line, shown) for line in without_solutions(lines)]
        return [line for line in imports if line is not None]

    return rewrite


def split_cells(lines: list[str]) -> list[list[str]]:
    """The lines of each cell; what stands before the first ``# %%`` is a cell of its own."""
    cells: list[list[str]] = [[]]
    for line in lines:
        if CELL.match(line):
            cells.append([])
        cells[-1].append(line)
    return [cell for cell in cells if cell]


def without_solutions(lines: list[str]) -> list[str]:
    """The lines of a well formed source, its regions replaced."""
    kept: list[str] = []
    in_region = False
    for line in lines:
        marker = MARKER.fullmatch(line)
        if marker is None:
            if not in_region:
                kept.append(line)
            continue
        in_region = marker["side"] == "BEGIN"
        if in_region and marker["indent"]:
            kept.append(f'{marker["indent"]}raise NotImplementedError("{marker["name"]}")')
        elif in_region:
            while kept and not kept[-1].strip():  # the blank lines before the helpers go with them
                kept.pop()
    return kept


def _used_imports(line: str, shown: str) -> str | None:
    """The line; if it is an import from a module, as far as the names stand elsewhere in what is shown."""
    parts = FROM_IMPORT.fullmatch(line)
    if parts is None or parts["module"] == "__future__":
        return line
    names = [name for name in parts["names"].split(", ") if len(re.findall(rf"\b{name.split()[-1]}\b", shown)) > 1]
    return f"from {parts['module']} import {', '.join(names)}" if names else None


def is_bare(lines: list[str]) -> bool:
    """Whether nothing is left of a cell but its title."""
    return all(not line.strip() or CELL.match(line) for line in lines)
