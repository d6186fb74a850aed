# %% [markdown]
# # Divergences
#
# The true law $p_{\text{data}}(\mathbf{x})$ is unknown; we look for a model $p_{\theta}(\mathbf{x})$ close to it.
# *Close* needs a **divergence** (slide 33): a mapping $D(\pi \Vert p)$ of two distributions with
#
# - $D(\pi \Vert p) \geq 0$ for all $\pi, p$,
# - $D(\pi \Vert p) = 0$ if and only if $\pi \equiv p$.
#
# Learning is then the problem $\min_{\theta} D(p_{\text{data}} \Vert p_{\theta})$. A divergence is not a distance: it
# need not be symmetric, and the two orders of the Kullback-Leibler divergence (slide 34) learn different models:
#
# $$D_{KL}(p_{\text{data}} \Vert p_{\theta}) = \int p_{\text{data}}(\mathbf{x})
# \log \frac{p_{\text{data}}(\mathbf{x})}{p_{\theta}(\mathbf{x})} d\mathbf{x} \qquad \text{(forward)}$$
#
# $$D_{KL}(p_{\theta} \Vert p_{\text{data}}) = \int p_{\theta}(\mathbf{x})
# \log \frac{p_{\theta}(\mathbf{x})}{p_{\text{data}}(\mathbf{x})} d\mathbf{x} \qquad \text{(reverse)}$$
#
# All divergences here are in nats (natural logarithm).

# %%
from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]  # (n, m) -> (n,)
Sampler = Callable[[int, torch.Generator], Tensor]  # n, generator -> (n, m)

def _require_samples(x: Tensor) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x must hold samples of shape (n, m) with n >= 1 and m >= 1, got {tuple(x.shape)}")


def _require_draws(n: int) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")

# %% [markdown]
# ## Two categorical distributions
#
# On a finite set the integral is a sum. Two conventions make it right at the edge: $0 \log 0 = 0$ (a value that never
# comes costs nothing), and $D_{KL} = \infty$ as soon as $p$ puts mass where $q$ puts none.

# %% kl_divergence
def kl_divergence(p: Float[Tensor, "*#batch K"], q: Float[Tensor, "*#batch K"]) -> Float[Tensor, "*batch"]:
    r"""Kullback-Leibler divergence of two categorical distributions, or of batches of them.

    $$D_{KL}(p \Vert q) = \sum_k p_k \log \frac{p_k}{q_k}$$

    Shapes: ``p``, ``q``: ``(..., K)``, the same ``K``, the other axes broadcast; result ``(...)``, in nats.
    Raises: ``ValueError`` if ``K`` differs or is 0, or if the other axes do not broadcast.
    Slide: 34.

    >>> kl_divergence(torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.5]))
    tensor(0.)
    >>> kl_divergence(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
    tensor(inf)
    """
    if p.shape[-1:] != q.shape[-1:] or 0 in p.shape[-1:] or p.ndim == 0:
        raise ValueError(f"p and q need the same K >= 1 on their last axis, got {tuple(p.shape)} and {tuple(q.shape)}")
    try:
        torch.broadcast_shapes(p.shape, q.shape)
    except RuntimeError:
        raise ValueError(f"p and q do not broadcast: {tuple(p.shape)} and {tuple(q.shape)}") from None
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)  # xlogy(0, y) is 0 and so is its gradient in y

# %% tags=["active-ipynb"]
# show("kl_divergence")

# %% [markdown]
# ## Monte Carlo estimates
#
# With more than a few dimensions nobody can sum or integrate. But a KL divergence is an expectation, and expectations
# can be estimated from samples: *which* distribution the samples come from is the whole difference (slide 35).
#
# $$D_{KL}(p_{\text{data}} \Vert p_{\theta}) = \mathbb{E}_{p_{\text{data}}(\mathbf{x})}
# [\log p_{\text{data}}(\mathbf{x}) - \log p_{\theta}(\mathbf{x})], \qquad
# D_{KL}(p_{\theta} \Vert p_{\text{data}}) = \mathbb{E}_{p_{\theta}(\mathbf{x})}
# [\log p_{\theta}(\mathbf{x}) - \log p_{\text{data}}(\mathbf{x})]$$

# %% forward_kl
def forward_kl(
    log_p_data: LogDensity,
    log_p_theta: LogDensity,
    sample_data: Sampler,
    sample_theta: Sampler,
    n: int,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    r"""Monte Carlo estimate of the forward KL divergence from ``n`` draws.

    $$D_{KL}(p_{data} \Vert p_\theta) \approx \frac1n \sum_i
    \log \frac{p_{data}(\mathbf{x}_i)}{p_\theta(\mathbf{x}_i)}$$

    Only the sampler of the distribution one averages over is called, once, as ``sample(n, generator)``.

    Shapes: ``log_p_*``: ``(n, m) -> (n,)``; ``sample_*(n, generator)``: ``(n, m)``; result ``()``, in nats.
    Raises: ``ValueError`` if ``n < 1``.
    Slide: 34.
    """
    _require_draws(n)
    x = sample_data(n, generator)  # (n, m)
    return (log_p_data(x) - log_p_theta(x)).mean()

# %% tags=["active-ipynb"]
# show("forward_kl")

# %% reverse_kl
def reverse_kl(
    log_p_data: LogDensity,
    log_p_theta: LogDensity,
    sample_data: Sampler,
    sample_theta: Sampler,
    n: int,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    r"""Monte Carlo estimate of the reverse KL divergence from ``n`` draws.

    $$D_{KL}(p_\theta \Vert p_{data}) \approx \frac1n \sum_i
    \log \frac{p_\theta(\mathbf{x}_i)}{p_{data}(\mathbf{x}_i)}$$

    Only the sampler of the distribution one averages over is called, once, as ``sample(n, generator)``. Where its
    draws depend differentiably on $\theta$ (reparametrised sampling), the gradient flows through them.

    Shapes: ``log_p_*``: ``(n, m) -> (n,)``; ``sample_*(n, generator)``: ``(n, m)``; result ``()``, in nats.
    Raises: ``ValueError`` if ``n < 1``.
    Slide: 35.
    """
    _require_draws(n)
    x = sample_theta(n, generator)  # (n, m)
    return (log_p_theta(x) - log_p_data(x)).mean()

# %% tags=["active-ipynb"]
# show("reverse_kl")

# %% [markdown]
# The mean log-ratio is unbiased, but its terms are negative as often as not, and it varies much. With
# $r = q(\mathbf{x}) / p(\mathbf{x})$ and $\mathbf{x} \sim p$ we know that $\mathbb{E}_p [r - 1] = 0$, so adding $r - 1$
# changes no expectation. What it gives is $(r - 1) - \log r \geq 0$ for every single sample, because the logarithm lies
# below its tangent. This is the estimator that reinforcement learning from human feedback uses.

# %% kl_low_variance
def kl_low_variance(log_p: LogDensity, log_q: LogDensity, x: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    r"""Unbiased estimate of a KL divergence whose every term is non-negative.

    $$D_{KL}(p \Vert q) \approx \frac1n \sum_i \big[ (r_i - 1) - \log r_i \big], \qquad
    r_i = \frac{q(\mathbf{x}_i)}{p(\mathbf{x}_i)}$$

    Finite wherever $\log r_i$ is, however small the densities are.

    Shapes: ``log_p``, ``log_q``: ``(n, m) -> (n,)``; ``x``: ``(n, m)``, drawn from $p$; result ``()``, in nats.
    Raises: ``ValueError`` if ``x`` holds no samples.
    Slide: 35.
    """
    _require_samples(x)
    log_r = log_q(x) - log_p(x)  # (n,)
    return (torch.expm1(log_r) - log_r).mean()

# %% tags=["active-ipynb"]
# show("kl_low_variance")

# %% [markdown]
# ## Maximum likelihood is forward KL
#
# $$D_{KL}(p_{\text{data}} \Vert p_{\theta}) = \mathbb{E}_{p_{\text{data}}(\mathbf{x})} \log p_{\text{data}}(\mathbf{x})
# - \mathbb{E}_{p_{\text{data}}(\mathbf{x})} \log p_{\theta}(\mathbf{x})
# \approx -\frac{1}{n} \sum_{i=1}^n \log p_{\theta}(\mathbf{x}_i) + \text{const} \rightarrow \min_{\theta}$$
#
# The first term does not depend on $\theta$. The second needs samples of the data and the model's density, nothing
# else: that is why maximum likelihood can be used at all (slide 35).

# %% negative_log_likelihood
def negative_log_likelihood(log_p_theta: LogDensity, x: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    r"""Average negative log-likelihood of a sample: the forward KL divergence up to a constant.

    $$-\frac1n \sum_i \log p_\theta(\mathbf{x}_i)$$

    Shapes: ``log_p_theta``: ``(n, m) -> (n,)``; ``x``: ``(n, m)``; result ``()``, in nats.
    Raises: ``ValueError`` if ``x`` holds no samples.
    Slide: 35.

    >>> negative_log_likelihood(lambda x: -x.abs().sum(1), torch.tensor([[1.0], [-3.0]]))
    tensor(2.)
    """
    _require_samples(x)
    return -log_p_theta(x).mean()

# %% tags=["active-ipynb"]
# show("negative_log_likelihood")

# %% fit_gaussian_forward_kl
def fit_gaussian_forward_kl(x: Float[Tensor, "n m"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    r"""Mean and standard deviation of the diagonal Gaussian that maximises the likelihood of a sample.

    $$\mu^*, \sigma^* = \arg\max_{\mu, \sigma} \sum_i \log \mathcal{N}(\mathbf{x}_i \mid \mu, \mathrm{diag}(\sigma^2))$$

    Shapes: ``x``: ``(n, m)``; result ``(m,)`` and ``(m,)``, without a graph; a constant coordinate has $\sigma = 0$.
    Raises: ``ValueError`` if ``x`` holds no samples.
    Slide: 35.

    >>> fit_gaussian_forward_kl(torch.tensor([[1.0], [3.0]]))
    (tensor([2.]), tensor([1.]))
    """
    _require_samples(x)
    x = x.detach()
    return x.mean(0), x.std(0, correction=0)

# %% [markdown]
# ## Reverse KL needs the reparametrised gradient
#
# In the reverse KL divergence the samples come from the model, so they move when $\theta$ moves. For a Gaussian write
#
# $$\mathbf{x} = \mu + \sigma \odot \boldsymbol\epsilon, \qquad \boldsymbol\epsilon \sim \mathcal{N}(0, \mathbf{I}):$$
#
# the randomness no longer depends on $\theta = (\mu, \sigma)$, and autograd differentiates through the samples. We need
# $\log p_{\text{data}}$ only up to a constant, and no sample of the data.
#
# Where the family cannot reach $p_{\text{data}}$, the two divergences disagree. Forward KL punishes
# $p_{\theta}(\mathbf{x}) \approx 0$ where data are: the fit **covers** all modes. Reverse KL punishes mass where no
# data are: the fit **sits on one** mode. The picture below shows it.

# %% fit_gaussian_reverse_kl
def fit_gaussian_reverse_kl(
    log_p_data: LogDensity,
    mu: Float[Tensor, " m"],
    sigma: Float[Tensor, " m"],
    steps: int,
    lr: float,
    n: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    r"""Diagonal Gaussian after ``steps`` gradient steps on the reverse KL divergence, started at ``mu``, ``sigma``.

    $$D_{KL}(p_\theta \Vert p_{data}) \approx \frac1n \sum_i \log \frac{p_\theta(\mathbf{x}_i)}{p_{data}(\mathbf{x}_i)},
    \qquad \mathbf{x}_i = \mu + \sigma \odot \boldsymbol\epsilon_i,
    \quad \boldsymbol\epsilon_i \sim \mathcal{N}(0, \mathbf{I})$$

    Every step takes ``n`` fresh draws. Any first-order optimiser with step size ``lr`` and any parametrisation that
    keeps $\sigma$ positive will do; ``steps = 0`` returns the start.

    Shapes: ``log_p_data``: ``(n, m) -> (n,)``; ``mu``, ``sigma``: ``(m,)``; result ``(m,)`` and ``(m,)``, no graph.
    Raises: ``ValueError`` if ``n < 1``, if ``mu`` is empty, or if ``mu`` and ``sigma`` differ in shape.
    Slide: 35.
    """
    _require_draws(n)
    if mu.ndim != 1 or len(mu) < 1 or mu.shape != sigma.shape:
        raise ValueError(f"mu and sigma need one shape (m,), m >= 1, got {tuple(mu.shape)} and {tuple(sigma.shape)}")
    theta = torch.stack([mu, sigma.log()]).detach()  # (2, m); the logarithm keeps sigma positive
    for _ in range(steps):
        epsilon = torch.randn(n, len(mu), generator=generator, device=generator.device, dtype=mu.dtype)
        with torch.enable_grad():
            theta.requires_grad_()
            x = theta[0] + theta[1].exp() * epsilon  # (n, m)
            loss = -theta[1].sum() - log_p_data(x).mean()  # minus the entropy, up to a constant, minus E log p_data
        (gradient,) = torch.autograd.grad(loss, theta)
        theta = theta.detach() - lr * gradient
    return theta[0], theta[1].exp()

# %% tags=["active-ipynb"]
# show("fit_gaussian_reverse_kl")

