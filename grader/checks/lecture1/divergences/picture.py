"""How far apart two laws are, estimated and minimised, in both orders."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Normal

from grader.practice import canvas
from grader.practice.canvas import ACCENT, INK, OTHER, PAPER, YOURS, numbers
from grader.practice.gallery import Work, picture

LogDensity = Callable[[Tensor], Tensor]  # (n, m) -> (n,)
Sampler = Callable[[int, torch.Generator], Tensor]  # n, generator -> (n, m)

P_DATA, P_THETA = Normal(0.0, 1.0), Normal(1.0, 1.5)
FORWARD, REVERSE = 0.349910, 0.719535  # D(p_data, p_theta) and D(p_theta, p_data), in closed form, in nats


@picture("kl_divergence")
def both_orders(mine: Work) -> Figure:
    """Zero where the two laws are equal, and another curve in the other order."""
    p = torch.tensor([0.8, 0.2])
    t = torch.linspace(0.005, 0.995, 199)
    q = torch.stack([t, 1 - t], dim=1)
    drawn, (axes,) = canvas.figure(1, 6.4, 3.7, "Two coins: p = (0.8, 0.2), q = (t, 1 − t)")
    axes.plot(t, numbers(mine.kl_divergence(p.expand_as(q), q)), color=YOURS, label=r"your $D_{KL}(p\,\Vert\,q)$")
    axes.plot(t, numbers(mine.kl_divergence(q, p.expand_as(q))), color=OTHER, label=r"your $D_{KL}(q\,\Vert\,p)$")
    axes.axvline(0.8, color=INK, linestyle="--", linewidth=1, label="q = p: both are zero")
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_ylim(-0.3, 3.2)
    canvas.name(axes, "the blue one should have no bound at the edges, where q excludes what p does", "t", "nats", "upper center")
    return drawn


@picture("forward_kl")
def forward_estimates(mine: Work) -> Figure:
    """Monte Carlo estimates of the forward divergence close in on the integral."""
    drawn, (axes,) = canvas.figure(1, 6.4, 3.6, r"$D_{KL}(p_{data}\,\Vert\,p_\theta)$ of N(0, 1) and N(1, 1.5²)")
    _estimates(axes, lambda n, g: mine.forward_kl(*_laws(), n, g), FORWARD)
    return drawn


@picture("reverse_kl")
def reverse_estimates(mine: Work) -> Figure:
    """Monte Carlo estimates of the reverse divergence close in on another integral."""
    drawn, (axes,) = canvas.figure(1, 6.4, 3.6, r"$D_{KL}(p_\theta\,\Vert\,p_{data})$ of N(1, 1.5²) and N(0, 1)")
    _estimates(axes, lambda n, g: mine.reverse_kl(*_laws(), n, g), REVERSE)
    return drawn


@picture("kl_low_variance")
def less_noise(mine: Work) -> Figure:
    """Two unbiased estimates of a small divergence: the second varies less here, and is never negative."""
    near = Normal(0.15, 1.0)  # D = 0.15^2 / 2
    exact, n = 0.15**2 / 2, 100
    log_p, log_q = _log_density(P_DATA), _log_density(near)
    plain, low = [], []
    for seed in range(400):
        generator = torch.Generator().manual_seed(seed)
        low.append(mine.kl_low_variance(log_p, log_q, _sampler(P_DATA)(n, generator)).item())
        plain.append(mine.forward_kl(log_p, log_q, _sampler(P_DATA), _sampler(near), n, generator).item())
    drawn, (axes,) = canvas.figure(1, 6.6, 3.6, "400 estimates of a small divergence: N(0, 1) from N(0.15, 1)")
    bins = [i / 400 - 0.045 for i in range(44)]
    axes.hist(plain, bins=bins, color=OTHER, alpha=0.6, label="your forward_kl")
    axes.hist(low, bins=bins, color=YOURS, alpha=0.7, label="your kl_low_variance")
    axes.axvline(exact, color=INK, linestyle="--", linewidth=1, label=f"the truth: {exact:.4f}")
    canvas.name(axes, f"{n} draws for each estimate", "estimate, in nats", "estimates", "upper left")
    return drawn


@picture("negative_log_likelihood")
def likelihood_is_forward_kl(mine: Work) -> Figure:
    """The likelihood is best where the forward divergence is: the two differ by a constant."""
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0)) + 0.7
    mus = torch.linspace(-2, 3.5, 80)
    cost = torch.stack([mine.negative_log_likelihood(_log_density(Normal(mu, 1.0)), x) for mu in mus])
    entropy = 0.5 * math.log(2 * math.pi * math.e)
    drawn, (axes,) = canvas.figure(1, 6.4, 3.7, r"400 samples of N(0.7, 1), and models N(μ, 1)")
    axes.plot(mus, numbers(cost), color=YOURS, linewidth=2, label="your negative log-likelihood")
    axes.plot(mus, (mus - 0.7).square() / 2, "--", color=ACCENT, label=r"exact $D_{KL}(p_{data}\,\Vert\,p_\theta)$")
    axes.plot(mus, entropy + (mus - 0.7).square() / 2, "--", color=INK, linewidth=1, label=f"the same plus the entropy, {entropy:.2f} nats")
    axes.plot(x.mean(), numbers(cost).min(), "o", color=OTHER, label="the mean of the samples")
    canvas.name(axes, "", "μ", "nats", "upper center")
    return drawn


@picture("reparametrized_reverse_kl")
def one_noise_for_all(mine: Work) -> Figure:
    """With one noise for all parameters the estimate is a smooth function of them, which can be descended."""
    generator, sigma = torch.Generator().manual_seed(1), torch.tensor([0.6])
    mus, noise = torch.linspace(-1.5, 1.5, 61), torch.randn(20, 1, generator=generator)
    log_p = _log_density(P_DATA)

    def estimate(mu: Tensor, noise: Tensor) -> float:
        return mine.reparametrized_reverse_kl(log_p, mu[None], sigma, noise).item()

    exact = -sigma.log() + (sigma.square() + mus.square() - 1) / 2
    drawn, (axes,) = canvas.figure(1, 6.6, 3.7, r"$D_{KL}(q\,\Vert\,p_{data})$ of q = N(μ, 0.6²) and N(0, 1)")
    fresh = [estimate(mu, torch.randn(20, 1, generator=generator)) for mu in mus]
    axes.plot(mus, fresh, ".", color=OTHER, label="your estimates, 20 new numbers of noise for each μ")
    axes.plot(mus, [estimate(mu, noise) for mu in mus], color=YOURS, linewidth=2, label="your estimates, the same 20 for every μ")
    axes.plot(mus, exact, "--", color=INK, linewidth=1, label="the integral")
    canvas.name(axes, "what is smooth has a slope: autograd differentiates the blue curve", "μ", "nats", "upper center")
    return drawn


@picture("fit_gaussian_forward_kl", "fit_gaussian_reverse_kl")
def two_modes(mine: Work) -> Figure:
    """One Gaussian for two modes: forward KL covers both, reverse KL sits on one."""
    generator = torch.Generator().manual_seed(0)
    x = 0.55 * torch.randn(2000, 1, generator=generator)
    x = x + 2 * torch.randint(0, 2, x.shape, generator=generator).mul(2).sub(1)
    fits = {"your forward fit": (mine.fit_gaussian_forward_kl(x), YOURS, "-")}
    for start, line in ((1.0, "-"), (-1.0, "--")):
        mu, sigma = torch.tensor([start]), torch.tensor([0.5])
        reverse = mine.fit_gaussian_reverse_kl(_log_two_modes, mu, sigma, steps=300, lr=0.05, n=64, generator=generator)
        fits[f"your reverse fit, started at {start:g}"] = (reverse, ACCENT, line)
    grid = torch.linspace(-6, 6, 400)
    drawn, (axes,) = canvas.figure(1, 7.0, 3.8, "One Gaussian for two modes")
    axes.hist(numbers(x[:, 0]), bins=80, range=(-6, 6), density=True, color=PAPER, label="the sample")
    axes.plot(grid, _log_two_modes(grid[:, None]).exp(), color=INK, linewidth=1, label="$p_{data}$")
    for name, ((mu, sigma), colour, line) in fits.items():
        density = Normal(mu.detach(), sigma.detach()).log_prob(grid).exp()
        said = f"{name}: μ = {mu.item():.2f}, σ = {sigma.item():.2f}"
        axes.plot(grid, density, line, color=colour, linewidth=2, label=said)
    axes.set_ylim(0, 1.25)
    canvas.name(axes, "forward covers both modes, reverse sits on the nearest one", "x", "density", "upper left")
    return drawn


def _estimates(axes: Axes, estimate: Callable[[int, torch.Generator], Tensor], exact: float) -> None:
    """Sixty estimates at each of several sizes, and what they should scatter around."""
    sizes = (10, 30, 100, 300, 1000, 3000)
    for n in sizes:
        found = [estimate(n, torch.Generator().manual_seed(seed)).item() for seed in range(60)]
        spread = [n * 10 ** (0.12 * (i / 59 - 0.5)) for i in range(60)]
        axes.plot(spread, found, ".", color=YOURS, markersize=4, alpha=0.6, label="your estimates" if n == sizes[0] else None)
    axes.axhline(exact, color=INK, linestyle="--", linewidth=1, label=f"the integral: {exact:.3f}")
    axes.set_xscale("log")
    canvas.name(axes, "60 estimates for each n", "draws n", "nats", "upper right")


def _laws() -> tuple[LogDensity, LogDensity, Sampler, Sampler]:
    return _log_density(P_DATA), _log_density(P_THETA), _sampler(P_DATA), _sampler(P_THETA)


def _log_density(law: Normal) -> LogDensity:
    return lambda x: law.log_prob(x).sum(dim=1)


def _sampler(law: Normal) -> Sampler:
    return lambda n, generator: law.loc + law.scale * torch.randn(n, 1, generator=generator)


def _log_two_modes(x: Tensor) -> Tensor:
    modes = Normal(torch.tensor([-2.0, 2.0]), 0.55)
    return modes.log_prob(x).logsumexp(dim=1) - math.log(2)
