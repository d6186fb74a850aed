"""Means of values under a law: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import MANY_ROWS, changed_in_place, graph_for_inputs_alone, plain_data, without_graph_where

JENSEN = "course_tricks.jensen_gap"
DIRAC = "course_tricks.dirac_expectation"


# -- jensen_gap --


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="The two terms are swapped: the gap is E f(x) minus f(E x), positive for convex f.",
)
def swapped(f, x):
    return f(x.mean(dim=0, keepdim=True))[0] - f(x).mean()


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="You took the absolute value. For a concave f the gap is negative, and the sign is the point.",
)
def absolute_gap(f, x):
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).abs()


@mistake(
    JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature", says="You clamped the gap at zero. For a concave f it is negative."
)
def clamped_at_zero(f, x):
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).clamp_min(0)


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="Your average of f divides by n - 1. Both sides of the inequality are plain averages.",
)
def average_over_n_minus_1(f, x):
    return f(x).sum() / (len(x) - 1) - f(x.mean(dim=0, keepdim=True))[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="You averaged over all coordinates. The mean of vectors is a vector: one mean for each coordinate.",
)
def one_mean_for_all_coordinates(f, x):
    return f(x).mean() - f(x.mean().expand(1, x.shape[1]))[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_is_average_of_f_minus_f_of_average",
    says="You call f on a single vector. f is batched: it takes (n, m), here with n = 1.",
)
def mean_without_its_batch_axis(f, x):
    return f(x).mean() - f(x.mean(dim=0))


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="f at the mean sample comes back as a batch of one; the gap is a number, of shape ().",
)
def gap_with_a_batch_axis(f, x):
    return f(x).mean() - f(x.mean(dim=0, keepdim=True))


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_gradient_of_both_terms",
    says="You cut the graph at the mean sample: the gap depends on x through both terms.",
)
def detached_mean(f, x):
    return f(x).mean() - f(x.detach().mean(dim=0, keepdim=True))[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="You evaluate f at the median sample. The inequality is about the mean on both sides.",
)
def f_of_the_median(f, x):
    return f(x).mean() - f(x.median(dim=0, keepdim=True).values)[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="You divide the gap by f at the mean. The gap is a plain difference.",
)
def relative_gap(f, x):
    at_mean = f(x.mean(dim=0, keepdim=True))[0]
    return (f(x).mean() - at_mean) / at_mean


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="Your mean sample divides by n - 1. Both sides of the inequality are plain averages.",
)
def mean_sample_over_n_minus_1(f, x):
    return f(x).mean() - f(x.sum(dim=0, keepdim=True) / max(len(x) - 1, 1))[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_counts_every_one_of_many_samples",
    says="You use the first thousand samples only. All that are given count, in both terms.",
)
def gap_of_the_first_thousand(f, x):
    x = x[:1000]
    return f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_gradient_of_both_terms",
    says="The graph is cut: the gap is differentiable, in f's parameters and in the samples.",
)
def gap_as_a_python_number(f, x):
    return torch.tensor(f(x).mean().item() - f(x.mean(dim=0, keepdim=True)).item(), dtype=x.dtype)


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_dtype_of_the_samples",
    says="You return float32 whatever the samples are: the result has their dtype.",
)
def gap_in_float32(f, x):
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).float()


@mistake(
    JENSEN, killed_by="test_jensen_gap_of_a_gaussian_log_density", says="You clamp the values of f. They may be of any size, in both terms."
)
def clamps_the_values_of_f(f, x):
    return f(x).clamp(-1e4, 1e4).mean() - f(x.mean(dim=0, keepdim=True))[0].clamp(-1e4, 1e4)


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_of_a_gaussian_log_density",
    says="You set a small gap to zero. A function of small values has a small gap.",
)
def small_gaps_are_zero(f, x):
    gap = f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]
    return torch.where(gap.abs() < 1e-6, 0.0, gap)


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="You add up the values of f. E f(x) is their average.",
)
def sum_minus_f_of_the_mean(f, x):
    return f(x).sum() - f(x.mean(dim=0, keepdim=True))[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="This is the variance of f(x). The gap compares E f(x) with f at E x.",
)
def variance_of_f(f, x):
    return f(x).var(correction=0)


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_gradient_of_both_terms",
    says="f at the mean is cut off the graph. Both terms have a gradient.",
)
def detached_f_of_the_mean(f, x):
    return f(x).mean() - f(x.mean(dim=0, keepdim=True))[0].detach()


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="This is the average of f alone: f at the average sample is not subtracted.",
)
def average_of_f_alone(f, x):
    return f(x).mean()


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
    says="You divide E f(x) by f(E x). The gap is their difference.",
)
def ratio_of_the_two_sides(f, x):
    return f(x).mean() / f(x.mean(dim=0, keepdim=True))[0]


@mistake(
    JENSEN,
    killed_by="test_jensen_gap_has_the_dtype_of_the_samples",
    says="For a single sample you return a zero that is float32 whatever x is.",
    when=lambda x: len(x) == 1,
)
def zero_of_a_single_sample(f, x):
    return torch.zeros(()) if len(x) == 1 else f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]


@variant(JENSEN)
def gap_of_every_sample(f, x):
    return (f(x) - f(x.mean(dim=0)[None])).mean()


@variant(JENSEN)
def both_terms_in_one_batch(f, x):
    values = f(torch.cat([x, x.mean(dim=0, keepdim=True)]))
    return values[:-1].mean() - values[-1]


@variant(JENSEN)
def gap_by_vmap(f, x):
    one = lambda row: f(row.unsqueeze(0)).squeeze(0)  # noqa: E731
    return torch.func.vmap(one)(x).mean() - one(x.mean(0))


@variant(JENSEN)
def gap_from_sums(f, x):
    n = len(x)
    return sum(f(row)[0] for row in x.split(1)) / n - f(x.sum(dim=0, keepdim=True) / n).squeeze()


@variant(JENSEN)
def gap_in_float64(f, x):
    wide = x.double()
    return (f(wide).mean() - f(wide.mean(0, keepdim=True))[0]).to(x.dtype)


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_gradient_of_both_terms", says=plain_data("What f holds is"))
def gap_with_a_graph_for_the_samples_alone(f, x):
    return graph_for_inputs_alone(f(x).mean() - f(x.mean(dim=0, keepdim=True))[0], x)


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_gradient_of_both_terms", says=MANY_ROWS)
def gap_of_many_samples_without_graph(f, x):
    return without_graph_where(len(x) > 64, f(x).mean() - f(x.mean(dim=0, keepdim=True))[0])


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_dtype_of_the_samples", says=changed_in_place("f", "a part of the samples"))
def gaps_taken_in_place(f, x):
    f_of_mean = f(x.mean(dim=0, keepdim=True))
    values = f(x)
    values -= f_of_mean
    return values.mean()


# -- dirac_expectation --


@mistake(
    DIRAC,
    killed_by="test_every_delta_sifts_out_a_value",
    says="This is f at the mean point. Each delta sifts out a value of f: average the values.",
)
def f_of_the_mean_point(f, points, weights):
    return f((weights @ points)[None])[0]


@mistake(DIRAC, killed_by="test_every_delta_sifts_out_a_value", says="You ignore the weights: they need not be equal.")
def ignores_the_weights(f, points, weights):
    return f(points).mean(dim=0)


@mistake(
    DIRAC,
    killed_by="test_every_delta_sifts_out_a_value",
    says="You divide by the number of points as well. The weights sum to one already.",
)
def divides_by_k_again(f, points, weights):
    return (weights[:, None] * f(points)).mean(dim=0)


@mistake(
    DIRAC,
    killed_by="test_every_delta_sifts_out_a_value",
    says="You put the weights through a softmax. They are probabilities already: a weight of zero stays zero.",
)
def softmax_of_weights(f, points, weights):
    return weights.softmax(dim=0) @ f(points)


@mistake(
    DIRAC, killed_by="test_every_delta_sifts_out_a_value", says="You take the heaviest point alone. Every point with weight contributes."
)
def heaviest_point(f, points, weights):
    return f(points)[weights.argmax()]


@mistake(
    DIRAC,
    killed_by="test_tiny_and_many_weights_count",
    says="You leave small weights out. Every point counts by its weight, however small.",
)
def drops_small_weights(f, points, weights):
    keep = weights > 1e-8
    return weights[keep] @ f(points[keep])


@mistake(
    DIRAC,
    killed_by="test_every_delta_sifts_out_a_value",
    says="You leave out points of small weight and give theirs to the others. Every point counts by its weight.",
)
def top_half_of_the_weights(f, points, weights):
    top = weights.topk((len(weights) + 1) // 2).indices
    return weights[top] / weights[top].sum() @ f(points[top])


@mistake(
    DIRAC,
    killed_by="test_tiny_and_many_weights_count",
    says="You draw points by their weights. The expectation is a finite sum: nothing has to be drawn.",
)
def draws_the_points(f, points, weights):
    drawn = torch.multinomial(weights, 10_000, replacement=True)
    return f(points[drawn]).mean(dim=0)


@mistake(
    DIRAC,
    killed_by="test_dirac_expectation_is_linear_in_the_weights",
    says="You normalise the weights. They sum to one already; dividing by their sum changes the gradient.",
)
def normalises_the_weights(f, points, weights):
    return (weights / weights.sum()) @ f(points)


@mistake(
    DIRAC,
    killed_by="test_dirac_expectation_of_a_single_point_or_dimension",
    says="A squeeze drops the axis of the components where there is one component only: the result is (1,) then.",
)
def squeezes_the_expectation(f, points, weights):
    return (weights @ f(points)).squeeze()


@mistake(
    DIRAC,
    killed_by="test_dirac_expectation_is_linear_in_the_weights",
    says="The graph is cut at the weights: the expectation is differentiable in them.",
)
def detached_weights(f, points, weights):
    return weights.detach() @ f(points)


@mistake(
    DIRAC,
    killed_by="test_dirac_expectation_leaves_the_points_as_they_are",
    says="You weigh the values in place. Where f returns its input, that overwrites your caller's points.",
)
def weighs_in_place(f, points, weights):
    values = f(points)
    values *= weights[:, None]
    return values.sum(dim=0)


@mistake(
    DIRAC,
    killed_by="test_every_delta_sifts_out_a_value",
    says="Of equal points you keep the last one only. Each delta counts with its own weight, wherever it stands.",
)
def last_of_equal_points(f, points, weights):
    kept = list({tuple(point.tolist()): i for i, point in enumerate(points)}.values())
    return weights[kept] @ f(points[kept])


@mistake(
    DIRAC,
    killed_by="test_every_delta_sifts_out_a_value",
    says="You weigh the points before f sees them. The deltas sift out f at the points; the weights multiply its values.",
)
def f_of_weighted_points(f, points, weights):
    return f(weights[:, None] * points).sum(dim=0)


@mistake(
    DIRAC,
    killed_by="test_every_delta_sifts_out_a_value",
    says="You add up the values without their weights.",
)
def sum_without_weights(f, points, weights):
    return f(points).sum(dim=0)


@mistake(
    DIRAC,
    killed_by="test_dirac_expectation_is_linear_in_the_weights",
    says="The values of f are cut off the graph: no gradient reaches the points or the parameters of f.",
)
def detached_values(f, points, weights):
    return weights @ f(points).detach()


@mistake(
    DIRAC,
    killed_by="test_dirac_expectation_is_linear_in_the_weights",
    says="A single point goes without its weight, so no gradient reaches the weight. The result is linear in it.",
    when=lambda points: len(points) == 1,
)
def single_point_without_its_weight(f, points, weights):
    return f(points)[0] if len(points) == 1 else weights @ f(points)


@variant(DIRAC)
def weighted_sum(f, points, weights):
    return (weights[:, None] * f(points)).sum(dim=0)


@variant(DIRAC)
def einsum_of_weights(f, points, weights):
    return torch.einsum("k,kd->d", weights, f(points))


@variant(DIRAC)
def tensordot_in_float64(f, points, weights):
    return torch.tensordot(weights.double(), f(points).double(), dims=1).to(points.dtype)


@variant(DIRAC)
def delta_by_delta(f, points, weights):
    return sum(w * f(point[None])[0] for w, point in zip(weights, points, strict=True))


@mistake(DIRAC, killed_by="test_dirac_expectation_is_linear_in_the_weights", says=plain_data("What f holds is"))
def expectation_with_a_graph_for_inputs_alone(f, points, weights):
    return graph_for_inputs_alone(weights @ f(points), points, weights)
