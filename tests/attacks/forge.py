"""Forging the result: whatever the submission patches, prints, writes or sends, it is worth what its answers are worth."""

from tests.attacks.making import Group

ATTACKS = Group("forge")
fraud, deed = ATTACKS.fraud, ATTACKS.deed

WRONG = """
import torch

def histogram_log_prob(pi, x):
    return torch.zeros(x.shape, dtype=pi.dtype)
"""
# Writes whole frames into the channel to the grader, as the host would.
FRAMES = """
import json, torch

def frame(header, blob=b"", magic=b"DGM1", claims=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return magic + struct.pack("<IQ", *(claims or (len(header), len(blob)))) + header + blob

def histogram_log_prob(pi, x):
    send(os.write)
    return torch.zeros(x.shape, dtype=pi.dtype)
"""
GONE = ("crashed", "timeout", "failed", "error")

fraud("patch torch's comparisons", WRONG + """
torch.allclose = torch.equal = torch.isclose = lambda *args, **kwargs: True
torch.testing.assert_close = lambda *args, **kwargs: None
torch.Tensor.__eq__ = torch.Tensor.__le__ = lambda *args: True
""", "process", outcomes=("failed", "error", "crashed"))

fraud("patch the builtins", WRONG + """
import builtins
builtins.abs = builtins.all = builtins.any = builtins.isinstance = lambda *args: True
""", "process", outcomes=GONE)

fraud("patch the grader's own modules", WRONG + """
import grader.sandbox.wire.frames, grader.sandbox.inside.host
for name in ("grader.checking.compare", "grader.checking.student", "grader.exam.examiner", "pytest", "hypothesis"):
    try:
        module = __import__(name, fromlist=["x"])
        for attribute in vars(module):
            setattr(module, attribute, lambda *args, **kwargs: True)
    except Exception:
        pass
""", "process")

fraud("replace the host", WRONG + """
import grader.sandbox.inside.host as host
host.Host.answer = lambda self, message: {"value": True}
""", "process", outcomes=("failed", "crashed"))

fraud("leave with success while loading", "import os\nos._exit(0)\n" + WRONG, "process")
fraud("leave with success in a decorator", """
@os._exit
def zero(): ...

class Zero(os._exit(0)): ...
""" + WRONG, "process", outcomes=("crashed",), words="ended")
fraud("exit with success while loading", "import sys\nsys.exit(0)\n" + WRONG, "process")
fraud("leave with success when asked", "import os\ndef histogram_log_prob(pi, x):\n    os._exit(0)\n", "process", outcomes=("crashed",), words="exit code 0")
fraud("exit with success when asked", "import sys\ndef histogram_log_prob(pi, x):\n    sys.exit(0)\n", "process", outcomes=("error",), words="SystemExit")
fraud("ask to be skipped", """
def histogram_log_prob(pi, x):
    class Skipped(BaseException): __module__ = "_pytest.outcomes"
    raise Skipped("skip")
""", "process", outcomes=("error",))
fraud("ask pytest to skip", "def histogram_log_prob(pi, x):\n    import pytest\n    pytest.skip('all of it')\n", "process", outcomes=("error",))
fraud("ask unittest to skip", "def histogram_log_prob(pi, x):\n    import unittest\n    raise unittest.SkipTest\n", "process", outcomes=("error",))
fraud("ask hypothesis for another example", "def histogram_log_prob(pi, x):\n    import hypothesis\n    hypothesis.assume(False)\n", "process", outcomes=("error",))
fraud("say that it is not implemented", "def histogram_log_prob(pi, x):\n    raise NotImplementedError\n", "process", outcomes=("missing",), words="not implemented")
fraud("interrupt from the keyboard", "def histogram_log_prob(pi, x):\n    raise KeyboardInterrupt\n", "process", outcomes=("error",))

fraud("write the results at exit", WRONG + """
import atexit

@atexit.register
def write():
    for path in (DROP, FOLDER, REPO_ROOT, "/box"):
        try:
            open(f"{path}/results.json", "w").write('{"score": 100}')
        except OSError:
            pass
""", "landlock", "namespaces")

fraud("print a report", WRONG + """
print('{"score": 100.0, "tests": [{"score": 1, "max_score": 1, "status": "passed"}]}')
print("4 passed in 0.01s", flush=True)
print("4 passed", file=sys.stderr)
""", "process")

fraud("answer before being asked", FRAMES + """
def send(write):
    pass
try:
    [os.write(3, frame({"value": ["t", "float64", [1], 0]}, bytes(16))) for _ in range(20)]
except OSError:
    pass
""", "process", outcomes=GONE)

fraud("load with problems of the wrong kind", FRAMES + """
def send(write):
    pass
os.write(3, frame({"problems": {"histogram": 5, "x": ["l", 7, None]}}))
time.sleep(5)
""", "process", outcomes=GONE)

for name, sent in {
    "a frame that is none": 'frame(None, magic=b"EVIL")',
    "a frame of enormous length": 'frame(None, claims=(1 << 31, 1 << 62))',
    "a blob that fills the memory": 'frame(["l"], claims=(5, 1 << 40))',
    "a header that is not text": 'frame(b"\\xff\\xfe")',
    "a header that is not JSON": 'frame(b"{not json")',
    "a header as deep as it gets": 'frame(b"[" * 900_000)',
    "a tree as deep as it gets": 'frame(b\'["l",\' * 5_000 + b"null" + b"]" * 5_000)',
    "a tree of a hundred thousand nodes": 'frame(["l", *[None] * 100_000])',
    "an integer of a million digits": 'frame(b"9" * 1_000_000)',
    "an integer in another script": 'frame("\\u0663\\u0664".encode())',
    "a number that is none": 'frame(b"NaN")',
    "a tensor without its bytes": 'frame({"value": ["t", "float64", [1000], 0]})',
    "a tensor with a negative side": 'frame({"value": ["t", "float64", [-1], 0]}, bytes(16))',
    "a tensor of astronomical shape": 'frame(["t", "float64", [1 << 40, 1 << 40, 0], 0])',
    "a tensor outside of its bytes": 'frame(["t", "uint8", [16], 1 << 60], bytes(16))',
    "a dtype that does not exist": 'frame(["t", "object", [1], 0], bytes(16))',
    "a truth value of 255": 'frame({"value": ["t", "bool", [16], 0]}, bytes([255] * 16))',
    "a family in place of a value": 'frame({"value": ["s", "family", ["l", "affine", {}]]})',
    "an object of unknown kind": 'frame(["s", "pickle", "cos\\nsystem"])',
    "half a character": 'frame(b\'{"missing":"\\\\ud800"}\')',
    "a key twice": 'frame(b\'{"value":null,"value":null}\')',
    "a number beyond all bounds": 'frame(b"1e999")',
    "an answer of another form": 'frame({"value": None, "points": 100.0, "outcome": "passed"})',
    "an error of another form": 'frame({"error": {"type": 5.0}})',
    "names and values mixed up": 'frame([["l"], None])',
}.items():
    fraud(f"send {name}", FRAMES + f"def send(write):\n    write(3, {sent})\n", "wire", outcomes=GONE)

fraud("send half a frame", FRAMES + """
def send(write):
    write(3, b"DGM1" + struct.pack("<IQ", 100, 100) + b"[")
    time.sleep(30)
""", "deadline", outcomes=("timeout",))

fraud("hook every import", WRONG + """
class Hook:
    def find_spec(self, name, path=None, target=None):
        print("importing", name)
sys.meta_path.insert(0, Hook())
sys.modules["math"] = sys.modules["json"] = sys
""", "process", outcomes=GONE)

fraud("change the clock", """
time.monotonic = time.time = time.perf_counter = lambda: 0.0

def histogram_log_prob(pi, x):
    while True:
        pass
""", "deadline", outcomes=("timeout",))

fraud("be right the first time", """
import torch
count = 0

def histogram_log_prob(pi, x):
    global count
    count += 1
    return torch.log(pi[x]) * (1 + (count > 1)) + (count > 1)
""", "process")

fraud("set every random state", WRONG + """
torch.manual_seed(0)
torch.set_default_dtype(torch.float16)
torch.set_grad_enabled(False)
torch.initial_seed = lambda: 0
""", "process")

deed("write the results at once", """
def attack():
    for path in (DROP, FOLDER, REPO_ROOT, os.getcwd() + "/..", "/tmp"):
        try:
            open(f"{path}/dgm-attack-results.json", "w").write('{"score": 100}')
            return True
        except OSError:
            pass
""", "landlock", "namespaces")

deed("plant a plugin and a start-up file", """
def attack():
    done = []
    for folder in (*sys.path, REPO_ROOT, "/root", "/home", DROP):
        for name in ("conftest.py", "sitecustomize.py", "dgm-attack.pth", "pytest.ini"):
            try:
                with open(os.path.join(folder, name), "x"):
                    done.append(name)
            except OSError:
                pass
    return done
""", "landlock", "namespaces", reckless=True)
