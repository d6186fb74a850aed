"""Checks of the demonstration lecture: `total(x)` is the sum of x, `apply(f, x)` is f(x)."""

import pytest
import torch
from grader.checks.demo.families import scaling
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_unchanged, refuses

total = pytest.mark.exercise("sums.total")
apply = pytest.mark.exercise("sums.apply")
weight = pytest.mark.weight
vectors = st.lists(st.integers(-9, 9), min_size=1, max_size=5).map(lambda numbers: torch.tensor(numbers).double())


@total
@weight(2)
@pytest.mark.examples(30)
@given(x=vectors)
@example(x=torch.tensor([1.0, 2.0]).double())
def test_the_total_is_the_sum(student, x):
    """The total adds every entry once."""
    assert_agrees(student.total(x), torch.tensor(float(sum(x.tolist()))).double(), scale=x.abs().sum())


@total
@weight(1)
def test_nothing_to_add_is_refused(student):
    """No numbers have no total."""
    with refuses():
        student.total(torch.empty(0))


@total
@weight(1)
@pytest.mark.seconds(3)
def test_the_total_leaves_its_argument_alone(student, seed):
    """Adding does not change the summands."""
    x = torch.rand(3, generator=torch.Generator().manual_seed(seed))
    assert_unchanged(student.total.observed(x))


@apply
@weight(3)
@pytest.mark.parametrize("factor", [2.0, -1.0])
def test_apply_differentiates(student, factor):
    """The gradient with respect to the parameter of f is x."""
    weight, x = torch.tensor(factor), torch.tensor([1.0, 4.0])
    _, (gradient,) = student.apply.gradient(scaling(weight), x, wrt=[weight])
    assert_agrees(gradient, torch.tensor(5.0).double(), like=torch.float32)


@apply
@weight(1)
@pytest.mark.gpu
def test_apply_on_a_gpu(student):
    """The result stays on the device."""
    raise AssertionError("never run without a GPU")
