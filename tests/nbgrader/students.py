"""The class: what a dozen students hand in for two notebooks. Right answers come from the instructor's source."""

import copy
import json
import re

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NEVER = "import time\ntime.sleep(1e9)"
PATCHES = """import grader.practice.notebook, IPython
class Everything:
    score = max_score = 100.0
    def __repr__(self): return "100.0"
    def _repr_html_(self): return "<b>100 of 100 points</b>"
grader.practice.notebook.checker = lambda *a: (lambda *b: Everything())
check = lambda *names: Everything()
shell = IPython.get_ipython()
if shell:
    shell.display_formatter.format = lambda *a, **k: ({"text/plain": "100.0"}, {})
    shell.run_cell = lambda *a, **k: None
print("100.0")"""
SCRIPT = "<script>window.taken = true</script><img src=x onerror='window.taken = true'>"
REVERSED = "    return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)  # averages over q"


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ESSAY = "![a plot](attachment:plot.png) ![none](attachment:nope.png) [a link](javascript:alert(1)) <script>x</script>"


def add_own_cells(source):
    """What an instructor adds to a notebook of the kit: a test, a question for a person to grade, and a task."""
    notebook = nbformat.read(source, 4)
    notebook.cells += [
        new_code_cell("assert kl_divergence is not None", metadata=_own("own-test", grade=True, locked=True, points=1)),
        new_markdown_cell("YOUR ANSWER HERE", metadata=_own("own-essay", "markdown", grade=True, solution=True, points=2)),
        new_markdown_cell("Draw p and q.", metadata=_own("own-task", "markdown", task=True, locked=True, points=3)),
    ]
    nbformat.write(notebook, source)


def own_assignment():
    """An assignment that is not the kit's, as nbgrader's own documentation has them."""
    answer = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    return new_notebook(
        cells=[
            new_code_cell(answer, metadata=_own("f", solution=True)),
            new_code_cell("assert f() == 1", metadata=_own("test-f", grade=True, locked=True, points=4)),
            new_markdown_cell("![a plot](attachment:plot.png)", attachments={"plot.png": {"image/png": PIXEL}}),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )


def own_work(released):
    """A right answer to it, with a link of the student's own."""
    for cell in released.cells:
        if grade_id(cell) == "f":
            cell.source = "def f():\n    return 1"
    released.cells.append(new_markdown_cell("[a link](https://example.org)"))
    return released


def _own(name, kind="code", *, grade=False, solution=False, locked=False, task=False, points=None):
    own = {"schema_version": 3, "grade_id": name, "cell_type": kind, "grade": grade, "solution": solution}
    own |= {"locked": locked, "task": task} | ({"points": points} if points else {})
    return {"nbgrader": own}


def students(course):
    """From a student's name to the files of the folder lecture1; None takes a released file away."""
    released = {path.stem: nbformat.read(str(path), 4) for path in (course / "release" / "lecture1").glob("*.ipynb")}
    source = {path.stem: nbformat.read(str(path), 4) for path in (course / "source" / "lecture1").glob("*.ipynb")}
    right = {topic: solved(released[topic], source[topic]) for topic in released}
    return {name: {file: _bytes(one) for file, one in files.items()} for name, files in _class(released, source, right).items()}


def solved(released, source, leave_out=()):
    """The released notebook with the answers of the source in its cells."""
    notebook = copy.deepcopy(released)
    answers = {cell.metadata.nbgrader.grade_id: cell.source for cell in source.cells if cell.metadata.get("nbgrader", {}).get("solution")}
    for cell in notebook.cells:
        name = grade_id(cell)
        if name in answers and name not in leave_out:
            cell.source = re.sub(r"\n *### (?:BEGIN|END) SOLUTION.*", "", answers[name])
    helpers = [new_code_cell(cell.source) for cell in source.cells if "solution-only" in cell.metadata.get("tags", [])]
    first = next(number for number, cell in enumerate(notebook.cells) if "import torch" in cell.source)
    notebook.cells[first + 1 : first + 1] = helpers
    return notebook


def grade_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def _class(released, source, right):
    both = {"divergences.ipynb": right["divergences"], "histogram.ipynb": right["histogram"]}
    essay = next(cell for cell in right["divergences"].cells if grade_id(cell) == "own-essay")
    essay.source, essay["attachments"] = ESSAY, {"plot.png": {"image/png": PIXEL}}
    partial = {f"{topic}.ipynb": solved(released[topic], source[topic], ("kl_divergence", "fit_histogram")) for topic in released}

    mistaken = copy.deepcopy(right["divergences"])
    for cell in mistaken.cells:
        if grade_id(cell) == "kl_divergence":
            cell.source = released_cell(released["divergences"], "kl_divergence").split("    # YOUR CODE")[0] + REVERSED

    restless = copy.deepcopy(right["histogram"])
    restless.cells += [
        new_code_cell(NEVER),
        new_code_cell("1 / 0"),
        new_code_cell('for i in range(10**5): print("x" * 100)'),
    ]

    cells = copy.deepcopy(right["histogram"])
    cells.cells = [cell for cell in cells.cells if grade_id(cell) != "check-fit_histogram"]
    for cell in list(cells.cells):
        if grade_id(cell) == "check-num_parameters":
            cells.cells.append(copy.deepcopy(cell))
        if grade_id(cell) == "check-sample_histogram":
            cell.source, cell.metadata.nbgrader["points"] = "100.0", 100
        if grade_id(cell) == "histogram_log_prob":
            cell.metadata.nbgrader["grade_id"] = "mine"

    patches = {f"{topic}.ipynb": copy.deepcopy(notebook) for topic, notebook in released.items()}
    for notebook in patches.values():
        notebook.cells.insert(0, new_code_cell(PATCHES))
        for cell in notebook.cells:
            if (grade_id(cell) or "").startswith("check-"):
                cell.source = "100.0"

    leaves = copy.deepcopy(released["histogram"])
    leaves.cells.insert(1, new_code_cell("import os\nos._exit(0)"))

    old = copy.deepcopy(right["divergences"])
    old.nbformat_minor = 0
    for cell in old.cells:
        cell.pop("id", None)

    injecting = copy.deepcopy(right["divergences"])
    injecting.metadata["dgm_remarks"] = [{"not": "a sentence"}, SCRIPT]
    injecting.cells += [new_markdown_cell(SCRIPT), new_code_cell("pass")]
    injecting.cells[-1].metadata["nbgrader"] = {
        "grade_id": ["a", "list"],
        "schema_version": 99,
        "grade": True,
        "points": "many",
    }
    for cell in injecting.cells:
        if grade_id(cell) == "check-kl_divergence":
            cell.metadata.nbgrader |= {"schema_version": 1, "points": "many"}

    broken = json.loads(nbformat.writes(right["divergences"]))
    broken["cells"] += [{"cell_type": "code", "source": "x = '\ud800'"}, {"cell_type": "poem", "source": 7}]
    broken["cells"][0].pop("metadata")

    module = "\n\n".join(cell.source for cell in right["histogram"].cells if cell.cell_type == "code" and "check" not in cell.source)
    return {
        "anna": both,
        "blank": {},
        "carl": partial,
        "dora": both | {"divergences.ipynb": mistaken},
        "emil": both | {"histogram.ipynb": restless},
        "cells": both | {"histogram.ipynb": cells},
        "patches": patches,
        "leaves": both | {"histogram.ipynb": leaves},
        "nojson": both | {"divergences.ipynb": b"not json {"},
        "old": both | {"divergences.ipynb": old},
        "injects": both | {"divergences.ipynb": injecting},
        "broken": both | {"divergences.ipynb": json.dumps(broken).encode()},
        "module": {"divergences.ipynb": right["divergences"], "histogram.ipynb": None, "histogram.py": module.encode()},
        "zoe": both,
    }


def released_cell(notebook, name):
    return next(cell.source for cell in notebook.cells if grade_id(cell) == name)


def _bytes(notebook):
    return nbformat.writes(notebook).encode() if isinstance(notebook, nbformat.NotebookNode) else notebook
