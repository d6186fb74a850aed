"""Getting out and staying: network, processes, devices, privileges, other people's files."""

from tests.attacks.making import Group

ATTACKS = Group("escape")
fraud, deed = ATTACKS.fraud, ATTACKS.deed

deed("connect over TCP", """
def attack():
    return socket.create_connection(("127.0.0.1", PORT), 2)
""", "landlock", "seccomp", "namespaces", landlock_abi=4)

deed("send over UDP", """
def attack():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"stolen", ("127.0.0.1", PORT))
""", "seccomp", "namespaces")

deed("ask a name server", """
def attack():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 53))
        return s.send(b"stolen")
""", "seccomp", "namespaces")

deed("connect to a socket in the file system", """
def attack():
    return socket.socket(socket.AF_UNIX).connect(f"{FOLDER}/listener") is None
""", "seccomp", "namespaces")

deed("connect to an abstract socket", """
def attack():
    return socket.socket(socket.AF_UNIX).connect(ABSTRACT) is None
""", "landlock", "seccomp", "namespaces", landlock_abi=6)

deed("listen", """
def attack():
    return socket.create_server(("127.0.0.1", 0))
""", "landlock", "seccomp", landlock_abi=4)

deed("talk to the kernel and the hypervisor", """
def attack():
    return socket.socket(16, 3, 0) or socket.socket(40, 1, 0)
""", "seccomp")

deed("a pair of sockets", """
def attack():
    return socket.socketpair()
""", "seccomp")

deed("pass descriptors over the channel", """
def attack():
    message = struct.pack("QIxxxxQQQQIxxxx", 0, 0, 0, 0, 0, 0, 0)
    return libc.sendmsg(3, message, 0) >= 0
""", "seccomp")

deed("write into the home folder", """
def attack():
    for home in {os.path.expanduser("~"), "/root", REPO_ROOT} - {"/box"}:
        try:
            open(f"{home}/.dgm-attack", "w").close()
            return True
        except OSError:
            pass
""", "landlock", "namespaces", reckless=True)

deed("write into a folder for everyone", """
def attack():
    open(f"{DROP}/file", "w").write("hello")
    return True
""", "landlock", "namespaces")

deed("write through the parent folder", """
def attack():
    path = os.path.relpath(f"{DROP}/file")
    open(path, "w").write("hello")
    return True
""", "landlock", "namespaces")

deed("make a folder elsewhere", """
def attack():
    os.mkdir(f"{DROP}/folder")
    return True
""", "landlock", "namespaces")

deed("write through a link of its own", """
def attack():
    os.symlink(CANARY, "link") if os.access(".", os.W_OK) else os.symlink(CANARY, f"{DROP}/link")
    return True
""", "landlock", "seccomp")

deed("link a secret to where it may read", """
def attack():
    os.link(CANARY, "linked")
    return True
""", "landlock", "seccomp", "namespaces", reckless=True)

deed("change a secret", """
def attack():
    open(CANARY, "a").write("!")
    return True
""", "landlock", "namespaces", reckless=True)

deed("cut a secret short", """
def attack():
    os.truncate(CANARY, 0)
    return True
""", "landlock", "seccomp", "namespaces", reckless=True)

deed("empty a file by opening it for reading", """
def attack():
    os.close(os.open("/dev/null", os.O_RDONLY | os.O_TRUNC))
    return True
""", "seccomp")

deed("change the mode of its folder", """
def attack():
    os.chmod(".", 0o777)
    return True
""", "seccomp", reckless=True)

deed("change the times of a file of others", """
def attack():
    os.utime(CANARY)
    return True
""", "seccomp", "namespaces")

deed("change the mode of a file of others", """
def attack():
    os.chmod(CANARY, 0o600)
    return True
""", "seccomp", "namespaces", reckless=True)

deed("hang attributes on a file", """
def attack():
    os.setxattr(CANARY, "user.stolen", b"1")
    return True
""", "seccomp", "namespaces", reckless=True)

deed("make a device", """
def attack():
    os.mknod(f"{DROP}/device", 0o666 | 0o20000, os.makedev(1, 1))
    return True
""", "process")

deed("make a pipe with a name", """
def attack():
    os.mkfifo(f"{DROP}/fifo")
    return True
""", "landlock", "seccomp", "namespaces")

deed("open devices", """
def attack():
    found = []
    for name in ("mem", "kmsg", "tty", "console", "sda", "vda", "fuse", "kvm", "ptmx", "full", "random"):
        try:
            os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK))
            found.append(name)
        except OSError:
            pass
    return found
""", "landlock", "namespaces")

deed("type into the terminal", """
def attack():
    return any(libc.ioctl(descriptor, 0x5412, b"x") == 0 for descriptor in range(4))
""", "process")

deed("become root", """
def attack():
    os.setuid(0)
    return True
""", "process")

deed("become someone else", """
def attack():
    os.setgroups([0])
    return True
""", "process")

deed("run a shell", """
def attack():
    os.execv("/bin/sh", ["sh", "-c", f"touch {DROP}/shell; sleep 2"])
""", "landlock", "seccomp", "namespaces", reckless=True)

deed("run a program", """
def attack():
    return subprocess.run(["/bin/true"]).returncode == 0
""", "seccomp", "landlock", "namespaces")

deed("run the loader, which is readable", """
def attack():
    return subprocess.run([glob.glob("/lib64/ld-linux*")[0], "--version"], capture_output=True).returncode == 0
""", "seccomp", "landlock")

deed("compile an extension", """
def attack():
    return subprocess.run(["cc", "--version"], capture_output=True).returncode == 0
""", "seccomp", "landlock", "namespaces")

deed("make namespaces", """
def attack():
    return libc.unshare(0x10000000) == 0
""", "seccomp")

deed("mount", """
def attack():
    libc.unshare(0x10020000)
    return libc.mount(b"none", b"/proc", b"tmpfs", 0, None) == 0
""", "seccomp", "landlock")

deed("change the root folder", """
def attack():
    os.chroot("/box")
    return True
""", "process")

deed("exotic system calls", """
def attack():
    calls = {"bpf": 321, "perf": 298, "io_uring": 425, "userfaultfd": 323, "keyctl": 250, "fanotify": 300, "modify_ldt": 154}
    return [name for name, number in calls.items() if libc.syscall(number, 0, 0, 0, 0, 0) >= 0 or ctypes.get_errno() not in (1, 38)]
""", "seccomp")

fraud("system calls of another architecture", """
import torch

def histogram_log_prob(pi, x):
    code = mmap.mmap(-1, 4096, prot=7)
    code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid of i386); int 0x80; ret
    pid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    if pid > 0:
        print("GOT" + " THROUGH")
    return torch.zeros(x.shape)
""", "seccomp", outcomes=("crashed",), words="SIGSYS")

deed("system calls with the x32 bit", """
def attack():
    return libc.syscall(0x40000000 + 39) > 0
""", "process")

deed("signal the grader", """
def attack():
    os.kill(GRADER, signal.SIGUSR1)
    return True
""", "landlock", "seccomp", "namespaces", landlock_abi=6)

deed("signal everyone", """
def attack():
    os.kill(-1, signal.SIGUSR1)
    return True
""", "landlock", "seccomp", "namespaces", landlock_abi=6, reckless=True)

deed("signal the server", """
def attack():
    os.kill(os.getppid() or 2, signal.SIGUSR1)
    return True
""", "landlock", "seccomp", "namespaces", landlock_abi=6, reckless=True)

deed("signal through a descriptor", """
def attack():
    signal.pidfd_send_signal(os.pidfd_open(GRADER), signal.SIGUSR1)
    return True
""", "landlock", "seccomp", "namespaces", landlock_abi=6)

deed("signal the grader with a value", """
def attack():
    return libc.sigqueue(GRADER, int(signal.SIGUSR1), None) == 0
""", "landlock", "seccomp", "namespaces", landlock_abi=6)

deed("leave the session", """
def attack():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(30)
        os._exit(0)
    return True
""", "seccomp", reckless=True)

deed("leave a thread behind", """
def attack():
    def work():
        while True:
            time.sleep(0.05)
            try: open(f"{DROP}/thread", "w").close()
            except OSError: pass
    threading.Thread(target=work, daemon=False).start()
    time.sleep(0.2)
""", "landlock", "namespaces")

deed("leave shared memory behind", """
def attack():
    open("/dev/shm/dgm-attack", "w").write("hello")
    return True
""", "landlock", "namespaces", reckless=True)

deed("leave System V shared memory behind", """
def attack():
    return libc.shmget(0x646d67, 4096, 0o1666) >= 0
""", "seccomp", reckless=True)

deed("leave a message queue behind", """
def attack():
    return libc.syscall(68, 0x646d67, 0o1666) >= 0
""", "seccomp", reckless=True)

deed("lock files that others use", """
def attack():
    import fcntl
    with open("/dev/null") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True
""", "seccomp")

deed("lock ranges of files that others use", """
def attack():
    import fcntl
    with open(torch.__file__) as file:
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return True
""", "seccomp")

deed("watch files that others use", """
def attack():
    return libc.inotify_add_watch(libc.inotify_init(), os.path.dirname(torch.__file__).encode(), 0xFFF) > 0
""", "seccomp")

deed("be traced", """
def attack():
    return libc.ptrace(0, 0, 0, 0) == 0
""", "seccomp")

deed("be seen", """
def attack():
    return libc.prctl(4, 1, 0, 0, 0) == 0
""", "seccomp")

deed("switch off the filter", """
def attack():
    return libc.prctl(22, 0, 0, 0, 0) == 0 or libc.prctl(38, 0, 0, 0, 0) == 0
""", "process")
