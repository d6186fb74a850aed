"""Wrong answers about the maximum likelihood fit of a Gaussian that students really give, and other right ones."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

FORWARD = "divergences.fit_gaussian_forward_kl"

Fit = tuple[Tensor, Tensor]


@mistake(FORWARD, killed_by="test_the_fit_by_hand",
         says="You divided by n - 1. That makes the variance unbiased, but the likelihood is largest with n.")
def bessel_corrected(x: Tensor) -> Fit:
    x = _samples(x)
    return x.mean(0), x.std(0)


@mistake(FORWARD, killed_by="test_the_fit_is_the_mean_and_spread_of_the_sample",
         says="This is the variance. The standard deviation is its square root.")
def variance_of_the_sample(x: Tensor) -> Fit:
    x = _samples(x)
    return x.mean(0), x.var(0, correction=0)


@mistake(FORWARD, killed_by="test_the_fit_is_the_mean_and_spread_of_the_sample",
         says="This is the logarithm of the standard deviation, a good parameter, but not what is asked for.")
def logarithm_of_sigma(x: Tensor) -> Fit:
    x = _samples(x)
    return x.mean(0), x.std(0, correction=0).log()


@mistake(FORWARD, killed_by="test_the_fit_is_the_mean_and_spread_of_the_sample",
         says="All coordinates share one standard deviation. A diagonal Gaussian has one for each.")
def one_sigma_for_all(x: Tensor) -> Fit:
    x = _samples(x)
    return x.mean(0), (x - x.mean(0)).square().mean().sqrt().expand(x.shape[1])


@mistake(FORWARD, killed_by="test_the_fit_is_the_mean_and_spread_of_the_sample",
         says="You averaged over the coordinates. The first axis counts the samples.")
def moments_of_each_sample(x: Tensor) -> Fit:
    x = _samples(x)
    return x.mean(1), x.std(1, correction=0)


@mistake(FORWARD, killed_by="test_the_fit_is_the_mean_and_spread_of_the_sample",
         says="This is the mean absolute deviation, which fits a Laplace distribution.")
def mean_absolute_deviation(x: Tensor) -> Fit:
    x = _samples(x)
    return x.mean(0), (x - x.mean(0)).abs().mean(0)


@mistake(FORWARD, killed_by="test_the_fit_is_accurate_far_from_zero",
         says="The mean of squares minus the square of the mean cancels far from zero. Subtract the mean first.")
def one_pass_moments(x: Tensor) -> Fit:
    x = _samples(x)
    mu = x.mean(0)
    return mu, (x.square().mean(0) - mu.square()).clamp(min=0).sqrt()


@mistake(FORWARD, killed_by="test_the_fit_is_plain_numbers_and_leaves_no_trace",
         says="The fit still hangs on the graph of the sample. Fitted parameters are numbers: detach them.")
def fit_with_a_graph(x: Tensor) -> Fit:
    if x.numel() == 0:
        raise ValueError("x holds no samples")
    return x.mean(0), x.std(0, correction=0)


@mistake(FORWARD, killed_by="test_the_fit_is_plain_numbers_and_leaves_no_trace",
         says="You centred the caller's sample in place. Work on a copy.")
def sample_centred_in_place(x: Tensor) -> Fit:
    x = _samples(x)
    mu = x.mean(0)
    x -= mu
    return mu, x.square().mean(0).sqrt()


@mistake(FORWARD, killed_by="test_no_fit_without_samples",
         says="Nothing has no mean: refuse a sample without rows or without coordinates with a ValueError.")
def fit_to_nothing(x: Tensor) -> Fit:
    x = x.detach()
    return x.mean(0), x.std(0, correction=0)


@variant(FORWARD)
def fit_in_float64_inside(x: Tensor) -> Fit:
    wide = _samples(x).double()
    mu = wide.mean(0)
    return mu.to(x.dtype), (wide - mu).square().mean(0).sqrt().to(x.dtype)


@variant(FORWARD)
def fit_by_welfords_loop(x: Tensor) -> Fit:
    x = _samples(x)
    mu, squares = x[0].clone(), torch.zeros_like(x[0])
    for i, row in enumerate(x[1:], start=2):
        off = row - mu
        mu = mu + off / i
        squares = squares + off * (row - mu)
    return mu, (squares / len(x)).sqrt()


def _samples(x: Tensor) -> Tensor:
    if x.numel() == 0:
        raise ValueError("x holds no samples")
    return x.detach()
