"""Where all workers are gone: new ones are tried once, and a submission that cannot be graded stops nobody else."""

from __future__ import annotations

from grader.grading.faults import guarded
from grader.record import Done, KitRecord, Record, summed
from grader.sandbox.isolation import NoWorkers

RECORD = Record(submission="s", assignment="a", kit=KitRecord(version="1", torch="2", hypothesis="3", seed="4"), seconds=0.0, **summed([]))


def _out_of_workers() -> None:
    raise NoWorkers("there is no memory for another one")


def test_new_workers_are_asked_once_more() -> None:
    tries = iter([NoWorkers("gone"), None])

    def work() -> Done:
        if gone := next(tries):
            raise gone
        return Done(RECORD, found=False)

    assert guarded(work, lambda: None, lambda: RECORD).log == ""


def test_where_no_new_workers_can_be_had_the_log_says_why_the_first_went_and_why_none_came() -> None:
    def work() -> Done:
        raise NoWorkers("the first are gone")

    done = guarded(work, _out_of_workers, lambda: RECORD)
    assert done.record is RECORD
    assert "the first are gone" in done.log
    assert "there is no memory for another one" in done.log
