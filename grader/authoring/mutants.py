"""Small wrong versions of a solution: cosmic-ray's operators, and four that torch code needs.

Cosmic-ray knows operators, comparisons, numbers, booleans and loops. What it does not have, and students do: a
statement left out, a keyword argument left out (`dim`, `keepdim`, `dtype`), a call left out (`.detach()`,
`log_softmax`), a `with` left out (`no_grad`). Everything happens in memory; no file is ever rewritten.
"""

from __future__ import annotations

import ast
import difflib
import functools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

from grader.authoring.build.source import Source

LEFT_OUT = (
    "NoOp",
    "Variable",  # inserts random names, and draws them from the global random state
    "RemoveDecorator",  # a region holds bodies
    "_Is",  # `==` made `is`: small integers are singletons, so nobody can tell
)
LIBRARIES = ("torch", "nn", "math", "functional", "F")


@dataclass(frozen=True)
class Mutant:
    """One small change of one solution region."""

    region: str
    before: str  # the lines that change, stripped
    after: str
    text: str  # the whole module


def mutants(source: Source) -> Iterator[Mutant]:
    """Every mutant of the regions of a source, each text once."""
    lines = source.text.splitlines()
    for region in source.regions:
        body = lines[region.first : region.last - 1]
        code = textwrap.dedent("\n".join(body)) + "\n"
        indent = next(line[: len(line) - len(line.lstrip())] for line in body if line.strip())
        for changed in dict.fromkeys([*_by_cosmic_ray(code), *_by_leaving_out(code)]):
            if _meaning(changed) not in ("", _meaning(code)):
                text = "\n".join(lines[: region.first]) + "\n" + textwrap.indent(changed, indent)
                text += "\n".join(lines[region.last - 1 :]) + "\n"
                yield Mutant(region.name, *_difference(code, changed), text)


def _by_cosmic_ray(code: str) -> Iterator[str]:
    for operator in _operators():
        occurrence = 0
        while (changed := mutate_code(code, operator, occurrence)) is not None:
            yield changed
            occurrence += 1


@functools.cache
def _operators() -> tuple[Operator, ...]:
    names = [name for name in operator_names() if not any(part in name for part in LEFT_OUT)]
    return tuple(get_operator(name)() for name in names)


def _by_leaving_out(code: str) -> Iterator[str]:
    for node in _nodes(ast.parse(code)):
        if isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.If | ast.For):
            yield _replaced(code, node, "pass")
        if isinstance(node, ast.With) and node.items[-1].optional_vars is None:
            yield _replaced(code, node, "if True", until=node.items[-1].context_expr)
        if isinstance(node, ast.Call):
            yield from _without_keywords(code, node)
            inner = _what_is_called_on(node)
            if inner is not None:
                yield _replaced(code, node, ast.unparse(inner))


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What runs: no docstrings, and no wording of errors. A call that is a statement goes as a statement."""
    if isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return
    yield node
    for child in ast.iter_child_nodes(node.value if isinstance(node, ast.Expr) else node):
        yield from _nodes(child)


def _without_keywords(code: str, call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        rest = ast.Call(call.func, call.args, [other for other in call.keywords if other is not keyword])
        yield _replaced(code, call, ast.unparse(rest))


def _what_is_called_on(call: ast.Call) -> ast.expr | None:
    """`x` of `x.detach()` and of `torch.exp(x)`."""
    if isinstance(call.func, ast.Attribute) and not (set(_names(call.func.value)) & set(LIBRARIES)):
        return call.func.value
    return call.args[0] if call.args else None


def _names(node: ast.expr) -> Iterator[str]:
    """The dotted name that an expression is, part by part; nothing for any other expression."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        yield from (node.attr, *_names(node.value))


def _replaced(code: str, node: ast.stmt | ast.expr, text: str, until: ast.expr | None = None) -> str:
    """`code` with the source of a node, or of its part up to another, replaced."""
    last = until or node
    raw = code.encode()  # columns count bytes
    starts = [0]
    for line in raw.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[(last.end_lineno or last.lineno) - 1] + (last.end_col_offset or 0)
    return (raw[:begin] + text.encode() + raw[end:]).decode()


def _meaning(code: str) -> str:
    """The syntax tree without the wording of errors and without annotations; empty for what is not Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef):
            node.returns = None
    return ast.dump(tree)


def _difference(code: str, changed: str) -> tuple[str, str]:
    old, new = code.splitlines(), changed.splitlines()
    blocks = [op for op in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if op[0] != "equal"]
    first, last = blocks[0], blocks[-1]
    return _joined(old[first[1] : last[2]]), _joined(new[first[3] : last[4]])


def _joined(lines: list[str]) -> str:
    return " ".join(line.split("  #")[0].strip() for line in lines)
