"""Volume changes (slide 26). What they do to densities: `test_densities`."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.change_of_variables.draw import (
    CONDITION,
    HUGE,
    SQUARES_UNDERFLOW,
    TINY,
    diffeomorphism,
    ill_conditioned,
    many_points,
    map_problems,
    matrix,
    mirrored,
    planar_log_abs_det,
    planar_log_abs_det_gradients,
    planar_parameters,
    reflection,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.diffeomorphisms import planar, reverse, stretch
from grader.checks.lecture1.shared.families import affine, compose, elementwise, scaled
from grader.checks.lecture1.shared.handed_on import handed_on
from grader.checks.lecture1.shared.layouts import layouts

log_abs_det = pytest.mark.exercise("change_of_variables.log_abs_det_jacobian")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.sampled_from([(3, 2), (2, 3), (3, 5)])  # n, m
edges = st.sampled_from([(1, 1), (1, 3), (4, 1)])
three_points = torch.tensor([[1.0, 2.0], [0.0, -3.0], [0.5, 0.5]])
MANY = 1031  # a prime: no batch size divides it


@log_abs_det
@weight(0.8)
def test_volumes_of_a_linear_map_and_of_an_exponential(student):
    """For a linear map it is the logarithm of its determinant; for exp in every coordinate the sum of the coordinates."""
    shear = affine(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.ones(2))
    want = torch.full((3,), math.log(6.0), dtype=torch.float64)
    mistaken = {
        "This is the determinant: take the logarithm of its absolute value.": want.exp(),
        "The sign is turned: a map that stretches space has a positive logarithm.": -want,
    }
    assert_agrees(student.log_abs_det_jacobian(shear, three_points), want, like=torch.float32, scale=2, mistaken=mistaken)
    dense = affine(torch.tensor([[2.0, 1.0], [-1.0, 1.0]]), torch.zeros(2))  # of determinant 3
    want = three_points.double().sum(dim=1) + math.log(3.0)
    got = student.log_abs_det_jacobian(compose(dense, elementwise("exp")), three_points)
    assert_agrees(got, want, like=torch.float32, scale=2 * CONDITION)


@log_abs_det
@weight(0.9)
@examples(4)
@given(problem=map_problems())
@example(problem=(diffeomorphism("affine", 3, 0, torch.float64), torch.ones(2, 3, dtype=torch.float64)))
@example(problem=(diffeomorphism("residual", 4, 0, torch.float32), draw.normal((4, 4), 0)))
@example(problem=(diffeomorphism("coupling", 3, 0, torch.float32), draw.normal((2, 3), 1)))
@example(problem=(diffeomorphism("autoregressive", 3, 0, torch.float64), draw.normal((2, 3), 2, 1.0, torch.float64)))
@example(problem=(diffeomorphism("planar", 3, 0, torch.float32), draw.normal((4, 3), 3)))
@example(problem=(diffeomorphism("asinh", 2, 0, torch.float64), draw.normal((3, 2), 4, 1.0, torch.float64)))
def test_log_abs_det_is_that_of_the_jacobian(student, ref, problem):
    """One number a sample: the logarithm of the size of the Jacobian's determinant, whatever the map's structure."""
    f, x = problem
    want, scale = ref.log_abs_det_jacobian(f, x), ref.rounding_of_log_abs_det(f, x)
    assert_agrees(student.log_abs_det_jacobian(f, x), want, like=x, scale=scale)


@log_abs_det
@weight(1.0)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=0, dtype=torch.float32)
@example(size=(2, 3), key=0, dtype=torch.float64)
def test_volume_has_no_sign(student, size, key, dtype):
    """A mirror keeps every volume, although it makes the determinant negative: before a map it changes nothing else.

    One that reverses the coordinates has zeros on the diagonal of its Jacobian.
    """
    n, m = size
    A, x = reflection(m, key, dtype), draw.normal((n, m), key + 1, 1.0, dtype)
    assert_agrees(student.log_abs_det_jacobian(affine(A, x[0]), x), torch.zeros(n), like=dtype, scale=m)
    assert_agrees(student.log_abs_det_jacobian(reverse(), x), torch.zeros(n), like=dtype, scale=m)
    u, w, b = planar_parameters(m, key, dtype)
    got = student.log_abs_det_jacobian(mirrored(planar(u, w, b), m, key, dtype), x)
    assert_agrees(got, planar_log_abs_det(u, w, b, x.double() @ A.double().T), like=dtype, scale=m * CONDITION)


@log_abs_det
@weight(0.7)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes, c=st.sampled_from([TINY, HUGE]))
@example(key=0, dtype=torch.float32, c=TINY)
@example(key=0, dtype=torch.float64, c=HUGE)
def test_log_abs_det_outlives_the_determinant(student, key, dtype, c):
    """In 64 dimensions a millionfold stretch or shrinking changes volumes by what no float holds; its logarithm is easy.

    So does a stronger one in two dimensions, and one whose determinant is held with two bits only.
    """
    m = 64
    f = scaled(torch.tensor(c, dtype=dtype), affine(matrix(m, key, dtype), torch.zeros(m, dtype=dtype)))
    want = m * math.log(c) + torch.linalg.slogdet(matrix(m, key, dtype).double()).logabsdet.expand(2)
    got = student.log_abs_det_jacobian(f, draw.normal((2, m), key, 1.0, dtype))
    assert_agrees(got, want, like=dtype, scale=m * CONDITION)
    x = draw.uniform((2, m), key, 10, 30, dtype)  # cosh(30) is 5e12
    got = student.log_abs_det_jacobian(elementwise("sinh"), x)
    assert_agrees(got, x.double().cosh().log().sum(dim=1), like=dtype, scale=m * 30)
    x = draw.normal((2, 2), key, 1.0, dtype)
    for tiny in SQUARES_UNDERFLOW[dtype]:
        got = student.log_abs_det_jacobian(scaled(torch.tensor(tiny, dtype=dtype), elementwise("identity")), x)
        assert_agrees(got, torch.full((2,), 2 * math.log(tiny)).double(), like=torch.float32, scale=1000.0)


@log_abs_det
@weight(0.4)
@examples(1)
@given(key=draw.seeds, m=st.integers(2, 4))
@example(key=0, m=3)
def test_volumes_of_a_map_that_flattens_space(student, key, m):
    """Directions that shrink very differently: the digits that the Jacobian has are kept, and no more are lost."""
    for dtype, condition in ((torch.float32, 1e4), (torch.float64, 1e8)):
        A, x = ill_conditioned(m, condition, key, dtype), draw.normal((2, m), key, 1.0, dtype)
        want = torch.linalg.slogdet(A.double()).logabsdet.expand(2)
        got = student.log_abs_det_jacobian(affine(A, torch.zeros(m, dtype=dtype)), x)
        assert_agrees(got, want, like=dtype, scale=m * condition)


@log_abs_det
@weight(0.5)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_each_of_many_rows_has_its_own_volume_change(student, key, dtype):
    """Of 1031 samples, some of them equal, each has the volume change that it has alone; and so in 64 dimensions."""
    for n, m in ((MANY, 2), (2, 64)):
        u, w, b = planar_parameters(m, key, dtype)
        u, w = u / m**0.5, w / m**0.5
        u = u if u @ w >= 0 else -u
        x = many_points(n, m, key + 1, dtype)
        got = student.log_abs_det_jacobian(planar(u, w, b), x)
        assert_agrees(got, planar_log_abs_det(u, w, b, x), like=dtype, scale=m * CONDITION)


@log_abs_det
@weight(0.25)
@examples(2)
@given(size=edges, key=draw.seeds, dtype=draw.dtypes)
@example(size=(1, 3), key=0, dtype=torch.float32)
@example(size=(4, 1), key=0, dtype=torch.float32)
@example(size=(1, 1), key=0, dtype=torch.float64)
def test_volume_of_a_single_sample_or_dimension(student, size, key, dtype):
    """One sample is a batch; in one dimension the determinant is the derivative, and may be negative as well."""
    n, m = size
    a, x = draw.uniform((m,), key, -0.5, 2, dtype), draw.normal((n, m), key + 1, 1.0, dtype)
    want = torch.log1p(a.double() * (1 - x.double().tanh() ** 2)).sum(dim=1)
    for f in (stretch(a), compose(stretch(a), elementwise("negative"))):
        assert_agrees(student.log_abs_det_jacobian(f, x), want, like=dtype, scale=m * CONDITION)


@log_abs_det
@weight(0.15)
def test_volume_depends_on_the_samples_alone(student):
    """The numbers in x count: not how they lie in memory, and not what an earlier call was given."""
    for x, plain in layouts(three_points, 1 - three_points):
        got = student.log_abs_det_jacobian(elementwise("exp"), x)
        assert_agrees(got, plain.double().sum(dim=1), like=plain, scale=10)


@log_abs_det
@weight(0.5)
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(2, 3), key=0, dtype=torch.float32)
@example(size=(3, 5), key=13, dtype=torch.float64)
@example(size=(2, 3), key=106, dtype=torch.float64)
def test_the_gradient_by_a_matrix_is_its_inverse_transposed(student, size, key, dtype):
    """For f(x) = A x + b, a shear too, the gradient of log|det A| by A is the transposed inverse of A, once for each sample."""
    n, m = size
    b, w = draw.normal((m,), key, 1.0, dtype), draw.normal((n,), key + 1, 1.0, dtype)
    x = draw.normal((n, m), key, 1.0, dtype)
    for A in (matrix(m, key, dtype), torch.ones(m, m, dtype=dtype).triu()):  # a shear has no basis of eigenvectors
        _, (by_A,) = student.log_abs_det_jacobian.gradient(affine(A, b), x, wrt=[A], weights=w)
        want, size = w.double().sum() * torch.linalg.inv(A.double()).T, n * m * CONDITION * (1 + float(w.abs().amax()))
        assert_gradient_agrees(by_A, want, of="A", like=dtype, scale=size)


@log_abs_det
@weight(0.6)
@examples(2)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 2), key=1, dtype=torch.float32)
@example(size=(2, 3), key=2453, dtype=torch.float64)
@example(size=(1, 3), key=1, dtype=torch.float64)
@example(size=(65, 1), key=1, dtype=torch.float32)
def test_log_abs_det_has_gradients_by_samples_and_parameters(student, size, key, dtype):
    """A flow is trained by them: the log-volume change has gradients by the samples and by every parameter inside f."""
    n, m = size
    u, w, b = planar_parameters(m, key, dtype)
    x = draw.normal((n, m), key + 1, 1.0, dtype)
    given_ = x if dtype == torch.float32 else handed_on(x)  # which is no leaf of the graph
    _, gradients = student.log_abs_det_jacobian.gradient(planar(u, w, b), given_, wrt=[u, w, b, x])
    wanted = planar_log_abs_det_gradients(u, w, b, x)
    for got, want, by in zip(gradients, wanted, ["u", "w", "b", "x"], strict=True):
        assert_gradient_agrees(got, want, of=by, like=dtype, scale=n * m * CONDITION)


@log_abs_det
@weight(0.067)
def test_log_abs_det_has_the_dtype_of_the_samples(student):
    """Float32 in, float32 out; float64 in, float64 out; the samples stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.log_abs_det_jacobian.observed(elementwise("exp"), three_points.to(dtype))), dtype)
        assert_dtype(student.log_abs_det_jacobian(elementwise("exp"), three_points[:, :1].to(dtype)), dtype)  # in one dimension
