"""One record as Gradescope's ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from grader.record import CheckRecord, ExerciseRecord, Record


def gradescope(record: Record) -> str:
    """What an autograder leaves in ``/autograder/results/results.json``; each check is a test with its own points.

    Gradescope takes the total from ``score``, to which the bonus does not belong; ``extra_data`` has it for scripts.
    """
    beside = f"Bonus, beside the score: {record.bonus_score:g} of {record.bonus_max_score:g} points."
    results = {
        "score": record.grade,
        "execution_time": round(record.seconds),
        "output": "\n".join([*explained(record), *([beside] if record.bonus_score else []), *record.problems]),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"bonus_score": record.bonus_score},
        "tests": [test for number, exercise in enumerate(record.examined, 1) for test in _tests(number, exercise)],
    }
    return json.dumps(results, indent=1, ensure_ascii=False)


def explained(record: Record) -> list[str]:
    """What a course made of the score, and why."""
    final = record.final
    changed = [f"The exam's score is {record.score:g}, the grade {final.points:g}."] if final and record.grade != record.score else []
    return [*changed, *(final.why if final else [])]


def _tests(number: int, exercise: ExerciseRecord) -> Iterator[dict[str, object]]:
    for part, check in enumerate(exercise.checks, 1):
        test: dict[str, object] = {
            "name": f"{'bonus: ' if exercise.bonus else ''}{exercise.exercise}: {check.sentence or check.check}",
            "number": f"{number}.{part}",
            "output": explanation(check),
            "output_format": "text",
            "tags": [exercise.exercise, check.outcome],
        }
        if check.outcome != "not_graded":
            test |= {
                "score": check.points,
                "max_score": check.max_points,
                "status": "passed" if check.outcome == "passed" else "failed",
            }
        yield test


def explanation(check: CheckRecord) -> str:
    """What a student reads about a check that did not pass: what went wrong, on what input, by which mistake."""
    return "\n".join(part for part in (check.message, check.counterexample, check.mistake_says) if part)
