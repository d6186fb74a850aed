"""nbgrader's autograde with the isolated exam in the place of the kernel."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader import utils
from nbgrader.api import Grade, Gradebook, MissingEntry
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets import Bool, Int, Unicode

from grader import assignment as assignments
from grader import course as courses
from grader.grading import store
from grader.grading.grade import grade
from grader.grading.kit import grading_seed
from grader.grading.options import GradingOptions
from grader.nbgrader.submitted import REMARKS
from grader.record import Done, ExerciseRecord, Record
from grader.renderings import html
from grader.submission import lone

_graded: WeakKeyDictionary[Autograde, dict[str, Record]] = WeakKeyDictionary()  # the records of one run by student


class IsolatedExam(NbGraderPreprocessor):
    """Gives every check cell the score and the feedback of the isolated exam; all students of a run are graded at once.

    Notebooks of other assignments are executed as nbgrader does. An autograded cell of the instructor's own waits for a
    person, unless `run_own_cells` says that the student's code may run in a kernel with all rights of this account.
    """

    seed_file = Unicode("", help="The grading seed; without it $DGM_SEED, what course.toml pins, or .dgm-seed in the course folder.").tag(
        config=True
    )
    isolation = Unicode("default", help="As in dgm grade --isolation.").tag(config=True)
    jobs = Int(os.cpu_count() or 1, help="Graders side by side.").tag(config=True)
    quick = Bool(False, help="Leave out checks that train a model.").tag(config=True)
    run_own_cells = Bool(False, help="Run autograded cells of your own in nbgrader's kernel, beside the student's code, unprotected.").tag(
        config=True
    )

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        where = resources["nbgrader"]
        if where["assignment"] not in assignments.lectures():
            return Execute(parent=self.parent).preprocess(nb, resources)
        record = self._record(where["assignment"], where["student"])
        exercises = exercises_of(record, where["notebook"])
        if self.run_own_cells and any(_is_own_test(cell, exercises) for cell in nb.cells):
            nb, resources = Execute(parent=self.parent).preprocess(nb, resources)
        for cell in nb.cells:
            if cell.cell_type == "code" and not (self.run_own_cells and _is_own_test(cell, exercises)):
                cell.outputs, cell.execution_count = [], None
            name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            if utils.is_locked(cell) and name in exercises:
                cell.outputs, cell.execution_count = [_result(exercises[name])], 1
        remarks = [*nb.metadata.pop(REMARKS, []), *_of_notebook(record, where["notebook"])]
        if remarks:
            nb.cells.insert(0, new_markdown_cell(_remarks(remarks), id="dgm-remarks"))
        return nb, resources

    def _record(self, lecture: str, student: str) -> Record:
        converter = self.parent.parent
        if converter not in _graded:
            with courses.used(Path(converter.coursedir.root)):  # wherever nbgrader was started
                _refuse_other_points(converter, lecture)
                _graded[converter] = {done.record.submission: done.record for done in self._grade(converter, lecture)}
        return _graded[converter][student]

    def _grade(self, converter: Autograde, lecture: str) -> Iterator[Done]:
        course = Path(converter.coursedir.root)
        pattern = converter.coursedir.format_path(
            converter.coursedir.submitted_directory, "(?P<student>.*)", re.escape(lecture), escape=True
        )
        students = {match["student"]: Path(path) for path in converter.assignments if (match := re.match(pattern, path))}
        handed_in = [replace(lone(path), name=name) for name, path in sorted(students.items())]
        results = course / "dgm-results" / lecture
        graded_before = bool(store.manifest(results).graded_by)
        seed = grading_seed(Path(self.seed_file) if self.seed_file else None, folder=course, first=not graded_before)
        options = GradingOptions(lecture, seed, self.isolation, self.quick)
        return grade(handed_in, results, options, self.jobs, regrade=True)


class SaveExam(NbGraderPreprocessor):
    """Puts the exam's scores into the gradebook, whatever has become of the cells; what was not graded waits for a person.

    A notebook that is missing may still have been handed in as a module: all notebooks of the submission are entered each time.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        where = resources["nbgrader"]
        record = _graded.get(self.parent.parent, {}).get(where["student"])
        if record is None:
            return nb, resources
        with Gradebook(where["db_url"]) as gradebook:
            for notebook in gradebook.find_submission(where["assignment"], where["student"]).notebooks:
                exercises = exercises_of(record, notebook.name)
                locked = {cell.name for cell in notebook.notebook.source_cells if cell.locked}
                own_cells_ran = IsolatedExam(parent=self.parent).run_own_cells
                for cell in notebook.grades:
                    if cell.name in exercises:
                        _enter(cell, exercises[cell.name])
                    elif cell.name in locked and not own_cells_ran:
                        cell.auto_score, cell.needs_manual_grade = None, True
            gradebook.db.commit()
        return nb, resources


def _enter(cell: Grade, exercise: ExerciseRecord) -> None:
    ungraded = exercise.max_score == 0
    cell.auto_score = None if ungraded else exercise.score
    cell.needs_manual_grade = ungraded or cell.manual_score is not None


def _is_own_test(cell: NotebookNode, exercises: dict[str, ExerciseRecord]) -> bool:
    """Whether the cell is an instructor's own autograded test."""
    tests = cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)
    return tests and cell.metadata["nbgrader"]["grade_id"] not in exercises


def _refuse_other_points(converter: Autograde, lecture: str) -> None:
    """Raise where a check cell was released with other points than the exercise has now."""
    worth = {(exercise.topic, check_cell_id(exercise.function)): exercise.points for exercise in assignments.load(lecture).required}
    with Gradebook(converter.coursedir.db_url) as gradebook:
        try:
            released = gradebook.find_assignment(lecture)
        except MissingEntry:
            return
        for notebook in released.notebooks:
            for cell in notebook.grade_cells:
                points = worth.get((notebook.name, cell.name), cell.max_score)
                if points != cell.max_score:
                    raise NbGraderException(
                        f"{notebook.name}: the cell {cell.name} was released with {cell.max_score:g} points, and "
                        f"assignment.toml or course.toml says {points:g}. Put the points back, or release again: "
                        f"`dgm course init` in a new folder writes source/; then `nbgrader generate_assignment {lecture} --force`."
                    )


def exercises_of(record: Record, notebook: str) -> dict[str, ExerciseRecord]:
    """The exercises of one notebook by the `grade_id` of their check cells."""
    own = [exercise for exercise in record.examined if exercise.exercise.split(".")[0] == notebook]
    return {check_cell_id(exercise.exercise.split(".", 1)[1]): exercise for exercise in own}


def check_cell_id(function: str) -> str:
    """The `grade_id` of the cell that checks a function."""
    return "check-" + re.sub(r"[^A-Za-z0-9_]+", "-", function).strip("-")


def _result(exercise: ExerciseRecord) -> NotebookNode:
    """The score as plain text, which is what nbgrader reads, and the feedback as HTML, which is what people read."""
    data = {"text/plain": f"{exercise.score:g}", "text/html": html.exercises([exercise])}
    return new_output("execute_result", data, execution_count=1)


def _of_notebook(record: Record, notebook: str) -> list[str]:
    """The remarks on one notebook and on the submission as a whole."""
    topics = assignments.load(record.assignment).topics
    return [problem for problem in record.problems if problem.startswith(notebook) or not problem.startswith(topics)]


def _remarks(remarks: list[str]) -> str:
    lines = "\n".join(f"- {_plain(remark)}" for remark in remarks)
    return f"**What the grader noticed** (grades come from the functions that the notebook defines, not from its cells)\n\n{lines}"


def _plain(remark: str) -> str:
    """A remark may quote a student: no markup of theirs is rendered."""
    return "`" + remark.replace("`", "'").replace("\n", " ") + "`"
