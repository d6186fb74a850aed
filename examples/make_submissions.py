"""Makes `examples/submissions/<assignment>/` from the solutions: what students hand in, well and badly.

    python examples/make_submissions.py

What each of them should get stands in `examples/submissions.toml`. Instructor only, and not committed: most of it is solutions.
"""

from __future__ import annotations

import functools
import io
import json
import shutil
import textwrap
import zipfile
from pathlib import Path

from grader.assignment import REPO_ROOT, lectures, load
from grader.authoring import build
from grader.authoring.build.source import MARKER
from grader.hidden.places import solutions

SUBMISSIONS = REPO_ROOT / "examples" / "submissions"
MIDNIGHT = (2026, 3, 1, 0, 0, 0)  # of every archive entry, so that the archives are equal byte by byte

Files = dict[str, str | bytes]  # a name, with `/` between folders, and what stands in it


def lecture1() -> dict[str, str | bytes | Files]:
    """Every submission of the first assignment: a folder of files, or one file."""
    topics = load("lecture1").topics
    right, stubs = {f"{topic}.py": module(topic) for topic in topics}, {f"{topic}.py": stub(topic) for topic in topics}
    return {
        "01_all_right": right,
        "02_all_right_notebooks.zip": zipped({f"{topic}.ipynb": notebook(topic) for topic in topics}),
        "03_nothing_done": stubs,
        "04_half_done": stubs | {name: right[name] for name in ("course_tricks.py", "histogram.py", "divergences.py")},
        "05_only_divergences.py": module("divergences"),
        "06_reverse_kl": {"divergences.py": module("divergences", kl_divergence=REVERSE_KL, kl_low_variance=NAIVE)},
        "07_typical_mistakes": {
            "course_tricks.py": module("course_tricks", monte_carlo_standard_error=BIASED, lotus=OF_THE_MEAN),
            "change_of_variables.py": module("change_of_variables", log_abs_det_jacobian=SIGNED),
            "autoregressive.py": module("autoregressive", log_prob=BY_PROBABILITIES, context_windows=NEWEST_FIRST),
        },
        "08_syntax_error_in_histogram": {
            "histogram.py": edited(module("histogram"), "def sample_histogram(", "def sample_histogram(("),
            "divergences.py": module("divergences"),
        },
        "09_endless_loop_in_context_mask": {"autoregressive.py": module("autoregressive", context_mask=ENDLESS)},
        "10_kills_the_interpreter_in_jensen_gap": {"course_tricks.py": module("course_tricks", jensen_gap=KILLER)},
        "11_notebook_with_exploration.ipynb": notebook("divergences", *EXPLORATION),
        "12_from_a_learning_platform.zip": platform_zip(right),
        "13_empty.zip": zipped({}),
        "14_damaged.zip": zipped(dict(right))[:5000],
        "15_not_a_notebook.ipynb": "<!DOCTYPE html><title>Sign in to continue</title>",
        "16_saved_in_latin_1": {"histogram.py": ("# Lösung von Jürgen Groß\n" + module("histogram")).encode("latin-1")},
        "17_other_parameters": {
            "histogram.py": edited(
                edited(module("histogram"), '" n"], num_bins: int)', '" n"], num_bins: int, smoothing: float)'),
                "def num_parameters(m: int, K: int, order: int | None)", "def num_parameters(m, K)",
            )
        },
        "18_prints_and_asks_at_import": {"histogram.py": CHATTY + module("histogram")},
        "19_trains_at_import": {"change_of_variables.py": module("change_of_variables") + TRAINING},
        "20_one_file_misnamed": {"homework final (2).py": module("histogram")},
    }  # fmt: skip


def families() -> dict[str, str | bytes | Files]:
    """Every submission of the second assignment."""
    topics = load("families").topics
    right, stubs = {f"{topic}.py": module(topic) for topic in topics}, {f"{topic}.py": stub(topic) for topic in topics}
    return {
        "01_all_right": right,
        "02_all_right_notebooks.zip": zipped({f"{topic}.ipynb": notebook(topic) for topic in topics}),
        "03_nothing_done": stubs,
        "04_half_done": stubs | {name: right[name] for name in ("vae.py", "flows.py", "gan.py")},
        "05_only_diffusion.py": module("diffusion"),
        "06_typical_mistakes": {
            "vae.py": module("vae", gaussian_kl=TURNED_KL),
            "flows.py": module("flows", affine_coupling=SUM_OF_SCALES),
            "gan.py": module("gan", discriminator_loss=PROBABILITIES),
        },
        "07_syntax_error_in_energy": {
            "energy.py": edited(module("energy"), "def log_partition(", "def log_partition(("),
            "score.py": module("score"),
        },
        "08_endless_loop_in_euler_sample": {"flow_matching.py": module("flow_matching", euler_sample="while True:\n    pass")},
    }  # fmt: skip


# --- what students write

TURNED_KL = "return 0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(dim=1)"
SUM_OF_SCALES = """
half = x.shape[1] // 2
log_scale, shift = net(x[:, :half])
return torch.cat([x[:, :half], x[:, half:] * log_scale.exp() + shift], dim=1), log_scale.exp().sum(dim=1)
"""
PROBABILITIES = "return -torch.sigmoid(real_logits).log().mean() - (1 - torch.sigmoid(fake_logits)).log().mean()"
REVERSE_KL = "return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum(-1)"
NAIVE = "return (log_p(x) - log_q(x)).mean()"
BIASED = "return f(x).std(0, unbiased=False) / len(x) ** 0.5"
OF_THE_MEAN = "return g(f(x).mean(0, keepdim=True))[0]"
SIGNED = "return torch.log(torch.linalg.det(torch.func.vmap(torch.func.jacrev(lambda row: f(row[None])[0]))(x)))"
BY_PROBABILITIES = """
probs = torch.softmax(conditional(x), dim=-1)
return probs.gather(-1, x[..., None])[..., 0].prod(dim=1).log()
"""
NEWEST_FIRST = """
padded = torch.cat([torch.full((x.shape[0], d), start), x], dim=1)
return padded.unfold(1, d, 1)[:, : x.shape[1]].flip(-1)
"""
ENDLESS = """
i = 0
while i < m:
    j = i - d
"""
KILLER = """
import os

os.abort()
"""
CHATTY = """
print("Hello! " * 1000)
name = input("Who are you? ")
print("Welcome,", name)

"""
TRAINING = """

flow = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(flow.parameters())
while True:
    loss = -log_prob_x(flow, lambda z: -0.5 * (z**2).sum(-1), torch.randn(64, 2)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
EXPLORATION = (
    "%matplotlib inline\n!pip install seaborn\nimport seaborn as sns",
    "p = torch.tensor([0.9, 0.1])\nkl_divergence(p, torch.ones(3) / 3)",
    "import matplotlib.pyplot as plt\n\nplt.plot([kl_divergence(p, torch.tensor([a, 1 - a])) for a in (0.1, 0.5)])",
    "plt.show()\n1 / 0",
    "def unfinished(:",
)


# --- forms in which they hand it in


def module(topic: str, **bodies: str) -> str:
    """The solution as a student would hand it in, the bodies of some functions replaced."""
    lines: list[str] = []
    replaced = False
    for line in _source(topic).text.splitlines():
        marker = MARKER.fullmatch(line)
        if marker is not None:
            replaced = marker["side"] == "BEGIN" and marker["name"] in bodies
            lines += textwrap.indent(bodies[marker["name"]].strip(), "    ").splitlines() if replaced else []
        elif not replaced:
            lines.append(line)
    return "\n".join(lines) + "\n"


def edited(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"the solutions have changed: {old!r} stands {text.count(old)} times in them")
    return text.replace(old, new)


def stub(topic: str) -> str:
    return build.stub(_source(topic))


def notebook(topic: str, *exploration: str) -> str:
    """The solved notebook, with cells of the student's own at its end."""
    source = _source(topic)
    solved = json.loads(build.instructor_notebook(source, load(source.path.parent.name)))
    for cell in solved["cells"]:
        cell["source"] = [line for line in cell["source"] if "### BEGIN" not in line and "### END" not in line]
    for number, source in enumerate(exploration):
        cell = {"cell_type": "code", "execution_count": None, "id": f"mine-{number}", "metadata": {}, "outputs": []}
        solved["cells"].append(cell | {"source": source})
    return json.dumps(solved, indent=1, ensure_ascii=False) + "\n"


def zipped(files: Files) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(zipfile.ZipInfo(name, MIDNIGHT), content)  # stored: compressors differ in their bytes
    return archive.getvalue()


def platform_zip(files: Files) -> bytes:
    """As zipped on a Mac and wrapped once more by the platform: nested folders, an umlaut, resource forks."""
    folder = "Übung 1 – Anna Müller/lecture1/"
    forks = {f"__MACOSX/{folder}._{name}": b"\0\5\x16\7" for name in files}
    inner = zipped({folder + name: content for name, content in files.items()} | forks | {f"{folder}.DS_Store": b"\0"})
    return zipped({"submissions/Müller_Anna/abgabe.zip": inner})


@functools.cache
def _source(topic: str) -> build.Source:
    (name,) = (name for name in lectures() if topic in load(name).topics)
    return build.read(solutions(name) / f"{topic}.py")


def write(folder: Path = SUBMISSIONS) -> None:
    """Write everything anew."""
    made = {"lecture1": lecture1(), "families": families()}  # or a refusal, before anything is lost
    shutil.rmtree(folder, ignore_errors=True)
    for assignment, submissions in made.items():
        for name, content in submissions.items():
            for path, data in content.items() if isinstance(content, dict) else [("", content)]:
                target = folder / assignment / name / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data.encode() if isinstance(data, str) else data)


if __name__ == "__main__":
    write()
