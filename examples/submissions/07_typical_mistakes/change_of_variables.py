# %% [markdown]
# # Change of variables
#
# Slide 26. Let $\mathbf f : \mathbb R^m \to \mathbb R^m$ be a $C^1$-diffeomorphism and
# $\mathbf z = \mathbf f(\mathbf x)$. Then
#
# $$p(\mathbf x) = p(\mathbf z)\,\lvert\det \mathbf J_{\mathbf f}\rvert
# = p(\mathbf f(\mathbf x)) \left\lvert\det \frac{\partial \mathbf f(\mathbf x)}{\partial \mathbf x}\right\rvert,
# \qquad
# p(\mathbf z) = p(\mathbf f^{-1}(\mathbf z))
# \left\lvert\det \frac{\partial \mathbf f^{-1}(\mathbf z)}{\partial \mathbf z}\right\rvert .$$
#
# Where $\mathbf f$ stretches space, a small cube around $\mathbf x$ becomes a large one around $\mathbf z$ and holds
# the same mass: so $p(\mathbf x)$ is the *larger* density, by the factor $\lvert\det \mathbf J_{\mathbf f}\rvert$. We
# work with logarithms: in 64 dimensions a map that shrinks every direction a thousandfold has a determinant of
# $10^{-192}$, which float32 cannot hold, and the logarithm $-442$, which it holds easily.
#
# In this course $\mathbf f$ maps **data to latents**, and callables are **batched**: `f` takes `(n, m)` and treats
# each row alone. Nothing else is known about `f`: not that it is linear, nor that its Jacobian is triangular.

# %%
from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vmap

# %% [markdown]
# ## The Jacobian of a batch
#
# The Jacobian of row $i$ is $\mathbf J_{ab} = \partial f_a(\mathbf x_i) / \partial x_{ib}$, one $m \times m$ matrix a
# row. The determinant may be negative (a reflection), tiny or huge; only the logarithm of its absolute value is asked
# for. The result must stay differentiable: one trains a flow by following its gradient.


# %% log_abs_det_jacobian
def log_abs_det_jacobian(f: Callable[[Tensor], Tensor], x: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    r"""Logarithm of the volume change of a diffeomorphism at each sample, by automatic differentiation.

    $$\log \lvert \det \mathbf J_{\mathbf f}(\mathbf x_i) \rvert,
    \qquad \mathbf J_{\mathbf f}(\mathbf x) = \frac{\partial \mathbf f(\mathbf x)}{\partial \mathbf x}$$

    Shapes: ``f`` maps ``(n, m)`` to ``(n, m)``, row by row; ``x``: ``(n, m)``; result ``(n,)``.
    Raises: ``ValueError`` if ``x`` has no samples or no dimensions, or if ``f`` does not keep the number of dimensions.
    Slide: 26.

    >>> log_abs_det_jacobian(lambda x: -3 * x, torch.zeros(1, 2))
    tensor([2.1972])
    """
    return torch.log(torch.linalg.det(torch.func.vmap(torch.func.jacrev(lambda row: f(row[None])[0]))(x)))

# %% tags=["active-ipynb"]
# show("log_abs_det_jacobian")


# %% [markdown]
# ## The density of data
#
# A flow is a base density $p(\mathbf z)$ that is easy to write down and a map $\mathbf f$ from data to latents. The
# theorem then *gives* the density of the data; its parameters are those inside `f` and inside `log_p_z`.


# %% log_prob_x
def log_prob_x(
    f: Callable[[Tensor], Tensor], log_p_z: Callable[[Tensor], Tensor], x: Float[Tensor, "n m"]
) -> Float[Tensor, " n"]:
    r"""Log-density of data whose latents $\mathbf z = \mathbf f(\mathbf x)$ have the density $p(\mathbf z)$.

    $$\log p(\mathbf x) = \log p(\mathbf f(\mathbf x)) + \log \lvert \det \mathbf J_{\mathbf f}(\mathbf x) \rvert$$

    Shapes: ``f`` maps ``(n, m)`` to ``(n, m)``, ``log_p_z`` maps ``(n, m)`` to ``(n,)``, both row by row;
    ``x``: ``(n, m)``; result ``(n,)``, in nats.
    Raises: ``ValueError`` if ``x`` has no samples or no dimensions, or if ``f`` does not keep the number of dimensions.
    Slide: 26.

    >>> log_prob_x(torch.logit, lambda z: torch.zeros(len(z)), torch.tensor([[0.5]]))
    tensor([1.3863])
    """
    log_abs_det = log_abs_det_jacobian(f, x)  # first: it refuses what makes no sense
    return log_p_z(f(x)) + log_abs_det


# %% [markdown]
# ## The density of latents
#
# The same theorem, read from the other side: $\mathbf f^{-1}$ is a diffeomorphism too, and
# $\mathbf J_{\mathbf f^{-1}}(\mathbf z) = \mathbf J_{\mathbf f}(\mathbf x)^{-1}$.


# %% log_prob_z
def log_prob_z(
    f_inverse: Callable[[Tensor], Tensor], log_p_x: Callable[[Tensor], Tensor], z: Float[Tensor, "n m"]
) -> Float[Tensor, " n"]:
    r"""Log-density of the latents $\mathbf z = \mathbf f(\mathbf x)$ of data that have the density $p(\mathbf x)$.

    $$\log p(\mathbf z) = \log p(\mathbf f^{-1}(\mathbf z))
    + \log \lvert \det \mathbf J_{\mathbf f^{-1}}(\mathbf z) \rvert$$

    Shapes: ``f_inverse`` maps ``(n, m)`` to ``(n, m)``, ``log_p_x`` maps ``(n, m)`` to ``(n,)``, both row by row;
    ``z``: ``(n, m)``; result ``(n,)``, in nats.
    Raises: ``ValueError`` if ``z`` has no samples or no dimensions, or if ``f_inverse`` does not keep the number of
    dimensions.
    Slide: 26.

    >>> log_prob_z(torch.exp, lambda x: -x.sum(1), torch.tensor([[0.0]]))
    tensor([-1.])
    """
    _refuse_empty(z, "z")
    x = f_inverse(z)
    if x.shape != z.shape:
        raise ValueError(f"f_inverse must map (n, m) to (n, m), got {tuple(z.shape)} to {tuple(x.shape)}")
    return log_p_x(x) + log_abs_det_jacobian(f_inverse, z)

# %% tags=["active-ipynb"]
# show("log_prob_z")


# %%
def _refuse_empty(x: Tensor, name: str) -> None:
    """Raise for a batch without samples or without dimensions."""
    if x.ndim != 2 or x.numel() == 0:
        raise ValueError(f"{name} must be (n, m) with n >= 1 samples and m >= 1 dimensions, got shape {tuple(x.shape)}")



# %% [markdown]
# ## See it
#
# Latents are standard normal, and $f(x) = x - 0.95 \tanh x$ maps data to them. The curve is your `log_prob_x`; the bars
# are data: latents, sent back through $f^{-1}$ (by bisection, as nothing is known about $f$ but that it increases).

# %% tags=["active-ipynb"]
# show("log_prob_x")
