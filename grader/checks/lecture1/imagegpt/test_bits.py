"""Bits per dimension."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.lecture1.shared import draw

weight, examples = pytest.mark.weight, pytest.mark.examples
bits = pytest.mark.exercise("imagegpt.bits_per_dim")


UNIT = "bits per dimension"


@bits
@weight(0.25)
def test_bits_per_dim_of_a_few_images(student):
    """64 fair coin flips cost one bit each; a certain image costs nothing; a uniform guess among K values log2 K bits."""
    nats = torch.tensor([-64 * math.log(2), 0.0, -10.0, -64 * math.log(256)])
    want = torch.tensor([1.0, 0.0, 0.2254211001, 8.0], dtype=torch.float64)
    mistaken = {
        "These are nats per dimension: divide by log 2, too.": want * math.log(2),
        "These are bits per image: divide by the number of dimensions, too.": want * 64,
        "The sign is turned: an unlikely image costs many bits.": -want,
    }
    assert_agrees(student.bits_per_dim(nats, 64), want, like=nats, error=1e-9, unit=UNIT, mistaken=mistaken)


@bits
@weight(0.25)
@examples(4)
@given(log_prob=draw.columns(scale=300.0), num_dims=st.sampled_from([1, 3, 64, 784, 3072]))
@example(log_prob=torch.tensor([[-2000.0], [-1.0], [37.5]]), num_dims=784)
@example(log_prob=torch.tensor([[-12000.0], [0.0]]), num_dims=3072)
def test_bits_per_dim_divides_nats_by_dimensions_and_log_two(student, ref, log_prob, num_dims):
    """An image of log-probability log p costs -log p / (D log 2) bits per dimension, each image its own."""
    nats = log_prob[:, 0]
    assert_agrees(student.bits_per_dim(nats, num_dims), ref.bits_per_dim(nats, num_dims), like=nats, unit=UNIT)


@bits
@weight(0.2)
def test_bits_per_dim_are_as_accurate_as_float64(student):
    """In float64 all sixteen digits are right: those of log 2 as well."""
    want = torch.tensor([1.0, 3.0, 0.1, 1000.0], dtype=torch.float64)
    for num_dims in (1, 784, 3072):
        assert_agrees(student.bits_per_dim(-want * num_dims * math.log(2), num_dims), want, unit=UNIT)


@bits
@weight(0.1)
def test_single_and_impossible_images_have_their_bits(student):
    """log 0 = -inf nats are inf bits, whatever the other images cost; a batch of one image has one result."""
    nats = torch.tensor([-math.inf, -7 * math.log(2)])
    assert_agrees(student.bits_per_dim(nats, 7), torch.tensor([math.inf, 1.0]).double(), like=nats, unit=UNIT)
    assert_agrees(student.bits_per_dim(nats[1:], 1), torch.tensor([7.0]).double(), like=nats, unit=UNIT)


@bits
@weight(0.033)
def test_bits_per_dim_keep_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the log-probabilities stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.bits_per_dim.observed(torch.tensor([-3.0, -5.0], dtype=dtype), 2)), dtype)


@bits
@weight(0.1)
@examples(2)
@given(log_prob=draw.columns(scale=30.0), num_dims=st.integers(1, 100))
@example(log_prob=torch.tensor([[-2000.0], [-1.0]]), num_dims=784)
def test_bits_per_dim_can_be_trained_on(student, log_prob, num_dims):
    """The gradient with respect to log p is -1 / (D log 2)."""
    nats = log_prob[:, 0]
    _, [gradient] = student.bits_per_dim.gradient(nats, num_dims, wrt=[nats])
    want = torch.full(nats.shape, -1 / (num_dims * math.log(2)), dtype=torch.float64)
    assert_gradient_agrees(gradient, want, of="log_prob", like=nats)
