"""Stacks of two or more slice thicknesses: told from a stack that lacks slices, and read on even planes.

Steps between neighbouring slices that are equal form a block. A block that is wider than the blocks beside it is a
thickness of its own where

* it has at least 3 steps, or
* SliceThickness explains each of its steps: a slice at its end is thicker than those of the blocks beside it, and at
  least as thick as the step is wide.

Otherwise slices are missing there, and so they are wherever instance numbers jump as much as the step is wider than
the thinnest ones. Other steps that are not wider than all beside them are a change of thickness.
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
"""Steps of one block differ by at most this share: either of two slices may lie 5 % beside its place."""
LEAST_STEPS = 3
"""Steps of a block that is a thickness by itself. Two equal wide steps are also what two lost slices leave."""
FINEST = 4
"""The even planes are at most this many times as close as the thinnest slices."""
ON_PLANE = 0.05
"""A slice this near to an even plane, as a share of the distance of planes, lies on it."""
_EXPLAINED = 1.05
"""How much wider than the thicker slice a step may be."""


@dataclass(frozen=True)
class Block:
    """Neighbouring steps that are equal, from ``start`` to before ``stop``."""

    start: int
    stop: int
    step: float
    """The mean, in mm."""

    @property
    def count(self) -> int:
        return self.stop - self.start


def blocks_of(gaps: NDArray[np.float64]) -> list[Block]:
    """The steps between slices as blocks of equal ones.

    >>> [(block.count, block.step) for block in blocks_of(np.array([1.0, 1.0, 1.0, 7.0, 7.0]))]
    [(3, 1.0), (2, 7.0)]
    """
    found: list[Block] = []
    for index, gap in enumerate(gaps.tolist()):
        last = found[-1] if found else None
        if last and abs(gap - last.step) <= EQUAL * max(gap, last.step):
            mean = (last.step * last.count + gap) / (last.count + 1)
            found[-1] = Block(last.start, index + 1, mean)
        else:
            found.append(Block(index, index + 1, gap))
    return found


def unexplained_steps(frames: Sequence[Frame], heights: NDArray[np.float64]) -> dict[int, float]:
    """Steps at which slices seem to be missing, each with the step that is expected there.

    Empty for a stack of two or more thicknesses, by the rule above.
    """
    blocks = blocks_of(np.diff(heights))
    thinnest = _thinnest(blocks)
    found: dict[int, float] = {}
    for place, block in enumerate(blocks):
        beside = [*blocks[max(place - 1, 0) : place], *blocks[place + 1 : place + 2]]
        if _taken_out(frames, block, thinnest):
            found |= dict.fromkeys(range(block.start, block.stop), thinnest.step)
        elif _is_widest(block, beside) and not _explained(frames, heights, block, beside):
            found |= dict.fromkeys(
                range(block.start, block.stop), max(each.step for each in beside)
            )
    return found


def _thinnest(blocks: Sequence[Block]) -> Block:
    """The block of the smallest steps, of those that are a thickness by themselves where there are any."""
    long = [block for block in blocks if block.count >= LEAST_STEPS] or blocks
    return min(long, key=lambda block: block.step)


def _is_widest(block: Block, beside: Sequence[Block]) -> bool:
    """Whether a block is too short for a thickness by itself, and wider than those beside it."""
    return (
        block.count < LEAST_STEPS
        and bool(beside)
        and block.step > max(each.step for each in beside)
    )


def _taken_out(frames: Sequence[Frame], block: Block, thinnest: Block) -> bool:
    """Whether instance numbers change by one in the thinnest block, and here by as much as the step is wider."""
    jumps, usual = _jumps(frames, block), _jumps(frames, thinnest)
    ratio = block.step / thinnest.step
    return (
        usual == {1}
        and len(jumps) == 1
        and jumps != {1}
        and abs(ratio - jumps.pop()) < EQUAL * ratio
    )


def _jumps(frames: Sequence[Frame], block: Block) -> set[int]:
    """By how much instance numbers change from slice to slice; empty where they are not known."""
    numbers = [
        str(frame.instance.header.get("InstanceNumber"))
        for frame in frames[block.start : block.stop + 1]
    ]
    if not all(number.isdecimal() for number in numbers):
        return set()
    return {abs(int(after) - int(before)) for before, after in pairwise(numbers)}


def _explained(
    frames: Sequence[Frame], heights: NDArray[np.float64], block: Block, beside: Sequence[Block]
) -> bool:
    """Whether SliceThickness says that slices are thicker here, and thick enough for the steps."""
    around = [
        frames[each.start if each.start < block.start else each.stop].slice_thickness
        for each in beside
    ]
    here = [frame.slice_thickness for frame in frames[block.start : block.stop + 1]]
    if None in around or None in here:
        return False
    thinner = max(each or 0 for each in around)
    gaps = np.diff(heights[block.start : block.stop + 1])
    thick = np.array([max(before or 0, after or 0) for before, after in pairwise(here)])
    return bool((thick > (1 + EQUAL) * thinner).all() and (gaps <= _EXPLAINED * thick).all())


def even_places(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where slices at these heights lie among even planes, from the first slice (0) to the last, in planes.

    Planes are as far apart as the thinnest slices that make a block, or 2, 3 or 4 times as close if then every slice
    lies on a plane; where none of these does that, as close as brings them nearest.

    >>> even_places(np.array([0.0, 3.0, 6.0, 9.0, 14.0, 21.0, 28.0])).tolist()
    [0.0, 3.0, 6.0, 9.0, 14.0, 21.0, 28.0]
    """
    thinnest = _thinnest(blocks_of(np.diff(heights))).step
    risen = heights - heights[0]
    counts = [max(1, round(float(risen[-1]) * finer / thinnest)) for finer in range(1, FINEST + 1)]
    choices = [risen / risen[-1] * count for count in counts]
    off = [float(np.abs(places - np.rint(places)).max()) for places in choices]
    on_planes = [places for places, each in zip(choices, off, strict=True) if each <= ON_PLANE]
    return np.asarray(
        on_planes[0] if on_planes else choices[int(np.argmin(np.array(off) / counts))]
    )


def slice_thicknesses(
    frames: Sequence[Frame], places: NDArray[np.float64], distance: float
) -> list[float]:
    """SliceThickness in mm of each slice; where it is not known, half of what lies between the slices beside it.

    ``distance`` is that of the even planes in mm.
    """
    reaches = np.gradient(places) * distance
    return [
        frame.slice_thickness or float(reach) for frame, reach in zip(frames, reaches, strict=True)
    ]


def on_even_planes(slices: NDArray[Any], places: NDArray[np.float64]) -> NDArray[Any]:
    """Slices (Z first) that lie at ``places`` on even planes: as they are where one lies, linear between two."""
    planes = np.arange(round(float(places[-1])) + 1)
    upper = np.searchsorted(places, planes).clip(1, len(places) - 1)
    share = (planes - places[upper - 1]) / (places[upper] - places[upper - 1])
    nearest = nearest_slices(places)
    found = np.empty((len(planes), *slices.shape[1:]), slices.dtype)
    for plane, (above, weight) in enumerate(zip(upper.tolist(), share.tolist(), strict=True)):
        if abs(places[nearest[plane]] - plane) <= ON_PLANE:
            found[plane] = slices[nearest[plane]]
        else:
            mixed = (1 - weight) * slices[above - 1].astype(np.float64) + weight * slices[above]
            found[plane] = np.rint(mixed) if slices.dtype.kind in "iu" else mixed
    return found


def nearest_slices(places: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each even plane the slice that lies nearest, the lower one of two."""
    planes = np.arange(round(float(places[-1])) + 1)
    middles = (places[1:] + places[:-1]) / 2
    return np.searchsorted(middles, planes)


def nearest_planes(places: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each slice the even plane that lies nearest."""
    return np.rint(places).astype(np.intp)
