"""The Kullback-Leibler divergence of two categorical distributions (slide 34)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged, refuses
from grader.checks.lecture1.divergences.draw import batches, number
from grader.checks.lecture1.shared import draw

kl_divergence = pytest.mark.exercise("divergences.kl_divergence")
weight = pytest.mark.weight
examples = pytest.mark.examples

LOG2, LOG3 = math.log(2), math.log(3)
HALVES, QUARTERS, CERTAIN = [0.5, 0.5], [0.25, 0.75], [1.0, 0.0]
ROWS, COLUMNS = [HALVES, QUARTERS, CERTAIN], [HALVES, QUARTERS]
TABLE = [[0.0, LOG2 - LOG3 / 2], [0.75 * LOG3 - LOG2, 0.0], [LOG2, 2 * LOG2]]  # D(row, column)

numbers_of_values = st.integers(1, 6)


def size(q: Tensor) -> float:
    """Of the largest logarithm that is rounded on the way, and of a ratio near one."""
    return 1 + q[q > 0].double().log().abs().max().item()


@kl_divergence
@weight(0.75)
@examples(2)
@given(dtype=draw.dtypes)
@example(dtype=torch.float32)
@example(dtype=torch.float64)
def test_kl_depends_on_the_order_of_its_arguments(student, dtype):
    """D(p, q) = 0.3681 and D(q, p) = 0.5108 for p = (0.9, 0.1) and q = (0.5, 0.5): a divergence is no distance."""
    p, q = torch.tensor([0.9, 0.1], dtype=dtype), torch.tensor([0.5, 0.5], dtype=dtype)
    assert_agrees(
        student.kl_divergence(p, q), number(0.3680642071684971), like=torch.float32, scale=3.0, unit="nats",
        mistaken={
            "This is KL(q‖p): you computed the reverse KL. The average is taken over p, the first argument.": number(0.5108256237659907),
            "These are bits: the natural logarithm gives nats.": number(0.3680642071684971 / LOG2),
            "The sign is turned: a divergence is never negative.": number(-0.3680642071684971),
        },
    )  # fmt: skip
    assert_agrees(student.kl_divergence(q, p), number(0.5108256237659907), like=torch.float32, scale=3.0, unit="nats")
    p, q = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], dtype=dtype)
    assert_agrees(student.kl_divergence(p, q), number(1.25 * LOG2 - 0.25 * LOG3), like=torch.float32, scale=4.0, unit="nats")
    assert_agrees(student.kl_divergence(q, p), number(0.75 * LOG3 - 0.375 * LOG2), like=torch.float32, scale=4.0, unit="nats")
    p, q = torch.full((256,), 1 / 256, dtype=dtype), torch.tensor([3.0, 1.0], dtype=dtype).repeat(128) / 512
    assert_agrees(student.kl_divergence.strided(p, q), number(LOG2 - LOG3 / 2), like=torch.float32, scale=size(q), unit="nats")


@kl_divergence
@weight(0.5)
@examples(12)
@given(batch=batches, K=numbers_of_values, key=draw.seeds, zeros=st.booleans(), dtype=draw.dtypes)
@example(batch=(), K=1, key=0, zeros=False, dtype=torch.float64)
@example(batch=(3,), K=3, key=1, zeros=True, dtype=torch.float32)
@example(batch=(2, 3), K=5, key=2, zeros=True, dtype=torch.float64)
def test_kl_averages_the_log_ratio_over_its_first_argument(student, ref, batch, K, key, zeros, dtype):
    """Each divergence is the average, under p, of log p - log q, in nats."""
    p, q = draw.pmf((*batch, K), key, zeros, dtype), draw.pmf((*batch, K), key + 1, False, dtype)
    got = student.kl_divergence.strided(p, q)
    assert_agrees(got, ref.kl_divergence(p, q), like=dtype, scale=size(q), unit="nats")


@kl_divergence
@weight(0.25)
@examples(8)
@given(K=st.integers(1, 6), key=draw.seeds, zeros=st.booleans(), dtype=draw.dtypes)
@example(K=4, key=0, zeros=True, dtype=torch.float32)
def test_kl_vanishes_on_equal_pmfs(student, K, key, zeros, dtype):
    """D(p, p) = 0, whether p has zeros or not."""
    p = draw.pmf((K,), key, zeros, dtype)
    assert_agrees(student.kl_divergence(p, p), number(0.0), like=dtype, scale=size(p), unit="nats")


@kl_divergence
@weight(0.5)
@examples(8)
@given(K=st.integers(2, 6), key=draw.seeds, dtype=draw.dtypes)
@example(K=2, key=0, dtype=torch.float32)
@example(K=3, key=1, dtype=torch.float64)
def test_kl_is_infinite_outside_the_support(student, K, key, dtype):
    """A divergence is infinite where p puts mass and q puts none, however little, and that row of a batch alone."""
    p, q = draw.pmf((2, K), key, False, dtype), draw.pmf((2, K), key + 1, False, dtype)
    q[0, key % K], q[1] = 0, p[1]
    want = torch.tensor([math.inf, 0.0], dtype=torch.float64)
    assert_agrees(student.kl_divergence(p, q), want, like=dtype, scale=size(q), unit="nats")
    p, q = torch.tensor([[[1.0, 1e-30]], [[1.0, 0.0]]], dtype=dtype), torch.tensor([1.0, 0.0], dtype=dtype)
    want = torch.tensor([[math.inf], [0.0]], dtype=torch.float64)
    assert_agrees(student.kl_divergence(p, q), want, like=dtype, unit="nats")


@kl_divergence
@weight(0.5)
@examples(8)
@given(place=st.integers(0, 2), mass=st.sampled_from([0.0, 0.5]), dtype=draw.dtypes)
@example(place=2, mass=0.5, dtype=torch.float32)
@example(place=0, mass=0.0, dtype=torch.float64)
def test_values_without_mass_cost_nothing(student, place, mass, dtype):
    """0 log 0 = 0: a value that p never takes adds nothing, whether q has mass there or not."""
    p, q = [0.25, 0.75], [(1 - mass) * 0.5] * 2
    p.insert(place, 0.0)
    q.insert(place, mass)
    p, q = torch.tensor(p, dtype=dtype), torch.tensor(q, dtype=dtype)
    want = number(0.75 * LOG3 - LOG2 - math.log(1 - mass))
    assert_agrees(student.kl_divergence(p, q), want, like=dtype, scale=size(q), unit="nats")


@kl_divergence
@weight(0.25)
@examples(2)
@given(tiny=st.sampled_from([(torch.float32, 1e-30), (torch.float64, 1e-300)]))
@example(tiny=(torch.float32, 1e-10))
@example(tiny=(torch.float32, 1.2e-38))
@example(tiny=(torch.float64, 1e-300))
def test_kl_takes_tiny_probabilities_at_their_word(student, tiny):
    """A probability of 1e-30 is not zero and not 1e-8: its logarithm is -69."""
    dtype, mass = tiny
    p, q = torch.tensor([0.5, 0.5], dtype=dtype), torch.tensor([1.0, mass], dtype=dtype)
    forward, backward = torch.tensor([-LOG2 - 0.5 * math.log(mass), LOG2], dtype=torch.float64)
    assert_agrees(student.kl_divergence(p, q), forward, like=dtype, scale=size(q), unit="nats")
    assert_agrees(student.kl_divergence(q, p), backward, like=dtype, scale=size(p), unit="nats")


@kl_divergence
@weight(0.5)
@examples(3)
@given(dtype=draw.dtypes, one=st.integers(0, 2), other=st.integers(0, 1))
@example(dtype=torch.float32, one=1, other=0)
@example(dtype=torch.float64, one=1, other=0)
def test_batches_of_pmfs_broadcast_over_the_leading_axes(student, dtype, one, other):
    """Batches broadcast as everywhere in torch: one divergence for each pair of pmfs."""
    p, q, table = (torch.tensor(value, dtype=torch.float64).to(dtype) for value in (ROWS, COLUMNS, TABLE))

    def agrees(p: Tensor, q: Tensor, want: Tensor) -> None:
        assert_agrees(student.kl_divergence(p, q), want.double(), like=dtype, scale=3.0, unit="nats")

    agrees(p[:, None], q, table)  # (3, 1, 2) and (2, 2)
    agrees(p, q[other], table[:, other])  # a batch against one pmf
    agrees(p[one], q, table[one])  # and one against a batch
    agrees(p[:, None], q[other], table[:, None, other])  # or against a batch with more axes
    agrees(p[one], q[:, None], table[one, :, None])
    agrees(p[None, :, None], q[:, None, None], table.T[:, :, None])  # (1, 3, 1, 2) and (2, 1, 1, 2)
    agrees(p[:, None, None].expand(3, 2, 5, 2), q[:, None].expand(2, 5, 2), table[:, :, None].expand(3, 2, 5))


@kl_divergence
@weight(0.25)
def test_kl_refuses_pmfs_over_different_numbers_of_values(student):
    """Different numbers of values are refused with a ValueError, also 1 and 3, which would broadcast."""
    for p, q in [((3,), (4,)), ((1,), (3,)), ((2, 3), (2, 1)), ((2, 3), (2,))]:
        with refuses():
            student.kl_divergence(torch.full(p, 1 / p[-1]), torch.full(q, 1 / q[-1]))


@kl_divergence
@weight(0.375)
@examples(8)
@given(batch=batches, K=numbers_of_values, key=draw.seeds, dtype=draw.dtypes)
@example(batch=(), K=2, key=0, dtype=torch.float32)
@example(batch=(2, 3), K=4, key=0, dtype=torch.float64)
@example(batch=(65,), K=2, key=0, dtype=torch.float64)
def test_kl_has_its_gradients(student, batch, K, key, dtype):
    """Inside the simplex the derivative in p_k is log(p_k / q_k) + 1, and that in q_k is -p_k / q_k."""
    p, q = draw.pmf((*batch, K), key, False, dtype), draw.pmf((*batch, K), key + 1, False, dtype)
    _, (got_p, got_q) = student.kl_divergence.gradient(p, q, wrt=[p, q])
    ratio = p.double() / q.double()
    assert_gradient_agrees(got_q, -ratio, of="q", like=dtype)
    assert_gradient_agrees(got_p, ratio.log() + 1, of="p", like=dtype, scale=size(q))


@kl_divergence
@weight(0.042)
def test_kl_has_the_dtype_of_its_arguments(student):
    """The divergence of float32 pmfs is float32, that of float64 pmfs float64; both stay as they are."""
    for dtype in (torch.float32, torch.float64):
        p, q = torch.tensor([0.25, 0.75], dtype=dtype), torch.tensor([0.5, 0.5], dtype=dtype)
        assert_dtype(assert_unchanged(student.kl_divergence.observed(p, q)), dtype)
        assert_dtype(student.kl_divergence(torch.ones(1, dtype=dtype), torch.ones(1, dtype=dtype)), dtype)  # of a single value, a zero
