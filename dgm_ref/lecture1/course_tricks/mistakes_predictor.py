"""The best prediction under the mean squared error: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch

from dgm_ref.catalogue import EPSILONS, mistake, variant
from dgm_ref.slips import without_graph_where

PREDICTOR = "course_tricks.optimal_mse_predictor"


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="This predicts the mean of y whatever x is: condition on x, row by row.",
)
def marginal_mean(joint, y):
    return (joint.sum(dim=0) @ y / joint.sum()).expand(len(joint), -1)


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="The rows are not normalised: divide the joint mass by p(x), the mass of its row.",
)
def joint_times_values(joint, y):
    return joint @ y


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="You normalise the whole table. Conditioning on x = i normalises row i alone.",
)
def normalises_the_table(joint, y):
    return joint / joint.sum() @ y


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="You normalise the columns: that is p(x|y). The predictor averages over p(y|x).",
)
def conditions_on_y(joint, y):
    return joint / joint.sum(dim=0) @ y


@mistake(
    PREDICTOR,
    killed_by="test_no_other_prediction_has_a_smaller_error",
    says="You predict the most likely y. The squared error is minimised by the mean, not by the mode.",
)
def conditional_mode(joint, y):
    mode = y[joint.argmax(dim=1)]
    return torch.where(joint.sum(dim=1, keepdim=True) > 0, mode, torch.nan)


@mistake(
    PREDICTOR,
    killed_by="test_no_other_prediction_has_a_smaller_error",
    says="You predict the median: it minimises the absolute error. The squared error wants the mean.",
)
def conditional_median(joint, y):
    values, order = y.sort(dim=0)  # (b, d)
    below = joint[:, order].cumsum(dim=1) / joint.sum(dim=1)[:, None, None]  # (a, b, d)
    middle = (below < 0.5).sum(dim=1).clamp(max=len(y) - 1)  # (a, d)
    return torch.where(joint.sum(dim=1, keepdim=True) > 0, values.gather(0, middle), torch.nan)


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="You turn masses into probabilities with a softmax. They are masses already: divide them by their sum.",
)
def softmax_of_masses(joint, y):
    return joint.softmax(dim=1) @ y


@mistake(
    PREDICTOR,
    killed_by="test_only_ratios_of_masses_matter",
    says="A small number added to the mass of a row is not small beside a small mass, and hides a zero one.",
    constants=EPSILONS[:-5],  # with smaller ones a row without mass alone is wrong
)
def epsilon_in_the_denominator(joint, y, constant=1e-8):
    return joint @ y / (joint.sum(dim=1, keepdim=True) + constant)


@mistake(
    PREDICTOR,
    killed_by="test_best_prediction_is_the_conditional_mean",
    says="A square table is turned over: rows are values of x, columns those of y, whatever the shape.",
    when=lambda joint: joint.shape[0] == joint.shape[1],
    green_at_home="The public tables are not square.",
)
def transposes_a_square_table(joint, y):
    joint = joint.T if joint.shape[0] == joint.shape[1] else joint
    return joint @ y / joint.sum(dim=1, keepdim=True)


@mistake(
    PREDICTOR,
    killed_by="test_only_ratios_of_masses_matter",
    says="You treat a row of small mass as one without mass. Only a mass of exactly zero leaves nothing to average.",
)
def nan_for_unlikely_rows(joint, y):
    mass = joint.sum(dim=1, keepdim=True)
    return torch.where(mass > 1e-8, joint @ y / mass, torch.nan)


@mistake(
    PREDICTOR,
    killed_by="test_only_ratios_of_masses_matter",
    says="You clamp the mass of a row from below, so a row of small mass is not normalised.",
    constants=(1e-30,),
)
def clamps_the_mass(joint, y, constant=1e-12):
    mass = joint.sum(dim=1, keepdim=True)
    return torch.where(mass > 0, joint @ y / mass.clamp_min(constant), torch.nan)


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="You average over the values that can occur, each with the same weight. They count by their mass.",
)
def equal_weights_on_the_support(joint, y):
    return (joint > 0).to(y.dtype) @ y / (joint > 0).sum(dim=1, keepdim=True)


@mistake(PREDICTOR, killed_by="test_prediction_from_many_values", says="You use the first thousand values of y only. All of them count.")
def first_thousand_values(joint, y):
    return joint[:, :1000] @ y[:1000] / joint[:, :1000].sum(dim=1, keepdim=True)


@mistake(
    PREDICTOR,
    killed_by="test_prediction_from_a_table_with_a_single_row_or_column",
    says="A squeeze drops every axis of length one: the result is (a, d), also where a or d is one.",
)
def squeezes_the_prediction(joint, y):
    return (joint @ y / joint.sum(dim=1, keepdim=True)).squeeze()


@mistake(
    PREDICTOR,
    killed_by="test_prediction_has_the_dtype_of_the_values",
    says="You collect in torch.zeros(a, d), which is float32 whatever the values are.",
)
def collects_predictions_in_float32(joint, y):
    return torch.zeros(joint.shape[0], y.shape[1]) + (joint @ y / joint.sum(dim=1, keepdim=True)).float()


@mistake(
    PREDICTOR,
    killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
    says="A row without mass has no conditional mean: nan says so, a zero is a wrong prediction.",
)
def zero_for_an_impossible_x(joint, y):
    return (joint @ y / joint.sum(dim=1, keepdim=True)).nan_to_num(0.0)


@mistake(
    PREDICTOR,
    killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
    says="One row without mass spoils all others: the nan belongs to that row alone.",
)
def nan_everywhere(joint, y):
    means = joint @ y / joint.sum(dim=1, keepdim=True)
    return means + 0 * means.sum(dim=0)


@mistake(
    PREDICTOR,
    killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
    says="You drop rows without mass, so the others move up. Row i of the result belongs to row i of the table.",
)
def drops_impossible_rows(joint, y):
    mass = joint.sum(dim=1)
    return (joint @ y)[mass > 0] / mass[mass > 0, None]


@mistake(
    PREDICTOR,
    killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
    says="A row without mass is legal: its prediction is nan, and the others are still wanted.",
    raises=True,
)
def refuses_impossible_rows(joint, y):
    if (joint.sum(dim=1) == 0).any():
        raise ValueError("joint has a row of zero mass")
    return joint @ y / joint.sum(dim=1, keepdim=True)


@mistake(
    PREDICTOR,
    killed_by="test_prediction_has_the_gradient_of_a_conditional_mean",
    says="The graph is cut at the conditional probabilities: the prediction depends on the table, too.",
)
def detached_probabilities(joint, y):
    return (joint / joint.sum(dim=1, keepdim=True)).detach() @ y


@mistake(
    PREDICTOR,
    killed_by="test_prediction_leaves_the_table_as_it_is",
    says="You normalise the table in place: the table of your caller is not yours to change.",
)
def normalises_in_place(joint, y):
    mass = joint.sum(dim=1, keepdim=True)
    with torch.no_grad():
        joint /= mass
    return joint @ y


@mistake(
    PREDICTOR,
    killed_by="test_only_ratios_of_masses_matter",
    says="You normalise the whole table first, and a row of tiny mass underflows. Divide each row by its own mass.",
    when=lambda joint: (joint / joint.sum()).sum(dim=1).min() < torch.finfo(joint.dtype).tiny,
)
def rows_after_the_table(joint, y):
    share = joint / joint.sum()
    return share / share.sum(dim=1, keepdim=True) @ y


@mistake(
    PREDICTOR,
    killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
    says="Only the first row without mass becomes nan. There may be several.",
)
def nan_in_the_first_empty_row(joint, y):
    mass = joint.sum(dim=1, keepdim=True)
    mean = joint @ y / mass.where(mass > 0, 1)
    first = (mass[:, 0] == 0) & ((mass[:, 0] == 0).cumsum(dim=0) == 1)
    return mean.where(~first[:, None], torch.nan)


@mistake(
    PREDICTOR,
    killed_by="test_a_row_without_mass_gives_nan_in_that_row_alone",
    says="You predict the plain mean of y for an impossible x. Nothing is known there: nan.",
)
def plain_mean_for_an_impossible_x(joint, y):
    mass = joint.sum(dim=1, keepdim=True)
    return torch.where(mass > 0, joint / mass, 1 / joint.shape[1]) @ y


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="You take probabilities below a millionth for zero. A rare value may be a large one: it counts with its probability.",
    when=lambda joint: (lambda p: (p > 0) & (p < 1e-6))(joint / joint.sum(dim=1, keepdim=True)).any(),
)
def drops_rare_values(joint, y):
    p = joint / joint.sum(dim=1, keepdim=True)
    return torch.where(p < 1e-6, 0, p) @ y


@mistake(
    PREDICTOR,
    killed_by="test_prediction_is_the_average_of_y_in_its_row",
    says="This is the plain average of all values, whatever the table says. Each value counts by its mass in the row.",
)
def plain_mean_of_all_values(joint, y):
    return y.mean(dim=0).expand(len(joint), -1)


@variant(PREDICTOR)
def softmax_of_log_masses(joint, y):
    return joint.log().softmax(dim=1) @ y


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
def scaled_by_the_largest_mass_first(joint, y):
    w = joint / joint.max(dim=1, keepdim=True).values
    return (w @ y) / w.sum(dim=1, keepdim=True)


@variant(PREDICTOR)
def weighted_sums_in_float64(joint, y):
    w, v = joint.double(), y.double()
    return (torch.einsum("ij,jd->id", w, v) / w.sum(dim=1)[:, None]).to(y.dtype)


@mistake(
    PREDICTOR,
    killed_by="test_prediction_has_the_gradient_of_a_conditional_mean",
    says="A table of one row comes without a graph. It is trained on like any other.",
)
def one_row_of_the_table_without_graph(joint, y):
    return without_graph_where(len(joint) == 1, joint @ y / joint.sum(dim=1, keepdim=True))
