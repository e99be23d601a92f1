"""Scans: opened, read whole, put together from their channels, and written."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from segkit.errors import InputError, UsageError
from segkit.files.names import ITK, PICTURE, SLIDES, suffix_of
from segkit.io.dicom import open_dicom
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.formats import check_readable, check_writable, module_of
from segkit.io.geometry import checked_affine
from segkit.io.limits import check_finite
from segkit.io.numpy_array import volume_of_array
from segkit.io.placement import move_to_itk_grid, place_on_grid
from segkit.volume import Unit, Volume, VolumeSource


def open_source(path: str | Path) -> VolumeSource:
    """Open a scan (a file, or a folder or zip of DICOM): its header is read and checked now, its voxels when asked for.

    Raises:
        InputError: no such file, an unknown format, or a header that cannot be used.
        UsageError: several DICOM series, or DICOM without the extra that reads it.
    """
    path = Path(path)
    if is_dicom(path):
        return open_dicom(path)
    check_readable(path)
    source: VolumeSource = module_of(suffix_of(path)).open_scan(path)
    return source


def is_slide(path: str | Path) -> bool:
    """Whether a scan is a slide: a TIFF of more pixels than a picture may have."""
    path = Path(path)
    return suffix_of(path) in SLIDES and bool(module_of(suffix_of(path)).is_slide(path))


def read_volume(path: str | Path) -> Volume:
    """Read a scan with all its voxels, in the file's own voxel order.

    Raises:
        InputError: whatever makes the file unusable, with what to do about it.
    """
    return read_source(open_source(path))


def read_source(source: VolumeSource) -> Volume:
    """All planes of a source."""
    grid = source.grid
    return Volume(source.planes(0, grid.shape[2]), grid.affine, grid.unit)


def read_unscaled(path: str | Path) -> Volume:
    """As `read_volume`, but where a header scales its numbers they stay as they are stored until they are looked at.

    The array then is a `ScaledArray`, of which ``np.asarray`` makes values.
    """
    source = open_source(path)
    scaled = source.scaled() if hasattr(source, "scaled") else None
    if scaled is None:
        return read_source(source)
    return Volume(scaled, source.grid.affine, source.grid.unit)


def read_case(paths: Sequence[str | Path], *, unscaled: bool = False) -> Volume:
    """Read the channels of one case: one file with all of them, or one file per channel on one grid.

    Args:
        paths: the files.
        unscaled: a single file is read as `read_unscaled` does.

    Raises:
        InputError: an unusable file, or a channel on another grid.
    """
    if unscaled and len(paths) == 1:
        return read_unscaled(paths[0])
    volumes = [read_volume(path) for path in paths]
    if len(volumes) == 1:
        return volumes[0]
    for path, volume in zip(paths, volumes, strict=True):
        if volume.channels != 1:
            raise InputError(
                path,
                expected="one channel, because the case has a file per channel",
                found=f"{volume.channels} channels",
                remedy="Give either one file with all channels or one file for each.",
            )
    first, grid = Path(paths[0]), volumes[0].grid
    channels = [
        place_on_grid(volume, grid, path, scan=first, what="channel", padded=False).array
        for path, volume in zip(paths, volumes, strict=True)
    ]
    return volumes[0].with_array(np.concatenate(channels))


def write_image(
    path: str | Path,
    volume: Volume,
    *,
    like: str | Path | None = None,
    channels: Sequence[str] = (),
) -> None:
    """Write a scan atomically, in the format of the suffix and its own type.

    ``like`` is a scan on the same grid: as for `write_labels`. ``channels`` are their names, which NRRD keeps.
    """
    path = Path(path)
    check_writable(path)
    suffix, save = suffix_of(path), module_of(suffix_of(path)).save
    scan = None if like is None else Path(like)
    if suffix in PICTURE:
        save(path, volume)
    elif suffix in ITK:
        save(path, move_to_itk_grid(volume, scan, path), like=scan, channels=channels)
    else:
        save(path, volume, like=scan)


def from_object(
    scan: object,
    *,
    spacing: Sequence[float] | None = None,
    affine: ArrayLike | None = None,
    channels: int = 1,
    unit: Unit = "mm",
) -> Volume:
    """Return a Volume of a path (as `read_unscaled`), a nibabel or SimpleITK image, a numpy array or a Volume.

    ``spacing`` or ``affine`` say where a numpy array lies, of which ``channels`` and ``unit`` are expected (see
    `segkit.io.numpy_array.volume_of_array`).

    Raises:
        InputError: voxels or geometry that cannot be used.
        UsageError: something else, or a geometry for a scan that has its own.
    """
    if isinstance(scan, np.ndarray):
        return volume_of_array(scan, spacing=spacing, affine=affine, channels=channels, unit=unit)
    if spacing is not None or affine is not None:
        raise UsageError(
            f"spacing= and affine= are for numpy arrays; a {type(scan).__name__} has its own geometry"
        )
    if isinstance(scan, Volume):
        check_finite("Volume", scan.array)
        return Volume(scan.array, checked_affine("Volume", scan.affine, tilt=True), scan.unit)
    if isinstance(scan, str | PathLike):
        return read_unscaled(Path(scan))
    if hasattr(scan, "dataobj") and hasattr(scan, "affine"):
        volume: Volume = module_of(".nii").volume_of(scan)
        return volume
    if type(scan).__module__.startswith("SimpleITK"):
        volume = module_of(".mha").volume_of(scan)
        return volume
    raise UsageError(
        "a scan must be a path, a nibabel image, a SimpleITK image, a numpy array or a Volume, "
        f"not {type(scan).__name__}"
    )
