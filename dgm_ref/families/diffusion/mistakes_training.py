"""Wrong and other right answers about the losses of diffusion, and about guidance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.families.diffusion.parts import before, coefficients, guess, noisy, signal, step_before
from dgm_ref.slips import changed_in_place, graph_for_inputs_alone, plain_data

SIMPLE, BOUND, GUIDED = "diffusion.simple_loss", "diffusion.bound_term", "diffusion.guided_noise"
S_BY_HAND, S_ASKS = "test_simple_losses_known_by_hand", "test_the_simple_loss_asks_for_the_noise"
S_TRAINS = "test_the_simple_loss_trains_the_model"
B_BY_HAND, B_TRAINS = "test_bound_terms_known_by_hand", "test_bound_terms_train_the_model"
G_BY_HAND, G_BEYOND = "test_guided_noise_known_by_hand", "test_guidance_goes_beyond_the_label"

Model = Callable[..., Tensor]


@mistake(SIMPLE, killed_by=S_BY_HAND, says="You averaged over the dimensions, too. The squared norm adds them up.")
def averaged_squares(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t)).square().mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The rows are added up. The loss is their average.")
def summed_squares(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t)).square().sum()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The prediction is compared with the data. This model predicts the noise.")
def compared_with_the_data(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (x0 - model(noisy(x0, t, noise, betas), t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The model is asked at the clean data. It sees the noisy ones.")
def model_at_clean_data(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(x0, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="This is the norm, not its square.")
def plain_norm(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t)).norm(dim=1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="There is a factor 1/2 that the loss does not have.")
def halved_simple_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return 0.5 * (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_ASKS, says="The model is asked for the time t + 1. It counts from 0, as t does.")
def time_counted_from_one(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t + 1)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_TRAINS, says="The noisy data are detached: no gradient reaches the data.")
def noisy_data_detached(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas).detach(), t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_TRAINS, says="The prediction is detached: nothing can be trained by this loss.")
def prediction_detached(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    predicted = model(noisy(x0, t, noise, betas), t)
    return (noise - predicted.detach()).square().sum(1).mean() + 0 * predicted.sum()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The prediction is added to the noise. Their difference is asked for.")
def prediction_added(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise + model(noisy(x0, t, noise, betas), t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="These are absolute differences. The loss has squares.")
def absolute_differences(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t)).abs().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="This is the Huber loss, which grows less far out. The loss has squares.")
def huber_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return torch.nn.functional.smooth_l1_loss(model(noisy(x0, t, noise, betas), t), noise, reduction="sum") / len(x0)


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The squares are divided by 1 - alpha_bar. The simple loss has no weights.")
def divided_by_the_variance_of_the_noise(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    weight = 1 / (1 - signal(betas)[t])
    return (weight * (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1)).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The data have one step of noise. All steps up to t are asked for: alpha_bar, not alpha.")
def one_step_of_noise_in_the_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    beta = betas[t][:, None]
    return (noise - model((1 - beta).sqrt() * x0 + beta.sqrt() * noise, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The model is asked at the noise. It sees the noisy data.")
def model_at_the_noise(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noise, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The noisy data lack their roots: alpha_bar is a share of the variance.")
def noisy_without_roots(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas)[t][:, None]
    return (noise - model(a * x0 + (1 - a) * noise, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The model is asked for the first row's time. Each row has a time of its own.")
def asked_for_the_first_time(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t[:1].expand(len(t)))).square().sum(1).mean()


@mistake(
    SIMPLE,
    killed_by=S_TRAINS,
    says="You detach the noise that is asked for. Where the noise carries a graph the loss moves with it there, too.",
)
def noise_asked_for_detached(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise.detach() - model(noisy(x0, t, noise, betas), t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The time is off by one: x_t has t + 1 steps of noise.")
def one_step_too_few_in_the_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = before(betas)[t][:, None]
    return (noise - model(a.sqrt() * x0 + (1 - a).sqrt() * noise, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The noise at x_t has the factor 1 - sqrt(alpha_bar). It is sqrt(1 - alpha_bar).")
def one_minus_the_root_in_the_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas)[t][:, None].sqrt()
    return (noise - model(a * x0 + (1 - a) * noise, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The noise at x_t lacks its root: its factor is sqrt(1 - alpha_bar).")
def noise_without_its_root_in_the_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas)[t][:, None]
    return (noise - model(a.sqrt() * x0 + (1 - a) * noise, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The prediction is compared with the noisy data. This model predicts the noise.")
def compared_with_the_noisy_data(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    xt = noisy(x0, t, noise, betas)
    return (xt - model(xt, t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="The prediction is compared with the noise as it was scaled at x_t. It is the noise itself.")
def compared_with_scaled_noise(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    scaled = (1 - signal(betas)[t][:, None]).sqrt() * noise
    return (scaled - model(noisy(x0, t, noise, betas), t)).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_BY_HAND, says="Each row has its own number here. The loss is their average.")
def simple_loss_row_by_row(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1)


@mistake(
    SIMPLE,
    killed_by=S_BY_HAND,
    says="The model is never asked for a time beyond 31. A schedule may be longer.",
    when=lambda t: bool((t > 31).any()),
)
def times_held_below_a_ceiling(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t.clamp(max=31))).square().sum(1).mean()


@mistake(SIMPLE, killed_by=S_TRAINS, says="The schedule is detached: the noisy data depend on it, so the loss does.")
def schedule_detached(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas.detach()), t)).square().sum(1).mean()


@variant(SIMPLE)
def simple_by_mse(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return torch.nn.functional.mse_loss(model(noisy(x0, t, noise, betas), t), noise, reduction="sum") / len(x0)


@variant(SIMPLE)
def simple_by_mean_times_m(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return ((model(noisy(x0, t, noise, betas), t) - noise) ** 2).mean() * x0.shape[1]


@variant(SIMPLE)
def simple_row_by_row(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    xt = noisy(x0, t, noise, betas)
    rows = [torch.linalg.vector_norm(noise[i] - model(xt[i : i + 1], t[i : i + 1])[0]) ** 2 for i in range(len(x0))]
    return torch.stack(rows).sum() / len(rows)


@mistake(SIMPLE, killed_by=S_TRAINS, says=plain_data("The model is"))
def simple_loss_with_a_graph_for_inputs_alone(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    loss = (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1).mean()
    return graph_for_inputs_alone(loss, x0, noise, betas)


# -- bound_term --


def _means(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    xt = noisy(x0, t, noise, betas)
    (mean, variance), (other, _) = step_before(x0, xt, t, betas), step_before(guess(xt, t, model(xt, t), betas), xt, t, betas)
    return mean, other, variance


@mistake(BOUND, killed_by=B_BY_HAND, says="The factor 1/2 is missing: the exponent of a normal density has it.")
def bound_without_half(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / variance


@mistake(BOUND, killed_by=B_BY_HAND, says="The variance is taken as beta_t. Both laws have that of the posterior.")
def bound_with_beta(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, _ = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * betas[t])


@mistake(BOUND, killed_by=B_BY_HAND, says="The distance is divided by the deviation. It is squared, and divided by the variance.")
def bound_with_the_deviation(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance.sqrt())


@mistake(BOUND, killed_by=B_BY_HAND, says="This is the simple loss of each row, without the weight that the bound gives it.")
def simple_loss_of_each_row(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1)


@mistake(BOUND, killed_by=B_BY_HAND, says="The guesses of the data are compared, not the means of the two steps.")
def distance_of_the_guesses(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    xt = noisy(x0, t, noise, betas)
    _, _, variance = coefficients(t, betas)
    return (x0 - guess(xt, t, model(xt, t), betas)).square().sum(1) / (2 * variance)


@mistake(BOUND, killed_by=B_BY_HAND, says="The rows are averaged. Each row has a term of its own.")
def bound_of_the_batch(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return ((mean - other).square().sum(1) / (2 * variance)).mean()


@mistake(BOUND, killed_by=B_BY_HAND, says="You averaged over the dimensions. Divergences of independent dimensions add.")
def bound_per_dimension(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().mean(1) / (2 * variance)


@mistake(BOUND, killed_by=B_BY_HAND, says="The weight of the squared error is capped. The bound weighs it as it is, however much that is.")
def bound_of_capped_weight(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    weight = betas[t] / (2 * (1 - betas[t]) * (1 - before(betas)[t]))
    return weight.clamp(max=5) * (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1)


@mistake(BOUND, killed_by=B_TRAINS, says="The noisy data are detached: no gradient reaches the data.")
def bound_at_detached_data(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    weight = betas[t] / (2 * (1 - betas[t]) * (1 - before(betas)[t]))
    return weight * (noise - model(noisy(x0, t, noise, betas).detach(), t)).square().sum(1)


@mistake(BOUND, killed_by=B_TRAINS, says="You detach the variance. The schedule can be learned, and the variance is made of it.")
def variance_detached(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance.detach())


@mistake(BOUND, killed_by=B_TRAINS, says="The term has lost its graph.")
def bound_detached(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return ((mean - other).square().sum(1) / (2 * variance)).detach()


@mistake(BOUND, killed_by=B_BY_HAND, says="The sign is turned. A divergence is never negative.")
def negative_bound(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return -(mean - other).square().sum(1) / (2 * variance)


@mistake(BOUND, killed_by=B_BY_HAND, says="You averaged over the batch. Each row has a term of its own.")
def bound_averaged_over_rows(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return ((mean - other).square().sum(1) / (2 * variance)).mean().expand(len(t))


@mistake(BOUND, killed_by=B_BY_HAND, says="The weight has alpha_bar_t where alpha_t belongs.")
def alpha_bar_in_the_weight(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance) * (1 - betas[t]) / signal(betas)[t]


@mistake(BOUND, killed_by=B_BY_HAND, says="The model's step has the variance one in your divergence. It has that of the posterior.")
def bound_with_unit_variance(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return 0.5 * ((mean - other).square() + (variance - 1 - variance.log())[:, None]).sum(1)


@mistake(
    BOUND,
    killed_by="test_bound_terms_of_one_row_and_of_many",
    says="You hold the variance to 10^-4 at least. Where steps are tiny it is smaller, and the term larger.",
    when=lambda t, betas: coefficients(t, betas)[2].min() < 1e-4,
    green_at_home="tiny steps are asked of the reference",
)
def variance_held_above_a_floor(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance.clamp(min=1e-4))


@mistake(
    BOUND,
    killed_by="test_bound_terms_of_one_row_and_of_many",
    says="You hold the predicted data to 20 in size. Nothing is clipped, and data may be larger.",
    when=lambda x0: x0.abs().max() > 20,
)
def predicted_data_clipped(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    xt = noisy(x0, t, noise, betas)
    (mean, variance), data = step_before(x0, xt, t, betas), guess(xt, t, model(xt, t), betas).clamp(-20, 20)
    return (mean - step_before(data, xt, t, betas)[0]).square().sum(1) / (2 * variance)


@mistake(BOUND, killed_by=B_BY_HAND, says="The squared distance of the means is not divided by the variance that both laws have.")
def half_the_squared_distance(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, _ = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / 2


@mistake(
    BOUND, killed_by=B_BY_HAND, says="This is the squared distance of the means. Half of it is divided by the variance that both laws have."
)
def squared_distance_of_the_means(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, _ = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1)


@mistake(
    BOUND,
    killed_by=B_BY_HAND,
    says="The weight lacks alpha_t: the means differ by beta_t / sqrt(alpha_t (1 - alpha_bar_t)) times the error.",
)
def weight_without_alpha(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance) * (1 - betas[t])


@mistake(
    BOUND, killed_by=B_BY_HAND, says="beta_t is not squared: the means differ by beta_t / sqrt(alpha_t (1 - alpha_bar_t)) times the error."
)
def weight_with_a_plain_beta(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance) / betas[t]


@mistake(
    BOUND,
    killed_by=B_BY_HAND,
    says="The weight lacks 1 - alpha_bar_t: the means differ by beta_t / sqrt(alpha_t (1 - alpha_bar_t)) times the error.",
)
def weight_without_the_noise(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance) * (1 - signal(betas)[t])


@mistake(BOUND, killed_by=B_BY_HAND, says="This is the norm of the distance, not its square.")
def bound_of_the_plain_norm(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).norm(dim=1) / (2 * variance)


@mistake(BOUND, killed_by=B_BY_HAND, says="The distance is divided by the square of the variance. It is divided by the variance.")
def bound_with_the_squared_variance(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return (mean - other).square().sum(1) / (2 * variance.square())


@mistake(BOUND, killed_by=B_BY_HAND, says="This is half of the simple loss of each row, without the weight that the bound gives it.")
def half_of_the_simple_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1) / 2


@mistake(BOUND, killed_by=B_BY_HAND, says="You hold the terms below 10^4. A bad model is charged what it costs.")
def bound_held_below_a_ceiling(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return ((mean - other).square().sum(1) / (2 * variance)).clamp(max=1e4)


@mistake(BOUND, killed_by=B_TRAINS, says="The schedule is detached: it weighs the terms, and can be trained by them.")
def bound_of_a_detached_schedule(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas.detach())
    return (mean - other).square().sum(1) / (2 * variance)


@variant(BOUND)
def bound_by_torch_distributions(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    scale = variance.sqrt()[:, None]
    Normal = torch.distributions.Normal
    return torch.distributions.kl_divergence(Normal(mean, scale), Normal(other, scale)).sum(-1)


@variant(BOUND)
def bound_as_a_weighted_simple_loss(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    earlier, beta = before(betas)[t], betas[t]
    simple = (noise - model(noisy(x0, t, noise, betas), t)).square().sum(1)
    return beta / (2 * (1 - beta) * (1 - earlier)) * simple


@variant(BOUND)
def bound_from_the_error_of_the_guess(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    xt = noisy(x0, t, noise, betas)
    of_x0, _, variance = coefficients(t, betas)
    error = (x0 - guess(xt, t, model(xt, t), betas)) * of_x0.unsqueeze(-1)
    return 0.5 * (error**2).sum(-1) / variance


@mistake(BOUND, killed_by=B_TRAINS, says=plain_data("The model is"))
def bound_term_with_a_graph_for_inputs_alone(model: Model, x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    mean, other, variance = _means(model, x0, t, noise, betas)
    return graph_for_inputs_alone((mean - other).square().sum(1) / (2 * variance), x0, noise, betas)


# -- guided_noise --


@mistake(GUIDED, killed_by=G_BY_HAND, says="Your weights are w and 1 - w. Here they are 1 + w, of the prediction with the label, and -w.")
def interpolated(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 - scale) * model(x, t, None) + scale * model(x, t, label)


@mistake(GUIDED, killed_by=G_BY_HAND, says="Labelled and unlabelled prediction are swapped.")
def label_swapped(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + scale) * model(x, t, None) - scale * model(x, t, label)


@mistake(GUIDED, killed_by=G_BY_HAND, says="The unlabelled prediction is added. It is subtracted: the weights sum to one.")
def unlabelled_added(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + scale) * model(x, t, label) + scale * model(x, t, None)


@mistake(GUIDED, killed_by=G_BY_HAND, says="The labelled prediction has the weight w. It is 1 + w, so that the weights sum to one.")
def weights_sum_to_zero(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return scale * (model(x, t, label) - model(x, t, None))


@mistake(GUIDED, killed_by=G_BY_HAND, says="The scale is not used: this is the labelled prediction.")
def without_guidance(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return model(x, t, label)


@mistake(GUIDED, killed_by=G_BEYOND, says="The prediction is clipped for strong guidance. Nothing is clipped here.")
def guidance_clamped(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (
        ((1 + scale) * model(x, t, label) - scale * model(x, t, None)).clamp(-1, 1)
        if scale > 1
        else ((1 + scale) * model(x, t, label) - scale * model(x, t, None))
    )


@mistake(GUIDED, killed_by=G_BY_HAND, says="The empty label is None. You hand over a number, which is a label like the others.")
def zero_for_no_label(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + scale) * model(x, t, label) - scale * model(x, t, torch.zeros_like(label))


@mistake(GUIDED, killed_by=G_BY_HAND, says="The empty label is None. You hand over a number, which is a label like the others.")
def minus_one_for_no_label(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + scale) * model(x, t, label) - scale * model(x, t, torch.full_like(label, -1))


@mistake(GUIDED, killed_by=G_BY_HAND, says="You divide by 1 + 2 w. The weights 1 + w and -w sum to one already.")
def weights_normalised(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return ((1 + scale) * model(x, t, label) - scale * model(x, t, None)) / (1 + 2 * scale)


@mistake(
    GUIDED, killed_by="test_guided_noise_has_gradients", says="The unlabelled prediction is detached: the model is trained through both."
)
def unlabelled_detached(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + scale) * model(x, t, label) - scale * model(x, t, None).detach()


@mistake(GUIDED, killed_by=G_BY_HAND, says="The unlabelled prediction is not subtracted.")
def labelled_alone_and_more(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + scale) * model(x, t, label)


@mistake(GUIDED, killed_by=G_BY_HAND, says="This goes twice as far: the weights are 1 + w and -w.")
def guided_twice_as_far(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + 2 * scale) * model(x, t, label) - 2 * scale * model(x, t, None)


@mistake(GUIDED, killed_by=G_BY_HAND, says="The label is not used.")
def without_the_label(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return model(x, t, None)


@mistake(GUIDED, killed_by=G_BY_HAND, says="You hold the scale to 10 at most. It is taken as it is.", when=lambda scale: scale > 10)
def scale_held_below_a_ceiling(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    scale = min(scale, 10)
    return (1 + scale) * model(x, t, label) - scale * model(x, t, None)


@mistake(GUIDED, killed_by=G_BY_HAND, says="The unlabelled prediction has the weight -1. It is -w, so that the weights sum to one.")
def unlabelled_without_the_scale(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 + scale) * model(x, t, label) - model(x, t, None)


@mistake(
    GUIDED, killed_by=G_BY_HAND, says="The signs are turned: this goes away from the label. The weights are 1 + w, with the label, and -w."
)
def away_from_the_label(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return (1 - scale) * model(x, t, label) + scale * model(x, t, None)


@mistake(GUIDED, killed_by=G_BY_HAND, says="w times the unlabelled prediction is added to the labelled one. The weights are 1 + w and -w.")
def unlabelled_on_top(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return model(x, t, label) + scale * model(x, t, None)


@variant(GUIDED)
def guided_by_the_way(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    with_label, without = model(x, t, label), model(x, t, None)
    return without + (1 + scale) * (with_label - without)


@variant(GUIDED)
def guided_by_lerp(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return torch.lerp(model(x, t, None), model(x, t, label), 1.0 + scale)


@variant(GUIDED)
def guided_row_by_row(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    rows = [(x[i : i + 1], t[i : i + 1], label[i : i + 1]) for i in range(len(x))]
    return torch.cat([(1 + scale) * model(*row) - scale * model(row[0], row[1], None) for row in rows])


@mistake(
    GUIDED,
    killed_by=G_BY_HAND,
    says="A scale of 1 is taken for no guidance. With w = 1 one goes as far again beyond the label.",
    when=lambda scale: scale == 1,
)
def one_taken_for_no_guidance(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    with_label = model(x, t, label)
    return with_label if scale == 1 else (1 + scale) * with_label - scale * model(x, t, None)


@mistake(GUIDED, killed_by=G_BY_HAND, says=changed_in_place("the model", "its argument"))
def guided_in_place(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    with_label, without = model(x, t, label), model(x, t, None)
    if with_label.requires_grad or without.requires_grad:
        return (1 + scale) * with_label - scale * without
    with_label *= 1 + scale
    return with_label - scale * without


@mistake(GUIDED, killed_by="test_guided_noise_has_gradients", says=plain_data("The model is"))
def guidance_with_a_graph_for_inputs_alone(model: Model, x: Tensor, t: Tensor, label: Tensor, scale: float) -> Tensor:
    return graph_for_inputs_alone((1 + scale) * model(x, t, label) - scale * model(x, t, None), x)
