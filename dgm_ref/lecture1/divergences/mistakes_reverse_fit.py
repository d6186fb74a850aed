"""Wrong answers about the reverse KL fit of a Gaussian that students really give, and right answers by other roads."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.distributions import Normal

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import FEW, one_of_256

REVERSE = "divergences.fit_gaussian_reverse_kl"
CONVERGES = "test_the_reverse_fit_converges_to_the_closest_gaussian"
FRESH = "test_each_step_takes_n_fresh_samples_of_the_gaussian"
START = "test_no_step_leaves_the_fit_at_its_start"
STEP = "test_a_step_is_as_long_as_lr_says"
UNCHANGED = "test_the_start_stays_as_it_is"
GENERATOR = "test_the_reverse_fit_gets_its_randomness_from_the_generator"

LogDensity = Callable[[Tensor], Tensor]
Fit = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # of mu, s = log sigma, epsilon


@mistake(REVERSE, killed_by=CONVERGES, says="The entropy is missing, so the fit collapses onto the highest point of the density.")
def no_entropy(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return -log_p_data(mu + s.exp() * epsilon).mean()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=CONVERGES, says="The entropy counts twice, once in log p_theta and once more: the fit is too wide.")
def entropy_counted_twice(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    right = _reverse_kl(log_p_data)

    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return right(mu, s, epsilon) - s.sum()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=CONVERGES, says="You averaged the entropy over the coordinates. Entropies of independent coordinates add up.")
def entropy_averaged_over_coordinates(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return -s.mean() - log_p_data(mu + s.exp() * epsilon).mean()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=CONVERGES, says="The sign of the loss is wrong: the fit runs away from the data.")
def reverse_kl_maximised(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    right = _reverse_kl(log_p_data)

    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return -right(mu, s, epsilon)

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(
    REVERSE,
    killed_by=CONVERGES,
    says="No gradient passes through the samples, so none of log p_data arrives. Write x = mu + sigma epsilon.",
)
def samples_not_reparametrised(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        x = (mu + s.exp() * epsilon).detach()
        return (Normal(mu, s.exp()).log_prob(x).sum(1) - log_p_data(x)).mean()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(
    REVERSE,
    killed_by=CONVERGES,
    says="The samples are weighted by p_data / p_theta: that minimises the forward KL, by importance sampling.",
)
def forward_kl_by_importance_weights(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        x = (mu + s.exp() * epsilon).detach()
        log_q = Normal(mu, s.exp()).log_prob(x).sum(1)
        return -((log_p_data(x) - log_q).softmax(0).detach() * log_q).sum()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=FRESH, says="Every step uses the same noise, so the fit adapts to these few numbers. Draw afresh in each step.")
def same_noise_in_every_step(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    theta = _start(mu, sigma)
    noise = list(_noise(mu, 1, n, generator)) * steps
    return _mu_sigma(_descend(theta, _reverse_kl(log_p_data), noise, lr))


@mistake(REVERSE, killed_by=FRESH, says="All coordinates of a sample share one random number. Each needs its own, or they seem correlated.")
def noise_shared_by_coordinates(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    right = _reverse_kl(log_p_data)

    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return right(mu, s, epsilon[:, :1])

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=FRESH, says="The noise is uniform (torch.rand). A Gaussian sample needs standard normal noise (torch.randn).")
def uniform_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    theta = _start(mu, sigma)
    noise = (torch.rand(n, len(mu), generator=generator, dtype=mu.dtype) for _ in range(steps))
    return _mu_sigma(_descend(theta, _reverse_kl(log_p_data), noise, lr))


@mistake(REVERSE, killed_by=CONVERGES, says="Sigma stays at its start: the gradient has to reach both parameters.")
def frozen_sigma(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    right = _reverse_kl(log_p_data)

    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return right(mu, s.detach(), epsilon)

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=STEP, says="The loss adds the samples up, so each step is n times too long and the fit explodes.")
def loss_summed_over_samples(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    right = _reverse_kl(log_p_data)

    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return n * right(mu, s, epsilon)

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=START, says="You returned the parameter you optimise, the logarithm. The caller wants sigma itself.")
def log_sigma_returned(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    fit = _fit(_reverse_kl(log_p_data), mu, sigma, steps, lr, n, generator)
    return fit[0], fit[1].log()


@mistake(REVERSE, killed_by=START, says="You returned the variance. The caller wants the standard deviation.")
def sigma_squared_returned(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    fit = _fit(_reverse_kl(log_p_data), mu, sigma, steps, lr, n, generator)
    return fit[0], fit[1].square()


@mistake(REVERSE, killed_by=START, says="There is one step too many: steps = 0 has to return the start.")
def one_step_too_many(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _fit(_reverse_kl(log_p_data), mu, sigma, steps + 1, lr, n, generator)


@mistake(REVERSE, killed_by=STEP, says="The step size is fixed in your code. The caller chooses it: lr.")
def step_size_ignored(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _fit(_reverse_kl(log_p_data), mu, sigma, steps, 0.05, n, generator)


@mistake(REVERSE, killed_by=START, says="The fit starts at a standard normal. The caller gives the start: mu and sigma.")
def start_ignored(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _fit(_reverse_kl(log_p_data), torch.zeros_like(mu), torch.ones_like(sigma), steps, lr, n, generator)


@mistake(
    REVERSE,
    killed_by="test_standard_deviations_stay_positive",
    says="You descend on sigma itself, and a long step takes it below zero. Descend on its logarithm.",
)
def sigma_without_parametrisation(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    def loss(mu: Tensor, sigma: Tensor, epsilon: Tensor) -> Tensor:
        return -sigma.abs().log().sum() - log_p_data(mu + sigma * epsilon).mean()

    theta = _descend(torch.stack([mu, sigma]), loss, _noise(mu, steps, n, generator), lr)
    return theta[0], theta[1]


@mistake(REVERSE, killed_by=GENERATOR, says="The noise comes from the global generator. Draw it from the one that you were given.")
def global_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    theta = _start(mu, sigma)
    noise = (torch.randn(n, len(mu), dtype=mu.dtype) for _ in range(steps))
    return _mu_sigma(_descend(theta, _reverse_kl(log_p_data), noise, lr))


@mistake(REVERSE, killed_by=UNCHANGED, says="The optimiser moved the caller's own mu. Start from copies.")
def start_moved_in_place(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    fit = _fit(_reverse_kl(log_p_data), mu, sigma, steps, lr, n, generator)
    return mu.copy_(fit[0]), fit[1]


@mistake(REVERSE, killed_by=FRESH, says="You draw noise afresh in every tenth step only. Every step takes n draws of its own.")
def noise_kept_for_ten_steps(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    blocks = (noise for noise in _noise(mu, -(-steps // 10), n, generator) for _ in range(10))
    return _mu_sigma(_descend(_start(mu, sigma), _reverse_kl(log_p_data), itertools.islice(blocks, steps), lr))


@mistake(REVERSE, killed_by=FRESH, says="There are fewer steps than were asked for.")
def a_third_of_the_steps(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _fit(_reverse_kl(log_p_data), mu, sigma, -(-steps // 3), lr, n, generator)


@mistake(REVERSE, killed_by=CONVERGES, says="You stop after 100 steps: take all that are asked for.", when=lambda steps: steps > 100)
def a_hundred_steps_at_most(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _optimise(torch.optim.Adam, torch.log, torch.exp, log_p_data, mu, sigma, min(steps, 100), lr, n, generator)


@mistake(REVERSE, killed_by=GENERATOR, says=FEW)
def one_of_256_fits(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _fit(_reverse_kl(log_p_data), mu, sigma, steps, lr, n, one_of_256(generator))


@mistake(REVERSE, killed_by=FRESH, says="A step has fewer draws than were asked for: n of them.")
def four_draws_a_step(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _fit(_reverse_kl(log_p_data), mu, sigma, steps, lr, min(n, 4), generator)


@mistake(REVERSE, killed_by=FRESH, says="All samples of a step share one row of noise. Each sample needs its own.")
def one_row_of_noise_a_step(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    noise = (epsilon.expand(n, -1) for epsilon in _noise(mu, steps, 1, generator))
    return _mu_sigma(_descend(_start(mu, sigma), _reverse_kl(log_p_data), noise, lr))


@mistake(REVERSE, killed_by=FRESH, says="The noise is cut off at a few deviations. Normal noise is not.")
def noise_cut_off(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    noise = (epsilon.clamp(-2.5, 2.5) for epsilon in _noise(mu, steps, n, generator))
    return _mu_sigma(_descend(_start(mu, sigma), _reverse_kl(log_p_data), noise, lr))


@mistake(REVERSE, killed_by=FRESH, says="The samples have the variance sigma, not the standard deviation sigma.")
def samples_with_sigma_as_variance(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return -s.sum() - log_p_data(mu + (s / 2).exp() * epsilon).mean()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=CONVERGES, says="The entropy has a weight that is not one: the fit is too narrow.")
def entropy_weighted_down(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        return -0.6 * s.sum() - log_p_data(mu + s.exp() * epsilon).mean()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@mistake(REVERSE, killed_by=STEP, says="A step is longer than the optimiser with this lr makes it.")
def three_times_the_step(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _fit(_reverse_kl(log_p_data), mu, sigma, steps, 3 * lr, n, generator)


@mistake(
    REVERSE,
    killed_by=STEP,
    says="You hold sigma to 0.05 at least. Where log p_data is narrower, the fit has to be.",
    when=lambda sigma: sigma.min() < 0.05,
)
def sigma_held_above_a_floor(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    mean, deviation = _fit(_reverse_kl(log_p_data), mu, sigma, steps, lr, n, generator)
    return mean, deviation.clamp(min=0.05) if steps else deviation


@mistake(
    REVERSE,
    killed_by=FRESH,
    says="You take the mean of the noise away in each step. Where n is small the rest has too small a variance: draws are independent.",
)
def noise_without_its_mean(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    noise = (epsilon - epsilon.mean(0) for epsilon in _noise(mu, steps, n, generator))
    return _mu_sigma(_descend(_start(mu, sigma), _reverse_kl(log_p_data), noise, lr))


@variant(REVERSE)
def backward_through_the_model(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    loss, theta = _reverse_kl(log_p_data), _start(mu, sigma)
    for epsilon in _noise(mu, steps, n, generator):
        with torch.enable_grad():
            theta = theta.detach().requires_grad_()
            loss(theta[0], theta[1], epsilon).backward()
        assert theta.grad is not None
        theta = theta.detach() - lr * theta.grad
    return _mu_sigma(theta)


@variant(REVERSE)
def adam_on_log_sigma(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _optimise(torch.optim.Adam, torch.log, torch.exp, log_p_data, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def adamw_without_decay_on_log_sigma(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    def optimiser(parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr, weight_decay=0)

    return _optimise(optimiser, torch.log, torch.exp, log_p_data, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def rmsprop_on_softplus(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _optimise(torch.optim.RMSprop, _inverse_softplus, F.softplus, log_p_data, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def gradient_descent_on_softplus(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    return _optimise(torch.optim.SGD, _inverse_softplus, F.softplus, log_p_data, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def momentum_on_the_log_variance(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    def optimiser(parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr, momentum=0.9)

    def log_variance(sigma: Tensor) -> Tensor:
        return 2 * sigma.log()

    def standard_deviation(s: Tensor) -> Tensor:
        return (s / 2).exp()

    return _optimise(optimiser, log_variance, standard_deviation, log_p_data, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def adam_on_the_square_root_of_sigma(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    return _optimise(torch.optim.Adam, torch.sqrt, torch.square, log_p_data, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def sign_descent_on_log_sigma(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    noise = _noise(mu, steps, n, generator)
    return _mu_sigma(_descend(_start(mu, sigma), _reverse_kl(log_p_data), noise, lr, torch.sign))


@variant(REVERSE)
def antithetic_noise(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    """Half of the draws are the mirror images of the others."""
    noise = (torch.cat([epsilon, -epsilon])[:n] for epsilon in _noise(mu, steps, (n + 1) // 2, generator))
    return _mu_sigma(_descend(_start(mu, sigma), _reverse_kl(log_p_data), noise, lr))


@variant(REVERSE)
def sticking_the_landing(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    """The parameters of log q are cut off the graph: unbiased, and without noise at the optimum."""

    def loss(mu: Tensor, s: Tensor, epsilon: Tensor) -> Tensor:
        x = mu + s.exp() * epsilon
        return (Normal(mu.detach(), s.exp().detach()).log_prob(x).sum(1) - log_p_data(x)).mean()

    return _fit(loss, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def plain_loop_with_an_optimiser(
    log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator
) -> Fit:
    loc = torch.nn.Parameter(mu.clone())
    log_scale = torch.nn.Parameter(torch.log(sigma))
    optimizer = torch.optim.Adam([loc, log_scale], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        eps = torch.randn(n, mu.shape[0], generator=generator).to(mu)
        q = torch.distributions.Normal(loc, log_scale.exp())
        x = loc + log_scale.exp() * eps
        loss = (q.log_prob(x).sum(-1) - log_p_data(x)).mean()
        loss.backward()
        optimizer.step()
    return loc, log_scale.exp()


@variant(REVERSE)
def gradient_by_torch_func(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    def loss(theta: Tensor, epsilon: Tensor) -> Tensor:
        return _reverse_kl(log_p_data)(theta[0], theta[1], epsilon)

    theta = _start(mu, sigma)
    for epsilon in _noise(mu, steps, n, generator):
        theta = theta - lr * torch.func.grad(loss)(theta, epsilon)
    return _mu_sigma(theta)


@variant(REVERSE)
def nesterov_on_softplus(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    def optimiser(parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr, momentum=0.9, nesterov=True)

    return _optimise(optimiser, _inverse_softplus, F.softplus, log_p_data, mu, sigma, steps, lr, n, generator)


@variant(REVERSE)
def adagrad_on_log_sigma(log_p_data: LogDensity, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    return _optimise(torch.optim.Adagrad, torch.log, torch.exp, log_p_data, mu, sigma, steps, lr, n, generator)


def _start(mu: Tensor, sigma: Tensor) -> Tensor:
    """theta = (mu, log sigma): (2, m)."""
    return torch.stack([mu, sigma.log()]).detach()


def _noise(mu: Tensor, steps: int, n: int, generator: Generator) -> Iterator[Tensor]:
    """Fresh noise (n, m) for each step."""
    return (torch.randn(n, len(mu), generator=generator, dtype=mu.dtype) for _ in range(steps))


def _reverse_kl(log_p_data: LogDensity) -> Loss:
    """The right loss, up to a constant, with s = log sigma."""
    return lambda mu, s, epsilon: -s.sum() - log_p_data(mu + s.exp() * epsilon).mean()


def _fit(loss: Loss, mu: Tensor, sigma: Tensor, steps: int, lr: float, n: int, generator: Generator) -> Fit:
    """The right descent, on whatever loss."""
    return _mu_sigma(_descend(_start(mu, sigma), loss, _noise(mu, steps, n, generator), lr))


def _descend(
    theta: Tensor, loss: Loss, noise: Iterable[Tensor], lr: float, direction: Callable[[Tensor], Tensor] = torch.positive
) -> Tensor:
    """A step of lr against the direction that is made of each gradient: the gradient itself, or its sign."""
    for epsilon in noise:
        with torch.enable_grad():
            theta = theta.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(loss(theta[0], theta[1], epsilon), theta)
        theta = theta.detach() - lr * direction(gradient)
    return theta


def _mu_sigma(theta: Tensor) -> Fit:
    return theta[0], theta[1].exp()


def _optimise(
    optimiser: Callable[..., torch.optim.Optimizer],
    parameter: Callable[[Tensor], Tensor],
    positive: Callable[[Tensor], Tensor],
    log_p_data: LogDensity,
    mu: Tensor,
    sigma: Tensor,
    steps: int,
    lr: float,
    n: int,
    generator: Generator,
) -> Fit:
    """Any optimiser of torch, any positive parametrisation, and log p_theta at the samples instead of the entropy."""
    mu, rho = _start(mu, sigma)[0].clone().requires_grad_(), parameter(sigma.detach()).requires_grad_()
    descent = optimiser([mu, rho], lr=lr)
    for epsilon in _noise(mu, steps, n, generator):
        with torch.enable_grad():
            q = Normal(mu, positive(rho))
            x = mu + positive(rho) * epsilon
            loss = (q.log_prob(x).sum(1) - log_p_data(x)).mean()
        mu.grad, rho.grad = torch.autograd.grad(loss, [mu, rho])
        descent.step()
    return mu.detach(), positive(rho.detach())


def _inverse_softplus(sigma: Tensor) -> Tensor:
    return torch.expm1(sigma).log()
