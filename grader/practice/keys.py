"""Single keys from the terminal, while output goes on as usual."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def single_keys() -> Iterator[Callable[[], str]]:
    """A function that waits for the next key; it raises `EOFError` where there is no keyboard any more."""
    if sys.platform == "win32":
        import msvcrt

        yield msvcrt.getwch
    elif sys.stdin.isatty():
        import termios
        import tty

        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal)  # not raw: lines still end at the left edge, and Ctrl-C still interrupts
        try:
            yield _read
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
    else:
        yield _read


def _read() -> str:
    key = os.read(sys.stdin.fileno(), 1)
    if not key:
        raise EOFError
    return key.decode("ascii", "replace")
