"""A label map or channel that belongs to a scan is brought to the scan's grid, and never interpolated.

Three things count as belonging: the same grid; the same lattice, with voxels stored in another order or cropped; and
the same voxels in the place that other programs give to the scan, where its NIfTI header has two readings.
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
    """How voxels (X, Y, Z) of one lattice become part of another grid."""

    order: tuple[int, int, int]
    """``order[a]`` is the axis that becomes the grid's axis a, reversed where ``flips[a]``."""
    flips: tuple[bool, bool, bool]
    start: tuple[int, int, int]
    """Index on the grid of the first voxel, once the axes are turned."""

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return (C, X, Y, Z) in the grid's order of axes; a view."""
        steps = (slice(None, None, -1) if flip else slice(None) for flip in self.flips)
        return array.transpose(0, *(axis + 1 for axis in self.order))[(slice(None), *steps)]

    def spans(
        self, size: Shape, shape: Shape
    ) -> tuple[tuple[slice, ...], tuple[slice, ...]] | None:
        """Return what of voxels of this ``size`` lies on a grid of this ``shape``, and where.

        None where nothing does.
        """
        low = [max(0, first) for first in self.start]
        high = [min(n, first + m) for n, first, m in zip(shape, self.start, size, strict=True)]
        if any(b <= a for a, b in zip(low, high, strict=True)):
            return None
        ours = tuple(
            slice(a - first, b - first) for a, b, first in zip(low, high, self.start, strict=True)
        )
        return ours, tuple(slice(a, b) for a, b in zip(low, high, strict=True))

    def is_crop(self, size: Shape, shape: Shape) -> bool:
        """Return whether one of two grids was cut out of the other, as far as their places can tell.

        Not so where both have one size but another place, where one juts out of the other, and where all that speaks
        for it is a common first voxel: the scans of two patients may have that.
        """
        if size == shape:
            return self.start == (0, 0, 0)
        nested = all(
            (a >= 0 and a + m <= n) or (a <= 0 and a + m >= n)
            for a, m, n in zip(self.start, size, shape, strict=True)
        )
        differs = [axis for axis in range(3) if size[axis] != shape[axis]]
        moved = self.order != (0, 1, 2) or any(
            self.start[axis] or self.flips[axis] for axis in differs
        )
        return moved and nested


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
    """Return the voxels of the file ``where`` on ``grid``, by exact flips, swapped axes, and cropping or zero padding.

    Args:
        volume: what was read from ``where``.
        grid: of ``scan``.
        where: the file, for messages and for the readings of its header.
        scan: the file whose grid it is, if it is one; its header may have two readings.
        what: label map, channel, ...
        of: whose grid it is, in words.
        padded: whether zeros may stand for what the file does not cover, as in a label map.

    Raises:
        InputError: another grid, or labels outside ``grid``.
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
    """Return the volume where ITK's programs put its NIfTI ``scan``, which may be elsewhere than segkit puts it.

    A label map ``where`` in a format of ITK then lies on the scan in 3D Slicer and ITK-SNAP.
    """
    if scan is None or suffix_of(scan) not in NIFTI or not scan.is_file():
        return volume
    module = module_of(suffix_of(scan))
    own: Grid = module.open_scan(scan).grid
    itk: Grid | None = module.itk_grid(scan)
    if itk is None or itk.matches(own, tolerance=1e-3) or not own.matches(volume.grid):
        return volume
    far = own.distance(itk)
    warn_once(
        f"{where}: written where ITK's programs (3D Slicer, ITK-SNAP) put {scan.name}, {far:.3g} mm from where its "
        "header has it for nibabel; as .nii.gz it lies on the scan in either"
    )
    return Volume(volume.array, itk.affine, volume.unit)


def find_placement(grid: Grid, other: Grid) -> Placement | None:
    """Return how ``other`` lies on the lattice of ``grid``; None where its voxels lie between those of ``grid``."""
    to_grid = np.linalg.solve(grid.affine, other.affine)
    turn, first = np.rint(to_grid[:3, :3]), np.rint(to_grid[:3, 3])
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    exact = np.eye(4)
    exact[:3, :3], exact[:3, 3] = turn, first
    if not Grid(other.shape, grid.affine @ exact).matches(other):
        return None
    order = [int(axis) for axis in np.abs(turn).argmax(axis=1)]
    flips = [bool(turn[axis, source] < 0) for axis, source in enumerate(order)]
    start = [int(first[a]) - (other.shape[order[a]] - 1 if flips[a] else 0) for a in range(3)]
    return Placement(
        (order[0], order[1], order[2]),
        (flips[0], flips[1], flips[2]),
        (start[0], start[1], start[2]),
    )


def _on_lattice(
    volume: Volume, grid: Grid, where: str | Path, *, what: str, padded: bool
) -> NDArray[Any] | None:
    if "px" in (grid.unit, volume.unit) or (placement := find_placement(grid, volume.grid)) is None:
        return None
    turned = placement.turned(volume.array)
    size: Shape = (turned.shape[1], turned.shape[2], turned.shape[3])
    spans = placement.spans(size, grid.shape)
    if spans is None or not placement.is_crop(size, grid.shape):
        return None
    inside, onto = turned[:, *spans[0]], spans[1]
    if inside.shape[1:] == grid.shape and not padded:
        return inside
    if not padded:
        return None
    lost = int(np.count_nonzero(turned)) - int(np.count_nonzero(inside))
    if lost:
        raise _beyond(where, what, lost)
    if inside.shape[1:] == grid.shape:
        return inside
    covered, whole = (" x ".join(map(str, each)) for each in (inside.shape[1:], grid.shape))
    warn_once(
        f"{where}: the {what} covers {covered} of {whole} voxels; the others are taken as background"
    )
    array = np.zeros((volume.channels, *grid.shape), volume.dtype)
    array[:, *onto] = inside
    return array


def _beyond(where: str | Path, what: str, lost: int) -> InputError:
    return InputError(
        where,
        expected=f"a {what} within the scan",
        found=f"{lost} labelled voxels outside it, though on the same lattice",
        remedy="Find the pair that belongs together, or give the scan that is not cropped.",
    )


def _readings(path: Path) -> dict[str, Grid]:
    if suffix_of(path) not in NIFTI or not path.is_file():
        return {}
    found: dict[str, Grid] = module_of(suffix_of(path)).header_grids(path)
    return found


def _common_reading(ours: Grid, theirs: Grid, path: Path, scan: Path | None) -> str:
    """Return in words by which reading of the two headers both files lie in one place; empty without one."""
    own = {"": ours} | _readings(path)
    other = {"": theirs} | ({} if scan is None else _readings(scan))
    for name, mine in own.items():
        for their_name, yours in other.items():
            if mine.matches(yours):
                words = (
                    _words(path, name, ours, mine),
                    _words(scan or path, their_name, theirs, yours),
                )
                return " and ".join(word for word in words if word)
    return ""


def _words(path: Path, name: str, usual: Grid, other: Grid) -> str:
    far = usual.distance(other)
    return (
        f"{path.name} lies {far:.3g} mm elsewhere by its {name}, as other programs read it"
        if name
        else ""
    )


def _disagreement(*paths: str | Path | None) -> str:
    """Return in words which of these NIfTI files have a qform and an sform that differ; empty for none."""
    found = []
    for path in (Path(each) for each in paths if each is not None):
        grids = _readings(path)
        if {"sform", "qform"} <= grids.keys() and not grids["sform"].matches(grids["qform"]):
            far = grids["sform"].distance(grids["qform"])
            found.append(f"qform and sform of {path.name} are {far:.3g} mm apart")
    return "; ".join(found)
