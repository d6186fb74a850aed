# %% [markdown]
# # Generative adversarial networks
#
# *DCGAN, the first convolutional GAN for image generation*, and *StyleGAN, high-quality face generation* (slides 3 to 22;
# Goodfellow et al., [Generative Adversarial Networks](https://arxiv.org/abs/1406.2661), 2014; Karras et al.,
# [A Style-Based Generator Architecture](https://arxiv.org/abs/1812.04948), 2018).
#
# A generator $\mathbf x=G(\mathbf z)$ is easy to sample from, and its density nobody knows: no likelihood, no divergence to
# minimise. What makes a GAN a GAN is that the divergence is *learned*. A second network, the **discriminator** $D$, looks at
# samples alone and tells real from generated ones. The better it can, the further apart the two laws are.
#
# *Conventions.* The first axis is the batch. The dtype follows the inputs. Nothing you are given is changed. Networks return
# **logits**: $D=\mathrm{sigmoid}(\text{logit})$. Logits may be of any size, and a logarithm of a probability that has been
# rounded to 0 or 1 is worth nothing: stay with logits.

# %%
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Critic = Callable[[Tensor], Tensor]  # (n, ...) -> (n,)

# %% [markdown]
# ## The best discriminator
#
# Show $D$ a real and a generated sample equally often. At a point $x$ that comes with probability $p_{data}(x)$ from the data
# and $p_\theta(x)$ from the generator, Bayes' rule says how likely it is real:
#
# $$D^*(x)=\frac{p_{data}(x)}{p_{data}(x)+p_\theta(x)} .$$
#
# Where neither ever puts a point, the question has no answer.


# %% optimal_discriminator
def optimal_discriminator(p_data: Float[Tensor, " K"], p_theta: Float[Tensor, " K"]) -> Float[Tensor, " K"]:
    r"""The best discriminator between two categorical distributions.

    $$D^*(x)=\frac{p_{data}(x)}{p_{data}(x)+p_\theta(x)}$$

    ``nan`` where both are zero.

    Shapes: ``p_data``, ``p_theta``: ``(K,)``; result ``(K,)``.
    Source: slides 3 to 22 (DCGAN); Goodfellow et al. 2014, proposition 1.

    >>> optimal_discriminator(torch.tensor([0.75, 0.25]), torch.tensor([0.25, 0.75]))
    tensor([0.7500, 0.2500])
    """
    # BEGIN SOLUTION optimal_discriminator
    return p_data / (p_data + p_theta)
    # END SOLUTION optimal_discriminator


# %% tags=["active-ipynb"]
# show("optimal_discriminator")


# %% [markdown]
# ## What it measures
#
# Against that discriminator the game is worth $2\,JS(p_{data}\Vert p_\theta)-\log 4$, with the **Jensen-Shannon divergence**:
# the mean divergence of two laws from the law half-way between them,
#
# $$JS(p\Vert q)=\tfrac12D_{KL}\Big(p\,\Big\Vert\,\tfrac{p+q}2\Big)+\tfrac12D_{KL}\Big(q\,\Big\Vert\,\tfrac{p+q}2\Big).$$
#
# It is symmetric, and never infinite: it lies between 0 and $\log2$, which it reaches for laws that never meet. Remember
# $0\log0=0$.


# %% jensen_shannon
def jensen_shannon(p: Float[Tensor, "*#batch K"], q: Float[Tensor, "*#batch K"]) -> Float[Tensor, "*batch"]:
    r"""Jensen-Shannon divergence of two categorical distributions, or of batches of them.

    $$\tfrac12D_{KL}(p\Vert\tfrac{p+q}2)+\tfrac12D_{KL}(q\Vert\tfrac{p+q}2)$$

    In ``[0, log 2]``; a value without mass costs nothing.

    Shapes: ``p``, ``q``: ``(..., K)``, the same ``K``, the other axes broadcast; result ``(...)``, in nats.
    Source: slides 3 to 22 (DCGAN) and 34; Goodfellow et al. 2014, theorem 1.

    >>> jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
    tensor(0.6931)
    """
    # BEGIN SOLUTION jensen_shannon
    middle = (p + q) / 2
    terms = torch.xlogy(p, p) - torch.xlogy(p, middle) + torch.xlogy(q, q) - torch.xlogy(q, middle)
    return 0.5 * terms.sum(dim=-1)
    # END SOLUTION jensen_shannon


# %% [markdown]
# ## The two losses
#
# Nobody knows $D^*$, so $D$ is trained, by plain classification: real samples have the label 1, generated ones 0,
#
# $$L_D=-\frac1n\sum_i\log D(\mathbf x_i)-\frac1k\sum_j\log\big(1-D(G(\mathbf z_j))\big).$$
#
# Each half is an average of its own. From logits, $\log D=-\mathrm{softplus}(-\text{logit})$, at any size.


# %% discriminator_loss
def discriminator_loss(real_logits: Float[Tensor, " n"], fake_logits: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    r"""What the discriminator minimises, from its logits for real and for generated samples.

    $$-\frac1n\sum_i\log D(\mathbf x_i)-\frac1k\sum_j\log(1-D(G(\mathbf z_j)))$$

    Right for logits of any size.

    Shapes: ``real_logits``: ``(n,)``; ``fake_logits``: ``(k,)``, not necessarily as many; result ``()``, in nats.
    Source: slides 3 to 22 (DCGAN); Goodfellow et al. 2014, equation 1.

    >>> discriminator_loss(torch.zeros(2), torch.zeros(3))
    tensor(1.3863)
    """
    # BEGIN SOLUTION discriminator_loss
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
    # END SOLUTION discriminator_loss


# %% [markdown]
# The generator plays against it. In the game as written it minimises $\frac1k\sum\log(1-D)$. That **saturates**: early on
# $D$ is sure, and where $D\approx0$ the slope of $\log(1-D)$ is nearly zero: no news for the generator when it needs it most.
# So one minimises $-\frac1k\sum\log D$ instead, which has the same solution and a steep slope there.


# %% generator_loss
def generator_loss(fake_logits: Float[Tensor, " k"], saturating: bool) -> Float[Tensor, ""]:
    r"""What the generator minimises, from the discriminator's logits for generated samples.

    $$\text{saturating: }\frac1k\sum_j\log(1-D(G(\mathbf z_j))),\qquad\text{else: }-\frac1k\sum_j\log D(G(\mathbf z_j))$$

    Right for logits of any size.

    Shapes: ``fake_logits``: ``(k,)``; result ``()``, in nats.
    Source: slides 3 to 22 (DCGAN); Goodfellow et al. 2014, section 3.

    >>> generator_loss(torch.zeros(2), True), generator_loss(torch.zeros(2), False)
    (tensor(-0.6931), tensor(0.6931))
    """
    # BEGIN SOLUTION generator_loss
    return -F.softplus(fake_logits).mean() if saturating else F.softplus(-fake_logits).mean()
    # END SOLUTION generator_loss


# %% [markdown]
# Both losses beside each other, and a game: two small networks, trained by your losses in some seconds.

# %% tags=["active-ipynb"]
# show("generator_loss")


# %% [markdown]
# ## Another distance, and its price
#
# Where the two laws do not overlap at all the Jensen-Shannon divergence is $\log2$, near or far: it does not say where to go.
# The **Wasserstein distance** does. It is the work to carry one heap of mass onto another. In one dimension the best plan is to
# carry in order, the smallest to the smallest:
#
# $$W_1=\frac1n\sum_i\lvert x_{(i)}-y_{(i)}\rvert .$$


# %% wasserstein_1d
def wasserstein_1d(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    r"""Wasserstein distance of order one between two samples of equal size: their empirical laws.

    $$W_1=\frac1n\sum_i\lvert x_{(i)}-y_{(i)}\rvert$$

    Shapes: ``x``, ``y``: ``(n,)``; result ``()``.
    Source: slides 3 to 22 (GAN); Arjovsky et al., Wasserstein GAN, 2017.

    >>> wasserstein_1d(torch.tensor([0.0, 2.0]), torch.tensor([3.0, 1.0]))
    tensor(1.)
    """
    # BEGIN SOLUTION wasserstein_1d
    return (x.sort().values - y.sort().values).abs().mean()
    # END SOLUTION wasserstein_1d


# %% tags=["active-ipynb"]
# show("wasserstein_1d")


# %% [markdown]
# In many dimensions $W_1$ is the largest difference of means that a function of slope at most one can show. A critic learns
# that function; a **penalty** keeps its slope near one (Gulrajani et al., [2017](https://arxiv.org/abs/1704.00028)), at points
# between a real and a generated sample:
#
# $$\frac1n\sum_i\big(\Vert\nabla_{\hat{\mathbf x}}\,c(\hat{\mathbf x}_i)\Vert_2-1\big)^2,\qquad
# \hat{\mathbf x}_i=u_i\mathbf x_i+(1-u_i)\tilde{\mathbf x}_i .$$
#
# The penalty is minimised too, so it must be differentiable in the critic's parameters: a gradient of a gradient.


# %% gradient_penalty
def gradient_penalty(
    critic: Critic, real: Float[Tensor, "n *row"], fake: Float[Tensor, "n *row"], u: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    r"""How far the critic's slope is from one, between real and generated samples.

    $$\frac1n\sum_i(\Vert\nabla_{\hat{\mathbf x}}c(\hat{\mathbf x}_i)\Vert_2-1)^2,\qquad\hat{\mathbf x}=u\,\text{real}+(1-u)\,\text{fake}$$

    The norm is over all axes of a row. Differentiable in the critic's parameters. A gradient of zero counts 1.

    Shapes: ``critic``: ``(n, ...) -> (n,)``; ``real``, ``fake``: ``(n, ...)``; ``u``: ``(n,)``; result ``()``.
    Source: slides 3 to 22 (GAN); Gulrajani et al. 2017, equation 3.

    >>> gradient_penalty(lambda x: 3 * x.sum(1), torch.ones(2, 1), torch.zeros(2, 1), torch.tensor([0.5, 0.5]))
    tensor(4.)
    """
    # BEGIN SOLUTION gradient_penalty
    u = u.reshape(-1, *[1] * (real.ndim - 1))
    between = (u * real + (1 - u) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    # END SOLUTION gradient_penalty


# %% [markdown]
# ## Style
#
# StyleGAN's generator starts from a constant. What an image shows comes in through **adaptive instance normalization**: each
# channel of each image is brought to mean 0 and variance 1, and then gets the mean and the deviation that the style asks for:
#
# $$\mathrm{AdaIN}(\mathbf x_c)=\text{scale}_c\,\frac{\mathbf x_c-\mu(\mathbf x_c)}{\sqrt{\sigma^2(\mathbf x_c)+\epsilon}}+\text{bias}_c .$$


# %% adaptive_instance_norm
def adaptive_instance_norm(
    x: Float[Tensor, "n C H W"], scale: Float[Tensor, "n C"], bias: Float[Tensor, "n C"]
) -> Float[Tensor, "n C H W"]:
    r"""Every channel of every image normalised over its pixels, then scaled and shifted by the style.

    $$\text{scale}_c\,\frac{\mathbf x_c-\mu(\mathbf x_c)}{\sqrt{\sigma^2(\mathbf x_c)+\epsilon}}+\text{bias}_c,\qquad\epsilon=10^{-5}$$

    $\sigma^2$ is the biased variance, the mean square.

    Shapes: ``x``: ``(n, C, H, W)``, of two pixels or more; ``scale``, ``bias``: ``(n, C)``; result ``(n, C, H, W)``.
    Source: slides 3 to 22 (StyleGAN); Karras et al. 2018, equation 1.

    >>> adaptive_instance_norm(torch.tensor([[[[100.0, 300.0]]]]), torch.tensor([[2.0]]), torch.tensor([[5.0]]))
    tensor([[[[3., 7.]]]])
    """
    # BEGIN SOLUTION adaptive_instance_norm
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = x.var(dim=(2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / (variance + 1e-5).sqrt() + bias[:, :, None, None]
    # END SOLUTION adaptive_instance_norm


# %% tags=["active-ipynb"]
# show("adaptive_instance_norm")
