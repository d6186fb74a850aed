"""What `dgm grade` says at its end."""

from __future__ import annotations

from grader.cli.grading import _noting
from grader.record import CheckRecord, KitRecord, Outcome, Record, exercise_record, summed

KIT = KitRecord(version="0", torch="2", hypothesis="6", seed="sha256:0")


def record(name: str, outcomes: list[Outcome], problems: list[str], fault: str = "") -> Record:
    checks = [CheckRecord(check=f"test_{outcome}", outcome=outcome, points=0.0, max_points=1.0) for outcome in outcomes]
    return Record(submission=name, assignment="a", kit=KIT, seconds=1.0, problems=problems, fault=fault,
                  **summed([exercise_record("flows.radial", "7", checks)]))  # fmt: skip


def test_whose_files_gave_nothing_to_grade_is_told_from_who_wrote_nothing() -> None:
    records = [
        record("a pdf", ["missing", "not_graded"], ["nothing to grade was found"]),
        record("stubs", ["missing", "not_graded"], []),
        record("wrong", ["failed", "missing"], ["a.rar was not read"]),
        record("ours", ["not_graded"], ["sorry"], fault="sorry"),
    ]
    seen: list[str] = []
    broken: list[str] = []
    empty: list[str] = []
    assert list(_noting(records, seen, broken, empty)) == records
    assert (seen, broken, empty) == (["a pdf", "stubs", "wrong", "ours"], ["ours"], ["a pdf"])
