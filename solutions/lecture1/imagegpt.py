# %% [markdown]
# # ImageGPT: a transformer over the pixels of an image
#
# The last model of the lecture (slides 43 and 44). An image becomes a sequence of $m$ values by the raster scan,
# and the autoregressive likelihood of slide 39 does the rest:
#
# $$p_{\theta}(\mathbf{x}) = \prod_{j=1}^{\text{width} \times \text{height}} p_{\theta}(x_j | \mathbf{x}_{1:j-1}).$$
#
# A Markov model looks at the last $d$ values; a transformer looks at all of them, and one set of parameters
# serves every $j$. You write what computes. Every layer is made for you in `__init__`, with the names of the
# published ImageGPT, so that its weights fit your model.
#
# Letters, here and in the comments at line ends: `n` images, `m` pixels in a sequence, `K` colours, `t` positions
# at hand, `h` heads of size `e`, `dim = h e`.
#
# **What holds everywhere:**
#
# - Arguments are legal: samples are there, shapes fit, sizes are at least 1. Check nothing unless a docstring says so.
# - The first axis is the batch. Results have the dtype and device of the floating-point inputs; integers are `int64`.
# - Leave the tensors you are given as they are. Results are differentiable (not samples, counts and indices).
# - A probability of zero is a log-probability of `-inf`, never `nan`, and $0\log0=0$. Use the numerically stable form.
# - Draw from the `generator` you are given alone. Callables are batched torch code, row by row, for any $n\ge1$.
#
# With a GPU at hand, `dgm check imagegpt.gpu --device cuda` asks your model to stay on it, to be as accurate there as
# its dtype allows, and to profit from its cache (2 points; without a GPU they are not graded).

# %%
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

# %% [markdown]
# ## Images as sequences
#
# Slide 43: *a pixel ordering must be selected; the raster scan is a standard choice.* Rows from top to bottom,
# the pixels of a row from left to right, and the channels of a pixel next to each other, so that they can depend
# on each other too.


# %% raster_scan
def raster_scan(images: Shaped[Tensor, "n C H W"]) -> Shaped[Tensor, "n m"]:
    r"""Images as sequences: row by row, pixel by pixel, the channels of a pixel next to each other.

    $$x_{(hW + w)C + c} = \mathrm{image}_{c,h,w}$$

    Shapes: ``images``: ``(n, C, H, W)``, of any dtype; result ``(n, H*W*C)``.
    Slide: 43.

    >>> raster_scan(torch.tensor([[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]))
    tensor([[0, 4, 1, 5, 2, 6, 3, 7]])
    """
    # BEGIN SOLUTION raster_scan
    return images.permute(0, 2, 3, 1).reshape(len(images), -1)  # (n, C, H, W) -> (n, H, W, C) -> (n, H*W*C)
    # END SOLUTION raster_scan


# %% inverse_raster_scan
def inverse_raster_scan(x: Shaped[Tensor, "n m"], C: int, H: int, W: int) -> Shaped[Tensor, "n C H W"]:
    r"""The images whose raster scans are given.

    $$\mathrm{image}_{c,h,w} = x_{(hW + w)C + c}$$

    Shapes: ``x``: ``(n, H*W*C)``, of any dtype; result ``(n, C, H, W)``.
    Slide: 43.

    >>> inverse_raster_scan(torch.tensor([[0, 4, 1, 5, 2, 6, 3, 7]]), C=2, H=2, W=2)
    tensor([[[[0, 1],
              [2, 3]],
    <BLANKLINE>
             [[4, 5],
              [6, 7]]]])
    """
    # BEGIN SOLUTION inverse_raster_scan
    return x.reshape(len(x), H, W, C).permute(0, 3, 1, 2)  # (n, H*W*C) -> (n, H, W, C) -> (n, C, H, W)
    # END SOLUTION inverse_raster_scan


# %% [markdown]
# ## A palette makes pixels discrete
#
# Three channels of 256 values would make a sequence three times as long. ImageGPT clusters the colours of its
# data set into a palette of $K = 512$ and writes the index of the nearest one: one token a pixel. Grey levels are
# a palette with one channel.


# %% quantize
def quantize(images: Float[Tensor, "n C H W"], palette: Float[Tensor, "K C"]) -> Int[Tensor, "n H W"]:
    r"""The index of the palette's nearest colour for each pixel, the lowest index where two are equally near.

    $$k_{h,w} = \arg\min_k \lVert \mathrm{image}_{:,h,w} - \mathrm{palette}_k \rVert_2$$

    Distances are as accurate as differences of colours: $\lVert a \rVert^2 - 2 a^\top b + \lVert b \rVert^2$ cancels.

    Shapes: ``images``: ``(n, C, H, W)``, ``palette``: ``(K, C)``; result ``(n, H, W)``, int64 in ``0..K-1``.
    Slide: 43.

    >>> quantize(torch.tensor([[[[0.1, 0.9], [0.5, 2.0]]]]), palette=torch.tensor([[0.0], [1.0]]))
    tensor([[[0, 1],
             [0, 1]]])
    """
    # BEGIN SOLUTION quantize
    difference = images[:, None] - palette[None, :, :, None, None]  # (n, K, C, H, W)
    return difference.square().sum(dim=2).argmin(dim=1)  # (n, H, W)
    # END SOLUTION quantize


# %% dequantize
def dequantize(tokens: Int[Tensor, "n H W"], palette: Float[Tensor, "K C"]) -> Float[Tensor, "n C H W"]:
    r"""The images whose pixels are the palette's colours: the inverse of ``quantize`` on such images.

    $$\mathrm{image}_{:,h,w} = \mathrm{palette}_{k_{h,w}}$$

    Shapes: ``tokens``: ``(n, H, W)`` in ``0..K-1``, ``palette``: ``(K, C)``; result ``(n, C, H, W)``.
    Slide: 43.

    >>> dequantize(torch.tensor([[[0, 1], [1, 0]]]), palette=torch.tensor([[0.0], [1.0]]))
    tensor([[[[0., 1.],
              [1., 0.]]]])
    """
    # BEGIN SOLUTION dequantize
    return palette[tokens].permute(0, 3, 1, 2)  # (n, H, W, C) -> (n, C, H, W)
    # END SOLUTION dequantize


# %% [markdown]
# ## The transformer
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt{e}} + \text{causal mask}\right) V$$
#
# The mask keeps position $j$ from seeing positions after $j$: this is what makes the network a product of
# conditionals.


# %% causal_attention
def causal_attention(
    q: Float[Tensor, "n h t e"], k: Float[Tensor, "n h s e"], v: Float[Tensor, "n h s e"]
) -> Float[Tensor, "n h t e"]:
    r"""Scaled dot-product attention in which a query sees the keys up to its own position.

    $$a_i = \sum_{j \le i} w_{ij} v_j, \qquad
    w_{ij} = \frac{\exp(q_i^\top k_j / \sqrt{e})}{\sum_{l \le i} \exp(q_i^\top k_l / \sqrt{e})}$$

    There may be more keys than queries: the queries are then the *last* ``t`` of the ``s`` positions.

    Shapes: ``q``: ``(n, h, t, e)``, ``k``, ``v``: ``(n, h, s, e)`` with ``s >= t``; result ``(n, h, t, e)``.
    Slide: 44.

    >>> q = k = torch.zeros(1, 1, 3, 1)
    >>> causal_attention(q, k, v=torch.tensor([[[[2.0], [4.0], [9.0]]]])).flatten()
    tensor([2., 3., 5.])
    """
    # BEGIN SOLUTION causal_attention
    t, s = q.shape[2], k.shape[2]
    future = torch.ones(t, s, dtype=torch.bool, device=q.device).triu(s - t + 1)  # query i stands at position s - t + i
    scores = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).masked_fill(future, -math.inf)  # (n, h, t, s)
    return scores.softmax(dim=-1) @ v  # (n, h, t, e)
    # END SOLUTION causal_attention


# %% [markdown]
# A sampler calls the network once a pixel. The keys and values of the pixels before never change (the mask
# again), so they are computed once and kept. `KVCache` is given.


# %% ImageGPTConfig and KVCache
@dataclass
class ImageGPTConfig:
    K: int  # colours of the palette
    m: int  # length of the longest sequence
    dim: int  # width of the network
    num_layers: int
    num_heads: int

    def __post_init__(self) -> None:
        if min(self.K, self.m, self.dim, self.num_layers, self.num_heads) < 1 or self.dim % self.num_heads:
            raise ValueError(f"K, m, dim, num_layers, num_heads must be positive, dim a multiple of num_heads: {self}")


class KVCache:
    """The keys and values of every layer at the positions computed so far, at most ``config.m`` of them.

    ``len(cache)`` is the number of positions that all layers have completed.
    """

    def __init__(self, config: ImageGPTConfig, n: int, device: torch.device, dtype: torch.dtype) -> None:
        shape = (config.num_layers, n, config.num_heads, config.m, config.dim // config.num_heads)
        self.keys = torch.empty(shape, device=device, dtype=dtype)  # (layers, n, h, m, e)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.lengths = [0] * config.num_layers  # Python numbers: reading them never waits for a GPU

    def append(
        self, layer: int, k: Float[Tensor, "n h t e"], v: Float[Tensor, "n h t e"]
    ) -> tuple[Float[Tensor, "n h s e"], Float[Tensor, "n h s e"]]:
        """Store the keys and values of ``t`` new positions of a layer; all of that layer so far come back."""
        start = self.lengths[layer]
        stop = start + k.shape[2]
        if stop > self.keys.shape[3]:
            raise ValueError(f"k: {stop} positions do not fit into a cache for {self.keys.shape[3]}")
        self.keys[layer, :, :, start:stop] = k
        self.values[layer, :, :, start:stop] = v
        self.lengths[layer] = stop
        return self.keys[layer, :, :, :stop], self.values[layer, :, :, :stop]

    def __len__(self) -> int:
        return min(self.lengths)


# %% [markdown]
# A block adds two things to its input: what attention gathers from the positions before, and what an MLP makes of
# each position. Both see a *normalised* input (pre-norm), and the sums (residuals) are never normalised.
# `nn.RMSNorm` divides by the root mean square, subtracts no mean and has a gain only.


# %% Block
class Block(nn.Module):
    def __init__(self, config: ImageGPTConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.ln_1 = nn.RMSNorm(config.dim, eps=1e-5)
        self.qkv = nn.Linear(config.dim, 3 * config.dim)  # queries, keys, values; heads contiguous within each
        self.proj = nn.Linear(config.dim, config.dim)
        self.ln_2 = nn.RMSNorm(config.dim, eps=1e-5)
        self.fc = nn.Linear(config.dim, 4 * config.dim)
        self.out = nn.Linear(4 * config.dim, config.dim)

    def forward(
        self, h: Float[Tensor, "n t dim"], layer: int, cache: KVCache | None = None
    ) -> Float[Tensor, "n t dim"]:
        r"""Pre-norm attention and MLP, each with a residual.

        $$a = h + \mathrm{proj}(\mathrm{Attention}(q, k, v)), \quad (q, k, v) = \mathrm{qkv}(\mathrm{ln}_1(h))$$
        $$h' = a + \mathrm{out}(g(\mathrm{fc}(\mathrm{ln}_2(a)))), \quad g(x) = x\,\sigma(1.702\,x)$$

        With a cache, ``h`` holds the ``t`` positions after those stored, and stores keys and values as ``layer``'s.

        Shapes: ``h`` and result: ``(n, t, dim)``.
        Slide: 44.

        >>> config = ImageGPTConfig(K=2, m=4, dim=2, num_layers=1, num_heads=1)
        >>> block, cache, h = Block(config), KVCache(config, 1, "cpu", torch.float32), torch.ones(1, 3, 2)
        >>> whole, pieces = block(h, 0), [block(h[:, :2], 0, cache), block(h[:, 2:], 0, cache)]
        >>> torch.allclose(whole, torch.cat(pieces, dim=1), atol=1e-6), len(cache)
        (True, 3)
        """
        # BEGIN SOLUTION Block.forward
        n, t, dim = h.shape
        qkv = self.qkv(self.ln_1(h)).view(n, t, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (n, h, t, e)
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (n, h, s, e)
        a = causal_attention(q, k, v)  # (n, h, t, e)
        h = h + self.proj(a.transpose(1, 2).reshape(n, t, dim))
        z = self.fc(self.ln_2(h))  # (n, t, 4 dim)
        return h + self.out(z * torch.sigmoid(1.702 * z))
        # END SOLUTION Block.forward


# %% [markdown]
# Position $j$ of the network predicts $x_j$ and may not see it: its input is the value *before*, $x_{j-1}$, and a
# learned start vector where there is none. To this comes a learned vector for the position itself.

# %%
# BEGIN SOLUTION embedding
def _embed(model: ImageGPT, x: Int[Tensor, "n m"], start: int, stop: int) -> Float[Tensor, "n t dim"]:
    """Positions start..stop-1 as the blocks meet them: the value before each, and where it stands."""
    before = model.wte(x[:, max(start - 1, 0) : stop - 1])
    if start == 0:
        before = torch.cat([model.sos.expand(len(x), 1, -1), before], dim=1)
    return before + model.wpe.weight[start:stop]  # (n, stop - start, dim)
# END SOLUTION embedding


# %% ImageGPT
class ImageGPT(nn.Module):
    def __init__(self, config: ImageGPTConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.K, config.dim)
        self.sos = nn.Parameter(torch.zeros(config.dim))
        self.wpe = nn.Embedding(config.m, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.ln_f = nn.RMSNorm(config.dim, eps=1e-5)
        self.head = nn.Linear(config.dim, config.K, bias=False)
        self.initialize()

    def initialize(self) -> None:
        """As published: a head of zeros, so that training starts from the uniform distribution, at log K nats."""
        dim, num_layers = self.config.dim, self.config.num_layers
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            nn.init.normal_(block.qkv.weight, std=dim**-0.5)
            nn.init.normal_(block.proj.weight, std=(dim * num_layers) ** -0.5)
        nn.init.normal_(self.sos, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.01)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Int[Tensor, "n m"]) -> Float[Tensor, "n m K"]:
        r"""Logits of $p_{\theta}(x_j | \mathbf{x}_{1:j-1})$ for every position at once.

        $$h_j = \mathrm{wte}_{x_{j-1}} + \mathrm{wpe}_j, \qquad h_1 = \mathrm{sos} + \mathrm{wpe}_1$$

        Shapes: ``x``: ``(n, m)`` in ``0..K-1``, with ``m`` up to ``config.m``; result ``(n, m, K)``, what ``decode``
        gives: the output of the head.
        Slide: 44.

        >>> model = ImageGPT(ImageGPTConfig(K=2, m=4, dim=2, num_layers=1, num_heads=1))
        >>> _ = torch.nn.init.normal_(model.head.weight)  # as published it is zero
        >>> one, other = model(torch.tensor([[0, 1, 0], [0, 1, 1]]))  # the last pixel differs, which nobody sees
        >>> torch.equal(one, other)
        True
        """
        # BEGIN SOLUTION ImageGPT.forward
        return self.decode(_embed(self, x, 0, x.shape[1]))
        # END SOLUTION ImageGPT.forward

    def decode(self, h: Float[Tensor, "n t dim"], cache: KVCache | None = None) -> Float[Tensor, "n t K"]:
        r"""Logits from embedded positions: the blocks in turn, the last norm, the head.

        $$\mathrm{logits} = \mathrm{head}(\mathrm{ln}_f(\mathrm{block}_L(\cdots \mathrm{block}_1(h))))$$

        No positions are added: ``h`` carries them. With a cache, ``h`` holds the ``t`` positions after those stored.

        Shapes: ``h``: ``(n, t, dim)``; result ``(n, t, K)``.
        Slide: 44.
        """
        # BEGIN SOLUTION ImageGPT.decode
        for layer, block in enumerate(self.blocks):
            h = block(h, layer, cache)
        return self.head(self.ln_f(h))
        # END SOLUTION ImageGPT.decode


# %% [markdown]
# ## Likelihood and training
#
# The likelihood of an image depends on how many pixels it has. Per dimension, and in bits, it can be compared: a
# uniform guess costs $\log_2 K$ bits per dimension.


# %% bits_per_dim
def bits_per_dim(log_prob: Float[Tensor, " n"], num_dims: int) -> Float[Tensor, " n"]:
    r"""Negative log-likelihood in bits per dimension.

    $$-\frac{\log p_{\theta}(\mathbf{x})}{\mathrm{num\_dims} \cdot \log 2}$$

    Shapes: ``log_prob``: ``(n,)``, in nats; result ``(n,)``, in bits.
    Slide: 43.

    >>> bits_per_dim(torch.tensor([-64 * math.log(2.0)]), num_dims=64)
    tensor([1.])
    """
    # BEGIN SOLUTION bits_per_dim
    return -log_prob / (num_dims * math.log(2))
    # END SOLUTION bits_per_dim


# %% train_step
def train_step(model: ImageGPT, optimizer: torch.optim.Optimizer, x: Int[Tensor, "n m"]) -> float:
    r"""One step of maximum likelihood on a batch; returns the loss before the step, in nats per dimension.

    $$L(\theta) = -\frac{1}{nm} \sum_{i=1}^n \sum_{j=1}^m \log p_{\theta}(x_{ij} | \mathbf{x}_{i,1:j-1})$$

    The gradient of this batch alone, as it is: gradients left from before do not count, nothing is clipped.

    Shapes: ``x``: ``(n, m)`` in ``0..K-1``; result a Python ``float``.
    Slide: 44.

    >>> model = ImageGPT(ImageGPTConfig(K=8, m=3, dim=2, num_layers=1, num_heads=1))  # its head is zero: log 8 nats
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> round(train_step(model, optimizer, torch.zeros(1, 3, dtype=torch.int64)), 4)
    2.0794
    >>> train_step(model, optimizer, torch.zeros(1, 3, dtype=torch.int64)) < 2.0794
    True
    """
    # BEGIN SOLUTION train_step
    loss = F.cross_entropy(model(x).transpose(1, 2), x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
    # END SOLUTION train_step


# %% [markdown]
# ## Sampling
#
# Ancestral sampling as on slide 39, one pixel after the other, now with the cache: a step feeds the network one
# position instead of the whole prefix. A prefix that is given is kept: the model completes the image.
#
# *Temperature* $T$ divides the logits; *top-k* keeps the $k$ likeliest values. $T < 1$ and top-k make samples cleaner
# and less diverse, $T > 1$ wilder: only $T = 1$ without top-k draws from $p_{\theta}$.

# %%
# BEGIN SOLUTION drawing
def _draw(
    logits: Float[Tensor, "n K"], generator: torch.Generator, temperature: float, top_k: int | None
) -> Int[Tensor, " n"]:
    """One value a row from softmax(logits / temperature) over the top_k likeliest."""
    if top_k is not None and top_k < logits.shape[1]:
        values, indices = logits.topk(top_k, dim=1)  # exactly k of them, also when some are tied
        logits = torch.full_like(logits, -math.inf).scatter(1, indices, values)
    scaled = (logits - logits.amax(dim=1, keepdim=True)) / temperature  # no overflow however cold
    return torch.multinomial(scaled.softmax(dim=1), 1, generator=generator)[:, 0]
# END SOLUTION drawing


# %% sample
def sample(
    model: ImageGPT,
    n: int,
    m: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    prefix: Int[Tensor, "n t"] | None = None,
    use_cache: bool = True,
) -> Int[Tensor, "n m"]:
    r"""Ancestral sampling with a key/value cache.

    $$\hat{x}_j \sim \mathrm{softmax}\left(\mathrm{logits}_j(\hat{\mathbf{x}}_{1:j-1}) / T\right)$$

    among the ``top_k`` likeliest values: exactly ``top_k`` of them (which of tied ones is open), all where
    ``top_k >= K``. Any temperature above zero is a temperature, however small. The model runs in eval mode, and
    ``model.training`` is afterwards what it was. The law is the same with and without a cache.

    Shapes: ``prefix``: ``(n, t)`` with ``0 <= t <= m <= config.m``, kept as given; result ``(n, m)``, int64, on the
    model's device.
    Raises: ``ValueError`` if ``temperature <= 0``, ``top_k < 1``, or ``prefix`` is longer than ``m``.
    Slide: 44.

    >>> model = ImageGPT(ImageGPTConfig(K=2, m=4, dim=2, num_layers=1, num_heads=1))  # its head is zero: fair coins
    >>> sample(model, 1000, 4, torch.Generator().manual_seed(0)).float().mean().round(decimals=1)
    tensor(0.5000)
    >>> sample(model, 1, 4, torch.Generator().manual_seed(0), prefix=torch.tensor([[1, 0, 1]]))[:, :3]
    tensor([[1, 0, 1]])
    """
    # BEGIN SOLUTION sample
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
    if prefix is not None and prefix.shape[1] > m:
        raise ValueError(f"a prefix of {prefix.shape[1]} pixels does not fit into {m}")

    x = torch.zeros(n, m, dtype=torch.int64, device=model.sos.device)
    start = 0
    if prefix is not None:
        start = prefix.shape[1]
        x[:, :start] = prefix
    cache = KVCache(model.config, n, model.sos.device, model.sos.dtype) if use_cache else None
    training = model.training
    model.eval()
    with torch.no_grad():
        for j in range(start, m):
            new = 0 if cache is None else len(cache)  # the first position that has not been computed yet
            logits = model.decode(_embed(model, x, new, j + 1), cache)[:, -1]  # (n, K)
            x[:, j] = _draw(logits, generator, temperature, top_k)
    model.train(training)
    return x
    # END SOLUTION sample


# %% [markdown]
# ## What it has learnt
#
# All of it at work: your `train_step` trains a model of 8 x 8 digits in 17 grey levels. `dgm show imagegpt` (`show` in
# the notebook) pictures what it draws, how it completes the upper half of a digit, which pixels surprise it, and where
# it looks. 150 steps take a quarter of a minute; 600 draw better digits.

# %% tags=["active-ipynb"]
# show(steps=150)
