"""Find stray components: a few voxels of a label, far from the rest of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.dataset import Dataset
from segkit.fingerprint.case_facts import CaseFacts, CaseVoxels
from segkit.labels.components import Components, find_components
from segkit.preprocessing.orient_and_crop import AxisMap, mask_box
from segkit.volume import Box, Shape

FEW = 0.01
"""Share of the largest component up to which another one is a few voxels."""
FEW_VOXELS = 3
"""Number of voxels that are few in any case, however small the largest component."""
MOST = 50
"""Largest number of stray components of a label that are kept, the largest first."""
FAR_VOXELS = 3
"""Number of voxels around a stray component in which no more than a few have its label."""


@dataclass(frozen=True)
class Stray:
    """One stray component."""

    label: str
    voxels: int
    position: Shape
    """Index (x, y, z) of its middle in the file of the scan, from 0."""
    around: str
    """Label of most voxels around it; "" for background."""


def stray_components(voxels: CaseVoxels, facts: CaseFacts, dataset: Dataset) -> Iterator[Stray]:
    """Yield the stray components of every label.

    A component is stray if it has at most FEW of the voxels of the label's largest component (or
    FEW_VOXELS), and if no other voxels of the label, beyond these few, are within FAR_VOXELS voxels
    of it. The values of overlapping regions are parts of one structure and are left out.

    Args:
        voxels: scan and label map.
        facts: facts of the case.
        dataset: names of the labels.
    """
    if dataset.regions or max((label.pieces for label in facts.labels.values()), default=1) < 2:
        return
    names = list(dataset.targets)
    indices = np.where(voxels.indices > len(names), 0, voxels.indices)
    box = mask_box(indices > 0, indices.shape)
    inside = np.ascontiguousarray(indices[box])
    offset = np.array([span.start for span in box])
    components = find_components(inside)
    for value in np.unique(components.values).tolist():
        few = max(FEW_VOXELS, FEW * _largest(components, value))
        kept = 0
        for number in _candidates(components, value):
            first, last = components.first[number], components.last[number]
            around = _padded(first, last, inside.shape)
            if kept < MOST and np.count_nonzero(inside[around] == value) <= few:
                kept += 1
                yield Stray(
                    label=names[value - 1],
                    voxels=int(components.voxels[number]),
                    position=_in_file(offset + (first + last) // 2, voxels.axis_map, indices.shape),
                    around=_most_common(inside[around], value, names),
                )


def _candidates(components: Components, value: int) -> list[int]:
    """Return the small components of a label, the largest first."""
    own = np.flatnonzero(components.values == value)
    largest = _largest(components, value)
    few = min(max(FEW_VOXELS, FEW * largest), largest / 2)
    small = own[components.voxels[own] <= few]
    return [int(number) for number in small[np.argsort(-components.voxels[small], kind="stable")]]


def _largest(components: Components, value: int) -> int:
    return int(components.voxels[components.values == value].max())


def _padded(first: NDArray[Any], last: NDArray[Any], shape: tuple[int, ...]) -> Box:
    low = np.maximum(first - FAR_VOXELS, 0)
    high = np.minimum(last + 1 + FAR_VOXELS, shape)
    x, y, z = (slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    return x, y, z


def _in_file(position: NDArray[Any], axis_map: AxisMap, shape: tuple[int, ...]) -> Shape:
    """Return the index in the order of the file of a voxel that is given in RAS+ order."""
    index = [0, 0, 0]
    for axis, (source, flip) in enumerate(zip(axis_map.order, axis_map.flips, strict=True)):
        index[source] = int(shape[axis] - 1 - position[axis] if flip else position[axis])
    return index[0], index[1], index[2]


def _most_common(around: NDArray[Any], value: int, names: list[str]) -> str:
    """Return the label of most voxels other than ``value``; "" for background."""
    counts = np.bincount(around.ravel(), minlength=len(names) + 1)
    counts[value] = 0
    most = int(counts.argmax())
    return names[most - 1] if most else ""
