"""What a sequential test concludes, and how a student hears of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from grader.checking.mismatch import Mismatch
from grader.checking.wording import kind_of


@dataclass(frozen=True)
class Verdict:
    passed: bool
    n: int  # draws used
    sentence: str = ""
    expected: str = ""
    got: object = None
    want: object = None
    mistake: str | None = None


def report(verdict: Verdict) -> None:
    """Raises: ``Mismatch`` with the verdict's sentence if the sampler failed."""
    if not verdict.passed:
        raise Mismatch("law", verdict.sentence, verdict.got, verdict.want, verdict.mistake, expected=verdict.expected)


def as_draws(x: object, shape: tuple[int, ...], floating: bool) -> Tensor:
    """The draws of one call, or a ``Mismatch`` that says why they cannot be draws."""
    if not isinstance(x, Tensor):
        raise Mismatch("type", f"you returned {kind_of(x)}", expected="a torch.Tensor")
    if x.shape != shape:
        sentence = f"asked for {shape[0]} draw{'s' * (shape[0] != 1)}, you returned a tensor of shape {tuple(x.shape)}"
        raise Mismatch("shape", sentence, got=x, want=shape, expected=f"shape {shape}")
    if floating and not x.is_floating_point():
        raise Mismatch("dtype", f"the draws are {x.dtype}", expected="floating-point numbers")
    if not floating and x.is_floating_point() and (x != x.round()).any():
        raise Mismatch("type", "the draws are not whole numbers", got=x)
    if not x.isfinite().all():
        raise Mismatch("finite", "some draws are not finite", got=x)
    return x.detach().cpu().double() if floating else x.detach().cpu().long()


def odds(log_evidence: float) -> str:
    """ "a right sampler gives this less often than 1 in 10^12" """
    return f"a right sampler gives this less often than 1 in 10^{math.floor(log_evidence / math.log(10) + 1e-9)}"
