"""Images as sequences of tokens, and bits per dimension."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_form, assert_gradient_agrees, assert_no_trace, refuses
from grader.checks.lecture1.shared import draw

weight, examples = pytest.mark.weight, pytest.mark.examples
scan = pytest.mark.exercise("imagegpt.raster_scan")
unscan = pytest.mark.exercise("imagegpt.inverse_raster_scan")
quantize = pytest.mark.exercise("imagegpt.quantize")
dequantize = pytest.mark.exercise("imagegpt.dequantize")
bits = pytest.mark.exercise("imagegpt.bits_per_dim")

small = st.integers(1, 4)
NUMBERED = torch.tensor([[[[1, 2, 3], [4, 5, 6]], [[10, 20, 30], [40, 50, 60]]]])  # (1, 2, 2, 3)
SEVERAL = draw.integers((2, 3, 4, 5), 0, high=1000).double()  # (n, C, H, W) all differ
SCANNED = torch.tensor([[1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60]])


@st.composite
def images(draw_, kinds=("float32", "float64", "int64")):
    """Images (n, C, H, W) of any small size; whole numbers in floats too, so that nothing is rounded."""
    shape = tuple(draw_(small) for _ in range(4))
    return draw.integers(shape, draw_(draw.seeds), high=1000).to(getattr(torch, draw_(st.sampled_from(kinds))))


@st.composite
def scans(draw_):
    """A sequence (n, H*W*C) and its C, H, W."""
    n, C, H, W = (draw_(small) for _ in range(4))
    kind = draw_(st.sampled_from([torch.float32, torch.float64, torch.int64]))
    return draw.integers((n, H * W * C), draw_(draw.seeds), high=1000).to(kind), C, H, W


@st.composite
def pictures(draw_, ties):
    """Images (n, C, H, W) and a palette (K, C): few levels with `ties`, else one nearest colour for every pixel."""
    n, C, H, W, K = (draw_(st.integers(1, high)) for high in (3, 3, 4, 4, 6))
    seed, dtype = draw_(draw.seeds), draw_(draw.dtypes)
    if ties:
        return draw.integers((n, C, H, W), seed, high=4).to(dtype), draw.integers((K, C), seed + 1, high=4).to(dtype)
    palette = draw.uniform((K, C), seed, dtype=torch.float64)
    palette[:, 0] = torch.randperm(K, generator=torch.Generator().manual_seed(seed)) / K  # no two within 1 / K
    nearest = palette[draw.integers((n, H, W), seed, high=K)].permute(0, 3, 1, 2)  # (n, C, H, W)
    return (nearest + draw.normal((n, C, H, W), seed + 1, scale=0.02 / K, dtype=torch.float64)).to(dtype), palette.to(
        dtype
    )


# -- raster_scan --


@scan
@weight(0.5)
@examples(8)
@given(images=images())
@example(images=NUMBERED)
@example(images=SEVERAL)
def test_raster_scan_goes_row_by_row_pixel_by_pixel_channel_by_channel(student, ref, images):
    """Channel c of pixel (h, w) is value number (h W + w) C + c of the sequence."""
    assert_agrees(student.raster_scan(images), ref.raster_scan(images), like=_float(images))


@scan
@weight(0.25)
def test_raster_scan_of_a_numbered_image(student):
    """A 2 x 3 image with two channels is read as text is, the channels of a pixel together."""
    assert_agrees(student.raster_scan(NUMBERED), SCANNED)


@scan
@weight(0.25)
@examples(2)
@given(images=images(kinds=("float32", "float64")), key=draw.seeds)
def test_raster_scan_is_differentiable_and_leaves_no_trace(student, images, key):
    """Every pixel gets the gradient of its place; the images stay as they are; an empty batch is refused."""
    w = draw.normal((len(images), images[0].numel()), key, dtype=images.dtype)
    scanned, [gradient] = student.raster_scan.gradient(images, wrt=[images], weights=w)
    assert_form(scanned, w.shape, images.dtype)
    _assert_linear(images, gradient, scanned, w)
    assert_no_trace(student.raster_scan.observed(images))
    with refuses("images", "n"):
        student.raster_scan(images[:0])


# -- inverse_raster_scan --


@unscan
@weight(0.5)
@examples(8)
@given(case=scans())
@example(case=(SCANNED, 2, 2, 3))
@example(case=(SEVERAL.flatten(1), 3, 4, 5))
def test_inverse_raster_scan_puts_every_value_in_its_place(student, ref, case):
    """Value number (h W + w) C + c is channel c of pixel (h, w)."""
    x, C, H, W = case
    assert_agrees(student.inverse_raster_scan(x, C, H, W), ref.inverse_raster_scan(x, C, H, W), like=_float(x))


@unscan
@weight(0.25)
def test_inverse_raster_scan_of_a_numbered_image(student):
    """Twelve numbers become a 2 x 3 image with two channels."""
    assert_agrees(student.inverse_raster_scan(SCANNED, 2, 2, 3), NUMBERED)


@unscan
@weight(0.25)
@examples(2)
@given(case=scans(), key=draw.seeds)
def test_inverse_raster_scan_refuses_what_does_not_fit(student, case, key):
    """Rows that do not hold H W C values, or none, and empty batches are refused; the sequence stays as it is."""
    x, C, H, W = case
    assert_no_trace(student.inverse_raster_scan.observed(x, C, H, W))
    for wrong in (x.repeat(1, 2), torch.cat([x, x[:, :1]], dim=1), x[:, 1:], x[:0]):
        with refuses("x", "C", "H", "W", "n", "m"):
            student.inverse_raster_scan(wrong, C, H, W)
    for nothing in ((0, H, W), (C, 0, W), (C, H, 0)):
        with refuses("x", "C", "H", "W", "m"):
            student.inverse_raster_scan(x[:, :0], *nothing)
    sequence = draw.normal(tuple(x.shape), key)
    w = draw.normal((len(x), C, H, W), key)
    image, [gradient] = student.inverse_raster_scan.gradient(sequence, C, H, W, wrt=[sequence], weights=w)
    assert_form(image, w.shape, torch.float32)
    _assert_linear(sequence, gradient, image, w)


# -- quantize --


@quantize
@weight(0.25)
@given(case=pictures(ties=False))
def test_quantize_finds_the_nearest_colour(student, ref, case):
    """Every pixel becomes the index of the colour at the least Euclidean distance."""
    images, palette = case
    assert_agrees(student.quantize(images, palette), ref.quantize(images, palette))


@quantize
@weight(0.25)
@given(case=pictures(ties=True))
@example(case=(torch.tensor([[[[0.5]]]]), torch.tensor([[1.0], [0.0]])))
@example(case=(torch.tensor([[[[0.0]], [[0.0]]]]), torch.tensor([[6.0, 0.0], [4.0, 4.0], [4.0, -3.0], [3.0, 4.0]])))
def test_quantize_takes_the_lowest_index_of_equally_near_colours(student, ref, case):
    """Of two colours at the same distance the first one in the palette is taken."""
    images, palette = case
    assert_agrees(student.quantize(images, palette), ref.quantize(images, palette))


@quantize
@weight(0.25)
@examples(4)
@given(C=small, K=st.integers(2, 40), offset=st.sampled_from([100.0, 1000.0]), key=draw.seeds)
@example(C=1, K=40, offset=1000.0, key=0)
def test_quantize_tells_bright_colours_apart(student, C, K, offset, key):
    """Colours that differ by a hundredth of their brightness are told apart: distances come from differences."""
    palette = offset + torch.arange(K)[:, None] * torch.ones(C) * offset / 4096
    tokens = draw.integers((1, 5, 6), key, high=K)
    noise = draw.uniform((1, C, 5, 6), key, low=-0.25, high=0.25)
    images = palette[tokens].permute(0, 3, 1, 2) + noise * offset / 4096
    assert_agrees(student.quantize(images, palette), tokens)


@quantize
@weight(0.25)
@examples(1)
@given(case=pictures(ties=False))
@example(case=(torch.tensor([[[[0.5]]]]), torch.tensor([[1.0], [0.0]])))
def test_quantize_refuses_a_palette_with_other_channels(student, case):
    """Images and palette must have the same channels and not be empty; neither is changed."""
    images, palette = case
    assert_no_trace(student.quantize.observed(images, palette))
    wrong = torch.cat([palette, palette[:, :1]], dim=1)
    for one, other in (
        (images, wrong),
        (images.repeat(1, 2, 1, 1), palette),
        (images[:0], palette),
        (images, palette[:0]),
    ):
        with refuses("images", "palette", "C", "K", "n"):
            student.quantize(one, other)


# -- dequantize --


@dequantize
@weight(0.5)
@given(case=pictures(ties=False), key=draw.seeds)
def test_dequantize_paints_every_pixel_with_its_colour(student, ref, case, key):
    """Pixel (h, w) gets the colour that its token names, channels first."""
    images, palette = case
    tokens = draw.integers((len(images), *images.shape[2:]), key, high=len(palette))
    assert_agrees(student.dequantize(tokens, palette), ref.dequantize(tokens, palette), like=palette)


@dequantize
@weight(0.25)
@examples(3)
@given(case=pictures(ties=False), key=draw.seeds)
def test_dequantize_is_differentiable_in_the_palette(student, case, key):
    """The gradient of a colour is the sum over the pixels painted with it, so that a palette can be learnt."""
    images, palette = case
    tokens = draw.integers((len(images), *images.shape[2:]), key, high=len(palette))
    w = draw.normal(tuple(images.shape), key, dtype=palette.dtype)
    painted, [gradient] = student.dequantize.gradient(tokens, palette, wrt=[palette], weights=w)
    assert_form(painted, images.shape, palette.dtype)
    by_pixel = w.double().permute(0, 2, 3, 1).reshape(-1, images.shape[1])
    want = torch.zeros(palette.shape, dtype=torch.float64).index_add(0, tokens.flatten(), by_pixel)
    assert_gradient_agrees(gradient, want, of="palette", like=palette, scale=by_pixel.abs().sum().item())


@dequantize
@weight(0.25)
@examples(2)
@given(case=pictures(ties=False), key=draw.seeds)
def test_dequantize_loses_nothing_of_the_tokens(student, case, key):
    """The tokens can be read off the painted image again; nothing empty is accepted, nothing given is changed."""
    images, palette = case
    tokens = draw.integers((len(images), *images.shape[2:]), key, high=len(palette))
    painted = student.dequantize(tokens, palette)
    assert_form(painted, images.shape, palette.dtype)
    found = (painted.permute(0, 2, 3, 1)[..., None, :] == palette).all(dim=-1).int().argmax(dim=-1)
    assert_agrees(found, tokens, what="the colour of a pixel")
    assert_no_trace(student.dequantize.observed(tokens, palette))
    for one, other in ((tokens[:0], palette), (tokens, palette[:0])):
        with refuses("tokens", "palette", "K", "n"):
            student.dequantize(one, other)


# -- bits_per_dim --


@bits
@weight(0.5)
@given(log_prob=draw.vectors(m=1, scale=300.0), num_dims=st.sampled_from([1, 2, 3, 64, 784, 3072]))
@example(log_prob=torch.tensor([[0.0], [-math.inf]]), num_dims=7)
def test_bits_per_dim_divides_nats_by_dimensions_and_log_two(student, ref, log_prob, num_dims):
    """An image of log-probability log p costs -log p / (D log 2) bits per dimension, an impossible one infinity."""
    nats = log_prob[:, 0]
    assert_agrees(student.bits_per_dim(nats, num_dims), ref.bits_per_dim(nats, num_dims), like=nats, unit="bits per dimension")


@bits
@weight(0.25)
@examples(4)
@given(K=st.integers(1, 512), num_dims=st.integers(1, 3072), n=small)
@example(K=256, num_dims=784, n=2)
def test_a_uniform_guess_costs_log2_K_bits(student, K, num_dims, n):
    """A model that gives each of K values the same probability needs log2 K bits per dimension."""
    nats = torch.full((n,), -num_dims * math.log(K), dtype=torch.float64)
    assert_agrees(student.bits_per_dim(nats, num_dims), torch.full((n,), math.log2(K), dtype=torch.float64), unit="bits per dimension")


@bits
@weight(0.25)
@examples(2)
@given(log_prob=draw.vectors(m=1, scale=30.0), num_dims=st.integers(1, 100))
def test_bits_per_dim_is_differentiable_and_refuses_no_dimensions(student, log_prob, num_dims):
    """It can be trained on; no dimensions and no images are refused; nothing given is changed."""
    nats = log_prob[:, 0]
    _, [gradient] = student.bits_per_dim.gradient(nats, num_dims, wrt=[nats])
    want = torch.full(nats.shape, -1 / (num_dims * math.log(2)), dtype=torch.float64)
    assert_gradient_agrees(gradient, want, of="log_prob", like=nats)
    assert_no_trace(student.bits_per_dim.observed(nats, num_dims))
    with refuses("num_dims", "D", "m"):
        student.bits_per_dim(nats, 0)
    with refuses("log_prob", "n"):
        student.bits_per_dim(nats[:0], num_dims)


def _assert_linear(x, gradient, y, w):
    """What only moves numbers about is linear: the gradient of w . y, times x, is w . y itself."""
    assert_form(gradient, x.shape, x.dtype, what="the gradient")
    terms = (w * y).double()
    assert_agrees(
        (gradient * x).sum(), terms.sum(), like=x, scale=terms.abs().sum(), what="the gradient, applied to the images,"
    )


def _float(images):
    """Whole numbers are compared as such, floats in their own dtype."""
    return images if images.is_floating_point() else None
