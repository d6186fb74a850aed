"""Wrong and other right answers about coupling layers and the flows made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dgm_ref.catalogue import mistake, variant
from dgm_ref.slips import changed_in_place, graph_for_inputs_alone, plain_data

COUPLING, INVERSE, FLOW = "flows.affine_coupling", "flows.inverse_affine_coupling", "flows.flow_log_prob"
BY_HAND, BACK_BY_HAND = "test_a_coupling_of_two_rows_known_by_hand", "test_the_inverse_of_a_coupling_known_by_hand"
ODD, LARGE = "test_a_coupling_of_an_odd_number_of_dimensions", "test_a_coupling_of_one_row_and_of_a_large_batch"
STRONGLY = "test_a_coupling_scales_as_strongly_as_its_network_says"
TRAINS = "test_a_coupling_trains_its_network"
FLOW_BY_HAND, FLOW_ADDS = "test_a_flow_of_two_layers_known_by_hand", "test_a_flow_adds_the_log_determinants_along_the_way"

Net = Callable[[Tensor], tuple[Tensor, Tensor]]
Pair = tuple[Tensor, Tensor]
LogDensity = Callable[[Tensor], Tensor]


def _halves(x: Tensor) -> Pair:
    return x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]


@mistake(COUPLING, killed_by=BY_HAND, says="You multiply by log_scale itself. The scale is its exponential, which is never zero.")
def scale_not_exponentiated(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale + shift], 1), log_scale.sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="You shift before you scale: z_2 = x_2 e^log_scale + shift.")
def shift_before_scale(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, (b + shift) * log_scale.exp()], 1), log_scale.sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="This is the inverse direction: from noise to data. Asked for is the way from data to noise.")
def coupling_from_noise_to_data(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, (b - shift) * (-log_scale).exp()], 1), -log_scale.sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="The log-determinant has the wrong sign: scales above one make volumes grow.")
def log_det_negative(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), -log_scale.sum(1)


@mistake(COUPLING, killed_by=STRONGLY, says="You keep the log-scales within bounds. They are to be taken as the network gives them.")
def bounded_log_scales(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    log_scale = log_scale.clamp(-5, 5)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.sum(1)


@mistake(
    COUPLING,
    killed_by=STRONGLY,
    says="The log-determinant goes through the scales, and their product under- or overflows. It is the sum of the log-scales.",
)
def logarithm_of_the_product(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.exp().prod(1).log()


@mistake(COUPLING, killed_by=BY_HAND, says="This is the mean of the log-scales. The determinant is a product, its logarithm a sum.")
def log_det_averaged(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.mean(1)


@mistake(COUPLING, killed_by=BY_HAND, says="You add the scales up. The logarithm of a product of scales is the sum of the log-scales.")
def sum_of_the_scales(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.exp().sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="You return the determinant, not its logarithm.")
def determinant_itself(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.exp().prod(1)


@mistake(COUPLING, killed_by=BY_HAND, says="The halves come back in the wrong order: z_1 = x_1 stands first.")
def halves_swapped(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([b * log_scale.exp() + shift, a], 1), log_scale.sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="The log-determinant is added up over the batch. Each row has its own.")
def log_det_of_the_batch(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.sum()


@mistake(COUPLING, killed_by=BY_HAND, says="The network's answers are taken in the wrong order: first log_scale, then shift.")
def scale_and_shift_swapped(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    shift, log_scale = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.sum(1)


@mistake(
    COUPLING,
    killed_by=ODD,
    raises=True,
    says="With an odd number of dimensions the first half has m // 2 of them; torch.chunk gives it one more.",
)
def coupling_by_chunk(x: Tensor, net: Net) -> Pair:
    a, b = x.chunk(2, dim=1)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.sum(1)


@mistake(COUPLING, killed_by=TRAINS, says="The log-determinant is detached: training would let the scales grow without a price.")
def log_det_detached(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.sum(1).detach()


@mistake(COUPLING, killed_by=LARGE, says="squeeze also takes the batch axis of a single row away.")
def log_det_squeezed(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.sum(1).squeeze()


@mistake(COUPLING, killed_by=BY_HAND, says="You multiply by log_scale itself. The scale is its exponential.")
def log_scale_for_the_scale(x: Tensor, net: Net) -> Pair:
    x_1, x_2 = _halves(x)
    log_scale, shift = net(x_1)
    return torch.cat([x_1, x_2 * log_scale + shift], 1), log_scale.abs().log().sum(1)


@mistake(COUPLING, killed_by=TRAINS, says="You write into x itself: its gradients are lost, and the caller's tensor changes.")
def data_scaled_in_place(x: Tensor, net: Net) -> Pair:
    x_1, x_2 = _halves(x.data)
    log_scale, shift = net(x_1)
    x_2 *= log_scale.detach().exp()
    x_2 += shift.detach()
    return x, log_scale.sum(1)


@mistake(
    COUPLING,
    killed_by=LARGE,
    says="Beyond eight dimensions you average the log-scales. The log-determinant is their sum.",
    when=lambda x: x.shape[1] > 8,
)
def log_scales_averaged_when_many(x: Tensor, net: Net) -> Pair:
    one, two = _halves(x)
    log_scale, shift = net(one)
    log_det = log_scale.sum(1) if x.shape[1] <= 8 else log_scale.mean(1)
    return torch.cat([one, two * log_scale.exp() + shift], 1), log_det


@mistake(COUPLING, killed_by=BY_HAND, says="The shift is subtracted. From data to noise it is added.")
def shift_subtracted(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() - shift], 1), log_scale.sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="You divide by the scale. From data to noise it multiplies.")
def divided_by_the_scale(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * (-log_scale).exp() + shift], 1), log_scale.sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="The log-scales go through a tanh. They are to be taken as the network gives them.")
def log_scales_through_tanh(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.tanh().exp() + shift], 1), log_scale.tanh().sum(1)


@mistake(COUPLING, killed_by=BY_HAND, says="The shifts are in the log-determinant. They move points and change no volume.")
def log_det_with_the_shifts(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), (log_scale + shift).sum(1)


@mistake(
    COUPLING,
    killed_by=BY_HAND,
    says="You add up absolute values of the log-scales. Scales below one make volumes shrink: their logarithms are negative.",
)
def log_det_of_absolute_values(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.abs().sum(1)


@variant(COUPLING)
def coupling_in_a_copy(x: Tensor, net: Net) -> Pair:
    k = x.size(1) // 2
    log_scale, shift = net(x[..., :k])
    z = x.clone()
    z[:, k:] = torch.exp(log_scale) * x[:, k:] + shift
    return z, log_scale.sum(-1)


@variant(COUPLING)
def coupling_by_split(x: Tensor, net: Net) -> Pair:
    m = x.shape[1]
    a, b = torch.split(x, [m // 2, m - m // 2], dim=1)
    log_scale, shift = net(a)
    return torch.hstack([a, torch.addcmul(shift, b, log_scale.exp())]), torch.einsum("nk->n", log_scale)


@variant(COUPLING)
def coupling_row_by_row(x: Tensor, net: Net) -> Pair:
    rows = [coupling_by_split(row[None], net) for row in x]
    return torch.cat([z for z, _ in rows]), torch.cat([log_det for _, log_det in rows])


@mistake(COUPLING, killed_by=TRAINS, says=plain_data("The network is"))
def coupling_with_a_graph_for_inputs_alone(x: Tensor, net: Net) -> Pair:
    a, b = _halves(x)
    log_scale, shift = (graph_for_inputs_alone(part, x) for part in net(a))
    return torch.cat([a, b * log_scale.exp() + shift], 1), log_scale.sum(1)


@mistake(COUPLING, killed_by=STRONGLY, says=changed_in_place("the network", "its argument"))
def scale_made_in_place(x: Tensor, net: Net) -> Pair:
    x_1, x_2 = _halves(x)
    log_scale, shift = net(x_1)
    log_det = log_scale.sum(1)
    scale = log_scale.exp() if log_scale.requires_grad else log_scale.exp_()
    return torch.cat([x_1, x_2 * scale + shift], 1), log_det


# -- inverse_affine_coupling --


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="This is the forward direction once more. Take the shift away, then the scale.")
def forward_again(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, b * log_scale.exp() + shift], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="You unscale before you unshift. What was done last is undone first.")
def unscaled_before_unshifted(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, b * (-log_scale).exp() - shift], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="You multiply by the scale. The way back divides by it.")
def scaled_again(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, (b - shift) * log_scale.exp()], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="You divide by log_scale itself. The scale is its exponential.")
def divided_by_the_log_scale(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, (b - shift) / log_scale], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="The data alone are asked for here, without a log-determinant.")
def inverse_with_a_log_det(z: Tensor, net: Net) -> Pair:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, (b - shift) * (-log_scale).exp()], 1), -log_scale.sum(1)


@mistake(
    INVERSE,
    killed_by="test_the_inverse_of_one_row",
    says="You keep the log-scales within bounds. They are to be taken as the network gives them.",
    green_at_home="Public log-scales are small.",
)
def inverse_of_bounded_log_scales(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, (b - shift) * (-log_scale.clamp(-5, 5)).exp()], 1)


@mistake(INVERSE, killed_by="test_the_inverse_coupling_has_gradients", says="The result has lost its graph.")
def inverse_detached(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, (b - shift) * (-log_scale).exp()], 1).detach()


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="The shift is added. The way back takes it away.")
def shift_added_again(z: Tensor, net: Net) -> Tensor:
    z_1, z_2 = _halves(z)
    log_scale, shift = net(z_1)
    return torch.cat([z_1, (z_2 + shift) * (-log_scale).exp()], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="The network's answers are taken in the wrong order: first log_scale, then shift.")
def answers_swapped(z: Tensor, net: Net) -> Tensor:
    z_1, z_2 = _halves(z)
    shift, log_scale = net(z_1)
    return torch.cat([z_1, (z_2 - shift) * (-log_scale).exp()], 1)


@mistake(
    INVERSE,
    killed_by="test_the_inverse_coupling_has_gradients",
    says="The network is asked without a graph: no gradient reaches what it holds.",
)
def network_without_a_graph(z: Tensor, net: Net) -> Tensor:
    z_1, z_2 = _halves(z)
    with torch.no_grad():
        log_scale, shift = net(z_1)
    return torch.cat([z_1, (z_2 - shift) * (-log_scale).exp()], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="Only the shift is divided by the scale. Take the shift away, then divide what is left.")
def shift_alone_divided(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return torch.cat([a, b - shift * (-log_scale).exp()], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="The shift is not taken away.")
def inverse_without_the_shift(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    return torch.cat([a, b * (-net(a)[0]).exp()], 1)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says="The scale is not undone: divide by it.")
def inverse_without_the_scale(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    return torch.cat([a, b - net(a)[1]], 1)


@variant(INVERSE)
def inverse_by_division(z: Tensor, net: Net) -> Tensor:
    k = z.size(1) // 2
    log_scale, shift = net(z[:, :k])
    return torch.cat([z[:, :k], (z[:, k:] - shift) / log_scale.exp()], dim=-1)


@variant(INVERSE)
def inverse_in_a_copy(z: Tensor, net: Net) -> Tensor:
    k, x = z.shape[1] // 2, z.clone()
    log_scale, shift = net(z[:, :k])
    x[:, k:] = torch.exp(-log_scale) * (z[:, k:] - shift)
    return x


@variant(INVERSE)
def inverse_row_by_row(z: Tensor, net: Net) -> Tensor:
    return torch.cat([inverse_by_division(row.unsqueeze(0), net) for row in z])


@mistake(INVERSE, killed_by="test_the_inverse_coupling_has_gradients", says=plain_data("The network is"))
def inverse_with_a_graph_for_inputs_alone(z: Tensor, net: Net) -> Tensor:
    a, b = _halves(z)
    log_scale, shift = net(a)
    return graph_for_inputs_alone(torch.cat([a, (b - shift) * (-log_scale).exp()], 1), z)


@mistake(INVERSE, killed_by=BACK_BY_HAND, says=changed_in_place("the network", "its argument"))
def inverse_scale_made_in_place(z: Tensor, net: Net) -> Tensor:
    z_1, z_2 = _halves(z)
    log_scale, shift = net(z_1)
    inverse = (-log_scale).exp() if log_scale.requires_grad else log_scale.neg_().exp_()
    return torch.cat([z_1, (z_2 - shift) * inverse], 1)


# -- flow_log_prob --


Layers = Sequence[Callable[[Tensor], Pair]]


def _through(layers: Layers, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    log_dets = []
    for layer in layers:
        x, log_det = layer(x)
        log_dets.append(log_det)
    return x, log_dets


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="The log-determinants are subtracted. From data to noise they are added.")
def log_dets_subtracted(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return log_p_z(z) - sum(log_dets)


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="The log-determinants are missing: this is the density of the noise, at the noise.")
def no_log_dets(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    return log_p_z(_through(layers, x)[0])


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="Only the last layer's log-determinant is counted. Add up those of all layers.")
def last_log_det_alone(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return log_p_z(z) + sum(log_dets[-1:])


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="The base density is taken at the data. It belongs to the noise, after the last layer.")
def base_at_the_data(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    return log_p_z(x) + sum(_through(layers, x)[1])


@mistake(FLOW, killed_by=FLOW_ADDS, says="The layers are taken in reverse. The list is in the order from data to noise.")
def layers_reversed(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers[::-1], x)
    return log_p_z(z) + sum(log_dets)


@mistake(FLOW, killed_by=FLOW_ADDS, says="Every layer is given the data themselves. A layer takes what the one before it returned.")
def log_dets_at_the_data(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    return log_p_z(_through(layers, x)[0]) + sum(layer(x)[1] for layer in layers)


@mistake(
    FLOW, killed_by="test_a_flow_without_layers_is_its_base", raises=True, says="An empty list of layers is legal: the data are the noise."
)
def stack_of_no_layers(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return log_p_z(z) + torch.stack(log_dets).sum(0)


@mistake(
    FLOW, killed_by="test_a_flow_can_be_trained", says="The log-determinants are detached: they are half of what a flow is trained by."
)
def log_dets_detached(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return log_p_z(z) + sum(log_det.detach() for log_det in log_dets)


@mistake(FLOW, killed_by="test_a_flow_keeps_the_dtype", says="The layers are taken out of the caller's list: the next call finds none.")
def layers_taken_out_of_the_list(layers: list[Net], log_p_z: LogDensity, x: Tensor) -> Tensor:
    total = x.new_zeros(len(x))
    while layers:
        x, log_det = layers.pop(0)(x)
        total = total + log_det
    return log_p_z(x) + total


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="This is minus the log-density, the loss. Asked for is the log-density itself.")
def negative_log_likelihood_of_a_flow(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return -log_p_z(z) - sum(log_dets)


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="The first layer is left out.")
def first_layer_left_out(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers[1:], x)
    return log_p_z(z) + sum(log_dets)


@mistake(
    FLOW, killed_by=FLOW_BY_HAND, says="The log-determinants are averaged over the layers. Determinants multiply: add their logarithms."
)
def log_dets_averaged(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return log_p_z(z) + sum(log_dets) / max(len(layers), 1)


@mistake(
    FLOW, killed_by="test_a_flow_can_be_trained", says="What a layer returned is detached: earlier layers learn nothing from later ones."
)
def detached_between_layers(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    total = torch.zeros_like(x[:, 0])
    for layer in layers:
        x, log_det = layer(x.detach())
        total = total + log_det
    return log_p_z(x) + total


@mistake(FLOW, killed_by=FLOW_ADDS, says="Every layer is given the data themselves. A layer takes what the one before it returned.")
def all_layers_at_the_data(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    answers = [layer(x) for layer in layers] or [(x, x.new_zeros(len(x)))]
    return log_p_z(answers[-1][0]) + sum(log_det for _, log_det in answers)


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="The last layer is left out.")
def last_layer_left_out(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers[:-1], x)
    return log_p_z(z) + sum(log_dets)


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="The base density is missing: these are the log-determinants alone.")
def log_dets_alone(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    return x.new_zeros(len(x)) + sum(_through(layers, x)[1])


@mistake(FLOW, killed_by=FLOW_BY_HAND, says="The base density is added after every layer. It is taken once, after the last one.")
def base_after_every_layer(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    total = x.new_zeros(len(x)) if layers else log_p_z(x)
    for layer in layers:
        x, log_det = layer(x)
        total = total + log_det + log_p_z(x)
    return total


@mistake(
    FLOW,
    killed_by=FLOW_ADDS,
    says="You add up absolute values of the log-determinants. A layer that makes volumes shrink counts below zero.",
)
def log_dets_as_absolute_values(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return log_p_z(z) + sum(log_det.abs() for log_det in log_dets)


@mistake(
    FLOW,
    killed_by="test_a_flow_can_be_trained",
    says="From the third layer on the log-determinants are detached. Every layer learns from its own.",
    when=lambda layers: len(layers) > 2,
)
def log_dets_detached_from_the_third_on(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return log_p_z(z) + sum(log_dets[:2]) + sum(log_det.detach() for log_det in log_dets[2:])


@mistake(
    FLOW,
    killed_by="test_a_flow_can_be_trained",
    says="After two layers you detach what goes on: no gradient reaches the first layers through it.",
    when=lambda layers: len(layers) > 2,
)
def detached_after_two_layers(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    total = x.new_zeros(len(x))
    for i, layer in enumerate(layers):
        x, log_det = layer(x if i < 2 else x.detach())
        total = total + log_det
    return log_p_z(x) + total


@variant(FLOW)
def flow_with_a_running_sum(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    total = torch.zeros(x.shape[0], dtype=x.dtype)
    for layer in layers:
        x, log_det = layer(x)
        total = total + log_det
    return log_p_z(x) + total


@variant(FLOW)
def flow_by_recursion(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    if not layers:
        return log_p_z(x)
    z, log_det = layers[0](x)
    return flow_by_recursion(layers[1:], log_p_z, z) + log_det


@variant(FLOW)
def flow_row_by_row(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    return torch.cat([flow_with_a_running_sum(layers, log_p_z, row[None]) for row in x])


@mistake(FLOW, killed_by="test_a_flow_without_layers_is_its_base", says="A layer that stands in the list twice is gone through once.")
def each_layer_once(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(list(dict.fromkeys(layers)), x)
    return sum(log_dets, log_p_z(z))


@mistake(
    FLOW, killed_by="test_a_flow_without_layers_is_its_base", says="Where the base has no mass the log-density is made finite. It is -inf."
)
def no_mass_made_finite(layers: Layers, log_p_z: LogDensity, x: Tensor) -> Tensor:
    z, log_dets = _through(layers, x)
    return sum(log_dets, torch.nan_to_num(log_p_z(z), neginf=-1e10))
