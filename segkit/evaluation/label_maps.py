"""Read the prediction and the reference of a case on one grid; either may be a DICOM-SEG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segkit.errors import InputError
from segkit.evaluation.measure import Structure
from segkit.evaluation.pairs import Pair
from segkit.files.names import DICOM, suffix_of
from segkit.io import place_on_grid, read_labels
from segkit.io.dicom import dicom_module, open_dicom, slice_positions
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.segment_names import Extra, names_in, renumber
from segkit.volume import Grid, Volume


def read_pair(
    pair: Pair,
    labels: Mapping[str, Structure],
    *,
    values: Mapping[str, int] | None = None,
    only_named: bool = False,
) -> tuple[Volume, Volume, dict[str, int]]:
    """Return the prediction, the reference, and names that occur only in the files.

    A file that names its values (DICOM-SEG, NRRD of 3D Slicer) is read by name: its labels get the
    values in ``labels``, or else in the reference. A DICOM-SEG is placed on the grid of the other
    file; two of them are placed on the grid of their scan, which must be DICOM.

    Args:
        pair: the files of a case.
        labels: name -> value of a label, or values of a region.
        values: value for each name in label files, if a dataset gives one.
        only_named: turn names that are not in ``labels`` into background.

    Returns:
        Two label maps (1, X, Y, Z) on one grid, and name -> value of the other names.

    Raises:
        InputError: a file cannot be read, the grids differ, two DICOM-SEG have no DICOM scan, or
            names contradict each other.
    """
    predicted_is_seg, reference_is_seg = _is_seg(pair.prediction), _is_seg(pair.reference)
    if predicted_is_seg and reference_is_seg:
        return _on_scan(pair, labels)
    if predicted_is_seg:
        reference = read_labels(pair.reference)
        predicted, names = _read_seg(
            pair.prediction, reference.grid, labels, grid_of=pair.reference, scan=pair.scan
        )
        return predicted, reference, names
    predicted = read_labels(pair.prediction)
    if reference_is_seg:
        reference, names = _read_seg(
            pair.reference, predicted.grid, labels, grid_of=pair.prediction, scan=pair.scan
        )
        return predicted, reference, names
    predicted, reference = on_one_grid(pair, predicted, read_labels(pair.reference))
    values = values or _values_by_name(labels, pair.ignore)
    return _by_name(pair, predicted, reference, values, only_named=only_named)


def on_one_grid(pair: Pair, predicted: Volume, reference: Volume) -> tuple[Volume, Volume]:
    """Return both label maps on the larger of their grids, so that no voxel is lost.

    Raises:
        InputError: the voxels of the two grids do not coincide.
    """
    if predicted.grid.voxels > reference.grid.voxels:
        placed = place_on_grid(
            reference,
            predicted.grid,
            pair.reference,
            scan=pair.prediction,
            what="reference",
            of=f"the prediction {pair.prediction}",
        )
        return predicted, placed
    placed = place_on_grid(
        predicted,
        reference.grid,
        pair.prediction,
        scan=pair.reference,
        what="prediction",
        of=f"the reference {pair.reference}",
    )
    return placed, reference


# -- files that name their values ------------------------------------------------------------------


def _values_by_name(labels: Mapping[str, Structure], ignore: int | None) -> dict[str, int]:
    """Return the value of each label; regions, which have several values, are left out."""
    values = {name: value for name, value in labels.items() if isinstance(value, int)}
    if values and ignore is not None:
        values["ignore"] = ignore
    return values


def _by_name(
    pair: Pair, predicted: Volume, reference: Volume, values: Mapping[str, int], *, only_named: bool
) -> tuple[Volume, Volume, dict[str, int]]:
    """Return both label maps renumbered by name, to ``values`` or else to those of the reference.

    Further names that occur in the files are returned with their values.
    """
    predicted_names, reference_names = names_in(pair.prediction), names_in(pair.reference)
    if not values:
        array, more = renumber(
            pair.prediction, predicted.array, predicted_names, reference_names, extra="keep"
        )
        names = {**(reference_names or predicted_names), **more}
        return predicted.with_array(array), reference, names
    extra: Extra = "background" if only_named else "error"
    truth, _ = renumber(pair.reference, reference.array, reference_names, values, extra=extra)
    extra = "background" if only_named else "keep"
    array, more = renumber(pair.prediction, predicted.array, predicted_names, values, extra=extra)
    return predicted.with_array(array), reference.with_array(truth), more


# -- DICOM-SEG -------------------------------------------------------------------------------------


def _is_seg(path: Path) -> bool:
    """Return whether a label map is a DICOM-SEG, the only kind of DICOM that is a label map."""
    return suffix_of(path) == DICOM or is_dicom(path)


def _on_scan(pair: Pair, labels: Mapping[str, Structure]) -> tuple[Volume, Volume, dict[str, int]]:
    """Return two DICOM-SEG on the grid of their scan."""
    if pair.scan is None or not is_dicom(pair.scan):
        raise InputError(
            pair.reference,
            expected="a label map with a grid, such as .nii.gz, to compare with the DICOM-SEG"
            f" {pair.prediction}",
            found="another DICOM-SEG, which omits planes without segments",
            remedy="Convert one of the two to .nii.gz, or give a dataset whose scans are the DICOM"
            " images.",
        )
    scan = pair.scan
    grid = open_dicom(scan).grid
    reference, names = _read_seg(pair.reference, grid, labels, grid_of=scan, scan=scan)
    predicted, more = _read_seg(pair.prediction, grid, {**names, **labels}, grid_of=scan, scan=scan)
    return predicted, reference, {**names, **more}


def _read_seg(
    path: Path, grid: Grid, labels: Mapping[str, Structure], *, grid_of: Path, scan: Path | None
) -> tuple[Volume, dict[str, int]]:
    """Return the label map of a DICOM-SEG on ``grid``, and its names with their values.

    A DICOM-SEG with two slice thicknesses can be read only if the scan is DICOM too.
    """
    slices = slice_positions(scan) if scan and is_dicom(scan) else None
    segments = dicom_module("results.segmentation_reader").read_segments(
        path, grid, labels, grid_name=str(grid_of), slices=slices
    )
    return segments.labels, segments.names
