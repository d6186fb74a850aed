"""Wrong answers that students really give, and right answers that look different.

Every mistake must be killed by the check that it names; every variant must get full marks. The same list tells a
student what was misunderstood.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = Callable[..., Any]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer: what it replaces, the check that must fail on it, and the sentence for the student."""

    exercise: str
    name: str
    killed_by: str
    says: str
    function: Function
    replaces: str  # the exercise whose function it stands in for: not its own where that examines others again
    needs_gpu: bool  # on a CPU it does no harm


@dataclass(frozen=True)
class Variant:
    """Another right answer."""

    exercise: str
    name: str
    function: Function
    replaces: str  # as for a mistake


MISTAKES: dict[str, list[Mistake]] = {}
VARIANTS: dict[str, list[Variant]] = {}


def mistake(
    exercise: str, *, killed_by: str, says: str, replaces: str = "", needs_gpu: bool = False
) -> Callable[[Function], Function]:
    """Register the decorated function as a wrong answer to `exercise`."""

    def register(function: Function) -> Function:
        registered = Mistake(exercise, function.__name__, killed_by, says, function, replaces or exercise, needs_gpu)
        MISTAKES.setdefault(exercise, []).append(registered)
        return function

    return register


def variant(exercise: str, *, replaces: str = "") -> Callable[[Function], Function]:
    """Register the decorated function as another right answer to `exercise`."""

    def register(function: Function) -> Function:
        registered = Variant(exercise, function.__name__, function, replaces or exercise)
        VARIANTS.setdefault(exercise, []).append(registered)
        return function

    return register


def load(lecture: str) -> None:
    """Import the lecture's catalogue, which fills `MISTAKES` and `VARIANTS`."""
    package = importlib.import_module(f"dgm_ref.{lecture}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if module.name.rpartition(".")[2].startswith("mistakes_"):
            importlib.import_module(module.name)
