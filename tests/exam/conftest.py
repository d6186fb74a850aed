"""A demonstration lecture beside the real ones: the engine must not know lecture 1."""

from pathlib import Path

import grader.checks

collect_ignore = ["lectures"]  # collected by the engine under test, not by pytest
LECTURES = str(Path(__file__).parent / "lectures")
if LECTURES not in grader.checks.__path__:
    grader.checks.__path__.append(LECTURES)
