"""What a worker says of values that cannot travel and of exceptions: plain data."""

from __future__ import annotations

import linecache
import traceback
from typing import Any

import torch
from torch import Tensor

from grader.sandbox.inside.loading import describe
from grader.sandbox.wire.frames import NAMES
from grader.sandbox.wire.objects import Unsendable


def describe_tensor(value: Tensor) -> str:
    """Why this tensor is not a plain one."""
    if type(value) not in (Tensor, torch.nn.Parameter):
        return f"a {type(value).__name__} (a subclass of Tensor)"
    if value.is_quantized:
        return "a quantized tensor"
    if value.layout is not torch.strided:
        return "a sparse tensor"
    if value.device.type != "cpu":
        return f"a tensor on the device {value.device}"
    if value.is_nested:
        return "a nested tensor"
    if value.dtype in NAMES:
        return f"a tensor of {value.dim()} dimensions"
    return f"a tensor of dtype {str(value.dtype).removeprefix('torch.')}"


def instead(answer: dict[str, Any], why: str) -> dict[str, Any]:
    """An answer of the same form as `answer`, which cannot be sent."""
    gradients: dict[str, Any] = {"gradients": None, "parameter_gradients": {}} if "gradients" in answer else {}
    return {**answer, "value": Unsendable(f"something that cannot be sent ({why})"), **gradients}


def describe_error(error: BaseException) -> dict[str, Any]:
    """The exception as plain data; `where` names the student's own line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename in linecache.cache and linecache.cache[frame.filename][1:2] == (None,)]
    where = f"{own[-1].filename}, line {own[-1].lineno}: {own[-1].line}" if own else ""
    said_by_student = bool(frames) and (not own or own[-1] is frames[-1]) and "NotImplementedError" in (frames[-1].line or "")
    return {
        "type": type(error).__name__[:80],
        "bases": [base.__name__[:80] for base in type(error).__mro__],
        "message": describe(error).removeprefix(type(error).__name__).removeprefix(": "),
        "where": where[:300],
        "unimplemented": isinstance(error, NotImplementedError) and said_by_student,
    }
