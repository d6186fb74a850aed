r"""Finite-sample inequalities and the sample sizes that follow from them.

No asymptotics: with one rare cell, Pearson's chi-square fails 1 in 1000 right samplers at a nominal rate of $10^{-9}$.

"Right" means pointwise tolerant: a law $r \le p^+ = (1 + \epsilon) p + \epsilon'$ is right. That absorbs float32
rounding of the probabilities and a library that draws an impossible value once in $10^7$ times.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

RELATIVE = 1e-5  # a float32 softmax is off by about 1e-6 of a probability; an order of magnitude to spare
ABSOLUTE = 1e-6  # torch has drawn impossible values at rates near 1e-7


def plus(p: Tensor) -> Tensor:
    r"""The largest law $p^+$ that still counts as $p$ (sums to slightly more than one)."""
    return (1 + RELATIVE) * p + ABSOLUTE


def radius(rate: float) -> float:
    r"""The $t$ with $e^{-2t^2} =$ rate: the exponent of Hoeffding, McDiarmid and Massart for a single draw."""
    return math.sqrt(math.log(1 / rate) / 2)


def spread(p: Tensor) -> float:
    r"""Over $\sqrt n\, \mathbb E\, TV(\hat p, r)$ for all right $r$; by Jensen $\frac12\sum_k \sqrt{r_k (1 - r_k)}$."""
    r = plus(p)
    return 0.5 * torch.where(r < 0.5, r * (1 - r), 0.25).sqrt().sum().item()


def tv_slack(p: Tensor) -> float:
    """The total variation between a right law and the reference is at most this."""
    return RELATIVE + ABSOLUTE * p.numel()


def tv_limit(p: Tensor, n: int, alpha: float) -> float:
    r"""$TV(\hat p, p)$ of $n$ right draws exceeds this at most at rate alpha (McDiarmid)."""
    return tv_slack(p) + (spread(p) + radius(alpha)) / math.sqrt(n)


def n_for_tv(p: Tensor, effect: float, alpha: float, beta: float) -> float:
    r"""Draws after which $\hat p$ of any law with $TV(q, p) \ge$ effect is beyond `tv_limit`, except with rate beta.

    Some event has $q(A) - p(A) \ge$ effect, and $\hat p(A)$ falls short of $q(A)$ as Hoeffding allows.
    """
    return _draws(spread(p) + radius(alpha) + radius(beta), effect - tv_slack(p))


def n_for_cdf(effect: float, alpha: float, beta: float) -> float:
    """Draws that show a distribution function off by the effect at some point (Massart, then Hoeffding there)."""
    return _draws(radius(alpha / 2) + radius(beta), effect - RELATIVE)


def cdf_limit(n: int, alpha: float) -> float:
    r"""$\sup |F_n - F|$ of $n$ right draws exceeds this at most at rate alpha (Massart)."""
    return RELATIVE + radius(alpha / 2) / math.sqrt(n)


class LikelihoodRatio:
    r"""Chernoff's test of $p$ against one named wrong law $q$ with both rates proved.

    With $M(s) = \sum_k (p^+_k)^{1-s} (q^+_k)^s$, the log-likelihood ratio $L = \sum_i \log q^+(x_i)/p^+(x_i)$ obeys
    $P_p(L \ge \tau) \le e^{-s\tau} M(s)^n$ and $P_q(L \le \tau) \le e^{(1-s)\tau} M(s)^n$. Both are at their rates for
    $n = \big((1-s)\log\frac1\alpha + s\log\frac1\beta\big) / (-\log M(s))$; $s$ is the one that needs fewest draws.
    """

    def __init__(self, p: Tensor, q: Tensor, alpha: float, beta: float) -> None:
        self.log_ratio = plus(q).log() - plus(p).log()
        self.alpha = alpha
        s = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
        log_moment = torch.logsumexp(plus(p).log() + s[:, None] * self.log_ratio, dim=1)
        work = (1 - s) * math.log(1 / alpha) + s * math.log(1 / beta)
        needed = torch.where(log_moment < 0, work / -log_moment, math.inf)
        best = int(needed.argmin())
        self.n, self.s, self.log_moment = needed[best].item(), s[best].item(), log_moment[best].item()

    def rejects(self, counts: Tensor) -> bool:
        threshold = (counts.sum().item() * self.log_moment + math.log(1 / self.alpha)) / self.s
        return (counts @ self.log_ratio).item() >= threshold


def _draws(deviations: float, effect: float) -> float:
    return math.ceil((deviations / effect) ** 2) if effect > 0 else math.inf
