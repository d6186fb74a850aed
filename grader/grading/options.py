"""What a run of grading is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from grader.exam.timeouts import Timeouts


@dataclass(frozen=True)
class GradingOptions:
    """What to grade, and how."""

    lecture: str
    seed: str = field(repr=False)  # a cluster's log may show the rest
    isolation: str = "default"
    quick: bool = False  # leaves out checks that train a model
    show_expected: bool = True
    only: tuple[str, ...] = ()  # exercises of submissions that are graded already; the rest of their records stays
    timeouts: Timeouts = Timeouts()
    device: str = "cuda"  # what checks marked `gpu` are put on where it is there; "cpu" is for the kit's own tests
    device_timeouts: Timeouts = Timeouts(call=120.0, call_again=20.0, load=120.0)

    @property
    def flags(self) -> list[str]:
        """What changes a record, by the names of the command line: a record graded otherwise is graded again."""
        return [name for name, given in (("quick", self.quick), ("hide-expected", not self.show_expected)) if given]
