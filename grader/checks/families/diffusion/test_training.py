"""What a noise model is trained by, and guidance by a label."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from grader.checking.compare import assert_agrees, assert_dtype, assert_unchanged
from grader.checks.families.diffusion.draw import batch, by_hand, growth, rounding, schedule
from grader.checks.families.shared import draw
from grader.checks.families.shared.gradients import assert_gradients_known
from grader.checks.families.shared.noise_models import constant_noise, identity_label_net, label_net, noise_net
from grader.sandbox.wire.families import Family

simple_loss = pytest.mark.exercise("diffusion.simple_loss")
bound_term = pytest.mark.exercise("diffusion.bound_term")
guided_noise = pytest.mark.exercise("diffusion.guided_noise")
weight = pytest.mark.weight
examples = pytest.mark.examples

sizes = st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(3, 6))  # n, m, T


def problem(n: int, m: int, T: int, key: int, dtype: torch.dtype, first: int = 0) -> tuple[Family, Tensor, Tensor, Tensor, Tensor]:
    """A model that looks at the time, data, times, noise and a schedule, in the order of the arguments."""
    model = noise_net(draw.normal((m, m), key + 7, 0.5, dtype), draw.normal((m,), key + 8, 0.25, dtype))
    return model, *batch(n, m, T, key, dtype, first), schedule(T, key, dtype)


# -- simple_loss --


@simple_loss
@weight(0.65)
def test_simple_losses_known_by_hand(student):
    """A model that always says (1, 0): the squared distances 4 + 9 and 0 + 1, averaged; one that says x_t + (t + 1, 0) sees both."""
    for dtype in draw.DTYPES:
        x0, noise = draw.tensor([[5.0, 0.0], [5.0, -5.0]], dtype), draw.tensor([[3.0, -3.0], [1.0, 1.0]], dtype)
        t, betas = torch.tensor([0, 1]), by_hand(dtype)
        got = student.simple_loss(constant_noise(draw.tensor([1.0, 0.0], dtype)), x0, t, noise, betas)
        assert_agrees(got, draw.tensor(7.0), like=torch.float32, scale=30.0)
        echo = noise_net(torch.eye(2, dtype=dtype), draw.tensor([1.0, 0.0], dtype))
        got = student.simple_loss(echo, x0, t, noise, betas)  # at (5.8, -1.8) and (3.8, -2.2) it says (6.8, -1.8) and (5.8, -2.2)
        assert_agrees(got, draw.tensor((3.8**2 + 1.2**2 + 4.8**2 + 3.2**2) / 2), like=torch.float32, scale=100.0)
    echo, one = noise_net(draw.tensor([[1.0]]), draw.tensor([0.0])), draw.tensor([[1.0]])
    got = student.simple_loss(echo, 0 * one, torch.tensor([0]), 1e3 * one, draw.tensor([1e-6]))  # it sees a thousandth of the noise
    assert_agrees(got, draw.tensor(999.0**2), like=torch.float32, scale=4e6)
    clock, late = noise_net(draw.tensor([[0.0]]), draw.tensor([1.0])), torch.full((40,), 0.02, dtype=torch.float64)
    got = student.simple_loss(clock, one, torch.tensor([39]), 0 * one, late)  # it says 40 where no noise is asked for
    assert_agrees(got, draw.tensor(1600.0), like=torch.float32, scale=4000.0)


@simple_loss
@weight(0.5)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 3, 4), key=0, dtype=torch.float32)
@example(size=(2, 4, 6), key=1, dtype=torch.float64)
def test_the_simple_loss_asks_for_the_noise(student, ref, size, key, dtype):
    """The model sees the noisy data and each row's time; squares are added over dimensions and averaged over rows."""
    n, m, T = size
    given_ = problem(n, m, T, key, dtype)
    want, lost = ref.simple_loss(*given_), rounding(given_[-1])
    assert_agrees(student.simple_loss(*given_), want, like=dtype, scale=10 * lost + lost * want)


@simple_loss
@weight(0.2)
def test_the_simple_loss_of_one_row_of_many_and_of_one_step(student, ref):
    """n = 1, m = 1 and T = 1 are legal, and 60 steps; of 4099 rows the last counts, too."""
    for n, m, T in ((1, 3, 4), (3, 1, 4), (1, 1, 1), (3, 2, 60)):
        given_ = problem(n, m, T, n, torch.float64)
        assert_agrees(student.simple_loss.strided(*given_), ref.simple_loss(*given_), like=torch.float32, scale=100.0)
    noise = torch.zeros(4099, 1, dtype=torch.float64)
    noise[-1] = 2 * 4099.0**0.5  # a mean square that is not the one expected of noise
    t = torch.zeros(4099, dtype=torch.int64)
    got = student.simple_loss.strided(constant_noise(draw.tensor([0.0])), noise, t, noise, draw.tensor([0.5]))
    assert_agrees(got, draw.tensor(4.0), like=torch.float32, scale=16.0)


@simple_loss
@weight(0.5)
def test_the_simple_loss_trains_the_model(student):
    """Gradients reach what the model holds, through the noisy data those without noise and the schedule, and the noise in both places."""
    x0, noise, betas = draw.tensor([[5.0, 0.0], [5.0, -5.0]]), draw.tensor([[3.0, -3.0], [1.0, 1.0]]), by_hand(torch.float64)
    A, b = torch.eye(2, dtype=torch.float64), draw.tensor([1.0, 0.0])
    # at (5.8, -1.8) and (3.8, -2.2) it is off by (3.8, 1.2) and (4.8, -3.2)
    known = {
        "A": (A, [[3.8 * 5.8 + 4.8 * 3.8, -3.8 * 1.8 - 4.8 * 2.2], [1.2 * 5.8 - 3.2 * 3.8, -1.2 * 1.8 + 3.2 * 2.2]]),
        "b": (b, [3.8 + 2 * 4.8, 1.2 - 2 * 3.2]),
        "x0": (x0, [[0.8 * 3.8, 0.8 * 1.2], [0.6 * 4.8, -0.6 * 3.2]]),
        "noise": (noise, [[-0.4 * 3.8, -0.4 * 1.2], [-0.2 * 4.8, 0.2 * 3.2]]),  # 0.6 and 0.8 of it seen, and 1 asked for
        # in alpha_bar: (3.8, 1.2) times (5/8, 5/2) at t = 0, (4.8, -3.2) times (85/24, -115/24) at t = 1
        "betas": (betas, [-5.375 - 0.5625 * 97 / 3, -0.64 * 97 / 3]),
    }
    args = [noise_net(A, b), x0, torch.tensor([0, 1]), noise, betas]
    assert_gradients_known(student.simple_loss, args, known, scale=200.0)


@simple_loss
@weight(0.05)
def test_the_simple_loss_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.simple_loss.observed(*problem(2, 3, 4, 0, dtype))), dtype)


# -- bound_term --


@bound_term
@weight(0.65)
def test_bound_terms_known_by_hand(student):
    """At t = 1: the guess is off by 0.8/0.6 of the model's error, the mean by 35/64 of that, and twice the variance is 0.4921875.

    After a step of beta = 1/100 one of 3/4 weighs the squared error with 3/4 over 2 (1/4) (1/100): 150 times.
    """
    for dtype in draw.DTYPES:
        x0, noise = draw.tensor([[5.0, 0.0], [5.0, -5.0]], dtype), draw.tensor([[1.0, 2.0], [3.0, -3.0]], dtype)
        model = constant_noise(draw.tensor([1.0, 2.0], dtype))
        got = student.bound_term(model, x0, torch.tensor([1, 1]), noise, by_hand(dtype))
        want = draw.tensor([0.0, (4 + 25) * (35 / 48) ** 2 / 0.4921875])
        assert_agrees(got, want, like=torch.float32, scale=400.0, unit="nats")
        zero = constant_noise(torch.zeros(2, dtype=dtype))
        got = student.bound_term(zero, x0, torch.tensor([1, 1]), noise, draw.tensor([0.01, 0.75], dtype))
        assert_agrees(got, draw.tensor([750.0, 2700.0]), like=torch.float32, scale=2e5, unit="nats")  # of the squares 5 and 18
        got = student.bound_term(zero, x0, torch.tensor([1, 1]), 100 * noise, draw.tensor([0.01, 0.75], dtype))
        assert_agrees(got, draw.tensor([75e5, 27e6]), like=torch.float32, scale=2e9, unit="nats")


@bound_term
@weight(0.5)
@examples(3)
@given(size=sizes, key=draw.seeds, dtype=draw.dtypes)
@example(size=(3, 3, 4), key=0, dtype=torch.float32)
@example(size=(2, 4, 6), key=1, dtype=torch.float64)
def test_bound_terms_are_divergences_of_two_steps_back(student, ref, size, key, dtype):
    """Two Gaussians of one variance: that of the true step before, given the data, and that of the model's."""
    n, m, T = size
    given_ = problem(n, m, T, key, dtype, first=1)
    want, betas = ref.bound_term(*given_), given_[-1]
    scale = rounding(betas) * growth(betas) * (1 + want) * 10
    assert_agrees(student.bound_term(*given_), want, like=dtype, scale=scale, unit="nats")


@bound_term
@weight(0.2)
def test_bound_terms_of_one_row_and_of_many(student, ref):
    """n = 1 and m = 1 are legal, with the shortest schedule, T = 2, large data and tiny steps; each of 1031 rows has its own term."""
    for n, m, T in ((1, 3, 4), (3, 1, 4), (1, 1, 2)):
        given_ = problem(n, m, T, n, torch.float64, first=1)
        want = ref.bound_term(*given_)
        assert_agrees(student.bound_term.strided(*given_), want, like=torch.float32, scale=100 + 100 * want, unit="nats")
    model, x0, t, noise, betas = problem(3, 2, 4, 1, torch.float64, first=1)
    for size, beta in ((1000.0, betas), (1.0, 1e-4 + 0 * betas)):
        given_ = constant_noise(draw.tensor([1.0, -2.0])), size * x0, t, noise, beta
        want = ref.bound_term(*given_)
        assert_agrees(student.bound_term(*given_), want, like=torch.float32, scale=100 + 100 * want, unit="nats")
    even = torch.full((40,), 0.02, dtype=torch.float64)
    model_, *given_ = problem(24, 2, 40, 1, torch.float64, first=1)
    want = ref.bound_term(model_, *given_[:3], even)
    assert_agrees(student.bound_term(model_, *given_[:3], even), want, like=torch.float32, scale=100 + 100 * want, unit="nats")
    rows = draw.integers((1031,), 3, 3)
    want = ref.bound_term(model, x0, t, noise, betas)[rows]
    got = student.bound_term.strided(model, x0[rows], t[rows], noise[rows], betas)
    assert_agrees(got, want, like=torch.float32, scale=100 + 100 * want, unit="nats")


@bound_term
@weight(0.5)
def test_bound_terms_train_the_model(student):
    """Gradients reach what the model holds, through the noisy data those without noise, the noise, and the schedule in all its places."""
    x0, noise, betas = draw.tensor([[5.0, 0.0], [5.0, -5.0]]), draw.tensor([[1.0, 1.0], [0.0, -1.0]]), by_hand(torch.float64)
    A, b = torch.eye(2, dtype=torch.float64), draw.tensor([1.0, 0.0])
    # at (3.8, 0.8) and (3, -3.8) it is off by (4.8, -0.2) and (5, -2.8); the square of that counts (35/48)^2 / 0.4921875 times
    slope = 2 * (35 / 48) ** 2 / 0.4921875
    known = {
        "A": (A, [[slope * -11.76, slope * 41.84], [slope * 16.04, slope * -21.44]]),
        "b": (b, [2 * slope * (4.8 - 2 * 5), 2 * slope * (-0.2 + 2 * 2.8)]),
        "x0": (x0, [[0.6 * slope * 4.8, 0.6 * slope * -0.2], [-1.2 * slope * 5, 1.2 * slope * 2.8]]),
        "noise": (noise, [[-0.2 * slope * 4.8, 0.2 * slope * 0.2], [0.4 * slope * 5, -0.4 * slope * 2.8]]),
        # half of the slope is beta_1 / (2 (1 - beta_1) beta_0), and weighs -42.6; alpha_bar_1 moves the noisy data, by slope times -44.375
        "betas": (betas, [slope * (21.3 / 0.36 + 0.5625 * 44.375), slope * (-21.3 / (0.4375 * 0.5625) + 0.64 * 44.375)]),
    }
    args = [noise_net(A, b), x0, torch.tensor([1, 1]), noise, betas]
    assert_gradients_known(student.bound_term, args, known, weights=draw.tensor([1.0, -2.0]), scale=1000.0)
    betas, zero = draw.tensor([0.25, 0.5]), constant_noise(draw.tensor([0.0, 0.0]))  # the square, 2, times b_1 over 2 (1 - b_1) b_0
    args = [zero, x0[:1], torch.tensor([1]), noise[:1], betas]
    assert_gradients_known(student.bound_term, args, {"betas": (betas, [-16.0, 16.0])}, scale=1000.0)


@bound_term
@weight(0.05)
def test_bound_terms_keep_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.bound_term.observed(*problem(2, 3, 4, 0, dtype, first=1))), dtype)


# -- guided_noise --


def guided_problem(n: int, m: int, key: int, dtype: torch.dtype) -> tuple[Family, Tensor, Tensor, Tensor]:
    net = label_net(draw.normal((m, m), key, 0.5, dtype), draw.normal((4, m), key + 1, 1.0, dtype))
    return net, draw.normal((n, m), key + 2, 1.0, dtype), draw.integers((n,), key + 3, 9), draw.integers((n,), key + 4, 3)


@guided_noise
@weight(0.45)
def test_guided_noise_known_by_hand(student):
    """The labels say (1, 0) and (0, 4), no label (0, 2): w = 1/2 goes half of the way further, w = 3, 15 or 100 as many times."""
    for dtype in draw.DTYPES:
        E = draw.tensor([[1.0, 0.0], [0.0, 4.0], [0.0, 2.0]], dtype)
        net, zero = label_net(torch.zeros(2, 2, dtype=dtype), E), torch.zeros(2, 2, dtype=dtype)
        t, label = torch.tensor([0, 0]), torch.tensor([1, 0])
        for w, want in ((0.5, [[0.0, 5.0], [1.5, -1.0]]), (0.0, [[0.0, 4.0], [1.0, 0.0]]), (3.0, [[0.0, 10.0], [4.0, -6.0]]),
                        (1.0, [[0.0, 6.0], [2.0, -2.0]]),
                        (-1.0, [[0.0, 2.0], [0.0, 2.0]]), (15, [[0.0, 34.0], [16.0, -30.0]]),
                        (100.0, [[0.0, 204.0], [101.0, -200.0]])):  # fmt: skip
            got = student.guided_noise(net, zero, t, label, w)
            assert_agrees(got, draw.tensor(want), like=torch.float32, scale=100.0 + 10 * w)
    x = draw.tensor([[3.0], [-1.0]])  # what a model hands out may be x itself
    assert_agrees(student.guided_noise(identity_label_net(), x, t, label, 2.0), x, like=torch.float32, scale=20.0)


@guided_noise
@weight(0.25)
@examples(3)
@given(n=st.integers(2, 4), m=st.integers(2, 4), w=st.sampled_from([0.25, 3.0, 7.5]), key=draw.seeds, dtype=draw.dtypes)
@example(n=3, m=3, w=3.0, key=0, dtype=torch.float32)
@example(n=2, m=4, w=0.25, key=1, dtype=torch.float64)
def test_guidance_goes_beyond_the_label(student, ref, n, m, w, key, dtype):
    """The prediction with a label, plus w times the way to it from the one without, at each row's time."""
    given_ = guided_problem(n, m, key, dtype)
    assert_agrees(student.guided_noise(*given_, w), ref.guided_noise(*given_, w), like=dtype, scale=100.0)


@guided_noise
@weight(0.1)
def test_guided_noise_of_one_row_and_of_many(student, ref):
    """n = 1 and m = 1 are legal, and so are 1031 rows."""
    net, x, t, label = guided_problem(3, 1, 1, torch.float64)
    want = ref.guided_noise(net, x, t, label, 2.0)
    for rows in (torch.tensor([1]), draw.integers((1031,), 0, 3)):
        got = student.guided_noise.strided(net, x[rows], t[rows], label[rows], 2.0)
        assert_agrees(got, want[rows], like=torch.float32, scale=100.0)


@guided_noise
@weight(0.1)
def test_guided_noise_has_gradients(student):
    """It can be differentiated in what the model holds and in x."""
    A, x = draw.tensor([[1.0, 2.0], [0.0, 1.0]]), draw.tensor([[1.0, 0.0], [2.0, -1.0]])
    E = draw.tensor([[1.0, 0.0], [0.0, 4.0], [0.0, 2.0]])
    # with w = 2 a label's row counts three times, and that of no label minus twice, for both rows of x
    known = {
        "A": (A, [[7.0, -3.0], [-1.0, -0.5]]),
        "E": (E, [[9.0, 1.5], [3.0, -6.0], [-8.0, 3.0]]),
        "x": (x, [[1.0, 0.0], [3.0, 6.5]]),
    }
    args = [label_net(A, E), x, torch.tensor([0, 1]), torch.tensor([1, 0]), 2.0]
    assert_gradients_known(student.guided_noise, args, known, weights=draw.tensor([[1.0, -2.0], [3.0, 0.5]]), scale=50.0)


@guided_noise
@weight(0.033)
def test_guided_noise_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; the arguments stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(student.guided_noise.observed(*guided_problem(2, 2, 0, dtype), 2.0)), dtype)
