"""Namespaces: processes, mounts, network and shared memory of one's own, and a root folder with nothing else in it.

The zygote enters a set of its own once; every worker then gets further user, mount, pid and ipc namespaces. As root no
user namespace is needed for the first step; a worker has given up root before its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable

from grader.sandbox.layers.libc import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, check, libc, prctl, syscall_number

NEWNS, NEWUTS, NEWIPC = 0x00020000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
NOBODY = 65534

BOX = "/box"  # the worker's temporary folder, where namespaces give it one
NEW_ROOT = "/sys"  # there on every Linux, needed by nobody here: the mount point while the new root is built


def enter() -> None:
    """Move into namespaces of our own, as their first process; the process that called stays behind, waiting."""
    uid, gid = os.getuid(), os.getgid()
    unshare(NEWNS | NEWPID | NEWIPC | NEWNET | NEWUTS | (0 if uid == 0 else NEWUSER))
    if uid != 0:
        map_ids(uid, gid)
    child = os.fork()
    if child:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)  # as shells and bubblewrap tell a signal
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    mount(None, "/", None, REC | PRIVATE)


def why_not() -> str | None:
    """What stands in the way of namespaces here, found by trying in a child; None where they work."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter()
            if os.getuid() == 0:
                become(NOBODY)
            worker_namespaces(os.getuid(), os.getgid())
            private_folder(1 << 20, at="/proc")
            hide_processes()
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        reason = pipe.read().decode()
    os.waitpid(child, 0)
    return reason or None


def minimal_root(readable: Iterable[str]) -> None:
    """Replace the root folder by one with the readable paths, read-only, and the empty folder of a worker."""
    covered = os.open(NEW_ROOT, os.O_PATH)  # what is wanted of it is shown all the same
    mount("tmpfs", NEW_ROOT, "tmpfs", NOSUID | NODEV, "size=1m,mode=0755")
    for path in dict.fromkeys([*readable, "/proc"]):
        _show(path, f"/proc/self/fd/{covered}" if path == NEW_ROOT else path)
    os.close(covered)
    os.mkdir(NEW_ROOT + BOX)
    os.chdir(NEW_ROOT)
    check(libc.syscall(syscall_number(x86_64=155, aarch64=41), b".", b"."), "pivot_root")
    check(libc.umount2(b".", DETACH), "umount2")
    os.chdir("/")
    mount(None, "/", None, REMOUNT | BIND | RDONLY | NOSUID | NODEV)


def worker_namespaces(uid: int, gid: int) -> None:
    """For a worker just forked: its own user, mount and ipc namespaces. Its pid namespace is made by the fork."""
    prctl(PR_SET_DUMPABLE, 1)  # after a change of user /proc/self belongs to root until this
    unshare(NEWUSER | NEWNS | NEWIPC)
    map_ids(uid, gid)


def become(uid: int) -> None:
    """Give up root, for good, for a user that owns nothing."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def private_folder(size: int, at: str = BOX) -> None:
    """A temporary folder that only this worker sees, of at most `size` bytes."""
    mount("tmpfs", at, "tmpfs", NOSUID | NODEV | NOEXEC, f"size={size},nr_inodes=2048,mode=0700")


def own_processes_only() -> None:
    """A /proc of this pid namespace in the place of the outer one, where the kernel grants it."""
    with contextlib.suppress(OSError):
        mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)


def hide_processes() -> None:
    """No /proc any more."""
    flags = NOSUID | NODEV | NOEXEC
    mount("none", "/proc", "tmpfs", flags | RDONLY, "size=4k,nr_inodes=2,mode=0555")


def unshare(flags: int) -> None:
    check(libc.unshare(ctypes.c_int(flags)), "unshare")


def join_pids(descriptor: int) -> None:
    """Children forked from now on live in the pid namespace behind `descriptor`."""
    check(libc.setns(descriptor, NEWPID), "setns")


def map_ids(uid: int, gid: int) -> None:
    """Inside the new user namespace this user and group keep their numbers, and nobody else exists."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    result = libc.mount(encoded(source), encoded(target), encoded(kind), ctypes.c_ulong(flags), encoded(data))
    check(result, f"mount({target})")


def _show(path: str, source: str) -> None:
    """Make `path` appear in the new root: a link as it is, anything else as a read-only view of the real thing."""
    target = NEW_ROOT + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
    elif os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        mount(source, target, None, BIND | REC)
        if path != "/proc":
            # in a user namespace a mount's noexec cannot be taken off, so it is repeated
            mount(None, target, None, REMOUNT | BIND | RDONLY | NOSUID | NODEV | (os.statvfs(source).f_flag & NOEXEC))
    elif os.path.exists(path):
        open(target, "x").close()
        mount(path, target, None, BIND)
