"""Hand-ins made by code, for an assignment of two small topics; and what the functions in them answer."""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grader.assignment import Assignment, Exercise
from grader.sandbox.inside.loading import SubmissionFinder
from grader.submission import Submission, find, read_apart

FLOWS = ("planar", "radial", "log_prob")
VAES = ("elbo", "log_prob", "Encoder.forward")


def exercise(name: str) -> Exercise:
    return Exercise(name=name, points=1, slide=1, hints=("Think.",))


LECTURE = Assignment(
    name="lecture9",
    title="Two topics",
    exercises=tuple(exercise(f"{topic}.{name}") for topic, names in (("flows", FLOWS), ("vaes", VAES)) for name in names),
)


def stub(name: str) -> str:
    return f'def {name}(x):\n    """As handed out."""\n    raise NotImplementedError("{name}")\n\n\n'


def work(name: str, answer: str, left_below: bool = False) -> str:
    """A function that returns its answer; ``left_below``: the raise of the stub still stands there, out of reach."""
    left = f'    raise NotImplementedError("{name}")\n' if left_below else ""
    return f'def {name}(x):\n    """As handed out."""\n    return "{answer}"\n{left}\n\n'


def flows(answer: str = "right", **others: str) -> str:
    """The module of a topic; a function whose answer is empty is a stub."""
    answers = dict.fromkeys(FLOWS, answer) | others
    return "import math\n\n\n" + "".join(work(name, says) if says else stub(name) for name, says in answers.items())


STUBS = flows("")


def notebook(*cells: str, python: str = "", **metadata: object) -> bytes:
    if python:
        metadata["language_info"] = {"name": "python", "version": python}
    code = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": textwrap.dedent(cell)} for cell in cells]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": code}).encode()


def zipped(entries: dict[str, str | bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return content.getvalue()


def lay(folder: Path, files: dict[str, str | bytes], moments: dict[str, int] | None = None) -> Path:
    """The files in a folder; ``moments``: when they were saved, all at once where nothing is said."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        moment = 1_700_000_000 + 60 * (moments or {}).get(name, 0)
        os.utime(path, (moment, moment))
    return folder


def of_class(path: Path, layout: str = "auto") -> dict[str, Submission]:
    """What grading reads of every submission there, by name."""
    return {one.name: read_apart(one, LECTURE) for one in find(path, LECTURE, layout)}  # type: ignore[arg-type]


def graded(folder: Path, files: dict[str, str | bytes], moments: dict[str, int] | None = None) -> Submission:
    """What grading reads of one student's folder in a class of two."""
    lay(folder / "class/anna", files, moments)
    lay(folder / "class/bert", {"flows.py": flows("bert")})
    return of_class(folder / "class")["anna"]


def answers(submission: Submission, topic: str = "flows") -> dict[str, str]:
    """What each function returns when it is loaded as a worker loads it; one that is missing or a stub is left out."""
    names = FLOWS if topic == "flows" else VAES
    found = {}
    with _loaded(submission) as modules:
        module = modules.get(topic)
        for name in names:
            function = getattr(module, name.split(".")[0], None)
            try:
                found[name] = function().forward(0) if "." in name else function(0)  # type: ignore[misc, union-attr]
            except (NotImplementedError, TypeError, AttributeError, NameError):
                continue
    return found


@contextmanager
def _loaded(submission: Submission) -> Iterator[dict[str, object]]:
    before, path = set(sys.modules), list(sys.meta_path)
    finder = SubmissionFinder("assignments.lecture9", submission.topics, 5.0, False)
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in submission.topics}
    try:
        yield {name: topic.module for name, topic in finder.load_all().items()}
    finally:
        sys.meta_path[:] = path
        for name in set(sys.modules) - before:
            del sys.modules[name]
        sys.modules.update(hidden)
