"""Wrong and right answers to sampling from Gaussian autoregressive models."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.autoregressive.parts import gaussian_ancestral, noise
from dgm_ref.slips import FEW, one_of_256

Conditional = Callable[[Tensor], tuple[Tensor, Tensor]]

SAMPLE = "autoregressive.gaussian_sample"
JOINT = "test_gaussian_samples_follow_the_joint_law"
GENERATOR = "test_gaussian_sampling_reads_its_generator_and_moves_it_on"
NORMAL = "test_the_noise_is_normal_for_any_sigma"
ROWS = "test_no_vector_of_a_large_batch_repeats_or_mirrors_another"
DTYPE = "test_gaussian_samples_have_the_dtype_of_mu"


def _one(parameters: tuple[Tensor, Tensor], j: int, generator: Generator) -> Tensor:
    """A right draw of column j."""
    mu, log_sigma = parameters[0][:, j], parameters[1][:, j]
    return mu + log_sigma.exp() * noise(mu, generator)


def _right(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return gaussian_ancestral(n, m, lambda x, j: _one(conditional(x), j, generator))


@mistake(SAMPLE, killed_by=JOINT, says="You scale the noise by the variance. A sample is mu plus the standard deviation times noise.")
def noise_times_variance(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + (2 * log_sigma[:, j]).exp() * noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="You take log sigma for the logarithm of the variance. It is that of the standard deviation.")
def noise_times_root_of_sigma(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + (0.5 * log_sigma[:, j]).exp() * noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="You scale the noise by log sigma: take its exponential first.")
def noise_times_log_sigma(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j] * noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="These are the means: a sample has noise.")
def means_without_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    torch.rand(1, generator=generator)
    return gaussian_ancestral(n, m, lambda x, j: conditional(x)[0][:, j])


@mistake(SAMPLE, killed_by=JOINT, says="The noise is uniform. A Gaussian conditional needs Gaussian noise (randn).")
def uniform_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        u = torch.rand(n, generator=generator, dtype=mu.dtype)
        return mu[:, j] + log_sigma[:, j].exp() * (2 * u - 1) * math.sqrt(3)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="All rows share one random number. Each row needs noise of its own.")
def one_gaussian_for_all_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j].exp() * noise(mu[:1, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="The noise of the first step is used again at every step. Draw anew for each variable.")
def one_gaussian_for_all_steps(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    state = generator.get_state()

    def step(x: Tensor, j: int) -> Tensor:
        generator.set_state(state)
        return _one(conditional(x), j, generator)

    return gaussian_ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by="test_without_noise_each_value_is_the_mean_given_those_before",
    says="All variables are drawn from one call, so none of them knows the values before it. Ancestral sampling is sequential.",
)
def one_call_for_all_variables(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    with torch.no_grad():
        mu, log_sigma = conditional(torch.zeros(n, m))
        return mu + log_sigma.exp() * noise(mu, generator)


@mistake(SAMPLE, killed_by=JOINT, says="Rows are drawn given the values of another row. Each vector has a prefix of its own.")
def prefix_of_another_row(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return gaussian_ancestral(n, m, lambda x, j: _one(conditional(x.roll(1, 0)), j, generator))


@mistake(SAMPLE, killed_by=JOINT, says="The mean, not the sample, is handed on as the prefix of the next variable.")
def hands_on_the_mean(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x, samples = torch.zeros(n, m), []
    with torch.no_grad():
        for j in range(m):
            parameters = conditional(x)
            samples.append(_one(parameters, j, generator))
            x[:, j] = parameters[0][:, j]
    return torch.stack(samples, dim=1)


@mistake(
    SAMPLE,
    killed_by=GENERATOR,
    says="You draw from torch's global random state. All randomness comes from the generator that is passed in.",
)
def gaussian_from_the_global_state(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j].exp() * torch.randn(n, dtype=mu.dtype)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=GENERATOR, says="You make a generator of your own with a fixed seed, so every call gives the same samples.")
def gaussian_from_an_own_generator(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, n, m, Generator().manual_seed(0))


@mistake(SAMPLE, killed_by=DTYPE, says="The samples are float32 whatever the model computes in: they should have the dtype of mu.")
def always_default_dtype(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, n, m, generator).to(torch.get_default_dtype())


@mistake(
    SAMPLE,
    killed_by="test_samples_keep_the_digits_of_mu",
    says="The samples went through float32: they have the dtype of mu, but not its digits.",
)
def rounded_to_float32(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = _right(conditional, n, m, generator)
    return x.float().to(x.dtype)


def _with_noise(conditional: Conditional, n: int, m: int, generator: Generator, make: Callable[[Tensor, Generator], Tensor]) -> Tensor:
    """Samples of which only the noise is wrong: ``make(like, generator)``."""

    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j].exp() * make(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


def _truncated(like: Tensor, generator: Generator, c: float) -> Tensor:
    """Normal noise within c deviations, stretched to variance one."""
    outside = math.erfc(c / math.sqrt(2))
    u = torch.rand(like.shape, generator=generator, dtype=torch.float64) * (1 - outside) + outside / 2
    variance = 1 - 2 * c * math.exp(-c * c / 2) / math.sqrt(2 * math.pi) / (1 - outside)
    return (torch.special.ndtri(u) / math.sqrt(variance)).to(like.dtype)


@mistake(SAMPLE, killed_by=NORMAL, says="The noise is 3 % too wide: sigma is exp(log sigma).")
def sigma_3_percent_too_large(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: 1.03 * noise(like, g))


@mistake(SAMPLE, killed_by=NORMAL, says="The noise is 3 % too narrow: sigma is exp(log sigma).")
def sigma_3_percent_too_small(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: 0.97 * noise(like, g))


@mistake(SAMPLE, killed_by=NORMAL, says="The samples are too high on average: noise has mean 0.")
def mean_too_high(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: noise(like, g) + 0.03)


@mistake(SAMPLE, killed_by=NORMAL, says="The samples are too low on average: noise has mean 0.")
def mean_too_low(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: noise(like, g) - 0.03)


@mistake(SAMPLE, killed_by=NORMAL, says="The noise has the right mean and variance but the shape of Laplace: it is peaked. Use randn.")
def laplace_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def make(like: Tensor, g: Generator) -> Tensor:
        size = torch.empty_like(like).exponential_(generator=g) / math.sqrt(2)
        return size * (2 * torch.randint(2, like.shape, generator=g) - 1)

    return _with_noise(conditional, n, m, generator, make)


@mistake(SAMPLE, killed_by=NORMAL, says="The noise ends at two standard deviations. One value in 22 lies further out.")
def noise_truncated_at_two(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: _truncated(like, g, 2.0))


@mistake(SAMPLE, killed_by=NORMAL, says="The noise ends at three standard deviations. One value in 370 lies further out.")
def noise_truncated_at_three(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: _truncated(like, g, 3.0))


@mistake(SAMPLE, killed_by=NORMAL, says="You clamp the noise at two standard deviations. One value in 22 lies further out.")
def noise_clamped_at_two(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: noise(like, g).clamp(-2, 2))


@mistake(SAMPLE, killed_by=NORMAL, says="You clamp the noise at three standard deviations. One value in 370 lies further out.")
def noise_clamped_at_three(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: noise(like, g).clamp(-3, 3))


@mistake(
    SAMPLE,
    killed_by=NORMAL,
    says="You clamp log sigma. It may be of any size.",
    when=lambda conditional, n, m: conditional(torch.zeros(n, m))[1].abs().max() > 10,
)
def clamps_log_sigma_of_samples(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def clamped(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, log_sigma = conditional(x)
        return mu, log_sigma.clamp(-10, 10)

    return _right(clamped, n, m, generator)


@mistake(
    SAMPLE,
    killed_by=NORMAL,
    says="The small number added to sigma is all there is where sigma is smaller. exp(log sigma) is positive as it is.",
)
def epsilon_added_to_sigma(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + (log_sigma[:, j].exp() + 1e-6) * noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(
    SAMPLE,
    killed_by=ROWS,
    says="You standardise the noise of the batch: its mean is exactly 0 and its variance 1. Independent draws fluctuate.",
)
def standardised_noise(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def make(like: Tensor, g: Generator) -> Tensor:
        z = noise(like, g)
        return (z - z.mean()) / z.std() if len(z) > 2 else z

    return _with_noise(conditional, n, m, generator, make)


@mistake(
    SAMPLE,
    killed_by=ROWS,
    says="The second half of the rows has the noise of the first with the sign turned (antithetic rows): "
    "rows of one call depend on each other.",
)
def antithetic_vectors(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def make(like: Tensor, g: Generator) -> Tensor:
        z = noise(like[: (n + 1) // 2], g)
        return torch.cat([z, -z])[:n]

    return _with_noise(conditional, n, m, generator, make)


@mistake(
    SAMPLE, killed_by=ROWS, says="The last tenth of the rows repeats the first. Each row is a draw of its own.", when=lambda n: n >= 10
)
def tenth_of_the_vectors_copied(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = _right(conditional, n, m, generator)
    return torch.cat([x[: n - n // 10], x[: n // 10]])


@mistake(SAMPLE, killed_by=JOINT, says="You draw x_j with mu and sigma of the variable before it. `mu[:, j]` belongs to `x[:, j]` already.")
def parameters_of_the_variable_before(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, sigma = conditional(x)[0][:, max(j - 1, 0)], conditional(x)[1][:, max(j - 1, 0)].exp()
        return mu + sigma * noise(mu, generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="The noise is not scaled: a sample is mu plus sigma times noise.")
def noise_without_sigma(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        mu, _ = conditional(x)
        return mu[:, j] + noise(mu[:, j], generator)

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=GENERATOR, says=FEW)
def one_of_256_samples(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _right(conditional, n, m, one_of_256(generator))


@mistake(SAMPLE, killed_by=ROWS, says="Of more than 16 rows the second eight begin as the first eight do.", when=lambda n: n > 16)
def second_eight_vectors_begin_as_the_first(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    def step(x: Tensor, j: int) -> Tensor:
        value = _one(conditional(x), j, generator)
        return torch.cat([value[:8], value[:8], value[16:]]) if j == 0 and n > 16 else value

    return gaussian_ancestral(n, m, step)


@mistake(SAMPLE, killed_by=JOINT, says="You draw x_j with mu and sigma of the last variable. `mu[:, j]` belongs to x_j.")
def parameters_of_the_last_variable(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return gaussian_ancestral(n, m, lambda x, j: _one(conditional(x), m - 1, generator))


@mistake(SAMPLE, killed_by=NORMAL, says="Your noise is uniform (rand). It is normal: randn.")
def uniform_noise_from_zero_to_one(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return _with_noise(conditional, n, m, generator, lambda like, g: torch.rand(like.shape, generator=g, dtype=like.dtype))


@mistake(
    SAMPLE,
    killed_by="test_without_noise_each_value_is_the_mean_given_those_before",
    says="You draw x_j with mu and sigma of the variable after it. `mu[:, j]` belongs to `x[:, j]`.",
)
def parameters_of_the_next_variable(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    return gaussian_ancestral(n, m, lambda x, j: _one(conditional(x), min(j + 1, m - 1), generator))


@mistake(
    SAMPLE,
    killed_by="test_no_vector_of_a_large_batch_repeats_or_mirrors_another",
    says="One column of noise serves every variable, moved on by a row each time: a row shares its noise with its neighbours.",
    when=lambda m: m > 1,
)
def noise_rolled_over_the_rows(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    z = torch.randn(n, generator=generator)

    def step(x: Tensor, j: int) -> Tensor:
        mu, log_sigma = conditional(x)
        return mu[:, j] + log_sigma[:, j].exp() * z.roll(j).to(mu.dtype)

    return gaussian_ancestral(n, m, step)


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


@variant(SAMPLE)
def buffer_in_float64(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    x = torch.empty(n, m, dtype=torch.float64)
    with torch.no_grad():
        for j in range(m):
            mu, log_sigma = conditional(x)
            x[:, j] = torch.normal(mu[:, j], log_sigma[:, j].exp(), generator=generator)
    return x.to(mu.dtype)


@variant(SAMPLE)
def samples_with_a_graph(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    columns: list[Tensor] = []
    for j in range(m):
        rest = torch.zeros(n, m - j)
        x = torch.cat([torch.stack(columns, dim=1).float(), rest], dim=1) if columns else rest
        columns.append(_one(conditional(x), j, generator))
    return torch.stack(columns, dim=1)


@variant(SAMPLE)
def all_gaussian_noise_drawn_first(conditional: Conditional, n: int, m: int, generator: Generator) -> Tensor:
    z = torch.randn(n, m, generator=generator)
    x = torch.zeros_like(z)
    for j in range(m):
        mu, log_sigma = (parameter.detach() for parameter in conditional(x))
        x = x.to(mu.dtype)
        x[:, j] = mu[:, j] + log_sigma[:, j].exp() * z[:, j]
    return x
