"""`dgm grade --debug`: a breakpoint in a check is reached in the command's own process, also where answers are known to pass."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.grading import small_checkout

CHECK = Path("grader/checks/lecture1/histogram/test_parameters.py")
LINE = "    for order, count in FIVE_OF_THREE.items():\n"  # of a check with one input
HOOK = "import os\n\ndef reached():\n    with open(os.environ['REACHED'], 'a') as log:\n        log.write(f'{os.getpid()}\\n')\n"


def test_a_breakpoint_in_a_check_is_reached(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="dgm-checkout-") as folder:  # pytest's own folders are closed to workers
        checkout, log = Path(folder), tmp_path / "reached"
        small_checkout.build(checkout)
        submitted = small_checkout.submissions(tmp_path / "submissions", 2)
        (checkout / "hook.py").write_text(HOOK, "utf-8")
        source = (checkout / CHECK).read_text("utf-8")
        (checkout / CHECK).write_text(source.replace(LINE, f"    breakpoint()\n{LINE}"), "utf-8")
        environment = small_checkout.environment(checkout) | {"PYTHONBREAKPOINT": "hook.reached", "REACHED": str(log)}
        command = small_checkout.command(submitted, tmp_path / "results", "--debug")
        run = subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True)
        said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert log.read_text("utf-8").split() == [str(run.pid)] * 2  # for each submission
