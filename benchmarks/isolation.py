"""What isolation costs: from asking for a worker to the first answer of a submission, in milliseconds.

    python benchmarks/isolation.py [rounds]

Compares, taken in turns so that a busy machine is equally unkind to all: a worker forked without any layer (the
unisolated worker), every single layer, all layers, all layers behind bubblewrap's wall if it is installed; and, for
scale, a fresh Python process that imports torch.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time

import torch

from grader.exam.collect import worker_modules
from grader.sandbox.fork import Fork
from grader.sandbox.layers.policy import begin_strongest
from grader.sandbox.spawn import Spawn
from grader.sandbox.workers import Workers

SOURCE = "import torch\n\ndef f(x):\n    return torch.logsumexp(x, dim=-1)\n"
LOAD = {"do": "load", "package": "p", "topics": {"t": [SOURCE]}, "seconds": 5.0, "definitions_only": False}
CALL = {"do": "call", "run": 0, "target": ["t", "f"], "mode": "plain", "args": [torch.randn(100)], "kwargs": {}}


def submission(workers: Workers) -> float:
    """Milliseconds from nothing to the first answer, and away with it again."""
    started = time.perf_counter()
    worker = workers.start()
    worker.request(LOAD, 60)
    worker.request(CALL, 60)
    worker.close()
    return 1000 * (time.perf_counter() - started)


def main(rounds: int) -> None:
    known = worker_modules("lecture1")
    best, _ = begin_strongest("default", known)()
    best.close()
    layers = [layer for layer in best.isolation.layers if layer != "wall"]
    contenders: dict[str, Workers] = {"no layer": Fork(known, "none", [])}
    contenders |= {layer: Fork(known, "none", [layer]) for layer in ("limits", "seccomp")}
    contenders["all layers"] = Fork(known, "default", layers)
    if bubblewrap := shutil.which("bwrap"):
        contenders["all layers, wall"] = Fork(known, "strict", layers, wall=bubblewrap)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, workers in contenders.items():
            times[name].append(submission(workers))
    fresh = Spawn(known)
    times["a fresh process"] = [submission(fresh) for _ in range(3)]
    floor, typical = min(times["no layer"]), statistics.median(times["no layer"])
    print(f"milliseconds a submission, {rounds} rounds")
    print(f"{'':18} {'median':>8} {'min':>8} {'over no layer: median':>22} {'min':>8}")
    for name, series in times.items():
        median, least = statistics.median(series), min(series)
        print(f"{name:18} {median:8.1f} {least:8.1f} {median - typical:22.1f} {least - floor:8.1f}")
    for workers in contenders.values():
        workers.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
