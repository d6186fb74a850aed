"""How far right fits by reverse KL end from the bands of their checks, whatever optimiser and parametrisation was taken.

    python benchmarks/reverse_fits.py [SEEDS]

Every optimiser of torch that takes gradients alone, with every positive parametrisation of the spread, and every unbiased
estimator of the gradient with some of them, sits the checks of `divergences.fit_gaussian_reverse_kl` on SEEDS (20) seeds. For
each band: the largest error in units of the band, and the least distance from the band in standard deviations over the seeds,
with whose optimiser that is.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal
from torch.optim import SGD, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

from dgm_ref import catalogue as mistakes
from grader.assignment import load
from grader.checks.lecture1.divergences import test_reverse_fit as checks
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey

LECTURE, EXERCISE = "lecture1", "divergences.fit_gaussian_reverse_kl"
LEAST = 0.02  # of a band: a smaller spread over the seeds is not told from none


class SignDescent(Optimizer):
    """A step of size lr against the sign of each derivative."""

    def __init__(self, parameters: list[Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for parameter in self.param_groups[0]["params"]:
            parameter -= self.param_groups[0]["lr"] * parameter.grad.sign()


OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    "gradient descent": SGD,
    "momentum": functools.partial(SGD, momentum=0.9),
    "Nesterov": functools.partial(SGD, momentum=0.9, nesterov=True),
    "damped momentum": functools.partial(SGD, momentum=0.9, dampening=0.9),
    "Adam": Adam,
    "AMSGrad": functools.partial(Adam, amsgrad=True),
    "AdamW": functools.partial(AdamW, weight_decay=0.0),
    "NAdam": NAdam,
    "RAdam": RAdam,
    "Adamax": Adamax,
    "RMSprop": RMSprop,
    "Adagrad": Adagrad,
    "sign descent": SignDescent,
}
PARAMETRISATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "log sigma": (torch.log, torch.exp),
    "log variance": (lambda sigma: 2 * sigma.log(), lambda rho: (rho / 2).exp()),
    "softplus": (lambda sigma: torch.expm1(sigma).log(), F.softplus),
    "square": (torch.sqrt, torch.square),
}


def reparametrised(log_p_data: Any, mu: Tensor, sigma: Tensor, epsilon: Tensor) -> Tensor:
    return -sigma.log().sum() - log_p_data(mu + sigma * epsilon).mean()


def antithetic(log_p_data: Any, mu: Tensor, sigma: Tensor, epsilon: Tensor) -> Tensor:
    half = epsilon[: (len(epsilon) + 1) // 2]
    return reparametrised(log_p_data, mu, sigma, torch.cat([half, -half])[: len(epsilon)])


def sticking_the_landing(log_p_data: Any, mu: Tensor, sigma: Tensor, epsilon: Tensor) -> Tensor:
    x = mu + sigma * epsilon
    return (Normal(mu.detach(), sigma.detach()).log_prob(x).sum(1) - log_p_data(x)).mean()


def score_function(log_p_data: Any, mu: Tensor, sigma: Tensor, epsilon: Tensor) -> Tensor:
    x = (mu + sigma * epsilon).detach()
    log_q = Normal(mu, sigma).log_prob(x).sum(1)
    cost = (log_q - log_p_data(x)).detach()
    others = (cost.sum() - cost) / max(len(cost) - 1, 1)  # a baseline of the other samples leaves it unbiased
    return (log_q * (cost - others)).mean()


ESTIMATORS = {
    "antithetic, ": antithetic,
    "sticking the landing, ": sticking_the_landing,
    "score function, ": score_function,
}
SOME = ("gradient descent", "momentum", "Adam", "RMSprop")


def fit(
    estimate: Callable[..., Tensor],
    optimiser: Callable[..., Optimizer],
    parameter: Callable[[Tensor], Tensor],
    positive: Callable[[Tensor], Tensor],
    log_p_data: Any,
    mu: Tensor,
    sigma: Tensor,
    steps: int,
    lr: float,
    n: int,
    generator: torch.Generator,
) -> Any:
    """`fit_gaussian_reverse_kl` by any optimiser and parametrisation."""
    mu, rho = mu.detach().clone().requires_grad_(), parameter(sigma.detach()).requires_grad_()
    descent = optimiser([mu, rho], lr=lr)
    for _ in range(steps):
        epsilon = torch.randn(n, len(mu), generator=generator, dtype=mu.dtype)
        with torch.enable_grad():
            loss = estimate(log_p_data, mu, positive(rho), epsilon)
        mu.grad, rho.grad = torch.autograd.grad(loss, [mu, rho])
        descent.step()
    return mu.detach(), positive(rho.detach())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", type=int, nargs="?", default=20)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    mistakes.load(LECTURE)
    fits = [check for check in collect(LECTURE) if check.exercise == EXERCISE]
    errors: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    now: list[Any] = []  # the check, how many bands it has looked at, whose fit it is

    def record(limit: float, error: float | Tensor, sentence: str, got: Any, expected: str = "") -> None:
        errors[now[0], now[1]][now[2]].append(float(error) / limit if error == error else math.inf)
        now[1] += 1

    checks.within = record
    failures = 0
    fitters = {
        f"{name} on {how}": functools.partial(fit, reparametrised, optimiser, *pair)
        for (name, optimiser), (how, pair) in itertools.product(OPTIMISERS.items(), PARAMETRISATIONS.items())
    }
    for (words, estimate), name in itertools.product(ESTIMATORS.items(), SOME):
        fitters[words + name] = functools.partial(fit, estimate, OPTIMISERS[name], *PARAMETRISATIONS["log sigma"])
    for name, fitter in fitters.items():
        transport = known_submissions.with_function(LECTURE, EXERCISE, fitter)
        for seed in range(seeds):
            examiner = Examiner(load(LECTURE), fits, f"reverse fits {seed}", key=InstructorsKey(LECTURE, names=False))
            for check in fits:
                for example in examiner.examples(check):
                    now[:] = [check.name, 0, name]
                    failure = examiner.run(check, example, transport)
                    if failure is not None:
                        failures += 1
                        print(f"{check.name}, {name}, seed {seed}: {failure.sentence}")
    print(f"{len(fitters)} right fits on {seeds} seeds; {failures} failures besides the bands\n")
    print(f"{'check and its band':70}{'largest':>9}{'least distance':>16}  of")
    for (name, band), of_fits in errors.items():
        distance, whose = min((_distance(torch.tensor(of_one)), who) for who, of_one in of_fits.items())
        largest = max(max(e) for e in of_fits.values())
        print(f"{f'{name}, {band + 1}':70}{largest:9.2f}{distance:14.1f} sd  {whose}")


def _distance(errors: Tensor) -> float:
    """From the band, in standard deviations; none for who has left it."""
    return ((1 - errors.mean()) / errors.std(correction=0).clamp(min=LEAST)).item() if (errors < 1).all() else 0.0


if __name__ == "__main__":
    main()
