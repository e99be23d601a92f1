"""Table of the cells of a study that have no result, for its report."""

from __future__ import annotations

from collections.abc import Sequence

from segkit.report.tables import Cell
from segkit.studies.cells import CellResult


def failed_table(
    results: Sequence[CellResult], name: str = "cell"
) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows of the cells without a result, with their messages.

    Args:
        results: results of all cells.
        name: what a cell is called in the header.
    """
    rows: list[list[Cell]] = [
        [result.cell.name, result.status, result.message]
        for result in results
        if result.status != "done"
    ]
    return [name, "status", "message"], rows
