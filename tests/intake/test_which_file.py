"""Which file is graded: the one that is checked and packed, function by function, said aloud where there was a choice."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.practice.pack import pack
from grader.practice.work import read_work
from grader.submission import find, lone, read
from tests.intake.making import (
    FLOWS,
    LECTURE,
    STUBS,
    answers,
    flows,
    graded,
    lay,
    notebook,
    of_class,
    stub,
    work,
    zipped,
)

RIGHT = dict.fromkeys(FLOWS, "right")
LEFT_BELOW = "import math\n\n" + "".join(work(name, "right", left_below=True) for name in FLOWS)
WITHOUT_PLANAR = flows(planar="").replace(stub("planar"), "")


def in_a_helper(import_line: str) -> str:
    return f"{import_line}\n\n{WITHOUT_PLANAR}"


HELPER = work("planar", "right")
ALL_RIGHT = {
    "a raise that is left below the return, beside the stub": {"flows.ipynb": notebook(LEFT_BELOW), "flows.py": STUBS},
    "the same in a module": {"flows.py": LEFT_BELOW, "flows.ipynb": notebook(STUBS)},
    "a return in a with block, the raise below": {
        "flows.py": flows().replace('    return "right"', '    with open("/dev/null"):\n        return "right"\n    raise NotImplementedError'),
        "flows.ipynb": notebook(STUBS),
    },
    "a copy from Colab beside stubs": {"Copy of flows.ipynb": notebook(flows()), "flows.ipynb": notebook(STUBS), "flows.py": STUBS},
    "a copy from Windows": {"flows - Copy.py": flows(), "flows.py": STUBS},
    "a browser's second download": {"flows (1).py": flows(), "flows.py": STUBS},
    "a backup that holds the work": {"flows backup.py": flows(), "flows.py": STUBS},
    "an old zip of broken work": {"flows.py": flows(), "handin.zip": zipped({"flows.py": flows("old")})},
    "an answer in a module of one's own": {"flows.py": in_a_helper("from attention import planar"), "attention.py": HELPER},
    "the same under another name there": {
        "flows.py": in_a_helper("from attention import mine as planar"), "attention.py": work("mine", "right"),
    },
    "a helper called like the topic": {"flows.py": in_a_helper("from flows_utils import planar"), "flows_utils.py": HELPER},
    "such a helper of a notebook": {"flows.ipynb": notebook(in_a_helper("from flows_utils import planar")), "flows_utils.py": HELPER},
    "a helper that is imported as a whole": {"flows.py": in_a_helper("import own\nplanar = own.planar"), "own.py": HELPER},
    "a helper in a package": {"flows.py": in_a_helper("from mine.ops import planar"), "mine/ops.py": HELPER, "mine/__init__.py": ""},
    "a package without __init__": {"flows.py": in_a_helper("from mine.deep.ops import planar"), "mine/deep/ops.py": HELPER},
    "a package that imports from itself": {
        "flows.py": in_a_helper("from mine import planar"), "mine/__init__.py": "from .ops import planar\n",
        "mine/ops.py": "from .base import answer\ndef planar(x): return answer\n", "mine/base.py": 'answer = "right"\n',
    },
    "a package in a package": {
        "flows.py": in_a_helper("from mine.deep.ops import planar"), "mine/__init__.py": "from .deep import ops\n", "mine/other.py": 'says = "right"\n',
        "mine/deep/ops.py": "from ..other import says\nfrom . import more\ndef planar(x): return says + more.nothing\n", "mine/deep/more.py": 'nothing = ""\n',
    },
    "a relative import": {"flows.py": in_a_helper("from .own import planar"), "own.py": HELPER},
    "everything by a star": {"flows.py": "from solution import *\n", "solution.py": flows()},
    "a star over stubs": {"flows.py": STUBS + "from solution import *\n", "solution.py": flows()},
    "one function assigned": {"flows.py": WITHOUT_PLANAR + 'planar = lambda x: "right"\n', "flows.ipynb": notebook(STUBS)},
    "half in the notebook, half in the module": {
        "flows.ipynb": notebook(flows("", planar="right")), "flows.py": flows(planar=""),
    },
    "a stub below the work in one notebook": {"flows.ipynb": notebook(flows(), stub("planar"))},
    "work in cells far apart": {"flows.ipynb": notebook(*(work(name, "right") for name in FLOWS), "print(planar(1))")},
    "a folder of stubs and one of work": {"kit/flows.py": STUBS, "mine/flows.py": flows()},
    "a test and a plot beside": {"flows.py": flows(), "test_flows.py": "def test_planar():\n    pass\n", "plot.py": "x = 1\n"},
    "the whole kit": {"flows.py": flows(), "grader/record.py": "x", "grader/checks/lecture9/flows/test_planar.py": flows("kit")},
    "a notebook with another ending": {"flows.ipynb.txt": notebook(flows())},
    "a module with another ending": {"flows.py.txt": flows()},
    "decorated and typed": {"flows.py": flows().replace("def planar(x):", "@torch_like\ndef planar(x: 'Float') -> 'Float':").replace(
        "import math", "def torch_like(f): return f")},
    "behind try and if": {
        "flows.py": WITHOUT_PLANAR + "try:\n    import nothing_like_this\nexcept ImportError:\n"
        '    if True:\n        def planar(x): return "right"\n',
        "flows.ipynb": notebook(STUBS),
    },
    "a zip of a folder with a helper": {"hw.zip": zipped({"hw/flows.py": in_a_helper("from own import planar"), "hw/own.py": HELPER})},
    "stubs beside a zip of the work": {"flows.py": STUBS, "flows.ipynb": notebook(STUBS), "lecture9.zip": zipped({"flows.py": flows()})},
    "one of two definitions": {"flows.py": WITHOUT_PLANAR + 'if math.pi > 3:\n    def planar(x): return "right"\nelse:\n    def planar(x): return "wrong"\n'},
    "an earlier version under another name": {
        "flows.py": flows() + 'first = planar\ndef planar(x): return first(x)\nif first is planar:\n    del planar\n',
    },
    "a stub below the work in a module": {"flows.py": flows() + stub("planar")},
    "a main block with stubs": {"flows.py": flows() + 'if __name__ == "__main__":\n    def planar(x): ...\n'},
    "one import of two libraries, of which one is not here": {"flows.py": "import nothing_like_this, math as m\n" + flows().replace("def planar(x):", "def planar(x, pi=m.pi):")},
    "the same from one library": {"flows.py": "from math import nothing_like_this, tau\n" + flows().replace("def planar(x):", "def planar(x, turn=tau):")},
    "a decorator and annotations of a library that is not here": {
        "flows.py": "from nothing_like_this import typed, Float\n" + flows().replace("def planar(x):", "@typed(Float)\ndef planar(x: Float['n']) -> Float:")},
    "an older version behind it in one zip": {"hw.zip": zipped({"flows.py": flows("old"), "flowz.py": flows()}).replace(b"flowz.py", b"flows.py")},
    "a name that needs composing": {"flo\u0077s.py": flows(), "u\u0308bung.py": "x = 1\n"},
}  # fmt: skip


@pytest.mark.parametrize("case", ALL_RIGHT)
def test_a_right_answer_is_graded_whatever_lies_around_it(tmp_path: Path, case: str) -> None:
    assert answers(graded(tmp_path, ALL_RIGHT[case])) == RIGHT


IN_FOLDERS = {"a folder of stubs and one of work"}
IN_ARCHIVES = {case for case, files in ALL_RIGHT.items() if any(name.endswith(".zip") and name != "handin.zip" for name in files)}
CHECKED = sorted({*ALL_RIGHT} - IN_FOLDERS - IN_ARCHIVES)  # nobody works in an archive


@pytest.mark.parametrize("case", CHECKED)
def test_it_is_checked_and_packed_as_it_is_graded(tmp_path: Path, case: str) -> None:
    folder = lay(tmp_path / "work", ALL_RIGHT[case])
    submission = read_work(LECTURE, folder)
    assert answers(submission) == RIGHT
    packed = pack(folder, LECTURE, lay(tmp_path / "class", {}) / "anna.zip")
    assert {"manifest.json", *packed.files} >= {name for names in submission.taken.values() for name in names}
    assert answers(of_class(tmp_path / "class")["anna"]) == RIGHT


def test_the_newer_of_two_is_taken_and_both_are_named(tmp_path: Path) -> None:
    files = {"flows.py": flows("module"), "flows.ipynb": notebook(flows("notebook"))}
    for newer, older in (("flows.ipynb", "flows.py"), ("flows.py", "flows.ipynb")):
        said = graded(tmp_path / newer, files, {newer: 2, older: 1})
        assert answers(said) == dict.fromkeys(FLOWS, "notebook" if newer == "flows.ipynb" else "module")
        differ = f"planar, radial, log_prob differ in {newer} and {older}"
        assert said.problems == (f"flows: {differ}; {newer} was taken, which is newer",)


def test_what_belongs_to_a_package_comes_along_once(tmp_path: Path) -> None:
    taken = graded(tmp_path, ALL_RIGHT["a package in a package"]).taken
    assert set(taken) == {"flows", "mine", "mine.other", "mine.deep.ops", "mine.deep.more"}


def test_functions_from_two_files_are_told_apart(tmp_path: Path) -> None:
    said = graded(tmp_path, ALL_RIGHT["half in the notebook, half in the module"])
    assert said.problems == ("flows: planar was taken from flows.ipynb, the rest from flows.py",)
    assert said.taken == {"flows": ["flows.py", "flows.ipynb"]}


def test_a_copy_that_is_taken_is_named(tmp_path: Path) -> None:
    said = graded(tmp_path, ALL_RIGHT["a copy from Colab beside stubs"])
    assert said.problems == ("flows was taken from Copy of flows.ipynb; flows.ipynb has less of it",)


def test_a_stub_in_two_forms_is_no_choice(tmp_path: Path) -> None:
    assert graded(tmp_path, {"flows.py": STUBS, "flows.ipynb": notebook(STUBS)}).problems == ()


def test_an_old_zip_in_a_working_folder_is_never_work(tmp_path: Path) -> None:
    old = zipped({"flows.py": flows("old"), "vaes.py": "def elbo(x):\n    return 1\n"})
    folder = lay(tmp_path / "work", {"flows.py": flows(planar=""), "handin.zip": old, "lecture9.zip": old})
    submission = read_work(LECTURE, folder)
    assert answers(submission) == {"radial": "right", "log_prob": "right"}
    assert set(submission.topics) == {"flows"}
    assert submission.written == ("flows.radial", "flows.log_prob")


def test_a_module_that_python_has_already_is_named(tmp_path: Path) -> None:
    said = graded(tmp_path, {"flows.py": "import code\n" + flows(), "code.py": "x = 1\n"})
    assert said.problems == ("code.py was not used: Python has a module of this name; choose another one",)


def test_a_module_that_is_no_python_is_named_where_another_is_taken(tmp_path: Path) -> None:
    said = graded(tmp_path, {"flows.py": "def planar(x)\n    return 1\n", "flows.ipynb": notebook(flows())})
    assert answers(said) == RIGHT
    assert any(problem.startswith("flows: flows.py is no Python (expected ':', line 1)") for problem in said.problems)


def test_of_two_own_modules_of_one_name_the_one_that_is_not_used_is_named(tmp_path: Path) -> None:
    by_topic = {"a/flows.py": in_a_helper("from utils import planar"), "a/utils.py": HELPER, "b/vaes.py": "from utils import elbo\n",
                "b/utils.py": work("elbo", "right")}  # fmt: skip
    assert graded(tmp_path, by_topic).problems == ("a/utils.py was not used: b/utils.py has the same name; give one of them another",)
    assert graded(tmp_path / "equal", by_topic | {"b/utils.py": HELPER}).problems == ()


def test_two_topics_in_one_notebook_keep_their_own_functions_of_one_name(tmp_path: Path) -> None:
    vaes = work("elbo", "vaes") + work("log_prob", "vaes")
    for cells in ((flows(), vaes), (vaes, flows())):
        said = graded(tmp_path / cells[0][:12].strip(), {"all.ipynb": notebook(*cells)})
        assert answers(said)["log_prob"] == "right"
        assert answers(said, "vaes") == {"elbo": "vaes", "log_prob": "vaes"}


STUBBISH = ["...", "pass", "return", "return None", '"""Only words."""', "raise NotImplementedError", "raise NotImplementedError('x')",
            "if True:\n        raise NotImplementedError", "y = 1\n    raise NotImplementedError"]  # fmt: skip
WRITTEN = ["return 1", "yield 1", "if x:\n        return 1\n    raise NotImplementedError", "while True:\n        return 1\n    raise NotImplementedError",
           "try:\n        return 1\n    except ValueError:\n        raise NotImplementedError", "raise ValueError('x')", "x.append(1)",
           "if False:\n        raise NotImplementedError\n    return x"]  # fmt: skip


@pytest.mark.parametrize(("body", "written"), [*((body, False) for body in STUBBISH), *((body, True) for body in WRITTEN)])
def test_what_is_written_is_what_can_be_reached(tmp_path: Path, body: str, written: bool) -> None:
    said = graded(tmp_path, {"flows.py": f"def planar(x):\n    {body}\n"})
    assert said.written == (("flows.planar",) if written else ())


# --- random mixtures: what is checked is what is packed is what is graded


SHARE = st.fixed_dictionaries({name: st.sampled_from(["", "one", "two"]) for name in FLOWS})
NAMES = ["flows.py", "flows.ipynb", "Copy of flows.ipynb", "flows (1).py", "flows backup.py", "my_flows_final.py", "solution.py"]
OTHERS = {"own.py": work("helper", "x"), "notes.txt": "x", "test_flows.py": "def test_planar(): pass\n", "plots.ipynb": notebook("x = 1")}


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[dict[str, str | bytes], dict[str, int]]:
    """Files of one topic and when they were saved."""
    files: dict[str, str | bytes] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)):
        text = flows(**draw(SHARE))
        if draw(st.booleans()):
            text = "from attention import radial\n\n" + text.replace(stub("radial"), "")
        files[name] = notebook(*text.split("\n\n\n")) if name.endswith(".ipynb") else text
    if draw(st.booleans()):
        files["attention.py"] = work("radial", draw(st.sampled_from(["one", "two"])))
    for name in draw(st.lists(st.sampled_from(sorted(OTHERS)), max_size=2, unique=True)):
        files[name] = OTHERS[name]
    if draw(st.booleans()):
        files["handin.zip"] = zipped({"flows.py": flows(**draw(SHARE))})
    return files, {name: draw(st.integers(0, 3)) for name in files}


@settings(max_examples=60, deadline=None)
@given(mixtures())
def test_check_pack_and_grade_agree_or_say_the_conflict(mixture: tuple[dict[str, str | bytes], dict[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = lay(Path(name, "anna"), *mixture)
        checked = read(lone(folder), LECTURE, archives=False)
        (handed_in,) = find(folder, LECTURE, "one")
        by_folder = read(handed_in, LECTURE)
        pack(folder, LECTURE, Path(name, "handed_in.zip"))
        (handed_in,) = find(Path(name, "handed_in.zip"), LECTURE)
        by_zip = read(handed_in, LECTURE)
        on_check, on_zip, on_folder = answers(checked), answers(by_zip), answers(by_folder)
    assert on_zip == on_check
    said = " ".join(by_folder.problems)
    for function in FLOWS:
        if on_folder.get(function) != on_check.get(function):
            assert function in said or "handin.zip" in said, (function, on_folder, on_check, said)
