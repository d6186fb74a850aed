"""Monte Carlo estimates of the forward and the reverse KL divergence (slides 34, 35)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checks.lecture1.divergences.draw import (
    accuracy,
    assert_gradients,
    boxes,
    categoricals,
    dims,
    mixture_and_gaussian,
    numbers_of_draws,
    reach,
    sampler_calls,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import gaussian_log_density
from grader.checks.lecture1.shared.samplers import gaussian_sampler

forward_kl = pytest.mark.exercise("divergences.forward_kl")
reverse_kl = pytest.mark.exercise("divergences.reverse_kl")
weight = pytest.mark.weight
examples = pytest.mark.examples

INFINITY = torch.tensor(math.inf, dtype=torch.float64)
LOG_P = [math.log(p) for p in (0.5, 0.25, 0.25)]
LOG_Q = [math.log(q) for q in (0.125, 0.125, 0.75)]  # samples that have exactly these frequencies:
X_P, X_Q = [0, 0, 1, 2], [0, 1, 2, 2, 2, 2, 2, 2]


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


# -- forward_kl --


@forward_kl
@weight(0.75)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float32)
@example(n=64, m=3, key=1, dtype=torch.float64)
def test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data(student, ref, n, m, key, dtype):
    """The estimate is the average of log p_data - log p_theta over the n draws of the data, and over no others."""
    laws = mixture_and_gaussian(m, key, dtype)
    x = laws.sample_data(n, torch.Generator().manual_seed(key))
    want = ref.mean_log_ratio(laws.log_p_data, laws.log_p_theta, x)
    got = student.forward_kl(*laws, n, student.generator(key))
    assert_agrees(got, want, like=dtype, **accuracy(x, laws.log_p_data, laws.log_p_theta), unit="nats")


@forward_kl
@weight(0.5)
@examples(5)
@given(n=numbers_of_draws, key=draw.seeds)
def test_forward_kl_draws_once_and_only_data(student, n, key):
    """The sampler of the data is called once, for n draws, with the very generator; the model's is not called."""
    seen = sampler_calls(student, student.forward_kl, mixture_and_gaussian(2, key, torch.float32), n, key)
    assert_called_once(seen, "sample_data", n)


@forward_kl
@weight(0.25)
def test_forward_kl_by_hand(student):
    """Draws exactly as frequent as p_data says give the divergence, 1.25 log 2 - 0.25 log 3; tiny densities count."""
    got = student.forward_kl(*categoricals(LOG_P, LOG_Q, X_P, X_Q), 4, student.generator(0))
    assert_agrees(got, number(1.25 * math.log(2) - 0.25 * math.log(3)), like=torch.float32, scale=3.0, unit="nats")
    got = student.forward_kl(*categoricals([-1000.0], [-1600.0], [0], [0]), 1, student.generator(0))
    assert_agrees(got, number(600.0), like=torch.float32, scale=1600.0, unit="nats")


@forward_kl
@weight(0.25)
@examples(4)
@given(m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_forward_kl_is_infinite_when_the_model_misses_data(student, m, key, dtype):
    """Data where the model has density zero make the forward KL infinite, not nan."""
    got = student.forward_kl(*boxes(m, dtype), 64, student.generator(key))
    assert_agrees(got, INFINITY, like=dtype, unit="nats")


@forward_kl
@weight(0.5)
@examples(8)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_forward_kl_has_the_gradient_of_maximum_likelihood(student, ref, n, m, key, dtype):
    """In the parameters of the model the gradient is that of the negative log-likelihood of the same draws."""
    laws = mixture_and_gaussian(m, key, dtype)
    mu, sigma = laws.log_p_theta.parameters.values()
    x = laws.sample_data(n, torch.Generator().manual_seed(key))
    _, got = student.forward_kl.gradient(*laws, n, student.generator(key), wrt=[mu, sigma])
    want = ref.negative_log_likelihood_gradient(mu, sigma, x)
    assert_gradients(got, want, ["mu", "sigma"], dtype, reach(x, mu, sigma))


@forward_kl
@weight(0.25)
@examples(5)
@given(key=draw.seeds, dtype=draw.dtypes)
def test_forward_kl_gets_its_randomness_from_the_generator(student, key, dtype):
    """The same state gives the same estimate; a generator that goes on gives another one."""
    assert_random_by_generator(student, student.forward_kl, mixture_and_gaussian(2, key, dtype), key)


@forward_kl
@weight(0.25)
def test_forward_kl_refuses_to_estimate_from_nothing(student):
    """Fewer than one draw are refused with a ValueError that names n."""
    for n in (0, -1):
        with refuses("n"):
            student.forward_kl(*mixture_and_gaussian(1, 0, torch.float32), n, student.generator(0))


@forward_kl
@weight(0.25)
def test_forward_kl_leaves_no_trace(student):
    """Estimating changes nothing, moves no global random state, prints nothing, and works without gradient tracking."""
    assert_leaves_no_trace(student, student.forward_kl)


# -- reverse_kl --


@reverse_kl
@weight(0.75)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float32)
@example(n=64, m=3, key=1, dtype=torch.float64)
def test_reverse_kl_is_the_mean_log_ratio_over_draws_of_the_model(student, ref, n, m, key, dtype):
    """The estimate is the average of log p_theta - log p_data over the n draws of the model, and over no others."""
    laws = mixture_and_gaussian(m, key, dtype)
    x = laws.sample_theta(n, torch.Generator().manual_seed(key))
    want = ref.mean_log_ratio(laws.log_p_theta, laws.log_p_data, x)
    got = student.reverse_kl(*laws, n, student.generator(key))
    assert_agrees(got, want, like=dtype, **accuracy(x, laws.log_p_data, laws.log_p_theta), unit="nats")


@reverse_kl
@weight(0.5)
@examples(5)
@given(n=numbers_of_draws, key=draw.seeds)
def test_reverse_kl_draws_once_and_only_from_the_model(student, n, key):
    """The sampler of the model is called once, for n draws, with the very generator; the data's is not called."""
    seen = sampler_calls(student, student.reverse_kl, mixture_and_gaussian(2, key, torch.float32), n, key)
    assert_called_once(seen, "sample_theta", n)


@reverse_kl
@weight(0.25)
def test_reverse_kl_by_hand(student):
    """Draws exactly as frequent as p_theta says give the divergence, 0.75 log 3 - 0.375 log 2; tiny densities count."""
    got = student.reverse_kl(*categoricals(LOG_P, LOG_Q, X_P, X_Q), 8, student.generator(0))
    assert_agrees(got, number(0.75 * math.log(3) - 0.375 * math.log(2)), like=torch.float32, scale=3.0, unit="nats")
    got = student.reverse_kl(*categoricals([-1000.0], [-1600.0], [0], [0]), 1, student.generator(0))
    assert_agrees(got, number(-600.0), like=torch.float32, scale=1600.0, unit="nats")


@reverse_kl
@weight(0.25)
@examples(4)
@given(m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_reverse_kl_is_finite_inside_the_data_and_infinite_outside(student, m, key, dtype):
    """A model on part of the data's support has a finite reverse KL, m log 2; one that leaves it an infinite one."""
    laws = boxes(m, dtype)
    got = student.reverse_kl(*laws, 64, student.generator(key))
    assert_agrees(got, number(m * math.log(2)), like=dtype, scale=4.0 * m, unit="nats")
    swapped = [laws[place] for place in (1, 0, 3, 2)]
    assert_agrees(student.reverse_kl(*swapped, 64, student.generator(key)), INFINITY, like=dtype, unit="nats")


@reverse_kl
@weight(0.5)
@examples(8)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_reverse_kl_has_its_gradient_through_the_draws(student, ref, n, m, key, dtype):
    """The parameters act twice, in the density and on the reparametrised draws: both gradients arrive."""
    mu, sigma = draw.normal((m,), key, dtype=dtype), draw.uniform((m,), key + 1, 0.5, 2, dtype)
    mu_data, sigma_data = draw.normal((m,), key + 2, dtype=dtype), draw.uniform((m,), key + 3, 0.5, 2, dtype)
    wrt = [mu, sigma, mu.clone(), sigma.clone()]  # of the density, then of the sampler
    data, model = (mu_data, sigma_data), (wrt[2], wrt[3])
    _, got = student.reverse_kl.gradient(
        gaussian_log_density(*data), gaussian_log_density(mu, sigma), gaussian_sampler(*data), gaussian_sampler(*model),
        n, student.generator(key), wrt=wrt,
    )  # fmt: skip
    noise = gaussian_sampler(torch.zeros(m, dtype=dtype), torch.ones(m, dtype=dtype))
    epsilon = noise(n, torch.Generator().manual_seed(key))
    want = ref.pathwise_gradient(mu, sigma, mu_data, sigma_data, epsilon)
    x = mu + sigma * epsilon
    size = (reach(x, mu, sigma) + reach(x, mu_data, sigma_data)) * (1 + epsilon.abs().max().item())
    names = ["mu (density)", "sigma (density)", "mu (sampler)", "sigma (sampler)"]
    assert_gradients(got, want, names, dtype, size)


@reverse_kl
@weight(0.25)
@examples(5)
@given(key=draw.seeds, dtype=draw.dtypes)
def test_reverse_kl_gets_its_randomness_from_the_generator(student, key, dtype):
    """The same state gives the same estimate; a generator that goes on gives another one."""
    assert_random_by_generator(student, student.reverse_kl, mixture_and_gaussian(2, key, dtype), key)


@reverse_kl
@weight(0.25)
def test_reverse_kl_refuses_to_estimate_from_nothing(student):
    """Fewer than one draw are refused with a ValueError that names n."""
    for n in (0, -1):
        with refuses("n"):
            student.reverse_kl(*mixture_and_gaussian(1, 0, torch.float32), n, student.generator(0))


@reverse_kl
@weight(0.25)
def test_reverse_kl_leaves_no_trace(student):
    """Estimating changes nothing, moves no global random state, prints nothing, and works without gradient tracking."""
    assert_leaves_no_trace(student, student.reverse_kl)


# -- what the checks above share --


def assert_called_once(seen: list, name: str, n: int) -> None:
    """The witnesses saw one call, of the sampler `name`, for n draws, with the generator."""
    names = [call[0] for call in seen]
    if names != [name]:
        raise Mismatch("law", f"the samplers called are {names}, expected [{name!r}]")
    if seen[0][1] != n:
        raise Mismatch("law", f"{name} was asked for {seen[0][1]} draws, expected {n}")
    if not seen[0][2]:
        raise Mismatch("law", f"{name} did not get the generator that the function was given, but another one")


def assert_random_by_generator(student, function, laws, key: int) -> None:
    """One state, one estimate; two calls with one generator, two estimates."""
    generator = student.generator(key)
    first, second = function(*laws, 8, generator), function(*laws, 8, generator)
    assert_form(first, (), laws.log_p_theta.parameters["mu"].dtype)
    again = function(*laws, 8, student.generator(key))
    if not torch.equal(first, again):
        raise Mismatch("law", "two generators in the same state give different estimates", again, first)
    if torch.equal(first, second):
        raise Mismatch("law", "two calls with one generator give the same estimate: the generator did not advance")


def assert_leaves_no_trace(student, function) -> None:
    """No trace, and the same estimate under the caller's `torch.no_grad()`."""
    laws = mixture_and_gaussian(2, 0, torch.float32)
    observed = function.observed(*laws, 8, student.generator(0))
    assert_no_trace(observed)
    assert_form(observed.value, (), torch.float32)
    under_no_grad = function.under_no_grad(*laws, 8, student.generator(0))
    assert_agrees(under_no_grad, observed.value.double(), like=torch.float32, scale=10.0)
