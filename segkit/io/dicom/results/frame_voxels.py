"""Where on a grid of voxels a frame of a DICOM-SEG lies: its rows and columns as a view of the label map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.dicom.frames import Frame
from segkit.volume import LPS_TO_RAS, Grid

_OFF = 0.05
"""How far a frame's corners may lie from voxels, as a share of a voxel's edge: what `Grid.matches` allows."""


@dataclass(frozen=True, eq=False)
class _Plane:
    """Voxels of a grid, as indices: the first pixel of a frame, and the steps along its rows and along its columns."""

    first: NDArray[Any]
    along_row: NDArray[Any]
    along_column: NDArray[Any]

    def corners(self, rows: int, columns: int) -> NDArray[Any]:
        """(4, 3), of the pixels at the corners of a frame of this size."""
        ends = [(x, y) for x in (0, columns - 1) for y in (0, rows - 1)]
        return np.array([self.first + x * self.along_row + y * self.along_column for x, y in ends])

    def among(self, slices: NDArray[np.float64]) -> _Plane:
        """Counted along Z in slices that lie at these places, and as far from the nearest one as before."""
        nearest = int(np.abs(slices - self.first[2]).argmin())
        x, y, z = self.first
        moved = np.array([x, y, z + nearest - slices[nearest]])
        return _Plane(moved, self.along_row, self.along_column)

    def nearest(self) -> _Plane:
        """In whole voxels."""
        first, row, column = (
            np.rint(each).astype(int) for each in (self.first, self.along_row, self.along_column)
        )
        return _Plane(first, row, column)


def view_of_frame(
    labels: NDArray[Any],
    frame: Frame,
    grid: Grid,
    path: Path,
    *,
    of: str,
    slices: NDArray[np.float64] | None,
) -> NDArray[Any]:
    """Return the voxels (rows, columns) of ``labels`` (X, Y, Z) that a frame is about; writing to it writes there.

    Args:
        labels: on ``grid``; with ``slices``, one plane for each of them.
        frame: of the SEG.
        grid: of the scan.
        path: the SEG, for messages.
        of: whose grid it is, in words.
        slices: places of the scan's slices among the planes of the grid, where these are others.

    Raises:
        InputError: the frame does not lie on voxels.
    """
    if (
        frame.position is None
        or frame.orientation is None
        or frame.spacing is None
        or grid.unit != "mm"
    ):
        raise _beside(path, frame, of, "no place in mm")
    to_grid = np.linalg.inv(LPS_TO_RAS @ grid.affine)
    steps = to_grid[:3, :3] @ frame.orientation.T * frame.spacing[::-1]
    exact = _Plane(to_grid[:3, :3] @ frame.position + to_grid[:3, 3], steps[:, 0], steps[:, 1])
    if slices is not None:
        exact = exact.among(slices)
    near = exact.nearest()
    if sorted(np.abs(near.along_row) + 2 * np.abs(near.along_column)) != [0, 1, 2]:
        edges = " x ".join(f"{edge:.4g}" for edge in frame.spacing)
        raise _beside(path, frame, of, f"pixels of {edges} mm or rows in another direction")
    size = int(frame.instance.header.Rows), int(frame.instance.header.Columns)
    corners = near.corners(*size)
    if corners.min() < 0 or (corners >= labels.shape).any():
        raise _beside(path, frame, of, "a place that reaches out of it")
    off = np.linalg.norm((exact.corners(*size) - corners) @ grid.affine[:3, :3].T, axis=1).max()
    if off > _OFF * min(grid.spacing):
        raise _beside(path, frame, of, f"corners up to {off:.3g} mm beside them")
    return _cut(labels, near, size)


def _cut(labels: NDArray[Any], plane: _Plane, size: tuple[int, int]) -> NDArray[Any]:
    """The plane (rows, columns) of this size, whose steps are one voxel long and along one axis each."""
    index: list[Any] = plane.first.tolist()
    down, across = (int(np.flatnonzero(step)[0]) for step in (plane.along_column, plane.along_row))
    for axis, step, count in (
        (down, plane.along_column, size[0]),
        (across, plane.along_row, size[1]),
    ):
        start, way = index[axis], int(step[axis])
        stop = start + way * count
        index[axis] = slice(start, None if stop < 0 else stop, way)
    found: NDArray[Any] = labels[tuple(index)]
    return found.T if across < down else found


def _beside(path: Path, frame: Frame, of: str, found: str) -> InputError:
    return InputError(
        path,
        expected=f"frames that lie on the voxels of {of}",
        found=f"{found}, for {frame.name}",
        remedy="Compare it with a label map of the images that it was made for.",
    )
