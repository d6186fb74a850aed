"""What a check raises where an answer is not the right one."""

from __future__ import annotations

from typing import Any

# The rungs of the ladder of comparison, and what is compared in other ways.
RUNGS = ("nothing", "type", "rank", "shape", "dtype", "device", "finite", "value", "law", "refusal", "trace", "gradient", "digits", "axis")
SLIGHT = ("digits", "axis")  # right to single precision; right but for axes of length one


class Mismatch(AssertionError):
    """A student's answer is not the right one: the rung of the ladder, and a sentence for the student.

    `expected`: the right answer in words. It is never part of the sentence, so that an instructor can hide it.
    `mistake`: the registered mistake that explains it, where the comparison itself can tell (a sampler's law).
    """

    def __init__(
        self,
        rung: str,
        sentence: str,
        got: Any = None,
        want: Any = None,
        mistake: str | None = None,
        *,
        expected: str = "",
    ) -> None:
        super().__init__(f"{sentence}, expected {expected}" if expected else sentence)
        assert rung in RUNGS
        self.rung, self.sentence, self.expected = rung, sentence, expected
        self.says = ""  # what was misunderstood, where a public check recognises it
        self.got, self.want, self.mistake = got, want, mistake
