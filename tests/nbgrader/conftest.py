"""One real nbgrader course with a dozen students, through every command."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from unittest import mock

import nbformat
import pytest

from grader.assignment import REPO_ROOT
from tests.nbgrader.students import add_own_cells, own_assignment, own_work, students

SEED = "correct-horse-battery-staple-of-nbgrader"
collect_ignore_glob = [] if importlib.util.find_spec("nbgrader") else ["test_*.py"]  # importing it takes a second
TOPICS = ("divergences", "histogram")  # two notebooks show all that six would
GRADED_TWICE = ("anna", "blank", "cells", "dora", "module", "zoe")  # by `dgm grade` as well


def nbgrader(*arguments, folder, user="instructor", code=0):
    """One command as its users type it, in this process (importing nbgrader anew would cost three seconds each)."""
    from jupyter_core.application import NoStart
    from nbgrader.apps.nbgraderapp import NbGraderApp

    before = os.getcwd()
    environment = {
        "JUPYTERHUB_USER": user,
        "DGM_SEED": SEED,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    kept = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    os.chdir(folder)
    NbGraderApp.clear_instance()
    try:
        with mock.patch("nbgrader.utils.get_osusername", return_value="jovyan"):  # then JUPYTERHUB_USER names the student
            app = NbGraderApp.instance()
            app.initialize(list(map(str, arguments)))
            app.start()
    except NoStart:  # the subcommand has run
        ended = 0
    except SystemExit as end:
        ended = end.code or 0
    finally:
        type(app.subapp).clear_instance()  # it would serve the next course as well
        NbGraderApp.clear_instance()
        os.chdir(before)
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    assert ended == code, f"nbgrader {arguments} ended with {ended}"


def in_a_process(*command, folder, **environment):
    """A command in a process of its own, with OpenMP's default number of threads."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | {
        "DGM_SEED": SEED,
        **environment,
    }
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


class Course:
    """Where everything of the course lies."""

    def __init__(self, root):
        self.root, self.exchange, self.homes = root / "course", root / "exchange", root / "homes"
        self.results = root / "graded-by-dgm"

    def lay_out(self, topics=TOPICS, settings=""):
        in_a_process("dgm", "course", "init", str(self.root), folder=self.root.parent)
        for notebook in (self.root / "source" / "lecture1").glob("*.ipynb"):
            if notebook.stem not in topics:
                notebook.unlink()
        with (self.root / "nbgrader_config.py").open("a") as config:
            config.write(f'c.Exchange.root = "{self.exchange}"\n{settings}\n')
        add_own_cells(self.root / "source" / "lecture1" / "divergences.ipynb")
        (self.root / "source" / "ps1").mkdir()
        nbformat.write(own_assignment(), self.root / "source" / "ps1" / "p.ipynb")
        self.exchange.mkdir()
        self.exchange.chmod(0o777)
        nbgrader("generate_assignment", "lecture1", folder=self.root)
        nbgrader("generate_assignment", "ps1", folder=self.root)

    def hand_in(self, name, files):
        """A student fetches, works, and submits."""
        home = self.homes / name
        home.mkdir(parents=True)
        options = ("--course", "course", f"--Exchange.root={self.exchange}")
        nbgrader("fetch_assignment", "lecture1", *options, folder=home, user=name)
        for file, content in files.items():
            path = home / "lecture1" / file
            path.unlink() if content is None else path.write_bytes(content)
        nbgrader("submit", "lecture1", *options, folder=home, user=name)

    def autograded(self, student, topic):
        return (self.root / "autograded" / student / "lecture1" / f"{topic}.ipynb").read_text()

    def feedback(self, student, topic):
        return (self.root / "feedback" / student / "lecture1" / f"{topic}.html").read_text()


@pytest.fixture(scope="session")
def course(tmp_path_factory):
    """The whole round. Its tests stand in one file, so that one of pytest-xdist's workers goes it, once."""
    if not (REPO_ROOT / "solutions").is_dir():
        pytest.skip("needs the instructor's checkout")
    course = Course(tmp_path_factory.mktemp("nbgrader"))
    course.lay_out()
    nbgrader("release_assignment", "lecture1", folder=course.root)
    class_ = students(course.root)
    zoe = class_.pop("zoe")
    for name, files in class_.items():
        course.hand_in(name, files)
    nbgrader("collect", "lecture1", folder=course.root)
    archive = course.root / "downloaded" / "lecture1" / "archive"
    archive.mkdir(parents=True)
    with zipfile.ZipFile(archive / "bulk.zip", "w") as bulk:  # what a learning platform hands out
        for file, content in zoe.items():
            bulk.writestr(f"notebooks_zoe_attempt_2026-11-20-15-30-10_{file}", content)
    named = r"--FileNameCollectorPlugin.named_regexp=.*_(?P<student_id>\w+)_attempt_(?P<timestamp>[0-9\-]+)_(?P<file_id>.*)"
    nbgrader("zip_collect", "lecture1", named, folder=course.root)
    own = course.root / "submitted" / "anna" / "ps1"
    own.mkdir(parents=True)
    nbformat.write(own_work(nbformat.read(course.root / "release" / "ps1" / "p.ipynb", 4)), own / "p.ipynb")
    in_a_process("nbgrader", "autograde", "lecture1", folder=course.root)
    nbgrader("autograde", "ps1", folder=course.root)
    nbgrader("generate_feedback", "lecture1", folder=course.root)
    without = "--CourseDirectory.student_id_exclude=zoe"  # nbgrader cannot release feedback on what came from a zip
    nbgrader("release_feedback", "lecture1", without, folder=course.root)
    nbgrader("export", folder=course.root)
    work = course.root.parent / "the-same-work"
    for name in GRADED_TWICE:
        shutil.copytree(course.root / "submitted" / name / "lecture1", work / name)
    in_a_process("dgm", "grade", str(work), "-o", str(course.results), folder=course.root.parent)
    return course
