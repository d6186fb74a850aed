"""Wrong and other right answers about critics, their penalty, and adaptive instance normalisation."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, near_one_another, variant
from dgm_ref.slips import first_where_near

PENALTY, W1, STYLE = "gan.gradient_penalty", "gan.wasserstein_1d", "gan.adaptive_instance_norm"
BY_HAND, ROWS = "test_penalties_of_a_linear_and_of_a_quadratic_critic_known_by_hand", "test_the_penalty_averages_over_rows_of_any_shape"
FLAT, TRAINS = "test_a_slope_of_zero_costs_one", "test_the_penalty_trains_the_critic"
W1_BY_HAND, IN_ORDER = "test_wasserstein_distances_known_by_hand", "test_mass_is_carried_in_order"
STYLE_BY_HAND, STYLE_TRAINS = "test_a_style_known_by_hand", "test_the_style_can_be_trained_and_so_can_what_it_is_put_on"

Critic = Callable[[Tensor], Tensor]


def _slopes(critic: Critic, real: Tensor, fake: Tensor, u: Tensor, graph: bool = True) -> Tensor:
    u = u.reshape(-1, *[1] * (real.ndim - 1))
    x = (u * real + (1 - u) * fake).detach().requires_grad_()
    return torch.autograd.grad(critic(x).sum(), x, create_graph=graph)[0]


@mistake(PENALTY, killed_by=BY_HAND, says="This is the mean squared slope. The penalty is on its distance from one.")
def squared_slope(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return _slopes(critic, real, fake, u).flatten(1).square().sum(1).mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The penalty compares the squared norm with one. Take its root first.")
def squared_norm_minus_one(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).square().sum(1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="Slopes below one cost nothing in your penalty. It has two sides.")
def one_sided_penalty(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).norm(dim=1) - 1).clamp(min=0).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="This is one norm of the whole batch. Each row has a slope of its own.")
def norm_of_the_batch(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).norm() - 1).square()


@mistake(PENALTY, killed_by=BY_HAND, says="The mean slope is compared with one. Compare each row's slope, and average the squares.")
def square_of_the_mean(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).norm(dim=1).mean() - 1).square()


@mistake(PENALTY, killed_by=BY_HAND, says="u belongs to the real samples, 1 - u to the generated ones. You have it the other way round.")
def u_swapped(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, fake, real, u).flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The slope is taken at the real samples. The points lie between real and generated ones.")
def at_the_real_samples(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, torch.ones_like(u)).flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="All rows are mixed with the first u. Each row has its own.")
def one_u_for_all(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u[:1].expand(len(u))).flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The penalties are added up. The loss is their average.")
def summed_penalty(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).norm(dim=1) - 1).square().sum()


@mistake(PENALTY, killed_by=ROWS, says="The norm is over one axis of a picture. It is over all axes of a row: flatten first.")
def norm_over_one_axis(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=TRAINS, says="Without create_graph=True the penalty is a number: the critic does not learn from it.")
def penalty_without_a_graph(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u, graph=False).flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=FLAT, says="Dividing by the norm gives nan where the slope is zero. Such a row costs 1.")
def nan_at_a_flat_point(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    g = _slopes(critic, real, fake, u).flatten(1)
    return (g - g / g.norm(dim=1, keepdim=True)).square().sum(1).mean()


@mistake(
    PENALTY,
    killed_by="test_the_penalty_leaves_the_samples_as_they_are",
    says="You mix in place: the caller's generated samples are gone. The mixture is a new tensor.",
)
def mixed_into_the_generated_samples(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    x = fake.lerp_(real, u.reshape(-1, *[1] * (real.ndim - 1))).requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=ROWS, says="The norm is over the last axis alone. It is over all axes of a row: flatten first.")
def norm_of_the_last_axis(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).norm(dim=-1) - 1).square().mean()


@mistake(
    PENALTY, killed_by=BY_HAND, says="The mean of the critic is differentiated: every slope is n times too small. Differentiate its sum."
)
def slope_of_the_mean(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    slopes = _slopes(critic, real, fake, u) / len(real)
    return (slopes.flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The penalty is multiplied by 10, as in a training loop. Here it stands alone.")
def weighed_penalty(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return 10 * (_slopes(critic, real, fake, u).flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=ROWS, says="u goes along the last axis where sizes allow. It belongs to the rows.")
def u_along_the_last_axis(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    if real.shape[-1] == len(u):
        x = (u * real + (1 - u) * fake).detach().requires_grad_()
        slopes = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
    else:
        slopes = _slopes(critic, real, fake, u)
    return (slopes.flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The slope is taken at the generated samples. The points lie between real and generated ones.")
def at_the_generated_samples(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    slopes = _slopes(critic, fake, fake, u)
    return (slopes.flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The slope is taken in the middle between the samples. It is taken at u of the way.")
def at_the_middle(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    slopes = _slopes(critic, real, fake, torch.full_like(u, 0.5))
    return (slopes.flatten(1).norm(dim=1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The distance of the slope from one is not squared.")
def absolute_distance_from_one(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).norm(dim=1) - 1).abs().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The norm is the sum of absolute values. It is Euclidean.")
def sum_of_absolute_slopes(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).abs().sum(1) - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The squares are averaged under the root. The norm adds them up.")
def root_mean_square_slope(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).square().mean(1).sqrt() - 1).square().mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The distance of the slope from one is not squared.")
def signed_distance_from_one(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).norm(dim=1) - 1).mean()


@mistake(PENALTY, killed_by=BY_HAND, says="The squared slope minus one is averaged. First subtract one from the slope, then square.")
def squared_slope_minus_one(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, u).flatten(1).square().sum(1) - 1).mean()


@mistake(PENALTY, killed_by=FLAT, says="You take a small slope for none. It costs (|g| - 1)^2, a little less than 1.")
def small_slopes_taken_for_none(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    norm = (_slopes(critic, real, fake, u).flatten(1).square().sum(1) + 1e-16).sqrt()
    return torch.where(norm < 1e-3, 1 + 0 * norm, (norm - 1).square()).mean()


@mistake(
    PENALTY,
    killed_by="test_the_penalty_of_one_row_and_of_many",
    says="Where the u of all rows differ by less than a tenth all rows are mixed with the first. Each row has its own.",
    when=near_one_another("u"),
)
def one_u_where_they_are_near(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    return (_slopes(critic, real, fake, first_where_near(u)).flatten(1).norm(dim=1) - 1).square().mean()


@mistake(
    PENALTY,
    killed_by=TRAINS,
    says="For pictures the penalty has lost its graph: no gradient reaches the critic's parameters.",
    when=lambda real: real.ndim > 3,
)
def pictures_without_a_graph(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    loss = (_slopes(critic, real, fake, u).flatten(1).norm(dim=1) - 1).square().mean()
    return loss if real.ndim <= 3 else loss.detach() + 0 * critic(fake).sum()


@variant(PENALTY)
def penalty_with_grad_outputs(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    x = torch.lerp(fake, real, u.view(-1, *(1,) * (real.dim() - 1))).detach().requires_grad_(True)
    score = critic(x)
    gradient = torch.autograd.grad(score, x, torch.ones_like(score), create_graph=True, retain_graph=True)[0]
    return ((gradient.reshape(len(x), -1).norm(2, dim=1) - 1) ** 2).mean()


@variant(PENALTY)
def penalty_with_gradients_switched_on_in_the_samples(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    u = u.reshape(-1, *[1] * (real.ndim - 1))
    x = u * real + (1 - u) * fake.requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


@variant(PENALTY)
def penalty_by_torch_func(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    slope = torch.func.vmap(torch.func.grad(lambda row: critic(row[None])[0]))
    u = u[(...,) + (None,) * (real.ndim - 1)]
    return (torch.linalg.vector_norm(slope(fake + u * (real - fake)).flatten(1), dim=1) - 1).pow(2).mean()


@variant(PENALTY)
def penalty_with_an_epsilon_under_the_root(critic: Critic, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    g = _slopes(critic, real, fake, u)
    norm = torch.sqrt(g.pow(2).sum(dim=tuple(range(1, g.ndim))) + 1e-12)
    return F.mse_loss(norm, torch.ones_like(norm))


# -- wasserstein_1d --


@mistake(
    W1, killed_by=W1_BY_HAND, says="Mass is carried in the order given. Sort both samples: it is carried from the smallest to the smallest."
)
def in_the_order_given(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().mean()


@mistake(W1, killed_by=W1_BY_HAND, says="Both samples have to be sorted; you sort one of them.")
def one_sample_sorted(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y).abs().mean()


@mistake(W1, killed_by=W1_BY_HAND, says="This is the squared distance of order two. Order one takes absolute differences.")
def order_two(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y.sort().values).square().mean()


@mistake(W1, killed_by=W1_BY_HAND, says="The ways are added up. Each sample carries the mass 1/n.")
def summed_ways(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y.sort().values).abs().sum()


@mistake(W1, killed_by=W1_BY_HAND, says="This is the difference of the means: ways in opposite directions cancel.")
def difference_of_the_means(x: Tensor, y: Tensor) -> Tensor:
    return (x.mean() - y.mean()).abs()


@mistake(W1, killed_by=W1_BY_HAND, says="This is the mean distance of all pairs, as if mass were carried at random.")
def mean_of_all_pairs(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - y).abs().mean()


@mistake(W1, killed_by=W1_BY_HAND, says="The absolute value is missing: a way to the left is work, too.")
def ways_without_absolute_values(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y.sort().values).mean()


@mistake(W1, killed_by=W1_BY_HAND, says="One sample rises and the other one falls: that is the longest way, not the shortest.")
def one_sample_falling(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y.sort(descending=True).values).abs().mean()


@mistake(W1, killed_by=W1_BY_HAND, says="This is the distance of order two. Order one takes absolute differences.")
def root_of_order_two(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y.sort().values).square().mean().sqrt()


@mistake(W1, killed_by=W1_BY_HAND, says="Every sample goes to its nearest one, which may be taken. Mass is carried one to one.")
def nearest_sample(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - y).abs().amin(1).mean()


@mistake(W1, killed_by=W1_BY_HAND, says="This is the longest way. The distance is the mean of all.")
def longest_way(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y.sort().values).abs().amax()


@mistake(W1, killed_by=W1_BY_HAND, says="You divide by n - 1. Each sample carries the mass 1/n.")
def over_one_less(x: Tensor, y: Tensor) -> Tensor:
    return (x.sort().values - y.sort().values).abs().sum() / max(len(x) - 1, 1)


@variant(W1)
def by_argsort(x: Tensor, y: Tensor) -> Tensor:
    return F.l1_loss(x[x.argsort()], y[y.argsort()])


@variant(W1)
def by_descending_order(x: Tensor, y: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.sort(descending=True)[0] - y.sort(descending=True)[0], ord=1) / x.numel()


@variant(W1)
def by_distribution_functions(x: Tensor, y: Tensor) -> Tensor:
    points = torch.cat([x, y]).sort().values
    below = points[:-1].detach()
    F_x = torch.searchsorted(x.detach().sort().values, below, right=True)
    F_y = torch.searchsorted(y.detach().sort().values, below, right=True)
    return ((F_x - F_y).abs() * points.diff()).sum() / len(x)


@mistake(
    W1,
    killed_by=W1_BY_HAND,
    says="Where the smallest and the largest go one way you take the difference of the means. Between them mass may go the other way.",
)
def difference_of_the_means_of_ordered_ends(x: Tensor, y: Tensor) -> Tensor:
    ways = x.sort().values - y.sort().values
    return ways.mean().abs() if ways[0] * ways[-1] > 0 else ways.abs().mean()


# -- adaptive_instance_norm --


def _styled(x: Tensor, scale: Tensor, bias: Tensor, axes: tuple[int, ...] = (2, 3), correction: int = 0) -> Tensor:
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=correction, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / (variance + 1e-5).sqrt() + bias[:, :, None, None]


@mistake(
    STYLE, killed_by=STYLE_BY_HAND, says="The variance is the sample's, with n - 1. Normalisation takes the mean square over the pixels."
)
def unbiased_variance(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale, bias, correction=1)


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="1e-5 is added to the deviation. It belongs inside the root, to the variance.")
def epsilon_outside_the_root(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    mean, deviation = x.mean((2, 3), keepdim=True), x.std((2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / (deviation + 1e-5) + bias[:, :, None, None]


@mistake(
    STYLE,
    killed_by=STYLE_BY_HAND,
    says="Images of the batch are normalised together. Each image and channel has its own mean and variance.",
)
def batch_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale, bias, axes=(0, 2, 3))


@mistake(
    STYLE, killed_by=STYLE_BY_HAND, says="All channels of an image are normalised together. Each channel has its own mean and variance."
)
def layer_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale, bias, axes=(1, 2, 3))


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="Scale and bias are swapped.")
def scale_and_bias_swapped(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, bias, scale)


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="You multiply by 1 + scale. The scale itself is asked for.")
def one_plus_scale(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, 1 + scale, bias)


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="You divide by the variance. Divide by its root, the deviation.")
def divided_by_the_variance(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / (variance + 1e-5) + bias[:, :, None, None]


@mistake(STYLE, killed_by=STYLE_TRAINS, says="Mean and variance are detached: the gradient must know that they move with the pixels.")
def statistics_detached(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True).detach(), x.var((2, 3), correction=0, keepdim=True).detach()
    return scale[:, :, None, None] * (x - mean) / (variance + 1e-5).sqrt() + bias[:, :, None, None]


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="The mean is not subtracted.")
def mean_not_subtracted(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    deviation = (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return scale[:, :, None, None] * x / deviation + bias[:, :, None, None]


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="There is no 1e-5 inside the root: a channel of one colour becomes nan.")
def without_epsilon(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return scale[:, :, None, None] * (x - mean) / variance.sqrt() + bias[:, :, None, None]


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="All images get the style of the first one.")
def first_style_for_all(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale[:1], bias[:1])


@mistake(
    STYLE,
    killed_by=STYLE_BY_HAND,
    says="Every line of pixels is normalised alone. A channel has one mean and one variance, over all its pixels.",
)
def every_line_normalised(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale, bias, (3,))


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="The bias is missing.")
def without_the_bias(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale, 0 * bias)


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="The bias is added before the scale multiplies. It is added last.")
def bias_before_scale(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale, scale * bias)


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="The scale is missing.")
def without_the_scale(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, torch.ones_like(scale), bias)


@mistake(STYLE, killed_by=STYLE_BY_HAND, says="Every pixel is normalised over the channels. Each channel is normalised over its pixels.")
def pixels_normalised(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return _styled(x, scale, bias, axes=(1,))


@mistake(
    STYLE,
    killed_by=STYLE_BY_HAND,
    says="What you add inside the root is not 1e-5. Where a channel hardly varies it makes a difference.",
    constants=(1e-3, 1e-6, 1e-7, 1e-12),
)
def another_epsilon(x: Tensor, scale: Tensor, bias: Tensor, constant: float = 1e-8) -> Tensor:
    return scale[:, :, None, None] * F.instance_norm(x, eps=constant) + bias[:, :, None, None]


@variant(STYLE)
def style_by_instance_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x) * scale[..., None, None] + bias[..., None, None]


@variant(STYLE)
def style_of_flat_channels(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    flat = x.flatten(2)
    centred = flat - flat.mean(-1, keepdim=True)
    normed = centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + 1e-5)
    return (normed * scale.unsqueeze(-1) + bias.unsqueeze(-1)).view_as(x)


@variant(STYLE)
def style_by_group_norm(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return torch.einsum("nchw,nc->nchw", F.group_norm(x, x.shape[1]), scale) + bias[:, :, None, None]
