"""Means of values under a law (slides 25 and 27): Jensen's gap, the best prediction, the expectation under deltas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_form, assert_gradient_agrees, assert_no_trace, refuses
from grader.checks.lecture1.course_tricks.draw import (
    assert_moving_mass,
    dims,
    real_function,
    real_functions,
    sizes,
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
    linear,
    quadratic,
    scaled,
)

jensen = pytest.mark.exercise("course_tricks.jensen_gap")
predictor = pytest.mark.exercise("course_tricks.optimal_mse_predictor")
dirac = pytest.mark.exercise("course_tricks.dirac_expectation")
weight = pytest.mark.weight
examples = pytest.mark.examples

square = elementwise("square")
two_samples = torch.tensor([[1.0], [3.0]])


# -- jensen_gap --


@jensen
@weight(0.25)
@examples(10)
@given(case=real_functions())
@example(case=real_function("convex quadratic", n=5, m=2, key=0, dtype=torch.float32))
@example(case=real_function("concave quadratic", n=3, m=1, key=0, dtype=torch.float64))
@example(case=real_function("log-sum-exp", n=1, m=3, key=0, dtype=torch.float32))
def test_jensen_gap_is_average_of_f_minus_f_of_average(student, ref, case):
    """The gap is the average of f over the samples minus f at the average sample, whatever its sign."""
    assert_agrees(student.jensen_gap(case.f, case.x), ref.jensen_gap(case.f, case.x), like=case.x, scale=case.size)


@jensen
@weight(0.25)
@examples(6)
@given(n=sizes(), m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=2, m=1, key=0, dtype=torch.float32)
@example(n=1, m=1, key=0, dtype=torch.float32)
def test_jensen_gap_of_the_squared_norm_is_the_variance(student, n, m, key, dtype):
    """For the squared norm the gap is the variance of the samples, for its negative minus that, and for a line zero."""
    x = draw.normal((n, m), key, dtype=dtype)
    size = float(x.double().square().sum(dim=1).amax()) + m
    variance = (x.double() - x.double().mean(dim=0)).square().sum() / n
    norm = quadratic(torch.eye(m, dtype=dtype))
    one = torch.ones((), dtype=dtype)
    assert_agrees(student.jensen_gap(norm, x), variance, like=dtype, scale=size)
    assert_agrees(student.jensen_gap(scaled(-one, norm), x), -variance, like=dtype, scale=size)
    line = linear(torch.ones(m, dtype=dtype), one)
    assert_agrees(student.jensen_gap(line, x), torch.zeros((), dtype=torch.float64), like=dtype, scale=1 + size)


@jensen
@weight(0.25)
@examples(4)
@given(n=sizes(), m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=2, key=0, dtype=torch.float32)
def test_jensen_gap_can_be_differentiated(student, n, m, key, dtype):
    """For f(x) = |A x|^2 the gap is made of A and the covariance of the samples: so are its gradients."""
    A, x = draw.normal((2, m), key, dtype=dtype), draw.normal((n, m), key + 1, dtype=dtype)
    _, (by_A, by_x) = student.jensen_gap.gradient(quadratic(A), x, wrt=[A, x])
    A, x = A.double(), x.double()
    off = x - x.mean(dim=0)
    size = float(2 * (1 + A.abs().sum()) ** 2 * (1 + x.abs().amax()) ** 2)
    assert_gradient_agrees(by_A, 2 * A @ off.T @ off / n, of="the parameters of f", like=dtype, scale=m * size)
    assert_gradient_agrees(by_x, 2 * off @ A.T @ A / n, of="x", like=dtype, scale=m * size)


@jensen
@weight(0.25)
def test_jensen_gap_refuses_no_samples_and_leaves_no_trace(student):
    """Without samples there is no average; with samples nothing but the result is left."""
    observed = student.jensen_gap.observed(quadratic(torch.tensor([[2.0]])), two_samples)
    assert_agrees(observed.value, torch.tensor(4.0))
    assert_no_trace(observed)
    with refuses("x", "n"):
        student.jensen_gap(linear(torch.ones(2), torch.zeros(())), torch.zeros(0, 2))
    with refuses("x", "m"):
        student.jensen_gap(linear(torch.ones(0), torch.zeros(())), torch.zeros(3, 0))


# -- optimal_mse_predictor --


def joint_table(a: int, b: int, key: int, dtype: torch.dtype) -> Tensor:
    """Masses of all pairs, each at least 0.01: every row has mass."""
    return draw.uniform((a, b), key, 0.01, 1, dtype)


tables = st.integers(1, 4)


@predictor
@weight(0.5)
@examples(10)
@given(a=tables, b=tables, d=dims, key=draw.seeds, dtype=draw.dtypes)
@example(a=1, b=1, d=1, key=0, dtype=torch.float32)
@example(a=3, b=3, d=3, key=0, dtype=torch.float64)
@example(a=2, b=4, d=2, key=0, dtype=torch.float32)
def test_best_prediction_is_the_conditional_mean(student, ref, a, b, d, key, dtype):
    """The prediction for x = i is the mean of y under p(y | x = i)."""
    joint, y = joint_table(a, b, key, dtype), draw.normal((b, d), key + 1, dtype=dtype)
    got = student.optimal_mse_predictor(joint, y)
    assert_agrees(got, ref.optimal_mse_predictor(joint, y), like=dtype, scale=float(y.abs().amax()))


@predictor
@weight(0.25)
@examples(6)
@given(a=tables, b=tables, key=draw.seeds, c=st.sampled_from([1e-24, 1e-9, 3.0, 1e12]), dtype=draw.dtypes)
@example(a=2, b=3, key=0, c=1e-24, dtype=torch.float32)
def test_only_ratios_of_masses_matter(student, a, b, key, c, dtype):
    """Multiplying the whole table by a constant changes no prediction: the table need not be normalised."""
    joint, y = joint_table(a, b, key, dtype), draw.normal((b, 2), key + 1, dtype=dtype)
    plain, rescaled = student.optimal_mse_predictor(joint, y), student.optimal_mse_predictor(joint * c, y)
    assert_form(plain, (a, 2), dtype)
    assert_agrees(plain.isfinite().all(), torch.tensor(True), what="the finiteness of all predictions")
    assert_agrees(rescaled, plain.double(), like=dtype, scale=float(y.abs().amax()))


@predictor
@weight(0.5)
@examples(6)
@given(a=st.integers(2, 4), b=tables, key=draw.seeds, dtype=draw.dtypes)
@example(a=2, b=1, key=0, dtype=torch.float32)
def test_a_row_without_mass_gives_nan_in_that_row_alone(student, ref, a, b, key, dtype):
    """Nothing can be said about y given an x that never comes, and everything stays as it is for the others."""
    joint, y = joint_table(a, b, key, dtype), draw.normal((b, 2), key + 1, dtype=dtype)
    joint[key % a] = 0
    got = student.optimal_mse_predictor(joint, y)
    assert_agrees(got, ref.optimal_mse_predictor(joint, y), like=dtype, scale=float(y.abs().amax()))


@predictor
@weight(0.25)
@examples(6)
@given(a=tables, b=tables, key=draw.seeds, dtype=draw.dtypes)
@example(a=3, b=2, key=0, dtype=torch.float32)
def test_predictions_average_to_the_mean_of_y(student, a, b, key, dtype):
    """Averaged over p(x), the predictions give the mean of y (the law of total expectation)."""
    joint, y = draw.pmf((a * b,), key, dtype=dtype).reshape(a, b), draw.normal((b, 2), key + 1, dtype=dtype)
    got = student.optimal_mse_predictor(joint, y)
    assert_form(got, (a, 2), dtype)
    mean_prediction = (joint.double().sum(dim=1) @ got.double()).to(dtype)
    mean_y, size = joint.double().sum(dim=0) @ y.double(), float(y.abs().amax())
    assert_agrees(mean_prediction, mean_y, like=dtype, scale=size, what="the mean of the predictions")


@predictor
@weight(0.25)
@examples(6)
@given(a=tables, b=tables, key=draw.seeds, dtype=draw.dtypes)
@example(a=3, b=2, key=0, dtype=torch.float32)
def test_what_x_determines_is_predicted_exactly(student, a, b, key, dtype):
    """Where y is a function of x, the best prediction is that y."""
    column = draw.integers((a,), key, b)
    joint, y = torch.zeros(a, b, dtype=dtype), draw.normal((b, 2), key + 1, dtype=dtype)
    joint[torch.arange(a), column] = draw.uniform((a,), key + 2, 0.01, 1, dtype)
    assert_agrees(student.optimal_mse_predictor(joint, y), y[column].double(), like=dtype)


@predictor
@weight(0.25)
@examples(5)
@given(a=tables, b=tables, key=draw.seeds, dtype=draw.dtypes)
@example(a=2, b=3, key=0, dtype=torch.float32)
def test_no_other_prediction_has_a_smaller_error(student, a, b, key, dtype):
    """The derivative of the mean squared error by every prediction is zero at the answer: no step improves it."""
    joint, y = joint_table(a, b, key, dtype), draw.normal((b, 2), key + 1, dtype=dtype)
    got = student.optimal_mse_predictor(joint, y)
    assert_form(got, (a, 2), dtype)
    prediction = got.double().requires_grad_()
    error = (joint.double()[..., None] * (y.double() - prediction[:, None]).square()).sum()
    (slope,) = torch.autograd.grad(error, prediction)
    size = 4 * b * float(y.abs().amax())
    assert_agrees(slope.to(dtype), torch.zeros_like(slope), like=dtype, scale=size, what="the slope of the error")


@predictor
@weight(0.5)
def test_optimal_mse_predictor_can_be_differentiated(student):
    """More mass on a value pulls the prediction towards it, and values move it by their probability."""
    joint, y = torch.tensor([[1.0, 1.0], [1.0, 3.0]]), torch.tensor([[0.0], [4.0]])
    value, (by_joint, by_y) = student.optimal_mse_predictor.gradient(joint, y, wrt=[joint, y])
    assert_agrees(value, torch.tensor([[2.0], [3.0]]))
    assert_gradient_agrees(by_joint, torch.tensor([[-1.0, 1.0], [-0.75, 0.25]]), of="joint", scale=4.0)
    assert_gradient_agrees(by_y, torch.tensor([[0.75], [1.25]]), of="y", scale=4.0)


@predictor
@weight(0.25)
def test_optimal_mse_predictor_refuses_a_table_that_does_not_fit(student):
    """The table has one column for each value of y."""
    joint = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    assert_agrees(student.optimal_mse_predictor(joint, torch.tensor([[0.0], [4.0]])), torch.tensor([[3.0], [2.0]]))
    for b in (1, 3):
        with refuses("joint", "y", "b"):
            student.optimal_mse_predictor(joint, torch.ones(b, 2))


@predictor
@weight(0.25)
def test_optimal_mse_predictor_leaves_no_trace(student):
    """The table and the values stay as they are."""
    joint, y = torch.tensor([[1.0, 3.0], [0.0, 2.0]]), torch.tensor([[0.0], [4.0]])
    observed = student.optimal_mse_predictor.observed(joint, y)
    assert_agrees(observed.value, torch.tensor([[3.0], [4.0]]))
    assert_no_trace(observed)


# -- dirac_expectation --


@dirac
@weight(0.25)
@examples(10)
@given(case=vector_maps(), key=draw.seeds, zeros=st.booleans())
@example(case=vector_map("square", n=4, m=2, d=3, key=0, dtype=torch.float32), key=0, zeros=True)
@example(case=vector_map("sin", n=3, m=1, d=3, key=0, dtype=torch.float64), key=0, zeros=False)
def test_dirac_expectation_weighs_the_values_at_the_points(student, ref, case, key, zeros):
    """A mixture of deltas gives every point's value with the point's weight; a point of weight zero does not count."""
    weights = draw.pmf(case.x.shape[:1], key, zeros, case.x.dtype)
    got = student.dirac_expectation(case.f, case.x, weights)
    assert_agrees(got, ref.dirac_expectation(case.f, case.x, weights), like=case.x, scale=case.size)


@dirac
@weight(0.25)
@examples(5)
@given(x_0=draw.vectors(n=1), others=st.integers(0, 2))
@example(x_0=torch.tensor([[3.0]]), others=0)
def test_a_single_delta_sifts_out_one_value(student, x_0, others):
    """All weight on one point gives f at that point, wherever the others are."""
    rest = torch.arange(others * x_0.shape[1], dtype=x_0.dtype).reshape(others, x_0.shape[1])
    weights = torch.tensor([1.0] + [0.0] * others, dtype=x_0.dtype)
    got = student.dirac_expectation(square, torch.cat([x_0, rest]), weights)
    assert_agrees(got, x_0[0].double().square(), like=x_0)


@dirac
@weight(0.25)
@examples(4)
@given(k=sizes(), m=dims, d=dims, key=draw.seeds, dtype=draw.dtypes)
@example(k=3, m=2, d=2, key=0, dtype=torch.float32)
def test_dirac_expectation_can_be_differentiated(student, k, m, d, key, dtype):
    """Moving weight exchanges values of f; moving a point changes f there, times its weight."""
    A, x = draw.normal((d, m), key, dtype=dtype), draw.normal((k, m), key + 1, dtype=dtype)
    p, w = draw.pmf((k,), key + 2, dtype=dtype), draw.normal((d,), key + 3, dtype=dtype)
    f = add(compose(square, affine(A, torch.zeros(d, dtype=dtype))), constant(torch.ones(d, dtype=dtype)))
    _, (by_weights, by_points) = student.dirac_expectation.gradient(f, x, p, wrt=[p, x], weights=w)
    A, x, p, w = A.double(), x.double(), p.double(), w.double()
    size = float(2 * (1 + A.abs().sum()) ** 2 * (1 + x.abs().sum()) ** 2 * (1 + w.abs().sum()))
    assert_moving_mass(by_weights, (1 + (x @ A.T).square()) @ w, of="weights", like=dtype, scale=size)
    assert_gradient_agrees(by_points, p[:, None] * (2 * (x @ A.T) * w) @ A, of="points", like=dtype, scale=size)


@dirac
@weight(0.25)
def test_dirac_expectation_refuses_what_does_not_fit_and_leaves_no_trace(student):
    """There is at least one point, and one weight for each; nothing but the result is left."""
    three_quarters = torch.tensor([0.75, 0.25])
    observed = student.dirac_expectation.observed(elementwise("identity"), two_samples, three_quarters)
    assert_agrees(observed.value, torch.tensor([1.5]))
    assert_no_trace(observed)
    for weights in (torch.ones(1), torch.ones(3) / 3):
        with refuses("weights", "points", "k"):
            student.dirac_expectation(square, two_samples, weights)
    with refuses("points", "weights", "k"):
        student.dirac_expectation(square, torch.zeros(0, 2), torch.zeros(0))
    with refuses("points", "m"):
        student.dirac_expectation(constant(torch.ones(1)), torch.zeros(2, 0), three_quarters)
