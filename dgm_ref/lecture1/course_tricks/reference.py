"""Course tricks one sample at a time: exact sums and fractions, and derivatives of one row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor
from torch.autograd.functional import jacobian  # torch.func imports the compiler: 1 s

Map = Callable[[Tensor], Tensor]
LogDensity = Callable[[Tensor, Tensor], Tensor]  # log_p(x, theta)


def monte_carlo(f: Map, x: Tensor) -> Tensor:
    """The average of f(x_i), one sample after the other."""
    return _weighted_sum(_values(f, x), [1.0] * len(x)) / len(x)


def monte_carlo_standard_error(f: Map, x: Tensor) -> Tensor:
    """From the squared differences of all pairs: s^2 is half their average, so no mean is needed."""
    values = _values(f, x)
    pairs = [(a - b).square() for a in values for b in values]
    n = len(values)
    s_squared = _weighted_sum(pairs, [1.0] * n**2) / (2 * n * (n - 1))
    return (s_squared / n).sqrt()


def lotus(g: Map, f: Map, x: Tensor) -> Tensor:
    """The left-hand side: the law of y first, as the frequency of each distinct value, then the sum of p(y) g(y)."""
    frequency = Counter(tuple(y.tolist()) for y in _values(f, x))
    y = torch.tensor(list(frequency), dtype=torch.float64)
    return _weighted_sum(_values(g, y), [count / len(x) for count in frequency.values()])


def pushforward_pmf(p: Tensor, f: Tensor, K: int) -> Tensor:
    """Each k collects the mass of its preimages, in exact fractions."""
    mass = [Fraction(0)] * K
    for s, k in enumerate(f.tolist()):
        mass[k] += Fraction(p[s].item())
    return torch.tensor([float(total) for total in mass], dtype=torch.float64)


def log_derivative(p: Map, x: Tensor) -> Tensor:
    """The right-hand side, row by row: the gradient of p over p."""
    rows = []
    for x_i in x.unbind():
        gradient = jacobian(lambda row: p(row[None])[0], x_i)  # (m,)
        rows.append(gradient / p(x_i[None])[0])
    return torch.stack(rows)


def score_function_gradient(f: Map, log_p: LogDensity, theta: Tensor, x: Tensor) -> Tensor:
    """The average of f(x_i) times the score, one sample after the other."""
    terms = []
    for x_i in x.unbind():
        score = jacobian(lambda theta, row=x_i: log_p(row[None], theta)[0], theta)  # as theta
        terms.append(f(x_i[None])[0] * score)
    return sum(terms[1:], terms[0]) / len(terms)


def jensen_gap(f: Map, x: Tensor) -> Tensor:
    """The two averages, each an exact sum."""
    mean = monte_carlo(lambda row: row, x)
    average = math.fsum(value.item() for value in _values(f, x)) / len(x)
    return average - f(mean[None])[0]


def optimal_mse_predictor(joint: Tensor, y: Tensor) -> Tensor:
    """The conditional mean of each row in exact fractions."""
    rows = [_conditional_mean(mass.tolist(), y.T.tolist()) for mass in joint.unbind()]
    return torch.tensor(rows, dtype=torch.float64).reshape(joint.shape[0], y.shape[1])


def dirac_expectation(f: Map, points: Tensor, weights: Tensor) -> Tensor:
    """Each delta sifts out the value at its point."""
    return _weighted_sum(_values(f, points), weights.tolist())


def _values(f: Map, x: Tensor) -> list[Tensor]:
    """f(x_i) for one row after the other, each evaluated alone."""
    return [f(x_i[None])[0] for x_i in x.unbind()]


def _weighted_sum(values: list[Tensor], weights: list[float]) -> Tensor:
    """sum_i w_i v_i in every component, with a single rounding of the sum."""
    components = torch.stack(values).T.tolist()  # d lists of length n
    sums = [math.fsum(w * v for w, v in zip(weights, component, strict=True)) for component in components]
    return torch.tensor(sums, dtype=torch.float64)


def _conditional_mean(mass: list[float], components: list[list[float]]) -> list[float]:
    total = sum(map(Fraction, mass))
    if total == 0:
        return [math.nan] * len(components)
    sums = [sum(Fraction(w) * Fraction(v) for w, v in zip(mass, column, strict=True)) for column in components]
    return [float(one / total) for one in sums]
