"""Gradients of the reference by autograd in float64: its functions are loops, but differentiable ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from grader.sandbox.wire.families import double, tensors_in


def gradients_of(
    functions: dict[str, Callable[..., Any]],
    name: str,
    args: Sequence[Any],
    places: Sequence[int],
    weights: Tensor | Sequence[Tensor] | None,
) -> tuple[Tensor, ...]:
    """Gradients of the weighted sum of what the named function returns, in the tensors of `args` at `places`."""
    args = _copies(double(list(args)))
    tensors = tensors_in(args)
    wrt = [tensors[place].requires_grad_() for place in places]
    outputs = tensors_in(functions[name](*args))
    if weights is None:
        weights = [torch.ones_like(output) for output in outputs]
    elif isinstance(weights, Tensor):
        weights = [weights]
    total = sum((output * weight.double()).sum() for output, weight in zip(outputs, weights, strict=True))
    assert isinstance(total, Tensor)
    return torch.autograd.grad(total, wrt, allow_unused=True, materialize_grads=True)


def _copies(value: Any) -> Any:
    """The same structure with leaf tensors of its own: float64 ones were not copied by `double`."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, list | tuple):
        return type(value)(_copies(item) for item in value)
    if hasattr(value, "parameters"):
        return type(value)(value.name, {key: _copies(item) for key, item in value.parameters.items()})
    return value
