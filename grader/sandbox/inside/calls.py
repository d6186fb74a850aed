"""Which functions of a module call which: read off their compiled code, so that a failure can name the one to repair first."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

MAX_FUNCTIONS = 200  # functions of a module that are looked at
DOTS = {"LOAD_GLOBAL": "", "LOAD_NAME": "", "LOAD_ATTR": ".", "LOAD_METHOD": "."}  # what stands before a name, by what loads it


def calls_within(module: ModuleType) -> dict[str, list[str]]:
    """By its name (``sample``, ``Block.forward``) the functions and methods of this module that a function names."""
    functions = dict(_functions(module))
    named: dict[str, list[str]] = {}  # as code names it: a method by its last part, with the dot before it
    for name in functions:
        _, dot, last = name.rpartition(".")
        named.setdefault(dot + last, []).append(name)
    words = {name.removeprefix(".") for name in named}
    return {
        name: sorted({other for word in _names(code, words) for other in named.get(word, ()) if other != name})
        for name, code in functions.items()
    }


def _functions(module: ModuleType) -> Iterator[tuple[str, CodeType]]:
    for name, value in list(vars(module).items())[:MAX_FUNCTIONS]:
        yield from _code(name, value)
        if isinstance(value, type) and value.__module__ in (module.__name__, "__main__"):
            for method, inner in list(vars(value).items())[:MAX_FUNCTIONS]:
                yield from _code(f"{name}.{method}", inner)


def _code(name: str, value: Any) -> Iterator[tuple[str, CodeType]]:
    try:
        function = inspect.unwrap(value)
    except Exception:  # an object that answers to everything
        return
    if isinstance(function, FunctionType) and not name.rpartition(".")[2].startswith("__"):
        yield name, function.__code__


def _names(code: CodeType, words: set[str]) -> set[str]:
    """Those of the words that the code names as globals, or as attributes with a dot before them, also in functions inside it.

    `Normal(mu, sigma).log_prob(x)` is no call of the module's own `log_prob`.
    """
    found = set().union(*(_names(constant, words) for constant in code.co_consts if isinstance(constant, CodeType)))
    if words.isdisjoint(code.co_names):  # most code: disassembling takes a hundred times as long
        return found
    return found | {DOTS[one.opname] + one.argval for one in dis.get_instructions(code) if one.opname in DOTS and one.argval in words}
