"""The log-derivative trick: wrong answers, and right ones that look different."""

from __future__ import annotations

import torch
from torch.func import grad, jacrev, vmap

from dgm_ref.catalogue import EPSILONS, mistake, variant

LOG_DERIVATIVE = "course_tricks.log_derivative"
SCORE_FUNCTION = "course_tricks.score_function_gradient"


def tracked(tensor):
    """The tensor itself where it has a graph, else a copy that starts one."""
    return tensor if tensor.requires_grad else tensor.detach().requires_grad_()


# -- log_derivative --


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="This is the gradient of p: the division by p(x) is missing.",
)
def gradient_of_p(p, x):
    return grad(lambda x: p(x).sum())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="You multiply the gradient of p by p(x). The derivative of the logarithm is 1/p.",
)
def times_p(p, x):
    return grad(lambda x: p(x).square().sum() / 2)(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="All samples share one denominator, the sum of their densities. Each gradient has its own p(x): take logs before you sum.",
)
def log_of_the_sum(p, x):
    return grad(lambda x: p(x).sum().log())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="You average over the batch before you differentiate, so every score is divided by n.",
)
def score_over_n(p, x):
    return grad(lambda x: p(x).log().mean())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="The sign is flipped: this is the gradient of the energy -log p. The score points to where p grows.",
)
def gradient_of_the_energy(p, x):
    return grad(lambda x: -p(x).log().sum())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_ignores_the_normalising_constant",
    says="A small number added to p is not small where p is small itself. p is positive: nothing needs adding.",
    constants=EPSILONS,
)
def log_of_p_plus_epsilon(p, x, constant=1e-8):
    return grad(lambda x: (p(x) + constant).log().sum())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_ignores_the_normalising_constant",
    says="You clamp p (or its logarithm) from below, and where the clamp holds there is no gradient. p is positive: leave it.",
    constants=EPSILONS,
)
def log_of_clamped_p(p, x, constant=1e-8):
    return grad(lambda x: p(x).clamp_min(constant).log().sum())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="Finite differences lose half of the digits. Autograd gives the gradient as accurately as p itself.",
)
def finite_differences(p, x):
    step = 1e-3
    columns = [(p(x + step * e).log() - p(x - step * e).log()) / (2 * step) for e in torch.eye(x.shape[1], dtype=x.dtype)]
    return torch.stack(columns, dim=1)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="You normalise the densities over the batch, so the score of one sample depends on the others.",
)
def normalises_over_the_batch(p, x):
    return grad(lambda x: (p(x) / p(x).sum()).log().sum())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_ignores_the_normalising_constant",
    says="You clamp the score. Where a density is narrow its score is large.",
)
def clamped_score(p, x):
    return grad(lambda x: p(x).log().sum())(x).clamp(-50, 50)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="You scale the scores to length one. Their length says how fast log p grows.",
)
def directions_alone(p, x):
    return torch.nn.functional.normalize(grad(lambda x: p(x).log().sum())(x), dim=1)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="You sum the score over the samples. Each sample has its own.",
)
def sum_of_the_scores(p, x):
    return grad(lambda x: p(x).log().sum())(x).sum(dim=0)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_single_sample_or_dimension",
    says="A squeeze drops every axis of length one: the result is (n, m), also where n or m is one.",
)
def squeezes_the_score(p, x):
    return grad(lambda x: p(x).log().sum())(x).squeeze()


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_each_of_many_samples_is_its_own",
    says="You go through the samples in batches and leave the last one, which is not full, at zero.",
)
def scores_of_full_batches(p, x):
    size = min(64, len(x))
    scores = torch.zeros_like(x)
    for start in range(0, len(x) - size + 1, size):
        scores[start : start + size] = grad(lambda x: p(x).log().sum())(x[start : start + size])
    return scores


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_has_the_dtype_of_the_samples",
    says="You collect in torch.zeros(n, m), which is float32 whatever the samples are.",
)
def scores_in_float32(p, x):
    return torch.zeros(x.shape) + grad(lambda x: p(x).log().sum())(x).float()


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_depends_on_the_samples_alone",
    says="backward() leaves its result in x.grad, where it adds to the next. Ask for the gradient as a value.",
)
def leaves_it_in_x_grad(p, x):
    x.requires_grad_()
    p(x).log().sum().backward()
    return x.grad


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_ignores_the_normalising_constant",
    says="You clip the score at 1000. A narrow density has large scores.",
)
def clipped_at_a_thousand(p, x):
    return grad(lambda x: p(x).log().sum())(x).clamp(-1000, 1000)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_a_gaussian_points_to_its_mean",
    says="You differentiate the binary logarithm. The score is the gradient of the natural one.",
)
def score_in_bits(p, x):
    return grad(lambda x: p(x).log2().sum())(x)


@mistake(
    LOG_DERIVATIVE,
    killed_by="test_score_of_each_of_many_samples_is_its_own",
    says="You divide by the largest density of the batch, and a small one becomes zero. The score needs no such scale.",
)
def over_the_largest_density(p, x):
    return grad(lambda x: (p(x) / p(x).detach().max()).log().sum())(x)


@variant(LOG_DERIVATIVE)
def autograd_of_log_p(p, x):
    with torch.enable_grad():
        x = tracked(x)
        return torch.autograd.grad(p(x).log().sum(), x, create_graph=True)[0]


@variant(LOG_DERIVATIVE)
def backward_on_a_copy(p, x):
    x = x.detach().clone().requires_grad_(True)
    p(x).log().sum().backward()
    return x.grad


@variant(LOG_DERIVATIVE)
def ones_as_cotangent(p, x):
    x = x.detach().requires_grad_()
    log_p = torch.log(p(x))
    (score,) = torch.autograd.grad(log_p, x, grad_outputs=torch.ones_like(log_p))
    return score


@variant(LOG_DERIVATIVE)
def row_jacobians_in_forward_mode(p, x):
    return vmap(torch.func.jacfwd(lambda row: p(row.unsqueeze(0)).squeeze(0).log()))(x)


@variant(LOG_DERIVATIVE)
def marks_the_samples(p, x):
    x.requires_grad_(True)
    return torch.autograd.grad(p(x).log().sum(), x)[0]


@variant(LOG_DERIVATIVE)
def diagonal_of_the_batch_jacobian(p, x):
    if len(x) > 1000:  # a loop over rows where n x n is too much
        return torch.cat([torch.autograd.functional.jacobian(lambda row: p(row).log(), row)[0] for row in x.split(1)])
    return torch.autograd.functional.jacobian(lambda x: p(x).log(), x).diagonal(dim1=0, dim2=1).T


@variant(LOG_DERIVATIVE)
def one_direction_at_a_time(p, x):
    """Forward mode on x as it is, which torch refuses where rows share memory."""
    directions = torch.eye(x.shape[1], dtype=x.dtype).unbind()
    return torch.stack([torch.func.jvp(lambda x: p(x).log(), (x,), (e.expand(x.shape),))[1] for e in directions], dim=1)


@variant(LOG_DERIVATIVE)
def gradient_over_density(p, x):
    with torch.enable_grad():
        x = tracked(x)
        density = p(x)
        return torch.autograd.grad(density.sum(), x, create_graph=True)[0] / density[:, None]


@variant(LOG_DERIVATIVE)
def score_of_every_row(p, x):
    return vmap(grad(lambda row: p(row[None])[0].log()))(x)


# -- score_function_gradient --


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="This is the sum over the samples: the 1/n is missing.",
)
def sum_of_terms(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta)).sum())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="f is missing: this is the average score, which is zero in expectation.",
)
def average_score(f, log_p, theta, x):
    return grad(lambda theta: log_p(x, theta).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="This is the average of f times the average score. Multiply sample by sample, then average.",
)
def product_of_averages(f, log_p, theta, x):
    return grad(lambda theta: f(x).mean() * log_p(x, theta).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_has_no_baseline",
    says="You subtract the average of f as a baseline. It lowers the variance, but the plain average is wanted.",
)
def with_a_baseline(f, log_p, theta, x):
    return grad(lambda theta: ((f(x) - f(x).mean()) * log_p(x, theta)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="You divide by the sum of the values of f. They are values, not weights: divide by n.",
)
def self_normalised(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta)).sum() / f(x).sum())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="You differentiate the density. Sampling has put p in already: average the gradient of log p.",
)
def gradient_of_the_density(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta).exp()).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="The sign is flipped: this is the gradient of a loss -E f. Asked for is that of E f itself.",
)
def gradient_of_the_loss(f, log_p, theta, x):
    return grad(lambda theta: -(f(x) * log_p(x, theta)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="The estimate is flat. A gradient has the shape of what it belongs to, here that of theta.",
)
def flattened(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta).reshape(-1)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_has_no_baseline",
    says="You subtract the average of the other rewards. It lowers the variance, but the plain average is wanted.",
)
def leave_one_out_baseline(f, log_p, theta, x):
    values, n = f(x), len(x)
    others = (values.sum() - values) / max(n - 1, 1)
    return grad(lambda theta: ((values - others) * log_p(x, theta)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="You standardise the rewards. f counts as it is.",
)
def standardised_rewards(f, log_p, theta, x):
    values = f(x)
    values = (values - values.mean()) / (values.std() + 1e-8)
    return grad(lambda theta: (values * log_p(x, theta)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="You take the absolute value of f. A negative value pushes away from its sample.",
)
def absolute_rewards(f, log_p, theta, x):
    return grad(lambda theta: (f(x).abs() * log_p(x, theta)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="You divide by n - 1. The average of n terms has n below.",
)
def estimate_over_n_minus_1(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta)).sum() / max(len(x) - 1, 1))(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="You clip the norm of the gradient. The plain average is wanted, whatever its size.",
)
def clips_the_norm(f, log_p, theta, x):
    g = grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta)
    return g / g.norm().clamp_min(1.0)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_averages_f_times_the_score",
    says="You clamp the rewards. f may be of any size, and counts as it is.",
)
def clamps_the_rewards(f, log_p, theta, x):
    return grad(lambda theta: (f(x).clamp(-1e6, 1e6) * log_p(x, theta)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_counts_every_one_of_many_samples",
    says="You clamp the log-density from below, and where the clamp holds there is no gradient.",
)
def clamps_log_p(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta).clamp_min(-100)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_counts_every_one_of_many_samples",
    says="You use the first thousand samples only. All that are given count.",
)
def estimate_from_the_first_thousand(f, log_p, theta, x):
    x = x[:1000]
    return grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta)


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_from_a_single_sample_or_dimension",
    says="A squeeze drops every axis of length one: a gradient has the shape of theta.",
)
def squeezes_the_estimate(f, log_p, theta, x):
    return grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta).squeeze()


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_has_the_dtype_of_theta",
    says="You collect in torch.zeros of theta's shape, which is float32 whatever theta is.",
)
def estimate_in_float32(f, log_p, theta, x):
    return torch.zeros(theta.shape) + grad(lambda theta: (f(x) * log_p(x, theta)).mean())(theta).float()


@mistake(
    SCORE_FUNCTION,
    killed_by="test_estimate_depends_on_its_arguments_alone",
    says="backward() leaves its result in theta.grad, where it adds to the next. Ask for the gradient as a value.",
)
def leaves_it_in_theta_grad(f, log_p, theta, x):
    theta.requires_grad_()
    (f(x) * log_p(x, theta)).mean().backward()
    return theta.grad


@mistake(
    SCORE_FUNCTION,
    killed_by="test_reward_and_score_are_multiplied_sample_by_sample",
    says="You leave samples without a reward out of the average. Their terms are zero, and they count in n.",
    when=lambda f, x: (f(x) == 0).any(),
)
def rewarded_samples_alone(f, log_p, theta, x):
    rewarded = x[f(x) != 0] if (f(x) != 0).any() else x
    return sum_of_terms(f, log_p, theta, rewarded) / len(rewarded)


@variant(SCORE_FUNCTION)
def autograd_of_a_surrogate(f, log_p, theta, x):
    with torch.enable_grad():
        theta = tracked(theta)
        return torch.autograd.grad((f(x) * log_p(x, theta)).mean(), theta, create_graph=True)[0]


@variant(SCORE_FUNCTION)
def reinforce_with_detached_rewards(f, log_p, theta, x):
    theta = theta.clone().detach().requires_grad_(True)
    with torch.no_grad():
        rewards = f(x)
    (rewards * log_p(x, theta)).mean().backward()
    return theta.grad


@variant(SCORE_FUNCTION)
def importance_ratio(f, log_p, theta, x):
    theta = theta.detach().requires_grad_()
    now = log_p(x, theta)
    return torch.autograd.grad((f(x) * (now - now.detach()).exp()).mean(), theta)[0]


@variant(SCORE_FUNCTION)
def vector_jacobian_product(f, log_p, theta, x):
    _, pull_back = torch.func.vjp(lambda theta: log_p(x, theta), theta)
    return pull_back(f(x) / x.shape[0])[0]


@variant(SCORE_FUNCTION)
def per_sample_gradients(f, log_p, theta, x):
    scores = vmap(grad(lambda t, row: log_p(row.unsqueeze(0), t).squeeze(0)), in_dims=(None, 0))(theta, x)
    return torch.einsum("n,n...->...", f(x), scores) / len(x)


@variant(SCORE_FUNCTION)
def functional_jacobian(f, log_p, theta, x):
    if len(x) > 1000:
        return torch.autograd.functional.vjp(lambda theta: log_p(x, theta), theta, f(x))[1] / len(x)
    scores = torch.autograd.functional.jacobian(lambda theta: log_p(x, theta), theta)  # (n, *theta)
    return (f(x).view(-1, *[1] * theta.dim()) * scores).mean(dim=0)


@variant(SCORE_FUNCTION)
def scores_then_average(f, log_p, theta, x):
    scores = jacrev(lambda theta: log_p(x, theta))(theta)  # (n, *theta)
    return torch.tensordot(f(x), scores, dims=1) / len(x)


@variant(SCORE_FUNCTION)
def score_by_score(f, log_p, theta, x):
    terms = [f(row)[0] * grad(lambda t, row=row: log_p(row, t)[0])(theta) for row in x.split(1)]
    return torch.stack(terms).mean(dim=0)
