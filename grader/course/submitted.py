"""What students do to a notebook's form, undone before grading: grades come from functions, never from cells."""

from __future__ import annotations

from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import NbGraderPreprocessor

REMARKS = "dgm_remarks"  # notebook metadata: sentences for the reader of the feedback


class ForgivingExporter(NotebookExporter):
    """Reads a submitted notebook; one that cannot be read becomes an empty one that says so."""

    def from_filename(self, filename: str, resources: Any = None, **options: Any) -> tuple[str, Any]:
        try:
            with open(filename, encoding="utf-8") as file:
                notebook = nbformat.read(file, as_version=4)
        except Exception as error:  # nbformat raises many kinds for what is not a notebook
            notebook = nbformat.v4.new_notebook()
            notebook.metadata[REMARKS] = [f"This file could not be read as a notebook ({type(error).__name__}: {str(error)[:200]})."]
        return self.from_notebook_node(notebook, resources=resources, **options)


class KnownCells(NbGraderPreprocessor):
    """Takes nbgrader's metadata from every cell that is not one of the assignment's, and remarks on each change."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        remarks = list(nb.metadata.get(REMARKS, []))
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            try:
                known = {cell.name: cell for cell in gradebook.find_notebook(where["notebook"], where["assignment"]).source_cells}
            except MissingEntry:
                return nb, resources
            graded = {cell.name for cell in gradebook.find_notebook(where["notebook"], where["assignment"]).grade_cells}
            seen: set[str] = set()
            for cell in nb.cells:
                remarks += self._inspect(cell, known, graded, seen)
        for name in known:
            if name not in seen:
                remarks.append(f"The cell {name} had been deleted{'; it is shown again at the end' if name in graded else ''}.")
            if name not in seen and name in graded:
                cell = new_code_cell(known[name].source, id=name[:64])
                cell.metadata["nbgrader"] = _own_metadata({}, known[name], graded=True)
                nb.cells.append(cell)
        nb.metadata[REMARKS] = remarks
        return nb, resources

    def _inspect(self, cell: NotebookNode, known: dict[str, Any], graded: set[str], seen: set[str]) -> list[str]:
        metadata = cell.metadata.get("nbgrader")
        if metadata is None:
            return []
        name = metadata.get("grade_id") if isinstance(metadata, dict) else None
        if name not in known:
            del cell.metadata["nbgrader"]
            return [f"A cell calls itself {name!r}, which the assignment does not have."] if name else []
        if name in seen:
            del cell.metadata["nbgrader"]
            return [f"The cell {name} stands here more than once; grading does not depend on it."]
        seen.add(name)
        source = known[name]
        changed = bool(source.locked) and cell.source != source.source
        cell.metadata["nbgrader"] = _own_metadata(metadata, source, name in graded)
        return [f"The locked cell {name} had been changed; its original is shown."] if changed else []


def _own_metadata(metadata: dict[str, Any], source: Any, graded: bool) -> dict[str, Any]:
    """The flags that the assignment gave the cell, whatever the submission says."""
    checks = graded and bool(source.locked)
    own = {
        "schema_version": MetadataValidator.schema_version, "grade_id": source.name, "locked": bool(source.locked), "task": False,
        "grade": checks, "solution": not source.locked, "cell_type": source.cell_type,
    }  # fmt: skip
    if checks:
        own["points"] = metadata.get("points", 0)  # OverwriteCells puts the gradebook's in its place
    return own
