"""Samples that hang on a small part of the generator's state, so that there are only a few different ones."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from grader.checking.mismatch import Mismatch

# Seeds, found by trying: those of a pair agree modulo 2^16 or 10^5, the first numbers of their generators modulo 2^24 or 10^6.
# So one number below 256 or 1000, say, drawn to seed the generator that all samples come from, is the same for both.
LOOKALIKES = ((186_318_848, 489_750_528), (175_200_000, 200_900_000))


def assert_streams_differ(draw: Callable[[int], object]) -> None:
    """`draw(seed)`, some dozen numbers by a generator of that seed, gives others for seeds whose generators begin alike.

    Raises: ``Mismatch`` with two seeds for which it does not.
    """
    for seeds in LOOKALIKES:
        one, other = (draw(seed) for seed in seeds)
        if isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape and bool((one == other).all()):
            sentence = f"generators with the seeds {seeds[0]} and {seeds[1]} give the very same samples, though they only begin alike"
            raise Mismatch("law", f"{sentence}: take all random numbers from the generator, not a seed for another one", one)
