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

FAMILIES: dict[str, Callable[..., Any]] = {}
HELPERS: dict[str, Callable[..., Any]] = {}


class Family:
    """A public callable, known by the family's name and its parameters."""

    def __init__(self, name: str, parameters: dict[str, Any]) -> None:
        self.name = name
        self.parameters = parameters

    def build(self) -> Callable[..., Any]:
        """The plain callable, with the parameters as they are (graphs and all)."""
        return FAMILIES[self.name](**{key: _built(value) for key, value in self.parameters.items()})

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
    if isinstance(value, Tensor):
        return value.double() if value.is_floating_point() else value
    if isinstance(value, Family):
        return value.double()
    if isinstance(value, list | tuple):
        return type(value)(double(item) for item in value)
    if isinstance(value, dict):
        return {key: double(item) for key, item in value.items()}
    return value


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in a structure of arguments, in one fixed order: how both sides agree on `wrt`."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Family):
        return tensors_in(value.parameters)
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def _built(value: Any) -> Any:
    if isinstance(value, Family):
        return value.build()
    if isinstance(value, list):
        return [_built(item) for item in value]
    return value


def _register(registry: dict[str, Callable[..., Any]], function: Callable[..., Any]) -> None:
    known = registry.get(function.__name__)
    if known is not None and known.__module__ != function.__module__:
        raise ValueError(f"{function.__name__} is registered twice: in {known.__module__} and in {function.__module__}")
    registry[function.__name__] = function
