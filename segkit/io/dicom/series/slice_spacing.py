"""Check that the slices of a volume are evenly spaced, or have two or more thicknesses.

In this module, heights are the positions of slices along their normal, in mm.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.uneven_spacing import unexplained_steps

log = logging.getLogger(__name__)

_ALLOWED = 0.05
"""Largest distance of a slice from its position in a regular stack, relative to the usual step.

`Grid.matches` has the same tolerance.
"""
_REPORTED = 0.01
"""Distance, relative to the usual step, from which a warning is logged."""
_SAME_POSITION = 0.01
"""Largest distance, relative to the usual step, of slices that are at the same position."""


def is_regular(
    frames: Sequence[Frame],
    positions: NDArray[np.float64],
    normal: NDArray[np.float64],
    where: str | Path,
) -> bool:
    """Return whether slices are evenly spaced; if not, they have two or more thicknesses.

    Args:
        frames: frames in the order of their slices.
        positions: first pixel of each frame in mm, shape (slices, 3).
        normal: unit normal of the slices, shape (3,).
        where: the scan, for messages.

    Raises:
        InputError: several slices lie at one position, slices are missing, or the spacing changes
            without a change of thickness that explains it.
    """
    if len(frames) == 1:
        return True
    heights = positions @ normal
    gaps = np.diff(heights)
    usual = 0.0
    if gaps.max() > 1e-6:
        usual = float(np.median(gaps[gaps > _SAME_POSITION * gaps.max()]))
    if usual == 0 or gaps.min() <= _SAME_POSITION * usual:
        raise _same_position(frames, heights, usual, where)
    shift = _distance_from_line(positions, np.arange(len(positions)) / (len(positions) - 1))
    if shift > _ALLOWED * usual:
        _check_uneven(frames, positions, heights, usual=usual, where=where)
        return False
    if shift > _REPORTED * usual:
        log.warning(
            "%s: slices lie up to %.3g mm away from their position in a regular stack", where, shift
        )
    return True


def _distance_from_line(positions: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """Return the largest distance in mm of a slice from its expected point.

    The points lie on the line from the first slice to the last, at the fractions ``shares`` of its
    length.
    """
    expected = positions[0] + shares[:, None] * (positions[-1] - positions[0])
    return float(np.linalg.norm(positions - expected, axis=1).max())


def _check_uneven(
    frames: Sequence[Frame],
    positions: NDArray[np.float64],
    heights: NDArray[np.float64],
    *,
    usual: float,
    where: str | Path,
) -> None:
    """Check that uneven slices lie on a straight line, and that thicknesses explain their spacing.

    Raises:
        InputError: they do not.
    """
    gaps = np.diff(heights)
    shares = (heights - heights[0]) / (heights[-1] - heights[0])
    shift = _distance_from_line(positions, shares)
    if shift > _ALLOWED * usual:
        raise _refused(
            where,
            f"slices that lie up to {shift:.3g} mm away from a straight line",
            "Resample the scan to one regular stack.",
        )
    unexplained = unexplained_steps(frames, heights)
    if unexplained:
        raise _irregular(frames, heights, unexplained, usual=usual, where=where)
    _warn_of_one_thickness(frames, gaps, where)
    log.info(
        "%s: slices of more than one thickness, %.4g to %.4g mm apart, are resampled to evenly "
        "spaced planes",
        where,
        gaps.min(),
        gaps.max(),
    )


def _warn_of_one_thickness(
    frames: Sequence[Frame], gaps: NDArray[np.float64], where: str | Path
) -> None:
    """Log a warning if all slices have the same thickness in their headers: some may be missing."""
    thicknesses = {frame.slice_thickness for frame in frames}
    if len(thicknesses) == 1 and None not in thicknesses:
        log.warning(
            "%s: slices lie %.4g to %.4g mm apart, but all are %.4g mm thick according to their "
            "headers: some may be missing",
            where,
            gaps.min(),
            gaps.max(),
            *thicknesses,
        )


def _same_position(
    frames: Sequence[Frame], heights: NDArray[np.float64], usual: float, where: str | Path
) -> InputError:
    edges = np.array([], dtype=np.intp)
    if usual:
        edges = np.flatnonzero(np.diff(heights) > _SAME_POSITION * usual) + 1
    groups = np.split(np.arange(len(frames)), edges)
    largest = max(groups, key=len)
    names = ", ".join(frames[index].name for index in largest[:4])
    return InputError(
        where,
        expected="one image for each position",
        found=f"{len(frames)} images at {len(groups)} position(s), {len(largest)} of them at "
        f"{heights[largest[0]]:.4g} mm along the normal ({names})",
        remedy="The series has several time points, echoes, b-values or reconstructions: "
        "put the images of one into a folder of their own.",
    )


def _irregular(
    frames: Sequence[Frame],
    heights: NDArray[np.float64],
    unexplained: Mapping[int, float],
    *,
    usual: float,
    where: str | Path,
) -> InputError:
    """Return the error for steps that are not ``unexplained[index]`` mm long, as expected."""
    gaps = np.diff(heights)
    ratios = np.array([gaps[index] / expected for index, expected in unexplained.items()])
    if ratios.min() > 1.5 and np.abs(ratios - np.rint(ratios)).max() < 0.1:
        missing = [
            _missing(frames, heights, step, index) for index, step in list(unexplained.items())[:5]
        ]
        more = f" and {len(unexplained) - 5} more gaps" if len(unexplained) > 5 else ""
        return _refused(
            where,
            f"missing slices: {'; '.join(missing)}{more}",
            "Add the missing files; if the scanner made thicker slices there, "
            "resample the scan to evenly spaced slices first.",
        )
    return _refused(
        where,
        f"distances from {gaps.min():.4g} to {gaps.max():.4g} mm, usually {usual:.4g}",
        "Use a reconstruction with evenly spaced slices, or resample the scan first.",
    )


def _missing(frames: Sequence[Frame], heights: NDArray[np.float64], step: float, index: int) -> str:
    """Describe the slices that are missing after the slice ``index``."""
    count = round((heights[index + 1] - heights[index]) / step) - 1
    missing = ", ".join(
        f"{heights[index] + step * (number + 1):.4g}" for number in range(min(count, 3))
    )
    neighbors = f"{frames[index].name} and {frames[index + 1].name}"
    return f"{count} at {missing} mm along the normal, between {neighbors}"


def _refused(where: str | Path, found: str, remedy: str) -> InputError:
    return InputError(where, expected="slices at equal distances", found=found, remedy=remedy)
