"""Public families of decoders: log p(x | z) as a VAE has it, `(n, m)` and `(n, d)` to `(n,)`, row by row."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from grader.sandbox.wire.families import family

Decoder = Callable[[Tensor, Tensor], Tensor]


@family
def linear_decoder(W: Tensor, b: Tensor, sigma: Tensor) -> Decoder:
    """(x, z) -> log N(x; W z + b, sigma^2 I), with W: (m, d), b: (m,), sigma: ()."""

    def log_p(x: Tensor, z: Tensor) -> Tensor:
        _refuse_unless_rows(x, z, *W.shape)
        residual = (x - z @ W.T.to(z.dtype) - b) / sigma  # (n, m)
        return (-0.5 * residual.square() - sigma.log() - 0.5 * math.log(2 * math.pi)).sum(dim=1)

    return log_p


@family
def bernoulli_decoder(W: Tensor, b: Tensor) -> Decoder:
    """(x, z) -> log-probability of bits x with the logits W z + b, with W: (m, d), b: (m,)."""

    def log_p(x: Tensor, z: Tensor) -> Tensor:
        _refuse_unless_rows(x, z, *W.shape)
        logits = z @ W.T.to(z.dtype) + b  # (n, m)
        return (x * logits - F.softplus(logits)).sum(dim=1)

    return log_p


@family
def half_space_decoder(c: Tensor) -> Decoder:
    """(x, z) -> 0 where z_1 > c, -inf elsewhere: a likelihood that is zero on half of the latent space."""

    def log_p(x: Tensor, z: Tensor) -> Tensor:
        _refuse_unless_rows(x, z, x.shape[-1], z.shape[-1])
        return torch.where(z[:, 0] > c, 0.0, -math.inf).to(z.dtype) + 0.0 * x.sum(dim=1)

    return log_p


@family
def first_code_decoder() -> Decoder:
    """(x, z) -> z_1, a view of z: what is done to the answer in place is done to z."""
    return lambda x, z: z[:, 0]


@family
def shifted_decoder(c: Tensor, decoder: Decoder) -> Decoder:
    """(x, z) -> c + log p(x | z): a likelihood times e^c, with c: ()."""
    return lambda x, z: c + decoder(x, z)


def _refuse_unless_rows(x: Tensor, z: Tensor, m: int, d: int) -> None:
    if x.ndim != 2 or z.ndim != 2 or len(x) != len(z) or (x.shape[1], z.shape[1]) != (m, d):
        raise ValueError(f"log_p_x_given_z takes x of shape (n, {m}) and z of shape (n, {d}), got {tuple(x.shape)} and {tuple(z.shape)}")
