"""The code cells of a notebook, as Python."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from grader.submission.files import Unreadable

MAGICS_AROUND_PYTHON = {"capture", "memit", "prun", "time", "timeit"}  # below any other ``%%magic`` stands no Python
MAGIC = re.compile(r"[%!?]|[\w.,][\w., ]*=\s*(?:!|%[a-z])|[\w.]+\?{1,2}\s*$")
KIT = re.compile(  # our own cells: nothing to grade, and pictures take seconds to draw
    r"from grader\.(?:practice\.)?notebook import checker\b|check = checker\(|show = painter\(|(check|show)\([^()]*\)\s*(#|$)"
)
OUTSIDE_STRINGS = re.compile(r"""#|\"{3}|'{3}|["'(\[{)\]}]""")
TO_THE_END_OF = {quote: re.compile(rf"(?:\\.|[^\\])*?{quote}") for quote in ('"', "'", '"""', "'''")}


def code_cells(name: str, content: bytes) -> list[str]:
    """The sources of the code cells; magics and calls of the kit become ``pass``, so that lines keep their numbers.

    Raises: ``Unreadable`` if this is no notebook.
    """
    try:
        cells = list(_sources(json.loads(content.decode("utf-8-sig"))))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(f"{name} is no notebook: {type(error).__name__}: {str(error)[:200]}") from None
    return [_without_magics(cell) for cell in cells]


def _sources(notebook: dict[str, Any]) -> Iterator[str]:
    sheets = notebook.get("worksheets", [notebook])  # sheets are of format 3, before 2015
    for sheet in sheets:
        for cell in sheet["cells"]:
            if cell["cell_type"] == "code":
                source = cell["source"] if "source" in cell else cell["input"]
                text = "".join(source if isinstance(source, list) else [source])
                yield text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")  # JSON allows half characters


def _without_magics(cell: str) -> str:
    lines = cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        if (lines[first][2:].split() or [""])[0] not in MAGICS_AROUND_PYTHON:
            return ""
        lines[first] = "pass"
    quote, depth, continued = "", 0, False  # what the line before left open
    for number, line in enumerate(lines):
        code = line.lstrip()
        if not (quote or depth or continued) and (MAGIC.match(code) or KIT.match(line)):
            lines[number] = line[: len(line) - len(code)] + "pass"
        else:
            quote, depth = _left_open(line, quote, depth)
            continued = not quote and line.endswith("\\")
    return "\n".join(lines)


def _left_open(line: str, quote: str, depth: int) -> tuple[str, int]:
    """The triple quote and the number of brackets that are open after a line."""
    position = 0
    while True:
        if quote:
            end = TO_THE_END_OF[quote].match(line, position)
            if end is None:
                return (quote if len(quote) == 3 else ""), depth
            position, quote = end.end(), ""
        found = OUTSIDE_STRINGS.search(line, position)
        if found is None or found[0] == "#":
            return "", depth
        position = found.end()
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth = max(depth - 1, 0)
        else:
            quote = found[0]
