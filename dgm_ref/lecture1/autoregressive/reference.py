r"""Autoregressive models in float64, by loops that read like slides 38 to 42 and by enumerating all $K^m$ sequences.

Every conditional is asked with the rest of the sequence blanked out, so nothing here can peek at what it predicts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

Conditional = Callable[[Tensor], Tensor]  # x: (n, m) -> logits: (n, m, K)
GaussianConditional = Callable[[Tensor], tuple[Tensor, Tensor]]  # x: (n, m) -> mu, log_sigma: (n, m)
ClassConditional = Callable[[Tensor, Tensor], Tensor]  # x: (n, m), y: (n,) -> logits: (n, m, K)


def log_prob(conditional: Conditional, x: Tensor) -> Tensor:
    r"""$\log p_\theta(\mathbf x_i)$ of every row: one conditional after another."""
    n, m = x.shape
    total = [torch.zeros((), dtype=torch.float64) for _ in range(n)]
    for j in range(m):
        h = conditional(_prefix(x, j))[:, j]  # (n, K)
        for i in range(n):
            total[i] = total[i] + _log_share(h[i], int(x[i, j]))
    return torch.stack(total)


def negative_log_likelihood(conditional: Conditional, x: Tensor) -> Tensor:
    r"""$-\frac1{nm}\sum_i\log p_\theta(\mathbf x_i)$."""
    n, m = x.shape
    return -log_prob(conditional, x).sum() / (n * m)


def log_prob_score(conditional: Conditional, x: Tensor) -> Tensor:
    r"""Derivative of $\log p_\theta(\mathbf x_i)$ in the logits, in closed form: $[x_{ij}=k]-\pi_{ijk}$."""
    score = -_pmf(conditional(x))
    for i, j in itertools.product(*map(range, x.shape)):
        score[i, j, x[i, j]] += 1
    return score


def joint_pmf(conditional: Conditional, m: int, K: int) -> Tensor:
    r"""$p_\theta(\mathbf x)$ of all $K^m$ sequences, as a table with one axis a variable."""
    sequences = all_sequences(m, K)
    p = torch.ones(K**m, dtype=torch.float64)
    for j in range(m):
        p = p * _pmf(conditional(_prefix(sequences, j))[:, j])[torch.arange(K**m), sequences[:, j]]
    return p.view((K,) * m)


def mistaken_joint_pmfs(conditional: Conditional, m: int, K: int) -> dict[str, Tensor]:
    """The laws of samplers with one misunderstanding each, by the name of the registered mistake."""
    right = joint_pmf(conditional, m, K)

    def each(h: Callable[[Tensor, int], Tensor]) -> Tensor:
        """The joint of the model whose logits of variable j are ``h(x, j)``."""
        return joint_pmf(lambda x: torch.stack([h(x, j) for j in range(m)], dim=1), m, K)

    return {
        "uniform_values": torch.full((K,) * m, K**-m, dtype=torch.float64),
        "softmax_twice": joint_pmf(lambda x: _pmf(conditional(x)), m, K),
        "all_at_once": joint_pmf(lambda x: conditional(torch.zeros_like(x)), m, K),
        "forgets_the_newest_value": each(lambda x, j: conditional(_prefix(x, max(j - 1, 0)))[:, j]),
        "remembers_only_the_newest_value": each(lambda x, j: conditional(_only(x, j - 1))[:, j]),
        "logits_of_the_variable_before": each(lambda x, j: conditional(x)[:, max(j - 1, 0)]),
        "logits_of_the_last_variable": each(lambda x, j: conditional(_prefix(x, j))[:, -1]),
        "logits_of_the_next_variable": each(lambda x, j: conditional(_prefix(x, j))[:, min(j + 1, m - 1)]),
        "time_reversed": right.permute(*reversed(range(m))).contiguous(),
        "drops_the_least_likely_value": joint_pmf(lambda x: _without_smallest(conditional(x)), m, K),
    }


def all_sequences(m: int, K: int) -> Tensor:
    r"""All $K^m$ sequences, the last variable varies fastest: ``(K ** m, m)``."""
    return torch.tensor(list(itertools.product(range(K), repeat=m)))


def context_windows(x: Tensor, d: int, start: int) -> Tensor:
    r"""$(x_{j-d},\dots,x_{j-1})$ for each $j$, read off one place at a time."""
    return torch.tensor([[_window(row, j, d, start) for j in range(len(row))] for row in x.tolist()])


def context_mask(m: int, d: int) -> Tensor:
    """``[j, i]`` is true where the value that stands at i comes up in the window of j."""
    if d == 0:
        return torch.zeros(m, m, dtype=torch.bool)
    places = context_windows(torch.arange(m)[None], d, start=-1)[0].tolist()  # what a sequence 0, 1, 2, ... shows
    return torch.tensor([[i in window for i in range(m)] for window in places])


def markov_mlp(parameters: dict[str, Tensor], x: Tensor, d: int) -> Tensor:
    r"""$\mathbf h_j=\mathrm{MLP}_\theta(x_{j-d},\dots,x_{j-1})$, one variable after another, from the state dict."""
    embedding = parameters["embedding.weight"]
    start = len(embedding) - 1

    def logits(window: list[int]) -> Tensor:
        e = torch.cat([embedding[token] for token in window])
        a = parameters["mlp.0.weight"] @ e + parameters["mlp.0.bias"]
        return parameters["mlp.2.weight"] @ torch.where(a > 0, a, 0.0) + parameters["mlp.2.bias"]

    return torch.stack([torch.stack([logits(_window(row, j, d, start)) for j in range(len(row))]) for row in x.tolist()])


def markov_mlp_gradients(parameters: dict[str, Tensor], x: Tensor, d: int, weights: Tensor) -> dict[str, Tensor]:
    """Derivative of the weighted sum of the logits in every parameter."""
    leaves = {name: parameter.clone().requires_grad_() for name, parameter in parameters.items()}
    total = (markov_mlp(leaves, x, d) * weights).sum()
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


def gaussian_log_prob(conditional: GaussianConditional, x: Tensor) -> Tensor:
    r"""$\sum_j\log\mathcal N(x_j;\mu_j,\sigma_j^2)$ of every row: one conditional after another."""
    total = torch.zeros(len(x), dtype=torch.float64)
    for j in range(x.shape[1]):
        mu, log_sigma = (parameter[:, j] for parameter in conditional(_prefix(x, j)))
        log_2_pi_variance = math.log(2 * math.pi) + 2 * log_sigma
        total = total - ((x[:, j] - mu) ** 2 / torch.exp(2 * log_sigma) + log_2_pi_variance) / 2
    return total


def gaussian_rounding(conditional: GaussianConditional, x: Tensor) -> Tensor:
    """The size of what a sum of Gaussian log-densities has to round, one number for each row."""
    mu, log_sigma = conditional(x)
    size = ((x - mu) ** 2 / torch.exp(2 * log_sigma) + log_sigma.abs() + 1).sum(dim=1)
    return size * (1 + x.shape[1] / 32)  # a loop that adds equal terms is off by up to half a rounding each time


def gaussian_score(conditional: GaussianConditional, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Derivative of the log-density in the means, $(x-\mu)/\sigma^2$, and in $\log\sigma$, $(x-\mu)^2/\sigma^2-1$."""
    mu, log_sigma = conditional(x)
    precision = 1 / torch.exp(2 * log_sigma)
    return (x - mu) * precision, (x - mu) ** 2 * precision - 1


def class_posterior(conditional: ClassConditional, x: Tensor, log_prior: Tensor) -> Tensor:
    r"""$p(c\mid\mathbf x)=1\big/\sum_k\frac{p(k)\,p_\theta(\mathbf x\mid k)}{p(c)\,p_\theta(\mathbf x\mid c)}$.

    Where no class can give x it is 0 / 0: nan.
    """
    n, C = len(x), len(log_prior)

    def log_joint(c: int) -> Tensor:
        return log_prior[c] + log_prob(lambda x: conditional(x, torch.full((len(x),), c)), x)  # (n,)

    table = torch.stack([log_joint(c) for c in range(C)], dim=1)
    shares = torch.stack([torch.stack([torch.exp(_log_share(table[i], c)) for c in range(C)]) for i in range(n)])
    return shares / shares.sum(dim=1, keepdim=True)


def _prefix(x: Tensor, j: int) -> Tensor:
    """The first j columns of x, zeros after them."""
    return torch.cat([x[:, :j], torch.zeros_like(x[:, j:])], dim=1)


def _only(x: Tensor, j: int) -> Tensor:
    """Column j of x (none if j < 0), zeros elsewhere."""
    only = torch.zeros_like(x)
    if j >= 0:
        only[:, j] = x[:, j]
    return only


def _window(row: list[int], j: int, d: int, start: int) -> list[int]:
    return [row[i] if i >= 0 else start for i in range(j - d, j)]


def _log_share(h: Tensor, k: int) -> Tensor:
    r"""$\log\frac{e^{h_k}}{\sum_l e^{h_l}}=-\log\sum_l e^{h_l-h_k}$, the largest term taken out of the sum."""
    if h[k] == -math.inf:
        return torch.full((), -math.inf, dtype=torch.float64)
    gaps = (h - h[k])[h > -math.inf]
    largest = gaps.max()
    return -largest - torch.log(torch.exp(gaps - largest).sum())


def _pmf(h: Tensor) -> Tensor:
    weights = torch.exp(h - h.max(dim=-1, keepdim=True).values)
    return weights / weights.sum(dim=-1, keepdim=True)


def _without_smallest(h: Tensor) -> Tensor:
    return h.masked_fill(h == h.min(dim=-1, keepdim=True).values, -math.inf)
