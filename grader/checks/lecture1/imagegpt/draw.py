"""Small ImageGPTs for the checks: strategies for their sizes and weights, and how a student's model gets them.

Weights are *hot*: attention is far from uniform, gains and biases are felt, embeddings are not centred. With weights as
they are initialised, a wrong scale or a forgotten mask would hardly move the logits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees
from grader.checking.student import Remote, Student
from grader.checking.tolerance import condition_of
from grader.checks.lecture1.imagegpt.helpers import built, new_cache
from grader.checks.lecture1.shared import draw


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


def constant_network(logits: Tensor, m: int = 2) -> Network:
    """A network whose logits are the same at every position, whatever came before."""
    result = network(seed=0, K=len(logits), m=m, e=1, num_layers=1, num_heads=1, dtype=logits.dtype)
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
    """Scikit-learn's 8 x 8 digits with 17 grey levels as sequences (n, 64): 1437 to train on, 360 held out."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images).long().flatten(1)
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    return images[:1437], images[1437:]


def patches(side: int) -> tuple[Tensor, Tensor]:
    """Patches (n, side^2) of scikit-learn's two photographs in 16 greys: of the left part to train on, of the right one."""
    from sklearn.datasets import load_sample_images

    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    for photograph in load_sample_images().images:
        grey = (torch.tensor(photograph).double().mean(dim=2) / 16).long()  # (H, W), 0..15
        tiles = grey.unfold(0, side, side // 2).unfold(1, side, side // 2)  # (rows, columns, side, side)
        border = int(0.75 * tiles.shape[1])
        for part, chosen in zip(found, (tiles[:, : border - 1], tiles[:, border + 1 :]), strict=True):  # none shared
            part.append(chosen.flatten(0, 1).flatten(1))
    training, held_out = (torch.cat(part) for part in found)
    generator = torch.Generator().manual_seed(0)
    return training[torch.randperm(len(training), generator=generator)], held_out[
        torch.randperm(len(held_out), generator=generator)
    ]


def telling_network(
    law: Callable[..., Tensor], wrong: Callable[..., dict[str, Tensor]], seed: int, m: int, *how: Any, effect: float = 0.1
) -> Network:
    """A network with two colours whose law of m pixels tells samplers apart: no image is certain, all laws differ.

    `law` and `wrong` are functions of the reference: of weights, num_heads, m and `how`. Wrong laws differ from the
    right one by more than `effect` in total variation, and from each other by more than 0.1.
    """
    for attempt in range(1000):
        net = network(seed + attempt, K=2, m=m + 1, e=3, num_layers=1)
        net.weights["head.weight"] *= 1.5
        p = law(net.weights, net.num_heads, m, *how)
        if p.max() >= 0.5:
            continue
        laws = list(wrong(net.weights, net.num_heads, m, *how).values())
        from_right = [(q - p).abs().sum() / 2 for q in laws]
        apart = [(q - r).abs().sum() / 2 for q, r in itertools.combinations(laws, 2)]
        if min(from_right) > effect and min(apart) > 0.1:
            return net
    raise ValueError("none of 1000 networks tells samplers apart")


@st.composite
def networks(draw_: st.DrawFn, dtype: torch.dtype | None = None, max_layers: int = 2, max_m: int = 6) -> Network:
    """A network of any small size: one head or several, one layer or several, K = 1 and m = 1 too."""
    return network(
        draw_(draw.seeds),
        K=draw_(st.integers(1, 5)),
        m=draw_(st.integers(1, max_m)),
        e=draw_(st.integers(1, 4)),
        num_layers=draw_(st.integers(1, max_layers)),
        num_heads=draw_(st.integers(1, 3)),
        dtype=draw_(draw.dtypes) if dtype is None else dtype,
    )


def model_of(student: Student, net: Network) -> Remote:
    """The student's ImageGPT with these weights."""
    return student.run(built, "ImageGPT", student.ImageGPTConfig(**net.sizes), net.weights)


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


def assert_network_agrees(got: Any, want: Callable[..., Tensor], like: Tensor, *inputs: Any) -> None:
    """`got` is `want(*inputs)`, up to what a rounding of inputs, weights and the largest result does."""
    exact = want(*inputs)
    condition = condition_of(want, *inputs, dtype=like.dtype, trials=3)
    assert_agrees(got, exact, like=like, condition=condition.max(), scale=exact.abs().max())
