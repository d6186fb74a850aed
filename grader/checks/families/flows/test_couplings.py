"""Coupling layers, there and back, and flows made of layers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.energies import exponential_log_shape, first_dimension
from grader.checks.families.shared.flows import (
    base_log_density,
    coupling_net,
    identity_net,
    repeated,
    scaling_layer,
    shear_layer,
    tanh_layer,
)
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.sandbox.wire.families import Family

affine_coupling = pytest.mark.exercise("flows.affine_coupling")
inverse_affine_coupling = pytest.mark.exercise("flows.inverse_affine_coupling")
flow_log_prob = pytest.mark.exercise("flows.flow_log_prob")
weight = pytest.mark.weight
examples = pytest.mark.examples


def problem(n: int, m: int, key: int, dtype: torch.dtype) -> tuple[Tensor, Family]:
    """A batch and a network for it."""
    k = m // 2
    S, T = draw.normal((m - k, k), key, 1.0, dtype), draw.normal((m - k, k), key + 1, 1.0, dtype)
    return draw.normal((n, m), key + 2, 1.5, dtype), coupling_net(S, T, draw.tensor(1.5, dtype))


def doubling() -> tuple[Tensor, Family]:
    """Where x_1 = 1, S x_1 = log(3) / 2, whose tanh is 1/2, and log_scale = log 2; the shift is 7 x_1 + 1/2."""
    net = coupling_net(draw.tensor([[math.log(3) / 2]]), draw.tensor([[7.0]]), draw.tensor(2 * math.log(2)))
    return draw.tensor([[1.0, 5.0], [1.0, 2.0]]), net


def by_hand(dtype: torch.dtype) -> tuple[Tensor, Family]:
    """log_scale = log 2 (1, -1), shift = x_1 + x_2 + 1/2 and 1/2, for rows that saturate the tanh."""
    S = draw.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype)
    net = coupling_net(S, draw.tensor([[1.0, 1.0], [0.0, 0.0]], dtype), draw.tensor(math.log(2), dtype))
    return draw.tensor([[100.0, -98.0, 3.0, 4.0], [-200.0, 201.0, 1.0, 5.0]], dtype), net


# -- affine_coupling --


@affine_coupling
@weight(1.0)
def test_a_coupling_of_two_rows_known_by_hand(student):
    """The first half stays; the second is doubled and halved, then shifted; the log-scales are log 2 and -log 2; ten of log 2 add up."""
    for dtype in draw.DTYPES:
        x, net = by_hand(dtype)
        z = draw.tensor([[100.0, -98.0, 8.5, 2.5], [-200.0, 201.0, 2.0, 10.5]])
        got = student.affine_coupling(x, net)
        assert_agrees(got, (z, draw.tensor([0.0, 0.0])), like=torch.float32, scale=200.0)
    x = draw.tensor([[0.5, 2.0, -1.0]])  # one dimension decides about two
    net = coupling_net(draw.tensor([[2.0], [1.0]]), draw.tensor([[0.0], [1.0]]), draw.tensor(1.0))
    z = draw.tensor([[0.5, 2 * math.exp(math.tanh(1.0)) + 0.5, 1.0 - math.exp(math.tanh(0.5))]])
    got = student.affine_coupling(x, net)
    assert_agrees(got, (z, draw.tensor([math.tanh(1.0) + math.tanh(0.5)])), like=torch.float32, scale=10.0)
    doubling = coupling_net(torch.eye(10, dtype=torch.float64), torch.zeros(10, 10, dtype=torch.float64), draw.tensor(math.log(2)))
    x = torch.full((1, 20), 100.0, dtype=torch.float64)
    z = torch.cat([x[:, :10], 2 * x[:, 10:] + 0.5], 1)
    assert_agrees(student.affine_coupling(x, doubling), (z, draw.tensor([10 * math.log(2)])), like=torch.float32, scale=200.0)


@affine_coupling
@weight(0.75)
@examples(4)
@given(m=st.sampled_from([2, 4, 6]), key=draw.seeds, dtype=draw.dtypes)
@example(m=4, key=0, dtype=torch.float32)
@example(m=2, key=1, dtype=torch.float64)
def test_a_coupling_scales_and_shifts_the_second_half(student, ref, m, key, dtype):
    """z_2 = x_2 e^log_scale + shift, by a network that sees x_1; the log-determinant is the sum of the log-scales."""
    x, net = problem(4, m, key, dtype)
    assert_agrees(student.affine_coupling(x, net), ref.affine_coupling(x, net), like=dtype, scale=60.0)


@affine_coupling
@weight(0.25)
@examples(2)
@given(m=st.sampled_from([3, 5]), key=draw.seeds)
@example(m=3, key=0)
def test_a_coupling_of_an_odd_number_of_dimensions(student, ref, m, key):
    """With odd m the first half is the shorter one: m // 2 dimensions decide about m - m // 2."""
    x, net = problem(3, m, key, torch.float64)
    assert_agrees(student.affine_coupling(x, net), ref.affine_coupling(x, net), like=torch.float32, scale=60.0)


@affine_coupling
@weight(0.25)
def test_a_coupling_of_one_row_and_of_a_large_batch(student, ref):
    """One row is a legal batch; in 4099 rows each is treated as if it were alone; 19 dimensions are all there."""
    x, net = problem(5, 19, 3, torch.float64)
    assert_agrees(student.affine_coupling.strided(x, net), ref.affine_coupling(x, net), like=torch.float32, scale=200.0)
    x, net = problem(5, 4, 3, torch.float64)
    z, log_det = ref.affine_coupling(x, net)
    for rows in (draw.integers((4099,), 0, 5), torch.tensor([2])):
        assert_agrees(student.affine_coupling.strided(x[rows], net), (z[rows], log_det[rows]), like=torch.float32, scale=60.0)


@affine_coupling
@weight(0.25)
def test_a_coupling_scales_as_strongly_as_its_network_says(student):
    """Log-scales of 20 and -20 are taken as they are: no bounds; in float32 two of -110 add up to -220, also where e^-110 is 0."""
    x = draw.tensor([[100.0, 3.0], [-100.0, 5.0]])
    net = coupling_net(draw.tensor([[1.0]]), draw.tensor([[0.0]]), draw.tensor(20.0))
    z = draw.tensor([[100.0, 3 * math.exp(20) + 0.5], [-100.0, 5 * math.exp(-20) + 0.5]])
    assert_agrees(student.affine_coupling(x, net), (z, draw.tensor([20.0, -20.0])), like=torch.float32)
    got = student.affine_coupling(draw.tensor([[2.0, 3.0]]), identity_net())  # the network may hand out its argument
    assert_agrees(got, (draw.tensor([[2.0, 3 * math.exp(2)]]), draw.tensor([2.0])), like=torch.float32, scale=20.0)
    x = torch.tensor([[100.0, 3.0, 5.0]])
    net = coupling_net(torch.full((2, 1), -1.0), torch.zeros(2, 1), torch.tensor(110.0))
    want = (draw.tensor([[100.0, 0.5, 0.5]]), draw.tensor([-220.0]))
    assert_agrees(student.affine_coupling(x, net), want, like=torch.float32)


@affine_coupling
@weight(0.5)
def test_a_coupling_trains_its_network(student):
    """Gradients of both parts reach the data and the network's parameters."""
    x, net = doubling()
    slope = 1.5 * math.log(2)  # of the log-scale in S x_1: a (1 - tanh^2)
    known = {  # e^log_scale is 2; the log-determinant weighs 10 and then -1, the second half 1 and then 3
        "S": (net.parameters["S"], [[(2 * 5 + 10) * slope + (6 * 2 - 1) * slope]]),
        "T": (net.parameters["T"], [[1.0 + 3.0]]),
        "x": (x, [[4 + 7 + 20 * slope * math.log(3) / 2, 2.0], [-2 + 21 + 11 * slope * math.log(3) / 2, 6.0]]),
    }
    weights = [draw.tensor([[4.0, 1.0], [-2.0, 3.0]]), draw.tensor([10.0, -1.0])]
    assert_gradients_known(student.affine_coupling, [x, net], known, weights=weights, scale=100.0)


@affine_coupling
@weight(0.083)
def test_a_coupling_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; x stays as it is."""
    for dtype in draw.DTYPES:
        got = assert_unchanged(student.affine_coupling.observed(*by_hand(dtype)))
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mismatch("type", "this is not a pair of tensors, z and the log-determinant", got)
        for part, what in zip(got, ("z", "the log-determinant"), strict=True):
            assert_dtype(part, dtype, what=what)


# -- inverse_affine_coupling --


@inverse_affine_coupling
@weight(0.4)
def test_the_inverse_of_a_coupling_known_by_hand(student):
    """Shifts are taken back first, then scales."""
    for dtype in draw.DTYPES:
        x, net = by_hand(dtype)
        z = draw.tensor([[100.0, -98.0, 8.5, 2.5], [-200.0, 201.0, 2.0, 10.5]], dtype)
        assert_agrees(student.inverse_affine_coupling(z, net), x.double(), like=torch.float32, scale=500.0)
    got = student.inverse_affine_coupling(draw.tensor([[2.0, 3.0]]), identity_net())  # the network may hand out its argument
    assert_agrees(got, draw.tensor([[2.0, 3 * math.exp(-2)]]), like=torch.float32, scale=20.0)


@inverse_affine_coupling
@weight(0.25)
@examples(4)
@given(m=st.integers(2, 6), key=draw.seeds, dtype=draw.dtypes)
@example(m=4, key=0, dtype=torch.float32)
@example(m=5, key=1, dtype=torch.float64)
@example(m=2, key=1, dtype=torch.float64)
def test_the_inverse_coupling_finds_the_data_again(student, ref, m, key, dtype):
    """For even and odd m, and many rows, what a coupling layer did is undone."""
    z, net = problem(4, m, key, dtype)
    rows = draw.integers((1031,), key, 4)
    want = ref.inverse_affine_coupling(z, net)[rows]
    assert_agrees(student.inverse_affine_coupling(z[rows], net), want, like=dtype, scale=60.0)


@inverse_affine_coupling
@weight(0.1)
def test_the_inverse_of_one_row(student, ref):
    """n = 1 is legal, with the smallest m, which is 2; log-scales of 20 and -20 are taken back as they are."""
    z, net = problem(1, 2, 0, torch.float64)
    want = ref.inverse_affine_coupling(z, net)
    assert_agrees(student.inverse_affine_coupling.strided(z, net), want, like=torch.float32, scale=60.0)
    net = coupling_net(draw.tensor([[1.0]]), draw.tensor([[0.0]]), draw.tensor(20.0))
    z = draw.tensor([[100.0, 3 * math.exp(20) + 0.5], [-100.0, 5 * math.exp(-20) + 0.5]])
    want = draw.tensor([[100.0, 3.0], [-100.0, 5.0]])
    assert_agrees(student.inverse_affine_coupling(z, net), want, like=torch.float32, scale=100.0)


@inverse_affine_coupling
@weight(0.15)
def test_the_inverse_coupling_has_gradients(student):
    """Gradients reach the noise and the network's parameters."""
    z, net = doubling()  # the second half becomes (z_2 - 7.5) / 2: -1.25 and -2.75
    slope = 1.5 * math.log(2)
    known = {
        "S": (net.parameters["S"], [[1.25 * slope + 3 * 2.75 * slope]]),
        "T": (net.parameters["T"], [[-0.5 - 1.5]]),
        "z": (z, [[4 - 3.5 + 1.25 * slope * math.log(3) / 2, 0.5], [-2 - 10.5 + 3 * 2.75 * slope * math.log(3) / 2, 1.5]]),
    }
    weights = draw.tensor([[4.0, 1.0], [-2.0, 3.0]])
    assert_gradients_known(student.inverse_affine_coupling, [z, net], known, weights=weights, scale=100.0)


@inverse_affine_coupling
@weight(0.033)
def test_the_inverse_coupling_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; z stays as it is."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.inverse_affine_coupling.observed(*by_hand(dtype))), dtype)


# -- flow_log_prob --


def flow(m: int, key: int, dtype: torch.dtype) -> tuple[list[Family], Family, Tensor]:
    """Layers of three kinds, no two of which commute, a base density, data."""
    a, b = draw.uniform((m,), key, 0.25, 1.0, dtype), draw.uniform((m,), key + 1, -0.75, 0.75, dtype)
    layers = [tanh_layer(a), shear_layer(draw.tensor(0.5, dtype)), scaling_layer(b)]
    base = base_log_density(draw.normal((m,), key + 2, 1.0, dtype), draw.uniform((m,), key + 3, 0.5, 2.0, dtype))
    return layers, base, draw.normal((4, m), key + 4, 1.0, dtype)


@flow_log_prob
@weight(0.65)
def test_a_flow_of_two_layers_known_by_hand(student):
    """x = 1 is doubled, then sheared to (2, 3): log p_z there, plus twice log 2; halved, minus that. Three layers, likewise."""
    for dtype in draw.DTYPES:
        doubling = scaling_layer(torch.full((2,), math.log(2), dtype=dtype))
        shear = shear_layer(draw.tensor(0.5, dtype))
        base = base_log_density(torch.zeros(2, dtype=dtype), torch.ones(2, dtype=dtype))
        got = student.flow_log_prob([doubling, shear], base, draw.tensor([[1.0, 1.0], [0.0, 0.0]], dtype))
        want = draw.tensor([-6.951582705289454, -0.4515827052894549])
        assert_agrees(got, want, like=torch.float32, scale=20.0, unit="nats")
        halving = scaling_layer(torch.full((2,), -math.log(2), dtype=dtype))
        got = student.flow_log_prob([halving], base, draw.tensor([[2.0, 2.0]], dtype))
        want = draw.tensor([-1 - math.log(2 * math.pi) - 2 * math.log(2)])
        assert_agrees(got, want, like=torch.float32, scale=20.0, unit="nats")
        # twice log(3) / 4 becomes log(3) / 2 (1, 1/2), then log(3) / 2 (1, 1), whose tanh is 1/2, then log(3) / 2 + 1/2 twice
        layers = [scaling_layer(draw.tensor([math.log(2), 0.0], dtype)), shear, tanh_layer(torch.ones(2, dtype=dtype))]
        got = student.flow_log_prob(layers, base, torch.full((1, 2), math.log(3) / 4, dtype=dtype))
        want = -((math.log(3) / 2 + 0.5) ** 2) - math.log(2 * math.pi) + math.log(2) + 2 * math.log(1.75)
        assert_agrees(got, draw.tensor([want]), like=torch.float32, scale=20.0, unit="nats")


@flow_log_prob
@weight(0.5)
@examples(4)
@given(m=st.integers(2, 4), order=st.permutations([0, 1, 2]), key=draw.seeds, dtype=draw.dtypes)
@example(m=3, order=[0, 1, 2], key=0, dtype=torch.float32)
@example(m=2, order=[2, 0, 1], key=1, dtype=torch.float64)
def test_a_flow_adds_the_log_determinants_along_the_way(student, ref, m, order, key, dtype):
    """Data go through the layers in the order of the list; each log-determinant is taken where its layer meets them."""
    layers, base, x = flow(m, key, dtype)
    layers = [layers[i] for i in order]
    want = ref.flow_log_prob(layers, base, x)
    assert_agrees(student.flow_log_prob(layers, base, x), want, like=dtype, scale=20 * m + want.abs(), unit="nats")


@flow_log_prob
@weight(0.2)
def test_a_flow_without_layers_is_its_base(student):
    """With an empty list the data are the noise; one layer, one row and one dimension are legal, too.

    A layer may stand in the list twice; where the base has no mass the log-density is -inf.
    """
    base = base_log_density(draw.tensor([0.0]), draw.tensor([1.0]))
    x = draw.tensor([[0.0], [2.0]])
    want = draw.tensor([-0.9189385332046727, -2.9189385332046727])
    assert_agrees(student.flow_log_prob([], base, x), want, scale=4.0, like=torch.float32, unit="nats")
    got = student.flow_log_prob([scaling_layer(draw.tensor([0.5]))], base, x[:1])
    assert_agrees(got, want[:1] + 0.5, scale=4.0, like=torch.float32, unit="nats")
    got = student.flow_log_prob(repeated(scaling_layer(draw.tensor([math.log(2)])), 2), base, x / 4)
    assert_agrees(got, want + 2 * math.log(2), scale=4.0, like=torch.float32, unit="nats")
    half = exponential_log_shape(draw.tensor([1.0]))
    got = student.flow_log_prob([scaling_layer(draw.tensor([0.5]))], half, draw.tensor([[-1.0], [2.0]]))
    assert_agrees(got, draw.tensor([-math.inf, 0.5 - 2 * math.exp(0.5)]), scale=4.0, like=torch.float32, unit="nats")


@flow_log_prob
@weight(0.15)
def test_a_flow_of_many_layers_and_many_rows(student, ref):
    """67 layers, and 1031 rows, are all counted."""
    layers, base, x = flow(3, 5, torch.float64)
    many = [layers[i] for i in draw.integers((67,), 2, 2).tolist()]
    want = ref.flow_log_prob(many, base, x)
    got = student.flow_log_prob.strided(many, base, x)
    assert_agrees(got, want, scale=100 + 100 * want.abs(), like=torch.float32, unit="nats")
    rows = draw.integers((1031,), 3, 4)
    want = ref.flow_log_prob(layers, base, x)[rows]
    got = student.flow_log_prob.strided(layers, base, x[rows])
    assert_agrees(got, want, scale=100 + want.abs(), like=torch.float32, unit="nats")


@flow_log_prob
@weight(0.4)
def test_a_flow_can_be_trained(student):
    """Gradients reach the layers' parameters, through later layers and log-determinants, the base's, and the data.

    They reach each of many layers, and the data where there is none.
    """
    half = math.log(3) / 2  # x is doubled to this, whose tanh is 1/2, and moved on to half + 1/2
    first, last = scaling_layer(draw.tensor([math.log(2)])), tanh_layer(draw.tensor([1.0]))
    base, x = base_log_density(draw.tensor([0.25]), draw.tensor([1.0])), draw.tensor([[half / 2]])
    off = half + 0.5 - 0.25
    slope = -off * 1.75 - 0.75 / 1.75  # of the result in what the last layer is given: tanh' is 3/4, its derivative -3/4
    known = {
        "the first layer's a": (first.parameters["a"], [slope * half + 1]),
        "the last layer's a": (last.parameters["a"], [-off / 2 + 0.75 / 1.75]),
        "mu": (base.parameters["mu"], [off]),
        "x": (x, [[2 * slope]]),
    }
    assert_gradients_known(student.flow_log_prob, [[first, last], base, x], known, scale=100.0)
    base, x = base_log_density(draw.tensor([0.25]), draw.tensor([1.0])), draw.tensor([[0.5]])
    scales = (math.log(2), -math.log(2), math.log(3), -math.log(3), math.log(32))  # to 16, which is 15.75 off: -15.75 16 + 1 for each
    layers = [scaling_layer(draw.tensor([a])) for a in scales]
    known = {f"the a of layer {i}": (layer.parameters["a"], [-251.0]) for i, layer in enumerate(layers, start=1)}
    assert_gradients_known(student.flow_log_prob, [layers, base, x], known, scale=100.0)
    assert_gradients_known(student.flow_log_prob, [[], base, x], {"x": (x, [[-0.25]])}, scale=100.0)


@flow_log_prob
@weight(0.033)
def test_a_flow_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; x stays as it is."""
    for dtype in draw.DTYPES:
        layers, _, x = flow(2, 0, dtype)
        assert_dtype(assert_unchanged(student.flow_log_prob.observed(layers, first_dimension(), x)), dtype)
