"""Images as sequences of tokens, and bits per dimension."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees
from grader.checks.lecture1.shared import draw

weight, examples = pytest.mark.weight, pytest.mark.examples
scan = pytest.mark.exercise("imagegpt.raster_scan")
unscan = pytest.mark.exercise("imagegpt.inverse_raster_scan")
quantize = pytest.mark.exercise("imagegpt.quantize")
dequantize = pytest.mark.exercise("imagegpt.dequantize")
bits = pytest.mark.exercise("imagegpt.bits_per_dim")

several = st.integers(2, 5)
KINDS = (torch.float32, torch.float64, torch.int64)
FIRST = torch.tensor([[[1, 2, 3], [4, 5, 6]], [[10, 20, 30], [40, 50, 60]]])  # (C, H, W) = (2, 2, 3)
NUMBERED = torch.stack([FIRST, FIRST + 100])
READ = torch.tensor([1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60])
SCANNED = torch.stack([READ, READ + 100])
TALL = draw.integers((2, 3, 4, 5), 0, high=1000).double()  # (n, C, H, W) all differ
SINGLE = [  # axes of length one: an image, a channel, a row, a column, all of them; and the scans
    (NUMBERED[:1], SCANNED[:1]),
    (NUMBERED[:, :1], SCANNED[:, ::2]),
    (NUMBERED[:, :, :1], SCANNED[:, :6]),
    (NUMBERED[:, :, :, :1], SCANNED[:, [0, 1, 6, 7]]),
    (NUMBERED[:1, :1, :1, :1], SCANNED[:1, :1]),
]


@st.composite
def images(draw_, sizes=several):
    """Images (n, C, H, W); whole numbers in floats too, so that nothing is rounded."""
    shape = tuple(draw_(sizes) for _ in range(4))
    return draw.integers(shape, draw_(draw.seeds), high=1000).to(draw_(st.sampled_from(KINDS)))


@st.composite
def scans(draw_):
    """A sequence (n, H*W*C) and its C, H, W."""
    n, C, H, W = (draw_(several) for _ in range(4))
    return draw.integers((n, H * W * C), draw_(draw.seeds), high=1000).to(draw_(st.sampled_from(KINDS))), C, H, W


def colours(n, C, H, W, K, seed, dtype=torch.float32):
    """Images (n, C, H, W) and a palette (K, C) of which one colour is clearly the nearest for every pixel."""
    pixels = draw.uniform((n, H, W, C), seed, dtype=torch.float64)
    palette = draw.uniform((K, C), seed + 1, dtype=torch.float64)
    palette = palette + 0.03 * torch.arange(K)[:, None] / K  # no two are equal
    nearest = (pixels[..., None, :] - palette).norm(dim=-1).sort(dim=-1)
    unclear = (nearest.values[..., min(1, K - 1)] - nearest.values[..., 0] < 1e-3)[..., None]
    pixels = torch.where(unclear, palette[nearest.indices[..., 0]], pixels)
    return pixels.permute(0, 3, 1, 2).to(dtype), palette.to(dtype)


@st.composite
def pictures(draw_):
    """The same, of any small size."""
    n, C, H, W, K = (draw_(several) for _ in range(5))
    return colours(n, C, H, W, K + 4, draw_(draw.seeds), draw_(draw.dtypes))


# -- raster_scan --


@scan
@weight(0.25)
def test_raster_scan_of_numbered_images(student):
    """2 x 3 images with two channels are read as text is, the channels of a pixel together."""
    assert_agrees(student.raster_scan(NUMBERED), SCANNED)


@scan
@weight(0.25)
@examples(5)
@given(images=images())
@example(images=TALL)
def test_raster_scan_goes_row_by_row_pixel_by_pixel_channel_by_channel(student, ref, images):
    """Channel c of pixel (h, w) is value number (h W + w) C + c of the sequence."""
    assert_agrees(student.raster_scan(images), ref.raster_scan(images), like=_float(images))


@scan
@weight(0.125)
def test_raster_scan_of_single_images_channels_rows_and_columns(student):
    """One image, one channel, one row and one column keep their axis: the result is always (n, H*W*C)."""
    for images, x in SINGLE:
        assert_agrees(student.raster_scan(images), x)


@scan
@weight(0.125)
def test_raster_scan_of_images_of_any_layout(student):
    """Slices and transposed tensors are images as well: how numbers lie in memory does not matter."""
    assert_agrees(student.raster_scan.strided(NUMBERED), SCANNED)


@scan
@weight(0.125)
def test_raster_scan_keeps_the_dtype(student):
    """Tokens stay whole numbers, floats stay floats."""
    for kind in KINDS:
        assert_dtype(student.raster_scan(NUMBERED.to(kind)), kind)


@scan
@weight(0.125)
def test_raster_scan_hands_gradients_back_to_the_pixels(student):
    """Every pixel gets the gradient of its place in the sequence."""
    images = NUMBERED.double()
    _, [gradient] = student.raster_scan.gradient(images, wrt=[images], weights=SCANNED.double())
    assert_gradient_agrees(gradient, images, of="images")


# -- inverse_raster_scan --


@unscan
@weight(0.25)
def test_inverse_raster_scan_of_numbered_images(student):
    """Twelve numbers become a 2 x 3 image with two channels."""
    assert_agrees(student.inverse_raster_scan(SCANNED, 2, 2, 3), NUMBERED)


@unscan
@weight(0.25)
@examples(5)
@given(case=scans())
@example(case=(TALL.flatten(1), 3, 4, 5))
def test_inverse_raster_scan_puts_every_value_in_its_place(student, ref, case):
    """Value number (h W + w) C + c is channel c of pixel (h, w)."""
    x, C, H, W = case
    assert_agrees(student.inverse_raster_scan(x, C, H, W), ref.inverse_raster_scan(x, C, H, W), like=_float(x))


@unscan
@weight(0.125)
def test_inverse_raster_scan_to_single_images_channels_rows_and_columns(student):
    """One image, one channel, one row and one column keep their axis: the result is always (n, C, H, W)."""
    for images, x in SINGLE:
        assert_agrees(student.inverse_raster_scan(x, *images.shape[1:]), images)


@unscan
@weight(0.125)
def test_inverse_raster_scan_of_sequences_of_any_layout(student):
    """Slices and transposed tensors are sequences as well: how numbers lie in memory does not matter."""
    assert_agrees(student.inverse_raster_scan.strided(SCANNED, 2, 2, 3), NUMBERED)


@unscan
@weight(0.125)
def test_inverse_raster_scan_keeps_the_dtype(student):
    """Tokens stay whole numbers, floats stay floats."""
    for kind in KINDS:
        assert_dtype(student.inverse_raster_scan(SCANNED.to(kind), 2, 2, 3), kind)


@unscan
@weight(0.125)
def test_inverse_raster_scan_hands_gradients_back_to_the_sequence(student):
    """Every value of the sequence gets the gradient of its pixel."""
    x = SCANNED.double()
    _, [gradient] = student.inverse_raster_scan.gradient(x, 2, 2, 3, wrt=[x], weights=NUMBERED.double())
    assert_gradient_agrees(gradient, x, of="x")


# -- quantize --

PALETTE = torch.tensor([[0.0, 0.0], [0.6, 0.6], [0.8, 0.3], [0.3, 1.0], [0.0, 0.8]])
PHOTOGRAPH = torch.tensor([[[0.1, 0.55, 0.32], [0.9, 0.4, 0.39]], [[0.1, 0.45, 0.32], [0.1, 0.95, 0.2]]])  # (C, H, W)
PIXELS = torch.tensor([[0, 1, 1], [2, 3, 2]])
PHOTOGRAPHS, TOKENS = torch.stack([PHOTOGRAPH, PHOTOGRAPH.flip(2)]), torch.stack([PIXELS, PIXELS.flip(1)])
GREYS = torch.arange(256.0)[:, None] / 255


@quantize
@weight(0.15)
def test_quantize_of_small_pictures(student):
    """Two pictures of six pixels with two channels, and a palette of five colours."""
    assert_agrees(student.quantize(PHOTOGRAPHS, PALETTE), TOKENS)


@quantize
@weight(0.1)
def test_each_of_256_greys_is_itself(student):
    """With a palette of all grey levels an image of bytes is its own tokens."""
    ramp = torch.arange(256).reshape(2, 8, 16)
    assert_agrees(student.quantize(ramp[:, None] / 255, GREYS), ramp)


@quantize
@weight(0.25)
@examples(4)
@given(case=pictures())
@example(case=colours(2, 3, 8, 8, 256, 0))
@example(case=colours(2, 1, 9, 7, 256, 1, torch.float64))
def test_quantize_finds_the_nearest_colour(student, ref, case):
    """Each pixel becomes the index of the palette's colour at the smallest Euclidean distance, also of 256 colours."""
    assert_agrees(student.quantize(*case), ref.quantize(*case))


@quantize
@weight(0.1)
def test_quantize_takes_the_lowest_index_of_equally_near_colours(student):
    """Of two colours at the same distance the first one in the palette is taken, wherever they stand in it."""
    half = torch.full((2, 1, 2, 3), 0.5)
    for palette, first in (([1.0, 0.0], 0), ([9.0, 0.0, 1.0, 0.0, 7.0, 1.0], 1), ([0.5, 0.5], 0)):
        assert_agrees(student.quantize(half, torch.tensor(palette)[:, None]), torch.full((2, 2, 3), first))
    corners = torch.tensor([[6.0, 0.0], [4.0, 4.0], [4.0, -3.0], [3.0, 4.0], [0.0, 5.0]])  # three at distance five
    assert_agrees(student.quantize(torch.zeros(2, 2, 2, 3), corners), torch.full((2, 2, 3), 2))


@quantize
@weight(0.1)
@examples(3)
@given(C=st.integers(1, 3), key=draw.seeds, dtype=draw.dtypes)
@example(C=1, key=0, dtype=torch.float32)
@example(C=3, key=1, dtype=torch.float64)
def test_quantize_tells_bright_colours_apart(student, C, key, dtype):
    """Colours that differ by little are told apart: distances come from differences, in the dtype of the images."""
    step = 2.0**-12 if dtype == torch.float32 else 2.0**-36
    palette = (1000 * (1 + torch.arange(40)[:, None].double() * torch.ones(C) * step)).to(dtype)
    tokens = draw.integers((1, 5, 6), key, high=40)
    noise = draw.uniform((1, C, 5, 6), key, low=-0.25, high=0.25, dtype=dtype)
    assert_agrees(student.quantize(palette[tokens].permute(0, 3, 1, 2) + noise * 1000 * step, palette), tokens)


@quantize
@weight(0.1)
def test_quantize_of_single_images_pixels_channels_and_colours(student):
    """One image, one channel, one row, one column and one colour: the result is always (n, H, W)."""
    assert_agrees(student.quantize(PHOTOGRAPHS[:1], PALETTE), TOKENS[:1])
    assert_agrees(student.quantize(PHOTOGRAPHS[:, :, :1], PALETTE), TOKENS[:, :1])
    assert_agrees(student.quantize(PHOTOGRAPHS[:, :, :, :1], PALETTE), TOKENS[:, :, :1])
    assert_agrees(student.quantize(PHOTOGRAPHS[:1, :, :1, :1], PALETTE), TOKENS[:1, :1, :1])
    assert_agrees(student.quantize(PHOTOGRAPHS, PALETTE[:1]), 0 * TOKENS)


@quantize
@weight(0.1)
def test_quantize_of_images_of_any_layout(student):
    """Slices and transposed tensors are images and palettes as well."""
    assert_agrees(student.quantize.strided(PHOTOGRAPHS, PALETTE), TOKENS)


@quantize
@weight(0.1)
def test_quantize_gives_int64(student):
    """Indices are int64, as every index in torch."""
    assert_dtype(student.quantize(PHOTOGRAPHS, PALETTE), torch.int64)


# -- dequantize --

PAINTED_ONCE = torch.tensor([[[0.0, 0.6, 0.6], [0.8, 0.3, 0.8]], [[0.0, 0.6, 0.6], [0.3, 1.0, 0.3]]])  # (C, H, W)
PAINTED = torch.stack([PAINTED_ONCE, PAINTED_ONCE.flip(2)])


@dequantize
@weight(0.25)
def test_dequantize_of_small_pictures(student):
    """Six tokens each and five colours of two channels become pictures of two channels."""
    assert_agrees(student.dequantize(TOKENS, PALETTE), PAINTED)


@dequantize
@weight(0.25)
@examples(4)
@given(case=pictures(), key=draw.seeds)
@example(case=colours(2, 3, 5, 4, 256, 0), key=0)
def test_dequantize_paints_every_pixel_with_its_colour(student, ref, case, key):
    """Pixel (h, w) gets the colour that its token names, channels first."""
    images, palette = case
    tokens = draw.integers((len(images), *images.shape[2:]), key, high=len(palette))
    assert_agrees(student.dequantize(tokens, palette), ref.dequantize(tokens, palette), like=palette)


@dequantize
@weight(0.125)
def test_dequantize_of_single_images_pixels_channels_and_colours(student):
    """One image, one channel, one row, one column and one colour: the result is always (n, C, H, W)."""
    assert_agrees(student.dequantize(TOKENS[:1], PALETTE), PAINTED[:1])
    assert_agrees(student.dequantize(TOKENS, PALETTE[:, :1]), PAINTED[:, :1])
    assert_agrees(student.dequantize(TOKENS[:, :1], PALETTE), PAINTED[:, :, :1])
    assert_agrees(student.dequantize(TOKENS[:, :, :1], PALETTE), PAINTED[:, :, :, :1])
    assert_agrees(student.dequantize(0 * TOKENS, PALETTE[1:2]), torch.full((2, 2, 2, 3), 0.6))


@dequantize
@weight(0.125)
def test_dequantize_of_tokens_of_any_layout(student):
    """Slices and transposed tensors are tokens and palettes as well."""
    assert_agrees(student.dequantize.strided(TOKENS, PALETTE), PAINTED)


@dequantize
@weight(0.125)
def test_dequantize_gives_the_dtype_of_the_palette(student):
    """float64 colours paint a float64 image."""
    for dtype in draw.DTYPES:
        assert_dtype(student.dequantize(TOKENS, PALETTE.to(dtype)), dtype)


@dequantize
@weight(0.125)
@examples(3)
@given(case=pictures(), key=draw.seeds)
def test_dequantize_is_differentiable_in_the_palette(student, case, key):
    """The gradient of a colour is the sum over the pixels painted with it, so that a palette can be learnt."""
    images, palette = case
    tokens = draw.integers((len(images), *images.shape[2:]), key, high=len(palette))
    w = draw.normal(tuple(images.shape), key, dtype=palette.dtype)
    _, [gradient] = student.dequantize.gradient(tokens, palette, wrt=[palette], weights=w)
    by_pixel = w.double().permute(0, 2, 3, 1).reshape(-1, images.shape[1])
    want = torch.zeros(palette.shape, dtype=torch.float64).index_add(0, tokens.flatten(), by_pixel)
    assert_gradient_agrees(gradient, want, of="palette", like=palette, scale=by_pixel.abs().sum().item())


# -- bits_per_dim --

BITS = {"unit": "bits per dimension"}


@bits
@weight(0.25)
def test_bits_per_dim_of_a_few_images(student):
    """64 fair coin flips cost one bit each; a certain image costs nothing; a uniform guess among K values log2 K bits."""
    nats = torch.tensor([-64 * math.log(2), 0.0, -10.0, -64 * math.log(256)])
    want = torch.tensor([1.0, 0.0, 0.2254211001, 8.0], dtype=torch.float64)
    assert_agrees(student.bits_per_dim(nats, 64), want, like=nats, error=1e-9, **BITS)


@bits
@weight(0.25)
@examples(4)
@given(log_prob=draw.vectors(m=1, scale=300.0, dtype=torch.float32), num_dims=st.sampled_from([1, 3, 64, 784, 3072]))
@example(log_prob=torch.tensor([[-2000.0], [-1.0], [37.5]]), num_dims=784)
@example(log_prob=torch.tensor([[-12000.0], [0.0]]), num_dims=3072)
def test_bits_per_dim_divides_nats_by_dimensions_and_log_two(student, ref, log_prob, num_dims):
    """An image of log-probability log p costs -log p / (D log 2) bits per dimension, each image its own."""
    nats = log_prob[:, 0]
    assert_agrees(student.bits_per_dim(nats, num_dims), ref.bits_per_dim(nats, num_dims), like=nats, **BITS)


@bits
@weight(0.2)
def test_bits_per_dim_are_as_accurate_as_float64(student):
    """In float64 all sixteen digits are right: those of log 2 as well."""
    want = torch.tensor([1.0, 3.0, 0.1, 1000.0], dtype=torch.float64)
    for num_dims in (1, 784, 3072):
        assert_agrees(student.bits_per_dim(-want * num_dims * math.log(2), num_dims), want, **BITS)


@bits
@weight(0.1)
def test_single_and_impossible_images_have_their_bits(student):
    """log 0 = -inf nats are inf bits, whatever the other images cost; a batch of one image has one result."""
    nats = torch.tensor([-math.inf, -7 * math.log(2)])
    assert_agrees(student.bits_per_dim(nats, 7), torch.tensor([math.inf, 1.0]).double(), like=nats, **BITS)
    assert_agrees(student.bits_per_dim(nats[1:], 1), torch.tensor([7.0]).double(), like=nats, **BITS)


@bits
@weight(0.1)
def test_bits_per_dim_keep_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out."""
    for dtype in draw.DTYPES:
        assert_dtype(student.bits_per_dim(torch.tensor([-3.0, -5.0], dtype=dtype), 2), dtype)


@bits
@weight(0.1)
@examples(2)
@given(log_prob=draw.vectors(m=1, scale=30.0, dtype=torch.float32), num_dims=st.integers(1, 100))
def test_bits_per_dim_can_be_trained_on(student, log_prob, num_dims):
    """The gradient with respect to log p is -1 / (D log 2)."""
    nats = log_prob[:, 0]
    _, [gradient] = student.bits_per_dim.gradient(nats, num_dims, wrt=[nats])
    want = torch.full(nats.shape, -1 / (num_dims * math.log(2)), dtype=torch.float64)
    assert_gradient_agrees(gradient, want, of="log_prob", like=nats)


def _float(images):
    """Whole numbers are compared as such, floats in their own dtype."""
    return images if images.is_floating_point() else None
