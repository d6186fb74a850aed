"""Slips that many functions share."""

from __future__ import annotations

import torch
from torch import Tensor

FEW = "You draw one of 256 seeds, and all else hangs on that: there are 256 different results. Draw from the generator itself."


def one_of_256(generator: torch.Generator) -> torch.Generator:
    """A generator with such a seed."""
    return torch.Generator().manual_seed(int(torch.randint(256, (1,), generator=generator)))


REPEATED = "For a single row you draw from a copy of the generator: the next call repeats this one."


def copy_where(alone: bool, generator: torch.Generator) -> torch.Generator:
    """The generator, or in this case another one in its state."""
    return torch.Generator().set_state(generator.get_state()) if alone else generator


def first_where_near(x: Tensor) -> Tensor:
    """The first number for all rows, where these differ by less than a tenth."""
    return x[:1].expand_as(x) if x.max() < 1.1 * x.min() else x


def changed_in_place(who: str, what: str) -> str:
    """What is to be said where an answer of a given function, which may be a view of what it was asked, is changed in place."""
    return f"You change in place what {who} has handed out. That may be {what}, which is then changed, too."


ONE_ROW = "A batch of one comes without a graph. It is trained on like any other."
MANY_ROWS = "A batch of more than 64 rows comes without a graph. It is trained on like any other."
NO_LEAF = "Data that come from elsewhere (no leaves of the graph) are detached. The gradient is to reach them."


def detached_unless_leaf(x: Tensor) -> Tensor:
    """x, cut off from what it comes from."""
    return x if x.is_leaf else x.detach()


def plain_data(holder: str) -> str:
    """What is to be said where the graph is kept for the inputs' sake alone."""
    return f"Where no input asks for a gradient, the result has no graph. {holder} to be trained on plain data, too."


def graph_for_inputs_alone(value: Tensor, *inputs: Tensor) -> Tensor:
    """The value, without its graph where none of the inputs asks for a gradient."""
    return without_graph_where(not any(x.requires_grad for x in inputs), value)


def without_graph_where(cut: bool, value: Tensor) -> Tensor:
    """The value, without its graph in this case."""
    return value.detach() if cut else value
