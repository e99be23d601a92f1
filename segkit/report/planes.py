"""Planes of a volume in radiological orientation, with the outlines of its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.labels.plane_counts import plane_counts
from segkit.labels.postprocessing import present_values
from segkit.preprocessing.orient_and_crop import AxisMap, to_ras
from segkit.report.image_rows import write_letters
from segkit.report.outlines import (
    OUTLINE_PIXELS,
    ColorOfValue,
    draw_outlines,
    gray_limits,
    to_gray,
)
from segkit.volume import Volume

PLANE_PIXELS = 400
"""Length in pixels of the longest edge of a scan in the three planes."""


@dataclass(frozen=True)
class View:
    """Orientation of a plane; axes are 0, 1, 2 for X, Y, Z in RAS+."""

    across: int
    """Axis perpendicular to the plane."""
    horizontal: int
    vertical: int
    letters: tuple[str, str, str, str]
    """Directions at the left, right, top and bottom edge."""


VIEWS = (
    View(2, 0, 1, ("R", "L", "A", "P")),
    View(1, 0, 2, ("R", "L", "S", "I")),
    View(0, 1, 2, ("A", "P", "S", "I")),
)


@dataclass(frozen=True, eq=False)
class Scene:
    """Volume to draw: arrays (X, Y, Z) in RAS+, colors and gray values."""

    voxels: NDArray[Any]
    labels: NDArray[Any]
    filled: NDArray[Any] | None
    lengths: tuple[float, float, float]
    """Size of the scan along X, Y, Z in mm."""
    limits: tuple[float, float]
    """Values shown as black and white."""
    colors: ColorOfValue
    axis_map: AxisMap
    """Map from the axes of the file to RAS+."""
    dashes: bool = False
    """True if the filled labels are outlined with dashes."""

    def draw(
        self, view: View, position: int, longest: int, *, thickness: int = OUTLINE_PIXELS
    ) -> Image.Image:
        """Return the plane at ``position``.

        Args:
            view: orientation of the plane.
            position: index along the axis perpendicular to the plane.
            longest: number of pixels of the longest edge of the scan.
            thickness: thickness of the outlines in pixels.
        """
        factor = longest / max(self.lengths)
        width = max(1, round(self.lengths[view.horizontal] * factor))
        height = max(1, round(self.lengths[view.vertical] * factor))
        gray = to_gray(_plane(self.voxels, view, position), self.limits)
        return draw_outlines(
            np.broadcast_to(gray[..., None], (*gray.shape, 3)),
            _plane(self.labels, view, position),
            (width, height),
            self.colors,
            filled=None if self.filled is None else _plane(self.filled, view, position),
            dashes=self.dashes,
            thickness=thickness,
        )

    def slice_name(self, view: View, position: int) -> str:
        """Return the name of a slice: its axis in the file, and its index along it, from 0."""
        axis, flip = self.axis_map.order[view.across], self.axis_map.flips[view.across]
        last = self.labels.shape[view.across] - 1
        return f"{'xyz'[axis]} {last - position if flip else position}"


def _plane(array: NDArray[Any], view: View, position: int) -> NDArray[Any]:
    """Return a plane of (X, Y, Z) as rows, with high indices on the left and at the top.

    It is a view, because numpy's take may copy the whole scan.
    """
    plane: NDArray[Any] = np.moveaxis(array, view.across, 0)[position].T[::-1, ::-1]
    return plane


def make_scene(
    scan: Volume, labels: Volume, colors: ColorOfValue, reference: Volume | None = None
) -> Scene:
    """Return a scan in RAS+ with its labels, and those to fill, ready to be drawn."""
    ras, axis_map = to_ras(scan)
    x, y, z = (size * edge for size, edge in zip(ras.grid.shape, ras.spacing, strict=True))
    return Scene(
        voxels=ras.array[0],
        labels=to_ras(labels)[0].array[0],
        filled=None if reference is None else to_ras(reference)[0].array[0],
        lengths=(x, y, z),
        limits=gray_limits(ras.array[:1]),
        colors=colors,
        axis_map=axis_map,
    )


def draw_planes(
    scene: Scene,
    across: int | None = None,
    longest: int = PLANE_PIXELS,
    marked: NDArray[Any] | None = None,
) -> list[Image.Image]:
    """Return images of the planes that show most; a scan with one slice has only one plane.

    Args:
        scene: what to draw.
        across: axis to which the only plane is perpendicular; by default there are three planes.
        longest: number of pixels of the longest edge of the scan.
        marked: array (X, Y, Z) in RAS+ of which the planes show most; by default the labels, or
            where they differ from those to fill.
    """
    labels = scene.labels
    if marked is None:
        marked = differing(labels, scene.filled)
    if across is not None:
        views = [view for view in VIEWS if view.across == across]
    else:
        views = [
            view
            for view in VIEWS
            if min(labels.shape[view.horizontal], labels.shape[view.vertical]) > 1
        ]
    thickness = OUTLINE_PIXELS if longest >= PLANE_PIXELS else 1
    images = []
    positions = _fullest_planes(marked)
    for view in views or VIEWS[:1]:
        image = scene.draw(view, positions[view.across], longest, thickness=thickness)
        write_letters(image, view.letters)
        images.append(image)
    return images


def differing(labels: NDArray[Any], others: NDArray[Any] | None) -> NDArray[Any]:
    """Return where labels differ from others; the labels themselves if they do not."""
    if others is None or np.array_equal(others, labels):
        return labels
    return np.asarray(np.not_equal(others, labels))


def _fullest_planes(labels: NDArray[Any]) -> list[int]:
    """Return the indices of the planes across X, Y and Z that show most of the labels.

    Each label counts as a fraction of its largest cross section, so that a lesion counts as much as
    the organ around it. Without labels, it is the middle plane.
    """
    positions = []
    for counts in plane_counts(labels, np.array(present_values(labels))):
        largest = counts.max(axis=0)
        shares = (counts / np.maximum(largest, 1)).sum(axis=1)
        positions.append(int(shares.argmax()) if largest.any() else len(counts) // 2)
    return positions
