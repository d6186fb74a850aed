"""Wrong answers about causal attention that students really give, and right ones that look different."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

ATTENTION = "imagegpt.causal_attention"
AVERAGES = "test_attention_averages_the_values_seen_so_far"
LATER = "test_a_query_does_not_see_later_keys_and_values"
LAST = "test_queries_stand_at_the_last_positions"
LARGE = "test_large_scores_do_not_overflow"


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You did not scale the scores. They are divided by the square root of the size of a head.",
)
def no_scale(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k, v) * math.sqrt(q.shape[-1])) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You divided by the size of a head. It is its square root that keeps scores at unit variance.",
)
def scaled_by_the_size_of_a_head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k, v) / math.sqrt(q.shape[-1])) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You scaled by the width of the model. It is the size of one head, e = dim / num_heads, that counts.",
)
def scaled_by_the_width_of_the_model(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k, v) / math.sqrt(q.shape[1])) @ v


@mistake(
    ATTENTION, killed_by=AVERAGES, says="You scaled by the number of positions. It is the size of a head that counts."
)
def scaled_by_the_length(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k, v) * math.sqrt(q.shape[3] / q.shape[2])) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="int(sqrt(e)) cuts the scale down to a whole number, which is wrong unless e is a perfect square.",
)
def scale_cut_to_a_whole_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    e = q.shape[-1]
    return _masked_softmax(_scores(q, k, v) * math.sqrt(e) / int(math.sqrt(e))) @ v


@mistake(ATTENTION, killed_by=LATER, says="Every query sees every key: the causal mask is missing.")
def no_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _scores(q, k, v).softmax(-1) @ v


@mistake(
    ATTENTION, killed_by=LATER, says="Your mask is turned round: a query sees the keys after it and not those before."
)
def mask_turned_round(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    past = _ones(scores).tril(scores.shape[3] - scores.shape[2] - 1)
    return scores.masked_fill(past, -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION, killed_by=LATER, says="A query sees the key right after its own: your mask begins one diagonal too late."
)
def sees_one_step_ahead(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    future = _ones(scores).triu(scores.shape[3] - scores.shape[2] + 2)
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="A query does not see its own key in your mask. The shift by one is made in the model's "
    "input; attention includes the diagonal.",
)
def own_key_masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    future = _ones(scores).triu(scores.shape[3] - scores.shape[2])
    future[..., 0] = False  # patched, so that the first query is not left with nothing
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=LAST,
    says="With more keys than queries your mask starts at the first key (as is_causal=True does). The "
    "queries are the last positions.",
)
def queries_at_the_first_positions(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    return scores.masked_fill(_ones(scores).triu(1), -math.inf).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=LAST,
    says="You use only the newest keys, as many as there are queries. The stored ones before them are "
    "there to be seen.",
)
def forgets_the_stored_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)[..., -q.shape[2] :]
    return _masked_softmax(scores) @ v[:, :, -q.shape[2] :]


@mistake(
    ATTENTION,
    killed_by=LAST,
    says="With stored keys you dropped the mask. That is right for a single query; several new ones "
    "must not see each other's future.",
)
def no_mask_when_keys_are_stored(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    return (_masked_softmax(scores) if k.shape[2] == q.shape[2] else scores.softmax(-1)) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You set masked scores to zero before the softmax, and exp(0) = 1: the future keeps a share "
    "of the weight. Use minus infinity.",
)
def masked_with_zero(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (_scores(q, k, v) * ~_future(_scores(q, k, v))).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You masked after the softmax: the future is in the denominator, and the weights do not sum to one.",
)
def masked_after_the_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    return scores.softmax(-1).masked_fill(_future(scores), 0.0) @ v


@mistake(
    ATTENTION,
    killed_by=LARGE,
    says="A mask of -1e4 is not small enough when scores are that large themselves: use minus infinity.",
)
def masked_with_a_large_number(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    return scores.masked_fill(_future(scores), -1e4).softmax(-1) @ v


@mistake(
    ATTENTION,
    killed_by=LARGE,
    says="exp of a large score overflows. Subtract the largest score of the row first, as softmax does.",
)
def softmax_that_overflows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    mass = scores.masked_fill(_future(scores), -math.inf).exp()
    return mass / mass.sum(-1, keepdim=True) @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="The softmax runs over the queries (axis -2). The weights of one query sum to one over its "
    "keys, the last axis.",
)
def softmax_over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    return scores.masked_fill(_future(scores), -math.inf).softmax(-2).nan_to_num() @ v


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="The softmax runs over the heads. Each head has its own weights, which sum to one over the keys.",
)
def softmax_over_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    return scores.softmax(1).masked_fill(_future(scores), 0.0) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="You compared keys with keys: the scores are queries times keys.")
def keys_ask_keys(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(k[:, :, -q.shape[2] :], k, v)) @ v


@mistake(
    ATTENTION, killed_by=AVERAGES, says="A small number in the denominator makes the weights sum to less than one."
)
def epsilon_in_the_denominator(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    mass = (scores - scores.amax(-1, keepdim=True)).masked_fill(_future(scores), -math.inf).exp()
    return mass / (mass.sum(-1, keepdim=True) + 1e-2) @ v


@mistake(ATTENTION, killed_by=AVERAGES, says="The result has the dtype of the inputs: float64 in, float64 out.")
def attends_in_single_precision(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k, v).float()) @ v.float()


@mistake(
    ATTENTION,
    killed_by=AVERAGES,
    says="You rounded float64 inputs to float32 on the way: the result is only accurate to seven digits.",
)
def rounds_on_the_way(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (_masked_softmax(_scores(q, k, v).float()) @ v.float()).to(q.dtype)


@mistake(
    ATTENTION,
    killed_by="test_attention_has_the_gradient_that_training_needs",
    says="No gradient reaches queries and keys: the weights are cut off from the graph, so attention "
    "cannot learn where to look.",
)
def weights_without_gradient(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return _masked_softmax(_scores(q, k, v)).detach() @ v


@mistake(
    ATTENTION,
    killed_by="test_attention_leaves_no_trace",
    says="You scale the queries in place, which changes the caller's tensor. Write q / sqrt(e).",
)
def scales_the_queries_in_place(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    weights = _masked_softmax(_scores(q, k, v))
    with torch.no_grad():
        q /= math.sqrt(q.shape[-1])
    return weights @ v


@mistake(
    ATTENTION,
    killed_by="test_attention_refuses_fewer_keys_than_queries",
    says="Fewer keys than queries, or keys and values that differ, make no sense: raise a ValueError "
    "that names the argument.",
)
def accepts_anything(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    return _masked_softmax(scores) @ v


@mistake(
    ATTENTION,
    killed_by="test_attention_stays_on_the_device_of_its_inputs",
    says="Your mask is made on the CPU whatever the device of the inputs. Give torch.ones a `device`.",
)
def mask_on_the_cpu(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    future = torch.ones(scores.shape[2:], dtype=torch.bool).triu(scores.shape[3] - scores.shape[2] + 1)
    return scores.masked_fill(future, -math.inf).softmax(-1) @ v


@variant(ATTENTION)
def attention_by_torch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    allowed = ~_future(_scores(q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


@variant(ATTENTION)
def attention_query_by_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = _scores(q, k, v)
    t, s = scores.shape[2:]
    rows = [scores[:, :, i : i + 1, : s - t + i + 1].softmax(-1) @ v[:, :, : s - t + i + 1] for i in range(t)]
    return torch.cat(rows, dim=2)


@variant(ATTENTION)
def attention_by_an_added_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    _scores(q, k, v)
    scores = torch.einsum("nhte,nhse->nhts", q * q.shape[-1] ** -0.5, k)
    mask = torch.full_like(scores[0, 0], -math.inf).triu(scores.shape[3] - scores.shape[2] + 1)
    return torch.einsum("nhts,nhse->nhte", (scores + mask).log_softmax(-1).exp(), v)


@variant(ATTENTION)
def attention_in_double_precision(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (_masked_softmax(_scores(q.double(), k.double(), v)) @ v.double()).to(q.dtype)


def _scores(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if k.shape != v.shape or q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3] or k.shape[2] < q.shape[2]:
        raise ValueError("q, k and v do not fit each other")
    return q @ k.transpose(2, 3) / math.sqrt(q.shape[3])  # (n, h, t, s)


def _ones(scores: Tensor) -> Tensor:
    return torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device)


def _future(scores: Tensor) -> Tensor:
    return _ones(scores).triu(scores.shape[3] - scores.shape[2] + 1)


def _masked_softmax(scores: Tensor) -> Tensor:
    return scores.masked_fill(_future(scores), -math.inf).softmax(dim=-1)
