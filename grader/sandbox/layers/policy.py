"""Which layers stand around a submission: the strongest that hold here, a minimum at least, never silently fewer.

default   Landlock, seccomp and limits at least (and another user where the grader is root); namespaces and
          bubblewrap's wall on top wherever they work
strict    all of it, or nothing is graded
none      a process and nothing else: for work one trusts, or a machine one can lose
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grader.errors import GraderError
from grader.sandbox.layers import syscalls

if TYPE_CHECKING:
    from grader.sandbox.fork import Fork
    from grader.sandbox.workers import Workers

MODES = ("default", "strict", "none")
REQUIRED_LAYERS = ("limits", "landlock", "seccomp")
DEVICE_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH")
OPEN_TO_A_DEVICE = ("socket", "memory")  # probes that get through where a GPU's driver needs the same

HOW_TO_GET = {
    "linux": "use Linux, a Linux container, WSL 2 or a virtual machine; or, for work you trust, --isolation=none",
    "user": "install Python and the kit where every user may read them, not below a closed home folder",
    "landlock": "a kernel of 5.13 or newer, with landlock in its list of security modules (lsm=landlock,…)",
    "seccomp": "a kernel with CONFIG_SECCOMP_FILTER, on x86_64 or aarch64",
    "limits": "nothing to install: something takes setrlimit away from this process",
    "namespaces": "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), "
    "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu); in Docker, --security-opt seccomp=unconfined",
    "wall": "apt-get install bubblewrap, or your distribution's package of that name",
}


class IsolationError(GraderError):
    """The isolation that was asked for does not hold on this machine; nothing was graded."""


def open_workers(mode: str, modules: Sequence[str], hidden: Sequence[Path] = ()) -> Workers:
    """A source of workers isolated as `mode` says, proven by an attack on a throw-away one.

    `modules`: public modules that workers know; `hidden`: files and folders that no worker may read.
    Raises: `IsolationError`, which names the layer that is missing and how to get it.
    """
    return begin_workers(mode, modules, hidden)()


def begin_workers(mode: str, modules: Sequence[str], hidden: Sequence[Path] = ()) -> Callable[[], Workers]:
    """The same in two steps: their server loads torch until the workers are called for. Needs no torch itself."""
    if mode not in MODES:
        raise ValueError(f"mode: {mode!r} is none of {', '.join(MODES)}")
    if mode == "none":
        return functools.partial(_trusting, modules)
    missing = missing_layers()
    if missing:
        raise _refusal(missing[0], "this machine does not have it")
    begun = begin_strongest(mode, modules)

    def proven() -> Workers:
        workers, obstacles = begun()
        try:
            if mode == "strict":
                for layer in ("namespaces", "wall"):
                    if layer not in workers.isolation.layers:
                        raise _refusal(layer, obstacles.get(layer, "it does not work here"))
            _prove(workers, hidden)
        except BaseException:
            workers.close()
            raise
        return workers

    return proven


def open_device_workers(mode: str, modules: Sequence[str], hidden: Sequence[Path], device: Mapping[str, str]) -> Workers:
    """A source of workers that may open a GPU, behind the layers that `open_workers` finds.

    `device`: `environment_of_the_device`. Raises: `IsolationError`, also if a layer does not hold with a GPU in reach.
    """
    if mode == "none":
        from grader.sandbox.spawn import Spawn

        others = {name: value for name, value in os.environ.items() if name not in DEVICE_VARIABLES}
        return Spawn(list(modules), environment={**others, **device})
    from grader.sandbox.device_process import DeviceProcess

    ordinary = open_workers(mode, [], hidden)  # to see which layers hold
    ordinary.close()
    layers = list(ordinary.isolation.layers)
    wall = shutil.which("bwrap") if "wall" in layers else None
    workers = DeviceProcess(modules, mode, [layer for layer in layers if layer != "wall"], device, wall)
    _prove(workers, hidden, needed=OPEN_TO_A_DEVICE)
    return workers


def environment_of_the_device() -> dict[str, str]:
    """What this process was told about its GPUs; to be asked before anything hides them."""
    return {name: os.environ[name] for name in DEVICE_VARIABLES if name in os.environ}


def missing_layers() -> list[str]:
    """Layers without which nothing is graded and that this machine does not have."""
    if sys.platform != "linux" or platform.machine() not in syscalls.MACHINES:
        return ["linux"]
    from grader.sandbox.layers import landlock, seccomp

    return [name for name, there in (("landlock", landlock.abi() > 0), ("seccomp", seccomp.available())) if not there]


def begin_strongest(mode: str, modules: Sequence[str]) -> Callable[[], tuple[Fork, dict[str, str]]]:
    """Begins workers with every layer that works here; called, it gives them, and for the other layers what stood in the way.

    What is called raises `IsolationError` where no worker can be started.
    """
    from grader.sandbox.fork import Fork

    layers = (*(["user"] if os.geteuid() == 0 else []), "namespaces", *REQUIRED_LAYERS)
    bubblewrap = shutil.which("bwrap")
    walls = [bubblewrap, None] if bubblewrap else [None]
    begun = Fork(modules, mode, layers, walls[0])

    def known() -> tuple[Fork, dict[str, str]]:
        obstacles = {} if bubblewrap else {"wall": "bubblewrap is not installed"}
        for wall in walls:
            workers = begun if wall == walls[0] else Fork(modules, mode, layers, wall)
            try:
                why_no_namespaces = workers.why_no_namespaces
            except RuntimeError as error:
                obstacles["wall"] = str(error)
                continue
            return workers, obstacles | ({"namespaces": why_no_namespaces} if why_no_namespaces else {})
        raise IsolationError(f"no worker can be started here: {obstacles['wall']}")

    return known


def _trusting(modules: Sequence[str]) -> Workers:
    from grader.sandbox.spawn import Spawn

    if hasattr(os, "geteuid") and os.geteuid() == 0:
        raise IsolationError("--isolation=none gives submissions all your rights, and you are root: become an ordinary user")
    print("no isolation: these submissions can read, change and send whatever you can", file=sys.stderr)
    return Spawn(list(modules))


def _prove(workers: Workers, hidden: Sequence[Path], needed: Collection[str] = ()) -> None:
    """Refuse if an attack on a throw-away worker gets through a layer that claims to be on; `needed`: may get through."""
    from grader.sandbox.layers.probes import PROBES, attack

    try:
        worker = workers.start()
    except RuntimeError as error:
        raise _refusal("user" if "Permission denied" in str(error) else "limits", str(error)) from None
    try:
        succeeded = attack(worker, hidden)
    finally:
        worker.close()
    for name in (name for name in succeeded if name not in needed):
        layer, meaning = PROBES[name]
        if layer in (*workers.isolation.layers, "process"):
            raise IsolationError(f"a worker with {', '.join(workers.isolation.layers)} does not hold: {meaning} ({layer})")


def _refusal(layer: str, why: str) -> IsolationError:
    return IsolationError(
        f"isolation is not strong enough here, so nothing was graded. Missing: {layer} ({why}). To get it: {HOW_TO_GET[layer]}"
    )
