"""Change of variables by another road: forward differentiation, column by column, sample by sample; singular values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def jacobian(f: Map, x: Tensor) -> Tensor:
    """The matrix of partial derivatives of f at each row of x: column b is the derivative along the b-th axis."""
    rows = []
    for x_i in x.split(1):  # (1, m)
        axes = torch.eye(x.shape[1], dtype=x.dtype).split(1)
        columns = [torch.func.jvp(f, (x_i,), (axis,))[1][0] for axis in axes]
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
    slope = torch.func.grad(lambda z: log_p(z).sum())(z)  # (n, m)
    return rounding_of_log_abs_det(f, x) + (slope * z).abs().sum(dim=1) + log_p(z).abs()


def planar_log_abs_det_gradients(u: Tensor, w: Tensor, b: Tensor, x: Tensor) -> list[Tensor]:
    """Gradients with respect to u, w, b and x of the sum over x of log|det J| of x + u tanh(w.x + b), in closed form.

    The Jacobian is I + h' u w^T with h = tanh(w.x + b), so its determinant is 1 + h' (u.w) by the determinant lemma.
    """
    h = torch.tanh(x @ w + b)
    slope = 1 - h**2  # h' (n,)
    determinant = 1 + slope * (u @ w)
    by_u = (slope / determinant).sum() * w
    by_activation = -2 * h * slope * (u @ w) / determinant  # d log|det| / d (w.x + b), (n,)
    by_w = (slope / determinant).sum() * u + by_activation @ x
    return [by_u, by_w, by_activation.sum(), by_activation[:, None] * w]


def planar_gaussian_gradients(
    u: Tensor, w: Tensor, b: Tensor, mu: Tensor, sigma: Tensor, x: Tensor
) -> list[Tensor]:
    """Gradients by u, w, b, mu, sigma, x of the sum over x of log N(f(x); mu, sigma^2) + log|det J|, with f planar."""
    h = torch.tanh(x @ w + b)
    slope = 1 - h**2
    error = (x + h[:, None] * u - mu) / sigma  # (n, m)
    by_z = -error / sigma  # d log N / dz, (n, m)
    by_activation = slope * (by_z @ u)  # through h, (n,)
    volume_u, volume_w, volume_b, volume_x = planar_log_abs_det_gradients(u, w, b, x)
    return [
        h @ by_z + volume_u,
        by_activation @ x + volume_w,
        by_activation.sum() + volume_b,
        -by_z.sum(dim=0),
        ((error**2 - 1) / sigma).sum(dim=0),
        by_z + by_activation[:, None] * w + volume_x,
    ]
