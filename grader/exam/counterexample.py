"""Writes the calls of a failed check in a form that a student can paste and run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from grader.checking.student import Call
from grader.exam.plain_torch import WIDTH, Script, wrapped
from grader.sandbox.wire.objects import Unsendable

MAX_CALLS = 4  # the last calls of a check that are shown; the failure is at their end
MAX_LENGTH = 2000  # characters
NOTES = {
    "gradient": "   # and its gradient",
    "strided": "   # with tensors that are not contiguous",
    "float64_default": "   # after torch.set_default_dtype(torch.float64)",
}


def of_calls(calls: Sequence[Call], got: Any = None) -> str:
    """The last calls, below what they need. Where there are several, the one that gave `got` is marked, with what came back.

    It runs where it is pasted below `import torch`, unless a tensor is too long to be shown.
    """
    needed, lines = parts(calls, got)
    text = "\n".join([*needed, *lines])
    return text if len(text) <= MAX_LENGTH else "\n".join([text[:MAX_LENGTH].rpartition("\n")[0], "…", *lines[-1:]])[: 2 * MAX_LENGTH]


def parts(calls: Sequence[Call], got: Any = None, *, whole: bool = False) -> tuple[list[str], list[str]]:
    """What the last calls need, and the calls. `whole`: a long tensor is written out."""
    shown = [call for call in calls[-MAX_CALLS:] if call.message["target"][0] != "helper"]
    script = Script([call.message for call in shown], whole)
    lines = [_call(script, call) for call in shown]
    if len(shown) > 1:
        gave = [number for number, call in enumerate(shown) if _gave(call, got)]
        failed = gave[-1] if gave else len(shown) - 1 if "value" not in shown[-1].answer else None
        lines = [_marked(line, shown[number]) if number == failed else line for number, line in enumerate(lines)]
    return script.lines(), lines


def short(value: Any) -> str:
    """A value in at most a line."""
    text = Script().expression(value)
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


def _marked(line: str, call: Call) -> str:
    """The call with what came back, where that fits beside it: a comment that is broken is none."""
    said = f" gave {short(call.answer['value'])}" if "value" in call.answer else " failed" if call.answer else " gave no answer"
    room = WIDTH - len(f"{line.split(chr(10))[-1]}   # <- this call")
    return f"{line}   # <- this call{said if len(said) <= room else ''}"


def _call(script: Script, call: Call) -> str:
    arguments = [script.argument(item) for item in call.message["args"]]
    arguments += [f"{name}={script.argument(item)}" for name, item in call.message["kwargs"].items()]
    return wrapped(f"{call.name}({', '.join(arguments)})") + NOTES.get(call.message["mode"], "")
