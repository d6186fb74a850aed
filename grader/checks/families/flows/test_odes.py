"""Neural ODEs: the Runge-Kutta method, divergences exact and estimated, the density that a field gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.flows import (
    base_log_density,
    constant_field,
    identity_field,
    linear_field,
    power_field,
    radial_field,
    tanh_field,
)
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.passed_on import passed_on
from grader.sandbox.wire.families import Family

runge_kutta = pytest.mark.exercise("flows.runge_kutta")
divergence = pytest.mark.exercise("flows.divergence")
hutchinson = pytest.mark.exercise("flows.hutchinson_divergence")
ode_log_prob = pytest.mark.exercise("flows.ode_log_prob")
weight = pytest.mark.weight
examples = pytest.mark.examples

dimensions = st.integers(2, 4)


def dense_field(m: int, key: int, dtype: torch.dtype) -> Family:
    """A field of two layers that mixes all dimensions."""
    return tanh_field(draw.normal((5, m), key, 0.75, dtype), draw.normal((m, 5), key + 1, 0.75, dtype))


def batch(n: int, m: int, key: int, dtype: torch.dtype) -> Tensor:
    return draw.normal((n, m), key + 2, 1.0, dtype)


# -- runge_kutta --


@runge_kutta
@weight(1.0)
def test_one_step_on_exponential_growth_known_by_hand(student):
    """One step on x' = x gives the Taylor polynomial of e^h to order four, forwards and backwards; x' = 5 t^4 Simpson's rule."""
    for dtype in draw.DTYPES:
        growth, x = constant_field(draw.tensor([[1.0, 0.0], [0.0, -2.0]], dtype)), draw.tensor([[1.0, 3.0], [24.0, 0.0]], dtype)
        want = draw.tensor([[65 / 24, 1.0], [65.0, 0.0]])  # 1 + 1 + 1/2 + 1/6 + 1/24, and 1 - 2 + 2 - 4/3 + 2/3
        assert_agrees(student.runge_kutta(growth, x, 0.0, 1.0, 1), want, like=torch.float32, scale=200.0)
        want = draw.tensor([[0.375, 21.0], [9.0, 0.0]])
        assert_agrees(student.runge_kutta(growth, x, 1.0, 0.0, 1), want, like=torch.float32, scale=200.0)
        rate, x = draw.tensor([5.0, -5.0], dtype), draw.tensor([[0.5, 1.0]], dtype)
        for steps, gain in ((1, 25 / 24), (2, 385 / 384), (10, 1 + 1 / 24e4)):  # (0 + 4 (1/2)^4 + 1) 5 / 6; over k parts 1 + 1 / (24 k^4)
            want = draw.tensor([[0.5 + gain, 1.0 - gain]])
            assert_agrees(student.runge_kutta(power_field(rate, 4), x, 0.0, 1.0, steps), want, like=torch.float32, scale=20.0)
        want = draw.tensor([[0.5 + 745 / 24, 1.0 - 745 / 24]])  # (1 + 4 (3/2)^4 + 2^4) 5 / 6, from 1 to 2
        assert_agrees(student.runge_kutta(power_field(rate, 4), x, 1.0, 2.0, 1), want, like=torch.float32, scale=200.0)


@runge_kutta
@weight(0.75)
@examples(4)
@given(
    m=dimensions,
    steps=st.integers(1, 5),
    times=st.sampled_from([(0.0, 1.0), (0.5, -0.75), (-1.0, 0.25)]),
    key=draw.seeds,
    dtype=draw.dtypes,
)
@example(m=3, steps=3, times=(0.25, 1.0), key=0, dtype=torch.float32)
@example(m=2, steps=10, times=(1.0, 0.0), key=1, dtype=torch.float64)  # ten tenths, added up, are not one
def test_steps_of_the_classical_method(student, ref, m, steps, times, key, dtype):
    """Four slopes a step, at t, twice at t + h/2, and at t + h, for any field, number of steps and direction of time."""
    f, x = dense_field(m, key, dtype), batch(3, m, key, dtype)
    want = ref.runge_kutta(f, x, *times, steps)
    assert_agrees(student.runge_kutta(f, x, *times, steps), want, like=dtype, scale=50.0)
    f = linear_field(draw.normal((m, m), key, 0.5, dtype), draw.normal((m,), key + 1, 1.0, dtype))
    want = ref.runge_kutta(f, x, *times, steps)
    assert_agrees(student.runge_kutta(f, x, *times, steps), want, like=dtype, scale=50.0 + want.abs().max())


@runge_kutta
@weight(0.25)
def test_a_hundred_steps_and_a_large_batch(student, ref):
    """101 steps reach the end to nine digits; in 4099 rows each goes its own way."""
    c, x = draw.tensor([5.0, -5.0]), draw.tensor([[0.5, 1.0], [0.0, 0.0]])
    want = draw.tensor([[33.5, -32.0], [33.0, -33.0]])
    error = 5 * 3 * (3 / 101) ** 4 / 120  # of Simpson's rule
    assert_agrees(student.runge_kutta(power_field(c, 4), x, -1.0, 2.0, 101), want, scale=100.0, error=error, like=torch.float32)
    f, x = dense_field(3, 4, torch.float64), batch(4, 3, 4, torch.float64)
    rows = draw.integers((4099,), 0, 4)
    want = ref.runge_kutta(f, x, 0.0, 1.0, 2)[rows]
    assert_agrees(student.runge_kutta.strided(f, x[rows], 0.0, 1.0, 2), want, scale=50.0, like=torch.float32)


@runge_kutta
@weight(0.2)
def test_one_row_of_one_dimension_is_carried(student):
    """n = 1 and m = 1 are legal, and times that are whole numbers; where the two times are equal nothing moves.

    A field may hand out its argument.
    """
    growth, x = constant_field(draw.tensor([[1.0]])), draw.tensor([[24.0]])
    assert_agrees(student.runge_kutta(growth, x, 0.0, 1.0, 1), draw.tensor([[65.0]]), scale=200.0, like=torch.float32)
    assert_agrees(student.runge_kutta(growth, x, 0.5, 0.5, 3), x, scale=50.0, like=torch.float32)
    got = student.runge_kutta(identity_field(), x, 0.0, 1.0, 1)
    assert_agrees(got, draw.tensor([[65.0]]), scale=200.0, like=torch.float32)
    want = x * (1 + 1 / 2 + 1 / 8 + 1 / 48 + 1 / 384) ** 2
    assert_agrees(student.runge_kutta(growth, x, 0, 1, 2), want, scale=200.0, like=torch.float32)


@runge_kutta
@weight(0.65)
def test_the_end_can_be_differentiated_in_the_start_and_in_the_field(student):
    """Gradients flow through all steps, to the start and to what the field holds."""
    A, x = draw.tensor([[1.0]]), draw.tensor([[24.0], [-12.0]])
    p, slope = 65 / 24, 8 / 3  # each step on x' = a x multiplies by 1 + a + a^2/2 + a^3/6 + a^4/24, of derivative 1 + 1 + 1/2 + 1/6
    known = {"x": (x, [[p**2], [3 * p**2]]), "A": (A, [[(24 - 36) * 2 * p * slope]])}
    args = [constant_field(A), x, 0.0, 2.0, 2]
    assert_gradients_known(student.runge_kutta, args, known, weights=draw.tensor([[1.0], [3.0]]), scale=100.0)
    c = draw.tensor([5.0])
    known = {"c": (c, [385 / 1920])}
    assert_gradients_known(student.runge_kutta, [power_field(c, 4), x[:1], 0.0, 1.0, 2], known, scale=100.0)


@runge_kutta
@weight(0.05)
def test_the_end_has_the_dtype_of_the_start(student):
    """float32 in, float32 out; float64 in, float64 out; the start stays as it is."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.runge_kutta.observed(dense_field(2, 0, dtype), batch(2, 2, 0, dtype), 0.0, 1.0, 2)), dtype)


# -- divergence --


@divergence
@weight(0.75)
def test_divergences_known_by_hand(student):
    """A linear field at time t, before 0, too: (1 + t) tr A; a rotation: 0; the field |x|^2 x of three dimensions: 5 |x|^2."""
    for dtype in draw.DTYPES:
        x = draw.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]], dtype)
        A = draw.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, -2.0]], dtype)
        zero = torch.zeros(3, dtype=dtype)
        got = student.divergence(linear_field(A, zero), 0.5, x)
        assert_agrees(got, draw.tensor([6.0, 6.0]), like=torch.float32, scale=20.0)
        got = student.divergence(linear_field(A, zero), -3.0, x)
        assert_agrees(got, draw.tensor([-8.0, -8.0]), like=torch.float32, scale=40.0)
        got = student.divergence(constant_field(A - A.T), 0.5, x)
        assert_agrees(got, draw.tensor([0.0, 0.0]), like=torch.float32, scale=20.0)
        assert_agrees(student.divergence(radial_field(), 0.0, x), draw.tensor([25.0, 45.0]), like=torch.float32, scale=50.0)


@divergence
@weight(0.45)
@examples(4)
@given(m=dimensions, key=draw.seeds, dtype=draw.dtypes)
@example(m=3, key=0, dtype=torch.float32)
@example(m=4, key=1, dtype=torch.float64)
def test_the_divergence_is_the_trace_of_each_rows_jacobian(student, ref, m, key, dtype):
    """The field mixes the dimensions of a row, never rows: each row has a trace of its own, at the time asked for."""
    f, x = dense_field(m, key, dtype), batch(4, m, key, dtype)
    want, rows = ref.divergence(f, 0.25, x), draw.integers((131,), key, 4)
    assert_agrees(student.divergence(f, 0.25, x), want, like=dtype, scale=50.0)
    assert_agrees(student.divergence(f, 0.25, x[rows]), want[rows], like=dtype, scale=50.0)


@divergence
@weight(0.15)
def test_the_divergence_of_one_row_and_of_one_dimension(student):
    """n = 1 and m = 1 are legal: the divergence of x^3 in one dimension is 3 x^2. It is exact in 17 dimensions, too, at any time."""
    for x in ([[2.0]], [[2.0], [1.0]]):
        want = draw.tensor([3 * value**2 for (value,) in x])
        assert_agrees(student.divergence.strided(radial_field(), 0.0, draw.tensor(x)), want, scale=20.0, like=torch.float32)
    wide = torch.arange(289.0).reshape(17, 17).double()  # of trace 2448
    got = student.divergence.strided(linear_field(wide, wide[0]), 1 / 7, wide[:2])
    assert_agrees(got, draw.tensor([8 / 7 * 2448] * 2), scale=1e4)
    want = draw.tensor([25.0])
    assert_agrees(student.divergence.strided(radial_field(), 0.0, draw.tensor([[1.0, 2.0, 0.0]])), want, scale=50.0, like=torch.float32)


@divergence
@weight(0.55)
def test_the_divergence_can_be_differentiated_once_more(student):
    """Training needs the gradient of the divergence in the field's parameters, and in the data."""
    A, x, weights = draw.normal((3, 3), 1), draw.tensor([[1.0, 2.0, 0.0], [0.0, 0.5, 3.0]]), draw.tensor([1.0, -2.0])
    known = {"A": (A, [[-1.25, 0.0, 0.0], [0.0, -1.25, 0.0], [0.0, 0.0, -1.25]])}
    args = [linear_field(A, x[0]), 0.25, x]  # (1 + t) tr A in each row
    assert_gradients_known(student.divergence, args, known, weights=weights, scale=100.0)
    known = {"x": (x, [[10.0, 20.0, 0.0], [0.0, -10.0, -60.0]])}  # of 5 |x|^2
    for given_ in (x, passed_on(x)):
        assert_gradients_known(student.divergence, [radial_field(), 0.0, given_], known, weights=weights, scale=100.0)
    one = draw.tensor([[2.0]])  # a field of one dimension is trained, too
    args = [linear_field(one, one[0]), 0.25, x[:, :1]]
    assert_gradients_known(student.divergence, args, {"A": (one, [[-1.25]])}, weights=weights, scale=100.0)


@divergence
@weight(0.033)
def test_the_divergence_has_the_dtype_of_the_data(student):
    """float32 in, float32 out; float64 in, float64 out; the data stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.divergence.observed(dense_field(2, 0, dtype), 0.5, batch(2, 2, 0, dtype))), dtype)


# -- hutchinson_divergence --


@hutchinson
@weight(0.75)
def test_estimates_from_probes_known_by_hand(student):
    """Probes along the axes see diagonal entries; (1, 2) sees v'Av = 1 + 4 + 6 + 20; two probes are averaged."""
    for dtype in draw.DTYPES:
        f = linear_field(draw.tensor([[1.0, 2.0], [3.0, 5.0]], dtype), torch.zeros(2, dtype=dtype))
        x = draw.tensor([[1.0, -1.0], [0.5, 3.0]], dtype)
        v = draw.tensor([[[1.0, 0.0], [1.0, 2.0]], [[0.0, 1.0], [0.0, 0.0]]], dtype)
        got = student.hutchinson_divergence(f, 1.0, x, v)
        assert_agrees(got, draw.tensor([6.0, 31.0]), like=torch.float32, scale=100.0)


@hutchinson
@weight(0.45)
@examples(4)
@given(s=st.integers(2, 4), m=dimensions, key=draw.seeds, dtype=draw.dtypes)
@example(s=3, m=3, key=0, dtype=torch.float32)
@example(s=2, m=4, key=1, dtype=torch.float64)
def test_the_estimate_is_the_mean_of_the_quadratic_forms(student, ref, s, m, key, dtype):
    """Each row averages v'Jv over its own probes, whatever their law and their length."""
    f, x = dense_field(m, key, dtype), batch(3, m, key, dtype)
    v = draw.normal((s, 3, m), key + 5, 1.5, dtype)
    want = ref.hutchinson_divergence(f, 0.25, x, v)
    assert_agrees(student.hutchinson_divergence(f, 0.25, x, v), want, like=dtype, scale=200.0)


@hutchinson
@weight(0.15)
def test_the_estimate_with_one_probe_one_row_or_one_dimension(student, ref):
    """s = 1, n = 1 and m = 1 are legal; so are 65 probes and 131 rows."""
    for s, n, m in ((1, 3, 2), (2, 1, 2), (2, 2, 1), (1, 1, 1), (65, 2, 2)):
        f, x, v = dense_field(m, 3, torch.float64), batch(n, m, 3, torch.float64), draw.normal((s, n, m), 1)
        want = ref.hutchinson_divergence(f, 0.25, x, v)
        assert_agrees(student.hutchinson_divergence.strided(f, 0.25, x, v), want, like=torch.float32, scale=200.0)
    rows = draw.integers((131,), 0, 2)
    got = student.hutchinson_divergence.strided(f, 0.25, x[rows], v[:5, rows])
    want = ref.hutchinson_divergence(f, 0.25, x, v[:5])[rows]
    assert_agrees(got, want, like=torch.float32, scale=200.0)


@hutchinson
@weight(0.55)
def test_the_estimate_can_be_differentiated_once_more(student):
    """Training needs the gradient of the estimate in the field's parameters, and in the data."""
    A, x = draw.normal((2, 2), 1), draw.tensor([[1.0, 2.0], [3.0, 0.0]])
    v, weights = draw.tensor([[[1.0, 2.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, 1.0]]]), draw.tensor([1.0, -1.0])
    # (1 + t) / 2 times the sums of v v': [[10, 2], [2, 4]] for the first row, [[1, 1], [1, 2]] for the second
    known = {"A": (A, [[6.75, 0.75], [0.75, 1.5]])}
    args = [linear_field(A, x[0]), 0.5, x, v]
    assert_gradients_known(student.hutchinson_divergence, args, known, weights=weights, scale=100.0)
    known = {"A": (A, [[1.5, 3.0], [3.0, 4.5]])}  # of one probe: (1 + t) times [[1, 2], [2, 4]] and [[0, 0], [0, 1]]
    args = [linear_field(A, x[0]), 0.5, x, v[:1]]
    assert_gradients_known(student.hutchinson_divergence, args, known, weights=weights, scale=100.0)
    # v'Jv = |x|^2 |v|^2 + 2 (x . v)^2, of derivative 2 |v|^2 x + 4 (x . v) v, averaged over two probes
    known = {"x": (x, [[42.0, 48.0], [-15.0, -6.0]])}
    for given_ in (x, passed_on(x)):
        assert_gradients_known(student.hutchinson_divergence, [radial_field(), 0.0, given_, v], known, weights=weights, scale=100.0)


@hutchinson
@weight(0.033)
def test_the_estimate_has_the_dtype_of_the_data(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = batch(2, 2, 0, dtype)
        assert_dtype(assert_unchanged(student.hutchinson_divergence.observed(identity_field(), 0.5, x, x[None])), dtype)


# -- ode_log_prob --


def density_problem(m: int, key: int, dtype: torch.dtype) -> tuple[Family, Family, Tensor]:
    base = base_log_density(draw.normal((m,), key + 6, 1.0, dtype), draw.uniform((m,), key + 7, 0.5, 2.0, dtype))
    return dense_field(m, key, dtype), base, batch(3, m, key, dtype)


@ode_log_prob
@weight(1.0)
def test_the_density_of_a_growing_and_a_shrinking_dimension_known_by_hand(student):
    """One step carries (24, 3) to (65, 1) and adds the divergence -1; with a rate that grows in time its integral, -3/2."""
    for dtype in draw.DTYPES:
        A = draw.tensor([[1.0, 0.0], [0.0, -2.0]], dtype)
        base = base_log_density(draw.tensor([65.0, 0.0], dtype), draw.tensor([1.0, 1.0], dtype))
        got = student.ode_log_prob(constant_field(A), base, draw.tensor([[24.0, 3.0], [24.0, 0.0]], dtype), 1)
        want = draw.tensor([-3.337877066409345, -2.837877066409345])
        assert_agrees(got, want, like=torch.float32, scale=400.0, unit="nats")
        zero = torch.zeros(2, dtype=dtype)
        base = base_log_density(zero, torch.ones(2, dtype=dtype))
        mixing = linear_field(draw.tensor([[1.0, 4.0], [3.0, -2.0]], dtype), zero)  # at zero nothing moves, and the trace alone counts
        got = student.ode_log_prob(mixing, base, draw.tensor([[0.0, 0.0]], dtype), 2)
        assert_agrees(got, draw.tensor([-3.337877066409345]), like=torch.float32, scale=20.0, unit="nats")
        explosion = constant_field(100 * torch.eye(2, dtype=dtype))
        got = student.ode_log_prob(explosion, base, draw.tensor([[0.0, 0.0]], dtype), 2)
        assert_agrees(got, draw.tensor([200 - 1.8378770664093453]), like=torch.float32, scale=400.0, unit="nats")
    # 24 steps of 1/8 on x' = 3 x carry 1 to 20.0851; fewer ones, or finer ones, end elsewhere
    end = (1 + 1 / 8 + 1 / 128 + 1 / 3072 + 1 / 98304) ** 24
    base = base_log_density(draw.tensor([0.0]), draw.tensor([1.0]))
    got = student.ode_log_prob(constant_field(draw.tensor([[3.0]])), base, draw.tensor([[1.0]]), 24)
    assert_agrees(got, draw.tensor([3.0 - 0.5 * end**2 - 0.9189385332046727]), like=torch.float32, scale=200.0, unit="nats")


@ode_log_prob
@weight(0.75)
@examples(2)
@given(m=st.integers(2, 3), steps=st.integers(1, 3), key=draw.seeds, dtype=draw.dtypes)
@example(m=3, steps=2, key=0, dtype=torch.float32)
@example(m=2, steps=10, key=1, dtype=torch.float64)
def test_state_and_integral_are_carried_together(student, ref, m, steps, key, dtype):
    """The divergence is added up along the path, at the very points where the method asks the field."""
    given_ = density_problem(m, key, dtype)
    want = ref.ode_log_prob(*given_, steps)
    assert_agrees(student.ode_log_prob(*given_, steps), want, like=dtype, scale=200.0 + 20 * want.abs(), unit="nats")


@ode_log_prob
@weight(0.25)
def test_the_ode_density_of_one_row_and_one_dimension_and_of_many_rows(student, ref):
    """n = 1 and m = 1 are legal; with 131 rows each has its own density."""
    f, base, x = density_problem(1, 2, torch.float64)
    for few in ([0], [0, 1]):
        want = ref.ode_log_prob(f, base, x, 2)[few]
        assert_agrees(student.ode_log_prob.strided(f, base, x[few], 2), want, scale=200.0, like=torch.float32, unit="nats")
    f, base, x = density_problem(2, 2, torch.float64)
    rows = draw.integers((131,), 0, 3)
    want = ref.ode_log_prob(f, base, x, 2)[rows]
    assert_agrees(student.ode_log_prob.strided(f, base, x[rows], 2), want, scale=400.0, like=torch.float32, unit="nats")


@ode_log_prob
@weight(0.75)
def test_an_ode_flow_can_be_trained(student):
    """Gradients reach the field's parameters, through the state and through the divergence, the base's, and the data."""
    A, x = draw.tensor([[1.0]]), draw.tensor([[24.0], [0.0]])
    base = base_log_density(draw.tensor([64.0]), draw.tensor([1.0]))
    # one step multiplies by p(a) = 65/24, of derivative 8/3: the ends 65 and 0 are 1 and -64 off; the divergence adds a
    known = {
        "x": (x, [[-65 / 24], [-2 * 64 * 65 / 24]]),
        "A": (A, [[-24 * 8 / 3 + 1 - 2 * 1]]),
        "mu": (base.parameters["mu"], [1 - 2 * -64.0]),
    }
    args = [constant_field(A), base, x, 1]
    assert_gradients_known(student.ode_log_prob, args, known, weights=draw.tensor([1.0, -2.0]), scale=1000.0)
    x, base = draw.tensor([[0.5]]), base_log_density(draw.tensor([0.0]), draw.tensor([1.0]))
    # one step on x' = x^3, in fractions by the chain rule: to 0.7065 with the slope 2.8080; the divergence, 3 x^2, adds 5.9093
    known = {"x": (x, [[-0.7065008587538312 * 2.8079885340787447 + 5.909275055301231]])}
    assert_gradients_known(student.ode_log_prob, [radial_field(), base, passed_on(x), 1], known, scale=100.0)


@ode_log_prob
@weight(0.083)
def test_the_ode_density_has_the_dtype_of_the_data(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.ode_log_prob.observed(*density_problem(2, 0, dtype), 1)), dtype)
