"""Label maps: read as whole numbers, written in the smallest type, on the scan's own grid."""

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
from segkit.io.memory_map import is_mapped
from segkit.io.placement import move_to_itk_grid
from segkit.io.scans import read_source
from segkit.io.segment_names import names_in, renumber
from segkit.volume import Shape, Volume

_ROUNDING = 1e-3
"""How far a stored label may lie from an integer: a float32 slope makes 1 read as 0.99999997."""


def read_labels(
    path: str | Path, names: Mapping[str, int] | None = None, *, subset: bool = False
) -> Volume:
    """Read a label map as a Volume of integers (1, X, Y, Z).

    With ``names`` (name -> value), a file that names its own values is brought to the values that these names have
    here; what it names otherwise is an error, or background with ``subset``.

    Raises:
        InputError: an unusable file, several channels or layers, values that are not whole numbers, or names that
            contradict ``names``.
    """
    path = Path(path)
    labels = _read(path)
    own = names_in(path) if names else {}
    if not own or not names:
        return labels
    values, _ = renumber(path, labels.array, own, names, extra="background" if subset else "error")
    return labels.with_array(values)


def _read(path: Path) -> Volume:
    check_readable(path)
    module = module_of(suffix_of(path))
    source = (
        module.open_scan(path, indices=True)
        if suffix_of(path) in PICTURE
        else module.open_scan(path)
    )
    if source.channels != 1:
        raise _not_one_value(path, source.channels, source.grid.shape)
    volume = read_source(source)
    # Not mapped: what finds pieces of labels takes no array that is read-only.
    voxels = volume.array.copy(order="K") if is_mapped(volume.array) else volume.array
    return volume.with_array(_integers(path, voxels))


def _not_one_value(path: Path, channels: int, shape: Shape) -> InputError:
    if shape[0] == 1 and channels > 1:
        axes = " x ".join(map(str, (*shape, channels)))
        return InputError(
            path,
            expected="a label map with the axes X, Y, Z",
            found=f"the axes {axes}, of which the first is one long, as a program writes that puts channels first",
            remedy="Save the array without that axis, for example numpy.squeeze(array, 0).",
        )
    return InputError(
        path,
        expected="a label map with one value per voxel",
        found=f"{channels} channels or layers",
        remedy="Overlapping segments cannot be one label map: export a label map (3D Slicer: 'Export to "
        "labelmap'), or save a coloured mask in grey.",
    )


def _integers(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "iu":
        return array
    rounded = np.rint(array)
    wrong = np.abs(array - rounded) > _ROUNDING
    if wrong.any():
        raise InputError(
            path,
            expected="whole numbers as labels",
            found=f"{np.count_nonzero(wrong)} voxels with others, for example {float(array[wrong][0]):.4g}",
            remedy="Is this a scan, or was a label map resampled by interpolation? Use nearest neighbour.",
        )
    return _smallest(path, rounded)


def _smallest(where: str | Path, array: NDArray[Any]) -> NDArray[Any]:
    """The same whole numbers in the smallest type that files of labels use."""
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
    """Write a label map (1, X, Y, Z) atomically in the format of the suffix, in the smallest integer type that fits.

    ``like`` is the scan: a NIfTI file on the same grid gives its form codes and its affine to the last bit, and a scan
    with two axes in a file of the same kind a label map with two. NRRD and MetaImage lie where ITK puts that scan.
    ``names`` (label -> value) are kept in NRRD files, where 3D Slicer finds them.

    Raises:
        UsageError: a suffix that cannot be written.
        InputError: several channels, values that are not whole numbers, values or a shape that the format cannot hold.
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
    """Raise before the work what `write_labels` would raise after it, for a map of ``shape`` with these values.

    Raises:
        InputError: a picture's suffix for a map of several planes, or for values that it cannot hold.
    """
    if suffix_of(path) in PICTURE:
        dtype = _smallest(path, np.array([0, *values])).dtype
        module_of(suffix_of(path)).check_fits(path, (1, *shape), dtype)


def _values_in(path: Path) -> list[int]:
    """The values in a label map; of a DICOM-SEG those of its segments, whether voxels have them or not."""
    if is_dicom(path):
        return [
            value for _, value in dicom_module("results.segmentation_reader").segment_values(path)
        ]
    found: list[int] = np.unique(read_labels(path).array).tolist()
    return found


def labels_in(paths: Iterable[Path], *, skip_unreadable: bool = False) -> list[int]:
    """The values other than 0 in these label maps, sorted.

    Raises:
        InputError: a file that cannot be read, unless those are skipped.
    """
    found: set[int] = set()
    for path in paths:
        try:
            found.update(_values_in(path))
        except InputError:
            if not skip_unreadable:
                raise
    return sorted(found - {0})
