"""Five typical mistakes from red to green, as a student meets them: `dgm check` names each, `dgm hint` and `dgm next` lead on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grader.assignment import REPO_ROOT
from grader.cli import app

MASKED = (
    "future = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(k.shape[2] - q.shape[2] + 1)\n"
    "    return (q @ k.transpose(2, 3)).masked_fill(future, -math.inf).softmax(-1) @ v"
)
REVERSED = "return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)"
MISTAKES = {
    "divergences.kl_divergence": (REVERSED, "you computed the reverse KL"),
    "change_of_variables.log_prob_x": ("return log_p_z(f(x))", "The log-determinant is missing"),
    "course_tricks.monte_carlo_standard_error": (
        "return f(x).std(dim=0, correction=0) / x.shape[0] ** 0.5",
        "You divided the squares by n: a sample standard deviation divides by n - 1",
    ),
    "imagegpt.causal_attention": (MASKED, "they are divided by the root of e"),
    "autoregressive.context_mask": (
        "return torch.ones(m, m, dtype=torch.bool).tril().triu(-d)",
        "x_j is in its own context, and predicted from itself",
    ),
}


def dgm(work: Path, *arguments: str) -> str:
    return CliRunner().invoke(app, [*arguments, "--folder", str(work)]).output


def write(work: Path, exercise: str, answer: str) -> None:
    topic, function = exercise.split(".")
    stub = (REPO_ROOT / "assignments" / "lecture1" / f"{topic}.py").read_text("utf-8")
    (work / f"{topic}.py").write_text(stub.replace(f'raise NotImplementedError("{function}")', answer), "utf-8")


@pytest.mark.parametrize("exercise", MISTAKES)
def test_a_typical_mistake_is_named_and_a_right_answer_is_green(exercise: str, tmp_path: Path) -> None:
    topic, function = exercise.split(".")
    wrong, says = MISTAKES[exercise]
    write(tmp_path, exercise, wrong)
    red = " ".join(dgm(tmp_path, "check", exercise).split())
    assert f"{function} ✗" in red
    assert says in red
    assert len(red) < 1200  # of a screen of 24 lines
    assert "hint 1 of" in dgm(tmp_path, "hint", exercise)
    shutil.copy(REPO_ROOT / "solutions" / "lecture1" / f"{topic}.py", tmp_path)
    assert f"{function}  ✓" in dgm(tmp_path, "check", exercise)


@pytest.mark.parametrize("page", ["README.md", "docs/student.md"])
def test_the_failure_that_a_page_shows_is_what_a_student_sees(page: str, tmp_path: Path) -> None:
    write(tmp_path, "divergences.kl_divergence", REVERSED)
    seen = dgm(tmp_path, "check", "kl_divergence").partition("\n")[2]  # below the line that says what was checked
    (shown,) = re.findall(r"```\n(kl_divergence  ✗.*?)```", (REPO_ROOT / page).read_text("utf-8"), re.DOTALL)
    assert [line.rstrip() for line in shown.splitlines()] == [line.rstrip() for line in seen.splitlines()]
