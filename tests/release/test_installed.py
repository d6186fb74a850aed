"""The grader installed as a package: with a course's folder it grades, without one it says what to do."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT
from tests.grading import small_checkout


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with the wheel of this repository; the packages that it needs are this one's."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, check=True, cwd=REPO_ROOT, capture_output=True)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    site = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True).strip()
    (Path(site) / "downloads.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, *map(str, folder.glob("*.whl"))], check=True)
    return folder / "venv/bin"


@pytest.fixture
def course() -> Iterator[Path]:
    """A folder with the material of one assignment and no engine, where workers of another user may read it."""
    with tempfile.TemporaryDirectory(prefix="dgm-course-") as folder:
        checkout = Path(folder)
        small_checkout.build(checkout)
        for path in (checkout / "grader").iterdir():
            if path.name != "checks":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield checkout


def dgm(commands: Path, cwd: Path, *arguments: str, code: int = 0, **variables: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DGM_COURSE", "DGM_SEED")}
    done = subprocess.run(
        [commands / "dgm", *arguments], cwd=cwd, env={**environment, "OMP_NUM_THREADS": "1", **variables}, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_without_a_course_every_command_that_needs_one_says_what_to_do(commands: Path, tmp_path: Path) -> None:
    small_checkout.submissions(tmp_path / "in", 1)
    planted = tmp_path / "in" / "s00" / "dgm_ref"
    planted.mkdir()
    (planted / "__init__.py").write_text("raise SystemExit('a student runs this')")
    for command in ("grade in --assignment lecture1", "course init mine", "dev check vae"):
        said = dgm(commands, tmp_path, *command.split(), code=2)
        assert "Set $DGM_COURSE to the folder that holds" in said, said
    assert "no checkout" in dgm(commands, tmp_path, "release", "-a", "lecture1", code=2)
    assert "Set $DGM_COURSE" in dgm(commands, tmp_path, "gradescope", "-a", "lecture1", code=2, DGM_SEED=small_checkout.SEED)
    assert not (tmp_path / "mine").exists()
    assert "from the root on" in dgm(commands, tmp_path, "list", code=2, DGM_COURSE="nowhere")


def test_with_a_course_named_it_grades(commands: Path, course: Path, tmp_path: Path) -> None:
    submitted = small_checkout.submissions(tmp_path / "in", 3)
    peeking = submitted / "s01" / f"{small_checkout.TOPIC}.py"
    look = "".join(f"print(list(pathlib.Path({str(course / name)!r}).iterdir()))\n" for name in ("solutions", "dgm_ref"))
    peeking.write_text(f"import pathlib\n{look}{peeking.read_text('utf-8')}")
    (course / "course.toml").write_text('[points]\n"lecture1.histogram.fit_histogram" = 4\n')
    named = {"DGM_COURSE": str(course), "DGM_SEED": small_checkout.SEED}
    said = dgm(commands, tmp_path, "grade", "in", "-o", "out", "-j", "1", **named)
    assert f"course: {course}/course.toml" in said
    with open(tmp_path / "out/grades.csv", encoding="utf-8") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert float(rows["s00"]["score"]) == float(rows["s00"]["max_score"]) == 12
    assert float(rows["s00"]["histogram.fit_histogram"]) == 4
    problems = "\n".join(json.loads((tmp_path / "out/s01/record.json").read_text("utf-8"))["problems"])
    assert len(re.findall(r"(?:PermissionError|FileNotFoundError)", problems)) == 2, problems  # a course's secrets, too, are out of reach
    assert 0 < float(rows["s02"]["score"]) < 12
