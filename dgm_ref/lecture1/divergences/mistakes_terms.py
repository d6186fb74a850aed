"""Wrong answers about the low-variance estimate and the likelihood that students really give, and other right ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import changed_in_place, graph_for_inputs_alone, plain_data

LOW_VARIANCE = "divergences.kl_low_variance"
LIKELIHOOD = "divergences.negative_log_likelihood"

LogDensity = Callable[[Tensor], Tensor]


# -- kl_low_variance --


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_averages_its_terms",
    says="Your r is p / q. Samples of p want r = q / p, whose expectation under p is one.",
)
def low_variance_with_r_inverted(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_p(x) - log_q(x)
    return (torch.expm1(log_r) - log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_every_single_term_is_non_negative",
    says="This is the plain mean log-ratio. It is unbiased too, but its terms may be negative.",
)
def plain_mean_log_ratio(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    return (log_p(x) - log_q(x)).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_is_unbiased",
    says="Half the squared log-ratio is non-negative and varies little, but it is biased.",
)
def half_the_squared_log_ratio(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    return 0.5 * (log_p(x) - log_q(x)).square().mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_is_unbiased",
    says="The -1 is missing. The expectation of r is one, so without it every estimate is one too large.",
)
def low_variance_without_minus_one(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (log_r.exp() - log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_averages_its_terms",
    says="You added log r. It is subtracted: log r lies below its tangent r - 1.",
)
def low_variance_plus_log_r(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (torch.expm1(log_r) + log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_averages_its_terms",
    says="You added the terms up. The estimate is their average.",
)
def low_variance_summed(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (torch.expm1(log_r) - log_r).sum()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_is_finite_where_r_is",
    says="You divided densities, and they under- or overflow, to 0 / 0 or inf / inf. Form log r first.",
)
def low_variance_ratio_of_densities(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    r = log_q(x).exp() / log_p(x).exp()
    return (r - 1 - r.log()).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_is_finite_where_r_is",
    says="log r goes through r and comes back as log 0. Keep the log r from which you made r.",
)
def low_variance_logarithm_of_r(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    r = (log_q(x) - log_p(x)).exp()
    return (r - 1 - r.log()).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_is_finite_where_r_is",
    says="You clamped log r. That keeps numbers small, and wrong.",
    constants=(5, 10, 20, 30, 50, 100),
)
def low_variance_clamped(log_p: LogDensity, log_q: LogDensity, x: Tensor, constant: float = 80) -> Tensor:
    log_r = (log_q(x) - log_p(x)).clamp(-constant, constant)
    return (torch.expm1(log_r) - log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_has_its_gradient",
    says="You detached r, as if it were a weight. It depends on the parameters of both densities.",
)
def low_variance_with_detached_r(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (torch.expm1(log_r.detach()) - log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_by_hand",
    says="The terms are averaged over full batches only: the samples left over at the end count as well.",
)
def low_variance_without_the_last_batch(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (torch.expm1(log_r) - log_r)[: max(len(x) // 100 * 100, min(len(x), 100))].mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_is_unbiased",
    says="The first terms of a power series are right near r = 1 alone.",
)
def low_variance_by_a_series(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (log_r**2 / 2 + log_r**3 / 6).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_has_gradients_in_both_densities",
    says="For |log r| < 0.01 you take (log r)^2 / 2 for (r - 1) - log r. The next term of the series counts, too.",
)
def low_variance_by_a_square_near_one(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return torch.where(log_r.abs() < 0.01, log_r**2 / 2, torch.expm1(log_r) - log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_has_the_dtype_of_the_densities",
    says="The estimate is float64 whatever came in. It should have the dtype of the densities.",
)
def low_variance_in_float64(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = (log_q(x) - log_p(x)).double()
    return (torch.expm1(log_r) - log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_by_hand",
    says="You average the log-ratio first. The terms (r - 1) - log r are averaged.",
)
def low_variance_of_the_mean_log_ratio(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = (log_q(x) - log_p(x)).mean()
    return log_r.expm1() - log_r


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_averages_its_terms",
    says="Your r divides log-densities. The ratio of the densities is exp(log q - log p).",
)
def low_variance_ratio_of_logarithms(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    r = log_q(x) / log_p(x)
    return (r - 1 - r.log()).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_averages_its_terms",
    says="You subtracted r - 1. It is added: log r is what is subtracted from it.",
)
def low_variance_minus_r(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return (-torch.expm1(log_r) - log_r).mean()


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_has_gradients_in_both_densities",
    says="Near r = 1 you use a parabola. The term is (r - 1) - log r there as well.",
    when=lambda log_p, log_q, x: bool(((log_q(x) - log_p(x)).abs() < 1e-3).any()),
)
def parabola_near_one(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return torch.where(log_r.abs() < 1e-3, log_r.square() / 2, torch.expm1(log_r) - log_r).mean()


@variant(LOW_VARIANCE)
def low_variance_with_exp(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x) - log_p(x)
    return ((log_r.exp() - 1) - log_r).mean()


@variant(LOW_VARIANCE)
def low_variance_one_sample_at_a_time(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    terms = []
    for row in x:
        log_r = log_q(row[None]) - log_p(row[None])
        terms.append(torch.expm1(log_r) - log_r)
    return sum(terms[1:], terms[0])[0] / len(x)


@variant(LOW_VARIANCE)
def low_variance_in_float64_inside(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r = log_q(x).double() - log_p(x).double()
    return (torch.expm1(log_r).mean() - log_r.mean()).to(x.dtype)


@variant(LOW_VARIANCE)
def low_variance_as_policies_write_it(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    """k3 of Schulman's note, as libraries for learning from human feedback have it."""
    logr = log_q(x) - log_p(x)
    k3 = (logr.exp() - 1) - logr
    return k3.mean()


@variant(LOW_VARIANCE)
def low_variance_of_the_negative_ratio(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    kl = log_p(x) - log_q(x)
    return torch.mean(torch.exp(-kl) + kl - 1)


@mistake(
    LOW_VARIANCE,
    killed_by="test_the_low_variance_estimate_has_the_dtype_of_the_densities",
    says=changed_in_place("a density", "a part of the draws"),
)
def log_ratios_taken_in_place(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    log_r, log_p_of_x = log_q(x), log_p(x)
    log_r -= log_p_of_x
    return (log_r.expm1() - log_r).mean()


# -- negative_log_likelihood --


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_is_averaged_over_samples",
    says="The minus is missing: this is the log-likelihood, which one would maximise.",
)
def positive_log_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return log_p_theta(x).mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_is_averaged_over_samples",
    says="You added the samples up. Divide by n, so that the result does not grow with the data.",
)
def summed_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).sum()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_is_averaged_over_samples",
    says="You also divided by the number of dimensions. Here a sample counts as a whole.",
)
def likelihood_per_dimension(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).mean() / x.shape[1]


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_is_averaged_over_samples",
    says="This is the logarithm of the average likelihood. The likelihood of all is a product: average logs.",
)
def logarithm_of_the_mean_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return math.log(len(x)) - log_p_theta(x).logsumexp(0)


@mistake(
    LIKELIHOOD,
    killed_by="test_a_sample_that_the_model_excludes_costs_infinity",
    says="You clipped the log-likelihood. A model that excludes a sample has infinite cost.",
)
def clipped_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).clamp(min=-1e4).mean()


@mistake(
    LIKELIHOOD, killed_by="test_the_likelihood_has_its_gradient", says="The result has lost its graph, so nothing can be learnt from it."
)
def likelihood_without_gradient(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    with torch.no_grad():
        return -log_p_theta(x).mean()


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_by_hand", says="A negative log-likelihood may be negative: a density can be above one.")
def likelihood_never_negative(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).clamp(max=0).mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_by_hand",
    says="The likelihood of each sample underflows: average the log-densities as they are.",
)
def logarithm_of_densities(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -(log_p_theta(x).exp() + 1e-30).log().mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_by_hand",
    says="You averaged the averages of batches: the last one is smaller, and its samples count too much.",
)
def mean_of_batch_means(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -torch.stack([log_p_theta(batch).mean() for batch in x.split(100)]).mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_has_the_dtype_of_the_density",
    says="The result is float32 whatever came in. It should have the dtype of the density.",
)
def likelihood_in_float32(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).float().mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_by_hand",
    says="One number for each sample; their mean is asked for.",
)
def one_for_each_sample(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x)


@mistake(
    LIKELIHOOD, killed_by="test_the_likelihood_by_hand", says="These are bits. The result is in nats: take the natural logarithm as it is."
)
def likelihood_in_bits(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).mean() / math.log(2)


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_has_its_gradient", says="The samples are cut off the graph: no gradient reaches them.")
def likelihood_of_detached_samples(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x.detach()).mean()


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_by_hand", says="You took the logarithm of what is a log-likelihood already.")
def logarithm_again(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -log_p_theta(x).log().mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_by_hand",
    says="Densities may be above 1, and then the result is negative: change the sign, take no absolute value.",
)
def likelihood_in_absolute_values(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return log_p_theta(x).abs().mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_a_sample_that_the_model_excludes_costs_infinity",
    says="You leave out what the model excludes. One impossible sample makes the loss infinite.",
)
def skips_impossible_samples(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    log_p = log_p_theta(x)
    return -log_p[log_p.isfinite()].mean()


@mistake(
    LIKELIHOOD,
    killed_by="test_the_likelihood_by_hand",
    says="You hold log-likelihoods above -10^5. A sample may be less likely, and cost more.",
)
def likelihoods_held_above_a_floor(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    log_p = log_p_theta(x)
    return -torch.where(log_p.isinf(), log_p, log_p.clamp(min=-1e5)).mean()


@variant(LIKELIHOOD)
def likelihood_one_sample_at_a_time(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    terms = [log_p_theta(row[None])[0] for row in x]
    return -sum(terms[1:], terms[0]) / len(x)


@variant(LIKELIHOOD)
def likelihood_by_an_inner_product(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    log_likelihood = log_p_theta(x)
    return log_likelihood @ torch.full_like(log_likelihood, -1 / len(x))


@variant(LIKELIHOOD)
def likelihood_by_batches(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return -sum(log_p_theta(batch).sum() for batch in x.split(512)) / x.size(0)  # type: ignore[return-value]


@mistake(LIKELIHOOD, killed_by="test_the_likelihood_has_its_gradient", says=plain_data("The model is"))
def likelihood_with_a_graph_for_the_samples_alone(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return graph_for_inputs_alone(-log_p_theta(x).mean(), x)


@mistake(
    LIKELIHOOD, killed_by="test_the_likelihood_has_the_dtype_of_the_density", says=changed_in_place("the density", "a part of the samples")
)
def turned_round_in_place(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    return log_p_theta(x).neg_().mean()
