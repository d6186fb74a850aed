"""The bodies of the GPU exam, run small on a CPU: the solution passes them, and what they look for they find."""

from __future__ import annotations

import pytest

from dgm_ref import catalogue
from grader.assignment import REPO_ROOT
from grader.checking.student import Student
from grader.exam.collect import collect
from grader.hidden import known_submissions
from grader.hidden.reference import Reference

SOLUTION = REPO_ROOT / "solutions" / "lecture1" / "imagegpt.py"
CHECKS = {check.name: check for check in collect("lecture1") if check.gpu}


def examine(name, submitted):
    """The figures that a check notes on a submission; raises where the check fails."""
    check = CHECKS[name]
    transport = known_submissions.from_source("imagegpt", submitted) if isinstance(submitted, str) else submitted
    fixtures = {"student": Student("imagegpt", transport), "seed": 5, "device": "cpu", "figures": {}}
    if check.needs_reference:
        fixtures["ref"] = Reference("lecture1", "imagegpt")
    check.body(**{name: fixtures[name] for name in check.fixtures})
    return fixtures["figures"]


@pytest.mark.parametrize("name", CHECKS)
def test_the_solution_passes_small_on_a_cpu(name):
    figures = examine(name, SOLUTION.read_text())
    assert figures or name == "test_the_generator_of_the_device_decides_the_samples"


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("test_logits_on_the_device_agree_in_single_precision", "return self.head(self.ln_f(h))",
         "return self.head(self.ln_f(h)).bfloat16().float()"),
        ("test_logits_on_the_device_agree_under_autocast", "torch.sigmoid(1.702 * z)", "torch.sigmoid(z)"),
        ("test_samples_on_the_device_follow_the_joint_law", "/ temperature", "* 2"),
        ("test_the_generator_of_the_device_decides_the_samples", "1, generator=generator", "1"),
        ("test_the_cached_sampler_beats_the_uncached_one", "if use_cache else None", "if False else None"),
    ],
)  # fmt: skip
def test_a_mistake_that_shows_on_a_device_is_found(name, right, wrong):
    source = SOLUTION.read_text()
    assert source.count(right) >= 1
    with pytest.raises(AssertionError):
        examine(name, source.replace(right, wrong))


def test_every_check_has_a_mistake_and_those_for_a_gpu_do_no_harm_here():
    registered = catalogue.load("lecture1").mistakes["imagegpt.gpu"]
    assert {mistake.killed_by for mistake in registered} == set(CHECKS)
    for mistake in registered:
        if mistake.needs_gpu and not CHECKS[mistake.killed_by].training:
            transport = known_submissions.with_function("lecture1", mistake.replaces, mistake.function)
            examine(mistake.killed_by, transport)
