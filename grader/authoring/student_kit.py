"""`dgm release`: the student kit, which is this repository without what is hidden, as a zip and as two wheels.

The zip is whole: the engine with one assignment. Of the wheels one is the engine and one the assignment, so that several
assignments can be installed into one environment, for notebooks' kernels.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grader import course as courses
from grader.assignment import REPO_ROOT, Assignment, lectures, load
from grader.authoring import build
from grader.errors import GraderError
from grader.practice.reset import ORIGINALS

ZIP_TIME = (2026, 1, 1, 0, 0, 0)  # the same kit gives the same zip, byte by byte
NEVER_SHIPPED = ("authoring", "grading", "hidden", "nbgrader")  # what knows the right answers, or decides grades
OPEN = (".py", ".html", ".css", ".js")  # what the engine consists of
ALONGSIDE = ("LICENSE", "constraints.txt")

PYPROJECT = """\
[build-system]
requires = {requires}
build-backend = "hatchling.build"

[project]
name = {name}
version = {version}
description = {description}
readme = "README.md"
license = {license}
requires-python = {python}
dependencies = {dependencies}

[project.optional-dependencies]
student = {student}

{scripts}
[tool.hatch.build]
dev-mode-dirs = ["."]

[tool.hatch.build.targets.wheel]
packages = ["grader", "assignments"]
"""

ENGINE_ALONE = b"The engine of the exercises. Every assignment has a wheel of its own beside this one.\n"
SCRIPTS = """\
[project.scripts]
dgm = "grader.cli:app"

"""


class CannotRelease(GraderError):
    """Nothing was written; the message says why."""


def release(lecture: str, target: Path) -> list[Path]:
    """Write ``dgm-kit-<assignment>-<version>.zip`` and the wheels into `target` and return their paths.

    Raises: `CannotRelease`; `build.SourceError`.
    """
    files = kit(lecture)
    named, project = _name_and_version(load(lecture)), _engines()
    name = f"{named['name']}-{named['version']}"
    target.mkdir(parents=True, exist_ok=True)
    archive = target / f"{name}.zip"
    archive.write_bytes(_zip({f"{name}/{path}": content for path, content in files.items()}))
    of_assignment = (f"assignments/{lecture}/", f"grader/checks/{lecture}/")
    parts = {path: content for path, content in files.items() if path.startswith(of_assignment)}
    engine = {path: content for path, content in files.items() if path not in parts}
    # the assignment alone needs an engine at least as new
    needs = {"dependencies": [f"{project['name']}>={project['version']}"], "student": [f"{project['name']}[student]"]}
    return [
        archive,
        _wheel({**engine, "README.md": ENGINE_ALONE, "pyproject.toml": _pyproject(scripts=SCRIPTS)}, target),
        _wheel({**parts, "README.md": files["README.md"], "pyproject.toml": _pyproject(scripts="", **named, **needs)}, target),
    ]


def kit(lecture: str) -> dict[str, bytes]:
    """Every file that students get, by its path.

    Stubs and notebooks are made from the sources at this moment: a solution that someone wrote into ``assignments/`` never
    gets out. Of a course.toml they get what it says of points. Raises: `CannotRelease` outside of a checkout.
    """
    if not (REPO_ROOT / "pyproject.toml").exists():
        raise CannotRelease(f"{REPO_ROOT} is no checkout of the instructor's repository, from which a kit is made")
    assignment = load(lecture)
    folder = REPO_ROOT / "assignments" / lecture
    packages = [path for path in (folder.parent / "__init__.py", folder / "__init__.py") if path.exists()]
    as_they_are = [*_engine(lecture), *packages, folder / "assignment.toml", *(REPO_ROOT / name for name in ALONGSIDE)]
    products = dict(build.products(lecture))
    files = {path.relative_to(REPO_ROOT).as_posix(): path.read_bytes() for path in as_they_are}
    files |= {path.relative_to(REPO_ROOT).as_posix(): content for path, content in products.items()}
    files |= {
        f"assignments/{lecture}/{ORIGINALS}": _zip({path.name: stub for path, stub in products.items() if path.suffix == ".py"}),
        "README.md": _readme(assignment).encode(),
        "pyproject.toml": _pyproject(scripts=SCRIPTS, **_name_and_version(assignment)),
    }
    course = courses.active(REPO_ROOT, lectures())
    if of_course := courses.text_of(course[1].of(lecture)) if course else "":
        files[f"assignments/{lecture}/{courses.FILE}"] = of_course.encode()
    return dict(sorted(files.items()))


def _engine(lecture: str) -> list[Path]:
    """The engine with the checks of this lecture, without the folders that never ship."""
    root = REPO_ROOT / "grader"
    others = {f"checks/{name}" for name in lectures() if name != lecture}
    left_out = [root / name for name in (*NEVER_SHIPPED, *others)]
    inside = [path for path in root.rglob("*") if path.suffix in OPEN and path.is_file()]
    return [path for path in inside if not any(path.is_relative_to(folder) for folder in left_out)]


def _readme(assignment: Assignment) -> str:
    """The page of the kit, with names of this assignment."""
    first = assignment.required[0]
    text = (REPO_ROOT / "assignments" / "README.md").read_text("utf-8")
    named = {"assignment": assignment.name, "title": assignment.title, "topic": first.topic, "function": first.function}
    for name, value in named.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _engines() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    return tomllib.loads((REPO_ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def _name_and_version(assignment: Assignment) -> dict[str, str]:
    """What the project file of an assignment says otherwise than the engine's."""
    engine = _engines()
    return {"name": f"{engine['name']}-{assignment.name}", "version": assignment.version or engine["version"]}


def _pyproject(*, scripts: str, **other: Any) -> bytes:
    """The project file of a kit: the same project, without what only instructors and developers install."""
    whole = tomllib.loads((REPO_ROOT / "pyproject.toml").read_text("utf-8"))
    project = whole["project"]
    said = {
        **{key: project[key] for key in ("name", "version", "description", "license", "dependencies")},
        "requires": whole["build-system"]["requires"],
        "python": project["requires-python"],
        "student": project["optional-dependencies"]["student"],
    }
    # a JSON string or list of strings is the same in TOML
    toml = {key: json.dumps(value, indent=4 if key == "dependencies" else None) for key, value in {**said, **other}.items()}
    return PYPROJECT.format(scripts=scripts, **toml).encode()


def _zip(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path, ZIP_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _wheel(files: Mapping[str, bytes], target: Path) -> Path:
    """The wheel that hatchling builds from exactly these files."""
    with tempfile.TemporaryDirectory(prefix="dgm-release-") as folder:
        root, wheels = Path(folder) / "kit", Path(folder) / "wheels"
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(wheels)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode:
            install = "Is it installed? pip install 'dgm-kit[instructor]'"
            raise CannotRelease(f"hatchling did not build the wheel:\n{done.stderr.strip()}\n{install}")
        (built,) = wheels.glob("*.whl")
        return Path(shutil.move(built, target / built.name))
