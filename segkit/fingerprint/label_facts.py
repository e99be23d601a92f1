"""What is measured about the labels of one case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.dataset.dataset import Dataset
from segkit.labels.components import components_per_label, find_components
from segkit.labels.scheme import membership
from segkit.preprocessing.crop import mask_box

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
    pieces: int = 1
    """Number of connected components (26 neighbors)."""
    thickness: Point = (math.inf, math.inf, math.inf)
    """Mean length of its runs of voxels along each axis, in mm or px; for a region a lower bound."""
    medians: tuple[float, ...] = ()
    """Of each channel, over the voxels that were drawn from it; empty if none was."""


def label_facts(indices: NDArray[Any], spacing: Point, dataset: Dataset) -> dict[str, LabelFacts]:
    """Measure every label that occurs in ``indices`` (X, Y, Z): 0 background, i + 1 the i-th target."""
    holds = np.array(membership(dataset.labels, dataset.regions))
    occupied = mask_box(indices > 0, indices.shape)
    inside = indices[occupied]
    means, deviations, thickness = [], [], []
    count = np.zeros(0)
    for axis, edge in enumerate(spacing):
        # Voxels of every label per plane: all that centroids and spreads need, and small.
        planes = _planes(inside, axis, holds.shape[1]) @ holds.T
        count = planes.sum(axis=0)
        positions = ((occupied[axis].start + np.arange(len(planes))) * edge)[:, None]
        mean = (planes * positions).sum(axis=0) / np.maximum(count, 1)
        square = (planes * (positions - mean) ** 2).sum(axis=0) / np.maximum(count, 1)
        means.append(mean)
        deviations.append(np.sqrt(square))
        runs = _runs(inside, axis, holds.shape[1]) @ holds.T
        thickness.append(count * edge / np.maximum(runs, 1))
    voxel = float(np.prod(spacing))
    names = [name for i, name in enumerate(dataset.labels) if count[i]]
    pieces = count_pieces(inside, dataset, names)
    return {
        name: LabelFacts(
            voxels=int(count[i]),
            volume=float(count[i] * voxel),
            centroid=_point(means, i),
            deviation=_point(deviations, i),
            pieces=pieces[name],
            thickness=_point(thickness, i),
        )
        for i, name in enumerate(dataset.labels)
        if name in pieces
    }


def border_share(indices: NDArray[Any]) -> float:
    """Return the share of the voxels on the faces of (X, Y, Z) that are not 0; a picture has no faces along Z."""
    labelled, voxels = 0, 0
    for axis in range(3):
        if indices.shape[axis] > 1:
            faces = indices.take([0, -1], axis)
            labelled, voxels = labelled + int(np.count_nonzero(faces)), voxels + faces.size
    return labelled / voxels if voxels else 0.0


def count_pieces(indices: NDArray[Any], dataset: Dataset, names: list[str]) -> dict[str, int]:
    """Number of connected components of each label in (X, Y, Z)."""
    if not names:
        return {}
    if dataset.regions:
        targets = list(dataset.targets.values())
        of = {name: [targets.index(value) + 1 for value in dataset.regions[name]] for name in names}
        return {name: len(find_components(indices, of=of[name]).values) for name in names}
    counts = components_per_label(indices)
    index = {name: i + 1 for i, name in enumerate(dataset.labels)}
    return {name: counts[index[name]] for name in names}


def _planes(indices: NDArray[Any], axis: int, length: int) -> NDArray[np.intp]:
    """Voxels of each index (columns) in each plane along an axis (rows)."""
    return np.stack(
        [np.bincount(plane.ravel(), minlength=length) for plane in np.moveaxis(indices, axis, 0)]
    )


def _runs(indices: NDArray[Any], axis: int, length: int) -> NDArray[np.intp]:
    """Number of runs of equal voxels along an axis, for each index."""
    moved = np.moveaxis(indices, axis, 0)
    starts = moved[1:][moved[1:] != moved[:-1]]
    return np.bincount(moved[0].ravel(), minlength=length) + np.bincount(starts, minlength=length)


def _point(axes: list[NDArray[np.float64]], index: int) -> Point:
    x, y, z = (float(axis[index]) for axis in axes)
    return (x, y, z)
