"""The Kullback-Leibler divergence of two categorical distributions (slide 34)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import (
    Mismatch,
    assert_agrees,
    assert_form,
    assert_gradient_agrees,
    assert_no_trace,
    refuses,
)
from grader.checking.tolerance import tolerance
from grader.checks.lecture1.divergences.draw import batches
from grader.checks.lecture1.shared import draw

kl_divergence = pytest.mark.exercise("divergences.kl_divergence")
weight = pytest.mark.weight
examples = pytest.mark.examples

numbers_of_values = st.integers(1, 6)


def size(q: torch.Tensor) -> float:
    """Of the largest logarithm that is rounded on the way, and of a ratio near one."""
    return 1 + q[q > 0].double().log().abs().max().item()


@kl_divergence
@weight(0.75)
@examples(12)
@given(batch=batches, K=numbers_of_values, key=draw.seeds, zeros=st.booleans(), dtype=draw.dtypes)
@example(batch=(), K=1, key=0, zeros=False, dtype=torch.float64)
@example(batch=(3,), K=3, key=1, zeros=True, dtype=torch.float32)
def test_kl_averages_the_log_ratio_over_its_first_argument(student, ref, batch, K, key, zeros, dtype):
    """Each divergence is the average, under p, of log p - log q, in nats."""
    p, q = draw.pmf((*batch, K), key, zeros, dtype), draw.pmf((*batch, K), key + 1, False, dtype)
    assert_agrees(student.kl_divergence(p, q), ref.kl_divergence(p, q), like=dtype, scale=size(q), unit="nats")


@kl_divergence
@weight(0.25)
def test_kl_depends_on_the_order_of_its_arguments(student):
    """D(p, q) = 0.3681 and D(q, p) = 0.5108 for p = (0.9, 0.1) and q = (0.5, 0.5): a divergence is no distance."""
    p, q = torch.tensor([0.9, 0.1], dtype=torch.float64), torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert_agrees(student.kl_divergence(p, q), torch.tensor(0.3680642071684971, dtype=torch.float64), scale=3.0, unit="nats")
    assert_agrees(student.kl_divergence(q, p), torch.tensor(0.5108256237659907, dtype=torch.float64), scale=3.0, unit="nats")


@kl_divergence
@weight(0.25)
@examples(12)
@given(K=st.integers(2, 6), key=draw.seeds, zeros=st.booleans(), dtype=draw.dtypes)
def test_kl_vanishes_on_equal_pmfs_and_nowhere_else(student, K, key, zeros, dtype):
    """D(p, p) = 0, and D(p, q) is at least half the squared sum of |p - q| (Pinsker's inequality)."""
    p, q = draw.pmf((K,), key, zeros, dtype), draw.pmf((K,), key + 1, False, dtype)
    nothing = torch.zeros((), dtype=torch.float64)
    assert_agrees(student.kl_divergence(p, p), nothing, like=dtype, scale=size(p), unit="nats")
    got = student.kl_divergence(p, q)
    assert_form(got, (), dtype)
    bound = 0.5 * (p.double() - q.double()).abs().sum() ** 2
    if not got.double() >= bound - tolerance(bound, dtype, scale=size(q)):
        raise Mismatch("value", f"the divergence is {got:.4g}, but cannot be below {bound:.4g}", got, bound)


@kl_divergence
@weight(0.5)
@examples(12)
@given(K=st.integers(2, 6), key=draw.seeds, dtype=draw.dtypes)
@example(K=2, key=0, dtype=torch.float32)
def test_kl_is_infinite_outside_the_support(student, K, key, dtype):
    """A divergence is infinite where p puts mass and q puts none, and that row of a batch alone."""
    p, q = draw.pmf((2, K), key, False, dtype), draw.pmf((2, K), key + 1, False, dtype)
    q[0, key % K] = 0
    other = student.kl_divergence(p[1], q[1])
    assert_form(other, (), dtype)
    want = torch.stack([torch.tensor(math.inf, dtype=torch.float64), other.double()])
    assert_agrees(student.kl_divergence(p, q), want, like=dtype, scale=size(q), unit="nats")


@kl_divergence
@weight(0.5)
@examples(12)
@given(K=numbers_of_values, key=draw.seeds, mass=st.sampled_from([0.0, 0.5]), dtype=draw.dtypes)
@example(K=1, key=0, mass=0.0, dtype=torch.float32)
@example(K=1, key=0, mass=0.5, dtype=torch.float64)
def test_values_without_mass_cost_nothing(student, K, key, mass, dtype):
    """0 log 0 = 0: a value that p never takes adds nothing, whatever q says about it."""
    p, q = draw.pmf((K,), key, False, dtype), draw.pmf((K,), key + 1, False, dtype)
    without = student.kl_divergence(p, q)
    assert_form(without, (), dtype)
    place, rest = key % (K + 1), [torch.zeros(1, dtype=dtype), torch.tensor([mass], dtype=dtype)]
    p, q = (torch.cat([pmf[:place], value, pmf[place:]]) for pmf, value in zip((p, q), rest, strict=True))
    assert_agrees(student.kl_divergence(p, q), without.double(), like=dtype, scale=size(q), unit="nats")


@kl_divergence
@weight(0.25)
@examples(2)
@given(tiny=st.sampled_from([(torch.float32, 1e-30), (torch.float64, 1e-300)]))
@example(tiny=(torch.float32, 1e-30))
def test_kl_takes_tiny_probabilities_at_their_word(student, tiny):
    """A probability of 1e-30 is not zero and not 1e-8: its logarithm is -69."""
    dtype, mass = tiny
    p, q = torch.tensor([0.5, 0.5], dtype=dtype), torch.tensor([1.0, mass], dtype=dtype)
    forward, backward = torch.tensor([-math.log(2) - 0.5 * math.log(mass), math.log(2)], dtype=torch.float64)
    assert_agrees(student.kl_divergence(p, q), forward, like=dtype, scale=size(q), unit="nats")
    assert_agrees(student.kl_divergence(q, p), backward, like=dtype, scale=size(p), unit="nats")


@kl_divergence
@weight(0.5)
@examples(9)
@given(
    shapes=st.sampled_from([((), (5,)), ((2, 1), (3,)), ((4, 1), (1, 3)), ((3,), ())]),
    K=numbers_of_values, key=draw.seeds,
)  # fmt: skip
@example(shapes=((2, 1), (3,)), K=1, key=0)
@example(shapes=((3,), ()), K=3, key=0)
def test_batches_of_pmfs_broadcast_over_the_leading_axes(student, shapes, K, key):
    """Batches broadcast as everywhere in torch: the same as copying the pmfs out, one divergence for each pair."""
    p, q = draw.pmf((*shapes[0], K), key), draw.pmf((*shapes[1], K), key + 1)
    batch = torch.broadcast_shapes(*shapes)
    copied = student.kl_divergence(p.expand(*batch, K).contiguous(), q.expand(*batch, K).contiguous())
    assert_form(copied, batch, torch.float32, what="the divergence of two batches of one shape")
    assert_agrees(student.kl_divergence(p, q), copied.double(), like=torch.float32, scale=size(q), unit="nats")


@kl_divergence
@weight(0.25)
def test_kl_refuses_pmfs_that_do_not_fit(student):
    """Different numbers of values (also 1 and 3), none at all, and batches that do not broadcast are refused."""
    for p, q in [((3,), (4,)), ((1,), (3,)), ((2, 3), (2, 1)), ((2, 3), (4, 3)), ((0,), (0,))]:
        with refuses("p", "q", "K"):
            student.kl_divergence(torch.full(p, 1 / max(p[-1], 1)), torch.full(q, 1 / max(q[-1], 1)))


@kl_divergence
@weight(0.5)
@examples(12)
@given(batch=batches, K=numbers_of_values, key=draw.seeds, zeros=st.booleans(), dtype=draw.dtypes)
@example(batch=(2, 3), K=4, key=0, zeros=True, dtype=torch.float32)
def test_kl_has_its_gradient_also_next_to_zeros(student, ref, batch, K, key, zeros, dtype):
    """Where the divergence can be differentiated it is, and a zero in p does not make the gradient in q nan."""
    p, q = draw.pmf((*batch, K), key, zeros, dtype), draw.pmf((*batch, K), key + 1, False, dtype)
    in_p, in_q = ref.kl_divergence_gradient(p, q)
    _, (got_p, got_q) = student.kl_divergence.gradient(p, q, wrt=[p, q])
    assert_gradient_agrees(got_q, in_q, of="q", like=dtype)
    inside = got_p if got_p is None else torch.where(p > 0, got_p, 0)  # at zero there is no derivative
    assert_gradient_agrees(inside, torch.where(p > 0, in_p, 0), of="p", like=dtype, scale=size(q))


@kl_divergence
@weight(0.25)
def test_kl_leaves_no_trace(student):
    """Comparing two pmfs changes neither of them, draws nothing and prints nothing."""
    p, q = torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]]), torch.tensor([0.5, 0.5, 0.0])
    assert_no_trace(student.kl_divergence.observed(p, q))
