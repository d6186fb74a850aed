"""Notebook cells: a line that only IPython understands costs that line alone, and what is no Python at all is told."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from grader.submission.cells import as_python
from tests.intake.making import FLOWS, answers, flows, graded, notebook, work

RIGHT = dict.fromkeys(FLOWS, "right")
LINES = {
    "a shell line that goes on": "!pip install jaxtyping \\\n   einops \\\n   wandb",
    "a shell line with a quote": "!echo it's a 'test",
    "a magic that goes on": "%env A=1 \\\n B",
    "a search": "math.*s*?",
    "a search in front": "?math.s*",
    "help on a call": "print(1)?",
    "help twice": "math.sin??",
    "a shell's output in a dictionary": 'd = {}\nd["k"] = !ls',
    "a shell's output in two names": "a, b = !ls",
    "a shell's output in an attribute": "math.here = !pwd",
    "a magic's output": "t = %timeit -o 1 + 1",
    "a magic in a block": "if True:\n    %matplotlib inline\n    x = 1",
    "a shell line in a block": "for i in range(2):\n    !echo {i}",
    "a shell line in a loop of one line": "for i in range(2): !echo {i}",
    "two exclamation marks": "!!ls",
    "a command without a percent sign": "pip install torch",
    "another": "cd /content/drive/MyDrive",
    "a call without brackets": ",print a b",
    "a slash": "/print 1",
    "a line of prose": "This is my answer, see slide 3",
    "a quotation mark that never ends": "x = 'oops",
    "a bracket that never ends": "y = (1,\n",
    "a word of a later Python": "type Pair = tuple[int, int]",
    "its f-strings": 'd = {"a": 1}\nprint(f"{d["a"]}")',
    "a merge conflict": "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> mine",
    "an await": "await something()",
    "a question in a comment": "x = 1  # why?",
    "a percent sign in a bracket": "x = (7\n% 4)",
    "an unknown line magic": "%wandb login --relogin",
}


@pytest.mark.parametrize("case", LINES)
@pytest.mark.parametrize("below", [True, False])
def test_the_import_beside_a_line_is_not_lost(tmp_path: Path, case: str, below: bool) -> None:
    parts = [LINES[case], "import math\nanswer = 'right'"]
    cell = "\n".join(parts if below else reversed(parts))
    rest = flows().replace("import math", "").replace('return "right"', "return answer")
    assert answers(graded(tmp_path, {"flows.ipynb": notebook(cell, rest)})) == RIGHT


MAGIC = [case for case in LINES if "Python" not in case and case not in (
    "help on a call", "a line of prose", "a quotation mark that never ends", "a bracket that never ends", "its f-strings", "a merge conflict",
    "a shell line in a loop of one line", "another", "a command without a percent sign", "a call without brackets", "a slash")]  # fmt: skip


@pytest.mark.parametrize("case", MAGIC)
def test_ipython_agrees_what_is_no_python(case: str) -> None:
    """Where IPython turns a line into a call of its own, we make nothing of it; every other line is the same."""
    transformer = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager()
    theirs = ast.parse(transformer.transform_cell(f"{LINES[case]}\nkept = 1")).body
    ours = ast.parse(as_python(f"{LINES[case]}\nkept = 1").text).body
    kept = [ast.unparse(node) for node in theirs if "get_ipython()" not in ast.unparse(node)]
    own = [ast.unparse(node) for node in ours if not isinstance(node, ast.Pass)]
    assert [text for text in own if "pass" not in text] == [text for text in kept if "pass" not in text]


@pytest.mark.parametrize(
    ("line", "text"), [("This is my answer, see slide 3", "This is my answer"), ("x = 'oops", "x = 'oops"), ("pip install torch", "pip")]
)
def test_a_line_that_is_left_out_is_quoted(tmp_path: Path, line: str, text: str) -> None:
    said = graded(tmp_path, {"flows.ipynb": notebook("y = 1", f"import math\n{line}", flows())})
    assert [problem for problem in said.problems if problem.startswith("flows.ipynb, code cell 2, line 2 is no Python") and text in problem]


def test_a_statement_behind_time_is_run() -> None:
    assert as_python("%time x = f(1)\n%time\n%timeit f(1)").text == "x = f(1)\npass\npass"


@pytest.mark.parametrize("magic", ["%%time", "%%capture out --no-stderr", "%%snakeviz", "%%wandb", "%%time\n%%capture"])
def test_a_cell_magic_around_python_keeps_the_cell(tmp_path: Path, magic: str) -> None:
    assert answers(graded(tmp_path, {"flows.ipynb": notebook(f"{magic}\n{flows()}")})) == RIGHT


@pytest.mark.parametrize("magic", ["%%bash", "%%script false --no-raise-error", "%%html", "%%writefile notes.txt", "%%skip"])
def test_a_cell_in_another_language_or_switched_off_counts_for_nothing(tmp_path: Path, magic: str) -> None:
    assert answers(graded(tmp_path, {"flows.ipynb": notebook(flows(), f"{magic}\n{flows('wrong')}")})) == RIGHT


OWN_FILES = {
    "run": ({"own.py": work("planar", "right")}, "%run own.py"),
    "run with an option and a path": ({"own.py": work("planar", "right")}, '%run -i "./own.py" --seed 1'),
    "run without an ending": ({"own.py": work("planar", "right")}, "%run own"),
    "run in a folder": ({"lib/own.py": work("planar", "right")}, "%run lib/own.py"),
    "run another notebook": ({"own.ipynb": notebook("%matplotlib inline", work("planar", "right"))}, "%run own.ipynb"),
    "run elsewhere on Colab": ({"own.py": work("planar", "right")}, "%run /content/own.py"),
    "write and import": ({}, f"%%writefile own.py\n{work('planar', 'right')}", "from own import planar"),
    "write in two cells": ({}, "%%writefile own.py\nanswer = 'right'", "%%writefile -a own.py\ndef planar(x): return answer", "from own import *"),
    "write into a package": ({"lib/__init__.py": ""}, f"%%file lib/own.py\n{work('planar', 'right')}", "from lib.own import planar"),
}


@pytest.mark.parametrize("case", OWN_FILES)
def test_own_files_are_run_and_written_as_they_were_at_home(tmp_path: Path, case: str) -> None:
    files, *cells = OWN_FILES[case]
    rest = "".join(work(name, "right") for name in FLOWS[1:])
    assert answers(graded(tmp_path, {**files, "flows.ipynb": notebook(*cells, rest)})) == RIGHT


PASTED = {
    "python's prompts": ">>> answer = 'right'\n>>> def f(x):\n...     return answer\n",
    "ipython's prompts": "In [3]: answer = 'right'\n   ...: def f(x):\n   ...:     return answer\n",
    "an indentation": "    answer = 'right'\n    def f(x):\n        return answer\n",
}


@pytest.mark.parametrize("case", PASTED)
def test_pasted_code_loses_its_prompts(case: str) -> None:
    assert as_python(PASTED[case]).text == "answer = 'right'\ndef f(x):\n    return answer\n"


@pytest.mark.parametrize(("encoding", "name"), [("utf-16", "utf-16"), ("utf-8-sig", None), ("cp1252", "Windows-1252"), ("utf-32", "utf-32")])
def test_a_notebook_in_another_encoding_is_read_and_told(tmp_path: Path, encoding: str, name: str | None) -> None:
    text = notebook("# X\n" + flows()).decode().replace("# X", "# Müller")
    said = graded(tmp_path, {"flows.ipynb": text.encode(encoding)})
    assert answers(said) == RIGHT
    assert said.problems == ((f"flows.ipynb is not saved as UTF-8; it was read as {name}",) if name else ())


def test_a_notebook_for_a_newer_python_says_so(tmp_path: Path) -> None:
    said = graded(tmp_path, {"flows.ipynb": notebook("type A = int", flows(), python="3.99.1")})
    assert answers(said) == RIGHT
    assert any("was written for Python 3.99 and is graded with 3." in problem for problem in said.problems)
    assert not graded(tmp_path / "fine", {"flows.ipynb": notebook(flows(), python="3.99.1")}).problems


def test_a_module_for_a_newer_python_says_so(tmp_path: Path) -> None:
    said = graded(tmp_path, {"flows.py": "def planar(x):\n    return 1\n\ntype\tA[T: = list\n" + "def g[T](x: T) -> T: return x\n"})
    assert any("is no Python" in problem for problem in said.problems)


@pytest.mark.parametrize("name", ["flows.json", "flows.txt", "flows.pdf", "flows.html"])
def test_work_in_a_form_that_is_not_read_is_named(tmp_path: Path, name: str) -> None:
    said = graded(tmp_path, {name: notebook(flows())})
    assert said.problems[0] == f"{name} was not read: hand in a module (.py) or a notebook (.ipynb)"


def test_a_notebook_that_is_called_a_module_is_told(tmp_path: Path) -> None:
    said = graded(tmp_path, {"flows.py": notebook(flows())})
    assert said.problems[0] == "flows.py was not read: it is a notebook; hand it in as flows.ipynb"
