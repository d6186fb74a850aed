"""Gradients of a student's function against known numbers, in whatever tensors a check names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from grader.checking.compare import assert_gradient_agrees
from grader.checking.student import Function


def assert_gradients_known(
    function: Function,
    args: Sequence[Any],
    known: Mapping[str, tuple[Tensor, Any]],
    *,
    weights: Tensor | Sequence[Tensor] | None = None,
    scale: float = 10.0,
) -> None:
    """The gradients of the weighted sum of the result are these: by a name, a tensor of `args` and the numbers.

    `scale`: the size of what is rounded on the way, as a multiple of the largest gradient of each tensor.
    What the callables hold has its gradients also where no other tensor asks for one, as in training on plain data.
    """
    held = {name: one for name, one in known.items() if not any(one[0] is argument for argument in args)}
    _assert_known(function, args, known, weights, scale)
    if 0 < len(held) < len(known):
        _assert_known(function, args, held, weights, scale)


def _assert_known(
    function: Function,
    args: Sequence[Any],
    known: Mapping[str, tuple[Tensor, Any]],
    weights: Tensor | Sequence[Tensor] | None,
    scale: float,
) -> None:
    _, gradients = function.gradient(*args, wrt=[tensor for tensor, _ in known.values()], weights=weights)
    for (name, (tensor, numbers)), got in zip(known.items(), gradients, strict=True):
        want = torch.tensor(numbers, dtype=torch.float64)
        assert_gradient_agrees(got, want, of=name, like=tensor, scale=scale * (1e-3 + want.abs().max()))
