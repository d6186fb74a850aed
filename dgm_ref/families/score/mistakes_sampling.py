"""Wrong and other right answers about noise levels, annealed Langevin dynamics and the variance-preserving SDE."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, near_one_another, variant
from dgm_ref.slips import FEW, REPEATED, changed_in_place, copy_where, first_where_near, graph_for_inputs_alone, one_of_256, plain_data

LEVELS, ANNEAL, MARGINAL = "score.noise_levels", "score.annealed_langevin", "score.vp_marginal"
BACK, FLOW = "score.reverse_sde_step", "score.probability_flow_drift"
L_BY_HAND, L_ONE = "test_geometric_sequences_known_by_hand", "test_a_single_level_is_the_largest"
A_STEEP, A_LAW = "test_where_the_slope_is_steep_annealing_hardly_shakes", "test_annealed_samples_follow_their_exact_law"
A_SOURCE = "test_annealed_samples_come_from_the_generator"
M_BY_HAND, M_TINY = "test_marginals_known_by_hand", "test_the_deviation_keeps_its_digits_at_tiny_times"
B_STEEP, B_LAW = "test_where_the_slope_is_steep_the_way_back_hardly_shakes", "test_a_step_back_has_the_law_of_euler_and_maruyama"
B_SOURCE, F_BY_HAND = "test_steps_back_draw_from_the_generator", "test_drifts_known_by_hand"

Score = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]


@mistake(LEVELS, killed_by=L_BY_HAND, says="These levels are evenly spaced. Their ratio is to be fixed, not their difference.")
def evenly_spaced(largest: float, smallest: float, count: int) -> Tensor:
    return torch.linspace(largest, smallest, count)


@mistake(LEVELS, killed_by=L_BY_HAND, says="The levels rise. They go from the largest down to the smallest.", when=lambda count: count > 1)
def rising_levels(largest: float, smallest: float, count: int) -> Tensor:
    return torch.linspace(math.log(smallest), math.log(largest), count).exp()


@mistake(
    LEVELS,
    killed_by="test_noise_levels_have_the_default_dtype",
    says="A single level becomes a tensor of the type of the number: int64 for a whole one. The levels have the default float dtype.",
    when=lambda count: count == 1,
)
def a_single_level_as_it_is(largest: float, smallest: float, count: int) -> Tensor:
    if count == 1:
        return torch.tensor([largest])
    return torch.linspace(math.log(largest), math.log(smallest), count, dtype=torch.float64).exp().to(torch.get_default_dtype())


@mistake(LEVELS, killed_by=L_BY_HAND, says="The smallest level is left out: both ends are included.")
def without_the_smallest(largest: float, smallest: float, count: int) -> Tensor:
    return torch.linspace(math.log(largest), math.log(smallest), count + 1).exp()[:-1]


@mistake(LEVELS, killed_by=L_BY_HAND, says="torch.logspace takes exponents: hand it the logarithms of the ends, to the base 10.")
def logspace_of_the_ends(largest: float, smallest: float, count: int) -> Tensor:
    return torch.logspace(largest, smallest, count)


@mistake(LEVELS, killed_by=L_BY_HAND, says="These are the logarithms of the levels.")
def log_levels(largest: float, smallest: float, count: int) -> Tensor:
    return torch.linspace(math.log(largest), math.log(smallest), count)


@mistake(LEVELS, killed_by=L_ONE, says="With one level the ratio's exponent is 0 / 0. A single level is the largest.")
def nan_for_one_level(largest: float, smallest: float, count: int) -> Tensor:
    power = torch.arange(count) / torch.tensor(count - 1.0)
    return largest * (smallest / largest) ** power


@mistake(LEVELS, killed_by="test_noise_levels_have_the_default_dtype", says="The levels are float64. They have the default float dtype.")
def levels_in_float64(largest: float, smallest: float, count: int) -> Tensor:
    return torch.linspace(math.log(largest), math.log(smallest), count, dtype=torch.float64).exp()


@mistake(LEVELS, killed_by=L_BY_HAND, says="The largest level is left out: both ends are included.")
def one_ratio_too_many(largest: float, smallest: float, count: int) -> Tensor:
    ratio = (smallest / largest) ** (1 / count)
    return torch.tensor([largest * ratio ** (i + 1) for i in range(count)])


@mistake(LEVELS, killed_by=L_BY_HAND, says="These are the squares of the levels.")
def squared_levels(largest: float, smallest: float, count: int) -> Tensor:
    return torch.tensor([(largest * (smallest / largest) ** (i / max(count - 1, 1))) ** 2 for i in range(count)])


@mistake(LEVELS, killed_by=L_ONE, says="A single level is the largest, not the smallest.")
def a_single_level_as_the_smallest(largest: float, smallest: float, count: int) -> Tensor:
    return torch.tensor([smallest * (largest / smallest) ** (i / max(count - 1, 1)) for i in reversed(range(count))])


@mistake(
    LEVELS,
    killed_by=L_BY_HAND,
    says="You take the ratio of whole numbers with //, which is 0. Divide with /.",
    when=lambda largest, smallest: isinstance(largest, int) and isinstance(smallest, int),
)
def ratio_of_whole_numbers(largest: float, smallest: float, count: int) -> Tensor:
    ratio = smallest // largest if isinstance(largest, int) and isinstance(smallest, int) else smallest / largest
    return torch.tensor([float(largest) * ratio ** (i / max(count - 1, 1)) for i in range(count)])


@mistake(
    LEVELS,
    killed_by="test_noise_levels_have_the_default_dtype",
    says="The levels are computed in float32 and then made float64, which has twice as many digits.",
)
def levels_by_way_of_float32(largest: float, smallest: float, count: int) -> Tensor:
    ends = math.log(largest), math.log(smallest)
    return torch.linspace(*ends, count, dtype=torch.float32).exp().to(torch.get_default_dtype())


@mistake(
    LEVELS,
    killed_by=L_BY_HAND,
    says="You divide by the logarithm of the ratio, which is 0 where both ends are equal.",
    when=lambda largest, smallest: largest == smallest,
)
def undefined_for_equal_ends(largest: float, smallest: float, count: int) -> Tensor:
    L = torch.tensor(smallest / largest).log()
    return largest * (torch.linspace(0, 1, count) * L * (L / L)).exp()


@mistake(LEVELS, killed_by=L_BY_HAND, says="torch.logspace takes exponents to the base 10. You hand it natural logarithms.")
def logspace_of_natural_logarithms(largest: float, smallest: float, count: int) -> Tensor:
    return torch.logspace(math.log(largest), math.log(smallest), count)


@mistake(LEVELS, killed_by=L_BY_HAND, says="The first level is one step too low: the sequence starts at the largest.")
def levels_one_step_down(largest: float, smallest: float, count: int) -> Tensor:
    ratio = (smallest / largest) ** (1 / max(count - 1, 1))
    return torch.tensor([largest * ratio ** (i + 1) for i in range(count)])


@mistake(LEVELS, killed_by=L_BY_HAND, says="There is one level more than asked for.")
def one_level_too_many(largest: float, smallest: float, count: int) -> Tensor:
    return torch.linspace(math.log(largest), math.log(smallest), count + 1).exp()


@variant(LEVELS)
def levels_by_logspace(largest: float, smallest: float, count: int) -> Tensor:
    return torch.logspace(math.log10(largest), math.log10(smallest), count)


@variant(LEVELS)
def levels_by_their_ratio(largest: float, smallest: float, count: int) -> Tensor:
    ratio = (smallest / largest) ** (1 / max(count - 1, 1))
    return torch.tensor([largest * ratio**i for i in range(count)])


@variant(LEVELS)
def levels_by_log_and_exp(largest: float, smallest: float, count: int) -> Tensor:
    ends = torch.tensor([largest, smallest]).log()
    return torch.exp(torch.linspace(ends[0].item(), ends[1].item(), count))


# -- annealed_langevin --


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype)


def _annealed(
    score: Score, x: Tensor, sigmas: Tensor, steps: int, alphas: Tensor, generator: torch.Generator,
    drift: float = 0.5, noise: Callable[[Tensor], Tensor] = torch.sqrt,
) -> Tensor:  # fmt: skip
    for sigma, alpha in zip(sigmas, alphas, strict=True):
        for _ in range(steps):
            x = x + drift * alpha * score(x, sigma.expand(len(x))) + noise(alpha) * _noise(x, generator)
    return x


@mistake(ANNEAL, killed_by=A_STEEP, says="All levels have the same step. It shrinks with the noise: step sigma_i^2 / sigma_L^2.")
def same_step_at_all_levels(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step + 0 * sigmas, generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="The step is scaled by sigma_i / sigma_L. It is scaled by the square of that.")
def ratio_not_squared(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * sigmas / sigmas[-1], generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="The steps are relative to the first level. They are relative to the last.")
def relative_to_the_first(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[0]) ** 2, generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="The drift is the whole alpha. It is half of it.")
def whole_alpha(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, generator, drift=1.0)


@mistake(ANNEAL, killed_by=A_STEEP, says="One step is taken at each level. `steps` are asked for.")
def one_step_a_level(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, 1, step * (sigmas / sigmas[-1]) ** 2, generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="The last level is left out.")
def without_the_last_level(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    alphas = step * (sigmas / sigmas[-1]) ** 2
    return _annealed(score, x, sigmas[:-1], steps, alphas[:-1], generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="A denoising step is added at the end. It is not asked for here.")
def denoised_at_the_end(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    x = _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, generator)
    return x + sigmas[-1] ** 2 * score(x, sigmas[-1].expand(len(x)))


@mistake(ANNEAL, killed_by=A_STEEP, says="You sort the levels. They are in the order of the list.")
def levels_sorted(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    order = sigmas.argsort(descending=True)
    alphas = step * (sigmas / sigmas[-1]) ** 2
    return _annealed(score, x, sigmas[order], steps, alphas[order], generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="Equal levels are taken once. Each of the list has its steps.")
def equal_levels_once(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    levels = sigmas.unique_consecutive()
    return _annealed(score, x, levels, steps, step * (levels / levels[-1]) ** 2, generator)


@mistake(
    ANNEAL,
    killed_by="test_annealed_samples_have_the_dtype_of_the_start",
    says="You move the start itself: x += changes the caller's tensor.",
)
def start_annealed_in_place(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    for sigma in sigmas:
        alpha = step * (sigma / sigmas[-1]) ** 2
        for _ in range(steps):
            x += alpha / 2 * score(x, sigma.expand(len(x))) + alpha.sqrt() * _noise(x, generator)
    return x


@mistake(ANNEAL, killed_by=A_LAW, says="The levels are taken in reverse. They are in the order of the list.")
def levels_in_reverse(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    alphas = step * (sigmas / sigmas[-1]) ** 2
    return _annealed(score, x, sigmas.flip(0), steps, alphas.flip(0), generator)


@mistake(ANNEAL, killed_by=A_LAW, says="The noise is scaled by alpha. Its variance is alpha: scale by the root.")
def noise_by_alpha(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, generator, noise=lambda alpha: alpha)


@mistake(ANNEAL, killed_by=A_LAW, says="Noise is drawn once a level. Every step shakes with noise of its own.")
def one_noise_a_level(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    for sigma in sigmas:
        alpha, noise = step * (sigma / sigmas[-1]) ** 2, _noise(x, generator)
        for _ in range(steps):
            x = x + alpha / 2 * score(x, sigma.expand(len(x))) + alpha.sqrt() * noise
    return x


@mistake(ANNEAL, killed_by=A_LAW, says="The noise is missing: this climbs to a mode instead of sampling.")
def annealed_without_noise(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, generator, noise=lambda alpha: 0 * alpha)


@mistake(ANNEAL, killed_by=A_SOURCE, says="Your noise does not come from the generator that you are given.")
def annealed_by_the_global_generator(
    score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator
) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, torch.default_generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="The score is always asked at the last level. It is asked at the level of the step.")
def score_at_the_last_level(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    last = sigmas[-1].expand(len(x))
    return _annealed(lambda x, sigma: score(x, last), x, sigmas, steps, step * (sigmas / sigmas[-1]).square(), generator)


@mistake(ANNEAL, killed_by=A_LAW, says="The very last step has no noise. Nothing is denoised at the end here.")
def last_step_without_noise(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    alphas = step * (sigmas / sigmas[-1]).square()
    for i, (sigma, alpha) in enumerate(zip(sigmas, alphas, strict=True)):
        for k in range(steps):
            x = x + alpha / 2 * score(x, sigma.expand(len(x)))
            if (i, k) != (len(sigmas) - 1, steps - 1):
                x = x + alpha.sqrt() * _noise(x, generator)
    return x


@mistake(ANNEAL, killed_by=A_STEEP, says="There is one step more at each level than asked for.")
def one_step_more_a_level(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps + 1, step * (sigmas / sigmas[-1]).square(), generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="The first level is left out.")
def without_the_first_level(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas[1:], steps, step * (sigmas[1:] / sigmas[-1]).square(), generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="Every level starts again from x. It goes on from where the one before has led.")
def every_level_from_the_start(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    alphas = step * (sigmas / sigmas[-1]).square()
    ends = [_annealed(score, x, sigmas[i : i + 1], steps, alphas[i : i + 1], generator) for i in range(len(sigmas))]
    return ends[-1]


@mistake(ANNEAL, killed_by=A_LAW, says="The noise has the variance 2 alpha. With half of alpha as drift it is alpha.")
def noise_of_twice_alpha(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    alphas = step * (sigmas / sigmas[-1]).square()
    return _annealed(score, x, sigmas, steps, alphas, generator, noise=lambda alpha: (2 * alpha).sqrt())


@mistake(ANNEAL, killed_by=A_LAW, says="The noise has the variance step at all levels. It is alpha, and shrinks with the levels.")
def noise_of_the_plain_step(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    alphas = step * (sigmas / sigmas[-1]).square()
    return _annealed(score, x, sigmas, steps, alphas, generator, noise=lambda alpha: torch.full_like(alpha, step).sqrt())


@mistake(ANNEAL, killed_by=A_STEEP, says="alpha is step sigma_i^2. It is relative to the last level: step sigma_i^2 / sigma_L^2.")
def relative_to_nothing(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * sigmas**2, generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="The ratio of the levels is upside down: alpha = step sigma_i^2 / sigma_L^2.")
def ratio_upside_down(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas[-1] / sigmas) ** 2, generator)


@mistake(ANNEAL, killed_by=A_STEEP, says="You go down the score. It points to where points are more likely: add it.")
def annealed_against_the_score(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, generator, drift=-0.5)


@mistake(
    ANNEAL,
    killed_by=A_STEEP,
    says="Levels that differ by less than a tenth are taken for one. Each has a step and a score of its own.",
    when=near_one_another("sigmas"),
)
def near_levels_annealed_as_one(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    sigmas = first_where_near(sigmas)
    return _annealed(score, x, sigmas, steps, step * sigmas.square() / sigmas[-1] ** 2, generator)


@mistake(ANNEAL, killed_by=A_SOURCE, says=FEW)
def one_of_256_annealed_samples(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, one_of_256(generator))


@variant(ANNEAL)
def annealed_without_a_graph(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    with torch.no_grad():
        return _annealed(score, x, sigmas, steps, step * sigmas.square() / sigmas[-1].square(), generator)


@variant(ANNEAL)
def annealed_with_python_levels(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    last = sigmas[-1].item()
    for sigma in sigmas.tolist():
        alpha = step * sigma**2 / last**2
        for _ in range(steps):
            level = torch.full((x.shape[0],), sigma, dtype=x.dtype)
            x = x + 0.5 * alpha * score(x, level) + alpha**0.5 * torch.empty_like(x).normal_(generator=generator)
    return x


@variant(ANNEAL)
def annealed_with_all_noise_at_once(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    noise = torch.randn(len(sigmas), steps, *x.shape, generator=generator, dtype=x.dtype)
    for i, sigma in enumerate(sigmas):
        alpha = step * (sigma / sigmas[-1]).pow(2)
        for z in noise[i]:
            x = x + alpha / 2 * score(x, sigma.repeat(len(x))) + alpha.sqrt() * z
    return x


@mistake(ANNEAL, killed_by="test_annealing_over_one_level_by_one_step", says=REPEATED)
def single_annealed_row_repeated(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    generator = copy_where(len(x) == 1, generator)
    return _annealed(score, x, sigmas, steps, step * (sigmas / sigmas[-1]) ** 2, generator)


@mistake(ANNEAL, killed_by="test_annealing_over_one_level_by_one_step", says=changed_in_place("the score", "its argument"))
def scores_annealed_in_place(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    for sigma, alpha in zip(sigmas, step * (sigmas / sigmas[-1]).square(), strict=True):
        for _ in range(steps):
            drift = score(x, sigma.expand(len(x))).detach()
            drift *= alpha / 2
            x = x + drift + alpha.sqrt() * _noise(x, generator)
    return x


@mistake(ANNEAL, killed_by="test_annealing_over_one_level_by_one_step", says="Steps are bounded by 1/2. They are as large as alpha says.")
def alpha_bounded(score: Score, x: Tensor, sigmas: Tensor, steps: int, step: float, generator: torch.Generator) -> Tensor:
    return _annealed(score, x, sigmas, steps, (step * (sigmas / sigmas[-1]).square()).clamp(max=0.5), generator)


# -- vp_marginal --


def _integral(t: Tensor, low: float, high: float) -> Tensor:
    return low * t + (high - low) * t.square() / 2


def _marginal(x0: Tensor, B: Tensor) -> Pair:
    return (-B / 2).exp()[:, None] * x0, (-torch.expm1(-B)).sqrt()


@mistake(MARGINAL, killed_by=M_BY_HAND, says="You take beta(t) t for the integral. Beta grows on the way: integrate it.")
def beta_times_t(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, t * (beta_min + t * (beta_max - beta_min)))


@mistake(MARGINAL, killed_by=M_BY_HAND, says="You take beta(t) for its integral from 0 to t.")
def beta_for_its_integral(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, beta_min + t * (beta_max - beta_min))


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The mean shrinks by e^(-B/2), not by e^-B.")
def mean_shrinks_twice(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = _integral(t, beta_min, beta_max)
    return (-B).exp()[:, None] * x0, (-torch.expm1(-B)).sqrt()


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The second part is the variance. The standard deviation is its root.")
def variance_for_deviation(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = _integral(t, beta_min, beta_max)
    return (-B / 2).exp()[:, None] * x0, -torch.expm1(-B)


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The variance is 1 - e^-B. You have e^(-B/2) in it, the factor of the mean, not squared.")
def variance_of_half_the_integral(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = _integral(t, beta_min, beta_max)
    return (-B / 2).exp()[:, None] * x0, (-torch.expm1(-B / 2)).sqrt()


@mistake(
    MARGINAL, killed_by=M_BY_HAND, says="The deviation is sqrt(B): that is the variance-exploding SDE, which does not shrink the data."
)
def variance_exploding(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = _integral(t, beta_min, beta_max)
    return (-B / 2).exp()[:, None] * x0, B.sqrt()


@mistake(MARGINAL, killed_by=M_TINY, says="1 - e^-B loses its digits where B is tiny: use torch.expm1.")
def digits_lost(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = _integral(t, beta_min, beta_max)
    return (-B / 2).exp()[:, None] * x0, (1 - (-B).exp()).sqrt()


@mistake(
    MARGINAL,
    killed_by=M_BY_HAND,
    says="From its deviation the mean has few digits where hardly anything of the data is left: e^(-B/2) has all.",
)
def mean_from_the_deviation(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    _, deviation = _marginal(x0, _integral(t, beta_min, beta_max))
    return (1 - deviation.square()).sqrt()[:, None] * x0, deviation


@mistake(MARGINAL, killed_by=M_TINY, says="The deviation is kept away from zero. At tiny times it is tiny, and right.")
def deviation_clamped(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    mean, deviation = _marginal(x0, _integral(t, beta_min, beta_max))
    return mean, torch.where(t > 0, deviation.clamp(min=1e-5), deviation)


@mistake(MARGINAL, killed_by=M_BY_HAND, says="B has a factor 1/2 too many: it is beta_min t + (beta_max - beta_min) t^2 / 2.")
def half_of_the_integral(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, _integral(t, beta_min, beta_max) / 2)


@mistake(MARGINAL, killed_by=M_BY_HAND, says="Beta grows by beta_max - beta_min, not by beta_max.")
def beta_max_for_the_slope(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, _integral(t, beta_min, beta_min + beta_max))


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The mean grows. It shrinks, by e^(-B/2).")
def mean_grows(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    mean, deviation = _marginal(x0, _integral(t, beta_min, beta_max))
    return (_integral(t, beta_min, beta_max) / 2).exp()[:, None] * x0, deviation


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The deviation is 1 minus the factor of the mean. Its square is 1 minus the square of that.")
def one_minus_the_factor_of_the_mean(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    mean, _ = _marginal(x0, _integral(t, beta_min, beta_max))
    return mean, -torch.expm1(-_integral(t, beta_min, beta_max) / 2)


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The two parts are swapped: first the mean, then the deviation.")
def deviation_first(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, _integral(t, beta_min, beta_max))[::-1]


@mistake(
    MARGINAL,
    killed_by=M_TINY,
    says="Below 1/1000 you take B for 1 - e^-B, which is off by a part of B/2. `torch.expm1` is right at any size.",
)
def first_term_of_the_series(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = _integral(t, beta_min, beta_max)
    mean, deviation = _marginal(x0, B)
    return mean, torch.where(B < 1e-3, B.sqrt(), deviation)


@mistake(
    MARGINAL,
    killed_by=M_BY_HAND,
    says="You halve a whole number with //, which makes 0 of 1. Divide with /.",
    when=lambda beta_min, beta_max: isinstance(beta_min, int) and isinstance(beta_max, int),
)
def halves_whole_betas_down(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    whole = isinstance(beta_min, int) and isinstance(beta_max, int)
    half = (beta_max - beta_min) // 2 if whole else (beta_max - beta_min) / 2
    return _marginal(x0, beta_min * t + half * t.square())


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The deviation is the root of 1 - e^(-2B). The variance is 1 - e^-B.")
def variance_of_twice_the_integral(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = beta_min * t + (beta_max - beta_min) * t * t / 2
    return _marginal(x0, B)[0], (-torch.expm1(-2 * B)).sqrt()


@mistake(MARGINAL, killed_by=M_BY_HAND, says="beta_min and beta_max are swapped: beta starts at beta_min.")
def betas_swapped(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, _integral(t, beta_max, beta_min))


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The second part is e^(-B/2), the factor of the mean. The deviation is sqrt(1 - e^-B).")
def factor_of_the_mean_for_the_deviation(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = _integral(t, beta_min, beta_max)
    return _marginal(x0, B)[0], (-B / 2).exp()


@mistake(
    MARGINAL,
    killed_by="test_marginals_of_one_row_of_many_and_of_a_square_batch",
    says="Times less than a tenth apart are taken for one. Each row has one.",
    when=near_one_another("t"),
    green_at_home="times that differ little are asked of the reference",
)
def marginal_at_one_time_where_they_are_near(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, _integral(first_where_near(t), beta_min, beta_max))


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The mean does not shrink: e^(-B/2) of the data is left.")
def mean_not_shrunk(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return 1 * x0, (-torch.expm1(-_integral(t, beta_min, beta_max))).sqrt()


@mistake(
    MARGINAL, killed_by=M_BY_HAND, says="You take beta_min t for the integral. Beta grows: there is (beta_max - beta_min) t^2 / 2 more."
)
def beta_that_does_not_grow(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    return _marginal(x0, beta_min * t)


@mistake(MARGINAL, killed_by=M_BY_HAND, says="The deviation is 1 minus the factor of the mean. Its square is 1 minus the square of that.")
def one_minus_the_factor_as_it_stands(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    factor = (-_integral(t, beta_min, beta_max) / 2).exp()
    return factor[:, None] * x0, 1 - factor


@variant(MARGINAL)
def marginal_by_the_mean_beta(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = 0.5 * t * (2 * beta_min + t * (beta_max - beta_min))
    return x0 * torch.exp(-0.5 * B).unsqueeze(1), torch.sqrt(-torch.expm1(-B))


@variant(MARGINAL)
def marginal_by_the_log_mean_coefficient(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    log_coefficient = -0.25 * t**2 * (beta_max - beta_min) - 0.5 * t * beta_min
    return torch.exp(log_coefficient)[:, None] * x0, torch.sqrt(-torch.special.expm1(2.0 * log_coefficient))


@variant(MARGINAL)
def marginal_transposed(x0: Tensor, t: Tensor, beta_min: float, beta_max: float) -> Pair:
    B = beta_min * t + (beta_max - beta_min) * t * t / 2
    return (x0.T * torch.exp(-B / 2)).T, (-torch.expm1(-B)) ** 0.5


# -- reverse_sde_step --


def _back(
    score: Score, x: Tensor, t: float, dt: float, beta: float, generator: torch.Generator,
    of_x: float = 0.5, of_score: float = 1.0, deviation: float | None = None,
) -> Tensor:  # fmt: skip
    drift = of_x * x + of_score * score(x, torch.full_like(x[:, 0], t))
    return x + beta * dt * drift + (math.sqrt(beta * dt) if deviation is None else deviation) * _noise(x, generator)


def _beta(t: float, low: float, high: float) -> float:
    return low + t * (high - low)


@mistake(BACK, killed_by=B_STEEP, says="The score has a factor 1/2. That is the flow's; the way back of the SDE has the whole score.")
def half_of_the_score(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_score=0.5)


@mistake(BACK, killed_by=B_STEEP, says="x shrinks, as on the way forward. Back in time it grows: x/2 is added.")
def shrinks_on_the_way_back(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_x=-0.5)


@mistake(BACK, killed_by=B_STEEP, says="You walk against the score.")
def back_against_the_score(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_score=-1.0)


@mistake(BACK, killed_by=B_STEEP, says="Beta is taken at the end of the step. Euler-Maruyama takes it at its start, at t.")
def beta_at_the_end(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t - dt, low, high), generator)


@mistake(BACK, killed_by=B_STEEP, says="x itself is added, not half of it.")
def whole_of_x(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_x=1.0)


@mistake(BACK, killed_by=B_LAW, says="The noise is scaled by sqrt(beta) dt. Its variance grows with time: sqrt(beta dt).")
def noise_by_dt(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, deviation=math.sqrt(beta) * dt)


@mistake(BACK, killed_by=B_LAW, says="The noise is scaled by beta. Its variance is beta dt: take the root.")
def noise_by_beta(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, deviation=beta * math.sqrt(dt))


@mistake(BACK, killed_by=B_LAW, says="The noise is missing. Without it the score has the factor 1/2: that is another way back.")
def back_without_noise(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, deviation=0.0)


@mistake(
    BACK,
    killed_by="test_the_noise_of_a_step_back_known_by_hand",
    says="The step that ends at t = 0 has no noise. It is a step as any other: sqrt(beta dt) of it.",
    when=lambda t, dt: t - dt <= 0,
)
def no_noise_at_the_end(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    deviation = 0.0 if t - dt <= 0 else math.sqrt(_beta(t, low, high) * dt)
    return _back(score, x, t, dt, _beta(t, low, high), generator, deviation=deviation)


@mistake(BACK, killed_by="test_a_step_back_keeps_the_dtype", says="You move x itself: x += changes the caller's tensor.")
def moved_back_in_place(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    x += _beta(t, low, high) * dt * (x / 2 + score(x, torch.full_like(x[:, 0], t)))
    x += math.sqrt(_beta(t, low, high) * dt) * _noise(x, generator)
    return x


@mistake(
    BACK,
    killed_by="test_a_step_back_of_one_row_of_one_dimension",
    says="The time for the score is rounded to float32. It has the digits of x.",
)
def time_in_float32(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    drift = x / 2 + score(x, torch.full((len(x),), t, dtype=torch.float32))
    return x + _beta(t, low, high) * dt * drift + math.sqrt(_beta(t, low, high) * dt) * _noise(x, generator)


@mistake(BACK, killed_by=B_SOURCE, says="Your noise does not come from the generator that you are given.")
def back_by_the_global_generator(
    score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator
) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), torch.default_generator)


@mistake(BACK, killed_by=B_SOURCE, says=FEW)
def one_of_256_steps_back(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), one_of_256(generator))


@mistake(BACK, killed_by=B_STEEP, says="The score lacks its factor beta(t).")
def score_without_beta(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, of_score=1 / beta)


@mistake(BACK, killed_by=B_LAW, says="The noise lacks its factor sqrt(beta).")
def noise_without_beta(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, deviation=math.sqrt(dt))


@mistake(BACK, killed_by=B_LAW, says="All rows share their noise: draw noise of its own for every row.")
def one_noise_for_the_batch(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, deviation=0.0) + math.sqrt(beta * dt) * _noise(x[:1], generator)


@mistake(BACK, killed_by=B_LAW, says="Beta runs backwards: beta(t) is beta_min at t = 0, beta_max at t = 1, also on the way back.")
def beta_turned_round(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, high, low), generator)


@mistake(BACK, killed_by=B_STEEP, says="The score has a factor 2 that the step does not have.")
def twice_the_score(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_score=2.0)


@mistake(BACK, killed_by=B_STEEP, says="x/2 is missing beside the score.")
def back_by_the_score_alone(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_x=0.0)


@mistake(BACK, killed_by=B_STEEP, says="The drift is not multiplied by dt.")
def drift_without_dt(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_x=0.5 / dt, of_score=1 / dt)


@mistake(BACK, killed_by=B_STEEP, says="The drift is subtracted. It is added: the formula has the way back in time in it already.")
def drift_subtracted(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, _beta(t, low, high), generator, of_x=-0.5, of_score=-1.0)


@mistake(BACK, killed_by=B_STEEP, says="Beta and the score are taken at the end of the step. Euler-Maruyama takes them at its start, at t.")
def all_at_the_end(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t - dt, dt, _beta(t - dt, low, high), generator)


@mistake(BACK, killed_by=B_STEEP, says="The score is asked at the end of the step. Euler-Maruyama asks at its start, at t.")
def score_at_the_end(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t - dt, dt, _beta(t, low, high), generator)


@mistake(BACK, killed_by=B_STEEP, says="Beta grows by beta_max - beta_min, not by beta_max.")
def back_with_a_growing_beta(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, low + t * high, generator)


@mistake(BACK, killed_by=B_STEEP, says="You take beta's integral for beta itself.")
def back_with_the_integral(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    return _back(score, x, t, dt, low * t + (high - low) * t * t / 2, generator)


@mistake(BACK, killed_by=B_LAW, says="The noise lacks its factor sqrt(dt).")
def noise_without_dt(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, deviation=math.sqrt(beta))


@mistake(BACK, killed_by=B_LAW, says="The noise is scaled by its variance, beta dt. Scale by the root.")
def noise_by_its_variance(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, deviation=beta * dt)


@mistake(BACK, killed_by=B_STEEP, says="x/2 lacks its factor beta(t).")
def x_without_beta(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, of_x=0.5 / beta)


@mistake(BACK, killed_by=B_STEEP, says="The score has the factor beta^2. It is beta: the square of sqrt(beta), the factor of the noise.")
def score_with_the_square_of_beta(
    score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator
) -> Tensor:
    beta = _beta(t, low, high)
    return _back(score, x, t, dt, beta, generator, of_score=beta)


@variant(BACK)
def back_by_drift_and_diffusion(
    score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator
) -> Tensor:
    beta = (1 - t) * low + t * high
    level = torch.ones(len(x), dtype=x.dtype) * t
    reverse_drift = -0.5 * beta * x - beta * score(x, level)
    return x - reverse_drift * dt + math.sqrt(beta) * math.sqrt(dt) * _noise(x, generator)


@variant(BACK)
def back_by_torch_normal(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    beta = low + (high - low) * t
    with torch.no_grad():
        mean = x * (1 + beta * dt / 2) + beta * dt * score(x, x.new_full((len(x),), t))
        return torch.normal(mean, (beta * dt) ** 0.5, generator=generator)


@variant(BACK)
def back_with_tensors(score: Score, x: Tensor, t: float, dt: float, low: float, high: float, generator: torch.Generator) -> Tensor:
    times = torch.full((x.size(0),), t, dtype=x.dtype)
    beta = (low + times * (high - low)).unsqueeze(-1)
    return x + beta * (x / 2 + score(x, times)) * dt + (beta * dt).sqrt() * _noise(x, generator)


@mistake(BACK, killed_by="test_a_step_back_of_one_row_of_one_dimension", says=REPEATED)
def single_row_moved_back_as_before(
    score: Score, x: Tensor, t: float, dt: float, beta_min: float, beta_max: float, generator: torch.Generator
) -> Tensor:
    generator = copy_where(len(x) == 1, generator)
    return _back(score, x, t, dt, _beta(t, beta_min, beta_max), generator)


@mistake(BACK, killed_by="test_a_step_back_of_one_row_of_one_dimension", says=changed_in_place("the score", "its argument"))
def score_moved_back_in_place(
    score: Score, x: Tensor, t: float, dt: float, beta_min: float, beta_max: float, generator: torch.Generator
) -> Tensor:
    beta = _beta(t, beta_min, beta_max)
    drift = score(x, torch.full_like(x[:, 0], t)).detach()
    drift += x / 2
    return x + beta * dt * drift + math.sqrt(beta * dt) * _noise(x, generator)


# -- probability_flow_drift --


def _flow(score: Score, x: Tensor, t: float, of_x: float, of_score: float) -> Tensor:
    return of_x * x + of_score * score(x, torch.full_like(x[:, 0], t))


@mistake(
    FLOW, killed_by=F_BY_HAND, says="The score has no factor 1/2: that is the drift of the reverse SDE. The flow takes half of the score."
)
def whole_score(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    beta = _beta(t, beta_min, beta_max)
    return _flow(score, x, t, -beta / 2, -beta)


@mistake(FLOW, killed_by=F_BY_HAND, says="The sign is turned: this is the velocity backwards in time.")
def backwards_flow(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    beta = _beta(t, beta_min, beta_max)
    return _flow(score, x, t, beta / 2, beta / 2)


@mistake(FLOW, killed_by=F_BY_HAND, says="The factor 1/2 is missing.")
def flow_without_half(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    beta = _beta(t, beta_min, beta_max)
    return _flow(score, x, t, -beta, -beta)


@mistake(FLOW, killed_by=F_BY_HAND, says="The score is subtracted from x. It is added.")
def flow_with_the_score_subtracted(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    beta = _beta(t, beta_min, beta_max)
    return _flow(score, x, t, -beta / 2, beta / 2)


@mistake(FLOW, killed_by=F_BY_HAND, says="This is the SDE's own drift, without the score.")
def drift_of_the_sde(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    return _flow(score, x, t, -_beta(t, beta_min, beta_max) / 2, 0.0)


@mistake(FLOW, killed_by=F_BY_HAND, says="You take beta's integral for beta itself.")
def flow_with_the_integral(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    B = beta_min * t + (beta_max - beta_min) * t**2 / 2
    return _flow(score, x, t, -B / 2, -B / 2)


@mistake(FLOW, killed_by=F_BY_HAND, says="The factor beta(t) is missing.")
def flow_without_beta(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    return _flow(score, x, t, -0.5, -0.5)


@mistake(FLOW, killed_by=F_BY_HAND, says="x itself is missing beside the score.")
def flow_of_the_score_alone(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    return _beta(t, beta_min, beta_max) * _flow(score, x, t, 0.0, -0.5)


@mistake(FLOW, killed_by=F_BY_HAND, says="Beta grows by beta_max - beta_min, not by beta_max.")
def flow_of_a_growing_beta(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    return (beta_min + t * beta_max) * _flow(score, x, t, -0.5, -0.5)


@mistake(FLOW, killed_by=F_BY_HAND, says="x has the factor beta. Its factor is beta/2, as that of the score.")
def flow_with_the_whole_of_x(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    return _beta(t, beta_min, beta_max) * _flow(score, x, t, -1.0, -0.5)


@mistake(
    FLOW,
    killed_by=F_BY_HAND,
    says="You halve a whole number with //, which makes 1 of 3. Divide with /.",
    when=lambda t, low, high: isinstance(low + t * (high - low), int),
)
def halves_a_whole_beta_down(score: Score, x: Tensor, t: float, low: float, high: float) -> Tensor:
    beta = _beta(t, low, high)
    half = -(beta // 2) if isinstance(beta, int) else -beta / 2
    return _flow(score, x, t, half, half)


@mistake(FLOW, killed_by=F_BY_HAND, says="The score lacks its factor beta(t).")
def flow_of_a_score_without_beta(score: Score, x: Tensor, t: float, low: float, high: float) -> Tensor:
    return _flow(score, x, t, -0.5 * _beta(t, low, high), -0.5)


@mistake(
    FLOW,
    killed_by="test_the_flow_has_half_of_the_score_of_the_way_back",
    says="beta_min and beta_max are swapped: beta starts at beta_min.",
)
def flow_of_a_falling_beta(score: Score, x: Tensor, t: float, low: float, high: float) -> Tensor:
    beta = _beta(t, high, low)
    return _flow(score, x, t, -0.5 * beta, -0.5 * beta)


@mistake(FLOW, killed_by=F_BY_HAND, says="The score has the factor sqrt(beta). It is beta: the square of what the noise has.")
def score_with_the_root_of_beta(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    beta = _beta(t, beta_min, beta_max)
    return _flow(score, x, t, -beta / 2, -math.sqrt(beta) / 2)


@variant(FLOW)
def flow_by_drift_and_score(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    beta = (1 - t) * beta_min + t * beta_max
    return -0.5 * beta * x - 0.5 * beta * score(x, torch.ones(len(x), dtype=x.dtype) * t)


@variant(FLOW)
def flow_with_tensors(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    times = x.new_full((x.shape[0],), t)
    return -(beta_min + times * (beta_max - beta_min))[:, None] / 2 * (x + score(x, times))


@variant(FLOW)
def flow_row_by_row(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    beta, level = beta_min + (beta_max - beta_min) * t, torch.tensor([t], dtype=x.dtype)
    return torch.stack([(row + score(row[None], level)[0]) * (-beta / 2) for row in x])


@mistake(
    FLOW, killed_by="test_the_drift_has_gradients", says="The score is asked at detached points. The drift can be differentiated in them."
)
def score_at_detached_points(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    return -_beta(t, beta_min, beta_max) / 2 * (x + score(x.detach(), torch.full_like(x[:, 0], t)))


@mistake(
    FLOW,
    killed_by=F_BY_HAND,
    says="The score is never asked before t = 1/1000. At t = 0 it is asked there.",
    when=lambda t: t < 1e-3,
)
def score_never_at_the_start(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    return -_beta(t, beta_min, beta_max) / 2 * (x + score(x, torch.full_like(x[:, 0], max(t, 1e-3))))


@mistake(FLOW, killed_by="test_the_drift_keeps_the_dtype", says=changed_in_place("the score", "its argument"))
def drift_in_place(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    drift = score(x, torch.full_like(x[:, 0], t))
    drift = drift + x if drift.requires_grad or x.requires_grad else drift.add_(x)
    return -_beta(t, beta_min, beta_max) / 2 * drift


@mistake(FLOW, killed_by="test_the_drift_has_gradients", says=plain_data("The score is"))
def drift_with_a_graph_for_inputs_alone(score: Score, x: Tensor, t: float, beta_min: float, beta_max: float) -> Tensor:
    half = _beta(t, beta_min, beta_max) / 2
    return graph_for_inputs_alone(_flow(score, x, t, -half, -half), x)
