"""The hidden reference as a check sees it: functions of float64 tensors, each answer computed once per class."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from grader.sandbox.wire.families import double
from grader.sandbox.wire.frames import WireError, encode
from grader.sandbox.wire.objects import to_wire

MAX_ANSWERS = 20_000  # answers; a lecture's exam needs a few thousand


class Reference:
    """`dgm_ref.<lecture>.<topic>`: arguments are cast to float64, answers remembered by the arguments' bytes."""

    def __init__(self, lecture: str, topic: str) -> None:
        self._module: ModuleType = importlib.import_module(f"dgm_ref.{lecture}.{topic}.reference")
        self._answers: dict[bytes, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(self._module, name)

        def ask(*args: Any, **kwargs: Any) -> Any:
            try:
                key = encode([name, list(args), kwargs], to_wire)
            except WireError:  # an argument without bytes, such as a function of the check's own
                return function(*double(args), **double(kwargs))
            if key not in self._answers:
                if len(self._answers) >= MAX_ANSWERS:
                    self._answers.clear()
                self._answers[key] = function(*double(args), **double(kwargs))
            return self._answers[key]

        return ask
