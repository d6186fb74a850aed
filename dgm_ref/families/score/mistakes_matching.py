"""Wrong and other right answers about score matching and denoising."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, near_one_another, variant
from dgm_ref.slips import changed_in_place, first_where_near, graph_for_inputs_alone, plain_data

DSM, ISM, DENOISE = "score.denoising_score_loss", "score.implicit_score_loss", "score.denoise"
DSM_BY_HAND, DSM_SQUARE = "test_denoising_losses_known_by_hand", "test_each_row_has_its_own_level_also_in_a_square_batch"
DSM_COMPARES = "test_the_loss_compares_the_score_of_noisy_data_with_their_noise"
DSM_TRAINS = "test_the_denoising_loss_trains_the_score"
DSM_MANY = "test_the_denoising_loss_of_single_and_of_many_rows_and_of_tiny_levels"
ISM_BY_HAND, ISM_TRAINS = "test_implicit_losses_known_by_hand", "test_the_implicit_loss_trains_the_score"
ISM_ANY = "test_the_implicit_loss_is_divergence_plus_half_the_square"
D_BY_HAND, D_SQUARE = "test_denoised_points_known_by_hand", "test_denoising_one_row_a_square_batch_and_many_rows"

Score = Callable[[Tensor, Tensor], Tensor]
Plain = Callable[[Tensor], Tensor]


@mistake(DSM, killed_by=DSM_BY_HAND, says="The score is not weighed by sigma: it is sigma times the score that is compared with the noise.")
def score_not_weighed(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    return (score(x + sigma[:, None] * noise, sigma) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The noise is subtracted. The score points against it: sigma s + noise is to vanish.")
def noise_subtracted(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, sigma) - noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="You averaged over the dimensions, too. The squared norm adds them up.")
def averaged_over_the_dimensions(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, sigma) + noise).square().mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The rows are added up. The loss is their average.")
def added_over_the_rows(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, sigma) + noise).square().sum()


@mistake(DSM, killed_by=DSM_BY_HAND, says="There is a factor 1/2 that the loss does not have.")
def halved_denoising_loss(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return 0.5 * (s * score(x + s * noise, sigma) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The loss is not weighed: the distance from -noise / sigma is to be taken sigma^2 times.")
def levels_not_weighed(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (score(x + s * noise, sigma) + noise / s).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The score is asked at the clean data. Its place is where the noise has brought them.")
def score_at_clean_data(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    return (sigma[:, None] * score(x, sigma) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_COMPARES, says="The noise is added without its level: x + sigma noise.")
def noise_without_its_level(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    return (sigma[:, None] * score(x + noise, sigma) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="This is the norm, not its square.")
def norm_not_squared(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, sigma) + noise).norm(dim=1).mean()


@mistake(DSM, killed_by=DSM_SQUARE, says="In a square batch your levels go along the dimensions. They belong to the rows: sigma[:, None].")
def levels_along_the_dimensions(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma if x.shape[0] == x.shape[1] else sigma[:, None]
    return (s * score(x + s * noise, sigma) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_MANY, says="Tiny levels are raised. They are right as they are.")
def levels_clamped(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma.clamp(0.01, 100.0)[:, None]
    return (s * score(x + s * noise, sigma) + noise).square().sum(1).mean()


@mistake(
    DSM,
    killed_by=DSM_BY_HAND,
    says="Levels that differ by less than a tenth are taken for one. The score is asked at the level of each row.",
    when=near_one_another("sigma"),
)
def near_levels_taken_for_one(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, first_where_near(sigma)) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_TRAINS, says="The score is detached: nothing can be trained by this loss.")
def score_detached(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    value = s * score(x + s * noise, sigma)
    return (value.detach() + noise).square().sum(1).mean() + 0 * value.sum()


@mistake(DSM, killed_by=DSM_BY_HAND, says="All rows share one noise level. Each row has its own.")
def one_level_for_all(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma.mean().expand(len(x))
    return (s[:, None] * score(x + s[:, None] * noise, s) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The noise is scaled by sigma^2. The data are x + sigma noise.")
def noise_by_the_variance_of_the_level(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s**2 * noise, sigma) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The rows are weighed by sigma^2 once more. The weight is in the formula already.")
def weighed_twice(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (sigma**2 * (s * score(x + s * noise, sigma) + noise).square().sum(1)).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The score is asked for the level sigma^2. Its level is sigma.")
def variance_for_the_level(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, sigma**2) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The noise is subtracted from the data. The noisy data are x + sigma noise.")
def data_without_their_noise(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x - s * noise, sigma) + noise).square().sum(1).mean()


@mistake(
    DSM,
    killed_by=DSM_TRAINS,
    says="You detach the noise that the score is compared with. Where the noise carries a graph the loss moves with it there, too.",
)
def noise_to_explain_detached(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, sigma) + noise.detach()).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The noise is divided by sigma beside a score that is multiplied by it: sigma s + noise.")
def noise_divided_by_its_level(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * score(x + s * noise, sigma) + noise / s).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_BY_HAND, says="The score is multiplied by sigma^2 beside the plain noise: sigma s + noise.")
def score_by_the_variance(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return (s * s * score(x + s * noise, sigma) + noise).square().sum(1).mean()


@mistake(
    DSM,
    killed_by=DSM_SQUARE,
    says="You put the mean level for all where levels differ by little. Each row is at its own level.",
    when=lambda sigma: bool(sigma.max() < 1.2 * sigma.min()) and len(sigma) > 1,
)
def mean_of_levels_that_are_near(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    level = sigma.mean().expand_as(sigma) if sigma.max() < 1.2 * sigma.min() else sigma
    return (s * score(x + s * noise, level) + noise).square().sum(1).mean()


@mistake(DSM, killed_by=DSM_MANY, says="You put m for the mean of |noise|^2, its expectation. The loss takes the noise that is given.")
def expected_noise(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    scaled = s * score(x + s * noise, sigma)
    return (scaled.square() + 2 * scaled * noise).sum(1).mean() + x.shape[1]


@mistake(
    DSM,
    killed_by=DSM_BY_HAND,
    says="The score is compared with sigma times the noise, as it was added. It is the noise itself: sigma s + noise.",
)
def compared_with_the_noise_as_added(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    added = sigma[:, None] * noise
    return (sigma[:, None] * score(x + added, sigma) + added).square().sum(1).mean()


@variant(DSM)
def denoising_by_mse(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma.unsqueeze(-1)
    return torch.nn.functional.mse_loss(s * score(x + s * noise, sigma), -noise, reduction="sum") / len(x)


@variant(DSM)
def denoising_with_an_explicit_target(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma.view(-1, 1)
    perturbed = torch.addcmul(x, s, noise)
    return (((score(perturbed, sigma) + noise / s) ** 2).sum(dim=-1) * sigma**2).mean()


@variant(DSM)
def denoising_row_by_row(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    rows = []
    for i, s in enumerate(sigma):
        value = s * score((x[i] + s * noise[i])[None], sigma[i : i + 1])[0] + noise[i]
        rows.append(torch.dot(value, value))
    return torch.stack(rows).mean()


@mistake(DSM, killed_by=DSM_TRAINS, says=plain_data("The score is"))
def denoising_loss_with_a_graph_for_inputs_alone(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    return graph_for_inputs_alone((s * score(x + s * noise, sigma) + noise).square().sum(1).mean(), x, noise, sigma)


@mistake(
    DSM,
    killed_by=DSM_MANY,
    says="You take the noise back from the noisy data. Beside large data tiny noise has no digits left: it is given.",
)
def noise_from_a_difference(score: Score, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    s = sigma[:, None]
    noisy = x + s * noise
    return (s * score(noisy, sigma) + (noisy - x) / s).square().sum(1).mean()


# -- implicit_score_loss --


def _divergence(score: Plain, x: Tensor) -> Tensor:
    return torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x).diagonal(dim1=1, dim2=2).sum(1)


@mistake(ISM, killed_by=ISM_BY_HAND, says="The factor 1/2 of the square is missing.")
def whole_square(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x) + score(x).square().sum(1)).mean()


@mistake(
    ISM,
    killed_by=ISM_BY_HAND,
    says="The divergence is subtracted. At data the arrows are to run together: it is added, and becomes negative.",
)
def divergence_subtracted(score: Plain, x: Tensor) -> Tensor:
    return (0.5 * score(x).square().sum(1) - _divergence(score, x)).mean()


@mistake(ISM, killed_by=ISM_BY_HAND, says="The divergence is missing: the square alone is smallest for a score of zero.")
def square_alone(score: Plain, x: Tensor) -> Tensor:
    return 0.5 * score(x).square().sum(1).mean()


@mistake(ISM, killed_by=ISM_BY_HAND, says="The rows are added up. The loss is their average.")
def implicit_added_over_the_rows(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x) + 0.5 * score(x).square().sum(1)).sum()


@mistake(ISM, killed_by=ISM_BY_HAND, says="You add up the whole Jacobian. The divergence is its trace.")
def implicit_with_the_whole_jacobian(score: Plain, x: Tensor) -> Tensor:
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return (jacobian.sum((1, 2)) + 0.5 * score(x).square().sum(1)).mean()


@mistake(ISM, killed_by=ISM_BY_HAND, says="The divergence has the factor 1/2, too. Only the square has it.")
def divergence_halved(score: Plain, x: Tensor) -> Tensor:
    return 0.5 * (_divergence(score, x) + score(x).square().sum(1)).mean()


@mistake(ISM, killed_by=ISM_ANY, says="You take finite differences, which lose half of the digits. Let autograd differentiate.")
def implicit_by_differences(score: Plain, x: Tensor) -> Tensor:
    h, E = 1e-2, torch.eye(x.shape[1], dtype=x.dtype)
    divergence = sum((score(x + h * e) - score(x - h * e))[:, j] / (2 * h) for j, e in enumerate(E))
    return (divergence + 0.5 * score(x).square().sum(1)).mean()


@mistake(ISM, killed_by=ISM_TRAINS, says="The divergence has no graph: without create_graph=True it does not train the score.")
def divergence_without_graph(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x).detach() + 0.5 * score(x).square().sum(1)).mean()


@mistake(ISM, killed_by=ISM_BY_HAND, says="The square is subtracted. Arrows should be short at data: it is added.")
def square_subtracted(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x) - 0.5 * score(x).square().sum(1)).mean()


@mistake(ISM, killed_by=ISM_BY_HAND, says="You averaged over the dimensions. Divergence and squared norm add them up.")
def implicit_averaged_over_the_dimensions(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x) + 0.5 * score(x).square().sum(1)).mean() / x.shape[1]


@mistake(ISM, killed_by=ISM_BY_HAND, says="The norm is not squared.")
def half_the_norm(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x) + 0.5 * score(x).norm(dim=1)).mean()


@mistake(ISM, killed_by=ISM_BY_HAND, says="The loss is doubled: the divergence counts once, the squared norm half.")
def twice_the_implicit_loss(score: Plain, x: Tensor) -> Tensor:
    return (2 * _divergence(score, x) + score(x).square().sum(1)).mean()


@mistake(ISM, killed_by=ISM_TRAINS, says="The score is detached in its square: both terms train it.")
def square_detached(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x) + 0.5 * score(x).detach().square().sum(1)).mean()


@mistake(
    ISM,
    killed_by="test_the_implicit_loss_of_single_and_of_many_rows",
    says="You add up the first eight derivatives. The divergence has one for each dimension.",
    when=lambda x: x.shape[1] > 8,
)
def divergence_of_eight_dimensions(score: Plain, x: Tensor) -> Tensor:
    J = torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)
    return (J.diagonal(dim1=1, dim2=2)[:, :8].sum(1) + score(x).square().sum(1) / 2).mean()


@mistake(ISM, killed_by=ISM_BY_HAND, says="The square is averaged over the dimensions. The squared norm adds them up.")
def square_averaged_over_the_dimensions(score: Plain, x: Tensor) -> Tensor:
    return (_divergence(score, x) + 0.5 * score(x).square().mean(1)).mean()


@variant(ISM)
def implicit_by_a_loop(score: Plain, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_()
    s = score(x)
    divergence = sum(torch.autograd.grad(s[:, j].sum(), x, create_graph=True)[0][:, j] for j in range(x.shape[1]))
    return (divergence + s.pow(2).sum(-1) / 2).mean()


@variant(ISM)
def implicit_by_forward_mode(score: Plain, x: Tensor) -> Tensor:
    total = 0.5 * torch.linalg.vector_norm(score(x), dim=1) ** 2
    for j in range(x.size(1)):
        e = torch.zeros_like(x)
        e[:, j] = 1.0
        total = total + torch.func.jvp(score, (x,), (e,))[1][:, j]
    return total.mean()


@variant(ISM)
def implicit_by_jacfwd(score: Plain, x: Tensor) -> Tensor:
    def one(row: Tensor) -> Tensor:
        value = score(row[None])[0]
        return torch.func.jacfwd(lambda r: score(r[None])[0])(row).trace() + 0.5 * value.dot(value)

    return torch.func.vmap(one)(x).mean()


# -- denoise --


@mistake(DENOISE, killed_by=D_BY_HAND, says="The way is sigma times the score. It is sigma^2 times.")
def way_of_sigma(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma[:, None] * score(x, sigma)


@mistake(DENOISE, killed_by=D_BY_HAND, says="You walk against the score. It points to the data: add it.")
def way_against_the_score(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x - sigma[:, None].square() * score(x, sigma)


@mistake(DENOISE, killed_by=D_BY_HAND, says="The level is missing: the way is sigma^2 times the score.")
def way_without_the_level(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + score(x, sigma)


@mistake(DENOISE, killed_by=D_BY_HAND, says="You go half of the way: that is the drift of Langevin dynamics, not Tweedie's formula.")
def half_of_the_way(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma[:, None].square() / 2 * score(x, sigma)


@mistake(DENOISE, killed_by=D_BY_HAND, says="This is the way, without the point where it starts.")
def way_alone(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return sigma[:, None].square() * score(x, sigma)


@mistake(
    DENOISE, killed_by=D_SQUARE, says="In a square batch your levels go along the dimensions. They belong to the rows: sigma[:, None]."
)
def denoised_along_the_dimensions(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    s = sigma if x.shape[0] == x.shape[1] else sigma[:, None]
    return x + s.square() * score(x, sigma)


@mistake(DENOISE, killed_by=D_BY_HAND, says="All rows go the way of the first one's level. Each row has its own.")
def first_level_for_all(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma[0] ** 2 * score(x, sigma)


@mistake(DENOISE, killed_by=D_BY_HAND, says="The score is asked at the first row's level for all rows. Each row has its own.")
def score_at_the_first_level(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma[:, None] ** 2 * score(x, sigma[:1].expand(len(x)))


@mistake(DENOISE, killed_by=D_BY_HAND, says="The score is divided by sigma^2. It is multiplied.")
def divided_by_the_level(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + score(x, sigma) / sigma[:, None] ** 2


@mistake(DENOISE, killed_by=D_BY_HAND, says="All rows go the way of the mean level. Each row has its own.")
def mean_level_for_all(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma.mean() ** 2 * score(x, sigma)


@mistake(DENOISE, killed_by=D_BY_HAND, says="The score is asked for the level sigma^2. Its level is sigma.")
def asked_for_the_variance(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma[:, None] ** 2 * score(x, sigma**2)


@mistake(DENOISE, killed_by=D_SQUARE, says="You hold the guess to 100 in size. Data may be larger.", when=lambda x: x.abs().max() > 100)
def guess_clipped(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return (x + sigma[:, None] ** 2 * score(x, sigma)).clamp(-100, 100)


@mistake(
    DENOISE,
    killed_by=D_SQUARE,
    says="Levels that differ by less than a tenth are taken for one. The score is asked at the level of each row.",
    when=near_one_another("sigma"),
)
def near_levels_denoised_as_one(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma[:, None].square() * score(x, first_where_near(sigma))


@mistake(DENOISE, killed_by=D_SQUARE, says="You hold the noise level above 10^-3. A smaller one is legal, and its score is the larger.")
def level_held_above_a_floor(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return x + sigma[:, None].clamp(min=1e-3) ** 2 * score(x, sigma)


@variant(DENOISE)
def denoise_by_addcmul(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return torch.addcmul(x, sigma.unsqueeze(1) ** 2, score(x, sigma))


@variant(DENOISE)
def denoise_transposed(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return (x.T + sigma**2 * score(x, sigma).T).T


@variant(DENOISE)
def denoise_row_by_row(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return torch.cat([x[i : i + 1] + sigma[i] ** 2 * score(x[i : i + 1], sigma[i : i + 1]) for i in range(len(x))])


@mistake(DENOISE, killed_by=D_SQUARE, says=changed_in_place("the score", "its argument"))
def denoised_in_place(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    step = score(x, sigma)
    if step.requires_grad or sigma.requires_grad:
        return x + sigma[:, None].square() * step
    step *= sigma[:, None].square()
    return x + step


@mistake(DENOISE, killed_by="test_denoising_has_gradients", says=plain_data("The score is"))
def denoised_with_a_graph_for_inputs_alone(score: Score, x: Tensor, sigma: Tensor) -> Tensor:
    return graph_for_inputs_alone(x + sigma[:, None].square() * score(x, sigma), x, sigma)
