"""Reading of what predict wrote beside label maps: run records (``CASE.json``), predictions.json.

Nothing here is required for an evaluation: a file that is missing or not a record is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segkit.files.file_hash import file_hash
from segkit.files.names import records_of
from segkit.io.dicom.files.detection import is_dicom

MAX_RECORD_BYTES = 16 << 20
"""Largest size in bytes of a run record that is read; one with 1,000 labels has 1 MB."""


def read_record(label_map: Path) -> dict[str, Any]:
    """Return the run record next to a label map, with the figures of its labels; {} without one."""
    for path in records_of(label_map):
        content = _object(path)
        if isinstance(content.get("labels"), dict) and "versions" in content:
            return content
    return {}


def recorded_figures(record: dict[str, Any], label: str) -> dict[str, Any]:
    """Return the figures of a label in a run record, such as its certainty; {} without any."""
    figures = record.get("labels", {}).get(label)
    return figures if isinstance(figures, dict) else {}


def recorded_scan(record: dict[str, Any]) -> Path | None:
    """Return the first file of the scan that was predicted, or the folder of DICOM slices.

    The result is None if none is recorded, or if the file is no longer there or has changed.
    """
    files = record.get("input")
    first = files[0] if isinstance(files, list) and files else None
    if not isinstance(files, list) or not isinstance(first, dict):
        return None
    path = Path(str(first.get("file")))
    if not path.is_file() or file_hash(path) != first.get("sha256"):
        return None
    return path.parent if len(files) > 1 and is_dicom(path) else path


def failures(predictions: Path) -> dict[str, str]:
    """Return the cases that failed and why, from predictions.json in a folder (one per shard)."""
    records = sorted(predictions.glob("predictions*.json")) if predictions.is_dir() else []
    return dict(entry for path in records for entry in _failures_in(path))


def _failures_in(path: Path) -> Iterator[tuple[str, str]]:
    for case, outcome in _object(path, MAX_PREDICTIONS_BYTES).items():
        if isinstance(outcome, dict) and outcome.get("status") == "failed":
            yield case, str(outcome.get("message") or "")


MAX_PREDICTIONS_BYTES = 256 << 20
"""Largest size in bytes of a predictions.json that is read; 100,000 cases have 30 MB."""


def _object(path: Path, most: int = MAX_RECORD_BYTES) -> dict[str, Any]:
    """Return the JSON object in a file; {} if there is none, or if the file is too large."""
    try:
        if path.stat().st_size > most:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
