"""Submissions of a lecture of two topics, made by hand."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from grader.assignment import Assignment, Exercise
from grader.submission import Submission, find, read


def exercise(name: str) -> Exercise:
    return Exercise(name=name, points=1, slide=1, hints=("Think.",))


@pytest.fixture(scope="session")
def assignment() -> Assignment:
    names = ("flows.planar", "flows.log_prob", "vaes.elbo", "vaes.log_prob", "vaes.Encoder.forward")
    return Assignment(name="lecture9", title="Two topics", exercises=tuple(map(exercise, names)))


class GradingSession:
    """Where submissions are laid down and picked up."""

    def __init__(self, folder: Path, assignment: Assignment) -> None:
        self.folder, self.assignment = folder, assignment

    def lay(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def submissions(self, name: str = "") -> dict[str, Submission]:
        found = find(self.folder / name, self.assignment)
        submissions = [read(handed_in, self.assignment) for handed_in in found]
        assert len({submission.name for submission in submissions}) == len(found)
        return {submission.name: submission for submission in submissions}

    def the_only(self, name: str = "") -> Submission:
        (submission,) = self.submissions(name).values()
        return submission

    @staticmethod
    def zipped(entries: dict[str, str | bytes]) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        return content.getvalue()

    @staticmethod
    def notebook(*sources: str, **cell: object) -> str:
        cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": source, **cell} for source in sources]
        return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


@pytest.fixture
def session(tmp_path: Path, assignment: Assignment) -> GradingSession:
    return GradingSession(tmp_path, assignment)
