"""Public families of samplers and of the densities that go with them: what a check hands over as ``sample_data``.

A sampler maps ``(n, generator)`` to draws ``(n, m)``, with all its randomness from that generator: a check that knows
the generator's seed can draw the very same batch. ``witnessed`` makes a sampler remember how it was called.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family, helper

Sampler = Callable[[int, torch.Generator], Tensor]
LogDensity = Callable[[Tensor], Tensor]  # (n, m) -> (n,)

_calls: list[tuple[str, int, torch.Generator]] = []  # of witnessed samplers, where the student's code runs
_leaves: list[Tensor] = []  # parameters of the trainable densities built last


# -- samplers, (n, generator) -> (n, m) --


@family
def gaussian_sampler(mu: Tensor, sigma: Tensor) -> Sampler:
    """Draws of N(mu, diag(sigma^2)), reparametrised: differentiable in mu and sigma."""

    def sample(n: int, generator: torch.Generator) -> Tensor:
        return mu + sigma * torch.randn(n, len(mu), generator=generator, dtype=mu.dtype)  # (n, m)

    return sample


@family
def gaussian_mixture_sampler(weights: Tensor, mu: Tensor, sigma: Tensor) -> Sampler:
    """Draws of sum_c w_c N(mu_c, diag(sigma_c^2)), with weights: (C,), mu and sigma: (C, m)."""

    def sample(n: int, generator: torch.Generator) -> Tensor:
        c = torch.multinomial(weights, n, replacement=True, generator=generator)  # (n,)
        return mu[c] + sigma[c] * torch.randn(n, mu.shape[1], generator=generator, dtype=mu.dtype)  # (n, m)

    return sample


@family
def uniform_sampler(low: Tensor, high: Tensor) -> Sampler:
    """Draws of the uniform distribution on the box [low, high)."""

    def sample(n: int, generator: torch.Generator) -> Tensor:
        return low + (high - low) * torch.rand(n, len(low), generator=generator, dtype=low.dtype)  # (n, m)

    return sample


@family
def replay(x: Tensor) -> Sampler:
    """The first n rows of x: draws that are known beforehand."""
    return lambda n, generator: x[:n]


@family
def witnessed(name: str, sampler: Sampler) -> Sampler:
    """The sampler, which also remembers that it was called, for how many draws and with which generator."""

    def sample(n: int, generator: torch.Generator) -> Tensor:
        _calls.append((name, n, generator))
        return sampler(n, generator)

    return sample


@helper
def forget_calls() -> None:
    """Forget what witnessed samplers saw before."""
    _calls.clear()


@helper
def calls_seen(generator: torch.Generator) -> list[list[object]]:
    """For each call of a witnessed sampler: its name, n, and whether it got this very generator."""
    return [[name, n, seen is generator] for name, n, seen in _calls]


# -- densities, (n, m) -> (n,) --


@family
def uniform_log_density(low: Tensor, high: Tensor) -> LogDensity:
    """x -> the log-density of the uniform distribution on the box [low, high]: -inf outside."""

    def log_p(x: Tensor) -> Tensor:
        inside = ((x >= low) & (x <= high)).all(dim=1)  # (n,)
        return torch.where(inside, -(high - low).log().sum(), -math.inf)

    return log_p


@family
def categorical_log_density(log_pi: Tensor) -> LogDensity:
    """x -> log pi of the value 0..K-1 that the only column of x holds, with log_pi: (K,), entries may be -inf."""
    return lambda x: log_pi[x[:, 0].long()]  # (n,)


@family
def trainable_gaussian_log_density(mu: Tensor, sigma: Tensor) -> LogDensity:
    """x -> log N(x; mu, diag(sigma^2)) of a model: mu and sigma are leaves that require gradients."""
    _leaves[:] = [mu.clone().requires_grad_(), sigma.clone().requires_grad_()]
    mu, sigma = _leaves
    return lambda x: torch.distributions.Normal(mu, sigma, validate_args=False).log_prob(x).sum(dim=1)  # (n,)


@helper
def gradients_left_behind() -> int:
    """How many parameters of the trainable density built last have a gradient stored."""
    return sum(leaf.grad is not None for leaf in _leaves)
