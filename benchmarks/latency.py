"""What one command costs in processor time, its children included, beside `import torch` in the same run.

    python benchmarks/latency.py [KIT]        KIT: another checkout with a virtual environment of its own, to compare

Wall time would measure the neighbours on a shared machine. Each row is the smallest of its runs, except the first run on
a machine, which there is only one of: its preparation is kept from then on, here in a folder of this run's own.
"""

from __future__ import annotations

import datetime
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect

RUNS = 2
LECTURE = "lecture1"
SEED = "a seed that nobody else has"


def main() -> None:
    kit = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    python, dgm = str(kit / ".venv/bin/python"), str(kit / ".venv/bin/dgm")
    with tempfile.TemporaryDirectory(prefix="dgm-latency-") as name:
        work = Path(name)
        topics = sorted(path for path in (kit / "solutions" / LECTURE).glob("*.py") if path.stem != "__init__")
        handed_in(work / "right/anna", topics)
        handed_in(work / "more/anna", topics)
        handed_in(work / "more/berta", topics)
        handed_in(work / "one/anna", [path for path in topics if path.stem == "divergences"])
        os.environ |= {"DGM_SEED": SEED, "XDG_CACHE_HOME": str(work / "cache"), "OMP_NUM_THREADS": "1"}
        torch = min(cpu(python, "-c", "import torch") for _ in range(RUNS))
        commit = subprocess.run(["git", "-C", str(kit), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout
        machine = f"Python {platform.python_version()}, {cpu_name()}, load {os.getloadavg()[0]:.0f}"
        print(f"commit {commit.strip()}, {datetime.date.today()}, {machine}")
        row("import torch", torch, torch)

        def grade(folder: str, results: str) -> float:
            return cpu(dgm, "grade", work / folder, "-o", work / results, "--assignment", LECTURE, "-j", "1")

        row("dgm grade, one submission, the first run on a machine", grade("right", "first"), torch)
        row("dgm grade, one submission, later", min(grade("right", f"later{run}") for run in range(RUNS)), torch)
        row("dgm grade, one submission that holds one topic", min(grade("one", f"one{run}") for run in range(RUNS)), torch)
        row("dgm grade, one more in a folder with results", grade("more", "first"), torch)
        row("dgm grade, all is graded already", min(grade("more", "first") for _ in range(RUNS)), torch)
        mine: list[str | Path] = ["--folder", work / "right/anna", "--assignment", LECTURE]
        for words in (["check", "kl_divergence"], ["check"], ["hint", "kl_divergence"], ["list"], ["--help"]):
            given: list[str | Path] = [] if words == ["--help"] else mine
            row(f"dgm {' '.join(words)}", min(cpu(dgm, *words, *given) for _ in range(RUNS)), torch)
        first, later = map(float, output(python, "-c", NOTEBOOK, kit / "solutions" / LECTURE / "divergences.py").split())
        row('check("kl_divergence") in a notebook, the first time', first, torch)
        row("the same, later", later, torch)
        saved = answer_to_a_save(dgm, work / "right/anna/divergences.py")
        row("dgm watch: from a save to the verdict (wall time)", saved, torch)


# What a kernel does with the cells of a notebook: prints the seconds of the first check and the fewest of those after it.
NOTEBOOK = f"""
import contextlib, io, sys, time
exec(open(sys.argv[1]).read())
import torch
seconds = []
for number in range(6):
    started = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        if not number:
            from grader.practice.notebook import checker
            check = checker({LECTURE!r}, "divergences")
        str(check("kl_divergence"))
    seconds.append(time.process_time() - started)
print(seconds[0], min(seconds[1:]))
"""


def answer_to_a_save(dgm: str, module: Path) -> float:
    """The fewest seconds from a save to the verdict on the screen."""
    words = ["watch", "--folder", str(module.parent), "--assignment", LECTURE]
    watch = pexpect.spawn(dgm, words, timeout=120, dimensions=(40, 80), encoding="utf-8")
    watch.expect("q quit")
    seconds = []
    time.sleep(1)  # nobody tells when watching has begun
    for number in range(4):
        begin = "    # BEGIN SOLUTION kl_divergence\n"
        module.write_text(module.read_text().replace(begin, f"{begin}    _ = {number}\n"))
        started = time.perf_counter()
        watch.expect("kl_divergence.*\u2713")
        seconds.append(time.perf_counter() - started)
    watch.close(force=True)
    return min(seconds)


def output(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


def row(what: str, seconds: float, torch: float) -> None:
    print(f"| {what:55s} | {seconds:5.2f} | {seconds / torch:5.1f} |", flush=True)


def cpu(*command: str | Path) -> float:
    """The processor time of a command and of all processes that it started. Ends the run where the command fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def handed_in(folder: Path, modules: list[Path]) -> None:
    folder.mkdir(parents=True)
    for module in modules:
        shutil.copy(module, folder)


if __name__ == "__main__":
    main()
