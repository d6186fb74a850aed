# %% [markdown]
# # Energy-based models
#
# **EBM** is the first entry of the lecture's timeline (slides 3 to 22; LeCun et al.,
# [A Tutorial on Energy-Based Learning](http://yann.lecun.com/exdb/publis/pdf/lecun-06.pdf), 2006; Du & Mordatch,
# [Implicit Generation and Modeling with Energy-Based Models](https://arxiv.org/abs/1903.08689), 2019).
#
# What makes a model an EBM: it says how *unlikely* a point is, by any function $E_\theta(\mathbf x)$ at all, and nothing else,
#
# $$p_\theta(\mathbf x)=\frac{e^{-E_\theta(\mathbf x)}}{Z_\theta},\qquad Z_\theta=\int e^{-E_\theta(\mathbf x)}\,d\mathbf x .$$
#
# No network is excluded. The price is $Z_\theta$: nobody can compute it, and yet training and sampling have to do without.
#
# *Conventions.* `energy: (n, m) -> (n,)`. The first axis is the batch. The dtype follows the inputs. Nothing you are given is
# changed. All randomness comes from `generator`. An energy of `+inf` is a probability of zero: a log-probability of `-inf`.

# %%
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Energy = Callable[[Tensor], Tensor]  # (n, m) -> (n,)
LogDensity = Callable[[Tensor], Tensor]  # (n, m) -> (n,), not necessarily normalised
Score = Callable[[Tensor], Tensor]  # (n, m) -> (n, m)

# %% [markdown]
# ## The partition function, where one can count
#
# With few enough states the integral is a sum. Energies may be of any size, their exponentials may not: take the largest out of
# the sum first (log-sum-exp).


# %% log_partition
def log_partition(energy: Energy, states: Float[Tensor, "S m"]) -> Float[Tensor, ""]:
    r"""Logarithm of the partition function over an enumerated set of states.

    $$\log Z=\log\sum_{\mathbf s}e^{-E(\mathbf s)}$$

    Right for energies of any size; a state of energy ``+inf`` adds nothing.

    Shapes: ``energy``: ``(n, m) -> (n,)``; ``states``: ``(S, m)``, all there are; result ``()``.
    Source: slides 3 to 22 (EBM); LeCun et al. 2006, section 1.3.

    >>> log_partition(lambda s: s.sum(1), torch.zeros(4, 1))
    tensor(1.3863)
    """
    raise NotImplementedError("log_partition")


# %% energy_log_prob
def energy_log_prob(energy: Energy, x: Float[Tensor, "n m"], states: Float[Tensor, "S m"]) -> Float[Tensor, " n"]:
    r"""Log-probability of each row of ``x`` among the enumerated states.

    $$\log p(\mathbf x)=-E(\mathbf x)-\log Z$$

    Shapes: ``energy``: ``(n, m) -> (n,)``; ``x``: ``(n, m)``; ``states``: ``(S, m)``, all there are; result ``(n,)``, in nats.
    Source: slides 3 to 22 (EBM).

    >>> energy_log_prob(lambda s: s.sum(1), torch.zeros(1, 1), torch.zeros(4, 1))
    tensor([-1.3863])
    """
    raise NotImplementedError("energy_log_prob")


# %% [markdown]
# ## Training without the partition function
#
# The gradient of the negative log-likelihood needs $\nabla\log Z$, and that is an expectation under the *model* (log-derivative
# trick, slide 25):
#
# $$\nabla_\theta\big(-\log p_\theta(\mathbf x)\big)=\nabla_\theta E_\theta(\mathbf x)
# -\mathbb E_{p_\theta(\tilde{\mathbf x})}\nabla_\theta E_\theta(\tilde{\mathbf x}).$$
#
# Pull the energy down at data, push it up at the model's own samples; where both are alike, the two cancel and training stops.
# The samples stand for an expectation: they are *constants*. A gradient through them would train something else.


# %% contrastive_loss
def contrastive_loss(
    energy: Energy, data: Float[Tensor, "n m"], samples: Float[Tensor, "k m"]
) -> Float[Tensor, ""]:
    r"""A loss whose gradient in the energy's parameters is that of the negative log-likelihood, by samples of the model.

    $$\frac1n\sum_iE(\mathbf x_i)-\frac1k\sum_jE(\tilde{\mathbf x}_j)$$

    No gradient reaches ``samples``, even if they carry a graph.

    Shapes: ``energy``: ``(n, m) -> (n,)``; ``data``: ``(n, m)``; ``samples``: ``(k, m)``; result ``()``.
    Source: slides 3 to 22 (EBM) and 25; Du & Mordatch 2019, equation 2.

    >>> contrastive_loss(lambda x: x.sum(1), torch.ones(2, 1), torch.zeros(3, 1))
    tensor(1.)
    """
    raise NotImplementedError("contrastive_loss")


# %% [markdown]
# ## Sampling without the partition function
#
# The **score** $\nabla\log p(\mathbf x)=-\nabla E(\mathbf x)$ does not contain $Z$. Langevin dynamics climbs along it and shakes:
#
# $$\mathbf x'=\mathbf x+\frac\eta2\nabla\log p(\mathbf x)+\sqrt\eta\,\boldsymbol\varepsilon,\qquad
# \boldsymbol\varepsilon\sim\mathcal N(0,I).$$
#
# Without the noise it would end on a mode; with it, and for ever smaller steps $\eta$, it ends in $p$.


# %% langevin_step
def langevin_step(score: Score, x: Float[Tensor, "n m"], step: float, generator: torch.Generator) -> Float[Tensor, "n m"]:
    r"""One step of unadjusted Langevin dynamics, with noise of its own for every row.

    $$\mathbf x+\frac{\eta}{2}\nabla\log p(\mathbf x)+\sqrt\eta\,\boldsymbol\varepsilon,\qquad\eta=\texttt{step}$$

    Shapes: ``score``: ``(n, m) -> (n, m)``; ``x``: ``(n, m)``; result ``(n, m)``.
    Source: slides 3 to 22 (EBM); Du & Mordatch 2019, equation 1.

    >>> langevin_step(lambda x: 0 * x, torch.zeros(2, 3), 0.1, torch.Generator()).shape
    torch.Size([2, 3])
    """
    raise NotImplementedError("langevin_step")


# %% [markdown]
# Walkers in a landscape that is given. Then one that is learned: a small network, trained by your `contrastive_loss` against your walkers.

# %% [markdown]
# ## Exactly right, for any step
#
# For a step that is not tiny the dynamics ends somewhere near $p$. A coin mends that: take the step as a mere *proposal*
# $\mathbf x'$, and accept it with the probability (Metropolis-Hastings; with this proposal, MALA)
#
# $$a=\min\Big(1,\frac{p(\mathbf x')\,q(\mathbf x\mid\mathbf x')}{p(\mathbf x)\,q(\mathbf x'\mid\mathbf x)}\Big),\qquad
# q(\mathbf x'\mid\mathbf x)=\mathcal N\Big(\mathbf x';\ \mathbf x+\frac\eta2\nabla\log p(\mathbf x),\ \eta I\Big).$$
#
# $Z$ cancels in the ratio. The proposal is not symmetric: the drift there and the drift back are different ones.


# %% metropolis_log_acceptance
def metropolis_log_acceptance(
    log_p: LogDensity, score: Score, x: Float[Tensor, "n m"], proposal: Float[Tensor, "n m"], step: float
) -> Float[Tensor, " n"]:
    r"""Log-probability that a Langevin proposal is accepted, for each row.

    $$\log\min\Big(1,\frac{p(\mathbf x')\,q(\mathbf x\mid\mathbf x')}{p(\mathbf x)\,q(\mathbf x'\mid\mathbf x)}\Big)$$

    At most 0; ``-inf`` where the proposal has density zero.

    Shapes: ``log_p``: ``(n, m) -> (n,)``, up to a constant; ``score``: its gradient, ``(n, m) -> (n, m)``, finite everywhere;
    ``x``: ``(n, m)``, of positive density; ``proposal``: ``(n, m)``; result ``(n,)``.
    Source: slides 3 to 22 (EBM); Roberts & Tweedie, Exponential convergence of Langevin distributions, 1996.

    >>> metropolis_log_acceptance(lambda x: -x[:, 0] ** 2 / 2, lambda x: -x, torch.ones(1, 1), torch.full((1, 1), 2.0), 1.0)
    tensor([-0.3750])
    """
    raise NotImplementedError("metropolis_log_acceptance")
