"""Expectations from samples: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch
from torch.nn.functional import one_hot

from dgm_ref.catalogue import mistake, variant

MONTE_CARLO = "course_tricks.monte_carlo"
STANDARD_ERROR = "course_tricks.monte_carlo_standard_error"
LOTUS = "course_tricks.lotus"
PUSHFORWARD = "course_tricks.pushforward_pmf"


def require_samples(x, at_least=1, name="x"):
    if x.shape[0] < at_least or x.shape[1] < 1:
        raise ValueError(f"{name} has the shape {tuple(x.shape)}: too few samples or dimensions")


# -- monte_carlo --


@mistake(MONTE_CARLO, killed_by="test_expectation_of_the_square_is_not_the_square_of_the_expectation",
         says="This is f at the average sample. Average the values of f, not the samples: by Jensen the two differ.")
def f_of_the_mean(f, x):
    require_samples(x)
    return f(x.mean(dim=0, keepdim=True))[0]


@mistake(MONTE_CARLO, killed_by="test_expectation_of_a_constant_is_the_constant",
         says="This is the sum over the samples: the 1/n is missing.")
def sum_of_f(f, x):
    require_samples(x)
    return f(x).sum(dim=0)


@mistake(MONTE_CARLO, killed_by="test_expectation_of_a_constant_is_the_constant",
         says="You divide by n - 1. That is for a sample variance; an average has n terms.")
def divides_by_n_minus_1(f, x):
    require_samples(x)
    return f(x).sum(dim=0) / (len(x) - 1)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_averages_f_over_the_samples",
         says="You averaged over the components of f as well. Only the sample axis goes away; the d components stay.")
def mean_over_everything(f, x):
    require_samples(x)
    return f(x).mean()


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_averages_f_over_the_samples",
         says="You averaged over the components of f instead of over the samples: the first axis counts samples.")
def mean_over_components(f, x):
    require_samples(x)
    return f(x).mean(dim=1)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_averages_f_over_the_samples",
         says="You weigh the samples by a density. They were drawn from p: likely values are already more frequent.")
def weighs_by_a_density_again(f, x):
    require_samples(x)
    return (-x.square().sum(dim=1) / 2).softmax(dim=0) @ f(x)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_averages_f_over_the_samples",
         says="This is the median of the values. An expectation is a mean, outliers included.")
def median_of_f(f, x):
    require_samples(x)
    return f(x).median(dim=0).values


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_averages_f_over_the_samples",
         says="You draw samples anew from those given. They are the draws already: use each once.")
def resamples(f, x):
    require_samples(x)
    return f(x[torch.randint(len(x), (len(x),))]).mean(dim=0)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_averages_f_over_the_samples",
         says="You accumulate in torch.zeros(d), which is float32 whatever the inputs are.")
def accumulates_in_float32(f, x):
    require_samples(x)
    total = torch.zeros(f(x).shape[1])
    for value in f(x):
        total += value
    return total / len(x)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_averages_f_over_the_samples",
         says="You call f on single vectors. f is batched: it takes (n, m), be it with n = 1.")
def calls_f_on_vectors(f, x):
    require_samples(x)
    return torch.stack([f(row) for row in x]).mean(dim=0)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_has_the_gradient_of_an_average",
         says="The graph is cut: the estimate is differentiable, in f's parameters and in the samples.")
@torch.no_grad()
def monte_carlo_without_a_graph(f, x):
    require_samples(x)
    return f(x).mean(dim=0)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_refuses_to_average_nothing",
         says="An average over no samples is 0/0 and comes out as nan: refuse it with a ValueError.")
def averages_nothing(f, x):
    return f(x).mean(dim=0)


@mistake(MONTE_CARLO, killed_by="test_monte_carlo_leaves_no_trace",
         says="You divide the values of f in place. Where f returns its input, that overwrites your caller's samples.")
def divides_in_place(f, x):
    require_samples(x)
    values = f(x)
    values /= len(x)
    return values.sum(dim=0)


@variant(MONTE_CARLO)
def one_sample_at_a_time(f, x):
    require_samples(x)
    total = 0
    for i in range(len(x)):
        total = total + f(x[i : i + 1])[0]
    return total / len(x)


@variant(MONTE_CARLO)
def average_in_float64(f, x):
    require_samples(x)
    return f(x).double().mean(dim=0).to(x.dtype)


@variant(MONTE_CARLO)
def weights_times_values(f, x):
    require_samples(x)
    return torch.full((len(x),), 1 / len(x), dtype=x.dtype) @ f(x)


@variant(MONTE_CARLO)
def vmapped(f, x):
    require_samples(x)
    return torch.func.vmap(lambda row: f(row[None])[0])(x).mean(dim=0)


# -- monte_carlo_standard_error --


@mistake(STANDARD_ERROR, killed_by="test_two_samples_disagree_by_twice_the_standard_error",
         says="Your standard deviation divides by n. From samples it needs n - 1 (Bessel): the mean is estimated, too.")
def without_bessel(f, x):
    require_samples(x, at_least=2)
    return f(x).std(dim=0, correction=0) / len(x) ** 0.5


@mistake(STANDARD_ERROR, killed_by="test_two_samples_disagree_by_twice_the_standard_error",
         says="You divide by n. The variance of an average falls as 1/n, its standard deviation as 1/sqrt(n).")
def deviation_over_n(f, x):
    require_samples(x, at_least=2)
    return f(x).std(dim=0) / len(x)


@mistake(STANDARD_ERROR, killed_by="test_two_samples_disagree_by_twice_the_standard_error",
         says="This is the spread of single values. The error of their average shrinks with the root of n.")
def spread_of_single_values(f, x):
    require_samples(x, at_least=2)
    return f(x).std(dim=0)


@mistake(STANDARD_ERROR, killed_by="test_two_samples_disagree_by_twice_the_standard_error",
         says="This is the variance of the average: its root is missing.")
def variance_of_the_average(f, x):
    require_samples(x, at_least=2)
    return f(x).var(dim=0) / len(x)


@mistake(STANDARD_ERROR, killed_by="test_standard_error_survives_a_large_mean",
         says="E[f^2] - E[f]^2 subtracts two huge numbers: the spread drowns in rounding. Subtract the mean first.")
def mean_of_squares_minus_square_of_mean(f, x):
    require_samples(x, at_least=2)
    values, n = f(x), len(x)
    return ((values.square().mean(dim=0) - values.mean(dim=0).square()).clamp_min(0) / (n - 1)).sqrt()


@mistake(STANDARD_ERROR, killed_by="test_standard_error_is_the_sample_deviation_over_root_n",
         says="This is the standard error of the samples x. Asked for is that of f(x).")
def error_of_the_samples(f, x):
    require_samples(x, at_least=2)
    return x.std(dim=0) / len(x) ** 0.5


@mistake(STANDARD_ERROR, killed_by="test_standard_error_is_the_sample_deviation_over_root_n",
         says="You pool the components of f. Each of the d components has its own mean and its own error.")
def pools_the_components(f, x):
    require_samples(x, at_least=2)
    return f(x).std() / len(x) ** 0.5


@mistake(STANDARD_ERROR, killed_by="test_two_samples_disagree_by_twice_the_standard_error",
         says="You add a small number to the deviation. It is exact without: equal values have no spread at all.")
def deviation_plus_epsilon(f, x):
    require_samples(x, at_least=2)
    return (f(x).std(dim=0) + 1e-8) / len(x) ** 0.5


@mistake(STANDARD_ERROR, killed_by="test_standard_error_needs_two_samples",
         says="One sample does not show a spread: 0/0 comes out as nan. Refuse it with a ValueError.")
def accepts_a_single_sample(f, x):
    require_samples(x)
    return f(x).std(dim=0) / len(x) ** 0.5


@mistake(STANDARD_ERROR,
         killed_by="test_standard_error_is_homogeneous_and_so_is_its_gradient",
         says="The graph is cut: the standard error is differentiable, in f's parameters and in the samples.")
def detached_standard_error(f, x):
    require_samples(x, at_least=2)
    return f(x).detach().std(dim=0) / len(x) ** 0.5


@mistake(STANDARD_ERROR, killed_by="test_standard_error_leaves_no_trace",
         says="You subtract the mean in place. Where f returns its input, that overwrites your caller's samples.")
def centres_in_place(f, x):
    require_samples(x, at_least=2)
    values, n = f(x), len(x)
    values -= values.mean(dim=0)
    return (values.square().sum(dim=0) / (n * (n - 1))).sqrt()


@variant(STANDARD_ERROR)
def two_passes(f, x):
    require_samples(x, at_least=2)
    values, n = f(x), len(x)
    off = values - values.mean(dim=0)
    return (off.square().sum(dim=0) / (n * (n - 1))).sqrt()


@variant(STANDARD_ERROR)
def welford(f, x):
    require_samples(x, at_least=2)
    values = f(x)
    mean = squares = torch.zeros_like(values[0])
    for i, value in enumerate(values, start=1):
        step = value - mean
        mean = mean + step / i
        squares = squares + step * (value - mean)
    return (squares / (len(x) - 1)).sqrt() / len(x) ** 0.5


@variant(STANDARD_ERROR)
def root_of_variance_over_n_in_float64(f, x):
    require_samples(x, at_least=2)
    return (f(x).double().var(dim=0) / len(x)).sqrt().to(x.dtype)


# -- lotus --


@mistake(LOTUS, killed_by="test_lotus_applies_f_first_to_every_sample",
         says="You apply g first. Samples of x become samples of y by f; g is then evaluated on y.")
def g_first(g, f, x):
    require_samples(x)
    return f(g(x)).mean(dim=0)


@mistake(LOTUS, killed_by="test_lotus_applies_f_first_to_every_sample",
         says="This is the expectation of y itself. Asked for is that of g(y).")
def expectation_of_y(g, f, x):
    require_samples(x)
    return f(x).mean(dim=0)


@mistake(LOTUS, killed_by="test_lotus_applies_f_first_to_every_sample",
         says="You evaluate g on x. It is a function of y = f(x).")
def g_of_x(g, f, x):
    require_samples(x)
    return g(x).mean(dim=0)


@mistake(LOTUS, killed_by="test_lotus_is_the_expectation_of_g_under_the_law_of_y",
         says="This is g at the average y. Average the values of g: by Jensen the two differ.")
def g_of_the_mean_of_y(g, f, x):
    require_samples(x)
    return g(f(x).mean(dim=0, keepdim=True))[0]


@mistake(LOTUS, killed_by="test_lotus_is_the_expectation_of_g_under_the_law_of_y",
         says="This is g(f) at the average x. Average the values of g(f(x)): by Jensen the two differ.")
def both_at_the_mean_of_x(g, f, x):
    require_samples(x)
    return g(f(x.mean(dim=0, keepdim=True)))[0]


@mistake(LOTUS, killed_by="test_lotus_applies_f_first_to_every_sample",
         says="You count every distinct y once. Where f maps several samples to one y, it counts as often as it comes.")
def distinct_values_of_y_once(g, f, x):
    require_samples(x)
    return g(f(x).unique(dim=0)).mean(dim=0)


@mistake(LOTUS, killed_by="test_lotus_has_the_gradient_of_an_average",
         says="The graph is cut at y: the parameters of f get no gradient.")
def detaches_y(g, f, x):
    require_samples(x)
    return g(f(x).detach()).mean(dim=0)


@mistake(LOTUS, killed_by="test_lotus_refuses_no_samples_and_leaves_no_trace",
         says="An average over no samples is 0/0 and comes out as nan: refuse it with a ValueError.")
def lotus_of_nothing(g, f, x):
    return g(f(x)).mean(dim=0)


@variant(LOTUS)
def lotus_sample_by_sample(g, f, x):
    require_samples(x)
    return torch.cat([g(f(row)) for row in x.split(1)]).mean(dim=0)


@variant(LOTUS)
def y_then_sum(g, f, x):
    require_samples(x)
    y = f(x)
    return g(y).sum(dim=0) / y.shape[0]


# -- pushforward_pmf --


def require_fit(p, f, K):
    if K < 1:
        raise ValueError("K must be positive")
    if p.shape != f.shape:
        raise ValueError("p and f differ in length")


@mistake(PUSHFORWARD, killed_by="test_masses_that_meet_add_up",
         says="Indexed assignment keeps the last mass that lands on a place. Masses that meet add up.")
def overwrites(p, f, K):
    require_fit(p, f, K)
    out = p.new_zeros(K)
    out[f] = p
    return out


@mistake(PUSHFORWARD, killed_by="test_masses_that_meet_add_up",
         says="You take one preimage of every y. Its mass is the sum over all of them.")
def one_preimage(p, f, K):
    require_fit(p, f, K)
    hits = f == torch.arange(K)[:, None]  # (K, S)
    return torch.where(hits.any(dim=1), p[hits.long().argmax(dim=1)], 0.0)


@mistake(PUSHFORWARD, killed_by="test_pushforward_collects_the_mass_of_the_preimages",
         says="p[f] pulls back: it reads p at f(x). The mass has to travel the other way, from x to f(x).")
def pulls_back(p, f, K):
    require_fit(p, f, K)
    return p[f.clamp(max=len(p) - 1)]


@mistake(PUSHFORWARD, killed_by="test_expectations_agree_on_both_sides",
         says="You count preimages. Each x carries its own mass p(x), not 1/S.")
def counts_preimages(p, f, K):
    require_fit(p, f, K)
    return one_hot(f, K).to(p.dtype).mean(dim=0)


@mistake(PUSHFORWARD, killed_by="test_masses_that_meet_add_up",
         says="You average the masses of the preimages. Probabilities of disjoint events add up.")
def averages_preimages(p, f, K):
    require_fit(p, f, K)
    hits = one_hot(f, K).to(p.dtype)
    return p @ hits / hits.sum(dim=0).clamp_min(1)


@mistake(PUSHFORWARD, killed_by="test_masses_that_meet_add_up",
         says="Values of y above the largest f(x) are missing. The pmf has K entries, also where no x arrives.")
def as_long_as_the_largest_image(p, f, K):
    require_fit(p, f, K)
    return p @ one_hot(f).to(p.dtype)


@mistake(PUSHFORWARD, killed_by="test_pushforward_collects_the_mass_of_the_preimages",
         says="You collect in torch.zeros(K), which is float32 whatever p is.")
def collects_in_float32(p, f, K):
    require_fit(p, f, K)
    out = torch.zeros(K)
    for s, k in enumerate(f):
        out[k] += p[s]
    return out


@mistake(PUSHFORWARD, killed_by="test_mass_that_moves_in_x_moves_in_y",
         says="The graph is cut: the pmf of y is differentiable in p (torch.bincount is not, adding at indices is).")
def without_gradient(p, f, K):
    require_fit(p, f, K)
    return torch.bincount(f, weights=p.detach(), minlength=K).to(p.dtype)


@mistake(PUSHFORWARD, killed_by="test_pushforward_leaves_no_trace",
         says="You take the mass away from p while you move it. The p of your caller is not yours to change.")
def empties_p(p, f, K):
    require_fit(p, f, K)
    out = p.new_zeros(K).index_add(0, f, p)
    p[:] = 0
    return out


@mistake(PUSHFORWARD, killed_by="test_pushforward_refuses_what_does_not_fit",
         says="zip stops at the shorter of p and f and drops the rest in silence: check that they fit each other.")
def zips_what_does_not_fit(p, f, K):
    if K < 1:
        raise ValueError("K must be positive")
    out = [p.new_zeros(()) for _ in range(K)]
    for mass, k in zip(p, f.tolist(), strict=False):
        out[k] = out[k] + mass
    return torch.stack(out)


@mistake(PUSHFORWARD, killed_by="test_pushforward_refuses_what_does_not_fit",
         says="No K is refused: a law needs at least one value to live on. Raise a ValueError that names K.")
def accepts_no_values(p, f, K):
    if p.shape != f.shape:
        raise ValueError("p and f differ in length")
    return p.new_zeros(K).index_add(0, f.clamp(max=K - 1), p) if K > 0 else p.new_zeros(0)


@variant(PUSHFORWARD)
def product_with_one_hot(p, f, K):
    require_fit(p, f, K)
    return p @ one_hot(f, K).to(p.dtype)


@variant(PUSHFORWARD)
def mask_for_every_k(p, f, K):
    require_fit(p, f, K)
    return torch.stack([p[f == k].sum() for k in range(K)])


@variant(PUSHFORWARD)
def scatter_add_in_float64(p, f, K):
    require_fit(p, f, K)
    return torch.zeros(K, dtype=torch.float64).scatter_add(0, f, p.double()).to(p.dtype)
