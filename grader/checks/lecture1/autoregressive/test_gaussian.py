"""Continuous data (slide 41): Gaussian conditionals, their density and ancestral sampling."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.statistics import assert_uniform
from grader.checking.student import NoGradient
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.conditionals import default_dtype_only, gaussian_independent, gaussian_linear
from grader.sandbox.wire.families import Family

gaussian_log_prob = pytest.mark.exercise("autoregressive.gaussian_log_prob")
gaussian_sample = pytest.mark.exercise("autoregressive.gaussian_sample")
weight = pytest.mark.weight
examples = pytest.mark.examples

STRAYS = 3  # rows of a call: a uniform number is exactly 0 once in 10^7, and its logarithm or quantile infinite

lengths = st.integers(1, 4)
batches = st.integers(1, 4)


def quarters(shape: tuple[int, ...], key: int, largest: int, dtype: torch.dtype) -> Tensor:
    """Multiples of 1/4 of size at most ``largest``: sums of their products are exact in every dtype."""
    return ((draw.integers(shape, key, 8 * largest + 1) - 4 * largest) / 4).to(dtype)


def gaussian_model(m: int, key: int, dtype: torch.dtype = torch.float32) -> Family:
    """Means and log-standard-deviations that are both linear in the prefix."""
    A, S = quarters((m, m), key, 1, dtype), quarters((m, m), key + 2, 1, dtype) / 4
    return gaussian_linear(A, quarters((m,), key + 1, 2, dtype), S, quarters((m,), key + 3, 1, dtype))


def centred_model(m: int, log_sigma: float, dtype: torch.dtype = torch.float32) -> Family:
    """m independent variables of mean 0."""
    return gaussian_independent(torch.zeros(m, dtype=dtype), torch.full((m,), log_sigma, dtype=dtype))


# -- gaussian_log_prob --


@gaussian_log_prob
@weight(0.5)
@given(n=batches, m=lengths, key=draw.seeds, dtype=draw.dtypes)
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
def test_a_narrower_gaussian_is_higher_at_its_mean(student, m, halvings, dtype):
    """At the mean the log-density is -1/2 log 2 pi - log sigma for each variable: positive when sigma is small."""
    log_sigma = -halvings * math.log(2)
    got = student.gaussian_log_prob(centred_model(m, log_sigma, dtype), torch.zeros(2, m, dtype=dtype))
    want = torch.full((2,), m * (halvings * math.log(2) - 0.5 * math.log(2 * math.pi)), dtype=torch.float64)
    assert_agrees(got, want, like=dtype, scale=m * (halvings + 1.0), unit="nats")


@gaussian_log_prob
@weight(0.25)
@examples(8)
@given(m=st.sampled_from((1, 784)), log_sigma=st.sampled_from((-20.0, 0.0, 20.0)), key=draw.seeds, dtype=draw.dtypes)
@example(m=784, log_sigma=-20.0, key=0, dtype=torch.float32)
def test_gaussian_log_prob_holds_for_any_width_and_784_dimensions(student, ref, m, log_sigma, key, dtype):
    """Densities of 10^8 or 10^-8 a variable, and 784 of them, neither overflow nor underflow."""
    conditional = centred_model(m, log_sigma, dtype)
    x = draw.normal((2, m), key, math.exp(log_sigma), dtype)
    want, scale = ref.gaussian_log_prob(conditional, x), ref.gaussian_rounding(conditional, x)
    assert_agrees(student.gaussian_log_prob(conditional, x), want, like=dtype, scale=scale, unit="nats")


@gaussian_log_prob
@weight(0.25)
def test_the_gaussian_density_integrates_to_one(student):
    """Over the plane the density of two dependent variables integrates to one."""
    step = 0.25
    plane = torch.cartesian_prod(torch.arange(-12, 12, step), torch.arange(-36, 36, step)).double()
    A, S = torch.tensor([[0.0, 0.0], [0.5, 0.0]]).double(), torch.tensor([[0.0, 0.0], [0.0625, 0.0]]).double()
    zero = torch.zeros(2, dtype=torch.float64)
    got = student.gaussian_log_prob(gaussian_linear(A, zero, S, zero), plane)
    assert_form(got, (len(plane),), torch.float64)
    one = torch.ones((), dtype=torch.float64)
    assert_agrees(got.exp().sum() * step**2, one, scale=10.0, what="the integral of the density")


@gaussian_log_prob
@weight(0.5)
@examples(10)
@given(n=batches, m=lengths, key=draw.seeds, dtype=draw.dtypes)
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
        assert_agrees(one, right, like=dtype, scale=4 * size, what=f"the gradient in {name}")


def pull_back(inputs: list[Tensor], in_mu: Tensor, in_log_sigma: Tensor) -> list[Tensor]:
    """The gradients in A, b, S, c and x of ``gaussian_linear``, from those in what it returns."""
    *parameters, x = [tensor.double().requires_grad_() for tensor in inputs]
    return list(torch.autograd.grad(gaussian_linear(*parameters)(x), [*parameters, x], (in_mu, in_log_sigma)))


@gaussian_log_prob
@weight(0.25)
def test_gaussian_log_prob_refuses_what_holds_no_samples_and_leaves_no_trace(student):
    """No vectors, or vectors of no variables, are ValueErrors that name x; nothing else changes."""
    conditional, x = centred_model(3, 0.0), torch.tensor([[0.5, 0.25, -1.0]])
    for empty in (x[:0], x[:, :0]):
        with refuses("x", "n", "m"):
            student.gaussian_log_prob(conditional, empty)
    observed = student.gaussian_log_prob.observed(conditional, x)
    assert_no_trace(observed)
    assert_form(observed.value, (1,), torch.float32)
    without = student.gaussian_log_prob.under_no_grad(conditional, x)
    assert_agrees(without, observed.value, what="the result under torch.no_grad()")


# -- gaussian_sample --


@gaussian_sample
@weight(0.75)
def test_gaussian_samples_follow_the_joint_law(student, ref, seed):
    """Every value follows the normal distribution that the values before it in its row give, with noise of its own."""
    A = torch.tensor([[0, 0, 0], [1.5, 0, 0], [-1.0, 1.0, 0]])
    S = torch.tensor([[0, 0, 0], [0.25, 0, 0], [-0.25, 0.125, 0]])
    conditional = gaussian_linear(A, torch.tensor([1.0, -1.0, 0.5]), S, torch.tensor([-1.0, 0.5, -0.5]))
    exact, generator = conditional.double().build(), student.generator(seed)

    def uniforms(n: int) -> Tensor:
        x = student.gaussian_sample(conditional, n, 3, generator)
        assert_form(x, (n, 3), torch.float32)
        if (~x.isfinite()).any(dim=1).sum() > STRAYS:
            raise Mismatch("finite", "samples are not finite", x)
        return ref.rosenblatt(exact, x.nan_to_num(0.0, 0.0, 0.0))

    assert_uniform(uniforms, columns=3)


@gaussian_sample
@weight(0.25)
def test_without_noise_each_value_is_the_mean_given_those_before(student):
    """For tiny sigma and means 3, 2 x_1 + 1, -x_1 + x_2 / 2 + 1/2 every sample is (3, 7, 1)."""
    A = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [-1.0, 0.5, 0.0]])
    conditional = gaussian_linear(A, torch.tensor([3.0, 1.0, 0.5]), torch.zeros(3, 3), torch.full((3,), -40.0))
    got = student.gaussian_sample(conditional, 2, 3, student.generator(0))
    assert_agrees(got, torch.tensor([[3.0, 7.0, 1.0]]).expand(2, 3))


@gaussian_sample
@weight(0.25)
def test_gaussian_sampling_reads_its_generator_and_moves_it_on(student, seed):
    """The same state gives the same samples, the next call gives other ones, and so does another seed."""
    conditional = gaussian_model(3, key=5)
    generator, again, other = student.generator(seed), student.generator(seed), student.generator(seed + 1)
    first = student.gaussian_sample(conditional, 8, 3, generator)
    assert_form(first, (8, 3), torch.float32)
    assert_agrees(student.gaussian_sample(conditional, 8, 3, again), first, what="a second run from the same state")
    for call, g in (("the next call with the generator", generator), ("another seed", other)):
        second = student.gaussian_sample(conditional, 8, 3, g)
        assert_form(second, (8, 3), torch.float32, what=call)
        if torch.equal(first, second):
            raise Mismatch("law", f"{call} gives the very same samples: all randomness should come from the generator")


@gaussian_sample
@weight(0.25)
@examples(8)
@given(n=batches, m=lengths, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float64)
def test_gaussian_samples_have_the_dtype_of_mu(student, n, m, key, dtype):
    """Samples are (n, m) and as precise as mu; the vectors handed to the conditional have the default dtype."""
    conditional = default_dtype_only(gaussian_model(m, key, dtype))
    assert_form(student.gaussian_sample(conditional, n, m, student.generator(key)), (n, m), dtype)


@gaussian_sample
@weight(0.25)
def test_gaussian_sampling_refuses_sizes_below_one(student):
    """n = 0 and m = 0 are refused with a ValueError that names the argument."""
    with refuses("n"):
        student.gaussian_sample(centred_model(3, 0.0), 0, 3, student.generator(0))
    with refuses("m"):
        student.gaussian_sample(centred_model(3, 0.0), 3, 0, student.generator(0))


@gaussian_sample
@weight(0.25)
def test_gaussian_samples_carry_no_graph_and_leave_no_trace(student):
    """Samples are data, whatever the parameters of the conditional are; nothing but the generator moves."""
    conditional = gaussian_model(3, key=1)
    assert_no_trace(student.gaussian_sample.observed(conditional, 2, 3, student.generator(0)))
    try:
        student.gaussian_sample.gradient(
            conditional, 2, 3, student.generator(0), wrt=list(conditional.parameters.values())
        )
    except NoGradient:
        return
    raise Mismatch("trace", "the samples carry an autograd graph: samples are plain numbers, detach them")
