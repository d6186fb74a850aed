"""Records as JUnit XML, which continuous integration services display."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from grader.record import CheckRecord, ExerciseRecord, Record
from grader.renderings.gradescope import explanation

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 forbids
NO_ANSWER = ("error", "timeout", "crashed")  # it did not answer, as opposed to: it answered wrongly


def junit(records: Sequence[Record]) -> str:
    """One test suite a submission, one test case a check. A bonus is a suite of its own; without an attempt it is skipped."""
    root = ET.Element("testsuites")
    for record in records:
        suite = _suite(root, record.submission, record.seconds, record.exercises)
        if record.problems:
            ET.SubElement(suite, "system-err").text = _legal("\n".join(record.problems))
        if record.bonus:
            _suite(root, f"{record.submission} bonus", 0.0, record.bonus)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ET.Element, name: str, seconds: float, exercises: Sequence[ExerciseRecord]) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=_legal(name), time=f"{seconds:.3f}")
    cases = [(exercise, check, _tag(check, exercise.bonus)) for exercise in exercises for check in exercise.checks]
    tags = [tag for _, _, tag in cases]
    suite.attrib |= {"tests": str(len(cases)), "failures": str(tags.count("failure")), "errors": str(tags.count("error")),
                     "skipped": str(tags.count("skipped"))}  # fmt: skip
    for exercise, check, tag in cases:
        _case(suite, exercise.exercise, check, tag)
    return suite


def _tag(check: CheckRecord, bonus: bool) -> str:
    if check.outcome == "not_graded" or (bonus and check.outcome == "missing"):
        return "skipped"
    return "" if check.outcome == "passed" else "error" if check.outcome in NO_ANSWER else "failure"


def _case(suite: ET.Element, exercise: str, check: CheckRecord, tag: str) -> None:
    case = ET.SubElement(suite, "testcase", classname=exercise, name=check.check, time=f"{check.seconds:.3f}")
    if not tag:
        return
    result = ET.SubElement(case, tag, message=_legal(check.message))
    if tag != "skipped":
        result.set("type", check.outcome)
        result.text = _legal(explanation(check))


def _legal(text: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
