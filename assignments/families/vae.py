# %% [markdown]
# # Variational autoencoders
#
# The timeline of the lecture begins with the VAE: *the first scalable approach for image generation* (slides 3 to 22; Kingma &
# Welling, [Auto-Encoding Variational Bayes](https://arxiv.org/abs/1312.6114), 2013).
#
# A **latent variable model** tells how data come about: draw a short code $\mathbf z\sim p(\mathbf z)=\mathcal N(0,I)$,
# then data $\mathbf x\sim p_\theta(\mathbf x\mid\mathbf z)$. That is easy to sample and hard to train: the likelihood
#
# $$p_\theta(\mathbf x)=\int p_\theta(\mathbf x\mid\mathbf z)\,p(\mathbf z)\,d\mathbf z$$
#
# is an integral over all codes, and nearly none of them explains a given image. What makes a VAE a VAE is a second
# network, the **encoder**, which guesses the codes that do: $q(\mathbf z\mid\mathbf x)=\mathcal N(\boldsymbol\mu(\mathbf x),
# \mathrm{diag}\,e^{\boldsymbol\ell(\mathbf x)})$. With it the integral gets a lower bound that one can train.
#
# Everywhere below `mu` and `log_var` ($\boldsymbol\ell$) are what the encoder gave, both `(n, d)`, and
# `log_p_x_given_z(x, z)` maps `(n, m)` and `(n, d)` to `(n,)`, for any `n`, row by row.
#
# *Conventions.* The first axis is the batch. The dtype follows the inputs. Nothing you are given is changed. All
# randomness comes from `generator`. A probability of zero is a log-probability of `-inf`, never `nan`.

# %%
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

LogLikelihood = Callable[[Tensor, Tensor], Tensor]  # x: (n, m), z: (n, d) -> (n,)

# %% [markdown]
# ## How far the guess is from the prior
#
# Two Gaussians have a Kullback-Leibler divergence in closed form; nothing has to be sampled. Dimension by dimension it
# compares a mean with 0 and a variance $e^{\ell_j}$ with 1:
#
# $$D_{KL}(q\Vert\mathcal N(0,I))=\frac12\sum_j\big(\mu_j^2+e^{\ell_j}-1-\ell_j\big).$$


# %% gaussian_kl
def gaussian_kl(mu: Float[Tensor, "n d"], log_var: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    r"""KL divergence of the approximate posterior from the standard normal prior, for each row.

    $$D_{KL}(q\Vert\mathcal N(0,I))=\frac12\sum_j(\mu_j^2+e^{\ell_j}-1-\ell_j)$$

    Shapes: ``mu``, ``log_var``: ``(n, d)``; result ``(n,)``, in nats.
    Source: slides 3 to 22 (VAE); Kingma & Welling 2013, appendix B.

    >>> gaussian_kl(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
    tensor([2.5000])
    """
    raise NotImplementedError("gaussian_kl")


# %% [markdown]
# ## A draw that one can differentiate
#
# The bound below is an average over $\mathbf z\sim q$, and $q$ is what we train: the draw itself must tell how it moves
# when $\boldsymbol\mu$ and $\boldsymbol\ell$ move. So we draw noise that does not depend on them, and shift and scale it:
#
# $$\mathbf z=\boldsymbol\mu+e^{\boldsymbol\ell/2}\odot\boldsymbol\varepsilon,\qquad\boldsymbol\varepsilon\sim\mathcal N(0,I).$$


# %% reparametrize
def reparametrize(
    mu: Float[Tensor, "n d"], log_var: Float[Tensor, "n d"], generator: torch.Generator
) -> Float[Tensor, "n d"]:
    r"""One draw from the approximate posterior of each row, differentiable in its mean and log-variance.

    $$\mathbf z=\boldsymbol\mu+e^{\ell/2}\odot\boldsymbol\varepsilon,\qquad\boldsymbol\varepsilon\sim\mathcal N(0,I)$$

    Shapes: ``mu``, ``log_var``: ``(n, d)``; result ``(n, d)``.
    Source: slides 3 to 22 (VAE); Kingma & Welling 2013, section 2.4.

    >>> reparametrize(torch.tensor([[3.0]]), torch.tensor([[-40.0]]), torch.Generator()).shape
    torch.Size([1, 1])
    """
    raise NotImplementedError("reparametrize")


# %% [markdown]
# ## The evidence lower bound
#
# By Jensen's inequality (slide 25), for *every* $q$,
#
# $$\log p(\mathbf x)=\log\mathbb E_{q}\frac{p(\mathbf x\mid\mathbf z)\,p(\mathbf z)}{q(\mathbf z\mid\mathbf x)}
# \;\ge\;\mathbb E_{q}\log p(\mathbf x\mid\mathbf z)-D_{KL}(q(\mathbf z\mid\mathbf x)\Vert p(\mathbf z)).$$
#
# The first term asks that codes explain the data, the second that they stay near the prior, from which we shall sample.
# The expectation is an average over draws `z: (s, n, d)`; the divergence is known exactly, so use what you have written.


# %% elbo
def elbo(
    log_p_x_given_z: LogLikelihood,
    mu: Float[Tensor, "n d"],
    log_var: Float[Tensor, "n d"],
    x: Float[Tensor, "n m"],
    z: Float[Tensor, "s n d"],
) -> Float[Tensor, " n"]:
    r"""Evidence lower bound of each row, from ``s`` draws of its approximate posterior and the divergence in closed form.

    $$\frac1s\sum_s\log p(\mathbf x\mid\mathbf z_s)-D_{KL}(q(\mathbf z\mid\mathbf x)\Vert p(\mathbf z))$$

    Shapes: ``log_p_x_given_z``: ``(n, m), (n, d) -> (n,)``, for any ``n``; ``mu``, ``log_var``: ``(n, d)``;
    ``x``: ``(n, m)``; ``z``: ``(s, n, d)``, drawn from $q$ already, gradients flow through it; result ``(n,)``, in nats.
    Source: slides 3 to 22 (VAE); Kingma & Welling 2013, equation 10.

    >>> elbo(lambda x, z: -(x - z).square().sum(1), torch.ones(1, 1), torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(2, 1, 1))
    tensor([-1.5000])
    """
    raise NotImplementedError("elbo")


# %% [markdown]
# ## A tighter bound from the same draws
#
# Average *before* the logarithm and the bound rises with every further sample, up to $\log p(\mathbf x)$ itself
# (Burda et al., [Importance Weighted Autoencoders](https://arxiv.org/abs/1509.00519), 2015):
#
# $$\log\frac1s\sum_s w_s,\qquad w_s=\frac{p(\mathbf x\mid\mathbf z_s)\,p(\mathbf z_s)}{q(\mathbf z_s\mid\mathbf x)}.$$
#
# If $q$ is the true posterior, every single weight *is* $p(\mathbf x)$, whatever $\mathbf z_s$ (Bayes' rule). For an image
# $w_s$ may be $e^{-3000}$, which no float holds: stay with logarithms until the end.


# %% importance_bound
def importance_bound(
    log_p_x_given_z: LogLikelihood,
    mu: Float[Tensor, "n d"],
    log_var: Float[Tensor, "n d"],
    x: Float[Tensor, "n m"],
    z: Float[Tensor, "s n d"],
) -> Float[Tensor, " n"]:
    r"""Importance-weighted lower bound of each row; right where every weight under- or overflows.

    $$\log\frac1s\sum_s\frac{p(\mathbf x\mid\mathbf z_s)\,p(\mathbf z_s)}{q(\mathbf z_s\mid\mathbf x)}$$

    ``-inf`` where every weight is zero.

    Shapes: ``log_p_x_given_z``: ``(n, m), (n, d) -> (n,)``, for any ``n``; ``mu``, ``log_var``: ``(n, d)``;
    ``x``: ``(n, m)``; ``z``: ``(s, n, d)``, gradients flow through it; result ``(n,)``, in nats.
    Source: slides 3 to 22 (VAE); Burda et al. 2015, equation 8.

    >>> mu = log_var = torch.zeros(1, 1)
    >>> importance_bound(lambda x, z: -z.sum(1), mu, log_var, torch.ones(1, 1), torch.tensor([[[0.0]], [[1.0]]]))
    tensor([-0.3799])
    """
    raise NotImplementedError("importance_bound")


# %% [markdown]
# Both bounds at work. The second picture trains: a small encoder and a small decoder, by your `reparametrize` and your `elbo`, in some
# seconds. One number is all that a code has there, so the evidence can be computed, too. (`show("elbo", steps=100)` trains less.)

# %% [markdown]
# ## When the true posterior is known
#
# For a *linear* decoder, $\mathbf x=W\mathbf z+\sigma\boldsymbol\varepsilon$ (probabilistic PCA), everything is Gaussian, also
# $p(\mathbf z\mid\mathbf x)$. Its precision is the prior's, $I$, plus what the data add; its mean solves a ridge regression:
#
# $$\Sigma=\Big(I+\frac{W^\top W}{\sigma^2}\Big)^{-1},\qquad
# \mathbb E[\mathbf z\mid\mathbf x]=\frac{1}{\sigma^2}\,\Sigma\,W^\top\mathbf x.$$
#
# No encoder can do better: with this $q$ the bound is the evidence.


# %% optimal_posterior
def optimal_posterior(
    W: Float[Tensor, "m d"], sigma: Float[Tensor, ""], x: Float[Tensor, "n m"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "d d"]]:
    r"""Mean and covariance of the codes given the data, for a linear decoder and Gaussian noise.

    $$p(\mathbf z\mid\mathbf x)\quad\text{for}\quad\mathbf x=W\mathbf z+\sigma\boldsymbol\varepsilon,\quad\mathbf z\sim\mathcal N(0,I)$$

    The model has no mean, so ``x`` is not centred. ``W`` may have any rank, and more columns than rows.

    Shapes: ``W``: ``(m, d)``; ``sigma``: ``()``, positive; ``x``: ``(n, m)``; result ``(n, d)`` and ``(d, d)``.
    Source: slides 3 to 22 (VAE); Tipping & Bishop, Probabilistic Principal Component Analysis, 1999.

    >>> optimal_posterior(torch.tensor([[1.0]]), torch.tensor(1.0), torch.tensor([[3.0]]))
    (tensor([[1.5000]]), tensor([[0.5000]]))
    """
    raise NotImplementedError("optimal_posterior")
