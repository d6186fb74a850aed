"""Adding noise, and what one knows about the step before."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_dtype, assert_unchanged
from grader.checks.families.diffusion.draw import batch, by_hand, growth, rounding, schedule
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.passed_on import passed_on

alpha_bar = pytest.mark.exercise("diffusion.alpha_bar")
add_noise = pytest.mark.exercise("diffusion.add_noise")
posterior = pytest.mark.exercise("diffusion.posterior")
predict_x0 = pytest.mark.exercise("diffusion.predict_x0")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(3, 6))  # n, m, T

# -- alpha_bar --


@alpha_bar
@weight(0.5)
def test_the_signal_that_is_left_known_by_hand(student):
    """Halves and quarters: 1/2, then 3/4 of it, then 1/5 of that. A quarter each time is 4^-60 after sixty steps."""
    for dtype in draw.DTYPES:
        got = student.alpha_bar(draw.tensor([0.5, 0.25, 0.8], dtype))
        assert_agrees(got, draw.tensor([0.5, 0.375, 0.075]), like=torch.float32, scale=1.0)
        want = 0.25 ** torch.arange(1, 61, dtype=torch.float64)
        assert_agrees(student.alpha_bar(torch.full((60,), 0.75, dtype=dtype)), want, like=torch.float32, scale=200 * want)


@alpha_bar
@weight(0.2)
@examples(2)
@given(key=draw.seeds, dtype=draw.dtypes)
@example(key=0, dtype=torch.float32)
@example(key=0, dtype=torch.float64)
def test_the_signal_that_is_left_after_a_thousand_steps(student, ref, key, dtype):
    """Every step takes its share, for short and for long schedules."""
    long = [torch.linspace(1e-4, last, 1000, dtype=torch.float64).to(dtype) for last in (0.02, 1e-3)]
    for betas in (schedule(5, key, dtype), *long):
        want = ref.alpha_bar(betas)
        assert_agrees(student.alpha_bar(betas), want, like=dtype, scale=len(betas) * want)


@alpha_bar
@weight(0.1)
def test_a_schedule_of_one_step(student):
    """T = 1 is legal, and so is a step that leaves a millionth of the signal, or less."""
    for left in (2.0**-20, 2.0**-40):
        want = draw.tensor([0.5, left / 2, left / 4])
        assert_agrees(student.alpha_bar(draw.tensor([0.5, 1 - left, 0.5])), want, like=torch.float32, scale=4 * want)
    assert_agrees(student.alpha_bar.strided(draw.tensor([0.25])), draw.tensor([0.75]), like=torch.float32, scale=1.0)


@alpha_bar
@weight(0.1)
def test_the_signal_has_gradients_in_the_schedule(student):
    """A schedule can be learned."""
    betas = draw.tensor([0.5, 0.25, 0.8])  # alpha_bar is 0.5, 0.375, 0.075: minus what follows, weighed, over alpha
    known = {"betas": (betas, [-1.55 / 0.5, -1.05 / 0.75, -0.3 / 0.2])}
    assert_gradients_known(student.alpha_bar, [betas], known, weights=draw.tensor([1.0, 2.0, 4.0]), scale=20.0)


@alpha_bar
@weight(0.033)
def test_the_signal_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.alpha_bar.observed(schedule(3, 0, dtype))), dtype)


# -- add_noise --


@add_noise
@weight(0.5)
def test_noisy_data_known_by_hand(student):
    """After one step 0.8 of the data and 0.6 of the noise, after two 0.6 and 0.8, each row at its own time."""
    for dtype in draw.DTYPES:
        x0, noise = draw.tensor([[5.0, 0.0, 10.0], [5.0, -5.0, 0.0]], dtype), draw.tensor([[10.0, 5.0, 0.0], [0.0, 5.0, 10.0]], dtype)
        got = student.add_noise(x0, torch.tensor([0, 1]), noise, by_hand(dtype))
        assert_agrees(got, draw.tensor([[10.0, 3.0, 8.0], [3.0, 1.0, 8.0]]), like=torch.float32, scale=40.0)
        end = torch.tensor([19]), draw.tensor([[3.0]], dtype), torch.full((20,), 0.75, dtype=dtype)  # 2^-20 of the data is left
        assert_agrees(student.add_noise(draw.tensor([[2.0**20]], dtype), *end), draw.tensor([[4.0]]), like=torch.float32, scale=40.0)
    got = student.add_noise(draw.tensor([[2.0]]), torch.tensor([0]), draw.tensor([[1e3]]), draw.tensor([1e-6]))  # a thousandth of the noise
    assert_agrees(got, draw.tensor([[2 * (1 - 1e-6) ** 0.5 + 1]]), like=torch.float32, scale=4.0)


@add_noise
@weight(0.25)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 3, 4), key=0, dtype=torch.float32)
@example(size=(2, 4, 6), key=1, dtype=torch.float64)
def test_all_steps_to_a_time_are_one(student, ref, size, key, dtype):
    """What is left of the data, and the noise that fills up the variance, for a batch that mixes times."""
    n, m, T = size
    betas, given_ = schedule(T, key, dtype), batch(n, m, T, key, dtype)
    want = ref.add_noise(*given_, betas)
    assert_agrees(student.add_noise(*given_, betas), want, like=dtype, scale=4 * rounding(betas))


@add_noise
@weight(0.1)
def test_noisy_data_of_one_row_of_many_and_of_one_step(student, ref):
    """n = 1, m = 1 and T = 1 are legal; so are 1031 rows, and 1000 steps, of which the first adds a hundredth of the noise."""
    for n, m, T in ((1, 3, 4), (3, 1, 4), (1, 1, 1)):
        betas, given_ = schedule(T, n, torch.float64), batch(n, m, T, 1, torch.float64)
        assert_agrees(student.add_noise.strided(*given_, betas), ref.add_noise(*given_, betas), like=torch.float32, scale=100.0)
    # not both in one call: whoever multiplies the schedule out for each row is slow, and right
    for betas, n in ((torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 4), (schedule(4, 5, torch.float64), 1031)):
        x0, t, noise = batch(4, 2, len(betas), 2, torch.float64)
        t[1] = 0
        rows = draw.integers((n,), 3, 4)
        got = student.add_noise.strided(x0[rows], t[rows], noise[rows], betas)
        assert_agrees(got, ref.add_noise(x0, t, noise, betas)[rows], like=torch.float32, scale=100.0)


@add_noise
@weight(0.1)
def test_noisy_data_have_gradients(student):
    """They can be differentiated in the data, in the noise and in the schedule."""
    x0, noise, betas = draw.tensor([[5.0, 0.0], [5.0, -5.0]]), draw.tensor([[10.0, 5.0], [0.0, 5.0]]), by_hand(torch.float64)
    first, second = 5 / 1.6, -10 / 1.2 - 25 / 1.6  # in alpha_bar: half of the data over the one root, less half of the noise over the other
    known = {
        "x0": (x0, [[0.8, -1.6], [1.8, 3.0]]),
        "noise": (noise, [[0.6, -1.2], [2.4, 4.0]]),
        "betas": (betas, [-first - 0.5625 * second, -0.64 * second]),
    }
    args, weights = [passed_on(x0), torch.tensor([0, 1]), passed_on(noise), betas], draw.tensor([[1.0, -2.0], [3.0, 5.0]])
    assert_gradients_known(student.add_noise, args, known, weights=weights, scale=20.0)


@add_noise
@weight(0.033)
def test_noisy_data_keep_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.add_noise.observed(*batch(2, 2, 3, 0, dtype), schedule(3, 0, dtype))), dtype)


# -- posterior --


@posterior
@weight(1.0)
def test_the_step_before_known_by_hand(student):
    """From the second step back to the first: 35/64 of the data, 27/64 of the noisy ones, and the variance 0.36 0.4375 / 0.64."""
    for dtype in draw.DTYPES:
        x0, xt = draw.tensor([[64.0, 0.0, 1.0], [3.0, -4.0, 2.0]], dtype), draw.tensor([[0.0, 64.0, 1.0], [7.0, 8.0, 9.0]], dtype)
        mean, variance = [[35.0, 27.0, 0.96875], [4.59375, 1.1875, 4.890625]], [0.24609375, 0.24609375]
        # 0.8 0.4375 / 0.64 of the data, 0.75 0.36 / 0.64 of the noisy ones
        got = student.posterior(x0, xt, torch.tensor([1, 1]), by_hand(dtype))
        assert_agrees(got, (draw.tensor(mean), draw.tensor(variance)), like=torch.float32, scale=200.0)


@posterior
@weight(0.75)
@examples(4)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 3, 4), key=0, dtype=torch.float32)
@example(size=(4, 2, 6), key=1, dtype=torch.float64)
def test_the_step_before_by_bayes_rule(student, ref, size, key, dtype):
    """Precisions of what the data and the noisy data say add up, for a batch that mixes times."""
    n, m, T = size
    betas, (x0, t, xt) = schedule(T, key, dtype), batch(n, m, T, key, dtype, first=1)
    want = ref.posterior(x0, xt, t, betas)
    assert_agrees(student.posterior(x0, xt, t, betas), want, like=dtype, scale=4 * rounding(betas))


@posterior
@weight(0.4)
def test_before_the_first_step_are_the_data(student):
    """At t = 0 the mean is x0, whatever the noisy data are, and the variance exactly 0, also where other rows have other times."""
    for dtype in draw.DTYPES:
        x0, xt = draw.tensor([[1.5, -2.0]], dtype), draw.tensor([[1e3, 7.0]], dtype)
        for betas in (draw.tensor([0.5, 0.25], dtype), draw.tensor([1e-3], dtype)):
            got = student.posterior(x0, xt, torch.tensor([0]), betas)
            assert_agrees(got, (x0.double(), draw.tensor([0.0])), like=torch.float32, scale=4.0 / betas[0].item() * 10)
            if (got[1] != 0).any():
                raise Mismatch("value", "the variance at t = 0 is not exactly zero", got[1])
        x0, xt = draw.tensor([[64.0, 0.0], [3.0, -4.0]], dtype), draw.tensor([[0.0, 64.0], [7.0, 8.0]], dtype)
        got = student.posterior(x0, xt, torch.tensor([1, 0]), by_hand(dtype))
        want = draw.tensor([[35.0, 27.0], [3.0, -4.0]]), draw.tensor([0.24609375, 0.0])
        assert_agrees(got, want, like=torch.float32, scale=200.0)


@posterior
@weight(0.2)
def test_the_step_before_in_a_long_schedule_and_for_many_rows(student, ref):
    """1000 steps from 0.0001 to 0.02, 40 of 0.02, two of 10^-6; 1031 rows; one row of one dimension."""
    for betas, n in ((torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 4), (schedule(4, 5, torch.float64), 1031)):
        x0, t, xt = batch(4, 2, len(betas), 2, torch.float64)
        t[1] = 1
        (mean, variance), rows = ref.posterior(x0, xt, t, betas), draw.integers((n,), 3, 4)
        got = student.posterior.strided(x0[rows], xt[rows], t[rows], betas)
        assert_agrees(got, (mean[rows], variance[rows]), like=torch.float32, scale=4.0)
    even, (x0, t, xt) = torch.full((40,), 0.02, dtype=torch.float64), batch(24, 2, 40, 2, torch.float64, first=1)
    t[3:6] = 0  # among many other times
    want = ref.posterior(x0, xt, t, even)
    assert_agrees(student.posterior.strided(x0, xt, t, even), want, like=torch.float32, scale=4.0)
    one = torch.ones(1, 1, dtype=torch.float64)
    tiny = draw.tensor([1e-6, 1e-6])  # the variance is 10^-12 over 2 10^-6 - 10^-12
    got = student.posterior(0 * one, one, torch.tensor([1]), tiny)
    want = draw.tensor([[(1 - 1e-6) ** 0.5 / (2 - 1e-6)]]), draw.tensor([1e-6 / (2 - 1e-6)])
    assert_agrees(got, want, like=torch.float32, scale=1e-4, error=1e-9)
    want = (draw.tensor([[0.96875]]), draw.tensor([0.24609375]))
    assert_agrees(student.posterior.strided(one, one, torch.tensor([1]), by_hand(torch.float64)), want, like=torch.float32, scale=4.0)


@posterior
@weight(0.45)
def test_the_step_before_has_gradients(student):
    """Mean and variance can be differentiated in the data, in the noisy data and in the schedule."""
    x0, xt, betas = draw.tensor([[64.0, 0.0]]), draw.tensor([[0.0, 64.0]]), by_hand(torch.float64)
    known = {
        "x0": (x0, [[35 / 64, 2 * 35 / 64]]),
        "xt": (xt, [[27 / 64, 2 * 27 / 64]]),
        # 64 of the one coefficient, 128 of the other, 256 of the variance: (-930, 1641, 1914) / 16 and 45, -102, 81
        "betas": (betas, [164.0625, 24.0]),
    }
    args, weights = [x0, xt, torch.tensor([1]), betas], [draw.tensor([[1.0, 2.0]]), draw.tensor([256.0])]
    assert_gradients_known(student.posterior, args, known, weights=weights, scale=1000.0)


@posterior
@weight(0.067)
def test_the_step_before_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        x0, t, xt = batch(2, 2, 3, 0, dtype)
        got = assert_unchanged(student.posterior.observed(x0, xt, t, schedule(3, 0, dtype)))
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mismatch("type", "this is not a pair of tensors, mean and variance", got)
        assert_dtype(got[0], dtype, what="the mean")
        assert_dtype(got[1], dtype, what="the variance")


# -- predict_x0 --


@predict_x0
@weight(0.5)
def test_predicted_data_known_by_hand(student):
    """Take 0.6 of the noise away and divide by 0.8, after two steps 0.8 and 0.6: the data are back."""
    for dtype in draw.DTYPES:
        xt, noise = draw.tensor([[10.0, 3.0, 800.0], [3.0, 1.0, 8.0]], dtype), draw.tensor([[10.0, 5.0, 0.0], [0.0, 5.0, 10.0]], dtype)
        got = student.predict_x0(xt, torch.tensor([0, 1]), noise, by_hand(dtype))
        want = draw.tensor([[5.0, 0.0, 1000.0], [5.0, -5.0, 0.0]])
        assert_agrees(got, want, like=torch.float32, scale=80.0)
        end = torch.tensor([19]), draw.tensor([[3.0]], dtype), torch.full((20,), 0.75, dtype=dtype)  # 2^-20 of the data is left
        assert_agrees(student.predict_x0(draw.tensor([[4.0]], dtype), *end), draw.tensor([[2.0**20]]), like=torch.float32, scale=2.0**24)
    got = student.predict_x0(
        draw.tensor([[3.0]]), torch.tensor([0]), draw.tensor([[1e3]]), draw.tensor([1e-6])
    )  # a thousandth of the noise
    assert_agrees(got, draw.tensor([[2 / (1 - 1e-6) ** 0.5]]), like=torch.float32, scale=4.0)


@predict_x0
@weight(0.25)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 3, 4), key=0, dtype=torch.float32)
@example(size=(2, 4, 6), key=1, dtype=torch.float64)
def test_predicted_data_undo_the_noise(student, ref, size, key, dtype):
    """The inverse of add_noise, for a batch that mixes times; nothing is clipped."""
    n, m, T = size
    betas, (xt, t, noise) = schedule(T, key, dtype), batch(n, m, T, key, dtype)
    xt = 100 * xt  # so that whoever clips is seen
    want = ref.predict_x0(xt, t, noise, betas)
    assert_agrees(student.predict_x0(xt, t, noise, betas), want, like=dtype, scale=400 * rounding(betas) * growth(betas))


@predict_x0
@weight(0.1)
def test_predicted_data_of_one_row_of_many_and_of_one_step(student, ref):
    """n = 1, m = 1 and T = 1 are legal; so are 1031 rows."""
    for n, m, T in ((1, 3, 4), (3, 1, 4), (1, 1, 1)):
        betas, given_ = schedule(T, n, torch.float64), batch(n, m, T, 1, torch.float64)
        want = ref.predict_x0(*given_, betas)
        assert_agrees(student.predict_x0.strided(*given_, betas), want, like=torch.float32, scale=100.0)
    rows = draw.integers((1031,), 3, 3)
    betas, (xt, t, noise) = schedule(4, 1, torch.float64), batch(3, 2, 4, 1, torch.float64)
    want = ref.predict_x0(xt, t, noise, betas)[rows]
    assert_agrees(student.predict_x0.strided(xt[rows], t[rows], noise[rows], betas), want, like=torch.float32, scale=100.0)


@predict_x0
@weight(0.1)
def test_predicted_data_have_gradients(student):
    """They can be differentiated in the noisy data, in the noise and in the schedule."""
    xt, noise, betas = draw.tensor([[10.0, 3.0], [3.0, 1.0]]), draw.tensor([[10.0, 5.0], [0.0, 5.0]]), by_hand(torch.float64)
    first, second = -5 / 1.28, 25 / 0.96 + 10 / 0.72  # in alpha_bar: half of the noise over both roots, less half of the guess over it
    known = {
        "xt": (xt, [[1.25, -2.5], [5.0, 25 / 3]]),
        "noise": (noise, [[-0.75, 1.5], [-4.0, -20 / 3]]),
        "betas": (betas, [-first - 0.5625 * second, -0.64 * second]),
    }
    args, weights = [xt, torch.tensor([0, 1]), noise, betas], draw.tensor([[1.0, -2.0], [3.0, 5.0]])
    assert_gradients_known(student.predict_x0, args, known, weights=weights, scale=200.0)


@predict_x0
@weight(0.033)
def test_predicted_data_keep_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.predict_x0.observed(*batch(2, 2, 3, 0, dtype), schedule(3, 0, dtype))), dtype)
