"""Change of variables by another road: derivatives along one axis at a time, sample by sample; singular values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.functional import jvp, vjp  # torch.func imports the compiler: 1 s

Map = Callable[[Tensor], Tensor]


def jacobian(f: Map, x: Tensor) -> Tensor:
    """The matrix of partial derivatives of f at each row of x: column b is the derivative along the b-th axis."""
    rows = []
    for x_i in x.split(1):  # (1, m)
        axes = torch.eye(x.shape[1], dtype=x.dtype).split(1)
        columns = [jvp(f, x_i, axis)[1][0] for axis in axes]
        rows.append(torch.stack(columns, dim=1))
    return torch.stack(rows)  # (n, m, m)


def log_abs_det_jacobian(f: Map, x: Tensor) -> Tensor:
    """The singular values are the factors by which f stretches a small ball; their product is the change of volume."""
    return torch.linalg.svdvals(jacobian(f, x)).log().sum(dim=1)


def log_prob_x(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    """One sample at a time: the log-density of its latent and the volume change at the sample."""
    return torch.cat([log_p_z(f(x_i)) + log_abs_det_jacobian(f, x_i) for x_i in x.split(1)])


def log_prob_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    """One latent at a time: the log-density of the sample it came from and the volume change at the latent."""
    return torch.cat([log_p_x(f_inverse(z_i)) + log_abs_det_jacobian(f_inverse, z_i) for z_i in z.split(1)])


def rounding_of_log_abs_det(f: Map, x: Tensor) -> Tensor:
    """m kappa(J) for each row: the roundoffs that a factorisation of the Jacobian may put into log|det J|."""
    return x.shape[1] * torch.linalg.cond(jacobian(f, x))


def rounding_of_log_prob(f: Map, log_p: Map, x: Tensor) -> Tensor:
    """For each row, the roundoffs of log|det J|, of the latent (through the slope of log_p) and of log_p itself."""
    z = f(x)
    slope = vjp(lambda z: log_p(z).sum(), z)[1]  # (n, m)
    return rounding_of_log_abs_det(f, x) + (slope * z).abs().sum(dim=1) + log_p(z).abs()
