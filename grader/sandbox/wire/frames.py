"""The one language between grader and worker: bounded plain data in frames, decoded without ever executing anything.

    frame  = magic(4) | header length u32 | blob length u64 | header | blob        little endian
    header = JSON of a tree;   tensors lie in the blob, raw and 16-byte aligned
    tree   = null | bool | int | finite float | string | {key: tree, …} dict
           | ["l", tree…] list        | ["u", tree…] tuple       | ["f", "nan"] non-finite float
           | ["t", dtype, [dims…], offset] tensor
           | ["s", kind, tree] an object that the two sides know by kind (a family, a remote object, …)

The decoder is the trust boundary. It imports, evaluates and coerces nothing, and allocates at most what `Limits` allows;
whatever does not fit raises `WireError`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAGIC = b"DGM1"
HEAD = struct.Struct("<4sIQ")
ALIGNMENT = 16  # bytes; every dtype may be viewed at such an offset

DTYPES = {
    name: getattr(torch, name) for name in ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
ITEM_SIZES = {name: torch.empty(0, dtype=dtype).element_size() for name, dtype in DTYPES.items()}


class WireError(Exception):
    """The peer broke the protocol, or a value has no place in it."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds on one message; nothing larger is read, decoded or allocated."""

    header: int = 1 << 20  # bytes
    blob: int = 64 << 20  # bytes
    nodes: int = 20_000
    depth: int = 16
    dimensions: int = 8
    tensors: int = 2_048
    string: int = 1 << 16  # characters
    digits: int = 400  # of an int: 2**784 - 1 has 237


LIMITS = Limits()
TO_WORKER = Limits(blob=1 << 30)  # the grader may send more than it takes

ToWire = Callable[[Any], "tuple[str, Any] | None"]  # object -> (kind, payload), or None when it has no place on the wire
FromWire = Callable[[str, Any], Any]  # (kind, payload) -> object; raises WireError for an unknown kind


def encode(value: Any, to_wire: ToWire, limits: Limits = LIMITS) -> bytes:
    """The frame that carries `value`."""
    encoder = _Encoder(to_wire, limits)
    header = _TO_JSON(encoder.tree(value, 0)).encode()
    if len(header) > limits.header:
        raise WireError("the value has too many parts")
    return b"".join([HEAD.pack(MAGIC, len(header), encoder.size), header, *encoder.parts])


def split(frame: bytes) -> tuple[bytes, bytearray]:
    """The header and the blob of a frame."""
    _, header, _ = HEAD.unpack_from(frame)
    start = HEAD.size + header
    return frame[HEAD.size : start], bytearray(frame[start:])


def decode(header: bytes | bytearray, blob: bytearray, from_wire: FromWire, limits: Limits = LIMITS) -> Any:
    """The value in a frame's header and blob."""
    try:
        node = _FROM_JSON(str(header, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"the header is not JSON ({type(error).__name__})") from None
    try:
        return _Decoder(blob, from_wire, limits).tree(node, 0)
    except (ValueError, TypeError, RuntimeError) as error:
        raise WireError(f"a broken node ({type(error).__name__})") from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise WireError("a key twice")
    return result


_TO_JSON = json.JSONEncoder(separators=(",", ":")).encode
_FROM_JSON = json.JSONDecoder(object_pairs_hook=_without_doubles).decode


class _Encoder:
    def __init__(self, to_wire: ToWire, limits: Limits) -> None:
        self.to_wire, self.limits = to_wire, limits
        self.parts: list[bytes] = []
        self.size = self.nodes = self.tensors = 0

    def tree(self, value: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > self.limits.nodes or depth > self.limits.depth:
            raise WireError("the value is too deep or has too many parts")
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is float:
            return value if math.isfinite(value) else ["f", repr(value)]
        if kind is int:
            return _bounded(value, self.limits)
        if kind is str:
            return self.string(value)
        if kind is Tensor or kind is torch.nn.Parameter:
            node = self.tensor(value)
            if node is not None:
                return node
        if kind is list:
            return ["l", *[self.tree(item, depth + 1) for item in value]]
        if kind is dict and all(type(key) is str for key in value):
            return {self.string(key): self.tree(item, depth + 1) for key, item in value.items()}
        if isinstance(value, tuple):  # also named tuples, torch.Size and what torch.max returns
            return ["u", *[self.tree(item, depth + 1) for item in value]]
        known = self.to_wire(value)
        if known is None:
            raise WireError(f"a {kind.__name__} cannot be sent")
        return ["s", known[0], self.tree(known[1], depth + 1)]

    def string(self, value: str) -> str:
        if len(value) > self.limits.string:
            raise WireError("the string is too long")
        return value.encode("utf-8", "replace").decode()  # half a surrogate pair is no text

    def tensor(self, value: Tensor) -> list[Any] | None:
        name = NAMES.get(value.dtype)
        if name is None or value.layout is not torch.strided or value.device.type != "cpu" or value.is_nested:
            return None
        if value.dim() > self.limits.dimensions:
            return None
        size = value.numel() * value.element_size()  # before anything is materialised: an expanded tensor may claim terabytes
        self.tensors += 1
        if size > self.limits.blob - self.size - ALIGNMENT or self.tensors > self.limits.tensors:
            raise WireError("the tensors are too large")
        offset, self.size = self.size, self.size + size + -size % ALIGNMENT
        if size:
            self.parts += [raw(value), bytes(-size % ALIGNMENT)]
        return ["t", name, list(value.shape), offset]


def raw(value: Tensor) -> bytes:
    """The bytes of a plain tensor in the order of its axes, whatever its strides."""
    plain = value.detach().resolve_neg()
    if plain.dtype is torch.bfloat16:  # which numpy does not know
        plain = plain.view(torch.int16)
    return plain.numpy().tobytes()


class _Decoder:
    def __init__(self, blob: bytearray, from_wire: FromWire, limits: Limits) -> None:
        self.blob, self.from_wire, self.limits = blob, from_wire, limits
        self.nodes = self.tensors = self.used = 0

    def tree(self, node: Any, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > self.limits.nodes or depth > self.limits.depth:
            raise WireError("the value is too deep or has too many parts")
        kind = type(node)
        if kind is list:
            return self.tagged(node, depth)
        if kind is dict:
            return {self.string(key): self.tree(item, depth + 1) for key, item in node.items()}
        if kind is str:
            return self.string(node)
        if kind is int:
            return _bounded(node, self.limits)
        if kind is float and not math.isfinite(node):
            raise WireError("a bare non-finite number")
        return node

    def tagged(self, node: list[Any], depth: int) -> Any:
        tag, *rest = node
        if tag == "t":
            return self.tensor(*rest)
        if tag == "l":
            return [self.tree(item, depth + 1) for item in rest]
        if tag == "u":
            return tuple([self.tree(item, depth + 1) for item in rest])
        if tag == "s":
            kind, payload = rest
            return self.from_wire(self.string(kind), self.tree(payload, depth + 1))
        if tag == "f" and rest in (["nan"], ["inf"], ["-inf"]):
            return float(rest[0])
        raise WireError("an unknown node")

    def tensor(self, name: Any, shape: Any, offset: Any) -> Tensor:
        self.tensors += 1
        if self.tensors > self.limits.tensors or type(name) is not str or name not in DTYPES:
            raise WireError("an unknown dtype, or too many tensors")
        if type(shape) is not list or len(shape) > self.limits.dimensions:
            raise WireError("not a shape")
        size = ITEM_SIZES[name]
        for d in shape:
            if type(d) is not int or not 0 <= d <= 1 << 40:
                raise WireError("not a shape")
            size *= d  # Python integers: no overflow
        self.used += size  # all tensors together fit the blob, so none aliases another's bytes
        if type(offset) is not int or offset < 0 or offset % ALIGNMENT or offset + size > len(self.blob) or self.used > len(self.blob):
            raise WireError("a tensor that does not fit its bytes")
        if size == 0:
            return torch.empty(shape, dtype=DTYPES[name])
        if name == "bool":  # a byte other than 0 and 1 is undefined behaviour in torch
            return torch.frombuffer(self.blob, dtype=torch.uint8, count=size, offset=offset).view(shape) != 0
        count = size // ITEM_SIZES[name]
        return torch.frombuffer(self.blob, dtype=DTYPES[name], count=count, offset=offset).clone().view(shape)

    def string(self, value: Any) -> str:
        if type(value) is not str or len(value) > self.limits.string:
            raise WireError("not a string, or too long")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise WireError("half a character") from None
        return value


def _bounded(value: int, limits: Limits) -> int:
    if value.bit_length() > 3.3 * limits.digits:
        raise WireError("the integer has too many digits")
    return value
