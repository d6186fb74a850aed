"""The system call filter: its numbers against the kernel's headers, its answers on both architectures."""

from __future__ import annotations

import errno
import os
import platform
import re
import struct
from pathlib import Path

import pytest

from grader.sandbox.layers import seccomp, syscalls

HEADERS = {
    "x86_64": ["/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"],
    "aarch64": ["/usr/include/asm-generic/unistd.h"],
}
ALLOWED, ENOSYS, EPERM = seccomp.ALLOW, seccomp.ERRNO | errno.ENOSYS, seccomp.ERRNO | errno.EPERM
PID = 42


def verdict(machine: str, call: str | int, *arguments: int, architecture: int | None = None, device: bool = False) -> int:
    """What the filter answers, by a model of the kernel's interpreter."""
    number = syscalls.numbers(machine, device)[call] if isinstance(call, str) else call
    data = struct.pack("<IIQ6Q", number, architecture or seccomp.AUDIT_ARCH[machine], 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = list(struct.iter_unpack("<HBBI", seccomp.assemble(machine, PID, device)))
    assert len(program) < 4096
    accumulator = position = 0
    while True:
        code, if_true, if_false, constant = program[position]
        position += 1
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif code == seccomp.AND:
            accumulator &= constant
        elif code == seccomp.JUMP_EQUAL:
            position += if_true if accumulator == constant else if_false
        elif code == seccomp.JUMP_GREATER_EQUAL:
            position += if_true if accumulator >= constant else if_false
        elif code == seccomp.RETURN:
            return constant
        else:
            raise AssertionError(f"an instruction that the filter has no use for: {code:#x}")


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_numbers_are_those_of_the_kernel(machine):
    found = [path for path in HEADERS[machine] if Path(path).exists()]
    if not found:
        pytest.skip("no kernel headers here")
    named = dict(re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", Path(found[0]).read_text()))
    named.setdefault("newfstatat", named.get("fstatat", ""))  # the generic header knows it by its old name
    for name, number in syscalls.numbers(machine, device=True).items():
        assert named[name] == str(number), name


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_a_call_of_the_table_is_allowed_and_any_other_is_not_implemented(machine):
    table = syscalls.numbers(machine)
    looked_at = {table[name] for name in ("clone", "clone3", "openat", "ioctl", "fcntl", "prctl", "prlimit64", "kill", "tgkill")}
    for number in range(600):
        if number not in looked_at:
            assert verdict(machine, number) == (ALLOWED if number in table.values() else ENOSYS), number


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_threads_may_be_made_and_processes_and_namespaces_not(machine):
    thread = 0x00010000 | 0x00000100 | 0x00000F00
    assert verdict(machine, "clone", thread) == ALLOWED
    assert verdict(machine, "clone", 17) == EPERM
    for namespace in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, "clone", thread | namespace) == EPERM
    assert verdict(machine, "clone3") == ENOSYS


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_arguments_that_reach_others_are_refused(machine):
    assert verdict(machine, "kill", PID, 9) == ALLOWED
    assert verdict(machine, "kill", PID + 1, 9) == EPERM
    assert verdict(machine, "kill", (1 << 64) - 1, 9) == EPERM
    assert verdict(machine, "tgkill", PID, 7, 9) == ALLOWED
    assert verdict(machine, "tgkill", 1, 1, 9) == EPERM
    assert verdict(machine, "prlimit64", 0) == ALLOWED
    assert verdict(machine, "prlimit64", 7) == EPERM
    assert verdict(machine, "openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == ALLOWED
    assert verdict(machine, "openat", 0, 0, os.O_WRONLY | os.O_TRUNC | os.O_CREAT) == ALLOWED
    assert verdict(machine, "openat", 0, 0, os.O_RDONLY | os.O_TRUNC) == EPERM
    assert verdict(machine, "fcntl", 1, 5) == EPERM  # F_GETLK
    assert verdict(machine, "ioctl", 0, 0x5412) == seccomp.ERRNO | errno.ENOTTY  # TIOCSTI
    assert verdict(machine, "prctl", 22) == EPERM


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_a_device_adds_its_own_calls_and_nothing_else(machine):
    both = set(syscalls.numbers(machine).values())
    added = set(syscalls.numbers(machine, device=True).values()) - both
    assert len(added) == 6
    for number in range(600):
        if number not in {*added, syscalls.numbers(machine)["ioctl"]}:
            assert verdict(machine, number, 7, 7, 7, device=True) == verdict(machine, number, 7, 7, 7), number
    assert verdict(machine, "ioctl", 0, 0x46C8, device=True) == ALLOWED
    assert verdict(machine, "socket", 1, 5 | 0o2000000, device=True) == ALLOWED
    for family, kind in [(1, 2), (1, 3), (2, 1), (2, 5), (10, 1), (16, 3), (40, 1)]:
        assert verdict(machine, "socket", family, kind, device=True) == EPERM


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_another_architecture_is_killed_and_x32_is_not_implemented(machine):
    other = next(arch for name, arch in seccomp.AUDIT_ARCH.items() if name != machine)
    assert verdict(machine, "read", architecture=other) == seccomp.KILL
    assert verdict(machine, "read", architecture=0x40000003) == seccomp.KILL  # i386
    assert verdict(machine, syscalls.numbers(machine)["read"] | seccomp.X32) == ENOSYS


@pytest.mark.skipif(platform.machine() not in syscalls.MACHINES, reason="no table for this machine")
def test_the_kernel_takes_the_filter_and_obeys_it():
    assert seccomp.available()
    child = os.fork()
    if child == 0:
        from grader.sandbox.layers.libc import PR_SET_NO_NEW_PRIVS, prctl

        prctl(PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install(seccomp.assemble(platform.machine(), os.getpid()))
        try:
            os.fork()
        except PermissionError:
            os._exit(7)
        os._exit(8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
