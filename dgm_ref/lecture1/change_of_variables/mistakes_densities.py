"""Wrong answers for the densities of data and latents that students really give, and right answers by other roads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, vmap

from dgm_ref.catalogue import mistake, size_of, variant
from dgm_ref.lecture1.change_of_variables.mistakes_log_det import (
    MANY_DIMENSIONS,
    Map,
    diagonal_alone,
    jacobian_of,
    log_abs_det,
    turns_space_inside_out,
)
from dgm_ref.slips import NO_LEAF, detached_unless_leaf, graph_for_inputs_alone, without_graph_where

LOG_PROB_X = "change_of_variables.log_prob_x"
LOG_PROB_Z = "change_of_variables.log_prob_z"

_remembered: dict[tuple[int, ...], Tensor] = {}  # by the identity of a tensor


# -- log_prob_x --


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_three_points",
    says="You subtracted the log-determinant. f maps data to latents: where it stretches, data are denser.",
)
def subtracts_the_volume_change(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) - log_abs_det(f, x)


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_of_three_points", says="You left the determinant out: p(f(x)) alone is no density in x.")
def forgets_the_determinant(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x))


@mistake(
    LOG_PROB_X, killed_by="test_log_prob_x_of_three_points", says="You evaluated the density of the latents at x. It belongs at z = f(x)."
)
def base_density_at_x(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(x) + log_abs_det(f, x)


@mistake(
    LOG_PROB_X, killed_by="test_famous_laws_are_images_of_one_another", says="You took the Jacobian of f at z = f(x). It belongs at x."
)
def jacobian_at_the_latent(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + log_abs_det(f, f(x))


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_three_points",
    says="You added the determinant to a log-density. In logarithms the factor becomes its own logarithm.",
)
def adds_the_bare_determinant(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + torch.linalg.det(jacobian_of(f, x)).abs()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_three_points",
    says="You multiplied the log-density by the determinant. Densities are multiplied; their logarithms are added.",
)
def multiplies_the_log_density(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) * log_abs_det(f, x).exp()


@mistake(LOG_PROB_X, killed_by="test_log_prob_x_of_three_points", says="This is the density itself: its logarithm is asked for.")
def density_without_logarithm(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)) + log_abs_det(f, x)).exp()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_three_points",
    says="This is the negative log-likelihood, a loss. Asked for is the log-density.",
)
def as_a_loss(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return -log_p_z(f(x)) - log_abs_det(f, x)


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_the_change_of_variables",
    says="You ignored log_p_z and put a standard normal density in its place.",
)
def always_standard_normal(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(f(x)).sum(dim=1) + log_abs_det(f, x)


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_three_points",
    says="You used the diagonal of the Jacobian alone. Nothing about the structure of f may be assumed.",
)
def diagonal_of_the_map(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + diagonal_alone(f, x)


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_three_points",
    says="You lost the shape (n,): a column and a row of numbers broadcast to a square.",
)
def broadcasts_to_a_square(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x))[:, None] + log_abs_det(f, x)


@mistake(
    LOG_PROB_X, killed_by="test_log_prob_x_of_three_points", says="You averaged over the batch: one log-density a sample is asked for."
)
def mean_log_likelihood(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)) + log_abs_det(f, x)).mean()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_the_change_of_variables",
    says="You added the sum of all volume changes to every row. Each sample has its own.",
)
def volume_of_the_whole_batch(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + log_abs_det(f, x).sum()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_the_change_of_variables",
    says="You used the volume change of the first sample for the whole batch. It differs from sample to sample.",
)
def volume_of_the_first_row(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + log_abs_det(f, x[:1])


@mistake(
    LOG_PROB_X,
    killed_by="test_a_gaussian_through_a_mirroring_affine_map_is_gaussian",
    says="Where the determinant is negative its logarithm is nan. A volume has no sign: take its absolute value first.",
    when=turns_space_inside_out,
)
def log_prob_with_signed_determinant(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + torch.logdet(jacobian_of(f, x))


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_finite_where_densities_are_not",
    says="You multiplied densities and took the logarithm at the end: far out the product under- or overflows.",
)
def logarithm_of_the_product(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)).exp() * log_abs_det(f, x).exp()).log()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_finite_where_densities_are_not",
    says="You computed the determinant first and its logarithm then. In 64 dimensions the determinant under- or "
    "overflows long before its logarithm does.",
    when=size_of("x", axis=1, at_least=MANY_DIMENSIONS),
)
def log_prob_after_determinant(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + torch.linalg.det(jacobian_of(f, x)).abs().log()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_finite_where_densities_are_not",
    says="You clamp the latents. Far out the density is small, but not the one of a nearer point.",
)
def clamped_latents(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x).clamp(-10, 10)) + log_abs_det(f, x)


@mistake(
    LOG_PROB_X,
    killed_by="test_data_whose_latents_are_impossible_are_impossible",
    says="You replaced -inf by a large finite number. A density of zero has the log-density -inf.",
)
def finite_instead_of_minus_infinity(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return torch.nan_to_num(log_p_z(f(x))) + log_abs_det(f, x)


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_finite_where_densities_are_not",
    says="You cut log-densities off at 88. The density would overflow there; its logarithm is a number like others.",
)
def cut_off_where_densities_overflow(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)) + log_abs_det(f, x)).clamp(max=88)


@mistake(
    LOG_PROB_X,
    killed_by="test_a_flow_can_be_trained_by_its_log_prob",
    says="You cut the latents off their graph, so the base density sends no gradient into f.",
)
def latents_cut_off(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x).detach()) + log_abs_det(f, x)


@mistake(
    LOG_PROB_X,
    killed_by="test_a_flow_can_be_trained_by_its_log_prob",
    says="The volume change carries no graph: the flow would be trained on the base density alone.",
)
def volume_change_cut_off(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + log_abs_det(f, x).detach()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_a_single_sample_or_dimension",
    says="A squeeze drops the axis of the samples where there is one sample only: the result is (1,) then.",
)
def squeezes_the_log_prob(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)) + log_abs_det(f, x)).squeeze()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_depends_on_the_samples_alone",
    says="You remember the volume change by the tensor object. The same tensor may hold other numbers at the next call.",
)
def remembers_the_volume_change(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + _remembered.setdefault((id(f), id(x), x.data_ptr(), *x.shape), log_abs_det(f, x))


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_has_the_dtype_of_the_samples",
    says="You return float32 whatever the samples are: the result has their dtype.",
)
def log_prob_in_float32(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return (log_p_z(f(x)) + log_abs_det(f, x)).float()


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_a_single_sample_or_dimension",
    says="In one dimension you take the logarithm of the derivative itself, which is negative here. Take its absolute value.",
    when=lambda f, x: x.shape[1] == 1 and (f(x + 0.01) < f(x)).any(),
)
def derivative_without_absolute_value(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + (jacobian_of(f, x)[:, 0, 0].log() if x.shape[1] == 1 else log_abs_det(f, x))


@mistake(
    LOG_PROB_X, killed_by="test_log_prob_x_of_three_points", says="This is the volume change alone: the density of the latent is missing."
)
def volume_change_alone(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_abs_det(f, x)


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_the_change_of_variables",
    says="You divide the log-determinant by the number of dimensions. It counts as a whole.",
    when=size_of("x", axis=1, at_least=2),
)
def volume_change_per_dimension(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + log_abs_det(f, x) / x.shape[1]


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_finite_where_densities_are_not",
    says="You hold the log-density above -10^5. Far out it is as low as it is.",
)
def log_prob_x_held_above_a_floor(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    right = log_p_z(f(x)) + log_abs_det(f, x)
    return torch.where(right.isinf(), right, right.clamp(min=-1e5))


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_is_the_change_of_variables",
    says="You added the average of all volume changes to every row. Each sample has its own.",
)
def average_volume_of_the_batch(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + log_abs_det(f, x).mean()


@mistake(
    LOG_PROB_X,
    killed_by="test_a_flow_can_be_trained_by_its_log_prob",
    says="The volume change has a graph only where the samples carry one. A flow is trained by its parameters, on samples without.",
)
def graph_only_for_samples(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + graph_for_inputs_alone(log_abs_det(f, x), x)


@mistake(
    LOG_PROB_X,
    killed_by="test_log_prob_x_of_three_points",
    says="You hold the log-density of the latents at zero or below. A density may be above one.",
)
def densities_of_latents_up_to_one(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)).clamp(max=0) + log_abs_det(f, x)


@variant(LOG_PROB_X)
def one_sample_at_a_time(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return torch.cat([log_p_z(f(x_i)) + log_abs_det(f, x_i) for x_i in x.split(1)])


@variant(LOG_PROB_X)
def jacobian_and_latent_in_one_pass(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    def latent(x_i: Tensor) -> tuple[Tensor, Tensor]:
        z_i = f(x_i[None])[0]
        return z_i, z_i

    jacobian, z = vmap(jacfwd(latent, has_aux=True))(x)
    return log_p_z(z) + torch.linalg.slogdet(jacobian).logabsdet


@variant(LOG_PROB_X)
def vmap_of_one_log_density(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    def one(x_i: Tensor) -> Tensor:
        g = lambda v: f(v.unsqueeze(0)).squeeze(0)  # noqa: E731
        return log_p_z(g(x_i).unsqueeze(0)).squeeze(0) + torch.linalg.slogdet(jacrev(g)(x_i))[1]

    return vmap(one)(x)


@variant(LOG_PROB_X)
def latents_and_gradients_by_autograd(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    x = x if x.requires_grad else x.detach().requires_grad_()
    z = f(x)
    rows = [torch.autograd.grad(z[:, j].sum(), x, create_graph=True, retain_graph=True)[0] for j in range(x.shape[1])]
    return log_p_z(z) + torch.linalg.svdvals(torch.stack(rows, dim=1)).log().sum(-1)


@mistake(LOG_PROB_X, killed_by="test_a_flow_can_be_trained_by_its_log_prob", says=NO_LEAF)
def volume_of_detached_data(f: Map, log_p_z: Map, x: Tensor) -> Tensor:
    return log_p_z(f(x)) + log_abs_det(f, detached_unless_leaf(x))


# -- log_prob_z --


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_of_three_points",
    says="You subtracted the log-determinant. It is the Jacobian of the inverse that you were given: it is added.",
)
def subtracts_the_inverse_volume_change(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) - log_abs_det(f_inverse, z)


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_of_three_points", says="You left the determinant out: p(f^-1(z)) alone is no density in z.")
def forgets_the_inverse_determinant(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z))


@mistake(
    LOG_PROB_Z, killed_by="test_log_prob_z_of_three_points", says="You evaluated the density of the data at z. It belongs at x = f^-1(z)."
)
def data_density_at_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(z) + log_abs_det(f_inverse, z)


@mistake(
    LOG_PROB_Z,
    killed_by="test_a_law_seen_through_its_distribution_function_is_uniform",
    says="You took the Jacobian of f^-1 at x = f^-1(z). It belongs at z.",
)
def jacobian_at_the_sample(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + log_abs_det(f_inverse, f_inverse(z))


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_of_three_points",
    says="You used the diagonal of the Jacobian alone. Nothing about the structure of f may be assumed.",
)
def diagonal_of_the_inverse(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + diagonal_alone(f_inverse, z)


@mistake(
    LOG_PROB_Z, killed_by="test_log_prob_z_of_three_points", says="You averaged over the batch: one log-density a latent is asked for."
)
def mean_log_density_of_latents(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return (log_p_x(f_inverse(z)) + log_abs_det(f_inverse, z)).mean()


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_the_change_of_variables",
    says="You ignored log_p_x and put a standard normal density in its place.",
)
def always_standard_normal_data(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return torch.distributions.Normal(0.0, 1.0).log_prob(f_inverse(z)).sum(dim=1) + log_abs_det(f_inverse, z)


@mistake(
    LOG_PROB_Z,
    killed_by="test_a_gaussian_seen_through_a_mirroring_inverse_is_gaussian",
    says="Where the determinant is negative its logarithm is nan. A volume has no sign: take its absolute value first.",
    when=lambda f_inverse, z: turns_space_inside_out(f_inverse, z),
)
def log_prob_z_with_signed_determinant(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + torch.logdet(jacobian_of(f_inverse, z))


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_finite_where_densities_are_not",
    says="You multiplied densities and took the logarithm at the end: far out the product under- or overflows.",
)
def logarithm_of_the_product_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return (log_p_x(f_inverse(z)).exp() * log_abs_det(f_inverse, z).exp()).log()


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_finite_where_densities_are_not",
    says="You computed the determinant first and its logarithm then. In 64 dimensions the determinant under- or "
    "overflows long before its logarithm does.",
    when=size_of("z", axis=1, at_least=MANY_DIMENSIONS),
)
def log_prob_z_after_determinant(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + torch.linalg.det(jacobian_of(f_inverse, z)).abs().log()


@mistake(
    LOG_PROB_Z,
    killed_by="test_latents_of_impossible_data_are_impossible",
    says="You replaced -inf by a large finite number. A density of zero has the log-density -inf.",
)
def finite_instead_of_minus_infinity_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)).clamp(min=-1e6) + log_abs_det(f_inverse, z)


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_finite_where_densities_are_not",
    says="You cut log-densities off at 88. The density would overflow there; its logarithm is a number like others.",
)
def cut_off_where_densities_overflow_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return (log_p_x(f_inverse(z)) + log_abs_det(f_inverse, z)).clamp(max=88)


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_differentiable",
    says="The result carries no graph: keep it, so that one can train what is inside f^-1 and log_p_x.",
)
def log_prob_z_without_graph(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return (log_p_x(f_inverse(z)) + log_abs_det(f_inverse, z)).detach()


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_differentiable",
    says="You cut the samples off their graph, so the density of the data sends no gradient into f^-1.",
)
def samples_cut_off(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z).detach()) + log_abs_det(f_inverse, z)


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_of_a_single_latent_or_dimension",
    says="A squeeze drops the axis of the latents where there is one latent only: the result is (1,) then.",
)
def squeezes_the_log_prob_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return (log_p_x(f_inverse(z)) + log_abs_det(f_inverse, z)).squeeze()


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_of_three_points",
    says="You add the determinant itself to a log-density. Its logarithm belongs there.",
)
def adds_the_bare_determinant_z(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + torch.linalg.det(jacobian_of(f_inverse, z)).abs()


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_differentiable",
    says="The volume change is cut off the graph, and with it its part of the gradient.",
)
def inverse_volume_change_cut_off(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + log_abs_det(f_inverse, z).detach()


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_the_change_of_variables",
    says="You took the derivative of the sum of all outputs. These are the column sums of the Jacobian, not its determinant.",
)
def column_sums_of_the_inverse(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + jacobian_of(f_inverse, z).sum(dim=1).abs().log().sum(dim=1)


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_of_a_single_latent_or_dimension",
    says="In one dimension you take the logarithm of the derivative itself, which is negative here. Take its absolute value.",
    when=lambda f_inverse, z: z.shape[1] == 1 and (f_inverse(z + 0.01) < f_inverse(z)).any(),
)
def inverse_derivative_without_absolute_value(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + (jacobian_of(f_inverse, z)[:, 0, 0].log() if z.shape[1] == 1 else log_abs_det(f_inverse, z))


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_finite_where_densities_are_not",
    says="You hold the log-density above -10^5. Far out it is as low as it is.",
)
def log_prob_z_held_above_a_floor(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    right = log_p_x(f_inverse(z)) + log_abs_det(f_inverse, z)
    return torch.where(right.isinf(), right, right.clamp(min=-1e5))


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_differentiable",
    says="The volume change has a graph only where the latents carry one. A flow is trained by its parameters, on latents without.",
)
def graph_only_for_latents(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + graph_for_inputs_alone(log_abs_det(f_inverse, z), z)


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_of_three_points",
    says="You hold the log-density of the data at zero or below. A density may be above one.",
)
def densities_of_data_up_to_one(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)).clamp(max=0) + log_abs_det(f_inverse, z)


@mistake(
    LOG_PROB_Z,
    killed_by="test_log_prob_z_is_differentiable",
    says="In many dimensions the volume change has no graph. A flow is trained there, too: keep the graph of the Jacobian.",
    when=size_of("z", axis=1, at_least=8),
)
def volume_without_graph_in_many_dimensions(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + without_graph_where(z.shape[1] >= 8, log_abs_det(f_inverse, z))


@variant(LOG_PROB_Z)
def one_latent_at_a_time(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return torch.cat([log_p_x(f_inverse(z_i)) + log_abs_det(f_inverse, z_i) for z_i in z.split(1)])


@variant(LOG_PROB_Z)
def through_the_inverse_jacobian(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    jacobian = jacobian_of(f_inverse, z)
    return log_p_x(f_inverse(z)) - torch.linalg.slogdet(torch.linalg.inv(jacobian)).logabsdet


@variant(LOG_PROB_Z)
def data_and_jacobian_by_vjp(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    x, pull_back = torch.func.vjp(f_inverse, z)
    rows = [pull_back(axis.expand_as(x))[0] for axis in torch.eye(z.shape[1], dtype=z.dtype)]
    return log_p_x(x) + torch.linalg.slogdet(torch.stack(rows, dim=1))[1]


@variant(LOG_PROB_Z)
def latents_in_float64(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    wide = z.double()
    return (log_p_x(f_inverse(wide)) + log_abs_det(f_inverse, wide)).to(z.dtype)


@variant(LOG_PROB_Z)
def named_intermediate_results(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    x = f_inverse(z)
    jacobians = torch.stack([
        torch.autograd.functional.jacobian(lambda v: f_inverse(v.unsqueeze(0)).squeeze(0), row, create_graph=True)
        for row in z
    ])  # fmt: skip
    return log_p_x(x) + torch.linalg.slogdet(jacobians).logabsdet


@mistake(LOG_PROB_Z, killed_by="test_log_prob_z_is_differentiable", says=NO_LEAF)
def volume_of_detached_latents(f_inverse: Map, log_p_x: Map, z: Tensor) -> Tensor:
    return log_p_x(f_inverse(z)) + log_abs_det(f_inverse, detached_unless_leaf(z))
