"""Cells of a study: single trainings with their measurements, each done once.

Files in the folder of a study, beside those of its kind:

<cell>/                    the folder of a cell, which usually holds the run of a training
cells/<cell>.json          state, tables and hash of the cell; a finished cell is not run again
cells/<cell>.started.json  only while the cell runs, or after its process was killed
results.csv, ...           all tables, tidy: one value in a row; written after every cell

A cell that fails is recorded with its message while the others go on; the same command tries it
again. This module does not import torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from segkit.errors import (
    InputError,
    Interrupted,
    SegkitError,
    SomeCasesFailed,
    is_out_of_memory,
)
from segkit.files.atomic import write_text
from segkit.progress import duration
from segkit.report.tables import Cell, csv_text
from segkit.studies.runs import time_left

log = logging.getLogger(__name__)

RESULTS = "results"
"""Name of the table in which every cell has rows, also a failed one."""
CELLS = "cells"
"""Folder of the results of single cells."""
STARTED = ".started.json"
FORMAT_VERSION = 1
ATTEMPTS = 3
"""Number of times that a cell is started; the others may have been killed for lack of memory."""

Row = Mapping[str, Cell]
"""Row of a tidy table: value by column."""
Tables = Mapping[str, Sequence[Row]]
"""Rows by name of the table."""
Status = Literal["done", "failed", "out of memory"]


@dataclass(frozen=True)
class StudyCell:
    """A cell: what it is called, what determines it, and how it is computed."""

    name: str
    """Name of its folder below the study's."""
    facts: Row
    """Columns that come first in each of its rows, such as norm, batch size and seed."""
    content: Mapping[str, Any]
    """Everything that determines its result, in JSON types; a finished cell keeps its hash."""
    run: Callable[[Path], Tables]
    """Function that computes the cell in its folder and returns its tables."""
    needs: tuple[str, ...] = ()
    """Names of earlier cells whose files this one reads."""


@dataclass(frozen=True)
class CellResult:
    """Result of a cell: its tables, or the message why there are none."""

    cell: StudyCell
    status: Status
    tables: Tables = field(default_factory=dict)
    message: str = ""

    def rows(self, table: str = RESULTS) -> list[dict[str, Cell]]:
        """Return the rows of a table, with the facts of the cell in front."""
        return [{**self.cell.facts, **row} for row in self.tables.get(table, ())]


def run_cells(folder: Path, cells: Sequence[StudyCell]) -> list[CellResult]:
    """Run the cells that are not finished, in order, and return the results of all of them.

    Tables are written to ``folder`` after every cell. The caller has locked ``folder``.

    Raises:
        InputError: a finished cell that other settings have made, or a damaged file.
        Interrupted: Ctrl-C or SIGTERM; the same command continues.
    """
    hashes = hashes_of(cells)
    results = {result.cell.name: result for result in finished_cells(folder, cells)}
    pending = [cell for cell in cells if cell.name not in results]
    if results:
        log.info("%d of %d cells are finished and are not run again", len(results), len(cells))
    _log_others(folder, cells)
    seconds: list[float] = []
    write_tables(folder, _in_order(cells, results))
    for number, cell in enumerate(pending):
        left = time_left(len(pending) - number, seconds, None)
        log.info("cell %d of %d: %s%s", number + 1, len(pending), cell.name, left)
        started = time.monotonic()
        result = results[cell.name] = run_cell(folder, cell, hashes[cell.name], results)
        write_tables(folder, _in_order(cells, results))
        seconds.append(time.monotonic() - started)
        log.info("%s: %s after %s", cell.name, result.status, duration(seconds[-1]))
    return _in_order(cells, results)


def run_cell(
    folder: Path, cell: StudyCell, digest: str, needed: Mapping[str, CellResult] | None = None
) -> CellResult:
    """Run one cell, write its result, and return it; ``digest`` is its hash (`hashes_of`)."""
    result = _missing_need(cell, needed or {}) or _run(folder, cell, digest)
    _write_result(folder, result, digest)
    return result


def finished_cells(folder: Path, cells: Sequence[StudyCell]) -> list[CellResult]:
    """Return the results of the cells that are finished, in their order.

    Raises:
        InputError: a finished cell that other settings have made, or a damaged file.
    """
    hashes = hashes_of(cells)
    found = (_finished(folder, cell, hashes[cell.name]) for cell in cells)
    return [result for result in found if result]


def check_all_done(folder: Path, results: Sequence[CellResult], cells: str = "cells") -> None:
    """Raise SomeCasesFailed if some cells have no result.

    Args:
        folder: the study's folder.
        results: the results of all cells.
        cells: what the message calls them, in the plural.
    """
    failed = sum(result.status != "done" for result in results)
    if failed:
        raise SomeCasesFailed(
            f"{failed} of {len(results)} {cells} failed; {folder / f'{RESULTS}.csv'} says why"
        )


def hashes_of(cells: Sequence[StudyCell]) -> dict[str, str]:
    """Return a hash per cell over its content and the hashes of the cells that it needs."""
    hashes: dict[str, str] = {}
    for cell in cells:
        parts = [dict(cell.content), [hashes[name] for name in cell.needs]]
        text = json.dumps(parts, sort_keys=True, allow_nan=False)
        hashes[cell.name] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return hashes


def write_tables(folder: Path, results: Sequence[CellResult]) -> None:
    """Write every table as NAME.csv; in results.csv a failed cell is a row with its message."""
    names = dict.fromkeys([RESULTS, *(name for result in results for name in result.tables)])
    for name in names:
        rows = [row for result in results for row in _table_rows(result, name)]
        facts = dict.fromkeys(key for result in results for key in result.cell.facts)
        columns = list(dict.fromkeys([*facts, *(key for row in rows for key in row)]))
        if "message" in columns:  # the last column, since it may be long
            columns = [column for column in columns if column != "message"] + ["message"]
        cells = [[row.get(column) for column in columns] for row in rows]
        write_text(folder / f"{name}.csv", csv_text(columns, cells))


def _log_others(folder: Path, cells: Sequence[StudyCell]) -> None:
    """Log how many cells of earlier calls the tables leave out, since they are not asked for."""
    names = {f"{cell.name}.json" for cell in cells}
    stored = {path.name for path in (folder / CELLS).glob("*.json") if STARTED not in path.name}
    if others := stored - names:
        log.info("cells kept from earlier calls that are not part of this one: %d", len(others))


def _table_rows(result: CellResult, name: str) -> list[dict[str, Cell]]:
    if name != RESULTS:
        return result.rows(name)
    if result.status != "done":
        return [{**result.cell.facts, "status": result.status, "message": result.message}]
    return [{**result.cell.facts, "status": "done", **row} for row in result.tables.get(name, ())]


def _in_order(cells: Sequence[StudyCell], results: Mapping[str, CellResult]) -> list[CellResult]:
    return [results[cell.name] for cell in cells if cell.name in results]


def _missing_need(cell: StudyCell, results: Mapping[str, CellResult]) -> CellResult | None:
    """Return the result of a cell that cannot be computed because an earlier one failed."""
    for name in cell.needs:
        if results[name].status != "done":
            log.error("%s needs %s, which failed", cell.name, name)
            return CellResult(cell, "failed", message=f"needs {name}, which failed")
    return None


def _run(folder: Path, cell: StudyCell, digest: str) -> CellResult:
    """Run a cell and return its result, also if it fails."""
    started = folder / CELLS / f"{cell.name}{STARTED}"
    attempts = _attempts(started, digest)
    if attempts >= ATTEMPTS:
        started.unlink()
        return CellResult(
            cell,
            "failed",
            message=f"its process ended {attempts} times without a message; the system may have "
            "stopped it for lack of memory",
        )
    write_text(started, json.dumps({"hash": digest, "attempts": attempts + 1}) + "\n")
    try:
        result = CellResult(cell, "done", _finite(cell.run(folder / cell.name)))
    except (Interrupted, KeyboardInterrupt) as error:
        number = error.exit_code - 128 if isinstance(error, Interrupted) else 2
        raise Interrupted(f"stopped in {cell.name}; the same command continues", number) from error
    except Exception as error:  # an unexpected error in one cell must not stop the others
        result = CellResult(cell, _status(error), message=_message(error))
        log.error("%s: %s", cell.name, result.message)
        log.debug("unexpected", exc_info=True)
    finally:
        started.unlink(missing_ok=True)
    return result


def _attempts(path: Path, digest: str) -> int:
    """Return how many times the cell was started by processes that were killed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return int(content["attempts"]) if content["hash"] == digest else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _finite(tables: Tables) -> Tables:
    """Return the tables with None, an empty cell, for numbers that are not finite."""
    return {
        name: [{key: _known(value) for key, value in row.items()} for row in rows]
        for name, rows in tables.items()
    }


def _known(value: Cell) -> Cell:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _status(error: Exception) -> Status:
    return "out of memory" if is_out_of_memory(error) else "failed"


def _message(error: Exception) -> str:
    text = str(error)
    return text if isinstance(error, SegkitError) else f"{type(error).__name__}: {text}"


def _write_result(folder: Path, result: CellResult, digest: str) -> None:
    content = {
        "format_version": FORMAT_VERSION,
        "hash": digest,
        "status": result.status,
        "message": result.message,
        "tables": result.tables,
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(folder / CELLS / f"{result.cell.name}.json", text)


def _finished(folder: Path, cell: StudyCell, digest: str) -> CellResult | None:
    """Return the stored result of a cell that is done; None if it is not.

    Raises:
        InputError: the cell was computed with other settings, or its file cannot be read.
    """
    path = folder / CELLS / f"{cell.name}.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        done, tables, stored = content["status"] == "done", content["tables"], content["hash"]
        version = content["format_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            path,
            expected="the result of a cell as this study wrote it",
            found=f"{type(error).__name__}: {error}",
            remedy="Remove the file: the same command computes the cell again.",
        ) from error
    if not done:
        return None
    if (stored, version) != (digest, FORMAT_VERSION):
        raise InputError(
            path,
            expected="the result of a cell with the settings, data and version of this study",
            found="one of other settings, of other data, or of another version of segkit",
            remedy="Give another run_dir, or the settings and data with which the study began.",
        )
    return CellResult(cell, "done", tables)
