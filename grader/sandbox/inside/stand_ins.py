"""What stands in, in a worker, for things that a student's code may use and that cannot work here.

A compiled function runs as it is written: compiling costs a minute and wants to write files. Where nothing is compiled,
torch's compiler need not be loaded. `os.devnull`, and a file in the working folder where that may not be written (a log),
are in memory, where nobody reads them.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

COMPILER = "torch._dynamo"

_compiled: dict[str, set[str]] = {}  # by the name of the module that asked


def install() -> None:
    """Put the stand-ins in place; twice does no harm."""
    if builtins.open is _open:
        return
    Uncompiled.install()
    torch.compile = _as_written("torch.compile")
    torch.jit.script = _as_written("torch.jit.script", torch_itself=torch.jit.script)
    builtins.open = io.open = _open


def remarks(module: str) -> list[str]:
    """What the reader of a submission should know about one of its modules."""
    return [f"{name}: the function was run as it is written, not compiled" for name in sorted(_compiled.get(module, ()))]


class Uncompiled(ModuleType):
    """What optimisers and torch.func ask of torch's compiler, which takes as long to load as torch; for more, it is loaded."""

    compiled_autograd = SimpleNamespace(_disable=contextlib.nullcontext)

    @classmethod
    def install(cls) -> None:
        """Stand in for the compiler, unless it is there already."""
        if COMPILER not in sys.modules:
            sys.modules[COMPILER] = torch._dynamo = cls(COMPILER)

    @staticmethod
    def disable(function: Callable[..., Any], *args: Any, **options: Any) -> Callable[..., Any]:
        return function

    @staticmethod
    def graph_break(*args: Any, **options: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # who only looks at all modules; a submodule asks for the path
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER], torch._dynamo
        return getattr(importlib.import_module(COMPILER), name)


def _as_written(name: str, torch_itself: Callable[..., Any] | None = None) -> Callable[..., Any]:
    def compiled(function: Any = None, *args: Any, **options: Any) -> Any:
        asking = str(sys._getframe(1).f_globals.get("__name__"))
        if torch_itself and asking.startswith("torch."):  # `torch.func.jacfwd` reads the graph of what it scripts
            return torch_itself(function, *args, **options)
        _compiled.setdefault(asking, set()).add(name)
        return function if function is not None else lambda inner: inner

    return compiled


_really_open = io.open


def _open(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
    try:
        return _really_open(file, mode, *args, **options)
    except OSError:
        if file == os.devnull or (set(mode) & set("wax+") and _beside(file)):
            return io.BytesIO() if "b" in mode else io.StringIO()
        raise


def _beside(file: Any) -> bool:
    """Whether it lies in the working folder."""
    return isinstance(file, str | os.PathLike) and os.path.dirname(os.path.abspath(file)) == os.getcwd()
