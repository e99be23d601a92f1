"""Locate, then look: a coarse model finds the box of a scan that holds the labels, and the other one computes in it.

The windows are those of the whole scan, as few as cover the box. So a voxel that lies at least a window's edge inside
the box has the scores that it would have without a box, up to rounding where the network gets its windows in other
batches; nearer to a face, fewer windows are averaged, as at a face of the scan. Outside the box all is background.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segkit.bundle.bundle import Bundle
from segkit.errors import InputError
from segkit.labels.components import find_components
from segkit.plans.plan import Plan
from segkit.preprocessing.chain import WayBack
from segkit.volume import Box, Shape, Volume

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

log = logging.getLogger(__name__)

OF_LABEL = 0.1
"""Share of its label's largest piece from which a piece counts: the largest of a small label always does."""
OF_ALL = 0.01
"""Share of all labels' largest piece from which a piece counts, too, if it has the size of a coarse voxel."""
MARGIN_MM = 10.0
MARGIN_COARSE = 2
"""Voxels of the coarse model."""
MARGIN_WINDOW = 1 / 8
"""Of a window's edge: labels then do not lie at the very border of the only window. The largest of the three margins is
added to each side."""


class Locator:
    """Finds where to look with a coarse model."""

    def __init__(self, coarse: Predictor, plan: Plan) -> None:
        """
        Args:
            coarse: the coarse model.
            plan: of the model that looks.

        Raises:
            InputError: models of other labels, channels or kinds of images.
        """
        check_coarse(coarse.bundles, plan)
        self._coarse, self._plan = coarse, plan
        self.box: Box | None = None
        """Of the last scan, along its own axes (after the straightening of a tilted one); None is all of it."""

    @property
    def bundles(self) -> Sequence[Bundle]:
        """The coarse models."""
        return self._coarse.bundles

    def find(self, scan: Volume, way_back: WayBack, *, where: Path) -> Box | None:
        """The box of the cropped grid that holds the labels; None, with a warning, where the coarse model finds none.

        Raises:
            OutOfMemoryError: the coarse model does not fit.
        """
        labels = self._coarse.predict(scan, where=f"{where}, coarse model").array[0]
        found = pieces_box(
            way_back.view(labels), least=math.prod(self._coarse_voxel(scan, way_back))
        )
        if found is None:
            log.warning(
                "%s: the coarse model finds no label at all, so all of the scan is predicted", where
            )
            self.box = None
            return None
        box = grown(found, way_back.cropped_shape, self._margins(scan, way_back))
        self.box = on_scan(box, way_back)
        return box

    def _coarse_voxel(self, scan: Volume, way_back: WayBack) -> list[float]:
        """Edges of a voxel of the coarse model along X, Y, Z, in lines of the cropped grid."""
        spacing = [scan.spacing[axis] for axis in way_back.axis_map.order]
        return [
            (coarse or edge) / edge
            for edge, coarse in zip(spacing, self._coarse.plan.spacing, strict=True)
        ]

    def _margins(self, scan: Volume, way_back: WayBack) -> list[float]:
        """In lines of the cropped grid along X, Y, Z."""
        spacing = [scan.spacing[axis] for axis in way_back.axis_map.order]
        fixed = MARGIN_MM if scan.unit == "mm" else 0.0
        coarse = self._coarse_voxel(scan, way_back)
        grids = zip(self._plan.patch, way_back.cropped_shape, way_back.network_shape, strict=True)
        windows = [edge * lines / network_lines for edge, lines, network_lines in grids]
        return [
            max(fixed / edge, MARGIN_COARSE * voxel, MARGIN_WINDOW * window)
            for edge, voxel, window in zip(spacing, coarse, windows, strict=True)
        ]


def check_coarse(coarse: Sequence[Bundle], plan: Plan) -> None:
    """
    Raises:
        InputError: models that do not find the labels of ``plan``, or do not see the same channels.
    """
    other = coarse[0].plan
    here, there = ([channel.name for channel in each.channels] for each in (plan, other))
    wanted = {"labels": (sorted(plan.labels), sorted(other.labels)), "channels": (here, there)}
    wanted["unit of voxel sizes"] = ([plan.unit], [other.unit])
    for what, (expected, found) in wanted.items():
        if expected != found:
            raise InputError(
                coarse[0].path,
                expected=f"a coarse model with the {what} of the other one ({', '.join(expected)})",
                found=", ".join(found),
                remedy="Train both from one dataset, the coarse one with larger voxels, such as plan.spacing=[4,4,4].",
            )
    pairs = [
        (edge, coarser)
        for edge, coarser in zip(plan.spacing, other.spacing, strict=True)
        if edge and coarser
    ]
    if pairs and all(coarser <= edge for edge, coarser in pairs):
        log.warning(
            "%s has no larger voxels than the model that it locates for: are the two swapped?",
            coarse[0].path,
        )


def pieces_box(labels: NDArray[Any], least: float = 0.0) -> Box | None:
    """The box around the pieces of labels (X, Y, Z) that count; None without labels.

    A piece, voxels of one label that touch at a corner at least, counts if it has OF_LABEL of its label's largest
    piece, or OF_ALL of the largest of all labels and ``least`` voxels. Others are taken for the coarse model's errors.

    >>> labels = np.zeros((9, 1, 1), np.uint8)
    >>> labels[2:5] = 3
    >>> pieces_box(labels)[0]
    slice(2, 5, None)
    """
    pieces = find_components(labels)
    if not pieces.voxels.size:
        return None
    largest = np.zeros(int(pieces.values.max()) + 1)
    np.maximum.at(largest, pieces.values, pieces.voxels)
    counts = (pieces.voxels >= OF_LABEL * largest[pieces.values]) | (
        pieces.voxels >= max(least, OF_ALL * largest.max())
    )
    ends = zip(
        pieces.first[counts].min(axis=0).tolist(),
        pieces.last[counts].max(axis=0).tolist(),
        strict=True,
    )
    x, y, z = (slice(first, last + 1) for first, last in ends)
    return x, y, z


def grown(box: Box, shape: Shape, margins: Sequence[float]) -> Box:
    """A box with so many lines more at either end of X, Y, Z, cut to a grid of ``shape``.

    >>> grown((slice(5, 6), slice(5, 6), slice(1, 2)), (20, 20, 20), (1, 2.5, 4))
    (slice(4, 7, None), slice(2, 9, None), slice(0, 6, None))
    """
    x, y, z = (
        slice(max(0, lines.start - math.ceil(margin)), min(size, lines.stop + math.ceil(margin)))
        for lines, size, margin in zip(box, shape, margins, strict=True)
    )
    return x, y, z


def on_scan(box: Box, way_back: WayBack) -> Box:
    """A box of the cropped grid, along the axes of the scan itself."""
    found = [slice(0)] * 3
    for axis, (lines, kept) in enumerate(zip(box, way_back.box, strict=True)):
        source = way_back.axis_map.order[axis]
        start, stop = kept.start + lines.start, kept.start + lines.stop
        if way_back.axis_map.flips[axis]:
            size = way_back.source_shape[source]
            start, stop = size - stop, size - start
        found[source] = slice(start, stop)
    x, y, z = found
    return x, y, z


def warn_of_cut(
    labels: NDArray[Any], way_back: WayBack, box: Box, names: Mapping[str, int], *, where: Path
) -> None:
    """Say which labels (X, Y, Z, on the scan's grid) reach a face of the box behind which the scan goes on."""
    faces = list(_open_faces(way_back.view(labels)[box], box, way_back.cropped_shape))
    found = [name for name, value in names.items() if any(np.any(face == value) for face in faces)]
    if found:
        log.warning(
            "%s: %s may be cut at the border of the box that the coarse model found; predict without it to know",
            where,
            ", ".join(found),
        )


def _open_faces(inside: NDArray[Any], box: Box, shape: Shape) -> Iterator[NDArray[Any]]:
    for axis, (lines, size) in enumerate(zip(box, shape, strict=True)):
        if lines.start > 0:
            yield inside.take(0, axis)
        if lines.stop < size:
            yield inside.take(-1, axis)
