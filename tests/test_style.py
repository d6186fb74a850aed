"""Lint and types of everything that people wrote."""

import subprocess
import sys

from grader.assignment import REPO_ROOT


def test_ruff_finds_nothing():
    assert _complaints("ruff", "check", "--quiet", "--output-format", "concise", ".") == ""
    assert _complaints("ruff", "format", "--check", "--quiet", ".") == ""


def test_mypy_finds_nothing():
    assert _complaints("mypy", "--no-error-summary") == ""


def _complaints(tool: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-m", tool, *arguments], cwd=REPO_ROOT, capture_output=True, text=True).stdout
