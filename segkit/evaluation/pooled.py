"""Lesions and calibration of each label over all cases together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.calibration import NO_VOXELS, Reliability
from segkit.evaluation.extras import Extras
from segkit.evaluation.lesions import lesion_totals
from segkit.evaluation.summary import Results


def pooled(results: Results, extras: Extras) -> dict[str, Any]:
    """Return the entries of summary.json about all cases together, for the families measured.

    ``families``     names of the families
    ``lesions``      smallest IoU of the rule (0 for overlap), and label -> numbers of lesions
    ``calibration``  label -> ECE, Brier score and reliability diagram
    """
    entries: dict[str, Any] = {"families": list(extras.families)}
    if "lesions" in extras.families:
        entries["lesions"] = {"min_iou": extras.lesion_iou, "labels": lesion_summary(results)}
    if "calibration" in extras.families:
        entries["calibration"] = calibration_summary(results)
    return entries


def lesion_summary(results: Results) -> dict[str, dict[str, Any]]:
    """Return the numbers of lesions of each label in all cases, and the F1 of these numbers."""
    summary = {}
    for label in _labels(results):
        counts = [found.lesions for by_label in results.values() if (found := by_label.get(label))]
        total = lesion_totals(count for count in counts if count is not None)
        f1 = total.f1()
        summary[label] = {
            "found": total.found,
            "missed": total.missed,
            "false": total.false,
            "f1": None if math.isnan(f1) else f1,
        }
    return summary


def calibration_summary(results: Results) -> dict[str, dict[str, Any]]:
    """Return ECE, Brier score and the points of a reliability diagram of each label.

    The points are, for each bin, the number of voxels, their mean probability, and the share of
    them in the reference (null for an empty bin). A label without probabilities has no entry.
    """
    summary = {}
    for label in _labels(results):
        total = sum(
            (
                found.reliability
                for by_label in results.values()
                if (found := by_label.get(label)) and found.reliability is not None
            ),
            NO_VOXELS,
        )
        if total.voxels.any():
            summary[label] = _diagram(total)
    return summary


def _diagram(total: Reliability) -> dict[str, Any]:
    return {
        "ece": total.ece(),
        "brier": total.brier(),
        "voxels": total.voxels.tolist(),
        "mean_probability": _shares(total.probability, total.voxels),
        "share_in_reference": _shares(total.in_reference, total.voxels),
    }


def _shares(sums: NDArray[Any], voxels: NDArray[np.int64]) -> list[float | None]:
    return [
        float(value / count) if count else None for value, count in zip(sums, voxels, strict=True)
    ]


def _labels(results: Results) -> list[str]:
    return list(dict.fromkeys(label for by_label in results.values() for label in by_label))
