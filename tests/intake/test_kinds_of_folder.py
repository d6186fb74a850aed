"""What kind of folder or download it is: all names decide together, and nothing inside of one entry speaks for another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from grader.submission import find
from tests.intake.making import FLOWS, LECTURE, answers, flows, lay, notebook, of_class, zipped

ZIP = zipped({"flows.py": flows()})
CANVAS = {f"student{n}_{100 + n}_{2000 + n}_flows.py": flows(f"s{n}") for n in range(4)}
MOODLE = {f"Student {n}_{700 + n}_assignsubmission_file_flows.py": flows(f"s{n}") for n in range(4)}
GRADESCOPE = {f"submission_{n}/flows.py": flows(f"s{n}") for n in range(3)} | {"submission_metadata.yml": ""}
STUDENTS = {f"s{n:02}/flows.py": flows(f"s{n}") for n in range(3)}

KINDS = {
    "a class of folders": (STUDENTS, 3, "3 submissions, one for each entry"),
    "a class of zips, modules and notebooks": ({"a.zip": ZIP, "b.py": flows(), "c.ipynb": notebook(flows())}, 3, "3 submissions"),
    "one of them called like a topic": ({"s01.zip": ZIP, "s02.zip": ZIP, "flows.zip": ZIP}, 3, "3 submissions"),
    "an empty folder called like a topic": (STUDENTS | {"vaes/.keep": "", "vaes/x.txt": "x"}, 4, "4 submissions"),
    "a module called like a topic": ({"s01.py": flows(), "s02.py": flows(), "flows.py": flows()}, 3, "3 submissions"),
    "the same of notebooks": ({"s01.ipynb": notebook(flows()), "flows.ipynb": notebook(flows())}, 2, "2 submissions"),
    "folders and one module": (STUDENTS | {"flows.py": flows()}, 4, "4 submissions"),
    "one student": ({"flows.py": flows(), "vaes.ipynb": notebook("x = 1")}, 1, "1 submission"),
    "one student with helpers": ({"flows.py": flows(), "own.py": "x = 1", "more.py": "y = 1", "data/x.csv": "1"}, 1, "1 submission"),
    "one student with an old zip": ({"flows.py": flows(), "vaes.py": "x = 1", "lecture9.zip": ZIP}, 1, "1 submission"),
    "one student's copy": ({"Copy of flows.ipynb": notebook(flows())}, 1, "1 submission"),
    "one student's numbered topics": ({"01_flows.py": flows(), "02_vaes.py": "x = 1"}, 1, "1 submission"),
    "students by number": ({f"{n:02}_flows.py": flows() for n in range(3)}, 3, "3 submissions"),
    "notebooks by number": ({f"flows-{n}.ipynb": notebook(flows()) for n in range(2)}, 2, "2 submissions"),
    "Canvas": (CANVAS, 4, "Canvas download, 4 students"),
    "Moodle": (MOODLE, 4, "Moodle download, 4 students"),
    "Moodle in folders": ({f"S {n}_{70 + n}_assignsubmission_file_/flows.py": flows() for n in range(3)}, 3, "Moodle download, 3 students"),
    "Gradescope": (GRADESCOPE, 3, "Gradescope download, 3 students"),
    "nbgrader": ({f"s{n}/lecture9/flows.ipynb": notebook(flows()) for n in range(3)} | {"s0/ps1/x.ipynb": "{}"}, 3, "nbgrader's submitted folder, 3 students"),
    "Canvas with one name in the form of Moodle": (CANVAS | {"m_99_3000_x_1_assignsubmission_file_n.py": "x"}, 5, "Canvas download, 5 students"),
    "a class with one name in the form of Canvas": (STUDENTS | {"victim_123_4567_flows.py": flows()}, 4, "4 submissions"),
    "a class with one name in the form of Moodle": (STUDENTS | {"V_12_assignsubmission_file_flows.py": flows()}, 4, "4 submissions"),
    "a class with Gradescope's metadata": (STUDENTS | {"submission_metadata.yml": "x"}, 3, "3 submissions"),
    "Canvas without names": (
        {"anon_Ab3dE_9100_flows.py": flows(), "anon_Ab3dE_9101_vaes.py": "x = 1", "LATE_anon_Zz1Yy_9200_flows.py": flows()},
        2, "Canvas download, 2 students",
    ),
    "Canvas with links and texts": (
        CANVAS | {"link_1005_link.html": "<a>", "text_LATE_1006_text.html": "<p>", "index.html": "x"}, 6, "Canvas download, 6 students",
    ),
    "what systems leave": (
        STUDENTS | dict.fromkeys(["Thumbs.db", "desktop.ini", "index.html", ".DS_Store", "__MACOSX/x.py", "README.md"], "x"), 3, "3 submissions",
    ),
    "results of an earlier run": (
        STUDENTS | {"results/.lock": "", "results/records.jsonl": "", "results/s00/record.json": "{}", "grades.csv": "", "canvas.csv": "x"},
        3, "3 submissions",
    ),
    "work beside what marks results": (STUDENTS | {"s9/.dgm-made": "", "s9/flows.py": flows(), "old/.dgm-made": ""}, 4, "4 submissions"),
    "hand-ins called like our tables": (
        {"grades.csv.py": flows(), "records.jsonl.zip": ZIP, "junit.xml.zip": ZIP, "s01.py": flows()}, 4, "4 submissions",
    ),
    "essays are somebody's": ({"anna.docx": "PK", "bert.pdf": "x", "c.py": flows()}, 3, "3 submissions"),
    "nothing": ({}, 0, "0 submissions"),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
def test_the_kind_is_decided_by_all_names_and_said(tmp_path: Path, case: str) -> None:
    files, number, said = KINDS[case]
    found = find(lay(tmp_path / "class", files), LECTURE)
    assert (len(found), found.said.startswith(said)) == (number, True), found.said
    assert len({one.name for one in found}) == number


@pytest.mark.parametrize("case", ["Canvas", "Moodle", "Moodle in folders", "Gradescope", "Canvas without names"])
@pytest.mark.parametrize("form", ["zip", "zip in a folder", "folder in a folder", "zip of a folder", "link"])
def test_a_download_is_one_in_every_form(tmp_path: Path, case: str, form: str) -> None:
    files, number, said = KINDS[case]
    if form.startswith("zip"):
        wrapper = "COURSE/" if form == "zip of a folder" else ""
        path = lay(tmp_path / "x", {"submissions.zip": zipped({wrapper + name: data for name, data in files.items()})}) / "submissions.zip"
        path = path.parent if form == "zip in a folder" else path
    else:
        path = lay(tmp_path / "x" / "submissions", files)
        path = path.parent if form == "folder in a folder" else path
    if form == "link":
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    assert find(path, LECTURE).said == said
    assert {name: answers(one) for name, one in of_class(path).items()} == {
        name: answers(one) for name, one in of_class(lay(tmp_path / "plain", files)).items()
    }


def test_who_is_who_in_a_download(tmp_path: Path) -> None:
    lay(tmp_path, CANVAS | {"mallory_999_3000_student0_100_2000_flows.py": flows("forged"), "extra/flows.py": flows("extra")})
    found = of_class(tmp_path)
    ids = {name: one.student.id for name, one in found.items() if one.student}
    assert ids == {f"student{n}_{100 + n}": str(100 + n) for n in range(4)} | {"mallory_999": "999"}
    assert answers(found["student0_100"]) == dict.fromkeys(FLOWS, "s0")
    assert found["extra"].student is None


FORMS_OF_CANVAS = {
    "alphaanna_1001_9001_flows.py": flows(), "alphaanna_1001_9002_vaes.py": "def elbo(x): return 1", "anon_Ab3dE_9011_flows.py": flows(),
    "betabob_LATE_1002_9003_flows-1.py": flows(), "gammacarl_1003_9004_lecture9.zip": ZIP, "deltadora_1004_9005_lecture9-2.zip": ZIP,
    "epsilonerik_1005_link.html": "<a>", "zetazoe_LATE_1006_text.html": "<p>", "eta2eva_1007_9006_Copy of flows (1).ipynb": notebook(flows()),
    "thetatom_1008_9007_flows.pdf": "%PDF", "王小明_1009_9008_flows.py": flows(), "iotaoconnor_1010_9009_o'connor_12_345_flows.py": flows(),
    "kappakim_1011_9010_flows.ipynb.txt": notebook(flows()), "lambdaleo_1012_9012_flows.rar": b"Rar!",
}  # fmt: skip


def test_every_form_of_canvas_names_is_a_student(tmp_path: Path) -> None:
    found = of_class(lay(tmp_path / "canvas", FORMS_OF_CANVAS))
    ids = {one.student.id: one for one in found.values() if one.student}
    assert (len(found), set(ids)) == (13, {str(number) for number in range(1001, 1013)})
    assert [number for number, one in ids.items() if one.student.late] == ["1002", "1006"]  # type: ignore[union-attr]
    for number, one in {**ids, "anonymous": found["anon_Ab3dE"]}.items():
        right = answers(one) == dict.fromkeys(FLOWS, "right")
        assert right or (number in ("1005", "1006", "1008", "1012") and one.problems), number
    assert set(ids["1001"].topics) == {"flows", "vaes"}


def test_moodles_flat_names_count_from_the_left(tmp_path: Path) -> None:
    forged = "Mallory Z_111_assignsubmission_file_Anna Victim_765_assignsubmission_file_flows.py"
    lay(tmp_path, {forged: flows("forged"), "Anna Victim_765_assignsubmission_file_flows.py": flows("own")})
    found = of_class(tmp_path)
    assert {name: one.student and one.student.id for name, one in found.items()} == {"Mallory Z_111": "111", "Anna Victim_765": "765"}
    assert answers(found["Anna Victim_765"]) == dict.fromkeys(FLOWS, "own")


@pytest.mark.parametrize("form", ["folder", "zip", "pack"])
def test_names_inside_of_a_lone_submission_are_nobodys(tmp_path: Path, form: str) -> None:
    names = {"victimanna_340934_208490284_flows.py": flows(), "malloryx_340999_208490285_flows.py": flows()}
    if form == "folder":
        lay(tmp_path / "class/mallory_77_88_late", names)
    else:
        lay(tmp_path / "class", {"lecture9.zip" if form == "pack" else "mallory.zip": zipped(names)})
    (submission,) = of_class(tmp_path / "class").values()
    assert submission.student is None
    assert any("files of 2 students" in problem for problem in submission.problems)


def test_a_lone_submission_is_no_gradescope_download(tmp_path: Path) -> None:
    lay(tmp_path / "class/submission_5", GRADESCOPE)
    assert {name: one.student for name, one in of_class(tmp_path / "class").items()} == {"submission_5": None}


def test_a_students_own_pack_is_not_a_download_by_its_own_path(tmp_path: Path) -> None:
    lay(tmp_path, {"lecture9.zip": zipped(CANVAS)})
    assert [one.student for one in find(tmp_path / "lecture9.zip", LECTURE)] == [None]


@pytest.mark.parametrize(
    ("layout", "number"), [("one", 1), ("class", 2), ("canvas", 2), ("moodle", 2), ("gradescope", 2), ("nbgrader", 2), ("auto", 1)]
)
def test_the_kind_can_be_said(tmp_path: Path, layout: str, number: int) -> None:
    lay(tmp_path, {"flows.py": flows(), "vaes.py": "x = 1"})
    found = find(tmp_path, LECTURE, layout)  # type: ignore[arg-type]
    assert len(found) == number
    lay(tmp_path, {"class.zip": zipped(STUDENTS)})
    assert len(find(tmp_path / "class.zip", LECTURE, "class")) == 3
    assert len(find(tmp_path / "class.zip", LECTURE)) == 1


def test_links_are_not_followed_and_everybody_has_a_row(tmp_path: Path) -> None:
    lay(tmp_path / "secret", {"flows.py": flows("secret")})
    lay(tmp_path / "class", STUDENTS)
    (tmp_path / "class/link").symlink_to(tmp_path / "secret")
    (tmp_path / "class/link.py").symlink_to(tmp_path / "secret/flows.py")
    (tmp_path / "class/broken").symlink_to(tmp_path / "nowhere")
    found = of_class(tmp_path / "class")
    assert len(found) == 6
    for name in ("link", "link (2)", "broken"):
        assert not found[name].topics
        assert "a link or a device" in found[name].problems[0]


def test_a_zip_in_a_download_is_read_like_a_plain_one(tmp_path: Path) -> None:
    inner = zipped({"a/b/hw.zip": zipped({"flows.py": flows()})})
    lay(tmp_path / "plain", {"anna.zip": inner, "bert.zip": ZIP})
    lay(tmp_path / "canvas", {"anna_100_2000_hw.zip": inner, "bert_101_2001_hw.zip": ZIP})
    plain, canvas = of_class(tmp_path / "plain"), of_class(tmp_path / "canvas")
    assert answers(plain["anna"]) == answers(canvas["anna_100"]) == dict.fromkeys(FLOWS, "right")
    assert plain["anna"].problems == canvas["anna_100"].problems
    shutil.make_archive(str(tmp_path / "submissions"), "zip", tmp_path / "canvas")
    assert answers(of_class(tmp_path / "submissions.zip")["anna_100"]) == dict.fromkeys(FLOWS, "right")
