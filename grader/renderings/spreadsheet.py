"""CSV that a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

Row = Sequence[str | float]


def csv_text(rows: Iterable[Row]) -> str:
    """Rows as CSV, points without float dust."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerows([harmless(cell) if isinstance(cell, str) else f"{cell:.10g}" for cell in row] for row in rows)
    return table.getvalue()


def harmless(text: str) -> str:
    """A name that a spreadsheet would run as a formula, made plain text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
