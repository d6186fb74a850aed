"""Which submissions lie in a folder, in a bulk download or in a single file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from grader.assignment import Assignment
from grader.submission import names
from grader.submission.archive import in_archive
from grader.submission.files import File, Folder, clean, file_at, is_skipped
from grader.submission.layout import DOWNLOAD, METADATA, Entry, HandedIn, Layout, decide, is_nobody, sort_out
from grader.submission.topics import is_plain

SAID: dict[Layout, str] = {"canvas": "Canvas download", "moodle": "Moodle download", "gradescope": "Gradescope download",
                           "nbgrader": "nbgrader's submitted folder"}  # fmt: skip


class Found(list[HandedIn]):
    """Submissions in the order of their names, and what kind of folder or download they were found in."""

    said: str = ""


def find(path: Path, assignment: Assignment, layout: Layout = "auto") -> Found:
    """The submissions at ``path``. What kind of folder or download it is, ``decide`` finds from its entries' names.

    Raises: ``FileNotFoundError`` if there is no such path.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    path = path.resolve()
    entries = _entries(path, layout, assignment)
    if layout == "auto":
        kind = decide(entries, assignment, surely=path.is_file())
        if kind == "class" and len(entries) == 1:
            inside = path / entries[0].name
            is_download = DOWNLOAD.fullmatch(inside.stem.lower().split(" (")[0]) and not inside.is_symlink()
            below = _entries(inside, layout, assignment) if is_download else []
            within = decide(below, assignment, surely=True)
            if within in SAID:
                kind, entries = within, below
    else:
        kind = layout
    if kind == "one" or (path.is_file() and not entries):
        return _found([_whole(path)], "1 submission")
    return _sorted_out(entries, kind, assignment)


def _sorted_out(entries: list[Entry], kind: Layout, assignment: Assignment) -> Found:
    metadata = next((entry.content for entry in entries if entry.name == METADATA), None)
    somebody = [entry for entry in entries if not is_nobody(entry, assignment)]
    owned = sort_out(somebody, kind, assignment, metadata if isinstance(metadata, File) else None)
    count = len(owned)
    one_each = f"{count} submissions, one for each entry" if count != 1 else "1 submission"
    said = f"{SAID[kind]}, {count} student{'s' * (count != 1)}" if kind in SAID else one_each
    left_out = [entry.name for entry in entries if is_nobody(entry, assignment) and entry.name != METADATA]
    return _found(owned, said + (f" (left out: {', '.join(left_out[:5])})" if left_out else ""))


def lone(path: Path) -> HandedIn:
    """What lies at a path, as one submission whatever it is. Raises: ``FileNotFoundError``."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    path = path.resolve()
    return _found([_whole(path)], "")[0]


def _found(owned: Iterable[HandedIn], said: str) -> Found:
    given = sorted(owned, key=lambda one: clean(one.name))
    found = Found()
    found.said = said
    for name, one in zip(names.made_from([one.name for one in given]), given, strict=True):
        as_it_came = clean(one.name)
        found.append(replace(one, name=name, handed_in_as=as_it_came if as_it_came != name else ""))
    return found


def _whole(path: Path) -> HandedIn:
    """All that lies at a path."""
    if path.is_dir():
        return HandedIn(path.name, (Folder(path),))
    file = file_at(path, path.name)
    return HandedIn(file.stem, (file,))


def _entries(path: Path, layout: Layout, assignment: Assignment) -> list[Entry]:
    """What lies at the top of a folder or a zip; nothing where that is no matter, since it is one submission."""
    if path.is_dir():
        return [_entry(entry) for entry in sorted(path.iterdir()) if not is_skipped(entry.name)]
    file = file_at(path, path.name)
    is_packed = any(is_plain(file.stem, name) for name in (assignment.name, *assignment.topics))  # as `dgm pack` calls a zip
    if file.suffix != ".zip" or (layout == "auto" and is_packed):
        return []
    files = in_archive(file, path)
    if len(files) == 1 and files[0].why_not and files[0].name == file.name:
        return []
    tops = {file.given.split("/")[0] for file in files}
    if len(tops) == 1 and all("/" in file.name for file in files) and "_assignsubmission_" not in "".join(tops):
        files = [replace(file, name=file.name.split("/", 1)[1], given=file.given.split("/", 1)[1]) for file in files]
    return _grouped(files)


def _entry(path: Path) -> Entry:
    name = clean(path.name)
    return Entry(name, Folder(path) if not path.is_symlink() and path.is_dir() else file_at(path, path.name))


def _grouped(files: list[File]) -> list[Entry]:
    """The files of a zip by the folder at the top in which they lie, as it is written: folders of two students may look alike."""
    loose = [Entry(file.name, file) for file in files if "/" not in file.name]
    folders: dict[str, list[File]] = {}
    for file in files:
        if "/" in file.name:
            folders.setdefault(file.given.split("/")[0], []).append(replace(file, name=file.name.split("/", 1)[1]))
    return [*loose, *(Entry(clean(name), tuple(inside)) for name, inside in folders.items())]
