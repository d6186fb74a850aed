"""Volume changes (slide 26). What they do to densities: `test_change_of_variables_densities`."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_form, assert_no_trace, refuses
from grader.checks.lecture1.change_of_variables.draw import (
    CONDITION,
    HUGE,
    KINDS,
    TINY,
    diffeomorphism,
    embedding,
    map_problems,
    matrix,
    planar_parameters,
    reflection,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.diffeomorphisms import planar, stretch
from grader.checks.lecture1.shared.families import affine, compose, scaled

log_abs_det = pytest.mark.exercise("change_of_variables.log_abs_det_jacobian")
weight = pytest.mark.weight
examples = pytest.mark.examples

dimensions = st.integers(1, 5)
kinds = st.sampled_from(KINDS)


@log_abs_det
@weight(1.5)
@examples(10)
@given(problem=map_problems())
@example(problem=(diffeomorphism("affine", 3, 0, torch.float64), torch.ones(2, 3, dtype=torch.float64)))
@example(problem=(diffeomorphism("residual", 4, 0, torch.float32), torch.ones(1, 4)))
@example(problem=(diffeomorphism("coupling", 3, 0, torch.float32), torch.ones(2, 3)))
@example(problem=(diffeomorphism("stretch", 1, 0, torch.float32), torch.ones(1, 1)))
def test_log_abs_det_is_that_of_the_jacobian(student, ref, problem):
    """One number a sample: the logarithm of the size of the Jacobian's determinant, whatever the map's structure."""
    f, x = problem
    want, scale = ref.log_abs_det_jacobian(f, x), ref.rounding_of_log_abs_det(f, x)
    assert_agrees(student.log_abs_det_jacobian(f, x), want, like=x, scale=scale)


@log_abs_det
@weight(0.75)
@examples(4)
@given(m=dimensions, n=st.integers(1, 3), key=draw.seeds, dtype=draw.dtypes)
@example(m=1, n=1, key=0, dtype=torch.float32)
@example(m=2, n=2, key=0, dtype=torch.float64)
def test_volume_has_no_sign(student, m, n, key, dtype):
    """A mirror keeps every volume: the log-volume change is zero although the determinant is negative."""
    f = affine(reflection(m, key, dtype), draw.normal((m,), key, 1.0, dtype))
    x = draw.normal((n, m), key + 1, 1.0, dtype)
    assert_agrees(student.log_abs_det_jacobian(f, x), torch.zeros(n), like=dtype, scale=m)


@log_abs_det
@weight(1.0)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes, c=st.sampled_from([TINY, HUGE]))
@example(key=0, dtype=torch.float32, c=TINY)
@example(key=0, dtype=torch.float64, c=HUGE)
def test_log_abs_det_outlives_the_determinant(student, key, dtype, c):
    """In 64 dimensions a millionfold stretch changes volumes e^887-fold, which no float holds: 887 is easy to hold."""
    m = 64
    f = scaled(torch.tensor(c, dtype=dtype), affine(reflection(m, key, dtype), torch.zeros(m, dtype=dtype)))
    want = torch.full((2,), m * math.log(c), dtype=torch.float64)
    assert_agrees(student.log_abs_det_jacobian(f, draw.normal((2, m), key, 1.0, dtype)), want, like=dtype, scale=m)


@log_abs_det
@weight(0.5)
@examples(4)
@given(m=dimensions, first=kinds, second=kinds, key=draw.seeds, dtype=draw.dtypes)
def test_volume_changes_of_a_composition_add(student, m, first, second, key, dtype):
    """The volume change of g after f is that of f at x times that of g at f(x)."""
    f, g = diffeomorphism(first, m, key, dtype), diffeomorphism(second, m, key + 1, dtype)
    x = draw.normal((3, m), key, 1.0, dtype)
    parts = [student.log_abs_det_jacobian(f, x), student.log_abs_det_jacobian(g, f(x))]
    for part in parts:
        assert_form(part, (3,), dtype)
    got = student.log_abs_det_jacobian(compose(g, f), x)
    assert_agrees(got, parts[0].double() + parts[1].double(), like=dtype, scale=m * CONDITION**2)


@log_abs_det
@weight(0.5)
@examples(4)
@given(m=dimensions, kind=st.sampled_from(["stretch", "planar", "residual", "asinh"]), key=draw.seeds)
def test_each_row_has_its_own_volume_change(student, m, kind, key):
    """A sample's volume change does not depend on the company it is in."""
    f, x = diffeomorphism(kind, m, key, torch.float64), draw.normal((3, m), key, 1.0, torch.float64)
    together = student.log_abs_det_jacobian(f, x)
    assert_form(together, (3,), torch.float64)
    for i in range(3):
        alone = student.log_abs_det_jacobian(f, x[i : i + 1])
        assert_agrees(alone, together[i : i + 1], scale=m * CONDITION, what=f"the volume change of row {i} alone")


@log_abs_det
@weight(0.5)
@examples(4)
@given(m=dimensions, n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
def test_the_gradient_by_a_matrix_is_its_inverse_transposed(student, m, n, key, dtype):
    """For f(x) = A x + b the gradient of log|det A| by A is the transposed inverse of A, once for each sample."""
    A, b = matrix(m, key, dtype), draw.normal((m,), key, 1.0, dtype)
    x = draw.normal((n, m), key, 1.0, dtype)
    value, (gradient,) = student.log_abs_det_jacobian.gradient(affine(A, b), x, wrt=[A])
    assert_form(value, (n,), dtype)
    want = n * torch.linalg.inv(A.double()).T
    assert_agrees(gradient, want, like=dtype, scale=n * m * CONDITION, what="the gradient by A")


@log_abs_det
@weight(0.5)
@examples(4)
@given(m=dimensions, n=st.integers(1, 4), key=draw.seeds, dtype=draw.dtypes)
@example(m=2, n=3, key=1, dtype=torch.float32)
def test_log_abs_det_is_differentiable_once_more(student, ref, m, n, key, dtype):
    """The log-volume change has gradients by the samples and by every parameter inside f."""
    u, w, b = planar_parameters(m, key, dtype)
    x = draw.normal((n, m), key + 1, 1.0, dtype)
    value, gradients = student.log_abs_det_jacobian.gradient(planar(u, w, b), x, wrt=[u, w, b, x])
    assert_form(value, (n,), dtype)
    wanted = ref.planar_log_abs_det_gradients(u, w, b, x)
    for got, want, by in zip(gradients, wanted, ["u", "w", "b", "x"], strict=True):
        assert_agrees(got, want, like=dtype, scale=n * m * CONDITION, what=f"the gradient by {by}")


@log_abs_det
@weight(0.25)
def test_log_abs_det_works_without_gradient_tracking(student):
    """Under the caller's torch.no_grad() the result is the same."""
    f, x = diffeomorphism("residual", 3, 0, torch.float64), draw.normal((2, 3), 0, 1.0, torch.float64)
    tracked = student.log_abs_det_jacobian(f, x)
    assert_form(tracked, (2,), torch.float64)
    assert_agrees(student.log_abs_det_jacobian.under_no_grad(f, x), tracked, scale=3 * CONDITION)


@log_abs_det
@weight(0.25)
def test_log_abs_det_leaves_no_trace(student):
    """The call changes neither x nor gradient tracking, draws nothing and prints nothing."""
    observed = student.log_abs_det_jacobian.observed(diffeomorphism("planar", 2, 0, torch.float32), torch.ones(2, 2))
    assert_no_trace(observed)
    assert_form(observed.value, (2,), torch.float32)


@log_abs_det
@weight(0.25)
def test_log_abs_det_refuses_what_makes_no_sense(student):
    """There is at least one sample of at least one dimension, and the map keeps the number of dimensions."""
    for shape in [(0, 2), (2, 0)]:
        with refuses("x", "n", "m"):
            student.log_abs_det_jacobian(stretch(torch.zeros(shape[1])), torch.zeros(shape))
    for not_a_diffeomorphism in (embedding(), affine(torch.ones(1, 2), torch.zeros(1))):
        with refuses("f", "x", "m", "d"):
            student.log_abs_det_jacobian(not_a_diffeomorphism, torch.ones(2, 2))
