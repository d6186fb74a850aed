"""What each process of a cluster spends: workers, the scheduler, and the one that reads submissions and writes records.

    python benchmarks/cluster.py [--class 40] [--workers 1 2 4]

A scheduler and workers on this machine, each a process of its own, grade the class of benchmarks/throughput.py. CPU seconds
are of a process and all its children. A worker joins when it is asked for the first time: its start, libraries and first
exam. From the rest follows how many workers one scheduler and one reader keep busy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from throughput import ENVIRONMENT, Spent, cost, cpu_of, generate

EACH_JOINS_WITH = 3  # submissions: so many that every worker gets one
DGM = [sys.executable, "-c", "from grader.cli import app; app()"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--class", dest="number", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.number} submissions\n")
    print("| workers | a worker joins | t: a worker, each | s: scheduler, each | r: reader, each | wall s each | t / max(r, s) |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="dgm-cluster-") as name:
        folder = Path(name)
        environment = {**ENVIRONMENT, "XDG_CACHE_HOME": name}
        submissions = generate(folder / "class", options.number)
        for number in [options.workers[0], *options.workers]:  # the first one prepares what is kept on a machine
            with cluster(folder, number, environment) as (address, scheduler, workers), tempfile.TemporaryDirectory(dir=name) as results:
                joining = generate(Path(results) / "joining", EACH_JOINS_WITH * number)

                def grade(what: Path) -> Spent:
                    command = [*DGM, "grade", str(what), "-o", f"{results}/of {what.name}", "--quick", "--json", "--scheduler", address]
                    return cost(lambda: subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL))

                grade(joining)
                joined, before = sum(map(cpu_of, workers)), cpu_of(scheduler)
                reader = grade(submissions)
                t = (sum(map(cpu_of, workers)) - joined) / options.number
                s = (cpu_of(scheduler) - before) / options.number
                r = (reader.cpu - grade(submissions).cpu) / options.number  # the second time nothing is left to grade
                join = joined / number - EACH_JOINS_WITH * t
                row = f"{join:.1f} | {t:.2f} | {s:.3f} | {r:.3f} | {reader.wall / options.number:.2f} | {t / max(r, s):.0f}"
                print(f"| {number} | {row} |", flush=True)


@contextmanager
def cluster(folder: Path, number: int, environment: dict[str, str]) -> Iterator[tuple[str, int, list[int]]]:
    """The address of a scheduler, its process, and those of its workers."""
    with ExitStack() as stack:
        told = folder / "scheduler.json"
        told.unlink(missing_ok=True)

        def start(*arguments: str) -> int:
            command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(told), "--no-dashboard"]
            process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process.pid

        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0")
        while not told.exists():
            time.sleep(0.1)
        workers = [start("worker", "--nthreads", "1", "--no-nanny") for _ in range(number)]
        yield json.loads(told.read_text())["address"], scheduler, workers


if __name__ == "__main__":
    main()
