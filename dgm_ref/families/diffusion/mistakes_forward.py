"""Wrong and other right answers about adding noise and the step before."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.families.diffusion.parts import before, coefficients, column, noisy, signal, step_before
from dgm_ref.slips import NO_LEAF, detached_unless_leaf

BAR, ADD, POSTERIOR, PREDICT = "diffusion.alpha_bar", "diffusion.add_noise", "diffusion.posterior", "diffusion.predict_x0"
BAR_BY_HAND, ADD_BY_HAND = "test_the_signal_that_is_left_known_by_hand", "test_noisy_data_known_by_hand"
POST_BY_HAND, FIRST = "test_the_step_before_known_by_hand", "test_before_the_first_step_are_the_data"
PREDICT_BY_HAND = "test_predicted_data_known_by_hand"

Pair = tuple[Tensor, Tensor]


@mistake(BAR, killed_by=BAR_BY_HAND, says="These are the single factors alpha_t. alpha_bar_t is the product of all up to t.")
def single_factors(betas: Tensor) -> Tensor:
    return 1 - betas


@mistake(
    BAR,
    killed_by=BAR_BY_HAND,
    says="alpha_bar is clamped from below. Little signal is left at the end, and no more than that.",
    when=lambda betas: signal(betas).min() < 1e-8,
)
def clamped_from_below(betas: Tensor) -> Tensor:
    return signal(betas).clamp(min=1e-8)


@mistake(BAR, killed_by=BAR_BY_HAND, says="You multiply the betas. What is left after a step is 1 - beta of it.")
def product_of_betas(betas: Tensor) -> Tensor:
    return torch.cumprod(betas, 0)


@mistake(BAR, killed_by=BAR_BY_HAND, says="This is 1 minus the sum of the betas. Shares of what is left multiply.")
def one_minus_the_sum(betas: Tensor) -> Tensor:
    return 1 - torch.cumsum(betas, 0)


@mistake(BAR, killed_by=BAR_BY_HAND, says="The list is shifted by one: alpha_bar_0 has the first step in it.")
def shifted_by_one(betas: Tensor) -> Tensor:
    return before(betas)


@mistake(BAR, killed_by=BAR_BY_HAND, says="This is the root of alpha_bar, the factor of the data themselves.")
def root_of_alpha_bar(betas: Tensor) -> Tensor:
    return signal(betas).sqrt()


@mistake(BAR, killed_by=BAR_BY_HAND, says="This is exp of minus the summed betas, which is near alpha_bar for tiny betas alone.")
def exponential_of_the_sum(betas: Tensor) -> Tensor:
    return torch.exp(-torch.cumsum(betas, 0))


@mistake(
    BAR,
    killed_by=BAR_BY_HAND,
    says="Each factor is raised to a power, as if all betas were alike. alpha_bar_t is the product of all factors up to t.",
)
def powers_of_the_single_factors(betas: Tensor) -> Tensor:
    return (1 - betas) ** torch.arange(1, len(betas) + 1)


@mistake(BAR, killed_by=BAR_BY_HAND, says="There is a 1 in front. The list starts with alpha_bar_0, and has as many values as betas.")
def one_value_too_many(betas: Tensor) -> Tensor:
    return torch.cat([betas.new_ones(1), signal(betas)])


@mistake(BAR, killed_by=BAR_BY_HAND, says="This is 1 - alpha_bar, the variance of the noise.")
def variance_of_the_noise(betas: Tensor) -> Tensor:
    return 1 - signal(betas)


@mistake(BAR, killed_by=BAR_BY_HAND, says="The product runs from the end. alpha_bar_t has the steps up to t.")
def product_from_the_end(betas: Tensor) -> Tensor:
    return signal(betas.flip(0)).flip(0)


@mistake(BAR, killed_by=BAR_BY_HAND, says="Every value is the product of all factors. alpha_bar_t has those up to t.")
def product_of_all(betas: Tensor) -> Tensor:
    return (1 - betas).prod().expand(len(betas))


@mistake(BAR, killed_by=BAR_BY_HAND, says="The betas are squared. What is left after a step is 1 - beta of the variance.")
def product_with_squared_betas(betas: Tensor) -> Tensor:
    return torch.cumprod(1 - betas**2, 0)


@mistake(BAR, killed_by=BAR_BY_HAND, says="The shares are added up. Shares of what is left multiply.")
def sum_of_the_shares(betas: Tensor) -> Tensor:
    return torch.cumsum(1 - betas, 0)


@variant(BAR)
def bar_by_logarithms(betas: Tensor) -> Tensor:
    return torch.log1p(-betas).cumsum(0).exp()


@variant(BAR)
def bar_by_a_loop(betas: Tensor) -> Tensor:
    product, products = torch.ones((), dtype=betas.dtype), []
    for beta in betas:
        product = product * (1.0 - beta)
        products.append(product)
    return torch.stack(products)


@variant(BAR)
def bar_by_prefixes(betas: Tensor) -> Tensor:
    alphas = 1.0 - betas
    return torch.stack([torch.prod(alphas[: t + 1]) for t in range(len(alphas))])


@mistake(
    BAR,
    killed_by="test_a_schedule_of_one_step",
    says="Betas are bounded by 0.999. One may be nearer to 1.",
    when=lambda betas: bool((betas > 0.999).any()),
)
def betas_bounded(betas: Tensor) -> Tensor:
    return signal(betas.clamp(max=0.999))


# -- add_noise --


@mistake(ADD, killed_by=ADD_BY_HAND, says="The roots are missing: alpha_bar is a share of the variance.")
def shares_without_roots(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return a * x0 + (1 - a) * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="This is one step of noise. All steps up to t are asked for: alpha_bar, not alpha.")
def one_step_of_noise(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    beta = column(betas, t)
    return (1 - beta).sqrt() * x0 + beta.sqrt() * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="Data and noise are swapped.")
def data_and_noise_swapped(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(noise, t, x0, betas)


@mistake(ADD, killed_by=ADD_BY_HAND, says="The time is off by one: x_t has t + 1 steps of noise.")
def one_step_too_few(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(before(betas), t)
    return a.sqrt() * x0 + (1 - a).sqrt() * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="All rows have the noise of the first row's time. Each row has a time of its own.")
def first_time_for_all(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(x0, t[:1].expand(len(t)), noise, betas)


@mistake(ADD, killed_by=ADD_BY_HAND, says="The data are not shrunk: the variance explodes.")
def data_not_shrunk(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return x0 + (1 - column(signal(betas), t)).sqrt() * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="The noise lacks its root: its factor is sqrt(1 - alpha_bar).")
def noise_without_its_root(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return a.sqrt() * x0 + (1 - a) * noise


@mistake(
    ADD, killed_by=ADD_BY_HAND, says="The noise has the variance beta_t, of the last step alone. That of all steps is 1 - alpha_bar_t."
)
def noise_of_the_last_step_alone(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return column(signal(betas), t).sqrt() * x0 + column(betas, t).sqrt() * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="The noise is subtracted. It is added.")
def noise_taken_away(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(x0, t, -noise, betas)


@mistake(ADD, killed_by=ADD_BY_HAND, says="The noisy data are clipped to [-1, 1]. Nothing is clipped here.")
def noisy_data_clipped(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(x0, t, noise, betas).clamp(-1, 1)


@mistake(
    ADD,
    killed_by="test_all_steps_to_a_time_are_one",
    says="In a square batch your times go along the dimensions. They belong to the rows: alpha_bar[t][:, None].",
)
def times_of_a_square_batch(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas)[t]
    a = a if x0.shape[0] == x0.shape[1] else a[:, None]
    return a.sqrt() * x0 + (1 - a).sqrt() * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="The noise is added as it is. Its factor is sqrt(1 - alpha_bar).")
def noise_as_it_is(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return column(signal(betas), t).sqrt() * x0 + noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="The data lack their root: their factor is sqrt(alpha_bar).")
def data_without_their_root(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return a * x0 + (1 - a).sqrt() * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="All rows have all the noise there is. Each row has a time of its own.")
def last_time_for_all(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(x0, torch.full_like(t, len(betas) - 1), noise, betas)


@mistake(
    ADD,
    killed_by=ADD_BY_HAND,
    says="You hold alpha_bar to 10^-5 at least. At the end of a long schedule it is far smaller.",
    when=lambda betas: signal(betas)[-1] < 1e-5,
)
def alpha_bar_held_above_a_floor(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas).clamp(min=1e-5), t)
    return a.sqrt() * x0 + (1 - a).sqrt() * noise


@mistake(
    ADD, killed_by=ADD_BY_HAND, says="The factor of the noise is 1 - sqrt(alpha_bar). It is sqrt(1 - alpha_bar): the variances add to one."
)
def one_minus_the_root(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t).sqrt()
    return a * x0 + (1 - a) * noise


@mistake(
    ADD, killed_by=ADD_BY_HAND, says="alpha_bar is taken for the factor of the data. It is the square of that, a share of the variance."
)
def signal_for_its_root(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return a * x0 + (1 - a * a).sqrt() * noise


@mistake(
    ADD,
    killed_by=ADD_BY_HAND,
    says="The data are shrunk by sqrt(alpha_t), the last step alone. All steps shrink them by sqrt(alpha_bar_t).",
)
def data_shrunk_by_the_last_step_alone(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (1 - column(betas, t)).sqrt() * x0 + (1 - column(signal(betas), t)).sqrt() * noise


@mistake(ADD, killed_by=ADD_BY_HAND, says="You multiply the betas. What is left after a step is 1 - beta of it.")
def betas_multiplied(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(x0, t, noise, 1 - betas)


@mistake(ADD, killed_by=ADD_BY_HAND, says="The noise is shrunk with the data. Its factor is sqrt(1 - alpha_bar) alone.")
def noise_shrunk_with_the_data(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return a.sqrt() * (x0 + (1 - a).sqrt() * noise)


@mistake(ADD, killed_by=ADD_BY_HAND, says="The time is off by one: x_t has t + 1 steps of noise, and you give it one more.")
def one_step_too_many(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(x0, (t + 1).clamp(max=len(betas) - 1), noise, betas)


@mistake(ADD, killed_by=ADD_BY_HAND, says="You hold the noise's variance above 10^-5. 1 - alpha_bar may be smaller.")
def noise_held_above_a_floor(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return a.sqrt() * x0 + (1 - a).clamp(min=1e-5).sqrt() * noise


@variant(ADD)
def add_by_gather(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = torch.cumprod(1.0 - betas, dim=0).gather(0, t).view(-1, 1)
    return torch.sqrt(a) * x0 + torch.sqrt(1.0 - a) * noise


@variant(ADD)
def add_transposed(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas).index_select(0, t)
    return (a.sqrt() * x0.T + (1 - a).sqrt() * noise.T).T


@variant(ADD)
def add_row_by_row(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = bar_by_logarithms(betas)
    return torch.stack([a[s] ** 0.5 * row + (1 - a[s]) ** 0.5 * e for row, s, e in zip(x0, t.tolist(), noise, strict=True)])


@variant(ADD)
def add_with_the_schedule_anew_for_each_row(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    shares = [bar_by_a_loop(betas)[int(s)] for s in t]
    return torch.stack([a.sqrt() * row + (1 - a).sqrt() * e for a, row, e in zip(shares, x0, noise, strict=True)])


@mistake(
    ADD,
    killed_by="test_noisy_data_have_gradients",
    says=NO_LEAF,
)
def data_of_an_encoder_detached(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return noisy(detached_unless_leaf(x0), t, noise, betas)


# -- posterior --


@mistake(
    POSTERIOR,
    killed_by=POST_BY_HAND,
    says="The variance is beta_t. Given the data it is smaller, by (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).",
)
def variance_of_the_step(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    return step_before(x0, xt, t, betas)[0], betas[t]


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The coefficients are swapped: what belongs to x0 is at xt.")
def coefficients_swapped(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    return step_before(xt, x0, t, betas)


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The second part is the deviation. The variance is asked for.")
def deviation_of_the_step_before(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return mean, variance.sqrt()


@mistake(
    POSTERIOR,
    killed_by=POST_BY_HAND,
    says="The root is missing in the coefficient of x0: sqrt(alpha_bar_{t-1}) beta_t / (1 - alpha_bar_t).",
)
def root_missing_at_x0(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    _, of_xt, variance = coefficients(t, betas)
    of_x0 = before(betas)[t] * betas[t] / (1 - signal(betas)[t])
    return of_x0[:, None] * x0 + of_xt[:, None] * xt, variance


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="alpha_bar_t stands where alpha_bar_{t-1} belongs.")
def alpha_bar_not_shifted(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    a, beta = signal(betas)[t], betas[t]
    of_x0, of_xt = a.sqrt() * beta / (1 - a), (1 - beta).sqrt()
    return of_x0[:, None] * x0 + of_xt[:, None] * xt, beta


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The coefficient of xt has alpha_bar_t under its root. It is sqrt(alpha_t), of one step.")
def alpha_bar_at_xt(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    of_x0, _, variance = coefficients(t, betas)
    a, earlier = signal(betas)[t], before(betas)[t]
    of_xt = a.sqrt() * (1 - earlier) / (1 - a)
    return of_x0[:, None] * x0 + of_xt[:, None] * xt, variance


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The variance has an axis too many: one number for each row, (n,).")
def variance_with_an_axis_too_many(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return mean, variance[:, None]


@mistake(
    POSTERIOR,
    killed_by=FIRST,
    says="Before the first step alpha_bar is 1. Your index -1 takes the last one instead.",
    when=lambda betas: len(betas) > 1,  # of a schedule of one step the last one is the first
)
def index_minus_one(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    a, earlier, beta = signal(betas)[t], signal(betas)[t - 1], betas[t]
    of_x0, of_xt = earlier.sqrt() * beta / (1 - a), (1 - beta).sqrt() * (1 - earlier) / (1 - a)
    return of_x0[:, None] * x0 + of_xt[:, None] * xt, (1 - earlier) / (1 - a) * beta


@mistake(POSTERIOR, killed_by=FIRST, says="The variance at t = 0 is kept away from zero. There the step before is the data, without noise.")
def variance_clamped(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return mean, variance.clamp(min=1e-20)


@mistake(POSTERIOR, killed_by="test_the_step_before_has_gradients", says="The mean has lost its graph.")
def mean_detached(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return mean.detach(), variance


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The coefficients of the mean lack their roots: sqrt(alpha_bar_{t-1}) and sqrt(alpha_t).")
def coefficients_without_roots(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    a, earlier, beta = column(signal(betas), t), column(before(betas), t), column(betas, t)
    return (earlier * beta * x0 + (1 - beta) * (1 - earlier) * xt) / (1 - a), coefficients(t, betas)[2]


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The second part is the log-variance. The variance is asked for.")
def log_variance_of_the_step_before(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return mean, variance.log()


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The mean does not look at xt. It lies between the data and the noisy data.")
def mean_without_the_noisy_data(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    return column(before(betas), t).sqrt() * x0, coefficients(t, betas)[2]


@mistake(
    POSTERIOR,
    killed_by="test_the_step_before_by_bayes_rule",
    says="All rows have the variance of the first one. Each row has a time of its own.",
)
def first_variance_for_all(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return mean, variance[:1].expand(len(t))


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The division by 1 - alpha_bar_t is missing.")
def not_divided_by_the_noise(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    a = 1 - signal(betas)[t]
    mean, variance = step_before(x0, xt, t, betas)
    return a[:, None] * mean, a * variance


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The variance lacks its factor beta_t.")
def variance_without_beta(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return mean, variance / betas[t]


def _with_coefficients(x0: Tensor, xt: Tensor, of_x0: Tensor, of_xt: Tensor, variance: Tensor) -> Pair:
    return of_x0[:, None] * x0 + of_xt[:, None] * xt, variance


@mistake(
    POSTERIOR,
    killed_by=POST_BY_HAND,
    says="The coefficient of x0 has alpha_bar_t under its root. It is sqrt(alpha_bar_{t-1}), of one step fewer.",
)
def alpha_bar_at_x0(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    _, of_xt, variance = coefficients(t, betas)
    a = signal(betas)[t]
    return _with_coefficients(x0, xt, a.sqrt() * betas[t] / (1 - a), of_xt, variance)


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The coefficient of x0 has alpha_t under its root. It is sqrt(alpha_bar_{t-1}).")
def alpha_at_x0(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    _, of_xt, variance = coefficients(t, betas)
    return _with_coefficients(x0, xt, (1 - betas[t]).sqrt() * betas[t] / (1 - signal(betas)[t]), of_xt, variance)


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The coefficient of x0 lacks its root sqrt(alpha_bar_{t-1}).")
def no_signal_at_x0(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    _, of_xt, variance = coefficients(t, betas)
    return _with_coefficients(x0, xt, betas[t] / (1 - signal(betas)[t]), of_xt, variance)


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The root is missing in the coefficient of xt: sqrt(alpha_t), not alpha_t.")
def root_missing_at_xt(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    of_x0, of_xt, variance = coefficients(t, betas)
    return _with_coefficients(x0, xt, of_x0, (1 - betas[t]).sqrt() * of_xt, variance)


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The coefficient of xt has 1 - alpha_bar_t above the line. It is 1 - alpha_bar_{t-1}.")
def noise_not_shifted_at_xt(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    of_x0, _, variance = coefficients(t, betas)
    return _with_coefficients(x0, xt, of_x0, (1 - betas[t]).sqrt(), variance)


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The coefficient of xt lacks its root sqrt(alpha_t).")
def no_alpha_at_xt(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    of_x0, of_xt, variance = coefficients(t, betas)
    return _with_coefficients(x0, xt, of_x0, of_xt / (1 - betas[t]).sqrt(), variance)


@mistake(
    POSTERIOR,
    killed_by=POST_BY_HAND,
    says="The fraction of the variance is upside down: it is (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), below one.",
)
def variance_upside_down(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, _ = step_before(x0, xt, t, betas)
    return mean, (1 - signal(betas)[t]) / (1 - before(betas)[t]) * betas[t]


@mistake(
    POSTERIOR,
    killed_by=POST_BY_HAND,
    says="The variance is 1 - alpha_bar_t, of all steps. That of one step back is beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).",
)
def variance_of_all_steps(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    return step_before(x0, xt, t, betas)[0], 1 - signal(betas)[t]


@mistake(POSTERIOR, killed_by=POST_BY_HAND, says="The mean is divided by sqrt(1 - alpha_bar_t). It is divided by 1 - alpha_bar_t itself.")
def divided_by_the_root(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    mean, variance = step_before(x0, xt, t, betas)
    return (1 - signal(betas)[t]).sqrt()[:, None] * mean, variance


@mistake(POSTERIOR, killed_by=FIRST, says="Before the first step alpha_bar is 1. You take alpha_bar_0 there, after the first step.")
def first_value_before_the_first_step(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    a, earlier, beta = signal(betas)[t], signal(betas)[(t - 1).clamp(min=0)], betas[t]
    of_x0, of_xt = earlier.sqrt() * beta / (1 - a), (1 - beta).sqrt() * (1 - earlier) / (1 - a)
    return of_x0[:, None] * x0 + of_xt[:, None] * xt, (1 - earlier) / (1 - a) * beta


@variant(POSTERIOR)
def posterior_with_padded_signal(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    a = torch.nn.functional.pad(signal(betas), (1, 0), value=1.0)
    now, earlier, beta = a[t + 1].unsqueeze(1), a[t].unsqueeze(1), betas[t].unsqueeze(1)
    mean = (earlier.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - earlier) * xt) / (1 - now)
    return mean, (beta * (1 - earlier) / (1 - now)).squeeze(1)


@variant(POSTERIOR)
def posterior_with_where(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    a = signal(betas)
    earlier = torch.where(t > 0, a[(t - 1).clamp(min=0)], torch.ones_like(betas[t]))
    left = 1 - a[t]
    mean = (earlier.sqrt() * betas[t] / left)[:, None] * x0 + ((1 - betas[t]).sqrt() * (1 - earlier) / left)[:, None] * xt
    return mean, betas[t] * (1 - earlier) / left


@variant(POSTERIOR)
def posterior_from_the_guess_of_the_noise(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    of_x0, of_xt, variance = coefficients(t, betas)
    return torch.einsum("n,nm->nm", of_x0, x0) + torch.einsum("n,nm->nm", of_xt, xt), variance


@variant(POSTERIOR)
def posterior_with_the_schedule_anew_for_each_row(x0: Tensor, xt: Tensor, t: Tensor, betas: Tensor) -> Pair:
    means, variances = [], []
    for row, later, s in zip(x0, xt, t.tolist(), strict=True):
        now, earlier = bar_by_a_loop(betas)[s], bar_by_a_loop(betas)[s - 1] if s > 0 else betas.new_ones(())
        means.append((earlier.sqrt() * betas[s] * row + (1 - betas[s]).sqrt() * (1 - earlier) * later) / (1 - now))
        variances.append((1 - earlier) / (1 - now) * betas[s])
    return torch.stack(means), torch.stack(variances)


# -- predict_x0 --


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The division by sqrt(alpha_bar) is missing: the data were shrunk, too.")
def not_divided(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return xt - (1 - column(signal(betas), t)).sqrt() * noise


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The noise is added. It is to be taken away.")
def noise_added_again(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt + (1 - a).sqrt() * noise) / a.sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="You divide before you take the noise away: both are divided by sqrt(alpha_bar).")
def noise_not_divided(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return xt / a.sqrt() - (1 - a).sqrt() * noise


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The roots are missing.")
def predicted_without_roots(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - (1 - a) * noise) / a


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="One step is undone. The data lie t + 1 steps back: alpha_bar, not alpha.")
def one_step_undone(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    beta = column(betas, t)
    return (xt - beta.sqrt() * noise) / (1 - beta).sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The guess is clipped to [-1, 1]. Nothing is clipped here.")
def guess_clipped(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return ((xt - (1 - a).sqrt() * noise) / a.sqrt()).clamp(-1, 1)


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="You divide by alpha_bar. The data were shrunk by its root.")
def divided_without_the_root(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - (1 - a).sqrt() * noise) / a


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The noise lacks its root: its factor is sqrt(1 - alpha_bar).")
def noise_taken_without_its_root(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - (1 - a) * noise) / a.sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The time is off by one: x_t has t + 1 steps of noise.")
def one_time_too_early(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(before(betas), t)
    return (xt - (1 - a).sqrt() * noise) / a.sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="This is the mean of one step back. The data are asked for.")
def mean_of_the_step_before(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a, beta = column(signal(betas), t), column(betas, t)
    return (xt - beta / (1 - a).sqrt() * noise) / (1 - beta).sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="All rows have the first row's time. Each row has a time of its own.")
def first_time_of_all(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas)[t[0]]
    return (xt - (1 - a).sqrt() * noise) / a.sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="You multiply by sqrt(alpha_bar). The data were shrunk by it: divide.")
def multiplied_by_the_root(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - (1 - a).sqrt() * noise) * a.sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The two roots are swapped: the noise has sqrt(1 - alpha_bar), the data sqrt(alpha_bar).")
def roots_swapped(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - a.sqrt() * noise) / (1 - a).sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The noise is taken away as it is. Its factor is sqrt(1 - alpha_bar).")
def noise_taken_as_it_is(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (xt - noise) / column(signal(betas), t).sqrt()


@mistake(
    PREDICT,
    killed_by=PREDICT_BY_HAND,
    says="You divide by 10^-3 at least. At the end of a long schedule sqrt(alpha_bar) is far smaller.",
    when=lambda betas: signal(betas)[-1] < 1e-6,
)
def divisor_held_above_a_floor(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - (1 - a).sqrt() * noise) / a.sqrt().clamp(min=1e-3)


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="You divide by sqrt(alpha_t). All steps have shrunk the data, by sqrt(alpha_bar_t).")
def divided_by_one_step(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (xt - (1 - column(signal(betas), t)).sqrt() * noise) / (1 - column(betas, t)).sqrt()


@mistake(PREDICT, killed_by=PREDICT_BY_HAND, says="The factor of the noise is 1 - sqrt(alpha_bar). It is sqrt(1 - alpha_bar).")
def one_minus_the_root_taken(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t).sqrt()
    return (xt - (1 - a) * noise) / a


@mistake(
    PREDICT,
    killed_by=PREDICT_BY_HAND,
    says="The noise has the factor of the data, sqrt(alpha_bar). Its own is sqrt(1 - alpha_bar).",
)
def noise_with_the_factor_of_the_data(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return (xt - a.sqrt() * noise) / a.sqrt()


@mistake(
    PREDICT,
    killed_by=PREDICT_BY_HAND,
    says="The noise of the last step alone is taken away, sqrt(beta_t). That of all steps has sqrt(1 - alpha_bar_t).",
)
def noise_of_one_step_taken(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    return (xt - column(betas, t).sqrt() * noise) / column(signal(betas), t).sqrt()


@variant(PREDICT)
def predict_with_reciprocals(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = column(signal(betas), t)
    return torch.rsqrt(a) * xt - (1 / a - 1).sqrt() * noise


@variant(PREDICT)
def predict_by_gather(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas).gather(0, t).reshape(-1, 1)
    return torch.div(xt - torch.sqrt(1 - a) * noise, torch.sqrt(a))


@variant(PREDICT)
def predict_row_by_row(xt: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    a = signal(betas)
    return torch.stack([(x - (1 - a[s]).sqrt() * e) / a[s].sqrt() for x, s, e in zip(xt, t.tolist(), noise, strict=True)])
