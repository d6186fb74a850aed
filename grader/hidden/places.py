"""Where what is secret lies. Nothing else in the kit opens these folders."""

from __future__ import annotations

from pathlib import Path

from grader.assignment import REPO_ROOT

SECRET = ("dgm_ref", "solutions")  # packages of the instructor's


def solutions(assignment: str, root: Path = REPO_ROOT) -> Path:
    """The folder of the sources: one module a topic."""
    return root / "solutions" / assignment


def reference(assignment: str, root: Path = REPO_ROOT) -> Path:
    """The folder of the reference, of mistakes and of variants: a folder a topic."""
    return root / "dgm_ref" / assignment


def out_of_reach(seed_file: Path, root: Path = REPO_ROOT) -> tuple[Path, ...]:
    """What no worker may ever read, as far as it lies on this machine."""
    places = [*(root / name for name in (*SECRET, "tests", ".git")), seed_file.resolve()]
    return tuple(place for place in places if place.exists())
