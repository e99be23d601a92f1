"""Locate: a coarse model finds the box of the labels, and the other model predicts only the box.

The windows are those of the whole scan, as few as cover the box. A voxel that is at least a
window's edge inside the box therefore has the scores that it would have without a box, up to
rounding where the network gets its windows in other batches. Nearer to a face fewer windows are
averaged, as at a face of the scan. Outside the box everything is background.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError
from segkit.inference.prediction import GivenScan
from segkit.labels.components import find_components
from segkit.plans.plan import Plan
from segkit.preprocessing.chain import InverseTransform, ScanParts
from segkit.volume import Box, Shape, Volume

log = logging.getLogger(__name__)

MIN_OF_LABEL = 0.1
"""Size from which a component counts, as a fraction of the largest component of its label.

The largest component of a small label therefore always counts.
"""
MIN_OF_ALL = 0.01
"""Size from which a component also counts, as a fraction of the largest component of all labels.

It must then have at least the size of one coarse voxel as well.
"""
MARGIN_MM = 10.0
"""Margin around the labels on each side in mm; the largest of the three margins is taken."""
MARGIN_COARSE_VOXELS = 2
"""Margin on each side in voxels of the coarse model."""
MARGIN_OF_WINDOW = 1 / 8
"""Margin on each side as a fraction of a window's edge.

It keeps labels away from the border where one window covers the box.
"""


class PredictLabels(Protocol):
    """Function that predicts the label map of a scan, such as `Predictor.predict`."""

    def __call__(self, scan: Volume, *, where: str, group: str, as_read: Volume) -> Volume:
        """Return the label map (1, X, Y, Z) of ``scan``; the options are those of `given_scan`."""
        ...


class Locator:
    """Coarse model that finds the box of a scan in which another model predicts."""

    def __init__(self, predict: PredictLabels, bundles: Sequence[Bundle], plan: Plan) -> None:
        """
        Args:
            predict: predicts the label map of a scan with the coarse models.
            bundles: the coarse models.
            plan: plan of the other model.

        Raises:
            InputError: models of other labels, channels or kinds of images.
        """
        check_coarse(bundles, plan)
        self.bundles = bundles
        self._predict, self._plan = predict, plan

    def find(self, scan: Volume, parts: ScanParts, given: GivenScan) -> Box | None:
        """Return the box of the cropped grid that holds the labels.

        None, with a warning, where the coarse model finds no label.

        Args:
            scan: the scan, without a tilt of the gantry.
            parts: the same scan, prepared for the other model.
            given: the scan as it was given.

        Raises:
            OutOfMemoryError: the coarse model does not fit into memory.
        """
        where = given.where
        labels = self._predict(
            scan, where=f"{where}, coarse model", group=given.group, as_read=given.volume
        ).array[0]
        coarse_voxel = self._coarse_voxel(parts)
        box = box_of_labels(parts.inverse.view(labels), min_voxels=math.prod(coarse_voxel))
        if box is None:
            log.warning(
                "%s: the coarse model finds no label at all, so all of the scan is predicted", where
            )
            return None
        return enlarged(box, parts.inverse.cropped_shape, self._margins(parts, coarse_voxel))

    def _coarse_voxel(self, parts: ScanParts) -> list[float]:
        """Return the edges of a coarse voxel along X, Y, Z, in voxels of the cropped grid."""
        coarse_spacing = self.bundles[0].plan.spacing
        return [
            (coarse or edge) / edge
            for edge, coarse in zip(parts.grid.spacing, coarse_spacing, strict=True)
        ]

    def _margins(self, parts: ScanParts, coarse_voxel: Sequence[float]) -> list[float]:
        """Return the margins along X, Y, Z, in voxels of the cropped grid."""
        margin_mm = MARGIN_MM if parts.grid.unit == "mm" else 0.0
        inverse = parts.inverse
        grids = zip(self._plan.patch, inverse.cropped_shape, inverse.network_shape, strict=True)
        windows = [edge * cropped / resampled for edge, cropped, resampled in grids]
        return [
            max(margin_mm / edge, MARGIN_COARSE_VOXELS * coarse, MARGIN_OF_WINDOW * window)
            for edge, coarse, window in zip(parts.grid.spacing, coarse_voxel, windows, strict=True)
        ]


def check_coarse(coarse: Sequence[Bundle], plan: Plan) -> None:
    """Check that coarse models can locate for a model with this plan.

    Raises:
        InputError: other labels, channels or kinds of images than those of ``plan``.
    """
    coarse_plan = coarse[0].plan
    channels, coarse_channels = (
        [channel.name for channel in model_plan.channels] for model_plan in (plan, coarse_plan)
    )
    properties: dict[str, tuple[list[str], list[str]]] = {
        "labels": (sorted(plan.labels), sorted(coarse_plan.labels)),
        "channels": (channels, coarse_channels),
        "unit of voxel sizes": ([plan.unit], [coarse_plan.unit]),
    }
    for name, (expected, found) in properties.items():
        if expected != found:
            raise InputError(
                coarse[0].path,
                expected=f"a coarse model with the {name} of the other one ({', '.join(expected)})",
                found=", ".join(found),
                remedy="Train both from one dataset, the coarse one with larger voxels, "
                "such as plan.spacing=[4,4,4].",
            )
    edges = [
        (edge, coarse_edge)
        for edge, coarse_edge in zip(plan.spacing, coarse_plan.spacing, strict=True)
        if edge and coarse_edge
    ]
    if edges and all(coarse_edge <= edge for edge, coarse_edge in edges):
        log.warning(
            "%s has no larger voxels than the model that it locates for: are the two swapped?",
            coarse[0].path,
        )


def box_of_labels(labels: NDArray[Any], *, min_voxels: float = 0.0) -> Box | None:
    """Return the box around the components of a label map that count; None without labels.

    A component is a set of voxels of one label that touch at least at a corner. It counts if it has
    `MIN_OF_LABEL` of the voxels of its label's largest component, or `MIN_OF_ALL` of the largest of
    all labels and ``min_voxels`` voxels. Other components are taken for errors of the coarse model.

    Args:
        labels: label map (X, Y, Z).
        min_voxels: number of voxels of a component that is small for its label.

    >>> labels = np.zeros((9, 1, 1), np.uint8)
    >>> labels[2:5] = 3
    >>> box_of_labels(labels)[0]
    slice(2, 5, None)
    """
    components = find_components(labels)
    if not components.voxels.size:
        return None
    largest = np.zeros(int(components.values.max()) + 1)
    np.maximum.at(largest, components.values, components.voxels)
    counts = (components.voxels >= MIN_OF_LABEL * largest[components.values]) | (
        components.voxels >= max(min_voxels, MIN_OF_ALL * largest.max())
    )
    ends = zip(
        components.first[counts].min(axis=0).tolist(),
        components.last[counts].max(axis=0).tolist(),
        strict=True,
    )
    x, y, z = (slice(first, last + 1) for first, last in ends)
    return x, y, z


def enlarged(box: Box, shape: Shape, margins: Sequence[float]) -> Box:
    """Return a box with margins, rounded up, at both ends of X, Y, Z, cut to a grid of ``shape``.

    >>> enlarged((slice(5, 6), slice(5, 6), slice(1, 2)), (20, 20, 20), (1, 2.5, 4))
    (slice(4, 7, None), slice(2, 9, None), slice(0, 6, None))
    """
    x, y, z = (
        slice(max(0, span.start - math.ceil(margin)), min(size, span.stop + math.ceil(margin)))
        for span, size, margin in zip(box, shape, margins, strict=True)
    )
    return x, y, z


def box_on_scan(box: Box, inverse: InverseTransform) -> Box:
    """Return a box of the cropped grid in voxels of the scan, along the scan's own axes."""
    spans = [slice(0)] * 3
    for axis, (span, kept) in enumerate(zip(box, inverse.box, strict=True)):
        source = inverse.axis_map.order[axis]
        start, stop = kept.start + span.start, kept.start + span.stop
        if inverse.axis_map.flips[axis]:
            size = inverse.source_shape[source]
            start, stop = size - stop, size - start
        spans[source] = slice(start, stop)
    x, y, z = spans
    return x, y, z


def warn_of_cut_labels(
    labels: NDArray[Any],
    inverse: InverseTransform,
    box: Box,
    names: Mapping[str, int],
    *,
    where: Path,
) -> None:
    """Log which labels reach a face of the box that is not a face of the scan.

    Args:
        labels: label map (X, Y, Z) on the scan's grid.
        inverse: grids of the scan.
        box: box of the cropped grid.
        names: value of each label by name.
        where: the scan's name in messages.
    """
    x, y, z = (slice(0, size) for size in inverse.cropped_shape)
    content, on_scan = box_on_scan((x, y, z), inverse), box_on_scan(box, inverse)
    faces = list(_inner_faces(labels[on_scan], on_scan, content))
    cut = [name for name, value in names.items() if any(np.any(face == value) for face in faces)]
    if cut:
        log.warning(
            "%s: %s may be cut at the border of the box that the coarse model found; "
            "predict without it to know",
            where,
            ", ".join(cut),
        )


def _inner_faces(labels: NDArray[Any], box: Box, content: Box) -> Iterator[NDArray[Any]]:
    """Yield the faces of ``labels`` in a box that lie inside the box of the scan's content."""
    for axis, (span, whole) in enumerate(zip(box, content, strict=True)):
        if span.start > whole.start:
            yield labels.take(0, axis)
        if span.stop < whole.stop:
            yield labels.take(-1, axis)
