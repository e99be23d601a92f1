"""stats.csv: the figures of many scans in one table, a line per case and label, from the records beside label maps."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.files.atomic import write_text
from segkit.files.names import records_of
from segkit.report.tables import csv_text

log = logging.getLogger(__name__)

FIRST = ["case", "label", "value", "voxels"]
"""The columns that every such table begins with."""
AXES = "xyz"

Row = dict[str, Any]


def check_stats(path: Path) -> None:
    """Raise a UsageError where another file has the table's name: it is never overwritten."""
    if path.exists() and not is_stats(path):
        raise UsageError(
            f"{path} is there and no table of label figures; move it, or choose another folder with -o"
        )


def is_stats(path: Path) -> bool:
    """Whether ``path`` is such a table."""
    start = ",".join(FIRST).encode()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(start)) == start


def write_stats(path: Path, outcomes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the table of all cases in ``outcomes``, the content of predictions.json, that have a record.

    Label maps and records lie in the folder of ``path``. It is made anew from the records each time, so that it has
    also the cases of earlier calls; a case that has a label map and no record is named in the log.
    """
    rows: list[Row] = []
    lacking = []
    for case, outcome in outcomes.items():
        if not outcome.get("output"):
            continue
        found = map(_record, records_of(path.parent / Path(outcome["output"]).name))
        record = next((each for each in found if each is not None), None)
        if record is None:
            lacking.append(case)
        else:
            warnings = "; ".join(record.get("scan_warnings", ()))
            rows += [
                _row(case, label, figures, warnings) for label, figures in record["labels"].items()
            ]
    if lacking:
        log.warning("%s: cases without figures: %d, such as %s", path, len(lacking), lacking[0])
    columns = list(dict.fromkeys([*FIRST, *(key for row in rows for key in row)]))
    text = csv_text(columns, ([row.get(name) for name in columns] for row in rows))
    # The name of a file need not be one that UTF-8 can say.
    write_text(path, text.encode("utf-8", "backslashreplace").decode())


def _record(path: Path) -> dict[str, Any] | None:
    """The record of a prediction with figures of labels; None where there is none."""
    try:
        record = json.loads(path.read_bytes())
        labels = record["labels"]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return None
    sound = isinstance(labels, dict) and all(
        isinstance(figures, dict) for figures in labels.values()
    )
    return record if sound else None


def _row(case: str, label: str, figures: Mapping[str, Any], scan_warnings: str) -> Row:
    return {"case": case, "label": label, **dict(_cells(figures)), "scan_warnings": scan_warnings}


def _cells(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """One number a cell: positions by axis, intensities by channel; the corners of the box stay in the record."""
    for key, value in figures.items():
        if key == "bounding_box":
            for end in ("first", "last"):
                yield from _by_axis(end, None if value is None else value[end])
        elif key.startswith("centroid_"):
            name, unit = key.split("_")
            yield from ((f"{each}_{unit}", number) for each, number in _by_axis(name, value))
        elif key == "touches_border":
            yield key, "; ".join(value)
        elif key == "intensity":
            yield from (
                (f"{each}:{channel}", both[each])
                for channel, both in value.items()
                for each in both
            )
        else:
            yield key, value


def _by_axis(name: str, position: list[float] | None) -> Iterator[tuple[str, float | None]]:
    """Three columns, the last one empty for a picture; all of them empty where there is no position."""
    numbers = [*(position or []), None, None, None]
    return zip((f"{name}_{axis}" for axis in AXES), numbers, strict=False)
