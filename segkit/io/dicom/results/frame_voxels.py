"""Views of the voxels of a label map that correspond to a frame of a DICOM-SEG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.dicom.frames import Frame
from segkit.volume import LPS_TO_RAS, Grid

_ALLOWED = 0.05
"""Largest distance of a frame's corners from voxel centers, relative to the smallest spacing.

`Grid.matches` has the same tolerance.
"""


@dataclass(frozen=True, eq=False)
class _Plane:
    """Plane of a frame in voxel indices of a grid."""

    first: NDArray[Any]
    """Index of the first pixel, shape (3,)."""
    along_row: NDArray[Any]
    """Step from a pixel to the next one in its row, shape (3,)."""
    along_column: NDArray[Any]
    """Step from a pixel to the next one in its column, shape (3,)."""

    def corners(self, rows: int, columns: int) -> NDArray[Any]:
        """Return the indices (4, 3) of the corner pixels of a frame of this size."""
        ends = [(x, y) for x in (0, columns - 1) for y in (0, rows - 1)]
        return np.array([self.first + x * self.along_row + y * self.along_column for x, y in ends])

    def among(self, slices: NDArray[np.float64]) -> _Plane:
        """Return the plane with its Z index counted in slices at these positions.

        Its offset from the nearest slice is kept.
        """
        nearest = int(np.abs(slices - self.first[2]).argmin())
        x, y, z = self.first
        first = np.array([x, y, z + nearest - slices[nearest]])
        return _Plane(first, self.along_row, self.along_column)

    def rounded(self) -> _Plane:
        """Return the plane in whole voxels."""
        first, row, column = (
            np.rint(vector).astype(int)
            for vector in (self.first, self.along_row, self.along_column)
        )
        return _Plane(first, row, column)


def view_of_frame(
    labels: NDArray[Any],
    frame: Frame,
    grid: Grid,
    path: Path,
    *,
    grid_name: str,
    slices: NDArray[np.float64] | None,
) -> NDArray[Any]:
    """Return a writable view (rows, columns) of the voxels of a label map on which a frame lies.

    Args:
        labels: label map (X, Y, Z) on ``grid``; with ``slices``, one plane for each slice.
        frame: frame of the DICOM-SEG.
        grid: grid of the scan.
        path: file of the DICOM-SEG, for messages.
        grid_name: name of the image to which the grid belongs, for messages.
        slices: positions of the scan's slices in planes of the grid, if they are not the planes
            themselves.

    Raises:
        InputError: the pixels of the frame do not coincide with voxels.
    """
    if (
        frame.position is None
        or frame.orientation is None
        or frame.spacing is None
        or grid.unit != "mm"
    ):
        raise _off_grid(path, frame, grid_name, "no position in mm")
    to_grid = np.linalg.inv(LPS_TO_RAS @ grid.affine)
    steps = to_grid[:3, :3] @ frame.orientation.T * frame.spacing[::-1]
    exact = _Plane(to_grid[:3, :3] @ frame.position + to_grid[:3, 3], steps[:, 0], steps[:, 1])
    if slices is not None:
        exact = exact.among(slices)
    rounded = exact.rounded()
    if sorted(np.abs(rounded.along_row) + 2 * np.abs(rounded.along_column)) != [0, 1, 2]:
        edges = " x ".join(f"{edge:.4g}" for edge in frame.spacing)
        raise _off_grid(
            path, frame, grid_name, f"pixels of {edges} mm, or rows in another direction"
        )
    size = int(frame.instance.header.Rows), int(frame.instance.header.Columns)
    corners = rounded.corners(*size)
    if corners.min() < 0 or (corners >= labels.shape).any():
        raise _off_grid(path, frame, grid_name, "a position that is partly outside of it")
    shifts = (exact.corners(*size) - corners) @ grid.affine[:3, :3].T
    shift = np.linalg.norm(shifts, axis=1).max()
    if shift > _ALLOWED * min(grid.spacing):
        raise _off_grid(path, frame, grid_name, f"corners up to {shift:.3g} mm away from them")
    return _view(labels, rounded, size)


def _view(labels: NDArray[Any], plane: _Plane, size: tuple[int, int]) -> NDArray[Any]:
    """Return the voxels (rows, columns) of a plane of this size, whose steps are single voxels."""
    index: list[Any] = plane.first.tolist()
    down, across = (int(np.flatnonzero(step)[0]) for step in (plane.along_column, plane.along_row))
    for axis, step, count in (
        (down, plane.along_column, size[0]),
        (across, plane.along_row, size[1]),
    ):
        start, sign = index[axis], int(step[axis])
        stop = start + sign * count
        index[axis] = slice(start, None if stop < 0 else stop, sign)
    view: NDArray[Any] = labels[tuple(index)]
    return view.T if across < down else view


def _off_grid(path: Path, frame: Frame, grid_name: str, found: str) -> InputError:
    return InputError(
        path,
        expected=f"frames that lie on the voxels of {grid_name}",
        found=f"{found}, for {frame.name}",
        remedy="Use it with the images for which it was made.",
    )
