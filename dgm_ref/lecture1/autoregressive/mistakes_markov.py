"""Wrong and right answers to context windows, context masks and the Markov MLP."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dgm_ref.catalogue import mistake, variant

WINDOWS = "autoregressive.context_windows"
MASK = "autoregressive.context_mask"
MLP = "autoregressive.MarkovMLP.forward"
BEFORE = "test_windows_hold_the_d_values_before"
SHOWS = "test_the_mask_of_four_variables"
LONGER = "test_windows_longer_than_the_sequence_or_of_length_one"
INT64 = "test_windows_are_int64_wherever_x_lies"
LOGITS = "test_logits_come_from_the_mlp_of_the_window"


def _windows(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (d, 0), value=start).unfold(1, d, 1)[:, :-1]


# -- context_windows --


@mistake(WINDOWS, killed_by="test_a_window_never_shows_the_present_or_the_future",
         says="The window of x_j contains x_j itself. A model that sees what it predicts learns nothing.")
def includes_the_present(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (d - 1, 0), value=start).unfold(1, d, 1)


@mistake(WINDOWS, killed_by=BEFORE, says="The order is reversed: oldest first, the value just before x_j last.")
def newest_first(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).flip(-1)


@mistake(WINDOWS, killed_by=BEFORE,
         says="You pad with zeros. 0 is one of the values; where nothing is before stands the start token.")
def pads_with_zeros(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, 0)


@mistake(WINDOWS, killed_by=BEFORE,
         says="The windows of the first variables wrap around to the end of the sequence: the future leaks in.")
def wraps_around(x: Tensor, d: int, start: int) -> Tensor:
    return torch.stack([x.roll(lag, dims=1) for lag in range(d, 0, -1)], dim=-1)


@mistake(WINDOWS, killed_by=BEFORE,
         says="The first d variables have no window. They need one too, filled up with start tokens.")
def drops_the_first_variables(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start)[:, d:]


@mistake(WINDOWS, killed_by=BEFORE,
         says="You repeat the first value where nothing is before: use the start token there.")
def repeats_the_first_value(x: Tensor, d: int, start: int) -> Tensor:
    return torch.cat([x[:, :1].expand(-1, d), x], dim=1).unfold(1, d, 1)[:, :-1]


@mistake(WINDOWS, killed_by=BEFORE,
         says="You pad on the right, so windows are empty at the wrong end: what is missing is missing on the left.")
def start_tokens_on_the_right(x: Tensor, d: int, start: int) -> Tensor:
    windows = _windows(x, d, start)
    for j in range(min(d, x.shape[1])):
        windows = windows.clone()
        windows[:, j] = windows[:, j].roll(-(d - j), dims=-1)
    return windows


@mistake(WINDOWS, killed_by=LONGER,
         says="The windows become shorter when d exceeds the sequence. They always have d places.")
def never_longer_than_the_sequence(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, min(d, x.shape[1]), start)


@mistake(WINDOWS, killed_by=BEFORE,
         says="Windows run on from one row into the next. Each sequence starts with start tokens of its own.")
def windows_run_over_the_rows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x.reshape(1, -1), d, start)[0].view(*x.shape, d)


@mistake(WINDOWS, killed_by=BEFORE,
         says="The window is one step late: it ends two before x_j and misses the newest value.")
def one_step_late(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (d + 1, 0), value=start).unfold(1, d, 1)[:, : x.shape[1]]


@mistake(WINDOWS, killed_by=INT64, says="Tokens are int64: they are looked up, not computed with.")
def floating_point_windows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).float()


@mistake(WINDOWS, killed_by=LONGER,
         says="Where the window is longer than the sequence you add what is missing behind it. It is missing in front: "
              "the oldest places are empty.",
         when=lambda x, d: d > x.shape[1])
def filled_up_behind(x: Tensor, d: int, start: int) -> Tensor:
    shorter = min(d, x.shape[1])
    return F.pad(_windows(x, shorter, start), (0, d - shorter), value=start)


@mistake(WINDOWS, killed_by=INT64,
         says="`as_strided` reads memory: with the strides of a contiguous tensor it is right for no other layout.")
def strides_of_a_contiguous_tensor(x: Tensor, d: int, start: int) -> Tensor:
    n, m = x.shape
    memory = x.as_strided((n, m), (m, 1)) if x.untyped_storage().nbytes() >= 8 * n * m else x
    return _windows(memory, d, start)


@mistake(WINDOWS, killed_by=INT64, says="Tokens are int64; yours are int32.")
def int32_windows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).int()


@mistake(WINDOWS, killed_by=LONGER, says="`squeeze` also removes the axis of a batch of one sequence, of one variable or of one place.",
         when=lambda x, d: 1 in (*x.shape, d))
def squeezes_the_windows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).squeeze()


@variant(WINDOWS)
def windows_by_loops(x: Tensor, d: int, start: int) -> Tensor:
    rows = [[[row[i] if i >= 0 else start for i in range(j - d, j)] for j in range(len(row))] for row in x.tolist()]
    return torch.tensor(rows)


@variant(WINDOWS)
def windows_of_shifted_copies(x: Tensor, d: int, start: int) -> Tensor:
    n, m = x.shape
    padded = torch.cat([torch.full((n, d), start), x], dim=1)
    return torch.stack([padded[:, i : i + m] for i in range(d)], dim=2)


@variant(WINDOWS)
def windows_unfolded(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start)


@variant(WINDOWS)
def windows_as_strided(x: Tensor, d: int, start: int) -> Tensor:
    n, m = x.shape
    padded = torch.cat([x.new_full((n, d), start), x], dim=1)
    return padded.as_strided((n, m, d), (padded.stride(0), 1, 1))


@variant(WINDOWS)
def windows_by_place_and_where(x: Tensor, d: int, start: int) -> Tensor:
    place = torch.arange(x.shape[1])[:, None] - torch.arange(d, 0, -1)
    return torch.where(place >= 0, x[:, place.clamp(min=0)], torch.tensor(start))


@variant(WINDOWS)
def windows_filled_in(x: Tensor, d: int, start: int) -> Tensor:
    n, m = x.shape
    windows = torch.full((n, m, d), start)
    for j in range(1, m):
        k = min(j, d)
        windows[:, j, d - k :] = x[:, j - k : j]
    return windows


# -- context_mask --


def _lag(m: int) -> Tensor:
    return torch.arange(m)[:, None] - torch.arange(m)  # how long x_i is before x_j


@mistake(MASK, killed_by=SHOWS, says="The diagonal is true: x_j is in its own context, and predicted from itself.")
def sees_itself(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 0) & (lag <= d)


@mistake(MASK, killed_by=SHOWS, says="Row and column are exchanged: row j is the variable that looks.")
def transposed(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return ((lag >= 1) & (lag <= d)).T


@mistake(MASK, killed_by=SHOWS, says="One value too many is in the context: d of them, not d + 1.")
def one_too_many(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag <= d + 1)


@mistake(MASK, killed_by=SHOWS, says="One value too few is in the context: x_{j-d} belongs to it.")
def one_too_few(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag < d)


@mistake(MASK, killed_by=SHOWS, says="The whole past is in the context. A window of length d forgets what is older.")
def whole_past(m: int, d: int) -> Tensor:
    return _lag(m) >= 1


@mistake(MASK, killed_by=SHOWS, says="The mask is inverted: true means that x_i may be seen.")
def inverted(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return ~((lag >= 1) & (lag <= d))


@mistake(MASK, killed_by=SHOWS, says="The context also holds the d values after x_j: the future.")
def looks_both_ways(m: int, d: int) -> Tensor:
    lag = _lag(m).abs()
    return (lag >= 1) & (lag <= d)


@mistake(MASK, killed_by="test_a_context_of_length_zero_is_empty",
         says="You take d = 0 for `no limit`. It is a context of length zero: independent variables.")
def zero_means_unlimited(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag <= (d or m))


@mistake(MASK, killed_by="test_the_mask_is_a_table_of_booleans", says="The mask is a table of numbers. Booleans are asked for.")
def zeros_and_ones(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return ((lag >= 1) & (lag <= d)).float()


@mistake(MASK, killed_by="test_a_context_of_length_zero_is_empty",
         says="A context of length zero holds nothing: yours holds one value.",
         when=lambda d: d == 0)
def never_empty(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag <= max(d, 1))


@mistake(MASK, killed_by="test_a_context_has_at_most_d_values",
         says="The context holds at most 64 values, whatever d is.",
         when=lambda m, d: min(m - 1, d) > 64)
def at_most_64_values(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag <= min(d, 64))


@variant(MASK)
def mask_between_two_triangles(m: int, d: int) -> Tensor:
    return torch.ones(m, m, dtype=torch.bool).tril(-1).triu(-d)


@variant(MASK)
def mask_by_loops(m: int, d: int) -> Tensor:
    return torch.tensor([[j - d <= i < j for i in range(m)] for j in range(m)])


@variant(MASK)
def mask_row_by_row(m: int, d: int) -> Tensor:
    mask = torch.zeros(m, m, dtype=torch.bool)
    for j in range(m):
        mask[j, max(0, j - d) : j] = True
    return mask


# -- MarkovMLP.forward --


def _logits(self: Any, windows: Tensor) -> Tensor:
    return self.mlp(self.embedding(windows).flatten(2))


@mistake(MLP, killed_by="test_the_start_token_is_a_token_of_its_own",
         says="Windows are padded with the value 0. The start token is K: the last row of the embedding.")
def token_zero_for_start(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, 0))


@mistake(MLP, killed_by=LOGITS,
         says="The start token is K, not K - 1: that one is a value, and a window could not tell them apart.")
def last_value_for_start(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K - 1))


@mistake(MLP, killed_by=LOGITS,
         says="The start is embedded as a vector of zeros. It has a learned embedding like every value.")
def zero_vector_for_start(self: Any, x: Tensor) -> Tensor:
    windows = _windows(x, self.d, self.K)
    return self.mlp((self.embedding(windows) * (windows < self.K)[..., None]).flatten(2))


@mistake(MLP, killed_by="test_logits_depend_on_exactly_the_d_values_before",
         says="The window contains x_j itself: the model is shown what it should predict.")
def sees_the_present(self: Any, x: Tensor) -> Tensor:
    return _logits(self, F.pad(x, (self.d - 1, 0), value=self.K).unfold(1, self.d, 1))


@mistake(MLP, killed_by="test_an_mlp_that_writes_its_window_down",
         says="The embeddings are concatenated newest first; the MLP expects the oldest first.")
def concatenates_newest_first(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K).flip(-1))


@mistake(MLP, killed_by=LOGITS,
         says="You interleave the embeddings instead of putting one after the other: mind the order of the axes "
              "that you flatten.")
def interleaves_the_embeddings(self: Any, x: Tensor) -> Tensor:
    embedded = self.embedding(_windows(x, self.d, self.K))  # (n, m, d, e)
    return self.mlp(embedded.transpose(2, 3).flatten(2))


@mistake(MLP, killed_by=LOGITS, says="These are probabilities. The raw output of the MLP is asked for: logits.")
def probabilities_instead_of_logits(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K)).softmax(dim=-1)


@mistake(MLP, killed_by=LOGITS, says="These are log-probabilities. The raw output of the MLP is asked for.")
def log_probabilities_instead_of_logits(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K)).log_softmax(dim=-1)


@mistake(MLP, killed_by=LOGITS,
         says="The ReLU between the layers is left out: two linear layers in a row are one linear layer.")
def leaves_out_the_relu(self: Any, x: Tensor) -> Tensor:
    return self.mlp[2](self.mlp[0](self.embedding(_windows(x, self.d, self.K)).flatten(2)))


@mistake(MLP, killed_by=LOGITS, says="The window always has two places here: its length is self.d.")
def always_two_values(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, 2, self.K))


@mistake(MLP, killed_by=LOGITS,
         says="Windows run on from one row into the next: the logits of a sequence depend on another sequence.")
def one_long_sequence(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x.reshape(1, -1), self.d, self.K)).view(*x.shape, self.K)


@mistake(MLP, killed_by="test_the_logits_have_the_dtype_of_the_weights",
         says="The result is always float32: it should have the dtype of the weights.")
def always_float32(self: Any, x: Tensor) -> Tensor:
    return _logits(self, _windows(x, self.d, self.K)).float()


@mistake(MLP, killed_by="test_every_parameter_of_the_mlp_learns",
         says="The embedding is cut off the graph and would stay random for ever.")
def detached_embedding(self: Any, x: Tensor) -> Tensor:
    return self.mlp(self.embedding(_windows(x, self.d, self.K)).detach().flatten(2))


@mistake(MLP, killed_by="test_each_embedding_learns_from_the_places_where_it_stands",
         says="No gradient reaches the start token: it has a learned embedding like every value.")
def start_token_learns_nothing(self: Any, x: Tensor) -> Tensor:
    windows = _windows(x, self.d, self.K)
    embedded = self.embedding(windows)
    return self.mlp(torch.where((windows == self.K)[..., None], embedded.detach(), embedded).flatten(2))


@mistake(MLP, killed_by=LOGITS, says="You subtract the mean of the logits. The raw output of the MLP is asked for.")
def centred_logits(self: Any, x: Tensor) -> Tensor:
    logits = _logits(self, _windows(x, self.d, self.K))
    return logits - logits.mean(dim=-1, keepdim=True)


@mistake(MLP, killed_by="test_a_window_longer_than_the_sequence_or_of_one_value",
         says="Where the window is longer than the sequence you add start tokens behind it. They belong in front.",
         when=lambda self, x: self.d > x.shape[1])
def start_tokens_behind_a_short_sequence(self: Any, x: Tensor) -> Tensor:
    shorter = min(self.d, x.shape[1])
    return _logits(self, F.pad(_windows(x, shorter, self.K), (0, self.d - shorter), value=self.K))


_logits_of: dict[int, tuple[Tensor, Tensor]] = {}


@mistake(MLP, killed_by="test_the_mlp_asks_anew_and_wherever_x_lies",
         says="You remember the logits of a tensor that you have seen. Its values may be others now, and so may the weights.")
def remembers_earlier_logits(self: Any, x: Tensor) -> Tensor:
    if id(x) not in _logits_of or _logits_of[id(x)][0] is not x:
        _logits_of[id(x)] = (x, _logits(self, _windows(x, self.d, self.K)))
    return _logits_of[id(x)][1]


@mistake(MLP, killed_by="test_the_mlp_asks_anew_and_wherever_x_lies",
         says="`view` needs a tensor that is contiguous in memory, which x need not be: `reshape` and `flatten` do not.")
def views_x_as_one_row(self: Any, x: Tensor) -> Tensor:
    n, m = x.shape
    windows = _windows(x.view(-1).view(n, m), self.d, self.K)
    return _logits(self, windows)


@variant(MLP)
def one_variable_after_another(self: Any, x: Tensor) -> Tensor:
    tokens = torch.cat([torch.full((len(x), self.d), self.K), x], dim=1)
    return torch.stack(
        [self.mlp(self.embedding(tokens[:, j : j + self.d]).reshape(len(x), -1)) for j in range(x.shape[1])], dim=1
    )


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
