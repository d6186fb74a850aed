"""Never fewer layers than promised, never silently fewer, and every refusal says what to do."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from grader.sandbox.layers import doctor, landlock, policy, probes, seccomp
from grader.sandbox.layers.policy import REQUIRED_LAYERS, IsolationError, open_workers


@pytest.fixture
def no_worker_is_started(monkeypatch):
    """A refusal comes before anything could touch a submission."""
    monkeypatch.setattr("grader.sandbox.fork.subprocess.Popen", lambda *args, **kwargs: pytest.fail("a process was started"))


@pytest.mark.parametrize(("module", "name", "answer", "layer"), [
    (landlock, "abi", 0, "landlock"), (seccomp, "available", False, "seccomp"),
])  # fmt: skip
def test_below_the_minimum_nothing_is_graded(monkeypatch, no_worker_is_started, module, name, answer, layer):
    monkeypatch.setattr(module, name, lambda: answer)
    with pytest.raises(IsolationError, match=rf"nothing was graded\. Missing: {layer} .* To get it: "):
        open_workers("default", [])
    assert [row.layer for row in doctor.diagnose()] == [layer]


def test_another_system_is_refused(monkeypatch, no_worker_is_started):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(IsolationError, match="Missing: linux"):
        open_workers("default", [])


def test_the_default_holds_here_and_says_what_it_is():
    workers = open_workers("default", [])
    workers.close()
    assert workers.isolation.mode == "default"
    assert set(workers.isolation.layers) >= {*REQUIRED_LAYERS, *(["user"] if os.geteuid() == 0 else [])}


def test_strict_demands_the_wall(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(IsolationError, match="Missing: (wall|namespaces)"):
        open_workers("strict", [])


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_strict_has_it_all():
    workers = open_workers("strict", [])
    workers.close()
    assert set(workers.isolation.layers) >= {*REQUIRED_LAYERS, "namespaces", "wall"}


def test_a_broken_bubblewrap_is_no_silent_fallback(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho no permission to make namespaces >&2\nexit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(shutil, "which", lambda name: str(fake))
    workers = open_workers("default", [])
    workers.close()
    assert "wall" not in workers.isolation.layers
    row = next(row for row in doctor.diagnose() if row.layer == "wall")
    assert not row.holds
    assert "no permission to make namespaces" in row.note


def test_a_layer_that_does_not_hold_is_found_out(monkeypatch):
    monkeypatch.setattr(probes, "attack", lambda worker, hidden: ["tcp"])
    with pytest.raises(IsolationError, match="does not hold: it reaches the network"):
        open_workers("default", [])


def test_a_secret_among_the_packages_is_found_out(monkeypatch):
    """A reference that was installed with the kit would be readable for every submission."""
    import numpy

    with pytest.raises(IsolationError, match="does not hold: it (reads what the kit hides|imports the reference)"):
        open_workers("default", [], hidden=[Path(numpy.__file__).parent])


def test_no_isolation_is_loud_and_not_for_root(monkeypatch, capsys):
    monkeypatch.setattr("grader.sandbox.spawn.Spawn", lambda families: "workers")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(IsolationError, match="you are root"):
        open_workers("none", [])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert open_workers("none", []) == "workers"
    assert "no isolation" in capsys.readouterr().err


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="mode"):
        open_workers("docker", [])


def test_the_doctor_lists_every_layer():
    rows = doctor.diagnose()
    assert [row.layer for row in rows] == list(doctor.GIVES)
    assert all(row.holds for row in rows if row.needed)
    assert all(row.note for row in rows if not row.holds)


def test_every_layer_that_the_doctor_knows_can_be_got():
    assert set(policy.HOW_TO_GET) >= set(doctor.GIVES) - {"process"}
    assert {layer for layer, _ in probes.PROBES.values()} <= set(doctor.GIVES)
