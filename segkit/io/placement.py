"""Placement of label maps and channels on the grid of their scan, without interpolation.

A file belongs to a scan in three cases: it has the same grid; it has the same lattice, with voxels
stored in another order or cropped; or, where the sform and qform of a NIfTI header differ, it has
the same shape at the position at which other programs place the scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.files.names import NIFTI, suffix_of
from segkit.io.formats import module_of
from segkit.io.geometry import other_grid, warn_once
from segkit.volume import Grid, Shape, Volume


@dataclass(frozen=True)
class Placement:
    """Position of one grid on the lattice of another: order and direction of axes, and offset."""

    order: tuple[int, int, int]
    """For each axis of the grid, the axis of the voxels that runs along it."""
    flips: tuple[bool, bool, bool]
    """True for each axis of the grid along which the voxels are reversed."""
    start: tuple[int, int, int]
    """Index of the first voxel on the grid, after the axes are reordered and reversed."""

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of voxels (C, X, Y, Z) in the order and direction of the grid's axes."""
        steps = (slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return array.transpose(0, *(axis + 1 for axis in self.order))[(slice(None), *steps)]

    def overlap(
        self, size: Shape, shape: Shape
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
        """Return the overlap of turned voxels of shape ``size`` with a grid of ``shape``.

        The result is the slices of the voxels that lie on the grid, and the slices of the grid that
        they cover; None if there is no overlap.

        >>> Placement((0, 1, 2), (False,) * 3, (2, 0, 0)).overlap((4, 3, 3), (5, 3, 3))[0][0]
        slice(0, 3, None)
        """
        low = [max(0, first) for first in self.start]
        high = [
            min(length, first + count)
            for length, first, count in zip(shape, self.start, size, strict=True)
        ]
        if any(stop <= start for start, stop in zip(low, high, strict=True)):
            return None
        inside = tuple(
            slice(start - first, stop - first)
            for start, stop, first in zip(low, high, self.start, strict=True)
        )
        return inside, tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))

    def is_crop(self, size: Shape, shape: Shape) -> bool:
        """Return whether one of two grids was probably cropped from the other.

        Args:
            size: shape of the turned voxels.
            shape: shape of the grid.

        The answer is False if both have the same shape at different positions, if neither contains
        the other, or if they share only the first voxel, as scans of two patients may.
        """
        if size == shape:
            return self.start == (0, 0, 0)
        nested = all(
            (first >= 0 and first + count <= length) or (first <= 0 and first + count >= length)
            for first, count, length in zip(self.start, size, shape, strict=True)
        )
        cropped_axes = [axis for axis in range(3) if size[axis] != shape[axis]]
        moved = any(self.start[axis] or self.flips[axis] for axis in cropped_axes)
        return nested and (moved or self.order != (0, 1, 2))


def place_on_grid(
    volume: Volume,
    grid: Grid,
    where: str | Path,
    *,
    scan: str | Path | None = None,
    what: str = "label map",
    of: str = "the scan",
    padded: bool = True,
) -> Volume:
    """Return the voxels of a file on the grid of its scan, without interpolation.

    Axes are swapped and flipped, and the voxels cropped or padded with zeros, as needed.

    Args:
        volume: the content of the file ``where``.
        grid: grid of the scan.
        where: the file; its header may have a sform and qform that differ.
        scan: the file of the scan, if it is a file; its header too may have a sform and qform that
            differ.
        what: the kind of file, for messages: "label map", "channel".
        of: how messages name the scan.
        padded: fill voxels that the file does not cover with zeros, as for a label map.

    Raises:
        InputError: the file has another grid, or labels outside ``grid``.
    """
    if grid.matches(volume.grid):
        return volume
    if volume.grid.shape == grid.shape:
        reading = _common_reading(
            volume.grid, grid, Path(where), None if scan is None else Path(scan)
        )
        if reading:
            warn_once(f"{where}: {reading}; this {what} and {of} are taken voxel for voxel")
            return Volume(volume.array, grid.affine, grid.unit)
    array = _on_lattice(volume, grid, where, what=what, padded=padded)
    if array is None:
        raise other_grid(
            grid, volume.grid, where, what=what, of=of, disagreement=_disagreement(where, scan)
        )
    return Volume(array, grid.affine, grid.unit)


def move_to_itk_grid(volume: Volume, scan: Path | None, where: Path) -> Volume:
    """Return a volume on the grid that ITK reads for its scan, so that the two match in ITK.

    ITK may read a different grid from a NIfTI header than segkit does. Moved to ITK's grid, a label
    map in one of ITK's formats overlays the scan in 3D Slicer and ITK-SNAP.

    Args:
        volume: a result on the grid of the scan.
        scan: the file of the scan; only NIfTI matters.
        where: the file to write, for the warning.
    """
    if scan is None or suffix_of(scan) not in NIFTI or not scan.is_file():
        return volume
    module = module_of(suffix_of(scan))
    scan_grid: Grid = module.open_scan(scan).grid
    itk: Grid | None = module.itk_grid(scan)
    if itk is None or itk.matches(scan_grid, tolerance=1e-3) or not scan_grid.matches(volume.grid):
        return volume
    distance = scan_grid.distance(itk)
    warn_once(
        f"{where}: written where ITK's programs (3D Slicer, ITK-SNAP) put {scan.name}, "
        f"{distance:.3g} mm from where nibabel puts it; written as .nii.gz it lies on the scan in "
        "both"
    )
    return Volume(volume.array, itk.affine, volume.unit)


def find_placement(grid: Grid, other: Grid) -> Placement | None:
    """Return the position of ``other`` on the lattice of ``grid``.

    The result is None if the voxel centers of the two grids do not coincide.
    """
    to_grid = np.linalg.solve(grid.affine, other.affine)
    rotation, first = np.rint(to_grid[:3, :3]), np.rint(to_grid[:3, 3])
    if not all((np.abs(rotation).sum(axis=axis) == 1).all() for axis in (0, 1)):
        return None
    exact = np.eye(4)
    exact[:3, :3], exact[:3, 3] = rotation, first
    if not Grid(other.shape, grid.affine @ exact).matches(other):
        return None
    order = [int(axis) for axis in np.abs(rotation).argmax(axis=1)]
    flips = [bool(rotation[axis, source] < 0) for axis, source in enumerate(order)]
    start = [int(index) for index in first]
    for axis in range(3):
        if flips[axis]:
            start[axis] -= other.shape[order[axis]] - 1
    return Placement(
        (order[0], order[1], order[2]),
        (flips[0], flips[1], flips[2]),
        (start[0], start[1], start[2]),
    )


def _on_lattice(
    volume: Volume, grid: Grid, where: str | Path, *, what: str, padded: bool
) -> NDArray[Any] | None:
    """Return the voxels on ``grid`` if both share one lattice, else None."""
    if "px" in (grid.unit, volume.unit):
        return None
    placement = find_placement(grid, volume.grid)
    if placement is None:
        return None
    turned = placement.turned(volume.array)
    size: Shape = (turned.shape[1], turned.shape[2], turned.shape[3])
    overlap = placement.overlap(size, grid.shape)
    if overlap is None or not placement.is_crop(size, grid.shape):
        return None
    inside, target = turned[:, *overlap[0]], overlap[1]
    complete = inside.shape[1:] == grid.shape
    if not padded:
        return inside if complete else None
    lost = int(np.count_nonzero(turned)) - int(np.count_nonzero(inside))
    if lost:
        raise _outside_scan(where, what, lost)
    if complete:
        return inside
    covered, total = (" x ".join(map(str, shape)) for shape in (inside.shape[1:], grid.shape))
    warn_once(
        f"{where}: the {what} covers {covered} of {total} voxels; "
        "the others are taken as background"
    )
    array = np.zeros((volume.channels, *grid.shape), volume.dtype)
    array[:, *target] = inside
    return array


def _outside_scan(where: str | Path, what: str, lost: int) -> InputError:
    return InputError(
        where,
        expected=f"a {what} within the scan",
        found=f"{lost} labeled voxels outside it, though on the same lattice",
        remedy="Find the pair that belongs together, or give the uncropped scan.",
        kind="grid",
    )


def header_grids(path: Path) -> dict[str, Grid]:
    """Return the grid of a NIfTI file by each way to read its header; {} for other formats."""
    if suffix_of(path) not in NIFTI or not path.is_file():
        return {}
    grids: dict[str, Grid] = module_of(suffix_of(path)).header_grids(path)
    return grids


def _common_reading(file_grid: Grid, scan_grid: Grid, path: Path, scan: Path | None) -> str:
    """Describe which transforms in the two headers (sform or qform) give both files one grid.

    The answer is "" if no combination does. ``file_grid`` is the grid that segkit reads from the
    file ``path``, and ``scan_grid`` the grid that it reads from the scan.
    """
    file_grids = {"": file_grid} | header_grids(path)
    scan_grids = {"": scan_grid} | ({} if scan is None else header_grids(scan))
    for file_transform, one in file_grids.items():
        for scan_transform, other in scan_grids.items():
            if one.matches(other):
                sentences = (
                    _reading_text(path, file_transform, file_grid, one),
                    _reading_text(scan or path, scan_transform, scan_grid, other),
                )
                return " and ".join(sentence for sentence in sentences if sentence)
    return ""


def _reading_text(path: Path, name: str, usual: Grid, other: Grid) -> str:
    if not name:
        return ""
    distance = usual.distance(other)
    return f"{path.name} lies {distance:.3g} mm elsewhere by its {name}, as other programs read it"


def _disagreement(*paths: str | Path | None) -> str:
    """Describe which of these NIfTI files have a qform and an sform that differ."""
    sentences = []
    for path in (Path(path) for path in paths if path is not None):
        grids = header_grids(path)
        if {"sform", "qform"} <= grids.keys() and not grids["sform"].matches(grids["qform"]):
            distance = grids["sform"].distance(grids["qform"])
            sentences.append(f"qform and sform of {path.name} are {distance:.3g} mm apart")
    return "; ".join(sentences)
