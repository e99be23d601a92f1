"""Checks of affines, and the errors for grids that differ."""

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

_SPACINGS = (1e-9, 1e9)
"""Smallest and largest voxel spacing in mm with which an affine can be inverted accurately."""
SMALL_SHEAR = math.sin(math.radians(1.0))
"""Largest cosine between two axes that is accepted, with a warning, as a right angle (1 degree)."""


def checked_affine(
    where: str | Path, affine: NDArray[Any] | None, *, tilt: bool = False
) -> NDArray[np.float64]:
    """Check an affine and return it as float64.

    Args:
        where: the file, for error messages.
        affine: matrix (4, 4) from voxel index to mm in RAS+, or None.
        tilt: accept a third axis that is oblique to the other two, as in CT with a tilted gantry.

    Raises:
        InputError: the affine is missing, contains NaN or infinity, cannot be inverted, or its
            voxel axes deviate from right angles by more than one degree.
    """
    matrix = np.array(np.nan if affine is None else affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise unusable_affine(
            where, "none" if affine is None else f"numbers of shape {matrix.shape}"
        )
    axes = matrix[:3, :3]
    if not np.isfinite(matrix).all():
        raise unusable_affine(where, "NaN or infinite numbers in it")
    # hypot, because squaring the values of a damaged header may overflow.
    lengths = np.hypot(np.hypot(axes[0], axes[1]), axes[2])
    if lengths.min() < _SPACINGS[0] or lengths.max() > _SPACINGS[1]:
        raise unusable_affine(where, f"voxel edges of {_numbers(lengths)} mm")
    cosines = np.abs((axes / lengths).T @ (axes / lengths) - np.eye(3))
    if abs(np.linalg.det(axes / lengths)) < 1e-6:
        raise unusable_affine(
            where, "two or three voxel axes that point the same way (it cannot be inverted)"
        )
    if tilt:
        cosines = cosines[:2, :2]
    largest = float(cosines.max())
    if largest > SMALL_SHEAR:
        raise _sheared(where, _angle(largest))
    return matrix


def warn_of_shear(where: str | Path, grid: Grid) -> None:
    """Warn, once for each file, that its voxel axes do not quite meet at right angles."""
    if grid.shear > SHEAR:
        warn_once(
            f"{where}: two voxel axes meet at {_angle(grid.shear):.1f} degrees (a small shear in "
            "the header); they are treated as if they met at right angles"
        )


@lru_cache(maxsize=4096)
def warn_once(message: str) -> None:
    """Log a warning only once, because a file that is read repeatedly would repeat it."""
    log.warning("%s", printable(message))


def _angle(cosine: float) -> float:
    return math.degrees(math.acos(min(1.0, cosine)))


def unusable_affine(where: str | Path, found: str) -> InputError:
    """Return the error for an affine that cannot be used; ``found`` says what is wrong with it."""
    return InputError(
        where,
        expected="an affine that places every voxel",
        found=found,
        remedy="Correct the orientation in the header (sform, qform, pixdim) or convert the "
        "original scan again.",
    )


def _sheared(where: str | Path, angle: float) -> InputError:
    return InputError(
        where,
        expected="voxel axes at right angles",
        found=f"a shear: two axes meet at {angle:.1f} degrees "
        "(a tilted gantry, or a registration in the header)",
        remedy="Give the DICOM of a tilted scan, or resample the scan to a grid with right angles; "
        "3D Slicer and ANTs can do it.",
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
    """Return the error for a file that is not on the grid of its scan.

    Args:
        image: grid of the scan.
        other: grid of the file.
        where: the file.
        what: the kind of file: "label map", "channel".
        of: how the message names the scan.
        disagreement: note on a header that contradicts itself, "" for none.
    """
    return InputError(
        where,
        expected=f"a {what} on the grid of {of}: {grid_text(image)}",
        found=_difference(image, other) + (f" ({disagreement})" if disagreement else ""),
        remedy=_remedy(image, other, what, of),
        kind="grid",
    )


def _remedy(image: Grid, other: Grid, what: str, of: str) -> str:
    if image.shape == other.shape and np.allclose(image.spacing, other.spacing, rtol=0.01):
        return (
            f"If the {what} belongs to {of} voxel for voxel, save it again with the header of "
            f"{of} (docs/troubleshooting.md shows how); else find the pair that belongs together."
        )
    if np.allclose(image.affine, other.affine, rtol=1e-3, atol=1e-3):
        return (
            "Find the pair that belongs together; if this is it and it was cropped, "
            f"pad the {what} with zeros."
        )
    return f"Resample the {what} to {of}, or find the pair that belongs together."


def _difference(image: Grid, other: Grid) -> str:
    if image.shape != other.shape:
        return f"another grid: {grid_text(other)}"
    distance = image.distance(other)
    return (
        f"the same shape in another place: {grid_text(other)}, "
        f"corners up to {distance:.3g} {image.unit} apart"
    )


def grid_text(grid: Grid) -> str:
    """Return the shape and voxel spacing of a grid as text for messages.

    >>> grid_text(Grid((4, 5, 6), np.diag([1.0, 1.0, 2.5, 1.0])))
    '4 x 5 x 6 voxels of 1 x 1 x 2.5 mm'
    """
    shape = " x ".join(map(str, grid.shape))
    return f"{shape} voxels of {_numbers(np.array(grid.spacing))} {grid.unit}"


def _numbers(values: NDArray[Any]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
