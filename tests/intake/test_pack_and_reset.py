"""Packing refuses nothing silently, and putting a function back touches nothing else: not a line end, not a mark at the start."""

from __future__ import annotations

import codecs
import os
import zipfile
from pathlib import Path

import pytest

from grader.assignment import load
from grader.practice import reset as resetting
from grader.practice.pack import CannotPack, Packed, pack
from grader.practice.progress import Progress, save
from grader.practice.reset import CannotReset, reset
from grader.practice.work import NoWorkFound, read_work
from tests.intake.making import LECTURE, STUBS, exercise, flows, lay, notebook, work

ORIGINAL = 'import math\n\n\n@marked\ndef planar(x):\n    """As handed out."""\n    raise NotImplementedError("planar")\n'
needs_other_user = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")


def packed(folder: Path, target: Path) -> Packed:
    return pack(folder, LECTURE, target)


def test_what_is_not_written_and_what_failed_is_listed_and_the_zip_is_written(tmp_path: Path) -> None:
    folder = lay(tmp_path / "work", {"flows.py": flows(log_prob=""), "own.py": "x = 1\n", "handin.zip": b"PK"})
    save(Progress(states={"flows.planar": "failed", "vaes.elbo": "passed"}), folder)
    done = packed(folder, tmp_path / "x.zip")
    assert done.files == ["flows.py"]
    assert done.remarks == [
        "flows: not written yet: log_prob", "vaes: nothing of it is here", "not right when last checked: planar", "never checked: radial",
    ]  # fmt: skip


def test_the_zip_holds_the_files_that_are_checked_where_they_are_and_as_old_as_they_are(tmp_path: Path) -> None:
    files = {"Copy of flows.ipynb": notebook("from lib.ops import planar\n" + flows(planar="").replace("def planar", "def _")),
             "flows.py": STUBS, "lib/ops.py": work("planar", "x"), "lib/more.py": "y = 1\n", "diary.py": "secret = 1\n"}  # fmt: skip
    folder = lay(tmp_path / "work", files, {"lib/ops.py": 5})
    one, two = packed(folder, tmp_path / "one.zip"), packed(folder, tmp_path / "two.zip")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.files == ["Copy of flows.ipynb", "lib/more.py", "lib/ops.py"]
    with zipfile.ZipFile(one.path) as archive:
        moments = {entry.filename: entry.date_time for entry in archive.infolist()}
    assert moments["lib/ops.py"] > moments["lib/more.py"] > moments["manifest.json"]


@pytest.mark.parametrize("target", ["no/such/x.zip", ".", "work"])
def test_a_place_where_nothing_can_be_written_is_a_sentence(tmp_path: Path, target: str) -> None:
    folder = lay(tmp_path / "work", {"flows.py": flows()})
    with pytest.raises(CannotPack, match="cannot be written: .*; choose another place with -o"):
        packed(folder, tmp_path / target)


def test_a_folder_without_work_is_a_sentence(tmp_path: Path) -> None:
    lay(tmp_path / "kit/assignments/lecture9", {"flows.py": flows()})
    for folder in (tmp_path / "nowhere", tmp_path, tmp_path / "kit"):
        with pytest.raises(NoWorkFound, match="name the right folder with --folder"):
            read_work(LECTURE, folder)


def test_work_that_cannot_be_read_is_not_missing_without_a_word(tmp_path: Path) -> None:
    lay(tmp_path, {"flows.ipynb": "<!DOCTYPE html>", "vaes.py": b"\0"})
    with pytest.raises(NoWorkFound, match=r"(?s)no modules.*flows.ipynb is no notebook: .*vaes.py is no text"):
        read_work(LECTURE, tmp_path)


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resetting, "_original", lambda *_: ORIGINAL)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_reset_keeps_line_ends_and_the_mark(tmp_path: Path, original: None, end: str, mark: bytes) -> None:
    before, after = f"# Müller{end}x = '\u2028\x0c'{end}", f"{end}y = 1  # no end"
    mine = before + f"def planar(x):{end}    return 1{end}" + after
    path = lay(tmp_path, {"flows.py": mark + mine.encode()}) / "flows.py"
    backup = reset(exercise("flows.planar"), tmp_path, "lecture9")
    theirs = "".join(line + end for line in ORIGINAL.split("\n")[3:-1])
    assert path.read_bytes() == mark + (before + theirs + after).encode()
    assert backup.read_bytes() == mark + mine.encode()


@pytest.mark.parametrize("content", [None, b"def planar(x)\n", b"\xff\xfe", b"x = 1\n", b"def planar(x): return '\0'\n"])
def test_what_cannot_be_put_back_is_a_sentence_and_stays(tmp_path: Path, original: None, content: bytes | None) -> None:
    lay(tmp_path, {"flows.py": content} if content is not None else {})
    with pytest.raises(CannotReset):
        reset(exercise("flows.planar"), tmp_path, "lecture9")
    assert content is None or (tmp_path / "flows.py").read_bytes() == content


@needs_other_user
def test_a_folder_that_must_not_be_written_is_a_sentence(tmp_path: Path, original: None) -> None:
    lay(tmp_path / "work", {"flows.py": flows()})
    (tmp_path / "work").chmod(0o555)
    with pytest.raises(CannotReset, match="cannot be written"):
        reset(exercise("flows.planar"), tmp_path / "work", "lecture9")


def test_the_kits_own_folder_is_all_stubs() -> None:
    lecture = load("lecture1")
    submission = read_work(lecture, Path(__file__).parents[2] / "assignments/lecture1")
    assert submission.written == ()
    assert submission.problems == ()
    assert set(submission.topics) == set(lecture.topics)
