"""What an exam knows before anybody sits it, kept for the next run: the calls of its checks, and answers that pass them.

It depends on the kit, its solutions, the seed and the libraries alone, and lies where a digest of all that says, one file
for each exercise. A file is sealed with a key that follows from the seed: one that is damaged, forged or cut short is no
file, and the exercise is rehearsed anew. It is written in the language of the wire, which executes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from grader.exam.replay import Plans, empty_plans
from grader.grading.kit import prepared_here, version
from grader.hidden import known_submissions
from grader.sandbox.wire.frames import Limits, WireError, decode, encode, split
from grader.sandbox.wire.objects import from_wire, to_wire

MAX_BYTES = 256 << 20  # of all preparations on a machine; the oldest make room
LIMITS = Limits(header=1 << 26, blob=1 << 28, nodes=1 << 21)
SEAL = hashlib.sha256().digest_size
LIBRARIES = ("torch", "numpy", "hypothesis", "pytest")


class Preparation:
    """The kept plans of one assignment under one seed. Where nothing can be kept, nothing is found."""

    def __init__(self, lecture: str, topics: Sequence[str], seed: str) -> None:
        self._key = hmac.digest(seed.encode(), b"the seal of a preparation", "sha256")
        solutions = known_submissions.solutions(lecture, topics)
        versions = [importlib.metadata.version(library) for library in LIBRARIES]
        facts = json.dumps([lecture, version(), solutions, versions, sys.version])
        self._folder = prepared_here() / hmac.new(self._key, facts.encode(), "sha256").hexdigest()[:32]
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            prepared_here().chmod(0o700)

    def find(self, exercise: str) -> Plans | None:
        """The plans of an exercise's checks, or None: it has to be rehearsed."""
        try:
            kept = (self._folder / exercise).read_bytes()
            os.utime(self._folder)  # in use: others go first
            seal, frame = kept[:SEAL], kept[SEAL:]
            return _plans(frame) if hmac.compare_digest(seal, self._seal(exercise, frame)) else None
        except (OSError, WireError):
            return None

    def save(self, exercise: str, plans: Plans) -> None:
        """Write the plans of an exercise, whole or not at all."""
        with contextlib.suppress(OSError, WireError):  # a full disk, a home that is read-only, an exercise too large: made anew next time
            frame = _frame(plans)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:  # nobody else may read it
                file.write(self._seal(exercise, frame) + frame)
            os.replace(file.name, self._folder / exercise)
            _make_room(self._folder)

    def _seal(self, exercise: str, frame: bytes) -> bytes:
        return hmac.digest(self._key, exercise.encode() + b"\0" + frame, "sha256")


def clear() -> int:
    """Remove all preparations; how many bytes they took."""
    size = _size(prepared_here())
    shutil.rmtree(prepared_here(), ignore_errors=True)
    return size


def _frame(plans: Plans) -> bytes:
    of_checks = {
        check: [[[*map(len, plan.calls)], sorted(digest.hex() for digest in plan.passed)] for plan in of_check]
        for check, of_check in plans.items()
    }
    calls = b"".join(call for of_check in plans.values() for plan in of_check for call in plan.calls)
    return encode([of_checks, torch.frombuffer(bytearray(calls or b"\0"), dtype=torch.uint8)], to_wire, LIMITS)


def _plans(frame: bytes) -> Plans:
    of_checks, blob = decode(*split(frame), from_wire, LIMITS)
    calls, at = blob.numpy().tobytes(), 0
    plans: Plans = {}
    for check, of_check in of_checks.items():
        plans[check] = empty_plans(check, len(of_check))
        for plan, (lengths, passed) in zip(plans[check], of_check, strict=True):
            plan.passed = {bytes.fromhex(digest) for digest in passed}
            for length in lengths:
                plan.calls.append(calls[at : at + length])
                at += length
    return plans


def _make_room(mine: Path) -> None:
    others = sorted((one for one in mine.parent.iterdir() if one != mine), key=lambda one: one.stat().st_mtime, reverse=True)
    while others and _size(mine.parent) > MAX_BYTES:
        shutil.rmtree(others.pop(), ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
