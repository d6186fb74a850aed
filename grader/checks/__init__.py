"""The checks, a folder for each assignment; first those of a course that has its own (see `grader.assignment.REPO_ROOT`)."""

import os

_course = os.path.join(os.environ.get("DGM_COURSE") or os.path.dirname(__file__), "grader", "checks")
if os.path.isdir(_course) and _course not in __path__:
    __path__.insert(0, _course)
