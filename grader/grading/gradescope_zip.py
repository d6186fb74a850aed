"""`dgm gradescope`: the zip that Gradescope makes an autograder of.

It holds the kit, one assignment with its reference and its solutions (by which the exam is rehearsed), the pinned seed,
and two scripts. Tests, other assignments, examples and the history stay at home.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from grader import course as courses
from grader.assignment import ENGINE, REPO_ROOT, Assignment, AssignmentError, lectures
from grader.grading.kit import SEED_FILE
from grader.hidden.places import reference, solutions

FILES = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")
SHIPPED = {".py", ".toml", ".html", ".css", ".js", ".typed"}
EXECUTABLE = 0o755 << 16
SECRET = 0o600 << 16
ZIP_TIME = (2000, 1, 1, 0, 0, 0)  # the same content gives the same zip, byte by byte

SETUP = """#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image.
set -euo pipefail
cd "$(dirname "$0")/kit"
apt-get update
for version in 3.13 3.12 3.11; do
    apt-get install -y "python$version" "python$version-venv" && break
done
"python$version" -m venv /opt/dgm
/opt/dgm/bin/pip install --extra-index-url https://download.pytorch.org/whl/cpu --constraint constraints.txt --editable .
chmod -R go-rwx dgm_ref solutions {seed}
"""

RUN = """#!/usr/bin/env bash
# Gradescope runs this for each submission. Without results it tells the student and the staff that grading failed.
set -euo pipefail
root="${{AUTOGRADER:-/autograder}}"
dgm="${{DGM:-/opt/dgm/bin/dgm}}"
cd "$root/source/kit"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
OMP_NUM_THREADS=1 "$dgm" grade "$root/submission" -o "$work/results" --layout one --jobs 1 --assignment {assignment} --seed-file {seed}
"$dgm" export "$work/results" --to gradescope
cp "$work"/results/*/results.json "$root/results/results.json"
"""


def write(target: Path, assignment: Assignment, seed: str) -> list[str]:
    """Write the zip; returns the names of what is in it. Raises: `AssignmentError` where there is no checkout."""
    if ENGINE.parent != REPO_ROOT or not solutions(assignment.name).is_dir():
        raise AssignmentError(f"{REPO_ROOT} is no checkout of the instructor's repository, of which the zip is made")
    scripts = {
        "setup.sh": SETUP.format(seed=SEED_FILE),
        "run_autograder": RUN.format(assignment=assignment.name, seed=SEED_FILE),
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in scripts.items():
            _add(archive, name, text.encode(), EXECUTABLE)
        course = courses.active(REPO_ROOT, lectures())
        of_course = courses.text_of(course[1].of(assignment.name)) if course else ""
        if of_course:
            _add(archive, f"kit/assignments/{assignment.name}/{courses.FILE}", of_course.encode(), 0o644 << 16)
        for path in _files(assignment):
            _add(archive, f"kit/{path.relative_to(REPO_ROOT).as_posix()}", path.read_bytes(), 0o644 << 16)
        _add(archive, f"kit/{SEED_FILE}", f"{seed}\n".encode(), SECRET)
    return archive.namelist()


def _add(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, ZIP_TIME)
    entry.external_attr, entry.compress_type = mode, zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _files(assignment: Assignment) -> Iterator[Path]:
    name = assignment.name
    yield from (REPO_ROOT / file for file in FILES if (REPO_ROOT / file).exists())
    engine = REPO_ROOT / "grader"
    others = [engine / "checks" / other for other in lectures(REPO_ROOT) if other != name]
    for path in sorted(engine.rglob("*")):
        if path.suffix in SHIPPED and not any(path.is_relative_to(other) for other in others):
            yield path
    yield from (path for path in sorted((REPO_ROOT / "assignments" / name).rglob("*")) if path.suffix in (".py", ".toml"))
    yield from sorted(reference(name).parent.glob("*.py"))
    yield from sorted(reference(name).rglob("*.py"))
    yield from (solutions(name) / f"{topic}.py" for topic in assignment.topics)
    yield from (path for path in (REPO_ROOT / "assignments" / "__init__.py", solutions(name).parent / "__init__.py") if path.exists())
