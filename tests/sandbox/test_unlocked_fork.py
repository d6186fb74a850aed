"""A worker that is a copy of this process: it answers, its prints and its end are its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from grader.checking.student import Student
from grader.exam.timeouts import Timeouts
from grader.exam.transport import WorkerTransport
from grader.sandbox.workers import WorkerCrashed, WorkerTimeout

if sys.platform != "linux":
    pytest.skip("a fork is safe on Linux alone", allow_module_level=True)
from grader.sandbox.unlocked_fork import UnlockedFork

SOURCE = """
import os, sys, torch
print("loaded")

def double(x):
    return 2 * x

def where():
    return [os.getcwd(), sys.stdin.read(), sorted(map(int, os.listdir("/proc/self/fd")))]

def draw():
    return torch.rand(3)

def end():
    os._exit(3)

def forever():
    while True:
        pass
"""


@pytest.fixture
def transport() -> Iterator[WorkerTransport]:
    transport = WorkerTransport(UnlockedFork([]), "assignments.demo", {"topic": [SOURCE]}, Timeouts(call=1.0, call_again=0.2))
    yield transport
    transport.close()


def test_it_answers_in_a_folder_of_its_own_and_prints_nowhere_else(transport: WorkerTransport, capfd: pytest.CaptureFixture[str]) -> None:
    student = Student("topic", transport)
    assert torch.equal(student.double(torch.ones(3)), 2 * torch.ones(3))
    folder, typed, descriptors = student.where()
    assert folder != os.getcwd()
    assert typed == ""
    assert [one for one in descriptors if one > 3] == [descriptors[-1]]  # the listing's own
    assert transport.output() == "loaded\n"
    assert capfd.readouterr() == ("", "")


def test_a_module_of_the_same_name_here_is_not_the_submissions(transport: WorkerTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "topic", ModuleType("topic"))
    assert Student("topic", transport).double(1) == 2


def test_every_copy_draws_the_same_whatever_was_drawn_here(transport: WorkerTransport) -> None:
    first = Student("topic", transport).draw()
    transport.close()
    torch.rand(7)
    assert torch.equal(Student("topic", transport).draw(), first)


def test_a_copy_that_ends_or_never_answers_is_replaced(transport: WorkerTransport) -> None:
    student = Student("topic", transport)
    with pytest.raises(WorkerCrashed):
        student.end()
    with pytest.raises(WorkerTimeout):
        student.forever()
    assert student.double(1) == 2
