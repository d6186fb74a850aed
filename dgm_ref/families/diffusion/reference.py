"""Diffusion step by step: noise added one step at a time, posteriors by completing the square of precisions, exact Gaussian laws."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Model = Callable[[Tensor, Tensor], Tensor]


def alpha_bar(betas: Tensor) -> Tensor:
    """One factor after the other."""
    left, all_left = betas.new_ones(()), []
    for beta in betas:
        left = left * (1 - beta)
        all_left.append(left)
    return torch.stack(all_left)


def add_noise(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    """Mean and variance carried through t + 1 steps, for each row."""
    rows = []
    for row, time, epsilon in zip(x0, t.tolist(), noise, strict=True):
        scale, variance = _carried(time, betas)
        rows.append(scale * row + variance.sqrt() * epsilon)
    return torch.stack(rows)


def posterior(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Bayes' rule: the precisions of what x0 and what xt say about the step before add up."""
    means, variances = [], []
    for row, noisy, time in zip(x0, xt, t.tolist(), strict=True):
        if time == 0:
            means.append(row + 0 * noisy * betas[0])
            variances.append(0 * betas[0])
            continue
        scale, variance = _carried(time - 1, betas)
        shrink = (1 - betas[time]).sqrt()
        precision = 1 / variance + shrink**2 / betas[time]
        means.append((scale * row / variance + shrink * noisy / betas[time]) / precision)
        variances.append(1 / precision)
    return torch.stack(means), torch.stack(variances)


def predict_x0(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    """Row by row: take the noise away, then undo the shrinking."""
    rows = []
    for row, time, epsilon in zip(xt, t.tolist(), noise, strict=True):
        scale, variance = _carried(time, betas)
        rows.append((row - variance.sqrt() * epsilon) / scale)
    return torch.stack(rows)


def simple_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    """Row by row."""
    xt, total = add_noise(x0, t, noise, betas), x0.new_zeros(())
    for row, time, epsilon in zip(xt, t, noise, strict=True):
        difference = model(row[None], time[None])[0] - epsilon
        total = total + (difference * difference).sum()
    return total / len(x0)


def bound_term(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    """The divergence of two multivariate normal laws by torch.distributions."""
    xt = add_noise(x0, t, noise, betas)
    guess = predict_x0(xt, t, model(xt, t), betas)
    (mean, variance), (other, _) = posterior(x0, xt, t, betas), posterior(guess, xt, t, betas)
    deviation = variance.sqrt()[:, None].expand_as(mean)
    laws = torch.distributions.Normal(mean, deviation), torch.distributions.Normal(other, deviation)
    return torch.distributions.kl_divergence(*laws).sum(1)


def law_of_denoising_step(model: Model, x: Tensor, t: int, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (n, m) and deviation () of an ancestral step."""
    times = torch.full((len(x),), t)
    mean, variance = posterior(predict_x0(x, times, model(x, times), betas), x, times, betas)
    return mean, variance[0].sqrt()


def law_of_sample(model: Model, m: int, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (m,) of samples for a model that is affine in each dimension: every step is affine in x."""
    mean, variance = betas.new_zeros(1, m), betas.new_ones(m)
    for t in reversed(range(len(betas))):
        at_mean, deviation = law_of_denoising_step(model, mean, t, betas)
        gain = law_of_denoising_step(model, mean + 1, t, betas)[0] - at_mean  # (1, m)
        mean, variance = at_mean, gain[0] ** 2 * variance + deviation**2
    return mean[0], variance.sqrt()


def ddim_step(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    """In the coordinates x / sqrt(alpha_bar) the step is one along the noise."""
    noise = model(x, torch.full((len(x),), t))
    scale, variance = _carried(t, betas)
    scale_before, variance_before = _carried(previous, betas)
    return scale_before * (x / scale + (variance_before.sqrt() / scale_before - variance.sqrt() / scale) * noise)


def guided_noise(model: Callable[..., Tensor], x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    """Row by row: from the prediction with a label, `scale` times the way from the one without."""
    rows = []
    for i in range(len(x)):
        with_label, without = model(x[i : i + 1], t[i : i + 1], label[i : i + 1])[0], model(x[i : i + 1], t[i : i + 1], None)[0]
        rows.append(with_label + scale * (with_label - without))
    return torch.stack(rows)


def _carried(t: int, betas: Tensor) -> tuple[Tensor, Tensor]:
    """What is left of the data, and the variance of the noise, after the steps 0..t: one step at a time."""
    scale, variance = betas.new_ones(()), betas.new_zeros(())
    for beta in betas[: t + 1]:
        scale, variance = scale * (1 - beta).sqrt(), (1 - beta) * variance + beta
    return scale, variance
