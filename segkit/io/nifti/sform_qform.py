"""Where a NIfTI file lies, read as others read it: by its qform, by its sform, or as ITK's programs do.

nibabel, and segkit with it, go by the sform, else by the qform, else by the voxel edges alone. ITK, and so 3D Slicer,
ITK-SNAP and nnU-Net, has another order, keeps the voxel edges of ``pixdim`` and knows no shear.
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
"""How far ITK lets an sform deviate from a rotation, and from the qform it is said to agree with."""
_SCANNER = 1


def header_grids(path: Path) -> dict[str, Grid]:
    """Return the grid of a NIfTI file by each way to read its header, named; empty for other formats.

    Raises:
        InputError: a header that cannot be used.
    """
    if suffix_of(path) not in NIFTI:
        return {}
    header = read_header(path)
    own = grid_of(path, header)
    return {name: Grid(own.shape, affine * _mm(header)) for name, affine in _readings(header)}


def itk_grid(path: Path) -> Grid | None:
    """Return the grid of a NIfTI file as ITK reads it; None for other formats, and where ITK refuses the file.

    Raises:
        InputError: a header that cannot be used.
    """
    if suffix_of(path) not in NIFTI:
        return None
    header = read_header(path)
    shape = grid_of(path, header).shape
    if _mirrored(_sform(header), _qform(header)):
        place = module_of(".nrrd").place_of(path)
        return None if place is None else Grid(shape, place)
    affine = _itk(header)
    return None if affine is None else Grid(shape, affine * _mm(header))


def _mm(header: Any) -> Affine:
    """Factors (4, 1) for the rows of an affine."""
    return np.array([[unit_in_mm(header)]] * 3 + [[1.0]])


def _readings(header: Any) -> Iterator[tuple[str, Affine]]:
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


def _itk(header: Any) -> Affine | None:
    """Return what ``NiftiImageIO`` of ITK 5.4 reads (its SetImageIOOrientationFromNIfTI), in RAS+."""
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
    """Return whether the two differ only in signs and order of the axes, as where a program forgot the qform's qfac.

    ITK compares what a singular value decomposition has on the left, which is the same then up to rounding errors and
    the signs of its columns. So which of the two ITK takes cannot be told without ITK.
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
    except (
        HeaderDataError,
        ValueError,
    ):  # no rotation; where there is an sform, nobody has asked for it
        return None
    return qform if np.isfinite(qform).all() else None


def _edges(header: Any) -> NDArray[np.float64]:
    """Voxel edges in the unit of the header; an axis that is not there is 1 long, as in ITK."""
    edges = np.abs(np.asarray(header["pixdim"][1:4], np.float64))
    return np.where(edges > 0, edges, 1.0)


def _with_edges(affine: Affine, edges: NDArray[np.float64]) -> Affine:
    """Return the affine with its directions and origin, and these voxel edges."""
    kept = affine.copy()
    kept[:3, :3] *= edges / np.linalg.norm(affine[:3, :3], axis=0)
    return kept
