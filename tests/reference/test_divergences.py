"""dgm_ref's divergences against scipy, torch.distributions, quadrature and fifty digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from dgm_ref.lecture1.divergences import reference as ref


def gaussian(mu: float, sigma: float):
    return lambda x: torch.distributions.Normal(torch.tensor(mu, dtype=torch.float64), sigma).log_prob(x).sum(1)


def gaussian_kl(mu: float, sigma: float, nu: float, tau: float) -> torch.Tensor:
    mu_nu, sigma_tau = torch.tensor([[mu, nu], [sigma, tau]], dtype=torch.float64)
    one, other = map(torch.distributions.Normal, mu_nu, sigma_tau)
    return torch.distributions.kl_divergence(one, other)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pmfs(*shape: int, seed: int = 0) -> torch.Tensor:
    p = normal(*shape, seed=seed).exp() * (normal(*shape, seed=seed + 1) > -0.8)  # some values without mass
    p[..., 0] += 1
    return p / p.sum(-1, keepdim=True)


@pytest.mark.parametrize("shapes", [((5,), (5,)), ((1,), (1,)), ((4, 3), (3,)), ((2, 1, 4), (3, 4))])
def test_kl_divergence_is_scipys_relative_entropy(shapes):
    p, q = pmfs(*shapes[0], seed=1), pmfs(*shapes[1], seed=2)
    want = scipy.special.rel_entr(p.numpy(), q.numpy()).sum(-1)
    assert np.allclose(ref.kl_divergence(p, q), want, rtol=1e-13, atol=1e-15)
    full = (q + 0.1) / (q + 0.1).sum(-1, keepdim=True)
    want = scipy.stats.entropy(*np.broadcast_arrays(p.numpy(), full.numpy()), axis=-1)  # type: ignore[call-overload]
    assert np.allclose(ref.kl_divergence(p, full), want, rtol=1e-12, atol=1e-15)


def test_kl_divergence_at_the_edges():
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    q = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0]], dtype=torch.float64)
    assert ref.kl_divergence(p, q).tolist() == [math.inf, math.log(4)]


def test_mean_log_ratio_converges_to_the_gaussian_kl():
    mu, sigma, nu, tau = 0.3, 0.8, -0.5, 1.4
    want = gaussian_kl(mu, sigma, nu, tau)
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    x = mu + sigma * torch.tensor(nodes)[:, None]
    terms = [ref.mean_log_ratio(gaussian(mu, sigma), gaussian(nu, tau), row[None]).item() for row in x]
    assert np.dot(weights, terms) / math.sqrt(2 * math.pi) == pytest.approx(want.item(), rel=1e-12)
    assert ref.mean_log_ratio(gaussian(mu, sigma), gaussian(nu, tau), x).item() == pytest.approx(np.mean(terms))


def test_both_estimates_have_the_same_expectation():
    mu, sigma, nu, tau = 0.3, 0.8, -0.1, 0.7
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    x = mu + sigma * torch.tensor(nodes)[:, None]
    terms = [ref.kl_low_variance(gaussian(mu, sigma), gaussian(nu, tau), row[None]).item() for row in x]
    want = gaussian_kl(mu, sigma, nu, tau)
    assert np.dot(weights, terms) / math.sqrt(2 * math.pi) == pytest.approx(want.item(), rel=1e-12)
    assert min(terms) >= 0


@pytest.mark.parametrize("log_r", [1e-8, -1e-3, 0.4999, 0.5, -0.6, 50.0, -800.0])
def test_low_variance_terms_have_all_digits(log_r):
    with mpmath.workdps(50):
        want = float(mpmath.exp(log_r) - 1 - mpmath.mpf(log_r))
    got = ref.kl_low_variance(lambda x: 0 * x[:, 0], lambda x: x[:, 0], torch.tensor([[log_r]], dtype=torch.float64))
    assert got.item() == pytest.approx(want, rel=1e-14, abs=0)


def test_a_sample_that_q_excludes_makes_the_low_variance_estimate_infinite():
    x = torch.tensor([[-math.inf], [0.5]]).double()
    assert ref.kl_low_variance(lambda x: torch.zeros(len(x)).double(), lambda x: x[:, 0], x).item() == math.inf


def gradients_of(value: torch.Tensor, *parameters: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(value, parameters, retain_graph=True))


def test_gradients_are_autograds():
    Normal = torch.distributions.Normal
    mu, mu_q = (normal(3, seed=seed).requires_grad_() for seed in (5, 6))
    sigma, sigma_q = (normal(3, seed=seed).exp().requires_grad_() for seed in (7, 8))
    x = normal(6, 3, seed=9)
    log_p, log_q = Normal(mu, sigma).log_prob(x).sum(1), Normal(mu_q, sigma_q).log_prob(x).sum(1)

    want = gradients_of(-log_p.mean(), mu, sigma)
    assert all(map(torch.allclose, ref.negative_log_likelihood_gradient(mu.detach(), sigma.detach(), x), want))

    log_r = log_q - log_p
    want = gradients_of((log_r.exp() - 1 - log_r).mean(), mu, sigma, mu_q, sigma_q)
    arguments = (mu.detach(), sigma.detach(), mu_q.detach(), sigma_q.detach())
    assert all(map(torch.allclose, ref.kl_low_variance_gradient(*arguments, x), want))

    sampler_mu, sampler_sigma = mu.detach().clone().requires_grad_(), sigma.detach().clone().requires_grad_()
    drawn = sampler_mu + sampler_sigma * x
    value = (Normal(mu, sigma).log_prob(drawn) - Normal(mu_q, sigma_q).log_prob(drawn)).sum(1).mean()
    want = gradients_of(value, mu, sigma, sampler_mu, sampler_sigma)
    assert all(map(torch.allclose, ref.pathwise_gradient(*arguments, x), want))


def test_negative_log_likelihood_is_scipys():
    x = normal(7, 2, seed=10)
    want = -scipy.stats.norm(0.3, 0.8).logpdf(x.numpy()).sum(1).mean()
    assert ref.negative_log_likelihood(gaussian(0.3, 0.8), x).item() == pytest.approx(want)


def test_the_forward_fit_is_scipys_maximum_likelihood_fit():
    x = normal(9, 3, seed=11) * 2 + 100
    mu, sigma = ref.fit_gaussian_forward_kl(x)
    for j in range(3):
        assert (mu[j].item(), sigma[j].item()) == pytest.approx(scipy.stats.norm.fit(x[:, j].numpy()), rel=1e-12)


def test_the_reparametrised_estimate_is_that_of_torchs_normal():
    mu, sigma, noise = normal(3, seed=12), normal(3, seed=13).exp(), normal(6, 3, seed=14)
    x = mu + sigma * noise
    want = (torch.distributions.Normal(mu, sigma).log_prob(x).sum(1) - gaussian(0.3, 0.8)(x)).mean()
    assert ref.reparametrized_reverse_kl(gaussian(0.3, 0.8), mu, sigma, noise).item() == pytest.approx(want.item(), rel=1e-12)


def test_the_reparametrised_estimate_has_the_divergence_as_expectation():
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    mu, sigma = torch.tensor([[0.3], [0.8]], dtype=torch.float64)
    rows = torch.tensor(nodes)[:, None]
    terms = [ref.reparametrized_reverse_kl(gaussian(-0.5, 1.4), mu, sigma, row[None]).item() for row in rows]
    assert np.dot(weights, terms) / math.sqrt(2 * math.pi) == pytest.approx(gaussian_kl(0.3, 0.8, -0.5, 1.4).item(), rel=1e-12)
