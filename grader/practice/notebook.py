"""Inside a notebook: `check("kl_divergence")`, `show("kl_divergence")` and `hint("kl_divergence")`, on what this kernel defines.

Works wherever IPython shows rich results (JupyterLab, VS Code, Colab); nothing to install but the kit.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from grader import assignment as assignments
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.exam.transport import LocalTransport
from grader.practice.names import exactly_one, select, short_name
from grader.practice.progress import Progress
from grader.practice.run import PUBLIC_SEED
from grader.record import ExerciseRecord
from grader.renderings import html, terminal
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import Topic
from grader.sandbox.inside.time_limit import TooSlow, interrupted_after
from grader.sandbox.workers import WorkerTimeout

CALL_SECONDS = 10


Named = str | Callable[..., Any]  # an exercise: its name, or the function itself


def checker(lecture: str, topic: str) -> Callable[..., Report]:
    """The `check` of one notebook: of the exercises named, or of the whole topic without a name."""
    assignment = assignments.load(lecture)

    def check(*names: Named) -> Report:
        """Run the public checks of these exercises on what this notebook defines. Raises: `UnknownName`."""
        transport = _KernelTransport(topic)
        records: list[ExerciseRecord] = []
        for name in select(assignment, _as_names(names), topic):
            records.append(_examiner(lecture, topic).exercise(name, transport, [one.exercise for one in records if one.failed]))
        report = Report(records)
        if os.environ.get("NBGRADER_EXECUTION") == "validate" and any(one.score < one.max_score for one in records if not one.bonus):
            raise AssertionError(f"not all right yet\n{report}")  # nbgrader validate looks for errors, not at results
        return report

    return check


@functools.cache
def _examiner(lecture: str, topic: str) -> Examiner:
    return Examiner(assignments.load(lecture), collect(lecture, topics=frozenset([topic])), PUBLIC_SEED)


def hinter(lecture: str, topic: str) -> Callable[[Named], None]:
    """The `hint` of one notebook: one more hint for an exercise each time."""
    assignment, read = assignments.load(lecture), Progress()

    def hint(name: Named) -> None:
        """Show the hints for this exercise that you have read, and one more. Raises: `UnknownName`."""
        exercise = exactly_one(assignment, _as_names([name])[0], topic)
        for number, text in enumerate(read.next_hint(exercise), start=1):
            print(f"hint {number} of {len(exercise.hints)}: {text}")

    return hint


def painter(lecture: str, topic: str) -> Callable[..., None]:
    """The `show` of one notebook: the pictures of the exercises named, or of the whole topic without a name."""
    assignment = assignments.load(lecture)

    def show(*names: Named, steps: int = 600) -> None:
        """Draw what these functions do; `steps` is how long a picture's network is trained. Raises: `UnknownName`."""
        from IPython.display import display

        from grader.practice import gallery

        mine = gallery.Work(sys.modules["__main__"], steps)
        for _, picture in gallery.chosen(assignment, select(assignment, _as_names(names), topic)):
            try:
                png = base64.b64encode(picture.png(mine)).decode()
                said = {"image/png": {"alt": picture.sentence}}
                display({"image/png": png, "text/plain": picture.sentence}, metadata=said, raw=True)
            except gallery.CannotDraw as why:
                print(f"{picture.name}: {why}")

    return show


def _as_names(named: Sequence[Named]) -> list[str]:
    return [one if isinstance(one, str) else getattr(one, "__qualname__", repr(one)) for one in named]


class Report:
    """What came out, as HTML where that is shown and as text elsewhere."""

    def __init__(self, exercises: Sequence[ExerciseRecord]) -> None:
        self.exercises = exercises

    def __repr__(self) -> str:
        return terminal.as_text(self.exercises, short_name, "this notebook", '{}("{}")')

    def _repr_html_(self) -> str:
        return html.exercises(self.exercises, fold=True)


class _KernelTransport(LocalTransport):
    """The kernel's own definitions; an interrupt from the keyboard is the user's, not the function's."""

    def __init__(self, topic: str) -> None:
        module = ModuleType(topic)
        module.__dict__.update(sys.modules["__main__"].__dict__)
        host = Host()
        host.topics = {topic: Topic(module)}
        self._output = io.StringIO()
        super().__init__(host)

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        with interrupted_after(CALL_SECONDS), contextlib.redirect_stdout(self._output):
            answer = super().ask(message)
        error = answer.get("error", {}).get("type")
        if error == "KeyboardInterrupt":
            raise KeyboardInterrupt
        if error == TooSlow.__name__:
            raise WorkerTimeout(f"no answer within {CALL_SECONDS} s")
        return answer

    def output(self) -> str:
        return self._output.getvalue()
