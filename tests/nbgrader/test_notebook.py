"""`check(...)` in a student's notebook, in a real kernel."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

nbclient = pytest.importorskip("nbclient")

from grader.assignment import REPO_ROOT  # noqa: E402
from grader.authoring.build.write_notebook import SETUP  # noqa: E402

RIGHT = """import torch
def kl_divergence(p, q):
    if p.shape[-1] != q.shape[-1] or p.shape[-1] == 0:
        raise ValueError("p and q need the same K, at least 1")
    try:
        p, q = torch.broadcast_tensors(p, q)
    except RuntimeError:
        raise ValueError("p and q do not broadcast")
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1)"""
WRONG = RIGHT + "\nkl_divergence_right = kl_divergence\ndef kl_divergence(p, q):\n    print('p', p)\n    return kl_divergence_right(q, p)"
MORE = (
    'hint("kl_divergence")\nhint("kl_divergence")',
    'print(check("forward_kl"))',
    "from grader.practice import notebook\nnotebook.CALL_SECONDS = 1\ndef kl_divergence(p, q):\n    while True: pass",
    "print(check(kl_divergence))",
)
TIMED = 'import time; started = time.process_time(); report = check("kl_divergence"); took = time.process_time() - started; print(took)'


@pytest.fixture(scope="module")
def executed():
    """A student's session: a right answer, then a wrong one."""
    setup = SETUP.format(kit="", assignment="lecture1", of='"lecture1", "divergences"')
    cells = [setup, RIGHT, 'check("kl_divergence")', TIMED, WRONG, 'check("kl_divergence")', "print(report)", *MORE]
    elsewhere = new_code_cell('check("monte_carlo")', metadata={"tags": ["raises-exception"]})
    notebook = new_notebook(cells=[*map(new_code_cell, cells), elsewhere])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(REPO_ROOT)}}).execute()
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells]


def test_a_check_takes_less_than_a_second_after_the_first(executed):
    assert float(executed[3][0].text) < 1.0


def test_the_result_is_html_with_a_plain_twin(executed):
    for outputs in (executed[2], executed[5]):
        (result,) = outputs
        assert result.output_type == "execute_result"
        assert set(result.data) == {"text/html", "text/plain"}
    assert 'class="dgm"' in executed[2][0].data["text/html"]
    assert "kl_divergence" in executed[2][0].data["text/plain"]
    assert "kl_divergence" in executed[6][0].text


def test_a_wrong_function_of_this_notebook_is_told_its_counterexample(executed):
    assert 'class="good"' in executed[2][0].data["text/html"]
    wrong = executed[5][0].data
    assert 'class="bad"' in wrong["text/html"]
    assert "0.5108, expected 0.3681" in wrong["text/html"]
    assert "0.5108, expected 0.3681" in wrong["text/plain"]


def test_what_the_failing_call_printed_stands_in_the_result_alone(executed):
    shown, _ = executed[5][0].data["text/html"].split("<details>")
    assert "<pre>p tensor([0.9000, 0.1000])</pre>" in shown


def test_a_notebook_gives_hints_one_more_each_time(executed):
    assert executed[7][0].text.count("hint 1 of") == 2
    assert executed[7][0].text.count("hint 2 of") == 1


def test_what_is_missing_is_missing_in_this_notebook(executed):
    assert "in this notebook" in executed[8][0].text.replace("\n", " ")
    assert "divergences.py" not in executed[8][0].text


def test_an_endless_loop_ends_and_is_a_result(executed):
    assert "∞" in executed[10][0].text


def test_the_first_failure_is_open_and_the_rest_folded(executed):
    shown, folded = executed[5][0].data["text/html"].split("<details>")
    assert shown.count("<li") == 1
    assert "you returned" in shown
    assert folded.count("<li") > 3


def test_a_name_of_another_notebook_is_a_sentence_and_no_traceback(executed):
    (error,) = executed[11]
    assert error.traceback == ["there is no exercise 'monte_carlo' in divergences. `dgm list` shows all."]
