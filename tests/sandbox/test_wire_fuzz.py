"""The decoder against arbitrary bytes: it answers with a value or a `WireError`, in bounded memory and time."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
import tracemalloc

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grader.sandbox.wire.channel import Channel, WireClosed, WireTimeout
from grader.sandbox.wire.frames import HEAD, LIMITS, MAGIC, Limits, WireError, decode, encode, split
from grader.sandbox.wire.objects import Unsendable, answer_from_wire, to_wire

SMALL = Limits(header=4096, blob=4096, nodes=200, depth=8, dimensions=4, tensors=16, string=256, digits=40)

# -- values that have a place on the wire --

dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
tensors = st.builds(
    lambda shape, dtype: (torch.arange(float(torch.Size(shape).numel())).reshape(shape) - 1).to(dtype),
    st.lists(st.integers(0, 3), max_size=3), dtypes,
)  # fmt: skip
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=20), tensors)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=12,
)


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b or (a != a and b != b)


@settings(max_examples=150, deadline=None)
@given(values)
def test_what_is_sent_is_what_arrives(value):
    assert same(decode(*split(encode(value, to_wire)), answer_from_wire), value)


@settings(max_examples=60, deadline=None)
@given(st.lists(tensors.filter(lambda t: t.numel() > 1), min_size=1, max_size=3))
def test_views_arrive_as_plain_tensors(originals):
    views = [original.flatten().flip(0)[::2].expand(2, -1) for original in originals]
    arrived = decode(*split(encode(views, to_wire)), answer_from_wire)
    assert all(got.is_contiguous() and torch.equal(got, view) for got, view in zip(arrived, views, strict=True))


# -- anything at all --

nodes = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 1 << 70), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(st.sampled_from("fluts"), inner).map(list),
        st.tuples(st.just("t"), st.sampled_from(["float64", "bool", "int8", "object"]), st.lists(st.integers(-1, 1 << 41)), inner).map(
            list
        ),
        st.tuples(st.just("t"), st.just("uint8"), st.lists(st.integers(0, 9), max_size=6), st.integers(-16, 64)).map(list),
        st.tuples(st.just("s"), st.sampled_from(["remote", "unsendable", "family", "black box", "pickle"]), inner).map(list),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=30,
)


@settings(max_examples=300, deadline=None)
@given(header=st.one_of(st.binary(max_size=200), nodes.map(lambda tree: json.dumps(tree).encode())), blob=st.binary(max_size=100))
@example(b"[" * 4096, b"")
@example(b'["t","float64",[1099511627776,1099511627776,0],0]', b"")
@example(b'["t","bool",[2],0]', b"\xff\x02")
@example(b"9" * 3000, b"")
@example(b"[]", b"")
@example(b'[["l"],null]', b"")
@example(b'["f",[]]', b"")
@example(b'{"a":null,"a":null}', b"")
@example(b'{"\\ud800":null}', b"")
@example(b'["s","remote",["l",true,"x"]]', b"")
@example(b'"\\ud800"', b"")
@example(b"1e999", b"")
@example(b"NaN", b"")
def test_a_hostile_frame_is_a_value_or_a_wire_error(header, blob):
    with contextlib.suppress(WireError):
        value = decode(header, bytearray(blob), answer_from_wire, SMALL)
        encode(value, to_wire)  # whatever was accepted is plain data


@settings(max_examples=100, deadline=None)
@given(values, st.data())
def test_a_frame_with_some_bytes_changed_is_a_value_or_a_wire_error(value, data):
    header, blob = split(encode(value, to_wire))
    broken = bytearray(header)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        decode(bytes(broken), blob, answer_from_wire)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * (1 << 20),
        b"[" + b"[]," * (1 << 18) + b"[]]",
        b'["l",' + b"null," * 200_000 + b"null]",
        b"{" + b",".join(b'"%d":null' % key for key in range(60_000)) + b"}",
        b'"' + b"x" * (1 << 20) + b'"',
        b"9" * 1_000_000,
        b'["l",' + b",".join([b"9" * 4000] * 250) + b"]",
        b'["l",' + b",".join([b'["t","float64",[1048576],0]'] * 2000) + b"]",
    ],
)
def test_decoding_allocates_no_more_than_its_bound(header):
    """A header of 1 MiB costs less than 100 MiB: JSON's own lists, at most 64 bytes and a pointer a character."""
    blob = bytearray(8 << 20)
    header = header[: LIMITS.header]
    tracemalloc.start()
    started = time.monotonic()
    try:
        with contextlib.suppress(WireError):
            decode(header, blob, answer_from_wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20
    assert time.monotonic() - started < 20  # tracing is slow; without it this is well below a second


def test_tensors_share_no_bytes_and_fit_what_was_sent():
    blob = bytearray(range(64))
    one = '["t","uint8",[64],0]'
    with pytest.raises(WireError, match="fit"):
        decode(f'["l",{one},{one}]'.encode(), blob, answer_from_wire)
    tensor = decode(one.encode(), blob, answer_from_wire)
    blob[0] = 99
    assert tensor[0] == 0


@pytest.mark.parametrize("shape", ["[-1]", "[1.0]", "[true]", "[null]", "1", "[1099511627777]", "[1,1,1,1,1,1,1,1,1]", "[65]"])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(WireError):
        decode(f'["t","uint8",{shape},0]'.encode(), bytearray(64), answer_from_wire)


@pytest.mark.parametrize("kind", ["family", "generator", "black box", "pickle", ""])
def test_an_answer_holds_nothing_that_would_run_here(kind):
    with pytest.raises(WireError):
        decode(json.dumps(["s", kind, ["l", "affine", {}]]).encode(), bytearray(), answer_from_wire)


def test_unsendable_words_are_bounded_and_cannot_steer_a_terminal():
    with pytest.raises(WireError):
        decode(json.dumps(["s", "unsendable", ["l", "x" * 201]]).encode(), bytearray(), answer_from_wire)
    answer = decode(json.dumps(["s", "unsendable", ["l", "\x1b[31m\u202e"]]).encode(), bytearray(), answer_from_wire)
    assert isinstance(answer, Unsendable)
    assert "\x1b" not in answer.description
    assert "\u202e" not in answer.description


# -- the socket --


def pair() -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    return Channel(ours, to_wire, answer_from_wire), theirs


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=64))
@example(MAGIC + struct.pack("<IQ", 1 << 31, 0))
@example(MAGIC + struct.pack("<IQ", 0, 1 << 62))
def test_arbitrary_bytes_on_the_socket_end_in_one_of_three_errors(data):
    channel, theirs = pair()
    with theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(WireError, WireClosed, WireTimeout):
            channel.receive(lambda: 1.0)
    channel.close()


def test_nothing_is_allocated_for_lengths_beyond_the_limits():
    channel, theirs = pair()
    theirs.sendall(HEAD.pack(MAGIC, LIMITS.header, LIMITS.blob + 1))
    tracemalloc.start()
    with pytest.raises(WireError, match="limits"):
        channel.receive(lambda: 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 16
    channel.close()
    theirs.close()


def test_a_drip_gains_no_time():
    channel, theirs = pair()
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            for byte in encode([0.0] * 1000, to_wire):
                theirs.send(bytes([byte]))
                if stop.wait(0.02):
                    return

    dripping = threading.Thread(target=drip)
    dripping.start()
    started = time.monotonic()
    with pytest.raises(WireTimeout):
        channel.receive(lambda: started + 0.3 - time.monotonic())
    assert time.monotonic() - started < 2
    stop.set()
    dripping.join()
    channel.close()
    theirs.close()


def test_a_peer_that_never_reads_gains_no_time():
    channel, theirs = pair()
    started = time.monotonic()
    with pytest.raises(WireTimeout):
        channel.send(torch.zeros(1 << 20), lambda: started + 0.3 - time.monotonic())
    assert time.monotonic() - started < 2
    channel.close()
    theirs.close()
