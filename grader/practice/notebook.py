"""Checks and pictures inside a notebook: `check("kl_divergence")` and `show("kl_divergence")` on what this kernel defines.

Works wherever IPython shows rich results (JupyterLab, VS Code, Colab); nothing to install but the kit.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from grader import assignment as assignments
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.exam.transport import LocalTransport
from grader.practice.names import select, short_name
from grader.practice.run import PUBLIC_SEED
from grader.record import ExerciseRecord
from grader.renderings import html, terminal
from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import Topic

_examiners: dict[str, Examiner] = {}


def checker(lecture: str, topic: str) -> Callable[..., Report]:
    """The `check` of one notebook: of the exercises named, or of the whole topic without a name."""
    assignment = assignments.load(lecture)

    def check(*names: str) -> Report:
        """Run the public checks of these exercises on what this notebook defines."""
        if lecture not in _examiners:
            _examiners[lecture] = Examiner(assignment, collect(lecture), PUBLIC_SEED)
        examiner = _examiners[lecture]
        transport = _KernelTransport(topic)
        wanted = select(assignment, _of_topic(topic, names))
        records: list[ExerciseRecord] = []
        for name in wanted:
            records.append(examiner.exercise(name, transport, [one.exercise for one in records if one.failed]))
        report = Report(records)
        if os.environ.get("NBGRADER_EXECUTION") == "validate" and any(one.score < one.max_score for one in records if not one.bonus):
            raise AssertionError(f"not all right yet\n{report}")  # nbgrader validate looks for errors, not at results
        return report

    return check


def painter(lecture: str, topic: str) -> Callable[..., None]:
    """The `show` of one notebook: the pictures of the exercises named, or of the whole topic without a name."""
    assignment = assignments.load(lecture)

    def show(*names: str, steps: int = 600) -> None:
        """Draw what these functions do; `steps` is how long an ImageGPT is trained."""
        from IPython.display import display

        from grader.practice import gallery

        mine = gallery.Work(sys.modules["__main__"], steps)
        for _, picture in gallery.chosen(assignment, select(assignment, _of_topic(topic, names))):
            try:
                png = base64.b64encode(picture.png(mine)).decode()
                said = {"image/png": {"alt": picture.sentence}}
                display({"image/png": png, "text/plain": picture.sentence}, metadata=said, raw=True)
            except gallery.CannotDraw as why:
                print(f"{picture.name}: {why}")

    return show


def _of_topic(topic: str, names: Sequence[str]) -> list[str]:
    return [f"{topic}.{name}" if "." not in name or name[0].isupper() else name for name in names] or [topic]


class Report:
    """What came out, as HTML where that is shown and as text elsewhere."""

    def __init__(self, exercises: Sequence[ExerciseRecord]) -> None:
        self.exercises = exercises

    def __repr__(self) -> str:
        return terminal.as_text(self.exercises, short_name)

    def _repr_html_(self) -> str:
        return html.exercises(self.exercises)


class _KernelTransport(LocalTransport):
    """The kernel's own definitions; an interrupt from the keyboard is the user's, not the function's."""

    def __init__(self, topic: str) -> None:
        module = ModuleType(topic)
        module.__dict__.update(sys.modules["__main__"].__dict__)
        host = Host()
        host.topics = {topic: Topic(module)}
        super().__init__(host)

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        answer = super().ask(message)
        if answer.get("error", {}).get("type") == "KeyboardInterrupt":
            raise KeyboardInterrupt
        return answer
