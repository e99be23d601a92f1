"""Reading and writing of label maps, in the smallest integer type that holds the labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.files.names import ITK, NIFTI, PICTURE, suffix_of
from segkit.io.dicom import dicom_module
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.formats import check_readable, check_writable, module_of
from segkit.io.limits import check_finite
from segkit.io.memory import is_mapped
from segkit.io.placement import move_to_itk_grid
from segkit.io.scans import read_source
from segkit.io.segment_names import Extra, names_in, renumber
from segkit.volume import Shape, Volume

_ROUNDING = 1e-3
"""Largest accepted distance of a label from an integer; a float32 slope may give 0.99999997."""


def read_labels(
    path: str | Path, names: Mapping[str, int] | None = None, *, subset: bool = False
) -> Volume:
    """Read a label map as a Volume of integers (1, X, Y, Z).

    Args:
        path: the file.
        names: label name to value. A file that names its values is renumbered to these values.
        subset: turn labels that are not in ``names`` into background; otherwise they are an error.

    Raises:
        InputError: the file cannot be used, has several channels or layers or values that are not
            integers, or names its values in a way that contradicts ``names``.
    """
    path = Path(path)
    labels = _read(path)
    names_in_file = names_in(path) if names else {}
    if not names_in_file or not names:
        return labels
    extra: Extra = "background" if subset else "error"
    values, _ = renumber(path, labels.array, names_in_file, names, extra=extra)
    return labels.with_array(values)


def _read(path: Path) -> Volume:
    check_readable(path)
    module = module_of(suffix_of(path))
    options = {"indices": True} if suffix_of(path) in PICTURE else {}
    source = module.open_scan(path, **options)
    if source.channels != 1:
        raise _not_one_value(path, source.channels, source.grid.shape)
    volume = read_source(source)
    # Copy a mapped array, because connected components need a writable one.
    voxels = volume.array.copy(order="K") if is_mapped(volume.array) else volume.array
    return volume.with_array(_integers(path, voxels))


def _not_one_value(path: Path, channels: int, shape: Shape) -> InputError:
    if shape[0] == 1 and channels > 1:
        axes = " x ".join(map(str, (*shape, channels)))
        return InputError(
            path,
            expected="a label map with the axes X, Y, Z",
            found=f"the axes {axes}, of which the first has length 1, as written by programs "
            "that put channels first",
            remedy="Save the array without that axis, for example numpy.squeeze(array, 0).",
        )
    return InputError(
        path,
        expected="a label map with one value per voxel",
        found=f"{channels} channels or layers",
        remedy="Overlapping segments cannot be one label map: export a label map "
        "(3D Slicer: 'Export to labelmap'), or save a colored mask in gray.",
    )


def _integers(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "iu":
        return array
    rounded = np.rint(array)
    wrong = np.abs(array - rounded) > _ROUNDING
    count = np.count_nonzero(wrong)
    if count:
        others = "1 voxel with another value" if count == 1 else f"{count} voxels with other values"
        raise InputError(
            path,
            expected="whole numbers as labels",
            found=f"{others}, for example {float(array[wrong][0]):.4g}",
            remedy="Is this a scan, or was a label map resampled by interpolation? "
            "Use nearest neighbor.",
            kind="label_values",
        )
    return _smallest(path, rounded)


def _smallest(where: str | Path, array: NDArray[Any]) -> NDArray[Any]:
    """Return the integers in the smallest of the types in which label maps are written."""
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in (np.uint8, np.uint16, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype, copy=False)
    raise InputError(
        where,
        expected="labels that fit into 32 bits",
        found=f"values from {low} to {high}",
        remedy="Give the labels smaller numbers.",
    )


def write_labels(
    path: str | Path,
    labels: Volume,
    *,
    like: str | Path | None = None,
    names: Mapping[str, int] | None = None,
) -> None:
    """Write a label map atomically, in the smallest integer type that fits.

    Args:
        path: the file to write; its suffix gives the format.
        labels: integers (1, X, Y, Z).
        like: the file of the scan. If both are NIfTI on one grid, its sform and qform are copied
            exactly. The label map of a 2D scan is 2D in a file of the same format. NRRD and
            MetaImage are written at the position that ITK gives to the scan.
        names: label name to value, stored in NRRD files, where 3D Slicer finds them.

    Raises:
        UsageError: the suffix does not belong to a format that can be written.
        InputError: there are several channels, values that are not integers, or values or a shape
            that the format cannot hold; or the file cannot be written.
    """
    path = Path(path)
    check_writable(path)
    if labels.channels != 1:
        raise _not_one_value(path, labels.channels, labels.grid.shape)
    check_finite(path, labels.array)
    smallest = labels.with_array(_smallest(path, _integers(path, labels.array)))
    suffix = suffix_of(path)
    save = module_of(suffix).save
    scan = None if like is None else Path(like)
    if suffix in NIFTI:
        save(path, smallest, like=scan, labels=True)
    elif suffix in ITK:
        save(path, move_to_itk_grid(smallest, scan, path), like=scan, names=names)
    else:
        save(path, smallest)


def check_labels_fit(path: Path, shape: Shape, values: Iterable[int]) -> None:
    """Check that a label map can be written, before it is computed.

    Args:
        path: the file to write.
        shape: shape (X, Y, Z) of the label map.
        values: labels that it may contain.

    Raises:
        InputError: the format is a picture format, and the label map has several planes or values
            that a picture cannot hold.
    """
    if suffix_of(path) in PICTURE:
        dtype = _smallest(path, np.array([0, *values])).dtype
        module_of(suffix_of(path)).check_fits(path, (1, *shape), dtype)


def _values_in(path: Path) -> list[int]:
    """Return the values in a label map, or the values of all segments of a DICOM-SEG."""
    if is_dicom(path):
        return [
            value for _, value in dicom_module("results.segmentation_reader").segment_values(path)
        ]
    values: list[int] = np.unique(read_labels(path).array).tolist()
    return values


def labels_in(paths: Iterable[Path], *, skip_unreadable: bool = False) -> list[int]:
    """Return the values other than 0 that occur in any of several label maps, sorted.

    Args:
        paths: the files.
        skip_unreadable: skip files that cannot be read instead of raising.

    Raises:
        InputError: a file cannot be read, and ``skip_unreadable`` is False.
    """
    values: set[int] = set()
    for path in paths:
        try:
            values.update(_values_in(path))
        except InputError:
            if not skip_unreadable:
                raise
    return sorted(values - {0})
