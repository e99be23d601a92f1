"""Read the scan of a case, and its label map on the grid of that scan, in any supported format."""

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


def case_scan(images: Sequence[Path], *, unscaled: bool = False) -> Volume:
    """Return the scan of a case, (C, X, Y, Z).

    A dataset cannot say which of several DICOM series to read, so there must be only one.

    Args:
        images: one file per channel, or one file with all channels.
        unscaled: keep numbers as they are stored, as for `read_case`.

    Raises:
        InputError: as for `read_case`, or a DICOM folder or zip has several series.
    """
    try:
        return read_case(images, unscaled=unscaled)
    except SeveralSeries as error:
        raise InputError(
            images[0],
            expected="a DICOM folder or zip with one series that forms a volume",
            found=str(error),
            remedy="Keep the images of one series there and move the others elsewhere.",
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

    The frames of a DICOM-SEG, which omits planes without segments, are placed by their positions.

    Args:
        path: the label map: a file, or a folder or zip with one DICOM-SEG.
        scan: the first image of the case, to which ``grid`` belongs.
        grid: grid of the scan.
        names: value for each segment name in label files, as for `read_labels`.
        subset: turn names that are not in ``names`` into background; otherwise they are an error.

    Raises:
        InputError: the file cannot be used, has a different grid, or has segment names that
            contradict ``names``.
    """
    if not is_dicom(path):
        return place_on_grid(read_labels(path, names, subset=subset), grid, path, scan=scan)
    slices = slice_positions(scan) if is_dicom(scan) else None
    segments = dicom_module("results.segmentation_reader").read_segments(
        path, grid, {}, grid_name=str(scan), slices=slices
    )
    labels: Volume = segments.labels
    names_in_file = names_in(path) if names else {}
    if not names_in_file or not names:
        return labels
    array, _ = renumber(
        path,
        labels.array,
        names_in_file,
        names,
        extra="background" if subset else "error",
    )
    return labels.with_array(array)
