"""The student, as a check sees them: call their functions, get plain values; behind it a worker or this very process.

student.kl_divergence(p, q)                       the value
student.kl_divergence.gradient(p, q, wrt=[p])     value and gradients
student.kl_divergence.observed(p, q)              value, and which arguments the call has changed
student.kl_divergence.strided(p, q)               the value for tensors of the same numbers that are not contiguous
student.fit_histogram.float64_default(x, K)       the value where torch.get_default_dtype() is torch.float64
student.generator(seed)                           a torch.Generator that lives where the student's code runs
student.run(helper, *args)                        a public helper, run there
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from grader.sandbox.wire.families import tensors_in
from grader.sandbox.wire.objects import RemoteObject, SeededGenerator
from grader.values import mapped


class StudentError(Exception):
    """The student's code raised."""

    def __init__(self, type: str, bases: list[str], message: str, where: str, unimplemented: bool) -> None:
        super().__init__(f"{type}: {message}" if message else type)
        self.type, self.bases, self.message, self.where, self.unimplemented = type, bases, message, where, unimplemented


class MissingFunction(Exception):
    """The submission has no such module or function."""


class NoGradient(Exception):
    """The result carries no graph, so there is nothing to differentiate."""


class CannotObserve(Exception):
    """A check cannot see here what it is about: it is not graded, whatever the answer is."""


class Transport(Protocol):
    """Something that answers the messages of `grader.sandbox.inside.host`."""

    @property
    def waited(self) -> float:
        """Seconds spent on answers so far."""

    @property
    def calls(self) -> Mapping[str, Mapping[str, Sequence[str]]]:
        """By topic: which of its functions each function calls."""

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to one message. Raises: `WorkerGone` where none comes."""
        ...

    def begin_exercise(self) -> None:
        """Give calls their full time again: what ran into a limit before was another exercise."""
        ...

    def begin_check(self, seconds: float) -> None:
        """From now on the submission may take so long; a call that would take longer is interrupted."""
        ...

    def has(self, topic: str) -> bool:
        """Whether anything was handed in for a topic."""
        ...

    def output(self) -> str:
        """What the student's code has printed."""
        ...


@dataclass(frozen=True)
class Observation:
    """A value, and the names of the arguments that the call has changed."""

    value: Any
    changed: list[str]


@dataclass(frozen=True)
class Call:
    """One call that a check made, and what came back (nothing where it never did): for counterexamples and naming mistakes."""

    name: str
    message: dict[str, Any]
    answer: dict[str, Any]


@dataclass
class Student:
    """The submission's module `topic`, behind a transport."""

    topic: str
    transport: Transport
    calls: list[Call] = field(default_factory=list)
    run_number: int = field(default_factory=itertools.count(1).__next__)  # one check on one input: objects live no longer
    _identities: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_"):
            raise AttributeError(name)
        return Function(self, self.topic, name)

    def generator(self, seed: int) -> SeededGenerator:
        """A generator in the place where the student's code runs; passed twice, it goes on where it stopped."""
        return SeededGenerator(next(self._identities), seed)

    def run(self, helper: Callable[..., Any], *args: Any) -> Any:
        """Run a public helper on the student's objects, where they live."""
        return Function(self, "helper", helper.__name__)(*args)


@dataclass(frozen=True)
class Function:
    """One function of the submission (or a method of an object that lives there)."""

    student: Student
    where: str | RemoteObject
    name: str

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_"):
            raise AttributeError(name)
        return Function(self.student, self.where, f"{self.name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("plain", args, kwargs)["value"]

    def strided(self, *args: Any, **kwargs: Any) -> Any:
        """The value for arguments with the same numbers that are not contiguous."""
        return self._ask("strided", args, kwargs)["value"]

    def float64_default(self, *args: Any, **kwargs: Any) -> Any:
        """The value where `torch.get_default_dtype()` is `torch.float64`."""
        return self._ask("float64_default", args, kwargs)["value"]

    def observed(self, *args: Any, **kwargs: Any) -> Observation:
        """The value, and which arguments the call has changed."""
        return Observation(**self._ask("observed", args, kwargs))

    def gradient(
        self,
        *args: Any,
        wrt: Sequence[Tensor] = (),
        weights: Tensor | Sequence[Tensor] | None = None,
        wrt_parameters_of: Remote | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Value and gradients of `(value * weights).sum()` w.r.t. the very tensors listed; None where none arrives.

        With `wrt_parameters_of` a dict of the model's parameter gradients comes third. Raises `NoGradient`.
        """
        tensors = tensors_in(_messages([list(args), kwargs]))
        places = [next(i for i, tensor in enumerate(tensors) if tensor is wanted) for wanted in wrt]
        asked = [weights] if isinstance(weights, Tensor) else weights and list(weights)
        answer = self._ask("gradient", args, kwargs, wrt=places, weights=asked, wrt_parameters_of=_messages(wrt_parameters_of))
        value, gradients = answer["value"], answer["gradients"]
        if gradients is None:
            shapes = [tuple(tensor.shape) for tensor in tensors_in(value) if tensor.is_floating_point()]
            if asked and shapes != [tuple(weight.shape) for weight in asked]:
                raise NoGradient(
                    f"the result of {self.name} has not the right shape ({', '.join(map(str, shapes)) or 'no real numbers'}), "
                    "so its gradient was not looked at"
                )
            raise NoGradient(
                f"the result of {self.name} carries no graph, so no gradient reaches its inputs: is it detached, or made of "
                "numbers that autograd does not follow?"
            )
        if len(gradients) != len(places):
            raise NoGradient(f"{self.name} has an answer of {len(gradients)} gradients, asked for {len(places)}")
        return (value, gradients) if wrt_parameters_of is None else (value, gradients, answer["parameter_gradients"])

    def _ask(self, mode: str, args: tuple[Any, ...], kwargs: dict[str, Any], **more: Any) -> dict[str, Any]:
        message = {
            "do": "call", "run": self.student.run_number, "target": [self.where, self.name], "mode": mode,
            "args": _messages(list(args)), "kwargs": _messages(kwargs), **more,
        }  # fmt: skip
        answer: dict[str, Any] = {}
        self.student.calls.append(Call(self.name, message, answer))  # before it is made: it may be the one that never ends
        answer |= self.student.transport.ask(message)
        if "missing" in answer:
            raise MissingFunction(answer["missing"])
        if "error" in answer:
            raise StudentError(**answer["error"])
        return {**answer, "value": _remotes(answer["value"], self.student)}


class Remote:
    """An object of the student's that stays where it is: call it, or a method of it."""

    def __init__(self, student: Student, handle: RemoteObject) -> None:
        self._student, self._handle = student, handle

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_"):
            raise AttributeError(name)
        return Function(self._student, self._handle, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return Function(self._student, self._handle, "__call__")(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<the student's {self._handle.label}>"


def _messages(value: Any) -> Any:
    """Arguments as they travel: a `Remote` as its handle."""
    return mapped(value, lambda leaf: leaf._handle if isinstance(leaf, Remote) else leaf)


def _remotes(value: Any, student: Student) -> Any:
    """Answers as a check sees them: a handle as a `Remote`."""
    return mapped(value, lambda leaf: Remote(student, leaf) if isinstance(leaf, RemoteObject) else leaf)
