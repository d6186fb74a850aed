"""What one submission may cost before it reaches a worker: each input here is small, and each was a way to stop a class."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import time
import zipfile
from pathlib import Path

import msgspec
import pytest

from grader.submission import apart, find, lone, read_apart
from grader.submission.read import Submission
from tests.intake.making import FLOWS, LECTURE, answers, flows, lay, notebook, of_class, work, zipped

MAX_CPU = 6.0  # seconds of processor time, also on a slow machine; each of these took minutes or more
RIGHT = dict.fromkeys(FLOWS, "right")


def empty_lines(cells: int = 1) -> bytes:
    """A notebook of 30 MB of empty lines, 29 KB in a zip."""
    return notebook(*["\n" * (15_000_000 // cells)] * cells)


def one_line_cells() -> bytes:
    cells = ", ".join(['{"cell_type": "code", "source": "x=1"}'] * 200_000)
    return f'{{"cells": [{cells}]}}'.encode()


def many_entries(number: int) -> bytes:
    """A zip whose entries are all one and the same."""
    content = zipped({"a.txt": b""})
    start = content.index(b"PK\1\2")
    entry = content[start : content.index(b"PK\5\6")]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number & 0xFFFF, number & 0xFFFF, len(entry) * number & 0xFFFFFFFF, start, 0)
    return content[:start] + entry * number + end


def zip64_overflow() -> bytes:
    content = bytearray(zipped({"flows.py": flows()}))
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    content[start + 42 : start + 46] = b"\xff" * 4  # the offset is in the extra field
    name = struct.unpack_from("<H", content, start + 28)[0]
    extra = struct.pack("<HHQ", 1, 8, (1 << 63) + 5)
    content[start + 30 : start + 32] = struct.pack("<H", len(extra))
    content[start + 46 + name : start + 46 + name] = extra
    moved = end + len(extra)
    content[moved + 12 : moved + 16] = struct.pack("<L", moved - start)
    return bytes(content)


def same_file_often(times: int) -> bytes:
    """Entries that all lie on the same compressed megabytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a000.py", "x = 1\n" * 300_000)
    content = stream.getvalue()
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"a000.py", f"a{n:03}.py".encode()) for n in range(times))
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, times, times, len(entries), start, 0)
    return content[:start] + entries + tail


def nested(depth: int) -> bytes:
    content = zipped({"flows.py": flows()})
    for _ in range(depth):
        content = zipped({f"{n}.zip": content for n in range(8)})
    return content


HOSTILE = {  # the large ones are made when they are needed
    "two million empty lines": {"flows.py": b"\n" * 2_000_000},
    "forty thousand empty lines": {"flows.py": flows().encode() + b"\n" * 40_000},
    "a word and no import": {"flows.py": b"from " + b"a" * 50_000},
    "spaces": {"flows.py": b"x = 1" + b" " * 59_000 + b"\n" + b"import" + b" " * 900},
    "tabs in front of nothing": {"flows.py": (b"\t" * 200 + b"\n") * 290},
    "quotation marks": {"flows.ipynb": notebook("'\"" * 20_000, "'''" * 19_000, "\\'" * 20_000)},
    "brackets": {"flows.ipynb": notebook("(" * 50_000, ")" * 50_000, "[{(" * 10_000)},
    "brackets in a module": {"flows.py": b"(" * 50_000},
    "minus signs": {"flows.py": b"x = " + b"-" * 50_000 + b"1"},
    "attributes": {"flows.py": b"x" + b".a" * 25_000},
    "a long sum": {"flows.py": b"x = 1" + b"+1" * 25_000},
    "a chain of elif": {"flows.py": b"def planar(x):\n  if x: pass\n" + b"  elif x: pass\n" * 3_000},
    "blocks in blocks": {"flows.py": b"".join(b" " * n + b"if x:\n" for n in range(99)) + b" " * 99 + b"x\n"},
    "equal signs": {"flows.ipynb": notebook("=" * 50_000, "= " * 25_000, "a=" * 25_000 + "!ls", "=\t" * 25_000 + "%")},
    "question marks": {"flows.ipynb": notebook("?" * 50_000, "x? " * 15_000)},
    "no line is python": {"flows.ipynb": notebook(*["a b\n" * 10_000] * 12)},
    "magics": {"flows.ipynb": notebook("%time " * 8_000, "%run " * 8_000, "%%writefile " + "x" * 50_000, "!" * 50_000)},
    "calls of the kit": {"flows.ipynb": notebook("check(" + "x" * 50_000, "show(" * 9_000, "check()" + " " * 50_000 + "x")},
    "a notebook of empty lines in a zip": lambda: {"a.zip": zipped({"flows.ipynb": empty_lines()})},
    "the same in five hundred cells": lambda: {"a.zip": zipped({"flows.ipynb": empty_lines(500)})},
    "a notebook of many cells": lambda: {"a.zip": zipped({"flows.ipynb": one_line_cells()})},
    "a notebook of brackets": {"flows.ipynb": b"[" * 5_000_000},
    "a notebook of one number": {"flows.ipynb": b"1" * 5_000_000},
    "a million entries": lambda: {"a.zip": many_entries(1_000_000)},
    "ninety thousand entries": lambda: {"a.zip": many_entries(90_000)},
    "the same file five hundred times": lambda: {"a.zip": same_file_often(500)},
    "archives in archives": lambda: {"a.zip": nested(4)},
    "an offset of 2^63": {"flows.zip": zip64_overflow()},
    "an offset of 2^63 in a zip": {"a.zip": zipped({"flows.zip": zip64_overflow()})},
    "definitions without end": {"flows.py": b"def planar(x): pass\n" * 2_900},
    "imports without end": {"flows.py": b"".join(b"import a%d\n" % n for n in range(4_000))},
    "a star that imports itself": {"flows.py": b"from flows import *\nfrom own import *\n", "own.py": b"from own import *\nfrom flows import planar\n"},
    "names of one another": {f"m{n}.py": f"from m{(n + 1) % 200} import planar\nfrom m{(n + 7) % 200} import *\n" for n in range(200)}
    | {"flows.py": "from m0 import planar\n"},
    "names of a thousand letters": {"a.zip": zipped({"x" * 30_000 + ".py": b"x", "y/" * 3_000 + "flows.py": b"x"})},
    "zeros": {"flows.py": bytes(1_000_000), "flows.ipynb": bytes(1_000_000), "a.zip": bytes(1_000_000)},
    "a coding line": {"flows.py": b"# coding: " + b"x" * 900 + b"\n", "vaes.py": b"# coding: zlib\n\x00"},
}  # fmt: skip


def hostile(case: str) -> dict[str, str | bytes]:
    """The files of a case."""
    files = HOSTILE[case]
    return files() if callable(files) else files  # type: ignore[return-value]


@pytest.mark.parametrize("case", HOSTILE)
def test_no_small_input_costs_much_time_or_memory_or_a_neighbour_anything(tmp_path: Path, case: str) -> None:
    lay(tmp_path / "class/mallory", hostile(case))
    lay(tmp_path / "class/bert", {"flows.py": flows()})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.process_time()
    found = of_class(tmp_path / "class")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = time.process_time() - started
    assert answers(found["bert"]) == RIGHT
    assert found["bert"].problems == ()
    assert ours < 1.0, "the grader's own process does not read what was handed in"
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MAX_CPU
    mallory = found["mallory"]
    assert mallory.topics or mallory.problems
    assert len(json.dumps([mallory.topics, mallory.problems])) < 2_000_000


def test_who_takes_too_long_is_stopped_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forever(*_: object) -> Submission:
        while True:
            pass

    monkeypatch.setattr(apart, "read", forever)
    monkeypatch.setattr(apart, "CPU_SECONDS", 1)
    submission = read_apart(lone(lay(tmp_path / "anna", {"flows.py": flows()})), LECTURE)
    assert submission.topics == {}
    assert "to read it takes longer than 1 s" in submission.problems[0]


def test_who_sleeps_is_stopped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "read", lambda *_: time.sleep(600))
    monkeypatch.setattr(apart, "WALL_SECONDS", 0.2)
    assert "longer than" in read_apart(lone(lay(tmp_path / "anna", {"flows.py": flows()})), LECTURE).problems[0]


@pytest.mark.parametrize("end", [lambda *_: [0] * (1 << 30), lambda *_: os.abort(), lambda *_: 1 / 0, lambda *_: os._exit(0)])
def test_who_takes_too_much_memory_or_ends_the_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: object) -> None:
    monkeypatch.setattr(apart, "read", end)
    submission = read_apart(lone(lay(tmp_path / "anna", {"flows.py": flows()})), LECTURE)
    assert submission.topics == {}
    assert submission.problems[0].startswith("nothing was graded: ")


def test_half_an_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = msgspec.json.encode
    monkeypatch.setattr(msgspec.json, "encode", lambda submission: encode(submission)[:-9])
    (problem,) = read_apart(lone(lay(tmp_path / "anna", {"flows.py": flows()})), LECTURE).problems
    assert problem.startswith("nothing was graded: ")


def test_who_and_what_is_read_apart_is_the_same(tmp_path: Path) -> None:
    lay(tmp_path, {f"anna_{n}_20{n}_flows.py": flows() for n in range(100, 104)})
    for handed_in in find(tmp_path, LECTURE):
        assert read_apart(handed_in, LECTURE) == apart.read(handed_in, LECTURE)


def test_a_zip_is_opened_once_for_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = zipfile.ZipFile.__init__
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda self, *a, **k: (opened.append(1), real(self, *a, **k))[1])
    lay(tmp_path, {"a.zip": b""})
    opened.clear()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(40):
            archive.writestr(f"m{number}.py", work(f"f{number}", "x"))
    opened.clear()
    apart.read(lone(tmp_path / "a.zip"), LECTURE)
    assert len(opened) == 1


def test_processes_side_by_side_read_one_download(tmp_path: Path) -> None:
    lay(tmp_path, {"submissions.zip": zipped({f"s{n}_{n}_20{n}_flows.py": flows(f"s{n}") for n in range(100, 140)})})
    found = find(tmp_path / "submissions.zip", LECTURE)
    children = []
    for start in (0, 1):
        if (child := os.fork()) == 0:
            right = all(answers(apart.read(one, LECTURE))["planar"] == one.name.split("_")[0] for one in found[start::2])
            os._exit(0 if right else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
