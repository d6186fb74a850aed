"""Wrong and other right answers about straight paths, the loss on them, and pairs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, near_one_another, variant
from dgm_ref.slips import first_where_near, graph_for_inputs_alone, plain_data

PATH, LOSS, PAIRS = "flow_matching.conditional_path", "flow_matching.flow_matching_loss", "flow_matching.optimal_pairs"
P_BY_HAND, P_SQUARE = "test_points_of_a_line_known_by_hand", "test_a_line_of_one_row_a_square_batch_and_many_lines"
L_BY_HAND, L_TRAINS = "test_flow_matching_losses_known_by_hand", "test_the_flow_matching_loss_trains_the_field"
L_MANY = "test_the_flow_matching_loss_of_single_and_of_many_rows"
BY_HAND, SHORTEST = "test_pairs_known_by_hand", "test_no_other_pairs_are_shorter"

Velocity = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]


def _path(x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (1 - t[:, None]) * x0 + t[:, None] * x1


@mistake(PATH, killed_by=P_BY_HAND, says="The ends are swapped: at t = 0 there is noise, x0, at t = 1 data, x1.")
def ends_swapped(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x1, x0, t), x1 - x0


@mistake(PATH, killed_by=P_BY_HAND, says="The velocity points back to the noise. It is x1 - x0.")
def velocity_backwards(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x0, x1, t), x0 - x1


@mistake(
    PATH, killed_by=P_BY_HAND, says="The velocity is that of what is left of the way: it does not shrink, the line is run through evenly."
)
def velocity_of_what_is_left(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    x = _path(x0, x1, t)
    return x, x1 - x


@mistake(PATH, killed_by=P_BY_HAND, says="The weights are roots, as in diffusion: this path is no straight line.")
def variance_preserving_path(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    s = t[:, None]
    return (1 - s).sqrt() * x0 + s.sqrt() * x1, x1 - x0


@mistake(PATH, killed_by=P_BY_HAND, says="The velocity is multiplied by t.")
def velocity_times_t(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x0, x1, t), t[:, None] * (x1 - x0)


@mistake(PATH, killed_by=P_SQUARE, says="In a square batch your times go along the dimensions. They belong to the rows: t[:, None].")
def times_along_the_dimensions(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    s = t if x0.shape[0] == x0.shape[1] else t[:, None]
    return (1 - s) * x0 + s * x1, x1 - x0


@mistake(PATH, killed_by=P_BY_HAND, says="All lines are at the first row's time. Each row has its own.")
def first_time_for_all_lines(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x0, x1, t[:1].expand(len(t))), x1 - x0


@mistake(PATH, killed_by=P_BY_HAND, says="The two parts are swapped: first the point, then the velocity.")
def parts_swapped(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return x1 - x0, _path(x0, x1, t)


@mistake(PATH, killed_by=P_BY_HAND, says="The weights are roots, as in diffusion: this path is no straight line.")
def path_on_a_circle(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    s = t[:, None]
    return (1 - s**2).sqrt() * x0 + s * x1, x1 - x0


@mistake(PATH, killed_by=P_BY_HAND, says="The noise keeps its weight: it fades out by 1 - t.")
def noise_not_faded_out(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return x0 + t[:, None] * x1, x1 - x0


@mistake(PATH, killed_by=P_BY_HAND, says="Dividing by 1 - t gives nan at the end. The velocity is x1 - x0.")
def velocity_by_what_is_left(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    x = _path(x0, x1, t)
    return x, (x1 - x) / (1 - t[:, None])


@mistake(PATH, killed_by=P_BY_HAND, says="The velocity is x1 alone. The noise fades out on the way: subtract it.")
def velocity_of_the_data(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x0, x1, t), x1


@mistake(PATH, killed_by=P_BY_HAND, says="The weights are a cosine and a sine: this path is no straight line.")
def path_of_a_quarter_circle(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    s = t[:, None] * torch.pi / 2
    return s.cos() * x0 + s.sin() * x1, x1 - x0


@mistake(
    PATH,
    killed_by=P_BY_HAND,
    says="Noise and data are swapped: at t = 0 there is noise, x0, at t = 1 data, x1, and the velocity is x1 - x0.",
)
def noise_and_data_swapped(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x1, x0, t), x0 - x1


@mistake(PATH, killed_by=P_BY_HAND, says="The velocity is the sum of the ends. It is their difference, x1 - x0.")
def velocity_of_the_sum(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x0, x1, t), x0 + x1


@mistake(
    PATH,
    killed_by=P_BY_HAND,
    says="Times less than a tenth apart are taken for one. Each row has one.",
    when=near_one_another("t"),
)
def near_times_taken_for_one(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return _path(x0, x1, first_where_near(t)), x1 - x0


@variant(PATH)
def path_by_lerp(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return torch.lerp(x0, x1, t.unsqueeze(-1)), x1 - x0


@variant(PATH)
def path_from_the_noise(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    velocity = x1 - x0
    return x0 + t.view(-1, 1) * velocity, velocity


@variant(PATH)
def path_transposed(x0: Tensor, x1: Tensor, t: Tensor) -> Pair:
    return ((1 - t) * x0.T + t * x1.T).T, torch.sub(x1, x0)


# -- flow_matching_loss --


@mistake(LOSS, killed_by=L_BY_HAND, says="You averaged over the dimensions, too. The squared norm adds them up.")
def averaged_over_all(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - (x1 - x0)).square().mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The rows are added up. The loss is their average.")
def summed_over_all(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - (x1 - x0)).square().sum()


@mistake(LOSS, killed_by=L_BY_HAND, says="The target points back to the noise. It is x1 - x0.")
def target_backwards(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - (x0 - x1)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The field is compared with the data. It is a velocity: compare it with x1 - x0.")
def data_for_the_target(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - x1).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The field is asked at the noise, not where the line is at time t.")
def field_at_the_noise(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(x0, t) - (x1 - x0)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="There is a factor 1/2 that the loss does not have.")
def halved_flow_matching(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return 0.5 * (v(_path(x0, x1, t), t) - (x1 - x0)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_MANY, says="Only part of a large batch is used: average over all rows.")
def at_most_1000_rows(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - (x1 - x0))[:1000].square().sum(1).mean()


@mistake(LOSS, killed_by=L_TRAINS, says="The velocities of the lines are detached: the gradient in their ends is not right.")
def target_detached(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - (x1 - x0).detach()).square().sum(1).mean()


@mistake(LOSS, killed_by=L_TRAINS, says="The field is detached: nothing can be trained by this loss.")
def field_detached(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    value = v(_path(x0, x1, t), t)
    return (value.detach() - (x1 - x0)).square().sum(1).mean() + 0 * value.sum()


@mistake(LOSS, killed_by=L_BY_HAND, says="This is the norm, not its square.")
def plain_norms(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - (x1 - x0)).norm(dim=1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="These are absolute differences. The loss has squares.")
def absolute_differences(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - (x1 - x0)).abs().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The ends are swapped: at t = 0 there is noise, x0, at t = 1 data, x1.")
def path_turned_round(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x1, x0, t), t) - (x1 - x0)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The field is asked at the time 1 - t. The lines are at t.")
def field_at_what_is_left(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), 1 - t) - (x1 - x0)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_TRAINS, says="Noise and data are detached: the gradient in them is not right.")
def ends_detached(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    x0, x1 = x0.detach(), x1.detach()
    return (v(_path(x0, x1, t), t) - (x1 - x0)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The target is what is left of the way, x1 - x_t. It is x1 - x0.")
def target_of_what_is_left(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    x = _path(x0, x1, t)
    return (v(x, t) - (x1 - x)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The field is asked at the data, not where the line is at time t.")
def field_at_the_data(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(x1, t) - (x1 - x0)).square().sum(1).mean()


@mistake(
    LOSS,
    killed_by=L_TRAINS,
    says="The point of the line is taken at a detached time: where t carries a graph the loss moves with it there, too.",
)
def points_at_detached_times(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t.detach()), t) - (x1 - x0)).square().sum(1).mean()


@mistake(
    LOSS, killed_by=L_BY_HAND, says="Noise and data are swapped: at t = 0 there is noise, x0, at t = 1 data, x1, and the target is x1 - x0."
)
def all_turned_round(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x1, x0, t), t) - (x0 - x1)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The field is compared with the noise. It is a velocity: compare it with x1 - x0.")
def noise_for_the_target(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t) - x0).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The field is asked at the time 0. The lines are at t.", when=lambda t: bool((t != 0).any()))
def field_at_time_zero(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), 0 * t) - (x1 - x0)).square().sum(1).mean()


@mistake(LOSS, killed_by=L_BY_HAND, says="The target is the way done so far, x_t - x0. It is x1 - x0.")
def target_of_what_is_done(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    x = _path(x0, x1, t)
    return (v(x, t) - (x - x0)).square().sum(1).mean()


@mistake(
    LOSS,
    killed_by=L_BY_HAND,
    says="Times less than a tenth apart are taken for one. Each row has one.",
    when=near_one_another("t"),
)
def field_at_one_time_where_they_are_near(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), first_where_near(t)) - (x1 - x0)).square().sum(1).mean()


@mistake(
    LOSS,
    killed_by=L_BY_HAND,
    says="You keep the times of the field 1/1000 off both ends. It is asked at the ends, too.",
    when=lambda t: t.min() < 1e-3 or t.max() > 1 - 1e-3,
)
def field_kept_off_the_ends(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return (v(_path(x0, x1, t), t.clamp(1e-3, 1 - 1e-3)) - (x1 - x0)).square().sum(1).mean()


@variant(LOSS)
def flow_matching_by_mse(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    return torch.nn.functional.mse_loss(v(_path(x0, x1, t), t), x1 - x0) * x0.shape[1]


@variant(LOSS)
def flow_matching_by_norms(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    x = x0 + t[:, None] * (x1 - x0)
    return (torch.linalg.vector_norm(x1 - x0 - v(x, t), dim=-1) ** 2).mean()


@variant(LOSS)
def flow_matching_row_by_row(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    x = _path(x0, x1, t)
    rows = [(v(x[i : i + 1], t[i : i + 1])[0] - x1[i] + x0[i]).pow(2).sum() for i in range(len(x))]
    return torch.stack(rows).mean()


@mistake(LOSS, killed_by=L_TRAINS, says=plain_data("The field is"))
def loss_with_a_graph_for_inputs_alone(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    loss = (v(_path(x0, x1, t), t) - (x1 - x0)).square().sum(1).mean()
    return graph_for_inputs_alone(loss, x0, x1, t)


@mistake(
    LOSS,
    killed_by=L_MANY,
    says="This is a mean of the means of each time. Rows of one time count each.",
    when=lambda t: len(t.unique()) < len(t),
)
def mean_of_the_means_of_times(v: Velocity, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    losses = (v(_path(x0, x1, t), t) - (x1 - x0)).square().sum(1)
    return torch.stack([losses[t == time].mean() for time in t.unique()]).mean()


# -- optimal_pairs --


def _cost(x0: Tensor, x1: Tensor) -> Tensor:
    return (x0[:, None] - x1).square().sum(2)


@mistake(PAIRS, killed_by=BY_HAND, says="No swap of two makes your pairs shorter, but changing three at once does: try all permutations.")
def swaps_while_that_helps(x0: Tensor, x1: Tensor) -> Tensor:
    cost, perm = _cost(x0, x1), torch.arange(len(x0))
    pairs = [(i, j) for i in range(len(x0)) for j in range(i)]
    for i, j in pairs * len(x0):
        if cost[i, perm[j]] + cost[j, perm[i]] < cost[i, perm[i]] + cost[j, perm[j]]:
            perm[[i, j]] = perm[[j, i]]
    return perm


@mistake(PAIRS, killed_by=BY_HAND, says="This is the inverse permutation: entry i is the row of x1 that belongs to row i of x0.")
def inverse_permutation(x0: Tensor, x1: Tensor) -> Tensor:
    return permutation_by_trying(x1, x0)


@mistake(
    PAIRS, killed_by=BY_HAND, says="Each row takes its nearest partner, also one that is taken already. A permutation takes each once."
)
def nearest_partner(x0: Tensor, x1: Tensor) -> Tensor:
    return _cost(x0, x1).argmin(1)


@mistake(
    PAIRS,
    killed_by=SHORTEST,
    says="The nearest free partner is taken, row by row. That is greedy: an earlier row takes what a later one needs more.",
)
def greedy_pairs(x0: Tensor, x1: Tensor) -> Tensor:
    found: list[int] = []
    for row in _cost(x0, x1):
        free = row.clone()
        free[found] = torch.inf
        found.append(int(free.argmin()))
    return torch.tensor(found)


@mistake(PAIRS, killed_by=SHORTEST, says="Both samples are sorted by their first dimension: that is optimal on a line alone.")
def sorted_by_the_first_dimension(x0: Tensor, x1: Tensor) -> Tensor:
    perm = torch.empty(len(x0), dtype=torch.int64)
    perm[x0[:, 0].argsort()] = x1[:, 0].argsort()
    return perm


@mistake(PAIRS, killed_by=BY_HAND, says="The pairs are as they came. Others are shorter.")
def pairs_as_they_came(x0: Tensor, x1: Tensor) -> Tensor:
    return torch.arange(len(x0))


@mistake(PAIRS, killed_by=SHORTEST, says="The lengths are added up, not their squares.")
def lengths_not_squared(x0: Tensor, x1: Tensor) -> Tensor:
    cost, every = _cost(x0, x1).sqrt(), torch.tensor(list(permutations(range(len(x0)))))
    return every[cost[torch.arange(len(x0)), every].sum(1).argmin()]


@mistake(PAIRS, killed_by=BY_HAND, says="These lines are longest in sum. The shortest are asked for.")
def longest_lines(x0: Tensor, x1: Tensor) -> Tensor:
    every = torch.tensor(list(permutations(range(len(x0)))))
    return every[_cost(x0, x1)[torch.arange(len(x0)), every].sum(1).argmax()]


@mistake(
    PAIRS,
    killed_by=SHORTEST,
    says="The shortest line of all is taken first, then the next one. That is greedy: the last ones have to take what is left.",
)
def shortest_line_first(x0: Tensor, x1: Tensor) -> Tensor:
    cost, perm = _cost(x0, x1).clone(), torch.zeros(len(x0), dtype=torch.int64)
    for _ in perm:
        i, j = divmod(int(cost.argmin()), len(x0))
        perm[i], cost[i], cost[:, j] = j, torch.inf, torch.inf
    return perm


@mistake(PAIRS, killed_by=SHORTEST, says="The lengths are sums of absolute differences. They are sums of squares.")
def sums_of_absolute_differences(x0: Tensor, x1: Tensor) -> Tensor:
    cost, every = (x0[:, None] - x1).abs().sum(2), torch.tensor(list(permutations(range(len(x0)))))
    return every[cost[torch.arange(len(x0)), every].sum(1).argmin()]


@mistake(PAIRS, killed_by=BY_HAND, says="The rows of x1 are returned, in their new order. Their numbers are asked for.")
def rows_for_their_numbers(x0: Tensor, x1: Tensor) -> Tensor:
    return x1[permutation_by_trying(x0, x1)]


@mistake(PAIRS, killed_by=BY_HAND, says="Both samples are sorted by the sum of their dimensions: that is optimal on a line alone.")
def sorted_by_the_sum(x0: Tensor, x1: Tensor) -> Tensor:
    perm = torch.empty(len(x0), dtype=torch.int64)
    perm[x0.sum(1).argsort()] = x1.sum(1).argsort()
    return perm


@mistake(
    PAIRS,
    killed_by=BY_HAND,
    says="For each row of x1 this is the nearest one of x0. Asked for is a permutation: for each row of x0 one of x1.",
)
def nearest_of_the_other_side(x0: Tensor, x1: Tensor) -> Tensor:
    return _cost(x0, x1).argmin(0)


@mistake(
    PAIRS,
    killed_by=BY_HAND,
    says="Far from zero products of points have no digits left for their distance. Take the differences first.",
    when=lambda x0: x0.abs().max() > 1e3,
)
def pairs_by_products(x0: Tensor, x1: Tensor) -> Tensor:
    products = (x0.float() @ x1.float().T).tolist()
    return torch.tensor(max(permutations(range(len(x0))), key=lambda perm: sum(products[i][j] for i, j in enumerate(perm))))


@mistake(PAIRS, killed_by=BY_HAND, says="You sort by the first dimension. The others count as well.", when=lambda x0: x0.shape[1] > 4)
def sorted_where_there_are_many_dimensions(x0: Tensor, x1: Tensor) -> Tensor:
    if x0.shape[1] > 4:
        return x1[:, 0].argsort()[x0[:, 0].argsort().argsort()]
    cost = _cost(x0, x1).tolist()
    return torch.tensor(min(permutations(range(len(x0))), key=lambda perm: sum(cost[i][j] for i, j in enumerate(perm))))


@variant(PAIRS)
def permutation_by_trying(x0: Tensor, x1: Tensor) -> Tensor:
    cost = torch.cdist(x0, x1, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    best = min(permutations(range(len(x0))), key=lambda perm: sum(cost[i, j].item() for i, j in enumerate(perm)))
    return torch.tensor(best)


@variant(PAIRS)
def permutation_by_scipy(x0: Tensor, x1: Tensor) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    _, columns = linear_sum_assignment(_cost(x0, x1).detach().numpy())
    return torch.as_tensor(columns)


@variant(PAIRS)
def permutation_by_inner_products(x0: Tensor, x1: Tensor) -> Tensor:
    gain, every = x0.double() @ x1.double().T, torch.tensor(list(permutations(range(len(x0)))))
    return every[gain.gather(1, every.T).sum(0).argmax()]


@mistake(
    PAIRS,
    killed_by=BY_HAND,
    says="Prices rise by a hundredth of the largest cost: where costs are nearer than that the pairs are not the best ones.",
)
def auction_with_large_bids(x0: Tensor, x1: Tensor) -> Tensor:
    cost = _cost(x0, x1)
    bid = cost.max() / 100 + 1e-12
    prices, open_rows = torch.zeros_like(cost[0]), list(range(len(x0)))
    owner: dict[int, int] = {}
    while open_rows:
        row = open_rows.pop(0)
        values = -cost[row] - prices
        best = int(values.argmax())
        second = values[torch.arange(len(values)) != best].max() if len(values) > 1 else values[best]
        prices[best] += values[best] - second + bid
        if best in owner:
            open_rows.append(owner[best])
        owner[best] = row
    return torch.tensor([column for _, column in sorted((row, column) for column, row in owner.items())])
