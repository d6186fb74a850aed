"""Records as JUnit XML, which continuous integration services display."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from grader.record import CheckRecord, Record
from grader.renderings.gradescope import explanation

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 forbids
BROKEN = ("error", "timeout", "crashed")  # it did not answer, as opposed to: it answered wrongly


def junit(records: Sequence[Record]) -> str:
    """One test suite a submission, one test case a check."""
    root = ET.Element("testsuites")
    for record in records:
        checks = [check for exercise in record.exercises for check in exercise.checks]
        outcomes = [check.outcome for check in checks]
        suite = ET.SubElement(
            root, "testsuite", name=_legal(record.submission), time=f"{record.seconds:.3f}", tests=str(len(checks)),
            failures=str(sum(outcome in ("failed", "missing") for outcome in outcomes)),
            errors=str(sum(outcome in BROKEN for outcome in outcomes)), skipped=str(outcomes.count("not_graded")),
        )  # fmt: skip
        for exercise in record.exercises:
            for check in exercise.checks:
                _case(suite, exercise.exercise, check)
        if record.problems:
            ET.SubElement(suite, "system-err").text = _legal("\n".join(record.problems))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, exercise: str, check: CheckRecord) -> None:
    case = ET.SubElement(suite, "testcase", classname=exercise, name=check.check, time=f"{check.seconds:.3f}")
    if check.outcome == "passed":
        return
    tag = "skipped" if check.outcome == "not_graded" else "error" if check.outcome in BROKEN else "failure"
    result = ET.SubElement(case, tag, message=_legal(check.message))
    if tag != "skipped":
        result.set("type", check.outcome)
        result.text = _legal(explanation(check))


def _legal(text: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
