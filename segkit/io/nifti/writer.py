"""Writing NIfTI in one file, with the geometry of the scan it belongs to."""

# mypy: allow-untyped-calls
# (nibabel has no annotations on the calls used here)

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from segkit.files.atomic import atomic_path
from segkit.files.names import NIFTI, suffix_of
from segkit.io.formats import storable
from segkit.io.gzip_stream import packing
from segkit.io.memory_map import in_memory
from segkit.io.nifti.header import grid_of, read_header
from segkit.io.scaled import as_stored
from segkit.volume import Grid, Volume, nifti_header

_AT_ONCE = 16 << 20
"""Bytes."""
_LABEL = 1002
"""NIFTI_INTENT_LABEL."""
_GEOMETRY = (
    *(
        "qform_code",
        "sform_code",
        "quatern_b",
        "quatern_c",
        "quatern_d",
        "qoffset_x",
        "qoffset_y",
        "qoffset_z",
    ),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)


def save(path: Path, volume: Volume, *, like: Path | None = None, labels: bool = False) -> None:
    """Write atomically; channels become the fourth axis, and `ScaledArray` stay as stored, with slope and intercept.

    Where ``like`` is a NIfTI file on the same grid, its form codes and geometry are copied as they are: the affine
    is then the same to the last bit, and a flat scan of two axes gets a flat label map. Nothing else of its header is
    taken, for that may name the patient. ``labels`` are marked as such, so that viewers color them.
    """
    stored, *scale = as_stored(volume.array)
    voxels = storable(stored)
    header = _header(volume.grid, like)
    header.set_data_dtype(voxels.dtype)
    if volume.channels > 1:
        header.set_data_shape((*volume.grid.shape, volume.channels))
    header.set_slope_inter(*scale)
    if labels:
        header["intent_code"] = _LABEL
    start = header.single_vox_offset
    header["vox_offset"] = start
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if suffix_of(path) == ".nii.gz":
            with packing(file) as packed:
                _write(packed, header.binaryblock.ljust(start, b"\0"), voxels)
        else:
            _write(file, header.binaryblock.ljust(start, b"\0"), voxels)


def _write(file: IO[bytes], start: bytes, voxels: NDArray[Any]) -> None:
    file.write(start)
    plane = voxels[0, ..., 0].nbytes
    many = max(
        1, _AT_ONCE // plane
    )  # a copy of all, in the file's order, may be more than the memory holds
    for channel in voxels:
        for first in range(0, channel.shape[2], many):
            file.write(
                np.ascontiguousarray(in_memory(channel[..., first : first + many]).T).data.cast("B")
            )


def _header(grid: Grid, like: Path | None = None) -> Any:
    model = _fitting_header(grid, like)
    header = nifti_header(grid)
    if model is None:
        return header
    if isinstance(model, Nifti2Header) and not isinstance(header, Nifti2Header):
        header = Nifti2Header()
    for field in _GEOMETRY:
        header[field] = model[field]
    header.set_data_shape(grid.shape[: max(2, min(3, len(model.get_data_shape())))])
    # After the shape, which resets the voxel size of a third axis.
    header["pixdim"][:4] = model["pixdim"][:4]
    return header


def _fitting_header(grid: Grid, like: Path | None) -> Any:
    """The header of ``like`` if that is a NIfTI file on this grid, else None."""
    if like is None or suffix_of(like) not in NIFTI:
        return None
    header = read_header(like)
    return header if grid_of(like, header).matches(grid, tolerance=1e-3) else None
