"""The one tolerance rule: its terms, its audit on right answers, and that no check goes around it."""

import ast
import math
from pathlib import Path

import pytest
import torch

from grader.assignment import REPO_ROOT, load
from grader.authoring import tolerances
from grader.checking.tolerance import SLACK, UNIT_ROUNDOFF, Tolerance, condition_of
from grader.checks.lecture1.shared.families import affine
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey

CHECKS = sorted((REPO_ROOT / "grader" / "checks").rglob("*.py"))
EXERCISES = list(dict.fromkeys(check.exercise for check in collect("lecture1") if check.drawn))
# a search for the suite, with the solutions alone; `python -m grader.authoring.tolerances lecture1 --examples 600` is in earnest
EXAMPLES = 4

one = torch.ones((), dtype=torch.float64)


@pytest.mark.parametrize("dtype", UNIT_ROUNDOFF)
def test_the_unit_roundoff_is_half_an_ulp_of_one(dtype):
    assert UNIT_ROUNDOFF[dtype] == torch.finfo(dtype).eps / 2


def test_without_more_knowledge_a_right_answer_is_off_by_roundoffs_of_itself():
    assert Tolerance(torch.float32).allowed(3 * one).item() == pytest.approx(SLACK * 3 * 2**-24)


def test_scale_counts_like_the_value_and_error_and_condition_count_in_full():
    u = 2.0**-24
    assert Tolerance(torch.float32, scale=5.0).allowed(0 * one).item() == pytest.approx(SLACK * 5 * u)
    assert Tolerance(torch.float32, condition=2 * u, error=u).allowed(0 * one).item() == pytest.approx(SLACK * 2 * u)
    assert Tolerance(torch.float32, condition=u, error=2 * u).allowed(0 * one).item() == pytest.approx(SLACK * 2 * u)


def test_terms_are_elementwise():
    got = Tolerance(torch.float64, scale=torch.tensor([1.0, 4.0])).allowed(torch.zeros(2, dtype=torch.float64))
    assert got[1].item() == pytest.approx(4 * got[0].item())


def test_below_the_normal_numbers_an_answer_may_be_flushed_to_zero():
    smallest = torch.tensor(torch.finfo(torch.float32).tiny, dtype=torch.float64)
    assert Tolerance(torch.float32).allowed(smallest) >= smallest
    assert Tolerance(torch.float32).allowed(4 * smallest) < 4 * smallest


def test_a_difference_of_large_numbers_is_known_to_their_roundoff():
    a, b = torch.tensor([1e4]), torch.tensor([1e4 - 1])
    got = condition_of(lambda a, b: a - b, a, b, dtype=torch.float32)
    assert got.item() == pytest.approx(2e4 * 2**-24, rel=1e-3)


def test_conditioning_sees_tensors_inside_families_and_lists():
    A, x = torch.tensor([[1.0, 1.0], [1.0, 1.001]]), torch.zeros(1, 2)
    log_det = lambda f, x: torch.linalg.slogdet(torch.autograd.functional.jacobian(f, x)[0, :, 0]).logabsdet  # noqa: E731
    got = condition_of(log_det, affine(A, torch.zeros(2)), x, dtype=torch.float32)
    assert 1e-4 < got < 1e-3  # 1000 roundoffs: the determinant is 0.001
    assert condition_of(lambda xs: xs[0] - xs[1], [A, A.clone()], dtype=torch.float32).max() > 0


def test_exact_functions_of_integers_are_not_moved():
    assert condition_of(lambda x: x.double(), torch.tensor([3]), dtype=torch.float32) == 0


def test_a_result_that_is_infinite_or_turns_infinite_widens_nothing():
    edge = torch.tensor([torch.finfo(torch.float64).max], dtype=torch.float64)
    got = condition_of(lambda x: x * (1 + 2**-52), edge, dtype=torch.float32)
    assert got.isfinite().all()
    assert condition_of(torch.log, torch.zeros(1), dtype=torch.float32) == 0


# --- audit: adversarial search for the weakest input of every check


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES)
def test_right_answers_keep_their_distance_on_the_worst_input_found(exercise):
    readings = list(tolerances.audit("lecture1", [exercise], EXAMPLES, "audit", variants=False))
    assert readings
    assert [reading for reading in readings if reading.failure or not reading.ratio < 1] == []


def test_the_audit_sees_a_wrong_answer():
    """It is not blind: the naive log(softmax) is far beyond the tolerance on some input."""
    checks = {check.name: check for check in collect("lecture1")}
    check = checks["test_log_prob_is_the_sum_of_the_log_conditionals"]

    def naive(conditional, x):
        p = conditional(x).softmax(-1) + 1e-6
        return p.gather(-1, x[..., None])[..., 0].log().sum(-1)

    examiner = Examiner(load("lecture1"), [check], "audit", key=InstructorsKey("lecture1", names=False))
    transport = known_submissions.with_function("lecture1", check.exercise, naive)
    reading = tolerances._closest(examiner, check, "naive", transport, EXAMPLES)
    assert reading.ratio > 1
    assert reading.failure


# --- no check goes around the rule


def around_the_rule(source: str) -> list[str]:
    """Calls that compare with a tolerance of their own, and comparisons with a small number."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute | ast.Name):
            name = node.attr if isinstance(node, ast.Attribute) else node.id
            if name in ("allclose", "isclose", "assert_close", "assert_allclose", "approx"):
                found.append(f"line {node.lineno}: {name}")
        if isinstance(node, ast.keyword) and node.arg in ("atol", "rtol"):
            found.append(f"line {node.value.lineno}: {node.arg}")
        if isinstance(node, ast.Compare):
            numbers = [side.value for side in [node.left, *node.comparators] if isinstance(side, ast.Constant)]
            if any(isinstance(number, float) and 0 < abs(number) < 0.01 for number in numbers):
                found.append(f"line {node.lineno}: compares with a small number")
    return found


@pytest.mark.parametrize("path", CHECKS, ids=lambda path: path.name)
def test_no_check_has_a_tolerance_of_its_own(path: Path):
    assert around_the_rule(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["torch.allclose(a, b)", "math.isclose(a, b)", "f(a, atol=0.1)", "abs(a - b) < 1e-5", "1e-6 > a", "a == approx(b)"],
)
def test_a_tolerance_of_its_own_is_found(source):
    assert len(around_the_rule(source)) == 1


def test_slack_allows_a_plain_loop_over_784_dimensions():
    assert math.sqrt(784) < SLACK
