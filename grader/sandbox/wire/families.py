"""Callables that cross the wall by name: a check says `affine(A, b)`, the worker builds the plain torch callable.

A *family* is a public function that builds a batched callable from plain parameters; a *helper* is a public
function that has to run where the student's objects live. Modules of families are named by the assignment and
imported on both sides; nothing else is ever looked up by name.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor

from grader.values import leaves, mapped

FAMILIES: dict[str, Callable[..., Any]] = {}
HELPERS: dict[str, Callable[..., Any]] = {}


class Family:
    """A public callable, known by the family's name and its parameters."""

    def __init__(self, name: str, parameters: dict[str, Any]) -> None:
        self.name = name
        self.parameters = parameters

    def build(self) -> Callable[..., Any]:
        """The plain callable, with the parameters as they are (graphs and all)."""
        return FAMILIES[self.name](**mapped(self.parameters, lambda leaf: leaf.build() if isinstance(leaf, Family) else leaf))

    @functools.cached_property
    def _callable(self) -> Callable[..., Any]:
        return self.build()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._callable(*args, **kwargs)

    def double(self) -> Family:
        """The same callable with its floating parameters in float64: what the reference is given."""
        return Family(self.name, {key: double(value) for key, value in self.parameters.items()})

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.parameters.items())})"


def family(build: Callable[..., Any]) -> Callable[..., Family]:
    """Register `build` as a public family; calling it then describes the callable (or the tensor) instead of building it."""
    _register(FAMILIES, build)
    signature = inspect.signature(build)

    @functools.wraps(build)
    def describe(*args: Any, **kwargs: Any) -> Family:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return Family(build.__name__, dict(bound.arguments))

    return describe


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register a public function that the worker may run on the student's objects."""
    _register(HELPERS, function)
    return function


def double(value: Any) -> Any:
    """`value` with every floating tensor in it cast to float64."""

    def cast(leaf: Any) -> Any:
        floating = isinstance(leaf, Family) or (isinstance(leaf, Tensor) and leaf.is_floating_point())
        return leaf.double() if floating else leaf

    return mapped(value, cast)


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in a structure of arguments, in one fixed order: how both sides agree on `wrt`."""
    found: list[Tensor] = []
    for leaf in leaves(value):
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif isinstance(leaf, Family):
            found += tensors_in(leaf.parameters)
    return found


def _register(registry: dict[str, Callable[..., Any]], function: Callable[..., Any]) -> None:
    known = registry.get(function.__name__)
    if known is not None and known.__module__ != function.__module__:
        raise ValueError(f"{function.__name__} is registered twice: in {known.__module__} and in {function.__module__}")
    registry[function.__name__] = function
