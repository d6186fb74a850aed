"""Wrong answers for the log-determinant that students really give, and right answers by other roads."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, vmap

from dgm_ref.catalogue import EPSILONS, mistake, size_of, variant
from dgm_ref.slips import NO_LEAF, ONE_ROW, detached_unless_leaf, without_graph_where

Map = Callable[[Tensor], Tensor]

LOG_DET = "change_of_variables.log_abs_det_jacobian"

_remembered: dict[tuple[int, ...], Tensor] = {}  # by the identity of a tensor


def jacobian_of(f: Map, x: Tensor) -> Tensor:
    return vmap(jacrev(lambda x_i: f(x_i[None])[0]))(x)  # (n, m, m)


def log_abs_det(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(jacobian_of(f, x)).logabsdet


def turns_space_inside_out(f: Map, x: Tensor) -> bool:
    return bool((torch.linalg.slogdet(jacobian_of(f, x)).sign < 0).any())


MANY_DIMENSIONS = 20  # from here on a determinant may under- or overflow


# -- log_abs_det_jacobian --


NO_ABSOLUTE_VALUE = (
    "You took the logarithm of the determinant itself, as torch.logdet does. Where f turns space inside out the determinant is "
    "negative and its logarithm is nan: density needs the absolute value."
)


@mistake(LOG_DET, killed_by="test_volume_has_no_sign", says=NO_ABSOLUTE_VALUE, when=turns_space_inside_out)
def log_of_signed_determinant(f: Map, x: Tensor) -> Tensor:
    sign, size = torch.linalg.slogdet(jacobian_of(f, x))
    return torch.where(sign > 0, size, torch.nan)


@mistake(LOG_DET, killed_by="test_volume_of_a_single_sample_or_dimension", says=NO_ABSOLUTE_VALUE, when=turns_space_inside_out)
def signed_derivative_in_one_dimension(f: Map, x: Tensor) -> Tensor:
    return jacobian_of(f, x)[:, 0, 0].log() if x.shape[1] == 1 else log_abs_det(f, x)


@mistake(
    LOG_DET,
    killed_by="test_the_gradient_by_a_matrix_is_its_inverse_transposed",
    says="You go by eigenvalues. Their sum of logarithms is right, but a shear has no basis of eigenvectors, and no gradient by them.",
)
def by_eigenvalues(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.eigvals(jacobian_of(f, x)).abs().log().sum(dim=1)


@mistake(LOG_DET, killed_by="test_volume_has_no_sign", says=NO_ABSOLUTE_VALUE, when=turns_space_inside_out)
def log_of_the_determinant_itself(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(jacobian_of(f, x)).log()


@mistake(
    LOG_DET,
    killed_by="test_volume_has_no_sign",
    says="You multiplied the logarithm by the sign of the determinant. A volume has no sign: leave it out.",
    when=turns_space_inside_out,
)
def signed_logarithm(f: Map, x: Tensor) -> Tensor:
    sign, size = torch.linalg.slogdet(jacobian_of(f, x))
    return sign * size


@mistake(
    LOG_DET,
    killed_by="test_volume_has_no_sign",
    says="You clamped the determinant at a small positive number. Where f turns space inside out it is negative: "
    "its absolute value is wanted.",
    when=turns_space_inside_out,
)
def clamped_determinant(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(jacobian_of(f, x)).clamp_min(1e-12).log()


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_outlives_the_determinant",
    says="You computed the determinant first, or multiplied singular values, and took the logarithm then. In many "
    "dimensions the product under- or overflows, in float64 as well: add logarithms.",
    when=size_of("x", axis=1, at_least=MANY_DIMENSIONS),
)
def log_after_determinant(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(jacobian_of(f, x)).abs().log()


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_outlives_the_determinant",
    says="A constant inside the logarithm hides every determinant smaller than it.",
    constants=EPSILONS,
)
def epsilon_inside_the_logarithm(f: Map, x: Tensor, constant: float = 1e-12) -> Tensor:
    return (torch.linalg.det(jacobian_of(f, x)).abs() + constant).log()


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_outlives_the_determinant",
    says="You clamped the result: the logarithm of a volume may be any number, however large.",
)
def clamped_result(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x).clamp(-100, 100)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="This is the absolute determinant: its logarithm is asked for.",
)
def determinant_without_logarithm(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(jacobian_of(f, x)).abs()


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="Your logarithm has base ten (or two): log means the natural logarithm here.",
)
def decimal_logarithm(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x) / torch.log(torch.tensor(10.0, dtype=x.dtype))


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="This is the log-determinant of the inverse map: you have the sign of the whole result turned round.",
)
def volume_of_the_inverse(f: Map, x: Tensor) -> Tensor:
    return -log_abs_det(f, x)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="This is twice the log-volume: the determinant of J^T J is the square of that of J.",
)
def log_det_of_the_gram_matrix(f: Map, x: Tensor) -> Tensor:
    return 2 * log_abs_det(f, x)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_map_that_flattens_space",
    says="J^T J squares the condition of J: where f flattens space, all digits of its determinant are lost. Work on J itself.",
)
def half_of_the_gram_matrix(f: Map, x: Tensor) -> Tensor:
    jacobian = jacobian_of(f, x)
    return torch.linalg.slogdet(jacobian.mT @ jacobian).logabsdet / 2


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_map_that_flattens_space",
    says="You added a small multiple of the identity to the Jacobian. It is invertible as it is, and a direction "
    "that shrinks a thousandfold is no longer seen.",
)
def damped_jacobian(f: Map, x: Tensor) -> Tensor:
    jacobian = jacobian_of(f, x)
    return torch.linalg.slogdet(jacobian + 1e-6 * torch.eye(x.shape[1], dtype=x.dtype)).logabsdet


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_map_that_flattens_space",
    says="You left out small singular values. Each direction that shrinks, shrinks the volume.",
)
def pseudo_determinant(f: Map, x: Tensor) -> Tensor:
    values = torch.linalg.svdvals(jacobian_of(f, x))
    return torch.where(values > 1e-3 * values.amax(dim=1, keepdim=True), values, 1.0).log().sum(dim=1)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="You used the diagonal of the Jacobian alone, which is right for triangular Jacobians only. Nothing about "
    "the structure of f may be assumed.",
)
def diagonal_alone(f: Map, x: Tensor) -> Tensor:
    return jacobian_of(f, x).diagonal(dim1=1, dim2=2).abs().log().sum(dim=1)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="This is the trace of the Jacobian, which is the derivative of the log-volume along a flow in time. A map has a determinant.",
)
def trace_of_the_jacobian(f: Map, x: Tensor) -> Tensor:
    return jacobian_of(f, x).diagonal(dim1=1, dim2=2).sum(dim=1)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="A single backward pass through the sum of the outputs gives column sums of the Jacobian, not the Jacobian.",
)
def column_sums(f: Map, x: Tensor) -> Tensor:
    return jacrev(lambda x: f(x).sum())(x).abs().log().sum(dim=1)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="Eigenvalues of a symmetric matrix: a Jacobian has no reason to be symmetric.",
)
def symmetric_eigenvalues(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(jacobian_of(f, x)).abs().log().sum(dim=1)


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_is_that_of_the_jacobian",
    says="The Jacobian comes from finite differences, whose error swamps float32. Differentiate automatically.",
)
def finite_differences(f: Map, x: Tensor) -> Tensor:
    step = 1e-3
    columns = [(f(x + step * axis) - f(x - step * axis)) / (2 * step) for axis in torch.eye(x.shape[1], dtype=x.dtype)]
    return torch.linalg.slogdet(torch.stack(columns, dim=2)).logabsdet


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="You used the Jacobian of the first sample for the whole batch. It differs from sample to sample.",
)
def jacobian_of_the_first_row(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x[:1]).expand(len(x))


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="You averaged the Jacobians over the batch before taking determinants. Each sample has its own.",
)
def mean_jacobian(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(jacobian_of(f, x).mean(dim=0)).logabsdet.expand(len(x))


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="You took the determinant of the Jacobian of the whole batch: that is the sum over the samples.",
)
def determinant_of_the_whole_batch(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x).sum().expand(len(x))


@mistake(
    LOG_DET,
    killed_by="test_each_of_many_rows_has_its_own_volume_change",
    says="You go through the samples in batches and leave the last one, which is not full, at zero.",
)
def volumes_of_full_batches(f: Map, x: Tensor) -> Tensor:
    size = min(64, len(x))
    done = [log_abs_det(f, batch) for batch in x.split(size) if len(batch) == size]
    return torch.nn.functional.pad(torch.cat(done), (0, len(x) - size * len(done)))


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_is_that_of_the_jacobian",
    says="You called f with a vector. Callables are batched: a single row is a batch of shape (1, m).",
)
def calls_f_with_a_vector(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(vmap(jacrev(f))(x)).logabsdet


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="One number a sample is asked for, of shape (n,): yours has an axis more.",
)
def keeps_an_axis(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x)[:, None]


@mistake(
    LOG_DET,
    killed_by="test_volume_of_a_single_sample_or_dimension",
    says="A squeeze drops the axis of the samples where there is one sample only: the result is (1,) then.",
)
def squeezes_the_batch(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x).squeeze()


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_has_the_dtype_of_the_samples",
    says="The result must have the dtype of x: you turned everything into float32.",
)
def always_float32(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x).float()


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_has_the_dtype_of_the_samples",
    says="The result must have the dtype of x: float32 in, float32 out. Computing in float64 inside is fine.",
)
def always_float64(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x).double()


@mistake(
    LOG_DET,
    killed_by="test_the_gradient_by_a_matrix_is_its_inverse_transposed",
    says="The result carries no graph, so no flow can be trained with it: keep the graph of the Jacobian "
    "(create_graph=True, or torch.func).",
)
def result_without_graph(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x).detach()


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_has_gradients_by_samples_and_parameters",
    says="You cut x off its graph, so the result does not depend on x for autograd.",
)
def input_cut_off(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x.detach())


@mistake(
    LOG_DET,
    killed_by="test_volume_depends_on_the_samples_alone",
    says="You remember the result by the tensor object. The same tensor may hold other numbers at the next call.",
)
def remembers_the_volume(f: Map, x: Tensor) -> Tensor:
    return _remembered.setdefault((id(f), id(x), x.data_ptr(), *x.shape), log_abs_det(f, x))


@mistake(
    LOG_DET,
    killed_by="test_volume_depends_on_the_samples_alone",
    says="view() needs samples that lie row by row in memory; reshape() takes any.",
)
def views_the_samples(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x.view(-1).view(x.shape))


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="This is the logarithm of the trace. The volume change is the determinant.",
)
def logarithm_of_the_trace(f: Map, x: Tensor) -> Tensor:
    return jacobian_of(f, x).diagonal(dim1=1, dim2=2).sum(dim=1).abs().log()


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="You take the Jacobian at the mean of the samples. Each sample has its own.",
    when=size_of("x", axis=0, at_least=2),
)
def jacobian_at_the_mean(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x.mean(dim=0, keepdim=True)).expand(len(x))


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="These are bits. Logarithms are natural here.",
)
def binary_logarithm(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x) / math.log(2)


@mistake(
    LOG_DET,
    killed_by="test_volumes_of_a_linear_map_and_of_an_exponential",
    says="You divide by the dimension. The log-determinant is a sum over dimensions, not a mean.",
)
def divided_by_the_dimension(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x) / x.shape[1]


@mistake(
    LOG_DET,
    killed_by="test_the_gradient_by_a_matrix_is_its_inverse_transposed",
    says="You add up the logarithms of all entries of the Jacobian. The determinant is no product of its entries.",
)
def sum_over_all_entries(f: Map, x: Tensor) -> Tensor:
    return jacobian_of(f, x).abs().log().sum(dim=(1, 2))


@mistake(
    LOG_DET,
    killed_by="test_the_gradient_by_a_matrix_is_its_inverse_transposed",
    says="This is the sign of the determinant, which slogdet gives first. The logarithm of its absolute value is asked for.",
)
def sign_of_the_determinant(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(jacobian_of(f, x)).sign


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_is_that_of_the_jacobian",
    says="You took the Jacobian of f at f(x). It belongs at x.",
)
def jacobian_at_the_image(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, f(x))


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_outlives_the_determinant",
    says="In few dimensions you take the logarithm of the determinant itself. It under- and overflows there, too.",
    when=lambda x: x.shape[1] <= 3,
)
def determinant_in_few_dimensions(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(jacobian_of(f, x)).abs().log() if x.shape[1] <= 3 else log_abs_det(f, x)


@mistake(
    LOG_DET,
    killed_by="test_volume_has_no_sign",
    says="You eliminate without exchanging rows. A pivot may be zero although the determinant is not, as where f swaps coordinates.",
)
def elimination_without_pivots(f: Map, x: Tensor) -> Tensor:
    rest, total = jacobian_of(f, x), x.new_zeros(len(x))
    for _ in range(x.shape[1]):
        pivot = rest[:, :1, :1]
        total = total + pivot[:, 0, 0].abs().log()
        rest = rest[:, 1:, 1:] - rest[:, 1:, :1] * rest[:, :1, 1:] / pivot
    return total


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_outlives_the_determinant",
    says="You take the logarithm of the determinant where it is neither zero nor infinite. Just above zero it has few digits left.",
)
def determinant_unless_it_vanishes(f: Map, x: Tensor) -> Tensor:
    determinant = torch.linalg.det(jacobian_of(f, x)).abs()
    held = (determinant > 0) & determinant.isfinite()
    return torch.where(held, torch.where(held, determinant, 1.0).log(), log_abs_det(f, x))


@mistake(
    LOG_DET,
    killed_by="test_log_abs_det_has_the_dtype_of_the_samples",
    says="In one dimension your result is float32 whatever x is.",
    when=lambda x: x.shape[1] == 1,
)
def one_dimension_in_float32(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x).float() if x.shape[1] == 1 else log_abs_det(f, x)


@variant(LOG_DET)
def forward_mode_and_singular_values(f: Map, x: Tensor) -> Tensor:
    jacobian = vmap(jacfwd(lambda x_i: f(x_i[None])[0]))(x)
    return torch.linalg.svdvals(jacobian).log().sum(dim=1)


@variant(LOG_DET)
def backward_pass_for_each_output(f: Map, x: Tensor) -> Tensor:
    x = x if x.requires_grad else x.detach().requires_grad_()
    outputs = f(x).sum(dim=0)  # rows are independent
    rows = [torch.autograd.grad(output, x, create_graph=True)[0] for output in outputs]
    return torch.linalg.slogdet(torch.stack(rows, dim=1)).logabsdet


@variant(LOG_DET)
def one_sample_at_a_time_by_qr(f: Map, x: Tensor) -> Tensor:
    results = []
    for x_i in x.split(1):
        jacobian = torch.autograd.functional.jacobian(f, x_i, create_graph=True)[0, :, 0]
        results.append(torch.linalg.qr(jacobian).R.diagonal().abs().log().sum())
    return torch.stack(results)


@variant(LOG_DET)
def tiled_rows_and_lu(f: Map, x: Tensor) -> Tensor:
    n, m = x.shape
    tiled = (x if x.requires_grad else x.detach().requires_grad_()).repeat_interleave(m, dim=0)  # (n m, m)
    weights = torch.eye(m, dtype=x.dtype).repeat(n, 1)  # row i m + a asks for output a of sample i
    jacobian = torch.autograd.grad(f(tiled), tiled, weights, create_graph=True)[0].reshape(n, m, m)
    return torch.linalg.lu(jacobian).U.diagonal(dim1=1, dim2=2).abs().log().sum(dim=1)


@variant(LOG_DET)
def block_diagonal_of_the_batch_jacobian(f: Map, x: Tensor) -> Tensor:
    if len(x) > 100:  # n x n blocks, of which the diagonal is needed: in pieces
        return torch.cat([block_diagonal_of_the_batch_jacobian(f, part) for part in x.split(100)])
    jacobian = torch.autograd.functional.jacobian(f, x, create_graph=True)  # (n, m, n, m)
    return torch.slogdet(torch.einsum("iaib->iab", jacobian))[1]


@variant(LOG_DET)
def sum_over_the_batch_then_jacrev(f: Map, x: Tensor) -> Tensor:
    jacobian = jacrev(lambda x: f(x).sum(dim=0))(x).movedim(0, 1)  # (m, n, m) -> (n, m, m)
    return torch.linalg.slogdet(jacobian)[1]


@variant(LOG_DET)
def columns_by_forward_derivatives(f: Map, x: Tensor) -> Tensor:
    axes = torch.eye(x.shape[1], dtype=x.dtype)
    columns = [torch.func.jvp(f, (x,), (axis.expand_as(x),))[1] for axis in axes]
    return torch.linalg.slogdet(torch.stack(columns, dim=-1)).logabsdet


@variant(LOG_DET)
def slogdet_in_float64(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(jacobian_of(f, x).double()).logabsdet.to(x.dtype)


@variant(LOG_DET)
def all_in_float64(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x.double()).to(x.dtype)


@mistake(LOG_DET, killed_by="test_log_abs_det_has_gradients_by_samples_and_parameters", says=ONE_ROW)
def one_sample_without_graph(f: Map, x: Tensor) -> Tensor:
    return without_graph_where(len(x) == 1, log_abs_det(f, x))


@mistake(LOG_DET, killed_by="test_log_abs_det_has_gradients_by_samples_and_parameters", says=NO_LEAF)
def samples_with_a_graph_detached(f: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, detached_unless_leaf(x))
