"""docs/reference.md, the commands and the record, made from the code; `dgm dev update` writes it."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterator
from typing import Any

import msgspec
import typer

from grader import record
from grader.assignment import REPO_ROOT
from grader.cli import app

PAGE = REPO_ROOT / "docs" / "reference.md"
STRUCTS = (record.Record, record.ExerciseRecord, record.CheckRecord, record.KitRecord, record.Person, record.Final)


def write() -> None:
    PAGE.write_text(reference(), "utf-8")


def reference() -> str:
    """The page."""
    commands = (line for name, command in _commands("dgm", typer.main.get_command(app)) for line in _command(name, command))
    fields = (line for struct in STRUCTS for line in _struct(struct))
    head = ["# Reference", "", "Made from the code by `dgm dev update`.", "", "## Commands", ""]
    return "\n".join([*head, *commands, "## The record", "", "`results/<submission>/record.json`, as JSON.", "", *fields])


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from _commands(f"{path} {name}", inner)


def _command(name: str, command: Any) -> Iterator[str]:
    parameters = [parameter for parameter in command.params if parameter.name != "help"]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    shown = [(p.metavar or p.name or "").upper() for p in arguments]
    yield from (f"### `{' '.join([name, *shown])}`", "", (command.help or "").strip(), "")
    rows = [(_names(p), getattr(p, "help", None) or "", _default(p)) for p in parameters]
    if rows:
        yield from ("| | | default |", "|---|---|---|")
        yield from (f"| `{names}` | {text} | {default} |" for names, text, default in rows)
        yield ""


def _names(parameter: Any) -> str:
    return (parameter.name or "").upper() if parameter.param_type_name == "argument" else ", ".join(parameter.opts)


def _default(parameter: Any) -> str:
    if parameter.name == "jobs":
        return "the number of cores"  # another one on another machine
    return "" if parameter.default in (None, False) or parameter.required else f"`{parameter.default}`"


def _struct(struct: type[msgspec.Struct]) -> Iterator[str]:
    yield from (f"### {struct.__name__}", "", inspect.getdoc(struct) or "", "", "| field | type | |", "|---|---|---|")
    remarks = _remarks(struct)
    for field in msgspec.structs.fields(struct):
        kind = struct.__annotations__[field.name].replace("|", "\\|")
        yield f"| `{field.encode_name}` | {kind} | {remarks[field.name]} |"
    yield ""


def _remarks(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The comments beside the fields."""
    source = textwrap.dedent(inspect.getsource(struct))
    comments = {
        token.start[0]: token.string.removeprefix("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    fields = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AnnAssign)]
    beside = {ast.unparse(node.target): range(node.lineno, (node.end_lineno or node.lineno) + 1) for node in fields}
    return {name: " ".join(comments[line] for line in lines if line in comments) for name, lines in beside.items()}
