"""Wrong and other right answers about Langevin dynamics and its acceptance."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import FEW, REPEATED, changed_in_place, copy_where, graph_for_inputs_alone, one_of_256, plain_data

STEP, ACCEPT = "energy.langevin_step", "energy.metropolis_log_acceptance"
STEEP, SHAKES = "test_where_the_slope_is_steep_the_noise_hardly_counts", "test_a_step_drifts_along_the_score_and_shakes"
SOURCE = "test_langevin_steps_draw_from_the_generator"
BY_HAND, WEIGHS = "test_acceptances_known_by_hand", "test_acceptance_weighs_densities_and_both_ways"
HOPELESS, BELOW = "test_hopeless_and_impossible_proposals", "test_the_acceptance_has_gradients_below_one"

Map = Callable[[Tensor], Tensor]


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, dtype=x.dtype)


@mistake(STEP, killed_by=STEEP, says="The drift is a whole step along the score. It is half a step: step / 2.")
def whole_step(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step * score(x) + math.sqrt(step) * _noise(x, generator)


@mistake(STEP, killed_by=STEEP, says="You go down the score. It points to where points are more likely: add it.")
def against_the_score(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x - step / 2 * score(x) + math.sqrt(step) * _noise(x, generator)


@mistake(STEP, killed_by=STEEP, says="You return how far to go. Where one arrives is x plus that.")
def increment_alone(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return step / 2 * score(x) + math.sqrt(step) * _noise(x, generator)


@mistake(STEP, killed_by="test_a_step_has_the_dtype_of_its_start", says="You move x itself: x += changes the caller's tensor.")
def moved_in_place(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    x += step / 2 * score(x)
    x += math.sqrt(step) * _noise(x, generator)
    return x


@mistake(STEP, killed_by=SHAKES, says="The noise is scaled by the step. Its variance is the step: scale by the root.")
def noise_by_the_step(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + step * _noise(x, generator)


@mistake(STEP, killed_by=SHAKES, says="The noise has the variance 2 step. With half a step of drift it is step.")
def noise_of_twice_the_step(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(2 * step) * _noise(x, generator)


@mistake(STEP, killed_by=SHAKES, says="The noise is missing: this climbs to a mode instead of sampling.")
def without_noise(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x)


@mistake(STEP, killed_by=SHAKES, says="All rows share their noise: draw noise of its own for every row.")
def shared_noise(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(step) * _noise(x[:1], generator)


@mistake(STEP, killed_by=SHAKES, says="The deviation of the noise is about 3 % too large.")
def noise_three_percent_too_large(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + 1.03 * math.sqrt(step) * _noise(x, generator)


@mistake(STEP, killed_by=SHAKES, says="The second half of a batch repeats the noise of the first with a minus: rows must be independent.")
def antithetic_rows(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    half = _noise(x[: (len(x) + 1) // 2], generator)
    return x + step / 2 * score(x) + math.sqrt(step) * torch.cat([half, -half])[: len(x)]


@mistake(STEP, killed_by=SOURCE, says="Your noise does not come from the generator that you are given.")
def noise_of_the_global_generator(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(step) * torch.randn_like(x)


@mistake(STEP, killed_by=SOURCE, says=FEW)
def one_of_256_langevin_steps(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(step) * torch.randn(x.shape, generator=one_of_256(generator), dtype=x.dtype)


@mistake(STEP, killed_by="test_the_noise_of_a_step_known_by_hand", says="The score is asked after the noise is added. It is asked at x.")
def shaken_before_the_score(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    y = x + math.sqrt(step) * _noise(x, generator)
    return y + step / 2 * score(y)


@mistake(STEP, killed_by=SHAKES, says="The noise is uniform. It is normal.")
def uniform_shaking(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    noise = (torch.rand(x.shape, generator=generator, dtype=x.dtype) - 0.5) * 12**0.5
    return x + step / 2 * score(x) + math.sqrt(step) * noise


@mistake(STEP, killed_by=SHAKES, says="The noise has the variance step / 2. It is step.")
def noise_of_half_the_step(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(step / 2) * _noise(x, generator)


@mistake(
    STEP,
    killed_by=STEEP,
    says="You halve the step with //, which makes 0 of the whole number 1. Divide with /.",
    when=lambda step: isinstance(step, int),
)
def halves_whole_steps_down(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + (step // 2 if isinstance(step, int) else step / 2) * score(x) + math.sqrt(step) * _noise(x, generator)


@mistake(STEP, killed_by=SHAKES, says="The noise has a factor 1/2. Its variance is the step: scale by the root.")
def half_of_the_noise(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(step) / 2 * _noise(x, generator)


@mistake(
    STEP,
    killed_by=STEEP,
    says="The step is taken for the root of eta. It is eta itself: half of it along the score, its root times the noise.",
)
def step_taken_for_its_root(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step**2 / 2 * score(x) + step * _noise(x, generator)


@mistake(
    STEP, killed_by="test_a_step_of_one_row_of_one_dimension", says="A batch of one row comes without noise. It is shaken like any other."
)
def one_row_without_noise(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + (len(x) > 1) * step**0.5 * _noise(x, generator)


@mistake(
    STEP, killed_by=STEEP, says="The drift is a whole step and the noise has the variance 2 step. With this step it is half of either."
)
def steps_of_twice_the_length(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step * score(x) + math.sqrt(2 * step) * _noise(x, generator)


@mistake(STEP, killed_by=SHAKES, says="The noise is uniform between 0 and 1 (torch.rand). It is standard normal: torch.randn.")
def shaken_by_the_unit_interval(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(step) * torch.rand(x.shape, generator=generator, dtype=x.dtype)


@mistake(STEP, killed_by=SHAKES, says="All dimensions of a row share their noise: draw noise of its own for every entry.")
def shared_by_the_dimensions(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + math.sqrt(step) * _noise(x[:, :1], generator)


@variant(STEP)
def step_by_torch_normal(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    with torch.no_grad():
        return torch.normal(x + 0.5 * step * score(x), step**0.5, generator=generator)


@variant(STEP)
def step_in_place_on_a_copy(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    y = torch.empty_like(x).normal_(generator=generator).mul_(step**0.5)
    return y.add_(score(x), alpha=0.5 * step).add_(x)


@variant(STEP)
def step_row_by_row(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    noise = torch.stack([torch.randn(x.shape[1], generator=generator, dtype=x.dtype) for _ in x])
    return x + step * (score(x) / 2 + noise / math.sqrt(step))


@mistake(STEP, killed_by="test_a_step_of_one_row_of_one_dimension", says=REPEATED)
def single_row_repeated(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    generator = copy_where(len(x) == 1, generator)
    return x + step / 2 * score(x) + math.sqrt(step) * _noise(x, generator)


@mistake(STEP, killed_by="test_a_step_of_one_row_of_one_dimension", says=changed_in_place("the score", "its argument"))
def score_scaled_in_place(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    drift = score(x).detach()
    drift *= step / 2
    return x + drift + math.sqrt(step) * _noise(x, generator)


@mistake(
    STEP, killed_by="test_a_step_of_one_row_of_one_dimension", says="The noise has a least size. A tiny step shakes by the root of step."
)
def noise_of_a_least_size(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + max(math.sqrt(step), 5e-3) * _noise(x, generator)


@mistake(
    STEP,
    killed_by="test_a_step_of_one_row_of_one_dimension",
    says="The noise of a step above 1 is scaled by the step, not by its root.",
    when=lambda step: step > 1,
)
def large_steps_for_their_roots(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    return x + step / 2 * score(x) + max(step, math.sqrt(step)) * _noise(x, generator)


@mistake(
    STEP,
    killed_by=SHAKES,
    says="Half of the dimensions have the noise of the row before: rows share noise, if in other dimensions.",
    when=lambda x: min(x.shape) > 1,
)
def noise_of_the_row_before(score: Map, x: Tensor, step: float, generator: torch.Generator) -> Tensor:
    noise, half = _noise(x, generator), x.shape[1] // 2
    noise = torch.cat([noise[:, half:], noise[:, half : 2 * half].roll(1, 0)], 1)
    return x + step / 2 * score(x) + math.sqrt(step) * noise


# -- metropolis_log_acceptance --


def _log_q(score: Map, start: Tensor, to: Tensor, step: float) -> Tensor:
    return -(to - start - step / 2 * score(start)).square().sum(1) / (2 * step)


def _log_ratio(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return log_p(y) + _log_q(score, y, x, step) - log_p(x) - _log_q(score, x, y, step)


@mistake(
    ACCEPT, killed_by=BY_HAND, says="The proposal's densities are missing. It is not symmetric: the drift there and the drift back differ."
)
def metropolis_without_hastings(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return (log_p(y) - log_p(x)).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The ratio of the two ways is upside down: the way back, q(x|x'), stands above the line.")
def ways_swapped(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return (log_p(y) - log_p(x) - _log_q(score, y, x, step) + _log_q(score, x, y, step)).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The ratio is inverted: the proposal's density stands above the line.")
def ratio_inverted(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return (-_log_ratio(log_p, score, x, y, step)).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The ratio is not cut off at one, whose logarithm is 0: a log-probability is at most 0.")
def ratio_above_one(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, score, x, y, step)


@mistake(ACCEPT, killed_by=BY_HAND, says="This is the probability. Its logarithm is asked for.")
def probability_of_acceptance(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, score, x, y, step).clamp(max=0).exp()


@mistake(ACCEPT, killed_by=BY_HAND, says="Both ways start with the drift at x. The way back starts at the proposal, with the drift there.")
def one_drift_for_both_ways(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    back = -(x - y - step / 2 * score(x)).square().sum(1) / (2 * step)
    return (log_p(y) + back - log_p(x) - _log_q(score, x, y, step)).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The proposal drifts a whole step along the score. It drifts by step / 2.")
def drift_of_a_whole_step(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, lambda z: 2 * score(z), x, y, step).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The proposal's variance is taken as 2 step. It is step: the exponent is divided by 2 step.")
def variance_of_twice_the_step(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    ways = (_log_q(score, y, x, step) - _log_q(score, x, y, step)) / 2
    return (log_p(y) - log_p(x) + ways).clamp(max=0)


@mistake(ACCEPT, killed_by=WEIGHS, says="The exponent is divided by 2 step^2. The variance of the proposal is the step, not its square.")
def step_taken_for_the_deviation(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    ways = (_log_q(score, y, x, step) - _log_q(score, x, y, step)) / step
    return (log_p(y) - log_p(x) + ways).clamp(max=0)


@mistake(ACCEPT, killed_by=HOPELESS, says="Through the probability the logarithm is lost: e^-5000 is 0. Stay with logarithms.")
def logarithm_of_the_probability(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, score, x, y, step).exp().clamp(max=1).log()


@mistake(ACCEPT, killed_by=HOPELESS, says="You replace infinite log-ratios: an impossible proposal has the log-probability -inf.")
def impossible_made_finite(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return torch.nan_to_num(_log_ratio(log_p, score, x, y, step)).clamp(max=0)


@mistake(ACCEPT, killed_by=BELOW, says="The result has lost its graph.")
def acceptance_detached(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, score, x, y, step).clamp(max=0).detach()


@mistake(ACCEPT, killed_by=BY_HAND, says="The squared distances of the proposal are averaged over the dimensions. They are added up.")
def distance_averaged(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return (log_p(y) - log_p(x) + (_log_q(score, y, x, step) - _log_q(score, x, y, step)) / x.shape[1]).clamp(max=0)


@mistake(ACCEPT, killed_by=HOPELESS, says="-inf is replaced by a finite number. An impossible proposal is never accepted: -inf.")
def impossible_made_unlikely(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, score, x, y, step).nan_to_num(neginf=-1e4).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The way back has no drift. It starts at the proposal, with the drift there.")
def no_drift_on_the_way_back(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    back = -(x - y).square().sum(1) / (2 * step)
    return (log_p(y) + back - log_p(x) - _log_q(score, x, y, step)).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="Both ways have the drift at the proposal. The way there starts at x, with the drift there.")
def drift_at_the_proposal_both_ways(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    drift = score(y)
    return _log_ratio(log_p, lambda _: drift, x, y, step).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The exponent is divided by step. A normal density has 2 step there, twice its variance.")
def exponent_not_halved(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    return (log_p(y) - log_p(x) + 2 * (_log_q(score, y, x, step) - _log_q(score, x, y, step))).clamp(max=0)


@mistake(
    ACCEPT,
    killed_by=BY_HAND,
    says="You halve the step with //, which makes 0 of the whole number 1. Divide with /.",
    when=lambda step: isinstance(step, int),
)
def halves_whole_steps_down_twice(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    def log_q(start: Tensor, to: Tensor) -> Tensor:
        half = step // 2 if isinstance(step, int) else step / 2
        return -(to - start - half * score(start)).square().sum(1) / (2 * step)

    return (log_p(proposal) + log_q(proposal, x) - log_p(x) - log_q(x, proposal)).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The densities p(x') and p(x) are missing: this is the ratio of the proposals alone.")
def proposals_alone(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    return (_log_q(score, proposal, x, step) - _log_q(score, x, proposal, step)).clamp(max=0)


@mistake(ACCEPT, killed_by=BY_HAND, says="The proposal drifts against the score in your densities. It drifts along it.")
def drift_against_the_score(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, lambda y: -score(y), x, proposal, step).clamp(max=0)


@mistake(
    ACCEPT,
    killed_by=BY_HAND,
    says="You keep the larger of 0 and the log-ratio. The smaller one is asked for: a log-probability is at most 0.",
)
def maximum_for_the_minimum(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    return _log_ratio(log_p, score, x, proposal, step).clamp(min=0)


@mistake(ACCEPT, killed_by=HOPELESS, says="You hold the log-probability above -10^5. It may be as low as the densities make it.")
def held_above_a_floor(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    right = _log_ratio(log_p, score, x, y, step).clamp(max=0)
    return torch.where(right.isinf(), right, right.clamp(min=-1e5))


@variant(ACCEPT)
def acceptance_with_torch_distributions(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    def log_q(to: Tensor, start: Tensor) -> Tensor:
        return torch.distributions.Normal(start + 0.5 * step * score(start), step**0.5).log_prob(to).sum(-1)

    log_ratio = log_p(y) + log_q(x, y) - log_p(x) - log_q(y, x)
    return torch.minimum(log_ratio, torch.zeros_like(log_ratio))


@variant(ACCEPT)
def acceptance_multiplied_out(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    s, r = score(x), score(y)
    ways = ((y - x) * (-(r + s)) / 2).sum(1) + step / 8 * (s.square() - r.square()).sum(1)
    return torch.clamp_max(log_p(y) - log_p(x) + ways, 0.0)


@variant(ACCEPT)
def acceptance_row_by_row(log_p: Map, score: Map, x: Tensor, y: Tensor, step: float) -> Tensor:
    rows = [_log_ratio(log_p, score, x[i : i + 1], y[i : i + 1], step)[0] for i in range(len(x))]
    return -torch.relu(-torch.stack(rows))


@mistake(ACCEPT, killed_by=HOPELESS, says="Scores are clipped to a norm of 10. The law of a proposal has them as they are.")
def scores_clipped(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    def clipped(y: Tensor) -> Tensor:
        s = score(y)
        return s * (10 / s.norm(dim=1, keepdim=True).clamp(min=10))

    return _log_ratio(log_p, clipped, x, proposal, step).clamp(max=0)


@mistake(ACCEPT, killed_by=HOPELESS, says="A proposal near its start is always accepted. Where the density is steep it may be hopeless.")
def near_proposals_accepted(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    near = ((proposal - x).abs() < 1e-3).all(1)
    return torch.where(near, 0.0, _log_ratio(log_p, score, x, proposal, step).clamp(max=0))


@mistake(ACCEPT, killed_by="test_the_acceptance_keeps_the_dtype", says=changed_in_place("the density", "a column of its argument"))
def ratio_in_place(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    ways = _log_q(score, proposal, x, step) - _log_q(score, x, proposal, step)
    ratio = log_p(proposal)
    ratio = ratio - log_p(x) if ratio.requires_grad else ratio.sub_(log_p(x))
    return (ratio + ways).clamp(max=0)


@mistake(ACCEPT, killed_by=BELOW, says=plain_data("The density is"))
def acceptance_with_a_graph_for_inputs_alone(log_p: Map, score: Map, x: Tensor, proposal: Tensor, step: float) -> Tensor:
    return graph_for_inputs_alone(_log_ratio(log_p, score, x, proposal, step).clamp(max=0), x, proposal)
