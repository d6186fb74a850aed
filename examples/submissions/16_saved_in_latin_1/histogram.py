# Lösung von Jürgen Groß
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

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

# %% [markdown]
# ## Fit
#
# Bins are numbered from 0 to $K - 1$. A bin that no sample fell into has probability exactly zero: we do not smooth.


# %% fit_histogram
def fit_histogram(x: Int[Tensor, " n"], num_bins: int) -> Float[Tensor, " K"]:
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

# %% tags=["active-ipynb"]
# show("fit_histogram")


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

# %% tags=["active-ipynb"]
# show("histogram_log_prob")


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

# %% tags=["active-ipynb"]
# show("sample_histogram")


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

# %% tags=["active-ipynb"]
# show("fit_conditional_histogram")


# %% [markdown]
# ## The curse of dimensionality
#
# An image of $m$ pixels with $K$ values each has $K^m$ possible states. Slide 30 asks how many parameters a full
# table needs, and how many remain if each pixel depends on a few before it only. Mind that the first pixels have
# fewer than `order` before them. Python's integers are exact at any size; floats are not.


# %% num_parameters
def num_parameters(m: int, K: int, order: int | None) -> int:
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

# %% tags=["active-ipynb"]
# show("num_parameters")


# %% [markdown] tags=["accepts"]
# ## Bonus: write the test yourself
#
# Somebody hands you a generative model as two black boxes, a density `log_prob` and a sampler `sample`. Do they belong
# together? You can ask both, and you can look into neither. A test that looks at random draws can be wrong in two ways:
# a *false alarm* rejects an honest pair, a *miss* accepts a broken one.
#
# **Why not a p-value below 5 %?** Such a test raises a false alarm for one honest pair in twenty: that is what 5 %
# means. It lets a hundred of them all pass with probability $0.95^{100}$, less than 1 %. Yours meets dozens, and some
# of those were picked from thousands for their unlucky draws. And the level of a test says nothing about its misses.
#
# **Use the gap.** Measure distance by the total variation, the largest error of a probability over all events $A$:
#
# $$\mathrm{TV}(p, q) = \max_A \, |p(A) - q(A)| = \tfrac12 \sum_k |p_k - q_k| .$$
#
# Honest pairs are at distance 0, broken ones at 0.2 or more (the docstring says of what). Put the threshold in the
# middle: the verdict is wrong only if the frequencies $f$ of your $n$ draws are off their own law by 0.1. For one event
# Hoeffding's inequality bounds that by $e^{-2 n \varepsilon^2}$ with $\varepsilon = 0.1$, and there are $2^K$ events:
#
# $$\Pr\bigl(\mathrm{TV}(f, q) \ge \varepsilon\bigr) \le 2^K e^{-2 n \varepsilon^2} .$$
#
# For $K = 8$ that is $5 \cdot 10^{-7}$ with a thousand draws and $10^{-84}$ with ten thousand, for false alarms and
# misses alike: what you pay for certainty is draws, and few of them.
#
# **Frequencies do not see everything.** The draws 0, 1, 0, 1, 0, 1, ... have the frequencies of a fair coin. Two
# independent draws are a draw from a law on $K^2$ outcomes, $p_a p_b$, and all of the above holds for pairs as well. One
# care: the pairs $(x_1, x_2)$ and $(x_2, x_3)$ share a draw, so that Hoeffding only holds for every second pair. Both halves
# of $n/2$ pairs together fail with probability $2 \cdot 2^{K^2} e^{-n \varepsilon^2}$ at most.


# %% accepts
def accepts(
    log_prob: Callable[[Int[Tensor, " n"]], Float[Tensor, " n"]], sample: Callable[[int], Int[Tensor, " n"]], K: int
) -> bool:
    r"""Whether a sampler draws from a density, both of them black boxes.

    ``log_prob(x)`` gives the log-probabilities of ``x: (n,)`` int64 in ``0..K-1``, in float32, ``-inf`` where there is
    no mass; ``sample(n)`` gives ``n`` int64 draws in ``0..K-1``. Let $p_k = \exp(\texttt{log\_prob}(k))$, and $K \le 8$.

    A pair is *honest*, and accepted, if $p$ sums to one up to rounding and all draws, of all calls, are independent with
    law $p$. It is *broken*, and rejected, in each of these cases; there are no others:

    1. the mass $\sum_k p_k$ is off one by 0.05 or more;
    2. the law $q$ of a draw has $\mathrm{TV}(p, q) \ge 0.2$;
    3. a value with $p_k = 0$ comes up with probability 0.01 or more;
    4. neighbours in a call depend on each other: the law of $(x_i, x_{i+1})$, averaged over $i$, is at a total variation
       of 0.2 or more from that of independent pairs, $p_a p_b$;
    5. calls depend on each other: the same for the pairs $(x_i, y_i)$ of ``x = sample(n)`` and ``y = sample(n)``.

    In one call you may make 100,000 draws in all, with at most 1,000 questions to both boxes and four million numbers in
    questions and answers; what is more is refused with a ``ValueError``.
    Your answer is wanted for dozens of pairs, among them honest ones that look suspicious at the 5 % level: it has to be
    wrong less often than once in a million.

    Shapes: the result is a Python ``bool``.
    Raises: ``ValueError`` if ``K < 1``.
    Slide: 30.

    >>> fair = torch.tensor([0.5, 0.5])
    >>> accepts(lambda x: fair.log()[x], lambda n: torch.randint(2, (n,)), 2)
    True
    >>> accepts(lambda x: fair.log()[x], lambda n: torch.arange(n) % 2, 2)
    False
    """
    if K < 1:
        raise ValueError(f"K must be at least 1, got {K}")
    p = log_prob(torch.arange(K)).double().exp()
    if abs(p.sum() - 1) > 0.02:
        return False
    x, y = sample(10_000), sample(10_000)
    independent = torch.outer(p, p).flatten()  # (K K,); whatever is wrong with single draws also shows in the pairs
    for pairs in (x[:-1] * K + x[1:], x * K + y):
        frequencies = torch.bincount(pairs, minlength=K * K) / len(pairs)
        if frequencies[independent == 0].any() or (frequencies - independent).abs().sum() / 2 > 0.1:
            return False
    return True


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


