"""ImageGPT as the paper and OpenAI's code write it: one head after the other, one position after the other, no mask.

A model is its state dict, `weights`, by the contract's names, and `num_heads`. A query meets its keys because the loop
stops at its position, and every sampler's law is the sum over all sequences. All floating tensors are float64.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def raster_scan(images: Tensor) -> Tensor:
    """Images (n, C, H, W) to sequences (n, H*W*C): rows, the pixels of a row, the channels of a pixel."""
    n, C, H, W = images.shape
    x = images.new_empty(n, H * W * C)
    for place, (h, w, c) in enumerate(itertools.product(range(H), range(W), range(C))):
        x[:, place] = images[:, c, h, w]
    return x


def inverse_raster_scan(x: Tensor, C: int, H: int, W: int) -> Tensor:
    """The images (n, C, H, W) of given sequences."""
    images = x.new_empty(len(x), C, H, W)
    for place, (h, w, c) in enumerate(itertools.product(range(H), range(W), range(C))):
        images[:, c, h, w] = x[:, place]
    return images


def quantize(images: Tensor, palette: Tensor) -> Tensor:
    """Search the whole palette for every pixel; only a nearer colour displaces one that was found before."""
    n, _, H, W = images.shape
    tokens = torch.zeros(n, H, W, dtype=torch.int64)
    for i, h, w in itertools.product(range(n), range(H), range(W)):
        nearest = math.inf
        for index, colour in enumerate(palette):
            distance = math.dist(images[i, :, h, w].tolist(), colour.tolist())
            if distance < nearest:
                nearest, tokens[i, h, w] = distance, index
    return tokens


def dequantize(tokens: Tensor, palette: Tensor) -> Tensor:
    """Paint every pixel with its colour."""
    n, H, W = tokens.shape
    images = palette.new_empty(n, palette.shape[1], H, W)
    for i, h, w in itertools.product(range(n), range(H), range(W)):
        images[i, :, h, w] = palette[tokens[i, h, w]]
    return images


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each query in turn: the mean of the values up to its position, weighted by exp(q . k / sqrt(e))."""
    t, s, e = q.shape[2], k.shape[2], q.shape[3]
    rows = []
    for i in range(t):
        seen = s - t + i + 1  # the queries are the last t of s positions
        scores = (q[:, :, i, None] * k[:, :, :seen]).sum(dim=-1) / math.sqrt(e)  # (n, h, seen)
        mass = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
        rows.append((mass[..., None] * v[:, :, :seen]).sum(dim=2) / mass.sum(dim=-1, keepdim=True))  # (n, h, e)
    return torch.stack(rows, dim=2)


def norm(z: Tensor, gain: Tensor) -> Tensor:
    """Divide by the root mean square; no mean is subtracted and nothing is added."""
    return gain * z / torch.sqrt((z * z).mean(dim=-1, keepdim=True) + 1e-5)


def block(weights: Weights, num_heads: int, h: Tensor) -> Tensor:
    """One block on a whole sequence h: (n, t, dim), with the state dict of a block."""
    dim = h.shape[-1]
    e = dim // num_heads
    z = norm(h, weights["ln_1.weight"])
    a = h + weights["proj.bias"]
    for head in range(num_heads):
        q, k, v = (
            z @ weights["qkv.weight"][start : start + e].T + weights["qkv.bias"][start : start + e]
            for start in (head * e, dim + head * e, 2 * dim + head * e)
        )  # each (n, t, e)
        seen = causal_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        a = a + seen @ weights["proj.weight"][:, head * e : (head + 1) * e].T
    z = norm(a, weights["ln_2.weight"]) @ weights["fc.weight"].T + weights["fc.bias"]
    return a + (z / (1 + torch.exp(-1.702 * z))) @ weights["out.weight"].T + weights["out.bias"]


def probe(gain: Tensor, h: Tensor) -> Tensor:
    """What the checks' `Probe` does in the place of a block: each position hears what all up to it say, on average."""
    heard = [h[:, : j + 1].tanh().mean(dim=1) for j in range(h.shape[1])]
    return h + gain * torch.stack(heard, dim=1)


def decode(weights: Weights, num_heads: int, h: Tensor) -> Tensor:
    """Logits of a whole embedded sequence h: (n, t, dim)."""
    num_layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    for layer in range(num_layers):
        own = f"blocks.{layer}."
        mine = {name.removeprefix(own): w for name, w in weights.items() if name.startswith(own)}
        h = probe(mine["gain"], h) if "gain" in mine else block(mine, num_heads, h)
    return norm(h, weights["ln_f.weight"]) @ weights["head.weight"].T


def embed(weights: Weights, x: Tensor) -> Tensor:
    """What position j of the network is given: the value before it, or the start vector, and its place."""
    n, m = x.shape
    positions = []
    for j in range(m):
        before = weights["sos"].expand(n, -1) if j == 0 else weights["wte.weight"][x[:, j - 1]]
        positions.append(before + weights["wpe.weight"][j])
    return torch.stack(positions, dim=1)  # (n, m, dim)


def forward(weights: Weights, num_heads: int, x: Tensor) -> Tensor:
    """Logits (n, m, K) of p(x_j | x_{1:j-1})."""
    return decode(weights, num_heads, embed(weights, x))


def forward_on_device(weights: Weights, num_heads: int, x: Tensor, mode: str, device: str) -> Tensor:
    """The same in float32 on a device, under bfloat16 autocast if `mode` says so: the error to expect there.

    A GPU is opened in a process of its own: graders are forked, and CUDA does not survive that.
    """
    if device == "cpu":
        return _forward_on_device(weights, num_heads, x, mode, device)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(_forward_on_device, weights, num_heads, x, mode, device).result()


def _forward_on_device(weights: Weights, num_heads: int, x: Tensor, mode: str, device: str) -> Tensor:
    there = {name: w.to(device, torch.float32) for name, w in weights.items()}
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=mode == "bfloat16"):
            return forward(there, num_heads, x.to(device)).double().cpu()
    finally:
        torch.set_float32_matmul_precision(before)


def log_prob(weights: Weights, num_heads: int, x: Tensor) -> Tensor:
    """Log-likelihood (n,) of sequences, in nats."""
    logits = forward(weights, num_heads, x)
    total = torch.zeros(len(x), dtype=logits.dtype)
    for j in range(x.shape[1]):
        total = total + logits[torch.arange(len(x)), j, x[:, j]] - torch.logsumexp(logits[:, j], dim=-1)
    return total


def bits_per_dim(log_prob: Tensor, num_dims: int) -> Tensor:
    """How many binary digits a dimension costs."""
    return -(log_prob / math.log(2)) / num_dims


def joint_pmf(
    weights: Weights,
    num_heads: int,
    m: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    prefix: Tensor | None = None,
) -> Tensor:
    """The sampler's law of the m - t values after a prefix (t,), a table (K, ..., K): a product for every sequence."""
    K = weights["head.weight"].shape[0]
    given = torch.empty(0, dtype=torch.int64) if prefix is None else prefix
    x = torch.cat([given.expand(K ** (m - len(given)), -1), _all_sequences(K, m - len(given))], dim=1)
    logits = forward(weights, num_heads, x) / temperature  # (K^(m-t), m, K)
    if top_k is not None and top_k < K:
        threshold = logits.sort(dim=-1, descending=True).values[..., top_k - 1 : top_k]
        logits = torch.where(logits >= threshold, logits, -math.inf)
    return _product(logits.softmax(dim=-1), x, len(given))


def mistaken_joint_pmfs(weights: Weights, num_heads: int, m: int) -> dict[str, Tensor]:
    """The laws of samplers with one misunderstanding each, by the name of the registered mistake."""
    x = _all_sequences(weights["head.weight"].shape[0], m)
    logits = forward(weights, num_heads, x)
    late = torch.cat([logits[:, :1], logits[:, :-1]], dim=1)
    at_zero = {**weights, "wpe.weight": weights["wpe.weight"][:1].expand(m, -1)}
    twice = {**weights, "wpe.weight": 2 * weights["wpe.weight"]}
    return {
        "all_pixels_at_once": _product(forward(weights, num_heads, torch.zeros_like(x)).softmax(dim=-1), x),
        "reads_the_logits_of_the_pixel_before": _product(late.softmax(dim=-1), x),
        "softmax_twice": _product(logits.softmax(dim=-1).softmax(dim=-1), x),
        "every_step_at_position_zero": _product(forward(at_zero, num_heads, x).softmax(dim=-1), x),
        "adds_positions_twice": _product(forward(twice, num_heads, x).softmax(dim=-1), x),
    }


def _all_sequences(K: int, m: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(K), repeat=m)), dtype=torch.int64).reshape(-1, m)  # (K^m, m)


def _product(pi: Tensor, x: Tensor, start: int = 0) -> Tensor:
    """The table (K, ..., K) of products over j >= start of the conditionals pi: (n, m, K), one row for every sequence."""
    p = torch.ones(len(x), dtype=torch.float64)
    for j in range(start, x.shape[1]):
        p = p * pi[torch.arange(len(x)), j, x[:, j]]
    return p.reshape([pi.shape[-1]] * (x.shape[1] - start))


def causal_attention_gradients(q: Tensor, k: Tensor, v: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    """Gradients of (w * attention).sum() with respect to q, k and v."""
    with torch.enable_grad():
        leaves = [x.clone().requires_grad_() for x in (q, k, v)]
        return torch.autograd.grad((w * causal_attention(*leaves)).sum(), leaves)


def block_gradients(weights: Weights, num_heads: int, h: Tensor, w: Tensor) -> tuple[Tensor, Weights]:
    """Gradients of (w * block).sum() with respect to h and to every parameter."""
    with torch.enable_grad():
        leaf, moved = h.clone().requires_grad_(), {name: p.clone().requires_grad_() for name, p in weights.items()}
        total = (w * block(moved, num_heads, leaf)).sum()
        of_h, *of_weights = torch.autograd.grad(total, [leaf, *moved.values()])
    return of_h, dict(zip(moved, of_weights, strict=True))
