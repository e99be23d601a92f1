"""Find every reason why a case cannot be used, not only the first one."""

from __future__ import annotations

import math

import numpy as np

from segkit.dataset.case_files import case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.problem import Problem
from segkit.errors import InputError, SegkitError, UsageError
from segkit.fingerprint.case_facts import check_channels, read_indices
from segkit.io import open_source
from segkit.io.dicom.files.detection import is_dicom
from segkit.volume import Grid

CHECK_OF_KIND = {
    "grid": "label_grid",
    "not_finite": "not_finite",
    "label_values": "label_values",
    "": "unreadable",
}
"""Name of the check for each kind of `InputError`."""


def reading_problems(case: Case, dataset: Dataset) -> list[Problem]:
    """Return an error for each reason why a case cannot be used.

    The scan, the grids and the label map are examined one by one, so that a fault in one does not
    hide those of the others.

    Args:
        case: a case that cannot be read.
        dataset: names of channels and labels.
    """
    messages: dict[str, Problem] = {}
    for probe in (_read_scan, _read_pair, _read_label_map):
        try:
            probe(case, dataset)
        except InputError as error:
            problem = _problem(case, error)
            messages.setdefault(problem.message, problem)
        except UsageError:  # several DICOM series, which the first probe has reported
            continue
    return list(messages.values())


def _read_scan(case: Case, dataset: Dataset) -> None:
    check_channels(case_scan(case.images), case, dataset)


def _read_pair(case: Case, dataset: Dataset) -> None:
    """Read the label map on the grid that the header of the scan gives."""
    read_indices(case, dataset, open_source(case.images[0]).grid)


def _read_label_map(case: Case, dataset: Dataset) -> None:
    """Read the label map on the grid of its own header."""
    # A DICOM-SEG has frames in place of a grid.
    if case.label is not None and not is_dicom(case.label):
        read_indices(case, dataset, open_source(case.label).grid)


def _problem(case: Case, error: InputError) -> Problem:
    message = str(error)
    if error.kind == "grid" and case.label is not None:
        message += _grid_text(case)
    return Problem(case.id, "error", message, CHECK_OF_KIND[error.kind])


def _grid_text(case: Case) -> str:
    """Return by how much the grids of scan and label map differ; "" if one has no grid."""
    try:
        scan = open_source(case.images[0]).grid
        label = open_source(case.label or "").grid
    except SegkitError:
        return ""
    return f" [{grid_difference(scan, label)}]" if scan.unit == label.unit == "mm" else ""


def grid_difference(scan: Grid, label: Grid) -> str:
    """Return in which of shape, spacing, origin and direction two grids differ, in mm and degrees.

    >>> print(grid_difference(Grid((4, 5, 6), np.eye(4)), Grid((4, 5, 6), np.diag([2, 1, 1, 1]))))
    spacing 1 mm off; corners 3 mm apart, where 0.05 mm are tolerated
    """
    tolerance = 0.05 * min(scan.spacing)
    parts = []
    if scan.shape != label.shape:
        parts.append("other shape")
    lengths = {
        "spacing": float(np.abs(np.subtract(scan.spacing, label.spacing)).max()),
        "origin": float(np.linalg.norm(scan.affine[:3, 3] - label.affine[:3, 3])),
    }
    parts += [f"{name} {off:.3g} mm off" for name, off in lengths.items() if off > tolerance / 10]
    angle = _angle(scan, label)
    if angle > 0.05:
        parts.append(f"direction {angle:.3g} degrees off")
    if scan.shape == label.shape:
        apart = scan.distance(label)
        parts.append(f"corners {apart:.3g} mm apart, where {tolerance:.2g} mm are tolerated")
    return "; ".join(parts)


def _angle(scan: Grid, label: Grid) -> float:
    """Return the largest angle in degrees between corresponding voxel axes of two grids."""
    one, other = (grid.affine[:3, :3] / grid.spacing for grid in (scan, label))
    cosines = np.clip((one * other).sum(axis=0), -1, 1)
    return math.degrees(float(np.arccos(cosines).max()))
