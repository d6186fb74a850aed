"""What lies in a folder or an archive: names first, contents on request, all of it bounded, nothing unpacked to disk.

A file that must not be read, or a whole archive that cannot be, stands in the list like any other; who asks for its
content is told why. So nobody is missing from a class because of what they handed in.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

WANTED = {".py": 2 << 20, ".ipynb": 32 << 20, ".zip": 64 << 20}  # the most bytes that one file may have
OTHER_ARCHIVES = {".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"}
SKIPPED = {"__MACOSX", "__pycache__", "venv", "env", "site-packages", "node_modules"}  # and all that begins with a dot
MOST_ENTRIES = 100_000  # of one archive
DEEPEST = 12  # folders within folders

Archive = Path | bytes  # where it lies, or its content


class Unreadable(Exception):
    """A file that gives nothing to grade; the message is a sentence for its reader."""


@dataclass(frozen=True)
class File:
    """One file, not read yet: its name with ``/`` between folders, and how to get its first so many bytes."""

    name: str
    read: Callable[[int], bytes]
    refusal: str | None = None  # why it must not be read

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.name)[1].lower()

    @property
    def stem(self) -> str:
        return os.path.splitext(self.name.rsplit("/", 1)[-1])[0]

    @property
    def matters(self) -> bool:
        """Whether it can hold a student's work, or deserves a sentence because it cannot be opened."""
        return self.suffix in WANTED or self.suffix in OTHER_ARCHIVES

    def content(self) -> bytes:
        """All bytes. Raises: ``Unreadable``, whatever is wrong with the file."""
        if self.refusal:
            raise Unreadable(f"{self.name[:200]} was not read: {self.refusal}")
        if self.suffix not in WANTED:
            raise Unreadable(f"{self.name[:200]} was not read: hand in a .zip, a module or a notebook")
        most = WANTED[self.suffix]
        try:
            content = self.read(most + 1)
        except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise Unreadable(f"{self.name[:200]} cannot be read: {error}") from None
        if len(content) > most:
            raise Unreadable(f"{self.name[:200]} was not read: it is larger than {most >> 20} MiB")
        return content


def listing(path: Path) -> list[File]:
    """The files in a folder or a zip, or the file itself."""
    if path.is_dir() and not path.is_symlink():
        return list(_in_folder(path))
    file = File(path.name, _reader(path), _link_or_device(path))
    return in_archive(file, path) if file.suffix == ".zip" and not file.refusal else [file]


def in_archive(file: File, archive: Archive) -> list[File]:
    """The files in a zip."""
    try:
        with _opened(archive) as opened:
            entries = opened.infolist()
    except (OSError, EOFError, ValueError, IndexError, NotImplementedError, zipfile.BadZipFile) as error:
        return [File(file.name, file.read, f"it is no readable zip archive ({error})")]
    if len(entries) > MOST_ENTRIES:
        return [File(file.name, file.read, f"it has {len(entries)} entries, more than {MOST_ENTRIES}")]
    named = [(_entry_name(entry), entry) for entry in entries]
    return [
        File(name.removeprefix("./"), _entry_reader(archive, entry), _refusal(name, entry))
        for name, entry in named
        if not name.endswith("/") and not any(map(is_skipped, name.split("/")))
    ]


def _in_folder(folder: Path) -> Iterator[File]:
    for here, folders, names in os.walk(folder):
        inside = Path(here).relative_to(folder)
        too_deep = f"it is nested deeper than {DEEPEST} folders" if len(inside.parts) > DEEPEST else None
        folders[:] = [] if too_deep else sorted(name for name in folders if not is_skipped(name))
        for name in sorted(name for name in names if not is_skipped(name)):
            path = Path(here) / name
            yield File((inside / name).as_posix(), _reader(path), too_deep or _link_or_device(path))


def is_skipped(part: str) -> bool:
    """Whether a folder or file of this name is never a student's work."""
    return part in SKIPPED or (part.startswith(".") and part not in (".", ".."))


def _link_or_device(path: Path) -> str | None:
    return None if stat.S_ISREG(os.lstat(path).st_mode) else "it is a link or a device, not a plain file"


def _refusal(name: str, entry: zipfile.ZipInfo) -> str | None:
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        return "its path leads out of the archive"
    if name.count("/") > DEEPEST:
        return f"it is nested deeper than {DEEPEST} folders"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "it is a link or a device, not a plain file"
    if entry.flag_bits & 1:
        return "it is encrypted; make the archive without a password"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is compressed in an unusual way; make an ordinary zip"
    return None


def _entry_name(entry: zipfile.ZipInfo) -> str:
    """The name with ``/`` between folders: macOS writes UTF-8 without saying so, Windows may write backslashes."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def _opened(archive: Archive) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive if isinstance(archive, Path) else io.BytesIO(archive))


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:
            return file.read(most)

    return read


def _entry_reader(archive: Archive, entry: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        with _opened(archive) as opened, opened.open(entry) as file:
            return file.read(most)  # one bounded read: the sizes that an archive declares are not believed

    return read
