"""What is measured about one case.

Axes are X, Y, Z after the scan has been turned to the nearest RAS+ orientation; lengths are in the dataset's unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset import Case, Dataset
from segkit.errors import InputError
from segkit.io import check_same_grid, read_case, read_labels
from segkit.preprocessing.crop import Box, content_box
from segkit.preprocessing.labels import to_indices
from segkit.preprocessing.orient import to_ras
from segkit.regions import membership
from segkit.volume import Shape, Unit, Volume

SEED = 1234

Point = tuple[float, float, float]


@dataclass(frozen=True)
class LabelFacts:
    """One label in one case; positions in mm (or px) from the scan's first voxel, per axis."""

    voxels: int
    volume: float
    """mm^3, or px."""
    centroid: Point
    deviation: Point
    """Standard deviation of its voxels' positions."""


@dataclass(frozen=True)
class CaseFacts:
    """Geometry of one case before and after its constant border is cut away."""

    id: str
    shape: Shape
    spacing: Point
    cropped: Shape
    labels: dict[str, LabelFacts] = field(default_factory=dict)
    """Only those that the case has."""
    outside: int = 0
    """Labelled voxels in the constant border."""
    constant: tuple[str, ...] = ()
    """Channels that have one value everywhere."""
    labelled: bool = True
    """Whether the case has a label map."""
    ignored: int = 0
    """Voxels that nobody has annotated."""


@dataclass(frozen=True, eq=False)
class MeasuredCase:
    """Facts of one case with intensities (channels, N) drawn from its labelled voxels; N is 0 without any."""

    facts: CaseFacts
    unit: Unit
    samples: NDArray[Any]


def measure_case(case: Case, dataset: Dataset, number: int = 0, draws: int = 1) -> MeasuredCase:
    """Read and measure one case.

    Args:
        case: its files.
        dataset: names of channels and labels.
        number: the case's place in the dataset, which decides what is drawn.
        draws: how many labelled voxels to draw.

    Raises:
        InputError: unusable files, channels or labels on different grids, unknown label values.
    """
    volume = read_case(case.images)
    _check_channels(volume, case.images[0], dataset)
    turned, axis_map = to_ras(volume)
    box = content_box(turned.array)
    indices = np.zeros(turned.array.shape[1:], dtype=np.uint8)
    if case.label is not None:
        labels = read_labels(case.label, dataset.value_names, subset=dataset.subset)
        check_same_grid(volume.grid, labels.grid, case.label)
        found = to_indices(labels.array, dataset.targets, dataset.subset, case.label, ignore=dataset.ignore)
        indices = axis_map.apply(found)[0]
    ignored = indices > len(dataset.targets)
    indices = np.where(ignored, 0, indices)
    facts = CaseFacts(
        id=case.id,
        shape=turned.grid.shape,
        spacing=turned.spacing,
        cropped=turned.with_array(turned.array[(slice(None), *box)]).grid.shape,
        labels=_label_facts(indices, turned.spacing, dataset),
        outside=_outside(indices, box),
        constant=_constant_channels(turned.array, dataset.channels),
        labelled=case.label is not None,
        ignored=int(np.count_nonzero(ignored)),
    )
    return MeasuredCase(facts, volume.unit, _drawn(turned.array, indices, number, draws))


def case_warnings(facts: CaseFacts) -> list[str]:
    """What is odd about a case that can be used all the same."""
    warnings = [f"channel {name} has one constant value" for name in facts.constant]
    if not facts.labelled:
        warnings.append("there is no label map")
    elif facts.ignored == math.prod(facts.shape):
        warnings.append("nothing is annotated: every voxel has the ignore value")
    elif not facts.labels:
        warnings.append("no voxel of any label (foreground) in the label map")
    if facts.outside:
        warnings.append(f"{facts.outside} labelled voxels lie in the scan's constant border")
    return warnings


def _check_channels(volume: Volume, path: Path, dataset: Dataset) -> None:
    if volume.channels != len(dataset.channels):
        raise InputError(
            path,
            expected=f"{len(dataset.channels)} channels ({', '.join(dataset.channels)})",
            found=f"{volume.channels}",
            remedy="Give every case the channels that the dataset names (dataset.channels=[...]).",
        )


def _label_facts(indices: NDArray[Any], spacing: Point, dataset: Dataset) -> dict[str, LabelFacts]:
    holds = np.array(membership(dataset.labels, dataset.regions))
    means, deviations = [], []
    count = np.zeros(0)
    for axis, edge in enumerate(spacing):
        # Voxels of every label per plane: all that centroids and spreads need, and small.
        planes = np.stack([_counted(plane, holds.shape[1]) for plane in np.moveaxis(indices, axis, 0)]) @ holds.T
        count = planes.sum(axis=0)
        positions = (np.arange(len(planes)) * edge)[:, None]
        mean = (planes * positions).sum(axis=0) / np.maximum(count, 1)
        square = (planes * (positions - mean) ** 2).sum(axis=0) / np.maximum(count, 1)
        means.append(mean)
        deviations.append(np.sqrt(square))
    voxel = float(np.prod(spacing))
    return {
        name: LabelFacts(int(count[i]), float(count[i] * voxel), _point(means, i), _point(deviations, i))
        for i, name in enumerate(dataset.labels)
        if count[i]
    }


def _counted(plane: NDArray[Any], length: int) -> NDArray[np.intp]:
    return np.bincount(plane.ravel(), minlength=length)


def _point(axes: list[NDArray[np.float64]], index: int) -> Point:
    x, y, z = (float(axis[index]) for axis in axes)
    return (x, y, z)


def _outside(indices: NDArray[Any], box: Box) -> int:
    return int(np.count_nonzero(indices) - np.count_nonzero(indices[box]))


def _constant_channels(array: NDArray[Any], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, channel in zip(names, array, strict=True) if channel.min() == channel.max())


def _drawn(array: NDArray[Any], indices: NDArray[Any], number: int, draws: int) -> NDArray[np.float32]:
    labelled = np.flatnonzero(indices)
    if not labelled.size:
        return np.empty((array.shape[0], 0), dtype=np.float32)
    random = np.random.Generator(np.random.Philox(key=[SEED, number]))
    x, y, z = np.unravel_index(labelled[random.integers(labelled.size, size=draws)], indices.shape)
    return np.asarray(array[:, x, y, z], dtype=np.float32)
