"""Collects the checks of a lecture: ordinary pytest tests with their marks."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

FIXTURES = ("student", "ref", "seed", "device")

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
    "points(number)": "what the check is worth",
    "examples(number)": "how many inputs hypothesis draws (20)",
    "seconds(number)": "wall-clock limit of the check (30)",
    "gpu": "needs a GPU; reported as not graded without one",
    "training": "trains a model; left out by --quick",
}


@dataclass(frozen=True)
class Check:
    """One named property, ready to be put to any submission."""

    name: str
    exercise: str
    points: float
    sentence: str
    function: Callable[..., None]  # the whole test: hypothesis's wrapper where there is a `@given`
    body: Callable[..., None]  # what runs once per example
    fixtures: tuple[str, ...]
    parameters: dict[str, Any]  # of `pytest.mark.parametrize`
    drawn: bool
    seconds: float
    gpu: bool
    training: bool

    @property
    def identity(self) -> str:
        """A name that no other check has, whatever its topic."""
        return f"{self.exercise}::{self.name}"

    @property
    def needs_reference(self) -> bool:
        return "ref" in self.fixtures

    @property
    def conduct(self) -> bool:
        """Whether the check is about refusals and traces alone, which a function without one right value also gets right."""
        asserts = {name for name in self.body.__code__.co_names if name.startswith("assert_") or name == "refuses"}
        return bool(asserts) and asserts <= {"assert_no_trace", "refuses"}

    @property
    def topic(self) -> str:
        return self.exercise.split(".")[0]


@functools.cache
def collect(lecture: str) -> tuple[Check, ...]:
    """The checks of a lecture in the order of their files. Collected once per process."""
    collector = _Collector()
    here = str(folder(lecture))
    quiet = ["-p", "no:cacheprovider", "-p", "no:terminal", "-c", os.devnull]
    with _plain_pytest():
        status = pytest.main(["--collect-only", *quiet, "--rootdir", here, here], plugins=[collector])
    if status is not pytest.ExitCode.OK:
        raise RuntimeError(f"the checks of {lecture} cannot be collected: {'; '.join(collector.errors) or pytest.ExitCode(status).name}")
    return tuple(collector.checks)


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
    """Where the lecture's checks lie."""
    spec = importlib.util.find_spec(f"grader.checks.{lecture}")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"there are no checks for {lecture!r}: the folder grader/checks/{lecture} is missing")
    return Path(spec.submodule_search_locations[0])


def families(lecture: str) -> list[str]:
    """The lecture's modules of public callables: what a worker imports before it meets a submission."""
    package = importlib.import_module(f"grader.checks.{lecture}")
    return [f"{package.__name__}.{module}" for module in package.IN_THE_WORKER]


class _Collector:
    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.errors: list[str] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        for mark, meaning in MARKS.items():
            config.addinivalue_line("markers", f"{mark}: {meaning}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(f"{report.nodeid}: {str(report.longrepr)[-500:]}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.checks = [check_of(item) for item in session.items if isinstance(item, pytest.Function)]


def check_of(item: pytest.Function) -> Check:
    """The check in a collected test, with the settings of grading applied to it."""
    function = item.obj
    handle = getattr(function, "hypothesis", None)
    body = handle.inner_test if handle else function
    if handle and not getattr(function, "_hypothesis_internal_settings_applied", False):
        settings(GRADING, max_examples=_mark(item, "examples", 20))(function)
    arguments = inspect.signature(function).parameters
    return Check(
        name=item.name,
        exercise=_mark(item, "exercise"),
        points=float(_mark(item, "points")),
        sentence=" ".join((inspect.getdoc(body) or "").split("\n\n")[0].split()),
        function=function,
        body=body,
        fixtures=tuple(name for name in FIXTURES if name in arguments),
        parameters=dict(item.callspec.params) if hasattr(item, "callspec") else {},
        drawn=handle is not None,
        seconds=float(_mark(item, "seconds", 30)),
        gpu=item.get_closest_marker("gpu") is not None,
        training=item.get_closest_marker("training") is not None,
    )


def _mark(item: pytest.Function, name: str, default: Any = None) -> Any:
    mark = item.get_closest_marker(name)
    if mark is None and default is None:
        raise ValueError(f"{item.nodeid} has no mark `{name}`")
    return mark.args[0] if mark else default
