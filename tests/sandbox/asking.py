"""A worker with some sources, and calls on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from grader.sandbox.fork import Fork
from grader.sandbox.workers import Worker


def load(worker: Worker, source: str) -> object:
    message = {"do": "load", "package": "p", "topics": {"t": [source]}, "seconds": 5.0, "definitions_only": False}
    return worker.request(message, 20.0)


def call(worker: Worker, name: str, *arguments: object, seconds: float = 20.0) -> object:
    message = {"do": "call", "run": 0, "target": ["t", name], "mode": "plain", "args": list(arguments), "kwargs": {}}
    answer = worker.request(message, seconds)
    return answer.get("value", answer)


@contextlib.contextmanager
def loaded(workers: Fork, source: str) -> Iterator[Worker]:
    worker = workers.start()
    try:
        assert load(worker, source)["problems"] == {"t": []}  # type: ignore[index]
        yield worker
    finally:
        worker.close()


def asked(workers: Fork, source: str, *arguments: object) -> object:
    """What `f` of the source answers in a worker of its own."""
    with loaded(workers, source) as worker:
        return call(worker, "f", *arguments)
