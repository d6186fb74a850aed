"""Inside the worker: holds the student's modules and objects and answers the grader's messages.

Nothing here is a security boundary: once a submission is loaded, this process belongs to the student. What the grader
believes are the numbers that come back, on inputs that nobody can foresee.

    {"do": "load", "package": …, "topics": {name: [cell, …]}, "seconds": …, "definitions_only": …}
        -> {"problems": {name: [sentence, …]}, "calls": {name: {function: [function, …]}}}
    {"do": "batch", "calls": number}, and so many calls, which are answered one after the other
    {"do": "call", "run": number, "target": [where, name], "mode": MODE, "args": …, "kwargs": …, …}
        with the MODE "plain" | "strided" | "float64_default" | "observed" | "gradient"
        -> {"value": …, …} | {"missing": sentence} | {"error": {"type", "bases", "message", "where"}}
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from grader.sandbox.inside import settings, stand_ins
from grader.sandbox.inside.calls import calls_within
from grader.sandbox.inside.changes import Arguments
from grader.sandbox.inside.descriptions import describe_error, describe_tensor, instead
from grader.sandbox.inside.loading import SubmissionFinder, Topic
from grader.sandbox.wire.black_boxes import Asking, Line
from grader.sandbox.wire.channel import Channel, WireClosed
from grader.sandbox.wire.families import HELPERS, Family, tensors_in
from grader.sandbox.wire.frames import TO_WORKER, WireError
from grader.sandbox.wire.objects import BlackBox, RemoteObject, SeededGenerator, Unsendable, from_wire, to_wire
from grader.values import mapped

PLAIN = (Tensor, int, float, bool, str, type(None))  # what most arguments are; they stand for nothing else


def serve(channel: Channel) -> None:
    """Answer messages until the grader hangs up."""
    host = Host()
    channel.to_wire = host.keep_in_worker

    def line(question: bytes) -> Any:
        channel.send_frames(question)
        return channel.receive()

    while True:
        try:
            message = channel.receive()
        except WireClosed:
            return
        batch = [channel.receive() for _ in range(message["calls"])] if message["do"] == "batch" else [message]
        for left, one in zip(reversed(range(len(batch))), batch, strict=True):
            answer = host.answer(one, line)
            try:
                channel.answer(answer, last=not left)
            except (WireError, RuntimeError, TypeError, ValueError) as error:  # whatever odd tensors and tuples raise
                channel.answer(instead(answer, str(error)), last=not left)


class Missing(Exception):
    """The submission has no such function."""


class Host:
    """The student's modules and objects, and the calls on them."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.objects: dict[int, Any] = {}
        self.identities: dict[int, int] = {}
        self.generators: dict[int, torch.Generator] = {}
        self.run: int | None = None  # of a check on one input; objects and generators live no longer
        self.line: Line | None = None  # to the grader, for the black boxes of the present call
        self.boxes: list[Asking] = []
        with warnings.catch_warnings(action="ignore"):  # a student's warnings are nobody's business
            self.settings = settings.read()  # before anything of the student's has run

    def answer(self, message: dict[str, Any], line: Line | None = None) -> dict[str, Any]:
        """The answer to one message; whatever the student's code raises is part of it."""
        self.line = line
        try:
            with settings.standard(self.settings):
                return self._load(message) if message["do"] == "load" else self._call(message)
        except Missing as missing:
            return {"missing": str(missing)}
        except BaseException as error:  # SystemExit, KeyboardInterrupt, pytest's skip: all are just answers
            return {"error": describe_error(error)}
        finally:
            while self.boxes:
                self.boxes.pop().close()

    def keep_in_worker(self, value: Any) -> tuple[str, Any] | None:
        """The wire's `to_wire` on this side: what is not plain stays here, behind a handle."""
        known = to_wire(value)
        if known is not None:
            return known
        if isinstance(value, Tensor):
            return to_wire(Unsendable(describe_tensor(value)))
        identity = self.identities.setdefault(id(value), len(self.identities) + 1)  # the same in every submission
        self.objects[identity] = value
        return to_wire(RemoteObject(identity, type(value).__name__))

    def calls(self) -> dict[str, dict[str, list[str]]]:
        """By topic, which of its functions each function calls."""
        try:
            return {name: calls_within(topic.module) for name, topic in self.topics.items()}
        except BaseException:  # a module may hold objects that answer to nothing as they should
            return {}

    def _load(self, message: dict[str, Any]) -> dict[str, Any]:
        stand_ins.install()
        finder = SubmissionFinder(message["package"], message["topics"], message["seconds"], message["definitions_only"])
        self.topics = finder.load_all()
        problems = {name: [*topic.problems, *stand_ins.remarks(name)] for name, topic in self.topics.items()}
        return {"problems": problems, "calls": self.calls()}

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["run"] != self.run:
            self.run = message["run"]
            self.objects.clear()
            self.identities.clear()
            self.generators.clear()
        function = self._target(*message["target"])
        given = [message["args"], message["kwargs"]]
        run: Callable[..., dict[str, Any]] = getattr(self, "_" + message["mode"])
        return run(function, given, message)

    def _target(self, where: str | RemoteObject, name: str) -> Callable[..., Any]:
        if isinstance(where, RemoteObject):
            return _attribute(self.objects[where.identity], name, where.label)
        if where == "helper":
            return HELPERS[name]
        topic = self.topics.get(where)
        if topic is None:
            raise Missing(f"the submission has no module {where}")
        try:
            return _attribute(topic.module, name, where)
        except Missing as missing:
            raise Missing("; ".join([str(missing), *topic.problems[:3]])) from None

    def _resolve(self, value: Any) -> Any:
        """An argument as the student's code gets it: a family is built, and what stands for something replaced by it."""
        if type(value) in PLAIN:
            return value
        if isinstance(value, Family):
            return value.build()
        if isinstance(value, RemoteObject):
            return self.objects[value.identity]
        if isinstance(value, SeededGenerator):
            if value.identity not in self.generators:
                self.generators[value.identity] = torch.Generator().manual_seed(value.seed)
            return self.generators[value.identity]
        if isinstance(value, BlackBox):
            self.boxes.append(Asking(value.name, self.line))
            return self.boxes[-1]
        return value

    def _plain(self, function: Callable[..., Any], given: list[Any], message: dict[str, Any]) -> dict[str, Any]:
        args, kwargs = mapped(given, self._resolve)
        value = function(*args, **kwargs)
        return {"value": dict(value) if isinstance(value, OrderedDict) else value}

    def _strided(self, function: Callable[..., Any], given: list[Any], message: dict[str, Any]) -> dict[str, Any]:
        """The value for the same tensors in another layout, which `view` and `data_ptr` cannot take for granted."""
        return self._plain(function, mapped(given, _other_layout), message)

    def _float64_default(self, function: Callable[..., Any], given: list[Any], message: dict[str, Any]) -> dict[str, Any]:
        torch.set_default_dtype(torch.float64)
        return self._plain(function, given, message)

    def _gradient(self, function: Callable[..., Any], given: list[Any], message: dict[str, Any]) -> dict[str, Any]:
        """Value, and gradients of (value * weights).sum() w.r.t. the tensors numbered `wrt` and a model's parameters."""
        inputs = tensors_in(given)
        wrt = [inputs[index].requires_grad_() for index in message["wrt"]]
        model = message["wrt_parameters_of"]
        parameters = dict(self.objects[model.identity].named_parameters()) if model is not None else {}
        value = self._plain(function, given, message)["value"]
        outputs = [output for output in tensors_in(value) if output.is_floating_point()]
        weights = message["weights"] if message["weights"] is not None else [torch.ones_like(output) for output in outputs]
        if [_without_ones(weight) for weight in weights] != [_without_ones(output) for output in outputs]:
            return {"value": value, "gradients": None, "parameter_gradients": {}}  # the value's shape is wrong
        weights = [weight.reshape(output.shape) for weight, output in zip(weights, outputs, strict=True)]
        total = sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=True))
        if not isinstance(total, Tensor) or not total.requires_grad:
            return {"value": value, "gradients": None, "parameter_gradients": {}}
        gradients = torch.autograd.grad(total, [*wrt, *parameters.values()], allow_unused=True)
        return {
            "value": value,
            "gradients": list(gradients[: len(wrt)]),
            "parameter_gradients": dict(zip(parameters, gradients[len(wrt) :], strict=True)),
        }

    def _observed(self, function: Callable[..., Any], given: list[Any], message: dict[str, Any]) -> dict[str, Any]:
        """Value, and the names of the arguments that the call has changed."""
        args, kwargs = mapped(given, self._resolve)
        arguments = Arguments(function, args, kwargs, given[0])
        value = function(*args, **kwargs)
        return {"value": value, "changed": arguments.changed()}


def _attribute(owner: Any, path: str, owner_name: str) -> Any:
    try:
        return functools.reduce(getattr, path.split("."), owner)
    except AttributeError:
        raise Missing(f"{owner_name} has no {path}") from None


def _other_layout(value: Any) -> Any:
    """A tensor that is not contiguous: a column of a wider one, or stored with its axes turned round."""
    if isinstance(value, Tensor) and value.dim() == 1:
        return torch.stack([value, value], dim=1)[:, 0]
    if isinstance(value, Tensor) and value.dim() > 1:
        turned = tuple(reversed(range(value.dim())))  # so that no two axes can be viewed as one
        return value.permute(turned).contiguous().permute(turned)
    return value


def _without_ones(x: Tensor) -> list[int]:
    return [length for length in x.shape if length != 1]


def connect(connection: Any) -> Channel:
    """The worker's end of a connection to the grader."""
    return Channel(connection, to_wire, from_wire, receive=TO_WORKER)


def quiet_start() -> None:
    """What a worker does before anything of the student's: one thread, no bytecode files, and inert check cells."""
    sys.dont_write_bytecode = True
    torch.set_num_threads(1)
    for name in (
        "grader.practice.notebook",
        "grader.notebook",
    ):  # what notebooks of this kit and of its last version import
        inert = ModuleType(name)  # here their check cells must not start another exam
        for tool in ("checker", "hinter", "painter"):
            setattr(inert, tool, lambda *names: lambda *exercises: None)
        sys.modules[name] = inert
