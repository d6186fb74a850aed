"""Fits of a diagonal Gaussian: maximum likelihood in closed form, reverse KL by reparametrised gradients (slide 35).

What `fit_gaussian_reverse_kl` ends at depends on optimiser, parametrisation and draws, so it is judged by where it
ends, on coordinates by the dozen whose errors average out. `benchmarks/reverse_fits.py` measures the distance from the
bands for 13 optimisers times 4 parametrisations: eight standard deviations over the seeds, or more.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checking.student import NoGradient
from grader.checks.lecture1.divergences.draw import dims, numbers_of_draws
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import affine, compose, gaussian_log_density, gaussian_mixture_log_density
from grader.checks.lecture1.shared.samplers import gradients_left_behind, trainable_gaussian_log_density

fit_gaussian_forward_kl = pytest.mark.exercise("divergences.fit_gaussian_forward_kl")
fit_gaussian_reverse_kl = pytest.mark.exercise("divergences.fit_gaussian_reverse_kl")
weight = pytest.mark.weight
examples = pytest.mark.examples

MAX_DRIFT = 2e-3  # how far five steps of size 1e-6 may go, whatever the optimiser and its parametrisation


# -- fit_gaussian_forward_kl --


@fit_gaussian_forward_kl
@weight(0.5)
@examples(10)
@given(n=numbers_of_draws, m=dims, key=draw.seeds, dtype=draw.dtypes)
@example(n=1, m=1, key=0, dtype=torch.float32)
@example(n=2, m=3, key=0, dtype=torch.float64)
def test_the_fit_is_the_mean_and_spread_of_the_sample(student, ref, n, m, key, dtype):
    """Each coordinate has its own mean and standard deviation; one sample has standard deviation zero, not nan."""
    x = draw.normal((n, m), key, 2.0, dtype)
    want = ref.fit_gaussian_forward_kl(x)
    assert_agrees(student.fit_gaussian_forward_kl(x), want, like=dtype, scale=x.abs().max().item())


@fit_gaussian_forward_kl
@weight(0.25)
def test_the_fit_by_hand(student):
    """The samples (1, 5) and (3, 5) have mean (2, 5) and standard deviation (1, 0): likelihood divides by n."""
    got = student.fit_gaussian_forward_kl(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert_agrees(got, (torch.tensor([2.0, 5.0]), torch.tensor([1.0, 0.0])), scale=5.0)


@fit_gaussian_forward_kl
@weight(0.5)
@examples(8)
@given(m=dims, key=draw.seeds)
def test_no_other_gaussian_is_more_likely(student, m, key):
    """A step away in any mean or standard deviation makes the sample less likely."""
    x = draw.normal((6, m), key, 2.0, torch.float64)
    mu, sigma = _pair(student.fit_gaussian_forward_kl(x), m, torch.float64)
    best = gaussian_log_density(mu, sigma)(x).mean()
    for step in (0.9, 1.1):
        for j in range(m):
            up = torch.ones(m, dtype=torch.float64).index_fill(0, torch.tensor([j]), step)
            for other in (gaussian_log_density(mu, sigma * up), gaussian_log_density(mu + (up - 1) * sigma, sigma)):
                if not best > other(x).mean():
                    raise Mismatch("value", f"mean {mu.tolist()} and spread {sigma.tolist()} are not the best")


@fit_gaussian_forward_kl
@weight(0.25)
@examples(5)
@given(key=draw.seeds, dtype=draw.dtypes)
def test_the_fit_is_accurate_far_from_zero(student, ref, key, dtype):
    """Samples around 10 000 with a spread of 1: squares of that size would swallow the spread."""
    x = 1e4 + draw.normal((8, 2), key, dtype=dtype)
    assert_agrees(student.fit_gaussian_forward_kl(x), ref.fit_gaussian_forward_kl(x), like=dtype, scale=1e4)


@fit_gaussian_forward_kl
@weight(0.25)
def test_no_fit_without_samples(student):
    """No samples, or samples without coordinates, are refused with a ValueError."""
    for shape in ((0, 2), (3, 0)):
        with refuses("x", "n", "m"):
            student.fit_gaussian_forward_kl(torch.zeros(shape))


@fit_gaussian_forward_kl
@weight(0.25)
def test_the_fit_is_plain_numbers_and_leaves_no_trace(student):
    """The sample is not changed, nothing is drawn or printed, and the fit carries no graph even if the sample does."""
    x = torch.tensor([[1.0, 5.0], [3.0, 7.0], [4.0, 9.0]])
    assert_no_trace(student.fit_gaussian_forward_kl.observed(x))
    try:
        student.fit_gaussian_forward_kl.gradient(x, wrt=[x])
    except NoGradient:
        return
    raise Mismatch("trace", "the fit carries an autograd graph: fitted parameters are plain numbers, detach them")


# -- fit_gaussian_reverse_kl --


@fit_gaussian_reverse_kl
@weight(0.75)
def test_the_reverse_fit_converges_to_the_closest_gaussian(student, ref, seed):
    """For correlated data the closest diagonal Gaussian has the data's mean and its *conditional* spreads."""
    A, b, mu, sigma = _correlated_pairs(12, 0.8, seed)
    log_p_data = compose(gaussian_log_density(torch.zeros_like(b), torch.ones_like(b)), affine(A, b))
    generator = student.generator(seed)
    got = student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 100, 0.05, 192, generator)
    got_mu, got_sigma = _pair(got, len(mu), torch.float32)
    want_mu, want_sigma = ref.closest_gaussian(A, b)
    off = _root_mean_square((got_mu - want_mu) / want_sigma)  # a mean that never moves is 0.8 off
    within(0.3, off, f"the means are off by {off:.2f} standard deviations, on average", got_mu, want_mu)
    factor = _root_mean_square((got_sigma / want_sigma).log())  # the spreads of the data, as forward KL has them: 0.51
    within(0.3, factor, f"the spreads are off by a factor {math.exp(factor):.2f}", got_sigma, want_sigma)


@fit_gaussian_reverse_kl
@weight(0.25)
def test_the_reverse_fit_stays_inside_a_narrow_ridge(student, ref, seed):
    """Where two coordinates nearly determine each other the fit is narrow; a forward KL fit is three times as wide."""
    A, b, mu, sigma = _correlated_pairs(1, 0.95, seed)
    log_p_data = compose(gaussian_log_density(torch.zeros_like(b), torch.ones_like(b)), affine(A, b))
    got = student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 80, 0.05, 256, student.generator(seed))
    _, got_sigma = _pair(got, 2, torch.float32)
    _, want_sigma = ref.closest_gaussian(A, b)
    off = (got_sigma / want_sigma).log().abs().max()  # forward KL is 1.16 off
    sentence = f"the standard deviations are {got_sigma.tolist()}, those of the ridge {want_sigma.tolist()}"
    within(0.75, off, sentence, got_sigma, want_sigma)


@fit_gaussian_reverse_kl
@weight(0.5)
def test_each_step_takes_fresh_noise(student, seed):
    """At the optimum, one fresh draw a step leaves a fit where it is; the same draw in every step drives it away."""
    mu, sigma = draw.normal((256,), seed), torch.full((256,), 1.0)
    got = student.fit_gaussian_reverse_kl(
        gaussian_log_density(mu, sigma), mu, sigma, 180, 0.01, 1, student.generator(seed)
    )
    got_mu, _ = _pair(got, 256, torch.float32)
    off = ((got_mu - mu) / sigma).abs().nan_to_num(math.inf).median()
    sentence = f"started at the optimum, the means end {off:.2f} standard deviations from it"
    within(0.33, off, sentence, got_mu, mu)  # with one draw for all steps 0.35 (RAdam), gradient descent 0.6 or more


@fit_gaussian_reverse_kl
@weight(0.5)
def test_the_reverse_fit_sits_on_one_mode(student, seed):
    """Of two modes the fit takes the one it starts near, and is as narrow as that; forward KL would cover both."""
    side = 1.0 if seed % 2 else -1.0
    modes, width = side * torch.tensor([[3.0], [-3.0]], dtype=torch.float64), 0.6
    log_p_data = gaussian_mixture_log_density(torch.tensor([0.5, 0.5]).double(), modes, torch.full_like(modes, width))
    start = 2 / 3 * modes[0], torch.full_like(modes[0], 1.2)
    got = student.fit_gaussian_reverse_kl(log_p_data, *start, 70, 0.07, 128, student.generator(seed))
    mu, sigma = _pair(got, 1, torch.float64)
    sentence = f"the mean is {mu.item():.2f}, but the mode next to the start is {modes[0].item():.0f}"
    within(width, (mu - modes[0]).abs(), sentence, mu, modes[0])
    sentence = f"the standard deviation is {sigma.item():.2f}, but the mode's is {width}"
    within(1.2, (sigma / width).log().abs(), sentence, sigma, width)  # what covers both modes is 1.6 off


@fit_gaussian_reverse_kl
@weight(0.25)
@examples(4)
@given(m=dims, key=draw.seeds, dtype=draw.dtypes)
def test_no_step_or_a_tiny_one_leaves_the_fit_at_its_start(student, m, key, dtype):
    """With steps = 0 the start comes back; five steps of size 1e-6 hardly leave it."""
    mu, sigma = draw.normal((m,), key, dtype=dtype), draw.uniform((m,), key + 1, 0.5, 2, dtype)
    log_p_data = gaussian_log_density(mu + 1, sigma)
    start = (mu.double(), sigma.double())
    got = student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 0, 0.1, 4, student.generator(key))
    assert_agrees(got, start, like=dtype, scale=2.0)
    got = student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 5, 1e-6, 4, student.generator(key))
    for part, was, name in zip(_pair(got, m, dtype), start, ("mean", "standard deviation"), strict=True):
        moved = (part - was).abs().max()
        within(MAX_DRIFT, moved, f"steps of size 1e-6 moved a {name} by {moved:.2g}", part, was)


@fit_gaussian_reverse_kl
@weight(0.25)
@examples(4)
@given(key=draw.seeds, dtype=draw.dtypes)
def test_standard_deviations_stay_positive(student, key, dtype):
    """A step that would take sigma itself below zero leaves it positive."""
    mu, sigma = torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype)
    got = student.fit_gaussian_reverse_kl(
        gaussian_log_density(mu, sigma / 2), mu, sigma, 1, 1.5, 256, student.generator(key)
    )
    _, got_sigma = _pair(got, 2, dtype)
    if not (got_sigma > 0).all():
        raise Mismatch("value", f"the standard deviations are {got_sigma.tolist()} after one large step", got_sigma)


@fit_gaussian_reverse_kl
@weight(0.25)
def test_the_reverse_fit_is_a_function_of_the_generator_and_leaves_no_trace(student, seed):
    """One state gives one fit, without gradient tracking too; neither the start nor a model's gradients are touched."""
    start, generator = (torch.zeros(20), torch.ones(20)), student.generator(seed)
    log_p_data = trainable_gaussian_log_density(*start)  # at the optimum the noise decides even the signs of a step
    observed = student.fit_gaussian_reverse_kl.observed(log_p_data, *start, 3, 0.1, 4, generator)
    if student.run(gradients_left_behind):
        sentence = "the parameters inside log_p_data have a .grad now: differentiate by your own two tensors only"
        raise Mismatch("trace", sentence)
    assert_no_trace(observed, graph_free=True)
    first = _pair(observed.value, 20, torch.float32)
    again = student.fit_gaussian_reverse_kl.under_no_grad(log_p_data, *start, 3, 0.1, 4, student.generator(seed))
    assert_agrees(again, tuple(part.double() for part in first), like=torch.float32, scale=10.0)
    later, _ = _pair(student.fit_gaussian_reverse_kl(log_p_data, *start, 3, 0.1, 4, generator), 20, torch.float32)
    if torch.equal(later, first[0]):
        raise Mismatch("law", "two calls with one generator give the same fit: the generator did not advance")


@fit_gaussian_reverse_kl
@weight(0.25)
def test_the_reverse_fit_refuses_what_does_not_fit(student):
    """No draws, no dimensions, and mu and sigma of different lengths are refused with a ValueError."""
    log_p_data = gaussian_log_density(torch.zeros(2), torch.ones(2))
    with refuses("n"):
        student.fit_gaussian_reverse_kl(log_p_data, torch.zeros(2), torch.ones(2), 3, 0.1, 0, student.generator(0))
    for lengths in ((2, 3), (2, 1), (0, 0)):
        mu, sigma = torch.zeros(lengths[0]), torch.ones(lengths[1])
        with refuses("mu", "sigma", "m"):
            student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 3, 0.1, 4, student.generator(0))


def _pair(got: object, m: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, if `got` has the form of these; finite or not."""
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mismatch("type", "expected a tuple of two tensors, mean and standard deviation", got)
    for part, what in zip(got, ("the mean", "the standard deviation"), strict=True):
        assert_form(part, (m,), dtype, what=what)
    return got[0], got[1]


def _correlated_pairs(pairs: int, correlation: float, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pairs of coordinates as a density exp(-|A x + b|^2 / 2), and a start off the optimum: A, b, mu, sigma.

    Correlations are positive or negative. The start is off by half a unit along each pair's narrow direction, where
    plain gradient descent is quick.
    """
    correlation_signs, sides = 1.0 - 2.0 * draw.integers((2, pairs), seed, 2)
    conditional = torch.tensor([0.8, 0.5])  # standard deviations of one given the other
    couplings = -correlation * torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    precisions = [(torch.eye(2) + s * couplings) / torch.outer(conditional, conditional) for s in correlation_signs]
    A = torch.block_diag(*(torch.linalg.cholesky(precision).T for precision in precisions))
    centre = draw.normal((2 * pairs,), seed + 1)
    offset = 0.5 * torch.stack([sides, -correlation_signs * sides], dim=1).flatten()
    return A, -A @ centre, centre + offset, conditional.flip(0).repeat(pairs)


def within(limit: float, error: float | Tensor, sentence: str, got: Tensor, want: Tensor | float) -> None:
    """How far an optimiser may end from where it should. How far right ones do: benchmarks/reverse_fits.py."""
    if not error < limit:  # nor a nan
        raise Mismatch("value", sentence, got, want)


def _root_mean_square(errors: Tensor) -> float:
    return errors.double().square().mean().sqrt().item()
