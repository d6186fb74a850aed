"""One function back to the way it was handed out; what stood there is kept in a backup."""

from __future__ import annotations

import ast
import codecs
import re
import shutil
import time
import zipfile
from pathlib import Path

from grader.assignment import REPO_ROOT, Exercise
from grader.errors import GraderError
from grader.submission.syntax import found

ORIGINALS = "originals.zip"
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # as Python counts them, with their ends


class CannotReset(GraderError):
    """Nothing was changed; the message says why."""


def reset(exercise: Exercise, folder: Path, lecture: str) -> Path:
    """Put the original of one function into the student's module and return the backup.

    Raises: `CannotReset`.
    """
    path = folder / f"{exercise.topic}.py"
    original = _original(lecture, exercise.topic, path)
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
        mine = _span(text, exercise.function)
    except FileNotFoundError:
        raise CannotReset(f"{path} is not there") from None
    except OSError as error:
        raise CannotReset(f"{path} cannot be read: {error.strerror or error}") from None
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise CannotReset(f"{path} cannot be read as Python ({error}). Take the whole file from {path.stem}.py in the kit.") from None
    theirs = _span(original, exercise.function)
    if mine is None or theirs is None:
        raise CannotReset(f"{path} has no {exercise.function} any more: there is nothing to put the original in the place of")
    backup = path.with_name(f"{path.stem}.{time.strftime('%Y%m%d-%H%M%S')}.bak")
    lines = LINE.findall(text)
    end = next((line[len(line.rstrip("\r\n")) :] for line in lines), "") or "\n"
    fresh = [line.rstrip("\r\n") + end for line in LINE.findall(original)[theirs[0] : theirs[1]]]
    mark = content[: len(codecs.BOM_UTF8)] if content.startswith(codecs.BOM_UTF8) else b""
    try:
        shutil.copy2(path, backup)
        path.write_bytes(mark + "".join([*lines[: mine[0]], *fresh, *lines[mine[1] :]]).encode())
    except OSError as error:
        raise CannotReset(f"{error.filename or path} cannot be written: {error.strerror or error}") from None
    return backup


def _original(lecture: str, topic: str, work: Path) -> str:
    """The module as it was handed out: kept by the release, or in a checkout the stub, unless that is the work itself."""
    stubs = REPO_ROOT / "assignments" / lecture
    if (stubs / ORIGINALS).exists():
        with zipfile.ZipFile(stubs / ORIGINALS) as archive:
            return archive.read(f"{topic}.py").decode("utf-8")
    stub = stubs / f"{topic}.py"
    if stub.exists() and stub.resolve() != work.resolve():
        return stub.read_text("utf-8")
    raise CannotReset(f"{stubs / ORIGINALS} is missing: unpack the kit again to get the originals")


def _span(text: str, function: str) -> tuple[int, int] | None:
    """First and last line of a function or method, its decorators included; the last of that name counts."""
    node = found(ast.parse(text).body, function)
    if node is None or node.end_lineno is None:
        return None
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1, node.end_lineno
