"""Wrong and right answers to the density of Gaussian autoregressive models."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import EPSILONS, mistake, size_of, variant
from dgm_ref.slips import ONE_ROW, graph_for_inputs_alone, plain_data, without_graph_where

Conditional = Callable[[Tensor], tuple[Tensor, Tensor]]

LOG_PROB = "autoregressive.gaussian_log_prob"
SUM = "test_gaussian_log_prob_is_the_sum_of_the_log_conditionals"
WIDTH = "test_gaussian_log_prob_holds_for_any_width_and_784_dimensions"
AWAY_FROM_ZERO = "You keep sigma away from zero, by a clamp or a small number. A sigma of 10^-9 is legal, and its density is high."
MEAN = "test_a_narrower_gaussian_is_higher_at_its_mean"
GRADIENT = "test_gaussian_log_prob_has_the_gradient_that_training_needs"

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


def _log_densities(conditional: Conditional, x: Tensor) -> Tensor:
    """(n, m)."""
    mu, log_sigma = conditional(x)
    return -0.5 * ((x - mu) * (-log_sigma).exp()).square() - log_sigma - HALF_LOG_2_PI


@mistake(LOG_PROB, killed_by=SUM, says="You take log sigma for the logarithm of the variance. It is that of the standard deviation.")
def log_sigma_as_log_variance(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(lambda x: (conditional(x)[0], conditional(x)[1] / 2), x).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="The sign of log sigma is wrong: a narrower Gaussian is higher, so its logarithm is subtracted.")
def adds_log_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + 2 * conditional(x)[1]).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="log sigma is missing: without it the density of a wide and a narrow Gaussian have the same height.")
def leaves_out_log_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + conditional(x)[1]).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by="test_the_gaussian_density_integrates_to_one",
    says="The constant log 2 pi is missing, so the density does not integrate to one.",
)
def leaves_out_the_constant(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="The factor 1/2 in front of the square is missing.")
def leaves_out_the_half(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return (_log_densities(conditional, x) - 0.5 * ((x - mu) * (-log_sigma).exp()).square()).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="The distance is divided by the variance. It is measured in standard deviations, and then squared.")
def distance_over_variance(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    z = (x - mu) * (-2 * log_sigma).exp()
    return (-0.5 * z.square() - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="You average over the dimensions: the log-density of a vector is their sum.")
def mean_log_density(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x).mean(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="One number for each variable: the chain rule adds them up.")
def one_number_for_each_variable(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x)


@mistake(LOG_PROB, killed_by=WIDTH, says="The product of the densities under- or overflows before you take its logarithm. Add logarithms.")
def logarithm_of_the_product_of_densities(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x).exp().prod(dim=1).log()


@mistake(LOG_PROB, killed_by=WIDTH, says=AWAY_FROM_ZERO, constants=EPSILONS)
def clamps_sigma(conditional: Conditional, x: Tensor, constant: float = 1e-6) -> Tensor:
    return _log_densities(lambda x: (conditional(x)[0], conditional(x)[1].clamp(min=math.log(constant))), x).sum(dim=1)


@mistake(LOG_PROB, killed_by=WIDTH, says=AWAY_FROM_ZERO, constants=EPSILONS)
def epsilon_in_the_variance(conditional: Conditional, x: Tensor, constant: float = 1e-12) -> Tensor:
    mu, log_sigma = conditional(x)
    variance = (2 * log_sigma).exp() + constant
    return (-0.5 * (x - mu).square() / variance - 0.5 * variance.log() - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=GRADIENT, says="mu and sigma are cut off the graph, so nothing could be trained by this.")
def detached_parameters(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = (parameter.detach() for parameter in conditional(x))
    return _log_densities(lambda x: (mu, log_sigma), x).sum(dim=1)


@mistake(
    LOG_PROB, killed_by=GRADIENT, says="The gradient misses the way of x through the conditional: later means depend on earlier values."
)
def conditional_of_detached_x(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(lambda x: conditional(x.detach()), x).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by=WIDTH,
    says="The small number added to sigma changes every narrow Gaussian. exp(log sigma) is positive as it is.",
    constants=EPSILONS,
)
def epsilon_in_sigma(conditional: Conditional, x: Tensor, constant: float = 1e-6) -> Tensor:
    mu, log_sigma = conditional(x)
    sigma = log_sigma.exp() + constant
    return (-0.5 * ((x - mu) / sigma).square() - sigma.log() - HALF_LOG_2_PI).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by=WIDTH,
    says="You clamp log sigma. It may be of any size.",
    constants=(2, 3, 5, 7, 10, 15, 20, 30),
)
def clamps_log_sigma(conditional: Conditional, x: Tensor, constant: float = 50) -> Tensor:
    return _log_densities(lambda x: (conditional(x)[0], conditional(x)[1].clamp(-constant, constant)), x).sum(dim=1)


@mistake(LOG_PROB, killed_by=WIDTH, says="You clamp the distance at 5 standard deviations: further out the density goes on falling.")
def clamps_the_distance(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    z = ((x - mu) * (-log_sigma).exp()).clamp(-5, 5)
    return (-0.5 * z.square() - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by=MEAN,
    says="You clamp the result at 0, as if it were the logarithm of a probability. A density may be larger than one.",
)
def never_positive(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x).sum(dim=1).clamp(max=0)


@mistake(
    LOG_PROB,
    killed_by=MEAN,
    says="You multiply the square (x - mu)^2 out: far from zero its three terms cancel. Subtract first, then square.",
)
def multiplies_the_square_out(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    squares = (x**2 - 2 * x * mu + mu**2) * (-2 * log_sigma).exp()
    return (-0.5 * squares - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="The model gives log sigma, and you take it for sigma: exponentiate it.")
def log_sigma_as_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    mu, sigma = conditional(x)
    return (-0.5 * ((x - mu) / sigma).square() - sigma.log() - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="The constant is log(2 pi) / 2 for each variable: the half is missing.")
def whole_log_two_pi(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) - HALF_LOG_2_PI).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by=SUM,
    says="You score x_{j+1} with mu and sigma of x_j. `mu[:, j]` belongs to `x[:, j]` already.",
    when=size_of("x", axis=1, at_least=2),
)
def density_of_the_next_value(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return _log_densities(lambda _: (mu[:, :-1], log_sigma[:, :-1]), x[:, 1:]).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by=WIDTH,
    says="You hold deviations to 100 at most. A point 1000 deviations out has a log-density of -500,000 and so on.",
)
def deviations_cut_off(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    z = ((x - mu) * (-log_sigma).exp()).clamp(-100, 100)
    return (-0.5 * z.square() - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="The square of the distance is divided by sigma. It is divided by sigma squared.")
def square_over_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return (-0.5 * (x - mu).square() * (-log_sigma).exp() - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by=SUM,
    says="You subtract log(sigma) / 2. The whole of log sigma is subtracted: it is half the logarithm of the variance.",
)
def half_of_log_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + conditional(x)[1] / 2).sum(dim=1)


@mistake(
    LOG_PROB, killed_by=SUM, says="The constant log(2 pi) / 2 is there once. Every dimension has it.", when=size_of("x", axis=1, at_least=2)
)
def constant_of_one_dimension(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + HALF_LOG_2_PI).sum(dim=1) - HALF_LOG_2_PI


@mistake(LOG_PROB, killed_by=SUM, says="The sign of the square is wrong: the density is lower far from the mean.")
def adds_the_square(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return (0.5 * ((x - mu) * (-log_sigma).exp()).square() - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=WIDTH, says="You hold the distance below 1000 deviations. Whatever lies farther out is less likely still.")
def distance_held_below_a_ceiling(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    deviations = ((x - mu) * torch.exp(-log_sigma)).clamp(-1e3, 1e3)
    return (-0.5 * deviations**2 - log_sigma - 0.5 * math.log(2 * math.pi)).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="mu and log sigma are exchanged: `conditional` gives the means first.")
def log_sigma_before_mu(conditional: Conditional, x: Tensor) -> Tensor:
    log_sigma, mu = conditional(x)
    return (-0.5 * ((x - mu) * (-log_sigma).exp()).square() - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(
    LOG_PROB,
    killed_by=SUM,
    says="F.gaussian_nll_loss is a cost: it has the other sign, and leaves out the constant unless it is told full=True.",
)
def gaussian_nll_loss_of_torch(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return torch.nn.functional.gaussian_nll_loss(mu, x, (2 * log_sigma).exp(), reduction="none").sum(dim=1)


@variant(LOG_PROB)
def by_torch_normal(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return torch.distributions.Normal(mu, log_sigma.exp()).log_prob(x).sum(dim=1)


@variant(LOG_PROB)
def one_density_after_another(conditional: Conditional, x: Tensor) -> Tensor:
    total = torch.zeros(len(x), dtype=x.dtype)
    for j in range(x.shape[1]):
        mu, log_sigma = (parameter[:, j] for parameter in conditional(x))
        total = total - (x[:, j] - mu) ** 2 / (2 * torch.exp(log_sigma) ** 2) - log_sigma - HALF_LOG_2_PI
    return total


@variant(LOG_PROB)
def by_the_gaussian_loss(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    precision = torch.exp(-2 * log_sigma)
    squares = (precision * (x - mu).square()).sum(dim=1)
    return -0.5 * (squares + 2 * log_sigma.sum(dim=1) + x.shape[1] * math.log(2 * math.pi))


@variant(LOG_PROB)
def by_independent_normals(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return torch.distributions.Independent(torch.distributions.Normal(mu, log_sigma.exp()), 1).log_prob(x)


@variant(LOG_PROB)
def squared_distance_over_twice_the_variance(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return (-(((x - mu) / log_sigma.exp()) ** 2) / 2 - log_sigma - math.log(math.sqrt(2 * math.pi))).sum(-1)


@mistake(LOG_PROB, killed_by="test_the_gaussian_gradient_draws_the_mean_to_the_data", says=plain_data("The model is"))
def density_with_a_graph_for_the_data_alone(conditional: Conditional, x: Tensor) -> Tensor:
    return graph_for_inputs_alone(_log_densities(conditional, x).sum(dim=1), x)


@mistake(LOG_PROB, killed_by="test_the_gaussian_gradient_draws_the_mean_to_the_data", says=ONE_ROW)
def density_of_one_vector_without_graph(conditional: Conditional, x: Tensor) -> Tensor:
    return without_graph_where(len(x) == 1, _log_densities(conditional, x).sum(dim=1))
