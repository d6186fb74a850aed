"""Images as tokens of a palette."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.shared import draw

weight, examples = pytest.mark.weight, pytest.mark.examples
quantize = pytest.mark.exercise("imagegpt.quantize")
dequantize = pytest.mark.exercise("imagegpt.dequantize")

several = st.integers(2, 5)
MIN_DISTANCE_GAP = 1e-3  # nearer than any other colour by this much, whatever the dtype


def colours(n, C, H, W, K, seed, dtype=torch.float32):
    """Images (n, C, H, W) and a palette (K, C) of which one colour is clearly the nearest for every pixel."""
    pixels = draw.uniform((n, H, W, C), seed, dtype=torch.float64)
    palette = draw.uniform((K, C), seed + 1, dtype=torch.float64)
    palette = palette + 0.03 * torch.arange(K)[:, None] / K  # no two are equal
    nearest = (pixels[..., None, :] - palette).norm(dim=-1).sort(dim=-1)
    unclear = (nearest.values[..., min(1, K - 1)] - nearest.values[..., 0] < MIN_DISTANCE_GAP)[..., None]
    pixels = torch.where(unclear, palette[nearest.indices[..., 0]], pixels)
    return pixels.permute(0, 3, 1, 2).to(dtype), palette.to(dtype)


@st.composite
def pictures(draw_):
    """The same, of any small size."""
    n, C, H, W, K = (draw_(several) for _ in range(5))
    return colours(n, C, H, W, K + 4, draw_(draw.seeds), draw_(draw.dtypes))


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
    """With a palette of all grey levels an image of bytes is its own tokens; so are 300 levels from -100 on."""
    ramp = torch.arange(256).reshape(2, 8, 16)
    assert_agrees(student.quantize(ramp[:, None] / 255, GREYS), ramp)
    levels = torch.arange(300).reshape(2, 10, 15)
    assert_agrees(student.quantize(levels[:, None] - 100.0, torch.arange(-100.0, 200.0)[:, None]), levels)


@quantize
@weight(0.25)
@examples(4)
@given(case=pictures())
@example(case=colours(2, 3, 8, 8, 300, 0))
@example(case=colours(2, 1, 9, 7, 256, 1, torch.float64))
def test_quantize_finds_the_nearest_colour(student, ref, case):
    """Each pixel becomes the index of the palette's colour at the smallest Euclidean distance, also of more than a byte can count."""
    images, palette = (4 * one - 2 for one in case)  # colours are any numbers
    assert_agrees(student.quantize(images, palette), ref.quantize(images, palette))


@quantize
@weight(0.1)
def test_quantize_takes_the_lowest_index_of_equally_near_colours(student):
    """Of two colours at the same distance the first one in the palette is taken, wherever they stand in it."""
    half = torch.full((2, 1, 2, 3), 0.5)
    for palette, first in (([1.0, 0.0], 0), ([9.0, 0.0, 1.0, 0.0, 7.0, 1.0], 1), ([0.5, 0.5], 0), ([7.0] * 9 + [0.0, 1.0] * 15, 9)):
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
@weight(0.033)
def test_quantize_gives_int64(student):
    """Indices are int64, as every index in torch; images and palette stay as they are."""
    assert_dtype(assert_unchanged(student.quantize.observed(PHOTOGRAPHS, PALETTE)), torch.int64)


# -- dequantize --

PAINTED_ONCE = torch.tensor([[[0.0, 0.6, 0.6], [0.8, 0.3, 0.8]], [[0.0, 0.6, 0.6], [0.3, 1.0, 0.3]]])  # (C, H, W)
PAINTED = torch.stack([PAINTED_ONCE, PAINTED_ONCE.flip(2)])


@dequantize
@weight(0.25)
def test_dequantize_of_small_pictures(student):
    """Six tokens each and five colours of two channels become pictures of two channels."""
    assert_agrees(student.dequantize(TOKENS, PALETTE), PAINTED)
    assert_agrees(student.dequantize(TOKENS, 1000 * PALETTE), 1000 * PAINTED)  # colours are any numbers


@dequantize
@weight(0.25)
@examples(4)
@given(case=pictures(), key=draw.seeds)
@example(case=colours(2, 3, 5, 4, 300, 0), key=0)
def test_dequantize_paints_every_pixel_with_its_colour(student, ref, case, key):
    """Pixel (h, w) gets the colour that its token names, channels first."""
    images, palette = case
    palette = 4000 * palette - 2000  # colours are any numbers
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
@weight(0.042)
def test_dequantize_gives_the_dtype_of_the_palette(student):
    """float64 colours paint a float64 image; tokens and palette stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.dequantize.observed(TOKENS, PALETTE.to(dtype))), dtype)


@dequantize
@weight(0.125)
@examples(3)
@given(case=pictures(), key=draw.seeds)
@example(case=colours(2, 1, 3, 4, 5, 0), key=0)
def test_dequantize_is_differentiable_in_the_palette(student, case, key):
    """The gradient of a colour is the sum over the pixels painted with it, so that a palette can be learnt."""
    images, palette = case
    tokens = draw.integers((len(images), *images.shape[2:]), key, high=len(palette))
    w = draw.normal(tuple(images.shape), key, dtype=palette.dtype)
    _, [gradient] = student.dequantize.gradient(tokens, palette, wrt=[palette], weights=w)
    by_pixel = w.double().permute(0, 2, 3, 1).reshape(-1, images.shape[1])
    want = torch.zeros(palette.shape, dtype=torch.float64).index_add(0, tokens.flatten(), by_pixel)
    assert_gradient_agrees(gradient, want, of="palette", like=palette, scale=by_pixel.abs().sum().item())
