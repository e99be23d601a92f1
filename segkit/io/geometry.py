"""Is an affine one that can be worked with, and how do two grids differ?"""

from __future__ import annotations

import logging
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, printable
from segkit.volume import SHEAR, Grid

log = logging.getLogger(__name__)

_EDGES = (1e-9, 1e9)
"""Voxel edges in mm beyond which an affine cannot be inverted well."""
SMALL_SHEAR = math.sin(math.radians(1.0))
"""Largest cosine that is taken for one, with a warning: what a registration leaves in a header."""


def checked_affine(
    where: str | Path, affine: NDArray[Any] | None, *, tilt: bool = False
) -> NDArray[np.float64]:
    """``affine`` (4, 4) as float64 if it is finite, invertible and has voxel axes at right angles, or nearly.

    With ``tilt`` the third axis may lean against the two others, as where a CT's gantry was tilted.

    Raises:
        InputError: otherwise.
    """
    matrix = np.array(np.nan if affine is None else affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise unusable_affine(
            where, "none" if affine is None else f"numbers of shape {matrix.shape}"
        )
    axes = matrix[:3, :3]
    if not np.isfinite(matrix).all():
        raise unusable_affine(where, "NaN or infinite numbers in it")
    lengths = np.hypot(
        np.hypot(axes[0], axes[1]), axes[2]
    )  # a norm by squares overflows on damaged numbers
    if lengths.min() < _EDGES[0] or lengths.max() > _EDGES[1]:
        raise unusable_affine(where, f"voxel edges of {_numbers(lengths)} mm")
    cosines = np.abs((axes / lengths).T @ (axes / lengths) - np.eye(3))
    if abs(np.linalg.det(axes / lengths)) < 1e-6:
        raise unusable_affine(
            where, "two or three voxel axes that point the same way (it cannot be inverted)"
        )
    if tilt:
        cosines = cosines[:2, :2]
    if cosines.max() > SMALL_SHEAR:
        raise _sheared(where, _angle(cosines))
    return matrix


def warn_of_shear(where: str | Path, grid: Grid) -> None:
    """Say once for a file that its voxel axes meet at almost, but not quite, right angles."""
    axes = grid.affine[:3, :3] / grid.spacing
    cosines = np.abs(axes.T @ axes - np.eye(3))
    if cosines.max() > SHEAR:
        warn_once(
            f"{where}: two voxel axes meet at {_angle(cosines):.1f} degrees (a small shear in the header); they are "
            "taken as at right angles"
        )


@lru_cache(maxsize=4096)
def warn_once(message: str) -> None:
    """Log a warning that many reads of one file would repeat."""
    log.warning("%s", printable(message))


def _angle(cosines: NDArray[Any]) -> float:
    return float(np.degrees(np.arccos(min(1.0, cosines.max()))))


def unusable_affine(where: str | Path, found: str) -> InputError:
    """The error for geometry that does not say where voxels are."""
    return InputError(
        where,
        expected="an affine that places every voxel",
        found=found,
        remedy="Correct the orientation in the header (sform, qform, pixdim) or convert the original scan again.",
    )


def _sheared(where: str | Path, angle: float) -> InputError:
    return InputError(
        where,
        expected="voxel axes at right angles",
        found=f"a shear: two axes meet at {angle:.1f} degrees (a tilted gantry, or a registration in the header)",
        remedy="Resample the scan to a grid with right angles first; 3D Slicer and ANTs can do it.",
    )


def other_grid(
    image: Grid,
    other: Grid,
    where: str | Path,
    *,
    what: str = "label map",
    of: str = "the scan",
    disagreement: str = "",
) -> InputError:
    """Return the error for the file ``where``, a ``what`` that does not lie on the grid ``image``, which is ``of``."""
    return InputError(
        where,
        expected=f"a {what} on the grid of {of}: {described(image)}",
        found=_difference(image, other) + (f" ({disagreement})" if disagreement else ""),
        remedy=_remedy(image, other, what, of),
    )


def _remedy(image: Grid, other: Grid, what: str, of: str) -> str:
    if image.shape == other.shape and np.allclose(image.spacing, other.spacing, rtol=0.01):
        return (
            f"If the {what} belongs to {of} voxel for voxel, copy the header of {of} to it; "
            "else find the pair that belongs together."
        )
    if np.allclose(image.affine, other.affine, rtol=1e-3, atol=1e-3):
        return f"Find the pair that belongs together; if this is it and it was cropped, pad the {what} with zeros."
    return f"Resample the {what} to {of}, or find the pair that belongs together."


def _difference(image: Grid, other: Grid) -> str:
    if image.shape != other.shape:
        return f"another grid: {described(other)}"
    apart = image.distance(other)
    return f"the same shape in another place: {described(other)}, corners up to {apart:.3g} {image.unit} apart"


def described(grid: Grid) -> str:
    """Return shape and voxel edges in words."""
    return f"{' x '.join(map(str, grid.shape))} voxels of {_numbers(np.array(grid.spacing))} {grid.unit}"


def _numbers(values: NDArray[Any]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
