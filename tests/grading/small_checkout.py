"""A kit with one topic, so that a run of `dgm grade` costs little: a copy, whose version a test may change."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from grader.assignment import REPO_ROOT

LECTURE, TOPIC = "lecture1", "histogram"
KEPT = [f"assignments/{LECTURE}/{TOPIC}.py", f"dgm_ref/{LECTURE}/{TOPIC}", f"solutions/{LECTURE}/{TOPIC}.py"]
KEPT_FOR_A_DEVICE = [
    *(f"{folder}/{LECTURE}/imagegpt.py" for folder in ("assignments", "solutions")),
    f"dgm_ref/{LECTURE}/imagegpt/reference.py",
    f"grader/checks/{LECTURE}/imagegpt/test_gpu.py",
]
DEVICE_EXERCISES = ("imagegpt.ImageGPT.forward", "imagegpt.sample", "imagegpt.gpu")  # the last examines the others again
SEED = "a seed for the tests of grading"
STALE = "stale: graded by another kit, seed or options"  # a note


def build(checkout: Path, device: bool = False) -> None:
    """The engine whole, everything about the lecture for one topic only. Workers of another user may read it.

    `device`: with the exercise that needs one, too.
    """
    checkout.chmod(0o755)
    shutil.copytree(REPO_ROOT / "grader", checkout / "grader", ignore=_of_other_topics)
    for name in [*KEPT, *(KEPT_FOR_A_DEVICE if device else [])]:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (REPO_ROOT / name).is_dir() else shutil.copy
        copy(REPO_ROOT / name, checkout / name)
        for package in [*Path(name).parents][:-1]:
            (checkout / package / "__init__.py").touch()
    for shared in ("catalogue.py", "slips.py"):
        shutil.copy(REPO_ROOT / "dgm_ref" / shared, checkout / "dgm_ref" / shared)
    _keep_exercises(checkout, LECTURE, [f'name = "{TOPIC}.', *(f'name = "{name}"' for name in DEVICE_EXERCISES if device)])


def add(checkout: Path, lecture: str, topic: str) -> None:
    """One topic of another assignment."""
    for name in (f"assignments/{lecture}/{topic}.py", f"solutions/{lecture}/{topic}.py"):
        (checkout / name).parent.mkdir()
        shutil.copy(REPO_ROOT / name, checkout / name)
        (checkout / name).with_name("__init__.py").touch()
    others = {path.stem for path in (REPO_ROOT / "solutions" / lecture).glob("*.py")} - {topic, "__init__"}
    shutil.copytree(REPO_ROOT / "dgm_ref" / lecture, checkout / "dgm_ref" / lecture, ignore=shutil.ignore_patterns(*others, "__pycache__"))
    for other in others:
        shutil.rmtree(checkout / "grader/checks" / lecture / other, ignore_errors=True)
    _keep_exercises(checkout, lecture, [f'name = "{topic}.'])


def _keep_exercises(checkout: Path, lecture: str, names: list[str]) -> None:
    exercises = (REPO_ROOT / "assignments" / lecture / "assignment.toml").read_text("utf-8").split("[[exercise]]")[1:]
    kept = "".join(f"[[exercise]]{text.split('# ---')[0]}" for text in exercises if any(name in text for name in names))
    (checkout / "assignments" / lecture / "assignment.toml").write_text(f'title = "One topic"\n{kept}', "utf-8")


def _of_other_topics(folder: str, names: list[str]) -> list[str]:
    """The checks of all topics but one; what runs in the worker stays, as its list does."""
    checks = Path(folder).name != TOPIC and Path(folder).parent.name == LECTURE
    return [name for name in names if name == "__pycache__" or (checks and name.startswith("test_"))]


def submissions(folder: Path, number: int, device: bool = False) -> Path:
    """Tiny submissions, all different; every third hands in a wrong answer. `device`: with what needs one, too."""
    folder.mkdir()
    model = (REPO_ROOT / "solutions" / LECTURE / "imagegpt.py").read_text("utf-8")
    right = (REPO_ROOT / "solutions" / LECTURE / f"{TOPIC}.py").read_text("utf-8")
    for index in range(number):
        text = right.replace("/ len(x)", "/ (len(x) + 1)") if index % 3 == 2 else right
        (folder / f"s{index:02d}").mkdir()
        (folder / f"s{index:02d}" / f"{TOPIC}.py").write_text(f"{text}\n# student {index}\n", "utf-8")
        if device:
            text = model.replace("1.702 *", "-1.702 *") if index % 3 == 2 else model
            (folder / f"s{index:02d}" / "imagegpt.py").write_text(text, "utf-8")
    return folder


def command(submitted: Path, results: Path, *options: str) -> list[str]:
    """`dgm grade` as a user types it, two graders side by side."""
    return [
        sys.executable,
        "-c",
        "from grader.cli import app; app()",
        "grade",
        str(submitted),
        "-o",
        str(results),
        "-j",
        "2",
        "--json",
        *options,
    ]


def environment(checkout: Path, seed: str = SEED) -> dict[str, str]:
    """That of the checkout's own `dgm`."""
    return {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "DGM_SEED": seed,
        "OMP_NUM_THREADS": "1",
    }


def run(checkout: Path, submitted: Path, results: Path, *options: str, seed: str = SEED) -> subprocess.CompletedProcess[str]:
    """One whole run."""
    return subprocess.run(
        command(submitted, results, *options),
        cwd=checkout,
        env=environment(checkout, seed),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def run_on_the_cpu_as_device(checkout: Path, submitted: Path, results: Path, scheduler: str = "") -> None:
    """One whole run in which the CPU stands in for a GPU, which no option of `dgm grade` can say."""
    code = f"""
from pathlib import Path
from grader.grading.cluster import Scheduler, grade_on
from grader.grading.grade import grade, submissions_in
from grader.grading.options import GradingOptions
options = GradingOptions({LECTURE!r}, {SEED!r}, device="cpu", quick=True)
handed_in, results = submissions_in(Path({str(submitted)!r}), {LECTURE!r}), Path({str(results)!r})
list(grade_on(Scheduler({scheduler!r}), handed_in, results, options) if {scheduler!r} else grade(handed_in, results, options, 2))
"""
    subprocess.run([sys.executable, "-c", code], cwd=checkout, env=environment(checkout), timeout=900, check=True)


def without_timings(results: Path) -> dict[str, str]:
    """Every file of a folder of results, to the byte but for the seconds and what a race of samplers measured."""
    paths = sorted(path for path in results.rglob("*") if path.is_file() and path.name != ".lock")
    timings = re.compile(r'"seconds": ?[\d.e-]+|[\d.-]+ s without, [\d.-]+ s with the cache: [\d.]+ times')
    return {str(path.relative_to(results)): timings.sub('"seconds"', path.read_text("utf-8")) for path in paths}


def notes(results: Path) -> dict[str, str]:
    """What the table notes of each submission."""
    return {row["submission"]: row["note"] for row in csv.DictReader((results / "grades.csv").open(newline=""))}
