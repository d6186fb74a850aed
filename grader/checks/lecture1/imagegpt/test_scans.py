"""Images as sequences."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.shared import draw

weight, examples = pytest.mark.weight, pytest.mark.examples
scan = pytest.mark.exercise("imagegpt.raster_scan")
unscan = pytest.mark.exercise("imagegpt.inverse_raster_scan")

several = st.integers(2, 5)
KINDS = (torch.float32, torch.float64, torch.int64)
FIRST = torch.tensor([[[1, 2, 3], [4, 5, 6]], [[10, 20, 30], [40, 50, 60]]])  # (C, H, W) = (2, 2, 3)
NUMBERED = torch.stack([FIRST, FIRST + 100])
READ = torch.tensor([1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60])
SCANNED = torch.stack([READ, READ + 100])
TALL = draw.integers((2, 3, 4, 5), 0, high=2**40).double()  # (n, C, H, W) all differ; float32 would round
SINGLE = [  # axes of length one: an image, a channel, a row, a column, all of them; and the scans
    (NUMBERED[:1], SCANNED[:1]),
    (NUMBERED[:, :1], SCANNED[:, ::2]),
    (NUMBERED[:, :, :1], SCANNED[:, :6]),
    (NUMBERED[:, :, :, :1], SCANNED[:, [0, 1, 6, 7]]),
    (torch.arange(60).reshape(2, 5, 1, 6), torch.arange(60).reshape(2, 5, 6).mT.flatten(1)),
    (torch.arange(36).reshape(1, 1, 6, 6), torch.arange(36)[None]),
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


# -- raster_scan --


@scan
@weight(0.25)
def test_raster_scan_of_numbered_images(student):
    """2 x 3 images with two channels are read as text is, the channels of a pixel together, whatever stands in them."""
    assert_agrees(student.raster_scan(NUMBERED), SCANNED)
    assert_agrees(student.raster_scan(NUMBERED + 2**53), SCANNED + 2**53)  # whole numbers that no float holds
    assert_agrees(student.raster_scan(NUMBERED.double() / 3), SCANNED.double() / 3)


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
    assert_agrees(student.raster_scan.strided(NUMBERED[:, :1]), SCANNED[:, ::2])


@scan
@weight(0.042)
def test_raster_scan_keeps_the_dtype(student):
    """Tokens stay whole numbers, floats stay floats; the images stay as they are."""
    for kind in KINDS:
        assert_dtype(assert_unchanged(student.raster_scan.observed(NUMBERED.to(kind))), kind)


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
    """Twelve numbers, whatever they are, become a 2 x 3 image with two channels."""
    assert_agrees(student.inverse_raster_scan(SCANNED, 2, 2, 3), NUMBERED)
    assert_agrees(student.inverse_raster_scan(SCANNED + 2**53, 2, 2, 3), NUMBERED + 2**53)
    assert_agrees(student.inverse_raster_scan(SCANNED.double() / 3, 2, 2, 3), NUMBERED.double() / 3)


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
@weight(0.042)
def test_inverse_raster_scan_keeps_the_dtype(student):
    """Tokens stay whole numbers, floats stay floats; the sequences stay as they are."""
    for kind in KINDS:
        assert_dtype(assert_unchanged(student.inverse_raster_scan.observed(SCANNED.to(kind), 2, 2, 3)), kind)


@unscan
@weight(0.125)
def test_inverse_raster_scan_hands_gradients_back_to_the_sequence(student):
    """Every value of the sequence gets the gradient of its pixel."""
    x = SCANNED.double()
    _, [gradient] = student.inverse_raster_scan.gradient(x, 2, 2, 3, wrt=[x], weights=NUMBERED.double())
    assert_gradient_agrees(gradient, x, of="x")


def _float(images):
    """Whole numbers are compared as such, floats in their own dtype."""
    return images if images.is_floating_point() else None
