"""What the checks of an exercise earn together: a slip costs what it is, and nothing that is right earns nothing."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from grader.exam.credit import by_rubric, in_proportion
from grader.record import CheckRecord


def _records(**earned: tuple[float, float]) -> list[CheckRecord]:
    return [
        CheckRecord(check=name, outcome="passed" if points else "failed", points=points, max_points=possible)
        for name, (points, possible) in earned.items()
    ]


def _in_proportion(records: list[CheckRecord], *evidence: str) -> dict[str, float]:
    checks = [SimpleNamespace(hollow=record.check not in evidence, public=record.check == "by_hand") for record in records]
    return {record.check: record.points for record in in_proportion(checks, records)}


def test_what_proves_nothing_earns_as_much_as_is_right_of_the_rest():
    values, edges, form = (2, 2), (0, 1), (1, 1)
    assert _in_proportion(_records(values=values, edges=edges, form=form), "values", "edges")["form"] == 0.67
    assert _in_proportion(_records(values=values, edges=(1, 1), form=form), "values", "edges")["form"] == 1
    assert _in_proportion(_records(values=(0, 2), edges=edges, form=form), "values", "edges")["form"] == 0


def test_slight_slips_cost_half_together_at_most():
    def slight(rung: str, values: float, edges: tuple[float, float] = (1, 1)) -> dict[str, float]:
        records = _records(values=(values, 3), edges=edges, form=(2, 2))
        failed = [msgspec.structs.replace(one, rung=rung) if one.outcome == "failed" else one for one in records]
        return _in_proportion(failed, "values", "edges")

    assert slight("digits", 0) == {"values": 0, "edges": 1, "form": 2}  # half of 6
    assert slight("axis", 0, (0, 1)) == {"values": 0.75, "edges": 0.25, "form": 2}  # 3 of the 4 lost, half again
    assert slight("value", 0) == {"values": 0, "edges": 1, "form": 0.5}


def test_public_inputs_prove_something_only_where_no_others_do():
    by_hand, form = (2, 2), (1, 1)
    assert _in_proportion(_records(by_hand=by_hand, values=(0, 2), form=form), "by_hand", "values") == {
        "by_hand": 0,
        "values": 0,
        "form": 0,
    }
    assert _in_proportion(_records(by_hand=by_hand, form=form), "by_hand") == {"by_hand": 2, "form": 1}


def test_where_nothing_else_was_graded_each_counts_for_itself():
    records = _records(form=(1, 1), dtype=(0, 1))
    assert _in_proportion(records) == {"form": 1, "dtype": 0}
    not_here = CheckRecord(check="values", outcome="not_graded", points=0, max_points=2)
    assert _in_proportion([*records, not_here], "values") == {"form": 1, "dtype": 0, "values": 0}


def _named(record: CheckRecord, name: str | None) -> CheckRecord:
    return msgspec.structs.replace(record, mistake=name)


def test_the_rubric_gives_its_share_where_the_name_explains_every_failure():
    passed, first, second = _records(a=(1, 1), b=(0, 2), c=(0, 1))
    records = [passed, _named(first, "divides_by_n"), second]
    shares = {"divides_by_n": 0.5}
    graded, rubric = by_rubric(records, shares, lambda record, name: record.check == "c")
    assert rubric == "divides_by_n"
    assert sum(record.points for record in graded) == pytest.approx(2)  # half of 4
    assert [record.outcome for record in graded] == ["passed", "failed", "failed"]
    for unexplained in (
        by_rubric(records, shares, lambda record, name: False),  # the mistake itself passes c: something else is wrong, too
        by_rubric([passed, _named(first, "divides_by_n"), _named(second, "other")], shares, lambda record, name: True),
        by_rubric([passed, first, second], shares, lambda record, name: True),
        by_rubric(records, {"other": 0.5}, lambda record, name: True),
        by_rubric(records, {"divides_by_n": 0.2}, lambda record, name: True),  # more is there already
    ):
        assert unexplained == (unexplained[0], "")
        assert sum(record.points for record in unexplained[0]) == 1
