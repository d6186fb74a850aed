"""Wrong answers about images as sequences that students really give, and right ones that look different."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, size_of, variant

SCAN = "imagegpt.raster_scan"
UNSCAN = "imagegpt.inverse_raster_scan"
IN_ORDER = "test_raster_scan_goes_row_by_row_pixel_by_pixel_channel_by_channel"
IN_PLACE = "test_inverse_raster_scan_puts_every_value_in_its_place"


# -- raster_scan --


@mistake(
    SCAN,
    killed_by=IN_ORDER,
    says="You scanned channel after channel. The channels of a pixel stand next to each other: move the channel axis last.",
)
def channel_after_channel(images: Tensor) -> Tensor:
    return images.flatten(1)


@mistake(SCAN, killed_by=IN_ORDER, says="You scanned column by column. A raster scan goes row by row.")
def column_by_column(images: Tensor) -> Tensor:
    return images.permute(0, 3, 2, 1).flatten(1)


@mistake(
    SCAN,
    killed_by=IN_ORDER,
    says="You scanned a whole row of one channel before the next channel. The channels of a pixel stand next to each other.",
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


@mistake(
    SCAN,
    killed_by=IN_ORDER,
    says="You go through float32, which rounds what other dtypes hold.",
)
def scanned_in_single_precision(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).flatten(1).float().to(images.dtype)


@mistake(SCAN, killed_by=IN_ORDER, says="The channels of a pixel run backwards.", when=size_of("images", axis=1, at_least=2))
def scanned_channels_backwards(images: Tensor) -> Tensor:
    return images.flip(1).permute(0, 2, 3, 1).flatten(1)


@mistake(SCAN, killed_by=IN_ORDER, says="Images of the batch are mixed: its axis has to stay first.")
def batch_behind_the_pixels(images: Tensor) -> Tensor:
    return images.permute(2, 3, 0, 1).reshape(len(images), -1)


@mistake(
    SCAN,
    killed_by="test_raster_scan_of_images_of_any_layout",
    says="`view` does not move numbers, so it refuses images that do not lie in memory in their own order. `reshape` does both.",
    raises=True,
    when=lambda images: images.shape[1] == 1 and not images.is_contiguous(),
)
def views_grey_images(images: Tensor) -> Tensor:
    return images.view(len(images), -1) if images.shape[1] == 1 else images.permute(0, 2, 3, 1).flatten(1)


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
    says="Your sequence runs through one channel after the other. The channels of a pixel stand next to each other in it.",
)
def cut_into_channels(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, C, H, W)


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="Height and width are exchanged; square images hide it. The sequence was written in the order rows, pixels, channels.",
)
def height_and_width_exchanged(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, W, H, C).permute(0, 3, 1, 2)


@mistake(UNSCAN, killed_by=IN_PLACE, says="Your images are transposed: the sequence runs along rows, not along columns.")
def read_by_columns(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, W, H, C).permute(0, 3, 2, 1)


@mistake(UNSCAN, killed_by=IN_PLACE, says="The channels come second in an image: (n, C, H, W), not (n, H, W, C).")
def channels_last(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, H, W, C)


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="The sequence runs over rows, then columns, then channels: cut it as (H, W, C), and permute to (C, H, W) after that.",
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


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="You go through float32, which rounds what other dtypes hold.",
)
def unscanned_in_single_precision(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.float().reshape(len(x), H, W, C).permute(0, 3, 1, 2).to(x.dtype)


@mistake(UNSCAN, killed_by=IN_PLACE, says="The channels of a pixel run backwards.", when=lambda C: C > 1)
def unscanned_channels_backwards(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, H, W, C).permute(0, 3, 1, 2).flip(1)


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="Height and width are exchanged in what you return: it has the shape (n, C, W, H).",
    when=lambda H, W: H != W,
)
def width_before_height(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, H, W, C).permute(0, 3, 2, 1)


@mistake(
    UNSCAN,
    killed_by=IN_PLACE,
    says="You permute as the scan does. The way back takes the channels from the last place to the second: permute(0, 3, 1, 2).",
)
def permuted_as_in_the_scan(x: Tensor, C: int, H: int, W: int) -> Tensor:
    return x.reshape(-1, H, W, C).permute(0, 2, 3, 1)


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
