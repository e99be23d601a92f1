"""Cells of a study that several processes share: each is run by one of them.

A process takes the first cell that is neither finished nor locked by another one. At the end it
waits for the cells of the others. What is shared is the folder, which all of them can write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from segkit.errors import UsageError
from segkit.files.locks import sole_use
from segkit.studies.cells import CellResult, StudyCell, finished_cells, hashes_of, run_cell

log = logging.getLogger(__name__)

LOCKS = "claims"
"""Folder of the locks of running cells."""
POLL = 0.5
"""Seconds until a process without work looks again whether the others have finished."""


def run_shared(folder: Path, cells: Sequence[StudyCell]) -> list[CellResult]:
    """Run the cells that no process has finished or is running, and return all results in order.

    A cell that fails is recorded with its message, while the others go on.

    Raises:
        InputError: a finished cell that other settings have made, or a damaged file.
        Interrupted: Ctrl-C or SIGTERM; the same call continues.
    """
    results = {result.cell.name: result for result in finished_cells(folder, cells)}
    while len(results) < len(cells):
        for cell in cells:
            if cell.name not in results and (result := _run_if_free(folder, cell)):
                results[cell.name] = result
                log.info("%d of %d trainings: %s", len(results), len(cells), _line(result))
        if len(results) < len(cells):
            time.sleep(POLL)
    return [results[cell.name] for cell in cells]


def _line(result: CellResult) -> str:
    return f"{result.cell.name}, {result.status}"


def _run_if_free(folder: Path, cell: StudyCell) -> CellResult | None:
    """Return the result of a cell; None if another process is running it."""
    with ExitStack() as stack:
        try:
            stack.enter_context(sole_use(folder / LOCKS / cell.name))
        except UsageError:
            return None
        finished = next(iter(finished_cells(folder, [cell])), None)
        return finished or run_cell(folder, cell, hashes_of([cell])[cell.name])
