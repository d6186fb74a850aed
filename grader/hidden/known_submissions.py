"""Known answers as submissions: the solutions, the stubs, and the solutions with one function replaced.

Instructor only: needs `solutions/` and `dgm_ref/`. All but `solutions` run in this process; they are our own code.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from grader.assignment import REPO_ROOT
from grader.exam.transport import LocalTransport
from grader.hidden import places
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import Topic


def solutions(lecture: str, topics: Iterable[str]) -> dict[str, list[str]]:
    """What the kit itself would hand in, for a worker."""
    return {topic: [(places.solutions(lecture) / f"{topic}.py").read_text("utf-8")] for topic in topics}


def solution(lecture: str, topic: str) -> LocalTransport:
    """The solution of one topic."""
    return _transport(topic, _module(places.solutions(lecture) / f"{topic}.py"))


def stub(lecture: str, topic: str) -> LocalTransport:
    """What a student starts from."""
    return _transport(topic, _module(REPO_ROOT / "assignments" / lecture / f"{topic}.py"))


def with_function(lecture: str, exercise: str, function: Callable[..., Any]) -> LocalTransport:
    """The solution of a topic with the function of `exercise` replaced."""
    return with_changed(lecture, [exercise], lambda right: function)


def with_changed(lecture: str, exercises: Sequence[str], change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> LocalTransport:
    """The solution of a topic with the functions of these exercises of it changed."""
    topic = exercises[0].split(".")[0]
    module = _module(places.solutions(lecture) / f"{topic}.py")
    for exercise in exercises:
        _, *path = exercise.split(".")
        owner = functools.reduce(getattr, path[:-1], module)
        setattr(owner, path[-1], change(getattr(owner, path[-1])))
    return _transport(topic, module)


def from_source(topic: str, text: str) -> LocalTransport:
    """A topic written in a string. Raises what the module raises while it loads."""
    module = ModuleType(topic)
    sys.modules[topic] = module
    exec(compile(text, f"{topic}.py", "exec"), module.__dict__)
    return _transport(topic, module)


def _transport(topic: str, module: ModuleType) -> LocalTransport:
    host = Host()
    host.topics = {topic: Topic(module)}
    return LocalTransport(host)


def _module(path: Path) -> ModuleType:
    """A fresh module, so that a replaced function is seen by the others and by nobody else."""
    module = ModuleType(path.stem)
    sys.modules[path.stem] = module  # dataclasses look their own module up
    exec(_code(path, path.stat().st_mtime_ns), module.__dict__)
    return module


@functools.cache
def _code(path: Path, changed: int) -> Any:
    return compile(path.read_text(encoding="utf-8"), str(path), "exec")
