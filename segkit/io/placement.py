"""Label maps and channels, brought to the grid of their scan and never interpolated.

A file belongs to a scan in three cases: it has the same grid; it has the same lattice, with voxels
stored in another order or cropped; or it has the same voxels at the position that other programs
give to the scan, where the sform and qform of a NIfTI header differ.
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
    """Axis of the voxels that becomes each axis of the grid."""
    flips: tuple[bool, bool, bool]
    """True for each axis of the grid along which the voxels are reversed."""
    start: tuple[int, int, int]
    """Index on the grid of the first voxel, once the axes are reordered and reversed."""

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of voxels (C, X, Y, Z) in the order and direction of the grid's axes."""
        steps = (slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return array.transpose(0, *(axis + 1 for axis in self.order))[(slice(None), *steps)]

    def overlap(
        self, size: Shape, shape: Shape
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
        """Return the overlap of turned voxels of shape ``size`` with a grid of ``shape``.

        The result is the part of the voxels that lies on the grid, and the part of the grid that it
        covers; None without overlap.

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

        The answer is False where both have one shape but different positions, where neither
        contains the other, and where only the first voxel is the same, as it may be in scans of two
        patients.
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

    Axes are swapped and flipped, and the voxels are cropped or padded with zeros.

    Args:
        volume: the content of the file ``where``.
        grid: grid of the scan.
        where: the file; its header may have a sform and qform that differ.
        scan: the file of the scan, if it is a file; the same holds for its header.
        what: the kind of file, for messages: "label map", "channel".
        of: words for the scan, for messages.
        padded: fill voxels that the file does not cover with zeros, as suits a label map.

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
    """Return a volume on the grid that ITK reads for its scan, so that both match in ITK.

    ITK may read another grid than segkit from a NIfTI header. A label map in a format of ITK then
    lies on the scan in 3D Slicer and ITK-SNAP.

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
        f"{distance:.3g} mm from where its header has it for nibabel; as .nii.gz it lies on the "
        "scan in either"
    )
    return Volume(volume.array, itk.affine, volume.unit)


def find_placement(grid: Grid, other: Grid) -> Placement | None:
    """Return the position of ``other`` on the lattice of ``grid``.

    None where its voxels lie between those of ``grid``.
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
    """Return the voxels on ``grid`` where both have one lattice, else None."""
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
        remedy="Find the pair that belongs together, or give the scan that is not cropped.",
    )


def _header_grids(path: Path) -> dict[str, Grid]:
    if suffix_of(path) not in NIFTI or not path.is_file():
        return {}
    grids: dict[str, Grid] = module_of(suffix_of(path)).header_grids(path)
    return grids


def _common_reading(ours: Grid, theirs: Grid, path: Path, scan: Path | None) -> str:
    """Return in words the reading of the two headers by which both files have one grid.

    The answer is "" where no reading makes them agree. ``ours`` is the usual grid of the file
    ``path``, ``theirs`` that of the scan.
    """
    our_grids = {"": ours} | _header_grids(path)
    their_grids = {"": theirs} | ({} if scan is None else _header_grids(scan))
    for our_name, our_grid in our_grids.items():
        for their_name, their_grid in their_grids.items():
            if our_grid.matches(their_grid):
                sentences = (
                    _reading_text(path, our_name, ours, our_grid),
                    _reading_text(scan or path, their_name, theirs, their_grid),
                )
                return " and ".join(sentence for sentence in sentences if sentence)
    return ""


def _reading_text(path: Path, name: str, usual: Grid, other: Grid) -> str:
    if not name:
        return ""
    distance = usual.distance(other)
    return f"{path.name} lies {distance:.3g} mm elsewhere by its {name}, as other programs read it"


def _disagreement(*paths: str | Path | None) -> str:
    """Return in words which of these NIfTI files have a qform and an sform that differ."""
    sentences = []
    for path in (Path(path) for path in paths if path is not None):
        grids = _header_grids(path)
        if {"sform", "qform"} <= grids.keys() and not grids["sform"].matches(grids["qform"]):
            distance = grids["sform"].distance(grids["qform"])
            sentences.append(f"qform and sform of {path.name} are {distance:.3g} mm apart")
    return "; ".join(sentences)
