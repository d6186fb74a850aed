"""Which tests `make quick` leaves out: whole folders that need real parts, and whatever marks itself `slow`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("MPLCONFIGDIR", os.path.expanduser("~/.cache/matplotlib"))  # its list of fonts takes seconds
_CACHE = tempfile.TemporaryDirectory(prefix="dgm-tests-cache-", ignore_cleanup_errors=True)
os.environ["XDG_CACHE_HOME"] = _CACHE.name  # no test reads, or leaves, a preparation of the person who runs it

REAL_PARTS = {"attacks", "dev", "docs", "exam", "examples", "grading", "intake", "nbgrader", "pictures", "practice", "release", "sandbox"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and REAL_PARTS & set(item.path.relative_to(here).parts):
            item.add_marker("slow")
