# %% [markdown]
# # Course tricks
#
# Slides 25–27 collect the identities that every later lecture leans on. None of them needs a neural network, and each
# is one or two lines of torch. Throughout, $\mathbf x\in\mathbb R^m$, a batch of $n$ samples is a tensor of shape
# `(n, m)`, and a function $\mathbf f:\mathbb R^m\to\mathbb R^d$ is *batched*: it maps `(n, m)` to `(n, d)`, row by row.
# Logarithms are natural.
#
# - Arguments are legal: samples are there, shapes fit, sizes are at least 1. Check nothing unless a docstring says so.
# - The first axis is the batch. Results have the dtype and device of the floating-point inputs; integers are `int64`.
# - Leave the tensors you are given as they are. Results are differentiable (not samples, counts and indices).
# - A probability of zero is a log-probability of `-inf`, never `nan`, and $0\log0=0$. Use the numerically stable form.
# - Draw from the `generator` you are given alone. Callables are batched torch code, row by row, for any $n\ge1$.
#
# `check("monte_carlo")` in a cell tests what you wrote, and `show("monte_carlo")` draws what it does. In a terminal,
# `dgm check monte_carlo` and `dgm show monte_carlo` do the same.

# %% imports
from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

# %% [markdown]
# ## Monte Carlo estimation (slide 25)
#
# An expectation is an integral over all of $\mathbb R^m$; samples from $p$ turn it into an average:
#
# $$\mathbb E_{p(\mathbf x)}\mathbf f(\mathbf x)=\int p(\mathbf x)\,\mathbf f(\mathbf x)\,d\mathbf x
# \approx\frac1n\sum_{i=1}^n\mathbf f(\mathbf x_i),\qquad \mathbf x_i\sim p(\mathbf x).$$
#
# The density does not appear on the right: the samples already come with the right frequencies.


# %% monte_carlo
def monte_carlo(
    f: Callable[[Float[Tensor, "n m"]], Float[Tensor, "n d"]], x: Float[Tensor, "n m"]
) -> Float[Tensor, "d"]:
    r"""Monte Carlo estimate of an expectation from samples that are already drawn.

    $$\mathbb E_{p(\mathbf x)} \mathbf f(\mathbf x) \approx \frac1n \sum_{i=1}^n \mathbf f(\mathbf x_i)$$

    Shapes: ``x``: ``(n, m)``, drawn from $p$; ``f``: ``(n, m) -> (n, d)``; result ``(d,)``.
    Slide: 25.

    >>> monte_carlo(lambda x: x**2, torch.tensor([[1.0], [3.0]]))
    tensor([5.])
    """
    # BEGIN SOLUTION monte_carlo
    return f(x).mean(dim=0)
    # END SOLUTION monte_carlo


# %% [markdown]
# How far off is the estimate? Its standard deviation is that of a single $\mathbf f(\mathbf x_i)$ over $\sqrt n$: four
# times the samples for half the error, whatever the dimension $m$. The standard deviation itself is estimated from the
# same samples; dividing by $n-1$ instead of $n$ (Bessel's correction) makes the variance unbiased.


# %% monte_carlo_standard_error
def monte_carlo_standard_error(
    f: Callable[[Float[Tensor, "n m"]], Float[Tensor, "n d"]], x: Float[Tensor, "n m"]
) -> Float[Tensor, "d"]:
    r"""Standard error of the Monte Carlo estimate, from the samples themselves.

    $$\frac{s}{\sqrt n}, \qquad
    s^2 = \frac1{n-1} \sum_{i=1}^n \Bigl(\mathbf f(\mathbf x_i) - \frac1n \sum_{k=1}^n \mathbf f(\mathbf x_k)\Bigr)^2$$

    A large mean does not drown a small spread: subtract the mean before you square.

    Shapes: ``x``: ``(n, m)`` with ``n >= 2``; ``f``: ``(n, m) -> (n, d)``; result ``(d,)``, one for each component.
    Slide: 25.

    >>> monte_carlo_standard_error(lambda x: x, torch.tensor([[1.0], [3.0]]))
    tensor([1.])
    """
    # BEGIN SOLUTION monte_carlo_standard_error
    return f(x).std(dim=0) / x.shape[0] ** 0.5  # torch's std is Bessel-corrected
    # END SOLUTION monte_carlo_standard_error

# %% tags=["active-ipynb"]
# show("monte_carlo")


# %% [markdown]
# ## Law of the unconscious statistician (slide 26)
#
# Let $\mathbf y=\mathbf f(\mathbf x)$. The expectation of $\mathbf g(\mathbf y)$ needs neither the density of
# $\mathbf y$ nor an invertible $\mathbf f$:
#
# $$\mathbb E_{p(\mathbf y)}\mathbf g(\mathbf y)=\int p(\mathbf y)\,\mathbf g(\mathbf y)\,d\mathbf y
# =\int p(\mathbf x)\,\mathbf g(\mathbf f(\mathbf x))\,d\mathbf x
# =\mathbb E_{p(\mathbf x)}\mathbf g(\mathbf f(\mathbf x)).$$
#
# Push samples of $\mathbf x$ through both maps and average.


# %% lotus
def lotus(
    g: Callable[[Float[Tensor, "n k"]], Float[Tensor, "n d"]],
    f: Callable[[Float[Tensor, "n m"]], Float[Tensor, "n k"]],
    x: Float[Tensor, "n m"],
) -> Float[Tensor, "d"]:
    r"""Monte Carlo estimate of an expectation of $\mathbf y = \mathbf f(\mathbf x)$ without the density of $\mathbf y$.

    $$\mathbb E_{p(\mathbf y)} \mathbf g(\mathbf y) = \mathbb E_{p(\mathbf x)} \mathbf g(\mathbf f(\mathbf x))$$

    Shapes: ``x``: ``(n, m)``, drawn from $p(\mathbf x)$; ``f``: ``(n, m) -> (n, k)``; ``g``: ``(n, k) -> (n, d)``;
    result ``(d,)``.
    Slide: 26.

    >>> lotus(lambda y: y + 1, lambda x: x**2, torch.tensor([[1.0], [3.0]]))
    tensor([6.])
    """
    # BEGIN SOLUTION lotus
    return monte_carlo(lambda x: g(f(x)), x)
    # END SOLUTION lotus

# %% tags=["active-ipynb"]
# show("lotus")


# %% [markdown]
# For a discrete $x\sim\mathrm{Cat}(p)$ the law of $y=f(x)$ can be written down as well: every $x$ hands its mass to
# $f(x)$, and masses that meet add up. The same expectation can then be taken on either side.


# %% pushforward_pmf
def pushforward_pmf(p: Float[Tensor, "S"], f: Int[Tensor, "S"], K: int) -> Float[Tensor, "K"]:
    r"""The pmf of $y = f(x)$ for $x \sim \mathrm{Cat}(p)$.

    $$P(y = k) = \sum_{s \,:\, f(s) = k} p_s$$

    The masses are added as they are: the result is linear in ``p``, and is not normalised again.

    Shapes: ``p``: ``(S,)``; ``f``: ``(S,)`` int64, the table of a map into ``0..K-1``, many-to-one allowed; result
    ``(K,)``, zero where nothing lands.
    Slide: 26.

    >>> pushforward_pmf(torch.tensor([0.25, 0.25, 0.5]), torch.tensor([2, 0, 2]), K=3)
    tensor([0.2500, 0.0000, 0.7500])
    """
    # BEGIN SOLUTION pushforward_pmf
    return p.new_zeros(K).index_add(0, f, p)
    # END SOLUTION pushforward_pmf

# %% tags=["active-ipynb"]
# show("pushforward_pmf")


# %% [markdown]
# ## Log-derivative trick (slide 25)
#
# $$\nabla\log p(\mathbf x)=\frac1{p(\mathbf x)}\cdot\nabla p(\mathbf x)$$
#
# The left side is called the *score*. It does not see the normalising constant of $p$, which is why energy-based and
# score-based models live on it. Here $p$ is given as code, and autograd does the differentiation: all rows at once,
# since row $i$ of the result depends on row $i$ of `x` alone.


# %% log_derivative
def log_derivative(
    p: Callable[[Float[Tensor, "n m"]], Float[Tensor, "n"]], x: Float[Tensor, "n m"]
) -> Float[Tensor, "n m"]:
    r"""Gradient of a log-density at every sample, by autograd.

    $$\nabla \log p(\mathbf x) = \frac{\nabla p(\mathbf x)}{p(\mathbf x)}$$

    The result needs no graph of its own. It is right where $p$ is tiny or huge, too.

    Shapes: ``p``: ``(n, m) -> (n,)``, positive, not necessarily normalised; ``x``: ``(n, m)``; result ``(n, m)``.
    Slide: 25.

    >>> log_derivative(lambda x: torch.exp(-x.square().sum(dim=1) / 2), torch.tensor([[1.0, -2.0]]))
    tensor([[-1.,  2.]])
    """
    # BEGIN SOLUTION log_derivative
    return torch.func.grad(lambda x: p(x).log().sum())(x)  # (n, m)
    # END SOLUTION log_derivative

# %% tags=["active-ipynb"]
# show("log_derivative")


# %% [markdown]
# The trick earns its name when the *law* depends on parameters. With $\nabla_\theta p_\theta=p_\theta\nabla_\theta\log
# p_\theta$ the gradient of an expectation becomes an expectation again, and samples estimate it:
#
# $$\nabla_\theta\mathbb E_{p_\theta(\mathbf x)}f(\mathbf x)=\int f(\mathbf x)\,\nabla_\theta p_\theta(\mathbf x)\,
# d\mathbf x=\mathbb E_{p_\theta(\mathbf x)}\bigl[f(\mathbf x)\,\nabla_\theta\log p_\theta(\mathbf x)\bigr].$$
#
# Nothing is asked of $f$, not even continuity: this is how one learns from a reward that has no gradient.


# %% score_function_gradient
def score_function_gradient(
    f: Callable[[Float[Tensor, "n m"]], Float[Tensor, "n"]],
    log_p: Callable[[Float[Tensor, "n m"], Float[Tensor, "*theta"]], Float[Tensor, "n"]],
    theta: Float[Tensor, "*theta"],
    x: Float[Tensor, "n m"],
) -> Float[Tensor, "*theta"]:
    r"""Score-function estimate of the gradient of an expectation with respect to the parameters of the law.

    $$\nabla_\theta \mathbb E_{p_\theta} f(\mathbf x)
    \approx \frac1n \sum_{i=1}^n f(\mathbf x_i) \nabla_\theta \log p_\theta(\mathbf x_i)$$

    Exactly this average, without a baseline. The result needs no graph of its own.

    Shapes: ``f``: ``(n, m) -> (n,)``, does not depend on ``theta``; ``log_p(x, theta)``: ``(n,)``; ``theta``: any
    shape; ``x``: ``(n, m)``, drawn from $p_\theta$; result as ``theta``.
    Slide: 25.

    >>> f = lambda x: x[:, 0]
    >>> log_p = lambda x, theta: -(x - theta).square().sum(dim=1) / 2
    >>> score_function_gradient(f, log_p, torch.tensor([0.5]), torch.tensor([[1.0], [2.0]]))
    tensor([1.7500])
    """
    # BEGIN SOLUTION score_function_gradient
    return torch.func.grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta)
    # END SOLUTION score_function_gradient

# %% tags=["active-ipynb"]
# show("score_function_gradient")


# %% [markdown]
# ## Jensen's inequality (slide 25)
#
# For a convex $f$, $\mathbb E[f(\mathbf x)]\ge f(\mathbb E[\mathbf x])$. On samples the two sides are averages, the
# inequality holds exactly for the empirical distribution, and the gap says how curved $f$ is where the samples lie: for
# $f(x)=x^2$ it is their variance, for an affine $f$ it is zero, for a concave $f$ it is negative.


# %% jensen_gap
def jensen_gap(
    f: Callable[[Float[Tensor, "n m"]], Float[Tensor, "n"]], x: Float[Tensor, "n m"]
) -> Float[Tensor, ""]:
    r"""The gap in Jensen's inequality on the empirical distribution of the samples.

    $$\frac1n \sum_{i=1}^n f(\mathbf x_i) - f\Bigl(\frac1n \sum_{i=1}^n \mathbf x_i\Bigr)$$

    Shapes: ``f``: ``(n, m) -> (n,)``; ``x``: ``(n, m)``; result ``()``, negative for concave ``f``.
    Slide: 25.

    >>> jensen_gap(lambda x: x[:, 0] ** 2, torch.tensor([[1.0], [3.0]]))
    tensor(1.)
    """
    # BEGIN SOLUTION jensen_gap
    (f_of_mean,) = f(x.mean(dim=0, keepdim=True))  # a batch of one
    return f(x).mean() - f_of_mean
    # END SOLUTION jensen_gap

# %% tags=["active-ipynb"]
# show("jensen_gap")


# %% [markdown]
# ## Optimal prediction under the mean squared error (slide 27)
#
# $$\mathbf f^*(\mathbf x)=\arg\min_{\mathbf f}\mathbb E_{p(\mathbf x,\mathbf y)}\|\mathbf y-\mathbf f(\mathbf x)\|^2
# =\mathbb E_{p(\mathbf y|\mathbf x)}[\mathbf y]$$
#
# A network trained with the squared error aims at a conditional mean. That is the goal when predicting noise in a
# diffusion model, and the reason for blurry pictures when predicting pixels. With finitely many $x$ and $y$ the joint
# law is a table, and $\mathbf f^*$ can be read off: one row of the table for each $x$.


# %% optimal_mse_predictor
def optimal_mse_predictor(joint: Float[Tensor, "a b"], y: Float[Tensor, "b d"]) -> Float[Tensor, "a d"]:
    r"""The predictor with the smallest mean squared error, from the table of a joint law.

    $$\mathbf f^*(i) = \mathbb E[\mathbf y \mid x = i] = \sum_j p(y_j \mid x = i)\, \mathbf y_j$$

    Shapes: ``joint``: ``(a, b)``, the mass of each pair, not necessarily normalised; ``y``: ``(b, d)``, the value that
    belongs to each column; result ``(a, d)``. A row of zero mass gives ``nan`` in that row alone. Rows may be of very
    different mass, tiny or huge: only ratios within a row matter.
    Slide: 27.

    >>> optimal_mse_predictor(torch.tensor([[3.0, 1.0], [0.0, 2.0]]), torch.tensor([[0.0], [4.0]]))
    tensor([[1.],
            [4.]])
    """
    # BEGIN SOLUTION optimal_mse_predictor
    mass = joint.sum(dim=1, keepdim=True)  # (a, 1), p(x) up to a constant
    mean = joint @ y / mass.where(mass > 0, 1)  # (a, d), without a 0 / 0 that would spoil the gradient by y
    return mean.where(mass > 0, torch.nan)
    # END SOLUTION optimal_mse_predictor

# %% tags=["active-ipynb"]
# show("optimal_mse_predictor")


# %% [markdown]
# ## Dirac delta (slide 27)
#
# A deterministic $\mathbf x_0$ is a random variable with "density" $\delta(\mathbf x-\mathbf x_0)$, and under the
# integral the delta sifts out one value:
#
# $$\int\delta(\mathbf x-\mathbf x_0)\,\mathbf f(\mathbf x)\,d\mathbf x=\mathbf f(\mathbf x_0).$$
#
# A mixture of deltas is a law on finitely many points. With equal weights on the samples it is the empirical
# distribution, and its expectation is the Monte Carlo estimate with which this page began.


# %% dirac_expectation
def dirac_expectation(
    f: Callable[[Float[Tensor, "k m"]], Float[Tensor, "k d"]],
    points: Float[Tensor, "k m"],
    weights: Float[Tensor, "k"],
) -> Float[Tensor, "d"]:
    r"""Expectation under a mixture of Dirac deltas.

    $$\mathbb E\, \mathbf f(\mathbf x), \qquad p(\mathbf x) = \sum_{i=1}^k w_i\, \delta(\mathbf x - \mathbf x_i)$$

    The weights are used as they are: the result is linear in them, and they are not normalised again.

    Shapes: ``points``: ``(k, m)``; ``weights``: ``(k,)``, summing to one; ``f``: ``(k, m) -> (k, d)``; result ``(d,)``.
    Slide: 27.

    >>> dirac_expectation(lambda x: x**2, torch.tensor([[1.0], [3.0]]), torch.tensor([0.75, 0.25]))
    tensor([3.])
    """
    # BEGIN SOLUTION dirac_expectation
    return weights @ f(points)
    # END SOLUTION dirac_expectation

# %% tags=["active-ipynb"]
# show("dirac_expectation")
