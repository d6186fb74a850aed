"""Where what is secret lies. Nothing else in the kit opens these folders."""

from __future__ import annotations

from pathlib import Path

from grader.assignment import REPO_ROOT
from grader.course import VARIABLE
from grader.errors import GraderError

SECRET = ("dgm_ref", "solutions")  # packages of the instructor's


NOT_HERE = (
    f"the grader is installed without {{missing}}. Set ${VARIABLE} to the folder that holds assignments/, solutions/, dgm_ref/ and "
    f"grader/checks/ (a checkout of the instructor's repository will do): {VARIABLE}=/path/to/it dgm …"
)


class NotHere(GraderError):
    """The grader is here without the course that it grades; the message says what to do."""


def solutions(assignment: str, root: Path = REPO_ROOT) -> Path:
    """The folder of the sources: one module a topic. Raises: `NotHere`."""
    folder = root / "solutions"
    if not folder.is_dir():
        raise NotHere(NOT_HERE.format(missing="solutions/"))
    return folder / assignment


def reference(assignment: str, root: Path = REPO_ROOT) -> Path:
    """The folder of the reference, of mistakes and of variants: a folder a topic."""
    return root / "dgm_ref" / assignment


def out_of_reach(seed_file: Path, root: Path = REPO_ROOT) -> tuple[Path, ...]:
    """What no worker may ever read, as far as it lies on this machine."""
    places = [*(root / name for name in (*SECRET, "tests", ".git")), seed_file.resolve()]
    return tuple(place for place in places if place.exists())
