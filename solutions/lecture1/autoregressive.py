# %% [markdown]
# # Autoregressive models
#
# By the chain rule every distribution is a product of conditionals (slide 38),
#
# $$p_\theta(\mathbf x)=\prod_{j=1}^m p_\theta(x_j\mid\mathbf x_{1:j-1}),\qquad
#   \log p_\theta(\mathbf x)=\sum_{j=1}^m\log p_\theta(x_j\mid\mathbf x_{1:j-1}).$$
#
# An autoregressive model is therefore a function from a prefix to the parameters of the next variable. In this module
# that function is an argument, called `conditional`: it takes a batch `x: (n, m)` of sequences over $K$ values and
# returns logits `(n, m, K)`, where `logits[:, j]` depends on `x[:, :j]` alone.
#
# **Mind the index.** The lecture counts from one, Python from zero: `x[:, j]` is $x_{j+1}$, and the slice `x[:, :j]`
# holds everything before it, $\mathbf x_{1:j}$.
#
# `conditional` is called with all $m$ columns, `int64`, and any number of rows. Columns that are not drawn yet may hold
# any values in $0..K-1$: the logits up to and including the first of them do not look at them. Logits are finite or
# `-inf`, at least one of each row finite.
#
# - Arguments are legal: samples are there, shapes fit, sizes are at least 1. Check nothing unless a docstring says so.
# - The first axis is the batch. Results have the dtype and device of the floating-point inputs; integers are `int64`.
# - Leave the tensors you are given as they are. Results are differentiable (not samples, counts and indices).
# - A probability of zero is a log-probability of `-inf`, never `nan`, and $0\log0=0$. Use the numerically stable form.
# - Draw from the `generator` you are given alone. Callables are batched torch code, row by row, for any $n\ge1$.

# %%
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Conditional = Callable[[Tensor], Tensor]  # x: (n, m) -> logits: (n, m, K)
GaussianConditional = Callable[[Tensor], tuple[Tensor, Tensor]]  # x: (n, m) -> mu, log_sigma: (n, m)
ClassConditional = Callable[[Tensor, Tensor], Tensor]  # x: (n, m), y: (n,) -> logits: (n, m, K)


# %% [markdown]
# ## Density evaluation
#
# All $m$ conditionals of a known $\mathbf x$ can be evaluated at once, in one call of `conditional` (slide 39). Logits
# are unnormalised log-probabilities: $\boldsymbol\pi_j=\mathrm{softmax}(\mathbf h_j)$. A product of 784 probabilities
# soon falls below the smallest floating-point number (in float32 already when each is 1/2), their sum of logarithms
# does not; nor is a softmax followed by a logarithm the same as a log-softmax once the logits are a few hundred apart.

# %% log_prob
def log_prob(conditional: Conditional, x: Int[Tensor, "n m"]) -> Float[Tensor, " n"]:
    r"""Log-likelihood of each sequence under an autoregressive model.

    $$\log p_\theta(\mathbf x)=\sum_{j=1}^m\log p_\theta(x_j\mid\mathbf x_{1:j-1})$$

    Right for logits of any size, ``-inf`` included, and for ``m = 784``; an impossible sequence has log-likelihood
    ``-inf``. Differentiable in the logits.

    Shapes: ``conditional``: ``(n, m) -> (n, m, K)``; ``x``: ``(n, m)``, values in ``0..K-1``; result ``(n,)``, in nats,
    with the dtype of the logits.
    Slide: 38.

    >>> fair_coins = lambda x: torch.zeros(*x.shape, 2)
    >>> log_prob(fair_coins, torch.tensor([[0, 1, 1]])) / math.log(2)
    tensor([-3.])
    """
    # BEGIN SOLUTION log_prob
    log_pi = torch.log_softmax(conditional(x), dim=-1)  # (n, m, K)
    return log_pi.gather(-1, x[..., None])[..., 0].sum(dim=-1)  # (n,)
    # END SOLUTION log_prob

# %% tags=["active-ipynb"]
# show("log_prob")


# %% [markdown]
# Training maximises the likelihood of the data. Losses are quoted per dimension, so that images of different sizes
# compare: a model that knows nothing has $\log K$ nats per dimension.

# %% negative_log_likelihood
def negative_log_likelihood(conditional: Conditional, x: Int[Tensor, "n m"]) -> Float[Tensor, ""]:
    r"""Maximum-likelihood loss of a batch, per dimension.

    $$\mathcal L(\theta)=-\frac1{nm}\sum_{i=1}^n\log p_\theta(\mathbf x_i)$$

    ``inf`` where a sequence of the batch is impossible. Differentiable in the logits.

    Shapes: ``conditional``: ``(n, m) -> (n, m, K)``; ``x``: ``(n, m)``; result ``()``, in nats per dimension, with the
    dtype of the logits.
    Slide: 38.

    >>> fair_coins = lambda x: torch.zeros(*x.shape, 2)
    >>> negative_log_likelihood(fair_coins, torch.tensor([[0, 1, 1], [1, 0, 0]])) / math.log(2)
    tensor(1.)
    """
    # BEGIN SOLUTION negative_log_likelihood
    return -log_prob(conditional, x).mean() / x.shape[1]
    # END SOLUTION negative_log_likelihood


# %% [markdown]
# ## Sampling (ancestral)
#
# Sampling is sequential (slide 39): sample $\hat x_1\sim p_\theta(x_1)$, then $\hat x_2\sim p_\theta(x_2\mid\hat x_1)$,
# and so on up to $\hat x_m\sim p_\theta(x_m\mid\hat{\mathbf x}_{1:m-1})$. That takes $m$ calls of `conditional`, one
# after another. Each row of the batch is a sample of its own, with its own prefix and its own noise. All randomness
# comes from `generator`.

# %% sample
def sample(conditional: Conditional, n: int, m: int, generator: torch.Generator) -> Int[Tensor, "n m"]:
    r"""Draw independent sequences from an autoregressive model, one variable after another.

    $$\hat x_j\sim p_\theta(x_j\mid\hat{\mathbf x}_{1:j-1}),\qquad j=1,\dots,m$$

    Rows are independent draws. The same state of the generator gives the same samples, the next call other ones.
    ``conditional`` gets all ``m`` columns each time, ``int64``, with values in ``0..K-1``.

    Shapes: ``conditional``: ``(n, m) -> (n, m, K)``; result ``(n, m)`` int64, values in ``0..K-1``, on the
    generator's device.
    Slide: 39.

    >>> always_one = lambda x: torch.tensor([-torch.inf, 0.0]).expand(*x.shape, 2)
    >>> sample(always_one, n=2, m=3, generator=torch.Generator())
    tensor([[1, 1, 1],
            [1, 1, 1]])
    """
    # BEGIN SOLUTION sample
    x = torch.zeros(n, m, dtype=torch.int64, device=generator.device)
    for j in range(m):
        pi = torch.softmax(conditional(x)[:, j], dim=-1)  # (n, K)
        x[:, j] = torch.multinomial(pi, num_samples=1, generator=generator)[:, 0]
    return x
    # END SOLUTION sample

# %% tags=["active-ipynb"]
# show("sample")


# %% [markdown]
# ## The Markov assumption
#
# The prefix grows with $j$. The Markov assumption (slide 41) keeps its last $d$ values,
#
# $$p_\theta(x_j\mid\mathbf x_{1:j-1})=p_\theta(x_j\mid\mathbf x_{j-d:j-1}),$$
#
# so every conditional has an input of the same size. The first $d$ variables have fewer than $d$ values before them. We
# fill the gap with a *start token*, which is none of the $K$ values: a padding of zeros would claim that there were
# zeros.

# %% context_windows
def context_windows(x: Int[Tensor, "n m"], d: int, start: int) -> Int[Tensor, "n m d"]:
    r"""The $d$ values before each variable, oldest first.

    $$\mathrm{windows}_{j}=(x_{j-d},\dots,x_{j-1}),\qquad x_i=\mathrm{start}\ \text{for}\ i<1$$

    Shapes: ``x``: ``(n, m)``; result ``(n, m, d)`` int64; ``d >= 1`` may be larger than ``m``.
    Slide: 41.

    >>> context_windows(torch.tensor([[5, 6, 7]]), d=2, start=9)
    tensor([[[9, 9],
             [9, 5],
             [5, 6]]])
    """
    # BEGIN SOLUTION context_windows
    m = x.shape[1]
    padded = nn.functional.pad(x, (d, 0), value=start)  # (n, d + m): x_j now stands d places further right
    return padded[:, torch.arange(m)[:, None] + torch.arange(d)]  # (n, m, d)
    # END SOLUTION context_windows

# %% tags=["active-ipynb"]
# show("context_windows")


# %% [markdown]
# A transformer sees the whole sequence and *masks* what a variable must not see. The same context window (slide 42) is
# then an $m\times m$ table of booleans.

# %% context_mask
def context_mask(m: int, d: int) -> Bool[Tensor, "m m"]:
    r"""Which variables lie in the context of which: at most the $d$ before it, never itself.

    $$\mathrm{mask}_{ji}=[\,j-d\le i\le j-1\,]$$

    Shapes: result ``(m, m)`` bool; row ``j`` is the context of variable ``j``; all ``False`` for ``d = 0``.
    Slide: 42.

    >>> context_mask(3, 1)
    tensor([[False, False, False],
            [ True, False, False],
            [False,  True, False]])
    """
    # BEGIN SOLUTION context_mask
    j, i = torch.arange(m)[:, None], torch.arange(m)
    return (j - d <= i) & (i < j)
    # END SOLUTION context_mask

# %% tags=["active-ipynb"]
# show("context_mask")


# %% [markdown]
# Modelling every conditional on its own is not feasible, so they share their parameters (slide 41): one MLP maps the
# window of any variable to its logits,
#
# $$\mathbf h_j=\mathrm{MLP}_\theta(x_{j-d},\dots,x_{j-1}),\qquad x_j\sim\mathrm{Cat}(\mathrm{softmax}(\mathbf h_j)).$$
#
# The layers are given. Values are names, not quantities, so each of the $K$ values and the start token has its own
# learned embedding; the MLP reads the $d$ embeddings of the window next to each other.

# %% MarkovMLP
class MarkovMLP(nn.Module):
    r"""Autoregressive model of order $d$: one MLP, shared by all variables, from a window to logits."""

    def __init__(self, K: int, d: int = 2, embedding_dim: int = 16, hidden_dim: int = 64) -> None:
        super().__init__()
        self.K, self.d = K, d
        self.embedding = nn.Embedding(K + 1, embedding_dim)  # token K is the start token
        self.mlp = nn.Sequential(
            nn.Linear(d * embedding_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, K),
        )

    def forward(self, x: Int[Tensor, "n m"]) -> Float[Tensor, "n m K"]:
        r"""Logits of every variable given the $d$ values before it.

        $$\mathbf h_j=\mathrm{MLP}_\theta(x_{j-d},\dots,x_{j-1})$$

        The embeddings of the window are concatenated oldest first, token ``K`` stands where nothing is before; the
        result is the raw output of the MLP. Differentiable in all parameters. ``d`` may be larger than ``m``.

        Shapes: ``x``: ``(n, m)``, values in ``0..K-1``; result ``(n, m, K)``, with the dtype of the weights.
        Slide: 41.

        >>> MarkovMLP(K=4)(torch.tensor([[0, 3, 1, 2, 2]])).shape
        torch.Size([1, 5, 4])
        """
        # BEGIN SOLUTION MarkovMLP.forward
        windows = context_windows(x, self.d, start=self.K)  # (n, m, d)
        return self.mlp(self.embedding(windows).flatten(start_dim=2))  # (n, m, K)
        # END SOLUTION MarkovMLP.forward

# %% tags=["active-ipynb"]
# show("MarkovMLP.forward")


# %% [markdown]
# ## Continuous data
#
# "Can we also model continuous-valued data?" (slide 41). Yes: let the conditional be a density. Here it is a Gaussian
# whose mean and log-standard-deviation are functions of the prefix, $p_\theta(x_j\mid\mathbf x_{1:j-1})=\mathcal
# N(x_j;\mu_j,\sigma_j^2)$, and `conditional(x)` returns the pair `(mu, log_sigma)`, both `(n, m)`.

# %% gaussian_log_prob
def gaussian_log_prob(conditional: GaussianConditional, x: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    r"""Log-density of each vector under a Gaussian autoregressive model.

    $$\log p_\theta(\mathbf x)=\sum_{j=1}^m\log\mathcal N(x_j;\mu_j,\sigma_j^2),\qquad
      (\mu_j,\log\sigma_j)\ \text{functions of}\ \mathbf x_{1:j-1}$$

    Right for any width: ``log_sigma`` may be -20 or 20 in float32, -100 or 100 in float64. Differentiable in ``x`` and
    in the parameters of ``conditional``.

    Shapes: ``conditional``: ``(n, m) -> (n, m), (n, m)``, the means and the logarithms of the standard deviations;
    ``x``: ``(n, m)``; result ``(n,)``, in nats, with the dtype of ``x``.
    Slide: 41.

    >>> standard_normal = lambda x: (torch.zeros_like(x), torch.zeros_like(x))
    >>> gaussian_log_prob(standard_normal, torch.zeros(1, 2)) / math.log(2 * math.pi)
    tensor([-1.])
    """
    # BEGIN SOLUTION gaussian_log_prob
    mu, log_sigma = conditional(x)
    z = (x - mu) * torch.exp(-log_sigma)  # (n, m)
    return (-0.5 * z.square() - log_sigma - 0.5 * math.log(2 * math.pi)).sum(dim=-1)  # (n,)
    # END SOLUTION gaussian_log_prob


# %% gaussian_sample
def gaussian_sample(
    conditional: GaussianConditional, n: int, m: int, generator: torch.Generator
) -> Float[Tensor, "n m"]:
    r"""Draw independent vectors from a Gaussian autoregressive model, one variable after another.

    $$\hat x_j\sim p_\theta(x_j\mid\hat{\mathbf x}_{1:j-1})=\mathcal N(x_j;\mu_j,\sigma_j^2),\qquad j=1,\dots,m$$

    Rows are independent draws. The same state of the generator gives the same samples, the next call other ones. The
    vectors handed to ``conditional`` may have any floating dtype; the result has the dtype of ``mu``.

    Shapes: ``conditional``: ``(n, m) -> (n, m), (n, m)``; result ``(n, m)``, on the generator's device.
    Slide: 41.

    >>> nearly_seven = lambda x: (torch.full_like(x, 7.0), torch.full_like(x, -30.0))
    >>> gaussian_sample(nearly_seven, n=1, m=2, generator=torch.Generator())
    tensor([[7., 7.]])
    """
    # BEGIN SOLUTION gaussian_sample
    x = torch.zeros(n, m, device=generator.device)
    columns = []  # kept beside x: mu may be more precise than the default dtype
    with torch.no_grad():  # samples are data: they need no graph
        for j in range(m):
            mu, log_sigma = conditional(x)
            noise = torch.randn(n, generator=generator, dtype=mu.dtype, device=generator.device)
            columns.append(mu[:, j] + torch.exp(log_sigma[:, j]) * noise)  # (n,)
            x[:, j] = columns[j]
    return torch.stack(columns, dim=-1)
    # END SOLUTION gaussian_sample

# %% tags=["active-ipynb"]
# show("gaussian_sample")


# %% [markdown]
# ## A class-conditional model is a classifier
#
# A conditional generative model (slide 31) has one autoregressive model of $\mathbf x$ for every class $y$, so
# `conditional(x, y)` also takes the labels `y: (n,)`. Bayes' rule turns it into a classifier. The likelihood of an
# image with 784 pixels underflows under every class; their ratios do not.

# %% class_posterior
def class_posterior(
    conditional: ClassConditional, x: Int[Tensor, "n m"], log_prior: Float[Tensor, " C"]
) -> Float[Tensor, "n C"]:
    r"""Probability of each class given the sequence, by Bayes' rule.

    $$p(y\mid\mathbf x)=\frac{p(y)\,p_\theta(\mathbf x\mid y)}{\sum_{c}p(c)\,p_\theta(\mathbf x\mid c)}$$

    Right where every likelihood underflows; a class that is impossible (``-inf``) has probability zero. Where all classes
    are, Bayes' rule says nothing (0 / 0). ``log_prior`` need not be normalised. Differentiable in it and in the logits.

    Shapes: ``conditional``: ``(n, m), (n,) -> (n, m, K)``; ``x``: ``(n, m)``; ``log_prior``: ``(C,)``; result
    ``(n, C)``, rows sum to one.
    Slide: 31.

    >>> coins = lambda x, y: torch.tensor([[0.0, 0.0], [0.0, -torch.inf]])[y][:, None].expand(-1, x.shape[1], -1)
    >>> class_posterior(coins, torch.tensor([[0, 0], [0, 1]]), torch.tensor([0.5, 0.5]).log())
    tensor([[0.2000, 0.8000],
            [1.0000, 0.0000]])
    """
    # BEGIN SOLUTION class_posterior
    def log_likelihood(c: int) -> Tensor:  # (n,)
        y = torch.full((x.shape[0],), c, dtype=torch.int64, device=x.device)
        return log_prob(lambda x: conditional(x, y), x)

    log_likelihoods = torch.stack([log_likelihood(c) for c in range(log_prior.shape[0])], dim=-1)  # (n, C)
    return torch.softmax(log_prior + log_likelihoods, dim=-1)
    # END SOLUTION class_posterior

# %% tags=["active-ipynb"]
# show("class_posterior")


# %% [markdown]
# The next module, `imagegpt`, replaces the MLP by a transformer. Everything you wrote here works for it unchanged.
