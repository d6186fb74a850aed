"""From the source to what students start with: the same module without the solutions."""

from __future__ import annotations

import ast
import re

from grader.build.source import CELL, MARKER, Source, SourceError

ONLY_IN_NOTEBOOKS = re.compile(r"# %%.*\bactive-ipynb\b")  # the tag that keeps picture cells out of modules


def stub(source: Source) -> str:
    """The module as students receive it.

    A region inside a function becomes ``raise NotImplementedError("name")``; a region of helpers vanishes, and so do
    picture cells, which only run in notebooks. Everything else stays letter by letter.
    """
    cells = split_cells(source.text.splitlines())
    kept = [without_solutions(cell) for cell in cells if not ONLY_IN_NOTEBOOKS.match(cell[0])]
    text = "\n".join(line for cell in kept if not is_bare(cell) for line in cell).strip("\n") + "\n"
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise SourceError(f"{source.path}: without its regions this is not Python: {error}") from None
    return text


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


def is_bare(lines: list[str]) -> bool:
    """Whether nothing is left of a cell but its title."""
    return all(not line.strip() or CELL.match(line) for line in lines)
