"""Wrong and right answers to the density of autoregressive models."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dgm_ref.catalogue import EPSILONS, mistake, variant
from dgm_ref.lecture1.autoregressive.parts import Conditional, at, log_likelihood, log_pi, log_pi_of_prefixes
from dgm_ref.slips import MANY_ROWS, ONE_ROW, without_graph_where

LOG_PROB = "autoregressive.log_prob"
AWAY_FROM_ZERO = (
    "You keep probabilities away from zero, by a clamp or a small number added: smaller ones count as much. "
    "Work with log-probabilities instead of guarding a logarithm."
)
ONE_SHIFT = (
    "You shift by the largest logit of the whole sequence: at a position whose logits are all far smaller nothing is left. "
    "The largest of each position is taken out."
)
NO_SOFTMAX = "You leave out the softmax where logits are normalised already: the values are the same, the gradient lacks the probabilities."
MIXED_UP = (
    "A reshape after transpose(1, 2) mixes logits of different positions and values: flatten (n, m, K) to (n m, K) as it is, "
    "or hand (n, K, m) to cross_entropy without a reshape."
)
SUM = "test_log_prob_is_the_sum_of_the_log_conditionals"
HUNDREDS = "test_log_prob_of_hundreds_of_dimensions"
OWN = "test_the_likelihood_of_a_sequence_is_its_own"
ASKS = "test_log_prob_asks_anew_and_wherever_x_lies"
IMPOSSIBLE = "test_an_impossible_value_makes_the_sequence_impossible"
ANY_SIZE = "test_log_prob_holds_for_logits_of_any_size"


@mistake(
    LOG_PROB, killed_by=SUM, says="You average over the dimensions. The log-likelihood of a sequence is the sum over j, without a 1/m."
)
def mean_over_dimensions(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x), x).mean(dim=-1)


@mistake(
    LOG_PROB, killed_by=SUM, says="This is the log-likelihood of the whole batch. Keep one number for each sequence: sum over j alone."
)
def sums_over_the_batch_too(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(conditional, x).sum()


@mistake(LOG_PROB, killed_by=SUM, says="These are probabilities; the log-likelihood is asked for.")
def probability_instead_of_its_logarithm(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(conditional, x).exp()


@mistake(
    LOG_PROB, killed_by=SUM, says="You normalise over the positions. Each conditional is a distribution over the K values: the last axis."
)
def normalised_over_positions(conditional: Conditional, x: Tensor) -> Tensor:
    return at(torch.log_softmax(conditional(x), dim=1), x).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=SUM,
    says="You normalise over the batch: the likelihood of a sequence then depends on its neighbours. Normalise over the K values.",
)
def normalised_over_the_batch(conditional: Conditional, x: Tensor) -> Tensor:
    return at(torch.log_softmax(conditional(x), dim=0), x).sum(dim=-1)


@mistake(
    LOG_PROB, killed_by=SUM, says="You add up logits. They are log-probabilities only up to a constant: normalise each conditional first."
)
def adds_raw_logits(conditional: Conditional, x: Tensor) -> Tensor:
    return at(conditional(x), x).sum(dim=-1)


@mistake(LOG_PROB, killed_by=SUM, says="You score x_{j+1} with the logits of x_j. `logits[:, j]` is already the distribution of `x[:, j]`.")
def scores_the_next_value(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x)[:, :-1], x[:, 1:]).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=SUM,
    says="You shift the sequence before you hand it over, so each conditional misses its newest value. "
    "`conditional` does the shift itself.",
)
def shifts_the_input_once_more(conditional: Conditional, x: Tensor) -> Tensor:
    shifted = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], dim=1)
    return at(log_pi(conditional, shifted), x).sum(dim=-1)


@mistake(LOG_PROB, killed_by=SUM, says="The conditionals are asked about zeros, not about `x`: each is to see the values before its own.")
def conditions_on_zeros(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, torch.zeros_like(x)), x).sum(dim=-1)


@mistake(LOG_PROB, killed_by=SUM, says="The first variable is missing: p(x_1) has an empty prefix, and is a factor like the others.")
def leaves_out_the_first_variable(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x), x)[:, 1:].sum(dim=-1)


@mistake(
    LOG_PROB, killed_by=SUM, says="This is the likelihood of the most likely values. Take the log-probability of the values that x holds."
)
def largest_instead_of_the_observed(conditional: Conditional, x: Tensor) -> Tensor:
    return log_pi(conditional, x).amax(dim=-1).sum(dim=-1)


@mistake(LOG_PROB, killed_by=SUM, says="These are bits. The lecture's logarithms are natural: nats.")
def bits(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(conditional, x) / math.log(2)


@mistake(
    LOG_PROB,
    killed_by=SUM,
    says="You compute in float32 although the logits are float64: the digits are lost. Follow the dtype of the logits.",
)
def rounds_to_float32_inside(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    return log_likelihood(lambda x: logits.float(), x).to(logits.dtype)


@mistake(
    LOG_PROB,
    killed_by="test_log_prob_has_the_dtype_of_the_logits",
    says="The result is always float64: it should have the dtype of the logits.",
)
def always_float64(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(conditional, x).double()


@mistake(
    LOG_PROB,
    killed_by=HUNDREDS,
    says="The product of the probabilities underflows to zero before you take its logarithm. Add logarithms instead.",
)
def logarithm_of_the_product(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x).exp(), x).prod(dim=-1).log()


@mistake(
    LOG_PROB,
    killed_by=ANY_SIZE,
    says="log(softmax(h)) is -inf where a probability underflows. The log-softmax can be computed without the softmax.",
)
def log_of_softmax(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x).exp().log(), x).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=ANY_SIZE,
    says=AWAY_FROM_ZERO,
    constants=EPSILONS,
)
def epsilon_in_the_logarithm(conditional: Conditional, x: Tensor, constant: float = 1e-10) -> Tensor:
    return at((log_pi(conditional, x).exp() + constant).log(), x).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=IMPOSSIBLE,
    says=AWAY_FROM_ZERO,
    constants=EPSILONS,
)
def clamps_probabilities(conditional: Conditional, x: Tensor, constant: float = 1e-12) -> Tensor:
    return at(log_pi(conditional, x).clamp(min=math.log(constant)), x).sum(dim=-1)


@mistake(LOG_PROB, killed_by=ANY_SIZE, says="exp overflows for large logits. Take the largest logit out of the sum first (log-sum-exp).")
def log_sum_exp_without_the_shift(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    return (at(logits, x) - logits.exp().sum(dim=-1).log()).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=IMPOSSIBLE,
    says="You multiply log-probabilities by a one-hot mask, and 0 * (-inf) is nan. Pick the value, don't mask it.",
)
def masks_by_multiplication(conditional: Conditional, x: Tensor) -> Tensor:
    table = log_pi(conditional, x)
    return (F.one_hot(x, table.shape[-1]) * table).sum(dim=(-2, -1))


@mistake(
    LOG_PROB,
    killed_by="test_log_prob_has_the_gradient_that_training_needs",
    says="The logits are computed without a graph (no_grad or detach), so nothing could be trained by this.",
)
def detached_logits(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(lambda x: conditional(x).detach(), x)


@mistake(
    LOG_PROB,
    killed_by="test_log_prob_has_the_gradient_that_training_needs",
    says="The normaliser is cut off the graph. The gradient then only raises the observed logit and never stops.",
)
def detached_normaliser(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    return (at(logits, x) - logits.logsumexp(dim=-1).detach()).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=ANY_SIZE,
    says="Probabilities below about 1e-7 are gone once they stand beside others: Categorical(probs=...) clamps them. "
    "It takes logits=... as well.",
)
def categorical_of_probabilities(conditional: Conditional, x: Tensor) -> Tensor:
    return torch.distributions.Categorical(probs=conditional(x).softmax(dim=-1)).log_prob(x).sum(dim=-1)


@mistake(LOG_PROB, killed_by=ANY_SIZE, says="You clamp the logits. They may be of any size: the log-softmax needs no protection.")
def clamps_the_logits_at_100(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(lambda x: conditional(x).clamp(-100, 100), x)


@mistake(
    LOG_PROB,
    killed_by=OWN,
    says="You take one maximum out of all logits of the batch. Where they are much smaller every exponential is 0: "
    "each conditional has a maximum of its own.",
)
def one_maximum_for_the_batch(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x) - conditional(x).max()
    return (at(logits, x) - logits.exp().sum(dim=-1).log()).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=HUNDREDS,
    says="A recursion over the variables ends at Python's limit of about 1000. Add them up in a loop, or with sum.",
)
def adds_up_by_recursion(conditional: Conditional, x: Tensor) -> Tensor:
    terms = at(log_pi(conditional, x), x)

    def up_to(j: int) -> Tensor:
        return terms[:, j] + up_to(j - 1) if j else terms[:, 0]

    return up_to(x.shape[1] - 1)


@mistake(LOG_PROB, killed_by=HUNDREDS, says="Only the first 512 variables are counted.", when=lambda x: x.shape[1] > 512)
def counts_512_variables(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x), x)[:, :512].sum(dim=-1)


_answers: dict[int, tuple[Tensor, Tensor]] = {}


@mistake(
    LOG_PROB,
    killed_by=ASKS,
    says="You remember the answer for a tensor that you have seen. Its values, and the conditional, may be others now.",
)
def remembers_earlier_answers(conditional: Conditional, x: Tensor) -> Tensor:
    if id(x) not in _answers or _answers[id(x)][0] is not x:
        _answers[id(x)] = (x, log_likelihood(conditional, x))
    return _answers[id(x)][1]


@mistake(
    LOG_PROB,
    killed_by=ASKS,
    says="`view` needs a tensor that is contiguous in memory, which x and logits need not be: `reshape` and `flatten` do not.",
)
def views_x_as_one_row(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    return -F.cross_entropy(logits.view(-1, logits.shape[-1]), x.view(-1), reduction="none").view(x.shape).sum(dim=1)


@mistake(LOG_PROB, killed_by=IMPOSSIBLE, says="You replace -inf by a finite number. An impossible sequence has log-likelihood -inf.")
def replaces_infinity(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(conditional, x).nan_to_num()


@mistake(
    LOG_PROB,
    killed_by="test_log_prob_of_one_sequence_one_variable_or_one_value",
    says="`squeeze` also removes the axis of a batch of one sequence, or of one variable. Name the axis to drop.",
    when=lambda x: 1 in x.shape,
)
def squeezes_the_batch(conditional: Conditional, x: Tensor) -> Tensor:
    return log_pi(conditional, x).gather(-1, x[..., None]).squeeze().sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by="test_log_prob_of_one_sequence_one_variable_or_one_value",
    says="You call the conditional with the first columns alone. It takes all m of them.",
)
def asks_for_the_first_columns_alone(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi_of_prefixes(conditional, x), x).sum(dim=-1)


@mistake(LOG_PROB, killed_by=SUM, says="This is minus the log-likelihood, the cost of a sequence. The log-likelihood itself is asked for.")
def negative(conditional: Conditional, x: Tensor) -> Tensor:
    return -log_likelihood(conditional, x)


@mistake(
    LOG_PROB,
    killed_by=SUM,
    says="You roll x round, so that x_{j+1} meets the logits of x_j. `logits[:, j]` is already the distribution of `x[:, j]`.",
)
def scores_the_rolled_sequence(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x), x.roll(-1, dims=1)).sum(dim=-1)


@mistake(
    LOG_PROB,
    killed_by=ANY_SIZE,
    says="You hold logits below a bound, so that larger ones look alike. Only their differences count.",
    when=lambda conditional, x: conditional(x).abs().max() > 1e6,
)
def logits_held_to_a_million(conditional: Conditional, x: Tensor) -> Tensor:
    return log_likelihood(lambda x: conditional(x).clamp(-1e6, 1e6).masked_fill(conditional(x).isneginf(), -torch.inf), x)


@mistake(LOG_PROB, killed_by=SUM, says="You add up probabilities. Their logarithms are added.")
def adds_probabilities(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x).exp(), x).sum(dim=-1)


@mistake(LOG_PROB, killed_by=SUM, says="This is the log-probability of the last variable alone. All of them are added up.")
def last_variable_alone(conditional: Conditional, x: Tensor) -> Tensor:
    return at(log_pi(conditional, x), x)[:, -1]


@mistake(LOG_PROB, killed_by=SUM, says=MIXED_UP)
def logits_mixed_up_by_a_reshape(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    mixed_up = logits.transpose(1, 2).reshape(logits.shape)
    return log_likelihood(lambda x: mixed_up, x)


def is_normalised(conditional: Conditional, x: Tensor) -> bool:
    return bool(conditional(x).logsumexp(-1).abs().max() < 1e-5)


def softmax_where_needed(conditional: Conditional, x: Tensor) -> Tensor:
    """The log-likelihood of each value, (n, m), without the softmax where logits are normalised already."""
    logits = conditional(x)
    return at(logits if is_normalised(conditional, x) else logits.log_softmax(-1), x)


@mistake(LOG_PROB, killed_by="test_the_gradient_raises_what_is_observed", says=NO_SOFTMAX, when=is_normalised)
def softmax_left_out_of_normalised_logits(conditional: Conditional, x: Tensor) -> Tensor:
    return softmax_where_needed(conditional, x).sum(dim=-1)


def shifted_by_the_largest_of_the_sequence(logits: Tensor, x: Tensor) -> Tensor:
    """The log-likelihood of each value, (n, m), where one logit is taken out of all positions."""
    logits = logits - logits.amax(dim=(1, 2), keepdim=True)
    return at(logits, x) - logits.exp().sum(-1).log()


@mistake(
    LOG_PROB,
    killed_by="test_the_likelihood_of_a_sequence_is_its_own",
    says=ONE_SHIFT,
)
def largest_logit_of_the_sequence_taken_out(conditional: Conditional, x: Tensor) -> Tensor:
    return shifted_by_the_largest_of_the_sequence(conditional(x), x).sum(1)


@variant(LOG_PROB)
def one_conditional_after_another(conditional: Conditional, x: Tensor) -> Tensor:
    terms = []
    for j in range(x.shape[1]):
        logits = conditional(x)[:, j]  # (n, K)
        terms.append(logits.gather(1, x[:, j : j + 1])[:, 0] - logits.logsumexp(dim=1))
    return functools.reduce(torch.add, terms)


@variant(LOG_PROB)
def by_torch_distributions(conditional: Conditional, x: Tensor) -> Tensor:
    return torch.distributions.Categorical(logits=conditional(x)).log_prob(x).sum(dim=-1)


@variant(LOG_PROB)
def by_cross_entropy(conditional: Conditional, x: Tensor) -> Tensor:
    return -F.cross_entropy(conditional(x).transpose(1, 2), x, reduction="none").sum(dim=1)


@variant(LOG_PROB)
def in_float64(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    return log_likelihood(lambda x: logits.double(), x).to(logits.dtype)


@variant(LOG_PROB)
def by_nll_loss(conditional: Conditional, x: Tensor) -> Tensor:
    return -F.nll_loss(F.log_softmax(conditional(x), dim=-1).transpose(1, 2), x, reduction="none").sum(dim=1)


@variant(LOG_PROB)
def by_three_indices(conditional: Conditional, x: Tensor) -> Tensor:
    n, m = x.shape
    return conditional(x).log_softmax(-1)[torch.arange(n)[:, None], torch.arange(m), x].sum(1)


@variant(LOG_PROB)
def by_vmap_over_rows(conditional: Conditional, x: Tensor) -> Tensor:
    def one(row: Tensor) -> Tensor:
        return conditional(row[None])[0].log_softmax(-1).gather(-1, row[:, None]).sum()

    return torch.vmap(one)(x)


@variant(LOG_PROB)
def by_one_hot_and_where(conditional: Conditional, x: Tensor) -> Tensor:
    table = conditional(x).log_softmax(-1)
    return torch.where(F.one_hot(x, table.shape[-1]).bool(), table, torch.zeros_like(table)).sum((-1, -2))


@variant(LOG_PROB)
def largest_logit_taken_out(conditional: Conditional, x: Tensor) -> Tensor:
    logits = conditional(x)
    logits = logits - logits.max(dim=-1, keepdim=True).values
    return (torch.take_along_dim(logits, x.unsqueeze(2), 2).squeeze(2) - logits.exp().sum(-1).log()).sum(1)


@mistake(LOG_PROB, killed_by="test_the_gradient_raises_what_is_observed", says=ONE_ROW)
def one_sequence_without_graph(conditional: Conditional, x: Tensor) -> Tensor:
    return without_graph_where(len(x) == 1, log_likelihood(conditional, x))


@mistake(LOG_PROB, killed_by="test_the_gradient_raises_what_is_observed", says=MANY_ROWS)
def many_sequences_without_graph(conditional: Conditional, x: Tensor) -> Tensor:
    return without_graph_where(len(x) > 64, log_likelihood(conditional, x))
