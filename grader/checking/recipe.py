"""Remembers which call made a tensor, so that a long one can be shown as that call."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec

from torch import Tensor

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class Recipe:
    """A public function and its arguments."""

    function: Callable[..., Tensor]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


_recipes: dict[int, tuple[weakref.ref[Tensor], Recipe]] = {}


def recipe(function: Callable[Arguments, Tensor]) -> Callable[Arguments, Tensor]:
    """Have what the decorated function returns be shown as a call of it. It may use torch, math and its module's helpers."""

    @functools.wraps(function)
    def remembered(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Tensor:
        made = function(*args, **kwargs)
        key = id(made)
        _recipes[key] = (weakref.ref(made, lambda _: _recipes.pop(key, None)), Recipe(function, args, dict(kwargs)))
        return made

    return remembered


def recipe_of(made: Tensor) -> Recipe | None:
    """The call that made this very tensor, where it is remembered."""
    reference, found = _recipes.get(id(made), (None, None))
    return found if reference is not None and reference() is made else None
