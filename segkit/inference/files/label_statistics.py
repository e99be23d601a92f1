"""What is measured about each label of a label map: size, place, pieces, and the scan's intensities inside it.

The map is gone through once, block by block, and of a block only the labelled voxels are looked at; what is kept is a
count per label and plane. Pieces are counted inside a label's bounding box. So no second map and no copy of the scan in
float64 is made.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.memory_map import blocks
from segkit.labels.components import find_components
from segkit.volume import Volume

BLOCK_VOXELS = 1 << 18
"""Voxels that are looked at together; an index of each takes 8 bytes, and there are several."""
AXES = "xyz"
DECIMALS = 6
"""Decimals of lengths; intensities are not rounded, because their unit is not known."""
DIGITS = 9
"""Significant digits of volumes: voxels of micro-CT have millionths of a milliliter."""

Values = Mapping[str, Sequence[int]]
"""Of each label or region the values of the label map that it is made of."""
Images = Mapping[str, NDArray[Any]]
"""Name -> (X, Y, Z), on the label map's grid."""
_UNCERTAINTY = "the model's uncertainty"
"""Its name among the images, where those of channels stand as well."""


def label_figures(
    labels: Volume,
    names: Mapping[str, int],
    regions: Values | None = None,
    *,
    channels: Images | None = None,
    uncertainty: NDArray[Any] | None = None,
    where: str | Path = "label map",
) -> dict[str, dict[str, Any]]:
    """Everything that is measured about each label, in JSON types.

    ``value``, ``voxels``, ``volume_ml``; ``bounding_box`` with the ``first`` and the ``last`` voxel (x, y, z), which
    belongs to it, and ``corners_mm``, its eight corners in the world (RAS+), at the outer edges of those voxels;
    ``centroid_mm``, the mean of the voxel centres in the world; ``touches_border``, the faces of the scan that the
    label reaches, such as ``first z``; ``pieces``, how many parts of it are connected, at least by a corner
    (26-connectivity), and ``largest_piece_ml``; ``intensity`` per channel, mean and standard deviation (of these
    voxels, ddof 0); ``certainty``, 1 less the mean uncertainty.

    A picture has px for mm and ml, and its positions have no z. A label without voxels has no place and no
    intensities: None stands there.

    Args:
        labels: (1, X, Y, Z).
        names: name -> value that is written for it.
        regions: where labels overlap, the values that each is made of.
        channels: intensities to measure.
        uncertainty: (X, Y, Z), 0 to 1.
        where: the scan's name in messages.

    Raises:
        InputError: intensities inside a label that have no finite mean or spread.

    >>> cube = Volume(np.ones((1, 10, 10, 10), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> figures = label_figures(cube, {"organ": 1})["organ"]
    >>> figures["volume_ml"], figures["centroid_mm"], figures["pieces"]
    (8.0, [9.0, 9.0, 9.0], 1)
    """
    made_of = {name: tuple((regions or {}).get(name, (value,))) for name, value in names.items()}
    images = dict(channels or {})
    if uncertainty is not None:
        images[_UNCERTAINTY] = uncertainty
    measured = measure_labels(labels.array[0], made_of, images)
    found = {}
    for name, value in names.items():
        label = measured[name]
        found[name] = {"value": value, **_sizes(label, labels), **_places(label, labels)}
        found[name] |= _pieces(label, labels, made_of[name])
        if channels:
            found[name]["intensity"] = {
                each: _intensity(label, each, f"{where}, {name}") for each in channels
            }
        if uncertainty is not None:
            found[name]["certainty"] = _certainty(label)
    return found


@dataclass(frozen=True)
class _Moments:
    """How many voxels (K) labels have, their mean, and the sum of the squared deviations from it."""

    count: NDArray[Any]
    mean: NDArray[Any]
    squares: NDArray[Any]

    def __add__(self, other: _Moments) -> _Moments:
        """Of both together (Chan, Golub and LeVeque 1979), which loses no digits as sums of squares would."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.count * share
        return _Moments(count, self.mean + apart * share, squares)

    def of(self, index: int) -> _Moments:
        """Those of one label."""
        return _Moments(self.count[index], self.mean[index], self.squares[index])


@dataclass(frozen=True)
class MeasuredLabel:
    """One label: its voxels on every plane across X, Y and Z, and its moments by the name of an image."""

    planes: tuple[NDArray[np.int64], ...]
    moments: Mapping[str, _Moments]

    @property
    def voxels(self) -> int:
        return int(self.planes[0].sum())

    @property
    def ends(self) -> list[tuple[int, int]]:
        """First and last plane with a voxel, per axis; empty without voxels."""
        there = [np.flatnonzero(planes) for planes in self.planes]
        return [(int(each[0]), int(each[-1])) for each in there if each.size]

    @property
    def centroid(self) -> list[float]:
        """Mean index along X, Y, Z."""
        return [float(planes @ np.arange(planes.size)) / self.voxels for planes in self.planes]


@np.errstate(all="ignore")  # what overflows is found when it is used
def measure_labels(
    array: NDArray[Any], made_of: Values, images: Images
) -> dict[str, MeasuredLabel]:
    """Each label of ``array`` (X, Y, Z). Voxels are counted by value, and values are added up to labels or regions."""
    values = sorted({value for each in made_of.values() for value in each})
    planes = [np.zeros((len(values), size), np.int64) for size in array.shape]
    nothing = np.zeros(len(values))
    moments = dict.fromkeys(images, _Moments(nothing, nothing, nothing))
    # An image may be a mapped file, whose pages are then each needed once.
    for which, places in _labelled(array, values, next(iter(images.values()), array)):
        for counts, place in zip(planes, places, strict=True):
            together = which * counts.shape[1] + place
            np.add(
                counts,
                np.bincount(together, minlength=counts.size).reshape(counts.shape),
                out=counts,
            )
        for name, image in images.items():
            moments[name] += _block_moments(np.asarray(image[places]), which, len(values))
    found = {}
    for name, own in made_of.items():
        rows = [values.index(value) for value in own]
        joined = {
            each: functools.reduce(_Moments.__add__, map(those.of, rows))
            for each, those in moments.items()
        }
        found[name] = MeasuredLabel(tuple(counts[rows].sum(axis=0) for counts in planes), joined)
    return found


def _labelled(
    array: NDArray[Any], values: Sequence[int], order: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], tuple[NDArray[Any], ...]]]:
    """Block by block the voxels that have one of ``values`` (ascending): which one, and their indices x, y and z.

    Blocks lie together in the memory of ``order``, another array of this shape.
    """
    ordered = np.asarray(values, np.int64)
    for box in blocks(order, BLOCK_VOXELS):
        block = array[box]
        places = np.nonzero(block)
        found = block[places].astype(np.int64)
        which = np.minimum(np.searchsorted(ordered, found), ordered.size - 1)
        known = ordered[which] == found
        x, y, z = (
            place[known] + (span.start or 0) for place, span in zip(places, box, strict=True)
        )
        yield which[known], (x, y, z)


def _block_moments(voxels: NDArray[Any], which: NDArray[Any], length: int) -> _Moments:
    exact = voxels.astype(np.float64)
    count = np.bincount(which, minlength=length)
    mean = np.bincount(which, exact, length) / np.maximum(count, 1)
    squares = np.bincount(which, (exact - mean[which]) ** 2, length)
    return _Moments(count, mean, squares)


def _sizes(label: MeasuredLabel, labels: Volume) -> dict[str, Any]:
    return {"voxels": label.voxels, f"volume_{_volume_unit(labels)}": _volume(label.voxels, labels)}


def _volume_unit(labels: Volume) -> str:
    return "ml" if labels.unit == "mm" else "px"


def _volume(voxels: int, labels: Volume) -> float:
    """Return ml, by the determinant of the affine, which is right for oblique and sheared grids; px for a picture."""
    volume = voxels * labels.grid.voxel_volume / (1000 if labels.unit == "mm" else 1)
    return float(f"{volume:.{DIGITS}g}")


def _places(label: MeasuredLabel, labels: Volume) -> dict[str, Any]:
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
    """A picture has no depth."""
    return 3 if labels.unit == "mm" else 2


def _corners(ends: Sequence[tuple[int, int]], labels: Volume) -> list[list[float]]:
    edges: list[tuple[float, ...]] = [(first - 0.5, last + 0.5) for first, last in ends]
    if labels.unit == "px":
        edges[2] = (0.0,)
    return _world(list(itertools.product(*edges)), labels)


def _world(indices: Sequence[Sequence[float]], labels: Volume) -> list[list[float]]:
    """Voxel indices, whole at the centres of voxels, as positions in ``unit``."""
    placed = np.asarray(indices) @ labels.affine[:3, :3].T + labels.affine[:3, 3]
    # Adding 0 makes -0.0 to 0.0.
    return [
        [float(each) for each in row]
        for row in (np.round(placed, DECIMALS) + 0.0)[:, : _axes(labels)]
    ]


def _border(ends: Sequence[tuple[int, int]], labels: Volume) -> list[str]:
    """The faces, by voxel axis, that a label reaches."""
    shape = labels.grid.shape
    faces = []
    for axis in range(_axes(labels)):
        first, last = ends[axis]
        faces += [f"first {AXES[axis]}"] * (first == 0) + [f"last {AXES[axis]}"] * (
            last == shape[axis] - 1
        )
    return faces


def _pieces(label: MeasuredLabel, labels: Volume, values: Sequence[int]) -> dict[str, Any]:
    count, largest = 0, 0
    if label.voxels:
        box = tuple(slice(first, last + 1) for first, last in label.ends)
        sizes = find_components(labels.array[0][box], merged=values).voxels
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
