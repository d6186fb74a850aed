"""The kit in an nbgrader course: the ordinary commands, with grades from the isolated exam.

In the course's `nbgrader_config.py` one line is enough:

    from grader.nbgrader import configure; configure(get_config())
"""

from grader.nbgrader.settings import configure

__all__ = ["configure"]
