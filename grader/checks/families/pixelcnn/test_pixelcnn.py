"""Masked kernels, what an output really sees, and logistic mixtures on whole numbers (slide 43)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_form, assert_gradient_agrees, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.image_models import convolutions, rectified_pixels, shifted_pixels

causal_kernel_mask = pytest.mark.exercise("pixelcnn.causal_kernel_mask")
receptive_field = pytest.mark.exercise("pixelcnn.receptive_field")
mixture = pytest.mark.exercise("pixelcnn.logistic_mixture_log_prob")
weight = pytest.mark.weight
examples = pytest.mark.examples

SOFTPLUS = 5e-9 / 32  # `F.softplus` is the identity from 20 on, which is off by 2e-9, twice in a bin

# -- causal_kernel_mask --


@causal_kernel_mask
@weight(1.0)
def test_masks_of_grey_kernels_known_by_hand(student):
    """In a 3 x 3 kernel the row above and the pixel to the left are before the centre; the centre itself belongs to B alone."""
    before = draw.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    for kind, centre in (("A", 0.0), ("B", 1.0)):
        want = before.clone()
        want[1, 1] = centre
        got = student.causal_kernel_mask(kind, 2, 4, 3)
        assert_agrees(got, want.expand(4, 2, 3, 3))


@causal_kernel_mask
@weight(1.0)
def test_masks_of_colours_known_by_hand(student):
    """At the centre red, green and blue, of two or three channels on one side, see what is before them: in B themselves, too."""
    for kind, rows in (("A", [[0, 0, 0], [1, 0, 0], [1, 1, 0]]), ("B", [[1, 0, 0], [1, 1, 0], [1, 1, 1]])):
        got = student.causal_kernel_mask(kind, 3, 6, 3, 3)
        assert_form(got, (6, 3, 3, 3))
        want = draw.tensor(rows).repeat_interleave(2, dim=0)
        assert_agrees(got[:, :, 1, 1], want, what="the centre of the mask")
        for channels in (2, 3):
            got = student.causal_kernel_mask(kind, 3 * channels, 3, 1, 3)
            assert_form(got, (3, 3 * channels, 1, 1))
            want = draw.tensor(rows).repeat_interleave(channels, dim=1)
            assert_agrees(got[:, :, 0, 0], want, what="the centre of the mask")


@causal_kernel_mask
@weight(0.6)
@examples(6)
@given(kind=st.sampled_from("AB"), groups=st.integers(1, 4), a=st.integers(1, 3), b=st.integers(1, 3), half=st.integers(0, 3))
@example(kind="A", groups=3, a=2, b=1, half=2)
@example(kind="B", groups=2, a=1, b=3, half=1)
def test_masks_of_any_size_follow_the_raster_order(student, ref, kind, groups, a, b, half):
    """Every input channel before the centre, none after it, at the centre by the groups of both channels."""
    args = kind, a * groups, b * groups, 2 * half + 1, groups
    assert_agrees(student.causal_kernel_mask(*args), ref.causal_kernel_mask(*args))


@causal_kernel_mask
@weight(0.25)
def test_masks_of_a_single_weight_and_of_a_large_kernel(student):
    """A 1 x 1 kernel is its centre; of 15 x 15 weights 112 are before the centre; there may be 22 groups."""
    for kind, centre in (("A", 0.0), ("B", 1.0)):
        assert_agrees(student.causal_kernel_mask.strided(kind, 1, 1, 1), torch.full((1, 1, 1, 1), centre, dtype=torch.float64))
    got = student.causal_kernel_mask.strided("A", 1, 1, 15)
    assert_form(got, (1, 1, 15, 15))
    many = student.causal_kernel_mask("A", 22, 22, 1, 22)
    assert_form(many, (22, 22, 1, 1))
    assert_agrees(many[:, :, 0, 0], torch.ones(22, 22, dtype=torch.float64).tril(-1), what="the centre of the mask")
    want = (torch.arange(225) < 112).double().reshape(1, 1, 15, 15)
    assert_agrees(got, want)


@causal_kernel_mask
@weight(0.05)
def test_a_mask_has_the_default_dtype(student):
    """It multiplies weights, so it is a tensor of the default float dtype."""
    assert_dtype(student.causal_kernel_mask("A", 3, 3, 3, 3), torch.float32)
    assert_dtype(student.causal_kernel_mask.float64_default("A", 3, 3, 3, 3), torch.float64)


# -- receptive_field --


@receptive_field
@weight(0.7)
def test_fields_of_shifts_known_by_hand(student):
    """An output that copies the pixel one above and two to the left depends on that one alone; outside, or behind a shut relu, on none."""
    x, w = draw.normal((1, 2, 4, 5), 0), draw.tensor([[1.0, -2.0], [0.5, 1.0]])
    for i, j in ((2, 3), (1, 2), (0, 3)):
        want = torch.zeros(4, 5, dtype=torch.bool)
        if i >= 1 and j >= 2:
            want[i - 1, j - 2] = True
        assert_agrees(student.receptive_field(shifted_pixels(1, 2, w), x, i, j), want)
    for j, seen in ((0, True), (1, False)):
        got = student.receptive_field(rectified_pixels(draw.tensor([[2.0]])), draw.tensor([[[[3.0, -3.0]]]]), 0, j)
        assert_agrees(got, torch.tensor([[seen, False]]))


@receptive_field
@weight(0.5)
@examples(3)
@given(i=st.integers(0, 4), j=st.integers(0, 3), key=draw.seeds)
@example(i=2, j=3, key=0)
def test_fields_of_convolutions_are_what_moves_the_output(student, ref, i, j, key):
    """Two kernels with holes, one after the other: a pixel belongs to the field if changing it changes an output."""
    kernels = [draw.integers((2, 2, 3, 3), key, 2).double() * 0.5, draw.integers((2, 2, 3, 3), key + 1, 2).double() * 0.25]
    model, x = convolutions(kernels, True), draw.normal((1, 2, 5, 4), key + 2, 0.25)
    assert_agrees(student.receptive_field(model, x, i, j), ref.receptive_field(model, x, i, j))


@receptive_field
@weight(0.5)
def test_outputs_and_channels_do_not_cancel(student):
    """Two outputs with opposite derivatives, or two channels, depend on the pixel all the same; it may be a negative one, or tiny.

    Of nine outputs one is enough.
    It makes no difference where the outputs are zero.
    """
    for w in (
        [[1.0, 0.0], [-1.0, 0.0]],
        [[2.0, 0.0], [-1.0, 0.0]],
        [[1.0, -1.0], [0.0, 0.0]],
        [[2.0, -1.0], [0.0, 0.0]],
        [[0.0, -2.0], [0.0, 0.0]],
        [[1e-20, 0.0], [0.0, 0.0]],
        [[0.0, 0.0]] * 8 + [[0.0, 1.0]],
    ):
        want = torch.zeros(3, 3, dtype=torch.bool)
        want[1, 2] = True
        for x in (draw.normal((1, 2, 3, 3), 1), torch.zeros(1, 2, 3, 3, dtype=torch.float64)):
            assert_agrees(student.receptive_field(shifted_pixels(0, 0, draw.tensor(w)), x, 1, 2), want)


@receptive_field
@weight(0.2)
def test_fields_of_a_single_pixel_and_of_a_constant_kernel(student):
    """An image of one pixel, one channel and one output is legal; a kernel of zeros sees nothing; float32 images are, too."""
    one = torch.ones(1, 1, 1, 1)
    for value in (True, False):
        got = student.receptive_field.strided(convolutions([one * value], False), one, 0, 0)
        assert_agrees(got, torch.tensor([[value]]))


@receptive_field
@weight(0.033)
def test_a_field_is_a_table_of_yes_and_no(student):
    """The result is a bool tensor; the arguments stay as they are."""
    one = torch.ones(1, 1, 1, 1)
    assert_dtype(assert_unchanged(student.receptive_field.observed(convolutions([one], False), one, 0, 0)), torch.bool)


# -- logistic_mixture_log_prob --


def components(n: int, M: int, K: int, key: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Log-weights that sum to one, means inside of the range, scales as wide as a part of it."""
    log_weights = torch.log_softmax(draw.normal((n, M), key, 1.0), dim=1).to(dtype)
    means = draw.uniform((n, M), key + 1, 0.0, K, dtype)
    return log_weights, means, draw.uniform((n, M), key + 2, math.log(K / 16), math.log(K), dtype)


@mixture
@weight(0.8)
def test_logistic_bins_known_by_hand(student):
    """Around its mean a logistic of scale 1/2 has the mass tanh(1/2); half of it lies in the first of two bins, all of it in one bin."""
    for dtype in draw.DTYPES:
        weights, half = draw.tensor([[0.0]], dtype), draw.tensor([[math.log(0.5)]], dtype)
        got = student.logistic_mixture_log_prob(torch.tensor([3]), weights, draw.tensor([[3.0]], dtype), half, 8)
        assert_agrees(got, draw.tensor([math.log(math.tanh(0.5))]), like=torch.float32, scale=4.0, unit="nats")
        args = [one.expand(2, 1) for one in (weights, draw.tensor([[0.5]], dtype), half)]
        got = student.logistic_mixture_log_prob(torch.tensor([0, 1]), *args, 2)
        assert_agrees(got, draw.tensor([-math.log(2), -math.log(2)]), like=torch.float32, scale=4.0, unit="nats")
        got = student.logistic_mixture_log_prob(torch.tensor([0]), weights, draw.tensor([[0.5]], dtype), half, 1)
        assert_agrees(got, draw.tensor([0.0]), like=torch.float32, scale=4.0, unit="nats")
        weights = draw.tensor([[math.log(0.25), math.log(0.75)]], dtype)
        means, scales = draw.tensor([[3.0, 3.5]], dtype), draw.tensor([[math.log(0.5), 0.0]], dtype)
        got = student.logistic_mixture_log_prob(torch.tensor([3]), weights, means, scales, 8)
        want = math.log(0.25 * math.tanh(0.5) + 0.75 * (0.5 - 1 / (1 + math.e)))
        assert_agrees(got, draw.tensor([want]), like=torch.float32, scale=4.0, unit="nats")


@mixture
@weight(0.5)
@examples(2)
@given(M=st.integers(1, 3), K=st.sampled_from([3, 16, 255]), key=draw.seeds, dtype=draw.dtypes)
@example(M=3, K=256, key=0, dtype=torch.float64)
def test_bins_sum_to_one(student, M, K, key, dtype):
    """The masses of all values sum to one: nothing is lost at the two ends."""
    args = [one.expand(K, M) for one in components(1, M, K, key, dtype)]
    got = student.logistic_mixture_log_prob(torch.arange(K), *args, K)
    assert_form(got, (K,))
    total = got.double().exp().sum()
    assert_agrees(total, draw.tensor(1.0), like=dtype, scale=20 * K, error=SOFTPLUS, what="the sum of all probabilities")


@mixture
@weight(0.6)
@examples(3)
@given(M=st.integers(2, 3), K=st.sampled_from([4, 256]), key=draw.seeds, dtype=draw.dtypes)
@example(M=3, K=256, key=0, dtype=torch.float32)
@example(M=2, K=4, key=1, dtype=torch.float64)
def test_the_mixture_averages_the_mass_of_each_bin(student, ref, M, K, key, dtype):
    """Each row has its own mixture; the first and the last value among them."""
    x = torch.cat([draw.integers((4,), key + 3, K), torch.tensor([0, K - 1])])
    given_ = components(6, M, K, key, dtype)
    want = ref.logistic_mixture_log_prob(x, *given_, K)
    reach = ((x[:, None] - given_[1].double()).abs() + 1) * (-given_[2].double()).exp()
    scale = 10 + 4 * reach.amax(dim=1) + given_[2].double().abs().amax(dim=1)
    got = student.logistic_mixture_log_prob(x, *given_, K)
    assert_agrees(got, want, like=dtype, scale=scale, error=SOFTPLUS, unit="nats")


@mixture
@weight(0.5)
def test_the_mixture_holds_far_out_and_for_any_scale(student):
    """Where every component underflows the log-probability is large and finite; scales of 1e-4 and 1e4 keep their digits."""
    for dtype in draw.DTYPES:
        x = torch.tensor([200, 10, 100, 100, 0, 255, 7])
        means = draw.tensor([[0.0], [255.0], [100.0], [100.75], [300.0], [-50.0], [130.0]], dtype).expand(7, 2)
        scales = draw.tensor([[1.0], [0.5], [1e-4], [1e-4], [1.0], [0.25], [1e4]], dtype).log().expand(7, 2)
        weights = draw.tensor([[0.25, 0.75]], dtype).log().expand(7, 2)
        # far out the logarithm of a sigmoid is its argument, and a bin has e^-199.5 - e^-200.5, for example; near the mean
        # a wide one has the density there, 1 / (4 s cosh^2(z / 2)) at z = -0.0123
        far, wide = [-199.5 + math.log1p(-math.exp(-1)), -489 + math.log1p(-math.exp(-2))], -math.log(4e4 * math.cosh(0.00615) ** 2)
        want = draw.tensor([*far, 0.0, -2500.0, -299.5, -1218.0, wide])
        got = student.logistic_mixture_log_prob(x, weights, means, scales, 256)
        assert_agrees(got, want, like=torch.float32, scale=100 + 100 * want.abs(), unit="nats")
        rare = draw.tensor([[0.0, -50.0]], dtype)  # and yet all there is near 0
        got = student.logistic_mixture_log_prob(torch.tensor([0]), rare, draw.tensor([[200.0, 0.0]], dtype), 0 * rare, 256)
        assert_agrees(got, draw.tensor([-50 - math.log1p(math.exp(-0.5))]), like=torch.float32, scale=200.0, unit="nats")


@mixture
@weight(0.2)
def test_the_mixture_of_one_row_one_component_and_one_value(student, ref):
    """n = 1, M = 1 and K = 1 are legal; so are 1031 rows, and 65536 values."""
    one = torch.zeros(1, 1, dtype=torch.float64)
    got = student.logistic_mixture_log_prob.strided(torch.tensor([0]), one, one + 0.25, one, 1)
    assert_agrees(got, draw.tensor([0.0]), like=torch.float32, scale=4.0, unit="nats")
    got = student.logistic_mixture_log_prob(torch.tensor([40000]), one, one + 4e4, one + math.log(0.5), 65536)
    assert_agrees(got, draw.tensor([math.log(math.tanh(0.5))]), like=torch.float32, scale=4.0, unit="nats")
    x, given_ = torch.tensor([0, 3, 7]), components(3, 2, 8, 5, torch.float64)
    rows = draw.integers((1031,), 0, 3)
    want = ref.logistic_mixture_log_prob(x, *given_, 8)[rows]
    got = student.logistic_mixture_log_prob.strided(x[rows], *(one[rows] for one in given_), 8)
    assert_agrees(got, want, like=torch.float32, scale=400.0, unit="nats")


def along_the_simplex(gradient: Tensor | None, log_weights: Tensor) -> Tensor | None:
    return gradient if gradient is None else gradient - log_weights.exp() * gradient.sum(dim=1, keepdim=True)


@mixture
@weight(0.3)
def test_the_mixture_can_be_trained(student):
    """Gradients in weights, means and scales are finite and right, also at both ends and far out.

    Those in the weights by what keeps their sum at one: an answer may normalise once more what is normalised. No mean is the edge of a
    bin, where log sigmoid by way of |a| is right and autograd stands at a kink of its parts.
    """
    x, means = torch.tensor([0, 3, 7, 2]), draw.tensor([[1.0, 4.0], [3.0, 2.25], [6.0, 9.0], [40.0, 60.0]])
    log_weights = draw.tensor([[0.25, 0.75], [0.5, 0.5], [0.125, 0.875], [0.25, 0.75]]).log()
    log_scales = draw.tensor([[1.0, 0.5], [0.5, 1.0], [1.0, 2.0], [1.0, 4.0]]).log()
    _, (in_weights, *others) = student.logistic_mixture_log_prob.gradient(
        x, log_weights, means, log_scales, 8, wrt=[log_weights, means, log_scales]
    )
    # by differences of many digits, and by autograd of log sigmoid(a) + log sigmoid(-b) + log(1 - e^(b - a)) for a bin from b to a
    wanted = {
        "log_weights": [[0.742812669654, -0.742812669654], [0.182353086216, -0.182353086216], [-0.0601153038413, 0.0601153038413],
                        [-0.25, 0.25]],
        "means": [[-0.617985510362, -0.0143615646392], [0.0, 0.107833618711], [0.0403880845762, 0.104125153992], [0.0, -0.249999745832]],
        "log_scales": [[0.308992755181, 0.0502654762373], [-0.580626610921, -0.228644711951], [0.0201940422881, -0.260312884979],
                       [0.0, 13.4947823581]],
    }  # fmt: skip
    for got, (name, want) in zip([along_the_simplex(in_weights, log_weights), *others], wanted.items(), strict=True):
        assert_gradient_agrees(got, draw.tensor(want), of=name, like=torch.float32, scale=100.0)


@mixture
@weight(0.033)
def test_the_mixture_has_the_dtype_of_its_means(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        got = assert_unchanged(student.logistic_mixture_log_prob.observed(torch.tensor([1, 2]), *components(2, 2, 8, 0, dtype), 8))
        assert_dtype(got, dtype)
