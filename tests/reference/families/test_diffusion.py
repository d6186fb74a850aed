"""dgm_ref's diffusion against mpmath, conditional Gaussians, closed forms and simulation."""

from __future__ import annotations

import math

import mpmath
import torch
from torch.distributions import Normal

from dgm_ref.families.diffusion import reference as ref
from grader.checks.families.shared.noise_models import gaussian_noise_model, label_net, noise_net

BETAS = torch.tensor([0.1, 0.3, 0.05, 0.6], dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_alpha_bar_in_fifty_digits():
    mpmath.mp.dps = 50
    betas = torch.linspace(1e-4, 0.02, 1000).double()
    want = mpmath.fprod(1 - mpmath.mpf(beta) for beta in betas.tolist())
    assert math.isclose(ref.alpha_bar(betas)[-1].item(), want, rel_tol=1e-12)


def test_noise_is_added_as_in_the_closed_form_and_taken_away_again():
    x0, noise, t = normal(4, 3), normal(4, 3, seed=1), torch.tensor([0, 3, 1, 2])
    a = torch.cumprod(1 - BETAS, 0)[t][:, None]
    xt = ref.add_noise(x0, t, noise, BETAS)
    assert torch.allclose(xt, a.sqrt() * x0 + (1 - a).sqrt() * noise)
    assert torch.allclose(ref.predict_x0(xt, t, noise, BETAS), x0)


def test_the_posterior_is_bayes_rule_at_any_point_and_that_of_the_paper():
    x0, xt, y = normal(4, 3), normal(4, 3, seed=1), normal(4, 3, seed=2)
    t = torch.tensor([1, 3, 1, 2])
    mean, variance = ref.posterior(x0, xt, t, BETAS)
    a = torch.cumprod(1 - BETAS, 0)
    before, now, beta = a[t - 1][:, None], a[t][:, None], BETAS[t][:, None]
    joint = Normal(before.sqrt() * x0, (1 - before).sqrt()).log_prob(y) + Normal((1 - beta).sqrt() * y, beta.sqrt()).log_prob(xt)
    evidence = Normal(now.sqrt() * x0, (1 - now).sqrt()).log_prob(xt)
    assert torch.allclose(Normal(mean, variance.sqrt()[:, None]).log_prob(y), joint - evidence)
    paper = before.sqrt() * beta / (1 - now) * x0 + (1 - beta).sqrt() * (1 - before) / (1 - now) * xt
    assert torch.allclose(mean, paper)
    mean, variance = ref.posterior(x0, xt, torch.zeros(4, dtype=torch.int64), BETAS)
    assert torch.equal(mean, x0)
    assert (variance == 0).all()


def test_the_bound_is_the_weighted_simple_loss():
    x0, noise, t, model = normal(1, 3), normal(1, 3, seed=1), torch.tensor([2]), noise_net(normal(3, 3), normal(3))
    a, alpha = torch.cumprod(1 - BETAS, 0), 1 - BETAS
    variance = (1 - a[1]) / (1 - a[2]) * BETAS[2]
    weight = BETAS[2] ** 2 / (2 * variance * alpha[2] * (1 - a[2]))
    simple = ref.simple_loss(model, x0, t, noise, BETAS)
    xt = a[2].sqrt() * x0 + (1 - a[2]).sqrt() * noise
    assert torch.allclose(simple, (noise - model(xt, t)).square().sum())
    assert torch.allclose(ref.bound_term(model, x0, t, noise, BETAS)[0], weight * simple)


def test_samples_of_the_exact_model_approach_the_data_with_small_steps():
    mu, tau, betas = torch.tensor([1.0, -2.0]).double(), torch.tensor([0.5, 1.5]).double(), torch.full((80,), 0.08).double()
    mean, deviation = ref.law_of_sample(gaussian_noise_model(mu, tau, betas), 2, betas)
    assert torch.allclose(mean, mu, atol=0.15)
    assert torch.allclose(deviation, tau, atol=0.15)


def test_the_law_of_samples_by_simulation():
    model = gaussian_noise_model(torch.tensor([1.0]).double(), torch.tensor([0.5]).double(), BETAS)
    generator, x = torch.Generator().manual_seed(0), normal(200_000, 1, seed=9)
    for t in (3, 2, 1, 0):
        mean, deviation = ref.law_of_denoising_step(model, x[:2], t, BETAS)
        slope = (mean[1] - mean[0]) / (x[1] - x[0])  # the step is affine in x
        x = mean[0] + slope * (x - x[0]) + deviation * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    mean, deviation = ref.law_of_sample(model, 1, BETAS)
    assert abs(x.mean() - mean).item() < 0.01
    assert abs(x.std() / deviation - 1).item() < 0.01


def test_ddim_steps_land_on_add_noise_and_guidance_goes_beyond():
    x, A, b = normal(3, 2), normal(2, 2), normal(2, seed=1)
    model = noise_net(A, b)
    for t, previous in ((3, 1), (2, 0), (1, -1)):
        times = torch.full((3,), t)
        guess = ref.predict_x0(x, times, model(x, times), BETAS)
        want = guess if previous == -1 else ref.add_noise(guess, torch.full((3,), previous), model(x, times), BETAS)
        assert torch.allclose(ref.ddim_step(model, x, t, previous, BETAS), want)
    net, t, label = label_net(A, normal(4, 2, seed=3)), torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1])
    want = 3.5 * net(x, t, label) - 2.5 * net(x, t, None)
    assert torch.allclose(ref.guided_noise(net, x, t, label, 2.5), want)
