"""The mean of a bounded random quantity, by betting on it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.checking.statistics.betting import batch_sizes, log_mean_exp
from grader.checking.statistics.design import FIRST_CALL_DRAWS, draws_for_mean
from grader.checking.statistics.inequalities import ABSOLUTE, mean_limit
from grader.checking.statistics.verdict import Verdict, as_draws, odds, report

STAKES = torch.logspace(-3, math.log10(0.9), 20, dtype=torch.float64)  # share of the wealth that the worst value would cost


def assert_mean(
    draw: Callable[[int], Tensor],
    low: float,
    high: float,
    expected: float,
    *,
    effect: float,
    alpha: float = 1e-12,
    beta: float = 1e-6,
    first: int = FIRST_CALL_DRAWS,
    budget: int = 20_000,
) -> Verdict:
    r"""``draw(n)`` gives n independent values in ``[low, high]`` with mean ``expected``: an estimator, a coverage.

    Shapes: ``draw(n)``: ``(n,)`` floating-point.

    The right mean fails with probability at most alpha; a mean off by ``effect`` (in the units of the values) or more
    passes with probability at most beta. It adapts to the variance: about
    $2\sigma^2 \log(40/\alpha) / \text{effect}^2$ values are drawn.

    Raises: ``Mismatch`` if the mean is another one, or a value lies outside; ``ValueError`` if the effect needs more
    values than the budget.
    """
    test = SequentialMean(low, high, expected, effect=effect, alpha=alpha, beta=beta, budget=budget)
    for n in batch_sizes(first, test.last):
        verdict = test.update(as_draws(draw(n), (n,), floating=True))
        if verdict is not None:
            break
    assert verdict is not None
    report(verdict)
    return verdict


class SequentialMean:
    r"""The test behind `assert_mean`: bettors with $\prod_i (1 + \lambda (x_i - \mu))$, averaged over $\lambda$.

    Two bet that the mean is above or below the expected one, and a fortune of $4/\alpha$ fails the student. Two bet
    against "mean $\ge$ expected + effect" and "mean $\le$ expected $-$ effect"; when both reach $2/\beta$ the student
    passes.
    """

    def __init__(self, low: float, high: float, expected: float, *, effect: float, alpha: float, beta: float, budget: int) -> None:
        if not low < expected < high:
            raise ValueError(f"expected={expected:g} must lie inside the range {low:g}..{high:g}")
        self.last = draws_for_mean(width=high - low, effect=effect, alpha=alpha, beta=beta, budget=budget)
        self.low, self.high, self.expected, self.alpha, self.beta = low, high, expected, alpha, beta
        mean, effect = (expected - low) / (high - low), effect / (high - low)
        self.too_high, self.too_low = _Bettor(mean + ABSOLUTE, +1), _Bettor(mean - ABSOLUTE, -1)
        self.not_above, self.not_below = _Bettor(mean + effect, -1), _Bettor(mean - effect, +1)
        self.n, self.sum = 0, 0.0

    def update(self, x: Tensor) -> Verdict | None:
        self.n += len(x)
        self.sum += x.sum().item()
        y = (x - self.low) / (self.high - self.low)
        outside = (y < -ABSOLUTE) | (y > 1 + ABSOLUTE)
        if outside.any():
            got = x[outside][0].item()
            sentence = f"the value {got:.6g} is impossible: all lie in {self.low:g}..{self.high:g}"
            return Verdict(False, self.n, sentence, got=got)
        for bettor in (self.too_high, self.too_low, self.not_above, self.not_below):
            bettor.update(y.clamp(0, 1))
        evidence = max(self.too_high.log_wealth, self.too_low.log_wealth) - math.log(4)
        if evidence >= math.log(1 / self.alpha):
            return self._failure(evidence)
        if min(self.not_above.log_wealth, self.not_below.log_wealth) >= math.log(2 / self.beta):
            return Verdict(True, self.n)
        if self.n < self.last:
            return None
        off = abs(self.sum / self.n - self.expected) / (self.high - self.low)
        wrong = off > mean_limit(self.n, self.alpha / 2)
        return self._failure(math.log(1 / self.alpha)) if wrong else Verdict(True, self.n)

    def _failure(self, log_evidence: float) -> Verdict:
        got = self.sum / self.n
        sentence = f"the mean of {self.n} values is {got:.5g} ({odds(log_evidence)})"
        return Verdict(False, self.n, sentence, f"{self.expected:.5g}", got=got, want=self.expected)


class _Bettor:
    """Bets that values in [0, 1] lie above (+1) or below (-1) a null mean; one outside [0, 1] is refuted at once."""

    def __init__(self, null: float, side: int) -> None:
        room = null if side > 0 else 1 - null  # the worst that a value can do
        self.null = null
        self.bets = side * STAKES / room if room > 0 else None
        self.by_stake = torch.zeros_like(STAKES)

    def update(self, y: Tensor) -> None:
        if self.bets is not None:
            self.by_stake += torch.log1p((y[:, None] - self.null) * self.bets).sum(0)

    @property
    def log_wealth(self) -> float:
        return math.inf if self.bets is None else log_mean_exp(self.by_stake).item()
