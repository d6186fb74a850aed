"""Runs again what changed, on every save; keys ask for a hint, the list, or the end."""

from __future__ import annotations

import ast
import queue
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import watchfiles

from grader.assignment import Assignment
from grader.practice.work import NoWorkFound, read_work
from grader.submission.syntax import parsed

SETTLE = 80  # milliseconds: editors save in several steps
Event = list[str] | str  # the exercises whose code changed since they were last looked at, or a key


class Watcher:
    """The events of one session, in order: saves and keys."""

    def __init__(self, folder: Path, assignment: Assignment, read_key: Callable[[], str], polling: bool = False) -> None:
        self._folder, self._assignment, self._read_key, self._polling = folder, assignment, read_key, polling
        self._events: queue.Queue[Event] = queue.Queue()
        self._stop = threading.Event()
        self._seen, self._broken = self._look(), set[str]()

    def events(self) -> Iterator[Event]:
        """Saves and keys until `stop`."""
        for target in (self._watch, self._listen):
            threading.Thread(target=target, daemon=True).start()
        while not self._stop.is_set():
            yield self._events.get()

    def stop(self) -> None:
        """End the session after the present event."""
        self._stop.set()

    def changed(self) -> list[str]:
        """The exercises whose code changed since this was last asked.

        Where a module is no Python, that is all of them; once it is mended, only what differs from before it broke.
        """
        changed: list[str] = []
        for topic, now in self._look().items():
            if not any(now.values()):  # an empty file is one that is being saved
                continue
            differs = self._changed(topic, self._seen[topic], now)
            if now.keys() == {""}:
                self._broken.add(topic)
            else:
                if topic in self._broken and not differs:  # the slip was taken back: what was said of it is not true any more
                    differs = [f"{topic}.{name}" for name in self._assignment.functions(topic)]
                self._broken.discard(topic)
                self._seen[topic] = now
            changed += differs
        return changed

    def _watch(self) -> None:
        for changes in watchfiles.watch(
            self._folder, stop_event=self._stop, debounce=SETTLE, step=SETTLE // 2, force_polling=self._polling or None
        ):
            if not any(Path(path).suffix in (".py", ".ipynb") for _, path in changes):
                continue
            if changed := self.changed():
                self._events.put(changed)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                self._events.put(self._read_key())
            except (EOFError, OSError, KeyboardInterrupt):
                self._events.put("q")
                return

    def _look(self) -> dict[str, dict[str, str]]:
        """The fingerprints of every topic, from the module or notebook that `check` would take."""
        try:
            sources = read_work(self._assignment, self._folder).topics
        except NoWorkFound:
            sources = {}
        own = {name: "".join(cells) for name, cells in sources.items() if name not in self._assignment.topics}
        return {topic: fingerprints(sources.get(topic, []), own) for topic in self._assignment.topics}

    def _changed(self, topic: str, before: dict[str, str], now: dict[str, str]) -> list[str]:
        """The exercises of a topic whose own code changed; all of them when anything around them did."""
        functions = self._assignment.functions(topic)
        owners = {function.split(".")[0] for function in functions}
        around = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name) and name not in owners}
        return [f"{topic}.{f}" for f in functions if around or before.get(f.split(".")[0]) != now.get(f.split(".")[0])]


def fingerprints(cells: list[str], modules: dict[str, str]) -> dict[str, str]:
    """What each top-level function and class says, comments apart; the rest under the name '': all own modules, where one is used."""
    uses_one = any(re.search(rf"\b{name}\b", cell) for name in modules for cell in cells)
    parts: dict[str, str] = {"": "".join(modules.values()) if uses_one else ""}
    for cell in cells:
        body = parsed(cell)
        parts[""] += cell if body is None else ""
        for node in body or ():
            name = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else ""
            parts[name] = parts.get(name, "") + ast.dump(node)
    return parts
