"""The files in a zip: opened once, its table of contents bounded before it is read, nothing unpacked to disk."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import stat
import time
import zipfile
from pathlib import Path
from typing import Any

from grader.submission.files import DEEPEST, LONGEST_NAME, MAX_ENTRIES, File, clean, is_skipped, printable

MAX_CONTENTS = 16 << 20  # bytes of the table of contents: 100,000 entries have names of 100 characters


def in_archive(file: File, archive: Path | bytes) -> list[File]:
    """The files in a zip, which lies somewhere or is already here; of a broken one the zip itself, refused."""
    try:
        opened = _opened(archive)
    except _TooMuch as error:
        return [File(file.name, file.read, str(error))]
    except Exception as error:  # the table of contents is the student's: anything may be wrong with it
        reason = printable(str(error) or type(error).__name__)
        return [File(file.name, file.read, f"it is no readable zip archive ({reason})")]
    named = {_name(entry): entry for entry in opened.infolist()}  # of two of one name the later one, as when it is unpacked
    return [
        File(clean(name), functools.partial(_read, opened, entry), _refusal(name, entry), _modified(entry), name)
        for name, entry in named.items()
        if name.rpartition("/")[2] and not any(map(is_skipped, name.split("/")))
    ]


class _TooMuch(Exception):
    """The archive has too many entries to look at them."""


def _opened(archive: Path | bytes) -> zipfile.ZipFile:
    raw: Any = io.BytesIO(archive) if isinstance(archive, bytes) else _opened_for_all(archive)
    end: Any = zipfile._EndRecData(raw)  # type: ignore[attr-defined]  # what ZipFile itself reads first
    if end is not None and (end[4] > MAX_ENTRIES or end[5] > MAX_CONTENTS):
        raise _TooMuch(f"it has more than {MAX_ENTRIES} entries")
    return zipfile.ZipFile(raw)


def _name(entry: zipfile.ZipInfo) -> str:
    """The name with ``/`` between folders: macOS writes UTF-8 without saying so, Windows may write backslashes."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/").removeprefix("./")


def _refusal(name: str, entry: zipfile.ZipInfo) -> str | None:
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        return "its path leads out of the archive"
    if name.count("/") > DEEPEST:
        return f"it is nested deeper than {DEEPEST} folders"
    if len(name) > LONGEST_NAME:
        return "its name is too long"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "it is a link or a device, not a plain file"
    if entry.flag_bits & 1:
        return "it is encrypted; make the archive without a password"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "it is compressed in an unusual way; make an ordinary zip"
    return None


def _modified(entry: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*entry.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0


def _read(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    with opened.open(entry) as file:
        return file.read(most)  # one bounded read: the sizes that an archive declares are not believed


def _opened_for_all(path: Path) -> io.RawIOBase | io.BufferedReader:
    return _Positioned(path) if hasattr(os, "pread") else open(path, "rb")


class _Positioned(io.RawIOBase):
    """A file with a position of its own in every process: graders are forked, and read one download side by side."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  # open as long as the archive is
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = (0, self._position, os.fstat(self._file.fileno()).st_size)[whence]
        if start + offset < 0:
            raise OSError("before the start")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._file.fileno(), len(buffer), self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
