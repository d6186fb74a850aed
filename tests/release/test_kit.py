"""The student kit in a fresh folder and a fresh environment: it works, without POSIX, and gives nothing away."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader import assignment as assignments
from grader.authoring import student_kit as release
from grader.authoring.build.source import read
from grader.grading.kit import SEED_FILE

LECTURE, OTHER = "lecture1", "families"
REPO_ROOT = assignments.REPO_ROOT
MIN_LENGTH = 25  # shorter lines, such as `return total`, say nothing

# Like Windows, for our own code: modules that are not there, and attributes of others that are not there.
NO_POSIX = """
import builtins, os, signal, socket, sys
ABSENT = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "spwd", "crypt", "posix"}
real = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if name in ABSENT and (importer.startswith(("grader", "assignments")) or "/grader/" in (globals or {}).get("__file__", "")):
        raise ModuleNotFoundError(f"{importer} imports {name}, which Windows does not have")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = guarded
for module, names in ((os, "fork forkpty setsid killpg waitid"), (signal, "SIGALRM setitimer alarm"), (socket, "AF_UNIX")):
    for name in names.split():
        delattr(module, name)
"""


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The zips and the wheels of two assignments, by name."""
    dist = tmp_path_factory.mktemp("dist")
    return {path.name.split("-0")[0]: path for lecture in (LECTURE, OTHER) for path in release.release(lecture, dist)}


@pytest.fixture(scope="session")
def kit(released: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip, unpacked where a student would, with a blank in the path."""
    folder = tmp_path_factory.mktemp("my downloads")
    with zipfile.ZipFile(released[f"dgm-kit-{LECTURE}"]) as archive:
        archive.extractall(folder)
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="session")
def student(kit: Path) -> Path:
    """An environment made as the kit's README says, but for the downloads: those packages are this one's."""
    install = next(line for line in _console(kit / "README.md") if line.startswith("pip install"))
    assert install == 'pip install -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu -e ".[student]"'
    return _environment(kit / ".venv", kit, "--no-build-isolation", "--editable", ".[student]")


def _environment(folder: Path, cwd: Path, *requirement: str) -> Path:
    """A new environment with one thing installed; the folder of its commands."""
    venv.create(folder, with_pip=False)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    python = next(commands.glob("python*"))
    site = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True).strip()
    (Path(site) / "downloads.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", *requirement]
    subprocess.run(pip, check=True, cwd=cwd)
    return commands


def _dgm(commands: Path, cwd: Path, *arguments: str, expect: int = 0, **variables: str) -> str:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80", "PYTHONUTF8": "1", **variables}
    done = subprocess.run([commands / "dgm", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def _console(page: Path) -> list[str]:
    """The commands in the console blocks of a page, without their remarks."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return [line.removeprefix("$ ").split("   #")[0].strip() for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_from_unpacking_to_the_first_green_check(kit: Path, student: Path) -> None:
    first = next(line for line in _console(kit / "README.md") if line.startswith("dgm check")).split()[1:]
    assert "monte_carlo  ○" in _dgm(student, kit, *first, expect=1)
    stub = kit / "assignments" / LECTURE / "course_tricks.py"
    original = stub.read_bytes()
    stub.write_bytes((REPO_ROOT / "solutions" / LECTURE / "course_tricks.py").read_bytes())
    assert "monte_carlo  ✓" in _dgm(student, kit, *first)
    assert "1/" in _dgm(student, kit, "list")
    assert "hint 1 of" in _dgm(student, kit, "hint", "monte_carlo")
    assert "hint 2 of" in _dgm(student, kit, "hint", "monte_carlo")
    stub.write_bytes(original)


def test_the_commands_of_the_readme_are_there(kit: Path, student: Path) -> None:
    shown = set(re.findall(r"`dgm (\w+)", (kit / "README.md").read_text("utf-8")))
    offered = _dgm(student, kit, "--help")
    assert shown >= {"watch", "list", "check", "hint", "reset", "pack"}
    assert all(re.search(rf"\b{name}\b", offered) for name in shown), shown


def test_a_student_needs_nothing_that_only_posix_has(kit: Path, student: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_POSIX)
    windows = {"PYTHONPATH": str(tmp_path)}
    assert "○" in _dgm(student, kit, "check", "kl_divergence", expect=1, **windows)
    assert "course_tricks.monte_carlo" in _dgm(student, kit, "list", **windows)
    assert "hint 1" in _dgm(student, kit, "hint", "kl_divergence", **windows)
    assert "divergences.py" in _dgm(student, kit, "pack", "-o", str(tmp_path / "mine.zip"), **windows)
    solved = tmp_path / "solved"
    solved.mkdir()
    for topic in ("divergences", "histogram"):
        (solved / f"{topic}.py").write_bytes((REPO_ROOT / "solutions" / LECTURE / f"{topic}.py").read_bytes())
    pictures = tmp_path / "pictures"
    _dgm(student, kit, "show", "kl_divergence", "fit_histogram", "--folder", str(solved), "-o", str(pictures), **windows)
    assert len(list(pictures.glob("*.png"))) == 2
    probe = "from grader.practice.notebook import checker; checker('lecture1', 'divergences')"
    probe += "; import grader.practice.watch, grader.practice.reset"
    python = next(student.glob("python*"))
    subprocess.run([python, "-c", probe], check=True, cwd=kit, env={**os.environ, **windows})


def test_the_imitation_of_windows_bites(kit: Path, student: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_POSIX)
    done = subprocess.run(
        [next(student.glob("python*")), "-c", "import grader.sandbox.zygote"],
        cwd=kit, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert "which Windows does not have" in done.stderr


def test_output_survives_a_terminal_without_unicode(kit: Path, student: Path) -> None:
    assert "monte_carlo" in _dgm(student, kit, "list", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")


def test_wheels_serve_a_folder_of_notebooks_and_stand_side_by_side(released: dict[str, Path], tmp_path: Path) -> None:
    assert {*released} == {"dgm_kit", *(f"dgm{sign}kit{sign}{name}" for name in (LECTURE, OTHER) for sign in "-_")}
    wheels = [released[name] for name in ("dgm_kit", f"dgm_kit_{LECTURE}", f"dgm_kit_{OTHER}")]
    files = [name for path in wheels for name, _ in _contents(path.read_bytes(), inside=False)]
    assert len(files) == len({*files}), "one wheel would overwrite a file of another"
    commands = _environment(tmp_path / "venv", tmp_path, *map(str, wheels[:2]))
    work = tmp_path / "work"
    work.mkdir()
    (work / "divergences.py").write_bytes((REPO_ROOT / "assignments" / LECTURE / "divergences.py").read_bytes())
    assert "kl_divergence  ○" in _dgm(commands, work, "check", "kl_divergence", "--folder", ".", expect=1)
    _first_cell(commands, work, LECTURE, "divergences")
    shutil.copy(wheels[2], work)  # the second assignment comes into an environment that has the first
    python = next(commands.glob("python*"))
    assert "no assignment" in _dgm(commands, work, "list", "--assignment", OTHER, expect=2)
    pip = {"PIP_PYTHON": str(python), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": sysconfig.get_paths()["purelib"]}
    _first_cell(commands, work, OTHER, "vae", **pip)
    assert "vae.gaussian_kl" in _dgm(commands, work, "list", "--assignment", OTHER)
    assert "kl_divergence  ○" in _dgm(commands, work, "check", "kl_divergence", "--folder", ".", expect=1)
    uninstall = [sys.executable, "-m", "pip", "--python", str(python), "uninstall", "--quiet", "--yes", f"dgm-kit-{OTHER}"]
    subprocess.run(uninstall, check=True)
    assert "divergences.kl_divergence" in _dgm(commands, work, "list")


def _first_cell(commands: Path, work: Path, lecture: str, topic: str, **variables: str) -> None:
    """Run the cell that makes a fresh kernel ready."""
    notebook = json.loads((REPO_ROOT / "assignments" / lecture / f"{topic}.ipynb").read_text("utf-8"))
    (cell,) = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "KIT = " in "".join(cell["source"])]
    python = next(commands.glob("python*"))
    code = f"{''.join(cell['source'])}\nassert check"
    done = subprocess.run([python, "-c", code], cwd=work, env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_is_of_the_assignment(released: dict[str, Path]) -> None:
    pages = {name: dict(_contents(released[f"dgm-kit-{name}"].read_bytes())) for name in (LECTURE, OTHER)}
    for lecture, other in ((LECTURE, OTHER), (OTHER, LECTURE)):
        (page,) = [text for name, text in pages[lecture].items() if name.endswith("README.md")]
        first = assignments.load(lecture).exercises[0]
        assert f"dgm check {first.function}" in page
        assert f"assignments/{lecture}/{first.topic}.py" in page
        assert f"/{other}/" not in page
        assert "{" not in page
        assert not [name for name in pages[lecture] if f"/{other}/" in name]


def test_no_hidden_file_is_in_the_kit(released: dict[str, Path]) -> None:
    hidden = re.compile(r"(^|/)(dgm_ref|solutions|tests|examples|mistakes|docs|\.git|\.dgm-seed|__pycache__|\.\w+_cache|dev)(/|$)|\.pyc$")
    names = [name for path in released.values() for name, _ in _contents(path.read_bytes())]
    assert len(names) > 100
    assert [name for name in names if hidden.search(name)] == []


def test_no_hidden_line_is_in_the_kit(released: dict[str, Path]) -> None:
    hidden = _hidden_lines() - _lines_of_stubs()
    assert len(hidden) > 1000
    found = [
        f"{path.name}: {name}: {line}"
        for path in released.values() for name, text in _contents(path.read_bytes()) for line in sorted(_lines(text) & hidden)
    ]  # fmt: skip
    assert found == []


def test_the_scan_sees_a_hidden_line(released: dict[str, Path]) -> None:
    line = sorted(_hidden_lines() - _lines_of_stubs(), key=len)[-1]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("notebook.ipynb", json.dumps({"cells": [{"source": [f"    {line}\n"]}]}))
    assert any(line in _lines(text) for _, text in _contents(data.getvalue()))


def test_the_same_sources_give_the_same_assignments(released: dict[str, Path]) -> None:
    again = release.kit(LECTURE)
    with zipfile.ZipFile(released[f"dgm-kit-{LECTURE}"]) as archive:
        first = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    assert first.keys() == again.keys()
    assert all(first[name] == again[name] for name in first if name.startswith("assignments/"))  # byte by byte, originals.zip too


def _contents(data: bytes, inside: bool = True) -> Iterator[tuple[str, str]]:
    """Every file in an archive, and in the archives inside it; of a notebook its cells."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(".zip") and inside:
                yield from ((f"{name}/{inner}", text) for inner, text in _contents(content))
            else:
                text = content.decode("utf-8", "strict" if inside else "replace")
                yield name, "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"]) if name.endswith(".ipynb") else text


def _lines(text: str) -> set[str]:
    """The lines that say something: no imports, titles, signatures or names of types."""
    lines = (line.strip() for line in text.splitlines())
    dull = re.compile(r"(from|import|def|class|for) |# (--|BEGIN|END|%%)|@\w+$|\w+ = \w+\[[\w\[\], ]+\]$")
    return {line for line in lines if len(line) >= MIN_LENGTH and not dull.match(line)} - SHARED


# Lines of catalogue or reference that the open part says too, and that give no answer away.
SHARED = {
    "if isinstance(value, Tensor):",
    "if isinstance(value, list | tuple):",
    "HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)",
    '"""Normal noise within c deviations, stretched to variance one."""',
    "return type(module).__init__.__globals__",  # how a helper finds the module of a model
    "before = torch.get_float32_matmul_precision()",  # float32 on a GPU as it is on a CPU
    'torch.set_float32_matmul_precision("highest")',
    "torch.set_float32_matmul_precision(before)",
    "with torch.enable_grad():",
    "x = x.detach().requires_grad_()",
}


def _hidden_lines() -> set[str]:
    """Reference, catalogue of mistakes, solution regions, and the grading seed if there is one."""
    hidden = {line for path in (REPO_ROOT / "dgm_ref").rglob("*.py") for line in _lines(path.read_text("utf-8"))}
    for lecture, topic in [(name, topic) for name in (LECTURE, OTHER) for topic in assignments.load(name).topics]:
        source = read(REPO_ROOT / "solutions" / lecture / f"{topic}.py")
        lines = source.text.splitlines()
        for region in source.regions:
            hidden |= _lines("\n".join(lines[region.first : region.last - 1]))
    seed = REPO_ROOT / SEED_FILE
    return hidden | (_lines(seed.read_text("utf-8")) if seed.exists() else set())


def _lines_of_stubs() -> set[str]:
    """What students are given anyway."""
    return {line for path in (REPO_ROOT / "assignments").rglob("*.py") for line in _lines(path.read_text("utf-8"))}
