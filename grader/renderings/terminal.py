"""The record in a terminal of 80 columns, with or without colour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from grader.printable import printable
from grader.record import CheckRecord, ExerciseRecord, Record

SIGNS = {"passed": "✓", "failed": "✗", "error": "!", "timeout": "∞", "crashed": "☠", "missing": "○", "not_graded": "–"}
STYLES = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "timeout": "yellow",
    "crashed": "red",
    "missing": "dim",
    "not_graded": "dim",
}


WORDS = {
    "passed": "ok",
    "failed": "WRONG",
    "error": "ERROR",
    "timeout": "TOO SLOW",
    "crashed": "CRASHED",
    "missing": "to do",
    "not_graded": "later",
}  # where a terminal has no signs
IN_ASCII = str.maketrans("✓✗∞☠○–█░·…≥≤", "+x~#o-#-|~><")
COMMAND = "dgm {} {}"  # how a student asks for more about an exercise


class SafeConsole(Console):
    """A terminal that shows what strangers wrote, brackets included, and obeys nothing of it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(emoji=False, markup=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What `renderable` is made of, every text of it fit to be shown."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(self._shown(printable(segment.text)), segment.style)

    def _shown(self, text: str) -> str:
        """With something like it for every sign that this terminal does not have."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return text.translate(IN_ASCII)
        return text


def class_table(records: Iterable[Record]) -> Table:
    """One line a submission: score, and how the checks came out. Of each record that comes only its line is kept."""
    lines: list[tuple[str, list[str], str, str, str]] = []
    bonus = False
    for record in records:
        bonus = bonus or bool(record.bonus)
        points = [f"{record.score:g}", f"{record.max_score:g}", f"{record.not_graded:g}"]
        lines.append((record.submission, points, f"{record.bonus_score:g}", in_signs(outcomes(record)), f"{record.seconds:.1f}"))
    numbers = ["score", "of", *(["bonus"] if bonus else []), "not graded"]
    columns = [Column(name, justify="right", max_width=6) for name in numbers]
    seconds = Column("s", justify="right", no_wrap=True)
    table = Table(Column("submission", overflow="fold"), *columns, "checks", seconds, box=SIMPLE_HEAD, pad_edge=False)
    for submission, (score, of, not_graded), beside, summary, took in sorted(lines, key=lambda line: line[0]):
        table.add_row(Text(printable(submission)), score, of, *([beside] if bonus else []), not_graded, summary, took)
    table.caption = "  ".join(f"{sign} {outcome.replace('_', ' ')}" for outcome, sign in SIGNS.items())
    return table


def outcomes(record: Record) -> Counter[str]:
    """How the checks of a submission came out, bonus apart."""
    return Counter(check.outcome for exercise in record.exercises for check in exercise.checks)


def in_signs(counts: Counter[str]) -> str:
    """How many checks came out in which way: ``✓12 ✗3``."""
    return " ".join(f"{sign}{counts[outcome]}" for outcome, sign in SIGNS.items() if counts[outcome])


def as_text(exercises: Iterable[ExerciseRecord], call_it: Callable[[str], str] = str, where: str = "", command: str = COMMAND) -> str:
    """Each exercise without colour, for a plain display."""
    console = SafeConsole(width=80, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as shown:
        console.print(*(exercise_view(exercise, call_it, where, command) for exercise in exercises))
    return shown.get().rstrip()


def exercise_view(exercise: ExerciseRecord, call_it: Callable[[str], str] = str, where: str = "", command: str = COMMAND) -> Group:
    """One exercise: a line when it is fine, the first failure in full when it is not.

    `call_it`: the name by which a student calls an exercise; without it that is the full one. `where`: what is missing
    should stand; without it that is the topic's module. `command`: how to ask for more.
    """
    topic, name = exercise.exercise.split(".")[0], call_it(exercise.exercise)
    graded = [check for check in exercise.checks if check.outcome != "not_graded"]
    failures = [check for check in graded if check.outcome != "passed"]
    later = len(exercise.checks) - len(graded)
    bonus = ["bonus"] if exercise.bonus else []
    if not graded:
        return Group(_head(name, "not_graded", f"{later} checks, all graded after submission", *bonus))
    if not failures:
        more = f" of {len(exercise.checks)} checks; {_points(exercise.not_graded)} graded after submission" if later else " checks"
        return Group(_head(name, "passed", f"{len(graded)}{more}", *bonus))
    first = failures[0]
    aside = [*bonus, *([f"slide {exercise.slide}"] if exercise.slide else [])]
    if first.outcome == "missing":
        return Group(_head(name, "missing", f"{first.message}, in {where or f'{topic}.py'}", *aside))
    lines: list[RenderableType] = [_head(name, first.outcome, first.sentence or first.check, *aside)]
    if exercise.depends_on_failed:
        called = " and ".join(f"your {call_it(other)}" for other in exercise.depends_on_failed)
        lines.append(below(Text(f"calls {called}, which fails: repair that first", "cyan")))
    lines += _details(first)
    if len(failures) > 1:
        lines.append(below(Text(f"and {len(failures) - 1} more of {len(graded)} checks fail", "dim")))
    again, hint = f"again: {command.format('check', name)}", f"hint: {command.format('hint', name)}"
    gap = " " * 6 if len(again) + 6 + len(hint) <= 78 else "\n"  # below each other where a terminal is not as wide
    return Group(*lines, below(Text(f"{again}{gap}{hint}", "dim")))


def _points(number: float) -> str:
    return "1 point is" if number == 1 else f"{number:g} points are"


def _head(name: str, outcome: str, sentence: str, *aside: str) -> Table:
    """Name and sign, the property in words, the slide at the right edge."""
    head = Table.grid(
        Column(no_wrap=True),
        Column(ratio=1),
        Column(no_wrap=True, style="dim", justify="right"),
        expand=True,
        padding=(0, 2, 0, 0),
    )
    head.add_row(_Name(name, outcome), Text(sentence), ", ".join(aside))
    return head


class _Name:
    """The name of an exercise and how it came out: a sign, or a word where the terminal has no signs."""

    def __init__(self, name: str, outcome: str) -> None:
        self._name, self._outcome = name, outcome

    def _text(self, options: ConsoleOptions) -> Text:
        return Text(f"{self._name}  {(WORDS if options.ascii_only else SIGNS)[self._outcome]}", STYLES[self._outcome])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._text(options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._text(options))


LONG_CALL = 8  # lines


def _details(check: CheckRecord) -> list[Padding]:
    """The call, what came back, and what was misunderstood; where the call takes many lines it comes last."""
    call = [below(Text(line)) for line in check.counterexample.splitlines()]
    said = [below(Text(check.message, "bold")), *([below(Text(check.mistake_says, "cyan"))] if check.mistake_says else [])]
    if check.printed:
        said += [below(Text("it printed", "dim")), *(below(Text(line)) for line in check.printed.splitlines())]
    return [*call, *said] if len(call) <= LONG_CALL else [*said, below(Text("with", "dim")), *call]


def below(line: Text) -> Padding:
    """A line under the head; what is too long goes on at the same depth."""
    return Padding(line, (0, 0, 0, 2), expand=False)
