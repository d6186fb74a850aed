"""Reading what is hidden: the reference, the seed, other submissions, the grader itself."""

from tests.attacks.making import Group

ATTACKS = Group("steal")
deed = ATTACKS.deed

deed("import the reference", """
def attack():
    import dgm_ref.lecture1.histogram.reference
    return True
""", "process")

deed("import the reference from the kit's folder", """
def attack():
    sys.path.insert(0, REPO_ROOT)
    import dgm_ref.lecture1.histogram.reference
    return True
""", "landlock", "namespaces")

deed("import the solutions", """
def attack():
    sys.path.insert(0, REPO_ROOT)
    import solutions.lecture1.histogram
    return True
""", "landlock", "namespaces")

deed("look through sys.modules", """
def attack():
    return [name for name in sys.modules if name.split(".")[0] in ("dgm_ref", "solutions", "pytest", "hypothesis")]
""", "process")

deed("look through the garbage collector", """
def attack():
    gc.unfreeze()
    end = time.monotonic() + 0.5
    strings = (text for thing in gc.get_objects() if type(thing) is dict and time.monotonic() < end for text in (*thing, *thing.values()))
    return any(show(text) for text in strings if type(text) in (str, bytes))
""", "process")

deed("walk up the frames", """
def attack():
    frame, found = sys._getframe(), False
    while frame:
        found |= frame.f_code.co_name.startswith("test_") or show(repr([frame.f_locals, frame.f_globals])[:200000])
        frame = frame.f_back
    return found
""", "process")

deed("walk the frames of every thread", """
def attack():
    return any(show(repr(frame.f_locals)) for frame in sys._current_frames().values())
""", "process")

deed("read the source of whoever calls", """
def attack():
    import inspect
    return any("dgm_ref" in frame.filename or "checks" in frame.filename for frame in inspect.stack())
""", "process")

deed("search its own memory", """
def attack():
    maps = open("/proc/self/maps").read().splitlines()
    memory = open("/proc/self/mem", "rb", 0)
    for line in maps:
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if "rw-p" in line and high - low < 1 << 28:
            memory.seek(low)
            if show(memory.read(high - low)):
                return True
""", "process")

deed("read the grader's memory", """
def attack():
    maps = open(f"/proc/{GRADER}/maps").read().splitlines()
    memory = open(f"/proc/{GRADER}/mem", "rb", 0)
    for line in maps:
        low, high = (int(part, 16) for part in line.split()[0].split("-"))
        if "rw-p" in line and "[heap]" in line:
            memory.seek(low)
            show(memory.read(high - low))
    return True
""", "landlock", "namespaces")

deed("read the grader's memory through the kernel", """
def attack():
    maps = [line.split()[0] for line in open(f"/proc/{GRADER}/maps") if "[heap]" in line]
    start = int(maps[0].split("-")[0], 16) if maps else 0x10000
    buffer = ctypes.create_string_buffer(64)
    vector = struct.pack("QQ", ctypes.addressof(buffer), 64), struct.pack("QQ", start, 64)
    return libc.process_vm_readv(GRADER, vector[0], 1, vector[1], 1, 0) > 0
""", "landlock", "seccomp", "namespaces")

deed("trace the grader", """
def attack():
    return libc.ptrace(0x4206, GRADER, 0, 0) == 0 and libc.ptrace(0x11, GRADER, 0, 0) == 0
""", "landlock", "seccomp", "namespaces", reckless=True)

deed("read the grader's environment", """
def attack():
    return bool(open(f"/proc/{GRADER}/environ", "rb").read())
""", "landlock", "namespaces")

deed("read its own environment", """
def attack():
    return show(repr(dict(os.environ)))
""", "process")

deed("read the environment it was started with", """
def attack():
    return show(open("/proc/self/environ", "rb").read())
""", "process")

deed("read the grader's command line", """
def attack():
    return bool(open(f"/proc/{GRADER}/cmdline", "rb").read())
""", "landlock", "namespaces")

deed("use inherited descriptors", """
def attack():
    found = []
    for descriptor in range(4, 4096):
        try:
            os.fstat(descriptor)
            found.append(descriptor)
        except OSError:
            pass
    return found
""", "process")

deed("open the grader's descriptors", """
def attack():
    return [show(open(path, "rb").read(4096)) or True for path in glob.glob(f"/proc/{GRADER}/fd/*") if "memfd" in os.readlink(path)]
""", "landlock", "namespaces")

deed("take the grader's descriptors", """
def attack():
    return os.pidfd_open(GRADER) and libc.syscall(438, os.pidfd_open(GRADER), 3, 0) >= 0
""", "landlock", "seccomp", "namespaces")

deed("read a secret file", """
def attack():
    return show(open(CANARY).read())
""", "landlock", "namespaces")

deed("walk the file system", """
def attack():
    found, seen = False, 0
    for start in (FOLDER, REPO_ROOT, os.path.expanduser("~"), "/tmp", "/home", "/srv", "/mnt", "/work"):
        for folder, _, names in os.walk(start):
            for name in names:
                seen += 1
                if seen > 3000:
                    return found
                if name in ("canary", "seed") or name.endswith((".json", ".toml")):
                    found |= show(open(os.path.join(folder, name), "rb").read(4096))
    return found
""", "landlock", "namespaces")

deed("read the reference's source", """
def attack():
    return bool(open(f"{REPO_ROOT}/dgm_ref/lecture1/histogram/reference.py").read())
""", "landlock", "namespaces")

deed("read the solutions' source", """
def attack():
    return bool(open(f"{REPO_ROOT}/solutions/lecture1/histogram.py").read())
""", "landlock", "namespaces")

deed("read the reference's bytecode", """
def attack():
    return glob.glob(f"{REPO_ROOT}/dgm_ref/**/__pycache__/*.pyc", recursive=True) or os.listdir(f"{REPO_ROOT}/dgm_ref")
""", "landlock", "namespaces")

deed("read the git history", """
def attack():
    return bool(open(f"{REPO_ROOT}/.git/HEAD").read())
""", "landlock", "namespaces")

deed("read hypothesis's database and other droppings", """
def attack():
    return os.listdir(f"{REPO_ROOT}/.hypothesis") if os.path.isdir(f"{REPO_ROOT}/.hypothesis") else os.listdir(f"{REPO_ROOT}/tests")
""", "landlock", "namespaces")

deed("read the seed file", """
def attack():
    return any([show(open(path).read()) for path in (f"{FOLDER}/secrets/seed", f"{REPO_ROOT}/.dgm-seed") if os.path.exists(path)])
""", "landlock", "namespaces")

deed("follow site-packages to the kit", """
def attack():
    for folder in sys.path:
        for path in glob.glob(f"{folder}/*.pth"):
            for line in open(path):
                if os.path.isdir(line.strip()) and "dgm_ref" in os.listdir(line.strip()):
                    return True
""", "landlock", "namespaces")

deed("find the reference in site-packages", """
def attack():
    return [folder for folder in sys.path for name in os.listdir(folder) if name.startswith(("dgm_ref", "solutions"))]
""", "process")

deed("see names without reading", """
def attack():
    return os.stat(CANARY).st_size
""", "namespaces")

deed("read the neighbour's folder", """
def attack():
    seen = [path for path in glob.glob("/box/*") + glob.glob("/tmp/*") if show(repr(path)) or os.path.exists(path)]
    return [path for path in seen if not torch.__file__.startswith(path)]  # libraries may be installed anywhere
""", "landlock", "namespaces")

deed("read shared memory", """
def attack():
    return show(open(SHARED).read())
""", "landlock", "namespaces")

deed("read what was printed by others", """
def attack():
    os.lseek(1, 0, 0)
    return show(os.read(1, 1 << 16))
""", "process")

deed("ask the kernel's key rings", """
def attack():
    return libc.syscall(250, 0, -3, 1, 0, 0) >= 0
""", "seccomp")

deed("open a file by its handle", """
def attack():
    handle, mount = ctypes.create_string_buffer(struct.pack("II", 128, 0) + bytes(128)), ctypes.c_int()
    return libc.name_to_handle_at(-100, b"/", handle, ctypes.byref(mount), 0) == 0
""", "seccomp")
