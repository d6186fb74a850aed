"""The class report with 500 students, some of them hostile, as text and in a real browser."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scipy import stats

from grader import assignment as assignments
from grader.record import CheckRecord, KitRecord, Record, exercise_record, summed
from grader.renderings import class_statistics, html, report

STUDENTS = 500
HOSTILE = "<script>document.title='taken'</script>"
KIT = KitRecord(version="0.1.0+0123456789ab", torch="2.13.0", hypothesis="6", seed="sha256:" + "0" * 32, isolation="namespaces")
SAYS = {
    "divergences.kl_divergence": "This is KL(q‖p): you computed the reverse KL. Forward KL averages over p.",
    "change_of_variables.log_prob_x": "You subtracted log|det J|. Stretching x into z raises the density of x.",
    "autoregressive.context_mask": "Position j sees itself: the mask is shifted by one.",
}


def classroom(students: int = STUDENTS, seed: int = 1) -> list[Record]:
    """Records as a class might have them: ability varies, so does difficulty."""
    rng = random.Random(seed)
    assignment = assignments.load("lecture1")
    hardness = {exercise.name: rng.gauss(-0.4, 0.8) for exercise in assignment.exercises}
    records = []
    for number in range(students):
        ability = rng.gauss(0.6, 1.0)
        name = HOSTILE if number == 7 else f"{rng.choice('AEIOU')}student {number:03}"
        exercises = []
        for exercise in assignment.exercises:
            slots = 4 if exercise.points >= 2 else 2
            checks = [_check(rng, exercise.name, slot, exercise.points / slots, ability - hardness[exercise.name]) for slot in range(slots)]
            exercises.append(exercise_record(exercise.name, str(exercise.slide), checks, exercise.bonus))
        records.append(
            Record(
                submission=name, assignment="lecture1", kit=KIT, seconds=round(rng.lognormvariate(0.8, 0.5), 2),
                problems=[HOSTILE] if number == 9 else [], **summed(exercises),
            )
        )  # fmt: skip
    return records


def _check(rng: random.Random, exercise: str, slot: int, points: float, margin: float) -> CheckRecord:
    sentence = f"Property {slot} of {exercise} holds <b>exactly</b>."
    told: dict[str, Any] = {"check": f"test_property_{slot}", "max_points": points, "sentence": sentence}
    if exercise == "imagegpt.gpu":
        return CheckRecord(**told, outcome="not_graded", points=0.0, message="this machine has no GPU")
    if rng.gauss(margin, 0.7) > 0:
        return CheckRecord(**told, outcome="passed", points=points)
    outcome = rng.choices(["failed", "error", "missing", "timeout", "crashed"], [60, 10, 25, 3, 2])[0]
    named = {"mistake": "known", "mistake_says": SAYS[exercise]} if outcome == "failed" and exercise in SAYS and rng.random() < 0.6 else {}
    told |= {"message": f"you returned {HOSTILE}, expected 0.3681", "counterexample": f"f(x={HOSTILE!r})"}
    return CheckRecord(**told, **named, outcome=outcome, points=0.0)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return classroom()


@pytest.fixture(scope="module")
def written(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("report") / "report.html"
    assert len(report.write(records, page)) == 1 + STUDENTS
    return page


class Elements(HTMLParser):
    """Tags, links and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attributes if tag == "a" and key == "href"]
        loads = ("src", "srcset", "action", *(["href"] if tag == "link" else []))
        self.outside += [value or "" for key, value in attributes if key in loads]


def test_what_a_student_wrote_is_text(written: Path) -> None:
    pages = [written, *written.parent.glob("report_students/*.html")]
    assert len(pages) == 1 + STUDENTS
    for page in pages:
        text = page.read_text("utf-8")
        assert HOSTILE not in text
        assert Elements(text).tags.count("script") == (1 if page == written else 0)
        assert "<b>exactly" not in text
    assert "&lt;script&gt;" in written.read_text("utf-8")


def test_a_long_name_breaks_between_words_and_is_escaped() -> None:
    assert html._breakable("a_b.<i>") == "a_<wbr>b.<wbr>&lt;i&gt;"


def test_the_page_needs_nothing_else(written: Path) -> None:
    elements = Elements(written.read_text("utf-8"))
    assert elements.outside == []
    links = {link for link in elements.links if not link.startswith("#")}
    assert len(links) == STUDENTS
    assert all((written.parent / link).is_file() for link in links)


def test_a_students_page_names_nobody_else(records: list[Record]) -> None:
    page = report.student_page(records[3])
    assert records[3].submission in page
    assert not any(other.submission in page for other in records if other is not records[3])


def test_what_was_not_written_is_said_once_and_the_rest_is_folded() -> None:
    missing = [CheckRecord(check=f"test_{n}", outcome="missing", points=0, max_points=1, message="not implemented yet") for n in range(3)]
    passed = CheckRecord(check="test_3", outcome="passed", points=1, max_points=1)
    for checks, open_ones in ((missing, 1), ([*missing, passed], 4)):
        shown = html.exercises([exercise_record("divergences.kl_divergence", "34", checks)])
        assert shown.split("<details>")[0].count("<li") == open_ones


def test_the_bonus_is_shown_and_changes_no_share(records: list[Record], written: Path) -> None:
    without = [msgspec.structs.replace(record, bonus=[], bonus_score=0.0) for record in records]
    with_bonus, plain = class_statistics.summarise(records), class_statistics.summarise(without)
    assert with_bonus.shares == plain.shares
    assert max(with_bonus.shares) <= 1
    assert with_bonus.exercises[-1].bonus
    assert [one.whole for one in with_bonus.exercises[:-1]] == [one.whole for one in plain.exercises]
    assert "<button>bonus</button>" in written.read_text("utf-8")
    assert "<button>bonus</button>" not in report.class_page(without, {record.submission: "" for record in records})
    some, none = (msgspec.structs.replace(records[3], bonus_score=score) for score in (2.5, 0.0))
    assert "; bonus 2.5 of 5" in report.student_page(some)
    assert "; bonus" not in report.student_page(none)  # nobody is told that these points are missing
    assert "<h2>Bonus</h2>" in report.student_page(none)
    assert "onus" not in report.student_page(without[3])


def test_point_biserial_is_the_correlation() -> None:
    rng = random.Random(3)
    passed = [rng.random() < 0.4 for _ in range(60)]
    rest = [rng.gauss(10 + 2 * good, 3) for good in passed]
    want = stats.pointbiserialr(passed, rest).statistic
    assert class_statistics.point_biserial(passed, rest) == pytest.approx(want, rel=1e-12)
    assert class_statistics.point_biserial([True, True], [1.0, 2.0]) is None
    assert class_statistics.point_biserial([True, False], [1.0, 1.0]) is None


def test_summary_counts_students_not_checks(records: list[Record]) -> None:
    summary = class_statistics.summarise(records)
    assert sum(summary.histogram) == STUDENTS
    for group in summary.mistakes:
        taken = [(r.submission, e) for r in records for e in r.exercises if e.exercise == group.exercise]
        made = {submission for submission, e in taken if any(c.mistake_says == group.words for c in e.checks)}
        assert set(group.submissions) == made
        assert len(group.submissions) == len(made)
    (gpu,) = summary.not_graded
    assert (gpu.exercise, len(gpu.submissions), gpu.points) == ("imagegpt.gpu", STUDENTS, 2.0)
    kl = next(exercise for exercise in summary.exercises if exercise.whole.name == "divergences.kl_divergence")
    full = sum(e.score == e.max_score for r in records for e in r.exercises if e.exercise == kl.whole.name)
    assert (kl.whole.full, kl.whole.graded) == (full, STUDENTS)
    assert kl.whole.discrimination is not None
    assert kl.whole.discrimination > 0.1


@pytest.mark.parametrize("score", [0.0, 100.0])
def test_a_class_of_one_is_a_class(score: float, tmp_path: Path) -> None:
    check = CheckRecord(check="test_f", outcome="passed" if score else "missing", points=score, max_points=100.0)
    alone = Record(
        submission="anna", assignment="lecture1", score=score, max_score=100.0, not_graded=0.0,
        exercises=[exercise_record("flows.planar", "3", [check])], kit=KIT, seconds=1.0,
    )  # fmt: skip
    page, student = report.write([alone], tmp_path / "r.html")
    assert "1 submission ·" in page.read_text("utf-8")
    assert f"{score:g} of 100 points" in student.read_text("utf-8")


def test_submissions_that_differ_in_signs_only_have_pages_of_their_own(tmp_path: Path) -> None:
    one, other = classroom(2)
    names = [report._file_name(name) for name in ("anna b", "anna-b", "../anna b", "." * 300)]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,60}\.html", name) for name in names)
    assert one.submission != other.submission


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'dgm-kit[dev]'")
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, written: Path) -> Iterator[Any]:
    opened = browser.new_page()
    opened.complaints = []
    opened.on("console", lambda message: opened.complaints.append(message.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.goto(written.as_uri())
    yield opened
    assert opened.complaints == []
    opened.close()


def test_500_students_are_there_in_two_seconds(browser: Any, written: Path) -> None:
    opened = browser.new_page()
    opened.goto("about:blank")
    started = time.perf_counter()
    opened.goto(written.as_uri())
    opened.wait_for_function("document.querySelectorAll('#students tbody tr').length === 500")
    assert time.perf_counter() - started < 2
    opened.close()


def test_no_script_of_a_student_runs(page: Any, written: Path) -> None:
    assert page.title() == "lecture1: 500 submissions"
    page.goto((written.parent / "report_students" / report._file_name(HOSTILE)).as_uri())
    assert "taken" not in page.title().split("'")[0]
    assert HOSTILE in page.inner_text("h1")


def test_search_and_sort(page: Any) -> None:
    page.fill("#search", "student 123")
    assert page.locator("#students tbody tr:visible").count() == 1
    assert page.inner_text("#count") == "1 of 500"
    page.fill("#search", "")
    page.get_by_role("button", name="score").click()
    scores = [float(text) for text in page.locator("#students tbody td:nth-child(2)").all_inner_texts()]
    assert scores == sorted(scores)
    page.get_by_role("button", name="score").focus()
    page.keyboard.press("Enter")
    assert page.locator("#students th[aria-sort]").get_attribute("aria-sort") == "descending"
    scores = [float(text) for text in page.locator("#students tbody td:nth-child(2)").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out_of_the_window(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_told_from_the_paper(page: Any, scheme: str) -> None:
    """Contrast of at least 4.5, as WCAG AA asks for."""
    page.emulate_media(color_scheme=scheme)
    for selector in ("body", ".quiet", "nav a", ".look", "small"):
        colours = page.evaluate(
            "s => [getComputedStyle(document.querySelector(s)).color, getComputedStyle(document.body).backgroundColor]", selector
        )
        assert _contrast(*colours) >= 4.5, (selector, colours)


def _contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
