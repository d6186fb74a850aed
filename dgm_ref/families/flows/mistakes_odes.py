"""Wrong and other right answers about the Runge-Kutta method, divergences, and the density of a neural ODE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import NO_LEAF, changed_in_place

RK, DIV, HUTCHINSON, ODE = "flows.runge_kutta", "flows.divergence", "flows.hutchinson_divergence", "flows.ode_log_prob"
RK_BY_HAND, RK_STEPS = "test_one_step_on_exponential_growth_known_by_hand", "test_steps_of_the_classical_method"
RK_TRAINS = "test_the_end_can_be_differentiated_in_the_start_and_in_the_field"
DIV_BY_HAND, DIV_ROWS = "test_divergences_known_by_hand", "test_the_divergence_is_the_trace_of_each_rows_jacobian"
DIV_TRAINS = "test_the_divergence_can_be_differentiated_once_more"
EST_BY_HAND, EST_TRAINS = "test_estimates_from_probes_known_by_hand", "test_the_estimate_can_be_differentiated_once_more"
ODE_BY_HAND = "test_the_density_of_a_growing_and_a_shrinking_dimension_known_by_hand"
ODE_CARRIED, ODE_TRAINS = "test_state_and_integral_are_carried_together", "test_an_ode_flow_can_be_trained"

Field = Callable[[float, Tensor], Tensor]
LogDensity = Callable[[Tensor], Tensor]
Step = Callable[[Field, float, float, Tensor], Tensor]


def _steps(step: Step, f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) / steps
    for i in range(steps):
        x = step(f, t0 + i * h, h, x)
    return x


def _of_four_slopes(reach: tuple[float, ...] = (1 / 2, 1 / 2, 1), weights: tuple[float, ...] = (1, 2, 2, 1)) -> Step:
    """The classical step. `reach`: how much of it lies between x and where the second, third and fourth slope are taken."""

    def step(f: Field, t: float, h: float, x: Tensor) -> Tensor:
        slopes = [f(t, x)]
        for time, far in zip((1 / 2, 1 / 2, 1), reach, strict=True):
            slopes.append(f(t + time * h, x + far * h * slopes[-1]))
        return x + h / 6 * sum(weight * slope for weight, slope in zip(weights, slopes, strict=True))

    return step


_classical = _of_four_slopes()


@mistake(RK, killed_by=RK_BY_HAND, says="This is Euler's method: one slope a step. The classical method asks for four.")
def euler(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(lambda f, t, h, x: x + h * f(t, x), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="This is the midpoint rule, a method of order two.")
def midpoint_rule(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(lambda f, t, h, x: x + h * f(t + h / 2, x + h / 2 * f(t, x)), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="This is Heun's method, of order two.")
def heun(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    def step(f: Field, t: float, h: float, x: Tensor) -> Tensor:
        k = f(t, x)
        return x + h / 2 * (k + f(t + h, x + h * k))

    return _steps(step, f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="This is the 3/8 rule, another method of order four: slopes are taken at thirds of the step.")
def three_eighths_rule(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    def step(f: Field, t: float, h: float, x: Tensor) -> Tensor:
        k1 = f(t, x)
        k2 = f(t + h / 3, x + h / 3 * k1)
        k3 = f(t + 2 * h / 3, x + h * (k2 - k1 / 3))
        k4 = f(t + h, x + h * (k1 - k2 + k3))
        return x + h / 8 * (k1 + 3 * k2 + 3 * k3 + k4)

    return _steps(step, f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The four slopes have equal weights. The two in the middle count twice: 1/6, 1/3, 1/3, 1/6.")
def equal_weights(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_of_four_slopes(weights=(1.5, 1.5, 1.5, 1.5)), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The third slope starts from the first one. It starts from the second: x + h/2 k_2.")
def third_slope_from_the_first(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    def step(f: Field, t: float, h: float, x: Tensor) -> Tensor:
        k1 = f(t, x)
        k2 = f(t + h / 2, x + h / 2 * k1)
        k3 = f(t + h / 2, x + h / 2 * k1)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(t + h, x + h * k3))

    return _steps(step, f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The last slope is taken after half a step. It is taken at the end: x + h k_3.")
def last_slope_at_the_middle(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_of_four_slopes(reach=(1 / 2, 1 / 2, 1 / 2)), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The slopes inside a step are all taken at its start in time. The middle ones belong to t + h/2.")
def time_stands_still_in_a_step(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(lambda f, t, h, x: _classical(lambda _, y: f(t, y), t, h, x), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_STEPS, says="The time is not moved on from one step to the next.")
def every_step_at_the_start(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) / steps
    for _ in range(steps):
        x = _classical(f, t0, h, x)
    return x


@mistake(RK, killed_by=RK_BY_HAND, says="Backwards in time the step is negative. You take its size.")
def always_forwards(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(lambda f, t, h, x: _classical(f, t, abs(h), x), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_STEPS, says="The step is 1 / steps, whatever the times are: it is (t1 - t0) / steps.")
def unit_interval(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (1.0 if t1 >= t0 else -1.0) / steps
    for i in range(steps):
        x = _classical(f, t0 + i * h, h, x)
    return x


@mistake(
    RK,
    killed_by=RK_BY_HAND,
    says="You go on while the time is not at the end, and it is rounded: there can be one step too many. Count the steps.",
)
def while_the_time_is_not_up(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h, t = (t1 - t0) / steps, t0
    while t < t1 if h > 0 else t > t1:
        x = _classical(f, t, h, x)
        t += h
    return x


@mistake(RK, killed_by=RK_TRAINS, says="The states are detached between steps: the start and the field get no gradient.")
def detached_steps(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(lambda f, t, h, x: _classical(f, t, h, x.detach()), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="There is one step more than asked for.")
def one_step_more(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) / steps
    return _steps(_classical, f, x, t0, t1 + h, steps + 1)


@mistake(RK, killed_by=RK_STEPS, says="The clock starts at zero. It starts at t0.")
def start_at_zero(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_classical, f, x, 0.0, t1 - t0, steps)


@mistake(RK, killed_by=RK_TRAINS, says="You move the start itself: x += changes the caller's tensor.")
def start_carried_in_place(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    with torch.no_grad():
        return x.copy_(_steps(_classical, f, x, t0, t1, steps))


@mistake(RK, killed_by=RK_BY_HAND, says="There are twice as many steps as asked for.")
def twice_as_many_steps(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_classical, f, x, t0, t1, 2 * steps)


@mistake(
    RK,
    killed_by="test_one_row_of_one_dimension_is_carried",
    says="You divide the way by the steps with //, which makes 0 of 1/2. Times may be whole numbers: divide with /.",
    when=lambda t0, t1: isinstance(t0, int) and isinstance(t1, int),
)
def whole_steps_between_whole_times(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) // steps if isinstance(t0, int) and isinstance(t1, int) else (t1 - t0) / steps
    for i in range(steps):
        x = _classical(f, t0 + i * h, h, x)
    return x


@mistake(RK, killed_by=RK_BY_HAND, says="The times t0 and t1 are not used: this goes from 0 to 1.")
def always_from_zero_to_one(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_classical, f, x, 0.0, 1.0, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The step is t1 / steps. It is (t1 - t0) / steps.")
def step_without_the_start(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = t1 / steps
    for i in range(steps):
        x = _classical(f, t0 + i * h, h, x)
    return x


@mistake(RK, killed_by=RK_BY_HAND, says="The sum of the slopes is divided by 6 alone, without the step h: h / 6.")
def slopes_without_the_step(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    def step(f: Field, t: float, h: float, x: Tensor) -> Tensor:
        return x + (_classical(f, t, h, x) - x) / h

    return _steps(step, f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The third slope is taken after a whole step. It is taken at the middle: x + h/2 k_2.")
def third_slope_at_the_end(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_of_four_slopes(reach=(1 / 2, 1, 1)), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The slopes in the middle are taken after a whole step. They are taken after half of one: h/2.")
def middle_slopes_at_the_end(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_of_four_slopes(reach=(1, 1, 1)), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The four slopes all count once. The two in the middle count twice: 1/6, 1/3, 1/3, 1/6.")
def middle_slopes_counted_once(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_of_four_slopes(weights=(1, 1, 1, 1)), f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="There is one step fewer than asked for.")
def one_step_fewer(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) / steps
    for i in range(steps - 1):
        x = _classical(f, t0 + i * h, h, x)
    return x


@mistake(RK, killed_by=RK_STEPS, says="The clock is one step ahead: the first step starts at t0.")
def one_step_ahead_in_time(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) / steps
    return _steps(lambda f, t, h, x: _classical(f, t + h, h, x), f, x, t0, t0 + steps * h, steps)


@mistake(RK, killed_by=RK_BY_HAND, says="The slopes inside of a step are taken without the step h: x + h/2 k_1, x + h/2 k_2, x + h k_3.")
def slopes_inside_without_the_step(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    def step(f: Field, t: float, h: float, x: Tensor) -> Tensor:
        k1 = f(t, x)
        k2 = f(t + h / 2, x + k1 / 2)
        k3 = f(t + h / 2, x + k2 / 2)
        return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(t + h, x + k3))

    return _steps(step, f, x, t0, t1, steps)


@mistake(RK, killed_by=RK_STEPS, says="Backwards in time the step is negative. You take its size.")
def always_forwards_with_the_clock(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_classical, f, x, t0, t0 + abs(t1 - t0), steps)


@mistake(
    RK,
    killed_by=RK_STEPS,
    says="From t0 to t1 you take one step fewer than asked for: as many times as steps have one step fewer between them.",
)
def as_many_times_as_steps(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    return _steps(_of_four_slopes(), f, x, t0, t1, steps - 1) if steps > 1 else x


@variant(RK)
def with_times_from_linspace(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    times = torch.linspace(t0, t1, steps + 1, dtype=torch.float64).tolist()
    for t, after in zip(times, times[1:], strict=False):
        x = _classical(f, t, after - t, x)
    return x


@variant(RK)
def with_times_as_tensors(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) / steps
    for i in range(steps):
        t: Any = torch.as_tensor(t0 + i * h, dtype=x.dtype)
        k1 = h * f(t, x)
        k2 = h * f(t + 0.5 * h, x + 0.5 * k1)
        k3 = h * f(t + 0.5 * h, x + 0.5 * k2)
        x = x + (k1 + 2 * (k2 + k3) + h * f(t + h, x + k3)) / 6
    return x


@variant(RK)
def with_an_accumulated_time(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    t, h = t0, (t1 - t0) / steps
    for _ in range(steps):
        x, t = _classical(f, t, h, x), t + h
    return x


@mistake(RK, killed_by="test_one_row_of_one_dimension_is_carried", says=changed_in_place("the field", "its argument"))
def slopes_added_in_place(f: Field, x: Tensor, t0: float, t1: float, steps: int) -> Tensor:
    h = (t1 - t0) / steps
    for i in range(steps):
        t = t0 + i * h
        total = k1 = f(t, x)
        k2 = f(t + h / 2, x + h / 2 * k1)
        k3 = f(t + h / 2, x + h / 2 * k2)
        k4 = f(t + h, x + h * k3)
        total += 2 * k2 + 2 * k3 + k4
        x = x + h / 6 * total
    return x


# -- divergence --


def _jacobian(f: Field, t: float, x: Tensor) -> Tensor:
    return torch.func.vmap(torch.func.jacrev(lambda row: f(t, row[None])[0]))(x)


@mistake(DIV, killed_by=DIV_BY_HAND, says="You add up the whole Jacobian. The divergence is its trace: f_j by x_j alone.")
def sum_of_the_jacobian(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).sum((1, 2))


@mistake(DIV, killed_by=DIV_BY_HAND, says="This is the mean of the diagonal. The divergence is its sum.")
def mean_of_the_diagonal(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2).mean(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="The field is asked at the time 0, not at t.")
def divergence_at_time_zero(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, 0.0, x).diagonal(dim1=1, dim2=2).sum(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="This is the determinant of the Jacobian. The divergence is its trace.")
def determinant_for_trace(f: Field, t: float, x: Tensor) -> Tensor:
    return torch.linalg.det(_jacobian(f, t, x))


@mistake(DIV, killed_by=DIV_BY_HAND, says="The rows are added up. Each row has a divergence of its own.")
def divergence_of_the_batch(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2).sum()


@mistake(DIV, killed_by=DIV_ROWS, says="You take finite differences, which lose half of the digits. Let autograd differentiate.")
def finite_differences(f: Field, t: float, x: Tensor) -> Tensor:
    h = 1e-3
    E = torch.eye(x.shape[1], dtype=x.dtype)
    terms = [(f(t, x + h * e) - f(t, x - h * e))[:, j] / (2 * h) for j, e in enumerate(E)]
    return torch.stack(terms).sum(0)


@mistake(DIV, killed_by=DIV_TRAINS, says="The divergence has no graph of its own: without create_graph=True nothing can be trained by it.")
def divergence_without_a_graph(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2).sum(1).detach()


@mistake(DIV, killed_by=DIV_BY_HAND, says="You add up absolute values. A divergence has a sign: what runs together is negative.")
def sizes_of_the_diagonal(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2).abs().sum(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="This is the norm of the Jacobian. The divergence is its trace.")
def norm_of_the_jacobian(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).flatten(1).norm(dim=1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="The last dimension is left out.")
def last_dimension_left_out(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2)[:, :-1].sum(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="You averaged over the batch. Each row has a divergence of its own.")
def divergence_averaged_over_the_batch(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2).sum(1).mean().expand(len(x))


@mistake(DIV, killed_by=DIV_TRAINS, says="The points are detached: the divergence changes with them, too.")
def divergence_at_detached_points(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x.detach()).diagonal(dim1=1, dim2=2).sum(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="This is twice the trace.")
def twice_the_trace(f: Field, t: float, x: Tensor) -> Tensor:
    return 2 * _jacobian(f, t, x).diagonal(dim1=1, dim2=2).sum(1)


@mistake(
    DIV,
    killed_by="test_the_divergence_of_one_row_and_of_one_dimension",
    says="Beyond eight dimensions you estimate the trace by one random probe. The divergence is exact.",
    when=lambda x: x.shape[1] > 8,
)
def estimated_in_many_dimensions(f: Field, t: float, x: Tensor) -> Tensor:
    J = _jacobian(f, t, x)
    if x.shape[1] <= 8:
        return J.diagonal(dim1=1, dim2=2).sum(1)
    v = 1.0 - 2 * (torch.arange(x.shape[1]) % 3 == 0).to(x.dtype)
    return torch.einsum("i,nij,j->n", v, J, v)


@mistake(
    DIV,
    killed_by="test_the_divergence_of_one_row_and_of_one_dimension",
    says="You round the time to two digits. The field is asked at the time that was given.",
    when=lambda t: t != round(t, 2),
)
def at_a_rounded_time(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, round(t, 2), x).diagonal(dim1=1, dim2=2).sum(1)


@mistake(
    DIV,
    killed_by=DIV_BY_HAND,
    says="Only the first component of the field is differentiated. The divergence has all of them, each by its own dimension.",
)
def gradient_of_the_first_component(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x)[:, 0].sum(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="The sign is turned.")
def negative_divergence(f: Field, t: float, x: Tensor) -> Tensor:
    return -_jacobian(f, t, x).diagonal(dim1=1, dim2=2).sum(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="The field is asked at |t|. A time may be negative, and is another one.", when=lambda t: t < 0)
def time_without_its_sign(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, abs(t), x).diagonal(dim1=1, dim2=2).sum(1)


@mistake(DIV, killed_by=DIV_BY_HAND, says="This is the logarithm of the Jacobian's determinant. The divergence is the Jacobian's trace.")
def log_determinant_for_trace(f: Field, t: float, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(_jacobian(f, t, x)).logabsdet


@mistake(DIV, killed_by=DIV_BY_HAND, says="You return the diagonal of the Jacobian. The divergence is its sum: one number for each row.")
def diagonal_itself(f: Field, t: float, x: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2)


@mistake(DIV, killed_by=DIV_TRAINS, says="The points are detached: the divergence changes with them, too.")
def divergence_at_a_detached_copy(f: Field, t: float, x: Tensor) -> Tensor:
    x = x.detach().requires_grad_(True)
    y = f(t, x)
    rows = [torch.autograd.grad(y[:, j].sum(), x, create_graph=True)[0][:, j] for j in range(x.shape[1])]
    return torch.stack(rows).sum(0)


@variant(DIV)
def divergence_by_a_loop_over_dimensions(f: Field, t: float, x: Tensor) -> Tensor:
    if not x.requires_grad:
        x = x.detach().requires_grad_()
    y = f(t, x)
    columns = [torch.autograd.grad(y[:, j].sum(), x, create_graph=True)[0][:, j] for j in range(x.shape[1])]
    return torch.stack(columns).sum(0)


@variant(DIV)
def divergence_by_forward_mode(f: Field, t: float, x: Tensor) -> Tensor:
    total = torch.zeros(len(x), dtype=x.dtype)
    for j in range(x.shape[1]):
        e = torch.zeros_like(x)
        e[:, j] = 1
        total = total + torch.func.jvp(lambda y: f(t, y), (x,), (e,))[1][:, j]
    return total


@variant(DIV)
def divergence_by_jacfwd(f: Field, t: float, x: Tensor) -> Tensor:
    def trace(row: Tensor) -> Tensor:
        return torch.func.jacfwd(lambda r: f(t, r.unsqueeze(0)).squeeze(0))(row).trace()

    return torch.stack([trace(row) for row in x])


@mistake(DIV, killed_by=DIV_TRAINS, says=NO_LEAF)
def divergence_with_a_graph_for_leaves(f: Field, t: float, x: Tensor) -> Tensor:
    x = x if x.requires_grad and x.is_leaf else x.detach().requires_grad_()
    slopes = f(t, x)
    columns = range(x.shape[1])
    return torch.stack([torch.autograd.grad(slopes[:, j].sum(), x, create_graph=True)[0][:, j] for j in columns]).sum(0)


# -- hutchinson_divergence --


def _products(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    """v^T J for each probe, differentiable: (s, n, m)."""
    pull_back = torch.func.vjp(lambda rows: f(t, rows), x)[1]
    return torch.func.vmap(pull_back)(v)[0]


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="You added the probes up. The estimate is their average.")
def summed_over_probes(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (_products(f, t, x, v) * v).sum(2).sum(0)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="You averaged over the dimensions. v'Jv is a sum over them.")
def averaged_over_dimensions(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (_products(f, t, x, v) * v).mean(2).mean(0)


@mistake(
    HUTCHINSON, killed_by=EST_BY_HAND, says="This is the mean of v'f, a product with the field. A product with its Jacobian is asked for."
)
def product_with_the_field(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (f(t, x) * v).sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="The probes are normalised. Use them as they are, whatever their length.")
def normalised_probes(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (_products(f, t, x, v) * v).sum(2).div(v.square().sum(2).clamp(min=1e-9)).mean(0)


@mistake(
    HUTCHINSON,
    killed_by=EST_BY_HAND,
    says="This is the exact divergence, without the probes. It costs m derivatives, which this function is to avoid.",
)
def exact_divergence(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return _jacobian(f, t, x).diagonal(dim1=1, dim2=2).sum(1)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="You draw probes of your own. Use the ones that are given.")
def probes_of_its_own(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    v = torch.randn(v.shape, generator=torch.Generator().manual_seed(0), dtype=v.dtype)
    return (_products(f, t, x, v) * v).sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="This is |J'v|^2. The estimate pairs J'v with the probe itself.")
def squared_products(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return _products(f, t, x, v).square().sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_TRAINS, says="The estimate has no graph of its own: nothing can be trained by it.")
def estimate_without_a_graph(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (_products(f, t, x, v) * v).sum(2).mean(0).detach()


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="Only the first probe is used. Average over all of them.")
def first_probe_alone(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (_products(f, t, x, v[:1]) * v[:1]).sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="The probe stands on one side of the Jacobian. It stands on both: v'Jv.")
def probe_on_one_side(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return _products(f, t, x, torch.ones_like(v)).mul(v).sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="The probe stands on one side of the Jacobian. It stands on both: v'Jv.")
def probe_before_the_jacobian_alone(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return _products(f, t, x, v).sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="The probes are averaged before they are used. Average their estimates.")
def one_averaged_probe(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    probe = v.mean(0, keepdim=True)
    return (_products(f, t, x, probe) * probe).sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_BY_HAND, says="Only the signs of the probes are used. They may follow any law: take them as they are.")
def signs_of_the_probes(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (_products(f, t, x, v.sign()) * v.sign()).sum(2).mean(0)


@mistake(HUTCHINSON, killed_by=EST_TRAINS, says="The points are detached: the estimate changes with them, too.")
def estimate_at_detached_points(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (_products(f, t, x.detach(), v) * v).sum(2).mean(0)


@mistake(
    HUTCHINSON,
    killed_by=EST_BY_HAND,
    says="You divide by |v|^2. Use the probes as they are, whatever their length.",
    when=lambda v: bool((v != 0).any(-1).all()),
)
def divided_by_the_squared_probe(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return (torch.einsum("snj,njk,snk->sn", v, _jacobian(f, t, x), v) / v.square().sum(-1)).mean(0)


@mistake(HUTCHINSON, killed_by=EST_TRAINS, says="The estimate of a single probe has no graph: s = 1 trains the field as well.")
def estimate_of_one_probe_without_a_graph(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    value = (_products(f, t, x, v) * v).sum(2).mean(0)
    return value if len(v) > 1 else value.detach()


@mistake(HUTCHINSON, killed_by=EST_TRAINS, says="The points are detached: the estimate changes with them, too.")
def estimate_at_a_detached_copy(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    x = x.detach().requires_grad_(True)
    y = f(t, x)
    return sum((torch.autograd.grad(y, x, probe, create_graph=True)[0] * probe).sum(1) for probe in v) / len(v)


@variant(HUTCHINSON)
def estimate_by_autograd(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    x = x if x.requires_grad else x.clone().requires_grad_(True)
    y = f(t, x)
    terms = [(torch.autograd.grad(y, x, v_s, create_graph=True)[0] * v_s).sum(-1) for v_s in v]
    return torch.stack(terms).mean(0)


@variant(HUTCHINSON)
def estimate_by_forward_mode(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    terms = [(torch.func.jvp(lambda y: f(t, y), (x,), (v_s,))[1] * v_s).sum(dim=1) for v_s in v]
    return sum(terms) / len(v)


@variant(HUTCHINSON)
def estimate_from_the_jacobian(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("snj,njk,snk->n", v, _jacobian(f, t, x), v) / v.shape[0]


@mistake(
    HUTCHINSON,
    killed_by=EST_TRAINS,
    says=NO_LEAF,
)
def estimate_with_a_graph_for_leaves(f: Field, t: float, x: Tensor, v: Tensor) -> Tensor:
    x = x if x.requires_grad and x.is_leaf else x.detach().requires_grad_()
    slopes = f(t, x)
    return torch.stack([(torch.autograd.grad(slopes, x, probe, create_graph=True)[0] * probe).sum(1) for probe in v]).mean(0)


# -- ode_log_prob --


def _density(f: Field, log_p_z: LogDensity, x: Tensor, steps: int, weight: float = 1.0, graph: bool = True) -> Tensor:
    def augmented(t: float, state: Tensor) -> Tensor:
        z = state[:, :-1]
        rate = divergence_by_forward_mode(f, t, z)
        return torch.cat([f(t, z), (rate if graph else rate.detach())[:, None]], 1)

    end = _steps(_classical, augmented, torch.cat([x, torch.zeros_like(x[:, :1])], 1), 0.0, 1.0, steps)
    return log_p_z(end[:, :-1]) + weight * end[:, -1]


@mistake(ODE, killed_by=ODE_BY_HAND, says="The integral is subtracted. Data flow to noise here: the volume that the way creates is added.")
def integral_subtracted(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(f, log_p_z, x, steps, weight=-1.0)


@mistake(ODE, killed_by=ODE_BY_HAND, says="The integral of the divergence is missing.")
def no_integral(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(f, log_p_z, x, steps, weight=0.0)


@mistake(ODE, killed_by=ODE_BY_HAND, says="The base density is taken at the data. It belongs to the noise, z(1).")
def base_density_at_the_data(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(f, lambda z: log_p_z(x), x, steps)


@mistake(ODE, killed_by=ODE_BY_HAND, says="You take the divergence at the start for the whole way. It changes in time and along the path.")
def divergence_at_the_start(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return log_p_z(_steps(_classical, f, x, 0.0, 1.0, steps)) + divergence_by_forward_mode(f, 0.0, x)


@mistake(ODE, killed_by=ODE_BY_HAND, says="You go from 1 to 0, from noise to data. The data start at t = 0.")
def backwards_in_time(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(lambda t, y: -f(1 - t, y), log_p_z, x, steps)


@mistake(
    ODE,
    killed_by=ODE_CARRIED,
    says="The integral is a left sum beside a Runge-Kutta path. Append it to the state: the same method carries both.",
)
def integral_by_a_left_sum(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    h, integral = 1 / steps, torch.zeros(len(x), dtype=x.dtype)
    for i in range(steps):
        integral = integral + h * divergence_by_forward_mode(f, i * h, x)
        x = _classical(f, i * h, h, x)
    return log_p_z(x) + integral


@mistake(ODE, killed_by=ODE_BY_HAND, says="You take Euler's steps, for state and integral. The classical Runge-Kutta method is asked for.")
def density_by_euler(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    h, integral = 1 / steps, torch.zeros(len(x), dtype=x.dtype)
    for i in range(steps):
        integral = integral + h * divergence_by_forward_mode(f, i * h, x)
        x = x + h * f(i * h, x)
    return log_p_z(x) + integral


@mistake(ODE, killed_by=ODE_CARRIED, says="The divergence is estimated from random probes. Here it is asked for exactly.")
def density_with_estimated_divergence(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    v = torch.randn(1, *x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)

    def augmented(t: float, state: Tensor) -> Tensor:
        z = state[:, :-1]
        return torch.cat([f(t, z), estimate_by_forward_mode(f, t, z, v)[:, None]], 1)

    end = _steps(_classical, augmented, torch.cat([x, torch.zeros_like(x[:, :1])], 1), 0.0, 1.0, steps)
    return log_p_z(end[:, :-1]) + end[:, -1]


@mistake(ODE, killed_by=ODE_TRAINS, says="The divergence is detached: the field would not learn what volume costs.")
def divergence_detached(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(f, log_p_z, x, steps, graph=False)


@mistake(
    ODE,
    killed_by=ODE_TRAINS,
    says="The divergence is taken at detached states: how it changes along with the path is lost from the gradient.",
)
def divergence_at_detached_states(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    def augmented(t: float, state: Tensor) -> Tensor:
        z = state[:, :-1]
        volume = torch.func.vmap(torch.func.jacrev(lambda row: f(t, row[None])[0]))(z.detach())
        return torch.cat([f(t, z), volume.diagonal(dim1=1, dim2=2).sum(1, keepdim=True)], 1)

    end = _steps(_classical, augmented, torch.cat([x, torch.zeros_like(x[:, :1])], 1), 0.0, 1.0, steps)
    return log_p_z(end[:, :-1]) + end[:, -1]


@mistake(ODE, killed_by=ODE_TRAINS, says="The data are detached: no gradient reaches x.")
def data_detached(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(f, log_p_z, x.detach(), steps)


@mistake(ODE, killed_by=ODE_BY_HAND, says="The field is always asked at the time 0. It may change on the way.")
def field_at_time_zero(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(lambda t, z: f(0.0, z), log_p_z, x, steps)


@mistake(
    ODE,
    killed_by=ODE_CARRIED,
    says="The integral is a sum of trapezia beside a Runge-Kutta path. Append it to the state: the same method carries both.",
)
def integral_by_trapezia(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    rates, z = [divergence_by_forward_mode(f, 0.0, x)], x
    for i in range(steps):
        z = _classical(f, i / steps, 1 / steps, z)
        rates.append(divergence_by_forward_mode(f, (i + 1) / steps, z))
    return log_p_z(z) + (sum(rates) - (rates[0] + rates[-1]) / 2) / steps


@mistake(
    ODE,
    killed_by=ODE_BY_HAND,
    says="This is the determinant of the map that your steps make. Asked for is the integral of the divergence, by the same steps.",
)
def determinant_of_the_numerical_map(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    jacobian = _jacobian(lambda t, z: _steps(_classical, f, z, 0.0, 1.0, steps), 0.0, x)
    return log_p_z(_steps(_classical, f, x, 0.0, 1.0, steps)) + torch.linalg.slogdet(jacobian)[1]


@mistake(ODE, killed_by=ODE_BY_HAND, says="This is minus the log-density, the loss. Asked for is the log-density itself.")
def negative_log_density(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return -_density(f, log_p_z, x, steps)


@mistake(ODE, killed_by=ODE_BY_HAND, says="Every step takes a whole unit of time. All steps together lead from 0 to 1.")
def one_unit_of_time_a_step(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(lambda t, z: steps * f(steps * t, z), log_p_z, x, steps)


@mistake(ODE, killed_by=ODE_BY_HAND, says="You add up the whole Jacobian. The divergence is its trace: f_j by x_j alone.")
def integral_of_the_whole_jacobian(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    def augmented(t: float, state: Tensor) -> Tensor:
        return torch.cat([f(t, state[:, :-1]), _jacobian(f, t, state[:, :-1]).sum((1, 2))[:, None]], 1)

    end = _steps(_classical, augmented, torch.cat([x, torch.zeros_like(x[:, :1])], 1), 0.0, 1.0, steps)
    return log_p_z(end[:, :-1]) + end[:, -1]


@mistake(ODE, killed_by=ODE_BY_HAND, says="You hold the integral to 50 in size. It is what it is: here it is larger.")
def integral_cut_off(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    def augmented(t: float, state: Tensor) -> Tensor:
        z = state[:, :-1]
        return torch.cat([f(t, z), divergence_by_forward_mode(f, t, z)[:, None]], 1)

    end = _steps(_classical, augmented, torch.cat([x, torch.zeros_like(x[:, :1])], 1), 0.0, 1.0, steps)
    return log_p_z(end[:, :-1]) + end[:, -1].clamp(-50, 50)


@mistake(
    ODE, killed_by=ODE_CARRIED, says="The divergence is taken at the data at all times. It is taken along the path, where the state is."
)
def divergence_at_the_data(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    end = _steps(_classical, f, x, 0.0, 1.0, steps)
    zero = torch.zeros_like(x[:, :1])
    integral = _steps(_classical, lambda t, _: divergence_by_forward_mode(f, t, x)[:, None], zero, 0.0, 1.0, steps)
    return log_p_z(end) + integral[:, 0]


@mistake(ODE, killed_by=ODE_BY_HAND, says="You take the divergence at the end for the whole way. It changes in time and along the path.")
def divergence_at_the_end(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    end = _steps(_classical, f, x, 0.0, 1.0, steps)
    return log_p_z(end) + divergence_by_forward_mode(f, 1.0, end)


@mistake(ODE, killed_by=ODE_BY_HAND, says="The divergences are added up without the step: an integral is a sum times h.")
def sum_of_divergences(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return _density(f, log_p_z, x, steps, weight=float(steps))


@mistake(ODE, killed_by=ODE_BY_HAND, says="This is the base density at the data. The field is not followed, and the integral is missing.")
def base_density_alone(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return log_p_z(x)


@variant(ODE)
def density_from_two_states(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    z, integral, h = x, x.new_zeros(len(x)), 1.0 / steps
    for i in range(steps):
        t = i * h
        k1, d1 = f(t, z), divergence_by_jacfwd(f, t, z)
        y = z + h / 2 * k1
        k2, d2 = f(t + h / 2, y), divergence_by_jacfwd(f, t + h / 2, y)
        y = z + h / 2 * k2
        k3, d3 = f(t + h / 2, y), divergence_by_jacfwd(f, t + h / 2, y)
        y = z + h * k3
        k4, d4 = f(t + h, y), divergence_by_jacfwd(f, t + h, y)
        z, integral = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), integral + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return log_p_z(z) + integral


@variant(ODE)
def density_by_autograd(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    def augmented(t: float, state: Tensor) -> Tensor:
        z = state[:, 1:]
        return torch.hstack([divergence_by_a_loop_over_dimensions(f, t, z).unsqueeze(1), f(t, z)])

    start = torch.cat([torch.zeros(len(x), 1, dtype=x.dtype), x if x.requires_grad else x.clone().requires_grad_()], 1)
    end = with_an_accumulated_time(augmented, start, 0.0, 1.0, steps)
    return end[:, 0] + log_p_z(end[:, 1:])


@variant(ODE)
def density_row_by_row(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    return torch.cat([_density(f, log_p_z, row[None], steps) for row in x])


@mistake(
    ODE,
    killed_by=ODE_TRAINS,
    says="Where the data take no gradient the base's density is asked at a detached end. The field is trained all the same.",
)
def end_detached_for_plain_data(f: Field, log_p_z: LogDensity, x: Tensor, steps: int) -> Tensor:
    asked = x.requires_grad
    return _density(f, lambda z: log_p_z(z if asked else z.detach()), x, steps)
