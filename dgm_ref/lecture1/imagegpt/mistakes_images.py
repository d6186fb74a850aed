"""Wrong answers about images as sequences of tokens that students really give, and right ones that look different."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import contains, mistake, size_of, variant

SCAN = "imagegpt.raster_scan"
UNSCAN = "imagegpt.inverse_raster_scan"
QUANTIZE = "imagegpt.quantize"
DEQUANTIZE = "imagegpt.dequantize"
BITS = "imagegpt.bits_per_dim"

IN_ORDER = "test_raster_scan_goes_row_by_row_pixel_by_pixel_channel_by_channel"
IN_PLACE = "test_inverse_raster_scan_puts_every_value_in_its_place"
NEAREST = "test_quantize_finds_the_nearest_colour"
TIES = "test_quantize_takes_the_lowest_index_of_equally_near_colours"
BRIGHT = "test_quantize_tells_bright_colours_apart"
INT64 = "test_quantize_gives_int64"
PAINTS = "test_dequantize_paints_every_pixel_with_its_colour"
DIVIDES = "test_bits_per_dim_divides_nats_by_dimensions_and_log_two"


# -- raster_scan --


@mistake(
    SCAN,
    killed_by=IN_ORDER,
    says="You scanned channel after channel. The channels of a pixel stand next to each other: move "
    "the channel axis last.",
)
def channel_after_channel(images: Tensor) -> Tensor:
    return images.flatten(1)


@mistake(SCAN, killed_by=IN_ORDER, says="You scanned column by column. A raster scan goes row by row.")
def column_by_column(images: Tensor) -> Tensor:
    return images.permute(0, 3, 2, 1).flatten(1)


@mistake(
    SCAN,
    killed_by=IN_ORDER,
    says="You scanned a whole row of one channel before the next channel. The channels of a pixel "
    "stand next to each other.",
)
def channels_row_by_row(images: Tensor) -> Tensor:
    return images.permute(0, 2, 1, 3).flatten(1)


@mistake(
    SCAN,
    killed_by=IN_ORDER,
    says="A reshape to (n, H, W, C) does not move the channel axis, it only cuts the same numbers elsewhere: permute.",
)
def only_columns_swapped(images: Tensor) -> Tensor:
    n, C, H, W = images.shape
    return images.reshape(n, C, H * W).transpose(1, 2).reshape(n, W, H, C).transpose(1, 2).flatten(1)


@mistake(
    SCAN,
    killed_by=IN_ORDER,
    says="Every other row runs from right to left in your scan. A raster scan starts every row on the left.",
)
def as_the_ox_ploughs(images: Tensor) -> Tensor:
    turned = images.clone()
    turned[:, :, 1::2] = turned[:, :, 1::2].flip(-1)
    return turned.permute(0, 2, 3, 1).flatten(1)


@mistake(
    SCAN,
    killed_by="test_raster_scan_keeps_the_dtype",
    says="The result has the dtype of the images: tokens stay whole numbers.",
)
def scanned_as_floats(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).flatten(1).float()


@mistake(
    SCAN,
    killed_by="test_raster_scan_of_single_images_channels_rows_and_columns",
    says="You lost the batch axis of a single image: the result has shape (n, H*W*C), also for n = 1.",
)
def one_image_without_a_batch(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).flatten(1).squeeze(0)


@mistake(
    SCAN,
    killed_by="test_raster_scan_hands_gradients_back_to_the_pixels",
    says="You cut the images off from the graph. Copying into a tensor of .data or through numpy loses the gradient.",
)
def scanned_without_gradient(images: Tensor) -> Tensor:
    return images.detach().permute(0, 2, 3, 1).flatten(1)


@mistake(
    SCAN,
    killed_by="test_raster_scan_of_images_of_any_layout",
    says="`view` refuses images that do not lie in one piece in memory, such as slices and transposed tensors: "
    "reshape copies where it has to.",
    raises=True,
)
def viewed(images: Tensor) -> Tensor:
    n, C, H, W = images.shape
    return images.view(n, C, H * W).transpose(1, 2).reshape(n, -1)


@mistake(SCAN, killed_by=IN_ORDER, says="You scanned from the bottom row to the top. A raster scan starts at the top.")
def from_the_bottom(images: Tensor) -> Tensor:
    return images.flip(2).permute(0, 2, 3, 1).flatten(1)


@variant(SCAN)
def scan_by_movedim(images: Tensor) -> Tensor:
    return images.movedim(1, -1).contiguous().view(images.size(0), -1)


@variant(SCAN)
def scan_image_by_image(images: Tensor) -> Tensor:
    return torch.stack([torch.dstack(tuple(image)).flatten() for image in images])


@variant(SCAN)
def scan_by_stacking(images: Tensor) -> Tensor:
    n, C, H, W = images.shape
    return torch.stack([images[:, c, h, w] for h in range(H) for w in range(W) for c in range(C)], dim=1)


@variant(SCAN)
def scan_by_index(images: Tensor) -> Tensor:
    n, C, H, W = images.shape
    place = torch.arange(C * H * W).view(C, H, W).permute(1, 2, 0).flatten()
    return images.flatten(1)[:, place]


# -- inverse_raster_scan --


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="Your sequence runs through one channel after the other. The channels of a pixel stand next "
    "to each other in it.",
)
def cut_into_channels(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, C, H, W)


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="Height and width are exchanged; square images hide it. The sequence was written in the order "
    "rows, pixels, channels.",
)
def height_and_width_exchanged(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, W, H, C).permute(0, 3, 1, 2)


@mistake(
    UNSCAN, killed_by=IN_PLACE, says="Your images are transposed: the sequence runs along rows, not along columns."
)
def read_by_columns(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, W, H, C).permute(0, 3, 2, 1)


@mistake(UNSCAN, killed_by=IN_PLACE, says="The channels come second in an image: (n, C, H, W), not (n, H, W, C).")
def channels_last(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, H, W, C)


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="A reshape does not move the channel axis to the second place, it only cuts the same numbers "
    "elsewhere: permute.",
)
def reshaped_twice(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, H, C, W).permute(0, 2, 1, 3)


@mistake(
    UNSCAN,
    killed_by="test_inverse_raster_scan_keeps_the_dtype",
    says="The result has the dtype of the sequence: tokens stay whole numbers.",
)
def images_as_floats(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, H, W, C).permute(0, 3, 1, 2).float()


@mistake(
    UNSCAN,
    killed_by="test_inverse_raster_scan_to_single_images_channels_rows_and_columns",
    says="You lost an axis of length one: the result has shape (n, C, H, W), also for one channel.",
)
def single_axes_lost(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(len(x), H, W, C).permute(0, 3, 1, 2).squeeze(1)


@variant(UNSCAN)
def unscan_by_unflatten(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.unflatten(1, (H, W, C)).movedim(-1, 1).contiguous()


@variant(UNSCAN)
def unscan_into_an_empty_image(x: Tensor, C: int, H: int, W: int) -> Tensor:
    rows = [torch.stack([x[:, (h * W + w) * C : (h * W + w + 1) * C] for w in range(W)], dim=2) for h in range(H)]
    return torch.stack(rows, dim=2)  # each pixel (n, C), a row (n, C, W)


@variant(UNSCAN)
def unscan_channel_by_channel(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return torch.stack([x[:, c::C].unflatten(1, (H, W)) for c in range(C)], dim=1)


# -- quantize --


@mistake(
    QUANTIZE,
    killed_by=BRIGHT,
    says="You expanded the square. |a|^2 - 2ab + |b|^2 cancels for bright colours: subtract the colours first.",
    when=lambda images: images.abs().max() > 100,
)
def expanded_square(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    distance = pixels.square().sum(-1, keepdim=True) - 2 * pixels @ colours.T + colours.square().sum(-1)
    return distance.argmin(-1)


@mistake(
    QUANTIZE,
    killed_by=BRIGHT,
    says="torch.cdist expands the square when there are many colours, and that cancels for bright "
    "ones: subtract first.",
    when=lambda images: images.abs().max() > 100,
)
def cdist_by_matrix_product(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (
        torch.cdist(pixels.flatten(0, 2), colours, compute_mode="use_mm_for_euclid_dist")
        .argmin(-1)
        .view(pixels.shape[:-1])
    )


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You compared the scalar products and forgot the length of the palette's colours: bright "
    "colours win too often.",
)
def forgets_the_length_of_the_colour(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (pixels @ colours.T).argmax(-1)


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You added up absolute differences. The distance of colours here is the Euclidean one.",
)
def city_block_distance(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (pixels[..., None, :] - colours).abs().sum(-1).argmin(-1)


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You took the largest difference of a channel. The distance of colours here is the Euclidean one.",
)
def largest_difference(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (pixels[..., None, :] - colours).abs().amax(-1).argmin(-1)


@mistake(
    QUANTIZE, killed_by=NEAREST, says="You compared the first channel only. A colour is near when all its channels are."
)
def first_channel_only(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (pixels[..., None, 0] - colours[:, 0]).abs().argmin(-1)


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You compared the sums of the channels (brightness). Colours of one brightness can be far apart.",
)
def brightness_only(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (pixels.sum(-1, keepdim=True) - colours.sum(-1)).abs().argmin(-1)


@mistake(QUANTIZE, killed_by=NEAREST, says="This is the farthest colour: you took the largest distance.")
def farthest_colour(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmax(-1)


@mistake(
    QUANTIZE,
    killed_by=TIES,
    says="Of two equally near colours the one with the lowest index is taken; you take the last.",
)
def last_of_equals(images: Tensor, palette: Tensor) -> Tensor:
    distances = _squared_distances(images, palette)
    return distances.shape[-1] - 1 - distances.flip(-1).argmin(-1)


@mistake(QUANTIZE, killed_by=INT64, says="Indices are int64, as every index in torch.")
def thirty_two_bit_tokens(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmin(-1).int()


@mistake(
    QUANTIZE, killed_by=NEAREST, says="Height and width are exchanged in your result, which has the shape (n, H, W)."
)
def transposed_tokens(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmin(-1).transpose(1, 2)


@mistake(
    QUANTIZE, killed_by=NEAREST, says="The result keeps the image's shape, (n, H, W); the raster scan comes later."
)
def tokens_in_a_row(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmin(-1).flatten(1)


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="Rounding to whole numbers before comparing throws away the colours: they may lie between 0 and 1.",
)
def rounds_first(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images.round(), palette.round()).argmin(-1)


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You compare with the first 64 colours only: a palette may have more.",
    when=size_of("palette", axis=0, at_least=65),
)
def sixty_four_colours(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette[:64]).argmin(-1)


@mistake(
    QUANTIZE,
    killed_by=BRIGHT,
    says="You rounded float64 colours to float32 on the way: colours that differ in the ninth digit become one.",
)
def quantized_in_single_precision(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images.float(), palette.float()).argmin(-1)


@mistake(
    QUANTIZE,
    killed_by="test_quantize_of_single_images_pixels_channels_and_colours",
    says="You lost an axis of length one: the result has shape (n, H, W), also for one image or one row.",
)
def tokens_squeezed(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmin(-1).squeeze()


@mistake(
    QUANTIZE,
    killed_by="test_quantize_of_images_of_any_layout",
    says="`view` refuses images that do not lie in one piece in memory, such as slices and transposed tensors.",
    raises=True,
)
def pixels_viewed(images: Tensor, palette: Tensor) -> Tensor:
    n, C, H, W = images.shape
    pixels = images.view(n, C, H * W).transpose(1, 2)
    return (pixels[..., None, :] - palette).norm(dim=-1).argmin(-1).reshape(n, H, W)


@variant(QUANTIZE)
def quantize_by_norm(images: Tensor, palette: Tensor) -> Tensor:
    pixels = images.movedim(1, -1).unsqueeze(-2)  # (n, H, W, 1, C)
    return torch.linalg.vector_norm(pixels - palette, dim=-1).min(dim=-1).indices


@variant(QUANTIZE)
def quantize_image_by_image(images: Tensor, palette: Tensor) -> Tensor:
    tokens = []
    for image in images:
        flat = image.flatten(1).T  # (H*W, C)
        tokens.append(((flat[:, None] - palette[None]) ** 2).sum(2).argmin(1).reshape(image.shape[1:]))
    return torch.stack(tokens)


@variant(QUANTIZE)
def quantize_colour_by_colour(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    best, tokens = (
        torch.full(pixels.shape[:-1], math.inf, dtype=pixels.dtype),
        torch.zeros(pixels.shape[:-1], dtype=torch.int64),
    )
    for index, colour in enumerate(colours):
        distance = (pixels - colour).norm(dim=-1)
        tokens[distance < best] = index
        best = torch.minimum(best, distance)
    return tokens


@variant(QUANTIZE)
def quantize_by_cdist(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    distances = torch.cdist(pixels.flatten(0, 2), colours, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.argmin(-1).view(pixels.shape[:-1])


# -- dequantize --


@mistake(DEQUANTIZE, killed_by=PAINTS, says="The channels come second in an image: (n, C, H, W), not (n, H, W, C).")
def painted_channels_last(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette[tokens]


@mistake(
    DEQUANTIZE,
    killed_by=PAINTS,
    says="A reshape does not move the channel axis to the second place, it only cuts the same numbers "
    "elsewhere: permute.",
)
def reshaped_into_channels(tokens: Tensor, palette: Tensor) -> Tensor:
    n, H, W = tokens.shape
    return palette[tokens].reshape(n, -1, H, W)


@mistake(
    DEQUANTIZE,
    killed_by=PAINTS,
    says="Your image is transposed: only the channel axis moves, height stays before width.",
)
def painted_transposed(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette[tokens].transpose(1, 3)


@mistake(
    DEQUANTIZE,
    killed_by="test_dequantize_gives_the_dtype_of_the_palette",
    says="The result has the dtype of the palette.",
)
def painted_in_single_precision(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette[tokens].permute(0, 3, 1, 2).float()


@mistake(
    DEQUANTIZE,
    killed_by="test_dequantize_of_single_images_pixels_channels_and_colours",
    says="You lost the batch axis of a single image: the result has shape (n, C, H, W), also for n = 1.",
)
def painted_without_a_batch(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette[tokens].permute(0, 3, 1, 2).squeeze(0)


@mistake(
    DEQUANTIZE,
    killed_by="test_dequantize_of_single_images_pixels_channels_and_colours",
    says="A grey palette has one channel, and the image keeps that axis: (n, 1, H, W).",
)
def grey_without_a_channel(tokens: Tensor, palette: Tensor) -> Tensor:
    image = palette[tokens].permute(0, 3, 1, 2)
    return image[:, 0] if palette.shape[1] == 1 else image


@mistake(
    DEQUANTIZE,
    killed_by="test_dequantize_is_differentiable_in_the_palette",
    says="No gradient reaches the palette: you took its numbers out of the graph.",
)
def painted_without_gradient(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette.detach()[tokens].permute(0, 3, 1, 2)


@mistake(
    DEQUANTIZE,
    killed_by="test_dequantize_of_tokens_of_any_layout",
    says="`view` refuses tokens that do not lie in one piece in memory, such as slices and transposed tensors.",
    raises=True,
)
def tokens_viewed(tokens: Tensor, palette: Tensor) -> Tensor:
    n, H, W = tokens.shape
    return palette[tokens.view(-1)].reshape(n, H, W, -1).permute(0, 3, 1, 2)


@variant(DEQUANTIZE)
def paint_by_index_select(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette.index_select(0, tokens.reshape(-1)).reshape(*tokens.shape, -1).permute(0, 3, 1, 2).contiguous()


@variant(DEQUANTIZE)
def paint_channel_by_channel(tokens: Tensor, palette: Tensor) -> Tensor:
    return torch.stack([palette[:, c][tokens] for c in range(palette.shape[1])], dim=1)


@variant(DEQUANTIZE)
def paint_by_embedding(tokens: Tensor, palette: Tensor) -> Tensor:
    return F.embedding(tokens, palette).movedim(-1, 1)


@variant(DEQUANTIZE)
def paint_by_one_hot(tokens: Tensor, palette: Tensor) -> Tensor:
    return torch.einsum("nhwk,kc->nchw", F.one_hot(tokens, len(palette)).to(palette), palette)


# -- bits_per_dim --


@mistake(BITS, killed_by=DIVIDES, says="These are nats per dimension: a bit is log 2 nats.")
def nats_per_dim(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / num_dims


@mistake(BITS, killed_by=DIVIDES, says="You multiplied by log 2. A bit is log 2 nats, so nats are divided by it.")
def times_log_two(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / num_dims * math.log(2)


@mistake(
    BITS, killed_by=DIVIDES, says="Bits per dimension are a cost: the negative log-likelihood. The sign is missing."
)
def negative_bits(log_prob: Tensor, num_dims: int) -> Tensor:
    return log_prob / (num_dims * math.log(2))


@mistake(BITS, killed_by=DIVIDES, says="These are the bits of the whole image: divide by the number of dimensions.")
def bits_of_the_whole_image(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / math.log(2)


@mistake(BITS, killed_by=DIVIDES, says="You averaged over the batch. Every image has its own bits per dimension.")
def mean_over_the_batch(log_prob: Tensor, num_dims: int) -> Tensor:
    return (-log_prob / (num_dims * math.log(2))).mean()


@mistake(BITS, killed_by=DIVIDES, says="You divided by log 10. A bit is log 2 nats.")
def digits_per_dim(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / (num_dims * math.log(10))


@mistake(
    BITS,
    killed_by=DIVIDES,
    says="You took the base-2 logarithm of what is a log-probability already. Only the unit changes: divide by log 2.",
)
def logarithm_of_a_logarithm(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob.exp().log2() / num_dims


@mistake(
    BITS,
    killed_by="test_single_and_impossible_images_have_their_bits",
    says="An image of probability zero costs infinitely many bits; do not replace infinity.",
    when=contains("log_prob", -math.inf),
)
def no_infinite_cost(log_prob: Tensor, num_dims: int) -> Tensor:
    return (-log_prob / (num_dims * math.log(2))).nan_to_num()


@mistake(
    BITS,
    killed_by="test_bits_per_dim_can_be_trained_on",
    says="The result is cut off from the graph, so that it cannot be trained on.",
)
def bits_without_gradient(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob.detach() / (num_dims * math.log(2))


@mistake(
    BITS,
    killed_by="test_bits_per_dim_are_as_accurate_as_float64",
    says="torch.tensor(2.0) is a float32, and so is its logarithm: in float64 the result is right to seven digits only. "
    "math.log(2) has all sixteen.",
)
def log_two_in_single_precision(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / (num_dims * torch.log(torch.tensor(2.0)))


@mistake(BITS, killed_by=DIVIDES, says="log 2 is not 0.693: that is wrong in the fourth digit. Write math.log(2).")
def log_two_by_heart(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / (num_dims * 0.693)


@mistake(
    BITS,
    killed_by="test_single_and_impossible_images_have_their_bits",
    says="You lost the batch axis of a single image: the result has shape (n,), also for n = 1.",
)
def one_image_without_an_axis(log_prob: Tensor, num_dims: int) -> Tensor:
    return (-log_prob / (num_dims * math.log(2))).squeeze()


@mistake(
    BITS,
    killed_by="test_bits_per_dim_keep_the_dtype",
    says="The result has the dtype of log_prob: float32 in, float32 out.",
)
def bits_in_double_precision(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob.double() / (num_dims * math.log(2))


@variant(BITS)
def bits_by_a_tensor(log_prob: Tensor, num_dims: int) -> Tensor:
    return log_prob.neg().div(num_dims).div(torch.log(torch.tensor(2.0, dtype=log_prob.dtype)))


@variant(BITS)
def bits_by_log2_e(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob * math.log2(math.e) / num_dims


@variant(BITS)
def bits_image_by_image(log_prob: Tensor, num_dims: int) -> Tensor:
    return torch.stack([-nats / num_dims / math.log(2) for nats in log_prob])


# -- what they share: the parts that are right --


def _squared_distances(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (pixels[..., None, :] - colours).square().sum(-1)  # (n, H, W, K)
