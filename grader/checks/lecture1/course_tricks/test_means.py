"""Means of values under a law (slides 25 and 27): Jensen's gap, and the expectation under deltas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import (
    assert_agrees,
    assert_dtype,
    assert_gradient_agrees,
    assert_unchanged,
)
from grader.checks.lecture1.course_tricks.draw import (
    MANY,
    edges,
    late_outliers,
    many_vectors,
    real_function,
    real_functions,
    shapes,
    tiny_last_mass,
    vector_map,
    vector_maps,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import (
    add,
    affine,
    compose,
    constant,
    elementwise,
    first_coordinate,
    gaussian_log_density,
    quadratic,
    scaled,
)
from grader.checks.lecture1.shared.layouts import layouts

jensen = pytest.mark.exercise("course_tricks.jensen_gap")
dirac = pytest.mark.exercise("course_tricks.dirac_expectation")
weight = pytest.mark.weight
examples = pytest.mark.examples

square = elementwise("square")


# -- jensen_gap --

four_samples = torch.tensor([[1.0, 0.0], [3.0, 2.0], [2.0, 4.0], [2.0, -2.0]])
log_normal = gaussian_log_density(torch.zeros(2), torch.ones(2))  # -|x|^2 / 2 and a constant


@jensen
@weight(0.25)
def test_jensen_gap_has_the_sign_of_the_curvature(student):
    """The log-density of a Gaussian is -|x|^2 / 2 and a constant: its gap is half the variance, negative; turned, positive."""
    mistaken = {"The sign is turned: the gap is the average of f minus f of the average.": torch.tensor(2.75)}
    assert_agrees(student.jensen_gap(log_normal, four_samples), torch.tensor(-2.75), scale=20, mistaken=mistaken)
    energy = scaled(torch.tensor(-1.0), log_normal)
    assert_agrees(student.jensen_gap(energy, four_samples), torch.tensor(2.75), scale=20)


@jensen
@weight(0.15)
@examples(4)
@given(case=real_functions)
@example(case=real_function("convex quadratic", n=5, m=2, key=0, dtype=torch.float32))
@example(case=real_function("concave quadratic", n=3, m=3, key=0, dtype=torch.float64))
@example(case=real_function("log-sum-exp", n=4, m=3, key=1, dtype=torch.float64))
def test_jensen_gap_is_average_of_f_minus_f_of_average(student, ref, case):
    """The gap is the average of f over the samples minus f at the average sample, whatever its sign."""
    assert_agrees(student.jensen_gap(case.f, case.x), ref.jensen_gap(case.f, case.x), like=case.x, scale=case.size)


@jensen
@weight(0.15)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes, c=st.sampled_from([1e-12, 1.0, 1e12]), far=st.sampled_from([1e-8, 1e8]))
@example(key=0, dtype=torch.float32, c=1e12, far=1e-8)
@example(key=0, dtype=torch.float64, c=1e-12, far=1e8)
def test_jensen_gap_of_a_gaussian_log_density(student, key, dtype, c, far):
    """For c times the log-density of a Gaussian the gap is -c/2 times the variance of x / sigma, tiny or huge."""
    x, mu = draw.normal((5, 3), key, dtype=dtype), draw.normal((3,), key + 1, dtype=dtype)
    f = scaled(torch.tensor(c, dtype=dtype), gaussian_log_density(mu * far, torch.full((3,), far, dtype=dtype)))
    want = -c * x.double().var(dim=0, correction=0).sum() / 2
    assert_agrees(student.jensen_gap(f, x * far), want, like=dtype, scale=200.0 * c)


@jensen
@weight(0.15)
@examples(1)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_jensen_gap_counts_every_one_of_many_samples(student, dtype):
    """Of 4099 samples none is left out, neither in the average of f nor in the average sample."""
    x = late_outliers(MANY, dtype)
    f = gaussian_log_density(torch.ones(2, dtype=dtype), torch.ones(2, dtype=dtype))
    want = -x.double().var(dim=0, correction=0).sum() / 2
    assert_agrees(student.jensen_gap(f, x), want, like=dtype, scale=100.0)


@jensen
@weight(0.05)
@examples(2)
@given(size=st.sampled_from([(1, 1), (1, 3), (4, 1)]), key=draw.seeds, dtype=draw.dtypes)
@example(size=(1, 3), key=0, dtype=torch.float32)
@example(size=(4, 1), key=0, dtype=torch.float64)
def test_jensen_gap_of_a_single_sample_or_dimension(student, size, key, dtype):
    """One sample has no gap, and one dimension keeps its axis where f is called."""
    x = draw.normal(size, key, dtype=dtype)
    m = size[1]
    f = gaussian_log_density(torch.zeros(m, dtype=dtype), torch.ones(m, dtype=dtype))
    want, size = -x.double().var(dim=0, correction=0).sum() / 2, 10 + x.double().square().sum(dim=1).amax()
    assert_agrees(student.jensen_gap(f, x), want, like=dtype, scale=size)


@jensen
@weight(0.05)
def test_jensen_gap_depends_on_the_samples_alone(student):
    """The numbers in x count: not how they lie in memory, and not what an earlier call was given."""
    for x, plain in layouts(four_samples, four_samples.square()):
        want = -plain.double().var(dim=0, correction=0).sum() / 2
        assert_agrees(student.jensen_gap(log_normal, x), want, like=plain, scale=300)


@jensen
@weight(0.15)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(3, 2, 5), key=0, dtype=torch.float32)
@example(shape=(65, 2, 5), key=0, dtype=torch.float64)
def test_jensen_gap_has_the_gradient_of_both_terms(student, shape, key, dtype):
    """For f(x) = |A x|^2 the gap is made of A and the covariance of the samples: so are its gradients.

    By A also where x carries no graph.
    """
    n, m, d = shape
    A, x = draw.normal((d, m), key, dtype=dtype), draw.normal((n, m), key + 1, dtype=dtype)
    _, (by_A, by_x) = student.jensen_gap.gradient(quadratic(A), x, wrt=[A, x])
    _, (by_A_alone,) = student.jensen_gap.gradient(quadratic(A), x, wrt=[A])
    A, x = A.double(), x.double()
    off = x - x.mean(dim=0)
    size = float(2 * (1 + A.abs().sum()) ** 2 * (1 + x.abs().amax()) ** 2)
    for by, name in ((by_A, "the parameters of f"), (by_A_alone, "the parameters of f, where x carries no graph")):
        assert_gradient_agrees(by, 2 * A @ off.T @ off / n, of=name, like=dtype, scale=m * size)
    assert_gradient_agrees(by_x, 2 * off @ A.T @ A / n, of="x", like=dtype, scale=m * size)


@jensen
@weight(0.017)
def test_jensen_gap_has_the_dtype_of_the_samples(student):
    """Float32 in, float32 out; float64 in, float64 out; the samples stay as they are."""
    for dtype in draw.DTYPES:
        f = gaussian_log_density(torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype))
        assert_dtype(assert_unchanged(student.jensen_gap.observed(f, four_samples.to(dtype))), dtype)
        assert_dtype(student.jensen_gap(f, four_samples[:1].to(dtype)), dtype)  # without a gap, a zero of this dtype
    assert_unchanged(student.jensen_gap.observed(first_coordinate(), four_samples))  # a view of the samples


# -- dirac_expectation --

three_points, their_weights = torch.tensor([[1.0, 0.0], [3.0, 2.0], [-2.0, 4.0]]), torch.tensor([0.5, 0.25, 0.25])


@dirac
@weight(0.25)
def test_every_delta_sifts_out_a_value(student):
    """Each point gives the value of f there, times its weight, as often as it comes; with all weight on one that value is left."""
    got = student.dirac_expectation(square, three_points, their_weights)
    assert_agrees(got, torch.tensor([3.75, 5.0]))
    got = student.dirac_expectation(square, three_points, torch.tensor([0.0, 1.0, 0.0]))
    assert_agrees(got, torch.tensor([9.0, 4.0]))
    got = student.dirac_expectation(square, three_points[[0, 1, 0]], torch.tensor([0.5, 0.25, 0.25]))
    assert_agrees(got, torch.tensor([3.0, 1.0]))


@dirac
@weight(0.15)
@examples(4)
@given(case=vector_maps(), key=draw.seeds, zeros=st.booleans(), far=st.sampled_from([1.0, 1e-20, 1e20]))
@example(case=vector_map("square", n=5, m=2, d=3, key=0, dtype=torch.float32), key=0, zeros=True, far=1e20)
@example(case=vector_map("sin", n=3, m=3, d=3, key=0, dtype=torch.float64), key=0, zeros=False, far=1.0)
@example(case=vector_map("tanh", n=2, m=5, d=3, key=0, dtype=torch.float32), key=0, zeros=False, far=1e-20)
def test_dirac_expectation_weighs_the_values_at_the_points(student, ref, case, key, zeros, far):
    """A mixture of deltas gives every point's value with the point's weight; a point of weight zero does not count."""
    weights = draw.pmf(case.x.shape[:1], key, zeros, case.x.dtype)
    f = scaled(torch.tensor(far, dtype=case.x.dtype), case.f)
    got, want = student.dirac_expectation(f, case.x, weights), ref.dirac_expectation(f, case.x, weights)
    assert_agrees(got, want, like=case.x, scale=far * case.size)


@dirac
@weight(0.15)
@examples(1)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=0, dtype=torch.float64)
def test_tiny_and_many_weights_count(student, key, dtype):
    """A weight of 1e-12 with a value of 1e12 counts as much as a weight of one with a value of one, among 4099 points."""
    weights, points = tiny_last_mass(MANY, key, dtype), many_vectors(MANY, 2, 1e12, key + 1, dtype)
    got = student.dirac_expectation(elementwise("identity"), points, weights)
    assert_agrees(got, weights.double() @ points.double(), like=dtype, scale=4.0)


@dirac
@weight(0.1)
@examples(2)
@given(shape=edges, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(1, 2, 3), key=0, dtype=torch.float32)
@example(shape=(3, 2, 1), key=0, dtype=torch.float32)
@example(shape=(3, 2, 1), key=0, dtype=torch.float64)
def test_dirac_expectation_of_a_single_point_or_dimension(student, shape, key, dtype):
    """One point, one dimension or one component is enough."""
    case = vector_map("square", *shape, key, dtype)
    weights = draw.pmf((shape[0],), key, dtype=dtype)
    want = weights.double() @ case.f.double()(case.x.double())
    assert_agrees(student.dirac_expectation(case.f, case.x, weights), want, like=dtype, scale=case.size)


@dirac
@weight(0.05)
def test_dirac_expectation_depends_on_the_numbers_alone(student):
    """The numbers in points and weights count: not how they lie in memory, and not what an earlier call was given."""
    for x, plain in layouts(three_points, 1 - three_points):
        want = their_weights.double() @ plain.double().square()
        assert_agrees(student.dirac_expectation(square, x, their_weights), want, like=plain, scale=16)
    for weights, plain in layouts(their_weights, their_weights.flip(0)):
        want = plain.double() @ three_points.double().square()
        assert_agrees(student.dirac_expectation(square, three_points, weights), want, like=plain, scale=16)


@dirac
@weight(0.2)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(3, 2, 5), key=0, dtype=torch.float32)
@example(shape=(65, 2, 5), key=0, dtype=torch.float64)
@example(shape=(1, 2, 3), key=0, dtype=torch.float32)
def test_dirac_expectation_is_linear_in_the_weights(student, shape, key, dtype):
    """More weight adds the value of f there, nothing is normalised; moving a point changes f there, times its weight."""
    k, m, d = shape
    A, x = draw.normal((d, m), key, dtype=dtype), draw.normal((k, m), key + 1, dtype=dtype)
    p, w = draw.pmf((k,), key + 2, dtype=dtype), draw.normal((d,), key + 3, dtype=dtype)
    f = add(compose(square, affine(A, torch.zeros(d, dtype=dtype))), constant(torch.ones(d, dtype=dtype)))
    _, (by_weights, by_points, by_A) = student.dirac_expectation.gradient(f, x, p, wrt=[p, x, A], weights=w)
    _, (by_A_alone,) = student.dirac_expectation.gradient(f, x, p, wrt=[A], weights=w)
    A, x, p, w = A.double(), x.double(), p.double(), w.double()
    size = float(2 * (1 + A.abs().sum()) ** 2 * (1 + x.abs().sum()) ** 2 * (1 + w.abs().sum()))
    y = x @ A.T
    assert_gradient_agrees(by_weights, (1 + y.square()) @ w, of="weights", like=dtype, scale=size)
    assert_gradient_agrees(by_points, p[:, None] * (2 * y * w) @ A, of="points", like=dtype, scale=size)
    by_A_right = (2 * p[:, None] * y * w).T @ x
    for by, name in ((by_A, "the parameters of f"), (by_A_alone, "the parameters of f, where points and weights carry no graph")):
        assert_gradient_agrees(by, by_A_right, of=name, like=dtype, scale=size)


@dirac
@weight(0.017)
def test_dirac_expectation_has_the_dtype_of_the_points(student):
    """Float32 in, float32 out; float64 in, float64 out."""
    for dtype in draw.DTYPES:
        assert_dtype(student.dirac_expectation(square, three_points.to(dtype), their_weights.to(dtype)), dtype)


@dirac
@weight(0.05)
def test_dirac_expectation_leaves_the_points_as_they_are(student):
    """Where f returns its input, the values of f are the points: they are not weighed in place."""
    assert_unchanged(student.dirac_expectation.observed(elementwise("identity"), three_points, their_weights))
