"""Locate, then look: a coarse model finds the box of a scan that holds the labels, and the other one computes in it.

The windows are those of the whole scan, without the ones that do not touch the box. So a voxel in the box has the
scores, bit for bit, that it would have without a box; every other voxel is background.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from segkit.bundle import Bundle
from segkit.errors import InputError
from segkit.plans import Plan
from segkit.preprocessing.chain import WayBack
from segkit.preprocessing.crop import Box, mask_box
from segkit.volume import Shape, Volume

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

log = logging.getLogger(__name__)

SMALLEST_PIECE = 0.01
"""Share of a label's largest piece: smaller ones do not count. A lost part costs more than a box that is too large."""
MARGIN_MM = 10.0
MARGIN_COARSE = 2
"""Voxels of the coarse model. The larger of the two margins is added to each side; it makes up for what the coarse
model does not see, not for what a window must see around a voxel: windows reach beyond the box."""


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
        self._coarse = coarse
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
        found = pieces_box(way_back.view(labels))
        if found is None:
            log.warning("%s: the coarse model finds no label at all, so all of the scan is predicted", where)
            self.box = None
            return None
        box = grown(found, way_back.cropped_shape, self._margins(scan, way_back))
        self.box = on_scan(box, way_back)
        return box

    def _margins(self, scan: Volume, way_back: WayBack) -> list[float]:
        """In lines of the cropped grid along X, Y, Z."""
        spacing = [scan.spacing[axis] for axis in way_back.axis_map.order]
        fixed = MARGIN_MM if scan.unit == "mm" else 0.0
        pairs = zip(spacing, self._coarse.plan.spacing, strict=True)
        return [max(fixed / edge, MARGIN_COARSE * (coarse or edge) / edge) for edge, coarse in pairs]


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
    pairs = [(edge, coarser) for edge, coarser in zip(plan.spacing, other.spacing, strict=True) if edge and coarser]
    if pairs and all(coarser <= edge for edge, coarser in pairs):
        log.warning("%s has no larger voxels than the model that it locates for: are the two swapped?", coarse[0].path)


def pieces_box(labels: NDArray[Any]) -> Box | None:
    """The box (X, Y, Z) around the pieces of all labels, without those below SMALLEST_PIECE; None without labels.

    Voxels of one label that touch at a corner are connected.

    >>> labels = np.zeros((9, 1, 1), np.uint8)
    >>> labels[2:5] = 3
    >>> pieces_box(labels)[0]
    slice(2, 5, None)
    """
    if not labels.any():
        return None
    around = mask_box(labels != 0, labels.shape)
    inside = np.ascontiguousarray(labels[around])
    pieces = cc3d.connected_components(inside, connectivity=26)
    voxels = np.bincount(pieces.ravel())
    values = np.zeros(len(voxels), inside.dtype)
    values[pieces.ravel()] = inside.ravel()
    largest = np.zeros(int(values.max()) + 1)
    np.maximum.at(largest, values, voxels)
    counts = (values > 0) & (voxels >= SMALLEST_PIECE * largest[values])
    x, y, z = (
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(around, mask_box(counts[pieces], inside.shape), strict=True)
    )
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


def warn_of_cut(labels: NDArray[Any], way_back: WayBack, box: Box, names: Mapping[str, int], *, where: Path) -> None:
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
