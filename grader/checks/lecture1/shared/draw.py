"""Hypothesis strategies that the topics share: pmfs, batches of vectors, parameters of families.

Random tensors come from a drawn integer seed and a local generator, so an example is a few small numbers to hypothesis
and shrinks well. Values are rounded to two decimals, so a counterexample fits on a line and can be typed in.
"""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.recipe import recipe

DTYPES = (torch.float32, torch.float64)


@recipe
def normal(shape: tuple[int, ...], seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Independent N(0, scale^2) values, rounded to two decimals of the scale."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (values.round(decimals=2) * scale).to(dtype)


@recipe
def uniform(shape: tuple[int, ...], seed: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Independent uniform values in [low, high], rounded to two decimals of the width."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (low + (high - low) * values.round(decimals=2)).to(dtype)


@recipe
def integers(shape: tuple[int, ...], seed: int, high: int) -> Tensor:
    """Independent uniform values in 0..high - 1, int64."""
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


@recipe
def pmf(shape: tuple[int, ...], seed: int, zeros: bool = False, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pmfs over the last axis; with ``zeros`` about a third of the values carry no mass."""
    generator = torch.Generator().manual_seed(seed)
    mass = torch.randint(1, 100, shape, generator=generator).double()  # whole numbers: no value is tiny by accident
    if zeros:
        empty = torch.rand(shape, generator=generator, dtype=torch.float64) < 1 / 3
        keep = torch.randint(shape[-1], (*shape[:-1], 1), generator=generator)  # one value of each pmf has mass
        mass = mass.masked_fill(empty.scatter(-1, keep, False), 0.0)
    return (mass / mass.sum(dim=-1, keepdim=True)).to(dtype)


seeds = st.integers(0, 2**31 - 1)
dtypes = st.sampled_from(DTYPES)


@st.composite
def pmfs(
    draw: st.DrawFn, K: int | None = None, max_K: int = 6, batch: tuple[int, ...] = (), zeros: bool = True, dtype: torch.dtype | None = None
) -> Tensor:
    """A pmf over K values (1..max_K if not given), or a batch of them; with ``zeros`` some have values without mass."""
    K = draw(st.integers(1, max_K)) if K is None else K
    with_zeros = zeros and draw(st.booleans())
    return pmf((*batch, K), draw(seeds), with_zeros, draw(dtypes) if dtype is None else dtype)


@st.composite
def vectors(
    draw: st.DrawFn,
    n: int | None = None,
    m: int | None = None,
    max_n: int = 8,
    max_m: int = 4,
    scale: float = 1.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """A batch of n vectors (1..max_n if not given) of m dimensions (1..max_m if not given)."""
    n = draw(st.integers(1, max_n)) if n is None else n
    m = draw(st.integers(1, max_m)) if m is None else m
    return normal((n, m), draw(seeds), scale, draw(dtypes) if dtype is None else dtype)
