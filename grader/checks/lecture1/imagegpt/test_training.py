"""Maximum likelihood: one step, and what many of them learn."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_calls_agree, assert_dtype, assert_form
from grader.checks.lecture1.imagegpt.draw import digits, model_of, networks, probed_network, untrained_network
from grader.checks.lecture1.imagegpt.helpers import adam, set_gradients, set_learning_rate, sgd, weights_of
from grader.checks.lecture1.shared import draw

train = pytest.mark.exercise("imagegpt.train_step")
weight, examples = pytest.mark.weight, pytest.mark.examples
LR = 0.125
UNIT = "nats per dimension"


@st.composite
def batches(draw_):
    """A probed network and a batch x: (n, m) for it; m = K too, where a forgotten transpose goes unnoticed."""
    net = draw_(networks(dtype=torch.float64, max_layers=1, max_m=5, probes=True))
    K, m = net.sizes["K"], net.sizes["m"]
    return net, draw.integers((draw_(st.integers(2, 4)), draw_(st.integers(1, m))), draw_(draw.seeds), high=K)


def steep_network(seed, **sizes):
    """A probed network that is sure and often wrong: its gradient is longer than 50."""
    net = probed_network(seed, **sizes)
    net.weights["head.weight"] *= 60
    return net


SQUARE = steep_network(0, K=4, m=5, dtype=torch.float64), draw.integers((3, 4), 0, high=4)  # m = K = 4 < config.m
MILD = probed_network(0, K=4, m=5, dtype=torch.float64), draw.integers((3, 4), 3, high=4)  # a loss of 1.63053: three digits are few
EQUAL = draw.integers((1, 7), 1, high=5).expand(4, 7)
LARGE = steep_network(1, K=5, m=7, dtype=torch.float64), torch.cat([draw.integers((61, 7), 0, high=5), EQUAL])
KNOWN_IMAGES = torch.tensor([[2, 0, 1, 1], [0, 1, 2, 0]])
HEAD_AFTER_THE_STEP = torch.tensor(
    [
        [-0.322990, 0.208511, 0.432306, 0.571385],
        [-0.188279, 0.111839, 0.076401, -0.453544],
        [0.530610, 0.118866, -0.605189, -0.215210],
    ]
)
KNOWN_LOSS = 1.4258449


@train
@weight(0.2)
def test_a_step_of_known_weights_on_two_images(student):
    """Two images of four pixels: the loss, and the weights of the head after a step of gradient descent, are worked out."""
    model = model_of(student, probed_network(8))
    loss = student.train_step(model, student.run(sgd, model, LR), KNOWN_IMAGES)
    assert_agrees(loss, KNOWN_LOSS, like=torch.float32, error=1e-6, unit=UNIT)
    (head,) = student.run(weights_of, model, ["head.weight"])
    what = "head.weight after the step"
    assert_agrees(head, HEAD_AFTER_THE_STEP.double(), like=torch.float32, error=1e-6, what=what)


@train
@weight(0.2)
@examples(2)
@given(case=batches())
@example(case=SQUARE)
@example(case=MILD)
def test_the_loss_is_in_nats_per_dimension_before_the_step(student, case):
    """The result is the mean of -log p(x_j | x_{1:j-1}) over images and positions, by the model as it was before the step."""
    net, x = case
    model = model_of(student, net)
    loss = _loss_of(model, net, x)[0]
    _assert_loss(student.train_step(model, student.run(sgd, model, LR), x), loss)


@train
@weight(0.15)
@examples(1)
@given(case=batches())
@example(case=SQUARE)
def test_a_step_follows_the_gradient_of_the_loss(student, case):
    """Plain gradient descent moves every parameter by minus lr times its gradient, however long that is."""
    _assert_steps(student, case)


@train
@weight(0.1)
@examples(1)
@given(case=batches(), left=st.sampled_from([1.0, -3.0]))
@example(case=SQUARE, left=1.0)
def test_gradients_left_from_before_do_not_count(student, case, left):
    """Whatever gradients the parameters carry, the step is that of this batch alone."""
    _assert_steps(student, case, left=left)


@train
@weight(0.1)
def test_every_image_of_a_large_batch_counts_alike(student):
    """65 images of 7 pixels, four of them equal: loss and step are those of the mean over all of them."""
    _assert_steps(student, LARGE, with_loss=True)


@train
@weight(0.017)
def test_the_loss_is_a_python_float(student):
    """A number, and no tensor that keeps the graph of the batch alive."""
    model = model_of(student, probed_network(8))
    assert_dtype(student.train_step(model, student.run(sgd, model, LR), KNOWN_IMAGES), float)


def _loss_of(model, net, x):
    """The loss by the student's own model, and its gradient with respect to every parameter."""
    K = net.sizes["K"]
    logits = model(x)
    assert_form(logits, (*x.shape, K))
    log_pi = logits.double().log_softmax(dim=2)
    hot = torch.nn.functional.one_hot(x, K).double()
    to_logits = (log_pi.exp() - hot) / x.numel()  # of the loss
    _, _, gradients = model.forward.gradient(x, weights=to_logits.to(logits.dtype), wrt_parameters_of=model)
    return -(log_pi * hot).sum() / x.numel(), gradients


def _assert_loss(got, loss):
    if not isinstance(got, torch.Tensor):
        assert_dtype(got, float)
    assert_calls_agree(
        torch.as_tensor(got, dtype=torch.float64), loss, scale=32 * (1 + loss),
        call="train_step", other_call="the mean of -log p by your model as it was before the step",
    )  # fmt: skip


def _assert_steps(student, case, left=None, with_loss=False):
    net, x = case
    model = model_of(student, net)
    loss, gradients = _loss_of(model, net, x)
    optimizer = student.run(sgd, model, LR)
    if left is not None:
        student.run(set_gradients, model, left)
    got = student.train_step(model, optimizer, x)
    if with_loss:
        _assert_loss(got, loss)
    names = list(net.weights)
    steps = {name: LR * gradients[name] for name in names if gradients.get(name) is not None}
    size = max(step.abs().max().item() for step in steps.values())
    for name, w in zip(names, student.run(weights_of, model, names), strict=True):
        want = net.weights[name] - steps.get(name, 0.0)
        assert_calls_agree(
            w, want, scale=32 * (size + want.abs().max().item()),
            call=f"{name} after the step", other_call="before it, minus lr times the gradient of the loss by your model",
        )  # fmt: skip


# -- it learns --

BASELINES = {  # bits per dimension on held-out digits of 4 x 4 pixels with 8 grey levels; right models reach 1.74 to 1.82
    "the uniform law": 3.0,
    "the grey levels' histogram": 2.54,
    "the Markov model of one pixel": 2.47,
    "the independent-pixel model": 1.875,
}
BEST = 1.62  # no network of this size gets below in so few steps unless it sees what it predicts
STEPS, BATCH, PEAK, WARM_UP = 150, 32, 1e-2, 15


@train
@weight(0.2)
@pytest.mark.training
@pytest.mark.seconds(300)
def test_it_learns_the_digits(student, seed):
    """Trained for 150 steps on real digits of 4 x 4 pixels, it beats every baseline on digits that it has not seen."""
    training, held_out = digits()
    net = untrained_network(seed, K=8, m=16, e=8, num_layers=1, num_heads=4)
    model = model_of(student, net)
    optimizer = student.run(adam, model, PEAK)
    generator = torch.Generator().manual_seed(seed % 2**32)
    for step in range(STEPS):
        lr = PEAK * min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        student.run(set_learning_rate, optimizer, lr)
        student.train_step(model, optimizer, training[torch.randint(len(training), (BATCH,), generator=generator)])
    logits = model(held_out)
    assert_form(logits, (*held_out.shape, 8))
    nats = -logits.double().log_softmax(2).gather(2, held_out[..., None])
    reached = nats.mean().item() / math.log(2)
    above = [f"{name} ({level:.2f})" for name, level in BASELINES.items() if not reached < level]
    if above or reached < BEST:
        why = "" if above else ": it must be looking at the pixels that it predicts"
        expected = f"fewer than {above[-1]}" if above else f"more than {BEST:.2f}"
        raise Mismatch("value", f"after {STEPS} steps it needs {reached:.2f} bits per dimension{why}", reached, expected=expected)
