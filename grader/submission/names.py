"""Names of results: made from what was handed in, never taken. Short, safe on any file system, and unique."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence

MAX_BYTES = 80  # of a name; a folder's may have 255, and ours get endings
DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
OURS = {"report_students"}  # a folder beside the results; all our files have an ending, which names made here never have
ENDINGS = {".csv", ".jsonl", ".json", ".xml", ".html", ".log", ".txt", ".lock", ".md", ".pdf", ".py", ".ipynb", ".zip"}


def made_from(given: Sequence[str]) -> list[str]:
    """A name for each of the given ones, in their order; equal ones (also for a file system) get numbers."""
    taken: set[str] = set()
    names = []
    for one in given:
        name = base = _safe(one)
        number = 1
        while _alike(name) in taken:
            number += 1
            name = f"{base} ({number})"
        taken.add(_alike(name))
        names.append(name)
    return names


def _safe(given: str) -> str:
    name = unicodedata.normalize("NFKC", given[:1000])
    name = "".join(one if unicodedata.category(one)[0] in "LMN" or one in " -_.()" else "_" for one in name)
    name = re.sub(r"_{3,}", "__", name).lstrip(" .-").rstrip(" .")
    while len(name.encode()) > MAX_BYTES:
        name = name[: -max(1, (len(name.encode()) - MAX_BYTES) // 4)].rstrip(" .")
    root, ending = os.path.splitext(name)
    if ending.lower() in ENDINGS:
        name = f"{root}_{ending[1:]}"
    if name.lower() in OURS or name.lower().split(".")[0].strip() in DEVICES:
        name = f"_{name}"
    return name if any(one.isalnum() for one in name) else "submission"


def _alike(name: str) -> str:
    return unicodedata.normalize("NFKD", name).casefold()
