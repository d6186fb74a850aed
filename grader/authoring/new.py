"""`dgm dev new` and `dgm dev new-assignment`: every place that an exercise needs, each with a reminder of what to write there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from grader.assignment import REPO_ROOT, Assignment
from grader.errors import GraderError
from grader.hidden.places import reference, solutions

REMINDER = "REPLACE ME"  # `dgm dev check` fails as long as one stands in a topic's files

SOURCE_HEAD = """\
# %% [markdown]
# # {title}
#
# REPLACE ME: what this topic is about, its slides, one formula at a time, in plain words.

# %%
from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
"""
SOURCE = '''

# %% [markdown]
# ## {title}
#
# REPLACE ME: what the formula means, in plain words.


# %% {name}
def {name}(x: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    r"""REPLACE ME: what it returns, in one sentence.

    $$REPLACE ME$$

    Shapes: ``x``: ``(n, m)``; result ``(n,)``, in nats.
    Slide: REPLACE ME.

    >>> {name}(torch.zeros(1, 1))  # REPLACE ME: a value that can be checked by hand
    """
    # BEGIN SOLUTION {name}
    raise NotImplementedError("REPLACE ME: vectorised torch, as students should write it")
    # END SOLUTION {name}
'''
ROW = """\
[[exercise]]
name = "{topic}.{name}"
points = 1
slide = "REPLACE ME"
hints = ["REPLACE ME: a nudge", "REPLACE ME: nearly the answer"]

"""
REFERENCE_HEAD = '''\
"""REPLACE ME: by which other road the reference computes this topic: a loop, a sum over all outcomes, a quadrature."""

from __future__ import annotations

from torch import Tensor
'''
REFERENCE = '''

def {name}(x: Tensor) -> Tensor:
    """REPLACE ME: the same by another road, in float64, plain enough to be compared with the slide by eye."""
    raise NotImplementedError
'''
CHECKS = '''\
"""REPLACE ME: what these properties are about (slide …)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grader.checking.compare import assert_agrees

{name} = pytest.mark.exercise("{topic}.{name}")
weight = pytest.mark.weight


@{name}
@weight(1)
def test_{name}_of_numbers_that_can_be_checked_by_hand(student):
    """REPLACE ME: the sentence that a student reads where this fails; it runs on their machine, too."""
    assert_agrees(student.{name}(torch.tensor([[1.0, 2.0]])), torch.tensor([0.0]))


@{name}
@weight(2)
@given(n=st.integers(2, 8), m=st.integers(2, 4), key=st.integers(0, 2**31 - 1))
def test_{name}_agrees_with_the_reference(student, ref, n, m, key):
    """REPLACE ME: the property in words."""
    x = torch.randn(n, m, generator=torch.Generator().manual_seed(key))
    assert_agrees(student.{name}(x), ref.{name}(x), like=x)
'''
MISTAKES_HEAD = '''\
"""Wrong answers to {name} that students really give, and right answers by other roads."""

from __future__ import annotations

from torch import Tensor

from dgm_ref.catalogue import mistake, variant

EXERCISE = "{topic}.{name}"
'''
MISTAKE = """

@mistake(EXERCISE, killed_by="test_{name}_agrees_with_the_reference", says="REPLACE ME: what was misunderstood.")
def mistake_{number}(x: Tensor) -> Tensor:
    raise NotImplementedError("REPLACE ME")
"""
VARIANT = """

@variant(EXERCISE)
def variant_{number}(x: Tensor) -> Tensor:
    raise NotImplementedError("REPLACE ME: another right answer, as somebody else would write it")
"""
FEW_MISTAKES, MANY_MISTAKES = 4, 6  # that an exercise of less than 3 points needs, and one of 3 or more
VARIANTS = 2  # other right answers that it needs


class CannotMake(GraderError):
    """Nothing was written; the message says why."""


def new_exercise(assignment: Assignment, name: str) -> list[Path]:
    """Write all places of the exercise `topic.function` and return them.

    Raises: `CannotMake`.
    """
    if not re.fullmatch(r"[a-z]\w*\.[a-z]\w*", name):
        raise CannotMake(f"{name!r}: say TOPIC.FUNCTION, such as divergences.entropy; a method is written by hand")
    if name in {*(exercise.name for exercise in assignment.exercises), *assignment.switched_off}:
        raise CannotMake(f"{name} is there already")
    topic, function = name.split(".")
    parts = pieces(assignment.name, topic, function)
    for path, piece in parts.items():
        if piece.own and path.exists():
            raise CannotMake(f"{path} is there already")
    for path, piece in parts.items():
        text = path.read_text("utf-8") if path.exists() else piece.head
        if path.suffix == ".toml":
            _write(path, _with_row(text, topic, piece.body))
        else:
            _write(path, text + piece.body)
    return list(parts)


class Piece(NamedTuple):
    """What an exercise has in one file."""

    head: str  # written where the file is not there yet
    body: str
    own: bool = False  # the file belongs to this exercise alone


def pieces(assignment: str, topic: str, function: str, root: Path = REPO_ROOT) -> dict[Path, Piece]:
    """All places of an exercise, and what is written there at first."""
    words = {"topic": topic, "name": function, "title": _title(function)}
    mistakes = [MISTAKE.format(**words, number=number + 1) for number in range(FEW_MISTAKES)]
    mistakes += [VARIANT.format(**words, number=number + 1) for number in range(VARIANTS)]
    by_another_road = reference(assignment, root) / topic
    checks = root / "grader" / "checks" / assignment / topic
    return {
        solutions(assignment, root) / f"{topic}.py": Piece(SOURCE_HEAD.format(title=_title(topic)), SOURCE.format(**words)),
        root / "assignments" / assignment / "assignment.toml": Piece("", ROW.format(**words)),
        by_another_road / "reference.py": Piece(REFERENCE_HEAD, REFERENCE.format(**words)),
        checks / f"test_{function}.py": Piece("", CHECKS.format(**words), own=True),
        by_another_road / f"mistakes_{function}.py": Piece(MISTAKES_HEAD.format(**words), "".join(mistakes), own=True),
    }


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def new_assignment(name: str) -> list[Path]:
    """Write the folders of an assignment without exercises and return what is in them.

    Raises: `CannotMake`.
    """
    if not re.fullmatch(r"[a-z]\w*", name):
        raise CannotMake(f"{name!r}: a name of small letters, digits and underscores, such as lecture2")
    checks = REPO_ROOT / "grader" / "checks" / name
    files = {
        REPO_ROOT / "assignments" / name / "__init__.py": "",
        REPO_ROOT / "assignments" / name / "assignment.toml": f'title = "{REMINDER}"\n\n',
        solutions(name) / "__init__.py": "",
        reference(name) / "__init__.py": "",
        checks / "__init__.py": "IN_THE_WORKER = ()  # modules of public callables that a worker imports\n",
        checks / "shared" / "__init__.py": "",
    }
    if (REPO_ROOT / "assignments" / name).exists():
        raise CannotMake(f"{REPO_ROOT / 'assignments' / name} is there already")
    for path, text in files.items():
        _write(path, text)
    return list(files)


def _with_row(text: str, topic: str, row: str) -> str:
    """The file with the row behind the last of its topic, or at its end."""
    blocks = re.split(r"^(?=\[\[exercise\]\]\n)", text, flags=re.MULTILINE)
    ours = [number for number, block in enumerate(blocks) if f'name = "{topic}.' in block]
    last = ours[-1] if ours else len(blocks) - 1
    heading = re.search(r"^# ---[^\n]*\n\s*\Z", blocks[last], re.MULTILINE)  # of the next topic, with which it stays
    end = heading.start() if heading else len(blocks[last])
    blocks[last] = f"{blocks[last][:end].rstrip()}\n\n{row}{blocks[last][end:]}"
    return "".join(blocks)


def _write(path: Path, text: str) -> None:
    for folder in reversed(path.relative_to(REPO_ROOT).parents):
        package = REPO_ROOT / folder / "__init__.py"
        if folder != Path() and not package.exists():
            package.parent.mkdir(parents=True, exist_ok=True)
            package.touch()
    path.write_text(text, "utf-8")
