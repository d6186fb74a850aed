"""Flows one number at a time: couplings entry by entry, Runge-Kutta from its tableau, divergences one derivative after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Field = Callable[[float, Tensor], Tensor]

# The classical fourth-order method as its Butcher tableau: times, slopes that enter each stage, weights.
TIMES = (0.0, 0.5, 0.5, 1.0)
STAGES: tuple[tuple[float, ...], ...] = ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0))
WEIGHTS = (1 / 6, 1 / 3, 1 / 3, 1 / 6)


def affine_coupling(x: Tensor, net: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Entry by entry of each row."""
    half, rows, log_dets = x.shape[1] // 2, [], []
    for row in x:
        log_scale, shift = (part[0] for part in net(row[None, :half]))
        second = [row[half + j] * log_scale[j].exp() + shift[j] for j in range(len(row) - half)]
        rows.append(torch.stack([*row[:half], *second]))
        log_dets.append(sum(log_scale, row.new_zeros(())))
    return torch.stack(rows), torch.stack(log_dets)


def inverse_affine_coupling(z: Tensor, net: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Entry by entry of each row."""
    half, rows = z.shape[1] // 2, []
    for row in z:
        log_scale, shift = (part[0] for part in net(row[None, :half]))
        second = [(row[half + j] - shift[j]) / log_scale[j].exp() for j in range(len(row) - half)]
        rows.append(torch.stack([*row[:half], *second]))
    return torch.stack(rows)


def flow_log_prob(layers: Sequence[Callable[..., tuple[Tensor, Tensor]]], log_p_z: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Row by row: each row walks through the layers alone."""
    rows = []
    for row in x:
        h, total = row[None], row.new_zeros(())
        for layer in layers:
            h, log_det = layer(h)
            total = total + log_det[0]
        rows.append(log_p_z(h)[0] + total)
    return torch.stack(rows)


def runge_kutta(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    """By the tableau."""
    h = (t1 - t0) / steps
    for i in range(steps):
        slopes: list[Tensor] = []
        for time, stage in zip(TIMES, STAGES, strict=True):
            at = x + h * sum((a * k for a, k in zip(stage, slopes, strict=False)), torch.zeros_like(x))
            slopes.append(f(t0 + (i + time) * h, at))
        x = x + h * sum((w * k for w, k in zip(WEIGHTS, slopes, strict=True)), torch.zeros_like(x))
    return x


def divergence(f: Field, t: float, x: Tensor) -> Tensor:
    """One partial derivative after the other, forward mode, row by row."""
    m = x.shape[1]
    rows = []
    for row in x:
        total = row.new_zeros(())
        for j in range(m):
            direction = torch.eye(m, dtype=x.dtype)[j]
            slope = torch.func.jvp(lambda r: f(t, r[None])[0], (row,), (direction,))[1]
            total = total + slope[j]
        rows.append(total)
    return torch.stack(rows)


def hutchinson_divergence(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    """v^T (J v), forward mode, probe by probe and row by row."""
    rows = []
    for i, row in enumerate(x):
        total = row.new_zeros(())
        for probe in v[:, i]:
            slope = torch.func.jvp(lambda r: f(t, r[None])[0], (row,), (probe,))[1]
            total = total + (probe * slope).sum()
        rows.append(total / len(v))
    return torch.stack(rows)


def ode_log_prob(f: Field, log_p_z: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Tensor:
    """The integral beside the state, not inside it: at the stages of the state the tableau weighs the divergences."""
    h, integral = 1 / steps, x.new_zeros(len(x))
    for i in range(steps):
        slopes: list[Tensor] = []
        for time, stage, weight in zip(TIMES, STAGES, WEIGHTS, strict=True):
            t = (i + time) * h
            at = x + h * sum((a * k for a, k in zip(stage, slopes, strict=False)), torch.zeros_like(x))
            slopes.append(f(t, at))
            integral = integral + h * weight * divergence(f, t, at)
        x = x + h * sum((w * k for w, k in zip(WEIGHTS, slopes, strict=True)), torch.zeros_like(x))
    return log_p_z(x) + integral
