"""Expectations from samples: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import MANY_ROWS, ONE_ROW, changed_in_place, graph_for_inputs_alone, plain_data, without_graph_where

MONTE_CARLO = "course_tricks.monte_carlo"
LOTUS = "course_tricks.lotus"

_remembered: dict[tuple[int, ...], Tensor] = {}  # by the identity of a tensor


# -- monte_carlo --


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="This is f at the average sample. Average the values of f, not the samples: by Jensen the two differ.",
)
def f_of_the_mean(f, x):
    return f(x.mean(dim=0, keepdim=True))[0]


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="This is the sum over the samples: the 1/n is missing.",
)
def sum_of_f(f, x):
    return f(x).sum(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="You divide by n - 1. That is for a sample variance; an average has n terms.",
)
def divides_by_n_minus_1(f, x):
    return f(x).sum(dim=0) / (len(x) - 1)


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="You divide by the number of entries of x. An average over samples has n terms, not n times m.",
)
def divides_by_all_entries(f, x):
    return f(x).sum(dim=0) / x.numel()


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="You averaged over the components of f as well. Only the sample axis goes away; the d components stay.",
)
def mean_over_everything(f, x):
    return f(x).mean()


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="You averaged over the components of f instead of over the samples: the first axis counts samples.",
)
def mean_over_components(f, x):
    return f(x).mean(dim=1)


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="The sample axis is still there, with length one: the result has the shape (d,).",
)
def keeps_the_sample_axis(f, x):
    return f(x).mean(dim=0, keepdim=True)


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_of_a_single_sample_or_dimension",
    says="A squeeze drops the axis of the components where there is one component only: the result is (1,) then.",
)
def squeezes(f, x):
    return f(x).mean(dim=0).squeeze()


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="You weigh the samples by a density. They were drawn from p: likely values are already more frequent.",
)
def weighs_by_a_density_again(f, x):
    return (-x.square().sum(dim=1) / 2).softmax(dim=0) @ f(x)


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="This is the median of the values. An expectation is a mean, outliers included.",
)
def median_of_f(f, x):
    return f(x).median(dim=0).values


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_averages_f_over_the_samples",
    says="You clamp the values of f. They may be of any size, and all of them count.",
)
def clamps_the_values(f, x):
    return f(x).clamp(-1e6, 1e6).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_every_one_of_many_samples_counts",
    says="You draw samples anew from those given. They are the draws already: use each once.",
)
def resamples(f, x):
    return f(x[torch.randint(len(x), (len(x),))]).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_every_one_of_many_samples_counts",
    says="You use the first thousand samples only. All that are given count.",
)
def first_thousand(f, x):
    return f(x[:1000]).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_every_one_of_many_samples_counts",
    says="You average the averages of batches. The last batch is smaller, so its samples count too much.",
)
def averages_batch_averages(f, x):
    return torch.stack([f(batch).mean(dim=0) for batch in x.split(64)]).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_every_one_of_many_samples_counts",
    says="You go through the samples in batches and drop the last one, which is not full.",
)
def drops_the_last_batch(f, x):
    batches = [batch for batch in x.split(64) if len(batch) == min(64, len(x))]
    return sum(f(batch).sum(dim=0) for batch in batches) / sum(map(len, batches))


@mistake(
    MONTE_CARLO,
    killed_by="test_equal_samples_count_as_often_as_they_come",
    says="You count equal samples once. A likely value comes often, and counts as often as it comes.",
)
def distinct_samples_once(f, x):
    return f(x.unique(dim=0)).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_has_the_dtype_of_the_samples",
    says="You compute in float32 whatever the inputs are: torch.zeros(d), for one, is float32.",
)
def accumulates_in_float32(f, x):
    total = torch.zeros(f(x).shape[1])
    for value in f(x):
        total = total + value.float()
    return total / len(x)


@mistake(
    MONTE_CARLO, killed_by="test_f_is_given_a_batch", says="You call f on single vectors. f is batched: it takes (n, m), be it with n = 1."
)
def calls_f_on_vectors(f, x):
    return torch.stack([f(row) for row in x]).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_has_the_gradient_of_an_average",
    says="The graph is cut: the estimate is differentiable, in f's parameters and in the samples.",
)
@torch.no_grad()
def monte_carlo_without_a_graph(f, x):
    return f(x).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_has_the_gradient_of_an_average",
    says="The samples are cut off their graph: the estimate is differentiable in them, too.",
)
def detaches_the_samples(f, x):
    return f(x.detach()).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_depends_on_the_samples_alone",
    says="view() needs samples that lie row by row in memory; reshape() takes any.",
)
def views_the_samples(f, x):
    return f(x.view(-1).view(x.shape)).mean(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_depends_on_the_samples_alone",
    says="You remember the result by the tensor object. The same tensor may hold other numbers at the next call.",
)
def remembers_the_tensor(f, x):
    return _remembered.setdefault((id(f), id(x), x.data_ptr(), *x.shape), f(x).mean(dim=0))


@mistake(
    MONTE_CARLO,
    killed_by="test_monte_carlo_leaves_the_samples_as_they_are",
    says="You divide the values of f in place. Where f returns its input, that overwrites your caller's samples.",
)
def divides_in_place(f, x):
    values = f(x)
    values /= len(x)
    return values.sum(dim=0)


@mistake(
    MONTE_CARLO,
    killed_by="test_average_of_the_squares_is_not_the_square_of_the_average",
    says="You divide by m, the dimension. The average is over the n samples.",
)
def divides_by_the_dimension(f, x):
    return f(x).sum(dim=0) / x.shape[1]


@variant(MONTE_CARLO)
def one_sample_at_a_time(f, x):
    total = 0
    for i in range(len(x)):
        total = total + f(x[i : i + 1])[0]
    return total / len(x)


@variant(MONTE_CARLO)
def average_in_float64(f, x):
    return f(x).double().mean(dim=0).to(x.dtype)


@variant(MONTE_CARLO)
def weights_times_values(f, x):
    return torch.full((len(x),), 1 / len(x), dtype=x.dtype) @ f(x)


@variant(MONTE_CARLO)
def vmapped(f, x):
    return torch.func.vmap(lambda row: f(row[None])[0])(x).mean(dim=0)


@variant(MONTE_CARLO)
def running_mean(f, x):
    mean = torch.zeros_like(f(x[:1])[0])
    for i, row in enumerate(x.split(1), start=1):
        mean = mean + (f(row)[0] - mean) / i
    return mean


@variant(MONTE_CARLO)
def average_by_einsum(f, x):
    return torch.einsum("nd->d", f(x)) / x.size(0)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_has_the_gradient_of_an_average", says=plain_data("What f holds is"))
def graph_for_the_samples_alone(f, x):
    return graph_for_inputs_alone(f(x).mean(dim=0), x)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_has_the_gradient_of_an_average", says=ONE_ROW)
def a_single_sample_without_graph(f, x):
    return without_graph_where(len(x) == 1, f(x).mean(dim=0))


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_has_the_gradient_of_an_average", says=MANY_ROWS)
def many_samples_without_graph(f, x):
    return without_graph_where(len(x) > 64, f(x).mean(dim=0))


# -- lotus --


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="You apply g first. Samples of x become samples of y by f; g is then evaluated on y.",
)
def g_first(g, f, x):
    return f(g(x)).mean(dim=0)


@mistake(
    LOTUS, killed_by="test_lotus_applies_f_first_to_every_sample", says="This is the expectation of y itself. Asked for is that of g(y)."
)
def expectation_of_y(g, f, x):
    return f(x).mean(dim=0)


@mistake(LOTUS, killed_by="test_lotus_applies_f_first_to_every_sample", says="You evaluate g on x. It is a function of y = f(x).")
def g_of_x(g, f, x):
    return g(x).mean(dim=0)


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="This is g at the average y. Average the values of g: by Jensen the two differ.",
)
def g_of_the_mean_of_y(g, f, x):
    return g(f(x).mean(dim=0, keepdim=True))[0]


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="This is g(f) at the average x. Average the values of g(f(x)): by Jensen the two differ.",
)
def both_at_the_mean_of_x(g, f, x):
    return g(f(x.mean(dim=0, keepdim=True)))[0]


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="You count every distinct y once. Where f maps several samples to one y, it counts as often as it comes.",
)
def distinct_values_of_y_once(g, f, x):
    return g(f(x).unique(dim=0)).mean(dim=0)


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="You weigh y by its density. Samples of x, pushed through f, come with the frequencies of y already.",
)
def weighs_y_by_its_density(g, f, x):
    y = f(x)
    return (-y.square().sum(dim=1) / 2).softmax(dim=0) @ g(y)


@mistake(
    LOTUS,
    killed_by="test_lotus_of_a_single_sample_or_dimension",
    says="A squeeze drops the axis of the components where there is one component only: the result is (1,) then.",
)
def lotus_squeezes(g, f, x):
    return g(f(x)).mean(dim=0).squeeze()


@mistake(
    LOTUS,
    killed_by="test_lotus_counts_every_one_of_many_samples",
    says="You use the first thousand samples only. All that are given count.",
)
def lotus_of_the_first_thousand(g, f, x):
    return g(f(x[:1000])).mean(dim=0)


@mistake(LOTUS, killed_by="test_lotus_has_the_gradient_of_an_average", says="The graph is cut at y: the parameters of f get no gradient.")
def detaches_y(g, f, x):
    return g(f(x).detach()).mean(dim=0)


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="You add up without dividing by the number of samples.",
)
def sum_of_g(g, f, x):
    return g(f(x)).sum(dim=0)


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="You average over the components, too. Each has its own expectation: average over the samples alone.",
)
def lotus_over_everything(g, f, x):
    return g(f(x)).mean()


@mistake(
    LOTUS,
    killed_by="test_lotus_applies_f_first_to_every_sample",
    says="You average over the components of each sample. Average over the samples, the first axis.",
)
def lotus_over_components(g, f, x):
    return g(f(x)).mean(dim=1)


@mistake(
    LOTUS,
    killed_by="test_lotus_has_the_gradient_of_an_average",
    says="The result carries no graph: no gradient gets through it.",
)
def lotus_without_a_graph(g, f, x):
    return g(f(x)).mean(dim=0).detach()


@mistake(
    LOTUS,
    killed_by="test_lotus_has_the_gradient_of_an_average",
    says="y has a graph only where x carries one. The parameters of f get a gradient all the same.",
)
def graph_of_x_alone(g, f, x):
    with torch.set_grad_enabled(x.requires_grad):
        y = f(x)
    return g(y).mean(dim=0)


@variant(LOTUS)
def lotus_sample_by_sample(g, f, x):
    return torch.cat([g(f(row)) for row in x.split(1)]).mean(dim=0)


@variant(LOTUS)
def y_then_sum(g, f, x):
    y = f(x)
    return g(y).sum(dim=0) / y.shape[0]


@variant(LOTUS)
def lotus_vmapped(g, f, x):
    return torch.func.vmap(lambda row: g(f(row.unsqueeze(0))).squeeze(0))(x).mean(0)


@mistake(LOTUS, killed_by="test_lotus_has_the_gradient_of_an_average", says=ONE_ROW)
def lotus_of_a_single_sample_without_graph(g, f, x):
    return without_graph_where(len(x) == 1, g(f(x)).mean(dim=0))


@mistake(LOTUS, killed_by="test_lotus_has_the_dtype_of_the_samples", says=changed_in_place("g", "the samples themselves"))
def values_divided_in_place(g, f, x):
    values = g(f(x))
    values /= len(x)
    return values.sum(dim=0)
