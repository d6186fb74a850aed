"""The best prediction under the mean squared error (slide 27)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import (
    assert_agrees,
    assert_dtype,
    assert_form,
    assert_gradient_agrees,
    assert_unchanged,
)
from grader.checks.lecture1.course_tricks.draw import (
    MANY,
    edges,
    many_columns,
    many_vectors,
    shapes,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.layouts import layouts

predictor = pytest.mark.exercise("course_tricks.optimal_mse_predictor")
weight = pytest.mark.weight
examples = pytest.mark.examples

small_table = torch.tensor([[3.0, 1.0, 0.0], [1.0, 1.0, 2.0]])
small_values = torch.tensor([[0.0, 4.0], [4.0, 0.0], [8.0, 2.0]])


def joint_table(a: int, b: int, key: int, dtype: torch.dtype) -> Tensor:
    """Masses of all pairs, each at least 0.01: every row has mass."""
    return draw.uniform((a, b), key, 0.01, 1, dtype)


def conditional_mean(joint: Tensor, y: Tensor) -> Tensor:
    return joint.double() / joint.double().sum(dim=1, keepdim=True) @ y.double()


@predictor
@weight(0.5)
def test_prediction_is_the_average_of_y_in_its_row(student):
    """The masses of a row, over their sum, are the probabilities with which the row's prediction averages the values."""
    assert_agrees(student.optimal_mse_predictor(small_table, small_values), torch.tensor([[1.0, 3.0], [5.0, 2.0]]))
    rare = 2.0**-30  # of a value as large as it is rare: together they make 1
    got = student.optimal_mse_predictor(torch.tensor([[1.0, rare]]), torch.tensor([[0.0], [1 / rare]]))
    assert_agrees(got, torch.tensor([[1.0]]), scale=30.0)


@predictor
@weight(0.4)
@examples(4)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes, far=st.sampled_from([1.0, 1e-20, 1e20]))
@example(shape=(3, 5, 2), key=0, dtype=torch.float64, far=1.0)
@example(shape=(3, 3, 3), key=0, dtype=torch.float32, far=1.0)
@example(shape=(2, 3, 5), key=0, dtype=torch.float32, far=1e20)
@example(shape=(5, 2, 3), key=0, dtype=torch.float32, far=1e-20)
def test_best_prediction_is_the_conditional_mean(student, ref, shape, key, dtype, far):
    """The prediction for x = i is the mean of y under p(y | x = i), for values of any size."""
    a, b, d = shape
    joint, y = joint_table(a, b, key, dtype), draw.normal((b, d), key + 1, far, dtype)
    joint[0, 0] = 0
    got = student.optimal_mse_predictor(joint, y)
    assert_agrees(got, ref.optimal_mse_predictor(joint, y), like=dtype, scale=float(y.abs().amax()))


@predictor
@weight(0.3)
@examples(2)
@given(key=draw.seeds, c=st.sampled_from([1e-25, 1e-9, 3.0, 1e12]), dtype=draw.dtypes)
@example(key=0, c=1e-32, dtype=torch.float32)
@example(key=0, c=1e25, dtype=torch.float32)
@example(key=0, c=1e-200, dtype=torch.float64)
def test_only_ratios_of_masses_matter(student, key, c, dtype):
    """The table need not be normalised, and an unlikely x is predicted like any other: only ratios in a row count."""
    joint, y = joint_table(3, 2, key, dtype), draw.normal((2, 4), key + 1, dtype=dtype)
    scale = float(y.abs().amax()) * (1 + abs(math.log(c)))  # whoever goes by the logarithms of masses rounds these
    for masses in ([c, c, c], [1, c, 1], [1 / c, c, 1]):
        table = joint * torch.tensor(masses, dtype=dtype)[:, None]
        assert_agrees(student.optimal_mse_predictor(table, y), conditional_mean(table, y), like=dtype, scale=scale)


@predictor
@weight(0.3)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(2, 3, 5), key=0, dtype=torch.float32)
@example(shape=(2, 3, 5), key=0, dtype=torch.float64)
def test_no_other_prediction_has_a_smaller_error(student, shape, key, dtype):
    """The derivative of the mean squared error by every prediction is zero at the answer: no step improves it."""
    a, b, d = shape
    joint, y = joint_table(a, b, key, dtype), draw.normal((b, d), key + 1, dtype=dtype)
    got = student.optimal_mse_predictor(joint, y)
    assert_form(got, (a, d))
    prediction = got.double().requires_grad_()
    error = (joint.double()[..., None] * (y.double() - prediction[:, None]).square()).sum()
    (slope,) = torch.autograd.grad(error, prediction)
    size = 4 * b * float(y.abs().amax())
    assert_agrees(slope.to(dtype), torch.zeros(a, d), like=dtype, scale=size, what="the slope of the error")


@predictor
@weight(0.45)
@examples(2)
@given(i=st.integers(0, 2), key=draw.seeds, dtype=draw.dtypes)
@example(i=1, key=0, dtype=torch.float32)
@example(i=0, key=0, dtype=torch.float64)
def test_a_row_without_mass_gives_nan_in_that_row_alone(student, i, key, dtype):
    """Nothing can be said about y given an x that never comes, and everything stays as it is for the others."""
    joint, y = joint_table(3, 2, key, dtype), draw.normal((2, 4), key + 1, dtype=dtype)
    for row in (i, (i + 1) % 3):  # first one row of three, then two
        joint[row] = 0
        got = student.optimal_mse_predictor(joint, y)
        assert_agrees(got, conditional_mean(joint, y), like=dtype, scale=float(y.abs().amax()))


@predictor
@weight(0.2)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=0, dtype=torch.float64)
def test_prediction_from_many_values(student, key, dtype):
    """Of 4099 values of y every one counts, the last ones most."""
    joint, y = many_columns(2, MANY, key, dtype), many_vectors(MANY, 3, 1000.0, key + 1, dtype)
    got = student.optimal_mse_predictor(joint, y)
    assert_agrees(got, conditional_mean(joint, y), like=dtype, scale=10.0)


@predictor
@weight(0.15)
@examples(2)
@given(shape=edges, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(1, 2, 3), key=0, dtype=torch.float32)
@example(shape=(3, 1, 2), key=0, dtype=torch.float64)
@example(shape=(2, 3, 1), key=0, dtype=torch.float32)
@example(shape=(1, 1, 1), key=0, dtype=torch.float64)
def test_prediction_from_a_table_with_a_single_row_or_column(student, shape, key, dtype):
    """One value of x, one value of y or one component keeps its axis."""
    a, b, d = shape
    joint, y = joint_table(a, b, key, dtype), draw.normal((b, d), key + 1, dtype=dtype)
    got = student.optimal_mse_predictor(joint, y)
    assert_agrees(got, conditional_mean(joint, y), like=dtype, scale=float(y.abs().amax()))


@predictor
@weight(0.1)
def test_prediction_depends_on_the_numbers_alone(student):
    """The numbers in the table and the values count: not how they lie in memory, and not what an earlier call was given."""
    for joint, plain in layouts(small_table, small_table + 1):
        assert_agrees(student.optimal_mse_predictor(joint, small_values), conditional_mean(plain, small_values), like=plain, scale=8)
    for y, plain in layouts(small_values, 1 - small_values):
        assert_agrees(student.optimal_mse_predictor(small_table, y), conditional_mean(small_table, plain), like=plain, scale=8)


@predictor
@weight(0.4)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(3, 2, 5), key=0, dtype=torch.float32)
@example(shape=(5, 2, 3), key=98576, dtype=torch.float64)
@example(shape=(1, 3, 2), key=0, dtype=torch.float64)
@example(shape=(65, 2, 1), key=0, dtype=torch.float64)
def test_prediction_has_the_gradient_of_a_conditional_mean(student, shape, key, dtype):
    """More mass on a value pulls the prediction towards it, and values move it by their probability."""
    a, b, d = shape
    joint, y = joint_table(a, b, key, dtype) + 0.5, draw.normal((b, d), key + 1, dtype=dtype)
    w = draw.normal((a, d), key + 2, dtype=dtype)
    _, (by_joint, by_y) = student.optimal_mse_predictor.gradient(joint, y, wrt=[joint, y], weights=w)
    mass, mean, w_64 = joint.double().sum(dim=1, keepdim=True), conditional_mean(joint, y), w.double()
    want = (w_64 @ y.double().T - (w_64 * mean).sum(dim=1, keepdim=True)) / mass
    size = float(10 * d * (1 + y.abs().amax()) * (1 + w.abs().amax()))
    assert_gradient_agrees(by_joint, want, of="joint", like=dtype, scale=size)
    assert_gradient_agrees(by_y, (joint.double() / mass).T @ w_64, of="y", like=dtype, scale=size)


@predictor
@weight(0.033)
def test_prediction_has_the_dtype_of_the_values(student):
    """Float32 in, float32 out; float64 in, float64 out."""
    for dtype in draw.DTYPES:
        assert_dtype(student.optimal_mse_predictor(small_table.to(dtype), small_values.to(dtype)), dtype)


@predictor
@weight(0.1)
def test_prediction_leaves_the_table_as_it_is(student):
    """The table is not normalised in place, and the values stay what they are."""
    assert_unchanged(student.optimal_mse_predictor.observed(small_table, small_values))
