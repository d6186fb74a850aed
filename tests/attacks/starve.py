"""Denial of service: every attack ends in time, in a sentence, and costs nobody else anything."""

from tests.attacks.making import Group

ATTACKS = Group("starve")
fraud, deed = ATTACKS.fraud, ATTACKS.deed


def forever(name: str, statement: str, *stopped_by: str, reckless: bool = False) -> None:
    """A call that never returns by itself."""
    source = f"import torch\n\ndef histogram_log_prob(pi, x):\n    {statement}\n"
    fraud(name, source, *(stopped_by or ("deadline",)), outcomes=("timeout",), words="no answer within", reckless=reckless)


forever("loop in Python", "while True: pass")
forever("sleep", "time.sleep(1000)")
forever("loop in C", "sum(iter(int, 1))")
forever("a power tower", "return 10 ** 10 ** 9")
forever("a regular expression that backtracks", "re.match(r'(a+)+$', 'a' * 60 + 'b')")
forever("catch everything and go on", """
    while True:
        try:
            while True: pass
        except BaseException:
            continue""")
forever("ignore every signal", """
    for number in signal.valid_signals():
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True: pass""")
forever("multiply matrices without end", "a = torch.randn(2000, 2000)\n    while True: a = a @ a")
forever("grow a graph without end", "while True: pi = pi + pi * 0.5 if pi.requires_grad else pi.detach().requires_grad_()")
forever("drip the answer", """
    for byte in b"DGM1" + bytes(12) * 100:
        os.write(3, bytes([byte]))
        time.sleep(0.2)""")
forever("stop itself", "os.kill(os.getpid(), signal.SIGSTOP)\n    time.sleep(1000)")
forever("many threads that burn", """
    def burn():
        while True: sum(range(1000))
    for _ in range(8): threading.Thread(target=burn, daemon=True).start()
    burn()""")

fraud("loop while loading", "while True: pass\n", "deadline", outcomes=("missing", "timeout"))
fraud("loop while loading, alarm off", "signal.setitimer = None\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass\n",
      "deadline", outcomes=("missing", "timeout"))  # fmt: skip
fraud("loop in a decorator", "def forever(f):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n\n@forever\ndef histogram_log_prob(pi, x): ...\n",
      "deadline", outcomes=("missing", "timeout"))  # fmt: skip
fraud("a parser bomb", "(" * 5000 + ")" * 5000 + "\n", "process", outcomes=("missing", "crashed"))
fraud("a constant that takes for ever", "def histogram_log_prob(pi, x):\n    return " + "-" * 20000 + "1\n", "process", outcomes=("missing", "crashed", "failed"))
fraud("recurse without end", "def histogram_log_prob(pi, x):\n    return histogram_log_prob(pi, x)\n", "process", outcomes=("error",), words="RecursionError")
fraud("recurse without end, unlimited", "sys.setrecursionlimit(10**9)\nclass A:\n    def __getattr__(self, n): return getattr(self, n)\ndef histogram_log_prob(pi, x):\n    return repr(type('B', (), {'__repr__': lambda s: repr(s)})())\n",
      "process", outcomes=("crashed", "error", "timeout"))  # fmt: skip
fraud("a segmentation fault", "def histogram_log_prob(pi, x):\n    ctypes.string_at(0)\n", "process", outcomes=("crashed",), words="SIGSEGV")
fraud("abort", "def histogram_log_prob(pi, x):\n    os.abort()\n", "process", outcomes=("crashed",), words="SIG")
fraud("close the channel", "def histogram_log_prob(pi, x):\n    os.close(3)\n", "process", outcomes=("crashed",))
fraud("read from the channel instead", "def histogram_log_prob(pi, x):\n    os.read(3, 1 << 20)\n", "deadline", outcomes=("timeout",))
fraud("an enormous answer", "import torch\ndef histogram_log_prob(pi, x):\n    return torch.zeros(10**8)\n", "wire", "limits", outcomes=("failed", "error", "timeout"))
fraud("a thousand large answers", "import torch\ndef histogram_log_prob(pi, x):\n    return [torch.zeros(10**5)] * 1000\n", "wire", outcomes=("failed", "error", "timeout"))
fraud("bytes into the channel without end", "def histogram_log_prob(pi, x):\n    while True: os.write(3, bytes(1 << 16))\n", "wire", outcomes=("crashed",))
fraud("write from a thread while answering", """
import torch
def flood():
    while True:
        os.write(3, bytes(100))
def histogram_log_prob(pi, x):
    threading.Thread(target=flood, daemon=True).start()
    time.sleep(0.1)
    return torch.zeros(x.shape)
""", "wire", outcomes=("crashed",))
fraud("use up the processor time", """
import torch
def burn():
    while True: pass
def histogram_log_prob(pi, x):
    burn()
""", "deadline", "limits", outcomes=("timeout", "crashed"))

deed("a fork bomb", """
def attack():
    for _ in range(50):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
    return True
""", "seccomp", reckless=True)

deed("one process more", """
def attack():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True
""", "seccomp")

deed("a process by another road", """
def attack():
    return libc.syscall(57) > 0 or libc.syscall(58) > 0 or libc.syscall(435, bytes(64), 64) > 0
""", "seccomp", reckless=True)

deed("a thread bomb", """
def attack():
    stop, threads = threading.Event(), []
    try:
        for _ in range(300):
            threads.append(threading.Thread(target=stop.wait, daemon=True))
            threads[-1].start()
        return True
    finally:
        stop.set()
""", "limits")

deed("all the memory", """
def attack():
    return len(bytearray(6 << 30))
""", "limits", reckless=True)

deed("all the address space", """
def attack():
    return mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
""", "limits")

deed("all the memory, in tensors", """
def attack():
    import torch
    return torch.empty(3 << 29, dtype=torch.float64) is not None
""", "limits")

deed("shared memory without a file", """
def attack():
    return mmap.mmap(-1, 8 << 30, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000)
""", "limits")

deed("memory in a file without a name", """
def attack():
    return os.memfd_create("dgm-attack") >= 0
""", "seccomp")

deed("memory in pipes", """
def attack():
    return any(libc.fcntl(os.pipe()[1], 1031, 1 << 20) > 1 << 17 for _ in range(100))
""", "seccomp")

deed("all the descriptors", """
def attack():
    return len([os.dup(0) for _ in range(2000)])
""", "limits")

deed("fill the disk", """
def attack():
    written = 0
    for number in range(40):
        for folder in (DROP, "/tmp", "."):
            try:
                with open(f"{folder}/dgm-attack-{number}", "wb") as file:
                    written += file.write(bytes(1 << 20))
            except OSError:
                pass
    return written > 20 << 20
""", "landlock", "namespaces", reckless=True)

deed("a large file", """
def attack():
    with open("dgm-attack", "wb") as file:
        file.truncate(1 << 40)
    return True
""", "limits", "landlock", reckless=True)

deed("all the inodes", """
def attack():
    for number in range(5000):
        os.close(os.open(f"dgm-attack-{number}", os.O_CREAT | os.O_WRONLY))
    return True
""", "landlock", "namespaces", reckless=True)

deed("folders in folders", """
def attack():
    for number in range(4000):
        os.mkdir("d")
        os.chdir("d")
    return True
""", "landlock", "namespaces", reckless=True)

deed("print without end", """
def attack():
    for _ in range(300):
        print("x" * 65536)
        os.write(2, b"y" * 65536) if _ > 290 else None
    return False
""", "process")

deed("print faster than anyone reads", """
def attack():
    try:
        while True:
            os.write(1, bytes(1 << 16))
    except OSError:
        return os.fstat(1).st_size > 1 << 16
""", "process")

deed("make the output grow", """
def attack():
    os.ftruncate(1, 1 << 30)
    return True
""", "process")

deed("wait for the keyboard", """
def attack():
    return sys.stdin and sys.stdin.read() or input("password: ")
""", "process")

deed("take the priority", """
def attack():
    return libc.setpriority(0, 0, -20) == 0 or libc.syscall(144, 0, 1, struct.pack("i", 1)) == 0
""", "process")

deed("move the grader to one processor", """
def attack():
    return libc.sched_setaffinity(GRADER, 8, struct.pack("Q", 1)) == 0
""", "seccomp", "namespaces")

deed("limit the grader", """
def attack():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    return resource.prlimit(GRADER, resource.RLIMIT_CORE, (0, hard)) is not None
""", "seccomp", "namespaces")

deed("raise its own limits", """
def attack():
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    return True
""", "limits")

deed("lock memory", """
def attack():
    return libc.mlockall(3) == 0
""", "seccomp", "limits", reckless=True)
