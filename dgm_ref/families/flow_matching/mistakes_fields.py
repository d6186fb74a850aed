"""Wrong and other right answers about following a field, and about the field of Gaussian data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, near_one_another, variant
from dgm_ref.slips import changed_in_place, first_where_near

EULER, VELOCITY, SCORE = "flow_matching.euler_sample", "flow_matching.gaussian_velocity", "flow_matching.score_from_velocity"
E_BY_HAND = "test_euler_steps_known_by_hand"
V_BY_HAND, V_ENDS = "test_velocities_of_gaussian_data_known_by_hand", "test_the_velocity_at_both_ends_and_without_a_spread"
V_MEAN, V_TRAINS = "test_the_velocity_is_the_mean_of_the_lines_that_pass", "test_the_velocity_has_gradients"
S_BY_HAND = "test_scores_from_velocities_known_by_hand"
S_SQUARE = "test_the_score_of_one_row_of_a_square_batch_and_its_gradients"

Velocity = Callable[[Tensor, Tensor], Tensor]


def _at(x: Tensor, t: float) -> Tensor:
    return torch.full_like(x[:, 0], t)


@mistake(EULER, killed_by=E_BY_HAND, says="The field is asked at the end of each step. Euler's method asks at its start.")
def field_at_the_end(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x + v(x, _at(x, (i + 1) / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The field is asked at the middle of each step. Euler's method asks at its start.")
def field_at_the_middle(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x + v(x, _at(x, (i + 0.5) / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="You go back, from data to noise: the step is added.")
def from_data_to_noise(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x - v(x, _at(x, i / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The times are spread from 0 to 1, both included. The last step starts at 1 - 1/steps.")
def times_to_the_end(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for t in torch.linspace(0, 1, max(steps, 2), dtype=torch.float64).tolist()[:steps]:
        x = x + v(x, _at(x, t)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The step is not divided: each goes 1/steps of the way.")
def whole_steps(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x + v(x, _at(x, i / steps))
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The field is always asked at the noise. It is asked where the way has come to.")
def field_at_the_start_alone(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    return x0 + sum(v(x0, _at(x0, i / steps)) for i in range(steps)) / steps


@mistake(EULER, killed_by="test_an_euler_sample_keeps_the_dtype", says="You move the noise itself: x += changes the caller's tensor.")
def noise_moved_in_place(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x += v(x, _at(x, i / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The last step is missing.")
def one_step_short(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps - 1):
        x = x + v(x, _at(x, i / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The clock runs from 1 to 0. Noise is at t = 0, data at t = 1.")
def clock_from_one(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x - v(x, _at(x, 1 - i / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="These are steps of the midpoint rule. Euler's method takes one slope a step.")
def midpoint_steps(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        middle = x + v(x, _at(x, i / steps)) / (2 * steps)
        x = x + v(middle, _at(x, (i + 0.5) / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The time stays 0. It moves on by 1/steps with every step.")
def clock_stands_still(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for _ in range(steps):
        x = x + v(x, _at(x, 0.0)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The field gets the number of the step. The time is that divided by steps.")
def number_of_the_step_for_the_time(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x + v(x, _at(x, float(i))) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="You divide by steps - 1: so many steps go beyond t = 1.")
def one_interval_too_few(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x, intervals = x0, max(steps - 1, 1)
    for i in range(steps):
        x = x + v(x, _at(x, i / intervals)) / intervals
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="The whole path is returned. Its end is asked for.")
def whole_path(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    path = [x0]
    for i in range(steps):
        path.append(path[-1] + v(path[-1], _at(x0, i / steps)) / steps)
    return torch.stack(path)


@mistake(EULER, killed_by=E_BY_HAND, says="There is one step more than asked for.")
def one_step_beyond(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps + 1):
        x = x + v(x, _at(x, i / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="These are steps of Heun's method. Euler's method takes one slope a step.")
def heun_steps(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        slope = v(x, _at(x, i / steps))
        x = x + (slope + v(x + slope / steps, _at(x, (i + 1) / steps))) / (2 * steps)
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="Every step starts again from the noise. It goes on from where the one before has led.")
def every_step_from_the_noise(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x0 + v(x, _at(x, i / steps)) / steps
    return x


@mistake(EULER, killed_by=E_BY_HAND, says="You round the length of a step to four digits. Three steps of 0.3333 do not reach time 1.")
def rounded_steps(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        x = x + round(1 / steps, 4) * v(x, _at(x, i / steps))
    return x


@variant(EULER)
def euler_without_a_graph(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    dt, x = 1.0 / steps, x0.clone()
    with torch.no_grad():
        for i in range(steps):
            x += dt * v(x, torch.ones(len(x), dtype=x.dtype) * (i * dt))
    return x


@variant(EULER)
def euler_with_times_from_linspace(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    times = torch.linspace(0, 1, steps + 1, dtype=x0.dtype)
    x = x0
    for t, after in zip(times[:-1], times[1:], strict=True):
        x = x + (after - t) * v(x, t.expand(len(x)))
    return x


@variant(EULER)
def euler_with_an_accumulated_time(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x, t = x0, torch.zeros(x0.shape[0], dtype=x0.dtype)
    for _ in range(steps):
        x, t = x + v(x, t) / steps, t + 1 / steps
    return x


@mistake(
    EULER,
    killed_by="test_one_euler_step_of_one_row_and_many_of_many",
    says="There is a step too many: torch.arange(0, 1, 1/49) has 50 entries, of which the last is 1. Count the steps.",
    when=lambda steps: len(torch.arange(0, 1, 1 / steps)) > steps,
)
def times_by_arange(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for t in torch.arange(0, 1, 1 / steps, dtype=x.dtype):
        x = x + v(x, t.expand(len(x))) / steps
    return x


@mistake(EULER, killed_by="test_one_euler_step_of_one_row_and_many_of_many", says=changed_in_place("the field", "its argument"))
def slope_scaled_in_place(v: Velocity, x0: Tensor, steps: int) -> Tensor:
    x = x0
    for i in range(steps):
        slope = v(x, _at(x, i / steps)).detach()
        slope /= steps
        x = x + slope
    return x


# -- gaussian_velocity --


def _line(x: Tensor, t: Tensor, mu: Tensor, covariance: Tensor, variance: Tensor) -> Tensor:
    return mu + covariance / variance * (x - t[:, None] * mu)


def _variance(t: Tensor, sigma: Tensor) -> Tensor:
    return (1 - t[:, None]) ** 2 + t[:, None] ** 2 * sigma**2


@mistake(VELOCITY, killed_by=V_BY_HAND, says="You have sigma where its square, the variance, belongs.")
def deviation_for_variance(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma - (1 - s), (1 - s) ** 2 + s**2 * sigma)


@mistake(
    VELOCITY, killed_by=V_BY_HAND, says="The covariance of the noise has the wrong sign: the velocity is x_1 - x_0, so 1 - t is subtracted."
)
def noise_added_to_the_velocity(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 + (1 - s), _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="This is the mean of x_1 given x_t. The mean of x_0 is to be subtracted.")
def mean_of_the_data(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return _line(x, t, mu, t[:, None] * sigma**2, _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="x is compared with mu. The mean of x_t is t mu.")
def compared_with_mu(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return mu + (s * sigma**2 - (1 - s)) / _variance(t, sigma) * (x - mu)


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The mean mu of the velocity is missing.")
def velocity_without_its_mean(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return (s * sigma**2 - (1 - s)) / _variance(t, sigma) * (x - s * mu)


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The variance of x_t has (1 - t) and t in it. They are squared.")
def weights_not_squared(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 - (1 - s), (1 - s) + s * sigma**2)


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The ends are swapped: noise is at t = 0, data at t = 1.")
def time_turned_round(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = 1 - t
    return -_line(x, s, mu, s[:, None] * sigma**2 - (1 - s[:, None]), _variance(s, sigma))


@mistake(VELOCITY, killed_by=V_ENDS, says="Dividing by 1 - t gives nan at the end. The form with both variances holds at both ends.")
def divided_by_what_is_left(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    data = mu + s * sigma**2 / _variance(t, sigma) * (x - s * mu)
    return (data - x) / (1 - s)


@mistake(VELOCITY, killed_by=V_ENDS, says="Dividing by t loses all digits just after the start. The form with both variances holds there.")
def divided_by_what_is_done(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    noise = (1 - s) / _variance(t, sigma) * (x - s * mu)
    return torch.where(s > 0, (x - noise) / torch.where(s > 0, s, 1.0), mu - x)


@mistake(VELOCITY, killed_by=V_ENDS, says="A small number in the variance moves the velocity where the variance is small.")
def epsilon_in_the_variance(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 - (1 - s), _variance(t, sigma) + 1e-8)


@mistake(VELOCITY, killed_by=V_TRAINS, says="The deviation is detached.")
def deviation_detached(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s, sigma = t[:, None], sigma.detach()
    return _line(x, t, mu, s * sigma**2 - (1 - s), _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="You have sigma where its square, the variance, belongs.")
def covariance_with_the_deviation(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma - (1 - s), _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The slope has the wrong sign: t sigma^2 - (1 - t) is the covariance of velocity and x_t.")
def slope_turned_round(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, (1 - s) - s * sigma**2, _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The ends are swapped: noise is at t = 0, data at t = 1.")
def clock_turned_round(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = 1 - t
    return _line(x, s, mu, s[:, None] * sigma**2 - (1 - s[:, None]), _variance(s, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The covariance is divided by the deviation of x_t. It is divided by the variance.")
def divided_by_the_deviation(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 - (1 - s), _variance(t, sigma).sqrt())


@mistake(VELOCITY, killed_by=V_BY_HAND, says="This leads straight to mu, as if the data were one point. They have a spread.")
def straight_to_the_mean(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return (mu - x) / (1 - t[:, None])


@mistake(VELOCITY, killed_by=V_ENDS, says="Dividing by t gives nan at the start. The form with both variances holds at both ends.")
def nan_at_the_start(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    noise = (1 - s) / _variance(t, sigma) * (x - s * mu)
    return (x - noise) / s


@mistake(VELOCITY, killed_by=V_BY_HAND, says="What is left, 1 - t, is squared in the covariance. It is squared in the variance alone.")
def covariance_with_a_square_too_many(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 - (1 - s) ** 2, _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="t is squared in the covariance. It is squared in the variance alone.")
def covariance_with_the_square_of_t(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s**2 * sigma**2 - (1 - s), _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="x itself is taken for its distance from the mean. The mean of x_t is t mu: subtract it.")
def mean_of_the_point_forgotten(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return mu + (s * sigma**2 - (1 - s)) / _variance(t, sigma) * x


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The mean of x_t, t mu, is added to x. Subtract it.")
def mean_of_the_point_added(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return mu + (s * sigma**2 - (1 - s)) / _variance(t, sigma) * (x + s * mu)


@mistake(VELOCITY, killed_by=V_BY_HAND, says="In front stands t mu, the mean of x_t. That of the velocity is mu.")
def mean_of_the_point_in_front(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return s * mu + (s * sigma**2 - (1 - s)) / _variance(t, sigma) * (x - s * mu)


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The weights in the variance of x_t are swapped: noise has (1 - t)^2, data t^2 sigma^2.")
def weights_of_the_variance_swapped(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 - (1 - s), s**2 + (1 - s) ** 2 * sigma**2)


@mistake(VELOCITY, killed_by=V_BY_HAND, says="t is not squared in the variance of x_t: it is (1 - t)^2 + t^2 sigma^2.")
def variance_with_a_plain_t(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 - (1 - s), (1 - s) ** 2 + s * sigma**2)


@mistake(VELOCITY, killed_by=V_BY_HAND, says="The covariance has 1 in place of 1 - t: it is t sigma^2 - (1 - t).")
def covariance_with_all_the_noise(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return _line(x, t, mu, t[:, None] * sigma**2 - 1, _variance(t, sigma))


@mistake(VELOCITY, killed_by=V_BY_HAND, says="You have sigma where its square, the variance, belongs.")
def variance_with_the_deviation(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    return _line(x, t, mu, s * sigma**2 - (1 - s), (1 - s) ** 2 + s**2 * sigma)


@mistake(
    VELOCITY,
    killed_by="test_the_velocity_of_one_row_one_dimension_a_square_batch_and_many_rows",
    says="Times less than a tenth apart are taken for one. Each row has one.",
    when=near_one_another("t"),
)
def velocity_at_one_time_where_they_are_near(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    return velocity_from_two_conditional_means(x, first_where_near(t), mu, sigma)


@variant(VELOCITY)
def velocity_from_two_conditional_means(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t.unsqueeze(1)
    innovation = (x - s * mu) / ((1 - s).square() + (s * sigma).square())
    return (mu + s * sigma.square() * innovation) - (1 - s) * innovation


@variant(VELOCITY)
def velocity_from_slopes_of_mean_and_deviation(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    s = t[:, None]
    deviation = ((1 - s) ** 2 + (s * sigma) ** 2).sqrt()
    slope = (s * sigma**2 + s - 1) / deviation
    return slope / deviation * (x - s * mu) + mu


@variant(VELOCITY)
def velocity_row_by_row(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    rows = []
    for row, s in zip(x, t, strict=True):
        rows.append(mu + (s * sigma**2 - 1 + s) * (row - s * mu) / ((1 - s) ** 2 + s**2 * sigma**2))
    return torch.stack(rows)


@mistake(
    VELOCITY,
    killed_by=V_ENDS,
    says="Where one dimension has no spread, narrow ones are taken for points, too. They have their own sigma.",
    when=lambda sigma: bool((sigma == 0).any()) and not bool((sigma == 0).all()),
)
def narrow_ones_taken_for_points(x: Tensor, t: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
    sigma = torch.where(sigma < 0.1, 0.0, sigma) if (sigma == 0).any() else sigma
    time, variance = t[:, None], _variance(t, sigma)
    return mu + (time * sigma.square() - (1 - time)) / variance * (x - time * mu)


# -- score_from_velocity --


@mistake(SCORE, killed_by=S_BY_HAND, says="The division by 1 - t is missing.")
def not_divided_by_what_is_left(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return t[:, None] * velocity - x


LATE = "Near t = 1 what is left of the noise is smaller than what you add or clamp to. The score is large there."


@mistake(SCORE, killed_by=S_BY_HAND, says=LATE, when=lambda t: t.max() > 0.999)
def clamps_what_is_left(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[:, None] * velocity - x) / (1 - t[:, None]).clamp(min=1e-3)


@mistake(SCORE, killed_by=S_BY_HAND, says=LATE, when=lambda t: t.max() > 0.999)
def epsilon_beside_what_is_left(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[:, None] * velocity - x) / (1 - t[:, None] + 1e-6)


@mistake(SCORE, killed_by=S_BY_HAND, says="The sign is turned: at t = 0 the score is -x.")
def score_turned_round(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (x - t[:, None] * velocity) / (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="You divide by t. It is 1 - t, what is left of the noise.")
def divided_by_t(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[:, None] * velocity - x) / t[:, None]


@mistake(SCORE, killed_by=S_BY_HAND, says="The velocity is not multiplied by t.")
def velocity_without_t(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (velocity - x) / (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="You divide by the square of 1 - t.")
def divided_by_the_square(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[:, None] * velocity - x) / (1 - t[:, None]) ** 2


@mistake(SCORE, killed_by=S_SQUARE, says="In a square batch your times go along the dimensions. They belong to the rows: t[:, None].")
def score_along_the_dimensions(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    s = t if x.shape[0] == x.shape[1] else t[:, None]
    return (s * velocity - x) / (1 - s)


@mistake(SCORE, killed_by=S_BY_HAND, says="x is added. It is subtracted: at t = 0 the score is -x.")
def point_added(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[:, None] * velocity + x) / (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="The ends are swapped: noise is at t = 0, data at t = 1.")
def clock_of_the_score_turned_round(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return ((1 - t[:, None]) * velocity - x) / t[:, None]


@mistake(SCORE, killed_by=S_BY_HAND, says="This is x + (1 - t) v, the predicted data. The score is asked for.")
def predicted_data(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return x + (1 - t[:, None]) * velocity


@mistake(SCORE, killed_by=S_SQUARE, says="The velocity is detached: a score is differentiable in it.")
def velocity_detached(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[:, None] * velocity.detach() - x) / (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="The velocity has the wrong sign: t v is added to -x.")
def velocity_with_a_minus(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (-t[:, None] * velocity - x) / (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="This is x - t v, the predicted noise. The score is minus that, divided by 1 - t.")
def predicted_noise(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return x - t[:, None] * velocity


@mistake(SCORE, killed_by=S_BY_HAND, says="t multiplies x. It multiplies the velocity: at t = 0 the score is -x.")
def t_at_the_point(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (velocity - t[:, None] * x) / (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="Only x is divided by 1 - t. Both terms are.")
def velocity_not_divided(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return t[:, None] * velocity - x / (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="Only the velocity is divided by 1 - t. Both terms are.")
def point_not_divided(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return t[:, None] * velocity / (1 - t[:, None]) - x


@mistake(SCORE, killed_by=S_BY_HAND, says="You multiply by 1 - t. Divide by it.")
def multiplied_by_what_is_left(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[:, None] * velocity - x) * (1 - t[:, None])


@mistake(SCORE, killed_by=S_BY_HAND, says="x is missing: at t = 0 the score is -x.")
def score_of_the_velocity_alone(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return t[:, None] * velocity / (1 - t[:, None])


@mistake(
    SCORE,
    killed_by=S_SQUARE,
    says="Times less than a tenth apart are taken for one. Each row has one.",
    when=near_one_another("t"),
)
def score_at_one_time_where_they_are_near(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return score_by_the_mean_noise(velocity, x, first_where_near(t))


@mistake(SCORE, killed_by=S_SQUARE, says="You detach the time. The score changes with it, by (v - x) / (1 - t)^2.")
def time_of_the_score_detached(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return score_by_the_mean_noise(velocity, x, t.detach())


@mistake(SCORE, killed_by=S_BY_HAND, says="The velocity is multiplied by 1 - t. It is multiplied by t.")
def velocity_times_what_is_left(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    left = 1 - t[:, None]
    return (left * velocity - x) / left


@mistake(SCORE, killed_by=S_BY_HAND, says="All rows have the first row's time. Each row has its own.")
def first_time_for_all_scores(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return (t[0] * velocity - x) / (1 - t[0])


@variant(SCORE)
def score_by_the_mean_noise(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    s = t.view(-1, 1)
    return -(x - s * velocity) / (1 - s)


@variant(SCORE)
def score_transposed(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    return ((t * velocity.T - x.T) / (1 - t)).T


@variant(SCORE)
def score_by_addcmul(velocity: Tensor, x: Tensor, t: Tensor) -> Tensor:
    s = t.unsqueeze(-1)
    return torch.addcmul(-x, s, velocity).div(1 - s)
