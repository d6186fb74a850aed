"""Collects the checks of a lecture: ordinary pytest tests with their marks."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from grader import assignment as assignments
from grader.assignment import REPO_ROOT, Assignment, AssignmentError

NOT_EVIDENCE = "earns_nothing_alone.txt"  # beside the checks
REPLAYING = "replaying"  # the answers to the exam at home, whose inputs are public
FIXTURES = ("student", "ref", "seed", "device", "figures")

GRADING = settings(
    database=None,  # a planted example database must not choose our inputs
    deadline=None,  # time is limited by the exam, and reported as time
    derandomize=False,  # the seed is the exam's, not a hash of the check's source
    phases=(Phase.explicit, Phase.generate, Phase.shrink),  # no reuse, and no explaining of our own lines
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.function_scoped_fixture),
    report_multiple_bugs=False,
    print_blob=False,
)
MARKS = {
    "exercise(name)": "the exercise that the check belongs to",
    "weight(number)": "what the check is worth beside the others of its exercise, whose points assignment.toml names",
    "examples(number)": "how many inputs hypothesis draws (20)",
    "seconds(number)": "wall-clock limit of the check (30)",
    "gpu": "needs a GPU; reported as not graded without one",
    "training": "trains a model; left out by --quick",
}

PYTESTS_OWN = {"parametrize", "hypothesis", "skip", "skipif", "xfail", "filterwarnings", "usefixtures"}


@dataclass(frozen=True)
class Check:
    """One named property, ready to be put to any submission."""

    name: str
    exercise: str
    weight: float  # beside the other checks of the exercise
    points: float  # its part of the exercise's points
    sentence: str
    function: Callable[..., None]  # the whole test: hypothesis's wrapper where there is a `@given`
    body: Callable[..., None]  # what runs once per example
    fixtures: tuple[str, ...]
    parameters: dict[str, Any]  # of `pytest.mark.parametrize`
    drawn: bool
    seconds: float
    gpu: bool
    training: bool
    passed_by: frozenset[str] = frozenset()  # answers that are right nowhere: see `earns_nothing_alone`
    place: str = ""  # file and line, for its author

    @property
    def identity(self) -> str:
        """A name that no other check has, whatever its topic."""
        return f"{self.exercise}::{self.name}"

    @property
    def needs_reference(self) -> bool:
        return "ref" in self.fixtures

    @property
    def hollow(self) -> bool:
        """Whether zeros, an error or a value one per cent off pass it, too."""
        return bool(self.passed_by - {REPLAYING})

    @property
    def public(self) -> bool:
        """Whether everybody can see its inputs beforehand, and hand in the answers to just these."""
        return REPLAYING in self.passed_by or (not self.drawn and not {"seed", "device"} & set(self.fixtures))

    @property
    def topic(self) -> str:
        return self.exercise.split(".")[0]


def collect(lecture: str, root: Path = REPO_ROOT, topics: frozenset[str] = frozenset()) -> tuple[Check, ...]:
    """The checks of a lecture's exercises in the order of their files, with their points.

    `topics`: those whose checks are wanted, and no other module is imported; all without.
    Raises: `AssignmentError` where marks and assignment.toml do not fit together.
    """
    assignment = assignments.load(lecture, root)
    passed_by = earns_nothing_alone(lecture)
    kept = [
        replace(check, passed_by=passed_by.get(check.identity, frozenset()))
        for check in collected(lecture, topics)
        if check.exercise not in assignment.switched_off and (not topics or check.topic in topics)
    ]
    return tuple(with_points(kept, assignment, topics))


@functools.cache
def collected(lecture: str, topics: frozenset[str] = frozenset()) -> tuple[Check, ...]:
    """The checks as their marks have them. Collected once per process: pytest takes a while, and points may change.

    Raises: `AssignmentError` where they cannot be collected, or a mark makes no sense.
    """
    collector = _Collector()
    here = str(folder(lecture))
    folders = [str(path) for topic in sorted(topics) if (path := Path(here, topic)).is_dir()] or [here]
    quiet = [
        "-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:unraisableexception",
        "--noconftest", "--assert=plain", "-c", os.devnull,
    ]  # fmt: skip
    with _plain_pytest():
        status = pytest.main(["--collect-only", *quiet, "--rootdir", here, *folders], plugins=[collector])
    if collector.error is not None:
        raise collector.error
    if status is not pytest.ExitCode.OK:
        raise AssignmentError(f"the checks of {lecture} cannot be collected: {'; '.join(collector.errors) or pytest.ExitCode(status).name}")
    return tuple(collector.checks)


def with_points(checks: Sequence[Check], assignment: Assignment, topics: frozenset[str] = frozenset()) -> Iterator[Check]:
    """The checks with their points: those of an exercise sum to its points, in parts of 0.01 that follow the weights.

    Raises: `AssignmentError` where a check has no exercise, or an exercise no check.
    """
    known = {exercise.name: exercise for exercise in assignment.exercises}
    of_exercise: dict[str, list[Check]] = {name: [] for name in known}
    for check in checks:
        if check.exercise not in known:
            raise AssignmentError(
                f"{check.place}: {check.name} is a check of {check.exercise!r}, which is no exercise of {assignment.name}: "
                f"see assignments/{assignment.name}/assignment.toml"
            )
        of_exercise[check.exercise].append(check)
    points: dict[str, float] = {}
    examined_elsewhere = {name for exercise in assignment.exercises for name in exercise.of}
    for name, own in of_exercise.items():
        if not own and name not in examined_elsewhere and (not topics or known[name].topic in topics):
            raise AssignmentError(
                f"assignments/{assignment.name}/assignment.toml: exercise {name} has no checks: write one that is marked "
                f"`pytest.mark.exercise({name!r})`, or switch the exercise off (enabled = false)"
            )
        points |= zip((check.identity for check in own), _parts(known[name].points, [check.weight for check in own]), strict=True)
    for check in checks:
        yield replace(check, points=points[check.identity])


def _parts(points: float, weights: Sequence[float]) -> list[float]:
    """`points` in proportion to the weights, in hundredths (millionths where `points` are finer): the sum is exact."""
    unit = 0.01 if abs(round(points * 100) - points * 100) < 1e-9 else 1e-6
    exact = [points * weight / sum(weights) / unit for weight in weights]
    whole = [int(part + 1e-9) for part in exact]
    left = round(points / unit) - sum(whole)
    for place in sorted(range(len(weights)), key=lambda place: whole[place] - exact[place])[:left]:  # the largest remainders
        whole[place] += 1
    return [round(part * unit, 6) for part in whole]


def earns_nothing_alone(lecture: str) -> dict[str, frozenset[str]]:
    """The checks that an answer passes which is right nowhere, and these answers: zeros, an error, one per cent off, …

    `dgm dev update` finds them and writes the file. They earn their points in proportion to the others of their exercise.
    """
    path = folder(lecture) / NOT_EVIDENCE
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    parts = [line.partition(": ") for line in lines if line and not line.startswith("#")]
    return {identity: frozenset(answers.split(", ")) for identity, _, answers in parts}


@contextlib.contextmanager
def _plain_pytest() -> Iterator[None]:
    """pytest without the plugins and options that somebody has installed or set for work of their own."""
    before = dict(os.environ)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def folder(lecture: str) -> Path:
    """Where the lecture's checks lie. Raises: `AssignmentError` where it has none."""
    spec = importlib.util.find_spec(f"grader.checks.{lecture}")
    if spec is None or not spec.submodule_search_locations:
        raise AssignmentError(f"there are no checks for {lecture!r}: the folder grader/checks/{lecture} is missing")
    return Path(spec.submodule_search_locations[0])


def worker_modules(lecture: str) -> list[str]:
    """The lecture's modules of public callables: what a worker imports before it meets a submission."""
    package = importlib.import_module(f"grader.checks.{lecture}")
    return [f"{package.__name__}.{module}" for module in package.IN_THE_WORKER]


class _Collector:
    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.errors: list[str] = []
        self.error: BaseException | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        for mark, meaning in MARKS.items():
            config.addinivalue_line("markers", f"{mark}: {meaning}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(f"{report.nodeid}: {str(report.longrepr)[-500:]}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if excinfo.type is KeyboardInterrupt:  # pytest takes it for an end of its own, and calls errors by the same name
            self.error = excinfo.value

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        try:
            self.checks = [check_of(item) for item in session.items if isinstance(item, pytest.Function)]
        except AssignmentError as error:
            self.error = error


def check_of(item: pytest.Function) -> Check:
    """The check in a collected test, with the settings of grading applied to it; its points are not known yet.

    Raises: `AssignmentError` where a mark is missing, misspelt, or says what makes no sense.
    """
    known = {mark.split("(")[0] for mark in MARKS}
    for mark in item.iter_markers():
        if mark.name not in known | PYTESTS_OWN:
            said = f"{item.name} has a mark `{mark.name}`, which says nothing here"
            raise AssignmentError(f"{_place(item)}: {said}; known are {', '.join(sorted(known))}")
    weight = _mark(item, "weight")
    if not isinstance(weight, int | float) or not weight > 0:
        raise AssignmentError(f"{_place(item)}: the weight of {item.name} is {weight!r}: a number above 0 is expected")
    function = item.obj
    handle = getattr(function, "hypothesis", None)
    body = handle.inner_test if handle else function
    if handle and not getattr(function, "_hypothesis_internal_settings_applied", False):
        settings(GRADING, max_examples=_mark(item, "examples", 20))(function)
    arguments = inspect.signature(function).parameters
    return Check(
        name=item.name,
        exercise=_mark(item, "exercise"),
        weight=float(weight),
        points=0.0,
        sentence=" ".join((inspect.getdoc(body) or "").split("\n\n")[0].split()),
        function=function,
        body=body,
        fixtures=tuple(name for name in FIXTURES if name in arguments),
        parameters=dict(item.callspec.params) if hasattr(item, "callspec") else {},
        drawn=handle is not None,
        seconds=float(_mark(item, "seconds", 30)),
        gpu=item.get_closest_marker("gpu") is not None,
        training=item.get_closest_marker("training") is not None,
        place=_place(item),
    )


def _mark(item: pytest.Function, name: str, default: Any = None) -> Any:
    mark = item.get_closest_marker(name)
    if mark is None and default is None:
        raise AssignmentError(f"{_place(item)}: {item.name} has no mark `pytest.mark.{name}(...)`")
    return mark.args[0] if mark and mark.args else default


def _place(item: pytest.Function) -> str:
    return f"{item.path}, line {(item.location[1] or 0) + 1}"
