"""Tensors in other layouts: the same numbers, where the student's code runs, with gradients through them."""

from __future__ import annotations

import pytest
import torch

from grader.checks.lecture1.shared.layouts import every_other, expanded, kept, layouts, refilled, transposed
from grader.sandbox.wire.families import Family

X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize("laid_out", [transposed(X), every_other(X), expanded(X[0], 2)])
def test_the_numbers_are_the_same_elsewhere_in_memory(laid_out: Family) -> None:
    built = laid_out.build()
    assert torch.equal(built, X if laid_out.name != "expanded" else X[:1].expand(2, 3))
    assert not built.is_contiguous()


def test_gradients_reach_the_plain_tensor() -> None:
    plain = X.clone().requires_grad_()
    for laid_out, _ in layouts(plain, X)[:2]:
        (gradient,) = torch.autograd.grad(laid_out.build().square().sum(), plain)
        assert torch.equal(gradient, 2 * X)


def test_a_refilled_tensor_is_the_object_of_before_with_other_numbers() -> None:
    first = kept(X).build()
    first.requires_grad_()  # a student's function may mark what it is given
    second = refilled(X + 1).build()
    assert second is first
    assert torch.equal(second, X + 1)
    assert kept(X).build() is not first  # what one function leaves there is no other's
