"""Landlock: from now on this process reads, writes and reaches only what a rule names. Three system calls, no library.

The kernel's ABI version says what it can restrict: 1 the file system (Linux 5.13), 2 moves across folders,
3 truncation, 4 TCP, 5 device ioctls, 6 signals and abstract sockets to the outside. What an older kernel lacks, the
system call filter denies anyway.
Landlock does not hide names (`stat`): that takes a mount namespace.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from grader.sandbox.layers.libc import check, libc, syscall_number

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REG, REFER, TRUNCATE, IOCTL_DEV = 1 << 7, 1 << 8, 1 << 13, 1 << 14, 1 << 15
RIGHTS_SINCE = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: IOCTL_DEV}
TCP_SINCE, SCOPES_SINCE = 4, 6
TCP, SCOPES = 0b11, 0b11  # bind and connect; abstract sockets and signals

READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | TRUNCATE | MAKE_REG | MAKE_DIR | REMOVE_FILE | REMOVE_DIR | REFER
DEVICE = READ | WRITE_FILE | IOCTL_DEV
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

CREATE_RULESET_VERSION, RULE_PATH_BENEATH = 1, 1


def abi() -> int:
    """The kernel's Landlock version; 0 where it has none."""
    number = syscall_number(x86_64=444, aarch64=444)
    version = libc.syscall(number, None, ctypes.c_size_t(0), ctypes.c_uint32(CREATE_RULESET_VERSION))
    return max(0, version)


def restrict(*, readable: Iterable[str], writable: Iterable[str], devices: Iterable[str] = ()) -> None:
    """Take away every right to the file system but these, all of TCP, and signals and abstract sockets to others.

    `devices`: files that may be read, written and sent `ioctl`s.
    Needs no_new_privs. Paths that do not exist are passed over.
    """
    version = abi()
    rights = sum(right for since, right in RIGHTS_SINCE.items() if since <= version)
    attributes = [rights]
    if version >= TCP_SINCE:
        attributes.append(TCP)
    if version >= SCOPES_SINCE:
        attributes.append(SCOPES)
    packed = struct.pack(f"<{len(attributes)}Q", *attributes)
    create, restrict_self = syscall_number(x86_64=444, aarch64=444), syscall_number(x86_64=446, aarch64=446)
    length, no_flags = ctypes.c_size_t(len(packed)), ctypes.c_uint32(0)
    ruleset = check(libc.syscall(create, packed, length, no_flags), "landlock_create_ruleset")
    try:
        for path in readable:
            _allow(ruleset, path, READ & rights)
        for path in writable:
            _allow(ruleset, path, WRITE & rights)
        for path in devices:
            _allow(ruleset, path, DEVICE & rights)
        check(libc.syscall(restrict_self, ruleset, no_flags), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= FILE_RIGHTS
        add_rule = syscall_number(x86_64=445, aarch64=445)
        rule = struct.pack("<Qi", rights, descriptor)
        result = libc.syscall(add_rule, ruleset, ctypes.c_int(RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
        check(result, f"landlock_add_rule({path})")
    finally:
        os.close(descriptor)
