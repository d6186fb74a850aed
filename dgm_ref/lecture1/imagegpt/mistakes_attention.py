"""Wrong answers about causal attention that students really give, and right ones that look different."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.attention.flex_attention import flex_attention

from dgm_ref.catalogue import mistake, size_of, variant

ATTENTION = "imagegpt.causal_attention"
AVERAGES = "test_attention_averages_the_values_seen_so_far"
LATER = "test_a_query_does_not_see_later_keys_and_values"
LAST = "test_queries_stand_at_the_last_positions"
LARGE = "test_large_scores_do_not_overflow"
OWN_KEY = "A query does not see its own key in your mask. The shift by one is made in the model's input; attention includes the diagonal."
FAR = "test_a_query_looks_back_as_far_as_there_are_keys"


def scores_are_large(q: Tensor, k: Tensor) -> bool:
    return bool((q @ k.transpose(2, 3)).abs().max() > 40 * math.sqrt(q.shape[3]))


def keys_are_stored(q: Tensor, k: Tensor) -> bool:
    return k.shape[2] > q.shape[2]


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You did not scale the scores. They are divided by the square root of the size of a head.",
)
def no_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k) * math.sqrt(q.shape[-1])) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You divided by the size of a head. It is its square root that keeps scores at unit variance.",
)
def scaled_by_the_size_of_a_head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k) / math.sqrt(q.shape[-1])) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You scaled by the width of the model. It is the size of one head, e = dim / num_heads, that counts.",
)
def scaled_by_the_width_of_the_model(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k) / math.sqrt(q.shape[1])) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="You scaled by the number of positions. It is the size of a head that counts.")
def scaled_by_the_length(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k) * math.sqrt(q.shape[3] / q.shape[2])) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="int(sqrt(e)) cuts the scale down to a whole number, which is wrong unless e is a perfect square.",
)
def scale_cut_to_a_whole_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = q.shape[-1]
    return _masked_softmax(_scores(q, k) * math.sqrt(e) / int(math.sqrt(e))) @ v


@mistake(ATTENTION, killed_by=LATER, says="Every query sees every key: the causal mask is missing.")
def no_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _scores(q, k).softmax(-1) @ v


@mistake(ATTENTION, killed_by=LATER, says="Your mask is turned round: a query sees the keys after it and not those before.")
def mask_turned_round(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    past = _ones(scores).tril(scores.shape[3] - scores.shape[2] - 1)
    return scores.masked_fill(past, -math.inf).softmax(-1) @ v


@mistake(ATTENTION, killed_by=LATER, says="A query sees the key right after its own: your mask begins one diagonal too late.")
def sees_one_step_ahead(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    future = _ones(scores).triu(scores.shape[3] - scores.shape[2] + 2)
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says=OWN_KEY,
)
def own_key_masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    future = _ones(scores).triu(scores.shape[3] - scores.shape[2])
    future[..., 0] = False  # patched, so that the first query is not left with nothing
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=LAST,
    says="With more keys than queries your mask starts at the first key (as is_causal=True does). The queries are the last positions.",
    when=keys_are_stored,
)
def queries_at_the_first_positions(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(_ones(scores).triu(1), -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=LAST,
    says="You use only the newest keys, as many as there are queries. The stored ones before them are there to be seen.",
    when=keys_are_stored,
)
def forgets_the_stored_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)[..., -q.shape[2] :]
    return _masked_softmax(scores) @ v[:, :, -q.shape[2] :]


@mistake(
    ATTENTION,
    killed_by=LAST,
    says="With stored keys you dropped the mask. That is right for a single query; several new ones must not see each other's future.",
    when=keys_are_stored,
)
def no_mask_when_keys_are_stored(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return (_masked_softmax(scores) if k.shape[2] == q.shape[2] else scores.softmax(-1)) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You set masked scores to zero, or nearly so, before the softmax, and exp(0) = 1: the future keeps a share of the weight. "
    "Use minus infinity.",
)
def masked_with_zero(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (_scores(q, k) * ~_future(_scores(q, k))).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You masked after the softmax: the future is in the denominator, and the weights do not sum to one.",
)
def masked_after_the_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.softmax(-1).masked_fill(_future(scores), 0.0) @ v


@mistake(
    ATTENTION,
    killed_by=LARGE,
    says="A mask of -1e4 is not small enough when scores are that large themselves: use minus infinity.",
    when=scores_are_large,
)
def masked_with_a_large_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(_future(scores), -1e4).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=LARGE,
    says="exp of a large score overflows. Subtract the largest score of the row first, as softmax does.",
    when=scores_are_large,
)
def softmax_that_overflows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    mass = scores.masked_fill(_future(scores), -math.inf).exp()
    return mass / mass.sum(-1, keepdim=True) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="The softmax runs over the queries (axis -2). The weights of one query sum to one over its keys, the last axis.",
)
def softmax_over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(_future(scores), -math.inf).softmax(-2).nan_to_num() @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="The softmax runs over the heads. Each head has its own weights, which sum to one over the keys.",
)
def softmax_over_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.softmax(1).masked_fill(_future(scores), 0.0) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="You compared keys with keys: the scores are queries times keys.")
def keys_ask_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(k[:, :, -q.shape[2] :], k)) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="A small number in the denominator makes the weights sum to less than one.")
def epsilon_in_the_denominator(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    mass = (scores - scores.amax(-1, keepdim=True)).masked_fill(_future(scores), -math.inf).exp()
    return mass / (mass.sum(-1, keepdim=True) + 1e-2) @ v


@mistake(
    ATTENTION,
    killed_by="test_attention_keeps_the_dtype",
    says="The result has the dtype of the inputs: float64 in, float64 out.",
)
def attends_in_single_precision(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k).float()) @ v.float()


@mistake(
    ATTENTION,
    killed_by=LAST,
    says="You rounded float64 inputs to float32 on the way: the result is only accurate to seven digits.",
)
def rounds_on_the_way(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (_masked_softmax(_scores(q, k).float()) @ v.float()).to(q.dtype)


@mistake(
    ATTENTION,
    killed_by="test_attention_has_the_gradient_that_training_needs",
    says="No gradient reaches queries and keys: the weights are cut off from the graph, so attention cannot learn where to look.",
)
def weights_without_gradient(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k)).detach() @ v


@mistake(
    ATTENTION,
    killed_by=FAR,
    says="A query sees the last 64 keys only: all keys up to its own position are to be seen.",
    when=size_of("k", axis=2, at_least=65),
)
def last_sixty_four_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _within(q, k, v, 64)


@mistake(
    ATTENTION,
    killed_by=FAR,
    says="A query sees the last 16 keys only: all keys up to its own position are to be seen.",
    when=size_of("k", axis=2, at_least=17),
)
def last_sixteen_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _within(q, k, v, 16)


@mistake(
    ATTENTION,
    killed_by=LARGE,
    says="You subtract one maximum for all queries: where the scores of a query lie far below it, exp gives nothing but "
    "zeros. Each query has its own.",
    when=scores_are_large,
)
def one_maximum_for_all(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k).masked_fill(_future(_scores(q, k)), -math.inf)
    mass = (scores - scores.max()).exp()
    return mass / mass.sum(-1, keepdim=True) @ v


@mistake(
    ATTENTION,
    killed_by=LARGE,
    says="You clamp the scores. Large ones are legal: they pick out one value.",
    when=scores_are_large,
)
def clamps_the_scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k).clamp(-50, 50)) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="You drop weights out. This attention has no dropout.")
def with_dropout(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout(_masked_softmax(_scores(q, k)), 0.1) @ v


@mistake(
    ATTENTION,
    killed_by="test_attention_of_tensors_of_any_layout",
    says="`view` refuses queries and keys that do not lie in one piece in memory, as a split of one projection gives them: "
    "reshape copies where it has to, and `@` needs neither.",
    raises=True,
)
def heads_viewed_as_batch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n, h, t, e = q.shape
    a = _right(q.view(n * h, 1, t, e), k.view(n * h, 1, -1, e), v.view(n * h, 1, -1, e))
    return a.view(n, h, t, e)


@mistake(
    ATTENTION,
    killed_by="test_attention_of_one_image_one_head_one_position_one_number",
    says="You lost an axis of length one: the result has shape (n, h, t, e), also for one head.",
)
def single_axes_lost(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _right(q, k, v).squeeze(1)


@mistake(
    ATTENTION,
    killed_by="test_attention_stays_on_the_device_of_its_inputs",
    says="Your mask is made on the CPU whatever the device of the inputs. Give torch.ones a `device`.",
)
def mask_on_the_cpu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    future = torch.ones(scores.shape[2:], dtype=torch.bool).triu(scores.shape[3] - scores.shape[2] + 1)
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says=OWN_KEY)
def own_key_masked_everywhere(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(_ones(scores).triu(scores.shape[3] - scores.shape[2]), -math.inf).softmax(-1) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says=OWN_KEY)
def own_key_masked_and_nothing_for_nan(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(_ones(scores).triu(scores.shape[3] - scores.shape[2]), -math.inf).softmax(-1).nan_to_num(0.0) @ v


@mistake(ATTENTION, killed_by=LATER, says="Your mask is turned round: it hides the keys that a query may see and shows the later ones.")
def inverted_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(~_future(scores), -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=LATER,
    says="You mask with a number that is not small enough: later keys keep a share of the weight. Use minus infinity.",
    constants=(-2.0, -5.0, -10.0, -100.0),
)
def masked_with_a_small_number(q: Tensor, k: Tensor, v: Tensor, constant: float = -1.0) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(_future(scores), constant).softmax(-1) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="You multiply the scores by the root of the size of a head. They are divided by it.")
def scores_times_the_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k) * q.shape[3]) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="You average the keys. The weights are those of the values, v.")
def keys_averaged(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k)) @ k


@mistake(ATTENTION, killed_by=AVERAGES, says="The softmax is missing: raw scores are no weights.")
def scores_without_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    return scores.masked_fill(_future(scores), 0.0) @ v


@mistake(ATTENTION, killed_by=LAST, says="You scaled by the number of keys. It is the size of a head that counts.", when=keys_are_stored)
def scaled_by_the_number_of_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(q @ k.transpose(2, 3) / math.sqrt(k.shape[2])) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="Keys and values are exchanged: queries are compared with keys, and what is averaged are the values.",
)
def values_as_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _right(q, v, k)


@variant(ATTENTION)
def attention_by_log_probabilities(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    scores = scores.masked_fill(_future(scores), -math.inf)
    return (scores - scores.logsumexp(-1, keepdim=True)).exp() @ v


@variant(ATTENTION)
def attention_by_torchs_causal_bias(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=causal_lower_right(q.size(-2), k.size(-2)))


@variant(ATTENTION)
def attention_by_flex(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if any(x.requires_grad for x in (q, k, v)):  # flex_attention has no gradient on a CPU
        return attention_by_torchs_causal_bias(q, k, v)
    offset = k.shape[2] - q.shape[2]

    def past(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return torch.where(key <= query + offset, score, -math.inf)

    return flex_attention(q, k, v, score_mod=past)


@variant(ATTENTION)
def attention_as_nanogpt(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    t, s = q.size(-2), k.size(-2)
    bias = torch.tril(torch.ones(s, s, device=q.device)).view(1, 1, s, s)
    att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
    att = att.masked_fill(bias[:, :, s - t : s, :s] == 0, float("-inf"))
    return F.softmax(att, dim=-1) @ v


@variant(ATTENTION)
def attention_as_transformers(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = torch.matmul(q, k.transpose(-1, -2)) / (float(v.size(-1)) ** 0.5)
    t, s = q.size(-2), k.size(-2)
    causal = torch.tril(torch.ones((s, s), dtype=torch.bool, device=q.device))[s - t : s, :s]
    least = torch.full([], torch.finfo(weights.dtype).min, dtype=weights.dtype, device=weights.device)
    return torch.matmul(torch.where(causal, weights, least).softmax(dim=-1), v)


@variant(ATTENTION)
def attention_by_cases(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    t, s = q.shape[2], k.shape[2]
    if t in (1, s):
        return F.scaled_dot_product_attention(q, k, v, is_causal=t == s)
    mask = torch.arange(s, device=q.device) <= torch.arange(s - t, s, device=q.device)[:, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@variant(ATTENTION)
@torch.jit.script
def attention_scripted(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.matmul(q / math.sqrt(q.size(3)), k.transpose(2, 3))
    late = torch.ones(q.size(2), k.size(2), dtype=torch.bool, device=q.device).triu(k.size(2) - q.size(2) + 1)
    return torch.matmul(torch.softmax(scores.masked_fill(late, -float("inf")), dim=-1), v)


@variant(ATTENTION)
def attention_in_batches_of_matrices(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    n, h, t, e = q.shape
    scores = torch.bmm(q.reshape(n * h, t, e), k.reshape(n * h, -1, e).transpose(1, 2)).div(e**0.5)
    mask = torch.full((t, k.shape[2]), -math.inf, dtype=q.dtype, device=q.device).triu(k.shape[2] - t + 1)
    return torch.bmm((scores + mask).softmax(-1), v.reshape(n * h, -1, e)).reshape(n, h, t, e)


@variant(ATTENTION)
def attention_by_torch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    allowed = ~_future(_scores(q, k))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


@variant(ATTENTION)
def attention_query_by_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k)
    t, s = scores.shape[2:]
    rows = [scores[:, :, i : i + 1, : s - t + i + 1].softmax(-1) @ v[:, :, : s - t + i + 1] for i in range(t)]
    return torch.cat(rows, dim=2)


@variant(ATTENTION)
def attention_by_an_added_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("nhte,nhse->nhts", q * q.shape[-1] ** -0.5, k)
    mask = torch.full_like(scores[0, 0], -math.inf).triu(scores.shape[3] - scores.shape[2] + 1)
    return torch.einsum("nhts,nhse->nhte", (scores + mask).log_softmax(-1).exp(), v)


@variant(ATTENTION)
def attention_in_double_precision(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (_masked_softmax(_scores(q.double(), k.double())) @ v.double()).to(q.dtype)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.transpose(2, 3) / math.sqrt(q.shape[3])  # (n, h, t, s)


def _right(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k)) @ v


def _within(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    scores = _scores(q, k)
    forgotten = _ones(scores).tril(scores.shape[3] - scores.shape[2] - window)
    return _masked_softmax(scores.masked_fill(forgotten, -math.inf)) @ v


def _ones(scores: Tensor) -> Tensor:
    return torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device)


def _future(scores: Tensor) -> Tensor:
    return _ones(scores).triu(scores.shape[3] - scores.shape[2] + 1)


def _masked_softmax(scores: Tensor) -> Tensor:
    return scores.masked_fill(_future(scores), -math.inf).softmax(dim=-1)
