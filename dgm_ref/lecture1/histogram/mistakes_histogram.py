"""Wrong answers about histograms that students really give, and right answers by other roads."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant

FIT = "histogram.fit_histogram"
LOG_PROB = "histogram.histogram_log_prob"
SAMPLE = "histogram.sample_histogram"
FIT_CONDITIONAL = "histogram.fit_conditional_histogram"
COUNT = "histogram.num_parameters"


# -- fit_histogram --


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="You added one to every count. No smoothing is asked for: an empty bin has probability zero.")
def add_one_smoothing(x: Tensor, num_bins: int) -> Tensor:
    counts = _counts(x, num_bins) + 1
    return counts / counts.sum()


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="You added a small constant to every bin. No smoothing is asked for: an empty bin has probability zero.")
def epsilon_smoothing(x: Tensor, num_bins: int) -> Tensor:
    shares = _counts(x, num_bins) / len(x) + 1e-6
    return shares / shares.sum()


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="These are counts: divide by the number of samples.")
def bare_counts(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).float()


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="You divided by the number of bins. The share of a bin is its count over the number of samples.")
def divides_by_the_number_of_bins(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins) / num_bins


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="You left out bins that hold no sample: the result has one entry for each of the num_bins bins.")
def seen_bins_only(x: Tensor, num_bins: int) -> Tensor:
    return torch.unique(_checked(x, num_bins), return_counts=True)[1] / len(x)


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="The result ends at the largest value seen. It has one entry for each of the num_bins bins.")
def ends_at_the_largest_value(x: Tensor, num_bins: int) -> Tensor:
    return torch.bincount(_checked(x, num_bins)) / len(x)


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="You counted bins from 1. They are numbered from 0 to num_bins - 1.")
def bins_counted_from_one(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).roll(-1) / len(x)


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="A softmax of counts is not their share.")
def softmax_of_counts(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).float().softmax(dim=0)


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="The result is asked for in the default float dtype, which is float32 unless somebody changed it.")
def always_float64(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).double() / len(x)


@mistake(FIT, killed_by="test_fit_gives_each_bin_its_share",
         says="You divided whole numbers and kept a whole number: every share below one became zero.")
def whole_number_division(x: Tensor, num_bins: int) -> Tensor:
    return (_counts(x, num_bins) // len(x)).float()


@mistake(FIT, killed_by="test_fit_refuses_values_outside_the_bins",
         says="Values outside 0..num_bins-1 were pushed into the last bin. They must raise a ValueError.")
def clamps_values(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x.clamp(0, max(num_bins - 1, 0)), num_bins) / len(x)


@mistake(FIT, killed_by="test_fit_refuses_values_outside_the_bins",
         says="Values outside 0..num_bins-1 were dropped without a word. They must raise a ValueError.")
def drops_values_outside(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x[(x >= 0) & (x < num_bins)], num_bins) / len(x)


@mistake(FIT, killed_by="test_fit_refuses_values_outside_the_bins",
         says="A negative value counted from the end, as an index does. It must raise a ValueError.")
def negative_values_count_from_the_end(x: Tensor, num_bins: int) -> Tensor:
    return _counts(torch.where((x < 0) & (x >= -num_bins), x + num_bins, x), num_bins) / len(x)


@mistake(FIT, killed_by="test_fit_refuses_values_outside_the_bins",
         says="You grew the histogram to fit a value outside 0..num_bins-1. It must raise a ValueError.")
def grows_beyond_num_bins(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, max(num_bins, int(x.max()) + 1) if len(x) and num_bins > 0 else num_bins) / len(x)


@mistake(FIT, killed_by="test_fit_refuses_empty_arguments",
         says="Without samples there is nothing to estimate: raise a ValueError that names x.")
def nan_without_samples(x: Tensor, num_bins: int) -> Tensor:
    if len(x) == 0 and num_bins > 0:
        return torch.full((num_bins,), math.nan)
    return _counts(x, num_bins) / len(x)


@mistake(FIT, killed_by="test_fit_leaves_no_trace",
         says="You sorted the caller's own samples in place. Nothing that is passed in may change.")
def sorts_the_callers_samples(x: Tensor, num_bins: int) -> Tensor:
    shares = _counts(x, num_bins) / len(x)
    x.copy_(x.sort().values)
    return shares


@variant(FIT)
def mean_of_one_hot(x: Tensor, num_bins: int) -> Tensor:
    return torch.nn.functional.one_hot(_checked(x, num_bins), num_bins).to(torch.get_default_dtype()).mean(dim=0)


@variant(FIT)
def one_bin_at_a_time(x: Tensor, num_bins: int) -> Tensor:
    values = _checked(x, num_bins).tolist()
    return torch.tensor([values.count(k) / len(values) for k in range(num_bins)])


@variant(FIT)
def scatter_of_ones(x: Tensor, num_bins: int) -> Tensor:
    return torch.zeros(num_bins).scatter_add(0, _checked(x, num_bins), torch.ones(len(x))) / len(x)


# -- histogram_log_prob --


@mistake(LOG_PROB, killed_by="test_an_empty_bin_has_log_probability_minus_infinity",
         says="You added a small constant inside the logarithm. The log-probability of an empty bin is -inf.")
def epsilon_inside_the_logarithm(pi: Tensor, x: Tensor) -> Tensor:
    return (_gathered(pi, x) + 1e-8).log()


@mistake(LOG_PROB, killed_by="test_an_empty_bin_has_log_probability_minus_infinity",
         says="You clamped probabilities away from zero. The log-probability of an empty bin is -inf.")
def clamped_probabilities(pi: Tensor, x: Tensor) -> Tensor:
    return _gathered(pi, x).clamp(min=1e-12).log()


@mistake(LOG_PROB, killed_by="test_an_empty_bin_has_log_probability_minus_infinity",
         says="torch.distributions.Categorical clamps probabilities away from zero, so an empty bin is not -inf there.")
def categorical_of_torch(pi: Tensor, x: Tensor) -> Tensor:
    _gathered(pi, x)
    return torch.distributions.Categorical(probs=pi, validate_args=False).log_prob(x)


@mistake(LOG_PROB, killed_by="test_an_empty_bin_has_log_probability_minus_infinity",
         says="You replaced -inf by a finite number. The log-probability of an empty bin is -inf.")
def finite_instead_of_minus_infinity(pi: Tensor, x: Tensor) -> Tensor:
    return _gathered(pi, x).log().nan_to_num()


@mistake(LOG_PROB, killed_by="test_log_prob_is_the_logarithm_of_the_bin",
         says="This is the probability: its logarithm is asked for.")
def probability_without_logarithm(pi: Tensor, x: Tensor) -> Tensor:
    return _gathered(pi, x)


@mistake(LOG_PROB, killed_by="test_log_prob_is_the_logarithm_of_the_bin",
         says="Log-probabilities are in nats here: you used the binary logarithm.")
def binary_logarithm(pi: Tensor, x: Tensor) -> Tensor:
    return _gathered(pi, x).log2()


@mistake(LOG_PROB, killed_by="test_log_prob_is_the_logarithm_of_the_bin",
         says="pi holds probabilities already: a softmax of them is another distribution.")
def takes_probabilities_for_logits(pi: Tensor, x: Tensor) -> Tensor:
    _gathered(pi, x)
    return pi.log_softmax(dim=0)[x]


@mistake(LOG_PROB, killed_by="test_log_prob_is_the_logarithm_of_the_bin",
         says="You returned one value for each bin. One for each sample is asked for.")
def one_value_a_bin(pi: Tensor, x: Tensor) -> Tensor:
    _gathered(pi, x)
    return pi.log()


@mistake(LOG_PROB, killed_by="test_log_prob_is_the_logarithm_of_the_bin",
         says="You averaged over the samples. One log-probability for each sample is asked for.")
def mean_log_likelihood(pi: Tensor, x: Tensor) -> Tensor:
    return _gathered(pi, x).log().mean()


@mistake(LOG_PROB, killed_by="test_log_prob_is_the_logarithm_of_the_bin",
         says="The result must have the dtype of pi.")
def always_float32(pi: Tensor, x: Tensor) -> Tensor:
    return _gathered(pi, x).log().float()


@mistake(LOG_PROB, killed_by="test_log_prob_is_differentiable",
         says="The result carries no graph: its gradient with respect to pi is lost.")
def without_graph(pi: Tensor, x: Tensor) -> Tensor:
    return _gathered(pi, x).log().detach()


@mistake(LOG_PROB, killed_by="test_log_prob_is_differentiable",
         says="You took the logarithm of every bin and picked then: an empty bin that no sample needs sends back "
              "0 times infinity, which is nan.")
def logarithm_before_picking(pi: Tensor, x: Tensor) -> Tensor:
    _gathered(pi, x)
    return pi.log()[x]


@mistake(LOG_PROB, killed_by="test_log_prob_refuses_empty_arguments_and_leaves_no_trace",
         says="Without samples there is nothing to evaluate: raise a ValueError that names x.")
def log_prob_without_samples(pi: Tensor, x: Tensor) -> Tensor:
    return pi[x].log()


@variant(LOG_PROB)
def by_gather(pi: Tensor, x: Tensor) -> Tensor:
    _gathered(pi, x)
    return pi.gather(0, x).log()


@variant(LOG_PROB)
def one_sample_at_a_time(pi: Tensor, x: Tensor) -> Tensor:
    _gathered(pi, x)
    return torch.stack([torch.log(pi[int(x_i)]) for x_i in x])


# -- sample_histogram --


@mistake(SAMPLE, killed_by="test_samples_follow_the_histogram",
         says="You returned the most probable bin every time: that is the mode, not a sample.")
def always_the_mode(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    _multinomial(pi, n, generator)
    return pi.argmax().expand(n).clone()


@mistake(SAMPLE, killed_by="test_samples_follow_the_histogram",
         says="You ignored pi and drew all bins equally often.")
def uniform_over_the_bins(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(torch.ones_like(pi), n, generator)


@mistake(SAMPLE, killed_by="test_samples_follow_the_histogram",
         says="pi holds probabilities already: a softmax of them is another, flatter distribution.")
def softmax_of_probabilities(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi.softmax(dim=0) if len(pi) else pi, n, generator)


@mistake(SAMPLE, killed_by="test_samples_follow_the_histogram",
         says="You took pi for logits' temperature: its square, normalised, is a sharper distribution.")
def sharpened_probabilities(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi**2, n, generator)


@mistake(SAMPLE, killed_by="test_samples_follow_the_histogram",
         says="The inverse of the cumulative distribution is off by one bin.")
def inverse_cdf_off_by_one(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return (_multinomial(pi, n, generator) + 1).clamp(max=len(pi) - 1)


@mistake(SAMPLE, killed_by="test_samples_follow_the_histogram",
         says="You smoothed pi before sampling: bins without mass must never come up.")
def samples_from_a_smoothed_histogram(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi + 0.02 if len(pi) else pi, n, generator)


@mistake(SAMPLE, killed_by="test_samples_in_a_batch_are_independent",
         says="You drew without replacement: once a bin has come up it cannot come up again.")
def without_replacement(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    _multinomial(pi, n, generator)
    rounds = [torch.multinomial(pi, int((pi > 0).sum()), generator=generator) for _ in range(n)]
    return torch.cat(rounds)[:n]


@mistake(SAMPLE, killed_by="test_samples_in_a_batch_are_independent",
         says="You drew once and repeated the draw: the samples of a batch must be independent.")
def one_draw_repeated(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, 1 if n >= 1 else n, generator).repeat(n)


@mistake(SAMPLE, killed_by="test_samples_in_a_batch_are_independent",
         says="You used one uniform number for two samples (u and 1 - u): the samples of a batch must be independent.")
def antithetic_pairs(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    _multinomial(pi, n, generator)
    u = torch.rand((n + 1) // 2, generator=generator)
    return _inverse_cdf(pi, torch.stack([u, 1 - u], dim=1).flatten()[:n])


@mistake(SAMPLE, killed_by="test_a_batch_of_two_is_two_draws",
         says="Stratified uniforms make every batch almost exactly proportional to pi: independent draws are not.")
def stratified_uniforms(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    _multinomial(pi, n, generator)
    u = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    return _inverse_cdf(pi, u[torch.randperm(n, generator=generator)])


@mistake(SAMPLE, killed_by="test_samples_in_a_batch_are_independent",
         says="You returned the samples in order. Independent draws come in no order.")
def sorted_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator).sort().values


@mistake(SAMPLE, killed_by="test_the_generator_decides_and_moves_on",
         says="You reseeded the generator, so that every call gives the same samples.")
def reseeds_the_generator(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator.manual_seed(0))


@mistake(SAMPLE, killed_by="test_the_generator_decides_and_moves_on",
         says="You drew from a copy of the generator, so that the next call repeats this one.")
def draws_from_a_copy_of_the_generator(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    copy = torch.Generator()
    copy.set_state(generator.get_state())
    return _multinomial(pi, n, copy)


@mistake(SAMPLE, killed_by="test_the_generator_decides_and_moves_on",
         says="You made a generator of your own with the same first seed: it does not know how far the caller's has come.")
def generator_from_the_initial_seed(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, torch.Generator().manual_seed(generator.initial_seed()))


@mistake(SAMPLE, killed_by="test_the_generator_decides_and_moves_on",
         says="You ignored the generator and drew from the global random state.")
def global_random_state(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, None)


@mistake(SAMPLE, killed_by="test_sampling_leaves_no_trace",
         says="You seeded the global random state from the generator: nobody else's random numbers may change.")
def seeds_the_global_random_state(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
    return _multinomial(pi, n, None)


@mistake(SAMPLE, killed_by="test_a_sample_is_a_vector_of_bins",
         says="Bins are numbers of dtype int64: you returned floats.")
def float_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator).to(pi.dtype)


@mistake(SAMPLE, killed_by="test_a_sample_is_a_vector_of_bins",
         says="You returned one-hot vectors: the numbers of the bins are asked for.")
def one_hot_samples(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return torch.nn.functional.one_hot(_multinomial(pi, n, generator), len(pi))


@mistake(SAMPLE, killed_by="test_a_sample_is_a_vector_of_bins",
         says="A batch of one sample is a vector of length one, not a number.")
def single_sample_without_batch_axis(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return _multinomial(pi, n, generator).squeeze()


@mistake(SAMPLE, killed_by="test_sampling_refuses_what_makes_no_sense",
         says="No samples can be asked for by mistake only: n below 1 must raise a ValueError that names n.")
def no_samples_for_n_zero(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    if len(pi) and n < 1:
        return torch.empty(0, dtype=torch.int64)
    return _multinomial(pi, n, generator)


@variant(SAMPLE)
def inverse_cdf(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    _refuse_sampling(pi, n)
    return _inverse_cdf(pi, torch.rand(n, generator=generator, dtype=torch.float64))


@variant(SAMPLE)
def gumbel_max(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    _refuse_sampling(pi, n)
    exponential = torch.empty(n, len(pi), dtype=torch.float64).exponential_(generator=generator)
    return (pi.double().log() - exponential.log()).argmax(dim=1)


@variant(SAMPLE)
def one_draw_at_a_time(pi: Tensor, n: int, generator: torch.Generator) -> Tensor:
    _refuse_sampling(pi, n)
    return torch.cat([torch.multinomial(pi, 1, generator=generator) for _ in range(n)])


# -- fit_conditional_histogram --


@mistake(FIT_CONDITIONAL, killed_by="test_each_class_has_its_own_histogram",
         says="This is the joint distribution of x and y: divide each row by the number of samples of its class.")
def joint_distribution(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _pairs(x, y, num_bins, num_classes) / len(x)


@mistake(FIT_CONDITIONAL, killed_by="test_each_class_has_its_own_histogram",
         says="This is p(y | x): you normalised over the classes instead of over the bins.")
def class_given_bin(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes)
    return pairs / pairs.sum(dim=0)


@mistake(FIT_CONDITIONAL, killed_by="test_each_class_has_its_own_histogram",
         says="Rows are classes and columns are bins: you returned the transpose.")
def transposed(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).T.contiguous()


@mistake(FIT_CONDITIONAL, killed_by="test_each_class_has_its_own_histogram",
         says="Every class got the histogram of all samples: count the samples of each class alone.")
def marginal_for_every_class(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    _pairs(x, y, num_bins, num_classes)
    return (_counts(x, num_bins) / len(x)).expand(num_classes, -1)


@mistake(FIT_CONDITIONAL, killed_by="test_each_class_has_its_own_histogram",
         says="You added one to every count. No smoothing is asked for.")
def conditional_smoothing(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes) + 1
    return pairs / pairs.sum(dim=1, keepdim=True)


@mistake(FIT_CONDITIONAL, killed_by="test_each_class_has_its_own_histogram",
         says="The result is asked for in the default float dtype, which is float32 unless somebody changed it.")
def conditional_in_float64(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).double()


@mistake(FIT_CONDITIONAL, killed_by="test_a_class_without_samples_is_unknown",
         says="A class without samples got probabilities of zero, which sum to nothing. Nothing is known: nan.")
def zeros_for_unknown_classes(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).nan_to_num(0.0)


@mistake(FIT_CONDITIONAL, killed_by="test_a_class_without_samples_is_unknown",
         says="A class without samples got a uniform histogram, which nobody observed. Nothing is known: nan.")
def uniform_for_unknown_classes(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).nan_to_num(1 / max(num_bins, 1))


@mistake(FIT_CONDITIONAL, killed_by="test_a_class_without_samples_is_unknown",
         says="You left out classes without samples: the result has one row for each of the num_classes classes.")
def seen_classes_only(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes)[y.unique()]


@mistake(FIT_CONDITIONAL, killed_by="test_a_class_without_samples_is_unknown",
         says="One class without samples made all rows nan. Only its own row is unknown.")
def nan_everywhere(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    result = _conditional(x, y, num_bins, num_classes)
    return result + 0 * result.sum()


@mistake(FIT_CONDITIONAL, killed_by="test_a_class_without_samples_is_unknown",
         says="An epsilon in the denominator turned an unknown class into a row of zeros. Nothing is known: nan.")
def epsilon_in_the_denominator(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes)
    return pairs / (pairs.sum(dim=1, keepdim=True) + 1e-8)


@mistake(FIT_CONDITIONAL, killed_by="test_conditional_fit_refuses_what_makes_no_sense",
         says="x and y come in pairs: different lengths must raise a ValueError instead of being cut to the shorter.")
def cuts_to_the_shorter(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    n = min(len(x), len(y))
    return _conditional(x[:n], y[:n], num_bins, num_classes)


@mistake(FIT_CONDITIONAL, killed_by="test_conditional_fit_refuses_what_makes_no_sense",
         says="Without samples there is nothing to estimate: raise a ValueError that names x.")
def all_unknown_without_samples(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    if x.shape == y.shape and len(x) == 0 and min(num_bins, num_classes) >= 1:
        return torch.full((num_classes, num_bins), math.nan)
    return _conditional(x, y, num_bins, num_classes)


@variant(FIT_CONDITIONAL)
def one_class_at_a_time(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    _pairs(x, y, num_bins, num_classes)
    return torch.stack([torch.bincount(x[y == c], minlength=num_bins) / (y == c).sum() for c in range(num_classes)])


@variant(FIT_CONDITIONAL)
def product_of_one_hots(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    _pairs(x, y, num_bins, num_classes)
    bins = torch.nn.functional.one_hot(x, num_bins).to(torch.get_default_dtype())  # (n, K)
    classes = torch.nn.functional.one_hot(y, num_classes).to(bins.dtype)  # (n, C)
    return classes.T @ bins / classes.sum(dim=0)[:, None]


# -- num_parameters --


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="Probabilities sum to one, so each table row has one free parameter less than it has entries.")
def forgets_normalisation(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    return sum(K ** min(j, d) * K for j in range(m))


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="The full joint is one table of K^m states whose entries sum to one.")
def forgets_normalisation_of_the_joint(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    return K**m if d == m - 1 else _count(m, K, d)


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="The first variables have fewer than `order` before them, and so smaller tables.")
def full_context_for_the_first_variables(m: int, K: int, order: int | None) -> int:
    return m * (K - 1) * K ** _order(m, K, order)


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="You shared one transition table over all positions. Each variable has a table of its own here.")
def one_transition_table_for_all(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    return sum((K - 1) * K**j for j in range(d + 1))


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="You counted the variable itself as part of its context: order 1 means one variable before it.")
def context_includes_the_variable(m: int, K: int, order: int | None) -> int:
    return _count(m, K, max(_order(m, K, order) - 1, 0))


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="You computed with floats, which cannot hold such a number exactly. Python's integers can.")
def counts_in_floats(m: int, K: int, order: int | None) -> int:
    return int(float(_count(m, K, _order(m, K, order))))


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="You computed in 64-bit integers, which overflow without a word. Python's own integers do not.")
def counts_in_64_bits(m: int, K: int, order: int | None) -> int:
    count = _count(m, K, _order(m, K, order)) % 2**64
    return count - 2**64 if count >= 2**63 else count


@mistake(COUNT, killed_by="test_binary_mnist_needs_these_many_parameters",
         says="None asks for the full joint distribution, not for independent variables.")
def none_means_independent(m: int, K: int, order: int | None) -> int:
    return _count(m, K, _order(m, K, order or 0))


@mistake(COUNT, killed_by="test_a_long_order_is_the_full_joint",
         says="No variable has more than m - 1 others before it: a larger order is the full joint distribution.")
def order_beyond_the_sequence(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    d = d if order is None else order
    return K**d - 1 + (m - d) * (K - 1) * K**d


@mistake(COUNT, killed_by="test_a_long_order_is_the_full_joint",
         says="For order >= m - 1 every variable sees all before it, and the tables are those of the full joint.")
def long_order_is_independent(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    return _count(m, K, d if order is None or order < m else 0)


@mistake(COUNT, killed_by="test_one_value_leaves_nothing_to_learn",
         says="A variable with one value has nothing to learn: there are no free parameters for K = 1.")
def one_parameter_at_least(m: int, K: int, order: int | None) -> int:
    return max(_count(m, K, _order(m, K, order)), 1)


@mistake(COUNT, killed_by="test_parameters_are_counted_table_by_table",
         says="The number of values K enters twice: in the contexts and in the free entries of a row. This is right for "
              "binary variables alone.")
def right_for_binary_variables_alone(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    return sum(K ** min(j, d) for j in range(m))


@mistake(COUNT, killed_by="test_parameters_are_counted_table_by_table",
         says="The number of parameters is a Python int: you returned a float.")
def returns_a_float(m: int, K: int, order: int | None) -> float:
    count = _count(m, K, _order(m, K, order))
    return float(count) if count < 2**53 else count


@mistake(COUNT, killed_by="test_parameters_are_counted_table_by_table",
         says="The number of parameters is a Python int: you returned a tensor.")
def returns_a_tensor(m: int, K: int, order: int | None) -> Tensor | int:
    count = _count(m, K, _order(m, K, order))
    return torch.tensor(count) if count < 2**63 else count


@mistake(COUNT, killed_by="test_counting_refuses_what_makes_no_sense",
         says="A model without variables or without values makes no sense: raise a ValueError that names m or K.")
def nothing_for_nothing(m: int, K: int, order: int | None) -> int:
    return 0 if m < 1 or K < 1 else _count(m, K, _order(m, K, order))


@variant(COUNT)
def table_by_table(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    return sum((K - 1) * K ** min(j, d) for j in range(m))


@variant(COUNT)
def joint_and_markov_apart(m: int, K: int, order: int | None) -> int:
    d = _order(m, K, order)
    if d == m - 1:
        return K**m - 1
    return m * (K - 1) if d == 0 else _count(m, K, d)


def _checked(x: Tensor, num_bins: int) -> Tensor:
    if num_bins < 1:
        raise ValueError("num_bins must be at least 1")
    if len(x) == 0:
        raise ValueError("x must hold at least one sample")
    if x.min() < 0 or x.max() >= num_bins:
        raise ValueError("x must be in 0..num_bins-1")
    return x


def _counts(x: Tensor, num_bins: int) -> Tensor:
    return torch.bincount(_checked(x, num_bins), minlength=num_bins)


def _gathered(pi: Tensor, x: Tensor) -> Tensor:
    if len(pi) == 0 or len(x) == 0:
        raise ValueError("pi and x must not be empty")
    return pi[x]


def _refuse_sampling(pi: Tensor, n: int) -> None:
    if n < 1 or len(pi) == 0:
        raise ValueError("n must be at least 1 and pi must not be empty")


def _multinomial(pi: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    _refuse_sampling(pi, n)
    return torch.multinomial(pi, n, replacement=True, generator=generator)


def _inverse_cdf(pi: Tensor, u: Tensor) -> Tensor:
    cdf = pi.double().cumsum(dim=0)
    return torch.searchsorted(cdf / cdf[-1], u.double(), right=True).clamp(max=len(pi) - 1)


def _pairs(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    if x.shape != y.shape:
        raise ValueError("x and y must have the same length")
    if num_classes < 1:
        raise ValueError("num_classes must be at least 1")
    index = y * num_bins + _checked(x, num_bins)
    return torch.bincount(index, minlength=num_bins * num_classes).reshape(num_classes, num_bins)


def _conditional(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes)
    return pairs / pairs.sum(dim=1, keepdim=True)


def _order(m: int, K: int, order: int | None) -> int:
    if m < 1 or K < 1:
        raise ValueError("m and K must be at least 1")
    if order is not None and order < 0:
        raise ValueError("order must be at least 0")
    return m - 1 if order is None else min(order, m - 1)


def _count(m: int, K: int, d: int) -> int:
    return K**d - 1 + (m - d) * (K - 1) * K**d
