"""Wrong answers about the low-variance estimate and the likelihood that students really give, and other right ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

LOW_VARIANCE = "divergences.kl_low_variance"
LIKELIHOOD = "divergences.negative_log_likelihood"

LogDensity = Callable[[Tensor], Tensor]


# -- kl_low_variance --


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_averages_its_terms",
         says="Your r is p / q. Samples of p want r = q / p, whose expectation under p is one.")
def low_variance_with_r_inverted(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_p(_samples(x)) - log_q(x)
    return (torch.expm1(log_r) - log_r).mean()


@mistake(LOW_VARIANCE, killed_by="test_every_single_term_is_non_negative",
         says="This is the plain mean log-ratio. It is unbiased too, but its terms are negative as often as not.")
def plain_mean_log_ratio(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    return (log_p(_samples(x)) - log_q(x)).mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_is_unbiased",
         says="Half the squared log-ratio is non-negative and varies little, but it is biased.")
def half_the_squared_log_ratio(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    return 0.5 * (log_p(_samples(x)) - log_q(x)).square().mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_is_unbiased",
         says="The -1 is missing. The expectation of r is one, so without it every estimate is one too large.")
def low_variance_without_minus_one(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(_samples(x)) - log_p(x)
    return (log_r.exp() - log_r).mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_averages_its_terms",
         says="You added log r. It is subtracted: log r lies below its tangent r - 1.")
def low_variance_plus_log_r(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(_samples(x)) - log_p(x)
    return (torch.expm1(log_r) + log_r).mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_averages_its_terms",
         says="You added the terms up. The estimate is their average.")
def low_variance_summed(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(_samples(x)) - log_p(x)
    return (torch.expm1(log_r) - log_r).sum()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_is_finite_where_log_r_is",
         says="You divided densities, and they underflow to 0 / 0. Form log r first.")
def low_variance_ratio_of_densities(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    r = log_q(_samples(x)).exp() / log_p(x).exp()
    return (r - 1 - r.log()).mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_is_finite_where_log_r_is",
         says="log r goes through r and comes back as log 0. Keep the log r from which you made r.")
def low_variance_logarithm_of_r(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    r = (log_q(_samples(x)) - log_p(x)).exp()
    return (r - 1 - r.log()).mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_is_finite_where_log_r_is",
         says="You clamped log r. That keeps numbers small, and wrong.")
def low_variance_clamped(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = (log_q(_samples(x)) - log_p(x)).clamp(-20, 20)
    return (torch.expm1(log_r) - log_r).mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_has_its_gradient",
         says="You detached r, as if it were a weight. It depends on the parameters of both densities.")
def low_variance_with_detached_r(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(_samples(x)) - log_p(x)
    return (torch.expm1(log_r.detach()) - log_r).mean()


@mistake(LOW_VARIANCE, killed_by="test_the_low_variance_estimate_refuses_nothing_and_leaves_no_trace",
         says="An average over no samples is nan. Refuse an empty x with a ValueError.")
def low_variance_of_nothing(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (torch.expm1(log_r) - log_r).mean()


@variant(LOW_VARIANCE)
def low_variance_with_exp(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(_samples(x)) - log_p(x)
    return ((log_r.exp() - 1) - log_r).mean()


@variant(LOW_VARIANCE)
def low_variance_one_sample_at_a_time(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    terms = []
    for row in _samples(x):
        log_r = log_q(row[None]) - log_p(row[None])
        terms.append(torch.expm1(log_r) - log_r)
    return sum(terms[1:], terms[0])[0] / len(x)


@variant(LOW_VARIANCE)
def low_variance_in_float64_inside(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(_samples(x)).double() - log_p(x).double()
    return (torch.expm1(log_r).mean() - log_r.mean()).to(x.dtype)


# -- negative_log_likelihood --


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_is_averaged_over_samples",
         says="The minus is missing: this is the log-likelihood, which one would maximise.")
def positive_log_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return log_p_theta(_samples(x)).mean()


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_is_averaged_over_samples",
         says="You added the samples up. Divide by n, so that the result does not grow with the data.")
def summed_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(_samples(x)).sum()


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_is_averaged_over_samples",
         says="You also divided by the number of dimensions. Here a sample counts as a whole.")
def likelihood_per_dimension(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(_samples(x)).mean() / x.shape[1]


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_is_averaged_over_samples",
         says="This is the logarithm of the average likelihood. The likelihood of all is a product: average logs.")
def logarithm_of_the_mean_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return math.log(len(_samples(x))) - log_p_theta(x).logsumexp(0)


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_is_forward_kl_up_to_the_entropy_of_the_data",
         says="You clipped the log-likelihood. A model that excludes a sample has infinite cost.")
def clipped_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(_samples(x)).clamp(min=-1e4).mean()


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_has_its_gradient",
         says="The result has lost its graph, so nothing can be learnt from it.")
def likelihood_without_gradient(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    with torch.no_grad():
        return -log_p_theta(_samples(x)).mean()


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_of_nothing_is_refused_and_no_trace_left",
         says="An average over no samples is nan. Refuse an empty x with a ValueError.")
def likelihood_of_nothing(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).mean()


@variant(LIKELIHOOD)
def likelihood_one_sample_at_a_time(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    terms = [log_p_theta(row[None])[0] for row in _samples(x)]
    return -sum(terms[1:], terms[0]) / len(x)


@variant(LIKELIHOOD)
def likelihood_by_an_inner_product(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    log_likelihood = log_p_theta(_samples(x))
    return log_likelihood @ torch.full_like(log_likelihood, -1 / len(x))


def _samples(x: Tensor) -> Tensor:
    if x.numel() == 0:
        raise ValueError("x holds no samples")
    return x
