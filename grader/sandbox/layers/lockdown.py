"""What a worker does to itself, in this order and for good, before it sees a line of a submission.

user -> namespaces -> limits -> capabilities -> no_new_privs -> Landlock -> environment, descriptors -> system calls.
Runs in a single-threaded process that was just forked. No step can be undone from within.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import resource
import signal
import sys

from grader.sandbox.layers import landlock, namespaces, seccomp
from grader.sandbox.layers.libc import (
    PR_CAP_AMBIENT,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    check,
    libc,
    prctl,
    syscall_number,
)

PR_CAP_AMBIENT_CLEAR_ALL = 4
CAPABILITY_VERSION_3 = 0x20080522
FIRST_UID, UIDS = 64_000, 1_000  # users that no distribution gives away; a worker started by root becomes one of them

GIB, MIB = 1 << 30, 1 << 20


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one worker may use up in its whole life."""

    address_space: int | None = 4 * GIB  # torch alone maps 0.6 GiB, with torch._dynamo and its friends more
    data: int | None = None  # private writable memory, where address space cannot be bounded
    cpu_seconds: int = 120
    threads: int = 32
    open_files: int = 64
    file_size: int = 8 * MIB
    folder: int = 16 * MIB


# CUDA reserves far more address space than any bound, starts threads and opens its files many times over.
WITH_A_DEVICE = Limits(address_space=None, data=32 * GIB, cpu_seconds=1200, threads=128, open_files=1024)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the zygote is told: the layers to put on, the limits, what may be read, which public modules to load."""

    layers: tuple[str, ...]
    limits: Limits
    readable: tuple[str, ...]
    modules: tuple[str, ...]
    packages: tuple[str, ...]  # folders on the import path of the zygote only
    walled: bool = False  # bubblewrap has built the root folder already
    devices: tuple[str, ...] | None = None  # files of the GPU that this worker may open; None: it is not to have one
    environment: dict[str, str] = dataclasses.field(default_factory=dict)  # what the GPU's libraries go by


def lock(plan: Plan, kept: int, worker: int) -> None:
    """Put every layer of the plan on this process; only its first `kept` descriptors stay open.

    `worker` counts workers: neighbours never share a user.
    Raises: ``OSError`` if one does not hold.
    """
    layers = set(plan.layers)
    if "user" in layers:
        namespaces.become(FIRST_UID + worker % UIDS)
    if "namespaces" in layers:
        namespaces.worker_namespaces(os.getuid(), os.getgid())
        namespaces.private_folder(plan.limits.folder)
        if plan.devices is None:
            namespaces.hide_processes()
        os.chdir(namespaces.BOX)
    if "limits" in layers:
        _limit(plan.limits)
    _drop_capabilities()
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user would have cleared it
    if "landlock" in layers:
        folder = [namespaces.BOX] if "namespaces" in layers else []
        landlock.restrict(readable=plan.readable, writable=folder, devices=plan.devices or ())
    _forget(plan.environment)
    os.closerange(kept, 1 << 20)
    if "seccomp" in layers:
        seccomp.install(seccomp.assemble(os.uname().machine, os.getpid(), device=plan.devices is not None))


def _limit(limits: Limits) -> None:
    # hard equals soft: there is no way back, and at the CPU limit SIGKILL instead of a signal that can be caught
    for what, most in (
        (resource.RLIMIT_AS, limits.address_space),
        (resource.RLIMIT_DATA, limits.data),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NPROC, limits.threads),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.file_size),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 64),
    ):
        if most is None:
            continue
        already = resource.getrlimit(what)[1]
        most = most if already == resource.RLIM_INFINITY else min(most, already)
        resource.setrlimit(what, (most, most))


def _drop_capabilities() -> None:
    # the bounding set stays: with no_new_privs, and without execve, nothing can be gained from it
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    check(libc.syscall(syscall_number(x86_64=126, aarch64=91), header, none), "capset")


def _forget(kept: dict[str, str]) -> None:
    """Leave nothing of the grader's environment and command line within the student's reach."""
    os.environ.clear()
    folder = os.getcwd()
    os.environ.update(HOME=folder, TMPDIR=folder, LANG="C.UTF-8", OMP_NUM_THREADS="1", **kept)
    sys.argv[:] = [""]
