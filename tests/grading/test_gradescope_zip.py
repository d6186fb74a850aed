"""Gradescope's autograder, its own scripts run in a place like theirs: root, no user namespaces, nothing but the zip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT, load
from grader.grading import gradescope_zip
from tests.grading import small_checkout

# As in a container: without this capability the kernel gives root no mount, pid or network namespace. (First, an
# interpreter in a closed home folder is shown in an open one: there it is /usr/bin/python.)
LIKE_THEIRS = """
prefix=$1 closed=/$(echo "$1" | cut -d/ -f2); shift
if ! setpriv --reuid=1234 --clear-groups test -x "$prefix"; then
    mount --bind "$prefix" /mnt && mount -t tmpfs -o mode=755 none "$closed" && mkdir -p "$prefix" && mount --bind /mnt "$prefix"
fi
exec setpriv --bounding-set=-sys_admin "$@"
"""


def test_the_zip_holds_what_grading_needs_and_nothing_else(tmp_path: Path) -> None:
    assignment = load("lecture1")
    names = gradescope_zip.write(tmp_path / "a.zip", assignment, "a seed of the staff")
    assert {"setup.sh", "run_autograder", "kit/.dgm-seed", "kit/dgm_ref/lecture1/histogram/reference.py"} <= {*names}
    solutions = [name for name in names if name.startswith("kit/solutions/")]
    assert {Path(name).stem for name in solutions} - {"__init__"} == {*assignment.topics}
    assert not [name for name in names if name.startswith(("kit/tests", "kit/examples", "kit/.git", "kit/benchmarks"))]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in archive.infolist()}
        assert archive.read("kit/.dgm-seed") == b"a seed of the staff\n"
    assert (modes["setup.sh"], modes["run_autograder"], modes["kit/.dgm-seed"]) == (0o755, 0o755, 0o600)
    again = gradescope_zip.write(tmp_path / "b.zip", assignment, "a seed of the staff")
    assert names == again
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    for script in ("setup.sh", "run_autograder"):
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            done = subprocess.run(["bash", "-n"], input=archive.read(script), capture_output=True)
        assert done.returncode == 0, done.stderr


def test_an_assignment_may_be_called_like_a_folder_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradescope_zip, "REPO_ROOT", tmp_path)
    files = ["assignments/lecture1/assignment.toml", "assignments/exam/assignment.toml", "grader/exam/a.py", "grader/checks/exam/b.py"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    shipped = [path for path in gradescope_zip._files(load("lecture1")) if path.is_relative_to(tmp_path)]
    assert [str(path.relative_to(tmp_path)) for path in shipped] == ["grader/exam/a.py", "assignments/lecture1/assignment.toml"]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="Gradescope runs it as root")
def test_the_scripts_grade_without_user_namespaces(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="dgm-gradescope-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "checkout").mkdir()
        small_checkout.build(root / "checkout")
        made = [sys.executable, "-c", "from grader.cli import app; app()", "gradescope", "-o", str(root / "autograder.zip")]
        subprocess.run(made, cwd=root / "checkout", env=small_checkout.environment(root / "checkout"), check=True, capture_output=True)
        for name in ("source", "submission", "results"):
            (root / name).mkdir()
        subprocess.run(["unzip", "-q", str(root / "autograder.zip"), "-d", str(root / "source")], check=True)
        right = (REPO_ROOT / "solutions/lecture1/histogram.py").read_text("utf-8")
        (root / "submission/histogram.py").write_text(right.replace("/ len(x)", "/ (len(x) + 1)"), "utf-8")
        dgm = root / "dgm"  # what setup.sh installs, from packages that are here already
        dgm.write_text(f'#!/bin/sh\nPYTHONPATH="{root}/source/kit" exec {sys.executable} -c "from grader.cli import app; app()" "$@"\n')
        dgm.chmod(0o755)
        environment = {"PATH": os.environ["PATH"], "AUTOGRADER": str(root), "DGM": str(dgm)}
        run = ["unshare", "--mount", "sh", "-c", LIKE_THEIRS, "sh", sys.base_prefix, str(root / "source/run_autograder")]
        done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        results = json.loads((root / "results/results.json").read_text())
    assert results["visibility"] == "visible"
    tests = {test["tags"][0]: test for test in results["tests"] if test["tags"][1] == "failed"}
    assert list(tests) == ["histogram.fit_histogram"]
    assert 0 < results["score"] < 10
    assert small_checkout.SEED not in json.dumps(results)
