"""Wrong and right answers to the class posterior of a class-conditional autoregressive model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.autoregressive.mistakes_log_prob import ONE_SHIFT, shifted_by_the_largest_of_the_sequence
from dgm_ref.lecture1.autoregressive.parts import at, log_likelihood, log_pi_of_prefixes
from dgm_ref.slips import ONE_ROW, graph_for_inputs_alone, plain_data, without_graph_where

ClassConditional = Callable[[Tensor, Tensor], Tensor]

POSTERIOR = "autoregressive.class_posterior"
BAYES = "test_the_posterior_is_bayes_rule"
UNDERFLOW = "test_the_posterior_of_784_dimensions_where_every_likelihood_underflows"
FIRST = "Every likelihood underflows to 0, and 0 / 0 is nan; float64 only moves the end. Normalise while they are logarithms."
GRADIENTS = "test_the_posterior_has_gradients"
IMPOSSIBLE = "test_an_impossible_class_has_posterior_zero"
OWN = "test_the_posterior_of_a_sequence_is_its_own"


def _log_likelihoods(conditional: ClassConditional, x: Tensor, C: int) -> Tensor:
    """(n, C)."""

    def of_class(c: int) -> Tensor:
        return log_likelihood(lambda x: conditional(x, torch.full((len(x),), c)), x)

    return torch.stack([of_class(c) for c in range(C)], dim=1)


def _log_joint(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return log_prior + _log_likelihoods(conditional, x, len(log_prior))


@mistake(POSTERIOR, killed_by=BAYES, says="The prior is missing: p(y | x) is proportional to p(y) p(x | y), not to the likelihood alone.")
def ignores_the_prior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, torch.zeros_like(log_prior)).softmax(dim=1)


@mistake(POSTERIOR, killed_by=UNDERFLOW, says=FIRST)
def exponentiates_first(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior).exp()
    return joint / joint.sum(dim=1, keepdim=True)


@mistake(
    POSTERIOR,
    killed_by=UNDERFLOW,
    says="The small number in the denominator keeps nan away, but the posterior is 0 then: rows must sum to one.",
)
def epsilon_in_the_denominator(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior).exp()
    return joint / (joint.sum(dim=1, keepdim=True) + 1e-30)


@mistake(POSTERIOR, killed_by=BAYES, says="You normalise over the batch. For each sequence the probabilities of the classes sum to one.")
def posterior_normalised_over_the_batch(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior).softmax(dim=0)


@mistake(POSTERIOR, killed_by=BAYES, says="This is the logarithm of the posterior: probabilities are asked for.")
def log_posterior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior).log_softmax(dim=1)


@mistake(POSTERIOR, killed_by=BAYES, says="This is the joint p(x, y). Divide by its sum over the classes.")
def joint_instead_of_posterior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior).exp()


@mistake(
    POSTERIOR,
    killed_by=BAYES,
    says="You average the log-likelihood over the dimensions, which makes the classifier far too unsure. "
    "Each dimension is evidence of its own: sum.",
)
def likelihood_per_dimension(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return (log_prior + _log_likelihoods(conditional, x, len(log_prior)) / x.shape[1]).softmax(dim=1)


@mistake(POSTERIOR, killed_by=BAYES, says="The prior is counted once for each dimension. It enters once, with the whole sequence.")
def prior_in_every_dimension(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return (_log_joint(conditional, x, log_prior) + (x.shape[1] - 1) * log_prior).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by=BAYES,
    says="The prior is added to the logits, and the log-softmax takes it out again: a constant over the values. "
    "Add it to the log-likelihood.",
)
def prior_in_the_logits(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    finite = log_prior.clamp(min=-50)
    return _log_likelihoods(lambda x, y: conditional(x, y) + finite[y][:, None, None], x, len(log_prior)).softmax(dim=1)


@mistake(POSTERIOR, killed_by=BAYES, says="log_prior holds logarithms: you added the prior probability to a log-likelihood.")
def adds_the_probability(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior.exp()).softmax(dim=1)


@mistake(
    POSTERIOR, killed_by=BAYES, says="Sequences and classes are mixed up: the rows of the repeated batch are regrouped in the wrong order."
)
def regroups_in_the_wrong_order(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    n, C = len(x), len(log_prior)
    y = torch.arange(C).repeat_interleave(n)
    every = log_likelihood(lambda x: conditional(x, y), x.repeat(C, 1))  # class by class
    return (log_prior + every.view(n, C)).softmax(dim=1)


@mistake(POSTERIOR, killed_by=BAYES, says="The axes are exchanged: rows are sequences, columns classes.")
def classes_first(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior).softmax(dim=1).T


@mistake(POSTERIOR, killed_by=BAYES, says="This is the decision, not the probabilities behind it.")
def most_likely_class(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior)
    return torch.nn.functional.one_hot(joint.argmax(dim=1), len(log_prior)).to(joint.dtype)


@mistake(POSTERIOR, killed_by=BAYES, says="`conditional` takes one label for each row, as a tensor of shape (n,).")
def one_label_for_the_whole_batch(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:

    def of_class(c: int) -> Tensor:
        return log_likelihood(lambda x: conditional(x, torch.tensor(c)), x)

    return (log_prior + torch.stack([of_class(c) for c in range(len(log_prior))], dim=1)).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by=IMPOSSIBLE,
    says="You subtract the smallest log-joint for stability, and -inf - (-inf) is nan. Subtract the largest.",
)
def subtracts_the_smallest(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior)
    weights = (joint - joint.amin(dim=1, keepdim=True)).exp()
    return weights / weights.sum(dim=1, keepdim=True)


@mistake(POSTERIOR, killed_by=IMPOSSIBLE, says="You keep probabilities away from zero. What is impossible has probability exactly 0.")
def smooths_the_posterior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    p = _log_joint(conditional, x, log_prior).softmax(dim=1).clamp(min=1e-6)
    return p / p.sum(dim=1, keepdim=True)


@mistake(POSTERIOR, killed_by=GRADIENTS, says="The likelihoods are computed without a graph: no gradient reaches the models.")
def detached_likelihoods(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return (log_prior + _log_likelihoods(conditional, x, len(log_prior)).detach()).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by=OWN,
    says="You take one maximum out of the whole batch. Where a sequence is much less likely than another every "
    "exponential is 0: each row has a maximum of its own.",
)
def one_maximum_for_all_sequences(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior)
    weights = (joint - joint.max()).exp()
    return weights / weights.sum(dim=1, keepdim=True)


@mistake(POSTERIOR, killed_by=UNDERFLOW, says=FIRST)
def exponentiates_in_float64(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior).double().exp()
    return (joint / joint.sum(dim=1, keepdim=True)).to(log_prior.dtype)


@mistake(
    POSTERIOR,
    killed_by=UNDERFLOW,
    says="You keep log-likelihoods above -700, so that exp does not underflow: below that all classes look alike.",
)
def clamps_the_log_joint(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior).clamp(min=-700).softmax(dim=1)


@mistake(POSTERIOR, killed_by=IMPOSSIBLE, says="You keep the prior away from zero. A class of prior zero has posterior zero.")
def clamps_the_prior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior.clamp(min=-20)).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by=OWN,
    says="You call the conditional with the first columns alone. It takes all m of them.",
)
def posterior_from_the_first_columns_alone(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    def of_class(c: int) -> Tensor:
        return at(log_pi_of_prefixes(lambda x: conditional(x, torch.full((len(x),), c)), x), x).sum(dim=1)

    return (log_prior + torch.stack([of_class(c) for c in range(len(log_prior))], dim=1)).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by=IMPOSSIBLE,
    says="You take the mean of the log-joints out before exp. Classes far above it overflow: take out the largest.",
)
def takes_the_mean_out(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior).double()
    weights = (joint - joint.where(joint.isfinite(), 0).mean(dim=1, keepdim=True)).exp()
    return (weights / weights.sum(dim=1, keepdim=True)).to(log_prior.dtype)


@mistake(
    POSTERIOR,
    killed_by=BAYES,
    says="You add up logits. Each conditional has to be normalised first: its constant differs from class to class.",
)
def adds_raw_logits(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    labels = [torch.full((len(x),), c) for c in range(len(log_prior))]
    scores = [conditional(x, y).gather(2, x[..., None]).sum(dim=(1, 2)) for y in labels]
    return (torch.stack(scores, dim=1) + log_prior).softmax(dim=1)


@mistake(POSTERIOR, killed_by=GRADIENTS, says="The prior is cut off the graph. The posterior is differentiable in it, too.")
def detached_prior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, log_prior.detach()).softmax(dim=1)


@mistake(
    POSTERIOR, killed_by=BAYES, says="Only the last variable is looked at. The likelihood is of the whole sequence: add over all variables."
)
def last_variable_alone(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    labels = [torch.full((len(x),), c) for c in range(len(log_prior))]
    last = [conditional(x, y).log_softmax(dim=-1).gather(2, x[..., None])[:, -1, 0] for y in labels]
    return (torch.stack(last, dim=1) + log_prior).softmax(dim=1)


@mistake(POSTERIOR, killed_by=BAYES, says="You subtract the log-prior. By Bayes' rule it is added.")
def divides_by_the_prior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return _log_joint(conditional, x, -log_prior).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by="test_an_impossible_class_has_posterior_zero",
    says="You hold likelihoods above e^-100 times the best one. A prior may outweigh that: leave them as they are.",
    when=lambda log_prior: bool(log_prior.max() - log_prior.min() > 50),
)
def likelihoods_held_above_a_floor(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, torch.zeros_like(log_prior))
    return (torch.maximum(joint, joint.amax(dim=1, keepdim=True) - 100) + log_prior).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by="test_two_coins_and_two_heads",
    says=ONE_SHIFT,
)
def largest_logit_of_the_sequence_taken_out(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    tables = [conditional(x, torch.full((len(x),), c)) for c in range(len(log_prior))]
    columns = [shifted_by_the_largest_of_the_sequence(logits, x).sum(1) for logits in tables]
    return (torch.stack(columns, dim=1) + log_prior).softmax(dim=1)


@mistake(
    POSTERIOR,
    killed_by="test_two_coins_and_two_heads",
    says="You shift by the largest logit of all classes: where those of a class are all far smaller nothing is left. "
    "The largest of each class is taken out.",
)
def largest_logit_of_all_classes_taken_out(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    logits = torch.stack([conditional(x, torch.full((len(x),), c)) for c in range(len(log_prior))])  # (C, n, m, K)
    logits = logits - logits.amax(dim=(0, 3), keepdim=True)
    log_p = torch.stack([at(table, x) for table in logits]) - logits.exp().sum(-1).log()
    return (log_p.sum(-1).T + log_prior).softmax(dim=1)


@variant(POSTERIOR)
def one_big_batch(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    n, C = len(x), len(log_prior)
    y = torch.arange(C).repeat(n)
    every = log_likelihood(lambda x: conditional(x, y), x.repeat_interleave(C, dim=0))
    return (every.view(n, C) + log_prior).softmax(dim=1)


@variant(POSTERIOR)
def by_log_sum_exp(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    joint = _log_joint(conditional, x, log_prior)
    return (joint - joint.logsumexp(dim=1, keepdim=True)).exp()


@variant(POSTERIOR)
def largest_taken_out_in_float64(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    columns = []
    for c in range(len(log_prior)):
        logits = conditional(x, torch.full((len(x),), c)).double()
        columns.append(log_prior[c].double() + at(logits.log_softmax(dim=-1), x).sum(dim=1))
    joint = torch.stack(columns, dim=1)
    weights = (joint - joint.max(dim=1, keepdim=True).values).exp()
    return (weights / weights.sum(dim=1, keepdim=True)).to(log_prior.dtype)


@variant(POSTERIOR)
def by_cross_entropy_for_each_class(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    y = torch.zeros(x.shape[0], dtype=torch.long)
    scores = [-F.cross_entropy(conditional(x, y + c).transpose(1, 2), x, reduction="none").sum(1) for c in range(len(log_prior))]
    return torch.softmax(log_prior[None] + torch.stack(scores).T, dim=-1)


@variant(POSTERIOR)
def classes_in_front_of_one_big_batch(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    n, C = len(x), len(log_prior)
    all_x, y = x.repeat(C, 1), torch.arange(C).repeat_interleave(n)
    joint = log_likelihood(lambda x: conditional(x, y), all_x).view(C, n).T + log_prior
    return torch.distributions.Categorical(logits=joint).probs


@mistake(POSTERIOR, killed_by="test_the_posterior_learns", says=plain_data("The model is"))
def posterior_with_a_graph_for_the_prior_alone(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return graph_for_inputs_alone(_log_joint(conditional, x, log_prior).softmax(dim=1), log_prior)


@mistake(POSTERIOR, killed_by="test_the_posterior_learns", says=ONE_ROW)
def posterior_of_one_sequence_without_graph(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    return without_graph_where(len(x) == 1, _log_joint(conditional, x, log_prior).softmax(dim=1))
