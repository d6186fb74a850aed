"""The layers are Linux's; the wire is everyone's."""

import sys
from collections.abc import Sequence

import pytest

collect_ignore_glob = (
    [] if sys.platform == "linux" else ["test_seccomp.py", "test_fork.py", "test_device_process.py", "test_lockdown.py", "test_policy.py"]
)


@pytest.fixture(scope="session")
def layers() -> Sequence[str]:
    """The strongest that there are here, but for the wall. Not found out while tests are collected: torch is loaded for it."""
    from grader.sandbox.layers.policy import begin_strongest

    workers, _ = begin_strongest("default", [])()
    workers.close()
    return [layer for layer in workers.isolation.layers if layer != "wall"]


@pytest.fixture
def namespaces(layers: Sequence[str]) -> None:
    if "namespaces" not in layers:
        pytest.skip("there are no user namespaces here")
