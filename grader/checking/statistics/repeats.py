r"""Draws that come again: copies of earlier draws, in blocks or one by one, and draws that avoid each other.

Both tests know the chance of a repeat whatever came before, so both rates are finite-sample ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.statistics.inequalities import plus
from grader.checking.statistics.verdict import odds


def assert_no_stretch_comes_twice(x: Tensor, pmf: Tensor, *, alpha: float = 1e-12) -> None:
    r"""The i.i.d. draws ``x: (n,)`` of a pmf have no long stretch that stands elsewhere among them as well.

    Two stretches of w draws are equal with probability at most $(\max_k p_k)^w$, also where they overlap; w is chosen so
    that a right sampler fails with probability at most alpha. Draws copied in blocks longer than w never pass.

    Raises: ``Mismatch`` with the places of two equal stretches.
    """
    n = len(x)
    w = math.ceil(math.log(alpha / (n * n / 2)) / math.log(plus(pmf.double()).max().item()))
    weights = torch.randint(2**62, (w,), generator=torch.Generator().manual_seed(w)) * 2 + 1
    digests = torch.zeros(n - w + 1, dtype=torch.int64)  # modulo 2^64
    for offset, weight in enumerate(weights):
        digests += x[offset : offset + len(digests)] * weight
    order = digests.argsort(stable=True)
    for i in (digests[order][1:] == digests[order][:-1]).nonzero()[:1].flatten().tolist():
        first, second = order[i].item(), order[i + 1].item()
        if torch.equal(x[first : first + w], x[second : second + w]):
            sentence = f"draws {second} to {second + w - 1} are draws {first} to {first + w - 1} once more"
            raise Mismatch("law", f"{sentence} ({odds(-math.log(alpha))})", got=x[second : second + w])


def assert_repeats_are_those_of_chance(x: Tensor, K: int, *, alpha: float = 1e-12, what: str = "draws") -> None:
    r"""Of i.i.d. draws ``x: (n,)`` of K equally likely values, as many have come before as chance has it.

    Given the past, draw $t$ is a repeat with a probability of at most $(t-1)/K$, and of at least $(t-1-R)/K$ while there
    are at most R repeats: Chernoff's bounds for sums of independent coins hold on both sides, each at half of alpha.

    Raises: ``Mismatch`` if the draws repeat, or avoid, each other.
    """
    n = len(x)
    repeats = n - len(x.unique())
    past = torch.arange(n, dtype=torch.float64)
    at_most, at_least = past.sum().item() / K, (past - repeats).clamp(min=0).sum().item() / K
    for mean, bad, words in ((at_most, repeats > at_most, "repeat"), (at_least, repeats < at_least, "avoid")):
        log_rate = repeats - mean - repeats * math.log(repeats / mean) if repeats else -mean
        if bad and log_rate < math.log(alpha / 2):
            sentence = f"{what} {words} one another: of {n} {what} from {K} equal bins {repeats} had come before"
            raise Mismatch("law", f"{sentence} ({odds(-log_rate)})", repeats, expected=f"about {at_most:.0f}")
