"""Workers that are fresh processes, locked down, with a GPU in their reach. Linux only.

CUDA does not survive the fork of a process that has opened it, so no zygote stands behind these: each imports torch
anew, which takes seconds, locks itself down before it sees a submission, and opens the device only then.

With a GPU some layers are weaker (`lockdown.WITH_A_DEVICE`, `seccomp.assemble`): memory is bounded by what may be written
to, not by address space; the device's files are open for any `ioctl`; /proc and /sys can be read.
"""

from __future__ import annotations

import glob
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence

from grader.sandbox.fork import START_SECONDS, LockedProcess, command_for, ending, environment, plan_for, sealed_output
from grader.sandbox.isolation import Isolation
from grader.sandbox.layers.lockdown import WITH_A_DEVICE, Limits
from grader.sandbox.workers import Worker

LIBRARIES = "LD_LIBRARY_PATH"  # where some clusters keep the driver's


def files_of_the_device(dev: str = "/dev") -> tuple[str, ...]:
    """The files through which the driver is spoken to, those of a divided GPU included."""
    found = [*glob.glob(f"{dev}/nvidia*"), *glob.glob(f"{dev}/nvidia-caps/*")]
    return tuple(sorted(path for path in found if not os.path.isdir(path)))


class DeviceProcess:
    """A source of workers that may open a GPU."""

    def __init__(
        self,
        modules: Sequence[str],
        mode: str,
        layers: Sequence[str],
        device: Mapping[str, str],
        wall: str | None = None,
        limits: Limits = WITH_A_DEVICE,
    ) -> None:
        """`device`: the variables that the GPU's libraries go by; the others: as in `fork.Fork`, with layers that hold."""
        libraries = [path for path in device.get(LIBRARIES, "").split(":") if path]
        self._wall = wall
        self._plan = plan_for(
            modules, layers, wall, limits,
            readable=("/proc", "/sys", *libraries),
            devices=files_of_the_device(),
            environment={**device, "CUDA_CACHE_DISABLE": "1"},  # it has no folder to keep compiled kernels in
        )  # fmt: skip
        self._environment = {**environment(), **{name: device[name] for name in (LIBRARIES,) if name in device}}
        self.isolation = Isolation(mode, (*layers, *(["wall"] if wall else [])))

    def start(self) -> Worker:
        """A fresh worker, every layer on. Raises: ``RuntimeError`` if it could not be locked down."""
        connection, theirs = socket.socketpair()
        output = sealed_output()
        status, writer = os.pipe()
        passed = [theirs.fileno(), output, writer]
        process = subprocess.Popen(
            command_for("alone", self._plan, self._wall, descriptors=passed), env=self._environment, cwd="/",
            pass_fds=passed, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        os.close(writer)
        return _Process(process, connection, status, output).worker()

    def close(self) -> None:
        """Nothing is kept between workers."""


class _Process(LockedProcess):
    lock_seconds = START_SECONDS

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, status: int, output: int) -> None:
        super().__init__(connection, os.pidfd_open(process.pid), status, output)
        self._process = process

    def _how(self, by_itself: bool) -> str:
        code = self._process.wait()
        return ending(128 - code if code > 128 else code, by_itself)  # so does bubblewrap tell a signal
