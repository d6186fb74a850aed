"""Which GPU this machine has, asked without opening it here: graders are forked, and CUDA does not survive that."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASK = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
ASK_SECONDS = 120.0


def name_of(device: str) -> str:
    """The name of the GPU as a process of its own finds it, or nothing; "cpu" is for the kit's own tests."""
    if device == "cpu":
        return "the CPU, in a test of the kit"
    if _cuda_of_torch() is None:
        return ""
    try:
        asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    except subprocess.TimeoutExpired:  # a driver that does not answer
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _cuda_of_torch() -> str | None:
    """For which CUDA torch was built; torch itself is not imported for that."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    cuda: str | None = runpy.run_path(str(Path(spec.origin).with_name("version.py")))["cuda"]
    return cuda


@contextmanager
def out_of_sight() -> Iterator[None]:
    """Hide every GPU from this process: the first backward pass would open them, and start a thread for each."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
