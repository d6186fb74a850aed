"""Pairs of a density and a sampler for `histogram.accepts`: honest ones, and ones that are broken in a known way.

A pair is (words, log-probabilities of 0..K-1 in float64, draw), with `draw(n, generator)` giving n values. The number of a
pair chooses its kind and seeds its pmf; every sampler works by the inverse of the distribution function.

The unlucky pairs are honest and look suspicious: with their seeds the frequencies of the first n draws, and those of
disjoint neighbours among them, are off by what fewer than one seed in 25 shows (more than one in a thousand), at each of
three n. Tests of the usual levels raise a false alarm for them; about one seed in 10,000 is like that, found by trying.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

Draw = Callable[[int, Generator], Tensor]
Pair = tuple[str, Tensor, Draw]


def honest_pair(number: int) -> Pair:
    """A proper pmf, and independent draws from it."""
    words, p = _pmf(number)
    return f"{len(p)} values, {words}", p.log(), _independent(p)


def unlucky_pair(number: int) -> tuple[str, Tensor, Draw, int]:
    """An honest pair, and the seed with which its draws look as if it were not."""
    p, sizes, seed = UNLUCKY[number % len(UNLUCKY)]
    masses = torch.tensor(p, dtype=torch.float64)
    masses = masses / masses.sum()
    words = f"{len(p)} values, with unlucky draws: {sizes[0]:,} to {sizes[-1]:,} of them look wrong at the 5 % level, not at 0.1 %"
    return words, masses.log(), _independent(masses), seed


def honest_twin(number: int, kind: str) -> Pair:
    """The honest pair with the pmf that the broken pair of this kind and number has, up to its mass."""
    _, log_p, _ = BROKEN_PAIRS[kind](number)
    p = log_p.softmax(dim=0)
    return "the same pmf, and independent draws from it", p.log(), _independent(p)


def broken_pair(number: int, kind: str) -> Pair:
    """A pair that is broken in one of the ways of `BROKEN_PAIRS`."""
    return BROKEN_PAIRS[kind](number)


EARLY, LATE = (1_000, 2_000, 5_000), (10_000, 20_000, 40_000)  # numbers of draws
UNLUCKY: tuple[tuple[tuple[int, ...], tuple[int, int, int], int], ...] = (
    ((1, 1), EARLY, 13_351),
    ((1, 1), LATE, 5_074),
    ((4, 1), EARLY, 3_192),
    ((4, 1), LATE, 7_084),
    ((5, 3, 2), EARLY, 6_900),
    ((5, 3, 2), LATE, 12_403),
    ((1, 1, 1, 1, 1, 1), EARLY, 65_894),
    ((1, 1, 1, 1, 1, 1), LATE, 4_322),
    ((1, 1, 2, 2, 2, 3, 3, 6), EARLY, 95_566),
    ((1, 1, 2, 2, 2, 3, 3, 6), LATE, 191_771),
)  # the pmf up to its mass, the three n, the seed


def _of_another_mass(number: int) -> Pair:
    """The sampler draws from the density once that is normalised."""
    mass = (1.06, 0.94, 1.25, 0.5, 3.0)[number % 5]  # in float32, and by a sum, surely off by 0.05
    _, p = _pmf(number)
    return f"the density sums to {mass:g}", (p * mass).log(), _independent(p)


def _of_another_law(number: int) -> Pair:
    """Independent draws of a law q with TV(p, q) >= 0.2."""
    kind = number % 5
    uniform = torch.ones(5, dtype=torch.float64) / 5
    if kind == 0:
        p, q = uniform, uniform + torch.tensor([0.2, 0.0, 0.0, 0.0, -0.2], dtype=torch.float64)
        words = "one value comes up more often than the density says, another one less often"
    elif kind == 1:
        p, q = uniform, uniform + torch.tensor([-0.1, -0.1, 0.4, -0.1, -0.1], dtype=torch.float64)
        words = "the mean is that of the density, the spread is smaller"
    elif kind == 2:
        p = torch.tensor([0.05, 0.05, 0.1, 0.1, 0.1, 0.15, 0.15, 0.3], dtype=torch.float64)
        q = p.flip(0)
        words = "the draws are those of the density with its values in reverse order"
    elif kind == 3:
        p = torch.tensor([0.7, 0.1, 0.1, 0.1], dtype=torch.float64)
        q = torch.ones(4, dtype=torch.float64) / 4
        words = "the draws are uniform, and the density is not"
    else:
        p = torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64)
        q = p.flip(0).roll(1)  # the same three masses elsewhere: entropy and largest mass agree
        words = "the draws have the masses of the density at other values"
    return words, p.log(), _independent(q)


def _with_an_impossible_value(number: int) -> Pair:
    """One draw in a hundred is a value that the density rules out."""
    K = 2 + number % 7
    p = _positive(K, number)
    impossible = number // 2 % K
    p[impossible] = 0.0
    p = p / p.sum()
    q = 0.99 * p
    q[impossible] = 0.01
    return "one draw in a hundred has a log-probability of -inf", p.log(), _independent(q)


def _of_dependent_neighbours(number: int) -> Pair:
    """Every draw has the law of the density, and the draws x_i and x_{i+1} depend on each other."""
    kind = number % 6
    K = (6, 4, 8, 5, 7, 3)[kind]
    p = _positive(K, number) if kind in (0, 3) else torch.ones(K, dtype=torch.float64) / K
    draw = _independent(p)

    def copies(n: int, generator: Generator) -> Tensor:
        fresh = torch.rand(n, generator=generator, dtype=torch.float64) >= 0.4
        fresh[0] = True
        return draw(n, generator)[torch.where(fresh, torch.arange(n), 0).cummax(0).values]

    def others(n: int, generator: Generator) -> Tensor:
        steps = torch.randint(1, K, (n,), generator=generator)
        steps[0] = draw(1, generator)[0]
        return steps.cumsum(0) % K

    def cycle(n: int, generator: Generator) -> Tensor:
        return (torch.arange(n) + draw(1, generator)) % K

    def twice(n: int, generator: Generator) -> Tensor:
        return draw(n // 2 + 1, generator).repeat_interleave(2)[:n]

    def twice_after_the_first(n: int, generator: Generator) -> Tensor:
        return draw(n // 2 + 1, generator).repeat_interleave(2)[1 : n + 1]

    def middle_or_ends(n: int, generator: Generator) -> Tensor:
        start = (torch.rand(n, generator=generator) < 0.1).cumsum(0)  # one draw in ten begins anew
        middle = (torch.rand(n + 1, generator=generator) < 1 / 3)[start]
        return torch.where(middle, 1, 2 * torch.randint(2, (n,), generator=generator))

    return (
        ("a draw is a copy of the one before it in four of ten cases", p.log(), copies),
        ("no draw is equal to the one before it", p.log(), others),
        ("the draws go round: 0, 1, 2, ... and again", p.log(), cycle),
        ("each value is handed out twice in a row", p.log(), twice),
        ("each value but the first is handed out twice in a row", p.log(), twice_after_the_first),
        ("the middle follows the middle and the ends follow the ends, without any correlation", p.log(), middle_or_ends),
    )[kind]


def _of_repeated_calls(number: int) -> Pair:
    """Each call of the sampler starts from the same seed; what else it draws is new."""
    kind, K = number % 3, 2 + number // 3 % 7
    p = _positive(K, number) if kind < 2 else torch.ones(K, dtype=torch.float64) / K
    draw = _independent(p)

    def same(n: int, generator: Generator) -> Tensor:
        return draw(n, Generator().manual_seed((generator.initial_seed() + 1) % 2**63))  # not the stream of what is new

    def mostly_the_same(n: int, generator: Generator) -> Tensor:
        fresh = torch.rand(n, generator=generator, dtype=torch.float64) >= 0.95
        return torch.where(fresh, draw(n, generator), same(n, generator))

    def same_or_the_next(n: int, generator: Generator) -> Tensor:
        return (same(n, generator) + (torch.rand(n, generator=generator) < 0.1)) % K

    return (
        ("every call of the sampler gives the same draws", p.log(), same),
        ("nineteen of twenty draws of a call are those of every other call at their place", p.log(), mostly_the_same),
        ("a draw is the value that every call has at its place, or now and then the next value", p.log(), same_or_the_next),
    )[kind]


BROKEN_PAIRS: dict[str, Callable[[int], Pair]] = {
    "mass": _of_another_mass,
    "law": _of_another_law,
    "support": _with_an_impossible_value,
    "neighbours": _of_dependent_neighbours,
    "calls": _of_repeated_calls,
}


def _pmf(number: int) -> tuple[str, Tensor]:
    """A pmf over at most 8 values, of one of six shapes."""
    generator = Generator().manual_seed(number)
    K = int(torch.randint(1, 9, (1,), generator=generator))
    mass = torch.rand(K, generator=generator, dtype=torch.float64) + 0.05
    last = torch.zeros(K, dtype=torch.float64)
    last[-1] = 1.0
    shape = number % 6
    if shape == 1:
        mass = torch.ones(K, dtype=torch.float64)
    elif shape == 2:
        mass = torch.where(torch.rand(K, generator=generator) < 0.4, 0.0, mass) + last
    elif shape == 3:
        mass = mass / mass.sum() * 1e-3 + last
    elif shape == 4:
        mass = torch.where(torch.rand(K, generator=generator) < 0.5, 3e-5, mass) + last
        mass[0] = mass[0] if K == 1 else 1e-9  # no 100,000 draws show it
    elif shape == 5:
        mass = last
    words = ("all of them possible", "all alike", "some of them impossible", "one of them nearly certain", "some of them rare",
             "one of them certain")[shape]  # fmt: skip
    return words, mass / mass.sum()


def _positive(K: int, number: int) -> Tensor:
    """A pmf whose largest mass is at most five times its smallest."""
    mass = torch.rand(K, generator=Generator().manual_seed(number), dtype=torch.float64) + 0.25
    return mass / mass.sum()


def _independent(p: Tensor) -> Draw:
    cumulative = p.cumsum(0) / p.sum()
    cumulative[p.nonzero().max() :] = 1.0
    *bounds, _ = cumulative.tolist()

    def draw(n: int, generator: Generator) -> Tensor:
        u = torch.rand(n, generator=generator, dtype=torch.float64)  # in [0, 1): a value without mass never comes up
        steps = ((u >= bound).view(torch.uint8) for bound in bounds)  # a few comparisons are faster than a search
        return sum(steps, start=torch.zeros(n, dtype=torch.uint8)).long()

    return draw
