"""dgm_ref's VAE against torch.distributions, scipy and quadrature."""

from __future__ import annotations

import math

import numpy as np
import scipy.integrate
import scipy.stats
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from dgm_ref.families.vae import reference as ref
from grader.checks.families.shared.decoders import half_space_decoder, linear_decoder


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model(m: int, d: int, n: int, s: int, seed: int = 0):
    decoder = linear_decoder(normal(m, d, seed=seed), normal(m, seed=seed + 1), torch.tensor(0.7, dtype=torch.float64))
    return decoder, normal(n, d, seed=2), normal(n, d, seed=3), normal(n, m, seed=4), normal(s, n, d, seed=5)


def test_gaussian_kl_is_that_of_torch_distributions():
    mu, log_var = normal(5, 3), 3 * normal(5, 3, seed=1)
    want = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(ref.gaussian_kl(mu, log_var), want, rtol=1e-13)


def test_the_elbo_is_the_mean_log_likelihood_minus_the_divergence():
    decoder, mu, log_var, x, z = model(m=3, d=2, n=4, s=5)
    W, b, sigma = decoder.parameters.values()
    density = scipy.stats.norm.logpdf(x.numpy(), (z @ W.T + b).numpy(), sigma.item()).sum(-1).mean(0)
    want = density - kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(1).numpy()
    assert np.allclose(ref.elbo(decoder, mu, log_var, x, z), want, rtol=1e-12)


def test_the_importance_bound_is_the_log_mean_weight():
    decoder, mu, log_var, x, z = model(m=3, d=2, n=4, s=5)
    W, b, sigma = decoder.parameters.values()
    weights = (
        scipy.stats.norm.pdf(x.numpy(), (z @ W.T + b).numpy(), sigma.item()).prod(-1)
        * scipy.stats.norm.pdf(z.numpy()).prod(-1)
        / scipy.stats.norm.pdf(z.numpy(), mu.numpy(), (log_var / 2).exp().numpy()).prod(-1)
    )
    assert np.allclose(ref.importance_bound(decoder, mu, log_var, x, z), np.log(weights.mean(0)), rtol=1e-11)


def test_the_importance_bound_is_minus_infinity_where_every_weight_is_zero():
    decoder = half_space_decoder(torch.tensor(0.0))
    zero = torch.zeros(1, 1, dtype=torch.float64)
    z = torch.tensor([-1.0, -2.0], dtype=torch.float64).reshape(2, 1, 1)
    assert ref.importance_bound(decoder, zero, zero, zero, z).tolist() == [-math.inf]
    assert math.isclose(ref.importance_bound(decoder, zero, zero, zero, -z * z.sign().cumprod(0)).item(), math.log(0.5))


def test_the_optimal_posterior_is_that_of_the_joint_gaussian():
    for m, d in ((3, 2), (2, 4), (1, 1), (3, 3)):
        W, sigma, x = normal(m, d), torch.tensor(0.6, dtype=torch.float64), normal(5, m, seed=1)
        evidence = W @ W.T + sigma**2 * torch.eye(m, dtype=torch.float64)
        gain = W.T @ torch.linalg.inv(evidence)
        mean, covariance = ref.optimal_posterior(W, sigma, x)
        assert torch.allclose(mean, x @ gain.T, rtol=1e-10)
        assert torch.allclose(covariance, torch.eye(d, dtype=torch.float64) - gain @ W, rtol=1e-10, atol=1e-14)
        z = normal(1, d, seed=7)  # Bayes: log p(x | z) + log p(z) - log p(z | x) is the evidence at any z
        joint = Normal(z @ W.T, sigma).log_prob(x).sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)
        posterior = MultivariateNormal(mean, (covariance + covariance.T) / 2).log_prob(z)
        want = MultivariateNormal(torch.zeros(m, dtype=torch.float64), evidence).log_prob(x)
        assert torch.allclose(joint - posterior, want, rtol=1e-9)


def test_the_bounds_meet_the_evidence_by_quadrature():
    W, b, sigma = torch.tensor([[1.5]]).double(), torch.tensor([0.3]).double(), torch.tensor(0.8).double()
    x = torch.tensor([[0.9]]).double()
    mean, covariance = ref.optimal_posterior(W, sigma, x - b)
    bound = ref.importance_bound(linear_decoder(W, b, sigma), mean, covariance.log(), x, normal(3, 1, 1))
    evidence, _ = scipy.integrate.quad(
        lambda z: scipy.stats.norm.pdf(0.9, 1.5 * z + 0.3, 0.8) * scipy.stats.norm.pdf(z), -12, 12, epsabs=1e-13
    )
    assert math.isclose(bound.item(), math.log(evidence), rel_tol=1e-6)
