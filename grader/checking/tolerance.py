r"""How far a right answer may lie from the reference: one rule for every check.

    tolerance = 32 (max(error, condition) + u |want| + u scale),     u the unit roundoff of the dtype

Right is any algorithm as accurate as the stable textbook form, run in the dtype of the inputs. What it may lose:

- u |want|: the result itself is rounded;
- ``scale``: the largest intermediate that an accepted method rounds, elementwise if that differs: the largest logit
  for a log-softmax ($x_k - \mathrm{logsumexp}(x)$ is off by an ulp of $\max |x|$), the sum of the absolute terms for a
  sum. Without it ``x[0] - log_softmax(x)[0]`` at ``[-598.3, 0, 0]`` is 21 times over;
- ``condition``: inputs are only known to an ulp, and intermediates are rounded like inputs. For log |det J| at
  condition $10^5$ every method loses five digits; `condition_of` measures it;
- ``error``: the error of an accepted run in the tested dtype, where neither of the above tells it.

The inputs separate good from naive, not the tolerances: choose logits of 1000, not a narrower band.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grader.sandbox.wire.families import Family, double
from grader.values import mapped

# Rounding errors of n steps add up to about sqrt(n) ulps of the scale: 32 allows a plain loop over 784 dimensions (28).
# Audited by adversarial search (`grader.authoring.tolerances`): right answers stay below it, naive ones exceed it 1000-fold.
SLACK = 32

UNIT_ROUNDOFF = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}

# Each trial moves every input by one roundoff, up or down. To first order the change is a sum with random signs; the
# largest of 8 is near two standard deviations, and two inputs whose effects cancel are overlooked once in 2^8 times.
TRIALS = 8


@dataclass(frozen=True)
class Tolerance:
    """How much of a difference the dtype explains: see `grader.checking.tolerance`."""

    dtype: torch.dtype
    scale: float | Tensor = 0.0
    condition: float | Tensor = 0.0
    error: float | Tensor = 0.0

    def allowed(self, want: Tensor) -> Tensor:
        """The largest |got - want| of a right answer, elementwise.

        Shapes: ``want``: any, float64; ``scale``, ``condition``, ``error``: numbers, or tensors that broadcast to it.
        """
        scale, condition, error = (torch.as_tensor(term, dtype=torch.float64) for term in (self.scale, self.condition, self.error))
        u = UNIT_ROUNDOFF[self.dtype]
        underflow = torch.finfo(self.dtype).tiny  # below the smallest normal number rounding is no longer relative
        return SLACK * (torch.maximum(error, condition) + u * want.abs() + u * scale) + underflow


def condition_of(f64: Callable[..., Tensor], *args: Any, dtype: torch.dtype, trials: int = TRIALS) -> Tensor:
    """The largest change of ``f64(*args)`` when every floating input moves by one roundoff of ``dtype``, up or down.

    Shapes: ``args``: what ``f64`` takes; tensors, also inside lists and families, are cast to float64 and moved.
    """
    exact = double(args)
    want = f64(*exact)
    generator = torch.Generator().manual_seed(0)
    worst = torch.zeros_like(want)
    for _ in range(trials):
        change = (f64(*_moved(exact, UNIT_ROUNDOFF[dtype], generator)) - want).abs()
        worst = torch.maximum(worst, change.nan_to_num(0.0, posinf=0.0))  # what is infinite or nan must match exactly
    return worst


def _moved(value: Any, u: float, generator: torch.Generator) -> Any:
    """`value` with every entry of a floating tensor times 1 + u or 1 - u."""

    def moved(leaf: Any) -> Any:
        if isinstance(leaf, Family):
            return Family(leaf.name, mapped(leaf.parameters, moved))
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            up = torch.randint(0, 2, leaf.shape, generator=generator, dtype=torch.float64)
            return leaf * (1 + u * (2 * up - 1))
        return leaf

    return mapped(value, moved)
