"""Wrong answers about ImageGPT's logits that students give, and right ones that look different."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dgm_ref.catalogue import mistake, size_of, variant
from dgm_ref.slips import ONE_ROW, without_graph_where

FORWARD = "imagegpt.ImageGPT.forward"

LAW = "test_forward_gives_the_law_of_every_pixel_given_those_before"
LOGITS = "test_forward_gives_logits_as_the_head_does"
SHORTER = "test_a_sequence_may_be_shorter_than_the_longest"
MOVES = "test_a_pixel_moves_the_logits_of_all_later_pixels_and_of_no_other"
REACHES = "test_forward_reaches_every_parameter"
PLACES = "test_embeddings_learn_from_every_place_where_they_stand"


@mistake(
    FORWARD,
    killed_by=MOVES,
    says="Position j sees x_j, which it is to predict: the input has to be shifted by one, with the start vector in front.",
)
def not_shifted(self: Any, x: Tensor) -> Tensor:
    return self.decode(self.wte(x) + self.wpe.weight[: x.shape[1]])


@mistake(FORWARD, killed_by=MOVES, says="The input is shifted by two: position j never sees x_{j-1}.")
def shifted_twice(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, _start(self, self.wte(x))) + self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by=MOVES,
    says="roll brings the last pixel to the front, where the start vector belongs: the first position sees the future.",
)
def rolled(self: Any, x: Tensor) -> Tensor:
    h = self.wte(x).roll(1, dims=1)
    first = torch.zeros_like(h)
    first[:, 0] = self.sos
    return self.decode(h + first + self.wpe.weight[: x.shape[1]])


@mistake(FORWARD, killed_by=MOVES, says="The input is shifted the wrong way: position j sees x_{j+1} instead of x_{j-1}.")
def shifted_backwards(self: Any, x: Tensor) -> Tensor:
    h = torch.cat([self.wte(x)[:, 1:], self.sos.expand(len(x), 1, -1)], dim=1)
    return self.decode(h + self.wpe.weight[: x.shape[1]])


@mistake(FORWARD, killed_by=LAW, says="The first position gets zeros. Its input is the learned start vector `sos`.")
def starts_with_zeros(self: Any, x: Tensor) -> Tensor:
    h = F.pad(self.wte(x)[:, :-1], (0, 0, 1, 0))
    return self.decode(h + self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by=LAW,
    says="The first position gets the embedding of value 0. Its input is the start vector `sos`, which is no colour.",
)
def starts_with_the_first_colour(self: Any, x: Tensor) -> Tensor:
    h = self.wte(F.pad(x[:, :-1], (1, 0)))
    return self.decode(h + self.wpe.weight[: x.shape[1]] + 0 * self.sos)


@mistake(
    FORWARD,
    killed_by=LAW,
    says="You add the start vector to every position. It is the input of the first one alone.",
)
def start_vector_everywhere(self: Any, x: Tensor) -> Tensor:
    h = F.pad(self.wte(x)[:, :-1], (0, 0, 1, 0)) + self.sos
    return self.decode(h + self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by=LAW,
    says="The positions are missing: without wpe the network hardly knows which pixel it is at.",
)
def no_positions(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) + 0 * self.wpe.weight[: x.shape[1]])


@mistake(FORWARD, killed_by=LAW, says="Every position gets the vector of position 0: give position j the j-th row of wpe.")
def one_position_for_all(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) + self.wpe.weight[:1])


@mistake(
    FORWARD,
    killed_by=LAW,
    says="You add positions before the shift, so that they move along: position j then carries the vector of j - 1.",
)
def positions_before_the_shift(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x) + self.wpe.weight[: x.shape[1]]))


@mistake(FORWARD, killed_by=LAW, says="You multiply by the vectors of the positions. They are added.")
def positions_multiplied(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) * self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by=LAW,
    says="The result has one position too many: with the start vector in front, the last value is no input any more.",
)
def one_position_too_many(self: Any, x: Tensor) -> Tensor:
    h = torch.cat([self.sos.expand(len(x), 1, -1), self.wte(x)], dim=1)
    return self.decode(h + F.pad(self.wpe.weight, (0, 0, 0, 1))[: h.shape[1]])


@mistake(FORWARD, killed_by=SHORTER, says="You add all rows of wpe: a sequence may be shorter than config.m.")
def full_sequences_only(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) + self.wpe.weight)


@mistake(FORWARD, killed_by=LAW, says="You scale the embeddings by sqrt(dim), as some transformers do. ImageGPT does not.")
def embeddings_scaled(self: Any, x: Tensor) -> Tensor:
    h = _start(self, self.wte(x) * self.config.dim**0.5)
    return self.decode(h + self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by=REACHES,
    says="forward runs without gradients here, so nothing can be trained.",
)
def forward_without_gradient(self: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        return _forward(self, x)


@mistake(
    FORWARD,
    killed_by=LAW,
    says="You subtract the mean over the batch, so that images in a batch meet: an image must come out the same alone.",
)
def images_meet(self: Any, x: Tensor) -> Tensor:
    h = _start(self, self.wte(x))
    return self.decode(h - h.mean(dim=0, keepdim=True) * 0.1 + self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by="test_forward_stays_on_the_device_of_the_model",
    says="The numbers of the positions are made on the CPU whatever the device of x. Give torch.arange a `device`.",
)
def positions_on_the_cpu(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) + self.wpe(torch.arange(x.shape[1])))


@mistake(
    FORWARD,
    killed_by=LOGITS,
    says="These are log-probabilities. `forward` gives logits: what `decode` returns, without a softmax.",
)
def forward_as_log_probabilities(self: Any, x: Tensor) -> Tensor:
    return _forward(self, x).log_softmax(dim=-1)


@mistake(
    FORWARD,
    killed_by=LAW,
    says="These are probabilities. `forward` gives logits: what `decode` returns, without a softmax.",
)
def forward_as_probabilities(self: Any, x: Tensor) -> Tensor:
    return _forward(self, x).softmax(dim=-1)


@mistake(
    FORWARD,
    killed_by=LAW,
    says="You feed the last 64 values only: all values before pixel j are its context.",
    when=size_of("x", axis=1, at_least=65),
)
def sixty_four_values_at_most(self: Any, x: Tensor) -> Tensor:
    h = _start(self, self.wte(x)) + self.wpe.weight[: x.shape[1]]
    return torch.cat([self.decode(h[:, max(0, j - 63) : j + 1])[:, -1:] for j in range(x.shape[1])], dim=1)


@mistake(FORWARD, killed_by=SHORTER, says="Positions count from the end in your sum: pixel j carries the j-th row of wpe.")
def positions_from_the_end(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) + self.wpe.weight[-x.shape[1] :])


@mistake(
    FORWARD,
    killed_by="test_forward_keeps_the_dtype",
    says="The logits have the dtype of the model: a float64 model gives float64.",
)
def forward_in_single_precision(self: Any, x: Tensor) -> Tensor:
    return _forward(self, x).float()


@mistake(
    FORWARD,
    killed_by=REACHES,
    says="Colour 0 gets no gradient, as padding would. It is a colour like the others.",
)
def colour_zero_as_padding(self: Any, x: Tensor) -> Tensor:
    h = F.embedding(x, self.wte.weight, padding_idx=0)
    return self.decode(_start(self, h) + self.wpe.weight[: x.shape[1]])


@mistake(FORWARD, killed_by=LAW, says="The start vector has a position, too: it stands at the first one.")
def start_without_its_position(self: Any, x: Tensor) -> Tensor:
    values = self.wte(x[:, :-1]) + self.wpe.weight[1 : x.shape[1]]
    return self.decode(torch.cat([self.sos.expand(len(x), 1, -1), values], dim=1))


@mistake(FORWARD, killed_by=LAW, says="Positions are added twice: `h` carries them once, and `decode` adds none.")
def positions_twice(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) + 2 * self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by=LAW,
    says="You add positions before the shift, so that they move along: from the second position on, j carries the vector of j - 1.",
)
def positions_before_the_shift_and_the_start(self: Any, x: Tensor) -> Tensor:
    positions = self.wpe.weight[: x.shape[1]]
    h = self.wte(x) + positions
    first = (self.sos + positions[0]).expand(len(x), 1, -1)
    return self.decode(torch.cat([first, h[:, :-1]], dim=1))


@mistake(
    FORWARD, killed_by=MOVES, says="The last pixel stands at the first position, as `roll` puts it there. The start vector belongs there."
)
def last_pixel_first(self: Any, x: Tensor) -> Tensor:
    return self.decode(self.wte(x).roll(1, 1) + self.wpe.weight[: x.shape[1]])


@mistake(FORWARD, killed_by=MOVES, says="The start vector takes the place of the first pixel and nothing is shifted: position j sees x_j.")
def start_instead_of_the_first_pixel(self: Any, x: Tensor) -> Tensor:
    h = self.wte(x)
    return self.decode(torch.cat([self.sos.expand(len(x), 1, -1), h[:, 1:]], dim=1) + self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD,
    killed_by=PLACES,
    says="The gradient of a colour is divided by how often it occurs (`scale_grad_by_freq`). It is the sum over all places.",
)
def gradient_divided_by_the_frequency(self: Any, x: Tensor) -> Tensor:
    h = F.embedding(x[:, :-1], self.wte.weight, scale_grad_by_freq=True)
    h = torch.cat([self.sos.expand(len(x), 1, -1), h], dim=1)
    return self.decode(h + self.wpe.weight[: x.shape[1]])


@mistake(
    FORWARD, killed_by=PLACES, says="The start vector learns from the first image of the batch only. It stands in front of each of them."
)
def start_learns_from_the_first_image(self: Any, x: Tensor) -> Tensor:
    starts = torch.cat([self.sos[None], self.sos.detach().expand(len(x) - 1, -1)])
    h = torch.cat([starts[:, None], self.wte(x[:, :-1])], dim=1)
    return self.decode(h + self.wpe.weight[: x.shape[1]])


@variant(FORWARD)
def forward_by_a_roll_and_a_start(self: Any, x: Tensor) -> Tensor:
    h = torch.roll(self.wte(x), shifts=1, dims=1).clone()
    h[:, 0] = self.sos
    return self.decode(h + self.wpe(torch.arange(x.size(1), device=x.device)))


@variant(FORWARD)
def forward_as_mingpt(self: Any, x: Tensor) -> Tensor:
    b, t = x.size()
    pos = torch.arange(0, t, dtype=torch.long, device=x.device).unsqueeze(0)
    sos = torch.ones(b, 1, self.config.dim, device=x.device, dtype=self.sos.dtype) * self.sos
    return self.decode(torch.cat([sos, F.embedding(x[:, :-1], self.wte.weight)], dim=1) + self.wpe(pos))


@variant(FORWARD)
def forward_position_by_position(self: Any, x: Tensor) -> Tensor:
    inputs = [self.sos.repeat(len(x), 1), *(self.wte(x[:, j]) for j in range(x.shape[1] - 1))]
    return self.decode(torch.stack([h + self.wpe.weight[j] for j, h in enumerate(inputs)], dim=1))


@variant(FORWARD)
def forward_into_a_buffer(self: Any, x: Tensor) -> Tensor:
    h = torch.empty(*x.shape, self.config.dim, dtype=self.sos.dtype, device=x.device)
    h[:, 0] = self.sos
    h[:, 1:] = self.wte(x[:, :-1])
    return self.decode(h + self.wpe(torch.arange(x.shape[1], device=x.device)))


@variant(FORWARD)
def forward_with_an_extended_table(self: Any, x: Tensor) -> Tensor:
    table = torch.cat([self.wte.weight, self.sos[None]])  # the start vector as value K
    before = F.pad(x[:, :-1], (1, 0), value=self.config.K)
    return self.decode(table[before] + self.wpe.weight[: x.shape[1]])


@mistake(FORWARD, killed_by=REACHES, says=ONE_ROW)
def one_image_without_graph(self: Any, x: Tensor) -> Tensor:
    return without_graph_where(len(x) == 1, _forward(self, x))


# -- what they share: the parts that are right --


def _start(self: Any, h: Tensor) -> Tensor:
    return torch.cat([self.sos.expand(len(h), 1, -1), h[:, :-1]], dim=1)


def _forward(self: Any, x: Tensor) -> Tensor:
    return self.decode(_start(self, self.wte(x)) + self.wpe.weight[: x.shape[1]])
