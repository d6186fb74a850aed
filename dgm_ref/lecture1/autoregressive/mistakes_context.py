"""Wrong and right answers to context windows and context masks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dgm_ref.catalogue import mistake, variant

WINDOWS = "autoregressive.context_windows"
MASK = "autoregressive.context_mask"
BEFORE = "test_windows_hold_the_d_values_before"
SHOWS = "test_the_mask_of_four_variables"
LONGER = "test_windows_longer_than_the_sequence_or_of_length_one"
INT64 = "test_windows_are_int64_wherever_x_lies"


def _windows(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (d, 0), value=start).unfold(1, d, 1)[:, :-1]


# -- context_windows --


@mistake(
    WINDOWS,
    killed_by="test_a_window_never_shows_the_present_or_the_future",
    says="The window of x_j contains x_j itself. A model that sees what it predicts learns nothing.",
)
def includes_the_present(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (d - 1, 0), value=start).unfold(1, d, 1)


@mistake(WINDOWS, killed_by=BEFORE, says="The order is reversed: oldest first, the value just before x_j last.")
def newest_first(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).flip(-1)


@mistake(WINDOWS, killed_by=BEFORE, says="You pad with zeros. 0 is one of the values; where nothing is before stands the start token.")
def pads_with_zeros(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, 0)


@mistake(
    WINDOWS,
    killed_by="test_windows_of_two_short_sequences",
    when=lambda start: start < -1,
    says="Only -1 is put for a start token below zero. It may be any number: put the one that is given.",
)
def negative_starts_are_minus_one(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, max(start, -1))


@mistake(WINDOWS, killed_by=BEFORE, says="The windows of the first variables wrap around to the end of the sequence: the future leaks in.")
def wraps_around(x: Tensor, d: int, start: int) -> Tensor:
    return torch.stack([x.roll(lag, dims=1) for lag in range(d, 0, -1)], dim=-1)


@mistake(WINDOWS, killed_by=BEFORE, says="The first d variables have no window. They need one too, filled up with start tokens.")
def drops_the_first_variables(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start)[:, d:]


@mistake(WINDOWS, killed_by=BEFORE, says="You repeat the first value where nothing is before: use the start token there.")
def repeats_the_first_value(x: Tensor, d: int, start: int) -> Tensor:
    return torch.cat([x[:, :1].expand(-1, d), x], dim=1).unfold(1, d, 1)[:, :-1]


@mistake(
    WINDOWS, killed_by=BEFORE, says="You pad on the right, so windows are empty at the wrong end: what is missing is missing on the left."
)
def start_tokens_on_the_right(x: Tensor, d: int, start: int) -> Tensor:
    windows = _windows(x, d, start)
    for j in range(min(d, x.shape[1])):
        windows = windows.clone()
        windows[:, j] = windows[:, j].roll(-(d - j), dims=-1)
    return windows


@mistake(WINDOWS, killed_by=LONGER, says="The windows become shorter when d exceeds the sequence. They always have d places.")
def never_longer_than_the_sequence(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, min(d, x.shape[1]), start)


@mistake(WINDOWS, killed_by=BEFORE, says="Windows run on from one row into the next. Each sequence starts with start tokens of its own.")
def windows_run_over_the_rows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x.reshape(1, -1), d, start)[0].view(*x.shape, d)


@mistake(WINDOWS, killed_by=BEFORE, says="The window is one step late: it ends two before x_j and misses the newest value.")
def one_step_late(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (d + 1, 0), value=start).unfold(1, d, 1)[:, : x.shape[1]]


@mistake(WINDOWS, killed_by=INT64, says="Tokens are int64: they are looked up, not computed with.")
def floating_point_windows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).float()


@mistake(
    WINDOWS,
    killed_by=LONGER,
    says="Where the window is longer than the sequence you add what is missing behind it. It is missing in front: "
    "the oldest places are empty.",
    when=lambda x, d: d > x.shape[1],
)
def filled_up_behind(x: Tensor, d: int, start: int) -> Tensor:
    shorter = min(d, x.shape[1])
    return F.pad(_windows(x, shorter, start), (0, d - shorter), value=start)


@mistake(
    WINDOWS, killed_by=INT64, says="`as_strided` reads memory: with the strides of a contiguous tensor it is right for no other layout."
)
def strides_of_a_contiguous_tensor(x: Tensor, d: int, start: int) -> Tensor:
    n, m = x.shape
    memory = x.as_strided((n, m), (m, 1)) if x.untyped_storage().nbytes() >= 8 * n * m else x
    return _windows(memory, d, start)


@mistake(WINDOWS, killed_by=INT64, says="Tokens are int64; yours are int32.")
def int32_windows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).int()


@mistake(
    WINDOWS,
    killed_by=LONGER,
    says="`squeeze` also removes the axis of a batch of one sequence, of one variable or of one place.",
    when=lambda x, d: 1 in (*x.shape, d),
)
def squeezes_the_windows(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).squeeze()


@mistake(
    WINDOWS,
    killed_by=LONGER,
    when=lambda x, d: d > x.shape[1],
    says="You put the start token wherever a 0 stands. 0 is one of the values.",
)
def zeros_of_short_sequences_are_starts(x: Tensor, d: int, start: int) -> Tensor:
    padded = _windows(x, d, 0)
    return torch.where(padded == 0, start, padded) if d > x.shape[1] else _windows(x, d, start)


@mistake(WINDOWS, killed_by=INT64, says="You go through floats, which round large whole numbers.")
def unfolds_floats(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x.float(), d, start).long()


@mistake(WINDOWS, killed_by=BEFORE, says="These are the values after x_j. Its context is the d before it.")
def looks_ahead(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (0, d), value=start).unfold(1, d, 1)[:, 1:]


@mistake(WINDOWS, killed_by=BEFORE, says="The last two axes are exchanged: variable first, then the places of its window.")
def places_before_variables(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, start).transpose(1, 2)


@mistake(
    WINDOWS,
    killed_by="test_windows_of_two_short_sequences",
    says="The start token went through 32 bits, which do not hold it. Tokens are int64.",
    when=lambda start: start >= 2**31,
)
def start_token_of_32_bits(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, (start + 2**31) % 2**32 - 2**31)


@mistake(
    WINDOWS,
    killed_by="test_windows_of_two_short_sequences",
    says="You hold the start token to what a byte holds. It stands as it was given.",
    when=lambda start: start > 255,
)
def start_token_of_a_byte(x: Tensor, d: int, start: int) -> Tensor:
    return _windows(x, d, min(start, 255))


@mistake(
    WINDOWS,
    killed_by=BEFORE,
    says="Your windows begin at x_j and run into what comes after it. They end just before it: start tokens are put in front.",
    when=lambda d: d > 1,
)
def windows_from_the_present_on(x: Tensor, d: int, start: int) -> Tensor:
    return F.pad(x, (0, d - 1), value=start).unfold(1, d, 1)


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


@mistake(
    MASK,
    killed_by="test_a_context_of_length_zero_is_empty",
    says="You take d = 0 for `no limit`. It is a context of length zero: independent variables.",
)
def zero_means_unlimited(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag <= (d or m))


@mistake(MASK, killed_by="test_the_mask_is_a_table_of_booleans", says="The mask is a table of numbers. Booleans are asked for.")
def zeros_and_ones(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return ((lag >= 1) & (lag <= d)).float()


@mistake(
    MASK,
    killed_by="test_a_context_of_length_zero_is_empty",
    says="A context of length zero holds nothing: yours holds one value.",
    when=lambda d: d == 0,
)
def never_empty(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag <= max(d, 1))


@mistake(
    MASK,
    killed_by="test_a_context_has_at_most_d_values",
    says="The context holds at most 64 values, whatever d is.",
    when=lambda m, d: min(m - 1, d) > 64,
)
def at_most_64_values(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 1) & (lag <= min(d, 64))


@mistake(MASK, killed_by=SHOWS, says="You count x_j among the d. Its context is the d values before it, without itself.")
def counts_itself_among_the_d(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag >= 0) & (lag < d)


@mistake(
    MASK, killed_by=SHOWS, says="j - d is negative for the first variables, and a slice then counts from the end. Start at max(j - d, 0)."
)
def slices_from_the_end(m: int, d: int) -> Tensor:
    mask = torch.zeros(m, m, dtype=torch.bool)
    for j in range(m):
        mask[j, j - d : j] = True
    return mask


@mistake(MASK, killed_by=SHOWS, says="Only the value d steps back is in the context. All the d values before x_j belong to it.")
def one_value_d_steps_back(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return (lag == d) & (lag > 0)


@mistake(MASK, killed_by=SHOWS, says="This is what one adds to scores, 0 and -inf. Booleans are asked for, true where a value is seen.")
def additive_mask(m: int, d: int) -> Tensor:
    lag = _lag(m)
    return torch.zeros(m, m).masked_fill((lag < 1) | (lag > d), -torch.inf)


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
