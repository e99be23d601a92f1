"""The scan of a case, and the label map on its grid, whatever format either has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from segkit.errors import InputError, SeveralSeries
from segkit.io.dicom import dicom_module, slice_positions
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.labels import read_labels
from segkit.io.placement import place_on_grid
from segkit.io.scans import read_case
from segkit.io.segment_names import names_in, renumber
from segkit.volume import Grid, Volume


def case_scan(images: Sequence[Path]) -> Volume:
    """Return the channels of a case of a dataset, which has no words that choose a series.

    Raises:
        InputError: as `read_case`, or a place of DICOM with several series.
    """
    try:
        return read_case(images)
    except SeveralSeries as error:
        raise InputError(
            images[0],
            expected="one series that is a volume in the place of each case",
            found=str(error),
            remedy="Leave the images of one series there, and move the others elsewhere.",
        ) from error


def case_labels(
    path: Path,
    scan: Path,
    grid: Grid,
    names: Mapping[str, int] | None = None,
    *,
    subset: bool = False,
) -> Volume:
    """Return the label map of a case as integers (1, X, Y, Z) on ``grid``.

    A DICOM-SEG, which leaves out planes without segments, is put on the grid by the places of its frames.

    Args:
        path: the label map: a file, or a folder or zip with one DICOM-SEG.
        scan: the file, or place of DICOM, that ``grid`` is of.
        grid: of the scan.
        names: what the names inside label files stand for, as for `read_labels`.
        subset: names that are not among them become background, and are no error.

    Raises:
        InputError: an unusable file, another grid, or names that contradict ``names``.
    """
    if not is_dicom(path):
        return place_on_grid(read_labels(path, names, subset=subset), grid, path, scan=scan)
    slices = slice_positions(scan) if is_dicom(scan) else None
    found = dicom_module("results.segmentation_reader").read_segments(
        path, grid, {}, grid_name=str(scan), slices=slices
    )
    labels: Volume = found.labels
    own = names_in(path) if names else {}
    if not own or not names:
        return labels
    values, _ = renumber(path, labels.array, own, names, extra="background" if subset else "error")
    return labels.with_array(values)
