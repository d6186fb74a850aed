"""The student's commands."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from grader import assignment as assignments
from grader.assignment import Exercise
from grader.cli.chosen import AssignmentName, at_work
from grader.practice import overview, progress
from grader.practice.names import exactly_one, select, short_name
from grader.practice.progress import Progress
from grader.practice.work import read_work, remarks_on, skipped_in
from grader.record import ExerciseRecord
from grader.renderings import terminal

if TYPE_CHECKING:
    from grader.practice.run import Practice  # imports torch, which `dgm hint` can do without


def exercise_names(incomplete: str) -> list[str]:
    """Topics and exercises, for the completion of a shell."""
    known: list[str] = []
    for assignment in map(assignments.load, assignments.lectures()):
        known += [*assignment.topics, *(e.function for e in assignment.exercises), *(e.name for e in assignment.exercises)]
    return [name for name in dict.fromkeys(known) if name.startswith(incomplete)]


Names = Annotated[
    list[str] | None,
    typer.Argument(help="Exercises or topics; everything without.", show_default=False, autocompletion=exercise_names),
]
Name = Annotated[str, typer.Argument(show_default=False, autocompletion=exercise_names)]
Folder = Annotated[
    Path | None, typer.Option(help="Where your modules or notebooks are; without, the folder of the assignment.", show_default=False)
]

for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show ✓ shows ? instead of failing
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
console = terminal.SafeConsole()


def add_to(app: typer.Typer) -> None:
    for command in (check, next_exercise, watch, list_exercises, hint, debug, reset, pack):
        app.command(command.__name__.split("_")[0])(command)  # Python has a `next` and a `list` of its own


def check(
    names: Names = None,
    folder: Folder = None,
    assignment: AssignmentName = None,
    device: Annotated[str | None, typer.Option(help="cuda: put the checks that need a GPU on it, too; cpu: run them small.")] = None,
) -> None:
    """Check your work: every public check, with the smallest counterexample for what fails."""
    from grader.practice.run import Practice

    names = names or []
    meant, folder = at_work(assignment, names, folder)
    state = progress.load(folder)
    with Practice(meant.name, folder, device=device) as practice:
        records = _check(practice, state, names)
    if len(records) > 1:
        console.print(overview.points_line(records))
        console.print(overview.progress_line(meant, state))
    asked = {exercise.name for exercise in meant.exercises if {exercise.name, exercise.function} & {*names}}
    fine = [
        state.is_done(record.exercise) or (record.bonus and state.states[record.exercise] == "missing" and record.exercise not in asked)
        for record in records
    ]
    raise typer.Exit(0 if fine and all(fine) else 1)


def next_exercise(folder: Folder = None, assignment: AssignmentName = None) -> None:
    """Check the first exercise that is not done; once it is right, show the one after it."""
    from grader.practice.run import Practice

    meant, folder = at_work(assignment, [], folder)
    state = progress.load(folder)
    with Practice(meant.name, folder) as practice:
        _show(practice, state, [state.current(meant).name])


def watch(
    folder: Folder = None,
    assignment: AssignmentName = None,
    poll: Annotated[bool, typer.Option("--poll", help="For network drives and WSL, where changes are not announced.")] = False,
) -> None:
    """Check again on every save. Keys: h hint, l list, q quit."""
    from grader.practice.keys import single_keys
    from grader.practice.run import Practice
    from grader.practice.watch import Watcher

    meant, folder = at_work(assignment, [], folder)
    state = progress.load(folder)
    with contextlib.suppress(KeyboardInterrupt), Practice(meant.name, folder, warm=True) as practice, single_keys() as read_key:
        watcher = Watcher(folder, meant, read_key, poll)
        _clear()
        on_screen = _show(practice, state, [state.current(meant).name])
        console.print(overview.KEYS)
        hints = 0  # on the screen
        for event in watcher.events():
            if not isinstance(event, str):
                _clear()
                on_screen, hints = _show(practice, state, event), 0
                console.print(overview.KEYS)
            elif event in "qQ\x04":
                watcher.stop()
            elif event in "lL":
                console.print(overview.exercise_list(meant, state), overview.KEYS)
            elif event in "hH":
                hints = _hint(state, on_screen, hints)
                progress.save(state, folder)


def list_exercises(folder: Folder = None, assignment: AssignmentName = None) -> None:
    """The exercises, their points, and how far you are."""
    meant, folder = at_work(assignment, [], folder)
    console.print(overview.exercise_list(meant, progress.load(folder)))


def hint(name: Name, folder: Folder = None, assignment: AssignmentName = None) -> None:
    """A hint for an exercise; one more each time."""
    meant, folder = at_work(assignment, [name], folder)
    state = progress.load(folder)
    _hint(state, exactly_one(meant, name))
    progress.save(state, folder)


def debug(
    name: Name,
    folder: Folder = None,
    assignment: AssignmentName = None,
    start: Annotated[bool, typer.Option(help="Open it in the debugger at once.")] = True,
) -> None:
    """Write the call on which an exercise fails as a small program, and step through it."""
    from grader.practice import debug as debugging
    from grader.practice.run import Practice

    meant, folder = at_work(assignment, [name], folder)
    exercise = exactly_one(meant, name)
    with Practice(meant.name, folder) as practice:
        failure = practice.failure(exercise.name)
        sources = practice.submission.topics.get(exercise.topic, []) if practice.submission else []
    if failure is None:
        console.print(f"{exercise.function} fails no check that can be run here: there is nothing to debug")
        return
    program = debugging.write(exercise, failure, folder, sources)
    console.print(program, soft_wrap=True)
    if start:
        console.print(Text(debugging.KEYS, "dim"))
        debugging.start(program)


def reset(name: Name, folder: Folder = None, assignment: AssignmentName = None) -> None:
    """Put one function back to the way it was handed out. Asks first, and keeps a backup."""
    from grader.practice.reset import reset as put_back

    meant, folder = at_work(assignment, [name], folder)
    exercise = exactly_one(meant, name)
    typer.confirm(f"Put {exercise.function} in {folder / exercise.topic}.py back to its original?", abort=True)
    backup = put_back(exercise, folder, meant.name)
    state = progress.load(folder)
    state.states.pop(exercise.name, None)
    progress.save(state, folder)
    console.print(f"{exercise.function} is as it was handed out. Your version: {backup}")
    work = read_work(meant, folder)
    if exercise.name in work.written:
        elsewhere = ", ".join(name for name in work.taken[exercise.topic] if name != f"{exercise.topic}.py")
        console.print(f"it is still written in {elsewhere}, which is what counts now", style="yellow")


def pack(
    folder: Folder = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The zip; <assignment>.zip without.", show_default=False)] = None,
    assignment: AssignmentName = None,
) -> None:
    """Write the zip to hand in."""
    from grader.practice.pack import pack as write

    meant, folder = at_work(assignment, [], folder)
    packed = write(folder, meant, output or Path(f"{meant.name}.zip"))
    for remark in packed.remarks:
        console.print(Text.assemble(("note: ", "yellow"), remark))
    console.print(f"{packed.path} is ready to hand in: {', '.join(packed.files)}", soft_wrap=True)
    console.print(f"sha256 {packed.digest}", style="dim")


def _clear() -> None:
    """An empty screen that says what it waits for, until the first result is printed over it."""
    console.clear()
    console.print("checking …", style="dim", end="")
    console.control(Control((ControlType.CARRIAGE_RETURN,)))


def _show(practice: Practice, state: Progress, names: list[str]) -> Exercise:
    """The results of these exercises and the way still to go. Returns the exercise to work on.

    Where all are right now, it says what the last one means, and shows the next.
    """
    meant, before = practice.assignment, dict(state.states)
    records = _check(practice, state, names)
    if records and all(state.is_done(record.exercise) for record in records):
        last = meant[names[-1]]
        if before.get(last.name) != "passed" and (said := overview.meaning(meant, last)):
            console.print(terminal.below(Text(f"{last.function} gives: {said}", "green")))
        following = state.current(meant)
        if following.name not in names:
            records = _check(practice, state, [following.name], said=following.topic == last.topic)
    console.print(overview.progress_line(meant, state))
    return next((meant[record.exercise] for record in records if not state.is_done(record.exercise)), state.current(meant))


def _check(practice: Practice, state: Progress, names: list[str], said: bool = False) -> list[ExerciseRecord]:
    """Check these exercises, show how they came out, and keep it; empty where nothing could be checked.

    `said`: what is checked stands on the screen.
    """
    records: list[ExerciseRecord] = []
    for record in practice.check(names):
        if not records and not said:
            _say_what_is_checked(practice, names)
        records.append(record)
        assert practice.submission is not None
        files = practice.submission.taken.get(practice.assignment[record.exercise].topic, [])
        console.print(terminal.exercise_view(record, short_name, files[0] if len(files) == 1 else ""))
        for measured, figure in (pair for check in record.checks for pair in check.figures.items()):
            console.print(terminal.below(Text(f"{measured}: {figure}", "dim")))
        state.note(record)
        progress.save(state, practice.folder)
    if not records:  # a module that is no Python: what is remembered of it stays
        _say_what_is_checked(practice, names)
    wrong = {practice.assignment[record.exercise].topic for record in records if record.failed}
    for remark in skipped_in(practice.skipped, wrong):
        console.print(terminal.below(Text(f"while it was loaded: {remark}", "yellow")))
    return records


def _say_what_is_checked(practice: Practice, names: list[str]) -> None:
    assert practice.submission is not None
    topics = {practice.assignment[name].topic for name in select(practice.assignment, names)}
    for remark in remarks_on(practice.submission, topics, practice.assignment):
        console.print(Text(remark, "dim" if remark.startswith("checked: ") else "yellow"))


def _hint(state: Progress, exercise: Exercise, shown: int = 0) -> int:
    """Show one more hint, below those read before of which `shown` are on the screen. Returns how many are then."""
    hints = state.next_hint(exercise)
    for number, text in enumerate(hints[shown:], start=shown + 1):
        console.print(terminal.below(Text(f"hint {number} of {len(exercise.hints)}: {text}")))
    if len(hints) == len(exercise.hints):
        more = f"; the formula is on slide {exercise.slide}" if isinstance(exercise.slide, int) else ""
        console.print(terminal.below(Text(f"that was the last one{more}", "dim")))
    return len(hints)
