"""Wrong and other right answers about the way back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.families.diffusion.parts import before, coefficients, guess, noisy, randn, signal, step_before
from dgm_ref.slips import FEW, REPEATED, changed_in_place, copy_where, one_of_256

STEP, SAMPLE, DDIM = "diffusion.denoising_step", "diffusion.sample", "diffusion.ddim_step"
S_BY_HAND, S_LAW = "test_a_step_back_known_by_hand", "test_steps_back_have_the_mean_and_the_variance_of_the_posterior"
S_NOISE, S_SOURCE = "test_the_noise_of_a_step_back_known_by_hand", "test_steps_back_draw_their_noise_from_the_generator"
LAW, ONE, SOURCE = (
    "test_samples_have_the_law_that_the_recursion_of_steps_gives", "test_a_sample_of_one_step_is_the_guess_at_pure_noise",
    "test_whole_samples_come_from_the_generator",
)  # fmt: skip
D_BY_HAND, D_AGAIN = "test_deterministic_steps_known_by_hand", "test_deterministic_steps_add_the_predicted_noise_again"

Model = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[Model, Tensor, int, Tensor, torch.Generator], Tensor]


def _times(x: Tensor, t: int) -> Tensor:
    return torch.full((len(x),), t)


def _signal_after(t: int, betas: Tensor) -> Tensor:
    """alpha_bar after step t; 1 before the first one, where t is -1."""
    return signal(betas)[t] if t >= 0 else torch.ones_like(betas[0])


def _parts(model: Model, x: Tensor, t: int, betas: Tensor) -> tuple[Tensor, Tensor]:
    """Mean, and variance as a column."""
    times = _times(x, t)
    mean, variance = step_before(guess(x, times, model(x, times), betas), x, times, betas)
    return mean, variance[:, None]


def _step(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean + variance.sqrt() * randn(x, generator)


@mistake(STEP, killed_by=S_BY_HAND, says="The guess of the data is returned at every time. One step back is asked for.")
def jumps_to_the_data(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return guess(x, _times(x, t), model(x, _times(x, t)), betas)


@mistake(STEP, killed_by=S_BY_HAND, says="The predicted noise is put in place of the data: predict the data from it first.")
def noise_for_the_data(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = step_before(model(x, _times(x, t)), x, _times(x, t), betas)
    return mean + variance.sqrt()[:, None] * randn(x, generator)


@mistake(STEP, killed_by=S_BY_HAND, says="Noise of variance beta_0 is added at t = 0. The last step is the mean itself.")
def noise_at_the_end(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean + (variance if t > 0 else betas[0]).sqrt() * randn(x, generator)


@mistake(STEP, killed_by=S_LAW, says="The noise has the variance beta_t. That of the posterior is smaller.")
def noise_of_variance_beta(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, _ = _parts(model, x, t, betas)
    return mean + (betas[t].sqrt() if t > 0 else 0) * randn(x, generator)


@mistake(STEP, killed_by=S_LAW, says="The noise is scaled by the variance. Scale by its root.")
def noise_by_the_variance(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean + variance * randn(x, generator)


@mistake(STEP, killed_by=S_LAW, says="The noise is missing: only the last step has none.")
def step_without_noise(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _parts(model, x, t, betas)[0]


@mistake(
    STEP,
    killed_by=S_NOISE,
    says="The step from t = 1 has no noise: times count from 0, so only the one from t = 0 has none.",
    when=lambda t: t == 1,
)
def no_noise_from_the_second_time(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _step(model, x, t, betas, generator) if t > 1 else _parts(model, x, t, betas)[0]


@mistake(STEP, killed_by=S_LAW, says="All rows share their noise: draw noise of its own for every row.")
def noise_shared_by_rows(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean + variance.sqrt() * randn(x[:1], generator)


@mistake(STEP, killed_by=S_LAW, says="The model is asked at the time before. It is asked at t.")
def model_asked_at_the_time_before(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _step(lambda y, times: model(y, (times - 1).clamp(min=0)), x, t, betas, generator)


@mistake(STEP, killed_by=S_SOURCE, says="Your noise does not come from the generator that you are given.")
def step_by_the_global_generator(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _step(model, x, t, betas, torch.default_generator)


@mistake(STEP, killed_by=S_SOURCE, says=FEW)
def one_of_256_steps(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _step(model, x, t, betas, one_of_256(generator))


@mistake(STEP, killed_by=S_BY_HAND, says="The predicted noise is added. It is taken away.")
def noise_added_back(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _step(lambda x, t: -model(x, t), x, t, betas, generator)


@mistake(STEP, killed_by=S_BY_HAND, says="The division by sqrt(alpha_t) is missing: one step has shrunk the data, too.")
def not_grown_again(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean * (1 - betas[t]).sqrt() + variance.sqrt() * randn(x, generator)


@mistake(STEP, killed_by=S_BY_HAND, says="You divide by sqrt(alpha_bar_t). One step back divides by sqrt(alpha_t).")
def grown_by_all_steps(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean * (1 - betas[t]).sqrt() / signal(betas)[t].sqrt() + variance.sqrt() * randn(x, generator)


@mistake(
    STEP,
    killed_by=S_BY_HAND,
    says="The coefficient of the predicted noise is beta_t / (1 - alpha_bar_t). It has a root: beta_t / sqrt(1 - alpha_bar_t).",
)
def noise_coefficient_without_its_root(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    a = signal(betas)[t]
    return _step(lambda x, t: model(x, t) / (1 - a).sqrt(), x, t, betas, generator)


@mistake(STEP, killed_by=S_BY_HAND, says="The guess of the data is clipped to [-1, 1]. Nothing is clipped here.")
def guess_clipped_in_a_step(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    times = _times(x, t)
    mean, variance = step_before(guess(x, times, model(x, times), betas).clamp(-1, 1), x, times, betas)
    return mean + variance[:, None].sqrt() * randn(x, generator)


@mistake(STEP, killed_by=S_LAW, says="The noise has the variance 1 - alpha_bar_t. That of the posterior is smaller.")
def noise_of_all_steps(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, _ = _parts(model, x, t, betas)
    return mean if t == 0 else mean + (1 - signal(betas)[t]).sqrt() * randn(x, generator)


@mistake(STEP, killed_by=S_LAW, says="Fresh noise is put on the guess. The step before lies between the guess and x.")
def guess_with_fresh_noise(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    times = _times(x, t)
    data = guess(x, times, model(x, times), betas)
    return data if t == 0 else noisy(data, times - 1, randn(x, generator), betas)


@mistake(STEP, killed_by=S_BY_HAND, says="You multiply by sqrt(alpha_t). One step back divides by it.")
def shrunk_once_more(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean * (1 - betas[t]) + variance.sqrt() * randn(x, generator)


@mistake(
    STEP, killed_by=S_LAW, says="The noise has the variance beta_t, at t = 0, too. That of the posterior is smaller, and nothing at t = 0."
)
def noise_of_variance_beta_at_every_time(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, _ = _parts(model, x, t, betas)
    return mean + betas[t].sqrt() * randn(x, generator)


@mistake(STEP, killed_by=S_LAW, says="The noise is scaled by beta_t. Its variance is that of the posterior: scale by the root.")
def noise_by_beta(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, _ = _parts(model, x, t, betas)
    return mean + (betas[t] if t > 0 else 0) * randn(x, generator)


@mistake(
    STEP,
    killed_by=S_BY_HAND,
    says="Before the first step alpha_bar is 1. Your index -1 takes the last one instead.",
    when=lambda t, betas: t == 0 and len(betas) > 1,  # of a schedule of one step the last one is the first
)
def step_with_index_minus_one(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, _ = _parts(model, x, t, betas)
    a = signal(betas)
    return mean + ((1 - a[t - 1]) / (1 - a[t]) * betas[t]).sqrt() * randn(x, generator)


@mistake(
    STEP,
    killed_by=S_BY_HAND,
    says="Before the first step alpha_bar is 1. Your index -1 takes the last one instead.",
    when=lambda t, betas: t == 0 and len(betas) > 1,
)
def mean_with_index_minus_one(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    times, a, beta = _times(x, t), signal(betas), betas[t]
    data = guess(x, times, model(x, times), betas)
    mean = (a[t - 1].sqrt() * beta * data + (1 - beta).sqrt() * (1 - a[t - 1]) * x) / (1 - a[t])
    return mean if t == 0 else mean + (beta * (1 - a[t - 1]) / (1 - a[t])).sqrt() * randn(x, generator)


@mistake(
    STEP,
    killed_by=S_BY_HAND,
    says="The predicted noise lacks its factor beta_t / sqrt(1 - alpha_bar_t): this takes all of it away at once.",
)
def all_the_noise_taken_away(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    _, variance = _parts(model, x, t, betas)
    return (x - model(x, _times(x, t))) / (1 - betas[t]).sqrt() + variance.sqrt() * randn(x, generator)


@mistake(
    STEP,
    killed_by=S_BY_HAND,
    says="The predicted noise has the factor sqrt(beta_t). One step back takes beta_t / sqrt(1 - alpha_bar_t) of it.",
)
def noise_of_one_step_taken_away(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    _, variance = _parts(model, x, t, betas)
    return (x - betas[t].sqrt() * model(x, _times(x, t))) / (1 - betas[t]).sqrt() + variance.sqrt() * randn(x, generator)


@mistake(STEP, killed_by=S_BY_HAND, says="The predicted noise has the factor beta_t. It is beta_t / sqrt(1 - alpha_bar_t).")
def noise_coefficient_beta(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    a = signal(betas)[t]
    return _step(lambda x, t: model(x, t) * (1 - a).sqrt(), x, t, betas, generator)


@mistake(
    STEP,
    killed_by=S_BY_HAND,
    says="The predicted noise has the factor sqrt(1 - alpha_bar_t), of all steps. One step takes beta_t / sqrt(1 - alpha_bar_t) of it.",
)
def noise_of_all_steps_taken_away(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    _, variance = _parts(model, x, t, betas)
    mean = x - (1 - signal(betas)[t]).sqrt() * model(x, _times(x, t))
    return mean / (1 - betas[t]).sqrt() + variance.sqrt() * randn(x, generator)


@variant(STEP)
def step_as_in_algorithm_two(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    a, earlier, beta = signal(betas)[t], before(betas)[t], betas[t]
    mean = (x - beta / (1 - a).sqrt() * model(x, torch.full((x.shape[0],), t, dtype=torch.int64))) / (1 - beta).sqrt()
    if t == 0:
        return mean
    return mean + (beta * (1 - earlier) / (1 - a)).sqrt() * randn(x, generator)


@variant(STEP)
def step_by_torch_normal(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    with torch.no_grad():
        mean, variance = _parts(model, x, t, betas)
        return torch.normal(mean, variance.sqrt().expand_as(mean), generator=generator)


@variant(STEP)
def step_with_scalar_coefficients(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    times = torch.ones(len(x), dtype=torch.int64) * t
    of_x0, of_xt, variance = coefficients(torch.tensor([t]), betas)
    return of_x0 * guess(x, times, model(x, times), betas) + of_xt * x + variance.sqrt() * randn(x, generator)


@mistake(STEP, killed_by="test_a_step_back_with_one_row_one_dimension_and_one_level", says=REPEATED)
def single_step_back_repeated(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    generator = copy_where(len(x) == 1, generator)
    return _step(model, x, t, betas, generator)


@mistake(
    STEP,
    killed_by="test_a_step_back_with_one_row_one_dimension_and_one_level",
    says="In a long schedule the step from t = 1 has no noise. Only the one from t = 0 has none.",
    when=lambda t, betas: t == 1 and len(betas) > 8,
)
def last_step_but_one_without_noise(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean if t <= (len(betas) > 8) else mean + variance.sqrt() * randn(x, generator)


@mistake(
    STEP,
    killed_by="test_a_step_back_with_one_row_one_dimension_and_one_level",
    says="The variance has a floor. That of the posterior may be tiny.",
)
def variance_with_a_floor(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    mean, variance = _parts(model, x, t, betas)
    return mean if t == 0 else mean + variance.clamp(min=1e-4).sqrt() * randn(x, generator)


@mistake(STEP, killed_by="test_a_step_back_with_one_row_one_dimension_and_one_level", says=changed_in_place("the model", "its argument"))
def noise_scaled_in_place(model: Model, x: Tensor, t: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    times, a = _times(x, t), signal(betas)[t]
    noise = model(x, times).detach()
    noise *= (1 - a).sqrt()
    mean, variance = step_before((x - noise) / a.sqrt(), x, times, betas)
    return mean if t == 0 else mean + variance[:, None].sqrt() * randn(x, generator)


# -- sample --


def _run(model: Model, x: Tensor, times: list[int], betas: Tensor, generator: torch.Generator) -> Tensor:
    for t in times:
        x = _step(model, x, t, betas, generator)
    return x


def _start(n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(n, m, generator=generator, dtype=betas.dtype)


@mistake(SAMPLE, killed_by=ONE, says="The last step, t = 0, is left out.")
def without_the_last_step(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _run(model, _start(n, m, betas, generator), list(range(len(betas) - 1, 0, -1)), betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The first step, t = T - 1, is left out.")
def without_the_first_step(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    times = list(reversed(range(max(len(betas) - 1, 1))))
    return _run(model, _start(n, m, betas, generator), times, betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The times run upwards. Sampling goes from T - 1 down to 0.")
def upwards_in_time(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _run(model, _start(n, m, betas, generator), list(range(len(betas))), betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The start is zero. It is standard normal noise.")
def starts_at_zero(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    start = 0 * _start(n, m, betas, generator)
    return _run(model, start, list(reversed(range(len(betas)))), betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The start is uniform. It is standard normal noise.")
def starts_uniformly(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    start = torch.rand(n, m, generator=generator, dtype=betas.dtype)
    return _run(model, start, list(reversed(range(len(betas)))), betas, generator)


@mistake(SAMPLE, killed_by=ONE, says="The start is uniform. It is standard normal noise.")
def starts_uniformly_with_variance_one(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    start = (torch.rand(n, m, generator=generator, dtype=betas.dtype) - 0.5) * 12**0.5
    return _run(model, start, list(reversed(range(len(betas)))), betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The step from t = 1 has no noise: times count from 0, so only the one from t = 0 has none.")
def without_noise_in_the_last_two_steps(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _start(n, m, betas, generator)
    for t in reversed(range(len(betas))):
        x = no_noise_from_the_second_time(model, x, t, betas, generator)
    return x


@mistake(
    SAMPLE,
    killed_by="test_samples_have_the_dtype_of_the_schedule",
    says="The samples are float32 whatever the schedule is: they have its dtype.",
)
def samples_in_float32(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _start(n, m, betas.float(), generator)
    return _run(model, x, list(reversed(range(len(betas)))), betas.float(), generator)


@mistake(SAMPLE, killed_by=LAW, says="Noise is drawn once and used in every step.")
def one_noise_for_all_steps(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _start(n, m, betas, generator)
    noise = randn(x, generator)
    for t in reversed(range(len(betas))):
        mean, variance = _parts(model, x, t, betas)
        x = mean + variance.sqrt() * noise
    return x


@mistake(SAMPLE, killed_by=LAW, says="The steps have no noise: this is not ancestral sampling.")
def sample_without_noise(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _start(n, m, betas, generator)
    for t in reversed(range(len(betas))):
        x = _parts(model, x, t, betas)[0]
    return x


@mistake(SAMPLE, killed_by=SOURCE, says="Your noise does not come from the generator that you are given.")
def sample_by_the_global_generator(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _run(model, _start(n, m, betas, generator), list(reversed(range(len(betas)))), betas, torch.default_generator)


@mistake(SAMPLE, killed_by=SOURCE, says="Your start does not come from the generator that you are given. The noise of your steps does.")
def start_by_the_global_generator(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    start = _start(n, m, betas, torch.default_generator)
    return _run(model, start, list(reversed(range(len(betas)))), betas, generator)


@mistake(SAMPLE, killed_by=SOURCE, says=FEW)
def one_of_256_samples(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return sample_without_a_graph(model, n, m, betas, one_of_256(generator))


@mistake(SAMPLE, killed_by=ONE, says="All rows start at the same noise: draw noise of its own for every row.")
def one_start_for_all(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _run(model, _start(1, m, betas, generator).repeat(n, 1), [*reversed(range(len(betas)))], betas, generator)


@mistake(SAMPLE, killed_by=ONE, says="The samples are clipped to [-1, 1]. Nothing is clipped here.")
def samples_clipped(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _run(model, _start(n, m, betas, generator), [*reversed(range(len(betas)))], betas, generator).clamp(-1, 1)


def _walk(step: Step, model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _start(n, m, betas, generator)
    for t in reversed(range(len(betas))):
        x = step(model, x, t, betas, generator)
    return x


@mistake(SAMPLE, killed_by=LAW, says="The noise of the steps has the variance beta_t. That of the posterior is smaller.")
def sample_with_variance_beta(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(noise_of_variance_beta, model, n, m, betas, generator)


@mistake(
    SAMPLE,
    killed_by=ONE,
    says="The noise of the steps has the variance beta_t, in the last step, too. That of the posterior is smaller, and nothing at t = 0.",
)
def sample_with_variance_beta_to_the_end(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(noise_of_variance_beta_at_every_time, model, n, m, betas, generator)


@mistake(SAMPLE, killed_by=ONE, says="Noise is added in the last step, too. The step from t = 0 is the mean itself.")
def sample_with_noise_at_the_end(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(noise_at_the_end, model, n, m, betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The noise of the steps is scaled by the variance. Scale by its root.")
def sample_noise_by_the_variance(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(noise_by_the_variance, model, n, m, betas, generator)


@mistake(SAMPLE, killed_by=ONE, says="The predicted noise is put in place of the data: predict the data from it first.")
def sample_with_noise_for_the_data(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(noise_for_the_data, model, n, m, betas, generator)


@mistake(SAMPLE, killed_by=ONE, says="The division by sqrt(alpha_t) is missing in the steps: each has shrunk the data, too.")
def sample_not_grown_again(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(not_grown_again, model, n, m, betas, generator)


@mistake(SAMPLE, killed_by=ONE, says="The guess of the data is clipped to [-1, 1] in the steps. Nothing is clipped here.")
def sample_with_clipped_guesses(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(guess_clipped_in_a_step, model, n, m, betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The start is zero. It is standard normal noise.")
def starts_at_zero_without_a_draw(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _run(model, betas.new_zeros(n, m), list(reversed(range(len(betas)))), betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="Every step goes all the way to the guess of the data. One step back is asked for.")
def guess_after_guess(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    return _walk(jumps_to_the_data, model, n, m, betas, generator)


@mistake(SAMPLE, killed_by=ONE, says="The first step, t = T - 1, is left out.")
def starts_one_step_late(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    times = list(reversed(range(len(betas) - 1)))  # none at all in a schedule of one step
    return _run(model, _start(n, m, betas, generator), times, betas, generator)


@mistake(SAMPLE, killed_by=LAW, says="The noise of the steps has the variance beta_t. That of the posterior is smaller.")
def variance_beta_drawn_before_the_end(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _start(n, m, betas, generator)
    for t in reversed(range(len(betas))):
        x, _ = _parts(model, x, t, betas)
        x = x + betas[t].sqrt() * randn(x, generator) if t > 0 else x
    return x


@mistake(SAMPLE, killed_by=LAW, says="These are the deterministic steps of DDIM. Ancestral steps have noise, all but the last.")
def sample_by_deterministic_steps(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _start(n, m, betas, generator)
    for t in reversed(range(len(betas))):
        noise, earlier = model(x, _times(x, t)), _signal_after(t - 1, betas)
        x = earlier.sqrt() * guess(x, _times(x, t), noise, betas) + (1 - earlier).sqrt() * noise
    return x


@mistake(SAMPLE, killed_by=LAW, says="One sample is drawn and repeated. Every row is a sample of its own.")
def one_sample_repeated(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = _run(model, _start(1, m, betas, generator), list(reversed(range(len(betas)))), betas, generator)
    return x.repeat(n, 1)


@variant(SAMPLE)
def sample_without_a_graph(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    with torch.no_grad():
        return _run(model, _start(n, m, betas, generator), list(range(len(betas)))[::-1], betas, generator)


@variant(SAMPLE)
def sample_by_algorithm_two(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    x = torch.empty(n, m, dtype=betas.dtype).normal_(generator=generator)
    for t in range(len(betas) - 1, -1, -1):
        x = step_as_in_algorithm_two(model, x, t, betas, generator)
    return x


@variant(SAMPLE)
def sample_with_all_noise_first(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(len(betas) + 1, n, m, generator=generator, dtype=betas.dtype)
    x = noise[-1]
    for t in reversed(range(len(betas))):
        mean, variance = _parts(model, x, t, betas)
        x = torch.addcmul(mean, variance.sqrt(), noise[t])
    return x


@mistake(SAMPLE, killed_by="test_a_sample_of_one_step_is_the_guess_at_pure_noise", says=REPEATED)
def single_sample_repeated(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    generator = copy_where(n == 1, generator)
    return _walk(_step, model, n, m, betas, generator)


@mistake(
    SAMPLE,
    killed_by=ONE,
    says="Where the first beta is small the step from t = 0 is left out. It is small, and has to be taken.",
    when=lambda betas: len(betas) > 1 and bool(betas[0] < 1e-3),
)
def small_last_step_left_out(model: Model, n: int, m: int, betas: Tensor, generator: torch.Generator) -> Tensor:
    last = 1 if len(betas) > 1 and betas[0] < 1e-3 else 0
    return _run(model, _start(n, m, betas, generator), list(range(len(betas) - 1, last - 1, -1)), betas, generator)


# -- ddim_step --


@mistake(DDIM, killed_by=D_BY_HAND, says="The predicted data are returned. They are made noisy again, for the earlier time.")
def always_the_guess(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    return guess(x, _times(x, t), model(x, _times(x, t)), betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="The index -1 takes the last noise level. It means the data, without noise.")
def minus_one_is_the_last(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise = model(x, _times(x, t))
    return noisy(guess(x, _times(x, t), noise, betas), _times(x, previous), noise, betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="The noise is taken at the level of t again. It is that of the earlier time.")
def noise_level_kept(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    a, noise = signal(betas), model(x, _times(x, t))
    earlier = _signal_after(previous, betas)
    return earlier.sqrt() * guess(x, _times(x, t), noise, betas) + (1 - a[t]).sqrt() * noise


@mistake(DDIM, killed_by=D_BY_HAND, says="The mean of the ancestral step is returned. DDIM adds the predicted noise again.")
def mean_of_the_ancestral_step(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    return _parts(model, x, t, betas)[0]


@mistake(DDIM, killed_by=D_BY_HAND, says="x takes the place of the predicted noise.")
def x_for_the_noise(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    found = guess(x, _times(x, t), model(x, _times(x, t)), betas)
    return found if previous < 0 else noisy(found, _times(x, previous), x, betas)


@mistake(DDIM, killed_by=D_AGAIN, says="You always go one step back. The step goes to `previous`, however far that is.")
def one_step_back_only(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise = model(x, _times(x, t))
    found = guess(x, _times(x, t), noise, betas)
    return noisy(found, _times(x, t - 1), noise, betas) if previous >= 0 else found


@mistake(DDIM, killed_by=D_BY_HAND, says="The index -1 takes the first noise level. It means the data, without noise.")
def minus_one_is_the_first(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times, back = _times(x, t), _times(x, max(previous, 0))
    return noisy(guess(x, times, model(x, times), betas), back, model(x, times), betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="Fresh noise is drawn. The predicted noise is added again.")
def noise_of_chance(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times = _times(x, t)
    data = guess(x, times, model(x, times), betas)
    return data if previous < 0 else noisy(data, _times(x, previous), torch.randn_like(x), betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="The predicted noise is not added again.")
def guess_shrunk_without_noise(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times = _times(x, t)
    data = guess(x, times, model(x, times), betas)
    return data if previous < 0 else noisy(data, _times(x, previous), 0 * x, betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="The noise lacks its root: its factor is sqrt(1 - alpha_bar).")
def direction_without_its_root(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times = _times(x, t)
    noise = model(x, times)
    data, a = guess(x, times, noise, betas), signal(betas)[previous]
    return data if previous < 0 else a.sqrt() * data + (1 - a) * noise


@mistake(DDIM, killed_by=D_BY_HAND, says="The predicted data are clipped to [-1, 1]. Nothing is clipped here.")
def guess_clipped_in_a_jump(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times = _times(x, t)
    noise = model(x, times)
    data = guess(x, times, noise, betas).clamp(-1, 1)
    return data if previous < 0 else noisy(data, _times(x, previous), noise, betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="You take the single factors alpha_t. A jump over all steps has their products, alpha_bar.")
def single_factors_in_a_jump(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times, alpha = _times(x, t), 1 - betas
    noise = model(x, times)
    data = (x - betas[t].sqrt() * noise) / alpha[t].sqrt()
    return data if previous < 0 else alpha[previous].sqrt() * data + betas[previous].sqrt() * noise


@mistake(DDIM, killed_by=D_AGAIN, says="The model is asked at the earlier time. x has the noise of time t.")
def model_at_the_earlier_time(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times, earlier = _times(x, t), _times(x, max(previous, 0))
    noise = model(x, earlier)
    data = guess(x, times, noise, betas)
    return data if previous < 0 else noisy(data, earlier, noise, betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="The predicted noise is subtracted. It is added again.")
def noise_turned_round(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times = _times(x, t)
    noise = model(x, times)
    data = guess(x, times, noise, betas)
    return data if previous < 0 else noisy(data, _times(x, previous), -noise, betas)


@mistake(
    DDIM,
    killed_by=D_BY_HAND,
    says="You hold alpha_bar to 10^-4 at least. At the end of a long schedule it is far smaller.",
    when=lambda betas: signal(betas)[-1] < 1e-4,
)
def guess_by_a_floored_alpha_bar(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    times = _times(x, t)
    noise, a = model(x, times), signal(betas)[t].clamp(min=1e-4)
    x0 = (x - (1 - a).sqrt() * noise) / a.sqrt()
    return x0 if previous < 0 else noisy(x0, _times(x, previous), noise, betas)


@mistake(DDIM, killed_by=D_BY_HAND, says="You always go to the level before t. The step goes to `previous`, however far that is.")
def always_to_the_level_before(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise = model(x, _times(x, t))
    a = before(betas)[t]
    return a.sqrt() * guess(x, _times(x, t), noise, betas) + (1 - a).sqrt() * noise


@mistake(DDIM, killed_by=D_BY_HAND, says="The data keep the factor of time t. At the earlier time it is sqrt(alpha_bar) of that time.")
def signal_level_kept(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    a, noise = signal(betas), model(x, _times(x, t))
    earlier = _signal_after(previous, betas)
    return a[t].sqrt() * guess(x, _times(x, t), noise, betas) + (1 - earlier).sqrt() * noise


@mistake(
    DDIM,
    killed_by=D_BY_HAND,
    says="The predicted data are not shrunk again: their factor at the earlier time is sqrt(alpha_bar) of that time.",
)
def guess_not_shrunk(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise = model(x, _times(x, t))
    earlier = _signal_after(previous, betas)
    return guess(x, _times(x, t), noise, betas) + (1 - earlier).sqrt() * noise


@mistake(DDIM, killed_by=D_BY_HAND, says="The roots are missing at the earlier time: alpha_bar is a share of the variance.")
def jump_without_roots(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise = model(x, _times(x, t))
    earlier = _signal_after(previous, betas)
    return earlier * guess(x, _times(x, t), noise, betas) + (1 - earlier) * noise


@mistake(DDIM, killed_by=D_BY_HAND, says="The data are guessed with the level before t. x has t + 1 steps of noise.")
def guess_from_the_level_before(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise, a = model(x, _times(x, t)), before(betas)[t]
    earlier = _signal_after(previous, betas)
    return earlier.sqrt() * (x - (1 - a).sqrt() * noise) / a.sqrt() + (1 - earlier).sqrt() * noise


@variant(DDIM)
def ddim_with_padded_signal(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    a = torch.cat([torch.ones(1, dtype=betas.dtype), torch.cumprod(1 - betas, 0)])
    noise = model(x, torch.full((x.size(0),), t))
    found = (x - torch.sqrt(1 - a[t + 1]) * noise) / torch.sqrt(a[t + 1])
    return torch.sqrt(a[previous + 1]) * found + torch.sqrt(1 - a[previous + 1]) * noise


@variant(DDIM)
def ddim_along_the_noise(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    a = signal(betas)
    now, earlier = a[t], _signal_after(previous, betas)
    ratio = (earlier / now).sqrt()
    return ratio * x + ((1 - earlier).sqrt() - ratio * (1 - now).sqrt()) * model(x, _times(x, t))


@variant(DDIM)
def ddim_row_by_row(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    return torch.cat([ddim_with_padded_signal(model, row[None], t, previous, betas) for row in x])


@mistake(
    DDIM,
    killed_by="test_a_deterministic_step_of_one_row_and_of_many",
    says="Where the first beta is small its level, previous = 0, is taken for the data. There is a little noise in it.",
    when=lambda previous, betas: previous == 0 and bool(betas[0] < 0.01),
)
def small_first_level_taken_for_the_data(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise = model(x, _times(x, t))
    found = guess(x, _times(x, t), noise, betas)
    if previous < 0 or (previous == 0 and betas[0] < 0.01):
        return found
    return noisy(found, _times(x, previous), noise, betas)


@mistake(
    DDIM,
    killed_by="test_a_deterministic_step_of_one_row_and_of_many",
    says="In a far jump the model is asked again, at the earlier time. The noise that is added is the one predicted at t.",
    when=lambda t, previous: t - previous > 5 and previous >= 0,
)
def asked_again_in_a_far_jump(model: Model, x: Tensor, t: int, previous: int, betas: Tensor) -> Tensor:
    noise = model(x, _times(x, t))
    found = guess(x, _times(x, t), noise, betas)
    if previous < 0:
        return found
    return noisy(found, _times(x, previous), model(x, _times(x, previous)) if t - previous > 5 else noise, betas)
