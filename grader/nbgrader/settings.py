"""What the kit changes in a course's configuration. Every setting can be overridden after it."""

from __future__ import annotations

import importlib.util

from traitlets.config import Config

from grader.hidden.places import NOT_HERE, NotHere


def configure(config: Config) -> None:
    """Put the isolated exam in the place of the kernel; everything else of nbgrader stays as it is."""
    if importlib.util.find_spec("dgm_ref") is None:
        raise NotHere(NOT_HERE.format(missing="dgm_ref/"))
    from nbconvert.preprocessors import ClearMetadataPreprocessor
    from nbgrader.converters import GenerateAssignment
    from nbgrader.preprocessors import (
        AssignLatePenalties,
        CheckCellMetadata,
        ClearOutput,
        DeduplicateIds,
        IgnorePattern,
        LimitOutput,
        OverwriteCells,
        OverwriteKernelspec,
        SaveAutoGrades,
    )  # fmt: skip

    from grader.nbgrader.exam import IsolatedExam, SaveExam
    from grader.nbgrader.release import WithoutHelpers
    from grader.nbgrader.submitted import ForgivingExporter, KnownCells

    config.GenerateAssignment.preprocessors = [
        WithoutHelpers,
        *GenerateAssignment.class_traits()["preprocessors"].default(),
    ]
    config.Autograde.exporter_class = ForgivingExporter
    config.Autograde.sanitize_preprocessors = [
        KnownCells, ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata,
    ]  # fmt: skip
    config.Autograde.autograde_preprocessors = [
        IsolatedExam, IgnorePattern, ClearMetadataPreprocessor, LimitOutput,
        SaveAutoGrades, SaveExam, AssignLatePenalties, CheckCellMetadata,
    ]  # fmt: skip
