"""What a source defines, read from its syntax tree: nothing is executed, and what cannot be reached does not count."""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Definition:
    """One place where a name of a module gets its value."""

    written: bool  # not as it was handed out
    value: ast.AST
    node: ast.stmt  # the statement that gives it
    cell: int
    imported: tuple[str, str] | None = None  # the module and the name there

    @functools.cached_property
    def says(self) -> str:
        """Equal for equal code, wherever it stands."""
        try:
            return ast.dump(self.value)
        except RecursionError:
            return f"nested too deeply {id(self.value)}"


def parsed(text: str, strict: bool = False) -> list[ast.stmt] | None:
    """The statements of a source, or None where it is no Python (``strict``: the ``SyntaxError`` is raised)."""
    body = _parsed(text)
    if strict and isinstance(body, SyntaxError):
        raise body.with_traceback(None)
    return body if isinstance(body, list) else None


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> list[ast.stmt] | Exception:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about "\d" and the like: the student's own matter
            return ast.parse(text).body
    except (RecursionError, MemoryError):  # of the parser, whose words say nothing of the source
        return SyntaxError("it is nested too deeply")
    except (SyntaxError, ValueError) as error:
        return error


def found(body: list[ast.stmt], name: str) -> Function | ast.ClassDef | None:
    """The function or class of this name, or the method where it is ``Class.method``; of several the last."""
    node = None
    for part in name.split("."):
        node = next((one for one in reversed(body) if isinstance(one, Function | ast.ClassDef) and one.name == part), None)
        body = node.body if node else []
    return node


def definitions(cells: list[list[ast.stmt]]) -> dict[str, list[Definition]]:
    """By name, in order: functions and classes, methods as ``Class.method``, what is assigned and what is imported."""
    found: dict[str, list[Definition]] = {}
    for number, body in enumerate(cells):
        for node in executed(body):
            for name, definition in _defined(node, number):
                found.setdefault(name, []).append(definition)
    return found


def executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module that run when it is imported, those in ``if``, ``try``, ``with`` and loops included."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and _never_on_import(node.test):
            waiting += reversed(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            waiting += reversed(_blocks(node))


def imports(cells: list[list[ast.stmt]]) -> Iterator[tuple[str, list[str]]]:
    """The modules that a source imports anywhere (a relative one with a dot), each with the names that it takes from it."""
    waiting = [statement for body in cells for statement in body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((without_package(alias.name), []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = without_package(node.module or "")
            dot = "." * bool(node.level)
            yield from [(dot + module, names)] if module else [(dot + name, []) for name in names]
        else:
            waiting += _blocks(node)


def _blocks(node: ast.stmt) -> list[ast.stmt]:
    """The statements within a statement, one level deeper."""
    return [statement for part in _parts(node) for statement in part]


def _parts(node: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks that stand in a statement: of a loop, of each ``except``, of each ``case``."""
    parts = [part for name in ("body", "orelse", "finalbody") if isinstance(part := getattr(node, name, None), list)]
    return parts + [inner.body for name in ("handlers", "cases") for inner in getattr(node, name, [])]


def without_package(module: str) -> str:
    """The name of a module for its neighbours: topics may call each other ``assignments.lecture1.histogram``."""
    parts = module.split(".")
    return ".".join(parts[2:]) if parts[0] == "assignments" else module


def _defined(node: ast.stmt, cell: int) -> Iterator[tuple[str, Definition]]:
    if isinstance(node, Function):
        yield node.name, Definition(_is_written(node), node, node, cell)
    elif isinstance(node, ast.ClassDef):
        methods = {inner.name: inner for inner in executed(node.body) if isinstance(inner, Function)}
        yield node.name, Definition(any(map(_is_written, methods.values())), node, node, cell)
        for name, method in methods.items():
            yield f"{node.name}.{name}", Definition(_is_written(method), method, node, cell)
    elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        written = not (isinstance(node.value, ast.Constant) and node.value.value in (None, ...))
        for target in [inner for one in targets for inner in getattr(one, "elts", [one])]:
            name = _name(target)
            if name:
                yield name, Definition(written, node.value, node, cell)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            origin = (without_package(node.module or ""), alias.name)
            yield alias.asname or alias.name, Definition(True, node, node, cell, origin)


def _name(target: ast.expr) -> str:
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        return f"{target.value.id}.{target.attr}"
    return target.id if isinstance(target, ast.Name) else ""


def _is_written(function: Function) -> bool:
    """Whether a call can do anything but raise ``NotImplementedError``."""
    body = [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]
    if all(isinstance(node, ast.Pass) or _returns_nothing(node) for node in body):
        return False
    try:
        returns, raises = _ends(body)
    except RecursionError:
        return True
    return returns or not raises


def _ends(body: list[ast.stmt]) -> tuple[bool, bool]:
    """Whether a block may return something, and whether it may raise ``NotImplementedError``, on a way that is reachable."""
    returns = raises = False
    for node in body:
        if isinstance(node, ast.Return):
            return returns or not _returns_nothing(node), raises
        if isinstance(node, ast.Raise):
            return returns, raises or _not_implemented(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
            returns = True
        if isinstance(node, Function | ast.ClassDef):
            continue
        parts = _parts(node)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Constant):
            parts = [node.body if node.test.value else node.orelse]
        for part in parts:
            ends = _ends(part)
            returns, raises = returns or ends[0], raises or ends[1]
        if isinstance(node, ast.Continue | ast.Break):
            return returns, raises
    return returns, raises


def _returns_nothing(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Return) else node
    return value is None or (isinstance(value, ast.Constant) and value.value in (None, ...))


def _not_implemented(node: ast.Raise) -> bool:
    error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(error, ast.Name) and error.id in ("NotImplementedError", "NotImplemented")


def _never_on_import(test: ast.expr) -> bool:
    """``if False``, ``if TYPE_CHECKING`` and ``if __name__ == "__main__"``."""
    if isinstance(test, ast.Constant):
        return not test.value
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return "TYPE_CHECKING" in names or ("__name__" in names and isinstance(test, ast.Compare))
