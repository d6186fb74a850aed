"""Wasserstein distances, the gradient penalty of their critic, and StyleGAN's normalisation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.critics import linear_critic, quadratic_critic, tanh_critic
from grader.checks.families.shared.gradients import assert_gradients_known

gradient_penalty = pytest.mark.exercise("gan.gradient_penalty")
wasserstein_1d = pytest.mark.exercise("gan.wasserstein_1d")
adaptive_instance_norm = pytest.mark.exercise("gan.adaptive_instance_norm")
weight = pytest.mark.weight
examples = pytest.mark.examples

ROOT = 1e-10  # a 1e-12 under the root keeps the gradient of the norm finite, and is forgiven, also where the slope is 1e-3

# -- gradient_penalty --


@gradient_penalty
@weight(1.0)
def test_penalties_of_a_linear_and_of_a_quadratic_critic_known_by_hand(student):
    """A slope of 5 costs 16, one of 1/2 a quarter, whatever the points are; a slope that grows shows where it is taken."""
    for dtype in draw.DTYPES:
        real, fake = draw.tensor([[4.0, 0.0], [0.0, 8.0]], dtype), draw.tensor([[0.0, 0.0], [0.0, 0.0]], dtype)
        u = draw.tensor([0.25, 0.5], dtype)
        for w, want in (([3.0, 4.0], 16.0), ([0.3, 0.4], 0.25)):
            got = student.gradient_penalty(linear_critic(draw.tensor(w, dtype)), real, fake, u)
            assert_agrees(got, draw.tensor(want), like=torch.float32, scale=(want**0.5 + 2) ** 2)
        got = student.gradient_penalty(quadratic_critic(draw.tensor(2.0, dtype)), real, fake, u)
        assert_agrees(got, draw.tensor(25.0), like=torch.float32, scale=100.0)  # points (1, 0), (0, 4); slopes 2 and 8


@gradient_penalty
@weight(0.5)
@examples(3)
@given(row=st.sampled_from([(3,), (2, 3), (2, 3, 2)]), n=st.integers(2, 4), key=draw.seeds, dtype=draw.dtypes)
@example(row=(2, 3, 2), n=3, key=0, dtype=torch.float32)
@example(row=(3,), n=2, key=1, dtype=torch.float64)
@example(row=(2, 3), n=3, key=2, dtype=torch.float64)
def test_the_penalty_averages_over_rows_of_any_shape(student, ref, row, n, key, dtype):
    """The norm is over all axes of a row, images too; each row is mixed with its own u."""
    size = torch.Size(row).numel()
    critic = tanh_critic(draw.normal((4, size), key, 1.0, dtype), draw.normal((4,), key + 1, 1.0, dtype))
    real, fake = draw.normal((n, *row), key + 2, 1.0, dtype), draw.normal((n, *row), key + 3, 1.0, dtype)
    u = draw.uniform((n,), key + 4, dtype=dtype)
    want = ref.gradient_penalty(critic, real, fake, u)
    got = student.gradient_penalty(critic, real, fake, u)
    assert_agrees(got, want, like=dtype, scale=200.0, error=ROOT)


@gradient_penalty
@weight(0.25)
def test_a_slope_of_zero_costs_one(student):
    """A critic that is flat at one of two points costs 1 there, not nan; one that is nearly flat nearly 1: (1 - 1/2000)^2."""
    for dtype in draw.DTYPES:
        zero = torch.zeros(2, 2, dtype=dtype)
        x = draw.tensor([[0.0, 0.0], [3.0, 4.0]], dtype)
        got = student.gradient_penalty(quadratic_critic(draw.tensor(1.0, dtype)), x, zero, draw.tensor([0.5, 1.0], dtype))
        assert_agrees(got, draw.tensor(8.5), like=torch.float32, scale=36.0)
        got = student.gradient_penalty(linear_critic(draw.tensor([3e-4, 4e-4], dtype)), x, zero, x[0])
        assert_agrees(got, draw.tensor(0.99900025), like=torch.float32, scale=4.0, error=1e-6)


@gradient_penalty
@weight(0.2)
def test_the_penalty_of_one_row_and_of_many(student):
    """n = 1 is legal, as is a row of one number, or a picture; 1031 rows are all counted; 1/2 and 17/32 are two mixtures."""
    critic = quadratic_critic(draw.tensor(1.0))
    real, fake, u = draw.tensor([[3.0]]), draw.tensor([[-1.0]]), draw.tensor([0.75])
    assert_agrees(student.gradient_penalty.strided(critic, real, fake, u), draw.tensor(1.0), like=torch.float32, scale=9.0)
    real, fake = draw.tensor([[4.0], [8.0]]), torch.zeros(2, 1, dtype=torch.float64)  # mixed to 2 and 4.25, squared slopes less 1
    got = student.gradient_penalty(critic, real, fake, draw.tensor([0.5, 0.53125]))
    assert_agrees(got, draw.tensor((1 + 3.25**2) / 2), like=torch.float32, scale=30.0)
    pictures = torch.ones(2, 3, 1, 2, dtype=torch.float64)  # a slope of the length 13
    w = draw.tensor([[[3.0, 4.0]], [[12.0, 0.0]], [[0.0, 0.0]]])
    got = student.gradient_penalty.strided(linear_critic(w), pictures, -pictures, draw.tensor([0.25, 0.5]))
    assert_agrees(got, draw.tensor(144.0), like=torch.float32, scale=200.0)
    many = torch.zeros(1031, 2, dtype=torch.float64)
    many[-1] = draw.tensor([3.0, 4.0]) * 1031
    want = draw.tensor((1030 + 5154.0**2) / 1031)
    got = student.gradient_penalty.strided(critic, many, many, torch.zeros(1031, dtype=torch.float64))
    assert_agrees(got, want, like=torch.float32, scale=want)


@gradient_penalty
@weight(0.85)
@examples(2)
@given(key=draw.seeds)
@example(key=0)
def test_the_penalty_trains_the_critic(student, key):
    """A gradient of a gradient reaches the critic's parameters: a linear critic with w = (3, 4) is pulled by 8 w / 5."""
    w = draw.tensor([3.0, 4.0])
    real, fake, u = draw.normal((3, 2), key), draw.normal((3, 2), key + 1), draw.uniform((3,), key + 2)
    _, (gradient,) = student.gradient_penalty.gradient(linear_critic(w), real, fake, u, wrt=[w])
    assert_gradient_agrees(gradient, draw.tensor([4.8, 6.4]), of="w", scale=20.0, error=ROOT)
    a, real = draw.tensor(2.0), draw.tensor([[4.0, 0.0], [0.0, 8.0]])  # at (1, 0) and (0, 4): 2 (a |x| - 1) |x|
    _, (gradient,) = student.gradient_penalty.gradient(quadratic_critic(a), real, 0 * real, draw.tensor([0.25, 0.5]), wrt=[a])
    assert_gradient_agrees(gradient, draw.tensor(29.0), of="a", scale=200.0, error=ROOT)
    w = draw.tensor([[[3.0, 4.0]], [[12.0, 0.0]], [[0.0, 0.0]]])  # for pictures, too: |w| = 13, pulled by 24 w / 13
    pictures = torch.ones(2, 3, 1, 2, dtype=torch.float64)
    _, (gradient,) = student.gradient_penalty.gradient(linear_critic(w), pictures, -pictures, draw.tensor([0.25, 0.5]), wrt=[w])
    assert_gradient_agrees(gradient, 24 / 13 * w, of="w", scale=200.0, error=ROOT)


@gradient_penalty
@weight(0.067)
def test_the_penalty_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        assert_dtype(student.gradient_penalty(quadratic_critic(draw.tensor(1.0, dtype)), x, x, x[0]), dtype)


@gradient_penalty
@weight(0.05)
def test_the_penalty_leaves_the_samples_as_they_are(student):
    """The mixture is a tensor of its own: real and generated samples stay what they are."""
    x = draw.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert_unchanged(student.gradient_penalty.observed(quadratic_critic(draw.tensor(1.0)), x, -x, draw.tensor([0.25, 0.5])))


# -- wasserstein_1d --


@wasserstein_1d
@weight(0.4)
def test_wasserstein_distances_known_by_hand(student):
    """A shift by 3 costs 3, in whatever order the samples come; the same samples in another order cost nothing."""
    for dtype in draw.DTYPES:
        x = draw.tensor([4.0, -1.0, 0.5, 2.0], dtype)
        for y, want in ((x.flip(0) - 3, 3.0), (x[[2, 0, 3, 1]], 0.0), (draw.tensor([1.0, 1.0, 10.0, -1.0], dtype), 1.875)):
            assert_agrees(student.wasserstein_1d(x, y), draw.tensor(want), like=torch.float32, scale=10.0)
        x, y = draw.tensor([10.0, 0.0, 5.0], dtype), draw.tensor([1.0, 4.0, 12.0], dtype)  # 1 and 2 upwards, between them 1 downwards
        assert_agrees(student.wasserstein_1d(x, y), draw.tensor(4 / 3), like=torch.float32, scale=20.0)


@wasserstein_1d
@weight(0.25)
@examples(3)
@given(n=st.integers(2, 40), key=draw.seeds, dtype=draw.dtypes)
@example(n=37, key=0, dtype=torch.float32)
@example(n=5, key=0, dtype=torch.float64)
def test_mass_is_carried_in_order(student, ref, n, key, dtype):
    """The smallest goes to the smallest: the area between the two distribution functions."""
    x, y = draw.normal((n,), key, 2.0, dtype), draw.normal((n,), key + 1, 1.0, dtype)
    assert_agrees(student.wasserstein_1d(x, y), ref.wasserstein_1d(x, y), like=dtype, scale=10.0)


@wasserstein_1d
@weight(0.1)
def test_wasserstein_of_single_and_of_many_samples(student):
    """n = 1 is legal; of 4099 samples the largest counts, too."""
    assert_agrees(student.wasserstein_1d.strided(draw.tensor([2.0]), draw.tensor([-1.0])), draw.tensor(3.0), scale=3.0, like=torch.float32)
    x = torch.arange(4099, dtype=torch.float64).flip(0)
    y = x.clone()
    y[0] += 4099.0
    assert_agrees(student.wasserstein_1d.strided(x, y), draw.tensor(1.0), scale=4.0, like=torch.float32)


@wasserstein_1d
@weight(0.15)
def test_wasserstein_pulls_every_sample_towards_its_partner(student):
    """The gradient in a sample is the sign of the way to its partner, over n."""
    x, y = draw.tensor([4.0, -1.0, 0.5, 2.0]), draw.tensor([3.0, -2.0, 1.0, 9.0])
    _, (in_x, in_y) = student.wasserstein_1d.gradient(x, y, wrt=[x, y])
    assert_gradient_agrees(in_x, draw.tensor([-0.25, 0.25, -0.25, -0.25]), of="x", scale=1.0)
    assert_gradient_agrees(in_y, draw.tensor([0.25, -0.25, 0.25, 0.25]), of="y", scale=1.0)


@wasserstein_1d
@weight(0.033)
def test_wasserstein_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the samples stay as they are."""
    for dtype in draw.DTYPES:
        x, y = draw.tensor([2.0, 1.0], dtype), draw.tensor([4.0, 3.0], dtype)
        assert_dtype(assert_unchanged(student.wasserstein_1d.observed(x, y)), dtype)


# -- adaptive_instance_norm --


@adaptive_instance_norm
@weight(0.65)
def test_a_style_known_by_hand(student):
    """Pixels 100 and 300 become -1 and 1, times the scale, plus the bias; those of the next image have nothing to say in it."""
    for dtype in draw.DTYPES:
        x = draw.tensor([[[[100.0, 300.0]], [[0.0, 0.0]]], [[[0.0, 0.0]], [[-300.0, -100.0]]]], dtype)
        scale, bias = draw.tensor([[2.0, 3.0], [4.0, 0.5]], dtype), draw.tensor([[5.0, -1.0], [6.0, 0.0]], dtype)
        want = draw.tensor([[[[3.0, 7.0]], [[-1.0, -1.0]]], [[[6.0, 6.0]], [[-0.5, 0.5]]]])
        assert_agrees(student.adaptive_instance_norm(x, scale, bias), want, like=torch.float32, scale=20.0)
        x = draw.tensor([[[[0.0], [0.01]]]], dtype)  # of variance 2.5e-5
        got = student.adaptive_instance_norm(x, draw.tensor([[1.0]], dtype), draw.tensor([[0.0]], dtype))
        want = draw.tensor([[[[-0.8451542547285166], [0.8451542547285166]]]])
        assert_agrees(got, want, like=torch.float32, scale=5.0)


@adaptive_instance_norm
@weight(0.5)
@examples(3)
@given(n=st.integers(2, 3), C=st.integers(2, 3), size=st.sampled_from([(2, 3), (3, 2), (1, 4)]), key=draw.seeds, dtype=draw.dtypes)
@example(n=2, C=3, size=(2, 3), key=0, dtype=torch.float32)
@example(n=3, C=2, size=(3, 2), key=1, dtype=torch.float64)
def test_each_channel_gets_the_mean_and_the_deviation_of_its_style(student, ref, n, C, size, key, dtype):
    """Mean and biased variance are those of the channel's own pixels, and 1e-5 is added to the variance."""
    x = draw.normal((n, C, *size), key, 0.05, dtype) + draw.normal((n, C, 1, 1), key + 1, 1.0, dtype)
    scale, bias = draw.normal((n, C), key + 2, 2.0, dtype), draw.normal((n, C), key + 3, 1.0, dtype)
    want, rounding = ref.adaptive_instance_norm(x, scale, bias), ref.rounding_of_adaptive_instance_norm(x, scale, bias)
    assert_agrees(student.adaptive_instance_norm(x, scale, bias), want, like=dtype, scale=rounding)


@adaptive_instance_norm
@weight(0.2)
def test_the_style_of_one_image_of_one_channel_and_of_a_large_one(student, ref):
    """n = 1 and C = 1 are legal, and so are a picture of 33 by 65 pixels and 13 pictures, each of a style of its own."""
    for shape in ((1, 1, 1, 2), (1, 3, 2, 2), (2, 1, 2, 2), (1, 1, 33, 65), (13, 2, 2, 2)):
        x, scale, bias = draw.normal(shape, 1), draw.normal(shape[:2], 2) + 3, draw.normal(shape[:2], 3)
        want, rounding = ref.adaptive_instance_norm(x, scale, bias), ref.rounding_of_adaptive_instance_norm(x, scale, bias)
        assert_agrees(student.adaptive_instance_norm.strided(x, scale, bias), want, like=torch.float32, scale=rounding)


@adaptive_instance_norm
@weight(0.5)
def test_the_style_can_be_trained_and_so_can_what_it_is_put_on(student):
    """Gradients reach the image, through its mean and its variance, the scale and the bias."""
    x = draw.tensor([[[[3.0, 3.0], [1.0, 1.0]], [[-7.0, -5.0], [-7.0, -5.0]]]])  # 1 and -1 off the mean: of variance 1
    scale, bias = draw.tensor([[2.0, -1.0]]), draw.tensor([[5.0, 0.0]])
    weights = draw.tensor([[[[1.0, 2.0], [0.0, -5.0]], [[4.0, 0.0], [0.0, 0.0]]]])
    root, pull = 1.00001**0.5, 2 / 1.00001  # the mean of weight times distance, over the variance: 2 and -1 in the two channels
    first = [[1.5 - pull, 2.5 - pull], [0.5 + pull, -4.5 + pull]]  # weight less mean weight, less distance times that
    second = [[3 - pull / 2, -1 + pull / 2], [-1 - pull / 2, -1 + pull / 2]]
    known = {
        "x": (x, [[[[2 / root * pixel for pixel in row] for row in first], [[-1 / root * pixel for pixel in row] for row in second]]]),
        "scale": (scale, [[8 / root, -4 / root]]),
        "bias": (bias, [[-2.0, 4.0]]),
    }
    args = [x, scale, bias]
    assert_gradients_known(student.adaptive_instance_norm, args, known, weights=weights, scale=200.0)


@adaptive_instance_norm
@weight(0.05)
def test_the_styled_image_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        style = torch.ones(1, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.adaptive_instance_norm.observed(torch.ones(1, 2, 2, 2, dtype=dtype), style, style)), dtype)
