r"""Sequential tests of a sampler by betting: the wealth of a bet is a product of $q_i(x_i \mid \text{past}) / p^+(x_i)$.

Under a right sampler this is a test martingale, and so is the average of several: by Ville's inequality it ever exceeds
$1/\alpha$ with probability at most $\alpha$, whenever one looks. Everything here is in logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from grader.checking.statistics.inequalities import plus

FAR_TO_NEAR = torch.tensor([1.0, 10.0, 100.0, 1e3, 1e4], dtype=torch.float64)  # Dirichlet strengths: q is so near to p
COPIED = (0.05, 0.5)  # bets on the share of copied draws
CROWDED = (1.0, 10.0, 100.0)  # Dirichlet strengths of a batch that shares its noise


class OrderBets:
    """Bets on dependence between draws that should be iid: copies, noise shared within a call, draws that are too even."""

    def __init__(self, p: Tensor) -> None:
        self.plus = plus(p)
        self.near = self.plus / self.plus.sum()  # a pmf that is nowhere 0, so that one stray draw takes no wealth to 0
        self.log_wealth: dict[str, float] = {}
        self._previous = torch.empty(0, dtype=torch.int64)

    def update(self, x: Tensor) -> None:
        """Take the draws of one call, in their order."""
        p = self.near[x]
        one_back = torch.cat([torch.full((1,), -1), x[:-1]])
        last_call = torch.cat([self._previous, torch.full((len(x),), -1)])[: len(x)]
        self._previous = x
        for share in COPIED:
            self._bet(f"copies {share}", x, _copying(share, p, x == one_back, one_back >= 0))
        self._bet("repeats the call before", x, _copying(0.5, p, x == last_call, last_call >= 0))
        earlier, seen = _earlier_equal_draws(x), torch.arange(len(x))
        for strength in CROWDED:
            self._bet(f"crowded {strength:g}", x, (strength * p + earlier) / (strength + seen))
        self._bet("too even", x, 0.5 * p + 0.5 * self._urn(x, earlier))

    def _urn(self, x: Tensor, earlier: Tensor) -> Tensor:
        """Drawing without replacement: what this call has had too little of comes next."""
        full = len(x) * self.near
        left = (full[x] - earlier).clamp(min=0)
        taken = left - (full[x] - earlier - 1).clamp(min=0)
        total = full.sum() - torch.cat([torch.zeros(1, dtype=torch.float64), taken.cumsum(0)[:-1]])
        return (left + 1e-3 * self.near[x]) / (total + 1e-3)

    def _bet(self, name: str, x: Tensor, q: Tensor) -> None:
        self.log_wealth[name] = self.log_wealth.get(name, 0.0) + (q / self.plus[x]).log().sum().item()


def dirichlet_log_wealth(counts: Tensor, centre: Tensor, log_plus: Tensor) -> Tensor:
    """Log-wealth of bettors who learn the law as they go, one for each strength in FAR_TO_NEAR.

    Shapes: ``counts``: ``(contexts, K)``, a law is learnt in each; ``centre``, ``log_plus``: ``(K,)``; result ``(5,)``.
    """
    a = FAR_TO_NEAR[:, None, None] * centre  # (5, 1, K)
    n, total = counts.sum(-1), FAR_TO_NEAR[:, None]  # (contexts,), (5, 1)
    learnt = (torch.lgamma(a + counts) - torch.lgamma(a)).sum(-1) + torch.lgamma(total) - torch.lgamma(total + n)
    return learnt.sum(-1) - (counts @ log_plus).sum()


def log_mean_exp(log_wealth: Tensor) -> Tensor:
    """The logarithm of the average wealth."""
    return torch.logsumexp(log_wealth, -1) - math.log(log_wealth.shape[-1])


def batch_sizes(first: int, total: int, largest: int = 2048) -> Iterator[int]:
    """first, first, then half of all drawn so far at each call, at most `largest` (or first), `total` altogether."""
    drawn = 0
    while drawn < total:
        size = min(first if drawn < 2 * first else drawn // 2, max(largest, first), total - drawn)
        drawn += size
        yield size


def _copying(share: float, p: Tensor, same: Tensor, possible: Tensor) -> Tensor:
    return torch.where(possible, (1 - share) * p + share * same, p)


def _earlier_equal_draws(x: Tensor) -> Tensor:
    """For each draw the number of earlier draws of this call with the same outcome."""
    order = torch.argsort(x, stable=True)
    start = torch.searchsorted(x[order], x[order])
    earlier = torch.empty(len(x), dtype=torch.float64)
    earlier[order] = (torch.arange(len(x)) - start).double()
    return earlier
