"""Header of a NIfTI file, read with nibabel and checked: axes, voxel type, scaling and affine."""

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
from segkit.io.geometry import checked_affine, warn_once
from segkit.io.gzip_stream import first_bytes
from segkit.volume import Grid, Shape

_LENGTH_BITS, _METER = 7, 1
"""Bits of ``xyzt_units`` that hold the unit of length, and the code of the meter."""
_MM_PER_UNIT = {_METER: 1000.0, 3: 0.001}
"""Length in mm of the units that are not mm: meter and micrometer."""
_LARGEST_SPACING_IN_METERS = 0.1
"""Voxel spacing from which a unit of meters cannot be true."""
_HEADERS = {348: Nifti1Header, 540: Nifti2Header}
"""Header class of nibabel by the size of the header in bytes."""
_QUIET = logging.getLogger(f"{__name__}.nibabel")
_QUIET.propagate = False
_QUIET.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class CheckedHeader:
    """Checked header: position and type of the voxels in the file, and their geometry."""

    grid: Grid
    volumes: int
    """Number of volumes (X, Y, Z) that follow each other: the fourth axis of a 4D file."""
    stored: np.dtype[Any]
    """Type in the file, with its byte order."""
    samples: int
    """Number of values that are stored per voxel: 1, or 3 for RGB, 4 for RGBA."""
    offset: int
    """Number of bytes before the first voxel."""
    scale: tuple[float, float] | None
    """Slope and intercept, or None if the stored numbers are the values."""

    @property
    def used_samples(self) -> int:
        """Number of values per voxel that are read: the fourth of RGBA is transparency."""
        return min(self.samples, 3)

    @property
    def channels(self) -> int:
        """Number of channels; a color image has three."""
        return self.volumes * self.used_samples

    @property
    def end(self) -> int:
        """Number of bytes of the file up to the end of the last voxel."""
        return self.offset + self.grid.voxels * self.volumes * self.samples * self.stored.itemsize


def read_checked_header(path: Path) -> CheckedHeader:
    """Read the header of a NIfTI file and check it.

    Raises:
        InputError: the file is not NIfTI, its header is damaged, its affine cannot be used, or its
            voxels are no real numbers.
    """
    header = read_header(path)
    stored, samples = stored_type(path, header.get_data_dtype())
    scale = _scale(path, header) if samples == 1 else None
    offset = int(header.get_data_offset())
    grid = grid_of(path, header)
    _warn_of_meters(path, header)
    _, volumes = axes(path, header.get_data_shape())
    return CheckedHeader(grid, volumes, stored, samples, offset, scale)


def read_header(path: Path) -> Any:
    """Return nibabel's header of a NIfTI file, with its content checked.

    Raises:
        InputError: the file is not NIfTI in one file, or its header is damaged.
    """
    block = first_bytes(path, max(_HEADERS))
    size = next(
        (n for n in _HEADERS for order in ("little", "big") if block[:4] == n.to_bytes(4, order)), 0
    )
    if not size or len(block) < size:
        raise _no_header(path, block)
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


def _no_header(path: Path, start: bytes) -> InputError:
    """Return the error for a file that does not begin with a NIfTI header."""
    found, remedy = "an empty file", "Copy or download it again."
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        found, remedy = "a web page (HTML)", "Download it again: this is not the scan."
    elif start:
        found = "no NIfTI header at its start"
        remedy = "Copy or download it again, or convert the original scan to .nii.gz again."
    return _not_nifti(path, found, remedy)


def _check_edges(path: Path, header: Any) -> None:
    """Refuse a spacing of 0 if only pixdim gives it, because nibabel would read 1 mm."""
    count = max(0, min(3, int(header["dim"][0])))
    sizes, edges = header["dim"][1 : count + 1], header["pixdim"][1 : count + 1]
    missing = any(edge == 0 and size > 1 for edge, size in zip(edges, sizes, strict=True))
    if missing and int(header["sform_code"]) <= 0:
        text = " x ".join(f"{edge:.3g}" for edge in edges)
        raise InputError(
            path,
            expected="a header that gives the size of the voxels",
            found=f"voxel edges of {text} mm: it says nothing about size, position and orientation",
            remedy="Export the original scan again. A label map that was drawn on a scan can be"
            " given the header of that scan, with FSL by 'fslcpgeom SCAN LABEL_MAP'.",
        )


def grid_of(path: Path, header: Any) -> Grid:
    """Return the voxel grid by sform, else qform, else voxel spacing alone (nibabel's order).

    Args:
        path: the file, for error messages.
        header: nibabel's header of it.

    Raises:
        InputError: the qform is no rotation, or the affine cannot be used.
    """
    shape, _ = axes(path, header.get_data_shape())
    try:
        affine = np.array(header.get_best_affine(), np.float64)
    except (HeaderDataError, ValueError) as error:
        raise _not_nifti(path, f"a qform that is not a rotation ({error})") from error
    affine[:3] *= unit_in_mm(header)
    return Grid(shape, checked_affine(path, affine))


def unit_in_mm(header: Any) -> float:
    """Return the length in mm of the unit of ``xyzt_units``: meter, mm or micrometer.

    An unknown unit counts as mm. So does the meter where a voxel would be 100 mm long or more: no
    scanner has such voxels, so the unit in the header must be wrong.
    """
    unit = int(header["xyzt_units"]) & _LENGTH_BITS
    if unit == _METER:
        spacing = np.linalg.norm(header.get_best_affine()[:3, :3], axis=0)
        if spacing.max() >= _LARGEST_SPACING_IN_METERS:
            return 1.0
    return _MM_PER_UNIT.get(unit, 1.0)


def _warn_of_meters(path: Path, header: Any) -> None:
    if int(header["xyzt_units"]) & _LENGTH_BITS == _METER and unit_in_mm(header) == 1.0:
        warn_once(
            f"{path}: its header gives lengths in meters, which is impossible for voxels of that "
            "size; they are read as mm"
        )


def axes(where: str | Path, shape: tuple[int, ...]) -> tuple[Shape, int]:
    """Return the voxel axes (X, Y, Z) and the number of channels of a NIfTI ``shape``.

    The fourth axis is that of the channels. Of all axes from the fourth on, only one may be longer
    than 1.

    >>> axes("scan", (4, 5, 6)), axes("scan", (4, 5, 6, 1, 3)), axes("scan", (4, 5))
    (((4, 5, 6), 1), ((4, 5, 6), 3), ((4, 5, 1), 1))

    Raises:
        InputError: another number of axes, or an axis without voxels.
    """
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
    """Return the type of one stored number, and how many of them a voxel has.

    Args:
        where: the file, for error messages.
        dtype: nibabel's type of a voxel; RGB and RGBA are structured types.

    Raises:
        InputError: the voxels are complex numbers.
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


def _not_nifti(
    path: Path, found: str, remedy: str = "Convert the original scan to .nii.gz again."
) -> InputError:
    return InputError(path, expected="NIfTI in one file", found=found, remedy=remedy)


def rgb(voxels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return structured RGB or RGBA voxels of any shape (...) as bytes (..., 3)."""
    return np.stack([voxels[name] for name in (voxels.dtype.names or ())[:3]], axis=-1)
