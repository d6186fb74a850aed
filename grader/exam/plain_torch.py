"""Writes what a check passed to a function as plain torch, to be pasted and run without the kit.

A family becomes the lambda or the function that it is, a long tensor the call that made it; both bring along, from their
own source, the helpers that they call.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from grader.checking.recipe import recipe_of
from grader.sandbox.wire.families import FAMILIES, Family
from grader.sandbox.wire.objects import BlackBox, RemoteObject, SeededGenerator, Unsendable
from grader.values import leaves

LITERAL = 24  # elements of a tensor that are written out whatever made it
WIDTH = 76  # columns


class Script:
    """Lines of plain torch: definitions first, then values by name; `expression` adds what it needs.

    `used`: everything that will be written; what stands in it twice, such as a generator, gets a name. `whole`: a long
    tensor is written out.
    """

    def __init__(self, used: Any = (), whole: bool = False) -> None:
        self._whole = whole
        self._often = Counter(map(_key, _values(used)))
        self._names: dict[object, str] = {}
        self._definitions: dict[str, str] = {}
        self._assignments: list[str] = []
        self._taken: set[str] = set()

    def lines(self) -> list[str]:
        """Everything that the expressions so far need, in order."""
        text = "\n".join([*self._definitions.values(), *self._assignments])
        imports = ["import math"] if "math." in text else []
        return [*imports, *self._definitions.values(), *self._assignments]

    def expression(self, value: Any) -> str:
        """Python for `value`."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, Family):
            return self._family(value)
        if isinstance(value, SeededGenerator):
            return f"torch.Generator().manual_seed({value.seed})"
        if isinstance(value, float) and not math.isfinite(value):
            return f"float('{value}')"
        if isinstance(value, tuple):
            return f"({', '.join(map(self.expression, value))}{',' if len(value) == 1 else ''})"
        if isinstance(value, list):
            return f"[{', '.join(map(self.expression, value))}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{key!r}: {self.expression(item)}' for key, item in value.items())}}}"
        return _other(value)

    def argument(self, value: Any) -> str:
        """Python for an argument: a name for what is long or comes again, else an expression."""
        key = _key(value)
        if key not in self._names and (isinstance(value, Family) or _is_long(value) or self._often[key] > 1):
            kind = {Family: "f", SeededGenerator: "generator"}.get(type(value), "x")
            written = self.expression(value)
            if isinstance(value, Tensor) and written.startswith("<"):
                return written  # only told of
            self._names[key] = self.assign(kind, written)
        return self._names.get(key) or self.expression(value)

    def assign(self, name: str, expression: str) -> str:
        """Give an expression a name that no other has."""
        unique = next(one for one in (name, *(f"{name}{number}" for number in range(2, 100))) if one not in self._taken)
        self._taken.add(unique)
        self._assignments.append(wrapped(f"{unique} = {expression}"))
        return unique

    def _tensor(self, value: Tensor) -> str:
        recipe = recipe_of(value) if value.numel() > LITERAL else None
        if recipe is None:
            return tensor(value) if self._whole or value.numel() <= LITERAL or _is_constant(value) else _told(value)
        self._define(recipe.function)
        arguments = [self.expression(item) for item in recipe.args]
        arguments += [f"{name}={self.expression(item)}" for name, item in recipe.kwargs.items()]
        return f"{recipe.function.__name__}({', '.join(arguments)})"

    def _family(self, family: Family) -> str:
        build = FAMILIES[family.name]
        body = _definition(build)
        only = body.body[0] if len(body.body) == 1 else None
        result = only.value if isinstance(only, ast.Return) else None
        chosen = _looked_up(result, family, build)
        if chosen is not None:
            return chosen
        if isinstance(result, ast.Lambda):
            names = {name: self.assign(name, self.expression(item)) for name, item in family.parameters.items()}
            self._define_helpers(build, result)
            return ast.unparse(_Renamed(names).visit(result))
        self._define(build)
        arguments = [f"{name}={self.expression(item)}" for name, item in family.parameters.items()]
        return f"{family.name}({', '.join(arguments)})"

    def _define(self, function: Callable[..., Any]) -> None:
        name = function.__name__
        if name not in self._definitions:
            definition = _definition(function)
            self._define_helpers(function, definition)
            self._definitions[name] = ast.unparse(definition).replace("\n\n", "\n")
            self._taken.add(name)

    def _define_helpers(self, function: Callable[..., Any], code: ast.AST) -> None:
        """The functions and constants of the module that the code speaks of."""
        module = sys.modules[function.__module__]
        for name in dict.fromkeys(node.id for node in ast.walk(code) if isinstance(node, ast.Name)):
            known = vars(module).get(name)
            if name in self._definitions or known is None or isinstance(known, ModuleType | type) or known is torch:
                continue
            if inspect.isfunction(known) and known is not function:
                self._define(inspect.unwrap(known))
            elif name in _constants(module):
                self._definitions[name] = f"{name} = {_constants(module)[name]}"


def tensor(value: Tensor) -> str:
    """A tensor with all its numbers, in as few digits as give these very numbers."""
    value = value.detach()
    dtype = "" if value.dtype in (torch.float32, torch.int64, torch.bool) else f", dtype={value.dtype}"
    if value.numel() == 0:
        return f"torch.empty({tuple(value.shape)}{dtype})"
    if value.numel() > LITERAL and _is_constant(value):
        return f"torch.full({tuple(value.shape)}, {_nested(value.flatten()[0])}{dtype})"
    return f"torch.tensor({_nested(value)}{dtype})"


def _told(value: Tensor) -> str:
    """What a long tensor is, for a reader; it cannot be pasted."""
    name = f"{str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    if value.is_complex():
        return f"<{name}>"
    values = value.detach().double()
    return f"<{name}, values from {values.min().item():.4g} to {values.max().item():.4g}>"


def _is_constant(value: Tensor) -> bool:
    return value.numel() > 0 and bool((value == value.flatten()[0]).all())


def _is_long(value: Any) -> bool:
    return isinstance(value, Tensor) and value.numel() > LITERAL


def _key(value: Any) -> object:
    """What tells that two arguments are one and the same object."""
    return ("generator", value.identity) if isinstance(value, SeededGenerator) else id(value)


def _values(used: Any) -> Iterator[Any]:
    """Every tensor, family and generator in the structure."""
    return (leaf for leaf in leaves(used) if isinstance(leaf, Tensor | Family | SeededGenerator))


def wrapped(line: str) -> str:
    """The line in several of at most `WIDTH` columns, broken behind commas inside brackets only: it stays valid Python."""
    if "\n" in line or len(line) <= WIDTH:
        return line
    pieces, start = [], 0
    while len(line) - start > WIDTH:
        end = line.rfind(", ", start, start + WIDTH)
        if end <= start:
            end = line.find(", ", start)
            if end < 0:
                break
        pieces.append(line[start : end + 1])
        start = end + 2
    return "\n    ".join([*pieces, line[start:]])


def _other(value: Any) -> str:
    if isinstance(value, RemoteObject):
        return f"<your {value.label}>"
    if isinstance(value, BlackBox):
        return value.name
    if isinstance(value, Unsendable):
        return f"<{value.description}>"
    return repr(value)


def _nested(value: Tensor) -> str:
    if value.dim():
        return f"[{', '.join(map(_nested, value))}]"
    if not value.is_floating_point():
        return repr(value.item())
    if not value.isfinite():
        return f"float('{value.item()}')"
    exact = value.float() if value.dtype == torch.bfloat16 else value
    text = str(exact.numpy()[()])  # the shortest that gives this very number in its dtype
    return f"{text[:-2]}." if text.endswith(".0") else text


@functools.cache
def _definition_of(function: Callable[..., Any]) -> str:
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(node, ast.FunctionDef)
    return ast.unparse(_Plain().visit(node))


def _definition(function: Callable[..., Any]) -> ast.FunctionDef:
    """The function's own code without decorators, annotations, docstrings and refusals of what never comes."""
    node = ast.parse(_definition_of(function)).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node


@functools.cache
def _constants(module: ModuleType) -> dict[str, str]:
    """What the module assigns to names in capitals."""
    found: dict[str, str] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and target.id.isupper():
            found[target.id] = ast.unparse(node.value)
    return found


def _looked_up(result: ast.expr | None, family: Family, build: Callable[..., Any]) -> str | None:
    """For a family that is `TABLE[name]`: what stands in the table."""
    match result:
        case ast.Subscript(value=ast.Name(id=table), slice=ast.Name(id=parameter)) if parameter in family.parameters:
            entries = ast.parse(_constants(sys.modules[build.__module__]).get(table, "{}"), mode="eval").body
            assert isinstance(entries, ast.Dict)
            for key, entry in zip(entries.keys, entries.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == family.parameters[parameter]:
                    return ast.unparse(entry)
    return None


class _Plain(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.decorator_list, node.returns = [], None
        node.body = [line for line in node.body if not _is_docstring(line) and not _is_refusal(line)] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return ast.copy_location(ast.Assign([node.target], node.value), node) if node.value else node


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self._names.get(node.id, node.id), node.ctx), node)


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def _is_refusal(line: ast.stmt) -> bool:
    """`_refuse_unless_…(…)`, or `if …: raise …`: a guard against a wrong call."""
    if isinstance(line, ast.If):
        return not line.orelse and all(isinstance(one, ast.Raise) for one in line.body)
    call = line.value if isinstance(line, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id.startswith("_refuse")
