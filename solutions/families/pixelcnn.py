# %% [markdown]
# # Autoregressive images
#
# A bonus: what makes an autoregressive model of *images* (slide 43; van den Oord et al.,
# [Pixel Recurrent Neural Networks](https://arxiv.org/abs/1601.06759), 2016; Salimans et al.,
# [PixelCNN++](https://arxiv.org/abs/1701.05517), 2017).
#
# Order the pixels row by row (raster order); each depends on those before it. A convolution is the natural network for pixels, and it
# looks to all sides. So a PixelCNN **masks** its kernels: weights that would look at the pixel itself, or at later ones, are zero. Then
# all conditionals come from one pass over the image. "RGB channel dependencies can be modeled explicitly": within a pixel, green may
# look at red, and blue at both.
#
# *Conventions.* The first axis is the batch. The dtype follows the floating inputs. Nothing you are given is changed.

# %%
from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

# %% [markdown]
# ## The mask of a kernel
#
# Pixels before the centre in raster order: every input channel. Pixels after it: none. At the centre itself the channels decide.
# Channel $c$ of $C$ belongs to the group $\lfloor c\cdot\text{groups}/C\rfloor$ (red, green and blue for `groups = 3`). In the first
# layer (`"A"`) a channel sees strictly smaller groups: not its own colour, which it is to predict. In later layers (`"B"`) its own group
# already knows no more than it may, so it is allowed.


# %% causal_kernel_mask
def causal_kernel_mask(
    kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1
) -> Float[Tensor, "out_channels in_channels size size"]:
    r"""Which weights of a convolution an autoregressive image model may use: 1 where it may, 0 elsewhere.

    Every input channel at pixels before the centre in raster order, none after it; at the centre those whose group is smaller than
    the output channel's (``"A"``), or smaller or equal (``"B"``), with channel $c$ of $C$ in group $\lfloor c\cdot\text{groups}/C\rfloor$.

    Shapes: ``size``: odd; both channel numbers: multiples of ``groups``; result ``(out_channels, in_channels, size, size)``, in the
    default float dtype.
    Source: slide 43; van den Oord et al. 2016, section 3.4.

    >>> causal_kernel_mask("A", 1, 1, 3)[0, 0]
    tensor([[1., 1., 1.],
            [1., 0., 0.],
            [0., 0., 0.]])
    """
    # BEGIN SOLUTION causal_kernel_mask
    mask, half = torch.zeros(out_channels, in_channels, size, size), size // 2
    mask[:, :, :half] = 1
    mask[:, :, half, :half] = 1
    group_out = torch.arange(out_channels) * groups // out_channels
    group_in = torch.arange(in_channels) * groups // in_channels
    smaller = group_in < group_out[:, None] if kind == "A" else group_in <= group_out[:, None]
    mask[:, :, half, half] = smaller.to(mask.dtype)
    return mask
    # END SOLUTION causal_kernel_mask


# %% [markdown]
# ## What an output really sees
#
# Masks stack up, and it is easy to get them wrong: a stack of masked $3\times3$ kernels has a *blind spot* to the right. A gradient
# tells the truth. Where the derivative of the outputs at $(i,j)$ with respect to a pixel is not zero, they depend on it.


# %% receptive_field
def receptive_field(
    model: Callable[[Tensor], Tensor], x: Float[Tensor, "1 C H W"], i: int, j: int
) -> Bool[Tensor, "H W"]:
    r"""The pixels of ``x`` on which the outputs of a model at one pixel depend, by its gradient.

    Take care that derivatives of several outputs, or in several channels, cannot cancel.

    Shapes: ``model``: ``(1, C, H, W) -> (1, K, H, W)``; ``x``: ``(1, C, H, W)``; result ``(H, W)``, bool.
    Source: slide 43; van den Oord et al. 2016, section 3.

    >>> receptive_field(lambda x: 2 * x, torch.zeros(1, 1, 1, 3), 0, 1)
    tensor([[False,  True, False]])
    """
    # BEGIN SOLUTION receptive_field
    jacobian = torch.func.jacrev(lambda image: model(image)[0, :, i, j])(x)  # (K, 1, C, H, W)
    return (jacobian != 0).flatten(0, 2).any(dim=0)
    # END SOLUTION receptive_field


# %% tags=["active-ipynb"]
# show("receptive_field")


# %% [markdown]
# ## A smooth law on 256 values
#
# A softmax over 256 intensities does not know that 127 and 128 are neighbours. PixelCNN++ puts a continuous law underneath, a mixture of
# logistic distributions (their distribution function is the sigmoid), and gives each value the mass of its bin:
#
# $$p(x)=\sum_k\pi_k\Big[\sigma\Big(\frac{x+\frac12-\mu_k}{s_k}\Big)-\sigma\Big(\frac{x-\frac12-\mu_k}{s_k}\Big)\Big],$$
#
# the first bin open to $-\infty$, the last to $+\infty$, so that the masses sum to one. A bin far out in a tail, or a tiny or huge $s_k$,
# makes the difference of two nearly equal numbers. Write it as a product instead: for $a>b$,
#
# $$\sigma(a)-\sigma(b)=\sigma(a)\,\sigma(-b)\,\big(1-e^{-(a-b)}\big),\qquad a-b=\frac1{s_k} .$$


# %% logistic_mixture_log_prob
def logistic_mixture_log_prob(
    x: Int[Tensor, " n"], log_weights: Float[Tensor, "n M"], means: Float[Tensor, "n M"], log_scales: Float[Tensor, "n M"], K: int
) -> Float[Tensor, " n"]:
    r"""Log-probability of whole numbers under a mixture of logistic distributions, cut into bins.

    $$\log\sum_k\pi_k\Big[\sigma\Big(\frac{x+1/2-\mu_k}{s_k}\Big)-\sigma\Big(\frac{x-1/2-\mu_k}{s_k}\Big)\Big]$$

    The first bin is open to $-\infty$, the last to $+\infty$. Right where every component underflows, and for scales of 1e-4 and 1e4.

    Shapes: ``x``: ``(n,)``, int64 in ``0..K-1``; ``log_weights`` (of sum one), ``means``, ``log_scales``: ``(n, M)``;
    result ``(n,)``, in nats.
    Source: slide 43; Salimans et al. 2017, equation 2.

    >>> logistic_mixture_log_prob(torch.tensor([0]), torch.zeros(1, 1), torch.full((1, 1), 0.5), torch.zeros(1, 1), 2)
    tensor([-0.6931])
    """
    # BEGIN SOLUTION logistic_mixture_log_prob
    value, inverse = x[:, None].to(means.dtype), (-log_scales).exp()
    upper, lower = (value + 0.5 - means) * inverse, (value - 0.5 - means) * inverse
    width = torch.log(-torch.expm1(-inverse))  # of the bin, as a factor
    below = torch.where(x[:, None] == K - 1, 0.0, F.logsigmoid(upper))  # nothing lies above the last bin
    above = torch.where(x[:, None] == 0, 0.0, F.logsigmoid(-lower))  # nor below the first
    inside = (x[:, None] > 0) & (x[:, None] < K - 1)
    return torch.logsumexp(log_weights + below + above + torch.where(inside, width, 0.0), dim=1)
    # END SOLUTION logistic_mixture_log_prob


# %% tags=["active-ipynb"]
# show("logistic_mixture_log_prob")
