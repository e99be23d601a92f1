"""Stacks with two or more slice thicknesses: distinguish them from incomplete stacks, and resample.

A step is the distance between neighboring slices, and consecutive equal steps form a block. If the
steps of a block are wider than those of its neighboring blocks, the slices there are thicker if

* the block has at least 3 steps, or
* SliceThickness explains each of its steps: the thicker of the two slices is thicker than those of
  the neighboring blocks, and as thick as the step is wide.

Otherwise slices are missing there. Slices are also missing wherever instance numbers increase in
proportion to the width of the step. A block that is not wider than all of its neighbors is a change
of thickness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.dicom.frames import Frame

EQUAL = 0.1
"""Largest relative difference between the steps of one block.

Each of the two slices may be off by 5 %.
"""
LEAST_STEPS = 3
"""Smallest number of steps of a block that needs no other evidence to be a thickness.

Two lost slices may also leave two equal wide steps.
"""
FINEST = 4
"""Largest ratio of the thinnest step to the distance between even planes."""
ON_PLANE = 0.05
"""Largest distance from an even plane, in units of their distance, of a slice that lies on it."""
_EXPLAINED = 1.05
"""Largest ratio of a step to the thickness of the thicker of its two slices."""


@dataclass(frozen=True)
class Block:
    """Block of consecutive equal steps, from step ``start`` up to but excluding ``stop``."""

    start: int
    stop: int
    step: float
    """Mean step in mm."""

    @property
    def count(self) -> int:
        """Number of steps."""
        return self.stop - self.start


def blocks_of(gaps: NDArray[np.float64]) -> list[Block]:
    """Return the steps between slices (in mm) as blocks of equal steps.

    >>> [(block.count, block.step) for block in blocks_of(np.array([1.0, 1.0, 1.0, 7.0, 7.0]))]
    [(3, 1.0), (2, 7.0)]
    """
    blocks: list[Block] = []
    for index, gap in enumerate(gaps.tolist()):
        last = blocks[-1] if blocks else None
        if last and abs(gap - last.step) <= EQUAL * max(gap, last.step):
            mean = (last.step * last.count + gap) / (last.count + 1)
            blocks[-1] = Block(last.start, index + 1, mean)
        else:
            blocks.append(Block(index, index + 1, gap))
    return blocks


def unexplained_steps(frames: Sequence[Frame], heights: NDArray[np.float64]) -> dict[int, float]:
    """Return the indices of steps at which slices seem to be missing, with the expected step in mm.

    The result is empty if thicknesses explain all steps, by the rule in the module's docstring.

    Args:
        frames: frames in the order of their slices.
        heights: positions of the slices along their normal, in mm, shape (slices,).
    """
    blocks = blocks_of(np.diff(heights))
    thinnest = _thinnest(blocks)
    expected: dict[int, float] = {}
    for index, block in enumerate(blocks):
        neighbors = [*blocks[max(index - 1, 0) : index], *blocks[index + 1 : index + 2]]
        steps = range(block.start, block.stop)
        if _numbers_are_missing(frames, block, thinnest):
            expected |= dict.fromkeys(steps, thinnest.step)
        elif _is_short_and_widest(block, neighbors) and not _is_explained(
            frames, heights, block, neighbors
        ):
            expected |= dict.fromkeys(steps, max(neighbor.step for neighbor in neighbors))
    return expected


def _thinnest(blocks: Sequence[Block]) -> Block:
    """Return the block with the smallest steps.

    If any blocks have at least LEAST_STEPS steps, only those count.
    """
    long = [block for block in blocks if block.count >= LEAST_STEPS] or blocks
    return min(long, key=lambda block: block.step)


def _is_short_and_widest(block: Block, neighbors: Sequence[Block]) -> bool:
    """Return whether a block is wider than its neighbors and has fewer than LEAST_STEPS steps."""
    if block.count >= LEAST_STEPS or not neighbors:
        return False
    return block.step > max(neighbor.step for neighbor in neighbors)


def _numbers_are_missing(frames: Sequence[Frame], block: Block, thinnest: Block) -> bool:
    """Return whether instance numbers increase in a block in proportion to the width of its steps.

    In the thinnest block, instance numbers must change by one from slice to slice.
    """
    jumps, usual = _jumps(frames, block), _jumps(frames, thinnest)
    if usual != {1} or len(jumps) != 1 or jumps == {1}:
        return False
    ratio = block.step / thinnest.step
    return abs(ratio - jumps.pop()) < EQUAL * ratio


def _jumps(frames: Sequence[Frame], block: Block) -> set[int]:
    """Return the set of changes in instance number from slice to slice; empty if any is unknown."""
    numbers = [
        str(frame.instance.header.get("InstanceNumber"))
        for frame in frames[block.start : block.stop + 1]
    ]
    if not all(number.isdecimal() for number in numbers):
        return set()
    return {abs(int(after) - int(before)) for before, after in pairwise(numbers)}


def _is_explained(
    frames: Sequence[Frame],
    heights: NDArray[np.float64],
    block: Block,
    neighbors: Sequence[Block],
) -> bool:
    """Return whether the SliceThickness of the slices in a block explains its wider steps."""
    around = [
        frames[neighbor.start if neighbor.start < block.start else neighbor.stop].slice_thickness
        for neighbor in neighbors
    ]
    inside = [frame.slice_thickness for frame in frames[block.start : block.stop + 1]]
    if None in around or None in inside:
        return False
    thickest_around = max(thickness or 0 for thickness in around)
    gaps = np.diff(heights[block.start : block.stop + 1])
    thick = np.array([max(before or 0, after or 0) for before, after in pairwise(inside)])
    is_thicker = (thick > (1 + EQUAL) * thickest_around).all()
    return bool(is_thicker and (gaps <= _EXPLAINED * thick).all())


def even_positions(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions of slices in units of evenly spaced planes, 0 for the first slice.

    The distance between planes is the step of the thinnest block, or 2, 3 or 4 times smaller if
    every slice then lies on a plane. If no choice achieves this, the one that brings the slices
    nearest to planes is taken.

    Args:
        heights: positions of the slices along their normal, in mm, shape (slices,).

    >>> even_positions(np.array([0.0, 3.0, 6.0, 9.0, 14.0, 21.0, 28.0])).tolist()
    [0.0, 3.0, 6.0, 9.0, 14.0, 21.0, 28.0]
    """
    thinnest = _thinnest(blocks_of(np.diff(heights))).step
    rises = heights - heights[0]
    counts = [max(1, round(float(rises[-1]) * finer / thinnest)) for finer in range(1, FINEST + 1)]
    choices = [rises / rises[-1] * count for count in counts]
    distances = [float(np.abs(positions - np.rint(positions)).max()) for positions in choices]
    for positions, distance in zip(choices, distances, strict=True):
        if distance <= ON_PLANE:
            return np.asarray(positions)
    return np.asarray(choices[int(np.argmin(np.array(distances) / counts))])


def slice_thicknesses(
    frames: Sequence[Frame], positions: NDArray[np.float64], distance: float
) -> list[float]:
    """Return SliceThickness of each slice in mm.

    If it is unknown, half the distance between the neighbors of the slice is used.

    Args:
        frames: frames in the order of their slices.
        positions: positions of the slices in units of even planes, shape (slices,).
        distance: distance between even planes in mm.
    """
    extents = np.gradient(positions) * distance
    return [
        frame.slice_thickness or float(extent)
        for frame, extent in zip(frames, extents, strict=True)
    ]


def on_even_planes(slices: NDArray[Any], positions: NDArray[np.float64]) -> NDArray[Any]:
    """Resample slices to even planes.

    A slice that lies on a plane is copied; other planes are interpolated linearly.

    Args:
        slices: values, with Z as the first axis.
        positions: positions of the slices in units of even planes, shape (slices,).
    """
    planes = np.arange(round(float(positions[-1])) + 1)
    upper = np.searchsorted(positions, planes).clip(1, len(positions) - 1)
    weights = (planes - positions[upper - 1]) / (positions[upper] - positions[upper - 1])
    nearest = nearest_slices(positions)
    resampled = np.empty((len(planes), *slices.shape[1:]), slices.dtype)
    for plane, (above, weight) in enumerate(zip(upper.tolist(), weights.tolist(), strict=True)):
        if abs(positions[nearest[plane]] - plane) <= ON_PLANE:
            resampled[plane] = slices[nearest[plane]]
        else:
            mixed = (1 - weight) * slices[above - 1].astype(np.float64) + weight * slices[above]
            resampled[plane] = np.rint(mixed) if slices.dtype.kind in "iu" else mixed
    return resampled


def nearest_slices(positions: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the index of the nearest slice for each even plane, the lower one if two are as near.

    ``positions`` are the positions of the slices in units of even planes.

    >>> nearest_slices(np.array([0.0, 1.0, 4.0])).tolist()
    [0, 1, 1, 2, 2]
    """
    planes = np.arange(round(float(positions[-1])) + 1)
    middles = (positions[1:] + positions[:-1]) / 2
    return np.searchsorted(middles, planes)


def nearest_planes(positions: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the index of the nearest even plane for each slice, from positions in planes."""
    return np.rint(positions).astype(np.intp)
