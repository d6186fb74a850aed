"""What a call may leave behind: changed tensors and modules, moved random states, another autograd mode."""

from __future__ import annotations

import random
from typing import Any

import numpy
import torch
from torch import Tensor

Trace = tuple[Tensor, bool, Tensor | None]  # a tensor's values, whether it takes gradients, and its gradient


def trace(tensor: Tensor) -> Trace:
    return tensor.detach().clone(), tensor.requires_grad, None if tensor.grad is None else tensor.grad.clone()


def same_trace(before: Trace, after: Trace) -> bool:
    same_grad = before[2] is after[2] or (
        before[2] is not None and after[2] is not None and torch.equal(before[2], after[2])
    )
    return before[1] == after[1] and same_grad and before[0].shape == after[0].shape and _identical(before[0], after[0])


def _identical(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or bool(((a == b) | (a.isnan() & b.isnan())).all())


def trace_module(module: torch.nn.Module) -> tuple[list[Trace], list[bool]]:
    tensors = [*module.parameters(), *module.buffers()]
    return [trace(tensor) for tensor in tensors], [child.training for child in module.modules()]


def same_module(before: Any, after: Any) -> bool:
    return len(before[0]) == len(after[0]) and all(map(same_trace, before[0], after[0])) and before[1] == after[1]


def random_states() -> tuple[Any, ...]:
    numpys: Any = numpy.random.get_state()  # (name, keys, position, …): the keys are an array
    return torch.get_rng_state().numpy().tobytes(), numpys[1].tobytes(), numpys[2:], random.getstate()


def autograd_mode() -> tuple[Any, ...]:
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()
