"""A tensor as another computation hands it over: the layer before, a generator's answer."""

from __future__ import annotations

from torch import Tensor

from grader.sandbox.wire.families import family


@family
def handed_on(x: Tensor) -> Tensor:
    """x, as no leaf of the graph: gradients with respect to the plain tensor reach it through this one."""
    return x.clone()
