"""Without a GPU, hard-coded devices are found on torch's meta device, and code that only reads values is let through."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from grader.checking.student import Student
from grader.checks.lecture1.imagegpt.helpers import elsewhere
from grader.hidden import known_submissions

Q, K, V = torch.randn(3, 2, 1, 4, 2, generator=torch.Generator().manual_seed(0))
SIZES = {"K": 3, "m": 4, "dim": 4, "num_layers": 1, "num_heads": 2}

WRONG = {
    "a mask of the CPU": lambda q, k, v: q.masked_fill(torch.ones(4, 2) > 0, 0),
    "a number of the CPU for every element": lambda q, k, v: q + torch.zeros(4, 2),
    "indices of the CPU": lambda q, k, v: q[:, :, torch.arange(4)],
    "a condition of the CPU": lambda q, k, v: torch.where(torch.ones(4, 2) > 0, q, 0),
    "a result moved to the CPU": lambda q, k, v: q.cpu(),
    "a result made of Python numbers": lambda q, k, v: torch.tensor(q.tolist()),
    "a result of the default device": lambda q, k, v: torch.zeros(q.shape),
    "a buffer of the CPU": lambda q, k, v: torch.zeros(q.shape).copy_(q),
}
RIGHT = {
    "everything on the device of q": lambda q, k, v: q + torch.ones(4, 2, device=q.device),
    "a number without axes": lambda q, k, v: q * torch.tensor(2.0),
    "a value that is read": lambda q, k, v: v * q.sum().item(),
    "a branch on a value": lambda q, k, v: v if (q > 0).any() else k,
    "the way through numpy and back": lambda q, k, v: torch.from_numpy(q.cpu().numpy()).to(q.device),
}


def problem(attention):
    student = Student("imagegpt", known_submissions.with_function("lecture1", "imagegpt.causal_attention", attention))
    block = student.Block(student.ImageGPTConfig(**SIZES))
    return student.run(elsewhere, block, "causal_attention", Q, K, V)


@pytest.mark.parametrize("name", WRONG)
def test_a_hard_coded_device_is_found(name):
    assert problem(WRONG[name])


@pytest.mark.parametrize("name", RIGHT)
def test_what_a_gpu_would_accept_is_accepted(name):
    assert problem(RIGHT[name]) == ""


def test_what_cannot_be_watched_is_neither_right_nor_wrong():
    from torch.nn.attention.bias import causal_lower_right  # load torch's compiler
    from torch.nn.attention.flex_attention import flex_attention

    assert problem(flex_attention) is None
    assert problem(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, causal_lower_right(4, 4))) == ""


@pytest.mark.parametrize("function", ["forward", "sample"])
def test_the_solution_runs_on_any_device(function):
    student = Student("imagegpt", known_submissions.solution("lecture1", "imagegpt"))
    model = student.ImageGPT(student.ImageGPTConfig(**SIZES))
    x = torch.zeros(2, 4, dtype=torch.int64)
    arguments = (x,) if function == "forward" else (model, 2, 4, student.generator(0), 0.5, 2, x[:, :1], True)
    assert student.run(elsewhere, model, function, *arguments) == ""
