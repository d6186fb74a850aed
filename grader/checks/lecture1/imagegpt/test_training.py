"""Maximum likelihood: one step, and what many of them learn."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_form, refuses
from grader.checks.lecture1.imagegpt.draw import digits, model_of, network, networks, untrained_network
from grader.checks.lecture1.imagegpt.helpers import (
    adam,
    get_modes,
    get_weights,
    set_gradients,
    set_learning_rate,
    set_modes,
    sgd,
)
from grader.checks.lecture1.shared import draw

train = pytest.mark.exercise("imagegpt.train_step")
weight, examples = pytest.mark.weight, pytest.mark.examples
LR = 0.125


@st.composite
def batches(draw_):
    """A float64 network and a batch x: (n, m) for it; m = K too, where a forgotten transpose goes unnoticed."""
    net = draw_(networks(dtype=torch.float64, max_layers=1, max_m=5))
    K, m = net.sizes["K"], net.sizes["m"]
    return net, draw.integers((draw_(st.integers(1, 3)), draw_(st.integers(1, m))), draw_(draw.seeds), high=K)


SQUARE = (
    network(0, K=4, m=5, dtype=torch.float64),
    draw.integers((3, 4), 0, high=4),
)  # m = K = 4, one less than config.m


@train
@weight(0.25)
@examples(2)
@given(case=batches())
@example(case=SQUARE)
def test_the_loss_is_in_nats_per_dimension_before_the_step(student, ref, case):
    """The result is the mean of -log p(x_j | x_{1:j-1}) over images and positions, as a Python float."""
    net, x = case
    model = model_of(student, net)
    loss, _ = ref.train_step(net.weights, net.num_heads, x, LR)
    got = student.train_step(model, student.run(sgd, model, LR), x)
    assert_agrees(got, loss.item(), like=torch.float64, scale=32 * (1 + loss.item()), unit="nats per dimension")


@train
@weight(0.125)
@examples(1)
@given(case=batches())
@example(case=SQUARE)
def test_a_step_follows_the_gradient_of_the_loss(student, ref, case):
    """Plain gradient descent moves every parameter by minus lr times its gradient, which is not clipped."""
    _assert_steps(student, ref, case)


@train
@weight(0.125)
@examples(1)
@given(case=batches(), left=st.sampled_from([1.0, -3.0]))
@example(case=SQUARE, left=1.0)
def test_gradients_left_from_before_do_not_count(student, ref, case, left):
    """Whatever gradients the parameters carry, the step is that of this batch alone."""
    _assert_steps(student, ref, case, left=left)


@train
@weight(0.125)
@examples(1)
@given(case=batches())
@example(case=SQUARE)
def test_a_step_works_where_gradients_are_off(student, ref, case):
    """Called under torch.no_grad(), it steps all the same."""
    _assert_steps(student, ref, case, under_no_grad=True)


@train
@weight(0.125)
@examples(1)
@given(case=batches())
@example(case=SQUARE)
def test_a_step_leaves_modes_and_random_state_alone(student, case):
    """Every submodule stays in its mode, nothing is drawn or printed; long and empty batches are refused."""
    net, x = case
    model = model_of(student, net)
    optimizer = student.run(sgd, model, LR)
    modes = student.run(set_modes, model)
    observed = student.train_step.observed(model, optimizer, x)
    if student.run(get_modes, model) != modes:
        raise Mismatch(
            "trace", "after the step a submodule is in another mode than before: train_step changes no modes"
        )
    if "x" in observed.changed or observed.random_state_moved or observed.autograd_mode_moved or observed.printed:
        raise Mismatch("trace", "the step changed x, a random state or the autograd mode, or printed")
    longer = draw.integers((1, net.sizes["m"] + 1), 0, high=net.sizes["K"])
    for wrong in (longer, x[:0], x[:, :0]):
        with refuses("x", "m", "n"):
            student.train_step(model, optimizer, wrong)


def _assert_steps(student, ref, case, left=None, under_no_grad=False):
    net, x = case
    model = model_of(student, net)
    optimizer = student.run(sgd, model, LR)
    if left is not None:
        student.run(set_gradients, model, left)
    step = student.train_step.under_no_grad if under_no_grad else student.train_step
    step(model, optimizer, x)
    got = student.run(get_weights, model)
    _, want = ref.train_step(net.weights, net.num_heads, x, LR)
    size = max((want[name] - w).abs().max().item() for name, w in net.weights.items())
    for name, w in want.items():
        scale = 32 * (size + w.abs().max().item())
        assert_agrees(got[name], w, scale=scale, what=f"{name} after the step")


# -- it learns --

BASELINES = {  # bits per dimension on held-out digits with 17 grey levels; right models reach 2.03 to 2.10
    "the uniform law": math.log2(17),
    "the grey levels' histogram": 2.97,
    "the Markov model of two pixels": 2.47,
    "the independent-pixel model": 2.42,
}
BEST = 1.60  # no network of this size gets below in so few steps unless it sees what it predicts
STEPS, BATCH, PEAK, WARM_UP = 300, 32, 1e-2, 50


@train
@weight(0.25)
@pytest.mark.training
@pytest.mark.seconds(300)
def test_it_learns_the_digits(student, seed):
    """Trained for 300 steps on real 8 x 8 digits, it beats every baseline on digits that it has not seen."""
    training, held_out = digits()
    net = untrained_network(seed, K=17, m=64, e=8, num_layers=1, num_heads=4)
    model = model_of(student, net)
    optimizer = student.run(adam, model, PEAK)
    generator = torch.Generator().manual_seed(seed % 2**32)
    for step in range(STEPS):
        lr = PEAK * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        student.run(set_learning_rate, optimizer, lr)
        student.train_step(model, optimizer, training[torch.randint(len(training), (BATCH,), generator=generator)])
    bits = []
    for x in held_out.split(90):
        logits = model(x)
        assert_form(logits, (*x.shape, 17), torch.float32)
        bits.append(-logits.double().log_softmax(2).gather(2, x[..., None])[..., 0] / math.log(2))
    reached = torch.cat(bits).mean().item()
    above = [f"{name} ({level:.2f})" for name, level in BASELINES.items() if not reached < level]
    if above:
        raise Mismatch(
            "value",
            f"after {STEPS} steps it needs {reached:.2f} bits per dimension, expected fewer than {above[-1]}",
            reached,
        )
    if reached < BEST:
        raise Mismatch(
            "value",
            f"after {STEPS} steps it needs {reached:.2f} bits per dimension, expected more than {BEST:.2f}: "
            "it must be looking at the pixels that it predicts",
            reached,
        )
