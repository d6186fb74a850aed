"""ImageGPT: a block, and the decoder."""

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
    assert_gradient_agrees,
    assert_reached,
    assert_unchanged,
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
    probed_network,
)
from grader.checks.lecture1.imagegpt.helpers import cache_lengths, set_mode
from grader.checks.lecture1.shared import draw

block = pytest.mark.exercise("imagegpt.Block.forward")
decode = pytest.mark.exercise("imagegpt.ImageGPT.decode")
weight, examples = pytest.mark.weight, pytest.mark.examples
chunkings = st.sampled_from([[1, 1, 1, 1, 1], [3, 2], [1, 4], [2, 1, 2]])  # of five positions

PROBED = probed_network(0, K=4, m=5, e=3, dtype=torch.float64)
POSITIONS = torch.tensor([[[1.0, 0.5, -1.0, 2.0], [0.0, -0.5, 1.5, 1.0], [-2.0, 1.0, 0.5, 0.0]]])  # (1, t, dim) = (1, 3, 4)


# -- Block.forward --

AFTER_THE_BLOCK = torch.tensor(
    [
        [
            [3.354549, -0.910056, -1.101604, 2.877850],
            [1.360109, -1.642881, 1.142313, 0.441585],
            [-1.653238, -0.549926, 0.407474, -0.296538],
        ]
    ]
)


AFTER_THE_BLOCK_NEAR_ZERO = torch.tensor([[[1.570532, -1.609453, 1.478866, 0.632434]]])


@block
@weight(0.25)
def test_a_block_of_known_weights_on_three_positions(student):
    """Three positions of width 4, two heads, and weights that are given with the check: the numbers are worked out."""
    got = block_of(student, network(7))(POSITIONS, 0)
    assert_agrees(got, AFTER_THE_BLOCK.double(), like=POSITIONS, error=1e-6)


@block
@weight(0.375)
@examples(2)
@given(net=networks(torch.float32, max_layers=1, min_e=3), n=st.integers(2, 3), t=st.integers(2, 5), key=draw.seeds)
@example(net=network(0, K=4, m=5, e=3), n=2, t=4, key=0)
def test_a_block_adds_attention_and_then_an_mlp(student, ref, net, n, t, key):
    """a = h + proj(Attention(qkv(ln_1(h)))), then a + out(g(fc(ln_2(a)))) with g(x) = x sigmoid(1.702 x)."""
    _assert_block_agrees(student, ref, net, embedded(net, n, t, key))


@block
@weight(0.375)
@examples(2)
@given(net=networks(max_layers=1), n=st.integers(2, 3), key=draw.seeds)
@example(net=SEVERAL, n=2, key=0)
@example(net=network(1, e=4, dtype=torch.float32), n=2, key=1)
def test_a_block_on_a_single_position(student, ref, net, n, key):
    """A single position attends to itself alone: what is left are projections, norms, residuals and the MLP."""
    _assert_block_agrees(student, ref, net, embedded(net, n, 1, key))


@block
@weight(0.125)
def test_a_block_norms_small_inputs_with_their_epsilon(student):
    """The norms of the block add 1e-5 to the mean square, which tells for inputs near zero."""
    got = block_of(student, network(7))(POSITIONS[:, :1] * 1e-3, 0)
    assert_agrees(got, AFTER_THE_BLOCK_NEAR_ZERO.double(), like=POSITIONS, error=1e-6)


@block
@weight(0.0625)
def test_a_block_on_one_image_with_one_head(student, ref):
    """One image, one head, width one, one position."""
    for sizes, n, t in (({"num_heads": 1}, 1, 3), ({"num_heads": 1, "e": 1}, 1, 1), ({"num_heads": 3}, 1, 2)):
        net = network(3, **sizes, dtype=torch.float64)
        _assert_block_agrees(student, ref, net, embedded(net, n, t, 1))


@block
@weight(0.0625)
def test_a_block_on_positions_of_any_layout(student):
    """h may be a slice or a transposed tensor: how numbers lie in memory does not matter."""
    got = block_of(student, network(7)).forward.strided(POSITIONS.repeat(2, 1, 1), 0)  # two images
    assert_agrees(got, AFTER_THE_BLOCK.double().repeat(2, 1, 1), like=POSITIONS, error=1e-6)


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
    assert_form(whole, h.shape)
    cache = cache_of(student, net, own, n=2)
    _assert_goes_on(lambda piece: own(piece, 0, cache), h, whole, chunks)


@block
@weight(0.125)
@examples(1)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
@example(seed=0, chunks=[2, 1, 2], key=0)
def test_a_block_stores_its_keys_and_values_under_its_own_layer(student, seed, chunks, key):
    """Positions go into the place of the layer that is named, and come back from there."""
    net = network(seed, m=6, num_layers=3, dtype=torch.float64)
    own = block_of(student, net)
    cache = cache_of(student, net, own, n=1)
    own(embedded(net, 1, 1, key + 1), 0, cache=cache)
    h = embedded(net, 1, 5, key)
    _assert_goes_on(lambda piece: own(piece, 1, cache=cache), h, own(h, 1), chunks)
    _assert_stored(student, cache, [1, 5, 0, 0])


@block
@weight(0.0625)
def test_gradients_reach_every_parameter_of_a_block(student):
    """h, norms, projections and biases: nothing is cut off from the graph, and in eval mode gradients are the same."""
    net = network(7)
    own = block_of(student, net)
    gradients = []
    for training in (False, True):
        student.run(set_mode, own, training)
        _, [of_h], of_weights = own.forward.gradient(POSITIONS, 0, wrt=[POSITIONS], weights=POSITIONS, wrt_parameters_of=own)
        gradients.append({"h": of_h} | {name: of_weights.get(name) for name in net.block()})
        assert_reached(gradients[-1])
    _, _, of_weights = own.forward.gradient(POSITIONS, 0, wrt_parameters_of=own)
    assert_reached({f"{name}, where h carries no graph": of_weights.get(name) for name in net.block()})
    size = max(gradient.abs().max().item() for gradient in gradients[-1].values())
    for name, gradient in gradients[0].items():
        assert_calls_agree(
            gradient, gradients[1][name], scale=32 * size,
            call=f"the gradient of {name} in eval mode", other_call="that in training mode",
        )  # fmt: skip


@block
@weight(0.1875)
@examples(1)
@given(net=networks(dtype=torch.float64, max_layers=1), n=st.integers(1, 2), t=st.integers(1, 4), key=draw.seeds)
@example(net=SEVERAL, n=2, t=3, key=0)
def test_a_block_has_the_gradient_that_training_needs(student, ref, net, n, t, key):
    """Gradients reach the input and every parameter of the block, biases and gains too."""
    h, w = embedded(net, n, t, key), embedded(net, n, t, key + 1)
    own = block_of(student, net)
    _, [of_h], of_weights = own.forward.gradient(h, 0, wrt=[h], weights=w, wrt_parameters_of=own)
    want_h, want = ref.block_gradients(net.block(), net.num_heads, h, w)
    size = max(g.abs().max().item() for g in (want_h, *want.values()))
    for name in ("h", *want):
        place = lambda weights, h, name=name: _part(ref.block_gradients(weights, net.num_heads, h, w), name)  # noqa: E731
        condition = condition_of(place, net.block(), h, dtype=h.dtype, trials=2).max()
        gradient = of_h if name == "h" else of_weights.get(name)
        exact = want_h if name == "h" else want[name]
        assert_gradient_agrees(gradient, exact, of=name, like=h, condition=condition, scale=32 * size)


@block
@weight(0.0625)
def test_a_block_leaves_its_input_as_it_is(student):
    """h is what the caller goes on working with: the residual is added to a copy."""
    assert_unchanged(block_of(student, network(7)).forward.observed(POSITIONS, 0))


@block
@weight(0.021)
def test_a_block_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out."""
    for dtype in draw.DTYPES:
        assert_dtype(block_of(student, network(7, dtype=dtype))(POSITIONS.to(dtype), 0), dtype)


# -- ImageGPT.decode: its blocks are probes, so that only what stands around them is asked --

DECODED = torch.tensor([[[0.043124, 1.140176, -1.345273], [0.223966, 1.371534, -1.023989], [1.762438, 1.068240, -0.058489]]])

DECODED_NEAR_ZERO = torch.tensor([[[0.664974, 0.189046, 0.217600]]])


@decode
@weight(0.25)
def test_decode_of_known_weights_on_three_positions(student):
    """Three positions of width 4, three probes for blocks, three colours: the numbers are worked out.

    So they are for one position near zero, where the 1e-5 of the last norm tells.
    """
    got = model_of(student, probed_network(7, num_layers=3)).decode(POSITIONS)
    assert_agrees(got, DECODED.double(), like=POSITIONS, error=1e-6)
    got = model_of(student, probed_network(7, num_layers=1)).decode(POSITIONS[:, :1] * 1e-3)
    assert_agrees(got, DECODED_NEAR_ZERO.double(), like=POSITIONS, error=1e-6)


@decode
@weight(0.375)
@examples(2)
@given(net=networks(probes=True), n=st.integers(1, 3), t=st.integers(1, 5), key=draw.seeds)
@example(net=PROBED, n=2, t=4, key=0)
@example(net=PROBED, n=2, t=1, key=0)
@example(net=probed_network(1, num_layers=7), n=2, t=2, key=1)
@example(net=probed_network(2, num_layers=1, dtype=torch.float64), n=1, t=130, key=2)
def test_decode_runs_blocks_norm_and_head(student, ref, net, n, t, key):
    """All blocks in order, the last norm, the head: no positions are added, no softmax is taken."""
    h = embedded(net, n, t, key)
    got = model_of(student, net).decode(h)
    assert_network_agrees(got, lambda w, h: ref.decode(w, net.num_heads, h), h, net.weights, h)


@decode
@weight(0.125)
@examples(1)
@given(seed=draw.seeds, chunks=chunkings, key=draw.seeds)
@example(seed=0, chunks=[2, 1, 2], key=0)
def test_decode_with_a_cache_goes_on_where_it_stopped(student, seed, chunks, key):
    """Fed in pieces with a cache, a sequence gives the logits that it gives at once, and every layer counts along."""
    net = probed_network(seed, m=5, num_layers=3, dtype=torch.float64)
    h = embedded(net, 2, 5, key)
    model = model_of(student, net)
    whole = model.decode(h)
    assert_form(whole, (2, 5, 3))
    cache = cache_of(student, net, model, n=2)
    _assert_goes_on(lambda piece: model.decode(piece, cache), h, whole, chunks)
    _assert_stored(student, cache, [5, 5, 5, 5])


@decode
@weight(0.0625)
@examples(1)
@given(net=networks(dtype=torch.float64, probes=True), key=draw.seeds)
@example(net=PROBED, key=0)
def test_decode_reaches_every_parameter_behind_it(student, net, key):
    """Gradients reach the embedded positions and all of blocks, norm and head, in eval mode as well."""
    h = embedded(net, 2, 3, key)
    model = model_of(student, net)
    student.run(set_mode, model, False)
    w = draw.normal((2, 3, net.sizes["K"]), key, dtype=h.dtype)
    _, [of_h], of_weights = model.decode.gradient(h, wrt=[h], weights=w, wrt_parameters_of=model)
    behind = [name for name in net.weights if not name.startswith(("wte", "wpe", "sos"))]
    assert_reached({"h": of_h} | {name: of_weights.get(name) for name in behind})
    _, _, of_weights = model.decode.gradient(h[:1], weights=w[:1], wrt_parameters_of=model)  # one image, which carries no graph
    assert_reached({name: of_weights.get(name) for name in behind})


@decode
@weight(0.0625)
def test_the_gradient_of_decode_is_the_slope_of_its_logits(student):
    """In a direction of h the gradient is what the difference of two calls says."""
    h, direction = embedded(PROBED, 2, 3, 1), embedded(PROBED, 2, 3, 2)
    w, step = draw.normal((2, 3, 4), 3, dtype=torch.float64), 1e-5
    model = model_of(student, PROBED)
    _, [of_h] = model.decode.gradient(h, wrt=[h], weights=w)
    assert_reached({"h": of_h})
    ahead, behind = (model.decode(h + way * direction) for way in (step, -step))
    for logits in (ahead, behind):
        assert_form(logits, w.shape)
    slope = ((ahead - behind) * w).sum() / (2 * step)
    terms = of_h * direction
    if not (slope - terms.sum()).abs() <= 1e-4 * terms.abs().sum():
        raise Mismatch(
            "gradient",
            f"the gradient of h gives a slope of {terms.sum():.5g}, the difference of two calls nearby one of {slope:.5g}",
            of_h,
        )


@decode
@weight(0.042)
def test_decode_keeps_the_dtype(student):
    """float32 in, float32 out; float64 in, float64 out; h stays as it is."""
    for dtype in draw.DTYPES:
        got = assert_unchanged(model_of(student, probed_network(7, dtype=dtype)).decode.observed(POSITIONS.to(dtype)))
        assert_dtype(got, dtype)


def _assert_block_agrees(student, ref, net, h):
    got = block_of(student, net)(h, 0)
    assert_network_agrees(got, lambda w, h: ref.block(w, net.num_heads, h), h, net.block(), h)


def _assert_stored(student, cache, want):
    what = "the number of positions stored by each layer, and by all,"
    assert_agrees(torch.tensor(student.run(cache_lengths, cache)), torch.tensor(want), what=what)


def _assert_goes_on(step, h, whole, chunks):
    """`step`, given one piece of h after the other, gives the pieces of `whole`."""
    start = 0
    for piece in h.split(chunks, dim=1):
        stop = start + piece.shape[1]
        assert_calls_agree(
            step(piece), whole[:, start:stop], scale=32 * whole.abs().max(),
            call=f"{_range(start, stop)}, fed with a cache,", other_call="all positions at once",
        )  # fmt: skip
        start = stop


def _part(gradients, name):
    of_h, of_weights = gradients
    return of_h if name == "h" else of_weights[name]


def _range(start, stop):
    return f"position {start}" if stop == start + 1 else f"positions {start} to {stop - 1}"
