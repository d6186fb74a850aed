"""The standard error of a Monte Carlo estimate: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import graph_for_inputs_alone, plain_data

STANDARD_ERROR = "course_tricks.monte_carlo_standard_error"

_remembered: dict[tuple[int, ...], Tensor] = {}  # by the identity of a tensor


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="Your standard deviation divides by n. From samples it needs n - 1 (Bessel): the mean is estimated, too.",
)
def without_bessel(f, x):
    return f(x).std(dim=0, correction=0) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="You take n - 1 twice: it belongs into the sample deviation; the root below the error is that of n.",
)
def bessel_twice(f, x):
    return f(x).std(dim=0) / (len(x) - 1) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="You divide by n. The variance of an average falls as 1/n, its standard deviation as 1/sqrt(n).",
)
def deviation_over_n(f, x):
    return f(x).std(dim=0) / len(x)


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="This is the spread of single values. The error of their average shrinks with the root of n.",
)
def spread_of_single_values(f, x):
    return f(x).std(dim=0)


@mistake(STANDARD_ERROR, killed_by="test_standard_error_of_three_values", says="This is the variance of the average: its root is missing.")
def variance_of_the_average(f, x):
    return f(x).var(dim=0) / len(x)


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="This is half a confidence interval. The standard error is one standard deviation of the average, not 1.96.",
)
def confidence_interval(f, x):
    return 1.96 * f(x).std(dim=0) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_errors_of_the_components_are_in_proportion_to_their_spreads",
    says="This is the mean absolute deviation. A standard deviation squares, averages and takes the root.",
)
def mean_absolute_deviation(f, x):
    values = f(x)
    return (values - values.mean(dim=0)).abs().mean(dim=0) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_survives_a_large_mean",
    says="E[f^2] - E[f]^2 subtracts two huge numbers: the spread drowns in rounding. Subtract the mean first.",
)
def mean_of_squares_minus_square_of_mean(f, x):
    values, n = f(x), len(x)
    return ((values.square().mean(dim=0) - values.mean(dim=0).square()).clamp_min(0) / (n - 1)).sqrt()


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="This is the standard error of the samples x. Asked for is that of f(x).",
)
def error_of_the_samples(f, x):
    return x.std(dim=0) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="You pool the components of f. Each of the d components has its own mean and its own error.",
)
def pools_the_components(f, x):
    return f(x).std() / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_two_samples_or_one_dimension",
    says="A squeeze drops the axis of the components where there is one component only: the result is (1,) then.",
)
def squeezes_the_error(f, x):
    return f(x).std(dim=0).squeeze() / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_many_samples",
    says="You use the first thousand samples only. All that are given count.",
)
def error_of_the_first_thousand(f, x):
    return f(x[:1000]).std(dim=0) / min(len(x), 1000) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_is_the_sample_deviation_over_root_n",
    says="You divide by the root of the longer axis of x. The number of samples is the length of the first.",
)
def root_of_the_longer_axis(f, x):
    return f(x).std(dim=0) / max(x.shape) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_is_the_sample_deviation_over_root_n",
    says="You add a small number to the deviation. It is exact without: equal values have no spread at all.",
)
def deviation_plus_epsilon(f, x):
    return (f(x).std(dim=0) + 1e-8) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_logarithm_of_the_standard_error_has_the_right_gradient",
    says="The graph is cut: the standard error is differentiable, in f's parameters and in the samples.",
)
def detached_standard_error(f, x):
    return f(x).detach().std(dim=0) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_depends_on_the_samples_alone",
    says="You remember the result by the tensor object. The same tensor may hold other numbers at the next call.",
)
def remembers_the_error(f, x):
    return _remembered.setdefault((1, id(f), id(x), x.data_ptr(), *x.shape), f(x).std(dim=0) / len(x) ** 0.5)


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_leaves_the_samples_as_they_are",
    says="You subtract the mean in place. Where f returns its input, that overwrites your caller's samples.",
)
def centres_in_place(f, x):
    values, n = f(x), len(x)
    values -= values.mean(dim=0)
    return (values.square().sum(dim=0) / (n * (n - 1))).sqrt()


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="You take deviations over the components of each sample. They are over the samples, the first axis.",
)
def deviation_over_components(f, x):
    return f(x).std(dim=1) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="You divide the variance by sqrt(n). It is the standard deviation, its root, that is divided by sqrt(n).",
)
def variance_over_the_root_of_n(f, x):
    return f(x).var(dim=0) / len(x) ** 0.5


@mistake(
    STANDARD_ERROR,
    killed_by="test_standard_error_of_three_values",
    says="One spread for all components of f. Each component has its own: take the deviation over the samples alone.",
)
def one_spread_for_all_components(f, x):
    return (f(x).std() / len(x) ** 0.5).expand(f(x).shape[1])


@variant(STANDARD_ERROR)
def two_passes(f, x):
    values, n = f(x), len(x)
    off = values - values.mean(dim=0)
    return (off.square().sum(dim=0) / (n * (n - 1))).sqrt()


@variant(STANDARD_ERROR)
def mean_off_the_graph(f, x):
    values, n = f(x), len(x)
    off = values - values.mean(dim=0).detach()  # deviations sum to zero: the mean adds nothing to the gradient
    return (off.square().sum(dim=0) / (n * (n - 1))).sqrt()


@variant(STANDARD_ERROR)
def welford(f, x):
    values = f(x)
    mean = squares = torch.zeros_like(values[0])
    for i, value in enumerate(values, start=1):
        step = value - mean
        mean = mean + step / i
        squares = squares + step * (value - mean)
    return (squares / (len(x) - 1)).sqrt() / len(x) ** 0.5


@variant(STANDARD_ERROR)
def root_of_variance_over_n_in_float64(f, x):
    return (f(x).double().var(dim=0) / len(x)).sqrt().to(x.dtype)


@variant(STANDARD_ERROR)
def biased_deviation_over_root_n_minus_1(f, x):
    return f(x).std(dim=0, unbiased=False) / torch.tensor(len(x) - 1, dtype=x.dtype).sqrt()


@variant(STANDARD_ERROR)
def root_of_the_covariance(f, x):
    return torch.atleast_2d(torch.cov(f(x).T)).diagonal().sqrt() / len(x) ** 0.5


@variant(STANDARD_ERROR)
def std_and_mean_at_once(f, x):
    std, _ = torch.std_mean(torch.func.vmap(lambda row: f(row[None])[0])(x), dim=0)
    return std * torch.rsqrt(torch.tensor(x.shape[0], dtype=x.dtype))


@mistake(STANDARD_ERROR, killed_by="test_logarithm_of_the_standard_error_has_the_right_gradient", says=plain_data("What f holds is"))
def error_with_a_graph_for_the_samples_alone(f, x):
    return graph_for_inputs_alone(f(x).std(dim=0) / len(x) ** 0.5, x)
