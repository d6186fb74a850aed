"""The table behind `dgm doctor`: every layer, what it gives, and whether it holds on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.sandbox.layers.policy import HOW_TO_GET, REQUIRED_LAYERS, IsolationError, begin_strongest, missing_layers
from grader.sandbox.layers.probes import PROBES, attack

GIVES = {
    "process": "a submission never shares a process with what decides a grade; nothing inherited, an empty environment",
    "user": "a user that owns nothing, in place of root (only where the grader is root)",
    "limits": "bounds on memory, processor time, threads, open files, file size",
    "landlock": "no file but the interpreter, the libraries and its own folder; no TCP, no signals to the outside",
    "seccomp": "no processes, programs, sockets, tracing, namespaces, shared memory",
    "namespaces": "an empty root folder, a private temporary folder, no sight of other processes; dies as a whole",
    "wall": "bubblewrap: a second, independent wall around the server that starts the workers",
}


@dataclass(frozen=True)
class Row:
    """One layer: what it gives, whether it is among the least needed, whether it holds here; if not, what to do."""

    layer: str
    gives: str
    needed: bool
    holds: bool
    note: str


def diagnose(modules: Sequence[str] = (), hidden: Sequence[Path] = ()) -> list[Row]:
    """Start the strongest worker that this machine gives, attack it, and say what held."""
    missing = missing_layers()
    if missing:
        return [_row("linux" if missing == ["linux"] else layer, False, HOW_TO_GET[layer]) for layer in missing]
    try:
        workers, obstacles = begin_strongest("default", modules)()
    except IsolationError as refused:
        return [_row("process", False, str(refused))]
    try:
        worker = workers.start()
        succeeded = attack(worker, hidden)
        worker.close()
    except RuntimeError as error:
        return [_row("user", False, f"{error}. {HOW_TO_GET['user']}")]
    finally:
        workers.close()
    layers = workers.isolation.layers
    rows = []
    for layer in GIVES:
        through = [meaning for stops, meaning in (PROBES[name] for name in succeeded) if stops == layer]
        if layer == "user" and layer not in layers:
            rows.append(_row(layer, True, "the grader is an ordinary user"))
        elif layer not in layers and layer != "process":
            rows.append(_row(layer, False, f"{obstacles.get(layer, 'not there')}. {HOW_TO_GET[layer]}"))
        else:
            rows.append(_row(layer, not through, "; ".join(through)))
    return rows


def _row(layer: str, holds: bool, note: str) -> Row:
    return Row(layer, GIVES.get(layer, "what all layers are made of"), layer in ("process", *REQUIRED_LAYERS), holds, note)
