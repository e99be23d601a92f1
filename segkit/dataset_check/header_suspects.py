"""Which of two headers is wrong if those of a scan and its label map disagree: see `judge`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.header_faults import (
    SAME_DIRECTION,
    SAME_SPACING,
    grid_difference,
    is_default,
    nearly_equal,
    smallest_cosine,
    voxel_for_voxel,
)
from segkit.errors import SegkitError, first_few
from segkit.io import open_source
from segkit.io.placement import header_grids
from segkit.volume import Grid

MIN_OTHERS = 2
"""Smallest number of other scans with which two headers are compared."""
MOST, FEW = 0.8, 0.2
"""Shares of the other scans from which, and up to which, a header is like them and unlike them."""

Like = Callable[[Grid, Sequence[Grid]], float]
"""Function that returns the share of scans that a grid is like."""
Suspect = Literal["label map", "scan", "pair", "unknown"]
"""File whose header is suspect; "pair" if the label map may be that of another scan."""


@dataclass(frozen=True)
class Verdict:
    """Which file of a case is suspect, and why."""

    suspect: Suspect
    why: str
    certain: str = ""
    """Why the label map may be given the header of the scan; "" if it may not."""


@dataclass(frozen=True)
class ScanHeaders:
    """Headers of the scans of a dataset; DICOM folders and unreadable scans are left out."""

    grids: Mapping[str, Grid] = field(default_factory=dict)
    """Case id -> grid of the first image."""
    blank: frozenset[str] = frozenset()
    """Cases whose scan has a header without position and orientation."""


def scan_headers(dataset: Dataset) -> ScanHeaders:
    """Read the headers of the first images of all cases."""
    grids, blank = {}, set()
    for case in dataset.cases:
        with suppress(SegkitError):
            if not case.images[0].is_dir():
                grids[case.id] = open_source(case.images[0]).grid
                if _is_blank(case.images[0], grids[case.id]):
                    blank.add(case.id)
    return ScanHeaders(grids, frozenset(blank))


def judge(case: Case, scan: Grid, label: Grid, headers: ScanHeaders) -> Verdict:
    """Return which file of a case is suspect, whose two headers disagree.

    A header that says nothing is, where the other one says something; so is one that differs from
    those of the other scans of the dataset, with which the other one agrees. Below a voxel it
    makes no difference which of the two is wrong.

    Args:
        case: the case, with a label map.
        scan: grid of its first image.
        label: grid of its label map as stored.
        headers: those of all scans of the dataset.
    """
    others = {name: grid for name, grid in headers.grids.items() if name != case.id}
    owners = [name for name, grid in others.items() if grid.matches(label)]
    pair = Verdict("pair", f"the header of the scan of {first_few(owners)}")
    if scan.shape != label.shape or "px" in (scan.unit, label.unit) or nearly_equal(scan, label):
        certain = voxel_for_voxel(scan, label)
        return pair if owners else Verdict("label map", grid_difference(scan, label), certain)
    if owners and 2 * len(owners) < len(others):
        return pair
    telling = [grid for name, grid in others.items() if name not in headers.blank]
    verdict = _blank(case, scan, label, headers) or _compared(scan, label, telling)
    return pair if owners and verdict.suspect != "scan" else verdict


def _blank(case: Case, scan: Grid, label: Grid, headers: ScanHeaders) -> Verdict | None:
    """Return the verdict if one of two headers says nothing; None if both or neither do."""
    scan_is_blank = _is_blank(case.images[0], scan)
    if case.label is None or scan_is_blank == _is_blank(case.label, label):
        return None
    if not scan_is_blank:
        certain = voxel_for_voxel(scan, label)
        if not certain and np.allclose(scan.spacing, label.spacing, rtol=SAME_SPACING):
            certain = "its header has no position and orientation (both form codes are 0)"
        return Verdict("label map", certain or grid_difference(scan, label), certain)
    others = headers.grids.keys() - {case.id}
    if others and len(headers.blank & others) >= MOST * len(others):
        return Verdict(
            "unknown", "the headers of nearly all scans say nothing, as that of this one"
        )
    return Verdict(
        "scan",
        "the header of the scan says nothing about position and orientation, and that of its label"
        " map does",
    )


def _compared(scan: Grid, label: Grid, others: Sequence[Grid]) -> Verdict:
    """Return the verdict by comparison with the headers of the other scans."""
    if _has_no_position(label) and not _has_no_position(scan):
        certain = voxel_for_voxel(scan, label)
        if certain:
            return Verdict("label map", certain, certain)
    if len(others) < MIN_OTHERS:
        return Verdict("unknown", "there are too few other scans to compare the headers with")
    scan_is_odd = [name for name, like in FEATURES.items() if _odd(scan, label, others, like)]
    label_is_odd = [name for name, like in FEATURES.items() if _odd(label, scan, others, like)]
    if scan_is_odd and not label_is_odd:
        what = " and ".join(scan_is_odd)
        all_alike = all(FEATURES[name](label, others) == 1 for name in scan_is_odd)
        those = "those of" if all_alike else "nearly all of those of"
        return Verdict(
            "scan",
            f"the header of the scan differs from {those} the other {len(others)} scans in"
            f" {what}, and that of its label map agrees with them",
        )
    if label_is_odd and not scan_is_odd:
        difference = grid_difference(scan, label)
        certain = voxel_for_voxel(scan, label)
        return Verdict("label map", certain or difference, certain)
    return Verdict(
        "unknown", f"compared with the other {len(others)} scans, neither is the odd one"
    )


def _odd(one: Grid, other: Grid, scans: Sequence[Grid], like: Like) -> bool:
    """Return whether one grid is unlike the scans and the other one is like them."""
    return like(one, scans) <= FEW and like(other, scans) >= MOST


def _is_blank(path: Path, grid: Grid) -> bool:
    """Return whether a header has no position and orientation, or those written by default."""
    names = header_grids(path)
    return is_default(grid) or (bool(names) and not {"sform", "qform"} & names.keys())


def _has_no_position(grid: Grid) -> bool:
    return not grid.affine[:3, 3].any()


def _in_usual_spacing(grid: Grid, scans: Sequence[Grid]) -> float:
    """Return 1 if no edge of a voxel is longer or shorter than in all scans, else 0."""
    edges = np.array([scan.spacing for scan in scans])
    low, high = edges.min(axis=0) * (1 - SAME_SPACING), edges.max(axis=0) * (1 + SAME_SPACING)
    return float(np.all((low <= grid.spacing) & (grid.spacing <= high)))


def _share_of_signs(grid: Grid, scans: Sequence[Grid]) -> float:
    """Return the share of scans whose voxel axes point to the same sides of the patient."""
    return float(np.mean([np.array_equal(_sides(grid), _sides(scan)) for scan in scans]))


def _sides(grid: Grid) -> NDArray[np.float64]:
    """Return a matrix with 1 or -1 for the side to which each voxel axis mostly points."""
    axes = grid.affine[:3, :3]
    largest = np.abs(axes) == np.abs(axes).max(axis=0)
    return np.asarray(np.sign(axes) * largest, np.float64)


def _share_of_directions(grid: Grid, scans: Sequence[Grid]) -> float:
    """Return the share of scans whose voxel axes are parallel to those of a grid."""
    return float(np.mean([smallest_cosine(grid, scan) >= SAME_DIRECTION for scan in scans]))


FEATURES: dict[str, Like] = {
    "voxel size": _in_usual_spacing,
    "the signs or the order of its axes": _share_of_signs,
    "the direction of its axes": _share_of_directions,
}
"""Name of each compared property -> how many of the scans are alike in it."""
