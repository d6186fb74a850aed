"""The standard error of a Monte Carlo estimate (slide 25).

Whoever divides by n where n - 1 is right is wrong by a factor: values tell, ratios and logarithmic derivatives do not.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import (
    assert_agrees,
    assert_dtype,
    assert_form,
    assert_gradient_agrees,
    assert_unchanged,
)
from grader.checks.lecture1.course_tricks.draw import MANY, edges, late_samples, shapes, vector_map, vector_maps
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import affine, elementwise, scaled
from grader.checks.lecture1.shared.layouts import layouts
from grader.sandbox.wire.families import Family

standard_error = pytest.mark.exercise("course_tricks.monte_carlo_standard_error")
weight = pytest.mark.weight
examples = pytest.mark.examples

square, identity = elementwise("square"), elementwise("identity")
three_samples = torch.tensor([[1.0, 0.0], [-1.0, 3.0], [2.0, -3.0]])


def true_error(f: Family, x: torch.Tensor) -> torch.Tensor:
    return f.double()(x.double()).std(dim=0) / len(x) ** 0.5


@standard_error
@weight(0.3)
def test_standard_error_of_three_values(student):
    """Deviations from the mean of f, squared, summed, over n - 1, the root of it over the root of n."""
    right = torch.tensor([1.0, 3.0])
    mistaken = {
        "You divided the squares by n: a sample standard deviation divides by n - 1.": right * (2 / 3) ** 0.5,
        "This is the spread of single values: that of their average is smaller by the root of n.": right * 3**0.5,
        "You divided by n: the error of an average falls with the root of n only.": right / 3**0.5,
    }
    assert_agrees(student.monte_carlo_standard_error(square, three_samples), right, scale=9, mistaken=mistaken)


@standard_error
@weight(0.35)
@examples(4)
@given(case=vector_maps(), far=st.sampled_from([1.0, 1e-12, 1e12]))
@example(case=vector_map("square", n=2, m=5, d=3, key=0, dtype=torch.float32), far=1e12)
@example(case=vector_map("identity", n=5, m=2, d=3, key=0, dtype=torch.float32), far=1e-12)
@example(case=vector_map("sin", n=3, m=3, d=3, key=0, dtype=torch.float64), far=1.0)
def test_standard_error_is_the_sample_deviation_over_root_n(student, ref, case, far):
    """The standard error of every component is its sample standard deviation over the root of n."""
    f = scaled(torch.tensor(far, dtype=case.x.dtype), case.f)
    got, want = student.monte_carlo_standard_error(f, case.x), ref.monte_carlo_standard_error(f, case.x)
    assert_agrees(got, want, like=case.x, scale=far * case.size)


@standard_error
@weight(0.3)
@examples(3)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(5, 2, 3), key=0, dtype=torch.float32)
@example(shape=(3, 5, 2), key=0, dtype=torch.float64)
def test_errors_of_the_components_are_in_proportion_to_their_spreads(student, shape, key, dtype):
    """Each component of f has an error of its own: the share of each in the sum of all errors."""
    n, m, d = shape
    A, b = draw.normal((d, m), key, dtype=dtype), draw.normal((d,), key + 1, dtype=dtype)
    x = draw.normal((n, m), key + 2, dtype=dtype)
    x[0] += 5  # a spread that does not vanish
    got, want = student.monte_carlo_standard_error(affine(A, b), x), true_error(affine(A, b), x)
    assert_form(got, (d,))
    size = 100 * (1 + float((x.abs() @ A.abs().T).amax())) / float(want.sum())
    share = got.double() / got.double().sum()
    assert_agrees(share, want / want.sum(), like=dtype, scale=size, what="the share of the errors")


@standard_error
@weight(0.25)
@examples(2)
@given(offset=st.sampled_from([-3e4, 1e4, 1e5]), key=draw.seeds, dtype=draw.dtypes)
@example(offset=1e5, key=0, dtype=torch.float32)
@example(offset=1e8, key=0, dtype=torch.float64)
@example(offset=1e4, key=8357, dtype=torch.float64)
def test_standard_error_survives_a_large_mean(student, offset, key, dtype):
    """A large mean of one component leaves its spread as it is, beside another that has none."""
    x = draw.normal((7, 2), key, scale=10.0, dtype=torch.float64)
    x = (x + torch.tensor([offset, 0.0], dtype=torch.float64)).to(dtype)
    x[0, 1] = 40  # a spread that does not vanish
    got, want = student.monte_carlo_standard_error(identity, x), true_error(identity, x)
    assert_form(got, (2,))
    ratio = (got[0] / got[1]).double()
    assert_agrees(ratio, want[0] / want[1], like=dtype, scale=abs(offset), what="the ratio of the two errors")


@standard_error
@weight(0.25)
@examples(1)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_standard_error_of_many_samples(student, dtype):
    """Of 4099 samples every one counts, and n or n - 1 makes no difference: the error agrees to three digits."""
    x = late_samples(MANY, dtype)
    got, want = student.monte_carlo_standard_error(identity, x), true_error(identity, x)
    assert_agrees(got, want, like=dtype, scale=want, error=want * 2e-4 / 32)


@standard_error
@weight(0.1)
@examples(2)
@given(shape=edges, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(2, 2, 3), key=0, dtype=torch.float32)
@example(shape=(4, 1, 2), key=0, dtype=torch.float64)
@example(shape=(3, 2, 1), key=0, dtype=torch.float32)
@example(shape=(2, 1, 1), key=0, dtype=torch.float64)
@example(shape=(2, 4, 1), key=0, dtype=torch.float32)  # more dimensions than samples
@example(shape=(2, 1, 4), key=739, dtype=torch.float64)
@example(shape=(65, 2, 2), key=0, dtype=torch.float64)
def test_standard_error_of_two_samples_or_one_dimension(student, shape, key, dtype):
    """Two samples, one dimension or one component are enough; n - 1 divides for 65 samples as well."""
    case = vector_map("square", max(shape[0], 2), *shape[1:], key, dtype)
    got = student.monte_carlo_standard_error(case.f, case.x)
    assert_agrees(got, true_error(case.f, case.x), like=dtype, scale=case.size)


@standard_error
@weight(0.1)
def test_standard_error_depends_on_the_samples_alone(student):
    """The numbers in x count: not how they lie in memory, and not what an earlier call was given."""
    for x, plain in layouts(three_samples, three_samples.square() + 1):
        got = student.monte_carlo_standard_error(square, x)
        assert_agrees(got, true_error(square, plain), like=plain, scale=100)


@standard_error
@weight(0.25)
@examples(2)
@given(shape=shapes, key=draw.seeds, dtype=draw.dtypes)
@example(shape=(5, 3, 2), key=0, dtype=torch.float32)
@example(shape=(5, 3, 2), key=223, dtype=torch.float64)
@example(shape=(65, 3, 2), key=0, dtype=torch.float64)
def test_logarithm_of_the_standard_error_has_the_right_gradient(student, shape, key, dtype):
    """For f(x) = A x the squared error is a quadratic form of A and the covariance: so is the gradient of its logarithm."""
    n, m, d = shape
    A, x = draw.normal((d, m), key, dtype=dtype) + 2, draw.normal((n, m), key + 1, dtype=dtype)
    x[0] += 5  # f of the first sample stands out: the derivative exists
    w = torch.zeros(d, dtype=dtype)
    w[0] = 1  # of the first component
    f = affine(A, torch.zeros(d, dtype=dtype))
    value, (by_A, by_x) = student.monte_carlo_standard_error.gradient(f, x, wrt=[A, x], weights=w)
    assert_form(value, (d,))
    _, (by_A_alone,) = student.monte_carlo_standard_error.gradient(f, x, wrt=[A], weights=w)
    A, off = A.double(), x.double() - x.double().mean(dim=0)
    spread = off @ A[0]  # (n,)
    want_A = torch.zeros_like(A)
    want_A[0] = off.T @ spread / spread.square().sum()
    want_x = torch.outer(spread, A[0]) / spread.square().sum()
    size = 100 * (1 + A.abs().sum()) ** 2 * (1 + x.double().abs().amax()) ** 2
    by_A, by_A_alone, by_x = (None if by is None else by.double() / value[0].double() for by in (by_A, by_A_alone, by_x))
    assert_gradient_agrees(by_A, want_A, of="the parameters of f, over the error", like=dtype, scale=size)
    of = "the parameters of f, over the error, where x carries no graph"
    assert_gradient_agrees(by_A_alone, want_A, of=of, like=dtype, scale=size)
    assert_gradient_agrees(by_x, want_x, of="x, over the error", like=dtype, scale=size)


@standard_error
@weight(0.017)
def test_standard_error_has_the_dtype_of_the_samples(student):
    """Float32 in, float32 out; float64 in, float64 out."""
    for dtype in draw.DTYPES:
        assert_dtype(student.monte_carlo_standard_error(square, three_samples.to(dtype)), dtype)


@standard_error
@weight(0.05)
def test_standard_error_leaves_the_samples_as_they_are(student):
    """Where f returns its input, the values of f are the samples: they are not changed in place."""
    assert_unchanged(student.monte_carlo_standard_error.observed(identity, three_samples))
