"""The two label maps of a case on one grid, also where one of them is a DICOM-SEG."""

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
    known: Mapping[str, Structure],
    *,
    values: Mapping[str, int] | None = None,
    only_known: bool = False,
) -> tuple[Volume, Volume, dict[str, int]]:
    """Return the prediction, the reference, and the names of values that the files bring beside the ``known`` ones.

    A file that names its values (DICOM-SEG, NRRD of 3D Slicer) is taken by its names: they get the values that they
    have in ``known``, or else in the reference. With ``only_known``, other names become background. A SEG is put on
    the grid of the other file, and two on that of the scan, where that is DICOM.

    Raises:
        InputError: a file that cannot be read, two grids, two SEG, or names that contradict each other.
    """
    ours, theirs = is_segmentation(pair.prediction), is_segmentation(pair.reference)
    if ours and theirs:
        return _on_scan(pair, known)
    if ours:
        reference = read_labels(pair.reference)
        predicted, names = _on_grid(
            pair.prediction, reference.grid, known, of=pair.reference, scan=pair.scan
        )
        return predicted, reference, names
    predicted = read_labels(pair.prediction)
    if theirs:
        reference, names = _on_grid(
            pair.reference, predicted.grid, known, of=pair.prediction, scan=pair.scan
        )
        return predicted, reference, names
    predicted, reference = on_one_grid(pair, predicted, read_labels(pair.reference))
    return _by_name(
        pair, predicted, reference, values or _values(known, pair.ignore), only_known=only_known
    )


def _values(known: Mapping[str, Structure], ignore: int | None) -> dict[str, int]:
    """Return what names inside label files stand for; regions have several values and cannot be told by name."""
    names = {name: value for name, value in known.items() if isinstance(value, int)}
    return {**names, "ignore": ignore} if names and ignore is not None else names


def _by_name(
    pair: Pair, predicted: Volume, reference: Volume, known: Mapping[str, int], *, only_known: bool
) -> tuple[Volume, Volume, dict[str, int]]:
    """Return both label maps in the values of ``known``, or else of the names in the reference."""
    ours, theirs = names_in(pair.prediction), names_in(pair.reference)
    if not known:
        array, kept = renumber(pair.prediction, predicted.array, ours, theirs, extra="keep")
        return predicted.with_array(array), reference, {**(theirs or ours), **kept}
    rest: Extra = "background" if only_known else "error"
    truth, _ = renumber(pair.reference, reference.array, theirs, known, extra=rest)
    rest = "background" if only_known else "keep"
    array, kept = renumber(pair.prediction, predicted.array, ours, known, extra=rest)
    return predicted.with_array(array), reference.with_array(truth), kept


def on_one_grid(pair: Pair, predicted: Volume, reference: Volume) -> tuple[Volume, Volume]:
    """Return both on the larger of the two grids: where one of them was cropped, nothing of the other is lost."""
    if predicted.grid.voxels > reference.grid.voxels:
        of = f"the prediction {pair.prediction}"
        grid = predicted.grid
        return predicted, place_on_grid(
            reference, grid, pair.reference, scan=pair.prediction, what="reference", of=of
        )
    of = f"the reference {pair.reference}"
    grid = reference.grid
    return place_on_grid(
        predicted, grid, pair.prediction, scan=pair.reference, what="prediction", of=of
    ), reference


def _on_scan(pair: Pair, known: Mapping[str, Structure]) -> tuple[Volume, Volume, dict[str, int]]:
    """Return two DICOM-SEG on the grid of their scan."""
    if pair.scan is None or not is_dicom(pair.scan):
        raise InputError(
            pair.reference,
            expected=f"a label map with a grid, such as .nii.gz, beside the DICOM-SEG {pair.prediction}",
            found="a DICOM-SEG as well, which leaves out planes without segments",
            remedy="Convert one of the two to .nii.gz, or give a dataset whose scans are the DICOM images.",
        )
    grid = open_dicom(pair.scan).grid
    reference, names = _on_grid(pair.reference, grid, known, of=pair.scan, scan=pair.scan)
    predicted, more = _on_grid(
        pair.prediction, grid, {**names, **known}, of=pair.scan, scan=pair.scan
    )
    return predicted, reference, {**names, **more}


def _on_grid(
    path: Path, grid: Grid, known: Mapping[str, Structure], *, of: Path, scan: Path | None
) -> tuple[Volume, dict[str, int]]:
    """Return the labels of a DICOM-SEG on a grid; of two slice thicknesses only where the scan is DICOM as well."""
    slices = slice_positions(scan) if scan and is_dicom(scan) else None
    found = dicom_module("results.segmentation_reader").read_segments(
        path, grid, known, grid_name=str(of), slices=slices
    )
    return found.labels, found.names


def is_segmentation(path: Path) -> bool:
    """Whether a file is DICOM."""
    return suffix_of(path) == DICOM or is_dicom(path)
