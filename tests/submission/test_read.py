"""Folders, modules, notebooks and zips of any kind become sources by topic, and complaints become sentences."""

import os
import stat
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.assignment import REPO_ROOT, load
from grader.submission import HandedIn, find, read
from grader.submission.files import File

FLOWS = "def planar(x):\n    return x\n\n\ndef log_prob(x):\n    return 1\n"
VAES = "def elbo(x):\n    return x\n\n\ndef log_prob(x):\n    return 2\n\n\nclass Encoder:\n    pass\n"
STUB = "def planar(x):\n    raise NotImplementedError('planar')\n"
WHOLE = {"flows": [FLOWS], "vaes": [VAES]}


# --- forms of a submission


def test_a_folder_of_modules(session):
    session.lay("anna/flows.py", FLOWS)
    session.lay("anna/vaes.py", VAES)
    submission = session.the_only()
    assert (submission.name, submission.topics, submission.problems) == ("anna", WHOLE, ())


def test_a_single_module_and_a_single_notebook(session):
    session.lay("anna.py", FLOWS)
    session.lay("bert.ipynb", session.notebook("%matplotlib inline", "def elbo(x):\n    !ls"))
    found = session.submissions()
    assert found["anna"].topics == {"flows": [FLOWS]}
    assert found["bert"].topics == {"vaes": ["pass", "def elbo(x):\n    pass"]}


def test_the_path_of_one_submission_is_one_submission(session):
    session.lay("work/flows.py", FLOWS)
    session.lay("work/notes/old.py", "x = 1")
    assert session.the_only("work").name == "work"
    assert session.the_only("work/flows.py").topics == {"flows": [FLOWS]}


@pytest.mark.parametrize(
    "prefix",
    ["", "my work/", "a/b/c/", "./", "Übung 1 (Müller)/", "a\\b\\", "anna_müller-copy/assignments/lecture9/"],
)
def test_a_zip_with_nested_folders_and_what_macos_adds(session, prefix):
    entries = {f"{prefix}flows.py": FLOWS, f"{prefix}vaes.py": VAES, "__MACOSX/._flows.py": b"\0\5", ".DS_Store": b"\0"}
    session.lay("anna müller.zip", session.zipped(entries))
    submission = session.the_only()
    assert (submission.name, submission.topics, submission.problems) == ("anna müller", WHOLE, ())


def test_a_zip_in_a_zip_and_what_students_zip_along(session):
    inner = session.zipped({"hw/vaes.py": VAES, "hw/.venv/lib/flows.py": "bad", "hw/venv/x/site-packages/a.py": "bad"})
    outer = session.zipped({"a/flows.py": FLOWS, "b/inner.zip": inner, "data.csv": "1", "a/__pycache__/flows.pyc": b"\0"})
    session.lay("anna.zip", outer)
    said = ("vaes was taken from hw/vaes.py in b/inner.zip: beside the archive there is less of it",)
    assert (session.the_only().topics, session.the_only().problems) == (WHOLE, said)


def test_umlauts_in_names_that_macos_does_not_declare(session):
    content = session.zipped({"Xbung/flows.py": "bad", "Xbung/vaes.py": VAES})
    session.lay("anna.zip", content.replace(b"Xbung/flows.py", "Übung/bad.rar".encode()))  # equally long
    assert session.the_only().problems == ("Übung/bad.rar was not read: hand in a .zip, a module or a notebook",)


# --- which file is which topic


@pytest.mark.parametrize(
    "name",
    ["flows.py", "flows (1).py", "Flows-2.py", "01_flows.py", "anna_flows_final.py", "solution.py", "flows.IPYNB"],
)
def test_a_topic_is_known_by_its_files_name_or_by_its_functions(session, name):
    session.lay(f"anna/{name}", session.notebook(FLOWS) if name.endswith("IPYNB") else FLOWS)
    assert session.the_only().topics == {"flows": [FLOWS]}


def test_functions_decide_where_the_name_is_wrong(session):
    session.lay("anna/flows.py", VAES)
    assert session.the_only("anna").topics == {"vaes": [VAES]}


def test_a_notebook_may_hold_several_topics_and_of_a_name_that_they_share_the_nearest_counts(session):
    session.lay("anna.ipynb", session.notebook(FLOWS, VAES))
    submission = session.the_only()
    assert "return 1" in submission.topics["flows"][0] + submission.topics["flows"][1]
    assert "return 2" not in submission.topics["flows"][0] + submission.topics["flows"][1]
    assert "return 2" in submission.topics["vaes"][1]
    assert "return 1" not in submission.topics["vaes"][0]
    assert "flows: anna.ipynb defines log_prob 2 times: what stands nearest to this topic counts" in submission.problems


def test_of_two_versions_in_the_file_of_one_topic_the_last_counts(session):
    session.lay("anna/flows.py", FLOWS + FLOWS.replace("return 1", "return 3"))
    submission = session.the_only("anna")
    assert "flows: flows.py defines log_prob 2 times: the last one counts" in submission.problems
    assert submission.topics["flows"][0].rindex("return 3") > submission.topics["flows"][0].rindex("return 1")


def test_the_file_with_the_work_in_it_is_graded(session):
    session.lay("anna/flows.py", STUB)
    session.lay("anna/flows.ipynb", session.notebook(FLOWS))
    session.lay("anna/test_flows.py", "def test_planar():\n    pass\n")
    submission = session.the_only("anna")
    assert (submission.topics, submission.problems) == ({"flows": [FLOWS]}, ())


def test_of_two_files_with_work_the_fuller_one_is_graded_and_both_are_named(session):
    session.lay("anna/old/flows.py", "def planar(x):\n    return 0\n")
    session.lay("anna/new/flows.py", FLOWS)
    submission = session.the_only()
    assert submission.topics == {"flows": [FLOWS]}
    assert submission.problems == ("flows: planar differs in new/flows.py and old/flows.py; new/flows.py was taken",)


def test_modules_that_a_topic_imports_come_along_unless_they_hide_others(session):
    session.lay("anna/flows.py", "import helpers, random\nfrom torch import nn\n" + FLOWS)
    session.lay("anna/helpers.py", "from .more import y\n")
    for name in ("more", "random", "torch", "unrelated"):
        session.lay(f"anna/{name}.py", "y = 1\n")
    assert set(session.the_only("anna").topics) == {"flows", "helpers", "more"}


def test_our_own_checks_and_pictures_are_not_run_again_but_what_students_add_to_them_is():
    content = (REPO_ROOT / "assignments/lecture1/histogram.ipynb").read_bytes()
    changed = content.replace(b'"show(\\"fit_histogram\\")"', b'"show(\\"fit_histogram\\")\\n", "mine = 1"')
    assert changed != content
    handed_in = HandedIn("anna", (File("histogram.ipynb", lambda most: changed[:most]),))
    cells = read(handed_in, load("lecture1")).topics["histogram"]
    assert not any(call in cell for cell in cells for call in ("check(", "show(", "checker(", "painter("))
    assert "pass\nmine = 1" in cells


# --- bad input: a sentence, never an exception, and nothing is lost for the others


def lay_symlink(session):
    session.lay("secret.txt", FLOWS)
    (session.folder / "class/anna").mkdir(parents=True)
    (session.folder / "class/anna/flows.py").symlink_to(session.folder / "secret.txt")


def lay_dangling(session):
    (session.folder / "class").mkdir()
    (session.folder / "class/anna.zip").symlink_to(session.folder / "nowhere.zip")


def lay_fifo(session):
    (session.folder / "class/anna").mkdir(parents=True)
    os.mkfifo(session.folder / "class/anna/flows.py")


def lay_symlink_in_zip(session):
    path = session.lay("class/anna.zip", "")
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("flows.py")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")


def lay_unusual_compression(session):
    with zipfile.ZipFile(session.lay("class/anna.zip", ""), "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("flows.py", FLOWS)


def lay_damaged(session):
    content = bytearray(session.zipped({"flows.py": FLOWS}))
    content[45] ^= 0xFF
    session.lay("class/anna.zip", bytes(content))


def lay_encrypted(session):
    content = bytearray(session.zipped({"flows.py": FLOWS}))
    content[content.index(b"PK\1\2") + 8] |= 1
    content[6] |= 1
    session.lay("class/anna.zip", bytes(content))


def lay_nested(session):
    content = session.zipped({"flows.py": FLOWS})
    for _ in range(4):
        content = session.zipped({"more.zip": content})
    session.lay("class/anna.zip", content)


def lay_nothing(session):
    (session.folder / "class/anna").mkdir(parents=True)


def lay_half_an_archive(session):
    session.lay("class/anna.zip", session.zipped({"flows.py": FLOWS})[:60])


def lay_too_much(session):
    session.lay("class/anna.ipynb", session.notebook(FLOWS, *["x = 1\n" * 5000] * 40))


def laying(name, content):
    return lambda session: session.lay("class/" + name, content)


def zipping(entries):
    return lambda session: session.lay("class/anna.zip", session.zipped(entries))


BAD = {
    "a folder with nothing in it": (lay_nothing, "nothing to grade was found"),
    "a zip with nothing in it": (zipping({}), "nothing to grade was found"),
    "an essay": (laying("anna.docx", b"PK"), "nothing to grade was found"),
    "no bytes at all": (laying("anna.zip", b""), "anna.zip was not read: it is no readable zip archive"),
    "a text called zip": (laying("anna.zip", "hello"), "it is no readable zip archive"),
    "half a zip": (lay_half_an_archive, "it is no readable zip archive"),
    "a damaged zip": (lay_damaged, "flows.py cannot be read: "),
    "an encrypted zip": (lay_encrypted, "flows.py was not read: it is encrypted"),
    "a rar": (laying("anna.rar", b"Rar!"), "anna.rar was not read: hand in a .zip, a module or a notebook"),
    "lzma": (lay_unusual_compression, "it is compressed in an unusual way"),
    "a zip bomb": (zipping({"flows.py": b" " * (50 << 20)}), "larger than 2 MiB"),
    "zips in zips": (lay_nested, "it is an archive in an archive in an archive"),
    "a path that climbs": (zipping({"../../flows.py": FLOWS}), "leads out of the archive"),
    "an absolute path": (zipping({"/etc/flows.py": FLOWS}), "leads out of the archive"),
    "a path with a drive": (zipping({"C:\\flows.py": FLOWS}), "leads out of the archive"),
    "a climb the Windows way": (zipping({"..\\flows.py": FLOWS}), "leads out of the archive"),
    "a deep path": (zipping({"a/" * 20 + "flows.py": FLOWS}), "nested deeper than 12"),
    "a deep folder": (laying("anna/" + "a/" * 20 + "flows.py", FLOWS), "….zip was not read: it is nested deeper than 12 folders"),
    "a link to nothing": (lay_dangling, "anna.zip was not read: it is a link or a device"),
    "a link in a zip": (lay_symlink_in_zip, "flows.py was not read: it is a link or a device"),
    "a link": (lay_symlink, "flows.py was not read: it is a link or a device"),
    "a pipe": (lay_fifo, "flows.py was not read: it is a link or a device"),
    "no notebook": (laying("anna/flows.ipynb", "not json"), "flows.ipynb is no notebook: JSONDecodeError"),
    "JSON": (laying("anna/flows.ipynb", "[]"), "flows.ipynb is no notebook: it is JSON, but not a list of cells"),
    "deep JSON": (laying("anna/flows.ipynb", "[" * 100_000), "flows.ipynb is no notebook: it is nested too deeply"),
    "too many signs": (laying("anna/flows.py", f"{FLOWS}x = {'-' * 50_000}1"), "flows.py is no Python (it is nested too deeply)"),
    "a binary": (laying("anna/flows.py", b"\x7fELF\0\0"), "flows.py is no text"),
    "a long line": (laying("anna.py", FLOWS + "x = '" + "y" * 70_000 + "'"), "more than 60000 characters"),
    "too much code": (lay_too_much, "more than 800000"),
    "too many files": (zipping({f"{i}.py": "" for i in range(600)}), "more than 500 files"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence_and_costs_nobody_else_anything(session, case):
    lay, sentence = BAD[case]
    lay(session)
    session.lay("class/bert.py", FLOWS)
    found = session.submissions("class")
    assert set(found) == {"anna", "bert"}
    assert (found["bert"].topics, found["bert"].problems) == ({"flows": [FLOWS]}, ())
    assert sentence in "\n".join(found["anna"].problems)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_nobody_may_open_is_named(session):
    session.lay("class/anna/flows.py", FLOWS)
    session.lay("class/anna/more/vaes.py", VAES)
    closed = [session.folder / "class/anna/more", session.lay("class/bert/flows.py", FLOWS).parent]
    for folder in closed:
        folder.chmod(0)
    try:
        found = session.submissions("class")
    finally:
        for folder in closed:
            folder.chmod(0o700)
    assert found["anna"].topics == {"flows": [FLOWS]}
    assert found["anna"].problems == ("more/….zip was not read: the folder cannot be opened (Permission denied)",)
    assert found["bert"].problems[0] == "….zip was not read: the folder cannot be opened (Permission denied)"


def test_good_files_beside_bad_ones_are_read(session):
    session.lay("anna.zip", session.zipped({"../flows.py": FLOWS, "vaes.py": VAES, "flows.ipynb": "not json"}))
    submission = session.the_only()
    assert submission.topics == {"vaes": [VAES]}
    assert len(submission.problems) == 2


def test_an_encoding_that_had_to_be_guessed_is_graded_and_told(session):
    session.lay("anna.py", ("# Müller\n" + FLOWS).encode("latin-1"))
    submission = session.the_only()
    assert submission.topics == {"flows": ["# Müller\n" + FLOWS]}
    assert submission.problems == ("anna.py is not saved as UTF-8; it was read as Windows-1252",)


def test_no_such_path_is_the_graders_own_mistake(session):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        find(session.folder / "nowhere", session.assignment)


# --- names


def test_names_are_unique_whatever_the_case_and_can_be_folders(session):
    session.lay("anna/flows.py", FLOWS)
    session.lay("anna.py", FLOWS)
    session.lay("Anna.zip", session.zipped({"flows.py": FLOWS}))
    session.lay("<script>.py", FLOWS)
    session.lay("a\nb.py", FLOWS)
    assert set(session.submissions()) == {"Anna", "anna (2)", "anna (3)", "_script_", "a_b"}


# --- fuzz


NAMES = st.text(st.sampled_from("ab/.\\_ ü:~"), max_size=12).map(lambda name: name + "flows.py")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.dictionaries(NAMES | st.sampled_from(["vaes.ipynb", "more.zip"]), st.binary(max_size=40), max_size=4),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
)
def test_no_archive_is_an_exception(session, entries, damage):
    content = bytearray(session.zipped(entries))
    for place, value in damage:
        content[place % len(content)] = value
    session.lay("anna.zip", bytes(content))
    submission = session.the_only("anna.zip")
    assert submission.topics or submission.problems


FILES = st.tuples(st.sampled_from(["flows.py", "vaes.ipynb", "x.zip", "x.rar"]), st.binary(max_size=60))


@given(st.lists(FILES, max_size=4))
def test_no_file_is_an_exception(assignment, files):
    handed_in = HandedIn("anna", tuple(File(name, lambda most, data=data: data[:most]) for name, data in files))
    submission = read(handed_in, assignment)
    assert submission.topics or submission.problems
