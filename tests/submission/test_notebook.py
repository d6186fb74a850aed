"""Notebooks as Python: magics vanish, lines keep their numbers, and nothing that is no notebook is an exception."""

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.assignment import REPO_ROOT
from grader.submission.cells import as_python
from grader.submission.files import Unreadable
from grader.submission.read_notebook import parse_notebook


def cells(*sources):
    notebook = {"cells": [{"cell_type": "code", "source": source} for source in sources]}
    return [as_python(cell).text for cell in code_cells("x.ipynb", json.dumps(notebook).encode())]


def code_cells(name, content):
    return parse_notebook(name, content).cells


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install 'torch\ny = 2", "pass\ny = 2"),
        ("if x:\n    !ls\n    y = 1", "if x:\n    pass\n    y = 1"),
        ("files = !ls\nt = %timeit -o f()", "pass\npass"),
        ("torch.exp?\n?torch.exp", "pass\npass"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("\n%%capture out\nx = 1", "\npass\nx = 1"),
        ("%%bash\nrm -rf x", ""),
        ("%%\nx", ""),
        ("x = (7\n% 4)", "x = (7\n% 4)"),
        ("x = 7 \\\n% 4", "x = 7 \\\n% 4"),
        ('s = """\n%d\n!\n"""\n%d', 's = """\n%d\n!\n"""\npass'),
        ("s = '''a\"\"\"\n%d'''\n%d", "s = '''a\"\"\"\n%d'''\npass"),
        ("s = '#(' # ([\n%d", "s = '#(' # ([\npass"),
        (r"s = 'it\'s (' + '['" + "\n%d", r"s = 'it\'s (' + '['" + "\npass"),
        ("x != y\nx %= 2\nx == y", "x != y\nx %= 2\nx == y"),
        ('check("kl_divergence")  # 4 points\ncheckpoint(1)', "pass\ncheckpoint(1)"),
        ('from grader.practice.notebook import checker\n\ncheck = checker("lecture1", "flows")', "pass\n\npass"),
        (
            'from grader.practice.notebook import checker, painter\n\nshow = painter("lecture1", "flows")\nshow()  # all',
            "pass\n\npass\npass",
        ),
        ("show(\n    x\n)", "show(\n    x\n)"),
        ("x = 1\r\n%d\r\n", "x = 1\npass\n"),
        (["x = 1\n", "y = 2"], "x = 1\ny = 2"),
    ],
)
def test_magics_become_pass_and_python_stays(source, python):
    assert cells(source) == [python]


@pytest.mark.parametrize("notebook", sorted((REPO_ROOT / "assignments").glob("*/*.ipynb")), ids=lambda path: path.stem)
def test_of_the_cell_that_installs_the_kit_one_constant_is_left(notebook):
    defined = {}
    exec(as_python(code_cells(notebook.name, notebook.read_bytes())[0]).text, defined)
    assert defined.keys() - {"__builtins__"} == {"KIT"}


def test_only_code_cells_are_code():
    notebook = {"cells": [{"cell_type": "markdown", "source": "# no"}, {"cell_type": "code", "source": "yes = 1"}]}
    assert code_cells("x.ipynb", json.dumps(notebook).encode()) == ["yes = 1"]


def test_notebooks_from_before_2015_have_sheets():
    notebook = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1\n", "y = 2"]}]}]}
    assert code_cells("x.ipynb", json.dumps(notebook).encode()) == ["x = 1\ny = 2"]


@pytest.mark.parametrize(
    "content",
    [b"", b"x = 1", b"[]", b"{}", b"3", b'{"cells": 3}', b'{"cells": [3]}', b'{"cells": [{"cell_type": "code"}]}',
     b'{"cells": [{"cell_type": "code", "source": 3}]}', b'{"worksheets": 0}', b"\xff\xfe\x00", b"[" * 100_000,
     b'{"cells": [{"cell_type": "code", "source": [["x"]]}]}'],
)  # fmt: skip
def test_what_is_no_notebook_is_unreadable(content):
    with pytest.raises(Unreadable, match=r"^x.ipynb is no notebook: "):
        code_cells("x.ipynb", content)


def test_half_characters_do_not_travel_on():
    (cell,) = code_cells("x.ipynb", b'{"cells": [{"cell_type": "code", "source": "s = \'\\ud800\\u0000\'"}]}')
    assert cell == "s = '?'"


PIECES = ["x", " ", "\n", "%", "!", "?", "'", '"', "'''", '"""', "(", ")", "[", "]", "#", "\\", "=", "1", "é", "\t"]
CODE = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
KEYS = st.sampled_from(["cells", "worksheets", "cell_type", "source", "input"])
TREES = st.recursive(
    st.none() | st.text() | st.integers() | st.just("code"),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(CODE)
def test_python_without_magics_stays_as_it_is(source):
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return
    assert cells(source) == [source]


@given(CODE | st.text())
def test_every_line_keeps_its_number(source):
    (cell,) = cells(source)
    whole = source.replace("\r\n", "\n").replace("\r", "\n")
    assert cell == "" or cell.count("\n") == whole.count("\n")


@given(st.binary(max_size=200) | TREES.map(lambda tree: json.dumps(tree).encode()))
def test_any_content_is_a_list_of_cells_or_unreadable(content):
    try:
        result = code_cells("x.ipynb", content)
    except Unreadable:
        return
    assert all(isinstance(cell, str) for cell in result)
