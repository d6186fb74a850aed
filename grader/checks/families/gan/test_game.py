"""The game of discriminator and generator: its best player, what it measures, the two losses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known

optimal_discriminator = pytest.mark.exercise("gan.optimal_discriminator")
jensen_shannon = pytest.mark.exercise("gan.jensen_shannon")
discriminator_loss = pytest.mark.exercise("gan.discriminator_loss")
generator_loss = pytest.mark.exercise("gan.generator_loss")
weight = pytest.mark.weight
examples = pytest.mark.examples

# `F.softplus` is the identity from 20 on, which is off by 2e-9; `bce_with_logits` gives 0 for 2e-22.
SOFTPLUS = 2.1e-9


def pmfs(shape: tuple[int, ...], key: int, dtype: torch.dtype, zeros: bool = False) -> Tensor:
    """Pmfs over the last axis; with `zeros` about a third of the values, never the first, have no mass."""
    mass = draw.integers(shape, key, 99).double() + 1
    if zeros:
        mass[..., 1:] *= draw.integers((*shape[:-1], shape[-1] - 1), key + 1, 3) > 0
    return (mass / mass.sum(-1, keepdim=True)).to(dtype)


# -- optimal_discriminator --


@optimal_discriminator
@weight(0.5)
def test_the_best_discriminator_known_by_hand(student):
    """The share of the data: 3/4 where they are three times as likely, 1 or 0 where one law alone has mass, nan where none has."""
    for dtype in draw.DTYPES:
        p, q = draw.tensor([0.375, 0.125, 0.5, 0.0, 0.0], dtype), draw.tensor([0.125, 0.375, 0.0, 0.5, 0.0], dtype)
        want = draw.tensor([0.75, 0.25, 1.0, 0.0, math.nan])
        assert_agrees(student.optimal_discriminator(p, q), want, like=torch.float32, scale=1.0)


@optimal_discriminator
@weight(0.25)
@examples(3)
@given(K=st.integers(2, 300), key=draw.seeds, dtype=draw.dtypes)
@example(K=257, key=0, dtype=torch.float32)
@example(K=3, key=0, dtype=torch.float64)
def test_the_best_discriminator_weighs_the_two_laws(student, ref, K, key, dtype):
    """At every value it is the data's share of the mass."""
    p, q = pmfs((K,), key, dtype, zeros=True), pmfs((K,), key + 2, dtype, zeros=True)
    assert_agrees(student.optimal_discriminator.strided(p, q), ref.optimal_discriminator(p, q), like=torch.float32, scale=1.0)


@optimal_discriminator
@weight(0.15)
def test_the_best_discriminator_where_there_is_little_mass(student):
    """Only the share counts, however little mass there is (10^-37 of it), in both dtypes; a share of 10^-12 is one."""
    for dtype in draw.DTYPES:
        p, q = draw.tensor([3e-37, 0.25, 0.75], dtype), draw.tensor([1e-37, 0.75, 0.25], dtype)
        assert_agrees(student.optimal_discriminator(p, q), draw.tensor([0.75, 0.25, 0.75]), like=dtype, scale=1.0)
        p, q = draw.tensor([2.0**-40, 1 - 2.0**-40], dtype), draw.tensor([0.5, 0.5], dtype)
        want = p.double() / (p.double() + 0.5)
        assert_agrees(student.optimal_discriminator(p, q), want, like=torch.float32, scale=want)


@optimal_discriminator
@weight(0.15)
def test_the_best_discriminator_has_gradients(student):
    """It can be differentiated in both pmfs; one value alone is legal."""
    p, q = draw.tensor([0.375, 0.125, 0.5]), draw.tensor([0.125, 0.375, 0.5])  # of q / (p + q)^2 and -p / (p + q)^2
    known = {"p_data": (p, [0.5, -3.0, 2.0]), "p_theta": (q, [-1.5, 1.0, -2.0])}
    assert_gradients_known(student.optimal_discriminator, [p, q], known, weights=draw.tensor([1.0, -2.0, 4.0]), scale=50.0)
    one = torch.ones(1, dtype=torch.float64)
    assert_agrees(student.optimal_discriminator(one, one), one / 2, scale=1.0, like=torch.float32)


@optimal_discriminator
@weight(0.033)
def test_the_best_discriminator_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.optimal_discriminator.observed(pmfs((3,), 0, dtype), pmfs((3,), 1, dtype))), dtype)


# -- jensen_shannon --


@jensen_shannon
@weight(0.9)
def test_jensen_shannon_divergences_known_by_hand(student):
    """Two coins, with heads in three of four and in one of four throws, are 0.1308 apart; from a fair one the first is 0.0338."""
    for dtype in draw.DTYPES:
        p, q = draw.tensor([[0.75, 0.25], [0.75, 0.25]], dtype), draw.tensor([[0.25, 0.75], [0.5, 0.5]], dtype)
        got = student.jensen_shannon(p, q)
        assert_agrees(got, draw.tensor([0.1308120359411371, 0.03382207556860521]), like=torch.float32, scale=1.0, unit="nats")


@jensen_shannon
@weight(0.5)
def test_jensen_shannon_divergences_with_values_without_mass(student):
    """Laws that never meet are log 2 apart, equal ones 0, a coin that always falls on heads and a fair one 0.2158."""
    for dtype in draw.DTYPES:
        p = draw.tensor([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]], dtype)
        q = draw.tensor([[0.0, 0.0, 1.0], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]], dtype)
        want = draw.tensor([0.6931471805599453, 0.0, 0.21576155433883565])  # log 2, 0, log 2 - 3/4 log 3 + 1/2 log 2
        assert_agrees(student.jensen_shannon(p, q), want, like=dtype, scale=1.0, unit="nats")
        assert_agrees(student.jensen_shannon(p[2], q[[0, 2]]), want[[0, 2]], like=dtype, scale=1.0, unit="nats")  # one against two
        rare = 2.0**-24  # a value that one of the laws takes now and then; and two laws that are nearly one
        p, q = draw.tensor([[rare, 1 - rare], [0.5, 0.5]], dtype), draw.tensor([[0.0, 1.0], [0.501, 0.499]], dtype)
        want = draw.tensor([2.0657396181258766e-08, 5.0000058333436667e-07])
        assert_agrees(student.jensen_shannon(p, q), want, like=dtype, scale=1.0, unit="nats")


@jensen_shannon
@weight(0.75)
@examples(4)
@given(K=st.integers(2, 6), key=draw.seeds, dtype=draw.dtypes)
@example(K=5, key=0, dtype=torch.float32)
@example(K=4, key=1, dtype=torch.float64)
def test_jensen_shannon_is_the_mean_divergence_from_the_middle(student, ref, K, key, dtype):
    """Half the divergence of each law from the law half-way between them."""
    p, q = pmfs((3, K), key, dtype), pmfs((3, K), key + 5, dtype)
    assert_agrees(student.jensen_shannon(p, q), ref.jensen_shannon(p, q), like=torch.float32, scale=1.0, unit="nats")


@jensen_shannon
@weight(0.35)
@examples(3)
@given(K=st.integers(3, 6), key=draw.seeds, dtype=draw.dtypes)
@example(K=6, key=2, dtype=torch.float64)
def test_values_without_mass_cost_nothing(student, ref, K, key, dtype):
    """0 log 0 = 0, to all digits of the dtype: nothing is added inside a logarithm."""
    p, q = pmfs((3, K), key, dtype, zeros=True), pmfs((3, K), key + 5, dtype, zeros=True)
    assert_agrees(student.jensen_shannon(p, q), ref.jensen_shannon(p, q), like=dtype, scale=1.0, unit="nats")


@jensen_shannon
@weight(0.35)
def test_jensen_shannon_broadcasts_over_the_leading_axes(student, ref):
    """A batch against one pmf, two batches that broadcast, batches of one, or two single pmfs; values without mass cost nothing."""
    for one, other in (((4, 3), (3,)), ((3,), (2, 3)), ((2, 1, 3), (4, 3)), ((1, 3), (1, 3)), ((3,), (3,))):
        p, q = pmfs(one, 1, torch.float64, zeros=True), pmfs(other, 2, torch.float64, zeros=True)
        assert_agrees(student.jensen_shannon(p, q), ref.jensen_shannon(p, q), like=torch.float32, scale=1.0, unit="nats")


@jensen_shannon
@weight(0.25)
def test_jensen_shannon_over_one_and_over_many_values(student, ref):
    """Over a single value nothing differs; over 1031 values, some of them with a mass of 10^-30, every term counts."""
    one = torch.ones(2, 1, dtype=torch.float64)
    assert_agrees(student.jensen_shannon.strided(one, one), draw.tensor([0.0, 0.0]), scale=1.0, like=torch.float32, unit="nats")
    p, q = pmfs((1031,), 3, torch.float64, zeros=True), pmfs((1031,), 4, torch.float64, zeros=True)
    p[1], q[1], p[2], q[2] = 1e-30, 0.0, 0.0, 1e-30
    assert_agrees(student.jensen_shannon.strided(p, q), ref.jensen_shannon(p, q), scale=4.0, like=torch.float32, unit="nats")


@jensen_shannon
@weight(0.55)
@examples(2)
@given(key=draw.seeds)
@example(key=0)
def test_jensen_shannon_has_gradients(student, key):
    """The derivative in p is log(2 p / (p + q)) / 2, and nothing pulls equal pmfs apart."""
    p, q = pmfs((2, 4), key, torch.float64), pmfs((2, 4), key + 1, torch.float64)
    weights = draw.tensor([1.0, -2.0])
    _, gradients = student.jensen_shannon.gradient(p, q, wrt=[p, q], weights=weights)
    for name, one, got in zip("pq", (p, q), gradients, strict=True):
        want = weights[:, None] * (2 * one / (p + q)).log() / 2
        assert_gradient_agrees(got, want, of=name, scale=20 * (1e-3 + want.abs().max()))


@jensen_shannon
@weight(0.067)
def test_jensen_shannon_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.jensen_shannon.observed(pmfs((3,), 0, dtype), pmfs((3,), 1, dtype))), dtype)


# -- discriminator_loss --


@discriminator_loss
@weight(1.0)
def test_the_discriminators_loss_known_by_hand(student):
    """log 2 for each undecided half; with logits log 3 (D = 3/4) and -log 3 (D = 1/4) the logarithms of 3/4 and 1/4."""
    for dtype in draw.DTYPES:
        a = math.log(3)
        got = student.discriminator_loss(draw.tensor([0.0, 0.0], dtype), draw.tensor([0.0, 0.0, 0.0], dtype))
        assert_agrees(got, draw.tensor(2 * math.log(2)), like=torch.float32, scale=1.0, unit="nats")
        got = student.discriminator_loss(draw.tensor([a, a], dtype), draw.tensor([-a, a, a, a, 0.0], dtype))
        assert_agrees(got, draw.tensor(1.3156245397260604), like=torch.float32, scale=2.0, unit="nats")


@discriminator_loss
@weight(0.6)
@examples(3)
@given(n=st.integers(2, 6), k=st.integers(2, 6), key=draw.seeds, dtype=draw.dtypes)
@example(n=3, k=5, key=0, dtype=torch.float32)
@example(n=6, k=2, key=0, dtype=torch.float64)
def test_each_half_of_the_loss_is_an_average_of_its_own(student, ref, n, k, key, dtype):
    """n real and k generated samples: neither half is weighed by how many there are."""
    real, fake = draw.normal((n,), key, 3.0, dtype), draw.normal((k,), key + 1, 3.0, dtype)
    want, scale = ref.discriminator_loss(real, fake), real.abs().max() + fake.abs().max()
    got = student.discriminator_loss(real, fake)
    assert_agrees(got, want, like=dtype, scale=scale, error=0.0 if dtype == torch.float32 else SOFTPLUS / 32, unit="nats")


@discriminator_loss
@weight(0.5)
def test_the_discriminators_loss_holds_for_logits_of_any_size(student):
    """A logit of 1000 on the wrong side costs 1000, on the right side nothing; one of 10 there e^-10, on the wrong side 10 more.

    One of 10^30 costs 10^30.
    """
    for dtype in draw.DTYPES:
        real, fake = draw.tensor([1000.0, -1000.0, 1000.0, -40.0], dtype), draw.tensor([-1000.0, 1000.0], dtype)
        got = student.discriminator_loss(real, fake)
        assert_agrees(got, draw.tensor(760.0), like=torch.float32, scale=1000.0, unit="nats")
        got = student.discriminator_loss(draw.tensor([10.0], dtype), draw.tensor([-1000.0, -10.0], dtype))
        assert_agrees(got, draw.tensor(1.5 * math.log1p(math.exp(-10))), like=dtype, scale=10.0, unit="nats")
        got = student.discriminator_loss(draw.tensor([-10.0], dtype), draw.tensor([10.0], dtype))
        assert_agrees(got, draw.tensor(20 + 2 * math.log1p(math.exp(-10))), like=dtype, scale=40.0, unit="nats")
        got = student.discriminator_loss(draw.tensor([-1e30], dtype), draw.tensor([2e30, 0.0], dtype))
        assert_agrees(got, draw.tensor(2e30), like=torch.float32, scale=4e30, unit="nats")


@discriminator_loss
@weight(0.2)
def test_the_discriminators_loss_of_single_and_of_many_samples(student, ref):
    """n = 1 and k = 1 are legal, and 4099 samples are all counted."""
    one, two = draw.tensor([1.0]), draw.tensor([-1.0, 2.0])
    for real, fake in ((one, one), (one, two), (two, one)):
        want = ref.discriminator_loss(real, fake)
        assert_agrees(student.discriminator_loss.strided(real, fake), want, like=torch.float32, scale=2.0, unit="nats")
    many = torch.cat([torch.zeros(4097), torch.tensor([4099.0, 4099.0])]).double()  # the last two weigh 2
    want = draw.tensor((4097 / 4099 + 1) * math.log(2))
    assert_agrees(student.discriminator_loss.strided(many, two[:1] * 0), want, like=torch.float32, scale=4099.0 / 100, unit="nats")


@discriminator_loss
@weight(0.5)
def test_the_slope_of_the_loss_is_the_discriminators_error(student):
    """The gradient in a logit is D minus its label, over the number of its kind; it is there for logits of 1000, too."""
    # not at 0, where max(l, 0) + log(1 + e^-|l|) is right and autograd stands at a kink of its parts
    real, fake = draw.tensor([-math.log(3), math.log(3), -1000.0, 1000.0]), draw.tensor([-math.log(3), math.log(3)])
    _, (in_real, in_fake) = student.discriminator_loss.gradient(real, fake, wrt=[real, fake])
    assert_gradient_agrees(in_real, draw.tensor([-0.1875, -0.0625, -0.25, 0.0]), of="real_logits", scale=1.0)
    assert_gradient_agrees(in_fake, draw.tensor([0.125, 0.375]), of="fake_logits", scale=1.0)


@discriminator_loss
@weight(0.067)
def test_the_discriminators_loss_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.discriminator_loss.observed(torch.ones(2, dtype=dtype), torch.ones(3, dtype=dtype))), dtype)


# -- generator_loss --


@generator_loss
@weight(0.65)
def test_the_generators_losses_known_by_hand(student):
    """With D = 3/4 and 1/4: saturating the mean of log 1/4 and log 3/4, which is negative, else minus that of log 3/4 and log 1/4."""
    for dtype in draw.DTYPES:
        a = math.log(3)
        fake = draw.tensor([a, a, -a], dtype)
        got = student.generator_loss(fake, False)
        assert_agrees(got, draw.tensor(0.6538861688937379), like=torch.float32, scale=2.0, unit="nats")
        got = student.generator_loss(fake, True)
        assert_agrees(got, draw.tensor(-1.0200902649831075), like=torch.float32, scale=2.0, unit="nats")


@generator_loss
@weight(0.4)
@examples(3)
@given(k=st.integers(2, 6), key=draw.seeds, saturating=st.booleans(), dtype=draw.dtypes)
@example(k=3, key=0, saturating=True, dtype=torch.float32)
@example(k=5, key=0, saturating=False, dtype=torch.float64)
def test_the_generators_loss_averages_over_its_samples(student, ref, k, key, saturating, dtype):
    """One logarithm of D or of 1 - D for each sample, averaged."""
    fake = draw.normal((k,), key, 3.0, dtype)
    want = ref.generator_loss(fake, saturating)
    assert_agrees(student.generator_loss(fake, saturating), want, like=torch.float32, scale=fake.abs().max(), unit="nats")


@generator_loss
@weight(0.15)
@examples(2)
@given(key=draw.seeds)
@example(key=0)
def test_the_generators_loss_keeps_the_digits_of_float64(student, ref, key):
    """In float64 nothing is lost, and nothing is added inside a logarithm."""
    fake = draw.normal((5,), key, 3.0)
    for saturating in (True, False):
        want = ref.generator_loss(fake, saturating)
        got = student.generator_loss(fake, saturating)
        assert_agrees(got, want, scale=fake.abs().max(), error=SOFTPLUS / 32, unit="nats")


@generator_loss
@weight(0.35)
def test_the_generators_loss_holds_for_logits_of_any_size(student):
    """A discriminator that is sure, one way or the other, gives a large loss or next to none, never an infinite one."""
    for dtype in draw.DTYPES:
        fake = draw.tensor([1000.0, -1000.0, -40.0, 40.0], dtype)
        got = student.generator_loss(fake, True)
        assert_agrees(got, draw.tensor(-260.0), like=torch.float32, scale=1000.0, unit="nats")
        got = student.generator_loss(fake, False)
        assert_agrees(got, draw.tensor(260.0), like=torch.float32, scale=1000.0, unit="nats")
        for saturating, sign in ((True, -1), (False, 1)):
            got = student.generator_loss(draw.tensor([10.0 * sign], dtype), saturating)
            assert_agrees(got, draw.tensor(sign * math.log1p(math.exp(-10))), like=dtype, scale=10.0, unit="nats")
            got = student.generator_loss(draw.tensor([14.0 * sign], dtype), saturating)
            assert_agrees(got, draw.tensor(sign * math.log1p(math.exp(-14))), like=dtype, scale=14.0, unit="nats")
            got = student.generator_loss(draw.tensor([-10.0 * sign], dtype), saturating)
            assert_agrees(got, draw.tensor(sign * (10 + math.log1p(math.exp(-10)))), like=dtype, scale=20.0, unit="nats")
            got = student.generator_loss(draw.tensor([-2e30 * sign, 0.0], dtype), saturating)
            assert_agrees(got, draw.tensor(sign * 1e30), like=torch.float32, scale=2e30, unit="nats")


@generator_loss
@weight(0.15)
def test_the_generators_loss_of_one_and_of_many_samples(student, ref):
    """k = 1 is legal, and 4099 samples are all counted."""
    fake = torch.cat([torch.zeros(4097), torch.tensor([4099.0, 4099.0])]).double()
    for saturating in (True, False):
        want = ref.generator_loss(fake[:1], saturating)
        assert_agrees(student.generator_loss(fake[:1], saturating), want, like=torch.float32, scale=1.0, unit="nats")
        want = draw.tensor(-4097 / 4099 * math.log(2) - 2 if saturating else 4097 / 4099 * math.log(2))
        assert_agrees(student.generator_loss.strided(fake, saturating), want, like=torch.float32, scale=100.0, unit="nats")


@generator_loss
@weight(0.35)
def test_only_the_other_loss_has_a_slope_where_the_discriminator_is_sure(student):
    """The gradient is -D/k for the saturating loss, -(1 - D)/k for the other, at logits of -1000 too."""
    for saturating, want in ((True, [-0.0625, -0.1875, 0.0, -0.25]), (False, [-0.1875, -0.0625, -0.25, 0.0])):
        fake = draw.tensor([-math.log(3), math.log(3), -1000.0, 1000.0])  # not at 0, as above
        _, (gradient,) = student.generator_loss.gradient(fake, saturating, wrt=[fake])
        assert_gradient_agrees(gradient, draw.tensor(want), of="fake_logits", scale=1.0)


@generator_loss
@weight(0.033)
def test_the_generators_loss_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.generator_loss.observed(torch.ones(2, dtype=dtype), False)), dtype)
