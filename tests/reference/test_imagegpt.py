"""dgm_ref's and the solution's ImageGPT against an oracle that nobody here wrote: transformers' port of the paper's.

Weights are random, as they are initialised and "hot": with those, attention is far from uniform and every part of the
architecture moves the logits, so 1e-10 in float64 leaves no part unchecked.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from dgm_ref.lecture1.imagegpt import reference as ref
from grader.checks.lecture1.imagegpt.pretrained import from_transformers
from solutions.lecture1 import imagegpt as solution

transformers = pytest.importorskip("transformers")
EXACT = {"rtol": 0, "atol": 1e-10}
# transformers up to 5.17 divides by int(sqrt(e)), so heads have a size that is a perfect square
K, M, DIM, NUM_LAYERS, NUM_HEADS = 7, 12, 32, 3, 2


def theirs(hot: bool, seed: int, m: int = M, num_layers: int = NUM_LAYERS):
    torch.manual_seed(seed)
    config = transformers.ImageGPTConfig(
        vocab_size=K + 1, n_positions=m, n_embd=DIM, n_layer=num_layers, n_head=NUM_HEADS, attn_implementation="eager"
    )
    model = transformers.ImageGPTForCausalImageModeling(config).double().eval()
    if hot:
        for name, p in model.named_parameters():
            noise = torch.randn_like(p)
            if "ln_" in name:
                p.data = 1 + 0.3 * noise
            elif name.endswith("bias"):
                p.data = 0.2 * noise
            elif "wte" in name or "wpe" in name:
                p.data = noise + 0.5  # not centred: subtracting the mean would show
            else:
                fan_in = p.shape[0] if "c_" in name else p.shape[1]
                p.data = noise * (1.5 if "c_attn" in name else 1.0) / math.sqrt(fan_in)
    return model


def ours(model) -> ref.Weights:
    return from_transformers(model.config.to_dict(), dict(model.named_parameters()))[1]


def gradients_of(model, loss) -> ref.Weights:
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))
    return from_transformers(model.config.to_dict(), gradients)[1]


def logits_of(model, x):
    sos = torch.full((len(x), 1), K)
    return model(input_ids=torch.cat([sos, x[:, :-1]], dim=1), use_cache=False).logits


def sequences(n: int = 3, m: int = M, seed: int = 0):
    return torch.randint(K, (n, m), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("hot", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_logits_are_those_of_transformers(hot, seed):
    model, x = theirs(hot, seed), sequences(seed=seed)
    with torch.no_grad():
        want = logits_of(model, x)
        torch.testing.assert_close(ref.forward(ours(model), NUM_HEADS, x), want, **EXACT)
    assert want.std() > (0.5 if hot else 0.05), "the logits are too flat to tell models apart"


@pytest.mark.parametrize("m", [1, 5])
def test_a_shorter_sequence_has_the_logits_of_a_prefix(m):
    model, x = theirs(True, 0), sequences()
    torch.testing.assert_close(ref.forward(ours(model), NUM_HEADS, x[:, :m]), logits_of(model, x)[:, :m], **EXACT)


@pytest.mark.parametrize("hot", [False, True])
def test_gradients_are_those_of_transformers(hot):
    model, x = theirs(hot, 4), sequences(seed=4)
    loss = torch.nn.functional.cross_entropy(logits_of(model, x).transpose(1, 2), x)
    weights = {name: w.detach().requires_grad_() for name, w in ours(model).items()}
    own = -ref.log_prob(weights, NUM_HEADS, x).mean() / x.shape[1]
    torch.testing.assert_close(own, loss, **EXACT)
    gradients = dict(zip(weights, torch.autograd.grad(own, list(weights.values())), strict=True))
    for name, want in gradients_of(model, loss).items():
        torch.testing.assert_close(gradients[name], want, **EXACT, msg=name)


def test_logits_are_those_of_cached_decoding_in_transformers():
    model, x = theirs(True, 5), sequences(seed=5)
    cache = transformers.cache_utils.DynamicCache(config=model.config)
    before = torch.cat([torch.full((len(x), 1), K), x[:, :-1]], dim=1)
    with torch.no_grad():
        steps = [model(input_ids=before[:, j : j + 1], past_key_values=cache, use_cache=True).logits for j in range(M)]
        torch.testing.assert_close(ref.forward(ours(model), NUM_HEADS, x), torch.cat(steps, dim=1), **EXACT)


def solved(model) -> solution.ImageGPT:
    fields, weights = from_transformers(model.config.to_dict(), model.state_dict())
    result = solution.ImageGPT(solution.ImageGPTConfig(**fields)).double()
    result.load_state_dict(weights)
    return result


@pytest.mark.parametrize("hot", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_solution_has_the_logits_and_gradients_of_transformers(hot, seed):
    model, x = theirs(hot, seed), sequences(seed=seed)
    own, logits = solved(model), logits_of(model, x)
    loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), x)
    torch.testing.assert_close(own(x), logits, **EXACT)
    optimizer = torch.optim.SGD(own.parameters(), lr=1.0)
    before = {name: p.detach().clone() for name, p in own.named_parameters()}
    torch.testing.assert_close(solution.train_step(own, optimizer, x), loss.item(), **EXACT)
    for name, gradient in gradients_of(model, loss).items():
        torch.testing.assert_close(before[name] - dict(own.named_parameters())[name], gradient, **EXACT, msg=name)


def test_the_solution_decodes_with_a_cache_what_transformers_computes_at_once():
    model, x = theirs(True, 5), sequences(seed=5)
    own = solved(model)
    with torch.no_grad():
        want, h = logits_of(model, x), solution._embed(own, x, 0, M)
        for chunks in ([1] * M, [M], [5, 1, 4, 2]):
            cache = solution.KVCache(own.config, len(x), h.device, h.dtype)
            got = [own.decode(chunk, cache) for chunk in h.split(chunks, dim=1)]
            torch.testing.assert_close(torch.cat(got, dim=1), want, **EXACT)


def test_attention_is_the_last_rows_of_torch_attention():
    g = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 6, 5, generator=g, dtype=torch.float64)
    want = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    for t in (1, 4, 6):
        torch.testing.assert_close(ref.causal_attention(q[:, :, -t:], k, v), want[:, :, -t:], **EXACT)


def test_log_prob_is_the_loss_of_transformers():
    model, x = theirs(True, 6), sequences(seed=6)
    want = -torch.nn.functional.cross_entropy(logits_of(model, x).transpose(1, 2), x, reduction="none").sum(1)
    torch.testing.assert_close(ref.log_prob(ours(model), NUM_HEADS, x), want, **EXACT)
    bits = ref.bits_per_dim(want, M)
    torch.testing.assert_close(2.0 ** (-bits * M), want.exp(), **EXACT)


def test_the_law_of_the_sampler_is_the_exponential_of_log_prob():
    m = 3
    weights = {name: w.detach() for name, w in ours(theirs(True, 7, m=m, num_layers=1)).items()}
    x = torch.tensor(list(itertools.product(range(K), repeat=m)))
    joint = ref.joint_pmf(weights, NUM_HEADS, m)
    torch.testing.assert_close(joint.flatten(), ref.log_prob(weights, NUM_HEADS, x).exp(), **EXACT)
    torch.testing.assert_close(joint.sum(), torch.ones((), dtype=torch.float64), **EXACT)
    after = ref.joint_pmf(weights, NUM_HEADS, m, prefix=torch.tensor([4]))
    torch.testing.assert_close(after, joint[4] / joint[4].sum(), **EXACT)


def test_temperature_and_top_k_are_those_of_transformers_samplers():
    m = 2
    model = theirs(True, 8, m=m, num_layers=1)
    weights = {name: w.detach() for name, w in ours(model).items()}
    first = logits_of(model, torch.zeros(1, 1, dtype=torch.int64))[:, 0].detach()
    warped = transformers.TemperatureLogitsWarper(0.7)(None, first)
    warped = transformers.TopKLogitsWarper(3)(None, warped)
    joint = ref.joint_pmf(weights, NUM_HEADS, m, temperature=0.7, top_k=3)
    torch.testing.assert_close(joint.sum(1), warped.softmax(-1)[0], **EXACT)
    assert (joint > 0).sum() == 9


def test_quantize_is_a_nearest_neighbour_search():
    images = torch.randint(0, 5, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0)).double()
    palette = torch.randint(0, 5, (9, 3), generator=torch.Generator().manual_seed(1)).double()
    tokens = ref.quantize(images, palette)
    pixels = images.permute(0, 2, 3, 1).reshape(-1, 3)
    distances = torch.cdist(pixels, palette, compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.equal(tokens.flatten(), distances.argmin(1))
    assert (distances == distances.amin(1, keepdim=True)).sum(1).max() > 1, "no ties were tried"
    colours = palette.unique(dim=0)
    painted = ref.dequantize(torch.arange(len(colours))[None, None], colours)
    assert torch.equal(ref.quantize(painted, colours)[0, 0], torch.arange(len(colours)))


def test_raster_scan_puts_the_channels_of_a_pixel_next_to_each_other():
    images = torch.arange(2 * 3 * 2 * 4).reshape(2, 3, 2, 4)
    x = ref.raster_scan(images)
    assert x[0, :6].tolist() == [0, 8, 16, 1, 9, 17]
    rows = [[image[c, h, w] for h in range(2) for w in range(4) for c in range(3)] for image in images]
    assert torch.equal(x, torch.tensor(rows))
    assert torch.equal(ref.inverse_raster_scan(x, 3, 2, 4), images)
