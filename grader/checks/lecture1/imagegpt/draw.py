"""Small ImageGPTs for the checks: strategies for their sizes and weights, and how a student's model gets them.

Weights are *hot*: attention is far from uniform, gains and biases are felt, embeddings are not centred. With weights as
they are initialised, a wrong scale or a forgotten mask would hardly move the logits.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees
from grader.checking.student import Remote, Student, StudentError
from grader.checking.tolerance import condition_of
from grader.checks.lecture1.imagegpt.helpers import built, new_cache, probed
from grader.checks.lecture1.shared import draw

BEYOND_ROUNDING = 1e-4  # float32 moves the probability of an image by less


class Network(NamedTuple):
    """The fields of an `ImageGPTConfig`, and a state dict for it."""

    sizes: dict[str, int]
    weights: dict[str, Tensor]

    @property
    def num_heads(self) -> int:
        return self.sizes["num_heads"]

    def block(self, layer: int = 0) -> dict[str, Tensor]:
        """The state dict of one block."""
        own = f"blocks.{layer}."
        return {name.removeprefix(own): w for name, w in self.weights.items() if name.startswith(own)}


def network(
    seed: int,
    K: int = 3,
    m: int = 4,
    e: int = 2,
    num_layers: int = 2,
    num_heads: int = 2,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """A network with hot weights, heads of size e."""
    dim = e * num_heads
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weights = {"wte.weight": noise(K, dim) + 0.5, "sos": noise(dim) + 0.5, "wpe.weight": noise(m, dim) + 0.5}
    for layer in range(num_layers):
        for name, rows, columns, heat in (
            ("qkv", 3 * dim, dim, 1.5),
            ("proj", dim, dim, 1),
            ("fc", 4 * dim, dim, 1),
            ("out", dim, 4 * dim, 1),
        ):
            weights[f"blocks.{layer}.{name}.weight"] = heat * noise(rows, columns) / math.sqrt(columns)
            weights[f"blocks.{layer}.{name}.bias"] = 0.2 * noise(rows)
        for name in ("ln_1", "ln_2"):
            weights[f"blocks.{layer}.{name}.weight"] = 1 + 0.3 * noise(dim)
    weights["ln_f.weight"] = 1 + 0.3 * noise(dim)
    weights["head.weight"] = noise(K, dim) / math.sqrt(dim)
    sizes = {"K": K, "m": m, "dim": dim, "num_layers": num_layers, "num_heads": num_heads}
    return Network(sizes, {name: w.to(dtype) for name, w in weights.items()})


SEVERAL = network(0, K=4, m=5, e=3, dtype=torch.float64)  # several of everything: what is mixed up, or left out, shows


def probed_network(seed: int, **sizes: Any) -> Network:
    """A network with a `Probe` in the place of every block."""
    net = network(seed, **sizes)
    weights = {name: w for name, w in net.weights.items() if not name.startswith("blocks.")}
    for layer in range(net.sizes["num_layers"]):
        weights[f"blocks.{layer}.gain"] = 3 * net.weights[f"blocks.{layer}.proj.bias"] + 5 * (layer % 2 - 0.5)
    return Network(net.sizes, weights)


def constant_network(logits: Tensor, m: int = 2) -> Network:
    """A probed network whose logits are the same at every position, whatever came before."""
    result = probed_network(seed=0, K=len(logits), m=m, e=1, num_layers=1, num_heads=1, dtype=logits.dtype)
    weights = {name: torch.zeros_like(w) for name, w in result.weights.items()}
    weights["wpe.weight"] += 1.0
    weights["ln_f.weight"] += math.sqrt(1 + 1e-5)  # undoes the norm of a one
    weights["head.weight"] += logits[:, None]
    return Network(result.sizes, weights)


def untrained_network(seed: int, **sizes: Any) -> Network:
    """A network as training starts from it: small weights, no biases, a head of zeros."""
    result = network(seed, **sizes)
    spread = {"wte": 0.02, "sos": 0.02, "wpe": 0.01, "fc": 0.02, "out": 0.02, "head": 0.0}
    spread["qkv"] = result.sizes["dim"] ** -0.5
    spread["proj"] = (result.sizes["dim"] * result.sizes["num_layers"]) ** -0.5
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, w in result.weights.items():
        layer, kind = f"x.{name}".split(".")[-2:] if "." in name else (name, "weight")
        if layer.startswith("ln_"):
            weights[name] = torch.ones_like(w)
        else:
            weights[name] = torch.randn(w.shape, generator=generator) * (spread[layer] if kind == "weight" else 0.0)
    return Network(result.sizes, weights)


def digits() -> tuple[Tensor, Tensor]:
    """Scikit-learn's digits, averaged to 4 x 4 pixels of 8 grey levels, as sequences (n, 16): 1437 to train on, 360 held out."""
    spec = importlib.util.find_spec("sklearn")  # to import it takes a second
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn: pip install scikit-learn")
    table = numpy.loadtxt(Path(spec.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")  # (n, 64 + 1), the class last
    images = torch.from_numpy(table[:, :-1]).reshape(-1, 4, 2, 4, 2).mean(dim=(2, 4))  # (n, 4, 4) in 0..16
    x = (images / 2).long().clamp(max=7).flatten(1)
    x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    return x[:1437], x[1437:]


def telling_network(law: Callable[..., Tensor], wrong: Callable[..., dict[str, Tensor]], seed: int, m: int, effect: float) -> Network:
    """A probed network with two colours whose law of m pixels tells samplers apart: no image is certain, all laws differ.

    `law` and `wrong` are functions of weights, num_heads and m. Wrong laws differ from the right one by more than
    `effect` in total variation, and from each other by more than 0.1.
    """
    for attempt in range(1000):
        net = probed_network(seed + attempt, K=2, m=m + 1, e=3, num_layers=1)
        net.weights["head.weight"] *= 1.5
        p = law(net.weights, net.num_heads, m)
        if p.max() >= 0.5:
            continue
        laws = list(wrong(net.weights, net.num_heads, m).values())
        from_right = [(q - p).abs().sum() / 2 for q in laws]
        apart = [(q - r).abs().sum() / 2 for q, r in itertools.combinations(laws, 2)]
        if min(from_right) > effect and min(apart) > 0.1:
            return net
    raise ValueError("none of 1000 networks tells samplers apart")


def law_of_the_model(model: Remote, right: Tensor, prefix: Sequence[int] = ()) -> Tensor:
    """The law (K, ..., K) of the pixels after a prefix by the student's own `forward`: what is wrong there costs a sampler nothing.

    It is the truth, `right`, where `forward` gives no law, or one that could not tell samplers apart.
    """
    K, left = right.shape[0], right.dim()
    x = torch.tensor([[*prefix, *rest] for rest in itertools.product(range(K), repeat=left)])
    try:
        logits = model(x)
    except StudentError:
        return right
    if not isinstance(logits, Tensor) or logits.shape != (*x.shape, K) or not logits.is_floating_point():
        return right
    log_p = logits.double().log_softmax(dim=2).gather(2, x[..., None])[:, len(prefix) :, 0].sum(dim=1)
    law = log_p.exp().reshape(right.shape)
    alone = law.sum(dim=tuple(range(1, left)))  # of the first pixel
    dependence = (law - alone.reshape(-1, *[1] * (left - 1)) * law.sum(dim=0)).abs().sum() / 2
    tells = (law.sum() - 1).abs() < BEYOND_ROUNDING and law.max() < 0.8 and dependence > 0.02
    return law if tells and (law - right).abs().max() > BEYOND_ROUNDING else right


@st.composite
def networks(
    draw_: st.DrawFn,
    dtype: torch.dtype | None = None,
    max_layers: int = 2,
    max_m: int = 6,
    min_e: int = 1,
    probes: bool = False,
) -> Network:
    """A network of any small size: one head or several, one layer or several, K = 1 and m = 1 too."""
    return (probed_network if probes else network)(
        draw_(draw.seeds),
        K=draw_(st.integers(1, 5)),
        m=draw_(st.integers(1, max_m)),
        e=draw_(st.integers(min_e, 4)),
        num_layers=draw_(st.integers(1, max_layers)),
        num_heads=draw_(st.integers(1, 3)),
        dtype=draw_(draw.dtypes) if dtype is None else dtype,
    )


def model_of(student: Student, net: Network) -> Remote:
    """The student's ImageGPT with these weights, and with probes for blocks where they are those of probes."""
    config = student.ImageGPTConfig(**net.sizes)
    if "blocks.0.gain" in net.weights:
        return student.run(probed, config, net.weights)
    return student.run(built, "ImageGPT", config, net.weights)


def block_of(student: Student, net: Network) -> Remote:
    """The student's Block with the weights of the first one."""
    return student.run(built, "Block", student.ImageGPTConfig(**net.sizes), net.block())


def cache_of(student: Student, net: Network, module: Remote, n: int) -> Remote:
    """An empty cache for n sequences."""
    config = student.ImageGPTConfig(**net.sizes)
    return student.run(new_cache, module, config, n)


def embedded(net: Network, n: int, t: int, seed: int) -> Tensor:
    """Positions (n, t, dim) for a block or for `decode`, in the network's dtype."""
    return draw.normal((n, t, net.sizes["dim"]), seed, dtype=net.weights["sos"].dtype)


def assert_network_agrees(got: Any, want: Callable[..., Tensor], like: Tensor, *inputs: Any, what: str = "") -> None:
    """`got` is `want(*inputs)`, up to what a rounding of inputs, weights and the largest result does."""
    exact = want(*inputs)
    condition = condition_of(want, *inputs, dtype=like.dtype, trials=3)
    assert_agrees(got, exact, like=like, condition=condition.max(), scale=exact.abs().max(), what=what)
