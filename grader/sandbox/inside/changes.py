"""Which of its arguments a call changes in place: the numbers of tensors, also inside lists and families, lists, and modules.

Whether a tensor takes gradients, and has one, is no number of it: how a function has autograd run is its own business.
So are the buffers of a module: a mask may be made at the first call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from grader.sandbox.wire.families import Family, tensors_in

# of an argument: numbers, and what a list holds, or which parts of a module are in training mode
State = tuple[list[Tensor], list[int]]


class Arguments:
    """The arguments of a call as they are before it. `given`: the positional ones before families were built."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], given: Sequence[Any]) -> None:
        self._values = {**_names(function, args), **kwargs}
        families = zip(list(self._values), given, strict=False)
        self._values |= {f"the parameters of {name}": value for name, value in families if isinstance(value, Family)}
        if isinstance(model := getattr(function, "__self__", None), torch.nn.Module):
            self._values["the parameters of the model"] = list(model.parameters())
        self._before = {name: _state(value) for name, value in self._values.items()}

    def changed(self) -> list[str]:
        """The names of those that are no longer what they were."""
        return [name for name, value in self._values.items() if not _same(self._before[name], _state(value))]


def _state(value: Any) -> State:
    tensors: list[Tensor]
    if isinstance(value, torch.nn.Module):
        tensors, parts = list(value.parameters()), [int(child.training) for child in value.modules()]
    else:
        tensors, parts = tensors_in(value), [id(member) for member in value] if isinstance(value, list) else []
    return [tensor.detach().clone() for tensor in tensors], parts


def _same(before: State, after: State) -> bool:
    return before[1] == after[1] and len(before[0]) == len(after[0]) and all(map(_identical, before[0], after[0]))


def _identical(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _names(function: Callable[..., Any], args: Sequence[Any]) -> dict[str, Any]:
    """The positional arguments by the names of the function's parameters."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    names += [f"argument {position}" for position in range(len(names) + 1, len(args) + 1)]
    return dict(zip(names, args, strict=False))
