"""Frames into a volume: sorted by position along their normal, and refused where they are no regular stack.

Voxel axes: X along a row (columns rise), Y along a column (rows rise), Z from the first slice to the last along the
cross product of the two. The steps along Z may lean against the slices (a tilted gantry).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.uneven_spacing import even_places, unexplained_steps
from segkit.io.geometry import checked_affine
from segkit.volume import LPS_TO_RAS, Grid

log = logging.getLogger(__name__)

_DIRECTION = 1e-3
"""How far direction cosines of one stack may differ: 0.06 degrees."""
_OFF = 0.05
"""How far a slice may lie from its place in a regular stack, as a share of the step: what `Grid.matches` allows."""
_OFF_NOTED = 0.01
_ADD = "Add the missing files; if the scanner made thicker slices there, resample the scan to even ones first."
_SAME_PLACE = 0.01
"""Slices nearer to each other than this share of the usual step are in one place."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Frames from the first slice to the last, and the grid (RAS+) that they lie on."""

    frames: tuple[Frame, ...]
    grid: Grid
    slice_positions: NDArray[np.float64]
    """Where each frame lies along Z of the grid, in planes: 0, 1, 2 ... unless there are two slice thicknesses."""

    @property
    def is_even(self) -> bool:
        """Whether there is a frame for each plane of the grid; else the grid has even planes between the frames."""
        return bool((self.slice_positions == np.arange(len(self.slice_positions))).all())


def stack_of(frames: Sequence[Frame], where: str | Path) -> Stack:
    """Sort frames into a volume.

    Raises:
        InputError: frames of several sizes or directions, in one place, with gaps, or without a place.
    """
    if any(frame.position is None or frame.orientation is None for frame in frames):
        return Stack(tuple(frames), _placeless(frames, where), np.zeros(1))
    _check_one_direction(frames, where)
    _check_one_size(frames, where)
    _check_spacing(frames, where)
    directions = _directions(frames[0])
    places = np.array([frame.position for frame in frames])
    order = np.argsort(places @ np.cross(*directions), kind="stable")
    sorted_frames, places = tuple(frames[index] for index in order), places[order]
    even = _is_regular(sorted_frames, places, directions, where)
    planes = (
        np.arange(len(places), dtype=np.float64)
        if even
        else even_places(places @ np.cross(*directions))
    )
    return Stack(
        sorted_frames, _grid(sorted_frames, places, directions, planes=planes, where=where), planes
    )


def _grid(
    frames: Sequence[Frame],
    places: NDArray[np.float64],
    directions: NDArray[np.float64],
    *,
    planes: NDArray[np.float64],
    where: str | Path,
) -> Grid:
    first, count = frames[0], round(float(planes[-1])) + 1
    between_rows, between_columns = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = directions[0] * between_columns, directions[1] * between_rows
    affine[:3, 2] = (
        np.cross(*directions) * first.thickness
        if count == 1
        else (places[-1] - places[0]) / (count - 1)
    )
    affine[:3, 3] = places[0]
    return Grid((*_size(first), count), checked_affine(where, LPS_TO_RAS @ affine, tilt=True))


def _placeless(frames: Sequence[Frame], where: str | Path) -> Grid:
    """A single frame without a place is a picture, in mm where it has a spacing."""
    first = frames[0]
    if len(frames) > 1:
        raise InputError(
            where,
            expected="ImagePositionPatient and ImageOrientationPatient for every image",
            found=f"{len(frames)} images of {len({frame.instance for frame in frames})} file(s), some without",
            remedy="Images without a place are no volume (a film, or a collection of pictures): give one at a time.",
        )
    shape = (*_size(first), 1)
    if first.spacing is None:
        return Grid(shape, np.eye(4), "px")
    return Grid(
        shape, LPS_TO_RAS @ np.diag([first.spacing[1], first.spacing[0], first.thickness, 1.0])
    )


def _size(frame: Frame) -> tuple[int, int]:
    return int(frame.instance.header.Columns), int(frame.instance.header.Rows)


def _directions(frame: Frame) -> NDArray[np.float64]:
    """(2, 3), of a frame that has them."""
    return np.asarray(frame.orientation, dtype=np.float64)


def _check_one_size(frames: Sequence[Frame], where: str | Path) -> None:
    sizes = Counter(_size(frame) for frame in frames)
    spacings = Counter(
        frame.spacing and tuple(round(edge, 4) for edge in frame.spacing) for frame in frames
    )
    for what, found in (("size", sizes), ("PixelSpacing", spacings)):
        if len(found) > 1:
            texts = ", ".join(
                f"{count} of {' x '.join(map(str, key or ['none']))}"
                for key, count in found.items()
            )
            raise _mixed(where, f"images of one {what}", texts)


def _check_spacing(frames: Sequence[Frame], where: str | Path) -> None:
    if frames[0].spacing is None:
        raise InputError(
            where,
            expected="PixelSpacing",
            found="none, beside a position and an orientation",
            remedy="Export the series again from the scanner or archive: sizes in mm cannot be known without it.",
        )


def _check_one_direction(frames: Sequence[Frame], where: str | Path) -> None:
    groups: list[tuple[NDArray[np.float64], list[Frame]]] = []
    for frame in frames:
        here = _directions(frame)
        match = next(
            (group for direction, group in groups if np.abs(direction - here).max() < _DIRECTION),
            None,
        )
        if match is None:
            groups.append((here, [frame]))
        else:
            match.append(frame)
    if len(groups) > 1:
        texts = [
            f"{len(group)} image(s) such as {group[0].name} along {_words(way)}"
            for way, group in groups[:4]
        ]
        raise _mixed(where, "images of one direction", f"{len(groups)}: {'; '.join(texts)}")


def _words(directions: NDArray[np.float64]) -> str:
    return "(" + " ".join(f"{number:.3g}" for number in np.cross(*directions)) + ")"


def _mixed(where: str | Path, expected: str, found: str) -> InputError:
    return InputError(
        where,
        expected=expected,
        found=found,
        remedy="A localizer, or several scans in one series: put the images of one scan into a folder of their own.",
    )


def _is_regular(
    frames: Sequence[Frame],
    places: NDArray[np.float64],
    directions: NDArray[np.float64],
    where: str | Path,
) -> bool:
    """Whether every slice is where a regular stack has it, or else the stack is one of two slice thicknesses.

    Raises:
        InputError: neither, with the most telling reason why not.
    """
    if len(frames) == 1:
        return True
    heights = places @ np.cross(*directions)
    gaps = np.diff(heights)
    usual = float(np.median(gaps[gaps > _SAME_PLACE * gaps.max()])) if gaps.max() > 1e-6 else 0.0
    if usual == 0 or gaps.min() <= _SAME_PLACE * usual:
        raise _same_place(frames, heights, usual, where)
    off = _off_line(places, np.arange(len(places)) / (len(places) - 1))
    if off > _OFF * usual:
        _check_uneven(frames, places, heights, usual, where)
        return False
    if off > _OFF_NOTED * usual:
        log.warning(
            "%s: slices lie up to %.3g mm beside their place in a regular stack", where, off
        )
    return True


def _off_line(places: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """How far in mm a slice lies from its share of the way from the first slice to the last, at the most."""
    expected = places[0] + shares[:, None] * (places[-1] - places[0])
    return float(np.linalg.norm(places - expected, axis=1).max())


def _check_uneven(
    frames: Sequence[Frame],
    places: NDArray[np.float64],
    heights: NDArray[np.float64],
    usual: float,
    where: str | Path,
) -> None:
    """Raise an InputError for slices beside a straight line, and for distances that are no change of thickness."""
    gaps = np.diff(heights)
    risen = (heights - heights[0]) / (heights[-1] - heights[0])
    aside = _off_line(places, risen)
    if aside > _OFF * usual:
        remedy = "Resample the scan to one regular stack."
        raise _refused(
            where, f"slices that lie up to {aside:.3g} mm beside a straight line", remedy
        )
    unexplained = unexplained_steps(frames, heights)
    if unexplained:
        raise _irregular(frames, heights, usual, unexplained, where)
    _warn_of_one_thickness(frames, gaps, where)
    words = (
        "%s: slices of more than one thickness, from %.4g to %.4g mm apart, are read on even planes"
    )
    log.info(words, where, gaps.min(), gaps.max())


def _warn_of_one_thickness(
    frames: Sequence[Frame], gaps: NDArray[np.float64], where: str | Path
) -> None:
    """Say where headers give all slices of several distances one thickness, as they do where slices were lost."""
    thicknesses = {frame.slice_thickness for frame in frames}
    if len(thicknesses) == 1 and None not in thicknesses:
        words = "%s: slices lie %.4g to %.4g mm apart, but all are %.4g mm thick by their headers: some may be missing"
        log.warning(words, where, gaps.min(), gaps.max(), *thicknesses)


def _same_place(
    frames: Sequence[Frame], heights: NDArray[np.float64], usual: float, where: str | Path
) -> InputError:
    edges = (
        np.flatnonzero(np.diff(heights) > _SAME_PLACE * usual) + 1
        if usual
        else np.array([], dtype=np.intp)
    )
    groups = np.split(np.arange(len(frames)), edges)
    largest = max(groups, key=len)
    names = ", ".join(frames[index].name for index in largest[:4])
    return InputError(
        where,
        expected="one image for each position",
        found=f"{len(frames)} images at {len(groups)} position(s), {len(largest)} of them at "
        f"{heights[largest[0]]:.4g} mm along the normal ({names})",
        remedy="Several times, echoes, b-values or reconstructions in one series: put those of one into a folder.",
    )


def _irregular(
    frames: Sequence[Frame],
    heights: NDArray[np.float64],
    usual: float,
    unexplained: Mapping[int, float],
    where: str | Path,
) -> InputError:
    gaps = np.diff(heights)
    ratios = np.array([gaps[index] / expected for index, expected in unexplained.items()])
    if ratios.min() > 1.5 and np.abs(ratios - np.rint(ratios)).max() < 0.1:
        places = [
            _missing(frames, heights, step, index) for index, step in list(unexplained.items())[:5]
        ]
        more = f" and {len(unexplained) - 5} more gaps" if len(unexplained) > 5 else ""
        return _refused(where, f"missing slices: {'; '.join(places)}{more}", _ADD)
    return _refused(
        where,
        f"distances from {gaps.min():.4g} to {gaps.max():.4g} mm, usually {usual:.4g}",
        "Take a reconstruction with equal distances, or resample the scan first.",
    )


def _missing(
    frames: Sequence[Frame], heights: NDArray[np.float64], usual: float, index: int
) -> str:
    count = round((heights[index + 1] - heights[index]) / usual) - 1
    between = ", ".join(
        f"{heights[index] + usual * (each + 1):.4g}" for each in range(min(count, 3))
    )
    return f"{count} at {between} mm along the normal, between {frames[index].name} and {frames[index + 1].name}"


def _refused(where: str | Path, found: str, remedy: str) -> InputError:
    return InputError(where, expected="slices at equal distances", found=found, remedy=remedy)
