"""Wrong and right answers to the loss of autoregressive models."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dgm_ref.catalogue import contains, mistake, size_of, variant
from dgm_ref.lecture1.autoregressive.mistakes_log_prob import (
    MIXED_UP,
    NO_SOFTMAX,
    ONE_SHIFT,
    is_normalised,
    shifted_by_the_largest_of_the_sequence,
    softmax_where_needed,
)
from dgm_ref.lecture1.autoregressive.parts import Conditional, at, log_likelihood, log_pi, log_pi_of_prefixes
from dgm_ref.slips import MANY_ROWS, ONE_ROW, without_graph_where

LOSS = "autoregressive.negative_log_likelihood"
MEAN = "test_the_loss_is_the_mean_per_sample_and_dimension"
LARGE = "test_every_sequence_of_a_large_batch_counts_alike"


@mistake(LOSS, killed_by=MEAN, says="This is the loss of a whole sequence. Per dimension: divide by m.")
def not_divided_by_m(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).mean()


@mistake(LOSS, killed_by=MEAN, says="The sign is wrong: a likelihood below one has a negative logarithm, and the loss is its opposite.")
def not_negated(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(conditional, x).mean() / x.shape[1]


@mistake(LOSS, killed_by=MEAN, says="You add over the batch. The loss is a mean: it must not grow with the batch.")
def summed_over_the_batch(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).sum() / x.shape[1]


@mistake(LOSS, killed_by=MEAN, says="One number for each sequence; the loss is a single number, their mean.")
def one_loss_per_sequence(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x) / x.shape[1]


@mistake(LOSS, killed_by=MEAN, says="This is the logarithm of the mean likelihood. Maximum likelihood averages the logarithms.")
def logarithm_of_the_mean(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).exp().mean().log() / x.shape[1]


@mistake(LOSS, killed_by=MEAN, says="These are bits per dimension; the loss is in nats.")
def loss_in_bits(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).mean() / x.shape[1] / math.log(2)


@mistake(LOSS, killed_by=MEAN, says="A Python float carries no gradient: return the tensor, and train with it.")
def python_float(conditional: Conditional, x: Tensor) -> float:
    return (-log_likelihood(conditional, x).mean() / x.shape[1]).item()


@mistake(LOSS, killed_by="test_one_variable_learns_its_frequencies", says="The loss is cut off its graph: no gradient reaches the model.")
def detached_loss(conditional: Conditional, x: Tensor) -> Tensor:
    return (-log_likelihood(conditional, x).mean() / x.shape[1]).detach()


@mistake(
    LOSS,
    killed_by="test_an_impossible_sequence_costs_everything",
    says="You leave impossible sequences out of the mean. One of them makes the likelihood of the data zero, and the loss inf.",
)
def skips_impossible_sequences(conditional: Conditional, x: Tensor) -> Tensor:
    total = log_likelihood(conditional, x)
    return -total[total.isfinite()].mean() / x.shape[1]


@mistake(
    LOSS,
    killed_by=LARGE,
    says="You average the means of batches of different sizes: a sequence in the small last one counts for more.",
    when=lambda x: len(x) > 64,
)
def mean_of_batch_means(conditional: Conditional, x: Tensor) -> Tensor:
    return torch.stack([-log_likelihood(conditional, part).mean() for part in x.split(64)]).mean() / x.shape[1]


@mistake(LOSS, killed_by=LARGE, says="The last, incomplete batch is dropped: its sequences belong to the mean.", when=lambda x: len(x) > 64)
def drops_the_last_batch(conditional: Conditional, x: Tensor) -> Tensor:
    whole = x[: len(x) // 64 * 64] if len(x) >= 64 else x
    return -log_likelihood(conditional, whole).mean() / x.shape[1]


@mistake(
    LOSS,
    killed_by=LARGE,
    says="Equal sequences are counted once. Every sample of the batch has the weight 1/n.",
    when=lambda x: len(x.unique(dim=0)) < len(x),
)
def counts_equal_sequences_once(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x.unique(dim=0)).mean() / x.shape[1]


@mistake(
    LOSS,
    killed_by=LARGE,
    says="You call the conditional with the first columns alone. It takes all m of them.",
)
def asks_for_the_first_columns_alone(conditional: Conditional, x: Tensor) -> Tensor:
    return -at(log_pi_of_prefixes(conditional, x), x).mean()


@mistake(LOSS, killed_by=MEAN, says="You add everything up. The loss is the mean over sequences and dimensions.")
def added_up(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).sum()


@mistake(LOSS, killed_by=MEAN, says="The one-hot product has n m K entries, and its mean divides by K once too often. Divide by n m.")
def divided_by_K_too(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).mean() / (x.shape[1] * conditional(x).shape[-1])


@mistake(LOSS, killed_by=MEAN, says="cross_entropy takes logits and normalises them itself: a softmax before it makes another law of them.")
def cross_entropy_of_probabilities(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(lambda x: conditional(x).softmax(dim=-1), x).mean().neg() / x.shape[1]


@mistake(LOSS, killed_by=MEAN, says="You bring classes to axis 1 by a reshape, which mixes them with the positions. Transpose.")
def reshaped_instead_of_transposed(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    return F.cross_entropy(logits.reshape(len(x), logits.shape[2], logits.shape[1]), x)


@mistake(
    LOSS,
    killed_by=MEAN,
    says="You score x_{j+1} with the logits of x_j. `logits[:, j]` is already the distribution of `x[:, j]`.",
    when=size_of("x", axis=1, at_least=2),
)
def loss_of_the_next_value(conditional: Conditional, x: Tensor) -> Tensor:
    return -at(log_pi(conditional, x)[:, :-1], x[:, 1:]).mean()


@mistake(
    LOSS, killed_by=MEAN, says="You leave out the value 0: ignore_index is meant for padding, and there is none.", when=contains("x", 0)
)
def ignores_the_first_value(conditional: Conditional, x: Tensor) -> Tensor:
    return F.cross_entropy(conditional(x).transpose(1, 2), x, ignore_index=0)


@mistake(LOSS, killed_by=MEAN, says="The first variable is missing: p(x_1) has an empty prefix, and is a factor like the others.")
def loss_without_the_first_variable(conditional: Conditional, x: Tensor) -> Tensor:
    return -at(log_pi(conditional, x), x)[:, 1:].mean()


@mistake(LOSS, killed_by=MEAN, says=MIXED_UP)
def loss_of_logits_mixed_up_by_a_reshape(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    mixed_up = logits.transpose(1, 2).reshape(logits.shape)
    return -at(mixed_up.log_softmax(-1), x).mean()


@mistake(
    LOSS,
    killed_by="test_an_impossible_sequence_costs_everything",
    says="You hold probabilities above 10^-15. Stay with logarithms: a value of probability e^-300 costs 300 nats.",
)
def probabilities_held_above_a_floor(conditional: Conditional, x: Tensor) -> Tensor:
    log_p = at(log_pi(conditional, x), x)
    return -torch.where(log_p.isinf(), log_p, log_p.exp().clamp(min=1e-15).log()).mean()


@mistake(
    LOSS,
    killed_by=MEAN,
    says="You roll x: `logits[:, j]` is already the distribution of `x[:, j]`, and the last one is scored with the first value.",
)
def targets_rolled(conditional: Conditional, x: Tensor) -> Tensor:
    return -at(log_pi(conditional, x), x.roll(-1, 1)).mean()


@mistake(
    LOSS,
    killed_by="test_the_loss_of_four_sequences",
    says="With many values you leave the last one out, as if it were padding. All K values are data.",
)
def last_of_many_values_left_out(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    K = logits.shape[-1]
    return F.cross_entropy(logits.flatten(0, 1), x.flatten(), ignore_index=K - 1 if K > 200 else -100)


@mistake(
    LOSS,
    killed_by=MEAN,
    says="You average raw logits. They are log-probabilities only up to a constant: F.nll_loss takes log-probabilities, "
    "F.cross_entropy takes logits.",
)
def nll_loss_of_logits(conditional: Conditional, x: Tensor) -> Tensor:
    return F.nll_loss(conditional(x).flatten(0, 1), x.flatten())


@mistake(LOSS, killed_by=MEAN, says="You divide by K, the number of values. Per dimension is divided by m.")
def divided_by_K_in_place_of_m(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).mean() / conditional(x).shape[-1]


@mistake(
    LOSS,
    killed_by="test_the_gradient_is_per_sample_and_dimension_as_the_loss_is",
    says="The value is per dimension, the gradient is that of whole sequences: m times too long. Divide within the graph.",
    when=size_of("x", axis=1, at_least=2),
)
def gradient_not_divided_by_m(conditional: Conditional, x: Tensor) -> Tensor:
    loss = F.cross_entropy(conditional(x).flatten(0, 1), x.flatten())
    if loss.requires_grad:
        loss.register_hook(lambda gradient: gradient * x.shape[1])
    return loss


@mistake(LOSS, killed_by="test_the_gradient_is_per_sample_and_dimension_as_the_loss_is", says=NO_SOFTMAX, when=is_normalised)
def softmax_left_out_of_normalised_logits(conditional: Conditional, x: Tensor) -> Tensor:
    return -softmax_where_needed(conditional, x).mean()


@mistake(
    LOSS,
    killed_by="test_an_impossible_sequence_costs_everything",
    says=ONE_SHIFT,
)
def largest_logit_of_the_sequence_taken_out(conditional: Conditional, x: Tensor) -> Tensor:
    return -shifted_by_the_largest_of_the_sequence(conditional(x), x).mean()


@variant(LOSS)
def mean_cross_entropy(conditional: Conditional, x: Tensor) -> Tensor:
    return F.cross_entropy(conditional(x).flatten(0, 1), x.flatten())


@variant(LOSS)
def mean_over_both_axes(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x), x).mean(dim=(0, 1)).neg()


@variant(LOSS)
def total_over_numel(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x).sum() / x.numel()


@variant(LOSS)
def cross_entropy_over_the_second_axis(conditional: Conditional, x: Tensor) -> Tensor:
    return F.cross_entropy(conditional(x).transpose(1, 2), x)


@mistake(LOSS, killed_by="test_the_gradient_is_per_sample_and_dimension_as_the_loss_is", says=ONE_ROW)
def loss_of_one_sequence_without_graph(conditional: Conditional, x: Tensor) -> Tensor:
    return without_graph_where(len(x) == 1, -log_likelihood(conditional, x).mean() / x.shape[1])


@mistake(LOSS, killed_by="test_the_gradient_is_per_sample_and_dimension_as_the_loss_is", says=MANY_ROWS)
def loss_of_many_sequences_without_graph(conditional: Conditional, x: Tensor) -> Tensor:
    return without_graph_where(len(x) > 64, -log_likelihood(conditional, x).mean() / x.shape[1])
