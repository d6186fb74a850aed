r"""What the noise of a sampler must be: standard normal, independent in every entry, drawn from the generator alone.

A sampler here returns mean + deviation * noise with a mean and a deviation that are known, so its *residuals* are the
noise, whatever way it was drawn. `assert_standard_normal` looks at ROWS x COLUMNS of them with a hundred statistics. Declared:

- right noise fails with probability at most 5e-10: each statistic is held to Z = 7 standard deviations (2.6e-12 each, less
  than doubled by the skewness of a mean square), the distribution function by Massart's inequality, the largest value by
  $(1 - 4.7 \cdot 10^{-4})^{160000} < 10^{-32}$;
- a mean off by 0.03 deviations or a deviation off by a factor 1.03 in all entries passes with probability at most 1e-6 (12
  and 17 standard deviations of the statistic); so does a distribution function that is off by 0.02 (uniform or Laplace
  noise is off by 0.06), noise clamped at 3.5 deviations, a correlation of 0.03 between neighbouring rows, rows half a
  batch apart or neighbouring columns, one of 0.1 between any two columns, of one row or of neighbouring ones, and a batch in
  which a hundredth of the rows are copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from grader.checking.compare import Mismatch, assert_calls_agree, assert_form
from grader.checking.statistics import assert_streams_differ
from grader.checking.student import Student
from grader.sandbox.wire.objects import SeededGenerator

ROWS, COLUMNS = 20_000, 8
CELLS = 256  # of equal probability, at whose ends the distribution function is compared
Z = 7.0
FAR = 3.5  # that no value lies beyond it has a probability below 1e-32
MASSART = math.sqrt(math.log(2e12) / (2 * ROWS * COLUMNS))  # the distribution function is off by more once in 1e12 times
SAME = 1e-5  # residuals that agree so well in all columns are copies
SAME_SAMPLES = 1e-3  # 64 samples of variance near one that agree so well have a probability below 1e-150
EXACTLY_ZERO = 1e-6  # eight columns with a mean so near to 0 have a probability of 1e-44
FEW = (1 / 2, 2.0)  # of the mean square of 600 numbers: outside with a probability below 1e-24
NOTHING = 1e-10  # a noise of variance one so near to 0 has a probability of 1e-10, where it is drawn in float64


def assert_standard_normal(residuals: Tensor) -> None:
    """Raise `Mismatch` unless the residuals, (ROWS, COLUMNS), are i.i.d. N(0, 1) at the declared rates."""
    r = residuals.double()
    if not r.isfinite().all():
        raise Mismatch("finite", "some samples are not finite", residuals)
    _assert_rows_differ(r)
    square = r.square().mean().item()
    off = abs(square - 1) > Z * math.sqrt(2 / r.numel())
    size = max(1.0, math.sqrt(square)) if off else 1.0  # where noise is too large its mean is, too: tell the size, not the mean
    says = "the mean of the noise{} should be 0, and is {{:.3f}} of its standard deviation"
    _within(says.format(""), r.mean(), r.numel(), size)
    for column, mean in enumerate(r.mean(dim=0)):
        _within(says.format(f" in dimension {column}"), mean, len(r), size)
    if off:
        raise Mismatch("law", f"the noise has {math.sqrt(square):.3f} times the standard deviation that it should have")
    pairs = {
        "neighbouring rows share noise": (r[1:], r[:-1]),
        "rows half a batch apart share noise": (r[: len(r) // 2], r[len(r) // 2 :]),
        "neighbouring dimensions share noise": (r[:, 1:], r[:, :-1]),
    }
    for sentence, (one, other) in pairs.items():
        _within(f"{sentence}: their correlation is {{:.3f}}", (one * other).mean(), one.numel())
    products = r.T @ r / len(r)
    for one, other in torch.combinations(torch.arange(r.shape[1])).tolist():
        _within(f"dimensions {one} and {other} share noise: their correlation is {{:.3f}}", products[one, other], len(r))
    products = (r[1:].T @ r[:-1] / (len(r) - 1)).fill_diagonal_(0.0)
    first, second = divmod(int(products.abs().argmax()), r.shape[1])
    sentence = f"dimension {first} of a row shares noise with dimension {second} of the row before: their correlation is {{:.3f}}"
    _within(sentence, products[first, second], len(r) - 1)
    if (r.mean(dim=0).abs() < EXACTLY_ZERO).all():
        raise Mismatch("law", "the noise of a batch adds up to exactly zero: its rows are not independent")
    cells = torch.bincount((torch.special.ndtr(r) * CELLS).long().flatten(), minlength=CELLS + 1)[:CELLS]
    distribution = cells.cumsum(dim=0) / r.numel()
    if (distribution - torch.arange(1, CELLS + 1) / CELLS).abs().max() > MASSART or r.abs().max() < FAR:
        raise Mismatch("law", "the noise has the mean and the variance of a normal distribution, but not its shape")


def assert_drawn_from_the_generator(student: Student, draw: Callable[[SeededGenerator], Tensor], seed: int) -> None:
    """One state gives one result, the next call and another seed another one; a small batch is not made to fit the law.

    `draw(generator)` gives an even number of rows of eight dimensions, noise with mean zero.
    """
    generator = student.generator(seed)
    first = draw(generator)
    assert_form(first, first.shape if isinstance(first, Tensor) else (8, 8))
    again = draw(student.generator(seed))
    try:
        assert_calls_agree(again, first, call="a second run from the same state", other_call="the first run")
    except Mismatch as mismatch:  # chance of another source is like no registered mistake's
        mismatch.says = "Not all of your draws come from the generator: from the same state they are others."
        raise
    earlier = [first]
    for call, g in (("the next call with the generator", generator), ("another seed", student.generator(seed + 1))):
        other = draw(g)
        assert_form(other, first.shape)
        if any((other.double() - one.double()).abs().max() < SAME_SAMPLES for one in earlier):
            raise Mismatch("law", f"{call} gives the same samples: their noise should come from the generator, anew in every call")
        earlier.append(other)
    assert_streams_differ(lambda like: draw(student.generator(like)))
    if (first.double().mean(dim=0).abs() < EXACTLY_ZERO).all():
        raise Mismatch("law", "the noise of a batch adds up to exactly zero: its rows are not independent", first)


def assert_drawn_alone(draw: Callable[[SeededGenerator], Tensor], generator: SeededGenerator) -> None:
    """Raise `Mismatch` if a batch of one row of one dimension is its mean, or the same in every call with the generator.

    `draw(generator)` gives such a row, of mean zero and variance one or so, in float64.
    """
    rows = [draw(generator) for _ in range(3)]  # two may be equal where the noise is float32, once in 10^7 times
    for got in rows:
        assert_form(got, (1, 1))
    if abs(rows[0].item()) < NOTHING:
        raise Mismatch("law", "a batch of a single row comes without noise: this is its mean", rows[0])
    if rows[0].item() == rows[1].item() == rows[2].item():
        raise Mismatch("law", "three calls with one generator give the same single row: the generator does not move on", rows[0])


def assert_size_of_noise(got: Tensor, deviation: float) -> None:
    """Raise `Mismatch` unless a batch of 200 rows of three dimensions, of mean zero, is noise of about this deviation.

    No two of the three dimensions have one noise, as an odd number has them where noise is drawn in pairs.
    """
    assert_form(got, (200, 3))
    r = got.double() / deviation
    square = r.square().mean().item()
    if not FEW[0] < square < FEW[1]:
        raise Mismatch("law", f"the noise has {math.sqrt(square):.3g} times the standard deviation that it should have")
    for one, other in torch.combinations(torch.arange(3)).tolist():
        if (r[:, one] - r[:, other]).abs().max() < SAME or (r[:, one] + r[:, other]).abs().max() < SAME:
            raise Mismatch("law", f"dimensions {one} and {other} of three have the same noise, up to its sign")


def _within(sentence: str, mean: Tensor, terms: int, size: float = 1.0) -> None:
    """The mean of so many terms of this size, which should be zero."""
    if not abs(mean.item()) <= Z * size / math.sqrt(terms):
        raise Mismatch("law", sentence.format(mean.item()))


def _assert_rows_differ(r: Tensor) -> None:
    r = r[r[:, 0].argsort()]
    copies = ((r[1:] - r[:-1]).abs() < SAME).all(dim=1)
    if copies.any():
        raise Mismatch("law", f"{int(copies.sum())} of {len(r)} samples repeat the noise of another one")
