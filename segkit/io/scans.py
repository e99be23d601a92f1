"""Opening, reading and writing of scans, and assembly of channels from several files."""

from __future__ import annotations

import os
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
    """Open a scan: read and check its header, and leave the voxels to be read on request.

    Args:
        path: a file, or a folder or zip of DICOM.

    Raises:
        InputError: there is no such file, its format is unknown, or its header cannot be used.
        UsageError: there are several DICOM series, or the extra that reads DICOM is not installed.
    """
    path = Path(path)
    _check_permission(path)
    if is_dicom(path):
        return open_dicom(path)
    check_readable(path)
    source: VolumeSource = module_of(suffix_of(path)).open_scan(path)
    return source


def _check_permission(path: Path) -> None:
    """Refuse a file that may not be read before a reader calls it damaged."""
    mode = os.R_OK | (os.X_OK if os.path.isdir(path) else 0)
    by_effective_user = os.access in os.supports_effective_ids
    if os.path.exists(path) and not os.access(path, mode, effective_ids=by_effective_user):
        raise InputError(
            path,
            expected="a scan that this user may read",
            found="permission denied",
            remedy="Change its permissions, or run segkit as its owner.",
        )


def is_slide(path: str | Path) -> bool:
    """Return whether a scan is a slide: a TIFF with more pixels than a picture may have."""
    path = Path(path)
    return suffix_of(path) in SLIDES and bool(module_of(suffix_of(path)).is_slide(path))


def read_volume(path: str | Path) -> Volume:
    """Read a scan with all its voxels, in the voxel order of the file.

    Args:
        path: a file, or a folder or zip of DICOM.

    Raises:
        InputError: the file cannot be used; the message says why and what to do.
        UsageError: as `open_source`.
    """
    return read_source(open_source(path))


def read_source(source: VolumeSource) -> Volume:
    """Return all planes of a source as a Volume."""
    grid = source.grid
    return Volume(source.planes(0, grid.shape[2]), grid.affine, grid.unit)


def read_unscaled(path: str | Path) -> Volume:
    """Read a scan as `read_volume` does, but keep the numbers as they are stored in the file.

    If the header has a slope and intercept, the volume holds a `ScaledArray`, whose values are
    computed by ``np.asarray``.
    """
    source = open_source(path)
    scaled = source.scaled() if hasattr(source, "scaled") else None
    if scaled is None:
        return read_source(source)
    return Volume(scaled, source.grid.affine, source.grid.unit)


def read_case(paths: Sequence[str | Path], *, unscaled: bool = False) -> Volume:
    """Read the channels of one case.

    Args:
        paths: one file with all channels, or one file per channel, all on one grid.
        unscaled: read a single file as `read_unscaled` does.

    Raises:
        InputError: a file cannot be used, or a channel is on another grid.
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
    """Write a scan atomically in the format of the suffix, with the voxel type of the volume.

    Args:
        path: the file to write.
        volume: the scan.
        like: the file of a scan on the same grid, as for `write_labels`.
        channels: names of the channels, stored in NRRD files.

    Raises:
        UsageError: the suffix does not belong to a format that can be written.
        InputError: the format cannot hold the volume, or the file cannot be written.
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
    """Return a scan of any supported kind as a Volume.

    Args:
        scan: a path (read by `read_unscaled`), a nibabel or SimpleITK image, a numpy array or a
            Volume.
        spacing: voxel spacing of a numpy array in mm along X, Y, Z.
        affine: affine (4, 4) of a numpy array to mm in RAS+.
        channels: number of channels that a numpy array must have.
        unit: unit of a numpy array, "mm" or "px".

    See `segkit.io.numpy_array.volume_of_array` for numpy arrays.

    Raises:
        InputError: the voxels or the affine cannot be used.
        UsageError: ``scan`` is of another kind, or a spacing or affine is given for a scan that
            already has its own.
    """
    if isinstance(scan, np.ndarray):
        return volume_of_array(scan, spacing=spacing, affine=affine, channels=channels, unit=unit)
    if spacing is not None or affine is not None:
        raise UsageError(
            "spacing= and affine= are for numpy arrays; "
            f"a {type(scan).__name__} has its own geometry"
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
