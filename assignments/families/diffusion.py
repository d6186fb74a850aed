# %% [markdown]
# # Diffusion models
#
# **DPM** and **DDPM** on the lecture's timeline, and what stands behind text-to-image and video (slides 3 to 22; Sohl-Dickstein et
# al., [2015](https://arxiv.org/abs/1503.03585); Ho et al., [Denoising Diffusion Probabilistic
# Models](https://arxiv.org/abs/2006.11239), 2020).
#
# What makes a diffusion model: destroying an image is easy, so *fix* how it is destroyed, by a little noise in each of $T$ steps,
# $q(\mathbf x_t\mid\mathbf x_{t-1})=\mathcal N(\sqrt{1-\beta_t}\,\mathbf x_{t-1},\beta_tI)$, and *learn* to undo one step. A step is
# so small that undoing it is nearly Gaussian, and one network serves all of them.
#
# *Conventions.* The first axis is the batch. The dtype follows the floating inputs. Nothing you are given is changed. All randomness
# comes from `generator`. `betas: (T,)` in $(0,1)$. A time is an index `0..T-1`; $\mathbf x_t$ has $t+1$ steps of noise, and the
# index $-1$ means the data $\mathbf x_0$ themselves (`x0`), with $\bar\alpha_{-1}=1$. `model(x, t)` predicts the noise and gets
# `t: (n,) int64`. Nothing is clipped.

# %%
from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Model = Callable[[Tensor, Tensor], Tensor]  # x: (n, m), t: (n,) int64 -> (n, m)
LabelledModel = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # with labels (n,) int64, or None

# %% [markdown]
# ## Many steps at once
#
# Each step shrinks by $\sqrt{\alpha_t}$, $\alpha_t=1-\beta_t$, and adds the noise that is missing to variance one. Normal
# distributions add up to a normal distribution, so all steps to $t$ are one:
#
# $$\mathbf x_t=\sqrt{\bar\alpha_t}\,\mathbf x_0+\sqrt{1-\bar\alpha_t}\,\boldsymbol\varepsilon,\qquad
# \bar\alpha_t=\prod_{s\le t}\alpha_s .$$


# %% alpha_bar
def alpha_bar(betas: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    r"""How much of the signal's variance is left after each step.

    $$\bar\alpha_t=\prod_{s\le t}(1-\beta_s)$$

    Shapes: ``betas``: ``(T,)``; result ``(T,)``.
    Source: slides 3 to 22 (DDPM); Ho et al. 2020, equation 4.

    >>> alpha_bar(torch.tensor([0.5, 0.5]))
    tensor([0.5000, 0.2500])
    """
    raise NotImplementedError("alpha_bar")


# %% add_noise
def add_noise(
    x0: Float[Tensor, "n m"], t: Int[Tensor, " n"], noise: Float[Tensor, "n m"], betas: Float[Tensor, " T"]
) -> Float[Tensor, "n m"]:
    r"""Data after all steps up to a time of its own for each row, with the given noise.

    $$\mathbf x_t=\sqrt{\bar\alpha_t}\,\mathbf x_0+\sqrt{1-\bar\alpha_t}\,\boldsymbol\varepsilon$$

    Shapes: ``x0``, ``noise``: ``(n, m)``; ``t``: ``(n,)``, int64 in ``0..T-1``; ``betas``: ``(T,)``; result ``(n, m)``.
    Source: slides 3 to 22 (DDPM); Ho et al. 2020, equation 4.

    >>> add_noise(torch.tensor([[5.0]]), torch.tensor([0]), torch.tensor([[10.0]]), torch.tensor([0.36]))
    tensor([[10.]])
    """
    raise NotImplementedError("add_noise")


# %% [markdown]
# ## One step back, if one knew the data
#
# Bayes' rule with three Gaussians: given $\mathbf x_t$ *and* $\mathbf x_0$, the step before is Gaussian, too. It lies between the
# two, the nearer to $\mathbf x_0$ the less noise is left:
#
# $$\tilde{\boldsymbol\mu}=\frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t}\,\mathbf x_0
# +\frac{\sqrt{\alpha_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}\,\mathbf x_t,\qquad
# \tilde\beta_t=\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t .$$
#
# At $t=0$ the step before is the data: mean $\mathbf x_0$, variance 0.


# %% posterior
def posterior(
    x0: Float[Tensor, "n m"], xt: Float[Tensor, "n m"], t: Int[Tensor, " n"], betas: Float[Tensor, " T"]
) -> tuple[Float[Tensor, "n m"], Float[Tensor, " n"]]:
    r"""Mean and variance of the step before, given the data and the noisy data.

    $$q(\mathbf x_{t-1}\mid\mathbf x_t,\mathbf x_0)=\mathcal N(\tilde{\boldsymbol\mu},\tilde\beta_tI)$$

    At ``t = 0`` the mean is ``x0`` and the variance exactly 0.

    Shapes: ``x0``, ``xt``: ``(n, m)``; ``t``: ``(n,)``, int64; ``betas``: ``(T,)``; result ``(n, m)`` and ``(n,)``.
    Source: slides 3 to 22 (DDPM); Ho et al. 2020, equations 6 and 7.

    >>> posterior(torch.ones(1, 1), torch.zeros(1, 1), torch.tensor([1]), torch.tensor([0.36, 0.4375]))
    (tensor([[0.5469]]), tensor([0.2461]))
    """
    raise NotImplementedError("posterior")


# %% [markdown]
# ## The network predicts the noise
#
# Nobody knows $\mathbf x_0$ on the way back. But to know the noise in $\mathbf x_t$ is to know the data: solve `add_noise` for them,
#
# $$\hat{\mathbf x}_0=\frac{\mathbf x_t-\sqrt{1-\bar\alpha_t}\,\boldsymbol\varepsilon}{\sqrt{\bar\alpha_t}} .$$


# %% predict_x0
def predict_x0(
    xt: Float[Tensor, "n m"], t: Int[Tensor, " n"], noise: Float[Tensor, "n m"], betas: Float[Tensor, " T"]
) -> Float[Tensor, "n m"]:
    r"""The data that the given noise has made into ``xt``: the inverse of ``add_noise``.

    $$\frac{\mathbf x_t-\sqrt{1-\bar\alpha_t}\,\boldsymbol\varepsilon}{\sqrt{\bar\alpha_t}}$$

    Shapes: ``xt``, ``noise``: ``(n, m)``; ``t``: ``(n,)``, int64; ``betas``: ``(T,)``; result ``(n, m)``.
    Source: slides 3 to 22 (DDPM); Ho et al. 2020, equation 15.

    >>> predict_x0(torch.tensor([[10.0]]), torch.tensor([0]), torch.tensor([[10.0]]), torch.tensor([0.36]))
    tensor([[5.]])
    """
    raise NotImplementedError("predict_x0")


# %% [markdown]
# Training is plain regression: draw data, a time and noise, and ask for the noise.
#
# $$\frac1n\sum_i\big\Vert\boldsymbol\varepsilon_i-\boldsymbol\varepsilon_\theta(\mathbf x_{t_i},t_i)\big\Vert^2 .$$


# %% simple_loss
def simple_loss(
    model: Model, x0: Float[Tensor, "n m"], t: Int[Tensor, " n"], noise: Float[Tensor, "n m"], betas: Float[Tensor, " T"]
) -> Float[Tensor, ""]:
    r"""DDPM's simple loss: how far the predicted noise is from the true one.

    $$\frac1n\sum_i\Vert\boldsymbol\varepsilon_i-\boldsymbol\varepsilon_\theta(\mathbf x_{t_i},t_i)\Vert^2,\qquad
    \mathbf x_t\text{ from }\texttt{add\_noise}$$

    Shapes: ``model``: ``(n, m), (n,) int64 -> (n, m)``; ``x0``, ``noise``: ``(n, m)``; ``t``: ``(n,)``, int64; result ``()``.
    Source: slides 3 to 22 (DDPM); Ho et al. 2020, equation 14.

    >>> simple_loss(lambda x, t: 0 * x, torch.zeros(2, 3), torch.tensor([0, 0]), torch.ones(2, 3), torch.tensor([0.5]))
    tensor(3.)
    """
    raise NotImplementedError("simple_loss")


# %% [markdown]
# Why is that more than a trick? The model is a latent variable model with $T$ latents, and has an ELBO. Its terms are divergences of
# two Gaussians with *the same variance*: the true step back, and the model's, which puts the predicted data in place of the true
# ones. Only the means differ:
#
# $$D_{KL}\big(q(\mathbf x_{t-1}\mid\mathbf x_t,\mathbf x_0)\,\Vert\,p_\theta(\mathbf x_{t-1}\mid\mathbf x_t)\big)
# =\frac{1}{2\tilde\beta_t}\Vert\tilde{\boldsymbol\mu}(\mathbf x_t,\mathbf x_0)
# -\tilde{\boldsymbol\mu}(\mathbf x_t,\hat{\mathbf x}_0)\Vert^2 .$$
#
# In terms of the noise it is the simple loss, times a weight that depends on $t$ alone.


# %% bound_term
def bound_term(
    model: Model, x0: Float[Tensor, "n m"], t: Int[Tensor, " n"], noise: Float[Tensor, "n m"], betas: Float[Tensor, " T"]
) -> Float[Tensor, " n"]:
    r"""The term of the variational bound that belongs to one step back, for each row.

    $$D_{KL}(q(\mathbf x_{t-1}\mid\mathbf x_t,\mathbf x_0)\Vert p_\theta(\mathbf x_{t-1}\mid\mathbf x_t)),\qquad
    \mathbf x_t\text{ from }\texttt{add\_noise}$$

    $p_\theta$ is the law of ``denoising_step``.

    Shapes: ``model``: ``(n, m), (n,) int64 -> (n, m)``; ``x0``, ``noise``: ``(n, m)``; ``t``: ``(n,)``, int64 in ``1..T-1``;
    result ``(n,)``, in nats.
    Source: slides 3 to 22 (DPM); Sohl-Dickstein et al. 2015, equation 14; Ho et al. 2020, equation 5.

    >>> bound_term(lambda x, t: 0 * x, torch.zeros(1, 2), torch.tensor([1]), torch.ones(1, 2), torch.tensor([0.36, 0.4375]))
    tensor([2.1605])
    """
    raise NotImplementedError("bound_term")


# %% [markdown]
# ## Sampling
#
# Start with noise, and undo one step after the other: predict the noise, from it the data, and draw the step before *as if* they
# were the data. At the very end the guess itself is the sample.


# %% denoising_step
def denoising_step(
    model: Model, x: Float[Tensor, "n m"], t: int, betas: Float[Tensor, " T"], generator: torch.Generator
) -> Float[Tensor, "n m"]:
    r"""One ancestral step back, from time ``t`` to ``t - 1``.

    $$\mathbf x_{t-1}\sim\mathcal N(\tilde{\boldsymbol\mu},\tilde\beta_tI)$$

    Mean and variance are those of ``posterior`` at the predicted $\mathbf x_0$.

    At ``t = 0`` it is the mean itself.

    Shapes: ``model``: ``(n, m), (n,) int64 -> (n, m)``; ``x``: ``(n, m)``; ``t``: a Python int; result ``(n, m)``.
    Source: slides 3 to 22 (DDPM); Ho et al. 2020, algorithm 2.

    >>> denoising_step(lambda x, t: 0 * x, torch.full((1, 1), 0.8), 0, torch.tensor([0.36]), torch.Generator())
    tensor([[1.]])
    """
    raise NotImplementedError("denoising_step")


# %% sample
def sample(model: Model, n: int, m: int, betas: Float[Tensor, " T"], generator: torch.Generator) -> Float[Tensor, "n m"]:
    r"""Samples of the model: from standard normal noise through all steps, ``T - 1`` down to ``0``.

    Shapes: ``model``: ``(n, m), (n,) int64 -> (n, m)``; ``betas``: ``(T,)``; result ``(n, m)``, of the dtype of ``betas``.
    Source: slides 3 to 22 (DDPM); Ho et al. 2020, algorithm 2.

    >>> sample(lambda x, t: 0 * x, 2, 3, torch.tensor([0.5, 0.5]), torch.Generator()).shape
    torch.Size([2, 3])
    """
    raise NotImplementedError("sample")


# %% [markdown]
# ## Fewer steps, and no noise
#
# The same network allows another way back (Song et al., [DDIM](https://arxiv.org/abs/2010.02502), 2020): guess the data, and add the
# *predicted* noise again, for an earlier time, which may be far. Nothing is drawn; a thousand steps become twenty.


# %% ddim_step
def ddim_step(
    model: Model, x: Float[Tensor, "n m"], t: int, previous: int, betas: Float[Tensor, " T"]
) -> Float[Tensor, "n m"]:
    r"""The deterministic step from time ``t`` to an earlier time ``previous``.

    $$\sqrt{\bar\alpha_{\text{previous}}}\,\hat{\mathbf x}_0
    +\sqrt{1-\bar\alpha_{\text{previous}}}\;\boldsymbol\varepsilon_\theta(\mathbf x_t,t)$$

    ``previous = -1`` gives the predicted data.

    Shapes: ``model``: ``(n, m), (n,) int64 -> (n, m)``; ``x``: ``(n, m)``; ``t``, ``previous``: Python ints; result ``(n, m)``.
    Source: slides 3 to 22 (DDPM); Song et al. 2020, equation 12.

    >>> ddim_step(lambda x, t: 0 * x, torch.full((1, 1), 0.8), 0, -1, torch.tensor([0.36]))
    tensor([[1.]])
    """
    raise NotImplementedError("ddim_step")


# %% [markdown]
# All of it at work: a small network, trained by your `simple_loss` in some seconds, and both ways back.

# %% [markdown]
# ## What one asks for
#
# Text-to-image: the network gets a label, too, and has learned to do without one now and then. To make pictures *more* like the label
# than the data are, go beyond its prediction, away from the one without a label (Ho & Salimans,
# [Classifier-Free Guidance](https://arxiv.org/abs/2207.12598), 2022):
#
# $$(1+w)\,\boldsymbol\varepsilon(\mathbf x,t,y)-w\,\boldsymbol\varepsilon(\mathbf x,t,\varnothing) .$$


# %% guided_noise
def guided_noise(
    model: LabelledModel, x: Float[Tensor, "n m"], t: Int[Tensor, " n"], label: Int[Tensor, " n"], scale: float
) -> Float[Tensor, "n m"]:
    r"""Predicted noise under classifier-free guidance.

    $$(1+w)\,\varepsilon(\mathbf x,t,y)-w\,\varepsilon(\mathbf x,t,\varnothing),\qquad w=\texttt{scale}$$

    Shapes: ``model(x, t, label)`` gives ``(n, m)``; the empty label is ``None``; ``x``: ``(n, m)``; ``t``, ``label``: ``(n,)``,
    int64; result ``(n, m)``.
    Source: slides 3 to 22 (text-to-image); Ho & Salimans 2022, equation 6.

    >>> guided_noise(lambda x, t, label: x if label is None else 3 * x, torch.ones(1, 1), torch.tensor([0]), torch.tensor([1]), 0.5)
    tensor([[4.]])
    """
    raise NotImplementedError("guided_noise")
