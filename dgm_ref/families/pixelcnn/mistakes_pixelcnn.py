"""Wrong and other right answers about masked kernels, receptive fields and logistic mixtures."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

MASK, FIELD, MIXTURE = "pixelcnn.causal_kernel_mask", "pixelcnn.receptive_field", "pixelcnn.logistic_mixture_log_prob"
GREY, COLOURS = "test_masks_of_grey_kernels_known_by_hand", "test_masks_of_colours_known_by_hand"
SHIFTS, CANCEL = "test_fields_of_shifts_known_by_hand", "test_outputs_and_channels_do_not_cancel"
MOVES = "test_fields_of_convolutions_are_what_moves_the_output"
BINS, SUM, FAR = "test_logistic_bins_known_by_hand", "test_bins_sum_to_one", "test_the_mixture_holds_far_out_and_for_any_scale"
TRAINS = "test_the_mixture_can_be_trained"


def _group(channels: int, groups: int) -> Tensor:
    return torch.arange(channels) * groups // channels


def _mask(kind: str, in_channels: int, out_channels: int, size: int, groups: int) -> Tensor:
    mask = torch.zeros(out_channels, in_channels, size * size)
    mask[:, :, : size * size // 2] = 1
    g_in, g_out = _group(in_channels, groups), _group(out_channels, groups)[:, None]
    mask[:, :, size * size // 2] = (g_in < g_out if kind == "A" else g_in <= g_out).float()
    return mask.view(out_channels, in_channels, size, size)


@mistake(MASK, killed_by=GREY, says="The kinds are swapped: A, the first layer, may not see the pixel itself.")
def kinds_swapped(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask("B" if kind == "A" else "A", in_channels, out_channels, size, groups)


@mistake(MASK, killed_by=GREY, says="The mask is turned round: it keeps the pixels after the centre.")
def pixels_after_the_centre(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask(kind, in_channels, out_channels, size, groups).flip(2, 3)


@mistake(MASK, killed_by=GREY, says="Columns come before rows in your order. Raster order goes row by row.")
def column_by_column(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask(kind, in_channels, out_channels, size, groups).transpose(2, 3)


@mistake(MASK, killed_by=GREY, says="Rows above the centre are cut off at its column. All of a row above comes before it.")
def upper_left_corner(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask = _mask(kind, in_channels, out_channels, size, groups)
    mask[:, :, :, size // 2 + 1 :] = 0
    return mask


@mistake(MASK, killed_by=GREY, says="The centre's whole row is kept. To the right of the centre nothing is known yet.")
def whole_row_of_the_centre(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask = _mask(kind, in_channels, out_channels, size, groups)
    mask[:, :, size // 2, size // 2 + 1 :] = 1
    return mask


@mistake(MASK, killed_by=GREY, says="The axes of the channels are swapped: a kernel has its output channels first.")
def input_channels_first(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask(kind, in_channels, out_channels, size, groups).transpose(0, 1)


@mistake(MASK, killed_by=COLOURS, says="The colours are ignored at the centre: green may look at red there, and blue at both.")
def colours_ignored(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask(kind, in_channels, out_channels, size, 1)


@mistake(MASK, killed_by=COLOURS, says="The channels of a colour lie apart in your order, as in c % groups. They lie next to each other.")
def colours_in_turn(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask, half = _mask(kind, in_channels, out_channels, size, groups), size // 2
    g_in, g_out = torch.arange(in_channels) % groups, (torch.arange(out_channels) % groups)[:, None]
    mask[:, :, half, half] = (g_in < g_out if kind == "A" else g_in <= g_out).float()
    return mask


@mistake(MASK, killed_by=COLOURS, says="The colours see what comes after them: blue may look at red, not red at blue.")
def later_colours_seen(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask, half = _mask(kind, in_channels, out_channels, size, groups), size // 2
    g_in, g_out = _group(in_channels, groups), _group(out_channels, groups)[:, None]
    mask[:, :, half, half] = (g_in > g_out if kind == "A" else g_in >= g_out).float()
    return mask


@mistake(
    MASK,
    killed_by=COLOURS,
    says="The centre is closed for all channels. In kind B a channel may look at its own colour there, in both at the colours before it.",
)
def centre_closed(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask = _mask(kind, in_channels, out_channels, size, groups)
    mask[:, :, size // 2, size // 2] = 0
    return mask


@mistake(
    MASK,
    killed_by=GREY,
    says="The rule for the channels is applied to all pixels. It belongs to the centre: pixels before that are seen in all channels.",
)
def colours_everywhere(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask = _mask(kind, in_channels, out_channels, size, groups)
    return mask * mask[:, :, size // 2, size // 2][:, :, None, None]


@mistake(MASK, killed_by=GREY, says="The kind is ignored: in kind B a channel may look at its own colour at the centre.")
def first_layer_always(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask("A", in_channels, out_channels, size, groups)


@mistake(MASK, killed_by=GREY, says="This mask is 1 where a weight may not be used.")
def what_is_forbidden(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return 1 - _mask(kind, in_channels, out_channels, size, groups)


@mistake(MASK, killed_by=GREY, says="The pixels to the left of the centre are missing. They come before it in its row.")
def rows_above_alone(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask = _mask(kind, in_channels, out_channels, size, groups)
    mask[:, :, size // 2, : size // 2] = 0
    return mask


@mistake(
    MASK,
    killed_by=COLOURS,
    says="Where a colour has three channels or more you give them to the colours in turn. Those of one colour stand side by side.",
    when=lambda in_channels, groups: in_channels > 2 * groups,
)
def many_channels_in_turn(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask = _mask(kind, in_channels, out_channels, size, groups)
    if in_channels > 2 * groups:
        c, inside, outside = size // 2, torch.arange(in_channels) % groups, _group(out_channels, groups)[:, None]
        mask[:, :, c, c] = (inside < outside if kind == "A" else inside <= outside).float()
    return mask


@mistake(
    MASK,
    killed_by="test_a_mask_has_the_default_dtype",
    says="The mask is bool. Weights are multiplied by it: it has the default float dtype.",
)
def mask_of_yes_and_no(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask(kind, in_channels, out_channels, size, groups).bool()


@variant(MASK)
def mask_weight_by_weight(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    mask, centre = torch.ones(out_channels, in_channels, size, size), size // 2
    mask[:, :, centre + 1 :] = 0
    mask[:, :, centre, centre:] = 0
    for o in range(out_channels):
        for c in range(in_channels):
            mine, other = o * groups // out_channels, c * groups // in_channels
            if other < mine or (kind == "B" and other == mine):
                mask[o, c, centre, centre] = 1
    return mask


@variant(MASK)
def mask_by_order_of_pixels_and_colours(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    pixel = torch.arange(size * size) - size * size // 2
    order_in = pixel * groups + _group(in_channels, groups)[:, None]
    bound = _group(out_channels, groups) + (kind == "B")
    return (order_in < bound[:, None, None]).to(torch.get_default_dtype()).reshape(out_channels, in_channels, size, size)


@variant(MASK)
def mask_of_repeated_triangles(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    colours = torch.ones(groups, groups).tril(-1 if kind == "A" else 0)
    colours = colours.repeat_interleave(out_channels // groups, 0).repeat_interleave(in_channels // groups, 1)
    mask = torch.zeros(out_channels, in_channels, size, size)
    mask[..., : size // 2, :] = mask[..., size // 2, : size // 2] = 1
    mask[..., size // 2, size // 2] = colours
    return mask


@mistake(
    MASK,
    killed_by="test_masks_of_a_single_weight_and_of_a_large_kernel",
    says="More than three groups are taken for three. There may be as many as there are channels.",
    when=lambda groups: groups > 3,
)
def three_groups_at_most(kind: str, in_channels: int, out_channels: int, size: int, groups: int = 1) -> Tensor:
    return _mask(kind, in_channels, out_channels, size, min(groups, 3))


# -- receptive_field --


Model = Callable[[Tensor], Tensor]


def _derivatives(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    """(K, C, H, W)."""
    return torch.func.jacrev(lambda image: model(image)[0, :, i, j])(x)[:, 0]


@mistake(FIELD, killed_by=CANCEL, says="You differentiate the sum of all outputs: opposite derivatives cancel. Take one output at a time.")
def sum_of_the_outputs(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j).sum(0) != 0).any(0)


@mistake(FIELD, killed_by=CANCEL, says="You add the derivatives of all channels up: opposite ones cancel. Look at sizes first.")
def sum_of_the_channels(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j).sum(1) != 0).any(0)


@mistake(
    FIELD,
    killed_by=CANCEL,
    says="The derivative of a square is zero where the output is. Differentiate the outputs themselves, one at a time.",
    when=lambda x: (x == 0).any(),
)
def gradient_of_the_squares(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[0, :, i, j].square().sum(), x)
    return (gradient[0] != 0).any(0)


@mistake(FIELD, killed_by=CANCEL, says="Only positive derivatives are counted. A negative one is a dependence, too.")
def positive_derivatives_alone(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j) > 0).flatten(0, 1).any(0)


@mistake(FIELD, killed_by=CANCEL, says="Small derivatives are taken for zero. Any that is not zero is a dependence.")
def small_derivatives_left_out(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j).abs() > 1e-8).flatten(0, 1).any(0)


@mistake(FIELD, killed_by=SHIFTS, says="Row and column are swapped: i counts rows, j columns.")
def row_and_column_swapped(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    H, W = x.shape[2:]
    return (_derivatives(model, x, min(j, H - 1), min(i, W - 1)) != 0).flatten(0, 1).any(0)


@mistake(FIELD, killed_by=SHIFTS, says="The channels are still there: a pixel belongs to the field if any of its channels does.")
def field_of_each_channel(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j) != 0).any(0)


@mistake(FIELD, killed_by=MOVES, says="The whole output is differentiated, not the one at (i, j).")
def field_of_the_whole_output(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (torch.func.jacrev(lambda image: model(image)[0].flatten())(x) != 0).flatten(0, 2).any(0)


@mistake(FIELD, killed_by=MOVES, says="Only the first output is differentiated. All K outputs at the pixel count.")
def first_output_alone(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j)[0] != 0).any(0)


@mistake(FIELD, killed_by=MOVES, says="Only the first channel of x is looked at. A pixel has C of them.")
def first_channel_alone(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j)[:, 0] != 0).any(0)


@mistake(FIELD, killed_by=MOVES, says="A pixel counts if all its channels are seen. One is enough.")
def seen_by_every_channel(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j) != 0).any(0).all(0)


@mistake(FIELD, killed_by=MOVES, says="The pixel itself is left out. It is in the field where the output depends on it.")
def without_the_pixel_itself(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    field = (_derivatives(model, x, i, j) != 0).any(0).any(0)
    field[i, j] = False
    return field


@mistake(
    FIELD,
    killed_by=SHIFTS,
    says="The gradient is taken at an image of zeros. It is taken at x: what an output depends on may change with the image.",
)
def field_at_an_image_of_zeros(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, torch.zeros_like(x), i, j) != 0).any(0).any(0)


@mistake(FIELD, killed_by=CANCEL, says="You look at the first outputs alone. The pixel may matter for a later one.")
def first_three_outputs(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return (_derivatives(model, x, i, j)[:3] != 0).any(0).any(0)


@mistake(FIELD, killed_by=CANCEL, says="You weigh the outputs 1, 2, 3, ...: derivatives of 2 and -1 cancel. Take one output at a time.")
def outputs_weighed_by_their_number(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    J = _derivatives(model, x, i, j)
    return (torch.arange(1, len(J) + 1, dtype=J.dtype)[:, None, None, None] * J).sum(0).ne(0).any(0)


@mistake(FIELD, killed_by=SHIFTS, says="These are sizes of derivatives. Asked for is where they are not zero: a table of yes and no.")
def sizes_of_the_derivatives(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    return _derivatives(model, x, i, j).abs().amax((0, 1))


@variant(FIELD)
def field_output_by_output(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    x = x.detach().clone().requires_grad_(True)
    field = torch.zeros(x.shape[-2:], dtype=torch.bool)
    outputs = model(x)[0, :, i, j]
    for output in outputs:
        (gradient,) = torch.autograd.grad(output, x, retain_graph=True)
        field |= gradient[0].abs().sum(0) > 0
    return field


@variant(FIELD)
def field_by_the_jacobian(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    jacobian = torch.autograd.functional.jacobian(lambda image: model(image)[0, :, i, j], x)
    return jacobian.ne(0).any(0).any(0).any(0)


@variant(FIELD)
def field_by_random_weights(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    x = x.detach().double().requires_grad_() if x.dtype == torch.float64 else x.detach().requires_grad_()
    out = model(x)[0, :, i, j]
    weights = torch.rand(len(out), generator=torch.Generator().manual_seed(1), dtype=x.dtype) + 0.1
    gradient = torch.autograd.grad((out * weights).sum(), x)[0]
    return (gradient[0] != 0).any(dim=0)


@mistake(
    FIELD,
    killed_by=CANCEL,
    says="You move all channels of a pixel at once and look whether the outputs move. Channels can cancel: take their derivatives.",
)
def all_channels_moved_at_once(model: Model, x: Tensor, i: int, j: int) -> Tensor:
    before, found = model(x)[0, :, i, j], torch.zeros(x.shape[2:], dtype=torch.bool)
    by = torch.arange(1, x.shape[1] + 1, dtype=x.dtype) / 1024
    for a in range(x.shape[2]):
        for b in range(x.shape[3]):
            moved = x.clone()
            moved[0, :, a, b] += by
            found[a, b] = (model(moved)[0, :, i, j] != before).any()
    return found


# -- logistic_mixture_log_prob --


def _log_mass(x: Tensor, means: Tensor, log_scales: Tensor, K: int, ends: bool = True, half: float = 0.5) -> Tensor:
    x = x[:, None]
    inverse = (-log_scales).exp()
    upper, lower = (x.to(means.dtype) + half - means) * inverse, (x.to(means.dtype) - half - means) * inverse
    width = torch.log(-torch.expm1(-2 * half * inverse))
    first, last = (x == 0) & ends, (x == K - 1) & ends
    below, above = torch.where(last, 0.0, F.logsigmoid(upper)), torch.where(first, 0.0, F.logsigmoid(-lower))
    return below + above + torch.where(first | last, 0.0, width)


def _plain_mass(x: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    x, inverse = x[:, None], (-log_scales).exp()
    upper, lower = torch.sigmoid((x + 0.5 - means) * inverse), torch.sigmoid((x - 0.5 - means) * inverse)
    return torch.where(x == K - 1, 1.0, upper) - torch.where(x == 0, 0.0, lower)


@mistake(MIXTURE, killed_by=FAR, says="Two sigmoids that are nearly equal are subtracted: nothing is left. Subtract logarithms.")
def plain_difference(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return (log_weights.exp() * _plain_mass(x, means, log_scales, K)).sum(1).log()


@mistake(MIXTURE, killed_by=FAR, says="The mass of a bin is kept above 1e-12. Far out it is smaller, and its logarithm still right.")
def mass_clamped(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(log_weights + _plain_mass(x, means, log_scales, K).clamp(min=1e-12).log(), 1)


@mistake(MIXTURE, killed_by=BINS, says="The first and the last bin are closed. They reach to -inf and +inf.")
def closed_at_the_ends(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(log_weights + _log_mass(x, means, log_scales, K, ends=False), 1)


@mistake(MIXTURE, killed_by=BINS, says="This is the density at x, not the mass of its bin.")
def density_for_mass(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    a = (x[:, None] - means) * (-log_scales).exp()
    return torch.logsumexp(log_weights + F.logsigmoid(a) + F.logsigmoid(-a) - log_scales, 1)


@mistake(MIXTURE, killed_by=BINS, says="The logarithms of the components are averaged. Average the masses, then take the logarithm.")
def mean_of_the_log_masses(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return (log_weights.exp() * _log_mass(x, means, log_scales, K)).sum(1)


@mistake(MIXTURE, killed_by=BINS, says="The weights are missing.")
def mixture_without_weights(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(_log_mass(x, means, log_scales, K), 1) - math.log(means.shape[1])


@mistake(MIXTURE, killed_by=BINS, says="You multiply by the scale. Distances are divided by it: log_scales is its logarithm.")
def multiplied_by_the_scale(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(log_weights + _log_mass(x, means, -log_scales, K), 1)


@mistake(MIXTURE, killed_by=BINS, says="Your bin is twice as wide. It reaches from x - 1/2 to x + 1/2.")
def bins_twice_as_wide(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(log_weights + _log_mass(x, means, log_scales, K, half=1.0), 1)


@mistake(MIXTURE, killed_by=TRAINS, says="The result has lost its graph.")
def mixture_detached(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    value = torch.logsumexp(log_weights + _log_mass(x, means, log_scales, K), 1)
    return value.detach() + 0 * log_weights.sum()


@mistake(MIXTURE, killed_by=BINS, says="The last bin is closed. It reaches to +inf.")
def last_bin_closed(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    log_mass = torch.where(x[:, None] == K - 1, _log_mass(x, means, log_scales, K + 1), _log_mass(x, means, log_scales, K))
    return torch.logsumexp(log_weights + log_mass, 1)


@mistake(MIXTURE, killed_by=BINS, says="A single bin reaches to -inf and to +inf: its mass is one.")
def single_bin_closed(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    log_mass = torch.where(x[:, None] == 0, _log_mass(x, means, log_scales, K + 1), _log_mass(x, means, log_scales, K))
    return torch.logsumexp(log_weights + log_mass, 1)


@mistake(MIXTURE, killed_by=BINS, says="The ends are swapped: the first bin reaches to -inf, the last to +inf.")
def ends_swapped(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    upper, lower = (x[:, None] + 0.5 - means) * (-log_scales).exp(), (x[:, None] - 0.5 - means) * (-log_scales).exp()
    log_mass = torch.where(x[:, None] == 0, F.logsigmoid(-lower), torch.where(x[:, None] == K - 1, F.logsigmoid(upper), 0.0))
    inside = (x[:, None] > 0) & (x[:, None] < K - 1)
    return torch.logsumexp(log_weights + torch.where(inside, _log_mass(x, means, log_scales, K), log_mass if K > 1 else 0.0), 1)


@mistake(MIXTURE, killed_by=BINS, says="The bins are those of a normal distribution. The logistic's distribution function is the sigmoid.")
def normal_bins(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    z = x[:, None] - means
    upper, lower = torch.special.ndtr((z + 0.5) * (-log_scales).exp()), torch.special.ndtr((z - 0.5) * (-log_scales).exp())
    mass = torch.where(x[:, None] == K - 1, 1.0, upper) - torch.where(x[:, None] == 0, 0.0, lower)
    return torch.logsumexp(log_weights + mass.log(), 1)


@mistake(
    MIXTURE, killed_by=FAR, says="You hold weights to a millionth at least. A rarer component may be the only one that reaches a value."
)
def weights_held_above_a_floor(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return (log_weights.clamp(min=math.log(1e-6)) + _log_mass(x, means, log_scales, K)).logsumexp(1)


@mistake(MIXTURE, killed_by=BINS, says="The weights are missing: the masses of all components are added as they are.")
def masses_added_without_weights(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(_log_mass(x, means, log_scales, K), 1)


@mistake(MIXTURE, killed_by=BINS, says="The bin reaches from x to x + 1. It reaches from x - 1/2 to x + 1/2.")
def bins_from_x_on(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(log_weights + _log_mass(x, means - 0.5, log_scales, K), 1)


@mistake(MIXTURE, killed_by=BINS, says="This is the probability of x and all below. The mass of its bin alone is asked for.")
def distribution_function_for_mass(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    upper = (x[:, None].to(means.dtype) + 0.5 - means) * (-log_scales).exp()
    return torch.logsumexp(log_weights + torch.where(x[:, None] == K - 1, 0.0, F.logsigmoid(upper)), 1)


@mistake(MIXTURE, killed_by=BINS, says="log_scales is halved, as if it were a log-variance. It is the logarithm of the scale.")
def log_scales_halved(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(log_weights + _log_mass(x, means, log_scales / 2, K), 1)


@mistake(
    MIXTURE, killed_by=BINS, says="The values are rescaled to [-1, 1], as in PixelCNN++. Here means and scales count in values, 0 to K - 1."
)
def values_rescaled(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    half = 1 / max(K - 1, 1)
    centred, inverse = (2 * half * x[:, None] - 1 - means), (-log_scales).exp()
    upper, lower = torch.sigmoid((centred + half) * inverse), torch.sigmoid((centred - half) * inverse)
    mass = torch.where(x[:, None] == K - 1, 1.0, upper) - torch.where(x[:, None] == 0, 0.0, lower)
    return torch.logsumexp(log_weights + mass.clamp(min=1e-12).log(), 1)


@variant(MIXTURE)
def mixture_by_softplus(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    x = x.unsqueeze(1)
    centred, inverse = x.to(means) - means, torch.exp(-log_scales)
    plus, minus = inverse * (centred + 0.5), inverse * (centred - 0.5)
    inside = -F.softplus(-plus) - F.softplus(minus) + torch.log(-torch.expm1(-inverse))
    one = torch.zeros_like(inside)
    log_mass = torch.where(x == 0, torch.where(x == K - 1, one, -F.softplus(-plus)), torch.where(x == K - 1, -F.softplus(minus), inside))
    return torch.logsumexp(log_weights + log_mass, dim=-1)


@variant(MIXTURE)
def mixture_normalised_once_more(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    return torch.logsumexp(F.log_softmax(log_weights, dim=1) + _log_mass(x, means, log_scales, K), dim=1)


@variant(MIXTURE)
def mixture_row_by_row(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    rows = [_log_mass(x[i : i + 1], means[i : i + 1], log_scales[i : i + 1], K)[0] for i in range(len(x))]
    return torch.stack([torch.logsumexp(w + row, 0) for w, row in zip(log_weights, rows, strict=True)])


@variant(MIXTURE)
def mixture_by_a_difference_of_logarithms(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor, K: int) -> Tensor:
    """log(e^a - e^b) on the side of the mean where sigmoids are small, in float64 inside."""
    means64, inverse = means.double(), (-log_scales.double()).exp()
    sign = torch.where(x[:, None] > means64, -1.0, 1.0)  # mirrored right of the mean
    high = (sign * (x[:, None] - means64) + 0.5) * inverse
    low = high - inverse
    a, b = F.logsigmoid(high), F.logsigmoid(low)
    gap = torch.log(-torch.expm1(torch.minimum(b - a, torch.full_like(a, -1e-300))))
    first, last = x[:, None] == 0, x[:, None] == K - 1
    upper, lower = (x[:, None] + 0.5 - means64) * inverse, (x[:, None] - 0.5 - means64) * inverse
    log_mass = torch.where(first, F.logsigmoid(upper), torch.where(last, F.logsigmoid(-lower), a + gap))
    log_mass = torch.where(first & last, torch.zeros_like(log_mass), log_mass)
    return torch.logsumexp(log_weights.double() + log_mass, 1).to(means.dtype)
