"""Wrong answers about fitted histograms that students really give, and right answers by other roads."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import EPSILONS, mistake, variant

FIT = "histogram.fit_histogram"
FIT_CONDITIONAL = "histogram.fit_conditional_histogram"
HALVES = "test_three_of_four_samples_are_in_one_bin"
SHARES = "test_each_bin_has_its_share"
PAIRS = "test_three_pairs_make_two_histograms"


# -- fit_histogram --


@mistake(FIT, killed_by=HALVES, says="You added one to every count. No smoothing is asked for: an empty bin has probability zero.")
def add_one_smoothing(x: Tensor, num_bins: int) -> Tensor:
    counts = _counts(x, num_bins) + 1
    return counts / counts.sum()


@mistake(
    FIT, killed_by=HALVES, says="You added a small constant to every bin. No smoothing is asked for: an empty bin has probability zero."
)
def epsilon_smoothing(x: Tensor, num_bins: int) -> Tensor:
    shares = _counts(x, num_bins) / len(x) + 1e-6
    return shares / shares.sum()


@mistake(FIT, killed_by=HALVES, says="These are counts: divide by the number of samples.")
def bare_counts(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).float()


@mistake(FIT, killed_by=HALVES, says="You divided by the number of bins. The share of a bin is its count over the number of samples.")
def divides_by_the_number_of_bins(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins) / num_bins


@mistake(FIT, killed_by=HALVES, says="You left out bins that hold no sample: the result has one entry for each of the num_bins bins.")
def seen_bins_only(x: Tensor, num_bins: int) -> Tensor:
    return torch.unique(_checked(x, num_bins), return_counts=True)[1] / len(x)


@mistake(FIT, killed_by=HALVES, says="The result ends at the largest value seen. It has one entry for each of the num_bins bins.")
def ends_at_the_largest_value(x: Tensor, num_bins: int) -> Tensor:
    return torch.bincount(_checked(x, num_bins)) / len(x)


@mistake(FIT, killed_by=HALVES, says="You counted bins from 1. They are numbered from 0 to num_bins - 1.")
def bins_counted_from_one(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).roll(-1) / len(x)


@mistake(FIT, killed_by=SHARES, says="You count in bytes, where 256 is 0 again. Leave x int64.", when=lambda x, num_bins: num_bins > 256)
def counts_bytes(x: Tensor, num_bins: int) -> Tensor:
    return _counts(_checked(x, num_bins).to(torch.uint8), num_bins) / len(x)


@mistake(FIT, killed_by=HALVES, says="A softmax of counts is not their share.")
def softmax_of_counts(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).float().softmax(dim=0)


@mistake(
    FIT,
    killed_by="test_shares_have_the_default_float_dtype",
    says="The result is asked for in the default float dtype, which is float32 unless somebody changed it.",
)
def always_float64(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).double() / len(x)


@mistake(FIT, killed_by=HALVES, says="You divided whole numbers and kept a whole number: every share below one became zero.")
def whole_number_division(x: Tensor, num_bins: int) -> Tensor:
    return (_counts(x, num_bins) // len(x)).float()


@mistake(
    FIT,
    killed_by="test_values_outside_the_bins_are_refused",
    says="Values outside 0..num_bins-1 were pushed into a bin at the end. They must raise a ValueError.",
)
def clamps_values(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x.clamp(0, num_bins - 1), num_bins) / len(x)


@mistake(
    FIT,
    killed_by="test_values_outside_the_bins_are_refused",
    says="Values outside 0..num_bins-1 were dropped without a word. They must raise a ValueError.",
)
def drops_values_outside(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x[(x >= 0) & (x < num_bins)], num_bins) / len(x)


@mistake(
    FIT,
    killed_by="test_values_outside_the_bins_are_refused",
    says="A negative value counted from the end, as an index does. It must raise a ValueError.",
)
def negative_values_count_from_the_end(x: Tensor, num_bins: int) -> Tensor:
    return _counts(torch.where((x < 0) & (x >= -num_bins), x + num_bins, x), num_bins) / len(x)


@mistake(
    FIT,
    killed_by="test_values_outside_the_bins_are_refused",
    says="You grew the histogram to fit a value outside 0..num_bins-1. It must raise a ValueError.",
)
def grows_beyond_num_bins(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, max(num_bins, int(x.max()) + 1)) / len(x)


@mistake(
    FIT, killed_by="test_shares_have_the_default_float_dtype", says="The shares are float32 whatever the default float dtype of torch is."
)
def always_float32(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).float() / len(x)


@mistake(
    FIT, killed_by="test_each_bin_has_its_share", says="You counted in half precision, which holds no whole numbers beyond 2048 exactly."
)
def counts_in_half_precision(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).half().to(torch.get_default_dtype()) / len(x)


@mistake(FIT, killed_by="test_each_bin_has_its_share", says="You counted in 8 bits, which overflow at 256.")
def counts_in_8_bits(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins).to(torch.uint8) / len(x)


@mistake(FIT, killed_by=HALVES, says="You divided by n - 1: the share of a bin is its count over the number of samples.")
def divides_by_n_minus_one(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x, num_bins) / max(len(x) - 1, 1)


@mistake(
    FIT,
    killed_by="test_each_bin_has_its_share",
    says="You averaged over full batches of 100 samples and dropped the rest. All samples count.",
)
def last_batch_dropped(x: Tensor, num_bins: int) -> Tensor:
    _checked(x, num_bins)
    kept = x[: len(x) // 100 * 100] if len(x) >= 100 else x
    return _counts(kept, num_bins) / len(kept)


@mistake(FIT, killed_by=HALVES, says="Each value that came up counts once, however often it did: count the samples.")
def equal_samples_counted_once(x: Tensor, num_bins: int) -> Tensor:
    shares = torch.zeros(num_bins)
    shares[_checked(x, num_bins)] += 1 / len(x)
    return shares


@mistake(
    FIT,
    killed_by="test_values_outside_the_bins_are_refused",
    says="You look at the first and the last sample only. Any of them may be outside.",
)
def looks_at_the_ends_alone(x: Tensor, num_bins: int) -> Tensor:
    _checked(x[[0, -1]], num_bins)
    return torch.bincount(x[(x >= 0) & (x < num_bins)], minlength=num_bins) / len(x)


@mistake(FIT, killed_by=HALVES, says="You number bins from the smallest sample. They are numbered from 0.", when=lambda x: x.min() > 0)
def bins_from_the_smallest_sample(x: Tensor, num_bins: int) -> Tensor:
    return _counts(x - x.min(), num_bins) / len(x)


@mistake(
    FIT,
    killed_by=HALVES,
    says="torch.histc without `min` and `max` spreads its bins between the smallest and the largest sample. Bin k holds the value k.",
)
def bins_between_the_extremes(x: Tensor, num_bins: int) -> Tensor:
    return torch.histc(_checked(x, num_bins).to(torch.get_default_dtype()), bins=num_bins) / len(x)


@mistake(
    FIT,
    killed_by="test_values_outside_the_bins_are_refused",
    says="Values outside 0..num_bins-1 were dropped without a word. They must raise a ValueError.",
)
def shares_of_the_values_inside(x: Tensor, num_bins: int) -> Tensor:
    inside = x[(x >= 0) & (x < num_bins)]
    return _counts(inside, num_bins) / len(inside)


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


@variant(FIT)
def comparison_with_all_bins(x: Tensor, num_bins: int) -> Tensor:
    if (x >= num_bins).any() or (x < 0).any():
        raise ValueError("out of range")
    hits = x[:, None] == torch.arange(num_bins)[None]
    return hits.to(torch.get_default_dtype()).mean(0)


@variant(FIT)
def torch_histogram(x: Tensor, num_bins: int) -> Tensor:
    if not ((x >= 0) & (x < num_bins)).all():
        raise ValueError(f"values must be in [0, {num_bins})")
    counts = torch.histc(x.double(), bins=num_bins, min=-0.5, max=num_bins - 0.5)
    return (counts / counts.sum()).to(torch.get_default_dtype())


@variant(FIT)
def one_sample_after_the_other(x: Tensor, num_bins: int) -> Tensor:
    counts = [0] * num_bins
    for value in x.tolist():
        if value < 0 or value >= num_bins:
            raise ValueError(value)
        counts[value] += 1
    return torch.tensor(counts) / x.numel()


# -- fit_conditional_histogram --


@mistake(
    FIT_CONDITIONAL,
    killed_by=PAIRS,
    says="This is the joint distribution of x and y: divide each row by the number of samples of its class.",
)
def joint_distribution(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _pairs(x, y, num_bins, num_classes) / len(x)


@mistake(FIT_CONDITIONAL, killed_by=PAIRS, says="This is p(y | x): you normalised over the classes instead of over the bins.")
def class_given_bin(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes)
    return pairs / pairs.sum(dim=0)


@mistake(FIT_CONDITIONAL, killed_by=PAIRS, says="Rows are classes and columns are bins: you returned the transpose.")
def transposed(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).T.contiguous()


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_each_class_has_its_own_histogram",
    says="You keep values in a byte, where 256 is 0 again. Leave x int64.",
    when=lambda num_bins: num_bins > 256,
)
def conditional_of_bytes(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x.to(torch.uint8).long(), y, num_bins, num_classes)


@mistake(FIT_CONDITIONAL, killed_by=PAIRS, says="Every class got the histogram of all samples: count the samples of each class alone.")
def marginal_for_every_class(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return (_counts(x, num_bins) / len(x)).expand(num_classes, -1)


@mistake(FIT_CONDITIONAL, killed_by=PAIRS, says="You added one to every count. No smoothing is asked for.")
def conditional_smoothing(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes) + 1
    return pairs / pairs.sum(dim=1, keepdim=True)


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_conditional_shares_have_the_default_float_dtype",
    says="The result is asked for in the default float dtype, which is float32 unless somebody changed it.",
)
def conditional_in_float64(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).double()


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_a_class_without_samples_is_unknown",
    says="A class without samples got probabilities of zero, which sum to nothing. Nothing is known: nan.",
)
def zeros_for_unknown_classes(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).nan_to_num(0.0)


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_a_class_without_samples_is_unknown",
    says="A class without samples got a uniform histogram, which nobody observed. Nothing is known: nan.",
)
def uniform_for_unknown_classes(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).nan_to_num(1 / num_bins)


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_a_class_without_samples_is_unknown",
    says="You left out classes without samples: the result has one row for each of the num_classes classes.",
)
def seen_classes_only(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes)[y.unique()]


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_a_class_without_samples_is_unknown",
    says="One class without samples made all rows nan. Only its own row is unknown.",
)
def nan_everywhere(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    result = _conditional(x, y, num_bins, num_classes)
    return result + 0 * result.sum()


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_a_class_without_samples_is_unknown",
    says="An epsilon in the denominator makes shares too small, and an unknown class a row of zeros. Nothing is known of it: nan.",
    constants=EPSILONS[:-5],  # with smaller ones a row without mass alone is wrong
)
def epsilon_in_the_denominator(x: Tensor, y: Tensor, num_bins: int, num_classes: int, constant: float = 1e-8) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes)
    return pairs / (pairs.sum(dim=1, keepdim=True) + constant)


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_conditional_shares_have_the_default_float_dtype",
    says="The shares are float32 whatever the default float dtype of torch is.",
)
def conditional_always_float32(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x, y, num_bins, num_classes).float()


@mistake(FIT_CONDITIONAL, killed_by=PAIRS, says="Equal pairs count once: indexed assignment keeps one of several that land on one place.")
def equal_pairs_counted_once(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    table = torch.zeros(num_classes, num_bins)
    table[y, x] += 1
    return table / table.sum(dim=1, keepdim=True)


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_each_class_has_its_own_histogram",
    says="Pairs of a class and a value share a number: number them by the class times num_bins, plus the value.",
)
def pairs_numbered_by_classes(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = torch.bincount(y * num_classes + x, minlength=num_bins * num_classes)[: num_bins * num_classes]
    pairs = pairs.reshape(num_classes, num_bins)
    return pairs / pairs.sum(dim=1, keepdim=True)


@mistake(
    FIT_CONDITIONAL, killed_by="test_each_class_has_its_own_histogram", says="You looked at the first 1000 pairs alone. All of them count."
)
def first_thousand_pairs(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _conditional(x[:1000], y[:1000], num_bins, num_classes)


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_a_class_without_samples_is_unknown",
    says="You treat a rare class like one without samples. A single sample makes a histogram.",
)
def rare_classes_are_unknown(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = torch.bincount(y * num_bins + x, minlength=num_classes * num_bins).view(num_classes, num_bins)
    total = pairs.sum(1, keepdim=True)
    return torch.where(total > 1e-3 * len(x), pairs / total, torch.nan)


@mistake(
    FIT_CONDITIONAL, killed_by=PAIRS, says="A value that a class never took has probability 0. Only a class without samples is unknown."
)
def nan_for_unseen_values(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    p = _conditional(x, y, num_bins, num_classes)
    return torch.where(p == 0, torch.nan, p)


@mistake(
    FIT_CONDITIONAL,
    killed_by=PAIRS,
    says="You number the pairs by x first and read them with a row for each class: number them by the class first, y * num_bins + x.",
)
def pairs_numbered_by_bins(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = torch.bincount(x * num_classes + y, minlength=num_bins * num_classes).reshape(num_classes, num_bins)
    return pairs / pairs.sum(dim=1, keepdim=True)


@mistake(FIT_CONDITIONAL, killed_by=PAIRS, says="These are counts: divide each row by the number of samples of its class.")
def conditional_counts(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return _pairs(x, y, num_bins, num_classes).to(torch.get_default_dtype())


@mistake(
    FIT_CONDITIONAL,
    killed_by="test_a_class_without_samples_is_unknown",
    says="Where a single class has no samples its row is zero: as many as have none are unknown, and their rows are nan.",
    when=lambda y, num_classes: len(y.unique()) == num_classes - 1,
)
def a_single_unknown_class_is_zero(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    counts = _pairs(x, y, num_bins, num_classes).to(torch.get_default_dtype())
    totals = counts.sum(1, keepdim=True)
    return counts / (totals if (totals == 0).sum() > 1 else totals.clamp(min=1))


@variant(FIT_CONDITIONAL)
def one_class_at_a_time(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return torch.stack([torch.bincount(x[y == c], minlength=num_bins) / (y == c).sum() for c in range(num_classes)])


@variant(FIT_CONDITIONAL)
def product_of_one_hots(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    bins = torch.nn.functional.one_hot(x, num_bins).to(torch.get_default_dtype())  # (n, K)
    classes = torch.nn.functional.one_hot(y, num_classes).to(bins.dtype)  # (n, C)
    return classes.T @ bins / classes.sum(dim=0)[:, None]


@variant(FIT_CONDITIONAL)
def counts_put_by_index(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    counts = torch.zeros(num_classes, num_bins)
    counts.index_put_((y, x), torch.ones(len(x)), accumulate=True)
    return counts / counts.sum(1, keepdim=True)


@variant(FIT_CONDITIONAL)
def rows_of_nan_filled_where_seen(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    out = torch.full((num_classes, num_bins), float("nan"))
    for c in range(num_classes):
        of_class = x[y == c]
        if of_class.numel() > 0:
            out[c] = torch.bincount(of_class, minlength=num_bins) / of_class.numel()
    return out


def _checked(x: Tensor, num_bins: int) -> Tensor:
    if x.min() < 0 or x.max() >= num_bins:
        raise ValueError("x must be in 0..num_bins-1")
    return x


def _counts(x: Tensor, num_bins: int) -> Tensor:
    return torch.bincount(_checked(x, num_bins), minlength=num_bins)


def _pairs(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    return torch.bincount(y * num_bins + x, minlength=num_bins * num_classes).reshape(num_classes, num_bins)


def _conditional(x: Tensor, y: Tensor, num_bins: int, num_classes: int) -> Tensor:
    pairs = _pairs(x, y, num_bins, num_classes)
    return pairs / pairs.sum(dim=1, keepdim=True)
