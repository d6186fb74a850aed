"""Wrong answers about the divergence of two pmfs that students really give, and right answers by other roads."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import EPSILONS, mistake, variant

KL = "divergences.kl_divergence"
REVERSE = "This is KL(q‖p): you computed the reverse KL. The average is taken over p, the first argument."
AWAY_FROM_ZERO = (  # a clamp and a small number added answer alike far below the bound: one sentence, or they would have no name
    "You keep probabilities away from zero, by a clamp or a small number added to them: a tiny one is not the bound, "
    "and a zero of q is no small number."
)


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says=REVERSE,
)
def kl_of_q_and_p(p: Tensor, q: Tensor) -> Tensor:
    return _kl(*_checked(q, p))


@mistake(
    KL,
    killed_by="test_kl_vanishes_on_equal_pmfs",
    says="This is the cross-entropy: subtract the entropy of p, and equal pmfs have divergence zero.",
)
def cross_entropy(p: Tensor, q: Tensor) -> Tensor:
    return -torch.xlogy(*_checked(p, q)).sum(-1)


@mistake(
    KL,
    killed_by="test_kl_averages_the_log_ratio_over_its_first_argument",
    says="These are bits. Divergences here are in nats: take the natural logarithm.",
)
def kl_in_bits(p: Tensor, q: Tensor) -> Tensor:
    return _kl(*_checked(p, q)) / math.log(2)


@mistake(
    KL,
    killed_by="test_kl_averages_the_log_ratio_over_its_first_argument",
    says="You averaged the K terms. They already carry the weights p_k: add them up.",
)
def mean_over_values(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return _kl(p, q) / p.shape[-1]


@mistake(
    KL,
    killed_by="test_batches_of_pmfs_broadcast_over_the_leading_axes",
    says="You added the whole batch up. Each pair of pmfs has its own divergence: sum over the last axis alone.",
)
def kl_summed_over_the_batch(p: Tensor, q: Tensor) -> Tensor:
    return _kl(*_checked(p, q)).sum()


@mistake(
    KL,
    killed_by="test_kl_averages_the_log_ratio_over_its_first_argument",
    says="This is the average of KL(p‖q) and KL(q‖p). The divergence asked for is not symmetric.",
)
def symmetrised_kl(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return (_kl(p, q) + _kl(q, p)) / 2


@mistake(
    KL,
    killed_by="test_kl_averages_the_log_ratio_over_its_first_argument",
    says="You took the absolute value of each log-ratio. Single terms may be negative; only their sum is not.",
)
def absolute_log_ratios(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).abs().sum(-1)


@mistake(
    KL,
    killed_by="test_kl_takes_tiny_probabilities_at_their_word",
    says=AWAY_FROM_ZERO,
    constants=EPSILONS,
)
def epsilon_in_the_logarithm(p: Tensor, q: Tensor, constant: float = 1e-10) -> Tensor:
    p, q = _checked(p, q)
    return (p * ((p + constant).log() - (q + constant).log())).sum(-1)


@mistake(KL, killed_by="test_kl_takes_tiny_probabilities_at_their_word", says=AWAY_FROM_ZERO, constants=EPSILONS)
def epsilon_beside_q(p: Tensor, q: Tensor, constant: float = 1e-10) -> Tensor:
    return _kl(p, _checked(p, q)[1] + constant)


@mistake(KL, killed_by="test_kl_takes_tiny_probabilities_at_their_word", says=AWAY_FROM_ZERO, constants=EPSILONS)
def pmfs_with_epsilon(p: Tensor, q: Tensor, constant: float = 1e-10) -> Tensor:
    p, q = _checked(p + constant, q + constant)
    return _kl(p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True))


@mistake(
    KL, killed_by="test_kl_averages_the_log_ratio_over_its_first_argument", says="The log-ratios are added up without the weights p_k."
)
def log_ratios_without_weights(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return (p / q).log().sum(-1)


@mistake(
    KL,
    killed_by="test_kl_takes_tiny_probabilities_at_their_word",
    says="torch.distributions clamps and renormalises probabilities: what is below 1e-7 is lost.",
)
def kl_of_torch_categoricals(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    Categorical = torch.distributions.Categorical
    return torch.distributions.kl_divergence(Categorical(p, validate_args=False), Categorical(q, validate_args=False))


@mistake(
    KL,
    killed_by="test_values_without_mass_cost_nothing",
    says="0 log 0 came out as nan. By convention it is 0: a value that p never takes costs nothing.",
)
def nan_where_p_is_zero(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return (p * (p / q).log()).sum(-1)


@mistake(
    KL,
    killed_by="test_values_without_mass_cost_nothing",
    says="F.kl_div knows that 0 log 0 is 0 for its target, but not that 0 times the -inf of an empty q is 0 too.",
)
def kl_div_without_care_for_empty_values(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    return F.kl_div(q.log(), p, reduction="none").sum(-1)


@mistake(
    KL,
    killed_by="test_kl_is_infinite_outside_the_support",
    says="You left out what is infinite: where p has mass and q has none, so is the divergence.",
)
def drops_zero_terms_of_q(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    both = (p > 0) & (q > 0)
    log_ratio = torch.where(both, p, 1).log() - torch.where(both, q, 1).log()
    return (p * log_ratio).sum(-1)


@mistake(
    KL,
    killed_by="test_kl_is_infinite_outside_the_support",
    says="nan_to_num mends 0 log 0, but it also turns an infinite divergence into a large finite number.",
)
def infinity_replaced(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return torch.nan_to_num(p * (p / q).log()).sum(-1)


@mistake(KL, killed_by="test_kl_has_its_gradients", says="The result has lost its graph: nobody can minimise this divergence.")
def detached_kl(p: Tensor, q: Tensor) -> Tensor:
    return _kl(*_checked(p, q)).detach()


@mistake(
    KL,
    killed_by="test_kl_refuses_pmfs_over_different_numbers_of_values",
    says="The last axes are not compared. Pmfs over different numbers of values have to be refused, also those that broadcast, as 1 and 3.",
)
def last_axis_broadcasts(p: Tensor, q: Tensor) -> Tensor:
    return _kl(p, q)


@mistake(
    KL,
    killed_by="test_kl_has_the_dtype_of_its_arguments",
    says="The result is float64 whatever came in. It should have the dtype of the inputs.",
)
def always_float64(p: Tensor, q: Tensor) -> Tensor:
    return _kl(*_checked(p.double(), q.double()))


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says=REVERSE,
)
def kl_div_with_its_arguments_swapped(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    return F.kl_div(p.log(), q, reduction="none").sum(-1)


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="F.kl_div takes log-probabilities as its first argument: you handed it probabilities.",
)
def kl_div_of_probabilities(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    return F.kl_div(q, p, reduction="none").sum(-1)


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="F.kl_div averages over all entries unless it is told otherwise: the terms of a pmf are summed.",
)
def kl_div_with_its_mean_over_entries(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    return F.kl_div(q.log(), p, reduction="none").mean(-1)


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="p and q are probabilities, not logits: after a softmax they are other, flatter ones.",
)
def kl_of_softmaxes(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return _kl(p.softmax(-1), q.softmax(-1))


@mistake(
    KL, killed_by="test_kl_depends_on_the_order_of_its_arguments", says="This is the total variation. The divergence averages log-ratios."
)
def total_variation(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return (p - q).abs().sum(-1) / 2


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="This is the Jensen-Shannon divergence, which compares both with their mean.",
)
def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    mean = (p + q) / 2
    return (_kl(p, mean) + _kl(q, mean)) / 2


@mistake(
    KL,
    killed_by="test_kl_takes_tiny_probabilities_at_their_word",
    says=AWAY_FROM_ZERO,
    constants=EPSILONS,
)
def clamped_pmfs(p: Tensor, q: Tensor, constant: float = 1e-12) -> Tensor:
    p, q = _checked(p, q)
    return (p * (p.clamp(min=constant).log() - q.clamp(min=constant).log())).sum(-1)


@mistake(
    KL,
    killed_by="test_kl_is_infinite_outside_the_support",
    says=AWAY_FROM_ZERO,
    constants=EPSILONS,
)
def clamped_q(p: Tensor, q: Tensor, constant: float = 1e-12) -> Tensor:
    p, q = _checked(p, q)
    return _kl(p, q.clamp(min=constant))


@mistake(
    KL,
    killed_by="test_kl_is_infinite_outside_the_support",
    says="You left out what is infinite: where p has mass and q has none, so is the divergence.",
)
def infinite_terms_left_out(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    terms = torch.xlogy(p, p) - torch.xlogy(p, q)
    return torch.where(terms.isfinite(), terms, 0).sum(-1)


@mistake(
    KL,
    killed_by="test_batches_of_pmfs_broadcast_over_the_leading_axes",
    says="You averaged over the batch. Each pair of pmfs has its own divergence.",
)
def kl_averaged_over_the_batch(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    return F.kl_div(q.log(), p, reduction="batchmean") if p.dim() == 2 else _kl(p, q)


@mistake(
    KL,
    killed_by="test_batches_of_pmfs_broadcast_over_the_leading_axes",
    says="You paired the pmfs off along the first axis. Batches broadcast over all leading axes.",
)
def kl_of_pmfs_in_one_batch_axis(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    p, q = p.reshape(-1, p.shape[-1]), q.reshape(-1, q.shape[-1])
    return _kl(p, q).squeeze(0)


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="This is KL(p‖q) plus KL(q‖p). The divergence asked for is not symmetric.",
)
def sum_of_both_divergences(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return _kl(p, q) + _kl(q, p)


@mistake(
    KL,
    killed_by="test_batches_of_pmfs_broadcast_over_the_leading_axes",
    says="You sum over the first axis. The values are on the last one.",
    when=lambda p, q: max(p.ndim, q.ndim) > 1,
)
def kl_over_the_first_axis(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(0)


@mistake(KL, killed_by="test_kl_has_its_gradients", says="p is cut off the graph. The divergence has a gradient by both pmfs.")
def detached_p(p: Tensor, q: Tensor) -> Tensor:
    return _kl(*_checked(p.detach(), q))


@mistake(
    KL,
    killed_by="test_batches_of_pmfs_broadcast_over_the_leading_axes",
    says="You refuse batches of different shapes. They broadcast; only the last axes have to agree.",
    raises=True,
)
def refuses_to_broadcast(p: Tensor, q: Tensor) -> Tensor:
    if p.shape != q.shape:
        raise ValueError("p and q must have the same shape")
    return _kl(p, q)


@mistake(
    KL,
    killed_by="test_batches_of_pmfs_broadcast_over_the_leading_axes",
    says="You give the one pmf a row for each along the first axis of the other batch. Axes broadcast from the last one on.",
    when=lambda p, q: p.ndim == 1 and q.ndim > 2,
)
def one_row_for_each_along_the_first_axis(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return _kl(p.expand(len(q), -1) if p.ndim == 1 < q.ndim else p, q)


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="The entropy of p has the wrong sign: it is subtracted from the cross-entropy.",
)
def entropy_added_to_the_cross_entropy(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return -torch.xlogy(p, q).sum(-1) - torch.xlogy(p, p).sum(-1)


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="F.kl_div averages over all entries unless it is told otherwise: the terms of a pmf are summed.",
)
def kl_div_with_its_mean_over_everything(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    return F.kl_div(q.log(), p, reduction="none").mean()


@mistake(
    KL,
    killed_by="test_kl_depends_on_the_order_of_its_arguments",
    says="F.kl_div with 'batchmean' adds everything up and divides by the length of the first axis. "
    "Sum over the last axis alone, and divide by nothing.",
)
def kl_div_with_batchmean(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    return F.kl_div(q.log(), p, reduction="batchmean")


@mistake(
    KL,
    killed_by="test_kl_is_infinite_outside_the_support",
    says="One pmf outside the support makes the whole batch infinite. Each pair has its own divergence.",
)
def infinite_for_the_whole_batch(p: Tensor, q: Tensor) -> Tensor:
    divergence = _kl(*_checked(p, q))
    return torch.full_like(divergence, math.inf) if divergence.dim() > 1 and divergence.isinf().any() else divergence


@variant(KL)
def kl_by_loops(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    rows = []
    for one, other in zip(p.reshape(-1, p.shape[-1]), q.reshape(-1, q.shape[-1]), strict=True):
        total = one.sum() * 0 + other.sum() * 0
        for p_k, q_k in zip(one, other, strict=True):
            if p_k > 0:
                total = total + p_k * (p_k.log() - q_k.log())
        rows.append(total)
    return torch.stack(rows).reshape(p.shape[:-1])


@variant(KL)
def kl_in_float64_inside(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return _kl(p.double(), q.double()).to(p.dtype)


@variant(KL)
def kl_with_zeros_masked_before_the_logarithm(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    log_ratio = torch.where(p > 0, p, 1).log() - torch.where(p > 0, q, 1).log()
    return (p * log_ratio).sum(-1)


@variant(KL)
def kl_as_ratio_masked_before_the_logarithm(p: Tensor, q: Tensor) -> Tensor:
    p, q = torch.broadcast_tensors(*_checked(p, q))
    ratio = torch.where(p > 0, p, 1) / torch.where(p > 0, q, 1)
    return (p * ratio.log()).sum(-1)


@variant(KL)
def kl_by_where(p: Tensor, q: Tensor) -> Tensor:
    """Its gradient is nan at a zero of p, where nobody asks for one."""
    if p.size(-1) != q.size(-1):
        raise ValueError("shapes")
    return torch.where(p > 0, p * (p / q).log(), 0).sum(dim=-1)


@variant(KL)
def kl_by_rel_entr(p: Tensor, q: Tensor) -> Tensor:
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(f"{p.shape} and {q.shape}")
    terms = p * (torch.log(p) - torch.log(q))
    return terms.masked_fill(p == 0, 0.0).sum(-1)


@variant(KL)
def kl_by_kl_div_with_care(p: Tensor, q: Tensor) -> Tensor:
    if p.shape[-1] != q.shape[-1]:
        raise ValueError("different supports")
    p, q = torch.broadcast_tensors(p, q)
    terms = F.kl_div(q.log(), p, reduction="none")
    return torch.where(p == 0, torch.zeros_like(terms), terms).sum(-1)


@variant(KL)
def kl_by_an_inner_product(p: Tensor, q: Tensor) -> Tensor:
    if p.shape[-1] != q.shape[-1]:
        raise ValueError
    p, q = torch.broadcast_tensors(p, q)
    log_ratio = torch.where(p == 0, 0, torch.log(p) - torch.log(q))
    return torch.einsum("...k,...k->...", p, log_ratio)


@variant(KL)
def kl_as_cross_entropy_minus_entropy(p: Tensor, q: Tensor) -> Tensor:
    p, q = _checked(p, q)
    return -torch.xlogy(p, q).sum(-1) - torch.special.entr(p).sum(-1)


def _checked(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    if p.shape[-1] != q.shape[-1]:
        raise ValueError("p and q need the same K")
    return p, q


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)


@mistake(
    KL,
    killed_by="test_kl_has_the_dtype_of_its_arguments",
    says="Over a single value you return a zero of the default dtype. It has the dtype of the arguments.",
)
def zero_of_the_default_dtype(p: Tensor, q: Tensor) -> Tensor:
    value = _kl(*_checked(p, q))
    return torch.zeros(value.shape) if p.shape[-1] == 1 else value
