"""Pictures of cases with an error: whatever can be drawn of them, and a sentence about the rest."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import scipy  # its submodules are imported on first use
from numpy.typing import NDArray

from segkit.dataset.dataset import Case, Dataset
from segkit.errors import InputError, SegkitError
from segkit.files.names import NIFTI, suffix_of
from segkit.io import open_source, place_on_grid, read_labels, read_volume
from segkit.io.dicom.files.detection import is_dicom
from segkit.preprocessing.labels import to_indices
from segkit.report.case_picture import jpeg, names_of_indices
from segkit.volume import Grid, Volume

UNNAMED = "a value without a name"
"""Name under which label values that the dataset does not name are outlined."""


def faulty_picture(case: Case, dataset: Dataset) -> tuple[bytes | None, str]:
    """Return a picture of a case with an error as JPEG, or None, and what must be said about it.

    The first channel is read once more. Voxels without a number are black.

    Args:
        case: the files of a case that cannot be used.
        dataset: names of the labels.
    """
    try:
        scan, missing = _first_channel(case.images[0])
    except (SegkitError, OSError) as error:
        name = case.images[0].name
        if getattr(error, "kind", "") == "not_finite":
            return None, f"No picture, because {name} has voxels without a number everywhere."
        return None, f"No picture, because {name} cannot be read."
    labels, words = _outlines(case, dataset, scan)
    names = {**names_of_indices(dataset), UNNAMED: len(dataset.targets) + 1}
    black = f"Planes with voxels that have no number are black ({missing})." if missing else ""
    return jpeg(scan, labels, names), f"{black} {words}".strip()


def _first_channel(path: Path) -> tuple[Volume, int]:
    """Return the first channel of a scan, and the number of its planes that are left black.

    Raises:
        SegkitError: nothing of the scan can be read.
    """
    try:
        volume = read_volume(path)
    except InputError as error:
        if error.kind != "not_finite" or is_dicom(path) or suffix_of(path) not in NIFTI:
            raise
        return _finite_planes(path, error)
    # The three colors of a picture are drawn together.
    return volume if volume.unit == "px" else volume.with_array(volume.array[:1]), 0


def _finite_planes(path: Path, error: InputError) -> tuple[Volume, int]:
    """Return the planes along Z without NaN of the first channel; the others hold the lowest value.

    Raises:
        InputError: there is no such plane.
    """
    source = open_source(path)
    planes: list[NDArray[Any] | None] = []
    for number in range(source.grid.shape[2]):
        planes.append(None)
        with suppress(InputError):
            planes[-1] = source.planes(number, number + 1)[:1]
    found = [plane for plane in planes if plane is not None]
    if not found:
        raise error
    black = np.full_like(found[0], min(plane.min() for plane in found))
    array = np.concatenate([black if plane is None else plane for plane in planes], axis=3)
    return Volume(array, source.grid.affine, source.grid.unit), len(planes) - len(found)


def _outlines(case: Case, dataset: Dataset, scan: Volume) -> tuple[Volume, str]:
    """Return the label indices on the grid of the scan, and how they were placed."""
    nothing = scan.with_array(np.zeros((1, *scan.grid.shape), np.uint8))
    if case.label is None:
        return nothing, "There is no label map to outline."
    try:
        stored = _indices(case.label, dataset)
    except (SegkitError, OSError):
        return nothing, f"Without outlines, because {case.label.name} cannot be read."
    with suppress(InputError):
        return place_on_grid(stored, scan.grid, case.label, scan=case.images[0]), ""
    return _by_header(stored, scan.grid, nothing)


def _indices(path: Path, dataset: Dataset) -> Volume:
    """Return the indices of the labels, and one above the last for values without a name.

    Raises:
        SegkitError: the label map cannot be read, or is a DICOM-SEG, which has no grid.
    """
    if is_dicom(path):
        raise InputError(path, expected="a label map with a grid", found="DICOM", remedy="")
    try:
        stored = read_labels(path, dataset.value_names, subset=True)
    except InputError as error:
        if error.kind != "label_values":
            raise
        stored = read_volume(path)
        stored = stored.with_array(np.rint(stored.array).astype(np.int64))
    values = stored.array
    indices = to_indices(values, dataset.targets, True, path, ignore=dataset.ignore)
    indices[indices > len(dataset.targets)] = 0
    named = [0, *dataset.targets.values(), *([] if dataset.ignore is None else [dataset.ignore])]
    wide = indices.astype(np.uint16)
    wide[~np.isin(values, named)] = len(dataset.targets) + 1
    return stored.with_array(wide)


def _by_header(stored: Volume, grid: Grid, nothing: Volume) -> tuple[Volume, str]:
    """Return a label map of another grid where its header places it, by the nearest voxel."""
    if "px" in (stored.unit, grid.unit):
        if stored.grid.shape != grid.shape:
            return nothing, "Without outlines, because scan and label map differ in size."
        return nothing.with_array(stored.array), "Outlines are drawn pixel for pixel."
    to_label = np.linalg.solve(stored.affine, grid.affine)
    moved = scipy.ndimage.affine_transform(
        stored.array[0], to_label[:3, :3], to_label[:3, 3], output_shape=grid.shape, order=0
    )
    if not moved.any() and stored.array.any():
        return nothing, "Without outlines: by its header, the label map lies outside of the scan."
    return nothing.with_array(moved[None]), "Outlines are where the header of the label map says."
