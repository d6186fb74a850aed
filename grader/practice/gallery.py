"""Which pictures there are of an exercise, and how one is drawn from a student's own functions."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from matplotlib.figure import Figure

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.sandbox.inside.loading import describe

STEPS = 600  # of training the network of a picture: seconds, up to a minute


class Work:
    """A student's module: `mine.kl_divergence` is their function, and missing where they did not write it."""

    def __init__(self, module: ModuleType, steps: int = STEPS) -> None:
        self.module, self.steps = module, steps

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self.module, name)
        except AttributeError:
            raise NotImplementedError(name) from None


Draw = Callable[[Work], Figure]


class Picture:
    """One picture: the exercises that it is of, and the function that draws it."""

    def __init__(self, of: tuple[str, ...], draw: Draw) -> None:
        self.of, self._draw = of, draw
        self.name, self.sentence = draw.__name__.replace("_", "-"), (draw.__doc__ or "").split("\n")[0]

    def draw(self, mine: Work) -> Figure:
        """Call the student's functions and draw what comes back. Raises: `CannotDraw`."""
        with self._explained(mine):
            return self._draw(mine)

    def png(self, mine: Work) -> bytes:
        """The picture as a file. Raises: `CannotDraw`."""
        data = io.BytesIO()
        with self._explained(mine):  # some numbers can be drawn and not saved
            self._draw(mine).savefig(data, format="png", dpi=110)
        return data.getvalue()

    @contextlib.contextmanager
    def _explained(self, mine: Work) -> Iterator[None]:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # what they print has nothing to do with the picture
                yield
        except (Exception, SystemExit) as error:
            raise CannotDraw(self._why(mine, error)) from error

    def _why(self, mine: Work, error: BaseException) -> str:
        if isinstance(error, NotImplementedError):
            return f"{error} is not implemented yet"
        frames = traceback.walk_tb(error.__traceback__)
        own = [(frame.f_code.co_name, line) for frame, line in frames if frame.f_globals is mine.module.__dict__]
        if own:
            function, line = own[-1]
            return f"{function} raised {describe(error)} (line {line})"
        names = " or ".join(self.of)
        return f"what {names} returned cannot be drawn ({describe(error)}); `dgm check {self.of[0]}` says more"


class CannotDraw(GraderError):
    """There is nothing to draw yet; the message says why, for the student."""


def picture(*of: str) -> Callable[[Draw], Picture]:
    """Mark a function as a picture of these exercises of its topic."""
    return lambda draw: Picture(of, draw)


def pictures(lecture: str, topic: str) -> list[Picture]:
    """The pictures of a topic, in the order in which they stand in its module; none where there is no such module."""
    name = f"grader.checks.{lecture}.{topic}.picture"
    folder = importlib.util.find_spec(name.rpartition(".")[0])
    if folder is None or importlib.util.find_spec(name) is None:
        return []
    module = importlib.import_module(name)
    return [one for one in vars(module).values() if isinstance(one, Picture)]


def chosen(assignment: Assignment, exercises: list[str]) -> Iterator[tuple[str, Picture]]:
    """The pictures of these exercises, each once with its topic; all of the topic for an exercise that has none."""
    for topic in assignment.topics:
        wanted = {name.split(".", 1)[1] for name in exercises if name.startswith(f"{topic}.")}
        if wanted:
            all_of_topic = pictures(assignment.name, topic)
            shown = {function for one in all_of_topic for function in one.of}
            yield from ((topic, one) for one in all_of_topic if wanted & set(one.of) or wanted - shown)
