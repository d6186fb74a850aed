"""What the topics share of their inputs: tensors from a drawn seed, and hypothesis strategies.

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
def pmfs(draw: st.DrawFn) -> Tensor:
    """A pmf over 1 to 6 values; some have values without mass."""
    K, with_zeros = draw(st.integers(1, 6)), draw(st.booleans())
    return pmf((K,), draw(seeds), with_zeros, draw(dtypes))


@st.composite
def columns(draw: st.DrawFn, scale: float) -> Tensor:
    """A column of 1 to 8 values, (n, 1), in float32."""
    return normal((draw(st.integers(1, 8)), 1), draw(seeds), scale)
