"""Which assignment a command means: the one named, else the only one, else the one that everything at hand points to."""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from grader import assignment as assignments
from grader.assignment import Assignment
from grader.practice.names import UnknownName, select
from grader.renderings.terminal import SafeConsole

LOOKED_AT = 2000  # names of files, and entries of one archive, from which an assignment is recognised
SMALL_ARCHIVE = 1 << 20  # bytes


def _complete(incomplete: str) -> list[str]:
    return [name for name in assignments.offered() if name.startswith(incomplete)]


AssignmentName = Annotated[
    str | None,
    typer.Option("--assignment", "-a", help="Which assignment, where there are several.", show_default=False, autocompletion=_complete),
]


def chosen(named: str | None, names: Sequence[str] = (), folder: Path | None = None, handed_in: Path | None = None) -> str:
    """The assignment `named`; without a name the only one, the one whose folder this is (`folder`, or where one stands),
    that of the exercises `names`, or that whose topics the files in `folder` or `handed_in` are called by. Else the command
    ends with the choices."""
    known = assignments.offered()
    if named is not None and named not in known:
        stop(f"there is no assignment {named!r}: {_listed(known)}")
    if named is not None or len(known) == 1:
        return named or known[0]
    for part in reversed((folder or Path()).resolve().parts):
        if part in known:
            return part
    meant, unknown = [], []
    for name in known if names else ():
        try:
            select(assignments.load(name), names)
            meant.append(name)
        except UnknownName as error:
            unknown.append(str(error))
    if len(meant) == 1:
        return meant[0]
    work = handed_in or folder
    if work is not None:
        of_each = [str(work / name) for name in known if (work / name).is_dir()]
        if len(of_each) > 1:
            stop(f"which assignment? There is a folder for each: name {' or '.join(of_each)}")
        ranked = _recognised(work, known).most_common(2)
        if ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1]):
            return ranked[0][0]
    if unknown and not meant:  # of the sentences, the one that suggests a name
        stop(max(unknown, key=lambda said: "Did you mean" in said))
    return stop(f"which assignment? {_listed(known)}")


def at_work(named: str | None, names: Sequence[str], folder: Path | None) -> tuple[Assignment, Path]:
    """The assignment `chosen`, and where a student works on it: the folder named, the one where one stands, or that of the kit."""
    assignment = assignments.load(chosen(named, names, folder))
    if not assignment.exercises:
        stop(f"{assignment.name} has no exercises yet")
    here = Path().resolve().name == assignment.name
    return assignment, folder or (Path() if here else Path("assignments") / assignment.name)


def stop(reason: object) -> NoReturn:
    """End the command with a sentence."""
    SafeConsole().print(str(reason), style="red", soft_wrap=True)
    raise typer.Exit(2)


def _listed(known: Sequence[str]) -> str:
    return f"say --assignment with one of {', '.join(known)}" if known else "the folder assignments/ is empty"


def _recognised(path: Path, known: Sequence[str]) -> Counter[str]:
    """How many files are called by a topic of each assignment, or by the assignment."""
    words = {name: "|".join(map(re.escape, (name, *assignments.load(name).topics))) for name in known}
    patterns = {name: re.compile(rf"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])") for name, pattern in words.items()}
    return Counter(name for file in _file_names(path) for name in known if patterns[name].search(file))


def _file_names(path: Path) -> Iterator[str]:
    looked_at = 0
    for folder, folders, files in os.walk(path) if path.is_dir() else [(str(path.parent), [], [path.name])]:
        folders.sort()
        for file in sorted(files):
            looked_at += 1
            if looked_at > LOOKED_AT:
                return
            yield file
            yield from _inside(Path(folder, file))


def _inside(path: Path) -> Sequence[str]:
    """The names of files in a small archive."""
    try:
        if path.suffix.lower() != ".zip" or not path.is_file() or path.stat().st_size > SMALL_ARCHIVE:  # a pipe would be waited for
            return []
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()[:LOOKED_AT]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        return []  # what it is will be said when it is graded


def listed(names: Sequence[str]) -> str:
    """The first of many names."""
    return f"{', '.join(names[:10])}{' …' if len(names) > 10 else ''}"
