"""The system calls that a worker needs in order to compute, with their numbers; every other call answers ENOSYS.

What is missing is missing on purpose: nothing that makes a process, a socket, a device, a link, a lock, shared memory
or a namespace; nothing that runs a program, traces, signals others, changes owners, modes, times or priorities
(Landlock does not see those); no `truncate` by path (Landlock sees it from Linux 6.2 on only). A GPU's driver wants a
socket that it only waits at; no worker can connect, accept or send to an address of another.
`tests/sandbox/test_seccomp.py` compares the numbers with the kernel's own headers.
"""

from __future__ import annotations

# name x86_64 aarch64; "-" where the architecture never had the call
_TABLE = """
read 0 63              write 1 64             readv 19 65            writev 20 66           pread64 17 67
pwrite64 18 68         preadv 295 69          pwritev 296 70         lseek 8 62             openat 257 56
close 3 57             close_range 436 436    fstat 5 80             newfstatat 262 79      stat 4 -
lstat 6 -              statx 332 291          access 21 -            faccessat 269 48       faccessat2 439 439
readlink 89 -          readlinkat 267 78      getcwd 79 17           chdir 80 49            fchdir 81 50
getdents64 217 61      mkdir 83 -             mkdirat 258 34         rmdir 84 -             unlink 87 -
unlinkat 263 35        rename 82 -            renameat 264 38        renameat2 316 276      ftruncate 77 46
fsync 74 82            fdatasync 75 83        dup 32 23              dup2 33 -              dup3 292 24
umask 95 166           statfs 137 43          fstatfs 138 44         fadvise64 221 223      copy_file_range 326 285
sendfile 40 71         mmap 9 222             munmap 11 215          mremap 25 216          mprotect 10 226
madvise 28 233         brk 12 214             mincore 27 232         mbind 237 235          get_mempolicy 239 236
set_mempolicy 238 237  membarrier 324 283     rt_sigaction 13 134    rt_sigprocmask 14 135  rt_sigreturn 15 139
sigaltstack 131 132    rt_sigpending 127 136  rt_sigtimedwait 128 137  pause 34 -           futex 202 98
set_robust_list 273 99 get_robust_list 274 100  rseq 334 293         sched_yield 24 124     sched_getaffinity 204 123
sched_getparam 143 121 sched_getscheduler 145 120  sched_get_priority_max 146 125  sched_get_priority_min 147 126
set_tid_address 218 96 gettid 186 178         getpid 39 172          getppid 110 173        getuid 102 174
geteuid 107 175        getgid 104 176         getegid 108 177        getgroups 115 158      getpgrp 111 -
uname 63 160           sysinfo 99 179         times 100 153          getrusage 98 165       getrlimit 97 163
getcpu 309 168         clock_gettime 228 113  clock_getres 229 114   clock_nanosleep 230 115  nanosleep 35 101
gettimeofday 96 169    time 201 -             getitimer 36 102       setitimer 38 103       alarm 37 -
exit 60 93             exit_group 231 94      restart_syscall 219 128  getrandom 318 278    poll 7 -
ppoll 271 73           select 23 -            pselect6 270 72        epoll_create1 291 20   epoll_ctl 233 21
epoll_wait 232 -       epoll_pwait 281 22     eventfd2 290 19        pipe 22 -              pipe2 293 59
recvfrom 45 207        sendto 44 206          clone 56 220           clone3 435 435         ioctl 16 29
fcntl 72 25            prctl 157 167          prlimit64 302 261      kill 62 129            tgkill 234 131
"""

_OF_A_DEVICE = """
socket 41 198          bind 49 200            listen 50 201          setsockopt 54 208      getsockopt 55 209
getsockname 51 204
"""

MACHINES = ("x86_64", "aarch64")


def numbers(machine: str, device: bool = False) -> dict[str, int]:
    """Number of every system call in the table that `machine` has; with those that only a GPU's driver makes."""
    column = 1 + MACHINES.index(machine)
    fields = (_TABLE + (_OF_A_DEVICE if device else "")).split()
    rows = [fields[i : i + 3] for i in range(0, len(fields), 3)]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}
