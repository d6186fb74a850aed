"""One module or notebook of a submission, as text and as what it defines."""

from __future__ import annotations

import ast
import functools
import itertools
import re
import sys
from dataclasses import dataclass, field

from grader.submission.cells import as_python
from grader.submission.files import File, Unreadable, printable
from grader.submission.read_notebook import parse_notebook
from grader.submission.syntax import Definition, definitions, imports, parsed
from grader.submission.text import decode

LONGEST_CELL = 60_000  # characters; a worker takes no longer string
MAX_CELLS = 2_000  # of one notebook
MAX_SOURCE = 800_000  # characters of all topics as JSON; a worker takes no larger message
MAX_SAID = 5  # lines that were left out, of one notebook
HERE = sys.version_info[:2]
NEWER = re.compile(r"(?:async )?def \w+\[|class \w+\[|type \w+|match |except [\w.]+,")  # at the start of a line


@dataclass(frozen=True, eq=False)
class Source:
    """One module (a single cell) or one notebook."""

    name: str
    cells: list[str]
    modified: float = 0.0
    archive: str = ""  # in which it lay, beside other files
    remarks: list[str] = field(default_factory=list)  # sentences, should it be taken

    @property
    def path(self) -> str:
        """The name without its ending."""
        return f"{self.folder}/{self.stem}" if self.folder else self.stem

    @property
    def folder(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def stem(self) -> str:
        return File(self.name, bytes).stem

    @property
    def is_module(self) -> bool:
        return File(self.name, bytes).suffix == ".py"

    @property
    def shown(self) -> str:
        """The name in a sentence."""
        return printable(f"{self.name} in {self.archive}" if self.archive else self.name)

    @functools.cached_property
    def bodies(self) -> list[list[ast.stmt]]:
        """The statements of each cell; of a cell that is no Python none."""
        return [parsed(cell) or [] for cell in self.cells]

    @functools.cached_property
    def definitions(self) -> dict[str, list[Definition]]:
        return definitions(self.bodies)

    @functools.cached_property
    def imports(self) -> list[tuple[str, list[str]]]:
        """The modules that it imports anywhere, each with the names that it takes from it."""
        return list(imports(self.bodies))

    @functools.cached_property
    def error(self) -> str:
        """Why a module is no Python, or nothing."""
        if not self.is_module:
            return ""
        try:
            parsed(self.cells[0], strict=True)
        except SyntaxError as error:
            return (f"{error.msg}, line {error.lineno}" if error.lineno else f"{error.msg}") + _if_newer(self.cells[0], error)
        return ""

    def mentions(self, function: str) -> bool:
        """Whether a definition of this name may stand here, which is quickly seen."""
        name = function.rsplit(".", 1)[-1]
        return any(name in cell for cell in self.cells)


def read_source(file: File, content: bytes, archive: str = "") -> list[Source]:
    """A module or a notebook, and the modules that the notebook writes.

    Raises: ``Unreadable`` if it is neither.
    """
    name = file.name
    remarks = []
    if not name.lower().endswith(file.suffix):
        kind = "module" if file.suffix == ".py" else "notebook"
        remarks.append(f"{file.shown} was read as a {kind}; hand it in as {printable(file.stem)}{file.suffix}")
    if file.suffix == ".py":
        if content.lstrip().startswith(b"{") and _is_notebook(content):
            raise Unreadable(f"{file.shown} was not read: it is a notebook; hand it in as {printable(file.stem)}.ipynb")
        text, guess = decode(file.shown, content)
        remarks += [guess] if guess else []
        return [Source(name, _short_enough(file, [text], remarks), file.modified, archive, remarks)]
    notebook = parse_notebook(file.shown, content)
    remarks += notebook.remarks
    if len(notebook.cells) > MAX_CELLS:
        remarks.append(f"{file.shown} has more than {MAX_CELLS} code cells: only the first ones were read")
    cells, written, lost = [], dict[str, str](), 0
    for number, cell in enumerate(_short_enough(file, notebook.cells[:MAX_CELLS], remarks), start=1):
        python = as_python(cell)
        cells.append(python.text)
        for line, text in python.left_out[: max(0, MAX_SAID - lost)]:
            remarks.append(f"{file.shown}, code cell {number}, line {line} is no Python and was left out: {printable(text, 60)}")
        lost += len(python.left_out)
        if python.writes:
            target, text, goes_on = python.writes
            written[target] = (written.get(target, "") if goes_on else "") + text + "\n"
    if notebook.python > HERE and (lost or any(parsed(cell) is None for cell in cells)):
        remarks.append(f"{file.shown} was written for Python {_dotted(notebook.python)} and is graded with {_dotted(HERE)}")
    source = Source(name, cells, file.modified, archive, remarks)
    modules = [File(f"{source.folder}/{target}".lstrip("/"), bytes) for target in written]
    return [source] + [
        Source(module.name, _short_enough(module, [text], remarks), file.modified, archive)
        for module, text in zip(modules, written.values(), strict=True)
        if module.suffix == ".py"
    ]


def _is_notebook(content: bytes) -> bool:
    try:
        return bool(parse_notebook("", content).cells)
    except Unreadable:
        return False


def _short_enough(file: File, cells: list[str], remarks: list[str]) -> list[str]:
    """The cells that a worker takes; the others are empty."""
    kept = [cell if len(cell) <= LONGEST_CELL else "" for cell in cells]
    if kept != cells:
        remarks.append(f"{file.shown}: code of more than {LONGEST_CELL} characters in one cell or module was left out")
    sizes = list(itertools.accumulate(map(len, kept)))
    if sizes and sizes[-1] > MAX_SOURCE:
        remarks.append(f"{file.shown} has more than {MAX_SOURCE} characters of code: only the first ones were read")
    return [cell if size <= MAX_SOURCE else "" for cell, size in zip(kept, sizes, strict=True)]


def _if_newer(text: str, error: SyntaxError) -> str:
    """A hint where a line looks like the Python of a later version than the grader's."""
    line = (text.split("\n")[(error.lineno or 1) - 1 :] or [""])[0].strip()
    if HERE < (3, 14) and (NEWER.match(line) or (error.msg or "").startswith("f-string")):
        return f" (perhaps written for a newer Python; this is {_dotted(HERE)})"
    return ""


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
