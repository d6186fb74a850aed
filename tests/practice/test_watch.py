"""What `dgm watch` takes for a change: of a module, of a notebook, of a module of the student's own."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from grader.assignment import REPO_ROOT, load
from grader.practice.watch import Watcher

KL = "def kl_divergence(p, q):\n    return (p * (p / q).log()).sum(-1){}\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    for path in (REPO_ROOT / "assignments" / "lecture1").glob("divergences.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def first_event(folder: Path, save: Callable[[int], None]) -> list[str]:
    """The exercises of the first event, while a file is saved again and again: nobody tells when watching has begun."""
    watcher = Watcher(folder, load("lecture1"), threading.Event().wait, polling=True)  # type: ignore[arg-type]  # no key comes
    with ThreadPoolExecutor(1) as pool:
        event = pool.submit(next, watcher.events())
        for number in itertools.count():
            save(number)
            try:
                happened = event.result(timeout=0.2)
                break
            except TimeoutError:
                assert number < 500
    watcher.stop()
    assert isinstance(happened, list)
    return happened


def test_a_function_of_a_module(work: Path) -> None:
    module = work / "divergences.py"
    stub = module.read_text("utf-8")
    of_stub = 'raise NotImplementedError("kl_divergence")'
    seen = first_event(work, lambda n: module.write_text(stub.replace(of_stub, f"return p + {n}"), "utf-8") and None)
    assert seen == ["divergences.kl_divergence"]


def test_a_cell_of_a_notebook(work: Path) -> None:
    (work / "divergences.py").unlink()
    notebook = nbformat.read(work / "divergences.ipynb", 4)
    (cell,) = [cell for cell in notebook.cells if cell.source.startswith("def kl_divergence")]

    def save(number: int) -> None:
        cell.source = KL.format(f" + {number}")
        nbformat.write(notebook, work / "divergences.ipynb")

    assert first_event(work, save) == ["divergences.kl_divergence"]


def test_a_module_of_their_own_counts_for_who_imports_it_and_so_does_what_that_imports(work: Path) -> None:
    with (work / "divergences.py").open("a", encoding="utf-8") as module:
        module.write("\nfrom sums import entropy\n")
    (work / "sums.py").write_text("from laws import entropy\n", encoding="utf-8")
    seen = first_event(work, lambda n: (work / "laws.py").write_text(f"def entropy(p):\n    return {n}\n") and None)
    assert seen == [f"divergences.{name}" for name in load("lecture1").functions("divergences")]


def test_a_slip_of_the_pen_and_its_correction_leave_the_other_functions_alone(work: Path) -> None:
    module, assignment = work / "divergences.py", load("lecture1")
    stub = module.read_text("utf-8")
    watcher = Watcher(work, assignment, str)
    everything = [f"divergences.{name}" for name in assignment.functions("divergences")]
    for written, changed in (
        ("return (p - q", everything),
        ("return (p - q)", ["divergences.kl_divergence"]),
        ("return (p - q)  # a remark", []),
        ("return (p - ", everything),
        ("return (p - q)", everything),
    ):
        module.write_text("", "utf-8")  # as it is for a moment while it is saved
        assert watcher.changed() == []
        module.write_text(stub.replace('raise NotImplementedError("kl_divergence")', written), "utf-8")
        assert watcher.changed() == changed
