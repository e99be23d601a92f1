"""Run record: which model predicted which scan, and how."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit._version import __version__
from segkit.files.atomic import unwritable
from segkit.files.file_hash import file_hash
from segkit.files.names import files_behind

if TYPE_CHECKING:
    from segkit.bundle.bundle import Bundle
    from segkit.inference.predictor import Predictor
    from segkit.volume import Box


def run_record(
    predictor: Predictor,
    images: Sequence[Path],
    seconds: Mapping[str, float],
    *,
    box: Box | None = None,
) -> dict[str, Any]:
    """Return everything that someone needs to repeat a prediction, in JSON types.

    Args:
        predictor: the model.
        images: files of the scan, one per channel or image.
        seconds: seconds of each stage, by name.
        box: box of the scan that a coarse model found; None is all of it.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(predictor.engine),
        "model": _models(predictor.bundles),
        "locate": _located(predictor, box),
        "input": [
            {"file": str(path), "sha256": file_hash(path)}
            for image in images
            for path in files_behind(image)
        ],
        "device": str(predictor.device),
        "threads": predictor.threads,
        "engine": predictor.engine,
        "precision": predictor.precision,
        "precision_reason": predictor.precision_reason,
        "overlap": predictor.overlap,
        "overlap_reason": predictor.overlap_reason,
        "tta": predictor.tta,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def remove_record(path: Path) -> None:
    """Remove the record of an earlier prediction, which would be wrong beside a new label map.

    A file that is not a record stays.

    Raises:
        InputError: the record cannot be removed.
    """
    if is_record(path):
        try:
            path.unlink()
        except OSError as error:
            raise unwritable(path, str(error.strerror)) from error


def is_record(path: Path) -> bool:
    """Return whether a file is a record made by `run_record`."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return (
        isinstance(content, dict) and {"versions", "model", "input", "precision"} <= content.keys()
    )


def _versions(engine: str) -> dict[str, str]:
    versions = {
        "segkit": __version__,
        "torch": version("torch"),
        "python": platform.python_version(),
    }
    return {**versions, engine: version(engine)}


def _models(bundles: Sequence[Bundle]) -> list[dict[str, str]]:
    return [
        {
            "name": bundle.name,
            "created": bundle.created,
            "hash": bundle.hash,
            "path": str(bundle.path),
        }
        for bundle in bundles
    ]


def _located(predictor: Predictor, box: Box | None) -> dict[str, Any] | None:
    """Return the coarse model and the box that it found; None without a coarse model.

    First and last voxel belong to the box; a box of None is all of the scan.
    """
    if predictor.locator is None:
        return None
    voxels = None
    if box:
        voxels = {
            "first": [span.start for span in box],
            "last": [span.stop - 1 for span in box],
        }
    return {"model": _models(predictor.locator.bundles), "box": voxels}
