"""The three ways into the kernel that Python does not offer: prctl, unshare/setns/mount, and raw system calls."""

from __future__ import annotations

import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 38, 47


def check(result: int, what: str) -> int:
    """`result`, unless the call failed. Raises: ``OSError`` naming the call."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, argument: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    check(libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero), f"prctl({option})")


def syscall_number(*, x86_64: int, aarch64: int) -> int:
    """The number of a call on this machine. Raises: ``OSError`` on machines that nobody has tried."""
    known = {"x86_64": x86_64, "aarch64": aarch64}
    if platform.machine() not in known:
        raise OSError(f"no system call table for {platform.machine()}")
    return known[platform.machine()]
