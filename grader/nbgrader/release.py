"""What `nbgrader generate_assignment` leaves out besides the marked solutions."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from grader.authoring.build.write_notebook import SOLUTION_ONLY


class WithoutHelpers(NbGraderPreprocessor):
    """Drops the cells that hold the solutions' private helpers."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        nb.cells = [cell for cell in nb.cells if SOLUTION_ONLY not in cell.metadata.get("tags", [])]
        return nb, resources
