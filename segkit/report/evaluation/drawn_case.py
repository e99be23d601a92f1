"""Scan, prediction and reference of one case, cropped around the labels, to draw and to view."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.errors import InputError, OutOfMemoryError, UsageError
from segkit.evaluation.case_maps import read_maps
from segkit.evaluation.measure import Structure, values_of
from segkit.evaluation.pairs import Pair, Pairs
from segkit.evaluation.run_records import read_record, recorded_scan
from segkit.files.names import READABLE
from segkit.io import place_on_grid
from segkit.io.scans import open_source, read_source
from segkit.labels.colors import Color, label_colors
from segkit.report.preview import draw_comparison, draw_two
from segkit.volume import Box, Grid, Volume, VolumeSource

MARGIN_MM = 20.0
"""Width of the surroundings of the labels that are shown, in mm."""


@dataclass(frozen=True, eq=False)
class DrawnCase:
    """Part of a case around its labels; label values are 1, 2, ... in the order of ``names``."""

    case: str
    scan: Volume
    """The scan (C, X, Y, Z); zeros if there is none."""
    predicted: Volume
    reference: Volume
    names: dict[str, int]
    """Value of each label in both label maps."""
    note: str
    """Why the ground is plain; "" with a scan."""

    @property
    def colors(self) -> dict[str, Color]:
        """Color of each label."""
        return label_colors(self.names)

    def png(self) -> bytes:
        """Return the picture of the case: three planes, or the picture itself, as a PNG."""
        image = draw_comparison(
            self.scan, self.predicted, self.reference, self.names, outline_reference=True
        )
        return _png(image)


@dataclass(frozen=True, eq=False)
class DrawnChange:
    """Part of a case around its labels with two predictions; see `DrawnCase`."""

    case: str
    scan: Volume
    a: Volume
    b: Volume
    reference: Volume
    names: dict[str, int]
    note: str

    def png(self, title_a: str, title_b: str) -> bytes:
        """Return the picture of the case, a column for each prediction, as a PNG."""
        predictions = {title_a: self.a, title_b: self.b}
        return _png(draw_two(self.scan, predictions, self.reference, self.names))


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


def read_drawn_case(pair: Pair, pairs: Pairs, scans: Path | None) -> DrawnCase:
    """Return a case to draw, read from its files; one scan is in memory at a time.

    Args:
        pair: files of the case.
        pairs: all cases, with the names of the labels.
        scans: folder with the scans, named as the cases; by default they are those of the dataset,
            or those that were recorded beside the predictions.

    Raises:
        InputError: as for `segkit.evaluation.case_maps.read_maps`.
    """
    maps = read_maps(pair, pairs)
    names = {name: number for number, name in enumerate(maps.labels, start=1)}
    box = _box_around(maps.predicted, maps.reference)
    predicted, reference = (
        _part(label_map, box, maps.labels, names) for label_map in (maps.predicted, maps.reference)
    )
    ground, note = _ground(_scan_path(pair, scans), maps.reference.grid, box, predicted)
    return DrawnCase(pair.case, ground, predicted, reference, names, note)


def read_drawn_change(
    both: tuple[Pair, Pair], pairs: tuple[Pairs, Pairs], scans: Path | None
) -> DrawnChange:
    """Return a case with two predictions to draw; the arguments are those of `read_drawn_case`.

    Raises:
        InputError: as there; or the two are on different grids, which happens if the reference is a
            DICOM-SEG.
    """
    maps = [read_maps(pair, of) for pair, of in zip(both, pairs, strict=True)]
    grid = maps[0].reference.grid
    if not grid.matches(maps[1].reference.grid):
        raise InputError(
            both[1].prediction,
            expected=f"the grid of {both[0].prediction}",
            found="another one",
            remedy="Save both on the grid of the scan to have them drawn.",
        )
    labels = {**maps[1].labels, **maps[0].labels}
    names = {name: number for number, name in enumerate(labels, start=1)}
    box = _box_around(*(each.predicted for each in maps), maps[0].reference)
    a, b = (_part(each.predicted, box, each.labels, names) for each in maps)
    reference = _part(maps[0].reference, box, labels, names)
    path = _scan_path(both[0], scans) or _scan_path(both[1], scans)
    ground, note = _ground(path, grid, box, a)
    return DrawnChange(both[0].case, ground, a, b, reference, names, note)


def _part(
    label_map: Volume, box: Box, labels: Mapping[str, Structure], names: Mapping[str, int]
) -> Volume:
    """Return the part of a label map inside the box, with the values of ``names``."""
    part = _cropped(label_map, box)
    return part.with_array(_numbered(part.array, labels, names))


def _ground(path: Path | None, grid: Grid, box: Box, like: Volume) -> tuple[Volume, str]:
    """Return the scan inside the box, or zeros, and why there is none."""
    scan, note = _read_scan(path, grid, box)
    return like.with_array(np.zeros_like(like.array) if scan is None else scan), note


def _scan_path(pair: Pair, scans: Path | None) -> Path | None:
    if scans is None:
        return pair.scan or recorded_scan(read_record(pair.prediction))
    names = [f"{pair.case}{end}{suffix}" for suffix in READABLE for end in ("", "_0000")]
    files = [scans / name for name in names]
    folder = [scans / pair.case]  # of DICOM
    return next((path for path in [*files, *folder] if path.exists()), None)


def _read_scan(path: Path | None, grid: Grid, box: Box) -> tuple[NDArray[Any] | None, str]:
    """Return the voxels (C, X, Y, Z) of a scan inside the box, or None and why there are none."""
    if path is None:
        return None, "drawn on plain ground, because the scan was not found (give --scans FOLDER)"
    try:
        source = open_source(path)
        planes = _planes(source, path, grid, box[2])
    except (InputError, UsageError, OutOfMemoryError) as error:
        return None, f"drawn on plain ground, because the scan cannot be read ({error})"
    if planes is None:
        return None, "drawn on plain ground, because the scan has another grid than the labels"
    channels = planes if grid.unit == "px" else planes[:1]
    voxels = np.array(channels[(slice(None), *box[:2])])
    return np.nan_to_num(voxels) if voxels.dtype.kind == "f" else voxels, ""


def _planes(source: VolumeSource, path: Path, grid: Grid, along_z: slice) -> NDArray[Any] | None:
    """Return planes (C, X, Y, Z) of a scan on the grid of the labels; None if it has another one.

    Axes that are only swapped or flipped are no other grid.
    """
    if source.grid.matches(grid):
        return source.planes(along_z.start, along_z.stop)
    scan = read_source(source)
    try:
        placed = place_on_grid(scan, grid, path, what="scan", of="the label map", padded=False)
    except InputError:
        return None
    return placed.array[..., along_z]


def _numbered(
    array: NDArray[Any], labels: Mapping[str, Structure], names: Mapping[str, int]
) -> NDArray[Any]:
    """Return a label map in which the labels have the values of ``names``.

    Regions may overlap: a voxel gets the smallest region that contains it, so that all are visible.

    >>> labels = {"tumor": (1, 3), "core": 3}
    >>> _numbered(np.array([0, 1, 3, 4]), labels, {"tumor": 1, "core": 2}).tolist()
    [0, 1, 2, 0]
    """
    numbered = np.zeros(array.shape, np.uint8 if len(names) < 256 else np.uint16)
    values = {names[name]: values_of(label) for name, label in labels.items()}
    for number in sorted(values, key=lambda number: -len(values[number])):
        for value in values[number]:
            np.copyto(numbered, number, where=array == value)
    return numbered


def _box_around(*label_maps: Volume) -> Box:
    """Return the box around all label maps with a margin; the whole grid without labels."""
    grid = label_maps[0].grid
    marked = label_maps[0].array[0] != 0
    for label_map in label_maps[1:]:
        marked |= label_map.array[0] != 0
    if grid.unit == "px" or not marked.any():
        x, y, z = (slice(0, size) for size in grid.shape)
        return x, y, z
    spans = []
    for axis, (size, edge) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        others = tuple(other for other in range(3) if other != axis)
        occupied = np.flatnonzero(marked.any(axis=others))
        margin = max(1, round(MARGIN_MM / edge))
        first, last = int(occupied[0]) - margin, int(occupied[-1]) + margin
        spans.append(slice(max(0, first), min(size, last + 1)))
    return spans[0], spans[1], spans[2]


def _cropped(volume: Volume, box: Box) -> Volume:
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [span.start for span in box]
    return Volume(np.ascontiguousarray(volume.array[(slice(None), *box)]), affine, volume.unit)
