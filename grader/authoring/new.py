"""`dgm dev new` and `dgm dev new-assignment`: every place that an exercise needs, each with a reminder of what to write there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from grader.assignment import REPO_ROOT, Assignment, Exercise
from grader.hidden.places import reference, solutions

REMINDER = "REPLACE ME"  # `dgm dev check` fails as long as one stands in an exercise's files

SOURCE_HEAD = '''\
# %% [markdown]
# # {title}
#
# REPLACE ME: what this topic is about, its slides, one formula at a time, in plain words.

# %%
from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
'''
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
ROW = '''\
[[exercise]]
name = "{topic}.{name}"
points = 1
slide = "REPLACE ME"
hints = ["REPLACE ME: a nudge", "REPLACE ME: nearly the answer"]

'''
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
MISTAKES = '''\
"""Wrong answers to {name} that students really give, and right answers by other roads."""

from __future__ import annotations

from torch import Tensor

from dgm_ref.catalogue import mistake, variant

EXERCISE = "{topic}.{name}"


@mistake(EXERCISE, killed_by="test_{name}_agrees_with_the_reference", says="REPLACE ME: what was misunderstood.")
def first_mistake(x: Tensor) -> Tensor:
    raise NotImplementedError("REPLACE ME")


@mistake(EXERCISE, killed_by="test_{name}_agrees_with_the_reference", says="REPLACE ME: what was misunderstood.")
def second_mistake(x: Tensor) -> Tensor:
    raise NotImplementedError("REPLACE ME")


@variant(EXERCISE)
def by_another_road(x: Tensor) -> Tensor:
    raise NotImplementedError("REPLACE ME: another right answer, as somebody else would write it")
'''


class CannotMake(Exception):
    """Nothing was written; the message says why."""


def new_exercise(assignment: Assignment, name: str, root: Path = REPO_ROOT) -> list[Path]:
    """Write all places of the exercise `topic.function` and return them.

    Raises: `CannotMake`.
    """
    if not re.fullmatch(r"[a-z]\w*\.[a-z]\w*", name):
        raise CannotMake(f"{name!r}: say TOPIC.FUNCTION, such as divergences.entropy; a method is written by hand")
    if name in {*(exercise.name for exercise in assignment.exercises), *assignment.switched_off}:
        raise CannotMake(f"{name} is there already")
    topic, function = name.split(".")
    words = {"topic": topic, "name": function, "title": function.replace("_", " ").capitalize()}
    topic_words = words | {"title": topic.replace("_", " ").capitalize()}
    places = _places(assignment.name, topic, function, root)
    source, toml, by_another_road, checks, mistakes = places
    for path in (checks, mistakes):
        if path.exists():
            raise CannotMake(f"{path} is there already")
    for path, head, body in ((source, SOURCE_HEAD, SOURCE), (by_another_road, REFERENCE_HEAD, REFERENCE)):
        _write(path, (path.read_text("utf-8") if path.exists() else head.format(**topic_words)) + body.format(**words), root)
    _write(toml, _with_row(toml.read_text("utf-8"), topic, ROW.format(**words)), root)
    _write(checks, CHECKS.format(**words), root)
    _write(mistakes, MISTAKES.format(**words), root)
    return list(places)


def new_assignment(name: str, root: Path = REPO_ROOT) -> list[Path]:
    """Write the folders of an assignment without exercises and return what is in them.

    Raises: `CannotMake`.
    """
    if not re.fullmatch(r"[a-z]\w*", name):
        raise CannotMake(f"{name!r}: a name of small letters, digits and underscores, such as lecture2")
    checks = root / "grader" / "checks" / name
    files = {
        root / "assignments" / name / "__init__.py": "",
        root / "assignments" / name / "assignment.toml": f'title = "{REMINDER}"\n\n',
        solutions(name, root) / "__init__.py": "",
        reference(name, root) / "__init__.py": "",
        checks / "__init__.py": "IN_THE_WORKER = ()  # modules of public callables that a worker imports\n",
        checks / "shared" / "__init__.py": "",
    }
    if (root / "assignments" / name).exists():
        raise CannotMake(f"{root / 'assignments' / name} is there already")
    for path, text in files.items():
        _write(path, text, root)
    return list(files)


def reminders(assignment: str, exercise: Exercise, root: Path = REPO_ROOT) -> Iterator[str]:
    """Every reminder that still stands in the places of an exercise, as `file:line: what it asks for`."""
    own = re.compile(rf"\b{re.escape(exercise.function.split('.')[0])}\b")
    for path in _places(assignment, exercise.topic, exercise.function, root):
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        near = ""  # the definition or the row that a reminder of a shared file stands in
        for number, line in enumerate(lines, start=1):
            if re.match(r"(def |class |\[\[exercise|name = )", line):
                near = line if not line.startswith("[[") else ""
            if REMINDER in line and (path.stem.endswith(exercise.function) or own.search(near) or not near):
                yield f"{path.relative_to(root)}:{number}: {line.strip()}"


def _places(assignment: str, topic: str, function: str, root: Path) -> tuple[Path, ...]:
    return (
        solutions(assignment, root) / f"{topic}.py",
        root / "assignments" / assignment / "assignment.toml",
        reference(assignment, root) / topic / "reference.py",
        root / "grader" / "checks" / assignment / topic / f"test_{function}.py",
        reference(assignment, root) / topic / f"mistakes_{function}.py",
    )


def _with_row(text: str, topic: str, row: str) -> str:
    """The file with the row behind the last of its topic, or at its end."""
    rows = list(re.finditer(r"^\[\[exercise\]\]\n", text, re.MULTILINE))
    ends = [following.start() for following in rows[1:]] + [len(text)]
    ours = [end for row_of, end in zip(rows, ends, strict=True) if f'name = "{topic}.' in text[row_of.start() : end]]
    if not ours:
        return text.rstrip("\n") + f"\n\n{row}"
    end = ours[-1]
    comment = re.search(r"\n(# ---[^\n]*\n\s*)$", text[:end])  # the heading of the next topic stays with it
    end = comment.start(1) if comment else end
    return text[:end].rstrip("\n") + f"\n\n{row}" + text[end:]


def _write(path: Path, text: str, root: Path) -> None:
    for folder in reversed(path.relative_to(root).parents):
        package = root / folder / "__init__.py"
        if folder != Path() and not package.exists():
            package.parent.mkdir(parents=True, exist_ok=True)
            package.touch()
    path.write_text(text, "utf-8")
