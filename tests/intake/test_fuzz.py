"""Any files at all become a submission: nothing is raised, and time and size have an end. `benchmarks/intake_fuzz.py` runs more."""

from __future__ import annotations

import time

import msgspec
from hypothesis import HealthCheck, given, settings

from grader.submission import HandedIn, Submission, read
from grader.submission.files import File, clean
from grader.submission.layout import Entry, decide, is_nobody, sort_out
from grader.submission.names import made_from
from tests.intake.making import LECTURE
from tests.intake.strategies import HAND_INS

MAX_SECONDS = 3.0  # of processor time for a few hundred bytes
LARGEST = 200_000  # bytes of what is known about them


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(HAND_INS)
def test_any_files_become_a_submission(files: dict[str, bytes]) -> None:
    in_order(files)


def in_order(files: dict[str, bytes]) -> None:
    """The same files as one submission and as a class."""
    started = time.process_time()
    stored = tuple(File(clean(name), lambda most, data=data: data[:most]) for name, data in files.items())  # type: ignore[misc]
    submission = read(HandedIn("anna", stored), LECTURE)
    encoded = msgspec.json.encode(submission)
    assert msgspec.json.decode(encoded, type=Submission) == submission
    assert len(encoded) < LARGEST
    assert submission.topics or submission.problems
    entries = [Entry(file.name, file) for file in stored if "/" not in file.name]
    for surely in (True, False):
        owned = sort_out([entry for entry in entries if not is_nobody(entry, LECTURE)], decide(entries, LECTURE, surely), LECTURE, None)
        names = made_from([one.name for one in owned])
        assert len({name.casefold() for name in names}) == len(owned)
    assert time.process_time() - started < MAX_SECONDS
