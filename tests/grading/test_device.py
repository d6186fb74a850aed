"""Checks that need a GPU: the whole way through fresh workers, on the CPU at small size; without a device, not graded."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

from dgm_ref.lecture1.imagegpt import reference as imagegpt
from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.checks.lecture1.imagegpt.draw import network
from grader.checks.lecture1.shared import draw
from grader.exam.timeouts import Timeouts
from grader.grading import device as devices
from grader.grading import gpu
from grader.grading.device import DeviceSession
from grader.grading.gpu import name_of, out_of_sight
from grader.grading.options import GradingOptions
from grader.record import ExerciseRecord, KitRecord, Record
from grader.sandbox.layers.policy import IsolationError
from grader.submission import Submission
from tests.attacks.arena import descendants
from tests.grading import small_checkout

SOLUTION = (REPO_ROOT / "solutions" / "lecture1" / "imagegpt.py").read_text("utf-8")
LAW, RACE = "test_samples_on_the_device_follow_the_joint_law", "test_the_cached_sampler_beats_the_uncached_one"
BODY = "    # BEGIN SOLUTION causal_attention\n"
OPTIONS = GradingOptions("lecture1", small_checkout.SEED, device="cpu", device_timeouts=Timeouts(call=8.0, call_again=1.0))
KIT = KitRecord(version="1", torch="2", hypothesis="3", seed="sha256:4")
OTHER = ExerciseRecord(exercise="imagegpt.sample", score=3.0, max_score=4.0, checks=[])
GPU = ExerciseRecord(exercise="imagegpt.gpu", score=0.0, max_score=0.0, not_graded=2.0, slide="44", checks=[])
RECORD = Record(
    submission="s", assignment="lecture1", score=3.0, max_score=4.0, not_graded=2.0, exercises=[OTHER, GPU], kit=KIT,
    seconds=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def session() -> Iterator[DeviceSession]:
    with DeviceSession(OPTIONS) as session:
        assert session.name, session._why_not
        yield session


def completed(session: DeviceSession, source: str) -> Record:
    return session.complete(RECORD, Submission("s", {"imagegpt": [source]}, ()))


def outcomes(record: Record) -> dict[str, str]:
    return {check.check: check.outcome for check in record.exercises[1].checks}


def test_a_right_solution_passes_in_a_fresh_worker(session):
    record = completed(session, SOLUTION)
    assert set(outcomes(record).values()) == {"passed"}
    assert sum(check.max_points for check in record.exercises[1].checks) == assignments.load("lecture1")["imagegpt.gpu"].points
    assert (record.score, record.max_score, record.not_graded) == (5.0, 6.0, 0.0)
    assert record.exercises[0] == OTHER
    assert record.exercises[1].slide == "44"
    assert record.kit.device == name_of("cpu")
    assert {"limits", "landlock", "seccomp"} <= set(record.kit.device_layers)
    assert record.seconds > 1.0


@pytest.mark.parametrize(
    ("line", "outcome", "words"),
    [
        ("while True: pass", "timeout", "an endless loop"),
        ("import os; os._exit(7)", "crashed", "exit code 7"),
        ("torch.empty(1 << 45)", "error", "alloc"),
        ("raise NotImplementedError('causal_attention')", "missing", "not implemented"),
    ],
)
def test_whatever_a_module_does_is_an_outcome_and_leaves_nothing(session, line, outcome, words):
    before = descendants(os.getpid())
    record = completed(session, SOLUTION.replace(BODY, f"{BODY}    {line}\n"))
    assert outcomes(record).pop(LAW) == "passed"  # it asks the sampler alone, with other blocks
    checks = [check for check in record.exercises[1].checks if check.check != LAW]
    assert {check.outcome for check in checks} == {outcome}
    assert all(words in check.message for check in checks)
    assert (record.score, record.max_score) == (3.5, 6.0)
    assert record.exercises[0] == OTHER
    deadline = time.monotonic() + 5
    while descendants(os.getpid()) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descendants(os.getpid()) == before


def test_a_sampler_that_keeps_no_cache_loses_the_points_of_the_cache(session):
    record = completed(session, SOLUTION.replace("if use_cache else None", "if False else None"))
    assert {name for name, outcome in outcomes(record).items() if outcome == "failed"} == {RACE}


def test_without_a_device_the_record_stays_as_it_is():
    with DeviceSession(replace(OPTIONS, device="cuda")) as session:
        if session.name:
            pytest.skip("there is a GPU here")
        record = completed(session, SOLUTION)
    assert {check.message for check in record.exercises[1].checks} == {"needs a GPU, and this machine has none"}
    assert (record.score, record.max_score, record.not_graded) == (3.0, 4.0, 2.0)
    assert record.kit == KIT


def test_where_the_kits_own_solution_fails_nobody_is_judged(monkeypatch):
    wrong = {"imagegpt": [SOLUTION.replace("if use_cache else None", "if False else None")]}
    monkeypatch.setattr(devices.known_submissions, "solutions", lambda lecture, topics: wrong)
    with DeviceSession(OPTIONS) as session:
        record = completed(session, SOLUTION)
    (message,) = {check.message for check in record.exercises[1].checks}
    assert f"the kit's own solution does not pass {RACE}" in message
    assert (record.score, record.max_score, record.not_graded) == (3.0, 4.0, 2.0)
    assert record.kit == KIT


def test_where_no_worker_may_have_the_device_the_record_says_so(monkeypatch):
    def refuse(*args: object) -> None:
        raise IsolationError("the wall does not stand")

    monkeypatch.setattr(devices, "open_device_workers", refuse)
    with DeviceSession(OPTIONS) as session:
        record = completed(session, SOLUTION)
    (message,) = {check.message for check in record.exercises[1].checks}
    assert message.endswith("no worker may use it: the wall does not stand")


def test_the_device_is_asked_for_in_a_process_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "_cuda_of_torch", lambda: "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("this process touches CUDA"))
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho A large GPU\n")
    other.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(other))
    assert name_of("cuda") == "A large GPU"
    other.write_text("#!/bin/sh\necho the driver is broken\nexit 1\n")
    assert name_of("cuda") == ""


def test_a_grader_sees_no_device_and_forgets_nothing(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    with out_of_sight():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with out_of_sight():
        pass
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_the_expected_error_is_measured_in_a_process_of_its_own():
    net, x = network(1, K=4, m=4, e=2), draw.integers((2, 4), 1, high=4)
    here = imagegpt.forward_on_device(net.weights, net.num_heads, x, "bfloat16", "cpu")
    with mock.patch.object(imagegpt, "ProcessPoolExecutor", wraps=ProcessPoolExecutor) as fresh:
        there = imagegpt.forward_on_device(net.weights, net.num_heads, x, "bfloat16", "cpu:0")
    assert fresh.call_count == 1
    assert torch.equal(there, here)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_dgm_grade_says_why_the_gpu_exercise_is_not_graded_here(tmp_path):
    with tempfile.TemporaryDirectory(prefix="dgm-checkout-") as folder:
        small_checkout.build(Path(folder), device=True)
        submitted = small_checkout.submissions(tmp_path / "submissions", 1)
        (submitted / "s00" / "imagegpt.py").write_text(SOLUTION, "utf-8")
        done = small_checkout.run(Path(folder), submitted, tmp_path / "results")
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "results" / "s00" / "record.json").read_text())
    exercises = {one["exercise"]: one for one in record["exercises"]}
    gpu = exercises.pop("imagegpt.gpu")
    assert {check["outcome"] for check in gpu["checks"]} == {"not_graded"}
    assert {check["message"] for check in gpu["checks"]} == {"needs a GPU, and this machine has none"}
    assert (gpu["not_graded"], record["not_graded"]) == (2.0, 2.0)
    assert record["max_score"] == sum(one["max_score"] for one in exercises.values())
    assert record["kit"]["device"] == ""
