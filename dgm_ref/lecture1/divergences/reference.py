"""Divergences one term at a time, in exact sums; the Gaussian fits in exact fractions and in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction

import torch
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]


def kl_divergence(p: Tensor, q: Tensor) -> Tensor:
    """Term by term: nothing where p has no mass, infinity where only q has none."""
    p, q = torch.broadcast_tensors(p, q)
    pairs = zip(p.reshape(-1, p.shape[-1]).tolist(), q.reshape(-1, q.shape[-1]).tolist(), strict=True)
    return _tensor(_sum(map(_kl_term, p_k, q_k)) for p_k, q_k in pairs).reshape(p.shape[:-1])


def mean_log_ratio(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    """The average of log p - log q, one sample after the other."""
    return _mean(a - b for a, b in zip(_values(log_p, x), _values(log_q, x), strict=True))


def reparametrized_reverse_kl(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """The average of log q - log p_data, where log q is the density of the noise over the volume that sigma makes of it."""
    log_volume = math.fsum(map(math.log, sigma.tolist()))
    log_q = [-math.fsum(0.5 * e * e + 0.5 * math.log(2 * math.pi) for e in row) - log_volume for row in noise.tolist()]
    return _mean(a - b for a, b in zip(log_q, _values(log_p_data, mu + sigma * noise), strict=True))


def pathwise_gradient(
    mu: Tensor, sigma: Tensor, mu_data: Tensor, sigma_data: Tensor, epsilon: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Derivatives of the mean log-ratio N(mu, sigma) : N(mu_data, sigma_data) over x = mu + sigma epsilon.

    First in mu and sigma as the density has them, then in mu and sigma as the sampler has them.
    """
    x = mu + sigma * epsilon
    in_mu, in_sigma = _gaussian_score(mu, sigma, x)
    in_x = (x - mu_data) / sigma_data**2 - (x - mu) / sigma**2  # of log p_theta - log p_data
    return in_mu.mean(0), in_sigma.mean(0), in_x.mean(0), (in_x * epsilon).mean(0)


def kl_low_variance(log_p: LogDensity, log_q: LogDensity, x: Tensor) -> Tensor:
    """The average of (r - 1) - log r, each term by its power series where r is near one."""
    return _mean(_low_variance_term(b - a) for a, b in zip(_values(log_p, x), _values(log_q, x), strict=True))


def kl_low_variance_gradient(mu_p: Tensor, sigma_p: Tensor, mu_q: Tensor, sigma_q: Tensor, x: Tensor) -> tuple[Tensor, ...]:
    """Derivatives of the estimate for two Gaussians in the parameters of p, then in those of q."""
    log_r = _gaussian_log_density(mu_q, sigma_q, x) - _gaussian_log_density(mu_p, sigma_p, x)
    slope = log_r.expm1()[:, None]  # of (r - 1) - log r, in log r
    in_p = tuple(-(slope * score).mean(0) for score in _gaussian_score(mu_p, sigma_p, x))
    return in_p + tuple((slope * score).mean(0) for score in _gaussian_score(mu_q, sigma_q, x))


def negative_log_likelihood(log_p_theta: LogDensity, x: Tensor) -> Tensor:
    """Minus the average of log p, one sample after the other."""
    return _mean(-value for value in _values(log_p_theta, x))


def negative_log_likelihood_gradient(mu: Tensor, sigma: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of the negative log-likelihood of a Gaussian in mu and sigma; forward KL has the same."""
    in_mu, in_sigma = _gaussian_score(mu, sigma, x)
    return -in_mu.mean(0), -in_sigma.mean(0)


def fit_gaussian_forward_kl(x: Tensor) -> tuple[Tensor, Tensor]:
    """The two moments of the sample, in exact fractions."""
    columns = [[Fraction(value) for value in column] for column in x.T.tolist()]
    means = [sum(column, Fraction(0)) / len(column) for column in columns]
    variances = [
        sum(((value - mean) ** 2 for value in column), Fraction(0)) / len(column) for column, mean in zip(columns, means, strict=True)
    ]
    return _tensor(map(float, means)), _tensor(math.sqrt(variance) for variance in variances)


def _kl_term(p: float, q: float) -> float:
    if p == 0:
        return 0.0
    return math.inf if q == 0 else p * (math.log(p) - math.log(q))


def _low_variance_term(log_r: float) -> float:
    """sum_{k >= 2} (log r)^k / k! near zero, where r - 1 and log r would cancel."""
    if log_r == -math.inf:
        return math.inf
    if abs(log_r) < 0.5:
        return math.fsum(log_r**k / math.factorial(k) for k in range(2, 25))
    return math.exp(log_r) - 1 - log_r


def _gaussian_log_density(mu: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
    return torch.distributions.Normal(mu, sigma).log_prob(x).sum(1)


def _gaussian_score(mu: Tensor, sigma: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of log N(x_i; mu, sigma) in mu and sigma, both (n, m)."""
    return (x - mu) / sigma**2, ((x - mu) ** 2 - sigma**2) / sigma**3


def _values(log_p: LogDensity, x: Tensor) -> list[float]:
    """log p of one sample after the other, so that no sample can touch another."""
    return [log_p(row[None]).item() for row in x]


def _mean(terms: Iterable[float]) -> Tensor:
    values = list(terms)
    return torch.tensor(_sum(values) / len(values), dtype=torch.float64)


def _sum(terms: Iterable[float]) -> float:
    """The exact sum, rounded once; infinite where a term is."""
    values = list(terms)
    return math.inf if math.inf in values else math.fsum(values)


def _tensor(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)
