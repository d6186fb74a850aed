"""`dgm release`: the student kit, which is this repository without what is hidden, as a zip and as a wheel."""

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

from grader.assignment import REPO_ROOT, lectures
from grader.authoring import build
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

[project.scripts]
dgm = "grader.cli:app"

[tool.hatch.build]
dev-mode-dirs = ["."]

[tool.hatch.build.targets.wheel]
packages = ["grader", "assignments"]
"""


class CannotRelease(Exception):
    """Nothing was written; the message says why."""


def release(lecture: str, target: Path) -> list[Path]:
    """Write ``<kit>-<version>.zip`` and the wheel into `target` and return their paths.

    Raises: `CannotRelease`; `build.SourceError`.
    """
    files = kit(lecture)
    project = tomllib.loads(files["pyproject.toml"].decode())["project"]
    name = f"{project['name']}-{project['version']}"
    target.mkdir(parents=True, exist_ok=True)
    archive = target / f"{name}.zip"
    archive.write_bytes(_zip({f"{name}/{path}": content for path, content in files.items()}))
    return [archive, _wheel(files, target)]


def kit(lecture: str) -> dict[str, bytes]:
    """Every file that students get, by its path. Stubs and notebooks are made from the sources at this moment:
    a solution that someone wrote into ``assignments/`` never gets out."""
    assignments = REPO_ROOT / "assignments"
    products = {path.relative_to(REPO_ROOT).as_posix(): content for path, content in build.products(lecture)}
    stubs = {Path(path).name: content for path, content in products.items() if path.endswith(".py")}
    files = {
        **{path.relative_to(REPO_ROOT).as_posix(): path.read_bytes() for path in _engine(lecture)},
        **{path.relative_to(REPO_ROOT).as_posix(): path.read_bytes() for path in (assignments / lecture).glob("__init__.py")},
        f"assignments/{lecture}/assignment.toml": (assignments / lecture / "assignment.toml").read_bytes(),
        **products,
        f"assignments/{lecture}/{ORIGINALS}": _zip(stubs),
        "README.md": (assignments / "README.md").read_bytes(),
        "pyproject.toml": _pyproject().encode(),
        **{name: (REPO_ROOT / name).read_bytes() for name in ALONGSIDE},
    }
    return dict(sorted(files.items()))


def _engine(lecture: str) -> list[Path]:
    """The engine with the checks of this lecture, without the folders that never ship."""
    root = REPO_ROOT / "grader"
    others = {f"checks/{name}" for name in lectures() if name != lecture}
    left_out = [root / name for name in (*NEVER_SHIPPED, *others)]
    inside = [path for path in root.rglob("*") if path.suffix in OPEN and path.is_file()]
    return [path for path in inside if not any(path.is_relative_to(folder) for folder in left_out)]


def _pyproject() -> str:
    """The project file of the kit: the same project, without what only instructors and developers install."""
    whole = tomllib.loads((REPO_ROOT / "pyproject.toml").read_text("utf-8"))
    project = whole["project"]
    return PYPROJECT.format(
        requires=json.dumps(whole["build-system"]["requires"]),  # a JSON string or list of strings is the same in TOML
        name=json.dumps(project["name"]),
        version=json.dumps(project["version"]),
        description=json.dumps(project["description"]),
        license=json.dumps(project["license"]),
        python=json.dumps(project["requires-python"]),
        dependencies=json.dumps(project["dependencies"], indent=4),
        student=json.dumps(project["optional-dependencies"]["student"]),
    )


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
