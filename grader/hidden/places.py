"""Where what is secret lies. Nothing else in the kit opens these folders."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from grader.assignment import REPO_ROOT
from grader.course import VARIABLE
from grader.errors import GraderError

REFERENCE, SOLUTIONS = "dgm_ref", "solutions"  # packages of the instructor's


class HiddenFolderMissing(GraderError):
    """The grader is here without the course that it grades."""

    def __init__(self, missing: str) -> None:
        super().__init__(
            f"the grader is installed without {missing}/. Set ${VARIABLE} to the folder that holds assignments/, solutions/, dgm_ref/ "
            f"and grader/checks/ (a checkout of the instructor's repository will do): {VARIABLE}=/path/to/it dgm …"
        )


def available(lecture: str) -> bool:
    """Whether the hidden reference is on this machine: it never is on a student's."""
    return importlib.util.find_spec(REFERENCE) is not None and importlib.util.find_spec(f"{REFERENCE}.{lecture}") is not None


def refuse_without_reference(missing: str | None = REFERENCE) -> None:
    """Raise `HiddenFolderMissing` if the module that was not found, or is to be imported, is of the reference, and that is not here."""
    if missing and missing.split(".")[0] == REFERENCE and importlib.util.find_spec(REFERENCE) is None:
        raise HiddenFolderMissing(REFERENCE)


def solutions(assignment: str, root: Path = REPO_ROOT) -> Path:
    """The folder of the sources: one module a topic. Raises: `HiddenFolderMissing`."""
    folder = root / SOLUTIONS
    if not folder.is_dir():
        raise HiddenFolderMissing(SOLUTIONS)
    return folder / assignment


def reference(assignment: str, root: Path = REPO_ROOT) -> Path:
    """The folder of the reference, of mistakes and of variants: a folder a topic."""
    return root / REFERENCE / assignment


def out_of_reach(seed_file: Path) -> tuple[Path, ...]:
    """What no worker may ever read, as far as it lies on this machine."""
    places = [*(REPO_ROOT / name for name in (REFERENCE, SOLUTIONS, "tests", ".git")), seed_file.resolve()]
    return tuple(place for place in places if place.exists())
