"""What a class's records say together: scores, how hard and how telling each check was, which mistakes were made."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grader.record import CheckRecord, ExerciseRecord, Record

HISTOGRAM_BINS = 20  # of the histogram, from 0 to 100 %
STOPPED = ("timeout", "crashed")
LISTED = 8  # slowest submissions


@dataclass(frozen=True)
class Item:
    """One check, or one exercise as a whole."""

    name: str
    sentence: str
    points: float
    graded: int  # submissions it was graded for
    full: int  # of them with all points
    share: float  # mean share of the points
    discrimination: float | None  # correlation of full marks here with the score on everything else

    @property
    def pass_rate(self) -> float:
        """How many of those graded got all points."""
        return self.full / self.graded if self.graded else 0.0


@dataclass(frozen=True)
class ExerciseSummary:
    """An exercise and its checks."""

    whole: Item
    slide: str
    bonus: bool
    checks: list[Item]


@dataclass(frozen=True)
class Group:
    """Submissions that have something in common: a named mistake, a reason why a check was not graded."""

    exercise: str
    words: str
    points: float
    submissions: list[str]


@dataclass(frozen=True)
class Class:
    """Everything that the report shows, students' own pages apart."""

    records: list[Record]
    shares: list[float]  # score / max_score of each record
    histogram: list[int]
    exercises: list[ExerciseSummary]
    mistakes: list[Group]
    not_graded: list[Group]
    broken: list[Group]
    slowest: list[Record]

    @property
    def median(self) -> float:
        """Of the shares."""
        return statistics.median(self.shares)

    @property
    def mean(self) -> float:
        """Of the shares."""
        return statistics.fmean(self.shares)


def summarise(records: Sequence[Record]) -> Class:
    """The class of these records, at least one."""
    shares = [share(record.score, record.max_score) for record in records]
    bins = Counter(min(int(one * HISTOGRAM_BINS), HISTOGRAM_BINS - 1) for one in shares)
    return Class(
        records=list(records),
        shares=shares,
        histogram=[bins[number] for number in range(HISTOGRAM_BINS)],
        exercises=_exercises(records),
        mistakes=_groups(records, lambda check: check.mistake_says if check.mistake else ""),
        not_graded=_groups(records, lambda check: (check.message or "no reason was recorded") if check.outcome == "not_graded" else ""),
        broken=_groups(records, lambda check: check.message or check.outcome if check.outcome in STOPPED else ""),
        slowest=sorted(records, key=lambda record: -record.seconds)[:LISTED],
    )


def share(score: float, of: float) -> float:
    """A score as a share of what could be had."""
    return score / of if of else 0.0


def point_biserial(passed: Sequence[bool], rest: Sequence[float]) -> float | None:
    r"""Correlation of a yes-or-no item with a score.

    $$r = \frac{\bar s_1 - \bar s_0}{\sigma_s} \sqrt{p (1 - p)}$$

    with $\sigma_s$ over all $n$; None where it does not exist, because everybody passed, nobody did, or all scores are one.
    """
    return statistics.correlation(passed, rest) if len({*passed}) > 1 and len({*rest}) > 1 else None


def _exercises(records: Sequence[Record]) -> list[ExerciseSummary]:
    taken: dict[str, list[tuple[Record, ExerciseRecord]]] = defaultdict(list)
    for record in records:
        for exercise in record.examined:
            taken[exercise.exercise].append((record, exercise))
    return [_exercise(name, both) for name, both in taken.items()]


def _exercise(name: str, taken: list[tuple[Record, ExerciseRecord]]) -> ExerciseSummary:
    bonus = taken[0][1].bonus
    checks: dict[str, list[tuple[Record, CheckRecord]]] = defaultdict(list)
    for record, exercise in taken:
        for check in exercise.checks:
            checks[check.check].append((record, check))
    whole = [(record, exercise.score, exercise.max_score) for record, exercise in taken if exercise.max_score]
    items = []
    for check_name, both in checks.items():
        graded = [(record, check.points, check.max_points) for record, check in both if check.outcome != "not_graded"]
        items.append(_item(check_name, both[0][1].sentence, both[0][1].max_points, graded, bonus))
    points = max(exercise.max_score + exercise.not_graded for _, exercise in taken)
    return ExerciseSummary(_item(name, "", points, whole, bonus), taken[0][1].slide, bonus, items)


def _item(name: str, sentence: str, points: float, graded: list[tuple[Record, float, float]], bonus: bool) -> Item:
    full = [score >= of for _, score, of in graded]
    rest = [record.score - (0.0 if bonus else score) for record, score, _ in graded]
    mean = statistics.fmean(share(score, of) for _, score, of in graded) if graded else 0.0
    return Item(name, sentence, points, len(graded), sum(full), mean, point_biserial(full, rest))


def _groups(records: Sequence[Record], words: Callable[[CheckRecord], str]) -> list[Group]:
    """Checks for which `words` says something, gathered by exercise and words; the most frequent first."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for record in records:
        for exercise in record.examined:
            for check in exercise.checks:
                said = words(check)
                if said:
                    points = found[exercise.exercise, said]
                    points[record.submission] = points.get(record.submission, 0.0) + check.max_points
    groups = [Group(exercise, said, max(points.values()), sorted(points)) for (exercise, said), points in found.items()]
    return sorted(groups, key=lambda group: (-len(group.submissions), group.exercise, group.words))
