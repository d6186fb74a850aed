"""A notebook cell as Python: what only IPython understands becomes nothing, every other line stays where it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from grader.submission.syntax import parsed

AROUND_PYTHON = {"capture", "memit", "prun", "time", "timeit"}  # cell magics that run the cell as it is
OTHER_LANGUAGES = {
    "!", "bash", "bigquery", "cmd", "cython", "file", "html", "javascript", "js", "latex", "markdown", "perl", "pypy",
    "python", "python2", "python3", "R", "ruby", "script", "sh", "skip", "sql", "sx", "svg", "system", "writefile",
}  # fmt: skip
KIT = re.compile(  # our own cells: nothing to grade, and pictures take seconds to draw
    r"\s*from grader\.(?:practice\.)?notebook import checker\b|check = checker\(|show = painter\(|hint = hinter\("
    r"|(check|show|hint)\([^()]*\)\s*(#|$)"
)
INSTALL = re.compile(  # in our first cell: a worker needs no kit, and could not install one
    r"^try:\n    import assignments\.\w+, grader\.practice\n(?:except ModuleNotFoundError:.*\n|(?: .*)?\n)*", re.MULTILINE
)
SHELL = re.compile(r"!(?!=)|=[ \t]*%[ \t]*[A-Za-z]|\?")  # in a line without its strings: never Python
TIMED = re.compile(r"%time[ \t]+(?=[^\s-])")
RUN = re.compile(r"%run\b(?:[ \t]+-\w+)*[ \t]+[\"']?([^\"'\s]+)")
WRITTEN = re.compile(r"%%(?:write)?file\b(?P<append>[ \t]+-a\b)?[ \t]+[\"']?(?P<name>[^\"'\n]*[^\"'\s])")
PROMPTS = (re.compile(r"(?:>>>|\.\.\.)(?: |$)"), re.compile(r"In \[\d+\]: |[ \t]*\.\.\.+: ?"))
OUTSIDE_STRINGS = re.compile(r"""#|\"{3}|'{3}|["'(\[{)\]}]""")
TO_THE_END_OF = {quote: re.compile(rf"(?:\\.|[^\\])*?{quote}") for quote in ('"', "'", '"""', "'''")}
MAX_REPAIRS = 10  # lines that are no Python, of one cell


@dataclass
class PythonCell:
    """What is left of a cell, and what is not."""

    text: str
    left_out: list[tuple[int, str]] = field(default_factory=list)  # lines that are neither Python nor magic
    writes: tuple[str, str, bool] | None = None  # the name and content of a file, and whether it goes on with it


def as_python(cell: str) -> PythonCell:
    """The cell with its lines where they were; ``%run own.py`` imports, ``%%writefile own.py`` is a file."""
    text = INSTALL.sub(lambda found: "\n" * found[0].count("\n"), cell.replace("\r\n", "\n").replace("\r", "\n"))
    lines = _without_prompts(text.split("\n"))
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        magic = (lines[first][2:].split() or [""])[0]
        if magic not in AROUND_PYTHON:
            return _below(magic, lines, first)
        lines[first] = "pass"
    _replace_magics(lines)
    return _repaired(lines)


def _below(magic: str, lines: list[str], first: int) -> PythonCell:
    """What stands below a cell magic that need not run it: another language, a file, or Python that defines something."""
    written = WRITTEN.match(lines[first])
    if written:
        return PythonCell("", writes=(written["name"], "\n".join(lines[first + 1 :]), bool(written["append"])))
    lines[first] = "pass"
    _replace_magics(lines)
    defines = any(line.startswith(("def ", "class ", "import ", "from ")) for line in lines)
    kept = magic not in OTHER_LANGUAGES and defines and parsed("\n".join(lines)) is not None
    return PythonCell("\n".join(lines) if kept else "")


def _without_prompts(lines: list[str]) -> list[str]:
    """Without the prompts or the indentation that all lines have since they were pasted."""
    first = next((line for line in lines if line.strip() and not line.lstrip().startswith("#")), "")
    for prompt in PROMPTS:
        if prompt.match(first):
            return [prompt.sub("", line, count=1) if prompt.match(line) else line for line in lines]
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    return [line.removeprefix(indent) for line in lines] if indent else lines


def _replace_magics(lines: list[str]) -> None:
    quote, depth, continued, shell = "", 0, False, False  # what the line before left open
    for number, line in enumerate(lines):
        code = line.lstrip()
        indent = line[: len(line) - len(code)]
        if shell:
            lines[number], shell = "", line.endswith("\\")
            continue
        fresh = not (quote or depth or continued)
        bare, quote_after, depth_after = _without_strings(line, quote, depth)
        if fresh and (code.startswith(("%", "!", "?")) or SHELL.search(bare) or KIT.match(line)):
            lines[number] = indent + _instead(code)
            shell = line.endswith("\\")
        else:
            quote, depth = quote_after, depth_after
            continued = not quote and line.endswith("\\")


def _instead(code: str) -> str:
    """What a line magic means for the module."""
    if TIMED.match(code):
        timed = TIMED.sub("", code, count=1)
        return timed if parsed(timed) is not None else "pass"
    run = RUN.match(code)
    if run:
        module = re.sub(r"\.(py|ipynb)$", "", run[1].removeprefix("./")).replace("/", ".")
        module = module if all(part.isidentifier() for part in module.split(".")) else module.rsplit(".", 1)[-1]
        return f"from {module} import *" if module.isidentifier() or "." in module else "pass"
    return "pass"


def _repaired(lines: list[str]) -> PythonCell:
    """The cell without the lines that keep the rest from being Python; where that does not help, the cell as it is."""
    kept, left_out = list(lines), dict[int, str]()
    for _ in range(MAX_REPAIRS):
        try:
            parsed("\n".join(kept), strict=True)
        except SyntaxError as error:
            number = (error.lineno or 0) - 1
            broken = _statement_around(kept, number) if number in left_out else [number]
            if not all(0 <= line < len(kept) for line in broken):
                break
            for line in broken:
                left_out.setdefault(line, lines[line].strip())
                code = kept[line].lstrip()
                kept[line] = kept[line][: len(kept[line]) - len(code)] + "pass" if line == broken[0] else ""
        else:
            return PythonCell("\n".join(kept), sorted((line + 1, text) for line, text in left_out.items() if text))
    return PythonCell("\n".join(lines))


def _statement_around(lines: list[str], number: int) -> list[int]:
    """The lines of the top-level statement in which a line stands."""
    starts = [n for n, line in enumerate(lines) if line[:1] not in ("", " ", "\t", ")", "]", "}", "#")]
    start = max((n for n in starts if n <= number), default=0)
    end = min((n for n in starts if n > number), default=len(lines))
    return list(range(start, end))


def _without_strings(line: str, quote: str, depth: int) -> tuple[str, str, int]:
    """The line without strings and comments, the triple quote and the number of brackets that are open after it."""
    bare: list[str] = []
    position = 0
    while True:
        if quote:
            end = TO_THE_END_OF[quote].match(line, position)
            if end is None:
                return "".join(bare), (quote if len(quote) == 3 else ""), depth
            position, quote = end.end(), ""
        found = OUTSIDE_STRINGS.search(line, position)
        bare.append(line[position : found.start() if found else len(line)])
        if found is None or found[0] == "#":
            return "".join(bare), "", depth
        position = found.end()
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth = max(depth - 1, 0)
        else:
            quote = found[0]
