"""Writes the calls of a failed check in a form that a student can paste and run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from grader.checking.student import Call, Remote
from grader.sandbox.wire.families import Family
from grader.sandbox.wire.objects import BlackBox, RemoteObject, SeededGenerator, Unsendable

LITERAL = 24  # elements of a tensor that are still written out
CALLS = 4  # the last calls of a check that are shown; the failure is at their end
LENGTH = 2000  # characters


NOTES = {
    "gradient": "   # and its gradient",
    "no_grad": "   # under torch.no_grad()",
    "strided": "   # with tensors that are not contiguous",
    "float64_default": "   # after torch.set_default_dtype(torch.float64)",
}


def of_calls(calls: Sequence[Call], got: Any = None) -> str:
    """The last calls, one a line. Where there are several, the one that gave `got` is marked, with what came back."""
    shown = [call for call in calls[-CALLS:] if call.message["target"][0] != "helper"]
    if len(shown) < 2:
        return "\n".join(map(_call, shown))[:LENGTH]
    gave = [call for call in shown if _gave(call, got)]
    failed = gave[-1] if gave else shown[-1] if "value" not in shown[-1].answer else None
    return "\n".join(f"{_call(call)}{_came_back(call) if call is failed else ''}" for call in shown)[:LENGTH]


def short(value: Any) -> str:
    """A value in at most a line."""
    text = literal(value)
    return text if len(text) <= 200 else text[:180] + " …"


def form(value: Any) -> str:
    """What a value is, in words, without its numbers."""
    if isinstance(value, Tensor):
        odd = value.is_floating_point() and not value.isfinite().all()
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a {dtype} tensor of shape {tuple(value.shape)}{', not finite everywhere' if odd else ''}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}: {', '.join(map(form, value[:4]))}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"the float {value}"
    return value.description if isinstance(value, Unsendable) else f"a Python {type(value).__name__}"


def literal(value: Any) -> str:
    """Python source for `value`, where it is small enough to be read."""
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, Family):
        return f"{value.name}({', '.join(f'{name}={literal(item)}' for name, item in value.parameters.items())})"
    if isinstance(value, SeededGenerator):
        return f"torch.Generator().manual_seed({value.seed})"
    if isinstance(value, RemoteObject):
        return f"<your {value.label}>"
    if isinstance(value, BlackBox):
        return value.name
    if isinstance(value, Unsendable):
        return f"<{value.description}>"
    if isinstance(value, Remote):
        return repr(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {literal(item)}' for key, item in value.items())}}}"
    return repr(value)


def _gave(call: Call, got: Any) -> bool:
    """Whether `got` is what this call gave, or a part of it."""
    answers = list(call.answer.values())
    for answer in answers:
        if answer is got:
            return got is not None
        if isinstance(answer, list | tuple):
            answers += answer
        elif isinstance(answer, dict):
            answers += answer.values()
    return False


def _came_back(call: Call) -> str:
    if "value" not in call.answer:
        return "   # <- this call failed"
    return f"   # <- this call gave {short(call.answer['value'])}"


def _call(call: Call) -> str:
    arguments = [literal(item) for item in call.message["args"]]
    arguments += [f"{name}={literal(item)}" for name, item in call.message["kwargs"].items()]
    note = NOTES.get(call.message["mode"], "")
    return f"{call.name}({', '.join(arguments)}){note}"


def _tensor(value: Tensor) -> str:
    value = value.detach()
    dtype = "" if value.dtype in (torch.float32, torch.int64, torch.bool) else f", dtype={value.dtype}"
    if value.numel() == 0:
        return f"torch.empty({tuple(value.shape)}{dtype})"
    if value.numel() <= LITERAL:
        return f"torch.tensor({_nested(value)}{dtype})"
    name = f"{str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    if value.is_complex():
        return f"<{name}>"
    return f"<{name}, values from {value.double().min().item():.4g} to {value.double().max().item():.4g}>"


def _nested(value: Tensor) -> str:
    if value.dim():
        return f"[{', '.join(map(_nested, value))}]"
    if not value.is_floating_point():
        return repr(value.item())
    if not value.isfinite():
        return f"float('{value.item()}')"
    exact = value.float() if value.dtype == torch.bfloat16 else value
    text = str(exact.numpy()[()])  # the shortest that gives this very number in its dtype
    return f"{text[:-2]}." if text.endswith(".0") else text
