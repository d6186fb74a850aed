"""What the kit changes in a course's configuration. Every setting can be overridden after it."""

from __future__ import annotations

from traitlets.config import Config

from grader.hidden.places import refuse_without_reference


def configure(config: Config) -> None:
    """Put the isolated exam in the place of the kernel; everything else of nbgrader stays as it is."""
    refuse_without_reference()
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
