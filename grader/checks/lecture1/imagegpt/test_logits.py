"""ImageGPT: the logits of every pixel of an image given those before it. Its blocks are probes, but for one check."""

import itertools

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import (
    Mismatch,
    assert_agrees,
    assert_calls_agree,
    assert_dtype,
    assert_form,
    assert_reached,
    assert_unchanged,
)
from grader.checking.student import CannotObserve
from grader.checks.lecture1.imagegpt.draw import (
    SEVERAL,
    assert_network_agrees,
    model_of,
    networks,
    probed_network,
)
from grader.checks.lecture1.imagegpt.helpers import elsewhere, set_mode
from grader.checks.lecture1.shared import draw

forward = pytest.mark.exercise("imagegpt.ImageGPT.forward")
weight, examples = pytest.mark.weight, pytest.mark.examples

FELT = 1e-9  # of a float64 logit: what arrives moves it by 1e-5 and more, what does not by rounding alone
PROBED = probed_network(0, K=4, m=5, e=3, dtype=torch.float64)
KNOWN = probed_network(8)
IMAGES = torch.tensor([[2, 0, 1, 1], [0, 1, 2, 0]])
LOGITS = torch.tensor(
    [
        [
            [0.098711, 0.760310, -0.425878],
            [-0.600702, 0.708127, 0.229716],
            [-0.827935, 0.246520, 0.357719],
            [-1.259564, -0.093318, 0.973211],
        ],
        [
            [0.098711, 0.760310, -0.425878],
            [-0.491536, 0.633085, -0.347120],
            [-1.024618, 0.608186, 0.550624],
            [-1.142016, -0.376879, 1.354020],
        ],
    ]
)


@forward
@weight(0.2)
def test_forward_of_known_weights_on_two_images(student):
    """Two images of four pixels with three colours: log p(x_j | x_{1:j-1}) of every colour is worked out."""
    got = model_of(student, KNOWN)(IMAGES)
    assert_form(got, LOGITS.shape)
    want, what = LOGITS.double().log_softmax(2), "the log-softmax of your logits"
    assert_agrees(got.double().log_softmax(2), want, like=torch.float32, error=1e-6, what=what)


@forward
@weight(0.05)
def test_forward_of_known_weights_gives_what_the_head_gives(student):
    """The logits themselves are worked out too: neither probabilities nor log-probabilities."""
    assert_agrees(model_of(student, KNOWN)(IMAGES), LOGITS.double(), like=torch.float32, error=1e-6)


@forward
@weight(0.2)
@examples(2)
@given(net=networks(probes=True), n=st.integers(1, 3), key=draw.seeds)
@example(net=PROBED, n=2, key=0)
@example(net=probed_network(1, K=256, m=5), n=3, key=1)
@example(net=probed_network(2, K=3, m=130, num_layers=1, dtype=torch.float64), n=1, key=2)
def test_forward_gives_the_law_of_every_pixel_given_those_before(student, ref, net, n, key):
    """Softmaxed, the logits are the law of pixel j given the pixels before it."""
    _assert_law_agrees(student, ref, net, draw.integers((n, net.sizes["m"]), key, high=net.sizes["K"]))


@forward
@weight(0.05)
@examples(1)
@given(net=networks(probes=True), n=st.integers(1, 3), key=draw.seeds)
@example(net=PROBED, n=2, key=0)
@example(net=probed_network(1, K=4, m=5), n=3, key=1)
def test_forward_gives_logits_as_the_head_does(student, ref, net, n, key):
    """The result is what `decode` gives, the output of the head: neither probabilities nor log-probabilities."""
    x = draw.integers((n, net.sizes["m"]), key, high=net.sizes["K"])
    model = model_of(student, net)
    own = model.decode(ref.embed(net.weights, x).to(net.weights["sos"].dtype))
    got = model(x)
    for logits in (own, got):
        assert_form(logits, (*x.shape, net.sizes["K"]))
    assert_calls_agree(
        got,
        own,
        like=net.weights["sos"],
        scale=32 * own.abs().max(),
        call="forward",
        other_call="decode of the embedded positions",
    )


@forward
@weight(0.1)
def test_a_sequence_may_be_shorter_than_the_longest(student):
    """x with fewer than config.m values, one at least, gets the first rows of wpe."""
    model, what = model_of(student, KNOWN), "the log-softmax of your logits"
    for m in (1, 3):
        got = model(IMAGES[:, :m])
        assert_form(got, (2, m, 3))
        want = LOGITS[:, :m].double().log_softmax(2)
        assert_agrees(got.double().log_softmax(2), want, like=torch.float32, error=1e-6, what=what)


@forward
@weight(0.1)
@examples(1)
@given(seed=draw.seeds, m=st.just(5), j=st.integers(0, 4), key=draw.seeds)
@example(seed=0, m=5, j=0, key=0)
@example(seed=1, m=5, j=3, key=1)
@example(seed=2, m=5, j=4, key=2)  # only the last pixel tells a roll from a shift
@example(seed=3, m=130, j=1, key=3)
def test_a_pixel_moves_the_logits_of_all_later_pixels_and_of_no_other(student, seed, m, j, key):
    """x_j is seen by every later position and neither by its own nor by earlier ones."""
    model = model_of(student, probed_network(seed, K=4, m=m, e=4, num_layers=1, dtype=torch.float64))
    x = draw.integers((1, m), key, high=4)
    y = x.clone()
    y[:, j] = (y[:, j] + 1) % 4
    logits = model(torch.cat([x, y]))
    assert_form(logits, (2, m, 4))
    before, after = logits.double().split(1)
    assert_calls_agree(
        after[:, : j + 1], before[:, : j + 1], scale=32 * before.abs().max(),
        call=f"after a change of x[:, {j}] the logits up to pixel {j}", other_call="before the change",
    )  # fmt: skip
    moved = (after - before).abs().amax(dim=2)[0, j + 1 :]
    if (moved < FELT).any():
        blind = j + 1 + int(moved.argmin())
        raise Mismatch("value", f"a change of x[:, {j}] does not reach the logits of pixel {blind}", after)


@forward
@weight(0.1)
@examples(1)
@given(seed=draw.seeds)
def test_the_probabilities_of_all_images_sum_to_one(student, seed):
    """Summed over all K^m images, the product of the conditionals is one."""
    K, m = 3, 4
    model = model_of(student, probed_network(seed, K=K, m=m + 1, dtype=torch.float64))
    x = torch.tensor(list(itertools.product(range(K), repeat=m)))
    logits = model(x)
    assert_form(logits, (len(x), m, K))
    total = logits.double().log_softmax(dim=2).gather(2, x[..., None])[..., 0].sum(dim=1).exp().sum()
    assert_agrees(total, torch.ones((), dtype=torch.float64), scale=32.0, what="the sum over all images")


@forward
@weight(0.05)
@examples(1)
@given(net=networks(dtype=torch.float64, max_m=4, probes=True), n=st.integers(2, 3), key=draw.seeds)
@example(net=PROBED, n=2, key=1)
@example(net=PROBED, n=1, key=1)
def test_forward_reaches_every_parameter(student, net, n, key):
    """Gradients of the logits reach the start vector, every colour, positions, blocks, norm and head, in eval mode as well."""
    K, m = net.sizes["K"], net.sizes["m"]
    model, x = model_of(student, net), draw.integers((n, m), key, high=K)
    student.run(set_mode, model, False)
    x[0, 0] = 0  # the first colour is one like others
    w = draw.normal((n, m, K), key, dtype=torch.float64)
    _, _, of_weights = model.forward.gradient(x, weights=w, wrt_parameters_of=model)
    assert_reached({name: of_weights.get(name) for name in net.weights if m > 1 or name != "wte.weight"})
    for k in x[:, : m - 1].unique().tolist():
        if not of_weights["wte.weight"][k].any():
            raise Mismatch("gradient", f"no gradient reaches row {k} of wte.weight, though that colour comes before others")


@forward
@weight(0.025)
def test_embeddings_learn_from_every_place_where_they_stand(student):
    """The gradient of a colour is the sum over the positions after it, that of the start vector the sum over the images."""
    model, x = model_of(student, PROBED), torch.tensor([[1, 0, 1, 1, 2], [1, 2, 2, 1, 0], [3, 1, 0, 0, 3]])
    weights = PROBED.weights
    h = torch.cat([weights["sos"].expand(3, 1, -1), weights["wte.weight"][x[:, :-1]]], dim=1) + weights["wpe.weight"]
    w = draw.normal((3, 5, 4), 0, dtype=torch.float64)
    _, [of_h] = model.decode.gradient(h, wrt=[h], weights=w)
    _, _, got = model.forward.gradient(x, weights=w, wrt_parameters_of=model)
    assert_reached({"h": of_h} | {name: got.get(name) for name in ("wte.weight", "sos", "wpe.weight")})
    colours = torch.zeros_like(weights["wte.weight"]).index_add(0, x[:, :-1].flatten(), of_h[:, 1:].flatten(0, 1))
    for name, want in (("wte.weight", colours), ("sos", of_h[:, 0].sum(dim=0)), ("wpe.weight", of_h.sum(dim=0))):
        assert_calls_agree(
            got[name], want, scale=32 * of_h.abs().max(),
            call=f"the gradient of {name}", other_call="that of decode in h, added up over the places where it stands",
        )  # fmt: skip


@forward
@weight(0.05)
@examples(1)
@given(net=networks(), n=st.integers(1, 3), key=draw.seeds)
@example(net=SEVERAL, n=2, key=0)
def test_the_whole_network_computes_the_law_of_every_pixel(student, ref, net, n, key):
    """With your own blocks and attention it is ImageGPT: the law of pixel j given the pixels before it."""
    _assert_law_agrees(student, ref, net, draw.integers((n, net.sizes["m"]), key, high=net.sizes["K"]))


@forward
@weight(0.0083)
def test_forward_keeps_the_dtype(student):
    """A float64 model gives float64 logits, a float32 model float32; the images stay as they are."""
    for dtype in draw.DTYPES:
        assert_dtype(assert_unchanged(model_of(student, probed_network(8, dtype=dtype)).forward.observed(IMAGES)), dtype)


@forward
@weight(0.05)
def test_forward_stays_on_the_device_of_the_model(student, seed):
    """The start vector, positions and masks are made where the model is, whatever that device is."""
    model = model_of(student, probed_network(seed, m=5, num_layers=1))
    x = draw.integers((2, 4), seed, high=3)
    model(x)  # what fails here fails for another reason
    problem = student.run(elsewhere, model, "forward", x)
    if problem is None:
        raise CannotObserve("where this function computes cannot be seen without a GPU")
    if problem:
        raise Mismatch("device", f"with the model and x on another device, {problem}. Give `device=` to what you make.")


def _assert_law_agrees(student, ref, net, x):
    got = model_of(student, net)(x)
    assert_form(got, (*x.shape, net.sizes["K"]))
    law = lambda w: ref.forward(w, net.num_heads, x).log_softmax(dim=-1)  # noqa: E731  logits are free up to a constant
    what = "the log-softmax of your logits"
    assert_network_agrees(got.double().log_softmax(dim=-1), law, net.weights["sos"], net.weights, what=what)
