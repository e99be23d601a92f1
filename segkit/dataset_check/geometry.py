"""Checks of voxel spacing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
from segkit.fingerprint.label_facts import Point
from segkit.preprocessing.scan_warnings import EDGES_APART, is_far

LEAST_EDGE_MM = 0.01
"""Scanners for patients have no smaller voxels."""
HINTS = {
    0.001: ". Are its lengths in metres?",
    0.1: ". Are its lengths in centimetres?",
    10.0: ". Is its header wrong by a factor of 10?",
    1000.0: ". Are its lengths in micrometres?",
}
"""By the ratio of an edge to the usual one."""
REMEDY = " Correct the header, or leave the case out"


def unusual_spacing(measured: MeasuredDataset) -> Iterator[Problem]:
    """Cases whose voxel edges are far from the median."""
    if not measured.cases:
        return
    x, y, z = (float(edge) for edge in np.median([case.spacing for case in measured.cases], axis=0))
    usual = (x, y, z)
    for case in measured.cases:
        if any(
            is_far(edge, (middle, middle), EDGES_APART)
            for edge, middle in zip(case.spacing, usual, strict=True)
        ):
            message = f"voxels of {_times(case.spacing)} where the median is {_times(usual)}"
            yield Problem(case.id, "warning", message + _unit_hint(case.spacing, usual))


def tiny_voxels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Scans in mm most of which have so small voxels that their lengths must be in metres."""
    tiny = [case for case in measured.cases if max(case.spacing) < LEAST_EDGE_MM]
    if measured.unit == "mm" and 2 * len(tiny) > len(measured.cases):
        yield Problem(
            "",
            "warning",
            f"voxels of {_times(tiny[0].spacing)} mm in {len(tiny)} of {len(measured.cases)} cases are smaller than"
            " those of any scanner for patients: are lengths in metres? Then correct the headers",
        )


def _unit_hint(edges: Point, usual: Point) -> str:
    """What may be wrong with a case all of whose edges differ by the same power of ten from the usual ones."""
    for ratio, hint in HINTS.items():
        if all(
            math.isclose(edge, middle * ratio, rel_tol=0.3)
            for edge, middle in zip(edges, usual, strict=True)
        ):
            return hint + REMEDY
    return ""


def _times(edges: Point) -> str:
    return " x ".join(f"{edge:.3g}" for edge in edges)
