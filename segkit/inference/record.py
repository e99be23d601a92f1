"""What was done to which scan by which model, and how large each label came out."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import segkit
from segkit.file_names import files_behind
from segkit.inference.predictor import Predictor
from segkit.inference.uncertainty import certainty
from segkit.volume import Volume


def run_record(predictor: Predictor, images: Sequence[Path], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Everything that someone needs to repeat a prediction, in JSON types."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"segkit": segkit.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "model": [
            {"name": bundle.name, "created": bundle.created, "hash": bundle.hash, "path": str(bundle.path)}
            for bundle in predictor.bundles
        ],
        "input": [{"file": str(path), "sha256": file_hash(path)} for image in images for path in files_behind(image)],
        "device": str(predictor.device),
        "threads": torch.get_num_threads(),
        "precision": predictor.precision,
        "overlap": predictor.overlap,
        "tta": predictor.tta,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def label_figures(
    labels: Volume,
    names: Mapping[str, int],
    regions: Mapping[str, Sequence[int]] | None = None,
    uncertainty: Volume | None = None,
) -> dict[str, dict[str, float]]:
    """Per label its value, its voxels, its volume in ml where the scan has a size in mm, and how certain it is.

    A region (name -> values) has the voxels of all its values. ``certainty`` is 1 less the mean uncertainty of the
    label's voxels; a label without voxels has none.

    >>> cube = Volume(np.ones((1, 10, 10, 10), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> label_figures(cube, {"organ": 1})
    {'organ': {'value': 1, 'voxels': 1000, 'volume_ml': 8.0}}
    """
    values, counts = np.unique(labels.array, return_counts=True)
    found = dict(zip(values.tolist(), counts.tolist(), strict=True))
    made_of = {name: (regions or {}).get(name, (value,)) for name, value in names.items()}
    counted = {name: sum(found.get(value, 0) for value in values) for name, values in made_of.items()}
    figures = {name: _figures(value, counted[name], labels) for name, value in names.items()}
    if uncertainty is not None:
        for name, value in certainty(labels.array, uncertainty.array, made_of).items():
            figures[name]["certainty"] = value
    return figures


def _figures(value: int, voxels: int, labels: Volume) -> dict[str, float]:
    figures: dict[str, float] = {"value": value, "voxels": voxels}
    if labels.unit == "mm":
        figures["volume_ml"] = round(voxels * labels.grid.voxel_volume / 1000, 6)
    return figures


def file_hash(path: Path) -> str:
    """sha256 of the file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
