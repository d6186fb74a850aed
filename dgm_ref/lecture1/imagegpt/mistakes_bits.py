"""Wrong answers about bits per dimension that students really give, and right ones that look different."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dgm_ref.catalogue import contains, mistake, variant

BITS = "imagegpt.bits_per_dim"
DIVIDES = "test_bits_per_dim_divides_nats_by_dimensions_and_log_two"


@mistake(BITS, killed_by=DIVIDES, says="These are nats per dimension: a bit is log 2 nats.")
def nats_per_dim(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / num_dims


@mistake(BITS, killed_by=DIVIDES, says="You multiplied by log 2. A bit is log 2 nats, so nats are divided by it.")
def times_log_two(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / num_dims * math.log(2)


@mistake(BITS, killed_by=DIVIDES, says="Bits per dimension are a cost: the negative log-likelihood. The sign is missing.")
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


@mistake(BITS, killed_by=DIVIDES, says="You mix logarithms: the log-probability is natural, and so is the log 2 that it is divided by.")
def divides_by_decimal_log_two(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / (num_dims * math.log10(2))


@mistake(
    BITS,
    killed_by=DIVIDES,
    says="A density may be above 1, and then the bits are negative: change the sign, take no absolute value.",
    when=lambda log_prob: bool((log_prob > 0).any()),
)
def never_negative_bits(log_prob: Tensor, num_dims: int) -> Tensor:
    return log_prob.abs() / (num_dims * math.log(2))


@mistake(
    BITS, killed_by=DIVIDES, says="You took the logarithm of what is a log-probability already. Only the unit changes: divide by log 2."
)
def binary_logarithm_of_log_prob(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob.log2() / num_dims


@mistake(BITS, killed_by=DIVIDES, says="You divide by the number of images. Divide by num_dims: each image has its own bits.")
def divided_by_the_batch(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob / (len(log_prob) * math.log(2))


@mistake(BITS, killed_by=DIVIDES, says="You multiply by the number of dimensions. Bits per dimension are divided by it.")
def times_the_dimensions(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob * num_dims / math.log(2)


@mistake(BITS, killed_by=DIVIDES, says="You take a logarithm of the log-probability. It is one already: divide it by log 2.")
def logarithm_again(log_prob: Tensor, num_dims: int) -> Tensor:
    return -(-log_prob).log2() / num_dims


@mistake(BITS, killed_by=DIVIDES, says="This is the perplexity: the exponential of the nats per dimension. A bit is log 2 nats.")
def perplexity(log_prob: Tensor, num_dims: int) -> Tensor:
    return (-log_prob / num_dims).exp()


@variant(BITS)
def bits_by_a_tensor(log_prob: Tensor, num_dims: int) -> Tensor:
    return log_prob.neg().div(num_dims).div(torch.log(torch.tensor(2.0, dtype=log_prob.dtype)))


@variant(BITS)
def bits_by_log2_e(log_prob: Tensor, num_dims: int) -> Tensor:
    return -log_prob * math.log2(math.e) / num_dims


@variant(BITS)
def bits_image_by_image(log_prob: Tensor, num_dims: int) -> Tensor:
    return torch.stack([-nats / num_dims / math.log(2) for nats in log_prob])
