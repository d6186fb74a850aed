"""Wrong answers about log-probabilities and samples of a histogram, and right answers by other roads."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dgm_ref.catalogue import EPSILONS, mistake, variant
from dgm_ref.slips import FEW, ONE_ROW, one_of_256, without_graph_where

LOG_PROB = "histogram.histogram_log_prob"
AWAY_FROM_ZERO = "You keep probabilities away from zero, by a clamp or a small number added. The log-probability of an empty bin is -inf."
SAMPLE = "histogram.sample_histogram"
HALVES = "test_log_prob_of_halves_and_quarters"
EMPTY = "test_an_empty_bin_has_log_probability_minus_infinity"
LAW = "test_samples_follow_the_histogram"
BATCH = "test_samples_in_a_batch_are_independent"
GENERATOR = "test_the_generator_decides_and_moves_on"
NOT_MOVED_ON = "You draw from a copy of the generator, or from a new one with its first seed: the next call repeats this one."


# -- histogram_log_prob --


@mistake(
    LOG_PROB,
    killed_by=HALVES,
    says="You look up bytes, where 256 is 0 again. Leave x int64.",
    when=lambda x: x.max() > 255,
)
def looks_up_bytes(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x.to(torch.uint8).long()].log()


@mistake(
    LOG_PROB,
    killed_by=EMPTY,
    says=AWAY_FROM_ZERO,
    constants=EPSILONS,
)
def epsilon_inside_the_logarithm(pi: Tensor, x: Tensor, constant: float = 1e-8) -> Tensor:
    return (pi[x] + constant).log()


@mistake(
    LOG_PROB,
    killed_by=EMPTY,
    says=AWAY_FROM_ZERO,
    constants=EPSILONS,
)
def clamped_probabilities(pi: Tensor, x: Tensor, constant: float = 1e-12) -> Tensor:
    return pi[x].clamp(min=constant).log()


@mistake(
    LOG_PROB,
    killed_by=EMPTY,
    says="torch.distributions.Categorical clamps probabilities away from zero, so an empty bin is not -inf there.",
)
def categorical_of_torch(pi: Tensor, x: Tensor) -> Tensor:
    return torch.distributions.Categorical(probs=pi, validate_args=False).log_prob(x)


@mistake(LOG_PROB, killed_by=EMPTY, says="You replaced -inf by a finite number. The log-probability of an empty bin is -inf.")
def finite_instead_of_minus_infinity(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x].log().nan_to_num()


@mistake(LOG_PROB, killed_by=HALVES, says="This is the probability: its logarithm is asked for.")
def probability_without_logarithm(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x]


@mistake(LOG_PROB, killed_by=HALVES, says="Log-probabilities are in nats here: you used the binary logarithm.")
def binary_logarithm(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x].log2()


@mistake(LOG_PROB, killed_by=HALVES, says="pi holds probabilities already: a softmax of them is another distribution.")
def takes_probabilities_for_logits(pi: Tensor, x: Tensor) -> Tensor:
    return pi.log_softmax(dim=0)[x]


@mistake(LOG_PROB, killed_by=HALVES, says="You returned one value for each bin. One for each sample is asked for.")
def one_value_a_bin(pi: Tensor, x: Tensor) -> Tensor:
    return pi.log()


@mistake(LOG_PROB, killed_by=HALVES, says="You averaged over the samples. One log-probability for each sample is asked for.")
def mean_log_likelihood(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x].log().mean()


@mistake(LOG_PROB, killed_by="test_log_prob_has_the_dtype_of_pi", says="The result is float32 whatever came in. It has the dtype of pi.")
def always_float32(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x].log().float()


@mistake(
    LOG_PROB, killed_by="test_log_prob_is_differentiable", says="The result carries no graph: its gradient with respect to pi is lost."
)
def without_graph(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x].log().detach()


@mistake(LOG_PROB, killed_by=HALVES, says="The sign is wrong: this is the cost of a sample, minus its log-probability.")
def cost_of_a_sample(pi: Tensor, x: Tensor) -> Tensor:
    return -pi[x].log()


@mistake(
    LOG_PROB,
    killed_by="test_log_prob_is_differentiable",
    says="The result carries no graph: its gradient with respect to pi is lost.",
)
def through_numbers_of_python(pi: Tensor, x: Tensor) -> Tensor:
    return torch.tensor([math.log(p) if p > 0 else -math.inf for p in pi[x].tolist()], dtype=pi.dtype)


@mistake(
    LOG_PROB,
    killed_by=EMPTY,
    says="A one-hot times logarithms is 0 times -inf where a bin is empty, which is nan. Pick the entry by its index.",
)
def masks_by_multiplication(pi: Tensor, x: Tensor) -> Tensor:
    return (torch.nn.functional.one_hot(x, len(pi)) * pi.log()).sum(dim=1)


@mistake(LOG_PROB, killed_by=HALVES, says="Bins are numbered from 0: you look one place too low.")
def bins_counted_from_one(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x - 1].log()


@mistake(
    LOG_PROB,
    killed_by=EMPTY,
    says="You take what is below 10^-30 for zero. It is a probability like others: its logarithm is asked for.",
    when=lambda pi: ((pi > 0) & (pi < 1e-30)).any(),
)
def nothing_below_a_threshold(pi: Tensor, x: Tensor) -> Tensor:
    return torch.where(pi < 1e-30, 0.0, pi).log()[x]


@variant(LOG_PROB)
def by_gather(pi: Tensor, x: Tensor) -> Tensor:
    return pi.gather(0, x).log()


@variant(LOG_PROB)
def one_sample_at_a_time(pi: Tensor, x: Tensor) -> Tensor:
    return torch.stack([torch.log(pi[int(x_i)]) for x_i in x])


@variant(LOG_PROB)
def logarithm_before_picking(pi: Tensor, x: Tensor) -> Tensor:
    return pi.log()[x]


@variant(LOG_PROB)
def logarithms_by_gather(pi: Tensor, x: Tensor) -> Tensor:
    return torch.gather(torch.log(pi), dim=-1, index=x)


@variant(LOG_PROB)
def product_with_one_hots(pi: Tensor, x: Tensor) -> Tensor:
    return torch.log(torch.nn.functional.one_hot(x, len(pi)).to(pi.dtype) @ pi)


@mistake(LOG_PROB, killed_by="test_log_prob_is_differentiable", says=ONE_ROW)
def one_draw_without_graph(pi: Tensor, x: Tensor) -> Tensor:
    return without_graph_where(len(x) == 1, pi[x].log())


# -- sample_histogram --


@mistake(SAMPLE, killed_by=LAW, says="You returned the most probable bin every time: that is the mode, not a sample.")
def always_the_mode(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return pi.argmax().expand(n).clone()


@mistake(SAMPLE, killed_by=LAW, says="You ignored pi and drew all bins equally often.")
def uniform_over_the_bins(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(torch.ones_like(pi), n, generator)


@mistake(SAMPLE, killed_by=LAW, says="pi holds probabilities already: a softmax of them is another, flatter distribution.")
def softmax_of_probabilities(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi.softmax(dim=0), n, generator)


@mistake(SAMPLE, killed_by=LAW, says="You draw from the square of pi, normalised, which is a sharper distribution.")
def sharpened_probabilities(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi**2, n, generator)


@mistake(SAMPLE, killed_by=LAW, says="The inverse of the cumulative distribution is off by one bin.")
def inverse_cdf_off_by_one(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return (_multinomial(pi, n, generator) + 1).clamp(max=len(pi) - 1)


@mistake(
    SAMPLE,
    killed_by="test_a_sample_is_a_vector_of_bins",
    says="You keep probabilities away from zero. An empty bin never comes up, and many empty bins add up.",
)
def empty_bins_get_a_little(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi.clamp(min=1e-4), n, generator)


@mistake(SAMPLE, killed_by=LAW, says="You smoothed pi before sampling: bins without mass must never come up.")
def samples_from_a_smoothed_histogram(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi + 0.02, n, generator)


@mistake(SAMPLE, killed_by=BATCH, says="You drew without replacement: once a bin has come up it cannot come up again.")
def without_replacement(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    rounds = [torch.multinomial(pi, int((pi > 0).sum()), generator=generator) for _ in range(n)]
    return torch.cat(rounds)[:n]


@mistake(SAMPLE, killed_by=BATCH, says="You drew once and repeated the draw: the samples of a batch must be independent.")
def one_draw_repeated(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, 1, generator).repeat(n)


@mistake(
    SAMPLE, killed_by=BATCH, says="You used one uniform number for two samples (u and 1 - u): the samples of a batch must be independent."
)
def antithetic_pairs(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    u = torch.rand((n + 1) // 2, generator=generator)
    return _inverse_cdf(pi, torch.stack([u, 1 - u], dim=1).flatten()[:n])


@mistake(
    SAMPLE,
    killed_by="test_a_batch_of_two_is_two_draws",
    says="Stratified uniforms make every batch almost exactly proportional to pi: independent draws are not.",
)
def stratified_uniforms(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    u = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    return _inverse_cdf(pi, u[torch.randperm(n, generator=generator)])


@mistake(SAMPLE, killed_by=BATCH, says="You returned the samples in order. Independent draws come in no order.")
def sorted_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator).sort().values


@mistake(SAMPLE, killed_by=GENERATOR, says="Your draws start from a fixed seed, so that every call gives the same samples.")
def reseeds_the_generator(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator.manual_seed(0))


@mistake(SAMPLE, killed_by=GENERATOR, says=NOT_MOVED_ON)
def draws_from_a_copy_of_the_generator(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    copy = torch.Generator()
    copy.set_state(generator.get_state())
    return _multinomial(pi, n, copy)


@mistake(SAMPLE, killed_by=GENERATOR, says=NOT_MOVED_ON)
def generator_from_the_initial_seed(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, torch.Generator().manual_seed(generator.initial_seed()))


@mistake(SAMPLE, killed_by=GENERATOR, says="You ignored the generator and drew from the global random state.")
def global_random_state(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, None)


@mistake(SAMPLE, killed_by=GENERATOR, says=FEW)
def one_of_256_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, one_of_256(generator))


@mistake(SAMPLE, killed_by="test_samples_are_int64", says="Bins are numbers of dtype int64: you returned floats.")
def float_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator).to(pi.dtype)


@mistake(SAMPLE, killed_by="test_a_sample_is_a_vector_of_bins", says="You returned one-hot vectors: the numbers of the bins are asked for.")
def one_hot_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return torch.nn.functional.one_hot(_multinomial(pi, n, generator), len(pi))


@mistake(SAMPLE, killed_by="test_a_sample_is_a_vector_of_bins", says="A batch of one sample is a vector of length one, not a number.")
def single_sample_without_batch_axis(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator).squeeze()


@mistake(SAMPLE, killed_by="test_samples_are_int64", says="Bins are numbers of dtype int64: you returned int32.")
def int32_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator).int()


@mistake(SAMPLE, killed_by=LAW, says="Now and then you draw from all possible bins alike, whatever pi says.")
def mixed_with_uniform(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(0.9 * pi + 0.1 * (pi > 0) / (pi > 0).sum(), n, generator)


@mistake(SAMPLE, killed_by=LAW, says="You set small probabilities to zero. Rare bins come up, rarely.")
def small_probabilities_left_out(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    kept = torch.where(pi < 0.01, 0, pi)
    return _multinomial(kept if kept.sum() > 0 else pi, n, generator)


@mistake(SAMPLE, killed_by=LAW, says="You set small probabilities to zero. Many rare bins together come up often.")
def tiny_probabilities_left_out(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    kept = torch.where(pi < 1e-3, 0, pi)
    return _multinomial(kept if kept.sum() > 0 else pi, n, generator)


@mistake(SAMPLE, killed_by=LAW, says="You drew from a table of 100 slots: probabilities are no multiples of one per cent.")
def table_of_a_hundred_slots(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    slots = (100 * pi).round()
    return _multinomial(slots if slots.sum() > 0 else pi, n, generator)


@mistake(SAMPLE, killed_by=LAW, says="You drew at most 1000 samples and repeated them. All n of them are draws of their own.")
def tiled_after_a_thousand(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, min(n, 1000), generator).repeat(-(-n // 1000))[:n]


@mistake(SAMPLE, killed_by=LAW, says="The second half of a batch repeats the first.")
def the_same_half_twice(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    half = _multinomial(pi, (n + 1) // 2, generator)
    return torch.cat([half, half])[:n]


@mistake(SAMPLE, killed_by=BATCH, says="The second half of a batch comes from the mirror images of the uniform numbers of the first.")
def antithetic_halves(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    u = torch.rand((n + 1) // 2, generator=generator)
    return _inverse_cdf(pi, torch.cat([u, 1 - u])[:n])


@mistake(
    SAMPLE,
    killed_by="test_samples_repeat_one_another_as_chance_has_it",
    says="The samples of a batch are drawn from a few draws of their own law: a bootstrap repeats them.",
)
def bootstrap_of_a_batch(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator)[torch.randint(n, (n,), generator=generator)]


@mistake(
    SAMPLE,
    killed_by="test_samples_repeat_one_another_as_chance_has_it",
    says="A tenth of the samples are copies of others. Each is a draw of its own.",
)
def a_tenth_copied(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    x, order = _multinomial(pi, n, generator), torch.randperm(n, generator=generator)
    x[order[: n // 10]] = x[order[n - n // 10 :]]
    return x


@mistake(
    SAMPLE,
    killed_by="test_samples_repeat_one_another_as_chance_has_it",
    says="The second half of a batch repeats the first in another order.",
)
def shuffled_halves(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    half = _multinomial(pi, (n + 1) // 2, generator)
    return torch.cat([half, half[torch.randperm(len(half), generator=generator)]])[:n]


@mistake(
    SAMPLE,
    killed_by="test_samples_repeat_one_another_as_chance_has_it",
    says="You draw with u in the first half of the batch and with 1 - u in the second: the halves mirror each other. Draw n numbers.",
)
def halves_that_mirror_each_other(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    u = torch.rand(n // 2 + 1, generator=generator)
    return _inverse_cdf(pi, torch.cat([u, 1 - u])[:n])


@mistake(
    SAMPLE,
    killed_by="test_a_batch_of_two_is_two_draws",
    says="For n = 1 you return the likeliest bin. A single sample is drawn, too.",
    when=lambda n: n == 1,
)
def single_sample_is_the_mode(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator) if n > 1 else pi.argmax()[None]


@mistake(
    SAMPLE,
    killed_by="test_a_batch_of_two_is_two_draws",
    says="The last sample of a batch is always the likeliest bin. It is a draw like the others.",
    when=lambda n: n > 2,
)
def last_sample_is_the_mode(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    x = _multinomial(pi, n, generator)
    if n > 2:
        x[-1] = pi.argmax()
    return x


@variant(SAMPLE)
def inverse_cdf(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _inverse_cdf(pi, torch.rand(n, generator=generator, dtype=torch.float64))


@variant(SAMPLE)
def gumbel_max(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    exponential = torch.empty(n, len(pi), dtype=torch.float64).exponential_(generator=generator)
    return (pi.double().log() - exponential.log()).argmax(dim=1)


@variant(SAMPLE)
def one_draw_at_a_time(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return torch.cat([torch.multinomial(pi, 1, generator=generator) for _ in range(n)])


@variant(SAMPLE)
def batch_of_categorical_logits(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """The maximum of log-probabilities and Gumbel noise, in the dtype of pi."""
    u = torch.rand(n, len(pi), generator=generator, dtype=torch.float64)
    gumbel = -torch.log(-torch.log(u))
    return torch.argmax(torch.log(pi) + gumbel, dim=-1)


@variant(SAMPLE)
def cumulative_sums_compared(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    u = torch.rand(n, 1, generator=generator, dtype=torch.double)
    cdf = torch.cumsum(pi.double(), 0)
    return (u * cdf[-1] >= cdf).sum(1).clamp(max=int(pi.nonzero().max()))


@variant(SAMPLE)
def categorical_draws_in_order_shuffled(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    x = torch.multinomial(pi.expand(n, -1), 1, generator=generator).squeeze(1)
    return x[torch.randperm(n, generator=generator)]


def _multinomial(pi: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(pi, n, replacement=True, generator=generator)


def _inverse_cdf(pi: Tensor, u: Tensor) -> Tensor:
    cdf = pi.double().cumsum(dim=0)
    return torch.searchsorted(cdf / cdf[-1], u.double(), right=True).clamp(max=len(pi) - 1)
