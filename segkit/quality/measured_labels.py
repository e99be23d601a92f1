"""Measure each label of a label map: voxels on every plane, and intensities of images.

The map is read once, block by block, and only labeled voxels of a block are looked at; a count per
label and plane is kept. No second label map and no float64 copy of the scan is needed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.memory import blocks
from segkit.labels.components import find_components
from segkit.plans.plan import Plan

BLOCK_VOXELS = 1 << 18
"""Number of voxels of a block; each labeled one takes several indices of 8 bytes."""

Values = Mapping[str, Sequence[int]]
"""Values in the label map of each label or region, by name."""
Images = Mapping[str, NDArray[Any]]
"""Images (X, Y, Z) on the label map's grid, by name."""


@dataclass(frozen=True)
class _Moments:
    """Count, mean and sum of squared deviations of the intensities of K labels, each (K,)."""

    count: NDArray[Any]
    mean: NDArray[Any]
    squares: NDArray[Any]

    def __add__(self, other: _Moments) -> _Moments:
        """Return the moments of both sets of voxels together (Chan, Golub and LeVeque 1979).

        Unlike sums of squares, they lose no digits.
        """
        count = self.count + other.count
        fraction = other.count / np.maximum(count, 1)
        difference = other.mean - self.mean
        squares = self.squares + other.squares + difference**2 * self.count * fraction
        return _Moments(count, self.mean + difference * fraction, squares)

    def of(self, index: int) -> _Moments:
        """Return the moments of one label."""
        return _Moments(self.count[index], self.mean[index], self.squares[index])


@dataclass(frozen=True)
class MeasuredLabel:
    """Voxels of one label on every plane across X, Y and Z, and moments of its intensities."""

    planes: tuple[NDArray[np.int64], ...]
    """Number of voxels of each plane, for X, Y and Z."""
    moments: Mapping[str, _Moments]
    """Moments of each image, by name."""

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(self.planes[0].sum())

    @property
    def ends(self) -> list[tuple[int, int]]:
        """First and last plane with a voxel, for X, Y and Z; empty without voxels."""
        occupied = [np.flatnonzero(planes) for planes in self.planes]
        return [(int(planes[0]), int(planes[-1])) for planes in occupied if planes.size]

    @property
    def centroid(self) -> list[float]:
        """Mean index along X, Y, Z."""
        return [float(planes @ np.arange(planes.size)) / self.voxels for planes in self.planes]

    @property
    def box(self) -> tuple[slice, ...]:
        """Smallest box that holds the label; it must have a voxel."""
        return tuple(slice(first, last + 1) for first, last in self.ends)

    def pieces(self, labels: NDArray[Any], values: Sequence[int]) -> int:
        """Return the number of connected components of this label of a label map (X, Y, Z)."""
        if not self.voxels:
            return 0
        return len(find_components(labels[self.box], merged=values).values)


def values_of_labels(plan: Plan) -> dict[str, Sequence[int]]:
    """Return the values in a label map of each label or region of a plan, by name."""
    return {name: plan.regions.get(name, (value,)) for name, value in plan.labels.items()}


@np.errstate(all="ignore")  # an overflow is reported when the figure is used
def measure_labels(
    array: NDArray[Any], values_by_name: Values, images: Images
) -> dict[str, MeasuredLabel]:
    """Return the measurements of each label, by name.

    Voxels are counted by value, and the counts of values are added up to labels or regions.

    Args:
        array: label map (X, Y, Z).
        values_by_name: values of each label or region.
        images: images whose intensities are measured.
    """
    values = sorted(set(itertools.chain.from_iterable(values_by_name.values())))
    planes = [np.zeros((len(values), size), np.int64) for size in array.shape]
    nothing = np.zeros(len(values))
    moments = dict.fromkeys(images, _Moments(nothing, nothing, nothing))
    # Blocks follow the order of an image in memory: it may be a mapped file, whose pages are then
    # read once.
    order = next(iter(images.values()), array)
    for value_indices, voxels in _labeled_voxels(array, values, order):
        for counts, positions in zip(planes, voxels, strict=True):
            cells = value_indices * counts.shape[1] + positions
            new = np.bincount(cells, minlength=counts.size).reshape(counts.shape)
            np.add(counts, new, out=counts)
        for name, image in images.items():
            intensities = np.asarray(image[voxels])
            moments[name] += _block_moments(intensities, value_indices, len(values))
    measured = {}
    for name, own_values in values_by_name.items():
        rows = [values.index(value) for value in own_values]
        own_moments = {
            image: functools.reduce(_Moments.__add__, map(of_values.of, rows))
            for image, of_values in moments.items()
        }
        own_planes = tuple(counts[rows].sum(axis=0) for counts in planes)
        measured[name] = MeasuredLabel(own_planes, own_moments)
    return measured


def _labeled_voxels(
    array: NDArray[Any], values: Sequence[int], order: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], tuple[NDArray[Any], ...]]]:
    """Yield, block by block, the voxels that have one of ``values`` (ascending).

    Each block yields the index of the value of each voxel, and the voxels' indices x, y and z.
    Voxels of a block lie together in the memory of ``order``, another array of the same shape.
    """
    ordered = np.asarray(values, np.int64)
    for box in blocks(order, BLOCK_VOXELS):
        block = array[box]
        nonzero = np.nonzero(block)
        block_values = block[nonzero].astype(np.int64)
        indices = np.minimum(np.searchsorted(ordered, block_values), ordered.size - 1)
        is_wanted = ordered[indices] == block_values
        x, y, z = (
            positions[is_wanted] + (span.start or 0)
            for positions, span in zip(nonzero, box, strict=True)
        )
        yield indices[is_wanted], (x, y, z)


def _block_moments(intensities: NDArray[Any], value_indices: NDArray[Any], length: int) -> _Moments:
    exact = intensities.astype(np.float64)
    count = np.bincount(value_indices, minlength=length)
    mean = np.bincount(value_indices, exact, length) / np.maximum(count, 1)
    squares = np.bincount(value_indices, (exact - mean[value_indices]) ** 2, length)
    return _Moments(count, mean, squares)


def centers_of(
    measured: Mapping[str, MeasuredLabel], spacing: Sequence[float]
) -> dict[str, tuple[float, ...]]:
    """Return the center of each label that has voxels, in the unit of ``spacing``.

    Args:
        measured: the labels.
        spacing: size of a voxel along X, Y, Z.
    """
    return {
        name: tuple(index * edge for index, edge in zip(label.centroid, spacing, strict=True))
        for name, label in measured.items()
        if label.voxels
    }
