"""From the source to notebooks, for students and for nbgrader's instructor side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from grader.assignment import Assignment, Exercise
from grader.authoring.build.source import MARKER, Source
from grader.authoring.build.stub import Rewriter, for_students, is_bare, without_solutions


def student_notebook(source: Source, assignment: Assignment) -> str:
    """The notebook that students fill in: each function's cell, followed by the cell that checks it."""
    return _write(_cells(source, assignment, for_students(source), lambda lines: []))


def instructor_notebook(source: Source, assignment: Assignment) -> str:
    """The same notebook with the solutions between nbgrader's own markers, for the source folder of a course.

    The solutions' private helpers stand in cells of their own, tagged ``solution-only``: a release leaves these out.
    """
    return _write(_cells(source, assignment, _with_nbgrader_markers, _helpers))


SOLUTION_ONLY = "solution-only"
SETUP = """\
KIT = "{kit}"  # where to get the kit's wheels, with a blank between; without, they lie beside this notebook

try:
    import assignments.{assignment}, grader.practice
except ModuleNotFoundError:  # a fresh kernel, such as Colab's
    import glob, subprocess, sys

    wheels = KIT.split() or glob.glob("dgm_kit*.whl")
    if not wheels:
        raise ModuleNotFoundError("put the kit's wheels (dgm_kit….whl) beside this notebook, and run this cell again") from None
    print("installing", *wheels)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wheels], check=True)
from grader.practice.notebook import checker, hinter, painter

check = checker({of})
show = painter({of})
hint = hinter({of})"""


def _cells(source: Source, assignment: Assignment, rewrite: Rewriter, private: Rewriter) -> Iterator[NotebookNode]:
    topic = source.path.stem
    pending = list(assignment.of_topic(topic))
    defined: set[str] = set()
    taught = [cell for cell in jupytext.reads(source.text, fmt="py:percent").cells if not _is_docstring(cell)]
    first_code = next(cell for cell in taught if cell.cell_type == "code")
    for cell in _helpers_early(taught):
        if cell is first_code:
            yield _setup_cell(assignment, topic)
        lines = cell.source.splitlines()
        functions = [m["name"] for m in map(MARKER.fullmatch, lines) if m and m["side"] == "BEGIN" and m["indent"]]
        cell.source = "\n".join(rewrite(lines)).strip("\n")
        title = cell.metadata.get("title") or (functions[0] if functions else "")
        tags = cell.metadata.get("tags", [])
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
        if functions:
            cell.metadata["nbgrader"] = _nbgrader(_grade_id(title), solution=True)
        if not is_bare([cell.source]):
            yield cell
        helpers = "\n".join(private(lines)).strip("\n")
        if helpers:
            yield new_code_cell(helpers, metadata={"tags": [SOLUTION_ONLY]})
        defined.update(functions)
        for exercise in [e for e in pending if defined.issuperset(_functions(e))]:
            pending.remove(exercise)
            yield _check_cell(exercise)


def _helpers_early(cells: list[NotebookNode]) -> list[NotebookNode]:
    """A module may hold its helpers below what they help; a notebook runs from top to bottom: there they follow the imports."""
    imports = 1 + next(number for number, cell in enumerate(cells) if cell.cell_type == "code")
    return cells[:imports] + sorted(cells[imports:], key=lambda cell: not is_bare(without_solutions(cell.source.splitlines())))


def _functions(exercise: Exercise) -> set[str]:
    """What must be defined before the exercise can be checked."""
    return {name.split(".", 1)[1] for name in exercise.of} or {exercise.function}


def _setup_cell(assignment: Assignment, topic: str) -> NotebookNode:
    code = SETUP.format(kit=assignment.kit_url, assignment=assignment.name, of=f'"{assignment.name}", "{topic}"')
    return new_code_cell(code, metadata={"nbgrader": _nbgrader("setup", locked=True)})


def _check_cell(exercise: Exercise) -> NotebookNode:
    worth = f"{exercise.points:g} point{'' if exercise.points == 1 else 's'}{' (bonus)' if exercise.bonus else ''}"
    grade_id = "check-" + _grade_id(exercise.function)
    # nbgrader knows no points beside its total: of a bonus, it gets the cell for the feedback and no grade
    metadata = {"nbgrader": _nbgrader(grade_id, locked=True, points=None if exercise.bonus else exercise.points)}
    return new_code_cell(f'check("{exercise.function}")  # {worth}', metadata=metadata)


def _nbgrader(grade_id: str, *, solution: bool = False, locked: bool = False, points: float | None = None) -> dict[str, object]:
    """A cell's metadata in nbgrader's schema, version 3."""
    cell: dict[str, object] = {"schema_version": 3, "cell_type": "code", "grade_id": grade_id, "task": False}
    cell |= {"grade": points is not None, "solution": solution, "locked": locked}
    if points is not None:
        cell["points"] = int(points) if points == int(points) else points
    return cell


def _grade_id(name: str) -> str:
    """nbgrader allows letters, digits, ``_`` and ``-`` only."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")


def _is_docstring(cell: NotebookNode) -> bool:
    """The module's docstring before the first cell mark: of no use in a notebook."""
    return cell.cell_type == "code" and re.fullmatch(r'\s*r?"""(?:(?!""").)*"""\s*', cell.source, re.DOTALL) is not None


def _with_nbgrader_markers(lines: list[str]) -> list[str]:
    """The lines without the helpers' regions, the others marked as nbgrader does."""
    others = [(line, MARKER.fullmatch(line)) for line, among_helpers in _by_region(lines) if not among_helpers]
    return [f"{marker['indent']}### {marker['side']} SOLUTION" if marker else line for line, marker in others]


def _helpers(lines: list[str]) -> list[str]:
    """The lines of the regions at module level."""
    return [line for line, among_helpers in _by_region(lines) if among_helpers]


def _by_region(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """Each line but the marks of the regions at module level, and whether it lies in one of these."""
    inside = False
    for line in lines:
        marker = MARKER.fullmatch(line)
        if marker and not marker["indent"]:
            inside = marker["side"] == "BEGIN"
        else:
            yield line, inside


def _write(cells: Iterator[NotebookNode]) -> str:
    notebook = new_notebook(
        cells=list(cells),
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    _name_cells(notebook.cells)
    return nbformat.writes(notebook, version=4) + "\n"


def _name_cells(cells: list[NotebookNode]) -> None:
    """Ids that a rebuild repeats: from the ``grade_id``, or else from what the cell says."""
    taken: set[str] = set()
    for cell in cells:
        content = hashlib.sha256(cell.source.encode()).hexdigest()[:12]
        name = cell.metadata.get("nbgrader", {}).get("grade_id", content)
        while name in taken:
            name += "-again"
        taken.add(name)
        cell.id = name[:64]
