"""The header of a NIfTI file: read, checked, and what it says about axes, type, scale and place."""

# mypy: allow-untyped-calls
# (nibabel has no annotations on the calls used here)

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.geometry import checked_affine, unusable_affine, warn_once
from segkit.io.gzip_stream import first_bytes
from segkit.volume import Grid, Shape

_LENGTH, _METRE = 7, 1
"""The bits of ``xyzt_units`` that name the unit of length, and the name of the metre."""
_MM = {_METRE: 1000.0, 3: 0.001}
_LONGEST_EDGE = 0.1
"""Metres."""
_HEADERS = {348: Nifti1Header, 540: Nifti2Header}
_QUIET = logging.getLogger(f"{__name__}.nibabel")
_QUIET.propagate = False
_QUIET.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Layout:
    """Where the voxels stand in the file and what they mean."""

    grid: Grid
    volumes: int
    """Number of blocks (X, Y, Z) one behind the other: 4D has channels last."""
    stored: np.dtype[Any]
    """Type in the file, with its byte order."""
    samples: int
    """Numbers side by side per voxel: 1, or 3 and 4 for RGB and RGBA."""
    offset: int
    """Bytes in front of the first voxel."""
    scale: tuple[float, float] | None
    """Slope and intercept, or None where the stored numbers are the values."""

    @property
    def end(self) -> int:
        """Bytes up to the last voxel."""
        return self.offset + self.grid.voxels * self.volumes * self.samples * self.stored.itemsize


def read_layout(path: Path) -> Layout:
    """Read the header and check it.

    Raises:
        InputError: not NIfTI, a damaged header, an unusable affine, or a type that is no real number per voxel.
    """
    header = read_header(path)
    stored, samples = stored_type(path, header.get_data_dtype())
    scale = _scale(path, header) if samples == 1 else None
    offset = int(header.get_data_offset())
    grid = grid_of(path, header)
    _warn_of_metres(path, header)
    return Layout(grid, axes(path, header.get_data_shape())[1], stored, samples, offset, scale)


def read_header(path: Path) -> Any:
    """nibabel's header of a single-file NIfTI, its content checked."""
    block = first_bytes(path, max(_HEADERS))
    size = next(
        (n for n in _HEADERS for order in ("little", "big") if block[:4] == n.to_bytes(4, order)), 0
    )
    if not size or len(block) < size:
        raise _not_nifti(path, "no NIfTI header at its start" if block else "an empty file")
    try:
        header: Any = _HEADERS[size](block[:size], check=False)
        _check_edges(path, header)
        header.check_fix(logger=_QUIET)
        header.get_data_offset()
    except (HeaderDataError, KeyError, ValueError, OverflowError) as error:
        raise _not_nifti(path, f"a damaged header ({error})") from error
    if not bytes(header["magic"]).startswith(b"n+"):
        raise _not_nifti(path, "the header of a .hdr and .img pair")
    if header.get_data_offset() < size:
        raise _not_nifti(
            path, f"voxels that begin inside the header (vox_offset {header.get_data_offset()})"
        )
    return header


def _check_edges(path: Path, header: Any) -> None:
    """nibabel makes a voxel edge of 0 one of 1 mm, which is a guess where pixdim says how large a voxel is."""
    sizes, edges = header["dim"][1:4], header["pixdim"][1:4]
    count = min(3, int(header["dim"][0]))
    if int(header["sform_code"]) <= 0 and any(
        edges[axis] == 0 and sizes[axis] > 1 for axis in range(count)
    ):
        raise unusable_affine(
            path, f"voxel edges of {' x '.join(f'{edge:.3g}' for edge in edges[:count])} mm"
        )


def grid_of(path: Path, header: Any) -> Grid:
    """The voxel grid: sform, else qform, else the voxel edges alone (nibabel's order)."""
    shape, _ = axes(path, header.get_data_shape())
    try:
        affine = np.array(header.get_best_affine(), np.float64)
    except (HeaderDataError, ValueError) as error:
        raise _not_nifti(path, f"a qform that is no rotation ({error})") from error
    affine[:3] *= unit_in_mm(header)
    return Grid(shape, checked_affine(path, affine))


def unit_in_mm(header: Any) -> float:
    """Return the length in mm of the unit of ``xyzt_units``: metre, mm or micrometre, and mm where it says nothing."""
    unit = int(header["xyzt_units"]) & _LENGTH
    if (
        unit == _METRE
        and np.linalg.norm(header.get_best_affine()[:3, :3], axis=0).max() >= _LONGEST_EDGE
    ):
        return 1.0  # no scanner has voxels of 100 mm: it is the name of the unit that is wrong
    return _MM.get(unit, 1.0)


def _warn_of_metres(path: Path, header: Any) -> None:
    if int(header["xyzt_units"]) & _LENGTH == _METRE and unit_in_mm(header) == 1.0:
        warn_once(
            f"{path}: its header calls the lengths metres, which voxels of that size cannot be; they are read as mm"
        )


def axes(where: str | Path, shape: tuple[int, ...]) -> tuple[Shape, int]:
    """Voxel axes and number of channels: 4D has channels last; of more axes only one may be longer than 1."""
    sizes = [int(size) for size in shape]
    long = [size for size in sizes[3:] if size != 1]
    if len(sizes) < 2 or min(sizes) < 1 or len(long) > 1:
        raise InputError(
            where,
            expected="2 or 3 voxel axes and at most one axis of channels",
            found=f"the shape {' x '.join(map(str, sizes)) or 'of nothing'}",
            remedy="Split the file so that only one axis beyond the third is longer than 1.",
        )
    x, y, z = (*sizes, 1)[:3]
    return (x, y, z), (long[0] if long else 1)


def stored_type(where: str | Path, dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int]:
    """Type of one number and how many of them a voxel has; RGB and RGBA are structured types.

    Raises:
        InputError: complex numbers.
    """
    if dtype.names:
        return np.dtype(np.uint8), len(dtype.names)
    if dtype.kind in "iufb":
        return dtype, 1
    raise InputError(
        where,
        expected="one real number per voxel and channel",
        found=f"complex numbers ({dtype.name})",
        remedy="Save the magnitude (or real and imaginary part as two channels) instead.",
    )


def _scale(path: Path, header: Any) -> tuple[float, float] | None:
    try:
        slope, inter = header.get_slope_inter()
    except HeaderDataError as error:
        raise _not_nifti(path, f"a damaged scl_slope or scl_inter ({error})") from error
    if slope is None or (slope, inter) == (1.0, 0.0):
        return None
    return float(slope), float(inter)


def _not_nifti(path: Path, found: str) -> InputError:
    return InputError(
        path,
        expected="NIfTI in one file",
        found=found,
        remedy="Convert the original scan to .nii.gz again.",
    )


def rgb(voxels: NDArray[Any]) -> NDArray[np.uint8]:
    """Structured RGB(A) voxels (...) as (..., 3) bytes."""
    return np.stack([voxels[name] for name in (voxels.dtype.names or ())[:3]], axis=-1)
