"""A long fuzz run over what may be handed in: `python benchmarks/intake_fuzz.py [CASES] [SEED]`.

Archives (changed, cut, nested), notebooks, sources and names, each read as one submission and sorted as a class. Says how
many cases ran, how long the slowest took, and how much memory the process had at most.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.intake.strategies import HAND_INS  # noqa: E402
from tests.intake.test_fuzz import in_order  # noqa: E402

arguments = sys.argv[1:]
cases, start = map(int, [*arguments, *["20000", "0"][len(arguments) :]])
took: list[float] = []


@seed(start)
@settings(
    max_examples=cases,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(HAND_INS)
def run(files: dict[str, bytes]) -> None:
    began = time.process_time()
    in_order(files)
    took.append(time.process_time() - began)


run()
took.sort()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(f"{len(took)} cases, no exception; processor time {sum(took):.0f} s, median {took[len(took) // 2] * 1e3:.1f} ms, "
      f"slowest {took[-1] * 1e3:.0f} ms; at most {peak} MiB")  # fmt: skip
