"""A name is never a guess: what the catalogue says of a wrong answer is true of it, on the input beside it."""

from __future__ import annotations

import dataclasses
import functools

import pytest
import torch

from dgm_ref import catalogue
from dgm_ref.catalogue import Mistake, contains, size_of
from grader.assignment import load
from grader.exam.collect import collect
from grader.exam.examiner import Examiner
from grader.hidden import known_submissions
from grader.hidden.answer_key import InstructorsKey
from grader.hidden.recognise_mistake import NameFromCatalogue

LECTURE = "lecture1"
MONTE_CARLO, KL = "course_tricks.monte_carlo", "divergences.kl_divergence"


def _mistake(function, *, raises=False, when=None, exercise=MONTE_CARLO, says=""):
    return Mistake(exercise, function.__name__, "", says or function.__name__, function, exercise, False, raises, when, "")


def _examiner(*registered, exercise=MONTE_CARLO, lecture=LECTURE):
    key = InstructorsKey(lecture)
    key.recognise = NameFromCatalogue(lecture, key.solution, lambda topic, asked: registered if asked == exercise else ())
    checks = [check for check in collect(lecture) if check.exercise == exercise]
    return Examiner(load(lecture), checks, "a seed for names", key=key)


def _names(function, *registered, exercise=MONTE_CARLO, examiner=None):
    """The names that a wrong answer is told, where just these mistakes are registered."""
    examiner = examiner or _examiner(*registered, exercise=exercise)
    records = examiner.exercise(exercise, known_submissions.with_function(LECTURE, exercise, function)).checks
    assert any(record.outcome in ("failed", "error") for record in records)
    return {record.mistake for record in records} - {None}


def sum_instead_of_mean(f, x):
    return f(x).sum(dim=0)


def mean_over_everything(f, x):
    return f(x).mean().expand(f(x).shape[1])


def mean_squeezed(f, x):
    return f(x).mean(dim=0).squeeze()


def shifted(f, x):
    return f(x).mean(dim=0) + 1e-3


def test_the_same_answers_by_another_road_get_the_name():
    assert _names(lambda f, x: len(x) * f(x).mean(dim=0), _mistake(sum_instead_of_mean)) == {"sum_instead_of_mean"}


def test_in_a_class_a_mistake_is_tried_once_on_an_input_and_everybody_gets_the_same_name():
    tried = []

    def watched(f, x):
        tried.append(x)
        return sum_instead_of_mean(f, x)

    examiner = _examiner(_mistake(watched))
    first, after_one = _names(sum_instead_of_mean, examiner=examiner), len(tried)
    assert first == {"watched"}
    assert _names(lambda f, x: len(x) * f(x).mean(dim=0), examiner=examiner) == first
    assert len(tried) == after_one > 0


def test_a_mistake_that_once_answered_otherwise_is_not_tried_on_the_submission_again():
    tried, seen = [], []

    def watched(f, x):
        tried.append(x)
        return sum_instead_of_mean(f, x)

    examiner = _examiner(_mistake(watched))
    transport = known_submissions.with_function(LECTURE, MONTE_CARLO, lambda f, x: 1.01 * f(x).mean(dim=0))
    for check in examiner.checks:
        seen.append((examiner.examine(check, transport).outcome == "failed", len(tried)))
    counts = [number for wrong, number in seen if wrong]
    assert len(counts) > 1
    assert counts == [counts[0]] * len(counts)
    assert counts[0] > 0


def test_no_mistake_is_tried_where_nothing_was_returned():
    tried = []
    assert _names(lambda f, x: None, _mistake(lambda f, x: tried.append(x))) == set()
    assert not tried


def test_where_nothing_was_returned_naming_asks_nothing_more():
    def calls(key):
        asked = []
        checks = [check for check in collect(LECTURE) if check.exercise == MONTE_CARLO]
        examiner = Examiner(load(LECTURE), checks, "a seed for names", key=key)
        examiner.exercise(MONTE_CARLO, known_submissions.with_function(LECTURE, MONTE_CARLO, lambda f, x: asked.append(x)))
        return len(asked)

    assert calls(InstructorsKey(LECTURE)) == calls(InstructorsKey(LECTURE, names=False)) > 0


def plus(f, x, constant=1e-2):
    return f(x).mean(dim=0) + constant * f(x).mean(dim=0).square()


@pytest.mark.parametrize(("constant", "names"), [(1e-2, {"plus"}), (1e-3, {"plus"}), (5e-3, set())])
def test_a_mistake_has_its_name_with_each_of_its_constants(constant, names):
    one = dataclasses.replace(_mistake(plus), constants=(1e-3,))
    assert _names(functools.partial(plus, constant=constant), *one.with_each_constant()) == names


def test_what_only_looks_alike_on_a_small_input_stays_unnamed():
    """With one component the mean over everything is right, and a squeeze is not: a larger input tells."""
    assert _names(mean_squeezed, _mistake(mean_over_everything), _mistake(sum_instead_of_mean)) == set()


def test_other_checks_tell_apart_what_is_alike_in_one():
    """A step back without noise is like one without noise where it ends at t = 0, in the check whose step ends there."""
    exercise = "score.reverse_sde_step"
    (noiseless,) = [one for one in catalogue.load("families").mistakes[exercise] if one.name == "back_without_noise"]
    checks = [check for check in collect("families") if check.exercise == exercise]
    examiner = Examiner(load("families"), checks, "a seed for names", key=InstructorsKey("families"))
    records = examiner.exercise(exercise, known_submissions.with_function("families", exercise, noiseless.function)).checks
    assert {record.mistake for record in records if record.outcome == "failed"} == {"back_without_noise"}


def test_a_rival_that_fits_as_well_forbids_the_name():
    def another(f, x):
        return sum_instead_of_mean(f, x)

    assert _names(sum_instead_of_mean, _mistake(sum_instead_of_mean), _mistake(another)) == set()
    alike = [_mistake(function, says="You add.") for function in (sum_instead_of_mean, another)]
    assert _names(sum_instead_of_mean, *alike) == {"sum_instead_of_mean"}  # a rival in words alone is none


@pytest.mark.parametrize("error", [3e-4, 1e-3, 3e-3])
def test_a_small_error_has_the_name_only_of_the_mistake_that_makes_this_very_error(error):
    names = _names(lambda f, x: f(x).mean(dim=0) + error, _mistake(shifted))
    assert names - {"sum_of_it_and_a_constant"} == ({"shifted"} if error == 1e-3 else set())


def test_the_rounding_of_a_part_that_is_right_need_not_be_explained():
    exercise = "divergences.fit_gaussian_forward_kl"

    def variance(x):
        return x.mean(dim=0), x.var(dim=0, correction=0)

    def by_a_longer_way(x):
        mean, spread = variance(x)
        return mean * (1 + 4e-15), spread

    assert _names(by_a_longer_way, _mistake(variance, exercise=exercise), exercise=exercise) == {"variance"}


def test_two_programs_that_stumble_need_not_have_the_same_reason():
    def stumbles(f, x):
        return torch.cat([f(x), x[:, :0].T.sum(dim=7)])

    def also_stumbles(f, x):
        return x.sum(dim=9)

    def refuses(f, x):
        raise IndexError("one is asked for")

    assert _names(also_stumbles, _mistake(stumbles)) == set()
    assert _names(also_stumbles, _mistake(refuses, raises=True)) == set()
    assert _names(refuses, _mistake(refuses, raises=True)) == {"refuses"}


def test_what_is_said_of_the_input_is_true_of_the_input():
    def without_zeros(p, q):
        return (p * (p.log() - q.log())).sum(dim=-1)

    names = [
        _names(without_zeros, _mistake(without_zeros, when=when, exercise=KL), exercise=KL)
        for when in (contains("p", 0), lambda p, q: bool((p > 2).any()))
    ]
    assert names == [{"without_zeros"}, set()]


def test_predicates_take_the_arguments_that_they_name():
    def function(f, x, n=3):
        return None

    x = torch.zeros(2, 5)
    for when, true in [
        (size_of("x", at_least=10), True),
        (size_of("x", at_least=3, axis=0), False),
        (size_of("n", at_least=3), True),
        (contains("x", 1.0), False),
        (lambda x, n: x.shape[1] > n, True),
        (None, True),
    ]:
        assert _mistake(function, when=when).is_true_of(len, x=x) is true


def test_an_assignment_has_its_own_mistakes():
    registered = catalogue.load(LECTURE)
    own = [one for of_one in registered.mistakes.values() for one in of_one]
    assert own
    assert all(one.function.__module__.startswith(f"dgm_ref.{LECTURE}.") for one in own)


@pytest.mark.parametrize(
    ("wrong", "name", "says"),
    [
        (lambda f, x: -f(x).mean(dim=0), "negative_of_it", "What you return is the right answer with the other sign"),
        (lambda f, x: f(x).mean(dim=0).exp(), "exponential_of_it", "the exponential of the right answer"),
        (lambda f, x: 1.5 * f(x).mean(dim=0), "multiple_of_it", "1.5 times the right answer"),
        (lambda f, x: f(x).mean(dim=0) + 0.25, "sum_of_it_and_a_constant", "the right answer plus 0.25"),
        (lambda f, x: f(x).sum(dim=0), "multiple_of_it_by_a_length", "times the length of axis 0 of argument 2"),
        (
            lambda f, x: f(x).mean(dim=0) * len(x) ** -0.5,
            "multiple_of_it_by_a_length",
            "divided by the root of the length of axis 0 of argument 2",
        ),
        (lambda f, x: f(x).mean(dim=0).flip(0), "reverse_of_it", "in reverse along its first axis"),
        (lambda f, x: f(x).mean(dim=0).sum(), "sum_of_it", "the sum of all numbers of the right answer"),
        (lambda f, x: f(x).mean(), "average_of_it", "the average of all numbers of the right answer"),
        (
            lambda f, x: f(x).mean(dim=0) / f(x).shape[1],
            "multiple_of_it_by_a_length",
            "divided by the length of axis 0 of the right answer",
        ),
    ],
)
def test_where_no_mistake_fits_a_simple_relation_to_the_right_answer_is_said(wrong, name, says):
    records = _examiner().exercise(MONTE_CARLO, known_submissions.with_function(LECTURE, MONTE_CARLO, wrong)).checks
    told = [(record.mistake, record.mistake_says) for record in records if record.mistake]
    assert {mistake for mistake, _ in told} == {name}
    assert all(says in sentence for _, sentence in told)


@pytest.mark.parametrize(
    ("exercise", "wrong", "name", "says"),
    [
        ("imagegpt.dequantize", lambda right: lambda x, p: right(x, p).sum(1), "sum_along_an_axis", "summed over its second axis"),
        ("imagegpt.raster_scan", lambda right: lambda x: right(x).T, "axes_exchanged", "with its last axis exchanged with its first axis"),
        ("imagegpt.bits_per_dim", lambda right: lambda p, m: m**2 * right(p, m), "multiple_of_it_by_a_length", "the square of argument 2"),
    ],
)
def test_a_relation_may_be_one_of_axes_and_arguments(exercise, wrong, name, says):
    examiner = _examiner(exercise=exercise)
    records = examiner.exercise(exercise, known_submissions.with_changed(LECTURE, [exercise], wrong)).checks
    told = [(record.mistake, record.mistake_says) for record in records if record.mistake]
    assert {mistake for mistake, _ in told} == {name}
    assert all(says in sentence for _, sentence in told)


def test_a_relation_is_said_of_one_part_of_an_answer():
    exercise = "flows.affine_coupling"
    examiner = _examiner(exercise=exercise, lecture="families")

    def tripled(right):
        return lambda *given: (right(*given)[0], 3 * right(*given)[1])

    records = examiner.exercise(exercise, known_submissions.with_changed("families", [exercise], tripled)).checks
    assert {record.mistake_says for record in records} - {None, ""} == {
        "Part 2 of what you return is 3 times the right answer, on every input that was compared."
    }


@pytest.mark.parametrize(
    "wrong",
    [
        lambda f, x: f(x).mean(dim=0) * (1 if len(x) < 5 else 1.5),  # no relation holds on all inputs
        lambda f, x: f(x).mean(dim=0).pow(3),
        lambda f, x: f(x[:1]).mean(dim=0),
    ],
)
def test_no_relation_is_said_that_does_not_hold_everywhere(wrong):
    assert _names(wrong) == set()


def test_where_a_rubric_waits_for_a_name_no_relation_is_said(monkeypatch):
    monkeypatch.setattr("grader.assignment.Assignment.shares", lambda self, exercise: {"sum_instead_of_mean": 0.5})
    assert _names(lambda f, x: 1.5 * f(x).mean(dim=0), _mistake(sum_instead_of_mean)) == set()
