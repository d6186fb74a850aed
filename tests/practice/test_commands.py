"""The student's commands on a working copy: check, hint, list, reset, pack, watch."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.assignment import REPO_ROOT, load
from grader.cli import app
from grader.practice import overview, progress
from grader.practice.names import short_name
from grader.practice.notebook import Report
from grader.practice.progress import Progress
from grader.record import CheckRecord, ExerciseRecord, exercise_record
from grader.renderings import terminal

WRONG = "return f(x).sum(0)"
RIGHT = "return f(x).mean(0)"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "my work"
    shutil.copytree(REPO_ROOT / "assignments" / "lecture1", folder, ignore=shutil.ignore_patterns(".dgm*", "__pycache__"))
    return folder


def write(work: Path, answer: str) -> None:
    module = work / "course_tricks.py"
    module.write_text(module.read_text("utf-8").replace('raise NotImplementedError("monte_carlo")', answer), "utf-8")


def dgm(*arguments: object, expect: int = 0, typed: str = "") -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)
    assert done.exit_code == expect, done.output
    return done.output


def failure(**more: str) -> ExerciseRecord:
    check = CheckRecord(check="test_kl", outcome="failed", points=0.0, max_points=1.0, **more)
    return exercise_record("divergences.kl_divergence", "34", [check])


def test_a_failure_says_where_what_why_and_how_to_go_on() -> None:
    text = terminal.as_text(
        [failure(sentence="KL is not symmetric.", counterexample="p = [0.9, 0.1]", message="you returned 0.5108, expected 0.3681",
                 mistake_says="This is KL(q‖p): you computed the reverse KL.")], short_name
    )  # fmt: skip
    assert [line.rstrip() for line in text.splitlines()] == [
        "kl_divergence  ✗  KL is not symmetric." + " " * 34 + "slide 34",
        "  p = [0.9, 0.1]",
        "  you returned 0.5108, expected 0.3681",
        "  This is KL(q‖p): you computed the reverse KL.",
        "  again: dgm check kl_divergence      hint: dgm hint kl_divergence",
    ]


def test_the_commands_to_go_on_with_are_those_that_work() -> None:
    check = CheckRecord(check="test_kl", outcome="failed", points=0.0, max_points=1.0)
    ambiguous = terminal.as_text([exercise_record("autoregressive.sample", "39", [check])], short_name)
    assert "dgm hint autoregressive.sample" in ambiguous
    long = terminal.as_text([exercise_record("course_tricks.monte_carlo_standard_error", "25", [check])], short_name)
    assert [line.strip() for line in long.splitlines()[-2:]] == [
        "again: dgm check monte_carlo_standard_error",
        "hint: dgm hint monte_carlo_standard_error",
    ]
    assert 'again: check("kl_divergence")      hint: hint("kl_divergence")' in repr(Report([failure()]))


def test_no_line_is_longer_than_80_columns_nor_read_as_markup() -> None:
    text = terminal.as_text([failure(sentence="[red]a sentence[/red] " * 9, message="x" * 300, counterexample="[bold]" * 40)])
    assert max(map(len, text.splitlines())) <= 80
    assert "[red]" in text
    assert "\x1b" not in text


def test_names_are_whole_where_a_terminal_is_narrow(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "…" not in dgm("list", "--folder", work)


def test_one_more_hint_each_time(work: Path) -> None:
    assert dgm("hint", "monte_carlo", "--folder", work).count("hint ") == 1
    assert dgm("hint", "monte_carlo", "--folder", work).count("hint ") == 2
    assert "Did you mean 'monte_carlo'" in dgm("hint", "monte_calro", "--folder", work, expect=2).replace("\n", " ")


def test_progress_is_remembered(work: Path) -> None:
    write(work, "return f(x).sum(dim=0)")
    dgm("check", "monte_carlo", "--folder", work, expect=1)
    assert "✗  course_tricks.monte_carlo " in dgm("list", "--folder", work)
    (work / ".dgm-progress.json").write_text("{damaged")
    assert "○  course_tricks.monte_carlo " in dgm("list", "--folder", work)


def test_a_bonus_that_nobody_tried_is_no_missing_work(work: Path) -> None:
    solution = (REPO_ROOT / "solutions/lecture1/histogram.py").read_text("utf-8")
    before, rest = solution.split("    # BEGIN SOLUTION accepts\n")
    stub = '    raise NotImplementedError("accepts")\n' + rest.split("    # END SOLUTION accepts\n")[1]
    (work / "histogram.py").write_text(before + stub, "utf-8")
    (work / "histogram.ipynb").unlink()
    said = dgm("check", "histogram", "--folder", work)
    (line,) = [line for line in said.splitlines() if line.startswith("accepts")]
    assert "○" in line
    assert "bonus, slide 30" in line
    assert "○" in dgm("check", "accepts", "--folder", work, expect=1)  # asked for by name, it is an answer
    assert "5 bonus" in dgm("list", "--folder", work)
    assert "accepts" not in dgm("pack", "--folder", work, "-o", work.parent / "mine.zip")
    (work / "histogram.py").write_text(before + "    return True\n\n\n" + stub.split("\n", 1)[1], "utf-8")
    assert "✗" in dgm("check", "accepts", "--folder", work, expect=1)
    assert "hint 1 of 3" in dgm("hint", "accepts", "--folder", work)


def test_all_is_done_without_the_bonus() -> None:
    assignment = load("lecture1")
    total = len(assignment.required)
    state = Progress(states={exercise.name: "passed" for exercise in assignment.required})
    line = overview.progress_line(assignment, state).plain
    assert f"{total}/{total}   all done: dgm pack   bonus: accepts" in line
    state.states["histogram.accepts"] = "passed"
    assert overview.progress_line(assignment, state).plain.endswith(f"{total}/{total}   all done: dgm pack")
    del state.states["imagegpt.sample"]
    assert f"{total - 1}/{total}   next: sample" in overview.progress_line(assignment, state).plain


def test_a_damaged_file_of_progress_starts_anew(tmp_path: Path) -> None:
    for damaged in (b"{", b'{"states": {"histogram.fit": "bogus"}}', b'{"states": {"\xff": "passed"}}'):
        (tmp_path / progress.FILE).write_bytes(damaged)
        assert progress.load(tmp_path) == Progress()


def test_reset_asks_keeps_a_backup_and_touches_one_function(work: Path) -> None:
    original = (work / "course_tricks.py").read_text("utf-8")
    write(work, WRONG)
    module = work / "course_tricks.py"
    module.write_text(module.read_text("utf-8") + "\n\ndef mine() -> None: ...\n", "utf-8")
    mine = module.read_text("utf-8")
    dgm("reset", "monte_carlo", "--folder", work, typed="n\n", expect=1)
    assert module.read_text("utf-8") == mine
    dgm("reset", "monte_carlo", "--folder", work, typed="y\n")
    assert module.read_text("utf-8") == original + "\n\ndef mine() -> None: ...\n"
    (backup,) = work.glob("*.bak")
    assert backup.read_text("utf-8") == mine


def test_reset_says_where_the_function_is_written_besides(work: Path) -> None:
    assert "still written" not in dgm("reset", "monte_carlo", "--folder", work, typed="y\n")
    notebook = work / "course_tricks.ipynb"
    notebook.write_text(notebook.read_text("utf-8").replace('raise NotImplementedError(\\"monte_carlo\\")', "return f(x).mean(0)"), "utf-8")
    said = dgm("reset", "monte_carlo", "--folder", work, typed="y\n")
    assert "still written in course_tricks.ipynb" in said


def test_pack_says_what_is_missing_and_is_the_same_twice(work: Path) -> None:
    (work / "histogram.py").unlink()
    (work / "histogram.ipynb").unlink()
    one, two = work.parent / "one.zip", work.parent / "two.zip"
    assert "histogram: nothing of it is here" in dgm("pack", "--folder", work, "-o", one)
    dgm("pack", "--folder", work, "-o", two)
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert set(manifest["files"]) == set(archive.namelist()) - {"manifest.json"}
    assert "--folder" in dgm("pack", "--folder", work.parent, expect=2)


def test_pack_says_what_is_not_written_and_what_is_no_python(work: Path) -> None:
    target = work.parent / "mine.zip"
    for notebook in work.glob("*.ipynb"):
        notebook.unlink()
    write(work, RIGHT)
    (work / "histogram.py").write_text("def fit_histogram(x, num_bins)\n    return x\n", "utf-8")
    said = " ".join(dgm("pack", "--folder", work, "-o", target.with_suffix("")).split())
    assert "course_tricks: not written yet: monte_carlo_standard_error, lotus" in said
    assert "divergences: not written yet: all of it" in said
    assert "histogram.py is no Python (expected ':'" in said
    assert f"{target.name} is ready to hand in" in said


def test_pack_takes_modules_along_that_the_work_imports(work: Path) -> None:
    target = work.parent / "mine.zip"
    module = work / "course_tricks.py"
    module.write_text(f"import my_averages\n{module.read_text('utf-8')}", "utf-8")
    (work / "my_averages.py").write_text("def mean(x):\n    return x.mean(0)\n", "utf-8")
    (work / "my_diary.py").write_text("secret = 1\n", "utf-8")
    dgm("pack", "--folder", work, "-o", target)
    with zipfile.ZipFile(target) as archive:
        assert "my_averages.py" in archive.namelist()
        assert "my_diary.py" not in archive.namelist()


def test_what_is_missing_is_said_with_the_file_to_write_it_in(work: Path) -> None:
    assert "monte_carlo  ○  not implemented yet, in course_tricks.py" in dgm("check", "monte_carlo", "--folder", work, expect=1)
    (work / "course_tricks.py").unlink()
    assert "monte_carlo  ○  not implemented yet, in course_tricks.ipynb" in dgm("check", "monte_carlo", "--folder", work, expect=1)


def test_a_shell_completes_commands_and_exercises_without_loading_torch() -> None:
    asked = {"COMP_WORDS": "dgm hint mont", "COMP_CWORD": "2", "_DGM_COMPLETE": "complete_bash"}
    command = str(Path(sys.executable).with_name("dgm"))
    answer = subprocess.run([command], env={**os.environ, **asked}, capture_output=True, text=True).stdout.split()
    assert answer == ["monte_carlo", "monte_carlo_standard_error"]
    loaded = "import sys, grader.cli; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True).strip() == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is needed")
def test_watch_answers_a_save_and_keys(work: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    command = str(Path(sys.executable).with_name("dgm"))
    session = pexpect.spawn(
        command,
        ["watch", "--folder", str(work)],
        cwd=str(work.parent),
        env={**os.environ, "TERM": "xterm"},
        dimensions=(40, 80),
        timeout=120,
        encoding="utf-8",
    )
    session.expect("checking …[^ ]*\r")
    session.expect("not implemented yet")
    session.expect("q quit")
    session.send("h")
    session.expect("hint 1 of")
    session.send("h")
    assert session.expect(["hint 2 of", "hint 1 of"]) == 0  # what is on the screen is not said again
    session.expect("\r\n")  # a terminal in raw mode would not go back to the left edge
    time.sleep(1)
    write(work, WRONG)
    session.expect("✗")
    session.expect("again: dgm check monte_carlo")
    session.send("l")
    session.expect("imagegpt.sample")
    session.send("q")
    session.expect(pexpect.EOF)
    session.close()
    assert session.exitstatus == 0


def test_a_module_that_is_no_python_is_said_once_and_costs_no_tick(work: Path) -> None:
    write(work, RIGHT)
    dgm("check", "monte_carlo", "--folder", work)
    with (work / "course_tricks.py").open("a") as module:
        module.write("\ndef broken((:\n")
    said = dgm("check", "course_tricks", "--folder", work, expect=1)
    assert said.count("course_tricks.py is no Python") == 1
    assert "○" not in said
    assert "✓  course_tricks.monte_carlo " in dgm("list", "--folder", work)


def test_what_the_failing_call_printed_is_shown_once_and_no_other(work: Path) -> None:
    write(work, "print('x is', tuple(x.shape)); print('.\\n' * 20); return f(x).sum(0)")
    said = dgm("check", "monte_carlo", "--folder", work, expect=1)
    assert said.count("x is (4, 2)") == said.count("x is") == 1
    assert 0 < said.count("  .\n") < 10


def test_an_import_that_fails_is_said_where_something_is_wrong(work: Path) -> None:
    module = work / "course_tricks.py"
    module.write_text(module.read_text("utf-8").replace("\nimport torch\n", "\nimport numpyy as np\nimport torch\n", 1), "utf-8")
    assert "numpyy" not in dgm("check", "kl_divergence", "--folder", work, expect=1)
    write(work, "return np.mean(f(x))")
    said = " ".join(dgm("check", "monte_carlo", "lotus", "--folder", work, expect=1).split())
    assert said.count("No module named 'numpyy'") == 1
    module.write_text(module.read_text("utf-8").replace("return np.mean(f(x))", RIGHT), "utf-8")
    assert "numpyy" not in dgm("check", "monte_carlo", "--folder", work)


def test_next_checks_the_first_that_is_not_done_and_goes_on_when_it_is_right(work: Path) -> None:
    said = dgm("next", "--folder", work)
    assert "monte_carlo  ○" in said
    write(work, RIGHT)
    said = dgm("next", "--folder", work)
    assert said.index("monte_carlo  ✓") < said.index("monte_carlo_standard_error  ○")
    assert said.count("checked: course_tricks.py") == 1
    assert "1/46   next: monte_carlo_standard_error" in said


def test_what_is_put_back_is_not_done_any_more(work: Path) -> None:
    write(work, RIGHT)
    dgm("check", "monte_carlo", "--folder", work)
    dgm("reset", "monte_carlo", "--folder", work, typed="y\n")
    assert "○  course_tricks.monte_carlo " in dgm("list", "--folder", work)


def test_what_nothing_here_can_check_is_never_ticked(work: Path) -> None:
    assert "–" in dgm("check", "imagegpt.gpu", "--folder", work)
    assert "no check that can be run here" in dgm("debug", "imagegpt.gpu", "--folder", work)
    assert "✓" not in dgm("list", "--folder", work)


def test_names_of_classes_and_methods_are_understood(work: Path) -> None:
    said = dgm("check", "Block", "imagegpt", "--folder", work, expect=1)
    assert "Block.forward" in said
    assert "say which" in dgm("hint", "forward", "--folder", work, expect=2)
    assert "hint 1" in dgm("hint", "markovmlp", "--folder", work)


def test_a_check_ends_with_exercises_points_and_per_cent(work: Path) -> None:
    write(work, RIGHT)
    said = " ".join(dgm("check", "monte_carlo", "lotus", "--folder", work, expect=1).split())  # wherever the line is broken
    assert re.search(r"1 of 2 exercises, [\d.]+ of [\d.]+ points \(\d+%\); [\d.]+ more are graded after submission", said)


def test_where_a_terminal_has_no_signs_outcomes_are_words() -> None:
    check = CheckRecord(check="test_x", outcome="failed", points=0.0, max_points=1.0, message="you returned 1")
    view = terminal.exercise_view(exercise_record("topic.f", "1", [check]))
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as file:
        terminal.SafeConsole(file=file, width=80).print(view)
        file.flush()
        assert "topic.f  WRONG" in file.buffer.getvalue().decode()  # type: ignore[attr-defined]
