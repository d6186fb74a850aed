"""One seed asks the same questions everywhere: in a checkout, in another folder, whatever else is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from grader.assignment import REPO_ROOT
from grader.authoring import pins
from grader.exam.collect import collect

LECTURE = "lecture1"
SOME = ("autoregressive", "course_tricks")  # topics whose checks draw numbers from everywhere, and compute with them
ANOTHER_PROCESSOR = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}  # whose last digits are other ones
DIGESTS = f"""
import json, sys
{{planted}}
from grader.authoring import pins
from grader.exam.collect import collect
own = [check for check in collect({LECTURE!r}) if check.topic in {SOME!r}]
json.dump({{{{check.identity: pins.digest(check) for check in own}}}}, sys.stdout)
"""


def _drawn_elsewhere(folder: Path, planted: str = "", **variables: str) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": f"{REPO_ROOT}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    run = subprocess.run(
        [sys.executable, "-c", DIGESTS.format(planted=planted)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_inputs_are_those_that_are_pinned():
    pinned = pins.pinned(LECTURE)
    drawn = pins.digests(LECTURE)
    moved = sorted(name for name in drawn.keys() | pinned.keys() if drawn.get(name) != pinned.get(name))
    assert not moved, (
        f"the seed {pins.SEED!r} draws other inputs for {len(moved)} checks than those pinned in {pins.INPUTS}, "
        f"{moved[0]} first. A class that is graded again would meet other questions. Where that is meant (a check is new or "
        "was changed, or hypothesis is another version), run `dgm dev update` and commit what it writes."
    )


def test_neither_folder_nor_processor_nor_other_modules_move_the_inputs(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text(f"NUMBERS = {list(range(100, 200))}\nFRACTIONS = {[i / 7 for i in range(1, 100)]}\nWORDS = ['a b c']\n")
    here = {check.identity: pins.digest(check) for check in collect(LECTURE) if check.topic in SOME}
    assert _drawn_elsewhere(tmp_path, **ANOTHER_PROCESSOR) == here
    assert _drawn_elsewhere(tmp_path, "import planted") == here


def test_where_one_exercise_is_updated_moved_inputs_of_the_others_are_still_seen(tmp_path, monkeypatch):
    one = "histogram.num_parameters"
    monkeypatch.setattr(pins, "folder", lambda lecture: tmp_path)
    monkeypatch.setattr(pins, "hollow_checks", lambda lecture, exercises: [])
    (tmp_path / pins.INPUTS).write_text("".join(f"moved {check.identity}\n" for check in collect(LECTURE)))
    pins.write(LECTURE, [one])
    unseen = {name.split("::")[0] for name, digest in pins.pinned(LECTURE).items() if digest != "moved"}
    assert unseen == {one}
