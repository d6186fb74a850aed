"""Energies over states that can be counted, and the loss that does without counting."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import example, given
from torch import Tensor

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_gradient_agrees, assert_unchanged
from grader.checks.families.shared import draw
from grader.checks.families.shared.energies import first_dimension, forbidding_energy, ising_energy, linear_energy, quadratic_energy
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.sandbox.wire.families import Family

log_partition = pytest.mark.exercise("energy.log_partition")
energy_log_prob = pytest.mark.exercise("energy.energy_log_prob")
contrastive_loss = pytest.mark.exercise("energy.contrastive_loss")
weight = pytest.mark.weight
examples = pytest.mark.examples


def spins(m: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """All 2^m states of m spins."""
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=m)), dtype=dtype)


def ising(m: int, key: int, dtype: torch.dtype) -> Family:
    J = draw.normal((m, m), key, 0.5, dtype)
    return ising_energy((J + J.T) / 2, draw.normal((m,), key + 1, 1.0, dtype))


# -- log_partition --


@log_partition
@weight(0.65)
def test_partition_functions_known_by_hand(student):
    """Four states of energy 0 give log 4; energies 0, log 2 and log 4 give log(1 + 1/2 + 1/4); spins in a field 2 cosh."""
    for dtype in draw.DTYPES:
        energy, states = linear_energy(draw.tensor([1.0], dtype)), draw.tensor([[0.0], [math.log(2)], [math.log(4)]], dtype)
        got = student.log_partition(energy, states)
        assert_agrees(got, draw.tensor(math.log(1.75)), like=torch.float32, scale=2.0)
        got = student.log_partition(energy, torch.zeros(4, 1, dtype=dtype))
        assert_agrees(got, draw.tensor(math.log(4)), like=torch.float32, scale=2.0)
        got = student.log_partition(energy, draw.tensor([[0.0], [13.0]], dtype))  # one of 442414 counts as such
        assert_agrees(got, draw.tensor(math.log1p(math.exp(-13))), like=dtype, scale=2.0)
        field = ising_energy(torch.zeros(2, 2, dtype=dtype), draw.tensor([1.0, -0.5], dtype))
        got = student.log_partition(field, spins(2, dtype))
        assert_agrees(got, draw.tensor(math.log(4 * math.cosh(1.0) * math.cosh(0.5))), like=torch.float32, scale=4.0)


@log_partition
@weight(0.35)
@examples(3)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_the_partition_function_adds_up_all_states(student, ref, key, dtype):
    """Every state adds e^-E, whatever the energy is."""
    energy, states = ising(5, key, dtype), spins(5, dtype)
    want = ref.log_partition(energy, states)
    assert_agrees(student.log_partition(energy, states), want, like=dtype, scale=30.0)


@log_partition
@weight(0.35)
def test_the_partition_function_holds_for_energies_of_any_size(student):
    """In fields of 10^4 the ground state alone counts, with energies of 3 10^4 above and below zero, too; +inf adds nothing."""
    for dtype in draw.DTYPES:
        line = linear_energy(draw.tensor([1.0], dtype))
        for shift in (3e4, -3e4):
            got = student.log_partition(line, draw.tensor([[shift], [shift]], dtype))
            assert_agrees(got, draw.tensor(math.log(2) - shift), like=torch.float32, scale=3e4)
        field = ising_energy(torch.zeros(2, 2, dtype=dtype), draw.tensor([1e4, -5e3], dtype))
        assert_agrees(student.log_partition(field, spins(2, dtype)), draw.tensor(15e3), like=torch.float32, scale=15e3)
        hard = forbidding_energy(draw.tensor(0.5, dtype), line)
        got = student.log_partition(hard, draw.tensor([[0.0], [0.0], [0.75]], dtype))
        assert_agrees(got, draw.tensor(math.log(2)), like=torch.float32, scale=2.0)
        hard = forbidding_energy(draw.tensor(0.5, dtype), linear_energy(draw.tensor([-1.0], dtype)))
        got = student.log_partition(hard, draw.tensor([[-3e4], [0.75]], dtype))  # next to a state of energy 3e4, too
        assert_agrees(got, draw.tensor(-3e4), like=torch.float32, scale=3e4)


@log_partition
@weight(0.15)
def test_the_partition_function_of_one_state_and_of_many(student):
    """S = 1 is legal; 4095 states are all added up."""
    line = linear_energy(draw.tensor([1.0]))
    assert_agrees(student.log_partition.strided(line, draw.tensor([[3.0]])), draw.tensor(-3.0), like=torch.float32, scale=3.0)
    field = ising_energy(torch.zeros(12, 12, dtype=torch.float64), torch.full((12,), 0.5, dtype=torch.float64))
    want = draw.tensor(math.log((2 * math.cosh(0.5)) ** 12 - math.exp(6)))  # without the last one, of energy -6
    assert_agrees(student.log_partition.strided(field, spins(12)[:-1]), want, like=torch.float32, scale=20.0)


@log_partition
@weight(0.4)
def test_the_slope_of_the_log_partition_is_minus_the_mean_energy(student):
    """The gradient in the energy's parameters is minus the model's expectation of the energy's gradient; rare states count, too."""
    w, states = draw.tensor([math.log(2), math.log(4)]), draw.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    known = {"w": (w, [-2 / 7, -1 / 7])}  # of probabilities 4/7, 2/7 and 1/7
    assert_gradients_known(student.log_partition, [linear_energy(w), states], known, scale=50.0)
    J, h = torch.zeros(2, 2, dtype=torch.float64), draw.tensor([1.0, -0.5])  # independent spins, of means tanh h
    one, other = math.tanh(1.0), math.tanh(-0.5)
    rare, pair = draw.tensor([7.0]), draw.tensor([[0.0], [1.0]])  # of probability 1 / (1 + e^7)
    known = {"w": (rare, [-1 / (1 + math.exp(7))])}
    assert_gradients_known(student.log_partition, [linear_energy(rare), pair], known, scale=50.0)
    many = torch.zeros(600, 1, dtype=torch.float64)
    many[0] = 60.0  # among 600 states of energy zero
    flat = draw.tensor([0.0])
    assert_gradients_known(student.log_partition, [linear_energy(flat), many], {"w": (flat, [-0.1])}, scale=50.0)
    known = {"J": (J, [[0.5, one * other / 2], [one * other / 2, 0.5]]), "h": (h, [one, other])}
    assert_gradients_known(student.log_partition, [ising_energy(J, h), spins(2)], known, scale=50.0)


@log_partition
@weight(0.033)
def test_the_partition_function_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.log_partition.observed(first_dimension(), spins(2, dtype))), dtype)


# -- energy_log_prob --


@energy_log_prob
@weight(0.45)
def test_probabilities_of_three_states_known_by_hand(student):
    """Energies 0, log 2 and log 4 have the probabilities 4/7, 2/7 and 1/7, in whatever order one asks, and how often."""
    for dtype in draw.DTYPES:
        energy, states = linear_energy(draw.tensor([1.0], dtype)), draw.tensor([[0.0], [math.log(2)], [math.log(4)]], dtype)
        got = student.energy_log_prob(energy, states[[2, 0]], states)
        assert_agrees(got, draw.tensor([1 / 7, 4 / 7]).log(), like=torch.float32, scale=4.0, unit="nats")


@energy_log_prob
@weight(0.2)
@examples(3)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_log_probabilities_are_energies_up_to_one_constant(student, ref, key, dtype):
    """-E(x) - log Z, for any batch of states."""
    energy, states = ising(5, key, dtype), spins(5, dtype)
    x = states[draw.integers((131,), key, 32)]
    want = ref.energy_log_prob(energy, x, states)
    assert_agrees(student.energy_log_prob(energy, x, states), want, like=dtype, scale=60.0, unit="nats")


@energy_log_prob
@weight(0.15)
def test_log_probabilities_for_energies_of_any_size(student):
    """In a field of 10^4 the wrong spin has the log-probability -20000 - log 2, the right one -log 2."""
    for dtype in draw.DTYPES:
        field = ising_energy(torch.zeros(2, 2, dtype=dtype), draw.tensor([1e4, 0.0], dtype))
        got = student.energy_log_prob(field, spins(2, dtype), spins(2, dtype))
        want = draw.tensor([-2e4 - math.log(2), -2e4 - math.log(2), -math.log(2), -math.log(2)])
        assert_agrees(got, want, like=torch.float32, scale=2e4, unit="nats")


@energy_log_prob
@weight(0.15)
def test_impossible_states_and_single_ones(student):
    """A state of infinite energy has log-probability -inf; n = 1 and S = 1 are legal."""
    line = linear_energy(draw.tensor([1.0]))
    hard, states = forbidding_energy(draw.tensor(0.5), line), draw.tensor([[0.0], [0.0], [0.75]])
    want = draw.tensor([-math.log(2), -math.log(2), -math.inf])
    assert_agrees(student.energy_log_prob.strided(hard, states, states), want, like=torch.float32, scale=2.0, unit="nats")
    got = student.energy_log_prob.strided(line, states[2:], states[2:])
    assert_agrees(got, draw.tensor([0.0]), like=torch.float32, scale=2.0, unit="nats")


@energy_log_prob
@weight(0.1)
def test_log_probabilities_can_be_trained(student):
    """Gradients reach the energy's parameters, through the state and through the partition function, and the state itself."""
    w, states = draw.tensor([math.log(2), math.log(4)]), draw.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    known = {"w": (w, [2 + 3 * 2 / 7, -4 + 3 * 1 / 7])}  # the mean state, (2/7, 1/7), less the state
    weights = draw.tensor([1.0, -2.0, 4.0])
    assert_gradients_known(student.energy_log_prob, [linear_energy(w), states, states], known, weights=weights, scale=100.0)
    x, one, other = states[1:], math.log(2), math.log(4)
    known = {"x": (x, [[-one, -other], [2 * one, 2 * other]])}
    assert_gradients_known(student.energy_log_prob, [linear_energy(w), x, states], known, weights=weights[:2], scale=100.0)


@energy_log_prob
@weight(0.033)
def test_log_probabilities_keep_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.energy_log_prob.observed(first_dimension(), spins(2, dtype), spins(2, dtype))), dtype)


# -- contrastive_loss --


@contrastive_loss
@weight(1.0)
def test_contrastive_losses_known_by_hand(student):
    """The mean energy of two data, 3, minus that of three samples, -1; then the other way round."""
    for dtype in draw.DTYPES:
        energy = linear_energy(draw.tensor([1.0, 2.0], dtype))
        data, samples = draw.tensor([[2.0, 0.0], [0.0, 2.0]], dtype), draw.tensor([[1.0, -2.0], [0.0, 0.0], [0.0, 0.0]], dtype)
        got = student.contrastive_loss(energy, data, samples)
        assert_agrees(got, draw.tensor(4.0), like=torch.float32, scale=8.0)
        got = student.contrastive_loss(energy, samples, data)
        assert_agrees(got, draw.tensor(-4.0), like=torch.float32, scale=8.0)


@contrastive_loss
@weight(0.5)
@examples(3)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=1, dtype=torch.float64)
def test_data_and_samples_are_averaged_each_for_themselves(student, ref, key, dtype):
    """n data and k samples, as many as there are, each an average of its own, for any energy."""
    energy = quadratic_energy(draw.normal((4, 3), key, 1.0, dtype))
    data, samples = draw.normal((5, 3), key + 1, 1.0, dtype), draw.normal((2, 3), key + 2, 2.0, dtype)
    want, scale = ref.contrastive_loss(energy, data, samples), energy(data).abs().max() + energy(samples).abs().max()
    assert_agrees(student.contrastive_loss(energy, data, samples), want, like=dtype, scale=4 * scale)


@contrastive_loss
@weight(0.75)
def test_the_slope_of_the_loss_is_the_difference_of_the_means(student):
    """For the energy w . x the gradient in w is the mean of the data minus that of the samples."""
    w = draw.tensor([1.0, -1.0, 0.5])
    data, samples = draw.normal((5, 3), 1), draw.normal((4, 3), 2)
    _, (gradient,) = student.contrastive_loss.gradient(linear_energy(w), data, samples, wrt=[w])
    assert_gradient_agrees(gradient, data.mean(0) - samples.mean(0), of="w", scale=10.0)
    A, data, samples = draw.tensor([[1.0, 2.0]]), draw.tensor([[1.0, 0.0], [0.0, 1.0]]), draw.tensor([[1.0, 1.0]])
    _, (gradient,) = student.contrastive_loss.gradient(quadratic_energy(A), data, samples, wrt=[A])
    assert_gradient_agrees(gradient, draw.tensor([[0.5 - 3, 1.0 - 3]]), of="A", scale=100.0)  # A x x', on average


@contrastive_loss
@weight(0.4)
def test_no_gradient_reaches_the_samples(student):
    """Samples stand for an expectation: they count as constants, even if they carry a graph."""
    A, x, samples = draw.normal((4, 3), 3), draw.normal((5, 3), 1), draw.normal((4, 3), 2)
    energy = quadratic_energy(A)
    _, (in_A, in_samples) = student.contrastive_loss.gradient(energy, x, samples, wrt=[energy.parameters["A"], samples])
    if in_samples is not None and (in_samples != 0).any():
        raise Mismatch("gradient", "a gradient reaches the samples: they are constants here", in_samples)
    moments = [rows.double().T @ rows.double() / len(rows) for rows in (x, samples)]
    assert_gradient_agrees(in_A, A.double() @ (moments[0] - moments[1]), of="the energy's A", like=torch.float32, scale=50.0)


@contrastive_loss
@weight(0.2)
def test_the_contrastive_loss_of_single_rows_and_of_many(student):
    """n = 1, k = 1 and m = 1 are legal; 4099 data are all counted, also with energies of 10^4; one impossible datum costs +inf."""
    energy = linear_energy(draw.tensor([2.0]))
    one, two = draw.tensor([[1.0]]), draw.tensor([[5e3], [5e3]])
    assert_agrees(student.contrastive_loss.strided(energy, one, -one), draw.tensor(4.0), like=torch.float32, scale=4.0)
    assert_agrees(student.contrastive_loss.strided(energy, two, one), draw.tensor(9998.0), like=torch.float32, scale=1e4)
    hard = forbidding_energy(draw.tensor(0.5), energy)
    got = student.contrastive_loss(hard, draw.tensor([[0.0], [1.0]]), -one)
    assert_agrees(got, draw.tensor(math.inf), like=torch.float32, scale=4.0)
    many = torch.zeros(4099, 1, dtype=torch.float64)
    many[-1] = 4099.0
    assert_agrees(student.contrastive_loss.strided(energy, many, one), draw.tensor(0.0), like=torch.float32, scale=4.0)
    assert_agrees(student.contrastive_loss.strided(energy, one, many), draw.tensor(0.0), like=torch.float32, scale=4.0)


@contrastive_loss
@weight(0.05)
def test_the_contrastive_loss_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x = torch.ones(2, 2, dtype=dtype)
        assert_dtype(assert_unchanged(student.contrastive_loss.observed(linear_energy(x[0]), x, x)), dtype)
