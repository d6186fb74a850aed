r"""Noise that should be standard normal, closely: its width, its mean and its shape.

Noise is counted in cells between the `EDGES`, which lose 3 % of what the noise itself tells about its width, and the
counts are put to `assert_follows_pmf` with the laws of the usual mistakes as named ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.statistics.categorical import assert_follows_pmf

EDGES = torch.tensor([-3.2, -2.5, -1.9, -1.4, -1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0, 1.4, 1.9, 2.5, 3.2]).double()
EVEN = 0.04  # a column's mean is so near to its expectation, in its own standard deviations, once in 31 times
FALSE_ALARM_RATE = 1e-9

Cdf = Callable[[Tensor], Tensor]


def assert_standard_normal(draw: Callable[[int], Tensor]) -> None:
    r"""``draw(n)`` gives n independent values of $\mathcal N(0,1)$; what is not finite counts as far out.

    A right sampler fails at a rate of at most $10^{-12}$. Noise that is wider or narrower by 3 %, moved by 0.03, uniform,
    of Laplace's shape or cut off at 2 or 3 deviations passes at a rate of at most $10^{-6}$.

    Raises: ``Mismatch``
    """

    def cells(n: int) -> Tensor:
        return torch.bucketize(draw(n).double().nan_to_num(math.inf), EDGES, right=True)

    named = {name: _cells(cdf) for name, cdf in _mistaken_laws().items()}
    bounds = ["-inf", *(f"{edge:g}" for edge in EDGES.tolist()), "inf"]
    outcomes = [f"noise between {low} and {high} standard deviations" for low, high in zip(bounds, bounds[1:], strict=False)]
    assert_follows_pmf(cells, _cells(_normal), named=named, first=8192, budget=300_000, outcomes=outcomes)


def assert_batch_not_standardised(z: Tensor) -> None:
    r"""The columns of normal noise ``z``: ``(n, m)`` have neither exactly the mean 0 nor exactly the variance 1.

    In a right batch $\sqrt n\,\bar z_j$ is standard normal, and $\sqrt{n/2}\,(\overline{z_j^2}-1)$ nearly so: that either
    lies within `EVEN` of 0 in all m columns has a chance of $(0.8\,\mathrm{EVEN})^m$.

    Raises: ``Mismatch``; ``ValueError`` where the columns are too few for the declared rate.
    """
    n, m = z.shape
    if 2 * (0.8 * EVEN) ** m > FALSE_ALARM_RATE:
        raise ValueError(f"{m} columns are too few")
    mean, square = math.sqrt(n) * z.mean(dim=0), math.sqrt(n / 2) * (z.square().mean(dim=0) - 1)
    for what, off in (("mean 0", mean), ("variance 1", square)):
        if (off.abs() < EVEN).all():
            sentence = f"the noise of a batch of {n} rows has the {what} in every column, more exactly than chance allows"
            raise Mismatch("law", f"{sentence}: independent rows fluctuate", got=z)


def _normal(z: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-z / math.sqrt(2))


def _mistaken_laws() -> dict[str, Cdf]:
    """Distribution functions by the names of the registered mistakes."""
    return {
        "sigma_3_percent_too_large": lambda z: _normal(z / 1.03),
        "sigma_3_percent_too_small": lambda z: _normal(z / 0.97),
        "mean_too_high": lambda z: _normal(z - 0.03),
        "mean_too_low": lambda z: _normal(z + 0.03),
        "uniform_noise": lambda z: (0.5 + z / (2 * math.sqrt(3))).clamp(0, 1),
        "laplace_noise": lambda z: torch.where(z < 0, torch.exp(math.sqrt(2) * z) / 2, 1 - torch.exp(-math.sqrt(2) * z) / 2),
        "noise_truncated_at_two": _truncated(2.0),
        "noise_truncated_at_three": _truncated(3.0),
        "noise_clamped_at_two": lambda z: torch.where(z >= 2, 1.0, torch.where(z < -2, 0.0, _normal(z))),
        "noise_clamped_at_three": lambda z: torch.where(z >= 3, 1.0, torch.where(z < -3, 0.0, _normal(z))),
    }


def _truncated(c: float) -> Cdf:
    """Normal noise within c deviations, stretched to variance one."""
    outside = 2 * _normal(torch.tensor(-c).double())
    density = math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
    deviation = (1 - 2 * c * density / (1 - outside)).sqrt()
    return lambda z: (_normal((deviation * z).clamp(-c, c)) - outside / 2) / (1 - outside)


def _cells(cdf: Cdf) -> Tensor:
    ends = torch.tensor([0.0, 1.0]).double()
    return torch.cat([ends[:1], cdf(EDGES), ends[1:]]).diff()
