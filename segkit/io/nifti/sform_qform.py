"""Grids of a NIfTI file by its sform, by its qform, and as ITK reads it.

nibabel, and segkit with it, use the sform, else the qform, else the voxel spacing alone. ITK, and
so 3D Slicer, ITK-SNAP and nnU-Net, has another order, takes the voxel spacing from ``pixdim`` and
supports no shear.
"""

# mypy: allow-untyped-calls
# (nibabel has no annotations on the calls used here)

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from segkit.files.names import NIFTI, suffix_of
from segkit.io.formats import module_of
from segkit.io.nifti.header import grid_of, read_header, unit_in_mm
from segkit.volume import Grid

Affine = NDArray[np.float64]
_ORTHONORMAL, _SIMILAR = 1e-4, 1e-4
"""Tolerances with which ITK accepts an sform as a rotation, and as equal to the qform."""
_SCANNER = 1
"""NIFTI_XFORM_SCANNER_ANAT, the code of scanner coordinates."""


def header_grids(path: Path) -> dict[str, Grid]:
    """Return the grid of a NIfTI file by each way to read its header.

    The keys name the way, such as "sform" or "qform". Files of other formats have none.

    Raises:
        InputError: the header cannot be used.
    """
    if suffix_of(path) not in NIFTI:
        return {}
    header = read_header(path)
    shape = grid_of(path, header).shape
    return {name: Grid(shape, affine * _row_units(header)) for name, affine in _affines(header)}


def itk_grid(path: Path) -> Grid | None:
    """Return the grid of a NIfTI file as ITK reads it.

    None for a file of another format, and for one that ITK refuses.

    Raises:
        InputError: the header cannot be used.
    """
    if suffix_of(path) not in NIFTI:
        return None
    header = read_header(path)
    shape = grid_of(path, header).shape
    if _mirrored(_sform(header), _qform(header)):
        itk_affine = module_of(".nrrd").itk_affine(path)
        return None if itk_affine is None else Grid(shape, itk_affine)
    affine = _affine_of_itk(header)
    return None if affine is None else Grid(shape, affine * _row_units(header))


def _row_units(header: Any) -> Affine:
    """Return the factors (4, 1) by which the rows of an affine become mm."""
    return np.array([[unit_in_mm(header)]] * 3 + [[1.0]])


def _affines(header: Any) -> Iterator[tuple[str, Affine]]:
    sform, qform, edges = _sform(header), _qform(header), _edges(header)
    if sform is None and qform is None:
        yield "voxel sizes alone, as nibabel does", np.asarray(header.get_base_affine(), np.float64)
        yield "voxel sizes alone, as ITK does", np.diag([-edges[0], -edges[1], edges[2], 1.0])
        yield "voxel sizes alone, from the first voxel", np.diag([*edges, 1.0])
    if sform is not None:
        yield "sform", sform
    if qform is not None:
        yield "qform", qform
    if sform is not None:
        yield "sform with the voxel sizes of pixdim", _with_edges(sform, edges)


def _affine_of_itk(header: Any) -> Affine | None:
    """Return the RAS+ affine by ``NiftiImageIO`` of ITK 5.4 (SetImageIOOrientationFromNIfTI)."""
    sform, qform, edges = _sform(header), _qform(header), _edges(header)
    if sform is None and qform is None:
        return np.diag([-edges[0], -edges[1], edges[2], 1.0])
    chosen = sform if sform is not None and _prefers_sform(header, sform, qform) else qform
    return None if chosen is None else _with_edges(chosen, edges)


def _prefers_sform(header: Any, sform: Affine, qform: Affine | None) -> bool:
    axes = sform[:3, :3] / np.linalg.norm(sform[:3, :3], axis=0)
    if np.abs(axes @ axes.T - np.eye(3)).max() > _ORTHONORMAL:
        return False
    return (
        qform is None
        or int(header["sform_code"]) == _SCANNER
        or bool(np.abs(sform - qform).max() <= _SIMILAR)
    )


def _mirrored(sform: Affine | None, qform: Affine | None) -> bool:
    """Return whether sform and qform differ only in the signs and the order of the axes.

    That happens where a program ignored qfac of the qform. ITK compares the left singular vectors
    of both matrices, which then are equal up to rounding errors and signs. So only ITK itself can
    tell which of the two it uses.
    """
    if sform is None or qform is None or np.abs(sform - qform).max() <= _SIMILAR:
        return False
    squares = [axes @ axes.T for axes in (sform[:3, :3], qform[:3, :3])]
    spread = np.abs(squares[0] - squares[1]).max() / np.abs(squares[0]).max()
    return bool(spread < 1e-3 and np.abs(sform[:3, 3] - qform[:3, 3]).max() < 1e-3)


def _sform(header: Any) -> Affine | None:
    if int(header["sform_code"]) <= 0:
        return None
    sform = np.asarray(header.get_sform(), np.float64)
    usable = np.isfinite(sform).all() and abs(np.linalg.det(sform[:3, :3])) > 0
    return sform if usable else None


def _qform(header: Any) -> Affine | None:
    if int(header["qform_code"]) <= 0:
        return None
    try:
        qform = np.asarray(header.get_qform(), np.float64)
    except (HeaderDataError, ValueError):  # the qform is not a rotation
        return None
    return qform if np.isfinite(qform).all() else None


def _edges(header: Any) -> NDArray[np.float64]:
    """Return the voxel spacing in the unit of the header; 1 for a missing axis, as in ITK."""
    edges = np.abs(np.asarray(header["pixdim"][1:4], np.float64))
    return np.where(edges > 0, edges, 1.0)


def _with_edges(affine: Affine, edges: NDArray[np.float64]) -> Affine:
    """Return the affine of the same directions and origin with another voxel spacing."""
    changed = affine.copy()
    changed[:3, :3] *= edges / np.linalg.norm(affine[:3, :3], axis=0)
    return changed
