"""`dgm debug`: the failing call as a program that runs without the kit, and stops where one can step into it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from grader.assignment import REPO_ROOT
from grader.cli import app

REVERSED = "return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)"


def debug(folder: Path, name: str) -> str:
    done = CliRunner().invoke(app, ["debug", name, "--folder", str(folder), "--assignment", "lecture1", "--no-start"])
    return done.output.replace("\n", "")


def module(folder: Path, body: str) -> None:
    stub = (REPO_ROOT / "assignments/lecture1/divergences.py").read_text("utf-8")
    (folder / "divergences.py").write_text(stub.replace('raise NotImplementedError("kl_divergence")', body), "utf-8")


def test_the_program_makes_the_failing_call_and_stops_before_it(tmp_path: Path) -> None:
    module(tmp_path, REVERSED)
    program = Path(debug(tmp_path, "kl_divergence"))
    run = [sys.executable, "-W", "ignore", str(program)]
    through = subprocess.run(run, env=os.environ | {"PYTHONBREAKPOINT": "0"}, capture_output=True, text=True, cwd=tmp_path)
    assert through.returncode == 0, through.stderr
    assert "tensor(0.5108)" in through.stdout
    assert "expected 0.3681 (nats)" in program.read_text("utf-8")
    stopped = subprocess.run(run, input="s\np p\nq\n", capture_output=True, text=True, cwd=tmp_path)
    assert "-> print(kl_divergence(" in stopped.stdout
    assert "tensor([0.9000, 0.1000])" in stopped.stdout  # stepped into the call, the argument has its name


def test_what_passes_needs_no_debugger(tmp_path: Path) -> None:
    stub = (REPO_ROOT / "assignments/lecture1/histogram.py").read_text("utf-8")
    body = "return torch.log(pi[x])"
    (tmp_path / "histogram.py").write_text(stub.replace('raise NotImplementedError("histogram_log_prob")', body), "utf-8")
    assert "nothing to debug" in debug(tmp_path, "histogram_log_prob")
