"""Black boxes: whatever is asked of the grader during a call, and in whatever form, gains nothing and costs nobody anything.

The exercise under attack is `histogram.accepts`, whose checks hand out a density and a sampler that stay with the grader.
"""

from tests.attacks.making import Group

ATTACKS = Group("ask", "histogram.accepts")
fraud = ATTACKS.fraud

GONE = ("crashed", "timeout", "failed", "error")
# Writes whole frames into the channel to the grader, as the worker's side of a black box would.
FRAMES = """
import json, torch

def frame(header, blob=b"", magic=b"DGM1", claims=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return magic + struct.pack("<IQ", *(claims or (len(header), len(blob)))) + header + blob

def question(name="sample", args=("l", 1)):
    return {"ask": name, "args": args, "kwargs": {}}

def accepts(log_prob, sample, K):
    send()
    return True
"""

fraud("ask without end", """
def accepts(log_prob, sample, K):
    while True:
        try:
            sample(1)
        except Exception:
            pass
""", "deadline", outcomes=("timeout",), words="no answer within")

fraud("ask without end, without listening", FRAMES + """
def send():
    while True:
        os.write(3, frame(question()) * 100)
""", "deadline", outcomes=("timeout",))

fraud("ask from many threads at once", """
def accepts(log_prob, sample, K):
    def ask():
        while True:
            try:
                sample(1)
            except Exception:
                pass
    for _ in range(8):
        threading.Thread(target=ask, daemon=True).start()
    ask()
""", "deadline", "wire", outcomes=GONE)

fraud("ask while asking", """
def accepts(log_prob, sample, K):
    signal.signal(signal.SIGALRM, lambda *_: sample(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for _ in range(200):
            sample(2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return True
""", "wire", outcomes=GONE)

fraud("ask for a trillion draws", "def accepts(log_prob, sample, K):\n    return bool(sample(10**12).sum())\n",
      "wire", outcomes=("error",), words="100,000 draws in all")  # fmt: skip
fraud("ask a few draws too many", "def accepts(log_prob, sample, K):\n    return [sample(1000) for _ in range(101)] == []\n",
      "wire", outcomes=("error",), words="100,000 draws in all")  # fmt: skip
fraud("ask too often", "def accepts(log_prob, sample, K):\n    return [sample(1) for _ in range(2000)] == []\n",
      "wire", outcomes=("error",), words="asked too often")  # fmt: skip
fraud("ask about ten million values", "import torch\ndef accepts(log_prob, sample, K):\n    return bool(log_prob(torch.zeros(10**7 // 2, dtype=torch.int64)).sum())\n",
      "wire", outcomes=("error",), words="asked for too much")  # fmt: skip
fraud("ask about values that do not exist", "import torch\ndef accepts(log_prob, sample, K):\n    return bool(log_prob(torch.tensor([-1, K])).sum())\n",
      "wire", outcomes=("error",), words="values in 0..")  # fmt: skip
fraud("ask for minus one draw", "def accepts(log_prob, sample, K):\n    return bool(sample(-1).sum())\n", "wire", outcomes=("error",), words="whole number of draws")
fraud("ask with the box itself", "def accepts(log_prob, sample, K):\n    return bool(log_prob(log_prob).sum())\n", "wire", outcomes=("error",), words="tensors and numbers")
fraud("ask with keywords that there are not", "def accepts(log_prob, sample, K):\n    return bool(sample(**{'n': 1, 'generator': 2, '__class__': 3}).sum())\n",
      "wire", outcomes=("error",), words="cannot be called like this")  # fmt: skip

fraud("keep a box for later calls", """
kept = []

def accepts(log_prob, sample, K):
    kept.append(sample)
    return bool(kept[0](10).sum() >= 0) if len(kept) == 1 else bool(kept[0](10).sum() < 0)
""", "process", outcomes=("failed", "error"))

fraud("answer the grader's answers", FRAMES + """
def send():
    os.write(3, frame(question()))
    os.write(3, frame({"value": True}))
    os.read(3, 1 << 16)
""", "wire", outcomes=GONE)

fraud("ask after the answer", FRAMES + """
def accepts(log_prob, sample, K):
    threading.Timer(0.002, lambda: os.write(3, frame(question()))).start()
    return True
""", "wire", outcomes=GONE)

fraud("look for the sampler behind the box", """
import inspect

def accepts(log_prob, sample, K):
    seen = repr([vars(sample), vars(type(sample)), inspect.getclosurevars(sample._line), gc.get_referents(sample)])
    if "dgm_ref" in seen or "Generator" in seen or any(name.startswith("dgm_ref") for name in sys.modules):
        print("GOT" + " THROUGH")
    return True
""", "process", outcomes=("failed", "error"))

for name, sent in {
    "a question to nobody": 'frame(question("pmf"))',
    "a question about no name": 'frame(question(None))',
    "a question to the grader's own method": 'frame(question("__class__"))',
    "a question without arguments": 'frame({"ask": "sample"})',
    "a question with more in it": 'frame({**question(), "value": True})',
    "a question whose arguments are a dict": 'frame(question(args={}))',
    "a question with a family": 'frame(question(args=("l", ["s", "family", ["l", "affine", {}]])))',
    "a question with a box": 'frame(question(args=("l", ["s", "black box", ["l", "sample"]])))',
    "a question with an object of the worker": 'frame(question(args=("l", ["s", "remote", ["l", 1, "x"]])))',
    "a question with a tensor without bytes": 'frame(question("log_prob", ("l", ["t", "int64", [1 << 40], 0])))',
    "a question that claims terabytes": "frame(None, claims=(9, 1 << 40))",
    "a question as deep as it gets": 'frame(b\'["l",\' * 5_000 + b"null" + b"]" * 5_000)',
}.items():
    fraud(f"send {name}", FRAMES + f"def send():\n    os.write(3, {sent})\n    os.read(3, 1 << 16)\n", "wire", outcomes=GONE)

fraud("send half a question", FRAMES + """
def send():
    os.write(3, frame(question())[:20])
    time.sleep(30)
""", "deadline", outcomes=("timeout",))
