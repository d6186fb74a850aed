"""What a check passed, as plain torch: run without the kit, it gives the same numbers."""

from __future__ import annotations

import pytest
import torch

from grader.checking.recipe import recipe, recipe_of
from grader.checking.student import Call
from grader.checks.lecture1.shared import conditionals, diffeomorphisms, draw, families
from grader.exam import counterexample
from grader.exam.plain_torch import WIDTH, Script, wrapped
from grader.sandbox.wire.families import Family
from grader.sandbox.wire.objects import SeededGenerator

A, b = torch.tensor([[1.0, 0.5], [0.25, 3.0]]), torch.tensor([0.25, -1.0])
X = draw.normal((3, 2), 1)


def run(script: Script) -> dict[str, object]:
    names: dict[str, object] = {}
    text = "\n".join(["import torch", *script.lines()])
    assert "grader" not in text
    exec(text, names)
    return names


@pytest.mark.parametrize(
    ("family", "written"),
    [
        (families.affine(A, b), "f = lambda x: x @ A.T.to(x.dtype) + b"),
        (families.elementwise("sin"), "f = torch.sin"),
        (families.compose(families.affine(A, b), families.affine(2 * A, b)), "f2 = lambda x: g(f(x))"),
        (families.gaussian_log_density(b, b.abs()), "f = lambda x: _gaussian_log_density(x, mu, sigma)"),
        (families.polynomial(A), "f = polynomial(coefficients="),
        (diffeomorphisms.planar(b, b, b[0]), "f = lambda x: x + torch.tanh("),
        (conditionals.gaussian_linear(A, b, A, b), "f = gaussian_linear("),
    ],
)
def test_a_family_is_written_as_the_function_that_it_is(family: Family, written: str) -> None:
    script = Script()
    name = script.assign("f", script.expression(family))
    assert any(written in line for line in script.lines())
    torch.testing.assert_close(run(script)[name](X), family(X), rtol=0, atol=0)  # type: ignore[operator]


def test_a_long_tensor_is_written_as_the_call_that_made_it() -> None:
    long = recipe(draw.normal)((4099, 3), 17)
    assert recipe_of(long) is not None
    assert recipe_of(long + 0) is None
    script = Script()
    name = script.assign("x", script.expression(long))
    assert len("\n".join(script.lines())) < 400
    assert torch.equal(run(script)[name], long)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])
def test_every_number_survives_the_writing(dtype: torch.dtype) -> None:
    value = (torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * 100).to(dtype)
    script = Script(whole=True)
    name = script.assign("x", script.expression([value, (torch.zeros(0, 2), float("nan"))]))
    again = run(script)[name]
    assert torch.equal(again[0], value)  # type: ignore[index]
    assert again[0].dtype == dtype  # type: ignore[index]


def test_a_long_line_is_broken_behind_commas_and_stays_python() -> None:
    line = f"x = torch.tensor({[round(0.123456 * k, 6) for k in range(50)]})"
    assert all(len(piece) <= WIDTH + 4 for piece in wrapped(line).splitlines())
    names: dict[str, object] = {"torch": torch}
    exec(wrapped(line), names)
    assert names["x"].shape == (50,)  # type: ignore[attr-defined]


def _call(*args: object, mode: str = "plain") -> Call:
    message = {"target": ["topic", "double"], "args": list(args), "kwargs": {}, "mode": mode}
    return Call("double", message, {"value": torch.ones(2)})


def test_a_counterexample_runs_where_it_is_pasted() -> None:
    same, long = draw.normal((2, 2), 3), recipe(draw.normal)((50, 2), 4)
    generator = SeededGenerator(1, 7)
    calls = [_call(families.affine(A, b), same), _call(families.affine(A, b), long, generator), _call(same, generator, mode="strided")]
    text = counterexample.of_calls(calls, calls[1].answer["value"])
    given: list[tuple[object, ...]] = []
    exec("import torch\n" + text, {"double": lambda *args: given.append(args)})
    assert torch.equal(given[0][0](same), families.affine(A, b)(same))  # type: ignore[operator]
    assert torch.equal(given[1][1], long)  # type: ignore[arg-type]
    assert given[1][2] is given[2][1]  # one generator, which goes on
    assert given[0][1] is given[2][0]
    assert "# <- this call gave torch.tensor([1., 1.])" in text
    assert text.endswith("# with tensors that are not contiguous")


def test_a_tensor_that_nobody_can_read_is_told_of_unless_all_is_wanted() -> None:
    noise = torch.rand(10, 10)
    assert "double(<float32 tensor of shape (10, 10), values from" in counterexample.of_calls([_call(noise)])
    (needed,), (call,) = counterexample.parts([_call(noise)], whole=True)
    assert needed.startswith("x = torch.tensor(")
    assert call == "double(x)"
