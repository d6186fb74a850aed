"""Monte Carlo estimates of the forward and the reverse KL divergence (slides 34, 35)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form
from grader.checks.lecture1.divergences.draw import (
    accuracy,
    assert_gradients,
    boxes,
    categoricals,
    column,
    dims,
    mixture_and_gaussian,
    number,
    numbers_of_draws,
    reach,
    sampler_calls,
    with_draws,
    zeros_and_three,
)
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import gaussian_log_density, linear
from grader.checks.lecture1.shared.samplers import replay_gaussian

forward_kl = pytest.mark.exercise("divergences.forward_kl")
reverse_kl = pytest.mark.exercise("divergences.reverse_kl")
weight = pytest.mark.weight
examples = pytest.mark.examples

INFINITY = number(math.inf)
LOG2, LOG3 = math.log(2), math.log(3)
LOG_P = [math.log(p) for p in (0.5, 0.25, 0.25)]
LOG_Q = [math.log(q) for q in (0.125, 0.125, 0.75)]  # samples that have exactly these frequencies:
X_P, X_Q = column([0, 0, 1, 2]), column([0, 1, 2, 2, 2, 2, 2, 2])
ZERO = column([0])
ONE_OUTSIDE = [math.log(0.5), math.log(0.5)], [0.0, -math.inf]  # log-probabilities: the second law leaves out a value of the first


# -- forward_kl --


@forward_kl
@weight(0.5)
def test_forward_kl_by_hand(student):
    """Draws exactly as frequent as p_data says give the divergence, 1.25 log 2 - 0.25 log 3; tiny and huge densities count."""
    got = student.forward_kl(*categoricals(LOG_P, LOG_Q, X_P, X_Q), 8, student.generator(0))
    forward, reverse = number(1.25 * LOG2 - 0.25 * LOG3), number(0.75 * LOG3 - 0.375 * LOG2)
    mistaken = {
        "This is the reverse KL: for the forward KL the draws come from the data.": reverse,
        "The sign is turned: the average is of log p_data - log p_theta.": -forward,
    }
    assert_agrees(got, forward, like=torch.float32, scale=3.0, unit="nats", mistaken=mistaken)
    for log_p, log_q in ((-1000.0, -1600.0), (1000.0, 400.0), (400.0, 1000.0)):  # an estimate may be negative
        got = student.forward_kl(*categoricals([log_p], [log_q], ZERO, ZERO), 1, student.generator(0))
        assert_agrees(got, number(log_p - log_q), like=torch.float32, scale=1600.0, unit="nats")


@forward_kl
@weight(0.75)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float32)
@example(n=1, m=1, key=0, dtype=torch.float64)
@example(n=63, m=3, key=1, dtype=torch.float64)
def test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data(student, ref, n, m, key, dtype):
    """The estimate is the average of log p_data - log p_theta over the n draws of the data, and over no others."""
    x, other = draw.normal((n, m), key + 7, 2.0, dtype), draw.normal((n, m), key + 8, 2.0, dtype)
    laws = with_draws(mixture_and_gaussian(m, key, dtype), x, other)
    want = ref.mean_log_ratio(laws.log_p_data, laws.log_p_theta, x)
    got = student.forward_kl(*laws, n, student.generator(key))
    assert_agrees(got, want, like=dtype, **accuracy(x, laws.log_p_data, laws.log_p_theta), unit="nats")


@forward_kl
@weight(0.125)
def test_forward_kl_counts_every_one_of_many_draws(student):
    """Of 4099 draws 4096 have a log-ratio of 1 and the last three one of -500: the mean is (4096 - 1500) / 4099."""
    laws = categoricals([-1.0, -501.0], [-2.0, -1.0], zeros_and_three(1.0, torch.float64), ZERO)
    got = student.forward_kl(*laws, 4099, student.generator(0))
    assert_agrees(got, number((4096 - 1500) / 4099), scale=500.0, unit="nats")


@forward_kl
@weight(0.5)
@examples(5)
@given(n=numbers_of_draws, key=draw.seeds)
@example(n=8, key=0)
def test_forward_kl_draws_data_and_only_data(student, n, key):
    """All n draws come from the sampler of the data, with the very generator; the model's sampler is not called."""
    seen = sampler_calls(student, student.forward_kl, mixture_and_gaussian(2, key, torch.float32), n, key)
    assert_drawn_from(seen, "sample_data", n)


@forward_kl
@weight(0.25)
@examples(4)
@given(m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_forward_kl_is_infinite_when_the_model_misses_data(student, m, key, dtype):
    """Data where the model has density zero make the forward KL infinite, not nan."""
    for laws, n in ((boxes(m, dtype), 64), (categoricals(*ONE_OUTSIDE, column([0, 1]), ZERO), 2)):
        assert_agrees(student.forward_kl(*laws, n, student.generator(key)), INFINITY, like=dtype, unit="nats")


@forward_kl
@weight(0.25)
def test_forward_kl_has_gradients_in_both_densities(student):
    """In a table of log-probabilities the gradient is the share of the draws, and minus that for the model's table."""
    laws = categoricals(LOG_P, LOG_Q, X_P, X_Q)
    tables = [laws.log_p_data.parameters["log_pi"], laws.log_p_theta.parameters["log_pi"]]
    _, got = student.forward_kl.gradient(*laws, 4, student.generator(0), wrt=tables)
    share = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    assert_gradients(got, (share, -share), ["log p_data", "log p_theta"], torch.float32, 1.0)


@forward_kl
@weight(0.25)
@examples(6)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=2, m=2, key=524, dtype=torch.float32)
def test_forward_kl_has_the_gradient_of_maximum_likelihood(student, ref, n, m, key, dtype):
    """In the parameters of the model the gradient is that of the negative log-likelihood of the same draws."""
    x = draw.normal((n, m), key + 7, 2.0, dtype)
    laws = with_draws(mixture_and_gaussian(m, key, dtype), x, x)
    mu, sigma = laws.log_p_theta.parameters.values()
    _, got = student.forward_kl.gradient(*laws, n, student.generator(key), wrt=[mu, sigma])
    want = ref.negative_log_likelihood_gradient(mu, sigma, x)
    assert_gradients(got, want, ["mu", "sigma"], dtype, reach(x, mu, sigma))


@forward_kl
@weight(0.25)
@examples(3)
@given(key=draw.seeds)
def test_forward_kl_gets_its_randomness_from_the_generator(student, key):
    """The same state gives the same estimate; a generator that goes on gives another one."""
    assert_random_by_generator(student, student.forward_kl, key)


@forward_kl
@weight(0.125)
def test_forward_kl_has_the_dtype_of_the_densities(student):
    """Densities in float32 give an estimate in float32, those in float64 one in float64."""
    assert_dtype_of_densities(student, student.forward_kl)


# -- reverse_kl --


@reverse_kl
@weight(0.5)
def test_reverse_kl_by_hand(student):
    """Draws exactly as frequent as p_theta says give the divergence, 0.75 log 3 - 0.375 log 2; tiny and huge densities count."""
    got = student.reverse_kl(*categoricals(LOG_P, LOG_Q, X_P, X_Q), 8, student.generator(0))
    forward, reverse = number(1.25 * LOG2 - 0.25 * LOG3), number(0.75 * LOG3 - 0.375 * LOG2)
    mistaken = {
        "This is the forward KL: for the reverse KL the draws come from the model.": forward,
        "The sign is turned: the average is of log p_theta - log p_data.": -reverse,
    }
    assert_agrees(got, reverse, like=torch.float32, scale=3.0, unit="nats", mistaken=mistaken)
    for log_p, log_q in ((-1000.0, -1600.0), (1000.0, 400.0)):
        got = student.reverse_kl(*categoricals([log_p], [log_q], ZERO, ZERO), 1, student.generator(0))
        assert_agrees(got, number(-600.0), like=torch.float32, scale=1600.0, unit="nats")


@reverse_kl
@weight(0.75)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float32)
@example(n=1, m=1, key=0, dtype=torch.float64)
@example(n=63, m=3, key=1, dtype=torch.float64)
def test_reverse_kl_is_the_mean_log_ratio_over_draws_of_the_model(student, ref, n, m, key, dtype):
    """The estimate is the average of log p_theta - log p_data over the n draws of the model, and over no others."""
    x, other = draw.normal((n, m), key + 7, 2.0, dtype), draw.normal((n, m), key + 8, 2.0, dtype)
    laws = with_draws(mixture_and_gaussian(m, key, dtype), other, x)
    want = ref.mean_log_ratio(laws.log_p_theta, laws.log_p_data, x)
    got = student.reverse_kl(*laws, n, student.generator(key))
    assert_agrees(got, want, like=dtype, **accuracy(x, laws.log_p_data, laws.log_p_theta), unit="nats")


@reverse_kl
@weight(0.125)
def test_reverse_kl_counts_every_one_of_many_draws(student):
    """Of 4099 draws 4096 have a log-ratio of 1 and the last three one of -500: the mean is (4096 - 1500) / 4099."""
    laws = categoricals([-2.0, -1.0], [-1.0, -501.0], ZERO.double(), zeros_and_three(1.0, torch.float64))
    got = student.reverse_kl(*laws, 4099, student.generator(0))
    assert_agrees(got, number((4096 - 1500) / 4099), scale=500.0, unit="nats")


@reverse_kl
@weight(0.5)
@examples(5)
@given(n=numbers_of_draws, key=draw.seeds)
@example(n=8, key=0)
def test_reverse_kl_draws_from_the_model_and_only_from_it(student, n, key):
    """All n draws come from the sampler of the model, with the very generator; the data's sampler is not called."""
    seen = sampler_calls(student, student.reverse_kl, mixture_and_gaussian(2, key, torch.float32), n, key)
    assert_drawn_from(seen, "sample_theta", n)


@reverse_kl
@weight(0.25)
@examples(4)
@given(m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_reverse_kl_is_finite_inside_the_data_and_infinite_outside(student, m, key, dtype):
    """A model on part of the data's support has a finite reverse KL, m log 2; one that leaves it an infinite one."""
    laws = boxes(m, dtype)
    got = student.reverse_kl(*laws, 64, student.generator(key))
    assert_agrees(got, number(m * LOG2), like=dtype, scale=4.0 * m, unit="nats")
    swapped = [laws[place] for place in (1, 0, 3, 2)]
    for outside, n in ((swapped, 64), (categoricals(*reversed(ONE_OUTSIDE), ZERO, column([0, 1])), 2)):
        assert_agrees(student.reverse_kl(*outside, n, student.generator(key)), INFINITY, like=dtype, unit="nats")


@reverse_kl
@weight(0.25)
def test_reverse_kl_has_gradients_in_the_densities_and_through_the_draws(student):
    """For log-densities w . x + b the gradient in w is the mean draw, and that of the mean and spread of the draws w's difference."""
    noise = torch.tensor([[1.0, -0.5], [0.0, 2.0]], dtype=torch.float64)
    mu, sigma, w, v = torch.tensor([[0.5, -1.0], [2.0, 0.5], [1.0, 3.0], [-2.0, 0.5]], dtype=torch.float64)
    sampler, none = replay_gaussian(mu, sigma, noise), torch.zeros((), dtype=torch.float64)
    laws = linear(v, none), linear(w, none), replay_gaussian(1 - mu, 2 * sigma, noise), sampler
    _, got = student.reverse_kl.gradient(*laws, 2, student.generator(0), wrt=[w, v, mu, sigma])
    mean_x, slope = torch.tensor([1.5, -0.625]).double(), torch.tensor([3.0, 2.5]).double()
    want = (mean_x, -mean_x, slope, slope * torch.tensor([0.5, 0.75]))
    names = ["w of log p_theta", "w of log p_data", "the mean of the draws", "the spread of the draws"]
    assert_gradients(got, want, names, torch.float64, 10.0)


@reverse_kl
@weight(0.25)
@examples(6)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=1, key=301908, dtype=torch.float64)
def test_reverse_kl_has_its_gradient_through_the_draws(student, ref, n, m, key, dtype):
    """The parameters act twice, in the density and on the reparametrised draws: both gradients arrive."""
    mu, sigma = draw.normal((m,), key, dtype=dtype), draw.uniform((m,), key + 1, 0.5, 2, dtype)
    data = draw.normal((m,), key + 2, dtype=dtype), draw.uniform((m,), key + 3, 0.5, 2, dtype)
    wrt = [mu, sigma, mu.clone(), sigma.clone()]  # of the density, then of the sampler
    noise = draw.normal((n, m), key + 4, dtype=dtype)
    _, got = student.reverse_kl.gradient(
        gaussian_log_density(*data), gaussian_log_density(mu, sigma),
        replay_gaussian(*data, noise), replay_gaussian(*wrt[2:], noise), n, student.generator(key), wrt=wrt,
    )  # fmt: skip
    want = ref.pathwise_gradient(mu, sigma, *data, noise)
    x = mu + sigma * noise
    scale = (reach(x, mu, sigma) + reach(x, *data)) * (1 + noise.abs().max().item())
    names = ["mu (density)", "sigma (density)", "mu (sampler)", "sigma (sampler)"]
    assert_gradients(got, want, names, dtype, scale)


@reverse_kl
@weight(0.25)
@examples(3)
@given(key=draw.seeds)
def test_reverse_kl_gets_its_randomness_from_the_generator(student, key):
    """The same state gives the same estimate; a generator that goes on gives another one."""
    assert_random_by_generator(student, student.reverse_kl, key)


@reverse_kl
@weight(0.125)
def test_reverse_kl_has_the_dtype_of_the_densities(student):
    """Densities in float32 give an estimate in float32, those in float64 one in float64."""
    assert_dtype_of_densities(student, student.reverse_kl)


# -- what the checks above share --


def assert_drawn_from(seen: list, name: str, n: int) -> None:
    """The witnesses saw n draws altogether, of the sampler `name` alone, with the generator."""
    others = sorted({call[0] for call in seen} - {name})
    if others:
        raise Mismatch("law", f"you drew from {' and '.join(others)}", others, expected=f"draws from {name} alone")
    drawn = sum(call[1] for call in seen)
    if drawn != n:
        raise Mismatch("law", f"{name} was asked for {drawn} draws altogether", drawn, expected=str(n))
    if not all(call[2] for call in seen):
        raise Mismatch("law", f"{name} did not get the generator that the function was given, but another one")


def assert_random_by_generator(student, function, key: int) -> None:
    """One state, one estimate; two calls with one generator, two estimates, which agree by chance once in 10^14 times."""
    laws, generator = mixture_and_gaussian(3, key, torch.float64), student.generator(key)
    first, second, again = (function(*laws, 8, g) for g in (generator, generator, student.generator(key)))
    assert_form(first, ())
    if not torch.equal(first, again):
        raise Mismatch("law", "two generators in the same state give different estimates", again)
    if torch.equal(first, second):
        raise Mismatch("law", "two calls with one generator give the same estimate: the generator did not move on", second)


def assert_dtype_of_densities(student, function) -> None:
    for dtype in (torch.float32, torch.float64):
        laws = categoricals(LOG_P, LOG_Q, X_P.to(dtype), X_Q.to(dtype))
        assert_dtype(function(*laws, 4, student.generator(0)), dtype)
