"""Tricks with what is sent: objects that run code when read, and values that lie about themselves."""

from tests.attacks.making import Group

ATTACKS = Group("serialise")
fraud, deed = ATTACKS.fraud, ATTACKS.deed

VALUES = {  # returned in place of a tensor of log-probabilities
    "nothing": ("None", "None"),
    "a module": ("torch.nn.Linear(1, 1)", ""),
    "a generator": ("(value for value in [1.0])", ""),
    "a function": ("(lambda: 0)", ""),
    "a sparse tensor": ("torch.log(pi[x]).to_sparse()", "sparse"),
    "a tensor without data": ("torch.log(pi[x]).to('meta')", "meta"),
    "a quantised tensor": ("torch.quantize_per_tensor(pi[x].float(), 0.1, 0, torch.quint8)", "quantized"),
    "a complex tensor": ("torch.log(pi[x]).to(torch.complex64)", "complex"),
    "a nested tensor": ("torch.nested.nested_tensor([torch.log(pi[x])])", ""),
    "an array": ("torch.log(pi[x]).numpy()", ""),
    "a tensor of nine dimensions": ("torch.zeros([1] * 9)", ""),
    "a terabyte that takes no room": ("torch.zeros(1).expand(1 << 40)", ""),
    "a list of itself": ("[loop := [], loop.append(loop)]", ""),
    "a million numbers": ("[0.0] * 10**6", ""),
    "an enormous integer": ("10 ** 5000", ""),
    "half a character": (r"'\\ud800'", ""),
    "an enormous string": ("'x' * 10**7", ""),
    "a dictionary with odd keys": ("{1: 2, (3, 4): 5}", ""),
    "a dictionary with half a key": (r"{'\\ud800': 1}", "a Python dict"),
    "a dictionary with an enormous key": ("{'x' * 10**6: 1}", "cannot be sent"),
    "a strange tuple": ("__import__('collections').namedtuple('T', 'a b')(1, 2)", ""),
    "bytes": ("b'abc'", ""),
    "a class": ("torch.Tensor", ""),
    "an undefined number": ("torch.full(x.shape, float('nan'), dtype=pi.dtype)", ""),
    "no element, which equals everything": ("torch.empty(0, dtype=pi.dtype)", ""),
    "one number for all": ("torch.log(pi[x]).sum()", ""),
    "a square that broadcasts": ("torch.log(pi[x]).expand(2 * len(x), -1)", ""),
    "another precision": ("torch.log(pi[x]).half()", ""),
}
for name, (value, words) in VALUES.items():
    fraud(
        f"return {name}", f"import torch\n\ndef histogram_log_prob(pi, x):\n    return {value}\n",
        "wire", "comparison", outcomes=("failed", "error", "timeout"), words=words,
    )  # fmt: skip

fraud("an object that runs code when unpickled", """
class Bomb:
    def __reduce__(self):
        return os.system, (f"touch {DROP}/pickled",)

def histogram_log_prob(pi, x):
    return Bomb()
""", "wire")

fraud("an object that claims to be a tensor", """
import torch

class Liar:
    __class__ = property(lambda self: torch.Tensor)
    dtype, shape, device, requires_grad = torch.float64, torch.Size([1]), "cpu", False
    def __array__(self, *args): raise SystemExit
    def __float__(self): return 0.0
    def __torch_function__(self, *args, **kwargs): return True

def histogram_log_prob(pi, x):
    return Liar()
""", "wire", outcomes=("failed", "error"))

fraud("a tensor subclass that says yes", """
import torch

class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True if function in (torch.allclose, torch.equal, torch.Tensor.all) else super().__torch_function__(function, types, args, kwargs or {})

def histogram_log_prob(pi, x):
    return torch.zeros(x.shape, dtype=pi.dtype).as_subclass(Yes)
""", "wire", words="subclass")

fraud("an object equal to everything", """
class Everything:
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __bool__(self): return True
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self

def histogram_log_prob(pi, x):
    return Everything()
""", "wire", outcomes=("failed", "error"))

fraud("a number of its own kind", """
class Close(float):
    def __sub__(self, other): return 0.0
    __rsub__ = __eq__ = __le__ = __ge__ = lambda self, other: 0.0

def histogram_log_prob(pi, x):
    return Close(1)
""", "wire")

fraud("an exception whose words are a bomb", """
class Bomb(Exception):
    def __str__(self): raise SystemExit(0)
    __repr__ = __str__

def histogram_log_prob(pi, x):
    raise Bomb
""", "process", outcomes=("error",))

fraud("an exception with ten million words", """
def histogram_log_prob(pi, x):
    raise ValueError("\\ud800\\u202e\\x1b[31m <script>" * 10**6)
""", "wire", outcomes=("error",))

deed("load weights that run code", """
def attack():
    import pickle, io, torch
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (f"{DROP}/weights",)
    file = io.BytesIO(pickle.dumps(Bomb()))
    torch.load(file, weights_only=False)
    return os.path.isdir(f"{DROP}/weights")
""", "landlock", "namespaces")
