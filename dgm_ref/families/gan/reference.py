"""The two players term by term; the Wasserstein distance as an area between distribution functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def optimal_discriminator(p_data: Tensor, p_theta: Tensor) -> Tensor:
    """By Bayes' rule for each value: one over one plus the odds."""
    return torch.stack([_posterior(p, q) for p, q in zip(p_data, p_theta, strict=True)])


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Entropy of the middle minus the mean entropy, value by value, where the terms are written by their ratio to the middle."""
    p, q = torch.broadcast_tensors(p, q)
    rows = []
    for one, other in zip(p.reshape(-1, p.shape[-1]), q.reshape(-1, p.shape[-1]), strict=True):
        terms = [_half_term(a, a + b) + _half_term(b, a + b) for a, b in zip(one, other, strict=True)]
        rows.append(sum(terms, p.new_zeros(())))
    return torch.stack(rows).reshape(p.shape[:-1])


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Logit by logit."""
    real = sum((_minus_log_sigmoid(a) for a in real_logits), real_logits.new_zeros(())) / len(real_logits)
    return real + sum((_minus_log_sigmoid(-a) for a in fake_logits), real_logits.new_zeros(())) / len(fake_logits)


def generator_loss(fake_logits: Tensor, saturating: bool) -> Tensor:
    """Logit by logit."""
    terms = [-_minus_log_sigmoid(-a) if saturating else _minus_log_sigmoid(a) for a in fake_logits]
    return sum(terms, fake_logits.new_zeros(())) / len(fake_logits)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """Row by row, by torch.func."""
    slope = torch.func.grad(lambda row: critic(row[None])[0])
    total = real.new_zeros(())
    for a, b, share in zip(real, fake, u, strict=True):
        square = slope(share * a + (1 - share) * b).square().sum()
        total = total + (square.sqrt() - 1).square() if square > 0 else total + 1
    return total / len(real)


def wasserstein_1d(x: Tensor, y: Tensor) -> Tensor:
    """The area between the two empirical distribution functions."""
    points = torch.cat([x, y]).sort().values
    area = x.new_zeros(())
    for left, right in zip(points, points[1:], strict=False):
        area = area + (right - left) * abs(int((x <= left).sum()) - int((y <= left).sum())) / len(x)
    return area


def adaptive_instance_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Channel by channel, in two passes."""
    images = []
    for i in range(len(x)):
        channels = []
        for c in range(x.shape[1]):
            centred = x[i, c] - x[i, c].sum() / x[i, c].numel()
            variance = (centred * centred).sum() / centred.numel()
            channels.append(scale[i, c] * centred / torch.sqrt(variance + 1e-5) + bias[i, c])
        images.append(torch.stack(channels))
    return torch.stack(images)


def rounding_of_adaptive_instance_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """The size of what is rounded in each channel: the mean is as exact as the largest pixel."""
    deviation = (x.var(dim=(2, 3), correction=0) + 1e-5).sqrt()
    return (scale.abs() * x.abs().amax((2, 3)) / deviation + bias.abs())[:, :, None, None].expand_as(x)


def _posterior(p: Tensor, q: Tensor) -> Tensor:
    if p == 0:
        return p * 0 if q > 0 else p * math.nan
    return 1 / (1 + q / p)


def _half_term(a: Tensor, total: Tensor) -> Tensor:
    """a / 2 log(a / (total / 2))."""
    return a * 0 if a == 0 else a / 2 * (a.log() - total.log() + math.log(2))


def _minus_log_sigmoid(logit: Tensor) -> Tensor:
    return torch.log1p((-logit).exp()) if logit > 0 else torch.log1p(logit.exp()) - logit
