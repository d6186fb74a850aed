"""One function back to the way it was handed out; what stood there is kept in a backup."""

from __future__ import annotations

import ast
import shutil
import time
import zipfile
from pathlib import Path

from grader.assignment import REPO_ROOT, Exercise

ORIGINALS = "originals.zip"


class CannotReset(Exception):
    """Nothing was changed; the message says why."""


def reset(exercise: Exercise, folder: Path, lecture: str) -> Path:
    """Put the original of one function into the student's module and return the backup.

    Raises: `CannotReset`.
    """
    path = folder / f"{exercise.topic}.py"
    original = _original(lecture, exercise.topic)
    try:
        text = path.read_text(encoding="utf-8")
        mine = _span(text, exercise.function)
    except FileNotFoundError:
        raise CannotReset(f"{path} is not there") from None
    except (SyntaxError, UnicodeDecodeError) as error:
        raise CannotReset(
            f"{path} cannot be read as Python ({error}). Take the whole file from {path.stem}.py in the kit."
        ) from None
    theirs = _span(original, exercise.function)
    if mine is None or theirs is None:
        raise CannotReset(
            f"{path} has no {exercise.function} any more: there is nothing to put the original in the place of"
        )
    backup = path.with_name(f"{path.stem}.{time.strftime('%Y%m%d-%H%M%S')}.bak")
    shutil.copy2(path, backup)
    lines, fresh = text.splitlines(keepends=True), original.splitlines(keepends=True)
    path.write_text("".join([*lines[: mine[0]], *fresh[theirs[0] : theirs[1]], *lines[mine[1] :]]), encoding="utf-8")
    return backup


def _original(lecture: str, topic: str) -> str:
    """The module as it was handed out: kept by the release, or made from the solution where that is at hand."""
    kept = REPO_ROOT / "assignments" / lecture / ORIGINALS
    if kept.exists():
        with zipfile.ZipFile(kept) as archive:
            return archive.read(f"{topic}.py").decode("utf-8")
    source = REPO_ROOT / "solutions" / lecture / f"{topic}.py"
    if source.exists():
        from grader.authoring import build

        return build.stub(build.read(source))
    raise CannotReset(f"{kept} is missing: unpack the kit again to get the originals")


def _span(text: str, function: str) -> tuple[int, int] | None:
    """First and last line of a function or method, its decorators included; the last of that name counts."""
    body: list[ast.stmt] = ast.parse(text).body
    found: ast.stmt | None = None
    for name in function.split("."):
        named = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name]
        if not named:
            return None
        found = named[-1]
        body = found.body
    assert isinstance(found, ast.FunctionDef | ast.ClassDef)
    assert found.end_lineno is not None
    return min([found.lineno, *(decorator.lineno for decorator in found.decorator_list)]) - 1, found.end_lineno
