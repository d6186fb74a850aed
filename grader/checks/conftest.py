"""The checks under plain pytest, one submission at a time: for trying out a check, in this very process.

    pytest grader/checks/lecture1 --submission solutions/lecture1 -k kl

The code of the submission runs with all your rights. Grades come from `dgm grade`.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

from grader import assignment as assignments
from grader.checking.student import Student
from grader.exam.collect import MARKS, Check, check_of
from grader.exam.inputs import derive
from grader.exam.transport import LocalTransport
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import SubmissionFinder
from grader.submission import lone, read

SEED = "plain pytest"
LATER = "graded after submission: it compares with the hidden reference"
CHECK = pytest.StashKey[Check]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--submission", type=Path, help="folder, module, notebook or zip that the checks examine")


def pytest_configure(config: pytest.Config) -> None:
    for mark, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {meaning}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("exercise"):
            check = item.stash[CHECK] = check_of(item)
            if check.drawn:
                hypothesis.seed(derive(SEED, check.identity))(item.obj)
            if check.gpu and not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="needs a GPU, and this machine has none"))


@pytest.fixture
def submitted(request: pytest.FixtureRequest) -> LocalTransport:
    path = request.config.getoption("--submission")
    if path is None:
        pytest.skip("say what to examine: --submission PATH")
    return _loaded(path, request.path.parent.parent.name)


@functools.cache
def _loaded(path: Path, lecture: str) -> LocalTransport:
    assignment = assignments.load(lecture)
    host = Host()
    finder = SubmissionFinder(f"assignments.{lecture}", read(lone(path), assignment).topics, 60.0, False)
    host.topics = finder.load_all()
    return LocalTransport(host)


@pytest.fixture
def student(request: pytest.FixtureRequest, submitted: LocalTransport) -> Student:
    return Student(request.node.stash[CHECK].topic, submitted)


@pytest.fixture
def ref(request: pytest.FixtureRequest) -> Any:
    lecture = request.path.parent.parent.name
    places = pytest.importorskip("grader.hidden.places", reason=LATER)  # a student's kit has none
    if not places.available(lecture):
        pytest.skip(LATER)
    return importlib.import_module("grader.hidden.reference").Reference(lecture, request.node.stash[CHECK].topic)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return derive(SEED, f"fixture {request.node.stash[CHECK].identity}")


@pytest.fixture
def device() -> str:
    return "cuda"  # without one, checks that ask for it are skipped
