"""The server that has torch loaded: on request it forks itself; the child locks itself down and serves one submission.

It loads public code only, never the reference, and never reads what a worker writes. It must stay single-threaded: a
fork copies one thread only, and a user namespace is refused to a process with more. Started by `fork.Fork`.

    control socket   zygote -> grader   once: the layers that hold, as JSON
                     grader -> zygote   one byte and the descriptors [connection, output]
                     zygote -> grader   one byte and the descriptors [pidfd, status]
    status pipe      "ready" from the locked-down worker, or why it could not be; after its end, the end, as JSON
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from grader.sandbox.layers import lockdown, namespaces, seccomp
from grader.sandbox.layers.lockdown import Plan

# What students import or reach through torch's lazy imports.
PRELOADED = (
    "numpy.linalg", "numpy.random", "numpy.fft", "torch.distributions", "torch.func", "torch.optim", "torch.testing",
    "torch.utils.data", "torch.utils.checkpoint", "jaxtyping", "einops",
)  # fmt: skip

CONNECTION, STATUS = 3, 4  # descriptors of a worker, besides standard input and output
READY = b"ready"


def boot(config: dict[str, Any]) -> NoReturn:
    """Load everything, say hello, fork workers until the grader hangs up."""
    control = socket.socket(fileno=config["control"])
    plan = _plan(config)
    why_no_namespaces = namespaces.why_not() if "namespaces" in plan.layers else None
    if why_no_namespaces:
        plan = dataclasses.replace(plan, layers=tuple(layer for layer in plan.layers if layer != "namespaces"))
    _settle(plan, _load)
    gc.collect()
    gc.freeze()  # a collection in a worker would touch, and so copy, every inherited page
    if "namespaces" in plan.layers:
        seccomp.assemble(os.uname().machine, 1)  # kept: every worker is process 1 of its own
    control.send(json.dumps({"layers": plan.layers, "why_no_namespaces": why_no_namespaces}).encode())
    _serve(control, plan)


def alone(config: dict[str, Any]) -> NoReturn:
    """Be the one worker of a process that was never forked with torch in it: it may open a GPU, after the lock only."""
    plan = _plan(config)
    _settle(plan, _import)
    if "namespaces" in plan.layers:
        namespaces.own_processes_only()  # a driver needs /proc
    _become_worker(plan, config["descriptors"], int.from_bytes(os.urandom(2), "little"))


def _plan(config: dict[str, Any]) -> Plan:
    return Plan(**{**config["plan"], "limits": lockdown.Limits(**config["plan"]["limits"])})


def _settle(plan: Plan, load: Callable[[Plan], None]) -> None:
    """Load what there is to load, alone; then see nothing but what the plan names."""
    os.umask(0o022)  # the grader's may be tighter, and a worker is another user: it must enter the folders made here
    if "namespaces" in plan.layers:
        namespaces.enter()
    load(plan)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = namespaces.BOX  # torch makes the folder when imported, which is now done
    with open("/proc/self/status") as status:
        threads = next(int(line.split()[1]) for line in status if line.startswith("Threads:"))
    if threads != 1:
        raise RuntimeError(f"there are {threads} threads before the lock; neither a fork nor Landlock would be safe")
    if "namespaces" in plan.layers and not plan.walled:
        namespaces.minimal_root([*plan.readable, *(plan.devices or ())])
    sys.path[:] = [entry for entry in sys.path if entry not in plan.packages]
    os.chdir("/")


def _import(plan: Plan) -> None:
    from grader.sandbox.inside import host, stand_ins

    host.quiet_start()
    stand_ins.Uncompiled.install()  # before anything below asks torch's optimisers or torch.func for something
    for name in (*PRELOADED, *plan.modules):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name or name in plan.modules:
                raise


def _load(plan: Plan) -> None:
    import torch

    _import(plan)
    # lazy initialisers (processor features, linear algebra, autograd, printing) want files that a worker does not see
    x = torch.randn(8, 8, dtype=torch.float64, requires_grad=True)
    torch.linalg.slogdet(x @ x.T + torch.eye(8, dtype=torch.float64))[1].backward()
    torch.nn.functional.scaled_dot_product_attention(*torch.randn(3, 1, 4, 8))
    torch.nn.Conv2d(3, 4, 3)(torch.randn(1, 3, 8, 8))
    str(torch.randn(3))
    torch.func.vmap(torch.func.jacrev(torch.sin))(torch.randn(2, 3))


def _serve(control: socket.socket, plan: Plan) -> NoReturn:
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY) if "namespaces" in plan.layers else None
    children: dict[int, tuple[int, int]] = {}  # pidfd -> (pid, status pipe)
    number = int.from_bytes(os.urandom(2), "little")  # counts workers; graders side by side start at different ones
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not control:
                    selector.unregister(key.fd)
                    _reap(key.fd, *children.pop(key.fd))
                    continue
                request, descriptors, _, _ = socket.recv_fds(control, 1, 3)
                if not request:
                    _end(children)
                number += 1
                reader, writer = os.pipe()
                *wanted, reply = descriptors
                pid = _fork(plan, own_pids, [*wanted, writer], number)
                if pid is None:
                    _answer(reply, b"!", [])
                    os.close(writer)
                else:
                    pidfd = os.pidfd_open(pid)
                    _answer(reply, b".", [pidfd, reader])
                    children[pidfd] = pid, writer
                    selector.register(pidfd, selectors.EVENT_READ)
                for descriptor in (*descriptors, reader):
                    os.close(descriptor)


def _answer(reply: int, word: bytes, descriptors: list[int]) -> None:
    with socket.socket(fileno=os.dup(reply)) as connection, contextlib.suppress(OSError):  # the grader may be gone
        socket.send_fds(connection, [word], descriptors)


def _fork(plan: Plan, own_pids: int | None, descriptors: list[int], number: int) -> int | None:
    """One worker; with namespaces it is the first process of its own pid namespace, so all it has dies with it."""
    try:
        if own_pids is not None:
            namespaces.unshare(namespaces.NEWPID)
        pid = os.fork()
    except OSError:  # out of processes or memory: this worker cannot be had, later ones may
        pid = None
    if pid == 0:
        _become_worker(plan, descriptors, number)
    if own_pids is not None:
        namespaces.join_pids(own_pids)
    return pid


def _become_worker(plan: Plan, descriptors: list[int], number: int) -> NoReturn:
    from grader.sandbox.inside import host

    try:
        # out of the way first: any of the three may have a number that is about to be taken
        connection, output, status = (fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in descriptors)
        for descriptor, wanted in ((output, 1), (output, 2), (connection, CONNECTION), (status, STATUS)):
            os.dup2(descriptor, wanted)
        try:
            if os.getsid(0) != os.getpid():
                os.setsid()  # also a scheduling group of its own: many threads here do not slow the neighbours
            channel = host.connect(socket.socket(fileno=CONNECTION))
            lockdown.lock(plan, STATUS + 1, number)
            sys.stdout = sys.stderr = _Capped.text()
        except BaseException as error:
            os.write(STATUS, f"{type(error).__name__}: {error}"[:1000].encode())
            raise
        os.write(STATUS, READY)
        os.close(STATUS)
        host.serve(channel)
        os._exit(0)
    finally:
        os._exit(1)  # never back into the zygote's loop


class _Capped(io.FileIO):
    """Standard output that swallows what no longer fits, so that printing much is no error."""

    @classmethod
    def text(cls) -> io.TextIOWrapper:
        return io.TextIOWrapper(cls(1, "w", closefd=False), "utf-8", "replace", write_through=True)

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            super().write(data)
        return len(data)


def _reap(pidfd: int, pid: int, status: int) -> None:
    _, code, usage = os.wait4(pid, 0)
    end = {"code": os.waitstatus_to_exitcode(code), "cpu": usage.ru_utime + usage.ru_stime}
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it
        os.write(status, json.dumps(end).encode())
    os.close(status)
    os.close(pidfd)


def _end(children: dict[int, tuple[int, int]]) -> NoReturn:
    """The grader is gone: so is everything here. (Where there are namespaces, the kernel does it.)"""
    for pidfd in children:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os._exit(0)
