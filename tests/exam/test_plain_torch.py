"""What a check passed, as plain torch: run without the kit, it gives the same numbers."""

from __future__ import annotations

import pytest
import torch

from grader.checking.recipe import recipe, recipe_of
from grader.checks.lecture1.shared import conditionals, diffeomorphisms, draw, families
from grader.exam.plain_torch import WIDTH, Script, wrapped
from grader.sandbox.wire.families import Family

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
        (families.affine(A, b), "f = lambda x: x @ A.T + b"),
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
    script = Script()
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
