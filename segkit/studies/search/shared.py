"""Cells of a study that several processes share: each is run by one of them.

A process takes the first cells that are neither finished nor locked by another one. At the end it
waits for the cells of the others. What is shared is the folder, which all of them can write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from segkit.errors import UsageError
from segkit.files.locks import check_free, sole_use
from segkit.studies.cells import CellResult, StudyCell, finished_cells, hashes_of, run_cell

log = logging.getLogger(__name__)

LOCKS = "claims"
"""Folder of the locks of running cells and points; a process that ends releases its own."""
POLL = 0.5
"""Seconds until a process without work looks again whether the others have finished."""

RunCells = Callable[[Path, Sequence[StudyCell]], Iterator[CellResult]]
"""Function that runs cells in a folder and yields their results in order."""


def run_here(folder: Path, cells: Sequence[StudyCell]) -> Iterator[CellResult]:
    """Run cells one after the other in this process, and yield their results."""
    for cell in cells:
        yield run_cell(folder, cell, hashes_of([cell])[cell.name])


def run_shared(
    folder: Path, cells: Sequence[StudyCell], run: RunCells = run_here, together: int = 1
) -> list[CellResult]:
    """Run the cells that no process has finished or is running, and return all results in order.

    A cell that fails is recorded with its message, while the others go on.

    Args:
        folder: the study's folder.
        cells: the cells; equal ones are run once.
        run: function that runs some of them.
        together: number of cells that are given to ``run`` at a time.

    Raises:
        InputError: a finished cell that other settings have made, or a damaged file.
        Interrupted: Ctrl-C or SIGTERM; the same call continues.
    """
    unique = list({cell.name: cell for cell in cells}.values())
    results = {result.cell.name: result for result in finished_cells(folder, unique)}
    while len(results) < len(unique):
        left = [cell for cell in unique if cell.name not in results]
        with ExitStack() as locks:
            taken = _take(locks, folder, left, together)
            new = {result.cell.name: result for result in finished_cells(folder, taken)}
            for result in run(folder, [cell for cell in taken if cell.name not in new]):
                new[result.cell.name] = result
                done = len(results) + len(new)
                name, status = result.cell.name, result.status
                log.info("%d of %d trainings: %s, %s", done, len(unique), name, status)
            results |= new
        if not taken:
            _log_waiting(folder, left)
            time.sleep(POLL)
    return [results[cell.name] for cell in cells]


@cache
def log_once(message: str) -> None:
    """Log a message, unless this process has done so."""
    log.info("%s", message)


def _log_waiting(folder: Path, cells: Sequence[StudyCell]) -> None:
    """Log for whom this process waits: one on a machine that is gone never ends."""
    for cell in cells:
        try:
            check_free(folder / LOCKS / cell.name)
        except UsageError as error:
            log_once(f"waiting for {cell.name}: {error}")


def _take(
    locks: ExitStack, folder: Path, cells: Sequence[StudyCell], together: int
) -> list[StudyCell]:
    """Return the first cells that no other process is running, locked until ``locks`` close."""
    taken: list[StudyCell] = []
    for cell in cells:
        if len(taken) == together:
            break
        try:
            locks.enter_context(sole_use(folder / LOCKS / cell.name))
        except UsageError:
            continue
        taken.append(cell)
    return taken
