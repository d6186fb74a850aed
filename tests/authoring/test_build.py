"""What is made from a source: stubs, notebooks, and the same bytes each time."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from grader.assignment import REPO_ROOT, lectures, load
from grader.authoring import build
from grader.authoring.build import SourceError

SOURCE = '''\
"""A topic."""

# %% [markdown]
# # Flows
#
# $$z = f(x)$$

# %%
from collections.abc import Callable, Iterator

import torch
from torch.func import jacrev, vmap


# %% planar
def planar(x: Callable):
    r"""One more.

    >>> planar(1)
    42
    """
    # BEGIN SOLUTION planar
    return vmap(jacrev(_secret))(x)
    # END SOLUTION planar


# %% tags=["active-ipynb"]
# show("planar")

# %% Coupling
class Coupling(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 2)

    def forward(self, x):
        # BEGIN SOLUTION Coupling.forward
        return self.net(_secret(x))
        # END SOLUTION Coupling.forward


# %% helpers
# BEGIN SOLUTION helpers
def _secret(x):
    return x + 41
# END SOLUTION helpers
'''

STUB = '''\
"""A topic."""

# %% [markdown]
# # Flows
#
# $$z = f(x)$$

# %%
from collections.abc import Callable

import torch


# %% planar
def planar(x: Callable):
    r"""One more.

    >>> planar(1)
    42
    """
    raise NotImplementedError("planar")


# %% Coupling
class Coupling(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 2)

    def forward(self, x):
        raise NotImplementedError("Coupling.forward")
'''

ASSIGNMENT = """
title = "Flows"
[[exercise]]
name = "flows.planar"
points = 1
slide = 3
hints = ["Add."]
[[exercise]]
name = "flows.Coupling.forward"
points = 2.5
slide = 4
hints = ["Use the net."]
[[exercise]]
name = "flows.gpu"
points = 2
slide = 4
hints = ["Stay on the device."]
of = ["flows.planar", "flows.Coupling.forward"]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("solutions", "assignments"):
        (tmp_path / folder / "lecture9").mkdir(parents=True)
    (tmp_path / "solutions/lecture9/flows.py").write_text(SOURCE, "utf-8")
    (tmp_path / "assignments/lecture9/assignment.toml").write_text(ASSIGNMENT, "utf-8")
    return tmp_path


def cells(checkout: Path, form=build.student_notebook) -> list[dict]:
    source = build.read(checkout / "solutions/lecture9/flows.py")
    return json.loads(form(source, load("lecture9", checkout)))["cells"]


def test_a_stub_is_the_source_without_its_solutions(checkout):
    build.build("lecture9", checkout)
    assert (checkout / "assignments/lecture9/flows.py").read_text("utf-8") == STUB


def test_a_second_build_changes_nothing(checkout):
    made = build.build("lecture9", checkout)
    assert [path.name for path in made] == ["flows.py", "flows.ipynb"]
    assert build.outdated("lecture9", checkout) == []
    assert build.build("lecture9", checkout) == []


def test_an_edited_product_is_outdated_and_built_anew(checkout):
    stub, _ = build.build("lecture9", checkout)
    stub.write_text(STUB + "# edited\n", "utf-8")
    assert build.outdated("lecture9", checkout) == [stub]
    assert build.build("lecture9", checkout) == [stub]
    assert stub.read_text("utf-8") == STUB


def test_a_notebook_checks_each_function_after_the_cell_that_defines_it(checkout):
    code = ["".join(cell["source"]) for cell in cells(checkout) if cell["cell_type"] == "code"]
    assert [source.splitlines()[-1].strip() for source in code] == [
        'hint = hinter("lecture9", "flows")',
        "import torch",
        'raise NotImplementedError("planar")',
        'check("planar")  # 1 point',
        'show("planar")',
        'raise NotImplementedError("Coupling.forward")',
        'check("Coupling.forward")  # 2.5 points',
        'check("gpu")  # 2 points',
    ]


def test_a_notebook_tells_nbgrader_what_is_solved_and_what_is_graded(checkout):
    marks = [cell["metadata"]["nbgrader"] for cell in cells(checkout) if "nbgrader" in cell["metadata"]]
    assert [(m["grade_id"], m["solution"], m["grade"], m["locked"], m.get("points")) for m in marks] == [
        ("setup", False, False, True, None),
        ("planar", True, False, False, None),
        ("check-planar", False, True, True, 1),
        ("Coupling", True, False, False, None),
        ("check-Coupling-forward", False, True, True, 2.5),
        ("check-gpu", False, True, True, 2),
    ]


def test_cell_ids_follow_from_grade_ids_and_contents(checkout):
    ids = [cell["id"] for cell in cells(checkout)]
    assert ids[3] == "planar"
    assert len(set(ids)) == len(ids)
    source = checkout / "solutions/lecture9/flows.py"
    source.write_text(SOURCE.replace("# # Flows\n", "# # Normalizing flows\n"), "utf-8")
    assert [cell["id"] for cell in cells(checkout)][1:] == ids[1:]  # a change of prose leaves the other cells alone


def test_the_instructors_notebook_marks_solutions_as_nbgrader_does(checkout):
    student, instructor = cells(checkout), cells(checkout, build.instructor_notebook)
    planar = next("".join(cell["source"]) for cell in instructor if cell["id"] == "planar")
    assert planar.endswith("    ### BEGIN SOLUTION\n    return vmap(jacrev(_secret))(x)\n    ### END SOLUTION")
    assert "_secret" in "".join(instructor[3]["source"])  # helpers, wherever the module has them, come before their use
    assert _graded(student) == _graded(instructor)
    assert len(_graded(student)) == 3


def _graded(cells: list[dict]) -> list[dict]:
    return [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade")]


def test_a_bonus_is_checked_in_the_notebook_and_has_no_points_in_nbgrader(checkout):
    toml = checkout / "assignments/lecture9/assignment.toml"
    toml.write_text(ASSIGNMENT.replace("points = 2.5", "points = 2.5\nbonus = true"), "utf-8")
    (check,) = [cell for cell in cells(checkout) if cell["id"] == "check-Coupling-forward"]
    assert "".join(check["source"]) == 'check("Coupling.forward")  # 2.5 points (bonus)'
    mark = check["metadata"]["nbgrader"]
    assert (mark["grade"], mark["locked"], "points" in mark) == (False, True, False)


OFF = SOURCE.replace("# %% planar\n", '# %% [markdown] tags=["planar"]\n# A plane is flat.\n\n# %% planar\n')


def test_what_is_switched_off_leaves_stub_and_notebooks_without_a_trace(checkout):
    (checkout / "solutions/lecture9/flows.py").write_text(OFF, "utf-8")
    toml = checkout / "assignments/lecture9/assignment.toml"
    on = ASSIGNMENT.rsplit("[[exercise]]", 1)[0]
    toml.write_text(on, "utf-8")
    build.build("lecture9", checkout)
    stub = (checkout / "assignments/lecture9/flows.py").read_text("utf-8")
    assert "A plane is flat." in stub
    assert "planar" in stub
    toml.write_text(on.replace("points = 1\n", "points = 1\nenabled = false\n"), "utf-8")
    assert len(build.build("lecture9", checkout)) == 2
    assignment = load("lecture9", checkout)
    source = build.source_of("flows", assignment, checkout)
    for product in (
        (checkout / "assignments/lecture9/flows.py").read_text("utf-8"),
        (checkout / "assignments/lecture9/flows.ipynb").read_text("utf-8"),
        build.instructor_notebook(source, assignment),
    ):
        assert "planar" not in product
        assert "flat" not in product
        assert "Coupling" in product


def test_two_functions_in_one_cell_are_switched_off_together_or_not_at_all(checkout):
    toml = checkout / "assignments/lecture9/assignment.toml"
    one_cell = SOURCE.replace("\n# %% Coupling\n", "\n").replace('# %% tags=["active-ipynb"]\n# show("planar")\n', "")
    (checkout / "solutions/lecture9/flows.py").write_text(one_cell, "utf-8")
    toml.write_text(ASSIGNMENT.rsplit("[[exercise]]", 1)[0].replace("points = 1\n", "points = 1\nenabled = false\n"), "utf-8")
    with pytest.raises(SourceError, match="Coupling.forward, planar share a cell"):
        build.build("lecture9", checkout)


EXTRA = '[[exercise]]\nname = "{}"\npoints = 1\nslide = 1\nhints = ["."]\n'


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        (ASSIGNMENT.replace("flows.planar", "flows.radial"), "flows.py:22: assignment.toml has no exercise for planar"),
        (ASSIGNMENT.replace("flows.", "vaes."), "flows.py:1: assignment.toml has no exercise of topic flows"),
        (ASSIGNMENT + EXTRA.format("flows.x"), "flows.py:1: exercise x of assignment.toml has no solution region"),
        (ASSIGNMENT + EXTRA.format("vaes.x"), "vaes.py:1: this file is missing"),
    ],
)
def test_sources_and_assignment_must_speak_of_the_same_functions(checkout, assignment, complaint):
    (checkout / "assignments/lecture9/assignment.toml").write_text(assignment, "utf-8")
    with pytest.raises(SourceError, match=complaint):
        build.build("lecture9", checkout)
    assert not (checkout / "assignments/lecture9/flows.py").exists()


def test_the_order_of_the_source_is_the_order_of_the_assignment(checkout):
    head, planar, coupling, gpu = ASSIGNMENT.split("[[exercise]]")
    swapped = "[[exercise]]".join([head, coupling, planar, gpu])
    (checkout / "assignments/lecture9/assignment.toml").write_text(swapped, "utf-8")
    with pytest.raises(SourceError, match=r"exercise Coupling.forward stands in another order"):
        build.build("lecture9", checkout)


# --- what is committed


@pytest.mark.parametrize("lecture", lectures())
def test_committed_stubs_and_notebooks_are_what_the_sources_give(lecture):
    assert build.outdated(lecture) == [], "run `dgm build` and commit what it writes"


@pytest.mark.parametrize("lecture", lectures())
def test_nothing_but_products_lies_beside_the_assignment(lecture):
    folder = REPO_ROOT / "assignments" / lecture
    made = {path for path, _ in build.products(lecture)}
    assert {*folder.glob("*.py"), *folder.glob("*.ipynb")} - made == {folder / "__init__.py"}


@pytest.mark.parametrize("lecture", lectures())
def test_each_stub_holds_one_not_implemented_error_for_each_function(lecture):
    assignment = load(lecture)
    for topic in assignment.topics:
        stub = (REPO_ROOT / "assignments" / lecture / f"{topic}.py").read_text("utf-8")
        ast.parse(stub)
        assert tuple(re.findall(r'raise NotImplementedError\("(.+)"\)', stub)) == assignment.functions(topic)
        assert "SOLUTION" not in stub


@pytest.mark.parametrize("lecture", lectures())
def test_committed_notebooks_are_valid_and_worth_the_assignments_points(lecture):
    assignment = load(lecture)
    for topic in assignment.topics:
        notebook = nbformat.read(REPO_ROOT / "assignments" / lecture / f"{topic}.ipynb", as_version=4)
        nbformat.validate(notebook)
        marks = [cell.metadata["nbgrader"] for cell in notebook.cells if "nbgrader" in cell.metadata]
        assert sum(mark.get("points", 0) for mark in marks) == sum(e.points for e in assignment.required if e.topic == topic)
        checked = {mark["grade_id"] for mark in marks if mark["grade_id"].startswith("check-")}
        assert len(checked) == len(assignment.of_topic(topic))
        assert len({mark["grade_id"] for mark in marks}) == len(marks)
