"""Wrong and other right answers about the divergence from the prior and the reparametrised draw."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import FEW, REPEATED, copy_where, detached_unless_leaf, one_of_256

KL, DRAW = "vae.gaussian_kl", "vae.reparametrize"
BY_HAND, WIDE = "test_gaussian_kl_of_three_posteriors_known_by_hand", "test_gaussian_kl_of_wide_and_narrow_posteriors"
LAW, MOVES = "test_draws_have_the_mean_and_the_variance_that_the_encoder_gave", "test_a_draw_moves_with_its_mean_and_with_its_deviation"
SOURCE = "test_reparametrized_draws_come_from_the_generator"


def _terms(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var)


@mistake(KL, killed_by=BY_HAND, says="The factor 1/2 is missing: it belongs to the whole sum, to the means and to the variances.")
def no_half(mu: Tensor, log_var: Tensor) -> Tensor:
    return 2 * _terms(mu, log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="The sign is turned: you return minus the divergence. A divergence is never negative.")
def negative_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    return -_terms(mu, log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="You averaged over the dimensions of a code. The divergences of independent dimensions add.")
def mean_over_dimensions(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var).mean(1)


@mistake(KL, killed_by=BY_HAND, says="You added up the whole batch. Each row has a divergence of its own: sum over the last axis alone.")
def kl_of_the_batch(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var).sum()


@mistake(KL, killed_by=BY_HAND, says="You take log_var as a standard deviation's logarithm: the variance is e^l, not e^(2l).")
def log_sigma_for_log_var(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + (2 * log_var).exp() - 1 - 2 * log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="The mean has to be squared: its sign makes no difference to the divergence.")
def mean_not_squared(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.abs() + log_var.exp() - 1 - log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="This is KL(prior || q). Asked for is KL(q || prior): the average is taken over q.")
def reverse_kl_of_the_prior(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * ((mu.square() + 1) * (-log_var).exp() - 1 + log_var).sum(1)


@mistake(KL, killed_by=WIDE, says="You clamp the log-variance. Wide and narrow posteriors have a right divergence, too.")
def clamped_log_variance(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var.clamp(-10, 10)).sum(1)


@mistake(
    KL,
    killed_by="test_gaussian_kl_of_one_row_and_of_one_dimension",
    says="squeeze also takes the batch axis of a single row away: name the axis that is summed.",
)
def squeezed_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var).sum(1).squeeze()


@mistake(
    KL,
    killed_by="test_the_divergence_pulls_the_mean_to_zero_and_the_variance_to_one",
    says="The log-variance is detached: the encoder's variance would never be trained.",
)
def kl_with_a_detached_variance(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var.detach()).sum(1)


@mistake(KL, killed_by="test_gaussian_kl_has_the_dtype_of_its_arguments", says="The result is float64 whatever came in.")
def kl_in_float64(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu.double(), log_var.double()).sum(1)


@mistake(KL, killed_by=BY_HAND, says="The log-variance is added. It is subtracted: a narrow posterior costs, too.")
def variance_with_the_wrong_sign(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + log_var.exp() - 1 + log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="The 1 is missing in every dimension: at the prior itself the divergence is zero.")
def one_not_subtracted(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + log_var.exp() - log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="The 1 is subtracted once. It belongs into the sum: once for each dimension.")
def one_for_the_batch(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * ((mu.square() + log_var.exp() - log_var).sum(1) - 1)


@mistake(KL, killed_by=BY_HAND, says="You averaged over the batch. Each row has a divergence of its own.")
def kl_averaged_over_the_batch(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var).sum(1).mean().expand(len(mu))


@mistake(
    KL,
    killed_by="test_the_divergence_pulls_the_mean_to_zero_and_the_variance_to_one",
    says="The mean is detached: the encoder's mean would never be pulled to the prior.",
)
def kl_with_a_detached_mean(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu.detach(), log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="You take log_var for the variance itself. It is its logarithm: the variance is e^l.")
def log_var_for_the_variance(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + log_var - 1 - log_var.log()).sum(1)


@mistake(KL, killed_by=BY_HAND, says="The mean is missing: its square belongs to the divergence.")
def kl_without_the_mean(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(0 * mu, log_var).sum(1)


@mistake(KL, killed_by=BY_HAND, says="You add up the rows, over the first axis. Each row has a divergence of its own: sum over the last.")
def sum_over_the_rows(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var).sum(0)


@mistake(KL, killed_by=BY_HAND, says="The deviation e^(l/2) stands where the variance e^l belongs.")
def deviation_in_the_divergence(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + (log_var / 2).exp() - 1 - log_var).sum(1)


@mistake(
    KL,
    killed_by=BY_HAND,
    says="For a small l you put l^2 / 2 in the place of e^l - 1 - l. That is the first term of a series: the others count, too.",
    when=lambda log_var: bool((log_var.abs() < 0.1).any()),
)
def series_near_the_prior(mu: Tensor, log_var: Tensor) -> Tensor:
    spread = torch.where(log_var.abs() < 0.1, log_var.square() / 2, torch.expm1(log_var) - log_var)
    return 0.5 * (mu.square() + spread).sum(1)


@mistake(
    KL, killed_by=BY_HAND, says="No dimension costs less than 10^-5 with you. Close to the prior it costs as little as the formula says."
)
def free_nats(mu: Tensor, log_var: Tensor) -> Tensor:
    return _terms(mu, log_var).clamp(min=1e-5).sum(1)


@mistake(KL, killed_by=BY_HAND, says="The mean has to be squared: its sign makes no difference to the divergence.")
def mean_as_it_is(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu + log_var.exp() - 1 - log_var).sum(1)


@variant(KL)
def kl_of_torch_distributions(mu: Tensor, log_var: Tensor) -> Tensor:
    q = torch.distributions.Normal(mu, torch.exp(0.5 * log_var))
    return torch.distributions.kl_divergence(q, torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(-1)


@variant(KL)
def kl_as_in_the_paper(mu: Tensor, log_var: Tensor) -> Tensor:
    return -0.5 * torch.sum(1 + log_var - mu**2 - torch.exp(log_var), dim=-1)


@variant(KL)
def kl_row_by_row(mu: Tensor, log_var: Tensor) -> Tensor:
    return torch.stack([(torch.dot(m, m) + torch.expm1(v).sum() - v.sum()) / 2 for m, v in zip(mu, log_var, strict=True)])


@mistake(
    KL, killed_by=BY_HAND, says="Small divergences are taken for none. Close to the prior, too, a mean and a variance cost what they do."
)
def small_divergences_dropped(mu: Tensor, log_var: Tensor) -> Tensor:
    terms = _terms(mu, log_var)
    return torch.where(terms < 1e-6, 0.0, terms).sum(1)


# -- reparametrize --


def _noise(mu: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(mu.shape, generator=generator, dtype=mu.dtype)


@mistake(DRAW, killed_by=LAW, says="You scale by the variance e^l. The noise is scaled by the standard deviation, e^(l/2).")
def scaled_by_the_variance(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + log_var.exp() * _noise(mu, generator)


@mistake(DRAW, killed_by=LAW, says="All rows share their noise: draw noise of its own for every row.")
def one_noise_for_the_batch(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (log_var / 2).exp() * _noise(mu[:1], generator)


@mistake(DRAW, killed_by=LAW, says="All dimensions of a row share their noise: draw noise of its own for every entry.")
def one_noise_for_the_row(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (log_var / 2).exp() * _noise(mu[:, :1], generator)


@mistake(DRAW, killed_by=LAW, says="The noise is uniform. The posterior is a normal distribution, and so is its noise.")
def uniform_noise(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    noise = (torch.rand(mu.shape, generator=generator, dtype=mu.dtype) - 0.5) * 12**0.5
    return mu + (log_var / 2).exp() * noise


@mistake(DRAW, killed_by=LAW, says="The deviation is about 3 % too large.")
def deviation_three_percent_too_large(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + 1.03 * (log_var / 2).exp() * _noise(mu, generator)


@mistake(DRAW, killed_by=LAW, says="The noise is clamped at two deviations: large values are rare, but they do come.")
def clamped_noise(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (log_var / 2).exp() * _noise(mu, generator).clamp(-2, 2)


@mistake(DRAW, killed_by=SOURCE, says="Your draws do not come from the generator that you are given.")
def draws_from_the_global_generator(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (log_var / 2).exp() * torch.randn_like(mu)


@mistake(DRAW, killed_by=SOURCE, says=FEW)
def one_of_256_draws(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (log_var / 2).exp() * _noise(mu, one_of_256(generator))


@mistake(DRAW, killed_by=SOURCE, says="You standardise the noise of a batch: its rows are no longer independent.")
def standardised_noise(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    noise = _noise(mu, generator)
    return mu + (log_var / 2).exp() * (noise - noise.mean(0)) / (noise.std(0) if len(mu) > 1 else 1)


@mistake(DRAW, killed_by=MOVES, says="The draw has lost its graph: this is sampling, not reparametrisation.")
def sampled_and_detached(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return torch.normal(mu.detach(), (log_var.detach() / 2).exp(), generator=generator)


@mistake(DRAW, killed_by=MOVES, says="No gradient reaches the log-variance: the draw must widen with it.")
def detached_deviation(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (log_var / 2).exp().detach() * _noise(mu, generator)


@mistake(
    DRAW,
    killed_by="test_without_variance_the_draw_is_the_mean",
    says="The noise is scaled by the log-variance itself. The standard deviation is e^(l/2).",
)
def log_var_for_the_deviation(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + log_var * _noise(mu, generator)


@mistake(
    DRAW,
    killed_by="test_without_variance_the_draw_is_the_mean",
    says="The noise is scaled by l/2. The standard deviation is its exponential.",
)
def half_the_log_var_for_the_deviation(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + log_var / 2 * _noise(mu, generator)


@mistake(DRAW, killed_by=LAW, says="The noise is uniform between 0 and 1 (torch.rand). It is standard normal: torch.randn.")
def uniform_on_the_unit_interval(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (log_var / 2).exp() * torch.rand(mu.shape, generator=generator, dtype=mu.dtype)


@mistake(DRAW, killed_by=LAW, says="There is no noise: this is the mean, not a draw.")
def mean_for_a_draw(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + 0 * log_var


@mistake(
    DRAW,
    killed_by=MOVES,
    says="No gradient reaches the log-variance of a single row. A batch of one is trained like any other.",
    when=lambda mu: len(mu) == 1,
)
def detached_deviation_of_a_single_row(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + ((log_var if len(mu) > 1 else log_var.detach()) / 2).exp() * _noise(mu, generator)


@mistake(
    DRAW,
    killed_by=LAW,
    says="The fourth dimension has the noise of the first. Every dimension has noise of its own.",
    when=lambda mu: mu.shape[1] > 3,
)
def fourth_like_the_first(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    noise = _noise(mu, generator)
    noise[:, 3:4] = noise[:, :1]
    return mu + (log_var / 2).exp() * noise


@mistake(DRAW, killed_by=LAW, says="The mean is missing: this is the noise alone.")
def noise_without_the_mean(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return (log_var / 2).exp() * _noise(mu, generator)


@mistake(DRAW, killed_by="test_without_variance_the_draw_is_the_mean", says="The noise is divided by the deviation e^(l/2). Multiply.")
def divided_by_the_deviation(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + (-log_var / 2).exp() * _noise(mu, generator)


@mistake(
    DRAW,
    killed_by="test_without_variance_the_draw_is_the_mean",
    says="You take the root of the log-variance. It is a logarithm: the deviation is e^(l/2).",
)
def root_of_the_log_variance(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return mu + log_var.sqrt() * _noise(mu, generator)


@variant(DRAW)
def normal_with_the_root_of_the_variance(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    return torch.addcmul(mu, log_var.exp().sqrt(), torch.empty_like(mu).normal_(generator=generator))


@variant(DRAW)
def draws_row_by_row(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    noise = [torch.randn(mu.shape[1:], generator=generator, dtype=mu.dtype) for _ in mu]
    return mu + torch.exp(0.5 * log_var) * torch.stack(noise)


@variant(DRAW)
def draws_by_the_quantile_function(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    u = torch.rand(mu.shape, generator=generator, dtype=torch.float64).clamp(1e-16, 1 - 1e-16)
    return mu + (log_var / 2).exp() * torch.special.ndtri(u).to(mu.dtype)


@mistake(
    DRAW,
    killed_by="test_a_single_draw_of_a_single_dimension",
    says="Where the number of dimensions is odd the last one has the noise of the first. Every dimension has its own.",
    when=lambda mu: mu.shape[1] % 2 == 1 and mu.shape[1] > 1,
)
def odd_dimension_like_the_first(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    noise = _noise(mu, generator)
    if mu.shape[1] % 2:
        noise = torch.cat([noise[:, :-1], noise[:, :1]], 1)
    return mu + (log_var / 2).exp() * noise


@mistake(
    DRAW, killed_by=MOVES, says="A log-variance that an encoder gave (no leaf of the graph) is detached: the encoder does not learn it."
)
def deviation_of_an_encoder_detached(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    log_var = detached_unless_leaf(log_var)
    return mu + (log_var / 2).exp() * _noise(mu, generator)


@mistake(DRAW, killed_by="test_a_single_draw_of_a_single_dimension", says=REPEATED)
def single_draw_repeated(mu: Tensor, log_var: Tensor, generator: torch.Generator) -> Tensor:
    generator = copy_where(len(mu) == 1, generator)
    return mu + (log_var / 2).exp() * _noise(mu, generator)
