"""Rows of one call that should be independent: none comes up twice, and no two agree more or less than chance has it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.statistics.inequalities import radius

FALSE_ALARM_RATE = 1e-9  # that a right batch fails, for each of the two


def assert_no_row_repeats(x: Tensor, log2_outcomes: float) -> None:
    """No two rows of ``x``: ``(n, m)`` are equal, where each has 2^log2_outcomes equally likely outcomes (or more).

    Copied, tiled, resampled and shuffled rows are found wherever they stand.

    Raises: ``Mismatch``; ``ValueError`` where a right batch repeats a row at more than the declared rate.
    """
    n = len(x)
    if n * (n - 1) / 2 * 2**-log2_outcomes > FALSE_ALARM_RATE:
        raise ValueError(f"among {n} rows of 2^{log2_outcomes:g} outcomes some repeat by chance")
    distinct, times = torch.unique(x, dim=0, return_counts=True)
    if len(distinct) < n:
        row = ", ".join(f"{value:.4g}" for value in distinct[times.argmax()].tolist()[:6])
        raise Mismatch(
            "law",
            f"of {n} rows of one call only {len(distinct)} are different: ({row}{', …' if x.shape[1] > 6 else ''}) "
            f"comes up {int(times.max())} times. Each row is a draw of its own",
            got=x,
        )


def assert_rows_agree_by_chance(x: Tensor, K: int, row: str = "row") -> None:
    r"""Rows of ``x``: ``(n, m)`` of independent variables, uniform in ``0..K-1``, agree in one of K places.

    Compared are neighbours, rows half a batch apart, and rows as far from the start as from the end; by Hoeffding the
    share of places that agree is off by more than the limit at a rate of at most FALSE_ALARM_RATE. ``row``: what the
    sentence calls them; where ``x`` is transposed they are columns.

    Raises: ``Mismatch``
    """
    n, m = x.shape
    pairs = {
        f"a {row} and the {row} before it": (x[1:], x[:-1]),
        f"a {row} and the {row} half a batch further on": (x[: n // 2], x[n - n // 2 :]),
        f"the {row}s of the first half and those of the second, backwards": (x[: n // 2], x.flip(0)[: n // 2]),
    }
    for which, (one, other) in pairs.items():
        agree = (one == other).double().mean().item()
        if abs(agree - 1 / K) > radius(FALSE_ALARM_RATE / (2 * len(pairs))) / math.sqrt(one.numel()):
            raise Mismatch(
                "law",
                f"{which} agree in {100 * agree:.3g} % of all places: the {row}s of one call depend on each other",
                got=agree,
                want=1 / K,
                expected=f"{100 / K:.3g} % by chance",
            )
