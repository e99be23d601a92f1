"""Find every reason why a case cannot be used, not only the first one."""

from __future__ import annotations

from segkit.dataset.case_files import case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.header_faults import grid_difference, voxel_for_voxel
from segkit.dataset_check.problem import Problem
from segkit.errors import InputError, SegkitError, UsageError
from segkit.fingerprint.case_facts import check_channels, read_indices
from segkit.io import open_source
from segkit.io.dicom.files.detection import is_dicom

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
    of_label_map = case.label is not None and str(error.where) == str(case.label)
    file = "label" if of_label_map else ""
    return Problem(case.id, "error", message, CHECK_OF_KIND[error.kind], file)


def _grid_text(case: Case) -> str:
    """Return by how much the grids of scan and label map differ, and whether that can be corrected.

    The result is "" if one has no grid.
    """
    try:
        scan = open_source(case.images[0]).grid
        label = open_source(case.label or "").grid
    except SegkitError:
        return ""
    if not scan.unit == label.unit == "mm":
        return ""
    certain = voxel_for_voxel(scan, label)
    reason = certain.partition(" (")[0]
    fix = (
        f"Only its header seems to be wrong ({reason}): --fix-geometry may correct it."
        if certain
        else "--fix-geometry leaves it as it is."
    )
    return f" [{grid_difference(scan, label)}] {fix}"
