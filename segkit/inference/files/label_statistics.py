"""Figures of each label of a label map: size, position, components, and intensities of the scan."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.labels.components import find_components
from segkit.quality.measured_labels import Images, MeasuredLabel, Values, measure_labels
from segkit.volume import Volume

AXES = "xyz"
DECIMALS = 6
"""Decimals of lengths; intensities are not rounded, because their unit is not known."""
DIGITS = 9
"""Significant digits of volumes; a voxel of micro-CT has about a millionth of a milliliter."""

_UNCERTAINTY = "the model's uncertainty"
"""Name of the uncertainty among the images, which are named after channels."""


def label_figures(
    labels: Volume,
    names: Mapping[str, int],
    regions: Values | None = None,
    *,
    channels: Images | None = None,
    uncertainty: NDArray[Any] | None = None,
    where: str | Path = "label map",
) -> dict[str, dict[str, Any]]:
    """Return the figures of each label, by name, in JSON types.

    - ``value``, ``voxels`` and ``volume_ml``.
    - ``bounding_box``: the ``first`` and ``last`` voxel (x, y, z) inside it, and ``corners_mm``,
      its eight corners in the world (RAS+), at the outer edges of those voxels.
    - ``centroid_mm``: mean of the voxel centers in the world.
    - ``touches_border``: faces of the scan that the label reaches, such as ``first z``.
    - ``pieces``: number of connected components (26-connectivity); and ``largest_piece_ml``.
    - ``intensity``: mean and standard deviation (ddof 0) of each channel.
    - ``certainty``: 1 minus the mean uncertainty.

    For a picture the unit is px instead of mm and ml, and positions have no z. A label without
    voxels has None for its position and intensities.

    Args:
        labels: label map (1, X, Y, Z).
        names: value of each label in the label map, by name.
        regions: values of each region, where labels overlap.
        channels: intensities to measure.
        uncertainty: map (X, Y, Z) from 0 to 1.
        where: the scan's name in messages.

    Raises:
        InputError: intensities inside a label without a finite mean or standard deviation.

    >>> cube = Volume(np.ones((1, 10, 10, 10), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> figures = label_figures(cube, {"organ": 1})["organ"]
    >>> figures["volume_ml"], figures["centroid_mm"], figures["pieces"]
    (8.0, [9.0, 9.0, 9.0], 1)
    """
    values_by_name = {
        name: tuple((regions or {}).get(name, (value,))) for name, value in names.items()
    }
    images = dict(channels or {})
    if uncertainty is not None:
        images[_UNCERTAINTY] = uncertainty
    measured = measure_labels(labels.array[0], values_by_name, images)
    figures = {}
    for name, value in names.items():
        label = measured[name]
        figures[name] = {"value": value, **_sizes(label, labels), **_positions(label, labels)}
        figures[name] |= _components(label, labels, values_by_name[name])
        if channels:
            figures[name]["intensity"] = {
                channel: _intensity(label, channel, f"{where}, {name}") for channel in channels
            }
        if uncertainty is not None:
            figures[name]["certainty"] = _certainty(label)
    return figures


def _sizes(label: MeasuredLabel, labels: Volume) -> dict[str, Any]:
    return {"voxels": label.voxels, f"volume_{_volume_unit(labels)}": _volume(label.voxels, labels)}


def _volume_unit(labels: Volume) -> str:
    return "ml" if labels.unit == "mm" else "px"


def _volume(voxels: int, labels: Volume) -> float:
    """Return the volume in ml, or in px for a picture.

    The determinant of the affine is also right for oblique and sheared grids.
    """
    volume = voxels * labels.grid.voxel_volume / (1000 if labels.unit == "mm" else 1)
    return float(f"{volume:.{DIGITS}g}")


def _positions(label: MeasuredLabel, labels: Volume) -> dict[str, Any]:
    unit, ends = labels.unit, label.ends
    if not ends:
        return {"bounding_box": None, f"centroid_{unit}": None, "touches_border": []}
    box = {
        "first": [first for first, _ in ends[: _axes(labels)]],
        "last": [last for _, last in ends[: _axes(labels)]],
        f"corners_{unit}": _corners(ends, labels),
    }
    return {
        "bounding_box": box,
        f"centroid_{unit}": _world([label.centroid], labels)[0],
        "touches_border": _border(ends, labels),
    }


def _axes(labels: Volume) -> int:
    """Return the number of axes; a picture has no depth."""
    return 3 if labels.unit == "mm" else 2


def _corners(ends: Sequence[tuple[int, int]], labels: Volume) -> list[list[float]]:
    edges: list[tuple[float, ...]] = [(first - 0.5, last + 0.5) for first, last in ends]
    if labels.unit == "px":
        edges[2] = (0.0,)
    return _world(list(itertools.product(*edges)), labels)


def _world(indices: Sequence[Sequence[float]], labels: Volume) -> list[list[float]]:
    """Return the world positions of voxel indices, which are whole at the centers of voxels."""
    positions = np.asarray(indices) @ labels.affine[:3, :3].T + labels.affine[:3, 3]
    # Adding 0 turns -0.0 into 0.0.
    rounded = (np.round(positions, DECIMALS) + 0.0)[:, : _axes(labels)]
    return [[float(number) for number in position] for position in rounded]


def _border(ends: Sequence[tuple[int, int]], labels: Volume) -> list[str]:
    """Return the faces of the scan, by voxel axis, that a label reaches."""
    shape = labels.grid.shape
    faces = []
    for axis in range(_axes(labels)):
        first, last = ends[axis]
        if first == 0:
            faces.append(f"first {AXES[axis]}")
        if last == shape[axis] - 1:
            faces.append(f"last {AXES[axis]}")
    return faces


def _components(label: MeasuredLabel, labels: Volume, values: Sequence[int]) -> dict[str, Any]:
    count, largest = 0, 0
    if label.voxels:
        sizes = find_components(labels.array[0][label.box], merged=values).voxels
        count, largest = sizes.size, int(sizes.max())
    return {"pieces": count, f"largest_piece_{_volume_unit(labels)}": _volume(largest, labels)}


def _intensity(label: MeasuredLabel, channel: str, where: str) -> dict[str, float | None]:
    if not label.voxels:
        return {"mean": None, "std": None}
    moments = label.moments[channel]
    mean, std = float(moments.mean), math.sqrt(float(moments.squares) / label.voxels)
    if not (math.isfinite(mean) and math.isfinite(std)):
        raise InputError(
            where,
            expected=f"intensities of channel {channel} that have a mean and a standard deviation",
            found=f"mean {mean} and standard deviation {std}",
            remedy="Replace NaN, infinite and absurd values in the scan, or leave out --stats.",
        )
    return {"mean": mean, "std": std}


def _certainty(label: MeasuredLabel) -> float | None:
    return round(1 - float(label.moments[_UNCERTAINTY].mean), DECIMALS) if label.voxels else None
