# %% [markdown]
# # Flow matching
#
# **FM**, the youngest entry of the lecture's timeline (slides 3 to 22; Lipman et al.,
# [Flow Matching for Generative Modeling](https://arxiv.org/abs/2210.02747), 2022; Liu et al.,
# [Rectified Flow](https://arxiv.org/abs/2209.03003), 2022).
#
# A neural ODE carries noise to data, but to train it by likelihood one has to solve the ODE, over and over. What makes flow matching:
# *say first* which way each sample goes, on a straight line from a noise sample to a data sample, and train the field by plain
# regression on the velocities of these lines. Many lines cross at a point; least squares learns their average velocity there, and the
# field of averages moves the law of noise to the law of data all the same.
#
# *Conventions.* $\mathbf x_0\sim\mathcal N(0,I)$ is noise, $\mathbf x_1$ data, $t$ runs from 0 to 1. `v(x, t) -> (n, m)` gets one time
# for each row, `t: (n,)`. The first axis is the batch. The dtype follows the inputs. Nothing you are given is changed.

# %%
from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]  # x: (n, m), t: (n,) -> (n, m)

# %% [markdown]
# ## A straight line
#
# $$\mathbf x_t=(1-t)\,\mathbf x_0+t\,\mathbf x_1,\qquad\dot{\mathbf x}_t=\mathbf x_1-\mathbf x_0 .$$


# %% conditional_path
def conditional_path(
    x0: Float[Tensor, "n m"], x1: Float[Tensor, "n m"], t: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
    r"""Where the straight line from noise to data is at a time of its own for each row, and its velocity.

    $$\mathbf x_t=(1-t)\mathbf x_0+t\mathbf x_1,\qquad\dot{\mathbf x}_t=\mathbf x_1-\mathbf x_0$$

    Shapes: ``x0``, ``x1``: ``(n, m)``; ``t``: ``(n,)`` in ``[0, 1]``; result ``(n, m)`` and ``(n, m)``.
    Source: slides 3 to 22 (FM); Lipman et al. 2022, section 4.1.

    >>> conditional_path(torch.tensor([[0.0]]), torch.tensor([[4.0]]), torch.tensor([0.25]))
    (tensor([[1.]]), tensor([[4.]]))
    """
    raise NotImplementedError("conditional_path")


# %% flow_matching_loss
def flow_matching_loss(
    v: Velocity, x0: Float[Tensor, "n m"], x1: Float[Tensor, "n m"], t: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    r"""How far a field is from the velocities of the lines, where the lines are.

    $$\frac1n\sum_i\Vert v(\mathbf x_{t_i},t_i)-(\mathbf x_1-\mathbf x_0)_i\Vert^2$$

    Shapes: ``v``: ``(n, m), (n,) -> (n, m)``; ``x0``, ``x1``: ``(n, m)``; ``t``: ``(n,)``; result ``()``.
    Source: slides 3 to 22 (FM); Lipman et al. 2022, equation 9.

    >>> flow_matching_loss(lambda x, t: 0 * x, torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2))
    tensor(3.)
    """
    raise NotImplementedError("flow_matching_loss")


# %% [markdown]
# ## Sampling
#
# Follow the field from noise, at $t=0$, to data, at $t=1$. Where the paths are nearly straight even Euler's method needs few steps:
#
# $$\mathbf x\leftarrow\mathbf x+\frac1k\,v\Big(\mathbf x,\frac ik\Big),\qquad i=0,\dots,k-1 .$$


# %% euler_sample
def euler_sample(v: Velocity, x0: Float[Tensor, "n m"], steps: int) -> Float[Tensor, "n m"]:
    r"""Where a field carries noise from time 0 to time 1, by equal Euler steps, the field at the start of each.

    $$\mathbf x\leftarrow\mathbf x+\tfrac1k\,v(\mathbf x,\tfrac ik),\qquad i=0,\dots,k-1,\quad k=\texttt{steps}$$

    Shapes: ``v``: ``(n, m), (n,) -> (n, m)``; ``x0``: ``(n, m)``; result ``(n, m)``.
    Source: slides 3 to 22 (FM); Liu et al. 2022, section 2.

    >>> euler_sample(lambda x, t: x, torch.ones(1, 1), 2)
    tensor([[2.2500]])
    """
    raise NotImplementedError("euler_sample")


# %% [markdown]
# ## The average velocity, where one can compute it
#
# For Gaussian data $\mathcal N(\boldsymbol\mu,\mathrm{diag}\,\boldsymbol\sigma^2)$ and independent noise, $\mathbf x_1-\mathbf x_0$ and
# $\mathbf x_t$ are jointly Gaussian in each dimension, and the average of one given the other is a line (slide 27: the best prediction
# under squared error is the conditional mean):
#
# $$\mathbb E[\mathbf x_1-\mathbf x_0\mid\mathbf x_t=\mathbf x]=\boldsymbol\mu
# +\frac{t\boldsymbol\sigma^2-(1-t)}{(1-t)^2+t^2\boldsymbol\sigma^2}\,(\mathbf x-t\boldsymbol\mu).$$


# %% gaussian_velocity
def gaussian_velocity(
    x: Float[Tensor, "n m"], t: Float[Tensor, " n"], mu: Float[Tensor, " m"], sigma: Float[Tensor, " m"]
) -> Float[Tensor, "n m"]:
    r"""The field that flow matching learns for Gaussian data.

    $$\mathbb E[\mathbf x_1-\mathbf x_0\mid\mathbf x_t=\mathbf x]
    \quad\text{for data }\mathcal N(\boldsymbol\mu,\mathrm{diag}\,\boldsymbol\sigma^2)$$

    Right at both ends of time; where ``sigma`` is 0, for ``t < 1``.

    Shapes: ``x``: ``(n, m)``; ``t``: ``(n,)``; ``mu``, ``sigma``: ``(m,)``; result ``(n, m)``.
    Source: slides 3 to 22 (FM) and 27; Lipman et al. 2022, theorem 1.

    >>> gaussian_velocity(torch.ones(1, 1), torch.zeros(1), torch.tensor([3.0]), torch.tensor([2.0]))
    tensor([[2.]])
    """
    raise NotImplementedError("gaussian_velocity")


# %% [markdown]
# ## One more name for the same thing
#
# With Gaussian noise a velocity is a score in disguise, and a model of one is a model of the other:
#
# $$\nabla\log p_t(\mathbf x)=\frac{t\,v(\mathbf x,t)-\mathbf x}{1-t} .$$


# %% score_from_velocity
def score_from_velocity(
    velocity: Float[Tensor, "n m"], x: Float[Tensor, "n m"], t: Float[Tensor, " n"]
) -> Float[Tensor, "n m"]:
    r"""Score of the law at time $t$, from the value of the average velocity.

    $$\nabla\log p_t(\mathbf x)=\frac{t\,v(\mathbf x,t)-\mathbf x}{1-t}$$

    Shapes: ``velocity``, ``x``: ``(n, m)``; ``t``: ``(n,)`` in ``[0, 1)``; result ``(n, m)``.
    Source: slides 3 to 22 (FM, Score SDE); Lipman et al. 2022.

    >>> score_from_velocity(torch.tensor([[6.0]]), torch.tensor([[1.0]]), torch.tensor([0.5]))
    tensor([[4.]])
    """
    raise NotImplementedError("score_from_velocity")


# %% [markdown]
# ## Straighter paths
#
# Noise and data are paired at random, so lines cross, and the averaged paths bend. Within a batch one may choose the pairs: those whose
# lines are shortest in sum never cross (minibatch optimal transport; Tong et al., [2023](https://arxiv.org/abs/2302.00482)),
#
# $$\min_{\text{perm}}\sum_i\big\Vert\mathbf x_{0,i}-\mathbf x_{1,\text{perm}_i}\big\Vert^2 .$$


# %% optimal_pairs
def optimal_pairs(x0: Float[Tensor, "n m"], x1: Float[Tensor, "n m"]) -> Int[Tensor, " n"]:
    r"""The data sample for each noise sample, so that the lines are shortest in sum of squares.

    $$\arg\min_{\text{perm}}\sum_i\Vert\mathbf x_{0,i}-\mathbf x_{1,\text{perm}_i}\Vert^2$$

    Any minimiser is right.

    Shapes: ``x0``, ``x1``: ``(n, m)``, ``n <= 7``; result ``(n,)``, int64, a permutation of ``0..n-1``.
    Source: slides 3 to 22 (FM); Tong et al. 2023, section 3.

    >>> optimal_pairs(torch.tensor([[0.0], [5.0]]), torch.tensor([[6.0], [1.0]]))
    tensor([1, 0])
    """
    raise NotImplementedError("optimal_pairs")


# %% [markdown]
# The lines of both kinds of pairs, and two small networks that your `flow_matching_loss` trains on them in some seconds.
