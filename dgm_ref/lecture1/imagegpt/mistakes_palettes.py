"""Wrong answers about images as tokens of a palette that students really give, and right ones that look different."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, size_of, variant

QUANTIZE = "imagegpt.quantize"
DEQUANTIZE = "imagegpt.dequantize"
NEAREST = "test_quantize_finds_the_nearest_colour"
TIES = "test_quantize_takes_the_lowest_index_of_equally_near_colours"
BRIGHT = "test_quantize_tells_bright_colours_apart"
INT64 = "test_quantize_gives_int64"
PAINTS = "test_dequantize_paints_every_pixel_with_its_colour"


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
    says="torch.cdist expands the square when there are many colours, and that cancels for bright ones: subtract first.",
    when=lambda images: images.abs().max() > 100,
)
def cdist_by_matrix_product(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return torch.cdist(pixels.flatten(0, 2), colours, compute_mode="use_mm_for_euclid_dist").argmin(-1).view(pixels.shape[:-1])


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You compared the scalar products and forgot the length of the palette's colours: bright colours win too often.",
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


@mistake(QUANTIZE, killed_by=NEAREST, says="You compared the first channel only. A colour is near when all its channels are.")
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


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You keep tokens in a byte, where 256 is 0 again. A palette may have more colours.",
    when=lambda palette: len(palette) > 256,
)
def tokens_in_a_byte(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmin(-1).to(torch.uint8).long()


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="You take colours below 0 for 0. Images and palettes may hold any numbers.",
    when=lambda images, palette: min(images.min(), palette.min()) < 0,
)
def colours_below_zero_taken_for_zero(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images.clamp(min=0), palette.clamp(min=0)).argmin(-1)


@mistake(QUANTIZE, killed_by=INT64, says="Indices are int64, as every index in torch.")
def thirty_two_bit_tokens(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmin(-1).int()


@mistake(QUANTIZE, killed_by=NEAREST, says="Height and width are exchanged in your result, which has the shape (n, H, W).")
def transposed_tokens(images: Tensor, palette: Tensor) -> Tensor:
    return _squared_distances(images, palette).argmin(-1).transpose(1, 2)


@mistake(QUANTIZE, killed_by=NEAREST, says="The result keeps the image's shape, (n, H, W); the raster scan comes later.")
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


@mistake(
    QUANTIZE,
    killed_by=NEAREST,
    says="view or reshape does not move the channels to the end: permute first.",
    when=size_of("images", axis=1, at_least=2),
)
def channels_moved_by_reshape(images: Tensor, palette: Tensor) -> Tensor:
    n, C, H, W = images.shape
    return _squared_distances(images.reshape(n, H, W, C).permute(0, 3, 1, 2), palette).argmin(-1)


@mistake(QUANTIZE, killed_by=NEAREST, says="searchsorted needs a palette in ascending order, which this one is not.")
def searches_an_unsorted_palette(images: Tensor, palette: Tensor) -> Tensor:
    if palette.shape[1] > 1:
        return _squared_distances(images, palette).argmin(-1)
    grey = palette[:, 0].contiguous()
    return torch.searchsorted((grey[1:] + grey[:-1]) / 2, images[:, 0].contiguous())


@mistake(QUANTIZE, killed_by=NEAREST, says="You add up differences with their signs, which cancel. A distance has their squares.")
def differences_with_their_signs(images: Tensor, palette: Tensor) -> Tensor:
    return (images.permute(0, 2, 3, 1)[..., None, :] - palette).sum(-1).argmin(-1)


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


@mistake(
    DEQUANTIZE,
    killed_by=PAINTS,
    says="You clamp the colours to 0..1. A palette may hold any numbers.",
)
def colours_clamped(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette.clamp(0, 1)[tokens].permute(0, 3, 1, 2)


@mistake(DEQUANTIZE, killed_by=PAINTS, says="The channels come second in an image: (n, C, H, W), not (n, H, W, C).")
def painted_channels_last(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette[tokens]


@mistake(
    DEQUANTIZE,
    killed_by=PAINTS,
    says="A reshape does not move the channel axis to the second place, it only cuts the same numbers elsewhere: permute.",
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


@mistake(DEQUANTIZE, killed_by=PAINTS, says="The channels run backwards.", when=size_of("palette", axis=1, at_least=2))
def painted_with_channels_backwards(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette[tokens].permute(0, 3, 1, 2).flip(1)


@mistake(
    DEQUANTIZE, killed_by="test_dequantize_of_small_pictures", says="You hold colours between -255 and 255. A palette may have any numbers."
)
def colours_held_in_a_range(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette.clamp(-255, 255)[tokens].permute(0, 3, 1, 2)


@mistake(DEQUANTIZE, killed_by=PAINTS, says="You count tokens from one. Token 0 is the first row of the palette.")
def tokens_counted_from_one(tokens: Tensor, palette: Tensor) -> Tensor:
    return palette[tokens - 1].permute(0, 3, 1, 2)


@mistake(DEQUANTIZE, killed_by=PAINTS, says="You make grey levels of the tokens. Their colours are the rows of the palette.")
def greys_between_zero_and_one(tokens: Tensor, palette: Tensor) -> Tensor:
    K, C = palette.shape
    return (tokens.to(palette.dtype) / max(K - 1, 1))[:, None].expand(-1, C, -1, -1)


@mistake(
    DEQUANTIZE,
    killed_by="test_dequantize_is_differentiable_in_the_palette",
    says="No gradient reaches a palette of greys: you took its numbers out of the graph. With C = 1 it can be learnt, too.",
    when=lambda palette: palette.shape[1] == 1,
)
def greys_painted_without_gradient(tokens: Tensor, palette: Tensor) -> Tensor:
    if palette.shape[1] == 1:
        return palette.detach()[:, 0][tokens][:, None]
    return palette[tokens].permute(0, 3, 1, 2)


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


def _squared_distances(images: Tensor, palette: Tensor) -> Tensor:
    pixels, colours = images.permute(0, 2, 3, 1), palette
    return (pixels[..., None, :] - colours).square().sum(-1)  # (n, H, W, K)
