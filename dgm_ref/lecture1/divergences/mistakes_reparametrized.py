"""Wrong answers about the reparametrised reverse KL divergence that students really give, and other right ones."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import graph_for_inputs_alone, plain_data

PATHWISE = "divergences.reparametrized_reverse_kl"
BY_HAND = "test_the_reverse_kl_of_a_gaussian_by_hand"
GRADIENT = "test_the_reverse_kl_of_a_gaussian_has_the_gradient_through_everything"

LogDensity = Callable[[Tensor], Tensor]


@mistake(PATHWISE, killed_by=BY_HAND, says="The sign is wrong: q, from which the samples come, stands in the numerator.")
def pathwise_upside_down(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return -_terms(log_p_data, mu, sigma, noise).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You added the log-ratios up. An expectation is estimated by their average.")
def pathwise_summed(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma, noise).sum()


@mistake(
    PATHWISE,
    killed_by=BY_HAND,
    says="log q is missing: what is left is the cross-entropy, which is smallest on the highest point of the density.",
)
def pathwise_without_log_q(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return -log_p_data(mu + sigma * noise).mean()


@mistake(
    PATHWISE, killed_by=BY_HAND, says="The constant log sqrt(2 pi) of each dimension is missing. It changes no gradient, but the value."
)
def pathwise_without_the_constant(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (-0.5 * noise.square().sum(1) - sigma.log().sum() - log_p_data(mu + sigma * noise)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="log sigma is missing in log q: the density of wide samples is lower.")
def pathwise_without_log_sigma(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (_standard(noise) - log_p_data(mu + sigma * noise)).mean()


@mistake(
    PATHWISE, killed_by=BY_HAND, says="You took the entropy of q in closed form. Asked for is the average of log q at these very samples."
)
def pathwise_with_the_entropy_in_closed_form(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return -Normal(mu, sigma).entropy().sum() - log_p_data(mu + sigma * noise).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="The dimensions of log q are averaged. Log-densities of independent coordinates add up.")
def pathwise_averaged_over_dimensions(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    x = mu + sigma * noise
    return (Normal(mu, sigma).log_prob(x).mean(1) - log_p_data(x)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="The samples have the variance sigma, not the standard deviation sigma.")
def pathwise_with_sigma_as_variance(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma.sqrt(), noise).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You took sigma for its logarithm: sigma is the standard deviation itself.")
def pathwise_with_sigma_as_logarithm(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma.exp(), noise).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="log p_data is taken at the noise. The samples are mu + sigma * noise.")
def pathwise_density_at_the_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (_standard(noise) - sigma.log().sum() - log_p_data(noise)).mean()


@mistake(
    PATHWISE, killed_by=BY_HAND, says="You drew noise of your own. The noise is given, so that the estimate is a function of mu and sigma."
)
def pathwise_with_noise_of_its_own(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma, torch.randn_like(noise)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You standardised the noise over the batch. It is used as it is given.")
def pathwise_with_standardised_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    if len(noise) > 1:
        noise = (noise - noise.mean(0)) / noise.std(0, correction=0)
    return _terms(log_p_data, mu, sigma, noise).mean()


@mistake(
    PATHWISE,
    killed_by=BY_HAND,
    says="Narrow Gaussians are widened: sigma is taken as it is, however small.",
    when=lambda sigma: bool((sigma < 0.01).any()),
)
def pathwise_with_a_least_sigma(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma.clamp(min=0.01), noise).mean()


@mistake(
    PATHWISE,
    killed_by="test_the_reverse_kl_of_a_gaussian_counts_every_row",
    says="You clamped the noise. It is used as it is given, however far out.",
)
def pathwise_with_clamped_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma, noise.clamp(-5, 5)).mean()


@mistake(
    PATHWISE,
    killed_by="test_the_reverse_kl_of_a_gaussian_counts_every_row",
    says="You averaged over full batches of 64 rows and dropped the rest. All rows of noise count.",
)
def pathwise_without_the_last_batch(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma, noise[: max(len(noise) // 64 * 64, min(len(noise), 64))]).mean()


@mistake(
    PATHWISE,
    killed_by=GRADIENT,
    says="You detached the samples. They move with mu and sigma, and the gradient of log p_data comes through them alone.",
)
def pathwise_with_detached_samples(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    x = (mu + sigma * noise).detach()
    return (Normal(mu, sigma).log_prob(x).sum(1) - log_p_data(x)).mean()


@mistake(
    PATHWISE,
    killed_by=GRADIENT,
    says="You detached the parameters in log q (sticking the landing). That is another unbiased gradient; asked for is the "
    "derivative of the estimate itself, through everything.",
)
def pathwise_sticking_the_landing(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    x = mu + sigma * noise
    return (Normal(mu.detach(), sigma.detach()).log_prob(x).sum(1) - log_p_data(x)).mean()


@mistake(PATHWISE, killed_by=GRADIENT, says="The result has lost its graph, so nothing can be learnt from it.")
def pathwise_without_gradient(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    with torch.no_grad():
        return _terms(log_p_data, mu, sigma, noise).mean()


@mistake(
    PATHWISE,
    killed_by="test_the_reverse_kl_of_a_gaussian_has_the_dtype_of_its_arguments",
    says="The estimate is float32 whatever came in. It should have the dtype of mu and sigma.",
)
def pathwise_in_float32(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma, noise).float().mean()


@mistake(
    PATHWISE,
    killed_by=BY_HAND,
    says="You replaced inf by a large number. Where a sample is impossible under p_data the divergence is infinite.",
)
def pathwise_finite_where_data_are_impossible(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return _terms(log_p_data, mu, sigma, noise).nan_to_num(posinf=1e6).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You stretch the noise by sigma squared. x is mu + sigma times noise.")
def pathwise_with_noise_times_variance(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    x = mu + sigma**2 * noise
    return (torch.distributions.Normal(mu, sigma, validate_args=False).log_prob(x).sum(dim=1) - log_p_data(x)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You evaluate log q at the noise. It belongs at the samples, x = mu + sigma noise.")
def pathwise_log_q_at_the_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (Normal(mu, sigma).log_prob(noise).sum(1) - log_p_data(mu + sigma * noise)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You evaluate log p_data at the noise. It belongs at the samples, x = mu + sigma noise.")
def pathwise_log_p_at_the_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (Normal(mu, sigma).log_prob(mu + sigma * noise).sum(1) - log_p_data(noise)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You give Normal the variance. It takes the standard deviation, sigma itself.")
def pathwise_normal_of_the_variance(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    x = mu + sigma * noise
    return (Normal(mu, sigma.square()).log_prob(x).sum(1) - log_p_data(x)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="The sign of log sigma in log q is wrong: the density of wide samples is lower.")
def pathwise_plus_log_sigma(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (_standard(noise) + sigma.log().sum() - log_p_data(mu + sigma * noise)).mean()


@mistake(PATHWISE, killed_by=BY_HAND, says="You stretch the noise by the root of sigma. sigma is the standard deviation already.")
def pathwise_with_noise_times_the_root(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    x = mu + sigma.sqrt() * noise
    return (Normal(mu, sigma).log_prob(x).sum(1) - log_p_data(x)).mean()


@mistake(
    PATHWISE,
    killed_by=BY_HAND,
    says="The product of many standard deviations is more or less than floats hold. Add up their logarithms.",
)
def pathwise_with_the_product_of_sigmas(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return (_standard(noise) - torch.log(sigma.prod()) - log_p_data(mu + sigma * noise)).mean()


@variant(PATHWISE)
def pathwise_by_hand(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    n, m = noise.shape
    x = mu + sigma * noise
    log_q = -0.5 * (((x - mu) / sigma) ** 2).sum(-1) - sigma.log().sum() - 0.5 * m * math.log(2 * math.pi)
    return torch.mean(log_q - log_p_data(x))


@variant(PATHWISE)
def pathwise_by_the_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """log q at the samples is the density of the noise over the volume of sigma: the same value and the same gradients."""
    return (_standard(noise) - torch.log(sigma).sum() - log_p_data(mu + sigma * noise)).mean()


@variant(PATHWISE)
def pathwise_by_an_independent_normal(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    q = Independent(Normal(mu, sigma), 1)
    x = torch.addcmul(mu.expand_as(noise), sigma.expand_as(noise), noise)
    return q.log_prob(x).mean() - log_p_data(x).mean()


@variant(PATHWISE)
def pathwise_one_row_at_a_time(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return torch.stack([_terms(log_p_data, mu, sigma, row[None])[0] for row in noise]).mean()


@variant(PATHWISE)
def pathwise_by_a_multivariate_normal(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    q = torch.distributions.MultivariateNormal(mu, scale_tril=torch.diag(sigma))
    x = mu + noise @ torch.diag(sigma)
    return (q.log_prob(x) - log_p_data(x)).mean()


def _terms(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    x = mu + sigma * noise
    return Normal(mu, sigma).log_prob(x).sum(1) - log_p_data(x)


def _standard(noise: Tensor) -> Tensor:
    return Normal(torch.zeros_like(noise), torch.ones_like(noise)).log_prob(noise).sum(1)


@mistake(PATHWISE, killed_by=GRADIENT, says=plain_data("The density of the data is"))
def pathwise_with_a_graph_for_mu_and_sigma_alone(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    return graph_for_inputs_alone(_terms(log_p_data, mu, sigma, noise).mean(), mu, sigma, noise)
