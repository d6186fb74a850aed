"""The files for GitHub Classroom and GitLab: their own commands, on a kit as it is given out and on one that is solved."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from grader.assignment import REPO_ROOT
from tests.grading import small_checkout

CI = REPO_ROOT / "examples/ci"


def commands(name: str) -> list[str]:
    content = yaml.safe_load((CI / name).read_text("utf-8"))
    if name.startswith("gitlab"):
        return content["public checks"]["script"]
    return [step["run"] for step in content["jobs"]["check"]["steps"] if "run" in step]


def test_both_run_the_same_and_nothing_secret() -> None:
    assert commands("github-classroom.yml") == commands("gitlab-ci.yml")
    for name in ("github-classroom.yml", "gitlab-ci.yml"):
        text = "\n".join(line for line in (CI / name).read_text("utf-8").splitlines() if not line.startswith("#"))
        assert not [word for word in ("seed", "dgm_ref", "solutions", "grade", "secrets") if word in text]


@pytest.mark.parametrize(("solved", "code"), [(False, 1), (True, 0)])
def test_the_check_is_red_until_all_is_right(tmp_path: Path, solved: bool, code: int) -> None:
    checkout = tmp_path / "kit"
    checkout.mkdir()
    small_checkout.build(checkout)
    if solved:
        shutil.copy(checkout / "solutions/lecture1/histogram.py", checkout / "assignments/lecture1/histogram.py")
    for secret in ("solutions", "dgm_ref", "grader/hidden", "grader/grading", "grader/nbgrader", "grader/authoring"):
        shutil.rmtree(checkout / secret)
    (tmp_path / "bin").mkdir()
    dgm = tmp_path / "bin/dgm"  # what the first command installs, from packages that are here already
    dgm.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from grader.cli import app; app()" "$@"\n')
    dgm.chmod(0o755)
    environment = {**small_checkout.environment(checkout), "PATH": f"{dgm.parent}:{os.environ['PATH']}"}
    install, *rest = commands("gitlab-ci.yml")
    assert install.startswith("pip install ")
    done = subprocess.run(["sh", "-ec", "\n".join(rest)], cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("not implemented" in done.stdout) == (not solved)
