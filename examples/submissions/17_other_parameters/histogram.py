# %% [markdown]
# # The histogram as a generative model
#
# Slides 30 and 31. The simplest generative model assumes $x \sim \mathrm{Cat}(\boldsymbol\pi)$ and counts:
#
# $$\hat\pi_k = \frac{\sum_{i=1}^n [x_i = k]}{n} .$$
#
# It can do all that a generative model is asked for: it is *fitted* to data, it gives the *density* of an object, and
# one can *sample* from it. It even is the maximum-likelihood estimate. Its trouble is size: one bin for each object
# that could exist.

# %%
from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

# %% [markdown]
# ## Fit
#
# Bins are numbered from 0 to $K - 1$. A bin that no sample fell into has probability exactly zero: we do not smooth.


# %% fit_histogram
def fit_histogram(x: Int[Tensor, " n"], num_bins: int, smoothing: float) -> Float[Tensor, " K"]:
    r"""Maximum-likelihood estimate of a categorical distribution: the share of samples in each bin.

    $$\hat\pi_k = \frac{1}{n} \sum_{i=1}^n [x_i = k]$$

    Shapes: ``x``: ``(n,)`` int64 in ``0..K-1`` with ``K = num_bins``; result ``(K,)`` in the default float dtype.
    Raises: ``ValueError`` if ``x`` is empty or holds a value outside ``0..K-1``, or if ``num_bins < 1``.
    Slide: 30.

    >>> fit_histogram(torch.tensor([2, 0, 2, 2]), 4)
    tensor([0.2500, 0.0000, 0.7500, 0.0000])
    """
    _refuse_unless_in_range(x, num_bins, "x", "num_bins")
    return torch.bincount(x, minlength=num_bins) / len(x)


# %% [markdown]
# ## Density
#
# What the data never showed is impossible under the model, and its log-probability is $-\infty$. A small constant
# inside the logarithm would hide exactly that.


# %% histogram_log_prob
def histogram_log_prob(pi: Float[Tensor, " K"], x: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    r"""Log-probability of each sample under a histogram.

    $$\log \hat\pi_{x_i}$$

    Shapes: ``pi``: ``(K,)``; ``x``: ``(n,)`` int64 in ``0..K-1``; result ``(n,)``, in nats, ``-inf`` in an empty bin.
    Raises: ``ValueError`` if ``pi`` or ``x`` is empty.
    Slide: 30.

    >>> histogram_log_prob(torch.tensor([1.0, 0.0]), torch.tensor([0, 1]))
    tensor([0., -inf])
    """
    _refuse_empty(pi, "pi")
    _refuse_empty(x, "x")
    return torch.log(pi[x])  # gather first: log(pi)[x] sends nan back into an empty bin


# %% [markdown]
# ## Generation
#
# All randomness comes from the `generator` that is handed in: the same state gives the same samples, and each call
# moves it on.


# %% sample_histogram
def sample_histogram(pi: Float[Tensor, " K"], n: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    r"""Independent draws from a histogram.

    $$x_i \sim \mathrm{Cat}(\boldsymbol\pi), \qquad i = 1, \dots, n$$

    Shapes: ``pi``: ``(K,)``; result ``(n,)`` int64 in ``0..K-1``.
    Raises: ``ValueError`` if ``n < 1`` or ``pi`` is empty.
    Slide: 30.

    >>> sample_histogram(torch.tensor([0.0, 1.0, 0.0]), 4, torch.Generator().manual_seed(0))
    tensor([1, 1, 1, 1])
    """
    _refuse_empty(pi, "pi")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return torch.multinomial(pi, n, replacement=True, generator=generator)


# %% [markdown]
# ## Conditional models
#
# Slide 31. With a class label $y$ for each $x$, a class-conditional histogram is one histogram a class. About a class
# without a single sample nothing is known: its row is `nan`, not zero and not uniform.


# %% fit_conditional_histogram
def fit_conditional_histogram(
    x: Int[Tensor, " n"], y: Int[Tensor, " n"], num_bins: int, num_classes: int
) -> Float[Tensor, "C K"]:
    r"""Maximum-likelihood estimate of $p(x \mid y)$: a histogram for each class.

    $$\hat p(x = k \mid y = c) = \frac{\sum_i [x_i = k][y_i = c]}{\sum_i [y_i = c]}$$

    Shapes: ``x``: ``(n,)`` int64 in ``0..K-1``; ``y``: ``(n,)`` int64 in ``0..C-1``; result ``(C, K)`` in the default
    float dtype, one row a class, ``nan`` in the rows of classes without samples.
    Raises: ``ValueError`` if ``x`` is empty, ``x`` and ``y`` differ in length, a value is outside its range, or
    ``num_bins < 1`` or ``num_classes < 1``.
    Slide: 31.

    >>> fit_conditional_histogram(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2, 2)
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    if x.shape != y.shape:
        raise ValueError(f"x and y must have the same length, got {tuple(x.shape)} and {tuple(y.shape)}")
    _refuse_unless_in_range(x, num_bins, "x", "num_bins")
    _refuse_unless_in_range(y, num_classes, "y", "num_classes")
    pairs = torch.bincount(y * num_bins + x, minlength=num_classes * num_bins).reshape(num_classes, num_bins)
    return pairs / pairs.sum(dim=1, keepdim=True)  # (C, K), 0 / 0 = nan


# %% [markdown]
# ## The curse of dimensionality
#
# An image of $m$ pixels with $K$ values each has $K^m$ possible states. Slide 30 asks how many parameters a full
# table needs, and how many remain if each pixel depends on a few before it only. Mind that the first pixels have
# fewer than `order` before them. Python's integers are exact at any size; floats are not.


# %% num_parameters
def num_parameters(m, K) -> int:
    r"""Free parameters of a categorical model whose variables each depend on the $d$ before them, $d$ the order.

    $$p(\mathbf x) = \prod_{j=1}^m p(x_j \mid x_{j-d}, \dots, x_{j-1})$$

    Every context of every variable has its own categorical distribution over $K$ values, with $K - 1$ free parameters.

    Shapes: ``order`` is ``0`` for independent variables, ``1`` for a first-order Markov chain, ...; ``None`` or
    ``order >= m - 1`` for the full joint distribution. The result is an exact Python ``int``.
    Raises: ``ValueError`` if ``m < 1``, ``K < 1`` or ``order < 0``.
    Slide: 30.

    >>> num_parameters(784, 2, 1)
    1567
    """
    if m < 1 or K < 1:
        raise ValueError(f"m and K must be at least 1, got m = {m}, K = {K}")
    if order is not None and order < 0:
        raise ValueError(f"order must be None or at least 0, got {order}")
    d = m - 1 if order is None else min(order, m - 1)
    return K**d - 1 + (m - d) * (K - 1) * K**d  # the first d variables jointly, then m - d tables of K^d rows


# %%
def _refuse_empty(x: Tensor, name: str) -> None:
    """Raise for a vector without entries."""
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"{name} must be a vector with at least one entry, got shape {tuple(x.shape)}")


def _refuse_unless_in_range(x: Tensor, size: int, name: str, size_name: str) -> None:
    """Raise unless ``x`` holds at least one value, and every value is in ``0..size-1``."""
    if size < 1:
        raise ValueError(f"{size_name} must be at least 1, got {size}")
    _refuse_empty(x, name)
    if x.min() < 0 or x.max() >= size:
        raise ValueError(f"{name} must be in 0..{size - 1}, got values from {int(x.min())} to {int(x.max())}")



# %% [markdown]
# ## See it
#
# A histogram of 40 bins, fitted to more and more samples of the same stream. The axis stays fixed: what changes is
# how well the bars know the truth.

# %% tags=["active-ipynb"]
# import matplotlib.pyplot as plt
#
# bins = torch.arange(40)
# p_data = torch.exp(-(((bins - 12) / 4.0) ** 2)) + 0.6 * torch.exp(-(((bins - 28) / 6.0) ** 2))
# p_data = p_data / p_data.sum()
# stream = torch.multinomial(p_data, 10_000, replacement=True, generator=torch.Generator().manual_seed(0))
#
# figure, axes = plt.subplots(1, 4, figsize=(14, 3), sharey=True)
# for axis, n in zip(axes, [10, 100, 1_000, 10_000]):
#     axis.bar(bins, fit_histogram(stream[:n], 40), alpha=0.5)
#     axis.plot(bins, p_data, "k"), axis.set_title(f"n = {n}"), axis.set_ylim(0, 0.12)
# plt.show()
