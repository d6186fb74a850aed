"""Inputs that the topics share: tensors from a drawn integer seed, in both dtypes.

Values are rounded to two decimals, so a counterexample fits on a line and can be typed in.
"""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

DTYPES = (torch.float32, torch.float64)

seeds = st.integers(0, 2**31 - 1)
dtypes = st.sampled_from(DTYPES)


def normal(shape: tuple[int, ...], seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Independent N(0, scale^2) values, rounded to two decimals of the scale."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (values.round(decimals=2) * scale).to(dtype)


def uniform(shape: tuple[int, ...], seed: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Independent uniform values in [low, high], rounded to two decimals of the width."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (low + (high - low) * values.round(decimals=2)).to(dtype)


def integers(shape: tuple[int, ...], seed: int, high: int) -> Tensor:
    """Independent uniform values in 0..high - 1, int64."""
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


def tensor(values: object, dtype: torch.dtype = torch.float64) -> Tensor:
    """The values as a floating-point tensor."""
    return torch.tensor(values, dtype=dtype)
