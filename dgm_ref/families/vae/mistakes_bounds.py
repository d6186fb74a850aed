"""Wrong and other right answers about the two lower bounds."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Normal

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import changed_in_place, detached_unless_leaf, graph_for_inputs_alone, plain_data

ELBO, IWAE = "vae.elbo", "vae.importance_bound"
ELBO_BY_HAND, ELBO_TRAINS = "test_the_elbo_of_two_rows_known_by_hand", "test_the_elbo_trains_encoder_and_decoder"
ELBO_SMALL, ELBO_LARGE = "test_the_elbo_with_one_draw_one_row_or_one_dimension", "test_the_elbo_of_a_large_batch_and_many_draws"
IWAE_BY_HAND = "test_the_importance_bound_of_two_rows_known_by_hand"
IWAE_FAR = "test_the_importance_bound_holds_where_weights_under_or_overflow"
IWAE_TRAINS = "test_the_importance_bound_trains_encoder_and_decoder"
IMPOSSIBLE = "test_impossible_draws_count_as_zero_weights"

LogLikelihood = Callable[[Tensor, Tensor], Tensor]


def _kl(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(1)


def _likelihood(log_p: LogLikelihood, x: Tensor, z: Tensor) -> Tensor:
    return torch.stack([log_p(x, z_s) for z_s in z])  # (s, n)


def _log_q(mu: Tensor, log_var: Tensor, z: Tensor) -> Tensor:
    return -0.5 * ((z - mu).square() * (-log_var).exp() + log_var + math.log(2 * math.pi)).sum(-1)


def _log_prior(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


def _log_weights(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z) + _log_prior(z) - _log_q(mu, log_var, z)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="The divergence is added. It is what the bound loses: subtract it.")
def elbo_plus_kl(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).mean(0) + _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="You added the log-likelihoods of the draws. The bound has their average.")
def summed_over_draws(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).sum(0) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="This is minus the ELBO, the loss. Asked for is the bound itself.")
def negative_elbo(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _kl(mu, log_var) - _likelihood(log_p, x, z).mean(0)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="You averaged over the batch, too. Each row has a bound of its own.")
def elbo_of_the_batch(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return (_likelihood(log_p, x, z).mean(0) - _kl(mu, log_var)).mean()


@mistake(
    ELBO, killed_by=ELBO_BY_HAND, says="The divergence is estimated from the draws. It is known in closed form: use that, it has no noise."
)
def kl_from_the_draws(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _log_weights(log_p, mu, log_var, x, z).mean(0)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="You average likelihoods before the logarithm. The ELBO averages log-likelihoods.")
def log_of_the_mean_likelihood(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_likelihood(log_p, x, z), 0) - math.log(len(z)) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="Only the first draw is used. Average over all of them.")
def first_draw_alone(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return log_p(x, z[0]) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="The divergence is divided by the number of draws. It does not depend on them.")
def kl_divided_by_draws(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return (_likelihood(log_p, x, z).sum(0) - _kl(mu, log_var)) / len(z)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="The divergence from the prior is missing: this is the reconstruction term alone.")
def reconstruction_alone(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).mean(0)


@mistake(
    ELBO,
    killed_by="test_the_elbo_averages_over_the_draws_and_subtracts_the_divergence",
    says="Rows and draws are paired wrongly: in the flattened (s n, d) codes the rows come one after the other, s times.",
)
def rows_repeated_in_place(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    s, n, d = z.shape
    return log_p(x.repeat_interleave(s, 0), z.reshape(s * n, d)).reshape(s, n).mean(0) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_LARGE, says="Only part of a large batch of draws is used: average over all of them.")
def at_most_64_draws(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z[:64]).mean(0) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_SMALL, says="squeeze also takes the batch axis of a single row away.")
def squeezed_elbo(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return (_likelihood(log_p, x, z).mean(0) - _kl(mu, log_var)).squeeze()


@mistake(ELBO, killed_by=ELBO_TRAINS, says="The draws are detached: the reconstruction term no longer trains the encoder.")
def elbo_of_detached_draws(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z.detach()).mean(0) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="The decoder is asked at the posterior's mean. It is asked at the draws.")
def decoder_at_the_mean(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return log_p(x, mu) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="You averaged over the batch, too. Each row has a bound of its own.")
def elbo_averaged_over_rows(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return (_likelihood(log_p, x, z).mean(0) - _kl(mu, log_var)).mean().expand(len(x))


@mistake(
    ELBO,
    killed_by=ELBO_TRAINS,
    says="You detach a single draw. With s = 1 the encoder learns through it as with many.",
    when=lambda z: len(z) == 1,
)
def single_draw_detached(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z if len(z) > 1 else z.detach()).mean(0) - _kl(mu, log_var)


@mistake(
    ELBO,
    killed_by=ELBO_SMALL,
    says="You count a divergence of 0.01 at least (free bits). Where the posterior is the prior it is 0.",
    when=lambda mu, log_var: _kl(mu, log_var).min() < 0.01,
)
def free_bits(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).mean(0) - _kl(mu, log_var).clamp(min=0.01)


@mistake(
    ELBO,
    killed_by=ELBO_SMALL,
    says="You hold log-likelihoods to -10,000 at least. That of a large image is lower.",
    when=lambda log_p, x, z: _likelihood(log_p, x, z).min() < -1e4,
)
def likelihoods_cut_off(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).clamp(min=-1e4).mean(0) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_TRAINS, says="You detach the data. Where they carry a graph the bound moves with them.")
def data_detached(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x.detach(), z).mean(0) - _kl(mu, log_var)


@mistake(
    ELBO,
    killed_by="test_the_elbo_averages_over_the_draws_and_subtracts_the_divergence",
    says="The divergence is averaged over the dimensions of a code. They add up.",
)
def kl_averaged_over_dimensions(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).mean(0) - _kl(mu, log_var) / mu.shape[1]


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="The divergence lacks its factor 1/2.")
def twice_the_kl(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).mean(0) - 2 * _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="The prior's log-density stands where the divergence is to be subtracted: q itself is missing.")
def joint_log_density(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return (_likelihood(log_p, x, z) + _log_prior(z)).mean(0)


@mistake(
    ELBO, killed_by=ELBO_BY_HAND, says="You average the codes and ask the decoder once. Ask it at every draw, and average what it says."
)
def decoder_at_the_mean_draw(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return log_p(x, z.mean(0)) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_BY_HAND, says="The divergence is averaged over the batch. Each row has a divergence of its own.")
def kl_averaged_over_rows(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, z).mean(0) - _kl(mu, log_var).mean()


@variant(ELBO)
def elbo_in_one_call(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    s, n, d = z.shape
    x = x.expand(s, *x.shape).reshape(s * n, -1)
    reconstruction = log_p(x, z.reshape(-1, d)).view(s, n).mean(dim=0)
    return reconstruction + 0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(dim=-1)


@variant(ELBO)
def elbo_by_vmap(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    q, p = Normal(mu, (0.5 * log_var).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu))
    return torch.vmap(log_p, in_dims=(None, 0))(x, z).mean(0) - torch.distributions.kl_divergence(q, p).sum(1)


@variant(ELBO)
def elbo_row_by_row(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    rows = [log_p(x[i].expand(len(z), -1), z[:, i]).mean() for i in range(len(x))]
    return torch.stack(rows) - _kl(mu, log_var)


@mistake(ELBO, killed_by=ELBO_TRAINS, says=plain_data("The decoder is"))
def elbo_with_a_graph_for_inputs_alone(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return graph_for_inputs_alone(_likelihood(log_p, x, z).mean(0) - _kl(mu, log_var), mu, log_var, x, z)


@mistake(ELBO, killed_by=ELBO_SMALL, says="An impossible draw, of log-likelihood -inf, is made finite. It makes the bound -inf.")
def impossible_draws_made_finite(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.nan_to_num(_likelihood(log_p, x, z)).mean(0) - _kl(mu, log_var)


@mistake(
    ELBO,
    killed_by=ELBO_LARGE,
    says="This is a mean of the means of chunks of draws, which have not all one length. Every draw counts alike.",
)
def mean_of_the_means_of_chunks(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    chunks = [_likelihood(log_p, x, chunk).mean(0) for chunk in z.split(16)]
    return torch.stack(chunks).mean(0) - _kl(mu, log_var)


@mistake(
    ELBO,
    killed_by=ELBO_TRAINS,
    says="Draws that come from elsewhere (no leaves of the graph) are detached. That is where the encoder learns from.",
)
def draws_of_an_encoder_detached(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _likelihood(log_p, x, detached_unless_leaf(z)).mean(0) - _kl(mu, log_var)


@mistake(
    ELBO,
    killed_by="test_the_elbo_has_the_dtype_of_its_arguments",
    says=changed_in_place("the likelihood", "a column of the draws"),
)
def added_in_place_to_a_likelihood(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    total = log_p(x, z[0])
    for one in z[1:]:
        total += log_p(x, one)
    return total / len(z) - _kl(mu, log_var)


# -- importance_bound --


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="You average the log-weights: that is the ELBO. Average the weights, then take the logarithm.")
def mean_log_weight(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _log_weights(log_p, mu, log_var, x, z).mean(0)


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="This is the logarithm of the sum of the weights. For their mean, subtract log s.")
def log_sum_of_the_weights(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_log_weights(log_p, mu, log_var, x, z), 0)


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="The prior p(z) is missing in the weights.")
def weights_without_the_prior(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_likelihood(log_p, x, z) - _log_q(mu, log_var, z), 0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="The weights are not divided by q(z|x): the draws come from q, not from the prior.")
def weights_without_the_proposal(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_likelihood(log_p, x, z) + _log_prior(z), 0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="The proposal's density lacks its normalisation, the log-variance: q must integrate to one.")
def proposal_not_normalised(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_log_weights(log_p, mu, log_var, x, z) - 0.5 * log_var.sum(1), 0) - math.log(len(z))


@mistake(
    IWAE,
    killed_by=IWAE_BY_HAND,
    says="You subtract the divergence in closed form. Here each draw's own ratio p(z)/q(z|x) is in its weight.",
)
def closed_form_kl_in_the_bound(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_likelihood(log_p, x, z), 0) - math.log(len(z)) - _kl(mu, log_var)


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="You divide by the variance's root: the exponent of q has (z - mu)^2 / (2 e^l).")
def proposal_with_deviation_for_variance(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    log_q = -0.5 * ((z - mu).square() * (-log_var / 2).exp() + log_var + math.log(2 * math.pi)).sum(-1)
    return torch.logsumexp(_likelihood(log_p, x, z) + _log_prior(z) - log_q, 0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="The average runs over the batch, the second axis. The draws stand on the first axis of z.")
def averaged_over_the_rows(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_log_weights(log_p, mu, log_var, x, z), 1) - math.log(z.shape[1])


@mistake(IWAE, killed_by=IWAE_FAR, says="The weights under- or overflow before they are averaged: use logsumexp.")
def weights_exponentiated(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _log_weights(log_p, mu, log_var, x, z).exp().mean(0).log()


@mistake(IWAE, killed_by=IWAE_FAR, says="One maximum is taken out of the whole batch: the other rows underflow. Each row needs its own.")
def one_maximum_for_the_batch(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    log_w = _log_weights(log_p, mu, log_var, x, z)
    return (log_w - log_w.max()).exp().mean(0).log() + log_w.max()


@mistake(IWAE, killed_by=IMPOSSIBLE, says="-inf minus -inf is nan: a maximum of -inf must not be subtracted. torch.logsumexp knows that.")
def nan_where_nothing_is_possible(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    log_w = _log_weights(log_p, mu, log_var, x, z)
    largest = log_w.max(0).values
    return largest + (log_w - largest).exp().mean(0).log()


@mistake(IWAE, killed_by=IWAE_TRAINS, says="The draws are detached: the gradient through z is what trains the encoder.")
def bound_of_detached_draws(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_log_weights(log_p, mu, log_var, x, z.detach()), 0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="The deviation of q is taken as e^l. That is its variance: the deviation is e^(l/2).")
def variance_for_the_deviation_of_q(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_likelihood(log_p, x, z) + _log_prior(z) - _log_q(mu, 2 * log_var, z), 0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="The weights are upside down: p(z) stands above the line, q(z|x) below.")
def prior_and_proposal_swapped(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_likelihood(log_p, x, z) - _log_prior(z) + _log_q(mu, log_var, z), 0) - math.log(len(z))


@mistake(
    IWAE,
    killed_by=IWAE_BY_HAND,
    says="The logarithm of q has l where l/2 belongs: the density is divided by the deviation, not by the variance.",
)
def log_variance_not_halved(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    log_q = _log_q(mu, log_var, z) - 0.5 * log_var.sum(-1)
    return torch.logsumexp(_likelihood(log_p, x, z) + _log_prior(z) - log_q, 0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_TRAINS, says="Mean and variance are detached in q(z|x): the weights depend on them, too.")
def bound_of_a_detached_proposal(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    log_q = _log_q(mu.detach(), log_var.detach(), z)
    return torch.logsumexp(_likelihood(log_p, x, z) + _log_prior(z) - log_q, 0) - math.log(len(z))


@mistake(
    IWAE,
    killed_by=IWAE_FAR,
    says="You hold log-variances to 10 in size. They count as they are, up to 40 and down to -40.",
    when=lambda log_var: log_var.abs().max() > 10,
)
def log_variances_held_to_ten(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _log_weights(log_p, mu, log_var.clamp(-10, 10), x, z).logsumexp(0) - math.log(len(z))


@mistake(
    IWAE,
    killed_by="test_the_importance_bound_is_the_log_mean_weight_of_each_row",
    says="The log-densities of a code are averaged over its dimensions. They add up.",
)
def densities_averaged_over_dimensions(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    ratio = (_log_prior(z) - _log_q(mu, log_var, z)) / mu.shape[1]
    return torch.logsumexp(_likelihood(log_p, x, z) + ratio, 0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="This is the largest log-weight. All draws count: average the weights.")
def largest_log_weight(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return _log_weights(log_p, mu, log_var, x, z).amax(0)


@mistake(
    IWAE,
    killed_by=IWAE_BY_HAND,
    says="The log-weights are averaged with normalised weights. Average the weights themselves, then take the logarithm.",
)
def log_weights_by_normalised_weights(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    w = _log_weights(log_p, mu, log_var, x, z)
    return (w.softmax(0) * w).sum(0)


@mistake(IWAE, killed_by=IWAE_BY_HAND, says="This is minus the bound, the loss. Asked for is the bound itself.")
def negative_importance_bound(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return math.log(len(z)) - torch.logsumexp(_log_weights(log_p, mu, log_var, x, z), 0)


@mistake(
    IWAE,
    killed_by=IWAE_TRAINS,
    says="You detach a single draw. With s = 1 the encoder learns through it as with many.",
    when=lambda z: len(z) == 1,
)
def single_weight_of_a_detached_draw(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    z = z if len(z) > 1 else z.detach()
    return _log_weights(log_p, mu, log_var, x, z).logsumexp(0) - math.log(len(z))


@mistake(
    IWAE,
    killed_by=IWAE_BY_HAND,
    says="The weights are likelihoods alone. That is right for draws from the prior; these come from q: times p(z), divided by q(z|x).",
)
def weights_of_likelihoods_alone(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    return torch.logsumexp(_likelihood(log_p, x, z), 0) - math.log(len(z))


@variant(IWAE)
def bound_with_torch_distributions(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    q = Normal(mu, torch.exp(0.5 * log_var))
    prior = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    log_w = torch.stack([log_p(x, z_s) for z_s in z]) + (prior.log_prob(z) - q.log_prob(z)).sum(-1)
    return torch.logsumexp(log_w, dim=0) - math.log(z.size(0))


@variant(IWAE)
def bound_in_one_call(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    s, n, d = z.shape
    likelihood = log_p(x.repeat(s, 1), z.reshape(s * n, d)).reshape(s, n)
    ratio = 0.5 * (((z - mu) * (-0.5 * log_var).exp()) ** 2 + log_var - z**2).sum(-1)
    return torch.logsumexp(likelihood + ratio - math.log(s), dim=0)


@variant(IWAE)
def bound_row_by_row(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    rows = [_log_weights(log_p, mu[i : i + 1], log_var[i : i + 1], x[i : i + 1], z[:, i : i + 1]) for i in range(len(x))]
    return torch.cat([log_w.logsumexp(0) for log_w in rows]) - math.log(z.shape[0])


@mistake(
    IWAE,
    killed_by="test_the_importance_bound_has_the_dtype_of_its_arguments",
    says=changed_in_place("the likelihood", "a column of the draws"),
)
def weighed_in_place(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    weights = []
    for one in z:
        others = _log_prior(one) - _log_q(mu, log_var, one)
        weight = log_p(x, one)
        weight += others
        weights.append(weight)
    return torch.stack(weights).logsumexp(0) - math.log(len(z))


@mistake(IWAE, killed_by=IWAE_TRAINS, says=plain_data("The decoder is"))
def importance_bound_with_a_graph_for_inputs_alone(log_p: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    log_weights = _log_weights(log_p, mu, log_var, x, z)
    return graph_for_inputs_alone(torch.logsumexp(log_weights, 0) - math.log(len(z)), mu, log_var, x, z)
