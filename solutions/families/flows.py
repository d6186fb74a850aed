# %% [markdown]
# # Normalizing flows and neural ODEs
#
# **NF** and **NODE** on the lecture's timeline (slides 3 to 22). Both are the change of variables theorem (slide 26) made into a
# model: an invertible map $\mathbf z=\mathbf f(\mathbf x)$ from data to noise *gives* the density of the data,
#
# $$\log p(\mathbf x)=\log p_z(\mathbf f(\mathbf x))+\log\lvert\det\mathbf J_{\mathbf f}(\mathbf x)\rvert .$$
#
# A determinant of $m\times m$ numbers costs $m^3$ operations. What makes a flow a flow is a map whose determinant is
# *cheap*, and yet no simple map: many simple layers in a row (Dinh et al., [Real NVP](https://arxiv.org/abs/1605.08803),
# 2016), or infinitely many infinitely thin ones (Chen et al., [Neural ODEs](https://arxiv.org/abs/1806.07366), 2018).
#
# *Conventions.* The first axis is the batch. The dtype follows the inputs. Nothing you are given is changed. Callables are
# batched and treat every row alone. Results are differentiable in `x` and in what the callables hold.

# %%
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

Net = Callable[[Tensor], tuple[Tensor, Tensor]]  # (n, m // 2) -> (n, m - m // 2) twice
Layer = Callable[[Tensor], tuple[Tensor, Tensor]]  # (n, m) -> (n, m), (n,)
Field = Callable[[float, Tensor], Tensor]  # t, (n, m) -> (n, m)
LogDensity = Callable[[Tensor], Tensor]  # (n, m) -> (n,)

# %% [markdown]
# ## Affine coupling
#
# Leave the first half $\mathbf x_1$ of a vector alone, and let it decide how the second half is stretched and shifted:
#
# $$\mathbf z_1=\mathbf x_1,\qquad\mathbf z_2=\mathbf x_2\odot e^{\mathbf s(\mathbf x_1)}+\mathbf t(\mathbf x_1).$$
#
# The Jacobian is triangular, whatever networks $\mathbf s$ and $\mathbf t$ are: ones for $\mathbf z_1$, the scales
# $e^{s_j}$ for $\mathbf z_2$. Its log-determinant is one sum.


# %% affine_coupling
def affine_coupling(x: Float[Tensor, "n m"], net: Net) -> tuple[Float[Tensor, "n m"], Float[Tensor, " n"]]:
    r"""One coupling layer, from data to noise, with the log-determinant of its Jacobian.

    $$\mathbf z_1=\mathbf x_1,\quad\mathbf z_2=\mathbf x_2\odot e^{\text{log\_scale}}+\text{shift},\qquad
    \mathbf x_1=\texttt{x[:, :m // 2]}$$

    Shapes: ``x``: ``(n, m)``, ``m >= 2``; ``net(x_1)`` gives ``(log_scale, shift)``, both ``(n, m - m // 2)``;
    result ``(n, m)`` and ``(n,)``.
    Source: slides 3 to 22 (NF) and 26; Dinh et al. 2016, section 3.2.

    >>> affine_coupling(torch.tensor([[1.0, 2.0]]), lambda x: (0 * x, x))
    (tensor([[1., 3.]]), tensor([0.]))
    """
    # BEGIN SOLUTION affine_coupling
    half = x.shape[1] // 2
    log_scale, shift = net(x[:, :half])
    z_2 = x[:, half:] * log_scale.exp() + shift
    return torch.cat([x[:, :half], z_2], dim=1), log_scale.sum(dim=1)
    # END SOLUTION affine_coupling


# %% tags=["active-ipynb"]
# show("affine_coupling")


# %% [markdown]
# Going back is as cheap: $\mathbf z_1=\mathbf x_1$ is still there, so the same scales and shifts can be computed again. The
# networks themselves never have to be inverted.


# %% inverse_affine_coupling
def inverse_affine_coupling(z: Float[Tensor, "n m"], net: Net) -> Float[Tensor, "n m"]:
    r"""The data that a coupling layer maps to the given noise.

    $$\mathbf x_1=\mathbf z_1,\qquad\mathbf x_2=(\mathbf z_2-\text{shift})\odot e^{-\text{log\_scale}}$$

    Shapes: ``z``: ``(n, m)``, ``m >= 2``; ``net`` as in ``affine_coupling``; result ``(n, m)``.
    Source: slides 3 to 22 (NF) and 26; Dinh et al. 2016, section 3.3.

    >>> inverse_affine_coupling(torch.tensor([[1.0, 3.0]]), lambda x: (0 * x, x))
    tensor([[1., 2.]])
    """
    # BEGIN SOLUTION inverse_affine_coupling
    half = z.shape[1] // 2
    log_scale, shift = net(z[:, :half])
    return torch.cat([z[:, :half], (z[:, half:] - shift) * (-log_scale).exp()], dim=1)
    # END SOLUTION inverse_affine_coupling


# %% [markdown]
# ## Layer after layer
#
# Determinants of a composition multiply, so log-determinants add, each taken where its layer meets the data:
#
# $$\log p(\mathbf x)=\log p_z(\mathbf h_L)+\sum_{l=1}^L\log\lvert\det\mathbf J_{\mathbf f_l}(\mathbf h_{l-1})\rvert,
# \qquad\mathbf h_0=\mathbf x,\ \mathbf h_l=\mathbf f_l(\mathbf h_{l-1}).$$


# %% flow_log_prob
def flow_log_prob(layers: Sequence[Layer], log_p_z: LogDensity, x: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    r"""Log-density of data under a flow: layers from data to noise, in the order of the list.

    $$\log p(\mathbf x)=\log p_z(\mathbf f_L\circ\dots\circ\mathbf f_1(\mathbf x))+\sum_l\log\lvert\det\mathbf J_{\mathbf f_l}\rvert$$

    Without layers the data are the noise.

    Shapes: a layer maps ``(n, m)`` to ``(n, m)`` and the log-determinant ``(n,)``; ``log_p_z``: ``(n, m) -> (n,)``;
    ``x``: ``(n, m)``; result ``(n,)``, in nats.
    Source: slides 3 to 22 (NF) and 26.

    >>> flow_log_prob([lambda x: (2 * x, torch.full((len(x),), 0.75))], lambda z: -z.sum(1), torch.tensor([[1.0]]))
    tensor([-1.2500])
    """
    # BEGIN SOLUTION flow_log_prob
    log_dets = []
    for layer in layers:
        x, log_det = layer(x)
        log_dets.append(log_det)
    return log_p_z(x) + sum(log_dets)
    # END SOLUTION flow_log_prob


# %% [markdown]
# All of it at work: six of your couplings, each with a small network, are trained by your `flow_log_prob` in some seconds. The same layers
# give the density, the way to noise, and, backwards, samples.

# %% tags=["active-ipynb"]
# show("flow_log_prob")


# %% [markdown]
# ## Infinitely many layers: an ordinary differential equation
#
# Take a layer that hardly moves anything, $\mathbf x+h\,\mathbf f(t,\mathbf x)$, and ever more of them: the data follow the
# field $\mathbf f$, $\dot{\mathbf x}=\mathbf f(t,\mathbf x)$. To compute where they arrive one takes steps after all, but good
# ones. The classical Runge-Kutta step asks the field four times,
#
# $$\mathbf k_1=\mathbf f(t,\mathbf x),\quad\mathbf k_2=\mathbf f(t+\tfrac h2,\mathbf x+\tfrac h2\mathbf k_1),\quad
# \mathbf k_3=\mathbf f(t+\tfrac h2,\mathbf x+\tfrac h2\mathbf k_2),\quad\mathbf k_4=\mathbf f(t+h,\mathbf x+h\mathbf k_3),$$
#
# and moves by $\frac h6(\mathbf k_1+2\mathbf k_2+2\mathbf k_3+\mathbf k_4)$. Half the step, a sixteenth of the error. Backwards in
# time $h$ is negative, and nothing else changes: that is why the ODE is invertible.


# %% runge_kutta
def runge_kutta(f: Field, x: Float[Tensor, "n m"], t0: float, t1: float, steps: int) -> Float[Tensor, "n m"]:
    r"""Where a field carries ``x`` from time ``t0`` to ``t1``, by equal steps of the classical fourth-order method.

    $$\mathbf x\leftarrow\mathbf x+\tfrac h6(\mathbf k_1+2\mathbf k_2+2\mathbf k_3+\mathbf k_4),\qquad h=\frac{t_1-t_0}{\text{steps}}$$

    Differentiable in ``x`` and in what ``f`` holds; ``t1`` may lie before ``t0``.

    Shapes: ``f(t, x)`` takes a Python float and ``(n, m)`` and gives ``(n, m)``; ``x``: ``(n, m)``; result ``(n, m)``.
    Source: slides 3 to 22 (NODE); Chen et al. 2018.

    >>> runge_kutta(lambda t, x: x, torch.ones(1, 1), 0.0, 1.0, 1)
    tensor([[2.7083]])
    """
    # BEGIN SOLUTION runge_kutta
    h = (t1 - t0) / steps
    for i in range(steps):
        t = t0 + i * h
        k_1 = f(t, x)
        k_2 = f(t + h / 2, x + h / 2 * k_1)
        k_3 = f(t + h / 2, x + h / 2 * k_2)
        k_4 = f(t + h, x + h * k_3)
        x = x + h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)
    return x
    # END SOLUTION runge_kutta


# %% tags=["active-ipynb"]
# show("runge_kutta")


# %% [markdown]
# ## The volume that a field creates
#
# How much does a small cube grow while it is carried along? By the **divergence** of the field, the trace of its Jacobian:
#
# $$\nabla\cdot\mathbf f=\sum_j\frac{\partial f_j}{\partial x_j}.$$
#
# It needs $m$ derivatives, one for each dimension, for each row of the batch alone. One trains through it, so it has to be
# differentiable itself.


# %% divergence
def divergence(f: Field, t: float, x: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    r"""Divergence of a field at each row, exact, by automatic differentiation.

    $$\nabla\cdot\mathbf f(t,\mathbf x)=\sum_j\frac{\partial f_j(t,\mathbf x)}{\partial x_j}$$

    The field may mix the dimensions of a row, never rows. Differentiable in ``x`` and in what ``f`` holds.

    Shapes: ``f``: ``t, (n, m) -> (n, m)``; ``x``: ``(n, m)``; result ``(n,)``.
    Source: slides 3 to 22 (NODE); Chen et al. 2018, theorem 1.

    >>> divergence(lambda t, x: t * x, 2.0, torch.zeros(1, 3))
    tensor([6.])
    """
    # BEGIN SOLUTION divergence
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: f(t, row[None])[0]))(x)  # (n, m, m)
    return jacobian.diagonal(dim1=1, dim2=2).sum(dim=1)
    # END SOLUTION divergence


# %% [markdown]
# For images $m$ derivatives are too many. A trace can be *estimated* from products with random vectors whose covariance is the
# identity (Hutchinson), each of which costs one pass through the network:
#
# $$\mathrm{tr}\,J=\mathbb E\,\mathbf v^\top J\mathbf v .$$
#
# FFJORD (Grathwohl et al., [2018](https://arxiv.org/abs/1810.01367)) is a neural ODE with this estimate.


# %% hutchinson_divergence
def hutchinson_divergence(
    f: Field, t: float, x: Float[Tensor, "n m"], v: Float[Tensor, "s n m"]
) -> Float[Tensor, " n"]:
    r"""Estimate of the divergence of a field at each row, from given probes.

    $$\frac1s\sum_s\mathbf v_s^\top\frac{\partial\mathbf f(t,\mathbf x)}{\partial\mathbf x}\mathbf v_s$$

    The probes may follow any law; use them as they are. Differentiable in ``x`` and in what ``f`` holds.

    Shapes: ``f``: ``t, (n, m) -> (n, m)``; ``x``: ``(n, m)``; ``v``: ``(s, n, m)``; result ``(n,)``.
    Source: slides 3 to 22 (NODE); Grathwohl et al. 2018, section 3.1.

    >>> hutchinson_divergence(lambda t, x: 3 * x, 0.0, torch.zeros(1, 2), torch.ones(1, 1, 2))
    tensor([6.])
    """
    # BEGIN SOLUTION hutchinson_divergence
    _, pull_back = torch.func.vjp(lambda rows: f(t, rows), x)
    (products,) = torch.func.vmap(pull_back)(v)  # v^T J: (s, n, m)
    return (products * v).sum(dim=2).mean(dim=0)
    # END SOLUTION hutchinson_divergence


# %% [markdown]
# ## The likelihood of a neural ODE
#
# Carry data to noise, $\mathbf z(0)=\mathbf x$, and add up the volume created on the way: the instantaneous change of variables
#
# $$\log p(\mathbf x)=\log p_z(\mathbf z(1))+\int_0^1\nabla\cdot\mathbf f(t,\mathbf z(t))\,dt .$$
#
# The integral is one more coordinate of the state, whose velocity is the divergence: append it, and let `runge_kutta` carry
# both at once. No determinant is left.


# %% ode_log_prob
def ode_log_prob(f: Field, log_p_z: LogDensity, x: Float[Tensor, "n m"], steps: int) -> Float[Tensor, " n"]:
    r"""Log-density of data that an ODE carries to noise, with the divergence exact.

    $$\log p(\mathbf x)=\log p_z(\mathbf z(1))+\int_0^1\nabla\cdot\mathbf f(t,\mathbf z(t))\,dt,\qquad
    \mathbf z(0)=\mathbf x,\ \dot{\mathbf z}=\mathbf f(t,\mathbf z)$$

    State and integral come from one run of ``runge_kutta`` from 0 to 1.

    Shapes: ``f``: ``t, (n, m) -> (n, m)``; ``log_p_z``: ``(n, m) -> (n,)``; ``x``: ``(n, m)``; result ``(n,)``, in nats.
    Source: slides 3 to 22 (NF) and 26; Chen et al. 2018, section 4.

    >>> ode_log_prob(lambda t, x: 0 * x + t, lambda z: -z.sum(1), torch.ones(1, 1), 2)
    tensor([-1.5000])
    """
    # BEGIN SOLUTION ode_log_prob
    def augmented(t: float, state: Tensor) -> Tensor:
        z = state[:, :-1]
        return torch.cat([f(t, z), divergence(f, t, z)[:, None]], dim=1)

    start = torch.cat([x, torch.zeros_like(x[:, :1])], dim=1)  # (n, m + 1)
    end = runge_kutta(augmented, start, 0.0, 1.0, steps)
    return log_p_z(end[:, :-1]) + end[:, -1]
    # END SOLUTION ode_log_prob


# %% [markdown]
# A small network as the field, trained by your `ode_log_prob`. A step of training asks the field often, so there are few of them here.

# %% tags=["active-ipynb"]
# show("ode_log_prob")
