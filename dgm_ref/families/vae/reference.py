"""The bounds one sample and one dimension at a time; the linear posterior by observing one coordinate after the other."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

LogLikelihood = Callable[[Tensor, Tensor], Tensor]


def gaussian_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """Dimension by dimension; e^l - 1 - l is taken as a whole, which keeps its digits near zero."""
    rows = []
    for row in zip(mu, log_var, strict=True):
        rows.append(sum((_kl_term(m, v) for m, v in zip(*row, strict=True)), mu.new_zeros(())))
    return torch.stack(rows)


def rounding_of_gaussian_kl(mu: Tensor, log_var: Tensor) -> Tensor:
    """The sum of the sizes of the terms, which any accepted method rounds."""
    return (mu.square() + log_var.exp() + 1 + log_var.abs()).sum(1)


def elbo(log_p_x_given_z: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """Row by row and sample by sample."""
    rows = []
    for i in range(len(x)):
        terms = [log_p_x_given_z(x[i : i + 1], z[s, i : i + 1])[0] for s in range(len(z))]
        rows.append(sum(terms, mu.new_zeros(())) / len(z))
    return torch.stack(rows) - gaussian_kl(mu, log_var)


def importance_bound(log_p_x_given_z: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """Each weight as a ratio of two complete densities, the largest taken out of the sum."""
    rows = []
    prior = torch.distributions.Normal(0.0, 1.0)
    for i in range(len(x)):
        q = torch.distributions.Normal(mu[i], (log_var[i] / 2).exp(), validate_args=False)
        logs = [log_p_x_given_z(x[i : i + 1], z_i[None])[0] + prior.log_prob(z_i).sum() - q.log_prob(z_i).sum() for z_i in z[:, i]]
        largest = max(logs, key=lambda value: value.item())
        if largest == -math.inf:
            rows.append(largest)
        else:
            total = sum(((value - largest.detach()).exp() for value in logs), mu.new_zeros(()))
            rows.append(largest.detach() + (total / len(z)).log())
    return torch.stack(rows)


def rounding_of_bounds(log_p_x_given_z: LogLikelihood, mu: Tensor, log_var: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """For each row the largest sum over one sample of the sizes of all terms."""
    densities = z.square() + (z - mu).square() * (-log_var).exp() + log_var.abs() + 2
    likelihoods = torch.stack([log_p_x_given_z(x, z_s).abs().nan_to_num(0.0, 0.0) for z_s in z])
    return (densities.sum(2) + likelihoods).amax(0) + rounding_of_gaussian_kl(mu, log_var)


def optimal_posterior(W: Tensor, sigma: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Start from the prior and condition on one coordinate of x after the other (a Kalman filter)."""
    n, d = len(x), W.shape[1]
    mean, covariance = x.new_zeros(n, d), torch.eye(d, dtype=x.dtype)
    for j, w in enumerate(W):
        spread = covariance @ w  # (d,): covariance of z with the coordinate
        gain = spread / (w @ spread + sigma**2)
        mean = mean + torch.outer(x[:, j] - mean @ w, gain)
        covariance = covariance - torch.outer(gain, spread)
    return mean, covariance


def _kl_term(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu * mu + (torch.expm1(log_var) - log_var))
