"""Continuous data (slide 41): Gaussian conditionals and their density."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_form, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.autoregressive.draw import centred_model, gaussian_model, quarters
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import gaussian_independent, gaussian_linear
from grader.checks.lecture1.shared.layouts import layouts

gaussian_log_prob = pytest.mark.exercise("autoregressive.gaussian_log_prob")
weight = pytest.mark.weight
examples = pytest.mark.examples

MANY = 4099  # rows: more than any batch, and no round number
HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)

lengths = st.integers(2, 4)
batches = st.integers(2, 4)


@gaussian_log_prob
@weight(0.25)
def test_gaussian_log_prob_of_two_dependent_variables(student):
    """x_1 is standard normal, x_2 has mean 2 x_1 and standard deviation 1/2: the point (1, 3) is 1 and 2 deviations out."""
    A = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    conditional = gaussian_linear(A, torch.zeros(2), torch.zeros(2, 2), torch.tensor([0.0, -math.log(2)]))
    want = torch.tensor([0.0, -2.5, -2.0]).double() + math.log(2) - 2 * HALF_LOG_2_PI
    got = student.gaussian_log_prob(conditional, torch.tensor([[0.0, 0.0], [1.0, 3.0], [2.0, 4.0]]))
    assert_agrees(got, want, like=torch.float32, scale=8.0, unit="nats")


@gaussian_log_prob
@weight(0.5)
@given(n=batches, m=lengths, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=4, key=0, dtype=torch.float32)
@example(n=3, m=4, key=0, dtype=torch.float64)
def test_gaussian_log_prob_is_the_sum_of_the_log_conditionals(student, ref, n, m, key, dtype):
    """The log-density is the sum over j of that of x_j under the normal distribution that its prefix gives."""
    conditional, x = gaussian_model(m, key, dtype), quarters((n, m), key + 4, 2, dtype)
    got = student.gaussian_log_prob(conditional, x)
    want, scale = ref.gaussian_log_prob(conditional, x), ref.gaussian_rounding(conditional, x)
    assert_agrees(got, want, like=dtype, scale=scale, unit="nats")


@gaussian_log_prob
@weight(0.25)
@examples(10)
@given(m=lengths, halvings=st.integers(0, 3), dtype=draw.dtypes)
@example(m=3, halvings=3, dtype=torch.float32)
def test_a_narrower_gaussian_is_higher_at_its_mean(student, m, halvings, dtype):
    """At the mean the log-density is -1/2 log 2 pi - log sigma for each variable, positive when sigma is small, wherever the mean is.

    Far from zero the squares of x and of its mean have no digits left for their distance.
    """
    log_sigma = torch.full((m,), -halvings * math.log(2), dtype=dtype)
    got = student.gaussian_log_prob(centred_model(log_sigma), torch.zeros(2, m, dtype=dtype))
    want = torch.full((2,), m * (halvings * math.log(2) - HALF_LOG_2_PI), dtype=torch.float64)
    assert_agrees(got, want, like=dtype, scale=m * (halvings + 1.0), unit="nats")
    far = torch.full((m,), 3e3 if dtype == torch.float32 else 3e8, dtype=dtype) + 0.25
    deviations = 2**halvings * torch.tensor([0.5, -0.25], dtype=torch.float64)
    x = far + torch.tensor([[0.5], [-0.25]], dtype=dtype)
    got, want = student.gaussian_log_prob(gaussian_independent(far, log_sigma), x), want - m * deviations.square() / 2
    assert_agrees(got, want, like=dtype, scale=m * (halvings + 1.0 + deviations.square()), unit="nats")


@gaussian_log_prob
@weight(0.25)
def test_gaussian_log_prob_holds_for_any_width_and_784_dimensions(student):
    """Densities of e^100 or e^-100 a variable, and 784 of them, neither overflow nor underflow, even 10^5 deviations out."""
    in_float32 = [(784, log_sigma, torch.float32) for log_sigma in (-20.0, 20.0)]
    in_float64 = [(m, log_sigma, torch.float64) for m, log_sigma in ((784, -20.0), (3, -60.0), (3, 60.0), (784, -100.0), (784, 100.0))]
    for m, log_sigma, dtype in in_float32 + in_float64:
        logs = torch.full((m,), log_sigma, dtype=dtype)
        deviations = torch.tensor([1.0, -10.0, 1e5], dtype=dtype)[:, None].expand(3, m)
        got = student.gaussian_log_prob(centred_model(logs), deviations * logs.exp())
        want = m * (torch.tensor([-0.5, -50.0, -5e9]).double() - log_sigma - HALF_LOG_2_PI)
        scale = m * (abs(log_sigma) + torch.tensor([1.0, 100.0, 1e10]) * (1 + abs(log_sigma))) * (1 + m / 32)
        assert_agrees(got, want, like=dtype, scale=scale, unit="nats")


@gaussian_log_prob
@weight(0.125)
def test_the_gaussian_density_integrates_to_one(student):
    """Over the plane the density of two dependent variables integrates to one."""
    step = 0.25
    plane = torch.cartesian_prod(torch.arange(-12, 12, step), torch.arange(-36, 36, step)).double()
    A, S = torch.tensor([[0.0, 0.0], [0.5, 0.0]]).double(), torch.tensor([[0.0, 0.0], [0.0625, 0.0]]).double()
    zero = torch.zeros(2, dtype=torch.float64)
    got = student.gaussian_log_prob(gaussian_linear(A, zero, S, zero), plane)
    assert_form(got, (len(plane),))
    one = torch.ones((), dtype=torch.float64)
    like = got.dtype if got.is_floating_point() else torch.float64
    assert_agrees(got.double().exp().sum() * step**2, one, like=like, scale=10.0, what="the integral of the density")


@gaussian_log_prob
@weight(0.125)
def test_the_gaussian_gradient_draws_the_mean_to_the_data(student):
    """In mu it is the distance over sigma^2, in log sigma the squared distance in deviations minus one, in x both ways count.

    x_1 is standard normal; x_2 has mean x_1 + 1 and standard deviation 2.
    """
    A, b, c = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.0, 1.0]), torch.tensor([0.0, math.log(2)])
    x = torch.tensor([[2.0, 7.0], [-1.0, 0.0], [0.0, -3.0]])  # 2, -1 and 0 deviations; 2, 0 and -2 deviations
    _, got = student.gaussian_log_prob.gradient(gaussian_linear(A, b, torch.zeros(2, 2), c), x, wrt=[b, c, x])
    want = [torch.tensor([1.0, 0.0]), torch.tensor([2.0, 5.0]), torch.tensor([[-1.0, -1.0], [1.0, 0.0], [-1.0, 1.0]])]
    for name, one, right in zip(("b (in the means)", "c (in log sigma)", "x"), got, want, strict=True):
        assert_gradient_agrees(one, right.double(), of=name, like=torch.float32, scale=16.0)
    for rows, right in ((x, want[0]), (x[:1], torch.tensor([2.0, 1.0])), (x[:1].repeat(65, 1), torch.tensor([130.0, 65.0]))):
        _, (got,) = student.gaussian_log_prob.gradient(gaussian_linear(A, b, torch.zeros(2, 2), c), rows, wrt=[b])
        assert_gradient_agrees(got, right.double(), of="b, where x carries no graph", like=torch.float32, scale=16.0 * len(rows))


@gaussian_log_prob
@weight(0.25)
@examples(8)
@given(n=batches, m=lengths, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=4, key=10845, dtype=torch.float32)
def test_gaussian_log_prob_has_the_gradient_that_training_needs(student, ref, n, m, key, dtype):
    """Gradients reach x itself, the means and the log-standard-deviations."""
    conditional, x = gaussian_model(m, key, dtype), quarters((n, m), key + 4, 2, dtype)
    parameters = list(conditional.parameters.values())
    _, got = student.gaussian_log_prob.gradient(conditional, x, wrt=[*parameters, x])
    in_mu, in_log_sigma = ref.gaussian_score(conditional, x)
    want = pull_back([*parameters, x], in_mu, in_log_sigma)
    scale = pull_back([tensor.abs() for tensor in (*parameters, x)], in_mu.abs(), in_log_sigma.abs() + 2)
    want[-1], scale[-1] = want[-1] - in_mu, scale[-1] + in_mu.abs()
    for name, one, right, size in zip([*conditional.parameters, "x"], got, want, scale, strict=True):
        assert_gradient_agrees(one, right, of=name, like=dtype, scale=4 * size)


def pull_back(inputs: list[Tensor], in_mu: Tensor, in_log_sigma: Tensor) -> list[Tensor]:
    """The gradients in A, b, S, c and x of ``gaussian_linear``, from those in what it returns."""
    *parameters, x = [tensor.double().detach().requires_grad_() for tensor in inputs]
    return list(torch.autograd.grad(gaussian_linear(*parameters)(x), [*parameters, x], (in_mu, in_log_sigma)))


@gaussian_log_prob
@weight(0.125)
def test_gaussian_log_prob_asks_anew_and_wherever_x_lies(student):
    """The log-density of each of 4099 rows is its own, whatever the order in memory of x and whatever was asked before."""
    x = quarters((MANY, 2), 7, 2, torch.float32)
    conditional = gaussian_independent(torch.tensor([0.5, -0.5]), torch.zeros(2))
    for laid_out, plain in layouts(x, -x):
        want = -0.5 * ((plain[:, 0] - 0.5) ** 2 + (plain[:, 1] + 0.5) ** 2).double() - 2 * HALF_LOG_2_PI
        assert_agrees(student.gaussian_log_prob(conditional, laid_out), want, like=torch.float32, scale=8.0, unit="nats")


@gaussian_log_prob
@weight(0.125)
def test_gaussian_log_prob_has_the_dtype_of_its_inputs_also_for_one_vector_or_variable(student):
    """float32 gives float32, float64 float64; n = 1 and m = 1 are sizes like others; x stays as it is."""
    for dtype in draw.DTYPES:
        for n, m in ((2, 3), (1, 2), (2, 1), (1, 1)):
            conditional, x = centred_model(torch.zeros(m, dtype=dtype)), torch.ones(n, m, dtype=dtype)  # one deviation out
            got = assert_unchanged(student.gaussian_log_prob.observed(conditional, x))
            want = torch.full((n,), -m * (0.5 + HALF_LOG_2_PI), dtype=torch.float64)
            assert_agrees(got, want, like=torch.float32, scale=float(m), unit="nats")
            assert_dtype(got, dtype)
