"""`dgm build`: writes what is outdated, or with --check only says so."""

import pytest
from typer.testing import CliRunner

from grader.assignment import REPO_ROOT
from grader.authoring import build as building
from grader.cli import app

OUTDATED = REPO_ROOT / "assignments" / "lecture9" / "flows.py"


def refuse(lecture):
    raise building.SourceError("flows.py:3: region planar never ends")


@pytest.mark.parametrize(
    ("arguments", "outdated", "code", "says"),
    [
        (["build", "--check"], lambda lecture: [OUTDATED], 1, "outdated: assignments/lecture9/flows.py"),
        (["build", "--check"], lambda lecture: [], 0, "everything is what the solutions give"),
        (["build", "--check"], refuse, 2, "flows.py:3: region planar never ends"),
        (["build"], lambda lecture: [OUTDATED], 0, "built: assignments/lecture9/flows.py"),
    ],
)
def test_the_command_says_what_it_did(monkeypatch, arguments, outdated, code, says):
    monkeypatch.setattr(building, "outdated" if "--check" in arguments else "build", outdated)
    outcome = CliRunner().invoke(app, arguments)
    assert (outcome.exit_code, says in outcome.output.replace("\n", "")) == (code, True), outcome.output
