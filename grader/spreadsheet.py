"""CSV that a spreadsheet opens without running anything."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from grader.printable import printable

Row = Sequence[str | float]

# A cell begins where the text does, and, in a country where a semicolon or a tab separates, after that. Full-width signs
# count, too.
FORMULA = re.compile(r"(^|[;\t\n])([\s\"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def csv_text(rows: Iterable[Row]) -> str:
    """Rows as CSV: every text in quotes, points without float dust."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([harmless(cell) if isinstance(cell, str) else _Number(cell) for cell in row] for row in rows)
    return table.getvalue()


def harmless(text: str) -> str:
    """Text in which a spreadsheet finds no formula."""
    return FORMULA.sub(r"\1\2'", printable(text.replace("\r\n", "\n").replace("\r", "\n")))


class _Number(float):
    """Written as people write points."""

    def __repr__(self) -> str:
        return f"{self:.10g}"

    __str__ = __repr__
