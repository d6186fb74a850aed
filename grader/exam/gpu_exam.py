"""`dgm gpu-exam`: the checks that need a GPU, put to one module, with the figures that they measured.

The module runs in this very process, on a device that it could misuse: only for code that is trusted. The bodies are
those of `grader/checks/lecture1/imagegpt/test_gpu.py`; on a machine without a GPU they run small, on the CPU.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import torch

from grader import assignment as assignments

if TYPE_CHECKING:
    from grader.exam.examiner import Examiner

FIGURES: dict[str, str] = {}


def note(name: str, figure: str) -> None:
    """Keep a figure that a check has measured, for the report."""
    FIGURES[name] = figure


class Finding(msgspec.Struct, frozen=True):
    """One check of the exam."""

    check: str
    outcome: str
    sentence: str
    message: str
    seconds: float
    figures: dict[str, str]


class Verdict(msgspec.Struct, frozen=True):
    """One registered mistake, put to the check that claims to find it."""

    mistake: str
    check: str
    found: bool
    message: str


class Report(msgspec.Struct, frozen=True):
    """One run of the exam: where, when, with what, and what was found."""

    module: str
    device: str
    on_a_gpu: bool
    torch: str
    cuda: str
    python: str
    date: str
    findings: list[Finding]
    verdicts: list[Verdict]

    @property
    def passed(self) -> bool:
        return all(finding.outcome == "passed" for finding in self.findings) and all(one.found for one in self.verdicts)


def gpu_exam(module: Path, with_mistakes: bool = False, lecture: str = "lecture1", seed: str = "gpu-exam") -> Report:
    """Put every check marked `gpu` to the functions of a module, on the GPU if there is one.

    `with_mistakes`: and put the registered mistakes to them, those that need a GPU where there is one only.
    """
    from grader.exam.collect import collect
    from grader.exam.examiner import Examiner
    from grader.hidden import known_submissions as candidates
    from grader.hidden import reference
    from grader.hidden.answer_key import InstructorsKey

    cuda = torch.cuda.is_available()
    checks = [check for check in collect(lecture) if check.gpu]
    key = InstructorsKey(lecture, names=False) if reference.available(lecture) else None
    examiner = Examiner(assignments.load(lecture), checks, seed, key=key, device="cuda" if cuda else "cpu")
    source = module.read_text(encoding="utf-8")
    findings = []
    for check in checks:
        FIGURES.clear()
        record = examiner.examine(check, candidates.from_source(check.topic, source))
        findings.append(
            Finding(record.check, record.outcome, record.sentence, record.message, record.seconds, dict(FIGURES))
        )
    return Report(
        module=str(module),
        device=torch.cuda.get_device_name() if cuda else f"CPU ({platform.machine()}), no GPU",
        on_a_gpu=cuda,
        torch=str(torch.__version__),
        cuda=str(torch.version.cuda or "none"),
        python=platform.python_version(),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        findings=findings,
        verdicts=list(_verdicts(examiner, cuda)) if with_mistakes else [],
    )


def _verdicts(examiner: Examiner, cuda: bool) -> Iterator[Verdict]:
    from dgm_ref import catalogue
    from grader.hidden import known_submissions as candidates

    mistakes = catalogue.load(examiner.assignment.name).mistakes
    for check in examiner.checks:
        for mistake in mistakes.get(check.exercise, []):
            if mistake.killed_by == check.name and (cuda or not mistake.needs_gpu):
                wrong = candidates.with_function(examiner.assignment.name, mistake.replaces, mistake.function)
                record = examiner.examine(check, wrong)
                found = record.outcome not in ("passed", "not_graded")
                yield Verdict(mistake.name, check.name, found, record.message)


def write(report: Report, folder: Path) -> tuple[Path, Path]:
    """The report as `gpu-exam.json` and `gpu-exam.md` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_markdown = folder / "gpu-exam.json", folder / "gpu-exam.md"
    as_json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    as_markdown.write_text(markdown(report), encoding="utf-8")
    return as_json, as_markdown


def markdown(report: Report) -> str:
    """The report as a page."""
    lines = [
        f"# GPU exam of {report.module}",
        "",
        f"Device: **{report.device}** · torch {report.torch} · CUDA {report.cuda} · Python {report.python} · {report.date}",
        "",
    ]
    if not report.on_a_gpu:
        lines += [
            "**This run had no GPU.** It shows that the bodies work, small, on a CPU, and nothing about a GPU.",
            "",
        ]
    lines += ["| check | outcome | figures | seconds |", "|---|---|---|---|"]
    for finding in report.findings:
        figures = "<br>".join(f"{name}: {figure}" for name, figure in finding.figures.items())
        said = f"<br>{finding.message}" if finding.message else ""
        lines.append(f"| {finding.sentence} | {finding.outcome}{said} | {figures} | {finding.seconds:.1f} |")
    if report.verdicts:
        lines += ["", "| mistake | its check | |", "|---|---|---|"]
        lines += [
            f"| {one.mistake} | {one.check} | {'found' if one.found else '**not found**'}: {one.message} |"
            for one in report.verdicts
        ]
    return "\n".join(lines) + "\n"
