"""What graded: the kit's version, its libraries, and a fingerprint of the grading seed."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import secrets
import sys
from pathlib import Path

from grader import course as courses
from grader.assignment import ENGINE, REPO_ROOT, lectures
from grader.errors import GraderError
from grader.grading.options import GradingOptions
from grader.hidden.places import REFERENCE, out_of_reach
from grader.record import KitRecord

SEED_VARIABLE = "DGM_SEED"
SEED_FILE = ".dgm-seed"


class SeedError(GraderError):
    """There is no usable grading seed; the message says what to do."""


def grading_seed(seed_file: Path | None = None, folder: Path = Path(), first: bool = True) -> str:
    """The instructor's secret: from `seed_file`, else `$DGM_SEED`, else the course's `seed_file`, else `.dgm-seed` in `folder`.

    There it is made, with a word about it, unless something was graded before (not `first`), which another seed would not match.
    Raises: `SeedError`.
    """
    if seed_file is None and (seed := os.environ.get(SEED_VARIABLE)):
        return _long_enough(seed, f"${SEED_VARIABLE}")
    pinned, course = _seed_file_of_the_course()
    path = seed_file or pinned or folder / SEED_FILE
    try:
        seed = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if seed_file is not None or pinned is not None:
            said = f"{path}: there is no such file" + (f", and seed_file of {course} names it" if seed_file is None else "")
            raise SeedError(
                f"{said}. Put the seed there that the course has used so far; for a new course make one with: "
                f"python -c 'import secrets; print(secrets.token_hex())' > {path}"
            ) from None
        looked = f"neither ${SEED_VARIABLE} nor {course or f'a {courses.FILE} here'} names one, and there is no {path.resolve()}"
        if not first:
            raise SeedError(
                f"there is no grading seed: {looked}. These results were graded with one: "
                f"name its file with --seed-file, or grade into a new folder with --into NEW"
            ) from None
        seed = make_seed(path)
        made = f"made {path.resolve()}, a new grading seed ({looked})"
        print(f"{made}: keep it, and keep it to yourself: the same seed gives the same grades", file=sys.stderr)
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(f"{path}: the grading seed cannot be read: {error}") from None
    return _long_enough(seed, str(path))


def _long_enough(seed: str, place: str) -> str:
    if len(seed) < 16:
        raise SeedError(f"{place}: the grading seed has {len(seed)} characters; take at least 16, or it can be guessed")
    return seed


def make_seed(path: Path) -> str:
    """A new seed in a file that only its owner can read. Raises: `SeedError`."""
    seed = secrets.token_hex()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SeedError(f"{path}: no grading seed can be written here: {error.strerror or error}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(seed + "\n")
    return seed


def _seed_file_of_the_course() -> tuple[Path | None, Path | None]:
    """The file that the course pins, and the course's own."""
    path, course = courses.active(REPO_ROOT, lectures()) or (None, None)
    return (path.parent / course.seed_file if path and course and course.seed_file else None), path


def fingerprint(seed: str) -> str:
    """Tells two seeds apart and gives neither away (PBKDF2, so that guessing is slow)."""
    return "sha256:" + hashlib.pbkdf2_hmac("sha256", seed.encode(), b"dgm-kit grading seed", 100_000).hex()[:32]


@functools.cache
def _sources() -> hashlib._Hash:
    """A digest of engine, checks, assignments and reference."""
    digest = hashlib.sha256()
    for folder in dict.fromkeys((ENGINE, REPO_ROOT / "grader", REPO_ROOT / "assignments", REPO_ROOT / REFERENCE)):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.relative_to(folder.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest


def version() -> str:
    """The kit's version with a digest of everything that a grade depends on, the course's points among it."""
    digest = _sources().copy()
    found = courses.active(REPO_ROOT, lectures())
    if found:
        digest.update("".join(courses.text_of(found[1].of(name)) for name in lectures()).encode())
    return f"{importlib.metadata.version('dgm-kit')}+{digest.hexdigest()[:12]}"


def kit_record(options: GradingOptions) -> KitRecord:
    """The `kit` part of every record of one run, but for what is known once workers are there: layers, and a device."""
    return KitRecord(
        version=version(),
        torch=importlib.metadata.version("torch"),
        hypothesis=importlib.metadata.version("hypothesis"),
        seed=fingerprint(options.seed),
        isolation=options.isolation,
        options=options.flags,
    )


def hidden() -> tuple[Path, ...]:
    """What no worker may ever read, as far as it lies on this machine."""
    pinned, course = _seed_file_of_the_course()
    mine = (path.resolve() for path in (pinned, course, prepared_here()) if path and path.exists())
    return (*out_of_reach(Path(SEED_FILE)), *mine)


def prepared_here() -> Path:
    """The private folder where preparations are kept: see `grader.grading.preparation`."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(caches, "dgm-kit").absolute()
