"""The layers are Linux's; the wire is everyone's."""

import sys

collect_ignore_glob = (
    [] if sys.platform == "linux" else ["test_seccomp.py", "test_fork.py", "test_device_process.py", "test_lockdown.py", "test_policy.py"]
)
