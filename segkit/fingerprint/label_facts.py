"""Measure the labels of one case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.dataset import Dataset
from segkit.labels.components import components_per_label, find_components
from segkit.labels.plane_counts import plane_counts
from segkit.labels.scheme import membership
from segkit.preprocessing.orient_and_crop import mask_box

Point = tuple[float, float, float]
"""Coordinates or lengths along X, Y, Z, in mm or px."""


@dataclass(frozen=True)
class LabelFacts:
    """Measurements of a label in one case; positions are relative to the scan's first voxel."""

    voxels: int
    volume: float
    """Volume in mm^3, or area in px."""
    centroid: Point
    deviation: Point
    """Standard deviation of the voxels' positions along each axis."""
    pieces: int = 1
    """Number of connected components (26 neighbors)."""
    thickness: Point = (math.inf, math.inf, math.inf)
    """Mean length of the runs of voxels along each axis; for a region, a lower bound."""
    medians: tuple[float, ...] = ()
    """Median of each channel over the sampled voxels of the label; empty if there are none."""


def label_facts(indices: NDArray[Any], spacing: Point, dataset: Dataset) -> dict[str, LabelFacts]:
    """Return the facts of every label that occurs in a label map.

    Args:
        indices: label map (X, Y, Z) with 0 for background and i + 1 for the i-th target.
        spacing: voxel spacing along X, Y, Z in mm or px.
        dataset: names of the labels.
    """
    holds = np.array(membership(dataset.labels, dataset.regions))
    box = mask_box(indices > 0, indices.shape)
    inside = indices[box]
    means, deviations, thickness = [], [], []
    count = np.zeros(0)
    # Voxel counts per plane are enough for centroids and deviations, and take little memory.
    counts = plane_counts(inside, np.arange(holds.shape[1]))
    for axis, edge in enumerate(spacing):
        planes = counts[axis] @ holds.T
        count = planes.sum(axis=0)
        positions = ((box[axis].start + np.arange(len(planes))) * edge)[:, None]
        mean = (planes * positions).sum(axis=0) / np.maximum(count, 1)
        variance = (planes * (positions - mean) ** 2).sum(axis=0) / np.maximum(count, 1)
        means.append(mean)
        deviations.append(np.sqrt(variance))
        runs = _runs(inside, axis, holds.shape[1]) @ holds.T
        thickness.append(count * edge / np.maximum(runs, 1))
    voxel = float(np.prod(spacing))
    names = [name for i, name in enumerate(dataset.labels) if count[i]]
    components = count_components(inside, dataset, names)
    return {
        name: LabelFacts(
            voxels=int(count[i]),
            volume=float(count[i] * voxel),
            centroid=_point(means, i),
            deviation=_point(deviations, i),
            pieces=components[name],
            thickness=_point(thickness, i),
        )
        for i, name in enumerate(dataset.labels)
        if name in components
    }


def border_share(indices: NDArray[Any]) -> float:
    """Return the fraction of the voxels on the faces of a label map (X, Y, Z) that are not 0.

    An axis with a single voxel has no faces.

    >>> border_share(np.array([[[1], [0]], [[0], [0]]]))
    0.25
    """
    labeled, voxels = 0, 0
    for axis in range(3):
        if indices.shape[axis] > 1:
            planes = np.moveaxis(indices, axis, 0)
            labeled += sum(int(np.count_nonzero(plane)) for plane in (planes[0], planes[-1]))
            voxels += 2 * planes[0].size
    return labeled / voxels if voxels else 0.0


def count_components(indices: NDArray[Any], dataset: Dataset, names: list[str]) -> dict[str, int]:
    """Return the number of connected components of each label or region.

    Args:
        indices: label map (X, Y, Z) with 0 for background and i + 1 for the i-th target.
        dataset: names of the labels.
        names: labels that occur.
    """
    if not names:
        return {}
    if dataset.regions:
        targets = list(dataset.targets.values())
        counts_of_regions = {}
        for name in names:
            region = [targets.index(value) + 1 for value in dataset.regions[name]]
            counts_of_regions[name] = len(find_components(indices, merged=region).values)
        return counts_of_regions
    counts = components_per_label(indices)
    index = {name: i + 1 for i, name in enumerate(dataset.labels)}
    return {name: counts[index[name]] for name in names}


def _runs(indices: NDArray[Any], axis: int, length: int) -> NDArray[np.intp]:
    """Return the number of runs of equal voxels along an axis, for each label index."""
    moved = np.moveaxis(indices, axis, 0)
    starts = moved[1:][moved[1:] != moved[:-1]]
    return np.bincount(moved[0].ravel(), minlength=length) + np.bincount(starts, minlength=length)


def _point(axes: list[NDArray[np.float64]], index: int) -> Point:
    x, y, z = (float(axis[index]) for axis in axes)
    return (x, y, z)
