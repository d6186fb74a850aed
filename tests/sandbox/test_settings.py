"""What a submission sets for the whole process, compiles, or writes to a file costs it nothing, and nobody else."""

from __future__ import annotations

import contextlib
import textwrap
import warnings

import pytest
import torch

from grader.checking.student import Student
from grader.exam.timeouts import Timeouts
from grader.exam.transport import WorkerTransport
from grader.hidden import known_submissions
from grader.sandbox.layers.policy import open_workers

LOUD = """
    import logging, os, sys, warnings
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(3)
    warnings.simplefilter("error")
    logging.basicConfig(filename="log.txt")
    quiet = open(os.devnull, "w")
    LOG = open("my_log.txt", "w")
    HERE = os.path.dirname(__file__)

    def noisy(x):
        torch.set_default_dtype(torch.float16)
        torch.set_grad_enabled(False)
        print("computing", file=LOG)
        return x
"""
CALM = """
    import torch

    SIZE = torch.zeros(1).dtype

    def settings(x):
        return [str(torch.get_default_dtype()), str(SIZE), torch.is_grad_enabled(), torch.is_anomaly_enabled(),
                torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()]

    def double(x):
        return 2 * x
"""
COMPILED = """
    import torch
    from torch.nn.attention.flex_attention import flex_attention

    @torch.compile
    def double(x):
        return 2 * x

    @torch.compile(fullgraph=True)
    def triple(x):
        return 3 * x

    @torch.jit.script
    def half(x):
        return x / 2

    def slopes(x):
        return torch.func.vmap(torch.func.jacfwd(torch.tanh))(x)

    def attention(q):
        return flex_attention(q, q, q)

    class Model(torch.nn.Module):
        def forward(self, x):
            return self.body(x)

        def body(self, x):
            return half(x)

    def sample(x):
        return [Model()(x).body for _ in range(3)] and helper(x)

    def helper(x):
        return double(x)
"""
TRAINED = """
    import sys

    import torch
    from torch.utils.checkpoint import checkpoint

    def compiler_is_loaded(x):
        optimizer = torch.optim.Adam([torch.nn.Parameter(x.clone())])
        optimizer.zero_grad()
        optimizer.step()
        torch.func.vmap(torch.func.jacrev(torch.sin))(x)
        return "torch._dynamo.utils" in sys.modules

    def checkpointed(x):
        return checkpoint(torch.sin, x, use_reentrant=False)
"""
SETTINGS = ["torch.float32", "torch.float32", True, False, False, 1]


@pytest.fixture(scope="module")
def workers():
    workers = open_workers("default", [])
    yield workers
    workers.close()


@contextlib.contextmanager
def _handed_in(workers, **modules):
    topics = {name: [textwrap.dedent(text)] for name, text in modules.items()}
    transport = WorkerTransport(workers, "assignments.demo", topics, Timeouts(call=20.0))
    try:
        yield lambda topic: Student(topic, transport)
    finally:
        transport.close()


@pytest.fixture(scope="module")
def student(workers):
    with _handed_in(workers, loud=LOUD, calm=CALM, compiled=COMPILED) as student:
        yield student


def test_what_one_module_or_function_sets_is_put_back(student):
    x = torch.ones(2)
    assert student("calm").settings(x) == SETTINGS
    assert torch.equal(student("loud").noisy(x), x)  # and its files are there, in memory
    assert student("calm").settings(x) == SETTINGS
    _, (gradient,) = student("calm").double.gradient(x, wrt=[x])
    assert torch.equal(gradient, 2 * x)


def test_a_check_may_ask_for_another_default(student):
    assert student("calm").settings.float64_default(torch.ones(2))[0] == "torch.float64"
    assert student("calm").settings(torch.ones(2)) == SETTINGS


def test_what_is_compiled_runs_as_it_is_written_and_the_reader_is_told(student):
    one = student("compiled")
    x = torch.ones(2)
    assert [one.double(x).tolist(), one.triple(x).tolist(), one.half(x).tolist()] == [[2, 2], [3, 3], [0.5, 0.5]]
    said = one.transport.problems
    problems = said if isinstance(said, list) else [problem for topic in said.values() for problem in topic]
    assert "torch.compile: the function was run as it is written, not compiled" in problems
    assert "torch.jit.script: the function was run as it is written, not compiled" in problems
    assert len(problems) == 2


def test_what_torch_scripts_itself_is_scripted(student):
    assert torch.equal(student("compiled").slopes(torch.zeros(2, 1)), torch.ones(2, 1, 1))


def test_flex_attention_runs(student):
    q = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.scaled_dot_product_attention(q, q, q)
    assert torch.allclose(student("compiled").attention(q), expected, atol=1e-5)


def test_an_optimizer_needs_no_compiler_and_what_needs_it_gets_it(workers):
    with _handed_in(workers, trained=TRAINED) as student:
        one, x = student("trained"), torch.ones(2)
        assert one.compiler_is_loaded(x) is False
        assert torch.equal(one.checkpointed(x), torch.sin(x))
        assert one.compiler_is_loaded(x) is True


def test_the_grader_is_told_who_calls_whom(student):
    one = student("compiled")
    one.double(torch.ones(1))
    calls = one.transport.calls["compiled"]
    assert calls["helper"] == ["double"]
    assert calls["Model.forward"] == ["Model.body"]
    assert calls["sample"] == ["Model.body", "helper"]


def test_what_a_function_warns_of_in_this_very_process_is_not_heard():
    warns = known_submissions.from_source("topic", "import warnings\ndef f(x):\n    warnings.warn('of std')\n    return x")
    with warnings.catch_warnings(record=True, action="always") as heard:
        assert Student("topic", warns).f(1.5) == 1.5
    assert heard == []
