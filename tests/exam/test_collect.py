"""Collecting the checks: with plain pytest, whatever a student has installed or set for work of their own."""

from __future__ import annotations

import os
from pathlib import Path

from grader.exam.collect import collect, collected

HOUSE = Path(__file__).parent / "house"


def test_options_and_plugins_of_the_environment_do_not_matter(monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    before = dict(os.environ)
    collected.cache_clear()
    assert collect("demo", HOUSE)
    assert dict(os.environ) == before
