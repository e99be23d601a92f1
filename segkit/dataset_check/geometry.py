"""Check the voxel spacing of the scans."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from segkit.dataset_check.problem import MeasuredDataset, Problem, dataset_warning
from segkit.fingerprint.label_facts import Point
from segkit.preprocessing.scan_checks import EDGES_APART, is_far

MIN_EDGE_MM = 0.01
"""Smallest voxel spacing of clinical scanners in mm."""
UNIT_HINTS = {
    0.001: "Are its lengths in meters?",
    0.1: "Are its lengths in centimeters?",
    10.0: "Is its header wrong by a factor of 10?",
    1000.0: "Are its lengths in micrometers?",
}
"""Possible cause for each ratio of a voxel spacing to the usual one."""


def unusual_spacing(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case whose voxel spacing is far from the median of all cases."""
    if not measured.cases:
        return
    usual = _usual_spacing(measured)
    for case in measured.cases:
        edges = zip(case.spacing, usual, strict=True)
        if any(is_far(edge, (median, median), EDGES_APART) for edge, median in edges):
            message = (
                f"voxels of {edges_text(case.spacing)} where the median is {edges_text(usual)}"
            )
            yield Problem(case.id, "warning", message + _unit_hint(case.spacing, usual))


def in_other_units(measured: MeasuredDataset) -> set[str]:
    """Return the cases whose voxel spacing differs from the median by one of `UNIT_HINTS`."""
    if not measured.cases:
        return set()
    usual = _usual_spacing(measured)
    return {case.id for case in measured.cases if _unit_hint(case.spacing, usual)}


def tiny_voxels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning if most scans have such small voxels that their unit must be meters."""
    tiny = [case for case in measured.cases if max(case.spacing) < MIN_EDGE_MM]
    if measured.unit == "mm" and 2 * len(tiny) > len(measured.cases):
        yield dataset_warning(
            f"voxels of {edges_text(tiny[0].spacing)} mm in {len(tiny)} of {measured.cases_text}"
            " are smaller than those of any clinical scanner: are the lengths in meters? If so,"
            " correct the headers"
        )


def edges_text(edges: Sequence[float | None]) -> str:
    """Return a voxel spacing as text for messages; None stands for an axis that is not resampled.

    >>> edges_text((0.5, 0.5, None))
    '0.5 x 0.5 x as they are'
    """
    return " x ".join("as they are" if edge is None else f"{edge:.3g}" for edge in edges)


def _usual_spacing(measured: MeasuredDataset) -> Point:
    x, y, z = (float(edge) for edge in np.median([case.spacing for case in measured.cases], axis=0))
    return x, y, z


def _unit_hint(edges: Point, usual: Point) -> str:
    """Return a hint if the spacing differs from the usual one by one power of ten, else ""."""
    for ratio, hint in UNIT_HINTS.items():
        pairs = zip(edges, usual, strict=True)
        if all(math.isclose(edge, median * ratio, rel_tol=0.3) for edge, median in pairs):
            return f". {hint} Correct the header, or leave the case out"
    return ""
