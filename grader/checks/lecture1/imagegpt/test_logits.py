"""ImageGPT: the logits of every pixel of an image given those before it."""

import itertools
import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import Mismatch, assert_agrees, assert_form, assert_no_trace, refuses
from grader.checks.lecture1.imagegpt.draw import (
    SEVERAL,
    assert_network_agrees,
    model_of,
    network,
    networks,
)
from grader.checks.lecture1.imagegpt.helpers import elsewhere, get_modes, set_modes, set_weights
from grader.checks.lecture1.shared import draw

forward = pytest.mark.exercise("imagegpt.ImageGPT.forward")
weight, examples = pytest.mark.weight, pytest.mark.examples

FELT = 1e-9  # of a float64 logit: what arrives moves it by 1e-5 and more, what does not by rounding alone


@forward
@weight(0.25)
@examples(3)
@given(net=networks(), n=st.integers(1, 3), key=draw.seeds, short=st.integers(0, 2))
@example(net=SEVERAL, n=2, key=0, short=1)
def test_forward_gives_the_logits_of_every_pixel_given_those_before(student, ref, net, n, key, short):
    """The law of pixel j given the pixels before it, also for sequences shorter than config.m."""
    x = draw.integers((n, max(1, net.sizes["m"] - short)), key, high=net.sizes["K"])
    got = model_of(student, net)(x)
    dtype = net.weights["sos"].dtype
    assert_form(got, (*x.shape, net.sizes["K"]), dtype)
    law = lambda w: ref.forward(w, net.num_heads, x).log_softmax(dim=-1)  # noqa: E731  logits are free up to a constant
    assert_network_agrees(got.log_softmax(dim=-1), law, got, net.weights)


@forward
@weight(0.125)
@examples(1)
@given(seed=draw.seeds, j=st.integers(0, 4), key=draw.seeds)
@example(seed=0, j=0, key=0)
@example(seed=1, j=3, key=1)
@example(seed=2, j=4, key=2)  # only the last pixel tells a roll from a shift
def test_a_pixel_moves_the_logits_of_all_later_pixels_and_of_no_other(student, seed, j, key):
    """x_j is seen by every later position and neither by its own nor by earlier ones."""
    model = model_of(student, network(seed, K=4, m=5, e=4, num_layers=1, dtype=torch.float64))
    x = draw.integers((1, 5), key, high=4)
    y = x.clone()
    y[:, j] = (y[:, j] + 1) % 4
    before, after = _logits(model, torch.cat([x, y]), 4).split(1)
    assert_agrees(
        after[:, : j + 1],
        before[:, : j + 1],
        scale=32 * before.abs().max(),
        what=f"the logits up to pixel {j} after a change of x[:, {j}]",
    )
    moved = (after - before).abs().amax(dim=2)[0, j + 1 :]
    if (moved < FELT).any():
        raise Mismatch(
            "value", f"a change of x[:, {j}] does not reach the logits of pixel {j + 1 + int(moved.argmin())}", after
        )


@forward
@weight(0.125)
@examples(1)
@given(seed=draw.seeds, j=st.integers(0, 4), key=draw.seeds)
@example(seed=0, j=0, key=0)
@example(seed=1, j=3, key=1)
def test_the_start_vector_and_every_position_count(student, seed, j, key):
    """The start vector moves all logits; the vector of position j moves those from pixel j on and no earlier ones."""
    net = network(seed, K=4, m=5, e=4, num_layers=1, dtype=torch.float64)
    x = draw.integers((1, 5), key, high=4)
    model = model_of(student, net)
    before = _logits(model, x, 4)
    shift = draw.normal((net.sizes["dim"],), key, dtype=torch.float64) + 0.1
    wpe = net.weights["wpe.weight"].clone()
    wpe[j] += shift
    for name, changed, first in (("sos", net.weights["sos"] + shift, 0), ("wpe.weight", wpe, j)):
        student.run(set_weights, model, {**net.weights, name: changed})
        after = _logits(model, x, 4)
        moved = (after - before).abs().amax(dim=2)[0]
        if (moved[first:] < FELT).any() or (moved[:first] > FELT).any():
            what = "the start vector `sos`" if name == "sos" else f"row {j} of `wpe`"
            raise Mismatch(
                "value", f"a change of {what} must move the logits of the pixels from {first} on, and no others", after
            )


@forward
@weight(0.125)
@examples(2)
@given(seed=draw.seeds)
def test_the_probabilities_of_all_images_sum_to_one(student, seed):
    """Summed over all K^m images, the product of the conditionals is one."""
    K, m = 3, 4
    model = model_of(student, network(seed, K=K, m=m + 1, dtype=torch.float64))
    x = torch.tensor(list(itertools.product(range(K), repeat=m)))
    log_pi = _logits(model, x, K).log_softmax(dim=2)
    total = log_pi.gather(2, x[..., None])[..., 0].sum(dim=1).exp().sum()
    assert_agrees(total, torch.ones((), dtype=torch.float64), scale=32.0, what="the sum over all images")


@forward
@weight(0.125)
@examples(2)
@given(net=networks(), key=draw.seeds)
def test_an_untrained_head_of_zeros_gives_the_uniform_law(student, net, key):
    """With a head of zeros each value has probability 1 / K, so a pixel costs log2 K bits."""
    K, m = net.sizes["K"], net.sizes["m"]
    blank = net._replace(weights={**net.weights, "head.weight": torch.zeros_like(net.weights["head.weight"])})
    got = model_of(student, blank)(draw.integers((2, m), key, high=K))
    assert_form(got, (2, m, K), net.weights["sos"].dtype)
    assert_agrees(
        -got.log_softmax(2) / math.log(2),
        torch.full((2, m, K), math.log2(K), dtype=torch.float64),
        like=got,
        what="bits of a pixel",
    )


@forward
@weight(0.125)
@examples(1)
@given(net=networks(dtype=torch.float64, max_m=4), n=st.integers(2, 3), key=draw.seeds)
@example(net=network(0, dtype=torch.float64), n=2, key=1)  # two images that differ in their first three pixels
def test_forward_leaves_no_trace_and_refuses_long_sequences(student, net, n, key):
    """Images do not meet, gradients reach every parameter, nothing changes; longer than config.m is refused."""
    K, m = net.sizes["K"], net.sizes["m"]
    model, x = model_of(student, net), draw.integers((n, m), key, high=K)
    modes = student.run(set_modes, model)
    assert_no_trace(model.forward.observed(x))
    assert_agrees(student.run(get_modes, model), modes, what="the modes of the submodules after the call")
    w = draw.normal((n, m, K), key, dtype=torch.float64)
    together, _, of_weights = model.forward.gradient(x, weights=w, wrt_parameters_of=model)
    assert_form(together, (n, m, K), torch.float64)
    missing = [name for name, g in of_weights.items() if g is None and (m > 1 or name != "wte.weight")]
    if missing:
        raise Mismatch("gradient", f"no gradient reaches {', '.join(missing)}")
    for got, want in ((model.forward.under_no_grad(x), together), (model(x[-1:]), together[-1:])):
        assert_agrees(got, want, scale=32 * together.abs().max(), what="an image alone, or without gradients,")
    for wrong in (torch.cat([x, x[:, :1]], dim=1), x[:0], x[:, :0]):
        with refuses("x", "m", "n"):
            model(wrong)


@forward
@weight(0.125)
def test_forward_stays_on_the_device_of_the_model(student, seed):
    """The start vector, positions and masks are made where the model is, whatever that device is."""
    net = network(seed, m=5, num_layers=1)
    problem = student.run(elsewhere, model_of(student, net), "forward", draw.integers((2, 4), seed, high=3))
    if problem:
        raise Mismatch("device", f"with the model and x on another device, {problem}. Give `device=` to what you make.")


def _logits(model, x, K):
    logits = model(x)
    assert_form(logits, (*x.shape, K), torch.float64)
    return logits
