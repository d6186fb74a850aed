"""What a class costs: `dgm grade` beside a fresh pytest process per submission, stock nbgrader, and the
bare functions.

    python benchmarks/throughput.py [--class 40] [--pytest 40] [--nbgrader 2] [--growth 10 1000]

All grade the same generated submissions by the same checks, those that train a model apart. CPU seconds are of the
process and all its children. Stock nbgrader runs the notebooks' public checks only: it does less.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.exam.examiner import Examiner
from grader.exam.replay import Plans
from grader.grading.options import GradingOptions
from grader.grading.session import GradingSession
from grader.hidden.answer_key import InstructorsKey
from grader.hidden.reference import Reference
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import SubmissionFinder
from grader.sandbox.wire.frames import WireError, decode, encode, split
from grader.sandbox.wire.objects import from_wire
from grader.submission import Submission, find, read

LECTURE = "lecture1"
EXAMPLES = REPO_ROOT / "examples" / "submissions" / LECTURE  # made by `python examples/make_submissions.py`
OPTIONS = GradingOptions(LECTURE, "a seed for benchmarks", quick=True)
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls alembic by name
ENVIRONMENT = {**os.environ, "PATH": PATH, "OMP_NUM_THREADS": "1", "DGM_SEED": OPTIONS.seed}
RIGHT, MISSING = 0.8, 0.1  # shares of the functions of a generated submission; the rest is wrong

WRONG = """
def _spoilt(function):
    def spoilt(*args, **kwargs):
        value = function(*args, **kwargs)
        return value * 1.01 if isinstance(value, torch.Tensor) and value.is_floating_point() else value
    return spoilt
"""


def generate(folder: Path, number: int) -> Path:
    """Submissions in which most functions are right, some are not there and some are wrong."""
    assignment = assignments.load(LECTURE)
    chance = random.Random(0)
    for index in range(number):
        (folder / f"s{index:04d}").mkdir(parents=True)
        for topic in assignment.topics:
            text = (REPO_ROOT / "solutions" / LECTURE / f"{topic}.py").read_text("utf-8") + WRONG
            for function in assignment.functions(topic):
                fate = chance.random()
                if RIGHT <= fate < RIGHT + MISSING:
                    text += f"\ndef _not_there(*args, **kwargs):\n    raise NotImplementedError\n{function} = _not_there\n"
                elif fate >= RIGHT + MISSING:
                    text += f"\n{function} = _spoilt({function})\n"
            (folder / f"s{index:04d}" / f"{topic}.py").write_text(text, "utf-8")
    return folder


class Spent(NamedTuple):
    """What some work has taken."""

    cpu: float  # seconds, children included
    wall: float  # seconds
    peak: float = 0.0  # MiB, of the largest process


def cost(work: Callable[[], object]) -> Spent:
    """What work takes in a process of its own, so that its peak is its own."""
    here, there = multiprocessing.Pipe(duplex=False)

    def measured() -> None:
        before, started = _cpu(), time.perf_counter()
        work()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        there.send(Spent(_cpu() - before, time.perf_counter() - started, peak))

    process = multiprocessing.get_context("fork").Process(target=measured)
    process.start()
    there.close()
    spent: Spent = here.recv()  # EOFError: it has failed and said why
    process.join()
    return spent


def dgm_grade(submissions: Path, results: Path) -> None:
    _run(["-c", "from grader.cli import app; app()", "grade", str(submissions), "-o", str(results), "--quick", "--json"])


def pytest_processes(submissions: list[Path]) -> None:
    checks = str(REPO_ROOT / "grader" / "checks" / LECTURE)
    for path in submissions:
        options = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-m", "not training and not gpu"]
        _run(["-m", "pytest", checks, *options, "--submission", str(path)], may_fail=True)


def stock_nbgrader(number: int, folder: Path) -> Spent:
    """Stock autograde of right notebooks; making the assignment is not counted."""
    source = folder / "source" / LECTURE
    source.mkdir(parents=True)
    for notebook in (REPO_ROOT / "assignments" / LECTURE).glob("*.ipynb"):
        shutil.copy(notebook, source)
    for index in range(number):
        with zipfile.ZipFile(EXAMPLES / "02_all_right_notebooks.zip") as archive:
            archive.extractall(folder / "submitted" / f"s{index:04d}" / LECTURE)
    configuration = f"c = get_config()\nc.CourseDirectory.root = {str(folder)!r}\nc.ExecutePreprocessor.timeout = 900\n"
    (folder / "nbgrader_config.py").write_text(configuration, "utf-8")
    _run(["-m", "nbgrader", "generate_assignment", LECTURE, "--create"], folder)
    return cost(lambda: _run(["-m", "nbgrader", "autograde", LECTURE, "--create"], folder))


def bare(submissions: list[Submission], plans: Plans) -> Spent:
    """The functions called in this process on the inputs that the checks gave them, their answers thrown away."""
    hosts = []
    for submission in submissions:
        host = Host()
        for topic in submission.topics:
            sys.modules.pop(topic, None)  # of the submission before
        host.topics = SubmissionFinder(f"assignments.{LECTURE}", submission.topics, 60.0, False).load_all()
        hosts.append(host)
    messages = [_message(call) for check in plans.values() for plan in check for call in plan.calls]

    cpu = wall = 0.0
    for host in hosts:
        for message in messages:
            cpu, wall = cpu - time.process_time(), wall - time.perf_counter()
            answer = host.answer(message)
            cpu, wall = cpu + time.process_time(), wall + time.perf_counter()
            with contextlib.suppress(WireError):
                encode(answer, host.keep_in_worker)  # keeps the objects that later calls ask for
    return Spent(cpu, wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def where_it_goes(session: GradingSession, submission: Submission, bare_cpu: float) -> None:
    """Where the CPU seconds of a right submission's exam go."""
    zygote = session.workers._zygote.pid  # type: ignore[attr-defined]
    drawn = Examiner(session.assignment, session.examiner.checks, OPTIONS.seed, key=InstructorsKey(LECTURE, names=False), quick=True)
    drawing = cost(lambda: [drawn.examples(check) for check in drawn.checks]).cpu
    asked = [0.0]
    ask = Reference.__getattr__

    def timed(self: Reference, name: str) -> Callable[..., object]:
        function = ask(self, name)

        def call(*args: object, **kwargs: object) -> object:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                asked[0] += time.process_time() - started

        return call

    session.grade(submission)
    Reference.__getattr__ = timed  # type: ignore[method-assign]
    grader, worker = time.process_time(), cpu_of(zygote)
    session.grade(submission)
    grader, worker = time.process_time() - grader, cpu_of(zygote) - worker
    Reference.__getattr__ = ask  # type: ignore[method-assign]
    print("\nA right submission's exam, training apart (CPU seconds; drawing happens once per class)")
    for name, seconds in (
        ("hypothesis draws the inputs (once)", drawing),
        ("grader: remembered reference answers", asked[0]),
        ("grader: checks, comparisons, its side of the transport", grader - asked[0]),
        ("worker: start, loading, its side of the transport", worker - bare_cpu),
        ("worker: the student's functions", bare_cpu),
        ("the exam", grader + worker),
    ):
        print(f"  {name:58} {seconds:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--class", dest="number", type=int, default=40)
    parser.add_argument("--pytest", type=int, default=40, help="how many of them in pytest processes")
    parser.add_argument("--nbgrader", type=int, default=2, help="how many submissions of six notebooks")
    parser.add_argument("--growth", type=int, nargs="*", default=[], help="sizes of further classes for dgm grade")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}, Python {platform.python_version()}, torch {torch.__version__}")
    with tempfile.TemporaryDirectory(prefix="dgm-throughput-") as name:
        folder = Path(name)
        classes = {size: generate(folder / f"class{size}", size) for size in dict.fromkeys([*options.growth, options.number])}
        print(f"\n{'':34}{'n':>6} {'CPU s each':>11} {'wall s each':>12} {'peak MiB of a process':>22}")
        for size, submissions in sorted(classes.items()):
            spent = cost(functools.partial(dgm_grade, submissions, folder / f"results{size}"))
            each = _row("dgm grade", size, spent)  # at last that of the largest class
        submitted = classes[options.number]  # the others grade this one, too
        with GradingSession(OPTIONS) as session:
            session.rehearse()
            assignment = assignments.load(LECTURE)
            everybody = [read(one, assignment) for one in find(submitted, assignment)]
            (right,) = [read(one, assignment) for one in find(EXAMPLES / "01_all_right", assignment)]
            bare_each = _row("bare limit", len(everybody), bare(everybody, session.examiner.plans))
            where_it_goes(session, right, bare([right], session.examiner.plans).cpu)
        print()
        paths = sorted(submitted.iterdir())[: options.pytest]
        pytest_each = _row("a pytest process each", len(paths), cost(lambda: pytest_processes(paths)))
        spent = stock_nbgrader(options.nbgrader, folder / "course")
        nbgrader_each = _row("stock nbgrader autograde", options.nbgrader, spent)
    print(f"\nCPU of a submission in dgm grade: 1/{pytest_each / each:.1f} of a pytest process, ", end="")
    print(f"1/{nbgrader_each / each:.1f} of stock nbgrader, {each / bare_each:.1f} times the functions alone")


def _row(name: str, number: int, spent: Spent) -> float:
    print(f"{name:34}{number:6} {spent.cpu / number:11.2f} {spent.wall / number:12.2f} {spent.peak:22.0f}", flush=True)
    return spent.cpu / number


def _run(arguments: list[str], folder: Path = REPO_ROOT, may_fail: bool = False) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        raise SystemExit(f"{' '.join(arguments)}: {(done.stdout + done.stderr)[-2000:]}")


def _message(frame: bytes) -> dict[str, object]:
    message: dict[str, object] = decode(*split(frame), from_wire)
    return message


def _cpu() -> float:
    """Of this process and of all children that have ended."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cpu_of(pid: int | str) -> float:
    """Of a process, its living descendants, and all that these have reaped."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    children = [child for thread in Path(f"/proc/{pid}/task").iterdir() for child in (thread / "children").read_text().split()]
    return own + sum(map(cpu_of, children))


if __name__ == "__main__":
    main()
