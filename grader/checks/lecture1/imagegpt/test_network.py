"""ImageGPT: a block, and the decoder."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from grader.checking.compare import (
    Mismatch,
    assert_agrees,
    assert_form,
    assert_gradient_agrees,
    assert_no_trace,
    refuses,
)
from grader.checking.tolerance import condition_of
from grader.checks.lecture1.imagegpt.draw import (
    SEVERAL,
    assert_network_agrees,
    block_of,
    cache_of,
    embedded,
    model_of,
    network,
    networks,
)
from grader.checks.lecture1.imagegpt.helpers import cache_lengths, get_modes, set_modes
from grader.checks.lecture1.shared import draw

block = pytest.mark.exercise("imagegpt.Block.forward")
decode = pytest.mark.exercise("imagegpt.ImageGPT.decode")
weight, examples = pytest.mark.weight, pytest.mark.examples
chunkings = st.sampled_from([[1, 1, 1, 1, 1], [3, 2], [1, 4], [2, 1, 2]])  # of five positions


# -- Block.forward --


@block
@weight(0.5)
@examples(3)
@given(net=networks(max_layers=1), n=st.integers(1, 3), t=st.integers(1, 5), key=draw.seeds)
@example(net=SEVERAL, n=2, t=4, key=0)
def test_a_block_adds_attention_and_then_an_mlp(student, ref, net, n, t, key):
    """a = h + proj(Attention(qkv(ln_1(h)))), then a + out(g(fc(ln_2(a)))) with g(x) = x sigmoid(1.702 x)."""
    h = embedded(net, n, t, key)
    got = block_of(student, net)(h, 0)
    assert_network_agrees(got, lambda w, h: ref.block(w, net.num_heads, h), h, net.block(), h)


@block
@weight(0.25)
@examples(1)
@given(net=networks(max_layers=1), n=st.integers(1, 3), key=draw.seeds)
@example(net=SEVERAL, n=2, key=0)
def test_a_block_on_a_single_position(student, ref, net, n, key):
    """A single position attends to itself alone: what is left are projections, norms, residuals and the MLP."""
    h = embedded(net, n, 1, key)
    got = block_of(student, net)(h, 0)
    assert_network_agrees(got, lambda w, h: ref.block(w, net.num_heads, h), h, net.block(), h)


@block
@weight(0.25)
@examples(1)
@given(net=networks(max_layers=1), scale=st.sampled_from([1e-3, 1e-2]), key=draw.seeds)
@example(net=network(0, e=4), scale=1e-3, key=0)
def test_a_block_norms_small_inputs_with_their_epsilon(student, ref, net, scale, key):
    """The norms of the block add 1e-5 to the mean square, which tells for inputs near zero."""
    h = embedded(net, 2, 3, key) * scale
    got = block_of(student, net)(h, 0)
    assert_network_agrees(got, lambda w, h: ref.block(w, net.num_heads, h), h, net.block(), h)


@block
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
@example(seed=0, chunks=[2, 1, 2], key=0)
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
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
@example(seed=0, chunks=[2, 1, 2], key=0)
def test_a_block_stores_its_keys_and_values_under_its_own_layer(student, seed, chunks, key):
    """Positions go into the place of the layer that is named, and more than config.m of them are refused."""
    net = network(seed, m=5, num_layers=3, dtype=torch.float64)
    own = block_of(student, net)
    cache = cache_of(student, net, own, n=1)
    stored = 0
    for piece in embedded(net, 1, 5, key).split(chunks, dim=1):
        own(piece, 1, cache=cache)
        stored += piece.shape[1]
        assert_agrees(
            student.run(cache_lengths, cache), [0, stored, 0, 0], what="positions stored by layers 0, 1, 2 and all"
        )
    with refuses("k", "v", "m", "h", "cache", "layer"):
        own(embedded(net, 1, 1, key), 1, cache)


@block
@weight(0.25)
@examples(1)
@given(net=networks(dtype=torch.float64, max_layers=1), n=st.integers(1, 2), t=st.integers(1, 4), key=draw.seeds)
@example(net=SEVERAL, n=2, t=3, key=0)
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
@weight(0.25)
@examples(1)
@given(net=networks(dtype=torch.float64, max_layers=1), key=draw.seeds)
@example(net=SEVERAL, key=0)
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
@weight(0.5)
@examples(2)
@given(net=networks(), n=st.integers(1, 3), t=st.integers(1, 5), key=draw.seeds)
@example(net=SEVERAL, n=2, t=4, key=0)
def test_decode_runs_blocks_norm_and_head(student, ref, net, n, t, key):
    """All blocks in order, the last norm, the head: no positions are added, no softmax is taken."""
    h = embedded(net, n, t, key)
    got = model_of(student, net).decode(h)
    assert_network_agrees(got, lambda w, h: ref.decode(w, net.num_heads, h), h, net.weights, h)


@decode
@weight(0.25)
@examples(1)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
@example(seed=0, chunks=[2, 1, 2], key=0)
def test_decode_with_a_cache_goes_on_where_it_stopped(student, seed, chunks, key):
    """Fed in pieces with a cache, a sequence gives the logits that it gives at once, and every layer counts along."""
    net = network(seed, m=5, dtype=torch.float64)
    h = embedded(net, 2, 5, key)
    model = model_of(student, net)
    whole = model.decode(h)
    assert_form(whole, (2, 5, 3), h.dtype)
    cache = cache_of(student, net, model, n=2)
    stored = 0
    for piece, want in zip(h.split(chunks, dim=1), whole.split(chunks, dim=1), strict=True):
        assert_agrees(model.decode(piece, cache), want, scale=32 * whole.abs().max(), what="the next piece")
        stored += piece.shape[1]
        assert_agrees(
            student.run(cache_lengths, cache), [stored] * 3, what="positions stored by layers 0 and 1, and by all"
        )
    with refuses("k", "v", "m", "h", "cache", "layer"):
        model.decode(h[:, :1], cache)


@decode
@weight(0.25)
@examples(1)
@given(net=networks(dtype=torch.float64), key=draw.seeds)
@example(net=SEVERAL, key=0)
def test_decode_reaches_every_parameter_behind_it(student, net, key):
    """Gradients reach the embedded positions and all of blocks, norm and head; nothing is changed or drawn."""
    h = embedded(net, 2, 3, key)
    model = model_of(student, net)
    assert_no_trace(model.decode.observed(h))
    w = draw.normal((2, 3, net.sizes["K"]), key, dtype=h.dtype)
    got, [of_h], of_weights = model.decode.gradient(h, wrt=[h], weights=w, wrt_parameters_of=model)
    assert_form(got, w.shape, h.dtype)
    missing = [
        name
        for name, g in {"h": of_h, **of_weights}.items()
        if g is None and not name.startswith(("wte", "wpe", "sos"))
    ]
    if missing:
        raise Mismatch("gradient", f"no gradient reaches {', '.join(missing)}")
    assert_agrees(
        model.decode.under_no_grad(h), got, scale=32 * got.abs().max(), what="the result where gradients are off"
    )


def _part(gradients, name):
    of_h, of_weights = gradients
    return of_h if name == "h" else of_weights[name]
