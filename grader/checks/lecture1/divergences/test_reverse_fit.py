"""The fit of a diagonal Gaussian by reverse KL, with reparametrised gradients (slide 35).

What a fit ends at depends on optimiser, parametrisation and draws. So it is judged by what it asks log p_data at a step size
that moves nothing, whatever the optimiser; by the size of one step; and by where it ends, on coordinates by the dozen whose
errors average out. `benchmarks/reverse_fits.py` measures how far right fits are from the bands, for optimisers by the dozen.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_form, assert_unchanged
from grader.checking.recipe import recipe
from grader.checking.statistics import assert_streams_differ
from grader.checks.lecture1.divergences.draw import number
from grader.checks.lecture1.shared import draw
from grader.checks.lecture1.shared.families import (
    affine,
    compose,
    gaussian_log_density,
    gaussian_mixture_log_density,
    linear,
)
from grader.checks.lecture1.shared.samplers import (
    forget_questions,
    number_of_rows_asked_about,
    rows_asked_about,
    witnessed_log_density,
)

fit_gaussian_reverse_kl = pytest.mark.exercise("divergences.fit_gaussian_reverse_kl")
weight = pytest.mark.weight

CONDITIONAL = torch.tensor([0.8, 0.5])  # standard deviations of one of a pair given the other
# The first step in units of lr, for a gradient of 200: Adam, its relatives, Adagrad and sign descent make it 1 or little more;
# RMSprop 10; a mean of gradients with weight 0.1 makes it 20, gradient descent and momentum 200, Nesterov's 380.
FIRST_STEPS = ((0.3, 1.95), (8, 26), (100, 450))
DEVIATIONS = 8.0  # how many of its standard deviations a moment of the noise may be off: by chance once in 10^15 times


@fit_gaussian_reverse_kl
@weight(0.0625)
def test_no_step_leaves_the_fit_at_its_start(student, seed):
    """With steps = 0 the start comes back."""
    for dtype in (torch.float32, torch.float64):
        mu, sigma = draw.normal((3,), seed, dtype=dtype), torch.tensor([0.01, 1.0, 30.0], dtype=dtype)
        log_p_data = gaussian_log_density(mu + 1, sigma)
        got = student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 0, 0.1, 4, student.generator(seed))
        assert_agrees(got, (mu.double(), sigma.double()), like=dtype, scale=100.0)


@fit_gaussian_reverse_kl
@weight(0.25)
def test_each_step_takes_n_fresh_samples_of_the_gaussian(student, seed):
    """At a step size of 1e-9 log p_data is asked about steps times n rows, all new, which are mu + sigma times normal noise.

    For n = 2 as well: noise with its mean taken away, or scaled to variance one, is not normal there.
    """
    steps, n, m = 7, 1001, 8
    mu, sigma = draw.normal((m,), seed, dtype=torch.float64), draw.uniform((m,), seed + 1, 0.5, 2, torch.float64)
    log_p_data = witnessed_log_density(gaussian_log_density(mu + 0.5, 2 * sigma))
    student.run(forget_questions)
    student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, steps, 1e-9, n, student.generator(seed))
    rows = student.run(rows_asked_about)
    if len(rows) < steps * n:
        sentence = f"with steps = {steps} and n = {n} log p_data was asked about {len(rows)} rows"
        raise Mismatch("law", sentence, len(rows), expected=f"{steps * n}")
    noise = (rows - mu) / sigma
    shared = (noise.T @ noise / len(noise))[*torch.triu_indices(m, m, 1)]
    shared = shared[shared.abs().argmax()].clamp(-1, 1)  # no correlation is larger
    _noise_within(DEVIATIONS * math.sqrt(2 / len(noise)), shared, "is shared by coordinates, with a correlation of {:.2f}", "none")
    new = len(((noise * 1000).round().long() @ torch.arange(1, 2 * m, 2) ** 9).unique())
    if not new >= 0.99 * steps * n:
        raise Mismatch("law", f"of {len(rows)} rows only {new} come from noise of their own: draw afresh, n rows in each step", new)
    _assert_standard_normal(noise)
    m = 256
    zero, one = torch.zeros(m, dtype=torch.float64), torch.ones(m, dtype=torch.float64)
    log_p_data = witnessed_log_density(gaussian_log_density(zero + 0.5, 2 * one))
    student.run(forget_questions)
    student.fit_gaussian_reverse_kl(log_p_data, zero, one, steps, 1e-9, 2, student.generator(seed))
    pairs = student.run(rows_asked_about)
    limit = DEVIATIONS * math.sqrt(2 / (steps * m))  # a pair may be antithetic
    _noise_within(limit, pairs.square().mean() - 1, "has, for n = 2, a mean square that is off by {:.3f}", "1 for the mean square")


@fit_gaussian_reverse_kl
@weight(0.0625)
def test_a_step_is_as_long_as_lr_says(student, seed):
    """One step moves the mean by about lr times its gradient, or by about lr; five steps of 1e-9 hardly move it."""
    lr, slope = 1e-3, 200.0
    side = 1.0 if seed % 2 else -1.0
    mu, sigma = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    log_p_data = linear(side * slope * torch.ones_like(mu), number(0.0))
    mean, _ = _pair(student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 1, lr, 4096, student.generator(seed)), 1)
    moved = side * mean.item()
    if not any(low < moved / lr < high for low, high in FIRST_STEPS):
        sentence = f"with a gradient of {slope:g} in the mean one step with lr = {lr:g} moves it by {moved + 0.0:.2g} along the descent"
        raise Mismatch("value", sentence, mean, expected="about lr times the gradient (gradient descent), or about lr (Adam)")
    mean, _ = _pair(student.fit_gaussian_reverse_kl(log_p_data, mu, sigma, 5, 1e-9, 8, student.generator(seed)), 1)
    within(1e-5, mean.abs().max(), f"five steps with lr = 1e-9 move the mean by {mean.abs().item():.2g}", mean)
    narrow = 0.01 * sigma
    got = student.fit_gaussian_reverse_kl(gaussian_log_density(mu, narrow), mu, narrow, 1, 1e-9, 8, student.generator(seed))
    factor = _pair(got, 1)[1] / narrow
    within(0.1, factor.log().abs().max(), f"a step with lr = 1e-9 moves sigma = 0.01 by a factor {factor.item():.2g}", got)


@fit_gaussian_reverse_kl
@weight(0.25)
def test_the_reverse_fit_converges_to_the_closest_gaussian(student, seed):
    """For correlated data the closest diagonal Gaussian has the data's mean and its *conditional* spreads; 160 steps are 160 steps."""
    pairs = 12
    correlation_signs = torch.tensor([1.0, 1.0, -1.0]).repeat(pairs // 3)  # no balance: it would hide noise that coordinates share
    sides = 1.0 - 2.0 * draw.integers((pairs,), seed, 2)
    A, centre = _correlated_pairs(0.8 * correlation_signs), draw.normal((2 * pairs,), seed + 1)
    offset = 0.5 * torch.stack([sides, -correlation_signs * sides], dim=1).flatten()  # along each pair's narrow direction
    log_p_data = compose(gaussian_log_density(torch.zeros_like(centre), torch.ones_like(centre)), affine(A, -A @ centre))
    steps, n = 160, 192
    student.run(forget_questions)
    want, start = CONDITIONAL.repeat(pairs), CONDITIONAL.flip(0).repeat(pairs)
    got = student.fit_gaussian_reverse_kl(
        witnessed_log_density(log_p_data), centre + offset, start, steps, 0.05, n, student.generator(seed)
    )
    asked = student.run(number_of_rows_asked_about)
    if asked < steps * n:
        sentence = f"with steps = {steps} and n = {n} log p_data was asked about {asked} rows"
        raise Mismatch("law", sentence, asked, expected=f"{steps * n}")
    mu, sigma = _pair(got, 2 * pairs)
    off = (mu - centre).double() / want
    left = (off * offset.sign()).mean()  # in the direction of the start: 0.8 if the mean never moves
    within(0.18, left.abs(), f"the means end {left:.2f} standard deviations from the centre, towards the start, on average", mu)
    within(0.18, off.mean().abs(), f"the means end {off.mean():.2f} standard deviations too high, on average", mu)
    factors = (sigma.double() / want).log().reshape(pairs, 2)  # forward KL has the spreads of the data: 0.51
    for factor, spread in zip(factors.mean(0), CONDITIONAL, strict=True):
        sentence = f"spreads are too {'large' if factor > 0 else 'small'} by a factor {math.exp(abs(factor)):.2f}, on average"
        within(0.18, factor.abs(), sentence, sigma, f"about {spread:g} for every other coordinate")


@fit_gaussian_reverse_kl
@weight(0.125)
def test_the_reverse_fit_sits_on_one_mode(student, seed):
    """Of two modes the fit takes the one it starts near, and is as narrow as that; forward KL would cover both."""
    side = 1.0 if seed % 2 else -1.0
    modes, width = side * torch.tensor([[3.0], [-3.0]], dtype=torch.float64), 0.6
    log_p_data = gaussian_mixture_log_density(torch.tensor([0.5, 0.5]).double(), modes, torch.full_like(modes, width))
    start = 2 / 3 * modes[0], torch.full_like(modes[0], 1.2)
    got = student.fit_gaussian_reverse_kl(log_p_data, *start, 60, 0.08, 192, student.generator(seed))
    mu, sigma = _pair(got, 1)
    within(width, (mu - modes[0]).abs(), f"the mean ends at {mu.item():.2f}", mu, f"the mode next to the start, {modes[0].item():g}")
    sentence = f"the standard deviation ends at {sigma.item():.2f}"
    within(0.9, (sigma / width).log().abs(), sentence, sigma, f"about {width}, that of the mode")  # both modes: 1.6


@fit_gaussian_reverse_kl
@weight(0.0625)
def test_the_reverse_fit_gets_its_randomness_from_the_generator(student, seed):
    """One state of the generator gives one fit, and a generator that goes on another one."""
    mu, sigma = torch.zeros(40, dtype=torch.float64), torch.ones(40, dtype=torch.float64)
    # so near that noise decides even the signs of derivatives: two fits by sign descent agree once in 10^15
    target = gaussian_log_density(mu + 0.25, 1.25 * sigma)
    arguments = (target, mu, sigma, 3, 0.01, 4)
    generator = student.generator(seed)
    generators = (generator, generator, student.generator(seed))
    first, second, again = (_pair(student.fit_gaussian_reverse_kl(*arguments, g), len(mu)) for g in generators)
    if not torch.equal(torch.cat(first), torch.cat(again)):
        raise Mismatch("law", "two generators in the same state give different fits: is some chance from elsewhere?", again)
    if torch.equal(torch.cat(first), torch.cat(second)):
        sentence = "two calls with one generator give the same fit: it draws nothing, or the second repeats the noise of the first"
        raise Mismatch("law", sentence, second)
    assert_streams_differ(lambda like: _pair(student.fit_gaussian_reverse_kl(*arguments, student.generator(like)), len(mu))[0])


@fit_gaussian_reverse_kl
@weight(0.0625)
def test_standard_deviations_stay_positive(student, seed):
    """A step that would take sigma itself below zero leaves it positive."""
    mu, sigma = torch.zeros(2), torch.ones(2)
    got = student.fit_gaussian_reverse_kl(gaussian_log_density(mu, sigma / 2), mu, sigma, 1, 1.5, 256, student.generator(seed))
    _, got_sigma = _pair(got, 2)
    if not (got_sigma > 0).all():
        raise Mismatch("value", f"the standard deviations are {got_sigma.tolist()} after one long step", got_sigma)


@fit_gaussian_reverse_kl
@weight(0.021)
def test_the_reverse_fit_has_the_dtype_of_its_start(student, seed):
    """A start in float32 gives a fit in float32, one in float64 a fit in float64."""
    for dtype in (torch.float32, torch.float64):
        mu, sigma = torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype)
        arguments = (gaussian_log_density(mu + 1, sigma), mu, sigma, 2, 0.01, 4)
        for part in _pair(student.fit_gaussian_reverse_kl(*arguments, student.generator(seed)), 2):
            assert_dtype(part, dtype)


@fit_gaussian_reverse_kl
@weight(0.0625)
def test_the_start_stays_as_it_is(student, seed):
    """The tensors that hold the start are not changed: they are not what the optimiser moves."""
    mu, sigma = torch.ones(2), torch.ones(2)
    log_p_data = gaussian_log_density(mu + 1, 2 * sigma)
    assert_unchanged(student.fit_gaussian_reverse_kl.observed(log_p_data, mu, sigma, 2, 0.1, 4, student.generator(seed)))


def _assert_standard_normal(noise: Tensor) -> None:
    """The rows (n, m) are standard normal noise, as far as moments and distribution function tell.

    Rows may come in antithetic pairs (a variance reduction that leaves their law), so that half of them are independent.
    """
    n, m = noise.shape
    values = noise.flatten()
    if not values.isfinite().all():
        raise Mismatch("finite", "log p_data was asked about rows that are not finite", noise)
    for of_one, count in [(values, n * m), *((column, n) for column in noise.T)]:
        limit = DEVIATIONS / math.sqrt(count)
        _noise_within(limit, of_one.mean(), "has the mean {:.3f}", "0")
        _noise_within(2 * limit, of_one.square().mean() - 1, "has a mean square that is off by {:.3f}", "1 for the mean square")
    u = torch.special.ndtr(values.sort().values)
    steps = torch.arange(n * m + 1, dtype=torch.float64) / (n * m)
    off = torch.maximum(steps[1:] - u, u - steps[:-1]).max()  # Massart's bound, for each half of the antithetic pairs
    _noise_within(math.sqrt(math.log(4e12) / (n * m)), off, "has a distribution function that is off by {:.3f}", "the normal one")
    if (values.abs() > 3.001).sum() < 0.0007 * n * m:  # 0.0027 of normal noise is there
        raise Mismatch("law", f"of {n * m} numbers of noise hardly one is beyond 3 deviations: it is cut off", noise)


def _noise_within(limit: float, off: Tensor, sentence: str, expected: str) -> None:
    if not off.abs() < limit:
        raise Mismatch("law", f"(x - mu) / sigma should be standard normal noise: it {sentence.format(off.item())}", off, expected=expected)


def _pair(got: object, m: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, if `got` has the form of these; a nan is said as what it is."""
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mismatch("type", "you did not return two tensors", got, expected="a tuple of mean and standard deviation")
    for part, what in zip(got, ("the mean", "the standard deviation"), strict=True):
        assert_form(part, (m,), what=what)
        if not part.isfinite().all():
            raise Mismatch("finite", f"{what} of the fit is {part[~part.isfinite()][0].item()}", got)
    return got[0], got[1]


@recipe
def _correlated_pairs(correlations: Tensor) -> Tensor:
    """A such that exp(-|A x|^2 / 2) has pairs of coordinates with these correlations, and the conditional spreads 0.8 and 0.5."""
    spreads = torch.tensor([0.8, 0.5])
    roots = []
    for correlation in correlations:
        precision = torch.eye(2) - correlation * torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        roots.append(torch.linalg.cholesky(precision / torch.outer(spreads, spreads)).T)
    return torch.block_diag(*roots)


def within(limit: float, error: float | Tensor, sentence: str, got: Tensor, expected: str = "") -> None:
    """How far an optimiser may end from where it should. How far right ones do: benchmarks/reverse_fits.py."""
    if not error < limit:
        raise Mismatch("value", sentence, got, expected=expected)
