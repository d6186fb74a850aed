"""Wrong answers about forward and reverse KL that students really give, and right answers by other roads."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from dgm_ref.catalogue import mistake, variant

FORWARD = "divergences.forward_kl"
REVERSE = "divergences.reverse_kl"

LogDensity = Callable[[Tensor], Tensor]
Sampler = Callable[..., Tensor]  # of n and a generator


# -- forward_kl --


@mistake(
    FORWARD,
    killed_by="test_forward_kl_draws_data_and_only_data",
    says="The log-ratio is the right one, but you drew from the model. Forward KL averages over the data.",
)
def forward_over_the_model(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_data(x) - log_p_theta(x)).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data",
    says="This is the reverse KL: model and data have changed places, in the ratio and in the draws.",
)
def forward_is_reverse(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data",
    says="The sign is wrong: the distribution that one averages over stands in the numerator.",
)
def forward_upside_down(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(FORWARD, killed_by="test_forward_kl_by_hand", says="You added the log-ratios up. An expectation is estimated by their average.")
def forward_summed(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).sum()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_by_hand",
    says="This is the cross-entropy. For its gradient that is enough, but the divergence also needs log p_data.",
)
def forward_without_the_entropy(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    return -log_p_theta(sample_data(n, generator)).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_by_hand",
    says="You took the logarithm of the average ratio. By Jensen's inequality that is not the average logarithm.",
)
def forward_logarithm_of_the_mean(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).logsumexp(0) - math.log(n)


@mistake(
    FORWARD, killed_by="test_forward_kl_by_hand", says="You divided densities, and they under- or overflow. Subtract their logarithms."
)
def forward_ratio_of_densities(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x).exp() / log_p_theta(x).exp()).log().mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_draws_data_and_only_data",
    says="Each term has draws of its own. The log-ratio is taken at the same samples: draw once.",
)
def forward_draws_twice(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x, other = sample_data(n, generator), sample_data(n, generator)
    return log_p_data(x).mean() - log_p_theta(other).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_gets_its_randomness_from_the_generator",
    says="You passed on a copy of the generator. The caller's own does not advance, so every call repeats itself.",
)
def forward_copies_the_generator(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator.clone_state())
    return (log_p_data(x) - log_p_theta(x)).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_infinite_when_the_model_misses_data",
    says="You replaced infinities by large numbers. Data that the model excludes make the divergence infinite.",
)
def forward_replaces_infinity(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return torch.nan_to_num(log_p_data(x) - log_p_theta(x)).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_infinite_when_the_model_misses_data",
    says="You left out the samples that the model excludes. They make the divergence infinite, rightly so.",
)
def forward_drops_infinite_terms(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    log_ratio = log_p_data(x) - log_p_theta(x)
    return log_ratio[log_ratio.isfinite()].mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_has_the_gradient_of_maximum_likelihood",
    says="Everything happens under no_grad. Only the draws may: the densities have to keep their graph.",
)
def forward_without_gradient(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    with torch.no_grad():
        return _mean_log_ratio(log_p_data, log_p_theta, sample_data, n, generator)


@mistake(
    FORWARD,
    killed_by="test_forward_kl_has_gradients_in_both_densities",
    says="You cut log p_data off the graph. Its parameters have a gradient too.",
)
def forward_with_detached_log_p_data(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x).detach() - log_p_theta(x)).mean()


@mistake(FORWARD, killed_by="test_forward_kl_counts_every_one_of_many_draws", says="You used at most 1000 draws. All n of them count.")
def forward_with_a_thousand_draws(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)[:1000]
    return (log_p_data(x) - log_p_theta(x)).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_by_hand",
    says="You clamped the log-ratio at zero. Single terms may be negative; only the expectation is not.",
)
def forward_without_negative_terms(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).clamp(min=0).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_by_hand",
    says="The draws are weighted by p_data. They come with the right frequencies already: each counts 1/n.",
)
def forward_weighted_by_the_density(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    log_p = log_p_data(x)
    return (log_p.exp() * (log_p - log_p_theta(x))).sum() / log_p.exp().sum()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_has_the_dtype_of_the_densities",
    says="The estimate is float32 whatever came in. It should have the dtype of the densities.",
)
def forward_in_float32(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).float().mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_by_hand",
    says="You take each log-density at draws of its own. Both are taken at the draws of the data.",
)
def forward_each_at_its_own_draws(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    return log_p_data(sample_data(n, generator)).mean() - log_p_theta(sample_theta(n, generator)).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_by_hand",
    says="You keep the estimate from going below zero. The divergence is not negative, its estimate may be.",
)
def forward_never_negative(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).mean().clamp(min=0)


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data",
    says="This is the average ratio of the densities. Its logarithm is averaged.",
)
def forward_mean_ratio(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).exp().mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data",
    says="You divide one log-density by the other and take the logarithm again. The logarithm of a ratio is their difference.",
)
def forward_ratio_of_logarithms(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) / log_p_theta(x)).log().mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data",
    says="You weigh the log-ratios with the density of the data. The draws come as often as it says already.",
)
def forward_weighted_again(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x).exp() * (log_p_data(x) - log_p_theta(x))).mean()


@mistake(
    FORWARD,
    killed_by="test_forward_kl_is_the_mean_log_ratio_over_draws_of_the_data",
    says="You took the absolute value of each log-ratio. Single ones may be negative; only their expectation is not.",
)
def forward_absolute_log_ratios(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).abs().mean()


@variant(FORWARD)
def forward_as_difference_of_means(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return log_p_data(x).mean() - log_p_theta(x).mean()


@variant(FORWARD)
def forward_one_sample_at_a_time(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    return _loop(log_p_data, log_p_theta, sample_data(n, generator))


@variant(FORWARD)
def forward_with_draws_without_graph(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    with torch.no_grad():
        x = sample_data(n, generator=generator)
    return torch.sum(log_p_data(x) - log_p_theta(x)) / n


@variant(FORWARD)
def forward_in_chunks(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    """Draws and evaluates a few at a time."""
    total, left = torch.zeros(()), n
    while left > 0:
        x = sample_data(min(left, 500), generator=generator)
        total = total + (log_p_data(x) - log_p_theta(x)).sum()
        left -= len(x)
    return total / n


@variant(FORWARD)
def forward_by_vmap(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    def log_ratio(x: Tensor) -> Tensor:
        return (log_p_data(x[None]) - log_p_theta(x[None]))[0]

    return torch.func.vmap(log_ratio)(sample_data(n, generator)).mean()


# -- reverse_kl --


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_draws_from_the_model_and_only_from_it",
    says="The log-ratio is the right one, but you drew data. Reverse KL averages over the model.",
)
def reverse_over_the_data(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_is_the_mean_log_ratio_over_draws_of_the_model",
    says="This is the forward KL: model and data have changed places, in the ratio and in the draws.",
)
def reverse_is_forward(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_data(n, generator)
    return (log_p_data(x) - log_p_theta(x)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_is_the_mean_log_ratio_over_draws_of_the_model",
    says="The sign is wrong: the distribution that one averages over stands in the numerator.",
)
def reverse_upside_down(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_data(x) - log_p_theta(x)).mean()


@mistake(REVERSE, killed_by="test_reverse_kl_by_hand", says="You added the log-ratios up. An expectation is estimated by their average.")
def reverse_summed(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_theta(x) - log_p_data(x)).sum()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_by_hand",
    says="The entropy of the model is missing. In the reverse KL it depends on theta and cannot be dropped.",
)
def reverse_without_the_entropy(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    return -log_p_data(sample_theta(n, generator)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_has_its_gradient_through_the_draws",
    says="Your draws are detached, or made under no_grad. They move with theta, and most of the gradient comes through them.",
)
def reverse_with_detached_draws(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator).detach()
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_draws_from_the_model_and_only_from_it",
    says="You also drew data, which the reverse KL never needs, and which moves the generator on.",
)
def reverse_draws_data_too(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    sample_data(n, generator)
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_draws_from_the_model_and_only_from_it",
    says="You made a generator of your own. Pass on the very one that you were given.",
)
def reverse_with_its_own_generator(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, torch.Generator().manual_seed(0))
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_is_finite_inside_the_data_and_infinite_outside",
    says="You replaced infinities by large numbers. A model that leaves the data is infinitely far away.",
)
def reverse_replaces_infinity(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_theta(x) - torch.nan_to_num(log_p_data(x), neginf=-1e4)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_is_the_mean_log_ratio_over_draws_of_the_model",
    says="This is the low-variance estimate, with r - 1 added. Here the plain mean log-ratio is asked for.",
)
def reverse_by_the_low_variance_estimate(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    log_r = log_p_data(x) - log_p_theta(x)
    return (torch.expm1(log_r) - log_r).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_counts_every_one_of_many_draws",
    says="You averaged over full batches of 64 draws and dropped the rest. All n draws count.",
)
def reverse_without_the_last_batch(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    x = x[: max(n // 64 * 64, min(n, 64))]
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(
    REVERSE, killed_by="test_reverse_kl_by_hand", says="You divided densities, and they under- or overflow. Subtract their logarithms."
)
def reverse_ratio_of_densities(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_theta(x).exp() / log_p_data(x).exp()).log().mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_has_gradients_in_the_densities_and_through_the_draws",
    says="Your draws are detached, or made under no_grad. They move with theta, and most of the gradient comes through them.",
)
def reverse_sampled_under_no_grad(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    with torch.no_grad():
        x = sample_theta(n, generator)
    return (log_p_theta(x) - log_p_data(x)).mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_has_the_dtype_of_the_densities",
    says="The estimate is float32 whatever came in. It should have the dtype of the densities.",
)
def reverse_in_float32(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_theta(x) - log_p_data(x)).float().mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_by_hand",
    says="You took absolute values of the log-ratios. Single ones may be negative, and so may their mean.",
)
def reverse_in_absolute_values(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_theta(x) - log_p_data(x)).abs().mean()


@mistake(
    REVERSE,
    killed_by="test_reverse_kl_has_gradients_in_the_densities_and_through_the_draws",
    says="log p_theta is cut off the graph. Both log-densities have a gradient.",
)
def reverse_with_detached_log_p_theta(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return (log_p_theta(x).detach() - log_p_data(x)).mean()


@variant(REVERSE)
def reverse_as_difference_of_means(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    return log_p_theta(x).mean() - log_p_data(x).mean()


@variant(REVERSE)
def reverse_one_sample_at_a_time(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    return _loop(log_p_theta, log_p_data, sample_theta(n, generator))


@variant(REVERSE)
def reverse_draws_one_by_one(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = torch.cat([sample_theta(1, generator) for _ in range(n)])
    return (log_p_theta(x) - log_p_data(x)).mean()


@variant(REVERSE)
def reverse_by_an_inner_product(
    log_p_data: LogDensity, log_p_theta: LogDensity, sample_data: Sampler, sample_theta: Sampler, n: int, generator: Generator
) -> Tensor:
    x = sample_theta(n, generator)
    log_ratio = log_p_theta(x) - log_p_data(x)
    return torch.dot(log_ratio, torch.full_like(log_ratio, 1.0 / n))


def _mean_log_ratio(log_p: LogDensity, log_q: LogDensity, sample: Sampler, n: int, generator: Generator) -> Tensor:
    x = sample(n, generator)
    return (log_p(x) - log_q(x)).mean()


def _loop(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    terms = [(log_p(row[None]) - log_q(row[None]))[0] for row in x]
    return sum(terms[1:], terms[0]) / len(x)
