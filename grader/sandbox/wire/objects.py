"""The few things besides plain data that both sides know: what they are, and how they look on the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grader.printable import printable
from grader.sandbox.wire.families import FAMILIES, Family
from grader.sandbox.wire.frames import WireError


@dataclass(frozen=True)
class RemoteObject:
    """An object that stays in the worker: a model, a generator function, whatever is not plain data."""

    identity: int
    label: str  # name of its class


@dataclass(frozen=True)
class SeededGenerator:
    """A `torch.Generator` that is made in the worker when first met; the same identity is the same generator."""

    identity: int
    seed: int


@dataclass(frozen=True, eq=False)
class BlackBox:
    """A function that stays with the grader; the worker knows its name, and asks. See `grader.sandbox.wire.black_boxes`."""

    name: str  # no other box of the same call has it
    function: Callable[..., Any] | None = None  # None in the worker


@dataclass(frozen=True)
class Unsendable:
    """What stands in the place of a value that has no form on the wire, with the words to call it by."""

    description: str


def to_wire(value: Any) -> tuple[str, Any] | None:
    """Object to (kind, payload)."""
    if isinstance(value, Family):
        return "family", [value.name, value.parameters]
    if isinstance(value, RemoteObject):
        return "remote", [value.identity, value.label[:80]]
    if isinstance(value, SeededGenerator):
        return "generator", [value.identity, value.seed]
    if isinstance(value, BlackBox):
        return "black box", [value.name]
    if isinstance(value, Unsendable):
        return "unsendable", [value.description[:200]]
    return None


def from_wire(kind: str, payload: Any) -> Any:
    """(kind, payload) to object, every field checked: the payload may come from a hostile worker."""
    match kind, payload:
        case "family", [str(name), dict(parameters)] if name in FAMILIES:
            return Family(name, parameters)
        case "remote", [int(identity), str(label)] if len(label) <= 80:
            return RemoteObject(identity, printable(label))
        case "generator", [int(identity), int(seed)]:
            return SeededGenerator(identity, seed)
        case "black box", [str(name)]:
            return BlackBox(name)
        case "unsendable", [str(description)] if len(description) <= 200:
            return Unsendable(printable(description))
    raise WireError(f"an unknown or broken object of kind {kind[:20]!r}")


def answer_from_wire(kind: str, payload: Any) -> Any:
    """What a worker's answer may hold: remote objects and unsendable ones, nothing that would run here."""
    if kind not in ("remote", "unsendable"):
        raise WireError(f"an answer must not hold a {kind[:20]!r}")
    return from_wire(kind, payload)
