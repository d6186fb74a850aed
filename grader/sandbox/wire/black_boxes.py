"""Functions that stay with the grader: the student's code gets a callable that asks, and plain data comes back.

While a call that was given black boxes is under way, the worker may send, instead of its answer,

    {"ask": name, "args": [plain…], "kwargs": {name: plain…}}    and gets    {"value": plain} | {"refused": sentence}

A question is data from a hostile process like any other: the same decoder reads it, and it is answered by a function that
gets plain values or is not called at all. How often may be asked, and how much may travel, is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from grader.sandbox.wire.families import tensors_in
from grader.sandbox.wire.frames import WireError, encode
from grader.sandbox.wire.objects import BlackBox
from grader.values import leaves

MAX_QUESTIONS = 1_000  # during one call
MAX_NUMBERS = 1 << 22  # elements of tensors that travel during one call, in both directions together

Line = Callable[[bytes], Any]  # from the frame of a question to the answer to it


class QuestionRefused(Exception):
    """A question that a black box does not answer; the sentence is raised in the student's code, as a ValueError."""


class Boxes:
    """The grader's side: the black boxes of one call, and what they may still be asked."""

    def __init__(self, message: Any) -> None:
        self._boxes: dict[str, BlackBox] = {}
        for box in (leaf for leaf in leaves(message) if isinstance(leaf, BlackBox)):
            if box.name in self._boxes:
                raise ValueError(f"two black boxes are called {box.name}")
            self._boxes[box.name] = box
        self._questions = self._numbers = 0
        self.seconds = 0.0  # taken by the boxes themselves, which is nothing that the student has to answer for

    def __len__(self) -> int:
        return len(self._boxes)

    def asked(self, reply: Any) -> bool:
        """Whether what came is a question and not the answer to the call."""
        return len(self) > 0 and isinstance(reply, dict) and "ask" in reply

    def answer(self, question: Any) -> dict[str, Any]:
        """The answer to a question. Raises: `WireError` for what a worker's own side never asks."""
        match question:
            case {"ask": str(name), "args": list(args), "kwargs": dict(kwargs), **rest} if name in self._boxes and not rest:
                try:
                    return {"value": self._value(self._boxes[name], args, kwargs)}
                except QuestionRefused as refusal:
                    return {"refused": str(refusal)}
        raise WireError("a question to nobody")

    def _value(self, box: BlackBox, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self._questions += 1
        if self._questions > MAX_QUESTIONS:
            raise QuestionRefused(f"{box.name} was asked too often: {MAX_QUESTIONS:,} questions are answered, each for many values")
        self._count([args, kwargs], box)
        if not _is_plain([args, kwargs]):
            raise QuestionRefused(f"{box.name} takes tensors and numbers")
        started = time.perf_counter()
        try:
            assert box.function is not None
            value = box.function(*args, **kwargs)
        except QuestionRefused:
            raise
        except Exception as error:  # of a function that we wrote, about values that we did not
            raise QuestionRefused(f"{box.name} cannot be called like this ({type(error).__name__})") from None
        finally:
            self.seconds += time.perf_counter() - started
        self._count(value, box)
        return value

    def _count(self, value: Any, box: BlackBox) -> None:
        self._numbers += sum(tensor.numel() for tensor in tensors_in(value))
        if self._numbers > MAX_NUMBERS:
            raise QuestionRefused(f"{box.name} was asked for too much: {MAX_NUMBERS:,} numbers travel in one call")


class Asking:
    """The worker's side: a black box as the student's code gets it, good for one call."""

    def __init__(self, name: str, line: Line | None) -> None:
        self.__name__ = name
        self._line = line

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._line is None:
            raise RuntimeError(f"{self.__name__} answers only during the call that it was given to")
        try:
            frame = encode({"ask": self.__name__, "args": list(args), "kwargs": kwargs}, _nothing_special)
        except WireError as error:
            raise TypeError(f"{self.__name__} takes tensors and numbers: {error}") from None
        answer = self._line(frame)
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return answer["value"]

    def close(self) -> None:
        """From now on it raises."""
        self._line = None


def _nothing_special(value: Any) -> None:
    """The wire's `to_wire` for questions: they hold plain values only."""


def _is_plain(value: Any) -> bool:
    return all(leaf is None or isinstance(leaf, bool | int | float | str | Tensor) for leaf in leaves(value))
