"""assignment.toml: what it may say, and what is refused with the file and the key."""

from pathlib import Path

import pytest

from grader import assignment
from grader.assignment import AssignmentError, load

EXERCISE = """
[[exercise]]
name = "{name}"
points = {points}
slide = 3
hints = ["Look at the slide."]
"""


def lecture(checkout: Path, content: str, name: str = "lecture9") -> Path:
    path = checkout / "assignments" / name / "assignment.toml"
    path.parent.mkdir(parents=True)
    path.write_text(content, "utf-8")
    return path


def exercises(*names: str, points: float = 2) -> str:
    return 'title = "A lecture"\n' + "".join(EXERCISE.format(name=name, points=points) for name in names)


def test_an_assignment_keeps_its_exercises_in_order(tmp_path):
    lecture(tmp_path, exercises("flows.planar", "flows.Coupling.forward", "vaes.elbo"))
    loaded = load("lecture9", tmp_path)
    assert (loaded.name, loaded.title, loaded.points) == ("lecture9", "A lecture", 6)
    assert loaded.topics == ("flows", "vaes")
    assert [exercise.function for exercise in loaded.of_topic("flows")] == ["planar", "Coupling.forward"]
    assert loaded["vaes.elbo"].topic == "vaes"
    with pytest.raises(KeyError, match="lecture9 has no exercise 'vaes.iwae'"):
        loaded["vaes.iwae"]


def test_bonus_is_beside_the_points(tmp_path):
    lecture(tmp_path, exercises("flows.planar", "flows.radial") + "bonus = true\n")
    loaded = load("lecture9", tmp_path)
    assert loaded.points == 2
    assert [exercise.name for exercise in loaded.required] == ["flows.planar"]
    assert loaded.functions("flows") == ("planar", "radial")


def test_an_exercise_that_is_switched_off_is_not_there(tmp_path):
    lecture(tmp_path, exercises("flows.planar", "flows.radial") + "enabled = false\n")
    loaded = load("lecture9", tmp_path)
    assert loaded.functions("flows") == ("planar",)
    assert loaded.switched_off == ("flows.radial",)
    assert loaded.points == 2
    with pytest.raises(KeyError, match="no exercise 'flows.radial'"):
        loaded["flows.radial"]


def test_an_exercise_that_looks_again_is_no_function(tmp_path):
    lecture(tmp_path, exercises("flows.planar", "flows.gpu") + 'of = ["flows.planar"]\n')
    assert load("lecture9", tmp_path).functions("flows") == ("planar",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('title = "unfinished', "not readable as TOML"),
        ("exercise = []", "title"),
        (exercises("flows.planar").replace("points = 2", 'points = "two"'), r"exercise\[0\].points"),
        (exercises("flows.planar").replace("points = 2", "points = 0"), "points of flows.planar are 0"),
        (exercises("flows.planar").replace("points", "poinst"), "poinst"),
        (exercises("flows.planar").replace('["Look at the slide."]', "[]"), "hints of flows.planar are empty"),
        (exercises("planar"), "name 'planar' is not of the form"),
        (exercises("flows.planar", "flows.planar"), "exercise flows.planar stands here 2 times"),
        (exercises("flows.planar", "vaes.elbo", "flows.radial"), "exercises of flows are scattered"),
        (exercises("flows.planar") + 'of = ["flows.radial"]', "exercise flows.planar: of: there is no exercise"),
        (exercises("flows.a", "flows.b").replace("slide", 'of = ["flows.b"]\nslide', 1) + "enabled = false", "flows.a: of: there is no"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_file_and_key(tmp_path, content, complaint):
    path = lecture(tmp_path, content)
    with pytest.raises(AssignmentError, match=complaint) as refusal:
        load("lecture9", tmp_path)
    assert str(refusal.value).startswith(str(path))


def test_a_lecture_that_is_not_there_is_answered_with_those_that_are(tmp_path):
    lecture(tmp_path, exercises("flows.planar"))
    with pytest.raises(AssignmentError, match="lectures are: lecture9"):
        load("lecture8", tmp_path)


@pytest.mark.parametrize("name", assignment.lectures())
def test_every_committed_assignment_loads(name):
    assert load(name).exercises


def test_the_first_lecture_is_worth_a_hundred_points():
    points: dict[str, float] = {}
    for exercise in load("lecture1").required:
        points[exercise.topic] = points.get(exercise.topic, 0) + exercise.points
    assert list(points.items()) == [
        ("course_tricks", 18),
        ("change_of_variables", 14),
        ("histogram", 10),
        ("divergences", 18),
        ("autoregressive", 22),
        ("imagegpt", 18),
    ]
