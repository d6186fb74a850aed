"""Wrong and right answers to the Markov MLP."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dgm_ref.catalogue import mistake, variant

MLP = "autoregressive.MarkovMLP.forward"
LOGITS = "test_logits_come_from_the_mlp_of_the_window"


def _windows(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (d, 0), value=start).unfold(1, d, 1)[:, :-1]


def _logits(self: Any, windows: Tensor) -> Tensor:
    return self.mlp(self.embedding(windows).flatten(2))


@mistake(
    MLP,
    killed_by="test_the_start_token_is_a_token_of_its_own",
    says="Windows are padded with the value 0. The start token is K: the last row of the embedding.",
)
def token_zero_for_start(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, 0))


@mistake(MLP, killed_by=LOGITS, says="The start token is K, not K - 1: that one is a value, and a window could not tell them apart.")
def last_value_for_start(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K - 1))


@mistake(MLP, killed_by=LOGITS, says="The start is embedded as a vector of zeros. It has a learned embedding like every value.")
def zero_vector_for_start(self: Any, x: Tensor) -> Tensor:
    windows = _windows(x, self.d, self.K)
    return self.mlp((self.embedding(windows) * (windows < self.K)[..., None]).flatten(2))


@mistake(
    MLP,
    killed_by="test_logits_depend_on_exactly_the_d_values_before",
    says="The window contains x_j itself: the model is shown what it should predict.",
)
def sees_the_present(self: Any, x: Tensor) -> Tensor:
    return _logits(self, F.pad(x, (self.d - 1, 0), value=self.K).unfold(1, self.d, 1))


@mistake(
    MLP,
    killed_by="test_an_mlp_that_writes_its_window_down",
    says="The embeddings are concatenated newest first; the MLP expects the oldest first.",
)
def concatenates_newest_first(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K).flip(-1))


@mistake(
    MLP,
    killed_by=LOGITS,
    says="You interleave the embeddings instead of putting one after the other: mind the order of the axes that you flatten.",
)
def interleaves_the_embeddings(self: Any, x: Tensor) -> Tensor:
    embedded = self.embedding(_windows(x, self.d, self.K))  # (n, m, d, e)
    return self.mlp(embedded.transpose(2, 3).flatten(2))


@mistake(MLP, killed_by=LOGITS, says="These are probabilities. The raw output of the MLP is asked for: logits.")
def probabilities_instead_of_logits(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K)).softmax(dim=-1)


@mistake(MLP, killed_by=LOGITS, says="These are log-probabilities. The raw output of the MLP is asked for.")
def log_probabilities_instead_of_logits(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K)).log_softmax(dim=-1)


@mistake(MLP, killed_by=LOGITS, says="The ReLU between the layers is left out: two linear layers in a row are one linear layer.")
def leaves_out_the_relu(self: Any, x: Tensor) -> Tensor:
    return self.mlp[2](self.mlp[0](self.embedding(_windows(x, self.d, self.K)).flatten(2)))


@mistake(MLP, killed_by=LOGITS, says="The window always has two places here: its length is self.d.")
def always_two_values(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, 2, self.K))


@mistake(MLP, killed_by=LOGITS, says="Windows run on from one row into the next: the logits of a sequence depend on another sequence.")
def one_long_sequence(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x.reshape(1, -1), self.d, self.K)).view(*x.shape, self.K)


@mistake(
    MLP,
    killed_by="test_the_logits_have_the_dtype_of_the_weights",
    says="The result is always float32: it should have the dtype of the weights.",
)
def always_float32(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K)).float()


@mistake(MLP, killed_by="test_every_parameter_of_the_mlp_learns", says="The embedding is cut off the graph and would stay random for ever.")
def detached_embedding(self: Any, x: Tensor) -> Tensor:
    return self.mlp(self.embedding(_windows(x, self.d, self.K)).detach().flatten(2))


@mistake(
    MLP,
    killed_by="test_each_embedding_learns_from_the_places_where_it_stands",
    says="No gradient reaches the start token: it has a learned embedding like every value.",
)
def start_token_learns_nothing(self: Any, x: Tensor) -> Tensor:
    windows = _windows(x, self.d, self.K)
    embedded = self.embedding(windows)
    return self.mlp(torch.where((windows == self.K)[..., None], embedded.detach(), embedded).flatten(2))


@mistake(MLP, killed_by=LOGITS, says="You subtract the mean of the logits. The raw output of the MLP is asked for.")
def centred_logits(self: Any, x: Tensor) -> Tensor:
    logits = _logits(self, _windows(x, self.d, self.K))
    return logits - logits.mean(dim=-1, keepdim=True)


@mistake(
    MLP,
    killed_by="test_a_window_longer_than_the_sequence_or_of_one_value",
    says="Where the window is longer than the sequence you add start tokens behind it. They belong in front.",
    when=lambda self, x: self.d > x.shape[1],
)
def start_tokens_behind_a_short_sequence(self: Any, x: Tensor) -> Tensor:
    shorter = min(self.d, x.shape[1])
    return _logits(self, F.pad(_windows(x, shorter, self.K), (0, self.d - shorter), value=self.K))


_logits_of: dict[int, tuple[Tensor, Tensor]] = {}


@mistake(
    MLP,
    killed_by="test_the_mlp_asks_anew_and_wherever_x_lies",
    says="You remember the logits of a tensor that you have seen. Its values may be others now, and so may the weights.",
)
def remembers_earlier_logits(self: Any, x: Tensor) -> Tensor:
    if id(x) not in _logits_of or _logits_of[id(x)][0] is not x:
        _logits_of[id(x)] = (x, _logits(self, _windows(x, self.d, self.K)))
    return _logits_of[id(x)][1]


@mistake(
    MLP,
    killed_by="test_the_mlp_asks_anew_and_wherever_x_lies",
    says="`view` needs a tensor that is contiguous in memory, which x need not be: `reshape` and `flatten` do not.",
)
def views_x_as_one_row(self: Any, x: Tensor) -> Tensor:
    n, m = x.shape
    windows = _windows(x.view(-1).view(n, m), self.d, self.K)
    return _logits(self, windows)


@mistake(
    MLP,
    killed_by=LOGITS,
    says="Start tokens stand behind the values that there are. The oldest places of a window are empty: pad on the left.",
)
def start_tokens_on_the_right(self: Any, x: Tensor) -> Tensor:
    windows = torch.full((*x.shape, self.d), self.K)
    for j in range(x.shape[1]):
        before = x[:, max(0, j - self.d) : j]
        windows[:, j, : before.shape[1]] = before
    return _logits(self, windows)


@mistake(MLP, killed_by=LOGITS, says="The window is one step late: it ends two before x_j and misses the newest value.")
def window_one_step_late(self: Any, x: Tensor) -> Tensor:
    return _logits(self, F.pad(x, (self.d + 1, 0), value=self.K).unfold(1, self.d, 1)[:, :-2])


@mistake(
    MLP,
    killed_by="test_an_mlp_that_writes_its_window_down",
    says="Your window holds the values after x_j. It is made of the d values before it.",
)
def looks_ahead(self: Any, x: Tensor) -> Tensor:
    return _logits(self, F.pad(x, (0, self.d), value=self.K).unfold(1, self.d, 1)[:, 1:])


@mistake(
    MLP,
    killed_by="test_an_mlp_that_writes_its_window_down",
    says="The windows of the first variables wrap around to the end of the sequence: the future leaks in.",
)
def windows_wrap_around(self: Any, x: Tensor) -> Tensor:
    return _logits(self, torch.stack([x.roll(lag, 1) for lag in range(self.d, 0, -1)], dim=-1))


@variant(MLP)
def one_variable_after_another(self: Any, x: Tensor) -> Tensor:
    tokens = torch.cat([torch.full((len(x), self.d), self.K), x], dim=1)
    return torch.stack([self.mlp(self.embedding(tokens[:, j : j + self.d]).reshape(len(x), -1)) for j in range(x.shape[1])], dim=1)


@variant(MLP)
def embeds_before_it_cuts_windows(self: Any, x: Tensor) -> Tensor:
    embedded = self.embedding(F.pad(x, (self.d, 0), value=self.K))  # (n, d + m, e)
    places = [embedded[:, i : i + x.shape[1]] for i in range(self.d)]
    hidden = F.linear(torch.cat(places, dim=-1), self.mlp[0].weight, self.mlp[0].bias).clamp(min=0)
    return self.mlp[2](hidden)


@variant(MLP)
def windows_stacked_and_viewed(self: Any, x: Tensor) -> Tensor:
    n, m = x.shape
    padded = torch.cat([x.new_full((n, self.d), self.K), x], dim=1)
    windows = torch.stack([padded[:, j : j + self.d] for j in range(m)], dim=1)
    return self.mlp(self.embedding(windows).view(n, m, -1))
