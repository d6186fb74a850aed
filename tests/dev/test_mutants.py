"""The mutation tool: what it changes, what it leaves alone, and that its list of survivors is of today's solutions."""

import ast
from pathlib import Path

import pytest

from grader.assignment import REPO_ROOT
from grader.authoring.build.source import read
from grader.authoring.mutants import mutants
from grader.authoring.mutation import MutationRun, explained_survivors, mutate

SOURCE = '''"""A topic."""
import torch


# %% centred
def centred(x):
    """Doc."""
    # BEGIN SOLUTION centred
    if len(x) < 1:
        raise ValueError(f"x has {len(x) + 1} entries")
    with torch.no_grad():
        y = x.double()  # — a dash of two bytes more
    return y - torch.mean(y, dim=0)
    # END SOLUTION centred


untouched = 1 + 1
'''


@pytest.fixture
def changes(tmp_path: Path) -> dict[str, str]:
    """What stands in the place of which line, of every mutant."""
    path = tmp_path / "topic.py"
    path.write_text(SOURCE, encoding="utf-8")
    return {mutant.after: mutant.before for mutant in mutants(read(path))}


@pytest.mark.parametrize(
    ("after", "before"),
    [
        ("if len(x) <= 1:", "if len(x) < 1:"),
        ("if len(x) < 2:", "if len(x) < 1:"),
        ("return y + torch.mean(y, dim=0)", "return y - torch.mean(y, dim=0)"),
        ("return y - torch.mean(y)", "return y - torch.mean(y, dim=0)"),
        ("return y - y", "return y - torch.mean(y, dim=0)"),
        ("y = x", "y = x.double()"),
        ("if True:", "with torch.no_grad():"),
        ("pass", 'if len(x) < 1: raise ValueError(f"x has {len(x) + 1} entries")'),
    ],
)
def test_operators_numbers_calls_keywords_blocks_and_statements_are_changed(changes, after, before):
    assert before in changes[after] or after == "pass"
    assert after in changes


def test_the_wording_of_errors_and_what_students_do_not_write_are_left_alone(changes):
    assert not any("entries" in after for after in changes)
    assert not any("untouched" in before for before in changes.values())


def test_every_mutant_is_a_whole_module_with_one_difference(tmp_path):
    path = tmp_path / "topic.py"
    path.write_text(SOURCE, encoding="utf-8")
    texts = [mutant.text for mutant in mutants(read(path))]
    assert len(set(texts)) == len(texts) > 20
    for text in texts:
        ast.parse(text)
        assert text.endswith("untouched = 1 + 1\n")
        assert text != SOURCE


def test_every_survivor_of_a_small_exercise_is_explained():
    run = mutate("lecture1", ["histogram"], "test", ["histogram.num_parameters"])
    assert run.mutants > 50
    assert run.unexplained == []
    assert run.outdated == []


def test_an_unexplained_survivor_and_an_outdated_entry_are_told():
    explained = {(name, "a", "c"): "why" for name in ("t.f", "t.g", "whole.gone")}
    run = MutationRun(topics={"whole"}, exercises={"t.f"}, mutants=2, survivors=[("t.f", "a", "b")], explained=explained)
    assert run.unexplained == [("t.f", "a", "b")]
    assert run.outdated == [("t.f", "a", "c"), ("whole.gone", "a", "c")]


@pytest.mark.parametrize("entry", list(explained_survivors().items()), ids=lambda entry: " -> ".join(entry[0])[:80])
def test_every_listed_survivor_has_a_reason_and_changes_a_line_of_the_solution(entry):
    (exercise, before, after), why = entry
    topic, _, _ = exercise.partition(".")
    (path,) = (REPO_ROOT / "solutions").glob(f"*/{topic}.py")
    solution = " ".join(path.read_text("utf-8").split())
    assert len(why) > 15
    assert before != after
    assert before.split("  ")[0][:60] in solution
