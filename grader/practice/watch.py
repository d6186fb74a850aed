"""Runs again what changed, on every save; keys ask for a hint, the list, or the end."""

from __future__ import annotations

import ast
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import watchfiles

from grader.assignment import Assignment

SETTLE = 80  # milliseconds: editors save in several steps


@dataclass(frozen=True)
class Saved:
    """Exercises whose code changed since they were last looked at."""

    exercises: list[str]


@dataclass(frozen=True)
class Pressed:
    """A key."""

    key: str


class Watcher:
    """The events of one session, in order: saves and keys."""

    def __init__(
        self, folder: Path, assignment: Assignment, read_key: Callable[[], str], polling: bool = False
    ) -> None:
        self._folder, self._assignment, self._read_key, self._polling = folder, assignment, read_key, polling
        self._events: queue.Queue[Saved | Pressed] = queue.Queue()
        self._stop = threading.Event()
        self._seen = {topic: fingerprints(folder / f"{topic}.py") for topic in assignment.topics}

    def events(self) -> Iterator[Saved | Pressed]:
        """Saves and keys until `stop`."""
        for target in (self._watch, self._listen):
            threading.Thread(target=target, daemon=True).start()
        while not self._stop.is_set():
            yield self._events.get()

    def stop(self) -> None:
        """End the session after the present event."""
        self._stop.set()

    def _watch(self) -> None:
        for changes in watchfiles.watch(
            self._folder, stop_event=self._stop, debounce=SETTLE, step=SETTLE // 2, force_polling=self._polling or None
        ):
            topics = {Path(path).stem for _, path in changes if Path(path).suffix == ".py"}
            changed = [name for topic in self._assignment.topics if topic in topics for name in self._changed(topic)]
            if changed:
                self._events.put(Saved(changed))

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                self._events.put(Pressed(self._read_key()))
            except (EOFError, OSError, KeyboardInterrupt):
                self._events.put(Pressed("q"))
                return

    def _changed(self, topic: str) -> list[str]:
        """The exercises of a topic whose own code changed; all of them when anything around them did."""
        before, now = self._seen[topic], fingerprints(self._folder / f"{topic}.py")
        self._seen[topic] = now
        functions = self._assignment.functions(topic)
        owners = {function.split(".")[0] for function in functions}
        around = {
            name for name in before.keys() | now.keys() if before.get(name) != now.get(name) and name not in owners
        }
        return [f"{topic}.{f}" for f in functions if around or before.get(f.split(".")[0]) != now.get(f.split(".")[0])]


def fingerprints(path: Path) -> dict[str, str]:
    """What each top-level function and class of a module says, comments apart; the rest under the name ''."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return {"": f"unreadable {path.stat().st_mtime_ns if path.exists() else 0}"}
    parts: dict[str, str] = {"": ""}
    for node in body:
        name = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
        parts[name] = parts.get(name, "") + ast.dump(node)
    return parts
