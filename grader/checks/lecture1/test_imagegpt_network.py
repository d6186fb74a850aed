"""ImageGPT: a block, the decoder, and the logits of an image."""

import itertools
import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checks.lecture1 import draw
from grader.checks.lecture1.draw_imagegpt import block_of, cache_of, embedded, model_of, network, networks
from grader.checks.lecture1.imagegpt_helpers import cache_lengths, elsewhere, get_modes, set_modes
from grader.compare import Mismatch, assert_agrees, assert_form, assert_gradient_agrees, assert_no_trace, refuses
from grader.tolerance import condition_of

block = pytest.mark.exercise("imagegpt.Block.forward")
decode = pytest.mark.exercise("imagegpt.ImageGPT.decode")
forward = pytest.mark.exercise("imagegpt.ImageGPT.forward")
points, examples = pytest.mark.points, pytest.mark.examples
chunkings = st.sampled_from([[1, 1, 1, 1, 1], [3, 2], [1, 4], [2, 1, 2]])  # of five positions


def assert_network_agrees(got, want, like, *inputs, what="the result"):
    """`got` is `want(*inputs)`, up to what a rounding of inputs, weights and the largest result does."""
    exact = want(*inputs)
    condition = condition_of(want, *inputs, dtype=like.dtype, trials=3)
    assert_agrees(got, exact, like=like, condition=condition.max(), scale=exact.abs().max(), what=what)


# -- Block.forward --


@block
@points(0.5)
@examples(10)
@given(net=networks(), n=st.integers(1, 3), t=st.integers(1, 5), key=draw.seeds)
def test_a_block_adds_attention_and_then_an_mlp(student, ref, net, n, t, key):
    """a = h + proj(Attention(qkv(ln_1(h)))), then a + out(g(fc(ln_2(a)))) with g(x) = x sigmoid(1.702 x)."""
    h = embedded(net, n, t, key)
    got = block_of(student, net)(h, 0)
    assert_network_agrees(got, lambda w, h: ref.block(w, net.num_heads, h), h, net.block(), h)


@block
@points(0.25)
@examples(5)
@given(net=networks(), n=st.integers(1, 3), key=draw.seeds)
def test_a_block_on_a_single_position(student, ref, net, n, key):
    """A single position attends to itself alone: what is left are projections, norms, residuals and the MLP."""
    h = embedded(net, n, 1, key)
    got = block_of(student, net)(h, 0)
    assert_network_agrees(got, lambda w, h: ref.block(w, net.num_heads, h), h, net.block(), h)


@block
@points(0.25)
@examples(5)
@given(net=networks(), scale=st.sampled_from([1e-3, 1e-2]), key=draw.seeds)
@example(net=network(0, e=4), scale=1e-3, key=0)
def test_a_block_norms_small_inputs_with_their_epsilon(student, ref, net, scale, key):
    """The norms of the block add 1e-5 to the mean square, which tells for inputs near zero."""
    h = embedded(net, 2, 3, key) * scale
    got = block_of(student, net)(h, 0)
    assert_network_agrees(got, lambda w, h: ref.block(w, net.num_heads, h), h, net.block(), h)


@block
@points(0.25)
@examples(6)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
def test_a_block_with_a_cache_goes_on_where_it_stopped(student, seed, chunks, key):
    """Fed in pieces with a cache, a sequence gives what it gives at once."""
    net = network(seed, m=5, dtype=torch.float64)
    h = embedded(net, 2, 5, key)
    own = block_of(student, net)
    whole = own(h, 0)
    assert_form(whole, h.shape, h.dtype)
    cache = cache_of(student, net, own, n=2)
    for piece, want in zip(h.split(chunks, dim=1), whole.split(chunks, dim=1), strict=True):
        assert_agrees(own(piece, 0, cache), want, scale=32 * whole.abs().max(), what="the next piece")


@block
@points(0.25)
@examples(4)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
def test_a_block_stores_its_keys_and_values_under_its_own_layer(student, seed, chunks, key):
    """Positions go into the place of the layer that is named, and more than config.m of them are refused."""
    net = network(seed, m=5, num_layers=3, dtype=torch.float64)
    own = block_of(student, net)
    cache = cache_of(student, net, own, n=1)
    stored = 0
    for piece in embedded(net, 1, 5, key).split(chunks, dim=1):
        own(piece, 1, cache=cache)
        stored += piece.shape[1]
        assert_agrees(student.run(cache_lengths, cache), [0, stored, 0, 0], what="positions stored by layers 0, 1, 2 and all")
    with refuses("k", "v", "m", "h", "cache", "layer"):
        own(embedded(net, 1, 1, key), 1, cache)


@block
@points(0.25)
@examples(4)
@given(net=networks(dtype=torch.float64), n=st.integers(1, 2), t=st.integers(1, 4), key=draw.seeds)
def test_a_block_has_the_gradient_that_training_needs(student, ref, net, n, t, key):
    """Gradients reach the input and every parameter of the block, biases and gains too."""
    h, w = embedded(net, n, t, key), embedded(net, n, t, key + 1)
    own = block_of(student, net)
    got, [of_h], of_weights = own.forward.gradient(h, 0, wrt=[h], weights=w, wrt_parameters_of=own)
    assert_form(got, h.shape, h.dtype)
    want_h, want = ref.block_gradients(net.block(), net.num_heads, h, w)
    size = max(g.abs().max().item() for g in (want_h, *want.values()))
    for name, gradient in (("h", of_h), *of_weights.items()):
        place = lambda weights, h, name=name: _part(ref.block_gradients(weights, net.num_heads, h, w), name)  # noqa: E731
        condition = condition_of(place, net.block(), h, dtype=h.dtype, trials=2).max()
        exact = want_h if name == "h" else want[name]
        assert_gradient_agrees(gradient, exact, of=name, like=h, condition=condition, scale=32 * size)


@block
@points(0.25)
@examples(4)
@given(net=networks(dtype=torch.float64), key=draw.seeds)
def test_a_block_leaves_no_trace_and_images_do_not_meet(student, net, key):
    """An image comes out the same alone and in a batch; nothing is changed or drawn; gradients may be off."""
    h = embedded(net, 3, 4, key)
    own = block_of(student, net)
    modes = student.run(set_modes, own)
    observed = own.forward.observed(h, 0)
    assert_no_trace(observed)
    assert_agrees(student.run(get_modes, own), modes, what="the modes of the submodules after the call")
    assert_form(observed.value, h.shape, h.dtype)
    for got, want in ((own.forward.under_no_grad(h, 0), observed.value), (own(h[1:2], 0), observed.value[1:2])):
        assert_agrees(got, want, scale=32 * observed.value.abs().max())


# -- ImageGPT.decode --


@decode
@points(0.5)
@examples(8)
@given(net=networks(), n=st.integers(1, 3), t=st.integers(1, 5), key=draw.seeds)
def test_decode_runs_blocks_norm_and_head(student, ref, net, n, t, key):
    """All blocks in order, the last norm, the head: no positions are added, no softmax is taken."""
    h = embedded(net, n, t, key)
    got = model_of(student, net).decode(h)
    assert_network_agrees(got, lambda w, h: ref.decode(w, net.num_heads, h), h, net.weights, h)


@decode
@points(0.25)
@examples(6)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
def test_decode_with_a_cache_goes_on_where_it_stopped(student, seed, chunks, key):
    """Fed in pieces with a cache, a sequence gives the logits that it gives at once, and every layer counts along."""
    net = network(seed, m=5, num_layers=3, dtype=torch.float64)
    h = embedded(net, 2, 5, key)
    model = model_of(student, net)
    whole = model.decode(h)
    assert_form(whole, (2, 5, 3), h.dtype)
    cache = cache_of(student, net, model, n=2)
    stored = 0
    for piece, want in zip(h.split(chunks, dim=1), whole.split(chunks, dim=1), strict=True):
        assert_agrees(model.decode(piece, cache), want, scale=32 * whole.abs().max(), what="the next piece")
        stored += piece.shape[1]
        assert_agrees(student.run(cache_lengths, cache), [stored] * 4, what="positions stored by layers 0, 1, 2 and all")
    with refuses("k", "v", "m", "h", "cache", "layer"):
        model.decode(h[:, :1], cache)


@decode
@points(0.25)
@examples(4)
@given(net=networks(dtype=torch.float64), key=draw.seeds)
def test_decode_reaches_every_parameter_behind_it(student, net, key):
    """Gradients reach the embedded positions and all of blocks, norm and head; nothing is changed or drawn."""
    h = embedded(net, 2, 3, key)
    model = model_of(student, net)
    assert_no_trace(model.decode.observed(h))
    w = draw.normal((2, 3, net.sizes["K"]), key, dtype=h.dtype)
    got, [of_h], of_weights = model.decode.gradient(h, wrt=[h], weights=w, wrt_parameters_of=model)
    assert_form(got, w.shape, h.dtype)
    missing = [name for name, g in {"h": of_h, **of_weights}.items() if g is None and not name.startswith(("wte", "wpe", "sos"))]
    if missing:
        raise Mismatch("gradient", f"no gradient reaches {', '.join(missing)}")
    assert_agrees(model.decode.under_no_grad(h), got, scale=32 * got.abs().max(), what="the result where gradients are off")


# -- ImageGPT.forward --


@forward
@points(0.25)
@examples(10)
@given(net=networks(), n=st.integers(1, 3), key=draw.seeds, short=st.integers(0, 2))
def test_forward_gives_the_logits_of_every_pixel_given_those_before(student, ref, net, n, key, short):
    """The law of pixel j given the pixels before it, also for sequences shorter than config.m."""
    x = draw.integers((n, max(1, net.sizes["m"] - short)), key, high=net.sizes["K"])
    got = model_of(student, net)(x)
    dtype = net.weights["sos"].dtype
    assert_form(got, (*x.shape, net.sizes["K"]), dtype)
    law = lambda w: ref.forward(w, net.num_heads, x).log_softmax(dim=-1)  # noqa: E731  logits are free up to a constant
    assert_network_agrees(got.log_softmax(dim=-1), law, got, net.weights)


@forward
@points(0.125)
@examples(6)
@given(seed=draw.seeds, j=st.integers(0, 4), key=draw.seeds)
@example(seed=0, j=0, key=0)
@example(seed=1, j=3, key=1)
def test_a_pixel_moves_the_logits_of_all_later_pixels_and_of_no_other(student, seed, j, key):
    """x_j is seen by every later position and neither by its own nor by earlier ones."""
    net = network(seed, K=4, m=5, e=4, dtype=torch.float64)
    model = model_of(student, net)
    x = draw.integers((1, 5), key, high=4)
    y = x.clone()
    y[:, j] = (y[:, j] + 1) % 4
    before, after = _logits(model, x, 4), _logits(model, y, 4)
    assert_agrees(after[:, : j + 1], before[:, : j + 1], scale=32 * before.abs().max(), what=f"the logits up to pixel {j} after a change of x[:, {j}]")
    moved = (after - before).abs().amax(dim=2)[0, j + 1 :]
    if (moved < 1e-9).any():
        raise Mismatch("value", f"a change of x[:, {j}] does not reach the logits of pixel {j + 1 + int(moved.argmin())}", after)


@forward
@points(0.125)
@examples(4)
@given(seed=draw.seeds, j=st.integers(0, 4), key=draw.seeds)
@example(seed=0, j=0, key=0)
def test_the_start_vector_and_every_position_count(student, seed, j, key):
    """The start vector moves all logits; the vector of position j moves those from pixel j on and no earlier ones."""
    net = network(seed, K=4, m=5, e=4, dtype=torch.float64)
    x = draw.integers((1, 5), key, high=4)
    before = _logits(model_of(student, net), x, 4)
    shift = draw.normal((net.sizes["dim"],), key, dtype=torch.float64) + 0.1
    wpe = net.weights["wpe.weight"].clone()
    wpe[j] += shift
    for name, changed, first in (("sos", net.weights["sos"] + shift, 0), ("wpe.weight", wpe, j)):
        after = _logits(model_of(student, net._replace(weights={**net.weights, name: changed})), x, 4)
        moved = (after - before).abs().amax(dim=2)[0]
        if (moved[first:] < 1e-9).any() or (moved[:first] > 1e-9).any():
            what = "the start vector `sos`" if name == "sos" else f"row {j} of `wpe`"
            raise Mismatch("value", f"a change of {what} must move the logits of the pixels from {first} on, and no others", after)


@forward
@points(0.125)
@examples(3)
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
@points(0.125)
@examples(3)
@given(net=networks(), key=draw.seeds)
def test_an_untrained_head_of_zeros_gives_the_uniform_law(student, net, key):
    """With a head of zeros each value has probability 1 / K, so a pixel costs log2 K bits."""
    K, m = net.sizes["K"], net.sizes["m"]
    blank = net._replace(weights={**net.weights, "head.weight": torch.zeros_like(net.weights["head.weight"])})
    got = model_of(student, blank)(draw.integers((2, m), key, high=K))
    assert_form(got, (2, m, K), net.weights["sos"].dtype)
    assert_agrees(-got.log_softmax(2) / math.log(2), torch.full((2, m, K), math.log2(K), dtype=torch.float64), like=got, what="bits of a pixel")


@forward
@points(0.125)
@examples(3)
@given(net=networks(dtype=torch.float64, max_m=4), n=st.integers(2, 3), key=draw.seeds)
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
@points(0.125)
@examples(2)
@given(net=networks(), key=draw.seeds)
@example(net=network(0, m=5), key=0)
def test_forward_stays_on_the_device_of_the_model(student, net, key):
    """The start vector, positions and masks are made where the model is, whatever that device is."""
    x = draw.integers((2, net.sizes["m"]), key, high=net.sizes["K"])
    problem = student.run(elsewhere, model_of(student, net), "forward", x)
    if problem:
        raise Mismatch("device", f"with the model and x on another device, {problem}. Give `device=` to what you make.")


def _part(gradients, name):
    of_h, of_weights = gradients
    return of_h if name == "h" else of_weights[name]


def _logits(model, x, K):
    logits = model(x)
    assert_form(logits, (*x.shape, K), torch.float64)
    return logits
