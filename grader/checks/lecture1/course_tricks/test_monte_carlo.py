"""Expectations from samples (slides 25 and 26): Monte Carlo and LOTUS."""

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
from grader.checks.lecture1.course_tricks.draw import MANY, edges, late_samples, shapes, vector_map, vector_maps
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import affine, compose, elementwise, scaled, softmax
from grader.checks.lecture1.shared.layouts import expanded, layouts

monte_carlo = pytest.mark.exercise("course_tricks.monte_carlo")
lotus = pytest.mark.exercise("course_tricks.lotus")
weight = pytest.mark.weight
examples = pytest.mark.examples

square, identity = elementwise("square"), elementwise("identity")
four_samples = torch.tensor([[1.0, 0.0], [3.0, 2.0], [1.0, 4.0], [3.0, -2.0]])


# -- monte_carlo --


@monte_carlo
@weight(0.5)
def test_average_of_the_squares_is_not_the_square_of_the_average(student):
    """Each component of f is averaged over the samples: squares first, then their average."""
    assert_agrees(student.monte_carlo(square, four_samples), torch.tensor([5.0, 6.0]))


@monte_carlo
@weight(0.6)
@examples(4)
@given(case=vector_maps(), far=st.sampled_from([1.0, 1e-25, 1e25]))
@example(case=vector_map("square", n=5, m=2, d=3, key=0, dtype=torch.float64), far=1.0)
@example(case=vector_map("square", n=3, m=3, d=3, key=0, dtype=torch.float32), far=1.0)
@example(case=vector_map("abs", n=3, m=5, d=2, key=0, dtype=torch.float32), far=1e25)
@example(case=vector_map("tanh", n=2, m=3, d=5, key=0, dtype=torch.float32), far=1e-25)
def test_monte_carlo_averages_f_over_the_samples(student, ref, case, far):
    """Every component of f is averaged over the samples, each sample with the same weight."""
    f = scaled(torch.tensor(far, dtype=case.x.dtype), case.f)
    assert_agrees(student.monte_carlo(f, case.x), ref.monte_carlo(f, case.x), like=case.x, scale=far * case.size)


@monte_carlo
@weight(0.25)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(3, 2, 4), key=0, dtype=torch.float64)
def test_f_is_given_a_batch(student, shape, key, dtype):
    """f takes rows (n, m), not vectors: a softmax over the axis of the coordinates needs that axis."""
    n, m, d = shape
    A, b = draw.normal((d, m), key, dtype=dtype), draw.normal((d,), key + 1, dtype=dtype)
    f, x = compose(softmax(), affine(A, b)), draw.normal((n, m), key + 2, dtype=dtype)
    size = 1 + (x.abs() @ A.abs().T + b.abs()).amax()
    assert_agrees(student.monte_carlo(f, x), f.double()(x.double()).mean(dim=0), like=dtype, scale=size)


@monte_carlo
@weight(0.35)
@examples(1)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_every_one_of_many_samples_counts(student, dtype):
    """Of 4099 samples none is left out and none counts more than the others, the last ones included."""
    x = late_samples(MANY, dtype)
    size = x.double().abs().amax(dim=0)
    assert_agrees(student.monte_carlo(identity, x), x.double().mean(dim=0), like=dtype, scale=size)


@monte_carlo
@weight(0.2)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=0, dtype=torch.float64)
def test_equal_samples_count_as_often_as_they_come(student, key, dtype):
    """A value that was drawn five times has five times the weight of one that was drawn once."""
    a, b = draw.normal((2, 3), key, dtype=dtype)
    x = torch.stack([a, b, a, a, a, a])
    want = (5 * a.double().square() + b.double().square()) / 6
    assert_agrees(student.monte_carlo(square, x), want, like=dtype, scale=x.double().square().amax())
    assert_agrees(student.monte_carlo(square, expanded(b, 4)), b.double().square(), like=dtype)


@monte_carlo
@weight(0.25)
@examples(3)
@given(shape=edges, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(1, 2, 3), key=0, dtype=torch.float32)
@example(shape=(4, 1, 3), key=0, dtype=torch.float64)
@example(shape=(3, 2, 1), key=0, dtype=torch.float32)
@example(shape=(1, 1, 1), key=0, dtype=torch.float64)
@example(shape=(4, 1, 2), key=197, dtype=torch.float32)  # two samples are equal
def test_monte_carlo_of_a_single_sample_or_dimension(student, shape, key, dtype):
    """One sample, one dimension or one component keeps its axis where the result has one."""
    case = vector_map("square", *shape, key, dtype)
    want = case.f.double()(case.x.double()).mean(dim=0)
    assert_agrees(student.monte_carlo(case.f, case.x), want, like=dtype, scale=case.size)


@monte_carlo
@weight(0.2)
def test_monte_carlo_depends_on_the_samples_alone(student):
    """The numbers in x count: not how they lie in memory, and not what an earlier call was given."""
    for x, plain in layouts(four_samples, 1 - four_samples):
        assert_agrees(student.monte_carlo(square, x), plain.double().square().mean(dim=0), like=plain, scale=16)


@monte_carlo
@weight(0.5)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(5, 3, 2), key=0, dtype=torch.float32)
@example(shape=(65, 3, 2), key=0, dtype=torch.float64)
@example(shape=(1, 2, 3), key=0, dtype=torch.float64)
def test_monte_carlo_has_the_gradient_of_an_average(student, shape, key, dtype):
    """For f(x) = A x + b the estimate is A times the mean sample plus b: so are its gradients by A, b and x.

    By A also where x carries no graph.
    """
    n, m, d = shape
    A, b = draw.normal((d, m), key, dtype=dtype), draw.normal((d,), key + 1, dtype=dtype)
    x, w = draw.normal((n, m), key + 2, dtype=dtype), draw.normal((d,), key + 3, dtype=dtype)
    _, (by_A, by_b, by_x) = student.monte_carlo.gradient(affine(A, b), x, wrt=[A, b, x], weights=w)
    _, (by_A_alone,) = student.monte_carlo.gradient(affine(A, b), x, wrt=[A], weights=w)
    size = float(w.abs().amax() * (1 + x.abs().amax() + A.abs().sum()))
    w, A_t = w.double(), A.double().T
    assert_gradient_agrees(by_A, torch.outer(w, x.double().mean(dim=0)), of="A", like=dtype, scale=size)
    assert_gradient_agrees(by_A_alone, torch.outer(w, x.double().mean(dim=0)), of="A, where x carries no graph", like=dtype, scale=size)
    assert_gradient_agrees(by_b, w, of="b", like=dtype, scale=size)
    assert_gradient_agrees(by_x, (A_t @ w / n).expand(n, m), of="x", like=dtype, scale=size)


@monte_carlo
@weight(0.033)
def test_monte_carlo_has_the_dtype_of_the_samples(student):
    """Float32 in, float32 out; float64 in, float64 out."""
    for dtype in draw.DTYPES:
        assert_dtype(student.monte_carlo(square, four_samples.to(dtype)), dtype)


@monte_carlo
@weight(0.05)
def test_monte_carlo_leaves_the_samples_as_they_are(student):
    """Where f returns its input, the values of f are the samples: they are not changed in place."""
    assert_unchanged(student.monte_carlo.observed(identity, four_samples))


# -- lotus --

plus_one = affine(torch.eye(2), torch.ones(2))
same_y_twice = torch.tensor([[-1.0, 2.0], [1.0, -2.0], [2.0, 0.0], [0.0, 4.0]])


@lotus
@weight(0.3)
def test_lotus_applies_f_first_to_every_sample(student):
    """f first, then g, then the average: every sample counts, also where f maps two of them to one y."""
    assert_agrees(student.lotus(plus_one, square, same_y_twice), torch.tensor([2.5, 7.0]))
    assert_agrees(student.lotus(square, plus_one, same_y_twice), torch.tensor([3.5, 9.0]))


@lotus
@weight(0.2)
@examples(4)
@given(case=vector_maps(), outer=st.sampled_from(["sin", "tanh", "square", "softmax"]), key=draw.seeds)
@example(case=vector_map("square", n=5, m=2, d=3, key=0, dtype=torch.float32), outer="square", key=0)
@example(case=vector_map("abs", n=4, m=4, d=4, key=0, dtype=torch.float64), outer="softmax", key=0)
def test_lotus_is_the_expectation_of_g_under_the_law_of_y(student, ref, case, outer, key):
    """Averaging g over the law of y = f(x) needs only samples of x, for an f that is not invertible as well."""
    k, dtype = case.size.shape[0], case.x.dtype
    g = vector_map(outer, n=1, m=k, d=4, key=key, dtype=dtype)
    steepness = 10 * (1 + float(case.size.amax()))  # g is built on an affine map with entries of a few units
    size = steepness**2 if outer == "square" else steepness
    assert_agrees(student.lotus(g.f, case.f, case.x), ref.lotus(g.f, case.f, case.x), like=dtype, scale=size)


@lotus
@weight(0.1)
@examples(2)
@given(shape=edges, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(1, 2, 3), key=0, dtype=torch.float32)
@example(shape=(3, 2, 1), key=0, dtype=torch.float32)
@example(shape=(3, 2, 1), key=0, dtype=torch.float64)
def test_lotus_of_a_single_sample_or_dimension(student, shape, key, dtype):
    """One sample, one dimension or one component keeps its axis where the result has one."""
    case = vector_map("sin", *shape, key, dtype)
    want = case.f.double()(case.x.double()).square().mean(dim=0)
    assert_agrees(student.lotus(square, case.f, case.x), want, like=dtype, scale=case.size)


@lotus
@weight(0.1)
@examples(1)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_lotus_counts_every_one_of_many_samples(student, dtype):
    """Of 4099 samples none is left out and none counts more than the others, the last ones included."""
    x, eighth = late_samples(MANY, dtype), torch.tensor(0.125, dtype=dtype)
    got = student.lotus(square, scaled(eighth, identity), x)
    assert_agrees(got, (x.double() / 8).square().mean(dim=0), like=dtype, scale=(x.double() / 8).square().amax(dim=0))


@lotus
@weight(0.05)
def test_lotus_depends_on_the_samples_alone(student):
    """The numbers in x count: not how they lie in memory, and not what an earlier call was given."""
    for x, plain in layouts(four_samples, 1 - four_samples):
        want = plain.double().sin().square().mean(dim=0)
        assert_agrees(student.lotus(square, elementwise("sin"), x), want, like=plain, scale=4)


@lotus
@weight(0.2)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(3, 2, 5), key=0, dtype=torch.float32)
@example(shape=(65, 2, 5), key=0, dtype=torch.float64)
@example(shape=(1, 2, 5), key=0, dtype=torch.float64)
def test_lotus_has_the_gradient_of_an_average(student, shape, key, dtype):
    """For g(y) = A y and f(x) = c x the expectation is A c times the mean sample: so are its gradients by A, c and x."""
    n, k, d = shape
    A, x = draw.normal((d, k), key, dtype=dtype), draw.normal((n, k), key + 1, dtype=dtype)
    c, w = torch.tensor(1.5, dtype=dtype), draw.normal((d,), key + 2, dtype=dtype)
    f, g = scaled(c, identity), affine(A, torch.zeros(d, dtype=dtype))
    _, (by_A, by_c, by_x) = student.lotus.gradient(g, f, x, wrt=[A, c, x], weights=w)
    size = float((1 + w.abs().sum()) * (1 + A.abs().sum()) * (1 + x.abs().amax()))
    mean, w, A = x.double().mean(dim=0), w.double(), A.double()
    assert_gradient_agrees(by_A, torch.outer(w, 1.5 * mean), of="the parameters of g", like=dtype, scale=size)
    assert_gradient_agrees(by_c, w @ A @ mean, of="the parameters of f", like=dtype, scale=size)
    assert_gradient_agrees(by_x, (1.5 * w @ A / n).expand(n, k), of="x", like=dtype, scale=size)
    _, (by_c,) = student.lotus.gradient(g, f, x, wrt=[c], weights=w.to(dtype))
    assert_gradient_agrees(by_c, w @ A @ mean, of="the parameters of f, where x carries no graph", like=dtype, scale=size)


@lotus
@weight(0.017)
def test_lotus_has_the_dtype_of_the_samples(student):
    """Float32 in, float32 out; float64 in, float64 out; the samples stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.lotus.observed(square, elementwise("sin"), four_samples.to(dtype))), dtype)
    assert_unchanged(student.lotus.observed(identity, identity, four_samples))  # g and f hand out the samples themselves
