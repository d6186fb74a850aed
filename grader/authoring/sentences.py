"""What a machine can find in the sentences of the checks: an expected number where none may stand, numbers that look alike.

The right answer is a field of a failure, so that an instructor can hide it; a student's own value is never called right.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator

from grader.exam.collect import Check
from grader.record import CheckRecord

PLACES = re.compile(r"\[[\d, ]*\]|shape \([\d, ]*\)")
VALUES = ("value", "finite", "law", "gradient", "digits")


def said_badly(record: CheckRecord) -> Iterator[str]:
    """What is wrong with the message of a failed check."""
    if record.outcome != "failed":
        return
    said, _, right = record.message.rpartition(", expected ")
    said, right = (said, right) if said else (record.message, "")
    if "expected" in said.lower():
        yield f"{record.check} says what is expected within its sentence, where it cannot be hidden: {record.message}"
    mine, theirs = _numbers(said), _numbers(right)
    if record.rung in VALUES and theirs and mine[:1] == theirs[:1]:
        yield f"{record.check} shows numbers that look alike: {record.message}"
    elif leaked := {number for number in theirs if "." in number} & set(mine):
        yield f"{record.check} has the expected {', '.join(sorted(leaked))} in its sentence: {record.message}"


def _numbers(text: str) -> list[str]:
    """The words with digits, but for indices and shapes."""
    return [word for word in PLACES.sub("", text).split() if re.search(r"\d", word)]


def compares_with_own_value(check: Check) -> Iterator[str]:
    """Whether a check calls a student's own value right: `assert_agrees` where what is wanted came from the student."""
    body = ast.parse(textwrap.dedent(inspect.getsource(check.body))).body[0]
    students = {"student"}
    for node in ast.walk(body):
        for target, value in _assigned(node):
            if _came_from(value, students):
                students |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}
    for node in ast.walk(body):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("assert_agrees", "assert_gradient_agrees"):
            want = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "want"), None)
            if want is not None and _came_from(want, students):
                yield (
                    f"{check.place}: {check.name} calls a value of the student's right ({ast.unparse(want)[:60]}): "
                    "compare with the truth, or use assert_calls_agree, which names both calls"
                )


def _assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    if not isinstance(node, ast.Assign):
        return
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) and len(target.elts) == len(node.value.elts):
            yield from zip(target.elts, node.value.elts, strict=True)
        else:
            yield target, node.value


def _came_from(expression: ast.expr, students: set[str]) -> bool:
    """Whether a value depends on the student's answers, but for what the reference makes of them."""
    if isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
        owner = expression.func.value
        if (isinstance(owner, ast.Name) and owner.id == "ref") or expression.func.attr == "generator":
            return False
    if isinstance(expression, ast.Attribute) and expression.attr in ("shape", "dtype", "device"):
        return False
    if isinstance(expression, ast.Name):
        return expression.id in students
    return any(_came_from(child, students) for child in ast.iter_child_nodes(expression) if isinstance(child, ast.expr))
