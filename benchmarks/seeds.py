"""All solutions on many grading seeds: a right answer must get full marks whatever the inputs. `python benchmarks/seeds.py [N]`"""

from __future__ import annotations

import sys

import torch

from grader import assignment as assignments
from grader.exam import candidates
from grader.exam.collect import collect
from grader.exam.examiner import Examiner

LECTURE = "lecture1"


def main() -> None:
    """Print the score of the solutions on each of N seeds (20), training check aside."""
    torch.set_num_threads(1)
    checks = collect(LECTURE)
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20):
        examiner = Examiner(LECTURE, checks, f"benchmark seed {number}", reference=True, quick=True)
        transports = {topic: candidates.solution(LECTURE, topic) for topic in assignments.load(LECTURE).topics}
        records = [examiner.examine(check, transports[check.topic]) for check in checks]
        graded = [record for record in records if record.outcome != "not_graded"]
        failures = [f"{record.check}: {record.message}" for record in graded if record.outcome != "passed"]
        print(
            f"seed {number}: {sum(r.points for r in graded):g} of {sum(r.max_points for r in graded):g}",
            *failures,
            flush=True,
        )


if __name__ == "__main__":
    main()
