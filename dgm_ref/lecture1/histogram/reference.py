"""Histograms by counting one sample at a time, in exact fractions, and parameters table by table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from dgm_ref.lecture1.histogram.pairs import broken_pair, honest_pair, honest_twin, unlucky_pair

__all__ = [
    "broken_pair", "fit_conditional_histogram", "fit_histogram", "histogram_log_prob", "honest_pair", "honest_twin",
    "num_parameters", "unlucky_pair",
]  # fmt: skip


def fit_histogram(x: Tensor, num_bins: int) -> Tensor:
    """The share of samples in each bin."""
    samples = x.tolist()
    return _float64([Fraction(samples.count(k), len(samples)) for k in range(num_bins)])


def histogram_log_prob(pi: Tensor, x: Tensor) -> Tensor:
    """The logarithm of each sample's bin."""
    probabilities = [pi[k].item() for k in x.tolist()]
    return _float64([math.log(p) if p > 0 else -math.inf for p in probabilities])


def fit_conditional_histogram(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    """One histogram for each class, of the samples that carry its label."""
    rows = []
    for c in range(num_classes):
        samples = x[y == c]
        rows.append(fit_histogram(samples, num_bins) if len(samples) else _float64([math.nan] * num_bins))
    return torch.stack(rows)


def num_parameters(m: int, K: int, order: int | None) -> int:
    """Variable after variable: one table row for each context it may see, K - 1 free numbers in a row."""
    total = 0
    for before in range(m):  # so many variables come before this one
        seen = before if order is None else min(before, order)
        total += K**seen * (K - 1)
    return total


def _float64(values: Sequence[float]) -> Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float64)
