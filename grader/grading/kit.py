"""What graded: the kit's version, its libraries, and a fingerprint of the grading seed."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from grader.assignment import REPO_ROOT
from grader.hidden.places import SECRET, out_of_reach
from grader.record import KitRecord
from grader.sandbox.workers import Isolation

SEED_VARIABLE = "DGM_SEED"
SEED_FILE = ".dgm-seed"


class SeedError(Exception):
    """There is no usable grading seed; the message says what to do."""


def grading_seed(
    seed_file: Path | None = None, folder: Path = Path(), first: bool = True, say: Callable[[str], None] = lambda _: None
) -> str:
    """The instructor's secret: from `seed_file`, else `$DGM_SEED`, else `.dgm-seed` in `folder`.

    There it is made, and `say` told so, unless something was graded before (`first`), which another seed would not match.
    """
    if seed_file is None and os.environ.get(SEED_VARIABLE):
        return os.environ[SEED_VARIABLE]
    path = seed_file or folder / SEED_FILE
    try:
        seed = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if seed_file is not None:
            raise SeedError(
                f"{seed_file}: there is no such file. Make one with: python -c 'import secrets; print(secrets.token_hex())' > {seed_file}"
            ) from None
        if not first:
            raise SeedError(
                f"there is no grading seed: neither ${SEED_VARIABLE} nor {path.resolve()}. These results were graded with one: "
                f"name its file with --seed-file, or grade into a new folder with --into NEW"
            ) from None
        seed = secrets.token_hex()
        say(f"a new grading seed: {path.resolve()}. Keep it, and keep it to yourself: the same seed gives the same grades")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(seed + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError(f"{path}: the grading seed cannot be read: {error}") from None
    if len(seed) < 16:
        raise SeedError(f"{path}: the grading seed has {len(seed)} characters; take at least 16, or it can be guessed")
    return seed


def fingerprint(seed: str) -> str:
    """Tells two seeds apart and gives neither away (PBKDF2, so that guessing is slow)."""
    return "sha256:" + hashlib.pbkdf2_hmac("sha256", seed.encode(), b"dgm-kit grading seed", 100_000).hex()[:32]


@functools.cache
def version() -> str:
    """The kit's version with a digest of everything that a grade depends on: engine, checks, assignment, reference."""
    digest = hashlib.sha256()
    for folder in ("grader", "assignments", SECRET[0]):
        for path in sorted((REPO_ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.relative_to(REPO_ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{importlib.metadata.version('dgm-kit')}+{digest.hexdigest()[:12]}"


def kit_record(seed: str, isolation: Isolation, options: Sequence[str] = ()) -> KitRecord:
    """The `kit` part of every record of one run."""
    return KitRecord(
        version=version(),
        torch=importlib.metadata.version("torch"),
        hypothesis=importlib.metadata.version("hypothesis"),
        seed=fingerprint(seed),
        isolation=isolation.mode,
        layers=list(isolation.layers),
        options=list(options),
    )


def hidden() -> tuple[Path, ...]:
    """What no worker may ever read, as far as it lies on this machine."""
    return (*out_of_reach(Path(SEED_FILE)), *(place for place in [prepared_here()] if place.exists()))


def prepared_here() -> Path:
    """The private folder where preparations are kept: see `grader.grading.preparation`."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(caches, "dgm-kit").absolute()
