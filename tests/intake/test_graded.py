"""Hand-ins that were reported, with the points and sentences that were expected of them: one class, graded once."""

from __future__ import annotations

import ast
import csv
import os
import tempfile
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT, load
from grader.grading.store import read
from grader.practice.pack import pack
from grader.record import Record
from grader.sandbox.inside.loading import BLOCKS
from grader.submission.files import clean
from tests.grading import small_checkout
from tests.intake.making import lay, notebook, zipped
from tests.intake.test_bounds import zip64_overflow

RIGHT = (REPO_ROOT / "solutions/lecture1/histogram.py").read_text("utf-8")
STUB = (REPO_ROOT / "assignments/lecture1/histogram.py").read_text("utf-8")
FULL = 10.0


def with_raise_left_below(text: str) -> str:
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return):
            node.body += ast.parse(f'raise NotImplementedError("{node.name}")').body
    return ast.unparse(tree)


def without(text: str, name: str) -> str:
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not (isinstance(node, BLOCKS) and node.name == name)]
    return ast.unparse(tree)


LEFT_BELOW = with_raise_left_below(RIGHT)
NOT_IN_IT = without(RIGHT, "num_parameters")
HELPER = f"from {{}} import num_parameters\n{without(RIGHT, 'num_parameters')}"
NOTE_OF_A_HELPER = "def num_parameters(m, K, order=None):\n    order = m if order is None else order\n" + (
    "    return sum((K - 1) * K ** min(i, order) for i in range(m))\n"
)
HELPER = f"{ast.unparse(next(node for node in ast.parse(RIGHT).body if getattr(node, 'name', '') == 'num_parameters'))}\n"

# An entry of the class: its files by path, the points, and a piece of a sentence about it.
REPORTED: dict[str, tuple[dict[str, str | bytes], float, str]] = {
    "a raise left below the return": ({"histogram.ipynb": notebook(LEFT_BELOW), "histogram.py": STUB}, FULL, ""),
    "the notebook alone": ({"histogram.ipynb": notebook(LEFT_BELOW)}, FULL, ""),
    "an answer in an own file": ({"histogram.py": f"from counting import num_parameters\n{NOT_IN_IT}", "counting.py": HELPER}, FULL, ""),
    "the same in a notebook": ({"histogram.ipynb": notebook(f"from counting import num_parameters\n{NOT_IN_IT}"), "counting.py": HELPER}, FULL, ""),
    "a helper called like the topic": ({"histogram.py": f"from histogram_utils import num_parameters\n{NOT_IN_IT}", "histogram_utils.py": HELPER}, FULL, ""),
    "such a helper of a notebook": (
        {"histogram.ipynb": notebook(f"from histogram_utils import num_parameters\n{NOT_IN_IT}"), "histogram_utils.py": HELPER}, FULL, ""),
    "a decorator and annotations of a missing library": (
        {"histogram.py": "from nothing_like_this import Float, typed\n" + RIGHT.replace("def fit_histogram(", "@typed\ndef fit_histogram(")},
        FULL, "defined without @typed, which is not known here",
    ),
    "two million empty lines": ({"a.zip": zipped({"histogram.py": "\n" * 2_000_000})}, 0, "code of more than 60000 characters"),
    "an offset of 2^63": ({"a.zip": zipped({"b.zip": zip64_overflow()})}, 0, "nothing to grade was found"),
    "a name that is not UTF-8": ({"histogram.py": STUB, os.fsdecode(b"L\xf6sung.zip"): b"no zip"}, 0, "L\N{REPLACEMENT CHARACTER}sung.zip was not read"),
    "imagegpt": ({"notes.md": ""}, 0, "nothing to grade was found"),
}  # fmt: skip
CALLED = ["histogram.zip", "grades.csv.zip", "records.jsonl.zip", "junit.xml.zip", "\U0001d160" * 62 + ".zip", "王" * 80 + ".zip",
          "V_1_assignsubmission_file_histogram.zip", "divergences.zip"]  # fmt: skip
PACKED = {
    "a copy from Colab": {"Copy of histogram.ipynb": notebook(RIGHT), "histogram.ipynb": notebook(STUB), "histogram.py": STUB},
    "a backup with the work": {"histogram backup.py": RIGHT, "histogram.py": STUB},
}
RIGHT_ONES = [*PACKED, *(clean(name.removesuffix(".zip")) for name in CALLED)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reported")
    submitted = folder / "class"
    for name, (files, _, _) in REPORTED.items():
        lay(submitted / name, files)
    lay(submitted, dict.fromkeys(CALLED, zipped({"histogram.py": RIGHT})))
    for name, files in PACKED.items():
        work = lay(folder / name, files)
        pack(work, load("lecture1"), submitted / f"{name}.zip")
    with tempfile.TemporaryDirectory(prefix="dgm-checkout-") as checkout:  # pytest's own folders are closed to workers
        small_checkout.build(Path(checkout))
        done = small_checkout.run(Path(checkout), submitted, folder / "results", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results"


@pytest.fixture(scope="module")
def graded(results: Path) -> dict[str, Record]:
    return {record.handed_in_as or record.submission: record for record in read(results)}


def test_each_is_a_row_of_the_tables(results: Path, graded: dict[str, Record]) -> None:
    rows = list(csv.DictReader((results / "grades.csv").open(newline="")))
    assert len(rows) == len((results / "records.jsonl").read_bytes().splitlines()) == len(graded)
    assert set(graded) == {*REPORTED, *RIGHT_ONES}


@pytest.mark.parametrize("case", REPORTED)
def test_its_points_and_its_sentence_are_those_expected(graded: dict[str, Record], case: str) -> None:
    _, points, said = REPORTED[case]
    assert graded[case].score == points
    assert said in " ".join(graded[case].problems)
    assert said or not graded[case].problems


def test_a_right_one_earns_everything_whatever_it_is_called_or_was_packed_from(graded: dict[str, Record]) -> None:
    assert {name: graded[name].score for name in RIGHT_ONES} == dict.fromkeys(RIGHT_ONES, FULL)
