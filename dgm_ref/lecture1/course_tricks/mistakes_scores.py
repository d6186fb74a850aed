"""The log-derivative trick: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch
from torch.func import grad, jacrev, vmap

from dgm_ref.catalogue import mistake, variant
from dgm_ref.lecture1.course_tricks.mistakes_monte_carlo import require_samples

LOG_DERIVATIVE = "course_tricks.log_derivative"
SCORE_FUNCTION = "course_tricks.score_function_gradient"


def tracked(tensor):
    """The tensor itself where it has a graph, else a copy that starts one."""
    return tensor if tensor.requires_grad else tensor.detach().requires_grad_()


# -- log_derivative --


@mistake(LOG_DERIVATIVE, killed_by="test_score_is_the_gradient_of_p_over_p",
         says="This is the gradient of p: the division by p(x) is missing.")
def gradient_of_p(p, x):
    require_samples(x)
    return grad(lambda x: p(x).sum())(x)


@mistake(LOG_DERIVATIVE, killed_by="test_score_is_the_gradient_of_p_over_p",
         says="You multiply the gradient of p by p(x). The derivative of the logarithm is 1/p.")
def times_p(p, x):
    require_samples(x)
    return grad(lambda x: p(x).square().sum() / 2)(x)


@mistake(LOG_DERIVATIVE, killed_by="test_score_is_the_gradient_of_p_over_p",
         says="You sum the densities before the logarithm, so all samples share one denominator. Take logs first.")
def log_of_the_sum(p, x):
    require_samples(x)
    return grad(lambda x: p(x).sum().log())(x)


@mistake(LOG_DERIVATIVE, killed_by="test_score_is_the_gradient_of_p_over_p",
         says="You average over the batch before you differentiate, so every score is divided by n.")
def score_over_n(p, x):
    require_samples(x)
    return grad(lambda x: p(x).log().mean())(x)


@mistake(LOG_DERIVATIVE, killed_by="test_scores_of_a_product_add_up",
         says="The sign is flipped: this is the gradient of the energy -log p. The score points to where p grows.")
def gradient_of_the_energy(p, x):
    require_samples(x)
    return grad(lambda x: -p(x).log().sum())(x)


@mistake(LOG_DERIVATIVE, killed_by="test_score_ignores_the_normalising_constant",
         says="A small number added to p is not small where p is small itself. p is positive: nothing needs adding.")
def log_of_p_plus_epsilon(p, x):
    require_samples(x)
    return grad(lambda x: (p(x) + 1e-8).log().sum())(x)


@mistake(LOG_DERIVATIVE, killed_by="test_score_ignores_the_normalising_constant",
         says="You clamp p from below, and where the clamp holds there is no gradient. p is positive: leave it.")
def log_of_clamped_p(p, x):
    require_samples(x)
    return grad(lambda x: p(x).clamp_min(1e-8).log().sum())(x)


@mistake(LOG_DERIVATIVE, killed_by="test_score_is_the_gradient_of_p_over_p",
         says="Finite differences lose half of the digits. Autograd gives the gradient as accurately as p itself.")
def finite_differences(p, x):
    require_samples(x)
    step = 1e-3
    columns = [
        (p(x + step * e).log() - p(x - step * e).log()) / (2 * step) for e in torch.eye(x.shape[1], dtype=x.dtype)
    ]
    return torch.stack(columns, dim=1)


@mistake(LOG_DERIVATIVE, killed_by="test_score_can_be_differentiated_again",
         says="The gradient has no graph of its own, so it cannot be differentiated again (create_graph).")
def score_without_a_graph(p, x):
    require_samples(x)
    with torch.enable_grad():
        x = tracked(x)
        return torch.autograd.grad(p(x).log().sum(), x)[0]


@mistake(LOG_DERIVATIVE, killed_by="test_score_can_be_differentiated_again",
         says="You cut the graph at the denominator: differentiated again, the quotient rule misses half of its terms.")
def detached_denominator(p, x):
    require_samples(x)
    with torch.enable_grad():
        x = tracked(x)
        density = p(x)
        return torch.autograd.grad(density.sum(), x, create_graph=True)[0] / density.detach()[:, None]


@mistake(LOG_DERIVATIVE, killed_by="test_score_can_be_differentiated_again",
         says="You differentiate at a detached copy of x: the score no longer depends on the x you were given.")
def score_at_a_detached_copy(p, x):
    require_samples(x)
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        return torch.autograd.grad(p(x).log().sum(), x, create_graph=True)[0]


@mistake(LOG_DERIVATIVE, killed_by="test_score_works_under_no_grad_and_leaves_no_trace",
         says="Under the caller's torch.no_grad() nothing is recorded: switch gradients on for your own lines.")
def score_needs_gradients_on(p, x):
    require_samples(x)
    x = tracked(x)
    return torch.autograd.grad(p(x).log().sum(), x, create_graph=True)[0]


@mistake(LOG_DERIVATIVE, killed_by="test_score_works_under_no_grad_and_leaves_no_trace",
         says="You switch gradient tracking on for the x of your caller. Work on a copy that tracks.")
def marks_x(p, x):
    require_samples(x)
    with torch.enable_grad():
        x.requires_grad_()
        return torch.autograd.grad(p(x).log().sum(), x, create_graph=True)[0]


@mistake(LOG_DERIVATIVE, killed_by="test_score_works_under_no_grad_and_leaves_no_trace",
         says="You leave gradient tracking switched off behind you. A `with` block restores what was there before.")
def leaves_gradients_off(p, x):
    require_samples(x)
    torch.set_grad_enabled(True)
    score = grad(lambda x: p(x).log().sum())(x)
    torch.set_grad_enabled(False)
    return score


@mistake(LOG_DERIVATIVE, killed_by="test_score_needs_samples",
         says="There is no score without samples: refuse them with a ValueError.")
def score_of_nothing(p, x):
    return grad(lambda x: p(x).log().sum())(x)


@variant(LOG_DERIVATIVE)
def autograd_of_log_p(p, x):
    require_samples(x)
    with torch.enable_grad():
        x = tracked(x)
        return torch.autograd.grad(p(x).log().sum(), x, create_graph=True)[0]


@variant(LOG_DERIVATIVE)
def gradient_over_density(p, x):
    require_samples(x)
    with torch.enable_grad():
        x = tracked(x)
        density = p(x)
        return torch.autograd.grad(density.sum(), x, create_graph=True)[0] / density[:, None]


@variant(LOG_DERIVATIVE)
def score_of_every_row(p, x):
    require_samples(x)
    return vmap(grad(lambda row: p(row[None])[0].log()))(x)


# -- score_function_gradient --


@mistake(SCORE_FUNCTION, killed_by="test_estimate_averages_f_times_the_score",
         says="This is the sum over the samples: the 1/n is missing.")
def sum_of_terms(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: (f(x) * log_p(x, theta)).sum())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_averages_f_times_the_score",
         says="f is missing: this is the average score, which is zero in expectation.")
def average_score(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: log_p(x, theta).mean())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_averages_f_times_the_score",
         says="This is the average of f times the average score. Multiply sample by sample, then average.")
def product_of_averages(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: f(x).mean() * log_p(x, theta).mean())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_has_no_baseline",
         says="You subtract the average of f as a baseline. It lowers the variance, but the plain average is wanted.")
def with_a_baseline(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: ((f(x) - f(x).mean()) * log_p(x, theta)).mean())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_averages_f_times_the_score",
         says="You divide by the sum of the values of f. They are values, not weights: divide by n.")
def self_normalised(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: (f(x) * log_p(x, theta)).sum() / f(x).sum())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_averages_f_times_the_score",
         says="You differentiate the density. Sampling has put p in already: average the gradient of log p.")
def gradient_of_the_density(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: (f(x) * log_p(x, theta).exp()).mean())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_is_the_gradient_where_samples_enumerate_the_law",
         says="The sign is flipped: this is the gradient of a loss -E f. Asked for is that of E f itself.")
def gradient_of_the_loss(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: -(f(x) * log_p(x, theta)).mean())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_averages_f_times_the_score",
         says="The estimate is flat. A gradient has the shape of what it belongs to, here that of theta.")
def flattened(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta).reshape(-1)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_follows_the_parameters_of_f",
         says="You cut the graph at f(x). f does not depend on theta, but on its own parameters and on x.")
def detached_values_of_f(f, log_p, theta, x):
    require_samples(x)
    return grad(lambda theta: (f(x).detach() * log_p(x, theta)).mean())(theta)


@mistake(SCORE_FUNCTION, killed_by="test_estimate_can_be_differentiated_again",
         says="The gradient has no graph of its own, so it cannot be differentiated again (create_graph).")
def estimate_without_a_graph(f, log_p, theta, x):
    require_samples(x)
    with torch.enable_grad():
        theta = tracked(theta)
        return torch.autograd.grad((f(x) * log_p(x, theta)).mean(), theta)[0]


@mistake(SCORE_FUNCTION, killed_by="test_estimate_can_be_differentiated_again",
         says="You differentiate at a detached copy of theta: the estimate no longer depends on the theta you got.")
def estimate_at_a_detached_theta(f, log_p, theta, x):
    require_samples(x)
    with torch.enable_grad():
        theta = theta.detach().clone().requires_grad_()
        return torch.autograd.grad((f(x) * log_p(x, theta)).mean(), theta, create_graph=True)[0]


@mistake(SCORE_FUNCTION, killed_by="test_estimate_works_under_no_grad_and_leaves_no_trace",
         says="Under the caller's torch.no_grad() nothing is recorded: switch gradients on for your own lines.")
def estimate_needs_gradients_on(f, log_p, theta, x):
    require_samples(x)
    theta = tracked(theta)
    return torch.autograd.grad((f(x) * log_p(x, theta)).mean(), theta, create_graph=True)[0]


@mistake(SCORE_FUNCTION, killed_by="test_estimate_works_under_no_grad_and_leaves_no_trace",
         says="backward() leaves its result in theta.grad, where it adds to the next. Ask for the gradient as a value.")
def leaves_it_in_theta_grad(f, log_p, theta, x):
    require_samples(x)
    with torch.enable_grad():
        theta.requires_grad_()
        (f(x) * log_p(x, theta)).mean().backward(create_graph=True)
    return theta.grad


@mistake(SCORE_FUNCTION, killed_by="test_estimate_needs_samples",
         says="An average over no samples is 0/0 and comes out as nan: refuse it with a ValueError.")
def estimate_from_nothing(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta)


@variant(SCORE_FUNCTION)
def autograd_of_a_surrogate(f, log_p, theta, x):
    require_samples(x)
    with torch.enable_grad():
        theta = tracked(theta)
        return torch.autograd.grad((f(x) * log_p(x, theta)).mean(), theta, create_graph=True)[0]


@variant(SCORE_FUNCTION)
def scores_then_average(f, log_p, theta, x):
    require_samples(x)
    scores = jacrev(lambda theta: log_p(x, theta))(theta)  # (n, *theta)
    return torch.tensordot(f(x), scores, dims=1) / len(x)


@variant(SCORE_FUNCTION)
def score_by_score(f, log_p, theta, x):
    require_samples(x)
    terms = [f(row)[0] * grad(lambda t, row=row: log_p(row, t)[0])(theta) for row in x.split(1)]
    return torch.stack(terms).mean(dim=0)
