"""Public families of noise models `(x, t) -> (n, m)`, with t an int64 index for each row, `(n,)`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from grader.sandbox.wire.families import family

Model = Callable[[Tensor, Tensor], Tensor]
LabelledModel = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@family
def noise_net(A: Tensor, b: Tensor) -> Model:
    """(x, t) -> A x + (t + 1) b, with A: (m, m), b: (m,)."""

    def model(x: Tensor, t: Tensor) -> Tensor:
        _refuse_unless_indices(x, t)
        return x @ A.T.to(x.dtype) + (t[:, None] + 1).to(x.dtype) * b

    return model


@family
def constant_noise(e: Tensor) -> Model:
    """(x, t) -> e, wherever x is, with e: (m,)."""

    def model(x: Tensor, t: Tensor) -> Tensor:
        _refuse_unless_indices(x, t)
        return e + 0.0 * x

    return model


@family
def identity_noise() -> Model:
    """(x, t) -> x, that very tensor: what is done to the answer in place is done to x."""

    def model(x: Tensor, t: Tensor) -> Tensor:
        _refuse_unless_indices(x, t)
        return x

    return model


@family
def gaussian_noise_model(mu: Tensor, tau: Tensor, betas: Tensor) -> Model:
    """The exact noise model of data N(mu, diag(tau^2)): the mean of the noise given x, with mu, tau: (m,)."""
    alpha_bar = torch.cumprod(1 - betas, dim=0)

    def model(x: Tensor, t: Tensor) -> Tensor:
        _refuse_unless_indices(x, t)
        a = alpha_bar[t][:, None]
        return (1 - a).sqrt() * (x - a.sqrt() * mu) / (a * tau.square() + 1 - a)

    return model


@family
def label_net(A: Tensor, E: Tensor) -> LabelledModel:
    """(x, t, label) -> A x + t/10 + the label's row of E; the last row of E without a label. A: (m, m), E: (labels + 1, m).

    No number stands for that last row: -1 is the last label, and the number of labels is none.
    """

    def model(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        _refuse_unless_indices(x, t)
        if label is not None and (label.shape != x.shape[:1] or label.dtype != torch.int64):
            raise ValueError(f"model takes a label for each row, int64, or None; got {tuple(label.shape)}, {label.dtype}")
        row = E[-1].expand_as(x) if label is None else E[:-1][label]
        return x @ A.T.to(x.dtype) + 0.1 * t[:, None].to(x.dtype) + row

    return model


@family
def identity_label_net() -> LabelledModel:
    """(x, t, label) -> x, that very tensor, with and without a label."""

    def model(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        _refuse_unless_indices(x, t)
        return x

    return model


def _refuse_unless_indices(x: Tensor, t: Tensor) -> None:
    if not isinstance(t, Tensor) or t.shape != x.shape[:1] or t.dtype != torch.int64:
        what = f"{tuple(t.shape)}, {t.dtype}" if isinstance(t, Tensor) else type(t).__name__
        raise ValueError(f"model takes an int64 index for each row: t of shape {tuple(x.shape[:1])}; got {what}")
