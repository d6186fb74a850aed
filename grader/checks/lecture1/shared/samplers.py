"""Public families of samplers and of the densities that go with them: what a check hands over as ``sample_data``.

A sampler maps ``(n, generator)`` to draws ``(n, m)``, with all its randomness from that generator; ``replay`` and
``replay_gaussian`` give draws that are known beforehand, whether they are asked for at once or in parts. ``witnessed``
makes a sampler remember how it was called, ``witnessed_log_density`` a density what it was asked about.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family, helper

Sampler = Callable[[int, torch.Generator], Tensor]
LogDensity = Callable[[Tensor], Tensor]  # (n, m) -> (n,)

CALLS: list[tuple[str, int, torch.Generator]] = []  # of witnessed samplers, where the student's code runs
QUESTIONS: list[Tensor] = []  # rows that witnessed densities were asked about, in float64


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
    """The rows of x, one call after the other: draws that are known beforehand. Whoever takes all of them starts again."""
    take = _rows_of(x)
    return lambda n, generator: take(n)  # (n, m)


@family
def replay_gaussian(mu: Tensor, sigma: Tensor, noise: Tensor) -> Sampler:
    """mu + sigma * noise, by the rows of noise as in ``replay``: reparametrised draws that are known beforehand."""
    take = _rows_of(noise)
    return lambda n, generator: mu + sigma * take(n)  # (n, m)


@family
def witnessed(name: str, sampler: Sampler) -> Sampler:
    """The sampler, which also remembers that it was called, for how many draws and with which generator."""

    def sample(n: int, generator: torch.Generator) -> Tensor:
        CALLS.append((name, n, generator))
        return sampler(n, generator)

    return sample


@helper
def forget_calls() -> None:
    """Forget what witnessed samplers saw before."""
    CALLS.clear()


@helper
def calls_seen(generator: torch.Generator) -> list[list[object]]:
    """For each call of a witnessed sampler: its name, n, and whether it got this very generator."""
    return [[name, n, seen is generator] for name, n, seen in CALLS]


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
def witnessed_log_density(log_p: LogDensity) -> LogDensity:
    """The log-density, which also remembers the rows that it is asked about."""

    def ask(x: Tensor) -> Tensor:
        seen = x
        while torch._C._functorch.is_functorch_wrapped_tensor(seen):  # by torch.func.grad or vmap
            seen = torch._C._functorch.get_unwrapped(seen)
        QUESTIONS.append(seen.detach().double().reshape(-1, x.shape[-1]).clone())
        return log_p(x)

    return ask


@helper
def forget_questions() -> None:
    """Forget what witnessed densities were asked before."""
    QUESTIONS.clear()


@helper
def rows_asked_about() -> Tensor:
    """The rows that witnessed densities were asked about, (rows, m) float64."""
    return torch.cat(QUESTIONS) if QUESTIONS else torch.empty(0, 0, dtype=torch.float64)


@helper
def number_of_rows_asked_about() -> int:
    """How many rows witnessed densities were asked about."""
    return sum(map(len, QUESTIONS))


def _rows_of(x: Tensor) -> Callable[[int], Tensor]:
    """Takes the next n rows of x, as a tensor that is not contiguous."""
    taken = 0

    def take(n: int) -> Tensor:
        nonlocal taken
        places = (torch.arange(n) + taken) % len(x)
        taken += n
        return x.T[:, places].T

    return take
