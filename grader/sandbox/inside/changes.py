"""Which of its arguments a call changes in place: tensors, also those inside lists and families, and modules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from grader.sandbox.wire.families import Family, tensors_in

TensorState = tuple[Tensor, bool, Tensor | None]  # its values, whether it takes gradients, and its gradient
State = tuple[list[TensorState], list[bool]]  # of an argument; the second: which parts of a module are in training mode


class Arguments:
    """The arguments of a call as they are before it. `given`: the positional ones before families were built."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], given: Sequence[Any]) -> None:
        self._values = {**_names(function, args), **kwargs}
        families = zip(list(self._values), given, strict=False)
        self._values |= {f"the parameters of {name}": value for name, value in families if isinstance(value, Family)}
        self._before = {name: _state(value) for name, value in self._values.items()}

    def changed(self) -> list[str]:
        """The names of those that are no longer what they were."""
        return [name for name, value in self._values.items() if not _same(self._before[name], _state(value))]


def _state(value: Any) -> State:
    if isinstance(value, torch.nn.Module):
        tensors = [*value.parameters(), *value.buffers()]
        return [_tensor_state(tensor) for tensor in tensors], [child.training for child in value.modules()]
    return [_tensor_state(tensor) for tensor in tensors_in(value)], []


def _tensor_state(tensor: Tensor) -> TensorState:
    return tensor.detach().clone(), tensor.requires_grad, None if tensor.grad is None else tensor.grad.clone()


def _same(before: State, after: State) -> bool:
    same_length = len(before[0]) == len(after[0])
    return same_length and before[1] == after[1] and all(map(_same_tensor, before[0], after[0]))


def _same_tensor(before: TensorState, after: TensorState) -> bool:
    if before[1] != after[1] or (before[2] is None) != (after[2] is None):
        return False
    same_gradient = before[2] is None or after[2] is None or torch.equal(before[2], after[2])
    return same_gradient and before[0].shape == after[0].shape and _identical(before[0], after[0])


def _identical(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or bool(((a == b) | (a.isnan() & b.isnan())).all())


def _names(function: Callable[..., Any], args: Sequence[Any]) -> dict[str, Any]:
    """The positional arguments by the names of the function's parameters."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        names = []
    names += [f"argument {position}" for position in range(len(names) + 1, len(args) + 1)]
    return dict(zip(names, args, strict=False))
