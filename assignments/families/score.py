# %% [markdown]
# # Score-based models
#
# **NCSN** and **Score SDE** on the lecture's timeline (slides 3 to 22; Song & Ermon,
# [Generative Modeling by Estimating Gradients of the Data Distribution](https://arxiv.org/abs/1907.05600), 2019; Song et al.,
# [Score-Based Generative Modeling through SDEs](https://arxiv.org/abs/2011.13456), 2020).
#
# An energy-based model samples with the score $\nabla\log p(\mathbf x)$ alone. So why learn the energy? What makes a model
# score-based: a network *is* the score, $\mathbf s_\theta(\mathbf x)\approx\nabla\log p(\mathbf x)$, a field of arrows that point to
# where data are more likely. No partition function appears anywhere.
#
# Far from all data there is nothing to learn from, and there a sampler starts. The remedy is noise: learn the scores of the data
# with noise of every strength $\sigma$, from strong to weak, and follow them in that order.
#
# *Conventions.* The first axis is the batch. The dtype follows the inputs. Nothing you are given is changed. All randomness comes
# from `generator`. A network gets its noise level or time as a tensor `(n,)`, one for each row, of the dtype of `x`.

# %%
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Score = Callable[[Tensor, Tensor], Tensor]  # x: (n, m), sigma or t: (n,) -> (n, m)

# %% [markdown]
# ## Learning a score from noise
#
# Nobody knows the score of the data. But of *noisy* data, $\mathbf x+\sigma\boldsymbol\varepsilon$, one knows for each sample where
# it came from: the score of $\mathcal N(\mathbf x,\sigma^2I)$ at that point is $-\boldsymbol\varepsilon/\sigma$. A network that
# predicts it by least squares learns its average, and that is the score of the noisy data (Vincent, 2011). Weighed by
# $\sigma^2$, all noise levels count alike:
#
# $$\frac1n\sum_i\big\Vert\sigma_i\,\mathbf s(\mathbf x_i+\sigma_i\boldsymbol\varepsilon_i,\sigma_i)+\boldsymbol\varepsilon_i\big\Vert^2 .$$


# %% denoising_score_loss
def denoising_score_loss(
    score: Score, x: Float[Tensor, "n m"], noise: Float[Tensor, "n m"], sigma: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    r"""Denoising score matching with a noise level for each row.

    $$\frac1n\sum_i\Vert\sigma_i\,s(\mathbf x_i+\sigma_i\boldsymbol\varepsilon_i,\sigma_i)+\boldsymbol\varepsilon_i\Vert^2$$

    Shapes: ``score``: ``(n, m), (n,) -> (n, m)``; ``x``, ``noise``: ``(n, m)``; ``sigma``: ``(n,)``, positive; result ``()``.
    Source: slides 3 to 22 (NCSN); Song & Ermon 2019, equations 5 and 6.

    >>> denoising_score_loss(lambda x, sigma: 0 * x, torch.zeros(2, 3), torch.ones(2, 3), torch.ones(2))
    tensor(3.)
    """
    raise NotImplementedError("denoising_score_loss")


# %% [markdown]
# ## Learning a score without noise
#
# One can also do without the true score altogether. Integration by parts turns $\frac12\mathbb E\Vert\mathbf s-\nabla\log p\Vert^2$
# into something that knows the data by samples alone, up to a constant (Hyvärinen, 2005):
#
# $$\mathbb E_{p}\Big[\nabla\cdot\mathbf s(\mathbf x)+\frac12\Vert\mathbf s(\mathbf x)\Vert^2\Big].$$
#
# Arrows should be short at data (a mode), and run together there (a negative divergence). It costs $m$ derivatives.


# %% implicit_score_loss
def implicit_score_loss(score: Callable[[Tensor], Tensor], x: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    r"""Implicit score matching, with the divergence exact.

    $$\frac1n\sum_i\big(\nabla\cdot s(\mathbf x_i)+\tfrac12\Vert s(\mathbf x_i)\Vert^2\big)$$

    Differentiable in the score's parameters.

    Shapes: ``score``: ``(n, m) -> (n, m)``, without a noise level; ``x``: ``(n, m)``; result ``()``.
    Source: slides 3 to 22 (NCSN); Song & Ermon 2019, equation 1; Hyvärinen 2005.

    >>> implicit_score_loss(lambda x: -x, torch.zeros(2, 3))
    tensor(-3.)
    """
    raise NotImplementedError("implicit_score_loss")


# %% [markdown]
# ## A score is a denoiser
#
# Given a noisy point, what is the best guess of the clean one? **Tweedie's formula**: walk along the score, by $\sigma^2$. Every
# score model is a denoiser, and every denoiser a score model.
#
# $$\mathbb E[\mathbf x_0\mid\mathbf x]=\mathbf x+\sigma^2\nabla\log p_\sigma(\mathbf x).$$


# %% denoise
def denoise(score: Score, x: Float[Tensor, "n m"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n m"]:
    r"""Mean of the clean data given noisy data, by Tweedie's formula.

    $$\mathbb E[\mathbf x_0\mid\mathbf x]=\mathbf x+\sigma^2s(\mathbf x,\sigma)$$

    Shapes: ``score``: ``(n, m), (n,) -> (n, m)``; ``x``: ``(n, m)``; ``sigma``: ``(n,)``, positive; result ``(n, m)``.
    Source: slides 3 to 22 (NCSN); Efron, Tweedie's formula and selection bias, 2011.

    >>> denoise(lambda x, sigma: -x / (1 + sigma[:, None] ** 2), torch.tensor([[2.0]]), torch.tensor([1.0]))
    tensor([[1.]])
    """
    raise NotImplementedError("denoise")


# %% [markdown]
# The true scores of eight heaps at three noise levels, beside those of a small network that your `denoising_score_loss` trains in some
# seconds.

# %% [markdown]
# ## From strong noise to weak noise
#
# Neighbouring levels have to overlap, so they stand in a fixed *ratio*: a geometric sequence.


# %% noise_levels
def noise_levels(largest: float, smallest: float, count: int) -> Float[Tensor, " count"]:
    r"""A geometric sequence of noise levels, from the largest down to the smallest, both included.

    ``count = 1`` gives the largest alone. The result has the default float dtype.

    Shapes: result ``(count,)``.
    Source: slides 3 to 22 (NCSN); Song & Ermon 2019, section 4.1.

    >>> noise_levels(4.0, 1.0, 3)
    tensor([4., 2., 1.])
    """
    raise NotImplementedError("noise_levels")


# %% [markdown]
# **Annealed Langevin dynamics** takes some Langevin steps at each level, and hands over to the next. The steps shrink with the noise,
# $\alpha_i\propto\sigma_i^2$, so that drift and noise keep their proportion:
#
# $$\mathbf x\leftarrow\mathbf x+\frac{\alpha_i}2\,\mathbf s(\mathbf x,\sigma_i)+\sqrt{\alpha_i}\,\boldsymbol\varepsilon,\qquad
# \alpha_i=\text{step}\cdot\frac{\sigma_i^2}{\sigma_L^2} .$$


# %% annealed_langevin
def annealed_langevin(
    score: Score, x: Float[Tensor, "n m"], sigmas: Float[Tensor, " L"], steps: int, step: float, generator: torch.Generator
) -> Float[Tensor, "n m"]:
    r"""Langevin dynamics through all noise levels, in the order of the list.

    $$\mathbf x\leftarrow\mathbf x+\frac{\alpha_i}2s(\mathbf x,\sigma_i)+\sqrt{\alpha_i}\,\boldsymbol\varepsilon,\qquad
    \alpha_i=\text{step}\cdot\sigma_i^2/\sigma_L^2$$

    ``steps`` steps at each level; $\sigma_L$ is the last level; no denoising at the end.

    Shapes: ``score``: ``(n, m), (n,) -> (n, m)``; ``x``: ``(n, m)``; ``sigmas``: ``(L,)``; result ``(n, m)``.
    Source: slides 3 to 22 (NCSN); Song & Ermon 2019, algorithm 1.

    >>> annealed_langevin(lambda x, s: -x, torch.zeros(2, 3), torch.ones(1), 2, 0.1, torch.Generator()).shape
    torch.Size([2, 3])
    """
    raise NotImplementedError("annealed_langevin")


# %% [markdown]
# ## Infinitely many noise levels: a stochastic differential equation
#
# The variance-preserving SDE, $d\mathbf x=-\frac12\beta\mathbf x\,dt+\sqrt\beta\,d\mathbf w$ with
# $\beta(t)=\beta_{min}+t(\beta_{max}-\beta_{min})$, shrinks data and adds noise until only noise is left. It is linear, so what has
# become of a sample at time $t$ is Gaussian, and known:
#
# $$\mathbf x_t\mid\mathbf x_0\sim\mathcal N\big(e^{-B/2}\mathbf x_0,\ (1-e^{-B})I\big),\qquad
# B=\int_0^t\beta(s)\,ds .$$
#
# For tiny $t$ the number $e^{-B}$ is nearly one, and $1-e^{-B}$ loses its digits; `torch.expm1` keeps them.


# %% vp_marginal
def vp_marginal(
    x0: Float[Tensor, "n m"], t: Float[Tensor, " n"], beta_min: float, beta_max: float
) -> tuple[Float[Tensor, "n m"], Float[Tensor, " n"]]:
    r"""Mean and standard deviation of the data at time $t$ of the variance-preserving SDE.

    $$e^{-B/2}\,\mathbf x_0,\qquad\sqrt{1-e^{-B}},\qquad B=\int_0^t\beta(s)\,ds$$

    The standard deviation keeps its digits for tiny $t$.

    Shapes: ``x0``: ``(n, m)``; ``t``: ``(n,)`` in ``[0, 1]``; result ``(n, m)`` and ``(n,)``.
    Source: slides 3 to 22 (Score SDE); Song et al. 2020, equation 33.

    >>> vp_marginal(torch.ones(1, 1), torch.ones(1), 1.0, 3.0)
    (tensor([[0.3679]]), tensor([0.9299]))
    """
    raise NotImplementedError("vp_marginal")


# %% [markdown]
# ## And back
#
# Anderson's theorem: a diffusion that runs backwards in time is a diffusion again, whose drift needs one thing more, the score. One
# Euler-Maruyama step back, from $t$ to $t-dt$:
#
# $$\mathbf x+\beta(t)\Big(\frac12\mathbf x+\mathbf s(\mathbf x,t)\Big)dt+\sqrt{\beta(t)\,dt}\,\boldsymbol\varepsilon .$$


# %% reverse_sde_step
def reverse_sde_step(
    score: Score, x: Float[Tensor, "n m"], t: float, dt: float, beta_min: float, beta_max: float, generator: torch.Generator
) -> Float[Tensor, "n m"]:
    r"""One Euler-Maruyama step of the reverse-time variance-preserving SDE, from ``t`` to ``t - dt``.

    $$\mathbf x+\beta(t)\big(\tfrac12\mathbf x+s(\mathbf x,t)\big)dt+\sqrt{\beta(t)\,dt}\,\boldsymbol\varepsilon$$

    Shapes: ``score``: ``(n, m), (n,) -> (n, m)``; ``x``: ``(n, m)``; ``t``: a Python number; result ``(n, m)``.
    Source: slides 3 to 22 (Score SDE); Song et al. 2020, equation 6.

    >>> reverse_sde_step(lambda x, t: -x, torch.zeros(2, 3), 1.0, 0.1, 0.1, 20.0, torch.Generator()).shape
    torch.Size([2, 3])
    """
    raise NotImplementedError("reverse_sde_step")


# %% [markdown]
# There is a way back without noise, too. The ordinary differential equation
#
# $$\dot{\mathbf x}=-\frac12\beta(t)\big(\mathbf x+\mathbf s(\mathbf x,t)\big)$$
#
# moves every point so that at each time the *law* of all points is that of the SDE. It makes a score model a neural ODE.


# %% probability_flow_drift
def probability_flow_drift(
    score: Score, x: Float[Tensor, "n m"], t: float, beta_min: float, beta_max: float
) -> Float[Tensor, "n m"]:
    r"""Velocity, forward in time, of the ODE whose marginals are those of the variance-preserving SDE.

    $$-\tfrac12\beta(t)\big(\mathbf x+s(\mathbf x,t)\big)$$

    Shapes: ``score``: ``(n, m), (n,) -> (n, m)``; ``x``: ``(n, m)``; ``t``: a Python number; result ``(n, m)``.
    Source: slides 3 to 22 (Score SDE); Song et al. 2020, equation 13.

    >>> probability_flow_drift(lambda x, t: 0 * x, torch.ones(1, 1), 0.0, 1.0, 20.0)
    tensor([[-0.5000]])
    """
    raise NotImplementedError("probability_flow_drift")
