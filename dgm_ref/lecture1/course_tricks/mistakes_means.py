"""Means of values under a law: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.course_tricks.mistakes_monte_carlo import require_samples

JENSEN = "course_tricks.jensen_gap"
PREDICTOR = "course_tricks.optimal_mse_predictor"
DIRAC = "course_tricks.dirac_expectation"


# -- jensen_gap --


@mistake(JENSEN, killed_by="test_jensen_gap_of_the_squared_norm_is_the_variance",
         says="The two terms are swapped: the gap is E f(x) minus f(E x), positive for convex f.")
def swapped(f, x):
    require_samples(x)
    return f(x.mean(dim=0, keepdim=True))[0] - f(x).mean()


@mistake(JENSEN, killed_by="test_jensen_gap_of_the_squared_norm_is_the_variance",
         says="You took the absolute value. For a concave f the gap is negative, and the sign is the point.")
def absolute_gap(f, x):
    require_samples(x)
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).abs()


@mistake(JENSEN, killed_by="test_jensen_gap_of_the_squared_norm_is_the_variance",
         says="You clamped the gap at zero. For a concave f it is negative.")
def clamped_at_zero(f, x):
    require_samples(x)
    return (f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]).clamp_min(0)


@mistake(JENSEN, killed_by="test_jensen_gap_of_the_squared_norm_is_the_variance",
         says="Your average of f divides by n - 1. Both sides of the inequality are plain averages.")
def average_over_n_minus_1(f, x):
    require_samples(x)
    return f(x).sum() / (len(x) - 1) - f(x.mean(dim=0, keepdim=True))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_is_average_of_f_minus_f_of_average",
         says="You averaged over all coordinates. The mean of vectors is a vector: one mean for each coordinate.")
def one_mean_for_all_coordinates(f, x):
    require_samples(x)
    return f(x).mean() - f(x.mean().expand(1, x.shape[1]))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_is_average_of_f_minus_f_of_average",
         says="You call f on a single vector. f is batched: it takes (n, m), here with n = 1.")
def mean_without_its_batch_axis(f, x):
    require_samples(x)
    return f(x).mean() - f(x.mean(dim=0))


@mistake(JENSEN, killed_by="test_jensen_gap_is_average_of_f_minus_f_of_average",
         says="f at the mean sample comes back as a batch of one; the gap is a number, of shape ().")
def gap_with_a_batch_axis(f, x):
    require_samples(x)
    return f(x).mean() - f(x.mean(dim=0, keepdim=True))


@mistake(JENSEN, killed_by="test_jensen_gap_can_be_differentiated",
         says="You cut the graph at the mean sample: the gap depends on x through both terms.")
def detached_mean(f, x):
    require_samples(x)
    return f(x).mean() - f(x.detach().mean(dim=0, keepdim=True))[0]


@mistake(JENSEN, killed_by="test_jensen_gap_refuses_no_samples_and_leaves_no_trace",
         says="An average over no samples is 0/0 and comes out as nan: refuse it with a ValueError.")
def gap_of_nothing(f, x):
    return f(x).mean() - f(x.mean(dim=0, keepdim=True))[0]


@variant(JENSEN)
def gap_of_every_sample(f, x):
    require_samples(x)
    return (f(x) - f(x.mean(dim=0)[None])).mean()


@variant(JENSEN)
def gap_from_sums(f, x):
    require_samples(x)
    n = len(x)
    return sum(f(row)[0] for row in x.split(1)) / n - f(x.sum(dim=0, keepdim=True) / n).squeeze()


# -- optimal_mse_predictor --


def require_fit(joint, y):
    if joint.shape[1] != y.shape[0]:
        raise ValueError("joint and y do not agree in b")


@mistake(PREDICTOR, killed_by="test_what_x_determines_is_predicted_exactly",
         says="This predicts the mean of y whatever x is: condition on x, row by row.")
def marginal_mean(joint, y):
    require_fit(joint, y)
    return (joint.sum(dim=0) @ y / joint.sum()).expand(len(joint), -1)


@mistake(PREDICTOR, killed_by="test_only_ratios_of_masses_matter",
         says="The rows are not normalised: divide the joint mass by p(x), the mass of its row.")
def joint_times_values(joint, y):
    require_fit(joint, y)
    return joint @ y


@mistake(PREDICTOR, killed_by="test_what_x_determines_is_predicted_exactly",
         says="You normalise the whole table. Conditioning on x = i normalises row i alone.")
def normalises_the_table(joint, y):
    require_fit(joint, y)
    return joint / joint.sum() @ y


@mistake(PREDICTOR, killed_by="test_best_prediction_is_the_conditional_mean",
         says="You normalise the columns: that is p(x|y). The predictor averages over p(y|x).")
def conditions_on_y(joint, y):
    require_fit(joint, y)
    return joint / joint.sum(dim=0) @ y


@mistake(PREDICTOR, killed_by="test_no_other_prediction_has_a_smaller_error",
         says="You predict the most likely y. The squared error is minimised by the mean, not by the mode.")
def conditional_mode(joint, y):
    require_fit(joint, y)
    mode = y[joint.argmax(dim=1)]
    return torch.where(joint.sum(dim=1, keepdim=True) > 0, mode, torch.nan)


@mistake(PREDICTOR, killed_by="test_no_other_prediction_has_a_smaller_error",
         says="You predict the median: it minimises the absolute error. The squared error wants the mean.")
def conditional_median(joint, y):
    require_fit(joint, y)
    values, order = y.sort(dim=0)  # (b, d)
    below = joint[:, order].cumsum(dim=1) / joint.sum(dim=1)[:, None, None]  # (a, b, d)
    middle = (below < 0.5).sum(dim=1).clamp(max=len(y) - 1)  # (a, d)
    return torch.where(joint.sum(dim=1, keepdim=True) > 0, values.gather(0, middle), torch.nan)


@mistake(PREDICTOR, killed_by="test_best_prediction_is_the_conditional_mean",
         says="You turn masses into probabilities with a softmax. They are masses already: divide them by their sum.")
def softmax_of_masses(joint, y):
    require_fit(joint, y)
    return joint.softmax(dim=1) @ y


@mistake(PREDICTOR, killed_by="test_only_ratios_of_masses_matter",
         says="A small number added to the mass of a row is not small beside a small mass, and hides a zero one.")
def epsilon_in_the_denominator(joint, y):
    require_fit(joint, y)
    return joint @ y / (joint.sum(dim=1, keepdim=True) + 1e-8)


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="A row without mass has no conditional mean: nan says so, a zero is a wrong prediction.")
def zero_for_an_impossible_x(joint, y):
    require_fit(joint, y)
    return (joint @ y / joint.sum(dim=1, keepdim=True)).nan_to_num(0.0)


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="One row without mass spoils all others: the nan belongs to that row alone.")
def nan_everywhere(joint, y):
    require_fit(joint, y)
    means = joint @ y / joint.sum(dim=1, keepdim=True)
    return means + 0 * means.sum(dim=0)


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="You drop rows without mass, so the others move up. Row i of the result belongs to row i of the table.")
def drops_impossible_rows(joint, y):
    require_fit(joint, y)
    mass = joint.sum(dim=1)
    return (joint @ y)[mass > 0] / mass[mass > 0, None]


@mistake(PREDICTOR, killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
         says="A row without mass is legal: its prediction is nan, and the others are still wanted.")
def refuses_impossible_rows(joint, y):
    require_fit(joint, y)
    if (joint.sum(dim=1) == 0).any():
        raise ValueError("joint has a row of zero mass")
    return joint @ y / joint.sum(dim=1, keepdim=True)


@mistake(PREDICTOR, killed_by="test_optimal_mse_predictor_can_be_differentiated",
         says="The graph is cut at the conditional probabilities: the prediction depends on the table, too.")
def detached_probabilities(joint, y):
    require_fit(joint, y)
    return (joint / joint.sum(dim=1, keepdim=True)).detach() @ y


@mistake(PREDICTOR, killed_by="test_optimal_mse_predictor_refuses_a_table_that_does_not_fit",
         says="A single value of y broadcasts against every table, and a misfit passes in silence: compare the shapes.")
def broadcasts_a_misfit(joint, y):
    return (joint[..., None] * y).sum(dim=1) / joint.sum(dim=1, keepdim=True)


@mistake(PREDICTOR, killed_by="test_optimal_mse_predictor_leaves_no_trace",
         says="You normalise the table in place: the table of your caller is not yours to change.")
def normalises_in_place(joint, y):
    require_fit(joint, y)
    mass = joint.sum(dim=1, keepdim=True)
    with torch.no_grad():
        joint /= mass
    return joint @ y


@variant(PREDICTOR)
def conditional_probabilities_first(joint, y):
    require_fit(joint, y)
    return joint / joint.sum(dim=1, keepdim=True) @ y


@variant(PREDICTOR)
def row_by_row(joint, y):
    require_fit(joint, y)
    return torch.stack([sum(w * v for w, v in zip(row, y, strict=True)) / row.sum() for row in joint])


@variant(PREDICTOR)
def weighted_sums_in_float64(joint, y):
    require_fit(joint, y)
    w, v = joint.double(), y.double()
    return (torch.einsum("ij,jd->id", w, v) / w.sum(dim=1)[:, None]).to(y.dtype)


# -- dirac_expectation --


def require_weights(points, weights):
    require_samples(points, name="points")
    if weights.shape != points.shape[:1]:
        raise ValueError("weights do not fit points")


@mistake(DIRAC, killed_by="test_dirac_expectation_weighs_the_values_at_the_points",
         says="This is f at the mean point. Each delta sifts out a value of f: average the values.")
def f_of_the_mean_point(f, points, weights):
    require_weights(points, weights)
    return f((weights @ points)[None])[0]


@mistake(DIRAC, killed_by="test_a_single_delta_sifts_out_one_value",
         says="You ignore the weights: they need not be equal.")
def ignores_the_weights(f, points, weights):
    require_weights(points, weights)
    return f(points).mean(dim=0)


@mistake(DIRAC, killed_by="test_dirac_expectation_weighs_the_values_at_the_points",
         says="You divide by the number of points as well. The weights sum to one already.")
def divides_by_k_again(f, points, weights):
    require_weights(points, weights)
    return (weights[:, None] * f(points)).mean(dim=0)


@mistake(DIRAC, killed_by="test_a_single_delta_sifts_out_one_value",
         says="You put the weights through a softmax. They are probabilities already: a weight of zero stays zero.")
def softmax_of_weights(f, points, weights):
    require_weights(points, weights)
    return weights.softmax(dim=0) @ f(points)


@mistake(DIRAC, killed_by="test_dirac_expectation_weighs_the_values_at_the_points",
         says="You take the heaviest point alone. Every point with weight contributes.")
def heaviest_point(f, points, weights):
    require_weights(points, weights)
    return f(points)[weights.argmax()]


@mistake(DIRAC, killed_by="test_dirac_expectation_can_be_differentiated",
         says="The graph is cut at the weights: the expectation is differentiable in them.")
def detached_weights(f, points, weights):
    require_weights(points, weights)
    return weights.detach() @ f(points)


@mistake(DIRAC, killed_by="test_dirac_expectation_refuses_what_does_not_fit_and_leaves_no_trace",
         says="A single weight broadcasts against all points, and a misfit passes in silence: compare the shapes.")
def broadcasts_the_weights(f, points, weights):
    require_samples(points, name="points")
    return (weights[:, None] * f(points)).sum(dim=0)


@mistake(DIRAC, killed_by="test_dirac_expectation_refuses_what_does_not_fit_and_leaves_no_trace",
         says="You weigh the values in place. Where f returns its input, that overwrites your caller's points.")
def weighs_in_place(f, points, weights):
    require_weights(points, weights)
    values = f(points)
    values *= weights[:, None]
    return values.sum(dim=0)


@variant(DIRAC)
def weighted_sum(f, points, weights):
    require_weights(points, weights)
    return (weights[:, None] * f(points)).sum(dim=0)


@variant(DIRAC)
def delta_by_delta(f, points, weights):
    require_weights(points, weights)
    return sum(w * f(point[None])[0] for w, point in zip(weights, points, strict=True))


@variant(DIRAC)
def normalises_once_more(f, points, weights):
    require_weights(points, weights)
    return (weights / weights.sum()) @ f(points)
