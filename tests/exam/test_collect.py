"""Collecting the checks: with plain pytest, whatever a student has installed or set for work of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grader.exam.collect import collect, collected

DEMO_ROOT = Path(__file__).parent / "demo_root"


def test_options_and_plugins_of_the_environment_do_not_matter(monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    before = dict(os.environ)
    collected.cache_clear()
    assert collect("demo", DEMO_ROOT)
    assert dict(os.environ) == before


def test_ctrl_c_is_no_fault_of_the_checks(monkeypatch):
    def stopped(item):
        raise KeyboardInterrupt

    monkeypatch.setattr("grader.exam.collect.check_of", stopped)
    collected.cache_clear()
    with pytest.raises(KeyboardInterrupt):
        collect("demo", DEMO_ROOT)


def test_one_topic_imports_its_own_checks_and_no_others() -> None:
    program = (
        "import sys; from grader.exam.collect import collect; own = collect('lecture1', topics=frozenset(['divergences'])); "
        "print(*sorted({name.split('.')[3] for name in sys.modules if '.test_' in name and name.startswith('grader.checks.')})); "
        "print(sorted((check.identity, check.points) for check in own) == sorted("
        "(check.identity, check.points) for check in collect('lecture1') if check.topic == 'divergences'))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["divergences", "True"]
