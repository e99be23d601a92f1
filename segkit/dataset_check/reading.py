"""Find every reason why a case cannot be used, not only the first one."""

from __future__ import annotations

from segkit.dataset.case_files import case_scan
from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.header_faults import grid_difference
from segkit.dataset_check.header_suspects import ScanHeaders, judge
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


def reading_problems(case: Case, dataset: Dataset, headers: ScanHeaders) -> list[Problem]:
    """Return an error for each reason why a case cannot be used.

    The scan, the grids and the label map are examined one by one, so that a fault in one does not
    hide those of the others.

    Args:
        case: a case that cannot be read.
        dataset: names of channels and labels.
        headers: those of all scans, with which two that disagree are compared.
    """
    messages: dict[str, Problem] = {}
    for probe in (_read_scan, _read_pair, _read_label_map):
        try:
            probe(case, dataset)
        except InputError as error:
            problem = _problem(case, error, headers)
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


def _problem(case: Case, error: InputError, headers: ScanHeaders) -> Problem:
    message = str(error)
    if error.kind == "grid" and case.label is not None:
        grids = _grids(case)
        if grids:
            return _grid_problem(case, message, *grids, headers)
    of_label_map = case.label is not None and str(error.where) == str(case.label)
    file = "label" if of_label_map else ""
    return Problem(case.id, "error", message, CHECK_OF_KIND[error.kind], file)


def _grids(case: Case) -> tuple[Grid, Grid] | None:
    """Return the grids of scan and label map; None if one has none in mm."""
    try:
        scan = open_source(case.images[0]).grid
        label = open_source(case.label or "").grid
    except SegkitError:
        return None
    return (scan, label) if scan.unit == label.unit == "mm" else None


def _grid_problem(
    case: Case, message: str, scan: Grid, label: Grid, headers: ScanHeaders
) -> Problem:
    """Return the error of a label map on another grid, for the file whose header is suspect."""
    verdict = judge(case, scan, label, headers)
    difference = grid_difference(scan, label)
    if verdict.suspect == "scan":
        message = f"{verdict.why} ({case.label}). [{difference}]"
        return Problem(case.id, "error", message, "scan_header", "image")
    why = {
        "pair": f"It has {verdict.why}.",
        "unknown": f"Which of the two headers is wrong cannot be told: {verdict.why}.",
    }.get(verdict.suspect, "")
    fix = "--fix-geometry leaves it as it is."
    if verdict.certain:
        reason = verdict.certain.partition(" (")[0]
        fix = f"Only its header seems to be wrong ({reason}): --fix-geometry may correct it."
    text = " ".join(part for part in (message, f"[{difference}]", why, fix) if part)
    correctable = bool(verdict.certain)
    return Problem(case.id, "error", text, "label_grid", "label", correctable=correctable)
