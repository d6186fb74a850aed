"""A thousand gradings with attacks mixed in: what is left of them afterwards has to be nothing.

    python benchmarks/soak.py [gradings]

Every third submission is an attack of the corpus; those that only wait for a time limit come once each. Honest
submissions must earn full marks throughout. Prints a line of counts every hundred gradings, and a verdict.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from grader.sandbox.layers.policy import begin_strongest
from tests.attacks.arena import HONEST, Arena, Attack, descendants
from tests.attacks.corpus import CORPUS

HONEST_ONE = Attack("honest", "", HONEST, (), True, ("passed",))


def main(gradings: int) -> int:
    best, _ = begin_strongest("default", [])()
    best.close()
    arena = Arena([layer for layer in best.isolation.layers if layer != "wall"])
    attacks = list(CORPUS)
    random.Random(0).shuffle(attacks)
    slow = [attack for attack in attacks if "timeout" in attack.outcomes]
    quick = itertools.cycle([attack for attack in attacks if "timeout" not in attack.outcomes])
    mixed = itertools.chain(slow, quick)
    faults: list[str] = []
    for _ in range(20):  # caches fill on the first gradings
        arena.run(HONEST_ONE)
    before, started = counts(arena), time.monotonic()
    print("layers:", *best.isolation.layers)
    print(f"{'gradings':>8} {'seconds':>8} " + " ".join(f"{name:>12}" for name in before))
    print(line(0, started, before), flush=True)
    for number in range(1, gradings + 1):
        submission = next(mixed) if number % 3 == 0 else HONEST_ONE
        exercise, damage = arena.run(submission)
        faults += [f"{submission.name}: {what}" for what in damage]
        if exercise.score != (exercise.max_score if submission.earns else 0):
            faults.append(f"{submission.name}: {exercise.score} points")
        if number % 100 == 0:
            print(line(number, started, counts(arena)), flush=True)
    after = counts(arena)
    arena.close()
    for name in ("processes", "descriptors", "zygote's", "mounts", "temporary"):
        if after[name] != before[name]:
            faults.append(f"{name}: {before[name]} before, {after[name]} after")
    for name in ("grader MiB", "zygote MiB"):
        if after[name] > before[name] + 30:
            faults.append(f"{name}: {before[name]} before, {after[name]} after")
    print("\n".join(faults) or "nothing leaked, nobody harmed, every mark right")
    return bool(faults)


def counts(arena: Arena) -> dict[str, int]:
    """What must not grow."""
    below = descendants(os.getpid())
    return {
        "processes": len(below),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "zygote's": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in below),
        "mounts": Path("/proc/self/mountinfo").read_text().count("\n"),
        "temporary": len(os.listdir(tempfile.gettempdir())),
        "grader MiB": resident(os.getpid()),
        "zygote MiB": max(map(resident, below)),
    }


def resident(pid: int) -> int:
    """Resident memory in MiB."""
    status = Path("/proc", str(pid), "status").read_text()
    return next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmRSS:")) >> 10


def line(number: int, started: float, now: dict[str, int]) -> str:
    return f"{number:8} {time.monotonic() - started:8.0f} " + " ".join(f"{value:12}" for value in now.values())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
