r"""Continuous samplers: the reference's distribution functions turn right samples into i.i.d. uniforms (Rosenblatt).

For $\mathbf x \sim p$ the values $U_t = F(x_t \mid \mathbf x_{1:t-1})$ are i.i.d. $\mathcal U(0, 1)$, within a row
and across rows (probability integral transform, PIT).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.checking.statistics.betting import OrderBets, batch_sizes, dirichlet_log_wealth, log_mean_exp
from grader.checking.statistics.design import FIRST_CALL_DRAWS, draws_for_uniform
from grader.checking.statistics.inequalities import cdf_limit, plus, tv_limit
from grader.checking.statistics.verdict import Verdict, as_draws, odds, report

BINS = 16
COARSE = 4  # bins of a neighbour that a bettor conditions on

SENTENCES = {
    "column": "dimension {j} does not follow its conditional law: {where}",
    "left": "a dimension depends wrongly on the one before it: noise is reused, or it is conditioned on wrong values",
    "above": "rows of one call are dependent: they share noise, or a row is conditioned on another row's values",
    "half": "rows of one call are dependent: the second half mirrors or repeats the first",
    "call": "two calls are not independent: a call repeats the noise of the one before",
    "order": "rows of one call are not independent: they agree too often, or come out too evenly for chance",
}


def assert_uniform(
    draw: Callable[[int], Tensor],
    *,
    columns: int = 1,
    effect: float = 0.1,
    alpha: float = 1e-12,
    beta: float = 1e-6,
    first: int = FIRST_CALL_DRAWS,
    budget: int = 20_000,
) -> Verdict:
    r"""``draw(n)`` gives an array of PIT values $F(x_t \mid \mathbf x_{1:t-1})$ that are i.i.d. $\mathcal U(0, 1)$.

    Shapes: ``draw(n)``: ``(n, columns)`` floating-point in [0, 1], rows in the order drawn.

    A right sampler fails with probability at most alpha. One for which a column's distribution function is off by
    ``effect`` somewhere, or two neighbouring columns are off by ``effect`` in total variation on a 4 x 4 grid, passes
    with probability at most beta. Bettors on rows, neighbours, calls and order end most wrong samplers long before.

    Raises: ``Mismatch`` if the values are not i.i.d. uniform; ``ValueError`` if the effect needs more rows than the
    budget.
    """
    test = SequentialUniform(columns=columns, effect=effect, alpha=alpha, beta=beta, budget=budget)
    for n in batch_sizes(first, max(test.last, 2 * first)):
        verdict = test.update(as_draws(draw(n), (n, columns), floating=True))
        if verdict is not None and not verdict.passed:
            break
    assert verdict is not None
    report(verdict)
    return verdict


class SequentialUniform:
    r"""The test behind `assert_uniform`: feed the rows of each call to `update`, in their order.

    Fails when the average wealth reaches $2/\alpha$. After `last` rows Massart's inequality on each column and
    McDiarmid's on each pair of neighbouring columns decide with the other half of alpha.
    """

    def __init__(self, *, columns: int, effect: float, alpha: float, beta: float, budget: int) -> None:
        self.last = draws_for_uniform(columns=columns, effect=effect, alpha=alpha, beta=beta, budget=budget)
        self.columns, self.alpha = columns, alpha
        self.flat = torch.full((BINS,), 1 / BINS, dtype=torch.float64)
        # the bins of U_t, counted by its column, its left neighbour, the row above, half a call above, the call before
        contexts = {"column": columns, "left": COARSE, "above": COARSE, "half": COARSE, "call": COARSE}
        self.counts = {name: torch.zeros(size, BINS, dtype=torch.float64) for name, size in contexts.items()}
        self.order = [OrderBets(self.flat) for _ in range(columns)]
        self.rows = torch.empty(0, columns, dtype=torch.float64)
        self._previous = torch.empty(0, columns, dtype=torch.int64)

    def update(self, u: Tensor) -> Verdict | None:
        self.rows = torch.cat([self.rows, u])
        if u.min() < 0 or u.max() > 1:
            return Verdict(False, len(self.rows), "a sample lies outside the support of the law", got=u)
        bins = (u * BINS).long().clamp(max=BINS - 1)  # (n, t)
        self._count("column", torch.arange(self.columns).expand_as(bins), bins)
        self._count("left", bins[:, :-1] * COARSE // BINS, bins[:, 1:])
        self._count("above", bins[:-1] * COARSE // BINS, bins[1:])
        half = len(bins) // 2
        self._count("half", bins[:half] * COARSE // BINS, bins[len(bins) - half :])
        both = min(len(bins), len(self._previous))
        self._count("call", self._previous[:both] * COARSE // BINS, bins[:both])
        self._previous = bins
        for column, order in zip(bins.T, self.order, strict=True):
            order.update(column)
        log_wealth = self.log_wealth()
        total = log_mean_exp(torch.tensor(list(log_wealth.values()))).item()
        if total >= math.log(2 / self.alpha):
            beyond_doubt = [kind for kind in SENTENCES if log_wealth[kind] >= math.log(2 / self.alpha)]
            return self._failure(beyond_doubt[0], total - math.log(2))
        return self._last_word() if len(self.rows) >= self.last else None

    def log_wealth(self) -> dict[str, float]:
        """The log-wealth of one bettor for each kind of fault, each started with 1."""
        log_plus = plus(self.flat).log()
        wealth = {name: log_mean_exp(dirichlet_log_wealth(counts, self.flat, log_plus)).item() for name, counts in self.counts.items()}
        by_kind = [sum(order.log_wealth[kind] for order in self.order) for kind in self.order[0].log_wealth]
        return wealth | {"order": log_mean_exp(torch.tensor(by_kind)).item()}

    def _count(self, name: str, context: Tensor, bins: Tensor) -> None:
        cells = torch.bincount((context * BINS + bins).flatten(), minlength=self.counts[name].numel())
        self.counts[name] += cells.reshape(self.counts[name].shape)

    def _last_word(self) -> Verdict:
        n, evidence = len(self.rows), math.log(1 / self.alpha)
        if (self._distances()[0] > cdf_limit(n, self.alpha / 4 / self.columns)).any():
            return self._failure("column", evidence)
        grid = torch.full((COARSE**2,), 1 / COARSE**2, dtype=torch.float64)
        coarse = (self.rows * COARSE).long().clamp(max=COARSE - 1)
        for j in range(1, self.columns):
            cells = torch.bincount(coarse[:, j - 1] * COARSE + coarse[:, j], minlength=COARSE**2)
            if 0.5 * (cells / n - grid).abs().sum() > tv_limit(grid, n, self.alpha / 4 / (self.columns - 1)):
                return self._failure("left", evidence)
        return Verdict(True, n)

    def _distances(self) -> tuple[Tensor, Tensor]:
        """For each column sup |F_n - F|, and the point where it is attained."""
        u, n = self.rows.sort(dim=0).values, len(self.rows)
        rank = torch.arange(n, dtype=torch.float64)[:, None]
        distance, at = torch.maximum((rank + 1) / n - u, u - rank / n).max(dim=0)
        return distance, u.gather(0, at[None])[0]

    def _failure(self, kind: str, log_evidence: float) -> Verdict:
        distance, at = self._distances()
        j = int(distance.argmax())
        below = (self.rows[:, j] <= at[j]).double().mean().item()
        where = f"{100 * below:.3g} % of {len(self.rows)} samples lie below its {100 * at[j].item():.3g} % quantile"
        sentence = SENTENCES[kind].format(j=j, where=where)
        return Verdict(False, len(self.rows), f"{sentence}; {odds(log_evidence)}", got=below, want=at[j].item())
