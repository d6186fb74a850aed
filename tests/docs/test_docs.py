"""The documentation: every command in it is run, the reference is what the code gives, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from grader import course as courses
from grader.assignment import REPO_ROOT, load
from grader.authoring.reference import PAGE, STRUCTS, reference
from grader.hidden.answer_key import InstructorsKey
from tests.grading import small_checkout

pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'dgm-kit[instructor]'")

DOCS = REPO_ROOT / "docs"
PAGES = ("student.md", "instructor.md")  # authoring.md is carried out in a copy: tests/dev/test_guide.py
COMMANDS_IN_TURN = """
import gc, json, os, sys, tempfile
import hypothesis, numpy, torch

gc.freeze()  # a child that collects or frees what is shared copies it
done = []
for command in json.load(sys.stdin):
    with tempfile.TemporaryFile() as typed, tempfile.TemporaryFile() as said:
        typed.write(b"y\\n")
        typed.seek(0)
        child = os.fork()
        if child == 0:
            os.setsid()
            for number, file in enumerate((typed, said, said)):
                os.dup2(file.fileno(), number)
            sys.stdin, sys.argv = open(0), command.split()
            from grader.cli import app
            app()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        done.append((code, said.read().decode()))
print(json.dumps(done))
"""
INSTALLING = {  # run by tests/release/test_kit.py
    "python -m venv .venv",
    ". .venv/bin/activate",
    'pip install -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu -e ".[student]"',
}


def commands(page: str) -> list[str]:
    """The lines after a `$` in the console blocks of a page."""
    blocks = re.findall(r"```console\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def run(shown: list[str], cwd: Path, environment: dict[str, str]) -> Iterator[tuple[str, int, str]]:
    """Each command with its exit status and what it said, from a process of its own.

    They are forked from one that has loaded the libraries, which takes longer than most commands.
    """
    assert [command for command in shown if not command.startswith("dgm ")] == [], "no test runs these"
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMMANDS_IN_TURN], cwd=cwd, env=environment, input=json.dumps(shown),
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for command, (code, said) in zip(shown, json.loads(done.stdout), strict=True):
        yield command, code, said


@pytest.fixture
def session(page: str, tmp_path: Path) -> Path:
    """What a reader has in front of them: the assignments, and two submissions to grade."""
    here = tmp_path / ("lecture1" if page == "student.md" else "course") / "kit"  # below lecture1 that is meant: a kit has no other
    shutil.copytree(REPO_ROOT / "assignments", here / "assignments", ignore=shutil.ignore_patterns(".dgm*", "__pycache__"))
    for name, of_divergences in (("half_done", "solutions"), ("nothing_done", "assignments")):
        (here / "submissions" / name).mkdir(parents=True)
        shutil.copy(REPO_ROOT / of_divergences / "lecture1" / "divergences.py", here / "submissions" / name)
        shutil.copy(REPO_ROOT / "assignments" / "lecture1" / "histogram.py", here / "submissions" / name)
    return here


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(page: str, session: Path) -> None:
    shown = [command for command in commands(page) if command not in INSTALLING]
    assert shown
    for command, code, said in run(shown, session, {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}):
        sign = {"dgm check": "○", "dgm show": "not implemented yet"}.get(" ".join(command.split()[:2]))
        nothing_written_yet = sign is not None and sign in said
        assert code == (1 if nothing_written_yet else 0), f"{command}\n{said}"
        assert "Traceback" not in said, command


@pytest.fixture
def checkout() -> Iterator[Path]:
    """Two small assignments, where workers of another user may read them."""
    with tempfile.TemporaryDirectory(prefix="dgm-docs-") as folder:
        small_checkout.build(Path(folder))
        small_checkout.add(Path(folder), "families", "gan")
        for name in ("pyproject.toml", "constraints.txt", "LICENSE", "README.md", "assignments/README.md"):
            shutil.copy(REPO_ROOT / name, Path(folder) / name)
        yield Path(folder)


def test_every_command_of_a_term_runs(checkout: Path, tmp_path: Path) -> None:
    small_checkout.submissions(tmp_path / "submissions", 2)
    environment = {name: value for name, value in small_checkout.environment(checkout).items() if name != "DGM_SEED"}
    shown = commands("term.md")
    assert len(shown) > 8
    for command, code, said in run(shown, tmp_path, environment):
        assert code == 0, f"{command}\n{said}"


def test_the_course_of_the_page_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (DOCS / "term.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "course.toml").write_text(block, "utf-8")
    with courses.used(tmp_path):
        assert load("lecture1")["divergences.kl_divergence"].points == 5
        InstructorsKey("lecture1")  # its rubric names a registered mistake


def test_the_reference_is_what_the_code_gives() -> None:
    assert PAGE.read_text("utf-8") == reference(), "run dgm dev update"


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_the_reference_describes_every_field(struct: type[msgspec.Struct]) -> None:
    section = PAGE.read_text("utf-8").split(f"### {struct.__name__}\n")[1].split("\n### ")[0]
    rows = {name: remark.strip() for name, remark in re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", section, re.MULTILINE)}
    assert list(rows) == [field.encode_name for field in msgspec.structs.fields(struct)]
    assert [name for name, remark in rows.items() if not remark] == []


def test_every_link_leads_to_a_file() -> None:
    for page in [*DOCS.glob("*.md"), REPO_ROOT / "README.md"]:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_taxonomy_leads_to_exercises_and_to_every_topic() -> None:
    named = set(re.findall(r"`([a-z_]+\.[A-Za-z_.]+)`", (DOCS / "taxonomy.md").read_text("utf-8")))
    of_families = {exercise.name for exercise in load("families").exercises}
    assert named - of_families <= {exercise.name for exercise in load("lecture1").exercises}
    assert {name.partition(".")[0] for name in named & of_families} == set(load("families").topics)


def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs-material is not installed: pip install 'dgm-kit[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "student" / "index.html").is_file()
