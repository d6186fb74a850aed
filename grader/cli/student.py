"""The student's commands."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from grader import assignment as assignments
from grader.assignment import Exercise
from grader.cli.chosen import AssignmentName, chosen, load, stop, work_in
from grader.practice import overview, progress
from grader.practice.names import UnknownName, select, short_name
from grader.practice.progress import Progress
from grader.practice.work import remarks_on
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
    from grader.practice.work import NoWorkFound

    name = chosen(assignment, names or [], folder)
    folder = work_in(name, folder)
    state = progress.load(folder)
    fine: list[bool] = []
    records: list[ExerciseRecord] = []
    try:
        with Practice(name, folder, device=device) as practice:
            for record in practice.check(names or []):
                if not fine:
                    _say_what_is_checked(practice, names or [])
                records.append(record)
                console.print(terminal.exercise_view(record, short_name))
                for measured, figure in (pair for check in record.checks for pair in check.figures.items()):
                    console.print(terminal.below(Text(f"{measured}: {figure}", "dim")))
                state.note(record)
                progress.save(state, folder)
                outcome = state.states[record.exercise]
                asked = {record.exercise, record.exercise.split(".", 1)[1]} & {*(names or [])}
                fine.append(outcome in ("passed", "not_graded") or (outcome == "missing" and record.bonus and not asked))
            if not fine:  # a module that is no Python: what is remembered of it stays
                _say_what_is_checked(practice, names or [])
            if len(fine) > 1:
                console.print(overview.points_line(records), highlight=False)
                console.print(overview.progress_line(practice.assignment, state))
    except (UnknownName, NoWorkFound) as error:
        stop(error)
    raise typer.Exit(0 if fine and all(fine) else 1)


def next_exercise(folder: Folder = None, assignment: AssignmentName = None) -> None:
    """Check the first exercise that is not done; once it is right, show the one after it."""
    from grader.practice.run import Practice
    from grader.practice.work import NoWorkFound

    name = chosen(assignment, [], folder)
    folder = work_in(name, folder)
    state = progress.load(folder)
    try:
        with Practice(name, folder) as practice:
            _show(practice, state, [state.current(practice.assignment).name])
    except NoWorkFound as error:
        stop(error)
    progress.save(state, folder)


def watch(
    folder: Folder = None,
    assignment: AssignmentName = None,
    poll: Annotated[bool, typer.Option("--poll", help="For network drives and WSL, where changes are not announced.")] = False,
) -> None:
    """Check again on every save. Keys: h hint, l list, q quit."""
    from grader.practice.keys import single_keys
    from grader.practice.run import Practice
    from grader.practice.watch import Pressed, Watcher
    from grader.practice.work import NoWorkFound

    name = chosen(assignment, [], folder)
    folder = work_in(name, folder)
    state = progress.load(folder)
    try:
        with Practice(name, folder, warm=True) as practice, single_keys() as read_key:
            watcher = Watcher(folder, practice.assignment, read_key, poll)
            console.clear()
            on_screen = _show(practice, state, [state.current(practice.assignment).name])
            console.print(overview.KEYS)
            hints = 0  # on the screen
            for event in watcher.events():
                if not isinstance(event, Pressed):
                    console.clear()
                    on_screen, hints = _show(practice, state, event.exercises), 0
                    console.print(overview.KEYS)
                elif event.key in "qQ\x04":
                    watcher.stop()
                elif event.key in "lL":
                    console.print(overview.exercise_list(practice.assignment, state), overview.KEYS)
                elif event.key in "hH":
                    hints = _hint(state, practice.assignment, on_screen, hints)
                progress.save(state, folder)
    except NoWorkFound as error:
        stop(error)
    except KeyboardInterrupt:
        progress.save(state, folder)


def list_exercises(folder: Folder = None, assignment: AssignmentName = None) -> None:
    """The exercises, their points, and how far you are."""
    name = chosen(assignment, [], folder)
    console.print(overview.exercise_list(load(name), progress.load(work_in(name, folder))))


def hint(name: Name, folder: Folder = None, assignment: AssignmentName = None) -> None:
    """A hint for an exercise; one more each time."""
    meant = load(chosen(assignment, [name], folder))
    folder = work_in(meant.name, folder)
    state = progress.load(folder)
    _hint(state, meant, meant[_one(meant, name)])
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
    from grader.practice.work import NoWorkFound

    meant = load(chosen(assignment, [name], folder))
    folder, exercise = work_in(meant.name, folder), meant[_one(meant, name)]
    try:
        with Practice(meant.name, folder) as practice:
            failure = practice.failure(exercise.name)
            sources = practice.submission.topics.get(exercise.topic, []) if practice.submission else []
        if failure is None:
            console.print(f"{exercise.function} passes all public checks: there is nothing to debug", highlight=False)
            return
        program = debugging.write(exercise, failure, folder, sources)
    except (debugging.CannotDebug, NoWorkFound) as error:
        stop(error)
    console.print(program, highlight=False, soft_wrap=True)
    if start:
        console.print(Text(debugging.KEYS, "dim"))
        debugging.start(program)


def reset(name: Name, folder: Folder = None, assignment: AssignmentName = None) -> None:
    """Put one function back to the way it was handed out. Asks first, and keeps a backup."""
    from grader.practice.reset import CannotReset
    from grader.practice.reset import reset as put_back

    meant = load(chosen(assignment, [name], folder))
    folder = work_in(meant.name, folder)
    exercise = meant[_one(meant, name)]
    typer.confirm(f"Put {exercise.function} in {folder / exercise.topic}.py back to its original?", abort=True)
    try:
        backup = put_back(exercise, folder, meant.name)
    except CannotReset as error:
        stop(error)
    state = progress.load(folder)
    state.states.pop(exercise.name, None)
    progress.save(state, folder)
    console.print(f"{exercise.function} is as it was handed out. Your version: {backup}")


def pack(
    folder: Folder = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The zip; <assignment>.zip without.", show_default=False)] = None,
    assignment: AssignmentName = None,
) -> None:
    """Write the zip to hand in."""
    from grader.practice.pack import CannotPack
    from grader.practice.pack import pack as write
    from grader.practice.work import NoWorkFound, read_work

    name = chosen(assignment, [], folder)
    work, meant = work_in(name, folder), load(name)
    try:
        submission = read_work(meant, work)
        packed = write(work, meant, submission, output or Path(f"{name}.zip"))
    except (NoWorkFound, CannotPack) as error:
        stop(error)
    for remark in packed.remarks:
        console.print(Text.assemble(("note: ", "yellow"), remark))
    console.print(f"{packed.path} is ready to hand in: {', '.join(packed.files)}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"sha256 {packed.digest}", style="dim", highlight=False)


def _show(practice: Practice, state: Progress, names: list[str]) -> Exercise:
    """The results of these exercises and the way still to go. Returns the exercise to work on.

    Where all are right now, it says what the last one means, and shows the next.
    """
    meant, before = practice.assignment, dict(state.states)
    open_ones = _checked(practice, state, names)
    if open_ones is not None and not open_ones:
        last = meant[names[-1]]
        if before.get(last.name) != "passed" and (said := overview.meaning(meant, last)):
            console.print(terminal.below(Text(f"{last.function} gives: {said}", "green")))
        following = state.current(meant)
        if following.name not in names:
            open_ones = _checked(practice, state, [following.name], said=following.topic == last.topic)
    console.print(overview.progress_line(meant, state))
    return meant[open_ones[0]] if open_ones else state.current(meant)


def _checked(practice: Practice, state: Progress, names: list[str], said: bool = False) -> list[str] | None:
    """Check and show these exercises; those of them that are not right, or None where nothing could be checked.

    `said`: what is checked stands on the screen.
    """
    open_ones: list[str] | None = None
    for record in practice.check(names):
        if open_ones is None and not said:
            _say_what_is_checked(practice, names)
        open_ones = open_ones or []
        console.print(terminal.exercise_view(record, short_name))
        state.note(record)
        if state.states[record.exercise] not in ("passed", "not_graded"):
            open_ones.append(record.exercise)
    if open_ones is None:
        _say_what_is_checked(practice, names)
    return open_ones


def _say_what_is_checked(practice: Practice, names: list[str]) -> None:
    assert practice.submission is not None
    topics = {practice.assignment[name].topic for name in select(practice.assignment, names)}
    for remark in remarks_on(practice.submission, topics, practice.assignment):
        console.print(Text(remark, "dim" if remark.startswith("checked: ") else "yellow"))


def _hint(state: Progress, assignment: assignments.Assignment, exercise: Exercise, shown: int = 0) -> int:
    """Show one more hint, below those read before of which `shown` are on the screen. Returns how many are then."""
    hints = state.next_hint(exercise)
    for number, text in enumerate(hints[shown:], start=shown + 1):
        console.print(terminal.below(Text(f"hint {number} of {len(exercise.hints)}: {text}")))
    if len(hints) == len(exercise.hints):
        more = f"; the formula is on slide {exercise.slide}" if isinstance(exercise.slide, int) else ""
        console.print(terminal.below(Text(f"that was the last one{more}", "dim")))
    return len(hints)


def _one(assignment: assignments.Assignment, name: str) -> str:
    try:
        found = select(assignment, [name])
    except UnknownName as error:
        stop(error)
    if len(found) > 1:
        stop(f"{name!r} may be {' or '.join(found)}: say which")
    return found[0]
