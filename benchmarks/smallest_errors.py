"""The smallest relative error of a value that is seen on every seed: every right answer times 1 + e, in one dtype at a time.

    python benchmarks/smallest_errors.py ASSIGNMENT [KIT] [--seeds N]        KIT: another checkout, to compare

A submission multiplies what all its functions return, and calls the right ones inside, so that no function spoils
another; methods stay right. It is graded by the command line, like anybody's. An error counts as seen where it costs
points on each of the seeds (3), and so does every larger one. Integers and classes are left alone: "-".
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import tempfile
import tomllib
from pathlib import Path

SIZES = {
    "float32": [m * 10.0**e for e in range(-7, -2) for m in (1, 3)],
    "float64": [m * 10.0**e for e in range(-16, -9) for m in (1, 3)],
}
SUBMISSION = '''
"""The right answers, times 1 + {error}, where they are {dtype}."""
import sys
import types
import torch

_right = sys.modules["right"] = types.ModuleType("right")
exec(compile({source!r}, "right.py", "exec"), _right.__dict__)
globals().update({{name: one for name, one in vars(_right).items() if isinstance(one, type)}})


def _wrong(result):
    if isinstance(result, tuple):
        return tuple(map(_wrong, result))
    if isinstance(result, torch.Tensor):
        return result * (1 + {error}) if result.dtype == torch.{dtype} else result
    return result * (1 + {error}) if isinstance(result, float) and "{dtype}" == "float64" else result
'''
FUNCTION = """

def {name}(*arguments, **options):
    return _wrong(_right.{name}(*arguments, **options))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("assignment")
    parser.add_argument("kit", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    kit, assignment = options.kit.resolve(), options.assignment
    of_topic = functions(kit / "assignments" / assignment / "assignment.toml")
    sizes = [("float32", 0.0)] + [(dtype, size) for dtype, several in SIZES.items() for size in several]
    kept: dict[tuple[str, float], list[dict[str, float]]] = {key: [] for key in sizes}  # scores, a row for each seed
    with tempfile.TemporaryDirectory(prefix="dgm-errors-") as name:
        work = Path(name)
        for number, (dtype, size) in enumerate(sizes):
            for topic, names in of_topic.items():
                source = (kit / "solutions" / assignment / f"{topic}.py").read_text()
                text = SUBMISSION.format(source=source, error=size, dtype=dtype)
                path = work / "class" / f"s{number:03d}" / f"{topic}.py"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text + "".join(FUNCTION.format(name=one) for one in names))
        for seed in range(options.seeds):
            for student, row in grades(kit, assignment, work, f"smallest errors {seed}").items():
                kept[sizes[int(student[1:])]].append(row)
    right = kept[sizes[0]]
    print(f"| {assignment}, {options.seeds} seeds | float32 | float64 |\n|---|---|---|")
    for exercise in (f"{topic}.{name}" for topic, names in of_topic.items() for name in names):
        seen = {key: all(row[exercise] < best[exercise] for row, best in zip(rows, right, strict=True)) for key, rows in kept.items()}
        print(f"| `{exercise}` | {smallest(seen, 'float32')} | {smallest(seen, 'float64')} |")


def smallest(seen: dict[tuple[str, float], bool], dtype: str) -> str:
    """The size from which on every error is seen."""
    sizes = SIZES[dtype]
    unseen = max((number for number, size in enumerate(sizes) if not seen[dtype, size]), default=-1)
    return f"{sizes[unseen + 1]:.0e}" if unseen + 1 < len(sizes) else "-"


def functions(path: Path) -> dict[str, list[str]]:
    """The functions, and no methods, of each topic."""
    of_topic: dict[str, list[str]] = {}
    for exercise in tomllib.loads(path.read_text())["exercise"]:
        topic, *name = exercise["name"].split(".")
        if len(name) == 1 and not exercise.get("bonus") and not exercise.get("of"):
            of_topic.setdefault(topic, []).append(name[0])
    return of_topic


def grades(kit: Path, assignment: str, work: Path, seed: str) -> dict[str, dict[str, float]]:
    """From a submission to its scores by exercise."""
    command: list[str | Path] = [kit / ".venv/bin/dgm", "grade", work / "class", "-o", work / seed, "-j", str(os.cpu_count())]
    if "--assignment" in subprocess.run([*command[:2], "--help"], capture_output=True, text=True).stdout:
        command += ["--assignment", assignment]  # older kits know one
    subprocess.run(command, env=os.environ | {"DGM_SEED": seed, "OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.DEVNULL)
    rows = list(csv.reader((work / seed / "grades.csv").read_text().splitlines()))
    names = rows[0]
    return {row[0]: {name: float(score or 0) for name, score in zip(names, row, strict=True) if "." in name} for row in rows[1:]}


if __name__ == "__main__":
    main()
