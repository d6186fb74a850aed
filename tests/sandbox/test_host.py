"""What the host reports of a call: value, gradient, traces, and errors as data."""

from __future__ import annotations

import itertools
import math
import textwrap

import pytest
import torch

from grader.sandbox.inside.host import Host
from grader.sandbox.inside.loading import load_topic
from grader.sandbox.wire.objects import RemoteObject, SeededGenerator

runs = itertools.count(1)


def call(source: str, *args, mode: str = "plain", host: Host | None = None, **more):
    host = host or hosted(source)
    message = {
        "do": "call",
        "run": next(runs),
        "target": ["topic", "f"],
        "mode": mode,
        "args": list(args),
        "kwargs": {},
        **more,
    }
    return host.answer(message)


def hosted(source: str) -> Host:
    host = Host()
    host.topics = {"topic": load_topic("topic", [textwrap.dedent(source)], seconds=5, definitions_only=False)}
    return host


@pytest.mark.parametrize(
    ("body", "changed"), [("x.mul_(2)", ["x"]), ("x.requires_grad_()", []), ("torch.rand(1)", []), ("print('here')", [])]
)
def test_observed_names_the_arguments_that_were_changed_and_no_others(body, changed):
    answer = call(f"import torch\ndef f(x):\n    {body}\n    return torch.zeros(1)", torch.ones(2), mode="observed")
    assert answer.keys() == {"value", "changed"}
    assert answer["changed"] == changed


@pytest.mark.parametrize(("body", "changed"), [("x.pop(0)", ["x"]), ("x.reverse()", ["x"]), ("list(x).pop(0)", [])])
def test_a_list_that_is_emptied_or_turned_round_was_changed(body, changed):
    answer = call(f"import torch\ndef f(x):\n    {body}\n    return torch.zeros(1)", [math.exp, math.log], mode="observed")
    assert answer["changed"] == changed


def test_gradients_are_of_the_weighted_sum_and_none_where_nothing_arrives():
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    answer = call(
        "def f(x, y):\n    return x * x",
        x,
        y,
        mode="gradient",
        wrt=[0, 1],
        weights=[torch.tensor([1.0, 10.0])],
        wrt_parameters_of=None,
    )
    gradient, nothing = answer["gradients"]
    assert torch.equal(gradient, torch.tensor([2.0, 40.0]))
    assert nothing is None


def test_a_result_without_a_graph_has_no_gradients():
    answer = call(
        "def f(x):\n    return x.detach()",
        torch.ones(1),
        mode="gradient",
        wrt=[0],
        weights=None,
        wrt_parameters_of=None,
    )
    assert answer["gradients"] is None


def test_arguments_may_come_in_another_layout_with_the_same_numbers():
    source = "def f(x, y):\n    return [x.is_contiguous(), y.is_contiguous(), x.sum().item(), (y * y[0]).sum().item()]"
    vector, matrix = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert call(source, vector, matrix, mode="strided")["value"] == [False, False, 3.0, 16.0]


def test_the_default_dtype_may_be_float64_during_the_call_alone():
    source = "import torch\ndef f():\n    return torch.get_default_dtype() == torch.float64"
    assert call(source, mode="float64_default")["value"] is True
    assert torch.get_default_dtype() == torch.float32


def test_errors_are_data_with_the_students_own_line():
    error = call("def f(x):\n    return helper(x)\ndef helper(x):\n    return x.missing", torch.ones(1))["error"]
    assert (error["type"], error["unimplemented"]) == ("AttributeError", False)
    assert error["where"] == "topic.py, line 4: return x.missing"


@pytest.mark.parametrize("error", ["SystemExit(0)", "KeyboardInterrupt()", "GeneratorExit()", "BaseException('x')"])
def test_nothing_that_a_student_raises_leaves_the_host(error):
    assert call(f"def f():\n    raise {error}")["error"]["type"] == error.split("(")[0]


def test_a_stub_is_unimplemented_and_torchs_own_refusal_is_not():
    assert call("def f():\n    raise NotImplementedError('f')")["error"]["unimplemented"]
    half = call("import torch\ndef f():\n    return torch.zeros(2, dtype=torch.complex64).cumsum(0).median()")
    assert not half["error"]["unimplemented"]


def test_a_generator_goes_on_within_a_run_and_starts_anew_in_the_next():
    host = hosted("import torch\ndef f(g):\n    return torch.rand(1, generator=g)")
    generator = SeededGenerator(1, 5)
    message = {"do": "call", "run": 1, "target": ["topic", "f"], "mode": "plain", "args": [generator], "kwargs": {}}
    first, second = host.answer(message)["value"], host.answer(message)["value"]
    again = host.answer(message | {"run": 2})["value"]
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


def test_what_is_no_plain_data_stays_behind_a_handle_until_the_run_ends():
    host = hosted("class Model:\n    def __call__(self):\n        return 3\ndef f():\n    return Model()")
    value = call("", host=host)["value"]
    kind, payload = host.keep_in_worker(value)
    assert (kind, payload[1]) == ("remote", "Model")
    message = {
        "do": "call",
        "run": host.run,
        "target": [RemoteObject(*payload), "__call__"],
        "mode": "plain",
        "args": [],
        "kwargs": {},
    }
    assert host.answer(message)["value"] == 3
    assert "error" in host.answer(message | {"run": host.run + 1})


def test_a_class_that_ends_whoever_looks_at_it_hides_calls_and_no_more():
    host = hosted("""
        class Closed(type):
            def __getattribute__(cls, name):
                raise SystemExit

        class C(metaclass=Closed):
            pass

        def f():
            return 1.0
    """)
    assert host.calls() == {}
    assert call("", host=host)["value"] == 1.0
