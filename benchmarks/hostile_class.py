"""A class with attackers in it: everybody else has the same marks, and time and memory grow by the attackers' own bounds.

    python benchmarks/hostile_class.py [honest] [hostile]

Grades the honest submissions alone, then all together. Each honest one holds one topic: right, right by another road, with one
registered mistake, or half written. The hostile ones are those of `tests/intake/` and `tests/attacks/`, and some of their own.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from dgm_ref import catalogue
from grader import assignment as assignments
from grader.assignment import REPO_ROOT
from grader.grading.store import read
from grader.record import Record
from tests.attacks.arena import PREAMBLE, descendants
from tests.attacks.corpus import CORPUS
from tests.intake.making import lay
from tests.intake.test_bounds import HOSTILE, hostile

LECTURE = "lecture1"
ANSWERS = {"histogram": "mistakes_fits", "change_of_variables": "mistakes_log_det"}  # modules that stand alone
REGISTRY = "mistake = variant = size_of = contains = lambda *_, **__: lambda function: function\n"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "DGM_SEED": "a seed for benchmarks"}
BROKEN = "def fit_histogram(x\n"

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class Honest:
    """A module, and what it earns: everything, or less in one exercise."""

    topic: str
    text: str
    wrong_in: tuple[str, ...] = ()

    def is_marked_right(self, record: Record) -> bool:
        lost = {one.exercise for one in record.exercises if one.exercise.startswith(f"{self.topic}.") and one.score < one.max_score}
        others = {one.exercise for one in record.exercises if not one.exercise.startswith(f"{self.topic}.") and one.score > 0}
        return not others and (lost >= {*self.wrong_in} if self.wrong_in else not lost)


def honest_answers() -> list[Honest]:
    """Each of the answers that are not simply right, behind nine that are."""
    right = {topic: (REPO_ROOT / "solutions" / LECTURE / f"{topic}.py").read_text("utf-8") for topic in ANSWERS}
    answers = [_unwritten(topic) for topic in ANSWERS]
    for topic, module in ANSWERS.items():
        known = catalogue.load(LECTURE, topic)
        registered: list[catalogue.Mistake | catalogue.Variant] = [*itertools.chain(*known.mistakes.values())]
        registered += itertools.chain(*known.variants.values())
        for one in registered:
            if one.function.__module__.endswith(f".{module}"):
                source = re.sub(r"from (?:dgm_ref\S*|__future__) import .*", "", inspect.getsource(sys.modules[one.function.__module__]))
                name = one.exercise.split(".")[1]
                text = f"{right[topic]}\n{REGISTRY}{source}\n{name} = {one.function.__name__}\n"
                answers.append(Honest(topic, text, (one.exercise,) if isinstance(one, catalogue.Mistake) else ()))
    nine = [Honest(topic, right[topic]) for topic in itertools.islice(itertools.cycle(ANSWERS), 9)]
    return [answer for other in answers for answer in (*nine, other)]


def _unwritten(topic: str) -> Honest:
    exercises = assignments.load(LECTURE).exercises
    stub = (REPO_ROOT / "assignments" / LECTURE / f"{topic}.py").read_text("utf-8")
    return Honest(topic, stub, tuple(one.name for one in exercises if one.topic == topic and not one.bonus))


def hostile_files() -> list[Files]:
    """One entry of a class each: those that are expensive to read, those that attack the worker, those that are called oddly."""
    reading = [{name.replace("flows", "histogram"): data for name, data in files.items()} for files in map(hostile, HOSTILE)]
    attacks = [one for one in CORPUS if one.group in ("starve", "serialise", "escape") and "timeout" not in one.outcomes]
    running = [{"histogram.py": PREAMBLE + one.source} for one in attacks[::4]]
    right = (REPO_ROOT / "solutions" / LECTURE / "histogram.py").read_text("utf-8")
    slow = "\ndef sample_histogram(*others, right=sample_histogram):\n    import time; time.sleep(9.5); return right(*others)\n"
    own: list[Files] = [
        {"histogram.py": right + slow},
        {"histogram.py": "def fit_histogram(x, num_bins):\n    while True: pass\n"},
        {"histogram.py": "import time\ntime.sleep(10**6)\n" + right},
        {"histogram.py": "import os\nos._exit(0)\n" + right},
        {"histogram.py": "import os\nos.abort()\n" + right},
        {"histogram.py": "import ctypes\nctypes.string_at(0)\n" + right},
        {"histogram.py": "x = []\nwhile True: x.append(bytearray(1 << 24))\n" + right},
        {"histogram.py": "class R:\n    def __repr__(self): return 'x' * 183_000_000\ndef fit_histogram(x, num_bins): return R()\n"},
        {"histogram.py": "def fit_histogram(x, num_bins): raise ValueError('x' * 183_000_000)\n"},
        {"histogram.py": "def fit_histogram(x, num_bins): import os; os.kill(os.getpid(), 9)\n"},
    ]
    names = ["records.jsonl", "grades.csv", "CON", "\U0001d160" * 62, "x;=1+1;y", "a\u202eb", "Anna V_765_assignsubmission_file_histogram",
             "victimanna_340934_208490284_histogram", "histogram", os.fsdecode(b"B\xf6b")]  # fmt: skip
    in_folders = [files for group in itertools.zip_longest(own, running, reading) for files in group if files]
    entries: list[Files] = [{f"h{index:02d}/{name}": data for name, data in files.items()} for index, files in enumerate(in_folders)]
    broken: list[Files] = [{f"{name}.py": BROKEN} for name in names]
    return [entry for pair in itertools.zip_longest(entries, broken) for entry in pair if entry]


class Memory(threading.Thread):
    """The most memory that a run and all its processes have had at a time, in MiB; what they share counts once."""

    def __init__(self, run: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.process, self.most = run, 0

    def run(self) -> None:
        while self.process.poll() is None:
            pids = [self.process.pid, *descendants(self.process.pid)]
            self.most = max(self.most, sum(map(_proportional, pids)) >> 10)
            time.sleep(2)


def _proportional(pid: int) -> int:
    try:
        lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def graded(submissions: Path, results: Path, name: str) -> dict[str, Record]:
    before, started = _cpu(), time.monotonic()
    command = ["-c", "from grader.cli import app; app()", "grade", str(submissions), "-o", str(results), "-j", "2", "--quick", "--json"]
    with subprocess.Popen([sys.executable, *command], cwd=REPO_ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE) as run:
        memory = Memory(run)
        memory.start()
        assert run.stdout is not None
        last = json.loads(run.stdout.read().splitlines()[-1])
    records = {record.submission: record for record in read(results)}
    print(f"{name:10}{len(records):6} {time.monotonic() - started:7.0f} {_cpu() - before:7.0f} {memory.most:9}"
          f" {run.returncode:5}  {last.get('faults', '')}", flush=True)  # fmt: skip
    return records


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def marks(record: Record) -> list[tuple[str, str, float]]:
    return [(check.check, check.outcome, check.points) for exercise in record.examined for check in exercise.checks]


def has_a_sentence(record: Record) -> bool:
    return bool(record.problems) or any(check.message for exercise in record.examined for check in exercise.checks)


def main(number: int, hostile: int) -> int:
    answers = list(itertools.islice(itertools.cycle(honest_answers()), number))
    attackers = hostile_files()[:hostile]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
          f"torch {torch.__version__}\n\n{'':10}{'rows':>6} {'wall s':>7} {'CPU s':>7} {'MiB':>9} {'exit':>5}  faults")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="dgm-class-") as name:
        folder = Path(name)
        entries = [f"s{index:04d}" for index in range(len(answers))]
        for entry, one in zip(entries, answers, strict=True):
            lay(folder / "class" / entry, {f"{one.topic}.py": f"{one.text}\n# student {entry}\n"})
        alone = graded(folder / "class", folder / "alone", "honest")
        for files in attackers:
            lay(folder / "class", files)
        mixed = graded(folder / "class", folder / "mixed", "mixed")
        largest = max(path.stat().st_size for path in (folder / "mixed").glob("*/record.json"))
    expected = zip(entries, answers, strict=True)
    faults = [f"{entry}: not marked as it should be" for entry, one in expected if not one.is_marked_right(alone[entry])]
    faults += [f"{entry}: other marks beside attackers" for entry in entries if marks(alone[entry]) != marks(mixed[entry])]
    theirs = [record for entry, record in mixed.items() if entry not in entries]
    faults += [f"{record.submission}: no sentence" for record in theirs if not has_a_sentence(record)]
    if len(theirs) != len(attackers):
        faults.append(f"{len(theirs)} rows for {len(attackers)} attackers")
    seconds = sorted(record.seconds for record in theirs)
    print(f"\nattackers: {sum(seconds):.0f} s of exams, the slowest {seconds[-1]:.0f} s; the largest record {largest >> 10} KiB")
    print("\n".join(faults) or "every honest mark is the same, every attacker has a row and a sentence")
    return bool(faults)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(*map(int, [*arguments, *["950", "50"][len(arguments) :]])))
