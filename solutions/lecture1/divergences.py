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
#
# **What holds everywhere:**
#
# - Arguments are legal: samples are there, shapes fit, sizes are at least 1. Check nothing unless a docstring says so.
# - The first axis is the batch. Results have the dtype and device of the floating-point inputs; integers are `int64`.
# - Leave the tensors you are given as they are. Results are differentiable (not samples, counts and indices).
# - A probability of zero is a log-probability of `-inf`, never `nan`, and $0\log0=0$. Use the numerically stable form.
# - Draw from the `generator` you are given alone. Callables are batched torch code, row by row, for any $n\ge1$.

# %%
from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

LogDensity = Callable[[Tensor], Tensor]  # (n, m) -> (n,)
Sampler = Callable[[int, torch.Generator], Tensor]  # n, generator -> (n, m)

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
    Raises: ``ValueError`` if ``K`` differs, also for 1 and 3, which would broadcast.
    Slide: 34.

    >>> kl_divergence(torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.5]))
    tensor(0.)
    >>> kl_divergence(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))
    tensor(inf)
    """
    # BEGIN SOLUTION kl_divergence
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(f"p and q need the same K on their last axis, got {tuple(p.shape)} and {tuple(q.shape)}")
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)  # xlogy(0, y) is 0, also at y = 0
    # END SOLUTION kl_divergence

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

    All ``n`` draws come from the sampler of the distribution one averages over, with the generator that was given; the
    other sampler is not called.

    Shapes: ``log_p_*``: ``(n, m) -> (n,)``; ``sample_*(n, generator)``: ``(n, m)``; result ``()``, in nats.
    Slide: 34.

    >>> log_p_data, log_p_theta = lambda x: -0.5 * x.square().sum(1), lambda x: -0.5 * (x - 1).square().sum(1)
    >>> sample_data, sample_theta = lambda n, generator: torch.zeros(n, 1), lambda n, generator: torch.ones(n, 1)
    >>> forward_kl(log_p_data, log_p_theta, sample_data, sample_theta, 3, torch.Generator())
    tensor(0.5000)
    """
    # BEGIN SOLUTION forward_kl
    x = sample_data(n, generator)  # (n, m)
    return (log_p_data(x) - log_p_theta(x)).mean()
    # END SOLUTION forward_kl

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

    All ``n`` draws come from the sampler of the distribution one averages over, with the generator that was given; the
    other sampler is not called. Where the draws depend differentiably on $\theta$ (reparametrised sampling), the
    gradient flows through them.

    Shapes: ``log_p_*``: ``(n, m) -> (n,)``; ``sample_*(n, generator)``: ``(n, m)``; result ``()``, in nats.
    Slide: 35.

    >>> log_p_data, log_p_theta = lambda x: -0.5 * x.square().sum(1), lambda x: -0.5 * (x - 1).square().sum(1)
    >>> sample_data, sample_theta = lambda n, generator: torch.zeros(n, 1), lambda n, generator: 2 * torch.ones(n, 1)
    >>> reverse_kl(log_p_data, log_p_theta, sample_data, sample_theta, 3, torch.Generator())
    tensor(1.5000)
    """
    # BEGIN SOLUTION reverse_kl
    x = sample_theta(n, generator)  # (n, m)
    return (log_p_theta(x) - log_p_data(x)).mean()
    # END SOLUTION reverse_kl

# %% tags=["active-ipynb"]
# show("reverse_kl")

# %% [markdown]
# The mean log-ratio is unbiased, but single terms may be negative, and where $p$ and $q$ are close they are mostly noise.
# With $r = q(\mathbf{x}) / p(\mathbf{x})$ and $\mathbf{x} \sim p$ we know that $\mathbb{E}_p [r - 1] = 0$, if $q$ has no
# mass outside the support of $p$. Then adding $r - 1$ changes no expectation. What it gives is $(r - 1) - \log r \geq 0$
# for every single sample, because the logarithm lies below its tangent. Its variance is lower where $q$ is close to
# $p$; far apart it can be much larger: for $p = \mathcal{N}(0, 1)$ and $q = \mathcal{N}(0, 4)$ (variance 4) it is infinite.
# This is the estimator that reinforcement learning from human feedback uses.

# %% kl_low_variance
def kl_low_variance(log_p: LogDensity, log_q: LogDensity, x: Float[Tensor, "n m"]) -> Float[Tensor, ""]:
    r"""Estimate of a KL divergence whose every term is non-negative; unbiased if $q$ has no mass outside the support of $p$.

    $$D_{KL}(p \Vert q) \approx \frac1n \sum_i \big[ (r_i - 1) - \log r_i \big], \qquad
    r_i = \frac{q(\mathbf{x}_i)}{p(\mathbf{x}_i)}$$

    Finite wherever $r_i$ is finite and positive as a ratio, however small or large both densities are.

    Shapes: ``log_p``, ``log_q``: ``(n, m) -> (n,)``; ``x``: ``(n, m)``, drawn from $p$; result ``()``, in nats.
    Slide: 35.

    >>> kl_low_variance(lambda x: 0 * x[:, 0], lambda x: x[:, 0], torch.tensor([[1.0], [0.0]]))  # (e - 2) / 2
    tensor(0.3591)
    """
    # BEGIN SOLUTION kl_low_variance
    log_r = log_q(x) - log_p(x)  # (n,)
    return (torch.expm1(log_r) - log_r).mean()
    # END SOLUTION kl_low_variance

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

    Shapes: ``log_p_theta``: ``(n, m) -> (n,)``; ``x``: ``(n, m)``; result ``()``, in nats; negative for high densities.
    Slide: 35.

    >>> negative_log_likelihood(lambda x: -x.abs().sum(1), torch.tensor([[1.0], [-3.0]]))
    tensor(2.)
    """
    # BEGIN SOLUTION negative_log_likelihood
    return -log_p_theta(x).mean()
    # END SOLUTION negative_log_likelihood

# %% tags=["active-ipynb"]
# show("negative_log_likelihood")

# %% fit_gaussian_forward_kl
def fit_gaussian_forward_kl(x: Float[Tensor, "n m"]) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    r"""Mean and standard deviation of the diagonal Gaussian that maximises the likelihood of a sample.

    $$\mu^*, \sigma^* = \arg\max_{\mu, \sigma} \sum_i \log \mathcal{N}(\mathbf{x}_i \mid \mu, \mathrm{diag}(\sigma^2))$$

    Shapes: ``x``: ``(n, m)``; result ``(m,)`` and ``(m,)``; a constant coordinate has $\sigma = 0$.
    Slide: 35.

    >>> fit_gaussian_forward_kl(torch.tensor([[1.0], [3.0]]))
    (tensor([2.]), tensor([1.]))
    """
    # BEGIN SOLUTION fit_gaussian_forward_kl
    return x.mean(0), x.std(0, correction=0)
    # END SOLUTION fit_gaussian_forward_kl

# %% [markdown]
# ## Reverse KL needs the reparametrised gradient
#
# In the reverse KL divergence the samples come from the model, so they move when $\theta$ moves. For a Gaussian write
#
# $$\mathbf{x} = \mu + \sigma \odot \boldsymbol\epsilon, \qquad \boldsymbol\epsilon \sim \mathcal{N}(0, \mathbf{I}):$$
#
# the randomness no longer depends on $\theta = (\mu, \sigma)$, and autograd differentiates through the samples. We need
# $\log p_{\text{data}}$ only up to a constant, and no sample of the data.

# %% reparametrized_reverse_kl
def reparametrized_reverse_kl(
    log_p_data: LogDensity, mu: Float[Tensor, " m"], sigma: Float[Tensor, " m"], noise: Float[Tensor, "n m"]
) -> Float[Tensor, ""]:
    r"""Estimate of the reverse KL divergence of a diagonal Gaussian $q$, differentiable in its parameters.

    $$D_{KL}(q \Vert p_{data}) \approx \frac1n \sum_i \big[ \log q(\mathbf{x}_i) - \log p_{data}(\mathbf{x}_i) \big],
    \qquad q = \mathcal{N}(\mu, \mathrm{diag}(\sigma^2)), \quad \mathbf{x}_i = \mu + \sigma \odot \boldsymbol\epsilon_i$$

    The parameters act through the samples and through $\log q$, and gradients flow through both. Exactly this average: no
    entropy in closed form.

    Shapes: ``log_p_data``: ``(n, m) -> (n,)``; ``mu``, ``sigma``: ``(m,)``; ``noise``: ``(n, m)``, standard normal;
    result ``()``, in nats.
    Slide: 35.

    >>> log_p_data = lambda x: torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    >>> reparametrized_reverse_kl(log_p_data, torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([[1.0], [-1.0]]))
    tensor(1.3069)
    """
    # BEGIN SOLUTION reparametrized_reverse_kl
    q = torch.distributions.Normal(mu, sigma, validate_args=False)
    x = mu + sigma * noise  # (n, m)
    return (q.log_prob(x).sum(1) - log_p_data(x)).mean()
    # END SOLUTION reparametrized_reverse_kl

# %% tags=["active-ipynb"]
# show("reparametrized_reverse_kl")

# %% [markdown]
# ## Where the two divergences disagree
#
# Where the family cannot reach $p_{\text{data}}$, the two divergences disagree. Forward KL punishes
# $p_{\theta}(\mathbf{x}) \approx 0$ where data are: the fit **covers** all modes. Reverse KL punishes mass where no
# data are: the fit **sits on one** mode. `dgm show fit_gaussian_reverse_kl` draws it.

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

    Every step takes ``n`` fresh draws and moves a parameter by about ``lr`` times its gradient, or by about ``lr``: any
    first-order optimiser will do (gradient descent, momentum up to 0.9, Adam and its relatives, RMSprop, Adagrad), any
    unbiased estimator of the gradient, and any parametrisation that keeps $\sigma$ positive. ``steps = 0`` returns the
    start.

    Shapes: ``log_p_data``: ``(n, m) -> (n,)``; ``mu``, ``sigma``: ``(m,)``; result ``(m,)`` and ``(m,)``.
    Slide: 35.

    >>> log_p_data = lambda x: torch.distributions.Normal(3.0, 0.5).log_prob(x).sum(1)
    >>> start = torch.tensor([0.0]), torch.tensor([1.0])
    >>> mu, sigma = fit_gaussian_reverse_kl(log_p_data, *start, 200, 0.05, 100, torch.Generator().manual_seed(0))
    >>> bool((mu - 3).abs() < 0.1), bool((sigma - 0.5).abs() < 0.1)
    (True, True)
    """
    # BEGIN SOLUTION fit_gaussian_reverse_kl
    theta = torch.stack([mu, sigma.log()]).detach()  # (2, m); the logarithm keeps sigma positive
    for _ in range(steps):
        noise = torch.randn(n, len(mu), generator=generator, device=generator.device, dtype=mu.dtype)
        theta.requires_grad_()
        loss = reparametrized_reverse_kl(log_p_data, theta[0], theta[1].exp(), noise)
        (gradient,) = torch.autograd.grad(loss, theta)
        theta = theta.detach() - lr * gradient
    return theta[0], theta[1].exp()
    # END SOLUTION fit_gaussian_reverse_kl

# %% tags=["active-ipynb"]
# show("fit_gaussian_reverse_kl")

