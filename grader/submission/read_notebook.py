"""The code cells of a notebook, whatever format and encoding it has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from grader.submission.files import Unreadable


@dataclass(frozen=True)
class Notebook:
    """What of a notebook can be graded."""

    cells: list[str]  # the sources of the code cells
    python: tuple[int, ...]  # the version it was written for; empty where it says none
    remarks: list[str]


def parse_notebook(name: str, content: bytes) -> Notebook:
    """The notebook in these bytes. Raises: ``Unreadable`` if there is none."""
    try:
        text, remarks = _decoded(name, content)
        tree = json.loads(text)
        return Notebook(list(_sources(tree)), _python(tree), remarks)
    except MemoryError:
        raise Unreadable(f"{name} was not read: it takes too much memory") from None
    except RecursionError:
        raise Unreadable(f"{name} is no notebook: it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"{name} is no notebook: {type(error).__name__}: {str(error)[:200]}") from None
    except (TypeError, KeyError, AttributeError):
        raise Unreadable(f"{name} is no notebook: it is JSON, but not a list of cells with their sources") from None


def _decoded(name: str, content: bytes) -> tuple[str, list[str]]:
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding), [] if encoding.startswith("utf-8") else [_not_utf8(name, encoding)]
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace"), [_not_utf8(name, "Windows-1252")]


def _not_utf8(name: str, encoding: str) -> str:
    return f"{name} is not saved as UTF-8; it was read as {encoding}"


def _sources(notebook: dict[str, Any]) -> Iterator[str]:
    sheets = notebook.get("worksheets", [notebook])  # sheets are of format 3, before 2015
    for sheet in sheets:
        for cell in sheet["cells"]:
            if cell["cell_type"] == "code":
                source = cell["source"] if "source" in cell else cell["input"]
                text = "".join(source if isinstance(source, list) else [source])
                yield text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")  # JSON allows half characters


def _python(notebook: dict[str, Any]) -> tuple[int, ...]:
    try:
        version = notebook["metadata"]["language_info"]["version"].split(".")[:2]
        return tuple(int(part) for part in version if len(part) < 4)
    except (KeyError, TypeError, AttributeError, ValueError):
        return ()
