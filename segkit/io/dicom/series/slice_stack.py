"""Sort the frames of a series into a volume, and refuse frames that do not form a regular stack.

Voxel axes: X is the direction of increasing column index, Y that of increasing row index, and Z
runs from the first slice to the last, in order of the cross product of X and Y. The steps along Z
may be oblique to the slices (a tilted gantry).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.slice_spacing import is_regular
from segkit.io.dicom.series.uneven_spacing import even_positions
from segkit.io.geometry import checked_affine
from segkit.volume import LPS_TO_RAS, Grid

_SAME_DIRECTION = 1e-3
"""Largest difference between the direction cosines of frames of one stack (0.06 degrees)."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames in slice order, and their grid (RAS+)."""

    frames: tuple[Frame, ...]
    grid: Grid
    slice_positions: NDArray[np.float64]
    """Position of each frame along Z of the grid, in planes, shape (slices,).

    These are 0, 1, 2 ... unless the slices have two or more thicknesses.
    """

    @property
    def is_even(self) -> bool:
        """True if each plane of the grid is a frame; otherwise planes lie between the frames."""
        return bool((self.slice_positions == np.arange(len(self.slice_positions))).all())


def stack_of(frames: Sequence[Frame], where: str | Path) -> Stack:
    """Sort frames into a volume.

    Raises:
        InputError: frames have several sizes or directions, share a position, have gaps between
            them, or have no position.
    """
    if any(frame.position is None or frame.orientation is None for frame in frames):
        return Stack(tuple(frames), _picture_grid(frames, where), np.zeros(1))
    _check_one_direction(frames, where)
    _check_one_size(frames, where)
    _check_pixel_spacing(frames, where)
    directions = _directions(frames[0])
    normal = np.cross(*directions)
    positions = np.array([frame.position for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    slices, positions = tuple(frames[index] for index in order), positions[order]
    if is_regular(slices, positions, normal, where):
        slice_positions = np.arange(len(positions), dtype=np.float64)
    else:
        slice_positions = even_positions(positions @ normal)
    planes = round(float(slice_positions[-1])) + 1
    grid = _grid(slices, positions, directions, planes=planes, where=where)
    return Stack(slices, grid, slice_positions)


def _grid(
    frames: Sequence[Frame],
    positions: NDArray[np.float64],
    directions: NDArray[np.float64],
    *,
    planes: int,
    where: str | Path,
) -> Grid:
    """Return the grid with this number of planes from the first frame to the last."""
    first = frames[0]
    between_rows, between_columns = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = directions[0] * between_columns, directions[1] * between_rows
    if planes == 1:
        affine[:3, 2] = np.cross(*directions) * first.thickness
    else:
        affine[:3, 2] = (positions[-1] - positions[0]) / (planes - 1)
    affine[:3, 3] = positions[0]
    return Grid((*_size(first), planes), checked_affine(where, LPS_TO_RAS @ affine, tilt=True))


def _picture_grid(frames: Sequence[Frame], where: str | Path) -> Grid:
    """Return the grid of a single frame without a position: in mm if it has a pixel spacing."""
    first = frames[0]
    if len(frames) > 1:
        files = len({frame.instance for frame in frames})
        raise InputError(
            where,
            expected="ImagePositionPatient and ImageOrientationPatient for every image",
            found=f"{len(frames)} images of {files} file(s), some without",
            remedy="Images without a position do not form a volume (this may be a cine loop, or a "
            "set of pictures): give one at a time.",
        )
    shape = (*_size(first), 1)
    if first.spacing is None:
        return Grid(shape, np.eye(4), "px")
    scale = [first.spacing[1], first.spacing[0], first.thickness, 1.0]
    return Grid(shape, LPS_TO_RAS @ np.diag(scale))


def _size(frame: Frame) -> tuple[int, int]:
    return int(frame.instance.header.Columns), int(frame.instance.header.Rows)


def _directions(frame: Frame) -> NDArray[np.float64]:
    """Return the orientation (2, 3) of a frame that has one."""
    return np.asarray(frame.orientation, dtype=np.float64)


def _check_one_size(frames: Sequence[Frame], where: str | Path) -> None:
    sizes = Counter(_size(frame) for frame in frames)
    spacings = Counter(
        frame.spacing and tuple(round(edge, 4) for edge in frame.spacing) for frame in frames
    )
    for title, counts in (("size", sizes), ("PixelSpacing", spacings)):
        if len(counts) > 1:
            texts = ", ".join(
                f"{count} of {' x '.join(map(str, key or ['none']))}"
                for key, count in counts.items()
            )
            raise _several_scans(where, f"images of one {title}", texts)


def _check_pixel_spacing(frames: Sequence[Frame], where: str | Path) -> None:
    if frames[0].spacing is None:
        raise InputError(
            where,
            expected="PixelSpacing",
            found="none, although there is a position and an orientation",
            remedy="Export the series again from the scanner or archive: "
            "sizes in mm cannot be known without it.",
        )


def _check_one_direction(frames: Sequence[Frame], where: str | Path) -> None:
    groups: list[tuple[NDArray[np.float64], list[Frame]]] = []
    for frame in frames:
        directions = _directions(frame)
        for other, group in groups:
            if np.abs(other - directions).max() < _SAME_DIRECTION:
                group.append(frame)
                break
        else:
            groups.append((directions, [frame]))
    if len(groups) > 1:
        texts = [
            f"{len(group)} image(s) such as {group[0].name} along {_normal_text(directions)}"
            for directions, group in groups[:4]
        ]
        found = f"{len(groups)}: {'; '.join(texts)}"
        raise _several_scans(where, "images of one direction", found)


def _normal_text(directions: NDArray[np.float64]) -> str:
    return "(" + " ".join(f"{number:.3g}" for number in np.cross(*directions)) + ")"


def _several_scans(where: str | Path, expected: str, found: str) -> InputError:
    return InputError(
        where,
        expected=expected,
        found=found,
        remedy="This may be a localizer, or several scans in one series: "
        "put the images of one scan into a folder of their own.",
    )
