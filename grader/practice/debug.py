"""`dgm debug`: the call on which an exercise fails, as a small program that stops right before it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from grader.assignment import Exercise
from grader.errors import GraderError
from grader.exam import counterexample
from grader.exam.failure import Failure

FOLDER = ".dgm-debug"  # beside the work; what begins with a dot is never handed in
KEYS = "s steps into the call, n to the next line; p x prints x; c goes on, q ends"
PROGRAM = '''"""The call on which {name} fails. Change what you like and run it again: python {path}"""

import sys

sys.path[:0] = {folders}
sys.excepthook = lambda kind, *rest: None if kind.__name__ == "BdbQuit" else sys.__excepthook__(kind, *rest)  # q just ends

import torch
from {topic} import {imported}

{needed}

breakpoint()  # {keys}
{before}
print({call})
# {said}
'''


class CannotDebug(GraderError):
    """There is no call that could be written down; the message says why."""


def write(exercise: Exercise, failure: Failure, folder: Path, sources: Sequence[str]) -> Path:
    """The program, in `folder`. `sources`: what was checked, for work that is in no module of the topic's name.

    Raises: `CannotDebug`.
    """
    needed, calls = counterexample.parts(failure.calls, failure.got, whole=True)
    if not calls or any("<" in line.split("#")[0] for line in [*needed, *calls]):
        raise CannotDebug(f"{exercise.function} fails on objects of your own classes, which cannot be written down: {failure.sentence}")
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    module = folder / f"{exercise.topic}.py"
    if not module.exists():  # a notebook
        (place / module.name).write_text("\n\n".join(sources), "utf-8")
    path = place / f"{exercise.function.replace('.', '_').lower()}.py"
    *before, call = [line.split("   # ")[0] for line in calls]
    said = f"{failure.sentence}, expected {failure.expected}" if failure.expected else failure.sentence
    program = PROGRAM.format(
        name=exercise.function, path=path, topic=exercise.topic, imported=exercise.function.split(".")[0],
        folders=[str((folder if module.exists() else place).resolve())], needed="\n".join(needed), before="\n".join(before), call=call,
        keys=KEYS, said=" ".join(said.split()),
    )  # fmt: skip
    path.write_text(program, "utf-8")
    return path


def start(path: Path) -> None:
    """Run it in this terminal."""
    subprocess.run([sys.executable, "-W", "ignore", str(path)])
