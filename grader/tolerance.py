"""How far a right answer may lie from the reference: one rule for every check.

    tolerance = 32 * (max(error, condition) + u |want| + u scale),     u the unit roundoff of the dtype

`error`: error of an accepted run in the tested dtype; `condition`: what one rounding of every input does to the
result; `scale`: the largest intermediate that an accepted method rounds (the largest logit for a log-softmax, the sum of
the absolute terms of a sum).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SLACK = 32  # measured: the worst accepted implementation uses 0.31 of it, the mildest naive one exceeds it 1000-fold
UNIT_ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


def tolerance(
    want: Tensor, dtype: torch.dtype, scale: float | Tensor = 0.0, condition: float | Tensor = 0.0, error: float | Tensor = 0.0
) -> Tensor:
    """The largest |got - want| of a right answer, elementwise."""
    u = UNIT_ROUNDOFF[dtype]
    worst = torch.maximum(torch.as_tensor(error, dtype=torch.float64), torch.as_tensor(condition, dtype=torch.float64))
    return SLACK * (worst + u * want.abs() + u * torch.as_tensor(scale, dtype=torch.float64)) + torch.finfo(dtype).tiny


def condition_of(f64: Callable[..., Tensor], *args: Tensor, dtype: torch.dtype, trials: int = 8, seed: int = 0) -> Tensor:
    """The largest change of `f64(*args)` under random-sign relative perturbations of one roundoff in every floating input."""
    u = UNIT_ROUNDOFF[dtype]
    exact = [arg.double() if arg.is_floating_point() else arg for arg in args]
    want = f64(*exact)
    generator = torch.Generator().manual_seed(seed)
    worst = torch.zeros_like(want)
    for _ in range(trials):
        moved = [arg * (1 + u * _signs(arg, generator)) if arg.is_floating_point() else arg for arg in exact]
        worst = torch.maximum(worst, (f64(*moved) - want).abs().nan_to_num(0.0))
    return worst


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return 2.0 * torch.randint(0, 2, like.shape, generator=generator).double() - 1.0
