"""A source without the exercises that assignment.toml switches off."""

from __future__ import annotations

import re
from collections.abc import Collection

from grader.authoring.build.source import MARKER, Source, SourceError, parse
from grader.authoring.build.stub import split_cells

SHOWN = re.compile(r'# show\("(?P<name>[\w.]+)"\)')
TAGS = re.compile(r"# %%.*\btags=\[(?P<tags>[^\]]*)\]")


def without(source: Source, functions: Collection[str]) -> Source:
    """The source without the cells that define these functions, show them, or are tagged with their names.

    Raises: ``SourceError`` if such a cell also defines a function that stays.
    """
    kept = [cell for cell in split_cells(source.text.splitlines()) if not _goes(cell, functions, source)]
    return parse(source.path, "\n".join(line for cell in kept for line in cell) + "\n") if functions else source


def _goes(cell: list[str], functions: Collection[str], source: Source) -> bool:
    markers = filter(None, map(MARKER.fullmatch, cell))
    defined = {marker["name"] for marker in markers if marker["indent"]}
    if defined & set(functions) and not defined <= set(functions):
        raise SourceError(f"{source.path}:1: {', '.join(sorted(defined))} share a cell: switch off all of them or none")
    shown = {match["name"] for match in map(SHOWN.match, cell) if match}
    tagged = TAGS.match(cell[0])
    tags = set(re.findall(r'"([^"]*)"', tagged["tags"])) if tagged else set()
    return not set(functions).isdisjoint(defined | shown | tags)
