"""Wrong answers to change of variables that students really give, and right answers by other roads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, vmap

from dgm_ref.catalogue import mistake, variant

Map = Callable[[Tensor], Tensor]

LOG_DET = "change_of_variables.log_abs_det_jacobian"
LOG_PROB_X = "change_of_variables.log_prob_x"
LOG_PROB_Z = "change_of_variables.log_prob_z"


# -- log_abs_det_jacobian --


@mistake(LOG_DET, killed_by="test_volume_has_no_sign",
         says="You took the logarithm of the determinant itself. Where f turns space inside out the determinant is "
              "negative and its logarithm is nan: density needs the absolute value.")
def log_of_signed_determinant(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(_jacobian(f, x)).log()


@mistake(LOG_DET, killed_by="test_log_abs_det_outlives_the_determinant",
         says="You computed the determinant first and its logarithm then. In 64 dimensions the determinant under- or "
              "overflows long before its logarithm does.")
def log_after_determinant(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(_jacobian(f, x)).abs().log()


@mistake(LOG_DET, killed_by="test_log_abs_det_outlives_the_determinant",
         says="A determinant in float64 under- and overflows too, only later: stay with logarithms from the start.")
def log_after_determinant_in_float64(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(_jacobian(f, x).double()).abs().log().to(x.dtype)


@mistake(LOG_DET, killed_by="test_log_abs_det_outlives_the_determinant",
         says="A constant inside the logarithm hides every determinant smaller than it.")
def epsilon_inside_the_logarithm(f: Map, x: Tensor) -> Tensor:
    return (torch.linalg.det(_jacobian(f, x)).abs() + 1e-12).log()


@mistake(LOG_DET, killed_by="test_log_abs_det_outlives_the_determinant",
         says="You clamped the result: a log-determinant of -800 is a perfectly good number.")
def clamped_result(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x).clamp(-100, 100)


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="This is the absolute determinant: its logarithm is asked for.")
def determinant_without_logarithm(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.det(_jacobian(f, x)).abs()


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="This is the log-determinant of the inverse map: you have the sign of the whole result turned round.")
def volume_of_the_inverse(f: Map, x: Tensor) -> Tensor:
    return -_log_abs_det(f, x)


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="You used the diagonal of the Jacobian alone, which is right for triangular Jacobians only. Nothing about "
              "the structure of f may be assumed.")
def diagonal_alone(f: Map, x: Tensor) -> Tensor:
    return _jacobian(f, x).diagonal(dim1=1, dim2=2).abs().log().sum(dim=1)


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="A single backward pass through the sum of the outputs gives column sums of the Jacobian, not the Jacobian.")
def column_sums(f: Map, x: Tensor) -> Tensor:
    return jacrev(lambda x: f(x).sum())(x).abs().log().sum(dim=1)


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="Eigenvalues of a symmetric matrix: a Jacobian has no reason to be symmetric.")
def symmetric_eigenvalues(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(_jacobian(f, x)).abs().log().sum(dim=1)


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="The Jacobian comes from finite differences, whose error swamps float32. Differentiate automatically.")
def finite_differences(f: Map, x: Tensor) -> Tensor:
    step = 1e-3
    columns = [(f(x + step * axis) - f(x - step * axis)) / (2 * step) for axis in torch.eye(x.shape[1], dtype=x.dtype)]
    return torch.linalg.slogdet(_square(torch.stack(columns, dim=2), x)).logabsdet


@mistake(LOG_DET, killed_by="test_each_row_has_its_own_volume_change",
         says="You used the Jacobian of the first sample for the whole batch. It differs from sample to sample.")
def jacobian_of_the_first_row(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x[:1]).expand(len(x))


@mistake(LOG_DET, killed_by="test_each_row_has_its_own_volume_change",
         says="You averaged the Jacobians over the batch before taking determinants. Each sample has its own.")
def mean_jacobian(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(_jacobian(f, x).mean(dim=0)).logabsdet.expand(len(x))


@mistake(LOG_DET, killed_by="test_each_row_has_its_own_volume_change",
         says="You took the determinant of the Jacobian of the whole batch: that is the sum over the samples.")
def determinant_of_the_whole_batch(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x).sum().expand(len(x))


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="You called f with a vector. Callables are batched: a single row is a batch of shape (1, m).")
def calls_f_with_a_vector(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(_square(vmap(jacrev(f))(x), x)).logabsdet


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="One number a sample is asked for, of shape (n,): yours has an axis more.")
def keeps_an_axis(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x)[:, None]


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="The result must have the dtype of x: you turned everything into float32.")
def always_float32(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x).float()


@mistake(LOG_DET, killed_by="test_log_abs_det_is_that_of_the_jacobian",
         says="The result must have the dtype of x: float32 in, float32 out. Computing in float64 inside is fine.")
def always_float64(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x).double()


@mistake(LOG_DET, killed_by="test_the_gradient_by_a_matrix_is_its_inverse_transposed",
         says="The result carries no graph, so no flow can be trained with it: keep the graph of the Jacobian.")
def result_without_graph(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x).detach()


@mistake(LOG_DET, killed_by="test_log_abs_det_is_differentiable_once_more",
         says="You cut x off its graph, so the result does not depend on x for autograd.")
def input_cut_off(f: Map, x: Tensor) -> Tensor:
    return _log_abs_det(f, x.detach())


@mistake(LOG_DET, killed_by="test_log_abs_det_works_without_gradient_tracking",
         says="Your Jacobian needs gradient tracking that the caller has switched off. Switch it on yourself, locally.")
def needs_the_callers_gradient_mode(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(_square(_jacobian_by_backward_passes(f, x), x)).logabsdet


@mistake(LOG_DET, killed_by="test_log_abs_det_leaves_no_trace",
         says="You set requires_grad on the caller's own x. Work on a tensor of your own.")
def marks_the_callers_input(f: Map, x: Tensor) -> Tensor:
    if x.is_leaf:
        x.requires_grad_(True)
    return _log_abs_det(f, x)


@mistake(LOG_DET, killed_by="test_log_abs_det_leaves_no_trace",
         says="You switched gradient tracking for the whole program. Use it as a context, which switches back.")
def switches_gradient_mode_globally(f: Map, x: Tensor) -> Tensor:
    result = _log_abs_det(f, x)
    torch.set_grad_enabled(not torch.is_grad_enabled())
    return result


@mistake(LOG_DET, killed_by="test_log_abs_det_refuses_what_makes_no_sense",
         says="A batch without samples or without dimensions must be refused with a ValueError that names x.")
def accepts_an_empty_batch(f: Map, x: Tensor) -> Tensor:
    if x.numel() == 0:
        return x.new_zeros(len(x))
    return _log_abs_det(f, x)


@mistake(LOG_DET, killed_by="test_log_abs_det_refuses_what_makes_no_sense",
         says="A map that changes the number of dimensions has no Jacobian determinant: refuse it with a ValueError.")
def accepts_a_map_to_other_dimensions(f: Map, x: Tensor) -> Tensor:
    _refuse_empty(x)
    jacobian = vmap(jacrev(lambda x_i: f(x_i[None])[0]))(x)
    return 0.5 * torch.linalg.slogdet(jacobian @ jacobian.mT).logabsdet if jacobian.shape[1] != x.shape[1] else (
        torch.linalg.slogdet(jacobian).logabsdet)


@variant(LOG_DET)
def forward_mode_and_singular_values(f: Map, x: Tensor) -> Tensor:
    jacobian = vmap(jacfwd(lambda x_i: f(x_i[None])[0]))(_refuse_empty(x))
    return torch.linalg.svdvals(_square(jacobian, x)).log().sum(dim=1)


@variant(LOG_DET)
def backward_pass_for_each_output(f: Map, x: Tensor) -> Tensor:
    _refuse_empty(x)
    tracking = torch.is_grad_enabled()
    with torch.enable_grad():
        jacobian = _jacobian_by_backward_passes(f, x)
        result = torch.linalg.slogdet(_square(jacobian, x)).logabsdet
    return result if tracking else result.detach()


@variant(LOG_DET)
def one_sample_at_a_time_by_qr(f: Map, x: Tensor) -> Tensor:
    _refuse_empty(x)
    results = []
    for x_i in x.split(1):
        with torch.enable_grad():
            jacobian = torch.autograd.functional.jacobian(f, x_i, create_graph=True)[0, :, 0]
        R = torch.linalg.qr(_square(jacobian[None], x_i)[0]).R
        results.append(R.diagonal().abs().log().sum())
    return torch.stack(results)


@variant(LOG_DET)
def tiled_rows_and_lu(f: Map, x: Tensor) -> Tensor:
    n, m = _refuse_empty(x).shape
    with torch.enable_grad():
        tiled = (x if x.requires_grad else x.detach().requires_grad_()).repeat_interleave(m, dim=0)  # (n m, m)
        z = f(tiled)
        if z.shape[1] != m:
            raise ValueError("f must keep the number of dimensions")
        weights = torch.eye(m, dtype=x.dtype).repeat(n, 1)  # row i m + a asks for output a of sample i
        jacobian = torch.autograd.grad(z, tiled, weights, create_graph=True)[0].reshape(n, m, m)
        U = torch.linalg.lu(jacobian).U
        return U.diagonal(dim1=1, dim2=2).abs().log().sum(dim=1)


# -- log_prob_x --


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You subtracted the log-determinant. f maps data to latents: where it stretches, data are denser.")
def subtracts_the_volume_change(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) - _log_abs_det(f, x)


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You left the determinant out: p(f(x)) alone is no density in x.")
def forgets_the_determinant(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    _refuse_empty(x)
    return log_p_z(f(x))


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You evaluated the density of the latents at x. It belongs at z = f(x).")
def base_density_at_x(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(x) + _log_abs_det(f, x)


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You took the Jacobian of f at z = f(x). It belongs at x.")
def jacobian_at_the_latent(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + _log_abs_det(f, f(x))


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You added the determinant to a log-density. In logarithms the factor becomes its own logarithm.")
def adds_the_bare_determinant(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + torch.linalg.det(_jacobian(f, x)).abs()


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You ignored log_p_z and put a standard normal density in its place.")
def always_standard_normal(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(f(x)).sum(dim=1) + _log_abs_det(f, x)


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You lost the shape (n,): a column and a row of numbers broadcast to a square.")
def broadcasts_to_a_square(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x))[:, None] + _log_abs_det(f, x)


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_the_change_of_variables",
         says="You averaged over the batch: one log-density a sample is asked for.")
def mean_log_likelihood(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)) + _log_abs_det(f, x)).mean()


@mistake(LOG_PROB_X, killed_by="test_a_gaussian_through_an_affine_map_is_gaussian",
         says="The determinant of this map is negative, and you took its logarithm without the absolute value.")
def log_prob_with_signed_determinant(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + torch.linalg.det(_jacobian(f, x)).log()


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_is_finite_where_densities_are_not",
         says="You multiplied densities and took the logarithm at the end: far out the product underflows.")
def logarithm_of_the_product(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)).exp() * _log_abs_det(f, x).exp()).log()


@mistake(LOG_PROB_X, killed_by="test_data_whose_latents_are_impossible_are_impossible",
         says="You replaced -inf by a large finite number. A density of zero has the log-density -inf.")
def finite_instead_of_minus_infinity(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return torch.nan_to_num(log_p_z(f(x))) + _log_abs_det(f, x)


@mistake(LOG_PROB_X, killed_by="test_a_flow_can_be_trained_by_its_log_prob",
         says="You cut the latents off their graph, so the base density sends no gradient into f.")
def latents_cut_off(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x).detach()) + _log_abs_det(f, x)


@mistake(LOG_PROB_X, killed_by="test_a_flow_can_be_trained_by_its_log_prob",
         says="The volume change carries no graph: the flow would be trained on the base density alone.")
def volume_change_cut_off(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + _log_abs_det(f, x).detach()


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_works_without_gradient_tracking",
         says="Your Jacobian needs gradient tracking that the caller has switched off. Switch it on yourself, locally.")
def log_prob_needs_the_callers_gradient_mode(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    _refuse_empty(x)
    return log_p_z(f(x)) + needs_the_callers_gradient_mode(f, x)


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_refuses_what_makes_no_sense",
         says="A batch without samples must be refused with a ValueError that names x.")
def log_prob_of_an_empty_batch(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    if x.numel() == 0:
        return x.new_zeros(len(x))
    return log_p_z(f(x)) + _log_abs_det(f, x)


@variant(LOG_PROB_X)
def one_sample_at_a_time(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    _refuse_empty(x)
    return torch.cat([log_p_z(f(x_i)) + _log_abs_det(f, x_i) for x_i in x.split(1)])


@variant(LOG_PROB_X)
def jacobian_and_latent_in_one_pass(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    def latent(x_i: Tensor) -> tuple[Tensor, Tensor]:
        z_i = f(x_i[None])[0]
        return z_i, z_i

    jacobian, z = vmap(jacfwd(latent, has_aux=True))(_refuse_empty(x))
    return log_p_z(z) + torch.linalg.slogdet(_square(jacobian, x)).logabsdet


# -- log_prob_z --


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_the_change_of_variables",
         says="You subtracted the log-determinant. It is the Jacobian of the inverse that you were given: it is added.")
def subtracts_the_inverse_volume_change(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) - _log_abs_det(f_inverse, z)


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_the_change_of_variables",
         says="You left the determinant out: p(f^-1(z)) alone is no density in z.")
def forgets_the_inverse_determinant(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    _refuse_empty(z)
    return log_p_x(f_inverse(z))


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_the_change_of_variables",
         says="You evaluated the density of the data at z. It belongs at x = f^-1(z).")
def data_density_at_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(z) + _log_abs_det(f_inverse, z)


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_the_change_of_variables",
         says="You took the Jacobian of f^-1 at x = f^-1(z). It belongs at z.")
def jacobian_at_the_sample(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + _log_abs_det(f_inverse, f_inverse(z))


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_the_change_of_variables",
         says="You used the diagonal of the Jacobian alone. Nothing about the structure of f may be assumed.")
def diagonal_of_the_inverse(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + diagonal_alone(f_inverse, z)


@mistake(LOG_PROB_Z, killed_by="test_a_gaussian_seen_through_an_inverse_is_gaussian",
         says="The determinant of this map is negative, and you took its logarithm without the absolute value.")
def log_prob_z_with_signed_determinant(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + torch.linalg.det(_jacobian(f_inverse, z)).log()


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_finite_where_densities_are_not",
         says="You multiplied densities and took the logarithm at the end: far out the product underflows.")
def logarithm_of_the_product_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return (log_p_x(f_inverse(z)).exp() * _log_abs_det(f_inverse, z).exp()).log()


@mistake(LOG_PROB_Z, killed_by="test_latents_of_impossible_data_are_impossible",
         says="You replaced -inf by a large finite number. A density of zero has the log-density -inf.")
def finite_instead_of_minus_infinity_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)).clamp(min=-1e6) + _log_abs_det(f_inverse, z)


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_differentiable",
         says="The result carries no graph: keep it, so that one can train what is inside f^-1 and log_p_x.")
def log_prob_z_without_graph(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return (log_p_x(f_inverse(z)) + _log_abs_det(f_inverse, z)).detach()


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_works_without_gradient_tracking",
         says="Your Jacobian needs gradient tracking that the caller has switched off. Switch it on yourself, locally.")
def log_prob_z_needs_the_callers_gradient_mode(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    _refuse_empty(z)
    return log_p_x(f_inverse(z)) + needs_the_callers_gradient_mode(f_inverse, z)


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_refuses_what_makes_no_sense",
         says="A batch without latents must be refused with a ValueError that names z.")
def log_prob_z_of_an_empty_batch(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    if z.numel() == 0:
        return z.new_zeros(len(z))
    return log_p_x(f_inverse(z)) + _log_abs_det(f_inverse, z)


@variant(LOG_PROB_Z)
def one_latent_at_a_time(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    _refuse_empty(z)
    return torch.cat([log_p_x(f_inverse(z_i)) + _log_abs_det(f_inverse, z_i) for z_i in z.split(1)])


@variant(LOG_PROB_Z)
def through_the_inverse_jacobian(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    jacobian = vmap(jacrev(lambda z_i: f_inverse(z_i[None])[0]))(_refuse_empty(z))
    return log_p_x(f_inverse(z)) - torch.linalg.slogdet(torch.linalg.inv(_square(jacobian, z))).logabsdet


def _jacobian(f: Map, x: Tensor) -> Tensor:
    return _square(vmap(jacrev(lambda x_i: f(x_i[None])[0]))(_refuse_empty(x)), x)  # (n, m, m)


def _log_abs_det(f: Map, x: Tensor) -> Tensor:
    return torch.linalg.slogdet(_jacobian(f, x)).logabsdet


def _jacobian_by_backward_passes(f: Map, x: Tensor) -> Tensor:
    """(n, d, m), one backward pass for each output; needs gradient tracking to be on."""
    x = _refuse_empty(x) if x.requires_grad else _refuse_empty(x).detach().requires_grad_()
    outputs = f(x).sum(dim=0)  # rows are independent
    return torch.stack([torch.autograd.grad(output, x, create_graph=True)[0] for output in outputs], dim=1)


def _refuse_empty(x: Tensor) -> Tensor:
    if x.numel() == 0:
        raise ValueError(f"x must have n >= 1 samples and m >= 1 dimensions, got {tuple(x.shape)}")
    return x


def _square(jacobian: Tensor, x: Tensor) -> Tensor:
    if jacobian.shape[1] != x.shape[1]:
        raise ValueError("f must keep the number of dimensions")
    return jacobian
