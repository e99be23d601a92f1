"""Measure each label of a label map, and compare the measurements with the training data.

Measured are the voxels on every plane, and intensities of images. The map is read once, block by
block, and only labeled voxels of a block are looked at; a count per label and plane is kept. No
second label map and no float64 copy of the scan is needed.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.memory import blocks
from segkit.labels.components import find_components
from segkit.plans.plan import Plan
from segkit.plans.ranges import DataRanges, LabelRange, Range
from segkit.preprocessing.scan_checks import is_far, range_text
from segkit.volume import Grid, Unit

BLOCK_VOXELS = 1 << 18
"""Number of voxels of a block; each labeled one takes several indices of 8 bytes."""
VOLUMES_APART = 3.0
"""Factor above the largest, or below the smallest, training volume that is unusual."""
PIECES_APART = 3.0
"""Factor above the largest number of components in training from which a number is unusual."""
MORE_PIECES = 10
"""Difference from the largest number in training that an unusual number must have as well."""
ALWAYS_IN = 10
"""Number of training cases from which a label that all of them have should be in a scan."""
COUNTED_VOXELS = 1 << 24
"""Size of a label's bounding box in voxels up to which components are always counted.

That takes less than a second. In a larger box they are counted only where the volume is unusual.
"""

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


def label_warnings(
    labels: NDArray[Any], plan: Plan, training: DataRanges, grid: Grid
) -> dict[str, str]:
    """Return the labels that differ much from the training data, each with a sentence on how.

    Args:
        labels: label map (X, Y, Z), in the axis order of the file.
        plan: plan of the model.
        training: ranges that the labels can be compared with; see
            `preprocessing.scan_checks.comparable_labels`.
        grid: grid of the scan, in RAS+ order.
    """
    values_by_name = {name: plan.regions.get(name, (value,)) for name, value in plan.labels.items()}
    measured = measure_labels(labels, values_by_name, {})
    warnings = {}
    for name, usual in training.labels.items():
        if name in measured:
            volume = measured[name].voxels * grid.voxel_volume
            values = values_by_name[name]
            pieces = _number_of_pieces(measured[name], labels, values, volume=volume, usual=usual)
            warning = label_warning(volume, pieces, usual, cases=training.cases, unit=grid.unit)
            if warning:
                warnings[name] = warning
    return warnings


def label_warning(
    volume: float, pieces: int | None, usual: LabelRange, *, cases: int, unit: Unit
) -> str | None:
    """Return how a label differs from the training data; None where it does not differ much.

    Args:
        volume: volume in mm3, or px for pictures.
        pieces: number of components; None where they were not counted.
        usual: range of the label in the training cases.
        cases: number of training cases.
        unit: "mm" for scans, "px" for pictures.

    >>> label_warning(326_000, 128, LabelRange(48, (1200, 2300), (1, 1)), cases=48, unit="mm")
    '326 ml in 128 pieces; training had 1.2 to 2.3 ml in 1 piece'
    """
    usual_pieces = _pieces_text(range_text(usual.pieces))
    had = f"training had {_volume_text(usual.volume, unit)} in {usual_pieces}"
    if not volume:
        missing = usual.cases == cases >= ALWAYS_IN
        return f"not found; {had} in each of {cases} cases" if missing else None
    most = max(PIECES_APART * usual.pieces[1], usual.pieces[1] + MORE_PIECES)
    is_fragmented = pieces is not None and pieces > most
    if not is_fragmented and not is_far(volume, usual.volume, VOLUMES_APART):
        return None
    counted = "" if pieces is None else f" in {_pieces_text(str(pieces))}"
    return f"{_volume_text((volume, volume), unit)}{counted}; {had}"


def _volume_text(volumes: Range, unit: Unit) -> str:
    low, high = volumes
    if unit == "mm":
        return f"{range_text((low / 1000, high / 1000))} ml"
    return f"{range_text(volumes)} px"


def _number_of_pieces(
    label: MeasuredLabel,
    labels: NDArray[Any],
    values: tuple[int, ...],
    *,
    volume: float,
    usual: LabelRange,
) -> int | None:
    """Return the number of components; None in a large box, if the volume is not unusual."""
    if not label.voxels:
        return 0
    box = tuple(slice(first, last + 1) for first, last in label.ends)
    is_large = math.prod(span.stop - span.start for span in box) > COUNTED_VOXELS
    if is_large and not is_far(volume, usual.volume, VOLUMES_APART):
        return None
    return len(find_components(labels[box], merged=values).values)


def _pieces_text(pieces: str) -> str:
    return f"{pieces} piece{'' if pieces == '1' else 's'}"
