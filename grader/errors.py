"""What may go wrong for a reason that the reader can do something about."""

from __future__ import annotations


class GraderError(Exception):
    """A sentence for the reader: what is wrong, where, and what to do. Every command ends with it, never with a traceback."""

    def _render_traceback_(self) -> list[str]:  # what IPython shows in a notebook
        return [str(self)]


class AssignmentError(GraderError):
    """assignment.toml, course.toml, or a check's marks, say something that makes no sense; the message names file and place."""
