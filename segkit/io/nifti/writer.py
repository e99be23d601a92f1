"""Writer of NIfTI in one file, with the geometry of the scan to which it belongs."""

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
from segkit.io.gzip_stream import gzip_writer
from segkit.io.memory import in_memory
from segkit.io.nifti.header import grid_of, read_header
from segkit.io.scaled import as_stored
from segkit.volume import Grid, Volume, nifti_header

_BLOCK_BYTES = 16 << 20
"""Size in bytes of the planes that are written together."""
_LABEL = 1002
"""NIFTI_INTENT_LABEL, by which viewers know a label map."""
_GEOMETRY = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units"),
)
"""Header fields that give the position of the voxels."""


def save(path: Path, volume: Volume, *, like: Path | None = None, labels: bool = False) -> None:
    """Write a volume atomically as NIfTI; channels become the fourth axis.

    A `ScaledArray` is written as it is stored, with its slope and intercept.

    Args:
        path: the file; ``.nii.gz`` is compressed.
        volume: the voxels (C, X, Y, Z).
        like: the scan. If it is a NIfTI file on the same grid, its sform, qform and their codes are
            copied: the affine is then equal to the last bit, and the label map of a scan of two
            axes has two axes. Nothing else of its header is copied, because that may name the
            patient.
        labels: mark the file as a label map, so that viewers color it.

    Raises:
        InputError: the file cannot be written, or the header of ``like`` is damaged.
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
    header["vox_offset"] = header.single_vox_offset
    header_bytes = header.binaryblock.ljust(header.single_vox_offset, b"\0")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if suffix_of(path) == ".nii.gz":
            with gzip_writer(file) as compressed:
                _write(compressed, header_bytes, voxels)
        else:
            _write(file, header_bytes, voxels)


def _write(file: IO[bytes], header: bytes, voxels: NDArray[Any]) -> None:
    file.write(header)
    # In blocks, because a copy of all voxels in file order may not fit into memory.
    planes = max(1, _BLOCK_BYTES // voxels[0, ..., 0].nbytes)
    for channel in voxels:
        for first in range(0, channel.shape[2], planes):
            block = in_memory(channel[..., first : first + planes])
            file.write(np.ascontiguousarray(block.T).data.cast("B"))


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
    """Return the header of ``like`` if that is a NIfTI file on this grid, else None."""
    if like is None or suffix_of(like) not in NIFTI:
        return None
    header = read_header(like)
    return header if grid_of(like, header).matches(grid, tolerance=1e-3) else None
