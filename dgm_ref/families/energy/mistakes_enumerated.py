"""Wrong and other right answers about energies over states that can be counted, and the contrastive loss."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import changed_in_place

Z, LOG_PROB, LOSS = "energy.log_partition", "energy.energy_log_prob", "energy.contrastive_loss"
Z_BY_HAND, Z_FAR = "test_partition_functions_known_by_hand", "test_the_partition_function_holds_for_energies_of_any_size"
Z_SLOPE = "test_the_slope_of_the_log_partition_is_minus_the_mean_energy"
P_BY_HAND, P_FAR = "test_probabilities_of_three_states_known_by_hand", "test_log_probabilities_for_energies_of_any_size"
L_BY_HAND, L_CONSTANTS = "test_contrastive_losses_known_by_hand", "test_no_gradient_reaches_the_samples"
L_SLOPE, L_MANY = "test_the_slope_of_the_loss_is_the_difference_of_the_means", "test_the_contrastive_loss_of_single_rows_and_of_many"

Energy = Callable[[Tensor], Tensor]


@mistake(Z, killed_by=Z_BY_HAND, says="The sign of the energy is missing: likely states have a low energy, and weigh e^-E.")
def energy_for_log_probability(energy: Energy, states: Tensor) -> Tensor:
    return torch.logsumexp(energy(states), 0)


@mistake(Z, killed_by=Z_BY_HAND, says="This is the logarithm of the mean of e^-E. The partition function is the sum.")
def log_mean_weight_of_states(energy: Energy, states: Tensor) -> Tensor:
    return torch.logsumexp(-energy(states), 0) - torch.tensor(len(states), dtype=states.dtype).log()


@mistake(Z, killed_by=Z_BY_HAND, says="This is Z itself. Its logarithm is asked for.")
def partition_itself(energy: Energy, states: Tensor) -> Tensor:
    return (-energy(states)).exp().sum()


@mistake(Z, killed_by=Z_BY_HAND, says="This is minus the lowest energy. The other states have a share, too.")
def ground_state_alone(energy: Energy, states: Tensor) -> Tensor:
    return (-energy(states)).max()


@mistake(Z, killed_by=Z_BY_HAND, says="This is minus log Z, the free energy.")
def free_energy(energy: Energy, states: Tensor) -> Tensor:
    return -torch.logsumexp(-energy(states), 0)


@mistake(Z, killed_by=Z_FAR, says="The exponentials over- or underflow before they are added: use logsumexp.")
def exponentials_added(energy: Energy, states: Tensor) -> Tensor:
    return (-energy(states)).exp().sum().log()


@mistake(Z, killed_by=Z_SLOPE, says="log Z is detached: its slope is what keeps an energy from sinking everywhere.")
def partition_detached(energy: Energy, states: Tensor) -> Tensor:
    value = torch.logsumexp(-energy(states), 0)
    return value.detach() + 0 * value


@mistake(
    Z,
    killed_by=Z_FAR,
    says="What you take out of the sum is not the term that weighs most, the one of the smallest energy: what is left must be at most 0.",
)
def largest_energy_taken_out(energy: Energy, states: Tensor) -> Tensor:
    energies = energy(states)
    return (energies.max() - energies).exp().sum().log() - energies.max()


@mistake(Z, killed_by=Z_BY_HAND, says="Both signs are turned: the sum has e^E where e^-E belongs, and its logarithm has a minus.")
def minus_log_of_the_turned_sum(energy: Energy, states: Tensor) -> Tensor:
    return -torch.logsumexp(energy(states), 0)


@mistake(
    Z,
    killed_by=Z_SLOPE,
    says="States of a probability below 1/100 have no gradient with you. They are rare, and count as often as they come.",
)
def rare_states_detached(energy: Energy, states: Tensor) -> Tensor:
    log_weights = -energy(states)
    rare = log_weights.softmax(0) < 0.01
    return torch.logsumexp(torch.where(rare, log_weights.detach(), log_weights), 0)


@mistake(Z, killed_by=Z_BY_HAND, says="The largest term is taken out of the sum and not put back: add it to the logarithm.")
def largest_term_not_put_back(energy: Energy, states: Tensor) -> Tensor:
    return torch.logsumexp(-energy(states), 0) + energy(states).min()


@variant(Z)
def partition_by_logaddexp(energy: Energy, states: Tensor) -> Tensor:
    total = torch.tensor(-torch.inf, dtype=states.dtype)
    for value in -energy(states):
        total = torch.logaddexp(total, value) if value > -torch.inf else total
    return total


@variant(Z)
def partition_with_the_ground_state_taken_out(energy: Energy, states: Tensor) -> Tensor:
    E = energy(states)
    lowest = E.min().detach()
    return torch.exp(lowest - E).sum().log() - lowest


@variant(Z)
def partition_by_log_softmax(energy: Energy, states: Tensor) -> Tensor:
    minus = -energy(states)
    best = minus.argmax()
    return minus[best] - F.log_softmax(minus, dim=0)[best]


@mistake(
    Z,
    killed_by=Z_FAR,
    says="An infinite energy is made one of 10^4. It is a probability of zero, also next to states of larger energy.",
)
def infinite_energies_made_large(energy: Energy, states: Tensor) -> Tensor:
    return torch.logsumexp(-energy(states).nan_to_num(posinf=1e4), 0)


@mistake(Z, killed_by=Z_BY_HAND, says="States far above the lowest one are dropped. Each adds its e^-E.")
def far_states_dropped(energy: Energy, states: Tensor) -> Tensor:
    E = energy(states)
    return torch.logsumexp(-E[E - E.min() <= 12], 0)


@mistake(Z, killed_by=Z_SLOPE, says="Of many states the first ones are added up without a graph: they do not train the energy.")
def first_states_without_a_graph(energy: Energy, states: Tensor) -> Tensor:
    *first, last = states.split(256)
    total = torch.logsumexp(-energy(last), 0)
    for chunk in first:
        total = torch.logaddexp(total, torch.logsumexp(-energy(chunk), 0).detach())
    return total


@mistake(Z, killed_by="test_the_partition_function_keeps_the_dtype", says=changed_in_place("the energy", "a column of the states"))
def energies_turned_in_place(energy: Energy, states: Tensor) -> Tensor:
    E = energy(states)
    return torch.logsumexp(-E if E.requires_grad else E.neg_(), 0)


# -- energy_log_prob --


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="log Z is added. Probabilities are divided by Z: subtract its logarithm.")
def log_partition_added(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x) + torch.logsumexp(-energy(states), 0)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="The partition function is missing: these log-probabilities are not normalised.")
def not_normalised(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="You normalise over the batch x. The partition function adds up all states.")
def normalised_over_the_batch(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return F.log_softmax(-energy(x), 0)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="The energy has the wrong sign in the state itself.")
def energy_with_a_plus(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return energy(x) - torch.logsumexp(-energy(states), 0)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="These are probabilities. Their logarithms are asked for.")
def probabilities(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return (-energy(x) - torch.logsumexp(-energy(states), 0)).exp()


@mistake(LOG_PROB, killed_by=P_FAR, says="The exponentials over- or underflow before their ratio is taken: stay with logarithms.")
def ratio_of_exponentials(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return ((-energy(x)).exp() / (-energy(states)).exp().sum()).log()


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="The sign of the energy is missing: likely states have a low energy, and weigh e^-E.")
def sign_of_the_energies(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return energy(x) - torch.logsumexp(energy(states), 0)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="This is minus the log-probability.")
def negative_log_probability(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return energy(x) + torch.logsumexp(-energy(states), 0)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="The rows of x are added to the states. They are among them already.")
def data_counted_as_states(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x) - torch.logsumexp(-energy(torch.cat([states, x])), 0)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="The batch is added up. Each row has a log-probability of its own.")
def log_probability_of_the_batch(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return (-energy(x) - torch.logsumexp(-energy(states), 0)).sum().expand(len(x))


@mistake(LOG_PROB, killed_by=P_FAR, says="The exponentials over- or underflow before they are added: use logsumexp.")
def partition_by_exponentials(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x) - (-energy(states)).exp().sum().log()


@mistake(
    LOG_PROB,
    killed_by="test_log_probabilities_can_be_trained",
    says="log Z is detached. It depends on the energy, and holds back what the data pull down.",
)
def constant_partition(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x) - torch.logsumexp(-energy(states), 0).detach()


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="This is the logarithm of the mean of e^-E. The partition function is the sum.")
def mean_weight_for_the_partition(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x) - torch.logsumexp(-energy(states), 0) + math.log(len(states))


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="The lowest energy stands for -log Z. The other states have a share, too.")
def measured_from_the_ground_state(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return energy(states).min() - energy(x)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="Z itself is subtracted. It is its logarithm.")
def partition_subtracted(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x) - (-energy(states)).exp().sum()


@mistake(
    LOG_PROB,
    killed_by="test_log_probabilities_can_be_trained",
    says="The states that are asked for are detached: the log-probability has a gradient in them, that of -E.",
)
def states_asked_for_detached(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x.detach()) - torch.logsumexp(-energy(states), 0)


@mistake(
    LOG_PROB, killed_by=P_BY_HAND, says="The partition function adds up e^E. Each state weighs e^-E, as in the log-probability itself."
)
def partition_of_the_other_sign(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -energy(x) - torch.logsumexp(energy(states), 0)


@mistake(LOG_PROB, killed_by=P_BY_HAND, says="You averaged over the batch. Each row has a log-probability of its own.")
def log_probabilities_averaged(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return (-energy(x) - torch.logsumexp(-energy(states), 0)).mean()


@variant(LOG_PROB)
def log_prob_relative_to_x(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    return -(energy(x) + torch.logsumexp(-energy(states), dim=-1))


@variant(LOG_PROB)
def log_prob_in_one_call(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    E = energy(torch.cat([states, x]))
    return -E[len(states) :] - (-E[: len(states)]).logsumexp(0)


@variant(LOG_PROB)
def log_prob_row_by_row(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    log_Z = torch.logsumexp(-torch.cat([energy(s[None]) for s in states]), 0)
    return torch.stack([-energy(row[None])[0] - log_Z for row in x])


@mistake(LOG_PROB, killed_by="test_log_probabilities_keep_the_dtype", says=changed_in_place("the energy", "a column of its argument"))
def log_probabilities_in_place(energy: Energy, x: Tensor, states: Tensor) -> Tensor:
    E = energy(x)
    return (-E if E.requires_grad else E.neg_()) - torch.logsumexp(-energy(states), 0)


# -- contrastive_loss --


@mistake(LOSS, killed_by=L_BY_HAND, says="The sign is turned: the energy of the data is to go down, that of the samples up.")
def samples_down_data_up(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(samples.detach()).mean() - energy(data).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="Both energies are added. Those of the samples are subtracted.")
def both_down(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data).mean() + energy(samples.detach()).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The energies are added up over the rows. Both terms are averages.")
def summed_energies(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data).sum() - energy(samples.detach()).sum()


@mistake(LOSS, killed_by=L_BY_HAND, says="Both sums are divided by the number of data. Each is divided by its own number of rows.")
def both_over_n(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return (energy(data).sum() - energy(samples.detach()).sum()) / len(data)


@mistake(LOSS, killed_by=L_BY_HAND, says="The samples' term is missing: without it the energy sinks everywhere.")
def data_term_alone(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data).mean() + 0 * energy(samples.detach()).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The loss is bent by a softplus. Its gradient is no longer that of the likelihood.")
def softplus_of_the_gap(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return F.softplus(energy(data).mean() - energy(samples.detach()).mean())


@mistake(LOSS, killed_by=L_BY_HAND, says="A hinge cuts the loss off. It may be negative: only its gradient has a meaning.")
def hinge_of_the_gap(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return (energy(data).mean() - energy(samples.detach()).mean()).clamp(min=0)


@mistake(LOSS, killed_by=L_BY_HAND, says="Squared energies are added, to keep them small. Here the plain loss is asked for.")
def with_squared_energies(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    up, down = energy(data), energy(samples.detach())
    return up.mean() - down.mean() + 0.1 * (up.square().mean() + down.square().mean())


@mistake(LOSS, killed_by=L_CONSTANTS, says="A gradient reaches the samples. They stand for an expectation: detach them.")
def samples_not_detached(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data).mean() - energy(samples).mean()


@mistake(LOSS, killed_by=L_CONSTANTS, says="The samples' whole term is detached. The samples are constants; the energy at them is not.")
def term_of_drawn_samples_detached(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    at_samples = energy(samples).mean()
    return energy(data).mean() - (at_samples.detach() if samples.requires_grad else at_samples)


@mistake(LOSS, killed_by=L_SLOPE, says="The samples' whole term is detached. The samples are constants; the energy at them is not.")
def samples_term_detached(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data).mean() - energy(samples).mean().detach()


@mistake(LOSS, killed_by=L_MANY, says="Only part of a large batch is used: average over all rows.")
def at_most_64_rows(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data[:64]).mean() - energy(samples[:64].detach()).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="Both sums are divided by the number of all rows. Each is divided by its own number of rows.")
def all_rows_averaged(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return (energy(data).sum() - energy(samples.detach()).sum()) / (len(data) + len(samples))


@mistake(
    LOSS, killed_by=L_BY_HAND, says="Data and samples are taken in pairs, the rest is left out. Each term is the mean of all its rows."
)
def rows_in_pairs(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    pairs = min(len(data), len(samples))
    return (energy(data)[:pairs] - energy(samples.detach())[:pairs]).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The difference is squared. Its gradient is no longer that of the likelihood.")
def squared_gap(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return (energy(data).mean() - energy(samples.detach()).mean()).square()


@mistake(
    LOSS,
    killed_by=L_BY_HAND,
    says="The samples' term is the logarithm of a mean. They are drawn from the model already: average their energies.",
)
def samples_by_logsumexp(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data).mean() + torch.logsumexp(-energy(samples.detach()), 0) - math.log(len(samples))


@mistake(LOSS, killed_by=L_BY_HAND, says="The samples' energies are added up. Both terms are averages.")
def samples_summed(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return energy(data).mean() - energy(samples.detach()).sum()


@variant(LOSS)
def contrastive_in_one_call(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    E = energy(torch.cat([data, samples.detach()]))
    return E[: len(data)].mean() - E[len(data) :].mean()


@variant(LOSS)
def contrastive_with_data_detached(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    return torch.sub(energy(data.detach()).sum() / len(data), energy(samples.detach().clone()).sum() / len(samples))


@variant(LOSS)
def contrastive_row_by_row(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    frozen = samples.data
    up = torch.stack([energy(row[None])[0] for row in data])
    return up.mean() - torch.stack([energy(row[None])[0] for row in frozen]).mean()


@mistake(
    LOSS, killed_by=L_MANY, says="Data of infinite energy are left out of the mean. To the model they are impossible: the loss is +inf."
)
def impossible_data_left_out(energy: Energy, data: Tensor, samples: Tensor) -> Tensor:
    E = energy(data)
    return E[E.isfinite()].mean() - energy(samples.detach()).mean()
