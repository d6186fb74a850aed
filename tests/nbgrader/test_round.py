"""What came out of the round that the fixture `course` has gone, and how it looks in Debian's Chromium: one file, one round."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from unittest import mock

import msgspec
import nbformat
import pytest

from grader.assignment import load
from grader.grading.store import read
from tests.nbgrader.conftest import GRADED_TWICE, SEED, TOPICS, in_a_process
from tests.nbgrader.students import PIXEL, SCRIPT

STUDENTS = [
    "anna",
    "blank",
    "broken",
    "carl",
    "cells",
    "dora",
    "emil",
    "injects",
    "leaves",
    "module",
    "nojson",
    "old",
    "patches",
    "zoe",
]
MATHJAX = "window.MathJax = {Hub: {Config() {}, Configured() {}, Queue() {}, Startup: {signal: {Interest() {}}}}};"
SHOTS = Path(os.environ.get("DGM_SCREENSHOTS", ""))  # where to leave pictures for a person to look at


@pytest.fixture(scope="session")
def gradebook(course):
    """From student and exercise to the score in the gradebook."""
    from nbgrader.api import Gradebook

    from grader.nbgrader.exam import check_cell_id

    exercises = {(e.topic, check_cell_id(e.function)): e.name for e in load("lecture1").required}
    with Gradebook(f"sqlite:///{course.root}/gradebook.db") as book:
        return {
            submission.student.id: {
                exercises[notebook.name, grade.name]: grade.auto_score
                for notebook in submission.notebooks
                for grade in notebook.grades
                if (notebook.name, grade.name) in exercises
            }
            for submission in book.assignment_submissions("lecture1")
        }  # fmt: skip


@pytest.fixture(scope="session")
def graded_by_dgm(course):
    return {
        record.submission: {e.exercise: e.score for e in record.exercises if e.exercise.split(".")[0] in TOPICS}
        for record in read(course.results)
    }


def test_the_two_grades_agree_for_every_exercise(gradebook, graded_by_dgm):
    assert sorted(gradebook) == STUDENTS
    assert {student: gradebook[student] for student in GRADED_TWICE} == graded_by_dgm


def test_the_grades_are_what_the_work_deserves(gradebook):
    worth = {e.name: e.points for e in load("lecture1").required if e.topic in TOPICS}
    for student in ("anna", "broken", "cells", "emil", "injects", "module", "old", "zoe"):
        assert gradebook[student] == worth, student
    for student in ("blank", "patches"):
        assert set(gradebook[student].values()) == {0}, student
    wrong = {student: {name for name in worth if scores[name] < worth[name]} for student, scores in gradebook.items()}
    assert {"divergences.kl_divergence", "histogram.fit_histogram"} <= wrong["carl"]
    assert gradebook["carl"]["histogram.num_parameters"] == worth["histogram.num_parameters"]
    assert wrong["dora"] == {"divergences.kl_divergence"}
    assert {name.split(".")[0] for name in wrong["leaves"]} == {"histogram"}
    assert wrong["nojson"] == {name for name in worth if name.startswith("divergences.")}


def test_the_export_has_the_totals(course, gradebook):
    with (course.root / "grades.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["assignment"] == "lecture1"]
    totals = {row["student_id"]: float(row["score"]) for row in rows}
    assert totals == {student: sum(scores.values()) for student, scores in gradebook.items()}


def test_the_feedback_shows_checks_counterexample_and_named_mistake(course):
    page = course.feedback("dora", "divergences")
    assert "you computed the reverse KL" in page
    assert "you returned 0.5108, expected 0.3681 (nats)" in page
    assert "kl_divergence(" in page.split("This is KL")[0]


def test_the_feedback_shows_the_bonus_which_is_in_no_grade(course, gradebook):
    assert "5 of 5 bonus points" in course.feedback("anna", "histogram")
    assert "0 of 5 bonus points" in course.feedback("blank", "histogram")
    assert all("histogram.accepts" not in scores for scores in gradebook.values())
    records = {record.submission: record for record in read(course.results)}
    assert (records["anna"].bonus_score, records["blank"].bonus_score) == (5, 0)


def test_what_was_done_to_cells_is_reported(course):
    page = course.feedback("cells", "histogram")
    for remark in (
        "The cell check-fit_histogram had been deleted", "The cell check-num_parameters stands here more than once",
        "The locked cell check-sample_histogram had been changed", "A cell calls itself &#39;mine&#39;",
    ):  # fmt: skip
        assert remark in page or remark.replace("&#39;", "'") in page, remark


def test_a_notebook_that_cannot_be_graded_has_a_clear_entry(course):
    assert "could not be read as a notebook" in course.feedback("nojson", "divergences")
    assert "was skipped" in course.feedback("emil", "histogram")


def test_validate_tells_right_work_from_unfinished_work(course):
    said = {}
    for student in ("anna", "blank"):
        said[student] = in_a_process("nbgrader", "validate", "histogram.ipynb", folder=course.homes / student / "lecture1")
    assert "Success! Your notebook passes all the tests." in said["anna"]
    assert "VALIDATION FAILED ON 5 CELL(S)!" in said["blank"]


def test_nobody_is_missing(course):
    for student in STUDENTS:
        assert (course.root / "feedback" / student / "lecture1").is_dir(), student


def test_feedback_came_back_through_the_exchange(course):
    assert list((course.exchange / "course" / "feedback").glob("*.html"))


@pytest.mark.parametrize("topic", TOPICS)
def test_neither_page_nor_notebook_holds_a_solution_or_the_seed(course, topic):
    source = nbformat.read(str(course.root / "source" / "lecture1" / f"{topic}.ipynb"), 4)
    secret = set()
    for cell in source.cells:
        inside = "solution-only" in cell.metadata.get("tags", [])
        for line in cell.source.splitlines():
            if "SOLUTION" in line:
                inside = "BEGIN" in line
            elif inside and len(line.strip()) > 25:
                secret.add(line.strip())
    released = (course.root / "release" / "lecture1" / f"{topic}.ipynb").read_text()
    assert len(secret) > 5
    for text in (released, course.autograded("blank", topic), course.feedback("blank", topic)):
        assert SEED not in text
        plain = text.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace('\\"', '"')
        assert [line for line in secret if line in plain] == []
    for student in STUDENTS:
        for path in (course.root / "autograded" / student).rglob("*.ipynb"):
            assert SEED not in path.read_text()
            json.loads(path.read_text())


def test_an_instructors_own_test_and_task_wait_for_a_person(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.root}/gradebook.db") as book:
        for student in ("anna", "blank", "dora"):
            grades = {name: book.find_grade(name, "divergences", "lecture1", student) for name in ("own-test", "own-essay", "own-task")}
            assert all(grade.auto_score in (None, 0) for grade in grades.values()), student
            assert grades["own-test"].needs_manual_grade
            assert grades["own-test"].auto_score is None
            assert grades["own-task"].needs_manual_grade
        assert book.find_grade("own-essay", "divergences", "lecture1", "anna").needs_manual_grade


def test_an_answer_keeps_its_pictures_and_loses_its_links(course):
    notebook = nbformat.reads(course.autograded("anna", "divergences"), 4)
    cells = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in notebook.cells}
    assert list(cells["own-essay"].attachments) == ["plot.png"]
    assert "![a plot](attachment:plot.png)" in cells["own-essay"].source
    assert "](javascript:" not in cells["own-essay"].source
    assert "](attachment:nope" not in cells["own-essay"].source
    assert cells["own-task"].metadata.nbgrader.task is True
    page = course.feedback("anna", "divergences")
    assert "data:image/png;base64," in page
    assert 'href="javascript:' not in page


def test_another_assignment_of_the_course_is_graded_as_nbgrader_does(course):
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.root}/gradebook.db") as book:
        assert book.find_grade("test-f", "p", "ps1", "anna").auto_score == 4
    shown = nbformat.read(course.root / "autograded" / "anna" / "ps1" / "p.ipynb", 4)
    assert shown.cells[2].attachments == {"plot.png": {"image/png": PIXEL}}
    assert shown.cells[-1].source == "[a link](https://example.org)"


def test_points_that_differ_between_cell_and_exercise_are_refused(course, monkeypatch):
    from nbgrader.converters.base import NbGraderException

    from grader import assignment as assignments
    from grader.nbgrader import exam

    whole = load("lecture1")
    kl = whole["divergences.kl_divergence"]
    changed = [msgspec.structs.replace(one, points=3.0) if one is kl else one for one in whole.exercises]
    monkeypatch.setattr(assignments, "load", lambda name: msgspec.structs.replace(whole, exercises=tuple(changed)))
    converter = mock.Mock()
    converter.coursedir.db_url = f"sqlite:///{course.root}/gradebook.db"
    with pytest.raises(NbGraderException, match="check-kl_divergence was released with 4 points, and assignment.toml or .* says 3"):
        exam._refuse_other_points(converter, "lecture1")


def test_nothing_of_a_students_runs_in_a_reader_s_browser(course):
    page = course.feedback("injects", "divergences")
    assert SCRIPT not in page
    assert "<script>window" not in page
    assert "<img src=x" not in page


# --- in a browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or pytest.skip("needs Debian's chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, request):
    """A page that fails the test on any error of the console. MathJax comes from a CDN, which a test does not call."""
    page = browser.new_page(color_scheme=getattr(request, "param", "light"), viewport={"width": 1100, "height": 1500})
    problems = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.route("**/mathjax/**", lambda route: route.fulfill(body=MATHJAX, content_type="text/javascript"))
    yield page
    page.close()
    assert problems == []


@pytest.fixture(scope="module")
def server(course):
    """A Jupyter server in the course's folder with nbgrader's extensions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", f"--notebook-dir={course.root}", "--no-browser", "--allow-root"]
    options += ["--IdentityProvider.token=", "--ServerApp.jpserver_extensions=nbgrader.server_extensions.formgrader=True"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"DGM_SEED": SEED, "JUPYTER_CONFIG_DIR": str(course.root), "PATH": path}
    log = (course.root / "server.log").open("w")
    process = subprocess.Popen(["jupyter", "lab", *options], cwd=course.root, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            except OSError:
                assert process.poll() is None, (course.root / "server.log").read_text()[-3000:]
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def shoot(page, name):
    if str(SHOTS) != ".":
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_a_feedback_page_opens_without_errors(page, course, request):
    page.goto(f"file://{course.root}/feedback/dora/lecture1/divergences.html")
    section = page.locator(".dgm section[aria-label='divergences.kl_divergence']")
    assert "you computed the reverse KL" in section.inner_text()
    shoot(page, f"feedback-{request.node.callspec.id}")


def test_a_student_s_markup_does_not_run(page, course):
    page.goto(f"file://{course.root}/feedback/injects/lecture1/divergences.html")
    assert page.evaluate("window.taken") is None


def test_formgrader_lists_and_shows_submissions(page, server):
    page.goto(f"{server}/formgrader/gradebook/lecture1/divergences")
    page.wait_for_selector("text=/Submission #/")
    shoot(page, "formgrader")
    page.locator("a", has_text="Submission #1").first.click()
    page.wait_for_selector(".dgm section")
    shoot(page, "formgrader-submission")
