"""Means of values under a law: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch

from dgm_ref.catalogue import mistake, variant

JENSEN = "course_tricks.jensen_gap"
PREDICTOR = "course_tricks.optimal_mse_predictor"
DIRAC = "course_tricks.dirac_expectation"


# -- jensen_gap --


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="The two terms are swapped: the gap is E f(x) minus f(E x), positive for convex f.")
def swapped(f, x):
    return f(x.mean(dim=0, keepdim=True))[0] - f(x).mean()


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="You took the absolute value. For a concave f the gap is negative, and the sign is the point.")
def absolute_gap(f, x):
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).abs()


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="You clamped the gap at zero. For a concave f it is negative.")
def clamped_at_zero(f, x):
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).clamp_min(0)


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="Your average of f divides by n - 1. Both sides of the inequality are plain averages.")
def average_over_n_minus_1(f, x):
    return f(x).sum() / (len(x) - 1) - f(x.mean(dim=0, keepdim=True))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="You averaged over all coordinates. The mean of vectors is a vector: one mean for each coordinate.")
def one_mean_for_all_coordinates(f, x):
    return f(x).mean() - f(x.mean().expand(1, x.shape[1]))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_is_average_of_f_minus_f_of_average",
         says="You call f on a single vector. f is batched: it takes (n, m), here with n = 1.")
def mean_without_its_batch_axis(f, x):
    return f(x).mean() - f(x.mean(dim=0))


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="f at the mean sample comes back as a batch of one; the gap is a number, of shape ().")
def gap_with_a_batch_axis(f, x):
    return f(x).mean() - f(x.mean(dim=0, keepdim=True))


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_gradient_of_both_terms",
         says="You cut the graph at the mean sample: the gap depends on x through both terms.")
def detached_mean(f, x):
    return f(x).mean() - f(x.detach().mean(dim=0, keepdim=True))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="You evaluate f at the median sample. The inequality is about the mean on both sides.")
def f_of_the_median(f, x):
    return f(x).mean() - f(x.median(dim=0, keepdim=True).values)[0]


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="You divide the gap by f at the mean. The gap is a plain difference.")
def relative_gap(f, x):
    at_mean = f(x.mean(dim=0, keepdim=True))[0]
    return (f(x).mean() - at_mean) / at_mean


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_sign_of_the_curvature",
         says="Your mean sample divides by n - 1. Both sides of the inequality are plain averages.")
def mean_sample_over_n_minus_1(f, x):
    return f(x).mean() - f(x.sum(dim=0, keepdim=True) / max(len(x) - 1, 1))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_counts_every_one_of_many_samples",
         says="You use the first thousand samples only. All that are given count, in both terms.")
def gap_of_the_first_thousand(f, x):
    x = x[:1000]
    return f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_gradient_of_both_terms",
         says="The graph is cut: the gap is differentiable, in f's parameters and in the samples.")
def gap_as_a_python_number(f, x):
    return torch.tensor(f(x).mean().item() - f(x.mean(dim=0, keepdim=True)).item(), dtype=x.dtype)


@mistake(JENSEN, killed_by="test_jensen_gap_has_the_dtype_of_the_samples",
         says="You return float32 whatever the samples are: the result has their dtype.")
def gap_in_float32(f, x):
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).float()


@mistake(JENSEN, killed_by="test_jensen_gap_of_a_gaussian_log_density",
         says="You clamp the values of f. They may be of any size, in both terms.")
def clamps_the_values_of_f(f, x):
    return f(x).clamp(-1e4, 1e4).mean() - f(x.mean(dim=0, keepdim=True))[0].clamp(-1e4, 1e4)


@mistake(JENSEN, killed_by="test_jensen_gap_of_a_gaussian_log_density",
         says="You set a small gap to zero. A function of small values has a small gap.")
def small_gaps_are_zero(f, x):
    gap = f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]
    return torch.where(gap.abs() < 1e-6, 0.0, gap)


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


# -- optimal_mse_predictor --


@mistake(PREDICTOR, killed_by="test_prediction_is_the_average_of_y_in_its_row",
         says="This predicts the mean of y whatever x is: condition on x, row by row.")
def marginal_mean(joint, y):
    return (joint.sum(dim=0) @ y / joint.sum()).expand(len(joint), -1)


@mistake(PREDICTOR, killed_by="test_prediction_is_the_average_of_y_in_its_row",
         says="The rows are not normalised: divide the joint mass by p(x), the mass of its row.")
def joint_times_values(joint, y):
    return joint @ y


@mistake(PREDICTOR, killed_by="test_prediction_is_the_average_of_y_in_its_row",
         says="You normalise the whole table. Conditioning on x = i normalises row i alone.")
def normalises_the_table(joint, y):
    return joint / joint.sum() @ y


@mistake(PREDICTOR, killed_by="test_prediction_is_the_average_of_y_in_its_row",
         says="You normalise the columns: that is p(x|y). The predictor averages over p(y|x).")
def conditions_on_y(joint, y):
    return joint / joint.sum(dim=0) @ y


@mistake(PREDICTOR, killed_by="test_no_other_prediction_has_a_smaller_error",
         says="You predict the most likely y. The squared error is minimised by the mean, not by the mode.")
def conditional_mode(joint, y):
    mode = y[joint.argmax(dim=1)]
    return torch.where(joint.sum(dim=1, keepdim=True) > 0, mode, torch.nan)


@mistake(PREDICTOR, killed_by="test_no_other_prediction_has_a_smaller_error",
         says="You predict the median: it minimises the absolute error. The squared error wants the mean.")
def conditional_median(joint, y):
    values, order = y.sort(dim=0)  # (b, d)
    below = joint[:, order].cumsum(dim=1) / joint.sum(dim=1)[:, None, None]  # (a, b, d)
    middle = (below < 0.5).sum(dim=1).clamp(max=len(y) - 1)  # (a, d)
    return torch.where(joint.sum(dim=1, keepdim=True) > 0, values.gather(0, middle), torch.nan)


@mistake(PREDICTOR, killed_by="test_prediction_is_the_average_of_y_in_its_row",
         says="You turn masses into probabilities with a softmax. They are masses already: divide them by their sum.")
def softmax_of_masses(joint, y):
    return joint.softmax(dim=1) @ y


@mistake(PREDICTOR, killed_by="test_only_ratios_of_masses_matter",
         says="A small number added to the mass of a row is not small beside a small mass, and hides a zero one.")
def epsilon_in_the_denominator(joint, y):
    return joint @ y / (joint.sum(dim=1, keepdim=True) + 1e-8)


@mistake(PREDICTOR, killed_by="test_best_prediction_is_the_conditional_mean",
         says="A square table is turned over: rows are values of x, columns those of y, whatever the shape.",
         when=lambda joint: joint.shape[0] == joint.shape[1])
def transposes_a_square_table(joint, y):
    joint = joint.T if joint.shape[0] == joint.shape[1] else joint
    return joint @ y / joint.sum(dim=1, keepdim=True)


@mistake(PREDICTOR, killed_by="test_only_ratios_of_masses_matter",
         says="You treat a row of small mass as one without mass. Only a mass of exactly zero leaves nothing to average.")
def nan_for_unlikely_rows(joint, y):
    mass = joint.sum(dim=1, keepdim=True)
    return torch.where(mass > 1e-8, joint @ y / mass, torch.nan)


@mistake(PREDICTOR, killed_by="test_only_ratios_of_masses_matter",
         says="You clamp the mass of a row from below, so a row of small mass is not normalised.")
def clamps_the_mass(joint, y):
    mass = joint.sum(dim=1, keepdim=True)
    return torch.where(mass > 0, joint @ y / mass.clamp_min(1e-12), torch.nan)


@mistake(PREDICTOR, killed_by="test_prediction_is_the_average_of_y_in_its_row",
         says="You average over the values that can occur, each with the same weight. They count by their mass.")
def equal_weights_on_the_support(joint, y):
    return (joint > 0).to(y.dtype) @ y / (joint > 0).sum(dim=1, keepdim=True)


@mistake(PREDICTOR, killed_by="test_prediction_from_many_values",
         says="You use the first thousand values of y only. All of them count.")
def first_thousand_values(joint, y):
    return joint[:, :1000] @ y[:1000] / joint[:, :1000].sum(dim=1, keepdim=True)


@mistake(PREDICTOR, killed_by="test_prediction_from_a_table_with_a_single_row_or_column",
         says="A squeeze drops every axis of length one: the result is (a, d), also where a or d is one.")
def squeezes_the_prediction(joint, y):
    return (joint @ y / joint.sum(dim=1, keepdim=True)).squeeze()


@mistake(PREDICTOR, killed_by="test_prediction_has_the_dtype_of_the_values",
         says="You collect in torch.zeros(a, d), which is float32 whatever the values are.")
def collects_predictions_in_float32(joint, y):
    return torch.zeros(joint.shape[0], y.shape[1]) + (joint @ y / joint.sum(dim=1, keepdim=True)).float()


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="A row without mass has no conditional mean: nan says so, a zero is a wrong prediction.")
def zero_for_an_impossible_x(joint, y):
    return (joint @ y / joint.sum(dim=1, keepdim=True)).nan_to_num(0.0)


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="One row without mass spoils all others: the nan belongs to that row alone.")
def nan_everywhere(joint, y):
    means = joint @ y / joint.sum(dim=1, keepdim=True)
    return means + 0 * means.sum(dim=0)


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="You drop rows without mass, so the others move up. Row i of the result belongs to row i of the table.")
def drops_impossible_rows(joint, y):
    mass = joint.sum(dim=1)
    return (joint @ y)[mass > 0] / mass[mass > 0, None]


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="A row without mass is legal: its prediction is nan, and the others are still wanted.",
         raises=True)
def refuses_impossible_rows(joint, y):
    if (joint.sum(dim=1) == 0).any():
        raise ValueError("joint has a row of zero mass")
    return joint @ y / joint.sum(dim=1, keepdim=True)


@mistake(PREDICTOR, killed_by="test_prediction_has_the_gradient_of_a_conditional_mean",
         says="The graph is cut at the conditional probabilities: the prediction depends on the table, too.")
def detached_probabilities(joint, y):
    return (joint / joint.sum(dim=1, keepdim=True)).detach() @ y


@mistake(PREDICTOR, killed_by="test_prediction_leaves_the_table_as_it_is",
         says="You normalise the table in place: the table of your caller is not yours to change.")
def normalises_in_place(joint, y):
    mass = joint.sum(dim=1, keepdim=True)
    with torch.no_grad():
        joint /= mass
    return joint @ y


@variant(PREDICTOR)
def conditional_probabilities_first(joint, y):
    return joint / joint.sum(dim=1, keepdim=True) @ y


@variant(PREDICTOR)
def normalised_in_l1(joint, y):
    mass = joint.sum(-1)
    posterior = torch.nn.functional.normalize(joint, p=1.0, dim=-1, eps=0.0)
    return torch.where((mass == 0).unsqueeze(-1), float("nan"), posterior @ y)


@variant(PREDICTOR)
def only_rows_with_mass(joint, y):
    mass = joint.sum(dim=1)
    out = torch.full((joint.shape[0], y.shape[1]), torch.nan, dtype=y.dtype)
    out[mass > 0] = (joint[mass > 0] / mass[mass > 0, None]) @ y
    return out


@variant(PREDICTOR)
def weighted_mean_by_broadcasting(joint, y):
    return (joint.unsqueeze(-1) * y.unsqueeze(0)).sum(1).div(joint.sum(1).unsqueeze(-1))


@variant(PREDICTOR)
def row_by_row(joint, y):
    return torch.stack([sum(w * v for w, v in zip(row, y, strict=True)) / row.sum() for row in joint])


@variant(PREDICTOR)
def weighted_sums_in_float64(joint, y):
    w, v = joint.double(), y.double()
    return (torch.einsum("ij,jd->id", w, v) / w.sum(dim=1)[:, None]).to(y.dtype)


# -- dirac_expectation --


@mistake(DIRAC, killed_by="test_every_delta_sifts_out_a_value",
         says="This is f at the mean point. Each delta sifts out a value of f: average the values.")
def f_of_the_mean_point(f, points, weights):
    return f((weights @ points)[None])[0]


@mistake(DIRAC, killed_by="test_every_delta_sifts_out_a_value",
         says="You ignore the weights: they need not be equal.")
def ignores_the_weights(f, points, weights):
    return f(points).mean(dim=0)


@mistake(DIRAC, killed_by="test_every_delta_sifts_out_a_value",
         says="You divide by the number of points as well. The weights sum to one already.")
def divides_by_k_again(f, points, weights):
    return (weights[:, None] * f(points)).mean(dim=0)


@mistake(DIRAC, killed_by="test_every_delta_sifts_out_a_value",
         says="You put the weights through a softmax. They are probabilities already: a weight of zero stays zero.")
def softmax_of_weights(f, points, weights):
    return weights.softmax(dim=0) @ f(points)


@mistake(DIRAC, killed_by="test_every_delta_sifts_out_a_value",
         says="You take the heaviest point alone. Every point with weight contributes.")
def heaviest_point(f, points, weights):
    return f(points)[weights.argmax()]


@mistake(DIRAC, killed_by="test_tiny_and_many_weights_count",
         says="You leave small weights out. Every point counts by its weight, however small.")
def drops_small_weights(f, points, weights):
    keep = weights > 1e-8
    return weights[keep] @ f(points[keep])


@mistake(DIRAC, killed_by="test_every_delta_sifts_out_a_value",
         says="You leave out points of small weight and give theirs to the others. Every point counts by its weight.")
def top_half_of_the_weights(f, points, weights):
    top = weights.topk((len(weights) + 1) // 2).indices
    return weights[top] / weights[top].sum() @ f(points[top])


@mistake(DIRAC, killed_by="test_tiny_and_many_weights_count",
         says="You draw points by their weights. The expectation is a finite sum: nothing has to be drawn.")
def draws_the_points(f, points, weights):
    drawn = torch.multinomial(weights, 10_000, replacement=True)
    return f(points[drawn]).mean(dim=0)


@mistake(DIRAC, killed_by="test_dirac_expectation_is_linear_in_the_weights",
         says="You normalise the weights. They sum to one already; dividing by their sum changes the gradient.")
def normalises_the_weights(f, points, weights):
    return (weights / weights.sum()) @ f(points)


@mistake(DIRAC, killed_by="test_dirac_expectation_of_a_single_point_or_dimension",
         says="A squeeze drops the axis of the components where there is one component only: the result is (1,) then.")
def squeezes_the_expectation(f, points, weights):
    return (weights @ f(points)).squeeze()


@mistake(DIRAC, killed_by="test_dirac_expectation_is_linear_in_the_weights",
         says="The graph is cut at the weights: the expectation is differentiable in them.")
def detached_weights(f, points, weights):
    return weights.detach() @ f(points)


@mistake(DIRAC, killed_by="test_dirac_expectation_leaves_the_points_as_they_are",
         says="You weigh the values in place. Where f returns its input, that overwrites your caller's points.")
def weighs_in_place(f, points, weights):
    values = f(points)
    values *= weights[:, None]
    return values.sum(dim=0)


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
