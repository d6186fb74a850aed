"""What an instance can show, settled before a sample is drawn.

An author who declares an effect that the instance cannot show within its budget is refused with a ``ValueError`` when
the check is built (and in the tests of the kit), instead of shipping a check that lets wrong answers pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from grader.checking.statistics.inequalities import LikelihoodRatio, n_for_cdf, n_for_tv

FIRST_CALL_DRAWS = 64  # draws in each of the first two calls: one call cannot show that a sampler restarts its noise

# Each rate is spent in halves: one on looking after every call, one on the decision when the draws run out.


def draws_for_pmf(pmf: Tensor, *, effect: float, named: Mapping[str, Tensor], alpha: float, beta: float, budget: int) -> int:
    """Draws after which `assert_follows_pmf` has decided, both error rates kept.

    Raises: ``ValueError`` if the effect, or a named wrong pmf, needs more draws than the budget.
    """
    p = as_pmf(pmf, "pmf")
    share = alpha / 2 / (1 + len(named))
    needed = _within(n_for_tv(p, effect, share, beta / 2), f"effect={effect:g} in total variation", budget)
    for name, q in ratios(p, named, share, beta / 2).items():
        needed = max(needed, _within(q.n, f"the mistake {name!r}", budget))
    return max(needed, 2 * FIRST_CALL_DRAWS)


def draws_for_uniform(*, columns: int, effect: float, alpha: float, beta: float, budget: int) -> int:
    """Rows after which `assert_uniform` has decided about every column and every pair of neighbouring columns.

    Raises: ``ValueError`` if the effect needs more rows than the budget.
    """
    needed = n_for_cdf(effect, alpha / 4 / columns, beta)
    if columns > 1:
        grid = torch.full((16,), 1 / 16, dtype=torch.float64)
        needed = max(needed, n_for_tv(grid, effect, alpha / 4 / (columns - 1), beta))
    return max(_within(needed, f"effect={effect:g} in {columns} columns", budget), 2 * FIRST_CALL_DRAWS)


def ratios(p: Tensor, named: Mapping[str, Tensor], alpha: float, beta: float) -> dict[str, LikelihoodRatio]:
    """The test of p against each named wrong pmf, every one at the rates given."""
    return {name: LikelihoodRatio(p, as_pmf(q, name), alpha, beta) for name, q in named.items()}


def as_pmf(p: Tensor, name: str) -> Tensor:
    """p in float64 as one axis; an author's slip (negative, not summing to one) is a ``ValueError``."""
    p = torch.as_tensor(p, dtype=torch.float64).flatten()
    if not (p >= 0).all() or abs(p.sum().item() - 1) > 1e-5:
        raise ValueError(f"{name} must be a pmf: non-negative, with sum 1 (it has sum {p.sum().item():g})")
    return p / p.sum()


def _within(needed: float, what: str, budget: int) -> int:
    if needed > budget:
        draws = "no number of" if math.isinf(needed) else f"{math.ceil(needed)}"
        raise ValueError(
            f"this instance cannot show {what} within the budget of {budget} draws: it needs {draws} draws; "
            "choose a smaller or more skewed instance, a larger effect, or a named mistake that it separates"
        )
    return math.ceil(needed)
