"""What the checks of sampling share: images in a form to be counted, and the likeliest values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_form
from grader.checking.statistics import outcome_index
from grader.checking.student import Remote, Student
from grader.checks.lecture1.imagegpt.draw import Network, model_of

A_TIE = 1e-3  # of two logits: which of them is drawn may fall either way


def draws_of(student: Student, model: Remote, m: int, generator: Any, **how: Any) -> Callable[[int], Tensor]:
    """n images of m pixels as a function of n, each call checked for its form."""
    return lambda n: tokens_of(student.sample(model, n, m, generator, **how), n, m)


def tokens_of(x: Any, n: int, m: int) -> Tensor:
    """Images as whole numbers; whether they came as int64 is the business of a check of its own."""
    assert_form(x, (n, m))
    return x.long() if x.dtype != torch.bool and bool((x == x.long()).all()) else x


def assert_likeliest(student: Student, net: Network, prefix: Tensor, seed: int, how: dict[str, Any]) -> None:
    """Each pixel after the prefix is the likeliest of its own model's logits."""
    (n, t), m, K = prefix.shape, net.sizes["m"], net.sizes["K"]
    model = model_of(student, net)
    x = tokens_of(student.sample(model, n, m, student.generator(seed), prefix=prefix, **how), n, m)
    assert_agrees(x[:, :t], prefix, what="the part of the result that was given")
    outcome_index(x, K)  # values lie in 0..K-1
    logits = model(x)
    assert_form(logits, (n, m, K), what="what your model's forward gives")
    behind = logits.amax(dim=2) - logits.gather(2, x[..., None])[..., 0]
    behind[:, :t] = 0
    if (behind > A_TIE).any():  # a tie, or nearly one, may fall either way
        i, j = (int(index) for index in (behind > A_TIE).nonzero()[0])
        likeliest = logits[i, j].argmax().item()
        where = f"after the pixels {x[i, :j].tolist()} comes" if j else "the first pixel is"
        raise Mismatch(
            "value",
            f"{where} {x[i, j].item()}, though your model finds another value likelier",
            x,
            expected=str(likeliest),
        )
