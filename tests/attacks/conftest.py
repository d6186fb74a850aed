"""The layers are Linux's."""

import sys

collect_ignore_glob = [] if sys.platform == "linux" else ["*.py"]
