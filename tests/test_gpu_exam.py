"""The bodies of the GPU exam, run small on a CPU: the solution passes them, and what they look for they find."""

from __future__ import annotations

import msgspec
import pytest
import torch

from dgm_ref import catalogue
from grader.assignment import REPO_ROOT
from grader.checking.student import Student
from grader.exam import gpu_exam
from grader.exam.collect import collect
from grader.hidden import known_submissions as candidates
from grader.hidden.reference import Reference

SOLUTION = REPO_ROOT / "solutions" / "lecture1" / "imagegpt.py"
CHECKS = {check.name: check for check in collect("lecture1") if check.gpu}


def examine(name, submitted):
    check = CHECKS[name]
    transport = candidates.from_source("imagegpt", submitted) if isinstance(submitted, str) else submitted
    fixtures = {"student": Student("imagegpt", transport), "seed": 5, "device": "cpu"}
    if check.needs_reference:
        fixtures["ref"] = Reference("lecture1", "imagegpt")
    return check.body(**{name: fixtures[name] for name in check.fixtures})


@pytest.mark.parametrize("name", CHECKS)
def test_the_solution_passes_small_on_a_cpu(name):
    gpu_exam.FIGURES.clear()
    examine(name, SOLUTION.read_text())
    assert gpu_exam.FIGURES or name == "test_the_generator_of_the_device_decides_the_samples"


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("test_logits_on_the_device_agree_in_single_precision", "return self.head(self.ln_f(h))",
         "return self.head(self.ln_f(h)).bfloat16().float()"),
        ("test_logits_on_the_device_agree_under_autocast", "torch.sigmoid(1.702 * z)", "torch.sigmoid(z)"),
        ("test_samples_on_the_device_follow_the_joint_law", "/ temperature", "* 2"),
        ("test_the_generator_of_the_device_decides_the_samples", "1, generator=generator", "1"),
        ("test_a_cached_step_never_waits_for_the_host", "        h = h + self.proj(",
         "        assert a.sum().item() < 1e9\n        h = h + self.proj("),
        ("test_memory_of_cached_sampling_grows_with_the_length_alone", "if use_cache else None", "if False else None"),
        ("test_the_cached_sampler_beats_the_uncached_one", "if use_cache else None", "if False else None"),
        ("test_it_learns_images_on_the_device", "            loss.backward()", "            (0 * loss).backward()"),
    ],
)  # fmt: skip
def test_a_mistake_that_shows_on_a_device_is_found(name, right, wrong):
    source = SOLUTION.read_text()
    if wrong.startswith("            (0"):
        right, wrong = right.strip(), wrong.strip()
    assert source.count(right) >= 1
    with pytest.raises(AssertionError):
        examine(name, source.replace(right, wrong))


def test_the_report_says_when_there_was_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    report = gpu_exam.Report("m.py", "CPU, no GPU", False, "2", "none", "3", "today",
                             [gpu_exam.Finding("test_x", "passed", "It holds.", "", 0.5, {"ratio": "9"})],
                             [gpu_exam.Verdict("a_slip", "test_x", True, "it does not hold")])  # fmt: skip
    as_json, as_markdown = gpu_exam.write(report, tmp_path / "out")
    assert "This run had no GPU" in as_markdown.read_text()
    assert "| It holds. | passed | ratio: 9 | 0.5 |" in as_markdown.read_text()
    assert "| a_slip | test_x | found: it does not hold |" in as_markdown.read_text()
    assert '"on_a_gpu": false' in as_json.read_text()
    assert report.passed


def test_every_check_has_a_mistake_and_those_for_a_gpu_do_no_harm_here():
    registered = catalogue.load("lecture1").mistakes["imagegpt.gpu"]
    assert {mistake.killed_by for mistake in registered} == set(CHECKS)
    for mistake in registered:
        if mistake.needs_gpu and not CHECKS[mistake.killed_by].training:
            transport = candidates.with_function("lecture1", mistake.replaces, mistake.function)
            examine(mistake.killed_by, transport)


def test_the_report_holds_the_mistakes_that_this_machine_can_show(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    report = gpu_exam.gpu_exam(SOLUTION, with_mistakes=True)
    expected = {mistake.name for mistake in catalogue.load("lecture1").mistakes["imagegpt.gpu"] if not mistake.needs_gpu}
    assert {verdict.mistake for verdict in report.verdicts} == expected
    assert report.passed
    as_json, _ = gpu_exam.write(report, tmp_path)
    assert msgspec.json.decode(as_json.read_bytes(), type=gpu_exam.Report) == report
