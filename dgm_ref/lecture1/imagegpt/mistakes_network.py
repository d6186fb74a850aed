"""Wrong answers about ImageGPT's block, decoder and logits that students give, and right ones that look different."""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import graph_for_inputs_alone, plain_data

BLOCK = "imagegpt.Block.forward"
DECODE = "imagegpt.ImageGPT.decode"

ADDS = "test_a_block_adds_attention_and_then_an_mlp"
SINGLE = "test_a_block_on_a_single_position"
GOES_ON = "test_a_block_with_a_cache_goes_on_where_it_stopped"
NOT_SEEN = (  # three slips with the same answers: one sentence, or they would have no name
    "Positions fed before are not seen. Append k and v whenever `cache is not None` (an empty cache is false in an `if`), "
    "and attend to what `append` returns."
)
LAYOUT = "test_a_block_on_positions_of_any_layout"
STORES = "test_a_block_stores_its_keys_and_values_under_its_own_layer"
RUNS = "test_decode_runs_blocks_norm_and_head"
DECODE_GOES_ON = "test_decode_with_a_cache_goes_on_where_it_stopped"


# -- Block.forward --


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="You norm the sums (post-norm). In a pre-norm block only the input of attention and MLP is normed.",
)
def post_norm(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = self.ln_1(h + _attend(self, h, layer, cache))
    return self.ln_2(h + _mlp(self, h))


@mistake(BLOCK, killed_by=ADDS, says="The residual around attention is missing: its result is added to h.")
def no_residual_around_attention(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = _attend(self, self.ln_1(h), layer, cache)
    return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=ADDS, says="The residual around the MLP is missing: its result is added.")
def no_residual_around_the_mlp(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    return _mlp(self, self.ln_2(h + _attend(self, self.ln_1(h), layer, cache)))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="The MLP gets the block's input. It works on the sum after attention: a first, then a + MLP(ln_2(a)).",
)
def mlp_beside_attention(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    return h + _attend(self, self.ln_1(h), layer, cache) + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=ADDS, says="The residual starts from the normed input. It is h itself that is added, untouched.")
def residual_of_the_normed_input(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = self.ln_1(h)
    h = h + _attend(self, h, layer, cache)
    return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=ADDS, says="You use ln_1 in both places. The MLP has a norm of its own, ln_2.")
def one_norm_for_both(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + _mlp(self, self.ln_1(h))


@mistake(BLOCK, killed_by=SINGLE, says="This is the exact GELU. ImageGPT has g(x) = x sigmoid(1.702 x).")
def exact_gelu(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + self.out(F.gelu(self.fc(self.ln_2(h))))


@mistake(BLOCK, killed_by=SINGLE, says="This is the tanh approximation of GELU. ImageGPT has g(x) = x sigmoid(1.702 x).")
def tanh_gelu(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + self.out(F.gelu(self.fc(self.ln_2(h)), approximate="tanh"))


@mistake(BLOCK, killed_by=SINGLE, says="The factor 1.702 inside the sigmoid is missing: this is SiLU.")
def silu(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + self.out(F.silu(self.fc(self.ln_2(h))))


@mistake(BLOCK, killed_by=SINGLE, says="The MLP has no nonlinearity: two linear layers in a row are one.")
def linear_mlp(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + self.out(self.fc(self.ln_2(h)))


@mistake(BLOCK, killed_by=SINGLE, says="You left out `proj`, the linear layer that mixes the heads after attention.")
def no_projection(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _merge(_of(self)["causal_attention"](*_stored(_qkv(self, self.ln_1(h)), layer, cache)))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="You subtract the mean in the norm. ImageGPT's norm divides by the root mean square only.",
)
def norm_with_a_mean(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, F.layer_norm(h, h.shape[-1:], self.ln_1.weight), layer, cache)
    return h + _mlp(self, F.layer_norm(h, h.shape[-1:], self.ln_2.weight))


@mistake(
    BLOCK,
    killed_by="test_a_block_norms_small_inputs_with_their_epsilon",
    says="The norms of a block add 1e-5 to the mean square; yours adds another number. Call self.ln_1 and self.ln_2.",
)
def another_epsilon(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, F.rms_norm(h, h.shape[-1:], self.ln_1.weight, 1e-6), layer, cache)
    return h + _mlp(self, F.rms_norm(h, h.shape[-1:], self.ln_2.weight, 1e-6))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="A view to (n, h, t, e) does not move the head axis, it cuts the numbers elsewhere: view to (n, t, h, e), then transpose.",
)
def heads_cut_by_view(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    n, t, dim = h.shape
    q, k, v = (x.reshape(n, self.num_heads, t, -1) for x in self.qkv(self.ln_1(h)).chunk(3, dim=-1))
    h = h + self.proj(_merge(_of(self)["causal_attention"](*_stored((q, k, v), layer, cache))))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="Each head takes every num_heads-th number in your split. The numbers of a head lie next to each other.",
)
def heads_interleaved(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    n, t, dim = h.shape
    q, k, v = (x.view(n, t, -1, self.num_heads).permute(0, 3, 1, 2) for x in self.qkv(self.ln_1(h)).chunk(3, dim=-1))
    a = _of(self)["causal_attention"](*_stored((q, k, v), layer, cache))  # (n, h, t, e)
    h = h + self.proj(a.permute(0, 2, 3, 1).reshape(n, t, dim))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="In your split each head has its q, k and v in a row. All queries come first, then all keys, then all values.",
)
def head_by_head(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    n, t, dim = h.shape
    q, k, v = self.qkv(self.ln_1(h)).view(n, t, self.num_heads, 3, -1).permute(3, 0, 2, 1, 4)
    h = h + self.proj(_merge(_of(self)["causal_attention"](*_stored((q, k, v), layer, cache))))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="Queries and keys are exchanged: the output of qkv holds queries, keys and values in this order.",
)
def keys_before_queries(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    k, q, v = _qkv(self, self.ln_1(h))
    h = h + self.proj(_merge(_of(self)["causal_attention"](*_stored((q, k, v), layer, cache))))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="After attention the heads are axis 1 of (n, h, t, e). Move that axis next to e before you "
    "merge them; a reshape alone mixes positions.",
)
def heads_merged_by_view(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    a = _of(self)["causal_attention"](*_stored(_qkv(self, self.ln_1(h)), layer, cache))
    h = h + self.proj(a.reshape(h.shape))
    return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=ADDS, says="One head of the whole width attends here. Split into num_heads heads.")
def one_wide_head(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    q, k, v = (x[:, None] for x in self.qkv(self.ln_1(h)).chunk(3, dim=-1))
    a = _of(self)["causal_attention"](q, k, v)
    if cache is not None:
        return _right(self, h, layer, cache)
    h = h + self.proj(a[:, 0])
    return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=GOES_ON, says=NOT_SEEN)
def ignores_the_cache(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    return _right(self, h, layer, None)


@mistake(BLOCK, killed_by=GOES_ON, says=NOT_SEEN)
def takes_an_empty_cache_for_none(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    return _right(self, h, layer, cache if cache else None)


@mistake(BLOCK, killed_by=GOES_ON, says=NOT_SEEN)
def attends_to_the_new_keys_only(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    q, k, v = _qkv(self, self.ln_1(h))
    if cache is not None:
        cache.append(layer, k, v)
    h = h + self.proj(_merge(_of(self)["causal_attention"](q, k, v)))
    return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=GOES_ON, says="You stored values as keys and keys as values.")
def keys_and_values_exchanged_in_the_cache(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    q, k, v = _qkv(self, self.ln_1(h))
    if cache is not None:
        k, v = cache.append(layer, v, k)
    h = h + self.proj(_merge(_of(self)["causal_attention"](q, k, v)))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=STORES,
    says="Every block stores into layer 0 of the cache. Each layer has its own place: use `layer`.",
)
def always_stores_as_layer_zero(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    return _right(self, h, 0, cache)


@mistake(
    BLOCK,
    killed_by=STORES,
    says="Values are stored under their own layer, but read from layer 0.",
    when=lambda layer: layer > 0,
)
def reads_the_values_of_layer_zero(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    q, k, v = _qkv(self, self.ln_1(h))
    if cache is not None:
        k, v = cache.append(layer, k, v)
        v = cache.values[0][:, :, : k.shape[2]]
    h = h + self.proj(_merge(_of(self)["causal_attention"](q, k, v)))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by="test_gradients_reach_every_parameter_of_a_block",
    says="The graph is cut between attention and the residual: qkv and proj cannot learn.",
)
def attention_without_gradient(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache).detach()
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by="test_a_block_leaves_its_input_as_it_is",
    says="You add to h in place, which changes the caller's tensor. Write h = h + …",
)
def adds_in_place(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    if h.requires_grad:
        return _right(self, h, layer, cache)
    h += _attend(self, self.ln_1(h), layer, cache).detach()
    return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=SINGLE, says="The factor in the sigmoid is 1.702, not 1.7: that is wrong in the third digit.")
def rounded_gelu(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    z = self.fc(self.ln_2(h))
    return h + self.out(z * torch.sigmoid(1.7 * z))


@mistake(BLOCK, killed_by=SINGLE, says="This is ReLU. ImageGPT has g(x) = x sigmoid(1.702 x).")
def relu(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + self.out(F.relu(self.fc(self.ln_2(h))))


@mistake(BLOCK, killed_by=SINGLE, says="You drop numbers out. The published blocks have no dropout.")
def block_with_dropout(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + F.dropout(_attend(self, self.ln_1(h), layer, cache), 0.1)
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=LAYOUT,
    says="`view` refuses positions that do not lie in one piece in memory, such as slices and transposed tensors.",
    raises=True,
)
def positions_viewed(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    flat = h.view(-1, h.shape[2])
    return _right(self, flat.view(h.shape), layer, cache)


@mistake(BLOCK, killed_by="test_a_block_keeps_the_dtype", says="The result has the dtype of h: float64 in, float64 out.")
def block_in_single_precision(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    return _right(self, h, layer, cache).float()


@mistake(BLOCK, killed_by=ADDS, says="The MLP sees its input unnormalised: ln_2 is missing.")
def no_norm_before_the_mlp(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + _mlp(self, h)


@mistake(BLOCK, killed_by=ADDS, says="Attention sees its input unnormalised: ln_1 is missing.")
def no_norm_before_attention(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, h, layer, cache)
    return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=ADDS, says="The parts of qkv are taken in the order values, keys, queries. They are queries, keys, values.")
def values_before_keys_before_queries(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    v, k, q = _qkv(self, self.ln_1(h))
    h = h + self.proj(_merge(_of(self)["causal_attention"](*_stored((q, k, v), layer, cache))))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="The head axis is moved neither before attention nor after it: a reshape to (n, h, t, e) and back to (n, t, dim) cuts the numbers "
    "of one position into several. View to (n, t, h, e), then transpose; transpose back before you merge.",
)
def heads_cut_and_merged_by_view(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    n, t, dim = h.shape
    q, k, v = (x.reshape(n, self.num_heads, t, -1) for x in self.qkv(self.ln_1(h)).chunk(3, dim=-1))
    h = h + self.proj(_of(self)["causal_attention"](*_stored((q, k, v), layer, cache)).reshape(n, t, dim))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by=ADDS,
    says="Each head takes every num_heads-th number in your split. The numbers of a head lie next to each other.",
)
def heads_interleaved_before_attention(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    n, t, dim = h.shape
    q, k, v = (x.view(n, t, -1, self.num_heads).permute(0, 3, 1, 2) for x in self.qkv(self.ln_1(h)).chunk(3, dim=-1))
    h = h + self.proj(_merge(_of(self)["causal_attention"](*_stored((q, k, v), layer, cache))))
    return h + _mlp(self, self.ln_2(h))


@mistake(
    BLOCK,
    killed_by="test_gradients_reach_every_parameter_of_a_block",
    says="In eval mode you switch gradients off. That is the caller's business: eval mode says nothing about gradients.",
)
def block_without_gradient_in_eval_mode(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    with torch.set_grad_enabled(self.training):
        h = h + _attend(self, self.ln_1(h), layer, cache)
        return h + _mlp(self, self.ln_2(h))


@mistake(BLOCK, killed_by=SINGLE, says="The factor x is missing: this is sigmoid(1.702 x). ImageGPT has g(x) = x sigmoid(1.702 x).")
def sigmoid_alone(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + self.out(torch.sigmoid(1.702 * self.fc(self.ln_2(h))))


@mistake(
    BLOCK,
    killed_by="test_gradients_reach_every_parameter_of_a_block",
    says="In eval mode keys and values are cut off from the graph. Gradients are the same there: the mode says nothing about them.",
)
def keys_and_values_detached_in_eval_mode(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    q, k, v = _qkv(self, self.ln_1(h))
    if not self.training:
        k, v = k.detach(), v.detach()
    h = h + self.proj(_merge(_of(self)["causal_attention"](*_stored((q, k, v), layer, cache))))
    return h + _mlp(self, self.ln_2(h))


@variant(BLOCK)
def block_as_mingpt(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    B, T, C = h.size()
    q, k, v = self.qkv(self.ln_1(h)).split(C, dim=2)
    k = k.view(B, T, self.num_heads, C // self.num_heads).transpose(1, 2)
    q = q.view(B, T, self.num_heads, C // self.num_heads).transpose(1, 2)
    v = v.view(B, T, self.num_heads, C // self.num_heads).transpose(1, 2)
    if cache is not None:
        k, v = cache.append(layer, k, v)
    y = _of(self)["causal_attention"](q, k, v).transpose(1, 2).contiguous().view(B, T, C)
    h = h + self.proj(y)
    m = self.fc(self.ln_2(h))
    return h + self.out(F.silu(1.702 * m) / 1.702)


@variant(BLOCK)
def block_by_a_causal_bias(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    q, k, v = _stored(_qkv(self, self.ln_1(h)), layer, cache)
    bias = causal_lower_right(q.shape[2], k.shape[2])
    h = torch.add(h, self.proj(_merge(F.scaled_dot_product_attention(q, k, v, attn_mask=bias))))
    return h + _mlp(self, self.ln_2(h))


@variant(BLOCK)
def block_head_by_head(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    n, t, dim = h.shape
    q, k, v = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in self.qkv(self.ln_1(h)).chunk(3, dim=-1))
    if cache is not None:
        k, v = cache.append(layer, k, v)
    heads = [_of(self)["causal_attention"](*(x[:, i : i + 1] for x in (q, k, v)))[:, 0] for i in range(self.num_heads)]
    h = h + self.proj(torch.cat(heads, dim=-1))
    z = self.fc(self.ln_2(h))
    return h + self.out(z / (1 + torch.exp(-1.702 * z)))


@variant(BLOCK)
def block_by_functions(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    q, k, v = _stored(_qkv(self, _norm(h, self.ln_1)), layer, cache)
    future = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=h.device).triu(k.shape[2] - q.shape[2] + 1)
    a = h + F.linear(_merge(F.scaled_dot_product_attention(q, k, v, attn_mask=~future)), self.proj.weight, self.proj.bias)
    return a + _mlp(self, _norm(a, self.ln_2))


@mistake(BLOCK, killed_by="test_gradients_reach_every_parameter_of_a_block", says=plain_data("The block is"))
def block_with_a_graph_for_h_alone(self: Any, h: Tensor, layer: int, cache: Any = None) -> Tensor:
    return graph_for_inputs_alone(_right(self, h, layer, cache), h)


# -- ImageGPT.decode --


@mistake(DECODE, killed_by=RUNS, says="The last norm, ln_f, is missing before the head.")
def no_last_norm(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.head(_blocks(self, h, cache))


@mistake(DECODE, killed_by=RUNS, says="You run all blocks but the last one.")
def one_block_short(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks):
        after = block(h, layer, cache)
        h = after if layer < len(self.blocks) - 1 else h
    return self.head(self.ln_f(h))


@mistake(DECODE, killed_by=RUNS, says="You run the first block again and again: each layer has its own block.")
def one_block_for_all(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer in range(len(self.blocks)):
        h = self.blocks[0](h, layer, cache)
    return self.head(self.ln_f(h))


@mistake(DECODE, killed_by=RUNS, says="The blocks run in reverse order.")
def blocks_reversed(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer in reversed(range(len(self.blocks))):
        h = self.blocks[layer](h, layer, cache)
    return self.head(self.ln_f(h))


@mistake(DECODE, killed_by=RUNS, says="The last norm is applied after every block. It comes once, before the head.")
def last_norm_after_every_block(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks):
        h = self.ln_f(block(h, layer, cache))
    return self.head(h)


@mistake(DECODE, killed_by=RUNS, says="`decode` adds no positions: h carries them already.")
def positions_once_more(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    start = 0 if cache is None else len(cache)
    here = self.wpe.weight[start : start + h.shape[1]]
    h = h + F.pad(here, (0, 0, 0, h.shape[1] - len(here)))
    return self.head(self.ln_f(_blocks(self, h, cache)))


@mistake(DECODE, killed_by=RUNS, says="The head is not tied to the embedding: use self.head, not wte.")
def head_tied_to_the_embedding(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.ln_f(_blocks(self, h, cache)) @ self.wte.weight.T


@mistake(DECODE, killed_by=RUNS, says="These are log-probabilities. `decode` returns what the head gives, the logits.")
def returns_log_probabilities(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.head(self.ln_f(_blocks(self, h, cache))).log_softmax(-1)


@mistake(DECODE, killed_by=RUNS, says="These are probabilities. `decode` returns what the head gives, the logits.")
def returns_probabilities(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.head(self.ln_f(_blocks(self, h, cache))).softmax(-1)


@mistake(DECODE, killed_by=DECODE_GOES_ON, says="The cache never reaches the blocks: hand it on to each of them.")
def keeps_the_cache_to_itself(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.head(self.ln_f(_blocks(self, h, None)))


@mistake(
    DECODE,
    killed_by=DECODE_GOES_ON,
    says="All blocks share the place of layer 0 in the cache. Tell each block the number of its layer.",
)
def every_block_is_layer_zero(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for block in self.blocks:
        h = block(h, 0, cache)
    return self.head(self.ln_f(h))


@mistake(
    DECODE,
    killed_by="test_decode_reaches_every_parameter_behind_it",
    says="The graph is cut between the blocks, so those before the cut cannot learn.",
)
def blocks_cut_apart(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks):
        h = block(h.detach(), layer, cache)
    return self.head(self.ln_f(h))


@mistake(DECODE, killed_by=RUNS, says="You run two blocks at most: there are config.num_layers of them.")
def two_blocks_at_most(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks[:2]):
        h = block(h, layer, cache)
    return self.head(self.ln_f(h))


@mistake(
    DECODE,
    killed_by=RUNS,
    says="You give the logits of the last position only: `decode` gives those of all t positions.",
)
def last_position_only(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.head(self.ln_f(_blocks(self, h, cache))[:, -1:])


@mistake(
    DECODE,
    killed_by="test_decode_keeps_the_dtype",
    says="The logits have the dtype of the model: float64 in, float64 out.",
)
def logits_in_single_precision(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.head(self.ln_f(_blocks(self, h, cache))).float()


@mistake(DECODE, killed_by=RUNS, says="You add the input of each block to its output. A block makes its own residuals.")
def residual_around_each_block(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks):
        h = h + block(h, layer, cache)
    return self.head(self.ln_f(h))


@mistake(DECODE, killed_by=RUNS, says="The last norm is applied after every block, and once more. It comes once, before the head.")
def last_norm_after_every_block_and_again(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks):
        h = self.ln_f(block(h, layer, cache))
    return self.head(self.ln_f(h))


@mistake(
    DECODE,
    killed_by=RUNS,
    says="You stop after six blocks. The model has as many as it was built with.",
    when=lambda self: len(self.blocks) > 6,
    green_at_home="deep models are compared with the reference",
)
def at_most_six_blocks(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks[:6]):
        h = block(h, layer, cache)
    return self.head(self.ln_f(h))


@mistake(
    DECODE,
    killed_by=RUNS,
    says="Every block gets the input h, so that only the last block counts. Each works on what the one before gives.",
)
def every_block_on_the_input(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    outputs = [block(h, layer, cache) for layer, block in enumerate(self.blocks)]
    return self.head(self.ln_f(outputs[-1]))


@mistake(DECODE, killed_by=RUNS, says="`decode` adds no positions: h carries them already.")
def first_positions_once_more(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return self.head(self.ln_f(_blocks(self, h + self.wpe.weight[: h.shape[1]], cache)))


@mistake(
    DECODE,
    killed_by="test_decode_of_known_weights_on_three_positions",
    says="The last norm has another epsilon: ln_f adds 1e-5 to the mean square.",
    when=lambda h: bool(h.square().mean(-1).min() < 1e-3),
)
def last_norm_with_another_epsilon(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    h = _blocks(self, h, cache)
    return self.head(F.rms_norm(h, h.shape[-1:], self.ln_f.weight))


@mistake(
    DECODE,
    killed_by=DECODE_GOES_ON,
    says="The third block stores its keys and values where the first one does. Every layer has a place of its own in the cache.",
    when=lambda self, cache: len(self.blocks) > 2 and cache is not None,
)
def two_places_in_the_cache(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer, block in enumerate(self.blocks):
        h = block(h, layer % 2, cache)
    return self.head(self.ln_f(h))


@mistake(
    DECODE,
    killed_by=RUNS,
    says="You skip the blocks where there is one position only and no cache. A position attends to itself.",
    when=lambda h, cache: h.shape[1] == 1 and cache is None,
)
def single_positions_skip_the_blocks(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    if h.shape[1] > 1 or cache is not None:
        h = _blocks(self, h, cache)
    return self.head(self.ln_f(h))


@mistake(
    DECODE,
    killed_by="test_the_gradient_of_decode_is_the_slope_of_its_logits",
    says="The size that the last norm divides by is cut off from the graph. It depends on h, too: the gradient is another one.",
)
def size_of_the_last_norm_detached(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    h = _blocks(self, h, cache)
    size = (h.square().mean(-1, keepdim=True) + 1e-5).sqrt().detach()
    return self.head(h / size * self.ln_f.weight)


@variant(DECODE)
def decode_by_reduction(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    step = lambda z, numbered: numbered[1](z, numbered[0], cache=cache)  # noqa: E731
    return F.linear(self.ln_f(functools.reduce(step, enumerate(self.blocks), h)), self.head.weight)


@variant(DECODE)
def decode_by_index(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    for layer in range(self.config.num_layers):
        h = self.blocks[layer](h, layer=layer, cache=cache)
    return _norm(h, self.ln_f) @ self.head.weight.T


@variant(DECODE)
def decode_recursively(self: Any, h: Tensor, cache: Any = None, layer: int = 0) -> Tensor:
    if layer == len(self.blocks):
        return F.linear(self.ln_f(h), self.head.weight)
    return decode_recursively(self, self.blocks[layer](h, layer, cache), cache, layer + 1)


@mistake(DECODE, killed_by="test_decode_reaches_every_parameter_behind_it", says=plain_data("The model is"))
def decode_with_a_graph_for_h_alone(self: Any, h: Tensor, cache: Any = None) -> Tensor:
    return graph_for_inputs_alone(self.head(self.ln_f(_blocks(self, h, cache))), h)


# -- what they share: the parts that are right --


def _of(module: nn.Module) -> dict[str, Any]:
    """The names of the module that the mistake stands in."""
    return type(module).__init__.__globals__


def _qkv(self: Any, z: Tensor) -> tuple[Tensor, ...]:
    n, t, dim = z.shape
    q, k, v = self.qkv(z).view(n, t, 3, self.num_heads, dim // self.num_heads).permute(2, 0, 3, 1, 4)
    return q, k, v


def _stored(qkv: tuple[Tensor, ...], layer: int, cache: Any) -> tuple[Tensor, ...]:
    q, k, v = qkv
    return (q, k, v) if cache is None else (q, *cache.append(layer, k, v))


def _merge(a: Tensor) -> Tensor:
    return a.transpose(1, 2).flatten(2)


def _attend(self: Any, z: Tensor, layer: int, cache: Any) -> Tensor:
    return self.proj(_merge(_of(self)["causal_attention"](*_stored(_qkv(self, z), layer, cache))))


def _mlp(self: Any, z: Tensor) -> Tensor:
    z = self.fc(z)
    return self.out(z * torch.sigmoid(1.702 * z))


def _right(self: Any, h: Tensor, layer: int, cache: Any) -> Tensor:
    h = h + _attend(self, self.ln_1(h), layer, cache)
    return h + _mlp(self, self.ln_2(h))


def _norm(z: Tensor, ln: Any) -> Tensor:
    return z / (z.square().mean(-1, keepdim=True) + 1e-5).sqrt() * ln.weight


def _blocks(self: Any, h: Tensor, cache: Any) -> Tensor:
    for layer, block in enumerate(self.blocks):
        h = block(h, layer, cache)
    return h
