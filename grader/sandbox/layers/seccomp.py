"""The system call filter: an allow-list in classic BPF, assembled here: a library would be larger than the filter.

The program answers, in this order: another architecture or the x32 variants of the calls -> killed or ENOSYS; a call
that is safe with some arguments only -> its arguments are looked at; a call of the table in `syscalls` -> allowed;
anything else -> ENOSYS, "not implemented", which programs know how to live with. Threads may be made, processes not.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import struct
from collections.abc import Sequence

from grader.sandbox.layers.libc import check, libc, syscall_number
from grader.sandbox.layers.syscalls import numbers

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant

LOAD, AND, JUMP, JUMP_EQUAL, JUMP_GREATER_EQUAL, RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x06
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000

CLONE_THREAD, CLONE_NEW = 0x00010000, 0x7E020080  # the second: every CLONE_NEW* flag
O_TRUNC, O_ACCMODE = 0o1000, 0o3
IOCTLS = (0x5401, 0x5421, 0x5450, 0x5451, 0x541B)  # TCGETS FIONBIO FIONCLEX FIOCLEX FIONREAD
FCNTLS = (0, 1, 2, 3, 4, 1030)  # DUPFD GETFD SETFD GETFL SETFL DUPFD_CLOEXEC: no locks, leases, seals, pipe sizes
AF_UNIX, SOCK_STREAM, SOCK_SEQPACKET = 1, 1, 5  # no SOCK_DGRAM, which would send without being connected
PRCTLS = (15, 16, 0x53564D41)  # SET_NAME GET_NAME SET_VMA

PR_SET_SECCOMP, SECCOMP_MODE_FILTER, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 22, 2, 1, 1


def available() -> bool:
    """Whether this kernel takes filters: a null filter is a bad address where it does, a bad argument where not."""
    libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), None, 0, 0)
    return ctypes.get_errno() == errno.EFAULT


@functools.cache
def assemble(machine: str, own_pid: int, device: bool = False) -> bytes:
    """The filter for a worker whose process id (as it sees it) is `own_pid`: the only one it may signal.

    `device`: it may open a GPU, whose driver is spoken to in `ioctl`s that nobody could list.
    """
    nr = numbers(machine, device)
    refuse = ERRNO | errno.EPERM
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (JUMP_GREATER_EQUAL, 0, 1, X32),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),
    ]
    # clone3 hides its flags in memory: "not implemented" makes the C library fall back to clone
    looked_at = {
        "clone3": [(RETURN, 0, 0, ERRNO | errno.ENOSYS)],
        "clone": _argument(0, CLONE_THREAD | CLONE_NEW, [CLONE_THREAD], refuse),
        # opening for reading with O_TRUNC empties the file, which Landlock sees from Linux 6.2 on only
        "openat": _argument(2, O_TRUNC | O_ACCMODE, [0, 1, 2, 1 | O_TRUNC, 2 | O_TRUNC], refuse),
        "ioctl": _argument(1, 0xFFFFFFFF, IOCTLS, ERRNO | errno.ENOTTY),
        "fcntl": _argument(1, 0xFFFFFFFF, FCNTLS, refuse),
        "prctl": _argument(0, 0xFFFFFFFF, PRCTLS, refuse),
        "prlimit64": _argument(0, 0xFFFFFFFF, [0], refuse),  # 0: itself; limits of others are others' business
        "kill": _argument(0, 0xFFFFFFFF, [own_pid], refuse),
        "tgkill": _argument(0, 0xFFFFFFFF, [own_pid], refuse),
    }
    if device:
        del looked_at["ioctl"]
        looked_at["socket"] = [
            *_argument(0, 0xFFFFFFFF, [AF_UNIX], refuse)[:-1],  # where it would allow, the next argument is looked at
            *_argument(1, 0xF, [SOCK_STREAM, SOCK_SEQPACKET], refuse),
        ]
    for name, body in looked_at.items():
        program += [(JUMP_EQUAL, 0, len(body), nr[name]), *body]
    allowed = sorted(number for name, number in nr.items() if name not in looked_at)
    program += [(JUMP_EQUAL, len(allowed) - i, 0, number) for i, number in enumerate(allowed)]
    program += [(RETURN, 0, 0, ERRNO | errno.ENOSYS), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def install(program: bytes) -> None:
    """Put every thread of this process under `program`, for good."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]

    buffer = ctypes.create_string_buffer(program, len(program))
    argument = Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    number = syscall_number(x86_64=317, aarch64=277)
    flags = ctypes.c_uint(SECCOMP_FILTER_FLAG_TSYNC)
    check(libc.syscall(number, ctypes.c_uint(SECCOMP_SET_MODE_FILTER), flags, ctypes.byref(argument)), "seccomp")


def _argument(index: int, mask: int, accepted: Sequence[int], otherwise: int) -> list[Instruction]:
    """Allow if the low half of the argument, masked, is one of `accepted`."""
    tests = [(JUMP_EQUAL, len(accepted) - i, 0, value) for i, value in enumerate(accepted)]
    return [
        (LOAD, 0, 0, ARGUMENTS + 8 * index),
        (AND, 0, 0, mask),
        *tests,
        (RETURN, 0, 0, otherwise),
        (RETURN, 0, 0, ALLOW),
    ]
