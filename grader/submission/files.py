"""What a student's folder holds: names first, contents on request, all of it bounded, nothing executed.

A file that must not be read stands in the list like any other; who asks for its content is told why. So nobody is
missing from a class because of what they handed in.
"""

from __future__ import annotations

import functools
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

WANTED = {".py": 2 << 20, ".ipynb": 32 << 20, ".zip": 64 << 20}  # the most bytes that one file may have
OTHER_ARCHIVES = {".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"}
SKIPPED = {"__MACOSX", "__pycache__", "venv", "env", "site-packages", "node_modules"}  # and all that begins with a dot
MAX_ENTRIES = 100_000  # of one folder with all that is in it
DEEPEST = 12  # folders within folders
LONGEST_NAME = 1_000  # characters of a path
SHOWN = 120  # characters of a name in a sentence


class Unreadable(Exception):
    """A file that gives nothing to grade; the message is a sentence for its reader."""


@dataclass(frozen=True)
class File:
    """One file, not read yet: its name with ``/`` between folders, and how to get its first so many bytes."""

    name: str
    read: Callable[[int], bytes]
    why_not: str | None = None  # why it must not be read
    modified: float = 0.0  # seconds; 0 where nobody knows
    given: str = ""  # its name as an archive has it: those of two students may look alike

    @functools.cached_property
    def suffix(self) -> str:
        """``.ipynb`` also of ``histogram.ipynb.txt``, which browsers make of a download."""
        rest, last = os.path.splitext(self.name.lower())
        inner = os.path.splitext(rest)[1]
        return inner if last in (".txt", ".json") and inner in (".py", ".ipynb") else last

    @functools.cached_property
    def stem(self) -> str:
        name = self.name.rsplit("/", 1)[-1]
        place = name.lower().rfind(self.suffix) if self.suffix else -1
        return name[:place] if place > 0 else name

    @property
    def shown(self) -> str:
        """The name in a sentence."""
        return printable(self.name)

    @property
    def matters(self) -> bool:
        """Whether it can hold a student's work, or deserves a sentence because it cannot be opened."""
        return self.suffix in WANTED or self.suffix in OTHER_ARCHIVES

    def content(self) -> bytes:
        """All bytes. Raises: ``Unreadable``, whatever is wrong with the file."""
        if self.why_not:
            raise Unreadable(f"{self.shown} was not read: {self.why_not}")
        if self.suffix not in WANTED:
            raise Unreadable(f"{self.shown} was not read: hand in a .zip, a module or a notebook")
        most = WANTED[self.suffix]
        try:
            content = self.read(most + 1)
        except Exception as error:  # whatever an archive's bytes can make a decoder say
            raise Unreadable(f"{self.shown} cannot be read: {printable(str(error) or type(error).__name__)}") from None
        if len(content) > most:
            raise Unreadable(f"{self.shown} was not read: it is larger than {most >> 20} MiB")
        return content


@dataclass(frozen=True)
class Folder:
    """A folder that is looked into when its submission is read."""

    path: Path

    def files(self) -> Iterator[File]:
        """The files in it and below."""
        entries = 0
        closed: list[OSError] = []
        for here, folders, names in os.walk(self.path, onerror=closed.append):
            inside = Path(here).relative_to(self.path)
            entries += len(names) + len(folders)
            if entries > MAX_ENTRIES:
                why_not = f"the folder has more than {MAX_ENTRIES} entries"
                yield File((inside / "….zip").as_posix(), bytes, why_not)
                return
            too_deep = f"it is nested deeper than {DEEPEST} folders" if len(inside.parts) > DEEPEST else None
            if too_deep and folders:
                yield File((inside / "….zip").as_posix(), bytes, too_deep)
            folders[:] = [] if too_deep else sorted(name for name in folders if not is_skipped(name))
            for name in sorted(name for name in names if not is_skipped(name)):
                yield file_at(Path(here) / name, (inside / name).as_posix(), too_deep)
        for error in closed:
            inside = Path(error.filename).relative_to(self.path)
            yield File((inside / "….zip").as_posix(), bytes, f"the folder cannot be opened ({error.strerror})")


def file_at(path: Path, name: str, why_not: str | None = None) -> File:
    """The file there, under a name of its own; links and devices are refused."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return File(clean(name), bytes, f"it cannot be opened ({error.strerror})")
    plain = stat.S_ISREG(status.st_mode)
    why_not = why_not or (None if plain else "it is a link or a device, not a plain file")
    return File(clean(name), functools.partial(_read, path), why_not, status.st_mtime)


def is_skipped(part: str) -> bool:
    """Whether a folder or file of this name is never a student's work."""
    return part in SKIPPED or (part.startswith(".") and part not in (".", ".."))


def clean(name: str) -> str:
    """The name as text that any record and any terminal can hold: macOS' letters composed, nothing that is not shown."""
    name = unicodedata.normalize("NFC", name[:LONGEST_NAME])
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)


def printable(text: str, most: int = SHOWN) -> str:
    """Words of a student in a sentence of ours: one line, shown as it is, not too long."""
    text = clean(text)
    return text if len(text) <= most else f"{text[: most - 21]}…{text[-20:]}"


def _read(path: Path, most: int) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        return file.read(most)
