"""Wrong and right answers to Gaussian autoregressive models."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.autoregressive.parts import gaussian_ancestral, noise, require_samples, require_sizes

Conditional = Callable[[Tensor], tuple[Tensor, Tensor]]

LOG_PROB = "autoregressive.gaussian_log_prob"
SAMPLE = "autoregressive.gaussian_sample"
SUM = "test_gaussian_log_prob_is_the_sum_of_the_log_conditionals"
WIDTH = "test_gaussian_log_prob_holds_for_any_width_and_784_dimensions"
GRADIENT = "test_gaussian_log_prob_has_the_gradient_that_training_needs"
JOINT = "test_gaussian_samples_follow_the_joint_law"
GENERATOR = "test_gaussian_sampling_reads_its_generator_and_moves_it_on"
DTYPE = "test_gaussian_samples_have_the_dtype_of_mu"

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


def _log_densities(conditional: Conditional, x: Tensor) -> Tensor:
    """(n, m)."""
    require_samples(x)
    mu, log_sigma = conditional(x)
    return -0.5 * ((x - mu) * (-log_sigma).exp()).square() - log_sigma - HALF_LOG_2_PI


# -- gaussian_log_prob --


@mistake(LOG_PROB, killed_by=SUM,
         says="You take log sigma for the logarithm of the variance. It is that of the standard deviation.")
def log_sigma_as_log_variance(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(lambda x: (conditional(x)[0], conditional(x)[1] / 2), x).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM,
         says="The sign of log sigma is wrong: a narrower Gaussian is higher, so its logarithm is subtracted.")
def adds_log_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + 2 * conditional(x)[1]).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM,
         says="log sigma is missing: without it the density of a wide and a narrow Gaussian have the same height.")
def leaves_out_log_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + conditional(x)[1]).sum(dim=1)


@mistake(LOG_PROB, killed_by="test_the_gaussian_density_integrates_to_one",
         says="The constant log 2 pi is missing, so the density does not integrate to one.")
def leaves_out_the_constant(conditional: Conditional, x: Tensor) -> Tensor:
    return (_log_densities(conditional, x) + HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="The factor 1/2 in front of the square is missing.")
def leaves_out_the_half(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = conditional(x)
    return (_log_densities(conditional, x) - 0.5 * ((x - mu) * (-log_sigma).exp()).square()).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM,
         says="The distance is divided by the variance. It is measured in standard deviations, and then squared.")
def distance_over_variance(conditional: Conditional, x: Tensor) -> Tensor:
    require_samples(x)
    mu, log_sigma = conditional(x)
    z = (x - mu) * (-2 * log_sigma).exp()
    return (-0.5 * z.square() - log_sigma - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="You average over the dimensions: the log-density of a vector is their sum.")
def mean_log_density(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x).mean(dim=1)


@mistake(LOG_PROB, killed_by=SUM, says="One number for each variable: the chain rule adds them up.")
def one_number_for_each_variable(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x)


@mistake(LOG_PROB, killed_by=WIDTH,
         says="The product of 784 densities under- or overflows before you take its logarithm. Add logarithms.")
def logarithm_of_the_product_of_densities(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x).exp().prod(dim=1).log()


@mistake(LOG_PROB, killed_by=WIDTH,
         says="You keep sigma away from zero. A sigma of 10^-9 is legal, and its density is high.")
def clamps_sigma(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(lambda x: (conditional(x)[0], conditional(x)[1].clamp(min=math.log(1e-6))), x).sum(dim=1)


@mistake(LOG_PROB, killed_by=WIDTH,
         says="The small number added to the variance swallows every narrower Gaussian.")
def epsilon_in_the_variance(conditional: Conditional, x: Tensor) -> Tensor:
    require_samples(x)
    mu, log_sigma = conditional(x)
    variance = (2 * log_sigma).exp() + 1e-12
    return (-0.5 * (x - mu).square() / variance - 0.5 * variance.log() - HALF_LOG_2_PI).sum(dim=1)


@mistake(LOG_PROB, killed_by=GRADIENT,
         says="mu and sigma are cut off the graph, so nothing could be trained by this.")
def detached_parameters(conditional: Conditional, x: Tensor) -> Tensor:
    mu, log_sigma = (parameter.detach() for parameter in conditional(x)) if x.numel() else (x, x)
    return _log_densities(lambda x: (mu, log_sigma), x).sum(dim=1)


@mistake(LOG_PROB, killed_by=GRADIENT,
         says="The gradient misses the way of x through the conditional: later means depend on earlier values.")
def conditional_of_detached_x(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(lambda x: conditional(x.detach()), x).sum(dim=1)


@mistake(LOG_PROB, killed_by="test_gaussian_log_prob_refuses_what_holds_no_samples_and_leaves_no_trace",
         says="No vectors, or vectors without variables, make no sense: raise a ValueError about x.")
def density_of_nothing(conditional: Conditional, x: Tensor) -> Tensor:
    return _log_densities(conditional, x).sum(dim=1) if x.numel() else torch.zeros(len(x))


@variant(LOG_PROB)
def by_torch_normal(conditional: Conditional, x: Tensor) -> Tensor:
    require_samples(x)
    mu, log_sigma = conditional(x)
    return torch.distributions.Normal(mu, log_sigma.exp()).log_prob(x).sum(dim=1)


@variant(LOG_PROB)
def one_density_after_another(conditional: Conditional, x: Tensor) -> Tensor:
    require_samples(x)
    total = torch.zeros(len(x), dtype=x.dtype)
    for j in range(x.shape[1]):
        mu, log_sigma = (parameter[:, j] for parameter in conditional(x))
        total = total - (x[:, j] - mu) ** 2 / (2 * torch.exp(log_sigma) ** 2) - log_sigma - HALF_LOG_2_PI
    return total


@variant(LOG_PROB)
def by_the_gaussian_loss(conditional: Conditional, x: Tensor) -> Tensor:
    require_samples(x)
    mu, log_sigma = conditional(x)
    precision = torch.exp(-2 * log_sigma)
    squares = (precision * (x - mu).square()).sum(dim=1)
    return -0.5 * (squares + 2 * log_sigma.sum(dim=1) + x.shape[1] * math.log(2 * math.pi))


# -- gaussian_sample --


def _one(parameters: tuple[Tensor, Tensor], j: int, generator: Generator) -> Tensor:
    """A right draw of column j."""
    mu, log_sigma = parameters[0][:, j], parameters[1][:, j]
    return mu + log_sigma.exp() * noise(mu, generator)


def _right(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return gaussian_ancestral(n, m, lambda x, j: _one(conditional(x), j, generator))


@mistake(SAMPLE, killed_by=JOINT,
         says="You scale the noise by the variance. A sample is mu plus the standard deviation times noise.")
def noise_times_variance(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + (2 * log_sigma[:, j]).exp() * noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT,
         says="You take log sigma for the logarithm of the variance. It is that of the standard deviation.")
def noise_times_root_of_sigma(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + (0.5 * log_sigma[:, j]).exp() * noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT,
         says="You scale the noise by log sigma: take its exponential first.")
def noise_times_log_sigma(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j] * noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="These are the means: a sample has noise.")
def means_without_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    torch.rand(1, generator=generator)
    return gaussian_ancestral(n, m, lambda x, j: conditional(x)[0][:, j])


@mistake(SAMPLE, killed_by=JOINT,
         says="The noise is uniform. A Gaussian conditional needs Gaussian noise (randn).")
def uniform_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        u = torch.rand(n, generator=generator, dtype=mu.dtype)
        return mu[:, j] + log_sigma[:, j].exp() * (2 * u - 1) * math.sqrt(3)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT,
         says="All rows share one random number. Each row needs noise of its own.")
def one_gaussian_for_all_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j].exp() * noise(mu[:1, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT,
         says="The noise of the first step is used again at every step. Draw anew for each variable.")
def one_gaussian_for_all_steps(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    require_sizes(n, m)
    state = generator.get_state()

    def step(x: Tensor, j: int) -> Tensor:
        generator.set_state(state)
        return _one(conditional(x), j, generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by="test_without_noise_each_value_is_the_mean_given_those_before",
         says="All variables are drawn from one call, so none of them knows the values before it. "
              "Ancestral sampling is sequential.")
def one_call_for_all_variables(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    require_sizes(n, m)
    with torch.no_grad():
        mu, log_sigma = conditional(torch.zeros(n, m))
        return mu + log_sigma.exp() * noise(mu, generator)


@mistake(SAMPLE, killed_by=JOINT,
         says="Rows are drawn given the values of another row. Each vector has a prefix of its own.")
def prefix_of_another_row(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return gaussian_ancestral(n, m, lambda x, j: _one(conditional(x.roll(1, 0)), j, generator))


@mistake(SAMPLE, killed_by=JOINT,
         says="The mean, not the sample, is handed on as the prefix of the next variable.")
def hands_on_the_mean(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    require_sizes(n, m)
    x, samples = torch.zeros(n, m), []
    with torch.no_grad():
        for j in range(m):
            parameters = conditional(x)
            samples.append(_one(parameters, j, generator))
            x[:, j] = parameters[0][:, j]
    return torch.stack(samples, dim=1)


@mistake(SAMPLE, killed_by=GENERATOR,
         says="You draw from torch's global random state. All randomness comes from the generator that is passed in.")
def gaussian_from_the_global_state(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j].exp() * torch.randn(n, dtype=mu.dtype)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=GENERATOR,
         says="You make a generator of your own with a fixed seed, so every call gives the same samples.")
def gaussian_from_an_own_generator(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, n, m, Generator().manual_seed(0))


@mistake(SAMPLE, killed_by=DTYPE,
         says="The samples are float32 whatever the model computes in: they should have the dtype of mu.")
def always_default_dtype(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, n, m, generator).to(torch.get_default_dtype())


@mistake(SAMPLE, killed_by=DTYPE,
         says="The vectors that you hand to `conditional` are float64. They should have the default dtype.")
def buffer_in_float64(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return gaussian_ancestral(n, m, lambda x, j: _one(conditional(x.double()), j, generator))


@mistake(SAMPLE, killed_by="test_gaussian_samples_carry_no_graph_and_leave_no_trace",
         says="The samples carry the graph of all that drew them. Samples are data: draw under torch.no_grad().")
def samples_with_a_graph(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    require_sizes(n, m)
    columns: list[Tensor] = []
    for j in range(m):
        rest = torch.zeros(n, m - j)
        x = torch.cat([torch.stack([c.float() for c in columns], dim=1), rest], dim=1) if columns else rest
        columns.append(_one(conditional(x), j, generator))
    return torch.stack(columns, dim=1)


@mistake(SAMPLE, killed_by="test_gaussian_sampling_refuses_sizes_below_one",
         says="No samples, or samples without variables, make no sense: raise a ValueError about n or m.")
def draws_nothing(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, n, m, generator) if n > 0 and m > 0 else torch.zeros(n, m)


@variant(SAMPLE)
def by_torch_normal_with_a_generator(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return torch.normal(mu[:, j], log_sigma[:, j].exp(), generator=generator)

    return gaussian_ancestral(n, m, step)


@variant(SAMPLE)
def by_inverse_cdf(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        u = torch.rand(n, generator=generator, dtype=torch.float64)
        return mu[:, j] + log_sigma[:, j].exp() * torch.special.ndtri(u).to(mu.dtype)

    return gaussian_ancestral(n, m, step)


@variant(SAMPLE)
def by_box_and_muller(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        u = torch.rand(2, n, generator=generator, dtype=mu.dtype)
        z = (-2 * torch.log(1 - u[0])).sqrt() * torch.cos(2 * math.pi * u[1])
        return mu[:, j] + log_sigma[:, j].exp() * z

    return gaussian_ancestral(n, m, step)
