"""The grammar of solution regions: what is well formed, and what is refused by file and line."""

import re

import pytest

from grader.authoring.build.source import SourceError, read

GOOD = '''\
# %%
import torch

# %% helpers
# BEGIN SOLUTION helpers
def _double(x):
    return 2 * x
# END SOLUTION helpers


# %% scale
def scale(x):
    """Twice the value."""
    # BEGIN SOLUTION scale
    return _double(x)
    # END SOLUTION scale


# %% Model
class Model:
    def given(self):
        return 1

    def forward(self, x):
        # BEGIN SOLUTION Model.forward
        def inner(y):
            return y

        return inner(x)
        # END SOLUTION Model.forward
'''


def written(tmp_path, text):
    path = tmp_path / "flows.py"
    path.write_text(text, "utf-8")
    return path


def test_regions_are_found_with_their_names(tmp_path):
    source = read(written(tmp_path, GOOD))
    assert [(region.name, region.in_function) for region in source.regions] == [
        ("helpers", False),
        ("scale", True),
        ("Model.forward", True),
    ]
    assert source.functions == ("scale", "Model.forward")


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("    # END SOLUTION scale\n", "", 18, "a cell begins inside region scale, opened in line 14"),
        ("        # END SOLUTION Model.forward\n", "", 25, "region Model.forward never ends"),
        ("    # BEGIN SOLUTION scale\n", "", 15, "region scale ends, but none is open"),
        ("# END SOLUTION scale", "# END SOLUTION scales", 16, "region scales ends, but scale is open since line 14"),
        ("    # END SOLUTION scale", "# END SOLUTION scale", 16, "indent this marker as the one in line 14"),
        ("    return _double(x)", "    # BEGIN SOLUTION b\n    # END SOLUTION b", 15, "b opens inside region scale"),
        ("# BEGIN SOLUTION scale", "# BEGIN SOLUTION", 14, "write this marker as"),
        ("# BEGIN SOLUTION scale", "### BEGIN SOLUTION scale", 14, "write this marker as"),
        ("# BEGIN SOLUTION scale", "# begin solution scale", 14, "write this marker as"),
        ("# BEGIN SOLUTION scale", "# BEGIN SOLUTION scale it", 14, "write this marker as"),
        ("# BEGIN SOLUTION scale", "# BEGIN SOLUTION a.b.c", 14, "write this marker as"),
        ("SOLUTION scale", "SOLUTION helpers", 14, "there is already a region helpers in line 5"),
        ("SOLUTION scale", "SOLUTION scales", 14, "region scales stands in function scale"),
        ("SOLUTION Model.forward", "SOLUTION forward", 25, "region forward stands in function Model.forward"),
        ("    return _double(x)\n", "", 14, "region scale is empty"),
        ("    # BEGIN SOLUTION scale\n", "    y = x\n    # BEGIN SOLUTION scale\n", 14, "outside its region"),
        ("    # END SOLUTION scale\n", "    # END SOLUTION scale\n    return x\n", 17, "outside its region"),
        ("# %% scale\n", "", 5, "region helpers stands in the cell of scale"),
        ("def scale(x):", "def scale(x:", 12, "this is not Python"),
    ],
)
def test_what_is_not_exactly_a_region_is_refused_by_file_and_line(tmp_path, old, new, line, complaint):
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(SourceError, match=rf"^{re.escape(str(path))}:{line}: .*{re.escape(complaint)}"):
        read(path)


def test_a_marker_at_column_0_inside_a_function_is_refused(tmp_path):
    text = GOOD.replace("    # BEGIN SOLUTION scale", "# BEGIN SOLUTION scale")
    text = text.replace("    # END SOLUTION scale", "# END SOLUTION scale")
    with pytest.raises(SourceError, match="stands inside scale; indent it as the body"):
        read(written(tmp_path, text))
