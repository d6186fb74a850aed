"""Every picture is drawn from the solutions, fits its paper, says what is missing, and gives nothing away."""

from __future__ import annotations
import __future__

import base64
import importlib
import io
import math
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from typer.testing import CliRunner

from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.checks.lecture1.imagegpt import picture as imagegpt
from grader.cli import app
from grader.practice import canvas, gallery
from grader.practice.gallery import CannotDraw, Picture, Work, picture
from grader.sandbox.inside.loading import load_topic

ASSIGNMENT = assignments.load("lecture1")
ALL = [(topic, one) for topic in ASSIGNMENT.topics for one in gallery.pictures("lecture1", topic)]
OF_ALL = [
    (f"solutions.{lecture}.{topic}", one)
    for lecture in assignments.lectures()
    for topic in assignments.load(lecture).topics
    for one in gallery.pictures(lecture, topic)
]


@pytest.fixture(scope="module")
def works() -> dict[str, Work]:
    """The solutions, with networks that are hardly trained."""
    return {module: Work(importlib.import_module(module), steps=2) for module, _ in OF_ALL}


def module_of(text: str) -> Work:
    return Work(load_topic("divergences", [text], 10, False).module)


@pytest.mark.parametrize(("module", "one"), OF_ALL, ids=[f"{module.partition('.')[2]}-{one.name}" for module, one in OF_ALL])
@pytest.mark.filterwarnings("error:Glyph")
def test_a_picture_is_drawn_fits_its_paper_and_leaves_no_trace(module: str, one: Picture, works: dict[str, Work]) -> None:
    before = torch.get_rng_state()
    drawn = one.draw(works[module])
    assert torch.equal(torch.get_rng_state(), before)
    data = io.BytesIO()
    drawn.savefig(data, format="png", dpi=60)
    assert imread(io.BytesIO(data.getvalue())).std() > 0.03, "blank"
    drawn.draw_without_rendering()
    for text in _said(drawn):
        box = text.get_window_extent()
        assert drawn.bbox.x0 - 2 <= box.x0, f"{text.get_text()!r} runs over the left edge"
        assert box.x1 <= drawn.bbox.x1 + 2, f"{text.get_text()!r} runs over the right edge"


def _said(drawn: Figure) -> list[Text]:
    """Titles, names of axes, legends: all text but the numbers at the axes."""
    legends = [text for axes in drawn.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    labels = [label for axes in drawn.axes for label in (axes.xaxis.label, axes.yaxis.label, axes._left_title, *axes.texts)]  # type: ignore[attr-defined]
    return [text for text in [*drawn.findobj(lambda one: one is drawn._suptitle), *labels, *legends] if text.get_text()]  # type: ignore[attr-defined]


def test_nearly_every_exercise_has_a_picture_and_every_picture_is_of_exercises() -> None:
    pictured = {f"{topic}.{function}" for topic, one in ALL for function in one.of}
    known = {exercise.name for exercise in ASSIGNMENT.exercises}
    assert {f"{module}.{function}" for module, one in OF_ALL for function in one.of} <= {
        f"solutions.{lecture}.{exercise.name}" for lecture in assignments.lectures() for exercise in assignments.load(lecture).exercises
    }
    of_other_topics = {name for name in known if not name.startswith("imagegpt.")}
    without = {exercise.name for exercise in ASSIGNMENT.exercises if exercise.bonus}  # a test is nothing to look at
    assert of_other_topics - pictured <= without


@pytest.mark.parametrize("lecture", assignments.lectures())
def test_every_notebook_cell_shows_pictures_that_there_are(lecture: str) -> None:
    for topic in assignments.load(lecture).topics:
        source = (REPO_ROOT / "solutions" / lecture / f"{topic}.py").read_text("utf-8")
        cells = [line for line in source.splitlines() if line.startswith("# show(")]
        shown = {name for line in cells for name in line.split('"')[1::2]}
        assert shown <= {function for one in gallery.pictures(lecture, topic) for function in one.of}
        assert cells


def test_what_is_not_written_yet_is_said_by_its_name() -> None:
    two_modes = next(one for topic, one in ALL if one.name == "two-modes")
    stub = 'def fit_gaussian_forward_kl(x):\n    raise NotImplementedError("fit_gaussian_forward_kl")\n'
    with pytest.raises(CannotDraw, match="^fit_gaussian_forward_kl is not implemented yet$"):
        two_modes.draw(module_of(stub))
    with pytest.raises(CannotDraw, match="^fit_gaussian_forward_kl is not implemented yet$"):
        two_modes.draw(module_of(""))


def test_an_exception_is_told_with_its_line() -> None:
    one = next(one for topic, one in ALL if one.name == "both-orders")
    with pytest.raises(CannotDraw, match=r"^kl_divergence raised ZeroDivisionError: division by zero \(line 2\)$"):
        one.draw(module_of("def kl_divergence(p, q):\n    return 1 / 0\n"))
    with pytest.raises(CannotDraw, match="^what kl_divergence returned cannot be drawn .*dgm check kl_divergence"):
        one.draw(module_of("def kl_divergence(p, q):\n    return None\n"))
    with pytest.raises(CannotDraw, match=r"SystemExit"):
        one.draw(module_of("def kl_divergence(p, q):\n    raise SystemExit\n"))


def test_what_is_printed_while_a_picture_is_drawn_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    one = next(one for topic, one in ALL if one.name == "both-orders")
    one.draw(module_of("import torch\ndef kl_divergence(p, q):\n    print('!')\n    return torch.zeros(p.shape[:-1])\n"))
    assert capsys.readouterr().out == ""


def test_what_can_be_drawn_and_not_saved_is_told_as_well() -> None:
    @picture("kl_divergence")
    def line(mine: Work):  # type: ignore[no-untyped-def]
        drawn, (axes,) = canvas.figure(1, 2, 2, "a line")
        axes.plot(canvas.numbers(mine.kl_divergence(1, 2)))
        return drawn

    with pytest.raises(CannotDraw, match="^what kl_divergence returned cannot be drawn"):
        line.png(module_of("import torch\ndef kl_divergence(p, q):\n    return torch.full((3,), 1e308, dtype=torch.float64)\n"))


def test_an_exercise_without_a_picture_gets_those_of_its_topic() -> None:
    of_topic = [one.name for topic, one in ALL if topic == "imagegpt"]
    assert [one.name for _, one in gallery.chosen(ASSIGNMENT, ["imagegpt.raster_scan"])] == of_topic
    assert [one.name for _, one in gallery.chosen(ASSIGNMENT, ["imagegpt.quantize"])] == ["palette"]
    assert [one.name for _, one in gallery.chosen(ASSIGNMENT, ["divergences.kl_divergence"])] == ["both-orders"]


def test_a_topic_may_have_no_pictures() -> None:
    assert gallery.pictures("lecture1", "diffusion") == []


def test_the_example_in_the_authors_guide_draws() -> None:
    guide = (REPO_ROOT / "docs" / "authoring.md").read_text("utf-8")
    code = guide[guide.index('@picture("entropy")') :].split("```")[0]
    names: dict[str, Any] = {**vars(gallery), "canvas": canvas, "torch": torch, "math": math}
    exec(compile(code, "authoring.md", "exec", flags=__future__.annotations.compiler_flag), names)
    mine = module_of("import torch\ndef entropy(p):\n    return torch.special.entr(p).sum(-1)\n")
    assert len(names["of_a_coin"].draw(mine).axes[0].lines) == 2


def test_a_picture_calls_the_students_function_and_no_other() -> None:
    @picture("kl_divergence")
    def echo(mine: Work):  # type: ignore[no-untyped-def]
        return mine.kl_divergence(1, 2)

    assert echo.draw(module_of("def kl_divergence(p, q):\n    return p, q, 'mine'\n")) == (1, 2, "mine")  # type: ignore[comparison-overlap]


def test_attention_weights_are_read_off_the_students_own_attention() -> None:
    from solutions.lecture1 import imagegpt as module

    config = module.ImageGPTConfig(K=imagegpt.LEVELS, m=imagegpt.SIDE**2, dim=8, num_layers=2, num_heads=2)
    own = module.causal_attention
    weights = imagegpt._attention_weights(module, module.ImageGPT(config), torch.zeros(3, 64, dtype=torch.int64))
    assert module.causal_attention is own
    assert weights.shape == (2, 2, 64, 64)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 64))
    assert not weights.triu(1).any()


# --- dgm show


def show(*arguments: object, expect: int = 0) -> str:
    done = CliRunner().invoke(app, ["show", *(str(argument) for argument in arguments)])
    assert done.exit_code == expect, done.output
    assert "Traceback" not in done.output
    return done.output.replace("\n", " ")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Divergences are done, but for one function that raises; the rest is as handed out."""
    folder = tmp_path / "my work"
    shutil.copytree(REPO_ROOT / "assignments" / "lecture1", folder, ignore=shutil.ignore_patterns(".dgm*", "__pycache__"))
    solved = (REPO_ROOT / "solutions" / "lecture1" / "divergences.py").read_text("utf-8")
    (folder / "divergences.py").write_text(solved.replace("return (log_p_data(x) - log_p_theta(x)).mean()", "return 1 / 0"), "utf-8")
    (folder / "divergences.ipynb").unlink()
    return folder


def test_show_draws_an_exercise_or_a_topic(work: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    assert "divergences-reverse-estimates.png" in show("divergences.reverse_kl", "--folder", work, "-o", out)
    assert [path.name for path in out.iterdir()] == ["divergences-reverse-estimates.png"]
    said = show("divergences", "--folder", work, "-o", out)
    assert len(list(out.iterdir())) == len([topic for topic, one in ALL if topic == "divergences"]) - said.count("raised")


def test_show_says_what_is_not_there(work: Path, tmp_path: Path) -> None:
    out = tmp_path / "pictures"
    assert "monte_carlo is not implemented yet" in show("monte_carlo", "--folder", work, "-o", out, expect=1)
    assert "Did you mean" in show("kl_divergenze", "--folder", work, "-o", out, expect=2)
    assert "--folder" in show("kl_divergence", "--folder", tmp_path / "elsewhere", "-o", out, expect=2)
    (work / "histogram.py").unlink()
    (work / "histogram.ipynb").unlink()
    assert "there is no histogram.py" in show("fit_histogram", "--folder", work, "-o", out, expect=1)


def test_show_draws_what_stands_in_a_notebook(work: Path, tmp_path: Path) -> None:
    from grader.authoring import build

    source = build.read(REPO_ROOT / "solutions" / "lecture1" / "histogram.py")
    (work / "histogram.py").unlink()
    (work / "histogram.ipynb").write_text(build.instructor_notebook(source, ASSIGNMENT), "utf-8")
    assert "histogram-drawn-from-it.png" in show("sample_histogram", "--folder", work, "-o", tmp_path / "pictures")


def test_pictures_need_neither_reference_nor_solutions() -> None:
    names = [f"grader.checks.lecture1.{topic}.picture" for topic in ASSIGNMENT.topics]
    imports = f"import importlib, sys; [importlib.import_module(name) for name in {names}]"
    code = f"{imports}; print([name for name in sys.modules if name.startswith(('dgm_ref', 'solutions'))])"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=REPO_ROOT, text=True).strip() == "[]"


# --- show(...) in a notebook


def test_show_in_a_notebook_displays_pictures_and_sentences(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import IPython.display

    from grader.practice.notebook import painter

    shown: list[dict[str, str]] = []
    monkeypatch.setattr(IPython.display, "display", lambda data, metadata, raw: shown.append(data | metadata["image/png"]))
    kernel = ModuleType("__main__")
    exec("def kl_divergence(p, q):\n    return (p - q).abs().sum(-1)\n", kernel.__dict__)
    monkeypatch.setitem(sys.modules, "__main__", kernel)
    show_cell = painter("lecture1", "divergences")
    show_cell("kl_divergence")
    (image,) = shown
    assert base64.b64decode(image["image/png"]).startswith(b"\x89PNG")
    assert image["alt"].startswith("Zero where the two laws are equal")
    show_cell("forward_kl")
    assert capsys.readouterr().out == "forward-estimates: forward_kl is not implemented yet\n"
