"""Writes `docs/certificate-<assignment>.md`: the certificate of its checks, as a page: `python -m grader.authoring.certificate NAME`"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.authoring.certify import Certificate, certify, cost

SEED = "certify"


def path(assignment: str) -> Path:
    """Where the page of an assignment lies."""
    return REPO_ROOT / "docs" / f"certificate-{assignment}.md"


def page(certificates: Sequence[Certificate], seconds: float) -> str:
    """Exercise × mistakes killed × named × variants accepted, with their sums."""
    rows = [(one.exercise, one.mistakes, one.killed, one.named, one.variants, one.accepted) for one in certificates]
    total = [sum(numbers) for numbers in list(zip(*rows, strict=True))[1:]]
    mistakes, _, named, _, _ = total
    costs = [*(one.costs for one in certificates), [share for one in certificates for share in one.costs]]
    lines = [
        "# Certificate of the checks",
        "",
        "What `dgm dev check` finds, written by `python -m grader.authoring.certificate ASSIGNMENT`. A *mistake* is a registered wrong answer;",
        "it is *killed* when the very check that claims it fails on it, and *named* when the student is told its name. A",
        "*variant* is another right answer; it is *accepted* when it gets full marks. A mistake that only a GPU or a training",
        "run shows is not counted. A tester's yes or no (`histogram.accepts`) tells no mistake from another; what a device",
        "shows is not compared with the catalogue. What a mistake *costs* is the share of its exercise, the median and the largest.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, grading seed `{SEED}`, {seconds:.0f} s on {os.cpu_count()} cores. "
        f"Named: {named / mistakes:.1%} of the mistakes.",
        "",
        "| exercise | mistakes | killed | named | variants | accepted | costs |",
        "|---|---|---|---|---|---|---|",
    ]
    rows.append(("**all**", *total))
    lines += [f"| {' | '.join(map(str, row))} | {cost(shares)} |" for row, shares in zip(rows, costs, strict=True)]
    return "\n".join([*lines, ""])


def main(assignment: str) -> None:
    order = [exercise.name for exercise in assignments.load(assignment).exercises]
    started = time.perf_counter()
    certificates = sorted(certify(assignment, SEED, order, os.cpu_count() or 1), key=lambda one: order.index(one.exercise))
    faults = [f"{one.exercise}: {fault}" for one in certificates for fault in one.faults]
    if faults:
        raise SystemExit("\n".join(faults))
    path(assignment).write_text(page(certificates, time.perf_counter() - started), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
