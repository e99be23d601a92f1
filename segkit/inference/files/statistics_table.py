"""stats.csv: figures of the labels of many scans, one row per case and label."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.files.atomic import write_text
from segkit.files.names import records_of
from segkit.report.tables import csv_text

log = logging.getLogger(__name__)

FIRST_COLUMNS = ["case", "label", "value", "voxels"]
"""First columns of every table; they identify the file."""
AXES = "xyz"

Row = dict[str, Any]


def check_stats(path: Path) -> None:
    """Check that no other file, which must not be overwritten, has the path of the table.

    Raises:
        UsageError: a file that is not a table of label figures.
    """
    if path.exists() and not is_stats(path):
        raise UsageError(
            f"{path} exists and is not a table of label figures; "
            "move it, or choose another folder with -o"
        )


def is_stats(path: Path) -> bool:
    """Return whether a file is a table of label figures."""
    start = ",".join(FIRST_COLUMNS).encode()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(start)) == start


def write_stats(path: Path, outcomes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the table of all cases that have a record with figures.

    The table is written from the records each time, so it also has the cases of earlier calls. A
    case with a label map but without a record is named in the log.

    Args:
        path: the table, in the folder of the label maps and records.
        outcomes: the content of predictions.json.
    """
    rows: list[Row] = []
    without_record = []
    for case, outcome in outcomes.items():
        if not outcome.get("output"):
            continue
        record = record_of(path.parent / Path(outcome["output"]).name)
        if record is None:
            without_record.append(case)
        else:
            rows += _rows(case, record)
    if without_record:
        count, first = len(without_record), without_record[0]
        log.warning("%s: cases without figures: %d, such as %s", path, count, first)
    columns = list(dict.fromkeys([*FIRST_COLUMNS, *(key for row in rows for key in row)]))
    text = csv_text(columns, ([row.get(name) for name in columns] for row in rows))
    # The name of a file need not be valid UTF-8.
    write_text(path, text.encode("utf-8", "backslashreplace").decode())


def record_of(label_map: Path) -> dict[str, Any] | None:
    """Return the record with figures beside a label map; None where there is none."""
    for path in records_of(label_map):
        record = _read_record(path)
        if record is not None:
            return record
    return None


def _read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a prediction with figures of labels; None where there is none."""
    try:
        record = json.loads(path.read_bytes())
        labels = record["labels"]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return None
    sound = isinstance(labels, dict) and all(
        isinstance(figures, dict) for figures in labels.values()
    )
    return record if sound else None


def _rows(case: str, record: Mapping[str, Any]) -> list[Row]:
    warnings = "; ".join(record.get("scan_warnings", ()))
    return [
        {"case": case, "label": label, **dict(_cells(figures)), "scan_warnings": warnings}
        for label, figures in record["labels"].items()
    ]


def _cells(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield column and value of one label, one number per cell.

    Positions have a column per axis, intensities per channel; box corners are left out.
    """
    for key, value in figures.items():
        if key == "bounding_box":
            for end in ("first", "last"):
                yield from _by_axis(end, None if value is None else value[end])
        elif key.startswith("centroid_"):
            name, unit = key.split("_")
            for column, number in _by_axis(name, value):
                yield f"{column}_{unit}", number
        elif key == "touches_border":
            yield key, "; ".join(value)
        elif key == "intensity":
            for channel, statistics in value.items():
                for name, number in statistics.items():
                    yield f"{name}:{channel}", number
        else:
            yield key, value


def _by_axis(name: str, position: list[float] | None) -> Iterator[tuple[str, float | None]]:
    """Return three columns: the last one is empty for a picture, all without a position."""
    numbers: list[float | None] = [*(position or [])]
    return zip_longest((f"{name}_{axis}" for axis in AXES), numbers)
