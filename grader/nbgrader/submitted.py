"""What students do to a notebook's form, undone before grading: grades come from functions, never from cells.

Notebooks of assignments that are not the kit's stay as nbgrader reads them.
"""

from __future__ import annotations

import json
import re
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import NbGraderPreprocessor

from grader import assignment as assignments

REMARKS = "dgm_remarks"  # in the resources, then in the notebook's metadata: sentences for the reader of the feedback
MAX_REMARKS = 50
A_TAG = re.compile(r"<(?=[A-Za-z/!?])")  # what a browser takes for one
A_LINK = re.compile(r"!?\](?=[(:\[])")  # of Markdown: to a page or an image elsewhere, or to a script
A_COMMAND = re.compile(r"\\(?=href|require|style|cssId|class|data)")  # MathJax makes links and attributes of these
AN_ATTACHMENT = re.compile(r"!\[([^\]\n]*)\]\(attachment:([^)\s]+)\)")


class ForgivingExporter(NotebookExporter):
    """Reads a notebook whatever it is; one that cannot be read becomes an empty one that says so."""

    def from_filename(self, filename: str, resources: Any = None, **options: Any) -> tuple[Any, Any]:
        resources = self._init_resources(resources)
        with open(filename, "rb") as file:
            notebook, remarks = readable(file.read())
        if remarks:
            resources[REMARKS] = remarks
        return self.from_notebook_node(notebook, resources=resources, **options)


def readable(content: bytes) -> tuple[NotebookNode, list[str]]:
    """A valid notebook from whatever a file holds, and sentences on what had to be left out."""
    try:
        raw = json.loads(content.decode("utf-8-sig"))
        text = json.dumps(raw, ensure_ascii=False).encode("utf-8", "replace").decode()  # JSON allows half characters
        notebook = nbformat.reads(text, as_version=4)
    except Exception as error:  # nbformat raises many kinds for what is not a notebook
        return new_notebook(), [f"This file could not be read as a notebook ({type(error).__name__}: {str(error)[:200]})."]
    try:
        nbformat.validate(notebook)
        return notebook, []
    except Exception as error:
        remark = f"The notebook is not in the notebook format ({str(error).splitlines()[0][:200]}); only the text of its cells is shown."
    cells = notebook.get("cells")
    kept = [_rebuilt(cell) for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []
    return new_notebook(cells=kept), [remark]


def _rebuilt(cell: dict[str, Any]) -> NotebookNode:
    """A valid cell with the text and the nbgrader name of this one."""
    source = cell.get("source")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    metadata = cell.get("metadata")
    own = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    new = new_code_cell if cell.get("cell_type") == "code" else new_markdown_cell
    return new(text, metadata={"nbgrader": own} if isinstance(own, dict) else {})


class KnownCells(NbGraderPreprocessor):
    """Gives the assignment's cells what the assignment gave them, takes nbgrader's marks from all others, and remarks on each change."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        where = resources["nbgrader"]
        if where["assignment"] not in assignments.lectures():
            return nb, resources
        self.remarks: list[str] = resources.get(REMARKS, [])
        with Gradebook(where["db_url"]) as gradebook:
            try:
                notebook = gradebook.find_notebook(where["notebook"], where["assignment"])
            except MissingEntry:
                return nb, resources
            self.known = {cell.name: cell for cell in notebook.source_cells}
            self.tasks = {cell.name for cell in notebook.task_cells}
            self.worth = {cell.name: cell.max_score for cell in [*notebook.grade_cells, *notebook.task_cells]}
            nb.cells = [self._as_given(cell, number) for number, cell in enumerate(self._named_once(nb.cells))]
            present = {cell.metadata["nbgrader"]["grade_id"] for cell in nb.cells if "nbgrader" in cell.metadata}
            for name in [name for name in self.known if name not in present]:
                self.remarks.append(f"The cell {name} had been deleted{'; it is shown at the end' if self._has_feedback(name) else ''}.")
            nb.cells += [self._original(name) for name in self.known if self._has_feedback(name) and name not in present]
        metadata = {REMARKS: self.remarks[:MAX_REMARKS], "language_info": {"name": "python"}}
        return new_notebook(cells=nb.cells, metadata=metadata), resources

    def _has_feedback(self, name: str) -> bool:
        """Whether it is a cell of a grade, or checks a bonus, which has none."""
        return name in self.worth or name.startswith("check-")

    def _named_once(self, cells: list[NotebookNode]) -> list[NotebookNode]:
        """The cells; of those with one name only the first keeps it, of those with unknown names none."""
        seen: set[str] = set()
        for cell in cells:
            own = cell.metadata.get("nbgrader")
            name = own.get("grade_id") if isinstance(own, dict) else None
            if isinstance(name, str) and name in self.known and name not in seen:
                seen.add(name)
                continue
            cell.metadata.pop("nbgrader", None)
            if isinstance(name, str) and name in seen:
                self.remarks.append(f"The cell {name} stands here more than once; grading does not depend on it.")
            elif name:
                self.remarks.append(f"A cell calls itself {str(name)[:80]!r}, which the assignment does not have.")
        return cells

    def _as_given(self, cell: NotebookNode, number: int) -> NotebookNode:
        if "nbgrader" not in cell.metadata:
            cell.id = f"cell-{number}"
            return cell if cell.cell_type == "code" else inert(cell)
        name = cell.metadata["nbgrader"]["grade_id"]
        given = self.known[name]
        if given.locked and cell.source != given.source:
            self.remarks.append(f"The locked cell {name} had been changed; its original is shown.")
        return self._original(name, None if given.locked else cell)

    def _original(self, name: str, answer: NotebookNode | None = None) -> NotebookNode:
        """A cell as the assignment has it, with the student's answer where it is theirs to fill."""
        given, task = self.known[name], name in self.tasks
        metadata = {
            "schema_version": MetadataValidator.schema_version, "grade_id": name, "locked": bool(given.locked), "task": task,
            "grade": name in self.worth and not task, "solution": not given.locked, "cell_type": given.cell_type,
        }  # fmt: skip
        if name in self.worth:
            metadata["points"] = self.worth[name]
        new = new_code_cell if given.cell_type == "code" else new_markdown_cell
        cell = new(given.source if answer is None else answer.source, metadata={"nbgrader": metadata}, id=name[:64])
        if answer is not None and given.cell_type != "code":
            cell.update({"attachments": answer["attachments"]} if "attachments" in answer else {})
            cell = inert(cell)
        return cell


def inert(cell: NotebookNode) -> NotebookNode:
    """A student's Markdown without what a reader's browser could run or fetch; images that are in the cell stay."""
    own = {name: data for name, data in cell.get("attachments", {}).items() if _is_image(data)}
    cell.pop("attachments", None)
    if own:
        cell["attachments"] = own
    shown = [match for match in AN_ATTACHMENT.finditer(cell.source) if match[2] in own]
    pieces, end = [], 0
    for image in shown:
        pieces += [_plain_markdown(cell.source[end : image.start()]), image[0]]
        end = image.end()
    cell.source = "".join([*pieces, _plain_markdown(cell.source[end:])])
    return cell


def _plain_markdown(text: str) -> str:
    return A_LINK.sub(lambda bracket: f"{bracket[0]} ", A_TAG.sub("< ", A_COMMAND.sub(r"\\text ", text)))


def _is_image(data: Any) -> bool:
    return isinstance(data, dict) and bool(data) and all(kind.startswith("image/") and kind != "image/svg+xml" for kind in data)
