"""What tests leave alone: the caches of the person who runs them, and how busy the machine is."""

from __future__ import annotations

import os
import tempfile

from hypothesis import settings

os.environ.setdefault("MPLCONFIGDIR", os.path.expanduser("~/.cache/matplotlib"))  # its list of fonts takes seconds
_CACHE = tempfile.TemporaryDirectory(prefix="dgm-tests-cache-", ignore_cleanup_errors=True)
os.environ["XDG_CACHE_HOME"] = _CACHE.name  # no test reads, or leaves, a preparation of the person who runs it
settings.register_profile("tests", deadline=None)  # 200 ms for a tiny example are not enough where other jobs run
settings.load_profile("tests")
