"""What `nbgrader autograde` costs per submission of one notebook: with the isolated exam, and as nbgrader comes.

    python benchmarks/autograde.py [--exam 20] [--stock 2]

The same solved notebook (divergences) in two copies of one course; in the second copy the line that configures the exam
is taken out, so that nbgrader runs each notebook in a kernel. Those kernels draw the public checks only: they do less.
CPU seconds are of the command and all its children, fixed costs included.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from grader.nbgrader.layout import init

TOPIC = "divergences"
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "DGM_SEED": "a seed for benchmarks", "JUPYTER_PLATFORM_DIRS": "1",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exam", type=int, default=20, help="submissions of a class graded by the isolated exam")
    parser.add_argument("--stock", type=int, default=2, help="submissions graded by stock nbgrader")
    numbers = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, one notebook a submission\n")
    print("| | submissions | CPU seconds each | wall seconds each | share of stock's CPU seconds |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        ENVIRONMENT["XDG_CACHE_HOME"] = folder  # what an exam prepares for the next one is nobody else's
        exam = lay_out(Path(folder) / "exam")
        stock = Path(folder) / "stock"
        shutil.copytree(exam, stock)
        config = stock / "nbgrader_config.py"
        lines = config.read_text().replace(str(exam), str(stock)).splitlines()
        config.write_text("\n".join(line for line in lines if "configure" not in line))
        stocks, wall = autograde(stock, numbers.stock)
        print(f"| stock nbgrader | {numbers.stock} | {stocks:.1f} | {wall:.1f} | 1 |", flush=True)
        for name, number in (("the exam, the first run on a machine", 1), ("the exam, later", 1), ("the exam, a class", numbers.exam)):
            cpu, wall = autograde(exam, number)
            print(f"| {name} | {number} | {cpu:.1f} | {wall:.1f} | {cpu / stocks:.2f} |", flush=True)


def lay_out(folder: Path) -> Path:
    init(folder, ["lecture1"])
    for path in (folder / "source" / "lecture1").glob("*.ipynb"):
        if path.stem != TOPIC:
            path.unlink()
    nbgrader(folder, "generate_assignment", "lecture1")
    return folder


def autograde(course: Path, number: int) -> tuple[float, float]:
    """CPU and wall seconds per submission of one run over so many new copies of the solved notebook."""
    source = (course / "source" / "lecture1" / f"{TOPIC}.ipynb").read_text()
    before_it = len(list((course / "submitted").glob("*")))
    for student in range(number):
        place = course / "submitted" / f"s{before_it + student:03d}" / "lecture1"
        place.mkdir(parents=True)
        (place / f"{TOPIC}.ipynb").write_text(re.sub(r" *### (BEGIN|END) SOLUTION(\\n)?", "", source))
    started, before = time.perf_counter(), _children()
    nbgrader(course, "autograde", "lecture1")
    return (_children() - before) / number, (time.perf_counter() - started) / number


def nbgrader(course: Path, *arguments: str) -> None:
    done = subprocess.run(["nbgrader", *arguments], cwd=course, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"nbgrader {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
